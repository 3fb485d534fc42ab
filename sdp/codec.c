/* Which codecs are the same, and what an answer says about them: RFC 3264 section 6.1, and the payload formats of
 * VP9 (RFC 9628), AV1, H.264 (RFC 6184 section 8.2.2), H.265 (RFC 7798), rtx (RFC 4588) and red (RFC 2198). */
#include "sdp/internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- format parameters ---- */

static bool is_not_semicolon(uint8_t c)
{
    return c != ';';
}

static bool is_name_char(uint8_t c)
{
    return c != ';' && c != '=' && c != ' ';
}

bool duet_sdp_fmtp_get(const char *fmtp, const char *name, duet_sdp_text *out)
{
    duet_reader r = duet_text_reader(fmtp, strlen(fmtp));

    while (!duet_text_at_end(&r)) {
        while (duet_text_skip(&r, ' ') || duet_text_skip(&r, ';'))
            continue;
        duet_bytes key = duet_text_run(&r, is_name_char);
        bool has_value = duet_text_skip(&r, '=');
        duet_bytes value = duet_text_run(&r, is_not_semicolon);
        while (value.len > 0 && value.data[value.len - 1] == ' ')
            value.len--;
        if (key.len == 0 || !duet_text_is_nocase(key, name))
            continue;
        *out = has_value ? (duet_sdp_text){(const char *)value.data, value.len} : (duet_sdp_text){"", 0};
        return true;
    }
    return false;
}

static uint64_t fmtp_number(const char *fmtp, const char *name, uint64_t otherwise)
{
    duet_sdp_text value;
    uint64_t number;

    if (!duet_sdp_fmtp_get(fmtp, name, &value))
        return otherwise;
    duet_reader r = duet_text_reader(value.text, value.len);
    return duet_text_number(&r, 0, UINT32_MAX, &number) && duet_text_at_end(&r) ? number : UINT64_MAX;
}

/* ---- H.264 ---- */

typedef struct h264_profile {
    uint8_t idc, iop, level;
} h264_profile;

