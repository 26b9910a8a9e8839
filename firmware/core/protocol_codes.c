#include "protocol.h"

static const struct row {
    const char *name;
    const char *http;
    const char *line;
} rows[PROTOCOL_CODES] = {
    [PROTOCOL_OK] = {"ok", "200 OK", "no error"},
    [PROTOCOL_JSON] = {"json", "400 Bad Request", "not one JSON object"},
    [PROTOCOL_MESSAGE] = {"message", "400 Bad Request", "a field is missing, unknown, or not of its kind"},
    [PROTOCOL_VALUE] = {"value", "400 Bad Request", "a value is out of its range"},
    [PROTOCOL_ID] = {"id", "400 Bad Request", "a request with this id is still unanswered"},
    [PROTOCOL_PROMPT] = {"prompt", "400 Bad Request", "the prompt is empty, too long, or has an unknown character"},
    [PROTOCOL_SIZE] = {"size", "413 Content Too Large", "longer than the limit"},
    [PROTOCOL_FRAME] = {"frame", "400 Bad Request", "a message is one unfragmented text frame"},
    [PROTOCOL_BUSY] = {"busy", "429 Too Many Requests", "too many requests are waiting: try again soon"},
    [PROTOCOL_TOKEN] = {"token", "401 Unauthorized", "the access token is missing or wrong"},
    [PROTOCOL_ORIGIN] = {"origin", "403 Forbidden", "requests from pages of other sites are refused"},
    [PROTOCOL_NOT_FOUND] = {"not_found", "404 Not Found", "no such address or model"},
    [PROTOCOL_METHOD] = {"method", "405 Method Not Allowed", "this address does not know that method"},
    [PROTOCOL_TIMEOUT] = {"timeout", "408 Request Timeout", "the request stopped coming"},
    [PROTOCOL_LENGTH] = {"length", "411 Length Required", "an upload needs Content-Length"},
    [PROTOCOL_IN_USE] = {"in_use", "409 Conflict", "in use just now"},
    [PROTOCOL_NAME] = {"name", "400 Bad Request", "a name is 1 to 32 of a-z A-Z 0-9 . _ - not beginning with a dot"},
    [PROTOCOL_IMAGE] = {"image", "422 Unprocessable Content", "not a valid model image"},
    [PROTOCOL_NO_MODEL] = {"no_model", "503 Service Unavailable", "there is no model to answer"},
    [PROTOCOL_ENGINE] = {"engine", "500 Internal Server Error", "the engine failed"},
};

const char *fw_protocol_code_name(protocol_code code) {
    return rows[code].name;
}

const char *fw_protocol_http_line(protocol_code code) {
    return rows[code].http;
}

int fw_protocol_http_status(protocol_code code) {
    const char *http = rows[code].http;
    return (http[0] - '0') * 100 + (http[1] - '0') * 10 + (http[2] - '0');
}

const char *fw_protocol_code_line(protocol_code code) {
    return rows[code].line;
}

protocol_code fw_protocol_fail(protocol_error *error, protocol_code code, const char *line) {
    text out = fw_text_in(error->line, sizeof error->line);
    error->code = code;
    fw_text_add(&out, line ? line : rows[code].line);
    return code;
}

int fw_protocol_name_is_valid(const char *name, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        const char lower = (char)(name[i] | 0x20);
        const int is_letter = lower >= 'a' && lower <= 'z';
        const int is_digit = name[i] >= '0' && name[i] <= '9';
        if (!is_letter && !is_digit && name[i] != '.' && name[i] != '_' && name[i] != '-')
            return 0;
    }
    return bytes >= 1 && bytes <= PROTOCOL_NAME_BYTES && name[0] != '.';
}

size_t fw_protocol_prompt_bytes(uint32_t context) {
    const size_t most = (size_t)context * SHREW_PROMPT_BYTES_PER_TOKEN;
    return most < PROTOCOL_PROMPT_BYTES ? most : PROTOCOL_PROMPT_BYTES;
}
