/* The byte stream format of H.264 and H.265: annex B of both, section B.2. Emulation prevention is left as it is. */
#include "media/annexb.h"

#define START_CODE_LEN 3

/* Where the next 00 00 01 is; the end when there is none. */
static size_t find_start_code(const duet_reader *r)
{
    size_t i = r->pos;

    while (r->len - i >= START_CODE_LEN) {
        if (r->data[i + 2] > 1)
            i += 3; /* none can begin at these three */
        else if (r->data[i + 2] == 1 && r->data[i + 1] == 0 && r->data[i] == 0)
            return i;
        else
            i++;
    }
    return r->len;
}

bool duet_annexb_is(duet_reader stream)
{
    size_t at = find_start_code(&stream);

    if (at == stream.len)
        return false;
    while (stream.pos < at)
        if (duet_read_u8(&stream) != 0)
            return false;
    return true;
}

bool duet_annexb_next(duet_reader *stream, duet_bytes *unit)
{
    do {
        duet_read_skip(stream, find_start_code(stream) - stream->pos);
        if (duet_reader_left(stream) == 0) {
            *unit = (duet_bytes){NULL, 0};
            return false;
        }
        duet_read_skip(stream, START_CODE_LEN);
        *unit = duet_read_bytes(stream, find_start_code(stream) - stream->pos);
        /* "trailing_zero_8bits": the last byte of a NAL unit is never 0 */
        while (unit->len > 0 && unit->data[unit->len - 1] == 0)
            unit->len--;
    } while (unit->len == 0);
    return true;
}
