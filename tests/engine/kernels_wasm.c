/* For test_kernels_wasm.py: compares the vector kernels of WebAssembly with the reference. JavaScript calls these
 * functions. Data end where memory ends, so that reading past them traps. Functions return 0, or 1 + the index of the
 * first result that differs. */
#include "fixed.h"
#include "kernels/kernels.h"
#include "weight_bytes.h"

#define EXPORT(name) __attribute__((export_name(#name)))

extern const shrew_kernels shrew_kernels_simd128;

enum { RANDOM, LARGEST, ZERO, EXTREME }; /* kinds of data; EXTREME: NaN, or scales of all sizes */
enum { COLS = 2048, ROWS = 64, TOKENS = 9, HELD = 640, HEADS = 8, WIDTH = 128, CACHE_MARGIN = 64 };

static uint32_t state;

static uint32_t draw(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int32_t draw_within(int32_t limit, uint32_t kind) {
    return kind == LARGEST ? limit - (draw() % 8 == 0) : kind == ZERO ? 0 : (int32_t)(draw() % (2 * limit + 1)) - limit;
}

/* Those of largest magnitude, but one in eight is any. */
static int32_t draw_weight(uint32_t type, uint32_t kind) {
    const uint32_t bits = draw();
    return kind == ZERO ? 0 : kind == LARGEST && draw() % 8 ? largest_weight(type) : random_weight(type, bits);
}

static float draw_float(float limit) {
    return ((float)(int32_t)draw() * (1.0f / 2147483648.0f)) * limit;
}

/* Memory that ends `margin` bytes before the end of all memory. */
static uint8_t *end_of_memory(uint32_t bytes, uint32_t margin) {
    return (uint8_t *)(uintptr_t)(__builtin_wasm_memory_size(0) * 65536 - margin - bytes);
}

static uint32_t differ(const float *a, const float *b, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (float_bits(a[i]) != float_bits(b[i]) && !(a[i] != a[i] && b[i] != b[i]))
            return i + 1;
    return 0;
}

static float results[2][ROWS * TOKENS];

EXPORT(multiply)
uint32_t multiply(uint32_t type, uint32_t rows, uint32_t cols, uint32_t group, uint32_t tokens, uint32_t kind) {
    static int16_t values[TOKENS * COLS], sums[TOKENS * COLS / 16];
    static float floats[TOKENS * COLS], scales[TOKENS], row_scales[ROWS];
    static int8_t some_multipliers[ROWS * COLS / 16];
    static float some_data[ROWS * COLS];
    state = rows * 7919 + cols * 31 + group * 3 + tokens + kind + 1;
    const uint32_t per_byte = shrew_rows_per_byte(type), rounded = (cols + 15) & ~15u;
    const uint32_t stride = type == SHREW_F32 ? (4 * cols + 15) & ~15u : rounded;
    const uint32_t bytes = (rows + per_byte - 1) / per_byte * stride;
    const uint32_t groups = group ? (cols + group - 1) / group : 1;
    int8_t *multipliers = rows % 2 ? (int8_t *)end_of_memory(rows * groups, 0) : some_multipliers;
    uint8_t *data = rows % 2 && group ? (uint8_t *)some_data : end_of_memory(bytes, 0);
    const int32_t limit = (int32_t)shrew_multiplier_limit(type, cols);
    for (uint32_t i = 0; type != SHREW_F32 && i < bytes; i++) {
        data[i] = 0;
        for (uint32_t row = 0; row < per_byte; row++)
            data[i] |= weight_bits(type, row, draw_weight(type, kind));
    }
    for (uint32_t i = 0; type == SHREW_F32 && i < bytes / 4; i++)
        ((float *)(void *)data)[i] = draw_float(1.0f);
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t c = 0; c < rounded; c++)
            values[t * rounded + c] = c < cols ? (int16_t)draw_within(ACTIVATION_LIMIT, kind) : 0;
        for (uint32_t c = 0; c < rounded; c += 16) {
            sums[(t * rounded + c) / 16] = 0;
            for (uint32_t j = 0; j < 16; j++)
                sums[(t * rounded + c) / 16] += values[t * rounded + c + j];
        }
        for (uint32_t c = 0; c < cols; c++)
            floats[t * cols + c] = draw_float(100.0f);
        scales[t] = kind == EXTREME ? bits_float(0x7FC00000u) : kind == ZERO ? 0.0f : draw_float(0.1f);
    }
    for (uint32_t r = 0; r < rows; r++) {
        row_scales[r] = draw_float(0.01f);
        for (uint32_t g = 0; group && g < groups; g++)
            multipliers[r * groups + g] = (int8_t)draw_within(limit, kind);
    }
    const shrew_tensor weight = {data, type ? row_scales : NULL, group ? multipliers : NULL, rows, cols,
                                 stride, group, groups, type};
    const shrew_quantized_rows quantized = {values, sums, scales, rounded};
    for (uint32_t k = 0; k < 2; k++) {
        const shrew_product product = {&weight, floats, &quantized, results[k], cols, ROWS, tokens};
        const shrew_kernels *kernels = k ? &shrew_kernels_simd128 : &shrew_kernels_reference;
        for (uint32_t i = 0; i < ROWS * TOKENS; i++)
            results[k][i] = -1.0f;
        const uint32_t half = rows / 2 & ~15u;
        kernels->multiply[type](&product, half, rows);
        kernels->multiply[type](&product, 0, half);
    }
    return differ(results[0], results[1], ROWS * TOKENS);
}

