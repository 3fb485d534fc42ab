/* What every description of WebRTC must have, and what makes an answer fit its offer: RFC 9429 section 5.8, RFC 3264
 * section 6, RFC 8827 (DTLS), RFC 8834 (rtcp-mux), RFC 8842 (setup), RFC 9143 (BUNDLE). */
#include "sdp/internal.h"

#include <string.h>

/* ---- errors ---- */

static size_t line_number(const duet_sdp *sdp, size_t media, size_t n)
{
    size_t number = n + 1;

    if (media == DUET_SDP_SESSION)
        return number;
    number += duet_sdp_line_count(sdp, DUET_SDP_SESSION);
    for (size_t i = 0; i < media; i++)
        number += duet_sdp_line_count(sdp, i);
    return number;
}

static void set_line_error(duet_sdp_error *error, const duet_sdp *sdp, size_t media, size_t n, const char *reason)
{
    const duet_sdp_line *line = duet_sdp_line_at(sdp, media, n);
    char text[64];

    if (!line) {
        duet_sdp_set_error(error, 0, 0, NULL, 0, reason);
        return;
    }
    size_t column = line->name ? 3 + strlen(line->name) + (line->value ? 1 : 0) : 3;
    duet_writer w = duet_writer_init((uint8_t *)text, sizeof(text));
    duet_write_u8(&w, (uint8_t)line->type);
    duet_write_u8(&w, '=');
    const char *const halves[] = {line->name ? line->name : "", line->name && line->value ? ":" : "",
                                  line->value ? line->value : ""};
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(halves[i]);
        duet_write_bytes(&w, halves[i], len < w.capacity - w.len ? len : w.capacity - w.len);
    }
    duet_sdp_set_error(error, line_number(sdp, media, n), column, text, w.len, reason);
}

void duet_sdp_set_error_at(duet_sdp_error *error, const duet_sdp *sdp, size_t media, duet_sdp_kind kind,
                           const char *reason)
{
    const duet_sdp_line *line;
    size_t n = 0;

    while ((line = duet_sdp_line_at(sdp, media, n)) && line->kind != kind)
        n++;
    set_line_error(error, sdp, media, line ? n : 0, reason);
}

/* A check under way. */
typedef struct check {
    const duet_sdp *sdp;
    const duet_sdp *offer; /* of an answer */
    duet_sdp_error *error;
    sdp_bundle bundle, offered_bundle;
} check;

static int fail_line(const check *c, size_t media, size_t n, const char *reason)
{
    if (c->error)
        set_line_error(c->error, c->sdp, media, n, reason);
    return DUET_ERR_MALFORMED;
}

/* At the first line of that kind, or else at the first line of the part: m= of a section. */
static int fail(const check *c, size_t media, duet_sdp_kind kind, const char *reason)
{
    if (c->error)
        duet_sdp_set_error_at(c->error, c->sdp, media, kind, reason);
    return DUET_ERR_MALFORMED;
}

/* ---- mids and groups ---- */

static int check_mids(const check *c)
{
    const duet_sdp_text *mids = c->bundle.mid;

    for (size_t i = 0; i < c->bundle.count; i++)
        for (size_t k = 0; mids[i].len > 0 && k < i; k++)
            if (duet_sdp_text_equal(mids[i], mids[k]))
                return fail(c, i, DUET_SDP_MID, "two m-sections have this mid (RFC 5888, 4)");
    return DUET_OK;
}

static const char *check_group(const check *c, duet_sdp_text mids, bool used[DUET_SDP_MEDIA_MAX])
{
    duet_sdp_text word;
    size_t i;

    while (duet_sdp_text_next(&mids, &word)) {
        if (!duet_sdp_bundle_find(&c->bundle, word, &i))
            return "a mid in this BUNDLE group belongs to no m-section (RFC 9143, 7)";
        if (used[i])
            return "a mid is in BUNDLE groups twice (RFC 9143, 7)";
        used[i] = true;
        if (c->offer && duet_sdp_media_at(c->sdp, i)->port == 0)
            return "a rejected m-section is in this BUNDLE group (RFC 9143, 7.3)";
        if (c->offer && c->offered_bundle.tag[i] == DUET_SDP_SESSION)
            return "a mid in this BUNDLE group was not in one of the offer (RFC 9143, 7.3)";
        if (c->offer && c->offered_bundle.tag[i] != c->offered_bundle.tag[c->bundle.tag[i]])
            return "this BUNDLE group mixes groups of the offer (RFC 9143, 7.3)";
    }
    return NULL;
}

static int check_groups(const check *c)
{
    bool used[DUET_SDP_MEDIA_MAX] = {false};
    const duet_sdp_line *line;
    duet_sdp_value v;

    for (size_t n = 0; (line = duet_sdp_line_at(c->sdp, DUET_SDP_SESSION, n)); n++) {
        if (line->kind != DUET_SDP_GROUP || duet_sdp_line_value(line, &v) != DUET_OK ||
            !duet_sdp_text_is(v.as.group.semantics, "BUNDLE"))
            continue;
        const char *reason = check_group(c, v.as.group.mids, used);
        if (reason)
            return fail_line(c, DUET_SDP_SESSION, n, reason);
    }
    return DUET_OK;
}

