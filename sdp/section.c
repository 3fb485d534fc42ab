/* Writes what an m-section says, for offers and answers alike, in the order of RFC 9429 section 5.2.1: transport, mid,
 * then RTP or data channels. */
#include "sdp/internal.h"

#include <string.h>

/* ---- transport ---- */

static int write_candidates(duet_sdp *sdp, size_t media, const duet_sdp_transport *t)
{
    for (size_t i = 0; i < t->candidate_count; i++) {
        int err = duet_sdp_add_candidate(sdp, media, t->candidates[i]);
        if (err)
            return err;
    }
    return t->end_of_candidates ? duet_sdp_add_end_of_candidates(sdp, media) : DUET_OK;
}

static int write_fingerprints(duet_sdp *sdp, size_t media, const duet_sdp_transport *t)
{
    char text[DUET_FINGERPRINT_TEXT_MAX];

    for (size_t i = 0; i < t->fingerprint_count; i++) {
        int err = duet_fingerprint_format(t->fingerprints[i], text, sizeof(text));
        if (!err)
            err = duet_sdp_add(sdp, media, "fingerprint", text);
        if (err)
            return err;
    }
    return DUET_OK;
}

static int write_transport(duet_sdp *sdp, size_t media, const duet_sdp_transport *t, duet_setup setup)
{
    int err = write_candidates(sdp, media, t);

    if (!err)
        err = duet_sdp_add(sdp, media, "ice-ufrag", t->ice.ufrag);
    if (!err)
        err = duet_sdp_add(sdp, media, "ice-pwd", t->ice.pwd);
    if (!err && t->ice_options)
        err = duet_sdp_add(sdp, media, "ice-options", t->ice_options);
    if (!err)
        err = write_fingerprints(sdp, media, t);
    if (!err && duet_setup_name(setup))
        err = duet_sdp_add(sdp, media, "setup", duet_setup_name(setup));
    if (!err && t->tls_id)
        err = duet_sdp_add(sdp, media, "tls-id", t->tls_id);
    return err;
}

/* ---- simulcast, RFC 8853 ---- */

/* One side of a=simulcast and the a=rid lines that it names. */
typedef struct rid_list {
    duet_sdp *sdp;
    size_t media;
    const char *direction; /* "send" or "recv" */
    duet_buffer text;      /* "q;~h;f" */
} rid_list;

static int add_rid(rid_list *l, duet_sdp_text id, duet_sdp_text restrictions, bool paused)
{
    if (l->text.len > 0)
        duet_buffer_text(&l->text, ";");
    if (paused)
        duet_buffer_text(&l->text, "~");
    duet_buffer_append(&l->text, id.text, id.len);
    return duet_sdp_addf(l->sdp, l->media, "rid", "%.*s %s%s%.*s", (int)id.len, id.text, l->direction,
                         restrictions.len ? " " : "", (int)restrictions.len, restrictions.text);
}

static bool is_rid_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '-' || c == '_';
}

/* Whether a list such as "q,r;~h" names the rid. */
static bool list_names(duet_sdp_text list, const char *rid)
{
    duet_reader r = duet_text_reader(list.text, list.len);

    while (!duet_text_at_end(&r)) {
        duet_text_skip(&r, '~');
        duet_bytes id = duet_text_run(&r, is_rid_char);
        if (duet_text_is(id, rid))
            return true;
        if (!duet_text_skip(&r, ';') && !duet_text_skip(&r, ','))
            return false;
    }
    return false;
}

/* What we send: all encodings in an offer, those that the offer wants to receive in an answer. */
static int list_sent(rid_list *l, const sdp_body *body, const duet_sdp_simulcast *offered)
{
    const duet_sdp_section *section = body->section;

    for (size_t i = 0; i < section->encoding_count; i++) {
        const duet_sdp_encoding *e = section->encodings[i];
        if (body->offer && !list_names(offered->recv, e->rid))
            continue;
        int err =
            add_rid(l, duet_sdp_text_of(e->rid), duet_sdp_text_of(e->restrictions ? e->restrictions : ""), e->paused);
        if (err)
            return err;
    }
    return DUET_OK;
}

