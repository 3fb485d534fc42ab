/* What `duet call` sends: a tone and a pattern, or the samples of files, at their times and to everybody at once.
 * Encoded samples go out as they are, raw ones are encoded for each peer with what was negotiated with it. One clock
 * drives sound and pictures, so that those of one file stay together; it stands still while nobody is there. */
#include "call.h"
#include "resample.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TONE_HZ        440.0
#define TONE_AMPLITUDE 0.25
#define TONE_PERIOD    DUET_MS(20)
#define RATE_MAX       48000
#define NARROW_RATE    8000 /* of G.711 */
/* What was held up longer is not made up for: everything moves. */
#define LATE_MAX DUET_MS(500)
/* After the last sample: what was lost can be asked for again. */
#define LINGER DUET_MS(400)
/* Bits for each pixel, and their bounds: of what is encoded here. */
#define BITS_PER_PIXEL 0.1
#define BITRATE_MIN    400000u
#define BITRATE_MAX    4000000u

typedef struct source {
    call_sending *owner;
    int kind;
    bool is_on;
    call_file *file; /* NULL: tone or pattern */
    bool has_sample, has_ended;
    duet_file_sample sample;
    duet_time time, end; /* of the next sample, and the end of the one before: from the start */
    uint8_t *picture;
    uint32_t counter;
    resampler *narrower; /* of a file's sound for peers that take 8000 Hz; NULL: none was there yet */
    bool is_narrowed;    /* the sample is in `narrow` */
    int16_t narrow[RESAMPLE_BLOCK_MAX];
} source;

struct call_sending {
    call *owner;
    source sources[CALL_KINDS];
    duet_net_timer *timer;
    bool is_running, has_started;
    duet_time start;  /* when time 0 was */
    duet_time paused; /* since when nobody is there */
    duet_time round;  /* of the files: begins there */
};

static const char *codec_of_file(const source *s)
{
    return s->file && !call_file_is_raw(s->file) ? call_file_track(s->file)->codec : NULL;
}

/* ---- to one peer ---- */

static void complain(call_track *t, const char *format, ...) DUET_PRINTF(2, 3);

static void complain(call_track *t, const char *format, ...)
{
    char text[256];
    va_list args;

    if (t->has_complained)
        return;
    t->has_complained = true;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    call_warn(t->peer->owner, "%.8s: %s", t->peer->name, text);
}

static bool is_in(const duet_codec *list, size_t count, const duet_codec *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].payload_type == wanted->payload_type && strcasecmp(list[i].name, wanted->name) == 0)
            return true;
    }
    return false;
}

static size_t codecs_of(const call_track *t, bool is_local, duet_codec *out, size_t max)
{
    const char *mid = duet_transceiver_mid(duet_sender_transceiver(t->sender));
    const duet_pc *pc = t->peer->connection.pc;
    duet_sdp *parsed = NULL;
    char *sdp = NULL;
    size_t index, count = 0;

    int err = is_local ? duet_pc_current_local_description(pc, NULL, &sdp)
                       : duet_pc_current_remote_description(pc, NULL, &sdp);
    if (err == DUET_OK && duet_sdp_parse(&parsed, NULL, sdp, strlen(sdp), NULL) == DUET_OK &&
        duet_sdp_find_mid(parsed, (duet_sdp_text){mid, strlen(mid)}, &index))
        count = duet_sdp_media_codecs(parsed, index, out, max);
    duet_sdp_destroy(parsed);
    duet_free(&t->peer->connection.env, sdp);
    return count < max ? count : max;
}

/* The payload type that both descriptions have for the codec. Of H.264 the one that may cut NAL units (RFC 6184 section
 * 8.1) is taken first. */
static void find_payload_type(call_track *t, const char *codec)
{
    duet_codec own[64], theirs[64];
    size_t own_count = codecs_of(t, true, own, 64), their_count = codecs_of(t, false, theirs, 64);
    bool can_cut = false;

    t->payload_type = DUET_FRAME_OWN_CODEC;
    t->knows_payload_type = true;
    for (size_t i = 0; i < own_count && !can_cut; i++) {
        if (strcasecmp(own[i].name, codec) != 0 || !is_in(theirs, their_count, &own[i]))
            continue;
        can_cut = strstr(own[i].fmtp, "packetization-mode=1") != NULL;
        if (can_cut || t->payload_type == DUET_FRAME_OWN_CODEC)
            t->payload_type = own[i].payload_type;
    }
}

