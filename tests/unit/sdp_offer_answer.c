/* Offers and answers: what they say, what is rejected, and what the checks find wrong. */
#include "sdp_common.h"

static sdp_endpoint alice, bob;

static int setup(void **state)
{
    (void)state;
    sdp_endpoint_init(&alice, "alice");
    sdp_endpoint_init(&bob, "bob1");
    return 0;
}

static duet_sdp *offer_of(sdp_endpoint *e)
{
    duet_sdp *sdp;

    assert_int_equal(duet_sdp_create_offer(&sdp, NULL, &e->options), DUET_OK);
    return sdp;
}

static duet_sdp *answer_of(sdp_endpoint *e, const duet_sdp *offer)
{
    duet_sdp *sdp;
    duet_sdp_error error;

    sdp_endpoint_face(e, offer);
    int err = duet_sdp_create_answer(&sdp, NULL, offer, &e->options, &error);
    if (err)
        fail_msg("no answer: %s", duet_strerror(err));
    if (duet_sdp_check_answer(offer, sdp, &error)) {
        char *text = sdp_written(sdp);
        fail_msg("line %zu: %s\n%s", error.line, error.reason, text);
    }
    return sdp;
}

static void expect_text(const duet_sdp *sdp, const char *text)
{
    char *written = sdp_written(sdp);

    assert_string_equal(written, text);
    duet_sdp *again = sdp_parsed(written);
    assert_int_equal(duet_sdp_warning_count(again), 0);
    duet_sdp_destroy(again);
    duet_free(NULL, written);
}

#define TRANSPORT(ufrag, role)                                                                                         \
    "a=ice-ufrag:" ufrag "\r\na=ice-pwd:xNM7mXdE1zmRBl4cgs8Rldyx\r\na=ice-options:trickle\r\n"                         \
    "a=fingerprint:" SDP_FINGERPRINT "\r\na=setup:" role "\r\n"
#define HEAD "v=0\r\no=- 4611686018427387904 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

static void a_data_offer_is_written_as_documented(void **state)
{
    (void)state;
    alice.options.section_count = 1;
    alice.sections[0] = &alice.data;
    alice.data.mid = "0";
    duet_sdp *offer = offer_of(&alice);

    expect_text(offer, HEAD "a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n"
                            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT(
                                "alice", "actpass") "a=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n");
    assert_int_equal(duet_sdp_check_offer(offer, NULL), DUET_OK);
    duet_sdp *answer = answer_of(&bob, offer);
    expect_text(answer, HEAD "a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n"
                             "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT(
                                 "bob1", "active") "a=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n");
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void candidates_give_the_default_address(void **state)
{
    (void)state;
    alice.transport.candidates = alice.candidates;
    alice.transport.candidate_count = 1;
    alice.transport.end_of_candidates = true;
    alice.transport.tls_id = "abcdefghijklmnopqrst";
    alice.options.section_count = 1;
    alice.sections[0] = &alice.data;
    duet_sdp *offer = offer_of(&alice);

    assert_int_equal(duet_sdp_media_at(offer, 0)->port, 50000);
    assert_string_equal(duet_sdp_line_at(offer, 0, 1)->value, "IN IP4 192.0.2.9");
    assert_string_equal(duet_sdp_line_at(offer, 0, 2)->value, "1 1 udp 2122260223 192.0.2.9 50000 typ host");
    assert_string_equal(duet_sdp_line_at(offer, 0, 3)->name, "end-of-candidates");
    assert_string_equal(duet_sdp_attribute(offer, 0, "tls-id"), "abcdefghijklmnopqrst");
    duet_sdp_destroy(offer);
}

