/* Key frames between two connections in virtual time: asked for when they are needed, and only then. */
#include "duet/transceiver.h"
#include "raw_call.h"
#include "stats_of.h"

#define WIDTH  320
#define HEIGHT 240

typedef struct call {
    world *world;
    duet_sender *sender;
    duet_receiver *receiver;
    bool running, is_noisy;
    uint32_t counter, shown;
    duet_time last_shown;
    uint64_t seed;
    uint8_t picture[WIDTH * HEIGHT * 3 / 2];
} call;

static call *the_call;

static void shows(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                  const duet_incoming_frame *frame)
{
    call *c = user;

    (void)receiver, (void)picture, (void)frame;
    c->shown++;
    c->last_shown = duet_sim_now(c->world->sim);
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_video = shows, .user = the_call};

    (void)user, (void)pc;
    the_call->receiver = duet_transceiver_receiver(transceiver);
    duet_receiver_set_callbacks(the_call->receiver, &callbacks);
}

/* Noise makes large frames. */
static void send_picture(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    duet_video_frame frame;

    if (!c->running)
        return;
    if (c->is_noisy)
        test_random_fill(&c->seed, c->picture, sizeof(c->picture));
    else
        duet_pattern_fill(c->picture, WIDTH, HEIGHT, c->counter);
    c->counter++;
    duet_pattern_frame(c->picture, WIDTH, HEIGHT, &frame);
    (void)duet_sender_send_video(c->sender, &frame, now);
    duet_sim_at(c->world->sim, now + DUET_MS(40), send_picture, c);
}

static call *call_new(const duet_sim_link *link)
{
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->seed = 1;
    c->world = world_new(1, link);
    raw_sides_create(c->world, on_track);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &c->sender), DUET_OK);
    world_connect(c->world, DUET_SECONDS(10));
    return c;
}

static void call_start(call *c)
{
    c->running = true;
    send_picture(c);
}

static void call_end(call *c)
{
    c->running = false;
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static uint64_t asked(const call *c)
{
    return stat_of(c->world->bob.pc, DUET_STATS_INBOUND_RTP, "video", "pliCount");
}

/* It takes half a second to pass. */
static void a_key_frame_that_is_on_its_way_is_not_asked_for(void **state)
{
    duet_sim_link slow = {.delay = DUET_MS(10), .rate = 1000000};
    (void)state;

    call *c = call_new(&slow);
    c->is_noisy = true;
    call_start(c);
    world_run(c->world, DUET_MS(100));
    c->is_noisy = false;
    assert_true(stat_of(c->world->alice.pc, DUET_STATS_OUTBOUND_RTP, "video", "packetsSent") > 50);
    world_run(c->world, DUET_SECONDS(3));
    assert_int_equal(asked(c), 0);
    assert_int_equal(stat_of(c->world->alice.pc, DUET_STATS_OUTBOUND_RTP, "video", "duetKeyFramesSent"), 1);
    assert_true(c->shown > 50);
    call_end(c);
}

/* Somebody turns the camera off just when the picture is broken. */
static void nobody_is_asked_for_key_frames_for_ever(void **state)
{
    duet_sim_link good = {.delay = DUET_MS(10)};
    (void)state;

    call *c = call_new(&good);
    call_start(c);
    world_run(c->world, DUET_SECONDS(2));
    assert_int_equal(duet_sender_replace_track(c->sender, NULL), DUET_OK);
    world_run(c->world, DUET_SECONDS(1));
    assert_int_equal(duet_receiver_request_keyframe(c->receiver), DUET_OK);
    c->running = false;
    world_run(c->world, DUET_SECONDS(600));
    assert_in_range(asked(c), 2, 20);
    uint32_t shown = c->shown;
    call_start(c);
    assert_int_equal(duet_sender_replace_track(c->sender, "again"), DUET_OK);
    world_run(c->world, DUET_MS(300));
    assert_true(c->shown > shown);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_frame_that_is_on_its_way_is_not_asked_for),
        cmocka_unit_test(nobody_is_asked_for_key_frames_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
