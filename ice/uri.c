/* stun:, stuns:, turn: and turns: URIs.
 *
 * RFC 7064 section 3.1 and RFC 7065 section 3.1, with the host grammar of RFC 3986 section 3.2.2. */
#include "base/text.h"
#include "ice/internal.h"

#include <string.h>

#define PORT_PLAIN 3478
#define PORT_TLS   5349

static const struct {
    const char *name;
    ice_scheme scheme;
} schemes[] = {{"stun", ICE_STUN}, {"stuns", ICE_STUNS}, {"turn", ICE_TURN}, {"turns", ICE_TURNS}};

static bool is_host_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '-' || c == '.' || c == '_';
}

static bool is_literal_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == ':' || c == '.' || c == '%';
}

static bool parse_scheme(duet_reader *r, ice_uri *out)
{
    duet_bytes scheme = duet_text_run(r, duet_char_is_alpha);

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (!duet_text_is_nocase(scheme, schemes[i].name))
            continue;
        out->scheme = schemes[i].scheme;
        return duet_text_skip(r, ':');
    }
    return false;
}

/* "[" IPv6 "]", or a name or IPv4 address. */
static bool parse_host(duet_reader *r, ice_uri *out)
{
    duet_address literal;

    if (!duet_text_skip(r, '[')) {
        duet_bytes name = duet_text_run(r, is_host_char);
        return name.len > 0 && duet_text_copy(out->host, sizeof(out->host), name);
    }
    duet_bytes name = duet_text_run(r, is_literal_char);
    if (!duet_text_skip(r, ']') || !duet_text_copy(out->host, sizeof(out->host), name))
        return false;
    return duet_address_parse(&literal, out->host, 0) == DUET_OK && literal.family == DUET_AF_INET6;
}

/* "?transport=" ( "udp" / "tcp" ), of turn and turns only. */
static bool parse_transport(duet_reader *r, ice_uri *out)
{
    bool relay = out->scheme == ICE_TURN || out->scheme == ICE_TURNS;

    if (!duet_text_skip(r, '?'))
        return true;
    if (!relay || !duet_text_skip_word(r, "transport="))
        return false;
    if (duet_text_skip_word(r, "udp"))
        out->transport = DUET_UDP;
    else if (duet_text_skip_word(r, "tcp"))
        out->transport = out->scheme == ICE_TURNS ? DUET_TLS : DUET_TCP;
    else
        return false;
    return true;
}

int duet_ice_uri_parse(ice_uri *out, const char *text)
{
    duet_reader r = duet_text_reader(text, strlen(text));
    uint64_t port;

    memset(out, 0, sizeof(*out));
    if (!parse_scheme(&r, out))
        return DUET_ERR_MALFORMED;
    bool tls = out->scheme == ICE_STUNS || out->scheme == ICE_TURNS;
    out->transport = tls ? DUET_TLS : DUET_UDP;
    out->port = tls ? PORT_TLS : PORT_PLAIN;
    if (!parse_host(&r, out))
        return DUET_ERR_MALFORMED;
    if (duet_text_skip(&r, ':')) {
        if (!duet_text_number(&r, 1, UINT16_MAX, &port))
            return DUET_ERR_MALFORMED;
        out->port = (uint16_t)port;
    }
    if (!parse_transport(&r, out) || !duet_text_at_end(&r))
        return DUET_ERR_MALFORMED;
    return DUET_OK;
}
