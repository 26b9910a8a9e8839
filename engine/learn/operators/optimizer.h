/* Operations of an optimiser on all parameters, or all gradients, as one vector. */

enum { ADDENDS = 4096 }; /* summed at a time, so that small terms are not lost in a large sum */

static float NAME(square_sum)(size_t count, const float *x) {
    float total = 0.0f, lost = 0.0f; /* Kahan summation: the rounding error of total */
    for (size_t start = 0; start < count; start += ADDENDS) {
        const size_t end = count - start < ADDENDS ? count : start + ADDENDS;
        vec sums[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
        size_t i = start;
        for (; i + 4 * LANES <= end; i += 4 * LANES)
            UNROLLED for (uint32_t j = 0; j < 4; j++) {
                const vec value = load(x + i + j * LANES);
                sums[j] = mul_add(value, value, sums[j]);
            }
        for (; i < end; i += LANES) {
            const vec value = load_first(x + i, end - i);
            sums[0] = mul_add(value, value, sums[0]);
        }
        const float part = sum_of((sums[0] + sums[1]) + (sums[2] + sums[3])) - lost, before = total;
        total = before + part;
        lost = (total - before) - part;
    }
    return total;
}

static void NAME(scale)(size_t count, float factor, float *x) {
    for (size_t i = 0; i < count; i += LANES)
        store_first(x + i, count - i, load_first(x + i, count - i) * splat(factor));
}

static void NAME(add)(size_t count, const float *x, float *y) {
    for (size_t i = 0; i < count; i += LANES)
        store_first(y + i, count - i, load_first(y + i, count - i) + load_first(x + i, count - i));
}

static void NAME(adamw)(const shrew_learn_adamw_options *o, size_t count, const float *gradient, float *first,
                        float *second, float *parameters) {
    const vec toward1 = splat(1.0f - o->beta1), toward2 = splat(1.0f - o->beta2), epsilon = splat(o->epsilon);
    const vec root_scale = splat(inverse_root(o->correction2)), scale = splat(o->rate / o->correction1);
    const vec kept = splat(1.0f - o->rate * o->decay);
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const vec g = load_first(gradient + i, left);
        vec m = load_first(first + i, left), v = load_first(second + i, left);
        m = mul_add(toward1, g - m, m);
        v = mul_add(toward2, mul_add(g, g, splat(0.0f) - v), v);
        store_first(first + i, left, m);
        store_first(second + i, left, v);
        const vec step = m / mul_add(square_root(v), root_scale, epsilon);
        const vec p = load_first(parameters + i, left);
        store_first(parameters + i, left, mul_add(p, kept, splat(0.0f) - scale * step));
    }
}
