/* Integer arithmetic that replaces floats in work per element: softmax, sigmoid, the scales of the KV cache. Every step
 * fits 32 bits, so a core without a floating-point unit and a vector unit of any width compute the same bits. */
#ifndef SHREW_FIXED_H
#define SHREW_FIXED_H

#include "numbers.h"

/* 2^-(u / 4096) in units of 2^-15, for u < 65536: 32768 at 0, monotonically decreasing, within 9.4e-5 of the exact
 * value. A cubic for the fraction (coefficients found by integer search), then a shift. */
static inline uint32_t shrew_exp2_fixed(uint32_t u) {
    const uint32_t f = (u & 4095) << 4; /* fraction in units of 2^-16 */
    uint32_t t = 1310 * f >> 16;
    t = (7594 - t) * f >> 16;
    t = (22670 - t) * f >> 16;
    return (32768 - t) >> (u >> 12);
}

enum { BITS_OF_65535 = 0x477FFF00 }; /* as a float; non-negative floats and NaN order like their bits */

/* 1 / (1 + e^-value) in units of 2^-15, rounded towards 1/2 times 2^15. NaN gives an arbitrary value; callers multiply
 * it by the NaN. */
static inline uint32_t shrew_sigmoid_fixed(float value) {
    const float t = bits_float(magnitude_bits(value)) * 5909.27888f; /* 4096 / ln 2 */
    const uint32_t e = float_bits(t) < BITS_OF_65535 ? shrew_exp2_fixed((uint32_t)round_to_int(t)) : 0;
    const uint32_t positive = (1u << 30) / (32768 + e);
    return float_bits(value) >> 31 ? 32768 - positive : positive;
}

/* The scale of a cached key or value is one byte: (8 + code % 8) * 2^(code / 8 - SCALE_BIAS), 2^-22 to 960. */
enum { SCALE_BIAS = 25, SCALE_CODE_OF_ZERO_EXPONENT = 840 };

/* The smallest code whose scale is at least the given one, or the largest code beyond the range. scale >= 0. */
static inline uint32_t shrew_scale_code(float scale) {
    const uint32_t top = (float_bits(scale) + 0xFFFFF) >> 20; /* exponent and three bits of mantissa, rounded up */
    return top < SCALE_CODE_OF_ZERO_EXPONENT         ? 0
           : top > SCALE_CODE_OF_ZERO_EXPONENT + 255 ? 255
                                                     : top - SCALE_CODE_OF_ZERO_EXPONENT;
}

static inline float shrew_scale_of_code(uint32_t code) {
    return bits_float((code + SCALE_CODE_OF_ZERO_EXPONENT) << 20);
}

/* The reciprocal of a code's scale, within 1 ulp. */
static inline float shrew_inverse_of_code(uint32_t code) {
    static const float inverse[8] = {1.0f / 8,  1.0f / 9,  1.0f / 10, 1.0f / 11,
                                     1.0f / 12, 1.0f / 13, 1.0f / 14, 1.0f / 15};
    return inverse[code & 7] * bits_float((uint32_t)(127 + SCALE_BIAS - (int32_t)(code >> 3)) << 23);
}

/* 2^exponent for -126 <= exponent <= 127. */
static inline float shrew_power_of_two(int32_t exponent) {
    return bits_float((uint32_t)(exponent + 127) << 23);
}

/* A positive float as mantissa * 2^-shift, 2^15 <= mantissa < 2^16, 0 <= shift <= 31. Larger values saturate at the
 * largest such number, smaller ones at the smallest. */
typedef struct shrew_fixed_factor {
    uint32_t mantissa, shift;
} shrew_fixed_factor;

static inline shrew_fixed_factor shrew_fix(float value) {
    const int32_t shift = 127 + 15 - (int32_t)(float_bits(value) >> 23);
    const uint32_t mantissa = (float_bits(value) & 0x7FFFFF) >> 8 | 0x8000;
    return shift < 0    ? (shrew_fixed_factor){0xFFFF, 0}
           : shift > 31 ? (shrew_fixed_factor){0x8000, 31}
                        : (shrew_fixed_factor){mantissa, (uint32_t)shift};
}

/* inverse: a query times this is int8. factor: log2(e) times the query's scale times share. */
typedef struct shrew_query_scaling {
    float inverse, factor;
} shrew_query_scaling;

static inline shrew_query_scaling shrew_query_scale(uint32_t largest, float share) {
    const int within = largest >= TWO_POW_MINUS_100 && largest < TWO_POW_100;
    const float magnitude = bits_float(largest);
    const shrew_query_scaling none = {0.0f, 0.0f};
    const shrew_query_scaling scale = {127.0f * shrew_reciprocal(magnitude),
                                       magnitude * (1.44269504f / 127.0f) * share};
    return within ? scale : none;
}

/* The largest exponent among scale codes. */
static inline uint32_t shrew_largest_exponent(const uint8_t *codes, uint32_t count) {
    uint32_t most = 0;
    for (uint32_t t = 0; t < count; t++)
        if (codes[t] > most)
            most = codes[t];
    return most >> 3;
}

/* A value times the mantissa of its scale, shifted to the largest exponent. */
static inline int32_t shrew_align(int32_t value, uint32_t code, uint32_t exponent) {
    return value * (int32_t)(8 + (code & 7)) >> (exponent - (code >> 3));
}

/* By how many bits to narrow the softmax weights, so that they sum to at most 2^24 and sums of their products with
 * values stay in 32 bits. sum: of the softmax numerators. */
static inline uint32_t shrew_narrowing(uint32_t sum) {
    uint32_t narrow = 0;
    while (sum >> narrow > 1u << 24)
        narrow++;
    return narrow;
}

/* The scale of a sum of weighted int8 values. exponent: the largest among the values' scales. */
static inline float shrew_mixed_scale(uint32_t sum, uint32_t exponent, uint32_t narrow) {
    return shrew_reciprocal((float)sum) * shrew_power_of_two((int32_t)(exponent + 4 + narrow) - SCALE_BIAS);
}

#endif
