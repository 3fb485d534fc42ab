/* Captured packets: link layers (IEEE 802.3 with VLAN tags, Linux cooked captures, raw IP, SCTP), IPv4 (RFC 791), IPv6
 * (RFC 8200), UDP (RFC 768), and the protocols that share a WebRTC port (RFC 7983). */
#include "inspect_packet.h"
#include "inspect_layout.h"
#include "inspect_stream.h"
#ifdef DUET_HAVE_MEDIA
#include "inspect_description.h"
#endif
#include <string.h>

enum {
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,
    LINKTYPE_COOKED = 113,
    LINKTYPE_IPV4 = 228,
    LINKTYPE_IPV6 = 229,
    LINKTYPE_SCTP = 248,
    LINKTYPE_COOKED_2 = 276,
};

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_QINQ 0x88a8u
#define PROTOCOL_TCP   6u
#define PROTOCOL_UDP   17u
#define PORT_MDNS      5353
#define PROTOCOL_SCTP  132u
#define EXTENSIONS_MAX 8

/* What a packet holds behind its headers. */
typedef struct payload {
    enum { PAYLOAD_NONE = 0, PAYLOAD_UDP, PAYLOAD_TCP, PAYLOAD_SCTP } kind;
    duet_address from, to;
    bool has_addresses, fragment, truncated;
    duet_bytes bytes;
} payload;

/* ---- headers ---- */

static void read_ip(duet_reader *r, duet_address *out, duet_family family)
{
    size_t len = family == DUET_AF_INET ? 4 : 16;
    duet_bytes bytes = duet_read_bytes(r, len);

    memset(out, 0, sizeof(*out));
    out->family = (uint8_t)family;
    if (bytes.len == len)
        memcpy(out->ip, bytes.data, len);
}

/* What is left of `says` bytes; fewer are there when the capture cut the packet. */
static duet_bytes read_payload(duet_reader *r, size_t says, payload *out)
{
    size_t left = duet_reader_left(r);

    if (says > left) {
        out->truncated = true;
        says = left;
    }
    return duet_read_bytes(r, says);
}

static void decode_udp(duet_reader r, payload *out)
{
    out->from.port = duet_read_u16(&r);
    out->to.port = duet_read_u16(&r);
    uint16_t len = duet_read_u16(&r);
    duet_read_skip(&r, 2);
    if (r.failed || len < 8)
        return;
    out->bytes = read_payload(&r, len - 8u, out);
    out->kind = PAYLOAD_UDP;
}

/* One segment: streams are not put together, frames are looked for from its start. */
static void decode_tcp(duet_reader r, payload *out)
{
    out->from.port = duet_read_u16(&r);
    out->to.port = duet_read_u16(&r);
    duet_read_skip(&r, 8);
    size_t header = (size_t)(duet_read_u8(&r) >> 4) * 4;
    if (r.failed || header < 20)
        return;
    duet_read_skip(&r, header - 13);
    if (r.failed || duet_reader_left(&r) == 0)
        return;
    out->bytes = duet_read_bytes(&r, duet_reader_left(&r));
    out->kind = PAYLOAD_TCP;
}

static void decode_transport(duet_bytes bytes, uint8_t protocol, payload *out)
{
    duet_reader r = duet_reader_init(bytes.data, bytes.len);

    out->has_addresses = true;
    if (out->fragment)
        return;
    if (protocol == PROTOCOL_UDP)
        decode_udp(r, out);
    if (protocol == PROTOCOL_TCP)
        decode_tcp(r, out);
    if (protocol == PROTOCOL_SCTP) {
        out->bytes = bytes;
        out->kind = PAYLOAD_SCTP;
    }
}

static void decode_ipv4(duet_reader r, payload *out)
{
    size_t header = (size_t)(duet_peek_u8(&r, 0) & 15) * 4;

    duet_read_skip(&r, 2);
    uint16_t total = duet_read_u16(&r);
    duet_read_skip(&r, 2);
    uint16_t fragment = duet_read_u16(&r);
    duet_read_skip(&r, 1);
    uint8_t protocol = duet_read_u8(&r);
    duet_read_skip(&r, 2);
    read_ip(&r, &out->from, DUET_AF_INET);
    read_ip(&r, &out->to, DUET_AF_INET);
    if (header < 20 || total < header)
        return;
    duet_read_skip(&r, header - 20);
    if (r.failed)
        return;
    out->fragment = (fragment & 0x3fff) != 0; /* more to come, or not the first */
    decode_transport(read_payload(&r, total - header, out), protocol, out);
}

