/* What one peer of `duet call` sends, in a file. Encoded formats take frames as they came, from a key frame on; WAV and
 * YUV4MPEG2 take decoded sound and pictures. Times come from RTP timestamps; where there is sound and picture, the clock
 * of the sender's reports relates them, and arrival until it is known (RFC 3550 section 6.4.1). */
#include "call.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RATE        48000
#define VIDEO_WAIT  DUET_SECONDS(3) /* of a WebM for the first picture of a peer that has announced some */
#define SLEW_MAX    2000            /* microseconds that one frame is moved, for lip sync */
#define STEP_MIN    100000          /* microseconds: less is no step, as players take a step for a gap */
#define DRIFT_MAX   2000000         /* between timestamps and arrival: beyond, the sender has begun anew */
#define Y4M_RATE    25              /* until two pictures have told */
#define Y4M_GAP_MAX 250             /* frames that are repeated at most */

/* The time line of one SSRC. */
typedef struct line {
    bool has_begun, has_clock; /* the sender's clock is followed */
    uint32_t ssrc, timestamp;
    int64_t base, ticks, time, last; /* microseconds from the beginning of the file; RTP units since `base` */
} line;

struct call_record {
    call *owner;
    const char *name;
    duet_file_format format;
    FILE *file;
    bool can_seek;
    duet_file_writer *writer;
    bool has_failed;
    char peer[64];           /* whose media it is; "" before the first came */
    char agent[64];          /* who that is; "" when it is not known */
    duet_time first_arrival; /* of anything */
    duet_time origin;        /* arrival of what began the file */
    int64_t ntp_origin;      /* the sender's clock then; valid when has_ntp */
    bool has_ntp;
    int reference; /* the kind that began the file: the other one follows it */
    line lines[CALL_KINDS];
    int tracks[CALL_KINDS]; /* number in the file, or -1 */
    char codec[32];         /* of the pictures in the file */
    bool waits_keyframe;    /* pictures of another codec were left out */
    bool said_codec;
    uint64_t samples[CALL_KINDS];
    uint64_t bytes;
    duet_time length;
    /* YUV4MPEG2: the picture before, which may have to be repeated */
    uint8_t *picture;
    size_t picture_len;
    uint16_t width, height;
    uint32_t rate;
    uint64_t pictures; /* written */
    bool said_size;
};

/* ---- the file ---- */

static int write_bytes(void *user, const uint8_t *data, size_t len)
{
    call_record *r = user;

    if (fwrite(data, 1, len, r->file) != len)
        return DUET_ERR_IO;
    r->bytes += len;
    return DUET_OK;
}

static int patch_bytes(void *user, uint64_t offset, const uint8_t *data, size_t len)
{
    call_record *r = user;
    bool ok = fseek(r->file, (long)offset, SEEK_SET) == 0 && fwrite(data, 1, len, r->file) == len;

    return fseek(r->file, 0, SEEK_END) == 0 && ok ? DUET_OK : DUET_ERR_IO;
}

static void fail(call_record *r, const char *what, int err)
{
    if (r->has_failed)
        return;
    r->has_failed = true;
    call_fail(r->owner, "--record %s: %s%s", r->name, what, err == DUET_ERR_IO ? strerror(errno) : duet_strerror(err));
}

static void set_track(duet_file_track *track, bool is_video, const char *codec)
{
    *track = (duet_file_track){.is_video = is_video};
    snprintf(track->codec, sizeof(track->codec), "%.*s", (int)sizeof(track->codec) - 1, codec);
    if (is_video)
        return;
    track->sample_rate = RATE;
    track->channels = 2;
}

static void start(call_record *r, const duet_file_track *const *tracks, unsigned count)
{
    duet_file_writer_config config;

    duet_file_writer_config_init(&config);
    config.format = r->format;
    config.tracks = tracks;
    config.track_count = count;
    config.write = write_bytes;
    config.patch = r->can_seek ? patch_bytes : NULL;
    config.user = r;
    int err = duet_file_writer_create(&r->writer, &config);
    if (err == DUET_ERR_UNSUPPORTED) {
        r->has_failed = true;
        call_fail(r->owner,
                  "--record %s: %s does not hold %s, which the peer sends: choose another format, or ask for a "
                  "codec with --codec",
                  r->name, duet_file_format_name(r->format), tracks[0]->codec);
    } else if (err != DUET_OK) {
        fail(r, "", err);
    } else {
        call_say(r->owner,
                 json_pack("{s:s,s:s,s:s,s:s}", "type", "recording", "file", r->name, "peer", r->peer, "codec",
                           tracks[0]->codec),
                 "recording %.8s to %s", r->peer, r->name);
    }
}

