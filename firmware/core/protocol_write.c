/* From the server: one message of the WebSocket, or a part of one that HTTP answers share. */
#include "protocol.h"

const char *protocol_reason_name(protocol_reason reason) {
    static const char *const names[] = {
        [PROTOCOL_END] = "end",         [PROTOCOL_STOP] = "stop",           [PROTOCOL_REACHED_LENGTH] = "length",
        [PROTOCOL_CONTEXT] = "context", [PROTOCOL_CANCELLED] = "cancelled", [PROTOCOL_REFUSED] = "refused",
    };
    return names[reason];
}

static void begin(text *out, const char *type) {
    json_open(out, '{');
    json_name(out, "type");
    json_write_string(out, type);
}

static void integer(text *out, const char *name, uint64_t value) {
    json_name(out, name);
    json_write_integer(out, (int64_t)value);
}

void protocol_write_queued(text *out, uint32_t id, uint32_t ahead) {
    begin(out, "queued");
    integer(out, "id", id);
    integer(out, "ahead", ahead);
    json_close(out, '}');
}

void protocol_write_token(text *out, uint32_t id, const void *bytes, size_t count) {
    begin(out, "token");
    integer(out, "id", id);
    json_name(out, "text");
    json_write_text(out, bytes, count);
    json_close(out, '}');
}

/* Rates to a hundredth, which is more than their clock knows. */
static void rate(text *out, const char *name, float per_second) {
    json_name(out, name);
    json_write_number(out, per_second < 1e6f ? (float)(uint32_t)(per_second * 100.0f + 0.5f) / 100.0f : per_second);
}

void protocol_write_result(text *out, const protocol_result *result) {
    json_name(out, "reason");
    json_write_string(out, protocol_reason_name(result->reason));
    integer(out, "tokens", result->tokens);
    integer(out, "prompt_tokens", result->prompt_tokens);
    rate(out, "tok_per_s", result->tok_per_s);
    rate(out, "prompt_tok_per_s", result->prompt_tok_per_s);
    json_name(out, "digest");
    json_write_hex(out, result->digest);
    integer(out, "seed", result->seed);
    if (!result->command)
        return;
    json_name(out, "command");
    json_write_text(out, result->command, result->command_bytes);
    json_name(out, "confidence");
    json_write_number(out, result->confidence);
}

void protocol_write_done(text *out, uint32_t id, const protocol_result *result) {
    begin(out, "done");
    integer(out, "id", id);
    protocol_write_result(out, result);
    json_close(out, '}');
}

void protocol_write_error(text *out, const uint32_t *id, const protocol_error *error) {
    begin(out, "error");
    json_name(out, "id");
    if (id)
        json_write_integer(out, *id);
    else
        json_write_null(out);
    json_name(out, "code");
    json_write_string(out, protocol_code_name(error->code));
    json_name(out, "message");
    json_write_string(out, error->line);
    json_close(out, '}');
}

void protocol_write_http_error(text *out, const protocol_error *error) {
    json_open(out, '{');
    json_name(out, "error");
    json_open(out, '{');
    json_name(out, "code");
    json_write_string(out, protocol_code_name(error->code));
    json_name(out, "message");
    json_write_string(out, error->line);
    json_name(out, "type");
    json_write_string(out, protocol_http_status(error->code) < 500 ? "invalid_request_error" : "server_error");
    json_close(out, '}');
    json_close(out, '}');
}
