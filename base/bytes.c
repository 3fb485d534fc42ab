/* Bounded reader and writer. All multi-byte values are big-endian. */
#include "base/bytes.h"
#include <string.h>

bool duet_bytes_equal(duet_bytes a, duet_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

duet_reader duet_reader_init(const uint8_t *data, size_t len)
{
    return (duet_reader){.data = data, .len = len};
}

duet_bytes duet_read_bytes(duet_reader *r, size_t len)
{
    if (r->failed || len > r->len - r->pos) {
        r->failed = true;
        return (duet_bytes){NULL, 0};
    }
    duet_bytes bytes = {r->data + r->pos, len};
    r->pos += len;
    return bytes;
}

static uint64_t read_number(duet_reader *r, size_t size)
{
    duet_bytes bytes = duet_read_bytes(r, size);
    uint64_t v = 0;

    for (size_t i = 0; i < bytes.len; i++)
        v = v << 8 | bytes.data[i];
    return v;
}

uint8_t duet_read_u8(duet_reader *r)
{
    return (uint8_t)read_number(r, 1);
}

uint16_t duet_read_u16(duet_reader *r)
{
    return (uint16_t)read_number(r, 2);
}

uint32_t duet_read_u24(duet_reader *r)
{
    return (uint32_t)read_number(r, 3);
}

int32_t duet_read_s24(duet_reader *r)
{
    uint32_t v = duet_read_u24(r);

    return v & 0x800000 ? (int32_t)v - 0x1000000 : (int32_t)v;
}

uint32_t duet_read_u32(duet_reader *r)
{
    return (uint32_t)read_number(r, 4);
}

uint64_t duet_read_u48(duet_reader *r)
{
    return read_number(r, 6);
}

uint64_t duet_read_u64(duet_reader *r)
{
    return read_number(r, 8);
}

duet_reader duet_read_sub(duet_reader *r, size_t len)
{
    duet_bytes bytes = duet_read_bytes(r, len);

    return (duet_reader){.data = bytes.data, .len = bytes.len, .failed = r->failed};
}

void duet_read_skip(duet_reader *r, size_t len)
{
    (void)duet_read_bytes(r, len);
}

size_t duet_reader_left(const duet_reader *r)
{
    return r->failed ? 0 : r->len - r->pos;
}

int duet_reader_finish(const duet_reader *r)
{
    return r->failed || r->pos != r->len ? DUET_ERR_MALFORMED : DUET_OK;
}

duet_writer duet_writer_init(uint8_t *data, size_t capacity)
{
    return (duet_writer){.data = data, .capacity = capacity};
}

/* The next `len` bytes to be written, or NULL when they do not fit. */
static uint8_t *writer_take(duet_writer *w, size_t len)
{
    if (w->failed || len > w->capacity - w->len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *at = w->data + w->len;
    w->len += len;
    return at;
}

static void put_number(uint8_t *at, size_t size, uint64_t v)
{
    for (size_t i = size; i-- > 0; v >>= 8)
        at[i] = (uint8_t)v;
}

static void write_number(duet_writer *w, size_t size, uint64_t v)
{
    uint8_t *at = writer_take(w, size);

    if (at)
        put_number(at, size, v);
}

void duet_write_u8(duet_writer *w, uint8_t v)
{
    write_number(w, 1, v);
}

void duet_write_u16(duet_writer *w, uint16_t v)
{
    write_number(w, 2, v);
}

void duet_write_u24(duet_writer *w, uint32_t v)
{
    write_number(w, 3, v);
}

void duet_write_u32(duet_writer *w, uint32_t v)
{
    write_number(w, 4, v);
}

void duet_write_u48(duet_writer *w, uint64_t v)
{
    write_number(w, 6, v);
}

void duet_write_u64(duet_writer *w, uint64_t v)
{
    write_number(w, 8, v);
}

void duet_write_bytes(duet_writer *w, const void *data, size_t len)
{
    uint8_t *at = writer_take(w, len);

    if (at && len)
        memcpy(at, data, len);
}

void duet_write_fill(duet_writer *w, uint8_t v, size_t count)
{
    uint8_t *at = writer_take(w, count);

    if (at && count)
        memset(at, v, count);
}

static void write_at(duet_writer *w, size_t offset, size_t size, uint64_t v)
{
    if (w->failed || offset > w->len || size > w->len - offset) {
        w->failed = true;
        return;
    }
    put_number(w->data + offset, size, v);
}

void duet_write_u16_at(duet_writer *w, size_t offset, uint16_t v)
{
    write_at(w, offset, 2, v);
}

void duet_write_u32_at(duet_writer *w, size_t offset, uint32_t v)
{
    write_at(w, offset, 4, v);
}

int duet_writer_finish(const duet_writer *w)
{
    return w->failed ? DUET_ERR_BUFFER : DUET_OK;
}
