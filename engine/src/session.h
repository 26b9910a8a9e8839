/* What a session is inside. All pointers lead into the caller's memory, after this struct. */
#ifndef SHREW_SESSION_H
#define SHREW_SESSION_H

#include "kernels/kernels.h"
#include "shrew.h"

enum { PENDING_BYTES = SHREW_MAX_STOP_BYTES + 256 + 16 }; /* a stop string's beginning, a token, part of a character */

/* Buffers of one forward pass over a block of B tokens; overlaid by the sampler and the prompt encoder, which run at
 * other times. */
typedef struct scratch {
    float *x;       /* [B][dim] residual stream */
    float *h;       /* [B][h_stride] normed input, then attention output */
    float *a;       /* [B][a_stride] queries, keys, values; then up, gate */
    float *t;       /* [B][dim] what a projection adds to the residual stream */
    float *scores;  /* [context] of one head */
    float *turns;   /* [B][head_dim] cosine and sine of each rotary pair */
    quantized_rows q; /* int8 copies of h or a */
    uint32_t h_stride, a_stride;
} scratch;

struct shrew_session {
    const shrew_model *model;
    uint32_t context, block;
    uint32_t position;   /* tokens held */
    uint32_t has_logits;
    uint64_t random;     /* generator state */
    float *keys;         /* [layers][kv_heads][context][head_dim] */
    float *values;       /* the same */
    float *logits;       /* [vocab] */
    uint16_t *history;   /* [context] ids held, then the prompt still to be fed */
    void *overlay;       /* where the scratch lies */
    size_t overlay_bytes;
    scratch scratch;
    /* Generation. */
    shrew_sampling sampling;
    const char *const *stops;
    uint32_t stop_count;
    uint32_t max_tokens;
    uint32_t prompt_end; /* position after the prompt */
    uint32_t prompt_start;
    uint32_t tokens, digest;
    uint32_t unfed;      /* generated but not appended yet, or SHREW_NO_TOKEN */
    uint32_t finish;
    uint32_t generating;
    uint32_t pending_count;
    uint8_t pending[PENDING_BYTES];
};

/* Runs count tokens at the session's position through the model and leaves the residual stream in scratch.x. Writes the
 * logits of the last scored tokens to logits ([scored][vocab]). Does not advance the position: what it wrote into the
 * cache counts only once the position moves past it. */
void shrew_forward(shrew_session *session, const uint16_t *ids, uint32_t count, uint32_t scored, float *logits);

/* Appends at most one block, as shrew_session_feed does, whatever the state of a generation. */
int shrew_feed_block(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used);

/* Appends the generated token that is still waiting, if there is one. */
int shrew_feed_unfed(shrew_session *session);

int shrew_sampling_is_valid(const shrew_sampling *sampling);

#endif
