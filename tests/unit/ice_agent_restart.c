/* ICE restarts: from either side, with data on the old pair, under loss, after failure. */
#include "ice_world.h"

/* Both send all the time, if they can. */
static void run_with_data(world *w, duet_time duration)
{
    for (duet_time end = w->now + duration; w->now < end;) {
        (void)world_send_data(w, 0);
        (void)world_send_data(w, 1);
        world_run(w, DUET_MS(5));
    }
}

/* What signalling does: the restarted side's new credentials go over, the other side restarts and answers. */
static void restart(world *w, size_t offerer, duet_time signalling, bool remote_first)
{
    world_agent *a = &w->agents[offerer], *b = &w->agents[1 - offerer];

    a->candidates_given = a->candidate_count = b->candidates_given = b->candidate_count = 0;
    a->end_of_candidates = a->end_given = b->end_of_candidates = b->end_given = false;
    w->signalled = false;
    assert_int_equal(duet_ice_agent_restart(a->agent, NULL, w->now), DUET_OK);
    duet_ice_credentials offer = *duet_ice_agent_local_credentials(a->agent);
    run_with_data(w, signalling);
    if (remote_first) {
        assert_int_equal(duet_ice_agent_set_remote(b->agent, &offer, false, w->now), DUET_OK);
        assert_int_equal(duet_ice_agent_restart(b->agent, NULL, w->now), DUET_OK);
    } else {
        assert_int_equal(duet_ice_agent_restart(b->agent, NULL, w->now), DUET_OK);
        assert_int_equal(duet_ice_agent_set_remote(b->agent, &offer, false, w->now), DUET_OK);
    }
    duet_ice_credentials answer = *duet_ice_agent_local_credentials(b->agent);
    world_settle(w);
    for (size_t i = 0; i < a->candidate_count; i++)
        (void)duet_ice_agent_add_remote_candidate(b->agent, &a->candidates[i], w->now);
    a->candidates_given = a->candidate_count;
    run_with_data(w, signalling);
    assert_int_equal(duet_ice_agent_set_remote(a->agent, &answer, false, w->now), DUET_OK);
    w->signalled = true;
}

static void data_flows_during_a_restart(size_t offerer, bool remote_first)
{
    world w;

    world_two_hosts(&w, 20);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    char before[DUET_UFRAG_MAX + 1];
    snprintf(before, sizeof(before), "%s", duet_ice_agent_local_credentials(w.agents[0].agent)->ufrag);
    unsigned selected = w.agents[0].selected_events;

    run_with_data(&w, DUET_SECONDS(1));
    /* The signalling takes a second each way; data goes on. */
    for (size_t i = 0; i < 2; i++)
        w.agents[i].data_received = 0, w.agents[i].longest_gap = 0;
    restart(&w, offerer, DUET_SECONDS(1), remote_first);
    assert_true(world_is_up(&w.agents[0]) && world_is_up(&w.agents[1]));
    run_with_data(&w, DUET_SECONDS(2));
    assert_true(w.agents[0].longest_gap <= DUET_MS(10) && w.agents[1].longest_gap <= DUET_MS(10));

    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    assert_int_equal(w.agents[1].state, DUET_ICE_COMPLETED);
    assert_true(strcmp(before, duet_ice_agent_local_credentials(w.agents[0].agent)->ufrag) != 0);
    assert_true(w.agents[0].selected_events > selected);
    world_assert_same_pair(&w);
    assert_false(w.agents[0].states_seen & (1u << DUET_ICE_DISCONNECTED | 1u << DUET_ICE_FAILED));
    for (size_t i = 0; i < w.agents[0].candidate_count; i++)
        assert_string_equal(w.agents[0].candidates[i].ufrag,
                            duet_ice_agent_local_credentials(w.agents[0].agent)->ufrag);

    world_run(&w, DUET_SECONDS(60));
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_free(&w);
}

static void the_controlling_agent_restarts(void **state)
{
    (void)state;
    data_flows_during_a_restart(0, true);
}

static void the_controlled_agent_restarts(void **state)
{
    (void)state;
    data_flows_during_a_restart(1, true);
}

static void the_order_of_restart_and_credentials_does_not_matter(void **state)
{
    (void)state;
    data_flows_during_a_restart(0, false);
    data_flows_during_a_restart(1, false);
}

static void a_restart_that_is_never_answered_keeps_the_old_pair_alive(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 21);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, NULL, w.now), DUET_OK);
    world_run(&w, DUET_SECONDS(120));
    assert_true(world_is_up(&w.agents[0]));
    assert_true(world_is_up(&w.agents[1]));
    assert_true(world_send_data(&w, 0) && world_send_data(&w, 1));
    world_run(&w, DUET_MS(20));
    assert_int_equal(w.agents[0].data_received, 1);
    assert_int_equal(w.agents[1].data_received, 1);
    world_free(&w);
}

static void restarts_work_under_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        world w;
        world_two_hosts(&w, seed);
        w.loss_percent = 15;
        world_start(&w);
        world_run_until_completed(&w, DUET_SECONDS(35));
        for (size_t n = 0; n < 3; n++) {
            restart(&w, n % 2, DUET_MS(100), true);
            world_run(&w, DUET_SECONDS(1));
            world_run_until_completed(&w, DUET_SECONDS(35));
        }
        world_assert_same_pair(&w);
        duet_ice_stats stats;
        duet_ice_agent_get_stats(w.agents[0].agent, &stats);
        assert_int_equal(stats.restarts, 3);
        world_free(&w);
    }
}

