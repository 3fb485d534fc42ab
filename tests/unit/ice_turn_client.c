/* The TURN client alone, against a scripted server: each step of an allocation, each error code, data, adversarial input. */
#include "base/memory.h"
#include "duet/stun.h"
#include "ice/turn_client.h"
#include "test.h"

#define REALM "example.org"
#define USER  "alice"
#define PASS  "secret"

typedef struct bench {
    duet_env env;
    uint64_t seed;
    duet_turn_client *client;
    duet_turn_client_config config;
    duet_time now;
    uint8_t message[4096]; /* the latest request */
    size_t len;
    duet_stun_message m;
    const char *nonce;
    bool sha256;
    bool lenient; /* replies may come too late */
} bench;

static duet_address addr(const char *text, uint16_t port)
{
    duet_address a;

    assert_int_equal(duet_address_parse(&a, text, port), DUET_OK);
    return a;
}

static void begin(bench *b, duet_protocol protocol)
{
    memset(b, 0, sizeof(*b));
    b->seed = 42;
    b->now = DUET_SECONDS(100);
    b->nonce = "nonce-1";
    b->env = (duet_env)DUET_ENV_INIT;
    b->env.random = test_random_fill;
    b->env.user = &b->seed;
    b->env = duet_env_resolve(&b->env);
    b->config.env = &b->env;
    b->config.path = (duet_path){.socket = 3, .protocol = protocol, .local = addr("10.0.0.1", 4000)};
    b->config.path.remote = addr("192.0.2.99", 3478);
    b->config.username = USER;
    b->config.credential = PASS;
    assert_int_equal(duet_turn_client_create(&b->client, &b->config, b->now), DUET_OK);
}

static void finish(bench *b)
{
    duet_turn_client_destroy(b->client);
}

static const duet_turn_client_info *info(const bench *b)
{
    return duet_turn_client_get(b->client);
}

static bool pull(bench *b)
{
    duet_datagram out;

    if (!duet_turn_client_output(b->client, &out))
        return false;
    assert_true(out.len <= sizeof(b->message));
    assert_true(duet_path_equal(&out.path, &b->config.path));
    assert_true(out.headroom >= DUET_HEADROOM);
    memcpy(b->message, out.data, out.len);
    b->len = out.len;
    assert_int_equal(duet_stun_parse(&b->m, b->message, b->len), DUET_OK);
    assert_int_equal(duet_stun_verify_fingerprint(&b->m), DUET_OK);
    return true;
}

static void expect(bench *b, duet_stun_method method)
{
    if (!pull(b))
        fail_msg("nothing was sent");
    assert_int_equal(b->m.method, method);
}

static void key(const bench *b, uint8_t out[32], size_t *len)
{
    *len = b->sha256 ? 32 : 16;
    if (b->sha256)
        assert_int_equal(duet_stun_key_sha256(out, USER, REALM, PASS), DUET_OK);
    else
        assert_int_equal(duet_stun_key_md5(out, USER, REALM, PASS), DUET_OK);
}

static bool is_signed(const bench *b)
{
    uint8_t k[32];
    size_t len;

    key(b, k, &len);
    return (b->sha256 ? duet_stun_verify_integrity_sha256(&b->m, k, len) : duet_stun_verify_integrity(&b->m, k, len)) ==
           DUET_OK;
}

static duet_stun_builder reply(bench *b, uint8_t *out, size_t size, duet_stun_class c)
{
    return duet_stun_begin(out, size, c, b->m.method, b->m.transaction_id);
}

static int feed(bench *b, uint8_t *data, size_t len)
{
    duet_datagram in = {.path = b->config.path, .data = data, .len = len, .time = b->now};

    return duet_turn_client_input(b->client, &in, b->now);
}

static void send_reply(bench *b, duet_stun_builder *r, bool sign)
{
    uint8_t k[32];
    size_t len;

    key(b, k, &len);
    if (sign && b->sha256)
        duet_stun_add_integrity_sha256(r, k, len, 32);
    else if (sign)
        duet_stun_add_integrity(r, k, len);
    duet_stun_add_fingerprint(r);
    assert_int_equal(duet_stun_end(r, &len), DUET_OK);
    int err = feed(b, r->data, len);
    if (!b->lenient)
        assert_int_equal(err, DUET_OK);
}

static void challenge(bench *b, unsigned code)
{
    uint8_t out[512];
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_ERROR);

    duet_stun_add_error(&r, code, NULL);
    duet_stun_add_text(&r, DUET_STUN_REALM, REALM);
    duet_stun_add_text(&r, DUET_STUN_NONCE, b->nonce);
    send_reply(b, &r, false);
}

static void answer_error(bench *b, unsigned code, bool sign)
{
    uint8_t out[512];
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_ERROR);

    duet_stun_add_error(&r, code, NULL);
    send_reply(b, &r, sign);
}

static void answer_success(bench *b)
{
    uint8_t out[512];
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_SUCCESS);

    if (b->m.method == DUET_STUN_REFRESH)
        duet_stun_add_u32(&r, DUET_STUN_LIFETIME, 600);
    send_reply(b, &r, true);
}

