/* For test_kernels.py: compares one set of kernels with the reference, on random and on extreme input.
 *
 * Usage: kernels UNIT. Exit status 0: every bit is equal; 1: not, and stdout says where; 77: this processor or build
 * lacks the unit. All input ends, after the margins that kernels may read, at a page that cannot be read. */
#define _DEFAULT_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fixed.h"
#include "kernels/kernels.h"
#include "session.h"
#include "weight_bytes.h"

static const shrew_kernels *const oracle = &shrew_kernels_reference;
static const shrew_kernels *tested;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("%s: ", tested->name);
    vprintf(format, arguments);
    printf(" differs\n");
    exit(1);
}

/* ---- Input ------------------------------------------------------------------------------------------------------ */

enum { PAGE = 4096, GUARDED_BYTES = 1 << 22, GUARDED_BLOCKS = 8 };

/* Memory that ends, up to alignment, at a page that cannot be read. Valid until the next call for the same block. */
static void *guarded(int block, size_t bytes, size_t alignment) {
    static uint8_t *ends[GUARDED_BLOCKS];
    if (!ends[block]) {
        uint8_t *room = mmap(NULL, GUARDED_BYTES + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED || mprotect(room + GUARDED_BYTES, PAGE, PROT_NONE))
            abort();
        ends[block] = room + GUARDED_BYTES;
    }
    if (bytes > GUARDED_BYTES)
        abort();
    return ends[block] - (bytes + alignment - 1) / alignment * alignment;
}

static uint32_t random_bits(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static uint32_t below(uint32_t limit) {
    return random_bits() % limit;
}

static int32_t between(int32_t least, int32_t most) {
    return least + (int32_t)below((uint32_t)(most - least + 1));
}

static float random_float(float scale) {
    return (float)between(-1000000, 1000000) * 1e-6f * scale;
}

enum vector_kind { ORDINARY, ALL_LARGEST, ZERO, TINY, WITH_NAN, WITH_INFINITY, HUGE_VALUES, VECTOR_KINDS };

static void fill(float *x, uint32_t count, enum vector_kind kind) {
    for (uint32_t i = 0; i < count; i++)
        x[i] = kind == ALL_LARGEST   ? 3.25f
               : kind == ZERO        ? (i & 1 ? -0.0f : 0.0f)
               : kind == TINY        ? random_float(1e-32f)
               : kind == HUGE_VALUES ? random_float(3e30f)
                                     : random_float(2.0f);
    if (kind == WITH_NAN)
        x[below(count)] = bits_float(0x7FC00000u);
    if (kind == WITH_INFINITY)
        x[below(count)] = bits_float(0xFF800000u);
}

static enum vector_kind any_kind(void) {
    return below(3) ? ORDINARY : (enum vector_kind)below(VECTOR_KINDS);
}

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* With `largest`, every weight and multiplier has its largest magnitude, which shows whether sums overflow. */
static shrew_tensor random_matrix(uint32_t type, uint32_t group, uint32_t rows, uint32_t cols, int largest) {
    const uint32_t per_byte = shrew_rows_per_byte(type), byte_rows = (rows + per_byte - 1) / per_byte;
    const uint32_t used = type == SHREW_F32 ? 4 * cols : cols;
    shrew_tensor w = {0};
    w.rows = rows, w.cols = cols, w.type = type, w.group = group;
    w.stride = (used + 15) & ~15u;
    w.groups = group ? (cols + group - 1) / group : 1;
    uint8_t *data = guarded(0, (size_t)byte_rows * w.stride, 16);
    w.data = data;
    memset(data, 0, (size_t)byte_rows * w.stride);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++) {
            uint8_t *byte = data + (size_t)(r / per_byte) * w.stride + c;
            if (type == SHREW_F32)
                ((float *)(void *)(data + (size_t)r * w.stride))[c] = largest ? -1e30f : random_float(1.0f);
            else
                *byte |= weight_bits(type, r, largest ? largest_weight(type) : random_weight(type, random_bits()));
        }
    if (type == SHREW_F32)
        return w;
    const size_t multipliers = group ? (size_t)rows * w.groups : 0;
    float *scales = guarded(1, rows * sizeof *scales + multipliers, sizeof *scales);
    w.row_scales = scales;
    for (uint32_t r = 0; r < rows; r++)
        scales[r] = below(20) ? random_float(0.1f) : 0.0f;
    if (group) {
        int8_t *m = (int8_t *)(scales + rows);
        const int32_t limit = (int32_t)shrew_multiplier_limit(type, cols);
        w.multipliers = m;
        for (size_t i = 0; i < multipliers; i++)
            m[i] = (int8_t)(largest ? limit : between(-limit, limit));
    }
    return w;
}

