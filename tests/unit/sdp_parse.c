/* The parser: each error has its line, column and reason; oddities are kept; limits, memory and order hold. */
#include "sdp_common.h"

#define AUDIO "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n"
#define VIDEO "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n"
#define DATA  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"

static void expect_error_len(const char *text, size_t len, int err, size_t line, size_t column, const char *reason)
{
    duet_sdp_error error = {0};
    duet_sdp *sdp;

    int got = duet_sdp_parse(&sdp, NULL, text, len, &error);
    if (got == DUET_OK)
        fail_msg("accepted: %s", text);
    assert_null(sdp);
    if (got != err || error.line != line || error.column != column || !strstr(error.reason, reason))
        fail_msg("%s\ngot %d at %zu:%zu: %s\nexpected %d at %zu:%zu: %s", text, got, error.line, error.column,
                 error.reason, err, line, column, reason);
}

static void expect_error(const char *text, size_t line, size_t column, const char *reason)
{
    expect_error_len(text, strlen(text), DUET_ERR_MALFORMED, line, column, reason);
}

/* The attribute stands in line 7, behind a session part of four lines, m= and c=. */
static void expect_attribute_error(const char *section, const char *attribute, size_t column, const char *reason)
{
    char text[1024];

    snprintf(text, sizeof(text), SDP_SESSION "%sa=%s\r\n", section, attribute);
    expect_error(text, 7, column, reason);
}

static void the_reason_shows_the_line_and_names_the_rule(void **state)
{
    duet_sdp_error error;
    duet_sdp *sdp;
    static const char text[] = SDP_SESSION AUDIO "a=setup:actpas\r\n";
    (void)state;

    assert_int_equal(duet_sdp_parse(&sdp, NULL, text, strlen(text), &error), DUET_ERR_MALFORMED);
    assert_int_equal(error.line, 7);
    assert_int_equal(error.column, 9);
    assert_string_equal(error.reason,
                        "\"a=setup:actpas\": setup is active, passive, actpass or holdconn (RFC 8842, 5.2)");
}

static void a_long_line_is_shortened_in_the_reason(void **state)
{
    (void)state;
    expect_error(SDP_SESSION AUDIO "a=candidate:1 1 udp 2113937151 192.0.2.1 54400 typ host generation 0 ufrag x\r\n",
                 7, 76, "\"a=candidate:1 1 udp 2113937151 192.0.2.1...\": the ufrag is 4 to 256 ice-chars");
}

static void errors_of_the_frame_are_found(void **state)
{
    (void)state;
    expect_error("", 1, 1, "begins with v=0");
    expect_error("a=x\r\n", 1, 1, "begins with v=0");
    expect_error("v=1\r\n", 1, 3, "version of SDP is 0");
    expect_error("v=00\r\n", 1, 4, "nothing more");
    expect_error("v=0\r\n", 2, 1, "o= line is missing");
    expect_error("v=0\r\ns=-\r\n", 2, 1, "o= line is missing");
    expect_error("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nt=0 0\r\n", 3, 1, "s= line is missing");
    expect_error("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\na=x\r\n", 4, 1, "t= line is missing");
    expect_error("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n" AUDIO, 4, 1, "t= line is missing");
    expect_error("v=0\r\nv=0\r\n", 2, 1, "here already");
    expect_error("V=0\r\n", 1, 1, "lower-case letter");
    expect_error("v =0\r\n", 1, 2, "\"=\" is expected");
    expect_error("v\r\n", 1, 2, "\"=\" is expected");
    expect_error("v=0\r\n\r\n", 2, 1, "empty line");
    expect_error("v=0\ro=- 1 2 IN IP4 1.1.1.1\r\n", 1, 4, "CR without LF");
    expect_error("v=0\r\r\n", 1, 4, "CR without LF");
    expect_error("v=0\r", 1, 4, "CR without LF");
    expect_error_len("v=0\r\no=-\0 1", 12, DUET_ERR_MALFORMED, 2, 4, "NUL byte");
}

