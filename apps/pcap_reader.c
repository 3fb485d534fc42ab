/* Captures: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng). */
#include "pcap_reader.h"
#include "inspect_layout.h"
#include <stdlib.h>
#include <string.h>

#define MAGIC_MICROSECONDS  0xa1b2c3d4u
#define MAGIC_NANOSECONDS   0xa1b23c4du
#define BLOCK_SECTION       0x0a0d0d0au
#define BLOCK_INTERFACE     1u
#define BLOCK_SIMPLE_PACKET 3u
#define BLOCK_PACKET        6u
#define BYTE_ORDER_MAGIC    0x1a2b3c4du
#define OPTION_FLAGS        2u
#define OPTION_TSRESOL      9u
#define BLOCK_OVERHEAD      12u

typedef struct capture_interface {
    uint16_t linktype;
    double units_per_second;
} capture_interface;

struct pcap_reader {
    pcap_read_fn read;
    void *user;
    bool is_ng, little_endian;
    capture_interface interfaces[PCAP_INTERFACES_MAX];
    size_t interface_count;
    uint64_t offset; /* how much of the file has been read */
    uint64_t packets;
    uint8_t *buffer;
    size_t capacity;
};

/* ---- bytes ---- */

static uint16_t swap16(uint16_t v)
{
    return (uint16_t)(v >> 8 | v << 8);
}

static uint32_t swap32(uint32_t v)
{
    return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
}

static uint16_t get16(const pcap_reader *p, duet_reader *r)
{
    uint16_t v = duet_read_u16(r);

    return p->little_endian ? swap16(v) : v;
}

static uint32_t get32(const pcap_reader *p, duet_reader *r)
{
    uint32_t v = duet_read_u32(r);

    return p->little_endian ? swap32(v) : v;
}

static int fail(const pcap_reader *p, inspect_error *error, const char *reason, uint64_t a, uint64_t b)
{
    inspect_cursor c = inspect_cursor_init(NULL, 0, error);

    (void)inspect_fail(&c, (size_t)p->offset, reason, (unsigned long long)a, (unsigned long long)b);
    return DUET_ERR_MALFORMED;
}

/* Reads exactly `len` bytes into the buffer. @return DUET_OK; DUET_ERR_NOT_FOUND at a clean end of the file */
static int fill(pcap_reader *p, size_t len, inspect_error *error)
{
    if (len > p->capacity) {
        uint8_t *grown = realloc(p->buffer, len);
        if (!grown)
            return DUET_ERR_NOMEM;
        p->buffer = grown;
        p->capacity = len;
    }
    size_t n = p->read(p->user, p->buffer, len);
    if (n == 0 && len > 0)
        return DUET_ERR_NOT_FOUND;
    if (n < len) {
        fail(p, error, "the file ends %llu bytes into a part of %llu bytes", n, len);
        return DUET_ERR_MALFORMED;
    }
    p->offset += len;
    return DUET_OK;
}

/* The same where the file may not end. */
static int fill_all(pcap_reader *p, size_t len, inspect_error *error)
{
    int err = fill(p, len, error);

    return err == DUET_ERR_NOT_FOUND ? fail(p, error, "the file ends where %llu bytes are due", len, 0) : err;
}

static int skip(pcap_reader *p, uint64_t len, inspect_error *error)
{
    int err = DUET_OK;

    while (err == DUET_OK && len > 0) {
        size_t part = len < 65536 ? (size_t)len : 65536;
        err = fill_all(p, part, error);
        len -= part;
    }
    return err;
}

/* ---- pcap ---- */

static int begin_classic(pcap_reader *p, uint32_t magic, inspect_error *error)
{
    int err = fill_all(p, 20, error);

    if (err != DUET_OK)
        return err;
    duet_reader r = duet_reader_init(p->buffer, 20);
    duet_read_skip(&r, 16); /* version, time zone, accuracy, snap length */
    p->interfaces[0].linktype = (uint16_t)(get32(p, &r) & 0xffff);
    p->interfaces[0].units_per_second = magic == MAGIC_NANOSECONDS ? 1e9 : 1e6;
    p->interface_count = 1;
    return DUET_OK;
}

static int next_classic(pcap_reader *p, pcap_packet *out, inspect_error *error)
{
    int err = fill(p, 16, error);

    if (err != DUET_OK)
        return err == DUET_ERR_NOT_FOUND ? 0 : err;
    duet_reader r = duet_reader_init(p->buffer, 16);
    double seconds = get32(p, &r);
    out->time = seconds + get32(p, &r) / p->interfaces[0].units_per_second;
    uint32_t len = get32(p, &r);
    out->original_len = get32(p, &r);
    if (len > PCAP_BLOCK_MAX)
        return fail(p, error, "a packet says %llu bytes: more than %llu are not read", len, PCAP_BLOCK_MAX);
    out->offset = p->offset;
    out->linktype = p->interfaces[0].linktype;
    if (len == 0) {
        out->data = p->buffer;
        return 1;
    }
    err = fill_all(p, len, error);
    out->data = p->buffer;
    out->len = len;
    return err == DUET_OK ? 1 : err;
}

