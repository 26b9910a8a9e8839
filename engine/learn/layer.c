/* One layer of a transformer, forward and backward, of the operators. Only what is dear to make again is saved: norms and
 * the MLP's hidden values are not. */
#include <string.h>

#include "operators/memory.h"
#include "operators/operators.h"

/* Sizes that follow from a layer's, and the arrays of its saved and working memory. */
typedef struct layer_plan {
    shrew_learn_heads shape;
    uint32_t rows, kept, qkv, mixed, up; /* N, M; widths of what products make */
    size_t saved_floats, memory_floats;
} layer_plan;

typedef struct saved_layer {
    float *moments, *qkv_out, *mixed, *lse, *kept_mixed, *x, *mlp_moments, *up;
} saved_layer;

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* 0 where a size is not possible. */
static int plan_layer(uint32_t unit, const shrew_learn_layer *l, layer_plan *plan) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    const uint32_t most = 1u << 14; /* of any width, which keeps sizes from overflowing */
    if (!operators || !l || !l->dim || l->dim > most || !l->ffn || l->ffn > most || l->norm > SHREW_NORM_LAYER ||
        l->mlp > SHREW_MLP_RELU || !(l->epsilon > 0.0f))
        return 0;
    layer_plan p = {.shape = {l->batch, l->tokens, l->heads, l->kv_heads, l->head_dim}};
    const size_t attention = shrew_learn_attention_bytes(unit, &p.shape) / sizeof(float);
    if (!attention || l->heads > most / l->head_dim || l->batch > (1u << 24) / l->tokens)
        return 0;
    p.rows = l->batch * l->tokens;
    p.kept = l->kept ? l->kept : p.rows;
    p.mixed = l->heads * l->head_dim;
    p.qkv = p.mixed + 2 * l->kv_heads * l->head_dim;
    p.up = l->mlp == SHREW_MLP_SWIGLU ? 2 * l->ffn : l->ffn;
    if (p.kept > p.rows)
        return 0;
    const size_t N = p.rows, M = p.kept;
    p.saved_floats = LINE + whole_lines(2 * N) + whole_lines(N * p.qkv) + whole_lines(N * p.mixed) +
                     whole_lines(N * l->heads) + (l->kept ? whole_lines(M * p.mixed) : 0) + whole_lines(M * l->dim) +
                     whole_lines(2 * M) + whole_lines(M * p.up);
    size_t inner = attention; /* memory of what works at a time */
    inner = larger(inner, shrew_linear_floats(operators, p.rows, l->dim, p.qkv));
    inner = larger(inner, shrew_linear_floats(operators, p.kept, p.mixed, l->dim));
    inner = larger(inner, shrew_linear_floats(operators, p.kept, l->dim, p.up));
    inner = larger(inner, shrew_linear_floats(operators, p.kept, l->ffn, l->dim));
    /* the backward's arrays: a norm's output and gradient; the hidden values and theirs, or those of attention */
    const size_t norms = 2 * whole_lines(N * l->dim);
    const size_t mlp = 2 * whole_lines(M * l->ffn);
    const size_t heads = whole_lines(N * p.qkv) + 2 * whole_lines(N * p.mixed);
    p.memory_floats = LINE + norms + larger(mlp, heads) + whole_lines(inner);
    *plan = p;
    return 1;
}

static saved_layer saved_in(const shrew_learn_layer *l, const layer_plan *p, float *saved) {
    const size_t N = p->rows, M = p->kept;
    saved_layer s;
    saved = at_line(saved);
    s.moments = take(&saved, 2 * N);
    s.qkv_out = take(&saved, N * p->qkv);
    s.mixed = take(&saved, N * p->mixed);
    s.lse = take(&saved, N * l->heads);
    s.kept_mixed = l->kept ? take(&saved, M * p->mixed) : s.mixed;
    s.x = take(&saved, M * l->dim);
    s.mlp_moments = take(&saved, 2 * M);
    s.up = take(&saved, M * p->up);
    return s;
}

