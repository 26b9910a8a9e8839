/* The line that is being typed on the console, by a person or a program, and what stands on the terminal meanwhile: a
 * message of the protocol begins a line there, whatever has been prompted and echoed (docs/PROTOCOL.md, Serial line). */
#ifndef SHREW_LINE_H
#define SHREW_LINE_H

#include "protocol.h"

enum { LINE_BYTES = PROTOCOL_MESSAGE_BYTES, LINE_ECHO_BYTES = 4 };

/* All zero but echoes at first. */
typedef struct line {
    char bytes[LINE_BYTES + 1];
    size_t count;
    int echoes;      /* the terminal shows only what it is sent */
    int is_too_long;
    int last_key;
    volatile int has_begun; /* the terminal's line has a prompt or an echo; also read where answers are written */
} line;

/* Takes one byte and says in echo what shows it, a string, perhaps empty. 1: it ends the line, which has then a NUL; the
 * next one begins with fw_line_clear. */
int fw_line_take(line *typed, int key, char echo[LINE_ECHO_BYTES]);
void fw_line_clear(line *typed);

/* Whether it is a message of the protocol, as far as it has come. */
int fw_line_is_message(const line *typed);

/* What ends a line of people's on the terminal, what asks them for one, and what goes before a message. */
const char *fw_line_newline(line *typed);
const char *fw_line_prompt(line *typed);
const char *fw_line_before_message(line *typed);

#endif
