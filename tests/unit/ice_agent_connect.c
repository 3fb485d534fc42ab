/* Two agents find each other: round trips, loss, several addresses, trickling, checks before the answer, bad secrets. */
#include "ice_world.h"

static void two_hosts_connect_in_one_round_trip_and_nominate_in_the_next(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 1);
    world_start(&w);
    duet_time start = w.now;
    world_run_until_completed(&w, DUET_SECONDS(5));
    assert_int_equal(w.agents[0].connected_at - start, 2 * w.delay);
    assert_int_equal(w.agents[1].connected_at - start, 2 * w.delay);
    assert_true(w.now - start <= 4 * w.delay);
    assert_int_equal(w.agents[0].states_seen,
                     1u << DUET_ICE_CHECKING | 1u << DUET_ICE_CONNECTED | 1u << DUET_ICE_COMPLETED);
    world_assert_same_pair(&w);
    assert_true(duet_ice_agent_rtt(w.agents[0].agent) == 2 * w.delay);
    assert_true(w.agents[0].wakes > 0);
    world_free(&w);
}

static void agents_connect_without_any_delay(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 2);
    w.delay = 0;
    world_start(&w);
    duet_time start = w.now;
    world_run_until_completed(&w, DUET_MS(1));
    assert_true(w.now == start);
    world_free(&w);
}

static void agents_connect_under_loss(void **state)
{
    (void)state;
    for (unsigned loss = 5; loss <= 20; loss += 5) {
        duet_time worst = 0, worst_connected = 0;
        for (uint64_t seed = 1; seed <= 25; seed++) {
            world w;
            world_two_hosts(&w, seed);
            w.loss_percent = loss;
            world_start(&w);
            duet_time start = w.now;
            world_run_until_completed(&w, DUET_SECONDS(35));
            worst = w.now - start > worst ? w.now - start : worst;
            for (size_t i = 0; i < 2; i++) {
                duet_time connected = w.agents[i].connected_at - start;
                worst_connected = connected > worst_connected ? connected : worst_connected;
            }
            world_assert_same_pair(&w);
            world_free(&w);
        }
        print_message("%u %% loss: slowest of 25 seeds connected in %u ms, completed in %u ms\n", loss,
                      (unsigned)(worst_connected / 1000), (unsigned)(worst / 1000));
        assert_true(worst_connected < DUET_SECONDS(4));
        assert_true(worst < DUET_SECONDS(8));
    }
}

static void ipv6_comes_first_when_both_have_it(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 3);
    world_interface(&w, 0, "2001:db8::1");
    world_interface(&w, 1, "2001:db8::2");
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    world_assert_same_pair(&w);
    assert_int_equal(w.agents[0].selected_local.address.family, DUET_AF_INET6);
    assert_int_equal(w.agents[1].selected_remote.address.family, DUET_AF_INET6);
    world_free(&w);
}

static void ipv4_carries_the_session_when_ipv6_is_broken(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 4);
    world_interface(&w, 0, "2001:db8::1");
    world_interface(&w, 1, "2001:db8::2");
    w.cut = world_address("2001:db8::1", 0);
    world_start(&w);
    duet_time start = w.now;
    world_run_while(&w, w.now + DUET_SECONDS(3), NULL);
    assert_int_equal(w.agents[0].selected_local.address.family, DUET_AF_INET);
    assert_true(w.agents[0].connected_at - start <= 4 * w.delay + DUET_MS(40));
    /* The better pair is waited for, 200 ms; then the one that works is nominated. */
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_assert_same_pair(&w);
    world_free(&w);
}

static void loopback_is_gathered_only_on_request(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 5);
    for (size_t i = 0; i < 2; i++) {
        w.agents[i].interface_count = 0;
        world_interface(&w, i, "127.0.0.1");
        world_interface(&w, i, "::1");
        w.agents[i].config.loopback = i == 0;
    }
    world_create(&w);
    world_gather(&w);
    world_run(&w, DUET_MS(1));
    assert_int_equal(w.agents[0].candidate_count, 2);
    assert_int_equal(w.agents[1].candidate_count, 0);
    assert_int_equal(w.agents[1].gathering, DUET_ICE_GATHERING_COMPLETE);
    assert_true(w.agents[1].end_of_candidates);
    world_free(&w);
}

