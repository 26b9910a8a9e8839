/* The commands of the console. */
#ifndef SHREW_COMMANDS_H
#define SHREW_COMMANDS_H

#include <stddef.h>

/* when_answered is called on the answering task after the answer to an `ask`. */
void fw_commands_start(void (*when_answered)(void));

/* Runs and modifies one line, and prints the result. An `ask` is answered later. */
void fw_commands_run(char *line, size_t bytes);

/* Whether an `ask` is still being answered; and cancels it. */
int fw_commands_are_busy(void);
void fw_commands_cancel(void);

#endif
