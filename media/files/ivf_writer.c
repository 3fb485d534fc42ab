/* Writing of IVF: ivf_reader.c shows the format. Timestamps count frames when the track tells a rate, and microseconds
 * otherwise. */
#include "media/files/writer.h"
#include <string.h>

#define HEADER_LEN       32
#define FRAME_HEADER_LEN 12
#define WIDTH_AT         12
#define FRAMES_AT        24

typedef struct ivf {
    uint32_t rate, scale;
    uint32_t frames;
    uint64_t next; /* the smallest timestamp that the next frame may have */
} ivf;

static const char *fourcc_of(const duet_file_track *track)
{
    switch (duet_payload_format_of(track->codec)) {
    case DUET_PAYLOAD_VP8:
        return "VP80";
    case DUET_PAYLOAD_VP9:
        return "VP90";
    case DUET_PAYLOAD_AV1:
        return "AV01";
    case DUET_PAYLOAD_H264:
        return "H264";
    case DUET_PAYLOAD_H265:
        return "HEVC";
    default:
        return NULL;
    }
}

static bool holds(duet_file_format format, const duet_file_track *track)
{
    (void)format;
    return fourcc_of(track) != NULL;
}

static int begin(duet_file_writer *w, void *state)
{
    const duet_file_track *track = &w->tracks[0];
    bool has_rate = track->rate_num && track->rate_den;
    uint8_t header[HEADER_LEN];
    duet_writer out = duet_writer_init(header, sizeof(header));
    ivf *s = state;

    s->rate = has_rate ? track->rate_num : 1000000;
    s->scale = has_rate ? track->rate_den : 1;
    duet_write_bytes(&out, "DKIF", 4);
    duet_write_le(&out, 0, 2);
    duet_write_le(&out, HEADER_LEN, 2);
    duet_write_bytes(&out, fourcc_of(track), 4);
    duet_write_le(&out, track->width, 2);
    duet_write_le(&out, track->height, 2);
    duet_write_le(&out, s->rate, 4);
    duet_write_le(&out, s->scale, 4);
    duet_write_le(&out, 0, 8); /* the number of frames, and nothing */
    return duet_file_put_written(w, &out);
}

/* The nearest tick. Times are below 2^62 microseconds, so seconds below 2^43. */
static uint64_t ticks_of(const ivf *s, duet_time time)
{
    double ticks = (double)time * s->rate / ((double)s->scale * 1e6) + 0.5;

    return ticks < 0x1p62 ? (uint64_t)ticks : (uint64_t)1 << 62;
}

static int patch_size(duet_file_writer *w)
{
    uint8_t size[4];
    duet_writer out = duet_writer_init(size, sizeof(size));

    duet_write_le(&out, w->tracks[0].width, 2);
    duet_write_le(&out, w->tracks[0].height, 2);
    return duet_file_patch(w, WIDTH_AT, &out);
}

static int write_sample(duet_file_writer *w, void *state, const duet_file_sample *sample)
{
    uint8_t header[FRAME_HEADER_LEN];
    duet_writer out = duet_writer_init(header, sizeof(header));
    ivf *s = state;
    uint64_t ticks = ticks_of(s, sample->time);

    if (ticks < s->next)
        ticks = s->next; /* two frames in one tick: readers want times that grow */
    s->next = ticks + 1;
    duet_write_le(&out, sample->len, 4);
    duet_write_le(&out, ticks, 8);
    int err = duet_file_put_written(w, &out);
    if (err == DUET_OK)
        err = duet_file_put(w, sample->data, sample->len);
    if (err == DUET_OK && duet_file_learn_size(w, sample))
        err = patch_size(w);
    s->frames += s->frames < UINT32_MAX;
    return err;
}

static int finish(duet_file_writer *w, void *state)
{
    const ivf *s = state;
    uint8_t count[4];
    duet_writer out = duet_writer_init(count, sizeof(count));

    duet_write_le(&out, s->frames, 4);
    return duet_file_patch(w, FRAMES_AT, &out);
}

const duet_file_writer_ops duet_ivf_writer = {.state_size = sizeof(ivf),
                                              .tracks_max = 1,
                                              .holds = holds,
                                              .begin = begin,
                                              .sample = write_sample,
                                              .finish = finish};
