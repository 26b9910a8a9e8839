/* What the emulator port needs of a target. Memory is laid out alike on all of them, from the first byte of RAM:
 * program, data and stack 16 MB, the bundle 32 MB, memory for sessions 16 MB. */
#ifndef SHREW_BOARD_H
#define SHREW_BOARD_H

#include <stddef.h>
#include <stdint.h>

enum { BOARD_BUNDLE = 0x1000000, BOARD_MEMORY = 0x3000000, BOARD_END = 0x4000000 };

void board_write(const char *text, size_t bytes);
uint64_t board_instructions(void);

#endif
