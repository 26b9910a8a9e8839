#include "websocket.h"

#include <string.h>
#include <sys/socket.h>

#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"

#include "board.h"
#include "chat.h"
#include "generate.h"
#include "http.h"
#include "status.h"

enum { NO_SOCKET = -1, SLOWEST_MS = 10000 };

enum { NOT_WEBSOCKET = 1002, NOT_TEXT = 1003, NOT_UTF8 = 1007, TOO_LONG = 1009 }; /* close codes */

static httpd_handle_t server;
static struct client {
    int socket;
    int is_closing; /* a close frame was sent; what still arrives is read, so that the frame is not lost, and ends it */
} clients[BOARD_CONNECTIONS]; /* indexed by connection */

/* ---- Sending, on the server's task ------------------------------------------------------------------------------- */

static void send_text(void *client, const char *message, size_t bytes) {
    const int socket = ((const struct client *)client)->socket;
    httpd_ws_frame_t frame = {.type = HTTPD_WS_TYPE_TEXT, .payload = (uint8_t *)message, .len = bytes};
    if (httpd_ws_send_frame_async(server, socket, &frame))
        fw_http_hang_up(socket);
}

static void send_to_all(const char *message, size_t bytes) {
    for (int i = 0; i < BOARD_CONNECTIONS; i++)
        if (clients[i].socket != NO_SOCKET)
            send_text(&clients[i], message, bytes);
}

static void announce(void *unused) {
    (void)unused;
    size_t bytes;
    char *info = fw_status_info(1, &bytes);
    if (info)
        send_to_all(info, bytes);
    fw_status_free(info);
}

void fw_websocket_announce(void) {
    if (server)
        httpd_queue_work(server, announce, NULL);
}

void fw_websocket_refresh(void) {
    for (int i = 0; i < BOARD_CONNECTIONS; i++)
        if (clients[i].socket != NO_SOCKET)
            httpd_sess_update_lru_counter(server, clients[i].socket);
}

/* ---- Passing answers from the answering task to the server's ----------------------------------------------------- */

/* Holds one answer at a time. Text that is generated faster than it can be sent goes out in fewer messages. Protected
 * by fw_generate_lock. */
static struct {
    int taken; /* by the answer to request id of connection */
    uint32_t connection, id;
    char text[SHREW_TEXT_BYTES];
    size_t text_bytes;
    int has_end, is_error;
    protocol_result result; /* its command points to the array below */
    char command[SHREW_MAX_COMMAND_BYTES];
    protocol_error error;
} outbox;
static SemaphoreHandle_t drained;

static void empty_outbox(void) {
    outbox.taken = outbox.has_end = 0;
    outbox.text_bytes = 0;
    xSemaphoreGive(drained);
}

static void send_outbox(void *unused) {
    (void)unused;
    static char piece[SHREW_TEXT_BYTES], command[SHREW_MAX_COMMAND_BYTES], buffer[PROTOCOL_OUT_BYTES];
    fw_generate_lock();
    struct client *client = outbox.taken ? &clients[outbox.connection] : NULL;
    const size_t bytes = outbox.text_bytes;
    const uint32_t id = outbox.id;
    const int has_end = outbox.has_end, is_error = outbox.is_error;
    protocol_result result = outbox.result;
    const protocol_error error = outbox.error;
    memcpy(piece, outbox.text, bytes);
    if (has_end && result.command) {
        memcpy(command, outbox.command, result.command_bytes);
        result.command = command;
    }
    empty_outbox();
    fw_generate_unlock();
    if (!client) /* already sent, or the client has gone */
        return;
    if (bytes) {
        text out = fw_text_in(buffer, sizeof buffer);
        fw_protocol_write_token(&out, id, piece, bytes);
        send_text(client, out.bytes, out.used);
    }
    if (has_end && is_error)
        fw_chat_fail(&id, &error, send_text, client);
    else if (has_end)
        fw_chat_done(id, &result, fw_text_in(buffer, sizeof buffer), send_text, client);
}

/* Waits until the outbox has room for some bytes of this answer. Returns 1, or 0 if the client has gone. In both cases
 * the caller must release the lock. */
static int wait_for_room(const queue_entry *entry, size_t bytes) {
    fw_generate_lock();
    while (entry->connection != QUEUE_NOBODY) {
        const int is_own = outbox.taken && outbox.connection == entry->connection && outbox.id == entry->request.id;
        if (!outbox.taken || (is_own && outbox.text_bytes + bytes <= sizeof outbox.text)) {
            outbox.taken = 1;
            outbox.connection = entry->connection;
            outbox.id = entry->request.id;
            return 1;
        }
        fw_generate_unlock();
        const int moves = xSemaphoreTake(drained, pdMS_TO_TICKS(SLOWEST_MS));
        fw_generate_lock();
        if (!moves && outbox.taken && clients[outbox.connection].socket != NO_SOCKET)
            fw_http_hang_up(clients[outbox.connection].socket);
    }
    return 0;
}

static void hand_over(void) {
    while (httpd_queue_work(server, send_outbox, NULL)) /* the server's queue is full */
        vTaskDelay(1);
}

static int write_text(const queue_entry *entry, const char *bytes, size_t count) {
    const int has_room = wait_for_room(entry, count);
    if (has_room) {
        memcpy(outbox.text + outbox.text_bytes, bytes, count);
        outbox.text_bytes += count;
    }
    const int is_first = has_room && outbox.text_bytes == count;
    fw_generate_unlock();
    if (is_first) /* otherwise sending is already scheduled */
        hand_over();
    return !has_room;
}