static void answer_allocated(bench *b, bool both)
{
    uint8_t out[512];
    duet_address relayed = addr("192.0.2.99", 50000), relayed6 = addr("2001:db8::99", 50001);
    duet_address mapped = addr("203.0.113.5", 6000);
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_SUCCESS);

    duet_stun_add_address(&r, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed);
    if (both)
        duet_stun_add_address(&r, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed6);
    duet_stun_add_address(&r, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped);
    duet_stun_add_u32(&r, DUET_STUN_LIFETIME, 600);
    send_reply(b, &r, true);
}

static void allocate(bench *b)
{
    expect(b, DUET_STUN_ALLOCATE);
    challenge(b, 401);
    expect(b, DUET_STUN_ALLOCATE);
    assert_true(is_signed(b));
    answer_allocated(b, true);
    assert_int_equal(info(b)->state, DUET_TURN_ALLOCATED);
}

/* Lets time pass, ticking at each deadline. */
static void pass(bench *b, duet_time duration)
{
    duet_time end = b->now + duration;

    for (unsigned i = 0; duet_turn_client_deadline(b->client) <= end; i++) {
        assert_true(i < 1000);
        if (duet_turn_client_deadline(b->client) > b->now)
            b->now = duet_turn_client_deadline(b->client);
        duet_turn_client_tick(b->client, b->now);
        assert_true(duet_turn_client_deadline(b->client) > b->now);
    }
    b->now = end;
}

static void tick(bench *b)
{
    duet_turn_client_tick(b->client, b->now);
}

/* ---- allocating ----------------------------------------------------------------------------------------------------- */

static void an_allocation_is_made_with_long_term_credentials(void **state)
{
    bench b;
    duet_stun_attribute a;

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    assert_false(
        duet_stun_find(&b.m, DUET_STUN_USERNAME, NULL)); /* RFC 8489, 9.2.3.1: the first one has no credentials */
    assert_true(duet_stun_find(&b.m, DUET_STUN_REQUESTED_TRANSPORT, &a));
    assert_int_equal(a.value[0], 17);
    b.now += DUET_MS(40);
    challenge(&b, 401);
    expect(&b, DUET_STUN_ALLOCATE);
    assert_true(is_signed(&b));
    assert_true(duet_stun_find(&b.m, DUET_STUN_USERNAME, &a));
    assert_memory_equal(a.value, USER, a.len);
    b.now += DUET_MS(40);
    answer_allocated(&b, false);
    char text[80];
    assert_int_equal(info(&b)->state, DUET_TURN_ALLOCATED);
    assert_string_equal(duet_address_text(&info(&b)->relayed[0], text, sizeof(text)), "192.0.2.99:50000");
    assert_int_equal(info(&b)->relayed[1].family, DUET_AF_NONE);
    assert_string_equal(duet_address_text(&info(&b)->mapped, text, sizeof(text)), "203.0.113.5:6000");
    assert_int_equal(info(&b)->rtt, DUET_MS(40));
    finish(&b);
}

static void both_families_are_asked_for_and_taken(void **state)
{
    bench b;
    duet_stun_attribute a;

    (void)state;
    begin(&b, DUET_UDP);
    duet_turn_client_destroy(b.client);
    b.config.both_families = true;
    assert_int_equal(duet_turn_client_create(&b.client, &b.config, b.now), DUET_OK);
    expect(&b, DUET_STUN_ALLOCATE);
    assert_true(duet_stun_find(&b.m, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, &a));
    assert_int_equal(a.value[0], DUET_STUN_FAMILY_IPV6);
    assert_false(duet_stun_find(&b.m, DUET_STUN_REQUESTED_ADDRESS_FAMILY, NULL));
    challenge(&b, 401);
    expect(&b, DUET_STUN_ALLOCATE);
    answer_allocated(&b, true);
    assert_int_equal(info(&b)->relayed[1].family, DUET_AF_INET6);
    finish(&b);
}

static void error_440_is_answered_with_the_servers_own_family(void **state)
{
    bench b;
    duet_stun_attribute a;

    (void)state;
    begin(&b, DUET_UDP);
    duet_turn_client_destroy(b.client);
    b.config.both_families = true;
    assert_int_equal(duet_turn_client_create(&b.client, &b.config, b.now), DUET_OK);
    expect(&b, DUET_STUN_ALLOCATE);
    answer_error(&b, 440, false);
    expect(&b, DUET_STUN_ALLOCATE);
    assert_false(duet_stun_find(&b.m, DUET_STUN_USERNAME, NULL));
    assert_true(duet_stun_find(&b.m, DUET_STUN_REQUESTED_ADDRESS_FAMILY, &a));
    assert_int_equal(a.value[0], DUET_STUN_FAMILY_IPV4);
    answer_error(&b, 440, false);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    assert_int_equal(info(&b)->error_code, 440);
    finish(&b);
}

