/* The video jitter buffer in virtual time: order, timing, loss, recovery, bounds; and as a buffer of encoded audio. */
#include "jitter_world.h"
#include <time.h>

static const duet_payload_format formats[] = {DUET_PAYLOAD_VP8, DUET_PAYLOAD_VP9, DUET_PAYLOAD_H264, DUET_PAYLOAD_H265,
                                              DUET_PAYLOAD_AV1};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static world *new_world(void)
{
    world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->delay = DUET_MS(20);
    w->seed = 5;
    return w;
}

static void run_and_free(world *w)
{
    world_end(w);
    free(w);
}

/* ---- a good network ------------------------------------------------------------------------------------------------- */

static void frames_come_out_at_once_when_nothing_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        world *w = new_world();
        world_start(w, NULL, formats[i]);
        world_run(w, DUET_SECONDS(30));
        assert_in_range(w->frames, w->frames_sent - 2, w->frames_sent);
        assert_int_equal(w->longest_wait, 0);
        assert_int_equal(world_stats(w).frames_dropped, 0);
        assert_int_equal(w->refused, 0);
        run_and_free(w);
    }
}

static void jitter_makes_the_frames_wait_for_no_longer_than_it_is(void **state)
{
    world *w = new_world();

    (void)state;
    w->jitter = DUET_MS(60);
    world_start(w, NULL, DUET_PAYLOAD_VP8);
    world_run(w, DUET_SECONDS(60));
    assert_in_range(w->frames, w->frames_sent - 5, w->frames_sent);
    assert_in_range(world_stats(w).target_delay, DUET_MS(10), DUET_MS(65));
    assert_true(w->longest_wait < DUET_MS(70));
    assert_true(w->longest_gap < DUET_MS(110));
    run_and_free(w);
}

static void render_times_follow_the_timestamps(void **state)
{
    world *w = new_world();
    duet_jitter_frame frame;
    duet_time last = 0;

    (void)state;
    w->jitter = DUET_MS(30);
    w->frame_len = 80;
    world_start(w, NULL, DUET_PAYLOAD_VP8);
    world_run(w, DUET_SECONDS(20));
    while (w->on_the_way_count > 0) {
        w->now = world_next_packet(w)->at;
        world_deliver(w, world_next_packet(w));
        world_take_frames(w);
    }
    for (int i = 0; i < 200; i++) {
        world_send_frame(w);
        w->now += w->frame_time;
        world_packet *p = world_next_packet(w);
        p->packet.payload = p->payload;
        p->packet.time = p->at;
        assert_int_equal(duet_video_jitter_insert(w->jitter_buffer, &p->packet), DUET_OK);
        w->on_the_way_count = 0;
        assert_int_equal(duet_video_jitter_next(w->jitter_buffer, &frame, w->now + DUET_MS(100)), 1);
        if (last)
            assert_in_range(frame.render_time - last, w->frame_time - DUET_MS(5), w->frame_time + DUET_MS(5));
        last = frame.render_time;
    }
    run_and_free(w);
}

static void a_wished_delay_is_kept(void **state)
{
    world *w = new_world();

    (void)state;
    world_start(w, NULL, DUET_PAYLOAD_VP8);
    duet_video_jitter_set_delay(w->jitter_buffer, DUET_MS(200), 0);
    world_run(w, DUET_SECONDS(10));
    assert_in_range(w->longest_wait, DUET_MS(180), DUET_MS(201));
    duet_video_jitter_set_delay(w->jitter_buffer, 0, DUET_MS(1));
    w->longest_wait = 0;
    world_run(w, DUET_SECONDS(11));
    w->longest_wait = 0;
    world_run(w, DUET_SECONDS(20));
    assert_int_equal(w->longest_wait, 0);
    run_and_free(w);
}

/* ---- loss ------------------------------------------------------------------------------------------------------------ */