static void a_bound_agent_gathers_that_address_without_asking_for_interfaces(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 6);
    w.agents[0].config.bind = world_address("127.0.0.1", 0);
    w.agents[1].config.bind = world_address("127.0.0.1", 0);
    world_start(&w);
    duet_time start = w.now;
    w.delay = 0;
    world_run_until_completed(&w, DUET_MS(3));
    assert_true(w.now - start < DUET_MS(1));
    assert_int_equal(w.agents[0].candidate_count, 1);
    world_free(&w);
}

static void candidates_that_trickle_in_late_are_paired(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 7);
    world_create(&w);
    world_gather(&w);
    w.trickle = false;
    world_exchange_credentials(&w);
    world_run(&w, DUET_SECONDS(10));
    assert_int_equal(w.agents[0].state, DUET_ICE_CHECKING);
    w.trickle = true;
    duet_time start = w.now;
    world_run_until_completed(&w, DUET_SECONDS(2));
    assert_true(w.now - start <= 4 * w.delay);
    world_free(&w);
}

/* Only one side learns of the other: the checks themselves tell the rest (peer-reflexive candidates). */
static void one_sided_signalling_is_enough(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 8);
    world_create(&w);
    world_gather(&w);
    world_exchange_credentials(&w);
    w.trickle = false;
    world_settle(&w);
    for (size_t i = 0; i < w.agents[0].candidate_count; i++)
        assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[1].agent, &w.agents[0].candidates[i], w.now),
                         DUET_OK);
    world_run_until_completed(&w, DUET_SECONDS(2));
    assert_int_equal(w.agents[0].selected_remote.type, DUET_CANDIDATE_PRFLX);
    world_assert_same_pair(&w);

    /* The signalled candidate comes at last: the reflexive one becomes it, and there is still one pair. */
    duet_ice_stats before, after;
    duet_ice_agent_get_stats(w.agents[0].agent, &before);
    assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[0].agent, &w.agents[1].candidates[0], w.now),
                     DUET_OK);
    duet_ice_agent_get_stats(w.agents[0].agent, &after);
    assert_int_equal(before.pair_count, after.pair_count);
    assert_int_equal(duet_ice_agent_remote_candidate(w.agents[0].agent, 0)->type, DUET_CANDIDATE_HOST);
    assert_null(duet_ice_agent_remote_candidate(w.agents[0].agent, 1));
    world_free(&w);
}

static void checks_before_the_answer_are_answered_and_acted_upon_later(void **state)
{
    world w;
    duet_ice_stats stats;

    (void)state;
    world_two_hosts(&w, 9);
    world_create(&w);
    world_gather(&w);
    /* The answerer has everything, the offerer has nothing yet. */
    duet_ice_credentials offer = *duet_ice_agent_local_credentials(w.agents[0].agent);
    assert_int_equal(duet_ice_agent_set_remote(w.agents[1].agent, &offer, false, w.now), DUET_OK);
    for (size_t i = 0; i < w.agents[0].candidate_count; i++)
        (void)duet_ice_agent_add_remote_candidate(w.agents[1].agent, &w.agents[0].candidates[i], w.now);
    world_run(&w, DUET_MS(200));
    assert_int_equal(w.agents[1].state, DUET_ICE_CONNECTED);
    assert_int_equal(w.agents[0].state, DUET_ICE_NEW);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.early_held, 1);
    assert_int_equal(stats.early_dropped, 0);

    duet_time start = w.now;
    duet_ice_credentials answer = *duet_ice_agent_local_credentials(w.agents[1].agent);
    assert_int_equal(duet_ice_agent_set_remote(w.agents[0].agent, &answer, false, w.now), DUET_OK);
    world_run_until_completed(&w, DUET_SECONDS(2));
    assert_true(w.now - start <= 4 * w.delay);
    world_free(&w);
}

