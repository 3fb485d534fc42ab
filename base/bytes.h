/* Bounded reader and writer for wire formats. Both are sticky: the first access outside the bounds marks them failed,
 * later reads give zeros and later writes do nothing, so a parser is straight code with one check at the end. */
#ifndef DUET_BASE_BYTES_H
#define DUET_BASE_BYTES_H

#include "duet/base.h"

/** A borrowed run of bytes. */
typedef struct duet_bytes {
    const uint8_t *data;
    size_t len;
} duet_bytes;

bool duet_bytes_equal(duet_bytes a, duet_bytes b);

typedef struct duet_reader {
    const uint8_t *data;
    size_t len;
    size_t pos;
    bool failed;
} duet_reader;

duet_reader duet_reader_init(const uint8_t *data, size_t len);
uint8_t duet_read_u8(duet_reader *r);
uint16_t duet_read_u16(duet_reader *r); /* big-endian, as all of these */
uint32_t duet_read_u24(duet_reader *r);
int32_t duet_read_s24(duet_reader *r); /* two's complement */
uint32_t duet_read_u32(duet_reader *r);
uint64_t duet_read_u48(duet_reader *r);
uint64_t duet_read_u64(duet_reader *r);
duet_bytes duet_read_bytes(duet_reader *r, size_t len); /* {NULL, 0} when there are not so many */
duet_reader duet_read_sub(duet_reader *r, size_t len);  /* a reader of the next len bytes; failed when r fails */
void duet_read_skip(duet_reader *r, size_t len);
/* From the current position; 0 past the end, no failure. Here, because text is scanned with it byte by byte. */
static inline uint8_t duet_peek_u8(const duet_reader *r, size_t offset)
{
    return !r->failed && offset < r->len - r->pos ? r->data[r->pos + offset] : 0;
}
size_t duet_reader_left(const duet_reader *r);
int duet_reader_finish(const duet_reader *r); /* DUET_ERR_MALFORMED when a read failed or bytes are left over */

typedef struct duet_writer {
    uint8_t *data;
    size_t capacity;
    size_t len;
    bool failed;
} duet_writer;

duet_writer duet_writer_init(uint8_t *data, size_t capacity);
void duet_write_u8(duet_writer *w, uint8_t v);
void duet_write_u16(duet_writer *w, uint16_t v);
void duet_write_u24(duet_writer *w, uint32_t v);
void duet_write_u32(duet_writer *w, uint32_t v);
void duet_write_u48(duet_writer *w, uint64_t v);
void duet_write_u64(duet_writer *w, uint64_t v);
void duet_write_bytes(duet_writer *w, const void *data, size_t len);
void duet_write_fill(duet_writer *w, uint8_t v, size_t count);
void duet_write_u16_at(duet_writer *w, size_t offset, uint16_t v); /* overwrites; fails outside what is written */
void duet_write_u32_at(duet_writer *w, size_t offset, uint32_t v);
int duet_writer_finish(const duet_writer *w); /* DUET_OK or DUET_ERR_BUFFER */

#endif
