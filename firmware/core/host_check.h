/* Who may use a device over HTTP: a page from elsewhere may not, through somebody's browser, and what changes the
 * device needs its token. Headers as they arrived, each with a NUL; NULL: absent. */
#ifndef SHREW_HOST_CHECK_H
#define SHREW_HOST_CHECK_H

#include <stddef.h>

/* 1 if host is an IP address (an IPv6 one in brackets) or one of the names, in any case, with or without a port. */
int fw_host_is_allowed(const char *host, const char *const *names, size_t count);

/* 1 if origin is absent or has the host and port of host. A port that is not there is that of the origin's scheme. */
int fw_origin_is_allowed(const char *origin, const char *host);

/* 1 if authorization is "Bearer " and the token. Takes as long whatever is wrong in the token. */
int fw_token_is_right(const char *authorization, const char *token);

#endif
