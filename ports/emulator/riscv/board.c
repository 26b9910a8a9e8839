#include "../board.h"

#include <semihost.h>
#include <stdio.h>

void board_write(const char *text, size_t bytes) {
    while (bytes--)
        sys_semihost_putc(*text++, stdout);
}

/* Reads the two halves of minstret, again if the upper one changes in between. */
uint64_t board_instructions(void) {
    uint32_t low, high, again;
    do
        __asm__ volatile(".option push\n.option arch, +zicsr\n"
                         "csrr %0, minstreth\n"
                         "csrr %1, minstret\n"
                         "csrr %2, minstreth\n"
                         ".option pop"
                         : "=r"(high), "=r"(low), "=r"(again));
    while (high != again);
    return (uint64_t)high << 32 | low;
}
