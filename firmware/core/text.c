#include "text.h"

#include <string.h>

#include "bytes.h"
#include "decimal.h"
#include "utf8.h"

enum { QUOTED_BYTES = 32, MOST_DIGITS = 9 /* enough to identify any binary32 */ };

text fw_text_in(void *buffer, size_t capacity) {
    text made = {buffer, capacity, 0, 0};
    made.bytes[0] = 0;
    return made;
}

size_t fw_text_length(const char *string) {
    size_t length = 0;
    while (string[length])
        length++;
    return length;
}

int fw_text_equal(const char *string, const void *bytes, size_t count) {
    return fw_text_length(string) == count && bytes_equal(string, bytes, count);
}

int fw_text_is_utf8(const void *bytes, size_t count) {
    const uint8_t *at = bytes, *end = at + count;
    while (at < end) {
        uint32_t code_point;
        at += shrew_read_character(at, (size_t)(end - at), &code_point);
        if (code_point == NOT_UTF8)
            return 0;
    }
    return 1;
}

size_t fw_text_whole_characters(const void *bytes, size_t count, size_t most) {
    size_t at = 0;
    while (at < count) {
        uint32_t code_point;
        const size_t length = shrew_read_character((const uint8_t *)bytes + at, count - at, &code_point);
        if (at + length > most)
            break;
        at += length;
    }
    return at;
}

void fw_text_add_bytes(text *out, const void *piece, size_t bytes) {
    if (bytes >= out->capacity - out->used)
        out->full = 1;
    if (out->full)
        return;
    if (bytes)
        memcpy(out->bytes + out->used, piece, bytes);
    out->used += bytes;
    out->bytes[out->used] = 0;
}

void fw_text_add(text *out, const char *piece) {
    fw_text_add_bytes(out, piece, fw_text_length(piece));
}

void fw_text_add_integer(text *out, int64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        digits[--at] = '-';
    fw_text_add_bytes(out, digits + at, sizeof digits - at);
}

void fw_text_add_hex(text *out, uint32_t value) {
    char digits[8];
    for (int i = 0; i < 8; i++)
        digits[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    fw_text_add_bytes(out, digits, sizeof digits);
}

/* Writes digits, with the point after the first, times 10^exponent. */
static void add_scientific(text *out, uint32_t digits, int count, int exponent) {
    char written[MOST_DIGITS];
    for (int i = count; i-- > 0; digits /= 10)
        written[i] = (char)('0' + digits % 10);
    while (count > 1 && written[count - 1] == '0')
        count--;
    if (exponent < -5 || exponent > 8) {
        fw_text_add_bytes(out, written, 1);
        if (count > 1)
            fw_text_add(out, ".");
        fw_text_add_bytes(out, written + 1, (size_t)count - 1);
        fw_text_add(out, "e");
        fw_text_add_integer(out, exponent);
        return;
    }
    if (exponent < 0)
        fw_text_add(out, "0.");
    for (int i = exponent; i < -1; i++)
        fw_text_add(out, "0");
    for (int i = 0; i < count || i <= exponent; i++) {
        if (i == exponent + 1 && exponent >= 0)
            fw_text_add(out, ".");
        fw_text_add_bytes(out, i < count ? written + i : "0", 1);
    }
}

void fw_text_add_number(text *out, float value) {
    if (value < 0)
        fw_text_add(out, "-");
    const float magnitude = value < 0 ? -value : value;
    if (magnitude == 0) {
        fw_text_add(out, "0");
        return;
    }
    int exponent = 0;
    double first = magnitude; /* scaled to 1 .. 10, with the rest in exponent */
    for (; first >= 10; exponent++)
        first /= 10;
    for (; first < 1; exponent--)
        first *= 10;
    for (int count = 1;; count++) {
        char buffer[24];
        text tried = fw_text_in(buffer, sizeof buffer);
        double scale = 1;
        for (int i = 1; i < count; i++)
            scale *= 10;
        const uint32_t digits = (uint32_t)(first * scale + 0.5);
        const int carried = digits >= scale * 10;
        add_scientific(&tried, carried ? digits / 10 : digits, count, exponent + carried);
        decimal read;
        fw_decimal_read(tried.bytes, tried.used, &read);
        if (count == MOST_DIGITS || (float)read.value == magnitude) {
            fw_text_add_bytes(out, tried.bytes, tried.used);
            return;
        }
    }
}

void fw_text_add_quoted(text *out, const char *piece, size_t bytes) {
    const size_t whole = fw_text_whole_characters(piece, bytes, QUOTED_BYTES);
    fw_text_add(out, "'");
    for (size_t at = 0; at < whole;) {
        uint32_t code_point;
        const size_t length = shrew_read_character((const uint8_t *)piece + at, whole - at, &code_point);
        const int printable = code_point >= 0x20 && code_point != 0x7F && (code_point < 0x80 || code_point >= 0xA0);
        fw_text_add_bytes(out, printable && code_point != NOT_UTF8 ? piece + at : "?",
                          printable && code_point != NOT_UTF8 ? length : 1);
        at += length;
    }
    fw_text_add(out, whole < bytes ? "…'" : "'");
}
