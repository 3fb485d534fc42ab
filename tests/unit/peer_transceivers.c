/* Transceivers and descriptions without a network: what W3C webrtc-pc section 5 and RFC 9429 sections 5.2 to 5.11 say of
 * adding, removing, holding, stopping and using m-sections again, in every order. */
#include "transceivers.h"

/* ---- offers ---- */

static void an_offer_lists_transceivers_in_their_order_and_data_last(void **state)
{
    end alice;
    (void)state;

    end_create_with_channel(&alice, 1);
    duet_transceiver *audio = add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    duet_transceiver *video = add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDONLY);
    assert_string_equal(duet_transceiver_mid(audio), "");
    set_local(&alice, DUET_SDP_OFFER, NULL);
    duet_sdp *sdp = local_of(&alice);
    assert_int_equal(duet_sdp_media_count(sdp), 3);
    assert_int_equal(duet_sdp_media_at(sdp, 0)->kind, DUET_SDP_AUDIO);
    assert_int_equal(duet_sdp_media_at(sdp, 1)->kind, DUET_SDP_VIDEO);
    assert_true(duet_sdp_media_is_data(sdp, 2));
    assert_int_equal(duet_sdp_media_direction(sdp, 1), DUET_SDP_SENDONLY);
    assert_string_equal(duet_transceiver_mid(audio), "0");
    assert_string_equal(duet_transceiver_mid(video), "1");
    assert_int_equal(duet_sdp_check_offer(sdp, NULL), DUET_OK);
    duet_sdp_destroy(sdp);
    end_destroy(&alice);
}

static void an_offer_names_codecs_feedback_extensions_and_its_streams(void **state)
{
    end alice;
    (void)state;

    end_create(&alice, 1);
    const char *streams[] = {"stream"};
    duet_transceiver_init init = DUET_TRANSCEIVER_INIT;
    duet_transceiver *t;
    init.track_id = "camera";
    init.stream_ids = streams;
    init.stream_count = 1;
    assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_VIDEO, &init, &t), DUET_OK);
    char *text = end_offer(&alice);
    assert_non_null(strstr(text, "a=rtpmap:96 VP8/90000\r\n"));
    assert_non_null(strstr(text, "a=rtcp-fb:96 nack pli\r\n"));
    assert_non_null(strstr(text, "a=rtcp-fb:96 transport-cc\r\n"));
    assert_non_null(strstr(text, "a=fmtp:97 apt=96\r\n"));
    assert_non_null(strstr(text, "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"));
    assert_non_null(strstr(text, "a=msid:stream camera\r\n"));
    assert_non_null(strstr(text, "a=ssrc-group:FID "));
    assert_non_null(strstr(text, "a=rtcp-rsize\r\n"));
    assert_non_null(strstr(text, "a=rtcp-xr:rcvr-rtt=all\r\n"));
    free(text);
    end_destroy(&alice);
}

static void an_offer_that_is_never_set_binds_nothing(void **state)
{
    end alice;
    (void)state;

    end_create(&alice, 1);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    free(end_offer(&alice));
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    assert_string_equal(duet_transceiver_mid(at(&alice, 0)), "0");
    assert_string_equal(duet_transceiver_mid(at(&alice, 1)), "1");
    end_destroy(&alice);
}

/* ---- answers ---- */

static void an_offer_makes_transceivers_that_receive(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDONLY);
    negotiate(&alice, &bob);
    assert_int_equal(count(&bob), 2);
    char *answer = end_local(&bob);
    assert_non_null(strstr(answer, "a=rtcp-xr:rcvr-rtt=all\r\n"));
    free(answer);
    assert_int_equal(duet_transceiver_direction(at(&bob, 0)), DUET_SDP_RECVONLY);
    assert_current(at(&bob, 0), DUET_SDP_RECVONLY);
    assert_current(at(&bob, 1), DUET_SDP_RECVONLY);
    assert_current(at(&alice, 0), DUET_SDP_SENDONLY);
    destroy_pair(&alice, &bob);
}

static void a_track_that_was_added_before_the_offer_answers_it(void **state)
{
    end alice, bob;
    duet_sender *sender;
    (void)state;

    create_pair(&alice, &bob);
    assert_int_equal(duet_pc_add_track(bob.pc, DUET_SDP_AUDIO, "mic", NULL, 0, &sender), DUET_OK);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    assert_int_equal(count(&bob), 1);
    assert_current(at(&bob, 0), DUET_SDP_SENDRECV);
    assert_current(at(&alice, 0), DUET_SDP_SENDRECV);
    assert_string_equal(duet_receiver_track_id(duet_transceiver_receiver(at(&alice, 0))), "mic");
    destroy_pair(&alice, &bob);
}

