/* The OpenAI form of the chat protocol: the request of POST /v1/chat/completions, its answer as one object or as
 * server-sent events, and GET /v1/models.
 *
 * A device has no room for a whole answer, so an answer that is not streamed is written in parts as well: head, text as
 * it is generated, tail. Together they are one JSON object. */
#ifndef SHREW_OPENAI_H
#define SHREW_OPENAI_H

#include "protocol.h"

typedef struct openai_request {
    protocol_request request;
    uint32_t stream, include_usage;
} openai_request;

/* Reads and modifies a request. others: names of stored models that are not loaded. */
protocol_code fw_openai_read(openai_request *request, char *text, size_t bytes, const protocol_rules *rules,
                             const char *const *others, size_t other_count, protocol_error *error);

/* Fields that every part of one answer repeats. */
typedef struct openai_answer {
    uint64_t number;   /* of the answer; its id is chatcmpl-NUMBER in hex */
    uint64_t created;  /* seconds since 1970, or 0 if the device does not know the time */
    const char *model; /* name of the model */
    uint32_t include_usage;
} openai_answer;

void fw_openai_write_head(text *out, const openai_answer *answer);
void fw_openai_write_part(text *out, const void *bytes, size_t count);
void fw_openai_write_tail(text *out, const protocol_result *result);

/* Events end in an empty line. The last ones carry finish_reason, usage if requested, and [DONE]. */
void fw_openai_write_first_event(text *out, const openai_answer *answer);
void fw_openai_write_event(text *out, const openai_answer *answer, const void *bytes, size_t count);
void fw_openai_write_last_events(text *out, const openai_answer *answer, const protocol_result *result);
void fw_openai_write_error_event(text *out, const protocol_error *error); /* instead of the last events */

/* GET /v1/models. */
void fw_openai_write_models(text *out, const char *const *names, size_t count);

#endif
