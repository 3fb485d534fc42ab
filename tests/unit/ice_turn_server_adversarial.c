/* What nobody can do to the TURN server: be believed without a password, make it repeat what is malformed, or reach what is
 * denied. */
#include "turn_world.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* ---- credentials ---- */

static void rfc8489_9_2_4_wrong_integrity_gets_401_and_at_most_128_bytes(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    c.key[0] ^= 1;
    reply r = client_try_allocate(&c);
    assert_int_equal(r.code, 401);
    assert_true(r.output->len <= 128);
    assert_int_equal(r.m.integrity, 0);
    assert_int_equal(world_stats(&w).allocations, 0);
}

static void rfc8489_9_2_4_an_unknown_user_gets_401(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    c.username = "mallory";
    client_challenge(&c);
    assert_int_equal(client_try_allocate(&c).code, 401);
    c.userhash = true;
    assert_int_equal(client_try_allocate(&c).code, 401);
}

static void rfc8489_9_2_4_integrity_without_name_realm_or_nonce_gets_400(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    for (unsigned missing = 0; missing < 3; missing++) {
        duet_stun_builder b = client_allocate_begin(&c);
        if (missing != 0)
            duet_stun_add_text(&b, DUET_STUN_USERNAME, c.username);
        if (missing != 1)
            duet_stun_add_text(&b, DUET_STUN_REALM, c.realm);
        if (missing != 2)
            duet_stun_add_text(&b, DUET_STUN_NONCE, c.nonce);
        client_add_integrity(&c, &b);
        assert_int_equal(client_send(&c, &b).code, 400);
    }
}

static void rfc8489_9_2_4_a_password_algorithm_without_the_list_or_with_another_gets_400(void **state)
{
    static const duet_stun_algorithm_value md5 = {DUET_STUN_MD5, 0, NULL};
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    for (unsigned both = 0; both < 2; both++) {
        duet_stun_builder b = client_allocate_begin(&c);
        client_add_credentials(&c, &b);
        duet_stun_add_algorithms(&b, DUET_STUN_PASSWORD_ALGORITHM, &md5, 1);
        if (both) /* a bidding down: SHA-256 was taken out of the list */
            duet_stun_add_algorithms(&b, DUET_STUN_PASSWORD_ALGORITHMS, &md5, 1);
        client_add_integrity(&c, &b);
        assert_int_equal(client_send(&c, &b).code, 400);
    }
}

static void rfc8489_9_2_4_a_stale_or_stolen_nonce_gets_438_and_a_fresh_one_serves(void **state)
{
    client c, thief;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    client_init(&thief, &w, "192.0.2.66", 5000);
    client_challenge(&thief);
    strcpy(thief.nonce, c.nonce);
    assert_int_equal(client_try_allocate(&thief).code, 438);
    assert_int_equal(client_refresh(&c, 3600).code, 0);
    world_pass(&w, DUET_SECONDS(3590));
    assert_int_equal(client_refresh(&c, 3600).code, 0);
    world_pass(&w, DUET_SECONDS(20));
    reply r = client_refresh(&c, 3600);
    assert_int_equal(r.code, 438);
    assert_true(r.output->len <= 128);
    client_take_text(&r, DUET_STUN_NONCE, c.nonce, sizeof(c.nonce));
    assert_int_equal(client_refresh(&c, 3600).code, 0);
    strcpy(c.nonce, "obMatJos2gAAA forged, and longer than it should be");
    assert_int_equal(client_refresh(&c, 3600).code, 438);
}

static void rfc8656_5_another_user_on_the_same_5_tuple_gets_441(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    c.username = world_other_user.username;
    c.password = world_other_user.password;
    client_make_key(&c);
    assert_int_equal(client_refresh(&c, 0).code, 441);
    assert_int_equal(world_stats(&w).allocations, 1);
}

