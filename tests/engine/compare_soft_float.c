/* Compares engine/src/soft_float.c with this machine's floats on random bit patterns, close exponents and special
 * values. Usage: compare_soft_float COUNT. Exit status 1 if a bit differs; stdout says where. All NaNs are equal. */
#define SHREW_SOFT_FLOAT_TEST
#include "soft_float.c"

#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 88172645463325252u;

static uint32_t next(void) { /* xorshift */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static long differences;

static void compare(const char *what, uint32_t a, uint32_t b, int32_t n, uint32_t got, uint32_t expected) {
    if (got == expected || (is_nan(got) && is_nan(expected)))
        return;
    if (differences++ < 20)
        printf("%s of %08x, %08x, %d: %08x, must be %08x\n", what, a, b, n, got, expected);
}

/* Every result goes through a volatile, so that the compiler can neither fold nor fuse operations. */
static void check(uint32_t a, uint32_t b, int32_t n) {
    const volatile float x = bits_float(a), y = bits_float(b);
    volatile float product = x * y, result = x + y;
    compare("product", a, b, 0, shrew_soft_mulsf3(a, b), float_bits(product));
    compare("sum", a, b, 0, shrew_soft_addsf3(a, b), float_bits(result));
    result = x - y;
    compare("difference", a, b, 0, shrew_soft_subsf3(a, b), float_bits(result));
    result = (float)n;
    compare("integer", 0, 0, n, shrew_soft_floatsisf(n), float_bits(result));
    result = (float)(uint32_t)n;
    compare("unsigned integer", 0, 0, n, shrew_soft_floatunsisf((uint32_t)n), float_bits(result));
    if (magnitude_bits(product) < 0x4A800000) { /* 2^22 */
        result = product + 12582912.0f;
        compare("rounded product", a, b, 0, (uint32_t)shrew_soft_round_product(x, y), float_bits(result) - 0x4B400000u);
    }
    const float scale = y, scales[2] = {x, x};
    const int32_t sums[2] = {n, n & 0x3FFFF};
    float scaled[2];
    shrew_soft_scale_sums(scaled, sums, scales, scale, 2);
    for (int i = 0; i < 2; i++) {
        result = (float)sums[i];
        result = result * product;
        compare("scaled sum", a, b, sums[i], float_bits(scaled[i]), float_bits(result));
    }
}

/* A number whose exponent is close to another's, or makes the product close to 1 or to the smallest floats. */
static uint32_t relative(uint32_t a, uint32_t kind) {
    const uint32_t exponent = a >> 23 & 255, other = next();
    const uint32_t near = kind == 0   ? exponent - 32 + next() % 64
                          : kind == 1 ? 240 - exponent + next() % 30
                                      : 126 - exponent + next() % 30;
    return (other & 0x807FFFFF) | (near & 255) << 23;
}

int main(int count, char **arguments) {
    static const uint32_t special[] = {
        0x00000000, 0x00000001, 0x00000002, 0x00400000, 0x007FFFFF, 0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000,
        0x1FFFFFFF, 0x20000000, 0x337FFFFF, 0x33800000, 0x33800001, 0x34000000, 0x3EFFFFFF, 0x3F000000, 0x3F000001,
        0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x4A7FFFFF, 0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x5F000000, 0x7F000000,
        0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF,
    };
    static const int32_t integers[] = {0,         1,         -1,         2,         511,      0xFFFFFF,
                                       0x1000000, 0x1000001, -0x1000003, INT32_MAX, INT32_MIN};
    const size_t specials = sizeof special / sizeof *special, numbers = sizeof integers / sizeof *integers;
    for (size_t i = 0; i < specials * specials * 4; i++)
        for (size_t n = 0; n < numbers; n++)
            check(special[i / 4 % specials] | (i & 1) << 31, special[i / 4 / specials] | (i >> 1 & 1) << 31,
                  integers[n]);
    for (long i = count > 1 ? atol(arguments[1]) : 0; i > 0; i--) {
        const uint32_t a = next(), kind = next() % 8, shift = next() % 32;
        const uint32_t b = kind < 3 ? relative(a, kind) : kind == 3 ? a ^ 1u << shift : next();
        const uint32_t cut = kind == 4 ? 0xFFFF8000 : 0xFFFFFFFF; /* short mantissas: ties */
        check(a & cut, b & cut, (int32_t)(next() >> shift) * (next() & 1 ? 1 : -1));
    }
    return differences != 0;
}
