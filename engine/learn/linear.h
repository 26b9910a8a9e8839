/* Linear maps, of products: weight [outputs, inputs]. */
#ifndef SHREW_LEARN_LINEAR_H
#define SHREW_LEARN_LINEAR_H

#include "operators/operators.h"

/* What a weight is packed into, once for any number of rows: forward for shrew_linear, backward for shrew_linear_dx. */
enum { FORWARD = 0, BACKWARD = 1 };
size_t shrew_linear_panels_floats(const shrew_operators *operators, uint32_t inputs, uint32_t outputs);
void shrew_linear_pack(const shrew_operators *operators, uint32_t inputs, uint32_t outputs, const float *weight,
                       int direction, float *panels);

/* y = from + bias + x weight'; from, which may be y, and bias may be NULL. */
void shrew_linear(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *x,
                  const float *panels, const float *from, const float *bias, float *y);
void shrew_linear_dx(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs,
                     const float *dy, const float *panels, float *dx);

/* Adds to dweight and, unless NULL, dbias. */
size_t shrew_linear_dweight_floats(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs);
void shrew_linear_dweight(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs,
                          const float *dy, const float *x, float *dweight, float *dbias, float *memory);

#endif