static void finish(queue_entry *entry, const protocol_result *result, const protocol_error *error) {
    const int has_room = wait_for_room(entry, 0);
    if (has_room) {
        outbox.has_end = 1;
        outbox.is_error = error != NULL;
        outbox.result = *result;
        if (result->command) /* the next answer overwrites the original */
            memcpy(outbox.command, result->command, result->command_bytes);
        if (error)
            outbox.error = *error;
    }
    fw_generate_release(entry);
    fw_generate_unlock();
    if (has_room)
        hand_over();
}

static const audience web_socket = {.write = write_text, .finish = finish};

/* ---- Connections ------------------------------------------------------------------------------------------------- */

/* The server session's context is an element of clients. The server calls this instead of freeing it. */
static void disconnect(void *context) {
    struct client *client = context;
    const uint32_t connection = (uint32_t)(client - clients);
    fw_generate_disconnect(connection); /* first, so that a current answer can no longer take the outbox */
    fw_generate_lock();
    if (outbox.taken && outbox.connection == connection)
        empty_outbox();
    client->socket = NO_SOCKET;
    fw_generate_unlock();
}

static esp_err_t admit(httpd_req_t *request) {
    if (!fw_http_admits(request, 0))
        return ESP_FAIL;
    const uint32_t connection = fw_generate_connect(&web_socket);
    if (connection == QUEUE_NOBODY) {
        fw_http_refuse(request, PROTOCOL_BUSY, "all connections are taken");
        return ESP_FAIL;
    }
    clients[connection] = (struct client){.socket = httpd_req_to_sockfd(request)};
    request->sess_ctx = &clients[connection];
    request->free_ctx = disconnect;
    return ESP_OK;
}

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static void drain(const struct client *client) {
    static char rest[512];
    while (recv(client->socket, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
}

static esp_err_t close_with(httpd_req_t *request, uint16_t code) {
    struct client *client = request->sess_ctx;
    drain(client);
    uint8_t reason[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    httpd_ws_frame_t close = {.type = HTTPD_WS_TYPE_CLOSE, .payload = reason, .len = sizeof reason};
    client->is_closing = 1;
    return httpd_ws_send_frame(request, &close);
}

/* Sends the reason and closes. If far more bytes follow than a message may have, closes without a reason. */
static esp_err_t refuse(httpd_req_t *request, protocol_code code, uint16_t close_code, size_t bytes) {
    if (bytes <= 16 * PROTOCOL_MESSAGE_BYTES) {
        protocol_error error;
        fw_protocol_fail(&error, code, NULL);
        fw_chat_fail(NULL, &error, send_text, request->sess_ctx);
    }
    return close_with(request, close_code);
}

static esp_err_t receive(httpd_req_t *request) {
    if (request->method == HTTP_GET) /* a finished handshake, which ESP-IDF before 5.5.4 reports here */
        return request->sess_ctx ? ESP_OK : fw_http_refuse(request, PROTOCOL_MESSAGE, "this address speaks WebSocket");
    struct client *client = request->sess_ctx;
    if (client->is_closing) {
        drain(client);
        return ESP_FAIL;
    }
    static char message[PROTOCOL_MESSAGE_BYTES + 1];
    httpd_ws_frame_t frame = {.payload = (uint8_t *)message};
    const esp_err_t failed = httpd_ws_recv_frame(request, &frame, 0);
    if (failed == ESP_ERR_INVALID_STATE || (frame.type > HTTPD_WS_TYPE_BINARY && frame.type < HTTPD_WS_TYPE_CLOSE))
        return close_with(request, NOT_WEBSOCKET); /* unmasked, or an unknown type */
    if (failed)
        return ESP_FAIL;
    if (frame.type == HTTPD_WS_TYPE_PONG)
        return frame.len > sizeof message || (frame.len && httpd_ws_recv_frame(request, &frame, sizeof message))
                   ? ESP_FAIL
                   : ESP_OK;
    if (frame.type != HTTPD_WS_TYPE_TEXT || !frame.final)
        return refuse(request, PROTOCOL_FRAME, NOT_TEXT, frame.len);
    if (frame.len > PROTOCOL_MESSAGE_BYTES)
        return refuse(request, PROTOCOL_SIZE, TOO_LONG, frame.len);
    if (frame.len && httpd_ws_recv_frame(request, &frame, PROTOCOL_MESSAGE_BYTES))
        return ESP_FAIL;
    if (!fw_text_is_utf8(message, frame.len))
        return close_with(request, NOT_UTF8);
    message[frame.len] = 0;
    fw_chat_read((uint32_t)(client - clients), message, frame.len, send_text, client);
    return ESP_OK;
}

esp_err_t fw_websocket_register(httpd_handle_t handle) {
    server = handle;
    drained = xSemaphoreCreateBinary();
    for (int i = 0; i < BOARD_CONNECTIONS; i++)
        clients[i].socket = NO_SOCKET;
    const httpd_uri_t address = {.uri = "/ws",
                                 .method = HTTP_GET,
                                 .handler = receive,
                                 .is_websocket = true,
                                 .ws_pre_handshake_cb = admit};
    return httpd_register_uri_handler(server, &address);
}
