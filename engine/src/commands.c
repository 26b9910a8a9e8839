/* Commands: an answer that begins with "Do: " can only become a command of the grammar. */
#include "commands.h"

#include "bytes.h"
#include "grammar.h"
#include "numbers.h"
#include "tokenizer.h"

enum { PREFIX_BYTES = 4 };

static const uint8_t prefix[PREFIX_BYTES] = {'D', 'o', ':', ' '};

/* ---- Walking -------------------------------------------------------------------------------------------------- */

/* Advances the walk by some bytes of the answer. Returns 0 if they lead to no command; walk is then undefined. */
static int advance(const shrew_grammar *g, shrew_command_walk *walk, shrew_byte_span spoken) {
    const uint8_t *bytes = spoken.bytes;
    for (size_t count = spoken.count; count && walk->phase != ANSWER_IS_TEXT; count--, bytes++) {
        if (walk->phase == ANSWER_IS_OPEN) {
            if (*bytes != prefix[walk->length++])
                walk->phase = ANSWER_IS_TEXT;
            else if (walk->length == PREFIX_BYTES)
                *walk = (shrew_command_walk){ANSWER_IS_COMMAND, 0, 0};
            continue;
        }
        if (!shrew_follow_edge(g, &walk->state, *bytes) || walk->length++ == SHREW_MAX_COMMAND_BYTES)
            return 0;
    }
    return 1;
}

static uint32_t last_id(const shrew_session *session) {
    return session->history[session->prompt_end + session->tokens - 1];
}

static int may_follow(const shrew_session *session, const shrew_grammar *g, uint32_t id, shrew_command_walk *walk) {
    *walk = session->walk;
    if (id == session->model->tokenizer.eos) {
        if (walk->phase == ANSWER_IS_OPEN)
            walk->phase = ANSWER_IS_TEXT;
        return walk->phase == ANSWER_IS_TEXT || shrew_accepts(g, walk->state);
    }
    const shrew_byte_span spoken = shrew_spoken_bytes(&session->model->tokenizer, last_id(session), id);
    return (spoken.count || walk->phase != ANSWER_IS_COMMAND) && advance(g, walk, spoken);
}

/* The probability of a token, before any sampling option. */
static float probability(shrew_session *session, uint32_t id) {
    const uint32_t vocab = session->model->config.vocab;
    float *weight = session->overlay, most = session->logits[0];
    for (uint32_t i = 1; i < vocab; i++)
        if (session->logits[i] > most)
            most = session->logits[i];
    for (uint32_t i = 0; i < vocab; i++)
        weight[i] = shrew_exp(session->logits[i] - most);
    return weight[id] * shrew_reciprocal(shrew_sum_f32(weight, vocab));
}

void shrew_commands_choose(shrew_session *session, uint32_t sampled, uint32_t *id) {
    const shrew_grammar g = shrew_view_grammar(session->model->commands);
    const float *logits = session->logits;
    shrew_command_walk walk;
    uint32_t best = sampled;
    if (session->walk.phase == ANSWER_IS_COMMAND || !may_follow(session, &g, sampled, &walk)) {
        best = SHREW_NO_TOKEN;
        for (uint32_t i = 0; i < session->model->config.vocab; i++)
            if ((best == SHREW_NO_TOKEN || logits[i] > logits[best]) && may_follow(session, &g, i, &walk))
                best = i;
    }
    *id = best;
    if (best == SHREW_NO_TOKEN) {
        session->confidence = 0.0f;
        return;
    }
    session->confidence *= probability(session, best);
    may_follow(session, &g, best, &session->walk);
}

int shrew_commands_follow(shrew_session *session, uint32_t id) {
    const shrew_grammar g = shrew_view_grammar(session->model->commands);
    return may_follow(session, &g, id, &session->walk);
}

/* ---- The end -------------------------------------------------------------------------------------------------- */

int shrew_session_command(const shrew_session *session, void *text, size_t capacity, size_t *bytes) {
    if (!session || !text || !bytes)
        return SHREW_E_ARGUMENT;
    if (capacity < SHREW_MAX_COMMAND_BYTES)
        return SHREW_E_BUFFER;
    const int ended = session->finish == SHREW_FINISH_END || session->finish == SHREW_FINISH_REFUSED;
    if (!ended || session->walk.phase != ANSWER_IS_COMMAND)
        return SHREW_E_STATE;
    size_t skip = PREFIX_BYTES, written = 0;
    for (uint32_t at = session->prompt_end; at < session->prompt_end + session->tokens; at++) {
        const shrew_byte_span spoken =
            shrew_spoken_bytes(&session->model->tokenizer, session->history[at - 1], session->history[at]);
        const size_t skipped = skip < spoken.count ? skip : spoken.count;
        skip -= skipped;
        if (spoken.count - skipped > capacity - written)
            return SHREW_E_STATE; /* not the tokens of a command */
        memcpy((uint8_t *)text + written, spoken.bytes + skipped, spoken.count - skipped);
        written += spoken.count - skipped;
    }
    *bytes = written;
    return SHREW_OK;
}

void shrew_commands_finish(shrew_session *session) {
    session->pending_count = 0;
    const shrew_grammar g = shrew_view_grammar(session->model->commands);
    if (session->finish == SHREW_FINISH_END && !shrew_recalls(session) && session->confidence < g.threshold)
        session->finish = SHREW_FINISH_REFUSED;
    if (session->finish != SHREW_FINISH_END)
        return; /* cut short: no command */
    size_t bytes = 0;
    shrew_session_command(session, session->pending + PREFIX_BYTES, PENDING_BYTES - PREFIX_BYTES, &bytes);
    memcpy(session->pending, prefix, PREFIX_BYTES);
    session->pending_count = PREFIX_BYTES + (uint32_t)bytes;
}
