/* Streams in virtual time: connections, order under loss, ends, refusals, time-outs; and what else hosts do with sockets. */
#include <errno.h>

#include "unit/sim_probe.h"

typedef struct streams {
    duet_sim *sim;
    duet_sim_host *hosts[2];
    probe *server, *client;
    duet_path to_server, to_client;
} streams;

static void begin(streams *s, const duet_sim_link *link)
{
    *s = (streams){.sim = sim_new(5)};
    s->hosts[0] = sim_host_new(s->sim, NULL, "192.0.2.1", link);
    s->hosts[1] = sim_host_new(s->sim, NULL, "192.0.2.2", link);
    s->server = sim_probe_new(s->hosts[0]);
    s->client = sim_probe_new(s->hosts[1]);
}

static void end(streams *s)
{
    duet_sim_detach(s->sim, s->server);
    duet_sim_detach(s->sim, s->client);
    sim_run_for(s->sim, DUET_SECONDS(60));
    duet_sim_destroy(s->sim);
    free(s->server);
    free(s->client);
}

static void listen_on(streams *s, duet_protocol protocol)
{
    duet_request r = {
        .kind = DUET_REQUEST_LISTEN, .id = 7, .protocol = protocol, .bind = probe_address("192.0.2.1", 443)};

    probe_ask(s->server, r);
    sim_run_for(s->sim, 0);
    assert_int_equal(probe_find(s->server, DUET_REQUEST_LISTEN, 7)->err, DUET_OK);
}

static void ask_connection(streams *s, duet_protocol protocol)
{
    duet_request r = {.kind = DUET_REQUEST_OPEN,
                      .id = 1,
                      .protocol = protocol,
                      .bind = probe_address("192.0.2.2", 0),
                      .remote = probe_address("192.0.2.1", 443)};

    s->client->answer_count = 0;
    probe_ask(s->client, r);
}

static void connect_to(streams *s, duet_protocol protocol)
{
    ask_connection(s, protocol);
    sim_run_for(s->sim, DUET_SECONDS(9));
    const probe_answer *a = probe_find(s->client, DUET_REQUEST_OPEN, 1);
    const probe_answer *b = probe_find(s->server, DUET_ANSWER_ACCEPTED, 7);
    assert_true(a && a->err == DUET_OK && b);
    s->to_server = (duet_path){1, protocol, a->local, probe_address("192.0.2.1", 443)};
    s->to_client = (duet_path){b->accepted, protocol, b->local, b->remote};
    assert_true(duet_address_equal(&b->remote, &a->local));
}

static void a_connection_takes_a_round_trip(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    streams s;

    begin(&s, &link);
    listen_on(&s, DUET_TCP);
    ask_connection(&s, DUET_TCP);
    sim_run_for(s.sim, DUET_MS(39));
    assert_int_equal(s.client->answer_count, 0);
    sim_run_for(s.sim, DUET_MS(1));
    assert_int_equal(s.client->answer_count, 1);
    end(&s);
}

static void bytes_arrive_in_order_however_many_are_lost(void **state)
{
    (void)state;
    static uint8_t data[200000];
    duet_sim_link link = {
        .delay = DUET_MS(10), .jitter = DUET_MS(5), .loss = 0.2, .reorder = 0.1, .corrupt = 0.05, .rate = 10000000};

    for (duet_protocol protocol = DUET_TCP; protocol <= DUET_TLS; protocol++) {
        streams s;

        begin(&s, &link);
        listen_on(&s, protocol);
        connect_to(&s, protocol);
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = (uint8_t)(i * 13 >> 3);
        for (size_t at = 0; at < sizeof(data); at += 5000)
            probe_send(s.client, &s.to_server, data + at, 5000);
        probe_send(s.server, &s.to_client, "hello", 5);
        sim_run_for(s.sim, DUET_SECONDS(30));
        assert_int_equal(s.server->received_len, sizeof(data));
        assert_memory_equal(s.server->received, data, sizeof(data));
        assert_int_equal(s.client->received_len, 5);
        assert_int_equal(s.server->last.path.protocol, protocol);
        probe_ask(s.client, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = 1});
        sim_run_for(s.sim, DUET_SECONDS(30));
        assert_int_equal(s.server->ends, 1);
        end(&s);
    }
}

