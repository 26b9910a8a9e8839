/* The AVX-512 kernels, and those of them that work on vectors of floats. */
#include "kernels/kernels.h"

#ifdef SHREW_X86

#include "kernels/avx512_vectors.h"

/* ---- Quantising activations ------------------------------------------------------------------------------------- */

INLINE FOR_AVX512 __mmask16 lanes_before(uint32_t count, uint32_t i) {
    return count > i ? first_lanes(count - i) : 0;
}

INLINE FOR_AVX512 __m512i magnitudes(__m512 x) {
    return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7FFFFFFF));
}

INLINE FOR_AVX512 uint32_t largest_magnitude(const float *x, uint32_t count) {
    __m512i most = _mm512_setzero_si512();
    for (uint32_t i = 0; i < count; i += 16)
        most = _mm512_max_epu32(most, magnitudes(_mm512_maskz_loadu_ps(first_lanes(count - i), x + i)));
    return _mm512_reduce_max_epu32(most);
}

/* round_to_int(x * factor) */
INLINE FOR_AVX512 __m512i round_product(__m512 x, __m512 factor) {
    const __m512 rounded = _mm512_add_ps(_mm512_mul_ps(x, factor), _mm512_set1_ps(12582912.0f));
    return _mm512_sub_epi32(_mm512_castps_si512(rounded), _mm512_set1_epi32(0x4B400000));
}

INLINE FOR_AVX512 __m512i high_of(__m512i words) {
    return _mm512_srai_epi16(_mm512_add_epi16(words, _mm512_set1_epi16(8)), 4);
}

/* No clamping to 511 as in the reference: the reciprocal is within 2 ulp, so no value exceeds 511. */
FOR_AVX512 float shrew_avx512_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums) {
    const uint32_t padded = (cols + 15) & ~15u, largest = largest_magnitude(x, cols);
    const int within = largest >= TWO_POW_MINUS_100 && largest < TWO_POW_100;
    if (!within) {
        memset(values, 0, padded * sizeof *values);
        memset(sums, 0, padded / 16 * sizeof *sums);
        return largest < TWO_POW_100 ? 0.0f : bits_float(0x7FC00000u);
    }
    const float magnitude = bits_float(largest);
    const __m512 inverse = _mm512_set1_ps((float)ACTIVATION_LIMIT * shrew_reciprocal(magnitude));
    const __m512i zero = _mm512_setzero_si512(), ones = _mm512_set1_epi8(1);
    /* Packing leaves four bytes of each of four vectors in every quarter. */
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    int8_t *planes = (int8_t *)values;
    for (uint32_t i = 0; i < padded; i += 64) {
        __m512i v[4];
        UNROLLED for (uint32_t k = 0; k < 4; k++)
            v[k] = round_product(_mm512_maskz_loadu_ps(lanes_before(cols, i + 16 * k), x + i + 16 * k), inverse);
        const __m512i first = _mm512_packs_epi32(v[0], v[1]), second = _mm512_packs_epi32(v[2], v[3]);
        const __m512i high1 = high_of(first), high2 = high_of(second);
        const __m512i high = _mm512_packs_epi16(high1, high2);
        const __m512i low = _mm512_packs_epi16(_mm512_sub_epi16(first, _mm512_slli_epi16(high1, 4)),
                                               _mm512_sub_epi16(second, _mm512_slli_epi16(high2, 4)));
        const __mmask64 there = first_bytes(padded - i);
        _mm512_mask_storeu_epi8(planes + i, there, _mm512_permutexvar_epi32(order, high));
        _mm512_mask_storeu_epi8(planes + padded + i, there, _mm512_permutexvar_epi32(order, low));
        const __m512i fours = join_planes(_mm512_dpbusd_epi32(zero, ones, high), _mm512_dpbusd_epi32(zero, ones, low));
        const __m256i eights = _mm256_add_epi32(_mm512_castsi512_si256(fours), _mm512_extracti64x4_epi64(fours, 1));
        const __m128i all = _mm_add_epi32(_mm256_castsi256_si128(eights), _mm256_extracti128_si256(eights, 1));
        _mm_mask_storeu_epi16(sums + i / 16, (__mmask8)lanes_before(padded / 16, i / 16) & 15, _mm_cvtepi32_epi16(all));
    }
    return magnitude * (1.0f / ACTIVATION_LIMIT);
}

