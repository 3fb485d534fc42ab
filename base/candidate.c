/* The text form of an ICE candidate: RFC 8839 section 5.1 with the tcptype of RFC 6544 section 4.5, the ufrag
 * extension of RFC 8838 and the network-cost of libwebrtc. One parser for a=candidate lines and trickled strings. */
#include "base/candidate.h"
#include "base/text.h"
#include "duet/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* "a positive integer between 1 and (2**31 - 1)", RFC 8839 section 5.1 */
#define PRIORITY_MAX 0x7FFFFFFFu
/* "a positive integer between 1 and 256", RFC 8839 section 5.1 */
#define COMPONENT_MAX 256

static const char *const type_names[] = {"host", "srflx", "prflx", "relay"};
static const char *const tcp_type_names[] = {"", "active", "passive", "so"};
static const char *const protocol_names[] = {"udp", "tcp", "tls"};

const char *duet_candidate_type_name(duet_candidate_type type)
{
    size_t i = (size_t)type;

    return i < sizeof(type_names) / sizeof(type_names[0]) ? type_names[i] : "unknown";
}

const char *duet_protocol_name(duet_protocol protocol)
{
    size_t i = (size_t)protocol;

    return i < sizeof(protocol_names) / sizeof(protocol_names[0]) ? protocol_names[i] : "unknown";
}

/* A parse under way. The first problem wins; it points to where `r` stood. */
typedef struct parse {
    duet_reader r;
    size_t at;
    const char *reason;
    int err;
} parse;

static bool fail_at(parse *p, int err, size_t at, const char *reason)
{
    if (p->err == DUET_OK) {
        p->err = err;
        p->at = at;
        p->reason = reason;
    }
    return false;
}

static bool fail(parse *p, const char *reason)
{
    return fail_at(p, DUET_ERR_MALFORMED, p->r.pos, reason);
}

/* Something that this implementation cannot use. It is noted, and the grammar of the rest is still checked. */
typedef struct oddity {
    size_t at;
    const char *reason;
} oddity;

static void note(oddity *o, size_t at, const char *reason)
{
    if (o->reason)
        return;
    o->at = at;
    o->reason = reason;
}

static bool space(parse *p)
{
    return duet_text_skip(&p->r, ' ') ? true : fail(p, "a space is expected here");
}

static bool number(parse *p, uint64_t min, uint64_t max, uint64_t *out, const char *reason)
{
    return duet_text_number(&p->r, min, max, out) ? true : fail(p, reason);
}

static bool is_name_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '-' || c == '.' || c == '_';
}

/* A name whose last label is all digits is a mistyped IPv4 address (RFC 1123 section 2.1). */
static bool is_host_name(duet_bytes text)
{
    duet_reader r = duet_text_reader_of(text);
    bool digits = true;
    size_t label = 0;

    if (text.len > DUET_HOST_NAME_MAX || !duet_text_all(text, is_name_char) || duet_peek_u8(&r, 0) == '.')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = duet_peek_u8(&r, i);
        if (c == '.' && label == 0)
            return false;
        if (c == '.' && i + 1 == text.len)
            break;
        digits = c == '.' ? true : digits && duet_char_is_digit(c);
        label = c == '.' ? 0 : label + 1;
    }
    return !digits;
}

/* connection-address: an IP literal or a host name. */
static bool connection_address(parse *p, duet_address *address, char *name, size_t name_size, oddity *odd)
{
    size_t at = p->r.pos;
    duet_bytes text = duet_text_run(&p->r, duet_char_is_not_space);
    char literal[DUET_ADDRESS_TEXT_MAX];

    if (duet_text_copy(literal, sizeof(literal), text) && duet_address_parse(address, literal, 0) == DUET_OK) {
        if (strchr(literal, '%'))
            note(odd, at, "an address with a zone means nothing to another host");
        return true;
    }
    memset(address, 0, sizeof(*address));
    if (!is_host_name(text))
        return fail_at(p, DUET_ERR_MALFORMED, at, "an IP address or a host name is expected here");
    return duet_text_copy(name, name_size, text);
}

static void candidate_transport(parse *p, duet_candidate *c, oddity *odd)
{
    size_t at = p->r.pos;
    duet_bytes text = duet_text_run(&p->r, duet_char_is_token);

    if (text.len == 0)
        fail(p, "the transport is a token such as udp or tcp");
    else if (duet_text_is_nocase(text, "udp"))
        c->protocol = DUET_UDP;
    else if (duet_text_is_nocase(text, "tcp"))
        c->protocol = DUET_TCP;
    else
        note(odd, at, "this transport is neither udp nor tcp");
}

