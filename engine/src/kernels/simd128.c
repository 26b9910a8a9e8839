/* WebAssembly with 128-bit vectors. A shuffle or a conversion is as expensive as a multiplication, so rows are
 * processed four at a time, and their four sums leave in one vector. */
#include "compiler.h"
#include "fixed.h"
#include "kernels/kernels.h"

#ifdef __wasm_simd128__

#include <wasm_simd128.h>


/* ---- Sums of four vectors --------------------------------------------------------------------------------------- */

/* Transposes 4 x 4 lanes. */
INLINE void simd128_transpose(v128_t v[4]) {
    const v128_t a = wasm_i32x4_shuffle(v[0], v[1], 0, 4, 1, 5), b = wasm_i32x4_shuffle(v[0], v[1], 2, 6, 3, 7);
    const v128_t c = wasm_i32x4_shuffle(v[2], v[3], 0, 4, 1, 5), d = wasm_i32x4_shuffle(v[2], v[3], 2, 6, 3, 7);
    v[0] = wasm_i64x2_shuffle(a, c, 0, 2);
    v[1] = wasm_i64x2_shuffle(a, c, 1, 3);
    v[2] = wasm_i64x2_shuffle(b, d, 0, 2);
    v[3] = wasm_i64x2_shuffle(b, d, 1, 3);
}

INLINE v128_t sums_of(v128_t v[4]) {
    simd128_transpose(v);
    return wasm_i32x4_add(wasm_i32x4_add(v[0], v[1]), wasm_i32x4_add(v[2], v[3]));
}

INLINE void simd128_store_first(float *to, v128_t values, uint32_t count) {
    if (count >= 4) {
        wasm_v128_store(to, values);
        return;
    }
    float lanes[4];
    wasm_v128_store(lanes, values);
    for (uint32_t i = 0; i < count; i++)
        to[i] = lanes[i];
}

/* Copies the last few floats of a row and pads them with zeros. */
INLINE const float *simd128_padded(const float *from, uint32_t count, float lanes[16]) {
    for (uint32_t i = 0; i < 16; i++)
        lanes[i] = i < count ? from[i] : 0.0f;
    return lanes;
}

INLINE uint32_t simd128_at_most(uint32_t value, uint32_t limit) {
    return value < limit ? value : limit;
}

/* ---- Floats ----------------------------------------------------------------------------------------------------- */

INLINE void simd128_add_products(const float *a, const float *b, v128_t *low, v128_t *high) {
    *low = wasm_f32x4_add(*low, wasm_f32x4_mul(wasm_v128_load(a), wasm_v128_load(b)));
    *high = wasm_f32x4_add(*high, wasm_f32x4_mul(wasm_v128_load(a + 4), wasm_v128_load(b + 4)));
}

static void simd128_multiply_f32(const shrew_product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    const uint32_t whole = w->cols & ~7u, left = w->cols - whole;
    for (uint32_t r = first; r < last; r += 4) {
        const float *row[4];
        for (uint32_t k = 0; k < 4; k++)
            row[k] = (const float *)(const void *)((const uint8_t *)w->data +
                                                   (size_t)simd128_at_most(r + k, last - 1) * w->stride);
        for (uint32_t t = 0; t < p->tokens; t++) {
            const float *x = p->x + (size_t)t * p->x_stride;
            v128_t low[4] = {0}, high[4] = {0}; /* lanes 0 to 3, 4 to 7 */
            for (uint32_t c = 0; c < whole; c += 8)
                for (uint32_t k = 0; k < 4; k++)
                    simd128_add_products(row[k] + c, x + c, &low[k], &high[k]);
            float u[16], v[16]; /* adding 0 * 0 changes no lane: none is -0 */
            for (uint32_t k = 0; left && k < 4; k++)
                simd128_add_products(simd128_padded(row[k] + whole, left, u), simd128_padded(x + whole, left, v),
                                     &low[k], &high[k]);
            for (uint32_t k = 0; k < 4; k++)
                low[k] = wasm_f32x4_add(low[k], high[k]);
            simd128_transpose(low);
            const v128_t y = wasm_f32x4_add(wasm_f32x4_add(low[0], low[2]), wasm_f32x4_add(low[1], low[3]));
            simd128_store_first(p->y + (size_t)t * p->y_stride + r, y, last - r);
        }
    }
}

