/* Text put together in a buffer of the caller's. A piece that does not fit is left out whole, and everything after it:
 * full says so, and a text that is full must not be sent. */
#ifndef SHREW_TEXT_H
#define SHREW_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct text {
    char *bytes;
    size_t capacity;
    size_t used;
    int full;
} text;

/* An empty text in capacity >= 1 bytes. It always ends in a NUL, which takes one of them. */
text fw_text_in(void *buffer, size_t capacity);

void fw_text_add(text *out, const char *piece);
void fw_text_add_bytes(text *out, const void *piece, size_t bytes);
void fw_text_add_integer(text *out, int64_t value);
void fw_text_add_hex(text *out, uint32_t value); /* eight digits */

/* A number in the fewest digits that mean the same binary32; value must be finite. */
void fw_text_add_number(text *out, float value);

/* What a stranger wrote, in quotes, for a line for people: at most 32 bytes of it, whole characters, no controls. */
void fw_text_add_quoted(text *out, const char *piece, size_t bytes);

/* Bytes up to a NUL; a stranger's buffer without one is the caller's fault. */
size_t fw_text_length(const char *string);
int fw_text_equal(const char *string, const void *bytes, size_t count);

int fw_text_is_utf8(const void *bytes, size_t count);

/* Bytes of the longest beginning of whole characters that has at most `most` bytes. */
size_t fw_text_whole_characters(const void *bytes, size_t count, size_t most);

#endif
