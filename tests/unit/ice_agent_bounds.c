/* What a hostile or careless peer cannot do: fill memory, flood, forge; and what happens when memory runs out. */
#include "ice_world.h"

static duet_candidate remote_candidate(unsigned n)
{
    duet_candidate c = {.component = 1, .protocol = DUET_UDP, .type = DUET_CANDIDATE_HOST, .priority = 1000 + n};

    snprintf(c.foundation, sizeof(c.foundation), "%u", n);
    c.address = world_address("10.200.0.0", (uint16_t)(1 + n % 60000));
    c.address.ip[2] = (uint8_t)(n >> 8);
    c.address.ip[3] = (uint8_t)n;
    return c;
}

static void rfc8445_6_1_2_5_ten_thousand_candidates_stay_within_the_bounds(void **state)
{
    world w;
    duet_ice_stats stats;
    test_allocator allocator;

    (void)state;
    world_two_hosts(&w, 1);
    world_interface(&w, 0, "10.1.0.1");
    test_allocator_init(&allocator, 0);
    w.agents[0].env.allocator = &allocator.allocator;
    world_create(&w);
    world_gather(&w);
    w.trickle = false;
    world_exchange_credentials(&w);
    size_t refused = 0;
    for (unsigned n = 0; n < 10000; n++) {
        duet_candidate c = remote_candidate(n);
        int err = duet_ice_agent_add_remote_candidate(w.agents[0].agent, &c, w.now);
        assert_true(err == DUET_OK || err == DUET_ERR_LIMIT);
        refused += err == DUET_ERR_LIMIT;
        world_settle(&w);
    }
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(refused, 10000 - DUET_ICE_REMOTE_MAX);
    assert_int_equal(stats.pair_count, DUET_ICE_PAIRS_MAX);
    assert_true(stats.pairs_dropped >= 2 * DUET_ICE_REMOTE_MAX - DUET_ICE_PAIRS_MAX);
    assert_null(duet_ice_agent_remote_candidate(w.agents[0].agent, DUET_ICE_REMOTE_MAX));

    /* Checks leave at the pace of Ta, not faster. */
    size_t before = w.agents[0].outputs;
    world_run(&w, DUET_MS(400));
    assert_in_range(w.agents[0].outputs - before, 15, 21);
    /* The best pairs of all are kept. */
    duet_ice_pair_stats best, other;
    assert_int_equal(duet_ice_agent_get_pair(w.agents[0].agent, 0, &best), DUET_OK);
    for (size_t i = 1; duet_ice_agent_get_pair(w.agents[0].agent, i, &other) == DUET_OK; i++)
        assert_true(other.priority <= best.priority);
    print_message("an agent with 128 remote candidates and 100 pairs holds %llu blocks\n",
                  (unsigned long long)allocator.live);
    assert_true(allocator.live < 700);

    /* The real candidate cannot get in by signalling any more, but the peer's checks find a way. */
    world_run(&w, DUET_SECONDS(60));
    world_free(&w);
    assert_int_equal(allocator.live, 0);
}

static void a_real_peer_gets_through_a_flood_of_candidates(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 2);
    world_create(&w);
    world_gather(&w);
    w.trickle = false;
    world_exchange_credentials(&w);
    for (unsigned n = 0; n < 500; n++) {
        duet_candidate c = remote_candidate(n);
        (void)duet_ice_agent_add_remote_candidate(w.agents[0].agent, &c, w.now);
        if (n % 50 == 0)
            world_run(&w, DUET_MS(5));
    }
    (void)duet_ice_agent_add_remote_candidate(w.agents[1].agent, &w.agents[0].candidates[0], w.now);
    world_run_until_completed(&w, DUET_SECONDS(5));
    world_assert_same_pair(&w);
    world_free(&w);
}

/* ---- forged input ------------------------------------------------------------------------------------------------- */

static void rfc8445_7_3_forged_packets_are_counted_and_change_nothing(void **state)
{
    world w;
    duet_ice_stats before, after;
    uint64_t seed = 5;

    (void)state;
    world_two_hosts(&w, 3);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    world_run(&w, DUET_SECONDS(1));
    duet_ice_agent_get_stats(w.agents[0].agent, &before);
    const duet_ice_credentials *c = duet_ice_agent_local_credentials(w.agents[0].agent);
    size_t outputs = w.agents[0].outputs;
    for (unsigned n = 0; n < 2000; n++) {
        uint8_t buf[400], id[12];
        char username[DUET_UFRAG_MAX + 16];
        size_t len;
        test_random_fill(&seed, id, sizeof(id));
        duet_stun_builder b =
            duet_stun_begin(buf, sizeof(buf), (duet_stun_class)(n % 4 == 1 ? 0 : n % 4), DUET_STUN_BINDING, id);
        snprintf(username, sizeof(username), "%s:x", n % 2 ? c->ufrag : "nobody");
        duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
        if (n % 3)
            duet_stun_add_integrity(&b, "not the password at all", 23);
        if (n % 5)
            duet_stun_add_fingerprint(&b);
        assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
        duet_datagram in = {.data = buf, .len = len, .time = w.now};
        in.path = (duet_path){.socket = 1, .local = w.agents[0].sockets[1], .remote = w.agents[1].sockets[1]};
        assert_int_equal(duet_ice_agent_input(w.agents[0].agent, &in, w.now), DUET_OK);
        world_pull(&w.agents[0]);
    }
    duet_ice_agent_get_stats(w.agents[0].agent, &after);
    assert_int_equal(after.discarded - before.discarded, 2000);
    assert_int_equal(w.agents[0].outputs, outputs); /* not one byte to those who cannot authenticate */
    assert_int_equal(after.pair_count, before.pair_count);
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_free(&w);
}

