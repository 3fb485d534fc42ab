/* Building answers: RFC 3264 section 6, RFC 9429 section 5.3, BUNDLE as in RFC 9143 section 7.3. */
#include "sdp/internal.h"

#include <stdio.h>
#include <string.h>

duet_sdp_direction duet_sdp_direction_answer(duet_sdp_direction offered, duet_sdp_direction wanted)
{
    return (duet_sdp_direction)((unsigned)duet_sdp_direction_reverse(offered) & (unsigned)wanted);
}

duet_setup duet_sdp_setup_answer(duet_setup offered, duet_setup wanted)
{
    switch (offered) {
    case DUET_SETUP_ACTIVE:
        return DUET_SETUP_PASSIVE;
    case DUET_SETUP_PASSIVE:
        return DUET_SETUP_ACTIVE;
    case DUET_SETUP_NONE:
    case DUET_SETUP_ACTPASS:
        return wanted == DUET_SETUP_PASSIVE ? DUET_SETUP_PASSIVE : DUET_SETUP_ACTIVE;
    default:
        return DUET_SETUP_NONE;
    }
}

/* An answer under construction. */
typedef struct answer {
    const duet_sdp *offer;
    const duet_sdp_options *options;
    duet_sdp *sdp;
    duet_sdp_error *error;
    sdp_bundle bundle; /* of the offer */
    bool accepted[DUET_SDP_MEDIA_MAX];
    bool grouped[DUET_SDP_MEDIA_MAX]; /* accepted, and in a BUNDLE group of the answer */
    duet_codec offered[128], codecs[128];
    const duet_codec *codec_pointers[128];
    size_t codec_count;
} answer;

static const duet_sdp_section *section_of(const answer *a, size_t i)
{
    return a->options->sections[i];
}

static void intersect_codecs(answer *a, size_t i)
{
    const duet_sdp_section *s = section_of(a, i);
    size_t count = duet_sdp_media_codecs(a->offer, i, a->offered, 128);

    a->codec_count =
        duet_sdp_codecs_answer(s->codecs, s->codec_count, a->offered, count, s->own_codec_order, a->codecs);
    for (size_t k = 0; k < a->codec_count; k++)
        a->codec_pointers[k] = &a->codecs[k];
}

/* ---- which sections are accepted ---- */

static bool is_possible(answer *a, size_t i)
{
    const duet_sdp_section *s = section_of(a, i);
    const duet_sdp_media *m = duet_sdp_media_at(a->offer, i);
    uint16_t port;

    if (!s || s->rejected || s->kind != m->kind || duet_sdp_media_is_rejected(a->offer, i))
        return false;
    if (m->kind == DUET_SDP_APPLICATION)
        return duet_sdp_media_is_data(a->offer, i) && duet_sdp_media_sctp_port(a->offer, i, &port) == DUET_OK;
    if (!duet_sdp_media_is_rtp(a->offer, i))
        return false;
    intersect_codecs(a, i);
    return a->codec_count > 0;
}

static bool is_bundle_only(const answer *a, size_t i)
{
    return duet_sdp_media_at(a->offer, i)->port == 0;
}

/* A bundle-only section lives on the transport of another one: "the answerer MUST either reject ... or" put it into the
 * group, RFC 9143 section 7.3.3. A group is possible when one accepted section in it has its own address. */
static void decide_groups(answer *a)
{
    bool has_address[DUET_SDP_MEDIA_MAX] = {false};
    size_t count = duet_sdp_media_count(a->offer);

    for (size_t i = 0; i < count; i++) {
        size_t tag = a->bundle.tag[i];
        a->grouped[i] = a->accepted[i] && a->options->bundle && tag != DUET_SDP_SESSION && !section_of(a, i)->no_bundle;
        if (a->grouped[i] && !is_bundle_only(a, i))
            has_address[tag] = true;
    }
    for (size_t i = 0; i < count; i++) {
        a->grouped[i] = a->grouped[i] && has_address[a->bundle.tag[i]];
        if (a->accepted[i] && is_bundle_only(a, i))
            a->accepted[i] = a->grouped[i];
    }
}

/* ---- session part ---- */