static void errors_of_order_are_found(void **state)
{
    (void)state;
    expect_error(SDP_SESSION "c=IN IP4 0.0.0.0\r\n", 5, 1, "comes too late");
    expect_error(SDP_SESSION "a=x\r\nb=AS:1\r\n", 6, 1, "comes too late");
    expect_error(SDP_SESSION "i=late\r\n", 5, 1, "comes too late");
    expect_error(SDP_SESSION AUDIO "a=x\r\nb=AS:1\r\n", 8, 1, "comes too late");
    expect_error(SDP_SESSION AUDIO "i=late\r\n", 7, 1, "comes too late");
    expect_error(SDP_SESSION AUDIO "t=0 0\r\n", 7, 1, "belongs in the session part");
    expect_error(SDP_SESSION AUDIO "v=0\r\n", 7, 1, "belongs in the session part");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nr=1 1 1\r\n", 4, 1, "t= line is expected");
}

static void errors_of_session_lines_are_found(void **state)
{
    (void)state;
    expect_error("v=0\r\no=\r\n", 2, 3, "user name");
    expect_error("v=0\r\no=- x 2 IN IP4 127.0.0.1\r\n", 2, 5, "session id is a 64-bit number");
    expect_error("v=0\r\no=- 18446744073709551616 2 IN IP4 127.0.0.1\r\n", 2, 5, "session id is a 64-bit number");
    expect_error("v=0\r\no=- 1 -2 IN IP4 127.0.0.1\r\n", 2, 7, "version is a 64-bit number");
    expect_error("v=0\r\no=- 1 2  IN IP4 127.0.0.1\r\n", 2, 9, "network type");
    expect_error("v=0\r\no=- 1 2 IN IP4\r\n", 2, 15, "single space");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1 \r\n", 2, 23, "nothing more");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nt=0\r\n", 4, 4, "single space");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nt=0 12345\r\n", 4, 5, "ten digits");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nb=AS128\r\n", 4, 8, "colon is expected");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nb=AS:x\r\n", 4, 6, "bandwidth is a number");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nc=IN IP4 \r\n", 4, 10, "address is expected");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nu=\r\n", 4, 3, "URI is expected");
    expect_error("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\ne=\r\n", 4, 3, "nothing after");
    expect_error(SDP_SESSION "r=7d\r\n", 5, 5, "single space");
    expect_error(SDP_SESSION "r=7d 1h\r\n", 5, 8, "single space");
    expect_error(SDP_SESSION "z=0 x\r\n", 5, 5, "duration");
    expect_error(SDP_SESSION "k=open\r\n", 5, 3, "k= is prompt");
}

static void errors_of_media_lines_are_found(void **state)
{
    (void)state;
    expect_error(SDP_SESSION "m=\r\n", 5, 3, "media type");
    expect_error(SDP_SESSION "m=audio x RTP/AVP 0\r\n", 5, 9, "port from 0 to 65535");
    expect_error(SDP_SESSION "m=audio 65536 RTP/AVP 0\r\n", 5, 9, "port from 0 to 65535");
    expect_error(SDP_SESSION "m=audio 9/0 RTP/AVP 0\r\n", 5, 11, "number of ports");
    expect_error(SDP_SESSION "m=audio 9 RTP//AVP 0\r\n", 5, 15, "protocol");
    expect_error(SDP_SESSION "m=audio 9 RTP/AVP\r\n", 5, 18, "single space");
    expect_error(SDP_SESSION "m=audio 9 RTP/AVP 128\r\n", 5, 19, "payload type is a number from 0 to 127");
    expect_error(SDP_SESSION "m=audio 9 RTP/AVP 0  8\r\n", 5, 21, "payload type");
    expect_error(SDP_SESSION "m=audio 9 RTP/AVP 0x\r\n", 5, 20, "single space");
    expect_error(SDP_SESSION "m=application 9 UDP/DTLS/SCTP (\r\n", 5, 31, "format is expected");
}

