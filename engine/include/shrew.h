/* Shrew: language models for microcontrollers.
 *
 *   shrew_model model;
 *   shrew_session *session;
 *   shrew_request request = {.prompt = "Hi", .prompt_bytes = 2, .sampling = shrew_sampling_default};
 *   shrew_progress now = {.finish = SHREW_RUNNING};
 *   char text[SHREW_TEXT_BYTES];
 *   int status = shrew_model_open(&model, image, image_bytes);
 *   if (!status) status = shrew_session_open(&session, &model, NULL, memory, memory_bytes);
 *   if (!status) status = shrew_session_begin(session, &request);
 *   while (!status && !now.finish && !(status = shrew_session_next(session, text, sizeof text, &now)))
 *       fwrite(text, 1, now.text_bytes, stdout);
 *
 * Two nouns. A MODEL is a validated, read-only view of a model image (model.bin, specified in docs/FORMAT.md). The
 * image stays where it is: mapped flash, PSRAM, a buffer. A SESSION is one mutable conversation: KV cache, position and
 * sampler state. It lives in memory that the caller provides; shrew_session_bytes says how much.
 *
 * The engine allocates nothing, prints nothing, starts no thread and keeps no global state. It needs no libc beyond
 * memcpy and memset. Every function that can fail returns SHREW_OK or a negative shrew_status. After a failure its
 * outputs are unspecified. Any number of sessions and threads may share a model. Only one thread at a time may use a
 * session. The same image and the same calls give the same tokens on every target, bit for bit.
 *
 * The end of this header lists the build switches that leave code out.
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
    SHREW_E_ARGUMENT = -1,  /* a pointer is NULL or a value is out of range */
    SHREW_E_MEMORY = -2,    /* the memory is smaller than the engine asked for */
    SHREW_E_ALIGNMENT = -3, /* an image or a session is not aligned to SHREW_ALIGNMENT, or a standalone tokenizer
                             * section is not aligned to 4 */
    SHREW_E_CONTEXT = -4,   /* the tokens do not fit in the context */
    SHREW_E_TEXT = -5,      /* the text has a character that this tokenizer cannot encode */
    SHREW_E_BUFFER = -6,    /* an output buffer is too small */
    SHREW_E_NUMBER = -7,    /* the model computed NaN or infinity */
    SHREW_E_STATE = -8,     /* the session is in the wrong state for this call, e.g. sampling before any token */
    SHREW_E_SELFTEST = -9,  /* the self-test's tokens differ from those that the image records */
    /* Images, in the order of the checks. */
    SHREW_E_TRUNCATED = -20,  /* shorter than a header, or than the header states */
    SHREW_E_MAGIC = -21,      /* does not begin with SHRW */
    SHREW_E_VERSION = -22,    /* a format version that this engine does not read */
    SHREW_E_SIZE = -23,       /* longer than the header states, or an impossible size */
    SHREW_E_CHECKSUM = -24,   /* the CRC-32 does not match */
    SHREW_E_RESERVED = -25,   /* a reserved byte or flag is not zero */
    SHREW_E_SECTION = -26,    /* a section lies outside the file, is misaligned, out of order or repeated */
    SHREW_E_UNKNOWN = -27,    /* a required section has a kind that this engine does not know */
    SHREW_E_MISSING = -28,    /* a section that every image needs is missing */
    SHREW_E_CONFIG = -29,     /* a configuration value is out of range or contradicts another */
    SHREW_E_TOKENIZER = -30,  /* the tokenizer section is malformed */
    SHREW_E_UNICODE = -31,    /* the Unicode section is malformed; or the tokenizer needs one and the image has none,
                               * or this engine was built with SHREW_NO_UNICODE */
    SHREW_E_TENSOR = -32,     /* the tensor directory contradicts the configuration or points outside the file */
    SHREW_E_TYPE = -33,       /* a weight type that this engine does not know, or was built without */
    SHREW_E_METADATA = -34,   /* the metadata section is malformed */
    SHREW_E_SELFTEST_SECTION = -35, /* the self-test section is malformed */
    SHREW_E_COMMANDS = -36,   /* the commands section is malformed */
    SHREW_E_PROMPTS = -37,    /* the prompts section is malformed */
    SHREW_E_MEMORY_SECTION = -38 /* the memory section is malformed */
} shrew_status;

