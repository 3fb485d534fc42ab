/* EBML elements: RFC 8794. */
#include "media/files/ebml.h"
#include <string.h>

#define ID_LEN_MAX 4
#define SIZE_BYTES 4 /* of the size of a parent that is written */

/* How many bytes a variable-size integer has: the zeros before its first 1, and one. 9: none. */
static unsigned vint_len(uint8_t first)
{
    unsigned len = 1;

    while (len <= 8 && !(first & 0x80u >> (len - 1)))
        len++;
    return len;
}

static uint64_t read_number(duet_reader *r, size_t len)
{
    duet_bytes bytes = duet_read_bytes(r, len);
    uint64_t v = 0;

    for (size_t i = 0; i < bytes.len; i++)
        v = v << 8 | bytes.data[i];
    return v;
}

uint64_t duet_ebml_vint(duet_reader *r, unsigned *len)
{
    *len = vint_len(duet_peek_u8(r, 0));
    if (*len > 8) {
        r->failed = true;
        return 0;
    }
    uint64_t mask = ((uint64_t)1 << 7 * *len) - 1;
    uint64_t v = read_number(r, *len) & mask;
    return v == mask ? EBML_UNKNOWN : v;
}

int duet_ebml_read(duet_reader *r, duet_ebml *out)
{
    size_t start = r->pos;
    unsigned size_len;

    if (duet_reader_left(r) == 0)
        return 0;
    unsigned id_len = vint_len(duet_peek_u8(r, 0));
    if (id_len > ID_LEN_MAX)
        return DUET_ERR_MALFORMED;
    if (duet_reader_left(r) <= id_len)
        return 0;
    out->id = (uint32_t)read_number(r, id_len);
    if (vint_len(duet_peek_u8(r, 0)) > 8)
        return DUET_ERR_MALFORMED;
    if (duet_reader_left(r) < vint_len(duet_peek_u8(r, 0)))
        return 0;
    out->size = duet_ebml_vint(r, &size_len);
    out->header_len = r->pos - start;
    return 1;
}

int duet_ebml_next(duet_reader *parent, duet_ebml *out, duet_reader *data)
{
    if (duet_reader_left(parent) == 0)
        return 0;
    if (duet_ebml_read(parent, out) != 1 || out->size > duet_reader_left(parent))
        return DUET_ERR_MALFORMED;
    *data = duet_read_sub(parent, (size_t)out->size);
    return 1;
}

uint64_t duet_ebml_unsigned(duet_reader data)
{
    return data.len <= 8 ? read_number(&data, data.len) : 0;
}

double duet_ebml_float(duet_reader data)
{
    uint64_t bits = duet_ebml_unsigned(data);
    uint32_t single_bits = (uint32_t)bits;
    double value = 0;
    float single;

    memcpy(&single, &single_bits, sizeof(single));
    if (data.len == 4)
        return (double)single;
    if (data.len == 8)
        memcpy(&value, &bits, sizeof(value));
    return value;
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

static void write_number(duet_writer *w, uint64_t value, unsigned len)
{
    for (unsigned i = len; i-- > 0;)
        duet_write_u8(w, (uint8_t)(value >> 8 * i));
}

void duet_ebml_write_id(duet_writer *w, uint32_t id)
{
    write_number(w, id, id > 0xFFFFFF ? 4 : id > 0xFFFF ? 3 : id > 0xFF ? 2 : 1);
}

void duet_ebml_write_size(duet_writer *w, uint64_t size, unsigned len)
{
    if (len == 0)
        for (len = 1; size >= ((uint64_t)1 << 7 * len) - 1;)
            len++;
    uint64_t mask = ((uint64_t)1 << 7 * len) - 1;
    write_number(w, (size == EBML_UNKNOWN ? mask : size) | (mask + 1), len);
}

void duet_ebml_write_unsigned(duet_writer *w, uint32_t id, uint64_t value, unsigned len)
{
    if (len == 0)
        for (len = 1; len < 8 && value >> 8 * len;)
            len++;
    duet_ebml_write_id(w, id);
    duet_ebml_write_size(w, len, 1);
    write_number(w, value, len);
}

void duet_ebml_write_float(duet_writer *w, uint32_t id, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    duet_ebml_write_unsigned(w, id, bits, 8);
}

void duet_ebml_write_data(duet_writer *w, uint32_t id, const void *data, size_t len)
{
    duet_ebml_write_id(w, id);
    duet_ebml_write_size(w, len, 0);
    duet_write_bytes(w, data, len);
}

size_t duet_ebml_begin(duet_writer *w, uint32_t id)
{
    duet_ebml_write_id(w, id);
    duet_ebml_write_size(w, 0, SIZE_BYTES);
    return w->len;
}

void duet_ebml_end(duet_writer *w, size_t begin)
{
    duet_write_u32_at(w, begin - SIZE_BYTES, 0x10000000u | (uint32_t)(w->len - begin));
}
