/* Arrays in the caller's memory, each aligned to a cache line: a vector that straddles two lines takes twice the
 * time. */
#ifndef SHREW_LEARN_MEMORY_H
#define SHREW_LEARN_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum { LINE = 16 }; /* floats per cache line */

static inline size_t whole_lines(size_t floats) {
    return (floats + LINE - 1) / LINE * LINE;
}

/* Takes an array from the front of `memory`. */
static inline float *take(float **memory, size_t floats) {
    float *const taken = *memory;
    *memory += whole_lines(floats);
    return taken;
}

/* The first line boundary in `memory`, which needs LINE extra floats for this. */
static inline float *at_line(float *memory) {
    return memory + (LINE - (uintptr_t)memory / sizeof(float) % LINE) % LINE;
}

#endif
