/* The current state of the device. */
#ifndef SHREW_STATUS_H
#define SHREW_STATUS_H

#include <stddef.h>

extern const char FW_VERSION[], FW_DEVICE[];

/* Uptime counts from here. */
void fw_status_start(void);

/* The info object, for a WebSocket (with a type) or for HTTP. NULL if there is no memory for it. */
char *fw_status_info(int as_message, size_t *bytes);
void fw_status_free(char *info);

/* Prints the same to the console, line by line, for people. */
void fw_status_print(void);

#endif