size_t shrew_learn_layer_saved_bytes(uint32_t unit, const shrew_learn_layer *layer) {
    layer_plan plan;
    return plan_layer(unit, layer, &plan) ? plan.saved_floats * sizeof(float) : 0;
}

size_t shrew_learn_layer_memory_bytes(uint32_t unit, const shrew_learn_layer *layer) {
    layer_plan plan;
    return plan_layer(unit, layer, &plan) ? plan.memory_floats * sizeof(float) : 0;
}

static int has_matrices(const shrew_learn_tensors *t) {
    return t && t->qkv && t->out && t->up && t->down;
}

static int rows_exist(const shrew_learn_layer *l, const uint32_t *kept) {
    for (uint32_t i = 0; i < l->kept; i++)
        if (kept[i] >= l->batch * l->tokens || (i && kept[i] <= kept[i - 1]))
            return 0;
    return 1;
}

static int layer_status(uint32_t unit, const shrew_learn_layer *l, layer_plan *plan, const shrew_learn_tensors *weights,
                        const uint32_t *kept, const void *saved, size_t saved_bytes, const void *memory,
                        size_t memory_bytes) {
    if (!plan_layer(unit, l, plan) || !has_matrices(weights) || !saved || !memory || !l->kept != !kept ||
        !rows_exist(l, kept))
        return SHREW_E_ARGUMENT;
    if (saved_bytes < plan->saved_floats * sizeof(float) || memory_bytes < plan->memory_floats * sizeof(float))
        return SHREW_E_MEMORY;
    return SHREW_OK;
}

int shrew_learn_layer_forward(uint32_t unit, const shrew_learn_layer *l, const shrew_learn_tensors *w, const float *x,
                              const float *phases, const uint32_t *kept, float *y, void *saved, size_t saved_bytes,
                              void *memory, size_t memory_bytes) {
    layer_plan p;
    const int status = layer_status(unit, l, &p, w, kept, saved, saved_bytes, memory, memory_bytes);
    if (status)
        return status;
    if (!x || !y)
        return SHREW_E_ARGUMENT;
    const shrew_operators *const o = shrew_operators_of(unit);
    const saved_layer s = saved_in(l, &p, saved);
    const uint32_t N = p.rows, M = p.kept;
    float *work = at_line(memory);
    float *const normed = take(&work, (size_t)N * l->dim), *const hidden = take(&work, (size_t)M * l->ffn);

    o->norm(l->norm, N, l->dim, l->epsilon, x, w->attention_gain, w->attention_bias, normed, s.moments);
    shrew_linear(o, N, l->dim, p.qkv, normed, w->qkv, w->qkv_bias, s.qkv_out, 0, work);
    if (phases)
        o->rope(N, l->heads + l->kv_heads, l->head_dim, p.qkv, phases, 1.0f, s.qkv_out);
    o->attention(&p.shape, s.qkv_out, s.mixed, s.lse, work);
    if (kept) {
        o->embedding(M, p.mixed, kept, s.mixed, s.kept_mixed);
        o->embedding(M, l->dim, kept, x, s.x);
    } else
        memcpy(s.x, x, (size_t)N * l->dim * sizeof(float));
    shrew_linear(o, M, p.mixed, l->dim, s.kept_mixed, w->out, w->out_bias, s.x, 1, work);

    o->norm(l->norm, M, l->dim, l->epsilon, s.x, w->mlp_gain, w->mlp_bias, normed, s.mlp_moments);
    shrew_linear(o, M, l->dim, p.up, normed, w->up, w->up_bias, s.up, 0, work);
    o->activation(l->mlp, M, l->ffn, s.up, hidden);
    memcpy(y, s.x, (size_t)M * l->dim * sizeof(float));
    shrew_linear(o, M, l->ffn, l->dim, hidden, w->down, w->down_bias, y, 1, work);
    return SHREW_OK;
}

