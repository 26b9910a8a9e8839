/* Shared by the AVX-512 products: transposing weights, and storing sums as results. */
#ifndef SHREW_AVX512_COLUMNS_H
#define SHREW_AVX512_COLUMNS_H

#include "kernels/avx512_vectors.h"

enum { MOST_STRIPS = 4 }; /* of sixteen rows each */

void shrew_avx512_multiply_block(const shrew_product *p, uint32_t first, uint32_t last);

INLINE FOR_AVX512 const int8_t *high_plane(const shrew_quantized_rows *q, uint32_t token) {
    return (const int8_t *)(q->values + (size_t)token * q->stride);
}

/* ---- Weights ---------------------------------------------------------------------------------------------------- */

/* Loads sixteen bytes of every fourth row among sixteen. */
INLINE FOR_AVX512 __m512i load_quarters(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d) {
    const __m512i first = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)a));
    const __m512i half = _mm512_mask_broadcast_i32x4(first, 0x00F0, _mm_loadu_si128((const __m128i *)(const void *)b));
    const __m512i most = _mm512_mask_broadcast_i32x4(half, 0x0F00, _mm_loadu_si128((const __m128i *)(const void *)c));
    return _mm512_mask_broadcast_i32x4(most, 0xF000, _mm_loadu_si128((const __m128i *)(const void *)d));
}

/* Transposes four such vectors, of successive rows: v[i] gets the i-th four bytes of each row. */
INLINE FOR_AVX512 void turn_quarters(__m512i v[4], const __m512i rows[4]) {
    const __m512i low_ab = _mm512_unpacklo_epi32(rows[0], rows[1]), high_ab = _mm512_unpackhi_epi32(rows[0], rows[1]);
    const __m512i low_cd = _mm512_unpacklo_epi32(rows[2], rows[3]), high_cd = _mm512_unpackhi_epi32(rows[2], rows[3]);
    v[0] = _mm512_unpacklo_epi64(low_ab, low_cd);
    v[1] = _mm512_unpackhi_epi64(low_ab, low_cd);
    v[2] = _mm512_unpacklo_epi64(high_ab, high_cd);
    v[3] = _mm512_unpackhi_epi64(high_ab, high_cd);
}

/* Transposes up to 64 bytes of sixteen lines from `row` on; a line is one row, or the rows that share bytes. v[i] gets
 * the i-th four bytes of each line. Repeats the last line if there are fewer. Loads do half of the transposition, on
 * other ports than shuffles. */
INLINE FOR_AVX512 void load_columns(__m512i v[16], const shrew_tensor *w, uint32_t row, uint32_t c) {
    const uint32_t per_byte = shrew_rows_per_byte(w->type), byte_rows = (w->rows + per_byte - 1) / per_byte;
    const uint32_t byte_row = at_most(row / per_byte, byte_rows - 1), left = byte_rows - byte_row;
    const size_t stride = w->stride;
    const uint8_t *data = (const uint8_t *)w->data + byte_row * stride + c;
    if (left < 16 || stride - c < 64) {
        const __mmask64 there = first_bytes(w->stride - c);
        UNROLLED for (uint32_t i = 0; i < 16; i++, data += i < left ? stride : 0)
            v[i] = _mm512_maskz_loadu_epi8(there, data);
        avx512_transpose(v);
        return;
    }
    UNROLLED for (uint32_t k = 0; k < 4; k++, data += 16) {
        __m512i every_fourth[4];
        UNROLLED for (uint32_t i = 0; i < 4; i++) {
            const uint8_t *from = data + i * stride;
            every_fourth[i] = load_quarters(from, from + 4 * stride, from + 8 * stride, from + 12 * stride);
        }
        turn_quarters(v + 4 * k, every_fourth);
    }
}

/* The s-th weight of each byte, plus the zero point, so that it is unsigned. */
INLINE FOR_AVX512 __m512i unpack(__m512i bytes, uint32_t type, uint32_t s) {
    if (type == SHREW_Q8)
        return _mm512_xor_si512(bytes, _mm512_set1_epi8((char)ZERO_POINT_Q8));
    if (type == SHREW_Q4)
        return _mm512_and_si512(s ? _mm512_srli_epi16(bytes, 4) : bytes, _mm512_set1_epi8(15));
    return _mm512_and_si512(_mm512_srli_epi16(bytes, 2 * s), _mm512_set1_epi8(3));
}

