/* Role conflicts, nomination that moves, ICE-lite, the attribute hook. */
#include "ice_world.h"

static void both_in_role(uint64_t seed, duet_ice_role role)
{
    world w;
    duet_ice_stats stats[2];

    world_two_hosts(&w, seed);
    w.agents[0].config.role = role;
    w.agents[1].config.role = role;
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    world_assert_same_pair(&w);
    assert_true(duet_ice_agent_role(w.agents[0].agent) != duet_ice_agent_role(w.agents[1].agent));
    assert_int_equal(w.agents[0].role_events + w.agents[1].role_events, 1);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats[0]);
    duet_ice_agent_get_stats(w.agents[1].agent, &stats[1]);
    assert_true(stats[0].role_conflicts + stats[1].role_conflicts > 0);
    world_free(&w);
}

static void two_controlling_agents_agree(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        both_in_role(seed, DUET_ICE_CONTROLLING);
}

static void two_controlled_agents_agree(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        both_in_role(seed, DUET_ICE_CONTROLLED);
}

static int same_random(void *user, uint8_t *out, size_t len)
{
    uint64_t *seed = user;

    /* The tie-breaker is drawn first: the same for both. Everything else differs. */
    if (*seed >> 63) {
        memset(out, 0x55, len);
        *seed &= ~(UINT64_C(1) << 63);
        return 0;
    }
    return test_random_fill(user, out, len);
}

static void equal_tie_breakers_are_drawn_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        for (int role = 0; role < 2; role++) {
            world w;
            world_two_hosts(&w, seed);
            for (size_t i = 0; i < 2; i++) {
                w.agents[i].env.random = same_random;
                w.agents[i].seed |= UINT64_C(1) << 63;
                w.agents[i].config.role = (duet_ice_role)role;
            }
            world_start(&w);
            world_run_until_completed(&w, DUET_SECONDS(10));
            assert_true(duet_ice_agent_role(w.agents[0].agent) != duet_ice_agent_role(w.agents[1].agent));
            world_free(&w);
        }
    }
}

static void role_conflicts_are_solved_under_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 130; seed++) {
        world w;
        world_two_hosts(&w, seed);
        w.loss_percent = 20;
        w.agents[1].config.role = DUET_ICE_CONTROLLING;
        world_start(&w);
        world_run_until_completed(&w, DUET_SECONDS(35));
        world_assert_same_pair(&w);
        world_free(&w);
    }
}

/* ---- a peer written by hand, that does as it likes ------------------------------------------------------------------ */

static void send_check(world *w, const duet_address *from, bool use_candidate, uint64_t n)
{
    world_agent *to = &w->agents[1];
    uint8_t buf[700], id[12] = {0xCC};
    char username[DUET_UFRAG_MAX + 16];
    size_t len;
    const duet_ice_credentials *c = duet_ice_agent_local_credentials(to->agent);

    memcpy(id + 4, &n, sizeof(n));
    snprintf(username, sizeof(username), "%s:remote", c->ufrag);
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
    duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
    duet_stun_add(&b, DUET_STUN_GOOG_NETWORK_INFO, "\0\0\0\1", 4);
    duet_stun_add_u64(&b, DUET_STUN_ICE_CONTROLLING, 1);
    if (use_candidate)
        duet_stun_add_flag(&b, DUET_STUN_USE_CANDIDATE);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1853817087);
    duet_stun_add_integrity(&b, c->pwd, strlen(c->pwd));
    duet_stun_add_fingerprint(&b);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    world_send(w, from, &to->sockets[1], buf, len);
}

static const char manual_pwd[] = "0123456789012345678901";

/* Answers the agent's checks, whatever they are. */
static bool manual_peer(world *w, world_packet *p)
{
    duet_stun_message m;
    uint8_t buf[200];
    size_t len;

    if (p->from.port != w->agents[1].sockets[1].port)
        return true; /* from the manual peer */
    if (duet_stun_parse(&m, p->data, p->len) != DUET_OK || m.message_class != DUET_STUN_REQUEST)
        return true;
    assert_int_equal(duet_stun_verify_integrity(&m, manual_pwd, strlen(manual_pwd)), DUET_OK);
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_SUCCESS, DUET_STUN_BINDING, m.transaction_id);
    duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &p->from);
    duet_stun_add_integrity(&b, manual_pwd, strlen(manual_pwd));
    duet_stun_add_fingerprint(&b);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    duet_address from = p->to, to = p->from;
    w->packet_count--; /* the request is consumed; the filter's caller will take this slot off again */
    world_send(w, &from, &to, buf, len);
    w->packet_count++;
    return false;
}

