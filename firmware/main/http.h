/* Shared by the web server's handlers (docs/PROTOCOL.md): access control, the form of answers and errors, use of
 * sockets. Handlers run on the server's task. */
#ifndef SHREW_HTTP_H
#define SHREW_HTTP_H

#include "esp_http_server.h"

#include "core/protocol.h"

/* Sets our timeouts for a new connection. */
void fw_http_use(httpd_handle_t handle, int socket);

/* Returns 1 if the request comes from our page, or from no page, and has the token if with_token is set. Otherwise
 * sends the refusal. */
int fw_http_admits(httpd_req_t *request, int with_token);

/* Sets the headers of every answer. */
void fw_http_begin(httpd_req_t *request, const char *type, const char *caching);

/* Each sends a whole response and returns the handler's result. fw_http_fail closes the connection if much of the body
 * has not arrived yet. */
esp_err_t fw_http_fail(httpd_req_t *request, const protocol_error *error);
esp_err_t fw_http_refuse(httpd_req_t *request, protocol_code code, const char *line);
esp_err_t fw_http_send_json(httpd_req_t *request, const char *bytes, size_t count);
esp_err_t fw_http_send_info(httpd_req_t *request);

/* The request's body, NUL-terminated, in a buffer that the next message overwrites. If it is refused, *body is NULL,
 * and the handler must return this function's result. */
esp_err_t fw_http_body(httpd_req_t *request, char **body, size_t *bytes);

/* Ends a connection: the server then notices and closes it. May be called from any task that may use the socket. Unlike
 * httpd_sess_trigger_close, it cannot hit a later connection that has got the same number. */
void fw_http_hang_up(int socket);

#endif
