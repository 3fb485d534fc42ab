/* Negotiations between two connected peers: glare and perfect negotiation, restarts that collide, changed certificates,
 * sizes, connections that are destroyed inside their own events. RFC 9429, W3C webrtc-pc 10.7. */
#include "peer_world.h"

/* ---- perfect negotiation, as W3C 10.7 writes it ---- */

typedef struct negotiator {
    side *side;
    struct negotiator *other;
    bool polite, making_offer, ignore_offer;
    unsigned offers, ignored;
} negotiator;

typedef struct parcel {
    negotiator *to;
    duet_sdp_type type; /* NONE: a candidate */
    char *sdp, *mid, *ufrag;
    int index;
} parcel;

static void parcel_arrives(void *arg);

static void post(parcel p)
{
    world *w = p.to->side->world;
    parcel *copy = malloc(sizeof(*copy));

    assert_non_null(copy);
    *copy = p;
    assert_int_equal(duet_sim_at(w->sim, duet_sim_now(w->sim) + w->signaling_delay, parcel_arrives, copy), DUET_OK);
}

static void post_description(negotiator *n)
{
    char *sdp;
    duet_sdp_type type;

    assert_int_equal(duet_pc_local_description(n->side->pc, &type, &sdp), DUET_OK);
    post((parcel){.to = n->other, .type = type, .sdp = sdp});
}

static void parcel_arrives(void *arg)
{
    parcel *p = arg;
    negotiator *n = p->to;
    duet_pc *pc = n->side->pc;

    if (pc && p->type != DUET_SDP_NONE) {
        bool collides = p->type == DUET_SDP_OFFER && duet_pc_signaling_state(pc) != DUET_SIGNALING_STABLE;
        n->ignore_offer = !n->polite && collides;
        n->ignored += n->ignore_offer;
        if (!n->ignore_offer) {
            int err = duet_pc_set_remote_description(pc, p->type, p->sdp);
            if (err != DUET_OK)
                fail_msg("%s: %s: %s", n->side->name, duet_strerror(err), duet_pc_error(pc)->reason);
            if (p->type == DUET_SDP_OFFER) {
                assert_int_equal(duet_pc_set_local_description(pc, DUET_SDP_NONE, NULL), DUET_OK);
                post_description(n);
            }
        }
    } else if (pc) {
        duet_pc_candidate c = {p->sdp, p->mid, p->index, p->ufrag};
        int err = duet_pc_add_ice_candidate(pc, &c);
        assert_true(err == DUET_OK || n->ignore_offer);
    }
    free(p->sdp);
    free(p->mid);
    free(p->ufrag);
    free(p);
}

static void on_needed(void *user, duet_pc *pc)
{
    negotiator *n = user;

    n->offers++;
    n->side->negotiation_needed++;
    assert_int_equal(duet_pc_set_local_description(pc, DUET_SDP_NONE, NULL), DUET_OK);
    post_description(n);
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    negotiator *n = user;

    (void)pc;
    post((parcel){.to = n->other,
                  .sdp = strdup(c->candidate),
                  .mid = strdup(c->sdp_mid),
                  .index = c->sdp_mline_index,
                  .ufrag = c->username_fragment ? strdup(c->username_fragment) : NULL});
}

static void on_state(void *user, duet_pc *pc, duet_pc_state state)
{
    side_state(((negotiator *)user)->side, pc, state);
}

static void on_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    side_channel(((negotiator *)user)->side, pc, dc);
}

static void negotiator_create(negotiator *n, side *s, negotiator *other, bool polite)
{
    duet_pc_config config = side_config(s);

    *n = (negotiator){.side = s, .other = other, .polite = polite};
    config.on_ice_gathering_state = NULL;
    config.on_negotiation_needed = on_needed;
    config.on_ice_candidate = on_candidate;
    config.on_connection_state = on_state;
    config.on_data_channel = on_channel;
    config.user = n;
    side_create(s, &config);
}

static void create_channel(void *arg)
{
    side *s = arg;
    duet_dc *dc;

    assert_int_equal(duet_pc_create_data_channel(s->pc, s->name, NULL, &dc), DUET_OK);
    side_use(s, dc);
}

