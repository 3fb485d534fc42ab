/* Builds offers and answers from the state of the connection: RFC 9429 sections 5.2 and 5.3. Media sections are
 * answered as inactive with the codecs in common, so that the bundle keeps the shape that the peer offered. */
#include "peer/internal.h"
#include <stdio.h>
#include <string.h>

/* ---- what media may be agreed ---- */

#define FEEDBACK_VIDEO                                                                                                 \
    (DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI | DUET_FEEDBACK_CCM_FIR | DUET_FEEDBACK_TRANSPORT_CC)

static const duet_codec audio_codecs[] = {
    {"opus", 111, 48000, 2, "minptime=10;useinbandfec=1", DUET_FEEDBACK_TRANSPORT_CC},
    {"PCMU", 0, 8000, 1, "", 0},
    {"PCMA", 8, 8000, 1, "", 0},
    {"telephone-event", 110, 48000, 1, "", 0},
};

static const duet_codec video_codecs[] = {
    {"VP8", 96, 90000, 1, "", FEEDBACK_VIDEO},
    {"rtx", 97, 90000, 1, "apt=96", 0},
    {"VP9", 98, 90000, 1, "profile-id=0", FEEDBACK_VIDEO},
    {"rtx", 99, 90000, 1, "apt=98", 0},
    {"H264", 102, 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", FEEDBACK_VIDEO},
    {"rtx", 103, 90000, 1, "apt=102", 0},
    {"AV1", 45, 90000, 1, "", FEEDBACK_VIDEO},
    {"rtx", 46, 90000, 1, "apt=45", 0},
};

#define CODECS_OWN_MAX 8

static size_t own_codecs(duet_sdp_media_kind kind, const duet_codec **list)
{
    const duet_codec *table = kind == DUET_SDP_AUDIO ? audio_codecs : video_codecs;
    size_t count = kind == DUET_SDP_AUDIO   ? sizeof(audio_codecs) / sizeof(audio_codecs[0])
                   : kind == DUET_SDP_VIDEO ? sizeof(video_codecs) / sizeof(video_codecs[0])
                                            : 0;

    for (size_t i = 0; i < count; i++)
        list[i] = &table[i];
    return count;
}

/* ---- a description under construction ---- */

typedef struct draft {
    duet_pc *pc;
    size_t count;
    duet_sdp_section *sections;
    const duet_sdp_section **list;
    duet_sdp_transport *transports;
    const duet_fingerprint *fingerprints[1];
    const duet_codec *audio[CODECS_OWN_MAX], *video[CODECS_OWN_MAX];
    size_t audio_count, video_count;
    char (*mids)[PC_MID_MAX + 1];
    duet_array candidates; /* const duet_candidate *, of one transport after the other */
} draft;

static void draft_free(draft *d)
{
    duet_free(&d->pc->env, d->sections);
    duet_free(&d->pc->env, d->list);
    duet_free(&d->pc->env, d->transports);
    duet_free(&d->pc->env, d->mids);
    duet_array_free(&d->candidates);
}

static int draft_init(draft *d, duet_pc *pc, size_t count)
{
    memset(d, 0, sizeof(*d));
    d->pc = pc;
    d->count = count;
    d->fingerprints[0] = &pc->fingerprint;
    d->audio_count = own_codecs(DUET_SDP_AUDIO, d->audio);
    d->video_count = own_codecs(DUET_SDP_VIDEO, d->video);
    duet_array_init(&d->candidates, &pc->env, sizeof(const duet_candidate *));
    d->sections = duet_calloc(&pc->env, (count + 1) * sizeof(*d->sections));
    d->list = duet_calloc(&pc->env, (count + 1) * sizeof(*d->list));
    d->transports = duet_calloc(&pc->env, (count + 1) * sizeof(*d->transports));
    d->mids = duet_calloc(&pc->env, (count + 1) * sizeof(*d->mids));
    if (!d->sections || !d->list || !d->transports || !d->mids) {
        draft_free(d);
        return DUET_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        d->sections[i] = (duet_sdp_section)DUET_SDP_SECTION_INIT;
        d->transports[i] = (duet_sdp_transport)DUET_SDP_TRANSPORT_INIT;
        d->list[i] = &d->sections[i];
    }
    return DUET_OK;
}

/* Sections that share a transport all carry its attributes, as browsers send them; candidates stand in the first. */
static int draft_transport(draft *d, size_t i, pc_transport *t, duet_setup setup, bool restarts)
{
    duet_sdp_transport *out = &d->transports[i];

    out->ice = *pc_transport_credentials(t, restarts);
    out->fingerprints = d->fingerprints;
    out->fingerprint_count = 1;
    out->setup = setup;
    d->sections[i].transport = out;
    if (t->owner != i || &t->next == pc_transport_credentials(t, restarts))
        return DUET_OK; /* a restart gathers anew */
    const duet_candidate *c = duet_ice_agent_local_candidate(t->ice, 0);
    size_t first = d->candidates.count;
    for (size_t n = 0; c; c = duet_ice_agent_local_candidate(t->ice, ++n)) {
        const duet_candidate **slot = duet_array_push(&d->candidates);
        if (!slot)
            return DUET_ERR_NOMEM;
        *slot = c;
    }
    out->candidate_count = d->candidates.count - first;
    out->end_of_candidates = t->gathering == DUET_ICE_GATHERING_COMPLETE;
    return DUET_OK;
}

/* The array of candidates may have moved while it grew: only now its parts are handed out. */
static void draft_place_candidates(draft *d)
{
    size_t first = 0;

    for (size_t i = 0; i < d->count; i++) {
        if (d->transports[i].candidate_count == 0)
            continue;
        d->transports[i].candidates = duet_array_at(&d->candidates, first);
        first += d->transports[i].candidate_count;
    }
}

static void draft_codecs(draft *d, size_t i, duet_sdp_media_kind kind)
{
    duet_sdp_section *s = &d->sections[i];

    s->direction = DUET_SDP_INACTIVE;
    s->codecs = kind == DUET_SDP_AUDIO ? d->audio : d->video;
    s->codec_count = kind == DUET_SDP_AUDIO ? d->audio_count : d->video_count;
}

static void draft_options(const draft *d, duet_sdp_options *options)
{
    *options = (duet_sdp_options)DUET_SDP_OPTIONS_INIT;
    options->session_id = d->pc->session_id;
    options->version = d->pc->session_version++;
    options->ice_lite = d->pc->config.ice_lite;
    options->sections = d->list;
    options->section_count = d->count;
}

/* ---- transports ---- */

/* A transport that was made for a description which was never set is used again. */
static int transport_for_new_section(duet_pc *pc, size_t index, pc_transport **out)
{
    for (size_t i = 0; i < pc->transport_count; i++) {
        pc_transport *t = pc->transports[i];
        if (!t->retired && !t->gathered && !pc_transport_is_used(t) && t->owner >= index) {
            t->owner = index;
            *out = t;
            return DUET_OK;
        }
    }
    return pc_transport_create(out, pc, index);
}

/* ---- offers ---- */

static bool has_data_section(const duet_pc *pc)
{
    for (size_t i = 0; i < pc->sections.count; i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (s->kind == DUET_SDP_APPLICATION && s->transport)
            return true;
    }
    return false;
}

static pc_transport *first_transport(const duet_pc *pc)
{
    for (size_t i = 0; i < pc->sections.count; i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (s->transport)
            return s->transport;
    }
    return NULL;
}

static bool mid_is_used(const duet_pc *pc, const char *mid)
{
    for (size_t i = 0; i < pc->sections.count; i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (strcmp(s->mid, mid) == 0)
            return true;
    }
    return false;
}

static void new_mid(const duet_pc *pc, char *mid, size_t size)
{
    unsigned n = 0;

    do
        snprintf(mid, size, "%u", n++);
    while (mid_is_used(pc, mid));
}

static int draft_old_section(draft *d, size_t i, bool ice_restart)
{
    duet_pc *pc = d->pc;
    const pc_section *s = duet_array_at(&pc->sections, i);
    duet_sdp_section *out = &d->sections[i];

    out->kind = s->kind;
    out->mid = s->mid;
    if (!s->transport) {
        out->rejected = true;
        return DUET_OK;
    }
    if (s->kind != DUET_SDP_APPLICATION)
        draft_codecs(d, i, s->kind);
    int err = ice_restart ? pc_transport_prepare_restart(s->transport) : DUET_OK;
    if (err != DUET_OK)
        return err;
    return draft_transport(d, i, s->transport, DUET_SETUP_ACTPASS, ice_restart);
}

static int draft_data_section(draft *d, size_t i, bool ice_restart)
{
    duet_pc *pc = d->pc;
    pc_transport *t = first_transport(pc);
    int err = t ? DUET_OK : transport_for_new_section(pc, i, &t);

    if (err != DUET_OK)
        return err;
    new_mid(pc, d->mids[i], sizeof(d->mids[i]));
    d->sections[i].mid = d->mids[i];
    return draft_transport(d, i, t, DUET_SETUP_ACTPASS, ice_restart);
}

static uint64_t announced_message_size(const duet_pc *pc)
{
    return pc->config.max_message_size;
}

int pc_build_offer(duet_pc *pc, bool ice_restart, duet_sdp **out)
{
    bool adds_data = pc->wants_data && !has_data_section(pc);
    size_t old = pc->sections.count;
    duet_sdp_options options;
    draft d;

    int err = draft_init(&d, pc, old + adds_data);
    if (err != DUET_OK)
        return err;
    for (size_t i = 0; err == DUET_OK && i < old; i++)
        err = draft_old_section(&d, i, ice_restart);
    if (err == DUET_OK && adds_data)
        err = draft_data_section(&d, old, ice_restart);
    for (size_t i = 0; i < d.count; i++)
        d.sections[i].max_message_size = announced_message_size(pc);
    draft_place_candidates(&d);
    draft_options(&d, &options);
    if (err == DUET_OK)
        err = duet_sdp_create_offer(out, &pc->env, &options);
    draft_free(&d);
    return err;
}

/* ---- answers ---- */

static int has_common_codec(const duet_pc *pc, const duet_sdp *offer, size_t i, bool *has)
{
    const duet_codec *own[CODECS_OWN_MAX];
    size_t own_count = own_codecs(duet_sdp_media_at(offer, i)->kind, own);
    duet_codec *codecs = duet_alloc(&pc->env, 2 * 128 * sizeof(*codecs));

    if (!codecs)
        return DUET_ERR_NOMEM;
    size_t offered = duet_sdp_media_codecs(offer, i, codecs, 128);
    *has = duet_sdp_codecs_answer(own, own_count, codecs, offered > 128 ? 128 : offered, false, codecs + 128) > 0;
    duet_free(&pc->env, codecs);
    return DUET_OK;
}

/* One data section; media when its codecs are known and it needs no transport of its own (max-bundle). */
static int accepts(const duet_pc *pc, const duet_sdp *offer, size_t i, bool *has_data, bool *accepted)
{
    const duet_sdp_media *m = duet_sdp_media_at(offer, i);
    size_t tag;

    *accepted = false;
    if (duet_sdp_media_is_rejected(offer, i))
        return DUET_OK;
    if (duet_sdp_media_is_data(offer, i)) {
        *accepted = !*has_data;
        *has_data = true;
        return DUET_OK;
    }
    if (!duet_sdp_media_is_rtp(offer, i) || (m->kind != DUET_SDP_AUDIO && m->kind != DUET_SDP_VIDEO))
        return DUET_OK;
    if (pc->config.bundle_policy == DUET_BUNDLE_MAX_BUNDLE && !duet_sdp_bundle_tag(offer, i, &tag))
        return DUET_OK;
    return has_common_codec(pc, offer, i, accepted);
}

/* Section `i` shares the transport of the first accepted section of its group. */
static int plan_transport(duet_pc *pc, const duet_sdp *offer, pc_transport **plan, size_t i)
{
    size_t tag, other_tag;

    if (i < pc->sections.count) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (s->transport) {
            plan[i] = s->transport;
            return DUET_OK;
        }
    }
    if (duet_sdp_bundle_tag(offer, i, &tag)) {
        for (size_t j = 0; j < i; j++) {
            if (plan[j] && duet_sdp_bundle_tag(offer, j, &other_tag) && other_tag == tag) {
                plan[i] = plan[j];
                return DUET_OK;
            }
        }
    }
    return transport_for_new_section(pc, i, &plan[i]);
}

