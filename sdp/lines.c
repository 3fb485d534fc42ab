/* The grammars of all lines but a=: RFC 8866 sections 5.1 to 5.12 and 5.14, ABNF in section 9. Each works on what
 * follows "x=". */
#include "sdp/internal.h"

/* ---- the scanner ---- */

bool duet_sdp_fail(sdp_scan *s, const char *reason)
{
    if (!s->reason) {
        s->reason = reason;
        s->at = s->r.pos;
    }
    return false;
}

void duet_sdp_odd(sdp_scan *s, const char *reason)
{
    if (s->oddity)
        return;
    s->oddity = reason;
    s->oddity_at = s->r.pos;
}

bool duet_sdp_space(sdp_scan *s)
{
    return duet_text_skip(&s->r, ' ') ? true : duet_sdp_fail(s, "a single space is expected here");
}

bool duet_sdp_number(sdp_scan *s, uint64_t min, uint64_t max, uint64_t *out, const char *reason)
{
    return duet_text_number(&s->r, min, max, out) ? true : duet_sdp_fail(s, reason);
}

bool duet_sdp_run(sdp_scan *s, duet_char_class is, duet_sdp_text *out, const char *reason)
{
    duet_bytes run = duet_text_run(&s->r, is);

    if (run.len == 0)
        return duet_sdp_fail(s, reason);
    *out = (duet_sdp_text){(const char *)run.data, run.len};
    return true;
}

bool duet_sdp_payload_type(sdp_scan *s, uint8_t *out)
{
    uint64_t value;

    if (!duet_sdp_number(s, 0, 127, &value, "a payload type is a number from 0 to 127 (RFC 3550, 5.1)"))
        return false;
    *out = (uint8_t)value;
    return true;
}

duet_sdp_text duet_sdp_rest(sdp_scan *s)
{
    duet_bytes rest = duet_text_rest(&s->r);

    return (duet_sdp_text){rest.len ? (const char *)rest.data : "", rest.len};
}

/* ---- o=, c=, b= ---- */

/* nettype SP addrtype SP address; the address may be an IP address or any other text without spaces. */
static bool network_address(sdp_scan *s)
{
    duet_sdp_text word;

    return duet_sdp_run(s, duet_char_is_token, &word, "the network type is IN (RFC 8866, 5.7)") && duet_sdp_space(s) &&
           duet_sdp_run(s, duet_char_is_token, &word, "the address type is IP4 or IP6 (RFC 8866, 5.7)") &&
           duet_sdp_space(s) && duet_sdp_run(s, duet_char_is_not_space, &word, "an address is expected here");
}

/* username SP sess-id SP sess-version SP nettype SP addrtype SP unicast-address */
bool duet_sdp_scan_origin(sdp_scan *s, duet_sdp_origin *out)
{
    return duet_sdp_run(s, duet_char_is_not_space, &out->username, "a user name or \"-\" is expected here") &&
           duet_sdp_space(s) &&
           duet_sdp_number(s, 0, UINT64_MAX, &out->session_id, "the session id is a 64-bit number (RFC 8866, 5.2)") &&
           duet_sdp_space(s) &&
           duet_sdp_number(s, 0, UINT64_MAX, &out->version, "the version is a 64-bit number (RFC 8866, 5.2)") &&
           duet_sdp_space(s) && network_address(s);
}

static bool bandwidth(sdp_scan *s)
{
    duet_sdp_text type;
    uint64_t value;

    if (!duet_sdp_run(s, duet_char_is_token, &type, "the bandwidth type is a token such as AS (RFC 8866, 5.8)"))
        return false;
    if (!duet_text_skip(&s->r, ':'))
        return duet_sdp_fail(s, "a colon is expected between bandwidth type and value (RFC 8866, 5.8)");
    return duet_sdp_number(s, 0, UINT64_MAX, &value, "the bandwidth is a number (RFC 8866, 5.8)");
}

/* ---- t=, r=, z= ---- */