/* ---- Quantised products ----------------------------------------------------------------------------------------- */

INLINE v128_t round_to_ints(v128_t v) { /* like round_to_int */
    const v128_t round = wasm_f32x4_const_splat(12582912.0f);
    return wasm_i32x4_sub(wasm_f32x4_add(v, round), round);
}

INLINE v128_t within_limit(v128_t v) {
    return wasm_i16x8_max(wasm_i16x8_min(v, wasm_i16x8_const_splat(ACTIVATION_LIMIT)),
                          wasm_i16x8_const_splat(-ACTIVATION_LIMIT));
}

INLINE v128_t simd128_largest_lane(v128_t v) {
    v = wasm_u32x4_max(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    return wasm_u32x4_max(v, wasm_i32x4_shuffle(v, v, 1, 0, 3, 2));
}

INLINE v128_t simd128_magnitudes(v128_t v) {
    return wasm_v128_and(v, wasm_i32x4_const_splat(0x7FFFFFFF));
}

static float simd128_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums) {
    const uint32_t whole = cols & ~15u, rounded = (cols + 15) & ~15u;
    float lanes[16];
    const float *tail = simd128_padded(x + whole, cols - whole, lanes);
    v128_t most = wasm_i32x4_const_splat(0);
    for (uint32_t i = 0; i < whole; i += 4)
        most = wasm_u32x4_max(most, simd128_magnitudes(wasm_v128_load(x + i)));
    for (uint32_t i = 0; i < 16; i += 4)
        most = wasm_u32x4_max(most, simd128_magnitudes(wasm_v128_load(tail + i)));
    const uint32_t largest = wasm_u32x4_extract_lane(simd128_largest_lane(most), 0);
    if (largest < TWO_POW_MINUS_100 || largest >= TWO_POW_100) {
        memset(values, 0, rounded * sizeof *values);
        memset(sums, 0, rounded / 16 * sizeof *sums);
        return largest < TWO_POW_100 ? 0.0f : bits_float(0x7FC00000u);
    }
    const float magnitude = bits_float(largest);
    const v128_t inverse = wasm_f32x4_splat((float)ACTIVATION_LIMIT * shrew_reciprocal(magnitude));
    for (uint32_t i = 0; i < rounded; i += 16) {
        const float *from = i < whole ? x + i : tail;
        v128_t v[4];
        for (uint32_t k = 0; k < 4; k++)
            v[k] = round_to_ints(wasm_f32x4_mul(wasm_v128_load(from + 4 * k), inverse));
        const v128_t a = within_limit(wasm_i16x8_narrow_i32x4(v[0], v[1]));
        const v128_t b = within_limit(wasm_i16x8_narrow_i32x4(v[2], v[3]));
        wasm_v128_store(values + i, a);
        wasm_v128_store(values + i + 8, b);
        v128_t sum = wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(a, b));
        sum = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
        sums[i / 16] = (int16_t)(wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1));
    }
    return magnitude * (1.0f / ACTIVATION_LIMIT);
}

/* Unpacks eight columns of four neighbouring rows. Each weight still includes the type's zero point. */
INLINE void simd128_unpack(uint32_t type, const uint8_t *const row[4], uint32_t c, v128_t w[4]) {
    if (type == SHREW_Q8) {
        for (uint32_t k = 0; k < 4; k++)
            w[k] = wasm_i16x8_load8x8(row[k] + c);
    } else if (type == SHREW_Q4) {
        for (uint32_t k = 0; k < 4; k += 2) {
            const v128_t pair = wasm_u16x8_load8x8(row[k] + c);
            w[k] = wasm_v128_and(pair, wasm_i16x8_const_splat(15));
            w[k + 1] = wasm_u16x8_shr(pair, 4);
        }
    } else {
        const v128_t four = wasm_u16x8_load8x8(row[0] + c);
        w[0] = wasm_v128_and(four, wasm_i16x8_const_splat(3));
        w[1] = wasm_v128_and(wasm_u16x8_shr(four, 2), wasm_i16x8_const_splat(3));
        w[2] = wasm_v128_and(wasm_u16x8_shr(four, 4), wasm_i16x8_const_splat(3));
        w[3] = wasm_u16x8_shr(four, 6);
    }
}