static size_t check_message(const world_agent *to, const char *pwd, uint8_t *buf, size_t size, uint64_t n)
{
    char username[600];
    uint8_t id[12] = {0};
    size_t len;

    memcpy(id, &n, sizeof(n));
    snprintf(username, sizeof(username), "%s:peer", duet_ice_agent_local_credentials(to->agent)->ufrag);
    duet_stun_builder b = duet_stun_begin(buf, size, DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
    duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
    duet_stun_add_u64(&b, DUET_STUN_ICE_CONTROLLED, 5);
    duet_stun_add_integrity(&b, pwd, strlen(pwd));
    duet_stun_add_fingerprint(&b);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    return len;
}

static void input_check(world_agent *to, const char *pwd, uint16_t port, uint64_t n)
{
    uint8_t buf[700];
    duet_datagram in = {.data = buf, .len = check_message(to, pwd, buf, sizeof(buf), n), .time = to->world->now};

    in.path = (duet_path){.socket = 1, .local = to->sockets[1], .remote = world_address("10.9.9.9", port)};
    assert_int_equal(duet_ice_agent_input(to->agent, &in, to->world->now), DUET_OK);
}

static void early_checks_are_bounded(void **state)
{
    world w;
    duet_ice_stats stats;

    (void)state;
    world_two_hosts(&w, 10);
    world_create(&w);
    world_gather(&w);
    const char *pwd = duet_ice_agent_local_credentials(w.agents[0].agent)->pwd;
    for (uint16_t i = 0; i < 1000; i++)
        input_check(&w.agents[0], pwd, (uint16_t)(1000 + i), i);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.early_held, DUET_ICE_EARLY_MAX);
    assert_int_equal(stats.early_dropped, 1000 - DUET_ICE_EARLY_MAX);
    world_free(&w);
}

static void peer_reflexive_candidates_are_bounded(void **state)
{
    world w;
    duet_ice_stats stats;

    (void)state;
    world_two_hosts(&w, 11);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    const char *pwd = duet_ice_agent_local_credentials(w.agents[0].agent)->pwd;
    for (uint32_t i = 0; i < 5000; i++) {
        input_check(&w.agents[0], pwd, (uint16_t)(1000 + i), i);
        world_pull(&w.agents[0]);
    }
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_true(stats.pair_count <= DUET_ICE_PAIRS_MAX);
    size_t remotes = 0;
    while (duet_ice_agent_remote_candidate(w.agents[0].agent, remotes))
        remotes++;
    assert_true(remotes <= 40);
    /* And the session goes on. */
    world_run(&w, DUET_SECONDS(60));
    assert_true(world_is_up(&w.agents[0]) && world_is_up(&w.agents[1]));
    world_free(&w);
}

static void a_wrong_password_leads_to_failed_and_never_before_the_patience_is_over(void **state)
{
    world w;
    duet_ice_stats stats;

    (void)state;
    world_two_hosts(&w, 12);
    world_create(&w);
    world_gather(&w);
    for (size_t i = 0; i < 2; i++) {
        duet_ice_credentials c = *duet_ice_agent_local_credentials(w.agents[1 - i].agent);
        c.pwd[0] = c.pwd[0] == 'a' ? 'b' : 'a';
        assert_int_equal(duet_ice_agent_set_remote(w.agents[i].agent, &c, false, w.now), DUET_OK);
    }
    w.signalled = true;
    world_run(&w, DUET_MS(39000));
    assert_int_equal(w.agents[0].state, DUET_ICE_CHECKING);
    world_run(&w, DUET_MS(2000));
    assert_int_equal(w.agents[0].state, DUET_ICE_FAILED);
    assert_int_equal(w.agents[1].state, DUET_ICE_FAILED);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_true(stats.discarded >= 7);
    assert_int_equal(w.agents[0].outputs, 7); /* seven transmissions, and no answer to what cannot be authenticated */
    assert_true(duet_ice_agent_deadline(w.agents[0].agent) == DUET_NEVER);
    world_free(&w);
}