static void two_percent_loss_with_repair_does_not_freeze(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * FORMATS; seed++) {
        world *w = new_world();
        w->seed = seed;
        w->loss = 0.02;
        w->round_trip = DUET_MS(50);
        w->jitter = DUET_MS(10);
        w->duplicates = 0.01;
        world_start(w, NULL, formats[seed % FORMATS]);
        world_run(w, DUET_SECONDS(60));
        if (world_froze(w))
            fail_msg("seed %llu: a gap of %llu us", (unsigned long long)seed, (unsigned long long)w->longest_gap);
        assert_in_range(w->frames, w->frames_sent - 10, w->frames_sent);
        assert_int_equal(w->keyframes, 1);
        assert_int_equal(world_stats(w).gave_up, 0);
        assert_true(world_stats(w).packets_duplicated + world_stats(w).packets_late > 0);
        run_and_free(w);
    }
}

static void a_loss_that_nobody_repairs_ends_with_a_key_frame(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= FORMATS; seed++) {
        world *w = new_world();
        w->seed = seed;
        w->loss = 0.01;
        w->answers_keyframe_requests = true;
        world_start(w, NULL, formats[seed % FORMATS]);
        world_run(w, DUET_SECONDS(60));
        assert_true(w->keyframes > 5);
        assert_true(w->frames > w->frames_sent / 10);
        assert_true(world_stats(w).gave_up > 0);
        w->loss = 0;
        uint32_t frames = w->frames;
        world_run(w, DUET_SECONDS(65));
        assert_true(w->frames - frames > 100); /* recovered */
        run_and_free(w);
    }
}

static void forty_percent_loss_and_reordering_keep_the_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= FORMATS; seed++) {
        world *w = new_world();
        w->seed = seed;
        w->loss = 0.4;
        w->round_trip = DUET_MS(30);
        w->jitter = DUET_MS(100);
        w->duplicates = 0.2;
        w->answers_keyframe_requests = true;
        world_start(w, NULL, formats[seed % FORMATS]);
        world_run(w, DUET_SECONDS(30));
        assert_true(w->frames > w->frames_sent / 2);
        run_and_free(w);
    }
}

/* A frame of the upper layers that is lost costs that layer, no time and no key frame. */
static void lose_upper_layers(duet_payload_format format)
{
    world *w = new_world();

    w->temporal_layers = 3;
    w->frame_len = 60;
    world_start(w, NULL, format);
    world_run(w, DUET_SECONDS(2));
    uint32_t lost = 0, sent = w->frames_sent;
    for (int i = 0; i < 400; i++) {
        world_run(w, (duet_time)w->frames_sent * w->frame_time + 1);
        world_packet *p = &w->on_the_way[w->on_the_way_count - 1];
        if ((w->frames_sent - 1) % 4 != 0 && i % 3 == 0) { /* one in three of layers 1 and 2 */
            *p = w->on_the_way[--w->on_the_way_count];
            lost++;
        }
    }
    world_run(w, w->now + DUET_SECONDS(1));
    sent = w->frames_sent - sent;
    assert_true(lost > 90);
    assert_int_equal(w->keyframes, 1);
    assert_int_equal(world_stats(w).gave_up, 0);
    assert_true(w->longest_gap <= 4u * WORLD_FRAME_TIME + 5000);
    assert_true(w->frames > sent / 2);
    run_and_free(w);
}

static void a_lost_upper_layer_costs_nothing_below(void **state)
{
    (void)state;
    lose_upper_layers(DUET_PAYLOAD_VP8);
    lose_upper_layers(DUET_PAYLOAD_VP9);
}

/* ---- packets one by one ---------------------------------------------------------------------------------------------- */

typedef struct bench {
    duet_video_jitter *j;
    duet_time now;
} bench;

static bench bench_new(duet_payload_format format, size_t packets_max, size_t bytes_max)
{
    bench b = {.now = DUET_SECONDS(1)};
    duet_video_jitter_config config;

    duet_video_jitter_config_init(&config);
    config.format = format;
    config.packets_max = packets_max;
    config.bytes_max = bytes_max;
    if (!duet_payload_format_is_video(format))
        config.wait_max = DUET_MS(100);
    assert_int_equal(duet_video_jitter_create(&b.j, &config), DUET_OK);
    return b;
}

