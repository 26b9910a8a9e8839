/* Products of several tokens with AVX-512. */
#include "kernels/kernels.h"

#ifdef SHREW_X86

#include "kernels/avx512_columns.h"

enum { PANEL_COLS = 256, TILE_TOKENS = 4 };

/* The columns of a panel that share a multiplier. */
typedef struct panel_segment {
    uint32_t start, end;
    __m512i zero[MOST_STRIPS];   /* pairs of words, for two sums of activations */
    __m512i factor[MOST_STRIPS]; /* pairs of words for (high, low) if the panel is narrow, else dwords */
} panel_segment;

/* Strips of sixteen rows by up to PANEL_COLS columns. They are transposed, so that a vector holds four columns of every
 * row and no sum runs across a vector, and unpacked: a byte holds one weight plus the zero point. */
typedef struct row_panel {
    __m512i columns[MOST_STRIPS][PANEL_COLS / 4];
    panel_segment segments[PANEL_COLS / 16];
    uint32_t start, count; /* the first column; number of segments */
    int narrow;            /* 1: sums of either plane over a segment fit 16 bits */
} row_panel;

/* q8 takes two strips at once, one below the other, so that loaded activations are used twice. */
INLINE FOR_AVX512 uint32_t strips_of(uint32_t type) {
    return type == SHREW_TERNARY ? 4 : 2;
}

INLINE FOR_AVX512 uint32_t strip_row(uint32_t type, uint32_t row, uint32_t s) {
    return type == SHREW_Q8 ? row + 16 * s : row + s;
}

INLINE FOR_AVX512 void fill_columns(row_panel *panel, const shrew_tensor *w, uint32_t type, uint32_t row,
                                    uint32_t end) {
    const uint32_t loads = type == SHREW_Q8 ? 2 : 1, shared = strips_of(type) / loads;
    for (uint32_t load = 0; load < loads; load++)
        for (uint32_t c = panel->start; c < end; c += 64) {
            __m512i v[16];
            load_columns(v, w, row + 16 * load, c);
            UNROLLED for (uint32_t i = 0; i < 16; i++) {
                UNROLLED for (uint32_t s = 0; s < shared; s++)
                    panel->columns[load + s][(c - panel->start) / 4 + i] = unpack(v[i], type, s);
            }
        }
}

INLINE FOR_AVX512 void one_segment(row_panel *panel, uint32_t end) {
    panel->segments[0].start = panel->start;
    panel->segments[0].end = end;
    panel->count = 1;
    panel->narrow = 0;
}

INLINE FOR_AVX512 void fill_segments(row_panel *panel, const shrew_tensor *w, uint32_t type, uint32_t row,
                                     uint32_t end) {
    const uint32_t narrow_cols = type == SHREW_Q8 ? 0 : type == SHREW_Q4 ? 64 : 256; /* INT16_MAX / (32 * weight) */
    uint32_t group = panel->start / w->group;
    const uint32_t step = shrew_rows_per_byte(type);
    shrew_multiplier_window windows[MOST_STRIPS];
    for (uint32_t s = 0; s < strips_of(type); s++)
        windows[s] = open_window(w);
    panel->narrow = w->group <= narrow_cols;
    panel->count = 0;
    for (uint32_t c = panel->start; c < end; group++) {
        panel_segment *segment = panel->segments + panel->count++;
        segment->start = c;
        segment->end = c = at_most((group + 1) * w->group, end);
        for (uint32_t s = 0; s < strips_of(type); s++) {
            const __m512i words = multipliers_of(windows + s, w, strip_row(type, row, s), step, group);
            segment->zero[s] = _mm512_mullo_epi16(words, _mm512_set1_epi16((int16_t)-zero_point(type)));
            segment->factor[s] = panel->narrow ? _mm512_mullo_epi16(words, _mm512_set1_epi32(1 << 16 | 16))
                                               : _mm512_srai_epi32(words, 16);
        }
    }
}

/* sums += columns * activations of a segment, for two strips and a constant number of tokens. Two planes of two strips,
 * and with few tokens alternating columns, make 16 independent sums: enough to hide the latency. */