static void rfc8445_7_3_a_wrong_fragment_gets_no_answer(void **state)
{
    world w;
    duet_ice_stats stats;

    (void)state;
    world_two_hosts(&w, 13);
    world_create(&w);
    world_gather(&w);
    for (size_t i = 0; i < 2; i++) {
        duet_ice_credentials c = *duet_ice_agent_local_credentials(w.agents[1 - i].agent);
        memcpy(c.ufrag, "ABCDEFGH", 9);
        assert_int_equal(duet_ice_agent_set_remote(w.agents[i].agent, &c, false, w.now), DUET_OK);
        world_settle(&w);
        for (size_t k = 0; k < w.agents[1 - i].candidate_count; k++) {
            duet_candidate candidate = w.agents[1 - i].candidates[k];
            candidate.ufrag[0] = 0;
            (void)duet_ice_agent_add_remote_candidate(w.agents[i].agent, &candidate, w.now);
        }
    }
    world_run(&w, DUET_SECONDS(42));
    assert_int_equal(w.agents[0].state, DUET_ICE_FAILED);
    assert_int_equal(w.agents[0].outputs, 7);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.discarded, 7);
    world_free(&w);
}

static bool answer_from_elsewhere(world *w, world_packet *p)
{
    duet_stun_message m;

    (void)w;
    if (duet_stun_parse(&m, p->data, p->len) == DUET_OK && m.message_class == DUET_STUN_SUCCESS)
        p->from.port = 9999;
    return true;
}

static void rfc8445_7_2_5_2_1_a_response_from_another_address_fails_the_pair(void **state)
{
    world w;
    duet_ice_pair_stats pair;

    (void)state;
    world_two_hosts(&w, 14);
    w.filter = answer_from_elsewhere;
    world_start(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].state, DUET_ICE_CHECKING);
    assert_int_equal(duet_ice_agent_get_pair(w.agents[0].agent, 0, &pair), DUET_OK);
    assert_int_equal(pair.state, DUET_ICE_PAIR_FAILED);
    world_free(&w);
}

static void candidates_that_cannot_be_used_are_counted(void **state)
{
    static const char *const lines[] = {
        "candidate:1 2 udp 2113929471 10.0.0.2 5000 typ host", /* component 2 */
        "candidate:1 1 tcp 1518214911 10.0.0.2 9 typ host tcptype active",
        "candidate:1 1 udp 2113929471 0.0.0.0 5000 typ host",
        "candidate:1 1 udp 2113929471 224.0.0.1 5000 typ host",
        "candidate:1 1 udp 2113929471 10.0.0.2 0 typ host",
        "candidate:1 1 udp 2113929471 ::ffff:10.0.0.2 5000 typ host",
        "candidate:1 1 udp 2113929471 10.0.0.2 5000 typ host ufrag other",
        "candidate:1 1 udp 2113929471 0c7f9a5a-aaaa-bbbb-cccc-000000000000.local 5000 typ host",
    };
    world w;
    duet_ice_stats stats;

    (void)state;
    world_two_hosts(&w, 15);
    world_start(&w);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        duet_candidate c;
        assert_int_equal(duet_candidate_parse(&c, lines[i], strlen(lines[i]), NULL, NULL), DUET_OK);
        assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[0].agent, &c, w.now), DUET_OK);
        world_serve_requests(&w.agents[0]); /* nobody knows the name */
        duet_ice_agent_get_stats(w.agents[0].agent, &stats);
        assert_int_equal(stats.candidates_ignored, i + 1);
        assert_int_equal(stats.pair_count, 0);
    }
    world_free(&w);
}