static void more_than_may_wait_is_dropped_whole(void **state)
{
    (void)state;
    static uint8_t piece[50000];
    duet_sim_link link = {.delay = DUET_MS(10), .rate = 1000000};
    streams s;

    begin(&s, &link);
    listen_on(&s, DUET_TCP);
    connect_to(&s, DUET_TCP);
    for (int i = 0; i < 8; i++)
        probe_send(s.client, &s.to_server, piece, sizeof(piece));
    sim_run_for(s.sim, DUET_SECONDS(60));
    assert_int_equal(s.client->refusals, 3); /* five of them are 250,000 bytes */
    assert_int_equal(s.server->received_len, 5 * sizeof(piece));
    end(&s);
}

static void nobody_listens_is_refused_and_nobody_there_takes_its_time(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    streams s;

    begin(&s, &link);
    ask_connection(&s, DUET_TCP);
    sim_run_for(s.sim, DUET_MS(40));
    assert_int_equal(s.client->answer_count, 1);
    assert_int_equal(s.client->answers[0].err, DUET_ERR_IO);
    assert_non_null(strstr(s.client->answers[0].reason, "refused"));
    assert_int_equal(duet_sim_host_set_interface(s.hosts[0], "192.0.2.1", false), DUET_OK);
    ask_connection(&s, DUET_TCP);
    sim_run_for(s.sim, DUET_SECONDS(9));
    assert_int_equal(s.client->answer_count, 0);
    sim_run_for(s.sim, DUET_SECONDS(2));
    assert_int_equal(s.client->answers[0].err, DUET_ERR_TIMEOUT);
    end(&s);
}

static void a_peer_that_vanished_is_found_out(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    streams s;

    begin(&s, &link);
    listen_on(&s, DUET_TCP);
    connect_to(&s, DUET_TCP);
    assert_int_equal(duet_sim_host_set_interface(s.hosts[0], "192.0.2.1", false), DUET_OK);
    probe_send(s.client, &s.to_server, "hello?", 6);
    sim_run_for(s.sim, DUET_SECONDS(20));
    assert_int_equal(s.client->last_error, 0);
    sim_run_for(s.sim, DUET_SECONDS(20));
    assert_int_equal(s.client->last_error, ETIMEDOUT);
    end(&s);
}

static void a_short_outage_only_delays(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    streams s;

    begin(&s, &link);
    listen_on(&s, DUET_TCP);
    connect_to(&s, DUET_TCP);
    assert_int_equal(duet_sim_host_set_interface(s.hosts[1], "192.0.2.2", false), DUET_OK);
    probe_send(s.client, &s.to_server, "late", 4);
    sim_run_for(s.sim, DUET_SECONDS(2));
    assert_int_equal(duet_sim_host_set_interface(s.hosts[1], "192.0.2.2", true), DUET_OK);
    sim_run_for(s.sim, DUET_SECONDS(4));
    assert_int_equal(s.server->received_len, 4);
    end(&s);
}

static void a_stream_to_one_that_has_gone_is_reset(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    streams s;

    begin(&s, &link);
    listen_on(&s, DUET_TCP);
    ask_connection(&s, DUET_TCP);
    sim_run_for(s.sim, DUET_MS(30));
    probe_ask(s.client, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = 1}); /* before it learns that it is open */
    sim_run_for(s.sim, DUET_MS(50));
    assert_int_equal(s.server->last_error, ECONNRESET);
    end(&s);
}

