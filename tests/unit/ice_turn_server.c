/* The TURN server as RFC 8656 tells: allocations, permissions, channels, data, and how they end. */
#include "turn_world.h"

static void rfc8489_7_a_binding_request_tells_the_client_its_address(void **state)
{
    client c;
    duet_address mapped;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_BINDING);
    duet_stun_add_fingerprint(&b);
    reply r = client_send(&c, &b);
    assert_int_equal(r.m.message_class, DUET_STUN_SUCCESS);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped), DUET_OK);
    assert_true(duet_address_equal(&mapped, &c.path.remote));
    assert_int_equal(duet_stun_verify_fingerprint(&r.m), DUET_OK);
}

static void rfc8656_7_2_an_allocation_tells_relayed_and_mapped_address_and_lifetime(void **state)
{
    client c;
    duet_address relayed, mapped;
    uint32_t lifetime;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    reply r = client_try_allocate(&c);
    assert_int_equal(r.m.message_class, DUET_STUN_SUCCESS);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed), DUET_OK);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped), DUET_OK);
    assert_int_equal(duet_stun_get_u32(&r.m, DUET_STUN_LIFETIME, &lifetime), DUET_OK);
    assert_true(duet_address_ip_equal(&relayed, &world_udp.address));
    assert_true(relayed.port >= 49152);
    assert_true(duet_address_equal(&mapped, &c.path.remote));
    assert_int_equal(lifetime, 600);
    assert_int_equal(world_stats(&w).allocations, 1);
}

static void rfc8656_7_2_a_retransmission_gets_the_same_answer_and_another_request_437(void **state)
{
    client c;
    world_output first;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    duet_stun_builder b = client_allocate_begin(&c);
    first = *client_finish(&c, &b).output;
    reply again = client_send(&c, &b);
    assert_int_equal(again.output->len, first.len);
    assert_memory_equal(again.output->data, first.data, first.len);
    assert_int_equal(client_try_allocate(&c).code, 437);
    assert_int_equal(world_stats(&w).allocations, 1);
}

static void rfc8489_9_2_sha256_and_anonymous_usernames_are_understood(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    c.sha256 = c.userhash = true;
    (void)client_allocate(&c);
    assert_int_equal(client_refresh(&c, 700).code, 0);
}

static void rfc8656_11_indications_carry_data_both_ways(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000), from;
    duet_stun_attribute data;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_address relayed = client_allocate(&c);
    assert_int_equal(client_permit(&c, &peer), 0);
    client_send_indication(&c, &peer, "hello", 5);
    assert_true(peer_got(&w, &relayed, &peer, "hello"));
    peer_send(&w, &peer, &relayed, "good day", 8);
    reply r = client_read(&c);
    assert_int_equal(r.m.method, DUET_STUN_DATA);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_PEER_ADDRESS, &from), DUET_OK);
    assert_true(duet_address_equal(&from, &peer));
    assert_true(duet_stun_find(&r.m, DUET_STUN_DATA_ATTRIBUTE, &data));
    assert_int_equal(data.len, 8);
    assert_memory_equal(data.value, "good day", 8);
}

static void rfc8656_12_channels_carry_data_both_ways(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_address relayed = client_allocate(&c);
    assert_int_equal(client_bind(&c, 0x4001, &peer), 0);
    client_send_channel(&c, 0x4001, "hello", 5);
    assert_true(peer_got(&w, &relayed, &peer, "hello"));
    peer_send(&w, &peer, &relayed, "hi", 2);
    const world_output *o = world_last(&w);
    assert_true(duet_path_equal(&o->path, &c.path));
    assert_int_equal(o->len, 6);
    assert_memory_equal(o->data, "\x40\x01\x00\x02hi", 6);
}

static void rfc8656_9_a_permission_ends_after_five_minutes_and_a_channel_after_ten(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_address relayed = client_allocate(&c);
    assert_int_equal(client_refresh(&c, 3600).code, 0);
    assert_int_equal(client_bind(&c, 0x4001, &peer), 0);
    world_pass(&w, DUET_SECONDS(299));
    peer_send(&w, &peer, &relayed, "x", 1);
    assert_int_equal(world_answers(&w), 1);
    world_pass(&w, DUET_SECONDS(2));
    peer_send(&w, &peer, &relayed, "x", 1);
    assert_int_equal(world_answers(&w), 0);
    client_send_channel(&c, 0x4001, "x", 1);
    assert_int_equal(world_answers(&w), 1);
    world_pass(&w, DUET_SECONDS(300));
    client_send_channel(&c, 0x4001, "x", 1);
    assert_int_equal(world_answers(&w), 0);
    /* The number is free for another peer, and the peer for another number. */
    duet_address other = address_of("192.0.2.98", 4000);
    assert_int_equal(client_bind(&c, 0x4001, &other), 0);
    assert_int_equal(client_bind(&c, 0x4002, &peer), 0);
}

