/* Key frames of the video codecs, by the beginning of their frames. */
#include "media/files/frame.h"
#include "media/annexb.h"
#include "media/bits.h"
#include "media/vpx_header.h"

#define OBU_HAS_SIZE        0x02
#define OBU_EXTENSION       0x04
#define OBU_SEQUENCE_HEADER 1

/* AV1 bitstream specification, section 5.3.1: a sequence header stands before each key frame of a stream that can be
 * entered there, and in no other temporal unit that encoders for real time make. */
static bool av1_is_keyframe(duet_reader r)
{
    while (duet_reader_left(&r) > 0 && !r.failed) {
        uint8_t header = duet_read_u8(&r);
        if ((header >> 3 & 15) == OBU_SEQUENCE_HEADER)
            return true;
        if (header & OBU_EXTENSION)
            duet_read_skip(&r, 1);
        if (!(header & OBU_HAS_SIZE))
            return false;
        duet_read_skip(&r, duet_read_leb128(&r));
    }
    return false;
}

static bool h264_is_keyframe(duet_reader r)
{
    duet_bytes unit;

    while (duet_annexb_next(&r, &unit))
        if ((unit.data[0] & 0x1F) == 5) /* coded slice of an IDR picture: H.264, table 7-1 */
            return true;
    return false;
}

static bool h265_is_keyframe(duet_reader r)
{
    duet_bytes unit;

    while (duet_annexb_next(&r, &unit)) {
        unsigned type = unit.data[0] >> 1 & 0x3F;
        if (type >= 16 && type <= 21) /* BLA, IDR and CRA pictures: H.265, table 7-1 */
            return true;
    }
    return false;
}

duet_file_frame duet_file_frame_of(duet_payload_format codec, duet_reader data)
{
    duet_vpx_header header = {0};

    switch (codec) {
    case DUET_PAYLOAD_VP8:
    case DUET_PAYLOAD_VP9: {
        int err =
            codec == DUET_PAYLOAD_VP8 ? duet_vp8_header_parse(&header, data) : duet_vp9_header_parse(&header, data);
        if (err != DUET_OK || !header.is_keyframe)
            return (duet_file_frame){0};
        return (duet_file_frame){.is_keyframe = true, .width = header.width, .height = header.height};
    }
    case DUET_PAYLOAD_AV1:
        return (duet_file_frame){.is_keyframe = av1_is_keyframe(data)};
    case DUET_PAYLOAD_H264:
        return (duet_file_frame){.is_keyframe = h264_is_keyframe(data)};
    case DUET_PAYLOAD_H265:
        return (duet_file_frame){.is_keyframe = h265_is_keyframe(data)};
    default:
        return (duet_file_frame){.is_keyframe = true};
    }
}
