/* Shrew: language models for microcontrollers.
 *
 * Two nouns. A MODEL is a validated, read-only view of a model image (model.bin, see docs/FORMAT.md) that stays
 * wherever it lies: mapped flash, PSRAM, a buffer. A SESSION is one mutable conversation: KV cache, position and
 * sampler state, in memory that the caller gives.
 *
 * The engine allocates nothing, prints nothing, starts no thread, keeps no global state and needs no libc beyond
 * memcpy and memset. Every function returns SHREW_OK or a negative shrew_status; after a failure its outputs mean
 * nothing. A model may be shared by any number of sessions and threads; a session belongs to one thread at a time. The
 * same image and the same calls give the same tokens on every target, bit for bit.
 *
 * A build for a small chip leaves out what it does not need, by definitions for the compiler; then it refuses that, and
 * computes everything else as ever:
 *
 *   SHREW_NO_F32        matrices of floats (SHREW_E_TYPE) and the cache in floats (SHREW_E_ARGUMENT)
 *   SHREW_NO_Q4         q4 matrices (SHREW_E_TYPE)
 *   SHREW_NO_TERNARY    ternary matrices (SHREW_E_TYPE)
 *   SHREW_NO_DRAFT      speculative decoding (SHREW_E_ARGUMENT)
 *   SHREW_GREEDY_TOP_P  sampling by more than temperature and top-p (SHREW_E_ARGUMENT)
 *   SHREW_NO_UNICODE    tokenizers with Unicode rules (SHREW_E_UNICODE)
 *   SHREW_NO_COMMANDS   images with a grammar of commands (SHREW_E_UNKNOWN)
 *   SHREW_NO_MARKS      marks of what a session is doing (SHREW_E_ARGUMENT)
 *
 * With all of these and -Os, which makes loops short, it still checks whole images, encodes for every kind of
 * tokenizer, runs every architecture in q8, streams UTF-8, knows stop strings and runs self-tests: 20 KB on RV32IMC.
 *
 * Chips are built without the slow kernels of SHREW_UNIT_REFERENCE; SHREW_REFERENCE keeps them, for tests. With
 * -ffunction-sections and --gc-sections functions that nobody calls go, too.
 */
#ifndef SHREW_H
#define SHREW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum shrew_status {
    SHREW_OK = 0,
    /* Calls. */
    SHREW_E_ARGUMENT = -1,  /* a pointer is NULL or a value is out of its range */
    SHREW_E_MEMORY = -2,    /* the memory given is smaller than the engine asked for */
    SHREW_E_ALIGNMENT = -3, /* an image or session address is not a multiple of SHREW_ALIGNMENT, or that of a tokenizer
                             * section by itself none of 4 */
    SHREW_E_CONTEXT = -4,   /* the context has no room for these tokens */
    SHREW_E_TEXT = -5,      /* a character that this tokenizer cannot encode */
    SHREW_E_BUFFER = -6,    /* an output buffer is too small */
    SHREW_E_NUMBER = -7,    /* the model computed NaN or infinity */
    SHREW_E_STATE = -8,     /* the call does not fit the session's state, e.g. sampling before any token */
    SHREW_E_SELFTEST = -9,  /* the self-test produced other tokens than the image promises */
    /* Images, in the order in which they are checked. */
    SHREW_E_TRUNCATED = -20,  /* fewer bytes than a header, or than the header states */
    SHREW_E_MAGIC = -21,      /* does not begin with SHRW */
    SHREW_E_VERSION = -22,    /* a format version that this engine does not read */
    SHREW_E_SIZE = -23,       /* more bytes than the header states, or a size that is impossible */
    SHREW_E_CHECKSUM = -24,   /* the CRC-32 does not match */
    SHREW_E_RESERVED = -25,   /* a reserved byte or flag is not zero */
    SHREW_E_SECTION = -26,    /* a section lies outside the file, is misaligned, out of order or repeated */
    SHREW_E_UNKNOWN = -27,    /* a required section of a kind that this engine does not know */
    SHREW_E_MISSING = -28,    /* a section that every image needs is absent */
    SHREW_E_CONFIG = -29,     /* a configuration value is out of range or contradicts another */
    SHREW_E_TOKENIZER = -30,  /* the tokenizer section is malformed */
    SHREW_E_UNICODE = -31,    /* the Unicode section is malformed, or absent where the tokenizer needs it, or this
                               * engine was built with SHREW_NO_UNICODE, which leaves its code out */
    SHREW_E_TENSOR = -32,     /* the tensor directory does not match the configuration or leaves the file */
    SHREW_E_TYPE = -33,       /* a weight type that this engine does not know */
    SHREW_E_METADATA = -34,   /* the metadata section is malformed */
    SHREW_E_SELFTEST_SECTION = -35, /* the self-test section is malformed */
    SHREW_E_COMMANDS = -36    /* the commands section is malformed */
} shrew_status;