static void a_wrong_password_is_named(void **state)
{
    bench b;

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    challenge(&b, 401);
    expect(&b, DUET_STUN_ALLOCATE);
    challenge(&b, 401);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    assert_int_equal(info(&b)->error_code, 401);
    assert_non_null(strstr(info(&b)->error_text, "does not accept user \"alice\""));
    assert_true(duet_turn_client_deadline(b.client) == DUET_NEVER);
    finish(&b);
}

static void a_challenge_without_credentials_says_so(void **state)
{
    bench b;

    (void)state;
    begin(&b, DUET_UDP);
    duet_turn_client_destroy(b.client);
    b.config.username = NULL;
    assert_int_equal(duet_turn_client_create(&b.client, &b.config, b.now), DUET_OK);
    expect(&b, DUET_STUN_ALLOCATE);
    challenge(&b, 401);
    assert_int_equal(info(&b)->error_code, 401);
    assert_non_null(strstr(info(&b)->error_text, "wants a user name"));
    finish(&b);
}

static void final_errors_of_allocate_are_reported(void **state)
{
    static const unsigned codes[] = {400, 403, 420, 441, 442, 443, 446, 486, 500, 508};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        bench b;
        begin(&b, DUET_UDP);
        expect(&b, DUET_STUN_ALLOCATE);
        challenge(&b, 401);
        expect(&b, DUET_STUN_ALLOCATE);
        answer_error(&b, codes[i], false); /* without integrity: as if never received */
        assert_int_equal(info(&b)->state, DUET_TURN_ALLOCATING);
        answer_error(&b, codes[i], true);
        assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
        assert_int_equal(info(&b)->error_code, codes[i]);
        assert_true(info(&b)->error_text[0] != 0);
        assert_false(pull(&b));
        finish(&b);
    }
}

static void a_stale_nonce_is_replaced_and_an_ever_stale_one_given_up(void **state)
{
    bench b;
    duet_stun_attribute a;

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    challenge(&b, 401);
    expect(&b, DUET_STUN_ALLOCATE);
    b.nonce = "nonce-2";
    challenge(&b, 438);
    expect(&b, DUET_STUN_ALLOCATE);
    assert_true(is_signed(&b));
    assert_true(duet_stun_find(&b.m, DUET_STUN_NONCE, &a));
    assert_memory_equal(a.value, "nonce-2", 7);
    assert_int_equal(info(&b)->stale_nonces, 1);
    for (int i = 0; i < 2; i++) {
        challenge(&b, 438);
        expect(&b, DUET_STUN_ALLOCATE);
    }
    challenge(&b, 438);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    assert_int_equal(info(&b)->error_code, 438);
    finish(&b);
}

static void error_300_gives_the_alternate_server(void **state)
{
    bench b;
    uint8_t out[256];
    duet_address alternate = addr("192.0.2.100", 3479);

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    duet_stun_builder r = reply(&b, out, sizeof(out), DUET_STUN_ERROR);
    duet_stun_add_error(&r, 300, NULL);
    duet_stun_add_address(&r, DUET_STUN_ALTERNATE_SERVER, &alternate);
    send_reply(&b, &r, false);
    assert_int_equal(info(&b)->state, DUET_TURN_REDIRECTED);
    assert_true(duet_address_equal(&info(&b)->alternate, &alternate));
    finish(&b);
}

static void error_437_deletes_the_old_allocation_once(void **state)
{
    bench b;
    uint32_t lifetime = 1;

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    challenge(&b, 401);
    expect(&b, DUET_STUN_ALLOCATE);
    answer_error(&b, 437, true);
    expect(&b, DUET_STUN_REFRESH);
    assert_int_equal(duet_stun_get_u32(&b.m, DUET_STUN_LIFETIME, &lifetime), DUET_OK);
    assert_int_equal(lifetime, 0);
    answer_success(&b);
    expect(&b, DUET_STUN_ALLOCATE);
    answer_error(&b, 437, true);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    assert_int_equal(info(&b)->error_code, 437);
    finish(&b);
}

static void a_silent_server_is_asked_seven_times_over_udp_and_once_over_tcp(void **state)
{
    bench b;
    size_t sent = 0;

    (void)state;
    begin(&b, DUET_UDP);
    pass(&b, DUET_MS(39400));
    while (pull(&b))
        sent++;
    assert_int_equal(sent, 7);
    assert_int_equal(info(&b)->state, DUET_TURN_ALLOCATING);
    pass(&b, DUET_MS(200));
    assert_int_equal(info(&b)->error_code, 701);
    finish(&b);
    begin(&b, DUET_TCP);
    pass(&b, DUET_SECONDS(40));
    sent = 0;
    while (pull(&b))
        sent++;
    assert_int_equal(sent, 1);
    assert_int_equal(info(&b)->error_code, 701);
    finish(&b);
}

/* ---- credentials, RFC 8489 section 9.2 ---------------------------------------------------------------------------- */