/* ---- sections ---- */

/* Where to look for the transport when the section has none: its bundle tag, or itself. */
static size_t transport_of(const check *c, size_t i)
{
    return c->bundle.tag[i] == DUET_SDP_SESSION ? i : c->bundle.tag[i];
}

static int setup_of(const check *c, size_t i, duet_setup *out)
{
    if (duet_sdp_media_setup(c->sdp, i, out) == DUET_OK)
        return DUET_OK;
    return duet_sdp_media_setup(c->sdp, transport_of(c, i), out);
}

static int check_transport(const check *c, size_t i)
{
    size_t tag = transport_of(c, i);
    duet_ice_credentials ice;
    duet_fingerprint fingerprint;
    duet_setup setup;

    if (duet_sdp_media_ice(c->sdp, i, &ice) != DUET_OK && duet_sdp_media_ice(c->sdp, tag, &ice) != DUET_OK)
        return fail(c, i, DUET_SDP_UNKNOWN, "this m-section has no ice-ufrag and ice-pwd (RFC 8839, 5.4)");
    if (duet_sdp_media_fingerprints(c->sdp, i, &fingerprint, 1) == 0 &&
        duet_sdp_media_fingerprints(c->sdp, tag, &fingerprint, 1) == 0)
        return fail(c, i, DUET_SDP_FINGERPRINT, "this m-section has no usable fingerprint (RFC 8827, 6.5)");
    if (setup_of(c, i, &setup) != DUET_OK)
        return fail(c, i, DUET_SDP_UNKNOWN, "this m-section has no a=setup (RFC 8842, 5.1)");
    if (setup == DUET_SETUP_HOLDCONN)
        return fail(c, i, DUET_SDP_SETUP, "holdconn is not used with DTLS (RFC 8842, 5.1)");
    return DUET_OK;
}

static int check_section(const check *c, size_t i)
{
    duet_codec codec;
    uint16_t port;

    if (duet_sdp_media_is_rejected(c->sdp, i) ||
        (!duet_sdp_media_is_rtp(c->sdp, i) && !duet_sdp_media_is_data(c->sdp, i)))
        return DUET_OK; /* an m-section of an unknown kind will be rejected */
    int err = check_transport(c, i);
    if (err)
        return err;
    if (duet_sdp_media_is_data(c->sdp, i)) {
        if (duet_sdp_media_sctp_port(c->sdp, i, &port) != DUET_OK)
            return fail(c, i, DUET_SDP_UNKNOWN, "this m-section has no a=sctp-port (RFC 8841, 5)");
        return DUET_OK;
    }
    if (!duet_sdp_has(c->sdp, i, DUET_SDP_RTCP_MUX) && !duet_sdp_has(c->sdp, transport_of(c, i), DUET_SDP_RTCP_MUX))
        return fail(c, i, DUET_SDP_UNKNOWN, "this m-section has no a=rtcp-mux (RFC 8834, 4.5)");
    if (duet_sdp_media_codecs(c->sdp, i, &codec, 1) == 0)
        return fail(c, i, DUET_SDP_UNKNOWN, "none of the formats has an a=rtpmap (RFC 8866, 6.6)");
    return DUET_OK;
}

static int check_all(const check *c)
{
    int err = check_mids(c);

    if (!err)
        err = check_groups(c);
    for (size_t i = 0; i < duet_sdp_media_count(c->sdp) && !err; i++)
        err = check_section(c, i);
    return err;
}

static void init(check *c, const duet_sdp *sdp, const duet_sdp *offer, duet_sdp_error *error)
{
    *c = (check){.sdp = sdp, .offer = offer, .error = error};
    duet_sdp_bundle_map(sdp, &c->bundle);
    if (offer)
        duet_sdp_bundle_map(offer, &c->offered_bundle);
}

int duet_sdp_check(const duet_sdp *sdp, duet_sdp_error *error)
{
    check c;

    init(&c, sdp, NULL, error);
    return check_all(&c);
}

/* An offer may leave the role open or take one (RFC 8842 section 5.2): all that duet_sdp_check lets pass. */
int duet_sdp_check_offer(const duet_sdp *offer, duet_sdp_error *error)
{
    return duet_sdp_check(offer, error);
}

/* ---- answers ---- */

static int check_answered_mid(const check *c, size_t i)
{
    duet_sdp_text offered = duet_sdp_media_mid(c->offer, i), mid = duet_sdp_media_mid(c->sdp, i);

    /* Who does not know mids leaves them out, and cannot bundle: the place says which section is meant. */
    if (duet_sdp_text_equal(offered, mid) || mid.len == 0)
        return DUET_OK;
    return fail(c, i, DUET_SDP_MID, "this m-section has another mid than in the offer (RFC 9429, 5.3.1)");
}

