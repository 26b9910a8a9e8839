/* Operators on one row, or one column, at a time: embedding, rotary positions, norms. */

/* Adds eight rows at once, so that each sum is loaded and stored once for all of them. */
static void NAME(column_sums)(uint32_t rows, uint32_t width, const float *x, float *sums) {
    for (uint32_t n = 0; n < rows; n += 8) {
        const uint32_t count = rows - n < 8 ? rows - n : 8;
        for (uint32_t i = 0; i < width; i += LANES) {
            vec sum = load_first(sums + i, width - i);
            for (uint32_t k = 0; k < count; k++)
                sum = sum + load_first(x + (size_t)(n + k) * width + i, width - i);
            store_first(sums + i, width - i, sum);
        }
    }
}

static void NAME(embedding)(uint32_t rows, uint32_t width, const uint32_t *ids, const float *table, float *y) {
    for (uint32_t n = 0; n < rows; n++, y += width)
        memcpy(y, table + (size_t)ids[n] * width, width * sizeof(float));
}

static void NAME(embedding_backward)(uint32_t rows, uint32_t width, const float *dy, const uint32_t *ids,
                                     float *dtable) {
    for (uint32_t n = 0; n < rows; n++, dy += width) {
        float *const sums = dtable + (size_t)ids[n] * width;
        for (uint32_t i = 0; i < width; i += LANES)
            store_first(sums + i, width - i, load_first(sums + i, width - i) + load_first(dy + i, width - i));
    }
}

/* Plain C: compilers vectorise this pattern, a product of complex numbers, best themselves. */
static void NAME(rope)(uint32_t rows, uint32_t heads, uint32_t head_dim, size_t stride, const float *phases,
                       float direction, float *x) {
    const uint32_t pairs = head_dim / 2;
    for (uint32_t n = 0; n < rows; n++, x += stride, phases += head_dim)
        for (uint32_t head = 0; head < heads; head++)
            for (uint32_t i = 0; i < pairs; i++) {
                float *const pair = x + (size_t)head * head_dim + 2 * i;
                const float cosine = phases[2 * i], sine = direction * phases[2 * i + 1], first = pair[0];
                pair[0] = first * cosine - pair[1] * sine;
                pair[1] = first * sine + pair[1] * cosine;
            }
}

/* ---- Norms ------------------------------------------------------------------------------------------------------- */

static void NAME(norm)(uint32_t kind, uint32_t rows, uint32_t width, float epsilon, const float *x, const float *gain,
                       const float *bias, float *y, float *moments) {
    const float share = 1.0f / (float)width;
    for (uint32_t n = 0; n < rows; n++, x += width, y += width) {
        float mean = 0.0f;
        if (kind == SHREW_NORM_LAYER) {
            vec sum = splat(0.0f);
            for (uint32_t i = 0; i < width; i += LANES)
                sum = sum + load_first(x + i, width - i);
            mean = sum_of(sum) * share;
        }
        vec squares = splat(0.0f);
        for (uint32_t i = 0; i + LANES <= width; i += LANES) {
            const vec centred = load(x + i) - splat(mean);
            squares = mul_add(centred, centred, squares);
        }
        float square = sum_of(squares);
        for (uint32_t i = width / LANES * LANES; i < width; i++)
            square += (x[i] - mean) * (x[i] - mean);
        const float inverse = inverse_root(square * share + epsilon);
        for (uint32_t i = 0; i < width; i += LANES) {
            vec value = (load_first(x + i, width - i) - splat(mean)) * splat(inverse);
            if (gain)
                value = value * load_first(gain + i, width - i);
            if (bias)
                value = value + load_first(bias + i, width - i);
            store_first(y + i, width - i, value);
        }
        moments[2 * n] = mean;
        moments[2 * n + 1] = inverse;
    }
}

/* With u = (x - mean) / deviation and du = dy * gain: dx += (du - mean(du) - u * mean(du * u)) / deviation. For an RMS
 * norm, mean and mean(du) are 0. */
static void NAME(norm_backward)(uint32_t kind, uint32_t rows, uint32_t width, const float *dy, const float *x,
                                const float *moments, const float *gain, float *dgain, float *dbias, float *dx) {
    const float share = 1.0f / (float)width;
    for (uint32_t n = 0; n < rows; n++, x += width, dy += width, dx += width) {
        const vec mean = splat(moments[2 * n]), inverse = splat(moments[2 * n + 1]);
        vec sums = splat(0.0f), products = splat(0.0f);
        for (uint32_t i = 0; i < width; i += LANES) {
            const size_t left = width - i;
            const vec d = load_first(dy + i, left), du = gain ? d * load_first(gain + i, left) : d;
            /* past the end of the row du is 0 */
            products = mul_add(du, (load_first(x + i, left) - mean) * inverse, products);
            sums = sums + du;
        }
        const vec along = splat(sum_of(products) * share);
        const vec level = splat(kind == SHREW_NORM_LAYER ? sum_of(sums) * share : 0.0f);
        for (uint32_t i = 0; i < width; i += LANES) {
            const size_t left = width - i;
            const vec d = load_first(dy + i, left), du = gain ? d * load_first(gain + i, left) : d;
            const vec unit = (load_first(x + i, left) - mean) * inverse;
            store_first(dx + i, left, mul_add(du - level - unit * along, inverse, load_first(dx + i, left)));
            if (dgain)
                store_first(dgain + i, left, mul_add(d, unit, load_first(dgain + i, left)));
            if (dbias)
                store_first(dbias + i, left, load_first(dbias + i, left) + d);
        }
    }
}