static void offer_algorithms(bench *b, uint32_t features, bool with_list, uint16_t algorithm)
{
    uint8_t out[512];
    char nonce[64];
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_ERROR);
    const duet_stun_algorithm_value list[] = {{.algorithm = 77}, {.algorithm = algorithm}};

    duet_stun_nonce_cookie(nonce, features);
    strcat(nonce, "rest");
    duet_stun_add_error(&r, 401, NULL);
    duet_stun_add_text(&r, DUET_STUN_REALM, REALM);
    duet_stun_add_text(&r, DUET_STUN_NONCE, nonce);
    if (with_list)
        duet_stun_add_algorithms(&r, DUET_STUN_PASSWORD_ALGORITHMS, list, 2);
    send_reply(b, &r, false);
}

static void sha256_is_used_when_the_server_offers_it(void **state)
{
    bench b;
    duet_stun_attribute a;
    uint8_t expected[32];

    (void)state;
    begin(&b, DUET_UDP);
    b.sha256 = true;
    expect(&b, DUET_STUN_ALLOCATE);
    offer_algorithms(&b, DUET_STUN_NONCE_PASSWORD_ALGORITHMS | DUET_STUN_NONCE_USERNAME_ANONYMITY, true,
                     DUET_STUN_SHA256);
    expect(&b, DUET_STUN_ALLOCATE);
    assert_true(is_signed(&b));
    assert_int_equal(b.m.integrity, 0); /* SHA-256 only */
    assert_false(duet_stun_find(&b.m, DUET_STUN_USERNAME, NULL));
    assert_true(duet_stun_find(&b.m, DUET_STUN_USERHASH, &a));
    assert_int_equal(duet_stun_userhash(expected, USER, REALM), DUET_OK);
    assert_memory_equal(a.value, expected, 32);
    assert_true(duet_stun_find(&b.m, DUET_STUN_PASSWORD_ALGORITHM, &a));
    assert_int_equal(a.value[1], DUET_STUN_SHA256);
    assert_true(duet_stun_find(&b.m, DUET_STUN_PASSWORD_ALGORITHMS, NULL));
    answer_allocated(&b, false);
    assert_int_equal(info(&b)->state, DUET_TURN_ALLOCATED);
    finish(&b);
}

static void a_bid_down_is_noticed(void **state)
{
    bench b;

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    offer_algorithms(&b, DUET_STUN_NONCE_PASSWORD_ALGORITHMS, false, 0);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    assert_non_null(strstr(info(&b)->error_text, "taken out on the way"));
    finish(&b);
}

static void unknown_algorithms_are_not_answered(void **state)
{
    bench b;

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    offer_algorithms(&b, DUET_STUN_NONCE_PASSWORD_ALGORITHMS, true, 99);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    assert_false(pull(&b));
    finish(&b);
}

/* ---- staying ---------------------------------------------------------------------------------------------------------- */

static void an_allocation_is_refreshed_before_it_expires_and_kept_alive(void **state)
{
    bench b;
    size_t indications = 0;

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    pass(&b, DUET_SECONDS(539));
    while (pull(&b)) {
        assert_int_equal(b.m.message_class, DUET_STUN_INDICATION);
        assert_int_equal(b.m.method, DUET_STUN_BINDING);
        indications++;
    }
    assert_in_range(indications, 20, 36);
    pass(&b, DUET_SECONDS(1));
    while (pull(&b) && b.m.method != DUET_STUN_REFRESH)
        ;
    assert_int_equal(b.m.method, DUET_STUN_REFRESH);
    assert_true(is_signed(&b));
    answer_success(&b);
    pass(&b, DUET_SECONDS(100));
    assert_int_equal(info(&b)->state, DUET_TURN_ALLOCATED);
    finish(&b);
}

static void an_allocation_that_the_server_forgot_is_lost(void **state)
{
    bench b;

    (void)state;
    begin(&b, DUET_TCP);
    allocate(&b);
    pass(&b, DUET_SECONDS(541));
    do
        assert_true(pull(&b));
    while (b.m.method != DUET_STUN_REFRESH);
    answer_error(&b, 437, true);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    assert_int_equal(info(&b)->error_code, 437);
    finish(&b);
}

static void a_release_is_a_refresh_with_lifetime_zero(void **state)
{
    bench b;
    uint32_t lifetime = 1;

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    duet_turn_client_release(b.client, b.now);
    expect(&b, DUET_STUN_REFRESH);
    assert_int_equal(duet_stun_get_u32(&b.m, DUET_STUN_LIFETIME, &lifetime), DUET_OK);
    assert_int_equal(lifetime, 0);
    challenge(&b, 438);
    expect(&b, DUET_STUN_REFRESH);
    answer_success(&b);
    assert_int_equal(info(&b)->state, DUET_TURN_RELEASED);
    assert_true(duet_turn_client_deadline(b.client) == DUET_NEVER);
    finish(&b);
    begin(&b, DUET_UDP);
    allocate(&b);
    duet_turn_client_release(b.client, b.now);
    pass(&b, DUET_SECONDS(10));
    assert_int_equal(info(&b)->state, DUET_TURN_RELEASED); /* the server may be gone */
    finish(&b);
}

/* ---- permissions and channels ------------------------------------------------------------------------------------------ */

static size_t count_peers(const bench *b)
{
    duet_stun_attribute a = {0};
    size_t count = 0;

    while (duet_stun_next(&b->m, &a))
        count += a.type == DUET_STUN_XOR_PEER_ADDRESS;
    return count;
}

