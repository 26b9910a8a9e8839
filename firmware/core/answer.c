#include "answer.h"

#include <string.h>

/* Clock readings before and after the steps that a rate covers. */
typedef struct stretch {
    uint64_t from, to;
    uint32_t count;
} stretch;

static float per_second(const stretch *stretch) {
    const uint64_t us = stretch->to - stretch->from;
    return stretch->count ? (float)stretch->count * 1e6f / (float)(us ? us : 1) : 0;
}

static protocol_code fail(int status, protocol_error *error) {
    switch (status) {
    case SHREW_E_CONTEXT: return fw_protocol_fail(error, PROTOCOL_PROMPT, "the prompt has more tokens than fit");
    case SHREW_E_TEXT: return fw_protocol_fail(error, PROTOCOL_PROMPT, shrew_status_text(status));
    case SHREW_E_ARGUMENT: /* every value was already in its range */
        return fw_protocol_fail(error, PROTOCOL_VALUE,
                                "the prompt is empty, or this device samples by temperature and top_p alone");
    default: return fw_protocol_fail(error, PROTOCOL_ENGINE, shrew_status_text(status));
    }
}

static int begin(shrew_session *session, const protocol_request *request) {
    const shrew_request asked = {
        .prompt = request->prompt,
        .prompt_bytes = request->prompt_bytes,
        .raw = request->raw,
        .max_tokens = request->options.max_tokens,
        .seed = request->seed,
        .sampling = request->options.sampling,
        .stops = request->stops,
        .stop_count = request->stop_count,
    };
    return shrew_session_begin(session, &asked);
}

static protocol_reason reason_of(uint32_t finish) {
    switch (finish) {
    case SHREW_FINISH_END: return PROTOCOL_END;
    case SHREW_FINISH_STOP: return PROTOCOL_STOP;
    case SHREW_FINISH_LENGTH: return PROTOCOL_REACHED_LENGTH;
    case SHREW_FINISH_REFUSED: return PROTOCOL_REFUSED;
    default: return PROTOCOL_CONTEXT;
    }
}

static void add_command(shrew_session *session, const answer_sink *sink, protocol_result *result) {
    size_t bytes;
    if (shrew_session_command(session, sink->buffer, SHREW_TEXT_BYTES, &bytes))
        return; /* the answer is not a command */
    result->command = sink->buffer;
    result->command_bytes = bytes;
}

protocol_code fw_answer_request(shrew_session *session, const protocol_request *request, const answer_sink *sink,
                                protocol_result *result, protocol_error *error) {
    memset(result, 0, sizeof *result);
    result->seed = request->seed;
    result->reason = PROTOCOL_CANCELLED;
    stretch prompt = {sink->now_us(sink->context), 0, 0}, answer = {0, 0, 0};
    int status = begin(session, request);
    shrew_progress progress = {.finish = SHREW_RUNNING};
    uint32_t chosen = 0; /* number of steps that chose a token */
    while (!status && progress.finish == SHREW_RUNNING) {
        if (sink->is_cancelled(sink->context))
            break;
        const uint32_t read = progress.prompt_tokens;
        status = shrew_session_next(session, sink->buffer, SHREW_TEXT_BYTES, &progress);
        if (status)
            break;
        const uint64_t now = sink->now_us(sink->context);
        if (progress.prompt_tokens > read)
            prompt.to = now;
        else if (!chosen++)
            answer.from = now;
        answer.to = now;
        if (progress.text_bytes && sink->write(sink->context, sink->buffer, progress.text_bytes))
            break;
        if (progress.finish != SHREW_RUNNING)
            result->reason = reason_of(progress.finish);
    }
    if (status)
        return fail(status, error);
    prompt.count = progress.prompt_tokens;
    answer.count = chosen && !progress.from_memory ? chosen - 1 : 0; /* the memory computes no tokens */
    result->tokens = progress.tokens;
    result->prompt_tokens = progress.prompt_tokens;
    result->prompt_tok_per_s = per_second(&prompt);
    result->tok_per_s = per_second(&answer);
    result->digest = progress.digest;
    result->from_memory = progress.from_memory != 0;
    result->confidence = progress.confidence;
    if (result->reason != PROTOCOL_CANCELLED)
        add_command(session, sink, result);
    return PROTOCOL_OK;
}
