/* The chat protocol (docs/PROTOCOL.md): its error codes, what clients send, what the server sends. */
#ifndef SHREW_PROTOCOL_H
#define SHREW_PROTOCOL_H

#include "json.h"
#include "options.h"
#include "shrew.h"

enum {
    PROTOCOL_VERSION = 1,
    PROTOCOL_MESSAGE_BYTES = 4096, /* limits of a device; receivers answer larger ones with PROTOCOL_SIZE */
    PROTOCOL_PROMPT_BYTES = 2048,
    PROTOCOL_MAX_TOKENS = 65535,
    PROTOCOL_STOPS = 4,
    PROTOCOL_NAME_BYTES = 32, /* of a model's name */
    PROTOCOL_LINE_BYTES = 160,
    /* Room for any message of the server except info, and for any event or part of an OpenAI answer. */
    PROTOCOL_OUT_BYTES = 6 * SHREW_TEXT_BYTES + 1024
};

typedef enum protocol_code {
    PROTOCOL_OK = 0,
    PROTOCOL_JSON,
    PROTOCOL_MESSAGE,
    PROTOCOL_VALUE,
    PROTOCOL_ID,
    PROTOCOL_PROMPT,
    PROTOCOL_SIZE,
    PROTOCOL_FRAME,
    PROTOCOL_BUSY,
    PROTOCOL_TOKEN,
    PROTOCOL_ORIGIN,
    PROTOCOL_NOT_FOUND,
    PROTOCOL_METHOD,
    PROTOCOL_TIMEOUT,
    PROTOCOL_LENGTH,
    PROTOCOL_IN_USE,
    PROTOCOL_NAME,
    PROTOCOL_IMAGE,
    PROTOCOL_NO_MODEL,
    PROTOCOL_ENGINE,
    PROTOCOL_CODES
} protocol_code;

const char *fw_protocol_code_name(protocol_code code);   /* as in the protocol: "not_found" */
int fw_protocol_http_status(protocol_code code);         /* 200 for PROTOCOL_OK */
const char *fw_protocol_http_line(protocol_code code);   /* "404 Not Found" */
const char *fw_protocol_code_line(protocol_code code);   /* a default line for people */

typedef struct protocol_error {
    protocol_code code;
    char line[PROTOCOL_LINE_BYTES]; /* for people, NUL-terminated */
} protocol_error;

/* Sets an error; line NULL: fw_protocol_code_line. Returns its code. */
protocol_code fw_protocol_fail(protocol_error *error, protocol_code code, const char *line);

/* 1 if name is 1 to PROTOCOL_NAME_BYTES characters of a-z A-Z 0-9 . _ -, and does not begin with a dot. */
int fw_protocol_name_is_valid(const char *name, size_t bytes);

/* ---- From clients ------------------------------------------------------------------------------------------------ */

/* The server's state that a request is checked against. */
typedef struct protocol_rules {
    options defaults;      /* options of a request that does not set them */
    uint64_t seed;         /* a fresh random number, for a request without a seed */
    size_t prompt_bytes;   /* longest prompt: fw_protocol_prompt_bytes of the model's context */
} protocol_rules;

/* The smaller of PROTOCOL_PROMPT_BYTES and the engine's limit for a session of this context. */
size_t fw_protocol_prompt_bytes(uint32_t context);

/* A request to generate, from any client. Its strings point into the buffer that was read. */
typedef struct protocol_request {
    uint32_t id;
    options options;
    uint64_t seed; /* below 2^53 */
    uint32_t raw;
    const char *prompt;
    size_t prompt_bytes;
    const char *stops[PROTOCOL_STOPS]; /* each NUL-terminated */
    uint32_t stop_count;
} protocol_request;

/* Initialises a request with the defaults; and checks the length of a prompt: PROTOCOL_PROMPT if it is too long. */
void fw_protocol_begin_request(protocol_request *request, const protocol_rules *rules);
protocol_code fw_protocol_check_prompt(size_t bytes, const protocol_rules *rules, protocol_error *error);

typedef enum protocol_type { PROTOCOL_GENERATE, PROTOCOL_CANCEL, PROTOCOL_INFO } protocol_type;

typedef struct protocol_message {
    protocol_type type;
    uint32_t has_id;          /* also valid after an error: whether request.id is the id to answer */
    protocol_request request; /* PROTOCOL_CANCEL: only the id is set */
} protocol_message;

/* Reads and modifies one message: strings are decoded in place and stay in the caller's buffer. Does not check whether
 * the id is unanswered; fw_queue_push does. */
protocol_code fw_protocol_read(protocol_message *message, char *text, size_t bytes, const protocol_rules *rules,
                               protocol_error *error);

/* ---- From the server. Each writes one message to out. If out is full, nothing of it may be sent. ----------------- */

typedef enum protocol_reason {
    PROTOCOL_END,
    PROTOCOL_STOP,
    PROTOCOL_REACHED_LENGTH,
    PROTOCOL_CONTEXT,
    PROTOCOL_CANCELLED,
    PROTOCOL_REFUSED
} protocol_reason;

/* The outcome of an answer: the fields of `done`. */
typedef struct protocol_result {
    protocol_reason reason;
    uint32_t tokens, prompt_tokens;
    float tok_per_s, prompt_tok_per_s;
    uint32_t digest;
    uint64_t seed;
    const char *command; /* or NULL */
    size_t command_bytes;
    int from_memory;
    float confidence; /* of a command and of what comes from memory */
} protocol_result;

const char *fw_protocol_reason_name(protocol_reason reason);

void fw_protocol_write_queued(text *out, uint32_t id, uint32_t ahead);
void fw_protocol_write_token(text *out, uint32_t id, const void *bytes, size_t count);
void fw_protocol_write_done(text *out, uint32_t id, const protocol_result *result);
void fw_protocol_write_error(text *out, const uint32_t *id, const protocol_error *error); /* id NULL: null */

/* Writes the fields of `done` from reason on as members of the open object. */
void fw_protocol_write_result(text *out, const protocol_result *result);

/* The body of an HTTP error. */
void fw_protocol_write_http_error(text *out, const protocol_error *error);

#endif
