/* Compares every learning operator of each unit that runs here with the portable one, at sizes around whole vectors, on
 * arrays of exactly the size that the header states. Exit status 0: they agree. Sanitizers find accesses outside. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shrew_learn.h"

enum { MOST_ARRAYS = 128 };

static void *arrays[MOST_ARRAYS];
static int array_count;
static uint32_t noise;

/* Scratch memory. Units need different amounts, so its contents are not compared. */
static void *scratch(size_t bytes) {
    return arrays[array_count++] = malloc(bytes);
}

static float *array(size_t count) {
    float *const values = scratch(count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        noise = noise * 1664525u + 1013904223u;
        values[i] = (float)(noise >> 8) / 8388608.0f - 1.0f;
    }
    return values;
}

static void require(int status, const char *what) {
    if (status < 0) {
        printf("%s: %d\n", what, status);
        exit(1);
    }
}

/* The portable unit's outputs in order, with which those of other units are compared. */
static float *recorded;
static size_t record_count, record_room;
static int comparing, differences;
static int jumps; /* 1: results may jump at signs that the tiles' 16 bits get wrong */
static float tolerance;

static void record(const char *what, const float *values, size_t count) {
    if (!comparing && record_count + count > record_room) {
        record_room = 2 * (record_count + count);
        recorded = realloc(recorded, record_room * sizeof(float));
    }
    for (size_t i = 0; i < count; i++, record_count++) {
        if (!comparing)
            recorded[record_count] = values[i];
        else {
            const float portable = recorded[record_count];
            if (!jumps && !(fabsf(values[i] - portable) <= tolerance * (1.0f + fabsf(portable))) && differences++ < 10)
                printf("%s[%zu]: %g, portable %g\n", what, i, (double)values[i], (double)portable);
        }
    }
}

static void rows_of(uint32_t unit, uint32_t rows, uint32_t width) {
    float *const x = array((size_t)rows * width), *const y = array((size_t)rows * width);
    float *const dx = array((size_t)rows * width), *const dy = array((size_t)rows * width);
    float *const gain = array(width), *const bias = array(width), *const dgain = array(width),
                 *const dbias = array(width);
    float *const moments = array(2 * (size_t)rows), *const table = array(3 * (size_t)width);
    float *const losses = array(rows), *const weights = array(rows);
    uint32_t *const ids = (uint32_t *)(void *)array(rows);
    for (uint32_t kind = SHREW_NORM_RMS; kind <= SHREW_NORM_LAYER; kind++) {
        require(shrew_learn_norm(unit, kind, rows, width, 1e-2f, x, gain, bias, y, moments), "norm");
        record("norm", y, (size_t)rows * width);
        require(shrew_learn_norm_backward(unit, kind, rows, width, dy, x, moments, gain, dgain, dbias, dx), "norm'");
        record("norm dx", dx, (size_t)rows * width);
        record("norm dgain", dgain, width);
        record("norm dbias", dbias, width);
    }
    for (uint32_t kind = SHREW_MLP_SWIGLU; kind <= SHREW_MLP_RELU; kind++) {
        const size_t stride = kind == SHREW_MLP_SWIGLU ? 2 * (size_t)width : width;
        float *const up = array(rows * stride);
        require(shrew_learn_activation(unit, kind, rows, width, up, y), "activation");
        record("activation", y, (size_t)rows * width);
        require(shrew_learn_activation_backward(unit, kind, rows, width, dy, up, up, y), "activation'");
        record("activation dx", up, rows * stride);
        record("activation again", y, (size_t)rows * width);
    }
    for (uint32_t n = 0; n < rows; n++)
        ids[n] = n % 3;
    require(shrew_learn_embedding(unit, rows, width, 3, ids, table, y), "embedding");
    require(shrew_learn_embedding_backward(unit, rows, width, 3, dy, ids, table), "embedding'");
    record("embedding", table, 3 * (size_t)width);
    for (uint32_t n = 0; n < rows; n++)
        ids[n] = n % width;
    require(shrew_learn_cross_entropy(unit, rows, width, x, ids, weights, losses), "cross_entropy");
    record("losses", losses, rows);
    record("dlogits", x, (size_t)rows * width);
}

static void vectors_of(uint32_t unit, size_t count) {
    const shrew_learn_adamw_options options = {0.01f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.5f, 0.1f};
    float *const gradient = array(count), *const first = array(count), *const second = array(count);
    float *const parameters = array(count), sum;
    for (size_t i = 0; i < count; i++)
        second[i] *= second[i];
    require(shrew_learn_square_sum(unit, count, gradient, &sum), "square_sum");
    require(shrew_learn_scale(unit, count, 0.5f, gradient), "scale");
    require(shrew_learn_add(unit, count, first, gradient), "add");
    require(shrew_learn_adamw(unit, &options, count, gradient, first, second, parameters), "adamw");
    record("square_sum", &sum, 1);
    record("adamw", parameters, count);
}

static void attention_of(uint32_t unit, uint32_t tokens, uint32_t heads, uint32_t kv_heads, uint32_t D) {
    const shrew_learn_heads shape = {2, tokens, heads, kv_heads, D};
    const size_t rows = 2 * (size_t)tokens, width = (size_t)(heads + 2 * kv_heads) * D;
    const size_t bytes = shrew_learn_attention_bytes(unit, &shape);
    float *const qkv = array(rows * width), *const dqkv = array(rows * width), *const memory = scratch(bytes);
    float *const out = array(rows * heads * D), *const dout = array(rows * heads * D), *const lse = array(rows * heads);
    if (D % 2 == 0) {
        float *const phases = array(rows * D);
        require(shrew_learn_rope(unit, (uint32_t)rows, heads + kv_heads, D, width, phases, 0, qkv), "rope");
    }
    require(shrew_learn_attention(unit, &shape, qkv, out, lse, memory, bytes), "attention");
    require(shrew_learn_attention_backward(unit, &shape, qkv, out, lse, dout, dqkv, memory, bytes), "attention'");
    record("attention", out, rows * heads * D);
    record("lse", lse, rows * heads);
    record("dqkv", dqkv, rows * width);
}

