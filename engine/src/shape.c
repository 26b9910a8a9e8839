#include "shape.h"

#include "numbers.h"

#include <string.h>

enum { MAX_LAYERS = 64, MAX_WIDTH = 4096 };

/* shrew_config begins with INTEGERS integers. The first AT_LEAST_ONE of them must not be 0. */
enum { INTEGERS = 12, AT_LEAST_ONE = 8 };

static const uint32_t *integers_of(const shrew_config *config) {
    return (const uint32_t *)(const void *)config;
}

int shrew_shape_check(const shrew_config *config) {
    static const uint16_t most[INTEGERS] = {
        MAX_WIDTH, MAX_LAYERS, MAX_WIDTH, MAX_WIDTH, MAX_WIDTH, 4 * MAX_WIDTH, SHREW_MAX_VOCAB, 32768,
        SHREW_NORM_LAYER, SHREW_POSITION_LEARNED, SHREW_MLP_RELU, 63,
    };
    const uint32_t *integers = integers_of(config);
    for (uint32_t i = 0; i < INTEGERS; i++)
        if (integers[i] > most[i] || integers[i] < (i < AT_LEAST_ONE))
            return SHREW_E_CONFIG;
    if (config->heads % config->kv_heads || config->heads * config->head_dim > MAX_WIDTH)
        return SHREW_E_CONFIG;
    if (config->position == SHREW_POSITION_ROPE && config->head_dim % 2)
        return SHREW_E_CONFIG;
    if (float_bits(config->norm_eps) < float_bits(1e-12f) || float_bits(config->norm_eps) >= float_bits(1.0f))
        return SHREW_E_CONFIG;
    return SHREW_OK;
}

/* A length: the index of a configuration's integer. PER_HEAD multiplies it by head_dim, HALVED divides it by two. */
enum extent { PER_HEAD = 16, HALVED = 32, ONE = 64, DIM = 0, QUERY = 2 | PER_HEAD, KV = 3 | PER_HEAD,
              HALF_HEAD = 4 | HALVED, FFN = 5, VOCAB = 6, CONTEXT = 7 };

/* Conditions on a configuration under which a tensor exists: its flags (SHREW_TIED_HEAD inverted) and further bits. */
enum need { QKV_BIAS = SHREW_BIAS_QKV, OUT_BIAS = SHREW_BIAS_OUT, MLP_BIAS = SHREW_BIAS_MLP, UNTIED = SHREW_TIED_HEAD,
            EMBED_NORM = SHREW_EMBED_NORM, FINAL_NORM = SHREW_FINAL_NORM, GAIN = 64, SHIFT = 128, ROPE = 256,
            LEARNED = 512, GATED = 1024 };

static const struct role_shape {
    uint8_t rows, cols; /* extent; rows ONE: a vector */
    uint16_t needs;     /* need, or-ed */
} role_shapes[SHREW_ROLES] = {
    [SHREW_TOKEN_EMBEDDING] = {VOCAB, DIM, 0},
    [SHREW_POSITION_EMBEDDING] = {CONTEXT, DIM, LEARNED},
    [SHREW_ROPE_FREQUENCY] = {ONE, HALF_HEAD, ROPE},
    [SHREW_EMBED_NORM_WEIGHT] = {ONE, DIM, EMBED_NORM | GAIN},
    [SHREW_EMBED_NORM_BIAS] = {ONE, DIM, EMBED_NORM | SHIFT},
    [SHREW_ATTENTION_NORM_WEIGHT] = {ONE, DIM, GAIN},
    [SHREW_ATTENTION_NORM_BIAS] = {ONE, DIM, SHIFT},
    [SHREW_QUERY] = {QUERY, DIM, 0},
    [SHREW_KEY] = {KV, DIM, 0},
    [SHREW_VALUE] = {KV, DIM, 0},
    [SHREW_QUERY_BIAS] = {ONE, QUERY, QKV_BIAS},
    [SHREW_KEY_BIAS] = {ONE, KV, QKV_BIAS},
    [SHREW_VALUE_BIAS] = {ONE, KV, QKV_BIAS},
    [SHREW_OUT] = {DIM, QUERY, 0},
    [SHREW_OUT_BIAS] = {ONE, DIM, OUT_BIAS},
    [SHREW_MLP_NORM_WEIGHT] = {ONE, DIM, GAIN},
    [SHREW_MLP_NORM_BIAS] = {ONE, DIM, SHIFT},
    [SHREW_GATE] = {FFN, DIM, GATED},
    [SHREW_UP] = {FFN, DIM, 0},
    [SHREW_GATE_BIAS] = {ONE, FFN, GATED | MLP_BIAS},
    [SHREW_UP_BIAS] = {ONE, FFN, MLP_BIAS},
    [SHREW_DOWN] = {DIM, FFN, 0},
    [SHREW_DOWN_BIAS] = {ONE, DIM, MLP_BIAS},
    [SHREW_FINAL_NORM_WEIGHT] = {ONE, DIM, FINAL_NORM | GAIN},
    [SHREW_FINAL_NORM_BIAS] = {ONE, DIM, FINAL_NORM | SHIFT},
    [SHREW_HEAD] = {VOCAB, DIM, UNTIED},
};

