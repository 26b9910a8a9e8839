/* Matrix products of any size on AMX tiles of bfloat16. A float is split into a sum of two bfloat16, 16 bits in all. Of
 * the four products of two floats' parts, the three that matter at this precision are added, in float32.
 *
 * A tile of a factor covers SIDE rows of a, or SIDE columns of b, by DEPTH steps of the sum, in SIDE lines of 64 bytes.
 * Line i of a tile of a is row i. Line i of a tile of b is pair i of the steps, for all columns side by side. A pair is
 * two steps in 32 bits, step i below step i + SIDE, so that lines of either kind are made from vectors as loaded. */
enum { SIDE = 16, DEPTH = 2 * SIDE, PARTS = 2, TILE_FLOATS = SIDE * SIDE };
enum { REMAKES = 1 };
enum { STRETCH = 128 }; /* depth of a partial sum: two strips of a and two of b fill the L1 cache */

typedef struct tile_shapes {
    uint8_t palette, start, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
} tile_shapes;

/* gcc does not know that tile instructions read memory. This keeps it from removing stores that nothing else reads. */
INLINE void written(const void *to) {
    __asm__ volatile("" ::"r"(to) : "memory");
}

static void use_tiles(void) {
    tile_shapes shapes = {.palette = 1};
    for (uint32_t i = 0; i < 8; i++) {
        shapes.line_bytes[i] = 64;
        shapes.lines[i] = SIDE;
    }
    written(&shapes);
    _tile_loadconfig(&shapes);
}

static uint32_t up_to(uint32_t count, uint32_t multiple) {
    return (count + multiple - 1) / multiple * multiple;
}

/* Rounds to the nearest bfloat16 by adding and subtracting 65537 x, which rounds away the lower bits. NaN stays NaN;
 * magnitudes above 2^111 become NaN. */
INLINE vec rounded(vec x) {
    const vec large = mul_add(x, splat(65536.0f), x);
    return large - (large - x);
}

/* Splits floats, `lines` rows or columns of `depth` steps, into the parts of a tile, one tile after the other. along:
 * steps are contiguous and lines `stride` floats apart; otherwise lines are contiguous and steps `stride` floats apart.
 * turned: a line of the input becomes a column of the tile instead of a line. */
INLINE void split_tile(int along, int turned, uint32_t lines, uint32_t depth, const float *from, size_t stride,
                       float *to) {
    vec parts[PARTS][SIDE];
    const uint32_t later = depth > SIDE ? depth - SIDE : 0;
    const lanes upper = splat_bits(0xFFFF0000), half = splat_bits(0x8000);
    UNROLLED for (uint32_t i = 0; i < SIDE; i++) {
        vec low = splat(0.0f), high = splat(0.0f);
        if (along && i < lines) {
            low = load_first(from + i * stride, depth);
            if (later)
                high = load_first(from + i * stride + SIDE, later);
        }
        if (!along && i < depth)
            low = load_first(from + i * stride, lines);
        if (!along && i < later)
            high = load_first(from + (i + SIDE) * stride, lines);
        const vec low_first = rounded(low), high_first = rounded(high);
        const lanes low_rest = bits_of(low - low_first) + half, high_rest = bits_of(high - high_first) + half;
        /* The mask matters for results below 2^-126, where the sum above keeps more bits than a bfloat16 has. */
        parts[0][i] = of_bits(bits_of(low_first) >> 16 | (bits_of(high_first) & upper));
        parts[1][i] = of_bits(low_rest >> 16 | (high_rest & upper));
    }
    for (uint32_t part = 0; part < PARTS; part++, to += TILE_FLOATS) {
        vec mixed[SIDE];
        if (turned) {
            weave(parts[part], mixed);
            weave(mixed, parts[part]);
            weave(parts[part], mixed);
            weave(mixed, parts[part]);
        }
        UNROLLED for (uint32_t i = 0; i < SIDE; i++)
            store(to + i * SIDE, parts[part][i]);
    }
}

