/* Takes descriptions into effect: which transport each m-section uses, and what the peer's description says about it
 * (RFC 9429 sections 5.9 to 5.11). The peer's parameters reach the transports only when an answer is set, so a rolled
 * back offer leaves no trace in them. */
#include "peer/internal.h"
#include <stdio.h>
#include <string.h>

/* The transport whose credentials stand in the section: the description was made from it. */
static pc_transport *transport_of_section(duet_pc *pc, const duet_sdp *local, size_t i)
{
    duet_ice_credentials ice;

    if (duet_sdp_media_is_rejected(local, i) || duet_sdp_media_ice(local, i, &ice) != DUET_OK)
        return NULL;
    for (size_t n = 0; n < pc->transport_count; n++) {
        pc_transport *t = pc->transports[n];
        const duet_ice_credentials *own = pc_transport_credentials(t, true);
        const duet_ice_credentials *old = duet_ice_agent_local_credentials(t->ice);
        if (t->retired)
            continue;
        if ((strcmp(own->ufrag, ice.ufrag) == 0 && strcmp(own->pwd, ice.pwd) == 0) ||
            (strcmp(old->ufrag, ice.ufrag) == 0 && strcmp(old->pwd, ice.pwd) == 0))
            return t;
    }
    return NULL;
}

/* Room for all sections before any of them changes. */
static int reserve_sections(duet_pc *pc, size_t count)
{
    size_t before = pc->sections.count;

    while (pc->sections.count < count) {
        if (duet_array_push(&pc->sections))
            continue;
        while (pc->sections.count > before)
            duet_array_remove(&pc->sections, pc->sections.count - 1);
        return DUET_ERR_NOMEM;
    }
    return DUET_OK;
}

/* Without one from the description it follows from the place, so that both descriptions and the transceiver have the same. */
void pc_section_mid(const duet_pc *pc, const duet_sdp *sdp, size_t i, char *out)
{
    duet_sdp_text mid = duet_sdp_media_mid(sdp, i);
    const pc_section *s = i < pc->sections.count ? duet_array_at(&pc->sections, i) : NULL;
    size_t taken;

    if (mid.len > 0) {
        duet_sdp_text_copy(mid, out, PC_MID_MAX + 1); /* the length was checked */
    } else if (s && s->transport) {
        memcpy(out, s->mid, sizeof(s->mid));
    } else {
        int len = snprintf(out, PC_MID_MAX + 1, "m%zu", i);
        while (duet_sdp_find_mid(sdp, (duet_sdp_text){out, (size_t)len}, &taken) && len < PC_MID_MAX) {
            memmove(out + 1, out, (size_t)len + 1);
            len++;
        }
    }
}

static void take_up_section(duet_pc *pc, const duet_sdp *local, size_t i, pc_transport *t)
{
    pc_section *s = duet_array_at(&pc->sections, i);
    char mid[PC_MID_MAX + 1];

    pc_section_mid(pc, local, i, mid);
    memcpy(s->mid, mid, sizeof(mid));
    s->kind = duet_sdp_media_at(local, i)->kind;
    s->transport = t;
}

pc_transport *pc_section_transport(const duet_pc *pc, size_t i)
{
    return i < pc->sections.count ? ((const pc_section *)duet_array_at(&pc->sections, i))->transport : NULL;
}

