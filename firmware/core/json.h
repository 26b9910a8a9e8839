/* A small strict JSON (RFC 8259): a reader in two steps, since a message must be whole before any of it counts, and a
 * writer that never leaves half an object.
 *
 * fw_json_check looks through a text once. What it finds good can be read with a json_reader, which therefore cannot fail:
 * it walks forward, value by value, and decodes strings where they stand. */
#ifndef SHREW_JSON_H
#define SHREW_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "decimal.h"
#include "text.h"

enum { JSON_DEPTH = 16 }; /* most arrays and objects inside each other */

typedef enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

/* 1 if text is one JSON object in UTF-8 with nothing but white space around it: no surrogate without its other half, no
 * byte order mark, at most JSON_DEPTH deep. */
int fw_json_check(const char *text, size_t bytes);

/* Stands before a value. May be copied, to come back to the value later, as long as its strings were not read. */
typedef struct json_reader {
    char *at;
} json_reader;

typedef struct json_string {
    char *bytes; /* decoded, inside the text, a NUL behind it; may have NULs inside */
    size_t count;
} json_string;

/* The object that fw_json_check found good. Reading changes the text. */
json_reader fw_json_read(char *text);

json_kind fw_json_kind_of(const json_reader *reader);

/* Into the array or object that comes. Then, until it returns 0: fw_json_member to the next value of an object and its
 * name, fw_json_element to the next of an array. Each value must be read or skipped. */
void fw_json_enter(json_reader *reader);
int fw_json_member(json_reader *reader, json_string *name);
int fw_json_element(json_reader *reader);

/* Each reads a value that fw_json_kind_of said is of that kind. */
json_string fw_json_read_string(json_reader *reader);
decimal fw_json_read_number(json_reader *reader);
void fw_json_skip(json_reader *reader); /* of any kind */

/* ---- Writing. Commas come by themselves; fw_text_in begins, and a text that is full is no JSON. --------------------- */

void fw_json_open(text *out, char bracket); /* '{' or '[' */
void fw_json_close(text *out, char bracket); /* '}' or ']' */
void fw_json_name(text *out, const char *name);
void fw_json_write_string(text *out, const char *string); /* NULL: null */
void fw_json_write_text(text *out, const void *bytes, size_t count); /* what is not UTF-8 becomes U+FFFD */
void fw_json_write_integer(text *out, int64_t value);
void fw_json_write_number(text *out, float value); /* null where it is not finite */
void fw_json_write_hex(text *out, uint32_t value); /* a string of eight digits */
void fw_json_write_boolean(text *out, int value);
void fw_json_write_null(text *out);

/* A string in parts, for texts that come piece by piece: what fw_json_write_text would put between its quotes. */
void fw_json_write_part(text *out, const void *bytes, size_t count);

#endif
