/* The state machine of offer and answer: every state and transition, rollback, what changes nothing. RFC 9429 section
 * 3.2, W3C webrtc-pc 4.4.1.5. */
#include "peer_pair.h"

/* ---- every state, every step ---- */

#define STATES 5

/* A fresh pair whose alice is in this state. */
static void reach(end *alice, end *bob, duet_signaling_state state)
{
    char *sdp;

    end_create_with_channel(alice, 1);
    end_create_with_channel(bob, 2);
    switch (state) {
    case DUET_SIGNALING_HAVE_LOCAL_OFFER:
        set_local(alice, DUET_SDP_OFFER, NULL);
        break;
    case DUET_SIGNALING_HAVE_REMOTE_OFFER:
    case DUET_SIGNALING_HAVE_LOCAL_PRANSWER:
        sdp = end_offer(bob);
        set_remote(alice, DUET_SDP_OFFER, sdp);
        free(sdp);
        if (state == DUET_SIGNALING_HAVE_LOCAL_PRANSWER)
            set_local(alice, DUET_SDP_PRANSWER, NULL);
        break;
    case DUET_SIGNALING_HAVE_REMOTE_PRANSWER:
        set_local(alice, DUET_SDP_OFFER, NULL);
        sdp = end_local(alice);
        set_remote(bob, DUET_SDP_OFFER, sdp);
        free(sdp);
        sdp = end_answer(bob);
        set_remote(alice, DUET_SDP_PRANSWER, sdp);
        free(sdp);
        break;
    default:
        break;
    }
    assert_signaling(alice, state);
}

/* A description of bob's that fits what alice has; when nothing fits, his offer. */
static char *fitting_remote(end *alice, end *bob, duet_sdp_type type)
{
    if (type == DUET_SDP_OFFER || duet_pc_signaling_state(alice->pc) != DUET_SIGNALING_HAVE_LOCAL_OFFER)
        return duet_pc_signaling_state(bob->pc) == DUET_SIGNALING_HAVE_REMOTE_OFFER ? end_answer(bob) : end_offer(bob);
    char *offer = end_local(alice);
    set_remote(bob, DUET_SDP_OFFER, offer);
    free(offer);
    return end_answer(bob);
}

#define NO DUET_SIGNALING_CLOSED /* not allowed */

static void every_step_leads_where_w3c_says_or_changes_nothing(void **state)
{
    (void)state;
    enum {
        S = DUET_SIGNALING_STABLE,
        LO = DUET_SIGNALING_HAVE_LOCAL_OFFER,
        RO = DUET_SIGNALING_HAVE_REMOTE_OFFER,
        LP = DUET_SIGNALING_HAVE_LOCAL_PRANSWER,
        RP = DUET_SIGNALING_HAVE_REMOTE_PRANSWER
    };
    static const int next[STATES][2][4] = {
        /* local: offer, pranswer, answer, rollback   remote: the same */
        [S] = {{LO, NO, NO, NO}, {RO, NO, NO, NO}}, [LO] = {{LO, NO, NO, S}, {RO, RP, S, S}},
        [RO] = {{NO, LP, S, S}, {RO, NO, NO, S}},   [LP] = {{NO, LP, S, NO}, {NO, NO, NO, NO}},
        [RP] = {{NO, NO, NO, NO}, {NO, RP, S, NO}},
    };

    for (int from = 0; from < STATES; from++) {
        for (int step = 0; step < 8; step++) {
            end alice, bob;
            bool is_local = step < 4;
            duet_sdp_type type = (duet_sdp_type)(DUET_SDP_OFFER + step % 4);
            int expected = next[from][!is_local][step % 4];
            reach(&alice, &bob, (duet_signaling_state)from);
            unsigned events = alice.signaling_events;
            char *sdp = is_local ? NULL : fitting_remote(&alice, &bob, type), *before = NULL, *after = NULL;
            (void)duet_pc_local_description(alice.pc, NULL, &before);
            int err = is_local ? duet_pc_set_local_description(alice.pc, type, NULL)
                               : duet_pc_set_remote_description(alice.pc, type, sdp);
            if (err != (expected == NO ? DUET_ERR_STATE : DUET_OK))
                fail_msg("%s %s in %s: %s (%s)", is_local ? "local" : "remote", duet_sdp_type_name(type),
                         duet_signaling_state_name((duet_signaling_state)from), duet_strerror(err),
                         duet_pc_error(alice.pc)->reason);
            assert_signaling(&alice, (duet_signaling_state)(expected == NO ? from : expected));
            if (expected == NO) {
                assert_int_equal(alice.signaling_events, events);
                assert_non_null(strstr(duet_pc_error(alice.pc)->reason, "signaling state"));
                (void)duet_pc_local_description(alice.pc, NULL, &after);
                assert_true((before && after) || before == after);
                if (before)
                    assert_string_equal(before, after);
            }
            free(sdp);
            free(before);
            free(after);
            end_destroy(&alice);
            end_destroy(&bob);
        }
    }
}