static uint32_t met_needs(const shrew_config *config) {
    uint32_t needs = config->flags ^ SHREW_TIED_HEAD;
    needs |= config->norm != SHREW_NORM_RMS_PLAIN ? GAIN : 0;
    needs |= config->norm == SHREW_NORM_LAYER ? SHIFT : 0;
    needs |= config->position == SHREW_POSITION_ROPE ? ROPE : LEARNED;
    needs |= config->mlp == SHREW_MLP_SWIGLU ? GATED : 0;
    return needs;
}

static uint32_t length_of(const shrew_config *config, uint32_t length) {
    if (length == ONE)
        return 1;
    const uint32_t integer = integers_of(config)[length % PER_HEAD];
    return length & PER_HEAD ? integer * config->head_dim : length & HALVED ? integer / 2 : integer;
}

shrew_shape_walk shrew_shape_begin(const shrew_config *config) {
    return (shrew_shape_walk){config, met_needs(config), 0, 0};
}

int shrew_shape_next(shrew_shape_walk *walk, shrew_shape *shape) {
    while (walk->role < SHREW_ROLES) {
        const struct role_shape *candidate = &role_shapes[walk->role];
        shape->role = walk->role++;
        shape->layer = walk->layer;
        if (shape->role == SHREW_DOWN_BIAS) {
            walk->layer = shape->layer + 1 < walk->config->layers ? shape->layer + 1 : 0;
            walk->role = walk->layer ? SHREW_ATTENTION_NORM_WEIGHT : walk->role;
        }
        if (candidate->needs & ~walk->met)
            continue;
        shape->rows = length_of(walk->config, candidate->rows);
        shape->cols = length_of(walk->config, candidate->cols);
        shape->is_vector = candidate->rows == ONE;
        return 1;
    }
    return 0;
}

int shrew_shape_tensor(const shrew_config *config, uint32_t index, shrew_shape *shape) {
    if (!config || !shape)
        return SHREW_E_ARGUMENT;
    const int status = shrew_shape_check(config);
    if (status)
        return status;
    shrew_shape_walk walk = shrew_shape_begin(config);
    for (uint32_t i = 0; i <= index; i++)
        if (!shrew_shape_next(&walk, shape))
            return SHREW_E_ARGUMENT;
    return SHREW_OK;
}

int shrew_shape_tensors(const shrew_config *config, uint32_t *count) {
    if (!config || !count)
        return SHREW_E_ARGUMENT;
    const int status = shrew_shape_check(config);
    if (status)
        return status;
    shrew_shape_walk walk = shrew_shape_begin(config);
    shrew_shape shape;
    for (*count = 0; shrew_shape_next(&walk, &shape);)
        ++*count;
    return SHREW_OK;
}

/* In order of role, each with a final NUL. */
static const char tensor_names[] = "token_embedding.weight\0position_embedding.weight\0rope_frequency\0"
                                   "embed_norm.weight\0embed_norm.bias\0attention_norm.weight\0attention_norm.bias\0"
                                   "query.weight\0key.weight\0value.weight\0query.bias\0key.bias\0value.bias\0"
                                   "out.weight\0out.bias\0mlp_norm.weight\0mlp_norm.bias\0gate.weight\0up.weight\0"
                                   "gate.bias\0up.bias\0down.weight\0down.bias\0final_norm.weight\0final_norm.bias\0"
                                   "head.weight";

int shrew_tensor_name(shrew_role role, uint32_t layer, char *name, size_t capacity) {
    const int per_layer = shrew_role_is_per_layer(role);
    if (!name || (uint32_t)role >= SHREW_ROLES || layer >= (per_layer ? MAX_LAYERS : 1))
        return SHREW_E_ARGUMENT;
    if (capacity < SHREW_TENSOR_NAME_BYTES)
        return SHREW_E_BUFFER;
    if (per_layer) {
        memcpy(name, "layers.", 7);
        name += 7;
        if (layer >= 10)
            *name++ = (char)('0' + layer / 10);
        *name++ = (char)('0' + layer % 10);
        *name++ = '.';
    }
    const char *own = tensor_names;
    for (uint32_t before = role; before; before -= *own++ == 0) {
    }
    do {
        *name++ = *own;
    } while (*own++);
    return SHREW_OK;
}
