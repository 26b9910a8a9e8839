/* The WebSocket of the chat protocol. */
#ifndef SHREW_WEBSOCKET_H
#define SHREW_WEBSOCKET_H

#include "esp_http_server.h"

/* Registers /ws. */
esp_err_t fw_websocket_register(httpd_handle_t server);

/* Tells every client what the server is now. From any task. */
void fw_websocket_announce(void);

/* On the server's task: makes every client younger than any connection without a WebSocket, which are closed first
 * where sockets run out. */
void fw_websocket_refresh(void);

#endif
