/* Payload types and ids of header extensions: what they mean stays what it is, RFC 8285 section 5 and RFC 9429 section 5.2.2. */
#include "duet/rtp.h"
#include "transceivers.h"

static void payload_types_and_ids_of_the_peer_stay_when_we_offer(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    char *offer = end_offer(&alice);
    duet_sdp *sdp = parsed(offer);
    free(offer);
    /* As Firefox numbers them: another number for VP8 and for the extension. */
    duet_sdp_set_formats(sdp, 0, "120 124");
    duet_sdp_remove(sdp, 0, "rtpmap");
    duet_sdp_remove(sdp, 0, "fmtp");
    duet_sdp_remove(sdp, 0, "rtcp-fb");
    duet_sdp_remove(sdp, 0, "extmap");
    assert_int_equal(duet_sdp_add(sdp, 0, "rtpmap", "120 VP8/90000"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 0, "rtcp-fb", "120 nack"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 0, "rtpmap", "124 rtx/90000"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 0, "fmtp", "124 apt=120"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 0, "extmap", "7 urn:ietf:params:rtp-hdrext:sdes:mid"), DUET_OK);
    char *text;
    assert_int_equal(duet_sdp_write(sdp, &text), DUET_OK);
    duet_sdp_destroy(sdp);
    set_remote(&bob, DUET_SDP_OFFER, text);
    free(text);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    duet_codec codec;
    assert_int_equal(duet_sender_codec(duet_transceiver_sender(at(&bob, 0)), &codec), DUET_OK);
    assert_int_equal(codec.payload_type, 120);
    assert_int_equal(codec.feedback, DUET_FEEDBACK_NACK);

    add(&bob, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    offer = end_offer(&bob);
    sdp = parsed(offer);
    assert_int_equal(duet_sdp_media_count(sdp), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(duet_sdp_media_at(sdp, i)->formats, "120 124 ", 8);
        assert_int_equal(duet_sdp_media_extmap_id(sdp, i, "urn:ietf:params:rtp-hdrext:sdes:mid"), 7);
        size_t cursor = 0;
        duet_sdp_extmap map;
        bool seen[256] = {false};
        while (duet_sdp_media_extmap(sdp, i, &cursor, &map)) {
            assert_in_range(map.id, 1, 14);
            assert_false(seen[map.id]);
            seen[map.id] = true;
        }
    }
    assert_int_equal(duet_sdp_check_offer(sdp, NULL), DUET_OK);
    duet_sdp_destroy(sdp);
    free(offer);
    destroy_pair(&alice, &bob);
}

/* Chromium refuses an id of an m-section that has long ended when it means anything else. */
static void an_id_keeps_its_meaning_after_its_section_has_ended(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    duet_transceiver *video = add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    char *offer = end_offer(&alice), *text;
    duet_sdp *sdp = parsed(offer);
    duet_sdp_remove(sdp, 1, "extmap");
    assert_int_equal(duet_sdp_add(sdp, 1, "extmap", "9 urn:ietf:params:rtp-hdrext:toffset"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 1, "extmap", "12 urn:example:unknown"), DUET_OK);
    assert_int_equal(duet_sdp_write(sdp, &text), DUET_OK);
    duet_sdp_destroy(sdp);
    set_local(&alice, DUET_SDP_OFFER, text);
    set_remote(&bob, DUET_SDP_OFFER, text);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(&bob);
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    duet_transceiver_stop(video);
    negotiate(&alice, &bob);
    add(&bob, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&bob, DUET_SDP_OFFER, NULL);
    sdp = local_of(&bob);
    assert_int_equal(duet_sdp_media_extmap_id(sdp, 1, "urn:ietf:params:rtp-hdrext:toffset"), 9);
    duet_sdp_extmap map;
    for (size_t cursor = 0; duet_sdp_media_extmap(sdp, 1, &cursor, &map);)
        assert_int_not_equal(map.id, 12);
    duet_sdp_destroy(sdp);
    free(answer);
    free(text);
    free(offer);
    destroy_pair(&alice, &bob);
}

/* Else Chromium cannot take our offer once it has made one itself, though it has rolled that back. */
static void no_id_that_we_offer_means_something_else_to_chromium(void **state)
{
    end alice;
    size_t len;
    duet_sdp_extmap own, its;
    (void)state;

    end_create(&alice, 1);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    char *offer = end_offer(&alice), *captured = (char *)test_data("sdp/chromium-offer-av-data.sdp", &len);
    duet_sdp *a = parsed(offer), *b = parsed(captured);
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; duet_sdp_media_extmap(a, i, &k, &own);) {
            for (size_t n = 0; duet_sdp_media_extmap(b, i, &n, &its);)
                assert_true(own.id != its.id ||
                            (own.uri.len == its.uri.len && memcmp(own.uri.text, its.uri.text, own.uri.len) == 0));
        }
    }
    duet_sdp_destroy(a);
    duet_sdp_destroy(b);
    free(captured);
    free(offer);
    end_destroy(&alice);
}

