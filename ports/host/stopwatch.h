/* Where a session's time goes on a computer with a clock. */
#ifndef SHREW_STOPWATCH_H
#define SHREW_STOPWATCH_H

#include "shrew_times.h"

/* A shrew_mark; context is a shrew_times, in nanoseconds. */
void shrew_stopwatch(void *context, shrew_phase phase, uint32_t layer, uint32_t tokens);

#endif
