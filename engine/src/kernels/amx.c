/* x86-64 with tiles of matrices: AVX-512 for everything but the products of blocks.
 *
 * One instruction multiplies 16 tokens by 64 columns of 16 rows. Activations are read where they lie, both planes of
 * them (avx512.h). Weights are turned, so that a tile's row holds four columns of each row of theirs, and those with
 * multipliers become weights times multipliers, in two planes of bytes where one does not hold them. A tile is always
 * full of columns: the last of a row begins where it ends with the row, and what it repeats is zeros in the weights.
 * Likewise the last tokens, whose repeated results are the same. */
#include "kernels/kernels.h"

#ifdef SHREW_AMX

#include "kernels/avx512_columns.h"

#define TILES __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8")))

enum { FEWEST_TOKENS = 8, TILE_COLS = 64, TILE_SUMS = 4, PANEL_TILES = 8 };

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Up to PANEL_TILES * TILE_COLS columns of two strips of sixteen rows, or of both planes of one. */
typedef struct panel {
    __m512i tiles[PANEL_TILES][2][16];
    uint32_t starts[PANEL_TILES], count;
} panel;

/* Sums of 16 tokens for 16 rows each: high and low activations by the first half of a panel's tiles, then by the second. */
typedef struct tile_sums {
    __m512i tokens[TILE_SUMS][16];
} tile_sums;

/* ---- Weights ---------------------------------------------------------------------------------------------------- */

/* v[i] gets columns c + 4 * i and three more of sixteen rows. */
INLINE void load_quarter(__m512i v[4], const uint8_t *const rows[16], uint32_t c) {
    __m512i every_fourth[4];
    UNROLLED for (uint32_t i = 0; i < 4; i++)
        every_fourth[i] = load_quarters(rows[i] + c, rows[i + 4] + c, rows[i + 8] + c, rows[i + 12] + c);
    turn_quarters(v, every_fourth);
}

/* The weight of a lane's row in each of its bytes. */
INLINE __m512i signed_weights(__m512i bytes, uint32_t type) {
    const __m512i q4 = _mm512_set1_epi64((int64_t)4 << 32);
    const __m512i ternary = _mm512_broadcast_i32x4(_mm_set_epi32(6, 4, 2, 0));
    if (type == SHREW_Q8)
        return bytes;
    const __m512i low = _mm512_and_si512(_mm512_srlv_epi32(bytes, type == SHREW_Q4 ? q4 : ternary),
                                         _mm512_set1_epi8(type == SHREW_Q4 ? 15 : 3));
    return _mm512_sub_epi8(low, _mm512_set1_epi8((char)zero_point(type)));
}

/* weights * multipliers = 256 * high + low, both signed bytes. */
INLINE void split_products(__m512i weights, __m512i multipliers, __m512i *high, __m512i *low) {
    const __m512i even = _mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(weights, 8), 8), multipliers);
    const __m512i odd = _mm512_mullo_epi16(_mm512_srai_epi16(weights, 8), multipliers);
    const __m512i half = _mm512_set1_epi16(128);
    const __mmask64 odd_bytes = 0xAAAAAAAAAAAAAAAA;
    *low = _mm512_mask_blend_epi8(odd_bytes, even, _mm512_slli_epi16(odd, 8));
    *high = _mm512_mask_blend_epi8(odd_bytes, _mm512_srli_epi16(_mm512_add_epi16(even, half), 8),
                                   _mm512_add_epi16(odd, half));
}

/* Tiles of sixteen rows from row on, into one half of a panel or, in two planes, into both. done columns of the row
 * have been in panels before. */
INLINE void fill_half(panel *panel, const shrew_tensor *w, uint32_t type, int grouped, uint32_t planes, uint32_t half,
                      uint32_t row, uint32_t done) {
    const uint32_t cols = at_most(w->stride, TILE_COLS);
    const uint8_t *rows[16];
    for (uint32_t i = 0; i < 16; i++)
        rows[i] = (const uint8_t *)w->data +
                  (size_t)(at_most(row + i, w->rows - 1) / shrew_rows_per_byte(type)) * w->stride;
    multiplier_window window = open_window(w);
    for (uint32_t tile = 0; tile < panel->count; tile++) {
        __m512i *first = panel->tiles[tile][half], *second = panel->tiles[tile][1];
        for (uint32_t c = panel->starts[tile]; c < panel->starts[tile] + cols; c += 16, first += 4, second += 4) {
            __m512i v[4];
            if (c < done) {
                first[0] = first[1] = first[2] = first[3] = _mm512_setzero_si512();
                if (planes == 2)
                    second[0] = second[1] = second[2] = second[3] = _mm512_setzero_si512();
                continue;
            }
            load_quarter(v, rows, c);
            const __m512i multipliers = grouped ? multipliers_of(&window, w, row, 1, c / w->group) : v[0];
            UNROLLED for (uint32_t i = 0; i < 4; i++) {
                const __m512i weights = signed_weights(v[i], type);
                __m512i high, low = weights;
                if (grouped)
                    split_products(weights, multipliers, &high, &low);
                if (planes == 2) {
                    first[i] = high;
                    second[i] = low;
                } else {
                    first[i] = low;
                }
            }
        }
        done = at_least(done, panel->starts[tile] + cols);
    }
}

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* Compilers do not know what the instructions read. */
static inline void finish_stores(void) {
    __asm__ volatile("" ::: "memory");
}

