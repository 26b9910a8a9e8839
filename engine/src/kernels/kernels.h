/* The private interface between the transformer and the arithmetic that may be vectorised. reference.c defines what
 * the bits are; any other implementation must give the same.
 *
 * Float sums run in eight lanes: lane j adds the terms i with i % 8 == j in rising order, and the lanes are added as
 * ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)). */
#ifndef SHREW_KERNELS_H
#define SHREW_KERNELS_H

#include "shrew.h"

/* Rows of cols int8 values, each padded with zeros to stride bytes, and their scales: [rows][groups]. */
typedef struct quantized_rows {
    int8_t *values;
    float *scales;
    uint32_t stride;
    uint32_t groups;
} quantized_rows;

float shrew_dot_f32(const float *a, const float *b, uint32_t count);
float shrew_sum_f32(const float *a, uint32_t count);

/* One row to int8: scale = largest magnitude / 127 per group of columns, values rounded to nearest even. values is
 * padded with zeros to a multiple of 16. A group whose magnitudes are all below 2^-100 becomes zeros with scale 0; one
 * that reaches 2^100, infinity or NaN becomes zeros with scale NaN, so that the fault stays visible. */
void shrew_quantize_row(const float *row, uint32_t cols, uint32_t group, int8_t *values, float *scales);

/* y[t][r] = sum over c of weight[r][c] * x[t][c] for t < tokens; x and y rows are x_stride and y_stride floats apart.
 * Every weight row is read once for all tokens. */
void shrew_matmul_f32(const shrew_tensor *weight, const float *x, uint32_t x_stride, uint32_t tokens, float *y,
                       uint32_t y_stride);

/* The same with both sides in int8: int32 sums inside a group, then, group by group in rising order,
 * y += (float)sum * (weight scale * x scale). */
void shrew_matmul_q8(const shrew_tensor *weight, const quantized_rows *x, uint32_t tokens, float *y,
                      uint32_t y_stride);

#endif
