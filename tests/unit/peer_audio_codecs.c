/* Redundancy (RED, RFC 2198) and comfort noise (CN, RFC 3389) in descriptions: offered and answered as browsers do, bound to the
 * payload types that were agreed. */
#include "duet/transceiver.h"
#include "peer/media_io.h"
#include "peer_pair.h"

/* ---- tools ---- */

static duet_transceiver *add_audio(end *e)
{
    duet_sender *sender;

    assert_int_equal(duet_pc_add_track(e->pc, DUET_SDP_AUDIO, NULL, NULL, 0, &sender), DUET_OK);
    return duet_sender_transceiver(sender);
}

static int prefer(duet_transceiver *t, const char *const *names)
{
    duet_codec codecs[8];
    const duet_codec *wanted[8];
    size_t n = 0;

    for (; *names; names++, n++) {
        bool is_opus = strcmp(*names, "opus") == 0 || strcmp(*names, "red") == 0;
        codecs[n] = (duet_codec){.clock_rate = is_opus ? 48000 : 8000, .channels = is_opus ? 2 : 1};
        snprintf(codecs[n].name, sizeof(codecs[n].name), "%s", *names);
        wanted[n] = &codecs[n];
    }
    return duet_transceiver_set_codec_preferences(t, wanted, n);
}

static char *offer_of(end *e)
{
    set_local(e, DUET_SDP_OFFER, NULL);
    return end_local(e);
}

static char *replaced(char *text, const char *what, const char *by)
{
    char *at = strstr(text, what), *out = malloc(strlen(text) + strlen(by) + 1);

    assert_non_null(at);
    assert_non_null(out);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, by, at + strlen(what));
    free(text);
    return out;
}

static char *formats_of(const char *text)
{
    const char *at = strstr(text, "m=audio "), *stop;
    static char line[200];

    assert_non_null(at);
    at = strstr(at, "SAVPF ") + strlen("SAVPF ");
    stop = strstr(at, "\r\n");
    snprintf(line, sizeof(line), "%.*s", (int)(stop - at), at);
    return line;
}

static void assert_red(const duet_transceiver *t, unsigned payload_type)
{
    assert_non_null(t->sender.send);
    assert_int_equal(t->sender.send->red_type, payload_type);
}

/* An offer of another stack with one audio section. */
#define OFFER_HEAD                                                                                                     \
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"                                          \
    "a=fingerprint:sha-256 "                                                                                           \
    "57:6B:79:CE:43:8C:3F:C4:20:98:51:F1:87:53:AC:DF:82:21:79:0C:3A:06:04:A4:74:7A:70:3A:93:FF:49:61\r\n"              \
    "a=ice-ufrag:zy0g\r\na=ice-pwd:irjPccmOExxjJi/BepIgcTsL\r\n"
#define OFFER_SECTION(formats)                                                                                         \
    OFFER_HEAD "m=audio 9 UDP/TLS/RTP/SAVPF " formats "\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\n"              \
               "a=setup:actpass\r\na=sendrecv\r\n"

static char *answer_to(end *bob, const char *offer)
{
    add_audio(bob);
    set_remote(bob, DUET_SDP_OFFER, offer);
    set_local(bob, DUET_SDP_ANSWER, NULL);
    return end_local(bob);
}

/* ---- offers ---- */

static void an_offer_lists_them_where_chromium_does(void **state)
{
    end alice;
    (void)state;

    end_create(&alice, 1);
    add_audio(&alice);
    char *offer = offer_of(&alice);
    assert_string_equal(formats_of(offer), "111 63 0 8 13 110 126");
    assert_non_null(strstr(offer, "a=rtpmap:63 red/48000/2\r\n"));
    assert_non_null(strstr(offer, "a=fmtp:63 111/111\r\n"));
    assert_non_null(strstr(offer, "a=rtpmap:13 CN/8000\r\n"));
    assert_null(strstr(offer, "a=rtcp-fb:63"));
    free(offer);
    end_destroy(&alice);
}

