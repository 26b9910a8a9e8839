/* What the device is just now. */
#ifndef SHREW_STATUS_H
#define SHREW_STATUS_H

#include <stddef.h>

extern const char STATUS_VERSION[], STATUS_DEVICE[];

/* Uptime counts from here. */
void status_start(void);

/* The info object, for a WebSocket (with its type) or for HTTP; NULL where there is no memory for it. */
char *status_info(int as_message, size_t *bytes);
void status_free(char *info);

/* The same for people, line by line, on the console. */
void status_print(void);

#endif