#define VICTIM "203.0.113.9"

typedef struct volley {
    duet_address victim;
    unsigned total, in_second, worst_second;
    duet_time second;
} volley;

/* Counts what would reach the victim, and loses it. */
static bool count_at_victim(world *w, world_packet *packet)
{
    volley *v = w->user;

    if (!world_ip_is(&packet->to, &v->victim))
        return true;
    v->total++;
    if (w->now >= v->second + DUET_SECONDS(1)) {
        v->second = w->now;
        v->in_second = 0;
    }
    if (++v->in_second > v->worst_second)
        v->worst_second = v->in_second;
    return false;
}

/* "an attacker ... send the target of the attack ... a large number of connectivity checks": Ta and the number of pairs are what
 * bounds them. */
static void rfc8445_19_5_1_checks_aimed_at_a_victim_are_paced_and_bounded(void **state)
{
    world w;
    volley v = {.victim = world_address(VICTIM, 0)};

    (void)state;
    world_two_hosts(&w, 21);
    w.filter = count_at_victim;
    w.user = &v;
    world_create(&w);
    world_gather(&w);
    w.trickle = false;
    world_exchange_credentials(&w);
    for (unsigned n = 0; n < 10000; n++) {
        duet_candidate c = remote_candidate(n);
        c.address = world_address(VICTIM, (uint16_t)(1024 + n));
        (void)duet_ice_agent_add_remote_candidate(w.agents[0].agent, &c, w.now);
    }
    world_run(&w, DUET_SECONDS(120));
    print_message("10,000 candidates at one victim: %u packets, %u in the worst second\n", v.total, v.worst_second);
    assert_true(v.total > 100);
    assert_true(v.total <= 7 * DUET_ICE_PAIRS_MAX); /* Rc transmissions of each pair, RFC 8489 section 6.2.1 */
    assert_true(v.worst_second <= 50 + 50);         /* first transmissions at Ta of 20 ms, and as many repetitions */
    world_free(&w);
}

static void rfc8489_6_3_1_an_authenticated_check_with_an_unknown_attribute_gets_420(void **state)
{
    world w;
    duet_datagram out;
    duet_stun_message m;
    duet_stun_error error;
    duet_stun_attribute a;
    uint8_t buf[400], id[12] = {1};
    char username[DUET_UFRAG_MAX + 16];
    uint16_t types[4];
    size_t len, count = 4;

    (void)state;
    world_two_hosts(&w, 4);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    const duet_ice_credentials *c = duet_ice_agent_local_credentials(w.agents[0].agent);
    for (int round = 0; round < 2; round++) {
        duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
        snprintf(username, sizeof(username), "%s:x", c->ufrag);
        duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
        if (round == 0) {
            duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
            duet_stun_add_flag(&b, 0x7123);
        }
        duet_stun_add_integrity(&b, c->pwd, strlen(c->pwd));
        duet_stun_add_fingerprint(&b);
        assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
        duet_datagram in = {.data = buf, .len = len, .time = w.now};
        in.path = (duet_path){.socket = 1, .local = w.agents[0].sockets[1], .remote = w.agents[1].sockets[1]};
        assert_int_equal(duet_ice_agent_input(w.agents[0].agent, &in, w.now), DUET_OK);
        assert_int_equal(duet_ice_agent_output(w.agents[0].agent, &out, w.now), 1);
        assert_int_equal(duet_stun_parse(&m, out.data, out.len), DUET_OK);
        assert_int_equal(m.message_class, DUET_STUN_ERROR);
        assert_int_equal(duet_stun_verify_integrity(&m, c->pwd, strlen(c->pwd)), DUET_OK);
        assert_int_equal(duet_stun_get_error(&m, &error), DUET_OK);
        assert_int_equal(error.code, round == 0 ? 420 : 400); /* the second one has no PRIORITY */
        if (round == 0) {
            assert_true(duet_stun_find(&m, DUET_STUN_UNKNOWN_ATTRIBUTES, &a));
            assert_int_equal(duet_stun_value_types(&a, types, &count), DUET_OK);
            assert_int_equal(count, 1);
            assert_int_equal(types[0], 0x7123);
        }
    }
    world_free(&w);
}