/* A strip of SIDE rows or columns, one tile after another along the sum. */
INLINE void split_strip(int along, int turned, uint32_t lines, uint32_t depth, const float *from, size_t stride,
                        float *to) {
    for (uint32_t k = 0; k < depth; k += DEPTH, to += PARTS * TILE_FLOATS) {
        const float *const here = from + (along ? k : k * stride);
        if (lines >= SIDE && depth - k >= DEPTH)
            split_tile(along, turned, SIDE, DEPTH, here, stride, to);
        else
            split_tile(along, turned, lines, depth - k, here, stride, to);
    }
}

static size_t strip_floats(uint32_t depth) {
    return (size_t)up_to(depth, DEPTH) / DEPTH * PARTS * TILE_FLOATS;
}

/* Floats of b in an even number of strips, one stretch of the depth after another. */
static size_t NAME(panels_floats)(uint32_t columns, uint32_t depth) {
    return up_to(columns, 2 * SIDE) / SIDE * strip_floats(depth);
}

/* Splits the depth into equal parts: a short one would spend most of its time loading and storing sums. */
static uint32_t stretch_of(uint32_t depth) {
    const uint32_t parts = (depth + STRETCH - 1) / STRETCH;
    return up_to((depth + parts - 1) / parts, DEPTH);
}

static void NAME(pack)(const shrew_product_shape *s, const float *b, float *panels) {
    const uint32_t stretch = stretch_of(s->depth);
    for (uint32_t start = 0; start < s->depth; start += stretch) {
        const uint32_t depth = s->depth - start < stretch ? s->depth - start : stretch;
        const size_t strip = strip_floats(depth);
        for (uint32_t j = 0; j < s->columns; j += SIDE, panels += strip) {
            const float *const from = b + start * s->b_row + j * s->b_step;
            if (s->b_step == 1)
                split_strip(0, 0, s->columns - j, depth, from, s->b_row, panels);
            else
                split_strip(1, 1, s->columns - j, depth, from, s->b_step, panels);
        }
        if (up_to(s->columns, SIDE) % (2 * SIDE)) {
            memset(panels, 0, strip * sizeof(float));
            panels += strip;
        }
    }
}

