/* The chat protocol (docs/PROTOCOL.md): its error codes, what clients send, what the server sends. */
#ifndef SHREW_PROTOCOL_H
#define SHREW_PROTOCOL_H

#include "json.h"
#include "options.h"
#include "shrew.h"

enum {
    PROTOCOL_VERSION = 1,
    PROTOCOL_MESSAGE_BYTES = 4096, /* limits of a device; more is PROTOCOL_SIZE, found by whoever receives */
    PROTOCOL_PROMPT_BYTES = 2048,
    PROTOCOL_MAX_TOKENS = 65535,
    PROTOCOL_STOPS = 4,
    PROTOCOL_NAME_BYTES = 32, /* of a model */
    PROTOCOL_LINE_BYTES = 160,
    /* Room for any one message of the server but info, and any one event or part of OpenAI's. */
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
const char *fw_protocol_code_line(protocol_code code);   /* a line for people where nothing better is known */

typedef struct protocol_error {
    protocol_code code;
    char line[PROTOCOL_LINE_BYTES]; /* for people, with a NUL */
} protocol_error;

/* Sets an error; line NULL: fw_protocol_code_line. Returns its code. */
protocol_code fw_protocol_fail(protocol_error *error, protocol_code code, const char *line);

/* 1 for 1 to PROTOCOL_NAME_BYTES of a-z A-Z 0-9 . _ -, not beginning with a dot. */
int fw_protocol_name_is_valid(const char *name, size_t bytes);

/* ---- From clients ------------------------------------------------------------------------------------------------ */

/* What the server knows when a request arrives. */
typedef struct protocol_rules {
    options defaults;      /* what a request gets that does not say */
    uint64_t seed;         /* a fresh random number, for a request without one */
    size_t prompt_bytes;   /* longest prompt: fw_protocol_prompt_bytes of the model's context */
} protocol_rules;

/* The least of PROTOCOL_PROMPT_BYTES and what the engine takes for a session of this context. */
size_t fw_protocol_prompt_bytes(uint32_t context);

/* A request to generate, whoever brought it. Its texts lie where they were read. */
typedef struct protocol_request {
    uint32_t id;
    options options;
    uint64_t seed; /* below 2^53 */
    uint32_t raw;
    const char *prompt;
    size_t prompt_bytes;
    const char *stops[PROTOCOL_STOPS]; /* each ends in NUL */
    uint32_t stop_count;
} protocol_request;

/* One that has nothing but the defaults; and whether a prompt may be as long: PROTOCOL_PROMPT if not. */
void fw_protocol_begin_request(protocol_request *request, const protocol_rules *rules);
protocol_code fw_protocol_check_prompt(size_t bytes, const protocol_rules *rules, protocol_error *error);

typedef enum protocol_type { PROTOCOL_GENERATE, PROTOCOL_CANCEL, PROTOCOL_INFO } protocol_type;

typedef struct protocol_message {
    protocol_type type;
    uint32_t has_id;          /* also after an error: whether request.id is the one to answer to */
    protocol_request request; /* PROTOCOL_CANCEL: only its id counts */
} protocol_message;

/* Reads one message, which it changes: strings are decoded in place and belong to the caller's buffer. Does not know
 * which ids are unanswered: fw_queue_push does. */
protocol_code fw_protocol_read(protocol_message *message, char *text, size_t bytes, const protocol_rules *rules,
                               protocol_error *error);

/* ---- From the server. Each writes one message into out; nothing may be sent of an out that is full. -------------- */

typedef enum protocol_reason {
    PROTOCOL_END,
    PROTOCOL_STOP,
    PROTOCOL_REACHED_LENGTH,
    PROTOCOL_CONTEXT,
    PROTOCOL_CANCELLED,
    PROTOCOL_REFUSED
} protocol_reason;

/* What an answer came to: the fields of `done`. */
typedef struct protocol_result {
    protocol_reason reason;
    uint32_t tokens, prompt_tokens;
    float tok_per_s, prompt_tok_per_s;
    uint32_t digest;
    uint64_t seed;
    const char *command; /* or NULL */
    size_t command_bytes;
    float confidence;
} protocol_result;

const char *fw_protocol_reason_name(protocol_reason reason);

void fw_protocol_write_queued(text *out, uint32_t id, uint32_t ahead);
void fw_protocol_write_token(text *out, uint32_t id, const void *bytes, size_t count);
void fw_protocol_write_done(text *out, uint32_t id, const protocol_result *result);
void fw_protocol_write_error(text *out, const uint32_t *id, const protocol_error *error); /* id NULL: null */

/* The fields of `done` from reason on, as members of an object that is open. */
void fw_protocol_write_result(text *out, const protocol_result *result);

/* The body of an HTTP error. */
void fw_protocol_write_http_error(text *out, const protocol_error *error);

#endif
