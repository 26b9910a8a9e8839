/* The oracle: plain C that says what the bits are. */
#include "kernels/kernels.h"
#include "numbers.h"

static float add_lanes(const float *lane) {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

float shrew_dot_f32(const float *a, const float *b, uint32_t count) {
    float lane[8] = {0};
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (uint32_t j = 0; j < 8; j++)
            lane[j] += a[i + j] * b[i + j];
    for (uint32_t j = 0; i + j < count; j++)
        lane[j] += a[i + j] * b[i + j];
    return add_lanes(lane);
}

float shrew_sum_f32(const float *a, uint32_t count) {
    float lane[8] = {0};
    for (uint32_t i = 0; i < count; i++)
        lane[i & 7] += a[i];
    return add_lanes(lane);
}

enum { TWO_POW_MINUS_100 = 0x0D800000, TWO_POW_100 = 0x71800000 }; /* as bits */

static void quantize_group(const float *x, uint32_t count, int8_t *values, float *scale) {
    uint32_t largest = 0;
    for (uint32_t i = 0; i < count; i++)
        if (magnitude_bits(x[i]) > largest)
            largest = magnitude_bits(x[i]);
    if (largest < TWO_POW_MINUS_100 || largest >= TWO_POW_100) {
        memset(values, 0, count);
        *scale = largest < TWO_POW_100 ? 0.0f : bits_float(0x7FC00000u);
        return;
    }
    const float magnitude = bits_float(largest);
    const float inverse = 127.0f * shrew_reciprocal(magnitude);
    *scale = magnitude * (1.0f / 127.0f);
    for (uint32_t i = 0; i < count; i++) {
        const int32_t value = round_to_int(x[i] * inverse);
        values[i] = (int8_t)(value > 127 ? 127 : value < -127 ? -127 : value);
    }
}

void shrew_quantize_row(const float *row, uint32_t cols, uint32_t group, int8_t *values, float *scales) {
    for (uint32_t start = 0, g = 0; start < cols; start += group, g++)
        quantize_group(row + start, cols - start < group ? cols - start : group, values + start, scales + g);
    for (uint32_t i = cols; i % 16; i++)
        values[i] = 0;
}

void shrew_matmul_f32(const shrew_tensor *weight, const float *x, uint32_t x_stride, uint32_t tokens, float *y,
                       uint32_t y_stride) {
    for (uint32_t r = 0; r < weight->rows; r++) {
        const float *row = (const float *)(const void *)((const uint8_t *)weight->data + (size_t)r * weight->stride);
        for (uint32_t t = 0; t < tokens; t++)
            y[(size_t)t * y_stride + r] = shrew_dot_f32(row, x + (size_t)t * x_stride, weight->cols);
    }
}

/* count is a multiple of 16: rows are padded with zeros. */
static int32_t dot_q8(const int8_t *a, const int8_t *b, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (int32_t)a[i] * (int32_t)b[i];
    return sum;
}

void shrew_matmul_q8(const shrew_tensor *weight, const quantized_rows *x, uint32_t tokens, float *y,
                      uint32_t y_stride) {
    for (uint32_t r = 0; r < weight->rows; r++) {
        const int8_t *row = (const int8_t *)weight->data + (size_t)r * weight->stride;
        const float *scales = weight->scales + (size_t)r * weight->groups;
        for (uint32_t t = 0; t < tokens; t++) {
            const int8_t *values = x->values + (size_t)t * x->stride;
            const float *x_scales = x->scales + (size_t)t * x->groups;
            float sum = 0.0f;
            for (uint32_t start = 0, g = 0; start < weight->stride; start += weight->group, g++) {
                const uint32_t left = weight->stride - start;
                const int32_t dot = dot_q8(row + start, values + start, left < weight->group ? left : weight->group);
                sum += (float)dot * (scales[g] * x_scales[g]);
            }
            y[(size_t)t * y_stride + r] = sum;
        }
    }
}
