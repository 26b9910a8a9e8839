/* What handlers of the web server share (docs/PROTOCOL.md): who may ask, how answers and errors look, how sockets are
 * used. Handlers run on the server's task. */
#ifndef SHREW_HTTP_H
#define SHREW_HTTP_H

#include "esp_http_server.h"

#include "core/protocol.h"

/* Gives a new connection our deadlines. */
void fw_http_use(httpd_handle_t handle, int socket);

/* 1 if the request comes from a page of ours or from no page, and, where asked, with the token; else the refusal is
 * sent. */
int fw_http_admits(httpd_req_t *request, int with_token);

/* Sets the headers that every answer has. */
void fw_http_begin(httpd_req_t *request, const char *type, const char *caching);

/* Each sends a whole response and returns what the handler should. fw_http_fail closes a connection on which more than a
 * little of a body is still to come. */
esp_err_t fw_http_fail(httpd_req_t *request, const protocol_error *error);
esp_err_t fw_http_refuse(httpd_req_t *request, protocol_code code, const char *line);
esp_err_t fw_http_send_json(httpd_req_t *request, const char *bytes, size_t count);
esp_err_t fw_http_send_info(httpd_req_t *request);

/* The request's body in a buffer that the next message overwrites, with a NUL behind it. Where it is refused, *body is
 * NULL, and the handler returns what this returns. */
esp_err_t fw_http_body(httpd_req_t *request, char **body, size_t *bytes);

/* Ends a connection: the server finds it ended and closes it. From any task, while the socket is its to use; never by
 * httpd_sess_trigger_close, which may come when the number is another connection's. */
void fw_http_hang_up(int socket);

#endif
