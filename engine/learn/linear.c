/* Linear maps x weight' + bias as matrix products. Rows of x are tokens; weight is [outputs, inputs], as in a model. */
#include "linear.h"

#include "operators/memory.h"

static shrew_product_shape forward_shape(uint32_t rows, uint32_t inputs, uint32_t outputs) {
    return (shrew_product_shape){rows, outputs, inputs, inputs, 1, 1, inputs, outputs};
}

static shrew_product_shape dx_shape(uint32_t rows, uint32_t inputs, uint32_t outputs) {
    return (shrew_product_shape){rows, inputs, outputs, outputs, 1, inputs, 1, inputs};
}

static shrew_product_shape dweight_shape(uint32_t rows, uint32_t inputs, uint32_t outputs) {
    return (shrew_product_shape){outputs, inputs, rows, 1, outputs, inputs, 1, inputs};
}

size_t shrew_linear_panels_floats(const shrew_operators *operators, uint32_t inputs, uint32_t outputs) {
    const size_t forward = operators->panels_floats(outputs, inputs),
                 backward = operators->panels_floats(inputs, outputs);
    return forward > backward ? forward : backward;
}

void shrew_linear_pack(const shrew_operators *operators, uint32_t inputs, uint32_t outputs, const float *weight,
                       int direction, float *panels) {
    const shrew_product_shape shape =
        direction == FORWARD ? forward_shape(1, inputs, outputs) : dx_shape(1, inputs, outputs);
    operators->pack(&shape, weight, panels);
}

void shrew_linear(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *x,
                  const float *panels, const float *from, const float *bias, float *y) {
    const shrew_product_shape shape = forward_shape(rows, inputs, outputs);
    operators->product(&shape, x, panels, from, bias, y, NULL);
}

void shrew_linear_dx(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs,
                     const float *dy, const float *panels, float *dx) {
    const shrew_product_shape shape = dx_shape(rows, inputs, outputs);
    operators->product(&shape, dy, panels, NULL, NULL, dx, NULL);
}

size_t shrew_linear_dweight_floats(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs) {
    const shrew_product_shape shape = dweight_shape(rows, inputs, outputs);
    return LINE + whole_lines(operators->panels_floats(inputs, rows)) + operators->product_floats(&shape);
}

void shrew_linear_dweight(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs,
                          const float *dy, const float *x, float *dweight, float *dbias, float *memory) {
    const shrew_product_shape shape = dweight_shape(rows, inputs, outputs);
    memory = at_line(memory);
    float *const panels = take(&memory, operators->panels_floats(inputs, rows));
    operators->pack(&shape, x, panels);
    operators->product(&shape, dy, panels, dweight, NULL, dweight, memory);
    if (dbias)
        operators->column_sums(rows, outputs, dy, dbias);
}
