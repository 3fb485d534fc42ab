/* Addresses that come and go, and host candidates under names of multicast DNS. */
#include "ice_world.h"

static void a_new_address_is_gathered_on_and_announced(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 1);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    assert_int_equal(w.agents[0].candidate_count, 1);
    world_interfaces_changed(&w, 0); /* the same as before: nothing happens */
    assert_int_equal(w.agents[0].network_events, 0);
    world_interface(&w, 0, "10.1.0.1");
    world_interfaces_changed(&w, 0);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].network_events, 1);
    assert_int_equal(w.agents[0].candidate_count, 2);
    assert_int_equal(w.agents[0].gathering, DUET_ICE_GATHERING_COMPLETE);
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_free(&w);
}

static void a_lost_address_is_replaced_by_another_one_without_a_restart(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 2);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    w.agents[0].interface_count = 0;
    world_interfaces_changed(&w, 0);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].state, DUET_ICE_DISCONNECTED);
    assert_int_equal(w.agents[0].network_events, 1);
    world_interface(&w, 0, "10.7.0.1");
    world_interfaces_changed(&w, 0);
    world_run(&w, DUET_SECONDS(2));
    assert_true(world_is_up(&w.agents[0]));
    assert_true(world_send_data(&w, 0));
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[1].data_received, 1);
    world_free(&w);
}

static void both_at_once_is_a_move_from_one_network_to_another(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 3);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    w.agents[1].interface_count = 0;
    world_interface(&w, 1, "10.8.0.1");
    world_interfaces_changed(&w, 1);
    world_run(&w, DUET_SECONDS(2));
    assert_true(world_is_up(&w.agents[1]));
    assert_int_equal(w.agents[1].network_events, 1);
    world_free(&w);
}

static void no_address_at_all_is_failure_in_the_end(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 4);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    w.agents[0].interface_count = 0;
    world_interfaces_changed(&w, 0);
    world_run(&w, DUET_SECONDS(29));
    assert_int_equal(w.agents[0].state, DUET_ICE_DISCONNECTED);
    world_run(&w, DUET_SECONDS(5));
    assert_int_equal(w.agents[0].state, DUET_ICE_FAILED);
    world_free(&w);
}

static void host_candidates_hide_behind_names_and_connect(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 5);
    w.stun_server = world_address("192.0.2.99", 3478);
    w.stun_maps = world_address("203.0.113.7", 0);
    static const char *const urls[] = {"stun:192.0.2.99"};
    static const duet_ice_server server = {.urls = urls, .url_count = 1};
    static const duet_ice_server *const servers[] = {&server};
    for (size_t i = 0; i < 2; i++) {
        w.agents[i].config.mdns = true;
        w.agents[i].config.servers = servers;
        w.agents[i].config.server_count = 1;
    }
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(3));
    for (size_t i = 0; i < 2; i++) {
        const world_agent *a = &w.agents[i];
        assert_int_equal(a->published_count, 1);
        for (size_t k = 0; k < a->candidate_count; k++) {
            const duet_candidate *c = &a->candidates[k];
            char text[DUET_CANDIDATE_TEXT_MAX];
            assert_int_equal(duet_candidate_format(c, text, sizeof(text)), DUET_OK);
            assert_null(strstr(text, " 10.0.0."));
            assert_int_equal(c->name[0] != 0, c->type == DUET_CANDIDATE_HOST);
            if (c->type == DUET_CANDIDATE_HOST) {
                assert_int_equal(strlen(c->name), 36 + 6);
                assert_int_equal(c->name[14], '4');
                assert_string_equal(c->name, a->published[0].name);
            }
        }
    }
    world_free(&w);
}

static void a_name_that_cannot_be_published_is_not_announced(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 6);
    w.agents[0].config.mdns = true;
    w.agents[0].refuses_names = true;
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(3)); /* the peer learns the address from the checks */
    assert_int_equal(w.agents[0].candidate_count, 0);
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_address_is_gathered_on_and_announced),
        cmocka_unit_test(a_lost_address_is_replaced_by_another_one_without_a_restart),
        cmocka_unit_test(both_at_once_is_a_move_from_one_network_to_another),
        cmocka_unit_test(no_address_at_all_is_failure_in_the_end),
        cmocka_unit_test(host_candidates_hide_behind_names_and_connect),
        cmocka_unit_test(a_name_that_cannot_be_published_is_not_announced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
