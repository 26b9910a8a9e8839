/* x86-64 with AVX2. Activations stay 16-bit, weights are widened to 16 bits, and the unit adds products of
 * neighbours. */
#include "compiler.h"
#include "fixed.h"
#include "kernels/kernels.h"

#ifdef SHREW_X86

#include <immintrin.h>

#define FOR_AVX2 __attribute__((target("avx2")))

INLINE FOR_AVX2 uint32_t avx2_at_most(uint32_t value, uint32_t limit) {
    return value < limit ? value : limit;
}

/* A mask with all bits set in the first lanes. */
INLINE FOR_AVX2 __m256i avx2_first_lanes(uint32_t count) {
    const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)avx2_at_most(count, 8)), lanes);
}

INLINE FOR_AVX2 __m128i load_16(const void *from) {
    return _mm_loadu_si128((const __m128i *)from);
}

INLINE FOR_AVX2 __m256i load_32(const void *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}

INLINE FOR_AVX2 __m128i load_8(const void *from) {
    return _mm_loadl_epi64((const __m128i *)from);
}

INLINE FOR_AVX2 void avx2_store_first(float *to, uint32_t count, __m256 values) {
    if (count >= 8)
        _mm256_storeu_ps(to, values);
    else
        _mm256_maskstore_ps(to, avx2_first_lanes(count), values);
}

/* ---- Quantising activations ------------------------------------------------------------------------------------- */

INLINE FOR_AVX2 uint32_t avx2_largest_lane(__m256i v) {
    __m128i most = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0x4E));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(most);
}

INLINE FOR_AVX2 __m256i round_lanes(__m256 value) {
    const __m256i bits = _mm256_castps_si256(_mm256_add_ps(value, _mm256_set1_ps(12582912.0f)));
    return _mm256_sub_epi32(bits, _mm256_set1_epi32(0x4B400000));
}

/* No clamping to 511 as in the reference: the reciprocal is within 2 ulp, so no value exceeds 511. */
static FOR_AVX2 float avx2_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums) {
    const uint32_t padded = (cols + 15) & ~15u;
    __m256i most = _mm256_setzero_si256();
    for (uint32_t i = 0; i < cols; i += 8) {
        const __m256 v = _mm256_maskload_ps(x + i, avx2_first_lanes(cols - i));
        most = _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7FFFFFFF)));
    }
    const uint32_t largest = avx2_largest_lane(most);
    if (largest < TWO_POW_MINUS_100 || largest >= TWO_POW_100) {
        memset(values, 0, padded * sizeof *values);
        memset(sums, 0, padded / 16 * sizeof *sums);
        return largest < TWO_POW_100 ? 0.0f : bits_float(0x7FC00000u);
    }
    const float magnitude = bits_float(largest);
    const __m256 inverse = _mm256_set1_ps((float)ACTIVATION_LIMIT * shrew_reciprocal(magnitude));
    for (uint32_t i = 0; i < padded; i += 16) {
        __m256i half[2];
        for (uint32_t j = 0; j < 2; j++) {
            const uint32_t at = i + 8 * j;
            const __m256i there = avx2_first_lanes(at < cols ? cols - at : 0);
            half[j] = round_lanes(_mm256_mul_ps(_mm256_maskload_ps(x + at, there), inverse));
        }
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(half[0], half[1]), 0xD8);
        _mm256_storeu_si256((__m256i *)(void *)(values + i), words);
        const __m256i sum = _mm256_add_epi32(half[0], half[1]);
        __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
        sums[i / 16] = (int16_t)_mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
    }
    return magnitude * (1.0f / ACTIVATION_LIMIT);
}

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* Reduces four rows' sums of eight lanes to four sums, in the order that kernels.h specifies for floats. */
INLINE FOR_AVX2 __m128 avx2_add_lanes(const __m256 rows[4]) {
    __m128 lane[4];
    for (uint32_t i = 0; i < 4; i++)
        lane[i] = _mm_add_ps(_mm256_castps256_ps128(rows[i]), _mm256_extractf128_ps(rows[i], 1));
    _MM_TRANSPOSE4_PS(lane[0], lane[1], lane[2], lane[3]);
    return _mm_add_ps(_mm_add_ps(lane[0], lane[2]), _mm_add_ps(lane[1], lane[3]));
}

