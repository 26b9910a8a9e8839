/* Handles one message of the chat protocol, from a WebSocket or the serial line: executes or queues it, and sends what
 * can be answered at once. */
#ifndef SHREW_CHAT_H
#define SHREW_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include "core/protocol.h"

enum {
    CHAT_SHORT_BYTES = 8 * PROTOCOL_LINE_BYTES, /* an error; a `done` without a command */
    CHAT_DONE_BYTES = 6 * SHREW_MAX_COMMAND_BYTES + 8 * PROTOCOL_LINE_BYTES /* a `done` with one */
};

typedef void chat_send(void *context, const char *message, size_t bytes);

/* The message must be NUL-terminated. It is modified. */
void fw_chat_read(uint32_t connection, char *message, size_t bytes, chat_send *send, void *context);

void fw_chat_fail(const uint32_t *id, const protocol_error *error, chat_send *send, void *context);

/* out: memory for the message. With a command it is too large for a stack, so callers pass a static buffer. */
void fw_chat_done(uint32_t id, const protocol_result *result, text out, chat_send *send, void *context);

#endif
