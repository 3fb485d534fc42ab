/* OpusHead: RFC 7845 section 5.1. Numbers are little-endian.
 *
 * | "OpusHead" | version | channels | pre-skip (2) | input sample rate (4) | output gain (2) | mapping family | … | */
#include "media/files/opus_head.h"
#include "media/files/reader.h"
#include "media/files/writer.h"
#include <string.h>

int duet_opus_head_parse(duet_file_track *track, duet_reader packet)
{
    duet_bytes magic = duet_read_bytes(&packet, 8);
    uint8_t version = duet_read_u8(&packet);
    uint8_t channels = duet_read_u8(&packet);
    uint16_t pre_skip = (uint16_t)duet_read_le(&packet, 2);

    duet_read_skip(&packet, 7);
    if (packet.failed || memcmp(magic.data, "OpusHead", 8) != 0 || channels == 0)
        return DUET_ERR_MALFORMED;
    if (version & 0xF0) /* the lower four bits are compatible changes */
        return DUET_ERR_UNSUPPORTED;
    track->channels = channels;
    track->pre_skip = pre_skip;
    track->sample_rate = DUET_OPUS_RATE;
    return DUET_OK;
}

void duet_opus_head_write(duet_writer *w, const duet_file_track *track)
{
    duet_write_bytes(w, "OpusHead", 8);
    duet_write_u8(w, 1);
    duet_write_u8(w, track->channels);
    duet_write_le(w, track->pre_skip, 2);
    duet_write_le(w, DUET_OPUS_RATE, 4);
    duet_write_le(w, 0, 2); /* gain */
    duet_write_u8(w, 0);    /* mapping family: mono or stereo */
}
