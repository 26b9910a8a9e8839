/* The shape of a model: valid configurations, and the tensors that one implies. */
#ifndef SHREW_SHAPE_H
#define SHREW_SHAPE_H

#include "shrew.h"

/* A walk over the tensors of a configuration. Its fields are private to shape.c. */
typedef struct shrew_shape_walk {
    const shrew_config *config;
    uint32_t met; /* conditions (enum need) that the configuration meets */
    uint32_t role, layer; /* to examine next */
} shrew_shape_walk;

/* Checks that all integers are in range and consistent. SHREW_E_CONFIG. */
int shrew_shape_check(const shrew_config *config);

/* Starts a walk before the first tensor. The configuration must have been checked, and must outlive the walk. */
shrew_shape_walk shrew_shape_begin(const shrew_config *config);

/* Gives the next tensor in image order. Returns 0 past the last. */
int shrew_shape_next(shrew_shape_walk *walk, shrew_shape *shape);

/* Whether every layer has its own tensor with this role. */
static inline int shrew_role_is_per_layer(uint32_t role) {
    return role >= SHREW_ATTENTION_NORM_WEIGHT && role <= SHREW_DOWN_BIAS;
}

#endif
