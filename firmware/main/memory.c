#include "memory.h"

#include "esp_heap_caps.h"

#include "board.h"
#include "shrew.h"

enum { INTERNAL = MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT, PSRAM = MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT };

/* PSRAM of eight lines or more is faster than flash of four; of four lines it shares their bus. */
#if CONFIG_SPIRAM_MODE_OCT || CONFIG_SPIRAM_MODE_HEX
enum { PSRAM_IS_FASTER = 1 };
#else
enum { PSRAM_IS_FASTER = 0 };
#endif

static void *take_internal(size_t bytes) {
    if (heap_caps_get_free_size(INTERNAL) < bytes + BOARD_RESERVE)
        return NULL;
    return heap_caps_aligned_alloc(SHREW_ALIGNMENT, bytes, INTERNAL);
}

void *memory_take(size_t bytes) {
    void *memory = take_internal(bytes);
    return memory ? memory : heap_caps_aligned_alloc(SHREW_ALIGNMENT, bytes, PSRAM);
}

void *memory_take_faster(size_t bytes) {
#if CONFIG_IDF_TARGET_LINUX
    (void)bytes;
    return NULL; /* no memory is faster there than the mapped flash */
#else
    void *memory = take_internal(bytes);
    return memory || !PSRAM_IS_FASTER ? memory : heap_caps_aligned_alloc(SHREW_ALIGNMENT, bytes, PSRAM);
#endif
}

void *memory_take_slow(size_t bytes) {
    return heap_caps_malloc(bytes, PSRAM);
}

void *memory_take_any(size_t bytes) {
    return heap_caps_malloc_prefer(bytes, 2, PSRAM, MALLOC_CAP_DEFAULT);
}

void memory_give(void *memory) {
    heap_caps_free(memory);
}

size_t memory_free_internal(void) {
    return heap_caps_get_free_size(INTERNAL);
}

size_t memory_free_psram(void) {
    return heap_caps_get_free_size(PSRAM);
}

size_t memory_largest(void) {
    const size_t internal = heap_caps_get_largest_free_block(INTERNAL), psram = heap_caps_get_largest_free_block(PSRAM);
    return internal > psram ? internal : psram;
}
