#ifndef SHREW_ATTENTION_H
#define SHREW_ATTENTION_H

#include "pass.h"

/* Turns keys in scratch.a and moves them and the values into the cache. */
void shrew_store_keys(shrew_pass *p);

/* Turns queries in scratch.a and leaves the heads' output in scratch.h. */
void shrew_attention(shrew_pass *p);

/* Cosine and sine of every rotary pair for the block's positions: the same for all layers and heads. */
void shrew_attention_prepare(shrew_pass *p);

#endif
