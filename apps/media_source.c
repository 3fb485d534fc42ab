/* A tone or a moving pattern, encoded and sent in its own rhythm. */
#include "app.h"
#include "media.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TONE_HZ        440.0
#define TONE_AMPLITUDE 0.25
#define TONE_LEVEL     15 /* -dBov of a sine of that amplitude */
#define AUDIO_PERIOD   DUET_MS(20)
#define AUDIO_SAMPLES  960 /* 20 ms of 48 kHz */
#define VIDEO_BITRATE  400000
#define PACKET_MAX     1500
/* A source that was held up does not make up for more than this. */
#define LATE_MAX DUET_MS(200)

bool media_can_encode(const char *codec_name)
{
    duet_codec list[16];
    size_t count = duet_codecs_list(list, 16);

    for (size_t i = 0; i < count && i < 16; i++) {
        if (strcasecmp(list[i].name, codec_name) == 0)
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

/* ---- encoders ---- */

static void forget_encoder(media_source *s)
{
    duet_audio_encoder_destroy(s->audio);
    duet_video_encoder_destroy(s->video);
    s->audio = NULL;
    s->video = NULL;
    s->codec.name[0] = 0;
}

static int make_encoder(media_source *s)
{
    if (duet_transceiver_kind(duet_sender_transceiver(s->sender)) == DUET_SDP_AUDIO) {
        duet_audio_encoder_config config;
        duet_audio_encoder_config_init(&config);
        config.codec = s->codec;
        return duet_audio_encoder_create(&s->audio, &config);
    }
    duet_video_encoder_config config;
    duet_video_encoder_config_init(&config);
    config.codec = s->codec;
    config.width = s->width;
    config.height = s->height;
    config.framerate = s->framerate;
    config.bitrate = VIDEO_BITRATE;
    return duet_video_encoder_create(&s->video, &config);
}

/* The encoder follows the negotiation. */
static bool ensure_encoder(media_source *s)
{
    duet_codec codec;

    if (duet_sender_codec(s->sender, &codec) != DUET_OK)
        return false;
    if (s->codec.name[0] && strcmp(codec.name, s->codec.name) == 0 && strcmp(codec.fmtp, s->codec.fmtp) == 0)
        return s->audio || s->video;
    forget_encoder(s);
    s->codec = codec;
    int err = make_encoder(s);
    if (err == DUET_OK) {
        s->problem = NULL;
        return true;
    }
    if (!s->problem)
        app_error("%s: this build cannot encode it (%s), nothing is sent", codec.name, duet_strerror(err));
    s->problem = "the codec that was negotiated cannot be encoded here";
    return false;
}

/* ---- frames ---- */

static void send(media_source *s, duet_outgoing_frame *frame)
{
    frame->payload_type = DUET_FRAME_OWN_CODEC;
    frame->captured = s->next;
    int err = duet_sender_send_frame(s->sender, frame);
    if (err == DUET_OK)
        s->frames_sent++;
    else
        s->send_errors++;
    if (err == DUET_ERR_AGAIN)
        s->wants_keyframe = true;
}

static void send_sound(media_source *s)
{
    bool is_opus = strcasecmp(s->codec.name, "opus") == 0;
    uint32_t rate = is_opus ? 48000 : 8000;
    size_t count = is_opus ? AUDIO_SAMPLES : 160, len = 0;
    int16_t samples[AUDIO_SAMPLES];
    uint8_t packet[PACKET_MAX];
    duet_audio_frame raw = {samples, count, rate, 1};

    duet_tone_fill(samples, count, 1, rate, TONE_HZ, TONE_AMPLITUDE, s->position);
    s->position += count;
    if (duet_audio_encoder_encode(s->audio, &raw, packet, sizeof(packet), &len) != DUET_OK || len == 0)
        return;
    duet_outgoing_frame frame = {.data = packet, .len = len, .starts_talkspurt = s->frames_sent == 0};
    frame.has_audio_level = frame.voice_activity = true;
    frame.audio_level = TONE_LEVEL;
    send(s, &frame);
}

static void send_picture(media_source *s)
{
    duet_video_frame raw;
    duet_encoded_frame encoded;

    duet_pattern_fill(s->picture, s->width, s->height, s->counter++);
    duet_pattern_frame(s->picture, s->width, s->height, &raw);
    if (duet_video_encoder_encode(s->video, &raw, s->next, s->wants_keyframe, &encoded) != DUET_OK || encoded.len == 0)
        return;
    duet_outgoing_frame frame = {.data = encoded.data, .len = encoded.len, .info = encoded.info};
    s->wants_keyframe = false;
    s->key_frames += encoded.info.is_keyframe;
    send(s, &frame);
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
        if (duet_sender_is_active(s->sender) && ensure_encoder(s)) {
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

static void keyframe_requested(void *user, duet_sender *sender)
{
    media_source *s = user;

    (void)sender;
    s->wants_keyframe = true;
}

static void became_active(void *user, duet_sender *sender, bool is_active)
{
    media_source *s = user;

    (void)sender;
    duet_net_timer_cancel(s->timer);
    s->timer = NULL;
    s->wants_keyframe = true;
    s->next = duet_net_now(s->net);
    if (is_active)
        duet_net_timer_start(&s->timer, s->net, 0, due, s);
}

int media_source_start(media_source *source, duet_net *net, duet_sender *sender)
{
    duet_sender_callbacks callbacks = {
        .on_keyframe_request = keyframe_requested, .on_active = became_active, .user = source};
    bool is_video = duet_transceiver_kind(duet_sender_transceiver(sender)) == DUET_SDP_VIDEO;

    *source = (media_source){
        .net = net, .sender = sender, .width = MEDIA_WIDTH, .height = MEDIA_HEIGHT, .framerate = MEDIA_FRAMERATE};
    if (is_video) {
        source->picture = malloc((size_t)MEDIA_WIDTH * MEDIA_HEIGHT * 3 / 2);
        if (!source->picture)
            return DUET_ERR_NOMEM;
    }
    duet_sender_set_callbacks(sender, &callbacks);
    return DUET_OK;
}

void media_source_stop(media_source *source)
{
    if (source->sender)
        duet_sender_set_callbacks(source->sender, NULL);
    duet_net_timer_cancel(source->timer);
    source->timer = NULL;
    forget_encoder(source);
    free(source->picture);
    source->picture = NULL;
}
