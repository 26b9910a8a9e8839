/* Memory by kind: internal, which is fastest, and PSRAM, which not every chip has.
 *
 * Models use an arena (core/arena.h). It takes all memory that is free after everything else has started, except a
 * reserve. Everything else uses the heap. */
#ifndef SHREW_MEMORY_H
#define SHREW_MEMORY_H

#include <stddef.h>

/* ---- The arena. Only the loading of models uses it. -------------------------------------------------------------- */

/* Takes the arena from the heap, once. What starts later must fit the reserve. */
void fw_memory_start(void);

/* Aligned for the engine. NULL if no piece has room. */
void *fw_memory_take_sram(size_t bytes);
void *fw_memory_take_psram(size_t bytes);

/* Frees everything that was taken. */
void fw_memory_clear(void);

/* Bytes available for tensors. PSRAM counts only if it is faster than flash. */
size_t fw_memory_sram_left(void);
size_t fw_memory_faster_psram_left(void);

/* Size of the arena, for people. */
size_t fw_memory_for_models(void);
size_t fw_memory_psram_for_models(void);

/* ---- The heap ---------------------------------------------------------------------------------------------------- */

/* For buffers that do not slow down answers: in PSRAM, else in internal memory. NULL if there is no room. */
void *fw_memory_take_buffer(size_t bytes);
void fw_memory_give_buffer(void *memory); /* NULL is ignored */

int fw_memory_has_psram(void);
size_t fw_memory_free_internal(void);
size_t fw_memory_free_psram(void);
size_t fw_memory_largest(void); /* the largest free block of either kind */

#endif