static void restart(void *arg)
{
    duet_pc_restart_ice(((side *)arg)->pc);
}

static bool both_connected(void *arg)
{
    const world *w = arg;

    return duet_pc_connection_state(w->alice.pc) == DUET_PC_CONNECTED &&
           duet_pc_connection_state(w->bob.pc) == DUET_PC_CONNECTED &&
           duet_pc_signaling_state(w->alice.pc) == DUET_SIGNALING_STABLE &&
           duet_pc_signaling_state(w->bob.pc) == DUET_SIGNALING_STABLE;
}

/* Both begin at almost the same time; whoever is polite, whatever arrives first, it connects. */
static void both_begin_and_perfect_negotiation_settles_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        duet_sim_link link = {.delay = DUET_MS(10)};
        world *w = world_new(seed, &link);
        negotiator a, b;
        negotiator_create(&a, &w->alice, &b, seed % 2);
        negotiator_create(&b, &w->bob, &a, !(seed % 2));
        duet_sim_at(w->sim, DUET_SECONDS(1), create_channel, &w->alice);
        duet_sim_at(w->sim, DUET_SECONDS(1) + DUET_MS(seed * 2), create_channel, &w->bob);
        if (!duet_sim_run_until(w->sim, world_is_open, w, DUET_SECONDS(20)))
            fail_msg("seed %llu: %s %s", (unsigned long long)seed,
                     duet_pc_state_name(duet_pc_connection_state(w->alice.pc)),
                     duet_pc_state_name(duet_pc_connection_state(w->bob.pc)));
        if (seed < 5)
            assert_int_equal(a.ignored + b.ignored, 1);
        world_run(w, DUET_SECONDS(2));
        assert_true(a.offers + b.offers <= 3);
        assert_int_equal(duet_pc_signaling_state(w->alice.pc), DUET_SIGNALING_STABLE);
        world_end(w);
    }
}

/* A restart that had to give way is offered again, and nothing is lost meanwhile. */
static void restarts_that_collide_are_all_carried_out(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        duet_sim_link link = {.delay = DUET_MS(10)};
        world *w = world_new(seed, &link);
        negotiator a, b;
        negotiator_create(&a, &w->alice, &b, seed % 2);
        negotiator_create(&b, &w->bob, &a, !(seed % 2));
        create_channel(&w->alice);
        assert_true(duet_sim_run_until(w->sim, world_is_open, w, DUET_SECONDS(20)));
        world_send_every(w, DUET_MS(20));
        duet_time at = duet_sim_now(w->sim) + DUET_SECONDS(1);
        duet_sim_at(w->sim, at, restart, &w->alice);
        duet_sim_at(w->sim, at + DUET_MS(seed * 2 - 2), restart, &w->bob);
        world_run(w, DUET_SECONDS(10));
        w->sending = false;
        world_run(w, DUET_SECONDS(40)); /* longer than any consent lasts: what works now is the new pair */
        if (!both_connected(w))
            fail_msg("seed %llu: %s %s", (unsigned long long)seed,
                     duet_pc_state_name(duet_pc_connection_state(w->alice.pc)),
                     duet_pc_state_name(duet_pc_connection_state(w->bob.pc)));
        world_assert_all_arrived(w);
        assert_true(w->bob.longest_gap < DUET_MS(1500));
        assert_int_equal(w->alice.disconnected_events + w->bob.disconnected_events, 0);
        world_end(w);
    }
}

