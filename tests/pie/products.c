/* The C side of the ESP32-S3's kernels on the host. C versions of the assembly's functions replace the assembly. */
#include <stddef.h>
#include <stdint.h>

#ifdef WITHOUT_SIGN /* a chip that deviates from the manual, which the self-check must detect */
typedef uint8_t byte;
#else
typedef int8_t byte;
#endif
#ifndef MASKED
#define MASKED ~0u
#endif
#ifndef DROPPED
#define DROPPED 0
#endif

void shrew_pie_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                    uint32_t rows);
void shrew_pie_masked_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                           uint32_t rows, uint32_t mask);
void shrew_pie_scores(const int8_t *keys, const int8_t *query, uint32_t count, uint32_t width, int32_t *scores);
void shrew_pie_mix(const int8_t *values, uint32_t width, const int32_t *weights, uint32_t count, uint8_t *sums);

void shrew_pie_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                    uint32_t rows) {
    for (uint32_t r = 0; r < rows; r++) {
        const byte *row = (const byte *)weights + (size_t)r * stride;
        dots[r] = 0;
        for (uint32_t c = 0; c < 16 * chunks; c++)
            dots[r] += row[c] * x[c];
    }
}

void shrew_pie_masked_dots(const void *weights, uint32_t stride, const int16_t *x, uint32_t chunks, int32_t *dots,
                           uint32_t rows, uint32_t mask) {
    for (uint32_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)weights + (size_t)r * stride;
        dots[r] = 0;
        for (uint32_t c = 0; c < 16 * chunks; c++)
            dots[r] += (int32_t)(row[c] & mask >> 8 * (c % 4) & MASKED) * x[c];
    }
}

void shrew_pie_scores(const int8_t *keys, const int8_t *query, uint32_t count, uint32_t width, int32_t *scores) {
    for (uint32_t t = 0; t < count; t++) {
        scores[t] = 0;
        for (uint32_t d = 0; d < width; d++)
            scores[t] += keys[t * width + d] * query[d];
    }
}

void shrew_pie_mix(const int8_t *values, uint32_t width, const int32_t *weights, uint32_t count, uint8_t *sums) {
    for (uint32_t d = 0; d < 8; d++) {
        int64_t sum = 0;
        for (uint32_t t = 0; t + DROPPED < count; t++)
            sum += (int64_t)256 * weights[t] * values[(size_t)t * width + d];
        for (uint32_t i = 0; i < 5; i++)
            sums[d / 4 * 32 + d % 4 * 5 + i] = (uint8_t)((uint64_t)sum >> 8 * i);
    }
}
