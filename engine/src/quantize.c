#include "kernels/kernels.h"
#include "numbers.h"

int shrew_quantize_q8(const float *matrix, uint32_t rows, uint32_t cols, uint32_t group, int8_t *values, float *scales) {
    if (!matrix || !values || !scales || !rows || !cols || cols > 16384 || group < 16 || group > 256 || group % 16)
        return SHREW_E_ARGUMENT;
    const size_t stride = (cols + 15) & ~15u, groups = (cols + group - 1) / group;
    for (size_t r = 0; r < rows; r++) {
        shrew_quantize_row(matrix + r * cols, cols, group, values + r * stride, scales + r * groups);
        for (size_t g = 0; g < groups; g++)
            if (!is_finite(scales[r * groups + g]))
                return SHREW_E_NUMBER;
    }
    return SHREW_OK;
}
