/* Shrew's writer of model images, which shrew.h reads. docs/FORMAT.md specifies the bytes.
 *
 * The writer passes the image to a callback in pieces, in file order. The caller passes tensors one by one, so neither
 * side ever holds all weights:
 *
 *   shrew_write_begin(&writer, &parts, emit, context);
 *   for each tensor of shrew_shape_tensor, in its order: shrew_write_tensor(&writer, &tensor);
 *   shrew_write_end(&writer);
 *
 * The rules are those of shrew.h: no allocation, no libc but memcpy and memset, negative codes for errors. The writer
 * checks the configuration and the tensors. It does not check the tokenizer, the other sections that come as bytes, the
 * metadata and the self-test: shrew_model_open does.
 */
#ifndef SHREW_WRITE_H
#define SHREW_WRITE_H

#include "shrew.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Integers ------------------------------------------------------------------------------------------------- */

/* Quantises a matrix of floats. A q8 group gets the smallest scale that clips no value; a q4 or ternary group the one
 * with the smallest squared error of those tried. values: [rows][cols], one integer each, not yet packed. row_scales:
 * [rows]. multipliers: [rows][ceil(cols / group)], not touched if group is 0. SHREW_E_ARGUMENT for f32, for a type that
 * this build lacks, for more than 16384 cols, and for a group that is neither 0 nor a multiple of 16 from 16 to 256.
 * SHREW_E_NUMBER if a value is NaN, infinite or at least 2^100 in magnitude. */
int shrew_quantize(shrew_type type, const float *matrix, uint32_t rows, uint32_t cols, uint32_t group, int8_t *values,
                   float *row_scales, int8_t *multipliers);

/* Largest magnitude of a multiplier for which 32-bit sums over a row cannot overflow; 0 if shrew_quantize refuses. */
uint32_t shrew_quantize_limit(shrew_type type, uint32_t cols);

/* ---- Images --------------------------------------------------------------------------------------------------- */

/* How a tensor is stored. Vectors are f32. */
typedef struct shrew_storage {
    uint32_t type;  /* shrew_type */
    uint32_t group; /* columns that share a multiplier: a multiple of 16 from 16 to 256; 0: no multipliers, f32 */
} shrew_storage;

/* A metadata pair. Neither string needs a final NUL. */
typedef struct shrew_pair {
    const void *key;
    size_t key_bytes; /* 1 .. 65535 */
    const void *value;
    size_t value_bytes;
} shrew_pair;

/* An image without its weights. What the pointers refer to must not change before shrew_write_end. */
typedef struct shrew_parts {
    shrew_config config;
    const shrew_storage *storage; /* [shrew_shape_tensors] in the order of shrew_shape_tensor */
    const void *tokenizer;        /* the section's bytes */
    size_t tokenizer_bytes;
    const void *unicode; /* the section's bytes, or NULL */
    size_t unicode_bytes;
    const void *commands; /* the section's bytes, or NULL */
    size_t commands_bytes;
    const shrew_pair *metadata; /* [metadata_pairs], or NULL */
    uint32_t metadata_pairs;
    const uint16_t *selftest_prompt; /* [selftest_prompt_tokens], or NULL: no self-test */
    uint32_t selftest_prompt_tokens;
    uint32_t selftest_tokens; /* number of tokens to generate */
    uint32_t selftest_digest; /* of the generated tokens; shrew_write_digest can set it later */
} shrew_parts;

/* A tensor's values. f32 uses floats, quantised types the other three. */
typedef struct shrew_values {
    const float *floats;       /* [rows][cols] */
    const int8_t *integers;    /* [rows][cols], not packed */
    const float *row_scales;   /* [rows] */
    const int8_t *multipliers; /* [rows][ceil(cols / group)] if group is not 0 */
} shrew_values;

/* Stores count bytes of the image at offset. bytes is valid during the call only. Pieces come in file order without
 * gaps, except the last: the CRC-32 of everything else, which overwrites four zeros in the header. Any result other
 * than 0 ends the writing. */
typedef int (*shrew_emit)(void *context, uint64_t offset, const void *bytes, size_t count);

enum { SHREW_WRITE_BUFFER = 4096 }; /* bytes of a piece: a flash sector. The last before the checksum may be shorter */

/* The state of one writing. Its fields are private. */
typedef struct shrew_writer {
    const shrew_parts *parts;
    shrew_emit emit;
    void *context;
    uint64_t offset;  /* of the next byte */
    uint64_t weights; /* offset of the weights section */
    uint32_t tensor, tensors; /* index of the next tensor; number of tensors */
    uint32_t crc;     /* of the bytes emitted so far */
    int32_t status;   /* the error that ended the writing */
    uint8_t buffer[SHREW_WRITE_BUFFER]; /* bytes not emitted yet */
} shrew_writer;

/* Bytes of the weights section (section 4). storage: as in shrew_parts. SHREW_E_CONFIG, SHREW_E_TYPE, SHREW_E_TENSOR if
 * storage does not suit a tensor, SHREW_E_SIZE if the section would be too large for a file. */
int shrew_write_weights_bytes(const shrew_config *config, const shrew_storage *storage, uint32_t *bytes);

/* Bytes of the whole image. The same errors, and SHREW_E_METADATA. */
int shrew_write_bytes(const shrew_parts *parts, uint32_t *bytes);

/* Writes everything before the weights. The errors of shrew_write_bytes, or what emit returned. */
int shrew_write_begin(shrew_writer *writer, const shrew_parts *parts, shrew_emit emit, void *context);

/* Writes the next tensor. SHREW_E_STATE after the last one, SHREW_E_TENSOR if an integer or a multiplier is out of
 * range, SHREW_E_NUMBER if a float or a scale is NaN or infinite; or what emit returned. After an error the image is
 * lost, and every further call returns the same code. SHREW_E_STATE and a NULL argument change nothing. */
int shrew_write_tensor(shrew_writer *writer, const shrew_values *values);

/* Writes the rest of the image and the checksum. SHREW_E_STATE if tensors are missing or the image is finished. */
int shrew_write_end(shrew_writer *writer);

/* For images in memory: shrew_emit_to_memory is a shrew_emit whose context is a shrew_memory. SHREW_E_BUFFER if that is
 * too small. */
typedef struct shrew_memory {
    uint8_t *bytes;
    size_t capacity;
} shrew_memory;

int shrew_emit_to_memory(void *context, uint64_t offset, const void *bytes, size_t count);

/* Sets the self-test's digest in an image in memory, and updates the checksum. The digest is what the engine computes
 * on this image. SHREW_E_MISSING if the image has no self-test. */
int shrew_write_digest(void *image, size_t bytes, uint32_t digest);

#ifdef __cplusplus
}
#endif
#endif