enum { MOST_TOKENS = SHREW_MAX_BLOCK, UNTOUCHED = 0x7FABCDEF };

/* y [tokens][rows] from one set of kernels, including its own quantisation of activations. */
static float *multiply(const shrew_kernels *kernels, const shrew_tensor *w, const float *x, uint32_t tokens,
                       uint32_t first, uint32_t last, int block) {
    const size_t count = (size_t)tokens * w->rows;
    float *y = guarded(block, count * sizeof *y, 4);
    float scales[MOST_TOKENS];
    shrew_quantized_rows q = {NULL, NULL, scales, (w->cols + 15) & ~15u};
    q.values = guarded(5, (size_t)tokens * q.stride * 2, 16);
    q.sums = guarded(6, (size_t)tokens * (q.stride / 16) * 2, 2);
    for (size_t i = 0; i < count; i++)
        y[i] = bits_float(UNTOUCHED);
    if (w->type != SHREW_F32)
        for (uint32_t t = 0; t < tokens; t++)
            scales[t] = kernels->quantize(x + (size_t)t * w->cols, w->cols, q.values + (size_t)t * q.stride,
                                          q.sums + (size_t)t * (q.stride / 16));
    const shrew_product p = {w, x, &q, y, w->cols, w->rows, tokens};
    kernels->multiply[w->type](&p, first, last);
    return y;
}

static void check_product(uint32_t type, uint32_t group, uint32_t rows, uint32_t cols, uint32_t tokens, int largest) {
    const shrew_tensor w = random_matrix(type, group, rows, cols, largest);
    const uint32_t first = below(3) ? 0 : below((rows + 15) / 16) * 16;
    const uint32_t last = below(3) ? rows : first + 1 + below(rows - first);
    float *x = guarded(2, (size_t)tokens * cols * sizeof *x, 4);
    for (uint32_t t = 0; t < tokens; t++)
        fill(x + (size_t)t * cols, cols, largest ? ALL_LARGEST : any_kind());
    const float *expected = multiply(oracle, &w, x, tokens, first, last, 3);
    const float *y = multiply(tested, &w, x, tokens, first, last, 4);
    if (memcmp(expected, y, (size_t)tokens * rows * sizeof *y))
        fail("product of type %u, group %u, rows %u to %u of %u, cols %u, tokens %u", type, group, first, last, rows,
             cols, tokens);
}

static void require_products(void) {
    for (uint32_t type = 0; type < SHREW_TYPES; type++)
        if (!tested->multiply[type]) {
            printf("%s: no product of type %u\n", tested->name, type);
            exit(1);
        }
}

static void check_products(void) {
    static const uint32_t groups[] = {0, 16, 32, 48, 64, 256};
    /* Around whole vectors and panels of columns; a row longer than any buffer; the longest row. */
    static const uint32_t long_rows[] = {511, 512, 513, 768, 2048, 16384};
    for (uint32_t type = 0; type < SHREW_TYPES; type++)
        for (uint32_t g = 0; g < (type == SHREW_F32 ? 1 : sizeof groups / sizeof *groups); g++) {
            for (uint32_t cols = 1; cols <= 300; cols++)
                check_product(type, groups[g], 1 + below(40), cols, 1 + below(20), 0);
            for (uint32_t rows = 1; rows <= 70; rows++) /* twice a panel of ternary rows, and a few */
                check_product(type, groups[g], rows, 1 + below(200), rows % 2 ? 1 : 1 + below(20), 0);
            for (uint32_t tokens = 1; tokens <= MOST_TOKENS; tokens++)
                check_product(type, groups[g], 1 + below(40), 1 + below(200), tokens, 0);
            for (uint32_t i = 0; i < sizeof long_rows / sizeof *long_rows; i++)
                for (uint32_t tokens = 1; tokens <= 33; tokens += 8) { /* around tiles of 16 */
                    check_product(type, groups[g], 1 + below(20), long_rows[i], tokens, 0);
                    check_product(type, groups[g], 1 + below(20), long_rows[i], tokens, 1);
                }
        }
}

static void check_dots(void) {
    for (uint32_t count = 1; count <= 300; count++) {
        float *a = guarded(2, count * sizeof *a, 4), *b = guarded(3, count * sizeof *b, 4);
        fill(a, count, ORDINARY);
        fill(b, count, count % 2 ? ORDINARY : HUGE_VALUES);
        if (float_bits(oracle->dot(a, b, count)) != float_bits(tested->dot(a, b, count)))
            fail("dot product of %u", count);
    }
}