static int insert(bench *b, int64_t sequence, uint32_t timestamp, bool marker, const void *payload, size_t len)
{
    duet_jitter_packet packet = {.sequence = sequence,
                                 .timestamp = timestamp,
                                 .marker = marker,
                                 .payload_type = 96,
                                 .payload = payload,
                                 .len = len,
                                 .time = b->now};

    return duet_video_jitter_insert(b->j, &packet);
}

/* The sequence number of the next frame's first packet; 0: none. */
static int64_t take(bench *b)
{
    duet_jitter_frame frame;

    return duet_video_jitter_next(b->j, &frame, b->now) == 1 ? frame.first_sequence : 0;
}

#define VP8_KEY   "\x10\x10\x02\x00\x9d\x01\x2a\x10\x00\x10\x00", 11
#define VP8_DELTA "\x10\x11\x02\x00", 4
#define VP8_REST  "\x00\x55", 2

static void nothing_comes_out_before_a_key_frame(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);

    (void)state;
    assert_true(duet_video_jitter_needs_keyframe(b.j));
    assert_true(duet_video_jitter_skipped_to(b.j) < 0);
    assert_int_equal(duet_video_jitter_deadline(b.j), DUET_NEVER);
    insert(&b, 100, 0, true, VP8_DELTA);
    insert(&b, 101, 3000, true, VP8_DELTA);
    assert_int_equal(take(&b), 0);
    insert(&b, 102, 6000, false, VP8_KEY);
    assert_int_equal(take(&b), 0);
    insert(&b, 103, 6000, true, VP8_REST);
    assert_int_equal(take(&b), 102);
    assert_false(duet_video_jitter_needs_keyframe(b.j));
    assert_int_equal(duet_video_jitter_skipped_to(b.j), 103);
    duet_video_jitter_destroy(b.j);
}

static void packets_that_are_not_needed_are_told_apart(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);
    uint8_t large[65536] = {0x10};

    (void)state;
    assert_int_equal(insert(&b, 100, 0, true, VP8_KEY), DUET_OK);
    assert_int_equal(insert(&b, 100, 0, true, VP8_KEY), DUET_ERR_NOT_FOUND);
    assert_int_equal(take(&b), 100);
    assert_int_equal(insert(&b, 100, 0, true, VP8_KEY), DUET_ERR_STATE);
    assert_int_equal(insert(&b, 102, 0, true, large, sizeof(large)), DUET_ERR_TOO_LARGE);
    assert_int_equal(insert(&b, -1, 0, true, VP8_KEY), DUET_ERR_INVALID);
    assert_int_equal(insert(&b, INT64_MAX, 0, true, VP8_KEY), DUET_ERR_INVALID);
    assert_int_equal(insert(&b, 101, 3000, true, "\x80", 1), DUET_ERR_MALFORMED);
    duet_video_jitter_destroy(b.j);
}

static void an_ill_formed_packet_costs_its_frame_and_no_time(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);

    (void)state;
    insert(&b, 100, 0, true, VP8_KEY);
    assert_int_equal(take(&b), 100);
    insert(&b, 101, 3000, true, "\x80", 1);
    assert_int_equal(take(&b), 0);
    assert_true(duet_video_jitter_needs_keyframe(b.j));
    insert(&b, 102, 6000, true, VP8_KEY);
    assert_int_equal(take(&b), 102);
    duet_video_jitter_destroy(b.j);
}

/* RTP allows packets of nothing but padding: they have a sequence number, and are in nobody's way. */
static void padding_is_no_hole(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_H264, 0, 0);

    (void)state;
    insert(&b, 99, 0, false, NULL, 0);
    insert(&b, 100, 0, false, "\x67\x42\xe0\x1f", 4);
    insert(&b, 101, 0, true, "\x65\x55", 2);
    assert_int_equal(take(&b), 100);
    insert(&b, 102, 0, false, NULL, 0);
    insert(&b, 104, 3000, true, "\x41\x55", 2);
    assert_int_equal(take(&b), 0);
    insert(&b, 103, 0, false, NULL, 0);
    assert_int_equal(take(&b), 104);
    insert(&b, 105, 6000, false, "\x41\x55", 2);
    insert(&b, 106, 6000, false, NULL, 0);
    insert(&b, 107, 6000, true, "\x41\x55", 2);
    assert_int_equal(take(&b), 105);
    duet_video_jitter_destroy(b.j);
}