/* ---- Quantising heads ------------------------------------------------------------------------------------------- */

/* Sixteen floats of a head from i on, rotated unless turn is NULL. Rotating twice is cheaper than storing the
 * result. */
INLINE FOR_AVX512 __m512 turned(const float *head, const float *turn, uint32_t head_dim, uint32_t i) {
    const __mmask16 there = lanes_before(head_dim, i);
    const __m512 x = _mm512_maskz_loadu_ps(there, head + i);
    if (!turn)
        return x;
    const __m512 angle = _mm512_maskz_loadu_ps(there, turn + i);
    const __m512 a = _mm512_mul_ps(x, _mm512_moveldup_ps(angle));
    const __m512 b = _mm512_mul_ps(_mm512_permute_ps(x, 0xB1), _mm512_movehdup_ps(angle));
    return _mm512_mask_sub_ps(_mm512_add_ps(a, b), 0x5555, a, b);
}

INLINE FOR_AVX512 uint32_t largest_of_head(const float *head, const float *turn, uint32_t head_dim) {
    __m512i most = magnitudes(turned(head, turn, head_dim, 0));
    for (uint32_t i = 16; i < head_dim; i += 16)
        most = _mm512_max_epu32(most, magnitudes(turned(head, turn, head_dim, i)));
    return _mm512_reduce_max_epu32(most);
}

/* Stores a head times inverse as bytes, followed by zeros. Clamps magnitudes to `most`, which is given as bits. */
INLINE FOR_AVX512 void store_bytes(const float *head, const float *turn, uint32_t head_dim, uint32_t width,
                                   uint32_t most, float inverse, int8_t *out) {
    const __m512i sign = _mm512_set1_epi32(INT32_MIN), limit = _mm512_set1_epi32((int32_t)most);
    for (uint32_t i = 0; i < width; i += 16) {
        const __m512 x = turned(head, turn, head_dim, i);
        const __m512i within = _mm512_min_epu32(magnitudes(x), limit);
        const __m512i signed_bits = _mm512_or_si512(within, _mm512_and_si512(_mm512_castps_si512(x), sign));
        const __m512i rounded = round_product(_mm512_castsi512_ps(signed_bits), _mm512_set1_ps(inverse));
        const __m128i bytes = _mm512_cvtepi32_epi8(rounded);
        if (width - i >= 16)
            _mm_storeu_si128((__m128i *)(void *)(out + i), bytes);
        else
            _mm_storel_epi64((__m128i *)(void *)(out + i), bytes);
    }
}