/* Rows r to r + 3 for `tokens` tokens from t on. */
INLINE void simd128_multiply_tile(uint32_t type, const shrew_product *p, const uint8_t *const row[4], uint32_t r,
                                  uint32_t last, uint32_t t, const uint32_t tokens) {
    const shrew_tensor *w = p->weight;
    const uint32_t cols = (w->cols + 15) & ~15u, group = w->group ? w->group : cols;
    const int32_t zero = (int32_t)shrew_digit_of_zero(type);
    const int16_t *x = p->quantized->values + (size_t)t * p->quantized->stride;
    const int16_t *sums = p->quantized->sums + (size_t)t * (p->quantized->stride / 16);
    v128_t total[2] = {0};
    for (uint32_t start = 0, g = 0; start < cols; start += group, g++) {
        const uint32_t end = cols - start < group ? cols : start + group;
        v128_t sum[2][4] = {{0}};
        for (uint32_t c = start; c < end; c += 8) {
            v128_t weights[4];
            simd128_unpack(type, row, c, weights);
            for (uint32_t b = 0; b < tokens; b++) {
                const v128_t eight = wasm_v128_load(x + b * p->quantized->stride + c);
                for (uint32_t k = 0; k < 4; k++)
                    sum[b][k] = wasm_i32x4_add(sum[b][k], wasm_i32x4_dot_i16x8(weights[k], eight));
            }
        }
        v128_t multipliers = wasm_i32x4_const_splat(1);
        if (w->multipliers) {
            const int8_t *m = w->multipliers + g;
            multipliers = wasm_i32x4_make(m[r * w->groups], m[simd128_at_most(r + 1, last - 1) * w->groups],
                                          m[simd128_at_most(r + 2, last - 1) * w->groups],
                                          m[simd128_at_most(r + 3, last - 1) * w->groups]);
        }
        for (uint32_t b = 0; b < tokens; b++) {
            v128_t dots = sums_of(sum[b]);
            if (zero) {
                int32_t over = 0;
                for (uint32_t i = start / 16; i < end / 16; i++)
                    over += sums[b * (p->quantized->stride / 16) + i];
                dots = wasm_i32x4_sub(dots, wasm_i32x4_splat(over * zero));
            }
            total[b] = wasm_i32x4_add(total[b], w->multipliers ? wasm_i32x4_mul(dots, multipliers) : dots);
        }
    }
    float lanes[16];
    const v128_t scales = wasm_v128_load(last - r < 4 ? simd128_padded(w->row_scales + r, last - r,
                                                                       lanes) : w->row_scales + r);
    for (uint32_t b = 0; b < tokens; b++) {
        const v128_t scale = wasm_f32x4_mul(scales, wasm_f32x4_splat(p->quantized->scales[t + b]));
        simd128_store_first(p->y + (size_t)(t + b) * p->y_stride + r, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(total[b]),
                                                                                     scale), last - r);
    }
}

INLINE void simd128_multiply(uint32_t type, const shrew_product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    const uint32_t per_byte = shrew_rows_per_byte(type);
    for (uint32_t r = first; r < last; r += 4) {
        const uint8_t *row[4];
        for (uint32_t k = 0; k < 4; k++)
            row[k] = (const uint8_t *)w->data + (size_t)(simd128_at_most(r + k, last - 1) / per_byte) * w->stride;
        uint32_t t = 0;
        for (; t + 2 <= p->tokens; t += 2)
            simd128_multiply_tile(type, p, row, r, last, t, 2);
        if (t < p->tokens)
            simd128_multiply_tile(type, p, row, r, last, t, 1);
    }
}

static void simd128_multiply_q8(const shrew_product *p, uint32_t first, uint32_t last) {
    simd128_multiply(SHREW_Q8, p, first, last);
}

static void simd128_multiply_q4(const shrew_product *p, uint32_t first, uint32_t last) {
    simd128_multiply(SHREW_Q4, p, first, last);
}

