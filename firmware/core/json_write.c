#include "json.h"
#include "utf8.h"

/* Before a value or name: writes a comma unless it is the first. The text cannot end in these bytes within a string,
 * since a string ends in its quote. */
static void separate(text *out) {
    const char last = out->used ? out->bytes[out->used - 1] : '{';
    if (last != '{' && last != '[' && last != ':')
        fw_text_add(out, ",");
}

void fw_json_open(text *out, char bracket) {
    separate(out);
    fw_text_add_bytes(out, &bracket, 1);
}

void fw_json_close(text *out, char bracket) {
    fw_text_add_bytes(out, &bracket, 1);
}

void fw_json_name(text *out, const char *name) {
    fw_json_write_string(out, name);
    fw_text_add(out, ":");
}

static void write_character(text *out, const uint8_t *character, size_t bytes, uint32_t code_point) {
    static const char digits[] = "0123456789abcdef";
    const char escape[] = {'\\', 'u', '0', '0', digits[code_point >> 4 & 15], digits[code_point & 15]};
    if (code_point == NOT_UTF8)
        fw_text_add(out, "\xEF\xBF\xBD");
    else if (code_point == '\n')
        fw_text_add(out, "\\n");
    else if (code_point < 0x20)
        fw_text_add_bytes(out, escape, sizeof escape);
    else if (code_point == '"' || code_point == '\\')
        fw_text_add(out, code_point == '"' ? "\\\"" : "\\\\");
    else
        fw_text_add_bytes(out, character, bytes);
}

void fw_json_write_part(text *out, const void *bytes, size_t count) {
    for (size_t at = 0; at < count;) {
        const uint8_t *character = (const uint8_t *)bytes + at;
        uint32_t code_point;
        const size_t length = shrew_read_character(character, count - at, &code_point);
        write_character(out, character, length, code_point);
        at += length;
    }
}

void fw_json_write_text(text *out, const void *bytes, size_t count) {
    separate(out);
    fw_text_add(out, "\"");
    fw_json_write_part(out, bytes, count);
    fw_text_add(out, "\"");
}

void fw_json_write_string(text *out, const char *string) {
    if (string)
        fw_json_write_text(out, string, fw_text_length(string));
    else
        fw_json_write_null(out);
}

void fw_json_write_integer(text *out, int64_t value) {
    separate(out);
    fw_text_add_integer(out, value);
}

void fw_json_write_number(text *out, float value) {
    separate(out);
    if (value - value == 0)
        fw_text_add_number(out, value);
    else
        fw_text_add(out, "null");
}

void fw_json_write_hex(text *out, uint32_t value) {
    separate(out);
    fw_text_add(out, "\"");
    fw_text_add_hex(out, value);
    fw_text_add(out, "\"");
}

void fw_json_write_boolean(text *out, int value) {
    separate(out);
    fw_text_add(out, value ? "true" : "false");
}

void fw_json_write_null(text *out) {
    separate(out);
    fw_text_add(out, "null");
}