/* Two new sections of one plan must not be given the same unused transport: `owner` keeps them apart, because it grows
 * with the index. */
int pc_plan_answer(duet_pc *pc, const duet_sdp *offer, pc_transport **plan)
{
    bool has_data = false, accepted;

    for (size_t i = 0; i < duet_sdp_media_count(offer); i++) {
        plan[i] = NULL;
        int err = accepts(pc, offer, i, &has_data, &accepted);
        if (err == DUET_OK && accepted)
            err = plan_transport(pc, offer, plan, i);
        if (err != DUET_OK)
            return err;
    }
    return DUET_OK;
}

/* Of a transport the first section tells; others of a bundle may have credentials of their own. */
static bool peer_restarts(const duet_sdp *offer, pc_transport *const *plan, const pc_transport *t)
{
    duet_ice_credentials remote;
    size_t i = 0, tag;

    if (!t->remote.ufrag[0])
        return false;
    while (plan[i] != t)
        i++;
    if (duet_sdp_media_ice(offer, i, &remote) != DUET_OK &&
        (!duet_sdp_bundle_tag(offer, i, &tag) || duet_sdp_media_ice(offer, tag, &remote) != DUET_OK))
        return false;
    return strcmp(remote.ufrag, t->remote.ufrag) != 0 || strcmp(remote.pwd, t->remote.pwd) != 0;
}

