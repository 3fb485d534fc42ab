/* The video jitter buffer on a path that changes: a route or a queue that makes every packet come later from now on. */
#include "jitter_world.h"

/* The frames wait for the slower path once, and not once more when the faster one is forgotten. */
static void a_path_that_becomes_slower_costs_one_gap_and_no_delay(void **state)
{
    static const duet_time slower[] = {DUET_MS(100), DUET_MS(300), DUET_MS(1000)};
    (void)state;

    for (size_t i = 0; i < sizeof(slower) / sizeof(slower[0]); i++) {
        world *w = calloc(1, sizeof(*w));
        assert_non_null(w);
        w->delay = DUET_MS(20);
        w->jitter = DUET_MS(10);
        w->seed = i + 1;
        world_start(w, NULL, DUET_PAYLOAD_VP8);
        world_run(w, DUET_SECONDS(30));
        w->delay += slower[i];
        world_run(w, DUET_SECONDS(33));
        w->longest_gap = w->longest_wait = 0;
        world_run(w, DUET_SECONDS(90));
        assert_true(w->longest_gap < DUET_MS(80));
        assert_true(w->longest_wait < DUET_MS(40));
        world_end(w);
        free(w);
    }
}

/* The fastest of them happens to be away, but the path is the same. */
static void jitter_that_comes_and_goes_is_remembered(void **state)
{
    (void)state;
    world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->delay = DUET_MS(20);
    w->jitter = DUET_MS(200);
    w->seed = 1;
    world_start(w, NULL, DUET_PAYLOAD_VP8);
    world_run(w, DUET_SECONDS(60));
    duet_time target = world_stats(w).target_delay;
    assert_true(target > DUET_MS(100));
    w->frames_sent += 300; /* a pause of ten seconds */
    world_run(w, DUET_SECONDS(71));
    assert_true(world_stats(w).target_delay > target - DUET_MS(50));
    world_end(w);
    free(w);
}

/* Whether a key frame that is awaited is on its way, or waits for its time to be shown. */
static void a_key_frame_is_known_from_its_first_packet_until_it_is_given(void **state)
{
    (void)state;
    world *w = calloc(1, sizeof(*w));
    duet_jitter_frame frame;

    assert_non_null(w);
    w->frame_len = 500;
    world_start(w, NULL, DUET_PAYLOAD_VP8);
    duet_video_jitter_set_delay(w->jitter_buffer, DUET_MS(400), 0);
    w->now = DUET_SECONDS(1);
    assert_int_equal(duet_video_jitter_keyframe_arrival(w->jitter_buffer), 0);
    world_send_frame(w);
    while (w->on_the_way_count > 0) {
        w->now += DUET_MS(5);
        world_deliver(w, world_next_packet(w));
        assert_true(duet_video_jitter_needs_keyframe(w->jitter_buffer));
        assert_true(duet_video_jitter_keyframe_arrival(w->jitter_buffer) >= w->now);
    }
    assert_int_equal(duet_video_jitter_next(w->jitter_buffer, &frame, w->now), 0);
    assert_true(duet_video_jitter_keyframe_arrival(w->jitter_buffer) >= w->now + DUET_MS(380));
    w->now += DUET_MS(400);
    assert_int_equal(duet_video_jitter_next(w->jitter_buffer, &frame, w->now), 1);
    assert_false(duet_video_jitter_needs_keyframe(w->jitter_buffer));
    assert_int_equal(duet_video_jitter_keyframe_arrival(w->jitter_buffer), 0);
    world_end(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_becomes_slower_costs_one_gap_and_no_delay),
        cmocka_unit_test(jitter_that_comes_and_goes_is_remembered),
        cmocka_unit_test(a_key_frame_is_known_from_its_first_packet_until_it_is_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