enum {
    SHREW_FORMAT_VERSION = 1,
    SHREW_ALIGNMENT = 16,      /* of an image's and of a session's first byte */
    SHREW_NO_TOKEN = 0xFFFF,   /* "this tokenizer has no such token" */
    SHREW_MAX_VOCAB = 0xFFFF,  /* token ids fit 16 bits */
    SHREW_MAX_BLOCK = 64,      /* most prompt tokens processed by one call */
    SHREW_MAX_WORKERS = 16,    /* most tasks that a session splits its work into */
    SHREW_MAX_STOP_BYTES = 64, /* longest stop string */
    SHREW_PROMPT_BYTES_PER_TOKEN = 8, /* a prompt may have this many bytes for each token of the session's context */
    SHREW_MAX_COMMAND_BYTES = 256, /* longest command that a grammar lets through; so much is said of a refusal */
    SHREW_TEXT_BYTES = 1024    /* enough room for the text of any one shrew_session_next call */
};

/* One short line for a status: what is wrong, without a full stop. Never NULL. */
const char *shrew_status_text(int status);

/* ---- Tokenizer ------------------------------------------------------------------------------------------------ */

typedef enum shrew_tokenizer_kind {
    SHREW_TOKENIZER_BPE = 0,           /* byte-level BPE: merges by rank inside pre-tokens */
    SHREW_TOKENIZER_SENTENCEPIECE = 1, /* merges by score over characters, byte fallback (llama2.c) */
    SHREW_TOKENIZER_CHARACTER = 2      /* one token per Unicode character */
} shrew_tokenizer_kind;

/* A validated view of a tokenizer section. Read-only after opening; the bytes must outlive it. */
typedef struct shrew_tokenizer {
    const uint8_t *pieces;    /* the bytes of all tokens, one after the other */
    const uint8_t *lengths;   /* [vocab] bytes of each token */
    const uint8_t *starts;    /* [ceil(vocab/16)] u32: where token 16*i begins in pieces */
    const uint8_t *merges;    /* [merge_count] u16 left, right, result, sorted by (left, right) */
    const uint8_t *ranks;     /* [merge_count] u16 priority of each merge, or NULL: the result's id is its priority */
    const uint8_t *byte_ids;  /* [256] u16 token of each single byte, or NULL (character tokenizer) */
    const uint8_t *sorted;    /* [sorted_count] u16 single-character tokens ordered by their bytes, or NULL */
    const uint8_t *prefix;    /* [prefix_count] u16 tokens put before a chat prompt */
    const uint8_t *suffix;    /* [suffix_count] u16 tokens put after it */
    const uint8_t *unicode;   /* character classes for pre-tokenisation, or NULL: ASCII rules */
    uint32_t unicode_bytes;
    uint32_t pieces_bytes;
    uint32_t merge_count;
    uint32_t sorted_count;
    uint32_t vocab;
    uint16_t kind;            /* shrew_tokenizer_kind */
    uint16_t flags;
    uint16_t bos, eos, pad, unk; /* token ids, or SHREW_NO_TOKEN */
    uint16_t prefix_count, suffix_count;
} shrew_tokenizer;

