/* Attention with AVX-512. */
#include "kernels/kernels.h"

#ifdef SHREW_X86

#include "kernels/avx512_vectors.h"

/* A mask of the words before count, among 32 words from t on. */
INLINE FOR_AVX512 __mmask32 first_words(uint32_t count, uint32_t t) {
    return count >= t + 32 ? 0xFFFFFFFF : count > t ? (1u << (count - t)) - 1 : 0;
}

INLINE FOR_AVX512 uint32_t avx512_largest_exponent(const uint8_t *codes, uint32_t count) {
    __m512i most = _mm512_setzero_si512();
    for (uint32_t t = 0; t < count; t += 64)
        most = _mm512_max_epu8(most, _mm512_maskz_loadu_epi8(first_bytes(count - t), codes + t));
    const __m256i half = _mm256_max_epu8(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    const __m128i quarter = _mm_max_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    /* The only horizontal reduction is a minimum of 16-bit words. */
    const __m128i low = _mm_xor_si128(quarter, _mm_set1_epi8(-1));
    const __m128i words = _mm_min_epu8(low, _mm_or_si128(_mm_srli_epi16(low, 8), _mm_set1_epi16(-256)));
    return (255 - (_mm_extract_epi8(_mm_minpos_epu16(_mm_and_si128(words, _mm_set1_epi16(255))), 0) & 255)) >> 3;
}

/* Loads 64 bytes of keys, of which only the first `there` exist, and adds the zero point. */
INLINE FOR_AVX512 __m512i load_keys(const int8_t *keys, uint32_t there) {
    const __m512i bytes = there >= 64 ? _mm512_loadu_si512(keys) : _mm512_maskz_loadu_epi8(first_bytes(there), keys);
    return _mm512_xor_si512(bytes, _mm512_set1_epi8((char)ZERO_POINT_Q8));
}

/* Dot products of 16 keys, of which `count` exist, with one query, plus 128 times the query's sum. */
INLINE FOR_AVX512 __m512i multiply_keys(const int8_t *keys, uint32_t count, uint32_t width, const int8_t *query) {
    const __m512i zero = _mm512_setzero_si512();
    __m512i quads[4];
    if (width == 8) {
        const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        const __m512i a = load_keys(keys, 8 * count), b = load_keys(keys + 64, count < 8 ? 0 : 8 * (count - 8));
        const __m512i low = _mm512_permutex2var_epi32(a, even, b);
        const __m512i high = _mm512_permutex2var_epi32(a, _mm512_or_si512(even, _mm512_set1_epi32(1)), b);
        return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, low, broadcast_dword(query)), high,
                                   broadcast_dword(query + 4));
    }
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t left = count > 4 * i ? count - 4 * i : 0;
        const int8_t *from = keys + (size_t)4 * i * width;
        if (width == 16) {
            const __m512i q = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)query));
            quads[i] = _mm512_dpbusd_epi32(zero, load_keys(from, 16 * left), q);
        } else if (width == 32) {
            const __m512i q = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)query));
            const __m512i a = _mm512_dpbusd_epi32(zero, load_keys(from, 32 * left), q);
            const __m512i b = _mm512_dpbusd_epi32(zero, load_keys(from + 64, left < 2 ? 0 : 32 * (left - 2)), q);
            quads[i] = fold4(a, b);
        } else {
            __m512i rows[4] = {zero, zero, zero, zero};
            for (uint32_t d = 0; d < width; d += 64) {
                const uint32_t used = at_most(width - d, 64);
                const __m512i q = _mm512_maskz_loadu_epi8(first_bytes(used), query + d);
                for (uint32_t t = 0; t < 4; t++)
                    rows[t] = _mm512_dpbusd_epi32(rows[t], load_keys(from + (size_t)t * width + d, t < left ? used : 0),
                                                  q);
            }
            quads[i] = fold4(fold2(rows[0], rows[1]), fold2(rows[2], rows[3]));
        }
    }
    return fold16(quads);
}

