/* Whole connections through a TURN server in virtual time: relay-only peers, streams, loss, restarts, the other address
 * family, a server that dies, an address that goes away. */
#include "duet/turn.h"
#include "peer_world.h"

#define TURN4 "198.51.100.9"
#define TURN6 "2001:db8:9::9"
#define PORT  3478

static duet_turn_server *turn;

static void start_turn(world *w, const duet_sim_link *link)
{
    static const duet_turn_user alice = {"alice", "secret"};
    static const duet_turn_user *const users[] = {&alice};
    static const char *const allowed[] = {"10.0.0.0/8", "fd00::/8"};
    duet_turn_listener listeners[4] = {
        {.protocol = DUET_UDP}, {.protocol = DUET_TCP}, {.protocol = DUET_UDP}, {.protocol = DUET_TCP}};
    const duet_turn_listener *list[4];
    duet_turn_config config;
    duet_sim_host *host;

    duet_turn_config_init(&config);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(duet_address_parse(&listeners[i].address, i < 2 ? TURN4 : TURN6, PORT), DUET_OK);
        list[i] = &listeners[i];
    }
    config.env = &w->alice.env;
    config.listeners = list;
    config.listener_count = 4;
    config.users = users;
    config.user_count = 1;
    config.allow_peers = allowed;
    config.allow_peer_count = 2;
    assert_int_equal(duet_turn_server_create(&turn, &config), DUET_OK);
    assert_int_equal(duet_sim_host_create(&host, w->sim, "turn"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(host, TURN4, link, link), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(host, TURN6, link, link), DUET_OK);
    assert_int_equal(duet_sim_attach(host, duet_turn_server_endpoint_ops(), turn), DUET_OK);
    assert_int_equal(duet_sim_add_name(w->sim, "turn.example.org", TURN4), DUET_OK);
    assert_int_equal(duet_sim_add_name(w->sim, "turn.example.org", TURN6), DUET_OK);
    world_run(w, DUET_MS(10));
}

static void stop_turn(world *w)
{
    if (turn)
        duet_sim_detach(w->sim, turn);
    duet_turn_server_destroy(turn);
    turn = NULL;
}

static duet_turn_stats turn_stats(void)
{
    duet_turn_stats stats;

    duet_turn_server_get_stats(turn, &stats);
    return stats;
}

static void create_relayed(side *s, const char *url, bool only_relay)
{
    static const char *urls[1];
    static const duet_ice_server server = {.urls = urls, .url_count = 1, .username = "alice", .credential = "secret"};
    static const duet_ice_server *const servers[] = {&server};
    duet_pc_config config = side_config(s);

    urls[0] = url;
    config.ice_servers = url ? servers : NULL;
    config.ice_server_count = url ? 1 : 0;
    config.ice_transport_policy = only_relay ? DUET_ICE_RELAY : DUET_ICE_ALL;
    side_create(s, &config);
}

static world *relayed_world(uint64_t seed, const duet_sim_link *link, const char *url)
{
    world *w = world_new(seed, link);

    start_turn(w, link);
    create_relayed(&w->alice, url, true);
    create_relayed(&w->bob, url, true);
    return w;
}

static void end(world *w)
{
    duet_pc_close(w->alice.pc);
    duet_pc_close(w->bob.pc);
    side_end(&w->alice);
    side_end(&w->bob);
    world_run(w, DUET_SECONDS(1));
    if (turn)
        assert_int_equal(turn_stats().allocations, 0); /* both were released */
    stop_turn(w);
    world_end(w);
}

static void exchange(world *w, unsigned messages)
{
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_MS(20) * messages);
    w->sending = false;
    world_run(w, DUET_SECONDS(3));
    world_assert_all_arrived(w);
    assert_true(w->bob.received >= messages);
}

static void two_relay_only_peers_meet_through_one_server(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = relayed_world(1, &link, "turn:turn.example.org");

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    assert_true(turn_stats().allocations == 2);
    exchange(w, 50);
    assert_true(turn_stats().channels >= 1);
    assert_true(turn_stats().relayed_to_peers > 50);
    end(w);
}

static void relayed_data_passes_over_tcp(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = relayed_world(2, &link, "turn:turn.example.org?transport=tcp");

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    assert_true(turn_stats().streams >= 2);
    exchange(w, 50);
    end(w);
}

