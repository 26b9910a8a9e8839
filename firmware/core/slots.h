/* Two slots in flash, each for one model image. One can answer while the other is written. Whatever happens during an
 * upload or a removal, including a power failure, the other slot is unchanged, and the one written to holds its old
 * image, its new image, or nothing valid.
 *
 * A slot is a header in its own sector, followed by the image. An upload erases the header first and writes it last,
 * after the whole image has been read back and shrew_model_open has accepted it. So a valid header implies a valid
 * image. The header, little-endian:
 *
 *    0  u32       magic "SHSL"
 *    4  u32       version, 1
 *    8  u32       sequence: larger in the slot written later
 *   12  u32       bytes of the image
 *   16  u32       the CRC-32 in the image's own header
 *   20  u8 [32]   the model's name, padded with zeros
 *   52  u8 [8]    zeros
 *   60  u32       CRC-32 of the 60 bytes before */
#ifndef SHREW_SLOTS_H
#define SHREW_SLOTS_H

#include "protocol.h"

enum { SLOTS = 2, SLOTS_NONE = -1, SLOTS_HEADER_BYTES = 64 };

/* NOR flash: erasing sets every bit of whole sectors, writing clears bits. Functions return 0, or another value if the
 * flash failed. */
typedef struct slots_flash {
    void *context;
    uint32_t bytes[SLOTS]; /* size of each slot, a multiple of sector; 0 if the slot does not exist */
    uint32_t sector;       /* smallest erase size, at least SLOTS_HEADER_BYTES; also the image's offset in a slot */
    uint32_t block;        /* erase size for larger areas: a multiple of sector */
    int (*erase)(void *context, int slot, uint32_t offset, uint32_t bytes);
    int (*write)(void *context, int slot, uint32_t offset, const void *data, uint32_t bytes);
    int (*read)(void *context, int slot, uint32_t offset, void *data, uint32_t bytes);
    /* Maps bytes for reading until unmap. The address is aligned to SHREW_ALIGNMENT; NULL if it fails. Each slot has at
     * most one mapping at a time. */
    const void *(*map)(void *context, int slot, uint32_t offset, uint32_t bytes);
    void (*unmap)(void *context, int slot);
    uint32_t (*mappable)(void *context); /* bytes of a slot, from its beginning, that could be mapped now */
} slots_flash;

typedef struct slots_record {
    uint32_t present;
    uint32_t sequence;
    uint32_t bytes;
    uint32_t crc32;
    char name[PROTOCOL_NAME_BYTES + 1];
} slots_record;

typedef struct slots {
    slots_flash flash;
    slots_record records[SLOTS];
    int active;     /* the slot whose model is loaded, or SLOTS_NONE */
    int upload;     /* the slot being written, or SLOTS_NONE */
    slots_record coming;
    uint32_t received; /* bytes of the image so far */
    uint32_t erased;   /* offset up to which the slot is erased */
} slots;

/* Reads the headers. Loads nothing. */
void fw_slots_open(slots *slots, const slots_flash *flash);

/* The slot that holds a model of this name, the newer of two, or SLOTS_NONE. */
int fw_slots_find(const slots *slots, const char *name);

/* Maps a slot, validates its whole image and makes the slot active. *model refers to flash until fw_slots_unload.
 * PROTOCOL_IMAGE if the image is damaged (the slot then counts as empty), PROTOCOL_IN_USE if another slot is active,
 * PROTOCOL_NOT_FOUND, PROTOCOL_ENGINE if it cannot be mapped. */
protocol_code fw_slots_load(slots *slots, int slot, shrew_model *model, protocol_error *error);

/* Unloads the active model. The caller must not use its sessions any more. */
void fw_slots_unload(slots *slots);

/* The order in which to try slots at boot: the one of this name (unless it is ""), else the newest, then the other.
 * SLOTS_NONE follows the last. */
void fw_slots_order(const slots *slots, const char *name, int order[SLOTS]);

/* Removes a stored image. If two have this name, removes one that is not active. PROTOCOL_NOT_FOUND,
 * PROTOCOL_IN_USE. */
protocol_code fw_slots_remove(slots *slots, const char *name, protocol_error *error);

/* The largest image in bytes that could be uploaded now. */
uint32_t fw_slots_upload_bytes(const slots *slots);

/* An upload: begin, write as often as needed, then end; or abort at any time. begin fails with PROTOCOL_NAME,
 * PROTOCOL_SIZE, or PROTOCOL_IN_USE if another upload is in progress or the name is the active model's. end fails with
 * PROTOCOL_IMAGE and the engine's message. Each fails with PROTOCOL_ENGINE if the flash fails. A failure ends the
 * upload. begin never chooses the active slot, but the one of the same name, else an empty one, else the older. The old
 * image is erased only when the first piece, of at least 4 bytes, begins like an image. */
protocol_code fw_slots_upload_begin(slots *slots, const char *name, size_t name_bytes, uint64_t image_bytes,
                                    protocol_error *error);
protocol_code fw_slots_upload_write(slots *slots, const void *data, uint32_t bytes, protocol_error *error);
protocol_code fw_slots_upload_end(slots *slots, protocol_error *error);
void fw_slots_upload_abort(slots *slots);

#endif
