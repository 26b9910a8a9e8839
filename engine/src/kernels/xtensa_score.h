#ifndef SHREW_XTENSA_SCORE_H
#define SHREW_XTENSA_SCORE_H

#include "kernels/kernels.h"

/* Dot products of a query with all keys in eight dimensions from `start` on. If start is 0 they set the scores,
 * otherwise they add to them. */
void shrew_xtensa_score(const shrew_span *s, const int8_t *query, uint32_t start, int32_t *scores);

#endif
