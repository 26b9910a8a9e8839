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

static placed copy_all(const shrew_model *model, const placement *memories, const void **places) {
    placed copied = {0, 0};
    for (uint32_t i = 0; i < model->tensors; i++) {
        const int in_sram = memories[i] == PLACEMENT_SRAM;
        places[i] = memories[i] == PLACEMENT_FLASH
                        ? NULL
                        : copy_of(model, i, in_sram ? fw_memory_take_sram : fw_memory_take_psram);
        if (places[i])
            *(in_sram ? &copied.sram_bytes : &copied.psram_bytes) += fw_placement_bytes(model, i);
    }
    return copied;
}

static void *take_table(size_t bytes) {
    void *table = fw_memory_take_psram(bytes);
    return table ? table : fw_memory_take_sram(bytes);
}

placed fw_placing_take(shrew_model *model, int in_flash) {
    const void **places = take_table(model->tensors * sizeof *places);
    placement *memories = take_table(model->tensors * sizeof *memories);
    if (!places || !memories)
        return (placed){0, 0};
    fw_placement_choose(model, fw_memory_sram_left(), in_flash ? fw_memory_faster_psram_left() : 0, memories);
    const placed copied = copy_all(model, memories, places);
    shrew_model_place(model, places);
    return copied;
}
