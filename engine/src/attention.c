/* Rotary positions, the KV cache, and attention: in integers, or in floats for a float cache. */
#include "attention.h"

#include "directory.h"
#include "fixed.h"
#include "options.h"
#include "split.h"

void shrew_attention_prepare(shrew_pass *p) {
    if (p->config->position != SHREW_POSITION_ROPE)
        return;
    const float *frequency = shrew_directory_tensor(p->model, SHREW_ROPE_FREQUENCY, 0).data;
    const uint32_t head_dim = p->config->head_dim;
    for (uint32_t b = 0; b < p->tokens; b++)
        for (uint32_t i = 0; i < head_dim / 2; i++) {
            float *turn = p->s->turns + (size_t)b * head_dim + 2 * i;
            shrew_sincos((float)(p->position + b) * frequency[i], turn + 1, turn);
        }
}

static void rotate(float *restrict head, const float *restrict turn, uint32_t head_dim) {
    for (uint32_t i = 0; i < head_dim; i += 2) {
        const float re = head[i], im = head[i + 1];
        head[i] = re * turn[i] - im * turn[i + 1];
        head[i + 1] = re * turn[i + 1] + im * turn[i];
    }
}

/* Converts a query head to int8 and sets its factor. share: 1 / sqrt(head_dim). */
static void store_query(const shrew_pass *p, const float *x, int8_t *values, float *factor, float share,
                        uint32_t width) {
    const uint32_t head_dim = p->config->head_dim, largest = shrew_largest_magnitude(x, head_dim);
    if (largest >= TWO_POW_100)
        p->session->overflow = 1;
    const shrew_query_scaling scale = shrew_query_scale(largest, share);
    for (uint32_t i = 0; i < head_dim; i++)
        values[i] = (int8_t)shrew_round_product(x[i], scale.inverse); /* within +-127, as inverse is within 2 ulp */
    for (uint32_t i = head_dim; i < width; i++)
        values[i] = 0;
    *factor = scale.factor;
}

/* Stores a head of keys or values in the cache. A magnitude beyond the largest scale saturates. */
static void store_head(shrew_pass *p, const float *x, int8_t *values, uint8_t *code, uint32_t width) {
    const uint32_t head_dim = p->config->head_dim, largest = shrew_largest_magnitude(x, head_dim);
    if (largest >= TWO_POW_100) {
        p->session->overflow = 1;
        return;
    }
    *code = (uint8_t)shrew_scale_code(bits_float(largest) * (1.0f / 127.0f));
    const float inverse = shrew_inverse_of_code(*code);
    const int32_t most = (int32_t)float_bits(127.0f * shrew_scale_of_code(*code));
    for (uint32_t i = 0; i < head_dim; i++) {
        const int32_t magnitude = (int32_t)magnitude_bits(x[i]);
        const uint32_t within = (uint32_t)(magnitude < most ? magnitude : most);
        values[i] = (int8_t)shrew_round_product(bits_float(within | (float_bits(x[i]) & 0x80000000u)), inverse);
    }
    for (uint32_t i = head_dim; i < width; i++)
        values[i] = 0;
}

static void turn(const shrew_pass *p, float *heads, uint32_t b, uint32_t count) {
    const uint32_t D = p->config->head_dim;
    for (uint32_t head = 0; p->config->position == SHREW_POSITION_ROPE && head < count; head++)
        rotate(heads + (size_t)head * D, p->s->turns + (size_t)b * D, D);
}

/* Stores one token's queries, or its keys and values, with the unit's own kernel. */
static void store_token(const shrew_pass *p, uint32_t b, shrew_token_heads *heads) {
    heads->turn = p->config->position == SHREW_POSITION_ROPE ? p->s->turns + (size_t)b * p->config->head_dim : NULL;
    heads->head_dim = p->config->head_dim;
    heads->width = p->session->cache.width;
    if (p->session->kernels->store_heads(heads) >= TWO_POW_100)
        p->session->overflow = 1;
}

static void store_queries(const shrew_pass *p) {
    const shrew_config *c = p->config;
    const shrew_kv_cache *cache = &p->session->cache;
    const float share = shrew_rsqrt((float)c->head_dim);
    for (uint32_t b = 0; b < p->tokens; b++) {
        float *row = p->s->a + (size_t)b * p->s->a_stride;
        const size_t at = (size_t)b * c->heads;
        if (HAS_BLOCK_KERNELS && p->session->kernels->store_heads && cache->key_scales) {
            shrew_token_heads heads = {.x = row, .queries = p->s->queries + at * cache->width,
                                 .factors = p->s->factors + at, .share = share, .heads = c->heads};
            store_token(p, b, &heads);
            continue;
        }
        turn(p, row, b, c->heads);
        for (uint32_t head = 0; cache->key_scales && head < c->heads; head++)
            store_query(p, row + head * c->head_dim, p->s->queries + (at + head) * cache->width,
                        p->s->factors + at + head, share, cache->width);
    }
}

