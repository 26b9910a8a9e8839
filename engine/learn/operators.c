/* The operators of learning: checks arguments and calls the unit asked for. */
#include "linear.h"
#include "operators/memory.h"
#include "operators/operators.h"

const shrew_operators *shrew_operators_of(uint32_t unit) {
    switch (unit) {
    case SHREW_UNIT_SCALAR: return &shrew_operators_portable;
#ifdef SHREW_X86
    case SHREW_UNIT_AVX2: return &shrew_operators_avx2;
    case SHREW_UNIT_AVX512: return &shrew_operators_avx512;
#endif
#ifdef SHREW_AMX
    case SHREW_UNIT_AMX: return &shrew_operators_amx;
#endif
    default: return NULL;
    }
}

static int runs_operators(uint32_t unit) {
    if (!shrew_operators_of(unit))
        return 0;
#ifdef SHREW_X86
    if (unit != SHREW_UNIT_SCALAR)
        return shrew_processor_runs((shrew_unit)unit) && (unit != SHREW_UNIT_AVX2 || shrew_processor_fuses());
#endif
    return 1;
}

int shrew_learn_unit(uint32_t unit) {
    if (unit != SHREW_UNIT_AUTO)
        return runs_operators(unit) ? (int)unit : SHREW_E_ARGUMENT;
    static const uint32_t fastest_first[] = {SHREW_UNIT_AMX, SHREW_UNIT_AVX512, SHREW_UNIT_AVX2};
    for (uint32_t i = 0; i < sizeof fastest_first / sizeof *fastest_first; i++)
        if (runs_operators(fastest_first[i]))
            return (int)fastest_first[i];
    return SHREW_UNIT_SCALAR;
}

static int below(const uint32_t *ids, uint32_t count, uint32_t limit) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        most = ids[i] > most ? ids[i] : most;
    return most < limit;
}

size_t shrew_learn_linear_bytes(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !rows || !inputs || !outputs)
        return 0;
    const size_t panels = LINE + shrew_linear_panels_floats(operators, inputs, outputs);
    const size_t dweight = shrew_linear_dweight_floats(operators, rows, inputs, outputs);
    return (panels > dweight ? panels : dweight) * sizeof(float);
}

int shrew_learn_linear(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *x,
                       const float *weight, const float *bias, float *y, void *memory, size_t memory_bytes) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    const size_t bytes = shrew_learn_linear_bytes(unit, rows, inputs, outputs);
    if (!bytes || !x || !weight || !y || !memory)
        return SHREW_E_ARGUMENT;
    if (memory_bytes < bytes)
        return SHREW_E_MEMORY;
    float *const panels = at_line(memory);
    shrew_linear_pack(operators, inputs, outputs, weight, FORWARD, panels);
    shrew_linear(operators, rows, inputs, outputs, x, panels, NULL, bias, y);
    return SHREW_OK;
}

int shrew_learn_linear_backward(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs, const float *dy,
                                const float *x, const float *weight, float *dweight, float *dbias, float *dx,
                                void *memory, size_t memory_bytes) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    const size_t bytes = shrew_learn_linear_bytes(unit, rows, inputs, outputs);
    if (!bytes || !dy || !x || !weight || !dweight || !dx || !memory)
        return SHREW_E_ARGUMENT;
    if (memory_bytes < bytes)
        return SHREW_E_MEMORY;
    float *const panels = at_line(memory);
    shrew_linear_dweight(operators, rows, inputs, outputs, dy, x, dweight, dbias, memory);
    shrew_linear_pack(operators, inputs, outputs, weight, BACKWARD, panels);
    shrew_linear_dx(operators, rows, inputs, outputs, dy, panels, dx);
    return SHREW_OK;
}

int shrew_learn_embedding(uint32_t unit, uint32_t rows, uint32_t width, uint32_t vocab, const uint32_t *ids,
                          const float *table, float *y) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !rows || !width || !ids || !table || !y || !below(ids, rows, vocab))
        return SHREW_E_ARGUMENT;
    operators->embedding(rows, width, ids, table, y);
    return SHREW_OK;
}

int shrew_learn_embedding_backward(uint32_t unit, uint32_t rows, uint32_t width, uint32_t vocab, const float *dy,
                                   const uint32_t *ids, float *dtable) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !rows || !width || !dy || !ids || !dtable || !below(ids, rows, vocab))
        return SHREW_E_ARGUMENT;
    operators->embedding_backward(rows, width, dy, ids, dtable);
    return SHREW_OK;
}

int shrew_learn_rope(uint32_t unit, uint32_t rows, uint32_t heads, uint32_t head_dim, size_t stride,
                     const float *phases, int backward, float *x) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !rows || !heads || !head_dim || head_dim % 2 || stride / head_dim < heads || !phases || !x)
        return SHREW_E_ARGUMENT;
    operators->rope(rows, heads, head_dim, stride, phases, backward ? -1.0f : 1.0f, x);
    return SHREW_OK;
}

