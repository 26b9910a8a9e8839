#ifndef SHREW_DIRECTORY_H
#define SHREW_DIRECTORY_H

#include "shrew.h"

/* Checks the tensor directory against model->config and the weights section, and sets the fields that describe it. */
int shrew_directory_open(shrew_model *model, const uint8_t *directory, uint32_t directory_bytes,
                         const uint8_t *weights, uint32_t weights_bytes);

/* The tensor of a role. The configuration must imply it. */
shrew_tensor shrew_directory_tensor(const shrew_model *model, shrew_role role, uint32_t layer);

/* Whether every matrix is f32. */
int shrew_model_is_float(const shrew_model *model);

static inline int shrew_model_has(const shrew_model *model, shrew_role role) {
    return model->slot[role] != 0xFFFF;
}

#endif
