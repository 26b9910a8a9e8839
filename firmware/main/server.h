/* The web server: which handler answers which address. */
#ifndef SHREW_SERVER_H
#define SHREW_SERVER_H

void fw_server_start(void);

#endif