static void rfc8656_8_refresh_prolongs_and_zero_ends(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    world_pass(&w, DUET_SECONDS(599));
    assert_int_equal(client_refresh(&c, 600).code, 0);
    world_pass(&w, DUET_SECONDS(599));
    assert_int_equal(world_stats(&w).allocations, 1);
    size_t sockets = w.socket_count;
    assert_int_equal(client_refresh(&c, 0).code, 0);
    assert_int_equal(world_stats(&w).allocations, 0);
    assert_int_equal(w.socket_count, sockets - 1);
    assert_int_equal(client_refresh(&c, 0).code, 437);
}

static void rfc8656_7_2_lifetimes_are_bounded(void **state)
{
    client c;
    uint32_t lifetime;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    reply r = client_refresh(&c, 4000000000u);
    assert_int_equal(duet_stun_get_u32(&r.m, DUET_STUN_LIFETIME, &lifetime), DUET_OK);
    assert_int_equal(lifetime, 3600);
    r = client_refresh(&c, 1);
    assert_int_equal(duet_stun_get_u32(&r.m, DUET_STUN_LIFETIME, &lifetime), DUET_OK);
    assert_int_equal(lifetime, 600);
    world_pass(&w, DUET_SECONDS(601));
    assert_int_equal(world_stats(&w).allocations, 0);
    assert_int_equal(w.socket_count, w.listening);
}

static void rfc8656_7_2_an_even_port_and_its_reserved_neighbour(void **state)
{
    client c, d;
    duet_address first, second;
    uint64_t token;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    duet_stun_builder b = client_allocate_begin(&c);
    duet_stun_add_u8(&b, DUET_STUN_EVEN_PORT, 0x80);
    reply r = client_finish(&c, &b);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_RELAYED_ADDRESS, &first), DUET_OK);
    assert_int_equal(duet_stun_get_u64(&r.m, DUET_STUN_RESERVATION_TOKEN, &token), DUET_OK);
    assert_int_equal(first.port % 2, 0);

    client_init(&d, &w, "192.0.2.10", 5001);
    client_challenge(&d);
    b = client_allocate_begin(&d);
    duet_stun_add_u64(&b, DUET_STUN_RESERVATION_TOKEN, token);
    r = client_finish(&d, &b);
    assert_int_equal(r.code, 0);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_RELAYED_ADDRESS, &second), DUET_OK);
    assert_int_equal(second.port, first.port + 1);

    /* A token serves once, and 30 seconds. */
    client_init(&d, &w, "192.0.2.10", 5002);
    client_challenge(&d);
    b = client_allocate_begin(&d);
    duet_stun_add_u64(&b, DUET_STUN_RESERVATION_TOKEN, token);
    assert_int_equal(client_finish(&d, &b).code, 508);
}

static void rfc8656_7_2_families_requested_additional_and_missing(void **state)
{
    client c, d, e;
    duet_address relayed;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    duet_stun_builder b = client_allocate_begin(&c);
    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV6);
    reply r = client_finish(&c, &b);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed), DUET_OK);
    assert_int_equal(relayed.family, DUET_AF_INET6);

    client_init(&d, &w, "2001:db8::77", 5000); /* an IPv6 client with an IPv4 relay */
    assert_int_equal(client_allocate(&d).family, DUET_AF_INET);

    client_init(&e, &w, "192.0.2.10", 5003);
    client_challenge(&e);
    b = client_allocate_begin(&e);
    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_ADDRESS_FAMILY, 3);
    assert_int_equal(client_finish(&e, &b).code, 440);
    b = client_allocate_begin(&e);
    duet_stun_add_u8(&b, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV4);
    assert_int_equal(client_finish(&e, &b).code, 400);
    b = client_allocate_begin(&e);
    duet_stun_add_u8(&b, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV6);
    r = client_finish(&e, &b);
    assert_int_equal(r.code, 0);
    duet_stun_attribute a = {0};
    size_t addresses = 0;
    while (duet_stun_next(&r.m, &a))
        addresses += a.type == DUET_STUN_XOR_RELAYED_ADDRESS;
    assert_int_equal(addresses, 2);

    /* One family of two can be given back. */
    duet_address peer6 = address_of("2001:db8::99", 9), peer4 = address_of("192.0.2.99", 9);
    assert_int_equal(client_permit(&e, &peer6), 0);
    b = client_begin(&e, DUET_STUN_REQUEST, DUET_STUN_REFRESH);
    duet_stun_add_u32(&b, DUET_STUN_LIFETIME, 0);
    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV6);
    assert_int_equal(client_finish(&e, &b).code, 0);
    assert_int_equal(client_permit(&e, &peer6), 443);
    assert_int_equal(client_permit(&e, &peer4), 0);
}