INLINE FOR_AVX2 void store_four(float *to, uint32_t count, __m128 values) {
    if (count >= 4)
        _mm_storeu_ps(to, values);
    else
        _mm_maskstore_ps(to, _mm256_castsi256_si128(avx2_first_lanes(count)), values);
}

/* Four rows for a constant number of tokens, starting at `first`. */
INLINE FOR_AVX2 void multiply_f32_tile(const shrew_product *p, uint32_t row, uint32_t last, uint32_t first,
                                       uint32_t tokens) {
    const shrew_tensor *w = p->weight;
    const float *rows[4], *x = p->x + (size_t)first * p->x_stride;
    __m256 sums[2][4];
    for (uint32_t i = 0; i < 4; i++) {
        const size_t at = (size_t)avx2_at_most(row + i, last - 1) * w->stride;
        rows[i] = (const float *)(const void *)((const uint8_t *)w->data + at);
        sums[0][i] = sums[1][i] = _mm256_setzero_ps();
    }
    uint32_t c = 0;
    for (; c + 8 <= w->cols; c += 8)
        UNROLLED for (uint32_t i = 0; i < 4; i++) {
            const __m256 weights = _mm256_loadu_ps(rows[i] + c);
            UNROLLED for (uint32_t t = 0; t < tokens; t++) {
                const __m256 values = _mm256_loadu_ps(x + (size_t)t * p->x_stride + c);
                sums[t][i] = _mm256_add_ps(sums[t][i], _mm256_mul_ps(weights, values));
            }
        }
    if (c < w->cols) { /* a sum that began as +0 is unchanged by the +0 of missing lanes */
        const __m256i there = avx2_first_lanes(w->cols - c);
        UNROLLED for (uint32_t i = 0; i < 4; i++) {
            const __m256 weights = _mm256_maskload_ps(rows[i] + c, there);
            UNROLLED for (uint32_t t = 0; t < tokens; t++) {
                const __m256 values = _mm256_maskload_ps(x + (size_t)t * p->x_stride + c, there);
                sums[t][i] = _mm256_add_ps(sums[t][i], _mm256_mul_ps(weights, values));
            }
        }
    }
    for (uint32_t t = 0; t < tokens; t++)
        store_four(p->y + (size_t)(first + t) * p->y_stride + row, last - row, avx2_add_lanes(sums[t]));
}

FOR_AVX2 float shrew_avx2_dot(const float *a, const float *b, uint32_t count) {
    __m256 lanes = _mm256_setzero_ps();
    for (uint32_t i = 0; i < count; i += 8) {
        const __m256i there = avx2_first_lanes(count - i);
        lanes = _mm256_add_ps(lanes, _mm256_mul_ps(_mm256_maskload_ps(a + i, there), _mm256_maskload_ps(b + i, there)));
    }
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

FOR_AVX2 void shrew_avx2_multiply_f32(const shrew_product *p, uint32_t first, uint32_t last) {
    for (uint32_t row = first; row < last; row += 4) {
        uint32_t t = 0;
        for (; t + 2 <= p->tokens; t += 2)
            multiply_f32_tile(p, row, last, t, 2);
        if (t < p->tokens)
            multiply_f32_tile(p, row, last, t, 1);
    }
}

/* Loads sixteen columns of four rows. */
INLINE FOR_AVX2 void load_weights(__m256i weights[4], uint32_t type, const uint8_t *const rows[4], uint32_t c) {
    if (type == SHREW_Q8) {
        UNROLLED for (uint32_t i = 0; i < 4; i++)
            weights[i] = _mm256_cvtepi8_epi16(load_16(rows[i] + c));
    } else if (type == SHREW_Q4) {
        UNROLLED for (uint32_t i = 0; i < 4; i += 2) {
            const __m256i bytes = _mm256_cvtepu8_epi16(load_16(rows[i] + c)), zero = _mm256_set1_epi16(8);
            weights[i] = _mm256_sub_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(15)), zero);
            weights[i + 1] = _mm256_sub_epi16(_mm256_srli_epi16(bytes, 4), zero);
        }
    } else {
        const __m256i bytes = _mm256_cvtepu8_epi16(load_16(rows[0] + c));
        UNROLLED for (uint32_t i = 0; i < 4; i++) {
            const __m256i digits = _mm256_and_si256(_mm256_srli_epi16(bytes, 2 * (int)i), _mm256_set1_epi16(3));
            weights[i] = _mm256_sub_epi16(digits, _mm256_set1_epi16(1));
        }
    }
}

