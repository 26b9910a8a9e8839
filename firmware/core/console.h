/* Lines typed on the console. */
#ifndef SHREW_CONSOLE_H
#define SHREW_CONSOLE_H

#include "options.h"
#include "protocol.h"

typedef enum console_verb {
    CONSOLE_NOTHING, /* an empty line */
    CONSOLE_ASK,         /* text */
    CONSOLE_MODELS,
    CONSOLE_LOAD,        /* text: a name */
    CONSOLE_UNLOAD,
    CONSOLE_SHOW,        /* `set` alone: the defaults */
    CONSOLE_SET,         /* option, value */
    CONSOLE_STATUS,
    CONSOLE_WIFI,        /* show */
    CONSOLE_WIFI_JOIN,   /* text: the ssid; password, perhaps empty */
    CONSOLE_WIFI_FORGET,
    CONSOLE_TOKEN,       /* show */
    CONSOLE_TOKEN_NEW,
    CONSOLE_SELFTEST,
    CONSOLE_BENCH,       /* number: tokens */
    CONSOLE_RESTART,
    CONSOLE_HELP         /* text: a command, or empty */
} console_verb;

enum { CONSOLE_LINE_BYTES = PROTOCOL_PROMPT_BYTES + 16, CONSOLE_BENCH_TOKENS = 64 };

typedef struct console_command {
    console_verb verb;
    const char *text; /* inside the line, NUL-terminated */
    size_t text_bytes;
    const char *password;
    size_t password_bytes;
    option option;
    decimal value;
    uint32_t number;
} console_command;

/* Parses a line without its line end, and modifies it: line[bytes] must exist, for a NUL. Returns 0 for a command;
 * otherwise error has one line that says what is expected. Words are separated by spaces; a word in double quotes may
 * contain spaces. The text after `ask` is taken literally. */
int fw_console_read(console_command *command, char *line, size_t bytes, text *error);

/* Usage and description of the index-th command; NULL past the last. */
const char *fw_console_usage(size_t index);       /* "set NAME VALUE" */
const char *fw_console_description(size_t index); /* "changes a default" */

/* The index of a command for these two functions, by its first word; -1 if there is none. */
int fw_console_find(const char *word, size_t bytes);

#endif
