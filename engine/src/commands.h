/* An answer that begins with "Do: " walks through the image's grammar of commands. */
#ifndef SHREW_COMMANDS_H
#define SHREW_COMMANDS_H

#include "session.h"

/* Chooses the next token of an answer that is, or may become, a command. Keeps the sampled token if the answer is not a
 * command yet and the token leads to one; otherwise takes the likeliest token that the grammar allows. *id is
 * SHREW_NO_TOKEN if there is none. */
void shrew_commands_choose(shrew_session *session, uint32_t sampled, uint32_t *id);

/* Follows an answer from memory by its next token. 0 if the answer would become a command that the grammar lacks. */
int shrew_commands_follow(shrew_session *session, uint32_t id);

/* At the end of a command: puts it into the pending text. A command that is not to be carried out is refused. */
void shrew_commands_finish(shrew_session *session);

#endif
