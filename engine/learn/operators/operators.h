/* The operators of learning for one instruction set. learn/operators.c has checked the arguments; shrew_learn.h
 * documents them. */
#ifndef SHREW_LEARN_OPERATORS_H
#define SHREW_LEARN_OPERATORS_H

#include "kernels/processor.h"
#include "shrew_learn.h"

/* A product of matrices a [rows, depth] and b [depth, columns]. Strides are in floats. a_step and b_row run along the
 * depth, a_row along the rows and b_step along the columns. One stride of each matrix is 1, so either may be stored
 * transposed. Rows of c are c_row floats apart. */
typedef struct shrew_product_shape {
    uint32_t rows, columns, depth;
    size_t a_row, a_step, b_row, b_step, c_row;
} shrew_product_shape;

typedef struct shrew_operators {
    int remakes; /* 1: products are cheaper than memory traffic, so results are recomputed rather than saved */
    void (*column_sums)(uint32_t rows, uint32_t width, const float *x, float *sums);
    void (*embedding)(uint32_t rows, uint32_t width, const uint32_t *ids, const float *table, float *y);
    void (*embedding_backward)(uint32_t rows, uint32_t width, const float *dy, const uint32_t *ids, float *dtable);
    void (*rope)(uint32_t rows, uint32_t heads, uint32_t head_dim, size_t stride, const float *phases, float direction,
                 float *x);
    void (*norm)(uint32_t kind, uint32_t rows, uint32_t width, float epsilon, const float *x, const float *gain,
                 const float *bias, float *y, float *moments);
    void (*norm_backward)(uint32_t kind, uint32_t rows, uint32_t width, const float *dy, const float *x,
                          const float *moments, const float *gain, float *dgain, float *dbias, float *dx);
    size_t (*panels_floats)(uint32_t columns, uint32_t depth);
    void (*pack)(const shrew_product_shape *shape, const float *b, float *panels); /* to aligned memory */
    size_t (*product_floats)(const shrew_product_shape *shape);                    /* of scratch memory */
    /* c = from + bias + a b. from and bias may be NULL; from may be c. */
    void (*product)(const shrew_product_shape *shape, const float *a, const float *panels, const float *from,
                    const float *bias, float *c, float *memory);
    size_t (*attention_floats)(const shrew_learn_heads *shape); /* of scratch memory, for either direction */
    void (*attention)(const shrew_learn_heads *shape, const float *qkv, float *out, float *lse, float *memory);
    void (*attention_backward)(const shrew_learn_heads *shape, const float *qkv, const float *out, const float *lse,
                               const float *dout, float *dqkv, float *memory);
    void (*activation)(uint32_t kind, uint32_t rows, uint32_t width, const float *x, float *y);
    void (*activation_backward)(uint32_t kind, uint32_t rows, uint32_t width, const float *dy, const float *x,
                                float *dx, float *y);
    void (*cross_entropy)(uint32_t rows, uint32_t vocab, float *logits, const uint32_t *targets, const float *weights,
                          float *losses);
    float (*square_sum)(size_t count, const float *x);
    void (*scale)(size_t count, float factor, float *x);
    void (*add)(size_t count, const float *x, float *y);
    void (*adamw)(const shrew_learn_adamw_options *options, size_t count, const float *gradient, float *first,
                  float *second, float *parameters);
} shrew_operators;

/* NULL if this build has none for the unit. Does not check the processor. */
const shrew_operators *shrew_operators_of(uint32_t unit);

extern const shrew_operators shrew_operators_portable;
#ifdef SHREW_X86
extern const shrew_operators shrew_operators_avx2, shrew_operators_avx512;
#endif
#ifdef SHREW_AMX
extern const shrew_operators shrew_operators_amx;
#endif

#endif
