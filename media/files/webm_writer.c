/* Writing of WebM: RFC 9559 and the guidelines of WebM, with VP8, VP9, AV1 and Opus. Sizes are left unknown while a cluster
 * grows, as for live streams, and filled in when the output can seek; then there are also cues at the end, which tell players
 * where to seek to. A file that is cut off before it is finished lacks these, and plays. A tick is a millisecond. */
#include "media/files/ebml.h"
#include "media/files/interleave.h"
#include "media/files/opus_head.h"
#include "media/files/writer.h"
#include <string.h>

#define HEADER_MAX         4096
#define SIZE_LEN           8 /* of sizes that are filled in */
#define TICK_NS            1000000u
#define CLUSTER_MAX        5000 /* ticks: then another begins */
#define CLUSTER_MIN        500  /* ticks: a key frame begins another only after this */
#define CUES_MAX           512  /* more are thinned out: every other one goes */
#define CLUSTER_HEADER_LEN (4 + SIZE_LEN)
#define CUE_LEN            27 /* of a point with times and positions of 8 bytes */
#define SEEK_LEN           21
#define SEEK_HEAD_LEN      (4 + 1 + 3 * SEEK_LEN)
#define SEEK_PRE_ROLL      80000000u /* nanoseconds: the codec mapping of Opus in Matroska */

typedef struct cue {
    uint64_t time, cluster; /* ticks; where it begins in the segment */
} cue;

typedef struct webm {
    uint64_t segment_at, duration_at;       /* of the segment's data; of the value of Duration, 0: there is none */
    uint64_t size_at[DUET_FILE_TRACKS_MAX]; /* of PixelWidth, with PixelHeight behind it */
    bool has_cluster;
    uint64_t cluster_at;        /* of the cluster's data */
    int64_t cluster_time, last; /* ticks; of the block that was written last */
    duet_interleave waiting;
    duet_time end;         /* of what was written */
    uint64_t seek_cues_at; /* of what will tell where the cues are; 0: there will be none */
    unsigned cue_track;    /* that they are of: the first one with pictures, or the first */
    cue cues[CUES_MAX];
    size_t cue_count;
    uint64_t cue_gap; /* ticks, between what is left after thinning; the next ones keep it */
} webm;

static const char *codec_id(const duet_file_track *track)
{
    switch (duet_payload_format_of(track->codec)) {
    case DUET_PAYLOAD_VP8:
        return "V_VP8";
    case DUET_PAYLOAD_VP9:
        return "V_VP9";
    case DUET_PAYLOAD_AV1:
        return "V_AV1";
    case DUET_PAYLOAD_OPUS:
        return "A_OPUS";
    default:
        return NULL;
    }
}

