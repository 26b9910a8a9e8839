/* Matrix products of any size, on vectors. */
enum {
    REMAKES = 0,
    STRETCH = 256, /* depth of a partial sum: a panel this deep fills half of the L1 cache */
    BAND = 64,     /* rows computed at a time */
    PACKED = HIGH > LANES ? HIGH : LANES /* rows of a transposed factor gathered together */
};

/* Copies [rows, columns] to rows of `width` floats, padded with zeros. */
static void copy_rows(uint32_t rows, uint32_t columns, const float *from, size_t from_row, uint32_t width, float *to) {
    for (uint32_t r = 0; r < rows; r++, from += from_row, to += width)
        for (uint32_t c = 0; c < width; c += LANES)
            store_first(to + c, width - c, c < columns ? load_first(from + c, columns - c) : splat(0.0f));
}

/* Floats of b in panels of TILE columns, [stretch, TILE] each, one stretch of the depth after another. */
static size_t NAME(panels_floats)(uint32_t columns, uint32_t depth) {
    return ((size_t)columns + TILE - 1) / TILE * TILE * depth;
}

/* Splits the depth into equal parts: a short one would spend most of its time loading and storing sums. */
static uint32_t stretch_of(uint32_t depth) {
    const uint32_t parts = (depth + STRETCH - 1) / STRETCH;
    return (depth + parts - 1) / parts;
}

static void NAME(pack)(const shrew_product_shape *s, const float *b, float *panels) {
    const uint32_t stretch = stretch_of(s->depth);
    for (uint32_t start = 0; start < s->depth; start += stretch) {
        const uint32_t depth = s->depth - start < stretch ? s->depth - start : stretch;
        for (uint32_t j = 0; j < s->columns; j += TILE, panels += (size_t)TILE * depth) {
            const uint32_t columns = s->columns - j < TILE ? s->columns - j : TILE;
            const float *const from = b + start * s->b_row + j * s->b_step;
            if (s->b_step == 1)
                copy_rows(depth, columns, from, s->b_row, TILE, panels);
            else
                transpose(columns, depth, 1.0f, from, s->b_step, TILE, panels, TILE);
        }
    }
}

/* Scratch floats of a product: gathered rows of a transposed a. */
static size_t NAME(product_floats)(const shrew_product_shape *s) {
    const size_t groups = ((size_t)s->rows + PACKED - 1) / PACKED;
    return s->a_step == 1 ? 0 : groups * PACKED * stretch_of(s->depth) + LINE;
}

/* Gathers rows of a transposed a, which are columns in memory, in groups of PACKED side by side. Reads a few whole
 * stored rows at a time: a single column would touch one page per element. */
static void gather_rows(const shrew_product_shape *s, const float *a, uint32_t depth, float *to) {
    enum { FEW = 8 };
    for (uint32_t k = 0; k < depth; k += FEW)
        for (uint32_t i = 0; i < s->rows; i += PACKED)
            copy_rows(depth - k < FEW ? depth - k : FEW, s->rows - i < PACKED ? s->rows - i : PACKED,
                      a + k * s->a_step + i, s->a_step, PACKED, to + (size_t)i * depth + (size_t)k * PACKED);
}

static void NAME(product)(const shrew_product_shape *s, const float *a, const float *panels, const float *from,
                          const float *bias, float *c, float *memory) {
    const int gathered = s->a_step != 1;
    const size_t a_row = gathered ? 1 : s->a_row, a_step = gathered ? PACKED : 1;
    float *const a_rows = gathered ? at_line(memory) : NULL;
    const uint32_t stretch = stretch_of(s->depth);
    for (uint32_t start = 0; start < s->depth; start += stretch, from = c, bias = NULL) {
        const uint32_t depth = s->depth - start < stretch ? s->depth - start : stretch;
        const float *const a_start = a + start * s->a_step,
                    *const here = panels + NAME(panels_floats)(s->columns, start);
        if (gathered)
            gather_rows(s, a_start, depth, a_rows);
        for (uint32_t band = 0; band < s->rows; band += BAND) /* of c, so that writes stay close together */
            for (uint32_t j = 0; j < s->columns; j += TILE) {
                const uint32_t columns = s->columns - j < TILE ? s->columns - j : TILE;
                const uint32_t end = s->rows - band < BAND ? s->rows : band + BAND;
                const float *const panel = here + (size_t)j * depth;
                for (uint32_t i = band; i < end; i += HIGH) {
                    const uint32_t rows = end - i < HIGH ? end - i : HIGH;
                    const float *const rows_of_a =
                        gathered ? a_rows + (size_t)(i - i % PACKED) * depth + i % PACKED : a_start + i * s->a_row;
                    const size_t to = i * s->c_row + j;
                    if (columns > LANES)
                        product(rows, WIDE, columns, depth, rows_of_a, a_row, a_step, panel, TILE,
                                from ? from + to : NULL, bias ? bias + j : NULL, c + to, s->c_row);
                    else
                        product(rows, 1, columns, depth, rows_of_a, a_row, a_step, panel, TILE,
                                from ? from + to : NULL, bias ? bias + j : NULL, c + to, s->c_row);
                }
            }
    }
}
