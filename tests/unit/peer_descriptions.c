/* What descriptions and candidates do to one connection: captured browsers, errors by line and column, sizes, bundles with
 * several credentials, candidates before, beside and beyond the description, certificates. */
#include "peer_pair.h"
#include "sdp_common.h"

/* ---- browsers ---- */

static unsigned offers_answered;

static void answer_one(const char *name, const char *text, size_t len)
{
    end bob;
    duet_sdp_error error;

    (void)len;
    if (!strstr(name, "offer") || strstr(name, "answer"))
        return;
    end_create(&bob, 3);
    int err = duet_pc_set_remote_description(bob.pc, DUET_SDP_OFFER, text);
    if (err != DUET_OK)
        fail_msg("%s: %s: line %zu: %s", name, duet_strerror(err), duet_pc_error(bob.pc)->line,
                 duet_pc_error(bob.pc)->reason);
    char *answer = end_answer(&bob);
    duet_sdp *offered = sdp_parsed(text), *answered = sdp_parsed(answer);
    if (duet_sdp_check_answer(offered, answered, &error) != DUET_OK)
        fail_msg("%s: line %zu: %s in\n%s", name, error.line, error.reason, answer);
    for (size_t i = 0; i < duet_sdp_media_count(offered); i++) {
        if (duet_sdp_media_is_data(offered, i) && !duet_sdp_media_is_rejected(offered, i))
            assert_false(duet_sdp_media_is_rejected(answered, i));
    }
    set_local(&bob, DUET_SDP_ANSWER, answer);
    assert_signaling(&bob, DUET_SIGNALING_STABLE);
    char *offer = end_offer(&bob); /* and the places stay in what comes next */
    duet_sdp *next = sdp_parsed(offer);
    assert_int_equal(duet_sdp_media_count(next), duet_sdp_media_count(offered));
    duet_sdp_destroy(next);
    free(offer);
    duet_sdp_destroy(offered);
    duet_sdp_destroy(answered);
    free(answer);
    end_destroy(&bob);
    offers_answered++;
}

static void every_captured_offer_is_answered(void **state)
{
    (void)state;
    offers_answered = 0;
    sdp_for_each_captured(answer_one);
    print_message("%u offers of browsers answered\n", offers_answered);
    assert_true(offers_answered >= 40);
}

/* ---- what is refused ---- */