static void preferences_name_red_and_the_noise(void **state)
{
    static const struct {
        const char *names[5], *formats;
    } cases[] = {
        {{"opus"}, "111"},
        {{"red", "opus"}, "63 111"},
        {{"opus", "red"}, "111 63"},
        {{"PCMU", "red"}, "0"}, /* nothing that it could carry */
        {{"PCMU", "CN", "opus", "red"}, "0 13 111 63"},
        {{"PCMA", "opus"}, "8 111"},
    };
    const char *const helpers[] = {"red", "CN", NULL};
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        end alice;
        end_create(&alice, 1);
        duet_transceiver *t = add_audio(&alice);
        assert_int_equal(prefer(t, helpers), DUET_ERR_INVALID);
        assert_int_equal(prefer(t, cases[i].names), DUET_OK);
        char *offer = offer_of(&alice);
        assert_string_equal(formats_of(offer), cases[i].formats);
        free(offer);
        end_destroy(&alice);
    }
}

/* ---- answers ---- */

static void red_in_front_is_sent_and_behind_it_is_not(void **state)
{
    static const char *const first[] = {"red", "opus", NULL}, *const behind[] = {"opus", "red", NULL};
    (void)state;

    for (int is_first = 0; is_first < 2; is_first++) {
        end alice, bob;
        end_create(&alice, 1);
        end_create(&bob, 2);
        duet_transceiver *t = add_audio(&alice), *other = add_audio(&bob);
        assert_int_equal(prefer(t, is_first ? first : behind), DUET_OK);
        negotiate(&alice, &bob);
        assert_red(t, is_first ? 63 : PC_NO_PAYLOAD_TYPE);
        assert_red(other, is_first ? 63 : PC_NO_PAYLOAD_TYPE);
        assert_string_equal(t->sender.codec.name, "opus");
        end_destroy(&alice);
        end_destroy(&bob);
    }
}

static void the_numbers_of_the_offer_are_taken(void **state)
{
    end bob;
    (void)state;

    end_create(&bob, 2);
    char *answer = answer_to(&bob, OFFER_SECTION("98 96 0 97") "a=rtpmap:96 opus/48000/2\r\n"
                                                               "a=rtpmap:98 red/48000/2\r\na=fmtp:98 96/96\r\n"
                                                               "a=rtpmap:97 CN/8000\r\n");
    assert_string_equal(formats_of(answer), "98 96 0 97");
    assert_non_null(strstr(answer, "a=fmtp:98 96/96\r\n"));
    assert_red(duet_pc_transceiver_at(bob.pc, 0), 98);
    free(answer);
    /* And they stay: a new offer of ours has them too. */
    char *offer = offer_of(&bob);
    assert_non_null(strstr(offer, "a=rtpmap:98 red/48000/2\r\n"));
    assert_non_null(strstr(offer, "a=fmtp:98 96/96\r\n"));
    assert_non_null(strstr(offer, "a=rtpmap:97 CN/8000\r\n"));
    assert_null(strstr(offer, " 63 "));
    free(offer);
    end_destroy(&bob);
}