static void rfc8656_5_ipv4_clients_reach_ipv6_peers_and_the_other_way_round(void **state)
{
    client c;
    duet_address relayed, peer = address_of("2001:db8::99", 4000);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    duet_stun_builder b = client_allocate_begin(&c);
    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV6);
    reply r = client_finish(&c, &b);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed), DUET_OK);
    assert_int_equal(client_bind(&c, 0x4FFF, &peer), 0);
    client_send_channel(&c, 0x4FFF, "six", 3);
    assert_true(peer_got(&w, &relayed, &peer, "six"));
    peer_send(&w, &peer, &relayed, "four", 4);
    assert_true(duet_path_equal(&world_last(&w)->path, &c.path));
}

static void two_clients_that_have_only_the_relay_meet(void **state)
{
    client a, b;

    (void)state;
    client_init(&a, &w, "192.0.2.10", 5000);
    client_init(&b, &w, "192.0.2.11", 5000);
    duet_address relayed_a = client_allocate(&a), relayed_b = client_allocate(&b);
    assert_int_equal(client_permit(&a, &relayed_b), 0);
    assert_int_equal(client_bind(&b, 0x4000, &relayed_a), 0);
    client_send_indication(&a, &relayed_b, "ping", 4);
    assert_true(peer_got(&w, &relayed_a, &relayed_b, "ping"));
    peer_send(&w, &relayed_a, &relayed_b, "ping", 4);
    assert_true(duet_path_equal(&world_last(&w)->path, &b.path));
    /* When it ends, its address is one of this host again, and that is no peer. */
    assert_int_equal(client_refresh(&b, 0).code, 0);
    client_send_indication(&a, &relayed_b, "ping", 4);
    assert_int_equal(world_answers(&w), 0);
    assert_int_equal(client_permit(&a, &relayed_b), 403);
}

static void rfc8656_11_5_an_error_of_the_path_becomes_an_icmp_attribute(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000);
    duet_stun_attribute a;
    duet_stun_icmp icmp;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_address relayed = client_allocate(&c);
    assert_int_equal(client_permit(&c, &peer), 0);
    client_send_indication(&c, &peer, "x", 1);
    duet_path path = world_last(&w)->path;
    assert_true(duet_address_equal(&path.local, &relayed));
    w.ops->path_error(w.server, &path, ECONNREFUSED, w.now);
    world_settle(&w);
    reply r = client_read(&c);
    assert_true(duet_stun_find(&r.m, DUET_STUN_ICMP, &a));
    assert_int_equal(duet_stun_value_icmp(&a, &icmp), DUET_OK);
    assert_int_equal(icmp.type, 3);
    assert_int_equal(icmp.code, 3);
}

static void a_port_that_another_process_holds_is_replaced(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    w.opens_to_fail = 3;
    duet_address relayed = client_allocate(&c);
    assert_true(relayed.port != w.last_refused_port);
    assert_int_equal(client_refresh(&c, 0).code, 0);
    w.opens_to_fail = 100;
    assert_int_equal(client_try_allocate(&c).code, 508);
    assert_int_equal(world_stats(&w).allocations, 0);
}

static void draining_ends_with_the_last_allocation(void **state)
{
    client c, d;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_init(&d, &w, "192.0.2.10", 5001);
    (void)client_allocate(&c);
    client_challenge(&d);
    duet_turn_server_drain(w.server);
    world_settle(&w);
    assert_false(w.drained);
    assert_int_equal(client_try_allocate(&d).code, 508);
    assert_int_equal(client_refresh(&c, 600).code, 0);
    assert_int_equal(client_refresh(&c, 0).code, 0);
    assert_true(w.drained);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rfc8489_7_a_binding_request_tells_the_client_its_address),
        T(rfc8656_7_2_an_allocation_tells_relayed_and_mapped_address_and_lifetime),
        T(rfc8656_7_2_a_retransmission_gets_the_same_answer_and_another_request_437),
        T(rfc8489_9_2_sha256_and_anonymous_usernames_are_understood),
        T(rfc8656_11_indications_carry_data_both_ways),
        T(rfc8656_12_channels_carry_data_both_ways),
        T(rfc8656_9_a_permission_ends_after_five_minutes_and_a_channel_after_ten),
        T(rfc8656_8_refresh_prolongs_and_zero_ends),
        T(rfc8656_7_2_lifetimes_are_bounded),
        T(rfc8656_7_2_an_even_port_and_its_reserved_neighbour),
        T(rfc8656_7_2_families_requested_additional_and_missing),
        T(rfc8656_5_ipv4_clients_reach_ipv6_peers_and_the_other_way_round),
        T(two_clients_that_have_only_the_relay_meet),
        T(rfc8656_11_5_an_error_of_the_path_becomes_an_icmp_attribute),
        T(a_port_that_another_process_holds_is_replaced),
        T(draining_ends_with_the_last_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
