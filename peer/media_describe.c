/* What descriptions do to transceivers: RFC 9429 sections 5.9 to 5.11, W3C 4.4.1.5. An offer of the peer makes or finds
 * them, an answer of either side sets what is sent and received, a rollback takes back what was not agreed. */
#include "peer/media.h"
#include <stdlib.h>
#include <string.h>

static bool is_media(const duet_sdp *sdp, size_t i)
{
    duet_sdp_media_kind kind = duet_sdp_media_at(sdp, i)->kind;

    return duet_sdp_media_is_rtp(sdp, i) && (kind == DUET_SDP_AUDIO || kind == DUET_SDP_VIDEO);
}

static void associate(duet_transceiver *t, const duet_sdp *sdp, size_t i)
{
    t->mline = i;
    pc_section_mid(t->pc, sdp, i, t->mid);
}

static void dissociate(duet_transceiver *t)
{
    t->mline = t->offered_mline = PC_NOWHERE;
    t->mid[0] = 0;
}

/* ---- an offer of the peer ---- */

/* "... find the first ... RtpTransceivers of the same type that were added to the PeerConnection by addTrack and are not
 * associated with any m= section and are not stopped": RFC 9429, 5.10. */
static duet_transceiver *find_for_offer(const duet_pc *pc, const duet_sdp *remote, size_t i)
{
    duet_transceiver *t;

    if (!(duet_sdp_media_direction(remote, i) & DUET_SDP_RECVONLY))
        return NULL;
    for (size_t n = 0; (t = pc_transceiver_at(pc, n)); n++) {
        if (t->by_add_track && t->mline == PC_NOWHERE && !t->stopped && !t->stopping &&
            t->kind == duet_sdp_media_at(remote, i)->kind)
            return t;
    }
    return NULL;
}

static int make_for_offer(duet_pc *pc, const duet_sdp *remote, size_t i, duet_transceiver **out)
{
    if (pc->transceivers.count >= DUET_TRANSCEIVERS_MAX)
        return DUET_ERR_LIMIT;
    *out = pc_transceiver_create(pc, duet_sdp_media_at(remote, i)->kind);
    if (!*out)
        return DUET_ERR_NOMEM;
    (*out)->by_remote_offer = true;
    if (!pc_media_is_built())
        (*out)->direction = DUET_SDP_INACTIVE;
    return DUET_OK;
}

int pc_media_prepare_remote(duet_pc *pc, duet_sdp_type type, const duet_sdp *remote)
{
    if (type != DUET_SDP_OFFER)
        return DUET_OK;
    for (size_t i = 0; i < duet_sdp_media_count(remote); i++) {
        duet_transceiver *t = pc_transceiver_of_mline(pc, i);
        int err = DUET_OK;
        if (t || !is_media(remote, i) || duet_sdp_media_is_rejected(remote, i))
            continue;
        t = find_for_offer(pc, remote, i);
        if (!t)
            err = make_for_offer(pc, remote, i, &t);
        if (err != DUET_OK) {
            pc_media_roll_back(pc);
            return err;
        }
        associate(t, remote, i);
    }
    return DUET_OK;
}

/* ---- a local description ---- */

static duet_transceiver *offered_at(const duet_pc *pc, size_t i, duet_sdp_media_kind kind)
{
    duet_transceiver *t;

    for (size_t n = 0; (t = pc_transceiver_at(pc, n)); n++) {
        if (t->mline == PC_NOWHERE && t->offered_mline == i && t->kind == kind && !t->stopped)
            return t;
    }
    return NULL;
}

void pc_media_apply_local(duet_pc *pc, duet_sdp_type type, const duet_sdp *local)
{
    for (size_t i = 0; type == DUET_SDP_OFFER && i < duet_sdp_media_count(local); i++) {
        duet_transceiver *t = pc_transceiver_of_mline(pc, i);
        if (!is_media(local, i) || duet_sdp_media_is_rejected(local, i))
            continue;
        if (!t)
            t = offered_at(pc, i, duet_sdp_media_at(local, i)->kind);
        if (t)
            associate(t, local, i);
    }
}

/* ---- the peer's tracks ---- */

static void deliver_track(void *object, void *payload)
{
    duet_pc *pc = object;
    duet_transceiver *t = *(duet_transceiver **)payload;

    for (size_t i = 0; i < pc->transceivers.count; i++) {
        if (pc_transceiver_at(pc, i) == t && !pc->is_closed && pc->config.on_track)
            pc->config.on_track(pc->config.user, pc, t); /* unless a rollback has taken it back */
    }
}