static void count(call_track *t, int err)
{
    t->sent += err == DUET_OK;
    t->send_errors += err != DUET_OK;
}

static void send_encoded(const source *s, call_track *t, duet_time captured)
{
    const duet_file_track *track = call_file_track(s->file);
    duet_outgoing_frame frame = {.data = s->sample.data, .len = s->sample.len, .captured = captured};

    if (!t->knows_payload_type)
        find_payload_type(t, track->codec);
    if (t->payload_type == DUET_FRAME_OWN_CODEC) {
        complain(t,
                 "it does not take %s, which is in %s: that is not sent; give it VP8 or Opus, or a raw file (WAV, Y4M)",
                 track->codec, call_file_name(s->file));
        return;
    }
    if (t->is_video && !t->has_keyframe && !s->sample.is_keyframe)
        return; /* nothing can be made of it */
    frame.payload_type = t->payload_type;
    frame.info = (duet_frame_info){.is_keyframe = s->sample.is_keyframe, .temporal_id = -1};
    if (s->sample.is_keyframe) {
        frame.info.width = track->width;
        frame.info.height = track->height;
    }
    int err = duet_sender_send_frame(t->sender, &frame);
    t->has_keyframe = err == DUET_OK;
    count(t, err);
    if (err != DUET_OK && err != DUET_ERR_AGAIN)
        complain(t, "%s: a frame was refused: %s", call_file_name(s->file), duet_strerror(err));
}

/* The first failure is said, as the others are the same. */
static void sent_raw(call_track *t, const char *codec, int err)
{
    count(t, err);
    if (err == DUET_ERR_UNSUPPORTED)
        complain(t, "%s was negotiated, which this build cannot encode: choose another with --codec, VP8 for example",
                 codec);
}

static duet_audio_frame sound_of_file(const source *s)
{
    const duet_file_track *track = call_file_track(s->file);

    return (duet_audio_frame){(const int16_t *)(const void *)s->sample.data,
                              s->sample.len / sizeof(int16_t) / track->channels, track->sample_rate, track->channels};
}

/* The sample as G.711 takes it, made once for all peers. @return false when there is none: the last, shorter one */
static bool narrow(source *s, duet_audio_frame *frame)
{
    if (!s->narrower)
        s->narrower = resampler_create(frame->channels, frame->sample_rate, 1, NARROW_RATE);
    if (!s->narrower)
        return false;
    if (!s->is_narrowed) {
        resampler_put(s->narrower, frame->samples, frame->count);
        s->is_narrowed = resampler_take(s->narrower, s->narrow);
    }
    if (!s->is_narrowed) {
        resampler_destroy(s->narrower); /* what follows is the file's beginning */
        s->narrower = NULL;
    }
    *frame = (duet_audio_frame){s->narrow, NARROW_RATE / 50, NARROW_RATE, 1};
    return s->is_narrowed;
}

static void send_sound(source *s, call_track *t, const duet_codec *codec, duet_time captured)
{
    int16_t samples[RATE_MAX / 1000 * 20];
    duet_audio_frame frame = {.samples = samples, .channels = 1};
    bool is_narrow = codec->clock_rate == NARROW_RATE;

    if (s->file) {
        frame = sound_of_file(s);
        if (is_narrow && (frame.sample_rate != NARROW_RATE || frame.channels != 1) && !narrow(s, &frame))
            return;
    } else {
        frame.sample_rate = is_narrow ? NARROW_RATE : RATE_MAX;
        frame.count = frame.sample_rate / 1000 * 20;
        duet_tone_fill(samples, frame.count, 1, frame.sample_rate, TONE_HZ, TONE_AMPLITUDE, s->counter * frame.count);
    }
    sent_raw(t, codec->name, duet_sender_send_audio(t->sender, &frame, captured));
}