static void both_may_open_at_once(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    streams s;

    begin(&s, &link);
    duet_request r = {.kind = DUET_REQUEST_OPEN,
                      .id = 1,
                      .protocol = DUET_TCP,
                      .bind = probe_address("192.0.2.2", 5000),
                      .remote = probe_address("192.0.2.1", 6000)};
    probe_ask(s.client, r);
    r.bind = probe_address("192.0.2.1", 6000);
    r.remote = probe_address("192.0.2.2", 5000);
    probe_ask(s.server, r);
    sim_run_for(s.sim, DUET_MS(100));
    assert_int_equal(probe_find(s.client, DUET_REQUEST_OPEN, 1)->err, DUET_OK);
    assert_int_equal(probe_find(s.server, DUET_REQUEST_OPEN, 1)->err, DUET_OK);
    duet_path path = {1, DUET_TCP, r.remote, r.bind};
    probe_send(s.client, &path, "hi", 2);
    sim_run_for(s.sim, DUET_MS(100));
    assert_int_equal(s.server->received_len, 2);
    end(&s);
}

/* ---- datagrams ---- */

static void a_group_reaches_who_joined_it_in_the_same_site(void **state)
{
    (void)state;
    duet_sim *sim = sim_new(6);
    duet_sim_nat_config config;
    duet_sim_nat *nat;
    probe *p[4];

    duet_sim_nat_config_init(&config);
    config.address = "198.51.100.1";
    assert_int_equal(duet_sim_nat_create(&nat, sim, NULL, &config), DUET_OK);
    p[0] = sim_probe_new(sim_host_new(sim, nat, "10.0.0.1", NULL));
    p[1] = sim_probe_new(sim_host_new(sim, nat, "10.0.0.2", NULL));
    p[2] = sim_probe_new(sim_host_new(sim, NULL, "192.0.2.1", NULL));
    p[3] = sim_probe_new(sim_host_new(sim, nat, "10.0.0.3", NULL));
    const char *addresses[] = {"10.0.0.1", "10.0.0.2", "192.0.2.1", "10.0.0.3"};
    duet_address group = probe_address("224.0.0.251", 5353);
    for (size_t i = 0; i < 4; i++) {
        duet_request r = {
            .kind = DUET_REQUEST_OPEN, .id = 1, .bind = probe_address(addresses[i], 5353), .share_port = true};
        if (i != 3)
            r.group = probe_address("224.0.0.251", 0);
        probe_ask(p[i], r);
    }
    /* A second one on the first host. */
    duet_request r = {.kind = DUET_REQUEST_OPEN,
                      .id = 2,
                      .bind = probe_address(addresses[0], 5353),
                      .share_port = true,
                      .group = probe_address("224.0.0.251", 0)};
    probe_ask(p[0], r);
    sim_run_for(sim, 0);
    sim_probe_send(p[1], (duet_path){.socket = 1}, &group, "who?");
    sim_run_for(sim, DUET_MS(1));
    assert_int_equal(p[0]->inputs, 2);
    assert_int_equal(p[1]->inputs, 1); /* its own */
    assert_int_equal(p[2]->inputs, 0);
    assert_int_equal(p[3]->inputs, 0);
    for (size_t i = 0; i < 4; i++) {
        duet_sim_detach(sim, p[i]);
        free(p[i]);
    }
    duet_sim_destroy(sim);
}

static void names_are_published_until_they_are_withdrawn(void **state)
{
    (void)state;
    streams s;
    duet_request publish = {
        .kind = DUET_REQUEST_PUBLISH, .id = 3, .name = "x.local", .bind = probe_address("192.0.2.1", 0)};
    duet_request resolve = {.kind = DUET_REQUEST_RESOLVE, .id = 4, .name = "x.local"};

    begin(&s, NULL);
    probe_ask(s.server, publish);
    sim_run_for(s.sim, 0);
    assert_int_equal(probe_find(s.server, DUET_REQUEST_PUBLISH, 3)->err, DUET_OK);
    probe_ask(s.client, resolve);
    sim_run_for(s.sim, 0);
    assert_int_equal(probe_find(s.client, DUET_REQUEST_RESOLVE, 4)->err, DUET_OK);
    probe_ask(s.server, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = 3});
    probe_ask(s.client, resolve);
    sim_run_for(s.sim, 0);
    assert_int_equal(probe_find(s.client, DUET_REQUEST_RESOLVE, 4)->err, DUET_ERR_NOT_FOUND);
    probe_ask(s.server, publish);
    sim_run_for(s.sim, 0);
    duet_sim_detach(s.sim, s.server);
    probe_ask(s.client, resolve);
    sim_run_for(s.sim, 0);
    assert_int_equal(probe_find(s.client, DUET_REQUEST_RESOLVE, 4)->err, DUET_ERR_NOT_FOUND);
    end(&s);
}

