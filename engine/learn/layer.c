/* One transformer layer, forward and backward, built from operators. The forward saves only what is expensive to
 * recompute. Norms and the MLP's hidden values are recomputed, and so are the inputs of the activation where products
 * are cheaper than memory traffic. Outside attention, a few rows pass through all operators before the next rows, so
 * what one operator writes is still in the cache when the next one reads it. The layer's weights also stay in the
 * cache. */
#include <string.h>

#include "linear.h"
#include "operators/memory.h"
#include "operators/operators.h"

enum { FEW_ROWS = 128 };

/* Sizes derived from a layer's, and the floats of saved and of working memory. */
typedef struct layer_plan {
    shrew_learn_heads shape;
    uint32_t rows, kept, qkv, mixed, up; /* N, M; then widths of the products' results */
    uint32_t few_up, saved_up;           /* rows of the activation's input: held at a time; saved */
    size_t saved_floats, memory_floats;
} layer_plan;

typedef struct saved_layer {
    float *moments, *qkv_out, *mixed, *lse, *kept_mixed, *x, *mlp_moments, *up;
} saved_layer;

static size_t larger_size(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Number of rows to process together, starting at row `first`. */
static uint32_t few(uint32_t first, uint32_t rows) {
    return rows - first < FEW_ROWS ? rows - first : FEW_ROWS;
}

static float *packed(const shrew_operators *o, float **work, uint32_t inputs, uint32_t outputs, const float *weight,
                     int direction) {
    float *const panels = take(work, shrew_linear_panels_floats(o, inputs, outputs));
    shrew_linear_pack(o, inputs, outputs, weight, direction, panels);
    return panels;
}

/* Returns 0 if a size is invalid. */
static int plan_layer(uint32_t unit, const shrew_learn_layer *l, layer_plan *plan) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    const uint32_t most = 1u << 14; /* limit of any width; keeps sizes from overflowing */
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
    p.saved_up = operators->remakes ? 0 : p.kept;
    p.few_up = operators->remakes ? few(0, p.kept) : 0;
    p.saved_floats = LINE + whole_lines(2 * N) + whole_lines(N * p.qkv) + whole_lines(N * p.mixed) +
                     whole_lines(N * l->heads) + (l->kept ? whole_lines(M * p.mixed) : 0) + whole_lines(M * l->dim) +
                     whole_lines(2 * M) + whole_lines((size_t)p.saved_up * p.up);
    /* Sized for the backward, which needs more than the forward: packed weights of one half of the layer; dqkv and
     * dmixed; for a few rows, a norm's output and its gradient, the activation's input, hidden values and their
     * gradients; and the scratch of one operator. */
    const uint32_t R = few(0, p.rows);
    const size_t panels = whole_lines(shrew_linear_panels_floats(operators, p.mixed, l->dim)) +
                          2 * whole_lines(shrew_linear_panels_floats(operators, l->dim, p.up)) +
                          whole_lines(shrew_linear_panels_floats(operators, l->ffn, l->dim));
    const size_t heads = whole_lines(N * p.qkv) + whole_lines(N * p.mixed) + (l->kept ? whole_lines(M * p.mixed) : 0);
    const size_t of_few = 2 * whole_lines((size_t)R * l->dim) + 2 * whole_lines((size_t)R * l->ffn) +
                          whole_lines((size_t)p.few_up * p.up);
    size_t inner = attention;
    inner = larger_size(inner, shrew_linear_dweight_floats(operators, R, l->dim, p.qkv));
    inner = larger_size(inner, shrew_linear_dweight_floats(operators, R, p.mixed, l->dim));
    inner = larger_size(inner, shrew_linear_dweight_floats(operators, R, l->dim, p.up));
    inner = larger_size(inner, shrew_linear_dweight_floats(operators, R, l->ffn, l->dim));
    const size_t qkv_panels = whole_lines(shrew_linear_panels_floats(operators, l->dim, p.qkv));
    p.memory_floats = LINE + larger_size(panels, qkv_panels) + heads + of_few + whole_lines(inner);
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
    s.up = take(&saved, (size_t)p->saved_up * p->up);
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
    const uint32_t N = p.rows, M = p.kept, C = l->dim;
    float *work = at_line(memory);
    float *const normed = take(&work, (size_t)few(0, N) * C), *const hidden = take(&work, (size_t)few(0, M) * l->ffn);
    float *const few_up = take(&work, (size_t)p.few_up * p.up);
    float *const both = work; /* the two halves take turns using the rest */

    float *const qkv = packed(o, &work, C, p.qkv, w->qkv, FORWARD);
    for (uint32_t i = 0; i < N; i += FEW_ROWS) {
        const uint32_t rows = few(i, N);
        float *const made = s.qkv_out + (size_t)i * p.qkv;
        o->norm(l->norm, rows, C, l->epsilon, x + (size_t)i * C, w->attention_gain, w->attention_bias, normed,
                s.moments + 2 * (size_t)i);
        shrew_linear(o, rows, C, p.qkv, normed, qkv, NULL, w->qkv_bias, made);
        if (phases)
            o->rope(rows, l->heads + l->kv_heads, l->head_dim, p.qkv, phases + (size_t)i * l->head_dim, 1.0f, made);
    }
    o->attention(&p.shape, s.qkv_out, s.mixed, s.lse, both);
    const float *stream = x;
    if (kept) {
        o->embedding(M, p.mixed, kept, s.mixed, s.kept_mixed);
        o->embedding(M, C, kept, x, s.x);
        stream = s.x;
    }

    work = both;
    float *const out = packed(o, &work, p.mixed, C, w->out, FORWARD);
    float *const up = packed(o, &work, C, p.up, w->up, FORWARD);
    float *const down = packed(o, &work, l->ffn, C, w->down, FORWARD);
    for (uint32_t i = 0; i < M; i += FEW_ROWS) {
        const uint32_t rows = few(i, M);
        float *const middle = s.x + (size_t)i * C, *const end = y + (size_t)i * C;
        float *const up_out = o->remakes ? few_up : s.up + (size_t)i * p.up;
        shrew_linear(o, rows, p.mixed, C, s.kept_mixed + (size_t)i * p.mixed, out, stream + (size_t)i * C,
                     w->out_bias, middle);
        o->norm(l->norm, rows, C, l->epsilon, middle, w->mlp_gain, w->mlp_bias, normed, s.mlp_moments + 2 * (size_t)i);
        shrew_linear(o, rows, C, p.up, normed, up, NULL, w->up_bias, up_out);
        o->activation(l->mlp, rows, l->ffn, up_out, hidden);
        shrew_linear(o, rows, l->ffn, C, hidden, down, middle, w->down_bias, end);
    }
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
    const uint32_t N = p.rows, M = p.kept, C = l->dim;
    float *work = at_line(memory);
    float *const dqkv = take(&work, (size_t)N * p.qkv), *const dmixed = take(&work, (size_t)N * p.mixed);
    float *const dkept = kept ? take(&work, (size_t)M * p.mixed) : dmixed;
    float *const normed = take(&work, (size_t)few(0, N) * C), *const dnormed = take(&work, (size_t)few(0, N) * C);
    float *const hidden = take(&work, (size_t)few(0, M) * l->ffn),
                 *const dhidden = take(&work, (size_t)few(0, M) * l->ffn);
    float *const few_up = take(&work, (size_t)p.few_up * p.up);
    float *const both = work;

    float *const out = packed(o, &work, p.mixed, C, w->out, BACKWARD);
    float *const up = packed(o, &work, C, p.up, w->up, BACKWARD);
    float *const up_again = o->remakes ? packed(o, &work, C, p.up, w->up, FORWARD) : NULL;
    float *const down = packed(o, &work, l->ffn, C, w->down, BACKWARD);
    for (uint32_t i = 0; i < M; i += FEW_ROWS) {
        const uint32_t rows = few(i, M);
        float *const dend = dy + (size_t)i * C;
        float *const dup = o->remakes ? few_up : s.up + (size_t)i * p.up; /* overwrites up */
        float *const middle = s.x + (size_t)i * C, *const moments = s.mlp_moments + 2 * (size_t)i;
        o->norm(l->norm, rows, C, l->epsilon, middle, w->mlp_gain, w->mlp_bias, normed, moments);
        if (o->remakes)
            shrew_linear(o, rows, C, p.up, normed, up_again, NULL, w->up_bias, dup);
        shrew_linear_dx(o, rows, l->ffn, C, dend, down, dhidden);
        o->activation_backward(l->mlp, rows, l->ffn, dhidden, dup, dup, hidden);
        shrew_linear_dweight(o, rows, l->ffn, C, dend, hidden, d->down, d->down_bias, work);
        shrew_linear_dweight(o, rows, C, p.up, dup, normed, d->up, d->up_bias, work);
        shrew_linear_dx(o, rows, C, p.up, dup, up, dnormed);
        o->norm_backward(l->norm, rows, C, dnormed, middle, moments, w->mlp_gain, d->mlp_gain, d->mlp_bias, dend);
        shrew_linear_dweight(o, rows, p.mixed, C, dend, s.kept_mixed + (size_t)i * p.mixed, d->out, d->out_bias, work);
        shrew_linear_dx(o, rows, p.mixed, C, dend, out, dkept + (size_t)i * p.mixed);
    }
    if (kept) {
        memset(dmixed, 0, (size_t)N * p.mixed * sizeof(float));
        o->embedding_backward(M, p.mixed, dkept, kept, dmixed);
        memset(dx, 0, (size_t)N * C * sizeof(float));
        o->embedding_backward(M, C, dy, kept, dx);
    } else
        memcpy(dx, dy, (size_t)N * C * sizeof(float));
    o->attention_backward(&p.shape, s.qkv_out, s.mixed, s.lse, dmixed, dqkv, both);

    work = both;
    float *const qkv = packed(o, &work, C, p.qkv, w->qkv, BACKWARD);
    for (uint32_t i = 0; i < N; i += FEW_ROWS) {
        const uint32_t rows = few(i, N);
        const float *const begin = x + (size_t)i * C;
        float *const dmade = dqkv + (size_t)i * p.qkv, *const moments = s.moments + 2 * (size_t)i;
        if (phases)
            o->rope(rows, l->heads + l->kv_heads, l->head_dim, p.qkv, phases + (size_t)i * l->head_dim, -1.0f, dmade);
        o->norm(l->norm, rows, C, l->epsilon, begin, w->attention_gain, w->attention_bias, normed, moments);
        shrew_linear_dweight(o, rows, C, p.qkv, dmade, normed, d->qkv, d->qkv_bias, work);
        shrew_linear_dx(o, rows, C, p.qkv, dmade, qkv, dnormed);
        o->norm_backward(l->norm, rows, C, dnormed, begin, moments, w->attention_gain, d->attention_gain,
                         d->attention_bias, dx + (size_t)i * C);
    }
    return SHREW_OK;
}
