/* Gathering: priorities, foundations, server-reflexive candidates, servers that misbehave, URIs. */
#include "ice/internal.h"
#include "ice_world.h"

static void gather_one(world *w)
{
    world_create(w);
    assert_int_equal(duet_ice_agent_gather(w->agents[0].agent, w->now), DUET_OK);
}

static void use_server(world *w, size_t agent, const duet_ice_server *const *server)
{
    w->agents[agent].config.servers = server;
    w->agents[agent].config.server_count = 1;
}

static const char *const stun_url[] = {"stun:stun.example.org"};
static const duet_ice_server stun = {.urls = stun_url, .url_count = 1};
static const duet_ice_server *const stun_servers[] = {&stun};

static void stun_at(world *w, const char *maps)
{
    w->stun_server = world_address("192.0.2.99", 3478);
    if (maps)
        w->stun_maps = world_address(maps, 0);
}

static void host_candidates_have_distinct_priorities_and_ipv6_comes_first(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_interface(&w, 0, "10.0.0.1");
    world_interface(&w, 0, "127.0.0.1");
    world_interface(&w, 0, "192.0.2.1");
    world_interface(&w, 0, "2001:db8::1");
    world_interface(&w, 0, "fd00::1");
    world_interface(&w, 0, "fe80::1");
    world_interface(&w, 0, "2001:db8::dead");
    w.agents[0].interfaces[6].is_deprecated = true;
    w.agents[0].config.loopback = true;
    gather_one(&w);
    world_run(&w, DUET_MS(1));
    static const char *const expected[] = {"2001:db8::1", "192.0.2.1", "fd00::1", "10.0.0.1", "127.0.0.1"};
    assert_int_equal(w.agents[0].candidate_count, 5);
    for (size_t i = 0; i < 5; i++) {
        char text[64];
        const duet_candidate *c = &w.agents[0].candidates[i];
        assert_string_equal(duet_address_ip_text(&c->address, text, sizeof(text)), expected[i]);
        assert_int_equal(c->priority >> 24, 126);
        assert_int_equal(c->priority & 0xFF, 255);
        assert_true(i == 0 || c->priority < c[-1].priority);
        assert_true(c->priority <= 0x7FFFFFFF);
        for (size_t k = 0; k < i; k++)
            assert_true(strcmp(c->foundation, w.agents[0].candidates[k].foundation) != 0);
        assert_true(duet_candidate_format(c, (char[DUET_CANDIDATE_TEXT_MAX]){0}, DUET_CANDIDATE_TEXT_MAX) == DUET_OK);
    }
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

static void link_local_addresses_serve_hosts_that_have_nothing_else(void **state)
{
    world w;

    (void)state;
    world_init(&w, 2);
    world_interface(&w, 0, "fe80::1");
    world_interface(&w, 1, "fe80::2");
    for (size_t i = 0; i < 2; i++)
        w.agents[i].interfaces[0].address.scope = 3;
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(2));
    duet_datagram d = {0};
    assert_int_equal(duet_ice_agent_route(w.agents[0].agent, &d), DUET_OK);
    assert_int_equal(d.path.remote.scope, 3);
    assert_int_equal(w.agents[0].candidates[0].address.scope, 0);
    world_free(&w);
}

static void a_nat_is_crossed_with_a_server_reflexive_candidate(void **state)
{
    world w;

    (void)state;
    world_init(&w, 3);
    world_interface(&w, 0, "10.0.0.1");
    world_interface(&w, 1, "198.51.100.2");
    stun_at(&w, NULL);
    use_server(&w, 0, stun_servers);
    w.rewrite_from = world_address("10.0.0.1", 40000);
    w.rewrite_to = world_address("203.0.113.7", 61234);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    assert_int_equal(w.stun_requests, 1);
    assert_int_equal(w.agents[0].candidate_count, 2);
    const duet_candidate *srflx = &w.agents[0].candidates[1];
    assert_int_equal(srflx->type, DUET_CANDIDATE_SRFLX);
    assert_int_equal(srflx->address.port, 61234);
    assert_int_equal(srflx->related.port, 40000);
    assert_int_equal(srflx->priority >> 24, 100);
    assert_true(strcmp(srflx->foundation, w.agents[0].candidates[0].foundation) != 0);
    assert_int_equal(w.agents[0].selected_local.type, DUET_CANDIDATE_SRFLX);
    assert_int_equal(w.agents[0].gathering, DUET_ICE_GATHERING_COMPLETE);
    world_free(&w);
}

