/* Where a model's time goes: the engine's marks (shrew_mark), with the time that the caller's clock shows at each. */
#ifndef SHREW_TIMES_H
#define SHREW_TIMES_H

#include "shrew.h"

/* Passes over several tokens at once, as a prompt is read, and over a single one, as an answer is written. Which token
 * comes next is chosen at the end of either. */
enum { TIMES_PROMPT, TIMES_ANSWER, TIMES_KINDS };

enum { TIMES_LAYERS = 64 }; /* as many as an image may have */

/* All zero at first. */
typedef struct times_record {
    uint64_t tokens[TIMES_KINDS];
    uint64_t by_phase[TIMES_KINDS][SHREW_PHASES]; /* in the clock's unit */
    uint64_t by_layer[TIMES_KINDS][TIMES_LAYERS];
    uint32_t layers; /* that have had time */
    uint32_t kind, phase, layer; /* what goes on, since when */
    uint64_t since;
} times_record;

void fw_times_mark(times_record *spent, uint64_t now, shrew_phase phase, uint32_t layer, uint32_t tokens);

#endif