INLINE FOR_AVX512 int16_t zero_point(uint32_t type) {
    return type == SHREW_Q8 ? ZERO_POINT_Q8 : (int16_t)shrew_digit_of_zero(type);
}

/* ---- Multipliers ------------------------------------------------------------------------------------------------ */

/* Gathers the multipliers of four groups, including `group`, for 16 rows that are `step` apart. Windows of four are
 * counted from the end of a row, so the first may begin up to three bytes early, in other multipliers or in the
 * scales. */
INLINE FOR_AVX512 __m512i gather_multipliers(const shrew_tensor *w, uint32_t row, uint32_t step, uint32_t group) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i rows = _mm512_min_epu32(
        _mm512_add_epi32(_mm512_set1_epi32((int32_t)row), _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int32_t)step))),
        _mm512_set1_epi32((int32_t)(w->rows - 1)));
    const __m512i at = _mm512_mullo_epi32(rows, _mm512_set1_epi32((int32_t)w->groups));
    return _mm512_i32gather_epi32(at, w->multipliers + group - ((group - w->groups) & 3), 1);
}

/* Multipliers of four groups; ones if there are no multipliers. */
typedef struct shrew_multiplier_window {
    __m512i four;
    uint32_t end; /* the group after them */
} shrew_multiplier_window;

INLINE FOR_AVX512 shrew_multiplier_window open_window(const shrew_tensor *w) {
    const shrew_multiplier_window window = {_mm512_set1_epi8(1), w->multipliers ? 0 : UINT32_MAX};
    return window;
}

/* The multipliers of one group, each as two equal words. Callers ask for groups in ascending order. */
INLINE FOR_AVX512 __m512i multipliers_of(shrew_multiplier_window *m, const shrew_tensor *w, uint32_t row, uint32_t step,
                                         uint32_t group) {
    const uint32_t which = (group - w->groups) & 3;
    if (group >= m->end) {
        m->four = gather_multipliers(w, row, step, group);
        m->end = group + 4 - which;
    }
    /* Moves the byte to the top of both words. */
    const __m512i dwords = _mm512_broadcast_i32x4(_mm_set_epi32(0x0C000C00, 0x08000800, 0x04000400, 0));
    const __m512i place = _mm512_or_si512(dwords, _mm512_set1_epi32((int32_t)(which * 0x01000100)));
    return _mm512_srai_epi16(_mm512_shuffle_epi8(m->four, place), 8);
}

/* ---- Results ---------------------------------------------------------------------------------------------------- */

INLINE FOR_AVX512 int32_t sum_of_sums(const int16_t *sums, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += sums[i];
    return sum;
}

INLINE FOR_AVX512 void avx512_interleave(__m512i *a, __m512i *b) {
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
    const __m512i first = _mm512_permutex2var_epi32(*a, low, *b);
    *b = _mm512_permutex2var_epi32(*a, high, *b);
    *a = first;
}

/* Stores the sums of sixteen rows for one token. */
INLINE FOR_AVX512 void store_sums(const shrew_product *p, uint32_t token, uint32_t row, __mmask16 there,
                                  __m512 row_scales, __m512i sums) {
    const __m512 scales = _mm512_mul_ps(row_scales, _mm512_set1_ps(p->quantized->scales[token]));
    _mm512_mask_storeu_ps(p->y + (size_t)token * p->y_stride + row, there,
                          _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales));
}

/* Stores sums [tokens][MOST_STRIPS] of the strips of one load as results, starting at `row`. */
INLINE FOR_AVX512 void store_strips(const shrew_product *p, uint32_t type, uint32_t row, uint32_t last, uint32_t strips,
                                    __m512i (*sums)[MOST_STRIPS]) {
    for (uint32_t t = 0; t < p->tokens && type != SHREW_Q8; t++) {
        if (type == SHREW_TERNARY) {
            avx512_interleave(&sums[t][0], &sums[t][2]);
            avx512_interleave(&sums[t][1], &sums[t][3]);
            avx512_interleave(&sums[t][2], &sums[t][3]);
        }
        avx512_interleave(&sums[t][0], &sums[t][1]);
    }
    for (uint32_t s = 0; s < strips && row < last; s++, row += 16) {
        const __mmask16 there = first_lanes(last - row);
        const __m512 scales = _mm512_maskz_loadu_ps(there, p->weight->row_scales + row);
        for (uint32_t t = 0; t < p->tokens; t++)
            store_sums(p, t, row, there, scales, sums[t][s]);
    }
}

#endif
