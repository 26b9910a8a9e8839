/* Kernels in plain C for scalar cores, written to execute few instructions. */
#include "compiler.h"
#include "fixed.h"
#include "kernels/kernels.h"
#include "options.h"
#if defined(__XTENSA__)
#include "kernels/xtensa_score.h"
#endif

static uint32_t smallest(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* ---- Quantising vectors ----------------------------------------------------------------------------------------- */

/* No clamping as in the reference: the reciprocal's error is too small for 511.0 to round to 512. */
float shrew_scalar_quantize(const float *x, uint32_t cols, int16_t *values, int16_t *sums) {
    const uint32_t largest = shrew_largest_magnitude(x, cols), padded = (cols + 15) & ~15u;
    const int within = largest >= TWO_POW_MINUS_100 && largest < TWO_POW_100;
    const float magnitude = bits_float(largest);
    const float inverse = within ? (float)ACTIVATION_LIMIT * shrew_reciprocal(magnitude) : 0.0f;
    for (uint32_t start = 0; start < padded; start += 16) {
        const uint32_t end = within ? smallest(cols, start + 16) : start;
        uint32_t i = start;
        int32_t sum = 0;
        for (; i < end; i++) {
            const int32_t value = shrew_round_product(x[i], inverse);
            values[i] = (int16_t)value;
            sum += value;
        }
        for (; i < start + 16; i++)
            values[i] = 0;
        *sums++ = (int16_t)sum;
    }
    return within ? magnitude * (1.0f / ACTIVATION_LIMIT) : largest < TWO_POW_100 ? 0.0f : bits_float(0x7FC00000u);
}

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* Rows multiplied at once, so that an activation is loaded once for all of them. COLUMNS: how far the loop over q8
 * columns is unrolled. */
enum { ROWS = 8, BYTE_ROWS = FOR_SIZE ? 4 : ROWS, COLUMNS = FOR_SIZE ? 4 : 16 };

#define FOUR_ROWS(DO) DO(a, 0) DO(b, 1) DO(c, 2) DO(d, 3)
#define EACH_ROW(DO) FOUR_ROWS(DO) DO(e, 4) DO(f, 5) DO(g, 6) DO(h, 7)
#ifdef __OPTIMIZE_SIZE__
#define EACH_BYTE_ROW FOUR_ROWS
#else
#define EACH_BYTE_ROW EACH_ROW
#endif

#if defined(__GNUC__)
/* Keeps a compiler from loading many columns ahead, which would spill registers. */
#define IN_ORDER __asm__ volatile("" ::: "memory");
#else
#define IN_ORDER
#endif

/* Per group of columns, the functions below start, and at its end add, the dot products dot_a to dot_h. */
#define START(row, i) int32_t dot_##row = 0;
#define ADD(row, i) sums[i] += dot_##row;
#define ADD_MULTIPLIED(row, i) sums[i] += dot_##row * multipliers[i * groups];
#define END_GROUP(EACH, is_whole)            \
    if (multipliers) {                       \
        EACH(ADD_MULTIPLIED)                 \
        multipliers += is_whole;             \
    } else {                                 \
        EACH(ADD)                            \
    }

/* The start of a block of rows, and the grouping of its columns. */
typedef struct row_block {
    const uint8_t *data;
    const int16_t *x;
    const int8_t *multipliers; /* or NULL */
    uint32_t stride, columns, group, groups;
} row_block;

INLINE void dot_bytes(const row_block *at, int32_t sums[ROWS]) {
#define POINT(row, i) const int8_t *row = (const int8_t *)at->data + i * at->stride;
    EACH_BYTE_ROW(POINT)
    const int8_t *multipliers = at->multipliers;
    const int16_t *x = at->x, *const last = x + at->columns;
    const uint32_t groups = at->groups;
    while (x != last) {
        const int16_t *const end = x + smallest((uint32_t)(last - x), at->group);
        EACH_BYTE_ROW(START)
        for (; x != end; x += COLUMNS) {
            int32_t column;
#define ADD_PRODUCT(row, i) dot_##row += row[at_column] * column;
#define COLUMN(i) { enum { at_column = i }; column = x[i]; EACH_BYTE_ROW(ADD_PRODUCT) IN_ORDER }
            COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3)
            if (COLUMNS > 4) {
                COLUMN(4) COLUMN(5) COLUMN(6) COLUMN(7) COLUMN(8) COLUMN(9)
                COLUMN(10) COLUMN(11) COLUMN(12) COLUMN(13) COLUMN(14) COLUMN(15)
            }
#define ADVANCE(row, i) row += COLUMNS;
            EACH_BYTE_ROW(ADVANCE)
        }
        END_GROUP(EACH_BYTE_ROW, 1)
    }
}

