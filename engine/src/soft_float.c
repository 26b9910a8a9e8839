/* IEEE 754 binary32 in integers for RISC-V cores without F, rounding to nearest, ties to even. Replaces functions of
 * the compiler's runtime under their names, and executes a third of the instructions. Zeros, denormals, infinities and
 * NaN take slower paths. */
#include "numbers.h"

#if defined(SHREW_SOFT_FLOAT_TEST)
#define SOFT_FLOAT(name) shrew_soft_##name
#define SOFT_NUMBER(name) shrew_soft_##name
#elif defined(SHREW_SOFT_FLOAT) && defined(SHREW_WRAP_SOFT_FLOAT)
/* Linked with --wrap: defining the names themselves would lose to a linker script that assigns them. */
#define SOFT_FLOAT(name) __wrap___##name
#define SOFT_NUMBER(name) shrew_##name
#elif defined(SHREW_SOFT_FLOAT)
#define SOFT_FLOAT(name) __##name
#define SOFT_NUMBER(name) shrew_##name
#endif

#ifdef SOFT_FLOAT

typedef uint32_t binary32; /* the bits of a float; passed in the same register */

static const uint32_t SIGN = 0x80000000, INFINITE = 0x7F800000, NOT_A_NUMBER = 0x7FC00000;

binary32 SOFT_FLOAT(mulsf3)(binary32 a, binary32 b);
binary32 SOFT_FLOAT(addsf3)(binary32 a, binary32 b);
binary32 SOFT_FLOAT(subsf3)(binary32 a, binary32 b);
binary32 SOFT_FLOAT(floatsisf)(int32_t value);
binary32 SOFT_FLOAT(floatunsisf)(uint32_t value);
int32_t SOFT_NUMBER(round_product)(float x, float y);
void SOFT_NUMBER(scale_sums)(float *y, const int32_t *sums, const float *scales, float scale, uint32_t count);

static uint32_t exponent_of(binary32 a) {
    return a >> 23 & 255;
}

static int is_nan(binary32 a) {
    return a << 1 > INFINITE << 1;
}

/* Shifts the top bit of a value to bit 30, and sets *shift. The value is not 0, and its bit 31 is clear. */
static inline uint32_t normalize(uint32_t value, uint32_t *shift) {
    uint32_t moved = 0;
#define UNLESS_BEYOND(bits)                \
    if (!(value >> (31 - bits))) {         \
        value <<= bits;                    \
        moved += bits;                     \
    }
    UNLESS_BEYOND(16) UNLESS_BEYOND(8) UNLESS_BEYOND(4) UNLESS_BEYOND(2) UNLESS_BEYOND(1)
    *shift = moved;
    return value;
}

static inline uint32_t shift_right_sticky(uint32_t value, uint32_t shift) {
    return shift > 31 ? value != 0 : shift ? value >> shift | (value << (32 - shift) != 0) : value;
}

/* The float nearest to mantissa * 2^(exponent - 157), 2^30 <= mantissa < 2^31. The lowest bit of the mantissa is
 * sticky. */
static binary32 pack_any(uint32_t sign, int32_t exponent, uint32_t mantissa) {
    if (exponent >= 255)
        return sign | INFINITE;
    if (exponent < 1) {
        mantissa = shift_right_sticky(mantissa, (uint32_t)(1 - exponent));
        exponent = 1;
    }
    mantissa = (mantissa + 63 + (mantissa >> 7 & 1)) >> 7;
    return sign | (((uint32_t)(exponent - 1) << 23) + mantissa); /* the leading 1 increments the exponent */
}

static inline binary32 pack(uint32_t sign, int32_t exponent, uint32_t mantissa) {
    if ((uint32_t)(exponent - 1) >= 254)
        return pack_any(sign, exponent, mantissa);
    mantissa = (mantissa + 63 + (mantissa >> 7 & 1)) >> 7;
    return sign | (((uint32_t)(exponent - 1) << 23) + mantissa);
}

