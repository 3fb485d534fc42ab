/* What the peer reports as lost, the encoder of sound is told, so that Opus repeats itself (RFC 7587 section 3.2). */
#include "duet/transceiver.h"
#include "peer_world.h"

static int last_percent, times_told;

static int is_told(duet_audio_encoder *encoder, uint8_t percent)
{
    last_percent = percent;
    times_told++;
    return duet_audio_encoder_set_expected_loss(encoder, percent);
}

typedef struct speaker {
    world *world;
    duet_sender *sender;
    uint64_t position;
    bool running;
} speaker;

static void speak(void *arg)
{
    speaker *s = arg;
    duet_time now = duet_sim_now(s->world->sim);
    int16_t samples[960];
    duet_audio_frame frame = {samples, 960, 48000, 1};

    if (!s->running)
        return;
    duet_tone_fill(samples, 960, 1, 48000, 300, 0.2, s->position);
    s->position += 960;
    (void)duet_sender_send_audio(s->sender, &frame, now); /* refused until it is connected */
    duet_sim_at(s->world->sim, now + DUET_MS(20), speak, s);
}

static void talk(uint64_t seed, double loss)
{
    duet_sim_link link = {.delay = DUET_MS(10), .loss = loss};
    duet_codec_ops ops = *duet_codecs();
    speaker s = {.world = world_new(seed, &link), .running = true};
    duet_pc_config a = side_config(&s.world->alice), b = side_config(&s.world->bob);

    last_percent = -1;
    times_told = 0;
    ops.audio_set_expected_loss = is_told;
    a.codecs = b.codecs = &ops;
    side_create(&s.world->alice, &a);
    side_create(&s.world->bob, &b);
    assert_int_equal(duet_pc_add_track(s.world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &s.sender), DUET_OK);
    world_connect(s.world, DUET_SECONDS(40));
    speak(&s);
    world_run(s.world, DUET_SECONDS(30));
    s.running = false;
    world_end(s.world);
}

static void loss_that_is_reported_is_expected(void **state)
{
    (void)state;
    talk(1, 0.05); /* of each host */
    assert_in_range(last_percent, 3, 20);
    assert_in_range(times_told, 2, 60); /* with reports, not with packets */
}

static void nothing_is_expected_where_nothing_is_lost(void **state)
{
    (void)state;
    talk(2, 0);
    assert_int_equal(times_told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_that_is_reported_is_expected),
        cmocka_unit_test(nothing_is_expected_where_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
