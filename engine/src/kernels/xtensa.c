/* Products and scores on Xtensa LX6 and LX7: MAC16 multiplies halves of registers into an accumulator of its own, in a
 * loop that costs nothing itself. Compilers write neither. The registers m0 to m3, which would load while it multiplies, are left
 * alone: QEMU 7.2 loses them now and then under -icount. */
#include "kernels/kernels.h"
#include "options.h"

#if defined(__XTENSA__)

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* Weights become 0 to 255 and are cut into even and odd ones. */
#define FOUR_COLUMNS(weights_at, x_at, next_x_at)       \
    "l32i %[odd], %[weights], " #weights_at "\n"        \
    "l32i %[x_pair], %[x], " #x_at "\n"                 \
    "xor  %[odd], %[odd], %[signs]\n"                   \
    "and  %[even], %[odd], %[mask]\n"                   \
    "srli %[odd], %[odd], 8\n"                          \
    "and  %[odd], %[odd], %[mask]\n"                    \
    "mula.aa.ll %[x_pair], %[even]\n"                   \
    "mula.aa.hl %[x_pair], %[odd]\n"                    \
    "l32i %[x_pair], %[x], " #next_x_at "\n"            \
    "mula.aa.lh %[x_pair], %[even]\n"                   \
    "mula.aa.hh %[x_pair], %[odd]\n"

/* The sum of (w + 128) x over 16 count columns. */
static inline int32_t dot_biased(const uint8_t *weights, const int16_t *x, uint32_t count) {
    const uint32_t signs = 0x80808080, mask = 0x00FF00FF;
    uint32_t even, odd, x_pair;
    int32_t sum;
    __asm__ volatile("movi %[even], 0\n"
                     "umul.aa.ll %[even], %[even]\n"
                     "loopnez %[count], 1f\n"
                     FOUR_COLUMNS(0, 0, 4) FOUR_COLUMNS(4, 8, 12) FOUR_COLUMNS(8, 16, 20) FOUR_COLUMNS(12, 24, 28)
                     "addi %[weights], %[weights], 16\n"
                     "addi %[x], %[x], 32\n"
                     "1:\n"
                     "rsr  %[sum], acclo\n"
                     : [weights] "+r"(weights), [x] "+r"(x), [even] "=&r"(even), [odd] "=&r"(odd),
                       [x_pair] "=&r"(x_pair), [sum] "=r"(sum)
                     : [count] "r"(count), [signs] "r"(signs), [mask] "r"(mask)
                     : "memory");
    return sum;
}

static int32_t add_up(const int16_t *sums, uint32_t count) {
    int32_t sum = 0;
    while (count--)
        sum += *sums++;
    return sum;
}

/* Of one token. */
static void multiply_whole(const product *p, uint32_t first, uint32_t last, uint32_t t) {
    const shrew_tensor *w = p->weight;
    const uint32_t stride = p->quantized->stride, row_bytes = w->stride;
    const int16_t *x = p->quantized->values + (size_t)t * stride;
    const int32_t bias = 128 * add_up(p->quantized->sums + (size_t)t * (stride / 16), stride / 16);
    const float *row_scales = w->row_scales, scale = p->quantized->scales[t];
    const uint8_t *weights = (const uint8_t *)w->data + (size_t)first * row_bytes;
    float *y = p->y + (size_t)t * p->y_stride;
    for (uint32_t row = first; row < last; row++, weights += row_bytes)
        y[row] = (float)(dot_biased(weights, x, stride / 16) - bias) * (row_scales[row] * scale);
}

static void multiply_groups(const product *p, uint32_t first, uint32_t last, uint32_t t) {
    const shrew_tensor *w = p->weight;
    const uint32_t all = p->quantized->stride / 16, group = w->group / 16;
    const int16_t *x = p->quantized->values + (size_t)t * p->quantized->stride;
    const int16_t *x_sums = p->quantized->sums + (size_t)t * all;
    for (uint32_t row = first; row < last; row++) {
        const uint8_t *weights = (const uint8_t *)w->data + (size_t)row * w->stride;
        const int8_t *multipliers = w->multipliers + (size_t)row * w->groups;
        int32_t sum = 0;
        for (uint32_t at = 0; at < all; at += group) {
            const uint32_t count = all - at < group ? all - at : group;
            sum += *multipliers++ * (dot_biased(weights + 16 * at, x + 16 * at, count) - 128 * add_up(x_sums + at, count));
        }
        p->y[(size_t)t * p->y_stride + row] = (float)sum * (w->row_scales[row] * p->quantized->scales[t]);
    }
}