static void check_scales(void) {
    int16_t values[320], sums[20];
    for (uint32_t i = 0; i < 20000; i++) {
        const uint32_t cols = 1 + below(300);
        float *x = guarded(2, cols * sizeof *x, 4);
        fill(x, cols, any_kind());
        const uint32_t expected = float_bits(oracle->quantize(x, cols, values, sums));
        if (float_bits(tested->quantize(x, cols, values, sums)) != expected)
            fail("scale of %u activations", cols);
    }
}

/* ---- Attention -------------------------------------------------------------------------------------------------- */

static void random_bytes(int8_t *values, uint32_t rows, uint32_t used, uint32_t width, int largest) {
    memset(values, 0x55, (size_t)rows * width + CACHE_MARGIN); /* the margin must not affect results */
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t d = 0; d < width; d++)
            values[(size_t)r * width + d] = (int8_t)(d >= used ? 0 : largest ? 127 : between(-127, 127));
}

static void check_attention(uint32_t head_dim, uint32_t heads, uint32_t held, int largest) {
    const uint32_t width = (head_dim + 7) & ~7u;
    int8_t *keys = guarded(0, (size_t)held * width + CACHE_MARGIN, 16);
    int8_t *values = guarded(1, (size_t)held * width + CACHE_MARGIN, 16);
    int8_t *queries = guarded(2, (size_t)heads * width, 8);
    uint8_t *codes = guarded(3, 2 * (size_t)(held + CACHE_MARGIN), 1);
    float factors[8];
    int32_t *scores = guarded(4, heads * ((held + 15) & ~15u) * sizeof *scores, 16);
    float *out[2] = {guarded(5, heads * head_dim * sizeof **out, 4), guarded(6, heads * head_dim * sizeof **out, 4)};
    random_bytes(keys, held, head_dim, width, largest);
    random_bytes(values, held, head_dim, width, largest);
    for (uint32_t h = 0; h < heads; h++) {
        for (uint32_t d = 0; d < width; d++)
            queries[h * width + d] = (int8_t)(d >= head_dim ? 0 : largest ? 127 : between(-127, 127));
        factors[h] = below(10) ? random_float(1.0f) * shrew_power_of_two(between(-16, 4)) : 0.0f;
        factors[h] = bits_float(magnitude_bits(factors[h]));
    }
    const uint32_t spread = below(3) ? 1 + below(40) : 256, least = below(257 - spread);
    memset(codes, 255, 2 * (size_t)(held + CACHE_MARGIN));
    for (uint32_t t = 0; t < held; t++) {
        codes[t] = (uint8_t)(least + below(spread));
        codes[held + CACHE_MARGIN + t] = (uint8_t)(least + below(spread));
    }
    const shrew_span s = {keys, values, codes, codes + held + CACHE_MARGIN, queries, factors, out[0],
                    scores, held, heads, head_dim, width};
    shrew_span same = s;
    same.out = out[1];
    oracle->attend(&s);
    tested->attend(&same);
    if (memcmp(out[0], out[1], heads * head_dim * sizeof **out))
        fail("attention of %u heads of %u to %u tokens", heads, head_dim, held);
}