static size_t NAME(product_floats)(const shrew_product_shape *s) {
    (void)s;
    return 0;
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* Where a tile's sums are loaded from or stored to. */
typedef struct tile_place {
    float *at;
    size_t bytes; /* from one line to the next */
} tile_place;

/* Sums start as from + bias; either may be NULL. Uses them in place if possible, else computes them in `whole`. */
INLINE tile_place first_sums(uint32_t rows, uint32_t columns, const float *from, const float *bias, size_t c_row,
                             float *whole) {
    static const float zeros[SIDE];
    const int complete = rows >= SIDE && columns >= SIDE;
    if (!from && !bias)
        return (tile_place){(float *)zeros, 0};
    if (complete && !bias)
        return (tile_place){(float *)from, c_row * sizeof(float)};
    if (complete && !from)
        return (tile_place){(float *)bias, 0};
    const vec shift = bias ? load_first(bias, columns) : splat(0.0f);
    for (uint32_t i = 0; i < SIDE; i++)
        store(whole + i * SIDE, from && i < rows ? load_first(from + i * c_row, columns) + shift : shift);
    written(whole);
    return (tile_place){whole, SIDE * sizeof(float)};
}

INLINE void last_sums(uint32_t rows, uint32_t columns, const float *whole, float *c, size_t c_row) {
    for (uint32_t i = 0; i < rows && i < SIDE; i++)
        store_first(c + i * c_row, columns, load(whole + i * SIDE));
}

/* Multiplies two strips of a by two of b. Tiles 0 to 3 hold the sums, 4 and 5 parts of a, 6 and 7 parts of b. */
INLINE void add_products(uint32_t depth, const float *a, const float *b, size_t strip) {
    enum { LINE_BYTES = SIDE * sizeof(float) };
    for (uint32_t k = 0; k < depth; k += DEPTH, a += PARTS * TILE_FLOATS, b += PARTS * TILE_FLOATS)
        UNROLLED for (uint32_t i = 0; i < PARTS; i++) {
            _tile_loadd(4, a + i * TILE_FLOATS, LINE_BYTES);
            _tile_loadd(5, a + strip + i * TILE_FLOATS, LINE_BYTES);
            UNROLLED for (uint32_t j = 0; j < PARTS - i; j++) {
                _tile_loadd(6, b + j * TILE_FLOATS, LINE_BYTES);
                _tile_loadd(7, b + strip + j * TILE_FLOATS, LINE_BYTES);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
}

/* At most two strips of rows and of columns. */
static void product_of_strips(uint32_t rows, uint32_t columns, uint32_t depth, const float *a, const float *b,
                              const float *from, const float *bias, float *c, size_t c_row) {
    float whole[4][TILE_FLOATS] __attribute__((aligned(64)));
    tile_place first[4], last[4];
    UNROLLED for (uint32_t i = 0; i < 4; i++) {
        const uint32_t row = i / 2 * SIDE, column = i % 2 * SIDE;
        const size_t at = row * c_row + column;
        const uint32_t rows_here = rows > row ? rows - row : 0, columns_here = columns > column ? columns - column : 0;
        const int inside = rows_here && columns_here, complete = rows_here >= SIDE && columns_here >= SIDE;
        first[i] = first_sums(rows_here, columns_here, from && inside ? from + at : NULL,
                              bias && inside ? bias + column : NULL, c_row, whole[i]);
        last[i] = complete ? (tile_place){c + at, c_row * sizeof(float)} : (tile_place){whole[i], SIDE * sizeof(float)};
    }
    _tile_loadd(0, first[0].at, first[0].bytes);
    _tile_loadd(1, first[1].at, first[1].bytes);
    _tile_loadd(2, first[2].at, first[2].bytes);
    _tile_loadd(3, first[3].at, first[3].bytes);
    add_products(depth, a, b, strip_floats(depth));
    _tile_stored(0, last[0].at, last[0].bytes);
    _tile_stored(1, last[1].at, last[1].bytes);
    _tile_stored(2, last[2].at, last[2].bytes);
    _tile_stored(3, last[3].at, last[3].bytes);
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t row = i / 2 * SIDE, column = i % 2 * SIDE;
        if (rows > row && columns > column && (rows - row < SIDE || columns - column < SIDE))
            last_sums(rows - row, columns - column, whole[i], c + row * c_row + column, c_row);
    }
}

static void NAME(product)(const shrew_product_shape *s, const float *a, const float *panels, const float *from,
                          const float *bias, float *c, float *memory) {
    float band[2 * (STRETCH / DEPTH) * PARTS * TILE_FLOATS] __attribute__((aligned(64)));
    const uint32_t stretch = stretch_of(s->depth);
    (void)memory;
    use_tiles();
    for (uint32_t start = 0; start < s->depth; start += stretch, from = c, bias = NULL) {
        const uint32_t depth = s->depth - start < stretch ? s->depth - start : stretch;
        const float *const here = panels + NAME(panels_floats)(s->columns, start);
        const size_t strip = strip_floats(depth);
        for (uint32_t i = 0; i < s->rows; i += 2 * SIDE) {
            const uint32_t rows = s->rows - i < 2 * SIDE ? s->rows - i : 2 * SIDE;
            for (uint32_t row = 0; row < rows; row += SIDE) {
                const float *const from_a = a + (i + row) * s->a_row + start * s->a_step;
                if (s->a_step == 1)
                    split_strip(1, 0, rows - row, depth, from_a, s->a_row, band + row / SIDE * strip);
                else
                    split_strip(0, 1, rows - row, depth, from_a, s->a_step, band + row / SIDE * strip);
            }
            if (rows <= SIDE)
                memset(band + strip, 0, strip * sizeof(float));
            written(band);
            for (uint32_t j = 0; j < s->columns; j += 2 * SIDE) {
                const size_t to = i * s->c_row + j;
                product_of_strips(rows, s->columns - j, depth, band, here + j / SIDE * strip, from ? from + to : NULL,
                                  bias ? bias + j : NULL, c + to, s->c_row);
            }
        }
    }
    _tile_release();
}
