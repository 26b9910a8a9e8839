/* A shrew_parallel_for for computers with an operating system: a few threads that wait between calls. */
#ifndef SHREW_THREADS_H
#define SHREW_THREADS_H

#include <stdint.h>

typedef struct shrew_threads shrew_threads;

/* Starts workers - 1 threads, since the caller works too. NULL if the system refuses. */
shrew_threads *shrew_threads_open(uint32_t workers);

/* Ends the threads. No call may be in progress. */
void shrew_threads_close(shrew_threads *threads);

/* The shrew_parallel_for; context is the shrew_threads. One call at a time. If a thread delays the caller, because
 * another program uses its core, the caller works alone for a while. */
void shrew_threads_for(void *context, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument);

#endif