static int hex_digit(uint8_t c)
{
    if (duet_char_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* profile-level-id: three bytes in hexadecimal. "If no profile-level-id is present, the Baseline profile, without
 * additional constraints at Level 1" holds, RFC 6184 section 8.1. */
static bool h264_read(const char *fmtp, h264_profile *out)
{
    duet_sdp_text text;
    uint8_t bytes[3];

    *out = (h264_profile){0x42, 0x00, 0x0A};
    if (!duet_sdp_fmtp_get(fmtp, "profile-level-id", &text))
        return true;
    duet_reader r = duet_text_reader(text.text, text.len);
    if (text.len != 6)
        return false;
    for (size_t i = 0; i < 3; i++) {
        int high = hex_digit(duet_read_u8(&r)), low = hex_digit(duet_read_u8(&r));
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    *out = (h264_profile){bytes[0], bytes[1], bytes[2]};
    return true;
}

/* RFC 6184 section 8.1, table 5: several values of idc and iop name one profile. Profiles outside the table are told
 * apart by both bytes. */
static unsigned h264_profile_name(const h264_profile *p)
{
    static const struct {
        uint8_t idc, mask, iop;
        char name;
    } table[] = {
        {0x42, 0x4F, 0x40, 'C'}, {0x4D, 0x8F, 0x80, 'C'}, {0x58, 0xCF, 0xC0, 'C'}, /* constrained baseline */
        {0x42, 0x4F, 0x00, 'B'}, {0x58, 0xCF, 0x80, 'B'},                          /* baseline */
        {0x4D, 0xAF, 0x00, 'M'},                                                   /* main */
        {0x58, 0xCF, 0x00, 'E'},                                                   /* extended */
        {0x64, 0xFF, 0x00, 'H'}, {0x64, 0xFF, 0x0C, 'h'},                          /* high, constrained high */
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (p->idc == table[i].idc && (p->iop & table[i].mask) == table[i].iop)
            return (unsigned)table[i].name;
    return 0x10000u + p->idc * 256u + p->iop;
}

/* Levels in order. Level 1b is level_idc 11 with constraint_set3_flag in the profiles up to Extended, or 9. */
static unsigned h264_level(const h264_profile *p)
{
    bool old = p->idc == 0x42 || p->idc == 0x4D || p->idc == 0x58;

    if (p->level == 9 || (old && p->level == 11 && (p->iop & 0x10)))
        return 10 * 2 + 1;
    return p->level * 2u;
}

static bool h264_equal(const char *a, const char *b)
{
    h264_profile pa, pb;

    return h264_read(a, &pa) && h264_read(b, &pb) && h264_profile_name(&pa) == h264_profile_name(&pb) &&
           fmtp_number(a, "packetization-mode", 0) == fmtp_number(b, "packetization-mode", 0);
}

/* ---- equality ---- */

static bool is_named(const duet_codec *c, const char *name)
{
    return strcasecmp(c->name, name) == 0;
}

bool duet_sdp_codec_equal(const duet_codec *a, const duet_codec *b)
{
    unsigned channels_a = a->channels ? a->channels : 1, channels_b = b->channels ? b->channels : 1;

    if (strcasecmp(a->name, b->name) != 0 || a->clock_rate != b->clock_rate || channels_a != channels_b)
        return false;
    if (is_named(a, "H264"))
        return h264_equal(a->fmtp, b->fmtp);
    if (is_named(a, "VP9")) /* "profile-id ... If ... absent, 0 is implied", RFC 9628 section 7 */
        return fmtp_number(a->fmtp, "profile-id", 0) == fmtp_number(b->fmtp, "profile-id", 0);
    if (is_named(a, "AV1"))
        return fmtp_number(a->fmtp, "profile", 0) == fmtp_number(b->fmtp, "profile", 0);
    if (is_named(a, "H265")) /* RFC 7798 section 7.1: Main profile and Main tier by default */
        return fmtp_number(a->fmtp, "profile-id", 1) == fmtp_number(b->fmtp, "profile-id", 1) &&
               fmtp_number(a->fmtp, "tier-flag", 0) == fmtp_number(b->fmtp, "tier-flag", 0);
    return true;
}

/* ---- intersection ---- */

/* Codecs that only help others. */
static bool is_rtx(const duet_codec *c)
{
    return is_named(c, "rtx");
}

static bool is_fec(const duet_codec *c)
{
    return is_named(c, "ulpfec") || is_named(c, "flexfec-03") || is_named(c, "flexfec");
}

static bool is_helper(const duet_codec *c)
{
    return is_rtx(c) || is_fec(c) || is_named(c, "red") || is_named(c, "CN") || is_named(c, "telephone-event");
}

/* An intersection under way: for each offered payload type the own codec that answers it. */
typedef struct matching {
    const duet_codec *const *own;
    size_t own_count;
    const duet_codec *offered;
    size_t offered_count;
    const duet_codec *by_payload_type[128];
} matching;

static const duet_codec *find_own(const matching *m, const duet_codec *offered)
{
    for (size_t i = 0; i < m->own_count; i++)
        if (duet_sdp_codec_equal(m->own[i], offered))
            return m->own[i];
    return NULL;
}

/* The rtx of ours that protects the codec with which we answer payload type `apt`. */
static const duet_codec *find_own_rtx(const matching *m, const duet_codec *offered)
{
    uint64_t apt = fmtp_number(offered->fmtp, "apt", UINT64_MAX);
    const duet_codec *primary = apt <= 127 ? m->by_payload_type[apt] : NULL;

    if (!primary || is_rtx(primary))
        return NULL;
    for (size_t i = 0; i < m->own_count; i++) {
        const duet_codec *own = m->own[i];
        uint64_t own_apt = fmtp_number(own->fmtp, "apt", primary->payload_type);
        if (duet_sdp_codec_equal(own, offered) && own_apt == primary->payload_type)
            return own;
    }
    return NULL;
}

bool duet_sdp_red_next(const char *fmtp, size_t *cursor, uint8_t *payload_type)
{
    duet_reader r = duet_text_reader(fmtp, strlen(fmtp));
    uint64_t number;

    duet_read_skip(&r, *cursor);
    if (*cursor > 0 && !duet_text_skip(&r, '/'))
        return false;
    if (!duet_text_number(&r, 0, 127, &number))
        return false;
    *payload_type = (uint8_t)number;
    *cursor = r.pos;
    return true;
}

/* "111/111": each payload type that red may carry must be answered too, by a codec of the same clock, RFC 2198 section 5. */
static bool red_is_possible(const matching *m, const duet_codec *offered)
{
    size_t cursor = 0;
    uint8_t pt;

    while (duet_sdp_red_next(offered->fmtp, &cursor, &pt)) {
        const duet_codec *own = m->by_payload_type[pt];
        if (!own || is_helper(own) || own->clock_rate != offered->clock_rate)
            return false;
    }
    return offered->fmtp[cursor] == 0;
}

static void match(matching *m)
{
    bool any = false;

    for (size_t i = 0; i < m->offered_count; i++) {
        const duet_codec *o = &m->offered[i];
        if (o->payload_type > 127 || is_helper(o))
            continue;
        m->by_payload_type[o->payload_type] = find_own(m, o);
        any = any || m->by_payload_type[o->payload_type];
    }
    for (size_t i = 0; any && i < m->offered_count; i++) {
        const duet_codec *o = &m->offered[i];
        if (o->payload_type > 127 || !is_helper(o) || is_rtx(o) || (is_named(o, "red") && !red_is_possible(m, o)))
            continue;
        m->by_payload_type[o->payload_type] = find_own(m, o);
    }
    for (size_t i = 0; any && i < m->offered_count; i++) {
        const duet_codec *o = &m->offered[i];
        if (o->payload_type <= 127 && is_rtx(o))
            m->by_payload_type[o->payload_type] = find_own_rtx(m, o);
    }
}

/* "the value of profile-level-id ... level part MUST NOT exceed the offer's" unless both allow asymmetry, RFC 6184
 * section 8.2.2. What is written is our own list of parameters with that one value in it. */
static void h264_answer(const char *own, const char *offered, char *out, size_t size)
{
    bool asymmetric =
        fmtp_number(own, "level-asymmetry-allowed", 0) == 1 && fmtp_number(offered, "level-asymmetry-allowed", 0) == 1;
    h264_profile mine, theirs;
    duet_sdp_text value, offered_value;

    snprintf(out, size, "%s", own);
    if (asymmetric || !h264_read(own, &mine) || !h264_read(offered, &theirs) ||
        h264_level(&mine) <= h264_level(&theirs) || !duet_sdp_fmtp_get(out, "profile-level-id", &value) ||
        !duet_sdp_fmtp_get(offered, "profile-level-id", &offered_value) || value.len != offered_value.len)
        return;
    duet_reader r = duet_text_reader(out, strlen(out));
    duet_writer w = duet_writer_init((uint8_t *)out, strlen(out));
    duet_read_skip(&r, (size_t)(value.text - out));
    w.len = r.pos;
    duet_write_bytes(&w, offered_value.text, offered_value.len);
}

static void answer_codec(const duet_codec *own, const duet_codec *offered, duet_codec *out)
{
    *out = *own;
    out->payload_type = offered->payload_type;
    out->feedback = own->feedback & offered->feedback;
    if (is_named(own, "H264"))
        h264_answer(own->fmtp, offered->fmtp, out->fmtp, sizeof(out->fmtp));
    else if (is_rtx(own)) /* apt names a payload type, and those are the offer's */
        snprintf(out->fmtp, sizeof(out->fmtp), "apt=%u",
                 (unsigned)fmtp_number(offered->fmtp, "apt", offered->payload_type));
    else if (is_named(own, "red"))
        snprintf(out->fmtp, sizeof(out->fmtp), "%s", offered->fmtp);
}

size_t duet_sdp_codecs_answer(const duet_codec *const *own, size_t own_count, const duet_codec *offered,
                              size_t offered_count, bool own_order, duet_codec *out)
{
    matching m = {.own = own, .own_count = own_count, .offered = offered, .offered_count = offered_count};
    bool written[128] = {false};
    size_t count = 0, rounds = own_order ? own_count : 1;

    match(&m);
    for (size_t k = 0; k < rounds; k++) {
        for (size_t i = 0; i < offered_count; i++) {
            uint8_t pt = offered[i].payload_type;
            const duet_codec *mine = pt <= 127 ? m.by_payload_type[pt] : NULL;
            if (!mine || written[pt] || (own_order && mine != own[k]))
                continue;
            answer_codec(mine, &offered[i], &out[count++]);
            written[pt] = true;
        }
    }
    return count;
}
