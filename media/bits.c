/* Bit fields read and written from the highest bit of each byte on; ns(n) and leb128() of the AV1 bitstream specification,
 * section 4.10. */
#include "media/bits.h"

duet_bit_reader duet_bit_reader_init(duet_reader bytes)
{
    return (duet_bit_reader){.bytes = bytes};
}

duet_bit_reader duet_bit_reader_of_nal_unit(duet_reader bytes)
{
    return (duet_bit_reader){.bytes = bytes, .is_nal_unit = true};
}

static uint8_t next_byte(duet_bit_reader *r)
{
    uint8_t byte = duet_read_u8(&r->bytes);

    if (r->is_nal_unit && r->zeros >= 2 && byte == 3) {
        byte = duet_read_u8(&r->bytes);
        r->zeros = 0;
    }
    r->zeros = byte == 0 ? r->zeros + 1 : 0;
    return byte;
}

uint32_t duet_read_bits(duet_bit_reader *r, unsigned count)
{
    uint32_t v = 0;

    for (; count > 0; count--) {
        if (r->left == 0) {
            r->byte = next_byte(r);
            r->left = 8;
        }
        v = v << 1 | (r->byte >> --r->left & 1u);
    }
    return v;
}

duet_bit_writer duet_bit_writer_init(uint8_t *data, size_t capacity)
{
    return (duet_bit_writer){.bytes = duet_writer_init(data, capacity)};
}

void duet_write_bits(duet_bit_writer *w, uint32_t v, unsigned count)
{
    while (count-- > 0) {
        w->byte = (uint8_t)((unsigned)w->byte << 1 | (v >> count & 1u));
        if (++w->used < 8)
            continue;
        duet_write_u8(&w->bytes, w->byte);
        w->byte = 0;
        w->used = 0;
    }
}

void duet_bit_writer_align(duet_bit_writer *w)
{
    if (w->used > 0)
        duet_write_bits(w, 0, 8 - w->used);
}

/* ---- ns(n) ------------------------------------------------------------------------------------------------------- */

static unsigned width_of(uint32_t n)
{
    unsigned width = 0;

    for (; n > 0; n >>= 1)
        width++;
    return width;
}

/* How many values take one bit less than the others. */
static uint32_t short_values(uint32_t n)
{
    return (uint32_t)(((uint64_t)1 << width_of(n)) - n);
}

uint32_t duet_read_ns(duet_bit_reader *r, uint32_t n)
{
    uint32_t shorts = short_values(n), v = duet_read_bits(r, width_of(n) - 1);

    return v < shorts ? v : (v << 1) - shorts + duet_read_bits(r, 1);
}

void duet_write_ns(duet_bit_writer *w, uint32_t n, uint32_t v)
{
    uint32_t shorts = short_values(n);

    if (v < shorts)
        duet_write_bits(w, v, width_of(n) - 1);
    else
        duet_write_bits(w, v + shorts, width_of(n));
}

/* ---- leb128() ---------------------------------------------------------------------------------------------------- */

uint32_t duet_read_leb128(duet_reader *r)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < DUET_LEB128_MAX; i++) {
        uint8_t byte = duet_read_u8(r);
        v |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte & 0x80)
            continue;
        if (v > UINT32_MAX)
            break;
        return (uint32_t)v;
    }
    r->failed = true;
    return 0;
}

size_t duet_leb128_len(size_t v)
{
    size_t len = 1;

    while (v >>= 7)
        len++;
    return len;
}

void duet_write_leb128(duet_writer *w, size_t v)
{
    for (; v >= 0x80; v >>= 7)
        duet_write_u8(w, (uint8_t)(v | 0x80));
    duet_write_u8(w, (uint8_t)v);
}
