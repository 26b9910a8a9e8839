/* Matrix products on Xtensa LX6 and LX7. MAC16 multiplies halves of registers into a dedicated accumulator, in a
 * zero-overhead loop. Compilers generate neither. There is one accumulator, so rows are multiplied one at a time while
 * the activations stay in registers. The registers m0 to m3, which could load during a multiplication, are not used:
 * QEMU 7.2 sometimes loses them under -icount. */
#include "kernels/kernels.h"
#include "kernels/xtensa_assembly.h"
#include "numbers.h"
#include "options.h"

#if defined(__XTENSA__)

/* The dot product of sixteen columns of a line. A line is one row, or the rows that share bytes. */
#define DOT(weights)                                                                    \
    FOUR(weights, line, 0, "mul", x_01, x_23) FOUR(weights, line, 4, "mula", x_45, x_67)  \
    FOUR(weights, line, 8, "mula", x_89, x_ab) FOUR(weights, line, 12, "mula", x_cd, x_ef) \
    "rsr  %[even], acclo\n"

#define TWO_BYTES(at, next, multiply_first, x)      \
    "l8ui %[even], %[line], " #at "\n"              \
    "l8ui %[word], %[line], " #next "\n"            \
    multiply_first ".aa.ll %[" #x "], %[even]\n"    \
    "mula.aa.hl %[" #x "], %[word]\n"

#define DOT_WHOLE_BYTES                                                     \
    TWO_BYTES(0, 1, "mul", x_01) TWO_BYTES(2, 3, "mula", x_23)               \
    TWO_BYTES(4, 5, "mula", x_45) TWO_BYTES(6, 7, "mula", x_67)              \
    TWO_BYTES(8, 9, "mula", x_89) TWO_BYTES(10, 11, "mula", x_ab)            \
    TWO_BYTES(12, 13, "mula", x_cd) TWO_BYTES(14, 15, "mula", x_ef)          \
    "rsr  %[even], acclo\n"

#define ADD_DOT(at) "l32i %[word], %[dots], " #at "\n" "add  %[even], %[even], %[word]\n"
#define STORE_DOT(at) "s32i %[even], %[dots], " #at "\n"
#define NEXT(bytes) "addi %[dots], %[dots], " #bytes "\n"

typedef void columns(const uint8_t *line, uint32_t stride, uint32_t lines, uint32_t mask, const int16_t *x,
                     int32_t *dots);

/* Uses all registers that are available without a frame pointer. As a separate function it needs no spilling. */
#define DEFINE_COLUMNS(name, dots_of_line)                                                                       \
    static void name(const uint8_t *line, uint32_t stride, uint32_t lines, uint32_t mask, const int16_t *x,      \
                     int32_t *dots) {                                                                            \
        uint32_t x_01, x_23, x_45, x_67, x_89, x_ab, x_cd, even;                                                 \
        __asm__ volatile("l32i %[x_01], %[x_ef], 0\n"                                                            \
                         "l32i %[x_23], %[x_ef], 4\n"                                                            \
                         "l32i %[x_45], %[x_ef], 8\n"                                                            \
                         "l32i %[x_67], %[x_ef], 12\n"                                                           \
                         "l32i %[x_89], %[x_ef], 16\n"                                                           \
                         "l32i %[x_ab], %[x_ef], 20\n"                                                           \
                         "l32i %[x_cd], %[x_ef], 24\n"                                                           \
                         "l32i %[x_ef], %[x_ef], 28\n"                                                           \
                         "loopnez %[word], 1f\n"                                                                 \
                         dots_of_line                                                                            \
                         "add  %[line], %[line], %[stride]\n"                                                    \
                         "1:\n"                                                                                  \
                         : [line] "+r"(line), [dots] "+r"(dots), [word] "+r"(lines), [even] "=&r"(even),         \
                           [x_01] "=&r"(x_01), [x_23] "=&r"(x_23), [x_45] "=&r"(x_45), [x_67] "=&r"(x_67),       \
                           [x_89] "=&r"(x_89), [x_ab] "=&r"(x_ab), [x_cd] "=&r"(x_cd), [x_ef] "+r"(x)            \
                         : [stride] "r"(stride), [mask] "r"(mask)                                                \
                         : "memory");                                                                            \
    }

DEFINE_COLUMNS(start_bytes, DOT(BYTES) SCALE_DOWN STORE_DOT(0) NEXT(4))
DEFINE_COLUMNS(add_bytes, DOT(BYTES) SCALE_DOWN ADD_DOT(0) STORE_DOT(0) NEXT(4))
DEFINE_COLUMNS(start_digits, DOT(DIGITS) STORE_DOT(0) NEXT(4))
DEFINE_COLUMNS(add_digits, DOT(DIGITS) ADD_DOT(0) STORE_DOT(0) NEXT(4))
/* The odd row uses whole bytes, even + 16 * odd: extracting it would need a mask, and no register is left for one. */
DEFINE_COLUMNS(start_nibbles, DOT(DIGITS) STORE_DOT(0) DOT_WHOLE_BYTES STORE_DOT(4) NEXT(8))
DEFINE_COLUMNS(add_nibbles, DOT(DIGITS) ADD_DOT(0) STORE_DOT(0) DOT_WHOLE_BYTES ADD_DOT(4) STORE_DOT(4) NEXT(8))

