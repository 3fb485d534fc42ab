/* Trickle ICE at the level of descriptions (RFC 8838, RFC 9429 section 4.1.20): local candidates go into the local
 * description and out as events, remote ones into the remote description and to their transport. */
#include "peer/internal.h"
#include <stdio.h>
#include <string.h>

/* ---- local ---- */

typedef struct local_candidate_event {
    char text[DUET_CANDIDATE_TEXT_MAX];
    char mid[PC_MID_MAX + 1];
    char ufrag[DUET_UFRAG_MAX + 1];
    int mline_index;
} local_candidate_event;

static void deliver_local_candidate(void *object, void *payload)
{
    duet_pc *pc = object;
    const local_candidate_event *e = payload;
    duet_pc_candidate candidate = {e->text, e->mid, e->mline_index, e->ufrag[0] ? e->ufrag : NULL};

    if (pc->config.on_ice_candidate && !pc->is_closed)
        pc->config.on_ice_candidate(pc->config.user, pc, &candidate);
}

/* Into a description whose section announces these credentials: one of before or after a restart is another
 * generation's. A candidate that finds no memory is missing there and in the event alike. */
static void add_to_description(duet_sdp *sdp, size_t index, const char *ufrag, const duet_candidate *candidate)
{
    duet_ice_credentials ice;

    if (!sdp || index >= duet_sdp_media_count(sdp) || duet_sdp_media_ice(sdp, index, &ice) != DUET_OK ||
        strcmp(ice.ufrag, ufrag) != 0)
        return;
    if (candidate)
        (void)duet_sdp_add_candidate(sdp, index, candidate);
    else
        (void)duet_sdp_add_end_of_candidates(sdp, index);
}

void pc_local_candidate(pc_transport *t, const duet_candidate *candidate)
{
    duet_pc *pc = t->pc;
    const pc_section *s = t->owner < pc->sections.count ? duet_array_at(&pc->sections, t->owner) : NULL;
    const char *ufrag = duet_ice_agent_local_credentials(t->ice)->ufrag;
    local_candidate_event e = {.mline_index = (int)t->owner};
    duet_candidate plain;

    if (!s || s->transport != t || t->retired)
        return;
    const duet_sdp *local = pc_local_sdp(pc); /* an answer to an offer without mids has none either */
    if (candidate) { /* the ufrag stands in the section; in the candidate it is for trickling */
        plain = *candidate;
        plain.ufrag[0] = 0;
    }
    add_to_description(pc->pending_local.sdp, t->owner, ufrag, candidate ? &plain : NULL);
    add_to_description(pc->current_local.sdp, t->owner, ufrag, candidate ? &plain : NULL);
    (void)duet_sdp_text_copy(duet_sdp_media_mid(local, t->owner), e.mid, sizeof(e.mid));
    snprintf(e.ufrag, sizeof(e.ufrag), "%s", ufrag);
    if (candidate && duet_candidate_format(candidate, e.text, sizeof(e.text)) != DUET_OK)
        return;
    (void)duet_events_push(&pc->events, deliver_local_candidate, NULL, &e, sizeof(e));
}

/* ---- remote ---- */

/* W3C 4.4.2 addIceCandidate: a mid that is given decides; the index stands in for one that is not. Where the peer wrote
 * no mids, it can only mean the index. */
static bool find_section(const duet_sdp *sdp, const char *mid, int mline_index, size_t *index)
{
    bool has_index = mline_index >= 0 && (size_t)mline_index < duet_sdp_media_count(sdp);

    if (mid[0] && duet_sdp_find_mid(sdp, (duet_sdp_text){mid, strlen(mid)}, index))
        return true;
    if (!has_index || (mid[0] && duet_sdp_media_mid(sdp, (size_t)mline_index).len > 0))
        return false;
    *index = (size_t)mline_index;
    return true;
}

/* The credentials that a section stands for: its own, or those of its bundle. */
static bool section_ufrag(const duet_sdp *sdp, size_t i, duet_ice_credentials *out)
{
    size_t tag;

    return duet_sdp_media_ice(sdp, i, out) == DUET_OK ||
           (duet_sdp_bundle_tag(sdp, i, &tag) && duet_sdp_media_ice(sdp, tag, out) == DUET_OK);
}

int pc_transport_take_candidate(pc_transport *t, const duet_sdp *remote, size_t i, const duet_candidate *candidate)
{
    duet_ice_credentials ice;
    duet_candidate c = *candidate;

    /* Sections of one bundle may each have their own credentials, and only those of the first count: to the agent it is
     * a candidate of the present generation. */
    if (c.ufrag[0] && section_ufrag(remote, i, &ice) && strcmp(ice.ufrag, c.ufrag) == 0)
        c.ufrag[0] = 0;
    return pc_transport_add_candidate(t, &c);
}

