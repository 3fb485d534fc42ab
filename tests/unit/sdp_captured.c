/* Descriptions that browsers really sent: byte-for-byte round trips, typed content, oddities, and answers to all. */
#include "sdp_common.h"

static void write_equals(const char *name, const char *text, size_t len)
{
    duet_sdp *sdp = sdp_parsed_len(text, len);
    char *again = sdp_written(sdp);

    if (strlen(again) != len || memcmp(again, text, len) != 0)
        fail_msg("%s is written differently", name);
    duet_free(NULL, again);
    duet_sdp_destroy(sdp);
}

static void every_description_is_written_as_it_was_read(void **state)
{
    (void)state;
    size_t count = sdp_for_each_captured(write_equals);

    print_message("%zu descriptions\n", count);
    assert_true(count >= 130);
}

static void bare_lf_equals(const char *name, const char *text, size_t len)
{
    char *bare = malloc(len);
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        if (text[i] != '\r')
            bare[n++] = text[i];
    duet_sdp *sdp = sdp_parsed_len(bare, n);
    char *again = sdp_written(sdp);
    if (strlen(again) != len || memcmp(again, text, len) != 0)
        fail_msg("%s is written differently", name);
    duet_free(NULL, again);
    duet_sdp_destroy(sdp);
    free(bare);
}

static void bare_lf_is_read_and_crlf_written(void **state)
{
    (void)state;
    sdp_for_each_captured(bare_lf_equals);
}

static void clone_equals(const char *name, const char *text, size_t len)
{
    duet_sdp *sdp = sdp_parsed_len(text, len), *copy;

    assert_int_equal(duet_sdp_clone(&copy, sdp), DUET_OK);
    assert_int_equal(duet_sdp_warning_count(copy), duet_sdp_warning_count(sdp));
    duet_sdp_destroy(sdp);
    char *again = sdp_written(copy);
    if (strlen(again) != len || memcmp(again, text, len) != 0)
        fail_msg("the copy of %s is written differently", name);
    for (size_t i = 0; i < duet_sdp_media_count(copy); i++)
        assert_true(duet_sdp_media_mid(copy, i).len > 0);
    duet_free(NULL, again);
    duet_sdp_destroy(copy);
}

static void a_copy_outlives_the_original(void **state)
{
    (void)state;
    sdp_for_each_captured(clone_equals);
}

static void passes_check(const char *name, const char *text, size_t len)
{
    duet_sdp *sdp = sdp_parsed_len(text, len);
    duet_sdp_error error;

    if (duet_sdp_check(sdp, &error))
        fail_msg("%s: line %zu: %s", name, error.line, error.reason);
    duet_sdp_destroy(sdp);
}

static void every_description_has_what_webrtc_requires(void **state)
{
    (void)state;
    sdp_for_each_captured(passes_check);
}

static size_t pairs;

static void answers_its_offer(const char *name, const char *text, size_t len)
{
    const char *offer_name = strstr(name, "-answer-to-");
    duet_sdp_error error;

    if (!offer_name)
        return;
    duet_sdp *answer = sdp_parsed_len(text, len), *offer = sdp_captured(offer_name + strlen("-answer-to-"));
    if (duet_sdp_check_answer(offer, answer, &error))
        fail_msg("%s: line %zu: %s", name, error.line, error.reason);
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
    pairs++;
}

static void the_answers_of_browsers_fit_their_offers(void **state)
{
    (void)state;
    sdp_for_each_captured(answers_its_offer);
    print_message("%zu pairs\n", pairs);
    assert_true(pairs >= 70);
}

static size_t answered;

static void can_be_answered(const char *name, const char *text, size_t len)
{
    sdp_endpoint *e = malloc(sizeof(*e));
    duet_sdp_error error;
    duet_sdp *answer;

    if (strstr(name, "answer"))
        goto out;
    duet_sdp *offer = sdp_parsed_len(text, len);
    sdp_endpoint_init(e, "duet");
    sdp_endpoint_face(e, offer);
    e->audio.receive_simulcast = e->video.receive_simulcast = true;
    int err = duet_sdp_create_answer(&answer, NULL, offer, &e->options, &error);
    if (err)
        fail_msg("%s: %s", name, duet_strerror(err));
    char *written = sdp_written(answer);
    if (duet_sdp_check_answer(offer, answer, &error))
        fail_msg("%s: line %zu: %s\n%s", name, error.line, error.reason, written);
    duet_sdp *again = sdp_parsed(written);
    if (duet_sdp_warning_count(again))
        fail_msg("%s: line %zu: %s", name, duet_sdp_warning(again, 0)->line, duet_sdp_warning(again, 0)->reason);
    assert_int_equal(duet_sdp_check_answer(offer, again, NULL), DUET_OK);
    for (size_t i = 0; i < duet_sdp_media_count(again); i++)
        assert_int_equal(duet_sdp_media_is_rejected(again, i), duet_sdp_media_is_rejected(offer, i));
    char *twice = sdp_written(again);
    assert_string_equal(written, twice);
    duet_free(NULL, written);
    duet_free(NULL, twice);
    duet_sdp_destroy(again);
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
    answered++;
out:
    free(e);
}