/* Steps over extension headers (RFC 8200, 4). @return the protocol behind them */
static uint8_t skip_extensions(duet_reader *r, uint8_t next, payload *out)
{
    for (int i = 0; i < EXTENSIONS_MAX && !r->failed; i++) {
        bool is_fragment = next == 44;
        if (!is_fragment && next != 0 && next != 43 && next != 60)
            return next;
        next = duet_read_u8(r);
        uint8_t len = duet_read_u8(r);
        uint16_t offset = duet_read_u16(r);
        if (is_fragment)
            out->fragment = out->fragment || (offset & 0xfff9) != 0;
        duet_read_skip(r, is_fragment ? 4 : (size_t)len * 8 + 4);
    }
    return next;
}

static void decode_ipv6(duet_reader r, payload *out)
{
    duet_read_skip(&r, 4);
    uint16_t len = duet_read_u16(&r);
    uint8_t next = duet_read_u8(&r);
    duet_read_skip(&r, 1);
    read_ip(&r, &out->from, DUET_AF_INET6);
    read_ip(&r, &out->to, DUET_AF_INET6);
    if (r.failed)
        return;
    duet_bytes bytes = read_payload(&r, len, out);
    duet_reader rest = duet_reader_init(bytes.data, bytes.len);
    next = skip_extensions(&rest, next, out);
    if (!rest.failed)
        decode_transport(duet_read_bytes(&rest, duet_reader_left(&rest)), next, out);
}

static void decode_ip(duet_reader r, payload *out)
{
    uint8_t version = duet_peek_u8(&r, 0) >> 4;

    if (version == 4)
        decode_ipv4(r, out);
    if (version == 6)
        decode_ipv6(r, out);
}

static void decode_ethertype(duet_reader r, uint16_t type, payload *out)
{
    for (int i = 0; i < EXTENSIONS_MAX && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ); i++) {
        duet_read_skip(&r, 2);
        type = duet_read_u16(&r);
    }
    if (!r.failed && (type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6))
        decode_ip(r, out);
}

static void decode_link(const pcap_packet *packet, payload *out)
{
    duet_reader r = duet_reader_init(packet->data, packet->len);
    uint16_t type;

    switch (packet->linktype) {
    case LINKTYPE_SCTP:
        out->bytes = (duet_bytes){packet->data, packet->len};
        out->kind = PAYLOAD_SCTP;
        return;
    case LINKTYPE_RAW:
    case LINKTYPE_IPV4:
    case LINKTYPE_IPV6:
        decode_ip(r, out);
        return;
    case LINKTYPE_ETHERNET:
        duet_read_skip(&r, 12);
        break;
    case LINKTYPE_COOKED:
        duet_read_skip(&r, 14);
        break;
    case LINKTYPE_COOKED_2:
        type = duet_read_u16(&r);
        duet_read_skip(&r, 18);
        decode_ethertype(r, type, out);
        return;
    default:
        return;
    }
    type = duet_read_u16(&r);
    decode_ethertype(r, type, out);
}

/* ---- datagrams ---- */

static const inspect_field rtp_fields[] = {
    {.name = "flags", .kind = INSPECT_CODE, .size = 1},
    {.name = "markerAndPayloadType", .kind = INSPECT_NUMBER, .size = 1},
    {.name = "sequence", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "timestamp", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "ssrc", .kind = INSPECT_CODE, .size = 4},
    {.kind = INSPECT_END},
};
static const inspect_field rtcp_fields[] = {
    {.name = "flags", .kind = INSPECT_CODE, .size = 1},
    {.name = "packetType", .kind = INSPECT_NUMBER, .size = 1},
    {.name = "words", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "senderSsrc", .kind = INSPECT_CODE, .size = 4},
    {.kind = INSPECT_END},
};

