/* Takes descriptions into effect: which transport each m-section uses, and what the peer's description says about it
 * (RFC 9429 sections 5.9 to 5.11). The peer's parameters reach the transports only when an answer is set, so a rolled
 * back offer leaves no trace in them. */
#include "peer/internal.h"
#include <string.h>

static bool uses_transport(const duet_pc *pc, const pc_transport *t)
{
    for (size_t i = 0; i < pc->sections.count; i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (s->transport == t)
            return true;
    }
    return false;
}

/* The transport whose credentials stand in the section: the description was made from it. */
static pc_transport *transport_of_section(duet_pc *pc, const duet_sdp *local, size_t i)
{
    duet_ice_credentials ice;

    if (duet_sdp_media_is_rejected(local, i) || duet_sdp_media_ice(local, i, &ice) != DUET_OK)
        return NULL;
    for (size_t n = 0; n < pc->transport_count; n++) {
        pc_transport *t = pc->transports[n];
        const duet_ice_credentials *own = pc_transport_credentials(t);
        const duet_ice_credentials *old = duet_ice_agent_local_credentials(t->ice);
        if (t->retired)
            continue;
        if ((strcmp(own->ufrag, ice.ufrag) == 0 && strcmp(own->pwd, ice.pwd) == 0) ||
            (strcmp(old->ufrag, ice.ufrag) == 0 && strcmp(old->pwd, ice.pwd) == 0))
            return t;
    }
    return NULL;
}

static int take_up_section(duet_pc *pc, const duet_sdp *local, size_t i, pc_transport *t)
{
    pc_section *s = i < pc->sections.count ? duet_array_at(&pc->sections, i) : duet_array_push(&pc->sections);

    if (!s)
        return DUET_ERR_NOMEM;
    if (duet_sdp_text_copy(duet_sdp_media_mid(local, i), s->mid, sizeof(s->mid)) != DUET_OK)
        return DUET_ERR_LIMIT;
    s->kind = duet_sdp_media_at(local, i)->kind;
    s->transport = t;
    return DUET_OK;
}

static void ask_for_gathering(pc_transport *t, const duet_sdp *local, size_t i)
{
    duet_ice_credentials ice;

    if (t->next.ufrag[0] && duet_sdp_media_ice(local, i, &ice) == DUET_OK && strcmp(ice.ufrag, t->next.ufrag) == 0) {
        t->wants_restart = true;
        t->gathering = DUET_ICE_GATHERING_NEW; /* the candidates of before are not those of this description */
    } else if (!t->gathered)
        t->wants_gathering = true;
    t->gathered = true;
}

int pc_apply_local(duet_pc *pc, const duet_sdp *local)
{
    size_t count = duet_sdp_media_count(local);

    for (size_t i = 0; i < count; i++) {
        pc_transport *t = transport_of_section(pc, local, i);
        if (!t && !duet_sdp_media_is_rejected(local, i)) {
            pc_error_set(pc, 0, 0,
                         "m-section %zu: its ICE credentials are none of this connection: set what "
                         "create_offer or create_answer gave",
                         i);
            return DUET_ERR_INVALID;
        }
    }
    for (size_t i = 0; i < count; i++) {
        pc_transport *t = transport_of_section(pc, local, i);
        int err = take_up_section(pc, local, i, t);
        if (err != DUET_OK)
            return err;
        if (t)
            ask_for_gathering(t, local, i);
    }
    if (pc->restart_needed && count > 0 && pc->signaling == DUET_SIGNALING_STABLE)
        pc->restart_needed = false;
    pc_wake(pc);
    return DUET_OK;
}

/* ---- what the peer says ---- */

/* A bundled section may leave its transport attributes to the tagged one (RFC 9143 section 7.1.3). */
static size_t transport_section(const duet_sdp *sdp, size_t i)
{
    duet_ice_credentials ice;
    size_t tag;

    if (duet_sdp_media_ice(sdp, i, &ice) != DUET_OK && duet_sdp_bundle_tag(sdp, i, &tag))
        return tag;
    return i;
}

static void take_remote_ice(pc_transport *t, const duet_sdp *remote, size_t from, bool local_is_offer)
{
    duet_ice_credentials ice;

    if (duet_sdp_media_ice(remote, from, &ice) != DUET_OK)
        return;
    bool is_lite = duet_sdp_ice_lite(remote);
    bool changed = strcmp(ice.ufrag, t->remote.ufrag) != 0 || strcmp(ice.pwd, t->remote.pwd) != 0;
    if (!t->has_remote && !t->wants_remote) {
        /* RFC 8445 section 6.1.1: the initiating agent controls, unless the other one is lite. */
        t->has_role = true;
        t->is_controlling = !t->pc->config.ice_lite && (local_is_offer || is_lite);
    }
    if (changed || !t->has_remote)
        t->wants_remote = true;
    t->remote = ice;
    t->remote_is_lite = is_lite;
}