/* Without a marker, a frame ends where the next one begins. */
static void a_frame_without_marker_ends_with_the_next(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_H264, 0, 0);

    (void)state;
    insert(&b, 100, 0, false, "\x67\x42\xe0\x1f", 4);
    insert(&b, 101, 0, false, "\x65\x55", 2);
    assert_int_equal(take(&b), 0);
    insert(&b, 102, 3000, false, "\x41\x55", 2);
    assert_int_equal(take(&b), 100);
    duet_video_jitter_destroy(b.j);
}

static void a_frame_that_nothing_refers_to_is_not_waited_for(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_H264, 0, 0);

    (void)state;
    insert(&b, 100, 0, true, "\x65\x55", 2);
    assert_int_equal(take(&b), 100);
    insert(&b, 101, 3000, false, "\x01\x55", 2); /* nal_ref_idc 0 */
    insert(&b, 103, 3000, true, "\x01\x55", 2);
    insert(&b, 104, 6000, true, "\x41\x55", 2);
    b.now += DUET_MS(66);
    assert_int_equal(take(&b), 104);
    assert_int_equal(duet_video_jitter_skipped_to(b.j), 104);
    assert_false(duet_video_jitter_needs_keyframe(b.j));
    duet_video_jitter_destroy(b.j);
}

static void a_complete_key_frame_is_not_held_back_for_long(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);

    (void)state;
    insert(&b, 100, 0, true, VP8_KEY);
    assert_int_equal(take(&b), 100);
    b.now += DUET_MS(66);
    insert(&b, 102, 6000, true, VP8_KEY);
    assert_int_equal(take(&b), 0);
    assert_in_range(duet_video_jitter_deadline(b.j), b.now + DUET_MS(80), b.now + DUET_MS(110));
    b.now = duet_video_jitter_deadline(b.j);
    assert_int_equal(take(&b), 102);
    duet_video_jitter_destroy(b.j);
}

static void what_is_missing_is_given_up_in_time(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);

    (void)state;
    insert(&b, 100, 0, true, VP8_KEY);
    assert_int_equal(take(&b), 100);
    insert(&b, 102, 3000, true, VP8_DELTA);
    assert_int_equal(duet_video_jitter_deadline(b.j), b.now + DUET_MS(500));
    b.now += DUET_MS(499);
    assert_int_equal(take(&b), 0);
    assert_false(duet_video_jitter_needs_keyframe(b.j));
    b.now += DUET_MS(1);
    assert_int_equal(take(&b), 0);
    assert_true(duet_video_jitter_needs_keyframe(b.j));
    assert_true(duet_video_jitter_skipped_to(b.j) >= 101);
    insert(&b, 103, 6000, true, VP8_DELTA);
    insert(&b, 104, 9000, true, VP8_KEY);
    assert_int_equal(take(&b), 104);
    duet_video_jitter_destroy(b.j);
}

static void a_key_frame_that_misses_packets_is_replaced_by_the_next(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_H264, 0, 0);

    (void)state;
    insert(&b, 100, 0, false, "\x67\x42\xe0\x1f", 4);
    insert(&b, 102, 0, false, "\x65\x55", 2); /* the next slice is no beginning */
    insert(&b, 103, 0, true, "\x65\x55", 2);
    b.now += DUET_MS(500);
    assert_int_equal(take(&b), 0);
    b.now += DUET_MS(500);
    assert_int_equal(take(&b), 0);
    insert(&b, 104, 3000, true, "\x65\x55", 2);
    assert_int_equal(take(&b), 104);
    duet_video_jitter_destroy(b.j);
}

