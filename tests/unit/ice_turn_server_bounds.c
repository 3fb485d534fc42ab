/* What nobody can do to the TURN server: pass a bound, hold a stream for ever, or take its memory. */
#include "turn_world.h"

/* ---- bounds ---- */

static void rfc8656_7_2_the_quota_of_a_user_and_one_more_gets_486(void **state)
{
    static world t;
    duet_turn_config config;
    duet_turn_registry_config limits;
    duet_turn_registry *registry;
    client clients[4];

    (void)state;
    duet_turn_registry_config_init(&limits);
    limits.allocations_per_user = 2;
    limits.allocations_max = 3;
    assert_int_equal(duet_turn_registry_create(&registry, &limits), DUET_OK);
    world_config(&t, &config);
    config.registry = registry;
    world_open(&t, &config);
    for (uint16_t i = 0; i < 4; i++) {
        client_init(&clients[i], &t, "192.0.2.10", (uint16_t)(5000 + i));
        if (i == 3) {
            clients[i].username = world_other_user.username;
            clients[i].password = world_other_user.password;
        }
        client_challenge(&clients[i]);
    }
    assert_int_equal(client_try_allocate(&clients[0]).code, 0);
    assert_int_equal(client_try_allocate(&clients[1]).code, 0);
    assert_int_equal(client_try_allocate(&clients[2]).code, 486);
    assert_int_equal(client_try_allocate(&clients[3]).code, 0);
    assert_int_equal(duet_turn_registry_allocations(registry), 3);
    assert_int_equal(client_refresh(&clients[0], 0).code, 0);
    assert_int_equal(client_try_allocate(&clients[2]).code, 0);
    clients[0].username = world_other_user.username;
    clients[0].password = world_other_user.password;
    client_make_key(&clients[0]);
    assert_int_equal(client_try_allocate(&clients[0]).code, 508); /* the bound of all */
    world_close(&t);
    assert_int_equal(duet_turn_registry_allocations(registry), 0);
    duet_turn_registry_destroy(registry);
}

static void permissions_and_channels_of_an_allocation_are_bounded(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.0", 4000);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    for (unsigned i = 1; i <= 64; i++) {
        peer.ip[3] = (uint8_t)i;
        assert_int_equal(client_bind(&c, (uint16_t)(0x4000 + i), &peer), 0);
    }
    peer.ip[3] = 65;
    assert_int_equal(client_permit(&c, &peer), 508);
    assert_int_equal(client_bind(&c, 0x4100, &peer), 508);
    world_pass(&w, DUET_SECONDS(301)); /* what has expired makes room */
    assert_int_equal(client_permit(&c, &peer), 0);
    assert_int_equal(world_stats(&w).permissions, 1);
}

static void data_over_the_bandwidth_is_dropped_and_counted(void **state)
{
    static world t;
    duet_turn_config config;
    client c;
    duet_address peer = address_of("192.0.2.99", 4000);
    char payload[1000] = {0};
    size_t passed = 0;

    (void)state;
    world_config(&t, &config);
    config.allocation_bandwidth = 100000;
    world_open(&t, &config);
    client_init(&c, &t, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 0);
    for (unsigned i = 0; i < 1000; i++) { /* 1 MB in a second, of which 100 kB and a burst pass */
        client_send_channel(&c, 0x4000, payload, sizeof(payload));
        passed += world_answers(&t);
        t.now += DUET_MS(1);
    }
    assert_in_range(passed, 100, 130);
    assert_int_equal(world_stats(&t).dropped_bandwidth, 1000 - passed);
    world_close(&t);
}

/* ---- streams ---- */

static void accept_stream(uint32_t id, client *c, uint16_t port)
{
    client_init(c, &w, "192.0.2.10", port);
    c->path.socket = id;
    c->path.protocol = DUET_TCP;
    c->path.local = world_tcp.address;
    duet_answer answer = {
        .kind = DUET_ANSWER_ACCEPTED, .id = 3, .local = c->path.local, .accepted = id, .remote = c->path.remote};
    w.ops->answer(w.server, &answer, w.now);
    world_settle(&w);
}

