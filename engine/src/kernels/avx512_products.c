/* Products with AVX-512. */
#include "kernels/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include "kernels/avx512.h"

enum { PANEL_COLS = 256, MOST_PER_BYTE = 4 };

INLINE const int8_t *high_plane(const quantized_rows *q, uint32_t token) {
    return (const int8_t *)(q->values + (size_t)token * q->stride);
}

/* ---- A row at a time -------------------------------------------------------------------------------------------- */

INLINE void store_rows(const product *p, uint32_t token, uint32_t row, uint32_t last, __m512i sums) {
    const __mmask16 there = first_lanes(last - row);
    const __m512 scales = _mm512_mul_ps(_mm512_maskz_loadu_ps(there, p->weight->row_scales + row),
                                        _mm512_set1_ps(p->quantized->scales[token]));
    _mm512_mask_storeu_ps(p->y + (size_t)token * p->y_stride + row, there,
                          _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales));
}

static int32_t sum_of_sums(const int16_t *sums, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += sums[i];
    return sum;
}

/* Four rows of q8 to four sums of four lanes; rows behind the last are the last again. */
INLINE __m512i four_rows(const uint8_t *data, size_t stride, uint32_t row, uint32_t last, const int8_t *planes,
                         uint32_t padded) {
    const __m512i raise = _mm512_set1_epi8((char)ZERO_POINT_Q8);
    const uint8_t *rows[4];
    __m512i high[4], low[4];
    if (padded == 64 && row + 4 <= last) { /* nothing to add up: the low plane goes on where the high one ended */
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

static TARGET void multiply_rows(const product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    const quantized_rows *q = p->quantized;
    const __m512i zero = _mm512_set1_epi32(ZERO_POINT_Q8 * sum_of_sums(q->sums, q->stride / 16));
    for (uint32_t row = first; row < last; row += 16) {
        __m512i quads[4];
        for (uint32_t i = 0; i < 4; i++)
            quads[i] = four_rows(w->data, w->stride, row + 4 * i, last, high_plane(q, 0), q->stride);
        store_rows(p, 0, row, last, _mm512_sub_epi32(fold16(quads), zero));
    }
}

/* ---- A panel at a time ------------------------------------------------------------------------------------------ */

/* Sixteen rows of bytes, up to PANEL_COLS columns of them, turned so that a vector holds four columns of every row and
 * no sum runs across a vector; and unpacked, so that a byte holds one weight, raised to be unsigned. */
typedef struct panel {
    __m512i columns[MOST_PER_BYTE][PANEL_COLS / 4];
} panel;

/* Turns 16 x 16 dwords. */
INLINE void transpose(__m512i v[16]) {
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

/* Bytes of sixteen rows, or of as many times 16 as share bytes, from row on; behind the last it comes again. */
INLINE void load_columns(__m512i v[16], const shrew_tensor *w, uint32_t row, uint32_t c) {
    const uint32_t per_byte = shrew_rows_per_byte(w->type), left = (w->rows - row + per_byte - 1) / per_byte;
    const size_t stride = w->stride;
    const uint8_t *data = (const uint8_t *)w->data + row / per_byte * stride + c;
    if (stride - c >= 64 && left >= 16) {
        UNROLLED for (uint32_t i = 0; i < 16; i++, data += stride)
            v[i] = _mm512_loadu_si512(data);
    } else {
        const __mmask64 there = first_bytes(w->stride - c);
        UNROLLED for (uint32_t i = 0; i < 16; i++, data += i < left ? stride : 0)
            v[i] = _mm512_maskz_loadu_epi8(there, data);
    }
    transpose(v);
}

/* The s-th weights of bytes, raised to be unsigned. */
INLINE __m512i unpack(__m512i bytes, uint32_t type, uint32_t s) {
    if (type == SHREW_Q8)
        return _mm512_xor_si512(bytes, _mm512_set1_epi8((char)ZERO_POINT_Q8));
    if (type == SHREW_Q4)
        return _mm512_and_si512(s ? _mm512_srli_epi16(bytes, 4) : bytes, _mm512_set1_epi8(15));
    return _mm512_and_si512(_mm512_srli_epi16(bytes, 2 * s), _mm512_set1_epi8(3));
}

INLINE int16_t zero_point(uint32_t type) {
    return type == SHREW_Q8 ? ZERO_POINT_Q8 : type == SHREW_Q4 ? 8 : 1;
}

INLINE void fill_panel(panel *panel, const shrew_tensor *w, uint32_t type, uint32_t row, uint32_t start, uint32_t end) {
    for (uint32_t c = start; c < end; c += 64) {
        __m512i v[16];
        load_columns(v, w, row, c);
        for (uint32_t i = 0, k = (c - start) / 4; i < 16; i++, k++)
            for (uint32_t s = 0; s < shrew_rows_per_byte(type); s++)
                panel->columns[s][k] = unpack(v[i], type, s);
    }
}

/* What 16 rows' multipliers of one group are worth, as pairs of words. */
typedef struct factors {
    __m512i planes; /* for (high, low) */
    __m512i zero;   /* for two sums of activations */
    __m512i sum;    /* as dwords, for a sum that is too long for words */
} factors;

/* Columns [start, end) of a panel, in one group; narrow: neither plane's sum can leave 16 bits. */
typedef struct segment {
    const __m512i *columns;
    uint32_t start, end;
    int narrow;
} segment;

/* totals += factors * (columns * activations - zero point) for some tokens, known when compiling, from the first on;
 * chains of independent sums for each, as many as hide the latency. */
INLINE void multiply_tile(const segment *s, const factors *f, const quantized_rows *q, uint32_t first, uint32_t tokens,
                          uint32_t chains, uint32_t row, __m512i (*totals)[MOST_PER_BYTE]) {
    const int16_t *x_sums = q->sums + (size_t)first * (q->stride / 16);
    const size_t to_low = q->stride;
    const __m512i *column = s->columns, *const end = column + (s->end - s->start) / 4;
    const int8_t *x[8];
    __m512i high[8], low[8];
    UNROLLED for (uint32_t t = 0; t < tokens; t++)
        x[t] = high_plane(q, first + t) + s->start;
    UNROLLED for (uint32_t i = 0; i < tokens * chains; i++)
        high[i] = low[i] = _mm512_setzero_si512();
    for (; column < end; column += 4) {
        UNROLLED for (uint32_t i = 0; i < 4; i++) {
            UNROLLED for (uint32_t t = 0; t < tokens; t++) {
                const uint32_t at = t * chains + i % chains;
                high[at] = _mm512_dpbusd_epi32(high[at], column[i], broadcast_dword(x[t] + 4 * i));
                low[at] = _mm512_dpbusd_epi32(low[at], column[i], broadcast_dword(x[t] + to_low + 4 * i));
            }
        }
        UNROLLED for (uint32_t t = 0; t < tokens; t++)
            x[t] += 16;
    }
    UNROLLED for (uint32_t t = 0; t < tokens; t++) {
        __m512i total = totals[t][row], *h = high + t * chains, *l = low + t * chains;
        UNROLLED for (uint32_t i = 1; i < chains; i++) {
            h[0] = _mm512_add_epi32(h[0], h[i]);
            l[0] = _mm512_add_epi32(l[0], l[i]);
        }
        uint32_t c = s->start / 16;
        const int16_t *sums = x_sums + (size_t)t * (q->stride / 16);
        for (; c + 2 <= s->end / 16; c += 2)
            total = _mm512_dpwssd_epi32(total, f->zero, broadcast_dword(sums + c));
        if (c < s->end / 16)
            total = _mm512_dpwssd_epi32(total, f->zero, _mm512_set1_epi32((uint16_t)sums[c]));
        if (s->narrow)
            total = _mm512_dpwssd_epi32(total, f->planes,
                                        _mm512_mask_blend_epi16(0xAAAAAAAA, h[0], _mm512_slli_epi32(l[0], 16)));
        else
            total = _mm512_add_epi32(total, _mm512_mullo_epi32(join_planes(h[0], l[0]), f->sum));
        totals[t][row] = total;
    }
}

INLINE void multiply_segment(const segment *s, const factors *f, const product *p, uint32_t row,
                             __m512i (*totals)[MOST_PER_BYTE]) {
    uint32_t t = 0;
    for (; p->tokens - t >= 8; t += 8)
        multiply_tile(s, f, p->quantized, t, 8, 1, row, totals + t);
    if (p->tokens - t >= 4) {
        multiply_tile(s, f, p->quantized, t, 4, 2, row, totals + t);
        t += 4;
    }
    for (; t < p->tokens; t++)
        if (s->end - s->start <= 64) /* other segments fill the time */
            multiply_tile(s, f, p->quantized, t, 1, 1, row, totals + t);
        else
            multiply_tile(s, f, p->quantized, t, 1, 4, row, totals + t);
}

/* Multipliers of 16 rows, step apart, of four groups of which the last comes so many groups before the row's last that
 * it is a multiple of four. Reads up to three bytes before them, which are others or scales. */
INLINE __m512i gather_multipliers(const shrew_tensor *w, uint32_t row, uint32_t step, uint32_t group) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i rows = _mm512_min_epu32(
        _mm512_add_epi32(_mm512_set1_epi32((int32_t)row), _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int32_t)step))),
        _mm512_set1_epi32((int32_t)(w->rows - 1)));
    const __m512i at = _mm512_mullo_epi32(rows, _mm512_set1_epi32((int32_t)w->groups));
    return _mm512_i32gather_epi32(at, w->multipliers + group - ((group - w->groups) & 3), 1);
}