static void the_decoder_may_ask_for_a_key_frame(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);

    (void)state;
    insert(&b, 100, 0, true, VP8_KEY);
    assert_int_equal(take(&b), 100);
    duet_video_jitter_lost(b.j);
    assert_true(duet_video_jitter_needs_keyframe(b.j));
    insert(&b, 101, 3000, true, VP8_DELTA);
    assert_int_equal(take(&b), 0);
    insert(&b, 102, 6000, true, VP8_KEY);
    assert_int_equal(take(&b), 102);
    assert_false(duet_video_jitter_needs_keyframe(b.j));
    duet_video_jitter_destroy(b.j);
}

static void a_full_buffer_is_emptied(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 64, 1000);
    duet_video_jitter_stats stats;

    (void)state;
    insert(&b, 100, 0, true, VP8_KEY);
    assert_int_equal(take(&b), 100);
    for (int64_t s = 102; s < 200; s++)
        assert_int_equal(insert(&b, s, 3000, false, VP8_DELTA), DUET_OK);
    assert_int_equal(take(&b), 0);
    duet_video_jitter_get_stats(b.j, &stats);
    assert_int_equal(stats.overflows, 1);
    assert_true(duet_video_jitter_needs_keyframe(b.j));
    assert_int_equal(insert(&b, 5000, 0, true, VP8_KEY), DUET_OK); /* far ahead */
    assert_int_equal(take(&b), 5000);
    uint8_t large[600] = {0x10, 0x11};
    assert_int_equal(insert(&b, 5002, 0, true, large, sizeof(large)), DUET_OK);
    assert_int_equal(insert(&b, 5003, 0, true, large, sizeof(large)), DUET_OK);
    duet_video_jitter_get_stats(b.j, &stats);
    assert_int_equal(stats.overflows, 3);
    duet_video_jitter_destroy(b.j);
}

/* RFC 3550 appendix A.1: two in a row, far from where the stream was. */
static void a_stream_that_begins_anew_is_followed(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);

    (void)state;
    insert(&b, 100000, 0, true, VP8_KEY);
    assert_int_equal(take(&b), 100000);
    b.now += DUET_SECONDS(1);
    assert_int_equal(insert(&b, 70000, 4000000000u, true, VP8_KEY), DUET_ERR_STATE);
    assert_int_equal(insert(&b, 70001, 4000003000u, true, VP8_KEY), DUET_OK);
    assert_int_equal(take(&b), 70001);
    assert_int_equal(insert(&b, 70002, 4000006000u, true, VP8_DELTA), DUET_OK);
    b.now += DUET_MS(33);
    assert_int_equal(take(&b), 70002);
    duet_video_jitter_destroy(b.j);
}

static void a_jump_of_the_timestamps_does_not_stop_the_picture(void **state)
{
    static const uint32_t jumps[] = {1u << 31, 1u << 30, (uint32_t) - (1 << 30), 90000 * 5, (uint32_t)-90000 * 5};
    bench b = bench_new(DUET_PAYLOAD_VP8, 0, 0);
    uint32_t timestamp = 0;

    (void)state;
    for (int64_t s = 1000; s < 1500; s++) {
        b.now += DUET_MS(33);
        timestamp += 2970 + (s % 50 ? 0 : jumps[s / 50 % 5]);
        insert(&b, s, timestamp, true, s == 1000 ? "\x10\x10\x02\x00\x9d\x01\x2a\x10\x00\x10\x00" : "\x10\x11\x02\x00",
               s == 1000 ? 11 : 4);
        b.now += DUET_MS(20);
        assert_int_equal(take(&b), s);
        b.now -= DUET_MS(20);
    }
    duet_video_jitter_destroy(b.j);
}

/* What a peer can make us do with each packet is little, whatever it sends. */
static void a_flood_of_useless_packets_costs_little(void **state)
{
    static const char *const payloads[] = {"\x7c\x05\x55", "\x41\x55", "\x65\x55", "\x7c\x85\x55"}; /* FU-A of an IDR */
    clock_t start = clock();

    (void)state;
    for (size_t kind = 0; kind < 4; kind++) {
        bench b = bench_new(DUET_PAYLOAD_H264, 0, 0);
        for (int64_t s = 0; s < 20000; s++) {
            insert(&b, 70000 + s + (s % 2000 > 1000 && kind % 2 ? s : 0), 0, false, payloads[kind], 3 - kind % 2);
            (void)take(&b);
        }
        duet_video_jitter_destroy(b.j);
    }
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20); /* a second; more with sanitizers */
}