static void several_peers_share_one_request(void **state)
{
    bench b;

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    for (int i = 1; i <= 5; i++) {
        char text[32];
        snprintf(text, sizeof(text), "198.51.100.%d", i);
        duet_address peer = addr(text, 1000);
        assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
        peer.port++; /* permissions are for addresses, whatever the port */
        assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
    }
    assert_int_equal(duet_turn_client_deadline(b.client), 0);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 5);
    assert_true(is_signed(&b));
    answer_success(&b);
    assert_false(pull(&b));
    finish(&b);
}

static void a_refused_peer_does_not_take_the_others_along(void **state)
{
    bench b;
    duet_address good = addr("198.51.100.1", 1), bad = addr("127.0.0.1", 1);
    duet_datagram out = {0};
    uint8_t buf[200] = {0};

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    assert_int_equal(duet_turn_client_permit(b.client, &good), DUET_OK);
    assert_int_equal(duet_turn_client_permit(b.client, &bad), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    answer_error(&b, 403, true);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 1);
    answer_success(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 1);
    answer_error(&b, 403, true);
    assert_false(duet_turn_client_is_refused(b.client, &good));
    assert_true(duet_turn_client_is_refused(b.client, &bad));
    out.path.remote = bad;
    out.data = buf + 100;
    out.headroom = 100;
    out.len = 4;
    assert_int_equal(duet_turn_client_wrap(b.client, &out), DUET_ERR_AUTH);
    assert_int_equal(duet_turn_client_permit(b.client, &bad), DUET_ERR_AUTH);
    finish(&b);
}

static void permissions_have_a_bound(void **state)
{
    bench b;
    duet_address peer = addr("198.51.100.1", 1);

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    for (int i = 0; i < DUET_TURN_PERMISSIONS_MAX; i++) {
        peer.ip[3] = (uint8_t)i;
        assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
    }
    peer.ip[2]++;
    assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_ERR_LIMIT);
    tick(&b);
    size_t asked = 0;
    while (pull(&b)) { /* eight at a time; every answer makes room for the next */
        asked += count_peers(&b);
        answer_success(&b);
    }
    assert_int_equal(asked, DUET_TURN_PERMISSIONS_MAX);
    finish(&b);
}

