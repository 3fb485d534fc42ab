/* The echo of media: frames go back as they came, and the peer's wish for a key frame comes back to it as ours. */
#include "media_echo.h"
#include <stdio.h>
#include <stdlib.h>

/* A sender that paused so long begins anew. */
#define PAUSE_MAX DUET_SECONDS(2)

/* The time line of the frames, from their RTP timestamps: arrival times would add the network's jitter to it. */
static duet_time captured(media_echo *e, const duet_incoming_frame *frame)
{
    int64_t units = duet_rtp_time_diff(frame->timestamp, e->first_timestamp);
    duet_time time = e->first_time + (duet_time)(units * 1000000 / (int64_t)frame->codec->clock_rate);

    if (e->has_first && units >= 0 && time + PAUSE_MAX > frame->arrived && time < frame->arrived + PAUSE_MAX) {
        e->first_timestamp = frame->timestamp; /* near enough that the difference never wraps */
        e->first_time = time;
        return time;
    }
    e->has_first = true;
    e->first_timestamp = frame->timestamp;
    e->first_time = frame->arrived;
    return frame->arrived;
}

static void send_back(media_echo *e, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    duet_outgoing_frame out = {
        .data = frame->data,
        .len = frame->len,
        .payload_type = frame->codec->payload_type,
        .info = {.is_keyframe = frame->is_keyframe, .temporal_id = -1},
        .captured = captured(e, frame),
    };

    int err = duet_sender_send_frame(duet_transceiver_sender(e->transceiver), &out);
    if (err == DUET_OK) {
        e->frames++;
        return;
    }
    e->dropped++;
    if (err == DUET_ERR_AGAIN)
        (void)duet_receiver_request_keyframe(receiver);
}

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    send_back(user, receiver, frame);
}

void media_echo_frame(media_echo *list, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    for (media_echo *e = list; e; e = e->next) {
        if (duet_transceiver_receiver(e->transceiver) == receiver)
            send_back(e, receiver, frame);
    }
}

static void keyframe_requested(void *user, duet_sender *sender)
{
    media_echo *e = user;

    (void)sender;
    (void)duet_receiver_request_keyframe(duet_transceiver_receiver(e->transceiver));
}

int media_echo_start(media_echo **list, duet_transceiver *transceiver)
{
    char track_id[DUET_TRACK_ID_MAX + 1];

    for (const media_echo *e = *list; e; e = e->next) {
        if (e->transceiver == transceiver)
            return DUET_OK; /* the track has come back after a pause */
    }
    media_echo *e = calloc(1, sizeof(*e));
    if (!e)
        return DUET_ERR_NOMEM;
    e->transceiver = transceiver;
    duet_sender_callbacks sending = {.on_keyframe_request = keyframe_requested, .user = e};
    duet_receiver_callbacks receiving = {.on_frame = frame_arrives, .user = e};
    duet_sender_set_callbacks(duet_transceiver_sender(transceiver), &sending);
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &receiving);
    snprintf(track_id, sizeof(track_id), "echo-%s", duet_transceiver_mid(transceiver)); /* no two tracks have one id */
    (void)duet_sender_replace_track(duet_transceiver_sender(transceiver), track_id);
    (void)duet_transceiver_set_direction(transceiver, DUET_SDP_SENDRECV);
    e->next = *list;
    *list = e;
    return DUET_OK;
}

void media_echo_end(media_echo **list, const duet_transceiver *transceiver)
{
    for (media_echo **at = list; *at; at = &(*at)->next) {
        media_echo *e = *at;
        if (e->transceiver != transceiver)
            continue;
        *at = e->next;
        free(e);
        return;
    }
}

void media_echo_free(media_echo **list)
{
    while (*list) {
        media_echo *e = *list;
        *list = e->next;
        duet_sender_set_callbacks(duet_transceiver_sender(e->transceiver), NULL);
        duet_receiver_set_callbacks(duet_transceiver_receiver(e->transceiver), NULL);
        free(e);
    }
}