static void the_controlled_agent_follows_the_latest_nomination(void **state)
{
    world w;
    duet_ice_credentials manual = {.ufrag = "remote"};
    duet_address one = world_address("10.0.0.77", 7001), two = world_address("10.0.0.77", 7002);
    duet_datagram route = {0};

    (void)state;
    world_two_hosts(&w, 3);
    memcpy(manual.pwd, manual_pwd, sizeof(manual_pwd));
    world_create(&w);
    assert_int_equal(duet_ice_agent_gather(w.agents[1].agent, w.now), DUET_OK);
    world_serve_requests(&w.agents[1]);
    assert_int_equal(duet_ice_agent_set_remote(w.agents[1].agent, &manual, false, w.now), DUET_OK);
    w.filter = manual_peer;
    for (uint64_t n = 0; n < 6; n++) {
        const duet_address *from = n % 2 ? &two : &one;
        send_check(&w, from, true, n);
        world_run(&w, DUET_MS(300));
        assert_int_equal(duet_ice_agent_route(w.agents[1].agent, &route), DUET_OK);
        assert_int_equal(route.path.remote.port, from->port);
        /* A check without USE-CANDIDATE on the other pair changes nothing. */
        send_check(&w, n % 2 ? &one : &two, false, 100 + n);
        world_run(&w, DUET_MS(300));
        assert_int_equal(duet_ice_agent_route(w.agents[1].agent, &route), DUET_OK);
        assert_int_equal(route.path.remote.port, from->port);
    }
    assert_true(world_is_up(&w.agents[1]));
    assert_int_equal(w.agents[1].selected_events, 6);
    world_free(&w);
}

/* Every check says USE-CANDIDATE, the better pair first: the worse one that becomes valid later does not replace it. */
static void aggressive_nomination_selects_the_pair_of_the_highest_priority(void **state)
{
    world w;
    duet_ice_credentials manual = {.ufrag = "remote"};
    duet_address one = world_address("10.0.0.77", 7001), two = world_address("10.0.0.77", 7002);
    duet_datagram route = {0};

    (void)state;
    world_two_hosts(&w, 5);
    memcpy(manual.pwd, manual_pwd, sizeof(manual_pwd));
    world_create(&w);
    assert_int_equal(duet_ice_agent_gather(w.agents[1].agent, w.now), DUET_OK);
    world_serve_requests(&w.agents[1]);
    assert_int_equal(duet_ice_agent_set_remote(w.agents[1].agent, &manual, false, w.now), DUET_OK);
    static const char better[] = "candidate:1 1 udp 2113929471 10.0.0.77 7001 typ host";
    duet_candidate c;
    assert_int_equal(duet_candidate_parse(&c, better, strlen(better), NULL, NULL), DUET_OK);
    assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[1].agent, &c, w.now), DUET_OK);
    w.filter = manual_peer;
    for (uint64_t n = 0; n < 10; n++) {
        send_check(&w, n % 2 ? &two : &one, true, n);
        world_run(&w, DUET_MS(100));
        assert_int_equal(duet_ice_agent_route(w.agents[1].agent, &route), DUET_OK);
        assert_int_equal(route.path.remote.port, 7001);
    }
    assert_int_equal(w.agents[1].selected_events, 1);
    world_free(&w);
}

/* ---- ICE-lite --------------------------------------------------------------------------------------------------------- */

