/* Answers one request with the engine: step by step, so that it can be cancelled between any two. */
#ifndef SHREW_ANSWER_H
#define SHREW_ANSWER_H

#include "protocol.h"

/* What the answer goes to. */
typedef struct answer_sink {
    void *context;
    /* Whole characters of the answer, at least one. Not 0: nobody listens any more, which cancels. */
    int (*write)(void *context, const char *bytes, size_t count);
    /* Asked between steps: not 0 cancels. */
    int (*is_cancelled)(void *context);
    /* Microseconds from any moment on. */
    uint64_t (*now_us)(void *context);
    char *buffer; /* SHREW_TEXT_BYTES; result->command lies in it afterwards */
} answer_sink;

/* Forgets what the session holds, answers, and fills *result; PROTOCOL_OK then, with whichever reason. Else *error says
 * why there is no answer, or no more of it: PROTOCOL_PROMPT, PROTOCOL_VALUE, PROTOCOL_ENGINE.
 *
 * prompt_tok_per_s is of the steps that read the prompt. tok_per_s is of the steps after the first token, each of which
 * feeds one and chooses the next: the first is chosen from what the prompt left. 0 where there were no such steps. */
protocol_code fw_answer_request(shrew_session *session, const protocol_request *request, const answer_sink *sink,
                                protocol_result *result, protocol_error *error);

#endif
