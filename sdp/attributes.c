/* The attributes that have a typed value: a table from names to grammars, and the grammars of grouping, ICE (RFC 8839),
 * DTLS (RFC 8122, 8842) and data channels (RFC 8841). Those of RTP are in attributes_rtp.c. */
#include "base/candidate.h"
#include "sdp/internal.h"

#include <string.h>

/* semantics *(SP identification-tag), RFC 5888 section 5 */
static bool parse_group(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_group *group = &out->as.group;
    duet_sdp_text mid;

    if (!duet_sdp_run(s, duet_char_is_token, &group->semantics, "the semantics of a group is a token (RFC 5888, 5)"))
        return false;
    if (duet_text_at_end(&s->r)) {
        group->mids = (duet_sdp_text){"", 0};
        return true;
    }
    if (!duet_sdp_space(s))
        return false;
    sdp_scan words = *s;
    group->mids = duet_sdp_rest(&words);
    for (size_t n = 1;; n++) {
        if (n > DUET_SDP_MEDIA_MAX)
            return duet_sdp_fail(s, "a group of more mids than there may be m-sections");
        if (!duet_sdp_run(s, duet_char_is_token, &mid, "a mid is a token (RFC 5888, 4)"))
            return false;
        if (duet_text_at_end(&s->r))
            return true;
        if (!duet_sdp_space(s))
            return false;
    }
}

static bool parse_mid(sdp_scan *s, duet_sdp_value *out)
{
    return duet_sdp_run(s, duet_char_is_token, &out->as.text, "a mid is a token (RFC 5888, 4)");
}

static bool ice_chars(sdp_scan *s, size_t min, size_t max, duet_sdp_text *out, const char *reason)
{
    sdp_scan start = *s;

    if (!duet_sdp_run(s, duet_char_is_ice, out, reason))
        return false;
    if (out->len >= min && out->len <= max)
        return true;
    *s = start;
    return duet_sdp_fail(s, reason);
}

static bool parse_ice_ufrag(sdp_scan *s, duet_sdp_value *out)
{
    return ice_chars(s, 4, DUET_UFRAG_MAX, &out->as.text,
                     "ice-ufrag has 4 to 256 letters, digits, + or / (RFC 8839, 5.4)");
}

static bool parse_ice_pwd(sdp_scan *s, duet_sdp_value *out)
{
    return ice_chars(s, 22, DUET_PWD_MAX, &out->as.text,
                     "ice-pwd has 22 to 256 letters, digits, + or / (RFC 8839, 5.4)");
}

static bool is_option_char(uint8_t c)
{
    return duet_char_is_ice(c) || duet_char_is_token(c);
}

/* ice-option-tag *(SP ice-option-tag), RFC 8839 section 5.6. Old options such as "google-ice" have other characters, and
 * libjuice writes "ice2,trickle". */
static bool parse_ice_options(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_text tag;
    sdp_scan all = *s;

    out->as.text = duet_sdp_rest(&all);
    for (;;) {
        sdp_scan start = *s;
        if (!duet_sdp_run(s, is_option_char, &tag, "an ICE option is made of letters, digits, + and / (RFC 8839, 5.6)"))
            return false;
        if (!duet_text_all(duet_sdp_bytes(tag), duet_char_is_ice) && !s->oddity) {
            s->oddity = "an ICE option is made of letters, digits, + and / (RFC 8839, 5.6)";
            s->oddity_at = start.r.pos;
        }
        if (duet_text_at_end(&s->r))
            return true;
        if (duet_peek_u8(&s->r, 0) == ',')
            duet_sdp_odd(s, "ICE options are separated by spaces (RFC 8839, 5.6)");
        if (!duet_text_skip(&s->r, ',') && !duet_sdp_space(s))
            return false;
    }
}

static bool parse_candidate(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_text value = duet_sdp_rest(s);
    size_t end = s->r.pos, column = 0;
    const char *reason = NULL;
    int err = duet_candidate_parse_value(&out->as.candidate, value.text, value.len, &column, &reason);

    if (err == DUET_OK)
        return true;
    s->r.pos = column;
    if (err != DUET_ERR_UNSUPPORTED)
        return duet_sdp_fail(s, reason);
    duet_sdp_odd(s, reason);
    s->unsupported = true;
    s->r.pos = end;
    return true;
}

static bool parse_fingerprint(sdp_scan *s, duet_sdp_value *out)
{
    size_t start = s->r.pos;
    duet_sdp_text value = duet_sdp_rest(s);
    int err = duet_fingerprint_parse(&out->as.fingerprint, value.text, value.len);
    size_t end = s->r.pos;

    s->r.pos = start;
    if (err == DUET_ERR_MALFORMED)
        return duet_sdp_fail(s, "a fingerprint is a hash name and as many bytes as XX:XX:... as it has (RFC 8122, 5)");
    s->unsupported = err == DUET_ERR_UNSUPPORTED;
    if (s->unsupported)
        duet_sdp_odd(s, "a fingerprint with an unknown hash is not used (RFC 8122, 5)");
    else if (out->as.fingerprint.hash == DUET_HASH_SHA1)
        duet_sdp_odd(s, "a SHA-1 fingerprint is not used (RFC 8122, 5)");
    s->r.pos = end;
    return true;
}

