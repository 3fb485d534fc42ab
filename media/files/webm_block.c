/* Blocks of WebM and Matroska: RFC 9559 section 10, with the three ways of lacing (section 10.3). */
#include "media/files/webm_reader.h"
#include <string.h>

/* Each length is a row of 255 and a byte that is less. */
static size_t xiph_len(duet_reader *r)
{
    size_t len = 0;
    uint8_t byte;

    do {
        byte = duet_read_u8(r);
        len += byte;
    } while (byte == 255);
    return len;
}

/* The first length as it is, the others as the difference from the one before, which is shifted to be positive. */
static size_t ebml_len(duet_reader *r, unsigned index, size_t before)
{
    unsigned bytes;
    uint64_t v = duet_ebml_vint(r, &bytes);

    if (v == EBML_UNKNOWN || r->failed) {
        r->failed = true;
        return 0;
    }
    if (index > 0) {
        uint64_t bias = ((uint64_t)1 << (7 * bytes - 1)) - 1;
        v += before;
        if (v < bias)
            r->failed = true;
        v -= bias;
    }
    if (v > DUET_FILE_SAMPLE_MAX)
        r->failed = true;
    return r->failed ? 0 : (size_t)v;
}

static void read_lace(duet_webm_block *b, duet_reader *r, uint8_t lacing)
{
    size_t sum = 0;

    b->count = lacing == MKV_LACING_NONE ? 1 : 1u + duet_read_u8(r);
    if (lacing == MKV_LACING_FIXED) {
        if (duet_reader_left(r) % b->count != 0)
            r->failed = true;
        for (unsigned i = 0; i < b->count; i++)
            b->lens[i] = duet_reader_left(r) / b->count;
        return;
    }
    for (unsigned i = 0; i + 1 < b->count && !r->failed; i++) {
        b->lens[i] = lacing == MKV_LACING_XIPH ? xiph_len(r) : ebml_len(r, i, i ? b->lens[i - 1] : 0);
        sum += b->lens[i];
    }
    if (sum > duet_reader_left(r))
        r->failed = true;
    else
        b->lens[b->count - 1] = duet_reader_left(r) - sum;
}

int duet_webm_block_parse(duet_webm_block *out, duet_webm_block_header *header, duet_reader data)
{
    unsigned len;

    header->track = duet_ebml_vint(&data, &len);
    header->timestamp = (int16_t)duet_read_u16(&data);
    header->flags = duet_read_u8(&data);
    out->next = 0;
    read_lace(out, &data, header->flags & MKV_LACING);
    if (data.failed)
        out->count = 0;
    out->pos = data.pos;
    return data.failed ? DUET_ERR_MALFORMED : DUET_OK;
}
