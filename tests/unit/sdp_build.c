/* Building and changing descriptions: the order of lines, the grammar of what is added, default addresses. */
#include "sdp_common.h"

static duet_sdp *created(void)
{
    duet_sdp *sdp;

    assert_int_equal(duet_sdp_create(&sdp, NULL, 1, 2), DUET_OK);
    return sdp;
}

static size_t with_audio(duet_sdp *sdp)
{
    size_t index;

    assert_int_equal(duet_sdp_add_media(sdp, "audio", 9, "UDP/TLS/RTP/SAVPF", "111 0", &index), DUET_OK);
    return index;
}

static void expect_text(const duet_sdp *sdp, const char *text)
{
    char *written = sdp_written(sdp);

    assert_string_equal(written, text);
    duet_free(NULL, written);
}

static duet_candidate candidate(const char *text)
{
    duet_candidate c;

    assert_int_equal(duet_candidate_parse(&c, text, strlen(text), NULL, NULL), DUET_OK);
    return c;
}

static void an_empty_description_is_valid(void **state)
{
    (void)state;
    duet_sdp *sdp = created();

    expect_text(sdp, SDP_SESSION);
    assert_int_equal(duet_sdp_check(sdp, NULL), DUET_OK);
    duet_sdp_destroy(sdp);
    duet_sdp_destroy(NULL);
}

static void attributes_stand_in_the_order_of_the_calls(void **state)
{
    (void)state;
    duet_sdp *sdp = created();
    size_t audio = with_audio(sdp);

    assert_int_equal(duet_sdp_add(sdp, audio, "mid", "0"), DUET_OK);
    assert_int_equal(duet_sdp_addf(sdp, audio, "rtpmap", "%d %s/48000/2", 111, "opus"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, audio, "rtcp-mux", NULL), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, DUET_SDP_SESSION, "group", "BUNDLE 0"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, audio, "x-own", "anything at all"), DUET_OK);
    expect_text(sdp, SDP_SESSION "a=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n"
                                 "a=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-mux\r\na=x-own:anything at all\r\n");
    assert_true(duet_sdp_has(sdp, audio, DUET_SDP_RTCP_MUX));
    duet_sdp_destroy(sdp);
}

static void what_breaks_the_grammar_is_not_added(void **state)
{
    (void)state;
    duet_sdp *sdp = created();
    size_t audio = with_audio(sdp);

    assert_int_equal(duet_sdp_add(sdp, audio, "setup", "actpas"), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add(sdp, audio, "x", "a\r\na=injected:1"), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add(sdp, audio, "x y", "1"), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add(sdp, audio, "", "1"), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add(sdp, audio, "x", ""), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add(sdp, audio, "rtcp-mux", "1"), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add(sdp, 1, "mid", "1"), DUET_ERR_INVALID);
    assert_int_equal(duet_sdp_replace(sdp, 1, "mid", "1"), DUET_ERR_INVALID);
    assert_int_equal(duet_sdp_add_media(sdp, "au dio", 9, "RTP/AVP", "0", NULL), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add_media(sdp, "audio", 9, "RTP/AVP", "", NULL), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_add_media(sdp, "audio", 9, "RTP/AVP", "0\r\na=x", NULL), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_media_count(sdp), 1);
    assert_int_equal(duet_sdp_line_count(sdp, audio), 2);
    duet_sdp_destroy(sdp);
}

static void attributes_are_replaced_in_place_and_removed(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_parsed(SDP_SESSION "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
                                           "a=x:1\r\na=sendrecv\r\na=x:2\r\na=rtcp-mux\r\n");

    assert_int_equal(duet_sdp_replace(sdp, 0, "x", "3"), DUET_OK);
    assert_int_equal(duet_sdp_replace(sdp, 0, "mid", "audio"), DUET_OK);
    assert_int_equal(duet_sdp_replace(sdp, 0, "setup", "active"), DUET_OK);
    assert_int_equal(duet_sdp_remove(sdp, 0, "sendrecv"), 1);
    assert_int_equal(duet_sdp_remove(sdp, 0, "sendrecv"), 0);
    assert_int_equal(duet_sdp_set_port(sdp, 0, 0), DUET_OK);
    assert_int_equal(duet_sdp_set_formats(sdp, 0, "8 9"), DUET_OK);
    assert_int_equal(duet_sdp_set_formats(sdp, 0, "opus"), DUET_ERR_MALFORMED);
    assert_int_equal(duet_sdp_set_origin(sdp, 77, 3), DUET_OK);
    expect_text(sdp, "v=0\r\no=- 77 3 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 0 UDP/TLS/RTP/SAVPF 8 9\r\n"
                     "c=IN IP4 0.0.0.0\r\na=mid:audio\r\na=x:3\r\na=rtcp-mux\r\na=setup:active\r\n");
    assert_int_equal(duet_sdp_media_at(sdp, 0)->port, 0);
    assert_string_equal(duet_sdp_media_at(sdp, 0)->formats, "8 9");
    assert_int_equal(duet_sdp_set_port(sdp, 1, 9), DUET_ERR_INVALID);
    duet_sdp_destroy(sdp);
}

