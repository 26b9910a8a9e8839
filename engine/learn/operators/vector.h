/* Vectors of LANES floats and mathematical functions on them. A unit's file defines UNIT and LANES and includes this
 * once. The code uses the vector types of GCC and clang, and works with a plain float as well. Intrinsics replace only
 * what compilers make slow. Every function propagates NaN. */
#ifndef SHREW_LEARN_VECTOR_H
#define SHREW_LEARN_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

/* ---- The type ---------------------------------------------------------------------------------------------------- */

#if LANES == 1

typedef float vec;
typedef uint32_t lanes; /* integers; a comparison sets all bits of a lane where it holds */

INLINE lanes bits_of(vec x) {
    const union { vec value; lanes bits; } view = {.value = x};
    return view.bits;
}
INLINE vec of_bits(lanes x) {
    const union { lanes bits; vec value; } view = {.bits = x};
    return view.value;
}
INLINE vec load(const float *from) {
    return *from;
}
INLINE void store(float *to, vec x) {
    *to = x;
}
INLINE vec splat(float x) {
    return x;
}
INLINE lanes splat_bits(uint32_t x) {
    return x;
}
INLINE lanes less(vec a, vec b) {
    return 0u - (lanes)(a < b);
}
INLINE float lane(vec x, uint32_t i) {
    (void)i;
    return x;
}

#else

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));
typedef float vec_anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE lanes bits_of(vec x) {
    return (lanes)x;
}
INLINE vec of_bits(lanes x) {
    return (vec)x;
}
INLINE vec load(const float *from) {
    return *(const vec_anywhere *)from;
}
INLINE void store(float *to, vec x) {
    *(vec_anywhere *)to = x;
}
INLINE vec splat(float x) {
    return x - (vec){0.0f};
}
INLINE lanes splat_bits(uint32_t x) {
    return x - (lanes){0};
}
INLINE lanes less(vec a, vec b) {
    return (lanes)(a < b);
}
INLINE float lane(vec x, uint32_t i) {
    return x[i];
}

#endif

INLINE vec where(lanes where, vec yes, vec no) {
    return of_bits((bits_of(yes) & where) | (bits_of(no) & ~where));
}

/* 0, 1, 2 ... */
INLINE vec counting(void) {
    float numbers[LANES];
    UNROLLED for (uint32_t i = 0; i < LANES; i++)
        numbers[i] = (float)i;
    return load(numbers);
}

/* ---- Operations that units have instructions for ----------------------------------------------------------------- */

#if LANES == 16 && defined(__x86_64__)

INLINE vec mul_add(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vec larger(vec a, vec b) {
    return _mm512_max_ps(a, b); /* b if either is NaN */
}
INLINE vec smaller(vec a, vec b) {
    return _mm512_min_ps(a, b);
}
INLINE vec square_root(vec x) {
    return _mm512_sqrt_ps(x);
}
INLINE vec load_first(const float *from, size_t count) {
    if (count >= LANES)
        return load(from);
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
}
INLINE void store_first(float *to, size_t count, vec x) {
    if (count >= LANES)
        store(to, x);
    else
        _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), x);
}
INLINE float sum_of(vec x) {
    return _mm512_reduce_add_ps(x);
}
/* a0 b0 a1 b1 ... */
INLINE void interleave(vec a, vec b, vec *low, vec *high) {
    const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    *low = _mm512_permutex2var_ps(a, first, b);
    *high = _mm512_permutex2var_ps(a, _mm512_add_epi32(first, _mm512_set1_epi32(8)), b);
}

#else

#if LANES == 8 && defined(__x86_64__)
INLINE vec mul_add(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vec larger(vec a, vec b) {
    return _mm256_max_ps(a, b);
}
INLINE vec smaller(vec a, vec b) {
    return _mm256_min_ps(a, b);
}
INLINE vec square_root(vec x) {
    return _mm256_sqrt_ps(x);
}
INLINE void interleave(vec a, vec b, vec *low, vec *high) {
    const vec even = _mm256_unpacklo_ps(a, b), odd = _mm256_unpackhi_ps(a, b);
    *low = _mm256_permute2f128_ps(even, odd, 0x20);
    *high = _mm256_permute2f128_ps(even, odd, 0x31);
}
#else
INLINE vec mul_add(vec a, vec b, vec c) {
    return a * b + c;
}
INLINE vec larger(vec a, vec b) {
    return where(less(b, a), a, b); /* b if either is NaN */
}
INLINE vec smaller(vec a, vec b) {
    return where(less(a, b), a, b);
}
/* x times 1 / sqrt(x), which three Newton steps refine from an estimate of its bits. 0 for 0. */
INLINE vec square_root(vec x) {
    vec y = of_bits(splat_bits(0x5F375A86) - (bits_of(x) >> 1));
    for (int i = 0; i < 3; i++)
        y = y * (splat(1.5f) - splat(0.5f) * x * y * y);
    return x * y;
}
/* a0 b0 a1 b1 ... */
INLINE void interleave(vec a, vec b, vec *low, vec *high) {
    float mixed[2 * LANES];
    UNROLLED for (uint32_t i = 0; i < LANES; i++) {
        mixed[2 * i] = lane(a, i);
        mixed[2 * i + 1] = lane(b, i);
    }
    *low = load(mixed);
    *high = load(mixed + LANES);
}
#endif

INLINE vec load_first(const float *from, size_t count) {
    float values[LANES] = {0.0f};
    if (count >= LANES)
        return load(from);
    for (size_t i = 0; i < count; i++)
        values[i] = from[i];
    return load(values);
}
INLINE void store_first(float *to, size_t count, vec x) {
    if (count >= LANES)
        store(to, x);
    else
        for (uint32_t i = 0; i < count; i++)
            to[i] = lane(x, i);
}
INLINE float sum_of(vec x) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < LANES; i++)
        sum += lane(x, i);
    return sum;
}

