/* The grammar of commands that an image may carry: an automaton over bytes, in which an answer that begins with
 * "Do: " walks. docs/FORMAT.md says how it is stored. */
#ifndef SHREW_COMMANDS_H
#define SHREW_COMMANDS_H

#include "session.h"

int shrew_commands_check(const uint8_t *section, uint32_t size);

/* Chooses the next token of an answer that is or may become a command: sampled, if that cannot become anything but a
 * command of the grammar; else the likeliest that cannot. *id is SHREW_NO_TOKEN where there is none. */
void shrew_commands_choose(shrew_session *session, uint32_t sampled, uint32_t *id);

/* At the end of a command: puts it into the pending text, or the image's refusal where it is not to be carried out. */
void shrew_commands_finish(shrew_session *session);

#endif