FOR_AVX512 uint32_t shrew_avx512_store_heads(const shrew_token_heads *t) {
    const uint32_t D = t->head_dim;
    const float *x = t->x;
    uint32_t most = 0;
    for (uint32_t head = 0; head < t->heads; head++, x += D) {
        const uint32_t largest = largest_of_head(x, t->turn, D);
        const shrew_query_scaling scale = shrew_query_scale(largest, t->share);
        store_bytes(x, t->turn, D, t->width, largest, scale.inverse, t->queries + (size_t)head * t->width);
        t->factors[head] = scale.factor;
        most = at_least(most, largest);
    }
    for (uint32_t head = 0; head < 2 * t->kv_heads; head++, x += D) {
        const int is_key = head < t->kv_heads;
        const float *turn = is_key ? t->turn : NULL;
        const size_t at = (is_key ? head : head - t->kv_heads) * t->slab;
        const uint32_t largest = largest_of_head(x, turn, D);
        most = at_least(most, largest);
        if (largest >= TWO_POW_100)
            continue;
        const uint8_t code = (uint8_t)shrew_scale_code(bits_float(largest) * (1.0f / 127.0f));
        (is_key ? t->key_scales : t->value_scales)[at] = code;
        store_bytes(x, turn, D, t->width, float_bits(127.0f * shrew_scale_of_code(code)), shrew_inverse_of_code(code),
                    (is_key ? t->keys : t->values) + at * t->width);
    }
    return most;
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

/* 2^30 / divisor for 2^15 <= divisor <= 2^16, in a quarter of the time of a float division. */
INLINE FOR_AVX512 __m512i divide_2_pow_30(__m512i divisor) {
    const __m512 d = _mm512_cvtepi32_ps(divisor), near = _mm512_rcp14_ps(d);
    const __m512 reciprocal = _mm512_mul_ps(near, _mm512_sub_ps(_mm512_set1_ps(2.0f), _mm512_mul_ps(d, near)));
    /* The error is below 1/64, so this is the quotient or one less. */
    const __m512 below = _mm512_sub_ps(_mm512_mul_ps(reciprocal, _mm512_set1_ps(1073741824.0f)),
                                       _mm512_set1_ps(1.0f / 64));
    const __m512i least = _mm512_cvttps_epi32(below), next = _mm512_add_epi32(least, _mm512_set1_epi32(1));
    const __m512i product = _mm512_mullo_epi32(next, divisor);
    return _mm512_mask_mov_epi32(least, _mm512_cmple_epi32_mask(product, _mm512_set1_epi32(1 << 30)), next);
}

FOR_AVX512 void shrew_avx512_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count) {
    for (uint32_t i = 0; i < count; i += 16) {
        const __mmask16 there = first_lanes(count - i);
        const __m512 v = _mm512_maskz_loadu_ps(there, gate + i);
        __m512 z = v;
        if (mlp == SHREW_MLP_GELU) {
            const __m512 cubic = _mm512_mul_ps(_mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(0.044715f), v), v), v);
            z = _mm512_mul_ps(_mm512_set1_ps(1.595769122f), _mm512_add_ps(v, cubic));
        }
        const __m512 t = _mm512_mul_ps(_mm512_abs_ps(z), _mm512_set1_ps(5909.27888f));
        const __mmask16 within = _mm512_cmp_ps_mask(t, _mm512_set1_ps(65535.0f), _CMP_LT_OQ);
        const __m512i rounded = _mm512_castps_si512(_mm512_add_ps(t, _mm512_set1_ps(12582912.0f)));
        const __m512i u = _mm512_maskz_sub_epi32(within, rounded, _mm512_set1_epi32(0x4B400000));
        const __m512i e = _mm512_maskz_and_epi32(within, exp2_fixed(u), _mm512_set1_epi32(0xFFFF));
        const __m512i divisor = _mm512_add_epi32(e, _mm512_set1_epi32(32768));
        __m512i sigmoid = divide_2_pow_30(divisor);
        const __mmask16 negative = _mm512_movepi32_mask(_mm512_castps_si512(z));
        sigmoid = _mm512_mask_sub_epi32(sigmoid, negative, _mm512_set1_epi32(32768), sigmoid);
        const __m512 share = _mm512_mul_ps(_mm512_cvtepi32_ps(sigmoid), _mm512_set1_ps(1.0f / 32768.0f));
        __m512 active = _mm512_mul_ps(v, share);
        if (up)
            active = _mm512_mul_ps(active, _mm512_maskz_loadu_ps(there, up + i));
        _mm512_mask_storeu_ps(out + i, there, active);
    }
}

const shrew_kernels shrew_kernels_avx512 = {
    "avx512",
    shrew_avx512_quantize,
    {shrew_avx2_multiply_f32, shrew_avx512_multiply_q8, shrew_avx512_multiply_q4, shrew_avx512_multiply_ternary},
    shrew_avx512_attend,
    shrew_avx512_activate,
    shrew_avx2_dot,
    shrew_avx512_attend_block,
    shrew_avx512_store_heads,
};

#endif
