#include "host_check.h"

#include "text.h"

/* Part of a header. */
typedef struct span {
    const char *bytes;
    size_t count;
} span;

/* A host, in brackets if it is IPv6, and a port; port.bytes is NULL if it is absent. */
typedef struct authority {
    span host, port;
} authority;

static char lower(char byte) {
    return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}

static int is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static int same(span a, span b) {
    if (a.count != b.count)
        return 0;
    for (size_t i = 0; i < a.count; i++)
        if (lower(a.bytes[i]) != lower(b.bytes[i]))
            return 0;
    return 1;
}

/* Returns 0 if text is neither HOST nor HOST:PORT. */
static int split(const char *text, authority *found) {
    const int bracketed = *text == '[';
    size_t at = 0;
    while (text[at] && (bracketed ? text[at] != ']' : text[at] != ':'))
        at++;
    if (bracketed && text[at++] != ']')
        return 0;
    found->host = (span){text, at};
    found->port = (span){NULL, 0};
    if (text[at] == ':') {
        found->port.bytes = text + at + 1;
        for (at++; is_digit(text[at]); at++)
            found->port.count++;
        if (!found->port.count || found->port.count > 5)
            return 0;
    }
    return found->host.count && !text[at];
}

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

static int is_ipv4(span host) {
    uint32_t parts = 0, value = 0, digits = 0;
    for (size_t i = 0; i <= host.count; i++) {
        if (i < host.count && is_digit(host.bytes[i])) {
            value = value * 10 + (uint32_t)(host.bytes[i] - '0');
            if (++digits > 3)
                return 0;
            continue;
        }
        if (!digits || value > 255 || (i < host.count && host.bytes[i] != '.'))
            return 0;
        parts++;
        value = digits = 0;
    }
    return parts == 4;
}

/* Hex digits, colons and dots in brackets. This accepts more than IPv6 addresses, but no host name. */
static int is_ipv6(span host) {
    if (host.count < 4 || host.bytes[0] != '[')
        return 0;
    for (size_t i = 1; i + 1 < host.count; i++) {
        const char byte = lower(host.bytes[i]);
        if (!is_digit(byte) && !(byte >= 'a' && byte <= 'f') && byte != ':' && byte != '.')
            return 0;
    }
    return 1;
}

int fw_host_is_allowed(const char *host, const char *const *names, size_t count) {
    authority asked;
    if (!host || !split(host, &asked))
        return 0;
    if (is_ipv4(asked.host) || is_ipv6(asked.host))
        return 1;
    for (size_t i = 0; i < count; i++)
        if (same(asked.host, (span){names[i], fw_text_length(names[i])}))
            return 1;
    return 0;
}

/* ---- Origin ------------------------------------------------------------------------------------------------------ */

/* The text after "http://" or "https://", and the scheme's port; NULL for anything else. */
static const char *behind_scheme(const char *origin, span *port) {
    static const char *const schemes[] = {"http://", "https://"}, *const ports[] = {"80", "443"};
    for (int i = 0; i < 2; i++) {
        const span scheme = {schemes[i], fw_text_length(schemes[i])};
        if (fw_text_length(origin) > scheme.count && same((span){origin, scheme.count}, scheme)) {
            *port = (span){ports[i], fw_text_length(ports[i])};
            return origin + scheme.count;
        }
    }
    return NULL;
}

int fw_origin_is_allowed(const char *origin, const char *host) {
    authority from, to;
    span port;
    if (!origin)
        return 1;
    const char *rest = behind_scheme(origin, &port);
    if (!rest || !host || !split(rest, &from) || !split(host, &to))
        return 0;
    return same(from.host, to.host) &&
           same(from.port.bytes ? from.port : port, to.port.bytes ? to.port : port);
}

/* ---- Token ------------------------------------------------------------------------------------------------------- */

int fw_token_is_right(const char *authorization, const char *token) {
    static const char scheme[] = "Bearer ";
    const span wanted = {scheme, sizeof scheme - 1};
    if (!authorization || fw_text_length(authorization) < wanted.count ||
        !same((span){authorization, wanted.count}, wanted))
        return 0;
    const char *given = authorization + wanted.count;
    const size_t bytes = fw_text_length(given), right = fw_text_length(token);
    uint32_t difference = bytes != right || !right;
    for (size_t i = 0; i < bytes; i++) /* constant time, however much of the token is right */
        difference |= (uint32_t)(unsigned char)(given[i] ^ token[right ? i % right : 0]);
    return !difference;
}