/* ---- pcapng ---- */

/* The value of an option among those that are left; an empty one when there is none. */
static duet_bytes find_option(const pcap_reader *p, duet_reader r, uint16_t wanted)
{
    while (duet_reader_left(&r) >= 4) {
        uint16_t code = get16(p, &r), len = get16(p, &r);
        duet_bytes value = duet_read_bytes(&r, len);
        if (r.failed || code == 0)
            break;
        if (code == wanted)
            return value;
        duet_read_skip(&r, (4u - len % 4u) % 4u);
    }
    return (duet_bytes){NULL, 0};
}

/* if_tsresol: a power of ten, or of two with the high bit. */
static double resolution(uint8_t tsresol)
{
    double base = tsresol & 0x80 ? 2 : 10, units = 1;

    for (int i = 0; i < (tsresol & 0x7f); i++)
        units *= base;
    return units;
}

static int take_interface(pcap_reader *p, duet_reader *r, inspect_error *error)
{
    if (p->interface_count == PCAP_INTERFACES_MAX)
        return fail(p, error, "there are more than %llu interfaces", PCAP_INTERFACES_MAX, 0);
    capture_interface *i = &p->interfaces[p->interface_count++];
    i->linktype = get16(p, r);
    duet_read_skip(r, 6);
    duet_bytes tsresol = find_option(p, *r, OPTION_TSRESOL);
    i->units_per_second = resolution(tsresol.len == 1 ? tsresol.data[0] : 6);
    return r->failed ? fail(p, error, "an interface block ends early", 0, 0) : DUET_OK;
}

static int take_packet(pcap_reader *p, duet_reader *r, pcap_packet *out, inspect_error *error, uint64_t at)
{
    out->interface = get32(p, r);
    uint64_t high = get32(p, r);
    uint64_t time = high << 32 | get32(p, r);
    uint32_t len = get32(p, r);
    out->original_len = get32(p, r);
    out->offset = at + r->pos;
    duet_bytes bytes = duet_read_bytes(r, len);
    if (r->failed)
        return fail(p, error, "a packet block is too short for the %llu bytes of its packet", len, 0);
    if (out->interface >= p->interface_count)
        return fail(p, error, "a packet names interface %llu of %llu", out->interface, p->interface_count);
    duet_read_skip(r, (4u - len % 4u) % 4u);
    duet_bytes flags = find_option(p, *r, OPTION_FLAGS);
    if (flags.len == 4) {
        duet_reader f = duet_reader_init(flags.data, 4);
        out->direction = (int)(get32(p, &f) & 3);
    }
    const capture_interface *i = &p->interfaces[out->interface];
    out->linktype = i->linktype;
    out->time = (double)time / i->units_per_second;
    out->data = bytes.data;
    out->len = bytes.len;
    return 1;
}

static int take_simple_packet(pcap_reader *p, duet_reader *r, pcap_packet *out, inspect_error *error, uint64_t at)
{
    if (p->interface_count == 0)
        return fail(p, error, "a packet comes before any interface", 0, 0);
    out->original_len = get32(p, r);
    size_t len = duet_reader_left(r) < out->original_len ? duet_reader_left(r) : out->original_len;
    out->offset = at + r->pos;
    out->linktype = p->interfaces[0].linktype;
    duet_bytes bytes = duet_read_bytes(r, len);
    out->data = bytes.data;
    out->len = bytes.len;
    return r->failed ? fail(p, error, "a packet block ends early", 0, 0) : 1;
}

/* The section header says in which byte order the rest is written, its own length too. */
static int begin_section(pcap_reader *p, inspect_error *error)
{
    int err = fill_all(p, 8, error);

    if (err != DUET_OK)
        return err;
    duet_reader r = duet_reader_init(p->buffer, 8);
    uint32_t len = duet_read_u32(&r), magic = duet_read_u32(&r);
    if (magic != BYTE_ORDER_MAGIC && swap32(magic) != BYTE_ORDER_MAGIC)
        return fail(p, error, "the byte-order magic is 0x%08llx", magic, 0);
    p->little_endian = magic != BYTE_ORDER_MAGIC;
    p->interface_count = 0;
    if (p->little_endian)
        len = swap32(len);
    if (len < 28 || len % 4 != 0)
        return fail(p, error, "a section header says %llu bytes", len, 0);
    return skip(p, len - 12, error);
}