static void simd128_multiply_ternary(const shrew_product *p, uint32_t first, uint32_t last) {
    simd128_multiply(SHREW_TERNARY, p, first, last);
}

/* ---- Attention -------------------------------------------------------------------------------------------------- */

/* 2^(15 - k) for 0 <= k < 16, from a table of bytes. The other bytes of k must be 0. */
INLINE v128_t power_of_15_minus(v128_t k) {
    const v128_t table = wasm_u8x16_const(128, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const v128_t both = wasm_v128_or(k, wasm_i32x4_shl(k, 8)); /* the low byte counts from 8, the high one from 0 */
    return wasm_i8x16_swizzle(table, wasm_i8x16_add(both, wasm_u32x4_const_splat(0xFFFF00F8u)));
}

INLINE v128_t simd128_exp2_fixed(v128_t u) {
    const v128_t f = wasm_i32x4_shl(wasm_v128_and(u, wasm_i32x4_const_splat(4095)), 4);
    v128_t t = wasm_u32x4_shr(wasm_i32x4_mul(wasm_i32x4_const_splat(1310), f), 16);
    t = wasm_u32x4_shr(wasm_i32x4_mul(wasm_i32x4_sub(wasm_i32x4_const_splat(7594), t), f), 16);
    t = wasm_u32x4_shr(wasm_i32x4_mul(wasm_i32x4_sub(wasm_i32x4_const_splat(22670), t), f), 16);
    t = wasm_i32x4_sub(wasm_i32x4_const_splat(32768), t);
    return wasm_u32x4_shr(wasm_i32x4_mul(t, power_of_15_minus(wasm_u32x4_shr(u, 12))), 15);
}

/* Decodes eight scale codes to two vectors of scales, times 2^power. */
INLINE void scales_of(const uint8_t *codes, int32_t power, v128_t scales[2]) {
    const v128_t eight = wasm_u16x8_load8x8(codes);
    const v128_t offset = wasm_i32x4_splat(SCALE_CODE_OF_ZERO_EXPONENT + 8 * power);
    scales[0] = wasm_i32x4_shl(wasm_i32x4_add(wasm_u32x4_extend_low_u16x8(eight), offset), 20);
    scales[1] = wasm_i32x4_shl(wasm_i32x4_add(wasm_u32x4_extend_high_u16x8(eight), offset), 20);
}

enum { WIDEST_EXACT = 64 };

/* Dot products of rows, `width` apart, with the query. Writes up to a multiple of four results; ignore those past
 * count. */
static void dot_with_rows(const int8_t *rows, uint32_t count, const int8_t *query, uint32_t width, int32_t *dots) {
    for (uint32_t t = 0; t < count; t += 4) {
        const int8_t *row[4];
        for (uint32_t k = 0; k < 4; k++)
            row[k] = rows + (size_t)simd128_at_most(t + k, count - 1) * width;
        v128_t sum[4] = {{0}};
        for (uint32_t d = 0; d < width; d += 8) {
            const v128_t q = wasm_i16x8_load8x8(query + d);
            for (uint32_t k = 0; k < 4; k++)
                sum[k] = wasm_i32x4_add(sum[k], wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(row[k] + d), q));
        }
        wasm_v128_store(dots + t, sums_of(sum));
    }
}

/* Converts dot products to scores in units of the largest scale. A dot product of up to WIDEST_EXACT terms times a
 * scale's mantissa is exact in a float, and stays exact when divided by a power of two. */
static void align_scores(int32_t *scores, uint32_t count, uint32_t width, const uint8_t *codes, uint32_t exponent) {
    for (uint32_t t = 0; width > WIDEST_EXACT && t < count; t++)
        scores[t] = shrew_align(scores[t], codes[t], exponent);
    for (uint32_t t = 0; width <= WIDEST_EXACT && t < count; t += 8) {
        v128_t scales[2];
        scales_of(codes + t, SCALE_BIAS - (int32_t)exponent, scales);
        for (uint32_t k = 0; k < 2; k++) {
            const v128_t dots = wasm_f32x4_convert_i32x4(wasm_v128_load(scores + t + 4 * k));
            const v128_t score = wasm_f32x4_floor(wasm_f32x4_mul(dots, scales[k]));
            wasm_v128_store(scores + t + 4 * k, wasm_i32x4_trunc_sat_f32x4(score));
        }
    }
}