/* Tiles 0 to 3 are sums, 4 and 5 activations, 6 and 7 weights. */
static TILES void configure_tiles(uint32_t tokens, uint32_t cols) {
    tile_config config = {.palette = 1};
    for (uint32_t tile = 0; tile < 8; tile++) {
        config.rows[tile] = (uint8_t)(tile < 6 ? tokens : cols / 4);
        config.row_bytes[tile] = (uint16_t)(tile < 4 || tile > 5 ? 64 : cols);
    }
    finish_stores();
    _tile_loadconfig(&config);
}

/* sums = or += a panel times tokens that lie token_bytes apart. */
static TILES inline __attribute__((always_inline)) void
multiply_panel(const panel *panel, const int8_t *high, const int8_t *low, size_t token_bytes, int add, tile_sums *sums) {
    if (add) {
        _tile_loadd(0, sums->tokens[0], 64);
        _tile_loadd(1, sums->tokens[1], 64);
        _tile_loadd(2, sums->tokens[2], 64);
        _tile_loadd(3, sums->tokens[3], 64);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (uint32_t i = 0; i < panel->count; i++) {
        _tile_loadd(4, high + panel->starts[i], token_bytes);
        _tile_loadd(6, panel->tiles[i][0], 64);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(5, low + panel->starts[i], token_bytes);
        _tile_dpbssd(1, 5, 6);
        _tile_loadd(7, panel->tiles[i][1], 64);
        _tile_dpbssd(2, 4, 7);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(0, sums->tokens[0], 64);
    _tile_stored(1, sums->tokens[1], 64);
    _tile_stored(2, sums->tokens[2], 64);
    _tile_stored(3, sums->tokens[3], 64);
}

INLINE void store_results(const product *p, uint32_t planes, uint32_t first_token, uint32_t tokens, uint32_t row,
                          uint32_t last, const tile_sums *sums) {
    for (uint32_t half = 0; half < 3 - planes && row < last; half++, row += 16) {
        const __mmask16 there = first_lanes(last - row);
        const __m512 scales = _mm512_maskz_loadu_ps(there, p->weight->row_scales + row);
        for (uint32_t t = 0; t < tokens; t++) {
            __m512i sum = join_planes(sums->tokens[2 * half][t], sums->tokens[2 * half + 1][t]);
            if (planes == 2)
                sum = _mm512_add_epi32(_mm512_slli_epi32(sum, 8),
                                       join_planes(sums->tokens[2][t], sums->tokens[3][t]));
            store_sums(p, first_token + t, row, there, scales, sum);
        }
    }
}

static TILES inline __attribute__((always_inline)) void multiply_as(const product *p, uint32_t first, uint32_t last,
                                                                    uint32_t type, int grouped) {
    const shrew_tensor *w = p->weight;
    const quantized_rows *q = p->quantized;
    const uint32_t planes = grouped && type != SHREW_TERNARY ? 2 : 1; /* a multiplier itself is a byte */
    const uint32_t cols = at_most(w->stride, TILE_COLS), tokens = at_most(p->tokens, 16);
    panel panel;
    tile_sums sums[SHREW_MAX_BLOCK / 16];
    configure_tiles(tokens, cols);
    for (uint32_t row = first; row < last; row += 32 / planes)
        for (uint32_t start = 0; start < w->stride; start += PANEL_TILES * TILE_COLS) {
            for (panel.count = 0; panel.count < PANEL_TILES && start + panel.count * TILE_COLS < w->stride; panel.count++)
                panel.starts[panel.count] = at_most(start + panel.count * TILE_COLS, w->stride - cols);
            for (uint32_t half = 0; half < 3 - planes; half++)
                fill_half(&panel, w, type, grouped, planes, half, row + 16 * half, start);
            finish_stores();
            for (uint32_t t = 0, i = 0; t < p->tokens; t += 16, i++) {
                const uint32_t token = at_most(t, p->tokens - tokens);
                const int8_t *x = high_plane(q, token);
                multiply_panel(&panel, x, x + q->stride, 2 * (size_t)q->stride, start != 0, sums + i);
                if (start + PANEL_TILES * TILE_COLS >= w->stride)
                    store_results(p, planes, token, tokens, row, last, sums + i);
            }
        }
    _tile_release();
}

static TILES void multiply_q8(const product *p, uint32_t first, uint32_t last) {
    if (p->tokens < FEWEST_TOKENS)
        shrew_avx512_multiply_q8(p, first, last);
    else if (p->weight->multipliers)
        multiply_as(p, first, last, SHREW_Q8, 1);
    else
        multiply_as(p, first, last, SHREW_Q8, 0);
}

static TILES void multiply_q4(const product *p, uint32_t first, uint32_t last) {
    if (p->tokens < FEWEST_TOKENS)
        shrew_avx512_multiply_q4(p, first, last);
    else if (p->weight->multipliers)
        multiply_as(p, first, last, SHREW_Q4, 1);
    else
        multiply_as(p, first, last, SHREW_Q4, 0);
}

static TILES void multiply_ternary(const product *p, uint32_t first, uint32_t last) {
    if (p->tokens < FEWEST_TOKENS)
        shrew_avx512_multiply_ternary(p, first, last);
    else if (p->weight->multipliers)
        multiply_as(p, first, last, SHREW_TERNARY, 1);
    else
        multiply_as(p, first, last, SHREW_TERNARY, 0);
}

const shrew_kernels shrew_kernels_amx = {
    "amx",
    shrew_avx512_quantize,
    {shrew_avx2_multiply_f32, multiply_q8, multiply_q4, multiply_ternary},
    shrew_avx512_attend,
    shrew_avx512_activate,
    shrew_avx2_dot,
    shrew_avx512_attend_block,
    shrew_avx512_store_heads,
};

#endif
