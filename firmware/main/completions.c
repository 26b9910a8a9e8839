#include "completions.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "esp_random.h"

#include "board.h"
#include "core/openai.h"
#include "generate.h"
#include "http.h"
#include "models.h"

/* Requests being answered, indexed by connection. The answering task writes directly to the socket, which the server
 * does not touch until httpd_req_async_handler_complete. */
static struct reply {
    httpd_req_t *request;
    openai_answer answer;
    char model[PROTOCOL_NAME_BYTES + 1];
    int stream, has_begun;
} replies[BOARD_CONNECTIONS];

enum { PIECE_BYTES = 256, PART_BYTES = 6 * PIECE_BYTES + 768 };

static char part_buffer[PART_BYTES]; /* used by the answering task */

static esp_err_t send_part(const struct reply *reply, const text *part) {
    return part->full ? ESP_FAIL : httpd_resp_send_chunk(reply->request, part->bytes, (ssize_t)part->used);
}

static int begin(struct reply *reply) {
    if (reply->has_begun)
        return 0;
    reply->has_begun = 1;
    fw_http_begin(reply->request, reply->stream ? "text/event-stream" : "application/json", "no-store");
    text out = fw_text_in(part_buffer, sizeof part_buffer);
    if (reply->stream)
        fw_openai_write_first_event(&out, &reply->answer);
    else
        fw_openai_write_head(&out, &reply->answer);
    return send_part(reply, &out);
}

static int write_text(const queue_entry *entry, const char *bytes, size_t count) {
    struct reply *reply = &replies[entry->connection];
    if (begin(reply))
        return -1;
    while (count) {
        const size_t piece = fw_text_whole_characters(bytes, count, PIECE_BYTES);
        text out = fw_text_in(part_buffer, sizeof part_buffer);
        if (reply->stream)
            fw_openai_write_event(&out, &reply->answer, bytes, piece);
        else
            fw_openai_write_part(&out, bytes, piece);
        if (send_part(reply, &out))
            return -1;
        bytes += piece;
        count -= piece;
    }
    return 0;
}

/* Returns 0 if the response is complete. */
static int write_end(struct reply *reply, const protocol_result *result, const protocol_error *error) {
    if (error && !reply->has_begun)
        return fw_http_fail(reply->request, error);
    if (begin(reply) || (error && !reply->stream)) /* an incomplete object: close the connection */
        return -1;
    text out = fw_text_in(part_buffer, sizeof part_buffer);
    if (error)
        fw_openai_write_error_event(&out, error);
    else if (reply->stream)
        fw_openai_write_last_events(&out, &reply->answer, result);
    else
        fw_openai_write_tail(&out, result);
    return send_part(reply, &out) || httpd_resp_send_chunk(reply->request, NULL, 0);
}

/* Returns the socket to the server. */
static void complete(uint32_t connection, int failed) {
    httpd_req_t *request = replies[connection].request;
    if (failed)
        fw_http_hang_up(httpd_req_to_sockfd(request));
    httpd_req_async_handler_complete(request);
    fw_generate_disconnect(connection);
}

static void finish(queue_entry *entry, const protocol_result *result, const protocol_error *error) {
    const uint32_t connection = entry->connection;
    fw_generate_lock();
    fw_generate_release(entry);
    fw_generate_unlock();
    complete(connection, write_end(&replies[connection], result, error));
}

static int has_gone(const queue_entry *entry) {
    char byte;
    return recv(httpd_req_to_sockfd(replies[entry->connection].request), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static const audience http = {.write = write_text, .finish = finish, .has_gone = has_gone};

/* ---- Requests, on the server's task ------------------------------------------------------------------------------ */

/* Reads the request. The view of the models is held only meanwhile. */
static protocol_code read_request(openai_request *read, char *body, size_t bytes, protocol_error *error) {
    const protocol_rules rules = fw_generate_rules();
    const char *others[BOARD_MODELS];
    size_t count = 0;
    const models_view *view = fw_models_look();
    for (uint32_t i = 0; i < view->stored_count; i++)
        if (!view->stored[i].active)
            others[count++] = view->stored[i].name;
    const protocol_code code = fw_openai_read(read, body, bytes, &rules, others, count, error);
    fw_models_look_away();
    return code;
}

/* Returns 0 if the device's clock has not been set. */
static uint64_t seconds_since_1970(void) {
    enum { THIS_YEAR = 1767225600 }; /* the first second of 2026 */
    const time_t now = time(NULL);
    return now < THIS_YEAR ? 0 : (uint64_t)now;
}

static esp_err_t queue_up(httpd_req_t *request, uint32_t connection, const openai_request *read) {
    struct reply *reply = &replies[connection];
    *reply = (struct reply){.stream = (int)read->stream};
    const models_view *view = fw_models_look();
    strcpy(reply->model, view->model ? view->model->name : "");
    fw_models_look_away();
    reply->answer = (openai_answer){.number = (uint64_t)esp_random() << 32 | esp_random(),
                                    .created = seconds_since_1970(),
                                    .model = reply->model,
                                    .include_usage = read->include_usage};
    if (httpd_req_async_handler_begin(request, &reply->request)) {
        fw_generate_disconnect(connection);
        return fw_http_refuse(request, PROTOCOL_ENGINE, "not enough memory");
    }
    uint32_t ahead;
    protocol_error error;
    if (fw_generate_push(connection, &read->request, &ahead, &error))
        complete(connection, fw_http_fail(reply->request, &error));
    return ESP_OK;
}

esp_err_t fw_completions_answer(httpd_req_t *request) {
    if (!fw_http_admits(request, 0))
        return ESP_OK;
    size_t bytes;
    char *body;
    const esp_err_t refused = fw_http_body(request, &body, &bytes);
    if (!body)
        return refused;
    openai_request read;
    protocol_error error;
    if (read_request(&read, body, bytes, &error))
        return fw_http_fail(request, &error);
    const uint32_t connection = fw_generate_connect(&http);
    if (connection == QUEUE_NOBODY)
        return fw_http_refuse(request, PROTOCOL_BUSY, "all connections are taken");
    return queue_up(request, connection, &read);
}

esp_err_t fw_completions_list_models(httpd_req_t *request) {
    if (!fw_http_admits(request, 0))
        return ESP_OK;
    char buffer[512];
    text out = fw_text_in(buffer, sizeof buffer);
    const models_view *view = fw_models_look();
    const char *names[] = {view->model ? view->model->name : NULL};
    fw_openai_write_models(&out, names, view->model ? 1 : 0);
    fw_models_look_away();
    return fw_http_send_json(request, out.bytes, out.used);
}