/* Computes the scores of all keys and returns the largest. */
INLINE FOR_AVX512 int32_t score_keys(const shrew_span *s, const int8_t *query, uint32_t exponent) {
    int32_t sum = 0;
    for (uint32_t d = 0; d < s->width; d++)
        sum += query[d];
    const __m512i zero = _mm512_set1_epi32(ZERO_POINT_Q8 * sum);
    __m512i most = _mm512_set1_epi32(INT32_MIN);
    for (uint32_t t = 0; t < s->held; t += 16) {
        const __mmask16 there = first_lanes(s->held - t);
        const __m512i codes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(there, s->key_scales + t));
        const __m512i mantissas = _mm512_or_si512(_mm512_and_si512(codes, _mm512_set1_epi32(7)), _mm512_set1_epi32(8));
        const __m512i shifts = _mm512_sub_epi32(_mm512_set1_epi32((int32_t)exponent), _mm512_srli_epi32(codes, 3));
        const int8_t *keys = s->keys + (size_t)t * s->width;
        const __m512i products = s->held - t >= 16 ? multiply_keys(keys, 16, s->width, query) /* a constant count */
                                                   : multiply_keys(keys, s->held - t, s->width, query);
        const __m512i dots = _mm512_sub_epi32(products, zero);
        const __m512i scores = _mm512_srav_epi32(_mm512_mullo_epi32(dots, mantissas), shifts);
        most = _mm512_mask_max_epi32(most, there, most, scores);
        _mm512_storeu_si512(s->scores + t, scores);
    }
    return _mm512_reduce_max_epi32(most);
}

/* Converts int32 scores to 16-bit softmax numerators in place, with zeros up to a multiple of 32 that is at least
 * `until`. Returns their sum. */
INLINE FOR_AVX512 uint32_t avx512_exponentials(int32_t *scores, uint32_t count, uint32_t until, int32_t most,
                                               shrew_fixed_factor factor) {
    const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    const __m512i top = _mm512_set1_epi32(most), mantissa = _mm512_set1_epi32((int32_t)factor.mantissa);
    const uint32_t exact = at_most(factor.shift, 14);
    const __m128i before = _mm_cvtsi32_si128((int32_t)(factor.shift - exact));
    const __m128i after = _mm_cvtsi32_si128((int32_t)exact);
    const __m512i enough = _mm512_set1_epi32((int32_t)(2u << exact)); /* u exceeds 16 bits and saturates below */
    uint16_t *numerators = (uint16_t *)(void *)scores;
    __m512i sum = _mm512_setzero_si512();
    for (uint32_t t = 0; t < until; t += 32) {
        __m512i u[2];
        for (uint32_t i = 0; i < 2; i++) {
            const __mmask16 there = count > t + 16 * i ? 0xFFFF : 0;
            const __m512i score = _mm512_maskz_loadu_epi32(there, scores + t + 16 * i);
            const __m512i below = _mm512_srl_epi32(_mm512_sub_epi32(top, score), before);
            u[i] = _mm512_srl_epi32(_mm512_mullo_epi32(_mm512_min_epu32(below, enough), mantissa), after);
        }
        const __m512i packed = _mm512_permutexvar_epi64(order, _mm512_packus_epi32(u[0], u[1]));
        const __m512i e = _mm512_maskz_mov_epi16(first_words(count, t), exp2_fixed(packed));
        const __m512i low = _mm512_and_si512(e, _mm512_set1_epi32(0xFFFF)), high = _mm512_srli_epi32(e, 16);
        sum = _mm512_add_epi32(sum, _mm512_add_epi32(low, high));
        _mm512_storeu_si512(numerators + t, e);
    }
    return (uint32_t)_mm512_reduce_add_epi32(sum);
}