/* Candidates are told of the section that owns the transport: when that is rejected, of the next one that uses it. */
static void pass_on_ownership(duet_pc *pc)
{
    for (size_t i = 0; i < pc->sections.count; i++) {
        pc_transport *t = pc_section_transport(pc, i);
        if (t && pc_section_transport(pc, t->owner) != t)
            t->owner = i;
    }
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

/* What an application may change by hand ends here: the transport must be one of this connection. */
int pc_check_local(duet_pc *pc, const duet_sdp *local)
{
    duet_fingerprint fingerprints[PC_FINGERPRINTS_MAX];

    for (size_t i = 0; i < duet_sdp_media_count(local); i++) {
        if (duet_sdp_media_is_rejected(local, i))
            continue;
        if (!transport_of_section(pc, local, i)) {
            pc_error_set(pc, 0, 0,
                         "m-section %zu: its ICE credentials are none of this connection: set what "
                         "create_offer or create_answer gave",
                         i);
            return DUET_ERR_INVALID;
        }
        size_t count = duet_sdp_media_fingerprints(local, i, fingerprints, PC_FINGERPRINTS_MAX);
        if (count != 1 || !duet_fingerprint_equal(&fingerprints[0], &pc->fingerprint)) {
            pc_error_set(pc, 0, 0, "m-section %zu: its fingerprint is not that of this connection's certificate", i);
            return DUET_ERR_INVALID;
        }
    }
    return DUET_OK;
}

int pc_apply_local(duet_pc *pc, const duet_sdp *local)
{
    size_t count = duet_sdp_media_count(local);

    int err = reserve_sections(pc, count);
    if (err != DUET_OK)
        return err;
    for (size_t i = 0; i < count; i++) {
        pc_transport *t = transport_of_section(pc, local, i);
        take_up_section(pc, local, i, t);
        if (t)
            ask_for_gathering(t, local, i);
    }
    pass_on_ownership(pc);
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
    if (changed || !t->has_remote || t->needs_remote || t->wants_restart)
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
    duet_sdp_media_setup(local, i, &own);
    duet_sdp_media_setup(remote, from, &peer);
    duet_setup answer = local_is_offer ? peer : own;
    bool answerer_is_client = answer != DUET_SETUP_PASSIVE; /* active by default: RFC 8842 section 5.3 */
    duet_dtls_role role = answerer_is_client != local_is_offer ? DUET_DTLS_CLIENT : DUET_DTLS_SERVER;
    if (!t->dtls_role)
        t->dtls_role = role; /* the association stays through renegotiations and restarts: RFC 8842 section 4 */
    else if (t->tag != i)
        pc_transport_renew(t, role);
    t->tag = i;
}

static void take_remote_candidates(pc_transport *t, const duet_sdp *remote, size_t i)
{
    duet_candidate candidate;
    size_t cursor = 0;

    while (duet_sdp_media_candidate(remote, i, &cursor, &candidate))
        (void)pc_transport_take_candidate(t, remote, i, &candidate); /* one that finds no room costs a path, no more */
    if (duet_sdp_media_end_of_candidates(remote, i))
        t->wants_end = true;
}

/* "If an SDP 'max-message-size' attribute is not present ... the default value is 64K" RFC 8841, 6.1 */
#define MAX_MESSAGE_SIZE_DEFAULT 65536
#define SCTP_PORT_DEFAULT        5000

static void take_remote_data(duet_pc *pc, const duet_sdp *remote, size_t i, pc_transport *t)
{
    uint64_t size;
    uint16_t port;

    if (duet_sdp_media_sctp_port(remote, i, &port) != DUET_OK)
        port = SCTP_PORT_DEFAULT;
    if (duet_sdp_media_max_message_size(remote, i, &size) != DUET_OK)
        size = MAX_MESSAGE_SIZE_DEFAULT;
    pc->sctp_agreed = true;
    pc->sctp_transport = t;
    pc->remote_sctp_port = port;
    pc->remote_max_message = size;
    if (pc->sctp_started)
        duet_sctp_set_remote_max_message(pc->sctp, size);
}

int pc_prepare_data(duet_pc *pc, const duet_sdp *sdp)
{
    for (size_t i = 0; i < duet_sdp_media_count(sdp); i++) {
        if (duet_sdp_media_is_data(sdp, i) && !duet_sdp_media_is_rejected(sdp, i))
            return pc_ensure_sctp(pc);
    }
    return DUET_OK;
}

/* The data section was refused or given up: channels that wait for it would wait for ever. */
static void end_data(duet_pc *pc)
{
    pc->wants_data = pc->sctp_agreed = false;
    if (pc->sctp)
        duet_sctp_close(pc->sctp, pc->now);
}

/* The answer decides who is bundled: the sections of a group share the transport of its tag. What a provisional answer
 * said does not bind the final one, so the offer's transports are the start. */
static void follow_bundle(duet_pc *pc, const duet_sdp *local, const duet_sdp *answer)
{
    for (size_t i = 0; i < pc->sections.count; i++) {
        pc_section *s = duet_array_at(&pc->sections, i);
        size_t tag;
        pc_transport *own = transport_of_section(pc, local, i);
        if (own)
            s->transport = own;
        if (duet_sdp_media_is_rejected(answer, i)) {
            s->transport = NULL;
        } else if (duet_sdp_bundle_tag(answer, i, &tag) && tag < pc->sections.count) {
            pc_transport *tagged = transport_of_section(pc, local, tag);
            if (tagged)
                s->transport = tagged;
        }
    }
}

static bool is_first_of_transport(const duet_pc *pc, size_t i)
{
    const pc_section *s = duet_array_at(&pc->sections, i);

    for (size_t j = 0; j < i; j++) {
        if (((const pc_section *)duet_array_at(&pc->sections, j))->transport == s->transport)
            return false;
    }
    return true;
}

void pc_apply_negotiated(duet_pc *pc, const duet_sdp *local, const duet_sdp *remote, bool local_is_offer)
{
    bool offered_data = false, has_data = false;

    follow_bundle(pc, local, local_is_offer ? remote : local);
    for (size_t i = 0; i < pc->sections.count && i < duet_sdp_media_count(remote); i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        pc_transport *t = s->transport;
        offered_data = offered_data || (local_is_offer && duet_sdp_media_is_data(local, i));
        if (!t)
            continue;
        if (is_first_of_transport(pc, i)) {
            size_t from = transport_section(remote, i);
            t->owner = i;
            take_remote_dtls(t, local, remote, i, from, local_is_offer);
            take_remote_ice(t, remote, from, local_is_offer);
        }
        take_remote_candidates(t, remote, i);
        if (duet_sdp_media_is_data(remote, i) && !has_data) {
            has_data = true;
            take_remote_data(pc, remote, i, t);
        }
    }
    if (!has_data && (offered_data || pc->sctp_agreed))
        end_data(pc);
}

static bool shares_fingerprint(const pc_transport *t, const duet_fingerprint *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < t->fingerprint_count; j++) {
            if (duet_fingerprint_equal(&list[i], &t->fingerprints[j]))
                return true;
        }
    }
    return false;
}

