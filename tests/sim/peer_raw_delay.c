/* How late sound is after a disturbance: somebody speaks and pauses in a room that is not silent. */
#include "duet/transceiver.h"
#include "raw_call.h"

typedef struct call {
    world *world;
    duet_sender *sender;
    duet_receiver *receiver;
    bool running;
    int noise; /* of the room: samples up to this */
    uint64_t position, seed;
    double delay, last_delay; /* sums of the jitter buffer, seconds, */
    uint64_t samples, last_samples;
} call;

static call *the_call;

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    (void)user, (void)pc;
    the_call->receiver = duet_transceiver_receiver(transceiver);
}

/* Two seconds of every three. */
static void speak(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    int16_t samples[960];
    duet_audio_frame frame = {samples, 960, 48000, 1};
    bool speaks = c->position / 48000 % 3 < 2;

    if (!c->running)
        return;
    duet_tone_fill(samples, 960, 1, 48000, 440, speaks ? 0.25 : 0, c->position);
    for (size_t i = 0; i < 960; i++)
        samples[i] = (int16_t)(samples[i] + (int)test_random_below(&c->seed, 2 * (uint64_t)c->noise + 1) - c->noise);
    c->position += 960;
    (void)duet_sender_send_audio(c->sender, &frame, now);
    duet_sim_at(c->world->sim, now + DUET_MS(20), speak, c);
}

static void hear(void *arg)
{
    call *c = arg;

    if (!c->running)
        return;
    raw_hear(c->receiver);
    duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + DUET_MS(10), hear, c);
}

static call *call_new(int noise)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->noise = noise;
    c->seed = 1;
    c->world = world_new(1, &link);
    raw_sides_create(c->world, on_track);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &c->sender), DUET_OK);
    world_connect(c->world, DUET_SECONDS(10));
    c->running = true;
    speak(c);
    hear(c);
    return c;
}

static void call_end(call *c)
{
    c->running = false;
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static void set_delay(call *c, duet_time delay)
{
    duet_sim_link link = {.delay = delay};

    assert_int_equal(duet_sim_host_set_link(c->world->bob.host, "10.0.0.2", &link, &link), DUET_OK);
}

static void find_delay(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    call *c = user;

    (void)id;
    for (size_t i = 0; kind == DUET_STATS_INBOUND_RTP && i < count; i++) {
        if (strcmp(members[i].name, "jitterBufferDelay") == 0)
            c->delay = members[i].real;
        if (strcmp(members[i].name, "jitterBufferEmittedCount") == 0)
            c->samples = members[i].number;
    }
}

/* How long sound waited on average, seconds. */
static double wait_in(call *c, duet_time span)
{
    duet_pc_get_stats(c->world->bob.pc, find_delay, c);
    c->last_delay = c->delay;
    c->last_samples = c->samples;
    world_run(c->world, span);
    duet_pc_get_stats(c->world->bob.pc, find_delay, c);
    return (c->delay - c->last_delay) / (double)(c->samples - c->last_samples);
}

static void a_stall_is_caught_up_in_the_pauses_although_the_room_is_not_silent(void **state)
{
    static const int noises[] = {0, 100, 200, 400}; /* up to −42 dBov */
    (void)state;

    for (size_t i = 0; i < sizeof(noises) / sizeof(noises[0]); i++) {
        call *c = call_new(noises[i]);
        world_run(c->world, DUET_SECONDS(10));
        set_delay(c, DUET_MS(700));
        world_run(c->world, DUET_SECONDS(3));
        set_delay(c, DUET_MS(10));
        assert_true(wait_in(c, DUET_SECONDS(6)) > 0.3);
        world_run(c->world, DUET_SECONDS(40));
        assert_true(wait_in(c, DUET_SECONDS(6)) < 0.05);
        call_end(c);
    }
}

/* ---- sound cards ---- */

static uint32_t last_timestamp, packets, steps, backward;

static void sees_packet(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    int64_t step = duet_rtp_time_diff(arrival->packet->timestamp, last_timestamp);

    (void)user, (void)receiver;
    backward += packets > 0 && step < 0;
    steps += packets > 0 && step != 960;
    last_timestamp = arrival->packet->timestamp;
    packets++;
}

/* 20 ms of its samples last so much less by the clock that tells when they were captured: 5000 ppm. */
static void a_sound_card_that_is_faster_than_the_clock_makes_no_steps(void **state)
{
    (void)state;
    call *c = call_new(0);
    duet_receiver_callbacks callbacks = {.on_rtp = sees_packet};
    int16_t samples[960] = {0};
    duet_audio_frame frame = {samples, 960, 48000, 1};

    world_run(c->world, DUET_SECONDS(1));
    c->running = false;
    world_run(c->world, DUET_SECONDS(1));
    packets = steps = backward = 0;
    duet_receiver_set_callbacks(c->receiver, &callbacks);
    duet_time captured = duet_sim_now(c->world->sim);
    for (int i = 0; i < 60 * 50; i++, captured += 19900) {
        duet_tone_fill(samples, 960, 1, 48000, 440, 0.2, (uint64_t)i * 960);
        assert_int_equal(duet_sender_send_audio(c->sender, &frame, captured), DUET_OK);
        world_run(c->world, 19900);
    }
    assert_in_range(packets, 2990, 3000);
    assert_int_equal(backward, 0);
    assert_int_equal(steps, 0);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stall_is_caught_up_in_the_pauses_although_the_room_is_not_silent),
        cmocka_unit_test(a_sound_card_that_is_faster_than_the_clock_makes_no_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