INLINE factors group_factors(__m512i four, uint32_t which, int16_t zero_point) {
    /* The byte to the top of both words. */
    const __m512i dwords = _mm512_broadcast_i32x4(_mm_set_epi32(0x0C000C00, 0x08000800, 0x04000400, 0));
    const __m512i place = _mm512_or_si512(dwords, _mm512_set1_epi32((int32_t)(which * 0x01000100)));
    const __m512i words = _mm512_srai_epi16(_mm512_shuffle_epi8(four, place), 8);
    const factors f = {
        _mm512_mullo_epi16(words, _mm512_set1_epi32(1 << 16 | 16)),
        _mm512_mullo_epi16(words, _mm512_set1_epi16((int16_t)-zero_point)),
        _mm512_srai_epi32(words, 16),
    };
    return f;
}

INLINE void interleave(__m512i *a, __m512i *b) {
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
    const __m512i first = _mm512_permutex2var_epi32(*a, low, *b);
    *b = _mm512_permutex2var_epi32(*a, high, *b);
    *a = first;
}

/* 16 byte rows' totals to results, beginning with those of row. */
INLINE void store_totals(const product *p, uint32_t token, uint32_t type, uint32_t row, uint32_t last,
                         __m512i totals[MOST_PER_BYTE]) {
    if (type == SHREW_Q4) {
        interleave(&totals[0], &totals[1]);
    } else if (type == SHREW_TERNARY) {
        interleave(&totals[0], &totals[2]);
        interleave(&totals[1], &totals[3]);
        interleave(&totals[0], &totals[1]);
        interleave(&totals[2], &totals[3]);
    }
    for (uint32_t s = 0; s < shrew_rows_per_byte(type) && row + 16 * s < last; s++)
        store_rows(p, token, row + 16 * s, last, totals[s]);
}