/* The members of one offered group that are grouped: the new tag first, then the others in the offered order. */
static int write_group(answer *a, duet_sdp_text mids)
{
    duet_sdp_text all = mids, word, tag = {"", 0};
    duet_buffer text;
    size_t i;
    int err = DUET_OK;

    while (tag.len == 0 && duet_sdp_text_next(&mids, &word))
        if (duet_sdp_bundle_find(&a->bundle, word, &i) && a->grouped[i] && !is_bundle_only(a, i))
            tag = word;
    if (tag.len == 0)
        return DUET_OK;
    duet_buffer_init(&text, &a->sdp->env);
    duet_buffer_printf(&text, "BUNDLE %.*s", (int)tag.len, tag.text);
    while (duet_sdp_text_next(&all, &word))
        if (!duet_sdp_text_equal(word, tag) && duet_sdp_bundle_find(&a->bundle, word, &i) && a->grouped[i])
            duet_buffer_printf(&text, " %.*s", (int)word.len, word.text);
    err = text.failed ? DUET_ERR_NOMEM : duet_sdp_add(a->sdp, DUET_SDP_SESSION, "group", (const char *)text.data);
    duet_buffer_free(&text);
    return err;
}

static int write_session(answer *a)
{
    duet_sdp_value v;
    size_t cursor = 0;
    int err = DUET_OK;

    while (!err && duet_sdp_next(a->offer, DUET_SDP_SESSION, DUET_SDP_GROUP, &cursor, &v))
        if (duet_sdp_text_is(v.as.group.semantics, "BUNDLE"))
            err = write_group(a, v.as.group.mids);
    if (!err && duet_sdp_has(a->offer, DUET_SDP_SESSION, DUET_SDP_EXTMAP_ALLOW_MIXED))
        err = duet_sdp_add(a->sdp, DUET_SDP_SESSION, "extmap-allow-mixed", NULL);
    if (!err && a->options->ice_lite)
        err = duet_sdp_add(a->sdp, DUET_SDP_SESSION, "ice-lite", NULL);
    return err;
}

/* ---- sections ---- */

static int write_mid(answer *a, size_t i)
{
    duet_sdp_text mid = duet_sdp_media_mid(a->offer, i);

    return mid.len == 0 ? DUET_OK : duet_sdp_addf(a->sdp, i, "mid", "%.*s", (int)mid.len, mid.text);
}

/* "the <port> in the m= line ... MUST be set to zero", RFC 3264 section 6; the formats only fill their place. */
static int write_rejected(answer *a, size_t i)
{
    const duet_sdp_media *m = duet_sdp_media_at(a->offer, i);
    int err = duet_sdp_add_media(a->sdp, m->name, 0, m->proto, m->formats, NULL);

    if (!err && duet_sdp_media_is_rtp(a->offer, i))
        err = duet_sdp_add(a->sdp, i, "inactive", NULL);
    return err ? err : write_mid(a, i);
}

/* Ids above 14 need two-byte headers, which must have been offered (RFC 8285 section 6); provisional ones are not
 * answered. */
static bool id_is_usable(const answer *a, size_t i, uint16_t id)
{
    if (id >= 1 && id <= 14)
        return true;
    return id >= 16 && id <= 255 &&
           (duet_sdp_has(a->offer, i, DUET_SDP_EXTMAP_ALLOW_MIXED) ||
            duet_sdp_has(a->offer, DUET_SDP_SESSION, DUET_SDP_EXTMAP_ALLOW_MIXED));
}

/* The offered extensions that we have, once each. @param out  room for extension_count of the section */
static size_t intersect_extensions(const answer *a, size_t i, duet_sdp_extension *out)
{
    const duet_sdp_section *s = section_of(a, i);
    duet_sdp_extmap map;
    size_t cursor = 0, count = 0;

    while (count < s->extension_count && duet_sdp_media_extmap(a->offer, i, &cursor, &map)) {
        size_t k = 0, seen = 0;
        while (k < s->extension_count && !duet_sdp_text_is(map.uri, s->extensions[k]->uri))
            k++;
        if (k == s->extension_count || !id_is_usable(a, i, map.id))
            continue;
        while (seen < count && out[seen].uri != s->extensions[k]->uri && out[seen].id != map.id)
            seen++;
        duet_sdp_direction direction = duet_sdp_direction_answer(map.direction, s->extensions[k]->direction);
        if (seen == count && direction != DUET_SDP_INACTIVE)
            out[count++] = (duet_sdp_extension){map.id, direction, s->extensions[k]->uri};
    }
    return count;
}

