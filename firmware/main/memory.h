/* Memory by kind: internal, which is fastest, and PSRAM, which a chip may have.
 *
 * Models have an arena (core/arena.h): all that is free when everything else has started, but for a reserve. Everything
 * else uses the heap. */
#ifndef SHREW_MEMORY_H
#define SHREW_MEMORY_H

#include <stddef.h>

/* ---- The arena. The caller is whoever loads a model. -------------------------------------------------------------- */

/* Takes it from the heap, once: nothing that starts later may need more than the reserve. */
void fw_memory_start(void);

/* Aligned for the engine; NULL where no piece has room. */
void *fw_memory_take_sram(size_t bytes);
void *fw_memory_take_psram(size_t bytes);

/* Forgets all that was taken. */
void fw_memory_clear(void);

/* Bytes for tensors. PSRAM counts only where it is faster than flash. */
size_t fw_memory_sram_left(void);
size_t fw_memory_faster_psram_left(void);

/* Size of the arena, for people. */
size_t fw_memory_for_models(void);
size_t fw_memory_psram_for_models(void);

/* ---- The heap ----------------------------------------------------------------------------------------------------- */

/* For buffers that no answer waits for: PSRAM, else what there is. NULL where there is none. */
void *fw_memory_take_buffer(size_t bytes);
void fw_memory_give_buffer(void *memory); /* NULL is nothing */

int fw_memory_has_psram(void);
size_t fw_memory_free_internal(void);
size_t fw_memory_free_psram(void);
size_t fw_memory_largest(void); /* the largest block of either */

#endif