static void errors_of_attributes_are_found(void **state)
{
    (void)state;
    expect_attribute_error(AUDIO, "", 3, "name of an attribute");
    expect_attribute_error(AUDIO, ":x", 3, "name of an attribute");
    expect_attribute_error(AUDIO, "na me:x", 5, "colon or the end");
    expect_attribute_error(AUDIO, "mid", 6, "needs a value");
    expect_attribute_error(AUDIO, "mid:a b", 8, "nothing more");
    expect_attribute_error(AUDIO, "rtcp-mux:yes", 12, "no value");
    expect_attribute_error(AUDIO, "sendrecv:x", 12, "no value");
    expect_attribute_error(AUDIO, "ice-ufrag:abc", 13, "ice-ufrag has 4 to 256");
    expect_attribute_error(AUDIO, "ice-ufrag:ab-cd", 13, "ice-ufrag has 4 to 256");
    expect_attribute_error(AUDIO, "ice-pwd:tooshort", 11, "ice-pwd has 22 to 256");
    expect_attribute_error(AUDIO, "ice-options:a  b", 17, "ICE option");
    expect_attribute_error(AUDIO, "candidate:1 1 udp x", 21, "priority");
    expect_attribute_error(AUDIO, "fingerprint:sha-256 AB:CD", 15, "as many bytes");
    expect_attribute_error(AUDIO, "setup:", 9, "setup is active");
    expect_attribute_error(AUDIO, "tls-id:short", 10, "tls-id has 20 to 255");
    expect_attribute_error(AUDIO, "rtpmap:111", 13, "single space");
    expect_attribute_error(AUDIO, "rtpmap:200 opus/48000/2", 10, "payload type");
    expect_attribute_error(AUDIO, "rtpmap:111 opus", 18, "slash and the clock rate");
    expect_attribute_error(AUDIO, "rtpmap:111 opus/0", 19, "clock rate");
    expect_attribute_error(AUDIO, "rtpmap:111 opus/48000/256", 25, "channels");
    expect_attribute_error(AUDIO, "rtpmap:111 opus/48000/2 ", 26, "nothing more");
    expect_attribute_error(AUDIO, "fmtp:111", 11, "single space");
    expect_attribute_error(AUDIO, "rtcp-fb:* ", 13, "kind of feedback");
    expect_attribute_error(AUDIO, "rtcp-fb:x nack", 11, "payload type");
    expect_attribute_error(AUDIO, "rtcp:9 IN", 12, "single space");
    expect_attribute_error(AUDIO, "extmap:0 urn:x", 10, "extension id");
    expect_attribute_error(AUDIO, "extmap:300 urn:x", 10, "extension id");
    expect_attribute_error(AUDIO, "extmap:1/sendsometimes urn:x", 12, "direction");
    expect_attribute_error(AUDIO, "extmap:1", 11, "single space");
    expect_attribute_error(AUDIO, "ssrc:4294967296 cname:x", 8, "32-bit number");
    expect_attribute_error(AUDIO, "ssrc:1", 9, "single space");
    expect_attribute_error(AUDIO, "ssrc-group:FID 1 x", 20, "32-bit number");
    expect_attribute_error(VIDEO, "rid:a! send", 8, "single space");
    expect_attribute_error(VIDEO, "rid:a both", 9, "send or recv");
    expect_attribute_error(VIDEO, "rid:a send ", 14, "restrictions");
    expect_attribute_error(VIDEO, "simulcast:q", 13, "\"send\" or \"recv\"");
    expect_attribute_error(VIDEO, "simulcast:send a;;b", 20, "rid is expected");
    expect_attribute_error(VIDEO, "simulcast:send a send b", 20, "\"send\" or \"recv\"");
    expect_attribute_error(VIDEO, "msid:a b c", 11, "nothing more");
    expect_attribute_error(DATA, "sctp-port:65536", 13, "SCTP port");
    expect_attribute_error(DATA, "sctpmap:5000", 15, "single space");
    expect_attribute_error(DATA, "max-message-size:lots", 20, "number of bytes");
    expect_attribute_error(AUDIO, "ptime:20.", 12, "digits are expected");
    expect_error(SDP_SESSION "a=group:BUNDLE  0\r\n", 5, 16, "mid is a token");
}

