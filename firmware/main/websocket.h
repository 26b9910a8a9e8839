/* The WebSocket of the chat protocol. */
#ifndef SHREW_WEBSOCKET_H
#define SHREW_WEBSOCKET_H

#include "esp_http_server.h"

/* Registers /ws. */
esp_err_t fw_websocket_register(httpd_handle_t server);

/* Sends the current info to every client. May be called from any task. */
void fw_websocket_announce(void);

/* Call on the server's task. Marks every client as used more recently than connections without a WebSocket, so that
 * those are closed first if sockets run out. */
void fw_websocket_refresh(void);

#endif
