/* Candidates: what browsers send is read and written again, and every error of grammar is found where it is. */
#include "test.h"

static duet_candidate parsed(const char *text)
{
    duet_candidate c;
    size_t column;
    const char *reason;

    int err = duet_candidate_parse(&c, text, strlen(text), &column, &reason);
    if (err != DUET_OK)
        fail_msg("%s: column %zu: %s", text, column, reason);
    return c;
}

static void expect_error(const char *text, int err, size_t column)
{
    duet_candidate c;
    size_t at = 0;
    const char *reason = NULL;

    int got = duet_candidate_parse(&c, text, strlen(text), &at, &reason);
    if (got != err || at != column)
        fail_msg("\"%s\": %d at %zu (%s), expected %d at %zu", text, got, at, reason, err, column);
    assert_non_null(reason);
}

static void a_host_candidate_of_chromium_is_read(void **state)
{
    (void)state;
    duet_candidate c = parsed("a=candidate:3983671714 1 udp 2122194687 127.0.0.1 36872 typ host generation 0 "
                              "network-id 3 network-cost 50\r\n");
    duet_address a;

    assert_int_equal(duet_address_parse(&a, "127.0.0.1", 36872), DUET_OK);
    assert_true(duet_address_equal(&c.address, &a));
    assert_string_equal(c.foundation, "3983671714");
    assert_int_equal(c.component, 1);
    assert_int_equal(c.protocol, DUET_UDP);
    assert_int_equal(c.priority, 2122194687);
    assert_int_equal(c.type, DUET_CANDIDATE_HOST);
    assert_int_equal(c.network_cost, 50);
    assert_int_equal(c.related.family, DUET_AF_NONE);
}

static void a_tcp_candidate_of_firefox_is_read(void **state)
{
    (void)state;
    duet_candidate c = parsed("candidate:3 2 TCP 2105524478 fd00::2 9 typ host tcptype active");

    assert_int_equal(c.component, 2);
    assert_int_equal(c.protocol, DUET_TCP);
    assert_int_equal(c.tcp_type, DUET_TCPTYPE_ACTIVE);
    assert_int_equal(c.address.family, DUET_AF_INET6);
    assert_int_equal(c.address.port, 9);
}

static void an_mdns_name_is_kept_as_a_name(void **state)
{
    (void)state;
    duet_candidate c =
        parsed("candidate:1 1 udp 2113937151 8a1f8d2e-7f6b-4a6c-9b39-0f1e2d3c4b5a.local 51234 typ host ufrag abcd");

    assert_string_equal(c.name, "8a1f8d2e-7f6b-4a6c-9b39-0f1e2d3c4b5a.local");
    assert_int_equal(c.address.family, DUET_AF_NONE);
    assert_int_equal(c.address.port, 51234);
    assert_string_equal(c.ufrag, "abcd");
}

static void formatting_gives_the_text_that_was_parsed(void **state)
{
    static const char *const texts[] = {
        "candidate:0 1 udp 2122187007 192.0.2.2 36142 typ host",
        "candidate:a+/9 256 tcp 1 fd00::2 9 typ host tcptype active",
        "candidate:1 1 tcp 2147483647 192.0.2.2 0 typ host tcptype so",
        "candidate:x 1 udp 1677729535 203.0.113.7 65535 typ srflx raddr 192.0.2.2 rport 5000 ufrag abcd",
        "candidate:x 1 udp 41885439 203.0.113.7 3478 typ relay raddr 0.0.0.0 rport 0 ufrag abcd network-cost 999",
        "candidate:x 1 tcp 41885439 ::1 3478 typ prflx raddr :: rport 9 tcptype passive",
        "candidate:1 1 udp 2113937151 host.local 51234 typ host",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char buf[DUET_CANDIDATE_TEXT_MAX];
        duet_candidate c = parsed(texts[i]);
        assert_int_equal(duet_candidate_format(&c, buf, sizeof(buf)), DUET_OK);
        assert_string_equal(buf, texts[i]);
        assert_int_equal(duet_candidate_format(&c, buf, strlen(texts[i])), DUET_ERR_BUFFER);
        assert_int_equal(duet_candidate_format(&c, buf, strlen(texts[i]) + 1), DUET_OK);
    }
}

static void a_reflexive_candidate_always_gets_a_related_address(void **state)
{
    (void)state;
    duet_candidate c = parsed("candidate:1 1 udp 5 192.0.2.1 1000 typ srflx");
    char buf[DUET_CANDIDATE_TEXT_MAX];

    assert_int_equal(duet_candidate_format(&c, buf, sizeof(buf)), DUET_OK);
    assert_string_equal(buf, "candidate:1 1 udp 5 192.0.2.1 1000 typ srflx raddr 0.0.0.0 rport 9");
}

static void the_longest_candidate_fits_the_documented_size(void **state)
{
    (void)state;
    duet_candidate c = {.component = 256, .protocol = DUET_TCP, .priority = UINT32_MAX};
    char buf[DUET_CANDIDATE_TEXT_MAX];

    memset(c.foundation, 'f', sizeof(c.foundation) - 1);
    memset(c.name, 'n', sizeof(c.name) - 1);
    memset(c.ufrag, 'u', sizeof(c.ufrag) - 1);
    c.type = DUET_CANDIDATE_SRFLX;
    assert_int_equal(duet_address_parse(&c.related, "1111:1111:1111:1111:1111:1111:1111:1111", 65535), DUET_OK);
    c.tcp_type = DUET_TCPTYPE_PASSIVE;
    c.network_cost = UINT32_MAX;
    assert_int_equal(duet_candidate_format(&c, buf, sizeof(buf)), DUET_OK);
}

