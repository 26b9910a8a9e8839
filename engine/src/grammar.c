#include "grammar.h"

#include "shrew.h"

int shrew_grammar_check(const uint8_t *section, uint32_t size) {
    if (size < GRAMMAR_HEADER_BYTES)
        return SHREW_E_COMMANDS;
    const shrew_grammar g = shrew_view_grammar(section);
    if (float_bits(g.threshold) > float_bits(1.0f) || g.states < 1 || g.edges > GRAMMAR_MOST_EDGES ||
        size != GRAMMAR_HEADER_BYTES + 2 * (g.states + (g.states & 1)) + 4 * g.edges || shrew_first_edge(&g, 0))
        return SHREW_E_COMMANDS;
    if (g.states & 1 && aligned_u16(g.state + 2 * (size_t)g.states))
        return SHREW_E_RESERVED;
    for (uint32_t state = 0; state < g.states; state++) {
        const uint32_t first = shrew_first_edge(&g, state), last = shrew_first_edge(&g, state + 1);
        if (last > g.edges || last < first || (last == first && !shrew_accepts(&g, state)))
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