static void set_error(json_t *record, const inspect_error *e)
{
    json_t *error = json_object();

    inspect_set(error, "offset", json_integer((json_int_t)e->offset));
    inspect_set(error, "reason", json_string(e->reason));
    inspect_set(record, "error", error);
}

static int decode_message(const inspect_kind *kind, duet_bytes bytes, const inspect_options *o, json_t *record,
                          inspect_counts *counts)
{
    json_t *message = json_object();
    inspect_error error = {0};
    bool same = true;

    if (!message)
        return DUET_ERR_NOMEM;
    int err = kind->decode(bytes.data, bytes.len, message, &error);
    if (err == DUET_OK && o->roundtrip)
        err = inspect_roundtrip(kind, bytes.data, bytes.len, message, &same);
    if (err == DUET_OK && o->secret && strcmp(kind->name, "stun") == 0)
        counts->forged += !inspect_stun_verify(bytes.data, bytes.len, o->secret, message);
    if (err == DUET_OK) {
        inspect_set(record, "message", message);
        counts->differed += !same;
        return DUET_OK;
    }
    json_decref(message);
    if (err != DUET_ERR_MALFORMED)
        return err;
    set_error(record, &error);
    if (!json_object_get(record, "truncated"))
        counts->failed++;
    return DUET_OK;
}

static void decode_header(duet_bytes bytes, const inspect_field *fields, json_t *record)
{
    inspect_cursor c = inspect_cursor_init(bytes.data, bytes.len, NULL);
    json_t *header = json_object();

    (void)inspect_fields_decode(&c, fields, header);
    inspect_set(record, "header", header);
}

#ifdef DUET_HAVE_MEDIA

/* Captures of our own have an interface with RTP and RTCP as they are inside SRTP: see pcapng.h. */
static bool is_plain(const payload *p)
{
    static const uint8_t own[4] = {192, 0, 2, 1}, peer[4] = {192, 0, 2, 2};
    bool is_outgoing = memcmp(p->from.ip, own, 4) == 0 && memcmp(p->to.ip, peer, 4) == 0;
    bool is_incoming = memcmp(p->from.ip, peer, 4) == 0 && memcmp(p->to.ip, own, 4) == 0;

    return p->from.family == DUET_AF_INET && (is_outgoing || is_incoming) && p->from.port == p->to.port &&
           (p->from.port == 5004 || p->from.port == 5005);
}

/* What of a packet is not said in it. */
static int name_rtp(duet_bytes bytes, const inspect_options *o, bool is_plain, json_t *model)
{
    int err = DUET_OK;

    if (o->extensions)
        err = inspect_extensions_name(o->extensions, bytes.data, bytes.len, model);
    if (err == DUET_OK && o->formats)
        err = inspect_formats_name(o->formats, bytes.data, bytes.len, is_plain, model);
    return err;
}

#endif

/* SRTP encrypts the payload alone: what the header says can be read. */
static int decode_media(const payload *p, duet_bytes bytes, const char *protocol, const inspect_options *o,
                        json_t *record, inspect_counts *counts)
{
    bool is_rtp = strcmp(protocol, "rtp") == 0;

    decode_header(bytes, is_rtp ? rtp_fields : rtcp_fields, record);
#ifdef DUET_HAVE_MEDIA
    int err = is_rtp ? name_rtp(bytes, o, false, json_object_get(record, "header")) : DUET_OK;
    if (err != DUET_OK || !is_plain(p))
        return err;
    err = decode_message(inspect_kind_find(protocol), bytes, o, record, counts);
    json_t *message = json_object_get(record, "message");
    return err == DUET_OK && is_rtp && message ? name_rtp(bytes, o, true, message) : err;
#else
    (void)p;
    (void)o;
    (void)counts;
    return DUET_OK;
#endif
}

/* |         Channel Number        |            Length             |   RFC 8656, 12.4 */
static duet_bytes strip_channel(duet_bytes bytes, json_t *record)
{
    duet_reader r = duet_reader_init(bytes.data, bytes.len);
    uint16_t channel = duet_read_u16(&r), len = duet_read_u16(&r);

    if (r.failed || len > duet_reader_left(&r))
        return bytes;
    inspect_set(record, "channel", inspect_code(channel, 2, NULL));
    return duet_read_bytes(&r, len);
}

