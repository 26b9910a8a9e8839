/* Opening a session: its options, and the layout of the caller's memory. */
#include "session.h"

#include "directory.h"
#include "options.h"
#include "random.h"
#include "recall.h"

#include <string.h>

enum { DEFAULT_BLOCK = 8, DEFAULT_GRAIN = 32768 };

static uint32_t or_default(uint32_t value, uint32_t otherwise) {
    return value ? value : otherwise;
}

static int resolve(const shrew_model *model, const shrew_session_options *options, shrew_session_options *resolved) {
    shrew_session_options r = {0};
    if (options)
        r = *options;
    r.context = or_default(r.context, model->config.context);
    r.block = or_default(r.block, DEFAULT_BLOCK);
    r.cache = or_default(r.cache, shrew_model_is_float(model) ? SHREW_CACHE_F32 : SHREW_CACHE_INT8);
    r.workers = or_default(r.workers, 1);
    r.grain = or_default(r.grain, DEFAULT_GRAIN);
    if (r.context > model->config.context || r.block > SHREW_MAX_BLOCK || r.cache > SHREW_CACHE_INT8 ||
        r.workers > SHREW_MAX_WORKERS || r.draft >= SHREW_MAX_BLOCK || (!HAS_DRAFT && r.draft) ||
        (!HAS_F32 && r.cache == SHREW_CACHE_F32) || (!HAS_MARKS && r.mark))
        return SHREW_E_ARGUMENT;
    if (r.block <= r.draft)
        r.block = r.draft + 1; /* one block verifies a draft together with the token before it */
    if (r.block > r.context)
        r.block = r.context;
    if (r.draft >= r.block)
        r.draft = r.block - 1;
    *resolved = r;
    return SHREW_OK;
}

