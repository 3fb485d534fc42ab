/* A connected session: consent, silence, loss of paths, and what an idle agent costs. */
#include "ice_world.h"

static void connected(world *w, uint64_t seed)
{
    world_two_hosts(w, seed);
    world_start(w);
    world_run_until_completed(w, DUET_SECONDS(5));
}

static void consent_is_asked_every_four_to_six_seconds(void **state)
{
    world w;

    (void)state;
    connected(&w, 1);
    uint64_t before = world_selected(&w.agents[0]).consent_requests_sent;
    world_run(&w, DUET_SECONDS(600));
    uint64_t sent = world_selected(&w.agents[0]).consent_requests_sent - before;
    assert_in_range(sent, 600 / 6, 600 / 4);
    assert_in_range(sent, 110, 130); /* 5 s on average */
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_free(&w);
}

static void an_idle_agent_wakes_for_consent_alone(void **state)
{
    world w;

    (void)state;
    connected(&w, 2);
    world_run(&w, DUET_SECONDS(10)); /* the set-up has settled */
    size_t ticks[2] = {w.agents[0].ticks, w.agents[1].ticks};
    uint64_t sent[2] = {world_selected(&w.agents[0]).consent_requests_sent,
                        world_selected(&w.agents[1]).consent_requests_sent};
    world_run(&w, DUET_SECONDS(60));
    for (size_t i = 0; i < 2; i++) {
        size_t woken = w.agents[i].ticks - ticks[i];
        size_t checks = (size_t)(world_selected(&w.agents[i]).consent_requests_sent - sent[i]);
        print_message("agent %zu: %zu wakes for %zu consent checks in 60 s\n", i, woken, checks);
        assert_true(woken <= checks + 1);
    }
    world_free(&w);
}

static void a_new_agent_has_no_deadline(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 3);
    world_create(&w);
    assert_true(duet_ice_agent_deadline(w.agents[0].agent) == DUET_NEVER);
    world_gather(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].gathering, DUET_ICE_GATHERING_COMPLETE);
    assert_true(duet_ice_agent_deadline(w.agents[0].agent) == DUET_NEVER);
    assert_int_equal(w.agents[0].ticks, 0);
    world_free(&w);
}

static void a_connected_agent_allocates_nothing(void **state)
{
    world w;
    test_allocator allocator;

    (void)state;
    world_two_hosts(&w, 4);
    test_allocator_init(&allocator, 0);
    w.agents[0].env.allocator = &allocator.allocator;
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    world_run(&w, DUET_SECONDS(40));
    uint64_t calls = allocator.calls;
    world_run(&w, DUET_SECONDS(60));
    for (int i = 0; i < 1000; i++) {
        assert_true(world_send_data(&w, 0) && world_send_data(&w, 1));
        world_run(&w, DUET_MS(20));
    }
    assert_int_equal(allocator.calls - calls, 0);
    print_message("a connected agent holds %llu blocks\n", (unsigned long long)allocator.live);
    world_free(&w);
    assert_int_equal(allocator.live, 0);
}

static void silence_disconnects_and_a_response_reconnects(void **state)
{
    world w;

    (void)state;
    connected(&w, 5);
    world_run(&w, DUET_SECONDS(20));
    w.agents[1].blackhole = true;
    duet_time heard = world_selected(&w.agents[0]).last_received;
    while (w.agents[0].state == DUET_ICE_COMPLETED && w.now < heard + DUET_SECONDS(20))
        world_run(&w, DUET_MS(50));
    assert_int_equal(w.agents[0].state, DUET_ICE_DISCONNECTED);
    assert_in_range(w.now - heard, DUET_SECONDS(5), DUET_MS(7050));
    world_run(&w, DUET_SECONDS(12));
    assert_int_equal(w.agents[0].state, DUET_ICE_DISCONNECTED);
    w.agents[1].blackhole = false;
    world_run(&w, DUET_SECONDS(7));
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    assert_int_equal(w.agents[1].state, DUET_ICE_COMPLETED);
    world_free(&w);
}

static void consent_expires_after_thirty_seconds_without_a_response(void **state)
{
    world w;
    duet_datagram d = {0};

    (void)state;
    connected(&w, 6);
    w.agents[1].blackhole = true;
    duet_time start = w.now;
    while (w.agents[0].state != DUET_ICE_FAILED && w.now < start + DUET_SECONDS(60))
        world_run(&w, DUET_MS(50));
    assert_in_range(w.now - start, DUET_MS(29900), DUET_MS(30100));
    assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &d), DUET_ERR_STATE);
    assert_true(duet_ice_agent_deadline(w.agents[0].agent) == DUET_NEVER);
    world_free(&w);
}

static bool only_data(world *w, world_packet *p)
{
    (void)w;
    return !duet_stun_is_message(p->data, p->len);
}

static void data_keeps_an_agent_connected_but_gives_no_consent(void **state)
{
    world w;

    (void)state;
    connected(&w, 7);
    w.filter = only_data;
    duet_time start = w.now;
    while (world_is_up(&w.agents[0]) && w.now < start + DUET_SECONDS(60)) {
        (void)world_send_data(&w, 1);
        world_run(&w, DUET_MS(100));
    }
    /* Never disconnected, and failed at the end: RFC 7675 wants responses. */
    assert_false(w.agents[0].states_seen & 1u << DUET_ICE_DISCONNECTED);
    assert_int_equal(w.agents[0].state, DUET_ICE_FAILED);
    assert_in_range(w.now - start, DUET_MS(29900), DUET_MS(30200));
    world_free(&w);
}

