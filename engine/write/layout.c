#include "layout.h"

#include "bytes.h"
#include "format.h"
#include "metadata.h"
#include "selftest_section.h"
#include "weight_type.h"

enum { MAX_KEY_BYTES = 0xFFFF };

shrew_placed_tensor shrew_place_tensor(const shrew_shape *shape, const shrew_storage *storage, uint64_t end) {
    const uint32_t per_line = shrew_rows_per_byte(storage->type);
    const uint32_t item = storage->type == SHREW_F32 ? 4 : 1;
    shrew_placed_tensor placed;
    placed.stride = (uint32_t)shrew_aligned((uint64_t)shape->cols * item, STRIDE_ALIGNMENT);
    placed.lines = (shape->rows + per_line - 1) / per_line;
    placed.groups = storage->group ? (shape->cols + storage->group - 1) / storage->group : 0;
    placed.data = shrew_aligned(end, DATA_ALIGNMENT);
    placed.end = placed.data + (uint64_t)placed.lines * placed.stride;
    placed.scales = 0;
    if (storage->type != SHREW_F32) {
        placed.scales = shrew_aligned(placed.end, DATA_ALIGNMENT);
        placed.end = placed.scales + (uint64_t)shape->rows * (4 + placed.groups);
    }
    return placed;
}

static int check_storage(const shrew_shape *shape, const shrew_storage *storage) {
    if (storage->type >= SHREW_TYPES)
        return SHREW_E_TYPE;
    if (storage->type == SHREW_F32 ? storage->group != 0 : shape->is_vector || !shrew_group_is_valid(storage->group))
        return SHREW_E_TENSOR;
    return shape->is_vector || shrew_has_type(storage->type) ? SHREW_OK : SHREW_E_TYPE;
}

/* The bytes of the sections of weights and of the directory. */
static int measure_tensors(const shrew_config *config, const shrew_storage *storage, uint64_t *weights,
                           uint64_t *directory) {
    int status = shrew_shape_check(config);
    shrew_shape_walk walk = shrew_shape_begin(config);
    shrew_shape shape;
    *weights = *directory = 0;
    while (!status && shrew_shape_next(&walk, &shape)) {
        status = check_storage(&shape, storage);
        *weights = shrew_place_tensor(&shape, storage++, *weights).end;
        *directory += TENSOR_ENTRY_BYTES;
    }
    return status;
}

static int measure_metadata(const shrew_parts *parts, uint64_t *bytes) {
    *bytes = parts->metadata_pairs ? 4 : 0;
    if (parts->metadata_pairs > MAX_METADATA)
        return SHREW_E_METADATA;
    for (uint32_t i = 0; i < parts->metadata_pairs; i++) {
        const shrew_pair *pair = &parts->metadata[i];
        if (!pair->key || (!pair->value && pair->value_bytes))
            return SHREW_E_ARGUMENT;
        if (pair->key_bytes > MAX_KEY_BYTES || pair->value_bytes > 0xFFFFFFFFu ||
            !shrew_pair_is_valid(pair->key, pair->key_bytes, pair->value_bytes))
            return SHREW_E_METADATA;
        *bytes += 8 + (uint64_t)pair->key_bytes + pair->value_bytes;
    }
    return SHREW_OK;
}

static int measure_selftest(const shrew_parts *parts, uint64_t *bytes) {
    *bytes = 0;
    if (!parts->selftest_prompt)
        return SHREW_OK;
    if (!shrew_selftest_fits(&parts->config, parts->selftest_prompt_tokens, parts->selftest_tokens) ||
        !shrew_ids_exist(&parts->config, parts->selftest_prompt, parts->selftest_prompt_tokens))
        return SHREW_E_SELFTEST_SECTION;
    *bytes = shrew_aligned(SELFTEST_HEADER_BYTES + 2 * (uint64_t)parts->selftest_prompt_tokens, SELFTEST_ALIGNMENT);
    return SHREW_OK;
}

int shrew_place_sections(const shrew_parts *parts, shrew_placed_section sections[SHREW_WRITTEN_SECTIONS],
                         uint32_t *present, uint32_t *bytes) {
    uint64_t weights, directory, metadata, selftest;
    if (!parts || !parts->storage || !parts->tokenizer || (parts->metadata_pairs && !parts->metadata))
        return SHREW_E_ARGUMENT;
    int status = measure_tensors(&parts->config, parts->storage, &weights, &directory);
    if (status || (status = measure_metadata(parts, &metadata)) || (status = measure_selftest(parts, &selftest)))
        return status;
    const shrew_placed_section order[SHREW_WRITTEN_SECTIONS] = {
        {SHREW_SECTION_CONFIG, 0, CONFIG_BYTES},
        {SHREW_SECTION_TOKENIZER, 0, parts->tokenizer_bytes},
        {SHREW_SECTION_UNICODE, 0, parts->unicode ? parts->unicode_bytes : 0},
        {SHREW_SECTION_PROMPTS, 0, parts->prompts ? parts->prompts_bytes : 0},
        {SHREW_SECTION_DIRECTORY, 0, directory},
        {SHREW_SECTION_METADATA, 0, metadata},
        {SHREW_SECTION_COMMANDS, 0, parts->commands ? parts->commands_bytes : 0},
        {SHREW_SECTION_SELFTEST, 0, selftest},
        {SHREW_SECTION_MEMORY, 0, parts->memory ? parts->memory_bytes : 0},
        {SHREW_SECTION_WEIGHTS, 0, weights},
    };
    *present = 0;
    for (uint32_t i = 0; i < SHREW_WRITTEN_SECTIONS; i++)
        *present += order[i].bytes ? 1 : 0;
    uint64_t end = IMAGE_HEADER_BYTES + (uint64_t)*present * SECTION_ENTRY_BYTES;
    for (uint32_t i = 0; i < SHREW_WRITTEN_SECTIONS; i++) {
        sections[i] = order[i];
        if (!sections[i].bytes)
            continue;
        if (sections[i].bytes > 0xFFFFFFFFu)
            return SHREW_E_SIZE;
        sections[i].offset = shrew_aligned(end, SECTION_ALIGNMENT);
        end = sections[i].offset + sections[i].bytes;
        if (end > 0xFFFFFFFFu)
            return SHREW_E_SIZE;
    }
    *bytes = (uint32_t)end;
    return SHREW_OK;
}

int shrew_write_weights_bytes(const shrew_config *config, const shrew_storage *storage, uint32_t *bytes) {
    uint64_t weights, directory;
    if (!config || !storage || !bytes)
        return SHREW_E_ARGUMENT;
    const int status = measure_tensors(config, storage, &weights, &directory);
    if (status)
        return status;
    if (weights > 0xFFFFFFFFu)
        return SHREW_E_SIZE;
    *bytes = (uint32_t)weights;
    return SHREW_OK;
}

int shrew_write_bytes(const shrew_parts *parts, uint32_t *bytes) {
    shrew_placed_section sections[SHREW_WRITTEN_SECTIONS];
    uint32_t present;
    if (!bytes)
        return SHREW_E_ARGUMENT;
    return shrew_place_sections(parts, sections, &present, bytes);
}