/* Like the reference's, but also writes zeros up to a multiple of 8. */
static uint32_t simd128_exponentials(int32_t *scores, uint32_t count, float factor) {
    const shrew_fixed_factor f = shrew_fix(factor * 4096.0f);
    const uint32_t before = f.shift > 14 ? f.shift - 14 : 0, after = f.shift - before;
    const uint32_t rounded = (count + 7) & ~7u;
    for (uint32_t t = count; t < rounded; t++)
        scores[t] = scores[0]; /* does not change the maximum */
    v128_t most = wasm_v128_load(scores);
    for (uint32_t t = 4; t < rounded; t += 4)
        most = wasm_i32x4_max(most, wasm_v128_load(scores + t));
    most = wasm_i32x4_max(most, wasm_i32x4_shuffle(most, most, 2, 3, 0, 1));
    most = wasm_i32x4_max(most, wasm_i32x4_shuffle(most, most, 1, 0, 3, 2));
    const v128_t mantissa = wasm_u32x4_splat(f.mantissa), zero = wasm_i32x4_const_splat(0);
    v128_t sums = zero;
    for (uint32_t t = 0; t < rounded; t += 4) {
        const v128_t below = wasm_u32x4_shr(wasm_i32x4_sub(most, wasm_v128_load(scores + t)), before);
        const v128_t far = wasm_i32x4_ne(wasm_u32x4_shr(below, after + 1), zero);
        const v128_t u = wasm_v128_or(wasm_u32x4_shr(wasm_i32x4_mul(below, mantissa), after), far);
        const v128_t e = simd128_exp2_fixed(wasm_u32x4_min(u, wasm_i32x4_const_splat(0xFFFF)));
        wasm_v128_store(scores + t, e);
        sums = wasm_i32x4_add(sums, e);
    }
    sums = wasm_i32x4_add(sums, wasm_i32x4_shuffle(sums, sums, 2, 3, 0, 1));
    uint32_t sum = wasm_u32x4_extract_lane(sums, 0) + wasm_u32x4_extract_lane(sums, 1);
    for (uint32_t t = count; t < rounded; t++) {
        sum -= (uint32_t)scores[t];
        scores[t] = 0;
    }
    return sum;
}

/* Converts numerators to 16-bit weights in place. */
static void align_weights(int32_t *scores, uint32_t count, const uint8_t *codes, int32_t power) {
    for (uint32_t t = 0; t < count; t += 8) {
        v128_t scales[2], weights[2];
        scales_of(codes + t, power, scales);
        for (uint32_t k = 0; k < 2; k++) {
            const v128_t numerators = wasm_f32x4_convert_i32x4(wasm_v128_load(scores + t + 4 * k));
            weights[k] = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_mul(numerators, scales[k]));
        }
        wasm_v128_store((int16_t *)scores + t, wasm_i16x8_narrow_i32x4(weights[0], weights[1]));
    }
}

/* Eight sums of 16-bit weights times values, two rows at a time. After an odd count there is a weight of 0. */
INLINE void simd128_mix(const int16_t *weights, const int8_t *values, uint32_t count, uint32_t width, v128_t sums[2]) {
    sums[0] = sums[1] = wasm_i32x4_const_splat(0);
    for (uint32_t t = 0; t < count; t += 2) {
        const int8_t *row = values + (size_t)t * width;
        const v128_t two = wasm_v128_load32_splat(weights + t);
        const v128_t a = wasm_i16x8_load8x8(row), b = wasm_i16x8_load8x8(t + 1 < count ? row + width : row);
        const v128_t low = wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
        const v128_t high = wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
        sums[0] = wasm_i32x4_add(sums[0], wasm_i32x4_dot_i16x8(low, two));
        sums[1] = wasm_i32x4_add(sums[1], wasm_i32x4_dot_i16x8(high, two));
    }
}

