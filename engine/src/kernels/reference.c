/* The oracle: plain C that defines the bits. */
#include "compiler.h"
#include "fixed.h"
#include "kernels/kernels.h"

/* ---- Floats ----------------------------------------------------------------------------------------------------- */

/* ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)) */
static ONE_COPY float add_lanes(float lane[8]) {
    for (uint32_t half = 4; half; half /= 2)
        for (uint32_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

float shrew_dot_f32(const float *a, const float *b, uint32_t count) {
    float lane[8] = {0};
    uint32_t i = 0;
    for (; !FOR_SIZE && i + 8 <= count; i += 8) /* constant lanes, for compilers to vectorise */
        for (uint32_t j = 0; j < 8; j++)
            lane[j] += a[i + j] * b[i + j];
    for (; i < count; i++)
        lane[i & 7] += a[i] * b[i];
    return add_lanes(lane);
}

float shrew_sum_f32(const float *a, uint32_t count) {
    float lane[8] = {0};
    for (uint32_t i = 0; i < count; i++)
        lane[i & 7] += a[i];
    return add_lanes(lane);
}

void shrew_reference_multiply_f32(const shrew_product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    for (uint32_t r = first; r < last; r++) {
        const float *row = (const float *)(const void *)((const uint8_t *)w->data + (size_t)r * w->stride);
        for (uint32_t t = 0; t < p->tokens; t++)
            p->y[(size_t)t * p->y_stride + r] = shrew_dot_f32(row, p->x + (size_t)t * p->x_stride, w->cols);
    }
}

/* ---- Quantised products ----------------------------------------------------------------------------------------- */

float shrew_reference_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums) {
    const uint32_t largest = shrew_largest_magnitude(x, cols), padded = (cols + 15) & ~15u;
    const int within = largest >= TWO_POW_MINUS_100 && largest < TWO_POW_100;
    const float magnitude = bits_float(largest);
    const float inverse = within ? (float)ACTIVATION_LIMIT * shrew_reciprocal(magnitude) : 0.0f;
    for (uint32_t i = 0; i < padded; i++) {
        const int32_t value = within && i < cols ? round_to_int(x[i] * inverse) : 0;
        values[i] = (int16_t)(value > ACTIVATION_LIMIT ? ACTIVATION_LIMIT
                              : value < -ACTIVATION_LIMIT ? -ACTIVATION_LIMIT : value);
    }
    for (uint32_t i = 0; i < padded; i += 16) {
        int32_t sum = 0;
        for (uint32_t j = 0; j < 16; j++)
            sum += values[i + j];
        sums[i / 16] = (int16_t)sum;
    }
    return within ? magnitude * (1.0f / ACTIVATION_LIMIT) : largest < TWO_POW_100 ? 0.0f : bits_float(0x7FC00000u);
}

/* The integer of row r, column c. */
static int32_t weight_at(const shrew_tensor *w, uint32_t r, uint32_t c) {
    const uint32_t per_byte = shrew_rows_per_byte(w->type);
    return shrew_integer_in(w->type, ((const uint8_t *)w->data)[(size_t)(r / per_byte) * w->stride + c], r);
}

void shrew_reference_multiply(const shrew_product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    const uint32_t group = w->group ? w->group : w->cols;
    for (uint32_t r = first; r < last; r++)
        for (uint32_t t = 0; t < p->tokens; t++) {
            const int16_t *x = p->quantized->values + (size_t)t * p->quantized->stride;
            int32_t sum = 0;
            for (uint32_t start = 0, g = 0; start < w->cols; start += group, g++) {
                const uint32_t end = w->cols - start < group ? w->cols : start + group;
                int32_t dot = 0;
                for (uint32_t c = start; c < end; c++)
                    dot += weight_at(w, r, c) * x[c];
                sum += w->multipliers ? dot * w->multipliers[(size_t)r * w->groups + g] : dot;
            }
            p->y[(size_t)t * p->y_stride + r] = (float)sum * (w->row_scales[r] * p->quantized->scales[t]);
        }
}

/* ---- Attention -------------------------------------------------------------------------------------------------- */

/* Converts scores to softmax numerators in units of 2^-15, the largest 2^15. Returns their sum. One unit of score is
 * 4096 * factor units of log2. */
static uint32_t exponentials(int32_t *scores, uint32_t count, float factor) {
    const shrew_fixed_factor f = shrew_fix(factor * 4096.0f);
    const uint32_t before = f.shift > 14 ? f.shift - 14 : 0, after = f.shift - before;
    int32_t most = scores[0];
    for (uint32_t t = 1; t < count; t++)
        if (scores[t] > most)
            most = scores[t];
    uint32_t sum = 0;
    for (uint32_t t = 0; t < count; t++) {
        const uint32_t below = ((uint32_t)most - (uint32_t)scores[t]) >> before;
        const uint32_t u = below >> (after + 1) ? 0xFFFF : below * f.mantissa >> after;
        scores[t] = (int32_t)shrew_exp2_fixed(u < 0xFFFF ? u : 0xFFFF);
        sum += (uint32_t)scores[t];
    }
    return sum;
}

void shrew_reference_attend(const shrew_span *s) {
    const uint32_t key_exponent = shrew_largest_exponent(s->key_scales, s->held);
    const uint32_t value_exponent = shrew_largest_exponent(s->value_scales, s->held);
    const float unit = shrew_power_of_two((int32_t)key_exponent - SCALE_BIAS);
    for (uint32_t h = 0; h < s->heads; h++) {
        const int8_t *query = s->queries + h * s->width;
        for (uint32_t t = 0; t < s->held; t++) {
            const int8_t *key = s->keys + (size_t)t * s->width;
            int32_t dot = 0;
            for (uint32_t d = 0; d < s->width; d++)
                dot += query[d] * key[d];
            s->scores[t] = shrew_align(dot, s->key_scales[t], key_exponent);
        }
        const uint32_t sum = exponentials(s->scores, s->held, s->factors[h] * unit);
        const uint32_t narrow = shrew_narrowing(sum);
        for (uint32_t t = 0; t < s->held; t++)
            s->scores[t] = shrew_align(s->scores[t], s->value_scales[t], value_exponent) >> (4 + narrow);
        const float scale = shrew_mixed_scale(sum, value_exponent, narrow);
        for (uint32_t d = 0; d < s->head_dim; d++) {
            int32_t mixed = 0;
            for (uint32_t t = 0; t < s->held; t++)
                mixed += s->scores[t] * s->values[(size_t)t * s->width + d];
            s->out[h * s->head_dim + d] = (float)mixed * scale;
        }
    }
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

void shrew_reference_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const float v = gate[i];
        const float z = mlp == SHREW_MLP_GELU ? 1.595769122f * (v + 0.044715f * v * v * v) : v;
        const float active = v * ((float)shrew_sigmoid_fixed(z) * (1.0f / 32768.0f));
        out[i] = up ? active * up[i] : active;
    }
}

const shrew_kernels shrew_kernels_reference = {
    "reference",
    shrew_reference_quantize,
    {shrew_reference_multiply_f32, shrew_reference_multiply, shrew_reference_multiply, shrew_reference_multiply},
    shrew_reference_attend,
    shrew_reference_activate,
    shrew_dot_f32,
    NULL,
    NULL,
};