static void take_msid(duet_receiver *r, const duet_sdp *remote, size_t i)
{
    duet_sdp_value v;
    size_t cursor = 0;

    r->stream_count = 0;
    while (duet_sdp_next(remote, i, DUET_SDP_MSID, &cursor, &v) && r->stream_count < DUET_TRACK_STREAMS) {
        char *stream = r->stream_ids[r->stream_count];
        if (v.as.msid.track.len > 0 && v.as.msid.track.len <= DUET_TRACK_ID_MAX)
            (void)duet_sdp_text_copy(v.as.msid.track, r->track_id, sizeof(r->track_id));
        if (!duet_sdp_text_is(v.as.msid.stream, "-") &&
            duet_sdp_text_copy(v.as.msid.stream, stream, sizeof(r->stream_ids[0])) == DUET_OK)
            r->stream_count++;
    }
}

static bool sends(const duet_sdp *remote, size_t i)
{
    return (duet_sdp_media_direction(remote, i) & DUET_SDP_SENDONLY) && !duet_sdp_media_is_rejected(remote, i);
}

/* W3C 4.4.1.5, "process the addition of a remote track" and its removal, which here is a flag. */
static void process_remote_track(duet_transceiver *t, const duet_sdp *remote, size_t i)
{
    duet_receiver *r = &t->receiver;

    if (!sends(remote, i)) {
        r->is_announced = false;
        return;
    }
    take_msid(r, remote, i);
    if (!r->is_announced && pc_media_is_built())
        r->is_announced = duet_events_push(&t->pc->events, deliver_track, NULL, &t, sizeof(t)) == DUET_OK;
}

void pc_media_apply_remote(duet_pc *pc, const duet_sdp *remote)
{
    for (size_t i = 0; i < duet_sdp_media_count(remote); i++) {
        duet_transceiver *t = pc_transceiver_of_mline(pc, i);
        if (t && is_media(remote, i) && !t->stopping)
            process_remote_track(t, remote, i);
    }
}

/* What an offer that is rolled back said of the peer's track is taken back: said again, it is news. */
static void restore_remote_track(duet_transceiver *t)
{
    const duet_sdp *agreed = t->pc->current_remote.sdp;

    t->receiver.is_announced = sends(agreed, t->mline);
    if (t->receiver.is_announced)
        take_msid(&t->receiver, agreed, t->mline);
}

/* ---- an answer ---- */

static const duet_codec *of_payload_type(const duet_codec *list, size_t count, uint8_t payload_type)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].payload_type == payload_type)
            return &list[i];
    }
    return NULL;
}

static bool carries_only(const duet_codec *red, uint8_t payload_type)
{
    size_t cursor = 0, count = 0;
    uint8_t carried;

    for (; duet_sdp_red_next(red->fmtp, &cursor, &carried); count++) {
        if (carried != payload_type)
            return false;
    }
    return count > 0 && red->fmtp[cursor] == 0;
}

/* "The codec ... that is sent is the first one in the answer": RFC 3264, 6.1 and 7. Its parameters are those of the peer. With
 * red in front of it, it is sent with redundancy, as browsers do. */
static void agree_send(pc_agreed *a, const duet_codec *answer, size_t answer_count, const duet_codec *own,
                       size_t own_count, const duet_codec *theirs, size_t their_count)
{
    const duet_codec *red = NULL;

    for (size_t k = 0; k < answer_count && !a->send.name[0]; k++) {
        const duet_codec *wish = of_payload_type(theirs, their_count, answer[k].payload_type);
        if (!wish || !of_payload_type(own, own_count, wish->payload_type))
            continue;
        if (!pc_codec_is_helper(wish))
            a->send = *wish;
        else if (!red && pc_codec_is_red(wish))
            red = wish;
    }
    a->send_red = red && carries_only(red, a->send.payload_type) ? red->payload_type : PC_NO_PAYLOAD_TYPE;
}

