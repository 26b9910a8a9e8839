#include "times.h"

void fw_times_mark(times_record *spent, uint64_t now, shrew_phase phase, uint32_t layer, uint32_t tokens) {
    const uint64_t took = now - spent->since;
    if (spent->phase)
        spent->by_phase[spent->kind][spent->phase] += took;
    if (spent->phase >= SHREW_PHASE_QKV && spent->phase <= SHREW_PHASE_DOWN) {
        spent->by_layer[spent->kind][spent->layer] += took;
        if (spent->layers <= spent->layer)
            spent->layers = spent->layer + 1;
    }
    if (phase == SHREW_PHASE_EMBED) {
        spent->kind = tokens > 1 ? TIMES_PROMPT : TIMES_ANSWER;
        spent->tokens[spent->kind] += tokens;
    }
    spent->phase = phase;
    spent->layer = layer;
    spent->since = now;
}
