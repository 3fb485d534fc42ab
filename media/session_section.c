/* M-sections of a session: what offer and answer agreed, in the form in which each packet looks it up. */
#include "base/memory.h"
#include "base/text.h"
#include "media/internal.h"
#include <string.h>
#include <strings.h>

#define REMOTE_SSRCS_MAX 256 /* of a description; further ones are found by MID or payload type */

rtp_section *duet_rtp_session_section(const duet_rtp_session *session, const char *mid)
{
    for (size_t i = 0; i < session->section_count; i++) {
        if (strcmp(session->sections[i]->mid, mid) == 0)
            return session->sections[i];
    }
    return NULL;
}

static void free_parts(duet_rtp_session *session, rtp_section *section)
{
    duet_free(&session->env, section->codecs);
    duet_free(&session->env, section->remote_ssrcs);
    duet_free(&session->env, section->remote_rtx_ssrcs);
}

void duet_rtp_section_free(duet_rtp_session *session, rtp_section *section)
{
    free_parts(session, section);
    duet_free(&session->env, section);
}

/* "apt=96;rtx-time=3000": RFC 4588 section 8.1 */
static bool read_apt(const char *fmtp, uint64_t *apt)
{
    duet_reader r = duet_text_reader(fmtp, strlen(fmtp));

    for (;;) {
        while (duet_text_skip(&r, ' ') || duet_text_skip(&r, ';'))
            ;
        if (duet_text_at_end(&r))
            return false;
        if (duet_text_skip_word(&r, "apt="))
            return duet_text_number(&r, 0, 127, apt);
        while (!duet_text_at_end(&r) && duet_peek_u8(&r, 0) != ';')
            duet_read_skip(&r, 1);
    }
}

static void index_codecs(rtp_section *section)
{
    memset(section->codec_of, RTP_NO_CODEC, sizeof(section->codec_of));
    memset(section->rtx_of, RTP_NO_CODEC, sizeof(section->rtx_of));
    memset(section->apt_of, RTP_NO_CODEC, sizeof(section->apt_of));
    section->feedback = 0;
    for (size_t i = 0; i < section->codec_count; i++) {
        const duet_codec *codec = &section->codecs[i];
        uint64_t apt;
        section->codec_of[codec->payload_type] = (uint8_t)i;
        section->feedback |= codec->feedback;
        if (strcasecmp(codec->name, "rtx") != 0 || !read_apt(codec->fmtp, &apt))
            continue;
        section->rtx_of[apt] = codec->payload_type;
        section->apt_of[codec->payload_type] = (uint8_t)apt;
    }
}

static int copy_codecs(const duet_rtp_session *session, rtp_section *to, const duet_rtp_section *from)
{
    size_t count = from->codec_count < DUET_RTP_CODECS_MAX ? from->codec_count : DUET_RTP_CODECS_MAX;

    to->codecs = duet_alloc(&session->env, (count ? count : 1) * sizeof(duet_codec));
    if (!to->codecs)
        return DUET_ERR_NOMEM;
    to->codec_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (from->codecs[i]->payload_type <= 127)
            to->codecs[to->codec_count++] = *from->codecs[i];
    }
    return DUET_OK;
}

static int copy_ssrcs(const duet_rtp_session *session, uint32_t **out, size_t *out_count, const uint32_t *ssrcs,
                      size_t count)
{
    *out_count = count < REMOTE_SSRCS_MAX ? count : REMOTE_SSRCS_MAX;
    *out = *out_count ? duet_memdup(&session->env, ssrcs, *out_count * sizeof(*ssrcs)) : NULL;
    return *out_count && !*out ? DUET_ERR_NOMEM : DUET_OK;
}

/* Everything but the mid, which a section keeps. */
static int build(duet_rtp_session *session, rtp_section *to, const duet_rtp_section *from)
{
    to->is_video = from->is_video;
    to->receives = from->receives;
    to->reduced_size = from->reduced_size;
    to->receiver_rtt = from->receiver_rtt;
    to->extensions = from->extensions;
    if (copy_codecs(session, to, from) != DUET_OK ||
        copy_ssrcs(session, &to->remote_ssrcs, &to->remote_ssrc_count, from->remote_ssrcs, from->remote_ssrc_count) !=
            DUET_OK ||
        copy_ssrcs(session, &to->remote_rtx_ssrcs, &to->remote_rtx_ssrc_count, from->remote_rtx_ssrcs,
                   from->remote_rtx_ssrc_count) != DUET_OK) {
        free_parts(session, to);
        return DUET_ERR_NOMEM;
    }
    index_codecs(to);
    bool has_id = to->extensions.ids[DUET_RTP_EXT_TRANSPORT_CC] != 0;
    to->wants_ccfb = to->feedback & DUET_FEEDBACK_CCFB;
    to->wants_transport_cc = has_id && (to->feedback & DUET_FEEDBACK_TRANSPORT_CC);
    return DUET_OK;
}

/* What an id means before it is known which section a packet belongs to. */
static void merge_extensions(duet_rtp_session *session)
{
    memset(&session->extensions, 0, sizeof(session->extensions));
    session->wants_transport_cc = session->wants_ccfb = false;
    for (size_t i = 0; i < session->section_count; i++) {
        session->wants_transport_cc |= session->sections[i]->wants_transport_cc;
        session->wants_ccfb |= session->sections[i]->wants_ccfb;
        for (int kind = 0; kind < DUET_RTP_EXT_COUNT; kind++) {
            if (session->extensions.ids[kind] == 0)
                session->extensions.ids[kind] = session->sections[i]->extensions.ids[kind];
        }
    }
}

static int add_section(duet_rtp_session *session, const char *mid, const rtp_section *parts)
{
    rtp_section *section = duet_alloc(&session->env, sizeof(*section));

    if (!section)
        return DUET_ERR_NOMEM;
    *section = *parts;
    memcpy(section->mid, mid, strlen(mid) + 1);
    session->sections[session->section_count++] = section;
    return DUET_OK;
}

int duet_rtp_session_set_section(duet_rtp_session *session, const duet_rtp_section *section)
{
    const char *mid = section->mid ? section->mid : "";
    rtp_section *old = duet_rtp_session_section(session, mid), parts = {0};

    if (strlen(mid) > DUET_RTP_SDES_MAX)
        return DUET_ERR_INVALID;
    if (!old && session->section_count == DUET_RTP_SECTIONS_MAX)
        return DUET_ERR_LIMIT;
    int err = build(session, &parts, section);
    if (err != DUET_OK)
        return err;
    if (old) { /* in its place: streams point to it */
        free_parts(session, old);
        memcpy(parts.mid, old->mid, sizeof(parts.mid));
        *old = parts;
    } else if ((err = add_section(session, mid, &parts)) != DUET_OK) {
        free_parts(session, &parts);
        return err;
    }
    merge_extensions(session);
    return DUET_OK;
}

static void end_streams(duet_rtp_session *session, const rtp_section *section)
{
    duet_receive_stream *older;

    for (duet_receive_stream *stream = session->newest; stream; stream = older) {
        older = stream->older;
        if (stream->section == section)
            duet_receive_stream_end(stream);
    }
}

void duet_rtp_session_remove_section(duet_rtp_session *session, const char *mid)
{
    for (size_t i = 0; i < session->section_count; i++) {
        rtp_section *section = session->sections[i];
        if (strcmp(section->mid, mid) != 0)
            continue;
        end_streams(session, section);
        session->section_count--;
        memmove(&session->sections[i], &session->sections[i + 1], (session->section_count - i) * sizeof(section));
        duet_rtp_section_free(session, section);
        merge_extensions(session);
        return;
    }
}
