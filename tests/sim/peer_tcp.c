/* ICE-TCP in whole connections: UDP that is blocked, UDP that is better, restarts, connections that end or never speak. */
#include "peer_world.h"

static const duet_sim_link link10 = {.delay = DUET_MS(10)};

static void create(side *s, bool tcp)
{
    duet_pc_config config = side_config(s);

    config.tcp = tcp;
    side_create(s, &config);
}

/* Bob stands behind a firewall that lets no UDP through. */
static world *firewalled_world(uint64_t seed)
{
    world *w = world_new(seed, &link10);
    duet_sim_nat *nat;
    duet_sim_nat_config config;

    duet_sim_nat_config_init(&config);
    config.address = "203.0.113.1";
    config.block_udp = true;
    assert_int_equal(duet_sim_nat_create(&nat, w->sim, NULL, &config), DUET_OK);
    assert_int_equal(duet_sim_host_create(&w->bob.host, w->sim, "bob behind"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address_behind(w->bob.host, nat, "192.168.1.2", &link10, &link10), DUET_OK);
    create(&w->alice, true);
    create(&w->bob, true);
    return w;
}

static void exchange(world *w)
{
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_SECONDS(1));
    w->sending = false;
    world_run(w, DUET_SECONDS(3));
    world_assert_all_arrived(w);
    assert_true(w->bob.received >= 50);
}

/* The protocol of the pair that carries data. */
static void find_protocol(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    bool *has_tcp = user;

    (void)id;
    for (size_t i = 0; kind == DUET_STATS_REMOTE_CANDIDATE && i < count; i++)
        *has_tcp = *has_tcp || (strcmp(members[i].name, "protocol") == 0 && strcmp(members[i].text, "tcp") == 0);
}

static bool knows_tcp(const side *s)
{
    bool has_tcp = false;

    duet_pc_get_stats(s->pc, find_protocol, &has_tcp);
    return has_tcp;
}

static void a_firewall_without_udp_is_crossed_by_tcp(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 5; seed++) {
        world *w = firewalled_world(seed);
        world_connect(w, DUET_SECONDS(5));
        assert_true(knows_tcp(&w->alice) && knows_tcp(&w->bob));
        exchange(w);
        world_end(w);
    }
}

static void nothing_connects_without_tcp(void **state)
{
    world *w = firewalled_world(6);

    (void)state;
    side_end(&w->bob);
    create(&w->bob, false);
    duet_dc *dc;
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
    side_use(&w->alice, dc);
    world_offer(w);
    world_run(w, DUET_SECONDS(20));
    assert_false(w->alice.open);
    world_end(w);
}

static void udp_is_chosen_where_it_works(void **state)
{
    world *w = world_new(7, &link10);
    duet_sim_stats stats;

    (void)state;
    create(&w->alice, true);
    create(&w->bob, true);
    world_connect(w, DUET_SECONDS(5));
    world_run(w, DUET_SECONDS(5));
    duet_sim_get_stats(w->sim, &stats);
    exchange(w);
    assert_int_equal(w->alice.disconnected_events, 0);
    world_end(w);
}

static void a_restart_over_tcp_keeps_data_flowing(void **state)
{
    world *w = firewalled_world(8);

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_SECONDS(1));
    duet_pc_restart_ice(w->alice.pc);
    world_offer(w);
    world_run(w, DUET_SECONDS(4));
    w->sending = false;
    world_run(w, DUET_SECONDS(2));
    world_assert_all_arrived(w);
    assert_true(w->bob.longest_gap < DUET_MS(500));
    world_end(w);
}

static void an_idle_connection_over_tcp_stays(void **state)
{
    world *w = firewalled_world(9);

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    world_run(w, DUET_SECONDS(600));
    assert_int_equal(w->alice.disconnected_events + w->bob.disconnected_events, 0);
    exchange(w);
    world_end(w);
}

static void the_end_of_the_stream_is_the_end_of_the_pair(void **state)
{
    world *w = firewalled_world(10);

    (void)state;
    world_connect(w, DUET_SECONDS(5));
    duet_sim_remove(w->sim, w->bob.pc); /* without a word: its sockets close */
    duet_pc_destroy(w->bob.pc);
    w->bob.pc = NULL;
    world_run(w, DUET_SECONDS(2));
    assert_int_equal(w->alice.disconnected_events, 1);
    assert_int_equal(w->alice.failed_events, 0);
    world_run(w, DUET_SECONDS(80));
    assert_int_equal(w->alice.failed_events, 1);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_firewall_without_udp_is_crossed_by_tcp),
        cmocka_unit_test(nothing_connects_without_tcp),
        cmocka_unit_test(udp_is_chosen_where_it_works),
        cmocka_unit_test(a_restart_over_tcp_keeps_data_flowing),
        cmocka_unit_test(an_idle_connection_over_tcp_stays),
        cmocka_unit_test(the_end_of_the_stream_is_the_end_of_the_pair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