static void linear_of(uint32_t unit, uint32_t rows, uint32_t inputs, uint32_t outputs) {
    const size_t bytes = shrew_learn_linear_bytes(unit, rows, inputs, outputs), weights = (size_t)outputs * inputs;
    float *const x = array((size_t)rows * inputs), *const y = array((size_t)rows * outputs);
    float *const weight = array(weights), *const bias = array(outputs), *const memory = scratch(bytes);
    float *const dweight = array(weights), *const dbias = array(outputs), *const dx = array((size_t)rows * inputs);
    require(shrew_learn_linear(unit, rows, inputs, outputs, x, weight, bias, y, memory, bytes), "linear");
    require(shrew_learn_linear_backward(unit, rows, inputs, outputs, y, x, weight, dweight, dbias, dx, memory, bytes),
            "linear'");
    record("linear", y, (size_t)rows * outputs);
    record("dweight", dweight, weights);
    record("dbias", dbias, outputs);
    record("dx", dx, (size_t)rows * inputs);
}

/* A layer with rotary positions and biases, or plain with neither; keeping all rows, or every third. */
static void layer_of(uint32_t unit, uint32_t tokens, uint32_t D, uint32_t mlp, int plain) {
    const uint32_t N = 2 * tokens, M = plain ? N : (N + 2) / 3;
    const shrew_learn_layer layer = {2, tokens, plain ? 0 : M, 20, 4, 2, D, 19, plain ? 2 : 0, mlp, 1e-3f};
    const uint32_t dim = layer.dim, ffn = layer.ffn, up = mlp == SHREW_MLP_SWIGLU ? 2 * ffn : ffn;
    const size_t saved_bytes = shrew_learn_layer_saved_bytes(unit, &layer);
    const size_t memory_bytes = shrew_learn_layer_memory_bytes(unit, &layer);
    float *const saved = scratch(saved_bytes), *const memory = scratch(memory_bytes);
    uint32_t *const kept = scratch(M * sizeof(uint32_t));
    for (uint32_t i = 0; i < M; i++)
        kept[i] = 3 * i;
    shrew_learn_tensors tensors[2];
    for (int i = 0; i < 2; i++)
        tensors[i] = (shrew_learn_tensors){
            .attention_gain = array(dim), .attention_bias = plain ? array(dim) : NULL,
            .qkv = array((size_t)8 * D * dim), .qkv_bias = plain ? NULL : array((size_t)8 * D),
            .out = array((size_t)dim * 4 * D), .out_bias = plain ? NULL : array(dim),
            .mlp_gain = array(dim), .mlp_bias = plain ? array(dim) : NULL,
            .up = array((size_t)up * dim), .up_bias = plain ? NULL : array(up),
            .down = array((size_t)dim * ffn), .down_bias = plain ? NULL : array(dim),
        };
    float *const x = array((size_t)N * dim), *const y = array((size_t)M * dim);
    float *const dy = array((size_t)M * dim), *const dx = array((size_t)N * dim);
    float *const phases = plain || D % 2 ? NULL : array((size_t)N * D);
    require(shrew_learn_layer_forward(unit, &layer, &tensors[0], x, phases, plain ? NULL : kept, y, saved, saved_bytes,
                                      memory, memory_bytes),
            "layer");
    record("layer", y, (size_t)M * dim);
    jumps = mlp == SHREW_MLP_RELU && unit == SHREW_UNIT_AMX;
    require(shrew_learn_layer_backward(unit, &layer, &tensors[0], &tensors[1], x, phases, plain ? NULL : kept, dy, dx,
                                       saved, saved_bytes, memory, memory_bytes),
            "layer'");
    record("layer dx", dx, (size_t)N * dim);
    record("layer dqkv", tensors[1].qkv, (size_t)8 * D * dim);
    record("layer ddown", tensors[1].down, (size_t)dim * ffn);
    jumps = 0;
}

static void everything(uint32_t unit) {
    static const uint32_t sizes[] = {1, 3, 15, 16, 17, 33, 47};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    noise = 1;
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++) {
            rows_of(unit, sizes[i], sizes[j]);
            vectors_of(unit, 100 * (size_t)sizes[i] + sizes[j]);
            attention_of(unit, sizes[i], 4, 2, sizes[j]);
            linear_of(unit, sizes[i], 7 * sizes[SIZES - 1 - i], sizes[j]);
            layer_of(unit, sizes[i], sizes[j], (uint32_t)(i + j) % 3, i % 2);
            while (array_count)
                free(arrays[--array_count]);
        }
}

int main(void) {
    everything(SHREW_UNIT_SCALAR);
    printf("unit %d\n", SHREW_UNIT_SCALAR);
    comparing = 1;
    for (uint32_t unit = SHREW_UNIT_AVX2; unit < SHREW_UNITS; unit++)
        if (shrew_learn_unit(unit) > 0) {
            record_count = 0;
            tolerance = unit == SHREW_UNIT_AMX ? 2e-3f : 2e-4f; /* tiles use 16 bits of a factor */
            everything(unit);
            printf("unit %u\n", unit);
        }
    free(recorded);
    return differences != 0;
}
