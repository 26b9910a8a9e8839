/* Answers one request with the engine, step by step, so that it can be cancelled between any two steps. */
#ifndef SHREW_ANSWER_H
#define SHREW_ANSWER_H

#include "protocol.h"

/* Receives the answer. */
typedef struct answer_sink {
    void *context;
    /* Takes whole characters of the answer, at least one. A result other than 0 means that the client has gone, and
     * cancels. */
    int (*write)(void *context, const char *bytes, size_t count);
    /* Called between steps. A result other than 0 cancels. */
    int (*is_cancelled)(void *context);
    /* Microseconds since an arbitrary moment. */
    uint64_t (*now_us)(void *context);
    char *buffer; /* of SHREW_TEXT_BYTES; result->command points into it afterwards */
} answer_sink;

/* Resets the session, answers, fills *result and returns PROTOCOL_OK, whatever ended the answer. After an error, *error
 * says why there is no answer, or why it breaks off: PROTOCOL_PROMPT, PROTOCOL_VALUE, PROTOCOL_ENGINE.
 *
 * prompt_tok_per_s covers the steps that read the prompt. tok_per_s covers the steps after the first token, each of
 * which feeds a token and chooses the next. Either is 0 if there were no such steps. */
protocol_code fw_answer_request(shrew_session *session, const protocol_request *request, const answer_sink *sink,
                                protocol_result *result, protocol_error *error);

#endif
