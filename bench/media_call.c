/* What a 720p30 call costs Duet: both ends in this process and one thread, joined by real UDP sockets on loopback, audio
 * and video both ways. Prints a line of JSON.
 *   bench_media_call frames|raw [CALLS [SECONDS]] */
#include "call_media.h"
#include "call_negotiate.h"
#include "duet/net.h"
#include "duet/transceiver.h"
#include <stdio.h>
#include <stdlib.h>

#define SETUP_LIMIT DUET_SECONDS(20)
#define WARM_UP     DUET_SECONDS(2) /* jitter buffers have settled, codecs have their memory */

typedef struct bench bench;

typedef struct end {
    bench *bench;
    struct end *other;
    duet_pc *pc;
    duet_sender *camera, *microphone;
    duet_receiver *speaker;
    uint64_t frames, packets;
} end;

struct bench {
    call_options options;
    call_media media;
    duet_net *net;
    end ends[2 * CALLS_MAX];
    unsigned end_count;
    uint32_t video_sent, audio_sent;
    uint8_t *picture;
};

/* ---- receiving ---- */

static void on_video_frame(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    (void)receiver;
    (void)frame;
    ((end *)user)->frames++;
}

static void on_picture(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                       const duet_incoming_frame *frame)
{
    (void)picture;
    on_video_frame(user, receiver, frame);
}

static void on_sound(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    (void)receiver;
    (void)frame;
    ((end *)user)->packets++;
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    end *e = user;
    bool raw = e->bench->options.raw;
    duet_receiver_callbacks callbacks = {.user = e};

    (void)pc;
    if (duet_transceiver_kind(transceiver) == DUET_SDP_AUDIO) {
        e->speaker = duet_transceiver_receiver(transceiver);
        callbacks.on_frame = on_sound;
    } else if (raw) {
        callbacks.on_video = on_picture;
    } else {
        callbacks.on_frame = on_video_frame;
    }
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

static void play(end *e)
{
    int16_t samples[CALL_AUDIO_SAMPLES];

    if (e->speaker)
        call_check(duet_receiver_read_audio(e->speaker, samples, CALL_AUDIO_SAMPLES, 1), "sound");
}

/* ---- sending ---- */

static void send_encoded(duet_sender *sender, const call_frame *frame, bool is_keyframe, duet_time now)
{
    duet_outgoing_frame out = {
        .data = frame->data, .len = frame->len, .payload_type = DUET_FRAME_OWN_CODEC, .captured = now};

    out.info = (duet_frame_info){.is_keyframe = is_keyframe, .temporal_id = -1};
    call_check(duet_sender_send_frame(sender, &out), "frame");
}

static void send_video(bench *b, end *e, duet_time now)
{
    uint32_t slot = b->video_sent % CALL_VIDEO_FRAMES;
    duet_video_frame picture;

    if (!duet_sender_is_active(e->camera))
        return;
    if (!b->options.raw) {
        send_encoded(e->camera, &b->media.video[slot], slot == 0, now);
        return;
    }
    duet_pattern_fill(b->picture, CALL_WIDTH, CALL_HEIGHT, b->video_sent);
    duet_pattern_frame(b->picture, CALL_WIDTH, CALL_HEIGHT, &picture);
    call_check(duet_sender_send_video(e->camera, &picture, now), "picture");
}

static void send_audio(bench *b, end *e, duet_time now)
{
    int16_t samples[CALL_AUDIO_SAMPLES];
    duet_audio_frame sound = {samples, CALL_AUDIO_SAMPLES, CALL_SAMPLE_RATE, 1};

    if (!duet_sender_is_active(e->microphone))
        return;
    if (!b->options.raw) {
        send_encoded(e->microphone, &b->media.audio[b->audio_sent % CALL_AUDIO_FRAMES], false, now);
        return;
    }
    duet_tone_fill(samples, CALL_AUDIO_SAMPLES, 1, CALL_SAMPLE_RATE, 440, 0.3,
                   (uint64_t)b->audio_sent * CALL_AUDIO_SAMPLES);
    call_check(duet_sender_send_audio(e->microphone, &sound, now), "sound");
    play(e);
}

/* Turns the loop for `duration`, and gives every sender its media when it is due. */
static void run(bench *b, duet_time duration)
{
    duet_time start = duet_net_now(b->net), end_at = start + duration;
    uint32_t video = 0, audio = 0;

    for (duet_time now = start; now < end_at; now = duet_net_now(b->net)) {
        duet_time video_due = start + (duet_time)video * 1000000 / CALL_FRAMERATE;
        duet_time audio_due = start + (duet_time)audio * DUET_MS(20);
        if (now >= video_due) {
            for (unsigned i = 0; i < b->end_count; i++)
                send_video(b, &b->ends[i], now);
            b->video_sent++;
            video++;
        } else if (now >= audio_due) {
            for (unsigned i = 0; i < b->end_count; i++)
                send_audio(b, &b->ends[i], now);
            b->audio_sent++;
            audio++;
        } else {
            duet_time due = video_due < audio_due ? video_due : audio_due;
            duet_net_turn(b->net, due - now);
        }
    }
}

/* ---- calls ---- */

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    (void)pc;
    call_check(duet_pc_add_ice_candidate(((end *)user)->other->pc, candidate), "candidate");
}

