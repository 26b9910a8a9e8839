/* The web server: addresses, who may use them, and how errors look (docs/PROTOCOL.md). Handlers run on its task. */
#ifndef SHREW_SERVER_H
#define SHREW_SERVER_H

#include "esp_http_server.h"

#include "core/protocol.h"

void fw_server_start(void);

/* Tells every WebSocket what the server is now. From any task. */
void fw_server_announce(void);

/* ---- For its handlers --------------------------------------------------------------------------------------------- */

/* 1 if the request comes from a page of ours or from no page, and, where asked, with the token; else the refusal is sent. */
int fw_server_admits(httpd_req_t *request, int with_token);

/* Sets the headers that every answer has. */
void fw_server_begin(httpd_req_t *request, const char *type, const char *caching);

/* Each sends a whole response and returns what the handler should. fw_server_fail closes a connection on which more than a
 * little of a body is still to come. */
esp_err_t fw_server_fail(httpd_req_t *request, const protocol_error *error);
esp_err_t fw_server_refuse(httpd_req_t *request, protocol_code code, const char *line);
esp_err_t fw_server_send_json(httpd_req_t *request, const char *bytes, size_t count);
esp_err_t fw_server_send_info(httpd_req_t *request);

/* The request's body in a buffer that the next message overwrites, with a NUL behind it; NULL where it is refused, and then
 * what the handler returns. */
esp_err_t fw_server_body(httpd_req_t *request, char **body, size_t *bytes);

/* Ends a connection: the server finds it ended and closes it. From any task, while the socket is its to use; never by
 * httpd_sess_trigger_close, which may come when the number is another connection's. */
void fw_server_hang_up(int socket);

#endif
