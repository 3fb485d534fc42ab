/* Bit fields, and the variable-length numbers of AV1: sticky like base/bytes.h. */
#ifndef DUET_MEDIA_BITS_H
#define DUET_MEDIA_BITS_H

#include "base/bytes.h"

typedef struct duet_bit_reader {
    duet_reader bytes; /* failed when a read went past the end; may be read from at the end of a byte */
    uint8_t byte;
    unsigned left; /* bits of `byte` */
    bool is_nal_unit;
    unsigned zeros; /* bytes 0 in a row */
} duet_bit_reader;

duet_bit_reader duet_bit_reader_init(duet_reader bytes);
/* Of a NAL unit, without the bytes 3 that emulation prevention puts behind two zeros: H.264 and H.265, section 7.4.1. */
duet_bit_reader duet_bit_reader_of_nal_unit(duet_reader bytes);
uint32_t duet_read_bits(duet_bit_reader *r, unsigned count); /* up to 32, the highest first */
/* Non-symmetric: 0 to n - 1, the lower ones in one bit less. AV1 bitstream specification, section 4.10.7; n > 0 */
uint32_t duet_read_ns(duet_bit_reader *r, uint32_t n);

typedef struct duet_bit_writer {
    duet_writer bytes;
    uint8_t byte;
    unsigned used; /* bits of `byte` */
} duet_bit_writer;

duet_bit_writer duet_bit_writer_init(uint8_t *data, size_t capacity);
void duet_write_bits(duet_bit_writer *w, uint32_t v, unsigned count);
void duet_write_ns(duet_bit_writer *w, uint32_t n, uint32_t v);
void duet_bit_writer_align(duet_bit_writer *w); /* zeros up to the end of a byte; then `bytes` may be written to */

/* leb128(): seven bits in a byte, the lowest first. AV1 bitstream specification, section 4.10.5 */
#define DUET_LEB128_MAX 8 /* bytes */

uint32_t duet_read_leb128(duet_reader *r); /* fails when it is longer, or a value does not fit 32 bits */
void duet_write_leb128(duet_writer *w, size_t v);
size_t duet_leb128_len(size_t v);

#endif
