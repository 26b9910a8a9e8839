/* Matrix products for one token, with AVX-512. */
#include "kernels/kernels.h"

#ifdef SHREW_X86

#include "kernels/avx512_columns.h"

/* ---- A row at a time -------------------------------------------------------------------------------------------- */

/* Multiplies four rows of q8, giving four sums of four lanes. Repeats the last row if there are fewer. */
INLINE FOR_AVX512 __m512i four_rows(const uint8_t *data, size_t stride, uint32_t row, uint32_t last,
                                    const int8_t *planes, uint32_t padded) {
    const __m512i raise = _mm512_set1_epi8((char)ZERO_POINT_Q8);
    const uint8_t *rows[4];
    __m512i high[4], low[4];
    if (padded == 64 && row + 4 <= last) { /* one step: the low plane continues the sum of the high one */
        const __m512i x_high = _mm512_loadu_si512(planes), x_low = _mm512_loadu_si512(planes + 64);
        for (uint32_t i = 0; i < 4; i++) {
            const __m512i raised = _mm512_xor_si512(_mm512_loadu_si512(data + 64 * (size_t)(row + i)), raise);
            const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), raised, x_high);
            high[i] = _mm512_dpbusd_epi32(_mm512_slli_epi32(sum, 4), raised, x_low);
        }
        return fold4(fold2(high[0], high[1]), fold2(high[2], high[3]));
    }
    for (uint32_t i = 0; i < 4; i++) {
        rows[i] = data + stride * at_most(row + i, last - 1);
        high[i] = low[i] = _mm512_setzero_si512();
    }
    uint32_t c = 0;
    for (; c + 64 <= padded; c += 64) {
        const __m512i x_high = _mm512_loadu_si512(planes + c), x_low = _mm512_loadu_si512(planes + padded + c);
        for (uint32_t i = 0; i < 4; i++) {
            const __m512i raised = _mm512_xor_si512(_mm512_loadu_si512(rows[i] + c), raise);
            high[i] = _mm512_dpbusd_epi32(high[i], raised, x_high);
            low[i] = _mm512_dpbusd_epi32(low[i], raised, x_low);
        }
    }
    if (c < padded) {
        const __mmask64 there = first_bytes(padded - c);
        const __m512i x_high = _mm512_maskz_loadu_epi8(there, planes + c);
        const __m512i x_low = _mm512_maskz_loadu_epi8(there, planes + padded + c);
        for (uint32_t i = 0; i < 4; i++) {
            const __m512i raised = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, rows[i] + c), raise);
            high[i] = _mm512_dpbusd_epi32(high[i], raised, x_high);
            low[i] = _mm512_dpbusd_epi32(low[i], raised, x_low);
        }
    }
    for (uint32_t i = 0; i < 4; i++)
        high[i] = join_planes(high[i], low[i]);
    return fold4(fold2(high[0], high[1]), fold2(high[2], high[3]));
}

static FOR_AVX512 void avx512_multiply_rows(const shrew_product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    const shrew_quantized_rows *q = p->quantized;
    const __m512i zero = _mm512_set1_epi32(ZERO_POINT_Q8 * sum_of_sums(q->sums, q->stride / 16));
    for (uint32_t row = first; row < last; row += 16) {
        __m512i quads[4];
        for (uint32_t i = 0; i < 4; i++)
            quads[i] = four_rows(w->data, w->stride, row + 4 * i, last, high_plane(q, 0), q->stride);
        const __mmask16 there = first_lanes(last - row);
        store_sums(p, 0, row, there, _mm512_maskz_loadu_ps(there, w->row_scales + row),
                   _mm512_sub_epi32(fold16(quads), zero));
    }
}

/* ---- Columns at a time ------------------------------------------------------------------------------------------ */

/* For one token, columns are used straight from registers, without a panel. */
INLINE FOR_AVX512 void multiply_token(const shrew_product *p, uint32_t first, uint32_t last, uint32_t type) {
    const shrew_tensor *w = p->weight;
    const shrew_quantized_rows *q = p->quantized;
    const uint32_t per_byte = shrew_rows_per_byte(type), group_cols = w->group ? w->group : w->stride;
    const __m512i zero = _mm512_setzero_si512();
    for (uint32_t row = first; row < last; row += 16 * per_byte) {
        shrew_multiplier_window windows[MOST_STRIPS];
        __m512i totals[MOST_STRIPS], high[MOST_STRIPS], low[MOST_STRIPS];
        UNROLLED for (uint32_t s = 0; s < per_byte; s++) {
            windows[s] = open_window(w);
            totals[s] = high[s] = low[s] = zero;
        }
        int32_t sum = 0;
        uint32_t group = 0, next = group_cols;
        for (uint32_t start = 0; start < w->stride; start += 64) {
            __m512i v[16];
            load_columns(v, w, row, start);
            UNROLLED for (uint32_t quarter = 0; quarter < 4; quarter++) {
                const uint32_t c = start + 16 * quarter;
                if (c >= w->stride)
                    break;
                UNROLLED for (uint32_t i = 0; i < 4; i++) {
                    const int8_t *x = high_plane(q, 0) + c + 4 * i;
                    const __m512i x_high = broadcast_dword(x), x_low = broadcast_dword(x + q->stride);
                    UNROLLED for (uint32_t s = 0; s < per_byte; s++) {
                        const __m512i weights = unpack(v[4 * quarter + i], type, s);
                        high[s] = _mm512_dpbusd_epi32(high[s], weights, x_high);
                        low[s] = _mm512_dpbusd_epi32(low[s], weights, x_low);
                    }
                }
                sum += q->sums[c / 16];
                if (c + 16 < next && c + 16 < w->stride)
                    continue;
                const __m512i raised = _mm512_set1_epi32(zero_point(type) * sum);
                UNROLLED for (uint32_t s = 0; s < per_byte; s++) {
                    const __m512i dots = _mm512_sub_epi32(join_planes(high[s], low[s]), raised);
                    const __m512i factors = multipliers_of(windows + s, w, row + s, per_byte, group);
                    totals[s] = _mm512_add_epi32(totals[s], _mm512_mullo_epi32(dots, _mm512_srai_epi32(factors, 16)));
                    high[s] = low[s] = zero;
                }
                sum = 0;
                group++;
                next += group_cols;
            }
        }
        store_strips(p, type, row, last, per_byte, &totals);
    }
}

/* For one token and rows without groups, sums across vectors are cheaper than transposing columns. */
FOR_AVX512 void shrew_avx512_multiply_q8(const shrew_product *p, uint32_t first, uint32_t last) {
    if (p->tokens > 1)
        shrew_avx512_multiply_block(p, first, last);
    else if (p->weight->multipliers)
        multiply_token(p, first, last, SHREW_Q8);
    else
        avx512_multiply_rows(p, first, last);
}

FOR_AVX512 void shrew_avx512_multiply_q4(const shrew_product *p, uint32_t first, uint32_t last) {
    if (p->tokens > 1)
        shrew_avx512_multiply_block(p, first, last);
    else
        multiply_token(p, first, last, SHREW_Q4);
}

FOR_AVX512 void shrew_avx512_multiply_ternary(const shrew_product *p, uint32_t first, uint32_t last) {
    if (p->tokens > 1)
        shrew_avx512_multiply_block(p, first, last);
    else
        multiply_token(p, first, last, SHREW_TERNARY);
}

#endif