static void a_track_that_is_added_after_the_offer_takes_its_transceiver(void **state)
{
    end alice, bob;
    duet_sender *sender;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    assert_int_equal(duet_pc_add_track(bob.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &sender), DUET_OK);
    assert_int_equal(count(&bob), 1);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(&bob);
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    assert_current(at(&alice, 0), DUET_SDP_SENDRECV);
    assert_int_equal(bob.negotiation_needed, 0);
    free(offer);
    free(answer);
    destroy_pair(&alice, &bob);
}

/* "transceivers created by addTransceiver ... are never used": RFC 9429, 5.10. */
static void a_transceiver_that_was_added_as_one_does_not_answer_an_offer(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&bob, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    assert_int_equal(count(&bob), 2);
    assert_string_equal(duet_transceiver_mid(at(&bob, 0)), "");
    duet_pc_tick(bob.pc, 1);
    assert_int_equal(bob.negotiation_needed, 2); /* at the start, and again for what the answer could not contain */
    destroy_pair(&alice, &bob);
}

static void the_codec_is_the_first_of_the_answer_with_the_parameters_of_the_peer(void **state)
{
    end alice, bob;
    duet_codec codec;
    (void)state;

    create_pair(&alice, &bob);
    duet_transceiver *t = add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    assert_int_equal(duet_sender_codec(duet_transceiver_sender(t), &codec), DUET_ERR_STATE);
    static const duet_codec vp9 = {"VP9", 0, 90000, 1, "profile-id=0", 0}, rtx = {"rtx", 0, 90000, 1, "", 0};
    const duet_codec *preferences[] = {&vp9, &rtx};
    assert_int_equal(duet_transceiver_set_codec_preferences(t, preferences, 2), DUET_OK);
    negotiate(&alice, &bob);
    assert_int_equal(duet_sender_codec(duet_transceiver_sender(t), &codec), DUET_OK);
    assert_string_equal(codec.name, "VP9");
    assert_int_equal(codec.payload_type, 98);
    duet_sdp *sdp = local_of(&alice);
    assert_string_equal(duet_sdp_media_at(sdp, 0)->formats, "98 99");
    duet_sdp_destroy(sdp);
    destroy_pair(&alice, &bob);
}

static void preferences_that_nobody_can_fulfil_are_refused(void **state)
{
    end alice;
    (void)state;
    static const duet_codec unknown = {"H261", 31, 90000, 1, "", 0}, rtx = {"rtx", 0, 90000, 1, "", 0};
    const duet_codec *one[] = {&unknown}, *helper[] = {&rtx};

    end_create(&alice, 1);
    duet_transceiver *t = add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    assert_int_equal(duet_transceiver_set_codec_preferences(t, one, 1), DUET_ERR_INVALID);
    assert_int_equal(duet_transceiver_set_codec_preferences(t, helper, 1), DUET_ERR_INVALID);
    assert_int_equal(duet_transceiver_set_codec_preferences(t, NULL, 0), DUET_OK);
    end_destroy(&alice);
}

/* ---- negotiating again ---- */

static void hold_and_resume_change_the_directions(void **state)
{
    end alice, bob;
    duet_sender *sender;
    (void)state;

    create_pair(&alice, &bob);
    assert_int_equal(duet_pc_add_track(bob.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &sender), DUET_OK);
    duet_transceiver *t = add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    unsigned before = alice.negotiation_needed;
    assert_int_equal(duet_transceiver_set_direction(t, DUET_SDP_SENDONLY), DUET_OK);
    assert_int_equal(alice.negotiation_needed, before + 1);
    negotiate(&alice, &bob);
    assert_current(t, DUET_SDP_SENDONLY);
    assert_current(at(&bob, 0), DUET_SDP_RECVONLY);
    assert_int_equal(duet_transceiver_set_direction(t, DUET_SDP_SENDRECV), DUET_OK);
    negotiate(&alice, &bob);
    assert_current(t, DUET_SDP_SENDRECV);
    assert_current(at(&bob, 0), DUET_SDP_SENDRECV);
    assert_int_equal(bob.negotiation_needed, 1);
    destroy_pair(&alice, &bob);
}

