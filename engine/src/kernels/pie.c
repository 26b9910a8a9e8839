/* ESP32-S3: quantised products and attention on its vector unit, with the assembly in pie.S. In ESP-IDF the unit is
 * used like the floating-point unit: by tasks, which are then pinned to their core, and not by interrupts. */
#include "fixed.h"
#include "kernels/kernels.h"

#if defined(SHREW_PIE)

void shrew_pie_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                    uint32_t rows);
void shrew_pie_masked_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                           uint32_t rows, uint32_t mask);
void shrew_pie_scores(const int8_t *keys, const int8_t *query, uint32_t count, uint32_t width, int32_t *scores);
void shrew_pie_mix(const int8_t *values, uint32_t width, const int32_t *weights, uint32_t count, uint8_t *sums);
int shrew_pie_check(void);

enum { PIE_TILE = 16 }; /* rows; their weights stay in the cache from token to token */

/* Dot products of `rows` rows with chunks * 16 columns. weights points to the first byte. */
static void dot_rows(uint32_t type, const uint8_t *weights, uint32_t stride, const int16_t *x, const int16_t *sums,
                     uint32_t chunks, uint32_t rows, int32_t dots[PIE_TILE]) {
    if (type == SHREW_Q8) {
        shrew_pie_dots(weights, stride, x, chunks, dots, rows);
        return;
    }
    int32_t zero = 0;
    for (uint32_t i = 0; i < chunks; i++)
        zero += sums[i];
    if (type == SHREW_Q4)
        zero *= 8;
    /* A byte is the sum of one digit per row times 1, 16 or 1, 4, 16, 64. Each step includes the bits of one more row,
     * so the difference to the previous step is that row's. */
    const uint32_t per_byte = shrew_rows_per_byte(type), bits = 8 / per_byte, groups = (rows + per_byte - 1) / per_byte;
    int32_t below[PIE_TILE] = {0}, with[PIE_TILE];
    for (uint32_t k = 0; k < per_byte; k++) {
        const uint32_t mask = ((1u << bits * (k + 1)) - 1) * 0x01010101u;
        shrew_pie_masked_dots(weights, stride, x, chunks, with, groups, mask);
        for (uint32_t i = 0; i < groups; i++) {
            dots[i * per_byte + k] = ((with[i] - below[i]) >> bits * k) - zero;
            below[i] = with[i];
        }
    }
}

static void pie_multiply(const shrew_product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    const shrew_quantized_rows *q = p->quantized;
    const uint32_t cols = (w->cols + 15) & ~15u, group = w->group ? w->group : cols;
    for (uint32_t r = first; r < last; r += PIE_TILE) {
        const uint32_t rows = last - r < PIE_TILE ? last - r : PIE_TILE;
        const uint8_t *weights = (const uint8_t *)w->data + (size_t)(r / shrew_rows_per_byte(w->type)) * w->stride;
        for (uint32_t t = 0; t < p->tokens; t++) {
            const int16_t *x = q->values + (size_t)t * q->stride, *sums = q->sums + (size_t)t * (q->stride / 16);
            int32_t total[PIE_TILE] = {0}, dots[PIE_TILE];
            for (uint32_t c = 0, g = 0; c < cols; c += group, g++) {
                const uint32_t chunks = (cols - c < group ? cols - c : group) / 16;
                dot_rows(w->type, weights + c, w->stride, x + c, sums + c / 16, chunks, rows, dots);
                for (uint32_t i = 0; i < rows; i++)
                    total[i] += w->multipliers ? dots[i] * w->multipliers[(size_t)(r + i) * w->groups + g] : dots[i];
            }
            float *y = p->y + (size_t)t * p->y_stride + r;
            for (uint32_t i = 0; i < rows; i++)
                y[i] = (float)total[i] * (w->row_scales[r + i] * q->scales[t]);
        }
    }
}

/* One of the eight 40-bit sums of shrew_pie_mix, divided by 256. */
static int32_t mixed_sum(const uint8_t *sums, uint32_t d) {
    int32_t sum;
    memcpy(&sum, sums + d / 4 * 32 + d % 4 * 5 + 1, sizeof sum);
    return sum;
}