static void a_failed_session_is_restarted(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 22);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    w.agents[1].blackhole = true;
    world_run(&w, DUET_SECONDS(40));
    assert_int_equal(w.agents[0].state, DUET_ICE_FAILED);
    assert_int_equal(w.agents[1].state, DUET_ICE_FAILED);
    w.agents[1].blackhole = false;
    restart(&w, 1, DUET_MS(20), true);
    world_run_until_completed(&w, DUET_SECONDS(5));
    world_assert_same_pair(&w);
    world_free(&w);
}

static void a_restart_moves_to_a_new_interface(void **state)
{
    world w;
    duet_datagram route = {0};

    (void)state;
    world_two_hosts(&w, 23);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    /* The host roams: another address, the old one is dead. */
    w.agents[0].interface_count = 0;
    world_interface(&w, 0, "10.7.0.1");
    w.cut = world_address("10.0.0.1", 0);
    restart(&w, 0, DUET_MS(20), true);
    world_run_until_completed(&w, DUET_SECONDS(10));
    assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &route), DUET_OK);
    duet_address expected = world_address("10.7.0.1", 0);
    assert_true(world_ip_is(&route.path.local, &expected));
    world_assert_same_pair(&w);
    world_free(&w);
}

static void announced_credentials_are_taken_over(void **state)
{
    world w;
    duet_ice_credentials announced = {.ufrag = "announced", .pwd = "announcedannouncedannounced"}, bad = announced;

    (void)state;
    world_two_hosts(&w, 24);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    bad.pwd[10] = 0;
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, &bad, w.now), DUET_ERR_INVALID);
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, &announced, w.now), DUET_OK);
    assert_string_equal(duet_ice_agent_local_credentials(w.agents[0].agent)->ufrag, "announced");
    world_run(&w, DUET_SECONDS(1));
    world_free(&w);
}

static void candidates_of_the_old_generation_come_too_late(void **state)
{
    world w;
    duet_ice_stats before, after;

    (void)state;
    world_two_hosts(&w, 25);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    duet_candidate old = w.agents[1].candidates[0];
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, NULL, w.now), DUET_OK);
    duet_ice_agent_get_stats(w.agents[0].agent, &before);
    assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[0].agent, &old, w.now), DUET_OK);
    duet_ice_agent_get_stats(w.agents[0].agent, &after);
    assert_int_equal(after.candidates_ignored, before.candidates_ignored + 1);
    assert_null(duet_ice_agent_remote_candidate(w.agents[0].agent, 0));
    world_free(&w);
}

/* A check from a new address of the peer, made with these fragments and our password. @return whether it is answered */
static bool answers(world *w, const duet_ice_credentials *ours, const char *remote_fragment, uint16_t port)
{
    world_agent *a = &w->agents[1];
    uint8_t buf[700], id[12] = {(uint8_t)port, (uint8_t)(port >> 8)};
    char username[600];
    size_t len;

    snprintf(username, sizeof(username), "%s:%s", ours->ufrag, remote_fragment);
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
    duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
    duet_stun_add_u64(&b, DUET_STUN_ICE_CONTROLLING, 5);
    duet_stun_add_integrity(&b, ours->pwd, strlen(ours->pwd));
    duet_stun_add_fingerprint(&b);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    duet_datagram in = {.data = buf, .len = len, .time = w->now}, out;
    in.path = (duet_path){.socket = 1, .local = a->sockets[1], .remote = world_address("10.9.9.9", port)};
    assert_int_equal(duet_ice_agent_input(a->agent, &in, w->now), DUET_OK);
    bool answered = false;
    while (duet_ice_agent_output(a->agent, &out, w->now) == 1)
        answered |= out.path.remote.port == port;
    return answered;
}

/* Chromium pairs its new candidates with our old credentials at once. Answered, such a pair would stay like that, and refuse
 * our checks of the new generation, while Chromium sends its data there. */
static void a_check_of_two_generations_is_not_answered(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 26);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    duet_ice_credentials old = *duet_ice_agent_local_credentials(w.agents[1].agent);
    duet_ice_credentials peer = *duet_ice_agent_local_credentials(w.agents[0].agent);
    assert_false(answers(&w, &old, "fresh", 4001)); /* before its offer has come */
    assert_true(answers(&w, &old, peer.ufrag, 4002));
    duet_ice_credentials fresh = {.ufrag = "fresh", .pwd = "0123456789012345678901"};
    assert_int_equal(duet_ice_agent_set_remote(w.agents[1].agent, &fresh, false, w.now), DUET_OK);
    assert_int_equal(duet_ice_agent_restart(w.agents[1].agent, NULL, w.now), DUET_OK);
    duet_ice_credentials new = *duet_ice_agent_local_credentials(w.agents[1].agent);
    assert_false(answers(&w, &old, "fresh", 4003)); /* and after */
    assert_true(answers(&w, &new, "fresh", 4004));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_controlling_agent_restarts),
        cmocka_unit_test(the_controlled_agent_restarts),
        cmocka_unit_test(the_order_of_restart_and_credentials_does_not_matter),
        cmocka_unit_test(a_restart_that_is_never_answered_keeps_the_old_pair_alive),
        cmocka_unit_test(restarts_work_under_loss),
        cmocka_unit_test(a_failed_session_is_restarted),
        cmocka_unit_test(a_restart_moves_to_a_new_interface),
        cmocka_unit_test(announced_credentials_are_taken_over),
        cmocka_unit_test(candidates_of_the_old_generation_come_too_late),
        cmocka_unit_test(a_check_of_two_generations_is_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