/* Multiplies numerators by their values' scales, in units of the largest scale and of 2^-(11 - narrow). */
INLINE FOR_AVX512 void weigh(uint16_t *numerators, const uint8_t *codes, uint32_t count, uint32_t exponent,
                             uint32_t narrow) {
    const __m512i shift = _mm512_set1_epi16((short)(exponent + narrow));
    for (uint32_t t = 0; t < count; t += 32) {
        const __m512i code = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(first_words(count, t), codes + t));
        /* (8 + code % 8) << 12, so that the upper half of a product is the product >> 4. */
        const __m512i mantissa = _mm512_or_si512(_mm512_slli_epi16(_mm512_and_si512(code, _mm512_set1_epi16(7)), 12),
                                                 _mm512_set1_epi16(INT16_MIN));
        const __m512i scaled = _mm512_mulhi_epu16(_mm512_loadu_si512(numerators + t), mantissa);
        const __m512i weights = _mm512_srlv_epi16(scaled, _mm512_sub_epi16(shift, _mm512_srli_epi16(code, 3)));
        _mm512_storeu_si512(numerators + t, weights);
    }
}

INLINE FOR_AVX512 __m512i widen(const int8_t *from) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

INLINE FOR_AVX512 void store_mixed(float *out, uint32_t count, __m512i mixed, float scale) {
    _mm512_mask_storeu_ps(out, first_lanes(count), _mm512_mul_ps(_mm512_cvtepi32_ps(mixed), _mm512_set1_ps(scale)));
}