static void take_remote_dtls(pc_transport *t, const duet_sdp *local, const duet_sdp *remote, size_t i, size_t from,
                             bool local_is_offer)
{
    duet_setup own = DUET_SETUP_NONE, peer = DUET_SETUP_NONE;
    duet_fingerprint fingerprints[PC_FINGERPRINTS_MAX];

    size_t count = duet_sdp_media_fingerprints(remote, from, fingerprints, PC_FINGERPRINTS_MAX);
    count = count < PC_FINGERPRINTS_MAX ? count : PC_FINGERPRINTS_MAX;
    if (count > 0) {
        memcpy(t->fingerprints, fingerprints, count * sizeof(fingerprints[0]));
        t->fingerprint_count = count;
        t->wants_fingerprints = true;
    }
    if (t->dtls_role)
        return; /* the association stays through renegotiations and restarts: RFC 8842 section 4 */
    duet_sdp_media_setup(local, i, &own);
    duet_sdp_media_setup(remote, from, &peer);
    duet_setup answer = local_is_offer ? peer : own;
    bool answerer_is_client = answer != DUET_SETUP_PASSIVE; /* active by default: RFC 8842 section 5.3 */
    t->dtls_role = answerer_is_client != local_is_offer ? DUET_DTLS_CLIENT : DUET_DTLS_SERVER;
}

static void take_remote_candidates(pc_transport *t, const duet_sdp *remote, size_t i)
{
    duet_candidate candidate;
    size_t cursor = 0;

    while (duet_sdp_media_candidate(remote, i, &cursor, &candidate))
        pc_transport_add_candidate(t, &candidate);
    if (duet_sdp_media_end_of_candidates(remote, i))
        t->wants_end = true;
}

/* "If an SDP 'max-message-size' attribute is not present ... the default value is 64K" RFC 8841, 6.1 */
#define MAX_MESSAGE_SIZE_DEFAULT 65536

static int take_remote_data(duet_pc *pc, const duet_sdp *remote, size_t i, pc_transport *t)
{
    uint64_t size = MAX_MESSAGE_SIZE_DEFAULT;
    uint16_t port = 5000;

    int err = pc_ensure_sctp(pc);
    if (err != DUET_OK)
        return err;
    duet_sdp_media_sctp_port(remote, i, &port);
    duet_sdp_media_max_message_size(remote, i, &size);
    pc->sctp_agreed = true;
    pc->sctp_transport = t;
    pc->remote_sctp_port = port;
    pc->remote_max_message = size;
    if (pc->sctp_started)
        duet_sctp_set_remote_max_message(pc->sctp, size);
    return DUET_OK;
}

/* In the answer decides who is bundled: the sections of a group share the transport of its tag. */
static void follow_bundle(duet_pc *pc, const duet_sdp *answer)
{
    for (size_t i = 0; i < pc->sections.count; i++) {
        pc_section *s = duet_array_at(&pc->sections, i);
        size_t tag;
        if (duet_sdp_media_is_rejected(answer, i)) {
            s->transport = NULL;
        } else if (duet_sdp_bundle_tag(answer, i, &tag) && tag < pc->sections.count) {
            const pc_section *tagged = duet_array_at(&pc->sections, tag);
            if (tagged->transport)
                s->transport = tagged->transport;
        }
    }
}

int pc_apply_negotiated(duet_pc *pc, const duet_sdp *local, const duet_sdp *remote, bool local_is_offer)
{
    follow_bundle(pc, local_is_offer ? remote : local);
    for (size_t i = 0; i < pc->sections.count && i < duet_sdp_media_count(remote); i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        pc_transport *t = s->transport;
        if (!t)
            continue;
        size_t from = transport_section(remote, i);
        bool is_first = true;
        for (size_t j = 0; j < i; j++)
            is_first = is_first && ((const pc_section *)duet_array_at(&pc->sections, j))->transport != t;
        if (is_first) {
            t->owner = i;
            take_remote_ice(t, remote, from, local_is_offer);
            take_remote_dtls(t, local, remote, i, from, local_is_offer);
        }
        take_remote_candidates(t, remote, i);
        if (duet_sdp_media_is_data(remote, i)) {
            int err = take_remote_data(pc, remote, i, t);
            if (err != DUET_OK)
                return err;
        }
    }
    pc_wake(pc);
    return DUET_OK;
}

void pc_retire_transports(duet_pc *pc)
{
    for (size_t i = 0; i < pc->transport_count; i++) {
        pc_transport *t = pc->transports[i];
        if (t->gathered && !t->retired && !uses_transport(pc, t))
            t->retired = true;
    }
    pc_wake(pc);
}