static void an_audio_and_video_call_is_negotiated(void **state)
{
    (void)state;
    const uint32_t ssrcs[] = {11}, rtx[] = {12};
    alice.video.ssrcs = ssrcs;
    alice.video.ssrc_count = 1;
    alice.video.rtx_ssrcs = rtx;
    alice.video.rtx_ssrc_count = 1;
    alice.video.cname = "me";
    bob.video.direction = DUET_SDP_RECVONLY;
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);
    char *text = sdp_written(offer);

    assert_int_equal(duet_sdp_check_offer(offer, NULL), DUET_OK);
    assert_non_null(strstr(text, "a=ssrc-group:FID 11 12\r\na=ssrc:11 cname:me\r\na=ssrc:12 cname:me\r\n"));
    assert_non_null(strstr(text, "a=msid:stream track\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\n"
                                 "a=rtcp-fb:96 goog-remb\r\n"));
    assert_string_equal(duet_sdp_media_at(answer, 1)->formats, "96 97 102 103 98");
    assert_int_equal(duet_sdp_media_direction(answer, 0), DUET_SDP_SENDRECV);
    assert_int_equal(duet_sdp_media_direction(answer, 1), DUET_SDP_RECVONLY);
    assert_true(duet_sdp_has(answer, 0, DUET_SDP_MSID));
    assert_false(duet_sdp_has(answer, 1, DUET_SDP_MSID)); /* it does not send */
    assert_int_equal(duet_sdp_media_extmap_id(answer, 0, "urn:ietf:params:rtp-hdrext:sdes:mid"), 4);
    duet_free(NULL, text);
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void directions_are_reversed_and_intersected(void **state)
{
    (void)state;
    for (unsigned offered = 0; offered < 4; offered++) {
        for (unsigned wanted = 0; wanted < 4; wanted++) {
            alice.audio.direction = (duet_sdp_direction)offered;
            bob.audio.direction = (duet_sdp_direction)wanted;
            alice.options.section_count = 1;
            duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);
            unsigned got = (unsigned)duet_sdp_media_direction(answer, 0);
            assert_int_equal(got & 1, (wanted & 1) && (offered & 2));
            assert_int_equal((got & 2) >> 1, (wanted & 2) && (offered & 1));
            duet_sdp_destroy(answer);
            duet_sdp_destroy(offer);
        }
    }
    assert_string_equal(duet_sdp_direction_name(DUET_SDP_RECVONLY), "recvonly");
}

static void setup_roles_answer_each_other(void **state)
{
    static const struct {
        duet_setup offered, wanted, answered;
    } cases[] = {
        {DUET_SETUP_ACTPASS, DUET_SETUP_NONE, DUET_SETUP_ACTIVE},
        {DUET_SETUP_ACTPASS, DUET_SETUP_PASSIVE, DUET_SETUP_PASSIVE},
        {DUET_SETUP_ACTIVE, DUET_SETUP_ACTIVE, DUET_SETUP_PASSIVE},
        {DUET_SETUP_PASSIVE, DUET_SETUP_PASSIVE, DUET_SETUP_ACTIVE},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        duet_setup got;
        alice.transport.setup = cases[i].offered;
        bob.transport.setup = cases[i].wanted;
        duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);
        assert_int_equal(duet_sdp_media_setup(answer, 0, &got), DUET_OK);
        assert_int_equal(got, cases[i].answered);
        duet_sdp_destroy(answer);
        duet_sdp_destroy(offer);
    }
}

static void holdconn_cannot_be_answered(void **state)
{
    (void)state;
    alice.transport.setup = DUET_SETUP_HOLDCONN;
    duet_sdp *offer = offer_of(&alice), *answer;
    duet_sdp_error error = {0};

    sdp_endpoint_face(&bob, offer);
    assert_int_equal(duet_sdp_create_answer(&answer, NULL, offer, &bob.options, &error), DUET_ERR_UNSUPPORTED);
    assert_null(answer);
    assert_non_null(strstr(error.reason, "holdconn"));
    assert_int_equal(error.line, 13);
    assert_int_equal(error.column, 9);
    duet_sdp_destroy(offer);
}

