/* The activation between an MLP's matrices. For SwiGLU a row of x is gate and up side by side; otherwise up alone. */

#define GELU_SCALE 1.59576912f /* 2 sqrt(2 / pi): (1 + tanh(z)) / 2 is the sigmoid of 2z */
#define GELU_CUBIC 0.044715f

static void NAME(activation)(uint32_t kind, uint32_t rows, uint32_t width, const float *x, float *y) {
    const uint32_t stride = kind == SHREW_MLP_SWIGLU ? 2 * width : width;
    for (uint32_t n = 0; n < rows; n++, x += stride, y += width)
        for (uint32_t i = 0; i < width; i += LANES) {
            const size_t left = width - i;
            const vec v = load_first(x + i, left);
            vec value = larger(splat(0.0f), v);
            if (kind == SHREW_MLP_SWIGLU)
                value = v * sigmoid_of(v) * load_first(x + width + i, left);
            else if (kind == SHREW_MLP_GELU)
                value = v * sigmoid_of(splat(GELU_SCALE) * mul_add(splat(GELU_CUBIC) * v * v, v, v));
            store_first(y + i, left, value);
        }
}

static void NAME(activation_backward)(uint32_t kind, uint32_t rows, uint32_t width, const float *dy, const float *x,
                                      float *dx, float *y) {
    const uint32_t stride = kind == SHREW_MLP_SWIGLU ? 2 * width : width;
    const vec one = splat(1.0f), none = splat(0.0f);
    for (uint32_t n = 0; n < rows; n++, x += stride, dx += stride, dy += width)
        for (uint32_t i = 0; i < width; i += LANES) {
            const size_t left = width - i;
            const vec v = load_first(x + i, left), d = load_first(dy + i, left);
            vec value;
            if (kind == SHREW_MLP_SWIGLU) {
                const vec up = load_first(x + width + i, left), share = sigmoid_of(v), silu = v * share;
                store_first(dx + i, left, d * up * mul_add(silu, one - share, share));
                store_first(dx + width + i, left, d * silu);
                value = silu * up;
            } else if (kind == SHREW_MLP_GELU) {
                const vec square = v * v;
                const vec share = sigmoid_of(splat(GELU_SCALE) * mul_add(splat(GELU_CUBIC) * square, v, v));
                const vec slope = splat(GELU_SCALE) * mul_add(splat(3.0f * GELU_CUBIC), square, one);
                value = v * share;
                store_first(dx + i, left, d * mul_add(value * (one - share), slope, share));
            } else {
                store_first(dx + i, left, where(less(none, v), d, none));
                value = larger(none, v);
            }
            if (y)
                store_first(y + (size_t)n * width + i, left, value);
        }
}
