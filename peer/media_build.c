/* What offers and answers say about media: RFC 9429 sections 5.2.1 and 5.3.1. */
#include "peer/media.h"
#include <string.h>
#include <strings.h>

static void draft_codecs(pc_media_draft *draft, duet_sdp_section *section, const duet_transceiver *t, bool is_offer)
{
    section->codec_count =
        is_offer ? pc_offer_codecs(t, draft->codecs, PC_CODECS_MAX) : pc_answer_codecs(t, draft->codecs, PC_CODECS_MAX);
    for (size_t i = 0; i < section->codec_count; i++)
        draft->codec_list[i] = &draft->codecs[i];
    section->codecs = draft->codec_list;
    /* "in the order of preference" of setCodecPreferences; otherwise the offerer's: RFC 9429, 5.3.1 */
    section->own_codec_order = t->preferences.count > 0;
}

static void draft_extensions(pc_media_draft *draft, duet_sdp_section *section, const duet_transceiver *t, bool is_offer)
{
    size_t count = pc_extensions(t->pc, t->kind, draft->extensions, PC_EXTENSIONS_MAX);
    const duet_sdp *offer = is_offer ? NULL : t->pc->pending_remote.sdp;

    bool ambiguous[PC_EXTENSION_IDS] = {false};

    if (offer)
        pc_ambiguous_extensions(offer, ambiguous);
    section->extension_count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *uri = draft->extensions[i].uri;
        uint16_t id = offer ? duet_sdp_media_extmap_id(offer, t->mline, uri) : 0;
        bool is_clear = id >= PC_EXTENSION_IDS || !ambiguous[id];
        if (is_clear && (!offer || pc_extension_fits(offer, t->mline, uri)))
            draft->extension_list[section->extension_count++] = &draft->extensions[i];
    }
    section->extensions = draft->extension_list;
}

static void draft_track(pc_media_draft *draft, duet_sdp_section *section, const duet_transceiver *t)
{
    const duet_sender *s = &t->sender;

    for (size_t i = 0; i < s->stream_count; i++)
        draft->streams[i] = s->stream_ids[i];
    section->stream_ids = draft->streams;
    section->stream_count = s->stream_count;
    section->track_id = s->track_id[0] ? s->track_id : NULL;
    section->cname = t->pc->cname;
    section->ssrcs = &s->ssrc;
    section->ssrc_count = 1;
    section->rtx_ssrcs = &s->rtx_ssrc;
    section->rtx_ssrc_count = 0;
    for (size_t i = 0; i < section->codec_count && s->rtx_ssrc; i++) {
        if (strcasecmp(section->codecs[i]->name, "rtx") == 0)
            section->rtx_ssrc_count = 1;
    }
}

void pc_draft_media(pc_media_draft *draft, duet_sdp_section *section, const duet_transceiver *t, bool is_offer)
{
    section->direction = t->direction;
    draft_codecs(draft, section, t, is_offer);
    draft_extensions(draft, section, t, is_offer);
    draft_track(draft, section, t);
}

bool pc_has_receiver_rtt(const duet_sdp *sdp, size_t section)
{
    const duet_sdp_line *line;

    for (size_t i = 0; (line = duet_sdp_line_at(sdp, section, i)); i++) {
        if (line->name && line->value && strcmp(line->name, "rtcp-xr") == 0 && strstr(line->value, "rcvr-rtt"))
            return true;
    }
    return false;
}

/* RFC 3611 section 5.1: who only receives can measure the round-trip time too, if both say so. */
int pc_add_receiver_rtt(duet_sdp *sdp, const duet_sdp *offer)
{
    int err = DUET_OK;

    for (size_t i = 0; i < duet_sdp_media_count(sdp) && err == DUET_OK && pc_media_is_built(); i++) {
        if (duet_sdp_media_is_rtp(sdp, i) && !duet_sdp_media_is_rejected(sdp, i) &&
            (!offer || pc_has_receiver_rtt(offer, i)))
            err = duet_sdp_add(sdp, i, "rtcp-xr", "rcvr-rtt=all");
    }
    return err;
}