/* Validates a tokenizer section (docs/FORMAT.md) of section_bytes bytes, aligned to 4, and the Unicode section it may
 * need (NULL, 0 where there is none). SHREW_E_ALIGNMENT, SHREW_E_TOKENIZER, SHREW_E_UNICODE, SHREW_E_RESERVED. */
int shrew_tokenizer_open(shrew_tokenizer *tokenizer, const void *section, size_t section_bytes, const void *unicode,
                         size_t unicode_bytes);

/* Bytes of scratch with which encoding text_bytes bytes takes O(n log n) time. */
size_t shrew_encode_scratch_bytes(size_t text_bytes);

/* Text (any bytes, valid UTF-8 or not) to at most capacity token ids, *count of them. No beginning-of-text is added
 * and no text ever becomes a special token. capacity >= bytes + 1 always suffices; with less, a long word may be
 * refused although its tokens would fit. scratch may be NULL: the result is the same, only slower for long stretches
 * without a pre-token boundary. SHREW_E_BUFFER, SHREW_E_TEXT. */
int shrew_encode(const shrew_tokenizer *tokenizer, const void *text, size_t bytes, uint16_t *ids, size_t capacity,
                 size_t *count, void *scratch, size_t scratch_bytes);

/* The bytes that a token stands for (special tokens: none), inside the section. */
int shrew_token_bytes(const shrew_tokenizer *tokenizer, uint32_t id, const uint8_t **bytes, size_t *count);

/* ---- Model ---------------------------------------------------------------------------------------------------- */

typedef enum shrew_norm { SHREW_NORM_RMS = 0, SHREW_NORM_RMS_PLAIN = 1, SHREW_NORM_LAYER = 2 } shrew_norm;
typedef enum shrew_position { SHREW_POSITION_ROPE = 0, SHREW_POSITION_LEARNED = 1 } shrew_position;
typedef enum shrew_mlp { SHREW_MLP_SWIGLU = 0, SHREW_MLP_GELU = 1, SHREW_MLP_RELU = 2 } shrew_mlp;

typedef enum shrew_config_flag {
    SHREW_BIAS_QKV = 1,    /* query, key and value projections have biases */
    SHREW_BIAS_OUT = 2,    /* the attention output projection has a bias */
    SHREW_BIAS_MLP = 4,    /* the MLP projections have biases */
    SHREW_TIED_HEAD = 8,   /* the output head is the token embedding */
    SHREW_EMBED_NORM = 16, /* a norm between the embedding and the first layer */
    SHREW_FINAL_NORM = 32  /* a norm between the last layer and the head */
} shrew_config_flag;

/* In the order of the image's section. */
typedef struct shrew_config {
    uint32_t dim;      /* width of the residual stream */
    uint32_t layers;
    uint32_t heads;    /* query heads */
    uint32_t kv_heads; /* key and value heads; divides heads */
    uint32_t head_dim; /* even where positions are rotary */
    uint32_t ffn;      /* width of the MLP */
    uint32_t vocab;
    uint32_t context;  /* most tokens a session can hold */
    uint32_t norm;     /* shrew_norm */
    uint32_t position; /* shrew_position */
    uint32_t mlp;      /* shrew_mlp */
    uint32_t flags;    /* shrew_config_flag, or-ed */
    float norm_eps;
} shrew_config;

typedef enum shrew_type {
    SHREW_F32 = 0,
    SHREW_Q8 = 1,      /* -127 .. 127, a byte each */
    SHREW_Q4 = 2,      /* -8 .. 7: a byte holds one column of two rows */
    SHREW_TERNARY = 3, /* -1, 0, 1: a byte holds one column of four rows */
    SHREW_TYPES = 4
} shrew_type;

