/* Format parameters, which codecs are the same, and what an answer makes of the offered ones. */
#include "sdp_common.h"

static duet_codec codec(const char *name, uint8_t pt, uint32_t rate, const char *fmtp)
{
    duet_codec c = {.payload_type = pt, .clock_rate = rate, .channels = 1};

    snprintf(c.name, sizeof(c.name), "%s", name);
    snprintf(c.fmtp, sizeof(c.fmtp), "%s", fmtp);
    return c;
}

static void a_parameter_is_found_whatever_its_case_and_place(void **state)
{
    (void)state;
    duet_sdp_text v;

    assert_true(duet_sdp_fmtp_get("minptime=10; UseInbandFec=1 ;x", "useinbandfec", &v));
    assert_true(duet_sdp_text_is(v, "1"));
    assert_true(duet_sdp_fmtp_get("minptime=10; UseInbandFec=1 ;x", "minptime", &v));
    assert_true(duet_sdp_text_is(v, "10"));
    assert_true(duet_sdp_fmtp_get("minptime=10; UseInbandFec=1 ;x", "x", &v));
    assert_int_equal(v.len, 0);
    assert_true(duet_sdp_fmtp_get("sprop=Zw==;y=2", "sprop", &v));
    assert_true(duet_sdp_text_is(v, "Zw=="));
    assert_false(duet_sdp_fmtp_get("minptime=10", "min", &v));
    assert_false(duet_sdp_fmtp_get("", "x", &v));
    assert_false(duet_sdp_fmtp_get(";;; ;", "x", &v));
    assert_false(duet_sdp_fmtp_get("=5", "", &v));
}

static void expect_equal(const char *name, const char *a, const char *b, bool equal)
{
    duet_codec ca = codec(name, 96, 90000, a), cb = codec(name, 97, 90000, b);

    if (duet_sdp_codec_equal(&ca, &cb) != equal || duet_sdp_codec_equal(&cb, &ca) != equal)
        fail_msg("%s \"%s\" and \"%s\" should %sbe the same", name, a, b, equal ? "" : "not ");
}

static void codecs_are_compared_by_their_own_rules(void **state)
{
    (void)state;
    expect_equal("VP8", "max-fs=1", "", true);
    expect_equal("VP9", "", "profile-id=0", true);
    expect_equal("VP9", "profile-id=2", "profile-id=0", false);
    expect_equal("VP9", "profile-id=2", "profile-id=2", true);
    expect_equal("VP9", "profile-id=x", "profile-id=0", false);
    expect_equal("AV1", "level-idx=5;profile=0", "", true);
    expect_equal("AV1", "profile=1", "profile=0", false);
    expect_equal("H265", "profile-id=1", "", true);
    expect_equal("H265", "profile-id=2", "", false);
    expect_equal("H264", "packetization-mode=1;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=42e034",
                 true);
    expect_equal("H264", "packetization-mode=1;profile-level-id=42e01f", "profile-level-id=42e01f", false);
    expect_equal("H264", "packetization-mode=0;profile-level-id=42e01f", "profile-level-id=42e01f", true);
    /* constrained baseline in its three spellings, RFC 6184 table 5 */
    expect_equal("H264", "profile-level-id=42e01f", "profile-level-id=42c00b", true);
    expect_equal("H264", "profile-level-id=42e01f", "profile-level-id=4d801f", true);
    expect_equal("H264", "profile-level-id=42e01f", "profile-level-id=58c01f", true);
    expect_equal("H264", "profile-level-id=42e01f", "profile-level-id=42001f", false);
    expect_equal("H264", "profile-level-id=42001f", "profile-level-id=58801f", true);
    expect_equal("H264", "profile-level-id=42001f", "", true);
    expect_equal("H264", "profile-level-id=4d001f", "profile-level-id=4D0015", true);
    expect_equal("H264", "profile-level-id=64001f", "profile-level-id=640c1f", false);
    expect_equal("H264", "profile-level-id=xyz", "profile-level-id=xyz", false);
    expect_equal("H264", "profile-level-id=42e01", "profile-level-id=42e01", false);

    duet_codec opus = sdp_opus, mono = sdp_opus, other = sdp_opus;
    mono.channels = 1;
    other.clock_rate = 8000;
    assert_true(duet_sdp_codec_equal(&opus, &sdp_opus));
    assert_false(duet_sdp_codec_equal(&opus, &mono));
    assert_false(duet_sdp_codec_equal(&opus, &other));
    strcpy(opus.name, "OPUS");
    assert_true(duet_sdp_codec_equal(&opus, &sdp_opus));
    mono.channels = 0;
    opus.channels = 1;
    assert_true(duet_sdp_codec_equal(&opus, &mono)); /* absent is 1 */
}