static void put(call_record *r, int kind, const uint8_t *data, size_t len, duet_time time, duet_time duration,
                bool is_keyframe)
{
    duet_file_sample sample = {.track = (unsigned)r->tracks[kind],
                               .data = data,
                               .len = len,
                               .time = time,
                               .duration = duration,
                               .is_keyframe = is_keyframe};
    int err = duet_file_writer_sample(r->writer, &sample);

    if (err == DUET_ERR_IO) {
        fail(r, "", err);
        return;
    }
    if (err != DUET_OK)
        return; /* not a packet of its codec: the file goes on without it */
    r->samples[kind]++;
    if (time + duration > r->length)
        r->length = time + duration;
}

/* ---- time ---- */

static int64_t microseconds(uint64_t ntp)
{
    return (int64_t)((ntp >> 32) * 1000000u + ((ntp & 0xFFFFFFFFu) * 1000000u >> 32));
}

static void begin_line(const call_record *r, line *l, int kind, const duet_incoming_frame *f)
{
    int64_t arrival = (int64_t)(f->arrived - r->origin);
    bool has_clock = kind != r->reference && r->has_ntp && f->captured_ntp;

    l->base = has_clock ? microseconds(f->captured_ntp) - r->ntp_origin : arrival;
    l->ticks = 0;
    l->ssrc = f->ssrc;
    l->has_begun = true;
    l->has_clock = has_clock;
}

/* Moves the line to what the sender's clock says: forward in one step when the clock becomes known and tells of much,
 * as the beginning may have been lost, and a little with each frame from then on. */
static void follow_clock(call_record *r, line *l, int kind, const duet_incoming_frame *f)
{
    if (!f->captured_ntp)
        return;
    if (kind == r->reference) {
        r->ntp_origin = microseconds(f->captured_ntp) - l->time;
        r->has_ntp = true;
        return;
    }
    if (!r->has_ntp)
        return;
    int64_t error = microseconds(f->captured_ntp) - r->ntp_origin - l->time;
    if (l->has_clock || error < STEP_MIN)
        error = error > SLEW_MAX ? SLEW_MAX : error < -SLEW_MAX ? -SLEW_MAX : error;
    l->has_clock = true;
    l->base += error;
    l->time += error;
}

/* @return the time of the frame in the file, below 0 before its beginning */
static int64_t time_of(call_record *r, int kind, const duet_incoming_frame *f)
{
    line *l = &r->lines[kind];
    int64_t arrival = (int64_t)f->arrived - (int64_t)r->origin;

    if (!l->has_begun || l->ssrc != f->ssrc)
        begin_line(r, l, kind, f);
    else
        l->ticks += duet_rtp_time_diff(f->timestamp, l->timestamp);
    l->timestamp = f->timestamp;
    l->time = l->base + l->ticks * 1000000 / (int64_t)f->codec->clock_rate;
    if (l->time > arrival + DRIFT_MAX || l->time < arrival - DRIFT_MAX) {
        begin_line(r, l, kind, f);
        l->time = l->base;
    }
    follow_clock(r, l, kind, f);
    l->last = l->time > l->last ? l->time : l->last;
    return l->time < 0 ? l->time : l->last;
}

/* ---- encoded formats ---- */

static bool has_track(const call_track *t, int kind)
{
    const duet_receiver *receiver = t->peer->tracks[kind].receiver;

    return receiver && !duet_receiver_muted(receiver);
}

/* @return whether the file begins with this frame */
static bool begins(const call_record *r, const call_track *t, const duet_incoming_frame *f)
{
    switch (r->format) {
    case DUET_FILE_OGG:
        return !t->is_video;
    case DUET_FILE_IVF:
    case DUET_FILE_H264:
    case DUET_FILE_H265:
        return t->is_video && f->is_keyframe;
    default:
        break;
    }
    if (t->is_video)
        return f->is_keyframe;
    return !has_track(t, CALL_VIDEO) || f->arrived > r->first_arrival + VIDEO_WAIT;
}

static void begin(call_record *r, const call_track *t, const duet_incoming_frame *f)
{
    duet_file_track first, second;
    const duet_file_track *tracks[] = {&first, &second};
    int kind = t->is_video ? CALL_VIDEO : CALL_AUDIO;
    bool has_both = r->format == DUET_FILE_WEBM && t->is_video && has_track(t, CALL_AUDIO);

    snprintf(r->codec, sizeof(r->codec), "%s", t->is_video ? f->codec->name : "");
    set_track(&first, t->is_video, f->codec->name);
    set_track(&second, false, "opus");
    r->origin = f->arrived;
    r->reference = kind;
    r->tracks[kind] = 0;
    if (has_both)
        r->tracks[CALL_AUDIO] = 1;
    start(r, tracks, has_both ? 2 : 1);
}

