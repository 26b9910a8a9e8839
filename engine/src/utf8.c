#include "utf8.h"

int shrew_character_bytes(const uint8_t *text, size_t bytes) {
    const uint32_t first = text[0];
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return -1;
    const int length = 2 + (first >= 0xE0) + (first >= 0xF0);
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= bytes)
            return 0;
        uint32_t least = 0x80, most = 0xBF;
        if (i == 1) { /* no overlong forms, no surrogates, nothing above U+10FFFF */
            least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : least;
            most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : most;
        }
        if (text[i] < least || text[i] > most)
            return -i;
    }
    return length;
}

size_t shrew_read_character(const uint8_t *text, size_t bytes, uint32_t *code_point) {
    const int length = shrew_character_bytes(text, bytes);
    *code_point = NOT_UTF8;
    if (length < 1)
        return 1;
    *code_point = length > 1 ? text[0] & 0x7Fu >> length : text[0];
    for (int i = 1; i < length; i++)
        *code_point = *code_point << 6 | (text[i] & 0x3Fu);
    return (size_t)length;
}
