/* Which stream an RTP packet belongs to: RFC 9143 section 9.2 (MID, SSRC, payload type), RFC 8852 (RID), and for
 * retransmissions a=ssrc-group:FID (RFC 5576), repaired-rtp-stream-id, or the one stream that has none yet (RFC 4588). */
#include "base/bytes.h"
#include "media/internal.h"
#include <string.h>

/* A packet on its way to its stream. */
typedef struct arriving {
    duet_rtp_packet packet;
    duet_rtp_extensions extensions;
    size_t len;
    duet_time now;
} arriving;

static bool has(const arriving *a, duet_rtp_extension_kind kind)
{
    return a->extensions.present & 1u << kind;
}

/* ---- sections ------------------------------------------------------------------------------------------------------ */

static bool contains(const uint32_t *ssrcs, size_t count, uint32_t ssrc, size_t *index)
{
    for (*index = 0; *index < count; ++*index) {
        if (ssrcs[*index] == ssrc)
            return true;
    }
    return false;
}

static bool announces(const rtp_section *section, uint32_t ssrc)
{
    size_t index;

    return contains(section->remote_ssrcs, section->remote_ssrc_count, ssrc, &index) ||
           contains(section->remote_rtx_ssrcs, section->remote_rtx_ssrc_count, ssrc, &index);
}

static rtp_section *section_of_ssrc(const duet_rtp_session *session, uint32_t ssrc)
{
    for (size_t i = 0; i < session->section_count; i++) {
        if (announces(session->sections[i], ssrc))
            return session->sections[i];
    }
    return NULL;
}

/* The only section that has the payload type. */
static rtp_section *section_of_payload_type(const duet_rtp_session *session, uint8_t payload_type)
{
    rtp_section *found = NULL;

    for (size_t i = 0; i < session->section_count; i++) {
        if (!duet_rtp_section_codec(session->sections[i], payload_type))
            continue;
        if (found)
            return NULL;
        found = session->sections[i];
    }
    return found;
}

/* @param is_known  whether the peer has said so, in its description or by a MID */
static rtp_section *section_of(const duet_rtp_session *session, const arriving *a, bool *is_known)
{
    *is_known = true;
    /* "If the packet has a MID, and the packet's MID is not in the table ... the packet is not associated": a payload type
     * does not help it then. */
    if (has(a, DUET_RTP_EXT_MID))
        return duet_rtp_session_section(session, a->extensions.mid);
    rtp_section *section = section_of_ssrc(session, a->packet.ssrc);
    if (section)
        return section;
    *is_known = false;
    return section_of_payload_type(session, a->packet.payload_type);
}

/* ---- retransmissions ----------------------------------------------------------------------------------------------- */

/* The stream that a=ssrc-group:FID names for it. @return whether there is such a group; its stream may not have come yet */
static bool find_group(const duet_rtp_session *session, const rtp_section *section, uint32_t rtx_ssrc,
                       duet_receive_stream **stream)
{
    size_t index;

    *stream = NULL;
    if (!contains(section->remote_rtx_ssrcs, section->remote_rtx_ssrc_count, rtx_ssrc, &index) ||
        index >= section->remote_ssrc_count)
        return false;
    *stream = duet_map_get(&session->receivers, section->remote_ssrcs[index]);
    return true;
}

static duet_receive_stream *stream_by_rid(const duet_rtp_session *session, const rtp_section *section, const char *rid)
{
    for (duet_receive_stream *s = session->newest; s; s = s->older) {
        if (s->section == section && strcmp(s->rid, rid) == 0)
            return s;
    }
    return NULL;
}

/* The only stream of the section that has lost packets of this payload type and no repair stream. */
static duet_receive_stream *stream_by_apt(const duet_rtp_session *session, const rtp_section *section, uint8_t apt)
{
    duet_receive_stream *found = NULL;

    for (duet_receive_stream *s = session->newest; s; s = s->older) {
        if (s->section != section || s->has_rtx_ssrc || s->payload_type != apt)
            continue;
        if (found)
            return NULL;
        found = s;
    }
    return found;
}