static void what_cannot_be_used_is_unsupported_not_malformed(void **state)
{
    (void)state;
    expect_error("candidate:1 1 sctp 5 192.0.2.1 1000 typ host", DUET_ERR_UNSUPPORTED, 14);
    expect_error("candidate:1 1 ssltcp 5 192.0.2.1 443 typ host", DUET_ERR_UNSUPPORTED, 14);
    expect_error("candidate:1 1 udp 5 192.0.2.1 1000 typ teleport", DUET_ERR_UNSUPPORTED, 39);
    expect_error("candidate:1 1 tcp 5 192.0.2.1 1000 typ host tcptype both", DUET_ERR_UNSUPPORTED, 52);
    expect_error("candidate:1 1 udp 5 fe80::1%2 1000 typ host", DUET_ERR_UNSUPPORTED, 20);
    /* the grammar of the rest still counts */
    expect_error("candidate:1 1 sctp 5 192.0.2.1 70000 typ host", DUET_ERR_MALFORMED, 31);
}

static void an_error_of_grammar_is_reported_where_it_is(void **state)
{
    (void)state;
    expect_error("", DUET_ERR_MALFORMED, 0);
    expect_error("a=foo", DUET_ERR_MALFORMED, 2);
    expect_error("candidate:", DUET_ERR_MALFORMED, 10);
    expect_error("candidate:! 1 udp 5 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 10);
    expect_error("candidate:123456789012345678901234567890123 1 udp 5 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 10);
    expect_error("candidate:1  1 udp 5 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 12);
    expect_error("candidate:1 0 udp 5 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 12);
    expect_error("candidate:1 257 udp 5 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 12);
    expect_error("candidate:1 1 udp 0 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 18);
    expect_error("candidate:1 1 udp 2147483648 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 18);
    expect_error("candidate:1 1 udp 99999999999999999999999 192.0.2.1 1 typ host", DUET_ERR_MALFORMED, 18);
    expect_error("candidate:1 1 udp 5 192.0.2.256 1 typ host", DUET_ERR_MALFORMED, 20);
    expect_error("candidate:1 1 udp 5 a..b 1 typ host", DUET_ERR_MALFORMED, 20);
    expect_error("candidate:1 1 udp 5 ::z 1 typ host", DUET_ERR_MALFORMED, 20);
    expect_error("candidate:1 1 udp 5 192.0.2.1 65536 typ host", DUET_ERR_MALFORMED, 30);
    expect_error("candidate:1 1 udp 5 192.0.2.1 1 host", DUET_ERR_MALFORMED, 32);
    expect_error("candidate:1 1 udp 5 192.0.2.1 1 typ ", DUET_ERR_MALFORMED, 32);
    expect_error("candidate:1 1 udp 5 192.0.2.1 1 typ host raddr ? rport 1", DUET_ERR_MALFORMED, 47);
    expect_error("candidate:1 1 udp 5 192.0.2.1 1 typ srflx raddr 10.0.0.1 rport x", DUET_ERR_MALFORMED, 63);
    expect_error("candidate:1 1 udp 5 192.0.2.1 1 typ host generation", DUET_ERR_MALFORMED, 51);
    expect_error("candidate:1 1 udp 5 192.0.2.1 1 typ host ufrag abc", DUET_ERR_MALFORMED, 47);
}

static void every_truncation_and_every_byte_is_survived(void **state)
{
    static const char text[] = "candidate:x 1 udp 1677729535 203.0.113.7 65535 typ srflx raddr 192.0.2.2 rport 5000 "
                               "generation 0 ufrag abcd network-cost 10";
    (void)state;

    for (size_t len = 0; len < sizeof(text); len++) {
        char *copy = malloc(len + 1); /* exact size: the sanitizer sees any step beyond */
        memcpy(copy, text, len);
        duet_candidate c;
        duet_candidate_parse(&c, copy, len, NULL, NULL);
        for (int byte = 0; len > 0 && byte < 256; byte++) {
            copy[len - 1] = (char)byte;
            duet_candidate_parse(&c, copy, len, NULL, NULL);
        }
        free(copy);
    }
}

static void types_and_protocols_have_names(void **state)
{
    (void)state;
    assert_string_equal(duet_candidate_type_name(DUET_CANDIDATE_HOST), "host");
    assert_string_equal(duet_candidate_type_name(DUET_CANDIDATE_RELAY), "relay");
    assert_string_equal(duet_candidate_type_name((duet_candidate_type)9), "unknown");
    assert_string_equal(duet_protocol_name(DUET_UDP), "udp");
    assert_string_equal(duet_protocol_name(DUET_TLS), "tls");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_candidate_of_chromium_is_read),
        cmocka_unit_test(a_tcp_candidate_of_firefox_is_read),
        cmocka_unit_test(an_mdns_name_is_kept_as_a_name),
        cmocka_unit_test(formatting_gives_the_text_that_was_parsed),
        cmocka_unit_test(a_reflexive_candidate_always_gets_a_related_address),
        cmocka_unit_test(the_longest_candidate_fits_the_documented_size),
        cmocka_unit_test(what_cannot_be_used_is_unsupported_not_malformed),
        cmocka_unit_test(an_error_of_grammar_is_reported_where_it_is),
        cmocka_unit_test(every_truncation_and_every_byte_is_survived),
        cmocka_unit_test(types_and_protocols_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
