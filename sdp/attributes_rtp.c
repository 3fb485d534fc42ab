/* The grammars of the attributes of RTP: rtpmap, fmtp (RFC 8866), rtcp-fb (RFC 4585), rtcp (RFC 3605), extmap
 * (RFC 8285), ssrc (RFC 5576), rid (RFC 8851), simulcast (RFC 8853) and msid (RFC 8830). */
#include "sdp/internal.h"

static bool is_id_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '-' || c == '_';
}

/* payload-type SP encoding-name "/" clock-rate ["/" encoding-params] */
bool duet_sdp_parse_rtpmap(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_rtpmap *map = &out->as.rtpmap;
    uint64_t value;

    if (!duet_sdp_payload_type(s, &map->payload_type) || !duet_sdp_space(s) ||
        !duet_sdp_run(s, duet_char_is_token, &map->name, "an encoding name such as opus is expected (RFC 8866, 6.6)"))
        return false;
    if (!duet_text_skip(&s->r, '/'))
        return duet_sdp_fail(s, "a slash and the clock rate are expected here (RFC 8866, 6.6)");
    if (!duet_sdp_number(s, 1, UINT32_MAX, &value, "the clock rate is a number above 0 (RFC 8866, 6.6)"))
        return false;
    map->clock_rate = (uint32_t)value;
    map->channels = 1;
    if (!duet_text_skip(&s->r, '/'))
        return true;
    if (!duet_sdp_number(s, 1, UINT8_MAX, &value, "the number of channels is 1 to 255 (RFC 8866, 6.6)"))
        return false;
    map->channels = (uint8_t)value;
    return true;
}

/* A format that is no payload type: "a=fmtp:webrtc-datachannel ..." was written for data channels once. */
static bool other_format(sdp_scan *s)
{
    duet_sdp_text word;

    if (duet_char_is_digit(duet_peek_u8(&s->r, 0)))
        return false;
    duet_sdp_odd(s, "this format is no payload type");
    if (!duet_sdp_run(s, duet_char_is_token, &word, "a payload type is expected here"))
        return false;
    s->unsupported = true;
    return true;
}

/* fmt SP format-specific-params */
bool duet_sdp_parse_fmtp(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_fmtp *fmtp = &out->as.fmtp;

    if (!other_format(s) && !duet_sdp_payload_type(s, &fmtp->payload_type))
        return false;
    if (!duet_sdp_space(s))
        return false;
    if (duet_text_at_end(&s->r))
        duet_sdp_odd(s, "a=fmtp without parameters (RFC 8866, 6.15)");
    fmtp->parameters = duet_sdp_rest(s);
    return true;
}

static duet_sdp_text without_spaces_behind(duet_sdp_text text)
{
    while (text.len > 0 && text.text[text.len - 1] == ' ')
        text.len--;
    return text;
}

/* ("*" / fmt) SP rtcp-fb-id [SP ...]. Some stacks write the space of a parameter that they do not have. */
bool duet_sdp_parse_rtcp_fb(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_rtcp_fb *fb = &out->as.rtcp_fb;
    duet_sdp_text id;

    if (duet_text_skip(&s->r, '*'))
        fb->payload_type = DUET_SDP_ANY_PAYLOAD_TYPE;
    else if (!duet_sdp_payload_type(s, &fb->payload_type))
        return false;
    if (!duet_sdp_space(s))
        return false;
    sdp_scan all = *s;
    if (!duet_sdp_run(s, is_id_char, &id, "a kind of feedback such as nack is expected here (RFC 4585, 4.2)"))
        return false;
    if (!duet_text_at_end(&s->r) && !duet_sdp_space(s))
        return false;
    duet_sdp_text whole = duet_sdp_rest(&all);
    fb->feedback = without_spaces_behind(whole);
    duet_sdp_rest(s);
    if (fb->feedback.len < whole.len)
        duet_sdp_odd(s, "a=rtcp-fb with a space at its end (RFC 4585, 4.2)");
    return true;
}