static void unused_permissions_expire_and_used_ones_are_renewed(void **state)
{
    bench b;
    duet_address one = addr("198.51.100.1", 1), two = addr("198.51.100.2", 1);
    uint8_t buf[200] = {0};

    (void)state;
    begin(&b, DUET_TCP);
    allocate(&b);
    assert_int_equal(duet_turn_client_permit(b.client, &one), DUET_OK);
    assert_int_equal(duet_turn_client_permit(b.client, &two), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    answer_success(&b);
    pass(&b, DUET_SECONDS(241)); /* both were used when they were asked for */
    do
        assert_true(pull(&b));
    while (b.m.message_class != DUET_STUN_REQUEST);
    assert_int_equal(count_peers(&b), 2);
    answer_success(&b);
    duet_datagram out = {.data = buf + 100, .headroom = 100, .len = 4, .path = {.remote = one}};
    assert_int_equal(duet_turn_client_wrap(b.client, &out), DUET_OK);
    pass(&b, DUET_SECONDS(241));
    do
        assert_true(pull(&b));
    while (b.m.method != DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 1);
    finish(&b);
}

static void wrap(bench *b, duet_datagram *out, uint8_t *buf, size_t len, const duet_address *peer)
{
    *out = (duet_datagram){.data = buf + DUET_HEADROOM, .headroom = DUET_HEADROOM, .len = len};
    out->path.remote = *peer;
    for (size_t i = 0; i < len; i++)
        out->data[i] = (uint8_t)i;
    assert_int_equal(duet_turn_client_wrap(b->client, out), DUET_OK);
    assert_true(duet_path_equal(&out->path, &b->config.path));
    assert_ptr_equal(out->data, buf + out->headroom);
}

static void data_goes_in_indications_until_a_channel_is_bound(void **state)
{
    for (int protocol = DUET_UDP; protocol <= DUET_TCP; protocol++) {
        bench b;
        uint8_t buf[256];
        duet_datagram out;
        duet_stun_message m;
        duet_stun_attribute a;
        duet_address peer = addr("198.51.100.1", 7000), found;

        (void)state;
        begin(&b, (duet_protocol)protocol);
        allocate(&b);
        for (size_t len = 0; len < 6; len++) {
            wrap(&b, &out, buf, len, &peer);
            assert_int_equal(duet_stun_parse(&m, out.data, out.len), DUET_OK);
            assert_int_equal(m.method, DUET_STUN_SEND);
            assert_int_equal(duet_stun_get_address(&m, DUET_STUN_XOR_PEER_ADDRESS, &found), DUET_OK);
            assert_true(duet_address_equal(&found, &peer));
            assert_true(duet_stun_find(&m, DUET_STUN_DATA_ATTRIBUTE, &a));
            assert_int_equal(a.len, len);
            for (size_t i = 0; i < len; i++)
                assert_int_equal(a.value[i], i);
        }
        assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
        tick(&b);
        expect(&b, DUET_STUN_CREATE_PERMISSION);
        answer_success(&b);
        expect(&b, DUET_STUN_CHANNEL_BIND);
        assert_true(duet_stun_find(&b.m, DUET_STUN_CHANNEL_NUMBER, &a));
        assert_int_equal(a.value[0] >> 4, 4);
        uint8_t number[2] = {a.value[0], a.value[1]};
        answer_success(&b);
        wrap(&b, &out, buf, 5, &peer);
        assert_int_equal(out.len, protocol == DUET_UDP ? 9 : 12);
        assert_memory_equal(out.data, number, 2);
        assert_int_equal(out.data[3], 5);
        assert_int_equal(out.data[8], 4);
        finish(&b);
    }
}

static void data_from_a_peer_is_unwrapped_in_place(void **state)
{
    bench b;
    uint8_t out[256];
    duet_address peer = addr("198.51.100.1", 7000), stranger = addr("198.51.100.2", 7000);
    size_t len;

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
    for (int i = 0; i < 2; i++) {
        uint8_t id[12] = {0};
        duet_stun_builder r = duet_stun_begin(out, sizeof(out), DUET_STUN_INDICATION, DUET_STUN_DATA, id);
        duet_stun_add_address(&r, DUET_STUN_XOR_PEER_ADDRESS, i == 0 ? &peer : &stranger);
        duet_stun_add(&r, DUET_STUN_DATA_ATTRIBUTE, "hello", 5);
        assert_int_equal(duet_stun_end(&r, &len), DUET_OK);
        duet_datagram in = {.path = b.config.path, .data = out, .len = len};
        int got = duet_turn_client_input(b.client, &in, b.now);
        if (i == 1) { /* RFC 8656, 11.4: only from whom there is a permission */
            assert_int_equal(got, DUET_ERR_NOT_MINE);
            continue;
        }
        assert_int_equal(got, 1);
        assert_int_equal(in.len, 5);
        assert_memory_equal(in.data, "hello", 5);
        assert_true(in.data > out && in.data < out + len);
        assert_true(duet_address_equal(&in.path.remote, &peer));
    }
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    expect(&b, DUET_STUN_CHANNEL_BIND);
    answer_success(&b);
    uint8_t data[] = {0x40, 0, 0, 3, 'a', 'b', 'c', 0};
    duet_datagram in = {.path = b.config.path, .data = data, .len = 8};
    assert_int_equal(duet_turn_client_input(b.client, &in, b.now), 1);
    assert_int_equal(in.len, 3);
    assert_memory_equal(in.data, "abc", 3);
    uint8_t longer[] = {0x40, 0, 0, 5, 'a', 'b', 'c', 0};
    in = (duet_datagram){.path = b.config.path, .data = longer, .len = 8};
    assert_int_equal(duet_turn_client_input(b.client, &in, b.now), DUET_ERR_NOT_MINE);
    uint8_t other[] = {0x40, 1, 0, 1, 'a', 0, 0, 0};
    in = (duet_datagram){.path = b.config.path, .data = other, .len = 8};
    assert_int_equal(duet_turn_client_input(b.client, &in, b.now), DUET_ERR_NOT_MINE);
    finish(&b);
}

/* Lets time pass while the server answers everything; counts the requests of one method. */
static size_t live(bench *b, duet_time duration, duet_stun_method method)
{
    size_t count = 0;

    for (duet_time end = b->now + duration; b->now < end;) {
        pass(b, DUET_SECONDS(1));
        while (pull(b)) {
            count += b->m.method == method;
            if (b->m.message_class == DUET_STUN_REQUEST)
                answer_success(b);
        }
    }
    return count;
}

static void a_channel_is_renewed_while_it_is_used_and_let_go_otherwise(void **state)
{
    bench b;
    uint8_t buf[256];
    duet_datagram out;
    duet_address peer = addr("198.51.100.1", 7000);

    (void)state;
    begin(&b, DUET_TCP);
    allocate(&b);
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    assert_int_equal(live(&b, DUET_SECONDS(1), DUET_STUN_CHANNEL_BIND), 1);
    for (int i = 0; i < 4; i++) {
        wrap(&b, &out, buf, 4, &peer);
        assert_int_equal(out.len, 8);
        assert_int_equal(live(&b, DUET_SECONDS(241), DUET_STUN_CHANNEL_BIND), 1);
    }
    assert_int_equal(live(&b, DUET_SECONDS(300), DUET_STUN_CHANNEL_BIND), 0); /* nothing was sent meanwhile */
    wrap(&b, &out, buf, 4, &peer);
    assert_true(out.len > 8);
    assert_int_equal(live(&b, DUET_SECONDS(1), DUET_STUN_CHANNEL_BIND), 1);
    finish(&b);
}

static void a_refused_channel_leaves_indications(void **state)
{
    bench b;
    uint8_t buf[256];
    duet_datagram out;
    duet_address peer = addr("198.51.100.1", 7000);

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CHANNEL_BIND);
    answer_error(&b, 403, true);
    wrap(&b, &out, buf, 4, &peer);
    assert_true(out.len > 8);
    for (int i = 0; i < DUET_TURN_CHANNELS_MAX - 1; i++) {
        peer.port++;
        assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    }
    peer.port++;
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_ERR_LIMIT);
    finish(&b);
}

