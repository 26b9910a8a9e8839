/* The Xtensa board with the ESP32-S3's kernels, for tools/fit_costs.py: C computes what their assembly would, and the
 * count of instructions rests meanwhile, so that what is left is the C around it. */
#define board_instructions board_all_instructions
#include "ports/emulator/xtensa/board.c"
#undef board_instructions

#define shrew_pie_dots c_dots
#define shrew_pie_masked_dots c_masked_dots
#define shrew_pie_scores c_scores
#define shrew_pie_mix c_mix
#include "tests/pie/products.c"
#undef shrew_pie_dots
#undef shrew_pie_masked_dots
#undef shrew_pie_scores
#undef shrew_pie_mix

uint64_t board_instructions(void);

static uint64_t rested, cost_of_reading;

uint64_t board_instructions(void) {
    if (!cost_of_reading) {
        const uint64_t first = board_all_instructions();
        cost_of_reading = board_all_instructions() - first;
    }
    return board_all_instructions() - rested;
}

#define RESTING(call)                                                       \
    {                                                                       \
        const uint64_t start = board_all_instructions();                    \
        call;                                                               \
        rested += board_all_instructions() - start + cost_of_reading;       \
    }

void shrew_pie_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                    uint32_t rows) {
    RESTING(c_dots(weights, stride, x, chunks, dots, rows))
}

void shrew_pie_masked_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                           uint32_t rows, uint32_t mask) {
    RESTING(c_masked_dots(weights, stride, x, chunks, dots, rows, mask))
}

void shrew_pie_scores(const int8_t *keys, const int8_t *query, uint32_t count, uint32_t width, int32_t *scores) {
    RESTING(c_scores(keys, query, count, width, scores))
}

void shrew_pie_mix(const int8_t *values, uint32_t width, const int32_t *weights, uint32_t count, uint8_t *sums) {
    RESTING(c_mix(values, width, weights, count, sums))
}
