/* NATs: each of the nine classes against its definition in RFC 4787, hairpinning, ports, time-outs, NATs behind NATs, TCP and
 * what firewalls forbid. */
#include "unit/sim_probe.h"

/* Who asked, as two servers see it. */
typedef struct site {
    duet_sim *sim;
    duet_sim_nat *nat;
    probe *inside, *one, *two;
    duet_path socket;
    duet_address one_at, one_other_port, two_at;
} site;

static const duet_sim_nat_rule rules[] = {DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ADDRESS_DEPENDENT,
                                          DUET_SIM_ADDRESS_AND_PORT_DEPENDENT};

static duet_sim_nat_config config_of(duet_sim_nat_rule mapping, duet_sim_nat_rule filtering)
{
    duet_sim_nat_config config;

    duet_sim_nat_config_init(&config);
    config.address = "198.51.100.1";
    config.mapping = mapping;
    config.filtering = filtering;
    return config;
}

static void begin(site *s, const duet_sim_nat_config *config)
{
    *s = (site){.sim = sim_new(11)};
    assert_int_equal(duet_sim_nat_create(&s->nat, s->sim, NULL, config), DUET_OK);
    s->inside = sim_probe_new(sim_host_new(s->sim, s->nat, "10.0.0.2", NULL));
    s->one = sim_probe_new(sim_host_new(s->sim, NULL, "192.0.2.1", NULL));
    s->two = sim_probe_new(sim_host_new(s->sim, NULL, "192.0.2.2", NULL));
    s->socket = sim_open(s->sim, s->inside, 1, "10.0.0.2", 5000);
    s->one_at = sim_open(s->sim, s->one, 1, "192.0.2.1", 3478).local;
    s->one_other_port = sim_open(s->sim, s->one, 2, "192.0.2.1", 3479).local;
    s->two_at = sim_open(s->sim, s->two, 1, "192.0.2.2", 3478).local;
}

static void end(site *s)
{
    probe *all[] = {s->inside, s->one, s->two};

    for (size_t i = 0; i < 3; i++) {
        duet_sim_detach(s->sim, all[i]);
        free(all[i]);
    }
    sim_run_for(s->sim, DUET_SECONDS(60));
    duet_sim_destroy(s->sim);
}

/* As whom `server` sees what the inside sends to `to`. */
static duet_address seen_by(site *s, probe *server, const duet_address *to)
{
    size_t before = server->inputs;

    sim_probe_send(s->inside, s->socket, to, "here I am");
    sim_run_for(s->sim, DUET_MS(1));
    assert_int_equal(server->inputs, before + 1);
    return server->last.path.remote;
}

/* Whether what leaves from socket `id` of `server` reaches the inside at `to`. */
static bool gets_in(site *s, probe *server, uint32_t id, const duet_address *to)
{
    size_t before = s->inside->inputs;

    sim_probe_send(server, (duet_path){.socket = id}, to, "hello");
    sim_run_for(s->sim, DUET_MS(1));
    return s->inside->inputs > before;
}

static void nine_classes_map_and_filter_as_defined(void **state)
{
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        for (size_t f = 0; f < 3; f++) {
            duet_sim_nat_config config = config_of(rules[m], rules[f]);
            site s;
            begin(&s, &config);
            duet_address first = seen_by(&s, s.one, &s.one_at);
            assert_true(duet_address_ip_equal(&first, &(duet_address){4, 0, 0, {198, 51, 100, 1}}));
            assert_true(gets_in(&s, s.one, 1, &first));
            assert_int_equal(gets_in(&s, s.one, 2, &first), rules[f] != DUET_SIM_ADDRESS_AND_PORT_DEPENDENT);
            assert_int_equal(gets_in(&s, s.two, 1, &first), rules[f] == DUET_SIM_ENDPOINT_INDEPENDENT);
            duet_address other_port = seen_by(&s, s.one, &s.one_other_port);
            duet_address other_address = seen_by(&s, s.two, &s.two_at);
            assert_int_equal(duet_address_equal(&first, &other_port), rules[m] != DUET_SIM_ADDRESS_AND_PORT_DEPENDENT);
            assert_int_equal(duet_address_equal(&first, &other_address), rules[m] == DUET_SIM_ENDPOINT_INDEPENDENT);
            assert_int_equal(duet_sim_nat_mappings(s.nat), 1 + m);
            end(&s);
        }
    }
}