/* What a weight type is. docs/FORMAT.md says how its integers are packed. */
typedef struct shrew_type_description {
    const char *name;
    int32_t low, high;      /* the least and the greatest integer; 0 for f32 */
    uint32_t rows_per_byte; /* rows that share a byte, the first in the lowest bits */
    uint32_t digit_of_zero; /* what is added to an integer before it is packed */
    uint32_t usual_group;   /* of columns, where nobody asks for another; 0: whole rows */
} shrew_type_description;

/* SHREW_E_TYPE for a type that this build lacks. */
int shrew_describe_type(shrew_type type, shrew_type_description *description);

/* Tensors, by role. Matrices are stored [rows = outputs, cols = inputs]. The order is the order in the file. */
typedef enum shrew_role {
    SHREW_TOKEN_EMBEDDING = 0,    /* [vocab, dim] */
    SHREW_POSITION_EMBEDDING = 1, /* [context, dim], learned positions */
    SHREW_ROPE_FREQUENCY = 2,     /* [1, head_dim / 2] radians per position, rotary positions */
    SHREW_EMBED_NORM_WEIGHT = 3,  /* [1, dim] */
    SHREW_EMBED_NORM_BIAS = 4,
    /* One of each per layer, from here ... */
    SHREW_ATTENTION_NORM_WEIGHT = 5, /* [1, dim] */
    SHREW_ATTENTION_NORM_BIAS = 6,
    SHREW_QUERY = 7,                 /* [heads * head_dim, dim] */
    SHREW_KEY = 8,                   /* [kv_heads * head_dim, dim] */
    SHREW_VALUE = 9,                 /* [kv_heads * head_dim, dim] */
    SHREW_QUERY_BIAS = 10,           /* [1, heads * head_dim] */
    SHREW_KEY_BIAS = 11,
    SHREW_VALUE_BIAS = 12,
    SHREW_OUT = 13,                  /* [dim, heads * head_dim] */
    SHREW_OUT_BIAS = 14,             /* [1, dim] */
    SHREW_MLP_NORM_WEIGHT = 15,      /* [1, dim] */
    SHREW_MLP_NORM_BIAS = 16,
    SHREW_GATE = 17,                 /* [ffn, dim], swiglu only */
    SHREW_UP = 18,                   /* [ffn, dim] */
    SHREW_GATE_BIAS = 19,            /* [1, ffn] */
    SHREW_UP_BIAS = 20,
    SHREW_DOWN = 21,                 /* [dim, ffn] */
    SHREW_DOWN_BIAS = 22,            /* [1, dim] */
    /* ... to here. */
    SHREW_FINAL_NORM_WEIGHT = 23, /* [1, dim] */
    SHREW_FINAL_NORM_BIAS = 24,
    SHREW_HEAD = 25,              /* [vocab, dim], untied heads */
    SHREW_ROLES = 26
} shrew_role;

enum { SHREW_TENSOR_NAME_BYTES = 40 }; /* room for any tensor's name and its NUL */

/* A tensor that a configuration implies. */
typedef struct shrew_shape {
    uint32_t role;       /* shrew_role */
    uint32_t layer;      /* 0 for tensors that are not per layer */
    uint32_t rows, cols; /* as in the comments of shrew_role */
    uint32_t is_vector;  /* 1: one row, f32 in every image; 0: a matrix of any type */
} shrew_shape;

/* How many tensors a configuration implies. SHREW_E_CONFIG where its values are out of range; norm_eps is not looked
 * at. */
int shrew_shape_tensors(const shrew_config *config, uint32_t *count);

/* The index-th of them, in the order in which an image stores them. SHREW_E_CONFIG; SHREW_E_ARGUMENT past the last. */
int shrew_shape_tensor(const shrew_config *config, uint32_t index, shrew_shape *shape);

/* The name of a tensor, such as layers.0.query.weight, ended by NUL; capacity must be at least SHREW_TENSOR_NAME_BYTES.
 * SHREW_E_ARGUMENT where no configuration has the tensor, SHREW_E_BUFFER. */