/* "0", or POS-DIGIT 9*DIGIT: seconds since 1900 */
static bool time_value(sdp_scan *s)
{
    size_t start = s->r.pos;
    bool leading_zero = duet_peek_u8(&s->r, 0) == '0';
    uint64_t value;

    if (!duet_sdp_number(s, 0, UINT64_MAX, &value, "a time is 0 or a number of seconds since 1900 (RFC 8866, 5.9)"))
        return false;
    size_t digits = s->r.pos - start;
    if (leading_zero ? digits == 1 : digits >= 10)
        return true;
    s->r.pos = start;
    return duet_sdp_fail(s, "a time is 0 or has ten digits or more (RFC 8866, 9)");
}

/* 1*DIGIT [fixed-len-time-unit] */
static bool typed_time(sdp_scan *s)
{
    uint64_t value;

    if (!duet_sdp_number(s, 0, UINT64_MAX, &value, "a duration such as 7d or 3600 is expected (RFC 8866, 5.10)"))
        return false;
    return duet_text_skip(&s->r, 'd') || duet_text_skip(&s->r, 'h') || duet_text_skip(&s->r, 'm') ||
           duet_text_skip(&s->r, 's') || true;
}

static bool timing(sdp_scan *s)
{
    return time_value(s) && duet_sdp_space(s) && time_value(s);
}

/* repeat-interval SP typed-time 1*(SP typed-time) */
static bool repeat(sdp_scan *s)
{
    if (!typed_time(s) || !duet_sdp_space(s) || !typed_time(s))
        return false;
    do {
        if (!duet_sdp_space(s) || !typed_time(s))
            return false;
    } while (!duet_text_at_end(&s->r));
    return true;
}

/* time SP ["-"] typed-time *(SP time SP ["-"] typed-time) */
static bool zone(sdp_scan *s)
{
    for (;;) {
        if (!time_value(s) || !duet_sdp_space(s))
            return false;
        duet_text_skip(&s->r, '-');
        if (!typed_time(s))
            return false;
        if (duet_text_at_end(&s->r))
            return true;
        if (!duet_sdp_space(s))
            return false;
    }
}

/* ---- the rest ---- */

static bool version(sdp_scan *s)
{
    return duet_text_skip(&s->r, '0') ? true : duet_sdp_fail(s, "the version of SDP is 0 (RFC 8866, 5.1)");
}

static bool some_text(sdp_scan *s)
{
    return duet_sdp_rest(s).len > 0 ? true : duet_sdp_fail(s, "there is nothing after \"=\" (RFC 8866, 9)");
}

/* "s=" without anything is common; the grammar wants at least a space. */
static bool session_name(sdp_scan *s)
{
    if (duet_sdp_rest(s).len == 0)
        duet_sdp_odd(s, "an empty session name is written \"s=-\" or \"s= \" (RFC 8866, 5.3)");
    return true;
}

static bool uri(sdp_scan *s)
{
    duet_sdp_text word;

    return duet_sdp_run(s, duet_char_is_not_space, &word, "a URI is expected here (RFC 8866, 5.5)");
}

static bool encryption_key(sdp_scan *s)
{
    if (duet_text_skip_word(&s->r, "prompt"))
        return true;
    if (duet_text_skip_word(&s->r, "clear:") || duet_text_skip_word(&s->r, "base64:") ||
        duet_text_skip_word(&s->r, "uri:"))
        return some_text(s);
    return duet_sdp_fail(s, "k= is prompt, clear:, base64: or uri: (RFC 8866, 5.12)");
}

bool duet_sdp_scan_line(sdp_scan *s, char type)
{
    duet_sdp_origin origin;
    bool ok = true;

    switch (type) {
    case 'v':
        ok = version(s);
        break;
    case 'o':
        ok = duet_sdp_scan_origin(s, &origin);
        break;
    case 's':
        ok = session_name(s);
        break;
    case 'i':
    case 'e':
    case 'p':
        ok = some_text(s);
        break;
    case 'u':
        ok = uri(s);
        break;
    case 'c':
        ok = network_address(s);
        break;
    case 'b':
        ok = bandwidth(s);
        break;
    case 't':
        ok = timing(s);
        break;
    case 'r':
        ok = repeat(s);
        break;
    case 'z':
        ok = zone(s);
        break;
    case 'k':
        ok = encryption_key(s);
        break;
    default: /* unknown types are kept whatever they say */
        duet_sdp_rest(s);
        break;
    }
    if (!ok)
        return false;
    return duet_text_at_end(&s->r) ? true : duet_sdp_fail(s, "nothing more is expected here");
}

