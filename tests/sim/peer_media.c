/* Audio and video between two connections on bad networks, in virtual time: everything arrives in order, repaired where
 * retransmission can, pictures do not freeze, and a lost key frame is made up for. */
#include "duet/transceiver.h"
#include "peer_world.h"

#define VIDEO_EVERY   DUET_MS(40)
#define AUDIO_EVERY   DUET_MS(20)
#define FRAME_SIZE    3000
#define KEYFRAME_SIZE 12000

/* ---- one direction of media ---- */

typedef struct flow {
    world *world;
    duet_sender *video, *audio;
    bool running, wants_keyframe;
    uint32_t video_sent, audio_sent, keyframes_sent, keyframe_requests;

    uint32_t video_frames, audio_frames, keyframes, wrong, losses;
    uint32_t last_video, last_audio;
    duet_time last_shown, longest_gap, sum_of_gaps;
    uint32_t gaps;
} flow;

/* A VP8 frame as far as anybody looks who does not decode it: the frame tag (RFC 6386 section 9.1), then bytes that
 * follow from the number. */
static size_t make_frame(uint8_t *data, uint32_t number, bool is_keyframe)
{
    size_t len = is_keyframe ? KEYFRAME_SIZE : FRAME_SIZE + number * 37 % 1000, at = 3;

    data[0] = is_keyframe ? 0x10 : 0x11; /* shown; bit 0: an inter frame */
    data[1] = data[2] = 0;
    if (is_keyframe) {
        const uint8_t start[] = {0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00}; /* 320 × 240 */
        memcpy(data + 3, start, sizeof(start));
        at += sizeof(start);
    }
    memcpy(data + at, &number, 4);
    for (size_t i = at + 4; i < len; i++)
        data[i] = (uint8_t)(number + i);
    return len;
}

static bool read_frame(const uint8_t *data, size_t len, uint32_t *number, bool *is_keyframe)
{
    *is_keyframe = len > 0 && !(data[0] & 1);
    size_t at = *is_keyframe ? 10 : 3;
    if (len < at + 4)
        return false;
    memcpy(number, data + at, 4);
    for (size_t i = at + 4; i < len; i++) {
        if (data[i] != (uint8_t)(*number + i))
            return false;
    }
    return len == (*is_keyframe ? KEYFRAME_SIZE : FRAME_SIZE + *number * 37 % 1000);
}

/* ---- sending ---- */

static void send_video(void *arg)
{
    flow *f = arg;
    uint8_t data[KEYFRAME_SIZE];
    duet_time now = duet_sim_now(f->world->sim);

    if (!f->running)
        return;
    if (duet_sender_is_active(f->video)) {
        bool is_keyframe = f->wants_keyframe;
        duet_outgoing_frame frame = {.data = data, .payload_type = DUET_FRAME_OWN_CODEC, .captured = now};
        f->wants_keyframe = false;
        frame.len = make_frame(data, f->video_sent++, is_keyframe);
        frame.info = (duet_frame_info){.is_keyframe = is_keyframe, .temporal_id = -1};
        f->keyframes_sent += is_keyframe;
        assert_int_equal(duet_sender_send_frame(f->video, &frame), DUET_OK);
    }
    duet_sim_at(f->world->sim, now + VIDEO_EVERY, send_video, f);
}

static void send_audio(void *arg)
{
    flow *f = arg;
    uint8_t data[80];
    duet_time now = duet_sim_now(f->world->sim);

    if (!f->running)
        return;
    if (duet_sender_is_active(f->audio)) {
        duet_outgoing_frame frame = {
            .data = data, .len = sizeof(data), .payload_type = DUET_FRAME_OWN_CODEC, .captured = now};
        memset(data, 0, sizeof(data));
        data[0] = 0x78; /* TOC: CELT, 20 ms, one frame (RFC 6716 section 3.1) */
        memcpy(data + 1, &f->audio_sent, 4);
        f->audio_sent++;
        assert_int_equal(duet_sender_send_frame(f->audio, &frame), DUET_OK);
    }
    duet_sim_at(f->world->sim, now + AUDIO_EVERY, send_audio, f);
}

static void keyframe_requested(void *user, duet_sender *sender)
{
    flow *f = user;

    (void)sender;
    f->wants_keyframe = true;
    f->keyframe_requests++;
}

/* ---- receiving ---- */

static void count_gap(flow *f, duet_time shown)
{
    if (f->last_shown) {
        duet_time gap = shown - f->last_shown;
        f->longest_gap = gap > f->longest_gap ? gap : f->longest_gap;
        f->sum_of_gaps += gap;
        f->gaps++;
    }
    f->last_shown = shown;
}

