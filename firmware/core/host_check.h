/* Who may use a device over HTTP. Pages of other origins may not, in anyone's browser, and requests that change the
 * device need its token. Headers are NUL-terminated and unmodified; NULL: absent. */
#ifndef SHREW_HOST_CHECK_H
#define SHREW_HOST_CHECK_H

#include <stddef.h>

/* 1 if host is an IP address (an IPv6 one in brackets) or one of the names, in any case, with or without a port. */
int fw_host_is_allowed(const char *host, const char *const *names, size_t count);

/* 1 if origin is absent or equals host in host name and port. A missing port is the default of the origin's scheme. */
int fw_origin_is_allowed(const char *origin, const char *host);

/* 1 if authorization is "Bearer " and the token. Compares the token in constant time. */
int fw_token_is_right(const char *authorization, const char *token);

#endif