/* base64(HMAC-SHA1(secret, username)) by other code than the server's. */
static void time_limited_password(char out[32], const char *username)
{
    uint8_t mac[20];

    HMAC(EVP_sha1(), "north", 5, (const uint8_t *)username, strlen(username), mac, NULL);
    EVP_EncodeBlock((uint8_t *)out, mac, sizeof(mac));
}

static void time_limited_credentials_serve_until_they_expire_and_not_when_forged(void **state)
{
    static world t;
    duet_turn_config config;
    client c, d;
    char password[32];

    (void)state;
    world_config(&t, &config);
    config.users = NULL;
    config.user_count = 0;
    config.secret = "north";
    world_open(&t, &config);
    client_init(&c, &t, "192.0.2.10", 5000);
    c.username = "1700000060:zoe";
    time_limited_password(password, c.username);
    c.password = password;
    client_challenge(&c);
    assert_int_equal(client_try_allocate(&c).code, 401); /* the time is not known yet */
    duet_turn_server_set_wall_clock(t.server, 1700000000, t.now);
    assert_int_equal(client_try_allocate(&c).code, 0);
    c.path.remote.port++;
    c.nonce[0] = 0;
    c.username = "1800000060:zoe"; /* the time of another one */
    client_challenge(&c);
    assert_int_equal(client_try_allocate(&c).code, 401);
    world_pass(&t, DUET_SECONDS(61));
    client_init(&d, &t, "192.0.2.11", 5000);
    d.username = "1700000060:zoe";
    d.password = password;
    client_challenge(&d);
    assert_int_equal(client_try_allocate(&d).code, 401);
    /* … while the allocation that was made in time goes on. */
    c.path.remote.port--;
    c.username = d.username;
    c.nonce[0] = 0;
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_REFRESH);
    reply r = client_send(&c, &b);
    assert_int_equal(r.code, 401);
    client_take_text(&r, DUET_STUN_NONCE, c.nonce, sizeof(c.nonce));
    client_make_key(&c);
    assert_int_equal(client_refresh(&c, 600).code, 0);
    world_close(&t);
}

/* ---- malformed messages ---- */

static void rfc8489_5_truncated_and_overlong_messages_get_no_answer(void **state)
{
    client c;
    size_t len;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_stun_builder b = client_allocate_begin(&c);
    duet_stun_add_text(&b, DUET_STUN_SOFTWARE, "x");
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    for (size_t n = 0; n < len; n++) {
        world_feed(&w, &c.path, c.buffer, n);
        assert_int_equal(world_answers(&w), 0);
    }
    world_feed(&w, &c.path, c.buffer, len + 4);
    assert_int_equal(world_answers(&w), 0);
    for (size_t at = 20; at < len; at++) { /* lengths that lie */
        uint8_t kept = c.buffer[at];
        c.buffer[at] = 0xFF;
        world_feed(&w, &c.path, c.buffer, len);
        assert_true(world_answers(&w) <= 1);
        c.buffer[at] = kept;
    }
}

static void rfc8489_14_8_error_codes_of_length_0_to_3_do_no_harm(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    for (size_t len = 0; len < 4; len++) {
        for (duet_stun_class k = DUET_STUN_REQUEST; k <= DUET_STUN_ERROR; k++) {
            duet_stun_builder b = client_begin(&c, k, DUET_STUN_REFRESH);
            duet_stun_add(&b, DUET_STUN_ERROR_CODE, "\4\1\4", len);
            (void)client_finish(&c, &b);
            assert_int_equal(world_answers(&w), k == DUET_STUN_REQUEST);
        }
    }
}

static void rfc8489_14_5_attributes_after_message_integrity_are_ignored(void **state)
{
    client c;
    uint32_t lifetime;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_REFRESH);
    client_add_credentials(&c, &b);
    client_add_integrity(&c, &b);
    duet_stun_add_u32(&b, DUET_STUN_LIFETIME, 0);
    reply r = client_send(&c, &b);
    assert_int_equal(duet_stun_get_u32(&r.m, DUET_STUN_LIFETIME, &lifetime), DUET_OK);
    assert_int_equal(lifetime, 600);
    assert_int_equal(world_stats(&w).allocations, 1);
}