/* port [SP nettype SP addrtype SP connection-address] */
bool duet_sdp_parse_rtcp(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_rtcp *rtcp = &out->as.rtcp;
    duet_sdp_text word;
    uint64_t port;

    if (!duet_sdp_number(s, 0, UINT16_MAX, &port, "a port from 0 to 65535 is expected here (RFC 3605, 2.1)"))
        return false;
    rtcp->port = (uint16_t)port;
    rtcp->address = (duet_sdp_text){"", 0};
    if (duet_text_at_end(&s->r))
        return true;
    return duet_sdp_space(s) && duet_sdp_run(s, duet_char_is_token, &word, "the network type is IN (RFC 3605, 2.1)") &&
           duet_sdp_space(s) &&
           duet_sdp_run(s, duet_char_is_token, &word, "the address type is IP4 or IP6 (RFC 3605, 2.1)") &&
           duet_sdp_space(s) &&
           duet_sdp_run(s, duet_char_is_not_space, &rtcp->address, "an address is expected here (RFC 3605, 2.1)");
}

static bool extmap_direction(sdp_scan *s, duet_sdp_direction *out)
{
    static const char reason[] = "a direction is sendrecv, sendonly, recvonly or inactive (RFC 8285, 8)";
    sdp_scan start = *s;
    duet_sdp_text word;

    if (!duet_sdp_run(s, duet_char_is_alpha, &word, reason))
        return false;
    for (duet_sdp_direction d = DUET_SDP_INACTIVE; d <= DUET_SDP_SENDRECV; d++) {
        if (duet_sdp_text_is(word, duet_sdp_direction_name(d))) {
            *out = d;
            return true;
        }
    }
    *s = start;
    return duet_sdp_fail(s, reason);
}

/* "the value 15 is reserved", ids 1 to 255 fit two-byte headers, 256 stands for the appbits, and 4096 to 4351 are
 * provisional: RFC 8285 sections 4.2, 4.3 and 5. */
static bool is_extmap_id(uint64_t id)
{
    return (id >= 1 && id <= 256) || (id >= 4096 && id <= 4351);
}

/* mapentry SP extensionname [SP extensionattributes]; mapentry = 1*5DIGIT ["/" direction] */
bool duet_sdp_parse_extmap(sdp_scan *s, duet_sdp_value *out)
{
    static const char reason[] = "an extension id is 1 to 256, or 4096 to 4351 (RFC 8285, 5)";
    duet_sdp_extmap *map = &out->as.extmap;
    sdp_scan start = *s;
    uint64_t id;

    if (!duet_sdp_number(s, 1, 4351, &id, reason))
        return false;
    if (!is_extmap_id(id)) {
        *s = start;
        return duet_sdp_fail(s, reason);
    }
    map->id = (uint16_t)id;
    map->direction = DUET_SDP_SENDRECV;
    map->attributes = (duet_sdp_text){"", 0};
    if (duet_text_skip(&s->r, '/') && !extmap_direction(s, &map->direction))
        return false;
    if (!duet_sdp_space(s) ||
        !duet_sdp_run(s, duet_char_is_not_space, &map->uri, "the URI of the extension is expected here (RFC 8285, 5)"))
        return false;
    if (duet_text_at_end(&s->r))
        return true;
    if (!duet_sdp_space(s))
        return false;
    map->attributes = duet_sdp_rest(s);
    return true;
}

static bool ssrc_id(sdp_scan *s, uint64_t *out)
{
    return duet_sdp_number(s, 0, UINT32_MAX, out, "an SSRC is a 32-bit number (RFC 5576, 4.1)");
}

/* ssrc-id SP attribute [":" value] */
bool duet_sdp_parse_ssrc(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_ssrc *ssrc = &out->as.ssrc;
    uint64_t id;

    if (!ssrc_id(s, &id) || !duet_sdp_space(s) ||
        !duet_sdp_run(s, duet_char_is_token, &ssrc->attribute,
                      "an attribute of the source is expected (RFC 5576, 4.1)"))
        return false;
    ssrc->ssrc = (uint32_t)id;
    ssrc->value = (duet_sdp_text){"", 0};
    if (duet_text_skip(&s->r, ':'))
        ssrc->value = duet_sdp_rest(s);
    return true;
}

/* semantics *(SP ssrc-id) */
bool duet_sdp_parse_ssrc_group(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_ssrc_group *group = &out->as.ssrc_group;
    uint64_t id;

    if (!duet_sdp_run(s, duet_char_is_token, &group->semantics, "the semantics of a group is a token (RFC 5576, 4.2)"))
        return false;
    sdp_scan words = *s;
    duet_text_skip(&words.r, ' ');
    group->ssrcs = duet_sdp_rest(&words);
    while (!duet_text_at_end(&s->r))
        if (!duet_sdp_space(s) || !ssrc_id(s, &id))
            return false;
    return true;
}