/* out = weights times values times scale. A lane sums neighbouring tokens for one column. */
INLINE FOR_AVX512 void mix_8(const shrew_span *s, const int16_t *weights, float *out, float scale) {
    /* Moves word 8 t + d to word 4 d + t. */
    const __m512i turn = _mm512_set_epi16(31, 23, 15, 7, 30, 22, 14, 6, 29, 21, 13, 5, 28, 20, 12, 4, 27, 19, 11, 3, 26,
                                          18, 10, 2, 25, 17, 9, 1, 24, 16, 8, 0);
    __m512i mixed[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (uint32_t t = 0, i = 0; t < s->held; t += 4, i ^= 1) {
        int64_t four;
        memcpy(&four, weights + t, sizeof four);
        mixed[i] = _mm512_dpwssd_epi32(mixed[i], _mm512_permutexvar_epi16(turn, widen(s->values + (size_t)8 * t)),
                                       _mm512_set1_epi64(four));
    }
    const __m512i sum = _mm512_add_epi32(mixed[0], mixed[1]);
    const __m512i both = _mm512_add_epi32(sum, _mm512_srli_epi64(sum, 32));
    store_mixed(out, s->head_dim, _mm512_castsi256_si512(_mm512_cvtepi64_epi32(both)), scale);
}

INLINE FOR_AVX512 void mix_16(const shrew_span *s, const int16_t *weights, float *out, float scale) {
    /* Moves word 16 t + d to word 2 d + t. */
    const __m512i turn = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                          21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i mixed[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (uint32_t t = 0; t < s->held; t += 4)
        UNROLLED for (uint32_t i = 0; i < 2; i++) { /* a pair past the end reads the margin or another head */
            const __m512i words = widen(s->values + (size_t)16 * (t + 2 * i));
            mixed[i] = _mm512_dpwssd_epi32(mixed[i], _mm512_permutexvar_epi16(turn, words),
                                           broadcast_dword(weights + t + 2 * i));
        }
    store_mixed(out, s->head_dim, _mm512_add_epi32(mixed[0], mixed[1]), scale);
}

/* 32 columns at a time. */
INLINE FOR_AVX512 void mix_wide(const shrew_span *s, const int16_t *weights, float *out, float scale) {
    const __m512i low = _mm512_set_epi32(23, 22, 21, 20, 7, 6, 5, 4, 19, 18, 17, 16, 3, 2, 1, 0);
    const __m512i high = _mm512_set_epi32(31, 30, 29, 28, 15, 14, 13, 12, 27, 26, 25, 24, 11, 10, 9, 8);
    for (uint32_t d = 0; d < s->head_dim; d += 32) {
        __m512i a[2], b[2]; /* each sums every other pair, which halves the dependency chain */
        a[0] = a[1] = b[0] = b[1] = _mm512_setzero_si512();
        for (uint32_t t = 0; t < s->held; t += 4)
            UNROLLED for (uint32_t i = 0; i < 2; i++) {
                const uint32_t first = at_most(t + 2 * i, s->held - 1), second = at_most(first + 1, s->held - 1);
                const __m512i row = widen(s->values + (size_t)first * s->width + d);
                const __m512i next = widen(s->values + (size_t)second * s->width + d);
                const __m512i pair = broadcast_dword(weights + t + 2 * i);
                a[i] = _mm512_dpwssd_epi32(a[i], _mm512_unpacklo_epi16(row, next), pair);
                b[i] = _mm512_dpwssd_epi32(b[i], _mm512_unpackhi_epi16(row, next), pair);
            }
        a[0] = _mm512_add_epi32(a[0], a[1]);
        b[0] = _mm512_add_epi32(b[0], b[1]);
        store_mixed(out + d, s->head_dim - d, _mm512_permutex2var_epi32(a[0], low, b[0]), scale);
        if (s->head_dim - d > 16)
            store_mixed(out + d + 16, s->head_dim - d - 16, _mm512_permutex2var_epi32(a[0], high, b[0]), scale);
    }
}

INLINE FOR_AVX512 void avx512_mix(const shrew_span *s, const int16_t *weights, float *out, float scale) {
    if (s->width == 8)
        mix_8(s, weights, out, scale);
    else if (s->width == 16)
        mix_16(s, weights, out, scale);
    else
        mix_wide(s, weights, out, scale);
}

/* Converts scores to weights of the values. Returns the scale of their weighted sum. */
INLINE FOR_AVX512 float weights_of(const shrew_span *s, int32_t *scores, uint32_t until, int32_t most, float factor,
                                   uint32_t key_exponent, uint32_t value_exponent) {
    const float unit = shrew_power_of_two((int32_t)key_exponent - SCALE_BIAS);
    const uint32_t sum = avx512_exponentials(scores, s->held, until, most, shrew_fix(factor * unit * 4096.0f));
    const uint32_t narrow = shrew_narrowing(sum);
    weigh((uint16_t *)(void *)scores, s->value_scales, s->held, value_exponent, narrow);
    return shrew_mixed_scale(sum, value_exponent, narrow);
}

FOR_AVX512 void shrew_avx512_attend(const shrew_span *s) {
    const uint32_t key_exponent = avx512_largest_exponent(s->key_scales, s->held);
    const uint32_t value_exponent = avx512_largest_exponent(s->value_scales, s->held);
    for (uint32_t h = 0; h < s->heads; h++) {
        const int32_t most = score_keys(s, s->queries + (size_t)h * s->width, key_exponent);
        const float scale = weights_of(s, s->scores, s->held, most, s->factors[h], key_exponent, value_exponent);
        avx512_mix(s, (const int16_t *)(const void *)s->scores, s->out + (size_t)h * s->head_dim, scale);
    }
}

/* ---- Blocks ----------------------------------------------------------------------------------------------------- */

enum { MOST_QUERIES = 64, WIDEST = 256, MIXED_AT_ONCE = 8 };

/* One query head of one token. */
typedef struct batch_query {
    const int8_t *values;
    int32_t *scores;
    float *out;
    float factor, scale;
    int32_t zero; /* the zero point's contribution to its dot products */
    uint32_t held, key_exponent, value_exponent;
} batch_query;

/* Queries in the order of their tokens, so `held` never decreases. */
typedef struct batch {
    batch_query queries[MOST_QUERIES];
    uint32_t count, held; /* held: of the last query */
} batch;

INLINE FOR_AVX512 int32_t sum_of_bytes(const int8_t *values, uint32_t count) {
    __m512i sum = _mm512_setzero_si512();
    for (uint32_t i = 0; i < count; i += 64)
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1),
                                  _mm512_maskz_loadu_epi8(first_bytes(count - i), values + i));
    return _mm512_reduce_add_epi32(sum);
}

