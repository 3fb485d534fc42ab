/* When a sender of G.711 falls silent, and what it tells of the silence: RFC 3389, RFC 3551 section 4.1. */
#include "duet/payload.h"
#include "test.h"

typedef struct figures {
    unsigned voice, noise, nothing;
    uint8_t last_level;
} figures;

static figures run(duet_dtx *d, uint8_t level, unsigned milliseconds)
{
    figures f = {0};
    duet_comfort_noise noise;

    for (unsigned t = 0; t < milliseconds; t += 20) {
        switch (duet_dtx_decide(d, level, 20, &noise)) {
        case DUET_DTX_VOICE:
            f.voice++;
            break;
        case DUET_DTX_NOISE:
            assert_int_equal(noise.coefficient_count, 0);
            assert_true(noise.level <= 127);
            f.last_level = noise.level;
            f.noise++;
            break;
        case DUET_DTX_NOTHING:
            f.nothing++;
            break;
        }
    }
    return f;
}

static void voice_is_sent_until_a_moment_after_its_end(void **state)
{
    duet_dtx d = {0};
    (void)state;

    figures f = run(&d, 20, 2000);
    assert_int_equal(f.voice, 100);
    f = run(&d, 75, 200);
    assert_int_equal(f.voice, 10);
    f = run(&d, 75, 20);
    assert_int_equal(f.noise, 1);
    assert_int_equal(f.last_level, 75);
    f = run(&d, 75, 10000);
    assert_int_equal(f.voice, 0);
    assert_int_equal(f.noise, 20); /* each half second */
    f = run(&d, 30, 20);
    assert_int_equal(f.voice, 1); /* at once */
}

static void silence_at_the_beginning_is_told_too(void **state)
{
    duet_dtx d = {0};
    (void)state;

    figures f = run(&d, 127, 20);
    assert_int_equal(f.noise, 1);
    assert_int_equal(f.last_level, 127);
}

static void a_change_is_told_but_not_too_often(void **state)
{
    duet_dtx d = {0};
    (void)state;

    run(&d, 70, 1000);
    figures f = run(&d, 72, 400);
    assert_true(f.noise <= 1); /* not noticeable */
    f = run(&d, 90, 300);
    assert_in_range(f.noise, 2, 3); /* while it is followed */
    f = run(&d, 90, 2000);
    assert_in_range(f.noise, 4, 5);
    assert_in_range(f.last_level, 89, 90);
    duet_comfort_noise noise;
    unsigned told = 0;
    for (int i = 0; i < 500; i++) /* 10 s of unrest */
        told += duet_dtx_decide(&d, i % 20 < 10 ? 68 : 100, 20, &noise) == DUET_DTX_NOISE;
    assert_in_range(told, 50, 100);
}

static void a_noise_that_stays_becomes_the_background(void **state)
{
    duet_dtx d = {0};
    (void)state;

    run(&d, 75, 1000);
    figures f = run(&d, 50, 3000);
    assert_int_equal(f.voice, 150);
    f = run(&d, 50, 10000);
    assert_true(f.voice < 350 && f.noise > 5);
    f = run(&d, 50, 2000);
    assert_int_equal(f.voice, 0);
    f = run(&d, 42, 100); /* who speaks over it is heard */
    assert_int_equal(f.voice, 5);
    f = run(&d, 38, 60000); /* what is loud is sent, however long it lasts */
    assert_int_equal(f.voice, 3000);
    run(&d, 75, 2000); /* and afterwards quiet voice is found again */
    f = run(&d, 55, 200);
    assert_int_equal(f.voice, 10);
}

static void any_level_is_borne(void **state)
{
    duet_dtx d = {0};
    duet_comfort_noise noise;
    uint64_t seed = 3;
    (void)state;

    for (int i = 0; i < 100000; i++) {
        uint8_t level;
        test_random_fill(&seed, &level, 1);
        if (duet_dtx_decide(&d, level, 20, &noise) == DUET_DTX_NOISE)
            assert_true(noise.level >= 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(voice_is_sent_until_a_moment_after_its_end),
        cmocka_unit_test(silence_at_the_beginning_is_told_too),
        cmocka_unit_test(a_change_is_told_but_not_too_often),
        cmocka_unit_test(a_noise_that_stays_becomes_the_background),
        cmocka_unit_test(any_level_is_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
