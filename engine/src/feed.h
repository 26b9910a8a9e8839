#ifndef SHREW_FEED_H
#define SHREW_FEED_H

#include "session.h"

/* Appends at most one block, like shrew_session_feed, but in any state of a generation. */
int shrew_feed_block(shrew_session *session, const uint16_t *ids, size_t count, float *logits, size_t *used);

/* Appends the last generated token if it is not in the session yet. */
int shrew_feed_unfed(shrew_session *session);

#endif