static int agree_codecs(duet_pc *pc, pc_agreed *a, const duet_sdp *local, const duet_sdp *remote, bool local_is_offer,
                        size_t i)
{
    duet_codec *lists = duet_alloc(&pc->env, 2 * 128 * sizeof(*lists)), *own = lists, *theirs = lists + 128;

    if (!lists)
        return DUET_ERR_NOMEM;
    size_t own_count = duet_sdp_media_codecs(local, i, own, 128);
    size_t their_count = duet_sdp_media_codecs(remote, i, theirs, 128);
    own_count = own_count < 128 ? own_count : 128;
    their_count = their_count < 128 ? their_count : 128;
    a->codec_count = own_count < PC_CODECS_MAX ? own_count : PC_CODECS_MAX;
    memcpy(a->codecs, own, a->codec_count * sizeof(*own));
    for (size_t k = 0; k < a->codec_count; k++) { /* feedback that only one side names is not agreed: RFC 4585, 4.2 */
        const duet_codec *same = of_payload_type(theirs, their_count, own[k].payload_type);
        a->codecs[k].feedback &= same ? same->feedback : 0;
        if (same) {
            a->taken[a->taken_count] = *same;
            a->taken[a->taken_count++].feedback = a->codecs[k].feedback;
        }
    }
    agree_send(a, local_is_offer ? theirs : own, local_is_offer ? their_count : own_count, own, own_count, theirs,
               their_count);
    duet_free(&pc->env, lists);
    return DUET_OK;
}

static void agree_extensions(pc_agreed *a, const duet_sdp *answer, size_t i)
{
    for (unsigned k = 0; k < DUET_RTP_EXT_COUNT && pc_media_is_built(); k++) {
        uint16_t id = duet_sdp_media_extmap_id(answer, i, pc_extension_uri(k));
        bool is_usable = id <= 255 && pc_extension_fits(answer, i, pc_extension_uri(k));
        a->extensions.ids[k] = is_usable ? (uint8_t)id : 0;
    }
    if (duet_sdp_media_mid(answer, i).len == 0)
        a->extensions.ids[DUET_RTP_EXT_MID] = 0; /* the peer has no name for what it would carry */
}

/* The second SSRC of the FID group that `ssrc` begins; 0: none. RFC 5576 section 4.2. */
static uint32_t repair_of(const duet_sdp *remote, size_t i, uint32_t ssrc, bool *is_repair)
{
    duet_sdp_value v;
    size_t cursor = 0;
    uint32_t found = 0;

    *is_repair = false;
    while (duet_sdp_next(remote, i, DUET_SDP_SSRC_GROUP, &cursor, &v)) {
        duet_sdp_text list = v.as.ssrc_group.ssrcs, first, second;
        char a[16], b[16];
        if (!duet_sdp_text_is(v.as.ssrc_group.semantics, "FID") || !duet_sdp_text_next(&list, &first) ||
            !duet_sdp_text_next(&list, &second) || duet_sdp_text_copy(first, a, sizeof(a)) != DUET_OK ||
            duet_sdp_text_copy(second, b, sizeof(b)) != DUET_OK)
            continue;
        if ((uint32_t)strtoul(a, NULL, 10) == ssrc)
            found = (uint32_t)strtoul(b, NULL, 10);
        *is_repair = *is_repair || (uint32_t)strtoul(b, NULL, 10) == ssrc;
    }
    return found;
}

static void agree_ssrcs(pc_agreed *a, const duet_sdp *remote, size_t i)
{
    size_t cursor = 0, max = sizeof(a->ssrcs) / sizeof(a->ssrcs[0]);
    duet_sdp_value v;

    while (a->ssrc_count < max && duet_sdp_next(remote, i, DUET_SDP_SSRC, &cursor, &v)) {
        bool is_repair, is_known = false;
        uint32_t rtx = repair_of(remote, i, v.as.ssrc.ssrc, &is_repair);
        for (size_t k = 0; k < a->ssrc_count; k++)
            is_known = is_known || a->ssrcs[k] == v.as.ssrc.ssrc;
        if (is_known || is_repair)
            continue;
        a->ssrcs[a->ssrc_count] = v.as.ssrc.ssrc;
        a->rtx_ssrcs[a->ssrc_count++] = rtx;
    }
    a->rtx_ssrc_count = a->ssrc_count;
}

/* Whether the description names the streams that the track is in now. */
static bool names_streams(const duet_sdp *local, size_t i, const duet_sender *s)
{
    duet_sdp_value v;
    size_t cursor = 0, count = 0;

    while (duet_sdp_next(local, i, DUET_SDP_MSID, &cursor, &v)) {
        if (duet_sdp_text_is(v.as.msid.stream, "-"))
            continue;
        if (count >= s->stream_count || !duet_sdp_text_is(v.as.msid.stream, s->stream_ids[count++]))
            return false;
    }
    return count == s->stream_count;
}