static void an_address_inside_is_not_reached_from_the_core(void **state)
{
    (void)state;
    duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ENDPOINT_INDEPENDENT);
    site s;

    begin(&s, &config);
    assert_false(gets_in(&s, s.one, 1, &s.socket.local));
    /* Another site may use the same address. */
    duet_sim_nat *other;
    config.address = "198.51.100.2";
    assert_int_equal(duet_sim_nat_create(&other, s.sim, NULL, &config), DUET_OK);
    sim_host_new(s.sim, other, "10.0.0.2", NULL);
    duet_sim_host *third;
    assert_int_equal(duet_sim_host_create(&third, s.sim, "third"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address_behind(third, other, "10.0.0.2", NULL, NULL), DUET_ERR_STATE);
    assert_int_equal(duet_sim_nat_create(&other, s.sim, NULL, &config), DUET_ERR_STATE);
    end(&s);
}

static void ports_are_preserved_where_they_are_free(void **state)
{
    (void)state;
    duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ENDPOINT_INDEPENDENT);
    site s;

    config.port_preservation = true;
    begin(&s, &config);
    assert_int_equal(seen_by(&s, s.one, &s.one_at).port, 5000);
    probe *neighbour = sim_probe_new(sim_host_new(s.sim, s.nat, "10.0.0.3", NULL));
    duet_path socket = sim_open(s.sim, neighbour, 1, "10.0.0.3", 5000);
    sim_probe_send(neighbour, socket, &s.one_at, "me too");
    sim_run_for(s.sim, DUET_MS(1));
    assert_int_not_equal(s.one->last.path.remote.port, 5000);
    duet_sim_detach(s.sim, neighbour);
    free(neighbour);
    end(&s);
}

static void a_mapping_lives_from_packets_outwards(void **state)
{
    (void)state;
    duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ENDPOINT_INDEPENDENT);
    site s;

    config.timeout = DUET_SECONDS(30);
    begin(&s, &config);
    duet_address outside = seen_by(&s, s.one, &s.one_at);
    for (int i = 0; i < 5; i++) { /* REQ-6: refreshed by outbound packets */
        sim_run_for(s.sim, DUET_SECONDS(20));
        assert_true(gets_in(&s, s.two, 1, &outside));
        duet_address again = seen_by(&s, s.one, &s.one_at);
        assert_true(duet_address_equal(&again, &outside));
    }
    for (int i = 0; i < 2; i++) { /* and not by inbound ones */
        sim_run_for(s.sim, DUET_SECONDS(14));
        assert_true(gets_in(&s, s.two, 1, &outside));
    }
    sim_run_for(s.sim, DUET_SECONDS(14));
    assert_false(gets_in(&s, s.two, 1, &outside));
    assert_int_equal(duet_sim_nat_mappings(s.nat), 0);
    duet_address later = seen_by(&s, s.one, &s.one_at);
    assert_false(duet_address_equal(&later, &outside));
    duet_sim_nat_reset(s.nat);
    assert_false(gets_in(&s, s.one, 1, &later));
    end(&s);
}

