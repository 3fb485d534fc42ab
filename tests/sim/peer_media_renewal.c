/* The first m-section of a bundle is stopped while the others go on. Browsers then begin another DTLS association, with new sockets
 * under the same ICE credentials; other stacks keep the one that there is. Media and data go on in either case. */
#include "encoded_frame.h"
#include "peer_world.h"

#define EVERY DUET_MS(20)

typedef struct call {
    world *world;
    unsigned to_alice, to_bob; /* frames of video that have arrived */
    bool running;
    duet_transceiver *tag;
} call;

static call *the_call;

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    (void)receiver, (void)frame;
    ++*(unsigned *)user;
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_frame = frame_arrives};

    (void)user;
    callbacks.user = pc == the_call->world->alice.pc ? &the_call->to_alice : &the_call->to_bob;
    if (duet_transceiver_kind(transceiver) == DUET_SDP_VIDEO)
        duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

static void send_frame(duet_pc *pc, duet_time now)
{
    duet_transceiver *t;

    for (size_t i = 0; (t = duet_pc_transceiver_at(pc, i)); i++) {
        if (duet_transceiver_kind(t) == DUET_SDP_VIDEO)
            send_encoded_frame(t, now);
    }
}

static void send_frames(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);

    if (!c->running)
        return;
    send_frame(c->world->alice.pc, now);
    send_frame(c->world->bob.pc, now);
    duet_sim_at(c->world->sim, now + EVERY, send_frames, c);
}

static void peer_create(side *s, duet_setup setup)
{
    duet_pc_config config = side_config(s);

    config.on_track = on_track;
    config.answer_setup = setup;
    side_create(s, &config);
}

static void call_begin(call *c, duet_setup setup)
{
    duet_sim_link link = {.delay = DUET_MS(20)};
    duet_sender *sender;

    the_call = c;
    c->running = true;
    c->world = world_new(3, &link);
    peer_create(&c->world->alice, DUET_SETUP_NONE);
    peer_create(&c->world->bob, setup);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &sender), DUET_OK);
    c->tag = duet_sender_transceiver(sender);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &sender), DUET_OK);
    assert_int_equal(duet_pc_add_track(c->world->bob.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &sender), DUET_OK);
    world_connect(c->world, DUET_SECONDS(10));
    send_frames(c);
    world_send_every(c->world, EVERY);
    world_run(c->world, DUET_SECONDS(1));
}

static void assert_flows(call *c)
{
    c->to_alice = c->to_bob = 0;
    world_run(c->world, DUET_SECONDS(1));
    assert_in_range(c->to_alice, 45, 55);
    assert_in_range(c->to_bob, 45, 55);
}

static void call_end(call *c)
{
    c->running = c->world->sending = false;
    world_run(c->world, DUET_SECONDS(5));
    world_assert_all_arrived(c->world);
    world_end(c->world);
}

/* Number and text of a statistic of the transport. */
typedef struct wanted {
    const char *name;
    char text[128];
} wanted;

static void visit(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    wanted *w = user;

    (void)id;
    for (size_t i = 0; kind == DUET_STATS_TRANSPORT && i < count; i++) {
        if (strcmp(members[i].name, w->name) == 0 && members[i].type == DUET_STAT_TEXT)
            snprintf(w->text, sizeof(w->text), "%s", members[i].text);
    }
}

static void assert_transport(const side *s, const char *name, const char *text)
{
    wanted w = {.name = name};

    duet_pc_get_stats(s->pc, visit, &w);
    assert_string_equal(w.text, text);
}

/* ---- stories ---- */

static void media_and_data_go_on_when_the_first_section_is_stopped(void **state)
{
    static const duet_setup setups[] = {DUET_SETUP_ACTIVE, DUET_SETUP_PASSIVE};
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        call c = {0};
        call_begin(&c, setups[i % 2]);
        side *stopper = i < 2 ? &c.world->alice : &c.world->bob;
        duet_transceiver_stop(duet_pc_transceiver_at(stopper->pc, i < 2 ? 0 : 1)); /* bob made his video first */
        assert_int_equal(duet_pc_set_local_description(stopper->pc, DUET_SDP_OFFER, NULL), DUET_OK);
        signal_description(stopper);
        world_run(c.world, DUET_SECONDS(3));
        assert_flows(&c);
        assert_transport(stopper, "dtlsState", "connected");
        assert_int_equal(duet_pc_connection_state(c.world->alice.pc), DUET_PC_CONNECTED);
        assert_int_equal(duet_pc_connection_state(c.world->bob.pc), DUET_PC_CONNECTED);
        call_end(&c);
    }
}

/* Bob, who keeps the association, is shown the offer of before, and alice an answer that rejects the first section. */
static void another_peer_answers(call *c)
{
    side *alice = &c->world->alice, *bob = &c->world->bob;
    char *offer, *answer, *changed;
    duet_sdp *sdp;

    assert_int_equal(duet_pc_current_local_description(alice->pc, NULL, &offer), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(alice->pc, DUET_SDP_OFFER, NULL), DUET_OK);
    assert_int_equal(duet_pc_set_remote_description(bob->pc, DUET_SDP_OFFER, offer), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(bob->pc, DUET_SDP_ANSWER, NULL), DUET_OK);
    assert_int_equal(duet_pc_local_description(bob->pc, NULL, &answer), DUET_OK);
    assert_int_equal(duet_sdp_parse(&sdp, NULL, answer, strlen(answer), NULL), DUET_OK);
    assert_int_equal(duet_sdp_set_port(sdp, 0, 0), DUET_OK);
    assert_int_equal(duet_sdp_replace(sdp, DUET_SDP_SESSION, "group", "BUNDLE 1 2"), DUET_OK);
    assert_int_equal(duet_sdp_write(sdp, &changed), DUET_OK);
    assert_int_equal(duet_pc_set_remote_description(alice->pc, DUET_SDP_ANSWER, changed), DUET_OK);
    duet_sdp_destroy(sdp);
    duet_free(NULL, changed);
    duet_free(NULL, offer);
    duet_free(NULL, answer);
}

static void a_peer_that_keeps_the_association_notices_nothing(void **state)
{
    static const duet_setup setups[] = {DUET_SETUP_ACTIVE, DUET_SETUP_PASSIVE};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        call c = {0};
        call_begin(&c, setups[i]);
        duet_transceiver_stop(c.tag);
        another_peer_answers(&c);
        for (int second = 0; second < 20; second++) /* longer than anything is tried */
            assert_flows(&c);
        assert_transport(&c.world->alice, "dtlsState", "connected");
        call_end(&c);
    }
}

static void a_connection_may_end_while_its_association_is_renewed(void **state)
{
    (void)state;

    for (size_t i = 0; i < 8; i++) {
        call c = {0};
        call_begin(&c, DUET_SETUP_ACTIVE);
        duet_transceiver_stop(c.tag);
        assert_int_equal(duet_pc_set_local_description(c.world->alice.pc, DUET_SDP_OFFER, NULL), DUET_OK);
        signal_description(&c.world->alice);
        world_run(c.world, DUET_MS(20 * i));
        c.running = c.world->sending = false;
        if (i % 2)
            duet_pc_close(c.world->bob.pc);
        world_end(c.world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(media_and_data_go_on_when_the_first_section_is_stopped),
        cmocka_unit_test(a_peer_that_keeps_the_association_notices_nothing),
        cmocka_unit_test(a_connection_may_end_while_its_association_is_renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