/* ---- encoded audio -------------------------------------------------------------------------------------------------- */

#define OPUS "\x78\x01\x02", 3

static void audio_packets_come_out_in_order_and_at_once(void **state)
{
    static const duet_payload_format audio[] = {DUET_PAYLOAD_OPUS, DUET_PAYLOAD_G711};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        bench b = bench_new(audio[i], 0, 0);
        assert_false(duet_video_jitter_needs_keyframe(b.j));
        for (int64_t s = 1000; s < 1400; s += 4) {
            insert(&b, s, (uint32_t)s * 960, s == 1000, OPUS);
            assert_int_equal(take(&b), s);
            insert(&b, s + 2, (uint32_t)s * 960 + 1920, false, OPUS);
            insert(&b, s + 3, (uint32_t)s * 960 + 2880, false, OPUS);
            assert_int_equal(take(&b), 0);
            insert(&b, s + 1, (uint32_t)s * 960 + 960, false, OPUS);
            assert_int_equal(take(&b), s + 1);
            assert_int_equal(take(&b), s + 2);
            assert_int_equal(take(&b), s + 3);
            assert_int_equal(take(&b), 0);
            assert_int_equal(duet_video_jitter_deadline(b.j), DUET_NEVER);
        }
        duet_video_jitter_destroy(b.j);
    }
}

static void a_lost_audio_packet_is_waited_for_and_left_out(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_OPUS, 0, 0);
    duet_jitter_frame frame;
    duet_video_jitter_stats stats;

    (void)state;
    insert(&b, 100, 0, true, OPUS);
    assert_int_equal(duet_video_jitter_next(b.j, &frame, b.now), 1);
    assert_true(frame.is_keyframe);
    assert_int_equal(frame.len, 3);
    assert_int_equal(frame.render_time, b.now);
    insert(&b, 103, 2880, false, OPUS);
    insert(&b, 104, 3840, false, OPUS);
    assert_int_equal(duet_video_jitter_deadline(b.j), b.now + DUET_MS(100));
    b.now += DUET_MS(99);
    assert_int_equal(take(&b), 0);
    b.now += DUET_MS(1);
    assert_int_equal(take(&b), 103);
    assert_int_equal(take(&b), 104);
    assert_int_equal(duet_video_jitter_skipped_to(b.j), 104);
    assert_false(duet_video_jitter_needs_keyframe(b.j));
    duet_video_jitter_get_stats(b.j, &stats);
    assert_int_equal(stats.frames_dropped, 2);
    assert_int_equal(insert(&b, 101, 960, false, OPUS), DUET_ERR_STATE);
    duet_video_jitter_lost(b.j);
    assert_false(duet_video_jitter_needs_keyframe(b.j));
    insert(&b, 100000, 0, false, OPUS); /* far ahead: nobody waits for what was between */
    assert_int_equal(take(&b), 100000);
    duet_video_jitter_destroy(b.j);
}

