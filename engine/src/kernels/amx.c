/* x86-64 with AMX tiles for products of blocks of tokens, and AVX-512 for everything else.
 *
 * One instruction multiplies 16 tokens by 64 columns of 16 rows. Both planes of activations (avx512_vectors.h) are read
 * in place. Weights are transposed, so that a row of a tile holds four columns of each of 16 matrix rows. Weights with
 * multipliers become products of the two, in two planes of bytes if one is too narrow. Tiles always have all columns:
 * the last one starts early, to end with the row, and the columns that it repeats are zeros in the weights. The last
 * tokens are repeated likewise, with the same results. */
#include "kernels/kernels.h"

#ifdef SHREW_AMX

#include "kernels/avx512_columns.h"

#define FOR_AMX __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8")))

enum {
    FEWEST_TOKENS = 5, /* per plane of weights; with fewer, transposing them takes longer than AVX-512 */
    AMX_TILE_TOKENS = 16,
    TILE_COLS = 64,
    PANEL_CHUNKS = 6,
};

/* Chunks of TILE_COLS columns: of two strips of sixteen rows, or of both planes of one strip. */
typedef struct tile_panel {
    __m512i tiles[PANEL_CHUNKS][2][16];
    uint32_t first, count; /* chunks */
} tile_panel;

/* Four tiles of sums, sixteen tokens by sixteen rows each: high and low activations times the first tiles of a panel's
 * chunks, then times the second tiles. */
typedef struct tile_sums {
    __m512i tokens[4][AMX_TILE_TOKENS];
} tile_sums;

/* ---- Weights ---------------------------------------------------------------------------------------------------- */

INLINE FOR_AVX512 uint32_t planes_of(uint32_t type, int grouped) {
    return grouped && type != SHREW_TERNARY ? 2 : 1; /* ternary times a multiplier fits a byte */
}

/* Sets v[i] to columns c + 4 * i .. c + 4 * i + 3 of sixteen rows. Repeats the last row if there are fewer. */
INLINE FOR_AVX512 void load_quarter(__m512i v[4], const uint8_t *data, size_t stride, uint32_t per_byte,
                                    uint32_t left) {
    __m512i every_fourth[4];
    UNROLLED for (uint32_t i = 0; i < 4; i++)
        every_fourth[i] = load_quarters(data + at_most(i / per_byte, left) * stride,
                                        data + at_most((i + 4) / per_byte, left) * stride,
                                        data + at_most((i + 8) / per_byte, left) * stride,
                                        data + at_most((i + 12) / per_byte, left) * stride);
    turn_quarters(v, every_fourth);
}

/* Extracts the weight of each lane's row from each of its bytes. */
INLINE FOR_AVX512 __m512i signed_weights(__m512i bytes, uint32_t type) {
    const __m512i q4 = _mm512_set1_epi64((int64_t)4 << 32);
    const __m512i ternary = _mm512_broadcast_i32x4(_mm_set_epi32(6, 4, 2, 0));
    if (type == SHREW_Q8)
        return bytes;
    const __m512i low = _mm512_and_si512(_mm512_srlv_epi32(bytes, type == SHREW_Q4 ? q4 : ternary),
                                         _mm512_set1_epi8(type == SHREW_Q4 ? 15 : 3));
    return _mm512_sub_epi8(low, _mm512_set1_epi8((char)zero_point(type)));
}

/* Splits weights * multipliers = 256 * high + low into signed bytes. */
INLINE FOR_AVX512 void split_products(__m512i weights, __m512i multipliers, __m512i *high, __m512i *low) {
    const __m512i even = _mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(weights, 8), 8), multipliers);
    const __m512i odd = _mm512_mullo_epi16(_mm512_srai_epi16(weights, 8), multipliers);
    const __m512i half = _mm512_set1_epi16(128);
    const __mmask64 odd_bytes = 0xAAAAAAAAAAAAAAAA;
    *low = _mm512_mask_blend_epi8(odd_bytes, even, _mm512_slli_epi16(odd, 8));
    *high = _mm512_mask_blend_epi8(odd_bytes, _mm512_srli_epi16(_mm512_add_epi16(even, half), 8),
                                   _mm512_add_epi16(odd, half));
}

/* Writes sixteen columns of a strip to four rows of a tile, or as two planes to these and the next tile's. */
INLINE FOR_AVX512 void fill_quarter(__m512i *tile, const __m512i columns[4], __m512i multipliers, uint32_t type,
                                    int grouped) {
    UNROLLED for (uint32_t i = 0; i < 4; i++) {
        const __m512i weights = signed_weights(columns[i], type);
        __m512i high = weights, low = weights;
        if (grouped)
            split_products(weights, multipliers, &high, &low);
        if (planes_of(type, grouped) == 2) {
            tile[i] = high;
            tile[16 + i] = low;
        } else {
            tile[i] = low;
        }
    }
}

