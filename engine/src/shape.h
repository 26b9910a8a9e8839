/* The shape of a model: which values a configuration may have, and which tensors it implies. */
#ifndef SHREW_SHAPE_H
#define SHREW_SHAPE_H

#include "shrew.h"

/* A walk over the tensors of a configuration. Fields are shape.c's own. */
typedef struct shrew_shape_walk {
    const shrew_config *config;
    uint32_t met; /* what the configuration has that a tensor may need */
    uint32_t role, layer; /* looked at next */
} shrew_shape_walk;

/* Whether all values are within their ranges and fit each other. SHREW_E_CONFIG. */
int shrew_shape_check(const shrew_config *config);

/* Before the first tensor. The configuration is a checked one and outlives the walk. */
shrew_shape_walk shrew_shape_begin(const shrew_config *config);

/* The next tensor in the order of the image; 0 past the last. */
int shrew_shape_next(shrew_shape_walk *walk, shrew_shape *shape);

/* Whether every layer has its own tensor with this role. */
static inline int shrew_role_is_per_layer(uint32_t role) {
    return role >= SHREW_ATTENTION_NORM_WEIGHT && role <= SHREW_DOWN_BIAS;
}

#endif