/* The candidate stays in the description; a transport whose peer is known gets it at once. */
static int add_to_section(duet_pc *pc, duet_sdp *remote, size_t index, const pc_early_candidate *c)
{
    const pc_section *s = index < pc->sections.count ? duet_array_at(&pc->sections, index) : NULL;
    pc_transport *t = s ? s->transport : NULL;
    duet_ice_credentials ice;

    if (c->candidate.ufrag[0] && section_ufrag(remote, index, &ice) && strcmp(ice.ufrag, c->candidate.ufrag) != 0)
        return DUET_OK; /* of another generation, or of an offer that was ignored */
    int err = c->is_end ? duet_sdp_add_end_of_candidates(remote, index)
                        : duet_sdp_add_candidate(remote, index, &c->candidate);
    if (err != DUET_OK || !t || (!t->has_remote && !t->wants_remote))
        return err;
    if (remote == pc->pending_remote.sdp && pc->signaling == DUET_SIGNALING_HAVE_REMOTE_OFFER)
        return DUET_OK; /* the transport takes them from the description once that is answered */
    if (!c->is_end)
        return pc_transport_take_candidate(t, remote, index, &c->candidate);
    t->wants_end = true;
    pc_wake(pc);
    return DUET_OK;
}

static int add_remote(duet_pc *pc, const pc_early_candidate *c)
{
    duet_sdp *remote = pc_remote_sdp(pc);
    size_t index;

    if (c->is_end && !c->mid[0] && c->mline_index < 0) {
        int err = DUET_OK;
        for (size_t i = 0; err == DUET_OK && i < duet_sdp_media_count(remote); i++)
            err = duet_sdp_media_is_rejected(remote, i) ? DUET_OK : add_to_section(pc, remote, i, c);
        return err;
    }
    if (!find_section(remote, c->mid, c->mline_index, &index)) {
        pc_error_set(pc, 0, 0, "candidate for mid \"%s\", index %d: the remote description has no such m-section",
                     c->mid, c->mline_index);
        return DUET_ERR_INVALID;
    }
    return add_to_section(pc, remote, index, c);
}

void pc_deliver_early_candidates(duet_pc *pc)
{
    for (size_t i = 0; i < pc->early_candidates.count; i++)
        (void)add_remote(pc, duet_array_at(&pc->early_candidates, i)); /* one that fits no section is for nobody */
    duet_array_free(&pc->early_candidates);
}

static int parse(duet_pc *pc, const duet_pc_candidate *in, pc_early_candidate *out)
{
    size_t column = 0;
    const char *reason = "";

    memset(out, 0, sizeof(*out));
    out->mline_index = in->sdp_mline_index;
    if (in->sdp_mid && strlen(in->sdp_mid) > PC_MID_MAX) {
        pc_error_set(pc, 0, 0, "candidate for mid \"%.40s…\": no m-section has a mid of more than %d characters",
                     in->sdp_mid, PC_MID_MAX);
        return DUET_ERR_INVALID;
    }
    snprintf(out->mid, sizeof(out->mid), "%s", in->sdp_mid ? in->sdp_mid : "");
    out->is_end = !in->candidate || !in->candidate[0];
    if (out->is_end)
        return DUET_OK;
    int err = duet_candidate_parse(&out->candidate, in->candidate, strlen(in->candidate), &column, &reason);
    if (err == DUET_ERR_MALFORMED)
        pc_error_set(pc, 1, column + 1, "\"%.60s\": %s", in->candidate, reason ? reason : "not a candidate");
    if (err == DUET_OK && in->username_fragment && !out->candidate.ufrag[0])
        snprintf(out->candidate.ufrag, sizeof(out->candidate.ufrag), "%s", in->username_fragment);
    return err;
}

static int add_candidate(duet_pc *pc, const duet_pc_candidate *candidate)
{
    pc_early_candidate c;

    if (pc->is_closed)
        return DUET_ERR_STATE;
    memset(&pc->error, 0, sizeof(pc->error));
    int err = parse(pc, candidate, &c);
    if (err == DUET_ERR_UNSUPPORTED)
        return DUET_OK; /* RFC 8839 section 5.1: candidates of unknown types and transports are ignored */
    if (err != DUET_OK)
        return err;
    if (!c.is_end && !c.mid[0] && c.mline_index < 0) {
        pc_error_set(pc, 0, 0, "a candidate needs a mid or an m-section index");
        return DUET_ERR_INVALID;
    }
    if (pc_remote_sdp(pc))
        return add_remote(pc, &c);
    if (pc->early_candidates.count >= DUET_PC_EARLY_CANDIDATES) {
        pc_error_set(pc, 0, 0, "more than %d candidates before the description", DUET_PC_EARLY_CANDIDATES);
        return DUET_ERR_LIMIT;
    }
    pc_early_candidate *slot = duet_array_push(&pc->early_candidates);
    if (!slot)
        return DUET_ERR_NOMEM;
    *slot = c;
    return DUET_OK;
}

int duet_pc_add_ice_candidate(duet_pc *pc, const duet_pc_candidate *candidate)
{
    duet_events_enter(&pc->events);
    int err = add_candidate(pc, candidate);
    duet_events_leave(&pc->events);
    return err;
}