static void expect_warning(const char *text, size_t line, size_t column, const char *reason)
{
    duet_sdp *sdp = sdp_parsed(text);
    bool found = false;

    for (size_t i = 0; i < duet_sdp_warning_count(sdp); i++) {
        const duet_sdp_error *w = duet_sdp_warning(sdp, i);
        found = found || (w->line == line && w->column == column && strstr(w->reason, reason));
    }
    if (!found)
        fail_msg("%s\nno warning at %zu:%zu: %s; the first of %zu: %zu:%zu %s", text, line, column, reason,
                 duet_sdp_warning_count(sdp), duet_sdp_warning_count(sdp) ? duet_sdp_warning(sdp, 0)->line : 0,
                 duet_sdp_warning_count(sdp) ? duet_sdp_warning(sdp, 0)->column : 0,
                 duet_sdp_warning_count(sdp) ? duet_sdp_warning(sdp, 0)->reason : "");
    char *written = sdp_written(sdp);
    assert_int_equal(strncmp(written, text, strlen(text)), 0);
    duet_free(NULL, written);
    duet_sdp_destroy(sdp);
}

static void ice_options_are_found_behind_a_comma_too(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_parsed(SDP_SESSION AUDIO "a=ice-options:ice2,trickle x\r\n");

    assert_true(duet_sdp_media_ice_option(sdp, 0, "trickle"));
    assert_true(duet_sdp_media_ice_option(sdp, 0, "ice2"));
    assert_true(duet_sdp_media_ice_option(sdp, 0, "x"));
    assert_false(duet_sdp_media_ice_option(sdp, 0, "ice2,trickle"));
    assert_false(duet_sdp_media_ice_option(sdp, 0, "ice"));
    duet_sdp_destroy(sdp);
}

static void oddities_are_kept_and_reported(void **state)
{
    (void)state;
    expect_warning("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=\r\nt=0 0\r\n", 3, 3, "empty session name");
    expect_warning("v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nt=0 0", 4, 6, "no end");
    expect_warning(SDP_SESSION "q=what\r\n", 5, 1, "unknown type");
    expect_warning(SDP_SESSION "a=unknown:\r\n", 5, 11, "nothing behind the colon");
    expect_warning(SDP_SESSION "a=mid:0\r\n", 5, 3, "belongs in an m-section");
    expect_warning(SDP_SESSION AUDIO "a=group:BUNDLE 0\r\n", 7, 3, "belongs in the session part");
    expect_warning(SDP_SESSION AUDIO "a=mid:0\r\na=mid:1\r\n", 8, 3, "the first one counts");
    expect_warning(SDP_SESSION AUDIO "a=sendonly\r\na=recvonly\r\n", 8, 3, "the first one counts");
    expect_warning(SDP_SESSION AUDIO "a=rtcp-fb:96 nack\r\n", 7, 11, "does not list");
    expect_warning(SDP_SESSION AUDIO "a=rtcp-fb:111 nack \r\n", 7, 20, "space at its end");
    expect_warning(SDP_SESSION AUDIO "a=candidate:1 1 sctp 1 192.0.2.1 1 typ host\r\n", 7, 17, "neither udp nor tcp");
    expect_warning(SDP_SESSION AUDIO "a=fingerprint:md5 AB\r\n", 7, 15, "unknown hash");
    expect_warning(SDP_SESSION AUDIO
                   "a=fingerprint:sha-1 AB:CD:EF:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11\r\n",
                   7, 15, "SHA-1");
    expect_warning(SDP_SESSION AUDIO "a=ice-options:google-ice\r\n", 7, 15, "ICE option");
    expect_warning(SDP_SESSION AUDIO "a=ice-options:ice2,trickle\r\n", 7, 19, "separated by spaces"); /* libjuice */
    expect_warning(SDP_SESSION AUDIO "a=extmap:1 urn:a\r\na=extmap:1 urn:b\r\n", 8, 10, "in use already");
    expect_warning(SDP_SESSION DATA "a=fmtp:webrtc-datachannel x=1\r\n", 7, 8, "no payload type");
    expect_warning(SDP_SESSION "m=audio 9 RTP/AVP 0 0\r\nc=IN IP4 0.0.0.0\r\n", 5, 22, "listed twice");
    expect_warning(SDP_SESSION "m=audio 9 RTP/AVP 0\r\n", 5, 1, "no c= line");
    expect_warning(SDP_SESSION VIDEO "m=audio 9 RTP/AVP 0\r\n", 7, 1, "no c= line");
}