static void video_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    flow *f = user;
    uint32_t number = 0;
    bool is_keyframe;
    bool right = read_frame(frame->data, frame->len, &number, &is_keyframe);

    (void)receiver;
    assert_string_equal(frame->codec->name, "VP8");
    right = right && is_keyframe == frame->is_keyframe && (f->video_frames == 0 || number > f->last_video);
    /* An inter frame can be used only directly behind the one before it. */
    if (right && !is_keyframe && (f->video_frames == 0 || number != f->last_video + 1))
        right = false;
    f->wrong += !right;
    f->losses += frame->after_loss;
    f->last_video = number;
    f->video_frames++;
    f->keyframes += is_keyframe;
    count_gap(f, duet_sim_now(f->world->sim));
}

static void audio_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    flow *f = user;
    uint32_t number = 0;

    (void)receiver;
    if (frame->len == 80)
        memcpy(&number, frame->data + 1, 4);
    f->wrong += frame->len != 80 || (f->audio_frames > 0 && number <= f->last_audio);
    f->last_audio = number;
    f->audio_frames++;
}

static flow *flow_of_pc(duet_pc *pc);

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    bool is_video = duet_transceiver_kind(transceiver) == DUET_SDP_VIDEO;
    duet_receiver_callbacks callbacks = {.on_frame = is_video ? video_arrives : audio_arrives};

    (void)user;
    callbacks.user = flow_of_pc(pc);
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

/* ---- a call ---- */

typedef struct call {
    world *world;
    flow to_bob, to_alice;
} call;

static call *the_call;

static flow *flow_of_pc(duet_pc *pc)
{
    return pc == the_call->world->alice.pc ? &the_call->to_alice : &the_call->to_bob;
}

static void add_tracks(flow *f, world *w, side *from)
{
    duet_sender_callbacks callbacks = {.on_keyframe_request = keyframe_requested, .user = f};

    f->world = w;
    assert_int_equal(duet_pc_add_track(from->pc, DUET_SDP_AUDIO, NULL, NULL, 0, &f->audio), DUET_OK);
    assert_int_equal(duet_pc_add_track(from->pc, DUET_SDP_VIDEO, NULL, NULL, 0, &f->video), DUET_OK);
    duet_sender_set_callbacks(f->video, &callbacks);
}

static void flow_start(flow *f)
{
    f->running = true;
    send_video(f);
    send_audio(f);
}

/* Both sides send audio and video, with a data channel beside them. */
static call *call_connected(uint64_t seed, const duet_sim_link *link)
{
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->world = world_new(seed, link);
    duet_pc_config a = side_config(&c->world->alice), b = side_config(&c->world->bob);
    a.on_track = b.on_track = on_track;
    side_create(&c->world->alice, &a);
    side_create(&c->world->bob, &b);
    add_tracks(&c->to_bob, c->world, &c->world->alice);
    add_tracks(&c->to_alice, c->world, &c->world->bob);
    world_connect(c->world, DUET_SECONDS(40));
    flow_start(&c->to_bob);
    flow_start(&c->to_alice);
    return c;
}

static void flow_stop(flow *f)
{
    f->running = false;
}

static void call_end(call *c)
{
    flow_stop(&c->to_bob);
    flow_stop(&c->to_alice);
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static void call_run(call *c, duet_time span)
{
    world_run(c->world, span);
}

/* "gap between frames > max(3 × mean, mean + 150 ms)" is what a viewer calls a freeze (W3C webrtc-stats, freezeCount). */
static void assert_no_freeze(const flow *f)
{
    duet_time mean = f->gaps ? f->sum_of_gaps / f->gaps : 0;
    duet_time limit = 3 * mean > mean + DUET_MS(150) ? 3 * mean : mean + DUET_MS(150);

    if (f->longest_gap > limit)
        fail_msg("a gap of %.1f ms where frames come every %.1f ms", (double)f->longest_gap / 1000,
                 (double)mean / 1000);
}

static void assert_all_video(const flow *f)
{
    assert_int_equal(f->wrong, 0);
    assert_int_equal(f->losses, 0);
    assert_in_range(f->video_frames, f->video_sent - 8, f->video_sent);
}

static uint64_t stat_of(const duet_pc *pc, duet_stats_kind kind, const char *media, const char *name);

/* ---- stories ---- */

static void audio_video_and_data_share_a_perfect_path(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    (void)state;

    call *c = call_connected(1, &link);
    world_send_every(c->world, DUET_MS(100));
    call_run(c, DUET_SECONDS(10));
    c->world->sending = false;
    call_run(c, DUET_SECONDS(1));
    for (int i = 0; i < 2; i++) {
        const flow *f = i ? &c->to_alice : &c->to_bob;
        assert_all_video(f);
        assert_no_freeze(f);
        assert_in_range(f->audio_frames, f->audio_sent - 4, f->audio_sent);
        assert_int_equal(f->keyframes, f->keyframes_sent);
        assert_in_range(f->keyframes_sent, 1, 2); /* nobody asks without need */
    }
    world_assert_all_arrived(c->world);
    call_end(c);
}

static void two_percent_of_loss_do_not_freeze_the_picture(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(25) / 2, .loss = 0.01};
    (void)state;

    for (uint64_t seed = 1; seed <= 5; seed++) {
        call *c = call_connected(seed, &link); /* both hosts' links: 2 % and 50 ms a round trip */
        call_run(c, DUET_SECONDS(30));
        assert_all_video(&c->to_bob);
        assert_no_freeze(&c->to_bob);
        assert_no_freeze(&c->to_alice);
        assert_true(stat_of(c->world->alice.pc, DUET_STATS_OUTBOUND_RTP, "video", "retransmittedPacketsSent") > 10);
        assert_true(stat_of(c->world->bob.pc, DUET_STATS_INBOUND_RTP, "video", "duetNackRecovered") > 10);
        assert_true(c->to_bob.audio_frames * 100 >= (c->to_bob.audio_sent - 4) * 95);
        call_end(c);
    }
}

