/* Rounding float matrices to quantised types. */
#include "numbers.h"
#include "shrew_write.h"
#include "weight_type.h"

static int32_t nearest(float x, float inverse, shrew_range range) {
    const float scaled = x * inverse;
    return scaled > (float)range.high ? range.high : scaled < (float)range.low ? range.low : round_to_int(scaled);
}

static float squared_error(const float *x, uint32_t count, float scale, shrew_range range) {
    const float inverse = shrew_reciprocal(scale);
    float sum = 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        const float error = x[i] - (float)nearest(x[i], inverse, range) * scale;
        sum += error * error;
    }
    return sum;
}

/* The scale of a group: what takes the value of largest magnitude to the end of the range, which for q4 has one more
 * below zero than above, and may hence be negative; for few levels, the share of it that leaves the least error. */
static float group_scale(const float *x, uint32_t count, shrew_type type) {
    float extreme = 0.0f, least = 0.0f;
    for (uint32_t i = 0; i < count; i++)
        if (magnitude_bits(x[i]) > magnitude_bits(extreme))
            extreme = x[i];
    if (magnitude_bits(extreme) < TWO_POW_MINUS_100)
        return 0.0f;
    if (type == SHREW_Q8)
        return bits_float(magnitude_bits(extreme)) * (1.0f / 127.0f);
    const shrew_range range = shrew_range_of(type);
    const float whole = extreme * shrew_reciprocal((float)range.low);
    float best = 0.0f;
    for (int share = 12; share <= 44; share++) {
        const float scale = whole * (0.025f * (float)share);
        const float error = squared_error(x, count, scale, range);
        if (best == 0.0f || error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

/* A group's scale in units of the row's: rounded, but up for q8, whose largest value must not be cut off. */
static int32_t multiplier(float scale, float row_scale, int32_t limit, int up) {
    const float ratio = scale * shrew_reciprocal(row_scale);
    int32_t m = round_to_int(ratio);
    if (up && (float)m < ratio)
        m++;
    if (m == 0)
        m = ratio < 0.0f ? -1 : 1;
    return m > limit ? limit : m < -limit ? -limit : m;
}

static void quantize_row(const float *x, uint32_t cols, uint32_t group, shrew_type type, int8_t *values,
                         float *row_scale, int8_t *multipliers) {
    const int32_t limit = (int32_t)shrew_multiplier_limit(type, cols);
    const shrew_range range = shrew_range_of(type);
    const uint32_t width = group ? group : cols;
    float largest = 0.0f;
    for (uint32_t start = 0; start < cols; start += width) {
        const float scale = group_scale(x + start, cols - start < width ? cols - start : width, type);
        if (magnitude_bits(scale) > magnitude_bits(largest))
            largest = scale;
    }
    *row_scale = group ? bits_float(magnitude_bits(largest)) * shrew_reciprocal((float)limit) : largest;
    for (uint32_t start = 0, g = 0; start < cols; start += width, g++) {
        const uint32_t count = cols - start < width ? cols - start : width;
        float scale = group ? group_scale(x + start, count, type) : largest;
        if (group) {
            multipliers[g] = (int8_t)(scale != 0.0f ? multiplier(scale, *row_scale, limit, type == SHREW_Q8) : 0);
            scale = *row_scale * multipliers[g];
        }
        const float inverse = scale != 0.0f ? shrew_reciprocal(scale) : 0.0f;
        for (uint32_t i = start; i < start + count; i++)
            values[i] = (int8_t)nearest(x[i], inverse, range);
    }
}

uint32_t shrew_quantize_limit(shrew_type type, uint32_t cols) {
    return type == SHREW_F32 || !shrew_has_type(type) || !cols || cols > 16384 ? 0 : shrew_multiplier_limit(type, cols);
}

int shrew_quantize(shrew_type type, const float *matrix, uint32_t rows, uint32_t cols, uint32_t group, int8_t *values,
                   float *row_scales, int8_t *multipliers) {
    if (!matrix || !values || !row_scales || !rows || !shrew_quantize_limit(type, cols) ||
        (group && !multipliers) || !shrew_group_is_valid(group))
        return SHREW_E_ARGUMENT;
    const size_t groups = group ? (cols + group - 1) / group : 0;
    for (size_t r = 0; r < rows; r++) {
        const float *row = matrix + r * cols;
        if (shrew_largest_magnitude(row, cols) >= TWO_POW_100)
            return SHREW_E_NUMBER;
        quantize_row(row, cols, group, type, values + r * cols, row_scales + r,
                     groups ? multipliers + r * groups : NULL);
    }
    return SHREW_OK;
}
