/* Transport addresses: text forms and classes. The text of an IP address is read and written by libc. */
#include "duet/base.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number of at most `max`, the whole of the text. */
static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *out = strtoul(text, &end, 10);
    return *end == 0 && strlen(text) <= 10 && *out <= max;
}

int duet_address_parse(duet_address *out, const char *text, uint16_t port)
{
    duet_address a = {.port = port};
    char ip[64];
    size_t len = strlen(text);
    const char *percent = strchr(text, '%');
    unsigned long scope = 0;

    if (percent) {
        len = (size_t)(percent - text);
        if (!parse_number(percent + 1, UINT32_MAX, &scope))
            return DUET_ERR_MALFORMED;
    }
    if (len >= sizeof(ip))
        return DUET_ERR_MALFORMED;
    memcpy(ip, text, len);
    ip[len] = 0;
    if (!percent && inet_pton(AF_INET, ip, a.ip) == 1)
        a.family = DUET_AF_INET;
    else if (inet_pton(AF_INET6, ip, a.ip) == 1)
        a.family = DUET_AF_INET6;
    else
        return DUET_ERR_MALFORMED;
    a.scope = (uint32_t)scope;
    *out = a;
    return DUET_OK;
}

int duet_address_parse_port(duet_address *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    char ip[64];
    unsigned long port;

    if (!colon || !parse_number(colon + 1, UINT16_MAX, &port))
        return DUET_ERR_MALFORMED;
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    }
    if (len >= sizeof(ip))
        return DUET_ERR_MALFORMED;
    memcpy(ip, text, len);
    ip[len] = 0;
    int err = duet_address_parse(out, ip, (uint16_t)port);
    if (err == DUET_OK && bracketed != (out->family == DUET_AF_INET6))
        err = DUET_ERR_MALFORMED;
    return err;
}

char *duet_address_ip_text(const duet_address *a, char *buf, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "none";

    if (a->family == DUET_AF_INET)
        inet_ntop(AF_INET, a->ip, ip, sizeof(ip));
    else if (a->family == DUET_AF_INET6)
        inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
    if (a->scope)
        snprintf(buf, size, "%s%%%lu", ip, (unsigned long)a->scope);
    else
        snprintf(buf, size, "%s", ip);
    return buf;
}

char *duet_address_text(const duet_address *a, char *buf, size_t size)
{
    char ip[DUET_ADDRESS_TEXT_MAX];

    duet_address_ip_text(a, ip, sizeof(ip));
    snprintf(buf, size, a->family == DUET_AF_INET6 ? "[%s]:%u" : "%s:%u", ip, a->port);
    return buf;
}

bool duet_address_ip_equal(const duet_address *a, const duet_address *b)
{
    return a->family == b->family && a->scope == b->scope && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool duet_address_equal(const duet_address *a, const duet_address *b)
{
    return a->port == b->port && duet_address_ip_equal(a, b);
}

bool duet_path_equal(const duet_path *a, const duet_path *b)
{
    return a->socket == b->socket && a->protocol == b->protocol && duet_address_equal(&a->remote, &b->remote) &&
           duet_address_equal(&a->local, &b->local);
}

bool duet_address_is_any(const duet_address *a)
{
    static const uint8_t zero[16];

    return a->family != DUET_AF_NONE && memcmp(a->ip, zero, sizeof(zero)) == 0;
}

bool duet_address_is_loopback(const duet_address *a)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    if (a->family == DUET_AF_INET)
        return a->ip[0] == 127;
    return a->family == DUET_AF_INET6 && memcmp(a->ip, loopback6, sizeof(loopback6)) == 0;
}

bool duet_address_is_link_local(const duet_address *a)
{
    if (a->family == DUET_AF_INET)
        return a->ip[0] == 169 && a->ip[1] == 254;
    return a->family == DUET_AF_INET6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

bool duet_address_is_private(const duet_address *a)
{
    if (a->family == DUET_AF_INET)
        return a->ip[0] == 10 || (a->ip[0] == 172 && (a->ip[1] & 0xf0) == 16) || (a->ip[0] == 192 && a->ip[1] == 168);
    return a->family == DUET_AF_INET6 && (a->ip[0] & 0xfe) == 0xfc;
}

bool duet_address_is_multicast(const duet_address *a)
{
    if (a->family == DUET_AF_INET)
        return (a->ip[0] & 0xf0) == 0xe0;
    return a->family == DUET_AF_INET6 && a->ip[0] == 0xff;
}