static void rfc8489_6_3_1_unknown_required_attributes_get_420_in_at_most_128_bytes(void **state)
{
    client c;
    duet_stun_attribute a;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_BINDING);
    for (uint16_t type = 0x7000; type < 0x7100; type++)
        duet_stun_add_flag(&b, type);
    reply r = client_send(&c, &b);
    assert_int_equal(r.code, 420);
    assert_true(duet_stun_find(&r.m, DUET_STUN_UNKNOWN_ATTRIBUTES, &a));
    assert_true(r.output->len <= 128);
}

static void rfc8656_7_2_bad_allocate_requests_get_their_codes(void **state)
{
    static const struct {
        uint16_t type;
        size_t len;
        uint8_t value[8];
        unsigned code;
    } rows[] = {
        {DUET_STUN_REQUESTED_TRANSPORT, 4, {6}, 442},       {DUET_STUN_REQUESTED_TRANSPORT, 3, {17}, 400},
        {DUET_STUN_RESERVATION_TOKEN, 8, {1, 2, 3}, 508},   {DUET_STUN_RESERVATION_TOKEN, 8, {0}, 508},
        {DUET_STUN_RESERVATION_TOKEN, 7, {1}, 400},         {DUET_STUN_EVEN_PORT, 0, {0}, 400},
        {DUET_STUN_REQUESTED_ADDRESS_FAMILY, 4, {9}, 440},  {DUET_STUN_REQUESTED_ADDRESS_FAMILY, 1, {1}, 400},
        {DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, 4, {1}, 400}, {DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, 4, {7}, 400},
    };
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_ALLOCATE);
        if (rows[i].type != DUET_STUN_REQUESTED_TRANSPORT)
            duet_stun_add_u8(&b, DUET_STUN_REQUESTED_TRANSPORT, 17);
        duet_stun_add(&b, rows[i].type, rows[i].value, rows[i].len);
        unsigned code = client_finish(&c, &b).code;
        if (code != rows[i].code)
            fail_msg("row %zu: %u", i, code);
    }
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_ALLOCATE);
    assert_int_equal(client_finish(&c, &b).code, 400);
    assert_int_equal(world_stats(&w).allocations, 0);
}

static void rfc8656_5_requests_without_an_allocation_get_437(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    assert_int_equal(client_refresh(&c, 600).code, 437);
    assert_int_equal(client_permit(&c, &peer), 437);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 437);
}

/* ---- peers ---- */

static void rfc8656_21_1_4_internal_peers_are_refused_with_403(void **state)
{
    static const char *const refused[] = {
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.1",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.0.1",
        "100.64.0.1",
        "100.127.1.1",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::8.8.8.8",
        "fe80::1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "fec0::1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "203.0.113.77" /* this host's interface */,
        "198.51.100.1",
        "2001:db8::1",
    };
    static const char *const allowed[] = {"192.0.2.99", "172.32.0.1",   "100.128.0.1",
                                          "8.8.8.8",    "2001:db8::99", "64:ff9b::8.8.8.8"};
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_challenge(&c);
    duet_stun_builder b = client_allocate_begin(&c);
    duet_stun_add_u8(&b, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV6);
    assert_int_equal(client_finish(&c, &b).code, 0);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        duet_address peer = address_of(refused[i], 4000);
        if (client_permit(&c, &peer) != 403 || client_bind(&c, 0x4000, &peer) != 403)
            fail_msg("%s is not refused", refused[i]);
        client_send_indication(&c, &peer, "x", 1);
        assert_int_equal(world_answers(&w), 0);
    }
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        duet_address peer = address_of(allowed[i], 4000);
        if (client_permit(&c, &peer) != 0)
            fail_msg("%s is refused", allowed[i]);
    }
    /* Its own listeners, with and without a live allocation beside them. */
    duet_address listener = world_udp.address;
    assert_int_equal(client_permit(&c, &listener), 403);
    assert_int_equal(client_bind(&c, 0x4000, &listener), 403);
    /* One that is refused spoils the others of the request. */
    b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_CREATE_PERMISSION);
    duet_address good = address_of("192.0.2.200", 1), bad = address_of("10.0.0.1", 1);
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &good);
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &bad);
    assert_int_equal(client_finish(&c, &b).code, 403);
    client_send_indication(&c, &good, "x", 1);
    assert_int_equal(world_answers(&w), 0);
}