static bool parse_setup(sdp_scan *s, duet_sdp_value *out)
{
    static const char reason[] = "setup is active, passive, actpass or holdconn (RFC 8842, 5.2)";
    sdp_scan start = *s;
    duet_sdp_text word;

    if (!duet_sdp_run(s, duet_char_is_token, &word, reason))
        return false;
    out->as.setup = duet_setup_parse(word.text, word.len);
    if (out->as.setup != DUET_SETUP_NONE)
        return true;
    *s = start;
    return duet_sdp_fail(s, reason);
}

static bool is_tls_id_char(uint8_t c)
{
    return duet_char_is_ice(c) || c == '-' || c == '_';
}

/* 20*255(tls-id-char), RFC 8842 section 4 */
static bool parse_tls_id(sdp_scan *s, duet_sdp_value *out)
{
    static const char reason[] = "tls-id has 20 to 255 letters, digits, +, /, - or _ (RFC 8842, 4)";
    sdp_scan start = *s;

    if (!duet_sdp_run(s, is_tls_id_char, &out->as.text, reason))
        return false;
    if (out->as.text.len >= 20 && out->as.text.len <= 255)
        return true;
    *s = start;
    return duet_sdp_fail(s, reason);
}

static bool parse_msid_semantic(sdp_scan *s, duet_sdp_value *out)
{
    out->as.text = duet_sdp_rest(s);
    return true;
}

static bool parse_sctp_port(sdp_scan *s, duet_sdp_value *out)
{
    return duet_sdp_number(s, 0, UINT16_MAX, &out->as.number, "an SCTP port is a number from 0 to 65535 (RFC 8841, 5)");
}

/* sctpmap-number SP app [SP max-streams], draft-ietf-mmusic-sctp-sdp-06 section 5 */
static bool parse_sctpmap(sdp_scan *s, duet_sdp_value *out)
{
    duet_sdp_sctpmap *map = &out->as.sctpmap;
    uint64_t value;

    if (!duet_sdp_number(s, 0, UINT16_MAX, &value, "an SCTP port is a number from 0 to 65535") || !duet_sdp_space(s))
        return false;
    map->port = (uint16_t)value;
    map->streams = 0;
    if (!duet_sdp_run(s, duet_char_is_token, &map->protocol, "a protocol such as webrtc-datachannel is expected here"))
        return false;
    if (duet_text_at_end(&s->r))
        return true;
    if (!duet_sdp_space(s) || !duet_sdp_number(s, 0, UINT32_MAX, &value, "the number of streams is expected here"))
        return false;
    map->streams = (uint32_t)value;
    return true;
}

static bool parse_max_message_size(sdp_scan *s, duet_sdp_value *out)
{
    return duet_sdp_number(s, 0, UINT64_MAX, &out->as.number, "max-message-size is a number of bytes (RFC 8841, 6)");
}

