/* What an attacker on the network can try: forged and replayed datagrams in every state, checks with wrong credentials,
 * alerts without protection, floods before the answer, and a peer that is not the one of the description. */
#include "duet/stun.h"
#include "peer_world.h"

#define ATTACKER "10.6.6.6"

/* ---- capturing ---- */

#define CAPTURE_MAX 4000

typedef struct captured {
    duet_path path;
    size_t len;
    uint8_t data[1500];
} captured;

typedef struct capture {
    world *w;
    captured *packets;
    size_t count, replayed, sctp_out;
    unsigned heard; /* datagrams that came to the attacker */
} capture;

static capture *recording; /* the env of a side is the world's: traces need a place of their own */

static void on_trace(void *user, const duet_trace_event *e)
{
    (void)user;
    if (e->kind == DUET_TRACE_PACKET && e->layer == DUET_LAYER_SCTP && e->outgoing)
        recording->sctp_out++;
    if (e->kind != DUET_TRACE_PACKET || e->layer != DUET_LAYER_DATAGRAM || !e->outgoing ||
        recording->count == CAPTURE_MAX || e->len > sizeof(recording->packets[0].data))
        return;
    captured *c = &recording->packets[recording->count++];
    c->path = *e->path;
    c->len = e->len;
    memcpy(c->data, e->data, e->len);
}

static void on_attacker_hears(void *user, duet_sim *sim, const duet_path *path, const uint8_t *data, size_t len)
{
    (void)sim, (void)path, (void)data, (void)len;
    ((capture *)user)->heard++;
}

/* A world with an attacker who sees everything. */
static capture *capture_world(uint64_t seed)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    capture *c = calloc(1, sizeof(*c));
    duet_sim_host *attacker;

    assert_non_null(c);
    c->packets = calloc(CAPTURE_MAX, sizeof(c->packets[0]));
    assert_non_null(c->packets);
    c->w = world_new(seed, &link);
    recording = c;
    c->w->alice.env.trace = c->w->bob.env.trace = on_trace;
    assert_int_equal(duet_sim_host_create(&attacker, c->w->sim, "mallory"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(attacker, ATTACKER, NULL, NULL), DUET_OK);
    assert_int_equal(duet_sim_listen(attacker, ATTACKER, 4000, on_attacker_hears, c), DUET_OK);
    return c;
}

static void capture_end(capture *c)
{
    world_end(c->w);
    free(c->packets);
    free(c);
}

static void attack_from(capture *c, const char *ip, uint16_t port, const char *to_ip, uint16_t to_port,
                        const uint8_t *data, size_t len)
{
    duet_address from, to;

    assert_int_equal(duet_address_parse(&from, ip, port), DUET_OK);
    assert_int_equal(duet_address_parse(&to, to_ip, to_port), DUET_OK);
    assert_int_equal(duet_sim_send(c->w->sim, &from, &to, data, len), DUET_OK);
}

static duet_pc_counters counters_of(const side *s)
{
    duet_pc_counters counters;

    duet_pc_get_counters(s->pc, &counters);
    return counters;
}

static void still_talks(capture *c)
{
    world *w = c->w;
    unsigned before = w->bob.received;

    for (int i = 0; i < 20; i++)
        assert_int_equal(world_send(w), DUET_OK);
    world_run(w, DUET_SECONDS(3));
    assert_int_equal(w->bob.received, before + 20);
    world_assert_all_arrived(w);
    assert_int_equal(w->alice.failed_events + w->bob.failed_events, 0);
    assert_int_equal(w->alice.disconnected_events + w->bob.disconnected_events, 0);
    assert_int_equal(duet_pc_connection_state(w->alice.pc), DUET_PC_CONNECTED);
    assert_int_equal(duet_pc_connection_state(w->bob.pc), DUET_PC_CONNECTED);
}

/* ---- replays ---- */

static void replay(capture *c, bool from_attacker)
{
    for (size_t i = 0, count = c->count; i < count; i++) {
        captured *p = &c->packets[i];
        duet_address from = p->path.local;
        if (from_attacker)
            duet_address_parse(&from, ATTACKER, 4000);
        assert_int_equal(duet_sim_send(c->w->sim, &from, &p->path.remote, p->data, p->len), DUET_OK);
        if (i % 50 == 0)
            world_run(c->w, DUET_MS(5));
    }
    world_run(c->w, DUET_SECONDS(2));
}