static void what_an_oddity_means_nothing_for_is_not_used(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_parsed(SDP_SESSION "a=mid:9\r\n" AUDIO "a=mid:0\r\na=mid:1\r\na=sendonly\r\na=recvonly\r\n"
                                           "a=candidate:1 1 sctp 1 192.0.2.1 1 typ host\r\n"
                                           "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"
                                           "a=fingerprint:md5 AB\r\n");
    duet_fingerprint f;
    duet_candidate c;
    size_t cursor = 0;

    assert_true(sdp_text_equals(duet_sdp_media_mid(sdp, 0), "0"));
    assert_false(duet_sdp_has(sdp, DUET_SDP_SESSION, DUET_SDP_MID));
    assert_int_equal(duet_sdp_media_direction(sdp, 0), DUET_SDP_SENDONLY);
    assert_true(duet_sdp_media_candidate(sdp, 0, &cursor, &c));
    assert_int_equal(c.protocol, DUET_UDP);
    assert_false(duet_sdp_media_candidate(sdp, 0, &cursor, &c));
    assert_int_equal(duet_sdp_media_fingerprints(sdp, 0, &f, 1), 0);
    duet_sdp_destroy(sdp);
}

static void a_full_session_part_survives(void **state)
{
    static const char text[] =
        "v=0\r\no=jdoe 3724394400 3724394405 IN IP6 2001:db8::1\r\ns=Call to John Smith\r\n"
        "i=SDP Offer #1\r\nu=http://www.jdoe.example.com/home.html\r\n"
        "e=Jane Doe <jane@jdoe.example.com>\r\np=+1 617 555-6011\r\n"
        "c=IN IP4 224.2.1.1/127/3\r\nb=X-YZ:128\r\nb=AS:5\r\nt=3724394400 3724398000\r\n"
        "r=604800 3600 0 90000\r\nr=7d 1h 0 25h\r\nz=3730928400 -1h 3749680800 0\r\n"
        "t=0 0\r\nk=prompt\r\na=recvonly\r\na=x-foo:b\x80r\r\n"
        "m=audio 49170/2 RTP/AVP 0\r\ni=track\r\nc=IN IP4 224.2.1.1/127\r\nc=IN IP4 224.2.1.2/127\r\n"
        "b=AS:1\r\nk=clear:secret\r\na=ptime:20\r\n"
        "m=text 9 TCP/MSRP *\r\nw=unknown\r\n";
    (void)state;
    duet_sdp *sdp = sdp_parsed(text);
    char *again = sdp_written(sdp);
    duet_sdp_value v;
    size_t cursor = 0;

    assert_string_equal(again, text);
    assert_int_equal(duet_sdp_media_at(sdp, 0)->port_count, 2);
    assert_int_equal(duet_sdp_media_at(sdp, 1)->kind, DUET_SDP_OTHER);
    assert_int_equal(duet_sdp_media_direction(sdp, 0), DUET_SDP_RECVONLY);
    assert_true(duet_sdp_next(sdp, 0, DUET_SDP_PTIME, &cursor, &v));
    assert_int_equal(v.as.number, 20);
    assert_int_equal(duet_sdp_line_at(sdp, 0, 0)->type, 'm');
    assert_int_equal(duet_sdp_line_at(sdp, 1, 1)->type, 'w');
    assert_null(duet_sdp_line_at(sdp, 1, 2));
    assert_null(duet_sdp_line_at(sdp, 7, 0));
    assert_null(duet_sdp_media_at(sdp, 2));
    duet_free(NULL, again);
    duet_sdp_destroy(sdp);
}

static void the_old_form_of_data_channels_is_understood(void **state)
{
    (void)state;
    duet_sdp *sdp = sdp_parsed(SDP_SESSION "m=application 9 DTLS/SCTP 5001\r\nc=IN IP4 0.0.0.0\r\n"
                                           "a=sctpmap:5001 webrtc-datachannel 256\r\n");
    uint16_t port;
    uint64_t size;
    duet_sdp_value v;
    size_t cursor = 0;

    assert_true(duet_sdp_media_is_data(sdp, 0));
    assert_int_equal(duet_sdp_media_sctp_port(sdp, 0, &port), DUET_OK);
    assert_int_equal(port, 5001);
    assert_true(duet_sdp_next(sdp, 0, DUET_SDP_SCTPMAP, &cursor, &v));
    assert_int_equal(v.as.sctpmap.streams, 256);
    assert_int_equal(duet_sdp_media_max_message_size(sdp, 0, &size), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_sdp_warning_count(sdp), 0);
    duet_sdp_destroy(sdp);
}