static int check_answered_setup(const check *c, size_t i)
{
    size_t offered_tag = c->offered_bundle.tag[i];
    duet_setup offered, setup;

    if (setup_of(c, i, &setup) != DUET_OK)
        return DUET_OK; /* check_transport has spoken */
    if (duet_sdp_media_setup(c->offer, i, &offered) != DUET_OK && offered_tag != DUET_SDP_SESSION)
        (void)duet_sdp_media_setup(c->offer, offered_tag, &offered);
    if (setup == DUET_SETUP_ACTPASS)
        return fail(c, i, DUET_SDP_SETUP, "an answer chooses between active and passive (RFC 8842, 5.3)");
    if (setup != duet_sdp_setup_answer(offered, setup))
        return fail(c, i, DUET_SDP_SETUP, "this role does not answer the offered one (RFC 8842, 5.3)");
    return DUET_OK;
}

/* Whether any codec of the answer was offered. */
static bool has_common_codec(const duet_codec *offered, size_t offered_count, const duet_codec *codecs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < offered_count; k++)
            if (duet_sdp_codec_equal(&codecs[i], &offered[k]))
                return true;
    return false;
}

static int check_answered_codecs(const check *c, size_t i)
{
    const duet_env *env = &c->sdp->env;
    duet_codec *codecs = duet_alloc(env, 2 * 128 * sizeof(*codecs));

    if (!codecs)
        return DUET_ERR_NOMEM;
    size_t count = duet_sdp_media_codecs(c->sdp, i, codecs, 128);
    size_t offered_count = duet_sdp_media_codecs(c->offer, i, codecs + 128, 128);
    bool common = has_common_codec(codecs + 128, offered_count, codecs, count);
    duet_free(env, codecs);
    return common ? DUET_OK : fail(c, i, DUET_SDP_UNKNOWN, "none of these codecs was offered (RFC 3264, 6.1)");
}

static bool was_offered(const check *c, size_t i, const duet_sdp_extmap *map)
{
    duet_sdp_extmap offered;
    size_t cursor = 0;

    while (duet_sdp_media_extmap(c->offer, i, &cursor, &offered))
        if (duet_sdp_text_equal(offered.uri, map->uri) && (offered.id == map->id || offered.id >= 4096))
            return true;
    return false;
}

static int check_answered_extensions(const check *c, size_t i)
{
    const duet_sdp_line *line;
    duet_sdp_value v;

    for (size_t n = 0; (line = duet_sdp_line_at(c->sdp, i, n)); n++) {
        if (line->kind != DUET_SDP_EXTMAP || duet_sdp_line_value(line, &v) != DUET_OK)
            continue;
        if (!was_offered(c, i, &v.as.extmap))
            return fail_line(c, i, n, "this extension was not offered with this id (RFC 8285, 6)");
    }
    return DUET_OK;
}

static int check_answered_rtp(const check *c, size_t i)
{
    duet_sdp_direction allowed = duet_sdp_direction_reverse(duet_sdp_media_direction(c->offer, i));
    duet_sdp_direction direction = duet_sdp_media_direction(c->sdp, i);

    if ((unsigned)direction & ~(unsigned)allowed)
        return fail(c, i, DUET_SDP_DIRECTION, "this direction does not answer the offered one (RFC 3264, 6.1)");
    int err = check_answered_codecs(c, i);
    return err ? err : check_answered_extensions(c, i);
}

static int check_answered_section(const check *c, size_t i)
{
    const duet_sdp_media *offered = duet_sdp_media_at(c->offer, i), *m = duet_sdp_media_at(c->sdp, i);

    if (strcmp(offered->name, m->name) != 0)
        return fail_line(c, i, 0, "the media type differs from that of the offer (RFC 3264, 6)");
    if (strcmp(offered->proto, m->proto) != 0)
        return fail_line(c, i, 0, "the protocol differs from that of the offer (RFC 3264, 6)");
    int err = check_answered_mid(c, i);
    if (err || m->port == 0)
        return err;
    if (duet_sdp_media_is_rejected(c->offer, i))
        return fail_line(c, i, 0, "the offer has port 0, so must the answer (RFC 3264, 6)");
    if (offered->port == 0 && c->bundle.tag[i] == DUET_SDP_SESSION)
        return fail_line(c, i, 0, "a bundle-only m-section is accepted without BUNDLE (RFC 9143, 7.3.3)");
    err = check_answered_setup(c, i);
    if (err || !duet_sdp_media_is_rtp(c->sdp, i))
        return err;
    return check_answered_rtp(c, i);
}

int duet_sdp_check_answer(const duet_sdp *offer, const duet_sdp *answer, duet_sdp_error *error)
{
    check c;

    init(&c, answer, offer, error);
    if (duet_sdp_media_count(offer) != duet_sdp_media_count(answer)) {
        if (error)
            duet_sdp_set_error(error, 0, 0, NULL, 0,
                               "the answer has not as many m-sections as the offer (RFC 3264, 6)");
        return DUET_ERR_MALFORMED;
    }
    int err = check_all(&c);
    for (size_t i = 0; i < duet_sdp_media_count(answer) && !err; i++)
        err = check_answered_section(&c, i);
    return err;
}