static void every_offer_of_a_browser_can_be_answered(void **state)
{
    (void)state;
    sdp_for_each_captured(can_be_answered);
    print_message("%zu offers answered\n", answered);
    assert_true(answered >= 50);
}

static void no_prefix_of_a_description_breaks_the_parser(void **state)
{
    size_t len;
    uint8_t *data = test_data("sdp/firefox-offer-data.sdp", &len);
    (void)state;

    for (size_t n = 0; n <= len; n++) {
        char *exact = malloc(n + 1);
        duet_sdp *sdp;
        memcpy(exact, data, n);
        if (duet_sdp_parse(&sdp, NULL, exact, n, NULL) == DUET_OK)
            duet_sdp_destroy(sdp);
        free(exact);
    }
    free(data);
}

static void chromium_simulcast_is_understood(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_captured("chromium-offer-simulcast.sdp");
    duet_ice_credentials ice;
    duet_fingerprint fingerprint;
    duet_setup setup;
    duet_sdp_origin origin;
    duet_sdp_value v;
    duet_candidate c;
    size_t cursor = 0, candidates = 0;

    duet_sdp_get_origin(sdp, &origin);
    assert_true(sdp_text_equals(origin.username, "-"));
    assert_true(origin.session_id == 2283177247189361090u);
    assert_int_equal(origin.version, 2);
    assert_int_equal(duet_sdp_media_count(sdp), 2);
    assert_int_equal(duet_sdp_media_at(sdp, 0)->kind, DUET_SDP_AUDIO);
    assert_int_equal(duet_sdp_media_at(sdp, 1)->kind, DUET_SDP_VIDEO);
    assert_int_equal(duet_sdp_media_at(sdp, 1)->port, 60005);
    assert_string_equal(duet_sdp_media_at(sdp, 1)->proto, "UDP/TLS/RTP/SAVPF");
    assert_true(duet_sdp_media_is_rtp(sdp, 1));
    assert_true(sdp_text_equals(duet_sdp_media_mid(sdp, 1), "1"));
    assert_int_equal(duet_sdp_media_ice(sdp, 1, &ice), DUET_OK);
    assert_string_equal(ice.ufrag, "UaGT");
    assert_string_equal(ice.pwd, "xNM7mXdE1zmRBl4cgs8Rldyx");
    assert_int_equal(duet_sdp_media_fingerprints(sdp, 1, &fingerprint, 1), 1);
    assert_int_equal(fingerprint.value[0], 0x99);
    assert_int_equal(duet_sdp_media_setup(sdp, 1, &setup), DUET_OK);
    assert_int_equal(setup, DUET_SETUP_ACTPASS);
    assert_true(duet_sdp_media_ice_option(sdp, 1, "trickle"));
    assert_false(duet_sdp_media_ice_option(sdp, 1, "sped"));
    assert_int_equal(duet_sdp_media_direction(sdp, 1), DUET_SDP_SENDRECV);
    assert_int_equal(duet_sdp_media_extmap_id(sdp, 1, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"), 10);
    assert_int_equal(duet_sdp_media_extmap_id(sdp, 0, "urn:3gpp:video-orientation"), 0);
    while (duet_sdp_media_candidate(sdp, 1, &cursor, &c))
        candidates++;
    assert_int_equal(candidates, 8);
    assert_int_equal(c.tcp_type, DUET_TCPTYPE_ACTIVE);
    assert_false(duet_sdp_media_end_of_candidates(sdp, 1));
    cursor = 0;
    assert_true(duet_sdp_next(sdp, 1, DUET_SDP_SIMULCAST, &cursor, &v));
    assert_true(sdp_text_equals(v.as.simulcast.send, "q;h;f"));
    assert_int_equal(v.as.simulcast.recv.len, 0);
    cursor = 0;
    for (const char *rid = "qhf"; *rid; rid++) {
        assert_true(duet_sdp_next(sdp, 1, DUET_SDP_RID, &cursor, &v));
        assert_true(v.as.rid.id.len == 1 && v.as.rid.id.text[0] == *rid);
        assert_int_equal(v.as.rid.direction, DUET_SDP_SENDONLY);
    }
    assert_false(duet_sdp_next(sdp, 1, DUET_SDP_RID, &cursor, &v));
    assert_false(duet_sdp_has(sdp, 1, DUET_SDP_SSRC));
    cursor = 0;
    assert_true(duet_sdp_next(sdp, 0, DUET_SDP_SSRC, &cursor, &v));
    assert_int_equal(v.as.ssrc.ssrc, 2118701365);
    assert_true(sdp_text_equals(v.as.ssrc.attribute, "cname"));
    assert_true(sdp_text_equals(v.as.ssrc.value, "7zUGzBqxMv13HCPn"));
    assert_string_equal(duet_sdp_attribute(sdp, 0, "rtcp-xr"), "rcvr-rtt=all");
    assert_string_equal(duet_sdp_attribute(sdp, 0, "rtcp-mux"), "");
    assert_null(duet_sdp_attribute(sdp, 0, "rtcp-mux-only"));
    assert_int_equal(duet_sdp_warning_count(sdp), 0);
    duet_sdp_destroy(sdp);
}

static void codecs_are_joined_by_payload_type(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_captured("chromium-offer-simulcast.sdp");
    duet_codec codecs[128];

    assert_int_equal(duet_sdp_media_codecs(sdp, 0, codecs, 128), 8);
    assert_string_equal(codecs[0].name, "opus");
    assert_int_equal(codecs[0].payload_type, 111);
    assert_int_equal(codecs[0].clock_rate, 48000);
    assert_int_equal(codecs[0].channels, 2);
    assert_string_equal(codecs[0].fmtp, "minptime=10;useinbandfec=1");
    assert_int_equal(codecs[0].feedback, DUET_FEEDBACK_TRANSPORT_CC);
    assert_string_equal(codecs[1].name, "red");
    assert_string_equal(codecs[1].fmtp, "111/111");
    assert_int_equal(duet_sdp_media_codecs(sdp, 1, codecs, 128), 23);
    assert_string_equal(codecs[0].name, "VP8");
    assert_int_equal(codecs[0].feedback, FB_VIDEO);
    assert_string_equal(codecs[1].fmtp, "apt=96");
    assert_int_equal(duet_sdp_media_codecs(sdp, 1, codecs, 3), 23); /* only three are stored */
    duet_sdp_destroy(sdp);
}

static void firefox_leaves_its_fingerprint_to_the_session(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_captured("firefox-offer-av-data.sdp");
    duet_fingerprint f;
    duet_sdp_extmap map;
    duet_sdp_value v;
    uint64_t size;
    uint16_t port;
    size_t cursor = 0;
    bool receive_only = false;

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(duet_sdp_media_fingerprints(sdp, i, &f, 1), 1);
    assert_true(duet_sdp_media_ice_option(sdp, 0, "trickle"));
    while (duet_sdp_media_extmap(sdp, 0, &cursor, &map))
        receive_only = receive_only || map.direction == DUET_SDP_RECVONLY;
    assert_true(receive_only);
    cursor = 0;
    assert_true(duet_sdp_next(sdp, 0, DUET_SDP_MSID, &cursor, &v));
    assert_true(v.as.msid.stream.text[0] == '{');
    assert_true(duet_sdp_media_is_data(sdp, 2));
    assert_int_equal(duet_sdp_media_sctp_port(sdp, 2, &port), DUET_OK);
    assert_int_equal(port, 5000);
    assert_int_equal(duet_sdp_media_max_message_size(sdp, 2, &size), DUET_OK);
    assert_int_equal(size, 1073741823);
    assert_true(duet_sdp_media_end_of_candidates(sdp, 0));
    duet_sdp_destroy(sdp);
}

static void firefox_bundle_only_sections_are_not_rejected(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_captured("firefox-offer-maxbundle.sdp");
    size_t tag;

    assert_int_equal(duet_sdp_media_at(sdp, 1)->port, 0);
    assert_false(duet_sdp_media_is_rejected(sdp, 1));
    assert_true(duet_sdp_bundle_tag(sdp, 1, &tag));
    assert_int_equal(tag, 0);
    duet_sdp_destroy(sdp);
    sdp = sdp_captured("firefox-reneg-answer-stopped-video.sdp");
    assert_true(duet_sdp_media_is_rejected(sdp, 1));
    assert_false(duet_sdp_bundle_tag(sdp, 1, &tag));
    duet_sdp_destroy(sdp);
}

static bool has_warning(const duet_sdp *sdp, size_t line, size_t column, const char *reason)
{
    for (size_t i = 0; i < duet_sdp_warning_count(sdp); i++) {
        const duet_sdp_error *w = duet_sdp_warning(sdp, i);
        if (w->line == line && w->column == column && strstr(w->reason, reason))
            return true;
    }
    return false;
}

static void the_oddities_of_firefox_are_warnings(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_captured("firefox-offer-vp8-opus-only.sdp");

    assert_true(has_warning(sdp, 5, 3, "a direction for the whole session"));
    size_t unlisted = 0;
    for (size_t i = 0; i < duet_sdp_warning_count(sdp); i++)
        unlisted += strstr(duet_sdp_warning(sdp, i)->reason, "does not list this payload type") != NULL;
    assert_true(unlisted > 0);
    assert_null(duet_sdp_warning(sdp, duet_sdp_warning_count(sdp)));
    duet_sdp_destroy(sdp);
    sdp = sdp_captured("firefox-offer-data.sdp");
    assert_true(has_warning(sdp, 16, 3, "means nothing to data channels"));
    duet_sdp_destroy(sdp);
}

static void a_description_by_chromium_has_no_oddity(void **state)
{
    static const char *const names[] = {"chromium-offer-av-data.sdp", "chromium-trial-all-offer-av-data.sdp",
                                        "chromium-answer-to-firefox-offer-av-data.sdp"};
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        duet_sdp *sdp = sdp_captured(names[i]);
        assert_int_equal(duet_sdp_warning_count(sdp), 0);
        duet_sdp_destroy(sdp);
    }
}

static void unknown_attributes_are_kept_with_their_values(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_captured("chromium-trial-snap-offer-av-data.sdp");

    assert_non_null(duet_sdp_attribute(sdp, 2, "sctp-init"));
    duet_sdp_destroy(sdp);
    sdp = sdp_captured("chromium-trial-all-offer-av-data.sdp");
    assert_true(duet_sdp_media_ice_option(sdp, 0, "googspedv1"));
    duet_codec codecs[128];
    duet_sdp_media_codecs(sdp, 1, codecs, 128);
    assert_true(codecs[0].feedback & DUET_FEEDBACK_CCFB);
    duet_sdp_destroy(sdp);
}

static int parse_and_write(const duet_env *env, void *arg)
{
    duet_sdp *sdp, *copy;
    char *text = NULL;
    int err = duet_sdp_parse(&sdp, env, arg, strlen(arg), NULL);

    if (err)
        return err;
    err = duet_sdp_clone(&copy, sdp);
    if (!err) {
        err = duet_sdp_write(copy, &text);
        duet_free(env, text);
        duet_sdp_destroy(copy);
    }
    duet_sdp_destroy(sdp);
    return err;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    size_t len;
    uint8_t *data = test_data("sdp/firefox-offer-av-data.sdp", &len);
    (void)state;

    test_fail_each_allocation("parse, clone, write", parse_and_write, data);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_description_is_written_as_it_was_read),
        cmocka_unit_test(bare_lf_is_read_and_crlf_written),
        cmocka_unit_test(a_copy_outlives_the_original),
        cmocka_unit_test(every_description_has_what_webrtc_requires),
        cmocka_unit_test(the_answers_of_browsers_fit_their_offers),
        cmocka_unit_test(every_offer_of_a_browser_can_be_answered),
        cmocka_unit_test(no_prefix_of_a_description_breaks_the_parser),
        cmocka_unit_test(chromium_simulcast_is_understood),
        cmocka_unit_test(codecs_are_joined_by_payload_type),
        cmocka_unit_test(firefox_leaves_its_fingerprint_to_the_session),
        cmocka_unit_test(firefox_bundle_only_sections_are_not_rejected),
        cmocka_unit_test(the_oddities_of_firefox_are_warnings),
        cmocka_unit_test(a_description_by_chromium_has_no_oddity),
        cmocka_unit_test(unknown_attributes_are_kept_with_their_values),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
