/* The chunk checker: every packet is checked here, checksum, ports, chunks and parameters, before the engine parses it.
 * Anything whose lengths do not add up, or that nobody negotiated, is dropped. RFC 9260 section 3, RFC 3758, RFC 6525. */
#include "base/crypto.h"
#include "sctp/internal.h"
#include <string.h>

#define COMMON_HEADER    12
#define CHECKSUM_OFFSET  8
#define CHUNK_HEADER     4
#define PARAMETER_HEADER 4
/* One RE-CONFIG carries one or two parameters, RFC 6525 section 3.1. */
#define RECONFIG_PARAMETERS_MAX 2

enum {
    CHUNK_DATA = 0,
    CHUNK_INIT = 1,
    CHUNK_INIT_ACK = 2,
    CHUNK_SACK = 3,
    CHUNK_HEARTBEAT = 4,
    CHUNK_HEARTBEAT_ACK = 5,
    CHUNK_ABORT = 6,
    CHUNK_SHUTDOWN = 7,
    CHUNK_SHUTDOWN_ACK = 8,
    CHUNK_ERROR = 9,
    CHUNK_COOKIE_ECHO = 10,
    CHUNK_COOKIE_ACK = 11,
    CHUNK_ECNE = 12,
    CHUNK_CWR = 13,
    CHUNK_SHUTDOWN_COMPLETE = 14,
    CHUNK_AUTH = 15,
    CHUNK_NR_SACK = 16,
    CHUNK_I_DATA = 64,
    CHUNK_ASCONF_ACK = 0x80,
    CHUNK_PACKET_DROPPED = 0x81,
    CHUNK_RE_CONFIG = 0x82,
    CHUNK_PAD = 0x84,
    CHUNK_FORWARD_TSN = 0xc0,
    CHUNK_ASCONF = 0xc1,
    CHUNK_I_FORWARD_TSN = 0xc2,
};

/* ---- parameters ------------------------------------------------------------------------------------------------ */

typedef struct parameter {
    uint16_t type;
    size_t len; /* with its header */
    duet_reader body;
} parameter;

static size_t padding(size_t len)
{
    return (4 - len % 4) % 4;
}

/* The next type-length-value; the padding of the last one may be missing (RFC 9260 section 3.2.1). */
static bool next_parameter(duet_reader *r, parameter *out)
{
    out->type = duet_read_u16(r);
    out->len = duet_read_u16(r);
    if (r->failed || out->len < PARAMETER_HEADER) {
        r->failed = true;
        return false;
    }
    out->body = duet_read_sub(r, out->len - PARAMETER_HEADER);
    size_t pad = padding(out->len);
    duet_read_skip(r, pad < duet_reader_left(r) ? pad : duet_reader_left(r));
    return !r->failed;
}

static bool init_parameter_is_good(const parameter *p)
{
    switch (p->type) {
    case 5: /* IPv4 Address */
        return p->len == 8;
    case 6: /* IPv6 Address */
        return p->len == 20;
    case 7: /* State Cookie */
        return p->len > PARAMETER_HEADER;
    case 9: /* Cookie Preservative */
        return p->len == 8;
    case 11: /* Host Name Address: "MUST NOT be sent", RFC 9260 section 3.3.2.1.4 */
        return false;
    case 12: /* Supported Address Types */
        return p->len > PARAMETER_HEADER && p->len % 2 == 0;
    case 0x8000: /* ECN */
    case 0xc000: /* Forward-TSN-Supported */
        return p->len == 4;
    case 0x8001: /* Zero Checksum Acceptable, RFC 9653 */
    case 0xc006: /* Adaptation Layer Indication, RFC 5061 */
        return p->len == 8;
    case 0x8002: /* Random, RFC 4895 */
    case 0x8003: /* Chunk List */
    case 0x8008: /* Supported Extensions, RFC 5061 */
        return p->len <= 260;
    case 0x8004: /* Requested HMAC Algorithms */
        return p->len > PARAMETER_HEADER && p->len <= 260 && p->len % 2 == 0;
    default:
        return true;
    }
}

