/* For test_kernels_chips.py: compares the kernels that an emulated chip chooses with the reference, bit for bit. Prints
 * the calls whose results differ, then "done". Weights end where memory ends. */
#include "../../ports/emulator/board.h"
#include "fixed.h"
#include "kernels/kernels.h"
#include "weight_bytes.h"

enum { MOST_COLS = 16384, MOST_ROWS = 300, TOKENS = 2, HELD = 100, HEADS = 3, WIDTH = 64 };

static uint32_t draw(void) {
    static uint32_t state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int32_t draw_within(int32_t limit) {
    return (int32_t)(draw() % (2 * (uint32_t)limit + 1)) - limit;
}

static float draw_float(void) {
    return (float)draw_within(1000000) * 1e-6f;
}

static void write_text(const char *text) {
    size_t bytes = 0;
    while (text[bytes])
        bytes++;
    board_write(text, bytes);
}

static void write_numbers(const char *name, const uint32_t *numbers, uint32_t count) {
    write_text(name);
    for (uint32_t i = 0; i < count; i++) {
        char digits[12], *digit = digits + sizeof digits;
        uint32_t rest = numbers[i];
        *--digit = '\0';
        do {
            *--digit = (char)('0' + rest % 10);
            rest /= 10;
        } while (rest);
        *--digit = ' ';
        write_text(digit);
    }
    write_text("\n");
}

static void compare(const char *name, const float *a, const float *b, uint32_t count, const uint32_t *numbers,
                    uint32_t numbers_count) {
    for (uint32_t i = 0; i < count; i++)
        if (float_bits(a[i]) != float_bits(b[i])) {
            write_numbers(name, numbers, numbers_count);
            return;
        }
}

static void multiply(uint32_t type, uint32_t group, uint32_t rows, uint32_t cols, int largest) {
    static int16_t values[TOKENS * MOST_COLS], sums[TOKENS * MOST_COLS / 16];
    static float y[2][TOKENS * MOST_ROWS], row_scales[MOST_ROWS], scales[TOKENS];
    static int8_t multipliers[MOST_ROWS * 64];
    const uint32_t stride = (cols + 15) & ~15u, per_byte = shrew_rows_per_byte(type);
    const uint32_t groups = group ? (cols + group - 1) / group : 1, bytes = (rows + per_byte - 1) / per_byte * stride;
    const int32_t limit = (int32_t)shrew_multiplier_limit(type, cols);
    uint8_t *data = (uint8_t *)BOARD_RAM + BOARD_END - bytes;
    for (uint32_t i = 0; i < bytes; i++) {
        data[i] = 0;
        for (uint32_t row = 0; row < per_byte; row++)
            data[i] |= weight_bits(type, row, largest ? largest_weight(type) : random_weight(type, draw()));
    }
    for (uint32_t i = 0; i < rows * groups && group; i++)
        multipliers[i] = (int8_t)(largest ? limit : draw_within(limit));
    for (uint32_t r = 0; r < rows; r++)
        row_scales[r] = draw_float();
    for (uint32_t t = 0; t < TOKENS; t++)
        for (uint32_t c = 0; c < stride; c++) {
            const int32_t x = c >= cols ? 0 : largest ? ACTIVATION_LIMIT : draw_within(ACTIVATION_LIMIT);
            values[t * stride + c] = (int16_t)x;
            sums[(t * stride + c) / 16] = (int16_t)((c % 16 ? sums[(t * stride + c) / 16] : 0) + x);
            scales[t] = draw_float();
        }
    const shrew_tensor weight = {data, row_scales, group ? multipliers : NULL, rows, cols, stride, group, groups, type};
    const shrew_quantized_rows quantized = {values, sums, scales, stride};
    for (uint32_t k = 0; k < 2; k++) {
        const shrew_product p = {&weight, NULL, &quantized, y[k], cols, MOST_ROWS, TOKENS};
        const shrew_kernels *kernels = k ? shrew_choose_kernels(SHREW_UNIT_AUTO) : &shrew_kernels_reference;
        const uint32_t part = rows / 2 & ~15u;
        for (uint32_t i = 0; i < TOKENS * MOST_ROWS; i++)
            y[k][i] = -1.0f;
        kernels->multiply[type](&p, part, rows);
        kernels->multiply[type](&p, 0, part);
    }
    const uint32_t call[] = {type, group, rows, cols, (uint32_t)largest};
    compare("multiply", y[0], y[1], TOKENS * MOST_ROWS, call, 5);
}

static void attend(uint32_t held, uint32_t heads, uint32_t head_dim, int largest) {
    enum { MARGIN = 64 };
    static int8_t queries[HEADS * WIDTH], keys[HELD * WIDTH + MARGIN], values[HELD * WIDTH + MARGIN];
    static uint8_t codes[2][HELD + MARGIN];
    static float factors[HEADS], out[2][HEADS * WIDTH];
    static int32_t scores[HEADS * (HELD + 16)];
    const uint32_t width = (head_dim + 7) & ~7u;
    for (uint32_t i = 0; i < held * width; i++) {
        keys[i] = (int8_t)(i % width >= head_dim ? 0 : largest ? 127 : draw_within(127));
        values[i] = (int8_t)(i % width >= head_dim ? 0 : largest ? 127 : draw_within(127));
    }
    for (uint32_t i = 0; i < heads * width; i++)
        queries[i] = (int8_t)(i % width >= head_dim ? 0 : largest ? -127 : draw_within(127));
    for (uint32_t t = 0; t < held; t++)
        codes[0][t] = (uint8_t)(150 + draw() % 20), codes[1][t] = (uint8_t)(150 + draw() % 20);
    for (uint32_t h = 0; h < heads; h++)
        factors[h] = bits_float((100 + draw() % 30) << 23);
    for (uint32_t k = 0; k < 2; k++) {
        const shrew_span s = {keys,   values, codes[0], codes[1], queries,  factors,
                        out[k], scores, held,     heads,    head_dim, width};
        (k ? shrew_choose_kernels(SHREW_UNIT_AUTO) : &shrew_kernels_reference)->attend(&s);
    }
    const uint32_t call[] = {held, heads, head_dim, (uint32_t)largest};
    compare("attend", out[0], out[1], heads * head_dim, call, 4);
}

int main(void) {
    static const uint32_t groups[] = {0, 16, 32, 48, 256};
    /* Below, at and above one and two steps of columns; groups that end inside a row. */
    static const uint32_t cols[] = {1, 15, 16, 17, 32, 33, 64, 172, 300};
    /* Incomplete lines; around 64 lines of one, two or four rows, which are multiplied at once. */
    static const uint32_t rows[] = {1, 2, 3, 5, 8, 33, 63, 65, 127, 129, 255, 257};
    static const uint32_t held[] = {1, 2, 9, 100}, head_dims[] = {1, 8, 9, 20, 64};
    uint32_t turn = 0;
    for (uint32_t type = SHREW_Q8; type < SHREW_TYPES; type++)
        for (uint32_t g = 0; g < 5; g++) {
            for (uint32_t c = 0; c < 9; c++)
                for (uint32_t i = 0; i < 4; i++) /* ranges that cover all rows */
                    multiply(type, groups[g], rows[turn++ % 12], cols[c], 0);
            multiply(type, groups[g], 7, 172, 1);
        }
    for (uint32_t type = SHREW_Q8; type < SHREW_TYPES; type++)
        for (uint32_t group = 0; group <= 256; group += 256)
            multiply(type, group, 5, MOST_COLS, 1); /* the largest possible sums */
    for (uint32_t h = 0; h < 4; h++)
        for (uint32_t heads = 1; heads <= HEADS; heads++)
            for (uint32_t d = 0; d < 5; d++)
                for (int largest = 0; largest < 2; largest++)
                    attend(held[h], heads, head_dims[d], largest);
    write_text("done\n");
    return 0;
}