int pc_check_certificates(duet_pc *pc, const duet_sdp *remote)
{
    duet_fingerprint list[PC_FINGERPRINTS_MAX];

    for (size_t i = 0; i < pc->stable_sections && i < duet_sdp_media_count(remote); i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (!s->transport || s->transport->owner != i || s->transport->dtls_state != DUET_DTLS_CONNECTED ||
            duet_sdp_media_is_rejected(remote, i))
            continue;
        size_t count = duet_sdp_media_fingerprints(remote, transport_section(remote, i), list, PC_FINGERPRINTS_MAX);
        count = count < PC_FINGERPRINTS_MAX ? count : PC_FINGERPRINTS_MAX;
        if (count > 0 && !shares_fingerprint(s->transport, list, count)) {
            pc_error_set(pc, 0, 0,
                         "m-section %zu: another fingerprint than that of the connected peer: a new DTLS association "
                         "needs a new connection here (RFC 8842, 4)",
                         i);
            return DUET_ERR_UNSUPPORTED;
        }
    }
    return DUET_OK;
}

void pc_retire_transports(duet_pc *pc)
{
    for (size_t i = 0; i < pc->transport_count; i++) {
        pc_transport *t = pc->transports[i];
        if (t->gathered && !t->retired && !pc_transport_is_used(t))
            t->retired = true;
    }
    pc_wake(pc);
}