static bool init_is_good(duet_reader *r, bool needs_cookie)
{
    bool cookie = false;
    parameter p;

    uint32_t tag = duet_read_u32(r);
    duet_read_skip(r, 4); /* a_rwnd */
    uint16_t streams_out = duet_read_u16(r);
    uint16_t streams_in = duet_read_u16(r);
    duet_read_skip(r, 4);                                             /* initial TSN */
    if (r->failed || tag == 0 || streams_out == 0 || streams_in == 0) /* RFC 9260 section 3.3.2 */
        return false;
    while (duet_reader_left(r) > 0) {
        if (!next_parameter(r, &p) || !init_parameter_is_good(&p))
            return false;
        cookie = cookie || p.type == 7;
    }
    return cookie || !needs_cookie;
}

/* RFC 6525 section 4 */
static bool reconfig_parameter_is_good(const parameter *p)
{
    switch (p->type) {
    case 13: /* Outgoing SSN Reset Request */
        return p->len >= 16 && p->len % 2 == 0;
    case 14: /* Incoming SSN Reset Request */
        return p->len >= 8 && p->len % 2 == 0;
    case 15: /* SSN/TSN Reset Request */
        return p->len == 8;
    case 16: /* Re-configuration Response */
        return p->len == 12 || p->len == 20;
    case 17: /* Add Outgoing Streams Request */
    case 18: /* Add Incoming Streams Request */
        return p->len == 12;
    default:
        return false;
    }
}

static bool reconfig_is_good(duet_reader *r)
{
    int count = 0;
    parameter p;

    while (duet_reader_left(r) > 0) {
        if (!next_parameter(r, &p) || !reconfig_parameter_is_good(&p) || ++count > RECONFIG_PARAMETERS_MAX)
            return false;
    }
    return count > 0;
}

/* Error causes have the form of parameters, RFC 9260 section 3.3.10. */
static bool causes_are_good(duet_reader *r)
{
    parameter p;

    while (duet_reader_left(r) > 0)
        if (!next_parameter(r, &p))
            return false;
    return !r->failed;
}

static bool heartbeat_is_good(duet_reader *r)
{
    parameter p;

    return next_parameter(r, &p) && p.type == 1 && duet_reader_left(r) == 0;
}

/* ---- chunks ---------------------------------------------------------------------------------------------------- */

/* | TSN | stream (2) | SSN (2) | PPID | user data |, "a DATA chunk with no user data field ... MUST" not be: 3.3.1 */
static bool data_is_good(const duet_reader *r)
{
    return duet_reader_left(r) > 12;
}

/* | cumulative TSN ack | a_rwnd | number of gaps (2) | number of duplicates (2) | gaps | duplicates |, 3.3.4 */
static bool sack_is_good(duet_reader *r)
{
    duet_read_skip(r, 8);
    size_t gaps = duet_read_u16(r);
    size_t duplicates = duet_read_u16(r);
    return !r->failed && duet_reader_left(r) == 4 * (gaps + duplicates);
}

