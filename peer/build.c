/* Builds offers and answers from the state of the connection: RFC 9429 sections 5.2 and 5.3. What they say about media is
 * in media_build.c. */
#include "peer/media.h"
#include <stdio.h>
#include <string.h>

/* ---- a description under construction ---- */

typedef struct draft {
    duet_pc *pc;
    size_t count;
    duet_sdp_section *sections;
    const duet_sdp_section **list;
    duet_sdp_transport *transports;
    const duet_fingerprint *fingerprints[1];
    pc_media_draft **media;       /* of each section that has some */
    char (*mids)[PC_MID_MAX + 1]; /* of new sections */
    pc_transport *transport;      /* of new sections */
    duet_array candidates;        /* const duet_candidate *, of one transport after the other */
} draft;

static void draft_free(draft *d)
{
    for (size_t i = 0; d->media && i < d->count; i++)
        duet_free(&d->pc->env, d->media[i]);
    duet_free(&d->pc->env, d->media);
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
    duet_array_init(&d->candidates, &pc->env, sizeof(const duet_candidate *));
    d->media = duet_calloc(&pc->env, (count + 1) * sizeof(pc_media_draft *));
    d->sections = duet_calloc(&pc->env, (count + 1) * sizeof(*d->sections));
    d->list = duet_calloc(&pc->env, (count + 1) * sizeof(*d->list));
    d->transports = duet_calloc(&pc->env, (count + 1) * sizeof(*d->transports));
    d->mids = duet_calloc(&pc->env, (count + 1) * sizeof(*d->mids));
    if (!d->media || !d->sections || !d->list || !d->transports || !d->mids) {
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

static int draft_media(draft *d, size_t i, const duet_transceiver *t, bool is_offer)
{
    d->media[i] = duet_calloc(&d->pc->env, sizeof(*d->media[i]));
    if (!d->media[i])
        return DUET_ERR_NOMEM;
    d->sections[i].kind = t->kind;
    pc_draft_media(d->media[i], &d->sections[i], t, is_offer);
    return d->sections[i].codec_count > 0 ? DUET_OK : DUET_ERR_NOMEM;
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

static bool mid_is_used(const draft *d, const char *mid)
{
    const duet_pc *pc = d->pc;
    const duet_sdp *remote = pc_remote_sdp(pc);

    for (size_t i = 0; i < pc->sections.count; i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (strcmp(s->mid, mid) == 0)
            return true;
    }
    for (size_t i = 0; i < d->count; i++) {
        if (strcmp(d->mids[i], mid) == 0)
            return true;
    }
    for (size_t i = 0; remote && i < duet_sdp_media_count(remote); i++) {
        if (duet_sdp_text_is(duet_sdp_media_mid(remote, i), mid))
            return true;
    }
    return false;
}

static void new_mid(draft *d, size_t i)
{
    char mid[PC_MID_MAX + 1];
    unsigned n = d->pc->next_mid;

    do
        snprintf(mid, sizeof(mid), "%u", n++);
    while (mid_is_used(d, mid));
    memcpy(d->mids[i], mid, sizeof(mid));
    d->sections[i].mid = d->mids[i];
}

static int draft_section_transport(draft *d, size_t i, pc_transport *t, bool ice_restart)
{
    int err = ice_restart ? pc_transport_prepare_restart(t) : DUET_OK;

    return err == DUET_OK ? draft_transport(d, i, t, DUET_SETUP_ACTPASS, ice_restart) : err;
}

/* The transport of what is new in an offer: that of the others, or one that is made. */
static int draft_new_transport(draft *d, size_t i, bool ice_restart)
{
    pc_transport *t = d->transport ? d->transport : first_transport(d->pc);
    int err = t ? DUET_OK : transport_for_new_section(d->pc, i, &t);

    d->transport = t;
    return err == DUET_OK ? draft_section_transport(d, i, t, ice_restart) : err;
}

static int draft_new_media(draft *d, size_t i, duet_transceiver *t, bool ice_restart)
{
    new_mid(d, i);
    t->offered_mline = i;
    int err = draft_media(d, i, t, true);
    return err == DUET_OK ? draft_new_transport(d, i, ice_restart) : err;
}

static int draft_data_section(draft *d, size_t i, bool ice_restart)
{
    new_mid(d, i);
    return draft_new_transport(d, i, ice_restart);
}

/* The next transceiver that has no m-section. */
static duet_transceiver *next_new(const duet_pc *pc, size_t *cursor)
{
    duet_transceiver *t;

    while ((t = pc_transceiver_at(pc, (*cursor)++))) {
        if (t->mline == PC_NOWHERE && !t->stopped && !t->stopping)
            return t;
    }
    return NULL;
}

static size_t new_count(const duet_pc *pc)
{
    size_t cursor = 0, count = 0;

    while (next_new(pc, &cursor))
        count++;
    return count;
}

/* An m-section that both sides know to be rejected may be used again, with another mid: RFC 9429, 5.2.2. */
static bool is_recyclable(const duet_pc *pc, size_t i)
{
    const pc_section *s = duet_array_at(&pc->sections, i);

    return i < pc->stable_sections && !s->transport && s->kind != DUET_SDP_APPLICATION &&
           pc->signaling == DUET_SIGNALING_STABLE;
}

static int draft_old_section(draft *d, size_t i, bool ice_restart, size_t *cursor)
{
    duet_pc *pc = d->pc;
    const pc_section *s = duet_array_at(&pc->sections, i);
    duet_sdp_section *out = &d->sections[i];
    duet_transceiver *t = pc_transceiver_of_mline(pc, i);

    out->kind = s->kind;
    out->mid = s->mid;
    if (!s->transport) {
        duet_transceiver *recycled = is_recyclable(pc, i) ? next_new(pc, cursor) : NULL;
        if (recycled)
            return draft_new_media(d, i, recycled, ice_restart);
        out->rejected = true;
        return DUET_OK;
    }
    if (s->kind != DUET_SDP_APPLICATION && (!t || t->stopping)) {
        out->rejected = true;
        return DUET_OK;
    }
    int err = t ? draft_media(d, i, t, true) : DUET_OK;
    return err == DUET_OK ? draft_section_transport(d, i, s->transport, ice_restart) : err;
}

static uint64_t announced_message_size(const duet_pc *pc)
{
    return pc->config.max_message_size;
}

static int draft_offer(draft *d, size_t old, bool adds_data, bool ice_restart, size_t *used)
{
    duet_transceiver *t;
    size_t cursor = 0, i = old;
    int err = DUET_OK;

    for (size_t k = 0; err == DUET_OK && k < old; k++)
        err = draft_old_section(d, k, ice_restart, &cursor);
    while (err == DUET_OK && (t = next_new(d->pc, &cursor)))
        err = draft_new_media(d, i++, t, ice_restart);
    if (err == DUET_OK && adds_data)
        err = draft_data_section(d, i++, ice_restart);
    *used = i;
    return err;
}

int pc_build_offer(duet_pc *pc, bool ice_restart, duet_sdp **out)
{
    bool adds_data = pc->wants_data && !has_data_section(pc);
    size_t old = pc->sections.count, used = 0;
    duet_sdp_options options;
    draft d;

    int err = draft_init(&d, pc, old + new_count(pc) + adds_data);
    if (err != DUET_OK)
        return err;
    err = draft_offer(&d, old, adds_data, ice_restart, &used);
    for (size_t i = 0; i < d.count; i++)
        d.sections[i].max_message_size = announced_message_size(pc);
    draft_place_candidates(&d);
    draft_options(&d, &options);
    options.section_count = used;
    if (err == DUET_OK)
        err = duet_sdp_create_offer(out, &pc->env, &options);
    if (err == DUET_OK)
        err = pc_add_receiver_rtt(*out, NULL);
    draft_free(&d);
    return err;
}

/* ---- answers ---- */

static int has_common_codec(const duet_pc *pc, const duet_sdp *offer, size_t i, const duet_transceiver *t, bool *has)
{
    duet_codec own[PC_CODECS_MAX];
    const duet_codec *list[PC_CODECS_MAX];
    duet_codec *codecs = duet_alloc(&pc->env, 2 * 128 * sizeof(*codecs));

    if (!codecs)
        return DUET_ERR_NOMEM;
    size_t count = pc_answer_codecs(t, own, PC_CODECS_MAX);
    for (size_t k = 0; k < count; k++)
        list[k] = &own[k];
    size_t offered = duet_sdp_media_codecs(offer, i, codecs, 128);
    *has = duet_sdp_codecs_answer(list, count, codecs, offered > 128 ? 128 : offered, false, codecs + 128) > 0;
    duet_free(&pc->env, codecs);
    return DUET_OK;
}

/* Whether others go on in the bundle whose tag the section is. Chromium cannot take an answer that rejects it then, and W3C has
 * it that "a transceiver that is stopping, but not stopped, will not affect createAnswer": our next offer rejects it. */
static bool is_needed_by_others(const duet_pc *pc, size_t i)
{
    const pc_transport *t = pc_section_transport(pc, i);

    for (size_t j = 0; t && j < pc->sections.count; j++) {
        if (j != i && pc_section_transport(pc, j) == t)
            return j > i;
    }
    return false;
}

/* One data section; media when its codecs are known and, with max-bundle, it needs no transport of its own but is "the first m=
 * section": RFC 9429, 5.3.1. */
static int accepts(const duet_pc *pc, const duet_sdp *offer, size_t i, bool *has_data, bool *accepted)
{
    const duet_transceiver *t = pc_transceiver_of_mline(pc, i);
    size_t tag;

    *accepted = false;
    if (duet_sdp_media_is_rejected(offer, i))
        return DUET_OK;
    if (duet_sdp_media_is_data(offer, i)) {
        *accepted = !*has_data;
        *has_data = true;
        return DUET_OK;
    }
    if (!duet_sdp_media_is_rtp(offer, i) || !t || (t->stopping && !is_needed_by_others(pc, i)))
        return DUET_OK;
    if (pc->config.bundle_policy == DUET_BUNDLE_MAX_BUNDLE && i > 0 && !duet_sdp_bundle_tag(offer, i, &tag))
        return DUET_OK;
    return has_common_codec(pc, offer, i, t, accepted);
}

static bool share_bundle(const duet_sdp *offer, size_t i, size_t j)
{
    size_t tag, other_tag;

    return duet_sdp_bundle_tag(offer, i, &tag) && duet_sdp_bundle_tag(offer, j, &other_tag) && tag == other_tag;
}

/* The transport that the bundle of section `i` has already: that of a section planned before it, or of one behind it that
 * goes on, when `i` is used again. NULL: none */
static pc_transport *transport_of_bundle(const duet_pc *pc, const duet_sdp *offer, pc_transport *const *plan, size_t i)
{
    for (size_t j = 0; j < duet_sdp_media_count(offer); j++) {
        pc_transport *t = j < i ? plan[j] : duet_sdp_media_is_rejected(offer, j) ? NULL : pc_section_transport(pc, j);
        if (t && share_bundle(offer, i, j))
            return t;
    }
    return NULL;
}

/* Section `i` keeps its transport, or shares that of its bundle. */
static int plan_transport(duet_pc *pc, const duet_sdp *offer, pc_transport **plan, size_t i)
{
    plan[i] = pc_section_transport(pc, i);
    if (!plan[i])
        plan[i] = transport_of_bundle(pc, offer, plan, i);
    return plan[i] ? DUET_OK : transport_for_new_section(pc, i, &plan[i]);
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
    d->sections[i].max_message_size = announced_message_size(pc);
    bool restarts = peer_restarts(offer, plan, t);
    int err = restarts ? pc_transport_prepare_restart(t) : DUET_OK;
    if (err == DUET_OK && m->kind != DUET_SDP_APPLICATION)
        err = draft_media(d, i, pc_transceiver_of_mline(pc, i), false);
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
    if (err == DUET_OK)
        err = pc_add_receiver_rtt(*out, offer);
    draft_free(&d);
    duet_free(&pc->env, plan);
    return err;
}