static void a_section_that_was_stopped_is_used_again_under_another_mid(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    duet_transceiver *first = add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    duet_transceiver *second = add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    duet_transceiver_stop(second);
    negotiate(&alice, &bob);
    assert_true(duet_transceiver_stopped(second));
    assert_int_equal(count(&alice), 1);
    assert_int_equal(count(&bob), 1);
    duet_sdp *sdp = local_of(&alice);
    assert_true(duet_sdp_media_is_rejected(sdp, 1));
    duet_sdp_destroy(sdp);

    duet_transceiver *third = add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    sdp = local_of(&alice);
    assert_int_equal(duet_sdp_media_count(sdp), 2);
    assert_int_equal(duet_sdp_media_at(sdp, 1)->kind, DUET_SDP_AUDIO);
    assert_string_equal(duet_transceiver_mid(third), "2");
    assert_string_equal(duet_transceiver_mid(first), "0");
    assert_current(third, DUET_SDP_SENDONLY);
    assert_int_equal(count(&bob), 2);
    duet_sdp_destroy(sdp);
    destroy_pair(&alice, &bob);
}

static void credentials_of(const end *e, size_t section, duet_ice_credentials *out)
{
    duet_sdp *sdp = local_of(e);

    assert_int_equal(duet_sdp_media_ice(sdp, section, out), DUET_OK);
    duet_sdp_destroy(sdp);
}