/* Names are case-sensitive, RFC 8866 section 9. */
static const sdp_attribute attributes[] = {
    {"group", DUET_SDP_GROUP, SDP_LEVEL_SESSION, false, parse_group},
    {"mid", DUET_SDP_MID, SDP_LEVEL_MEDIA, true, parse_mid},
    {"ice-ufrag", DUET_SDP_ICE_UFRAG, SDP_LEVEL_BOTH, true, parse_ice_ufrag},
    {"ice-pwd", DUET_SDP_ICE_PWD, SDP_LEVEL_BOTH, true, parse_ice_pwd},
    {"ice-options", DUET_SDP_ICE_OPTIONS, SDP_LEVEL_BOTH, true, parse_ice_options},
    {"ice-lite", DUET_SDP_ICE_LITE, SDP_LEVEL_SESSION, true, NULL},
    {"candidate", DUET_SDP_CANDIDATE, SDP_LEVEL_MEDIA, false, parse_candidate},
    {"end-of-candidates", DUET_SDP_END_OF_CANDIDATES, SDP_LEVEL_BOTH, true, NULL},
    {"fingerprint", DUET_SDP_FINGERPRINT, SDP_LEVEL_BOTH, false, parse_fingerprint},
    {"setup", DUET_SDP_SETUP, SDP_LEVEL_BOTH, true, parse_setup},
    {"tls-id", DUET_SDP_TLS_ID, SDP_LEVEL_BOTH, true, parse_tls_id},
    {"sendrecv", DUET_SDP_DIRECTION, SDP_LEVEL_BOTH, true, NULL},
    {"sendonly", DUET_SDP_DIRECTION, SDP_LEVEL_BOTH, true, NULL},
    {"recvonly", DUET_SDP_DIRECTION, SDP_LEVEL_BOTH, true, NULL},
    {"inactive", DUET_SDP_DIRECTION, SDP_LEVEL_BOTH, true, NULL},
    {"rtpmap", DUET_SDP_RTPMAP, SDP_LEVEL_MEDIA, false, duet_sdp_parse_rtpmap},
    {"fmtp", DUET_SDP_FMTP, SDP_LEVEL_MEDIA, false, duet_sdp_parse_fmtp},
    {"rtcp-fb", DUET_SDP_RTCP_FB, SDP_LEVEL_MEDIA, false, duet_sdp_parse_rtcp_fb},
    {"rtcp", DUET_SDP_RTCP, SDP_LEVEL_MEDIA, true, duet_sdp_parse_rtcp},
    {"rtcp-mux", DUET_SDP_RTCP_MUX, SDP_LEVEL_MEDIA, true, NULL},
    {"rtcp-mux-only", DUET_SDP_RTCP_MUX_ONLY, SDP_LEVEL_MEDIA, true, NULL},
    {"rtcp-rsize", DUET_SDP_RTCP_RSIZE, SDP_LEVEL_MEDIA, true, NULL},
    {"extmap", DUET_SDP_EXTMAP, SDP_LEVEL_BOTH, false, duet_sdp_parse_extmap},
    {"extmap-allow-mixed", DUET_SDP_EXTMAP_ALLOW_MIXED, SDP_LEVEL_BOTH, true, NULL},
    {"ssrc", DUET_SDP_SSRC, SDP_LEVEL_MEDIA, false, duet_sdp_parse_ssrc},
    {"ssrc-group", DUET_SDP_SSRC_GROUP, SDP_LEVEL_MEDIA, false, duet_sdp_parse_ssrc_group},
    {"rid", DUET_SDP_RID, SDP_LEVEL_MEDIA, false, duet_sdp_parse_rid},
    {"simulcast", DUET_SDP_SIMULCAST, SDP_LEVEL_MEDIA, true, duet_sdp_parse_simulcast},
    {"msid", DUET_SDP_MSID, SDP_LEVEL_MEDIA, false, duet_sdp_parse_msid},
    {"msid-semantic", DUET_SDP_MSID_SEMANTIC, SDP_LEVEL_SESSION, false, parse_msid_semantic},
    {"bundle-only", DUET_SDP_BUNDLE_ONLY, SDP_LEVEL_MEDIA, true, NULL},
    {"sctp-port", DUET_SDP_SCTP_PORT, SDP_LEVEL_MEDIA, true, parse_sctp_port},
    {"sctpmap", DUET_SDP_SCTPMAP, SDP_LEVEL_MEDIA, false, parse_sctpmap},
    {"max-message-size", DUET_SDP_MAX_MESSAGE_SIZE, SDP_LEVEL_MEDIA, true, parse_max_message_size},
    {"ptime", DUET_SDP_PTIME, SDP_LEVEL_MEDIA, true, duet_sdp_parse_ptime},
    {"maxptime", DUET_SDP_MAXPTIME, SDP_LEVEL_MEDIA, true, duet_sdp_parse_ptime},
};

/* Most names differ in their first letter: this is asked for every line. */
const sdp_attribute *duet_sdp_find_attribute(const char *name)
{
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
        if (attributes[i].name[0] == name[0] && strcmp(attributes[i].name, name) == 0)
            return &attributes[i];
    return NULL;
}

static duet_sdp_direction direction_of(const char *name)
{
    duet_sdp_direction d = DUET_SDP_INACTIVE;

    while (d < DUET_SDP_SENDRECV && strcmp(duet_sdp_direction_name(d), name) != 0)
        d++;
    return d;
}

bool duet_sdp_scan_value(sdp_scan *s, const sdp_attribute *a, const char *value, duet_sdp_value *out)
{
    *s = (sdp_scan){.r = duet_text_reader(value ? value : "", value ? strlen(value) : 0)};
    out->kind = a->kind;
    if (!a->parse) {
        if (a->kind == DUET_SDP_DIRECTION)
            out->as.direction = direction_of(a->name);
        return value ? duet_sdp_fail(s, "this attribute has no value") : true;
    }
    if (!value)
        return duet_sdp_fail(s, "this attribute needs a value");
    if (!a->parse(s, out))
        return false;
    return duet_text_at_end(&s->r) ? true : duet_sdp_fail(s, "nothing more is expected here");
}

int duet_sdp_line_value(const duet_sdp_line *line, duet_sdp_value *out)
{
    const sdp_attribute *a = line->kind != DUET_SDP_UNKNOWN && line->name ? duet_sdp_find_attribute(line->name) : NULL;
    sdp_scan s;

    if (!a)
        return DUET_ERR_NOT_FOUND;
    if (!duet_sdp_scan_value(&s, a, line->value, out))
        return DUET_ERR_NOT_FOUND;
    return s.unsupported ? DUET_ERR_UNSUPPORTED : DUET_OK;
}
