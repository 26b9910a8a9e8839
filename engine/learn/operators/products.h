/* Matrix products. Tiles of sums stay in registers, panels in the L1 cache. A tile is HIGH rows of WIDE vectors: as
 * many sums as fit the registers. */
#if LANES == 16
enum { HIGH = 8, WIDE = 2 };
#else
enum { HIGH = 4, WIDE = 2 };
#endif

enum { TILE = WIDE * LANES };

/* Interleaves vectors of the first half with those of the second, element by element. */
INLINE void weave(const vec *from, vec *to) {
    UNROLLED for (uint32_t i = 0; i < LANES / 2; i++)
        interleave(from[i], from[i + LANES / 2], &to[2 * i], &to[2 * i + 1]);
}

/* Transposes from [rows, columns] to [columns, width], times scale; columns of `to` without a row get zeros. */
static void transpose(uint32_t rows, uint32_t columns, float scale, const float *from, size_t from_row, uint32_t width,
                      float *to, size_t to_row) {
    for (uint32_t r = 0; r < width; r += LANES)
        for (uint32_t c = 0; c < columns; c += LANES) {
            vec block[LANES], mixed[LANES];
            UNROLLED for (uint32_t i = 0; i < LANES; i++)
                block[i] = r + i < rows ? load_first(from + (r + i) * from_row + c, columns - c) * splat(scale)
                                        : splat(0.0f);
            /* log2(LANES) rounds */
            if (LANES >= 2)
                weave(block, mixed);
            if (LANES >= 4)
                weave(mixed, block);
            if (LANES >= 8)
                weave(block, mixed);
            if (LANES >= 16)
                weave(mixed, block);
            const vec *const columns_of = LANES == 2 || LANES == 8 ? mixed : block;
            UNROLLED for (uint32_t i = 0; i < LANES; i++)
                if (c + i < columns)
                    store_first(to + (c + i) * to_row + r, width - r, columns_of[i]);
        }
}

/* c[i][0 .. columns) = from[i] + bias + the sum over k of a[i * a_row + k * a_step] * b[k][0 .. wide), for `high` rows.
 * from has rows like c's, and may be c; it and bias may be NULL. */
INLINE void product_rows(uint32_t high, uint32_t wide, uint32_t columns, uint32_t depth, const float *a, size_t a_row,
                         size_t a_step, const float *b, size_t b_row, const float *from, const float *bias,
                         float *c, size_t c_row) {
    vec sums[2 * HIGH][WIDE];
    UNROLLED for (uint32_t i = 0; i < high; i++)
        UNROLLED for (uint32_t j = 0; j < wide; j++) {
            sums[i][j] = from ? load_first(from + i * c_row + j * LANES, columns - j * LANES) : splat(0.0f);
            if (bias)
                sums[i][j] = sums[i][j] + load_first(bias + j * LANES, columns - j * LANES);
        }
    for (uint32_t k = 0; k < depth; k++) {
        vec row[WIDE];
        UNROLLED for (uint32_t j = 0; j < wide; j++)
            row[j] = load(b + k * b_row + j * LANES);
        UNROLLED for (uint32_t i = 0; i < high; i++) {
            const vec factor = splat(a[i * a_row + k * a_step]);
            UNROLLED for (uint32_t j = 0; j < wide; j++)
                sums[i][j] = mul_add(factor, row[j], sums[i][j]);
        }
    }
    UNROLLED for (uint32_t i = 0; i < high; i++)
        UNROLLED for (uint32_t j = 0; j < wide; j++)
            store_first(c + i * c_row + j * LANES, columns - j * LANES, sums[i][j]);
}

/* The same for any number of rows. */
INLINE void product(uint32_t rows, uint32_t wide, uint32_t columns, uint32_t depth, const float *a, size_t a_row,
                    size_t a_step, const float *b, size_t b_row, const float *from, const float *bias,
                    float *c, size_t c_row) {
    const uint32_t high = wide == 1 ? 2 * HIGH : HIGH;
    uint32_t i = 0;
    for (; i + high <= rows; i += high)
        product_rows(high, wide, columns, depth, a + i * a_row, a_row, a_step, b, b_row, from ? from + i * c_row : NULL,
                     bias, c + i * c_row, c_row);
    for (; i + 2 <= rows; i += 2)
        product_rows(2, wide, columns, depth, a + i * a_row, a_row, a_step, b, b_row, from ? from + i * c_row : NULL,
                     bias, c + i * c_row, c_row);
    if (i < rows)
        product_rows(1, wide, columns, depth, a + i * a_row, a_row, a_step, b, b_row, from ? from + i * c_row : NULL,
                     bias, c + i * c_row, c_row);
}
