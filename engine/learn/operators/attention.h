/* Causal attention with grouped queries that never stores all T * T scores. Scores are computed in tiles that stay in
 * the L1 cache, and recomputed in the backward. The R = T * G rows are the queries of the G heads that share a key
 * head; row t * G + g belongs to token t. Scores are base-2 exponents. A tile is TILE lanes wide: lanes are rows in the
 * forward, keys in the backward. */
enum { DEEP = 64 }; /* keys (forward) or rows (backward) per tile */

#define UNSEEN (-1e30f) /* the score of a later key, which the mask hides */

/* ---- Between tokens and tiles ------------------------------------------------------------------------------------ */

typedef struct head_group {
    const shrew_learn_heads *shape;
    uint32_t rows, group; /* R, G */
    size_t qkv_row;       /* floats from one token to the next */
    uint32_t query, key, value, out; /* offsets of this group's heads in a token's row */
    size_t first;         /* the document's first token */
} head_group;

static head_group group_of(const shrew_learn_heads *s, uint32_t document, uint32_t kv_head) {
    const uint32_t group = s->heads / s->kv_heads, D = s->head_dim;
    return (head_group){
        .shape = s,
        .rows = s->tokens * group,
        .group = group,
        .qkv_row = (size_t)(s->heads + 2 * s->kv_heads) * D,
        .query = kv_head * group * D,
        .key = (s->heads + kv_head) * D,
        .value = (s->heads + s->kv_heads + kv_head) * D,
        .out = kv_head * group * D,
        .first = (size_t)document * s->tokens,
    };
}

/* Copies one head of `tokens` tokens to rows of `row` floats, padded with zeros. */
static void gather_head(const float *from, size_t stride, uint32_t tokens, uint32_t D, uint32_t row, float *to) {
    for (uint32_t t = 0; t < tokens; t++, from += stride, to += row)
        for (uint32_t d = 0; d < row; d += LANES)
            store_first(to + d, row - d, d < D ? load_first(from + d, D - d) : splat(0.0f));
}

/* The inverse of gather_head. */
static void scatter_head(const float *from, uint32_t tokens, uint32_t D, uint32_t row, float *to, size_t stride) {
    for (uint32_t t = 0; t < tokens; t++, from += row, to += stride)
        for (uint32_t d = 0; d < D; d += LANES)
            store_first(to + d, D - d, load_first(from + d, D - d));
}

