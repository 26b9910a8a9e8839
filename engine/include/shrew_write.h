/* Shrew's writer of model images, which shrew.h reads. docs/FORMAT.md specifies the bytes.
 *
 * The writer passes the image to a callback in pieces, in file order. The caller passes tensors one by one, so neither
 * side ever holds all weights:
 *
 *   shrew_write_begin(&writer, &parts, emit, context);
 *   for each tensor of shrew_shape_tensor, in its order: shrew_write_tensor(&writer, &tensor);
 *   shrew_write_end(&writer);
 *
 * The rules are those of shrew.h: no allocation, no libc but memcpy and memset, negative codes for errors. Whatever the
 * writer accepts, shrew_model_open opens.
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

/* Scales to learn from, one for each group of a row: those that leave the least squared error of the ones tried, each
 * column's weighted by its importance [cols], then fitted to the integers that they led to. q4 may get a negative one.
 * scales: [rows][ceil(cols / group)], [rows] if group is 0. The same SHREW_E_ARGUMENT. NaN, infinity and values whose
 * squares overflow are no error; they spoil the scale of their own group. */
int shrew_fit_scales(shrew_type type, const float *matrix, uint32_t rows, uint32_t cols, uint32_t group,
                     const float *importance, float *scales);

/* Largest magnitude of a multiplier for which 32-bit sums over a row cannot overflow; 0 if shrew_quantize refuses. */
uint32_t shrew_quantize_limit(shrew_type type, uint32_t cols);

/* ---- Tokenizers ------------------------------------------------------------------------------------------------ */

/* A tokenizer in plain arrays. */
typedef struct shrew_tokenizer_parts {
    uint32_t kind;  /* shrew_tokenizer_kind */
    uint32_t vocab;
    const uint8_t *lengths;       /* [vocab] bytes of each token; 0 for special tokens */
    const uint8_t *pieces;        /* the bytes of all tokens, in the order of ids */
    const uint16_t (*merges)[3];  /* [merge_count] left, right, result, in any order; or NULL */
    const uint16_t *ranks;        /* [merge_count] the priority of each; NULL: the id of its result */
    uint32_t merge_count;
    const uint16_t *byte_ids;     /* [256] the token of each byte, or NULL */
    uint16_t bos, eos, pad, unk;  /* or SHREW_NO_TOKEN */
    const uint16_t *prefix;       /* [prefix_count] before a chat prompt */
    const uint16_t *suffix;       /* [suffix_count] after it */
    uint16_t prefix_count, suffix_count;
    uint32_t space_prefix; /* whether a space is put before the text */
    uint32_t unicode;      /* whether words are cut by a section of Unicode classes */
} shrew_tokenizer_parts;

/* Bytes that the section of a tokenizer fits in. SHREW_E_TOKENIZER where there are too many tokens or merges, or none,
 * and for an unknown kind. */
int shrew_write_tokenizer_room(const shrew_tokenizer_parts *parts, size_t *bytes);

/* Writes the section, which is aligned to 4, and says how many bytes it has. Merges and characters are sorted as the
 * format asks. The same errors, SHREW_E_ALIGNMENT, and SHREW_E_BUFFER where capacity is below the room. Whether the
 * parts make a tokenizer, shrew_tokenizer_open says. */
int shrew_write_tokenizer(const shrew_tokenizer_parts *parts, void *section, size_t capacity, size_t *bytes);

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
    const void *tokenizer;        /* the section's bytes, aligned to 4 */
    size_t tokenizer_bytes;
    const void *unicode; /* the section's bytes, or NULL */
    size_t unicode_bytes;
    const void *commands; /* the section's bytes, aligned to 4, or NULL */
    size_t commands_bytes;
    const void *prompts; /* the section's bytes, aligned to 4, or NULL */
    size_t prompts_bytes;
    const void *memory; /* the section's bytes, aligned to 4, or NULL */
    size_t memory_bytes;
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

/* Bytes of the whole image. The same errors, and SHREW_E_METADATA, SHREW_E_SELFTEST_SECTION. */
int shrew_write_bytes(const shrew_parts *parts, uint32_t *bytes);

/* Writes everything before the weights. The errors of shrew_write_bytes; those with which shrew_model_open refuses the
 * sections that come as bytes; SHREW_E_UNKNOWN if this build lacks one of them; SHREW_E_ALIGNMENT; or what emit
 * returned. */
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