static duet_receive_stream *repaired_stream(duet_rtp_session *session, const rtp_section *section, const arriving *a,
                                            uint8_t apt)
{
    duet_receive_stream *stream;

    if (!find_group(session, section, a->packet.ssrc, &stream))
        stream = has(a, DUET_RTP_EXT_REPAIRED_RID) ? stream_by_rid(session, section, a->extensions.repaired_rid)
                                                   : stream_by_apt(session, section, apt);
    if (!stream || duet_receive_stream_set_rtx(stream, a->packet.ssrc) != DUET_OK)
        return NULL;
    return stream;
}

/* |            OSN                |  original RTP packet payload   |   RFC 4588, 4 */
static int retransmission(duet_receive_stream *stream, arriving *a)
{
    uint8_t apt = stream->section->apt_of[a->packet.payload_type];
    duet_reader r = duet_reader_init(a->packet.payload, a->packet.payload_len);

    duet_receive_stream_touch(stream, a->now);
    if (a->packet.payload_len == 0)
        return DUET_OK; /* padding, sent to probe for bandwidth */
    a->packet.sequence_number = duet_read_u16(&r);
    duet_bytes payload = duet_read_bytes(&r, duet_reader_left(&r));
    if (r.failed) {
        stream->session->stats.malformed++;
        return DUET_ERR_MALFORMED;
    }
    a->packet.payload = payload.data;
    a->packet.payload_len = payload.len;
    a->packet.payload_type = apt;
    a->packet.ssrc = stream->ssrc;
    if (!duet_rtp_section_codec(stream->section, apt)) {
        stream->session->stats.unknown_payload_type++;
        return DUET_ERR_NOT_FOUND;
    }
    return duet_receive_stream_packet(stream, &a->packet, &a->extensions, a->len, true, a->now);
}

/* ---- streams ------------------------------------------------------------------------------------------------------- */

/* The one that was silent longest, of those that nobody announced in the section, when there are too many of them. */
static duet_receive_stream *pending_to_evict(const duet_rtp_session *session, const rtp_section *section)
{
    duet_receive_stream *oldest = NULL;
    size_t count = 0;

    for (duet_receive_stream *s = session->newest; s; s = s->older) {
        if (s->section != section || s->is_known)
            continue;
        oldest = s;
        count++;
    }
    return count >= DUET_RECEIVE_STREAMS_PENDING ? oldest : NULL;
}

static void make_room(duet_rtp_session *session, const rtp_section *section, bool is_known)
{
    duet_receive_stream *evict = is_known ? NULL : pending_to_evict(session, section);

    if (!evict && session->receivers.count >= session->config.receive_streams_max)
        evict = session->oldest;
    if (!evict)
        return;
    session->stats.streams_evicted++;
    duet_receive_stream_end(evict);
}

static void adopt_group(duet_receive_stream *stream)
{
    const rtp_section *section = stream->section;
    size_t index;

    /* Without memory it is found when its first packet comes. */
    if (contains(section->remote_ssrcs, section->remote_ssrc_count, stream->ssrc, &index) &&
        index < section->remote_rtx_ssrc_count)
        (void)duet_receive_stream_set_rtx(stream, section->remote_rtx_ssrcs[index]);
}

static int new_stream(duet_receive_stream **out, duet_rtp_session *session, rtp_section *section, const arriving *a,
                      bool is_known)
{
    make_room(session, section, is_known);
    int err = duet_receive_stream_create(out, session, section, a->packet.ssrc, is_known);
    if (err != DUET_OK)
        return err;
    adopt_group(*out);
    if (has(a, DUET_RTP_EXT_RID))
        memcpy((*out)->rid, a->extensions.rid, sizeof((*out)->rid));
    (*out)->payload_type = a->packet.payload_type;
    (*out)->last_packet = a->now;
    if (session->config.on_stream)
        session->config.on_stream(session->config.user, *out);
    return DUET_OK;
}

