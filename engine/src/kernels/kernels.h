/* The private interface between the transformer and arithmetic that may be vectorised. reference.c defines the bits;
 * every other implementation gives the same bits faster. choose.c picks one for the processor.
 *
 * Float sums run in eight lanes: lane j adds the terms i with i % 8 == j in ascending order, and the lanes are added as
 * ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)). Integer sums are exact: the image reader bounds the multipliers of a
 * matrix, so additions cannot overflow 32 bits in any order. */
#ifndef SHREW_KERNELS_H
#define SHREW_KERNELS_H

#include "kernels/processor.h"
#include "shrew.h"
#include "weight_type.h"

/* The vectors of a block of tokens, each as integers with one scale. */
typedef struct shrew_quantized_rows {
    int16_t *values; /* [tokens][stride] within +-ACTIVATION_LIMIT, zeros after the last column. A set of kernels may
                      * store the values differently, as only its own kernels read them */
    int16_t *sums;   /* [tokens][stride / 16] sums of 16 neighbours */
    float *scales;   /* [tokens]; NaN if the vector had NaN, infinity or a magnitude of 2^100 */
    uint32_t stride; /* a multiple of 16 */
} shrew_quantized_rows;

/* y[t][r] = sum over c of weight[r][c] * x[t][c] for t < tokens. f32 weights use x, other types quantized. */
typedef struct shrew_product {
    const shrew_tensor *weight;
    const float *x; /* rows are x_stride floats apart */
    const shrew_quantized_rows *quantized;
    float *y; /* rows are y_stride floats apart */
    uint32_t x_stride, y_stride, tokens;
} shrew_product;

/* Attention of one token's query heads that share a key head, over the int8 cache of that head. */
typedef struct shrew_span {
    const int8_t *keys, *values;               /* [held][width], zeros after head_dim */
    const uint8_t *key_scales, *value_scales;  /* [held] scale codes (fixed.h) */
    const int8_t *queries;                     /* [heads][width] */
    const float *factors;                      /* [heads] log2(e) times the query's scale / sqrt(head_dim) */
    float *out;                                /* [heads][head_dim] */
    int32_t *scores;                           /* scratch, [heads][held rounded up to 16] */
    uint32_t held, heads, head_dim, width;     /* width: head_dim rounded up to 8 */
} shrew_span;

/* Whether kernels of this processor may implement attend_block and store_heads. Elsewhere the calls compile away. */
#ifdef SHREW_X86
enum { HAS_BLOCK_KERNELS = 1 };
#else
enum { HAS_BLOCK_KERNELS = 0 };
#endif

/* The same heads of consecutive tokens. Each token sees one more key than the one before. */
typedef struct shrew_span_block {
    shrew_span first;
    uint32_t tokens;
    uint32_t query_step; /* heads from one token's queries and factors to the next token's */
    uint32_t out_step;   /* floats from one token's output to the next token's */
    uint32_t room;       /* int32 in spare */
    int32_t *spare;      /* scratch for scores of several tokens; may be too small, unlike first.scores for one token */
} shrew_span_block;

/* The heads of one token, to be quantised to int8. Keys and values go to slabs of the cache. */
typedef struct shrew_token_heads {
    const float *x;                    /* [heads + 2 * kv_heads][head_dim]: queries, keys, values */
    const float *turn;                 /* [head_dim] cosine and sine of each rotary pair, or NULL */
    int8_t *queries, *keys, *values;   /* [heads][width]; keys, values and scale codes: in the slab of the first head */
    uint8_t *key_scales, *value_scales;
    float *factors;                    /* [heads] as in a span */
    size_t slab;                       /* rows from one key head to the next */
    float share;                       /* 1 / sqrt(head_dim) */
    uint32_t heads, kv_heads, head_dim, width;
} shrew_token_heads;

typedef struct shrew_kernels {
    const char *name;
    /* Quantises [cols] floats, pads them with zeros to a multiple of 16 and sums them. Returns the scale. */
    float (*quantize)(const float *x, uint32_t cols, int16_t *values, int16_t *sums);
    /* Computes rows first .. last - 1 of a product, by weight type. first is a multiple of 16. Every weight row is read
     * once for all tokens. */
    void (*multiply[SHREW_TYPES])(const shrew_product *p, uint32_t first, uint32_t last);
    void (*attend)(const shrew_span *s);
    /* out[i] = act(gate[i]) * up[i] with the integer sigmoid, for SwiGLU, and for GELU with up NULL. out may be gate or
     * up. */
    void (*activate)(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count);
    float (*dot)(const float *a, const float *b, uint32_t count); /* summed in eight lanes */
    /* Attention of a block of tokens. NULL: tokens are processed one by one. */
    void (*attend_block)(const shrew_span_block *b);
    /* Rotates and stores a token's heads. Returns the largest magnitude, as bits. NULL: attention.c does it per
     * head. */
    uint32_t (*store_heads)(const shrew_token_heads *t);
} shrew_kernels;

extern const shrew_kernels shrew_kernels_reference, shrew_kernels_scalar;

/* For sets that reuse some of these kernels. */
float shrew_reference_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums);
void shrew_reference_multiply_f32(const shrew_product *p, uint32_t first, uint32_t last);
void shrew_reference_multiply(const shrew_product *p, uint32_t first, uint32_t last);
void shrew_reference_attend(const shrew_span *s);
void shrew_reference_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count);
float shrew_scalar_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums);
void shrew_scalar_attend(const shrew_span *s);
void shrew_scalar_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count);
void shrew_avx2_multiply_f32(const shrew_product *p, uint32_t first, uint32_t last);
float shrew_avx2_dot(const float *a, const float *b, uint32_t count);

/* Converts scores to weights of the values, aligned to their largest exponent. Returns the sum of the softmax
 * numerators. */
uint32_t shrew_scalar_weigh(const uint8_t *codes, uint32_t exponent, int32_t *scores, uint32_t held, int32_t most,
                            float factor);

/* The kernels of a unit, or for SHREW_UNIT_AUTO the fastest that this processor runs. NULL if it cannot run the
 * unit. */
const shrew_kernels *shrew_choose_kernels(uint32_t unit);

float shrew_dot_f32(const float *a, const float *b, uint32_t count);
float shrew_sum_f32(const float *a, uint32_t count);

#endif
