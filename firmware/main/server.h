/* The web server: which address is answered by whom. */
#ifndef SHREW_SERVER_H
#define SHREW_SERVER_H

void fw_server_start(void);

#endif