/* What later packets say about the stream. @return false when it now belongs to another section, and so ended */
static bool still_belongs(duet_receive_stream *stream, const arriving *a)
{
    if (has(a, DUET_RTP_EXT_RID) && stream->rid[0] == 0)
        memcpy(stream->rid, a->extensions.rid, sizeof(stream->rid));
    if (!has(a, DUET_RTP_EXT_MID))
        return true;
    stream->is_known = true;
    if (strcmp(a->extensions.mid, stream->section->mid) == 0)
        return true;
    duet_receive_stream_end(stream);
    return false;
}

static int deliver(duet_rtp_session *session, duet_receive_stream *stream, rtp_section *section, arriving *a,
                   bool is_known)
{
    int err = stream ? DUET_OK : new_stream(&stream, session, section, a, is_known);

    if (err != DUET_OK)
        return err;
    duet_rtcp_reports_flow(session, a->now);
    duet_receive_stream_touch(stream, a->now);
    return duet_receive_stream_packet(stream, &a->packet, &a->extensions, a->len, false, a->now);
}

static int no_section(duet_rtp_session *session)
{
    session->stats.unknown_section++;
    return DUET_ERR_NOT_FOUND;
}

static int to_section(duet_rtp_session *session, rtp_section *section, duet_receive_stream *stream, arriving *a,
                      bool is_known)
{
    uint8_t payload_type = a->packet.payload_type;

    if (!section->receives) {
        session->stats.not_receiving++;
        return DUET_OK;
    }
    if (!duet_rtp_section_codec(section, payload_type)) {
        session->stats.unknown_payload_type++;
        return DUET_ERR_NOT_FOUND;
    }
    /* Ids may differ between sections that are not bundled by the book. */
    if (memcmp(&section->extensions, &session->extensions, sizeof(section->extensions)) != 0)
        (void)duet_rtp_extensions_parse(&a->extensions, &a->packet, &section->extensions);
    bool is_repair = section->apt_of[payload_type] != RTP_NO_CODEC;
    if (!is_repair && stream && stream->ssrc != a->packet.ssrc)
        return no_section(session); /* media where retransmissions were */
    if (!is_repair)
        return deliver(session, stream, section, a, is_known);
    if (!stream)
        stream = repaired_stream(session, section, a, section->apt_of[payload_type]);
    return stream ? retransmission(stream, a) : no_section(session);
}

int duet_rtp_session_rtp(duet_rtp_session *session, const uint8_t *data, size_t len, duet_time now)
{
    arriving a = {.len = len, .now = now};
    bool is_known;

    if (duet_rtp_parse(&a.packet, data, len) != DUET_OK) {
        session->stats.malformed++;
        return DUET_ERR_MALFORMED;
    }
    /* An extension that is ill-formed is missing, no more. */
    (void)duet_rtp_extensions_parse(&a.extensions, &a.packet, &session->extensions);
    if (has(&a, DUET_RTP_EXT_TRANSPORT_CC))
        duet_feedback_out_add(session, a.extensions.transport_sequence_number, a.packet.ssrc, now);
    if (session->wants_ccfb)
        duet_ccfb_out_add(session, a.packet.ssrc, a.packet.sequence_number, now);
    duet_receive_stream *stream = duet_map_get(&session->receivers, a.packet.ssrc);
    if (stream && still_belongs(stream, &a))
        return to_section(session, stream->section, stream, &a, true);
    if (!stream && (stream = duet_map_get(&session->repairs, a.packet.ssrc)) != NULL)
        return to_section(session, stream->section, stream, &a, true);
    rtp_section *section = section_of(session, &a, &is_known);
    return section ? to_section(session, section, NULL, &a, is_known) : no_section(session);
}
