/* The line being typed on the console, by a person or a program, and the state of the terminal's current line. A
 * message of the protocol always begins a new line there, whatever was prompted or echoed (docs/PROTOCOL.md, Serial
 * line). */
#ifndef SHREW_LINE_H
#define SHREW_LINE_H

#include "protocol.h"

enum { LINE_BYTES = PROTOCOL_MESSAGE_BYTES, LINE_ECHO_BYTES = 4 };

/* Initialise everything except echoes to zero. */
typedef struct line {
    char bytes[LINE_BYTES + 1];
    size_t count;
    int echoes;      /* 1: the device must echo what is typed */
    int is_too_long;
    int last_key;
    volatile int has_begun; /* the terminal's line has a prompt or an echo; also read by the task that writes answers */
} line;

/* Takes one byte and sets echo to the string, maybe empty, that displays it. Returns 1 if the byte ends the line, which
 * is then NUL-terminated; fw_line_clear begins the next one. */
int fw_line_take(line *typed, int key, char echo[LINE_ECHO_BYTES]);
void fw_line_clear(line *typed);

/* Whether the line, so far, is a message of the protocol. */
int fw_line_is_message(const line *typed);

/* The strings that end a person's line on the terminal, prompt for one, and precede a message. */
const char *fw_line_newline(line *typed);
const char *fw_line_prompt(line *typed);
const char *fw_line_before_message(line *typed);

#endif
