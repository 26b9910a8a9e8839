/* One message of the chat protocol, from a WebSocket or the serial line: what it asks for is done or queued, and what can
 * be said at once is sent. */
#ifndef SHREW_CHAT_H
#define SHREW_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include "core/protocol.h"

enum { CHAT_REPLY_BYTES = 6 * SHREW_MAX_COMMAND_BYTES + 8 * PROTOCOL_LINE_BYTES }; /* any message but token and info */

typedef void chat_send(void *context, const char *message, size_t bytes);

/* The message has a NUL behind it, and is changed. */
void fw_chat_read(uint32_t connection, char *message, size_t bytes, chat_send *send, void *context);

void fw_chat_fail(const uint32_t *id, const protocol_error *error, chat_send *send, void *context);
void fw_chat_done(uint32_t id, const protocol_result *result, chat_send *send, void *context);

#endif