INLINE FOR_AVX512 void multiply_segment(const row_panel *p, const panel_segment *segment, const shrew_quantized_rows *q,
                                        uint32_t first,
                                        uint32_t tokens, uint32_t strip, int grouped, __m512i sums[2][TILE_TOKENS]) {
    const uint32_t chains = TILE_TOKENS / tokens;
    const size_t stride = 2 * (size_t)q->stride, to_low = q->stride;
    const int8_t *x = high_plane(q, first) + segment->start;
    const __m512i *column = p->columns[strip] + (segment->start - p->start) / 4;
    const __m512i *const end = column + (segment->end - segment->start) / 4;
    __m512i high[2][TILE_TOKENS], low[2][TILE_TOKENS];
    UNROLLED for (uint32_t i = 0; i < TILE_TOKENS; i++)
        high[0][i] = high[1][i] = low[0][i] = low[1][i] = _mm512_setzero_si512();
    for (; column < end; column += 4, x += 16) {
        UNROLLED for (uint32_t k = 0; k < 4; k++) {
            UNROLLED for (uint32_t t = 0; t < tokens; t++) {
                const uint32_t i = t * chains + k % chains;
                const __m512i x_high = broadcast_dword(x + t * stride + 4 * k);
                const __m512i x_low = broadcast_dword(x + t * stride + to_low + 4 * k);
                UNROLLED for (uint32_t s = 0; s < 2; s++) {
                    const __m512i weights = column[s * (PANEL_COLS / 4) + k];
                    high[s][i] = _mm512_dpbusd_epi32(high[s][i], weights, x_high);
                    low[s][i] = _mm512_dpbusd_epi32(low[s][i], weights, x_low);
                }
            }
            UNROLLED for (uint32_t i = 0; i < TILE_TOKENS; i++) /* otherwise gcc 12 copies and spills them */
                __asm__("" : "+v"(high[0][i]), "+v"(high[1][i]), "+v"(low[0][i]), "+v"(low[1][i]));
        }
    }
    const uint32_t count = (segment->end - segment->start) / 16;
    UNROLLED for (uint32_t t = 0; t < tokens; t++) {
        const int16_t *x_sums = q->sums + (size_t)(first + t) * (q->stride / 16) + segment->start / 16;
        UNROLLED for (uint32_t s = 0; s < 2; s++) {
            __m512i h = high[s][t * chains], l = low[s][t * chains], sum = sums[s][t];
            UNROLLED for (uint32_t k = 1; k < chains; k++) {
                h = _mm512_add_epi32(h, high[s][t * chains + k]);
                l = _mm512_add_epi32(l, low[s][t * chains + k]);
            }
            if (!grouped) {
                sums[s][t] = _mm512_add_epi32(sum, join_planes(h, l));
                continue;
            }
            const __m512i zero = segment->zero[strip + s], factor = segment->factor[strip + s];
            for (uint32_t i = 0; i + 2 <= count; i += 2)
                sum = _mm512_dpwssd_epi32(sum, zero, broadcast_dword(x_sums + i));
            if (count & 1)
                sum = _mm512_dpwssd_epi32(sum, zero, _mm512_set1_epi32((uint16_t)x_sums[count - 1]));
            if (p->narrow)
                sum = _mm512_dpwssd_epi32(sum, factor,
                                          _mm512_mask_blend_epi16(0xAAAAAAAA, h, _mm512_slli_epi32(l, 16)));
            else
                sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(join_planes(h, l), factor));
            sums[s][t] = sum;
        }
    }
}

/* All segments of a panel. */
INLINE FOR_AVX512 void avx512_multiply_tile(const row_panel *p, const shrew_quantized_rows *q, uint32_t first,
                                            uint32_t tokens, uint32_t strip,
                                     int grouped, __m512i (*totals)[MOST_STRIPS]) {
    __m512i sums[2][TILE_TOKENS];
    UNROLLED for (uint32_t t = 0; t < tokens; t++) {
        sums[0][t] = totals[t][strip];
        sums[1][t] = totals[t][strip + 1];
    }
    for (uint32_t i = 0; i < (grouped ? p->count : 1); i++)
        multiply_segment(p, p->segments + i, q, first, tokens, strip, grouped, sums);
    UNROLLED for (uint32_t t = 0; t < tokens; t++) {
        totals[t][strip] = sums[0][t];
        totals[t][strip + 1] = sums[1][t];
    }
}