int shrew_learn_layer_backward(uint32_t unit, const shrew_learn_layer *l, const shrew_learn_tensors *w,
                               const shrew_learn_tensors *d, const float *x, const float *phases, const uint32_t *kept,
                               float *dy, float *dx, void *saved, size_t saved_bytes, void *memory,
                               size_t memory_bytes) {
    layer_plan p;
    const int status = layer_status(unit, l, &p, w, kept, saved, saved_bytes, memory, memory_bytes);
    if (status)
        return status;
    if (!has_matrices(d) || !x || !dy || !dx)
        return SHREW_E_ARGUMENT;
    const shrew_operators *const o = shrew_operators_of(unit);
    const saved_layer s = saved_in(l, &p, saved);
    const uint32_t N = p.rows, M = p.kept;
    float *work = at_line(memory);
    float *const normed = take(&work, (size_t)N * l->dim), *const dnormed = take(&work, (size_t)N * l->dim);
    float *const both = work; /* halves use it, one after the other */

    float *const hidden = take(&work, (size_t)M * l->ffn), *const dhidden = take(&work, (size_t)M * l->ffn);
    float *const dup = s.up;
    shrew_linear_dx(o, M, l->ffn, l->dim, dy, w->down, dhidden, work);
    o->activation_backward(l->mlp, M, l->ffn, dhidden, s.up, dup, hidden);
    shrew_linear_dweight(o, M, l->ffn, l->dim, dy, hidden, d->down, d->down_bias, work);
    o->norm(l->norm, M, l->dim, l->epsilon, s.x, w->mlp_gain, w->mlp_bias, normed, s.mlp_moments);
    shrew_linear_dweight(o, M, l->dim, p.up, dup, normed, d->up, d->up_bias, work);
    shrew_linear_dx(o, M, l->dim, p.up, dup, w->up, dnormed, work);
    o->norm_backward(l->norm, M, l->dim, dnormed, s.x, s.mlp_moments, w->mlp_gain, d->mlp_gain, d->mlp_bias, dy);

    work = both;
    float *const dqkv = take(&work, (size_t)N * p.qkv), *const dmixed = take(&work, (size_t)N * p.mixed);
    shrew_linear_dweight(o, M, p.mixed, l->dim, dy, s.kept_mixed, d->out, d->out_bias, work);
    if (kept) {
        float *const dkept = take(&work, (size_t)M * p.mixed);
        shrew_linear_dx(o, M, p.mixed, l->dim, dy, w->out, dkept, work);
        memset(dmixed, 0, (size_t)N * p.mixed * sizeof(float));
        o->embedding_backward(M, p.mixed, dkept, kept, dmixed);
        memset(dx, 0, (size_t)N * l->dim * sizeof(float));
        o->embedding_backward(M, l->dim, dy, kept, dx);
    } else {
        shrew_linear_dx(o, M, p.mixed, l->dim, dy, w->out, dmixed, work);
        memcpy(dx, dy, (size_t)N * l->dim * sizeof(float));
    }
    o->attention_backward(&p.shape, s.qkv_out, s.mixed, s.lse, dmixed, dqkv, work);
    if (phases)
        o->rope(N, l->heads + l->kv_heads, l->head_dim, p.qkv, phases, -1.0f, dqkv);
    o->norm(l->norm, N, l->dim, l->epsilon, x, w->attention_gain, w->attention_bias, normed, s.moments);
    shrew_linear_dweight(o, N, l->dim, p.qkv, dqkv, normed, d->qkv, d->qkv_bias, work);
    shrew_linear_dx(o, N, l->dim, p.qkv, dqkv, w->qkv, dnormed, work);
    o->norm_backward(l->norm, N, l->dim, dnormed, x, s.moments, w->attention_gain, d->attention_gain,
                     d->attention_bias, dx);
    return SHREW_OK;
}