static void a_whole_call_replayed_changes_nothing(void **state)
{
    (void)state;
    for (int from_attacker = 0; from_attacker < 2; from_attacker++) {
        capture *c = capture_world(3);
        world_connect(c->w, DUET_SECONDS(10));
        world_send_every(c->w, DUET_MS(10));
        world_run(c->w, DUET_SECONDS(2));
        c->w->sending = false;
        world_run(c->w, DUET_SECONDS(1));
        unsigned received = c->w->bob.received;
        assert_true(c->count > 200);
        replay(c, from_attacker);
        assert_int_equal(c->w->bob.received, received);
        still_talks(c);
        capture_end(c);
    }
}

/* ---- checks with wrong credentials ---- */

static size_t forged_check(uint8_t *out, size_t capacity, const char *username, const char *password, bool fingerprint)
{
    static uint8_t id[DUET_STUN_TRANSACTION_LEN] = {1};
    size_t len;

    id[1]++;
    duet_stun_builder b = duet_stun_begin(out, capacity, DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
    duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 2130706431);
    duet_stun_add_u64(&b, DUET_STUN_ICE_CONTROLLING, UINT64_MAX);
    duet_stun_add_flag(&b, DUET_STUN_USE_CANDIDATE);
    duet_stun_add_integrity(&b, password, strlen(password));
    if (fingerprint)
        duet_stun_add_fingerprint(&b);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    return len;
}

static char *ufrag_of(duet_pc *pc)
{
    char *sdp;

    assert_int_equal(duet_pc_local_description(pc, NULL, &sdp), DUET_OK);
    char *at = strstr(sdp, "a=ice-ufrag:") + strlen("a=ice-ufrag:");
    char *ufrag = strndup(at, strcspn(at, "\r"));
    free(sdp);
    return ufrag;
}

static void send_forged_checks(capture *c)
{
    world *w = c->w;
    char *alice = ufrag_of(w->alice.pc), *bob = ufrag_of(w->bob.pc), username[128];
    uint8_t data[300];
    static const char *const passwords[] = {"", "guessguessguessguessguess"};

    for (int i = 0; i < 8; i++) {
        snprintf(username, sizeof(username), i & 1 ? "%s:%s" : "%.2s:%s", alice, bob);
        size_t len = forged_check(data, sizeof(data), username, passwords[i >> 1 & 1], i < 6);
        attack_from(c, ATTACKER, 4000, "10.0.0.1", 49152, data, len);
        attack_from(c, "10.0.0.2", 49152, "10.0.0.1", 49152, data, len);
        attack_from(c, "10.0.0.2", 50000, "10.0.0.1", 49152, data, len);
    }
    free(alice);
    free(bob);
}

static void checks_with_wrong_credentials_get_no_answer(void **state)
{
    (void)state;
    capture *c = capture_world(4);

    world_connect(c->w, DUET_SECONDS(10));
    for (int i = 0; i < 50; i++) {
        send_forged_checks(c);
        world_run(c->w, DUET_MS(50));
    }
    assert_int_equal(c->heard, 0);
    still_talks(c);
    capture_end(c);
}

/* ---- DTLS without protection ---- */

static void send_plain_records(capture *c, const char *from, uint16_t port)
{
    static const uint8_t records[][15] = {
        {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 50, 0, 2, 2, 40}, /* fatal handshake_failure */
        {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 51, 0, 2, 1, 0},  /* close_notify */
        {21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 9, 52, 0, 2, 2, 40}, /* and in the epoch of the keys */
        {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 53, 0, 2, 0, 0},  {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 9, 54, 0, 2, 1, 2},
    };

    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        attack_from(c, from, port, "10.0.0.1", 49152, records[i], sizeof(records[i]));
        attack_from(c, from, port, "10.0.0.2", 49152, records[i], sizeof(records[i]));
    }
}

typedef struct alerter {
    capture *c;
    unsigned left;
} alerter;