/* The a=rid line of the offer that describes what it sends under that id. */
static bool find_sent_rid(const sdp_body *body, duet_bytes id, duet_sdp_rid *out)
{
    duet_sdp_value v;
    size_t cursor = 0;

    while (duet_sdp_next(body->offer, body->index, DUET_SDP_RID, &cursor, &v)) {
        if (v.as.rid.direction != DUET_SDP_SENDONLY || !duet_bytes_equal(id, duet_sdp_bytes(v.as.rid.id)))
            continue;
        *out = v.as.rid;
        return true;
    }
    return false;
}

/* What we receive: an answer accepts the first alternative of every stream that is offered. */
static int list_received(rid_list *l, const sdp_body *body, duet_sdp_text offered)
{
    duet_reader r = duet_text_reader(offered.text, offered.len);
    char before = ';';
    duet_sdp_rid rid;

    while (!duet_text_at_end(&r)) {
        bool paused = duet_text_skip(&r, '~');
        duet_bytes id = duet_text_run(&r, is_rid_char);
        if (before == ';' && find_sent_rid(body, id, &rid)) {
            int err = add_rid(l, rid.id, rid.restrictions, paused);
            if (err)
                return err;
        }
        before = (char)duet_read_u8(&r);
    }
    return DUET_OK;
}

static int write_simulcast(duet_sdp *sdp, size_t media, const sdp_body *body)
{
    rid_list sent = {.sdp = sdp, .media = media, .direction = "send"};
    rid_list received = {.sdp = sdp, .media = media, .direction = "recv"};
    duet_sdp_value v = {.as.simulcast = {{"", 0}, {"", 0}}};
    size_t cursor = 0;
    int err = DUET_OK;

    if (body->offer && !duet_sdp_next(body->offer, body->index, DUET_SDP_SIMULCAST, &cursor, &v))
        return DUET_OK;
    duet_buffer_init(&sent.text, &sdp->env);
    duet_buffer_init(&received.text, &sdp->env);
    if (body->direction & DUET_SDP_SENDONLY)
        err = list_sent(&sent, body, &v.as.simulcast);
    if (!err && body->offer && body->section->receive_simulcast && (body->direction & DUET_SDP_RECVONLY))
        err = list_received(&received, body, v.as.simulcast.send);
    if (!err && (sent.text.failed || received.text.failed))
        err = DUET_ERR_NOMEM;
    if (!err && (sent.text.len > 0 || received.text.len > 0))
        err = duet_sdp_addf(sdp, media, "simulcast", "%s%s%s%s%s", sent.text.len ? "send " : "",
                            sent.text.len ? (const char *)sent.text.data : "",
                            sent.text.len && received.text.len ? " " : "", received.text.len ? "recv " : "",
                            received.text.len ? (const char *)received.text.data : "");
    duet_buffer_free(&sent.text);
    duet_buffer_free(&received.text);
    return err;
}

/* ---- RTP ---- */

static int write_extensions(duet_sdp *sdp, size_t media, const sdp_body *body)
{
    for (size_t i = 0; i < body->extension_count; i++) {
        const duet_sdp_extension *e = &body->extensions[i];
        bool all = e->direction == DUET_SDP_SENDRECV;
        int err = duet_sdp_addf(sdp, media, "extmap", "%u%s%s %s", (unsigned)e->id, all ? "" : "/",
                                all ? "" : duet_sdp_direction_name(e->direction), e->uri);
        if (err)
            return err;
    }
    return DUET_OK;
}