static void pie_attend(const shrew_span *s) {
    if (s->width != 8 && s->width % 16) {
        shrew_scalar_attend(s);
        return;
    }
    const uint32_t key_exponent = shrew_largest_exponent(s->key_scales, s->held);
    const uint32_t value_exponent = shrew_largest_exponent(s->value_scales, s->held);
    const float unit = shrew_power_of_two((int32_t)key_exponent - SCALE_BIAS);
    uint8_t sums[64] __attribute__((aligned(16)));
    for (uint32_t h = 0; h < s->heads; h++) {
        shrew_pie_scores(s->keys, s->queries + h * s->width, s->held, s->width, s->scores);
        int32_t most = INT32_MIN;
        for (uint32_t t = 0; t < s->held; t++) {
            const int32_t score = s->scores[t] = shrew_align(s->scores[t], s->key_scales[t], key_exponent);
            most = score > most ? score : most;
        }
        const uint32_t sum =
            shrew_scalar_weigh(s->value_scales, value_exponent, s->scores, s->held, most, s->factors[h] * unit);
        const uint32_t narrow = shrew_narrowing(sum);
        for (uint32_t t = 0; narrow && t < s->held; t++)
            s->scores[t] >>= narrow; /* at most 15 << 11 */
        const float scale = shrew_mixed_scale(sum, value_exponent, narrow);
        for (uint32_t d = 0; d < s->head_dim; d++) {
            if (d % 8 == 0)
                shrew_pie_mix(s->values + d, s->width, s->scores, s->held, sums);
            s->out[h * s->head_dim + d] = (float)mixed_sum(sums, d % 8) * scale;
        }
    }
}

/* ---- Self-check of the assembly against C ----------------------------------------------------------------------- */

/* Checks four rows of 48 columns, with all values of bytes. */
static int dots_are_right(void) {
    enum { COLUMNS = 48, ROWS = 4, MASKS = 4 };
    static const uint32_t masks[MASKS] = {0x03030303, 0x0F0F0F0F, 0x3F3F3F3F, 0xFFFFFFFF};
    uint8_t weights[ROWS * COLUMNS] __attribute__((aligned(16)));
    int16_t x[COLUMNS] __attribute__((aligned(16)));
    for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
        weights[i] = (uint8_t)(i * 89 + i / COLUMNS);
    for (uint32_t c = 0; c < COLUMNS; c++)
        x[c] = (int16_t)((int32_t)(c * 347 % (2 * ACTIVATION_LIMIT + 1)) - ACTIVATION_LIMIT);
    int32_t dots[ROWS];
    int right = 1;
    for (uint32_t k = 0; k <= MASKS; k++) {
        if (k < MASKS)
            shrew_pie_masked_dots(weights, COLUMNS, x, COLUMNS / 16, dots, ROWS, masks[k]);
        else
            shrew_pie_dots(weights, COLUMNS, x, COLUMNS / 16, dots, ROWS);
        for (uint32_t r = 0; r < ROWS; r++) {
            int32_t dot = 0;
            for (uint32_t c = 0; c < COLUMNS; c++) {
                const uint8_t byte = weights[r * COLUMNS + c];
                dot += (k < MASKS ? (int32_t)(byte & masks[k]) : (int8_t)byte) * x[c];
            }
            right &= dots[r] == dot;
        }
    }
    return right;
}

/* Checks five tokens of one head. */
static int attention_is_right(uint32_t width) {
    enum { HELD = 5, ROOM = 8, WIDEST = 32 }; /* a cache has readable bytes after its last row */
    int8_t keys[ROOM * WIDEST] __attribute__((aligned(16))), values[ROOM * WIDEST] __attribute__((aligned(16)));
    int8_t query[WIDEST] __attribute__((aligned(16)));
    const uint8_t codes[ROOM] = {160, 163, 150, 167, 161};
    const float factor = 1.0f / 4096;
    int32_t scores[16];
    float out[2][WIDEST];
    for (uint32_t i = 0; i < ROOM * width; i++) {
        keys[i] = (int8_t)((int32_t)(i * 89 % 255) - 127);
        values[i] = (int8_t)((int32_t)(i * 151 % 255) - 127);
    }
    for (uint32_t d = 0; d < width; d++)
        query[d] = (int8_t)((int32_t)(d * 37 % 255) - 127);
    shrew_span span = {keys, values, codes, codes, query, &factor, out[0], scores, HELD, 1, width, width};
    pie_attend(&span);
    span.out = out[1];
    shrew_scalar_attend(&span);
    int right = 1;
    for (uint32_t d = 0; d < width; d++)
        right &= float_bits(out[0][d]) == float_bits(out[1][d]);
    return right;
}

int shrew_pie_check(void) {
    return dots_are_right() && attention_is_right(8) && attention_is_right(32);
}

/* ---- Parts in plain C ------------------------------------------------------------------------------------------- */

static float pie_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums) {
    return shrew_scalar_quantize(x, cols, values, sums);
}

static void pie_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count) {
    shrew_scalar_activate(mlp, gate, up, out, count);
}

const shrew_kernels shrew_kernels_pie = {
    "pie",
    pie_quantize,
    {shrew_reference_multiply_f32, pie_multiply, pie_multiply, pie_multiply},
    pie_attend,
    pie_activate,
    shrew_dot_f32,
    NULL,
    NULL,
};

#endif
