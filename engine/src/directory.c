/* The tensor directory: checks that the file has exactly the tensors that its configuration implies, and finds them. */
#include "directory.h"

#include "bytes.h"
#include "format.h"
#include "shape.h"
#include "weight_type.h"

#include <string.h>

/* Walks over the data that the directory's entries describe. */
typedef struct directory_walk {
    const uint8_t *weights;
    uint32_t weights_bytes;
    uint32_t end; /* offset of the end of the data checked so far */
} directory_walk;

/* Each block of data or scales begins at the next multiple of DATA_ALIGNMENT. No sum overflows: the limits of a
 * configuration keep bytes below 2^31, and a section is well short of 2^32. */
static int check_block(directory_walk *walk, uint32_t offset, uint32_t bytes) {
    if (offset != (uint32_t)shrew_aligned(walk->end, DATA_ALIGNMENT) || offset > walk->weights_bytes || bytes > walk->weights_bytes - offset)
        return SHREW_E_TENSOR;
    if (!all_zero(walk->weights + walk->end, offset - walk->end))
        return SHREW_E_RESERVED;
    walk->end = offset + bytes;
    return SHREW_OK;
}

/* Checks that padding is zero, including unused rows of the last byte, and that quantised values are in range. Vector
 * kernels rely on both. */
static int check_rows(const uint8_t *data, uint32_t type, uint32_t rows, uint32_t stride, uint32_t used) {
    const uint32_t per_byte = shrew_rows_per_byte(type);
    for (uint32_t r = 0; r < rows; r += per_byte, data += stride) {
        const uint32_t missing = rows - r < per_byte ? per_byte - (rows - r) : 0;
        const uint8_t unused = (uint8_t)~(0xFFu >> missing * (8 / per_byte));
        if (!all_zero(data + used, stride - used))
            return SHREW_E_RESERVED;
        for (uint32_t i = 0; type != SHREW_F32 && i < used; i++)
            if (data[i] & unused || shrew_byte_is_invalid(type, data[i]))
                return SHREW_E_TENSOR;
    }
    return SHREW_OK;
}

/* Checks the place of row scales and multipliers, and the bound on multipliers that keeps integer sums within 32
 * bits. */
static int check_scales(directory_walk *walk, uint32_t type, uint32_t rows, uint32_t cols, uint32_t group,
                        uint32_t offset) {
    const uint32_t groups = group ? (cols + group - 1) / group : 0;
    const int32_t limit = (int32_t)shrew_multiplier_limit(type, cols);
    const int status = check_block(walk, offset, rows * (4 + groups));
    if (status)
        return status;
    const int8_t *multipliers = (const int8_t *)walk->weights + offset + (size_t)rows * 4;
    for (size_t i = 0; i < (size_t)rows * groups; i++)
        if (multipliers[i] > limit || multipliers[i] < -limit)
            return SHREW_E_TENSOR;
    return SHREW_OK;
}

static int check_entry(directory_walk *walk, const uint8_t *entry, const shrew_shape *shape) {
    const uint32_t rows = shape->rows, cols = shape->cols;
    const uint32_t type = entry[4], group = aligned_u16(entry + 6), stride = aligned_u32(entry + 16);
    const uint32_t scales = aligned_u32(entry + 24);
    if (entry[5] || aligned_u32(entry + 28))
        return SHREW_E_RESERVED;
    if (aligned_u16(entry) != shape->role || aligned_u16(entry + 2) != shape->layer ||
        aligned_u32(entry + 8) != rows || aligned_u32(entry + 12) != cols)
        return SHREW_E_TENSOR;
    if (type >= SHREW_TYPES)
        return SHREW_E_TYPE;
    if (shape->is_vector ? type != SHREW_F32 : !shrew_has_type(type))
        return shape->is_vector ? SHREW_E_TENSOR : SHREW_E_TYPE;
    const uint32_t offset = aligned_u32(entry + 20), used = type == SHREW_F32 ? cols * 4 : cols;
    const uint32_t per_byte = shrew_rows_per_byte(type);
    if (stride != (uint32_t)shrew_aligned(used, STRIDE_ALIGNMENT))
        return SHREW_E_TENSOR;
    int status = check_block(walk, offset, (rows + per_byte - 1) / per_byte * stride);
    if (!status)
        status = check_rows(walk->weights + offset, type, rows, stride, used);
    if (status)
        return status;
    if (type == SHREW_F32)
        return group || scales ? SHREW_E_TENSOR : SHREW_OK;
    if (!shrew_group_is_valid(group))
        return SHREW_E_TENSOR;
    return check_scales(walk, type, rows, cols, group, scales);
}

