/* Where big things lie: in internal memory where there is room, else in PSRAM. */
#ifndef SHREW_MEMORY_H
#define SHREW_MEMORY_H

#include <stddef.h>

/* Aligned for the engine; NULL where there is none. Internal memory is given only as far as BOARD_RESERVE is left. */
void *memory_take(size_t bytes);

/* The same for an image that could be read from flash instead: NULL, too, where the memory left is no faster. */
void *memory_take_faster(size_t bytes);

/* Buffers that no answer waits for: in PSRAM where there is some, and elsewhere NULL (memory_take_slow) or anywhere. */
void *memory_take_slow(size_t bytes);
void *memory_take_any(size_t bytes);

/* Of any of these. */
void memory_give(void *memory);

size_t memory_free_internal(void);
size_t memory_free_psram(void);
size_t memory_largest(void); /* the largest block of either */

#endif