/* In another seat, as after an outage that was longer than the server waits. */
static bool has_come_back(const call_record *r, const call_peer *p)
{
    return r->agent[0] && strcmp(r->agent, p->agent) == 0 && !call_peer_find(r->owner, r->peer);
}

static bool is_mine(call_record *r, const call_track *t, const duet_incoming_frame *f)
{
    if (r->has_failed)
        return false;
    if (strcmp(r->peer, t->peer->name) == 0)
        return true;
    bool is_first = !r->peer[0];
    if (!is_first && !has_come_back(r, t->peer))
        return false;
    snprintf(r->peer, sizeof(r->peer), "%s", t->peer->name);
    snprintf(r->agent, sizeof(r->agent), "%s", t->peer->agent);
    if (is_first)
        r->first_arrival = f ? f->arrived : 0;
    else
        r->waits_keyframe = true;
    return true;
}

/* The peer may change its codec without a word: a track has one. @return whether the picture belongs into the file */
static bool has_codec(call_record *r, const duet_incoming_frame *f)
{
    if (strcasecmp(r->codec, f->codec->name) == 0) {
        r->waits_keyframe = r->waits_keyframe && !f->is_keyframe;
        return !r->waits_keyframe;
    }
    r->waits_keyframe = true;
    if (!r->said_codec)
        call_warn(r->owner, "--record %s: the peer sends %s now, and the file holds %s: its pictures are left out",
                  r->name, f->codec->name, r->codec);
    r->said_codec = true;
    return false;
}

void call_record_frame(call_record *r, call_track *t, const duet_incoming_frame *f)
{
    int kind = t->is_video ? CALL_VIDEO : CALL_AUDIO;

    if (r->format == DUET_FILE_WAV || r->format == DUET_FILE_Y4M || !is_mine(r, t, f))
        return;
    if (!r->writer && begins(r, t, f))
        begin(r, t, f);
    else if (!r->writer && t->is_video && r->format != DUET_FILE_OGG)
        (void)duet_receiver_request_keyframe(t->receiver);
    if (!r->writer || r->tracks[kind] < 0)
        return;
    bool is_opus = strcasecmp(f->codec->name, "opus") == 0;
    if (!t->is_video && !is_opus)
        return; /* of a codec that came later, or that the file does not hold */
    if (t->is_video && !has_codec(r, f))
        return;
    duet_time duration = is_opus ? (duet_time)duet_opus_packet_duration(f->data, f->len) * 1000000 / RATE : 0;
    int64_t time = time_of(r, kind, f);
    if (time >= 0)
        put(r, kind, f->data, f->len, (duet_time)time, duration, f->is_keyframe || !t->is_video);
}

/* ---- decoded formats ---- */

void call_record_sound(call_record *r, call_track *t, const int16_t *samples, size_t count, uint8_t channels)
{
    duet_file_track track;
    const duet_file_track *tracks[] = {&track};
    uint64_t done = r->samples[CALL_AUDIO];

    if (r->format != DUET_FILE_WAV || !is_mine(r, t, NULL))
        return;
    if (!r->writer) {
        set_track(&track, false, "L16");
        track.channels = channels;
        r->tracks[CALL_AUDIO] = 0;
        start(r, tracks, 1);
    }
    if (r->writer)
        put(r, CALL_AUDIO, (const uint8_t *)samples, count * channels * sizeof(int16_t), done * count * 1000000 / RATE,
            count * 1000000 / RATE, true);
}

static void copy_picture(call_record *r, const duet_video_frame *picture)
{
    uint8_t *to = r->picture;

    for (int plane = 0; plane < 3; plane++) {
        size_t width = plane ? (picture->width + 1u) / 2 : picture->width;
        size_t height = plane ? (picture->height + 1u) / 2 : picture->height;
        for (size_t y = 0; y < height; y++, to += width)
            memcpy(to, picture->planes[plane] + y * picture->strides[plane], width);
    }
}

static bool keep_picture(call_record *r, const duet_video_frame *picture)
{
    if (!r->picture) {
        r->width = picture->width;
        r->height = picture->height;
        r->picture_len = (size_t)r->width * r->height + 2 * ((r->width + 1u) / 2 * ((r->height + 1u) / 2));
        r->picture = malloc(r->picture_len);
    }
    if (!r->picture) {
        fail(r, "", DUET_ERR_NOMEM);
        return false;
    }
    if (r->width != picture->width || r->height != picture->height) {
        if (!r->said_size)
            call_warn(
                r->owner,
                "--record %s: the size of the picture changed, which the format cannot hold: the others are left out",
                r->name);
        r->said_size = true;
        return false;
    }
    copy_picture(r, picture);
    return true;
}