/* One offers a restart and takes it back; the other one's ordinary offer goes on. */
static void a_restart_that_is_rolled_back_does_no_harm(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(21, &link);
    duet_offer_options options = {sizeof(options), true};
    char *offer;

    world_connect(w, DUET_SECONDS(10));
    world_send_every(w, DUET_MS(20));
    assert_int_equal(duet_pc_create_offer(w->alice.pc, &options, &offer), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(w->alice.pc, DUET_SDP_OFFER, offer), DUET_OK);
    free(offer);
    world_run(w, DUET_SECONDS(1)); /* carried out, but nobody was told */
    assert_int_equal(duet_pc_set_local_description(w->alice.pc, DUET_SDP_ROLLBACK, NULL), DUET_OK);
    world_run(w, DUET_SECONDS(10));
    assert_int_equal(duet_pc_set_local_description(w->bob.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    signal_description(&w->bob);
    world_run(w, DUET_SECONDS(60));
    w->sending = false;
    world_run(w, DUET_SECONDS(5));
    assert_true(both_connected(w));
    assert_int_equal(w->alice.disconnected_events + w->bob.disconnected_events, 0);
    world_assert_all_arrived(w);
    world_end(w);
}

/* ---- renegotiation of a connection ---- */

static void a_renegotiation_without_news_changes_nothing(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(2, &link);

    world_connect(w, DUET_SECONDS(10));
    world_send_every(w, DUET_MS(10));
    for (int i = 0; i < 5; i++) {
        world_offer(w);
        world_run(w, DUET_SECONDS(1));
        assert_int_equal(duet_pc_set_local_description(w->bob.pc, DUET_SDP_OFFER, NULL), DUET_OK);
        signal_description(&w->bob);
        world_run(w, DUET_SECONDS(1));
    }
    w->sending = false;
    world_run(w, DUET_SECONDS(2));
    assert_true(both_connected(w));
    world_assert_all_arrived(w);
    assert_int_equal(w->alice.connected_events + w->bob.connected_events, 2);
    assert_true(w->bob.longest_gap < DUET_MS(100));
    world_end(w);
}

static void a_second_channel_needs_no_negotiation(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(3, &link);
    duet_dc *dc;

    world_connect(w, DUET_SECONDS(10));
    unsigned needed = w->alice.negotiation_needed;
    w->alice.open = w->bob.open = false;
    assert_int_equal(duet_pc_create_data_channel(w->bob.pc, "second", NULL, &dc), DUET_OK);
    side_use(&w->bob, dc);
    assert_true(duet_sim_run_until(w->sim, world_is_open, w, duet_sim_now(w->sim) + DUET_SECONDS(1)));
    assert_int_equal(w->alice.negotiation_needed, needed);
    assert_int_equal(w->bob.negotiation_needed, 0);
    world_end(w);
}

static char *replaced(const char *sdp, const char *what, const char *with)
{
    const char *at = strstr(sdp, what);

    assert_non_null(at);
    char *out = malloc(strlen(sdp) + strlen(with) + 1);
    assert_non_null(out);
    sprintf(out, "%.*s%s%s", (int)(at - sdp), sdp, with, at + strlen(what));
    return out;
}

static void the_peers_limit_of_messages_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t limit;
    } cases[] = {{"a=max-message-size:1000", 1000}, {"a=x-nothing:0", 65536}, {"a=max-message-size:0", 400000}};
    static uint8_t data[400000];

    for (size_t i = 0; i < 3; i++) {
        duet_sim_link link = {.delay = DUET_MS(1)};
        world *w = world_new(4, &link);
        duet_dc *dc;
        char *offer, *answer;
        world_create_peers(w);
        assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
        side_use(&w->alice, dc);
        assert_int_equal(duet_pc_set_local_description(w->alice.pc, DUET_SDP_OFFER, NULL), DUET_OK);
        assert_int_equal(duet_pc_local_description(w->alice.pc, NULL, &offer), DUET_OK);
        assert_int_equal(duet_pc_set_remote_description(w->bob.pc, DUET_SDP_OFFER, offer), DUET_OK);
        assert_int_equal(duet_pc_create_answer(w->bob.pc, &answer), DUET_OK);
        assert_int_equal(duet_pc_set_local_description(w->bob.pc, DUET_SDP_ANSWER, answer), DUET_OK);
        char *changed = replaced(answer, "a=max-message-size:262144", cases[i].line);
        assert_int_equal(duet_pc_set_remote_description(w->alice.pc, DUET_SDP_ANSWER, changed), DUET_OK);
        assert_true(duet_sim_run_until(w->sim, world_is_open, w, DUET_SECONDS(10)));
        assert_int_equal(duet_dc_send(w->alice.dc, data, cases[i].limit, false), DUET_OK);
        if (i < 2)
            assert_int_equal(duet_dc_send(w->alice.dc, data, cases[i].limit + 1, false), DUET_ERR_TOO_LARGE);
        free(offer);
        free(answer);
        free(changed);
        world_end(w);
    }
}