static void red_of_something_else_is_not_answered(void **state)
{
    static const struct {
        const char *fmtp;
        bool is_answered;
    } cases[] = {
        {"111/111", true},  {"111", true},      {"111/111/111", true},
        {"111/112", false}, {"112/112", false}, {"63/63", false},
        {"0/0", false},     {"111/0", false},   {"126/126", false},
        {"111/", false},    {"/111", false},    {"111/111;x=1", false},
        {"111 111", false}, {"999/999", false}, {"111/99999999999999999999", false},
        {"red", false},     {"-1/111", false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char offer[2000];
        end bob;
        snprintf(offer, sizeof(offer),
                 OFFER_SECTION("63 111 112 0 126") "a=rtpmap:111 opus/48000/2\r\na=rtpmap:112 unheard-of/48000/2\r\n"
                                                   "a=rtpmap:126 telephone-event/8000\r\n"
                                                   "a=rtpmap:63 red/48000/2\r\na=fmtp:63 %s\r\n",
                 cases[i].fmtp);
        end_create(&bob, 2);
        char *answer = answer_to(&bob, offer);
        if (!!strstr(answer, "red/48000/2") != cases[i].is_answered)
            fail_msg("a=fmtp:63 %s: %s", cases[i].fmtp, answer);
        assert_red(duet_pc_transceiver_at(bob.pc, 0), cases[i].is_answered ? 63 : PC_NO_PAYLOAD_TYPE);
        free(answer);
        end_destroy(&bob);
    }
}

static void a_clock_that_does_not_fit_is_not_answered(void **state)
{
    end bob;
    (void)state;

    end_create(&bob, 2);
    char *answer = answer_to(
        &bob,
        OFFER_SECTION("0 111 97 98 99 96") "a=rtpmap:111 opus/48000/2\r\na=rtpmap:97 red/8000\r\na=fmtp:97 0/0\r\n"
                                           "a=rtpmap:98 CN/16000\r\na=rtpmap:99 CN/32000\r\na=rtpmap:96 red/48000\r\n"
                                           "a=fmtp:96 111/111\r\n");
    assert_string_equal(formats_of(answer), "0 111");
    free(answer);
    end_destroy(&bob);
}

static void red_without_a_list_is_received_and_not_sent(void **state)
{
    end bob;
    (void)state;

    end_create(&bob, 2);
    char *answer = answer_to(&bob, OFFER_SECTION("63 111") "a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\n");
    assert_string_equal(formats_of(answer), "63 111");
    assert_red(duet_pc_transceiver_at(bob.pc, 0), PC_NO_PAYLOAD_TYPE);
    free(answer);
    end_destroy(&bob);
}

/* As Firefox and aiortc do. @param formats  what the answer has */
static void answered_without(const char *formats, const char *has, const char * not )
{
    end alice, bob;
    duet_transceiver *t;

    end_create(&alice, 1);
    end_create(&bob, 2);
    t = add_audio(&alice);
    static const char *const first[] = {"red", "opus", "PCMU", "CN", NULL};
    assert_int_equal(prefer(t, first), DUET_OK);
    add_audio(&bob);
    char *offer = offer_of(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = replaced(end_local(&bob), "63 111 0 13", formats);
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    assert_red(t, PC_NO_PAYLOAD_TYPE);
    assert_non_null(pc_send_beside(t->sender.send, has, strcmp(has, "opus") == 0 ? 48000 : 8000));
    assert_null(pc_send_beside(t->sender.send, not, strcmp(not, "red") == 0 ? 48000 : 8000));
    free(offer);
    free(answer);
    end_destroy(&alice);
    end_destroy(&bob);
}

static void what_the_answer_does_not_have_is_not_sent(void **state)
{
    (void)state;

    answered_without("111 0", "opus", "red");
    answered_without("111 0", "PCMU", "CN");
    answered_without("111 0 13", "CN", "red");
    answered_without("0 63 13", "CN", "telephone-event"); /* red, and nothing for it */
}

static void an_answer_with_another_list_is_not_followed(void **state)
{
    static const char *const first[] = {"red", "opus", NULL};
    end alice, bob;
    (void)state;

    end_create(&alice, 1);
    end_create(&bob, 2);
    duet_transceiver *t = add_audio(&alice);
    assert_int_equal(prefer(t, first), DUET_OK);
    add_audio(&bob);
    char *offer = offer_of(&alice);
    set_remote(&bob, DUET_SDP_OFFER, offer);
    set_local(&bob, DUET_SDP_ANSWER, NULL);
    char *answer = replaced(end_local(&bob), "a=fmtp:63 111/111", "a=fmtp:63 111/0");
    set_remote(&alice, DUET_SDP_ANSWER, answer);
    assert_red(t, PC_NO_PAYLOAD_TYPE);
    free(offer);
    free(answer);
    end_destroy(&alice);
    end_destroy(&bob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_lists_them_where_chromium_does),
        cmocka_unit_test(preferences_name_red_and_the_noise),
        cmocka_unit_test(red_in_front_is_sent_and_behind_it_is_not),
        cmocka_unit_test(the_numbers_of_the_offer_are_taken),
        cmocka_unit_test(red_of_something_else_is_not_answered),
        cmocka_unit_test(a_clock_that_does_not_fit_is_not_answered),
        cmocka_unit_test(red_without_a_list_is_received_and_not_sent),
        cmocka_unit_test(what_the_answer_does_not_have_is_not_sent),
        cmocka_unit_test(an_answer_with_another_list_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