static duet_codec answered[128];

static size_t answer(const duet_codec *const *own, size_t own_count, const duet_codec *offered, size_t count,
                     bool order)
{
    return duet_sdp_codecs_answer(own, own_count, offered, count, order, answered);
}

static void an_answer_uses_the_payload_types_of_the_offer(void **state)
{
    (void)state;
    duet_codec offered[] = {codec("AV1", 45, 90000, ""), codec("H264", 60, 90000, sdp_h264.fmtp),
                            codec("rtx", 61, 90000, "apt=60"), codec("VP8", 100, 90000, ""),
                            codec("rtx", 101, 90000, "apt=100")};
    offered[3].feedback = DUET_FEEDBACK_NACK | DUET_FEEDBACK_CCFB;

    assert_int_equal(answer(sdp_video_codecs, 4, offered, 5, false), 4);
    assert_int_equal(answered[0].payload_type, 60);
    assert_string_equal(answered[1].fmtp, "apt=60");
    assert_int_equal(answered[1].payload_type, 61);
    assert_string_equal(answered[2].name, "VP8");
    assert_int_equal(answered[2].payload_type, 100);
    assert_int_equal(answered[2].feedback, DUET_FEEDBACK_NACK);
    assert_string_equal(answered[3].fmtp, "apt=100");
}

static void the_own_order_counts_when_it_is_asked_for(void **state)
{
    (void)state;
    duet_codec offered[] = {codec("H264", 60, 90000, sdp_h264.fmtp), codec("VP8", 100, 90000, ""),
                            codec("rtx", 61, 90000, "apt=60"), codec("rtx", 101, 90000, "apt=100")};

    assert_int_equal(answer(sdp_video_codecs, 4, offered, 4, true), 4);
    assert_string_equal(answered[0].name, "VP8");
    assert_string_equal(answered[1].fmtp, "apt=100");
    assert_string_equal(answered[2].name, "H264");
    assert_string_equal(answered[3].fmtp, "apt=60");
}

static void helpers_come_only_with_what_they_help(void **state)
{
    duet_codec red = codec("red", 63, 48000, ""), fec = codec("ulpfec", 64, 90000, ""),
               rtx = codec("rtx", 65, 90000, "");
    const duet_codec *const own[] = {&sdp_opus, &red, &fec, &rtx, &sdp_vp8, &sdp_dtmf};
    (void)state;
    red.channels = 2;

    duet_codec only_rtx[] = {codec("rtx", 97, 90000, "apt=96"), codec("AV1", 96, 90000, "")};
    assert_int_equal(answer(own, 6, only_rtx, 2, false), 0);
    duet_codec only_fec[] = {codec("ulpfec", 97, 90000, "")};
    assert_int_equal(answer(own, 6, only_fec, 1, false), 0);
    duet_codec only_dtmf[] = {sdp_dtmf};
    assert_int_equal(answer(own, 6, only_dtmf, 1, false), 0);

    duet_codec audio[] = {sdp_opus, codec("red", 50, 48000, "111/111"), codec("red", 51, 48000, "9/9")};
    audio[1].channels = audio[2].channels = 2;
    assert_int_equal(answer(own, 6, audio, 3, false), 2);
    assert_string_equal(answered[1].fmtp, "111/111");
    assert_int_equal(answered[1].payload_type, 50);

    duet_codec video[] = {codec("VP8", 120, 90000, ""),         codec("rtx", 124, 90000, "apt=120"),
                          codec("ulpfec", 123, 90000, ""),      codec("rtx", 119, 90000, "apt=124"),
                          codec("rtx", 118, 90000, "apt=1000"), codec("rtx", 117, 90000, "")};
    assert_int_equal(answer(own, 6, video, 6, false), 3); /* rtx of rtx, of nothing and of anything are refused */
    assert_string_equal(answered[1].fmtp, "apt=120");
    assert_string_equal(answered[2].name, "ulpfec");
}