int shrew_tensor_name(shrew_role role, uint32_t layer, char *name, size_t capacity);

/* Where a tensor lies. A quantised value is q[row][col] * (row_scales[row] * multipliers[row * groups + col / group]),
 * all multipliers 1 where there are none. docs/FORMAT.md says how q is packed. */
typedef struct shrew_tensor {
    const void *data;          /* 64-byte aligned in the file */
    const float *row_scales;   /* [rows], or NULL for f32 */
    const int8_t *multipliers; /* [rows, groups], or NULL where a row is one group */
    uint32_t rows, cols;
    uint32_t stride;           /* bytes from one row, or pair or four of rows, to the next; a multiple of 16 */
    uint32_t group;            /* columns that share a multiplier, 0: all; the last group of a row may be shorter */
    uint32_t groups;           /* ceil(cols / group), 1 where group is 0 */
    uint32_t type;             /* shrew_type */
} shrew_tensor;

/* The kinds of an image's sections. */
typedef enum shrew_section {
    SHREW_SECTION_CONFIG = 1,
    SHREW_SECTION_TOKENIZER = 2,
    SHREW_SECTION_DIRECTORY = 3,
    SHREW_SECTION_WEIGHTS = 4,
    SHREW_SECTION_METADATA = 5,
    SHREW_SECTION_SELFTEST = 6,
    SHREW_SECTION_UNICODE = 7,
    SHREW_SECTION_COMMANDS = 8,
    SHREW_SECTIONS = 9
} shrew_section;

/* A validated read-only view of an image. Fields are for reading only. */
typedef struct shrew_model {
    shrew_config config;
    shrew_tokenizer tokenizer;
    const uint8_t *image;
    const uint8_t *directory;   /* tensor directory entries */
    const uint8_t *weights;     /* tensor data section */
    const uint8_t *metadata;    /* or NULL */
    const uint8_t *selftest;    /* or NULL */
    const uint8_t *commands;    /* the grammar of commands, or NULL */
    const void *const *places;  /* of shrew_model_place, or NULL */
    uint32_t image_bytes;
    uint32_t tensors;           /* directory entries */
    uint32_t layer_tensors;     /* directory entries per layer */
    uint32_t metadata_bytes;
    uint16_t slot[SHREW_ROLES]; /* index of a role's entry, of its first layer's for layers; 0xFFFF: absent */
} shrew_model;

/* Validates the whole image (length, checksum, every section) and fills *model. image must be aligned to
 * SHREW_ALIGNMENT and outlive the model. Reads no byte outside image[0 .. bytes). */
int shrew_model_open(shrew_model *model, const void *image, size_t bytes);

/* A tensor by role and layer (layer 0 for tensors that are not per layer). SHREW_E_ARGUMENT if the model has none. */
int shrew_model_tensor(const shrew_model *model, shrew_role role, uint32_t layer, shrew_tensor *tensor);

/* The index-th tensor of the file, of model->tensors: its role and its bytes, scales included, as one stretch of the image. */
int shrew_model_tensor_bytes(const shrew_model *model, uint32_t index, shrew_role *role, const void **bytes,
                             size_t *size);

/* Has tensors read from where the caller has copied their bytes to, such as from flash to faster memory. places:
 * [model->tensors] addresses aligned to SHREW_ALIGNMENT, NULL for those that stay in the image; it and the copies live
 * as long as the model. places NULL: all stay. SHREW_E_ALIGNMENT. No session may be computing meanwhile. */
int shrew_model_place(shrew_model *model, const void *const *places);

/* The index-th metadata pair; neither string ends in NUL. SHREW_E_ARGUMENT past the last. */
int shrew_model_metadata(const shrew_model *model, uint32_t index, const char **key, size_t *key_bytes,
                         const char **value, size_t *value_bytes);

/* ---- Session -------------------------------------------------------------------------------------------------- */

typedef struct shrew_session shrew_session; /* opaque; lies in the caller's memory */

