/* The AVX-512 set, and what of it works on vectors of floats. */
#include "kernels/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include "kernels/avx512.h"

/* ---- Activations to bytes --------------------------------------------------------------------------------------- */

/* Sums of 16 neighbours, 64 at a time. */
INLINE void sum_planes(const int8_t *planes, uint32_t padded, int16_t *sums) {
    const __m512i ones = _mm512_set1_epi8(1), zero = _mm512_setzero_si512();
    const __m512i firsts = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 8, 4, 0);
    for (uint32_t i = 0; i < padded; i += 64) {
        const __mmask64 there = first_bytes(padded - i);
        const __m512i high = _mm512_maskz_loadu_epi8(there, planes + i);
        const __m512i low = _mm512_maskz_loadu_epi8(there, planes + padded + i);
        __m512i sum = join_planes(_mm512_dpbusd_epi32(zero, ones, high), _mm512_dpbusd_epi32(zero, ones, low));
        sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_CDAB));
        sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_BADC));
        const __m128i four = _mm512_castsi512_si128(_mm512_permutexvar_epi32(firsts, sum));
        _mm_mask_storeu_epi16(sums + i / 16, (__mmask8)first_lanes((padded - i) / 16), _mm_cvtepi32_epi16(four));
    }
}

/* The reference's limit of 511 cannot be passed: the reciprocal is within 2 ulp. */
static TARGET float quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums) {
    const uint32_t padded = (cols + 15) & ~15u;
    __m512i most = _mm512_setzero_si512();
    for (uint32_t i = 0; i < cols; i += 16) {
        const __m512i bits = _mm512_maskz_loadu_epi32(first_lanes(cols - i), x + i);
        most = _mm512_max_epu32(most, _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)));
    }
    const uint32_t largest = _mm512_reduce_max_epu32(most);
    const int within = largest >= TWO_POW_MINUS_100 && largest < TWO_POW_100;
    if (!within) {
        memset(values, 0, padded * sizeof *values);
        memset(sums, 0, padded / 16 * sizeof *sums);
        return largest < TWO_POW_100 ? 0.0f : bits_float(0x7FC00000u);
    }
    const float magnitude = bits_float(largest);
    const __m512 inverse = _mm512_set1_ps((float)ACTIVATION_LIMIT * shrew_reciprocal(magnitude));
    int8_t *planes = (int8_t *)values;
    for (uint32_t i = 0; i < padded; i += 16) {
        const __mmask16 there = cols - i < 16 ? first_lanes(cols - i) : 0xFFFF;
        const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(there, x + i), inverse);
        const __m512i rounded = _mm512_castps_si512(_mm512_add_ps(scaled, _mm512_set1_ps(12582912.0f)));
        const __m512i value = _mm512_sub_epi32(rounded, _mm512_set1_epi32(0x4B400000));
        const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(value, _mm512_set1_epi32(8)), 4);
        const __m512i low = _mm512_sub_epi32(value, _mm512_slli_epi32(high, 4));
        _mm_storeu_si128((__m128i *)(void *)(planes + i), _mm512_cvtepi32_epi8(high));
        _mm_storeu_si128((__m128i *)(void *)(planes + padded + i), _mm512_cvtepi32_epi8(low));
    }
    sum_planes(planes, padded, sums);
    return magnitude * (1.0f / ACTIVATION_LIMIT);
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

static TARGET void activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count) {
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
        /* A quotient of floats may round up to the integer above. */
        const __m512 quotient = _mm512_div_ps(_mm512_set1_ps(1073741824.0f), _mm512_cvtepi32_ps(divisor));
        __m512i sigmoid = _mm512_cvttps_epi32(quotient);
        const __m512i one = _mm512_set1_epi32(1), dividend = _mm512_set1_epi32(1 << 30);
        const __mmask16 above = _mm512_cmpgt_epi32_mask(_mm512_mullo_epi32(sigmoid, divisor), dividend);
        sigmoid = _mm512_mask_sub_epi32(sigmoid, above, sigmoid, one);
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
    quantize,
    {shrew_avx2_multiply_f32, shrew_avx512_multiply_q8, shrew_avx512_multiply_q4, shrew_avx512_multiply_ternary},
    shrew_avx512_attend,
    activate,
    shrew_avx512_attend_block,
};

#endif