/* ---- certificates ---- */

static void another_fingerprint_in_a_renegotiation_is_refused(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(5, &link);
    char *offer;

    world_connect(w, DUET_SECONDS(10));
    world_send_every(w, DUET_MS(10));
    assert_int_equal(duet_pc_create_offer(w->bob.pc, NULL, &offer), DUET_OK);
    char *at = strstr(offer, "a=fingerprint:sha-256 ") + strlen("a=fingerprint:sha-256 ");
    *at = *at == '0' ? '1' : '0';
    assert_int_equal(duet_pc_set_remote_description(w->alice.pc, DUET_SDP_OFFER, offer), DUET_ERR_UNSUPPORTED);
    assert_non_null(strstr(duet_pc_error(w->alice.pc)->reason, "fingerprint"));
    assert_int_equal(duet_pc_signaling_state(w->alice.pc), DUET_SIGNALING_STABLE);
    free(offer);
    world_run(w, DUET_SECONDS(2));
    w->sending = false;
    world_run(w, DUET_SECONDS(1));
    world_assert_all_arrived(w);
    world_offer(w); /* and the right one works */
    world_run(w, DUET_SECONDS(1));
    assert_true(both_connected(w));
    world_end(w);
}

static void connections_of_every_certificate_and_role_talk(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        duet_sim_link link = {.delay = DUET_MS(10)};
        world *w = world_new((uint64_t)i + 1, &link);
        side *sides[] = {&w->alice, &w->bob};
        for (int k = 0; k < 2; k++) {
            duet_pc_config config = side_config(sides[k]);
            duet_certificate *certificate;
            assert_int_equal(duet_certificate_generate(&certificate, &sides[k]->env,
                                                       i >> k & 1 ? DUET_KEY_RSA_2048 : DUET_KEY_ECDSA_P256, 0),
                             DUET_OK);
            config.certificate = certificate;
            config.answer_setup = i & 4 ? DUET_SETUP_PASSIVE : DUET_SETUP_ACTIVE;
            side_create(sides[k], &config);
            duet_certificate_destroy(certificate);
        }
        world_connect(w, DUET_SECONDS(10));
        world_end(w);
    }
}

/* ---- destroying inside events ---- */

typedef enum moment {
    AT_GATHERING,
    AT_CANDIDATE,
    AT_ICE_STATE,
    AT_CONNECTED,
    AT_CHANNEL,
    AT_OPEN,
    AT_MESSAGE,
    AT_CLOSING,
    AT_CLOSE,
    MOMENTS,
} moment;

typedef struct victim {
    side *side;
    moment when;
    bool by_closing; /* close() only */
    bool done;
    unsigned after; /* events that came afterwards */
} victim;

static void strike(victim *v, moment now)
{
    side *s = v->side;

    if (v->done) {
        v->after++;
        return;
    }
    if (now != v->when)
        return;
    v->done = true;
    if (v->by_closing) {
        duet_pc_close(s->pc);
        return;
    }
    duet_sim_remove(s->world->sim, s->pc);
    duet_pc_destroy(s->pc);
    s->pc = NULL;
}

static void v_gathering(void *user, duet_pc *pc, duet_ice_gathering_state state)
{
    (void)pc, (void)state;
    strike(user, AT_GATHERING);
}

static void v_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    victim *v = user;

    if (!v->done)
        side_candidate(v->side, pc, c);
    strike(v, AT_CANDIDATE);
}

static void v_ice(void *user, duet_pc *pc, duet_ice_state state)
{
    (void)pc, (void)state;
    strike(user, AT_ICE_STATE);
}

static void v_state(void *user, duet_pc *pc, duet_pc_state state)
{
    (void)pc;
    if (state == DUET_PC_CONNECTED || ((victim *)user)->done)
        strike(user, AT_CONNECTED);
}

static void v_open(void *user, duet_dc *dc)
{
    (void)dc;
    strike(user, AT_OPEN);
}