#define TO_SUM(dot, at) "l32i %[multiplier], %[sums], " #at "\n" "add  %[" #dot "], %[" #dot "], %[multiplier]\n"

#define ADD_DIGITS(to_sum)                                                                                       \
    __asm__ volatile("ssr  %[shift]\n"                                                                           \
                     "loopnez %[lines], 1f\n"                                                                    \
                     "l32i %[dot], %[dots], 0\n"                                                                 \
                     "l8ui %[multiplier], %[multipliers], 0\n"                                                   \
                     "sra  %[dot], %[dot]\n"                                                                     \
                     "sub  %[dot], %[dot], %[zero]\n"                                                            \
                     "sext %[multiplier], %[multiplier], 7\n"                                                    \
                     "mull %[dot], %[dot], %[multiplier]\n"                                                      \
                     to_sum                                                                                      \
                     "add  %[multipliers], %[multipliers], %[step]\n"                                            \
                     "s32i %[dot], %[sums], 0\n"                                                                 \
                     "addi %[dots], %[dots], 4\n"                                                                \
                     "add  %[sums], %[sums], %[sums_step]\n"                                                     \
                     "1:\n"                                                                                      \
                     : [dot] "=&r"(dot), [multiplier] "=&r"(multiplier), [sums] "+r"(sums), [dots] "+r"(dots),   \
                       [multipliers] "+r"(multipliers)                                                           \
                     : [shift] "r"(shift), [lines] "r"(lines), [zero] "r"(zero), [sums_step] "r"(4 * per_line),  \
                       [step] "r"(per_line * groups)                                                             \
                     : "memory")

/* Adds a group of columns, ((dots[i] >> shift) - zero) * multiplier of the row, to the sums of every per_line-th
 * row. */
__attribute__((noinline)) static void add_digits_of_group(int32_t *sums, const int32_t *dots, uint32_t lines,
                                                          uint32_t per_line, const int8_t *multipliers,
                                                          uint32_t groups, uint32_t shift, int32_t zero, int is_first) {
    int32_t dot, multiplier;
    if (is_first)
        ADD_DIGITS("");
    else
        ADD_DIGITS(TO_SUM(dot, 0));
}

#define ADD_NIBBLES(even_to_sum, odd_to_sum)                                                                     \
    __asm__ volatile("loopnez %[pairs], 1f\n"                                                                    \
                     "l32i %[even], %[dots], 0\n"                                                                \
                     "l32i %[odd], %[dots], 4\n"                                                                 \
                     "l8ui %[multiplier], %[multipliers], 0\n"                                                   \
                     "sub  %[odd], %[odd], %[even]\n"                                                            \
                     "srai %[odd], %[odd], 4\n"                                                                  \
                     "sub  %[even], %[even], %[zero]\n"                                                          \
                     "sub  %[odd], %[odd], %[zero]\n"                                                            \
                     "sext %[multiplier], %[multiplier], 7\n"                                                    \
                     "add  %[multipliers], %[multipliers], %[groups]\n"                                          \
                     "mull %[even], %[even], %[multiplier]\n"                                                    \
                     "l8ui %[multiplier], %[multipliers], 0\n"                                                   \
                     "add  %[multipliers], %[multipliers], %[groups]\n"                                          \
                     "sext %[multiplier], %[multiplier], 7\n"                                                    \
                     "mull %[odd], %[odd], %[multiplier]\n"                                                      \
                     even_to_sum                                                                                 \
                     "s32i %[even], %[sums], 0\n"                                                                \
                     odd_to_sum                                                                                  \
                     "s32i %[odd], %[sums], 4\n"                                                                 \
                     "addi %[dots], %[dots], 8\n"                                                                \
                     "addi %[sums], %[sums], 8\n"                                                                \
                     "1:\n"                                                                                      \
                     : [even] "=&r"(even), [odd] "=&r"(odd), [multiplier] "=&r"(multiplier), [sums] "+r"(sums),  \
                       [dots] "+r"(dots), [multipliers] "+r"(multipliers)                                        \
                     : [pairs] "r"(rows / 2), [zero] "r"(zero), [groups] "r"(groups)                             \
                     : "memory")

