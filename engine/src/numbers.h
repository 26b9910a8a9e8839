/* The engine's own arithmetic: IEEE 754 binary32 addition and multiplication, integer operations on the bits, and
 * nothing else, so that every target computes the same bits. Compile without contraction (-ffp-contract=off) and
 * without -ffast-math. tests/engine/test_numbers.py checks the stated bounds over dense samples. */
#ifndef SHREW_NUMBERS_H
#define SHREW_NUMBERS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || (defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0)
#error "Shrew's arithmetic needs plain binary32: no -ffast-math, no x87 (on 32-bit x86: -msse2 -mfpmath=sse)"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__FP_FAST_FMAF) && !defined(__STRICT_ANSI__) && !defined(SHREW_NO_CONTRACTION)
#error "Compile with -std=c99, or with -ffp-contract=off -DSHREW_NO_CONTRACTION: fused multiply-adds change results"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Model images are used in place and are little-endian"
#endif

/* A union instead of memcpy, which freestanding builds would compile to a call. */
typedef union shrew_float_view {
    float value;
    uint32_t bits;
} shrew_float_view;

static inline uint32_t float_bits(float value) {
    const shrew_float_view view = {.value = value};
    return view.bits;
}

static inline float bits_float(uint32_t bits) {
#if defined(__XTENSA__) && defined(__clang__)
    __asm__("" : "+r"(bits)); /* LLVM 22 crashes if it sees a choice between two constants */
#endif
    const shrew_float_view view = {.bits = bits};
    return view.value;
}

/* The bits of |value|. They order like the magnitudes, with infinity and NaN above everything. */
static inline uint32_t magnitude_bits(float value) {
    return float_bits(value) & 0x7FFFFFFFu;
}

/* An integer that orders like the float, equal for both zeros. Faster to compare where floats are emulated. */
static inline int32_t float_rank(float value) {
    const int32_t magnitude = (int32_t)magnitude_bits(value);
    return float_bits(value) >> 31 ? -magnitude : magnitude;
}

static inline int is_finite(float value) {
    return magnitude_bits(value) < 0x7F800000u;
}

enum { TWO_POW_MINUS_100 = 0x0D800000, TWO_POW_100 = 0x71800000 }; /* as bits */

/* To the nearest integer, ties to even; |value| < 2^22. Adding 1.5 * 2^23 leaves the integer in the mantissa. */
static inline int32_t round_to_int(float value) {
    return (int32_t)(float_bits(value + 12582912.0f) - 0x4B400000u);
}

#if defined(__riscv) && !defined(__riscv_flen)
#define SHREW_SOFT_FLOAT /* float operations are calls into soft_float.c, which also has combined operations */
int32_t shrew_round_product(float a, float b);
void shrew_scale_sums(float *y, const int32_t *sums, const float *scales, float scale, uint32_t count);
#else
/* round_to_int(a * b) */
static inline int32_t shrew_round_product(float a, float b) {
    return round_to_int(a * b);
}
#endif

uint32_t shrew_largest_magnitude(const float *values, uint32_t count); /* as bits; above those of infinity: NaN */
int shrew_all_finite(const float *values, size_t count);
float shrew_reciprocal(float value); /* 1 / value for 2^-100 < value < 2^100, within 2 ulp */
float shrew_rsqrt(float value);      /* 1 / sqrt(value) for 2^-100 < value < 2^100, within 3 ulp */
float shrew_exp(float value);        /* e^value within 3 ulp; 0 below -87, e^88 above 88 */
float shrew_sigmoid(float value);    /* 1 / (1 + e^-value) */
float shrew_tanh(float value);
void shrew_sincos(float angle, float *sine, float *cosine); /* within 2e-7 up to 300, 5e-7 up to 40000 */

#endif
