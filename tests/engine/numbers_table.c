/* For test_numbers.py: the engine's functions over arrays. */
#include "fixed.h"

void table(int function, const float *x, float *y, int count);

void table(int function, const float *x, float *y, int count) {
    for (int i = 0; i < count; i++) {
        float other;
        switch (function) {
        case 0: y[i] = shrew_reciprocal(x[i]); break;
        case 1: y[i] = shrew_rsqrt(x[i]); break;
        case 2: y[i] = shrew_exp(x[i]); break;
        case 3: y[i] = shrew_sigmoid(x[i]); break;
        case 4: y[i] = shrew_tanh(x[i]); break;
        case 5: shrew_sincos(x[i], y + i, &other); break;
        case 6: shrew_sincos(x[i], &other, y + i); break;
        case 7: y[i] = (float)shrew_exp2_fixed((uint32_t)x[i]); break;
        case 8: y[i] = (float)shrew_sigmoid_fixed(x[i]); break;
        case 9: y[i] = shrew_scale_of_code(shrew_scale_code(x[i])); break;
        default: y[i] = (float)round_to_int(x[i]); break;
        }
    }
}