static void hosts_behind_one_nat_meet_by_hairpinning(void **state)
{
    (void)state;
    for (int hairpinning = 0; hairpinning < 2; hairpinning++) {
        duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ADDRESS_AND_PORT_DEPENDENT);
        site s;

        config.hairpinning = hairpinning;
        begin(&s, &config);
        duet_address outside = seen_by(&s, s.one, &s.one_at);
        probe *neighbour = sim_probe_new(sim_host_new(s.sim, s.nat, "10.0.0.3", NULL));
        duet_path socket = sim_open(s.sim, neighbour, 1, "10.0.0.3", 6000);
        sim_probe_send(neighbour, socket, &s.one_at, "me too");
        sim_run_for(s.sim, DUET_MS(1));
        duet_address neighbour_outside = s.one->last.path.remote;
        sim_probe_send(s.inside, s.socket, &neighbour_outside, "opens the filter"); /* lost at the other's */
        sim_run_for(s.sim, DUET_MS(1));
        assert_int_equal(neighbour->inputs, 0);
        size_t before = s.inside->inputs;
        sim_probe_send(neighbour, socket, &outside, "hello");
        sim_run_for(s.sim, DUET_MS(1));
        assert_int_equal(s.inside->inputs - before, hairpinning);
        if (hairpinning) /* "External source IP address and port", REQ-9a */
            assert_true(duet_address_equal(&s.inside->last.path.remote, &neighbour_outside));
        /* Inside they meet in any case. */
        sim_probe_send(neighbour, socket, &s.socket.local, "hello");
        sim_run_for(s.sim, DUET_MS(1));
        assert_int_equal(s.inside->inputs - before, hairpinning + 1);
        duet_sim_detach(s.sim, neighbour);
        free(neighbour);
        end(&s);
    }
}

static void nats_stand_behind_nats(void **state)
{
    (void)state;
    duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ENDPOINT_INDEPENDENT);
    duet_sim_nat *inner;
    site s;

    begin(&s, &config);
    config.address = "10.0.0.9";
    assert_int_equal(duet_sim_nat_create(&inner, s.sim, s.nat, &config), DUET_OK);
    duet_sim_link link = {.delay = DUET_MS(5)};
    probe *deep = sim_probe_new(sim_host_new(s.sim, inner, "10.0.0.2", &link));
    duet_path socket = sim_open(s.sim, deep, 1, "10.0.0.2", 7000);
    sim_probe_send(deep, socket, &s.one_at, "hello");
    sim_run_for(s.sim, DUET_MS(5));
    duet_address outside = s.one->last.path.remote;
    assert_true(duet_address_ip_equal(&outside, &(duet_address){4, 0, 0, {198, 51, 100, 1}}));
    sim_probe_send(s.two, (duet_path){.socket = 1}, &outside, "hello you");
    sim_run_for(s.sim, DUET_MS(5));
    assert_int_equal(deep->inputs, 1);
    assert_true(duet_address_equal(&deep->last.path.remote, &s.two_at));
    /* The site between reaches it at the inner NAT. */
    sim_probe_send(deep, socket, &s.socket.local, "not myself");
    sim_run_for(s.sim, DUET_MS(5));
    assert_int_equal(s.inside->inputs, 0); /* 10.0.0.2 is deep itself */
    duet_sim_detach(s.sim, deep);
    free(deep);
    end(&s);
}

static void open_stream(site *s, probe *p, const char *from, const duet_address *to, uint32_t id)
{
    duet_request r = {
        .kind = DUET_REQUEST_OPEN, .id = id, .protocol = DUET_TCP, .bind = probe_address(from, 0), .remote = *to};

    probe_ask(p, r);
    sim_run_for(s->sim, DUET_SECONDS(11));
}

static void listen_at(site *s, probe *p, const char *address, uint16_t port)
{
    duet_request r = {
        .kind = DUET_REQUEST_LISTEN, .id = 50, .protocol = DUET_TCP, .bind = probe_address(address, port)};

    probe_ask(p, r);
    sim_run_for(s->sim, 0);
    assert_int_equal(probe_find(p, DUET_REQUEST_LISTEN, 50)->err, DUET_OK);
}

static void tcp_passes_outwards_and_not_inwards(void **state)
{
    (void)state;
    duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ADDRESS_DEPENDENT);
    site s;

    begin(&s, &config);
    listen_at(&s, s.one, "192.0.2.1", 443);
    duet_address to = probe_address("192.0.2.1", 443);
    open_stream(&s, s.inside, "10.0.0.2", &to, 20);
    assert_int_equal(probe_find(s.inside, DUET_REQUEST_OPEN, 20)->err, DUET_OK);
    const probe_answer *a = probe_find(s.one, DUET_ANSWER_ACCEPTED, 50);
    assert_true(a && a->remote.ip[0] == 198);
    duet_path back = {a->accepted, DUET_TCP, a->local, a->remote};
    probe_send(s.one, &back, "hello", 5);
    sim_run_for(s.sim, DUET_MS(1));
    assert_int_equal(s.inside->received_len, 5);
    listen_at(&s, s.inside, "10.0.0.2", 80);
    duet_address in = probe_address("198.51.100.1", 80);
    open_stream(&s, s.two, "192.0.2.2", &in, 21);
    assert_int_equal(probe_find(s.two, DUET_REQUEST_OPEN, 21)->err, DUET_ERR_TIMEOUT);
    end(&s);
}

