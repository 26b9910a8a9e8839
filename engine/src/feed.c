/* Appending tokens to a session. */
#include "feed.h"

#include "draft.h"
#include "forward.h"
#include "numbers.h"

int shrew_feed_block(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used) {
    if (count > session->context - session->position)
        return SHREW_E_CONTEXT;
    const shrew_scratch *s = &session->scratch;
    const uint32_t block = count < session->block ? (uint32_t)count : session->block;
    const uint32_t dim = session->model->config.dim, vocab = session->model->config.vocab;
    for (uint32_t i = 0; i < block; i++)
        if (ids[i] >= vocab)
            return SHREW_E_ARGUMENT;
    /* The head is the most expensive matrix of a small model: only tokens whose logits are needed pass through it. */
    const uint32_t scored = logits ? block : block == count ? 1 : 0;
    float *const scores = logits ? logits : session->logits;
    session->has_logits = 0;
    session->ahead = 0;
    session->overflow = 0;
    if (block)
        shrew_forward(session, ids, block, scored);
    if (scored)
        shrew_score(session, s->h, s->h_stride, scored, scores);
    if (session->overflow || !shrew_all_finite(s->x, (size_t)block * dim) ||
        !shrew_all_finite(scores, (size_t)scored * vocab))
        return SHREW_E_NUMBER;
    if (block && ids != session->history + session->position) /* a prompt is already there */
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
    const int status = HAS_DRAFT && session->draft && session->generating && session->position < session->context
                           ? shrew_feed_with_draft(session, id)
                           : shrew_feed_block(session, &id, 1, NULL, &used);
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
    const int forgets = HAS_MEMORY && session->unread; /* an answer from memory, whose last token is unfed */
    int status = forgets ? SHREW_OK : shrew_feed_unfed(session);
    if (!status)
        status = shrew_feed_block(session, ids, count, logits, used ? used : &taken);
    if (forgets && !status) {
        session->unfed = SHREW_NO_TOKEN;
        session->unread = 0;
        session->finish = SHREW_RUNNING;
    }
    shrew_begin_phase(session, SHREW_PHASE_NONE, 0, 0);
    return status;
}

int shrew_session_feed(shrew_session *session, const uint16_t *ids, size_t count, size_t *used) {
    return feed(session, ids, count, NULL, used);
}

int shrew_session_feed_logits(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used) {
    return logits ? feed(session, ids, count, logits, used) : SHREW_E_ARGUMENT;
}
