/* Commands: an answer that begins with "Do: " can become one of the grammar's and nothing else. */
#include "commands.h"

#include "bytes.h"
#include "numbers.h"
#include "tokenizer.h"

enum { HEADER_BYTES = 8, ACCEPTS = 0x8000, PREFIX_BYTES = 4, MOST_EDGES = 0x7FFF };

static const uint8_t prefix[PREFIX_BYTES] = {'D', 'o', ':', ' '};

/* ---- The section ---------------------------------------------------------------------------------------------- */

/* States and edges where the image has them. */
typedef struct grammar {
    float threshold;
    uint32_t states, edges;
    const uint8_t *state; /* [states] u16: first edge, and ACCEPTS */
    const uint8_t *edge;  /* [edges]: u8 low, u8 high, u16 target */
} grammar;

static grammar view(const uint8_t *section) {
    grammar g = {bits_float(aligned_u32(section)), aligned_u16(section + 4), aligned_u16(section + 6), NULL, NULL};
    g.state = section + HEADER_BYTES;
    g.edge = g.state + 2 * ((size_t)g.states + (g.states & 1));
    return g;
}

static uint32_t first_edge(const grammar *g, uint32_t state) {
    return state == g->states ? g->edges : aligned_u16(g->state + 2 * (size_t)state) & MOST_EDGES;
}

static int accepts(const grammar *g, uint32_t state) {
    return aligned_u16(g->state + 2 * (size_t)state) & ACCEPTS ? 1 : 0;
}

/* Edges lead to later states only, and a state without edges accepts: so every walk ends in a command. */
int shrew_commands_check(const uint8_t *section, uint32_t size) {
    if (size < HEADER_BYTES)
        return SHREW_E_COMMANDS;
    const grammar g = view(section);
    if (float_bits(g.threshold) > float_bits(1.0f) || g.states < 1 || g.edges > MOST_EDGES ||
        size != HEADER_BYTES + 2 * (g.states + (g.states & 1)) + 4 * g.edges || first_edge(&g, 0))
        return SHREW_E_COMMANDS;
    if (g.states & 1 && aligned_u16(g.state + 2 * (size_t)g.states))
        return SHREW_E_RESERVED;
    for (uint32_t state = 0; state < g.states; state++) {
        const uint32_t first = first_edge(&g, state), last = first_edge(&g, state + 1);
        if (last > g.edges || last < first || (last == first && !accepts(&g, state)))
            return SHREW_E_COMMANDS;
        for (uint32_t i = first, least = 0; i < last; i++) {
            const uint8_t *edge = g.edge + 4 * (size_t)i;
            const uint32_t target = aligned_u16(edge + 2);
            if (edge[0] < least || edge[1] < edge[0] || target <= state || target >= g.states)
                return SHREW_E_COMMANDS;
            least = edge[1] + 1u;
        }
    }
    return SHREW_OK;
}

/* ---- Walking -------------------------------------------------------------------------------------------------- */

/* Moves on by some bytes of the answer. 0 where they lead to no command; then walk means nothing. */
static int advance(const grammar *g, command_walk *walk, const uint8_t *bytes, size_t count) {
    for (; count && walk->phase != ANSWER_IS_TEXT; count--, bytes++) {
        if (walk->phase == ANSWER_IS_OPEN) {
            if (*bytes != prefix[walk->length++])
                walk->phase = ANSWER_IS_TEXT;
            else if (walk->length == PREFIX_BYTES)
                *walk = (command_walk){ANSWER_IS_COMMAND, 0, 0};
            continue;
        }
        uint32_t i = first_edge(g, walk->state);
        const uint32_t last = first_edge(g, walk->state + 1);
        while (i < last && *bytes > g->edge[4 * (size_t)i + 1])
            i++;
        if (i == last || *bytes < g->edge[4 * (size_t)i] || walk->length++ == SHREW_MAX_COMMAND_BYTES)
            return 0;
        walk->state = aligned_u16(g->edge + 4 * (size_t)i + 2);
    }
    return 1;
}

static int may_follow(const shrew_session *session, const grammar *g, uint32_t id, command_walk *walk) {
    *walk = session->walk;
    if (id == session->model->tokenizer.eos) {
        if (walk->phase == ANSWER_IS_OPEN)
            walk->phase = ANSWER_IS_TEXT;
        return walk->phase == ANSWER_IS_TEXT || accepts(g, walk->state);
    }
    size_t count;
    const uint8_t *bytes = shrew_spoken_bytes(session, session->position, id, &count);
    return (count || walk->phase != ANSWER_IS_COMMAND) && advance(g, walk, bytes, count);
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
    const grammar g = view(session->model->commands);
    const float *logits = session->logits;
    command_walk walk;
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
        size_t count;
        const uint8_t *spoken = shrew_spoken_bytes(session, at, session->history[at], &count);
        const size_t skipped = skip < count ? skip : count;
        skip -= skipped;
        memcpy((uint8_t *)text + written, spoken + skipped, count - skipped);
        written += count - skipped;
    }
    *bytes = written;
    return SHREW_OK;
}

/* The image's refusal has the room of a command. */
static void put_refusal(shrew_session *session) {
    const char *key, *value;
    size_t key_bytes, value_bytes;
    for (uint32_t i = 0;
         shrew_model_metadata(session->model, i, &key, &key_bytes, &value, &value_bytes) == SHREW_OK; i++) {
        if (key_bytes != 7 || !bytes_equal(key, "refusal", 7))
            continue;
        session->pending_count = SHREW_MAX_COMMAND_BYTES;
        if (value_bytes < SHREW_MAX_COMMAND_BYTES)
            session->pending_count = (uint32_t)value_bytes;
        memcpy(session->pending, value, session->pending_count);
        return;
    }
}

void shrew_commands_finish(shrew_session *session) {
    session->pending_count = 0;
    if (session->finish == SHREW_FINISH_END && session->confidence < view(session->model->commands).threshold)
        session->finish = SHREW_FINISH_REFUSED;
    if (session->finish == SHREW_FINISH_REFUSED)
        put_refusal(session);
    if (session->finish != SHREW_FINISH_END)
        return; /* cut short, it commands nothing */
    size_t bytes = 0;
    shrew_session_command(session, session->pending + PREFIX_BYTES, PENDING_BYTES - PREFIX_BYTES, &bytes);
    memcpy(session->pending, prefix, PREFIX_BYTES);
    session->pending_count = PREFIX_BYTES + (uint32_t)bytes;
}
