/* The inside of a session. All pointers refer to the caller's memory, after this struct. */
#ifndef SHREW_SESSION_H
#define SHREW_SESSION_H

#include "kernels/kernels.h"
#include "options.h"
#include "recall.h"
#include "shrew.h"

enum { CACHE_MARGIN = 64 }; /* bytes that vector kernels may read past the last row */
/* What the answer is so far. Without a grammar, and for raw text, it is always text. */
enum { ANSWER_IS_TEXT, ANSWER_IS_OPEN /* the beginning of "Do: " */, ANSWER_IS_COMMAND };

/* The progress of an answer towards a command. */
typedef struct shrew_command_walk {
    uint32_t phase;
    uint32_t length; /* bytes matched: of "Do: ", then of the command */
    uint32_t state;  /* in the grammar's automaton */
} shrew_command_walk;

enum { PENDING_BYTES = SHREW_MAX_STOP_BYTES + 256 + 16 }; /* a stop string's beginning, a token, part of a character */

/* The KV cache. Layer and head select a slab of `context` rows. */
typedef struct shrew_kv_cache {
    void *keys, *values;                 /* [layers][kv_heads][context][width] int8, or float with width = head_dim */
    uint8_t *key_scales, *value_scales;  /* [layers][kv_heads][context] scale codes; NULL for floats */
    uint32_t width;                      /* head_dim, rounded up to 8 for int8 */
} shrew_kv_cache;

/* Buffers of one forward pass over a block of B tokens. The sampler and the prompt encoder reuse them at other
 * times. */
typedef struct shrew_scratch {
    float *x;     /* [B][dim] residual stream */
    float *h;     /* [B][h_stride] normed input, then the heads' output; the MLP's output */
    float *a;     /* [B][a_stride] queries, keys, values; attention output; up, gate; scratch row of a norm */
    float *turns; /* [B][head_dim] cosine and sine of each rotary pair */
    int8_t *queries;  /* [B][heads][width] */
    float *factors;   /* [B][heads] */
    int32_t *scores;  /* [workers][scores_stride]: [heads / kv_heads][context rounded up to 16] */
    shrew_quantized_rows q; /* integer copies of h or a */
    uint32_t h_stride, a_stride, scores_stride;
} shrew_scratch;

struct shrew_session {
    const shrew_model *model;
    const shrew_kernels *kernels;
    shrew_parallel_for parallel_for;
    void *parallel_context;
    uint32_t context, block, workers, grain;
    uint32_t position;   /* tokens held */
    uint32_t has_logits;
    uint32_t overflow;   /* a forward pass met NaN, infinity or a magnitude of 2^100 */
    uint64_t random;     /* generator state */
    shrew_kv_cache cache;
    float *hidden;       /* [1 + draft][dim] input of the head for the last token fed and those drafted after it; unused
                          * if draft is 0 */
    float *logits;       /* [vocab] */
    uint16_t *history;   /* [context] ids held, then drafted ids, or the prompt still to be fed */
    void *overlay;       /* the scratch as memory for other uses */
    size_t overlay_bytes;
    shrew_scratch scratch;
    /* Generation. */
    shrew_sampling sampling;
    const char *const *stops;
    uint32_t stop_count;
    uint32_t max_tokens;
    uint32_t prompt_end; /* position after the prompt */
    uint32_t prompt_start;
    uint32_t tokens, digest;
    uint32_t draft;      /* most tokens drafted at once */
    uint32_t ahead;      /* drafted tokens in the cache after position, not yet confirmed */
    uint32_t ahead_row;  /* the row of hidden for the token at position - 1 */
    uint32_t drafted, accepted;
    uint32_t unfed;      /* generated but not appended yet, or SHREW_NO_TOKEN */
    uint32_t unread;     /* ids in the history after position: a question and its answer from memory, not fed yet */
    uint32_t finish;
    shrew_command_walk walk;
    float confidence;    /* product of the probabilities of the answer's tokens, unless it is text */
    shrew_recollection recollection;
    uint32_t generating;
    uint32_t pending_count;
    uint8_t pending[PENDING_BYTES];
    shrew_mark mark;
    void *mark_context;
};

/* Whether the image's memory answers or refuses, and not the model. */
static inline int shrew_recalls(const shrew_session *session) {
    return HAS_MEMORY && session->recollection.verdict != RECALL_NOTHING;
}

static inline void shrew_begin_phase(const shrew_session *session, shrew_phase phase, uint32_t layer,
                                     uint32_t tokens) {
    if (HAS_MARKS && session->mark)
        session->mark(session->mark_context, phase, layer, tokens);
}

#endif
