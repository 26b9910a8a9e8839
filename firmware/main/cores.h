/* The engine's parallel_for, on both cores of a dual-core chip. */
#ifndef SHREW_CORES_H
#define SHREW_CORES_H

#include <stdint.h>

void fw_cores_start(void);

/* Only one task at a time may call it. */
void fw_cores_run(void *context, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument);

#endif