static void candidate_type(parse *p, duet_candidate *c, oddity *odd)
{
    size_t at = p->r.pos;
    duet_bytes text = duet_text_run(&p->r, duet_char_is_token);

    if (text.len == 0) {
        fail(p, "the type is host, srflx, prflx or relay");
        return;
    }
    for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
        if (duet_text_is_nocase(text, type_names[i])) {
            c->type = (duet_candidate_type)i;
            return;
        }
    }
    note(odd, at, "this type is not host, srflx, prflx or relay");
}

/* foundation SP component-id SP transport SP priority SP connection-address SP port SP "typ" SP candidate-types */
static bool fixed_part(parse *p, duet_candidate *c, oddity *odd)
{
    uint64_t value = 0;
    duet_bytes foundation = duet_text_run(&p->r, duet_char_is_ice);

    if (foundation.len == 0 || foundation.len > DUET_FOUNDATION_MAX)
        return fail_at(p, DUET_ERR_MALFORMED, p->r.pos - foundation.len, "the foundation is 1 to 32 ice-chars");
    duet_text_copy(c->foundation, sizeof(c->foundation), foundation);
    if (!space(p) || !number(p, 1, COMPONENT_MAX, &value, "the component is a number from 1 to 256"))
        return false;
    c->component = (uint16_t)value;
    if (!space(p))
        return false;
    candidate_transport(p, c, odd);
    if (p->err || !space(p) || !number(p, 1, PRIORITY_MAX, &value, "the priority is a number from 1 to 2147483647"))
        return false;
    c->priority = (uint32_t)value;
    if (!space(p) || !connection_address(p, &c->address, c->name, sizeof(c->name), odd))
        return false;
    if (!space(p) || !number(p, 0, UINT16_MAX, &value, "the port is a number from 0 to 65535"))
        return false;
    c->address.port = (uint16_t)value;
    if (!space(p))
        return false;
    if (!duet_text_skip_word(&p->r, "typ "))
        return fail(p, "\"typ\" and the type are expected here");
    candidate_type(p, c, odd);
    return p->err == DUET_OK;
}

/* [SP "raddr" SP connection-address] [SP "rport" SP port] */
static bool related_part(parse *p, duet_candidate *c)
{
    char ignored_name[DUET_HOST_NAME_MAX + 1];
    oddity ignored = {0};
    uint64_t port = 0;

    if (duet_text_skip_word(&p->r, " raddr ") &&
        !connection_address(p, &c->related, ignored_name, sizeof(ignored_name), &ignored))
        return false;
    if (!duet_text_skip_word(&p->r, " rport "))
        return true;
    if (!number(p, 0, UINT16_MAX, &port, "the related port is a number from 0 to 65535"))
        return false;
    if (c->related.family != DUET_AF_NONE)
        c->related.port = (uint16_t)port;
    return true;
}

static void tcp_type(duet_candidate *c, duet_bytes value, size_t at, oddity *odd)
{
    for (size_t i = 1; i < sizeof(tcp_type_names) / sizeof(tcp_type_names[0]); i++) {
        if (duet_text_is_nocase(value, tcp_type_names[i])) {
            c->tcp_type = (duet_tcp_type)i;
            return;
        }
    }
    note(odd, at, "this tcptype is not active, passive or so");
}

static bool ufrag(parse *p, duet_candidate *c, duet_bytes value, size_t at)
{
    if (value.len < 4 || value.len > DUET_UFRAG_MAX || !duet_text_all(value, duet_char_is_ice))
        return fail_at(p, DUET_ERR_MALFORMED, at, "the ufrag is 4 to 256 ice-chars");
    return duet_text_copy(c->ufrag, sizeof(c->ufrag), value);
}

