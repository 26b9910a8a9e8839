#ifndef SHREW_FORWARD_H
#define SHREW_FORWARD_H

#include "session.h"

/* Runs count tokens at the session's position through the layers, and writes the head's input for the last `scored`
 * tokens to scratch.h ([scored][h_stride]). Does not advance the position: cache entries beyond the position do not
 * count. */
void shrew_forward(shrew_session *session, const uint16_t *ids, uint32_t count, uint32_t scored);

/* The head: computes logits [count][vocab] from hidden, whose rows are stride floats apart. */
void shrew_score(shrew_session *session, const float *hidden, uint32_t stride, uint32_t count, float *logits);

#endif
