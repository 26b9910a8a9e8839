#include "line.h"

#include <string.h>

enum { BACKSPACE = 8, DELETE = 127 };

void fw_line_clear(line *typed) {
    typed->count = 0;
    typed->is_too_long = 0;
}

int fw_line_is_message(const line *typed) {
    return typed->count && typed->bytes[0] == '{';
}

static void show(line *typed, const char *what, char echo[LINE_ECHO_BYTES]) {
    if (!typed->echoes || fw_line_is_message(typed))
        return;
    memcpy(echo, what, fw_text_length(what) + 1);
    typed->has_begun = 1;
}

int fw_line_take(line *typed, int key, char echo[LINE_ECHO_BYTES]) {
    const int is_second_half = key == '\n' && typed->last_key == '\r';
    typed->last_key = key;
    echo[0] = 0;
    if (is_second_half)
        return 0;
    if (key == '\r' || key == '\n') {
        typed->bytes[typed->count] = 0;
        return 1;
    }
    if (key == BACKSPACE || key == DELETE) {
        if (typed->count) {
            show(typed, "\b \b", echo);
            while (--typed->count && ((unsigned char)typed->bytes[typed->count] & 0xC0) == 0x80)
                ; /* all bytes of the character */
        }
    } else if ((unsigned)key < ' ' && key != '\t') {
        ; /* ignored */
    } else if (typed->count == LINE_BYTES) {
        typed->is_too_long = 1;
    } else {
        const char shown[] = {(char)key, 0};
        typed->bytes[typed->count++] = (char)key;
        show(typed, shown, echo);
    }
    return 0;
}

/* ---- The state of the terminal ----------------------------------------------------------------------------------- */

const char *fw_line_newline(line *typed) {
    if (!typed->echoes || fw_line_is_message(typed))
        return "";
    typed->has_begun = 0;
    return "\n";
}

const char *fw_line_prompt(line *typed) {
    if (!typed->echoes)
        return "";
    typed->has_begun = 1;
    return "> ";
}

const char *fw_line_before_message(line *typed) {
    const int has_begun = typed->has_begun;
    typed->has_begun = 0;
    return has_begun ? "\n" : "";
}
