/* From the server: messages of the WebSocket, and the parts of them that HTTP answers share. */
#include "protocol.h"

const char *fw_protocol_reason_name(protocol_reason reason) {
    static const char *const names[] = {
        [PROTOCOL_END] = "end",         [PROTOCOL_STOP] = "stop",           [PROTOCOL_REACHED_LENGTH] = "length",
        [PROTOCOL_CONTEXT] = "context", [PROTOCOL_CANCELLED] = "cancelled", [PROTOCOL_REFUSED] = "refused",
    };
    return names[reason];
}

static void begin(text *out, const char *type) {
    fw_json_open(out, '{');
    fw_json_name(out, "type");
    fw_json_write_string(out, type);
}

static void integer(text *out, const char *name, uint64_t value) {
    fw_json_name(out, name);
    fw_json_write_integer(out, (int64_t)value);
}

void fw_protocol_write_queued(text *out, uint32_t id, uint32_t ahead) {
    begin(out, "queued");
    integer(out, "id", id);
    integer(out, "ahead", ahead);
    fw_json_close(out, '}');
}

void fw_protocol_write_token(text *out, uint32_t id, const void *bytes, size_t count) {
    begin(out, "token");
    integer(out, "id", id);
    fw_json_name(out, "text");
    fw_json_write_text(out, bytes, count);
    fw_json_close(out, '}');
}

/* Rates are rounded to a hundredth, which is finer than the clock measures. */
static void rate(text *out, const char *name, float per_second) {
    fw_json_name(out, name);
    fw_json_write_number(out, per_second < 1e6f ? (float)(uint32_t)(per_second * 100.0f + 0.5f) / 100.0f : per_second);
}

void fw_protocol_write_result(text *out, const protocol_result *result) {
    fw_json_name(out, "reason");
    fw_json_write_string(out, fw_protocol_reason_name(result->reason));
    integer(out, "tokens", result->tokens);
    integer(out, "prompt_tokens", result->prompt_tokens);
    rate(out, "tok_per_s", result->tok_per_s);
    rate(out, "prompt_tok_per_s", result->prompt_tok_per_s);
    fw_json_name(out, "digest");
    fw_json_write_hex(out, result->digest);
    integer(out, "seed", result->seed);
    if (result->command) {
        fw_json_name(out, "command");
        fw_json_write_text(out, result->command, result->command_bytes);
    }
    if (result->command || result->from_memory) {
        fw_json_name(out, "confidence");
        fw_json_write_number(out, result->confidence);
    }
    if (result->from_memory) {
        fw_json_name(out, "from_memory");
        fw_json_write_boolean(out, 1);
    }
}

void fw_protocol_write_done(text *out, uint32_t id, const protocol_result *result) {
    begin(out, "done");
    integer(out, "id", id);
    fw_protocol_write_result(out, result);
    fw_json_close(out, '}');
}

void fw_protocol_write_error(text *out, const uint32_t *id, const protocol_error *error) {
    begin(out, "error");
    fw_json_name(out, "id");
    if (id)
        fw_json_write_integer(out, *id);
    else
        fw_json_write_null(out);
    fw_json_name(out, "code");
    fw_json_write_string(out, fw_protocol_code_name(error->code));
    fw_json_name(out, "message");
    fw_json_write_string(out, error->line);
    fw_json_close(out, '}');
}

void fw_protocol_write_http_error(text *out, const protocol_error *error) {
    fw_json_open(out, '{');
    fw_json_name(out, "error");
    fw_json_open(out, '{');
    fw_json_name(out, "code");
    fw_json_write_string(out, fw_protocol_code_name(error->code));
    fw_json_name(out, "message");
    fw_json_write_string(out, error->line);
    fw_json_name(out, "type");
    fw_json_write_string(out, fw_protocol_http_status(error->code) < 500 ? "invalid_request_error" : "server_error");
    fw_json_close(out, '}');
    fw_json_close(out, '}');
}