static void create(bench *b, end *e, end *other)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_sender_parameters parameters;

    e->bench = b;
    e->other = other;
    config.codecs = b->options.raw ? duet_codecs() : NULL;
    config.loopback = true;
    config.on_ice_candidate = on_candidate;
    config.on_track = on_track;
    config.user = e;
    duet_address_parse(&config.bind, "127.0.0.1", 0);
    call_check(duet_pc_create(&e->pc, &config), "connection");
    call_check(duet_net_add(b->net, e->pc), "loop");
    call_check(duet_pc_add_track(e->pc, DUET_SDP_AUDIO, NULL, NULL, 0, &e->microphone), "audio");
    call_check(duet_pc_add_track(e->pc, DUET_SDP_VIDEO, NULL, NULL, 0, &e->camera), "video");
    duet_sender_get_parameters(e->camera, &parameters);
    parameters.max_bitrate = CALL_BITRATE;
    parameters.max_framerate = CALL_FRAMERATE;
    call_check(duet_sender_set_parameters(e->camera, &parameters), "parameters");
}

static bool all_run(const bench *b)
{
    for (unsigned i = 0; i < b->end_count; i++) {
        if (!b->ends[i].frames || !b->ends[i].packets)
            return false;
    }
    return true;
}

static void connect_all(bench *b)
{
    duet_time limit = duet_net_now(b->net) + SETUP_LIMIT;

    for (unsigned i = 0; i < b->end_count; i += 2) {
        create(b, &b->ends[i], &b->ends[i + 1]);
        create(b, &b->ends[i + 1], &b->ends[i]);
        call_negotiate(b->ends[i].pc, b->ends[i + 1].pc);
    }
    while (!all_run(b) && duet_net_now(b->net) < limit)
        run(b, DUET_MS(200));
    if (!all_run(b)) {
        fprintf(stderr, "bench_media_call: no media everywhere after %d s\n", (int)(SETUP_LIMIT / DUET_SECONDS(1)));
        exit(1);
    }
    run(b, WARM_UP);
}

static void count(const bench *b, uint64_t *frames, uint64_t *packets)
{
    *frames = *packets = 0;
    for (unsigned i = 0; i < b->end_count; i++) {
        *frames += b->ends[i].frames;
        *packets += b->ends[i].packets;
    }
}

int main(int argc, char **argv)
{
    static bench b;
    call_meter meter;
    uint64_t frames[2], packets[2];

    if (!call_options_parse(&b.options, argc, argv))
        return 2;
    b.picture = malloc(CALL_PICTURE_SIZE);
    if (!b.picture || !call_media_prepare(&b.media))
        call_check(DUET_ERR_NOMEM, "media");
    b.end_count = 2 * b.options.calls;
    call_meter_memory(&meter);
    call_check(duet_net_create(&b.net, NULL), "loop");
    connect_all(&b);
    count(&b, &frames[0], &packets[0]);
    call_meter_start(&meter);
    run(&b, (duet_time)(b.options.seconds * 1e6));
    count(&b, &frames[1], &packets[1]);
    call_meter_report(&meter, &b.options, "duet", (double)(frames[1] - frames[0]), (double)(packets[1] - packets[0]));
    for (unsigned i = 0; i < b.end_count; i++) {
        duet_net_remove(b.net, b.ends[i].pc);
        duet_pc_destroy(b.ends[i].pc);
    }
    duet_net_destroy(b.net);
    call_media_free(&b.media);
    free(b.picture);
    return 0;
}