static void a_malformed_description_is_named_and_the_right_one_works_then(void **state)
{
    (void)state;
    end alice, bob;
    static const struct {
        const char *what, *with, *reason;
    } spoils[] = {
        {"a=setup:actpass", "a=setup:actpas", "setup"},
        {"a=ice-pwd:", "a=ice-pwd:short\r\na=x:", "ice-pwd"},
        {"a=fingerprint:sha-256 ", "a=fingerprint:sha-256 ZZ:", "fingerprint"},
        {"t=0 0", "t=zero", "t="},
        {"a=sctp-port:5000", "a=sctp-port:70000", "sctp-port"},
        {"v=0", "v=9", "v="},
        {"a=mid:0", "a=mid:0123456789012345678901234567890123", ""},
    };

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *offer = end_offer(&bob);
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        char *bad = sdp_replaced(offer, spoils[i].what, spoils[i].with);
        int err = duet_pc_set_remote_description(alice.pc, DUET_SDP_OFFER, bad);
        const duet_sdp_error *error = duet_pc_error(alice.pc);
        assert_true(err == DUET_ERR_MALFORMED || err == DUET_ERR_LIMIT);
        print_message("line %zu, column %zu: %s\n", error->line, error->column, error->reason);
        assert_true(strlen(error->reason) > 10);
        assert_non_null(strstr(error->reason, spoils[i].reason));
        if (i < 6) /* a whole line is to blame */
            assert_true(error->line > 0 && error->column > 0);
        assert_signaling(&alice, DUET_SIGNALING_STABLE);
        free(bad);
    }
    assert_int_equal(duet_pc_set_remote_description(alice.pc, DUET_SDP_OFFER, NULL), DUET_ERR_MALFORMED);
    assert_int_equal(alice.signaling_events, 0);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    assert_string_equal(duet_pc_error(alice.pc)->reason, "");
    set_local(&alice, DUET_SDP_NONE, NULL);
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void a_description_without_fingerprint_or_credentials_is_refused(void **state)
{
    (void)state;
    end alice, bob;
    static const char *const needed[] = {"a=fingerprint:", "a=ice-ufrag:", "a=ice-pwd:"};

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *offer = end_offer(&bob);
    for (size_t i = 0; i < 3; i++) {
        char *bad = sdp_replaced(offer, needed[i], "a=unknown:");
        assert_int_equal(duet_pc_set_remote_description(alice.pc, DUET_SDP_OFFER, bad), DUET_ERR_MALFORMED);
        free(bad);
    }
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- bundle ---- */

/* aiortc writes other credentials into each m-section of one bundle: those of the first count. */
static void a_bundle_with_several_credentials_uses_the_first(void **state)
{
    (void)state;
    end bob;
    size_t len;
    char *offer = (char *)test_data("sdp/chromium-offer-av-data.sdp", &len);
    char *first = sdp_line(offer, "a=ice-ufrag:", 0);
    char line[64];

    snprintf(line, sizeof(line), "a=ice-ufrag:%s", first);
    char *at = strstr(strstr(offer, line) + 1, line); /* of the second section */
    assert_non_null(at);
    at[strlen("a=ice-ufrag:")] = at[strlen("a=ice-ufrag:")] == 'x' ? 'y' : 'x';
    end_create(&bob, 2);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(&bob), *a = sdp_line(answer, "a=ice-ufrag:", 0), *b = sdp_line(answer, "a=ice-ufrag:", 1);
    assert_string_equal(a, b);
    /* The same offer again is no restart. */
    set_remote(&bob, DUET_SDP_OFFER, offer);
    char *again = end_answer(&bob), *c = sdp_line(again, "a=ice-ufrag:", 0);
    assert_string_equal(a, c);
    free(offer);
    free(first);
    free(answer);
    free(again);
    free(a);
    free(b);
    free(c);
    end_destroy(&bob);
}

static void an_unbundled_section_has_its_own_transport_or_is_refused(void **state)
{
    (void)state;
    size_t len;

    for (int balanced = 0; balanced < 2; balanced++) {
        char *offer = (char *)test_data("sdp/chromium-offer-av-data.sdp", &len);
        char *unbundled = sdp_replaced(offer, "a=group:BUNDLE", "a=group:FOO");
        end bob;
        duet_pc_config config = end_config(&bob, 2);
        config.bundle_policy = balanced ? DUET_BUNDLE_BALANCED : DUET_BUNDLE_MAX_BUNDLE;
        assert_int_equal(duet_pc_create(&bob.pc, &config), DUET_OK);
        set_remote(&bob, DUET_SDP_OFFER, unbundled);
        char *answer = end_answer(&bob);
        duet_sdp *sdp = sdp_parsed(answer);
        assert_false(duet_sdp_media_is_rejected(sdp, 0)); /* the first one may stay: RFC 9429, 5.3.1 */
        assert_int_equal(duet_sdp_media_is_rejected(sdp, 1), !balanced);
        assert_false(duet_sdp_media_is_rejected(sdp, 2));
        duet_ice_credentials a, b;
        if (balanced) {
            assert_int_equal(duet_sdp_media_ice(sdp, 0, &a), DUET_OK);
            assert_int_equal(duet_sdp_media_ice(sdp, 1, &b), DUET_OK);
            assert_string_not_equal(a.ufrag, b.ufrag);
        }
        set_local(&bob, DUET_SDP_ANSWER, answer);
        duet_sdp_destroy(sdp);
        free(answer);
        free(offer);
        free(unbundled);
        end_destroy(&bob);
    }
}

static void the_answerer_may_be_the_dtls_server(void **state)
{
    (void)state;
    static const struct {
        duet_setup wish;
        const char *offered, *answered;
    } cases[] = {
        {DUET_SETUP_NONE, "a=setup:actpass", "a=setup:active"},
        {DUET_SETUP_ACTIVE, "a=setup:actpass", "a=setup:active"},
        {DUET_SETUP_PASSIVE, "a=setup:actpass", "a=setup:passive"},
        {DUET_SETUP_PASSIVE, "a=setup:passive", "a=setup:active"},
        {DUET_SETUP_ACTIVE, "a=setup:active", "a=setup:passive"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        end alice, bob;
        duet_pc_config config = end_config(&bob, 2);
        config.answer_setup = cases[i].wish;
        assert_int_equal(duet_pc_create(&bob.pc, &config), DUET_OK);
        end_create_with_channel(&alice, 1);
        char *offer = end_offer(&alice), *changed = sdp_replaced(offer, "a=setup:actpass", cases[i].offered);
        set_remote(&bob, DUET_SDP_OFFER, changed);
        char *answer = end_answer(&bob);
        assert_non_null(strstr(answer, cases[i].answered));
        free(offer);
        free(changed);
        free(answer);
        end_destroy(&alice);
        end_destroy(&bob);
    }
}

/* ---- candidates ---- */

#define HOST "candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host"

static int add(end *e, const char *text, const char *mid, int index, const char *ufrag)
{
    duet_pc_candidate candidate = {text, mid, index, ufrag};

    return duet_pc_add_ice_candidate(e->pc, &candidate);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

static unsigned remote_candidates(end *e)
{
    char *sdp = end_remote(e);
    unsigned n = count(sdp, "a=candidate:");

    free(sdp);
    return n;
}

static void candidates_may_come_before_the_description(void **state)
{
    (void)state;
    end alice, bob;

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *offer = end_offer(&bob);
    assert_int_equal(add(&alice, HOST, "0", 0, NULL), DUET_OK);
    assert_int_equal(add(&alice, "candidate:2 1 udp 1 192.0.2.8 50001 typ host", NULL, 0, NULL), DUET_OK);
    assert_int_equal(add(&alice, "candidate:3 1 udp 1 192.0.2.9 50002 typ host", "elsewhere", -1, NULL), DUET_OK);
    assert_int_equal(add(&alice, "", NULL, -1, NULL), DUET_OK);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    assert_int_equal(remote_candidates(&alice), 2); /* the third is for nobody */
    char *remote = end_remote(&alice);
    assert_non_null(strstr(remote, "a=end-of-candidates"));
    free(remote);
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void early_candidates_are_bounded(void **state)
{
    (void)state;
    end alice, bob;
    char text[128];

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    for (unsigned i = 0; i < DUET_PC_EARLY_CANDIDATES; i++) {
        snprintf(text, sizeof(text), "candidate:%u 1 udp 1 192.0.2.9 %u typ host", i, 1000 + i);
        assert_int_equal(add(&alice, text, "0", 0, NULL), DUET_OK);
    }
    assert_int_equal(add(&alice, HOST, "0", 0, NULL), DUET_ERR_LIMIT);
    assert_non_null(strstr(duet_pc_error(alice.pc)->reason, "64"));
    char *offer = end_offer(&bob);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    assert_int_equal(remote_candidates(&alice), DUET_PC_EARLY_CANDIDATES);
    assert_int_equal(add(&alice, HOST, "0", 0, NULL), DUET_OK);
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void candidates_find_their_section(void **state)
{
    (void)state;
    end alice;
    size_t len;
    char *offer = (char *)test_data("sdp/chromium-offer-av-data-trickle-nocand.sdp", &len);

    end_create(&alice, 1);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    assert_int_equal(add(&alice, HOST, "0", -1, NULL), DUET_OK);
    assert_int_equal(add(&alice, HOST, NULL, 1, NULL), DUET_OK);
    assert_int_equal(add(&alice, HOST, "", 2, NULL), DUET_OK);
    assert_int_equal(remote_candidates(&alice), 3);
    assert_int_equal(add(&alice, HOST, "0", 0, NULL), DUET_OK); /* the same once more */
    assert_int_equal(remote_candidates(&alice), 3);
    assert_int_equal(add(&alice, HOST, "nobody", -1, NULL), DUET_ERR_INVALID);
    assert_int_equal(add(&alice, HOST, "nobody", 1, NULL), DUET_ERR_INVALID); /* a mid that is given decides */
    assert_non_null(strstr(duet_pc_error(alice.pc)->reason, "nobody"));
    assert_int_equal(add(&alice, HOST, NULL, 3, NULL), DUET_ERR_INVALID);
    assert_int_equal(add(&alice, HOST, NULL, -1, NULL), DUET_ERR_INVALID);
    assert_int_equal(add(&alice, HOST, "0123456789012345678901234567890123456789", 0, NULL), DUET_ERR_INVALID);
    assert_int_equal(remote_candidates(&alice), 3);
    set_local(&alice, DUET_SDP_ANSWER, NULL);
    assert_int_equal(add(&alice, "candidate:5 1 udp 1 192.0.2.10 50002 typ host", "2", 2, NULL), DUET_OK);
    assert_int_equal(remote_candidates(&alice), 4);
    free(offer);
    end_destroy(&alice);
}

static void candidates_of_every_kind_are_understood_or_ignored(void **state)
{
    (void)state;
    end alice, bob;
    static const struct {
        const char *text;
        int err;
        unsigned more;
    } cases[] = {
        {"a=" HOST, DUET_OK, 1},
        {"candidate:2 1 udp 2122260223 8b5e2e0e-0c3a-4d38-bd0b-5bbf6f3a2c11.local 50000 typ host", DUET_OK, 1},
        {"candidate:3 1 udp 2122260223 2001:db8::7 50000 typ host", DUET_OK, 1},
        {"candidate:4 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active", DUET_OK, 1},
        {"candidate:5 2 udp 2122260222 192.0.2.7 50001 typ host", DUET_OK, 1},
        {"candidate:6 1 udp 1 192.0.2.7 50001 typ srflx raddr 10.0.0.1 rport 5 generation 0 network-cost 50", DUET_OK,
         1},
        {"candidate:7 1 udp 1 192.0.2.7 50001 typ weird", DUET_OK, 0},
        {"candidate:8 1 sctp 1 192.0.2.7 50001 typ host", DUET_OK, 0},
        {"candidate:9 1 udp 1 192.0.2.7 99999 typ host", DUET_ERR_MALFORMED, 0},
        {"candidate:", DUET_ERR_MALFORMED, 0},
        {"nonsense", DUET_ERR_MALFORMED, 0},
        {"candidate:1 1 udp 1 192.0.2.7 50001 typ host\r\na=inactive", DUET_ERR_MALFORMED, 0},
        {"", DUET_OK, 0},
    };

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *offer = end_offer(&bob);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned before = remote_candidates(&alice);
        int err = add(&alice, cases[i].text, "0", 0, NULL);
        if (err != cases[i].err)
            fail_msg("%s: %s", cases[i].text, duet_strerror(err));
        if (err != DUET_OK) {
            assert_int_equal(duet_pc_error(alice.pc)->line, 1);
            assert_true(duet_pc_error(alice.pc)->column > 0);
        }
        assert_int_equal(remote_candidates(&alice), before + cases[i].more);
    }
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void a_candidate_of_another_generation_is_ignored(void **state)
{
    (void)state;
    end alice, bob;

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *offer = end_offer(&bob), *ufrag = sdp_line(offer, "a=ice-ufrag:", 0);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    assert_int_equal(add(&alice, HOST, "0", 0, "old1"), DUET_OK);
    assert_int_equal(remote_candidates(&alice), 0);
    assert_int_equal(add(&alice, HOST, "0", 0, ufrag), DUET_OK);
    assert_int_equal(remote_candidates(&alice), 1);
    free(ufrag);
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void any_number_of_candidates_is_bounded_by_the_description(void **state)
{
    (void)state;
    end alice, bob;
    char text[128];
    int err = DUET_OK;
    unsigned n = 0;

    end_create(&alice, 1);
    end_create_with_channel(&bob, 2);
    char *offer = end_offer(&bob);
    set_remote(&alice, DUET_SDP_OFFER, offer);
    set_local(&alice, DUET_SDP_ANSWER, NULL);
    for (; err == DUET_OK && n < 20000; n++) {
        snprintf(text, sizeof(text), "candidate:1 1 udp %u 192.0.%u.%u 9 typ host", n + 1, n / 250, n % 250);
        err = add(&alice, text, "0", 0, NULL);
    }
    assert_int_equal(err, DUET_ERR_LIMIT);
    print_message("%u candidates\n", n);
    free(offer);
    end_destroy(&alice);
    end_destroy(&bob);
}

/* ---- certificates and configuration ---- */

static void certificates_are_shared_and_announced(void **state)
{
    (void)state;
    static const duet_key_type types[] = {DUET_KEY_ECDSA_P256, DUET_KEY_RSA_2048};

    for (size_t k = 0; k < 2; k++) {
        end ends[8];
        duet_certificate *certificate;
        duet_fingerprint fingerprint;
        char text[DUET_FINGERPRINT_TEXT_MAX];
        assert_int_equal(duet_certificate_generate(&certificate, NULL, types[k], 0), DUET_OK);
        assert_int_equal(duet_certificate_fingerprint(certificate, DUET_HASH_SHA256, &fingerprint), DUET_OK);
        assert_int_equal(duet_fingerprint_format(&fingerprint, text, sizeof(text)), DUET_OK);
        for (uint64_t i = 0; i < 8; i++) {
            duet_dc *dc;
            duet_pc_config config = end_config(&ends[i], i);
            config.certificate = certificate;
            assert_int_equal(duet_pc_create(&ends[i].pc, &config), DUET_OK);
            assert_int_equal(duet_pc_create_data_channel(ends[i].pc, "c", NULL, &dc), DUET_OK);
        }
        duet_certificate_destroy(certificate); /* the connections hold it */
        for (size_t i = 0; i < 8; i++) {
            char *offer = end_offer(&ends[i]);
            assert_non_null(strstr(offer, text));
            free(offer);
            end_destroy(&ends[i]);
        }
    }
}

static void a_configuration_is_checked_at_creation(void **state)
{
    (void)state;
    const char *urls[] = {"stun:"};
    duet_ice_server server = {urls, 1, NULL, NULL};
    const duet_ice_server *servers[] = {&server};
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_pc *pc = (duet_pc *)1;

    config.ice_servers = servers;
    config.ice_server_count = 1;
    assert_int_equal(duet_pc_create(&pc, &config), DUET_ERR_INVALID);
    assert_null(pc);
    config.size = 0;
    assert_int_equal(duet_pc_create(&pc, &config), DUET_ERR_INVALID);
    config.size = offsetof(duet_pc_config, ice_servers); /* a program that knows no more of it */
    assert_int_equal(duet_pc_create(&pc, &config), DUET_OK);
    duet_pc_destroy(pc);
    assert_int_equal(duet_pc_create(&pc, NULL), DUET_OK);
    duet_pc_destroy(pc);
    duet_pc_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_captured_offer_is_answered),
        cmocka_unit_test(a_malformed_description_is_named_and_the_right_one_works_then),
        cmocka_unit_test(a_description_without_fingerprint_or_credentials_is_refused),
        cmocka_unit_test(a_bundle_with_several_credentials_uses_the_first),
        cmocka_unit_test(an_unbundled_section_has_its_own_transport_or_is_refused),
        cmocka_unit_test(the_answerer_may_be_the_dtls_server),
        cmocka_unit_test(candidates_may_come_before_the_description),
        cmocka_unit_test(early_candidates_are_bounded),
        cmocka_unit_test(candidates_find_their_section),
        cmocka_unit_test(candidates_of_every_kind_are_understood_or_ignored),
        cmocka_unit_test(a_candidate_of_another_generation_is_ignored),
        cmocka_unit_test(any_number_of_candidates_is_bounded_by_the_description),
        cmocka_unit_test(certificates_are_shared_and_announced),
        cmocka_unit_test(a_configuration_is_checked_at_creation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