/* ---- adversarial ------------------------------------------------------------------------------------------------------- */

static void responses_with_wrong_integrity_are_ignored_on_udp_and_end_a_stream(void **state)
{
    for (int protocol = DUET_UDP; protocol <= DUET_TCP; protocol++) {
        bench b;
        uint8_t out[256], wrong[16] = {1};
        duet_address relayed = addr("6.6.6.6", 666);
        size_t len;

        (void)state;
        begin(&b, (duet_protocol)protocol);
        expect(&b, DUET_STUN_ALLOCATE);
        challenge(&b, 401);
        expect(&b, DUET_STUN_ALLOCATE);
        duet_stun_builder r = reply(&b, out, sizeof(out), DUET_STUN_SUCCESS);
        duet_stun_add_address(&r, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed);
        duet_stun_add_integrity(&r, wrong, sizeof(wrong));
        assert_int_equal(duet_stun_end(&r, &len), DUET_OK);
        assert_int_equal(feed(&b, out, len), DUET_OK);
        assert_int_equal(info(&b)->state, protocol == DUET_UDP ? DUET_TURN_ALLOCATING : DUET_TURN_FAILED);
        finish(&b);
    }
}

static void rfc8489_6_3_3_strangers_and_unknown_transactions_are_not_heard(void **state)
{
    bench b;
    uint8_t out[256], id[12] = {9};
    size_t len;

    (void)state;
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    duet_stun_builder r = duet_stun_begin(out, sizeof(out), DUET_STUN_ERROR, DUET_STUN_ALLOCATE, id);
    duet_stun_add_error(&r, 403, NULL);
    assert_int_equal(duet_stun_end(&r, &len), DUET_OK);
    assert_int_equal(feed(&b, out, len), DUET_ERR_NOT_MINE);
    r = duet_stun_begin(out, sizeof(out), DUET_STUN_ERROR, DUET_STUN_ALLOCATE, b.m.transaction_id);
    duet_stun_add_error(&r, 403, NULL);
    assert_int_equal(duet_stun_end(&r, &len), DUET_OK);
    duet_datagram in = {.path = b.config.path, .data = out, .len = len};
    in.path.remote.port++;
    assert_int_equal(duet_turn_client_input(b.client, &in, b.now), DUET_ERR_NOT_MINE);
    assert_int_equal(info(&b)->state, DUET_TURN_ALLOCATING);
    finish(&b);
}

/* RFC 8489 section 14.8: ERROR-CODE has at least four bytes. */
static void an_error_code_that_is_too_short_counts_as_400(void **state)
{
    for (size_t short_len = 0; short_len < 4; short_len++) {
        bench b;
        uint8_t out[256];

        (void)state;
        begin(&b, DUET_UDP);
        expect(&b, DUET_STUN_ALLOCATE);
        duet_stun_builder r = reply(&b, out, sizeof(out), DUET_STUN_ERROR);
        duet_stun_add(&r, DUET_STUN_ERROR_CODE, "\0\0\4", short_len);
        send_reply(&b, &r, false);
        assert_int_equal(info(&b)->error_code, 400);
        finish(&b);
    }
}

static void an_allocation_without_an_address_or_with_a_bad_one_fails(void **state)
{
    static const char *const bad[] = {NULL, "0.0.0.0", "224.0.0.1"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        bench b;
        uint8_t out[256];
        begin(&b, DUET_UDP);
        expect(&b, DUET_STUN_ALLOCATE);
        challenge(&b, 401);
        expect(&b, DUET_STUN_ALLOCATE);
        duet_stun_builder r = reply(&b, out, sizeof(out), DUET_STUN_SUCCESS);
        if (bad[i]) {
            duet_address a = addr(bad[i], 99);
            duet_stun_add_address(&r, DUET_STUN_XOR_RELAYED_ADDRESS, &a);
        }
        send_reply(&b, &r, true);
        assert_int_equal(info(&b)->error_code, 701);
        finish(&b);
    }
}

static void an_overlong_nonce_is_refused(void **state)
{
    bench b;
    uint8_t out[2048];
    char nonce[900];

    (void)state;
    memset(nonce, 'n', sizeof(nonce));
    begin(&b, DUET_UDP);
    expect(&b, DUET_STUN_ALLOCATE);
    duet_stun_builder r = reply(&b, out, sizeof(out), DUET_STUN_ERROR);
    duet_stun_add_error(&r, 401, NULL);
    duet_stun_add_text(&r, DUET_STUN_REALM, REALM);
    duet_stun_add(&r, DUET_STUN_NONCE, nonce, sizeof(nonce));
    send_reply(&b, &r, false);
    assert_int_equal(info(&b)->state, DUET_TURN_FAILED);
    finish(&b);
}