/* ---- m= ---- */

bool duet_sdp_proto_is_rtp(duet_sdp_text proto)
{
    static const char *const names[] = {
        "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF",
        "TCP/TLS/RTP/SAVP",  "RTP/SAVPF",        "RTP/SAVP",           "RTP/AVPF",          "RTP/AVP",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (duet_sdp_text_is(proto, names[i]))
            return true;
    return false;
}

static bool port_and_count(sdp_scan *s, sdp_media_words *out)
{
    uint64_t value;

    if (!duet_sdp_number(s, 0, UINT16_MAX, &value, "a port from 0 to 65535 is expected here (RFC 8866, 5.14)"))
        return false;
    out->port = (uint16_t)value;
    out->port_count = 1;
    if (!duet_text_skip(&s->r, '/'))
        return true;
    if (!duet_sdp_number(s, 1, UINT16_MAX, &value, "the number of ports is at least 1 (RFC 8866, 5.14)"))
        return false;
    out->port_count = (uint16_t)value;
    return true;
}

/* token *("/" token) */
static bool protocol(sdp_scan *s, duet_sdp_text *out)
{
    duet_sdp_text word;
    size_t start = s->r.pos;
    duet_reader from = s->r;

    do {
        if (!duet_sdp_run(s, duet_char_is_token, &word, "a protocol such as UDP/TLS/RTP/SAVPF is expected here"))
            return false;
    } while (duet_text_skip(&s->r, '/'));
    duet_bytes all = duet_read_bytes(&from, s->r.pos - start);
    *out = (duet_sdp_text){(const char *)all.data, all.len};
    return true;
}

static void note_duplicate(sdp_scan *s, uint8_t payload_type, uint64_t seen[2])
{
    uint64_t bit = (uint64_t)1 << (payload_type & 63);

    if (seen[payload_type >> 6] & bit)
        duet_sdp_odd(s, "this payload type is listed twice");
    seen[payload_type >> 6] |= bit;
}

/* 1*(SP fmt); with RTP "the <fmt> sub-fields contain RTP payload type numbers", RFC 8866 section 5.14 */
static bool formats(sdp_scan *s, bool rtp, duet_sdp_text *out)
{
    duet_reader from = s->r;
    size_t start = s->r.pos;
    uint64_t seen[2] = {0, 0};

    for (;;) {
        duet_sdp_text word;
        uint8_t payload_type;
        if (rtp) {
            if (!duet_sdp_payload_type(s, &payload_type))
                return false;
            note_duplicate(s, payload_type, seen);
        } else if (!duet_sdp_run(s, duet_char_is_token, &word, "a format is expected here (RFC 8866, 5.14)")) {
            return false;
        }
        if (duet_text_at_end(&s->r))
            break;
        if (!duet_sdp_space(s))
            return false;
    }
    duet_bytes all = duet_read_bytes(&from, s->r.pos - start);
    *out = (duet_sdp_text){(const char *)all.data, all.len};
    return true;
}

/* media SP port ["/" integer] SP proto 1*(SP fmt) */
bool duet_sdp_scan_media(sdp_scan *s, sdp_media_words *out)
{
    return duet_sdp_run(s, duet_char_is_token, &out->name, "a media type such as audio is expected (RFC 8866, 5.14)") &&
           duet_sdp_space(s) && port_and_count(s, out) && duet_sdp_space(s) && protocol(s, &out->proto) &&
           duet_sdp_space(s) && formats(s, duet_sdp_proto_is_rtp(out->proto), &out->formats);
}