#endif

/* 1 / sqrt(x) */
INLINE float inverse_root(float x) {
    return 1.0f / lane(square_root(splat(x)), 0);
}

INLINE float largest_of(vec x) {
    float most = lane(x, 0);
    for (uint32_t i = 1; i < LANES; i++)
        most = lane(x, i) > most ? lane(x, i) : most;
    return most;
}

/* ---- Exponentials and logarithms --------------------------------------------------------------------------------- */

/* A power of two is computed from an integer and a fraction from -1/2 to 1/2. Adding 1.5 * 2^23 plus the exponent bias
 * rounds a number to an integer, and leaves the biased exponent in the low bits. */
#define ROUNDER 12583039.0f

/* 2^(rounded - ROUNDER + fraction), where -127 stands for 0 and 128 for infinity. */
INLINE vec exp2_of_parts(vec rounded, vec fraction) {
    vec power = splat(1.32764712e-3f);
    power = mul_add(power, fraction, splat(9.67554189e-3f));
    power = mul_add(power, fraction, splat(5.55071309e-2f));
    power = mul_add(power, fraction, splat(2.40221202e-1f));
    power = mul_add(power, fraction, splat(6.93146944e-1f));
    power = mul_add(power, fraction, splat(1.0f));
    return power * of_bits(bits_of(rounded) << 23);
}

/* 2^x within 3 ulp for x below 128; 0 below -126.5. */
INLINE vec exp2_of(vec x) {
    x = larger(splat(-127.0f), x);
    const vec rounded = x + splat(ROUNDER);
    return exp2_of_parts(rounded, x - (rounded - splat(ROUNDER)));
}

/* e^x within 4 ulp if mul_add is fused; 0 below -87.7, infinity above 88.7. */
INLINE vec exp_of(vec x) {
    const vec log2_e = splat(1.44269502f), rest = splat(1.92596303e-8f); /* their sum is log2(e) */
    x = smaller(splat(88.8f), larger(splat(-88.0f), x));
    const vec rounded = mul_add(x, log2_e, splat(ROUNDER)), whole = rounded - splat(ROUNDER);
    return exp2_of_parts(rounded, mul_add(x, rest, mul_add(x, log2_e, splat(0.0f) - whole)));
}

/* 1 / (1 + e^-x) */
INLINE vec sigmoid_of(vec x) {
    return splat(1.0f) / (splat(1.0f) + exp_of(splat(0.0f) - x));
}

/* log2(x) for x at least 2^-126. With m in [sqrt(1/2), sqrt(2)): log2(m) is odd in s = (m - 1) / (m + 1). */
INLINE vec log2_of(vec x) {
    const lanes exponent = (bits_of(x) + splat_bits(0x3F800000 - 0x3F3504F3)) >> 23; /* plus 127 */
    const vec m = of_bits(bits_of(x) - ((exponent - splat_bits(127)) << 23));
    const vec whole = of_bits(exponent | splat_bits(0x4B000000)) - splat(8388735.0f); /* 2^23 + 127 */
    const vec s = (m - splat(1.0f)) / (m + splat(1.0f)), s2 = s * s;
    vec series = splat(0.320598898f); /* 2 log2(e) / 9, / 7, / 5, / 3, / 1 */
    series = mul_add(series, s2, splat(0.412198583f));
    series = mul_add(series, s2, splat(0.577078016f));
    series = mul_add(series, s2, splat(0.961796694f));
    series = mul_add(series, s2, splat(2.88539008f));
    return mul_add(series, s, whole) + (x - x); /* turns infinity and NaN, whose bits gave a number, into NaN */
}

#endif
