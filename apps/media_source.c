/* A tone or a moving pattern, sent in its own rhythm; the connection encodes. */
#include "app.h"
#include "media.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TONE_HZ        440.0
#define TONE_AMPLITUDE 0.25
#define AUDIO_PERIOD   DUET_MS(20)
#define AUDIO_SAMPLES  960 /* 20 ms of 48 kHz */
#define VIDEO_BITRATE  400000
/* A source that was held up does not make up for more than this. */
#define LATE_MAX DUET_MS(200)

bool media_has_codec(const char *codec_name)
{
    duet_codec list[16];
    size_t count = duet_codecs_list(list, 16);

    for (size_t i = 0; i < count && i < 16; i++) {
        if (strcasecmp(list[i].name, codec_name) == 0)
            return true;
    }
    return false;
}

bool media_is_audio_codec(const char *codec_name)
{
    duet_codec table[32];
    size_t count = duet_pc_codec_capabilities(DUET_SDP_AUDIO, table, 32);

    for (size_t i = 0; i < count && i < 32; i++) {
        if (strcasecmp(table[i].name, codec_name) == 0)
            return true;
    }
    return false;
}

bool media_prefer(duet_transceiver *transceiver, const char *codec_name)
{
    duet_codec table[64];
    const duet_codec *order[64];
    size_t count = duet_pc_codec_capabilities(duet_transceiver_kind(transceiver), table, 64), n = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(table[i].name, codec_name) == 0)
            order[n++] = &table[i];
    }
    if (n == 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(table[i].name, codec_name) != 0)
            order[n++] = &table[i];
    }
    return duet_transceiver_set_codec_preferences(transceiver, order, n) == DUET_OK;
}

/* ---- frames ---- */

static void note(media_source *s, int err)
{
    if (err != DUET_ERR_UNSUPPORTED) {
        s->problem = NULL;
        return;
    }
    if (!s->problem)
        app_error("%s: this build cannot encode it, nothing is sent", s->codec.name);
    s->problem = "the codec that was negotiated cannot be encoded here";
}

static void send_sound(media_source *s)
{
    bool is_opus = strcasecmp(s->codec.name, "opus") == 0;
    uint32_t rate = is_opus ? 48000 : 8000;
    int16_t samples[AUDIO_SAMPLES];
    duet_audio_frame frame = {samples, is_opus ? AUDIO_SAMPLES : AUDIO_SAMPLES / 6, rate, 1};

    duet_tone_fill(samples, frame.count, 1, rate, TONE_HZ, TONE_AMPLITUDE, s->position);
    s->position += frame.count;
    note(s, duet_sender_send_audio(s->sender, &frame, s->next));
}

static void send_picture(media_source *s)
{
    duet_video_frame frame;

    duet_pattern_fill(s->picture, s->width, s->height, s->counter++);
    duet_pattern_frame(s->picture, s->width, s->height, &frame);
    note(s, duet_sender_send_video(s->sender, &frame, s->next));
}

/* ---- rhythm ---- */

static duet_time period(const media_source *s)
{
    return s->picture ? 1000000 / s->framerate : AUDIO_PERIOD;
}

static void due(void *arg)
{
    media_source *s = arg;
    duet_time now = duet_net_now(s->net);

    if (now > s->next + LATE_MAX)
        s->next = now;
    while (s->next <= now) {
        if (duet_sender_is_active(s->sender) && duet_sender_codec(s->sender, &s->codec) == DUET_OK) {
            if (s->picture)
                send_picture(s);
            else
                send_sound(s);
        }
        s->next += period(s);
    }
    duet_net_timer_cancel(s->timer);
    s->timer = NULL;
    duet_net_timer_start(&s->timer, s->net, s->next - now, due, s);
}

static void became_active(void *user, duet_sender *sender, bool is_active)
{
    media_source *s = user;

    (void)sender;
    duet_net_timer_cancel(s->timer);
    s->timer = NULL;
    s->next = duet_net_now(s->net);
    if (is_active)
        duet_net_timer_start(&s->timer, s->net, 0, due, s);
}

int media_source_start(media_source *source, duet_net *net, duet_sender *sender)
{
    duet_sender_callbacks callbacks = {.on_active = became_active, .user = source};
    duet_sender_parameters parameters;
    bool is_video = duet_transceiver_kind(duet_sender_transceiver(sender)) == DUET_SDP_VIDEO;

    *source = (media_source){
        .net = net, .sender = sender, .width = MEDIA_WIDTH, .height = MEDIA_HEIGHT, .framerate = MEDIA_FRAMERATE};
    if (is_video) {
        source->picture = malloc((size_t)MEDIA_WIDTH * MEDIA_HEIGHT * 3 / 2);
        if (!source->picture)
            return DUET_ERR_NOMEM;
    }
    duet_sender_get_parameters(sender, &parameters);
    parameters.max_bitrate = is_video ? VIDEO_BITRATE : 0;
    parameters.max_framerate = source->framerate;
    duet_sender_set_callbacks(sender, &callbacks);
    return duet_sender_set_parameters(sender, &parameters);
}

void media_source_stop(media_source *source)
{
    if (source->sender)
        duet_sender_set_callbacks(source->sender, NULL);
    duet_net_timer_cancel(source->timer);
    source->timer = NULL;
    free(source->picture);
    source->picture = NULL;
}
