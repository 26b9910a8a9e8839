#include "http.h"

#include <errno.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "clock.h"
#include "core/host_check.h"
#include "nvs_settings.h"
#include "status.h"

enum {
    RECEIVE_S = 2, /* timeout for the rest of a message that a client has begun to send */
    SEND_S = 3,       /* timeout if the client takes no byte */
    MOST_SEND_S = 10, /* timeout for a whole piece */
    HEADER_BYTES = 128,
    PURGED_BYTES = 16384 /* read of a refused body; if more follows, the connection is closed */
};

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

/* Polls. On Linux, the tick of the simulated scheduler would interrupt a blocking call. */
static int is_ready(int socket, int to_send, int seconds) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(socket, &set);
    struct timeval most = {.tv_sec = seconds};
    return select(socket + 1, to_send ? NULL : &set, to_send ? &set : NULL, NULL, &most) > 0;
}

static int receive(httpd_handle_t handle, int socket, char *bytes, size_t count, int flags) {
    (void)handle;
    if (!is_ready(socket, 0, RECEIVE_S))
        return HTTPD_SOCK_ERR_TIMEOUT;
    const ssize_t got = recv(socket, bytes, count, flags | MSG_DONTWAIT);
    return got < 0 ? HTTPD_SOCK_ERR_FAIL : (int)got;
}

static int send_all(httpd_handle_t handle, int socket, const char *bytes, size_t count, int flags) {
    (void)handle;
    const uint64_t begun = clock_us();
    for (size_t sent = 0; sent < count;) {
        const ssize_t now = send(socket, bytes + sent, count - sent, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (now > 0)
            sent += (size_t)now;
        else if (now == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ||
                 clock_us() - begun > MOST_SEND_S * 1000000ull || !is_ready(socket, 1, SEND_S))
            return HTTPD_SOCK_ERR_FAIL;
    }
    return (int)count;
}

void fw_http_use(httpd_handle_t handle, int socket) {
    httpd_sess_set_recv_override(handle, socket, receive);
    httpd_sess_set_send_override(handle, socket, send_all);
}

void fw_http_hang_up(int socket) {
    shutdown(socket, SHUT_RDWR);
}

/* ---- Access ------------------------------------------------------------------------------------------------------ */

/* A header's value, or NULL. A value that does not fit counts as wrong. */
static const char *header(httpd_req_t *request, const char *name, char value[HEADER_BYTES]) {
    const esp_err_t failed = httpd_req_get_hdr_value_str(request, name, value, HEADER_BYTES);
    return failed == ESP_ERR_NOT_FOUND ? NULL : failed ? "?" : value;
}

int fw_http_admits(httpd_req_t *request, int with_token) {
    static const char *const names[] = {"localhost", "shrew.local"};
    char host_value[HEADER_BYTES], origin_value[HEADER_BYTES], token_value[HEADER_BYTES];
    const char *host = header(request, "Host", host_value), *origin = header(request, "Origin", origin_value);
    if (!fw_host_is_allowed(host, names, sizeof names / sizeof *names) || !fw_origin_is_allowed(origin, host)) {
        fw_http_refuse(request, PROTOCOL_ORIGIN, NULL);
        return 0;
    }
    if (strcmp(request->uri, "/ws") && header(request, "Upgrade", token_value)) {
        fw_http_refuse(request, PROTOCOL_NOT_FOUND, "no WebSocket at this address");
        return 0;
    }
    const settings kept = fw_settings_now();
    if (with_token && !fw_token_is_right(header(request, "Authorization", token_value), kept.token)) {
        fw_http_refuse(request, PROTOCOL_TOKEN, NULL);
        return 0;
    }
    return 1;
}

/* ---- Responses --------------------------------------------------------------------------------------------------- */

void fw_http_begin(httpd_req_t *request, const char *type, const char *caching) {
    httpd_resp_set_type(request, type);
    httpd_resp_set_hdr(request, "Cache-Control", caching);
    httpd_resp_set_hdr(request, "Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                       "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    httpd_resp_set_hdr(request, "X-Content-Type-Options", "nosniff");
    httpd_resp_set_hdr(request, "Referrer-Policy", "no-referrer");
    httpd_resp_set_hdr(request, "Cross-Origin-Resource-Policy", "same-origin");
}

esp_err_t fw_http_send_json(httpd_req_t *request, const char *bytes, size_t count) {
    fw_http_begin(request, "application/json", "no-store");
    return httpd_resp_send(request, bytes, (ssize_t)count);
}

esp_err_t fw_http_fail(httpd_req_t *request, const protocol_error *error) {
    char buffer[8 * PROTOCOL_LINE_BYTES];
    text out = fw_text_in(buffer, sizeof buffer);
    fw_protocol_write_http_error(&out, error);
    httpd_resp_set_status(request, fw_protocol_http_line(error->code));
    const esp_err_t failed = fw_http_send_json(request, out.bytes, out.used);
    if (failed || request->content_len <= PURGED_BYTES)
        return failed;
    shutdown(httpd_req_to_sockfd(request), SHUT_WR);
    return ESP_FAIL;
}

esp_err_t fw_http_refuse(httpd_req_t *request, protocol_code code, const char *line) {
    protocol_error error;
    fw_protocol_fail(&error, code, line);
    return fw_http_fail(request, &error);
}

esp_err_t fw_http_send_info(httpd_req_t *request) {
    size_t bytes;
    char *info = fw_status_info(0, &bytes);
    if (!info)
        return fw_http_refuse(request, PROTOCOL_ENGINE, "not enough memory");
    const esp_err_t failed = fw_http_send_json(request, info, bytes);
    fw_status_free(info);
    return failed;
}

esp_err_t fw_http_body(httpd_req_t *request, char **body, size_t *bytes) {
    static char buffer[PROTOCOL_MESSAGE_BYTES + 1];
    *body = NULL;
    if (request->content_len > PROTOCOL_MESSAGE_BYTES)
        return fw_http_refuse(request, PROTOCOL_SIZE, NULL);
    for (*bytes = 0; *bytes < request->content_len;) {
        const int got = httpd_req_recv(request, buffer + *bytes, request->content_len - *bytes);
        if (got == HTTPD_SOCK_ERR_TIMEOUT)
            fw_http_refuse(request, PROTOCOL_TIMEOUT, NULL);
        if (got <= 0)
            return ESP_FAIL;
        *bytes += (size_t)got;
    }
    buffer[*bytes] = 0;
    *body = buffer;
    return ESP_OK;
}