static int take_block(pcap_reader *p, uint32_t type, size_t len, pcap_packet *out, inspect_error *error)
{
    uint64_t at = p->offset;
    int err = fill_all(p, len + 4, error); /* its length comes again behind it */

    if (err != DUET_OK)
        return err;
    duet_reader r = duet_reader_init(p->buffer, len);
    if (type == BLOCK_INTERFACE)
        return take_interface(p, &r, error);
    if (type == BLOCK_PACKET)
        return take_packet(p, &r, out, error, at);
    return take_simple_packet(p, &r, out, error, at);
}

/* One block. @return 1 when it is a packet, 0 when it is something else, DUET_ERR_NOT_FOUND at the end */
static int next_block(pcap_reader *p, pcap_packet *out, inspect_error *error)
{
    int err = fill(p, 4, error);

    if (err != DUET_OK)
        return err;
    duet_reader r = duet_reader_init(p->buffer, 4);
    uint32_t type = get32(p, &r);
    if (type == BLOCK_SECTION)
        return begin_section(p, error);
    err = fill_all(p, 4, error);
    if (err != DUET_OK)
        return err;
    r = duet_reader_init(p->buffer, 4);
    uint32_t total = get32(p, &r);
    if (total < BLOCK_OVERHEAD || total % 4 != 0)
        return fail(p, error, "a block says %llu bytes", total, 0);
    size_t len = total - BLOCK_OVERHEAD;
    bool wanted = type == BLOCK_INTERFACE || type == BLOCK_PACKET || type == BLOCK_SIMPLE_PACKET;
    if (!wanted)
        return skip(p, (uint64_t)len + 4, error);
    if (len > PCAP_BLOCK_MAX)
        return fail(p, error, "a block says %llu bytes: more than %llu are not read", total, PCAP_BLOCK_MAX);
    return take_block(p, type, len, out, error);
}

static int next_ng(pcap_reader *p, pcap_packet *out, inspect_error *error)
{
    for (;;) {
        int result = next_block(p, out, error);
        if (result == DUET_ERR_NOT_FOUND)
            return 0;
        if (result != 0)
            return result;
    }
}

/* ---- both ---- */

/* The magic number of a pcap file in the byte order of the file. */
static uint32_t classic_magic(uint32_t magic, bool *little_endian)
{
    *little_endian = swap32(magic) == MAGIC_MICROSECONDS || swap32(magic) == MAGIC_NANOSECONDS;
    return *little_endian ? swap32(magic) : magic;
}

bool pcap_is_capture(const uint8_t *data, size_t len)
{
    duet_reader r = duet_reader_init(data, len);
    uint32_t magic = duet_read_u32(&r);
    bool little_endian;

    if (r.failed)
        return false;
    uint32_t classic = classic_magic(magic, &little_endian);
    return magic == BLOCK_SECTION || classic == MAGIC_MICROSECONDS || classic == MAGIC_NANOSECONDS;
}

static int begin(pcap_reader *p, inspect_error *error)
{
    int err = fill_all(p, 4, error);

    if (err != DUET_OK)
        return err;
    duet_reader r = duet_reader_init(p->buffer, 4);
    uint32_t magic = duet_read_u32(&r);
    p->is_ng = magic == BLOCK_SECTION;
    if (p->is_ng)
        return begin_section(p, error);
    uint32_t classic = classic_magic(magic, &p->little_endian);
    if (classic != MAGIC_MICROSECONDS && classic != MAGIC_NANOSECONDS)
        return fail(p, error, "0x%08llx is the magic number of no capture", magic, 0);
    return begin_classic(p, classic, error);
}

int pcap_reader_create(pcap_reader **out, pcap_read_fn read, void *user, inspect_error *error)
{
    pcap_reader *p = calloc(1, sizeof(*p));

    *out = NULL;
    if (!p)
        return DUET_ERR_NOMEM;
    p->read = read;
    p->user = user;
    int err = begin(p, error);
    if (err == DUET_OK)
        *out = p;
    else
        pcap_reader_destroy(p);
    return err;
}

int pcap_reader_next(pcap_reader *p, pcap_packet *out, inspect_error *error)
{
    memset(out, 0, sizeof(*out));
    int result = p->is_ng ? next_ng(p, out, error) : next_classic(p, out, error);
    if (result == 1)
        out->number = ++p->packets;
    return result;
}

void pcap_reader_destroy(pcap_reader *p)
{
    if (!p)
        return;
    free(p->buffer);
    free(p);
}
