/* Where a model's time goes: the marks of a session (shrew_mark), with the caller's clock at each. */
#ifndef SHREW_TIMES_H
#define SHREW_TIMES_H

#include "shrew.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Passes over several tokens at once, as a prompt is read, and over a single one, as an answer is written. Which token
 * comes next is chosen at the end of either. */
enum { SHREW_TIMES_PROMPT, SHREW_TIMES_ANSWER, SHREW_TIMES_KINDS };

enum { SHREW_TIMES_LAYERS = 64 }; /* as many as an image may have */

/* All zero at first. */
typedef struct shrew_times {
    uint64_t tokens[SHREW_TIMES_KINDS];
    uint64_t by_phase[SHREW_TIMES_KINDS][SHREW_PHASES]; /* in the clock's unit */
    uint64_t by_layer[SHREW_TIMES_KINDS][SHREW_TIMES_LAYERS];
    uint32_t layers;             /* that have had time */
    uint32_t kind, phase, layer; /* what goes on, since when */
    uint64_t since;
} shrew_times;

/* For a shrew_mark, whose arguments come last; now is what the clock shows. */
void shrew_times_mark(shrew_times *times, uint64_t now, shrew_phase phase, uint32_t layer, uint32_t tokens);

#ifdef __cplusplus
}
#endif

#endif