/* The role offered for this section, or for the section whose transport it shares. */
static int answer_setup(const answer *a, size_t i, duet_setup *out)
{
    const duet_sdp_section *s = section_of(a, i);
    duet_setup offered;

    *out = DUET_SETUP_NONE;
    if (!s->transport)
        return DUET_OK;
    if (duet_sdp_media_setup(a->offer, i, &offered) != DUET_OK && a->grouped[i])
        (void)duet_sdp_media_setup(a->offer, a->bundle.tag[i], &offered);
    *out = duet_sdp_setup_answer(offered, s->transport->setup);
    if (*out != DUET_SETUP_NONE)
        return DUET_OK;
    if (a->error)
        duet_sdp_set_error_at(a->error, a->offer, i, DUET_SDP_SETUP, "an offer with holdconn cannot be answered");
    return DUET_ERR_UNSUPPORTED;
}

static int add_media(answer *a, size_t i, bool legacy_data)
{
    const duet_sdp_media *m = duet_sdp_media_at(a->offer, i);
    const duet_sdp_section *s = section_of(a, i);
    char formats[8];

    if (duet_sdp_media_is_data(a->offer, i) && !legacy_data)
        return duet_sdp_add_media(a->sdp, m->name, DUET_SDP_DISCARD_PORT, m->proto, "webrtc-datachannel", NULL);
    if (legacy_data) {
        unsigned port = s->sctp_port ? s->sctp_port : DUET_SDP_DEFAULT_SCTP_PORT;
        snprintf(formats, sizeof(formats), "%u", port);
        return duet_sdp_add_media(a->sdp, m->name, DUET_SDP_DISCARD_PORT, m->proto, formats, NULL);
    }
    char *payload_types = duet_sdp_formats_of(a->sdp, a->codec_pointers, a->codec_count);
    if (!payload_types)
        return DUET_ERR_NOMEM;
    int err = duet_sdp_add_media(a->sdp, m->name, DUET_SDP_DISCARD_PORT, m->proto, payload_types, NULL);
    duet_free(&a->sdp->env, payload_types);
    return err;
}

static int write_accepted(answer *a, size_t i)
{
    const duet_sdp_section *s = section_of(a, i);
    bool data = duet_sdp_media_is_data(a->offer, i);
    sdp_body body = {
        .section = s,
        .mid = duet_sdp_media_mid(a->offer, i),
        .direction = duet_sdp_direction_answer(duet_sdp_media_direction(a->offer, i), s->direction),
        .legacy_data = data && !duet_sdp_has(a->offer, i, DUET_SDP_SCTP_PORT),
        .allow_mixed = duet_sdp_has(a->offer, i, DUET_SDP_EXTMAP_ALLOW_MIXED),
        .codecs = a->codec_pointers,
        .offer = a->offer,
        .index = i,
    };

    int err = answer_setup(a, i, &body.setup);
    if (err)
        return err;
    if (!data)
        intersect_codecs(a, i);
    body.codec_count = data ? 0 : a->codec_count;
    duet_sdp_extension *extensions = duet_alloc(&a->sdp->env, (s->extension_count + 1) * sizeof(*extensions));
    if (!extensions)
        return DUET_ERR_NOMEM;
    body.extensions = extensions;
    body.extension_count = data ? 0 : intersect_extensions(a, i, extensions);
    err = add_media(a, i, body.legacy_data);
    if (!err)
        err = duet_sdp_write_body(a->sdp, i, &body);
    duet_free(&a->sdp->env, extensions);
    return err;
}

static int write_answer(answer *a)
{
    size_t count = duet_sdp_media_count(a->offer);

    duet_sdp_bundle_map(a->offer, &a->bundle);
    for (size_t i = 0; i < count; i++)
        a->accepted[i] = is_possible(a, i);
    decide_groups(a);
    int err = write_session(a);
    for (size_t i = 0; i < count && !err; i++)
        err = a->accepted[i] ? write_accepted(a, i) : write_rejected(a, i);
    return err;
}

int duet_sdp_create_answer(duet_sdp **out, const duet_env *env, const duet_sdp *offer, const duet_sdp_options *options,
                           duet_sdp_error *error)
{
    *out = NULL;
    if (options->section_count != duet_sdp_media_count(offer) || options->session_id > INT64_MAX)
        return DUET_ERR_INVALID;
    int err = duet_sdp_create(out, env, options->session_id, options->version);
    if (err)
        return err;
    answer *a = duet_calloc(&(*out)->env, sizeof(*a)); /* about 100 KiB: too much for a small stack */
    if (a) {
        a->offer = offer;
        a->options = options;
        a->sdp = *out;
        a->error = error;
        err = write_answer(a);
    } else {
        err = DUET_ERR_NOMEM;
    }
    duet_free(&(*out)->env, a);
    if (err) {
        duet_sdp_destroy(*out);
        *out = NULL;
    }
    return err == DUET_ERR_MALFORMED ? DUET_ERR_INVALID : err;
}