static void rules_open_and_close_but_never_the_listeners(void **state)
{
    static const char *const allow[] = {"10.0.0.0/8", "198.51.100.1", "127.0.0.0/30"};
    static const char *const deny[] = {"192.0.2.96/28", "2001:db8:bad::/48"};
    static world t;
    duet_turn_config config;
    client c;

    (void)state;
    world_config(&t, &config);
    config.allow_peers = allow;
    config.allow_peer_count = 3;
    config.deny_peers = deny;
    config.deny_peer_count = 2;
    world_open(&t, &config);
    client_init(&c, &t, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    duet_address peer = address_of("10.9.9.9", 4000);
    assert_int_equal(client_permit(&c, &peer), 0);
    peer = address_of("192.0.2.99", 4000);
    assert_int_equal(client_permit(&c, &peer), 403);
    peer = address_of("192.0.2.112", 4000);
    assert_int_equal(client_permit(&c, &peer), 0);
    peer = address_of("127.0.0.3", 4000);
    assert_int_equal(client_permit(&c, &peer), 0);
    peer = address_of("127.0.0.4", 4000);
    assert_int_equal(client_permit(&c, &peer), 403);
    peer = address_of("198.51.100.1", 22); /* this host, by a rule */
    assert_int_equal(client_permit(&c, &peer), 0);
    client_send_indication(&c, &peer, "x", 1);
    assert_int_equal(world_answers(&t), 1);
    peer.port = 3478; /* the permission is for the IP address; the listener stays out of reach */
    client_send_indication(&c, &peer, "x", 1);
    assert_int_equal(world_answers(&t), 0);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 403);
    assert_int_equal(world_stats(&t).dropped_permission, 1);
    world_close(&t);
    const char *bad[] = {"10.0.0.0/33"};
    config.allow_peers = bad;
    config.allow_peer_count = 1;
    assert_int_equal(world_try_open(&t, &config, NULL), DUET_ERR_INVALID);
}

static void rfc8656_11_2_send_without_permission_goes_nowhere(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000), other = address_of("192.0.2.98", 4000);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    client_send_indication(&c, &peer, "x", 1); /* no allocation */
    assert_int_equal(world_answers(&w), 0);
    duet_address relayed = client_allocate(&c);
    client_send_indication(&c, &peer, "x", 1);
    assert_int_equal(world_answers(&w), 0);
    assert_int_equal(client_permit(&c, &other), 0);
    client_send_indication(&c, &peer, "x", 1);
    assert_int_equal(world_answers(&w), 0);
    peer_send(&w, &peer, &relayed, "x", 1);
    assert_int_equal(world_answers(&w), 0);
    assert_int_equal(world_stats(&w).dropped_permission, 3);
}

