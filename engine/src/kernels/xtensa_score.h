#ifndef SHREW_XTENSA_SCORE_H
#define SHREW_XTENSA_SCORE_H

#include "kernels/kernels.h"

/* Dot products of eight dimensions of a query with those of the keys, the first ones or more to be added. */
void shrew_xtensa_score(const shrew_span *s, const int8_t *query, uint32_t start, int32_t *scores);

#endif
