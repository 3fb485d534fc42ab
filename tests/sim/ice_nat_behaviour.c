/* NAT behaviour discovery (RFC 5780) through every class of NAT, with our own server on the other side. */
#include "duet/sim.h"
#include "duet/turn.h"
#include "ice/nat_behaviour.h"
#include "test.h"

#define SERVER    "198.51.100.1"
#define ALTERNATE "198.51.100.2"
#define OUTSIDE   "203.0.113.1"
#define INSIDE    "192.168.1.2"

typedef struct world {
    duet_sim *sim;
    duet_sim_host *server_host, *client_host;
    duet_turn_server *server;
    duet_sim_nat *nat;
    duet_nat_behaviour *behaviour;
    duet_nat_result result;
    duet_env env;
    bool done;
} world;

static void on_done(void *user, const duet_nat_result *result)
{
    world *w = user;

    w->result = *result;
    w->done = true;
    duet_nat_behaviour_destroy(w->behaviour);
    duet_sim_detach(w->sim, w->behaviour);
    w->behaviour = NULL;
}

static void begin(world *w, const duet_sim_nat_config *nat, bool with_discovery)
{
    duet_sim_config config;
    duet_turn_config turn;
    duet_turn_listener listener = {.protocol = DUET_UDP};
    const duet_turn_listener *listeners[] = {&listener};
    duet_sim_link link = {.delay = DUET_MS(10)};

    memset(w, 0, sizeof(*w));
    duet_sim_config_init(&config);
    config.seed = 3;
    assert_int_equal(duet_sim_create(&w->sim, &config), DUET_OK);
    w->env = (duet_env)DUET_ENV_INIT;
    w->env.random = duet_sim_random;
    w->env.user = w->sim;
    assert_int_equal(duet_sim_host_create(&w->server_host, w->sim, "server"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(w->server_host, SERVER, &link, &link), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(w->server_host, ALTERNATE, &link, &link), DUET_OK);
    assert_int_equal(duet_sim_host_create(&w->client_host, w->sim, "client"), DUET_OK);
    if (nat)
        assert_int_equal(duet_sim_nat_create(&w->nat, w->sim, NULL, nat), DUET_OK);
    if (nat)
        assert_int_equal(duet_sim_host_add_address_behind(w->client_host, w->nat, INSIDE, NULL, NULL), DUET_OK);
    else
        assert_int_equal(duet_sim_host_add_address(w->client_host, OUTSIDE, NULL, NULL), DUET_OK);
    duet_turn_config_init(&turn);
    turn.env = &w->env;
    duet_address_parse(&listener.address, SERVER, 3478);
    turn.listeners = listeners;
    turn.listener_count = 1;
    if (with_discovery)
        duet_address_parse(&turn.alternate, ALTERNATE, 3479);
    assert_int_equal(duet_turn_server_create(&w->server, &turn), DUET_OK);
    assert_int_equal(duet_sim_attach(w->server_host, duet_turn_server_endpoint_ops(), w->server), DUET_OK);
}

static void discover(world *w, const char *bind, const char *second)
{
    duet_nat_behaviour_config config;

    duet_nat_behaviour_config_init(&config);
    config.env = &w->env;
    config.on_done = on_done;
    config.user = w;
    duet_address_parse(&config.bind, bind, 0);
    duet_address_parse(&config.server, SERVER, 3478);
    if (second)
        duet_address_parse(&config.second, second, 3478);
    assert_int_equal(duet_nat_behaviour_create(&w->behaviour, &config), DUET_OK);
    assert_int_equal(duet_sim_attach(w->client_host, duet_nat_behaviour_endpoint_ops(), w->behaviour), DUET_OK);
    duet_sim_run(w->sim, DUET_SECONDS(10));
    assert_true(w->done);
}

static void end(world *w)
{
    duet_sim_detach(w->sim, w->server);
    duet_turn_server_destroy(w->server);
    duet_sim_destroy(w->sim);
}

static duet_sim_nat_config nat_config(duet_sim_nat_rule mapping, duet_sim_nat_rule filtering)
{
    duet_sim_nat_config nat;

    duet_sim_nat_config_init(&nat);
    nat.address = OUTSIDE;
    nat.mapping = mapping;
    nat.filtering = filtering;
    return nat;
}

static void rfc5780_every_class_of_nat_is_recognised(void **state)
{
    (void)state;
    for (duet_sim_nat_rule mapping = 0; mapping <= DUET_SIM_ADDRESS_AND_PORT_DEPENDENT; mapping++) {
        for (duet_sim_nat_rule filtering = 0; filtering <= DUET_SIM_ADDRESS_AND_PORT_DEPENDENT; filtering++) {
            duet_sim_nat_config nat = nat_config(mapping, filtering);
            world w;
            nat.hairpinning = filtering != DUET_SIM_ADDRESS_DEPENDENT;
            nat.port_preservation = filtering == DUET_SIM_ENDPOINT_INDEPENDENT;
            begin(&w, &nat, true);
            discover(&w, INSIDE, NULL);
            assert_int_equal(w.result.udp, DUET_NAT_YES);
            assert_int_equal(w.result.discovery, DUET_NAT_YES);
            assert_int_equal(w.result.mapping, DUET_NAT_ENDPOINT_INDEPENDENT + (int)mapping);
            assert_int_equal(w.result.filtering, DUET_NAT_ENDPOINT_INDEPENDENT + (int)filtering);
            assert_int_equal(w.result.port_preservation, nat.port_preservation ? DUET_NAT_YES : DUET_NAT_NO);
            assert_int_equal(w.result.rtt, DUET_MS(20));
            if (!nat.hairpinning)
                assert_int_equal(w.result.hairpinning, DUET_NAT_NO);
            else if (filtering == DUET_SIM_ENDPOINT_INDEPENDENT)
                assert_int_equal(w.result.hairpinning, DUET_NAT_YES);
            end(&w);
        }
    }
}

static void without_a_nat_that_is_what_it_says(void **state)
{
    world w;

    (void)state;
    begin(&w, NULL, true);
    discover(&w, OUTSIDE, NULL);
    assert_int_equal(w.result.mapping, DUET_NAT_NONE);
    assert_int_equal(w.result.filtering, DUET_NAT_ENDPOINT_INDEPENDENT); /* and no firewall */
    assert_int_equal(w.result.hairpinning, DUET_NAT_DONT_KNOW);
    end(&w);
}

static void where_udp_is_blocked_it_says_so_within_ten_seconds(void **state)
{
    duet_sim_nat_config nat = nat_config(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ENDPOINT_INDEPENDENT);
    world w;

    (void)state;
    nat.block_udp = true;
    begin(&w, &nat, true);
    discover(&w, INSIDE, NULL);
    assert_int_equal(w.result.udp, DUET_NAT_NO);
    assert_int_equal(w.result.mapping, DUET_NAT_UNKNOWN);
    end(&w);
}

static void a_plain_server_tells_the_mapping_with_the_help_of_a_second_one(void **state)
{
    duet_sim_nat_config nat = nat_config(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ADDRESS_AND_PORT_DEPENDENT);
    duet_turn_config turn;
    duet_turn_listener listener = {.protocol = DUET_UDP};
    const duet_turn_listener *listeners[] = {&listener};
    duet_turn_server *second;
    world w;

    (void)state;
    begin(&w, &nat, false);
    duet_turn_config_init(&turn);
    turn.env = &w.env;
    duet_address_parse(&listener.address, ALTERNATE, 3478);
    turn.listeners = listeners;
    turn.listener_count = 1;
    assert_int_equal(duet_turn_server_create(&second, &turn), DUET_OK);
    assert_int_equal(duet_sim_attach(w.server_host, duet_turn_server_endpoint_ops(), second), DUET_OK);
    discover(&w, INSIDE, ALTERNATE);
    assert_int_equal(w.result.discovery, DUET_NAT_NO);
    assert_int_equal(w.result.mapping, DUET_NAT_ENDPOINT_INDEPENDENT);
    assert_int_equal(w.result.filtering, DUET_NAT_UNKNOWN);
    duet_sim_detach(w.sim, second);
    duet_turn_server_destroy(second);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc5780_every_class_of_nat_is_recognised),
        cmocka_unit_test(without_a_nat_that_is_what_it_says),
        cmocka_unit_test(where_udp_is_blocked_it_says_so_within_ten_seconds),
        cmocka_unit_test(a_plain_server_tells_the_mapping_with_the_help_of_a_second_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
