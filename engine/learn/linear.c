/* Linear maps x weight' + bias as products of matrices: rows of x are tokens, weight [outputs, inputs] as models store it. */
#include "operators/operators.h"

static shrew_product_shape forward_shape(uint32_t rows, uint32_t inputs, uint32_t outputs) {
    return (shrew_product_shape){rows, outputs, inputs, inputs, 1, 1, inputs, outputs};
}

static shrew_product_shape dx_shape(uint32_t rows, uint32_t inputs, uint32_t outputs) {
    return (shrew_product_shape){rows, inputs, outputs, outputs, 1, inputs, 1, inputs};
}

static shrew_product_shape dweight_shape(uint32_t rows, uint32_t inputs, uint32_t outputs) {
    return (shrew_product_shape){outputs, inputs, rows, 1, outputs, inputs, 1, inputs};
}

/* For both directions. */
size_t shrew_linear_floats(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs) {
    const shrew_product_shape shapes[] = {forward_shape(rows, inputs, outputs), dx_shape(rows, inputs, outputs),
                                          dweight_shape(rows, inputs, outputs)};
    size_t most = 0;
    for (int i = 0; i < 3; i++) {
        const size_t floats = operators->product_floats(&shapes[i]);
        most = floats > most ? floats : most;
    }
    return most;
}

void shrew_linear(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *x,
                  const float *weight, const float *bias, float *y, int add, float *memory) {
    const shrew_product_shape shape = forward_shape(rows, inputs, outputs);
    operators->product(&shape, x, weight, y, add, memory);
    if (bias)
        operators->add_bias(rows, outputs, bias, y);
}

void shrew_linear_dx(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *dy,
                     const float *weight, float *dx, float *memory) {
    const shrew_product_shape shape = dx_shape(rows, inputs, outputs);
    operators->product(&shape, dy, weight, dx, 0, memory);
}

void shrew_linear_dweight(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs,
                          const float *dy, const float *x, float *dweight, float *dbias, float *memory) {
    const shrew_product_shape shape = dweight_shape(rows, inputs, outputs);
    operators->product(&shape, dy, x, dweight, 1, memory);
    if (dbias)
        operators->column_sums(rows, outputs, dy, dbias);
}