static void a_relay_works_through_loss_of_every_seed(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(20), .loss = 0.02, .jitter = DUET_MS(5)};

    (void)state;
    for (uint64_t seed = 10; seed < 18; seed++) {
        world *w = relayed_world(seed, &link, "turn:turn.example.org");
        world_connect(w, DUET_SECONDS(90));
        world_send_every(w, DUET_MS(20));
        world_run(w, DUET_SECONDS(1));
        w->sending = false;
        world_run(w, DUET_SECONDS(90)); /* what is lost passed four links */
        world_assert_all_arrived(w);
        side_end(&w->alice);
        side_end(&w->bob);
        stop_turn(w); /* the release may have been lost */
        world_end(w);
    }
}

static void one_relayed_peer_reaches_one_that_is_not(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(3, &link);

    (void)state;
    start_turn(w, &link);
    create_relayed(&w->alice, "turn:turn.example.org", true);
    create_relayed(&w->bob, NULL, false);
    world_connect(w, DUET_SECONDS(5));
    exchange(w, 20);
    end(w);
}

static void an_unused_relay_is_released_soon_after_the_connection(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(4, &link);

    (void)state;
    start_turn(w, &link);
    create_relayed(&w->alice, "turn:turn.example.org", false);
    create_relayed(&w->bob, "turn:turn.example.org", false);
    world_connect(w, DUET_SECONDS(5));
    world_run(w, DUET_MS(500));
    size_t before = turn_stats().allocations;
    assert_true(before >= 1);
    exchange(w, 20);
    end(w);
}

static void a_restart_keeps_the_allocation_and_the_data(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(20)};
    world *w = relayed_world(5, &link, "turn:turn.example.org");

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    uint64_t begun = turn_stats().allocations_begun;
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_SECONDS(1));
    duet_pc_restart_ice(w->alice.pc);
    world_offer(w);
    world_run(w, DUET_SECONDS(5));
    w->sending = false;
    world_run(w, DUET_SECONDS(2));
    world_assert_all_arrived(w);
    assert_true(w->bob.longest_gap < DUET_MS(500));
    assert_int_equal(turn_stats().allocations_begun, begun);
    end(w);
}

static void a_connection_lives_longer_than_its_permissions_channels_and_nonces(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(20)};
    world *w = relayed_world(6, &link, "turn:turn.example.org");

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    world_send_every(w, DUET_SECONDS(1));
    world_run(w, DUET_SECONDS(4000));
    w->sending = false;
    world_run(w, DUET_SECONDS(2));
    world_assert_all_arrived(w);
    assert_int_equal(w->alice.disconnected_events + w->bob.disconnected_events, 0);
    end(w);
}

static void ipv6_reaches_ipv4_through_a_server_of_both(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(7, &link);

    (void)state;
    start_turn(w, &link);
    assert_int_equal(duet_sim_host_create(&w->bob.host, w->sim, "bob6"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(w->bob.host, "2001:db8:2::2", &link, &link), DUET_OK);
    create_relayed(&w->alice, NULL, false);
    create_relayed(&w->bob, "turn:turn.example.org", false);
    world_connect(w, DUET_SECONDS(8));
    exchange(w, 20);
    end(w);
}

static void a_server_that_dies_ends_the_connection_in_time(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = relayed_world(8, &link, "turn:turn.example.org");

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    stop_turn(w);
    world_run(w, DUET_SECONDS(15));
    assert_int_equal(w->alice.disconnected_events, 1);
    world_run(w, DUET_SECONDS(80));
    assert_int_equal(w->alice.failed_events, 1);
    end(w);
}

static void a_stream_that_the_server_closes_fails_at_once(void **state)
{
    static const duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = relayed_world(9, &link, "turn:turn.example.org?transport=tcp");

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    stop_turn(w);
    world_run(w, DUET_SECONDS(2));
    assert_int_equal(w->alice.failed_events, 1);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_relay_only_peers_meet_through_one_server),
        cmocka_unit_test(relayed_data_passes_over_tcp),
        cmocka_unit_test(a_relay_works_through_loss_of_every_seed),
        cmocka_unit_test(one_relayed_peer_reaches_one_that_is_not),
        cmocka_unit_test(an_unused_relay_is_released_soon_after_the_connection),
        cmocka_unit_test(a_restart_keeps_the_allocation_and_the_data),
        cmocka_unit_test(a_connection_lives_longer_than_its_permissions_channels_and_nonces),
        cmocka_unit_test(ipv6_reaches_ipv4_through_a_server_of_both),
        cmocka_unit_test(a_server_that_dies_ends_the_connection_in_time),
        cmocka_unit_test(a_stream_that_the_server_closes_fails_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