static void who_watches_hears_of_changed_interfaces(void **state)
{
    (void)state;
    streams s;

    begin(&s, NULL);
    probe_ask(s.client, (duet_request){.kind = DUET_REQUEST_INTERFACES, .id = 9, .watch = true});
    probe_ask(s.server, (duet_request){.kind = DUET_REQUEST_INTERFACES, .id = 9});
    sim_run_for(s.sim, DUET_SECONDS(1));
    size_t before = s.client->answer_count, server = s.server->answer_count;
    assert_int_equal(duet_sim_host_add_address(s.hosts[1], "2001:db8::2", NULL, NULL), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(s.hosts[0], "2001:db8::1", NULL, NULL), DUET_OK);
    sim_run_for(s.sim, DUET_SECONDS(1));
    assert_int_equal(s.client->answer_count, before + 1);
    assert_int_equal(s.client->answers[before].interfaces, 2);
    assert_int_equal(duet_sim_host_set_interface(s.hosts[1], "192.0.2.2", false), DUET_OK);
    assert_int_equal(duet_sim_host_set_interface(s.hosts[1], "192.0.2.2", false), DUET_OK);
    sim_run_for(s.sim, DUET_SECONDS(1));
    assert_int_equal(s.client->answer_count, before + 2);
    assert_int_equal(s.client->answers[before + 1].interfaces, 1);
    assert_int_equal(s.server->answer_count, server);
    end(&s);
}

static void a_shared_port_is_spread_by_peer(void **state)
{
    (void)state;
    streams s;
    duet_address to = probe_address("192.0.2.1", 3478);

    begin(&s, NULL);
    for (uint32_t id = 1; id <= 4; id++) {
        duet_request r = {.kind = DUET_REQUEST_OPEN, .id = id, .bind = to, .share_port = id != 4};
        probe_ask(s.server, r);
        sim_run_for(s.sim, 0);
        assert_int_equal(probe_find(s.server, DUET_REQUEST_OPEN, id)->err, id == 4 ? DUET_ERR_IO : DUET_OK);
    }
    for (uint16_t port = 1; port <= 200; port++) {
        duet_address from = probe_address("203.0.113.9", port);
        for (int twice = 0; twice < 2; twice++)
            assert_int_equal(duet_sim_send(s.sim, &from, &to, "x", 1), DUET_OK);
    }
    sim_run_for(s.sim, DUET_MS(1));
    for (uint32_t id = 1; id <= 3; id++) {
        assert_true(s.server->in_by_socket[id] > 60);
        assert_int_equal(s.server->in_by_socket[id] % 2, 0);
    }
    end(&s);
}

static void ten_thousand_sockets_are_found_as_fast_as_one(void **state)
{
    (void)state;
    enum { SOCKETS = 10000 };
    streams s;

    begin(&s, NULL);
    for (uint32_t id = 1; id <= SOCKETS; id++) {
        duet_request r = {.kind = DUET_REQUEST_OPEN, .id = id, .bind = probe_address("192.0.2.1", 0)};
        s.server->answer_count = 0;
        probe_ask(s.server, r);
        sim_run_for(s.sim, 0);
        assert_int_equal(s.server->answers[0].err, DUET_OK);
    }
    duet_address from = probe_address("203.0.113.9", 9), to = probe_address("192.0.2.1", 0);
    for (uint32_t i = 0; i < 100000; i++) {
        to.port = (uint16_t)(49152 + i % SOCKETS);
        assert_int_equal(duet_sim_send(s.sim, &from, &to, "x", 1), DUET_OK);
    }
    sim_run_for(s.sim, DUET_MS(1));
    assert_int_equal(s.server->inputs, 100000);
    end(&s);
}