/* The mantissa, with bit 30 set, and the exponent of a finite value other than 0. */
static uint32_t unpack_any(binary32 a, int32_t *exponent) {
    uint32_t shift;
    *exponent = (int32_t)exponent_of(a);
    if (*exponent)
        return (a << 8 | SIGN) >> 1;
    const uint32_t mantissa = normalize(a << 9 >> 2, &shift);
    *exponent = 1 - (int32_t)shift;
    return mantissa;
}

static binary32 multiply_any(binary32 a, binary32 b) {
    const uint32_t sign = (a ^ b) & SIGN;
    if (is_nan(a) || is_nan(b))
        return NOT_A_NUMBER;
    if (exponent_of(a) == 255 || exponent_of(b) == 255)
        return a << 1 && b << 1 ? sign | INFINITE : NOT_A_NUMBER;
    if (!(a << 1) || !(b << 1))
        return sign;
    int32_t exponent_a, exponent_b;
    const uint64_t product = (uint64_t)unpack_any(a, &exponent_a) * (unpack_any(b, &exponent_b) << 1);
    const uint32_t high = (uint32_t)(product >> 32), low = (uint32_t)product;
    return high >> 30 ? pack(sign, exponent_a + exponent_b - 126, high | (low != 0))
                      : pack(sign, exponent_a + exponent_b - 127, high << 1 | low >> 31 | (low << 1 != 0));
}

/* The mantissas of normal numbers, aligned to 32 bits and to 25 bits. The upper half of their product is at least
 * 2^23. */
static uint32_t wide(binary32 a) {
    return a << 8 | SIGN;
}

static uint32_t narrow(binary32 a) {
    return a << 9 >> 8 | 1u << 24;
}

/* Their product, rounded to 24 bits; rounding up may give 2^24. Increments the exponent if the product of the mantissas
 * is 2 or more. */
static inline uint32_t multiply_mantissas(uint32_t wide, uint32_t narrow, uint32_t *exponent) {
    const uint64_t product = (uint64_t)wide * narrow;
    uint32_t high = (uint32_t)(product >> 32), low = (uint32_t)product;
    if (high >> 24) {
        low = low >> 1 | high << 31;
        high >>= 1;
        ++*exponent;
    }
    low += high & 1; /* ties to even; low ends in zeros */
    return high + (low + (SIGN - 1) < low);
}

static int is_normal(binary32 a) {
    return exponent_of(a) - 1 < 254;
}

binary32 SOFT_FLOAT(mulsf3)(binary32 a, binary32 b) {
    uint32_t exponent = exponent_of(a) + exponent_of(b) - 127;
    if (!is_normal(a) || !is_normal(b))
        return multiply_any(a, b);
    const uint32_t mantissa = multiply_mantissas(wide(a), narrow(b), &exponent);
    if (exponent - 1 >= 254)
        return multiply_any(a, b);
    return ((a ^ b) & SIGN) | (((exponent - 1) << 23) + mantissa);
}

/* The sum of mantissas, or their difference if the signs differ. Bit 30 is their leading 1 at this exponent; that of
 * denormals is lower. The first is not the smaller. */
static inline binary32 add_mantissas(binary32 a, binary32 b, int32_t exponent, uint32_t mantissa_a, uint32_t mantissa_b,
                                     uint32_t shift) {
    const uint32_t sign = a & SIGN;
    mantissa_b = shift_right_sticky(mantissa_b, shift);
    if ((a ^ b) & SIGN) {
        uint32_t mantissa = mantissa_a - mantissa_b;
        if (mantissa >> 30)
            return pack(sign, exponent, mantissa);
        if (!mantissa)
            return 0;
        mantissa = normalize(mantissa, &shift);
        return pack(sign, exponent - (int32_t)shift, mantissa);
    }
    uint32_t mantissa = mantissa_a + mantissa_b;
    if (mantissa >> 31) {
        mantissa = mantissa >> 1 | (mantissa & 1);
        exponent++;
    }
    return pack(sign, exponent, mantissa);
}

