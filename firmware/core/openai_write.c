/* The answer of POST /v1/chat/completions, as one object or as server-sent events, and GET /v1/models. */
#include "openai.h"

static void member(text *out, const char *name, const char *value) {
    fw_json_name(out, name);
    fw_json_write_string(out, value);
}

static void count(text *out, const char *name, uint64_t value) {
    fw_json_name(out, name);
    fw_json_write_integer(out, (int64_t)value);
}

static void open_answer(text *out, const openai_answer *answer, const char *kind) {
    char id[32];
    text made = fw_text_in(id, sizeof id);
    fw_text_add(&made, "chatcmpl-");
    fw_text_add_hex(&made, (uint32_t)(answer->number >> 32));
    fw_text_add_hex(&made, (uint32_t)answer->number);
    fw_json_open(out, '{');
    member(out, "id", id);
    member(out, "object", kind);
    count(out, "created", answer->created);
    member(out, "model", answer->model);
    fw_json_name(out, "choices");
    fw_json_open(out, '[');
}

static void open_choice(text *out, const char *content) {
    fw_json_open(out, '{');
    count(out, "index", 0);
    fw_json_name(out, content);
    fw_json_open(out, '{');
}

/* Ends a choice after its content. */
static void close_choice(text *out, const char *finish_reason) {
    fw_json_close(out, '}');
    fw_json_name(out, "logprobs");
    fw_json_write_null(out);
    member(out, "finish_reason", finish_reason);
    fw_json_close(out, '}');
    fw_json_close(out, ']');
}

static const char *finish_reason(const protocol_result *result) {
    return result->reason == PROTOCOL_REACHED_LENGTH || result->reason == PROTOCOL_CONTEXT ? "length" : "stop";
}

static void write_usage(text *out, const protocol_result *result) {
    fw_json_name(out, "usage");
    fw_json_open(out, '{');
    count(out, "prompt_tokens", result->prompt_tokens);
    count(out, "completion_tokens", result->tokens);
    count(out, "total_tokens", (uint64_t)result->prompt_tokens + result->tokens);
    fw_json_close(out, '}');
}

static void write_shrew(text *out, const protocol_result *result) {
    fw_json_name(out, "shrew");
    fw_json_open(out, '{');
    fw_protocol_write_result(out, result);
    fw_json_close(out, '}');
}

/* ---- One object, in parts ---------------------------------------------------------------------------------------- */

void fw_openai_write_head(text *out, const openai_answer *answer) {
    open_answer(out, answer, "chat.completion");
    open_choice(out, "message");
    member(out, "role", "assistant");
    fw_json_name(out, "content");
    fw_text_add(out, "\"");
}

void fw_openai_write_part(text *out, const void *bytes, size_t bytes_count) {
    fw_json_write_part(out, bytes, bytes_count);
}

void fw_openai_write_tail(text *out, const protocol_result *result) {
    fw_text_add(out, "\"");
    close_choice(out, finish_reason(result));
    write_usage(out, result);
    write_shrew(out, result);
    fw_json_close(out, '}');
}

/* ---- Events. The JSON is a text of its own: directly after "data: " it would begin with a comma. ----------------- */

static text begin_event(text *out) {
    fw_text_add(out, "data: ");
    text rest = fw_text_in(out->bytes + out->used, out->capacity - out->used);
    rest.full = out->full;
    return rest;
}

static void end_event(text *out, text *data) {
    fw_text_add(data, "\n\n");
    out->used += data->used;
    out->full = data->full;
}

void fw_openai_write_first_event(text *out, const openai_answer *answer) {
    text data = begin_event(out);
    open_answer(&data, answer, "chat.completion.chunk");
    open_choice(&data, "delta");
    member(&data, "role", "assistant");
    member(&data, "content", "");
    close_choice(&data, NULL);
    fw_json_close(&data, '}');
    end_event(out, &data);
}

void fw_openai_write_event(text *out, const openai_answer *answer, const void *bytes, size_t bytes_count) {
    text data = begin_event(out);
    open_answer(&data, answer, "chat.completion.chunk");
    open_choice(&data, "delta");
    fw_json_name(&data, "content");
    fw_json_write_text(&data, bytes, bytes_count);
    close_choice(&data, NULL);
    fw_json_close(&data, '}');
    end_event(out, &data);
}

void fw_openai_write_last_events(text *out, const openai_answer *answer, const protocol_result *result) {
    text data = begin_event(out);
    open_answer(&data, answer, "chat.completion.chunk");
    open_choice(&data, "delta");
    close_choice(&data, finish_reason(result));
    write_shrew(&data, result);
    fw_json_close(&data, '}');
    end_event(out, &data);
    if (answer->include_usage) {
        data = begin_event(out);
        open_answer(&data, answer, "chat.completion.chunk");
        fw_json_close(&data, ']');
        write_usage(&data, result);
        fw_json_close(&data, '}');
        end_event(out, &data);
    }
    fw_text_add(out, "data: [DONE]\n\n");
}

void fw_openai_write_error_event(text *out, const protocol_error *error) {
    text data = begin_event(out);
    fw_protocol_write_http_error(&data, error);
    end_event(out, &data);
}

void fw_openai_write_models(text *out, const char *const *names, size_t name_count) {
    fw_json_open(out, '{');
    member(out, "object", "list");
    fw_json_name(out, "data");
    fw_json_open(out, '[');
    for (size_t i = 0; i < name_count; i++) {
        fw_json_open(out, '{');
        member(out, "id", names[i]);
        member(out, "object", "model");
        count(out, "created", 0);
        member(out, "owned_by", "shrew");
        fw_json_close(out, '}');
    }
    fw_json_close(out, ']');
    fw_json_close(out, '}');
}