/* @param time  of the second picture: how long the first one lasted */
static void start_pictures(call_record *r, int64_t time)
{
    duet_file_track track;
    const duet_file_track *tracks[] = {&track};
    int64_t rate = time > 0 ? (1000000 + time / 2) / time : 0;

    set_track(&track, true, "I420");
    r->rate = rate >= 1 && rate <= 120 ? (uint32_t)rate : Y4M_RATE;
    track.width = r->width;
    track.height = r->height;
    track.rate_num = r->rate;
    track.rate_den = 1;
    r->tracks[CALL_VIDEO] = 0;
    start(r, tracks, 1);
}

static void put_picture(call_record *r)
{
    duet_time time = r->pictures * 1000000 / r->rate;

    put(r, CALL_VIDEO, r->picture, r->picture_len, time, 1000000 / r->rate, true);
    r->pictures++;
}

/* The format has a constant rate: where pictures are missing the one before is shown again. */
void call_record_picture(call_record *r, call_track *t, const duet_video_frame *picture, const duet_incoming_frame *f)
{
    if (r->format != DUET_FILE_Y4M || !is_mine(r, t, f))
        return;
    if (!r->picture) { /* the first: its successor tells the rate */
        r->origin = f->arrived;
        r->reference = CALL_VIDEO;
        (void)time_of(r, CALL_VIDEO, f);
        (void)keep_picture(r, picture);
        return;
    }
    int64_t time = time_of(r, CALL_VIDEO, f);
    if (!r->writer) {
        start_pictures(r, time);
        if (r->writer)
            put_picture(r);
    }
    if (!r->writer || time < 0)
        return;
    uint64_t index = ((uint64_t)time * r->rate + 500000) / 1000000;
    for (unsigned i = 0; r->pictures < index && i < Y4M_GAP_MAX; i++)
        put_picture(r);
    if (index >= r->pictures && keep_picture(r, picture))
        put_picture(r);
}

/* ---- life ---- */

int call_record_create(call *c, const char *name)
{
    duet_file_format format = duet_file_format_of_name(name);
    call_record *r = NULL;

    if (format == DUET_FILE_UNKNOWN) {
        app_error("--record %s: the name tells the format: .webm, .opus, .ogg, .ivf, .wav, .y4m, .h264 or .h265", name);
        return APP_BAD_USAGE;
    }
    r = c->record = calloc(1, sizeof(*r));
    if (!r)
        return APP_FAILED;
    r->owner = c;
    r->name = name;
    r->format = format;
    r->tracks[CALL_AUDIO] = r->tracks[CALL_VIDEO] = -1;
    r->file = fopen(name, "wb");
    if (!r->file) {
        app_error("--record %s: %s", name, strerror(errno));
        return APP_BAD_USAGE;
    }
    r->can_seek = fseek(r->file, 0, SEEK_CUR) == 0;
    return APP_OK;
}

bool call_record_finish(call_record *r)
{
    int err = r->writer ? duet_file_writer_finish(r->writer) : DUET_OK;

    if (fclose(r->file) != 0 && err == DUET_OK)
        err = DUET_ERR_IO;
    r->file = NULL;
    if (r->has_failed)
        return false; /* it was said */
    if (err != DUET_OK)
        app_error("--record %s: %s", r->name, err == DUET_ERR_IO ? strerror(errno) : duet_strerror(err));
    else if (!r->writer)
        app_error("--record %s: the file is empty, as nothing came that it could hold", r->name);
    return err == DUET_OK && r->writer;
}

void call_record_destroy(call_record *r)
{
    if (!r)
        return;
    duet_file_writer_destroy(r->writer);
    if (r->file)
        fclose(r->file);
    free(r->picture);
    free(r);
}

void call_record_report(const call_record *r, json_t *result)
{
    json_object_set_new(result, "recorded",
                        json_pack("{s:s,s:s,s:f,s:I,s:I,s:I}", "file", r->name, "format",
                                  duet_file_format_name(r->format), "seconds", (double)r->length / 1e6, "bytes",
                                  (json_int_t)r->bytes, "audio", (json_int_t)r->samples[CALL_AUDIO], "video",
                                  (json_int_t)r->samples[CALL_VIDEO]));
}
