/* Two slots in flash, each for one model image: one may answer while the other is written. Whatever happens during an
 * upload or a removal, the power going included, the other slot is as it was, and the one written to holds its old
 * image, its new one, or none that is taken for one.
 *
 * A slot is a header in a sector of its own and the image behind it. Uploading erases the header first and writes it
 * last, after the image was read back whole and shrew_model_open has passed it; so a header that is good has a good
 * image. The header, little-endian:
 *
 *    0  u32       magic "SHSL"
 *    4  u32       version, 1
 *    8  u32       sequence: the slot written later has the larger one
 *   12  u32       bytes of the image
 *   16  u32       the CRC-32 in the image's own header
 *   20  u8 [32]   the model's name, zeros behind it
 *   52  u8 [8]    zeros
 *   60  u32       CRC-32 of the 60 bytes before */
#ifndef SHREW_SLOTS_H
#define SHREW_SLOTS_H

#include "protocol.h"

enum { SLOTS = 2, SLOTS_NONE = -1, SLOTS_HEADER_BYTES = 64 };

/* Flash as it is: erasing sets every bit of whole sectors, writing clears bits. Functions return 0, or anything else
 * where the flash failed. */
typedef struct slots_flash {
    void *context;
    uint32_t bytes[SLOTS]; /* of each slot, a multiple of sector; 0 for one that is not there */
    uint32_t sector;       /* erased at least, at least SLOTS_HEADER_BYTES; also where the image begins */
    uint32_t block;        /* erased at once where more is needed: a multiple of sector */
    int (*erase)(void *context, int slot, uint32_t offset, uint32_t bytes);
    int (*write)(void *context, int slot, uint32_t offset, const void *data, uint32_t bytes);
    int (*read)(void *context, int slot, uint32_t offset, void *data, uint32_t bytes);
    /* The address at which those bytes can be read, aligned to SHREW_ALIGNMENT, until unmap; NULL: not possible. One
     * mapping for each slot at a time. */
    const void *(*map)(void *context, int slot, uint32_t offset, uint32_t bytes);
    void (*unmap)(void *context, int slot);
    uint32_t (*mappable)(void *context); /* bytes of a slot, from its beginning, that map could take now */
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
    uint32_t received; /* bytes of the image */
    uint32_t erased;   /* the slot is erased up to this offset */
} slots;

/* Reads the headers. Nothing is loaded yet. */
void fw_slots_open(slots *slots, const slots_flash *flash);

/* The slot that holds a model of this name, the newer of two, or SLOTS_NONE. */
int fw_slots_find(const slots *slots, const char *name);

/* Maps a slot, checks its image whole and makes it the active one: *model lies in flash until fw_slots_unload.
 * PROTOCOL_IMAGE where the image is damaged (the slot is then held for empty), PROTOCOL_IN_USE where another is active,
 * PROTOCOL_NOT_FOUND, PROTOCOL_ENGINE where it cannot be mapped. */
protocol_code fw_slots_load(slots *slots, int slot, shrew_model *model, protocol_error *error);

/* The caller has closed every session of the model. */
void fw_slots_unload(slots *slots);

/* In which order slots are tried at boot: that of this name ("": no matter), else the newest, then the other; behind the
 * last comes SLOTS_NONE. */
void fw_slots_order(const slots *slots, const char *name, int order[SLOTS]);

/* Removes a stored image: of two of the name, one that does not answer. PROTOCOL_NOT_FOUND, PROTOCOL_IN_USE. */
protocol_code fw_slots_remove(slots *slots, const char *name, protocol_error *error);

/* Most bytes of an image that could be uploaded now. */
uint32_t fw_slots_upload_bytes(const slots *slots);

/* An upload: begin, write as often as needed, then end, or abort at any time. begin fails with PROTOCOL_NAME,
 * PROTOCOL_SIZE, or PROTOCOL_IN_USE where another is under way or the name is the active model's; end with
 * PROTOCOL_IMAGE and the engine's line; each with PROTOCOL_ENGINE where the flash fails. After a failure the upload is
 * over. What begin chooses is never the active slot: that of the same name, else an empty one, else the older; its old
 * image goes when the first piece, of at least 4 bytes, begins as an image does. */
protocol_code fw_slots_upload_begin(slots *slots, const char *name, size_t name_bytes, uint64_t image_bytes,
                                    protocol_error *error);
protocol_code fw_slots_upload_write(slots *slots, const void *data, uint32_t bytes, protocol_error *error);
protocol_code fw_slots_upload_end(slots *slots, protocol_error *error);
void fw_slots_upload_abort(slots *slots);

#endif