/* *(SP extension-att-name SP extension-att-value) */
static bool extensions(parse *p, duet_candidate *c, oddity *odd)
{
    while (!duet_text_at_end(&p->r)) {
        if (!space(p))
            return false;
        duet_bytes name = duet_text_run(&p->r, duet_char_is_token);
        if (name.len == 0)
            return fail(p, "the name of an extension is expected here");
        if (!duet_text_skip(&p->r, ' '))
            return fail(p, "the value of the extension is missing");
        size_t at = p->r.pos;
        duet_bytes value = duet_text_run(&p->r, duet_char_is_not_space);
        if (duet_text_is(name, "tcptype"))
            tcp_type(c, value, at, odd);
        if (duet_text_is(name, "ufrag") && !ufrag(p, c, value, at))
            return false;
        duet_reader cost = duet_text_reader_of(value);
        uint64_t number_of_cost;
        if (duet_text_is(name, "network-cost") && duet_text_number(&cost, 0, UINT32_MAX, &number_of_cost))
            c->network_cost = (uint32_t)number_of_cost;
    }
    return true;
}

static size_t trimmed(const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\r' || text[len - 1] == '\n'))
        len--;
    return len;
}

static int finish(parse *p, duet_candidate *out, size_t *column, const char **reason)
{
    oddity odd = {0};

    if (p->err == DUET_OK && fixed_part(p, out, &odd) && related_part(p, out))
        extensions(p, out, &odd);
    if (odd.reason)
        fail_at(p, DUET_ERR_UNSUPPORTED, odd.at, odd.reason);
    if (column)
        *column = p->at;
    if (reason)
        *reason = p->reason;
    return p->err;
}

int duet_candidate_parse(duet_candidate *out, const char *text, size_t len, size_t *column, const char **reason)
{
    parse p = {.r = duet_text_reader(text, trimmed(text, len)), .reason = "no error"};

    memset(out, 0, sizeof(*out));
    duet_text_skip_word(&p.r, "a=");
    if (!duet_text_skip_word(&p.r, "candidate:"))
        fail(&p, "\"candidate:\" is expected here");
    return finish(&p, out, column, reason);
}

int duet_candidate_parse_value(duet_candidate *out, const char *text, size_t len, size_t *column, const char **reason)
{
    parse p = {.r = duet_text_reader(text, trimmed(text, len)), .reason = "no error"};

    memset(out, 0, sizeof(*out));
    return finish(&p, out, column, reason);
}

/* Text in a buffer of the caller; sticky like the bounded writer. */
typedef struct text_out {
    char *buf;
    size_t size, len;
} text_out;

static void put(text_out *o, const char *format, ...) DUET_PRINTF(2, 3);

static void put(text_out *o, const char *format, ...)
{
    va_list args;

    if (o->len >= o->size)
        return;
    va_start(args, format);
    int n = vsnprintf(o->buf + o->len, o->size - o->len, format, args);
    va_end(args);
    o->len = n < 0 || (size_t)n >= o->size - o->len ? o->size : o->len + (size_t)n;
}

/* "the <connection-address> ... set to 0.0.0.0 or :: and the port to 9" hides an address but keeps the form, RFC 8839
 * section 5.1, which requires both for everything but host candidates. */
static void put_related(text_out *o, const duet_candidate *c)
{
    char ip[DUET_ADDRESS_TEXT_MAX];

    if (c->related.family != DUET_AF_NONE)
        put(o, " raddr %s rport %u", duet_address_ip_text(&c->related, ip, sizeof(ip)), (unsigned)c->related.port);
    else if (c->type != DUET_CANDIDATE_HOST)
        put(o, " raddr %s rport 9", c->address.family == DUET_AF_INET6 ? "::" : "0.0.0.0");
}

int duet_candidate_format(const duet_candidate *c, char *buf, size_t size)
{
    text_out o = {buf, size, 0};
    duet_address address = c->address;
    char ip[DUET_ADDRESS_TEXT_MAX];

    address.scope = 0; /* a zone means nothing to another host */
    put(&o, "candidate:%s %u %s %u ", c->foundation, (unsigned)c->component, duet_protocol_name(c->protocol),
        (unsigned)c->priority);
    put(&o, "%s %u typ %s", c->name[0] ? c->name : duet_address_ip_text(&address, ip, sizeof(ip)),
        (unsigned)address.port, duet_candidate_type_name(c->type));
    put_related(&o, c);
    if (c->tcp_type != DUET_TCPTYPE_NONE && (size_t)c->tcp_type < sizeof(tcp_type_names) / sizeof(tcp_type_names[0]))
        put(&o, " tcptype %s", tcp_type_names[c->tcp_type]);
    if (c->ufrag[0])
        put(&o, " ufrag %s", c->ufrag);
    if (c->network_cost)
        put(&o, " network-cost %u", (unsigned)c->network_cost);
    return o.len < o.size ? DUET_OK : DUET_ERR_BUFFER;
}
