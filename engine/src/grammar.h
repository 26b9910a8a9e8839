/* An image's grammar of commands: an automaton over bytes. docs/FORMAT.md specifies its bytes. */
#ifndef SHREW_GRAMMAR_H
#define SHREW_GRAMMAR_H

#include "bytes.h"
#include "numbers.h"

enum { GRAMMAR_HEADER_BYTES = 8, GRAMMAR_ACCEPTS = 0x8000, GRAMMAR_MOST_EDGES = 0x7FFF };

/* A view of the states and edges in the image. */
typedef struct shrew_grammar {
    float threshold;
    uint32_t states, edges;
    const uint8_t *state; /* [states] u16: first edge, and GRAMMAR_ACCEPTS */
    const uint8_t *edge;  /* [edges]: u8 low, u8 high, u16 target */
} shrew_grammar;

static inline shrew_grammar shrew_view_grammar(const uint8_t *section) {
    shrew_grammar g;
    g.threshold = bits_float(aligned_u32(section));
    g.states = aligned_u16(section + 4);
    g.edges = aligned_u16(section + 6);
    g.state = section + GRAMMAR_HEADER_BYTES;
    g.edge = g.state + 2 * ((size_t)g.states + (g.states & 1));
    return g;
}

static inline uint32_t shrew_first_edge(const shrew_grammar *g, uint32_t state) {
    return state == g->states ? g->edges : aligned_u16(g->state + 2 * (size_t)state) & GRAMMAR_MOST_EDGES;
}

static inline int shrew_accepts(const shrew_grammar *g, uint32_t state) {
    return aligned_u16(g->state + 2 * (size_t)state) & GRAMMAR_ACCEPTS ? 1 : 0;
}

/* Follows the edge for a byte. Returns 0 if there is none. */
static inline int shrew_follow_edge(const shrew_grammar *g, uint32_t *state, uint8_t byte) {
    uint32_t i = shrew_first_edge(g, *state);
    const uint32_t last = shrew_first_edge(g, *state + 1);
    while (i < last && byte > g->edge[4 * (size_t)i + 1])
        i++;
    if (i == last || byte < g->edge[4 * (size_t)i])
        return 0;
    *state = aligned_u16(g->edge + 4 * (size_t)i + 2);
    return 1;
}

/* Checks a commands section. Edges lead only to later states, and a state without edges must accept, so every walk can
 * end in a command. */
int shrew_grammar_check(const uint8_t *section, uint32_t size);

#endif