/* The tag of a bundle may go and come again: who is in the bundle keeps the transport, whichever side offers. */
static void the_first_section_used_again_joins_the_transport_of_its_bundle(void **state)
{
    (void)state;

    for (int offered_by_bob = 0; offered_by_bob < 2; offered_by_bob++) {
        duet_ice_credentials before, after;
        end alice, bob;
        create_pair(&alice, &bob);
        duet_transceiver *tag = add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
        add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
        negotiate(&alice, &bob);
        credentials_of(&bob, 1, &before);
        duet_transceiver_stop(tag);
        negotiate(&alice, &bob);
        end *offerer = offered_by_bob ? &bob : &alice, *answerer = offered_by_bob ? &alice : &bob;
        add(offerer, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
        negotiate(offerer, answerer);
        for (size_t section = 0; section < 2; section++) {
            credentials_of(&bob, section, &after);
            assert_string_equal(after.ufrag, before.ufrag);
        }
        destroy_pair(&alice, &bob);
    }
}

static void the_answerer_can_stop_a_section_that_is_offered(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    duet_transceiver_stop(at(&bob, 1));
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(&bob);
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    assert_int_equal(count(&alice), 1);
    assert_int_equal(count(&bob), 1);
    assert_int_equal(duet_transceiver_kind(at(&alice, 0)), DUET_SDP_AUDIO);
    free(offer);
    free(answer);
    destroy_pair(&alice, &bob);
}

static void the_tag_of_a_bundle_is_not_rejected_in_an_answer_but_in_the_next_offer(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    duet_transceiver_stop(at(&bob, 0));
    assert_int_equal(bob.negotiation_needed, 1);
    negotiate(&alice, &bob);
    assert_int_equal(count(&alice), 2);
    assert_current(at(&alice, 0), DUET_SDP_INACTIVE);
    duet_pc_tick(bob.pc, 1);
    assert_int_equal(bob.negotiation_needed, 2);
    negotiate(&bob, &alice);
    assert_int_equal(count(&alice), 1);
    assert_int_equal(count(&bob), 1);
    destroy_pair(&alice, &bob);
}

static void what_a_provisional_answer_refuses_the_final_one_may_accept(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    duet_transceiver *audio = add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    char *answer = end_answer(&bob);
    char *port = sdp_replaced(answer, "m=audio 9", "m=audio 0");
    char *refusal = sdp_replaced(port, "a=group:BUNDLE 0 1", "a=group:BUNDLE 1");
    set_remote(&alice, DUET_SDP_PRANSWER, refusal);
    assert_false(duet_transceiver_stopped(audio));
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    assert_current(audio, DUET_SDP_SENDONLY);
    free(offer);
    free(answer);
    free(port);
    free(refusal);
    destroy_pair(&alice, &bob);
}

/* ---- a peer without mids ---- */

static void sections_without_mids_get_some_and_can_be_offered_again(void **state)
{
    end alice, bob;
    duet_pc_config config = end_config(&bob, 2);
    (void)state;

    config.bundle_policy = DUET_BUNDLE_BALANCED; /* without mids nothing can be bundled */
    assert_int_equal(duet_pc_create(&bob.pc, &config), DUET_OK);
    end_create_with_channel(&alice, 1);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    char *offer = end_offer(&alice), *without[3];
    without[0] = sdp_replaced(offer, "a=group:BUNDLE 0 1 2\r\n", "");
    without[1] = sdp_replaced(without[0], "a=mid:0\r\n", "");
    without[2] = sdp_replaced(without[1], "a=mid:2\r\n", ""); /* the one in the middle is what might be made */
    char *old = sdp_replaced(without[2], "a=mid:1\r\n", "a=mid:m0\r\n");
    set_remote(&bob, DUET_SDP_OFFER, old);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    assert_string_not_equal(duet_transceiver_mid(at(&bob, 0)), "");
    assert_string_equal(duet_transceiver_mid(at(&bob, 1)), "m0");
    char *answer = end_local(&bob);
    assert_null(strstr(answer, "a=mid:mm0"));
    add(&bob, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&bob, DUET_SDP_OFFER, NULL);
    duet_sdp *sdp = local_of(&bob);
    assert_int_equal(duet_sdp_media_count(sdp), 4);
    for (size_t i = 0; i < 2; i++)
        assert_true(duet_sdp_text_is(duet_sdp_media_mid(sdp, i), duet_transceiver_mid(at(&bob, i))));
    duet_sdp_destroy(sdp);
    for (size_t i = 0; i < 3; i++)
        free(without[i]);
    free(old);
    free(offer);
    free(answer);
    destroy_pair(&alice, &bob);
}

/* ---- rollback ---- */

static void a_rollback_of_an_offer_takes_back_what_it_made(void **state)
{
    end alice, bob;
    duet_sender *sender;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    assert_int_equal(count(&bob), 2);
    assert_int_equal(duet_pc_add_track(bob.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &sender), DUET_OK);
    set_remote(&bob, DUET_SDP_ROLLBACK, NULL);
    assert_int_equal(count(&bob), 1); /* the one that has a track of ours stays */
    assert_string_equal(duet_transceiver_mid(at(&bob, 0)), "");
    set_local(&alice, DUET_SDP_ROLLBACK, NULL);
    assert_int_equal(count(&alice), 2);
    assert_string_equal(duet_transceiver_mid(at(&alice, 0)), "");
    negotiate(&bob, &alice);
    assert_int_equal(count(&alice), 3);
    assert_current(at(&bob, 0), DUET_SDP_SENDONLY);
    free(offer);
    destroy_pair(&alice, &bob);
}

static void a_rollback_of_a_section_used_again_leaves_it_rejected(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    duet_transceiver *second = add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    duet_transceiver_stop(second);
    negotiate(&alice, &bob);
    duet_transceiver *third = add(&alice, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    set_local(&alice, DUET_SDP_ROLLBACK, NULL);
    assert_string_equal(duet_transceiver_mid(third), "");
    negotiate(&bob, &alice);
    negotiate(&alice, &bob);
    assert_current(third, DUET_SDP_SENDONLY);
    duet_sdp *sdp = local_of(&alice);
    assert_int_equal(duet_sdp_media_count(sdp), 2);
    duet_sdp_destroy(sdp);
    destroy_pair(&alice, &bob);
}

static void both_offer_and_the_polite_one_gives_way(void **state)
{
    end alice, bob;
    (void)state;

    create_pair(&alice, &bob);
    add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    add(&bob, DUET_SDP_VIDEO, DUET_SDP_SENDRECV);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    set_local(&bob, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(&bob);
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    negotiate(&bob, &alice);
    assert_int_equal(count(&alice), 2);
    assert_int_equal(count(&bob), 2);
    assert_current(at(&bob, 0), DUET_SDP_SENDONLY);
    free(offer);
    free(answer);
    destroy_pair(&alice, &bob);
}

/* ---- negotiation needed: W3C 4.7.3 ---- */

static void negotiation_is_needed_for_what_the_peer_does_not_know(void **state)
{
    end alice, bob;
    duet_sender *sender;
    (void)state;

    create_pair(&alice, &bob);
    assert_int_equal(duet_pc_add_track(alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &sender), DUET_OK);
    assert_int_equal(alice.negotiation_needed, 1);
    negotiate(&alice, &bob);
    assert_int_equal(alice.negotiation_needed, 1);
    assert_int_equal(duet_sender_replace_track(sender, "another"), DUET_OK);
    assert_int_equal(alice.negotiation_needed, 1);
    assert_int_equal(duet_pc_remove_track(alice.pc, sender), DUET_OK);
    assert_int_equal(alice.negotiation_needed, 2);
    negotiate(&alice, &bob);
    assert_int_equal(alice.negotiation_needed, 2);
    assert_current(at(&alice, 0), DUET_SDP_INACTIVE);
    duet_transceiver_stop(at(&alice, 0));
    assert_int_equal(alice.negotiation_needed, 3);
    destroy_pair(&alice, &bob);
}

static void streams_that_the_peer_was_not_told_need_a_negotiation_and_others_do_not(void **state)
{
    static const char *const streams[] = {"first", "second"};
    end alice, bob;
    duet_sender *sender;
    (void)state;

    create_pair(&alice, &bob);
    assert_int_equal(duet_pc_add_track(alice.pc, DUET_SDP_AUDIO, NULL, streams, 1, &sender), DUET_OK);
    negotiate(&alice, &bob);
    assert_int_equal(alice.negotiation_needed, 1);
    assert_int_equal(duet_sender_set_streams(sender, streams, 1), DUET_OK);
    assert_int_equal(alice.negotiation_needed, 1);

    set_local(&alice, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&alice);
    assert_int_equal(duet_sender_set_streams(sender, streams, 2), DUET_OK); /* too late for this one */
    set_remote(&bob, DUET_SDP_OFFER, offer);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(&bob);
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    duet_pc_tick(alice.pc, 1);
    assert_int_equal(alice.negotiation_needed, 2);
    negotiate(&alice, &bob);
    duet_pc_tick(alice.pc, 2);
    assert_int_equal(alice.negotiation_needed, 2);
    assert_string_equal(duet_receiver_stream_id(duet_transceiver_receiver(at(&bob, 0)), 1), "second");
    free(offer);
    free(answer);
    destroy_pair(&alice, &bob);
}

static void a_transceiver_that_was_stopped_before_any_offer_is_forgotten(void **state)
{
    end alice;
    char *sdp;
    (void)state;

    end_create(&alice, 1);
    duet_transceiver_stop(add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV));
    assert_int_equal(count(&alice), 0);
    assert_int_equal(duet_pc_create_offer(alice.pc, NULL, &sdp), DUET_OK);
    assert_null(strstr(sdp, "m=audio"));
    free(sdp);
    end_destroy(&alice);
}

/* ---- on_track ---- */

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    end *e = user;

    (void)pc, (void)transceiver;
    e->other_events += 1000;
}

static void a_track_is_told_once_and_again_after_it_was_away(void **state)
{
    end alice, bob;
    duet_pc_config config;
    (void)state;

    end_create(&alice, 1);
    config = end_config(&bob, 2);
    config.on_track = on_track;
    assert_int_equal(duet_pc_create(&bob.pc, &config), DUET_OK);
    duet_transceiver *t = add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    assert_int_equal(bob.other_events / 1000, 1);
    assert_false(duet_receiver_muted(duet_transceiver_receiver(at(&bob, 0))));
    negotiate(&alice, &bob);
    assert_int_equal(bob.other_events / 1000, 1);
    duet_transceiver_set_direction(t, DUET_SDP_RECVONLY);
    negotiate(&alice, &bob);
    assert_true(duet_receiver_muted(duet_transceiver_receiver(at(&bob, 0))));
    duet_transceiver_set_direction(t, DUET_SDP_SENDRECV);
    negotiate(&alice, &bob);
    assert_int_equal(bob.other_events / 1000, 2);
    destroy_pair(&alice, &bob);
}

static void a_track_of_an_offer_that_is_rolled_back_is_told_again_when_it_is_offered_again(void **state)
{
    static const char *const first[] = {"first"}, *const second[] = {"second"};
    end alice, bob;
    duet_sender *sender;
    (void)state;

    end_create(&alice, 1);
    duet_pc_config config = end_config(&bob, 2);
    config.on_track = on_track;
    assert_int_equal(duet_pc_create(&bob.pc, &config), DUET_OK);
    duet_transceiver *video = add(&alice, DUET_SDP_VIDEO, DUET_SDP_RECVONLY);
    assert_int_equal(duet_pc_add_track(alice.pc, DUET_SDP_AUDIO, NULL, first, 1, &sender), DUET_OK);
    negotiate(&alice, &bob);
    assert_int_equal(bob.other_events / 1000, 1);
    duet_receiver *audio = duet_transceiver_receiver(at(&bob, 1));

    duet_transceiver_set_direction(video, DUET_SDP_SENDRECV);
    assert_int_equal(duet_sender_set_streams(sender, second, 1), DUET_OK);
    char *offer = end_offer(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    assert_int_equal(bob.other_events / 1000, 2);
    assert_string_equal(duet_receiver_stream_id(audio, 0), "second");
    set_remote(&bob, DUET_SDP_ROLLBACK, NULL);
    assert_string_equal(duet_receiver_stream_id(audio, 0), "first");
    set_remote(&bob, DUET_SDP_OFFER, offer);
    assert_int_equal(bob.other_events / 1000, 3);
    free(offer);
    destroy_pair(&alice, &bob);
}

/* ---- bounds ---- */

static void what_cannot_be_is_refused(void **state)
{
    end alice;
    duet_transceiver_init init = DUET_TRANSCEIVER_INIT;
    duet_transceiver *t;
    duet_sender *sender;
    (void)state;

    end_create(&alice, 1);
    assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_APPLICATION, NULL, &t), DUET_ERR_INVALID);
    init.track_id = "with a space";
    assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_AUDIO, &init, &t), DUET_ERR_INVALID);
    init.track_id = "line\r\na=sendonly";
    assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_AUDIO, &init, &t), DUET_ERR_INVALID);
    assert_int_equal(duet_pc_add_track(alice.pc, DUET_SDP_AUDIO, "mic", NULL, 0, &sender), DUET_OK);
    assert_int_equal(duet_pc_add_track(alice.pc, DUET_SDP_AUDIO, "mic", NULL, 0, &sender), DUET_ERR_INVALID);
    for (size_t i = 1; i < DUET_TRANSCEIVERS_MAX; i++)
        add(&alice, DUET_SDP_AUDIO, DUET_SDP_SENDRECV);
    assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_AUDIO, NULL, &t), DUET_ERR_LIMIT);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    duet_pc_close(alice.pc);
    assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_AUDIO, NULL, &t), DUET_ERR_STATE);
    end_destroy(&alice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_lists_transceivers_in_their_order_and_data_last),
        cmocka_unit_test(an_offer_names_codecs_feedback_extensions_and_its_streams),
        cmocka_unit_test(an_offer_that_is_never_set_binds_nothing),
        cmocka_unit_test(an_offer_makes_transceivers_that_receive),
        cmocka_unit_test(a_track_that_was_added_before_the_offer_answers_it),
        cmocka_unit_test(a_track_that_is_added_after_the_offer_takes_its_transceiver),
        cmocka_unit_test(a_transceiver_that_was_added_as_one_does_not_answer_an_offer),
        cmocka_unit_test(the_codec_is_the_first_of_the_answer_with_the_parameters_of_the_peer),
        cmocka_unit_test(preferences_that_nobody_can_fulfil_are_refused),
        cmocka_unit_test(hold_and_resume_change_the_directions),
        cmocka_unit_test(a_section_that_was_stopped_is_used_again_under_another_mid),
        cmocka_unit_test(the_first_section_used_again_joins_the_transport_of_its_bundle),
        cmocka_unit_test(the_answerer_can_stop_a_section_that_is_offered),
        cmocka_unit_test(the_tag_of_a_bundle_is_not_rejected_in_an_answer_but_in_the_next_offer),
        cmocka_unit_test(what_a_provisional_answer_refuses_the_final_one_may_accept),
        cmocka_unit_test(sections_without_mids_get_some_and_can_be_offered_again),
        cmocka_unit_test(a_rollback_of_an_offer_takes_back_what_it_made),
        cmocka_unit_test(a_rollback_of_a_section_used_again_leaves_it_rejected),
        cmocka_unit_test(both_offer_and_the_polite_one_gives_way),
        cmocka_unit_test(negotiation_is_needed_for_what_the_peer_does_not_know),
        cmocka_unit_test(streams_that_the_peer_was_not_told_need_a_negotiation_and_others_do_not),
        cmocka_unit_test(a_transceiver_that_was_stopped_before_any_offer_is_forgotten),
        cmocka_unit_test(a_track_is_told_once_and_again_after_it_was_away),
        cmocka_unit_test(a_track_of_an_offer_that_is_rolled_back_is_told_again_when_it_is_offered_again),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