static void a_firewall_lets_only_some_ports_through(void **state)
{
    (void)state;
    duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ENDPOINT_INDEPENDENT);
    duet_sim_stats stats;
    site s;

    config.block_udp = true;
    config.tcp_ports[0] = 443;
    begin(&s, &config);
    sim_probe_send(s.inside, s.socket, &s.one_at, "hello");
    sim_run_for(s.sim, DUET_MS(1));
    assert_int_equal(s.one->inputs, 0);
    duet_sim_get_stats(s.sim, &stats);
    assert_int_equal(stats.filtered, 1);
    listen_at(&s, s.one, "192.0.2.1", 443);
    listen_at(&s, s.two, "192.0.2.2", 3478);
    duet_address yes = probe_address("192.0.2.1", 443), no = probe_address("192.0.2.2", 3478);
    open_stream(&s, s.inside, "10.0.0.2", &yes, 20);
    open_stream(&s, s.inside, "10.0.0.2", &no, 21);
    assert_int_equal(probe_find(s.inside, DUET_REQUEST_OPEN, 20)->err, DUET_OK);
    assert_int_equal(probe_find(s.inside, DUET_REQUEST_OPEN, 21)->err, DUET_ERR_TIMEOUT);
    end(&s);
}

static void each_family_has_its_outside(void **state)
{
    (void)state;
    duet_sim_nat_config config = config_of(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ENDPOINT_INDEPENDENT);
    duet_sim_nat *six;
    site s;

    begin(&s, &config);
    config.address = NULL;
    config.address6 = "2001:db8:1::1";
    assert_int_equal(duet_sim_nat_create(&six, s.sim, NULL, &config), DUET_OK);
    duet_sim_host *host = sim_host_new(s.sim, six, "fd00::2", NULL);
    assert_int_equal(duet_sim_host_add_address_behind(host, six, "10.0.0.2", NULL, NULL), DUET_OK);
    duet_sim_host *server = sim_host_new(s.sim, NULL, "2001:db8::1", NULL);
    probe *a = sim_probe_new(host), *b = sim_probe_new(server);
    duet_path v6 = sim_open(s.sim, a, 1, "fd00::2", 0), v4 = sim_open(s.sim, a, 2, "10.0.0.2", 0);
    duet_address to = sim_open(s.sim, b, 1, "2001:db8::1", 3478).local;
    sim_probe_send(a, v6, &to, "six");
    sim_probe_send(a, v4, &s.one_at, "four");
    sim_run_for(s.sim, DUET_MS(1));
    assert_int_equal(b->inputs, 1);
    duet_address outside = probe_address("2001:db8:1::1", 0);
    assert_true(duet_address_ip_equal(&b->last.path.remote, &outside));
    assert_int_equal(s.one->inputs, 0);
    duet_sim_detach(s.sim, a);
    duet_sim_detach(s.sim, b);
    free(a);
    free(b);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nine_classes_map_and_filter_as_defined),
        cmocka_unit_test(an_address_inside_is_not_reached_from_the_core),
        cmocka_unit_test(ports_are_preserved_where_they_are_free),
        cmocka_unit_test(a_mapping_lives_from_packets_outwards),
        cmocka_unit_test(hosts_behind_one_nat_meet_by_hairpinning),
        cmocka_unit_test(nats_stand_behind_nats),
        cmocka_unit_test(tcp_passes_outwards_and_not_inwards),
        cmocka_unit_test(a_firewall_lets_only_some_ports_through),
        cmocka_unit_test(each_family_has_its_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