static void the_default_address_follows_the_candidates(void **state)
{
    (void)state;
    duet_sdp *sdp = created();
    size_t audio = with_audio(sdp);
    duet_candidate host6 = candidate("candidate:1 1 udp 9 2001:db8::1 1000 typ host");
    duet_candidate host = candidate("candidate:2 1 udp 8 192.0.2.1 1001 typ host");
    duet_candidate tcp = candidate("candidate:3 1 tcp 7 192.0.2.1 9 typ host tcptype active");
    duet_candidate name = candidate("candidate:4 1 udp 6 x.local 1002 typ host");
    duet_candidate srflx =
        candidate("candidate:5 1 udp 5 203.0.113.1 1003 typ srflx raddr 192.0.2.1 rport 1001 ufrag abcd");
    duet_candidate relay = candidate("candidate:6 1 udp 4 198.51.100.1 1004 typ relay raddr 203.0.113.1 rport 1003");

    assert_int_equal(duet_sdp_add(sdp, audio, "mid", "0"), DUET_OK);
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &name), DUET_OK);
    assert_int_equal(duet_sdp_media_at(sdp, audio)->port, 9);
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &host6), DUET_OK);
    assert_string_equal(duet_sdp_line_at(sdp, audio, 1)->value, "IN IP6 2001:db8::1");
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &host), DUET_OK);
    assert_string_equal(duet_sdp_line_at(sdp, audio, 1)->value, "IN IP4 192.0.2.1");
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &tcp), DUET_OK);
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &srflx), DUET_OK);
    assert_int_equal(duet_sdp_media_at(sdp, audio)->port, 1003);
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &relay), DUET_OK);
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &host), DUET_OK); /* again: nothing changes */
    assert_int_equal(duet_sdp_add_end_of_candidates(sdp, audio), DUET_OK);
    assert_int_equal(duet_sdp_add_end_of_candidates(sdp, audio), DUET_OK);
    expect_text(sdp, SDP_SESSION "m=audio 1004 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 198.51.100.1\r\n"
                                 "a=candidate:4 1 udp 6 x.local 1002 typ host\r\n"
                                 "a=candidate:1 1 udp 9 2001:db8::1 1000 typ host\r\n"
                                 "a=candidate:2 1 udp 8 192.0.2.1 1001 typ host\r\n"
                                 "a=candidate:3 1 tcp 7 192.0.2.1 9 typ host tcptype active\r\n"
                                 "a=candidate:5 1 udp 5 203.0.113.1 1003 typ srflx raddr 192.0.2.1 rport 1001\r\n"
                                 "a=candidate:6 1 udp 4 198.51.100.1 1004 typ relay raddr 203.0.113.1 rport 1003\r\n"
                                 "a=end-of-candidates\r\na=mid:0\r\n");
    assert_int_equal(duet_sdp_remove_candidates(sdp, audio), DUET_OK);
    expect_text(sdp, SDP_SESSION "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n");
    duet_sdp_destroy(sdp);
}

static void a_bundle_only_section_keeps_port_zero(void **state)
{
    (void)state;
    duet_sdp *sdp = created();
    size_t audio = with_audio(sdp);
    duet_candidate host = candidate("candidate:2 1 udp 8 192.0.2.1 1001 typ host");

    assert_int_equal(duet_sdp_set_port(sdp, audio, 0), DUET_OK);
    assert_int_equal(duet_sdp_add_candidate(sdp, audio, &host), DUET_OK);
    assert_int_equal(duet_sdp_media_at(sdp, audio)->port, 0);
    assert_int_equal(duet_sdp_remove_candidates(sdp, audio), DUET_OK);
    assert_int_equal(duet_sdp_media_at(sdp, audio)->port, 0);
    duet_sdp_destroy(sdp);
}

