/* What the commands of the console do. */
#ifndef SHREW_COMMANDS_H
#define SHREW_COMMANDS_H

#include <stddef.h>

/* when_answered is called, on the answering task, after the answer to an `ask`. */
void fw_commands_start(void (*when_answered)(void));

/* Runs one line, which it changes, and prints what comes of it. An `ask` is answered later. */
void fw_commands_run(char *line, size_t bytes);

/* Whether an `ask` is still being answered, and to end it. */
int fw_commands_are_busy(void);
void fw_commands_cancel(void);

#endif