static void session_values_are_defaults_of_the_sections(void **state)
{
    (void)state;
    duet_sdp *sdp =
        sdp_parsed(SDP_SESSION "a=ice-ufrag:sess\r\na=ice-pwd:sessionsessionsession12\r\na=ice-options:trickle\r\n"
                               "a=setup:passive\r\na=inactive\r\na=ice-lite\r\na=extmap:7 urn:session\r\n" AUDIO VIDEO
                               "a=ice-ufrag:medi\r\na=ice-pwd:mediamediamediamedia12\r\na=ice-options:ice2\r\n"
                               "a=setup:active\r\na=sendonly\r\na=extmap:8 urn:media\r\n");
    duet_ice_credentials ice;
    duet_setup setup;

    assert_int_equal(duet_sdp_media_ice(sdp, 0, &ice), DUET_OK);
    assert_string_equal(ice.ufrag, "sess");
    assert_int_equal(duet_sdp_media_ice(sdp, 1, &ice), DUET_OK);
    assert_string_equal(ice.pwd, "mediamediamediamedia12");
    assert_int_equal(duet_sdp_media_setup(sdp, 0, &setup), DUET_OK);
    assert_int_equal(setup, DUET_SETUP_PASSIVE);
    assert_int_equal(duet_sdp_media_setup(sdp, 1, &setup), DUET_OK);
    assert_int_equal(setup, DUET_SETUP_ACTIVE);
    assert_int_equal(duet_sdp_media_direction(sdp, 0), DUET_SDP_INACTIVE);
    assert_int_equal(duet_sdp_media_direction(sdp, 1), DUET_SDP_SENDONLY);
    assert_true(duet_sdp_media_ice_option(sdp, 1, "trickle"));
    assert_true(duet_sdp_media_ice_option(sdp, 1, "ice2"));
    assert_true(duet_sdp_ice_lite(sdp));
    assert_int_equal(duet_sdp_media_extmap_id(sdp, 0, "urn:session"), 7);
    assert_int_equal(duet_sdp_media_extmap_id(sdp, 1, "urn:session"), 7);
    assert_int_equal(duet_sdp_media_extmap_id(sdp, 1, "urn:media"), 8);
    duet_sdp_destroy(sdp);
}

/* ---- limits ---- */

/* `count` times `unit` behind the session part; the caller frees it. */
static char *repeated(const char *unit, size_t count, size_t *len)
{
    size_t head = strlen(SDP_SESSION), step = strlen(unit);
    char *text = malloc(head + count * step + 1);

    memcpy(text, SDP_SESSION, head);
    for (size_t i = 0; i < count; i++)
        memcpy(text + head + i * step, unit, step);
    *len = head + count * step;
    text[*len] = 0;
    return text;
}

static void expect_limit(const char *unit, size_t fits)
{
    size_t len;
    char *text = repeated(unit, fits, &len);

    duet_sdp_destroy(sdp_parsed_len(text, len));
    free(text);
    text = repeated(unit, fits + 1, &len);
    duet_sdp_error error = {0};
    duet_sdp *sdp;
    assert_int_equal(duet_sdp_parse(&sdp, NULL, text, len, &error), DUET_ERR_LIMIT);
    assert_true(error.reason[0] != 0);
    free(text);
}

