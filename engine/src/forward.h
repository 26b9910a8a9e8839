#ifndef SHREW_FORWARD_H
#define SHREW_FORWARD_H

#include "session.h"

/* Runs count tokens at the session's position through the layers and leaves what the head reads for the last scored
 * ones in scratch.h ([scored][h_stride]). Does not advance the position: what it wrote into the cache counts only once
 * the position moves past it. */
void shrew_forward(shrew_session *session, const uint16_t *ids, uint32_t count, uint32_t scored);

/* The head: logits [count][vocab] from hidden, rows stride floats apart. */
void shrew_score(shrew_session *session, const float *hidden, uint32_t stride, uint32_t count, float *logits);

#endif