static void reordering_duplication_and_jitter_change_nothing(void **state)
{
    duet_sim_link link = {
        .delay = DUET_MS(15), .jitter = DUET_MS(10), .reorder = 0.05, .reorder_delay = DUET_MS(20), .duplicate = 0.05};
    (void)state;

    call *c = call_connected(3, &link);
    call_run(c, DUET_SECONDS(20));
    assert_all_video(&c->to_bob);
    assert_all_video(&c->to_alice);
    assert_no_freeze(&c->to_bob);
    assert_in_range(c->to_bob.audio_frames, c->to_bob.audio_sent - 8, c->to_bob.audio_sent);
    call_end(c);
}

/* The link carries nothing from here for so long. */
static void alice_cut_off(call *c, const duet_sim_link *link, duet_time span)
{
    duet_sim_link down = *link;

    down.down = true;
    assert_int_equal(duet_sim_host_set_link(c->world->alice.host, "10.0.0.1", &down, link), DUET_OK);
    call_run(c, span);
    assert_int_equal(duet_sim_host_set_link(c->world->alice.host, "10.0.0.1", link, link), DUET_OK);
}

static void a_lost_key_frame_is_made_up_for_within_a_round_trip_and_200_ms(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(25) / 2};
    (void)state;

    for (unsigned phase = 0; phase < 4; phase++) {
        call *c = call_connected(4, &link);
        call_run(c, DUET_SECONDS(5) + phase * DUET_MS(10));
        uint32_t sent = c->to_bob.keyframes_sent, before = c->to_bob.keyframes;
        c->to_bob.wants_keyframe = true;
        alice_cut_off(c, &link, VIDEO_EVERY); /* every packet of the key frame, whichever moment it leaves */
        assert_int_equal(c->to_bob.keyframes_sent, sent + 1);
        c->to_bob.longest_gap = 0;
        call_run(c, DUET_SECONDS(3));
        assert_int_equal(c->to_bob.wrong, 0);
        assert_int_equal(c->to_bob.losses, 0);
        assert_true(c->to_bob.keyframes > before);
        assert_true(c->to_bob.longest_gap <= VIDEO_EVERY + DUET_MS(50 + 200));
        call_end(c);
    }
}

static void heavy_loss_is_survived(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(20), .loss = 0.1};
    (void)state;

    call *c = call_connected(5, &link);
    call_run(c, DUET_SECONDS(30));
    assert_int_equal(c->to_bob.wrong, 0);
    assert_true(c->to_bob.video_frames * 2 > c->to_bob.video_sent);
    assert_true(c->to_bob.audio_frames * 10 > c->to_bob.audio_sent * 7);
    call_end(c);
}

static void hold_stops_and_resume_starts_media(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    (void)state;

    call *c = call_connected(6, &link);
    call_run(c, DUET_SECONDS(2));
    duet_transceiver *video = duet_sender_transceiver(c->to_bob.video);
    assert_int_equal(duet_transceiver_set_direction(video, DUET_SDP_RECVONLY), DUET_OK);
    world_offer(c->world);
    call_run(c, DUET_SECONDS(1));
    uint32_t held = c->to_bob.video_frames, other = c->to_alice.video_frames;
    call_run(c, DUET_SECONDS(2));
    assert_int_equal(c->to_bob.video_frames, held);
    assert_true(c->to_alice.video_frames > other + 40);
    assert_int_equal(duet_transceiver_set_direction(video, DUET_SDP_SENDRECV), DUET_OK);
    world_offer(c->world);
    call_run(c, DUET_SECONDS(2));
    assert_true(c->to_bob.video_frames > held + 40);
    assert_int_equal(c->to_bob.wrong, 0);
    call_end(c);
}