enum {
    SHREW_FORMAT_VERSION = 1,
    SHREW_ALIGNMENT = 16,      /* bytes; of the address of an image and of a session's memory */
    SHREW_NO_TOKEN = 0xFFFF,   /* "this tokenizer has no such token" */
    SHREW_MAX_VOCAB = 0xFFFF,  /* token ids fit 16 bits */
    SHREW_MAX_BLOCK = 64,      /* most prompt tokens that one call processes */
    SHREW_MAX_WORKERS = 16,    /* most tasks that a session splits its work into */
    SHREW_MAX_STOP_BYTES = 64, /* longest stop string */
    SHREW_PROMPT_BYTES_PER_TOKEN = 8, /* longest prompt in bytes, per token of the session's context */
    SHREW_MAX_COMMAND_BYTES = 256, /* longest command; refusals are cut to this length */
    SHREW_TEXT_BYTES = 1024    /* room for the text of one shrew_session_next call */
};

/* What a status means, in one short line without a full stop. Never NULL. */
const char *shrew_status_text(int status);

/* ---- Tokenizer ------------------------------------------------------------------------------------------------ */

typedef enum shrew_tokenizer_kind {
    SHREW_TOKENIZER_BPE = 0,           /* byte-level BPE: merges by rank inside pre-tokens */
    SHREW_TOKENIZER_SENTENCEPIECE = 1, /* merges by score over characters, byte fallback (llama2.c) */
    SHREW_TOKENIZER_CHARACTER = 2      /* one token per Unicode character */
} shrew_tokenizer_kind;

