/* Where a model's time goes: the marks of a session (shrew_mark), with the caller's clock at each. */
#ifndef SHREW_TIMES_H
#define SHREW_TIMES_H

#include "shrew.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Passes over several tokens at once, as for a prompt, and passes over one token, as for an answer. Either may end with
 * choosing the next token. */
enum { SHREW_TIMES_PROMPT, SHREW_TIMES_ANSWER, SHREW_TIMES_KINDS };

enum { SHREW_TIMES_LAYERS = 64 }; /* the most that an image may have */

/* Initialise to zeros. */
typedef struct shrew_times {
    uint64_t tokens[SHREW_TIMES_KINDS];
    uint64_t by_phase[SHREW_TIMES_KINDS][SHREW_PHASES]; /* in units of the caller's clock */
    uint64_t by_layer[SHREW_TIMES_KINDS][SHREW_TIMES_LAYERS];
    uint32_t layers;             /* number of layers seen so far */
    uint32_t kind, phase, layer; /* what is running now */
    uint64_t since;              /* when that began */
} shrew_times;

/* Call from a shrew_mark and pass on its last three arguments. now: the caller's clock. */
void shrew_times_mark(shrew_times *times, uint64_t now, shrew_phase phase, uint32_t layer, uint32_t tokens);

#ifdef __cplusplus
}
#endif

#endif
