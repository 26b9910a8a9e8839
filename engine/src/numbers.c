#include "numbers.h"

#include "compiler.h"
#include "options.h"

uint32_t shrew_largest_magnitude(const float *values, uint32_t count) {
    int32_t largest = 0; /* signed, as every vector unit can compare */
    for (uint32_t i = 0; i < count; i++) {
        const int32_t magnitude = (int32_t)magnitude_bits(values[i]);
        largest = magnitude > largest ? magnitude : largest;
    }
    return (uint32_t)largest;
}

int shrew_all_finite(const float *values, size_t count) {
    return shrew_largest_magnitude(values, (uint32_t)count) < 0x7F800000u;
}

float shrew_reciprocal(float value) {
    /* Negating the exponent by integer subtraction is accurate to 5.1 %. Three Newton steps square the error. */
    float y = bits_float(0x7EF311C7u - float_bits(value));
    for (int i = 0; i < 3; i++)
        y = y * (2.0f - value * y);
    return y;
}

float shrew_rsqrt(float value) {
    /* Halving and negating the exponent is accurate to 4 %. Newton steps solve 1/y^2 = value. */
    const float half = 0.5f * value;
    float y = bits_float(0x5F3759DFu - (float_bits(value) >> 1));
    for (int i = 0; i < 3; i++)
        y = y * (1.5f - half * y * y);
    return y;
}

/* A polynomial of 1 + degree coefficients, the highest power's first. */
static ONE_COPY float polynomial(float x, const float *coefficients, uint32_t degree) {
    float sum = *coefficients;
    while (degree--)
        sum = sum * x + *++coefficients;
    return sum;
}

float shrew_exp(float value) {
    static const float taylor[8] = {1.0f / 5040.0f, 1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f,
                                    1.0f / 6.0f,    0.5f,          1.0f,          1.0f};

    if (value < -87.0f)
        return 0.0f;
    if (value > 88.0f)
        value = 88.0f;
    /* e^x = 2^n e^r with |r| <= ln(2)/2. ln 2 is split so that n times its first part is exact. */
    const int32_t n = round_to_int(value * 1.44269504f);
    const float fn = (float)n;
    const float r = (value - fn * 0.693359375f) - fn * -2.12194440e-4f;
    return polynomial(r, taylor, 7) * bits_float((uint32_t)(n + 127) << 23);
}

float shrew_sigmoid(float value) {
    /* For much lower values, the argument of the reciprocal would leave its range. */
    if (value < -60.0f)
        return 0.0f;
    return shrew_reciprocal(1.0f + shrew_exp(-value));
}

float shrew_tanh(float value) {
    return 2.0f * shrew_sigmoid(2.0f * value) - 1.0f;
}

void shrew_sincos(float angle, float *sine, float *cosine) {
    /* Taylor series: the omitted terms are below 2e-9 for |r| <= pi/4. */
    static const float sine_taylor[4] = {1.0f / 362880.0f, -1.0f / 5040.0f, 1.0f / 120.0f, -1.0f / 6.0f};
    static const float cosine_taylor[6] = {-1.0f / 3628800.0f, 1.0f / 40320.0f, -1.0f / 720.0f,
                                           1.0f / 24.0f,       -0.5f,           1.0f};
    /* Subtracts quarter turns with pi/2 split into three parts, the first two short enough for exact products. */
    const int32_t quarter = round_to_int(angle * 0.636619772f);
    const float fq = (float)quarter;
    const float r = ((angle - fq * 1.5703125f) - fq * 4.837512969970703125e-4f) - fq * 7.54978995489188e-8f;
    const float z = r * r;
    const float s = polynomial(z, sine_taylor, 3) * z * r + r;
    const float c = polynomial(z, cosine_taylor, 5);
    *sine = quarter & 1 ? c : s;
    *cosine = quarter & 1 ? s : c;
    if (quarter & 2)
        *sine = -*sine;
    if ((quarter + 1) & 2)
        *cosine = -*cosine;
}
