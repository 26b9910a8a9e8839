/* What the emulator port needs from a target. All targets have the same memory layout, from the first byte of RAM: 16
 * MB of program, data and stack, 32 MB for the bundle, 16 MB for sessions. */
#ifndef SHREW_BOARD_H
#define SHREW_BOARD_H

#include <stddef.h>
#include <stdint.h>

enum { BOARD_BUNDLE = 0x1000000, BOARD_MEMORY = 0x3000000, BOARD_END = 0x4000000 };

void board_write(const char *text, size_t bytes);
uint64_t board_instructions(void);

#endif
