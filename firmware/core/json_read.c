/* The reader: fw_json_check validates a text, the other functions walk over a valid one. */
#include "bytes.h"
#include "json.h"
#include "utf8.h"

static int is_space(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The value of a hex digit; -1 if it is not one. */
static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    const char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The 16 bits of \uXXXX at text, or -1. */
static int32_t escaped_unit(const char *text, size_t bytes) {
    if (bytes < 6 || text[0] != '\\' || text[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        const int digit = hex_digit(text[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static int is_surrogate(int32_t unit, int32_t first) {
    return unit >= first && unit < first + 0x400;
}

/* The character of the escape at text, which is *used bytes long; -1: malformed. */
static int32_t escaped_character(const char *text, size_t bytes, size_t *used) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    *used = 2;
    for (int i = 0; bytes > 1 && names[i]; i++)
        if (text[1] == names[i])
            return values[i];
    const int32_t unit = escaped_unit(text, bytes);
    *used = 6;
    if (is_surrogate(unit, 0xDC00))
        return -1;
    if (!is_surrogate(unit, 0xD800))
        return unit;
    const int32_t second = escaped_unit(text + 6, bytes - 6);
    *used = 12;
    return is_surrogate(second, 0xDC00) ? 0x10000 + (unit - 0xD800) * 0x400 + (second - 0xDC00) : -1;
}

/* ---- Validating -------------------------------------------------------------------------------------------------- */

/* Length of the string at the start of text, quotes included; 0: malformed. */
static size_t check_string(const char *text, size_t bytes) {
    size_t at = 1;
    while (at < bytes && text[at] != '"') {
        if ((unsigned char)text[at] < 0x20)
            return 0;
        if (text[at] == '\\') {
            size_t used;
            if (escaped_character(text + at, bytes - at, &used) < 0)
                return 0;
            at += used;
            continue;
        }
        const int length = shrew_character_bytes((const uint8_t *)text + at, bytes - at);
        if (length < 1)
            return 0;
        at += (size_t)length;
    }
    return at < bytes ? at + 1 : 0;
}

/* The same for a value that is neither an array nor an object. */
static size_t check_scalar(const char *text, size_t bytes) {
    static const char *const words[] = {"null", "false", "true"};
    decimal number;
    if (*text == '"')
        return check_string(text, bytes);
    for (int i = 0; i < 3; i++) {
        const size_t length = fw_text_length(words[i]);
        if (bytes >= length && bytes_equal(words[i], text, length))
            return length;
    }
    return fw_decimal_read(text, bytes, &number);
}

/* What may come next. */
typedef enum expected { A_VALUE, A_VALUE_OR_END, A_NAME, A_NAME_OR_END, A_COMMA_OR_END } expected;

int fw_json_check(const char *text, size_t bytes) {
    uint32_t objects = 0; /* one bit per level, the innermost lowest: 1 for an object, 0 for an array */
    int depth = 0;
    expected next = A_VALUE;
    for (size_t at = 0; at < bytes;) {
        const char byte = text[at];
        size_t used = 1;
        if (is_space(byte)) {
            at++;
            continue;
        }
        if (!depth && (next != A_VALUE || byte != '{'))
            return 0;
        const int ends = depth && byte == (objects & 1 ? '}' : ']');
        if (ends && next != A_VALUE && next != A_NAME) {
            depth--;
            objects >>= 1;
            next = A_COMMA_OR_END;
        } else if (next == A_COMMA_OR_END) {
            if (byte != ',')
                return 0;
            next = objects & 1 ? A_NAME : A_VALUE;
        } else if (next == A_NAME || next == A_NAME_OR_END) {
            used = byte == '"' ? check_string(text + at, bytes - at) : 0;
            while (used && at + used < bytes && is_space(text[at + used]))
                used++;
            if (!used || at + used == bytes || text[at + used] != ':')
                return 0;
            used++;
            next = A_VALUE;
        } else if (byte == '{' || byte == '[') {
            if (depth++ == JSON_DEPTH)
                return 0;
            objects = objects << 1 | (byte == '{');
            next = byte == '{' ? A_NAME_OR_END : A_VALUE_OR_END;
        } else {
            used = check_scalar(text + at, bytes - at);
            next = A_COMMA_OR_END;
        }
        if (!used)
            return 0;
        at += used;
    }
    return !depth && next == A_COMMA_OR_END;
}

/* ---- Walking ----------------------------------------------------------------------------------------------------- */

static void skip_space(json_reader *reader) {
    while (is_space(*reader->at))
        reader->at++;
}

json_reader fw_json_read(char *text) {
    json_reader reader = {text};
    skip_space(&reader);
    return reader;
}

json_kind fw_json_kind_of(const json_reader *reader) {
    switch (*reader->at) {
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case '"': return JSON_STRING;
    case 'n': return JSON_NULL;
    case 'f': return JSON_FALSE;
    case 't': return JSON_TRUE;
    default: return JSON_NUMBER;
    }
}

void fw_json_enter(json_reader *reader) {
    reader->at++;
}

int fw_json_element(json_reader *reader) {
    skip_space(reader);
    const char byte = *reader->at;
    const int ends = byte == ']' || byte == '}';
    if (ends || byte == ',')
        reader->at++;
    if (!ends) /* no byte may be read after the last end */
        skip_space(reader);
    return !ends;
}

int fw_json_member(json_reader *reader, json_string *name) {
    if (!fw_json_element(reader))
        return 0;
    *name = fw_json_read_string(reader);
    skip_space(reader);
    reader->at++; /* the colon */
    skip_space(reader);
    return 1;
}

static size_t write_utf8(char *out, int32_t character) {
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    const int more = 1 + (character >= 0x800) + (character >= 0x10000);
    for (int i = more; i > 0; i--, character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3F));
    out[0] = (char)(0xFF80 >> more | character);
    return (size_t)more + 1;
}

json_string fw_json_read_string(json_reader *reader) {
    json_string string = {reader->at + 1, 0};
    char *at = string.bytes;
    while (*at != '"') {
        if (*at != '\\') {
            string.bytes[string.count++] = *at++;
            continue;
        }
        size_t used;
        const int32_t character = escaped_character(at, 12, &used);
        string.count += write_utf8(string.bytes + string.count, character);
        at += used;
    }
    reader->at = at + 1;
    string.bytes[string.count] = 0;
    return string;
}

decimal fw_json_read_number(json_reader *reader) {
    decimal number;
    reader->at += fw_decimal_read(reader->at, SIZE_MAX, &number);
    return number;
}

static void skip_string(json_reader *reader) {
    for (reader->at++; *reader->at != '"'; reader->at++)
        reader->at += *reader->at == '\\';
    reader->at++;
}

void fw_json_skip(json_reader *reader) {
    int depth = 0;
    do {
        const char byte = *reader->at;
        if (byte == '"') {
            skip_string(reader);
            continue;
        }
        depth += (byte == '{' || byte == '[') - (byte == '}' || byte == ']');
        reader->at++;
        if (!depth && byte != '}' && byte != ']')
            while (!is_space(*reader->at) && *reader->at != ',' && *reader->at != '}' && *reader->at != ']')
                reader->at++;
    } while (depth);
}