__attribute__((noinline)) static void add_nibbles_of_group(int32_t *sums, const int32_t *dots, uint32_t rows,
                                                           const int8_t *multipliers, uint32_t groups, int32_t zero,
                                                           int is_first) {
    int32_t even, odd, multiplier;
    if (is_first)
        ADD_NIBBLES("", "");
    else
        ADD_NIBBLES(TO_SUM(even, 0), TO_SUM(odd, 4));
    if (rows % 2)
        add_digits_of_group(sums, dots, 1, 2, multipliers, groups, 0, zero, is_first);
}

static int32_t add_up(const int16_t *sums, uint32_t count) {
    int32_t sum = 0;
    while (count--)
        sum += *sums++;
    return sum;
}

/* Lines that are multiplied by sixteen columns before the next columns are loaded. */
enum { LINES = 64 };

/* The rows of at most LINES lines, for one token. Integer sums accumulate in the memory of the results. */
static void multiply_lines(const shrew_product *p, uint32_t first, uint32_t last, uint32_t t, uint32_t bits,
                           int32_t zero_point) {
    static const int8_t one = 1;
    const shrew_tensor *w = p->weight;
    const uint32_t all = p->quantized->stride / 16, group = w->multipliers ? w->group / 16 : all;
    const uint32_t groups = w->multipliers ? w->groups : 0, stride = w->stride, rows = last - first;
    const uint32_t per_line = 8 / bits, passes = bits == 4 ? 1 : per_line;
    const uint32_t mask = bits == 8 ? EVERY_OTHER_BYTE : EVERY_OTHER_DIGIT * ((1u << bits) - 1);
    columns *const start = bits == 8 ? start_bytes : bits == 4 ? start_nibbles : start_digits;
    columns *const add = bits == 8 ? add_bytes : bits == 4 ? add_nibbles : add_digits;
    const uint8_t *line = (const uint8_t *)w->data + (size_t)(first / per_line) * stride;
    const int16_t *x = p->quantized->values + (size_t)t * p->quantized->stride;
    const int16_t *x_sums = p->quantized->sums + (size_t)t * all;
    const int8_t *multipliers = groups ? w->multipliers + (size_t)first * groups : &one;
    shrew_float_view *y = (shrew_float_view *)(p->y + (size_t)t * p->y_stride + first);
    int32_t scratch[2 * LINES], *const sums = (int32_t *)&y->bits, *const dots = bits < 8 || groups ? scratch : sums;
    for (uint32_t at = 0; at < all; at += group, multipliers++) {
        const uint32_t end = all - at < group ? all : at + group;
        const int32_t zero = zero_point * add_up(x_sums + at, end - at);
        for (uint32_t pass = 0; pass < passes; pass++) {
            const uint32_t lines = (rows - pass + per_line - 1) / per_line, shift = pass * bits;
            start(line + 16 * at, stride, lines, mask << shift, x + 16 * at, dots);
            for (uint32_t c = at + 1; c < end; c++)
                add(line + 16 * c, stride, lines, mask << shift, x + 16 * c, dots);
            if (bits == 4)
                add_nibbles_of_group(sums, dots, rows, multipliers, groups, zero, !at);
            else if (dots != sums)
                add_digits_of_group(sums + pass, dots, lines, per_line, multipliers + pass * groups, groups, shift,
                                    zero, !at);
        }
    }
    const float *row_scale = w->row_scales + first, scale = p->quantized->scales[t];
    for (shrew_float_view *const y_end = y + rows; y < y_end; y++)
        y->value = (float)(int32_t)y->bits * (*row_scale++ * scale);
}

/* The lines stay in the flash cache for all tokens. */
static void xtensa_multiply(const shrew_product *p, uint32_t first, uint32_t last, uint32_t bits, int32_t zero_point) {
    const uint32_t step = LINES * 8 / bits;
    for (; first < last; first += step)
        for (uint32_t t = 0; t < p->tokens; t++)
            multiply_lines(p, first, last - first < step ? last : first + step, t, bits, zero_point);
}

static void xtensa_multiply_q8(const shrew_product *p, uint32_t first, uint32_t last) {
    xtensa_multiply(p, first, last, 8, 0);
}

static void xtensa_multiply_q4(const shrew_product *p, uint32_t first, uint32_t last) {
    xtensa_multiply(p, first, last, 4, 8);
}

static void xtensa_multiply_ternary(const shrew_product *p, uint32_t first, uint32_t last) {
    xtensa_multiply(p, first, last, 2, 1);
}

const shrew_kernels shrew_kernels_xtensa = {
    "xtensa",
    shrew_scalar_quantize,
    {HAS_F32 ? shrew_reference_multiply_f32 : NULL, xtensa_multiply_q8, HAS_Q4 ? xtensa_multiply_q4 : NULL,
     HAS_TERNARY ? xtensa_multiply_ternary : NULL},
    shrew_scalar_attend,
    shrew_scalar_activate,
    shrew_dot_f32,
    NULL,
    NULL,
};

#endif