/* Four rows for a constant number of tokens, starting at `first`. */
INLINE FOR_AVX2 void avx2_multiply_tile(const shrew_product *p, uint32_t type, uint32_t row, uint32_t last,
                                        uint32_t first, uint32_t tokens) {
    const shrew_tensor *w = p->weight;
    const shrew_quantized_rows *q = p->quantized;
    const uint32_t per_byte = shrew_rows_per_byte(type), group = w->group ? w->group : w->stride;
    const int16_t *x = q->values + (size_t)first * q->stride;
    const uint8_t *rows[4];
    const int8_t *multipliers[4];
    __m256i totals[2][4];
    UNROLLED for (uint32_t i = 0; i < 4; i++) {
        const uint32_t r = avx2_at_most(row + i, last - 1);
        rows[i] = (const uint8_t *)w->data + (size_t)(r / per_byte) * w->stride;
        multipliers[i] = w->multipliers ? w->multipliers + (size_t)r * w->groups : NULL;
        totals[0][i] = totals[1][i] = _mm256_setzero_si256();
    }
    for (uint32_t start = 0, g = 0; start < w->stride; start += group, g++) {
        const uint32_t end = avx2_at_most(w->stride, start + group);
        __m256i sums[2][4];
        UNROLLED for (uint32_t i = 0; i < 4; i++)
            sums[0][i] = sums[1][i] = _mm256_setzero_si256();
        for (uint32_t c = start; c < end; c += 16) {
            __m256i weights[4];
            load_weights(weights, type, rows, c);
            UNROLLED for (uint32_t t = 0; t < tokens; t++) {
                const __m256i values = load_32(x + (size_t)t * q->stride + c);
                UNROLLED for (uint32_t i = 0; i < 4; i++)
                    sums[t][i] = _mm256_add_epi32(sums[t][i], _mm256_madd_epi16(weights[i], values));
            }
        }
        UNROLLED for (uint32_t i = 0; i < 4; i++) {
            const __m256i multiplier = _mm256_set1_epi32(w->multipliers ? multipliers[i][g] : 1);
            UNROLLED for (uint32_t t = 0; t < tokens; t++)
                totals[t][i] = _mm256_add_epi32(
                    totals[t][i], w->multipliers ? _mm256_mullo_epi32(sums[t][i], multiplier) : sums[t][i]);
        }
    }
    float row_scales[4];
    for (uint32_t i = 0; i < 4; i++)
        row_scales[i] = w->row_scales[avx2_at_most(row + i, last - 1)];
    UNROLLED for (uint32_t t = 0; t < tokens; t++) {
        const __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(totals[t][0], totals[t][1]),
                                               _mm256_hadd_epi32(totals[t][2], totals[t][3]));
        const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
        const __m128 scales = _mm_mul_ps(_mm_loadu_ps(row_scales), _mm_set1_ps(q->scales[first + t]));
        float *y = p->y + (size_t)(first + t) * p->y_stride + row;
        store_four(y, last - row, _mm_mul_ps(_mm_cvtepi32_ps(sums), scales));
    }
}

INLINE FOR_AVX2 void avx2_multiply(const shrew_product *p, uint32_t type, uint32_t first, uint32_t last) {
    for (uint32_t row = first; row < last; row += 4) {
        uint32_t t = 0;
        for (; t + 2 <= p->tokens; t += 2)
            avx2_multiply_tile(p, type, row, last, t, 2);
        if (t < p->tokens)
            avx2_multiply_tile(p, type, row, last, t, 1);
    }
}

static FOR_AVX2 void avx2_multiply_q8(const shrew_product *p, uint32_t first, uint32_t last) {
    avx2_multiply(p, SHREW_Q8, first, last);
}

static FOR_AVX2 void avx2_multiply_q4(const shrew_product *p, uint32_t first, uint32_t last) {
    avx2_multiply(p, SHREW_Q4, first, last);
}

static FOR_AVX2 void avx2_multiply_ternary(const shrew_product *p, uint32_t first, uint32_t last) {
    avx2_multiply(p, SHREW_TERNARY, first, last);
}

/* ---- Attention -------------------------------------------------------------------------------------------------- */