EXPORT(attend) uint32_t attend(uint32_t held, uint32_t heads, uint32_t head_dim, uint32_t kind) {
    static int8_t queries[HEADS * WIDTH], keys[HELD * WIDTH + CACHE_MARGIN];
    static uint8_t codes[2][HELD + CACHE_MARGIN];
    static float factors[HEADS], out[2][HEADS * WIDTH];
    static int32_t scores[HEADS * HELD];
    state = held * 31 + heads * 3 + head_dim + kind + 1;
    const uint32_t width = (head_dim + 7) & ~7u;
    int8_t *values = (int8_t *)end_of_memory(held * width, CACHE_MARGIN);
    for (uint32_t t = 0; t < held; t++) {
        for (uint32_t d = 0; d < width; d++) {
            keys[t * width + d] = (int8_t)(d < head_dim ? draw_within(127, kind) : 0);
            values[t * width + d] = (int8_t)(d < head_dim ? draw_within(127, kind) : 0);
        }
        codes[0][t] = (uint8_t)(kind == EXTREME ? draw() : 150 + draw() % 20);
        codes[1][t] = (uint8_t)(kind == EXTREME ? draw() : 150 + draw() % 20);
    }
    for (uint32_t i = 0; i < heads * width; i++)
        queries[i] = (int8_t)(i % width < head_dim ? draw_within(127, kind) : 0);
    for (uint32_t h = 0; h < heads; h++)
        factors[h] = bits_float((100 + draw() % 30) << 23) * (1.5f + draw_float(0.5f));
    for (uint32_t k = 0; k < 2; k++) {
        const shrew_span span = {keys,    values, codes[0], codes[1], queries, factors,
                           out[k], scores, held,     heads,    head_dim, width};
        (k ? &shrew_kernels_simd128 : &shrew_kernels_reference)->attend(&span);
    }
    return differ(out[0], out[1], heads * head_dim);
}

EXPORT(activate) uint32_t activate(uint32_t mlp, uint32_t count, float limit) {
    static float gate[COLS], up[COLS], out[2][COLS];
    state = count * 3 + mlp + 1;
    for (uint32_t i = 0; i < count; i++) {
        gate[i] = draw_float(limit);
        up[i] = draw_float(4.0f);
    }
    gate[count / 2] = bits_float(0x7FC00000u);
    for (uint32_t k = 0; k < 2; k++)
        (k ? &shrew_kernels_simd128 : &shrew_kernels_reference)
            ->activate(mlp, gate, mlp == SHREW_MLP_SWIGLU ? up : NULL, out[k], count);
    return differ(out[0], out[1], count);
}

EXPORT(quantize) uint32_t quantize(uint32_t cols, uint32_t kind) {
    static int16_t values[2][COLS], sums[2][COLS / 16];
    state = cols * 3 + kind + 1;
    float scales[2], *x = (float *)(void *)end_of_memory(4 * cols, 0);
    for (uint32_t i = 0; i < cols; i++)
        x[i] = kind == ZERO ? 0.0f : draw_float(kind == LARGEST ? bits_float(0x71800001u) : 3.0f);
    if (kind == EXTREME)
        x[cols - 1] = bits_float(0xFFC00000u);
    for (uint32_t k = 0; k < 2; k++)
        scales[k] = (k ? &shrew_kernels_simd128 : &shrew_kernels_reference)->quantize(x, cols, values[k], sums[k]);
    for (uint32_t i = 0; i < ((cols + 15) & ~15u); i++)
        if (values[0][i] != values[1][i] || sums[0][i / 16] != sums[1][i / 16])
            return i + 1;
    return differ(scales, scales + 1, 1);
}
