/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef SHREW_UTF8_H
#define SHREW_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { CODE_POINTS = 0x110000, NOT_UTF8 = CODE_POINTS };

/* Bytes of the first character of text[0 .. bytes), bytes >= 1. A byte that is not part of valid UTF-8 is a character
 * of its own: length 1, *code_point NOT_UTF8. */
static inline size_t read_character(const uint8_t *text, size_t bytes, uint32_t *code_point) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint32_t lead = text[0];
    *code_point = lead;
    if (lead < 0x80)
        return 1;
    *code_point = NOT_UTF8;
    const size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (length == 0 || length > bytes)
        return 1;
    uint32_t value = lead & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 1;
        value = value << 6 | (text[i] & 0x3Fu);
    }
    if (value < smallest[length] || (value >= 0xD800 && value < 0xE000) || value >= CODE_POINTS)
        return 1;
    *code_point = value;
    return length;
}

#endif
