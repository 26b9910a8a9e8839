/* A small strict JSON (RFC 8259). The reader works in two steps, because a whole message must be valid before any of it
 * takes effect. The writer never leaves half an object.
 *
 * fw_json_check validates a text. A json_reader then reads it and cannot fail: it moves forward, value by value, and
 * decodes strings in place. */
#ifndef SHREW_JSON_H
#define SHREW_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "decimal.h"
#include "text.h"

enum { JSON_DEPTH = 16 }; /* limit on nested arrays and objects */

typedef enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

/* 1 if text is one JSON object in UTF-8, surrounded by at most white space, without lone surrogates or a byte order
 * mark, and at most JSON_DEPTH deep. */
int fw_json_check(const char *text, size_t bytes);

/* A position before a value. A copy can be used to read the value later, unless its strings have been read already. */
typedef struct json_reader {
    char *at;
} json_reader;

typedef struct json_string {
    char *bytes; /* decoded, in place, NUL-terminated; may contain NULs */
    size_t count;
} json_string;

/* Starts reading an object that has passed fw_json_check. Reading modifies the text. */
json_reader fw_json_read(char *text);

json_kind fw_json_kind_of(const json_reader *reader);

/* fw_json_enter enters the array or object that follows. Then call, until it returns 0, fw_json_member for the next
 * member of an object and its name, or fw_json_element for the next element of an array. Each value must be read or
 * skipped. */
void fw_json_enter(json_reader *reader);
int fw_json_member(json_reader *reader, json_string *name);
int fw_json_element(json_reader *reader);

/* Each reads a value of the kind that fw_json_kind_of returned. */
json_string fw_json_read_string(json_reader *reader);
decimal fw_json_read_number(json_reader *reader);
void fw_json_skip(json_reader *reader); /* of any kind */

/* ---- Writing. Starts with fw_text_in. Commas are inserted automatically. A text that is full is not valid JSON. -- */

void fw_json_open(text *out, char bracket); /* '{' or '[' */
void fw_json_close(text *out, char bracket); /* '}' or ']' */
void fw_json_name(text *out, const char *name);
void fw_json_write_string(text *out, const char *string); /* NULL: null */
void fw_json_write_text(text *out, const void *bytes, size_t count); /* invalid UTF-8 becomes U+FFFD */
void fw_json_write_integer(text *out, int64_t value);
void fw_json_write_number(text *out, float value); /* null if it is not finite */
void fw_json_write_hex(text *out, uint32_t value); /* a string of eight digits */
void fw_json_write_boolean(text *out, int value);
void fw_json_write_null(text *out);

/* Part of a string, for text that arrives in pieces: writes what fw_json_write_text writes between the quotes. */
void fw_json_write_part(text *out, const void *bytes, size_t count);

#endif
