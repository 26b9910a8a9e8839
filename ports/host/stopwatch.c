#include "stopwatch.h"

#include <time.h>

void shrew_stopwatch(void *context, shrew_phase phase, uint32_t layer, uint32_t tokens) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    shrew_times_mark(context, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, phase, layer, tokens);
}