/* Without a STUN server the peer's view makes the local candidate peer-reflexive. */
static void a_nat_shows_in_a_peer_reflexive_local_candidate(void **state)
{
    world w;

    (void)state;
    world_init(&w, 4);
    world_interface(&w, 0, "10.0.0.1");
    world_interface(&w, 1, "198.51.100.2");
    w.rewrite_from = world_address("10.0.0.1", 40000);
    w.rewrite_to = world_address("203.0.113.7", 61234);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    assert_int_equal(w.agents[0].candidate_count, 1); /* it is not announced */
    assert_int_equal(w.agents[0].selected_local.type, DUET_CANDIDATE_PRFLX);
    assert_int_equal(w.agents[0].selected_local.address.port, 61234);
    assert_int_equal(w.agents[1].selected_remote.type, DUET_CANDIDATE_PRFLX);
    assert_int_equal(duet_ice_agent_local_candidate(w.agents[0].agent, 1)->type, DUET_CANDIDATE_PRFLX);
    world_free(&w);
}

static void redundant_reflexive_candidates_are_not_announced(void **state)
{
    static const char *const urls[] = {"stun:stun.example.org", "stun:192.0.2.99:3478", "stun:192.0.2.99"};
    static const duet_ice_server server = {.urls = urls, .url_count = 3};
    static const duet_ice_server *const servers[] = {&server};
    world w;

    (void)state;
    world_init(&w, 5);
    world_interface(&w, 0, "198.51.100.1"); /* no NAT: the reflexive address is the host's own */
    stun_at(&w, NULL);
    use_server(&w, 0, servers);
    gather_one(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].candidate_count, 1);
    assert_int_equal(w.stun_requests, 1); /* three names of one server are one query */
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

static void a_silent_server_is_tried_seven_times_and_reported(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 6);
    static const char *const urls[] = {"stun:192.0.2.55"};
    static const duet_ice_server server = {.urls = urls, .url_count = 1};
    static const duet_ice_server *const servers[] = {&server};
    use_server(&w, 0, servers);
    gather_one(&w);
    world_run(&w, DUET_MS(39400));
    assert_int_equal(w.agents[0].outputs, 7);
    assert_int_equal(w.agents[0].gathering, DUET_ICE_GATHERING);
    world_run(&w, DUET_MS(200));
    assert_int_equal(w.agents[0].gathering, DUET_ICE_GATHERING_COMPLETE);
    assert_int_equal(w.agents[0].errors_701, 1);
    assert_int_equal(w.agents[0].candidate_count, 1);
    assert_true(duet_ice_agent_deadline(w.agents[0].agent) == DUET_NEVER);
    world_free(&w);
}

static void a_server_that_refuses_is_reported_with_its_code(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 7);
    stun_at(&w, NULL);
    w.stun_error = 403;
    use_server(&w, 0, stun_servers);
    gather_one(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].error_events, 1);
    assert_string_equal(w.agents[0].last_error, "403 Forbidden");
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

static void relays_and_unknown_names_are_reported_and_do_not_stop_gathering(void **state)
{
    static const char *const urls[] = {"turn:192.0.2.1?transport=tcp", "stuns:192.0.2.1", "stun:nowhere.example"};
    static const duet_ice_server server = {.urls = urls, .url_count = 3, .username = "u", .credential = "p"};
    static const duet_ice_server *const servers[] = {&server};
    world w;

    (void)state;
    world_two_hosts(&w, 8);
    use_server(&w, 0, servers);
    gather_one(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].errors_701, 3);
    assert_int_equal(w.agents[0].candidate_count, 1);
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

static void the_relay_policy_announces_nothing_without_a_relay(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 9);
    stun_at(&w, NULL);
    use_server(&w, 0, stun_servers);
    w.agents[0].config.policy = DUET_ICE_RELAY;
    gather_one(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.agents[0].candidate_count, 0);
    assert_int_equal(w.stun_requests, 0);
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

static void nat_bindings_are_kept_alive_until_a_pair_is_nominated(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 10);
    stun_at(&w, "203.0.113.7");
    use_server(&w, 0, stun_servers);
    gather_one(&w);
    world_run(&w, DUET_SECONDS(61));
    assert_int_equal(w.stun_requests, 5); /* one, and one more every 15 s */
    assert_int_equal(w.agents[0].candidate_count, 2);
    assert_int_equal(duet_ice_agent_gather(w.agents[1].agent, w.now), DUET_OK);
    world_exchange_credentials(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    size_t before = w.stun_requests;
    world_run(&w, DUET_SECONDS(60));
    assert_int_equal(w.stun_requests, before);
    world_free(&w);
}

