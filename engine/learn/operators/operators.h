/* The operators of learning as one set of instructions runs them. Arguments have been checked (learn/operators.c); what
 * they mean is said in shrew_learn.h. */
#ifndef SHREW_LEARN_OPERATORS_H
#define SHREW_LEARN_OPERATORS_H

#include "kernels/processor.h"
#include "shrew_learn.h"

/* A product of matrices [rows, depth] and [depth, columns]. The steps are from one element to the next along a
 * dimension, in floats: of a's a_row and a_step (along the depth) one is 1, of b's b_row (along the depth) and b_step
 * too; so either may be stored transposed. c's rows start c_row floats apart. */
typedef struct shrew_product_shape {
    uint32_t rows, columns, depth;
    size_t a_row, a_step, b_row, b_step, c_row;
} shrew_product_shape;

typedef struct shrew_operators {
    int remakes; /* products cost less than memory, so that what they make is made again rather than saved */
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
    void (*pack)(const shrew_product_shape *shape, const float *b, float *panels); /* on whole cache lines */
    size_t (*product_floats)(const shrew_product_shape *shape);                    /* of memory */
    /* c = from + bias + a b; from, which may be c, and bias may be NULL */
    void (*product)(const shrew_product_shape *shape, const float *a, const float *panels, const float *from,
                    const float *bias, float *c, float *memory);
    size_t (*attention_floats)(const shrew_learn_heads *shape); /* of memory, for both directions */
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

/* NULL: there is none for this unit, which says nothing of the processor. */
const shrew_operators *shrew_operators_of(uint32_t unit);

extern const shrew_operators shrew_operators_portable;
#ifdef SHREW_X86
extern const shrew_operators shrew_operators_avx2, shrew_operators_avx512;
#endif
#ifdef SHREW_AMX
extern const shrew_operators shrew_operators_amx;
#endif

#endif