static void a_driver_that_does_not_pull_costs_bounded_memory(void **state)
{
    world w;
    test_allocator allocator;
    uint8_t buf[400], id[12] = {0};
    char username[DUET_UFRAG_MAX + 16];
    size_t len;

    (void)state;
    world_two_hosts(&w, 5);
    test_allocator_init(&allocator, 0);
    w.agents[0].env.allocator = &allocator.allocator;
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    const duet_ice_credentials *c = duet_ice_agent_local_credentials(w.agents[0].agent);
    for (unsigned n = 0; n < 3000; n++) {
        memcpy(id, &n, sizeof(n));
        duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
        snprintf(username, sizeof(username), "%s:x", c->ufrag);
        duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
        duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
        duet_stun_add_integrity(&b, c->pwd, strlen(c->pwd));
        duet_stun_add_fingerprint(&b);
        assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
        duet_datagram in = {.data = buf, .len = len, .time = w.now};
        in.path = (duet_path){.socket = 1, .local = w.agents[0].sockets[1], .remote = w.agents[1].sockets[1]};
        assert_int_equal(duet_ice_agent_input(w.agents[0].agent, &in, w.now), DUET_OK);
    }
    assert_true(allocator.live < 300);
    size_t before = w.agents[0].outputs;
    world_pull(&w.agents[0]);
    assert_in_range(w.agents[0].outputs - before, 64, 256);
    world_free(&w);
    assert_int_equal(allocator.live, 0);
}

/* ---- out of memory -------------------------------------------------------------------------------------------------- */

static const char *const stun_url[] = {"stun:stun.example.org"};
static const duet_ice_server stun = {.urls = stun_url, .url_count = 1, .username = "u", .credential = "c"};
static const duet_ice_server *const stun_servers[] = {&stun};

/* A whole session of which one side is short of memory once: a call reports it, or the session goes well. */
static int session(const duet_env *env, void *arg)
{
    world w;
    bool failed = false;

    (void)arg;
    world_two_hosts(&w, 6);
    world_interface(&w, 0, "2001:db8::1");
    world_interface(&w, 1, "2001:db8::2");
    w.stun_server = world_address("192.0.2.99", 3478);
    w.stun_maps = world_address("203.0.113.7", 0);
    w.agents[0].env.allocator = env->allocator;
    w.agents[0].config.servers = stun_servers;
    w.agents[0].config.server_count = 1;
    for (size_t i = 2; i-- > 0;) {
        int err = duet_ice_agent_create(&w.agents[i].agent, &w.agents[i].config);
        if (err) {
            assert_int_equal(err, DUET_ERR_NOMEM);
            world_free(&w);
            return err;
        }
    }
    for (size_t i = 0; i < 2; i++)
        failed |= duet_ice_agent_gather(w.agents[i].agent, w.now) != DUET_OK;
    world_settle(&w);
    for (size_t i = 0; i < 2; i++) {
        duet_ice_credentials c = *duet_ice_agent_local_credentials(w.agents[1 - i].agent);
        /* A call that found no memory may be repeated. */
        for (int tries = 0; tries < 2; tries++)
            failed |= duet_ice_agent_set_remote(w.agents[i].agent, &c, false, w.now) != DUET_OK;
    }
    w.signalled = true;
    world_run(&w, DUET_SECONDS(8));
    if (world_is_up(&w.agents[0])) {
        failed |= duet_ice_agent_restart(w.agents[0].agent, NULL, w.now) != DUET_OK;
        world_run(&w, DUET_SECONDS(8));
    }
    duet_ice_agent_close(w.agents[0].agent, w.now);
    world_settle(&w);
    bool up = w.agents[0].states_seen & 1u << DUET_ICE_CONNECTED;
    failed |= w.agents[0].answer_errors > 0 || w.agents[0].candidate_errors > 0;
    /* What no call reports must be made good later: by repeated checks, by events that are made up for. */
    if (!up && !failed && !((test_allocator *)env->allocator->user)->fail_after)
        fail_msg("a lost allocation was not reported, and the two did not connect");
    world_free(&w);
    return up && !failed ? DUET_OK : DUET_ERR_NOMEM;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("ice session", session, NULL);
}

/* All later allocations fail too: the agent stays usable and can be destroyed. */
static void memory_may_run_out_for_good(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 120; n++) {
        test_allocator t;
        test_allocator_init(&t, n);
        t.fail_after = true;
        duet_env env = DUET_ENV_INIT;
        env.allocator = &t.allocator;
        (void)session(&env, NULL);
        assert_int_equal(t.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8445_6_1_2_5_ten_thousand_candidates_stay_within_the_bounds),
        cmocka_unit_test(a_real_peer_gets_through_a_flood_of_candidates),
        cmocka_unit_test(rfc8445_7_3_forged_packets_are_counted_and_change_nothing),
        cmocka_unit_test(rfc8445_19_5_1_checks_aimed_at_a_victim_are_paced_and_bounded),
        cmocka_unit_test(rfc8489_6_3_1_an_authenticated_check_with_an_unknown_attribute_gets_420),
        cmocka_unit_test(a_driver_that_does_not_pull_costs_bounded_memory),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(memory_may_run_out_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