INLINE FOR_AVX2 uint32_t avx2_largest_exponent(const uint8_t *codes, uint32_t count) {
    __m256i most = _mm256_setzero_si256();
    uint32_t t = 0, largest = 0;
    for (; t + 32 <= count; t += 32)
        most = _mm256_max_epu8(most, load_32(codes + t));
    for (; t < count; t++)
        largest = codes[t] > largest ? codes[t] : largest;
    /* The top byte of each lane becomes its largest byte. */
    const __m256i pairs = _mm256_max_epu8(most, _mm256_slli_epi32(most, 8));
    const uint32_t lane = avx2_largest_lane(_mm256_max_epu8(pairs, _mm256_slli_epi32(pairs, 16))) >> 24;
    return (lane > largest ? lane : largest) >> 3;
}

/* Reduces four vectors, each with two sums of four lanes, to the four first sums and then the four second ones. */
INLINE FOR_AVX2 __m256i fold(const __m256i v[4]) {
    return _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
}

/* Dot products of eight keys with one query. Results past the last key are arbitrary. */
INLINE FOR_AVX2 __m256i avx2_multiply_keys(const int8_t *keys, uint32_t count, uint32_t width, const int8_t *query) {
    if (width == 8) {
        const __m256i q = _mm256_cvtepi8_epi16(_mm_unpacklo_epi64(load_8(query), load_8(query)));
        __m256i pairs[4];
        UNROLLED for (uint32_t i = 0; i < 4; i++)
            pairs[i] = _mm256_madd_epi16(_mm256_cvtepi8_epi16(load_16(keys + 16 * i)), q);
        return _mm256_permutevar8x32_epi32(fold(pairs), _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
    }
    __m256i sums[8];
    for (uint32_t t = 0; t < 8; t++)
        sums[t] = _mm256_setzero_si256();
    for (uint32_t d = 0; d < width; d += 16) {
        const __m256i q = _mm256_cvtepi8_epi16(width - d >= 16 ? load_16(query + d) : load_8(query + d));
        UNROLLED for (uint32_t t = 0; t < 8; t++) {
            const int8_t *key = keys + (size_t)avx2_at_most(t, count - 1) * width;
            sums[t] = _mm256_add_epi32(sums[t], _mm256_madd_epi16(_mm256_cvtepi8_epi16(load_16(key + d)), q));
        }
    }
    const __m256i a = fold(sums), b = fold(sums + 4);
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/* Computes the scores of all keys and returns the largest. */
INLINE FOR_AVX2 int32_t avx2_score_keys(const shrew_span *s, const int8_t *query, uint32_t exponent) {
    const __m256i least = _mm256_set1_epi32(INT32_MIN);
    __m256i most = least;
    for (uint32_t t = 0; t < s->held; t += 8) {
        const __m256i codes = _mm256_cvtepu8_epi32(load_8(s->key_scales + t));
        const __m256i mantissas = _mm256_or_si256(_mm256_and_si256(codes, _mm256_set1_epi32(7)), _mm256_set1_epi32(8));
        const __m256i shifts = _mm256_sub_epi32(_mm256_set1_epi32((int32_t)exponent), _mm256_srli_epi32(codes, 3));
        const __m256i dots = avx2_multiply_keys(s->keys + (size_t)t * s->width, s->held - t, s->width, query);
        const __m256i scores = _mm256_srav_epi32(_mm256_mullo_epi32(dots, mantissas), shifts);
        most = _mm256_max_epi32(most, _mm256_blendv_epi8(least, scores, avx2_first_lanes(s->held - t)));
        _mm256_storeu_si256((__m256i *)(void *)(s->scores + t), scores);
    }
    /* With the sign bit flipped, int32 order like uint32. */
    return (int32_t)(avx2_largest_lane(_mm256_xor_si256(most, least)) ^ 0x80000000u);
}

/* shrew_exp2_fixed of each lane. */
INLINE FOR_AVX2 __m256i avx2_exp2_fixed(__m256i u) {
    const __m256i f = _mm256_slli_epi16(u, 4);
    __m256i t = _mm256_mulhi_epu16(_mm256_set1_epi32(1310), f);
    t = _mm256_mulhi_epu16(_mm256_sub_epi32(_mm256_set1_epi32(7594), t), f);
    t = _mm256_mulhi_epu16(_mm256_sub_epi32(_mm256_set1_epi32(22670), t), f);
    return _mm256_srlv_epi32(_mm256_sub_epi32(_mm256_set1_epi32(32768), t), _mm256_srli_epi32(u, 12));
}

/* Converts scores to softmax numerators in place, with zeros up to a multiple of 8. Returns their sum. */
INLINE FOR_AVX2 uint32_t avx2_exponentials(int32_t *scores, uint32_t count, int32_t most, shrew_fixed_factor factor) {
    const __m256i top = _mm256_set1_epi32(most), mantissa = _mm256_set1_epi32((int32_t)factor.mantissa);
    const uint32_t exact = avx2_at_most(factor.shift, 14);
    const __m128i before = _mm_cvtsi32_si128((int32_t)(factor.shift - exact));
    const __m128i after = _mm_cvtsi32_si128((int32_t)exact);
    const __m256i enough = _mm256_set1_epi32((int32_t)(2u << exact)); /* enough for u to exceed 16 bits */
    __m256i sum = _mm256_setzero_si256();
    for (uint32_t t = 0; t < count; t += 8) {
        const __m256i below = _mm256_srl_epi32(_mm256_sub_epi32(top, load_32(scores + t)), before);
        const __m256i u = _mm256_srl_epi32(_mm256_mullo_epi32(_mm256_min_epu32(below, enough), mantissa), after);
        const __m256i e = _mm256_and_si256(avx2_exp2_fixed(_mm256_min_epu32(u, _mm256_set1_epi32(0xFFFF))),
                                           avx2_first_lanes(count - t));
        sum = _mm256_add_epi32(sum, e);
        _mm256_storeu_si256((__m256i *)(void *)(scores + t), e);
    }
    const __m256i four = _mm256_hadd_epi32(sum, sum), two = _mm256_hadd_epi32(four, four);
    return (uint32_t)(_mm256_extract_epi32(two, 0) + _mm256_extract_epi32(two, 4));
}

/* Converts numerators to 16-bit weights in place: multiplies them by their values' scales, in units of the largest
 * scale and of 2^-(11 - narrow). */
INLINE FOR_AVX2 void avx2_weigh(int32_t *numerators, const uint8_t *codes, uint32_t count, uint32_t exponent,
                                uint32_t narrow) {
    int16_t *weights = (int16_t *)(void *)numerators;
    for (uint32_t t = 0; t < count; t += 8) {
        const __m256i code = _mm256_cvtepu8_epi32(load_8(codes + t));
        /* (8 + code % 8) << 12, so that the upper half of a product is the product >> 4. */
        const __m256i mantissa = _mm256_or_si256(_mm256_slli_epi32(_mm256_and_si256(code, _mm256_set1_epi32(7)), 12),
                                                 _mm256_set1_epi32(32768));
        const __m256i shift = _mm256_sub_epi32(_mm256_set1_epi32((int32_t)(exponent + narrow)),
                                               _mm256_srli_epi32(code, 3));
        const __m256i v = _mm256_srlv_epi32(_mm256_mulhi_epu16(load_32(numerators + t), mantissa), shift);
        _mm_storeu_si128((__m128i *)(void *)(weights + t),
                         _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
    }
}

INLINE FOR_AVX2 __m256i broadcast_pair(const int16_t *from) {
    int32_t pair;
    memcpy(&pair, from, sizeof pair);
    return _mm256_set1_epi32(pair);
}

INLINE FOR_AVX2 void avx2_store_mixed(float *out, uint32_t count, __m256i mixed, float scale) {
    avx2_store_first(out, count, _mm256_mul_ps(_mm256_cvtepi32_ps(mixed), _mm256_set1_ps(scale)));
}

/* out = weights times values times scale. A lane sums neighbouring tokens for one column. */
INLINE FOR_AVX2 void avx2_mix(const shrew_span *s, const int16_t *weights, float *out, float scale) {
    if (s->width == 8) {
        const __m128i turn = _mm_set_epi8(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
        __m256i mixed = _mm256_setzero_si256();
        for (uint32_t t = 0; t < s->held; t += 2) {
            const __m256i pairs = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(load_16(s->values + (size_t)8 * t), turn));
            mixed = _mm256_add_epi32(mixed, _mm256_madd_epi16(pairs, broadcast_pair(weights + t)));
        }
        avx2_store_mixed(out, s->head_dim, mixed, scale);
        return;
    }
    for (uint32_t d = 0; d < s->head_dim; d += 16) {
        __m256i low = _mm256_setzero_si256(), high = low;
        for (uint32_t t = 0; t < s->held; t += 2) {
            const int8_t *from = s->values + (size_t)t * s->width + d;
            const __m128i row = load_16(from), next = load_16(t + 1 < s->held ? from + s->width : from);
            const __m256i pair = broadcast_pair(weights + t);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(row, next)), pair));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_unpackhi_epi8(row, next)), pair));
        }
        avx2_store_mixed(out + d, s->head_dim - d, low, scale);
        if (s->head_dim - d > 8)
            avx2_store_mixed(out + d + 8, s->head_dim - d - 8, high, scale);
    }
}