static void v_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    (void)dc, (void)data, (void)len, (void)is_text;
    strike(user, AT_MESSAGE);
}

static void v_closing(void *user, duet_dc *dc)
{
    (void)dc;
    strike(user, AT_CLOSING);
}

static void v_close(void *user, duet_dc *dc)
{
    (void)dc;
    strike(user, AT_CLOSE);
}

static void v_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {sizeof(callbacks), v_open, v_message, NULL, v_closing, v_close, user};

    (void)pc;
    duet_dc_set_callbacks(dc, &callbacks);
    strike(user, AT_CHANNEL);
}

static void send_some(void *arg)
{
    world *w = arg;

    if (w->alice.open && w->alice.pc && duet_pc_connection_state(w->alice.pc) != DUET_PC_CLOSED)
        (void)world_send(w);
}

static void close_channel(void *arg)
{
    world *w = arg;

    if (w->alice.pc)
        duet_dc_close(w->alice.dc);
}

static void a_connection_may_end_inside_any_of_its_events(void **state)
{
    (void)state;
    for (int when = 0; when < MOMENTS; when++) {
        for (int by_closing = 0; by_closing < 2; by_closing++) {
            duet_sim_link link = {.delay = DUET_MS(5)};
            world *w = world_new(6, &link);
            victim v = {.side = &w->bob, .when = (moment)when, .by_closing = by_closing};
            duet_pc_config a = side_config(&w->alice), b = side_config(&w->bob);
            duet_dc *dc;
            b.on_ice_candidate = v_candidate;
            b.on_ice_gathering_state = v_gathering;
            b.on_connection_state = v_state;
            b.on_ice_connection_state = v_ice;
            b.on_data_channel = v_channel;
            b.user = &v;
            side_create(&w->alice, &a);
            side_create(&w->bob, &b);
            assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
            side_use(&w->alice, dc);
            world_offer(w);
            for (duet_time ms = 1500; ms < 2000; ms += 100)
                duet_sim_at(w->sim, DUET_MS(ms), send_some, w);
            duet_sim_at(w->sim, DUET_SECONDS(3), close_channel, w);
            world_run(w, DUET_SECONDS(5));
            if (!v.done)
                fail_msg("moment %d never came", when);
            if (v.after)
                fail_msg("moment %d, %s: %u more events", when, by_closing ? "closed" : "destroyed", v.after);
            world_end(w);
        }
    }
}

/* ---- the end ---- */

static void a_closed_connection_closes_its_sockets(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(8, &link);
    duet_sim_stats before, after;
    static const uint8_t probe[] = {0xff, 1};
    duet_address from, to;

    world_connect(w, DUET_SECONDS(10));
    duet_address_parse(&from, "10.0.0.2", 49152);
    duet_address_parse(&to, "10.0.0.1", 49152);
    duet_sim_get_stats(w->sim, &before);
    duet_pc_close(w->alice.pc); /* but it is not taken off its driver */
    world_run(w, DUET_SECONDS(1));
    assert_true(w->bob.closed);
    assert_int_equal(duet_pc_deadline(w->alice.pc), DUET_NEVER);
    duet_sim_get_stats(w->sim, &before);
    duet_sim_send(w->sim, &from, &to, probe, sizeof(probe));
    world_run(w, DUET_MS(100));
    duet_sim_get_stats(w->sim, &after);
    assert_int_equal(after.unreachable, before.unreachable + 1);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_begin_and_perfect_negotiation_settles_it),
        cmocka_unit_test(restarts_that_collide_are_all_carried_out),
        cmocka_unit_test(a_restart_that_is_rolled_back_does_no_harm),
        cmocka_unit_test(a_renegotiation_without_news_changes_nothing),
        cmocka_unit_test(a_second_channel_needs_no_negotiation),
        cmocka_unit_test(the_peers_limit_of_messages_is_kept),
        cmocka_unit_test(another_fingerprint_in_a_renegotiation_is_refused),
        cmocka_unit_test(connections_of_every_certificate_and_role_talk),
        cmocka_unit_test(a_connection_may_end_inside_any_of_its_events),
        cmocka_unit_test(a_closed_connection_closes_its_sockets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