static void an_id_that_means_two_things_in_a_bundle_is_not_answered(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    char *offer = end_offer(&alice), *text;
    duet_sdp *sdp = parsed(offer);
    free(offer);
    duet_sdp_remove(sdp, 0, "extmap");
    duet_sdp_remove(sdp, 1, "extmap");
    assert_int_equal(duet_sdp_add(sdp, 0, "extmap", "1 urn:ietf:params:rtp-hdrext:sdes:mid"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 1, "extmap", "1 urn:ietf:params:rtp-hdrext:sdes:mid"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 0, "extmap", "2 urn:ietf:params:rtp-hdrext:ssrc-audio-level"), DUET_OK);
    assert_int_equal(duet_sdp_add(sdp, 1, "extmap", "2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
                     DUET_OK);
    assert_int_equal(duet_sdp_write(sdp, &text), DUET_OK);
    duet_sdp_destroy(sdp);
    set_remote(&bob, DUET_SDP_OFFER, text);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    free(text);
    sdp = local_of(&bob);
    for (size_t i = 0; i < 2; i++) {
        duet_sdp_extmap map;
        size_t cursor = 0;
        assert_true(duet_sdp_media_extmap(sdp, i, &cursor, &map));
        assert_int_equal(map.id, 1);
        assert_false(duet_sdp_media_extmap(sdp, i, &cursor, &map));
    }
    duet_sdp_destroy(sdp);
    destroy_pair(&alice, &bob);
}

/* Of alice's offer of audio and video; without `mixed` bob cannot know that she takes two-byte headers. */
static duet_sdp *answer_to_layers(end *alice, end *bob, bool mixed)
{
    create_pair(alice, bob);
    add(alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    char *offer = end_offer(alice), *text;
    duet_sdp *sdp = parsed(offer);
    free(offer);
    for (int kind = DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR; kind <= DUET_RTP_EXT_LAYERS_ALLOCATION; kind++) {
        const char *uri = duet_rtp_extension_uri((duet_rtp_extension_kind)kind);
        assert_int_equal(duet_sdp_media_extmap_id(sdp, 0, uri), 0);
        assert_int_not_equal(duet_sdp_media_extmap_id(sdp, 1, uri), 0);
    }
    if (!mixed)
        duet_sdp_remove(sdp, DUET_SDP_SESSION, "extmap-allow-mixed");
    assert_int_equal(duet_sdp_write(sdp, &text), DUET_OK);
    duet_sdp_destroy(sdp);
    set_remote(bob, DUET_SDP_OFFER, text);
    set_local(bob, DUET_SDP_ANSWER, NULL);
    free(text);
    return local_of(bob);
}

static void what_needs_two_byte_headers_is_answered_when_those_may_be_mixed(void **state)
{
    const char *descriptor = duet_rtp_extension_uri(DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR);
    const char *layers = duet_rtp_extension_uri(DUET_RTP_EXT_LAYERS_ALLOCATION);
    end alice, bob;
    (void)state;

    duet_sdp *answer = answer_to_layers(&alice, &bob, true);
    assert_int_equal(duet_sdp_media_extmap_id(answer, 1, descriptor), 9);
    assert_int_equal(duet_sdp_media_extmap_id(answer, 1, layers), 12);
    duet_sdp_destroy(answer);
    destroy_pair(&alice, &bob);
    answer = answer_to_layers(&alice, &bob, false);
    assert_int_equal(duet_sdp_media_extmap_id(answer, 1, descriptor), 0);
    assert_int_equal(duet_sdp_media_extmap_id(answer, 1, layers), 0);
    assert_int_not_equal(duet_sdp_media_extmap_id(answer, 1, duet_rtp_extension_uri(DUET_RTP_EXT_MID)), 0);
    duet_sdp_destroy(answer);
    destroy_pair(&alice, &bob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payload_types_and_ids_of_the_peer_stay_when_we_offer),
        cmocka_unit_test(an_id_keeps_its_meaning_after_its_section_has_ended),
        cmocka_unit_test(no_id_that_we_offer_means_something_else_to_chromium),
        cmocka_unit_test(an_id_that_means_two_things_in_a_bundle_is_not_answered),
        cmocka_unit_test(what_needs_two_byte_headers_is_answered_when_those_may_be_mixed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