/* rid-id SP rid-dir [SP rid-pt-param-list / rid-param-list], RFC 8851 section 10 */
bool duet_sdp_parse_rid(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_rid *rid = &out->as.rid;

    if (!duet_sdp_run(s, is_id_char, &rid->id, "a rid is made of letters, digits, - and _ (RFC 8851, 10)") ||
        !duet_sdp_space(s))
        return false;
    if (duet_text_skip_word(&s->r, "send"))
        rid->direction = DUET_SDP_SENDONLY;
    else if (duet_text_skip_word(&s->r, "recv"))
        rid->direction = DUET_SDP_RECVONLY;
    else
        return duet_sdp_fail(s, "the direction of a rid is send or recv (RFC 8851, 10)");
    rid->restrictions = (duet_sdp_text){"", 0};
    if (duet_text_at_end(&s->r))
        return true;
    if (!duet_sdp_space(s))
        return false;
    if (duet_text_at_end(&s->r))
        return duet_sdp_fail(s, "restrictions such as max-width=640 are expected here (RFC 8851, 10)");
    rid->restrictions = duet_sdp_rest(s);
    return true;
}

/* sc-alt-list *(";" sc-alt-list); sc-alt-list = sc-id *("," sc-id); sc-id = ["~"] rid-id */
static bool simulcast_list(sdp_scan *s, duet_sdp_text *out)
{
    duet_reader from = s->r;
    size_t start = s->r.pos;
    duet_sdp_text id;
    size_t count = 0;

    do {
        if (++count > DUET_SDP_RIDS_MAX)
            return duet_sdp_fail(s, "more rids than anybody sends");
        duet_text_skip(&s->r, '~');
        if (!duet_sdp_run(s, is_id_char, &id, "a rid is expected here (RFC 8853, 5.1)"))
            return false;
    } while (duet_text_skip(&s->r, ';') || duet_text_skip(&s->r, ','));
    duet_bytes all = duet_read_bytes(&from, s->r.pos - start);
    *out = (duet_sdp_text){(const char *)all.data, all.len};
    return true;
}

/* ("send" SP list [SP "recv" SP list]) / ("recv" SP list [SP "send" SP list]), RFC 8853 section 5.1 */
bool duet_sdp_parse_simulcast(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_simulcast *simulcast = &out->as.simulcast;
    bool sends = false, receives = false;

    simulcast->send = simulcast->recv = (duet_sdp_text){"", 0};
    do {
        if (!sends && duet_text_skip_word(&s->r, "send "))
            sends = true;
        else if (!receives && duet_text_skip_word(&s->r, "recv "))
            receives = true;
        else
            return duet_sdp_fail(s, "\"send\" or \"recv\" and a list of rids are expected (RFC 8853, 5.1)");
        bool is_send = sends && simulcast->send.len == 0;
        if (!simulcast_list(s, is_send ? &simulcast->send : &simulcast->recv))
            return false;
    } while (duet_text_skip(&s->r, ' '));
    return true;
}

/* msid-id [SP msid-appdata], each 1*64token-char */
bool duet_sdp_parse_msid(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_msid *msid = &out->as.msid;
    static const char too_long[] = "an id in a=msid has at most 64 characters (RFC 8830, 2)";

    msid->track = (duet_sdp_text){"", 0};
    if (!duet_sdp_run(s, duet_char_is_token, &msid->stream, "the id of a stream is expected here (RFC 8830, 2)"))
        return false;
    if (msid->stream.len > 64)
        duet_sdp_odd(s, too_long);
    if (duet_text_at_end(&s->r))
        return true;
    if (!duet_sdp_space(s) ||
        !duet_sdp_run(s, duet_char_is_token, &msid->track, "the id of a track is expected here (RFC 8830, 2)"))
        return false;
    if (msid->track.len > 64)
        duet_sdp_odd(s, too_long);
    return true;
}

/* non-zero-int-or-real, in milliseconds; fractions are read over */
bool duet_sdp_parse_ptime(sdp_scan *s, duet_sdp_value *out)
{
    uint64_t fraction;

    if (!duet_sdp_number(s, 0, UINT32_MAX, &out->as.number, "a number of milliseconds is expected (RFC 8866, 6.4)"))
        return false;
    if (!duet_text_skip(&s->r, '.'))
        return true;
    return duet_sdp_number(s, 0, UINT64_MAX, &fraction, "digits are expected behind the point (RFC 8866, 9)");
}