static void rfc8656_12_5_a_tcp_client_relays_with_padded_channel_data_byte_by_byte(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000);

    (void)state;
    accept_stream(DUET_SOCKET_ACCEPTED, &c, 5000);
    duet_address relayed = client_allocate(&c);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 0);
    const uint8_t message[] = "\x40\x00\x00\x05hello\0\0";
    size_t before = w.output_count;
    for (size_t i = 0; i < 12; i++)
        world_feed(&w, &c.path, message + i, 1);
    assert_int_equal(w.output_count - before, 1);
    assert_true(peer_got(&w, &relayed, &peer, "hello"));
    peer_send(&w, &peer, &relayed, "hello", 5);
    assert_int_equal(world_last(&w)->len, 12);
    /* When the stream ends its allocation does. */
    w.ops->path_error(w.server, &c.path, 0, w.now);
    world_settle(&w);
    assert_int_equal(world_stats(&w).allocations, 0);
    assert_int_equal(world_stats(&w).streams, 0);
}

static void a_slow_tcp_client_is_closed_in_time(void **state)
{
    client c;
    size_t len;

    (void)state;
    accept_stream(DUET_SOCKET_ACCEPTED, &c, 5000);
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_BINDING);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    for (size_t i = 0; i < 15; i++) { /* a byte each second keeps nothing open */
        world_feed(&w, &c.path, c.buffer + i, 1);
        world_pass(&w, DUET_SECONDS(1));
    }
    assert_int_equal(w.closed_stream, DUET_SOCKET_ACCEPTED);
    assert_int_equal(world_stats(&w).streams, 0);
    assert_int_equal(world_stats(&w).streams_refused, 1);
}

static void half_open_tcp_clients_are_bounded_and_push_each_other_out(void **state)
{
    client c, good;

    (void)state;
    accept_stream(DUET_SOCKET_ACCEPTED, &good, 4000);
    (void)client_allocate(&good);
    for (uint32_t i = 1; i <= 2000; i++)
        accept_stream(DUET_SOCKET_ACCEPTED + i, &c, (uint16_t)(10000 + i));
    assert_int_equal(world_stats(&w).streams, 257);
    assert_int_equal(w.closed_streams, 2000 - 256);
    assert_int_equal(client_refresh(&good, 600).code, 0); /* whoever has an allocation stays */
    (void)client_allocate(&c);
    world_pass(&w, DUET_SECONDS(11));
    assert_int_equal(world_stats(&w).streams, 2);
}