/* Fills all chunks of sixteen rows, starting at `row`. */
INLINE FOR_AVX512 void fill_strip(tile_panel *panel, uint32_t which, const shrew_tensor *w, uint32_t row, uint32_t type,
                                  int grouped) {
    const uint32_t per_byte = shrew_rows_per_byte(type), last = (w->rows - 1) / per_byte;
    const uint32_t byte_row = at_most(row / per_byte, last), left = last - byte_row;
    const uint32_t cols = at_most(w->stride, TILE_COLS);
    const uint8_t *data = (const uint8_t *)w->data + (size_t)byte_row * w->stride;
    shrew_multiplier_window window = open_window(w);
    for (uint32_t i = 0; i < panel->count; i++) {
        const uint32_t done = (panel->first + i) * TILE_COLS, start = at_most(done, w->stride - cols);
        __m512i *tile = panel->tiles[i][which];
        for (uint32_t c = start; c < start + cols; c += 16, tile += 4) {
            __m512i v[4], multipliers = _mm512_setzero_si512();
            if (c < done) {
                UNROLLED for (uint32_t k = 0; k < 4; k++)
                    tile[k] = tile[16 * (planes_of(type, grouped) - 1) + k] = _mm512_setzero_si512();
                continue;
            }
            if (grouped)
                multipliers = multipliers_of(&window, w, row, 1, c / w->group);
            if (left >= 15 / per_byte)
                load_quarter(v, data + c, w->stride, per_byte, 15);
            else
                load_quarter(v, data + c, w->stride, per_byte, left);
            fill_quarter(tile, v, multipliers, type, grouped);
        }
    }
}

/* ---- Products --------------------------------------------------------------------------------------------------- */

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* gcc does not know that tile instructions read memory. This keeps it from removing stores that nothing else reads. */
static inline void finish_stores(const void *to) {
    __asm__ volatile("" ::"r"(to) : "memory");
}

/* Tiles 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights. */
static FOR_AMX void configure_tiles(uint32_t tokens, uint32_t cols) {
    tile_config config = {.palette = 1};
    for (uint32_t tile = 0; tile < 8; tile++) {
        config.rows[tile] = (uint8_t)(tile < 6 ? tokens : cols / 4);
        config.row_bytes[tile] = (uint16_t)(tile < 4 || tile > 5 ? 64 : cols);
    }
    finish_stores(&config);
    _tile_loadconfig(&config);
}

static FOR_AMX void load_tiles(const tile_sums *sums) {
    _tile_loadd(0, sums->tokens[0], 64);
    _tile_loadd(1, sums->tokens[1], 64);
    _tile_loadd(2, sums->tokens[2], 64);
    _tile_loadd(3, sums->tokens[3], 64);
}

static FOR_AMX void clear_tiles(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

static FOR_AMX void store_tiles(tile_sums *sums) {
    _tile_stored(0, sums->tokens[0], 64);
    _tile_stored(1, sums->tokens[1], 64);
    _tile_stored(2, sums->tokens[2], 64);
    _tile_stored(3, sums->tokens[3], 64);
}

/* Adds the products of one chunk to the sums. */
static FOR_AMX void multiply_chunk(const tile_panel *panel, uint32_t i, const shrew_quantized_rows *q, uint32_t token) {
    const uint32_t cols = at_most(q->stride, TILE_COLS);
    const int8_t *x = high_plane(q, token) + at_most((panel->first + i) * TILE_COLS, q->stride - cols);
    const size_t step = 2 * (size_t)q->stride;
    finish_stores(panel);
    _tile_loadd(4, x, step);
    _tile_loadd(6, panel->tiles[i][0], 64);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(5, x + q->stride, step);
    _tile_dpbssd(1, 5, 6);
    _tile_loadd(7, panel->tiles[i][1], 64);
    _tile_dpbssd(2, 4, 7);
    _tile_dpbssd(3, 5, 7);
}

INLINE FOR_AVX512 void store_results(const shrew_product *p, uint32_t token, uint32_t tokens, uint32_t row,
                                     uint32_t last, uint32_t planes, const tile_sums *sums) {
    const float *const token_scales = p->quantized->scales + token;
    const size_t y_stride = p->y_stride;
    for (uint32_t i = 0; i < 3 - planes && row < last; i++, row += 16) {
        const __m512i(*of)[AMX_TILE_TOKENS] = sums->tokens + 2 * i;
        const __mmask16 there = first_lanes(last - row);
        const __m512 row_scales = _mm512_maskz_loadu_ps(there, p->weight->row_scales + row);
        float *y = p->y + token * y_stride + row;
        for (uint32_t t = 0; t < tokens; t++, y += y_stride) {
            __m512i sum = join_planes(of[0][t], of[1][t]);
            if (planes == 2)
                sum = _mm512_add_epi32(_mm512_slli_epi32(sum, 8), join_planes(of[2][t], of[3][t]));
            const __m512 scales = _mm512_mul_ps(row_scales, _mm512_set1_ps(token_scales[t]));
            _mm512_mask_storeu_ps(y, there, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scales));
        }
    }
}

