/* Scales that training and calibration begin with: the best of a search, fitted to the integers that it led to. */
#include "numbers.h"
#include "shrew_write.h"
#include "weight_type.h"

enum { SUMMED_AT_ONCE = 128, SUM_LANES = 8 };

/* Columns that share a scale. Those from count to width are zeros that fill up a row's last group. */
typedef struct column_group {
    const float *values, *importance;
    uint32_t count, width;
    float low, high; /* integers */
} column_group;

/* Sums over a group, weighted by importance. */
enum group_sum { SQUARED_ERRORS, SQUARED_INTEGERS, INTEGERS_TIMES_VALUES };

/* The order of additions is that of NumPy, which chose the scales of models that exist: other sums in it would be other
 * scales. It is in eight lanes here, and in halves in weighted_sum. */
static float sum_up(const float *terms, uint32_t count) {
    float lane[SUM_LANES] = {0.0f}, sum;
    uint32_t i = 0;
    for (; i + SUM_LANES <= count; i += SUM_LANES)
        for (uint32_t j = 0; j < SUM_LANES; j++)
            lane[j] += terms[i + j];
    sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    for (; i < count; i++)
        sum += terms[i];
    return sum;
}

/* Of the columns from start to start + width, of which a row has at most 16384: that many halves are seven deep. */
static float weighted_sum(enum group_sum what, const column_group *group, float scale, uint32_t start, uint32_t width) {
    if (width > SUMMED_AT_ONCE) {
        const uint32_t half = width / 2 / SUM_LANES * SUM_LANES;
        return weighted_sum(what, group, scale, start, half) +
               weighted_sum(what, group, scale, start + half, width - half);
    }
    float terms[SUMMED_AT_ONCE] = {0.0f};
    const uint32_t end = start + width < group->count ? start + width : group->count;
    for (uint32_t i = 0; start + i < end; i++) {
        const float value = group->values[start + i], ratio = value / scale;
        const float within = ratio < group->low ? group->low : ratio > group->high ? group->high : ratio;
        const float integer = within + 12582912.0f - 12582912.0f; /* round_to_int's rounding, left as a float */
        const float error = integer * scale - value;
        const float term = what == SQUARED_ERRORS     ? error * error
                           : what == SQUARED_INTEGERS ? integer * integer
                                                      : integer * value;
        terms[i] = term * group->importance[start + i];
    }
    return sum_up(terms, width);
}

static float best_scale(const column_group *group) {
    const float smallest = 1e-12f; /* for a group of zeros, which has no scale of its own */
    float extreme = 0.0f;
    for (uint32_t i = 0; i < group->count; i++)
        if (magnitude_bits(group->values[i]) > magnitude_bits(extreme))
            extreme = group->values[i];
    if (magnitude_bits(extreme) < float_bits(smallest))
        extreme = smallest;
    float best = extreme / group->low;
    float least = weighted_sum(SQUARED_ERRORS, group, best, 0, group->width);
    /* A range with one more integer below zero than above can be turned round by a negative scale. */
    const float ends[2] = {group->low, group->high};
    for (int turned = 0; turned <= (group->low != -group->high); turned++)
        for (int share = 12; share <= 44; share++) {
            const float scale = extreme / ends[turned] * ((float)share / 40.0f);
            const float found = weighted_sum(SQUARED_ERRORS, group, scale, 0, group->width);
            if (found < least) {
                least = found;
                best = scale;
            }
        }
    const float power = weighted_sum(SQUARED_INTEGERS, group, best, 0, group->width);
    const float product = weighted_sum(INTEGERS_TIMES_VALUES, group, best, 0, group->width);
    const float fitted = power > 0.0f ? product / power : product;
    if (magnitude_bits(fitted) < float_bits(smallest) ||
        !(weighted_sum(SQUARED_ERRORS, group, fitted, 0, group->width) < least))
        return best;
    return fitted;
}

int shrew_fit_scales(shrew_type type, const float *matrix, uint32_t rows, uint32_t cols, uint32_t group,
                     const float *importance, float *scales) {
    if (!matrix || !importance || !scales || !rows || !shrew_quantize_limit(type, cols) ||
        !shrew_group_is_valid(group))
        return SHREW_E_ARGUMENT;
    const shrew_range range = shrew_range_of(type);
    const uint32_t width = group ? group : cols;
    for (size_t row = 0; row < rows; row++)
        for (uint32_t start = 0; start < cols; start += width) {
            const column_group columns = {
                .values = matrix + row * cols + start,
                .importance = importance + start,
                .count = cols - start < width ? cols - start : width,
                .width = width,
                .low = (float)range.low,
                .high = (float)range.high,
            };
            *scales++ = best_scale(&columns);
        }
    return SHREW_OK;
}
