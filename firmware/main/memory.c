#include "memory.h"

#include <stdlib.h>

#include "esp_heap_caps.h"
#include "esp_log.h"

#include "board.h"
#include "core/arena.h"

enum {
    INTERNAL = MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT,
    PSRAM = MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT,
    HEAP_OVERHEAD = 2 * ARENA_ALIGNMENT /* upper bound for an aligned allocation */
};

static arena models;

/* ---- The heap ---------------------------------------------------------------------------------------------------- */

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

int fw_memory_has_psram(void) {
#if CONFIG_IDF_TARGET_LINUX
    return 1;
#else
    return heap_caps_get_total_size(PSRAM) > 0;
#endif
}

void *fw_memory_take_buffer(size_t bytes) {
    return heap_caps_malloc_prefer(bytes, 2, PSRAM, MALLOC_CAP_DEFAULT);
}

void fw_memory_give_buffer(void *memory) {
    heap_caps_free(memory);
}

/* ---- The arena --------------------------------------------------------------------------------------------------- */

static void add(size_t bytes, arena_kind kind, uint32_t capabilities) {
    void *memory = heap_caps_aligned_alloc(ARENA_ALIGNMENT, bytes, capabilities);
    if (memory && !fw_arena_add(&models, memory, bytes, kind))
        heap_caps_free(memory);
}

#if CONFIG_IDF_TARGET_LINUX

/* Linux has one kind of memory. SHREW_SRAM lists the sizes of pieces that count as fast, such as "106496,65536";
 * SHREW_PSRAM is the size of the slow piece. */
static void take_from_heap(void) {
    const char *sram = getenv("SHREW_SRAM"), *psram = getenv("SHREW_PSRAM");
    for (char *end = (char *)sram; end && *end; end += *end == ',') {
        const char *begin = end;
        const size_t bytes = strtoul(begin, &end, 10);
        if (end == begin)
            break;
        if (bytes)
            add(bytes, ARENA_SRAM, MALLOC_CAP_DEFAULT);
    }
    const size_t other = psram ? strtoul(psram, NULL, 10) : BOARD_LINUX_PSRAM;
    if (other)
        add(other, ARENA_PSRAM, MALLOC_CAP_DEFAULT);
}

#else

/* Takes the largest pieces first, until only the reserve or small pieces are left in the heap. */
static void take_kind(arena_kind kind, uint32_t capabilities, size_t reserve) {
    for (int i = 0; i < BOARD_ARENA_PIECES; i++) {
        const size_t free = heap_caps_get_free_size(capabilities);
        size_t bytes = heap_caps_get_largest_free_block(capabilities);
        if (free < reserve)
            return;
        if (bytes > free - reserve)
            bytes = free - reserve;
        if (bytes < BOARD_LEAST_PIECE)
            return;
        add(bytes - HEAP_OVERHEAD, kind, capabilities);
    }
}

static void take_from_heap(void) {
    take_kind(ARENA_SRAM, INTERNAL, BOARD_RESERVE);
    take_kind(ARENA_PSRAM, PSRAM, BOARD_PSRAM_RESERVE);
}

#endif

void fw_memory_start(void) {
    take_from_heap();
    for (size_t i = 0; i < models.count; i++)
        ESP_LOGI("memory", "%u bytes of %s for models", (unsigned)models.pieces[i].bytes,
                 models.pieces[i].kind == ARENA_SRAM ? "SRAM" : "PSRAM");
}

void *fw_memory_take_sram(size_t bytes) {
    return fw_arena_take(&models, bytes, ARENA_SRAM);
}

void *fw_memory_take_psram(size_t bytes) {
    return fw_arena_take(&models, bytes, ARENA_PSRAM);
}

void fw_memory_clear(void) {
    fw_arena_clear(&models);
}

size_t fw_memory_sram_left(void) {
    return fw_arena_left(&models, ARENA_SRAM);
}

/* PSRAM with eight or more lines is faster than flash with four. PSRAM with four lines shares the flash's bus. */
size_t fw_memory_faster_psram_left(void) {
#if CONFIG_SPIRAM_MODE_OCT || CONFIG_SPIRAM_MODE_HEX
    return fw_arena_left(&models, ARENA_PSRAM);
#else
    return 0;
#endif
}

size_t fw_memory_for_models(void) {
    return fw_arena_bytes(&models, ARENA_SRAM);
}

size_t fw_memory_psram_for_models(void) {
    return fw_arena_bytes(&models, ARENA_PSRAM);
}
