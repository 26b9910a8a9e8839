#include "../board.h"

uint32_t board_cycles(void);
void board_fault(uint32_t cause, uint32_t address);

static char *add_hex(char *end, uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4)
        *end++ = "0123456789abcdef"[value >> shift & 15];
    return end;
}

/* Called by the exception vectors; the machine then stops. */
void board_fault(uint32_t cause, uint32_t address) {
    char text[] = "error exception 00000000 at 00000000\n";
    add_hex(text + 16, cause);
    add_hex(text + 28, address);
    board_write(text, sizeof text - 1);
}

/* Derives instructions from cycles. The cycle counter runs at 40 MHz in virtual time, and QEMU's -icount shift=6 gives
 * each instruction 64 ns, so 64 cycles are 25 instructions. Cycles are counted from the first reading; at more than two
 * cycles per instruction, rounding is exact. The counter must be read at least once in 2^32 cycles. */
uint64_t board_instructions(void) {
    static uint32_t last;
    static uint64_t cycles;
    const uint32_t now = board_cycles();
    cycles += last ? now - last : 0;
    last = now;
    return (25 * cycles + 32) >> 6;
}
