/* An answer that begins with "Do: " walks through the image's grammar of commands. */
#ifndef SHREW_COMMANDS_H
#define SHREW_COMMANDS_H

#include "session.h"

/* Chooses the next token of an answer that is or may become a command: sampled, if that cannot become anything but a
 * command of the grammar; else the likeliest that cannot. *id is SHREW_NO_TOKEN where there is none. */
void shrew_commands_choose(shrew_session *session, uint32_t sampled, uint32_t *id);

/* Follows an answer from memory by its next token. 0 if the answer would become a command that the grammar lacks. */
int shrew_commands_follow(shrew_session *session, uint32_t id);

/* At the end of a command: puts it into the pending text. A command that is not to be carried out is refused. */
void shrew_commands_finish(shrew_session *session);

#endif