static void a_closed_connection_takes_nothing(void **state)
{
    (void)state;
    end alice;
    char *sdp;
    duet_dc *dc;
    const duet_pc_candidate candidate = {"", "0", 0, NULL};

    end_create_with_channel(&alice, 1);
    unsigned events = alice.signaling_events + alice.other_events + alice.negotiation_needed;
    duet_pc_close(alice.pc);
    duet_pc_close(alice.pc);
    for (int type = DUET_SDP_OFFER; type <= DUET_SDP_ROLLBACK; type++) {
        assert_int_equal(duet_pc_set_local_description(alice.pc, (duet_sdp_type)type, NULL), DUET_ERR_STATE);
        assert_int_equal(duet_pc_set_remote_description(alice.pc, (duet_sdp_type)type, "v=0"), DUET_ERR_STATE);
    }
    assert_int_equal(duet_pc_create_offer(alice.pc, NULL, &sdp), DUET_ERR_STATE);
    assert_int_equal(duet_pc_create_answer(alice.pc, &sdp), DUET_ERR_STATE);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "x", NULL, &dc), DUET_ERR_STATE);
    assert_int_equal(duet_pc_add_ice_candidate(alice.pc, &candidate), DUET_ERR_STATE);
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    assert_int_equal(duet_pc_set_configuration(alice.pc, &config), DUET_ERR_STATE);
    duet_pc_restart_ice(alice.pc);
    duet_pc_tick(alice.pc, 1);
    assert_int_equal(duet_pc_connection_state(alice.pc), DUET_PC_CLOSED);
    assert_int_equal(duet_pc_ice_connection_state(alice.pc), DUET_ICE_CLOSED);
    assert_int_equal(alice.signaling_events + alice.other_events + alice.negotiation_needed, events);
    end_destroy(&alice);
}

static void a_type_that_is_none_is_refused(void **state)
{
    (void)state;
    end alice;

    end_create_with_channel(&alice, 1);
    assert_int_equal(duet_pc_set_local_description(alice.pc, (duet_sdp_type)9, NULL), DUET_ERR_INVALID);
    assert_int_equal(duet_pc_set_remote_description(alice.pc, (duet_sdp_type)-1, "v=0"), DUET_ERR_INVALID);
    assert_int_equal(duet_pc_set_remote_description(alice.pc, DUET_SDP_NONE, "v=0"), DUET_ERR_INVALID);
    assert_int_equal(duet_sdp_type_parse("pranswer"), DUET_SDP_PRANSWER);
    assert_int_equal(duet_sdp_type_parse("none"), DUET_SDP_NONE);
    assert_int_equal(duet_sdp_type_parse("x"), DUET_SDP_NONE);
    end_destroy(&alice);
}

