/* Shared by the harnesses: memory of exact size, values taken from an input, and claims that must hold. A harness calls
 * reached() for each input that passes validation and prints the count at the end: a fuzzer whose inputs are all
 * refused finds nothing. */
#ifndef SHREW_HARNESS_H
#define SHREW_HARNESS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shrew.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
                                 size_t most, unsigned seed);

#define MUST(claim)                                                             \
    do {                                                                        \
        if (!(claim)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                            \
        }                                                                       \
    } while (0)

static unsigned long inputs_reached;

static inline void print_reached(void) {
    fprintf(stderr, "stat::inputs_past_the_checks: %lu\n", inputs_reached);
}

static inline void reached(void) {
    if (!inputs_reached++)
        atexit(print_reached);
}

/* An aligned block on the heap, so that AddressSanitizer detects any access outside. The caller frees it. */
static inline uint8_t *new_block(size_t bytes, int fill) {
    void *block = NULL;
    MUST(!posix_memalign(&block, SHREW_ALIGNMENT, bytes));
    memset(block, fill, bytes);
    return block;
}

static inline uint8_t *copy_block(const void *bytes, size_t count) {
    uint8_t *block = new_block(count, 0);
    if (count)
        memcpy(block, bytes, count);
    return block;
}

/* An input from which values are taken; zeros after its end. */
typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static inline void take(input *in, void *out, size_t bytes) {
    const size_t count = bytes < in->left ? bytes : in->left;
    memset(out, 0, bytes);
    if (count)
        memcpy(out, in->at, count);
    in->at += count;
    in->left -= count;
}

static inline uint8_t take_u8(input *in) {
    uint8_t value;
    take(in, &value, sizeof value);
    return value;
}

static inline uint32_t take_u32(input *in) {
    uint32_t value;
    take(in, &value, sizeof value);
    return value;
}

static inline float take_float(input *in) {
    float value;
    take(in, &value, sizeof value);
    return value;
}

/* Reads a file from the folder of the fuzzer's program into a new block. */
static inline uint8_t *read_beside(const char *program, const char *name, size_t *bytes) {
    static uint8_t content[1 << 18];
    char path[4096];
    const char *slash = strrchr(program, '/');
    snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash + 1 - program) : 0, program, name);
    FILE *file = fopen(path, "rb");
    MUST(file);
    *bytes = fread(content, 1, sizeof content, file);
    fclose(file);
    return copy_block(content, *bytes);
}

#endif
