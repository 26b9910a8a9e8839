/* What a weight type is: its integers, how bytes hold them, and which multipliers keep sums within 32 bits. A new type
 * is stated here, and kernels multiply by it; everything else asks. */
#ifndef SHREW_WEIGHT_TYPE_H
#define SHREW_WEIGHT_TYPE_H

#include "options.h"
#include "shrew.h"

/* Whether matrices may have a type in this build; vectors are f32 in every build. */
static inline int shrew_has_type(uint32_t type) {
    return type == SHREW_Q8 || (HAS_F32 && type == SHREW_F32) || (HAS_Q4 && type == SHREW_Q4) ||
           (HAS_TERNARY && type == SHREW_TERNARY);
}

typedef struct shrew_range {
    int32_t low, high;
} shrew_range;

static inline shrew_range shrew_range_of(uint32_t type) {
    return HAS_Q4 && type == SHREW_Q4             ? (shrew_range){-8, 7}
           : HAS_TERNARY && type == SHREW_TERNARY ? (shrew_range){-1, 1}
                                                  : (shrew_range){-127, 127};
}

/* Rows that share a byte, one above the other: q4 has two in it, the even row low, ternary four, the first lowest. */
static inline uint32_t shrew_rows_per_byte(uint32_t type) {
    return HAS_Q4 && type == SHREW_Q4 ? 2 : HAS_TERNARY && type == SHREW_TERNARY ? 4 : 1;
}

/* What is added to an integer to make it a digit of a byte that rows share. A byte of q8 is the integer itself. */
static inline uint32_t shrew_digit_of_zero(uint32_t type) {
    return HAS_Q4 && type == SHREW_Q4 ? 8 : HAS_TERNARY && type == SHREW_TERNARY ? 1 : 0;
}

/* The integer of a row in a byte. */
static inline int32_t shrew_integer_in(uint32_t type, uint8_t byte, uint32_t row) {
    if (HAS_Q4 && type == SHREW_Q4)
        return (byte >> 4 * (row & 1) & 15) - 8;
    if (HAS_TERNARY && type == SHREW_TERNARY)
        return (byte >> 2 * (row & 3) & 3) - 1;
    return (int8_t)byte;
}

/* Whether a byte holds an integer that its type does not have: -128, a fourth ternary digit. */
static inline int shrew_byte_is_invalid(uint32_t type, uint8_t byte) {
    return type == SHREW_Q8 ? byte == 0x80 : HAS_TERNARY && type == SHREW_TERNARY ? (byte & byte >> 1 & 0x55) != 0 : 0;
}

/* Columns that share a multiplier; 0: all of a row, without multipliers. */
static inline int shrew_group_is_valid(uint32_t group) {
    return group % SHREW_GROUP_STEP == 0 && group <= SHREW_MAX_GROUP;
}

enum { ACTIVATION_LIMIT = 511 }; /* largest magnitude of a quantised activation: ten bits */

/* Largest magnitude of a multiplier, for which a row of cols products stays below 2^31. */
static inline uint32_t shrew_multiplier_limit(uint32_t type, uint32_t cols) {
    const uint32_t largest = (uint32_t)-shrew_range_of(type).low;
    const uint32_t limit = 0x7FFFFFFFu / (((cols + 15) & ~15u) * largest * ACTIVATION_LIMIT);
    return limit < 127 ? limit : 127;
}

#endif
