/* Both cores of a chip that has two: the engine's parallel_for. */
#ifndef SHREW_CORES_H
#define SHREW_CORES_H

#include <stdint.h>

void fw_cores_start(void);

/* Called by one task at a time. */
void fw_cores_run(void *context, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument);

#endif
