/* Linear maps as matrix products; weight is [outputs, inputs]. */
#ifndef SHREW_LEARN_LINEAR_H
#define SHREW_LEARN_LINEAR_H

#include "operators/operators.h"

/* A weight is packed once for any number of rows: FORWARD for shrew_linear, BACKWARD for shrew_linear_dx. */
enum { FORWARD = 0, BACKWARD = 1 };
size_t shrew_linear_panels_floats(const shrew_operators *operators, uint32_t inputs, uint32_t outputs);
void shrew_linear_pack(const shrew_operators *operators, uint32_t inputs, uint32_t outputs, const float *weight,
                       int direction, float *panels);

/* y = from + bias + x weight'. from and bias may be NULL; from may be y. */
void shrew_linear(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *x,
                  const float *panels, const float *from, const float *bias, float *y);
void shrew_linear_dx(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs,
                     const float *dy, const float *panels, float *dx);

/* Adds to dweight and, unless NULL, dbias. */
size_t shrew_linear_dweight_floats(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs);
void shrew_linear_dweight(const shrew_operators *operators, uint32_t rows, uint32_t inputs, uint32_t outputs,
                          const float *dy, const float *x, float *dweight, float *dbias, float *memory);

#endif
