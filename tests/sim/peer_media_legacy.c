/* Calls with a peer whose descriptions have no mids and no BUNDLE, as those of gateways and old phones: each m-section is found
 * by its place (RFC 9429 sections 5.3.1 and 5.10), and the call can be changed later by either side. */
#include "duet/transceiver.h"
#include "encoded_frame.h"
#include "peer_world.h"

#define EVERY DUET_MS(20)

typedef struct call {
    world *world;
    unsigned from_alice[2], from_bob[2]; /* frames of audio and video that have arrived */
    bool running, bob_has_offered;
} call;

static call *the_call;

/* ---- what the old peer does not write ---- */

static bool is_kept(const char *line)
{
    static const char *const unknown[] = {"a=mid:", "a=group:", "a=msid:", "a=ssrc", "a=bundle-only"};

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        if (strncmp(line, unknown[i], strlen(unknown[i])) == 0)
            return false;
    }
    return !memmem(line, strcspn(line, "\n"), "sdes:mid", 8);
}

static char *as_old(const char *sdp)
{
    char *out = calloc(1, strlen(sdp) + 1);

    assert_non_null(out);
    for (const char *line = sdp; *line; line = strchr(line, '\n') + 1) {
        if (is_kept(line))
            strncat(out, line, strcspn(line, "\n") + 1);
    }
    return out;
}

/* ---- media ---- */

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    bool is_video = duet_transceiver_kind(duet_receiver_transceiver(receiver)) == DUET_SDP_VIDEO;

    (void)frame;
    ((unsigned *)user)[is_video]++;
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    bool is_alice = pc == the_call->world->alice.pc;
    duet_receiver_callbacks callbacks = {.on_frame = frame_arrives};

    (void)user;
    callbacks.user = is_alice ? the_call->from_bob : the_call->from_alice;
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

static void send_all(duet_pc *pc, duet_time now)
{
    duet_transceiver *t;

    for (size_t i = 0; (t = duet_pc_transceiver_at(pc, i)); i++)
        send_encoded_frame(t, now);
}

static void send_frames(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);

    if (!c->running)
        return;
    send_all(c->world->alice.pc, now);
    send_all(c->world->bob.pc, now);
    duet_sim_at(c->world->sim, now + EVERY, send_frames, c);
}

/* ---- signaling: alice is the old one ---- */

static void candidate_is_told(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    side *s = user;
    duet_pc_candidate c = *candidate;

    (void)pc;
    if (s == &s->world->bob && !the_call->bob_has_offered)
        assert_string_equal(c.sdp_mid, ""); /* his answer had none */
    c.sdp_mid = NULL;
    assert_int_equal(duet_pc_add_ice_candidate(other_side(s)->pc, &c), DUET_OK);
}

/* What she does not understand she does not read either. */
static void pass(side *from, duet_sdp_type type)
{
    side *to = other_side(from);
    char *sdp;

    int err = duet_pc_set_local_description(from->pc, type, NULL);
    if (err != DUET_OK)
        fail_msg("%s: %s: %s", from->name, duet_strerror(err), duet_pc_error(from->pc)->reason);
    assert_int_equal(duet_pc_local_description(from->pc, NULL, &sdp), DUET_OK);
    char *text = as_old(sdp);
    err = duet_pc_set_remote_description(to->pc, type, text);
    if (err != DUET_OK)
        fail_msg("%s: %s: %s\n%s", to->name, duet_strerror(err), duet_pc_error(to->pc)->reason, text);
    free(text);
    duet_free(&from->env, sdp);
}

static void negotiate(side *offerer)
{
    the_call->bob_has_offered |= offerer == &offerer->world->bob;
    pass(offerer, DUET_SDP_OFFER);
    pass(other_side(offerer), DUET_SDP_ANSWER);
}

static void peer_create(side *s)
{
    duet_pc_config config = side_config(s);

    config.on_ice_gathering_state = NULL;
    config.on_ice_candidate = candidate_is_told;
    config.on_track = on_track;
    side_create(s, &config);
}

static void assert_flows(call *c, bool to_bob, bool to_alice)
{
    world_run(c->world, DUET_MS(200)); /* what is under way */
    c->from_alice[0] = c->from_bob[0] = 0;
    world_run(c->world, DUET_SECONDS(1));
    assert_int_equal(c->from_alice[0] > 40, to_bob);
    assert_int_equal(c->from_bob[0] > 40, to_alice);
}

/* ---- stories ---- */

static void a_call_without_mids_is_held_resumed_and_restarted_by_either_side(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    call c = {.running = true};
    duet_sender *sender;
    (void)state;

    the_call = &c;
    c.world = world_new(1, &link);
    peer_create(&c.world->alice);
    peer_create(&c.world->bob);
    assert_int_equal(duet_pc_add_track(c.world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &sender), DUET_OK);
    assert_int_equal(duet_pc_add_track(c.world->bob.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &sender), DUET_OK);
    duet_transceiver *of_bob = duet_sender_transceiver(sender);
    send_frames(&c);
    negotiate(&c.world->alice);
    world_run(c.world, DUET_SECONDS(2));
    assert_flows(&c, true, true);
    assert_string_not_equal(duet_transceiver_mid(of_bob), "");

    assert_int_equal(duet_transceiver_set_direction(of_bob, DUET_SDP_SENDONLY), DUET_OK);
    negotiate(&c.world->bob);
    assert_flows(&c, false, true);
    assert_int_equal(duet_transceiver_set_direction(of_bob, DUET_SDP_SENDRECV), DUET_OK);
    negotiate(&c.world->alice);
    assert_flows(&c, true, true);
    duet_pc_restart_ice(c.world->bob.pc);
    negotiate(&c.world->bob);
    assert_flows(&c, true, true);
    duet_pc_restart_ice(c.world->alice.pc);
    negotiate(&c.world->alice);
    assert_flows(&c, true, true);
    assert_int_equal(c.world->alice.failed_events + c.world->bob.failed_events, 0);
    c.running = false;
    world_end(c.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_without_mids_is_held_resumed_and_restarted_by_either_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