/* a + b if one of them is not a normal number. |a| >= |b|. */
static binary32 add_any(binary32 a, binary32 b) {
    const uint32_t exponent_a = exponent_of(a);
    if (is_nan(a) || (exponent_of(b) == 255 && a != b))
        return NOT_A_NUMBER;
    if (exponent_a == 255)
        return a;
    if (!(b << 1))
        return a << 1 ? a : a & b; /* only -0 + -0 is -0 */
    if (exponent_a) {
        const uint32_t mantissa_b = exponent_of(b) ? (b << 8 | SIGN) >> 1 : b << 9 >> 2;
        return add_mantissas(a, b, (int32_t)exponent_a, (a << 8 | SIGN) >> 1, mantissa_b, exponent_a - 1);
    }
    return (a ^ b) & SIGN ? a == (b ^ SIGN) ? 0 : a - (b & ~SIGN) : a + (b & ~SIGN); /* denormals add like integers */
}

binary32 SOFT_FLOAT(addsf3)(binary32 a, binary32 b) {
    if (a << 1 < b << 1) {
        const binary32 swap = a;
        a = b, b = swap;
    }
    const uint32_t exponent_a = exponent_of(a), exponent_b = exponent_of(b);
    if (exponent_a == 255 || !exponent_b)
        return add_any(a, b);
    return add_mantissas(a, b, (int32_t)exponent_a, (a << 8 | SIGN) >> 1, (b << 8 | SIGN) >> 1,
                         exponent_a - exponent_b);
}

binary32 SOFT_FLOAT(subsf3)(binary32 a, binary32 b) {
    return SOFT_FLOAT(addsf3)(a, b ^ SIGN);
}

binary32 SOFT_FLOAT(floatunsisf)(uint32_t value) {
    uint32_t shift;
    if (!value)
        return 0;
    if (value >> 31)
        return pack(0, 158, value >> 1 | (value & 1));
    value = normalize(value, &shift);
    return pack(0, 157 - (int32_t)shift, value);
}

binary32 SOFT_FLOAT(floatsisf)(int32_t value) {
    const uint32_t sign = (uint32_t)value & SIGN;
    return SOFT_FLOAT(floatunsisf)(sign ? 0 - (uint32_t)value : (uint32_t)value) | sign;
}

/* round_to_int(a * b); an arbitrary value if that is 2^22 or more. Rounds twice, like two separate operations. */
int32_t SOFT_NUMBER(round_product)(float x, float y) {
    const binary32 a = float_bits(x), b = float_bits(y);
    uint32_t exponent = exponent_of(a) + exponent_of(b) - 127;
    if (!is_normal(a) || !is_normal(b))
        return round_to_int(x * y);
    uint32_t mantissa = multiply_mantissas(wide(a), narrow(b), &exponent);
    const uint32_t shift = 150 - exponent;
    if (shift - 1 >= 31)
        return shift - 32 < 1000 ? 0 : INT32_MAX;
    const uint32_t rest = mantissa << (32 - shift);
    mantissa >>= shift;
    mantissa += rest > SIGN - (mantissa & 1);
    return (int32_t)((a ^ b) & SIGN ? 0 - mantissa : mantissa);
}

/* y[i] = (float)sums[i] * (scales[i] * scale) */
void SOFT_NUMBER(scale_sums)(float *y, const int32_t *sums, const float *scales, float scale, uint32_t count) {
    const uint32_t scale_exponent = exponent_of(float_bits(scale)) - 127, scale_mantissa = narrow(float_bits(scale));
    for (const float *const end = y + count; y != end; y++) {
        const int32_t sum = *sums++;
        const uint32_t a = float_bits(*scales++), magnitude = sum < 0 ? 0 - (uint32_t)sum : (uint32_t)sum;
        uint32_t exponent = exponent_of(a) + scale_exponent, shift;
        const uint32_t mantissa = multiply_mantissas(wide(a), scale_mantissa, &exponent);
        if (!is_normal(a) || !is_normal(float_bits(scale)) || exponent - 1 >= 200 || magnitude - 1 >= (1u << 24) - 1) {
            *y = (float)sum * (bits_float(a) * scale);
            continue;
        }
        const uint32_t integer = normalize(magnitude, &shift) << 1;
        exponent += 29 - shift; /* one too low: the leading 1 increments it */
        const uint32_t product = multiply_mantissas(integer, mantissa << 1, &exponent);
        *y = bits_float((((uint32_t)sum ^ a ^ float_bits(scale)) & SIGN) | ((exponent << 23) + product));
    }
}

#endif
