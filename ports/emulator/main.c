/* The port for a bare machine under QEMU: runs the bundle that the emulator's loader has put into memory. */
#include "board.h"
#include "jobs.h"

enum { PAINTED_WORDS = 0x4000 };

/* A word that the engine is unlikely to store. */
static const uint32_t PAINT = 0xA5C3E187;

static void write_line(void *context, const char *text, size_t bytes) {
    (void)context;
    board_write(text, bytes);
}

static uint64_t instructions(void *context) {
    (void)context;
    return board_instructions();
}

/* Painting starts slightly below the painter's own frame. The gap counts as used. */
enum { OWN_FRAME_WORDS = 16 };

static void stack_paint(void *context) {
    volatile uint32_t *top = (volatile uint32_t *)__builtin_frame_address(0) - OWN_FRAME_WORDS;
    (void)context;
    for (uint32_t i = 1; i <= PAINTED_WORDS; i++)
        top[-(int32_t)i] = PAINT;
}

static uint32_t stack_bytes(void *context) {
    volatile uint32_t *top = (volatile uint32_t *)__builtin_frame_address(0) - OWN_FRAME_WORDS;
    uint32_t used = PAINTED_WORDS;
    (void)context;
    while (used && top[-(int32_t)used] == PAINT)
        used--;
    return (used + OWN_FRAME_WORDS) * (uint32_t)sizeof *top;
}

int main(void) {
    uint8_t *ram = (uint8_t *)BOARD_RAM;
    const port port = {
        .line = write_line,
        .instructions = instructions,
        .stack_paint = stack_paint,
        .stack_bytes = stack_bytes,
        .memory = ram + BOARD_MEMORY,
        .memory_bytes = BOARD_END - BOARD_MEMORY,
    };
    return jobs_run(&port, ram + BOARD_BUNDLE, BOARD_MEMORY - BOARD_BUNDLE);
}