int shrew_directory_open(shrew_model *model, const uint8_t *directory, uint32_t directory_bytes,
                         const uint8_t *weights, uint32_t weights_bytes) {
    const uint32_t count = directory_bytes / TENSOR_ENTRY_BYTES;
    directory_walk walk = {weights, weights_bytes, 0};
    shrew_shape_walk shapes = shrew_shape_begin(&model->config);
    shrew_shape shape;
    uint32_t index = 0;
    if (directory_bytes % TENSOR_ENTRY_BYTES)
        return SHREW_E_TENSOR;
    memset(model->slot, 0xFF, sizeof model->slot);
    model->layer_tensors = 0;
    while (shrew_shape_next(&shapes, &shape)) {
        if (index >= count)
            return SHREW_E_TENSOR;
        if (shape.layer == 0) {
            model->slot[shape.role] = (uint16_t)index;
            model->layer_tensors += shrew_role_is_per_layer(shape.role) ? 1 : 0;
        }
        const int status = check_entry(&walk, directory + (size_t)index++ * TENSOR_ENTRY_BYTES, &shape);
        if (status)
            return status;
    }
    if (index != count || walk.end != weights_bytes)
        return SHREW_E_TENSOR;
    model->directory = directory;
    model->weights = weights;
    model->tensors = count;
    return SHREW_OK;
}

shrew_tensor shrew_directory_tensor(const shrew_model *model, shrew_role role, uint32_t layer) {
    const uint32_t index = model->slot[role] + layer * model->layer_tensors;
    const uint8_t *entry = model->directory + (size_t)index * TENSOR_ENTRY_BYTES;
    const uint32_t offset = aligned_u32(entry + 20);
    const uint8_t *data = model->weights + offset;
    if (model->places && model->places[index])
        data = model->places[index];
    shrew_tensor tensor;
    tensor.type = entry[4];
    tensor.group = aligned_u16(entry + 6);
    tensor.rows = aligned_u32(entry + 8);
    tensor.cols = aligned_u32(entry + 12);
    tensor.stride = aligned_u32(entry + 16);
    tensor.groups = tensor.group ? (tensor.cols + tensor.group - 1) / tensor.group : 1;
    tensor.data = data;
    const uint8_t *scales = data + (aligned_u32(entry + 24) - offset); /* scales follow the data */
    tensor.row_scales = tensor.type == SHREW_F32 ? NULL : (const float *)(const void *)scales;
    tensor.multipliers = tensor.group ? (const int8_t *)scales + (size_t)tensor.rows * 4 : NULL;
    return tensor;
}

int shrew_model_tensor(const shrew_model *model, shrew_role role, uint32_t layer, shrew_tensor *tensor) {
    if (!model || !tensor || (uint32_t)role >= SHREW_ROLES || !shrew_model_has(model, role))
        return SHREW_E_ARGUMENT;
    if (layer >= (shrew_role_is_per_layer(role) ? model->config.layers : 1))
        return SHREW_E_ARGUMENT;
    *tensor = shrew_directory_tensor(model, role, layer);
    return SHREW_OK;
}

int shrew_model_tensor_bytes(const shrew_model *model, uint32_t index, shrew_role *role, const void **bytes,
                             size_t *size) {
    if (!model || !role || !bytes || !size || index >= model->tensors)
        return SHREW_E_ARGUMENT;
    const uint8_t *entry = model->directory + (size_t)index * TENSOR_ENTRY_BYTES;
    const uint32_t type = entry[4], group = aligned_u16(entry + 6), rows = aligned_u32(entry + 8);
    const uint32_t offset = aligned_u32(entry + 20), per_byte = shrew_rows_per_byte(type);
    *role = (shrew_role)aligned_u16(entry);
    *bytes = model->weights + offset;
    *size = (size_t)((rows + per_byte - 1) / per_byte) * aligned_u32(entry + 16);
    if (type != SHREW_F32) {
        const uint32_t groups = group ? (aligned_u32(entry + 12) + group - 1) / group : 0;
        *size = aligned_u32(entry + 24) - offset + (size_t)rows * (4 + groups);
    }
    return SHREW_OK;
}

int shrew_model_place(shrew_model *model, const void *const *places) {
    if (!model)
        return SHREW_E_ARGUMENT;
    for (uint32_t i = 0; places && i < model->tensors; i++)
        if ((uintptr_t)places[i] % SHREW_ALIGNMENT)
            return SHREW_E_ALIGNMENT;
    model->places = places;
    return SHREW_OK;
}

int shrew_model_is_float(const shrew_model *model) {
    for (uint32_t i = 0; i < model->tensors; i++)
        if (model->directory[(size_t)i * TENSOR_ENTRY_BYTES + 4] != SHREW_F32)
            return 0;
    return 1;
}