static FOR_AVX2 void avx2_attend(const shrew_span *s) {
    const uint32_t key_exponent = avx2_largest_exponent(s->key_scales, s->held);
    const uint32_t value_exponent = avx2_largest_exponent(s->value_scales, s->held);
    const float unit = shrew_power_of_two((int32_t)key_exponent - SCALE_BIAS);
    for (uint32_t h = 0; h < s->heads; h++) {
        const int32_t most = avx2_score_keys(s, s->queries + (size_t)h * s->width, key_exponent);
        const uint32_t sum = avx2_exponentials(s->scores, s->held, most, shrew_fix(s->factors[h] * unit * 4096.0f));
        const uint32_t narrow = shrew_narrowing(sum);
        avx2_weigh(s->scores, s->value_scales, s->held, value_exponent, narrow);
        const float scale = shrew_mixed_scale(sum, value_exponent, narrow);
        avx2_mix(s, (const int16_t *)(const void *)s->scores, s->out + (size_t)h * s->head_dim, scale);
    }
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

static FOR_AVX2 void avx2_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    for (uint32_t i = 0; i < count; i += 8) {
        const __m256i there = avx2_first_lanes(count - i);
        const __m256 v = _mm256_maskload_ps(gate + i, there);
        __m256 z = v;
        if (mlp == SHREW_MLP_GELU) {
            const __m256 cubic = _mm256_mul_ps(_mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(0.044715f), v), v), v);
            z = _mm256_mul_ps(_mm256_set1_ps(1.595769122f), _mm256_add_ps(v, cubic));
        }
        const __m256 t = _mm256_mul_ps(_mm256_andnot_ps(sign, z), _mm256_set1_ps(5909.27888f));
        const __m256i within = _mm256_castps_si256(_mm256_cmp_ps(t, _mm256_set1_ps(65535.0f), _CMP_LT_OQ));
        const __m256i e = _mm256_and_si256(avx2_exp2_fixed(_mm256_and_si256(round_lanes(t), within)), within);
        const __m256i divisor = _mm256_add_epi32(e, _mm256_set1_epi32(32768));
        /* The float quotient may have been rounded up to the next integer. */
        const __m256 quotient = _mm256_div_ps(_mm256_set1_ps(1073741824.0f), _mm256_cvtepi32_ps(divisor));
        __m256i sigmoid = _mm256_cvttps_epi32(quotient);
        sigmoid = _mm256_add_epi32(
            sigmoid, _mm256_cmpgt_epi32(_mm256_mullo_epi32(sigmoid, divisor), _mm256_set1_epi32(1 << 30)));
        const __m256i mirrored = _mm256_sub_epi32(_mm256_set1_epi32(32768), sigmoid);
        sigmoid = _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(sigmoid), _mm256_castsi256_ps(mirrored), z));
        const __m256 share = _mm256_mul_ps(_mm256_cvtepi32_ps(sigmoid), _mm256_set1_ps(1.0f / 32768.0f));
        __m256 active = _mm256_mul_ps(v, share);
        if (up)
            active = _mm256_mul_ps(active, _mm256_maskload_ps(up + i, there));
        avx2_store_first(out + i, count - i, active);
    }
}

const shrew_kernels shrew_kernels_avx2 = {
    "avx2",
    avx2_quantize,
    {shrew_avx2_multiply_f32, avx2_multiply_q8, avx2_multiply_q4, avx2_multiply_ternary},
    avx2_attend,
    avx2_activate,
    shrew_avx2_dot,
    NULL,
    NULL,
};

#endif