/* Multipliers of 16 byte rows from row on, group by group. */
typedef struct multiplier_window {
    __m512i four[MOST_PER_BYTE]; /* of four groups */
    uint32_t end;                /* the group after them */
} multiplier_window;

INLINE multiplier_window first_multipliers(const shrew_tensor *w) {
    const __m512i ones = _mm512_set1_epi8(1);
    const multiplier_window m = {{ones, ones, ones, ones}, w->multipliers ? 0 : UINT32_MAX};
    return m;
}

/* Makes the window hold a group's multipliers; returns which of its four they are. */
INLINE uint32_t advance(multiplier_window *m, const shrew_tensor *w, uint32_t type, uint32_t row, uint32_t group) {
    const uint32_t which = (group - w->groups) & 3, per_byte = shrew_rows_per_byte(type);
    if (group >= m->end) {
        for (uint32_t s = 0; s < per_byte; s++)
            m->four[s] = gather_multipliers(w, row + s, per_byte, group);
        m->end = group + 4 - which;
    }
    return which;
}

INLINE void multiply_panels(const product *p, uint32_t first, uint32_t last, uint32_t type) {
    const shrew_tensor *w = p->weight;
    const uint32_t per_byte = shrew_rows_per_byte(type);
    const uint32_t narrow_cols = type == SHREW_Q8 ? 0 : type == SHREW_Q4 ? 64 : 256; /* INT16_MAX / (32 * weight) */
    panel panel;
    __m512i totals[SHREW_MAX_BLOCK][MOST_PER_BYTE];
    for (uint32_t row = first; row < last; row += 16 * per_byte) {
        multiplier_window multipliers = first_multipliers(w);
        uint32_t group = 0;
        for (uint32_t t = 0; t < p->tokens; t++)
            for (uint32_t s = 0; s < per_byte; s++)
                totals[t][s] = _mm512_setzero_si512();
        for (uint32_t start = 0; start < w->stride; start += PANEL_COLS) {
            const uint32_t end = at_most(w->stride, start + PANEL_COLS);
            fill_panel(&panel, w, type, row, start, end);
            for (uint32_t c = start, next; c < end; c = next) {
                const uint32_t which = advance(&multipliers, w, type, row, group);
                next = w->group ? at_most((group + 1) * w->group, end) : end;
                for (uint32_t s = 0; s < per_byte; s++) {
                    const factors f = group_factors(multipliers.four[s], which, zero_point(type));
                    const segment segment = {panel.columns[s] + (c - start) / 4, c, next, next - c <= narrow_cols};
                    multiply_segment(&segment, &f, p, s, totals);
                }
                group += w->group && next == (group + 1) * w->group;
            }
        }
        for (uint32_t t = 0; t < p->tokens; t++)
            store_totals(p, t, type, row, last, totals[t]);
    }
}