/* Some rows for all tokens before the next ones: they stay in the cache of the flash meanwhile. */
static void multiply_q8(const product *p, uint32_t first, uint32_t last) {
    const uint32_t step = p->tokens > 1 ? 16 : last - first;
    for (uint32_t row = first; row < last; row += step)
        for (uint32_t t = 0; t < p->tokens; t++)
            (p->weight->multipliers ? multiply_groups : multiply_whole)(p, row, last - row < step ? last : row + step, t);
}

/* ---- Attention -------------------------------------------------------------------------------------------------- */

#define FOUR_DIMENSIONS(at, multiply_first, query_01, query_23)  \
    "l32i %[odd], %[key], " #at "\n"                             \
    "xor  %[odd], %[odd], %[signs]\n"                            \
    "and  %[even], %[odd], %[mask]\n"                            \
    "srli %[odd], %[odd], 8\n"                                   \
    "and  %[odd], %[odd], %[mask]\n"                             \
    multiply_first ".aa.ll " query_01 ", %[even]\n"              \
    "mula.aa.hl " query_01 ", %[odd]\n"                          \
    "mula.aa.lh " query_23 ", %[even]\n"                         \
    "mula.aa.hh " query_23 ", %[odd]\n"

#define SCORE(add)                                                                                                     \
    __asm__ volatile("loopnez %[held], 1f\n"                                                                           \
                     FOUR_DIMENSIONS(0, "mul", "%[q01]", "%[q23]") FOUR_DIMENSIONS(4, "mula", "%[q45]", "%[q67]")      \
                     "rsr  %[even], acclo\n"                                                                           \
                     "sub  %[even], %[even], %[bias]\n"                                                                \
                     add                                                                                               \
                     "s32i %[even], %[scores], 0\n"                                                                    \
                     "add  %[key], %[key], %[width]\n"                                                                 \
                     "addi %[scores], %[scores], 4\n"                                                                  \
                     "1:\n"                                                                                            \
                     : [key] "+r"(key), [scores] "+r"(scores), [even] "=&r"(even), [odd] "=&r"(odd)                    \
                     : [held] "r"(s->held), [width] "r"(s->width), [bias] "r"(bias), [signs] "r"(0x80808080),          \
                       [mask] "r"(0x00FF00FF), [q01] "r"(pair[0]), [q23] "r"(pair[1]), [q45] "r"(pair[2]),             \
                       [q67] "r"(pair[3])                                                                              \
                     : "memory")

/* Dot products of eight dimensions of a query with those of the keys, the first ones or more to be added. */
void shrew_xtensa_score(const span *s, const int8_t *query, uint32_t start, int32_t *scores) {
    const int8_t *key = s->keys + start;
    uint32_t pair[4], even, odd;
    int32_t bias = 0;
    for (uint32_t i = 0; i < 4; i++) {
        pair[i] = (uint32_t)(uint16_t)query[2 * i] | (uint32_t)query[2 * i + 1] << 16;
        bias += 128 * (query[2 * i] + query[2 * i + 1]);
    }
    if (start)
        SCORE("l32i %[odd], %[scores], 0\n" "add %[even], %[even], %[odd]\n");
    else
        SCORE("");
}

const shrew_kernels shrew_kernels_xtensa = {
    "xtensa",
    shrew_scalar_quantize,
    {HAS_F32 ? shrew_reference_multiply_f32 : NULL, multiply_q8, HAS_Q4 ? shrew_scalar_multiply_q4 : NULL,
     HAS_TERNARY ? shrew_scalar_multiply_ternary : NULL},
    shrew_scalar_attend,
    shrew_scalar_activate,
    shrew_dot_f32,
    NULL,
    NULL,
};

#endif