static void rfc8656_11_2_send_indications_that_lack_or_misform_something_are_discarded(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000), no_port = address_of("192.0.2.99", 0);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    assert_int_equal(client_permit(&c, &peer), 0);
    duet_stun_builder b = client_begin(&c, DUET_STUN_INDICATION, DUET_STUN_SEND);
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &peer);
    (void)client_send(&c, &b);
    assert_int_equal(world_answers(&w), 0);
    b = client_begin(&c, DUET_STUN_INDICATION, DUET_STUN_SEND);
    duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, "x", 1);
    (void)client_send(&c, &b);
    assert_int_equal(world_answers(&w), 0);
    b = client_begin(&c, DUET_STUN_INDICATION, DUET_STUN_SEND);
    duet_stun_add(&b, DUET_STUN_XOR_PEER_ADDRESS, "\0\1\0\0\0", 5);
    duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, "x", 1);
    (void)client_send(&c, &b);
    assert_int_equal(world_answers(&w), 0);
    client_send_indication(&c, &no_port, "x", 1);
    assert_int_equal(world_answers(&w), 0);
    b = client_begin(&c, DUET_STUN_INDICATION, DUET_STUN_SEND);
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &peer);
    duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, "x", 1);
    duet_stun_add_flag(&b, 0x7123);
    (void)client_send(&c, &b);
    assert_int_equal(world_answers(&w), 0);
    client_send_indication(&c, &peer, "", 0); /* an empty datagram is one */
    assert_int_equal(world_answers(&w), 1);
}

static void rfc8656_7_a_peer_of_the_other_family_gets_443(void **state)
{
    client c;
    duet_address peer = address_of("2001:db8::99", 4000);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    assert_int_equal(client_permit(&c, &peer), 443);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 443);
}

/* ---- channels ---- */

static void rfc8656_12_channel_numbers_outside_0x4000_to_0x4fff_get_400(void **state)
{
    static const uint16_t bad[] = {0, 1, 0x3FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF};
    client c;
    duet_address peer = address_of("192.0.2.99", 4000), other = address_of("192.0.2.98", 4000);
    duet_address port = address_of("192.0.2.99", 4001), no_port = address_of("192.0.2.99", 0);

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(client_bind(&c, bad[i], &peer), 400);
    assert_int_equal(client_bind(&c, 0x4000, &no_port), 400);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 0);
    assert_int_equal(client_bind(&c, 0x4FFF, &other), 0);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 0);   /* again: a refresh */
    assert_int_equal(client_bind(&c, 0x4000, &port), 400); /* the number has another peer */
    assert_int_equal(client_bind(&c, 0x4001, &peer), 400); /* the peer has another number */
    assert_int_equal(world_stats(&w).channels, 2);
}

static void rfc8656_12_4_channel_data_longer_than_its_datagram_is_discarded(void **state)
{
    client c;
    duet_address peer = address_of("192.0.2.99", 4000);
    uint8_t message[] = {0x40, 0x00, 0x00, 0x05, 1, 2, 3, 4};

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    (void)client_allocate(&c);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 0);
    for (size_t len = 1; len <= sizeof(message); len++) {
        world_feed(&w, &c.path, message, len);
        assert_int_equal(world_answers(&w), 0);
    }
    message[3] = 3; /* shorter: the rest is padding */
    world_feed(&w, &c.path, message, sizeof(message));
    assert_int_equal(world_answers(&w), 1);
    assert_int_equal(world_last(&w)->len, 3);
    client_send_channel(&c, 0x4001, "x", 1); /* not bound */
    assert_int_equal(world_answers(&w), 0);
    c.path.remote.port++; /* not the client that bound it */
    client_send_channel(&c, 0x4000, "x", 1);
    assert_int_equal(world_answers(&w), 0);
}

/* ---- behaviour discovery ---- */