static void send_picture(const source *s, call_track *t, const duet_codec *codec, duet_time captured)
{
    uint16_t width = s->file ? call_file_track(s->file)->width : MEDIA_WIDTH;
    uint16_t height = s->file ? call_file_track(s->file)->height : MEDIA_HEIGHT;
    size_t chroma_width = (width + 1u) / 2, chroma = chroma_width * ((height + 1u) / 2);
    const uint8_t *data = s->file ? s->sample.data : s->picture;
    duet_video_frame frame = {width,
                              height,
                              {data, data + (size_t)width * height, data + (size_t)width * height + chroma},
                              {width, chroma_width, chroma_width}};

    sent_raw(t, codec->name, duet_sender_send_video(t->sender, &frame, captured));
}

static void send_to(source *s, call_track *t, duet_time captured)
{
    duet_codec codec;

    if (!t->sender || !duet_sender_is_active(t->sender) || duet_sender_codec(t->sender, &codec) != DUET_OK)
        return;
    if (codec_of_file(s))
        send_encoded(s, t, captured);
    else if (t->is_video)
        send_picture(s, t, &codec, captured);
    else
        send_sound(s, t, &codec, captured);
}

/* ---- one sample after the other ---- */

static void advance_synthetic(source *s)
{
    s->counter++;
    s->time =
        s->kind == CALL_VIDEO ? (duet_time)s->counter * 1000000 / MEDIA_FRAMERATE : (duet_time)s->counter * TONE_PERIOD;
}

static void load(source *s)
{
    call *c = s->owner->owner;

    if (!s->is_on || !s->file || s->has_sample || s->has_ended)
        return;
    int got = call_file_next(s->file, &s->sample);
    if (got < 0)
        call_finish(c, APP_FAILED, "a file cannot be read");
    s->has_sample = got == 1;
    s->has_ended = got != 1;
    if (!s->has_sample)
        return;
    s->time = s->owner->round + s->sample.time;
}

/* How long the sample lasts; where the file does not say, as long as the one before. */
static void note_end(source *s)
{
    duet_time step = s->sample.duration;

    if (step == 0 && s->time > s->end)
        step = s->time - s->end;
    if (step == 0 || step > DUET_SECONDS(1))
        step = DUET_MS(20);
    s->end = s->time + step;
}

static void send_next(source *s)
{
    call_sending *all = s->owner;

    if (s->picture)
        duet_pattern_fill(s->picture, MEDIA_WIDTH, MEDIA_HEIGHT, s->counter);
    s->is_narrowed = false;
    for (call_peer *p = all->owner->peers; p; p = p->next) {
        if (!p->over && p->connection.pc)
            send_to(s, &p->tracks[s->kind], all->start + s->time);
    }
    if (!s->file) {
        advance_synthetic(s);
        return;
    }
    note_end(s);
    s->has_sample = false;
    load(s);
}

static bool is_due(const source *s, duet_time now)
{
    bool has_next = s->file ? s->has_sample : s->is_on;

    return has_next && s->owner->start + s->time <= now;
}

/* ---- files: their end, and again ---- */

/* @return whether there are files, and all were sent */
static bool files_ended(const call_sending *all)
{
    bool has_files = false;

    for (int i = 0; i < CALL_KINDS; i++) {
        const source *s = &all->sources[i];
        has_files = has_files || s->file;
        if (s->file && !s->has_ended)
            return false;
    }
    return has_files;
}

/* Sound and pictures begin again together, when the longer one has ended. */
static void begin_round(call_sending *all)
{
    for (int i = 0; i < CALL_KINDS; i++) {
        if (all->sources[i].file && all->sources[i].end > all->round)
            all->round = all->sources[i].end;
    }
    for (int i = 0; i < CALL_KINDS; i++) {
        source *s = &all->sources[i];
        if (!s->file)
            continue;
        s->has_ended = s->has_sample = false;
        if (!call_file_rewind(s->file))
            call_finish(all->owner, APP_FAILED, "a file cannot be read again");
        else
            load(s);
    }
}

/* ---- the clock ---- */

static bool anybody_listens(const call_sending *all)
{
    for (const call_peer *p = all->owner->peers; p; p = p->next) {
        for (int i = 0; i < CALL_KINDS; i++) {
            if (!p->over && p->tracks[i].sender && duet_sender_is_active(p->tracks[i].sender))
                return true;
        }
    }
    return false;
}

