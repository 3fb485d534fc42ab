/* IVF: a header of 32 bytes, then frames with a header of 12. There is no specification but what libvpx writes; all numbers
 * are little-endian.
 *
 * | "DKIF" | version (2) | header length (2) | FourCC (4) | width (2) | height (2) | rate (4) | scale (4) | frames (4) | 0 (4) |
 * | frame size (4) | timestamp (8): in units of scale / rate seconds | */
#include "media/files/frame.h"
#include "media/files/reader.h"
#include <string.h>

#define HEADER_LEN       32
#define FRAME_HEADER_LEN 12
#define FRAME_RATE_MAX   1000 /* a faster clock is a unit of time, and no frame rate */

typedef struct ivf {
    bool has_header;
    duet_payload_format codec;
    uint32_t rate, scale;
    size_t frame_len; /* of the frame that was given, and its header: still to be consumed */
} ivf;

static const struct {
    char fourcc[5];
    const char *codec;
} codecs[] = {
    {"VP80", "VP8"}, {"VP90", "VP9"}, {"AV01", "AV1"}, {"H264", "H264"}, {"HEVC", "H265"}, {"H265", "H265"},
};

static const char *codec_of(duet_bytes fourcc)
{
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        if (memcmp(fourcc.data, codecs[i].fourcc, 4) == 0)
            return codecs[i].codec;
    return NULL;
}

static int read_header(duet_file_reader *r, ivf *s)
{
    duet_reader head = duet_file_peek(r);

    if (head.len < HEADER_LEN)
        return 0;
    if (memcmp(duet_read_bytes(&head, 4).data, "DKIF", 4) != 0)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "an IVF file begins with \"DKIF\"");
    duet_read_skip(&head, 2);
    uint64_t header_len = duet_read_le(&head, 2);
    duet_bytes fourcc = duet_read_bytes(&head, 4);
    const char *codec = codec_of(fourcc);
    if (header_len < HEADER_LEN)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 6, "an IVF header of %u bytes", (unsigned)header_len);
    if (!codec)
        return duet_file_fail(r, DUET_ERR_UNSUPPORTED, 8, "IVF with the FourCC 0x%02x%02x%02x%02x", fourcc.data[0],
                              fourcc.data[1], fourcc.data[2], fourcc.data[3]);
    duet_file_track *track = duet_file_add_track(r, codec, true);
    track->width = (uint16_t)duet_read_le(&head, 2);
    track->height = (uint16_t)duet_read_le(&head, 2);
    s->rate = (uint32_t)duet_read_le(&head, 4);
    s->scale = (uint32_t)duet_read_le(&head, 4);
    if (s->rate == 0 || s->scale == 0)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 16, "an IVF timebase of %u/%u", s->scale, s->rate);
    if (s->rate / s->scale <= FRAME_RATE_MAX) {
        track->rate_num = s->rate;
        track->rate_den = s->scale;
    }
    s->codec = duet_payload_format_of(codec);
    s->has_header = true;
    duet_file_consume(r, header_len);
    return 1;
}

static void note_size(duet_file_reader *r, duet_file_frame frame)
{
    duet_file_track *track = &r->tracks[0];

    if (track->width == 0 || track->height == 0) {
        track->width = frame.width;
        track->height = frame.height;
    }
}

static int read_frame(duet_file_reader *r, ivf *s, duet_file_sample *out)
{
    duet_reader frame = duet_file_peek(r);

    if (frame.len < FRAME_HEADER_LEN)
        return 0;
    out->len = (size_t)duet_read_le(&frame, 4);
    uint64_t ticks = duet_read_le(&frame, 8);
    if (out->len > DUET_FILE_SAMPLE_MAX)
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "a frame of %zu bytes, at most %u are read", out->len,
                              DUET_FILE_SAMPLE_MAX);
    if (duet_reader_left(&frame) < out->len)
        return 0;
    if (!duet_file_time(ticks, s->scale, s->rate, &out->time))
        return duet_file_fail(r, DUET_ERR_MALFORMED, 4, "timestamp %llu is too large", (unsigned long long)ticks);
    out->data = duet_read_bytes(&frame, out->len).data;
    duet_file_frame info = duet_file_frame_of(s->codec, duet_reader_init(out->data, out->len));
    out->is_keyframe = info.is_keyframe;
    note_size(r, info);
    s->frame_len = FRAME_HEADER_LEN + out->len;
    return 1;
}

static int next(duet_file_reader *r, void *state, duet_file_sample *out)
{
    ivf *s = state;
    int result = s->has_header ? 1 : read_header(r, s);

    while (result == 1) {
        duet_file_consume(r, s->frame_len);
        s->frame_len = 0;
        result = read_frame(r, s, out);
        if (result == 1 && out->len > 0) /* libvpx writes frames that were dropped as empty ones */
            return 1;
    }
    return result;
}

const duet_file_reader_ops duet_ivf_reader = {.state_size = sizeof(ivf), .next = next};