/* Two columns per multiplication: in (m + n 2^16) (y + x 2^16) modulo 2^32, bits 16 to 31 are m x + n y. Adding HALF
 * keeps the sum of m y below them from borrowing. A word of weights has four columns; masking two digits leaves the
 * first and third, or the second and fourth, of one row. One subtraction removes both zero points. */
enum { HALF = 0x8000, NIBBLES = 0x000F000F, NIBBLE_ZEROS = 0x00080008,
       TERNARIES = 0x00030003, TERNARY_ZEROS = 0x00010001 };

static inline uint32_t crosswise(int32_t x, int32_t y) {
    return (uint32_t)y + ((uint32_t)x << 16);
}

static inline int32_t upper(uint32_t lanes) {
    return (int32_t)lanes >> 16;
}

/* Rows in pairs. |m x + n y| <= 2 * 8 * 511: the sum of four fits the upper 16 bits. */
INLINE void dot_nibbles(const row_block *at, int32_t sums[ROWS]) {
    const uint32_t stride = at->stride / 4, groups = at->groups;
    const uint32_t *ab = (const void *)at->data, *cd = ab + stride, *ef = cd + stride, *gh = ef + stride;
    const int8_t *multipliers = at->multipliers;
    const int16_t *x = at->x, *const last = x + at->columns;
    while (x != last) {
        const int16_t *const end = x + smallest((uint32_t)(last - x), at->group);
        EACH_ROW(START)
        for (; x != end; x += 8) {
            const uint32_t x02 = crosswise(x[0], x[2]), x13 = crosswise(x[1], x[3]);
            const uint32_t x46 = crosswise(x[4], x[6]), x57 = crosswise(x[5], x[7]);
            const uint32_t from = HALF - NIBBLE_ZEROS * (x02 + x13 + x46 + x57);
            uint32_t low, high;
#define ROW(dot, shift)                                                                                          \
    dot += upper((low >> shift & NIBBLES) * x02 + (low >> (8 + shift) & NIBBLES) * x13 +                         \
                 (high >> shift & NIBBLES) * x46 + (high >> (8 + shift) & NIBBLES) * x57 + from);
#define PAIR(row, even, odd) low = *row++, high = *row++; ROW(even, 0) ROW(odd, 4) IN_ORDER
            PAIR(ab, dot_a, dot_b) PAIR(cd, dot_c, dot_d) PAIR(ef, dot_e, dot_f) PAIR(gh, dot_g, dot_h)
#undef ROW
        }
        END_GROUP(EACH_ROW, 1)
    }
}

/* Rows in fours. |m x + n y| <= 2 * 511: the sum over 64 columns fits the upper 16 bits. */
INLINE void dot_ternaries(const row_block *at, int32_t sums[ROWS]) {
    const uint32_t *abcd = (const void *)at->data, *efgh = abcd + at->stride / 4;
    const int8_t *multipliers = at->multipliers;
    const int16_t *x = at->x, *const last = x + at->columns;
    const uint32_t groups = at->groups;
    for (uint32_t left = at->group; x != last; left = left ? left : at->group) {
        const uint32_t columns = smallest(smallest((uint32_t)(last - x), left), 64);
        uint32_t zeros = 0;
#define START_LANES(row, i) uint32_t lanes_##row = 0;
        EACH_ROW(START_LANES)
        for (const int16_t *const end = x + columns; x != end; x += 8) {
            uint32_t word, x02, x13;
#define ROW(row, shift) lanes_##row += (word >> shift & TERNARIES) * x02 + (word >> (8 + shift) & TERNARIES) * x13;
#define FOUR_COLUMNS(i)                                                                                 \
    x02 = crosswise(x[4 * i], x[4 * i + 2]), x13 = crosswise(x[4 * i + 1], x[4 * i + 3]);               \
    zeros += x02 + x13;                                                                                 \
    word = *abcd++;                                                                                     \
    ROW(a, 0) ROW(b, 2) IN_ORDER ROW(c, 4) ROW(d, 6) IN_ORDER                                           \
    word = *efgh++;                                                                                     \
    ROW(e, 0) ROW(f, 2) IN_ORDER ROW(g, 4) ROW(h, 6) IN_ORDER
            FOUR_COLUMNS(0) FOUR_COLUMNS(1)
#undef ROW
        }
        zeros = HALF - TERNARY_ZEROS * zeros;
#define END_LANES(row, i) const int32_t dot_##row = upper(lanes_##row + zeros);
        EACH_ROW(END_LANES)
        left -= columns;
        END_GROUP(EACH_ROW, !left)
    }
}