static bool holds(duet_file_format format, const duet_file_track *track)
{
    (void)format;
    return codec_id(track) != NULL;
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

static void write_text(duet_writer *w, uint32_t id, const char *text)
{
    duet_ebml_write_data(w, id, text, strlen(text));
}

static void write_ebml_header(duet_writer *w)
{
    size_t at = duet_ebml_begin(w, EBML_HEADER);

    duet_ebml_write_unsigned(w, EBML_VERSION, 1, 0);
    duet_ebml_write_unsigned(w, EBML_READ_VERSION, 1, 0);
    duet_ebml_write_unsigned(w, EBML_MAX_ID_LENGTH, 4, 0);
    duet_ebml_write_unsigned(w, EBML_MAX_SIZE_LENGTH, 8, 0);
    write_text(w, EBML_DOC_TYPE, "webm");
    duet_ebml_write_unsigned(w, EBML_DOC_TYPE_VERSION, 4, 0);
    duet_ebml_write_unsigned(w, EBML_DOC_TYPE_READ_VERSION, 2, 0);
    duet_ebml_end(w, at);
}

/* RFC 9559 section 5.1.1, with a position of 8 bytes: SEEK_LEN bytes. */
static void write_seek(duet_writer *w, uint32_t id, uint64_t position)
{
    duet_ebml_write_id(w, MKV_SEEK);
    duet_ebml_write_size(w, SEEK_LEN - 3, 1);
    duet_ebml_write_unsigned(w, MKV_SEEK_ID, id, 4);
    duet_ebml_write_unsigned(w, MKV_SEEK_POSITION, position, 8);
}

/* The place of the cues is left empty until there are some. */
static void write_seek_head(duet_writer *w, uint64_t info, uint64_t tracks)
{
    duet_ebml_write_id(w, MKV_SEEK_HEAD);
    duet_ebml_write_size(w, 3 * SEEK_LEN, 1);
    write_seek(w, MKV_INFO, info);
    write_seek(w, MKV_TRACKS, tracks);
    duet_ebml_write_id(w, EBML_VOID);
    duet_ebml_write_size(w, SEEK_LEN - 2, 1);
    duet_write_fill(w, 0, SEEK_LEN - 2);
}

static void write_info(duet_writer *w, webm *s, bool can_patch)
{
    size_t at = duet_ebml_begin(w, MKV_INFO);

    duet_ebml_write_unsigned(w, MKV_TIMESTAMP_SCALE, TICK_NS, 0);
    write_text(w, MKV_MUXING_APP, "Duet");
    write_text(w, MKV_WRITING_APP, "Duet");
    if (can_patch) {
        duet_ebml_write_float(w, MKV_DURATION, 0);
        s->duration_at = w->len - 8;
    }
    duet_ebml_end(w, at);
}

static void write_video(duet_writer *w, const duet_file_track *track, uint64_t *size_at)
{
    size_t at = duet_ebml_begin(w, MKV_VIDEO);

    *size_at = w->len;
    duet_ebml_write_unsigned(w, MKV_PIXEL_WIDTH, track->width, 2);
    duet_ebml_write_unsigned(w, MKV_PIXEL_HEIGHT, track->height, 2);
    duet_ebml_end(w, at);
}

static void write_opus(duet_writer *w, const duet_file_track *track)
{
    uint8_t head[DUET_OPUS_HEAD_LEN];
    duet_writer out = duet_writer_init(head, sizeof(head));

    duet_opus_head_write(&out, track);
    duet_ebml_write_data(w, MKV_CODEC_PRIVATE, head, out.len);
    duet_ebml_write_unsigned(w, MKV_CODEC_DELAY, (uint64_t)track->pre_skip * 62500 / 3, 0);
    duet_ebml_write_unsigned(w, MKV_SEEK_PRE_ROLL, SEEK_PRE_ROLL, 0);
    size_t at = duet_ebml_begin(w, MKV_AUDIO);
    duet_ebml_write_float(w, MKV_SAMPLING_FREQUENCY, DUET_OPUS_RATE);
    duet_ebml_write_unsigned(w, MKV_CHANNELS, track->channels, 0);
    duet_ebml_end(w, at);
}

/* AV1CodecConfigurationRecord, "Codec ISO Media File Format Binding" section 2.3.3: version 1, profile 0 (8 bits, 4:2:0) with
 * the level that bounds nothing. The sequence header itself comes with the key frames. */
static void write_av1(duet_writer *w)
{
    static const uint8_t record[4] = {0x81, 0x1F, 0x0C, 0x00};

    duet_ebml_write_data(w, MKV_CODEC_PRIVATE, record, sizeof(record));
}

static void write_track(duet_writer *w, webm *s, const duet_file_track *track, unsigned index)
{
    size_t at = duet_ebml_begin(w, MKV_TRACK_ENTRY);

    duet_ebml_write_unsigned(w, MKV_TRACK_NUMBER, index + 1, 0);
    duet_ebml_write_unsigned(w, MKV_TRACK_UID, index + 1, 0);
    duet_ebml_write_unsigned(w, MKV_TRACK_TYPE, track->is_video ? MKV_TRACK_VIDEO : MKV_TRACK_AUDIO, 0);
    duet_ebml_write_unsigned(w, MKV_FLAG_LACING, 0, 0);
    write_text(w, MKV_CODEC_ID, codec_id(track));
    if (track->is_video && track->rate_num && track->rate_den)
        duet_ebml_write_unsigned(w, MKV_DEFAULT_DURATION, 1000000000ull * track->rate_den / track->rate_num, 0);
    if (duet_payload_format_of(track->codec) == DUET_PAYLOAD_AV1)
        write_av1(w);
    if (track->is_video)
        write_video(w, track, &s->size_at[index]);
    else
        write_opus(w, track);
    duet_ebml_end(w, at);
}

static int check_track(const duet_file_writer *w, const duet_file_track *track)
{
    if (track->is_video != duet_payload_format_is_video(duet_payload_format_of(track->codec)))
        return DUET_ERR_INVALID;
    if (!track->is_video)
        return track->channels == 1 || track->channels == 2 ? DUET_OK : DUET_ERR_INVALID;
    return (track->width && track->height) || w->patch ? DUET_OK : DUET_ERR_INVALID;
}

static unsigned first_video(const duet_file_writer *w)
{
    for (unsigned i = 0; i < w->track_count; i++) {
        if (w->tracks[i].is_video)
            return i;
    }
    return 0;
}

static int begin(duet_file_writer *w, void *state)
{
    uint8_t header[HEADER_MAX];
    duet_writer out = duet_writer_init(header, sizeof(header));
    webm *s = state;

    s->waiting.env = &w->env;
    s->waiting.track_count = w->track_count;
    for (unsigned i = 0; i < w->track_count; i++) {
        int err = check_track(w, &w->tracks[i]);
        if (err != DUET_OK)
            return err;
    }
    write_ebml_header(&out);
    duet_ebml_write_id(&out, MKV_SEGMENT);
    duet_ebml_write_size(&out, EBML_UNKNOWN, SIZE_LEN);
    s->segment_at = out.len;
    if (w->patch)
        duet_write_fill(&out, 0, SEEK_HEAD_LEN);
    uint64_t info = out.len - s->segment_at;
    write_info(&out, s, w->patch != NULL);
    uint64_t tracks = out.len - s->segment_at;
    size_t at = duet_ebml_begin(&out, MKV_TRACKS);
    for (unsigned i = 0; i < w->track_count; i++)
        write_track(&out, s, &w->tracks[i], i);
    duet_ebml_end(&out, at);
    if (w->patch) {
        duet_writer head = duet_writer_init(header + s->segment_at, SEEK_HEAD_LEN);
        write_seek_head(&head, info, tracks);
        s->seek_cues_at = s->segment_at + SEEK_HEAD_LEN - SEEK_LEN;
        s->cue_track = first_video(w);
    }
    return duet_file_put_written(w, &out);
}

/* ---- cues: RFC 9559 section 5.1.5 ---------------------------------------------------------------------------------- */

static void thin_out(webm *s)
{
    for (size_t i = 0; 2 * i < s->cue_count; i++)
        s->cues[i] = s->cues[2 * i];
    s->cue_count = (s->cue_count + 1) / 2;
    s->cue_gap = (s->cues[s->cue_count - 1].time - s->cues[0].time) / (s->cue_count - 1);
}

/* A place to seek to: a key frame, in the cluster that is written. */
static void note_cue(webm *s, int64_t time)
{
    uint64_t at = (uint64_t)time, gap = s->cue_gap > CLUSTER_MIN ? s->cue_gap : CLUSTER_MIN;

    if (s->cue_count > 0 && at < s->cues[s->cue_count - 1].time + gap)
        return;
    if (s->cue_count == CUES_MAX)
        thin_out(s);
    s->cues[s->cue_count++] = (cue){at, s->cluster_at - CLUSTER_HEADER_LEN - s->segment_at};
}

static int write_cues(duet_file_writer *w, const webm *s)
{
    uint8_t bytes[EBML_HEADER_MAX + CUE_LEN];
    duet_writer out = duet_writer_init(bytes, sizeof(bytes));

    duet_ebml_write_id(&out, MKV_CUES);
    duet_ebml_write_size(&out, s->cue_count * CUE_LEN, 0);
    int err = duet_file_put_written(w, &out);
    for (size_t i = 0; i < s->cue_count && err == DUET_OK; i++) {
        out = duet_writer_init(bytes, sizeof(bytes));
        duet_ebml_write_id(&out, MKV_CUE_POINT);
        duet_ebml_write_size(&out, CUE_LEN - 2, 1);
        duet_ebml_write_unsigned(&out, MKV_CUE_TIME, s->cues[i].time, 8);
        duet_ebml_write_id(&out, MKV_CUE_TRACK_POSITIONS);
        duet_ebml_write_size(&out, CUE_LEN - 14, 1);
        duet_ebml_write_unsigned(&out, MKV_CUE_TRACK, s->cue_track + 1, 1);
        duet_ebml_write_unsigned(&out, MKV_CUE_CLUSTER_POSITION, s->cues[i].cluster, 8);
        err = duet_file_put_written(w, &out);
    }
    return err;
}

static int finish_cues(duet_file_writer *w, const webm *s)
{
    uint8_t bytes[SEEK_LEN];
    duet_writer out = duet_writer_init(bytes, sizeof(bytes));

    if (s->cue_count == 0 || s->seek_cues_at == 0)
        return DUET_OK;
    write_seek(&out, MKV_CUES, w->offset - s->segment_at);
    int err = write_cues(w, s);
    return err == DUET_OK ? duet_file_patch(w, s->seek_cues_at, &out) : err;
}

/* ---- clusters ---------------------------------------------------------------------------------------------------- */

/* Fills in the size of what began at `at` and ends here. */
static int patch_parent(duet_file_writer *w, uint64_t at)
{
    uint8_t size[SIZE_LEN];
    duet_writer out = duet_writer_init(size, sizeof(size));

    duet_ebml_write_size(&out, w->offset - at, SIZE_LEN);
    return duet_file_patch(w, at - SIZE_LEN, &out);
}

static int begin_cluster(duet_file_writer *w, webm *s, int64_t time)
{
    uint8_t header[32];
    duet_writer out = duet_writer_init(header, sizeof(header));
    int err = s->has_cluster ? patch_parent(w, s->cluster_at) : DUET_OK;

    if (err != DUET_OK)
        return err;
    duet_ebml_write_id(&out, MKV_CLUSTER);
    duet_ebml_write_size(&out, EBML_UNKNOWN, SIZE_LEN);
    s->cluster_at = w->offset + out.len;
    s->cluster_time = time;
    s->has_cluster = true;
    duet_ebml_write_unsigned(&out, MKV_TIMESTAMP, (uint64_t)time, 0);
    return duet_file_put_written(w, &out);
}

static bool wants_cluster(const duet_file_writer *w, const webm *s, const duet_file_sample *sample, int64_t time)
{
    int64_t since = time - s->cluster_time;

    if (!s->has_cluster || since > CLUSTER_MAX || time < s->last)
        return true; /* within a cluster times do not fall: players refuse that */
    return sample->is_keyframe && w->tracks[sample->track].is_video && since >= CLUSTER_MIN;
}

static int patch_frame_size(duet_file_writer *w, const webm *s, unsigned track)
{
    uint8_t bytes[16];
    duet_writer out = duet_writer_init(bytes, sizeof(bytes));

    duet_ebml_write_unsigned(&out, MKV_PIXEL_WIDTH, w->tracks[track].width, 2);
    duet_ebml_write_unsigned(&out, MKV_PIXEL_HEIGHT, w->tracks[track].height, 2);
    return duet_file_patch(w, s->size_at[track], &out);
}

/* Temporal delimiters are left out: the codec mapping of AV1 in Matroska. */
static duet_bytes without_delimiter(const duet_file_writer *w, const duet_file_sample *sample)
{
    duet_reader r = duet_reader_init(sample->data, sample->len);

    if (w->codecs[sample->track] == DUET_PAYLOAD_AV1 && sample->len > 2 && duet_peek_u8(&r, 0) == 0x12 &&
        duet_peek_u8(&r, 1) == 0)
        duet_read_skip(&r, 2);
    return duet_read_bytes(&r, duet_reader_left(&r));
}

static int write_block(duet_file_writer *w, webm *s, const duet_file_sample *sample)
{
    uint8_t header[EBML_HEADER_MAX + 4];
    duet_writer out = duet_writer_init(header, sizeof(header));
    duet_bytes data = without_delimiter(w, sample);
    int64_t time = (int64_t)((sample->time + 500) / 1000);

    bool begins = wants_cluster(w, s, sample, time);
    int err = begins ? begin_cluster(w, s, time) : DUET_OK;
    if (err != DUET_OK)
        return err;
    if (sample->is_keyframe && sample->track == s->cue_track && (begins || w->tracks[sample->track].is_video))
        note_cue(s, time);
    s->last = time;
    duet_ebml_write_id(&out, MKV_SIMPLE_BLOCK);
    duet_ebml_write_size(&out, data.len + 4, 0);
    duet_ebml_write_size(&out, sample->track + 1, 1); /* a variable-size integer, too */
    duet_write_u16(&out, (uint16_t)(time - s->cluster_time));
    duet_write_u8(&out, sample->is_keyframe ? MKV_BLOCK_KEYFRAME : 0);
    err = duet_file_put_written(w, &out);
    if (err == DUET_OK)
        err = duet_file_put(w, data.data, data.len);
    if (err == DUET_OK && duet_file_learn_size(w, sample))
        err = patch_frame_size(w, s, sample->track);
    if (sample->time + sample->duration > s->end)
        s->end = sample->time + sample->duration;
    return err;
}

static int write_waiting(duet_file_writer *w, webm *s, bool all)
{
    const duet_file_sample *sample;
    int err = DUET_OK;

    while (err == DUET_OK && (sample = duet_interleave_next(&s->waiting, all))) {
        err = write_block(w, s, sample);
        duet_interleave_pop(&s->waiting);
    }
    return err;
}

static int write_sample(duet_file_writer *w, void *state, const duet_file_sample *sample)
{
    webm *s = state;

    if (w->track_count == 1)
        return write_block(w, s, sample);
    int err = duet_interleave_put(&s->waiting, sample);
    return err == DUET_OK ? write_waiting(w, s, false) : err;
}

static int finish(duet_file_writer *w, void *state)
{
    webm *s = state;
    uint8_t bytes[16];
    duet_writer out = duet_writer_init(bytes, sizeof(bytes));
    int err = write_waiting(w, s, true);

    if (err == DUET_OK && s->has_cluster)
        err = patch_parent(w, s->cluster_at);
    if (err == DUET_OK)
        err = finish_cues(w, s);
    if (err == DUET_OK)
        err = patch_parent(w, s->segment_at);
    if (err != DUET_OK || s->duration_at == 0)
        return err;
    duet_ebml_write_float(&out, MKV_DURATION, (double)s->end / 1000);
    return duet_file_patch(w, s->duration_at + 8 - out.len, &out);
}

static void destroy(void *state)
{
    duet_interleave_free(&((webm *)state)->waiting);
}

const duet_file_writer_ops duet_webm_writer = {.state_size = sizeof(webm),
                                               .tracks_max = DUET_FILE_TRACKS_MAX,
                                               .holds = holds,
                                               .begin = begin,
                                               .sample = write_sample,
                                               .finish = finish,
                                               .destroy = destroy};