INLINE FOR_AVX512 void gather_queries(batch *q, const shrew_span_block *b, uint32_t first, uint32_t tokens) {
    const shrew_span *s = &b->first;
    uint32_t keys = avx512_largest_exponent(s->key_scales, s->held + first);
    uint32_t values = avx512_largest_exponent(s->value_scales, s->held + first);
    q->held = s->held + first + tokens - 1;
    q->count = 0;
    const uint32_t row = (q->held + 15) & ~15u;
    for (uint32_t t = first; t < first + tokens; t++) {
        const uint32_t held = s->held + t;
        keys = at_least(s->key_scales[held - 1] >> 3, keys);
        values = at_least(s->value_scales[held - 1] >> 3, values);
        for (uint32_t h = 0; h < s->heads; h++, q->count++) {
            const size_t at = (size_t)t * b->query_step + h;
            const int8_t *query_values = s->queries + at * s->width;
            q->queries[q->count] = (batch_query){
                query_values, b->spare + (size_t)q->count * row, s->out + (size_t)t * b->out_step + h * s->head_dim,
                s->factors[at], 0.0f, ZERO_POINT_Q8 * sum_of_bytes(query_values, s->width), held, keys, values};
        }
    }
}

/* Transposes sixteen keys from t on, so that a vector has four columns of each. Repeats the last key if there are
 * fewer. */
INLINE FOR_AVX512 void turn_keys(const shrew_span *s, uint32_t t, uint32_t held, uint32_t width, __m512i *columns) {
    for (uint32_t d = 0; d < width; d += 64) {
        const uint32_t used = at_most(width - d, 64);
        __m512i v[16];
        UNROLLED for (uint32_t i = 0; i < 16; i++)
            v[i] = load_keys(s->keys + (size_t)at_most(t + i, held - 1) * width + d, used);
        avx512_transpose(v);
        for (uint32_t i = 0; i < used / 4; i++)
            columns[d / 4 + i] = v[i];
    }
}

INLINE FOR_AVX512 void score_batch(const shrew_span *s, const batch *q, uint32_t width) {
    __m512i columns[WIDEST / 4];
    uint32_t first = 0;
    for (uint32_t t = 0; t < q->held; t += 16) {
        turn_keys(s, t, q->held, width, columns);
        const __m512i codes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes(q->held - t), s->key_scales + t));
        const __m512i mantissas = _mm512_or_si512(_mm512_and_si512(codes, _mm512_set1_epi32(7)), _mm512_set1_epi32(8));
        const __m512i exponents = _mm512_srli_epi32(codes, 3);
        while (q->queries[first].held <= t)
            first++;
        for (uint32_t i = first; i < q->count; i++) {
            const batch_query *one = q->queries + i;
            __m512i even = _mm512_set1_epi32(-one->zero), odd = _mm512_setzero_si512();
            for (uint32_t c = 0; c < width / 4; c += 2) {
                even = _mm512_dpbusd_epi32(even, columns[c], broadcast_dword(one->values + 4 * c));
                odd = _mm512_dpbusd_epi32(odd, columns[c + 1], broadcast_dword(one->values + 4 * c + 4));
            }
            const __m512i dots = _mm512_add_epi32(even, odd);
            const __m512i shifts = _mm512_sub_epi32(_mm512_set1_epi32((int32_t)one->key_exponent), exponents);
            _mm512_storeu_si512(one->scores + t, _mm512_srav_epi32(_mm512_mullo_epi32(dots, mantissas), shifts));
        }
    }
}

INLINE FOR_AVX512 int32_t largest_score(const int32_t *scores, uint32_t count) {
    __m512i most = _mm512_set1_epi32(INT32_MIN);
    for (uint32_t t = 0; t < count; t += 16)
        most = _mm512_mask_max_epi32(most, first_lanes(count - t), most, _mm512_loadu_si512(scores + t));
    return _mm512_reduce_max_epi32(most);
}