static void files_were_sent(void *arg)
{
    call_sending *all = arg;

    call_finish(all->owner, APP_OK, "the files were sent");
}

static void tick(void *arg);

static void arm(call_sending *all, duet_time delay, void (*fn)(void *))
{
    duet_net_timer_cancel(all->timer);
    all->timer = NULL;
    duet_net_timer_start(&all->timer, all->owner->net, delay, fn, all);
}

static duet_time earliest(const call_sending *all, duet_time now)
{
    duet_time first = DUET_NEVER;

    for (int i = 0; i < CALL_KINDS; i++) {
        const source *s = &all->sources[i];
        bool has_next = s->file ? s->has_sample : s->is_on;
        if (has_next && all->start + s->time < first)
            first = all->start + s->time;
    }
    return first > now || first == DUET_NEVER ? first : now;
}

static void catch_up(call_sending *all, duet_time now)
{
    duet_time first = earliest(all, 0);

    if (first != DUET_NEVER && now > first + LATE_MAX)
        all->start += now - first;
}

static void send_due(call_sending *all, duet_time now)
{
    for (int i = 0; i < CALL_KINDS; i++) {
        while (!all->owner->finished && is_due(&all->sources[i], now))
            send_next(&all->sources[i]);
    }
}

static void tick(void *arg)
{
    call_sending *all = arg;
    call *c = all->owner;
    duet_time now = duet_net_now(c->net);

    if (!anybody_listens(all)) {
        all->is_running = false;
        all->paused = now;
        return;
    }
    catch_up(all, now);
    send_due(all, now);
    if (c->finished)
        return;
    if (files_ended(all) && !c->options.loop) {
        arm(all, LINGER, files_were_sent);
        return;
    }
    if (files_ended(all))
        begin_round(all);
    duet_time next = earliest(all, now);
    if (next != DUET_NEVER)
        arm(all, next - now, tick);
}

static void became_active(void *user, duet_sender *sender, bool is_active)
{
    call_track *t = user;
    call_sending *all = t->peer->owner->sending;
    duet_time now = duet_net_now(all->owner->net);

    (void)sender;
    t->has_keyframe = false;
    if (!is_active || all->is_running)
        return;
    all->start += all->has_started ? now - all->paused : now;
    all->has_started = all->is_running = true;
    arm(all, 0, tick);
}

/* ---- tracks ---- */

/* What is encoded here needs bits by its size; an encoded file has a codec that the peer should take. */
static bool configure(const call_sending *all, const source *s, call_track *t)
{
    const char *codec = codec_of_file(s) ? codec_of_file(s) : all->owner->options.codec;
    duet_transceiver *transceiver = duet_sender_transceiver(t->sender);
    duet_sender_parameters parameters = {.size = sizeof(parameters)};

    if (codec)
        (void)media_prefer(transceiver, codec); /* false: it is one of the other kind */
    if (!t->is_video)
        return true;
    const duet_file_track *track = s->file ? call_file_track(s->file) : NULL;
    double rate = track && track->rate_den ? (double)track->rate_num / track->rate_den : MEDIA_FRAMERATE;
    double bits = (track ? (double)track->width * track->height : MEDIA_WIDTH * MEDIA_HEIGHT) * rate * BITS_PER_PIXEL;
    duet_sender_get_parameters(t->sender, &parameters);
    parameters.max_framerate = rate < 1 ? 1 : rate > 120 ? 120 : (uint8_t)(rate + 0.5);
    parameters.max_bitrate = bits < BITRATE_MIN ? BITRATE_MIN : bits > BITRATE_MAX ? BITRATE_MAX : (uint64_t)bits;
    return duet_sender_set_parameters(t->sender, &parameters) == DUET_OK;
}

static int add_track(call_sending *all, call_peer *p, int kind)
{
    const char *streams[] = {"duet"};
    call_track *t = &p->tracks[kind];
    duet_sender_callbacks callbacks = {.on_active = became_active, .user = t};

    int err = duet_pc_add_track(p->connection.pc, kind == CALL_VIDEO ? DUET_SDP_VIDEO : DUET_SDP_AUDIO, NULL, streams,
                                1, &t->sender);
    if (err != DUET_OK)
        return err;
    duet_sender_set_callbacks(t->sender, &callbacks);
    return configure(all, &all->sources[kind], t) ? DUET_OK : DUET_ERR_STATE;
}