/* How the cache holds keys and values. */
typedef enum shrew_cache {
    SHREW_CACHE_AUTO = 0, /* int8, but floats for a model whose matrices are all f32 */
    SHREW_CACHE_F32 = 1,  /* four bytes a value, attention in floats */
    SHREW_CACHE_INT8 = 2  /* one byte a value and one for the scale of each head, attention in integers */
} shrew_cache;

/* Which kernels compute. All give the same bits; to choose is for tests and measurements. */
typedef enum shrew_unit {
    SHREW_UNIT_AUTO = 0, /* the fastest that this processor runs */
    SHREW_UNIT_REFERENCE = 1,
    SHREW_UNIT_SCALAR = 2,
    SHREW_UNIT_AVX2 = 3,
    SHREW_UNIT_AVX512 = 4, /* with VNNI */
    SHREW_UNIT_SIMD128 = 5, /* WebAssembly */
    SHREW_UNIT_PIE = 6,     /* ESP32-S3 */
    SHREW_UNIT_AMX = 7,     /* with AVX-512; on Linux, which grants its registers */
    SHREW_UNITS = 8
} shrew_unit;

/* A caller's way to do count tasks at once: calls task(argument, i) once for every i < count, on any threads, and returns
 * when all are done. The results do not depend on it. */
typedef void (*shrew_parallel_for)(void *context, uint32_t count, void (*task)(void *argument, uint32_t index),
                                   void *argument);

/* What a session is doing. One at a time, in this order, those of a layer for each layer. */
typedef enum shrew_phase {
    SHREW_PHASE_NONE = 0,     /* nothing: the call returns */
    SHREW_PHASE_EMBED = 1,    /* embedding, and the angles of the positions */
    SHREW_PHASE_QKV = 2,      /* of a layer: norm, queries, keys and values, these into the cache */
    SHREW_PHASE_ATTEND = 3,   /* of a layer: scores and sums over the cache */
    SHREW_PHASE_OUT = 4,      /* of a layer: what attention adds to the stream */
    SHREW_PHASE_UP = 5,       /* of a layer: norm, up and gate */
    SHREW_PHASE_ACTIVATE = 6, /* of a layer */
    SHREW_PHASE_DOWN = 7,     /* of a layer: what the MLP adds to the stream */
    SHREW_PHASE_HEAD = 8,     /* final norm, logits */
    SHREW_PHASE_CHOOSE = 9,   /* the next token from the logits */
    SHREW_PHASES = 10
} shrew_phase;

/* Told what begins now, so that a caller with a clock can see where time goes: a phase lasts until the next mark. layer
 * is 0 outside of layers; tokens are those that the phase works on, 0 with SHREW_PHASE_NONE. Called by the calling thread
 * of each function that computes, and must not call the session. */
typedef void (*shrew_mark)(void *context, shrew_phase phase, uint32_t layer, uint32_t tokens);

typedef struct shrew_session_options {
    uint32_t context; /* tokens to hold, 1 .. config.context; 0: config.context */
    uint32_t block;   /* prompt tokens processed together, 1 .. SHREW_MAX_BLOCK; 0: 8 */
    uint32_t draft;   /* speculative decoding: most tokens guessed ahead from repetitions of the text and checked in one
                       * block; the tokens that come out are the same. 0: none; below SHREW_MAX_BLOCK */
    uint32_t cache;   /* shrew_cache */
    uint32_t unit;    /* shrew_unit; SHREW_E_ARGUMENT where this processor or build lacks it */
    shrew_parallel_for parallel_for; /* NULL: everything on the calling thread */
    void *parallel_context;          /* for parallel_for; alive as long as the session */
    uint32_t workers;                /* tasks worth running at once, 1 .. SHREW_MAX_WORKERS; 0: 1 */
    uint32_t grain;                  /* multiply-adds below which a task is not split; 0: 32768 */
    shrew_mark mark;                 /* NULL: nobody wants to know */
    void *mark_context;              /* for mark; alive as long as the session */
} shrew_session_options;

