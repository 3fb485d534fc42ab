/* What arrives is counted, decoded where this build can, and checked: the pattern's counter has to grow. */
#include "app.h"
#include "media.h"
#include <string.h>

#define SAMPLES_MAX 5760 /* 120 ms of 48 kHz: the longest Opus packet */

static void forget_decoder(media_sink *s)
{
    duet_audio_decoder_destroy(s->audio);
    duet_video_decoder_destroy(s->video);
    s->audio = NULL;
    s->video = NULL;
}

static int make_decoder(media_sink *s)
{
    if (duet_transceiver_kind(duet_receiver_transceiver(s->receiver)) == DUET_SDP_AUDIO) {
        duet_audio_decoder_config config;
        duet_audio_decoder_config_init(&config);
        config.codec = s->codec;
        return duet_audio_decoder_create(&s->audio, &config);
    }
    duet_video_decoder_config config;
    duet_video_decoder_config_init(&config);
    config.codec = s->codec;
    return duet_video_decoder_create(&s->video, &config);
}

static void follow_codec(media_sink *s, const duet_codec *codec)
{
    if (strcmp(codec->name, s->codec.name) == 0)
        return;
    forget_decoder(s);
    s->codec = *codec;
    s->has_no_decoder = make_decoder(s) != DUET_OK;
}

static void decode_sound(media_sink *s, const duet_incoming_frame *frame)
{
    int16_t samples[SAMPLES_MAX];
    size_t count = 0;

    if (duet_audio_decoder_decode(s->audio, frame->data, frame->len, samples, SAMPLES_MAX, &count) != DUET_OK) {
        s->decode_errors++;
        return;
    }
    s->decoded++;
    for (size_t i = 0; i < count; i++)
        s->energy += (double)samples[i] / 32768.0 * samples[i] / 32768.0;
}

static void read_counter(media_sink *s, const duet_video_frame *picture)
{
    uint32_t counter;

    if (!duet_pattern_read(picture, &counter))
        return;
    s->counters_backward += s->counters_read > 0 && counter <= s->last_counter;
    s->counters_read++;
    s->last_counter = counter;
}

static void decode_picture(media_sink *s, const duet_incoming_frame *frame)
{
    duet_video_frame picture;
    int err = duet_video_decoder_decode(s->video, frame->data, frame->len, &picture);

    if (err == DUET_ERR_AGAIN)
        return;
    if (err != DUET_OK) {
        s->decode_errors++;
        (void)duet_receiver_request_keyframe(s->receiver);
        return;
    }
    s->decoded++;
    s->width = picture.width;
    s->height = picture.height;
    read_counter(s, &picture);
}

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    media_sink *s = user;

    (void)receiver;
    follow_codec(s, frame->codec);
    s->frames++;
    s->key_frames += frame->is_keyframe;
    s->losses += frame->after_loss;
    if (s->audio)
        decode_sound(s, frame);
    if (s->video)
        decode_picture(s, frame);
    if (s->on_frame)
        s->on_frame(s->user, s, frame);
}

static void packet_arrives(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    (void)receiver, (void)arrival;
    ((media_sink *)user)->packets++;
}

void media_sink_start(media_sink *sink, duet_receiver *receiver)
{
    duet_receiver_callbacks callbacks = {.on_frame = frame_arrives, .on_rtp = packet_arrives, .user = sink};

    sink->receiver = receiver;
    duet_receiver_set_callbacks(receiver, &callbacks);
}

void media_sink_stop(media_sink *sink)
{
    if (sink->receiver)
        duet_receiver_set_callbacks(sink->receiver, NULL);
    sink->receiver = NULL;
    forget_decoder(sink);
}