void shrew_store_keys(shrew_pass *p) {
    const shrew_config *c = p->config;
    const shrew_session *session = p->session;
    const shrew_kv_cache *cache = &session->cache;
    const uint32_t D = c->head_dim, kv = c->kv_heads * D;
    for (uint32_t b = 0; b < p->tokens; b++) {
        float *row = p->s->a + (size_t)b * p->s->a_stride + c->heads * D;
        const size_t first = (size_t)p->layer * c->kv_heads * session->context + p->position + b;
        if (HAS_BLOCK_KERNELS && session->kernels->store_heads && cache->key_scales) {
            shrew_token_heads heads = {.x = row, .keys = (int8_t *)cache->keys + first * cache->width,
                                 .values = (int8_t *)cache->values + first * cache->width,
                                 .key_scales = cache->key_scales + first, .value_scales = cache->value_scales + first,
                                 .slab = session->context, .kv_heads = c->kv_heads};
            store_token(p, b, &heads);
            continue;
        }
        turn(p, row, b, c->kv_heads);
        for (uint32_t head = 0; head < c->kv_heads; head++) {
            const float *key = row + head * D, *value = row + kv + head * D;
            const size_t at = first + (size_t)head * session->context;
            if (!HAS_F32 || cache->key_scales) {
                const size_t start = at * cache->width;
                store_head(p, key, (int8_t *)cache->keys + start, cache->key_scales + at, cache->width);
                store_head(p, value, (int8_t *)cache->values + start, cache->value_scales + at, cache->width);
            } else {
                memcpy((float *)cache->keys + at * D, key, D * sizeof *key);
                memcpy((float *)cache->values + at * D, value, D * sizeof *value);
            }
        }
    }
}

/* ---- Floats ----------------------------------------------------------------------------------------------------- */

/* Softmax in place, without the division: returns the reciprocal of the sum. */
static float softmax(float *scores, uint32_t count) {
    float most = scores[0];
    for (uint32_t t = 1; t < count; t++)
        if (scores[t] > most)
            most = scores[t];
    for (uint32_t t = 0; t < count; t++)
        scores[t] = shrew_exp(scores[t] - most);
    return shrew_reciprocal(shrew_sum_f32(scores, count));
}

/* Attention of one token's query heads that share a key head, over the tokens up to and including it. */
static void attend_float(const shrew_pass *p, uint32_t b, uint32_t kv_head, float *scores) {
    const shrew_config *c = p->config;
    const uint32_t D = c->head_dim, shared = c->heads / c->kv_heads, held = p->position + b + 1;
    const size_t base = ((size_t)p->layer * c->kv_heads + kv_head) * p->session->context * D;
    const float *keys = (const float *)p->session->cache.keys + base;
    const float *values = (const float *)p->session->cache.values + base;
    const float scale = shrew_rsqrt((float)D);
    for (uint32_t head = kv_head * shared; head < (kv_head + 1) * shared; head++) {
        const float *query = p->s->a + (size_t)b * p->s->a_stride + (size_t)head * D;
        float *out = p->s->h + (size_t)b * p->s->h_stride + (size_t)head * D;
        for (uint32_t t = 0; t < held; t++)
            scores[t] = shrew_dot_f32(query, keys + (size_t)t * D, D) * scale;
        const float share = softmax(scores, held);
        for (uint32_t d = 0; d < D; d++)
            out[d] = 0.0f;
        for (uint32_t t = 0; t < held; t++)
            for (uint32_t d = 0; d < D; d++)
                out[d] += scores[t] * values[(size_t)t * D + d];
        for (uint32_t d = 0; d < D; d++)
            out[d] *= share;
    }
}

/* ---- Integers --------------------------------------------------------------------------------------------------- */

static shrew_span first_span(const shrew_pass *p, uint32_t kv_head, int32_t *scores) {
    const shrew_config *c = p->config;
    const shrew_kv_cache *cache = &p->session->cache;
    const uint32_t shared = c->heads / c->kv_heads, query = kv_head * shared;
    const size_t at = ((size_t)p->layer * c->kv_heads + kv_head) * p->session->context;
    const shrew_span span = {
        (const int8_t *)cache->keys + at * cache->width, (const int8_t *)cache->values + at * cache->width,
        cache->key_scales + at, cache->value_scales + at,
        p->s->queries + (size_t)query * cache->width, p->s->factors + query,
        p->s->h + (size_t)query * c->head_dim,
        scores, p->position + 1, shared, c->head_dim, cache->width,
    };
    return span;
}

static void attend_integer(const shrew_pass *p, uint32_t kv_head, uint32_t worker, int32_t *scores) {
    const shrew_config *c = p->config;
    const shrew_kernels *kernels = p->session->kernels;
    shrew_span span = first_span(p, kv_head, scores);
    if (HAS_BLOCK_KERNELS && kernels->attend_block && p->tokens > 1) {
        /* scratch.a is free: its contents have moved to the cache and to the queries. */
        const uint32_t room = (uint32_t)((size_t)p->tokens * p->s->a_stride / p->session->workers) & ~15u;
        const shrew_span_block block = {span, p->tokens, c->heads, p->s->h_stride, room,
                                  (int32_t *)(void *)p->s->a + (size_t)worker * room};
        kernels->attend_block(&block);
        return;
    }
    for (uint32_t b = 0; b < p->tokens; b++) {
        kernels->attend(&span);
        span.held++;
        span.queries += (size_t)c->heads * span.width;
        span.factors += c->heads;
        span.out += p->s->h_stride;
    }
}

static void attend_heads(void *argument, uint32_t worker, uint32_t first, uint32_t last) {
    const shrew_pass *p = argument;
    int32_t *scores = p->s->scores + (size_t)worker * p->s->scores_stride;
    for (uint32_t kv_head = first; kv_head < last; kv_head++)
        if (!HAS_F32 || p->session->cache.key_scales)
            attend_integer(p, kv_head, worker, scores);
        else
            for (uint32_t b = 0; b < p->tokens; b++)
                attend_float(p, b, kv_head, (float *)scores);
}

void shrew_attention(shrew_pass *p) {
    const shrew_config *c = p->config;
    const uint64_t held = (uint64_t)p->position + p->tokens;
    store_queries(p);
    shrew_split(p->session, c->kv_heads, 1, 4 * held * p->tokens * c->heads * c->head_dim, attend_heads, p);
}