/* The name of a unit that this build has and this processor runs, or NULL. */
const char *shrew_unit_name(uint32_t unit);

/* Bytes of memory that a session needs. The same on every target with the same pointer size or a smaller one, so a
 * PC's answer is an upper bound for a chip. options may be NULL: defaults. */
int shrew_session_bytes(const shrew_model *model, const shrew_session_options *options, size_t *bytes);

/* Makes a session in memory (aligned to SHREW_ALIGNMENT, at least shrew_session_bytes long, alive as long as the
 * session). The model must outlive it. */
int shrew_session_open(shrew_session **session, const shrew_model *model, const shrew_session_options *options,
                       void *memory, size_t bytes);

/* Forgets all tokens; the next token is the first. Memory, model and options stay. */
int shrew_session_reset(shrew_session *session);

/* Tokens held so far. */
uint32_t shrew_session_position(const shrew_session *session);

/* Appends count >= 1 tokens, at most one block of them per call: *used says how many were taken, so that a caller can
 * do other work in between (used may be NULL where count is no more than a block). Call again with the rest. After the
 * call that takes the last one, shrew_session_logits holds the scores of the token to come. After a finished generation
 * its last token, which the session does not hold yet, goes first. On any error none of ids is taken: SHREW_E_CONTEXT if
 * count tokens do not fit, SHREW_E_NUMBER if the model overflows, SHREW_E_STATE during a generation. */
int shrew_session_feed(shrew_session *session, const uint16_t *ids, size_t count, size_t *used);

/* As shrew_session_feed, and writes the logits after every token taken to logits: [*used][vocab] floats. */
int shrew_session_feed_logits(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used);

/* [vocab] scores for the next token, or NULL before any token. Valid until the next call on the session. */
const float *shrew_session_logits(const shrew_session *session);

/* How the next token is chosen. Applied in this order: repetition penalty, temperature, top-k, top-p, min-p. */
typedef struct shrew_sampling {
    float temperature;        /* 0 to 100; below 0.001 greedy, the lowest id among equals */
    float top_p;              /* above 0, to 1: keep the likeliest tokens that together reach this; 1: all */
    float min_p;              /* 0 to 1: keep tokens at least this likely relative to the likeliest; 0: all */
    float repetition_penalty; /* 0.01 to 100: logits of tokens held are divided (if negative, multiplied) by it */
    uint32_t top_k;           /* keep this many; 0: all */
} shrew_sampling;

enum { SHREW_SAMPLING_OPTIONS = 5 };

typedef union shrew_option_value {
    float number;
    uint32_t integer;
} shrew_option_value;

/* What an option of sampling is, for callers that read options from messages, settings or text. */
typedef struct shrew_option {
    const char *name;        /* as in shrew_sampling */
    const char *description; /* one line for people, without a full stop */
    const char *range;       /* likewise, such as "above 0, to 1" */
    uint32_t offset;         /* of the float, or of the uint32_t, in shrew_sampling */
    uint32_t is_integer;     /* which of the two, there and in the values below */
    uint32_t above_least;    /* 1: the least value itself is out of range */
    shrew_option_value least, most, usual;
} shrew_option;

/* The index-th option, in the order in which people list them. A build that leaves an option out describes it, too, and
 * takes no value but the usual one. SHREW_E_ARGUMENT past the last. */
int shrew_sampling_option(uint32_t index, shrew_option *option);

/* Seeds the session's generator. Equal seeds and equal calls give equal tokens. */
int shrew_session_seed(shrew_session *session, uint64_t seed);

/* Chooses the next token from the logits without appending it. */
int shrew_session_sample(shrew_session *session, const shrew_sampling *sampling, uint32_t *id);

/* ---- Generation: text in, text out ---------------------------------------------------------------------------- */