static void rfc5780_7_responses_come_from_where_they_are_asked_from(void **state)
{
    static world t;
    duet_turn_config config;
    client c;
    duet_address other, origin;

    (void)state;
    world_config(&t, &config);
    config.alternate = address_of("198.51.100.2", 3479);
    world_open(&t, &config);
    for (uint32_t flags = 0; flags <= 6; flags += 2) {
        client_init(&c, &t, "192.0.2.10", 5000);
        duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_BINDING);
        duet_stun_add_u32(&b, DUET_STUN_CHANGE_REQUEST, flags);
        (void)client_send(&c, &b);
        const world_output *o = world_last(&t);
        duet_stun_message m;
        assert_int_equal(duet_stun_parse(&m, o->data, o->len), DUET_OK);
        assert_int_equal(duet_stun_get_address(&m, DUET_STUN_OTHER_ADDRESS, &other), DUET_OK);
        assert_int_equal(duet_stun_get_address(&m, DUET_STUN_RESPONSE_ORIGIN, &origin), DUET_OK);
        assert_true(duet_address_equal(&other, &config.alternate));
        assert_true(duet_address_equal(&origin, &o->path.local));
        assert_int_equal(o->path.local.ip[3], flags & 4 ? 2 : 1);
        assert_int_equal(o->path.local.port, flags & 2 ? 3479 : 3478);
        assert_true(o->len <= 128);
    }
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_BINDING);
    duet_stun_add_u16(&b, DUET_STUN_RESPONSE_PORT, 7777);
    (void)client_send(&c, &b);
    assert_int_equal(world_last(&t)->path.remote.port, 7777);
    uint8_t padding[1400] = {0};
    b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_BINDING);
    duet_stun_add(&b, DUET_STUN_PADDING, padding, sizeof(padding));
    reply r = client_send(&c, &b);
    assert_in_range(r.output->len, 1200, 1424); /* never more than was sent */
    duet_stun_add_u16(&b, DUET_STUN_RESPONSE_PORT, 7777);
    assert_int_equal(client_send(&c, &b).code, 400); /* long datagrams to somebody else's port */
    world_close(&t);
}

static void rfc5780_6_1_change_requests_are_unknown_without_a_second_address(void **state)
{
    client c;

    (void)state;
    client_init(&c, &w, "192.0.2.10", 5000);
    duet_stun_builder b = client_begin(&c, DUET_STUN_REQUEST, DUET_STUN_BINDING);
    duet_stun_add_u32(&b, DUET_STUN_CHANGE_REQUEST, 6);
    assert_int_equal(client_send(&c, &b).code, 420);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rfc8489_9_2_4_wrong_integrity_gets_401_and_at_most_128_bytes),
        T(rfc8489_9_2_4_an_unknown_user_gets_401),
        T(rfc8489_9_2_4_integrity_without_name_realm_or_nonce_gets_400),
        T(rfc8489_9_2_4_a_password_algorithm_without_the_list_or_with_another_gets_400),
        T(rfc8489_9_2_4_a_stale_or_stolen_nonce_gets_438_and_a_fresh_one_serves),
        T(rfc8656_5_another_user_on_the_same_5_tuple_gets_441),
        cmocka_unit_test(time_limited_credentials_serve_until_they_expire_and_not_when_forged),
        T(rfc8489_5_truncated_and_overlong_messages_get_no_answer),
        T(rfc8489_14_8_error_codes_of_length_0_to_3_do_no_harm),
        T(rfc8489_14_5_attributes_after_message_integrity_are_ignored),
        T(rfc8489_6_3_1_unknown_required_attributes_get_420_in_at_most_128_bytes),
        T(rfc8656_7_2_bad_allocate_requests_get_their_codes),
        T(rfc8656_5_requests_without_an_allocation_get_437),
        T(rfc8656_21_1_4_internal_peers_are_refused_with_403),
        cmocka_unit_test(rules_open_and_close_but_never_the_listeners),
        T(rfc8656_11_2_send_without_permission_goes_nowhere),
        T(rfc8656_11_2_send_indications_that_lack_or_misform_something_are_discarded),
        T(rfc8656_7_a_peer_of_the_other_family_gets_443),
        T(rfc8656_12_channel_numbers_outside_0x4000_to_0x4fff_get_400),
        T(rfc8656_12_4_channel_data_longer_than_its_datagram_is_discarded),
        cmocka_unit_test(rfc5780_7_responses_come_from_where_they_are_asked_from),
        T(rfc5780_6_1_change_requests_are_unknown_without_a_second_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