static void keep_alerting(void *arg)
{
    alerter *a = arg;

    if (a->left-- == 0)
        return;
    send_plain_records(a->c, "10.0.0.2", 49152); /* the peer's own address, which no check can tell from him */
    send_plain_records(a->c, "10.0.0.1", 49152);
    send_plain_records(a->c, ATTACKER, 4000);
    duet_sim_at(a->c->w->sim, duet_sim_now(a->c->w->sim) + DUET_MS(2), keep_alerting, a);
}

static void alerts_of_somebody_else_end_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        capture *c = capture_world(seed);
        alerter a = {c, 400};
        duet_sim_at(c->w->sim, DUET_SECONDS(1), keep_alerting, &a); /* through the whole handshake */
        world_connect(c->w, DUET_SECONDS(10));
        world_run(c->w, DUET_SECONDS(1));
        assert_true(counters_of(&c->w->alice).unvalidated > 100);
        still_talks(c);
        capture_end(c);
    }
}

/* ---- before the answer ---- */

static void flood(capture *c, unsigned count)
{
    uint8_t hello[1200] = {22, 0xfe, 0xfd};

    hello[11] = (sizeof(hello) - 13) >> 8;
    hello[12] = (sizeof(hello) - 13) & 0xff;
    hello[13] = 1;
    for (unsigned i = 0; i < count; i++)
        attack_from(c, ATTACKER, (uint16_t)(4000 + i % 100), "10.0.0.1", 49152, hello, sizeof(hello));
}

/* Bob's ClientHello overtakes his answer by far: it is held, and its handshake goes on when the answer comes. */
static void a_client_hello_before_the_answer_is_held_in_spite_of_a_flood(void **state)
{
    (void)state;
    capture *c = capture_world(6);
    world *w = c->w;
    duet_dc *dc;

    w->signaling_delay = DUET_MS(5);
    world_create_peers(w);
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
    side_use(&w->alice, dc);
    world_offer(w);
    duet_sim_run(w->sim, DUET_SECONDS(1) + DUET_MS(7)); /* bob has the offer, his answer is under way … */
    flood(c, 500);
    w->signaling_delay = DUET_SECONDS(1); /* … and his candidates will be late, too */
    duet_sim_run(w->sim, DUET_SECONDS(1) + DUET_MS(9));
    assert_int_equal(counters_of(&w->alice).early_held, 0);
    assert_true(duet_sim_run_until(w->sim, world_is_open, w, DUET_SECONDS(5)));
    assert_true(counters_of(&w->alice).unvalidated >= 500);
    still_talks(c);
    capture_end(c);

    c = capture_world(7);
    w = c->w;
    w->signaling_delay = DUET_MS(5);
    world_create_peers(w);
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
    side_use(&w->alice, dc);
    world_offer(w);
    duet_sim_run(w->sim, DUET_SECONDS(1) + DUET_MS(2));
    w->signaling_delay = DUET_SECONDS(1); /* the answer comes a second later */
    duet_sim_run(w->sim, DUET_SECONDS(1) + DUET_MS(900));
    duet_pc_counters counters = counters_of(&w->alice);
    assert_true(counters.early_held > 0);
    assert_true(counters.early_held <= DUET_PC_EARLY_DATAGRAMS);
    flood(c, 500);
    duet_sim_run(w->sim, DUET_SECONDS(1) + DUET_MS(950));
    assert_int_equal(counters_of(&w->alice).early_held, counters.early_held);
    assert_true(duet_sim_run_until(w->sim, world_is_open, w, DUET_SECONDS(5)));
    print_message("%llu datagrams held, open %.0f ms after the answer\n", (unsigned long long)counters.early_held,
                  (double)(w->alice.open_at - DUET_SECONDS(2) - DUET_MS(5)) / 1000);
    assert_true(w->alice.open_at < DUET_SECONDS(2) + DUET_MS(300)); /* six round trips: none was a retransmission */
    still_talks(c);
    capture_end(c);
}

/* ---- somebody else ---- */