/* A NAT, a listener behind nobody and a client behind the NAT, as far as memory allows. */
static int without_memory(const duet_env *env, void *arg)
{
    static uint8_t data[5000];
    probe *server = calloc(1, sizeof(probe)), *client = calloc(1, sizeof(probe));
    duet_sim_host *hosts[2] = {NULL, NULL};
    duet_sim_nat_config nat_config;
    duet_sim_nat *nat = NULL;
    duet_sim_config config;
    duet_sim *sim;

    (void)arg;
    duet_sim_config_init(&config);
    config.env = env;
    int err = duet_sim_create(&sim, &config);
    if (err != DUET_OK)
        goto out;
    duet_sim_nat_config_init(&nat_config);
    nat_config.address = "198.51.100.1";
    err = duet_sim_nat_create(&nat, sim, NULL, &nat_config);
    if (err == DUET_OK)
        err = duet_sim_host_create(&hosts[0], sim, "server");
    if (err == DUET_OK)
        err = duet_sim_host_create(&hosts[1], sim, "client");
    if (err == DUET_OK)
        err = duet_sim_host_add_address(hosts[0], "192.0.2.1", NULL, NULL);
    if (err == DUET_OK)
        err = duet_sim_host_add_address_behind(hosts[1], nat, "10.0.0.2", NULL, NULL);
    if (err == DUET_OK)
        err = duet_sim_attach(hosts[0], &probe_ops, server);
    if (err == DUET_OK)
        err = duet_sim_attach(hosts[1], &probe_ops, client);
    if (err == DUET_OK) {
        duet_path path = {1, DUET_TCP, probe_address("10.0.0.2", 0), probe_address("192.0.2.1", 443)};
        probe_ask(server,
                  (duet_request){.kind = DUET_REQUEST_LISTEN, .id = 7, .protocol = DUET_TCP, .bind = path.remote});
        probe_ask(server,
                  (duet_request){.kind = DUET_REQUEST_PUBLISH, .id = 8, .name = "x.local", .bind = path.remote});
        probe_ask(
            client,
            (duet_request){
                .kind = DUET_REQUEST_OPEN, .id = 1, .protocol = DUET_TCP, .bind = path.local, .remote = path.remote});
        probe_ask(client, (duet_request){.kind = DUET_REQUEST_OPEN, .id = 2, .bind = path.local});
        sim_run_for(sim, DUET_SECONDS(12));
        probe_send(client, &path, data, sizeof(data));
        sim_run_for(sim, DUET_SECONDS(40));
        probe_ask(client, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = 1});
        sim_run_for(sim, DUET_SECONDS(1));
    }
    duet_sim_destroy(sim);
out:
    free(server);
    free(client);
    return err;
}

static void a_world_without_memory_leaks_nothing(void **state)
{
    (void)state;
    test_fail_each_allocation("sim", without_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_takes_a_round_trip),
        cmocka_unit_test(bytes_arrive_in_order_however_many_are_lost),
        cmocka_unit_test(more_than_may_wait_is_dropped_whole),
        cmocka_unit_test(nobody_listens_is_refused_and_nobody_there_takes_its_time),
        cmocka_unit_test(a_peer_that_vanished_is_found_out),
        cmocka_unit_test(a_short_outage_only_delays),
        cmocka_unit_test(a_stream_to_one_that_has_gone_is_reset),
        cmocka_unit_test(both_may_open_at_once),
        cmocka_unit_test(a_group_reaches_who_joined_it_in_the_same_site),
        cmocka_unit_test(names_are_published_until_they_are_withdrawn),
        cmocka_unit_test(who_watches_hears_of_changed_interfaces),
        cmocka_unit_test(a_shared_port_is_spread_by_peer),
        cmocka_unit_test(ten_thousand_sockets_are_found_as_fast_as_one),
        cmocka_unit_test(a_world_without_memory_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
