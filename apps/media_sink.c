/* What arrives is counted, decoded where this build can, and checked: the pattern's counter has to grow. */
#include "app.h"
#include "media.h"
#include <string.h>

#define READ_PERIOD DUET_MS(10)
#define SAMPLES     480 /* 10 ms of 48 kHz */
/* A player that was held up does not make up for more than this. */
#define LATE_MAX DUET_MS(200)

/* ---- frames ---- */

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    media_sink *s = user;

    (void)receiver;
    if (strcmp(s->codec, frame->codec->name) != 0) {
        memcpy(s->codec, frame->codec->name, sizeof(s->codec));
        s->has_no_decoder = !media_has_codec(s->codec);
    }
    s->frames++;
    s->key_frames += frame->is_keyframe;
    s->losses += frame->after_loss;
    if (s->on_frame)
        s->on_frame(s->user, s, frame);
}

static void picture_arrives(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                            const duet_incoming_frame *frame)
{
    media_sink *s = user;
    uint32_t counter;

    (void)receiver, (void)frame;
    s->decoded++;
    s->width = picture->width;
    s->height = picture->height;
    if (!duet_pattern_read(picture, &counter))
        return;
    /* The same picture may come again: a sender whose camera stands still repeats it when a key frame is wished for. */
    s->counters_backward += s->counters_read > 0 && counter < s->last_counter;
    s->counters_read++;
    s->last_counter = counter;
}

static void packet_arrives(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    (void)receiver, (void)arrival;
    ((media_sink *)user)->packets++;
}

/* ---- sound, in the rhythm of a player ---- */

static void hear(media_sink *s)
{
    int16_t samples[SAMPLES];

    if (duet_receiver_read_audio(s->receiver, samples, SAMPLES, 1) != DUET_OK)
        return;
    for (size_t i = 0; i < SAMPLES; i++)
        s->energy += (double)samples[i] / 32768.0 * samples[i] / 32768.0;
}

static void due(void *arg)
{
    media_sink *s = arg;
    duet_time now = duet_net_now(s->net);

    if (now > s->next + LATE_MAX)
        s->next = now;
    for (; s->next <= now; s->next += READ_PERIOD)
        hear(s);
    duet_net_timer_cancel(s->timer);
    s->timer = NULL;
    duet_net_timer_start(&s->timer, s->net, s->next - now, due, s);
}

/* ---- life ---- */

void media_sink_start(media_sink *sink, duet_net *net, duet_receiver *receiver)
{
    duet_receiver_callbacks callbacks = {
        .on_frame = frame_arrives, .on_video = picture_arrives, .on_rtp = packet_arrives, .user = sink};

    sink->net = net;
    sink->receiver = receiver;
    sink->next = duet_net_now(net);
    duet_receiver_set_callbacks(receiver, &callbacks);
    if (duet_transceiver_kind(duet_receiver_transceiver(receiver)) == DUET_SDP_AUDIO)
        duet_net_timer_start(&sink->timer, net, 0, due, sink);
}

void media_sink_stop(media_sink *sink)
{
    if (sink->receiver)
        duet_receiver_set_callbacks(sink->receiver, NULL);
    sink->receiver = NULL;
    duet_net_timer_cancel(sink->timer);
    sink->timer = NULL;
}
