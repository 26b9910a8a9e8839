/* Text assembled in the caller's buffer. The first piece that does not fit is dropped whole, and so is everything after
 * it. full is then set, and the text must not be sent. */
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

/* An empty text in capacity >= 1 bytes. It is always NUL-terminated, and the NUL takes one byte of the capacity. */
text fw_text_in(void *buffer, size_t capacity);

void fw_text_add(text *out, const char *piece);
void fw_text_add_bytes(text *out, const void *piece, size_t bytes);
void fw_text_add_integer(text *out, int64_t value);
void fw_text_add_hex(text *out, uint32_t value); /* eight digits */

/* The shortest decimal that reads back as the same binary32. value must be finite. */
void fw_text_add_number(text *out, float value);

/* Untrusted text in quotes, for a line for people: at most 32 bytes, whole characters, no control characters. */
void fw_text_add_quoted(text *out, const char *piece, size_t bytes);

/* Bytes before the NUL. The string must be NUL-terminated. */
size_t fw_text_length(const char *string);
int fw_text_equal(const char *string, const void *bytes, size_t count);

int fw_text_is_utf8(const void *bytes, size_t count);

/* Length of the longest prefix of whole characters that has at most `most` bytes. */
size_t fw_text_whole_characters(const void *bytes, size_t count, size_t most);

#endif