/* One token alone: columns go from registers to the sums of all rows that they hold, and to no panel. */
INLINE void multiply_token(const product *p, uint32_t first, uint32_t last, uint32_t type) {
    const shrew_tensor *w = p->weight;
    const quantized_rows *q = p->quantized;
    const uint32_t per_byte = shrew_rows_per_byte(type), group_cols = w->group ? w->group : w->stride;
    const __m512i zero = _mm512_setzero_si512();
    for (uint32_t row = first; row < last; row += 16 * per_byte) {
        multiplier_window multipliers = first_multipliers(w);
        __m512i totals[MOST_PER_BYTE] = {zero, zero, zero, zero};
        __m512i high[MOST_PER_BYTE] = {zero, zero, zero, zero}, low[MOST_PER_BYTE] = {zero, zero, zero, zero};
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
                const uint32_t which = advance(&multipliers, w, type, row, group++);
                const __m512i raised = _mm512_set1_epi32(zero_point(type) * sum);
                UNROLLED for (uint32_t s = 0; s < per_byte; s++) {
                    const __m512i dots = _mm512_sub_epi32(join_planes(high[s], low[s]), raised);
                    const factors f = group_factors(multipliers.four[s], which, 0);
                    totals[s] = _mm512_add_epi32(totals[s], _mm512_mullo_epi32(dots, f.sum));
                    high[s] = low[s] = zero;
                }
                sum = 0;
                next += group_cols;
            }
        }
        store_totals(p, 0, type, row, last, totals);
    }
}

INLINE void multiply(const product *p, uint32_t first, uint32_t last, uint32_t type) {
    if (p->tokens == 1)
        multiply_token(p, first, last, type);
    else
        multiply_panels(p, first, last, type);
}

/* For one token and whole rows, sums across vectors cost less than turning columns. */
TARGET void shrew_avx512_multiply_q8(const product *p, uint32_t first, uint32_t last) {
    if (p->tokens == 1 && !p->weight->multipliers)
        multiply_rows(p, first, last);
    else
        multiply(p, first, last, SHREW_Q8);
}

TARGET void shrew_avx512_multiply_q4(const product *p, uint32_t first, uint32_t last) {
    multiply(p, first, last, SHREW_Q4);
}

TARGET void shrew_avx512_multiply_ternary(const product *p, uint32_t first, uint32_t last) {
    multiply(p, first, last, SHREW_TERNARY);
}

#endif