/* Prefetches part i of `count` parts of the next rows. */
INLINE FOR_AVX512 void prefetch_share(const uint8_t *next, uint32_t bytes, uint32_t i, uint32_t count) {
    for (uint32_t at = bytes / count * i & ~63u; at < bytes / count * (i + 1); at += 64)
        _mm_prefetch(next + at, _MM_HINT_T0);
}

INLINE FOR_AMX void multiply_tiles(const shrew_product *p, uint32_t first, uint32_t last, uint32_t type, int grouped) {
    const shrew_tensor *w = p->weight;
    const uint32_t cols = at_most(w->stride, TILE_COLS), chunks = (w->stride + TILE_COLS - 1) / TILE_COLS;
    const uint32_t tokens = at_most(p->tokens, AMX_TILE_TOKENS);
    const uint32_t tiles = (p->tokens + AMX_TILE_TOKENS - 1) / AMX_TILE_TOKENS;
    const uint32_t planes = planes_of(type, grouped), rows = 16 * (3 - planes);
    const uint32_t bytes = rows / shrew_rows_per_byte(type) * w->stride;
    const uint8_t *next = (const uint8_t *)w->data + (size_t)(first / shrew_rows_per_byte(type)) * w->stride + bytes;
    tile_sums sums[SHREW_MAX_BLOCK / AMX_TILE_TOKENS];
    tile_panel panel;
    configure_tiles(tokens, cols);
    for (uint32_t row = first; row < last; row += rows, next += bytes)
        for (panel.first = 0; panel.first < chunks; panel.first += PANEL_CHUNKS) {
            panel.count = at_most(chunks - panel.first, PANEL_CHUNKS);
            for (uint32_t i = 0; i < 3 - planes; i++)
                fill_strip(&panel, i, w, row + 16 * i, type, grouped);
            for (uint32_t i = 0; i < tiles; i++) {
                const uint32_t token = at_most(AMX_TILE_TOKENS * i, p->tokens - tokens);
                tile_sums *to = chunks > PANEL_CHUNKS ? sums + i : sums; /* one stays in a nearer cache than several */
                if (panel.first)
                    load_tiles(to);
                else
                    clear_tiles();
                for (uint32_t k = 0; k < panel.count; k++)
                    multiply_chunk(&panel, k, p->quantized, token);
                store_tiles(to);
                if (panel.first + panel.count == chunks)
                    store_results(p, token, tokens, row, last, planes, to);
                if (panel.first == 0)
                    prefetch_share(next, bytes, i, tiles);
            }
        }
    _tile_release();
}

INLINE FOR_AMX void amx_multiply(const shrew_product *p, uint32_t first, uint32_t last, uint32_t type,
                             void (*few)(const shrew_product *p, uint32_t first, uint32_t last)) {
    const int grouped = p->weight->multipliers != NULL;
    if (p->tokens < FEWEST_TOKENS * planes_of(type, grouped))
        few(p, first, last);
    else if (grouped)
        multiply_tiles(p, first, last, type, 1);
    else
        multiply_tiles(p, first, last, type, 0);
}

static FOR_AMX void amx_multiply_q8(const shrew_product *p, uint32_t first, uint32_t last) {
    amx_multiply(p, first, last, SHREW_Q8, shrew_avx512_multiply_q8);
}

static FOR_AMX void amx_multiply_q4(const shrew_product *p, uint32_t first, uint32_t last) {
    amx_multiply(p, first, last, SHREW_Q4, shrew_avx512_multiply_q4);
}

static FOR_AMX void amx_multiply_ternary(const shrew_product *p, uint32_t first, uint32_t last) {
    amx_multiply(p, first, last, SHREW_TERNARY, shrew_avx512_multiply_ternary);
}

const shrew_kernels shrew_kernels_amx = {
    "amx",
    shrew_avx512_quantize,
    {shrew_avx2_multiply_f32, amx_multiply_q8, amx_multiply_q4, amx_multiply_ternary},
    shrew_avx512_attend,
    shrew_avx512_activate,
    shrew_avx2_dot,
    shrew_avx512_attend_block,
    shrew_avx512_store_heads,
};

#endif