static void a_rejected_section_keeps_its_place_and_leaves_the_bundle(void **state)
{
    (void)state;
    bob.video.rejected = true;
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);

    assert_true(duet_sdp_media_is_rejected(answer, 1));
    assert_string_equal(duet_sdp_media_at(answer, 1)->formats, "96 97 102 103 98");
    assert_true(sdp_text_equals(duet_sdp_media_mid(answer, 1), "1"));
    assert_string_equal(duet_sdp_attribute(answer, DUET_SDP_SESSION, "group"), "BUNDLE 0 2");
    assert_string_equal(duet_sdp_attribute(answer, 1, "inactive"), "");
    duet_sdp_destroy(answer);
    bob.audio.rejected = true;
    bob.data.rejected = true;
    answer = answer_of(&bob, offer);
    assert_null(duet_sdp_attribute(answer, DUET_SDP_SESSION, "group"));
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void without_a_common_codec_a_section_is_rejected(void **state)
{
    static const duet_codec *const only_dtmf[] = {&sdp_dtmf};
    (void)state;
    bob.audio.codecs = only_dtmf;
    bob.audio.codec_count = 1;
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);

    assert_true(duet_sdp_media_is_rejected(answer, 0));
    assert_false(duet_sdp_media_is_rejected(answer, 1));
    assert_string_equal(duet_sdp_attribute(answer, DUET_SDP_SESSION, "group"), "BUNDLE 1 2");
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void bundle_only_sections_fall_with_their_tag(void **state)
{
    (void)state;
    alice.video.bundle_only = true;
    alice.data.no_bundle = true;
    duet_sdp *offer = offer_of(&alice);
    duet_sdp *answer = answer_of(&bob, offer);

    assert_int_equal(duet_sdp_check_offer(offer, NULL), DUET_OK);
    assert_true(duet_sdp_has(offer, 1, DUET_SDP_BUNDLE_ONLY));
    assert_int_equal(duet_sdp_media_at(offer, 1)->port, 0);
    assert_int_equal(duet_sdp_media_at(answer, 1)->port, 9);
    assert_string_equal(duet_sdp_attribute(answer, DUET_SDP_SESSION, "group"), "BUNDLE 0 1");
    duet_sdp_destroy(answer);
    bob.audio.rejected = true;
    answer = answer_of(&bob, offer);
    assert_true(duet_sdp_media_is_rejected(answer, 1));
    assert_false(duet_sdp_media_is_rejected(answer, 2));
    duet_sdp_destroy(answer);
    bob.audio.rejected = false;
    bob.options.bundle = false;
    answer = answer_of(&bob, offer);
    assert_false(duet_sdp_media_is_rejected(answer, 0));
    assert_true(duet_sdp_media_is_rejected(answer, 1));
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void the_next_section_with_an_address_becomes_the_tag(void **state)
{
    (void)state;
    alice.video.bundle_only = true;
    bob.audio.rejected = true;
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);

    assert_string_equal(duet_sdp_attribute(answer, DUET_SDP_SESSION, "group"), "BUNDLE 2 1");
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void bundled_sections_may_leave_the_transport_to_the_tag(void **state)
{
    (void)state;
    alice.video.transport = alice.data.transport = NULL;
    bob.video.transport = bob.data.transport = NULL;
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);
    duet_ice_credentials ice;

    assert_int_equal(duet_sdp_check_offer(offer, NULL), DUET_OK);
    assert_int_equal(duet_sdp_media_ice(answer, 1, &ice), DUET_ERR_NOT_FOUND);
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void the_old_data_form_is_answered_in_kind(void **state)
{
    (void)state;
    duet_sdp *offer = sdp_parsed(HEAD "m=application 9 DTLS/SCTP 5001\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT(
        "alice", "actpass") "a=sctpmap:5001 webrtc-datachannel 256\r\n");
    duet_sdp *answer = answer_of(&bob, offer);

    expect_text(answer,
                HEAD "m=application 9 DTLS/SCTP 5000\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT(
                    "bob1", "active") "a=sctpmap:5000 webrtc-datachannel 65535\r\na=max-message-size:262144\r\n");
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void unknown_sections_are_rejected_as_they_came(void **state)
{
    (void)state;
    duet_sdp *offer = sdp_parsed(HEAD "m=text 9 RTP/AVP 98\r\nc=IN IP4 0.0.0.0\r\na=mid:t\r\n"
                                      "m=video 9 FOO/BAR zip\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\n"
                                      "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\n");
    duet_sdp *answer = answer_of(&bob, offer);

    expect_text(answer, HEAD "m=text 0 RTP/AVP 98\r\nc=IN IP4 0.0.0.0\r\na=mid:t\r\n"
                             "m=video 0 FOO/BAR zip\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\n"
                             "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:a\r\n");
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void simulcast_is_offered_and_accepted(void **state)
{
    static const duet_sdp_encoding q = {"q", "max-width=320", false}, h = {"h", NULL, true};
    static const duet_sdp_encoding *const encodings[] = {&q, &h};
    (void)state;
    alice.video.encodings = encodings;
    alice.video.encoding_count = 2;
    bob.video.receive_simulcast = true;
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);
    char *text = sdp_written(offer), *answered = sdp_written(answer);

    assert_non_null(strstr(text, "a=rid:q send max-width=320\r\na=rid:h send\r\na=simulcast:send q;~h\r\n"));
    assert_non_null(strstr(answered, "a=rid:q recv max-width=320\r\na=rid:h recv\r\na=simulcast:recv q;~h\r\n"));
    duet_free(NULL, text);
    duet_free(NULL, answered);
    duet_sdp_destroy(answer);
    bob.video.receive_simulcast = false;
    answer = answer_of(&bob, offer);
    assert_false(duet_sdp_has(answer, 1, DUET_SDP_SIMULCAST));
    assert_false(duet_sdp_has(answer, 1, DUET_SDP_RID));
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void simulcast_that_the_offer_wants_is_sent(void **state)
{
    static const duet_sdp_encoding lo = {"lo", NULL, false}, hi = {"hi", NULL, false}, no = {"no", NULL, false};
    static const duet_sdp_encoding *const encodings[] = {&lo, &no, &hi};
    (void)state;
    duet_sdp *offer = sdp_parsed(HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT(
        "alice", "actpass") "a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rid:hi recv\r\na=rid:lo recv\r\n"
                            "a=simulcast:recv hi;lo,x\r\n");
    bob.video.encodings = encodings;
    bob.video.encoding_count = 3;
    duet_sdp *answer = answer_of(&bob, offer);
    assert_string_equal(duet_sdp_attribute(answer, 0, "simulcast"), "send lo;hi");
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void extension_ids_and_directions_answer_the_offer(void **state)
{
    (void)state;
    duet_sdp *offer = sdp_parsed(
        HEAD
        "a=extmap:9 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT(
            "alice", "actpass") "a=rtcp-mux\r\na=extmap:5/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
                                "a=extmap:6 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=extmap:20 urn:unknown\r\n"
                                "a=extmap:30 urn:ietf:params:rtp-hdrext:sdes:mid\r\n");
    duet_sdp *answer = answer_of(&bob, offer);
    duet_sdp_extmap map;
    size_t cursor = 0;

    assert_true(duet_sdp_media_extmap(answer, 0, &cursor, &map));
    assert_int_equal(map.id, 5);
    assert_int_equal(map.direction, DUET_SDP_SENDONLY);
    assert_true(duet_sdp_media_extmap(answer, 0, &cursor, &map));
    assert_int_equal(map.id, 9);
    assert_false(duet_sdp_media_extmap(answer, 0, &cursor, &map)); /* 30 needs a=extmap-allow-mixed */
    duet_sdp_destroy(answer);
    assert_int_equal(duet_sdp_add(offer, 0, "extmap-allow-mixed", NULL), DUET_OK);
    answer = answer_of(&bob, offer);
    assert_int_equal(duet_sdp_media_extmap_id(answer, 0, "urn:ietf:params:rtp-hdrext:sdes:mid"), 30);
    assert_true(duet_sdp_has(answer, 0, DUET_SDP_EXTMAP_ALLOW_MIXED));
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    duet_sdp *sdp;
    (void)state;

    alice.audio.mid = NULL;
    assert_int_equal(duet_sdp_create_offer(&sdp, NULL, &alice.options), DUET_ERR_INVALID);
    alice.audio.mid = "1"; /* video's */
    assert_int_equal(duet_sdp_create_offer(&sdp, NULL, &alice.options), DUET_ERR_INVALID);
    alice.audio.mid = "a b";
    assert_int_equal(duet_sdp_create_offer(&sdp, NULL, &alice.options), DUET_ERR_INVALID);
    alice.audio.mid = "0";
    alice.audio.codec_count = 0;
    assert_int_equal(duet_sdp_create_offer(&sdp, NULL, &alice.options), DUET_ERR_INVALID);
    alice.audio.codec_count = 3;
    strcpy(alice.transport.ice.ufrag, "x");
    assert_int_equal(duet_sdp_create_offer(&sdp, NULL, &alice.options), DUET_ERR_INVALID);
    strcpy(alice.transport.ice.ufrag, "alice");
    alice.options.session_id = (uint64_t)1 << 63;
    assert_int_equal(duet_sdp_create_offer(&sdp, NULL, &alice.options), DUET_ERR_INVALID);
    alice.options.session_id = 1;
    duet_sdp *offer = offer_of(&alice);
    sdp_endpoint_face(&bob, offer);
    bob.options.section_count = 2;
    assert_int_equal(duet_sdp_create_answer(&sdp, NULL, offer, &bob.options, NULL), DUET_ERR_INVALID);
    duet_sdp_destroy(offer);
}

/* ---- checks ---- */

#define GOOD_AUDIO                                                                                                     \
    "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT("alice", "actpass") "a=rtcp-mux\r\n"

static void expect_bad_offer(const char *text, size_t line, size_t column, const char *reason)
{
    duet_sdp *sdp = sdp_parsed(text);
    duet_sdp_error error = {0};

    assert_int_equal(duet_sdp_check_offer(sdp, &error), DUET_ERR_MALFORMED);
    if (error.line != line || error.column != column || !strstr(error.reason, reason))
        fail_msg("%s\n%zu:%zu: %s", text, error.line, error.column, error.reason);
    duet_sdp_destroy(sdp);
}

static void what_webrtc_requires_is_missed(void **state)
{
    (void)state;
    expect_bad_offer(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n", 5, 3, "no ice-ufrag");
    expect_bad_offer(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n"
                          "a=ice-pwd:xNM7mXdE1zmRBl4cgs8Rldyx\r\n",
                     5, 3, "no usable fingerprint");
    expect_bad_offer(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n"
                          "a=ice-pwd:xNM7mXdE1zmRBl4cgs8Rldyx\r\na=fingerprint:md5 AB\r\n",
                     9, 15, "no usable fingerprint");
    expect_bad_offer(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n"
                          "a=ice-pwd:xNM7mXdE1zmRBl4cgs8Rldyx\r\na=fingerprint:" SDP_FINGERPRINT "\r\n",
                     5, 3, "no a=setup");
    expect_bad_offer(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT("alice", "holdconn"), 11, 9,
                     "holdconn");
    expect_bad_offer(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT("alice", "actpass"), 5, 3,
                     "no a=rtcp-mux");
    expect_bad_offer(
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT("alice", "actpass") "a=rtcp-mux\r\n", 5,
        3, "none of the formats");
    expect_bad_offer(
        HEAD "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n" TRANSPORT("alice", "actpass"),
        5, 3, "no a=sctp-port");
    expect_bad_offer(HEAD GOOD_AUDIO "a=mid:0\r\n" GOOD_AUDIO "a=mid:0\r\n", 22, 7, "two m-sections");
    expect_bad_offer(HEAD "a=group:BUNDLE 0 9\r\n" GOOD_AUDIO "a=mid:0\r\n", 5, 9, "belongs to no m-section");
    expect_bad_offer(HEAD "a=group:BUNDLE 0\r\na=group:BUNDLE 0\r\n" GOOD_AUDIO "a=mid:0\r\n", 6, 9, "twice");
    duet_sdp *sdp = sdp_parsed(HEAD GOOD_AUDIO "m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n");
    assert_int_equal(duet_sdp_check_offer(sdp, NULL), DUET_OK);
    duet_sdp_destroy(sdp);
}

/* Bob's answer to Alice's three sections, changed by `change`. */
static void expect_bad_answer(void (*change)(duet_sdp *answer), const char *reason)
{
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);
    duet_sdp_error error = {0};

    change(answer);
    assert_int_equal(duet_sdp_check_answer(offer, answer, &error), DUET_ERR_MALFORMED);
    if (!strstr(error.reason, reason))
        fail_msg("%zu:%zu: %s, expected: %s", error.line, error.column, error.reason, reason);
    /* the line that is named holds what is shown */
    if (error.line > 0) {
        char *text = sdp_written(answer), *line = text, shown[32] = {0};
        for (size_t n = 1; n < error.line; n++)
            line = strchr(line, '\n') + 1;
        sscanf(error.reason, "\"%16[^\".]", shown);
        if (strncmp(line, shown, strlen(shown)) != 0)
            fail_msg("line %zu is not %s", error.line, shown);
        duet_free(NULL, text);
    }
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

static void one_more(duet_sdp *a)
{
    assert_int_equal(duet_sdp_add_media(a, "audio", 0, "RTP/AVP", "0", NULL), DUET_OK);
}

static void other_mid(duet_sdp *a)
{
    assert_int_equal(duet_sdp_replace(a, 2, "mid", "7"), DUET_OK);
    assert_int_equal(duet_sdp_replace(a, DUET_SDP_SESSION, "group", "BUNDLE 0 1"), DUET_OK);
}

static void no_choice(duet_sdp *a)
{
    assert_int_equal(duet_sdp_replace(a, 1, "setup", "actpass"), DUET_OK);
}

static void bundles_rejected(duet_sdp *a)
{
    assert_int_equal(duet_sdp_set_port(a, 1, 0), DUET_OK);
}

static void other_extension(duet_sdp *a)
{
    assert_int_equal(duet_sdp_add(a, 0, "extmap", "4 urn:other"), DUET_OK);
}

static void other_codec(duet_sdp *a)
{
    assert_int_equal(duet_sdp_set_formats(a, 0, "8"), DUET_OK);
}

static void other_group(duet_sdp *a)
{
    assert_int_equal(duet_sdp_replace(a, DUET_SDP_SESSION, "group", "BUNDLE 0 1 2"), DUET_OK);
}

static void sends_too(duet_sdp *a)
{
    duet_sdp_remove(a, 0, "inactive");
    assert_int_equal(duet_sdp_add(a, 0, "sendrecv", NULL), DUET_OK);
}

static void an_answer_that_does_not_fit_is_found(void **state)
{
    (void)state;
    expect_bad_answer(one_more, "not as many m-sections");
    expect_bad_answer(other_mid, "another mid");
    expect_bad_answer(no_choice, "chooses between active and passive");
    expect_bad_answer(bundles_rejected, "rejected m-section is in this BUNDLE group");
    expect_bad_answer(other_extension, "not offered with this id");
    expect_bad_answer(other_codec, "none of these codecs was offered");
    alice.audio.direction = DUET_SDP_INACTIVE;
    expect_bad_answer(sends_too, "direction does not answer");
    alice.data.no_bundle = true;
    expect_bad_answer(other_group, "was not in one of the offer");
    alice.transport.setup = DUET_SETUP_ACTIVE;
    duet_sdp *offer = offer_of(&alice), *answer = answer_of(&bob, offer);
    duet_sdp_error error;
    assert_int_equal(duet_sdp_replace(answer, 0, "setup", "active"), DUET_OK);
    assert_int_equal(duet_sdp_check_answer(offer, answer, &error), DUET_ERR_MALFORMED);
    assert_non_null(strstr(error.reason, "does not answer the offered one"));
    duet_sdp_destroy(answer);
    answer = sdp_captured("chromium-answer-to-chromium-offer-av-data.sdp");
    assert_int_equal(duet_sdp_check_answer(offer, answer, &error), DUET_ERR_MALFORMED);
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
    offer = sdp_captured("chromium-offer-av-data.sdp");
    answer = sdp_captured("chromium-answer-to-chromium-offer-data.sdp");
    assert_int_equal(duet_sdp_check_answer(offer, answer, &error), DUET_ERR_MALFORMED);
    duet_sdp_destroy(answer);
    duet_sdp_destroy(offer);
}

/* ---- memory ---- */

static int negotiate(const duet_env *env, void *arg)
{
    duet_sdp *offer, *answer;
    (void)arg;

    int err = duet_sdp_create_offer(&offer, env, &alice.options);
    if (err)
        return err;
    err = duet_sdp_create_answer(&answer, env, offer, &bob.options, NULL);
    if (!err) {
        err = duet_sdp_check_answer(offer, answer, NULL);
        duet_sdp_destroy(answer);
    }
    duet_sdp_destroy(offer);
    return err;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    static const duet_sdp_encoding q = {"q", "max-width=320", false}, h = {"h", NULL, true};
    static const duet_sdp_encoding *const encodings[] = {&q, &h};
    (void)state;
    alice.video.encodings = encodings;
    alice.video.encoding_count = 2;
    bob.video.receive_simulcast = true;
    alice.transport.candidates = bob.transport.candidates = alice.candidates;
    alice.transport.candidate_count = bob.transport.candidate_count = 1;
    test_fail_each_allocation("offer and answer", negotiate, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_data_offer_is_written_as_documented, setup),
        cmocka_unit_test_setup(candidates_give_the_default_address, setup),
        cmocka_unit_test_setup(an_audio_and_video_call_is_negotiated, setup),
        cmocka_unit_test_setup(directions_are_reversed_and_intersected, setup),
        cmocka_unit_test_setup(setup_roles_answer_each_other, setup),
        cmocka_unit_test_setup(holdconn_cannot_be_answered, setup),
        cmocka_unit_test_setup(a_rejected_section_keeps_its_place_and_leaves_the_bundle, setup),
        cmocka_unit_test_setup(without_a_common_codec_a_section_is_rejected, setup),
        cmocka_unit_test_setup(bundle_only_sections_fall_with_their_tag, setup),
        cmocka_unit_test_setup(the_next_section_with_an_address_becomes_the_tag, setup),
        cmocka_unit_test_setup(bundled_sections_may_leave_the_transport_to_the_tag, setup),
        cmocka_unit_test_setup(the_old_data_form_is_answered_in_kind, setup),
        cmocka_unit_test_setup(unknown_sections_are_rejected_as_they_came, setup),
        cmocka_unit_test_setup(simulcast_is_offered_and_accepted, setup),
        cmocka_unit_test_setup(simulcast_that_the_offer_wants_is_sent, setup),
        cmocka_unit_test_setup(extension_ids_and_directions_answer_the_offer, setup),
        cmocka_unit_test_setup(options_that_make_no_sense_are_refused, setup),
        cmocka_unit_test_setup(what_webrtc_requires_is_missed, setup),
        cmocka_unit_test_setup(an_answer_that_does_not_fit_is_found, setup),
        cmocka_unit_test_setup(running_out_of_memory_leaks_nothing, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