static void simd128_attend(const shrew_span *s) {
    const uint32_t key_exponent = shrew_largest_exponent(s->key_scales, s->held);
    const uint32_t value_exponent = shrew_largest_exponent(s->value_scales, s->held);
    const float unit = shrew_power_of_two((int32_t)key_exponent - SCALE_BIAS);
    for (uint32_t h = 0; h < s->heads; h++) {
        dot_with_rows(s->keys, s->held, s->queries + h * s->width, s->width, s->scores);
        align_scores(s->scores, s->held, s->width, s->key_scales, key_exponent);
        const uint32_t sum = simd128_exponentials(s->scores, s->held, s->factors[h] * unit);
        const uint32_t narrow = shrew_narrowing(sum);
        const int32_t power = SCALE_BIAS - (int32_t)(value_exponent + 4 + narrow);
        align_weights(s->scores, s->held, s->value_scales, power);
        const v128_t scale = wasm_f32x4_splat(shrew_mixed_scale(sum, value_exponent, narrow));
        for (uint32_t d = 0; d < s->head_dim; d += 8) {
            float *out = s->out + h * s->head_dim + d;
            v128_t mixed[2];
            simd128_mix((const int16_t *)s->scores, s->values + d, s->held, s->width, mixed);
            simd128_store_first(out, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(mixed[0]), scale), s->head_dim - d);
            if (s->head_dim > d + 4)
                simd128_store_first(out + 4, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(mixed[1]), scale),
                                    s->head_dim - d - 4);
        }
    }
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

INLINE v128_t sigmoid_fixed(v128_t v) {
    const v128_t t = wasm_f32x4_mul(simd128_magnitudes(v), wasm_f32x4_const_splat(5909.27888f));
    const v128_t within = wasm_f32x4_lt(t, wasm_f32x4_const_splat(65535.0f));
    const v128_t e = wasm_v128_and(simd128_exp2_fixed(round_to_ints(t)), within);
    const v128_t one = wasm_i32x4_const_splat(1 << 30), below = wasm_i32x4_add(e, wasm_i32x4_const_splat(32768));
    const v128_t quotient = wasm_f32x4_div(wasm_f32x4_convert_i32x4(one), wasm_f32x4_convert_i32x4(below));
    v128_t q = wasm_i32x4_trunc_sat_f32x4(quotient); /* one too large if the quotient was rounded up to an integer */
    q = wasm_i32x4_add(q, wasm_i32x4_gt(wasm_i32x4_mul(q, below), one));
    return wasm_v128_bitselect(wasm_i32x4_sub(wasm_i32x4_const_splat(32768), q), q, wasm_i32x4_shr(v, 31));
}

INLINE v128_t active(uint32_t mlp, v128_t v) {
    v128_t z = v;
    if (mlp == SHREW_MLP_GELU) {
        z = wasm_f32x4_mul(wasm_f32x4_mul(wasm_f32x4_mul(wasm_f32x4_const_splat(0.044715f), v), v), v);
        z = wasm_f32x4_mul(wasm_f32x4_const_splat(1.595769122f), wasm_f32x4_add(v, z));
    }
    const v128_t sigmoid = wasm_f32x4_convert_i32x4(sigmoid_fixed(z));
    return wasm_f32x4_mul(v, wasm_f32x4_mul(sigmoid, wasm_f32x4_const_splat(1.0f / 32768.0f)));
}

static void simd128_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count) {
    float lanes[2][16];
    for (uint32_t i = 0; i < count; i += 4) {
        const uint32_t left = count - i;
        const v128_t v = active(mlp, wasm_v128_load(left < 4 ? simd128_padded(gate + i, left, lanes[0]) : gate + i));
        const float *factors = up && left < 4 ? simd128_padded(up + i, left, lanes[1]) : up ? up + i : NULL;
        simd128_store_first(out + i, up ? wasm_f32x4_mul(v, wasm_v128_load(factors)) : v, left);
    }
}

const shrew_kernels shrew_kernels_simd128 = {
    "simd128",
    simd128_quantize,
    {simd128_multiply_f32, simd128_multiply_q8, simd128_multiply_q4, simd128_multiply_ternary},
    simd128_attend,
    simd128_activate,
    shrew_dot_f32,
    NULL,
    NULL,
};

#endif