typedef enum shrew_finish {
    SHREW_RUNNING = 0,       /* call again */
    SHREW_FINISH_END = 1,    /* the model ended its text */
    SHREW_FINISH_STOP = 2,   /* a stop string came up; it is not part of the text */
    SHREW_FINISH_LENGTH = 3, /* max_tokens were generated */
    SHREW_FINISH_CONTEXT = 4, /* the context is full */
    SHREW_FINISH_REFUSED = 5  /* a command that the model is less sure of than its image asks, or cannot write: the
                               * text is the image's refusal */
} shrew_finish;

typedef struct shrew_request {
    const void *prompt;        /* UTF-8 text, prompt_bytes long; read only during shrew_session_begin */
    size_t prompt_bytes;
    uint32_t raw;              /* 0: a chat prompt, framed by the image's prompt prefix and suffix; 1: text to continue */
    uint32_t keep;             /* 0: forget what the session holds first; 1: continue after it */
    uint32_t max_tokens;       /* 0: as many as fit */
    uint64_t seed;
    shrew_sampling sampling;
    const char *const *stops;  /* stop_count strings of 1 .. SHREW_MAX_STOP_BYTES bytes and NUL, alive until the end;
                                * the image's own stop strings apply besides */
    uint32_t stop_count;
} shrew_request;

/* Encodes the prompt into the session's memory and makes ready to generate. Does no mathematics. A raw text is preceded
 * by beginning-of-text where the session is empty. Ends a generation under way. SHREW_E_CONTEXT if the prompt has too
 * many tokens, or more than SHREW_PROMPT_BYTES_PER_TOKEN bytes for each token of the context; SHREW_E_TEXT if it has a
 * character that cannot be encoded; SHREW_E_ARGUMENT for bad options, or an empty text with nothing before it. After an
 * error a session with keep 0 is empty. */
int shrew_session_begin(shrew_session *session, const shrew_request *request);

typedef struct shrew_progress {
    size_t text_bytes;      /* bytes written to text: whole UTF-8 characters, possibly none */
    uint32_t finish;        /* shrew_finish */
    uint32_t prompt_tokens; /* prompt tokens processed so far */
    uint32_t prompt_total;  /* of this many */
    uint32_t tokens;        /* tokens generated so far */
    uint32_t digest;        /* CRC-32 of the ids generated so far, as little-endian u16 */
    uint32_t token;         /* the id generated by this call, or SHREW_NO_TOKEN */
    float confidence;       /* of an answer that is a command: the probability that the model gives to what it wrote so
                             * far, whatever the sampling; else 0 */
    uint32_t drafted;       /* tokens guessed ahead so far, where the session drafts */
    uint32_t accepted;      /* and how many of them came out right */
} shrew_progress;

/* One bounded step: a block of the prompt, or one token. text must hold SHREW_TEXT_BYTES. Bytes that the model
 * generates and that are not UTF-8 come out as U+FFFD.
 *
 * Where the image has a grammar of commands, an answer to a chat prompt that begins with "Do: " can become nothing but
 * one of them; its tokens are then the likeliest that lead there, and its text comes out whole, at the end. Cut short by
 * max_tokens or the context it has no text. */
int shrew_session_next(shrew_session *session, void *text, size_t capacity, shrew_progress *progress);

/* The command, what follows "Do: ", that the last generation ended with or refused to; not ended by NUL. capacity must be at
 * least SHREW_MAX_COMMAND_BYTES. SHREW_E_STATE where the answer was no command or is not at its end. */
int shrew_session_command(const shrew_session *session, void *text, size_t capacity, size_t *bytes);

/* Runs the image's self-test: feeds its prompt, generates greedily and compares the digest: as many tokens as the image
 * says, at most 16 in those that Shrew writes. SHREW_OK also where the image has none; *present (may be NULL) says whether it
 * has. SHREW_E_CONTEXT if the session is too short for it. Forgets what the session holds. */
int shrew_session_selftest(shrew_session *session, int *present);

#ifdef __cplusplus
}
#endif
#endif
