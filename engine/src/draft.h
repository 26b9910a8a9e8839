#ifndef SHREW_DRAFT_H
#define SHREW_DRAFT_H

#include "session.h"

/* Appends one token of a generation, with a draft of those that may follow, or confirms one drafted before. */
int shrew_feed_with_draft(shrew_session *session, uint16_t id);

#endif
