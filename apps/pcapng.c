/* Writer of pcapng (draft-ietf-opsawg-pcapng): section header, three interfaces, enhanced packets, decryption secrets. */
#include "pcapng.h"
#include <string.h>

#define BLOCK_SECTION       0x0A0D0D0Au
#define BLOCK_INTERFACE     1u
#define BLOCK_PACKET        6u
#define BLOCK_SECRETS       10u
#define LINKTYPE_RAW        101u /* IPv4 or IPv6 by the first four bits */
#define LINKTYPE_SCTP       248u
#define SECRETS_TLS_KEY_LOG 0x544c534bu
#define OPTION_FLAGS        2u /* 1 inbound, 2 outbound */

static void put16(FILE *f, uint16_t v)
{
    fwrite(&v, sizeof(v), 1, f); /* host byte order: the section header tells which */
}

static void put32(FILE *f, uint32_t v)
{
    fwrite(&v, sizeof(v), 1, f);
}

static void put_padded(FILE *f, const void *data, size_t len)
{
    static const uint8_t zero[4];

    fwrite(data, 1, len, f);
    fwrite(zero, 1, (4 - len % 4) % 4, f);
}

static uint32_t padded(size_t len)
{
    return (uint32_t)((len + 3) / 4 * 4);
}

static void put_interface(FILE *f, uint16_t linktype)
{
    put32(f, BLOCK_INTERFACE);
    put32(f, 20);
    put16(f, linktype);
    put16(f, 0);
    put32(f, 0); /* no snap length; time stamps are microseconds by default */
    put32(f, 20);
}

void pcapng_begin(FILE *f)
{
    put32(f, BLOCK_SECTION);
    put32(f, 28);
    put32(f, 0x1A2B3C4Du);
    put16(f, 1);
    put16(f, 0);
    put32(f, UINT32_MAX); /* section length: unknown */
    put32(f, UINT32_MAX);
    put32(f, 28);
    put_interface(f, LINKTYPE_RAW);
    put_interface(f, LINKTYPE_SCTP);
    put_interface(f, LINKTYPE_RAW);
}

static void put_packet(FILE *f, uint32_t interface, duet_time time, bool outgoing, const uint8_t *head, size_t head_len,
                       const uint8_t *data, size_t len)
{
    uint32_t captured = (uint32_t)(head_len + len);
    uint32_t total = 32 + padded(captured) + 12;
    static const uint8_t zero[4];

    put32(f, BLOCK_PACKET);
    put32(f, total);
    put32(f, interface);
    put32(f, (uint32_t)(time >> 32));
    put32(f, (uint32_t)time);
    put32(f, captured);
    put32(f, captured);
    fwrite(head, 1, head_len, f);
    fwrite(data, 1, len, f);
    fwrite(zero, 1, padded(captured) - captured, f);
    put16(f, OPTION_FLAGS);
    put16(f, 4);
    put32(f, outgoing ? 2 : 1);
    put32(f, 0); /* end of options */
    put32(f, total);
}

static void be16(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* Adds 16-bit words to a ones' complement sum (RFC 1071). */
static uint32_t add_words(uint32_t sum, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(data[i] << 8 | data[i + 1]);
    return len % 2 ? sum + (uint32_t)(data[len - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Over the pseudo-header too; 0 would mean that there is none, which IPv6 does not allow (RFC 8200, 8.1). */
static uint16_t udp_checksum(const uint8_t *addresses, size_t addresses_len, const uint8_t *udp, const uint8_t *data,
                             size_t len)
{
    uint32_t sum = 17 + (uint32_t)(len + 8);

    sum = add_words(sum, addresses, addresses_len);
    sum = add_words(sum, udp, 8);
    uint16_t checksum = fold(add_words(sum, data, len));
    return checksum ? checksum : 0xffff;
}

static size_t make_headers(uint8_t *h, const duet_address *from, const duet_address *to, const uint8_t *data,
                           size_t len)
{
    bool is_ipv6 = from->family == DUET_AF_INET6;
    size_t ip_len = is_ipv6 ? 40 : 20, addresses_at = is_ipv6 ? 8 : 12;

    memset(h, 0, 48);
    if (is_ipv6) {
        h[0] = 0x60;
        be16(h + 4, len + 8);
        h[6] = 17;
        h[7] = 64;
        memcpy(h + 8, from->ip, 16);
        memcpy(h + 24, to->ip, 16);
    } else {
        h[0] = 0x45;
        be16(h + 2, len + 28);
        h[6] = 0x40;
        h[8] = 64;
        h[9] = 17;
        memcpy(h + 12, from->ip, 4);
        memcpy(h + 16, to->ip, 4);
        be16(h + 10, fold(add_words(0, h, 20)));
    }
    be16(h + ip_len, from->port);
    be16(h + ip_len + 2, to->port);
    be16(h + ip_len + 4, len + 8);
    be16(h + ip_len + 6, udp_checksum(h + addresses_at, ip_len - addresses_at, h + ip_len, data, len));
    return ip_len + 8;
}

void pcapng_datagram(FILE *f, duet_time time, const duet_path *path, bool outgoing, const uint8_t *data, size_t len)
{
    uint8_t head[48];
    const duet_address *from = outgoing ? &path->local : &path->remote;
    const duet_address *to = outgoing ? &path->remote : &path->local;

    put_packet(f, PCAPNG_IP, time, outgoing, head, make_headers(head, from, to, data, len), data, len);
}

void pcapng_sctp(FILE *f, duet_time time, bool outgoing, const uint8_t *data, size_t len)
{
    put_packet(f, PCAPNG_SCTP, time, outgoing, NULL, 0, data, len);
}

void pcapng_rtp(FILE *f, duet_time time, bool outgoing, const uint8_t *data, size_t len)
{
    bool is_rtcp = len >= 2 && data[1] >= 192 && data[1] <= 223; /* RFC 5761 section 4 */
    duet_address own = {.family = DUET_AF_INET, .ip = {192, 0, 2, 1}, .port = is_rtcp ? 5005 : 5004};
    duet_address peer = {.family = DUET_AF_INET, .ip = {192, 0, 2, 2}, .port = own.port};
    uint8_t head[48];
    size_t head_len = make_headers(head, outgoing ? &own : &peer, outgoing ? &peer : &own, data, len);

    put_packet(f, PCAPNG_RTP, time, outgoing, head, head_len, data, len);
}

void pcapng_secret(FILE *f, const char *line)
{
    char text[1024];

    int len = snprintf(text, sizeof(text), "%s\n", line);
    if (len < 0 || (size_t)len >= sizeof(text))
        return;
    uint32_t total = 20 + padded((size_t)len);
    put32(f, BLOCK_SECRETS);
    put32(f, total);
    put32(f, SECRETS_TLS_KEY_LOG);
    put32(f, (uint32_t)len);
    put_padded(f, text, (size_t)len);
    put32(f, total);
}