static void ten_minutes_of_loss_do_not_end_a_session(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        world w;
        connected(&w, seed);
        w.loss_percent = 20;
        world_run(&w, DUET_SECONDS(600));
        assert_false(w.agents[0].states_seen & 1u << DUET_ICE_FAILED);
        assert_false(w.agents[1].states_seen & 1u << DUET_ICE_FAILED);
        w.loss_percent = 0;
        world_run(&w, DUET_SECONDS(7));
        assert_true(world_is_up(&w.agents[0]) && world_is_up(&w.agents[1]));
        world_free(&w);
    }
}

/* Two paths, both valid: IPv6 is selected, IPv4 is the reserve. */
static void two_paths(world *w, uint64_t seed)
{
    world_two_hosts(w, seed);
    world_interface(w, 0, "2001:db8::1");
    world_interface(w, 1, "2001:db8::2");
    /* The better one is slow to start, so that the other becomes valid too. */
    w->cut = world_address("2001:db8::1", 0);
    world_start(w);
    world_run(w, DUET_MS(150));
    w->cut = (duet_address){0};
    world_run(w, DUET_SECONDS(8));
    assert_true(world_is_up(&w->agents[0]) && world_is_up(&w->agents[1]));
}

static size_t valid_pairs(const world_agent *a)
{
    duet_ice_pair_stats pair;
    size_t count = 0;

    for (size_t i = 0; duet_ice_agent_get_pair(a->agent, i, &pair) == DUET_OK; i++)
        count += pair.state == DUET_ICE_PAIR_SUCCEEDED;
    return count;
}

static void a_path_error_moves_to_another_valid_pair_at_once(void **state)
{
    world w;
    duet_datagram before = {0}, after = {0};
    bool tested = false;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        two_paths(&w, seed);
        world_run(&w, DUET_SECONDS(100));
        if (valid_pairs(&w.agents[0]) == 2) {
            tested = true;
            assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &before), DUET_OK);
            duet_ice_agent_path_error(w.agents[0].agent, &before.path, DUET_ERR_IO, w.now);
            assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &after), DUET_OK);
            assert_true(after.path.remote.family != before.path.remote.family);
            w.cut = before.path.remote;
            world_run(&w, DUET_SECONDS(3));
            world_assert_same_pair(&w);
            assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
        }
        world_free(&w);
    }
    assert_true(tested);
}

static void a_path_error_of_the_only_pair_disconnects_until_it_answers(void **state)
{
    world w;
    duet_datagram d = {0};

    (void)state;
    connected(&w, 8);
    assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &d), DUET_OK);
    duet_ice_agent_path_error(w.agents[0].agent, &d.path, DUET_ERR_IO, w.now);
    assert_int_equal(w.agents[0].state, DUET_ICE_DISCONNECTED);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_free(&w);
}

/* Each send is answered "unreachable": the agent must neither spin nor give up before the end of consent. */
static void an_unreachable_path_is_not_asked_in_a_loop(void **state)
{
    world w;
    duet_datagram d = {0}, out;
    size_t sent = 0;

    (void)state;
    connected(&w, 9);
    assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &d), DUET_OK);
    duet_time start = w.now;
    while (w.agents[0].state != DUET_ICE_FAILED) {
        while (duet_ice_agent_output(w.agents[0].agent, &out, w.now)) {
            duet_path path = out.path;
            duet_ice_agent_path_error(w.agents[0].agent, &path, DUET_ERR_IO, w.now);
            sent++;
        }
        duet_time deadline = duet_ice_agent_deadline(w.agents[0].agent);
        assert_true(deadline != DUET_NEVER);
        w.now = deadline > w.now ? deadline : w.now;
        duet_ice_agent_tick(w.agents[0].agent, w.now);
    }
    assert_in_range(w.now - start, DUET_SECONDS(29), DUET_SECONDS(31));
    assert_true(sent < 30);
    world_free(&w);
}

static void a_silent_pair_is_replaced_by_the_reserve(void **state)
{
    world w;
    bool tested = false;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        duet_datagram d = {0};
        two_paths(&w, seed);
        world_run(&w, DUET_SECONDS(30));
        if (valid_pairs(&w.agents[0]) == 2 && valid_pairs(&w.agents[1]) == 2) {
            tested = true;
            assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &d), DUET_OK);
            w.cut = d.path.remote;
            /* The silence is noticed after 5 to 7 s; the reserve answers, and nobody waits for the end of consent. */
            world_run(&w, DUET_SECONDS(9));
            assert_true(world_is_up(&w.agents[0]) && world_is_up(&w.agents[1]));
            world_assert_same_pair(&w);
            world_run(&w, DUET_SECONDS(60));
            assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
            assert_int_equal(w.agents[1].state, DUET_ICE_COMPLETED);
        }
        world_free(&w);
    }
    assert_true(tested);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consent_is_asked_every_four_to_six_seconds),
        cmocka_unit_test(an_idle_agent_wakes_for_consent_alone),
        cmocka_unit_test(a_new_agent_has_no_deadline),
        cmocka_unit_test(a_connected_agent_allocates_nothing),
        cmocka_unit_test(silence_disconnects_and_a_response_reconnects),
        cmocka_unit_test(consent_expires_after_thirty_seconds_without_a_response),
        cmocka_unit_test(data_keeps_an_agent_connected_but_gives_no_consent),
        cmocka_unit_test(ten_minutes_of_loss_do_not_end_a_session),
        cmocka_unit_test(a_path_error_moves_to_another_valid_pair_at_once),
        cmocka_unit_test(a_path_error_of_the_only_pair_disconnects_until_it_answers),
        cmocka_unit_test(an_unreachable_path_is_not_asked_in_a_loop),
        cmocka_unit_test(a_silent_pair_is_replaced_by_the_reserve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