/* The remaining rows, too few for a block or for whole bytes, digit by digit. */
static void multiply_rest(const shrew_product *p, uint32_t first, uint32_t last) {
    const shrew_tensor *w = p->weight;
    const uint32_t type = HAS_Q4 || HAS_TERNARY ? w->type : SHREW_Q8;
    const uint32_t per_byte = shrew_rows_per_byte(type), bits = 8 / per_byte, top = 1u << (bits - 1);
    const uint32_t flip = type == SHREW_Q8 ? top : 0, zero = flip ? flip : shrew_digit_of_zero(type);
    const uint32_t group = w->group ? w->group : w->cols;
    for (uint32_t row = first; row < last; row++)
        for (uint32_t t = 0; t < p->tokens; t++) {
            const uint8_t *data = (const uint8_t *)w->data + (size_t)(row / per_byte) * w->stride;
            const int16_t *x = p->quantized->values + (size_t)t * p->quantized->stride;
            int32_t sum = 0;
            for (uint32_t c = 0, g = 0; c < w->cols; g++) {
                int32_t dot = 0;
                for (const uint32_t end = c + smallest(w->cols - c, group); c < end; c++)
                    dot += (int32_t)(((data[c] >> row % per_byte * bits & (2 * top - 1)) ^ flip) - zero) * x[c];
                sum += w->multipliers ? dot * w->multipliers[(size_t)row * w->groups + g] : dot;
            }
            p->y[(size_t)t * p->y_stride + row] = (float)sum * (w->row_scales[row] * p->quantized->scales[t]);
        }
}

INLINE void multiply(const shrew_product *p, uint32_t first, uint32_t last, shrew_type type) {
    const shrew_tensor *w = p->weight;
    const uint32_t per_byte = shrew_rows_per_byte(type), padded = (w->cols + 15) & ~15u;
    const uint32_t rows = type == SHREW_Q8 ? BYTE_ROWS : ROWS;
    const uint32_t end = last - first < rows ? first : last - last % per_byte;
    for (uint32_t row = first; row < end; row += rows) {
        if (end - row < rows) /* recompute some rows rather than take the slow path */
            row = end - rows;
        for (uint32_t t = 0; t < p->tokens; t++) {
            const row_block block = {
                (const uint8_t *)w->data + (size_t)row / per_byte * w->stride,
                p->quantized->values + (size_t)t * p->quantized->stride,
                w->multipliers ? w->multipliers + (size_t)row * w->groups : NULL,
                w->stride, padded, w->group ? w->group : padded, w->groups,
            };
            int32_t sums[ROWS] = {0};
            if (type == SHREW_Q8)
                dot_bytes(&block, sums);
            else if (type == SHREW_Q4)
                dot_nibbles(&block, sums);
            else
                dot_ternaries(&block, sums);
            const float *row_scales = w->row_scales + row, scale = p->quantized->scales[t];
            float *y = p->y + (size_t)t * p->y_stride + row;
#ifdef SHREW_SOFT_FLOAT
            shrew_scale_sums(y, sums, row_scales, scale, rows);
#else
#define STORE(row, i) y[i] = (float)sums[i] * (row_scales[i] * scale);
            if (type == SHREW_Q8) {
                EACH_BYTE_ROW(STORE)
            } else {
                EACH_ROW(STORE)
            }
#endif
        }
    }
    if (end < last)
        multiply_rest(p, end, last);
}

static void multiply_q8(const shrew_product *p, uint32_t first, uint32_t last) {
    multiply(p, first, last, SHREW_Q8);
}

static void multiply_q4(const shrew_product *p, uint32_t first, uint32_t last) {
    multiply(p, first, last, SHREW_Q4);
}

static void multiply_ternary(const shrew_product *p, uint32_t first, uint32_t last) {
    multiply(p, first, last, SHREW_TERNARY);
}

/* ---- Attention -------------------------------------------------------------------------------------------------- */