static const char *refuse_chunk(uint8_t type, duet_reader *body)
{
    size_t len = duet_reader_left(body);
    bool good = true;

    switch (type) {
    case CHUNK_DATA:
        good = data_is_good(body);
        break;
    case CHUNK_INIT:
        good = init_is_good(body, false);
        break;
    case CHUNK_INIT_ACK:
        good = init_is_good(body, true);
        break;
    case CHUNK_SACK:
        good = sack_is_good(body);
        break;
    case CHUNK_HEARTBEAT:
    case CHUNK_HEARTBEAT_ACK:
        good = heartbeat_is_good(body);
        break;
    case CHUNK_ABORT:
    case CHUNK_ERROR:
        good = causes_are_good(body);
        break;
    case CHUNK_SHUTDOWN:
        good = len == 4;
        break;
    case CHUNK_SHUTDOWN_ACK:
    case CHUNK_COOKIE_ACK:
    case CHUNK_SHUTDOWN_COMPLETE:
        good = len == 0;
        break;
    case CHUNK_COOKIE_ECHO:
        good = len > 0;
        break;
    case CHUNK_RE_CONFIG:
        good = reconfig_is_good(body);
        break;
    case CHUNK_FORWARD_TSN:
        good = len >= 4 && len % 4 == 0;
        break;
    case CHUNK_ECNE:
    case CHUNK_CWR:
    case CHUNK_AUTH:
    case CHUNK_NR_SACK:
    case CHUNK_I_DATA:
    case CHUNK_ASCONF_ACK:
    case CHUNK_PACKET_DROPPED:
    case CHUNK_ASCONF:
    case CHUNK_I_FORWARD_TSN:
        return "chunk of an extension that was not negotiated";
    default: /* unknown: the bits of its type say what the engine does with it, RFC 9260 section 3.2 */
        break;
    }
    return good ? NULL : "ill-formed chunk";
}

/* "INIT, INIT ACK, and SHUTDOWN COMPLETE chunks MUST NOT be bundled", RFC 9260 section 6.10 */
static bool stands_alone(uint8_t type)
{
    return type == CHUNK_INIT || type == CHUNK_INIT_ACK || type == CHUNK_SHUTDOWN_COMPLETE;
}

/* |  type  | flags  |      length       |  value, padded to 4 bytes      RFC 9260, 3.2 */
static const char *refuse_chunks(duet_reader *r, uint32_t tag)
{
    size_t count = 0;

    while (duet_reader_left(r) > 0) {
        uint8_t type = duet_read_u8(r);
        duet_read_skip(r, 1);
        size_t len = duet_read_u16(r);
        if (r->failed || len < CHUNK_HEADER)
            return "ill-formed chunk header";
        duet_reader body = duet_read_sub(r, len - CHUNK_HEADER);
        duet_read_skip(r, padding(len)); /* "the total length of a chunk MUST be a multiple of 4 bytes" */
        if (r->failed)
            return "chunk reaches beyond its packet";
        const char *cause = refuse_chunk(type, &body);
        if (cause)
            return cause;
        if (stands_alone(type) && (count > 0 || duet_reader_left(r) > 0))
            return "bundled chunk that must stand alone";
        if ((type == CHUNK_INIT) != (tag == 0)) /* RFC 9260 section 8.5.1 (A) */
            return "verification tag does not fit the chunk";
        count++;
    }
    return count > 0 ? NULL : "packet without chunks";
}

/* Read byte by byte: "the least significant byte first", RFC 9260 appendix A. */
static bool checksum_is_good(const uint8_t *packet, size_t len)
{
    static const uint8_t zero[4];
    const uint8_t *at = packet + CHECKSUM_OFFSET;
    uint32_t received = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;

    uint32_t crc = duet_crc32c(0, packet, CHECKSUM_OFFSET);
    crc = duet_crc32c(crc, zero, sizeof(zero));
    crc = duet_crc32c(crc, packet + COMMON_HEADER, len - COMMON_HEADER);
    return crc == received;
}

const char *duet_sctp_refuse_packet(const uint8_t *packet, size_t len, uint16_t source_port, uint16_t destination_port)
{
    duet_reader r = duet_reader_init(packet, len);

    if (len < COMMON_HEADER + CHUNK_HEADER || len % 4 != 0 || len > 65535)
        return "wrong packet length";
    uint16_t source = duet_read_u16(&r);
    uint16_t destination = duet_read_u16(&r);
    uint32_t tag = duet_read_u32(&r);
    duet_read_skip(&r, 4);
    if (source != source_port || destination != destination_port)
        return "wrong port";
    if (!checksum_is_good(packet, len))
        return "wrong checksum";
    return refuse_chunks(&r, tag);
}
