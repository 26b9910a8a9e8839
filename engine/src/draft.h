#ifndef SHREW_DRAFT_H
#define SHREW_DRAFT_H

#include "session.h"

/* Appends one token of a generation together with a draft of the next ones, or confirms an already drafted token. */
int shrew_feed_with_draft(shrew_session *session, uint16_t id);

#endif
