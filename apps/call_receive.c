/* What peers of `duet call` send: pictures are decoded as they come, sound in the rhythm of who would play it. Both are
 * measured, and recorded where that is wanted. */
#include "call.h"
#include <string.h>

#define PERIOD   DUET_MS(20)
#define SAMPLES  960 /* of 48 kHz in a period */
#define CHANNELS 2
#define LATE_MAX DUET_MS(200) /* what was missed beyond is not made up for */

/* ---- pictures and packets ---- */

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    call_track *t = user;

    (void)receiver;
    t->frames++;
    t->key_frames += frame->is_keyframe;
    t->losses += frame->after_loss;
    snprintf(t->codec, sizeof(t->codec), "%s", frame->codec->name);
    if (t->peer->owner->record)
        call_record_frame(t->peer->owner->record, t, frame);
}

static void read_counter(call_track *t, const duet_video_frame *picture)
{
    uint32_t counter;

    if (!duet_pattern_read(picture, &counter))
        return;
    t->counters_backward += t->counters_read > 0 && counter <= t->last_counter;
    t->counters_read++;
    t->last_counter = counter;
}

static void picture_arrives(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                            const duet_incoming_frame *frame)
{
    call_track *t = user;

    (void)receiver;
    t->decoded++;
    t->width = picture->width;
    t->height = picture->height;
    read_counter(t, picture);
    if (t->peer->owner->record)
        call_record_picture(t->peer->owner->record, t, picture, frame);
}

/* ---- sound ---- */

static void play(call_track *t)
{
    int16_t samples[SAMPLES * CHANNELS];
    double sum = 0;

    if (duet_receiver_read_audio(t->receiver, samples, SAMPLES, CHANNELS) != DUET_OK)
        return;
    for (size_t i = 0; i < (size_t)SAMPLES * CHANNELS; i++)
        sum += (double)samples[i] / 32768.0 * samples[i] / 32768.0;
    t->energy += sum;
    t->total_energy += sum;
    t->samples += (size_t)SAMPLES * CHANNELS;
    t->decoded++;
    if (t->peer->owner->record)
        call_record_sound(t->peer->owner->record, t, samples, SAMPLES, CHANNELS);
}

static void play_all(void *arg)
{
    call *c = arg;
    duet_time now = duet_net_now(c->net);

    if (now > c->play_next + LATE_MAX)
        c->play_next = now;
    for (; c->play_next <= now; c->play_next += PERIOD) {
        for (call_peer *p = c->peers; p; p = p->next) {
            call_track *t = &p->tracks[CALL_AUDIO];
            if (!p->over && t->receiver && t->frames > 0)
                play(t);
        }
    }
    duet_net_timer_cancel(c->player);
    c->player = NULL;
    duet_net_timer_start(&c->player, c->net, c->play_next - now, play_all, c);
}

/* ---- beginning and end ---- */

void call_receive(call_peer *p, duet_transceiver *transceiver)
{
    call *c = p->owner;
    bool is_video = duet_transceiver_kind(transceiver) == DUET_SDP_VIDEO;
    call_track *t = &p->tracks[is_video ? CALL_VIDEO : CALL_AUDIO];
    duet_receiver_callbacks callbacks = {.on_frame = frame_arrives, .user = t};

    if (t->receiver)
        return; /* the track came back after a pause, or is the second of its kind: one is shown */
    t->receiver = duet_transceiver_receiver(transceiver);
    if (is_video)
        callbacks.on_video = picture_arrives;
    duet_receiver_set_callbacks(t->receiver, &callbacks);
    if (!is_video && !c->player) {
        c->play_next = duet_net_now(c->net);
        duet_net_timer_start(&c->player, c->net, 0, play_all, c);
    }
}

void call_receive_stop(call_peer *p)
{
    for (int i = 0; i < CALL_KINDS; i++) {
        if (p->tracks[i].receiver)
            duet_receiver_set_callbacks(p->tracks[i].receiver, NULL);
        p->tracks[i].receiver = NULL;
    }
}