static void a_missing_connection_line_is_put_where_it_belongs(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_parsed(SDP_SESSION "m=audio 9/2 RTP/AVP 0\r\ni=title\r\na=mid:0\r\n");
    duet_address a;

    assert_int_equal(duet_address_parse(&a, "fe80::1%3", 77), DUET_OK);
    assert_int_equal(duet_sdp_set_address(sdp, 0, &a), DUET_OK);
    expect_text(sdp, SDP_SESSION "m=audio 77/2 RTP/AVP 0\r\ni=title\r\nc=IN IP6 fe80::1\r\na=mid:0\r\n");
    assert_int_equal(duet_sdp_set_address(sdp, 1, &a), DUET_ERR_INVALID);
    duet_sdp_destroy(sdp);
}

static void the_limits_hold_while_building(void **state)
{
    (void)state;
    duet_sdp *sdp = created();
    char *value = malloc(DUET_SDP_LINE_MAX + 1);

    memset(value, 'x', DUET_SDP_LINE_MAX);
    value[DUET_SDP_LINE_MAX] = 0;
    assert_int_equal(duet_sdp_add(sdp, DUET_SDP_SESSION, "x", value), DUET_ERR_LIMIT);
    assert_int_equal(duet_sdp_addf(sdp, DUET_SDP_SESSION, "x", "%s", value + 8), DUET_OK);
    free(value);
    for (size_t i = 0; i < DUET_SDP_MEDIA_MAX; i++)
        assert_int_equal(duet_sdp_add_media(sdp, "audio", 9, "RTP/AVP", "0", NULL), DUET_OK);
    assert_int_equal(duet_sdp_add_media(sdp, "audio", 9, "RTP/AVP", "0", NULL), DUET_ERR_LIMIT);
    size_t lines = 5 + 2 * DUET_SDP_MEDIA_MAX;
    for (; lines < DUET_SDP_LINES_MAX; lines++)
        assert_int_equal(duet_sdp_add(sdp, 7, "x", NULL), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 7, "x", NULL), DUET_ERR_LIMIT);
    assert_int_equal(duet_sdp_remove(sdp, DUET_SDP_SESSION, "x"), 1);
    assert_int_equal(duet_sdp_add(sdp, 7, "x", NULL), DUET_OK);
    char *text = sdp_written(sdp);
    duet_sdp_destroy(sdp_parsed(text)); /* what can be built can be read */
    duet_free(NULL, text);
    duet_sdp_destroy(sdp);
}

static int build(const duet_env *env, void *arg)
{
    duet_candidate *c = arg;
    duet_sdp *sdp;
    char *text = NULL, long_value[600];

    memset(long_value, 'v', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = 0;
    int err = duet_sdp_create(&sdp, env, 1, 2);
    if (err)
        return err;
    const int steps[] = {
        duet_sdp_add_media(sdp, "audio", 9, "UDP/TLS/RTP/SAVPF", "111 0", NULL),
        duet_sdp_media_count(sdp) == 1 ? duet_sdp_add(sdp, 0, "mid", "0") : DUET_OK,
        duet_sdp_media_count(sdp) == 1 ? duet_sdp_add_candidate(sdp, 0, c) : DUET_OK,
        duet_sdp_media_count(sdp) == 1 ? duet_sdp_replace(sdp, 0, "mid", "1") : DUET_OK,
        duet_sdp_media_count(sdp) == 1 ? duet_sdp_remove_candidates(sdp, 0) : DUET_OK,
        duet_sdp_addf(sdp, DUET_SDP_SESSION, "x", "%s", long_value),
        duet_sdp_set_origin(sdp, 1, 3),
        duet_sdp_write(sdp, &text),
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !err; i++)
        err = steps[i];
    /* whatever failed, the description is still one */
    if (text) {
        duet_sdp *again;
        assert_int_equal(duet_sdp_parse(&again, NULL, text, strlen(text), NULL), DUET_OK);
        duet_sdp_destroy(again);
    }
    duet_free(env, text);
    duet_sdp_destroy(sdp);
    return err;
}

static void running_out_of_memory_leaves_a_valid_description(void **state)
{
    (void)state;
    duet_candidate c = candidate("candidate:2 1 udp 8 192.0.2.1 1001 typ host");

    test_fail_each_allocation("build", build, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_description_is_valid),
        cmocka_unit_test(attributes_stand_in_the_order_of_the_calls),
        cmocka_unit_test(what_breaks_the_grammar_is_not_added),
        cmocka_unit_test(attributes_are_replaced_in_place_and_removed),
        cmocka_unit_test(the_default_address_follows_the_candidates),
        cmocka_unit_test(a_bundle_only_section_keeps_port_zero),
        cmocka_unit_test(a_missing_connection_line_is_put_where_it_belongs),
        cmocka_unit_test(the_limits_hold_while_building),
        cmocka_unit_test(running_out_of_memory_leaves_a_valid_description),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