static int write_msids(duet_sdp *sdp, size_t media, const duet_sdp_section *section)
{
    int err = DUET_OK;

    if (!section->track_id)
        return DUET_OK;
    /* "-" is the stream id of a track that is in no stream, RFC 8830 section 2 */
    if (section->stream_count == 0)
        return duet_sdp_addf(sdp, media, "msid", "- %s", section->track_id);
    for (size_t i = 0; i < section->stream_count && !err; i++)
        err = duet_sdp_addf(sdp, media, "msid", "%s %s", section->stream_ids[i], section->track_id);
    return err;
}

static int write_ssrc(duet_sdp *sdp, size_t media, uint32_t ssrc, const char *cname)
{
    return duet_sdp_addf(sdp, media, "ssrc", "%u cname:%s", (unsigned)ssrc, cname ? cname : "-");
}

static int write_ssrcs(duet_sdp *sdp, size_t media, const duet_sdp_section *section)
{
    bool rtx = section->rtx_ssrc_count > 0 && section->rtx_ssrc_count == section->ssrc_count;
    int err = DUET_OK;

    for (size_t i = 0; i < section->ssrc_count && rtx && !err; i++)
        err = duet_sdp_addf(sdp, media, "ssrc-group", "FID %u %u", (unsigned)section->ssrcs[i],
                            (unsigned)section->rtx_ssrcs[i]);
    for (size_t i = 0; i < section->ssrc_count && !err; i++) {
        err = write_ssrc(sdp, media, section->ssrcs[i], section->cname);
        if (!err && rtx)
            err = write_ssrc(sdp, media, section->rtx_ssrcs[i], section->cname);
    }
    return err;
}

static int write_codecs(duet_sdp *sdp, size_t media, const sdp_body *body)
{
    int err = DUET_OK;

    for (size_t i = 0; i < body->codec_count && !err; i++)
        err = duet_sdp_add_codec(sdp, media, body->codecs[i]);
    return err;
}

static int write_rtp(duet_sdp *sdp, size_t media, const sdp_body *body)
{
    bool sends = body->direction & DUET_SDP_SENDONLY;
    int err = write_extensions(sdp, media, body);

    if (!err && body->allow_mixed)
        err = duet_sdp_add(sdp, media, "extmap-allow-mixed", NULL);
    if (!err)
        err = duet_sdp_add(sdp, media, duet_sdp_direction_name(body->direction), NULL);
    if (!err && sends)
        err = write_msids(sdp, media, body->section);
    if (!err)
        err = duet_sdp_add(sdp, media, "rtcp-mux", NULL);
    if (!err)
        err = duet_sdp_add(sdp, media, "rtcp-rsize", NULL);
    if (!err)
        err = write_codecs(sdp, media, body);
    if (!err)
        err = write_simulcast(sdp, media, body);
    if (!err && sends)
        err = write_ssrcs(sdp, media, body->section);
    return err;
}

/* ---- data channels ---- */

static int write_data(duet_sdp *sdp, size_t media, const sdp_body *body)
{
    const duet_sdp_section *section = body->section;
    unsigned port = section->sctp_port ? section->sctp_port : DUET_SDP_DEFAULT_SCTP_PORT;
    int err;

    if (body->legacy_data)
        err = duet_sdp_addf(sdp, media, "sctpmap", "%u webrtc-datachannel 65535", port);
    else
        err = duet_sdp_addf(sdp, media, "sctp-port", "%u", port);
    if (!err && section->max_message_size)
        err = duet_sdp_addf(sdp, media, "max-message-size", "%llu", (unsigned long long)section->max_message_size);
    return err;
}

int duet_sdp_write_body(duet_sdp *sdp, size_t media, const sdp_body *body)
{
    int err = DUET_OK;

    if (body->section->transport)
        err = write_transport(sdp, media, body->section->transport, body->setup);
    if (!err && body->mid.len > 0)
        err = duet_sdp_addf(sdp, media, "mid", "%.*s", (int)body->mid.len, body->mid.text);
    if (err)
        return err;
    return duet_sdp_media_is_data(sdp, media) ? write_data(sdp, media, body) : write_rtp(sdp, media, body);
}
