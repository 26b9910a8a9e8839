/* Choosing a token. Every filter keeps a prefix of the tokens ordered by probability (lower id first among equals). */
#include "numbers.h"
#include "options.h"
#include "random.h"
#include "sampling.h"
#include "session.h"

typedef struct candidates {
    float *weight;   /* [vocab] logit, later e^logit, by id */
    uint16_t *order; /* heap of ids: the likeliest at the root */
    uint32_t count;  /* in the heap */
} candidates;

static int before(const candidates *c, uint16_t a, uint16_t b) {
    const int32_t rank_a = float_rank(c->weight[a]), rank_b = float_rank(c->weight[b]);
    return rank_a > rank_b || (rank_a == rank_b && a < b);
}

static void sift_down(candidates *c, uint32_t at) {
    for (;;) {
        uint32_t first = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < c->count; child++)
            if (before(c, c->order[child], c->order[first]))
                first = child;
        if (first == at)
            return;
        const uint16_t swap = c->order[at];
        c->order[at] = c->order[first];
        c->order[first] = swap;
        at = first;
    }
}

/* Removes the likeliest candidate from the heap. Removed ids fill the array from its end backwards. */
static uint16_t take_best(candidates *c) {
    const uint16_t best = c->order[0];
    c->order[0] = c->order[--c->count];
    c->order[c->count] = best;
    sift_down(c, 0);
    return best;
}

static uint32_t likeliest(const float *weight, uint32_t vocab) {
    enum { RUN = 32 }; /* tested as a whole first: few runs have a likelier token, and compilers vectorise the test */
    uint32_t best = 0;
    for (uint32_t start = 0; start < vocab; start += RUN) {
        int likelier = 0;
        const uint32_t end = vocab - start < RUN ? vocab : start + RUN;
        const int32_t most = float_rank(weight[best]);
        for (uint32_t id = start; id < end; id++)
            likelier |= float_rank(weight[id]) > most;
        for (uint32_t id = start; likelier && id < end; id++)
            if (float_rank(weight[id]) > float_rank(weight[best]))
                best = id;
    }
    return best;
}

static void penalize(const shrew_session *session, float penalty, float *weight) {
    const float inverse = shrew_reciprocal(penalty);
    for (uint32_t i = 0; i < session->position; i++) { /* always from the logits, so a repeated id is penalised once */
        const uint16_t id = session->history[i];
        const float logit = session->logits[id];
        weight[id] = logit > 0.0f ? logit * inverse : logit * penalty;
    }
}

/* Top-k, top-p and min-p: removes the tokens that pass from the heap. Returns how many; *kept is the sum of their
 * weights. */
static uint32_t filter(candidates *c, const shrew_sampling *sampling, uint32_t top_k, float *kept) {
    const uint32_t vocab = c->count;
    for (uint32_t i = vocab / 2; i-- > 0;)
        sift_down(c, i);
    float total = 0.0f; /* of the candidates that top-k keeps */
    if (top_k == vocab) {
        total = shrew_sum_f32(c->weight, vocab);
    } else {
        for (uint32_t i = 0; i < top_k; i++)
            total += c->weight[take_best(c)];
        /* The choice is among the removed tokens. The array's tail holds them, the best one last. */
    }
    const float enough = sampling->top_p < 1.0f ? sampling->top_p * total : FLT_MAX;
    uint32_t count = 0;
    *kept = 0.0f;
    while (count < top_k) {
        const uint16_t next = top_k == vocab ? take_best(c) : c->order[vocab - 1 - count];
        if (HAS_EVERY_FILTER && count && c->weight[next] < sampling->min_p) /* the likeliest has weight 1 */
            break;
        *kept += c->weight[next];
        count++;
        if (*kept >= enough)
            break;
    }
    return count;
}

static int choose(shrew_session *session, const shrew_sampling *sampling, uint32_t *id) {
    const uint32_t vocab = session->model->config.vocab;
    const int greedy = sampling->temperature < 0.001f;
    const int penalizes = HAS_EVERY_FILTER && sampling->repetition_penalty != 1.0f;
    if (greedy && !penalizes) {
        *id = likeliest(session->logits, vocab);
        return SHREW_OK;
    }
    candidates c = {session->overlay, NULL, vocab};
    c.order = (uint16_t *)(void *)(c.weight + vocab);
    memcpy(c.weight, session->logits, vocab * sizeof *c.weight);
    if (penalizes)
        penalize(session, sampling->repetition_penalty, c.weight);
    *id = likeliest(c.weight, vocab); /* also the fallback if rounding leaves the sum below short of the target */
    const float most = c.weight[*id];
    if (penalizes && !is_finite(most)) /* the penalty can overflow */
        return SHREW_E_NUMBER;
    if (greedy)
        return SHREW_OK;
    const float inverse = shrew_reciprocal(sampling->temperature);
    for (uint32_t i = 0; i < vocab; i++) {
        c.weight[i] = shrew_exp((c.weight[i] - most) * inverse);
        c.order[vocab - 1 - i] = (uint16_t)i;
    }
    const float uniform = (float)(shrew_next_random(&session->random) >> 8) * (1.0f / 16777216.0f);
    const uint32_t top_k = HAS_EVERY_FILTER && sampling->top_k && sampling->top_k < vocab ? sampling->top_k : vocab;
    uint32_t count = vocab;
    float kept, sum = 0.0f;
    if (top_k == vocab && sampling->top_p >= 1.0f && (!HAS_EVERY_FILTER || sampling->min_p <= 0.0f))
        kept = shrew_sum_f32(c.weight, vocab);
    else
        count = filter(&c, sampling, top_k, &kept);
    const float target = uniform * kept;
    for (const uint16_t *next = c.order + vocab; count; count--) { /* from the end, where the removed tokens are */
        sum += c.weight[*--next];
        if (sum > target) {
            *id = *next;
            break;
        }
    }
    return SHREW_OK;
}

int shrew_session_sample(shrew_session *session, const shrew_sampling *sampling, uint32_t *id) {
    if (!session || !sampling || !id || !shrew_sampling_is_valid(sampling))
        return SHREW_E_ARGUMENT;
    if (!session->has_logits)
        return SHREW_E_STATE;
    shrew_begin_phase(session, SHREW_PHASE_CHOOSE, 0, 1);
    const int status = choose(session, sampling, id);
    shrew_begin_phase(session, SHREW_PHASE_NONE, 0, 0);
    return status;
}