static void a_one_to_one_nat_is_announced_as_host(void **state)
{
    static const char *const nat[] = {"203.0.113.9"};
    world w;

    (void)state;
    world_init(&w, 11);
    world_interface(&w, 0, "10.0.0.1");
    world_interface(&w, 1, "198.51.100.2");
    w.agents[0].config.nat_1to1 = nat;
    w.agents[0].config.nat_1to1_count = 1;
    w.rewrite_from = world_address("10.0.0.1", 40000);
    w.rewrite_to = world_address("203.0.113.9", 40000);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    assert_int_equal(w.agents[0].candidates[0].type, DUET_CANDIDATE_HOST);
    char text[64];
    assert_string_equal(duet_address_ip_text(&w.agents[0].candidates[0].address, text, sizeof(text)), "203.0.113.9");
    assert_int_equal(w.agents[0].selected_local.type, DUET_CANDIDATE_HOST);
    assert_int_equal(w.agents[1].selected_remote.type, DUET_CANDIDATE_HOST);
    world_free(&w);
}

static void other_servers_are_taken_up_by_the_next_restart(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 12);
    stun_at(&w, "203.0.113.7");
    gather_one(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(duet_ice_agent_set_servers(w.agents[0].agent, stun_servers, 1, DUET_ICE_ALL), DUET_OK);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.stun_requests, 0);
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, NULL, w.now), DUET_OK);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(w.stun_requests, 1);
    assert_int_equal(w.agents[0].candidate_count, 3);
    world_free(&w);
}

static void uris_are_parsed_as_the_rfcs_say(void **state)
{
    static const struct {
        const char *text;
        int err;
        ice_scheme scheme;
        duet_protocol transport;
        uint16_t port;
        const char *host;
    } cases[] = {
        {"stun:example.org", DUET_OK, ICE_STUN, DUET_UDP, 3478, "example.org"},
        {"STUN:192.0.2.1:99", DUET_OK, ICE_STUN, DUET_UDP, 99, "192.0.2.1"},
        {"stun:[2001:db8::1]:5000", DUET_OK, ICE_STUN, DUET_UDP, 5000, "2001:db8::1"},
        {"stuns:example.org", DUET_OK, ICE_STUNS, DUET_TLS, 5349, "example.org"},
        {"turn:example.org?transport=udp", DUET_OK, ICE_TURN, DUET_UDP, 3478, "example.org"},
        {"turn:example.org:1?transport=tcp", DUET_OK, ICE_TURN, DUET_TCP, 1, "example.org"},
        {"turns:example.org?transport=tcp", DUET_OK, ICE_TURNS, DUET_TLS, 5349, "example.org"},
        {"turns:[::1]", DUET_OK, ICE_TURNS, DUET_TLS, 5349, "::1"},
        {"", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"http:example.org", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun://example.org", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:example.org:0", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:example.org:65536", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:example.org:", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:example.org?transport=udp", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:[2001:db8::1", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:[192.0.2.1]", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"turn:example.org?transport=sctp", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"turn:example.org?transport=udpx", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
        {"stun:exa mple.org", DUET_ERR_MALFORMED, 0, 0, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ice_uri uri;
        assert_int_equal(duet_ice_uri_parse(&uri, cases[i].text), cases[i].err);
        if (cases[i].err)
            continue;
        assert_int_equal(uri.scheme, cases[i].scheme);
        assert_int_equal(uri.transport, cases[i].transport);
        assert_int_equal(uri.port, cases[i].port);
        assert_string_equal(uri.host, cases[i].host);
    }
}

static void a_bad_url_is_refused_at_creation(void **state)
{
    static const char *const urls[] = {"stun:stun.example.org", "nonsense"};
    static const duet_ice_server server = {.urls = urls, .url_count = 2};
    static const duet_ice_server *const servers[] = {&server};
    duet_ice_config config;
    duet_ice_agent *agent;

    (void)state;
    duet_ice_config_init(&config);
    config.servers = servers;
    config.server_count = 1;
    assert_int_equal(duet_ice_agent_create(&agent, &config), DUET_ERR_INVALID);
    assert_null(agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_candidates_have_distinct_priorities_and_ipv6_comes_first),
        cmocka_unit_test(link_local_addresses_serve_hosts_that_have_nothing_else),
        cmocka_unit_test(a_nat_is_crossed_with_a_server_reflexive_candidate),
        cmocka_unit_test(a_nat_shows_in_a_peer_reflexive_local_candidate),
        cmocka_unit_test(redundant_reflexive_candidates_are_not_announced),
        cmocka_unit_test(a_silent_server_is_tried_seven_times_and_reported),
        cmocka_unit_test(a_server_that_refuses_is_reported_with_its_code),
        cmocka_unit_test(relays_and_unknown_names_are_reported_and_do_not_stop_gathering),
        cmocka_unit_test(the_relay_policy_announces_nothing_without_a_relay),
        cmocka_unit_test(nat_bindings_are_kept_alive_until_a_pair_is_nominated),
        cmocka_unit_test(a_one_to_one_nat_is_announced_as_host),
        cmocka_unit_test(other_servers_are_taken_up_by_the_next_restart),
        cmocka_unit_test(uris_are_parsed_as_the_rfcs_say),
        cmocka_unit_test(a_bad_url_is_refused_at_creation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