static void audio_that_shares_a_timestamp_is_not_joined(void **state)
{
    bench b = bench_new(DUET_PAYLOAD_G711, 0, 0);

    (void)state;
    insert(&b, 100, 0, true, OPUS);
    insert(&b, 101, 0, false, OPUS);
    assert_int_equal(take(&b), 100);
    assert_int_equal(take(&b), 101);
    assert_int_equal(insert(&b, 102, 0, false, "", 0), DUET_OK);
    insert(&b, 103, 960, false, OPUS);
    assert_int_equal(take(&b), 103);
    duet_video_jitter_destroy(b.j);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

static int run_with_failures(const duet_env *env, void *arg)
{
    test_allocator *t = env->allocator->user;
    world *w = new_world();
    duet_video_jitter_config config;

    (void)arg;
    duet_video_jitter_config_init(&config);
    config.env = env;
    config.format = DUET_PAYLOAD_VP8;
    int err = duet_video_jitter_create(&w->jitter_buffer, &config);
    if (err) {
        free(w);
        return err;
    }
    duet_video_jitter_destroy(w->jitter_buffer);
    uint64_t fail_at = t->fail_at;
    t->fail_at = 0;
    w->answers_keyframe_requests = true;
    w->jitter = DUET_MS(50);
    world_start(w, env, DUET_PAYLOAD_VP8);
    t->fail_at = t->calls + fail_at - 2;
    world_run(w, DUET_SECONDS(2));
    bool failed = t->calls >= t->fail_at;
    t->fail_at = 0;
    uint32_t frames = w->frames;
    world_run(w, DUET_SECONDS(5));
    assert_true(w->frames > frames + 60);
    world_end(w);
    free(w);
    t->calls = failed ? fail_at : 0; /* the first buffer's two and those of the second one were counted together */
    return DUET_OK;
}

static void failing_allocations_cost_frames_and_nothing_else(void **state)
{
    (void)state;
    test_fail_each_allocation("video jitter", run_with_failures, NULL);
}

static void a_buffer_that_has_grown_needs_no_memory(void **state)
{
    test_allocator t;
    duet_env env = DUET_ENV_INIT;
    world *w = new_world();

    (void)state;
    test_allocator_init(&t, 0);
    env.allocator = &t.allocator;
    w->frame_len = 900;
    w->jitter = DUET_MS(20);
    world_start(w, &env, DUET_PAYLOAD_VP8);
    world_run(w, DUET_SECONDS(30));
    uint64_t before = t.calls;
    world_run(w, DUET_SECONDS(60));
    assert_int_equal(t.calls, before);
    run_and_free(w);
    assert_int_equal(t.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_at_once_when_nothing_is_missing),
        cmocka_unit_test(jitter_makes_the_frames_wait_for_no_longer_than_it_is),
        cmocka_unit_test(render_times_follow_the_timestamps),
        cmocka_unit_test(a_wished_delay_is_kept),
        cmocka_unit_test(two_percent_loss_with_repair_does_not_freeze),
        cmocka_unit_test(a_loss_that_nobody_repairs_ends_with_a_key_frame),
        cmocka_unit_test(forty_percent_loss_and_reordering_keep_the_order),
        cmocka_unit_test(a_lost_upper_layer_costs_nothing_below),
        cmocka_unit_test(nothing_comes_out_before_a_key_frame),
        cmocka_unit_test(packets_that_are_not_needed_are_told_apart),
        cmocka_unit_test(an_ill_formed_packet_costs_its_frame_and_no_time),
        cmocka_unit_test(padding_is_no_hole),
        cmocka_unit_test(a_frame_without_marker_ends_with_the_next),
        cmocka_unit_test(a_frame_that_nothing_refers_to_is_not_waited_for),
        cmocka_unit_test(a_complete_key_frame_is_not_held_back_for_long),
        cmocka_unit_test(what_is_missing_is_given_up_in_time),
        cmocka_unit_test(a_key_frame_that_misses_packets_is_replaced_by_the_next),
        cmocka_unit_test(the_decoder_may_ask_for_a_key_frame),
        cmocka_unit_test(a_full_buffer_is_emptied),
        cmocka_unit_test(a_stream_that_begins_anew_is_followed),
        cmocka_unit_test(a_jump_of_the_timestamps_does_not_stop_the_picture),
        cmocka_unit_test(a_flood_of_useless_packets_costs_little),
        cmocka_unit_test(audio_packets_come_out_in_order_and_at_once),
        cmocka_unit_test(a_lost_audio_packet_is_waited_for_and_left_out),
        cmocka_unit_test(audio_that_shares_a_timestamp_is_not_joined),
        cmocka_unit_test(failing_allocations_cost_frames_and_nothing_else),
        cmocka_unit_test(a_buffer_that_has_grown_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