static void a_peer_of_another_fingerprint_gets_not_a_byte(void **state)
{
    (void)state;
    for (int liar = 0; liar < 4; liar++) {
        capture *c = capture_world(8);
        world *w = c->w;
        duet_dc *dc;
        char *offer, *answer;
        duet_pc_config a = side_config(&w->alice), b = side_config(&w->bob);
        b.answer_setup = liar & 2 ? DUET_SETUP_PASSIVE : DUET_SETUP_ACTIVE;
        side_create(&w->alice, &a);
        side_create(&w->bob, &b);
        assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
        side_use(&w->alice, dc);
        assert_int_equal(duet_pc_set_local_description(w->alice.pc, DUET_SDP_OFFER, NULL), DUET_OK);
        assert_int_equal(duet_pc_local_description(w->alice.pc, NULL, &offer), DUET_OK);
        char *digit = strstr(offer, "a=fingerprint:sha-256 ") + strlen("a=fingerprint:sha-256 ");
        if (!(liar & 1))
            *digit = *digit == '0' ? '1' : '0';
        assert_int_equal(duet_pc_set_remote_description(w->bob.pc, DUET_SDP_OFFER, offer), DUET_OK);
        assert_int_equal(duet_pc_set_local_description(w->bob.pc, DUET_SDP_ANSWER, NULL), DUET_OK);
        assert_int_equal(duet_pc_local_description(w->bob.pc, NULL, &answer), DUET_OK);
        digit = strstr(answer, "a=fingerprint:sha-256 ") + strlen("a=fingerprint:sha-256 ");
        if (liar & 1)
            *digit = *digit == '0' ? '1' : '0';
        assert_int_equal(duet_pc_set_remote_description(w->alice.pc, DUET_SDP_ANSWER, answer), DUET_OK);
        world_run(w, DUET_SECONDS(20));
        const side *suspicious = liar & 1 ? &w->alice : &w->bob;
        assert_int_equal(duet_pc_connection_state(suspicious->pc), DUET_PC_FAILED);
        assert_int_equal(suspicious->connected_events, 0);
        assert_false(w->alice.open || w->bob.open);
        assert_true(suspicious == &w->bob || duet_dc_send(dc, "secret", 6, true) == DUET_ERR_STATE);
        free(offer);
        free(answer);
        capture_end(c);
    }
}

/* ---- garbage in every state ---- */

static void garbage_in_every_state_is_only_counted(void **state)
{
    (void)state;
    static const duet_time moments[] = {0,           DUET_MS(3),  DUET_MS(11),    DUET_MS(25),
                                        DUET_MS(40), DUET_MS(70), DUET_SECONDS(2)};

    for (uint64_t seed = 1; seed <= sizeof(moments) / sizeof(moments[0]); seed++) {
        capture *c = capture_world(seed);
        world *w = c->w;
        duet_dc *dc;
        uint8_t data[600];
        uint64_t random = seed;
        world_create_peers(w);
        assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
        side_use(&w->alice, dc);
        world_offer(w);
        duet_sim_run(w->sim, DUET_SECONDS(1) + moments[seed - 1]);
        for (int i = 0; i < 300; i++) {
            size_t len = test_random_below(&random, sizeof(data));
            test_random_fill(&random, data, len);
            if (len)
                data[0] = (uint8_t)(i % 256);
            attack_from(c, i & 1 ? ATTACKER : "10.0.0.2", i & 1 ? 4000 : 49152, "10.0.0.1", 49152, data, len);
            attack_from(c, i & 1 ? ATTACKER : "10.0.0.1", i & 1 ? 4000 : 49152, "10.0.0.2", 49152, data, len);
        }
        assert_true(duet_sim_run_until(w->sim, world_is_open, w, DUET_SECONDS(15)));
        still_talks(c);
        assert_int_equal(c->heard, 0);
        capture_end(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_call_replayed_changes_nothing),
        cmocka_unit_test(checks_with_wrong_credentials_get_no_answer),
        cmocka_unit_test(alerts_of_somebody_else_end_nothing),
        cmocka_unit_test(a_client_hello_before_the_answer_is_held_in_spite_of_a_flood),
        cmocka_unit_test(a_peer_of_another_fingerprint_gets_not_a_byte),
        cmocka_unit_test(garbage_in_every_state_is_only_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