/* head_dim rounded up to whole vectors. */
INLINE uint32_t padded(uint32_t D) {
    return (D + LANES - 1) / LANES * LANES;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static size_t NAME(attention_floats)(const shrew_learn_heads *s) {
    const size_t D = s->head_dim, T = s->tokens, R = T * (s->heads / s->kv_heads), P = padded(s->head_dim);
    const size_t forward = D * R + 2 * D * T + 2 * D * TILE + (size_t)DEEP * TILE;
    const size_t backward = 2 * D * R + R + P * R + (T + TILE) * P + 4 * D * TILE + 2 * (size_t)DEEP * TILE;
    const size_t lines = 12 * LINE; /* one for each array */
    return (forward > backward ? forward : backward) + lines;
}

/* Masks the scores of lanes whose row precedes key_row, the first row that sees the key. */
INLINE vec only_seen(vec score, uint32_t first_lane, uint32_t first_row, size_t key_row) {
    const vec row = counting() + splat((float)first_lane);
    const vec limit = splat((float)key_row - (float)first_row); /* rows from here on see the key */
    return where(less(row, limit), splat(UNSEEN), score);
}

static void NAME(attention)(const shrew_learn_heads *s, const float *qkv, float *out, float *lse, float *memory) {
    const uint32_t D = s->head_dim, T = s->tokens, G = s->heads / s->kv_heads, R = T * G;
    const size_t out_row = (size_t)s->heads * D;
    memory = at_line(memory);
    float *const queries = take(&memory, (size_t)R * D), *const keys = take(&memory, (size_t)T * D);
    float *const values = take(&memory, (size_t)T * D), *const scores = take(&memory, DEEP * TILE);
    float *const q = take(&memory, D * TILE), *const y = take(&memory, D * TILE);
    const float scale = 1.44269502f * inverse_root((float)D);

    for (uint32_t document = 0; document < s->batch; document++)
        for (uint32_t kv_head = 0; kv_head < s->kv_heads; kv_head++, lse += R) {
            const head_group g = group_of(s, document, kv_head);
            const float *const tokens = qkv + g.first * g.qkv_row;
            gather_head(tokens + g.query, g.qkv_row, T, G * D, G * D, queries);
            gather_head(tokens + g.key, g.qkv_row, T, D, D, keys);
            gather_head(tokens + g.value, g.qkv_row, T, D, D, values);
            for (uint32_t first = 0; first < R; first += TILE) {
                const uint32_t count = R - first < TILE ? R - first : TILE;
                const uint32_t seen = (first + count - 1) / G + 1; /* keys that the last row sees */
                vec most[WIDE], total[WIDE];
                transpose(count, D, scale, queries + (size_t)first * D, D, TILE, q, TILE);
                memset(y, 0, (size_t)D * TILE * sizeof(float));
                UNROLLED for (uint32_t j = 0; j < WIDE; j++) {
                    most[j] = splat(UNSEEN);
                    total[j] = splat(0.0f);
                }
                for (uint32_t key = 0; key < seen; key += DEEP) {
                    const uint32_t depth = seen - key < DEEP ? seen - key : DEEP;
                    product(depth, WIDE, TILE, D, keys + (size_t)key * D, D, 1, q, TILE, NULL, NULL, scores, TILE);
                    for (uint32_t k = 0; k < depth; k++) /* mask the keys that the first row does not see */
                        if ((size_t)(key + k) * G > first)
                            UNROLLED for (uint32_t j = 0; j < WIDE; j++) {
                                float *const score = scores + k * TILE + j * LANES;
                                store(score, only_seen(load(score), j * LANES, first, (size_t)(key + k) * G));
                            }
                    vec before[WIDE], sum[WIDE];
                    UNROLLED for (uint32_t j = 0; j < WIDE; j++) {
                        before[j] = most[j];
                        sum[j] = splat(0.0f);
                    }
                    for (uint32_t k = 0; k < depth; k += 2) { /* two at a time, which halves the dependency chain */
                        const float *const score = scores + k * TILE,
                                    *const next = k + 1 < depth ? score + TILE : score;
                        UNROLLED for (uint32_t j = 0; j < WIDE; j++)
                            most[j] = larger(most[j], larger(load(score + j * LANES), load(next + j * LANES)));
                    }
                    for (uint32_t k = 0; k < depth; k++)
                        UNROLLED for (uint32_t j = 0; j < WIDE; j++) {
                            float *const score = scores + k * TILE + j * LANES;
                            const vec p = exp2_of(load(score) - most[j]);
                            store(score, p);
                            sum[j] = sum[j] + p;
                        }
                    UNROLLED for (uint32_t j = 0; j < WIDE; j++) {
                        const vec fade = exp2_of(before[j] - most[j]);
                        total[j] = mul_add(total[j], fade, sum[j]);
                        if (key)
                            for (uint32_t d = 0; d < D; d++)
                                store(y + d * TILE + j * LANES, load(y + d * TILE + j * LANES) * fade);
                    }
                    product(D, WIDE, TILE, depth, values + (size_t)key * D, 1, D, scores, TILE, y, NULL, y, TILE);
                }
                UNROLLED for (uint32_t j = 0; j < WIDE; j++) {
                    const vec share = splat(1.0f) / total[j];
                    for (uint32_t d = 0; d < D; d++)
                        store(y + d * TILE + j * LANES, load(y + d * TILE + j * LANES) * share);
                    if (j * LANES < count)
                        store_first(lse + first + j * LANES, count - j * LANES, most[j] + log2_of(total[j]));
                }
                transpose(D, count, 1.0f, y, TILE, D, queries + (size_t)first * D, D); /* no longer needed as queries */
            }
            scatter_head(queries, T, G * D, G * D, out + g.first * out_row + g.out, out_row);
        }
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* With p = softmax(scores) and y = p v: dv = p' dy, ds = p (dy v' - dy.y), dq = ds k, dk = ds' q. */
static void NAME(attention_backward)(const shrew_learn_heads *s, const float *qkv, const float *out, const float *lse,
                                     const float *dout, float *dqkv, float *memory) {
    const uint32_t D = s->head_dim, T = s->tokens, G = s->heads / s->kv_heads, R = T * G, P = padded(D);
    const size_t out_row = (size_t)s->heads * D;
    memory = at_line(memory);
    float *const queries = take(&memory, (size_t)R * D), *const dy = take(&memory, (size_t)R * D);
    float *const along = take(&memory, R), *const dq = take(&memory, (size_t)R * P);
    float *const keys = take(&memory, (size_t)(T + TILE) * P);
    float *const k_tile = take(&memory, D * TILE), *const v_tile = take(&memory, D * TILE);
    float *const dk = take(&memory, D * TILE), *const dv = take(&memory, D * TILE);
    float *const p = take(&memory, DEEP * TILE), *const ds = take(&memory, DEEP * TILE);
    const float root = inverse_root((float)D), scale = 1.44269502f * root;

    for (uint32_t document = 0; document < s->batch; document++)
        for (uint32_t kv_head = 0; kv_head < s->kv_heads; kv_head++, lse += R) {
            const head_group g = group_of(s, document, kv_head);
            const float *const tokens = qkv + g.first * g.qkv_row;
            float *const dtokens = dqkv + g.first * g.qkv_row;
            gather_head(tokens + g.query, g.qkv_row, T, G * D, G * D, queries);
            gather_head(tokens + g.key, g.qkv_row, T, D, P, keys);
            memset(keys + (size_t)T * P, 0, (size_t)TILE * P * sizeof(float));
            gather_head(dout + g.first * out_row + g.out, out_row, T, G * D, G * D, dy);
            for (uint32_t row = 0; row < R; row++) {
                const float *const y = out + (g.first + row / G) * out_row + g.out + (size_t)(row % G) * D;
                vec dots = splat(0.0f);
                for (uint32_t d = 0; d < D; d += LANES)
                    dots = mul_add(load_first(dy + (size_t)row * D + d, D - d), load_first(y + d, D - d), dots);
                along[row] = sum_of(dots);
            }
            memset(dq, 0, (size_t)R * P * sizeof(float));

            for (uint32_t first = 0; first < T; first += TILE) {
                const uint32_t count = T - first < TILE ? T - first : TILE;
                const float *const key_rows = tokens + first * g.qkv_row;
                transpose(count, D, scale, key_rows + g.key, g.qkv_row, TILE, k_tile, TILE);
                transpose(count, D, 1.0f, key_rows + g.value, g.qkv_row, TILE, v_tile, TILE);
                memset(dk, 0, (size_t)D * TILE * sizeof(float));
                memset(dv, 0, (size_t)D * TILE * sizeof(float));
                for (uint32_t start = first * G; start < R; start += DEEP) {
                    const uint32_t depth = R - start < DEEP ? R - start : DEEP;
                    const float *const q_rows = queries + (size_t)start * D, *const dy_rows = dy + (size_t)start * D;
                    product(depth, WIDE, TILE, D, q_rows, D, 1, k_tile, TILE, NULL, NULL, p, TILE);
                    product(depth, WIDE, TILE, D, dy_rows, D, 1, v_tile, TILE, NULL, NULL, ds, TILE);
                    for (uint32_t i = 0; i < depth; i++) {
                        const vec shift = splat(lse[start + i]), mean = splat(along[start + i]);
                        const uint32_t token = (start + i) / G - first; /* sees the lanes up to its own */
                        UNROLLED for (uint32_t j = 0; j < WIDE; j++) {
                            float *const p_at = p + i * TILE + j * LANES, *const ds_at = ds + i * TILE + j * LANES;
                            vec score = load(p_at) - shift;
                            if (token < TILE - 1)
                                score = where(less(splat((float)token), counting() + splat((float)(j * LANES))),
                                               splat(UNSEEN), score);
                            const vec share = exp2_of(score);
                            store(p_at, share);
                            store(ds_at, share * (load(ds_at) - mean));
                        }
                    }
                    product(D, WIDE, TILE, depth, dy_rows, 1, D, p, TILE, dv, NULL, dv, TILE);
                    product(D, WIDE, TILE, depth, q_rows, 1, D, ds, TILE, dk, NULL, dk, TILE);
                    for (uint32_t d = 0; d < P; d += TILE) {
                        const float *const k_rows = keys + (size_t)first * P + d;
                        float *const dq_rows = dq + (size_t)start * P + d;
                        if (P - d >= TILE)
                            product(depth, WIDE, TILE, TILE, ds, TILE, 1, k_rows, P, dq_rows, NULL, dq_rows, P);
                        else
                            product(depth, 1, LANES, TILE, ds, TILE, 1, k_rows, P, dq_rows, NULL, dq_rows, P);
                    }
                }
                float *const dkey_rows = dtokens + first * g.qkv_row;
                transpose(D, count, root, dk, TILE, D, dkey_rows + g.key, g.qkv_row);
                transpose(D, count, 1.0f, dv, TILE, D, dkey_rows + g.value, g.qkv_row);
            }
            for (uint32_t row = 0; row < R; row++) {
                float *const to = dtokens + row / G * g.qkv_row + g.query + (size_t)(row % G) * D;
                for (uint32_t d = 0; d < D; d += LANES)
                    store_first(to + d, D - d, load(dq + (size_t)row * P + d) * splat(root));
            }
        }
}
