/* For kernels.c, kernels_chips.c and kernels_wasm.c: weights of any type of integers, from what weight_type.h says. */
#ifndef SHREW_WEIGHT_BYTES_H
#define SHREW_WEIGHT_BYTES_H

#include "weight_type.h"

/* The integer of largest magnitude; of two, the positive one. */
static inline int32_t largest_weight(uint32_t type) {
    const shrew_range range = shrew_range_of(type);
    return -range.low > range.high ? range.low : range.high;
}

/* Any integer, from random bits. */
static inline int32_t random_weight(uint32_t type, uint32_t bits) {
    const shrew_range range = shrew_range_of(type);
    return range.low + (int32_t)(bits % (uint32_t)(range.high - range.low + 1));
}

/* What a row adds to the byte that it shares. */
static inline uint8_t weight_bits(uint32_t type, uint32_t row, int32_t weight) {
    const uint32_t per_byte = shrew_rows_per_byte(type);
    return (uint8_t)((uint32_t)(weight + (int32_t)shrew_digit_of_zero(type)) << 8 / per_byte * (row % per_byte));
}

#endif