static uint32_t largest_exponent(const uint8_t *codes, uint32_t count) {
    uint32_t most = 0;
#define CODE(i) most = codes[i] > most ? codes[i] : most;
    for (; count >= 4; count -= 4, codes += 4) {
        CODE(0) CODE(1) CODE(2) CODE(3)
    }
    while (count--) {
        CODE(0)
        codes++;
    }
#undef CODE
    return most >> 3;
}

#if !defined(__XTENSA__)

/* Dot products of eight dimensions of keys with the queries of two heads, p and q, or of one. For two heads, a key is
 * multiplied by p + q 2^16. The sum of two products fits the lower 16 bits, and adding HALF keeps it from borrowing
 * from the upper ones. */
static inline void score(const shrew_span *s, const int8_t *p, uint32_t heads, uint32_t start, int32_t *to,
                         uint32_t stride) {
    const int8_t *q = p + s->width;
    const int8_t *key = s->keys + start, *const end = key + (size_t)s->held * s->width;
#define QUERY(i) const uint32_t query_##i = (uint32_t)p[i] + (heads > 1 ? (uint32_t)q[i] << 16 : 0);
    QUERY(0) QUERY(1) QUERY(2) QUERY(3) QUERY(4) QUERY(5) QUERY(6) QUERY(7)
    for (; key != end; key += s->width, to++) {
        uint32_t sum = 0, upper_sum = 0;
        if (heads > 1) {
            uint32_t two;
#define DIMENSIONS(i, j)                                          \
    two = query_##i * (uint32_t)key[i] + query_##j * (uint32_t)key[j]; \
    sum += two, upper_sum += (uint32_t)upper(two + HALF); IN_ORDER
            DIMENSIONS(0, 1) DIMENSIONS(2, 3) DIMENSIONS(4, 5) DIMENSIONS(6, 7)
            sum -= upper_sum << 16;
        } else {
#define DIMENSION(i) sum += query_##i * (uint32_t)key[i];
            DIMENSION(0) DIMENSION(1) DIMENSION(2) DIMENSION(3) DIMENSION(4) DIMENSION(5) DIMENSION(6) DIMENSION(7)
        }
        to[0] = (int32_t)sum + (start ? to[0] : 0);
        if (heads > 1)
            to[stride] = (int32_t)upper_sum + (start ? to[stride] : 0);
    }
}

#endif

/* Aligns the scores of one or two heads and finds the largest of each. */
static inline void align(const uint8_t *codes, uint32_t exponent, uint32_t heads, int32_t *scores, uint32_t stride,
                         uint32_t held, int32_t most[2]) {
    int32_t most_p = INT32_MIN, most_q = INT32_MIN;
    for (const int32_t *const end = scores + held; scores != end; scores++) {
        const uint32_t code = *codes++;
        const int32_t p = scores[0] = shrew_align(scores[0], code, exponent);
        most_p = p > most_p ? p : most_p;
        if (heads > 1) {
            const int32_t q = scores[stride] = shrew_align(scores[stride], code, exponent);
            most_q = q > most_q ? q : most_q;
        }
    }
    most[0] = most_p, most[1] = most_q;
}

/* shrew_exp2_fixed is zero from this number on. */
enum { VANISHED = 61441 };

/* Converts scores to weights of the values, aligned to their largest exponent. Returns the sum of the softmax
 * numerators. */
uint32_t shrew_scalar_weigh(const uint8_t *codes, uint32_t exponent, int32_t *scores, uint32_t held, int32_t most,
                            float factor) {
    const shrew_fixed_factor f = shrew_fix(factor * 4096.0f);
    const uint32_t before = f.shift > 14 ? f.shift - 14 : 0, after = f.shift - before;
    const uint32_t limit = (((uint32_t)VANISHED << after) + f.mantissa - 1) / f.mantissa << before;
    uint32_t sum = 0;
    for (const int32_t *const end = scores + held; scores != end; scores++, codes++) {
        const uint32_t below = (uint32_t)most - (uint32_t)*scores;
        int32_t aligned = 0;
        if (below < limit) {
            const uint32_t weight = shrew_exp2_fixed((below >> before) * f.mantissa >> after), code = *codes;
            sum += weight;
            aligned = (int32_t)(weight * (8 + (code & 7)) >> 4 >> (exponent - (code >> 3)));
        }
        *scores = aligned;
    }
    return sum;
}