static void statistics_tell_of_both_ends(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(20), .loss = 0.01};
    (void)state;

    call *c = call_connected(7, &link);
    call_run(c, DUET_SECONDS(20));
    const duet_pc *alice = c->world->alice.pc, *bob = c->world->bob.pc;
    uint64_t sent = stat_of(alice, DUET_STATS_OUTBOUND_RTP, "video", "packetsSent");
    uint64_t received = stat_of(bob, DUET_STATS_INBOUND_RTP, "video", "packetsReceived");
    assert_true(sent > 1000);
    assert_in_range(received, sent * 95 / 100, sent + 10);
    assert_in_range(stat_of(bob, DUET_STATS_REMOTE_OUTBOUND_RTP, "video", "packetsSent"), sent * 80 / 100, sent + 10);
    assert_true(stat_of(alice, DUET_STATS_REMOTE_INBOUND_RTP, "video", "roundTripTimeMeasurements") > 2);
    assert_int_equal(stat_of(bob, DUET_STATS_CODEC, "video/VP8", "clockRate"), 90000);
    call_end(c);
}

/* ---- statistics ---- */

typedef struct wanted {
    duet_stats_kind kind;
    const char *media, *name;
    uint64_t found;
} wanted;

static void look(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    wanted *w = user;
    bool fits = false;

    (void)id;
    for (size_t i = 0; kind == w->kind && i < count; i++) {
        if (members[i].type == DUET_STAT_TEXT && strcmp(members[i].text, w->media) == 0)
            fits = true;
    }
    for (size_t i = 0; fits && i < count; i++) {
        if (strcmp(members[i].name, w->name) == 0)
            w->found = members[i].number;
    }
}

static uint64_t stat_of(const duet_pc *pc, duet_stats_kind kind, const char *media, const char *name)
{
    wanted w = {kind, media, name, 0};

    duet_pc_get_stats(pc, look, &w);
    return w.found;
}

/* ---- what an application may do in a callback ---- */

static void stop_in_callback(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    flow *f = user;

    (void)frame;
    f->video_frames++;
    duet_transceiver_stop(duet_receiver_transceiver(receiver));
    duet_pc_close(f->world->bob.pc);
}

/* The m-section that stood for the transport is rejected in the offer that restarts ICE. */
static void a_restart_beside_a_stop_tells_the_new_candidates(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(20)};
    world *w = world_new(8, &link);
    duet_sender *sender;
    duet_sdp *sdp;
    char *text;
    (void)state;

    w->signaling_delay = DUET_MS(200); /* she gathers before the answer is there */
    world_create_peers(w);
    assert_int_equal(duet_pc_add_track(w->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &sender), DUET_OK);
    world_connect(w, DUET_SECONDS(10));
    w->alice.candidates = 0;
    duet_transceiver_stop(duet_sender_transceiver(sender));
    duet_pc_restart_ice(w->alice.pc);
    world_offer(w);
    world_run(w, DUET_MS(100));
    assert_true(w->alice.candidates > 0);
    assert_int_equal(duet_pc_local_description(w->alice.pc, NULL, &text), DUET_OK);
    assert_int_equal(duet_sdp_parse(&sdp, NULL, text, strlen(text), NULL), DUET_OK);
    assert_true(duet_sdp_media_is_rejected(sdp, 0));
    assert_true(duet_sdp_has(sdp, 1, DUET_SDP_CANDIDATE));
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_SECONDS(5));
    w->sending = false;
    world_run(w, DUET_SECONDS(2));
    world_assert_all_arrived(w);
    duet_sdp_destroy(sdp);
    duet_free(&w->alice.env, text);
    world_end(w);
}

static void closing_in_a_frame_callback_is_legal(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    (void)state;

    call *c = call_connected(8, &link);
    call_run(c, DUET_SECONDS(1));
    duet_receiver_callbacks callbacks = {.on_frame = stop_in_callback, .user = &c->to_bob};
    duet_receiver_set_callbacks(duet_transceiver_receiver(duet_pc_transceiver_at(c->world->bob.pc, 1)), &callbacks);
    uint32_t before = c->to_bob.video_frames;
    call_run(c, DUET_SECONDS(1));
    assert_int_equal(c->to_bob.video_frames, before + 1);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audio_video_and_data_share_a_perfect_path),
        cmocka_unit_test(two_percent_of_loss_do_not_freeze_the_picture),
        cmocka_unit_test(reordering_duplication_and_jitter_change_nothing),
        cmocka_unit_test(a_lost_key_frame_is_made_up_for_within_a_round_trip_and_200_ms),
        cmocka_unit_test(heavy_loss_is_survived),
        cmocka_unit_test(hold_stops_and_resume_starts_media),
        cmocka_unit_test(statistics_tell_of_both_ends),
        cmocka_unit_test(a_restart_beside_a_stop_tells_the_new_candidates),
        cmocka_unit_test(closing_in_a_frame_callback_is_legal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
