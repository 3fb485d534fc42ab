/* Lip sync between two connections in virtual time: pictures that take long on their way make the sound of the same media
 * stream wait, and only that. */
#include "duet/transceiver.h"
#include "raw_call.h"

#define WIDTH  96
#define HEIGHT 64

typedef struct call {
    world *world;
    duet_sender *audio, *video;
    duet_receiver *sound;
    duet_time encoding; /* how long a picture takes before it is sent */
    bool running, never_pauses;
    uint32_t counter;
    uint64_t position;
    uint8_t picture[WIDTH * HEIGHT * 3 / 2];
} call;

static void send_picture(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    duet_video_frame frame;

    if (!c->running)
        return;
    duet_pattern_fill(c->picture, WIDTH, HEIGHT, c->counter++);
    duet_pattern_frame(c->picture, WIDTH, HEIGHT, &frame);
    (void)duet_sender_send_video(c->video, &frame, now - c->encoding);
    duet_sim_at(c->world->sim, now + DUET_MS(40), send_picture, c);
}

/* A voice that pauses: the delay is changed where nothing is heard. */
static void send_sound(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    int16_t samples[960];
    duet_audio_frame frame = {samples, 960, 48000, 1};
    bool speaks = c->never_pauses || c->position / 48000 % 2 == 0;

    if (!c->running)
        return;
    duet_tone_fill(samples, 960, 1, 48000, 440, speaks ? 0.25 : 0, c->position);
    c->position += 960;
    (void)duet_sender_send_audio(c->audio, &frame, now);
    duet_sim_at(c->world->sim, now + DUET_MS(20), send_sound, c);
}

static void read_sound(void *arg)
{
    call *c = arg;

    if (!c->running)
        return;
    raw_hear(c->sound);
    duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + DUET_MS(10), read_sound, c);
}

static void shows(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                  const duet_incoming_frame *frame)
{
    (void)user, (void)receiver, (void)picture, (void)frame;
}

static call *the_call;

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_video = shows};

    (void)user, (void)pc;
    if (duet_transceiver_kind(transceiver) == DUET_SDP_AUDIO)
        the_call->sound = duet_transceiver_receiver(transceiver);
    else
        duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

static call *call_connected(duet_time encoding, const char *audio_stream, const char *video_stream)
{
    duet_sim_link link = {.delay = DUET_MS(20)};
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->encoding = encoding;
    c->world = world_new(1, &link);
    raw_sides_create(c->world, on_track);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_AUDIO, NULL, &audio_stream, 1, &c->audio), DUET_OK);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_VIDEO, NULL, &video_stream, 1, &c->video), DUET_OK);
    world_connect(c->world, DUET_SECONDS(10));
    c->running = true;
    send_picture(c);
    send_sound(c);
    read_sound(c);
    return c;
}

static void call_end(call *c)
{
    c->running = false;
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static void find_target(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    bool is_audio = false;

    (void)id;
    for (size_t i = 0; kind == DUET_STATS_INBOUND_RTP && i < count; i++) {
        is_audio = is_audio || (strcmp(members[i].name, "kind") == 0 && strcmp(members[i].text, "audio") == 0);
        if (is_audio && strcmp(members[i].name, "jitterBufferTargetDelay") == 0)
            *(double *)user = members[i].real;
    }
}

/* Seconds that the sound waits. */
static double sound_waits(const call *c)
{
    double target = -1;

    duet_pc_get_stats(c->world->bob.pc, find_target, &target);
    assert_true(target >= 0);
    return target;
}

static void sound_waits_for_pictures_that_are_late(void **state)
{
    (void)state;
    call *c = call_connected(DUET_MS(300), "one", "one");

    world_run(c->world, DUET_SECONDS(20));
    assert_true(sound_waits(c) > 0.25);
    assert_true(sound_waits(c) < 0.4);
    call_end(c);
}

static void other_streams_wait_for_nobody(void **state)
{
    (void)state;
    call *c = call_connected(DUET_MS(300), "one", "another");

    world_run(c->world, DUET_SECONDS(20));
    assert_true(sound_waits(c) < 0.1);
    call_end(c);
}

/* What cannot be done while somebody speaks without a pause is not saved up for later. */
static void sound_that_could_not_wait_waits_no_longer_than_it_has_to(void **state)
{
    (void)state;
    call *c = call_connected(DUET_MS(300), "one", "one");

    c->never_pauses = true;
    world_run(c->world, DUET_SECONDS(60));
    c->never_pauses = false;
    for (int i = 0; i < 15; i++) {
        world_run(c->world, DUET_SECONDS(2));
        assert_true(sound_waits(c) < 0.4);
    }
    assert_true(sound_waits(c) > 0.25);
    call_end(c);
}

static void sound_does_not_wait_for_pictures_that_have_ended(void **state)
{
    (void)state;
    call *c = call_connected(DUET_MS(300), "one", "one");

    world_run(c->world, DUET_SECONDS(20));
    assert_true(sound_waits(c) > 0.25);
    assert_int_equal(duet_sender_replace_track(c->video, NULL), DUET_OK);
    world_run(c->world, DUET_SECONDS(20));
    assert_true(sound_waits(c) < 0.1);
    assert_int_equal(duet_sender_replace_track(c->video, "again"), DUET_OK);
    world_run(c->world, DUET_SECONDS(20));
    assert_true(sound_waits(c) > 0.25);
    call_end(c);
}

static void find_playout(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    (void)id;
    for (size_t i = 0; kind == DUET_STATS_MEDIA_PLAYOUT && i < count; i++) {
        if (strcmp(members[i].name, "totalSamplesDuration") == 0)
            ((double *)user)[0] = members[i].real;
        if (strcmp(members[i].name, "synthesizedSamplesDuration") == 0)
            ((double *)user)[1] = members[i].real;
    }
}

static void statistics_tell_how_much_was_played(void **state)
{
    double played[2] = {0, 0};
    (void)state;

    call *c = call_connected(0, "one", "one");
    world_run(c->world, DUET_SECONDS(10));
    duet_pc_get_stats(c->world->bob.pc, find_playout, played);
    assert_true(played[0] > 9.5 && played[0] < 10.5);
    assert_true(played[1] < 1); /* before the first packet came */
    call_end(c);
}

static void what_is_in_time_does_not_wait(void **state)
{
    (void)state;
    call *c = call_connected(0, "one", "one");

    world_run(c->world, DUET_SECONDS(20));
    assert_true(sound_waits(c) < 0.1);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_waits_for_pictures_that_are_late),
        cmocka_unit_test(sound_that_could_not_wait_waits_no_longer_than_it_has_to),
        cmocka_unit_test(sound_does_not_wait_for_pictures_that_have_ended),
        cmocka_unit_test(other_streams_wait_for_nobody),
        cmocka_unit_test(what_is_in_time_does_not_wait),
        cmocka_unit_test(statistics_tell_how_much_was_played),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
