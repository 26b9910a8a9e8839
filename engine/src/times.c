#include "shrew_times.h"

void shrew_times_mark(shrew_times *times, uint64_t now, shrew_phase phase, uint32_t layer, uint32_t tokens) {
    const uint64_t took = now - times->since;
    if (times->phase)
        times->by_phase[times->kind][times->phase] += took;
    if (times->phase >= SHREW_PHASE_QKV && times->phase <= SHREW_PHASE_DOWN) {
        times->by_layer[times->kind][times->layer] += took;
        if (times->layers <= times->layer)
            times->layers = times->layer + 1;
    }
    if (phase == SHREW_PHASE_EMBED) {
        times->kind = tokens > 1 ? SHREW_TIMES_PROMPT : SHREW_TIMES_ANSWER;
        times->tokens[times->kind] += tokens;
    }
    times->phase = phase;
    times->layer = layer;
    times->since = now;
}