static void random_bytes_and_damaged_responses_do_no_harm(void **state)
{
    bench b;
    uint64_t seed = 5;

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    duet_address peer = addr("198.51.100.1", 7000);
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    tick(&b);
    for (int round = 0; round < 20000; round++) {
        uint8_t data[128];
        size_t len = test_random_below(&seed, sizeof(data));
        test_random_fill(&seed, data, len);
        if (len >= 20 && round % 2) {
            memcpy(data, b.message, 20); /* a known transaction */
            data[0] = 1;
            data[1] = (uint8_t)(round & 0x1f);
            data[2] = 0;
            data[3] = (uint8_t)(len - 20);
        }
        (void)feed(&b, data, len);
    }
    assert_int_equal(info(&b)->state, DUET_TURN_ALLOCATED);
    finish(&b);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

static int whole_life(const duet_env *env, void *arg)
{
    bench b = {.lenient = true, .nonce = "n", .now = DUET_SECONDS(1), .seed = 3};
    duet_address peer = addr("198.51.100.1", 7000);

    (void)arg;
    b.env = *env;
    b.env.random = test_random_fill;
    b.env.user = &b.seed;
    b.env = duet_env_resolve(&b.env);
    b.config.env = &b.env;
    b.config.username = USER;
    b.config.credential = PASS;
    b.config.path = (duet_path){.socket = 3, .remote = addr("192.0.2.99", 3478)};
    int err = duet_turn_client_create(&b.client, &b.config, b.now);
    if (err)
        return err;
    bool permitted = false, bound = false;
    for (int i = 0; i < 60; i++) { /* what is lost for want of memory is sent again */
        while (pull(&b)) {
            if (b.m.method == DUET_STUN_ALLOCATE && !duet_stun_find(&b.m, DUET_STUN_NONCE, NULL))
                challenge(&b, 401);
            else if (b.m.method == DUET_STUN_ALLOCATE)
                answer_allocated(&b, true);
            else if (b.m.message_class == DUET_STUN_REQUEST)
                answer_success(&b);
        }
        if (info(&b)->state == DUET_TURN_ALLOCATED) {
            permitted = permitted || duet_turn_client_permit(b.client, &peer) == DUET_OK;
            bound = bound || duet_turn_client_bind(b.client, &peer) == DUET_OK;
        }
        pass(&b, DUET_MS(500));
    }
    bool done = info(&b)->state == DUET_TURN_ALLOCATED && permitted && bound;
    finish(&b);
    return done ? DUET_OK : DUET_ERR_TIMEOUT;
}

static void each_allocation_of_memory_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("turn client", whole_life, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_is_made_with_long_term_credentials),
        cmocka_unit_test(both_families_are_asked_for_and_taken),
        cmocka_unit_test(error_440_is_answered_with_the_servers_own_family),
        cmocka_unit_test(a_wrong_password_is_named),
        cmocka_unit_test(a_challenge_without_credentials_says_so),
        cmocka_unit_test(final_errors_of_allocate_are_reported),
        cmocka_unit_test(a_stale_nonce_is_replaced_and_an_ever_stale_one_given_up),
        cmocka_unit_test(error_300_gives_the_alternate_server),
        cmocka_unit_test(error_437_deletes_the_old_allocation_once),
        cmocka_unit_test(a_silent_server_is_asked_seven_times_over_udp_and_once_over_tcp),
        cmocka_unit_test(sha256_is_used_when_the_server_offers_it),
        cmocka_unit_test(a_bid_down_is_noticed),
        cmocka_unit_test(unknown_algorithms_are_not_answered),
        cmocka_unit_test(an_allocation_is_refreshed_before_it_expires_and_kept_alive),
        cmocka_unit_test(an_allocation_that_the_server_forgot_is_lost),
        cmocka_unit_test(a_release_is_a_refresh_with_lifetime_zero),
        cmocka_unit_test(several_peers_share_one_request),
        cmocka_unit_test(a_refused_peer_does_not_take_the_others_along),
        cmocka_unit_test(permissions_have_a_bound),
        cmocka_unit_test(unused_permissions_expire_and_used_ones_are_renewed),
        cmocka_unit_test(data_goes_in_indications_until_a_channel_is_bound),
        cmocka_unit_test(data_from_a_peer_is_unwrapped_in_place),
        cmocka_unit_test(a_channel_is_renewed_while_it_is_used_and_let_go_otherwise),
        cmocka_unit_test(a_refused_channel_leaves_indications),
        cmocka_unit_test(responses_with_wrong_integrity_are_ignored_on_udp_and_end_a_stream),
        cmocka_unit_test(rfc8489_6_3_3_strangers_and_unknown_transactions_are_not_heard),
        cmocka_unit_test(an_error_code_that_is_too_short_counts_as_400),
        cmocka_unit_test(an_allocation_without_an_address_or_with_a_bad_one_fails),
        cmocka_unit_test(an_overlong_nonce_is_refused),
        cmocka_unit_test(random_bytes_and_damaged_responses_do_no_harm),
        cmocka_unit_test(each_allocation_of_memory_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
