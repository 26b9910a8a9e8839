/* The serial line, and stdin on Linux: commands for people, and messages of the chat protocol for programs, a line each. */
#ifndef SHREW_TERMINAL_H
#define SHREW_TERMINAL_H

void fw_terminal_start(void);

/* Reads lines and does what they ask, on the task of the caller; returns where the input ends, which only stdin does. */
void fw_terminal_run(void);

#endif
