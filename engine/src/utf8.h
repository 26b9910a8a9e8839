/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef SHREW_UTF8_H
#define SHREW_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { CODE_POINTS = 0x110000, NOT_UTF8 = CODE_POINTS };

/* Length of the first character of text[0 .. bytes), bytes >= 1. 0: incomplete, more bytes may complete it. Negative:
 * invalid; minus the number of bytes to replace by one U+FFFD, the longest prefix of a character, as Unicode
 * recommends. */
int shrew_character_bytes(const uint8_t *text, size_t bytes);

/* Length of the first character of text[0 .. bytes), bytes >= 1. A byte that is not part of valid UTF-8 counts as one
 * character: length 1, *code_point NOT_UTF8. */
size_t shrew_read_character(const uint8_t *text, size_t bytes, uint32_t *code_point);

#endif
