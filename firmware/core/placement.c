#include "placement.h"

size_t fw_placement_bytes(const shrew_model *model, uint32_t index) {
    shrew_role role;
    const void *bytes;
    size_t size = 0;
    shrew_model_tensor_bytes(model, index, &role, &bytes, &size);
    return (size + PLACEMENT_ALIGNMENT - 1) & ~(size_t)(PLACEMENT_ALIGNMENT - 1);
}

/* Whether a token reads the whole tensor. It reads one row of an embedding table, unless the head is tied to it. */
static int is_read_whole(const shrew_model *model, uint32_t index) {
    shrew_role role;
    const void *bytes;
    size_t size;
    shrew_model_tensor_bytes(model, index, &role, &bytes, &size);
    return role != SHREW_POSITION_EMBEDDING && (role != SHREW_TOKEN_EMBEDDING || model->config.flags & SHREW_TIED_HEAD);
}

/* The smallest tensor still in flash, the first among equals; model->tensors if there is none. There are only a few
 * hundred, so a linear search suffices. */
static uint32_t smallest(const shrew_model *model, const placement *memories) {
    uint32_t found = model->tensors;
    for (uint32_t i = 0; i < model->tensors; i++)
        if (memories[i] == PLACEMENT_FLASH && is_read_whole(model, i) &&
            (found == model->tensors || fw_placement_bytes(model, i) < fw_placement_bytes(model, found)))
            found = i;
    return found;
}

static void fill(const shrew_model *model, placement memory, size_t left, placement *memories) {
    for (uint32_t i = smallest(model, memories); i < model->tensors; i = smallest(model, memories)) {
        if (fw_placement_bytes(model, i) > left)
            return;
        memories[i] = memory;
        left -= fw_placement_bytes(model, i);
    }
}

void fw_placement_choose(const shrew_model *model, size_t sram, size_t psram, placement *memories) {
    for (uint32_t i = 0; i < model->tensors; i++)
        memories[i] = PLACEMENT_FLASH;
    fill(model, PLACEMENT_SRAM, sram, memories);
    fill(model, PLACEMENT_PSRAM, psram, memories);
}