static void too_much_of_anything_is_refused(void **state)
{
    (void)state;
    expect_limit("a=x\r\n", DUET_SDP_LINES_MAX - 4);
    expect_limit("m=audio 9 RTP/AVP 0\n", DUET_SDP_MEDIA_MAX);
    expect_limit("a=group:LS\n", DUET_SDP_MEDIA_MAX);

    char *line = malloc(DUET_SDP_LINE_MAX + 2);
    memset(line, 'x', DUET_SDP_LINE_MAX + 1);
    memcpy(line, "a=", 2);
    line[DUET_SDP_LINE_MAX] = '\n';
    line[DUET_SDP_LINE_MAX + 1] = 0;
    size_t len;
    char *text = repeated(line, 1, &len);
    duet_sdp_destroy(sdp_parsed_len(text, len));
    free(text);
    line[DUET_SDP_LINE_MAX] = 'x';
    text = repeated(line, 1, &len);
    expect_error_len(text, len, DUET_ERR_LIMIT, 5, DUET_SDP_LINE_MAX + 1, "too long");
    free(text);
    free(line);

    char *huge = malloc(DUET_SDP_TEXT_MAX + 1);
    memset(huge, 'x', DUET_SDP_TEXT_MAX + 1);
    duet_sdp *sdp;
    assert_int_equal(duet_sdp_parse(&sdp, NULL, huge, DUET_SDP_TEXT_MAX + 1, NULL), DUET_ERR_LIMIT);
    free(huge);
}

static void warnings_stop_at_their_limit(void **state)
{
    size_t len;
    char *text = repeated("q=\n", 1000, &len);
    (void)state;

    duet_sdp *sdp = sdp_parsed_len(text, len);
    assert_int_equal(duet_sdp_warning_count(sdp), DUET_SDP_WARNINGS_MAX);
    duet_sdp_destroy(sdp);
    free(text);
}

/* ---- memory ---- */

typedef struct counted {
    size_t size;
    max_align_t data[];
} counted;

static size_t live_bytes, peak_bytes;

static void *counted_realloc(void *user, void *ptr, size_t size)
{
    counted *old = ptr ? (counted *)((char *)ptr - offsetof(counted, data)) : NULL;
    size_t before = old ? old->size : 0;
    (void)user;

    counted *fresh = malloc(sizeof(counted) + size);
    if (!fresh)
        return NULL;
    fresh->size = size;
    live_bytes += size;
    peak_bytes = live_bytes > peak_bytes ? live_bytes : peak_bytes;
    if (old)
        memcpy(fresh->data, old->data, before < size ? before : size);
    live_bytes -= before;
    free(old);
    return fresh->data;
}

static void *counted_alloc(void *user, size_t size)
{
    return counted_realloc(user, NULL, size);
}

static void counted_free(void *user, void *ptr)
{
    (void)user;
    if (!ptr)
        return;
    counted *old = (counted *)((char *)ptr - offsetof(counted, data));
    live_bytes -= old->size;
    free(old);
}

static void expect_bounded_memory(const char *unit, size_t count)
{
    static const duet_allocator allocator = {counted_alloc, counted_realloc, counted_free, NULL};
    duet_env env = DUET_ENV_INIT;
    size_t len;
    char *text = repeated(unit, count, &len);
    duet_sdp *sdp;

    env.allocator = &allocator;
    live_bytes = peak_bytes = 0;
    duet_sdp_parse(&sdp, &env, text, len, NULL);
    if (peak_bytes > len * DUET_SDP_MEMORY_FACTOR + DUET_SDP_MEMORY_BASE)
        fail_msg("%zu bytes for %zu of \"%s\"", peak_bytes, len, unit);
    duet_sdp_destroy(sdp);
    assert_int_equal(live_bytes, 0);
    free(text);
}

static void memory_is_a_documented_multiple_of_the_text(void **state)
{
    static const char *const units[] = {"a=x\n",        "q=\n",        "m=a 0 b c\n",     "a=mid:0\n",
                                        "a=rtcp-mux\n", "a=group:a\n", "a=candidate:x\n", "a=extmap:1 a\n"};
    static const size_t counts[] = {1, 2, 5, 100, 256, 1025, 8193, 16380, 40000};
    (void)state;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
            expect_bounded_memory(units[i], counts[k]);
}

/* ---- hostile input ---- */

