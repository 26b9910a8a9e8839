#include "memory.h"

#include <stdlib.h>

#include "esp_heap_caps.h"

#include "board.h"
#include "shrew.h"

enum { INTERNAL = MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT, PSRAM = MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT };

size_t fw_memory_free_internal(void) {
    return heap_caps_get_free_size(INTERNAL);
}

size_t fw_memory_free_psram(void) {
    return heap_caps_get_free_size(PSRAM);
}

size_t fw_memory_largest(void) {
    const size_t internal = heap_caps_get_largest_free_block(INTERNAL), psram = heap_caps_get_largest_free_block(PSRAM);
    return internal > psram ? internal : psram;
}

#if CONFIG_IDF_TARGET_LINUX

/* All memory is alike there: as much of it is fast as SHREW_SRAM says. */
size_t fw_memory_sram_left(void) {
    const char *said = getenv("SHREW_SRAM");
    return said ? strtoul(said, NULL, 10) : 0;
}

void *fw_memory_take_sram(size_t bytes) {
    return heap_caps_aligned_alloc(SHREW_ALIGNMENT, bytes, INTERNAL);
}

#else

size_t fw_memory_sram_left(void) {
    const size_t free = fw_memory_free_internal();
    return free > BOARD_RESERVE ? free - BOARD_RESERVE : 0;
}

void *fw_memory_take_sram(size_t bytes) {
    return fw_memory_sram_left() < bytes ? NULL : heap_caps_aligned_alloc(SHREW_ALIGNMENT, bytes, INTERNAL);
}

#endif

/* PSRAM of eight lines or more is faster than flash of four; of four lines it shares their bus. */
size_t fw_memory_faster_psram_left(void) {
#if CONFIG_SPIRAM_MODE_OCT || CONFIG_SPIRAM_MODE_HEX
    return fw_memory_free_psram();
#else
    return 0;
#endif
}

void *fw_memory_take_psram(size_t bytes) {
    return heap_caps_aligned_alloc(SHREW_ALIGNMENT, bytes, PSRAM);
}

void *fw_memory_take(size_t bytes) {
    void *memory = fw_memory_take_sram(bytes);
    return memory ? memory : fw_memory_take_psram(bytes);
}

void *fw_memory_take_any(size_t bytes) {
    return heap_caps_malloc_prefer(bytes, 2, PSRAM, MALLOC_CAP_DEFAULT);
}

void fw_memory_give(void *memory) {
    heap_caps_free(memory);
}
