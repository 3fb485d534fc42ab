/* Building offers: RFC 9429 section 5.2, BUNDLE as in RFC 9143 section 7.2. */
#include "sdp/internal.h"

#include <string.h>

static bool is_bundled(const duet_sdp_section *s)
{
    return !s->rejected && !s->no_bundle;
}

static int write_group(duet_sdp *sdp, const duet_sdp_options *options)
{
    duet_buffer mids;
    size_t count = 0;
    int err = DUET_OK;

    duet_buffer_init(&mids, &sdp->env);
    duet_buffer_text(&mids, "BUNDLE");
    for (size_t i = 0; i < options->section_count; i++) {
        if (!is_bundled(options->sections[i]))
            continue;
        duet_buffer_printf(&mids, " %s", options->sections[i]->mid);
        count++;
    }
    if (mids.failed)
        err = DUET_ERR_NOMEM;
    else if (count > 0)
        err = duet_sdp_add(sdp, DUET_SDP_SESSION, "group", (const char *)mids.data);
    duet_buffer_free(&mids);
    return err;
}

static bool is_valid(const duet_sdp_section *s)
{
    if (!s || !s->mid || !s->mid[0])
        return false;
    if (s->kind == DUET_SDP_APPLICATION)
        return true;
    return (s->kind == DUET_SDP_AUDIO || s->kind == DUET_SDP_VIDEO) && (s->codec_count > 0 || s->rejected);
}

static bool are_valid(const duet_sdp_options *options)
{
    if (options->session_id > INT64_MAX || options->section_count > DUET_SDP_MEDIA_MAX)
        return false;
    for (size_t i = 0; i < options->section_count; i++) {
        if (!is_valid(options->sections[i]))
            return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(options->sections[i]->mid, options->sections[k]->mid) == 0)
                return false;
    }
    return true;
}

static int add_media(duet_sdp *sdp, const duet_sdp_section *s, size_t *media)
{
    uint16_t port = s->rejected || s->bundle_only ? 0 : DUET_SDP_DISCARD_PORT;

    if (s->kind == DUET_SDP_APPLICATION)
        return duet_sdp_add_media(sdp, "application", port, "UDP/DTLS/SCTP", "webrtc-datachannel", media);
    char *formats = duet_sdp_formats_of(sdp, s->codecs, s->codec_count);
    if (!formats)
        return DUET_ERR_NOMEM;
    int err = duet_sdp_add_media(sdp, s->kind == DUET_SDP_AUDIO ? "audio" : "video", port, "UDP/TLS/RTP/SAVPF",
                                 formats[0] ? formats : "0", media);
    duet_free(&sdp->env, formats);
    return err;
}

static int write_accepted(duet_sdp *sdp, size_t media, const duet_sdp_section *s)
{
    duet_sdp_extension *extensions = duet_alloc(&sdp->env, (s->extension_count + 1) * sizeof(*extensions));
    duet_setup setup = s->transport ? s->transport->setup : DUET_SETUP_NONE;
    sdp_body body = {
        .section = s,
        .mid = duet_sdp_text_of(s->mid),
        .direction = s->direction,
        .setup = setup == DUET_SETUP_NONE ? DUET_SETUP_ACTPASS : setup, /* RFC 9429 section 5.2.1 */
        .codecs = s->codecs,
        .codec_count = s->codec_count,
        .extensions = extensions,
        .extension_count = s->extension_count,
    };

    if (!extensions)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < s->extension_count; i++)
        extensions[i] = *s->extensions[i];
    int err = s->bundle_only ? duet_sdp_add(sdp, media, "bundle-only", NULL) : DUET_OK;
    if (!err)
        err = duet_sdp_write_body(sdp, media, &body);
    duet_free(&sdp->env, extensions);
    return err;
}

static int write_section(duet_sdp *sdp, const duet_sdp_section *s)
{
    size_t media;
    int err = add_media(sdp, s, &media);

    if (err)
        return err;
    if (!s->rejected)
        return write_accepted(sdp, media, s);
    if (s->kind != DUET_SDP_APPLICATION)
        err = duet_sdp_add(sdp, media, "inactive", NULL);
    return err ? err : duet_sdp_add(sdp, media, "mid", s->mid);
}

static int write_offer(duet_sdp *sdp, const duet_sdp_options *options)
{
    int err = options->bundle ? write_group(sdp, options) : DUET_OK;

    if (!err)
        err = duet_sdp_add(sdp, DUET_SDP_SESSION, "extmap-allow-mixed", NULL);
    if (!err && options->ice_lite)
        err = duet_sdp_add(sdp, DUET_SDP_SESSION, "ice-lite", NULL);
    for (size_t i = 0; i < options->section_count && !err; i++)
        err = write_section(sdp, options->sections[i]);
    return err;
}

int duet_sdp_create_offer(duet_sdp **out, const duet_env *env, const duet_sdp_options *options)
{
    *out = NULL;
    if (!are_valid(options))
        return DUET_ERR_INVALID;
    int err = duet_sdp_create(out, env, options->session_id, options->version);
    if (err)
        return err;
    err = write_offer(*out, options);
    if (err) {
        duet_sdp_destroy(*out);
        *out = NULL;
    }
    /* values that do not follow their grammar came from the options */
    return err == DUET_ERR_MALFORMED ? DUET_ERR_INVALID : err;
}