static void a_mebibyte_of_hostile_text_is_harmless(void **state)
{
    static const char *const units[] = {
        "a=group:BUNDLE 0 1 2 3 4 5 6 7 8 9 a b c d e f 0 1 2 3 4 5 6 7 8 9 a b c d e f\n",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\na=rtcp-fb:0 nack\na=extmap:1 urn:x\n",
        "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\n",
        "a=rid:a send\na=simulcast:send a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t;u;v;w;x;y;z\n",
    };
    static sdp_endpoint endpoint;
    (void)state;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        for (size_t count = 64; count * strlen(units[i]) < DUET_SDP_TEXT_MAX - 200; count *= 4) {
            size_t len;
            char *text = repeated(units[i], count, &len);
            duet_sdp *sdp;
            if (duet_sdp_parse(&sdp, NULL, text, len, NULL) == DUET_OK) {
                size_t tag;
                for (size_t m = 0; m < duet_sdp_media_count(sdp); m++)
                    (void)duet_sdp_bundle_tag(sdp, m, &tag);
                (void)duet_sdp_check(sdp, NULL);
                sdp_endpoint_init(&endpoint, "duet");
                sdp_endpoint_face(&endpoint, sdp);
                duet_sdp *answer;
                if (duet_sdp_create_answer(&answer, NULL, sdp, &endpoint.options, NULL) == DUET_OK)
                    duet_sdp_destroy(answer);
                for (size_t m = 0; m < duet_sdp_media_count(sdp); m++)
                    (void)duet_sdp_remove(sdp, m, "candidate");
                (void)duet_sdp_remove(sdp, DUET_SDP_SESSION, "candidate");
                duet_sdp_destroy(sdp);
            }
            free(text);
        }
    }
}

static void random_mutations_never_break_the_round_trip(void **state)
{
    size_t len;
    uint8_t *data = test_data("sdp/firefox-offer-simulcast.sdp", &len);
    uint64_t seed = 20240611, accepted = 0;
    (void)state;

    for (int round = 0; round < 3000; round++) {
        char *copy = malloc(len);
        memcpy(copy, data, len);
        for (uint64_t edits = 1 + test_random_below(&seed, 3); edits > 0; edits--) {
            size_t at = (size_t)test_random_below(&seed, len);
            static const char bytes[] = "\r\n:=/ ;~0a\x80\x01";
            copy[at] =
                test_random_below(&seed, 4) ? bytes[test_random_below(&seed, sizeof(bytes))] : (char)test_random(&seed);
        }
        duet_sdp *sdp, *again;
        duet_sdp_error error = {0};
        if (duet_sdp_parse(&sdp, NULL, copy, len, &error) == DUET_OK) {
            char *first = sdp_written(sdp);
            assert_int_equal(duet_sdp_parse(&again, NULL, first, strlen(first), NULL), DUET_OK);
            char *second = sdp_written(again);
            assert_string_equal(first, second);
            duet_free(NULL, first);
            duet_free(NULL, second);
            duet_sdp_destroy(again);
            duet_sdp_destroy(sdp);
            accepted++;
        } else {
            assert_true(error.line > 0 && error.column > 0 && error.reason[0]);
        }
        free(copy);
    }
    print_message("%llu of 3000 mutations accepted\n", (unsigned long long)accepted);
    assert_true(accepted > 100 && accepted < 2900);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reason_shows_the_line_and_names_the_rule),
        cmocka_unit_test(a_long_line_is_shortened_in_the_reason),
        cmocka_unit_test(errors_of_the_frame_are_found),
        cmocka_unit_test(errors_of_order_are_found),
        cmocka_unit_test(errors_of_session_lines_are_found),
        cmocka_unit_test(errors_of_media_lines_are_found),
        cmocka_unit_test(errors_of_attributes_are_found),
        cmocka_unit_test(ice_options_are_found_behind_a_comma_too),
        cmocka_unit_test(oddities_are_kept_and_reported),
        cmocka_unit_test(what_an_oddity_means_nothing_for_is_not_used),
        cmocka_unit_test(a_full_session_part_survives),
        cmocka_unit_test(the_old_form_of_data_channels_is_understood),
        cmocka_unit_test(session_values_are_defaults_of_the_sections),
        cmocka_unit_test(too_much_of_anything_is_refused),
        cmocka_unit_test(warnings_stop_at_their_limit),
        cmocka_unit_test(memory_is_a_documented_multiple_of_the_text),
        cmocka_unit_test(a_mebibyte_of_hostile_text_is_harmless),
        cmocka_unit_test(random_mutations_never_break_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