static duet_setup answer_setup(const duet_pc *pc, const pc_transport *t)
{
    if (t->dtls_role)
        return t->dtls_role == DUET_DTLS_CLIENT ? DUET_SETUP_ACTIVE : DUET_SETUP_PASSIVE;
    return pc->config.answer_setup;
}

static int draft_answer_section(draft *d, const duet_sdp *offer, size_t i, pc_transport *const *plan)
{
    duet_pc *pc = d->pc;
    pc_transport *t = plan[i];
    const duet_sdp_media *m = duet_sdp_media_at(offer, i);

    d->sections[i].kind = m->kind;
    if (!t) {
        d->sections[i].rejected = true;
        return DUET_OK;
    }
    if (m->kind != DUET_SDP_APPLICATION)
        draft_codecs(d, i, m->kind);
    d->sections[i].max_message_size = announced_message_size(pc);
    bool restarts = peer_restarts(offer, plan, t);
    int err = restarts ? pc_transport_prepare_restart(t) : DUET_OK;
    if (err != DUET_OK)
        return err;
    return draft_transport(d, i, t, answer_setup(pc, t), restarts);
}

int pc_build_answer(duet_pc *pc, duet_sdp **out)
{
    const duet_sdp *offer = pc->pending_remote.sdp;
    size_t count = duet_sdp_media_count(offer);
    duet_sdp_options options;
    draft d;

    pc_transport **plan = duet_calloc(&pc->env, (count + 1) * sizeof(*plan));
    if (!plan)
        return DUET_ERR_NOMEM;
    int err = draft_init(&d, pc, count);
    if (err != DUET_OK) {
        duet_free(&pc->env, plan);
        return err;
    }
    err = pc_plan_answer(pc, offer, plan);
    for (size_t i = 0; err == DUET_OK && i < count; i++)
        err = draft_answer_section(&d, offer, i, plan);
    draft_place_candidates(&d);
    draft_options(&d, &options);
    if (err == DUET_OK)
        err = duet_sdp_create_answer(out, &pc->env, offer, &options, &pc->error);
    draft_free(&d);
    duet_free(&pc->env, plan);
    return err;
}
