/* Lip sync: two streams whose network and buffers take different times are brought together. */
#include "duet/jitter.h"
#include "test.h"

static uint64_t ntp(duet_time t)
{
    return (UINT64_C(3900000000) << 32) + (t / 1000000 << 32) + ((t % 1000000) << 32) / 1000000;
}

typedef struct streams {
    duet_time audio_takes, video_takes; /* from capture to play, without the delays below */
    duet_time audio_delay, video_delay;
} streams;

static int64_t audio_is_late(const streams *s)
{
    return (int64_t)(s->audio_takes + s->audio_delay) - (int64_t)(s->video_takes + s->video_delay);
}

static void synchronise(streams *s, int times)
{
    for (int i = 0; i < times; i++) {
        duet_time before[2] = {s->audio_delay, s->video_delay};
        /* what is played now was captured so long ago; the video that was played last is 10 ms older */
        duet_time now = DUET_SECONDS(1000 + i);
        duet_lip_sync(ntp(now - s->audio_takes - s->audio_delay), now,
                      ntp(now - DUET_MS(10) - s->video_takes - s->video_delay), now - DUET_MS(10), &s->audio_delay,
                      &s->video_delay);
        assert_true(s->audio_delay <= before[0] + DUET_MS(80) && before[0] <= s->audio_delay + DUET_MS(80));
        assert_true(s->video_delay <= before[1] + DUET_MS(80) && before[1] <= s->video_delay + DUET_MS(80));
    }
}

static void audio_waits_for_video(void **state)
{
    streams s = {.audio_takes = DUET_MS(40), .video_takes = DUET_MS(340)};

    (void)state;
    synchronise(&s, 3);
    assert_int_equal(s.audio_delay, DUET_MS(240));
    synchronise(&s, 5);
    assert_in_range(s.audio_delay, DUET_MS(285), DUET_MS(300));
    assert_int_equal(s.video_delay, 0);
}

static void video_waits_for_audio(void **state)
{
    streams s = {.audio_takes = DUET_MS(540), .video_takes = DUET_MS(140)};

    (void)state;
    synchronise(&s, 10);
    assert_in_range(s.video_delay, DUET_MS(385), DUET_MS(400));
    assert_int_equal(s.audio_delay, 0);
}

static void what_waited_gives_its_delay_back_first(void **state)
{
    streams s = {.audio_takes = DUET_MS(40), .video_takes = DUET_MS(340)};

    (void)state;
    synchronise(&s, 10);
    s.audio_takes = DUET_MS(340);
    s.video_takes = DUET_MS(240);
    synchronise(&s, 20);
    assert_true(audio_is_late(&s) < 15000 && audio_is_late(&s) > -15000);
    assert_int_equal(s.audio_delay, 0);
}

static void what_nobody_hears_is_left_alone(void **state)
{
    streams s = {.audio_takes = DUET_MS(40), .video_takes = DUET_MS(52)};

    (void)state;
    synchronise(&s, 10);
    assert_int_equal(s.audio_delay + s.video_delay, 0);
}

static void nonsense_changes_nothing(void **state)
{
    duet_time audio = DUET_MS(7), video = DUET_MS(9);

    (void)state;
    duet_lip_sync(0, 0, UINT64_MAX / 2, DUET_SECONDS(5), &audio, &video);
    duet_lip_sync(UINT64_MAX, 0, 0, DUET_NEVER, &audio, &video);
    duet_lip_sync(UINT64_C(1) << 63, 0, 0, DUET_SECONDS(100), &audio, &video);
    assert_int_equal(audio, DUET_MS(7));
    assert_int_equal(video, DUET_MS(9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audio_waits_for_video),
        cmocka_unit_test(video_waits_for_audio),
        cmocka_unit_test(what_waited_gives_its_delay_back_first),
        cmocka_unit_test(what_nobody_hears_is_left_alone),
        cmocka_unit_test(nonsense_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