int shrew_learn_norm(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, float epsilon, const float *x,
                     const float *gain, const float *bias, float *y, float *moments) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || kind > SHREW_NORM_LAYER || !rows || !width || !(epsilon > 0.0f) || !x || !y || !moments)
        return SHREW_E_ARGUMENT;
    operators->norm(kind, rows, width, epsilon, x, gain, bias, y, moments);
    return SHREW_OK;
}

int shrew_learn_norm_backward(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *dy,
                              const float *x, const float *moments, const float *gain, float *dgain, float *dbias,
                              float *dx) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || kind > SHREW_NORM_LAYER || !rows || !width || !dy || !x || !moments || !dx)
        return SHREW_E_ARGUMENT;
    operators->norm_backward(kind, rows, width, dy, x, moments, gain, dgain, dbias, dx);
    return SHREW_OK;
}

size_t shrew_learn_attention_bytes(uint32_t unit, const shrew_learn_heads *s) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    const uint32_t most_rows = 1u << 24, most_dims = 1u << 12; /* row numbers are floats, exact up to 2^24 */
    if (!operators || !s || !s->batch || !s->tokens || !s->kv_heads || !s->heads || s->heads % s->kv_heads ||
        s->heads / s->kv_heads > most_rows / s->tokens || !s->head_dim || s->head_dim > most_dims)
        return 0;
    return operators->attention_floats(s) * sizeof(float);
}

static int attention_status(uint32_t unit, const shrew_learn_heads *shape, const void *memory, size_t memory_bytes) {
    const size_t bytes = shrew_learn_attention_bytes(unit, shape);
    return !bytes || !memory ? SHREW_E_ARGUMENT : memory_bytes < bytes ? SHREW_E_MEMORY : SHREW_OK;
}

int shrew_learn_attention(uint32_t unit, const shrew_learn_heads *shape, const float *qkv, float *out, float *lse,
                          void *memory, size_t memory_bytes) {
    const int status = attention_status(unit, shape, memory, memory_bytes);
    if (status)
        return status;
    if (!qkv || !out || !lse)
        return SHREW_E_ARGUMENT;
    shrew_operators_of(unit)->attention(shape, qkv, out, lse, memory);
    return SHREW_OK;
}

int shrew_learn_attention_backward(uint32_t unit, const shrew_learn_heads *shape, const float *qkv, const float *out,
                                   const float *lse, const float *dout, float *dqkv, void *memory,
                                   size_t memory_bytes) {
    const int status = attention_status(unit, shape, memory, memory_bytes);
    if (status)
        return status;
    if (!qkv || !out || !lse || !dout || !dqkv)
        return SHREW_E_ARGUMENT;
    shrew_operators_of(unit)->attention_backward(shape, qkv, out, lse, dout, dqkv, memory);
    return SHREW_OK;
}

int shrew_learn_activation(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *x, float *y) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || kind > SHREW_MLP_RELU || !rows || !width || !x || !y)
        return SHREW_E_ARGUMENT;
    operators->activation(kind, rows, width, x, y);
    return SHREW_OK;
}

int shrew_learn_activation_backward(uint32_t unit, uint32_t kind, uint32_t rows, uint32_t width, const float *dy,
                                    const float *x, float *dx, float *y) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || kind > SHREW_MLP_RELU || !rows || !width || !dy || !x || !dx)
        return SHREW_E_ARGUMENT;
    operators->activation_backward(kind, rows, width, dy, x, dx, y);
    return SHREW_OK;
}

int shrew_learn_cross_entropy(uint32_t unit, uint32_t rows, uint32_t vocab, float *logits, const uint32_t *targets,
                              const float *weights, float *losses) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !rows || !vocab || !logits || !targets || !weights || !losses || !below(targets, rows, vocab))
        return SHREW_E_ARGUMENT;
    operators->cross_entropy(rows, vocab, logits, targets, weights, losses);
    return SHREW_OK;
}

int shrew_learn_square_sum(uint32_t unit, size_t count, const float *x, float *sum) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !x || !sum)
        return SHREW_E_ARGUMENT;
    *sum = operators->square_sum(count, x);
    return SHREW_OK;
}

int shrew_learn_scale(uint32_t unit, size_t count, float factor, float *x) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !x)
        return SHREW_E_ARGUMENT;
    operators->scale(count, factor, x);
    return SHREW_OK;
}

int shrew_learn_add(uint32_t unit, size_t count, const float *x, float *y) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !x || !y)
        return SHREW_E_ARGUMENT;
    operators->add(count, x, y);
    return SHREW_OK;
}

int shrew_learn_adamw(uint32_t unit, const shrew_learn_adamw_options *options, size_t count, const float *gradient,
                      float *first, float *second, float *parameters) {
    const shrew_operators *const operators = shrew_operators_of(unit);
    if (!operators || !options || !gradient || !first || !second || !parameters || !(options->correction1 > 0.0f) ||
        !(options->correction2 > 0.0f))
        return SHREW_E_ARGUMENT;
    operators->adamw(options, count, gradient, first, second, parameters);
    return SHREW_OK;
}