static void the_state_is_told_once_for_each_change(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    negotiate(&alice, &bob);
    assert_int_equal(alice.signaling_events, 2);
    assert_int_equal(alice.signaling[0], DUET_SIGNALING_HAVE_LOCAL_OFFER);
    assert_int_equal(alice.signaling[1], DUET_SIGNALING_STABLE);
    assert_int_equal(bob.signaling_events, 2);
    assert_int_equal(bob.signaling[0], DUET_SIGNALING_HAVE_REMOTE_OFFER);
    assert_int_equal(bob.signaling[1], DUET_SIGNALING_STABLE);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- descriptions ---- */

static void descriptions_are_pending_until_they_are_answered(void **state)
{
    (void)state;
    end alice, bob;
    char *sdp;
    duet_sdp_type type;

    reach(&alice, &bob, DUET_SIGNALING_HAVE_LOCAL_OFFER);
    assert_int_equal(duet_pc_current_local_description(alice.pc, &type, &sdp), DUET_ERR_NOT_FOUND);
    assert_null(sdp);
    assert_int_equal(type, DUET_SDP_NONE);
    assert_int_equal(duet_pc_pending_local_description(alice.pc, &type, &sdp), DUET_OK);
    assert_int_equal(type, DUET_SDP_OFFER);
    set_remote(&bob, DUET_SDP_OFFER, sdp);
    free(sdp);
    assert_int_equal(duet_pc_pending_remote_description(bob.pc, &type, &sdp), DUET_OK);
    free(sdp);
    set_local(&bob, DUET_SDP_NONE, NULL); /* implicit: an answer */
    assert_int_equal(duet_pc_pending_remote_description(bob.pc, NULL, &sdp), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_pc_pending_local_description(bob.pc, NULL, &sdp), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_pc_current_remote_description(bob.pc, &type, &sdp), DUET_OK);
    assert_int_equal(type, DUET_SDP_OFFER);
    free(sdp);
    assert_int_equal(duet_pc_current_local_description(bob.pc, &type, &sdp), DUET_OK);
    assert_int_equal(type, DUET_SDP_ANSWER);
    set_remote(&alice, DUET_SDP_ANSWER, sdp);
    free(sdp);
    assert_int_equal(duet_pc_current_local_description(alice.pc, &type, &sdp), DUET_OK);
    free(sdp);
    assert_int_equal(duet_pc_can_trickle(alice.pc), 1);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void implicit_descriptions_follow_the_state(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    set_local(&alice, DUET_SDP_NONE, NULL);
    assert_signaling(&alice, DUET_SIGNALING_HAVE_LOCAL_OFFER);
    set_local(&alice, DUET_SDP_NONE, NULL); /* another offer in its place */
    assert_signaling(&alice, DUET_SIGNALING_HAVE_LOCAL_OFFER);
    char *offer = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    set_local(&bob, DUET_SDP_NONE, NULL);
    assert_signaling(&bob, DUET_SIGNALING_STABLE);
    char *answer = end_local(&bob);
    set_remote(&alice, DUET_SDP_PRANSWER, answer);
    assert_int_equal(duet_pc_set_local_description(alice.pc, DUET_SDP_NONE, NULL), DUET_ERR_STATE);
    free(offer);
    free(answer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void an_answer_follows_a_provisional_one(void **state)
{
    (void)state;
    end alice, bob;

    reach(&alice, &bob, DUET_SIGNALING_HAVE_REMOTE_PRANSWER);
    char *sdp = end_answer(&bob);
    set_remote(&alice, DUET_SDP_PRANSWER, sdp);
    set_remote(&alice, DUET_SDP_ANSWER, sdp);
    assert_signaling(&alice, DUET_SIGNALING_STABLE);
    free(sdp);
    end_destroy(&alice);
    end_destroy(&bob);

    reach(&alice, &bob, DUET_SIGNALING_HAVE_LOCAL_PRANSWER);
    set_local(&alice, DUET_SDP_PRANSWER, NULL);
    set_local(&alice, DUET_SDP_NONE, NULL);
    assert_signaling(&alice, DUET_SIGNALING_STABLE);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* What the provisional answer refused, the final one may accept. */
static void a_provisional_refusal_is_not_the_last_word(void **state)
{
    (void)state;
    end alice, bob;
    char *sdp;

    reach(&alice, &bob, DUET_SIGNALING_HAVE_LOCAL_OFFER);
    sdp = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, sdp);
    free(sdp);
    char *answer = end_answer(&bob);
    char *port = sdp_replaced(answer, "m=application 9", "m=application 0");
    char *refusal = sdp_replaced(port, "a=group:BUNDLE 0", "a=group:BUNDLE");
    set_remote(&alice, DUET_SDP_PRANSWER, refusal);
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    sdp = end_offer(&alice);
    assert_null(strstr(sdp, "m=application 0"));
    free(sdp);
    free(answer);
    free(port);
    free(refusal);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- rollback ---- */

static void a_local_offer_rolled_back_leaves_nothing(void **state)
{
    (void)state;
    end alice, bob;
    char *sdp;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    assert_int_equal(alice.negotiation_needed, 1);
    for (int i = 0; i < 200; i++) { /* more often than there is room for transports */
        set_local(&alice, DUET_SDP_OFFER, NULL);
        duet_pc_tick(alice.pc, (duet_time)i);
        set_local(&alice, DUET_SDP_ROLLBACK, NULL);
        duet_request request;
        duet_datagram out;
        for (int turn = 0; turn < 4; turn++) { /* as a driver would */
            duet_pc_tick(alice.pc, (duet_time)i);
            while (duet_pc_request(alice.pc, &request) == 1)
                continue;
            while (duet_pc_output(alice.pc, &out, (duet_time)i) == 1)
                continue;
        }
    }
    assert_signaling(&alice, DUET_SIGNALING_STABLE);
    assert_int_equal(duet_pc_local_description(alice.pc, NULL, &sdp), DUET_ERR_NOT_FOUND);
    assert_int_equal(alice.negotiation_needed, 201); /* W3C: after each rollback anew */
    negotiate(&alice, &bob);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void a_remote_offer_rolled_back_leaves_nothing(void **state)
{
    (void)state;
    end alice, bob;
    char *sdp;

    reach(&alice, &bob, DUET_SIGNALING_HAVE_REMOTE_OFFER);
    sdp = end_answer(&alice); /* makes a transport, which may not stay */
    free(sdp);
    set_remote(&alice, DUET_SDP_ROLLBACK, NULL);
    assert_int_equal(duet_pc_remote_description(alice.pc, NULL, &sdp), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_pc_can_trickle(alice.pc), -1);
    assert_int_equal(duet_pc_create_answer(alice.pc, &sdp), DUET_ERR_STATE);
    negotiate(&alice, &bob);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void both_offer_and_one_gives_way(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create_with_channel(&bob, 2);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    set_local(&bob, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&bob);
    set_remote(&alice, DUET_SDP_OFFER, offer); /* rolls back what alice offered */
    assert_signaling(&alice, DUET_SIGNALING_HAVE_REMOTE_OFFER);
    set_local(&alice, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(&alice);
    set_remote(&bob, DUET_SDP_ANSWER, answer);
    assert_int_equal(alice.negotiation_needed, 1); /* what she wanted is negotiated now */
    free(offer);
    free(answer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void a_refused_offer_does_not_roll_back_the_own_one(void **state)
{
    (void)state;
    end alice, bob;

    reach(&alice, &bob, DUET_SIGNALING_HAVE_LOCAL_OFFER);
    unsigned events = alice.signaling_events;
    char *before = end_local(&alice);
    char *offer = end_offer(&bob);
    char *bad = sdp_replaced(offer, "a=setup:actpass", "a=setup:actpas");
    assert_int_equal(duet_pc_set_remote_description(alice.pc, DUET_SDP_OFFER, bad), DUET_ERR_MALFORMED);
    assert_signaling(&alice, DUET_SIGNALING_HAVE_LOCAL_OFFER);
    assert_int_equal(alice.signaling_events, events);
    char *after = end_local(&alice);
    assert_string_equal(before, after);
    free(before);
    free(after);
    free(offer);
    free(bad);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- ICE restarts ---- */

static char *ufrag_of(char *sdp)
{
    char *ufrag = sdp_line(sdp, "a=ice-ufrag:", 0);

    assert_non_null(ufrag);
    free(sdp);
    return ufrag;
}

static void assert_same_ufrag(end *e, const char *ufrag, bool same)
{
    char *now = ufrag_of(end_offer(e));

    assert_int_equal(strcmp(now, ufrag) == 0, same);
    free(now);
}

static char *restart_offer(end *e)
{
    char *sdp;
    duet_offer_options options = {sizeof(options), true};

    must(e, duet_pc_create_offer(e->pc, &options, &sdp));
    return sdp;
}

static void an_ice_restart_that_is_not_set_leaves_no_trace(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    negotiate(&alice, &bob);
    char *ufrag = ufrag_of(end_offer(&alice));
    char *restarted = ufrag_of(restart_offer(&alice));
    assert_string_not_equal(ufrag, restarted);
    assert_same_ufrag(&alice, ufrag, true);
    free(restarted);
    char *offer = restart_offer(&alice);
    set_local(&alice, DUET_SDP_OFFER, offer);
    set_local(&alice, DUET_SDP_ROLLBACK, NULL); /* before the driver came to carry it out */
    assert_same_ufrag(&alice, ufrag, true);
    free(offer);
    free(ufrag);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void the_answer_to_a_restart_restarts_too(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    negotiate(&alice, &bob);
    char *ufrag = ufrag_of(end_local(&bob));
    char *offer = restart_offer(&alice);
    set_local(&alice, DUET_SDP_OFFER, offer);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    char *answer = ufrag_of(end_answer(&bob));
    assert_string_not_equal(answer, ufrag);
    free(answer);
    set_remote(&bob, DUET_SDP_ROLLBACK, NULL);
    assert_same_ufrag(&bob, ufrag, true); /* the answer that was never given */
    free(ufrag);
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void a_wished_restart_is_offered_until_it_is_answered(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    duet_pc_restart_ice(alice.pc); /* nothing to replace yet */
    assert_int_equal(alice.negotiation_needed, 1);
    negotiate(&alice, &bob);
    assert_int_equal(alice.negotiation_needed, 1);
    char *ufrag = ufrag_of(end_offer(&alice));
    duet_pc_restart_ice(alice.pc);
    assert_int_equal(alice.negotiation_needed, 2);
    duet_pc_restart_ice(alice.pc);
    assert_int_equal(alice.negotiation_needed, 2);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    char *offered = ufrag_of(end_local(&alice));
    assert_string_not_equal(ufrag, offered);
    assert_same_ufrag(&alice, offered, true); /* the next offer of the same negotiation */
    set_local(&alice, DUET_SDP_ROLLBACK, NULL);
    assert_int_equal(alice.negotiation_needed, 2);
    duet_pc_tick(alice.pc, 1); /* not before: W3C queues a task */
    assert_int_equal(alice.negotiation_needed, 3);
    negotiate(&alice, &bob);
    assert_int_equal(alice.negotiation_needed, 3);
    assert_same_ufrag(&alice, ufrag, false);
    free(ufrag);
    free(offered);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void other_ice_servers_restart_with_the_next_offer(void **state)
{
    (void)state;
    end alice, bob;
    const char *urls[] = {"stun:192.0.2.1"}, *bad[] = {"http://192.0.2.1"};
    duet_ice_server server = {urls, 1, NULL, NULL}, bad_server = {bad, 1, NULL, NULL};
    const duet_ice_server *servers[] = {&server}, *bad_servers[] = {&bad_server};
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    config.ice_servers = bad_servers;
    config.ice_server_count = 1;
    assert_int_equal(duet_pc_set_configuration(alice.pc, &config), DUET_ERR_INVALID);
    negotiate(&alice, &bob);
    assert_int_equal(duet_pc_set_configuration(alice.pc, &config), DUET_ERR_INVALID);
    char *ufrag = ufrag_of(end_offer(&alice));
    unsigned needed = alice.negotiation_needed;
    config.ice_servers = servers;
    assert_int_equal(duet_pc_set_configuration(alice.pc, &config), DUET_OK);
    assert_same_ufrag(&alice, ufrag, false); /* RFC 9429 section 5.2.2 */
    assert_int_equal(alice.negotiation_needed, needed);
    negotiate(&alice, &bob);
    free(ufrag);
    ufrag = ufrag_of(end_local(&alice));
    assert_int_equal(duet_pc_set_configuration(alice.pc, &config), DUET_OK); /* the same once more */
    duet_pc_tick(alice.pc, 1);
    assert_same_ufrag(&alice, ufrag, true);
    config.bundle_policy = DUET_BUNDLE_BALANCED;
    assert_int_equal(duet_pc_set_configuration(alice.pc, &config), DUET_ERR_INVALID);
    free(ufrag);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- negotiation needed ---- */

static void negotiation_is_needed_once_and_at_the_right_time(void **state)
{
    (void)state;
    end alice, bob;
    duet_dc *dc;

    end_create(&alice, 1);
    end_create(&bob, 2);
    assert_int_equal(alice.negotiation_needed, 0);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "one", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "two", NULL, &dc), DUET_OK);
    assert_int_equal(alice.negotiation_needed, 1);
    negotiate(&alice, &bob);
    assert_int_equal(alice.negotiation_needed, 1);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "three", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_create_data_channel(bob.pc, "four", NULL, &dc), DUET_OK);
    assert_int_equal(alice.negotiation_needed, 1);
    assert_int_equal(bob.negotiation_needed, 0);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void a_channel_created_during_a_negotiation_asks_for_the_next(void **state)
{
    (void)state;
    end alice, bob;
    duet_dc *dc;
    size_t len;

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *offer = (char *)test_data("sdp/chromium-offer-audio.sdp", &len);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "one", NULL, &dc), DUET_OK);
    assert_int_equal(alice.negotiation_needed, 0);
    set_local(&alice, DUET_SDP_ANSWER, NULL);
    assert_int_equal(alice.negotiation_needed, 0); /* first she sends the answer */
    duet_pc_tick(alice.pc, 1);
    assert_int_equal(alice.negotiation_needed, 1);
    free(offer);
    offer = end_offer(&alice); /* keeps audio in its place and adds data */
    char *second = sdp_line(offer, "m=", 1);
    assert_non_null(strstr(second, "application"));
    free(second);
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void channels_end_when_the_peer_refuses_data(void **state)
{
    (void)state;
    end alice, bob;
    duet_dc *dc;
    duet_pc_config config = end_config(&alice, 1);

    assert_int_equal(duet_pc_create(&alice.pc, &config), DUET_OK);
    end_create(&bob, 2);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "one", NULL, &dc), DUET_OK);
    set_local(&alice, DUET_SDP_OFFER, NULL);
    char *offer = end_local(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    char *answer = end_answer(&bob);
    char *port = sdp_replaced(answer, "m=application 9", "m=application 0");
    char *refusal = sdp_replaced(port, "a=group:BUNDLE 0", "a=group:BUNDLE");
    set_remote(&alice, DUET_SDP_ANSWER, refusal);
    assert_int_equal(duet_dc_get_state(dc), DUET_DC_CLOSED);
    assert_int_equal(alice.negotiation_needed, 1); /* or it would be offered and refused for ever */
    free(offer);
    free(answer);
    free(port);
    free(refusal);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- renegotiation ---- */

static void renegotiation_keeps_places_and_mids(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    negotiate(&alice, &bob);
    char *first = end_local(&alice);
    char *mid = sdp_line(first, "a=mid:", 0);
    negotiate(&bob, &alice);
    negotiate(&alice, &bob);
    char *again = end_local(&alice), *mid_again = sdp_line(again, "a=mid:", 0);
    char *more = sdp_line(again, "m=", 1);
    assert_string_equal(mid, mid_again);
    assert_null(more);
    /* "a=setup:actpass" in offers; the roles stay: RFC 8842 section 5.5 */
    char *role = end_local(&bob);
    assert_non_null(strstr(role, "a=setup:active"));
    free(role);
    free(first);
    free(again);
    free(mid);
    free(mid_again);
    end_destroy(&alice);
    end_destroy(&bob);
}

typedef struct spoil {
    const char *what, *with, *reason;
} spoil;

static void sections_in_use_keep_mid_kind_and_place(void **state)
{
    (void)state;
    end alice, bob;
    static const spoil spoils[] = {
        {"a=mid:0", "a=mid:1", "keeps its mid"},
        {"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=text 9 UDP/DTLS/SCTP webrtc-datachannel", "kind"},
    };

    end_create_with_channel(&alice, 1);
    end_create(&bob, 2);
    negotiate(&alice, &bob);
    char *offer = end_offer(&bob);
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        char *bad = sdp_replaced(offer, spoils[i].what, spoils[i].with), *bundle = NULL;
        if (i == 0)
            bundle = sdp_replaced(bad, "a=group:BUNDLE 0", "a=group:BUNDLE 1");
        int err = duet_pc_set_remote_description(alice.pc, DUET_SDP_OFFER, bundle ? bundle : bad);
        if (err != DUET_ERR_MALFORMED || !strstr(duet_pc_error(alice.pc)->reason, spoils[i].reason))
            fail_msg("%s: %s: %s", spoils[i].with, duet_strerror(err), duet_pc_error(alice.pc)->reason);
        assert_signaling(&alice, DUET_SIGNALING_STABLE);
        free(bad);
        free(bundle);
    }
    char *none = strndup(offer, (size_t)(strstr(offer, "m=") - offer));
    char *empty = sdp_replaced(none, "a=group:BUNDLE 0", "a=group:BUNDLE");
    assert_int_equal(duet_pc_set_remote_description(alice.pc, DUET_SDP_OFFER, empty), DUET_ERR_MALFORMED);
    assert_non_null(strstr(duet_pc_error(alice.pc)->reason, "not removed"));
    free(none);
    free(empty);
    set_remote(&alice, DUET_SDP_OFFER, offer); /* the right one still works */
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void a_local_description_of_somebody_else_is_refused(void **state)
{
    (void)state;
    end alice, bob;

    end_create_with_channel(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *other = end_offer(&bob), *own = end_offer(&alice), *fingerprint = sdp_line(own, "a=fingerprint:", 0);
    assert_int_equal(duet_pc_set_local_description(alice.pc, DUET_SDP_OFFER, other), DUET_ERR_INVALID);
    assert_non_null(strstr(duet_pc_error(alice.pc)->reason, "ICE credentials"));
    char *changed = strdup(fingerprint);
    changed[strlen(changed) - 1] = changed[strlen(changed) - 1] == '0' ? '1' : '0';
    char *bad = sdp_replaced(own, fingerprint, changed);
    assert_int_equal(duet_pc_set_local_description(alice.pc, DUET_SDP_OFFER, bad), DUET_ERR_INVALID);
    assert_non_null(strstr(duet_pc_error(alice.pc)->reason, "fingerprint"));
    assert_signaling(&alice, DUET_SIGNALING_STABLE);
    set_local(&alice, DUET_SDP_OFFER, own);
    free(other);
    free(own);
    free(fingerprint);
    free(changed);
    free(bad);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- destroying ---- */

static void destroy_now(void *user, duet_pc *pc, duet_signaling_state state)
{
    (void)state;
    end *e = user;

    duet_pc_destroy(pc);
    e->pc = NULL;
}

static void destroy_when_needed(void *user, duet_pc *pc)
{
    ((end *)user)->pc = NULL;
    duet_pc_destroy(pc);
}

static void a_connection_may_be_destroyed_inside_its_events(void **state)
{
    (void)state;
    end alice;
    duet_dc *dc;
    duet_pc_config config = end_config(&alice, 1);

    config.on_signaling_state = destroy_now;
    assert_int_equal(duet_pc_create(&alice.pc, &config), DUET_OK);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "one", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(alice.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    assert_null(alice.pc);

    config.on_negotiation_needed = destroy_when_needed;
    assert_int_equal(duet_pc_create(&alice.pc, &config), DUET_OK);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "one", NULL, &dc), DUET_OK);
    assert_null(alice.pc);
}

static void close_in_dc(void *user, duet_dc *dc)
{
    (void)dc;
    end *e = user;

    duet_pc_destroy(e->pc);
    e->pc = NULL;
}

static void a_connection_may_be_destroyed_inside_an_event_of_its_channel(void **state)
{
    (void)state;
    end alice;
    duet_dc *dc;
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_close = close_in_dc, .user = &alice};

    end_create(&alice, 1);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "one", NULL, &dc), DUET_OK);
    duet_dc_set_callbacks(dc, &callbacks);
    duet_dc_close(dc);
    if (alice.pc) /* delivered with the next turn */
        duet_pc_tick(alice.pc, 1);
    assert_null(alice.pc);
}

static void close_fires_nothing_even_when_events_wait(void **state)
{
    (void)state;
    end alice;
    duet_dc *dc;
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_close = close_in_dc, .user = &alice};

    end_create(&alice, 1);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "one", NULL, &dc), DUET_OK);
    duet_dc_set_callbacks(dc, &callbacks); /* would destroy, if it were called */
    duet_pc_close(alice.pc);
    assert_int_equal(duet_dc_get_state(dc), DUET_DC_CLOSED);
    assert_int_equal(duet_dc_send(dc, "x", 1, true), DUET_ERR_STATE);
    duet_pc_tick(alice.pc, 1);
    assert_non_null(alice.pc);
    end_destroy(&alice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_leads_where_w3c_says_or_changes_nothing),
        cmocka_unit_test(a_closed_connection_takes_nothing),
        cmocka_unit_test(a_type_that_is_none_is_refused),
        cmocka_unit_test(the_state_is_told_once_for_each_change),
        cmocka_unit_test(descriptions_are_pending_until_they_are_answered),
        cmocka_unit_test(implicit_descriptions_follow_the_state),
        cmocka_unit_test(an_answer_follows_a_provisional_one),
        cmocka_unit_test(a_provisional_refusal_is_not_the_last_word),
        cmocka_unit_test(a_local_offer_rolled_back_leaves_nothing),
        cmocka_unit_test(a_remote_offer_rolled_back_leaves_nothing),
        cmocka_unit_test(both_offer_and_one_gives_way),
        cmocka_unit_test(a_refused_offer_does_not_roll_back_the_own_one),
        cmocka_unit_test(an_ice_restart_that_is_not_set_leaves_no_trace),
        cmocka_unit_test(the_answer_to_a_restart_restarts_too),
        cmocka_unit_test(a_wished_restart_is_offered_until_it_is_answered),
        cmocka_unit_test(other_ice_servers_restart_with_the_next_offer),
        cmocka_unit_test(negotiation_is_needed_once_and_at_the_right_time),
        cmocka_unit_test(a_channel_created_during_a_negotiation_asks_for_the_next),
        cmocka_unit_test(channels_end_when_the_peer_refuses_data),
        cmocka_unit_test(renegotiation_keeps_places_and_mids),
        cmocka_unit_test(sections_in_use_keep_mid_kind_and_place),
        cmocka_unit_test(a_local_description_of_somebody_else_is_refused),
        cmocka_unit_test(a_connection_may_be_destroyed_inside_its_events),
        cmocka_unit_test(a_connection_may_be_destroyed_inside_an_event_of_its_channel),
        cmocka_unit_test(close_fires_nothing_even_when_events_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