static int add_receiver(const call_sending *all, call_peer *p, int kind)
{
    duet_transceiver_init init = DUET_TRANSCEIVER_INIT;
    duet_transceiver *transceiver;

    init.direction = DUET_SDP_RECVONLY;
    int err = duet_pc_add_transceiver(p->connection.pc, kind == CALL_VIDEO ? DUET_SDP_VIDEO : DUET_SDP_AUDIO, &init,
                                      &transceiver);
    if (err == DUET_OK && all->owner->options.codec)
        (void)media_prefer(transceiver, all->owner->options.codec);
    return err;
}

int call_sending_add_tracks(call_sending *all, call_peer *p, bool is_caller)
{
    int err = DUET_OK;

    for (int i = 0; i < CALL_KINDS && err == DUET_OK; i++) {
        if (all->sources[i].is_on)
            err = add_track(all, p, i);
        else if (is_caller)
            err = add_receiver(all, p, i);
    }
    return err;
}

void call_sending_renegotiated(call_peer *p)
{
    for (int i = 0; i < CALL_KINDS; i++)
        p->tracks[i].knows_payload_type = false;
}

void call_sending_stop(call_peer *p)
{
    for (int i = 0; i < CALL_KINDS; i++) {
        if (p->tracks[i].sender)
            duet_sender_set_callbacks(p->tracks[i].sender, NULL);
        p->tracks[i].sender = NULL;
    }
}

/* ---- the sources ---- */

static bool check_sound(const call_file *file)
{
    const duet_file_track *track = call_file_track(file);

    if (track->channels <= RESAMPLE_CHANNELS_MAX)
        return true;
    app_error("%s has %u channels: convert it to at most 2, with 'ffmpeg -i %s -ac 2 FILE.wav' for example",
              call_file_name(file), track->channels, call_file_name(file));
    return false;
}

static int open_source(source *s, const char *what)
{
    const call_options *o = &s->owner->owner->options;
    bool is_video = s->kind == CALL_VIDEO;

    s->is_on = strcmp(what, "none") != 0;
    if (!s->is_on)
        return APP_OK;
    if (strcmp(what, is_video ? "pattern" : "tone") == 0) {
        s->picture = is_video ? malloc((size_t)MEDIA_WIDTH * MEDIA_HEIGHT * 3 / 2) : NULL;
        return is_video && !s->picture ? APP_FAILED : APP_OK;
    }
    s->file = call_file_open(what, is_video);
    if (!s->file)
        return APP_BAD_USAGE;
    if (!is_video && call_file_is_raw(s->file) && !check_sound(s->file))
        return APP_BAD_USAGE;
    if (!codec_of_file(s) || !o->codec || strcasecmp(codec_of_file(s), o->codec) == 0)
        return APP_OK;
    if (duet_payload_format_is_video(duet_payload_format_of(o->codec)) != is_video)
        return APP_OK;
    app_error("--codec %s: %s holds %s, which goes out as it is: leave --codec away", o->codec, what, codec_of_file(s));
    return APP_BAD_USAGE;
}

int call_sending_create(call *c)
{
    c->sending = calloc(1, sizeof(*c->sending));
    if (!c->sending)
        return APP_FAILED;
    c->sending->owner = c;
    for (int i = 0; i < CALL_KINDS; i++) {
        c->sending->sources[i] = (source){.owner = c->sending, .kind = i};
        int code = open_source(&c->sending->sources[i], c->options.sources[i]);
        if (code != APP_OK)
            return code;
        load(&c->sending->sources[i]);
    }
    return APP_OK;
}

void call_sending_destroy(call_sending *all)
{
    if (!all)
        return;
    duet_net_timer_cancel(all->timer);
    for (int i = 0; i < CALL_KINDS; i++) {
        call_file_close(all->sources[i].file);
        resampler_destroy(all->sources[i].narrower);
        free(all->sources[i].picture);
    }
    free(all);
}