/* The weighted sum of values in eight dimensions. Skips zero weights: late in a text, about half of them are zero. */
static void mix(const shrew_span *s, const int32_t *weights, const int8_t *value, int32_t sums[8]) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
    const uint32_t width = s->width;
    for (const int32_t *const end = weights + s->held; weights != end; weights++, value += width) {
        const int32_t weight = *weights;
        if (!weight)
            continue;
        s0 += weight * value[0], s1 += weight * value[1], s2 += weight * value[2], s3 += weight * value[3];
        s4 += weight * value[4], s5 += weight * value[5], s6 += weight * value[6], s7 += weight * value[7];
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3, sums[4] = s4, sums[5] = s5, sums[6] = s6, sums[7] = s7;
}

static void attend_head(const shrew_span *s, uint32_t head, int32_t *scores, int32_t most, float unit,
                        uint32_t exponent) {
    const uint32_t sum = shrew_scalar_weigh(s->value_scales, exponent, scores, s->held, most, s->factors[head] * unit);
    const uint32_t narrow = shrew_narrowing(sum);
    for (uint32_t t = 0; narrow && t < s->held; t++)
        scores[t] >>= narrow;
    const float scale = shrew_mixed_scale(sum, exponent, narrow);
    float *out = s->out + head * s->head_dim;
    for (uint32_t start = 0; start < s->head_dim; start += 8) {
        int32_t sums[8];
        mix(s, scores, s->values + start, sums);
        for (uint32_t d = start; d < smallest(s->head_dim, start + 8); d++)
            out[d] = (float)sums[d - start] * scale;
    }
}

void shrew_scalar_attend(const shrew_span *s) {
    const uint32_t key_exponent = largest_exponent(s->key_scales, s->held);
    const uint32_t value_exponent = largest_exponent(s->value_scales, s->held);
    const uint32_t stride = (s->held + 15) & ~15u;
    const float unit = shrew_power_of_two((int32_t)key_exponent - SCALE_BIAS);
    for (uint32_t head = 0, heads; head < s->heads; head += heads) {
        const int8_t *queries = s->queries + head * s->width;
        int32_t *scores = s->scores + (size_t)head * stride, most[2];
        heads = FOR_SIZE ? 1 : smallest(s->heads - head, 2);
        for (uint32_t start = 0; start < s->width; start += 8) {
#if defined(__XTENSA__)
            for (uint32_t h = 0; h < heads; h++)
                shrew_xtensa_score(s, queries + h * s->width + start, start, scores + h * stride);
#else
            if (heads > 1)
                score(s, queries + start, 2, start, scores, stride);
            else
                score(s, queries + start, 1, start, scores, stride);
#endif
        }
        if (heads > 1) {
            align(s->key_scales, key_exponent, 2, scores, stride, s->held, most);
            attend_head(s, head + 1, scores + stride, most[1], unit, value_exponent);
        } else {
            align(s->key_scales, key_exponent, 1, scores, stride, s->held, most);
        }
        attend_head(s, head, scores, most[0], unit, value_exponent);
    }
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

/* shrew_sigmoid_fixed, with a single rounded product. */
static inline int32_t sigmoid(float z) {
    const uint32_t magnitude = magnitude_bits(z);
    const uint32_t u = (uint32_t)shrew_round_product(bits_float(magnitude), 5909.27888f); /* 4096 / ln 2 */
    const uint32_t e = magnitude < 0x41800000 && u < VANISHED ? shrew_exp2_fixed(u) : 0;    /* 16 */
    const uint32_t positive = (1u << 30) / (32768 + e);
    return (int32_t)(float_bits(z) >> 31 ? 32768 - positive : positive);
}

void shrew_scalar_activate(uint32_t mlp, const float *gate, const float *up, float *out, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const float v = gate[i];
        const float z = mlp == SHREW_MLP_GELU ? 1.595769122f * (v + 0.044715f * v * v * v) : v;
        const float active = v * ((float)sigmoid(z) * (1.0f / 32768.0f));
        out[i] = up ? active * up[i] : active;
    }
}

const shrew_kernels shrew_kernels_scalar = {
    "scalar",
    shrew_scalar_quantize,
    {HAS_F32 ? shrew_reference_multiply_f32 : NULL, multiply_q8, HAS_Q4 ? multiply_q4 : NULL,
     HAS_TERNARY ? multiply_ternary : NULL},
    shrew_scalar_attend,
    shrew_scalar_activate,
    shrew_dot_f32,
    NULL,
    NULL,
};