/* The DCEP messages of an SCTP packet, for the kind "dcep". */
static bool keep_dcep(json_t *record)
{
    json_t *list = json_array();
    const json_t *chunk;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(record, "message"), "chunks"), i, chunk)
    {
        json_t *dcep = json_object_get(chunk, "dcep");
        if (!dcep)
            continue;
        json_object_set(dcep, "stream", json_object_get(chunk, "stream"));
        json_array_append(list, dcep);
    }
    bool any = json_array_size(list) > 0;
    json_object_del(record, "message");
    inspect_set(record, "messages", list);
    return any || json_object_get(record, "error");
}

static bool is_wanted(const inspect_options *o, const char *protocol)
{
    if (!o->kind || strcmp(o->kind, protocol) == 0)
        return true;
    return strcmp(o->kind, "dcep") == 0 && strcmp(protocol, "sctp") == 0;
}

/* NULL: a TCP segment that is none of ours. */
static const char *protocol_of(const payload *p)
{
    if (p->kind == PAYLOAD_SCTP)
        return "sctp";
    if (p->kind == PAYLOAD_TCP)
        return inspect_framing_of(p->bytes);
    if (p->from.port == PORT_MDNS || p->to.port == PORT_MDNS)
        return "mdns";
    return inspect_protocol_of(p->bytes);
}

static int decode_payload(const payload *p, const inspect_options *o, json_t *record, bool *wanted,
                          inspect_counts *counts)
{
    duet_bytes bytes = p->bytes;
    const char *protocol = protocol_of(p);

    if (!protocol) {
        *wanted = false;
        return DUET_OK;
    }
    bool asked_for_channel = o->kind && strcmp(o->kind, "channeldata") == 0;
    if (strcmp(protocol, "channeldata") == 0 && !asked_for_channel) {
        bytes = strip_channel(bytes, record);
        if (json_object_get(record, "channel"))
            protocol = inspect_protocol_of(bytes);
    }
    *wanted = is_wanted(o, protocol);
    if (!*wanted)
        return DUET_OK;
    inspect_set(record, "length", json_integer((json_int_t)bytes.len));
    inspect_set(record, "protocol", json_string(protocol));
    const inspect_kind *kind = inspect_kind_on_wire(protocol);
    if (kind) {
        int err = decode_message(kind, bytes, o, record, counts);
        if (err == DUET_OK && o->kind && strcmp(o->kind, "dcep") == 0)
            *wanted = keep_dcep(record);
        return err;
    }
    if (strcmp(protocol, "rtp") == 0 || strcmp(protocol, "rtcp") == 0)
        return decode_media(p, bytes, protocol, o, record, counts);
    return DUET_OK;
}

static void describe(const pcap_packet *packet, const payload *p, json_t *record)
{
    char text[DUET_ADDRESS_TEXT_MAX];

    inspect_set(record, "frame", json_integer((json_int_t)packet->number));
    if (packet->time > 0)
        inspect_set(record, "time", json_real(packet->time));
    inspect_set(record, "interface", json_integer(packet->interface));
    if (packet->direction == 1 || packet->direction == 2)
        inspect_set(record, "outgoing", json_boolean(packet->direction == 2));
    if (p->has_addresses) {
        inspect_set(record, "from", json_string(duet_address_text(&p->from, text, sizeof(text))));
        inspect_set(record, "to", json_string(duet_address_text(&p->to, text, sizeof(text))));
    }
    if (p->truncated || packet->len < packet->original_len)
        inspect_set(record, "truncated", json_true());
}

int inspect_packet(const pcap_packet *packet, const inspect_options *options, json_t **out, inspect_counts *counts)
{
    payload p = {0};
    bool wanted = true;

    *out = NULL;
    decode_link(packet, &p);
    if (p.kind == PAYLOAD_NONE)
        return DUET_OK;
    json_t *record = json_object();
    if (!record)
        return DUET_ERR_NOMEM;
    describe(packet, &p, record);
    int err = decode_payload(&p, options, record, &wanted, counts);
    if (err == DUET_OK && wanted) {
        counts->decoded++;
        *out = record;
        return DUET_OK;
    }
    json_decref(record);
    return err;
}
