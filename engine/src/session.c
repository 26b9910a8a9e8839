#include "session.h"

#include "numbers.h"

enum { DEFAULT_BLOCK = 16 };

static int resolve(const shrew_model *model, const shrew_session_options *options, shrew_session_options *resolved) {
    resolved->context = options && options->context ? options->context : model->config.context;
    resolved->block = options && options->block ? options->block : DEFAULT_BLOCK;
    if (resolved->context > model->config.context || resolved->block > SHREW_MAX_BLOCK)
        return SHREW_E_ARGUMENT;
    if (resolved->block > resolved->context)
        resolved->block = resolved->context;
    return SHREW_OK;
}

static uint32_t largest(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* Hands out parts of the caller's memory, or, with base NULL, only counts. */
typedef struct layout {
    uint8_t *base;
    uint64_t used;
} layout;

static void *take(layout *layout, uint64_t bytes) {
    void *start = layout->base ? layout->base + layout->used : NULL;
    layout->used += (bytes + SHREW_ALIGNMENT - 1) / SHREW_ALIGNMENT * SHREW_ALIGNMENT;
    return start;
}

static void lay_out(layout *layout, shrew_session *session, const shrew_model *model,
                    const shrew_session_options *options) {
    const shrew_config *c = &model->config;
    const uint64_t block = options->block, context = options->context;
    const uint32_t query = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const uint64_t cache = (uint64_t)c->layers * kv * context;
    const uint32_t widest = (largest(largest(c->dim, query), c->ffn) + 15) & ~15u;
    scratch *s = &session->scratch;

    session->keys = take(layout, 4 * cache);
    session->values = take(layout, 4 * cache);
    session->logits = take(layout, 4 * (uint64_t)c->vocab);
    session->history = take(layout, 2 * context);

    const uint64_t before = layout->used;
    session->overlay = take(layout, 0);
    s->h_stride = largest(c->dim, query);
    s->a_stride = largest(query + 2 * kv, 2 * c->ffn);
    s->x = take(layout, 4 * block * c->dim);
    s->h = take(layout, 4 * block * s->h_stride);
    s->a = take(layout, 4 * block * s->a_stride);
    s->t = take(layout, 4 * block * c->dim);
    s->scores = take(layout, 4 * context);
    s->turns = take(layout, c->position == SHREW_POSITION_ROPE ? 4 * block * c->head_dim : 0);
    s->q.values = take(layout, block * widest);
    s->q.scales = take(layout, 4 * block * (widest / 16));
    const uint64_t sampler = 6 * (uint64_t)c->vocab;
    const uint64_t prompt = sizeof(uint16_t) * (SHREW_PROMPT_BYTES_PER_TOKEN * context + SHREW_ALIGNMENT);
    const uint64_t least = before + (sampler > prompt ? sampler : prompt);
    if (layout->used < least)
        take(layout, least - layout->used);
    session->overlay_bytes = (size_t)(layout->used - before);
}

int shrew_session_bytes(const shrew_model *model, const shrew_session_options *options, size_t *bytes) {
    shrew_session_options resolved;
    shrew_session unused;
    if (!model || !bytes || !model->image)
        return SHREW_E_ARGUMENT;
    const int status = resolve(model, options, &resolved);
    if (status)
        return status;
    layout layout = {NULL, 0};
    take(&layout, sizeof(shrew_session));
    lay_out(&layout, &unused, model, &resolved);
    if (layout.used > SIZE_MAX)
        return SHREW_E_MEMORY;
    *bytes = (size_t)layout.used;
    return SHREW_OK;
}

int shrew_session_open(shrew_session **session, const shrew_model *model, const shrew_session_options *options,
                       void *memory, size_t bytes) {
    shrew_session_options resolved;
    size_t needed;
    if (!session || !memory)
        return SHREW_E_ARGUMENT;
    if ((uintptr_t)memory % SHREW_ALIGNMENT)
        return SHREW_E_ALIGNMENT;
    int status = shrew_session_bytes(model, options, &needed);
    if (status)
        return status;
    if (bytes < needed)
        return SHREW_E_MEMORY;
    resolve(model, options, &resolved);
    layout layout = {memory, 0};
    shrew_session *opened = take(&layout, sizeof(shrew_session));
    memset(opened, 0, sizeof *opened);
    opened->model = model;
    opened->context = resolved.context;
    opened->block = resolved.block;
    lay_out(&layout, opened, model, &resolved);
    shrew_session_reset(opened);
    shrew_session_seed(opened, 0);
    *session = opened;
    return SHREW_OK;
}

int shrew_session_reset(shrew_session *session) {
    if (!session)
        return SHREW_E_ARGUMENT;
    session->position = 0;
    session->has_logits = 0;
    session->generating = 0;
    session->unfed = SHREW_NO_TOKEN;
    return SHREW_OK;
}

uint32_t shrew_session_position(const shrew_session *session) {
    return session ? session->position : 0;
}

const float *shrew_session_logits(const shrew_session *session) {
    return session && session->has_logits ? session->logits : NULL;
}

static int all_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!is_finite(values[i]))
            return 0;
    return 1;
}

int shrew_feed_block(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used) {
    if (count > session->context - session->position)
        return SHREW_E_CONTEXT;
    const uint32_t block = count < session->block ? (uint32_t)count : session->block;
    const uint32_t dim = session->model->config.dim, vocab = session->model->config.vocab;
    for (uint32_t i = 0; i < block; i++)
        if (ids[i] >= vocab)
            return SHREW_E_ARGUMENT;
    /* The head is the dearest matrix of a small model: only those tokens pass it whose logits somebody will see. */
    const uint32_t scored = logits ? block : block == count ? 1 : 0;
    session->has_logits = 0;
    if (block)
        shrew_forward(session, ids, block, scored, logits ? logits : session->logits);
    if (!all_finite(session->scratch.x, (size_t)block * dim) ||
        !all_finite(logits ? logits : session->logits, (size_t)scored * vocab))
        return SHREW_E_NUMBER;
    if (block && ids != session->history + session->position) /* where a prompt waits already */
        memcpy(session->history + session->position, ids, block * sizeof *ids);
    if (block && logits)
        memcpy(session->logits, logits + (size_t)(block - 1) * vocab, vocab * sizeof *logits);
    session->position += block;
    session->has_logits = scored > 0;
    *used = block;
    return SHREW_OK;
}

int shrew_feed_unfed(shrew_session *session) {
    if (session->unfed == SHREW_NO_TOKEN)
        return SHREW_OK;
    const uint16_t id = (uint16_t)session->unfed;
    size_t used;
    const int status = shrew_feed_block(session, &id, 1, NULL, &used);
    if (!status)
        session->unfed = SHREW_NO_TOKEN;
    return status;
}

static int feed(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used) {
    size_t taken;
    if (!session || !ids || !count || (!used && count > session->block))
        return SHREW_E_ARGUMENT;
    if (session->generating)
        return SHREW_E_STATE;
    int status = shrew_feed_unfed(session);
    if (!status)
        status = shrew_feed_block(session, ids, count, logits, used ? used : &taken);
    return status;
}

int shrew_session_feed(shrew_session *session, const uint16_t *ids, size_t count, size_t *used) {
    return feed(session, ids, count, NULL, used);
}

int shrew_session_feed_logits(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used) {
    return logits ? feed(session, ids, count, logits, used) : SHREW_E_ARGUMENT;
}
