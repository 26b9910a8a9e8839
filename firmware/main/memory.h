/* Memory by kind: internal, which is fastest and never used up wholly, and PSRAM, which a chip may have. */
#ifndef SHREW_MEMORY_H
#define SHREW_MEMORY_H

#include <stddef.h>

/* Aligned for the engine; NULL where there is none. Internal memory is given only as far as BOARD_RESERVE is left. */
void *fw_memory_take_sram(size_t bytes);
void *fw_memory_take_psram(size_t bytes);
void *fw_memory_take(size_t bytes); /* internal, else PSRAM */

/* For buffers that no answer waits for: PSRAM, else what there is. */
void *fw_memory_take_any(size_t bytes);

/* Of any of these; NULL is nothing. */
void fw_memory_give(void *memory);

/* Bytes for tensors. PSRAM counts only where it is faster than flash. */
size_t fw_memory_sram_left(void);
size_t fw_memory_faster_psram_left(void);

/* For people. */
size_t fw_memory_free_internal(void);
size_t fw_memory_free_psram(void);
size_t fw_memory_largest(void); /* the largest block of either */

#endif
