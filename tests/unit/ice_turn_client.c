/* The TURN client alone, against a scripted server: each step of an allocation, each error code, credentials, adversarial
 * input, memory. */
#include "turn_bench.h"

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
