/* Speculative decoding without a second model. The draft is what followed the latest earlier occurrence of the last few
 * tokens. One block pass verifies it, which reads each weight once for all drafted tokens. Every token is still chosen
 * from the logits of plain decoding, by the same call, so the text cannot differ. */
#include "draft.h"

#include "forward.h"
#include "numbers.h"

enum { LONGEST_MATCH = 4, SHORTEST_MATCH = 2 }; /* a match of one token predicts little: bench/draft.py */

/* Finds the latest earlier occurrence of the last few tokens, and returns the position after it; held if none. */
static uint32_t find_continuation(const uint16_t *history, uint32_t held) {
    for (uint32_t length = LONGEST_MATCH; length >= SHORTEST_MATCH; length--)
        for (uint32_t end = held - 1; end >= length; end--) {
            uint32_t same = 0;
            while (same < length && history[end - 1 - same] == history[held - 1 - same])
                same++;
            if (same == length)
                return end;
        }
    return held;
}

/* Writes a draft after the held tokens and returns its length. The copied range may overlap the draft. */
static uint32_t write_draft(uint16_t *history, uint32_t held, uint32_t most) {
    const uint32_t from = find_continuation(history, held);
    if (from == held)
        return 0;
    for (uint32_t i = 0; i < most; i++)
        history[held + i] = history[from + i];
    return most;
}

static int score_row(shrew_session *session, uint32_t row) {
    const uint32_t dim = session->model->config.dim;
    shrew_score(session, session->hidden + (size_t)row * dim, dim, 1, session->logits);
    session->position++;
    session->has_logits = 1;
    return shrew_all_finite(session->logits, session->model->config.vocab) ? SHREW_OK : SHREW_E_NUMBER;
}

/* The forward pass over a token and its draft. If a number overflows, repeats the pass without the draft. */
static void pass_draft(shrew_session *session, uint16_t *ids, uint32_t *drafted) {
    const uint32_t dim = session->model->config.dim;
    const shrew_scratch *s = &session->scratch;
    for (;;) {
        session->overflow = 0;
        shrew_forward(session, ids, 1 + *drafted, 1 + *drafted);
        const size_t values = (size_t)(1 + *drafted) * dim;
        if (!*drafted || (!session->overflow && shrew_all_finite(s->x, values)))
            break;
        *drafted = 0;
    }
    for (uint32_t b = 0; b <= *drafted; b++)
        memcpy(session->hidden + (size_t)b * dim, s->h + (size_t)b * s->h_stride, dim * sizeof(float));
}

int shrew_feed_with_draft(shrew_session *session, uint16_t id) {
    const uint32_t position = session->position;
    uint16_t *ids = session->history + position;
    session->has_logits = 0;
    if (session->ahead && *ids == id) {
        session->ahead--;
        session->accepted++;
        return score_row(session, ++session->ahead_row);
    }
    *ids = id;
    uint32_t room = session->context - position - 1;
    uint32_t drafted = write_draft(session->history, position + 1, room < session->draft ? room : session->draft);
    pass_draft(session, ids, &drafted);
    if (session->overflow || !shrew_all_finite(session->scratch.x, session->model->config.dim))
        return SHREW_E_NUMBER;
    session->ahead = drafted;
    session->ahead_row = 0;
    session->drafted += drafted;
    return score_row(session, 0);
}
