#include "placing.h"

#include <string.h>

#include "core/placement.h"
#include "memory.h"

static void *copy_of(const shrew_model *model, uint32_t index, void *(*take)(size_t bytes)) {
    shrew_role role;
    const void *bytes;
    size_t size;
    if (shrew_model_tensor_bytes(model, index, &role, &bytes, &size))
        return NULL;
    void *copy = take(fw_placement_bytes(model, index));
    if (copy)
        memcpy(copy, bytes, size);
    return copy;
}

static void copy_all(const shrew_model *model, const placement *memories, placed *copies) {
    for (uint32_t i = 0; i < copies->count; i++) {
        if (memories[i] == PLACEMENT_FLASH)
            continue;
        const int in_sram = memories[i] == PLACEMENT_SRAM;
        copies->places[i] = copy_of(model, i, in_sram ? fw_memory_take_sram : fw_memory_take_psram);
        if (copies->places[i])
            *(in_sram ? &copies->sram_bytes : &copies->psram_bytes) += fw_placement_bytes(model, i);
    }
}

placed fw_placing_take(shrew_model *model, int in_flash) {
    const uint32_t count = model->tensors;
    placed copies = {.count = count, .places = fw_memory_take_any(count * sizeof *copies.places)};
    placement *memories = fw_memory_take_any(count * sizeof *memories);
    if (copies.places)
        memset(copies.places, 0, count * sizeof *copies.places);
    if (copies.places && memories) {
        fw_placement_choose(model, fw_memory_sram_left(), in_flash ? fw_memory_faster_psram_left() : 0, memories);
        copy_all(model, memories, &copies);
        shrew_model_place(model, copies.places);
    }
    fw_memory_give(memories);
    return copies;
}

void fw_placing_give(placed *copies) {
    for (uint32_t i = 0; copies->places && i < copies->count; i++)
        fw_memory_give((void *)copies->places[i]);
    fw_memory_give(copies->places);
    *copies = (placed){.places = NULL};
}