static void candidates_with_a_name_are_looked_up(void **state)
{
    world w;
    duet_candidate c;
    char line[128];

    (void)state;
    world_two_hosts(&w, 16);
    world_create(&w);
    world_gather(&w);
    w.trickle = false;
    world_exchange_credentials(&w);
    world_settle(&w);
    snprintf(line, sizeof(line), "candidate:1 1 udp 2113929471 peer.example.org %u typ host",
             w.agents[1].candidates[0].address.port);
    assert_int_equal(duet_candidate_parse(&c, line, strlen(line), NULL, NULL), DUET_OK);
    assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[0].agent, &c, w.now), DUET_OK);
    world_run_until_completed(&w, DUET_SECONDS(2));
    assert_string_equal(duet_ice_agent_remote_candidate(w.agents[0].agent, 0)->name, "");
    world_free(&w);
}

static void a_closed_agent_asks_for_its_sockets_to_be_closed(void **state)
{
    world w;
    duet_request r;

    (void)state;
    world_two_hosts(&w, 17);
    world_interface(&w, 0, "10.1.0.1");
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    duet_ice_agent_close(w.agents[0].agent, w.now);
    assert_int_equal(w.agents[0].state, DUET_ICE_CLOSED);
    assert_int_equal(duet_ice_agent_request(w.agents[0].agent, &r), 1);
    assert_int_equal(r.kind, DUET_REQUEST_CLOSE);
    assert_int_equal(duet_ice_agent_request(w.agents[0].agent, &r), 1);
    assert_int_equal(duet_ice_agent_request(w.agents[0].agent, &r), 0);
    assert_true(duet_ice_agent_deadline(w.agents[0].agent) == DUET_NEVER);
    assert_int_equal(duet_ice_agent_gather(w.agents[0].agent, w.now), DUET_ERR_STATE);
    world_free(&w);
}

static void destroy_in_event(world_agent *w, duet_ice_state state)
{
    if (state != DUET_ICE_CONNECTED)
        return;
    duet_ice_agent_destroy(w->agent);
    w->agent = NULL;
}

static void an_agent_may_be_destroyed_inside_its_event(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 18);
    w.agents[1].on_state_hook = destroy_in_event;
    world_start(&w);
    w.trickle = false;
    for (size_t i = 0; i < 2; i++)
        (void)duet_ice_agent_add_remote_candidate(w.agents[i].agent, &w.agents[1 - i].candidates[0], w.now);
    world_run(&w, DUET_SECONDS(2));
    assert_null(w.agents[1].agent);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hosts_connect_in_one_round_trip_and_nominate_in_the_next),
        cmocka_unit_test(agents_connect_without_any_delay),
        cmocka_unit_test(agents_connect_under_loss),
        cmocka_unit_test(ipv6_comes_first_when_both_have_it),
        cmocka_unit_test(ipv4_carries_the_session_when_ipv6_is_broken),
        cmocka_unit_test(loopback_is_gathered_only_on_request),
        cmocka_unit_test(a_bound_agent_gathers_that_address_without_asking_for_interfaces),
        cmocka_unit_test(candidates_that_trickle_in_late_are_paired),
        cmocka_unit_test(one_sided_signalling_is_enough),
        cmocka_unit_test(checks_before_the_answer_are_answered_and_acted_upon_later),
        cmocka_unit_test(early_checks_are_bounded),
        cmocka_unit_test(peer_reflexive_candidates_are_bounded),
        cmocka_unit_test(a_wrong_password_leads_to_failed_and_never_before_the_patience_is_over),
        cmocka_unit_test(rfc8445_7_3_a_wrong_fragment_gets_no_answer),
        cmocka_unit_test(rfc8445_7_2_5_2_1_a_response_from_another_address_fails_the_pair),
        cmocka_unit_test(candidates_that_cannot_be_used_are_counted),
        cmocka_unit_test(candidates_with_a_name_are_looked_up),
        cmocka_unit_test(a_closed_agent_asks_for_its_sockets_to_be_closed),
        cmocka_unit_test(an_agent_may_be_destroyed_inside_its_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
