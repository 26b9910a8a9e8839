/* For test_numbers.py: the engine's functions over arrays. */
#include "numbers.h"

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
        default: y[i] = (float)round_to_int(x[i]); break;
        }
    }
}
