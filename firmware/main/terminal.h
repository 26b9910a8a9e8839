/* The serial line, or stdin on Linux: commands from people, and messages of the chat protocol from programs, one per
 * line. */
#ifndef SHREW_TERMINAL_H
#define SHREW_TERMINAL_H

void fw_terminal_start(void);

/* Reads and executes lines on the caller's task. Returns at the end of the input, which only stdin has. */
void fw_terminal_run(void);

#endif
