/* Shared by the AVX-512 files, which need F, BW, DQ, VL and VNNI.
 *
 * An activation x is stored as two bytes, x = 16 * high + low with high in -32 .. 32 and low in -8 .. 7, in two planes,
 * because the unit multiplies unsigned bytes by signed ones, 64 at a time. The other factor gets a zero point added to
 * be unsigned, and the zero point's contribution is subtracted from the sum. */
#ifndef SHREW_AVX512_VECTORS_H
#define SHREW_AVX512_VECTORS_H

#include "compiler.h"
#include "fixed.h"
#include "kernels/kernels.h"

#include <immintrin.h>

#define FOR_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

enum { ZERO_POINT_Q8 = 128 };

float shrew_avx512_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums);
void shrew_avx512_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count);
uint32_t shrew_avx512_store_heads(const shrew_token_heads *t);
void shrew_avx512_multiply_q8(const shrew_product *p, uint32_t first, uint32_t last);
void shrew_avx512_multiply_q4(const shrew_product *p, uint32_t first, uint32_t last);
void shrew_avx512_multiply_ternary(const shrew_product *p, uint32_t first, uint32_t last);
void shrew_avx512_attend(const shrew_span *s);
void shrew_avx512_attend_block(const shrew_span_block *b);

INLINE FOR_AVX512 __mmask64 first_bytes(uint32_t count) {
    return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

INLINE FOR_AVX512 __mmask16 first_lanes(uint32_t count) {
    return count < 16 ? (__mmask16)((1u << count) - 1) : 0xFFFF;
}

INLINE FOR_AVX512 uint32_t at_most(uint32_t value, uint32_t limit) {
    return value < limit ? value : limit;
}

INLINE FOR_AVX512 uint32_t at_least(uint32_t value, uint32_t limit) {
    return value > limit ? value : limit;
}

INLINE FOR_AVX512 __m512i join_planes(__m512i high, __m512i low) {
    return _mm512_add_epi32(_mm512_slli_epi32(high, 4), low);
}

INLINE FOR_AVX512 __m512i broadcast_dword(const void *from) {
    int32_t value;
    memcpy(&value, from, sizeof value);
    return _mm512_set1_epi32(value);
}

/* Reduces two sums of 16 lanes to two of eight. */
INLINE FOR_AVX512 __m512i fold2(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xEE));
}

/* Reduces twice two sums of eight lanes to four of four. */
INLINE FOR_AVX512 __m512i fold4(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

/* Reduces four times four sums of four lanes to 16 sums, those of q[0] first. */
INLINE FOR_AVX512 __m512i fold16(const __m512i q[4]) {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(q[0], q[1]), _mm512_unpackhi_epi32(q[0], q[1]));
    const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(q[2], q[3]), _mm512_unpackhi_epi32(q[2], q[3]));
    return _mm512_permutexvar_epi32(order, _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)));
}

/* Transposes 16 x 16 dwords. */
INLINE FOR_AVX512 void avx512_transpose(__m512i v[16]) {
    __m512i a[16];
    for (uint32_t i = 0; i < 16; i += 4) {
        const __m512i low01 = _mm512_unpacklo_epi32(v[i], v[i + 1]), high01 = _mm512_unpackhi_epi32(v[i], v[i + 1]);
        const __m512i low23 = _mm512_unpacklo_epi32(v[i + 2], v[i + 3]);
        const __m512i high23 = _mm512_unpackhi_epi32(v[i + 2], v[i + 3]);
        a[i] = _mm512_unpacklo_epi64(low01, low23);
        a[i + 1] = _mm512_unpackhi_epi64(low01, low23);
        a[i + 2] = _mm512_unpacklo_epi64(high01, high23);
        a[i + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
    for (uint32_t i = 0; i < 4; i++) {
        const __m512i even01 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
        const __m512i odd01 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xDD);
        const __m512i even23 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
        const __m512i odd23 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xDD);
        v[i] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        v[i + 4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(even01, even23, 0xDD);
        v[i + 12] = _mm512_shuffle_i32x4(odd01, odd23, 0xDD);
    }
}

/* shrew_exp2_fixed of each of 32 words. */
INLINE FOR_AVX512 __m512i exp2_fixed(__m512i u) {
    const __m512i f = _mm512_slli_epi16(u, 4);
    __m512i t = _mm512_mulhi_epu16(_mm512_set1_epi16(1310), f);
    t = _mm512_mulhi_epu16(_mm512_sub_epi16(_mm512_set1_epi16(7594), t), f);
    t = _mm512_mulhi_epu16(_mm512_sub_epi16(_mm512_set1_epi16(22670), t), f);
    return _mm512_srlv_epi16(_mm512_sub_epi16(_mm512_set1_epi16(INT16_MIN), t), _mm512_srli_epi16(u, 12));
}

#endif