static void lite_pair(size_t lite, duet_ice_role role)
{
    world w;

    world_two_hosts(&w, 9);
    w.agents[lite].config.lite = true;
    w.agents[lite].config.role = role;
    world_start(&w);
    world_run_while(&w, w.now + DUET_SECONDS(5), world_not_completed);
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    assert_int_equal(w.agents[1].state, DUET_ICE_COMPLETED);
    world_assert_same_pair(&w);
    assert_int_equal(duet_ice_agent_role(w.agents[1 - lite].agent), DUET_ICE_CONTROLLING);
    duet_ice_pair_stats pair = world_selected(&w.agents[lite]);
    assert_int_equal(pair.requests_sent, 0);
    world_run(&w, DUET_SECONDS(120));
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    assert_int_equal(w.agents[1].state, DUET_ICE_COMPLETED);

    /* The full peer goes away: the lite one notices. */
    w.agents[1 - lite].blackhole = true;
    world_run(&w, DUET_SECONDS(20));
    assert_int_equal(w.agents[lite].state, DUET_ICE_DISCONNECTED);
    w.agents[1 - lite].blackhole = false;
    world_run(&w, DUET_SECONDS(7));
    assert_int_equal(w.agents[lite].state, DUET_ICE_COMPLETED);
    w.agents[1 - lite].blackhole = true;
    world_run(&w, DUET_SECONDS(40));
    assert_int_equal(w.agents[lite].state, DUET_ICE_FAILED);
    assert_int_equal(w.agents[1 - lite].state, DUET_ICE_FAILED);
    world_free(&w);
}

static void a_lite_agent_answers_a_full_one(void **state)
{
    (void)state;
    lite_pair(1, DUET_ICE_CONTROLLED);
}

static void a_lite_agent_offers_to_a_full_one(void **state)
{
    (void)state;
    lite_pair(0, DUET_ICE_CONTROLLED);
}

static void two_lite_agents_take_the_best_pair_without_checks(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 10);
    world_interface(&w, 0, "2001:db8::1");
    world_interface(&w, 1, "2001:db8::2");
    w.agents[0].config.lite = w.agents[1].config.lite = true;
    world_start(&w);
    world_run(&w, DUET_SECONDS(1));
    world_assert_same_pair(&w);
    assert_int_equal(w.agents[0].outputs, 0);
    assert_true(world_send_data(&w, 0));
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[1].data_received, 1);
    world_free(&w);
}

/* ---- the attribute hook ------------------------------------------------------------------------------------------------ */

static size_t provided[2][2], received[2][2];

static size_t provide(void *user, bool is_request, uint8_t *out, size_t capacity)
{
    world_agent *a = user;
    size_t i = (size_t)(a - a->world->agents);

    assert_true(capacity >= 1000);
    provided[i][is_request]++;
    out[0] = (uint8_t)i;
    out[1] = is_request;
    memset(out + 2, 0xDD, 900);
    return 902;
}

static void sink(void *user, bool is_request, const uint8_t *data, size_t len)
{
    world_agent *a = user;
    size_t i = (size_t)(a - a->world->agents);

    assert_int_equal(len, 902);
    assert_int_equal(data[0], 1 - i);
    assert_int_equal(data[1], is_request);
    received[i][is_request]++;
}

static void the_hook_carries_bytes_in_checks_both_ways(void **state)
{
    world w;

    (void)state;
    memset(provided, 0, sizeof(provided));
    memset(received, 0, sizeof(received));
    world_two_hosts(&w, 11);
    for (size_t i = 0; i < 2; i++) {
        w.agents[i].config.check_attribute = 0xC070;
        w.agents[i].config.check_attribute_provide = provide;
        w.agents[i].config.check_attribute_sink = sink;
    }
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < 2; k++) {
            assert_true(received[i][k] > 0);
            assert_int_equal(received[i][k], provided[1 - i][k]);
        }
    }
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_controlling_agents_agree),
        cmocka_unit_test(two_controlled_agents_agree),
        cmocka_unit_test(equal_tie_breakers_are_drawn_again),
        cmocka_unit_test(role_conflicts_are_solved_under_loss),
        cmocka_unit_test(the_controlled_agent_follows_the_latest_nomination),
        cmocka_unit_test(aggressive_nomination_selects_the_pair_of_the_highest_priority),
        cmocka_unit_test(a_lite_agent_answers_a_full_one),
        cmocka_unit_test(a_lite_agent_offers_to_a_full_one),
        cmocka_unit_test(two_lite_agents_take_the_best_pair_without_checks),
        cmocka_unit_test(the_hook_carries_bytes_in_checks_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