/* Compares a block of tokens, with scratch for at_once of them, with the reference one token at a time. */
static void check_block(uint32_t head_dim, uint32_t heads, uint32_t held, uint32_t tokens, uint32_t at_once) {
    enum { OTHER_HEADS = 1, MOST_HEADS = 8 };
    const uint32_t width = (head_dim + 7) & ~7u, all = held + tokens - 1, step = heads + OTHER_HEADS;
    const uint32_t row = (all + 15) & ~15u, out_step = step * head_dim;
    int8_t *keys = guarded(0, (size_t)all * width + CACHE_MARGIN, 16);
    int8_t *values = guarded(1, (size_t)all * width + CACHE_MARGIN, 16);
    int8_t *queries = guarded(2, (size_t)tokens * step * width + CACHE_MARGIN, 8);
    uint8_t *codes = guarded(3, 2 * (size_t)(all + CACHE_MARGIN), 1);
    int32_t *scores = guarded(4, (size_t)heads * row * sizeof *scores, 16);
    float *out[2] = {guarded(5, (size_t)tokens * out_step * sizeof **out, 4),
                     guarded(6, (size_t)tokens * out_step * sizeof **out, 4)};
    const size_t room = (size_t)at_once * heads * row + below(row);
    int32_t *spare = guarded(7, (room + 15) / 16 * 16 * sizeof *spare, 16);
    float factors[MOST_TOKENS * (MOST_HEADS + OTHER_HEADS)];
    random_bytes(keys, all, head_dim, width, 0);
    random_bytes(values, all, head_dim, width, 0);
    random_bytes(queries, tokens * step, head_dim, width, 0);
    for (uint32_t i = 0; i < tokens * step; i++)
        factors[i] = bits_float(magnitude_bits(random_float(1.0f))) * shrew_power_of_two(between(-16, 4));
    const uint32_t spread = below(3) ? 1 + below(40) : 256, least = below(257 - spread);
    for (uint32_t i = 0; i < 2 * (all + CACHE_MARGIN); i++)
        codes[i] = (uint8_t)(least + below(spread));
    for (uint32_t i = 0; i < tokens * out_step; i++)
        out[0][i] = out[1][i] = bits_float(UNTOUCHED);
    const shrew_span first = {keys, values, codes, codes + all + CACHE_MARGIN, queries, factors, out[0],
                        scores, held, heads, head_dim, width};
    shrew_span_block block = {first, tokens, step, out_step, (uint32_t)room, spare};
    block.first.out = out[1];
    for (uint32_t t = 0; t < tokens; t++) {
        shrew_span one = first;
        one.queries += (size_t)t * step * width, one.factors += t * step, one.out += t * out_step, one.held += t;
        oracle->attend(&one);
    }
    tested->attend_block(&block);
    if (memcmp(out[0], out[1], (size_t)tokens * out_step * sizeof **out))
        fail("attention of %u tokens with %u heads of %u after %u tokens", tokens, heads, head_dim, held);
}

static void check_blocks(void) {
    for (uint32_t i = 0; tested->attend_block && i < 1500; i++)
        check_block(i % 2 ? 1 + below(128) : 8u << below(5), 1 + below(i % 3 ? 2 : 8), 1 + below(i % 5 ? 90 : 400),
                    2 + below(MOST_TOKENS - 1), below(4) ? below(MOST_TOKENS) : 0);
    if (tested->attend_block)
        check_block(272, 1, 5, 20, 20);
}

static void check_attentions(void) {
    for (uint32_t held = 1; held <= 600; held++)
        check_attention(8u << below(5), 1 + below(8), held, 0);
    for (uint32_t head_dim = 1; head_dim <= 128; head_dim++)
        for (uint32_t i = 0; i < 8; i++)
            check_attention(head_dim, 1 + below(8), 1 + below(i < 6 ? 50 : 600), i == 5);
    for (uint32_t i = 0; i < 4; i++) /* enough that weights must be narrowed */
        check_attention(8u << below(4), 1, 10000 + below(500), i & 1);
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

static void check_activation(uint32_t mlp, const float *gate, const float *up, uint32_t count) {
    float *out = guarded(4, count * sizeof *out, 4), *same = guarded(5, count * sizeof *same, 4);
    oracle->activate(mlp, gate, up, out, count);
    memcpy(same, up ? up : gate, count * sizeof *same);
    tested->activate(mlp, up ? gate : same, up ? same : NULL, same, count); /* in place, as the engine does */
    for (uint32_t i = 0; i < count; i++)
        if (float_bits(out[i]) != float_bits(same[i]) && (out[i] == out[i] || same[i] == same[i]))
            fail("activation %u of %.9g", mlp, (double)gate[i]);
}

static void check_activations(void) {
    enum { COUNT = 1000 };
    for (uint32_t round = 0; round < 4000; round++) {
        const uint32_t count = round < 100 ? round + 1 : COUNT;
        float *gate = guarded(2, count * sizeof *gate, 4), *up = guarded(3, count * sizeof *up, 4);
        for (uint32_t i = 0; i < count; i++) { /* every other round uses arbitrary bits: NaN, infinities, denormals */
            gate[i] = round & 1 ? bits_float(random_bits()) : random_float(20.0f);
            up[i] = round & 2 ? bits_float(random_bits()) : random_float(20.0f);
        }
        check_activation(SHREW_MLP_SWIGLU, gate, up, count);
        check_activation(SHREW_MLP_GELU, gate, NULL, count);
    }
}

int main(int count, char **arguments) {
    tested = count == 2 ? shrew_choose_kernels((uint32_t)atoi(arguments[1])) : NULL;
    if (!tested)
        return 77;
    check_dots();
    check_scales();
    require_products();
    check_products();
    check_attentions();
    check_blocks();
    check_activations();
    return 0;
}