static uint32_t largest(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* Allocates parts of the caller's memory; with base NULL only adds up their sizes. */
typedef struct memory_layout {
    uint8_t *base;
    size_t used; /* TOO_MUCH once a part exceeds the address space */
} memory_layout;

#define TOO_MUCH (SIZE_MAX / SHREW_ALIGNMENT * SHREW_ALIGNMENT)

/* Allocates count items of a size other than 0. The limits of a configuration keep both below 2^32. */
static void *take_part(memory_layout *layout, size_t count, size_t size) {
    void *start = layout->base ? layout->base + layout->used : NULL;
    if (count > (TOO_MUCH - layout->used) / size)
        layout->used = TOO_MUCH;
    else
        layout->used += (count * size + SHREW_ALIGNMENT - 1) / SHREW_ALIGNMENT * SHREW_ALIGNMENT;
    return start;
}

/* For fuzzing: a gap between buffers, which SHREW_GUARD(start, bytes) makes inaccessible. */
static void leave_gap(memory_layout *layout) {
#ifdef SHREW_GUARD
    void *gap = take_part(layout, 64, 1);
    if (gap)
        SHREW_GUARD(gap, 64);
#else
    (void)layout;
#endif
}

/* Allocates one row per cached token. */
static void *take_cache(memory_layout *layout, size_t context, size_t row) {
    void *start = take_part(layout, context, row);
    take_part(layout, CACHE_MARGIN, 1);
    leave_gap(layout);
    return start;
}

static void lay_out(memory_layout *layout, shrew_session *session, const shrew_model *model,
                    const shrew_session_options *options) {
    const shrew_config *c = &model->config;
    const uint32_t block = options->block, context = options->context;
    const uint32_t query = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const uint32_t widest = (largest(largest(c->dim, query), c->ffn) + 15) & ~15u;
    const int integers = !HAS_F32 || options->cache == SHREW_CACHE_INT8;
    const uint32_t heads = c->layers * c->kv_heads;
    shrew_kv_cache *cache = &session->cache;
    shrew_scratch *s = &session->scratch;

    leave_gap(layout);
    cache->width = integers ? (c->head_dim + 7) & ~7u : c->head_dim;
    cache->keys = take_cache(layout, context, heads * cache->width * (integers ? 1 : 4));
    cache->values = take_cache(layout, context, heads * cache->width * (integers ? 1 : 4));
    cache->key_scales = integers ? take_cache(layout, context, heads) : NULL;
    cache->value_scales = integers ? take_cache(layout, context, heads) : NULL;
    session->hidden = take_part(layout, options->draft ? 1 + options->draft : 0, 4 * c->dim);
    leave_gap(layout);
    session->logits = take_part(layout, c->vocab, 4);
    leave_gap(layout);
    session->history = take_part(layout, context, 2);
    leave_gap(layout);

    const size_t before = layout->used;
    session->overlay = take_part(layout, 0, 1);
    s->h_stride = largest(c->dim, query);
    s->a_stride = largest(c->dim, largest(query + 2 * kv, 2 * c->ffn));
    s->scores_stride = c->heads / c->kv_heads * ((context + 15) & ~15u);
    s->x = take_part(layout, block, 4 * c->dim);
    s->h = take_part(layout, block, 4 * s->h_stride);
    s->a = take_part(layout, block, 4 * s->a_stride);
    s->turns = take_part(layout, c->position == SHREW_POSITION_ROPE ? block : 0, 4 * c->head_dim);
    s->queries = take_part(layout, integers ? block : 0, c->heads * cache->width);
    s->factors = take_part(layout, integers ? block : 0, 4 * c->heads);
    s->scores = take_part(layout, options->workers, 4 * s->scores_stride);
    s->q.values = take_part(layout, block, 2 * widest);
    s->q.sums = take_part(layout, block, 2 * (widest / 16));
    s->q.scales = take_part(layout, block, 4);
    const size_t sampler = 6 * c->vocab;
    /* The ids of the longest prompt, and, if prompts have a form, the prompt in that form. */
    const size_t prompt_bytes = SHREW_PROMPT_BYTES_PER_TOKEN * context + SHREW_ALIGNMENT;
    const size_t prompt = prompt_bytes * (HAS_PROMPTS && model->prompts ? 3 : 2);
    const size_t recall = HAS_MEMORY && model->memory ? prompt_bytes + shrew_recall_bytes(model->memory) : 0;
    const size_t least = largest(sampler, largest(prompt, recall)), overlay = layout->used - before;
    if (overlay < least)
        take_part(layout, least - overlay, 1);
    session->overlay_bytes = layout->used - before;
}

static int measure_session(const shrew_model *model, const shrew_session_options *options,
                           shrew_session_options *resolved, size_t *bytes) {
    shrew_session unused;
    if (!model || !bytes || !model->image)
        return SHREW_E_ARGUMENT;
    const int status = resolve(model, options, resolved);
    if (status)
        return status;
    memory_layout layout = {NULL, 0};
    take_part(&layout, sizeof(shrew_session), 1);
    lay_out(&layout, &unused, model, resolved);
    *bytes = layout.used;
    return layout.used < TOO_MUCH ? SHREW_OK : SHREW_E_MEMORY;
}

int shrew_session_bytes(const shrew_model *model, const shrew_session_options *options, size_t *bytes) {
    shrew_session_options resolved;
    return measure_session(model, options, &resolved, bytes);
}

int shrew_session_open(shrew_session **session, const shrew_model *model, const shrew_session_options *options,
                       void *memory, size_t bytes) {
    shrew_session_options resolved;
    size_t needed;
    if (!session || !memory)
        return SHREW_E_ARGUMENT;
    if ((uintptr_t)memory % SHREW_ALIGNMENT)
        return SHREW_E_ALIGNMENT;
    const int status = measure_session(model, options, &resolved, &needed);
    if (status)
        return status;
    if (bytes < needed)
        return SHREW_E_MEMORY;
    const shrew_kernels *kernels = shrew_choose_kernels(resolved.unit);
    if (!kernels)
        return SHREW_E_ARGUMENT;
    memory_layout layout = {memory, 0};
    shrew_session *opened = take_part(&layout, sizeof(shrew_session), 1);
    memset(opened, 0, sizeof *opened);
    opened->model = model;
    opened->kernels = kernels;
    opened->parallel_for = resolved.parallel_for;
    opened->parallel_context = resolved.parallel_context;
    if (HAS_MARKS) {
        opened->mark = resolved.mark;
        opened->mark_context = resolved.mark_context;
    }
    opened->context = resolved.context;
    opened->block = resolved.block;
    opened->workers = resolved.workers;
    opened->grain = resolved.grain;
    opened->draft = resolved.draft;
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
    if (HAS_COMMANDS)
        session->finish = SHREW_RUNNING; /* the command of a generation before is gone */
    session->unfed = SHREW_NO_TOKEN;
    if (HAS_MEMORY)
        session->unread = 0;
    session->ahead = 0;
    return SHREW_OK;
}

int shrew_session_seed(shrew_session *session, uint64_t seed) {
    if (!session)
        return SHREW_E_ARGUMENT;
    session->random = shrew_seed_random(seed);
    return SHREW_OK;
}

uint32_t shrew_session_position(const shrew_session *session) {
    return session ? session->position : 0;
}

const float *shrew_session_logits(const shrew_session *session) {
    return session && session->has_logits ? session->logits : NULL;
}