/* A validated view of a tokenizer section. Read-only after opening. The section's bytes must outlive it. */
typedef struct shrew_tokenizer {
    const uint8_t *pieces;    /* the bytes of all tokens, concatenated */
    const uint8_t *lengths;   /* [vocab] bytes of each token */
    const uint8_t *starts;    /* [ceil(vocab/16)] u32: offset of token 16*i in pieces */
    const uint8_t *merges;    /* [merge_count] u16 left, right, result, sorted by (left, right) */
    const uint8_t *ranks;     /* [merge_count] u16 priority of each merge; NULL: the result's id is the priority */
    const uint8_t *byte_ids;  /* [256] u16 token of each byte; NULL for a character tokenizer */
    const uint8_t *sorted;    /* [sorted_count] u16 single-character tokens sorted by their bytes, or NULL */
    const uint8_t *prefix;    /* [prefix_count] u16 tokens put before a chat prompt */
    const uint8_t *suffix;    /* [suffix_count] u16 tokens put after it */
    const uint8_t *unicode;   /* character classes for pre-tokenisation; NULL: ASCII rules */
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

/* Validates a tokenizer section (docs/FORMAT.md) and the Unicode section that it may need. section is aligned to 4 and
 * section_bytes long. Without a Unicode section, unicode is NULL and unicode_bytes 0. SHREW_E_ALIGNMENT,
 * SHREW_E_TOKENIZER, SHREW_E_UNICODE, SHREW_E_RESERVED. */
int shrew_tokenizer_open(shrew_tokenizer *tokenizer, const void *section, size_t section_bytes, const void *unicode,
                         size_t unicode_bytes);

/* Bytes of scratch that let shrew_encode take O(n log n) time for a text of text_bytes bytes. */
size_t shrew_encode_scratch_bytes(size_t text_bytes);

/* Encodes text (any bytes, valid UTF-8 or not) into at most capacity token ids and sets *count. Adds no
 * beginning-of-text. No text ever becomes a special token. A capacity of bytes + 1 always suffices; with less, a long
 * word may be refused even though its tokens would fit. scratch may be NULL: the ids are the same, but long stretches
 * without a pre-token boundary take longer. SHREW_E_BUFFER, SHREW_E_TEXT. */
int shrew_encode(const shrew_tokenizer *tokenizer, const void *text, size_t bytes, uint16_t *ids, size_t capacity,
                 size_t *count, void *scratch, size_t scratch_bytes);

/* The bytes of a token. *bytes points into the section. Special tokens have none. */
int shrew_token_bytes(const shrew_tokenizer *tokenizer, uint32_t id, const uint8_t **bytes, size_t *count);

/* What a form of prompts does beside replacing characters. */
typedef enum shrew_prompt_flag {
    SHREW_FOLD_CASE = 1,  /* A-Z become a-z */
    SHREW_DROP_MARKS = 2, /* final . ! ? , ; : are dropped, and repeated ones count once */
    SHREW_PROMPT_FLAGS = 3
} shrew_prompt_flag;

/* Puts a chat prompt in the form of an image's section 9 (docs/FORMAT.md), which is aligned to 4: white space becomes
 * single blanks, and, as the section says, characters are replaced, case folds and final punctuation marks go.
 * shrew_session_begin does this to every prompt that is not raw; trainers call it so that a model learns prompts in the
 * form in which it is asked. text: any bytes. form: room for bytes bytes, not overlapping text; the form is never longer
 * than the text. *count is set to its length. SHREW_E_ALIGNMENT, SHREW_E_PROMPTS, SHREW_E_RESERVED, SHREW_E_BUFFER. */
int shrew_prompt_form(const void *section, size_t section_bytes, const void *text, size_t bytes, void *form,
                      size_t capacity, size_t *count);

/* The features by which an image's memory (docs/FORMAT.md, section 10) recognises a question, for those who train one.
 * text: the question in its form. Sets *count, also if it is larger than capacity: SHREW_E_BUFFER. */
int shrew_question_features(const void *text, size_t bytes, uint32_t *features, size_t capacity, size_t *count);

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

/* Fields are in the order of the image's configuration section. */
typedef struct shrew_config {
    uint32_t dim;      /* width of the residual stream */
    uint32_t layers;
    uint32_t heads;    /* query heads */
    uint32_t kv_heads; /* key and value heads; divides heads */
    uint32_t head_dim; /* even if positions are rotary */
    uint32_t ffn;      /* width of the MLP */
    uint32_t vocab;
    uint32_t context;  /* most tokens that a session can hold */
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

enum { SHREW_GROUP_STEP = 16, SHREW_MAX_GROUP = 256 }; /* a group is 0, or a multiple of the one up to the other */

/* A weight type. docs/FORMAT.md says how its integers are packed. */
typedef struct shrew_type_description {
    const char *name;
    int32_t low, high;      /* smallest and largest integer; 0 for f32 */
    uint32_t rows_per_byte; /* rows that share a byte; the first is in the lowest bits */
    uint32_t digit_of_zero; /* added to an integer before it is packed */
    uint32_t usual_group;   /* default group size in columns; 0: whole rows */
} shrew_type_description;

/* Describes a weight type. SHREW_E_TYPE if this build lacks it. */
int shrew_describe_type(shrew_type type, shrew_type_description *description);

/* What a tensor is for. Matrices are stored [rows = outputs, cols = inputs]. The order is that of the file. */
typedef enum shrew_role {
    SHREW_TOKEN_EMBEDDING = 0,    /* [vocab, dim] */
    SHREW_POSITION_EMBEDDING = 1, /* [context, dim], learned positions */
    SHREW_ROPE_FREQUENCY = 2,     /* [1, head_dim / 2] radians per position, rotary positions */
    SHREW_EMBED_NORM_WEIGHT = 3,  /* [1, dim] */
    SHREW_EMBED_NORM_BIAS = 4,
    /* Each layer has one of each, from here ... */
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

/* Where a tensor is stored. A quantised value is q[row][col] * (row_scales[row] * multipliers[row * groups + col /
 * group]). Without multipliers, each counts as 1. docs/FORMAT.md says how q is packed. */
typedef struct shrew_tensor {
    const void *data;          /* 64-byte aligned in the file */
    const float *row_scales;   /* [rows], or NULL for f32 */
    const int8_t *multipliers; /* [rows, groups], or NULL if a row is one group */
    uint32_t rows, cols;
    uint32_t stride;           /* bytes from one row (q4: two rows, ternary: four) to the next; a multiple of 16 */
    uint32_t group;            /* columns that share a multiplier; 0: all. The last group of a row may be shorter */
    uint32_t groups;           /* ceil(cols / group); 1 if group is 0 */
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
    SHREW_SECTION_PROMPTS = 9,
    SHREW_SECTION_MEMORY = 10,
    SHREW_SECTIONS = 11
} shrew_section;

/* A validated, read-only view of an image. Callers may read the fields but not write them. */
typedef struct shrew_model {
    shrew_config config;
    shrew_tokenizer tokenizer;
    const uint8_t *image;
    const uint8_t *directory;   /* tensor directory entries */
    const uint8_t *weights;     /* tensor data section */
    const uint8_t *metadata;    /* or NULL */
    const uint8_t *selftest;    /* or NULL */
    const uint8_t *commands;    /* the grammar of commands, or NULL */
    const uint8_t *prompts;     /* the form of chat prompts, or NULL */
    const uint8_t *memory;      /* answers to questions that it recognises, or NULL */
    const void *const *places;  /* set by shrew_model_place, or NULL */
    uint32_t image_bytes;
    uint32_t tensors;           /* directory entries */
    uint32_t layer_tensors;     /* directory entries per layer */
    uint32_t metadata_bytes;
    uint32_t prompts_bytes;
    uint16_t slot[SHREW_ROLES]; /* directory index of a role, for layer tensors in layer 0; 0xFFFF: absent */
} shrew_model;

/* Validates the whole image (length, checksum, every section) and fills *model. Copies nothing: image must outlive the
 * model. image must be aligned to SHREW_ALIGNMENT. Reads no byte outside image[0 .. bytes). */
int shrew_model_open(shrew_model *model, const void *image, size_t bytes);

/* Finds a tensor by role and layer. Tensors outside the layers have layer 0. SHREW_E_ARGUMENT if there is none. */
int shrew_model_tensor(const shrew_model *model, shrew_role role, uint32_t layer, shrew_tensor *tensor);

/* The role and the bytes of the index-th of model->tensors tensors, in file order. The bytes include the scales and are
 * one contiguous part of the image. */
int shrew_model_tensor_bytes(const shrew_model *model, uint32_t index, shrew_role *role, const void **bytes,
                             size_t *size);

/* Makes the engine read tensors from copies, such as in memory faster than flash. The caller has already copied the
 * bytes. places: [model->tensors] addresses aligned to SHREW_ALIGNMENT; NULL for a tensor that stays in the image. The
 * array and the copies must outlive the model. If places is NULL, all tensors stay in the image. No session may compute
 * during this call. SHREW_E_ALIGNMENT. */
int shrew_model_place(shrew_model *model, const void *const *places);

/* The index-th metadata pair. Neither string is NUL-terminated. SHREW_E_ARGUMENT past the last pair. */
int shrew_model_metadata(const shrew_model *model, uint32_t index, const char **key, size_t *key_bytes,
                         const char **value, size_t *value_bytes);

/* ---- Session -------------------------------------------------------------------------------------------------- */

typedef struct shrew_session shrew_session; /* opaque, in the caller's memory */

/* How the KV cache stores keys and values. */
typedef enum shrew_cache {
    SHREW_CACHE_AUTO = 0, /* int8; float if all matrices of the model are f32 */
    SHREW_CACHE_F32 = 1,  /* four bytes per value; float attention */
    SHREW_CACHE_INT8 = 2  /* one byte per value and one per head for its scale; integer attention */
} shrew_cache;

/* Which kernels compute. All give the same bits. Choosing one is for tests and benchmarks. */
typedef enum shrew_unit {
    SHREW_UNIT_AUTO = 0, /* the fastest that this processor supports */
    SHREW_UNIT_REFERENCE = 1, /* slow; defines the bits */
    SHREW_UNIT_SCALAR = 2,    /* no vector unit */
    SHREW_UNIT_AVX2 = 3,
    SHREW_UNIT_AVX512 = 4, /* with VNNI */
    SHREW_UNIT_SIMD128 = 5, /* WebAssembly */
    SHREW_UNIT_PIE = 6,     /* ESP32-S3 */
    SHREW_UNIT_AMX = 7,     /* with AVX-512; Linux only, where the kernel must grant its registers */
    SHREW_UNITS = 8
} shrew_unit;

/* Runs tasks in parallel, by the caller's means: calls task(argument, i) once for every i < count, on any threads, and
 * returns when all are done. Results do not depend on how. */
typedef void (*shrew_parallel_for)(void *context, uint32_t count, void (*task)(void *argument, uint32_t index),
                                   void *argument);

/* What a session is doing. Phases come one at a time, in this order; those marked "layer" repeat for each layer. */
typedef enum shrew_phase {
    SHREW_PHASE_NONE = 0,     /* idle: the call returns */
    SHREW_PHASE_EMBED = 1,    /* embedding, and the angles of rotary positions */
    SHREW_PHASE_QKV = 2,      /* layer: norm, queries, keys and values; storing keys and values */
    SHREW_PHASE_ATTEND = 3,   /* layer: scores and sums over the cache */
    SHREW_PHASE_OUT = 4,      /* layer: attention output, added to the residual stream */
    SHREW_PHASE_UP = 5,       /* layer: norm, up and gate */
    SHREW_PHASE_ACTIVATE = 6, /* layer: the MLP's activation */
    SHREW_PHASE_DOWN = 7,     /* layer: MLP output, added to the residual stream */
    SHREW_PHASE_HEAD = 8,     /* final norm, logits */
    SHREW_PHASE_CHOOSE = 9,   /* choosing the next token from the logits */
    SHREW_PHASES = 10
} shrew_phase;

/* Called when a phase begins, so that a caller with a clock can measure where time goes. A phase lasts until the next
 * mark. layer is 0 outside the layers. tokens is how many tokens the phase processes; 0 for SHREW_PHASE_NONE. It is
 * called on the thread that called the session. It must not call the session. */
typedef void (*shrew_mark)(void *context, shrew_phase phase, uint32_t layer, uint32_t tokens);

typedef struct shrew_session_options {
    uint32_t context; /* most tokens to hold, 1 .. config.context; 0: config.context */
    uint32_t block;   /* prompt tokens processed at once, 1 .. SHREW_MAX_BLOCK; 0: 8 */
    uint32_t draft;   /* speculative decoding: most tokens guessed ahead, from repetitions in the text, and verified in
                       * one block. The output does not change. 0: none; below SHREW_MAX_BLOCK */
    uint32_t cache;   /* shrew_cache */
    uint32_t unit;    /* shrew_unit; SHREW_E_ARGUMENT if this processor or build lacks it */
    shrew_parallel_for parallel_for; /* NULL: everything on the calling thread */
    void *parallel_context;          /* passed to parallel_for; must outlive the session */
    uint32_t workers;                /* most tasks to run in parallel, 1 .. SHREW_MAX_WORKERS; 0: 1 */
    uint32_t grain;                  /* fewest multiply-adds per task; 0: 32768 */
    shrew_mark mark;                 /* NULL: no marks */
    void *mark_context;              /* passed to mark; must outlive the session */
} shrew_session_options;

/* The name of a unit, or NULL if this build or this processor lacks it. */
const char *shrew_unit_name(uint32_t unit);

/* Bytes of memory that a session needs. Targets with the same pointer size need the same, those with smaller pointers
 * no more: the answer on a PC is an upper bound for a chip. options may be NULL: defaults. */
int shrew_session_bytes(const shrew_model *model, const shrew_session_options *options, size_t *bytes);

/* Creates a session in memory, which is aligned to SHREW_ALIGNMENT and at least shrew_session_bytes long. The memory
 * and the model must outlive the session. There is nothing to close. */
int shrew_session_open(shrew_session **session, const shrew_model *model, const shrew_session_options *options,
                       void *memory, size_t bytes);

/* Forgets all tokens. Memory, model and options stay. */
int shrew_session_reset(shrew_session *session);

/* Number of tokens that the session holds. */
uint32_t shrew_session_position(const shrew_session *session);

/* Appends tokens, at most one block per call, so that a caller can do other work in between. count >= 1. *used is the
 * number of tokens appended; call again with the rest. used may be NULL if count is at most one block. After the call
 * that appends the last token, shrew_session_logits has the scores of the next one. The last token of a finished
 * generation is not in the session yet; this call appends it first. On any error no token of ids is appended:
 * SHREW_E_CONTEXT if count tokens do not fit, SHREW_E_NUMBER if the model computes NaN or infinity, SHREW_E_STATE
 * during a generation. */
int shrew_session_feed(shrew_session *session, const uint16_t *ids, size_t count, size_t *used);

/* Like shrew_session_feed, and also writes the logits after each appended token to logits: [*used][vocab]. */
int shrew_session_feed_logits(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used);

/* [vocab] scores of the next token; NULL before any token. Valid until the next call on the session. */
const float *shrew_session_logits(const shrew_session *session);

/* How to choose the next token. The order is: repetition penalty, temperature, top-k, top-p, min-p. A new field comes
 * last, so that stored options keep their places; each takes four bytes. */
typedef struct shrew_sampling {
    float temperature;        /* 0 to 100; below 0.001: greedy, the lowest id among equals */
    float top_p;              /* above 0, to 1: keep the likeliest tokens that together reach this; 1: all */
    float min_p;              /* 0 to 1: keep tokens at least this likely relative to the likeliest; 0: all */
    float repetition_penalty; /* 0.01 to 100: divides the logits of tokens in the context; multiplies negative ones */
    uint32_t top_k;           /* keep this many of the likeliest tokens; 0: all */
} shrew_sampling;

enum { SHREW_SAMPLING_OPTIONS = 5 };

/* Greedy, and nothing filtered. Start from a copy and set what should differ: it stays right when a field is added. */
extern const shrew_sampling shrew_sampling_default;

typedef union shrew_option_value {
    float number;
    uint32_t integer;
} shrew_option_value;

/* A sampling option, for callers that read options from messages, settings or text. */
typedef struct shrew_option {
    const char *name;        /* that of the field of shrew_sampling */
    const char *description; /* one line, without a full stop */
    const char *range;       /* in words, such as "above 0, to 1" */
    uint32_t offset;         /* of the field in shrew_sampling, in bytes */
    uint32_t is_integer;     /* 1: the field is a uint32_t and values use integer; 0: a float, and number */
    uint32_t above_least;    /* 1: the minimum itself is out of range */
    shrew_option_value least, most, usual; /* minimum, maximum, default */
} shrew_option;

/* Describes the index-th option, in the order for display. A build that leaves an option out still describes it, but
 * accepts only its default. SHREW_E_ARGUMENT past the last option. */
int shrew_sampling_option(uint32_t index, shrew_option *option);

/* Seeds the session's random number generator. The same seed and the same calls give the same tokens. */
int shrew_session_seed(shrew_session *session, uint64_t seed);

/* Chooses the next token from the logits without appending it. */
int shrew_session_sample(shrew_session *session, const shrew_sampling *sampling, uint32_t *id);

/* ---- Generation: text in, text out ---------------------------------------------------------------------------- */

typedef enum shrew_finish {
    SHREW_RUNNING = 0,       /* call again */
    SHREW_FINISH_END = 1,    /* the model generated end-of-text */
    SHREW_FINISH_STOP = 2,   /* the text reached a stop string, which is not part of it */
    SHREW_FINISH_LENGTH = 3, /* max_tokens were generated */
    SHREW_FINISH_CONTEXT = 4, /* the context is full */
    SHREW_FINISH_REFUSED = 5  /* the image's memory has no answer to such a question, or the confidence in a command is
                               * below the image's threshold, or no token can continue it: the text is the image's
                               * refusal */
} shrew_finish;

typedef struct shrew_request {
    const void *prompt;        /* UTF-8, prompt_bytes long; not used after shrew_session_begin returns */
    size_t prompt_bytes;
    uint32_t raw;              /* 0: a chat prompt, put in the image's form of prompts (if it has one) and framed by its
                                * prefix and suffix; 1: text to continue */
    uint32_t keep;             /* 0: reset the session first; 1: continue after what it holds */
    uint32_t max_tokens;       /* 0: as many as fit */
    uint64_t seed;
    shrew_sampling sampling;
    const char *const *stops;  /* stop_count strings of 1 .. SHREW_MAX_STOP_BYTES bytes and NUL; must outlive the
                                * generation. The image's own stop strings apply as well */
    uint32_t stop_count;
} shrew_request;

/* Starts a generation: encodes the prompt into the session's memory, without running the model. In an empty session,
 * beginning-of-text precedes a raw text. Ends a generation in progress. SHREW_E_CONTEXT if the prompt has too many
 * tokens, or more than SHREW_PROMPT_BYTES_PER_TOKEN bytes for each token of the context. SHREW_E_TEXT if it has a
 * character that the tokenizer cannot encode. SHREW_E_ARGUMENT for an invalid request, which leaves the session as it
 * was, or for an empty text with nothing before it. After any other error with keep 0, the session is empty. */
int shrew_session_begin(shrew_session *session, const shrew_request *request);

typedef struct shrew_progress {
    size_t text_bytes;      /* bytes written to text: whole UTF-8 characters; may be 0 */
    uint32_t finish;        /* shrew_finish */
    uint32_t prompt_tokens; /* prompt tokens processed so far */
    uint32_t prompt_total;  /* prompt tokens in all */
    uint32_t tokens;        /* tokens generated so far */
    uint32_t digest;        /* CRC-32 of the ids generated so far, as little-endian u16 */
    uint32_t token;         /* the id generated by this call, or SHREW_NO_TOKEN */
    float confidence;       /* of a command that the model writes: the probability that it gives to the answer so far,
                             * before any sampling option. Of an answer or a refusal from memory: how near the question
                             * comes to one that the memory knows, 0 to 1. 0 for other answers */
    uint32_t from_memory;   /* 1: the image's memory answers or refuses, and the model reads nothing; 0: the model writes */
    uint32_t drafted;       /* tokens guessed ahead so far; 0 without speculative decoding */
    uint32_t accepted;      /* guesses that were right */
} shrew_progress;

/* Takes one bounded step: processes a block of the prompt, or generates one token. text must have room for
 * SHREW_TEXT_BYTES bytes. Generated bytes that are not valid UTF-8 are replaced by U+FFFD.
 *
 * If the image has a memory, it is asked first, with every chat prompt that begins a conversation. If it recognises the
 * question, its answer comes token by token, as if the model had chosen the tokens; if the question is like none that it
 * knows, the text is the image's refusal. In between, the model answers. After an answer from memory the session holds
 * nothing. A next generation with keep feeds question and answer to the model first; if it is ended before its last block
 * of prompt, they are lost. shrew_session_feed forgets them.
 *
 * If the image has a grammar of commands, an answer to a chat prompt that begins with "Do: " can only become one of
 * them. Each further token is the likeliest that the grammar allows. The text comes all at once, with the last step. An
 * answer cut short by max_tokens or the context has no text. */
int shrew_session_next(shrew_session *session, void *text, size_t capacity, shrew_progress *progress);

/* The command of the last generation, carried out or refused: what follows "Do: ", not NUL-terminated. capacity must be
 * at least SHREW_MAX_COMMAND_BYTES. SHREW_E_STATE if the answer was no command or has not ended. */
int shrew_session_command(const shrew_session *session, void *text, size_t capacity, size_t *bytes);

/* Runs the image's self-test: feeds its prompt, generates greedily and compares the digest of the tokens. The image
 * says how many tokens to generate, at most 16 in images that Shrew writes. Returns SHREW_OK if the image has no
 * self-test; *present says whether it has one (present may be NULL). SHREW_E_CONTEXT if the session's context is too
 * short. Resets the session. */
int shrew_session_selftest(shrew_session *session, int *present);

/* ---- Build switches --------------------------------------------------------------------------------------------
 *
 * Define these for the compiler to leave code out of a small build. Such a build refuses what it lacks, with the status
 * in parentheses, and computes everything else unchanged.
 *
 *   SHREW_NO_F32        f32 matrices (SHREW_E_TYPE) and the f32 cache (SHREW_E_ARGUMENT)
 *   SHREW_NO_Q4         q4 matrices (SHREW_E_TYPE)
 *   SHREW_NO_TERNARY    ternary matrices (SHREW_E_TYPE)
 *   SHREW_NO_DRAFT      speculative decoding (SHREW_E_ARGUMENT)
 *   SHREW_GREEDY_TOP_P  sampling options other than temperature and top-p (SHREW_E_ARGUMENT)
 *   SHREW_NO_UNICODE    tokenizers with Unicode rules (SHREW_E_UNICODE)
 *   SHREW_NO_COMMANDS   images with a grammar of commands (SHREW_E_UNKNOWN)
 *   SHREW_NO_PROMPTS    images with a form of prompts (SHREW_E_UNKNOWN)
 *   SHREW_NO_MEMORY     images with a memory (SHREW_E_UNKNOWN)
 *   SHREW_NO_MARKS      marks (SHREW_E_ARGUMENT)
 *
 * With all of these and -Os, which also selects shorter loops, the engine takes 20 KB on RV32IMC. It still validates
 * whole images, encodes text for every kind of tokenizer, runs every architecture in q8, streams UTF-8, finds stop
 * strings and runs self-tests.
 *
 * Builds for chips leave out the slow kernels of SHREW_UNIT_REFERENCE. Define SHREW_REFERENCE to keep them, for tests.
 * -ffunction-sections and --gc-sections remove functions that nobody calls. */

#ifdef __cplusplus
}
#endif
#endif