/* 32 columns at a time for MIXED_AT_ONCE queries. Their weights are padded with zeros up to what the last one holds. */
INLINE FOR_AVX512 void mix_queries(const shrew_span *s, const batch_query *queries) {
    const __m512i low = _mm512_set_epi32(23, 22, 21, 20, 7, 6, 5, 4, 19, 18, 17, 16, 3, 2, 1, 0);
    const __m512i high = _mm512_set_epi32(31, 30, 29, 28, 15, 14, 13, 12, 27, 26, 25, 24, 11, 10, 9, 8);
    const uint32_t held = queries[MIXED_AT_ONCE - 1].held;
    for (uint32_t d = 0; d < s->head_dim; d += 32) {
        __m512i a[MIXED_AT_ONCE], b[MIXED_AT_ONCE];
        UNROLLED for (uint32_t i = 0; i < MIXED_AT_ONCE; i++)
            a[i] = b[i] = _mm512_setzero_si512();
        for (uint32_t t = 0; t < held; t += 2) {
            const __m512i row = widen(s->values + (size_t)t * s->width + d);
            const __m512i next = widen(s->values + (size_t)at_most(t + 1, held - 1) * s->width + d);
            const __m512i first = _mm512_unpacklo_epi16(row, next), second = _mm512_unpackhi_epi16(row, next);
            UNROLLED for (uint32_t i = 0; i < MIXED_AT_ONCE; i++) {
                const __m512i pair = broadcast_dword((const int16_t *)(const void *)queries[i].scores + t);
                a[i] = _mm512_dpwssd_epi32(a[i], first, pair);
                b[i] = _mm512_dpwssd_epi32(b[i], second, pair);
            }
        }
        UNROLLED for (uint32_t i = 0; i < MIXED_AT_ONCE; i++) {
            float *out = queries[i].out + d;
            store_mixed(out, s->head_dim - d, _mm512_permutex2var_epi32(a[i], low, b[i]), queries[i].scale);
            if (s->head_dim - d > 16)
                store_mixed(out + 16, s->head_dim - d - 16, _mm512_permutex2var_epi32(a[i], high, b[i]),
                            queries[i].scale);
        }
    }
}

INLINE FOR_AVX512 void attend_batch(const shrew_span_block *b, uint32_t first, uint32_t tokens) {
    batch q;
    shrew_span one = b->first;
    gather_queries(&q, b, first, tokens);
    if (one.width == 32)
        score_batch(&one, &q, 32);
    else
        score_batch(&one, &q, one.width);
    for (uint32_t i = 0, next; i < q.count; i = next) {
        const int together = one.width > 16 && q.count - i >= MIXED_AT_ONCE;
        next = together ? i + MIXED_AT_ONCE : i + 1;
        const uint32_t until = q.queries[next - 1].held;
        for (uint32_t k = i; k < next; k++) {
            batch_query *query = q.queries + k;
            one.held = query->held;
            query->scale = weights_of(&one, query->scores, until, largest_score(query->scores, query->held),
                                      query->factor, query->key_exponent, query->value_exponent);
        }
        if (together)
            mix_queries(&one, q.queries + i);
        else
            avx512_mix(&one, (const int16_t *)(const void *)q.queries[i].scores, q.queries[i].out, q.queries[i].scale);
    }
}

static FOR_AVX512 void attend_singly(const shrew_span_block *b) {
    shrew_span one = b->first;
    for (uint32_t t = 0; t < b->tokens; t++) {
        shrew_avx512_attend(&one);
        one.held++;
        one.queries += (size_t)b->query_step * one.width;
        one.factors += b->query_step;
        one.out += b->out_step;
    }
}

/* Keys are transposed once for all queries, values for a few at a time. Takes as many tokens at once as there is room
 * for their scores. */
FOR_AVX512 void shrew_avx512_attend_block(const shrew_span_block *b) {
    const uint32_t row = (b->first.held + b->tokens + 14) & ~15u;
    const uint32_t at_once = at_most(b->room / row, MOST_QUERIES) / b->first.heads;
    if (!at_once || b->first.width > WIDEST) {
        attend_singly(b);
        return;
    }
    for (uint32_t t = 0; t < b->tokens; t += at_once)
        attend_batch(b, t, at_most(b->tokens - t, at_once));
}

#endif