static void the_level_of_h264_is_lowered_unless_both_allow_asymmetry(void **state)
{
    duet_codec own = codec("H264", 1, 90000, "profile-level-id=42e01f;packetization-mode=1");
    duet_codec asymmetric =
        codec("H264", 1, 90000, "level-asymmetry-allowed=1;profile-level-id=42e01f;packetization-mode=1");
    const duet_codec *const list[] = {&own}, *const asymmetric_list[] = {&asymmetric};
    duet_codec low = codec("H264", 96, 90000, "profile-level-id=42c00b;packetization-mode=1");
    duet_codec high = codec("H264", 96, 90000, "profile-level-id=42e034;packetization-mode=1");
    duet_codec low_b = codec("H264", 96, 90000, "profile-level-id=42f00b;packetization-mode=1");
    duet_codec low_asymmetric =
        codec("H264", 96, 90000, "level-asymmetry-allowed=1;profile-level-id=42c00b;packetization-mode=1");
    (void)state;

    assert_int_equal(answer(list, 1, &low, 1, false), 1);
    assert_string_equal(answered[0].fmtp, "profile-level-id=42c00b;packetization-mode=1");
    assert_int_equal(answer(list, 1, &low_b, 1, false), 1);
    assert_string_equal(answered[0].fmtp, "profile-level-id=42f00b;packetization-mode=1");
    assert_int_equal(answer(list, 1, &high, 1, false), 1);
    assert_string_equal(answered[0].fmtp, own.fmtp);
    assert_int_equal(answer(asymmetric_list, 1, &low_asymmetric, 1, false), 1);
    assert_string_equal(answered[0].fmtp, asymmetric.fmtp);
    assert_int_equal(answer(asymmetric_list, 1, &low, 1, false), 1);
    assert_non_null(strstr(answered[0].fmtp, "profile-level-id=42c00b"));
}

static void static_payload_types_need_no_rtpmap(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_parsed(SDP_SESSION "m=audio 9 RTP/SAVPF 0 8 9 77 13 9\r\nc=IN IP4 0.0.0.0\r\n"
                                           "a=rtpmap:9 G722/16000\r\na=rtcp-fb:* nack\r\na=rtcp-fb:8 nack pli\r\n");
    duet_codec codecs[128];

    assert_int_equal(duet_sdp_media_codecs(sdp, 0, codecs, 128), 4);
    assert_string_equal(codecs[0].name, "PCMU");
    assert_int_equal(codecs[0].feedback, DUET_FEEDBACK_NACK);
    assert_int_equal(codecs[1].feedback, DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI);
    assert_int_equal(codecs[2].clock_rate, 16000);
    assert_string_equal(codecs[3].name, "CN");
    duet_sdp_destroy(sdp);
}

/* Pion writes an empty parameter, and its space, behind feedback without one. */
static void feedback_may_end_in_spaces(void **state)
{
    (void)state;
    duet_sdp *sdp =
        sdp_parsed(SDP_SESSION "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 VP8/90000\r\n"
                               "a=rtcp-fb:96 nack \r\na=rtcp-fb:96 nack pli  \r\na=rtcp-fb:96 transport-cc \r\n");
    duet_codec codec;

    assert_int_equal(duet_sdp_media_codecs(sdp, 0, &codec, 1), 1);
    assert_int_equal(codec.feedback, DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI | DUET_FEEDBACK_TRANSPORT_CC);
    duet_sdp_destroy(sdp);
}

static void what_does_not_fit_is_left_out_and_not_cut(void **state)
{
    char text[2048], fmtp[400];
    duet_codec codecs[128];
    (void)state;

    memset(fmtp, 'x', sizeof(fmtp) - 1);
    fmtp[sizeof(fmtp) - 1] = 0;
    snprintf(text, sizeof(text),
             SDP_SESSION "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 H264/90000\r\n"
                         "a=fmtp:96 %s\r\na=rtpmap:97 VP8/90000\r\n"
                         "a=rtpmap:98 a-name-that-is-much-too-long-for-any-codec/90000\r\n",
             fmtp);
    duet_sdp *sdp = sdp_parsed(text);
    assert_int_equal(duet_sdp_media_codecs(sdp, 0, codecs, 128), 1);
    assert_string_equal(codecs[0].name, "VP8");
    duet_sdp_destroy(sdp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parameter_is_found_whatever_its_case_and_place),
        cmocka_unit_test(codecs_are_compared_by_their_own_rules),
        cmocka_unit_test(an_answer_uses_the_payload_types_of_the_offer),
        cmocka_unit_test(the_own_order_counts_when_it_is_asked_for),
        cmocka_unit_test(helpers_come_only_with_what_they_help),
        cmocka_unit_test(the_level_of_h264_is_lowered_unless_both_allow_asymmetry),
        cmocka_unit_test(static_payload_types_need_no_rtpmap),
        cmocka_unit_test(feedback_may_end_in_spaces),
        cmocka_unit_test(what_does_not_fit_is_left_out_and_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