/* a=msid as the peer was told, and what the description asked for: W3C 4.7.3 compares with them. */
static void remember_told(duet_transceiver *t, const duet_sdp *local, const duet_sdp *remote, bool local_is_offer,
                          size_t i)
{
    duet_sdp_direction told = duet_sdp_media_direction(local, i);
    duet_sdp_value v;
    size_t cursor = 0;

    t->told_msid[0] = 0;
    if (names_streams(local, i, &t->sender) && duet_sdp_next(local, i, DUET_SDP_MSID, &cursor, &v))
        (void)duet_sdp_text_copy(v.as.msid.track, t->told_msid, sizeof(t->told_msid));
    t->asked_direction = told;
    if (!local_is_offer) {
        duet_sdp_direction offered = duet_sdp_media_direction(remote, i);
        if (duet_sdp_direction_answer(offered, t->direction) == told)
            t->asked_direction = t->direction;
        /* A track that could not be announced, because the offer did not ask for it, is not news. */
        if (!(offered & DUET_SDP_RECVONLY))
            memcpy(t->told_msid, t->sender.track_id, sizeof(t->told_msid));
    }
}

static int agree(duet_transceiver *t, const duet_sdp *local, const duet_sdp *remote, bool local_is_offer, size_t i)
{
    const duet_sdp *answer = local_is_offer ? remote : local;
    duet_sdp_direction direction = duet_sdp_media_direction(answer, i);
    pc_agreed *a = duet_calloc(&t->pc->env, sizeof(*a));
    const pc_section *s = duet_array_at(&t->pc->sections, i);

    if (!a)
        return DUET_ERR_NOMEM;
    int err = agree_codecs(t->pc, a, local, remote, local_is_offer, i);
    agree_extensions(a, answer, i);
    agree_ssrcs(a, remote, i);
    a->reduced_size = duet_sdp_has(remote, i, DUET_SDP_RTCP_RSIZE);
    a->receiver_rtt = pc_has_receiver_rtt(local, i) && pc_has_receiver_rtt(remote, i);
    t->current_direction = local_is_offer ? duet_sdp_direction_reverse(direction) : direction;
    t->has_current = true;
    t->sender.codec = a->send;
    t->sender.has_sent = t->sender.has_sent || (t->current_direction & DUET_SDP_SENDONLY);
    remember_told(t, local, remote, local_is_offer, i);
    if (err == DUET_OK)
        pc_media_agree(t, s->transport, a);
    duet_free(&t->pc->env, a);
    return err;
}

static void stop(duet_transceiver *t)
{
    pc_transceiver_set_stopped(t);
    t->direction = t->current_direction = DUET_SDP_INACTIVE;
    t->receiver.is_announced = false;
    pc_media_end(t); /* by its mid */
    dissociate(t);
}

void pc_media_apply_negotiated(duet_pc *pc, duet_sdp_type type, const duet_sdp *local, const duet_sdp *remote,
                               bool local_is_offer)
{
    const duet_sdp *answer = local_is_offer ? remote : local;

    for (size_t i = 0; i < duet_sdp_media_count(answer); i++) {
        duet_transceiver *t = pc_transceiver_of_mline(pc, i);
        bool is_rejected = duet_sdp_media_is_rejected(answer, i);
        if (!t || !is_media(answer, i) || (is_rejected && type == DUET_SDP_PRANSWER))
            continue;
        if (is_rejected)
            stop(t);
        else if (agree(t, local, remote, local_is_offer, i) != DUET_OK)
            duet_log(&pc->env, DUET_LOG_ERROR, "peer", "m-section %zu: no memory: its media does not flow", i);
    }
}

void pc_media_become_stable(duet_pc *pc)
{
    duet_transceiver *t;

    pc_remember_extensions(pc);
    for (size_t i = 0; (t = pc_transceiver_at(pc, i)); i++) {
        t->is_stable = t->mline != PC_NOWHERE;
        t->by_remote_offer = false;
    }
}

void pc_media_roll_back(duet_pc *pc)
{
    for (size_t i = pc->transceivers.count; i-- > 0;) {
        duet_transceiver *t = pc_transceiver_at(pc, i);
        if (t->is_stable && !t->stopped)
            restore_remote_track(t);
        if (t->is_stable || t->mline == PC_NOWHERE)
            continue;
        t->receiver.is_announced = false;
        pc_media_end(t); /* of a provisional answer */
        dissociate(t);
        if (t->by_remote_offer)
            pc_transceiver_remove(t);
    }
}
