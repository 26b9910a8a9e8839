#ifndef SHREW_FEED_H
#define SHREW_FEED_H

#include "session.h"

/* Appends at most one block, as shrew_session_feed does, whatever the state of a generation. */
int shrew_feed_block(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used);

/* Appends the generated token that is still waiting, if there is one. */
int shrew_feed_unfed(shrew_session *session);

#endif