/* next: the bytes needed after this panel. They are prefetched a few at a time, so that no sum waits for them. */
INLINE FOR_AVX512 void multiply_panel(const row_panel *panel, const shrew_quantized_rows *q, uint32_t tokens,
                                      uint32_t type, int grouped,
                                      __m512i (*totals)[MOST_STRIPS], const uint8_t *next, uint32_t next_bytes) {
    for (uint32_t strip = 0; strip < strips_of(type); strip += 2) {
        uint32_t t = 0, fetched = 0;
        for (; tokens - t >= 4; t += 4) {
            for (const uint32_t until = next_bytes * (t + 4) / tokens; fetched < until; fetched += 64)
                _mm_prefetch(next + fetched, _MM_HINT_T0);
            avx512_multiply_tile(panel, q, t, 4, strip, grouped, totals + t);
        }
        if (tokens - t >= 2) {
            avx512_multiply_tile(panel, q, t, 2, strip, grouped, totals + t);
            t += 2;
        }
        if (t < tokens)
            avx512_multiply_tile(panel, q, t, 1, strip, grouped, totals + t);
    }
}

INLINE FOR_AVX512 void multiply_panels(const shrew_product *p, uint32_t first, uint32_t last, uint32_t type,
                                       int grouped) {
    const shrew_tensor *w = p->weight;
    const shrew_quantized_rows *q = p->quantized;
    row_panel panel;
    __m512i totals[SHREW_MAX_BLOCK][MOST_STRIPS];
    int32_t raised[SHREW_MAX_BLOCK]; /* the zero point's contribution to the sums of whole rows */
    for (uint32_t t = 0; t < p->tokens; t++)
        raised[t] = grouped ? 0 : zero_point(type) * sum_of_sums(q->sums + t * (q->stride / 16), q->stride / 16);
    for (uint32_t row = first; row < last; row += 16 * strips_of(type)) {
        for (uint32_t t = 0; t < p->tokens; t++)
            for (uint32_t s = 0; s < strips_of(type); s++)
                totals[t][s] = _mm512_set1_epi32(-raised[t]);
        for (panel.start = 0; panel.start < w->stride; panel.start += PANEL_COLS) {
            const uint32_t end = at_most(w->stride, panel.start + PANEL_COLS);
            fill_columns(&panel, w, type, row, end);
            if (grouped)
                fill_segments(&panel, w, type, row, end);
            else
                one_segment(&panel, end);
            const uint32_t bytes = 16 * w->stride * (type == SHREW_Q8 ? 2 : 1);
            const uint8_t *next =
                (const uint8_t *)w->data + (size_t)(row / shrew_rows_per_byte(type)) * w->stride + bytes;
            multiply_panel(&panel, q, p->tokens, type, grouped, totals, next, panel.start ? 0 : bytes);
        }
        store_strips(p, type, row, last, strips_of(type), totals);
    }
}

INLINE FOR_AVX512 void avx512_multiply(const shrew_product *p, uint32_t first, uint32_t last, uint32_t type) {
    if (p->weight->multipliers)
        multiply_panels(p, first, last, type, 1);
    else
        multiply_panels(p, first, last, type, 0);
}

FOR_AVX512 void shrew_avx512_multiply_block(const shrew_product *p, uint32_t first, uint32_t last) {
    if (p->weight->type == SHREW_Q8)
        avx512_multiply(p, first, last, SHREW_Q8);
    else if (p->weight->type == SHREW_Q4)
        avx512_multiply(p, first, last, SHREW_Q4);
    else
        avx512_multiply(p, first, last, SHREW_TERNARY);
}

#endif
