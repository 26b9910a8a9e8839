#ifndef SHREW_PASS_H
#define SHREW_PASS_H

#include "session.h"

/* The forward pass of one block of tokens. B: tokens in the block; C: dim; H: heads; K: kv_heads; D: head_dim. */
typedef struct shrew_pass {
    shrew_session *session;
    const shrew_model *model;
    const shrew_config *config;
    shrew_scratch *s;
    uint32_t tokens;   /* B */
    uint32_t position; /* of the first token */
    uint32_t layer;
    float per_dim; /* 1 / dim */
} shrew_pass;

#endif