static void a_stream_with_something_else_or_long_frames_is_closed(void **state)
{
    client c;
    uint8_t request[] = {0x00, 0x03, 0x40, 0x00, 0x21, 0x12, 0xA4, 0x42}; /* 16 KiB are to come */

    (void)state;
    accept_stream(DUET_SOCKET_ACCEPTED, &c, 5000);
    world_feed(&w, &c.path, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_int_equal(w.closed_streams, 1);
    accept_stream(DUET_SOCKET_ACCEPTED + 1, &c, 5001);
    world_feed(&w, &c.path, request, sizeof(request));
    assert_int_equal(w.closed_streams, 2);
    world_feed(&w, &c.path, request, sizeof(request)); /* what was under way when it closed */
    assert_int_equal(world_stats(&w).streams, 0);
}

/* ---- memory ---- */

static int whole_life(const duet_env *env, void *arg)
{
    static world t;
    duet_turn_config config;
    client c, d;
    duet_address peer = address_of("192.0.2.99", 4000);
    char payload[900] = {0};

    (void)arg;
    world_config(&t, &config);
    config.secret = "north";
    config.on_listening = NULL;
    int err = world_try_open(&t, &config, env);
    if (err != DUET_OK)
        return err;
    /* Nobody minds whether these succeed: the next answers must come all the same. */
    client_init(&c, &t, "192.0.2.10", 5000);
    duet_stun_builder b = client_allocate_begin(&c);
    reply r = client_send(&c, &b);
    if (r.is_stun) {
        client_take_text(&r, DUET_STUN_REALM, c.realm, sizeof(c.realm));
        client_take_text(&r, DUET_STUN_NONCE, c.nonce, sizeof(c.nonce));
        client_make_key(&c);
        b = client_allocate_begin(&c);
        duet_stun_add_u8(&b, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV6);
        (void)client_finish(&c, &b);
        (void)client_bind(&c, 0x4000, &peer);
        peer.port++;
        (void)client_permit(&c, &peer);
        for (unsigned i = 0; i < 4; i++)
            client_send_channel(&c, 0x4000, payload, sizeof(payload));
    }
    client_init(&d, &t, "192.0.2.11", 5000);
    d.path.socket = DUET_SOCKET_ACCEPTED;
    d.path.protocol = DUET_TCP;
    duet_answer answer = {
        .kind = DUET_ANSWER_ACCEPTED, .id = 3, .accepted = DUET_SOCKET_ACCEPTED, .remote = d.path.remote};
    t.ops->answer(t.server, &answer, t.now);
    world_feed(&t, &d.path, "\0\1\0\0", 4);
    world_settle(&t);
    (void)client_refresh(&c, 0);
    world_close(&t);
    return DUET_OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(test_fail_each_allocation("a server's life", whole_life, NULL) > 15);
}

static void ten_thousand_allocations_and_a_flood_leave_good_clients_served_and_memory_bounded(void **state)
{
    static world t;
    static client clients[10000];
    duet_turn_config config;
    duet_turn_registry_config limits;
    duet_turn_registry *registry;
    test_allocator counted;
    duet_env env = DUET_ENV_INIT;
    uint64_t seed = 3;
    uint8_t noise[600];

    (void)state;
    test_allocator_init(&counted, 0);
    env.allocator = &counted.allocator;
    duet_turn_registry_config_init(&limits);
    limits.port_min = 10000; /* away from the listener, which has the same address */
    limits.env = &env;
    assert_int_equal(duet_turn_registry_create(&registry, &limits), DUET_OK);
    world_config(&t, &config);
    config.registry = registry;
    assert_int_equal(world_try_open(&t, &config, &env), DUET_OK);
    for (unsigned i = 0; i < 10000; i++) {
        client_init(&clients[i], &t, "192.0.2.10", (uint16_t)(1024 + i));
        (void)client_allocate(&clients[i]);
    }
    duet_address peer = address_of("192.0.2.99", 4000);
    assert_int_equal(client_bind(&clients[77], 0x4000, &peer), 0);
    uint64_t blocks = counted.live;
    print_message("10,000 allocations are %llu blocks\n", (unsigned long long)blocks);
    for (unsigned i = 0; i < 100000; i++) {
        client bad;
        size_t len = 20 + (size_t)test_random_below(&seed, sizeof(noise) - 20);
        client_init(&bad, &t, "203.0.113.5", (uint16_t)test_random(&seed));
        test_random_fill(&seed, noise, len);
        if (i % 2) { /* half of them look like STUN */
            static const uint8_t types[] = {1, 3, 4, 8, 9, 0x16, 0x17};
            len = len / 4 * 4;
            uint8_t header[] = {0,    types[i % 7], (uint8_t)((len - 20) >> 8), (uint8_t)(len - 20), 0x21, 0x12,
                                0xA4, 0x42};
            memcpy(noise, header, sizeof(header));
        }
        world_feed(&t, &bad.path, noise, len);
        assert_true(world_answers(&t) <= 1);
        if (world_answers(&t))
            assert_true(world_last(&t)->len <= 128);
        if (i % 1000 == 0) {
            client_send_channel(&clients[77], 0x4000, "good", 4);
            assert_int_equal(world_answers(&t), 1);
            assert_int_equal(client_refresh(&clients[i / 10], 600).code, 0);
        }
    }
    assert_true(counted.live <= blocks + 8);
    assert_int_equal(world_stats(&t).allocations, 10000);
    world_pass(&t, DUET_SECONDS(601));
    assert_int_equal(world_stats(&t).allocations, 0);
    world_close(&t);
    duet_turn_registry_destroy(registry);
    assert_int_equal(counted.live, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8656_7_2_the_quota_of_a_user_and_one_more_gets_486),
        T(permissions_and_channels_of_an_allocation_are_bounded),
        cmocka_unit_test(data_over_the_bandwidth_is_dropped_and_counted),
        T(rfc8656_12_5_a_tcp_client_relays_with_padded_channel_data_byte_by_byte),
        T(a_slow_tcp_client_is_closed_in_time),
        T(half_open_tcp_clients_are_bounded_and_push_each_other_out),
        T(a_stream_with_something_else_or_long_frames_is_closed),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(ten_thousand_allocations_and_a_flood_leave_good_clients_served_and_memory_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
