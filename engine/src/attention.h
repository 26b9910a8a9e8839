#ifndef SHREW_ATTENTION_H
#define SHREW_ATTENTION_H

#include "pass.h"

/* Rotates the keys in scratch.a and moves them and the values to the cache. */
void shrew_store_keys(shrew_pass *p);

/* Rotates the queries in scratch.a, attends, and writes the heads' output to scratch.h. */
void shrew_attention(shrew_pass *p);

/* Computes cosine and sine of every rotary pair for the block's positions, once for all layers and heads. */
void shrew_attention_prepare(shrew_pass *p);

#endif
