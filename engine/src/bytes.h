/* Reads numbers from an image. They are little-endian, like every machine that Shrew runs on (numbers.h). */
#ifndef SHREW_BYTES_H
#define SHREW_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* The aligned_ functions read at multiples of the number's size. */
static inline uint32_t aligned_u16(const void *number) {
    return *(const uint16_t *)number;
}

static inline uint32_t aligned_u32(const void *number) {
    return *(const uint32_t *)number;
}

/* The read_ functions read at any address. */
static inline uint32_t read_u16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static inline uint32_t read_u32(const uint8_t *bytes) {
    return read_u16(bytes) | read_u16(bytes + 2) << 16;
}

/* The next multiple of an alignment. */
static inline uint64_t shrew_aligned(uint64_t offset, uint32_t alignment) {
    return (offset + alignment - 1) / alignment * alignment;
}

/* memcmp is not among the few functions that the engine asks of its surroundings. */
static inline int bytes_equal(const void *a, const void *b, size_t count) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < count; i++)
        if (x[i] != y[i])
            return 0;
    return 1;
}

static inline int all_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i])
            return 0;
    return 1;
}

#endif
