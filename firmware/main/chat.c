#include "chat.h"

#include "generate.h"
#include "status.h"

/* If inlined, the buffers of several functions would share one large stack frame. */
#define NOT_INLINED __attribute__((noinline))

enum { QUEUED_BYTES = 96 };

static void send_written(const text *message, chat_send *send, void *context) {
    if (!message->full)
        send(context, message->bytes, message->used);
}

NOT_INLINED void fw_chat_fail(const uint32_t *id, const protocol_error *error, chat_send *send, void *context) {
    char buffer[CHAT_SHORT_BYTES];
    text out = fw_text_in(buffer, sizeof buffer);
    fw_protocol_write_error(&out, id, error);
    send_written(&out, send, context);
}

void fw_chat_done(uint32_t id, const protocol_result *result, text out, chat_send *send, void *context) {
    fw_protocol_write_done(&out, id, result);
    send_written(&out, send, context);
}

static NOT_INLINED void generate(uint32_t connection, const protocol_request *request, chat_send *send, void *context) {
    uint32_t ahead;
    protocol_error error;
    if (fw_generate_push(connection, request, &ahead, &error)) {
        fw_chat_fail(&request->id, &error, send, context);
    } else if (ahead) {
        char buffer[QUEUED_BYTES];
        text out = fw_text_in(buffer, sizeof buffer);
        fw_protocol_write_queued(&out, request->id, ahead);
        send_written(&out, send, context);
    }
}

static NOT_INLINED void cancel(uint32_t connection, uint32_t id, chat_send *send, void *context) {
    protocol_result cancelled;
    char buffer[CHAT_SHORT_BYTES];
    if (fw_generate_cancel(connection, id, &cancelled))
        fw_chat_done(id, &cancelled, fw_text_in(buffer, sizeof buffer), send, context);
}

static void send_info(chat_send *send, void *context) {
    size_t bytes;
    char *info = fw_status_info(1, &bytes);
    if (info)
        send(context, info, bytes);
    fw_status_free(info);
}

void fw_chat_read(uint32_t connection, char *message, size_t bytes, chat_send *send, void *context) {
    const protocol_rules rules = fw_generate_rules();
    protocol_message read;
    protocol_error error;
    if (fw_protocol_read(&read, message, bytes, &rules, &error))
        fw_chat_fail(read.has_id ? &read.request.id : NULL, &error, send, context);
    else if (read.type == PROTOCOL_GENERATE)
        generate(connection, &read.request, send, context);
    else if (read.type == PROTOCOL_CANCEL)
        cancel(connection, read.request.id, send, context);
    else
        send_info(send, context);
}
