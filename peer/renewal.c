/* Another DTLS association on a transport that goes on. When the tag of a bundle (RFC 9143 section 7) is rejected, or another
 * section comes in front of it, browsers take that for the end of its transport: the new tag brings new sockets under the same
 * ICE credentials, and a new handshake. Others keep the association. So ICE begins anew, a second association is tried, and the
 * first one serves until the second is connected; then it is forgotten without a goodbye. */
#include "peer/media.h"

/* Longer than a handshake takes on a path that works at all. */
#define GIVE_UP_AFTER DUET_SECONDS(15)

static bool is_offered(const pc_transport *t)
{
    const duet_sdp *offers[] = {t->pc->pending_local.sdp, t->pc->pending_remote.sdp};

    for (size_t i = 0; i < 2; i++) {
        size_t tag = t->tag;
        if (offers[i] && (duet_sdp_media_is_rejected(offers[i], t->tag) ||
                          (duet_sdp_bundle_tag(offers[i], t->tag, &tag) && tag != t->tag)))
            return true;
    }
    return false;
}

bool pc_renewal_is_expected(const pc_transport *t)
{
    return t->renewed || t->wants_renewal || is_offered(t);
}

void pc_transport_renew(pc_transport *t, duet_dtls_role role)
{
    if (t->dtls_state < DUET_DTLS_CONNECTED)
        return; /* nothing that could be renewed */
    pc_renewal_end(t);
    t->wants_renewal = true;
    t->renewed_role = role;
    if (t->wants_restart)
        return; /* with other credentials, as the description says */
    t->next = *duet_ice_agent_local_credentials(t->ice);
    t->wants_restart = true;
    t->gathering = DUET_ICE_GATHERING_NEW;
}

void pc_renewal_end(pc_transport *t)
{
    duet_dtls_destroy(t->renewed);
    t->renewed = NULL;
    t->renewed_state = DUET_DTLS_NEW;
    t->wants_renewal = false;
}

/* Once it has taken the place of the first it speaks as that. */
static void state_changed(void *user, duet_dtls_state state)
{
    pc_transport *t = user;

    if (!t->renewed) {
        pc_transport_dtls_state(t, state);
        return;
    }
    t->renewed_state = state;
    pc_wake(t->pc);
}

static int begin(pc_transport *t, duet_time now)
{
    int err = pc_transport_create_dtls(t, &t->renewed, state_changed);

    if (err == DUET_OK)
        err = duet_dtls_set_remote_fingerprints(t->renewed, t->fingerprints, t->fingerprint_count, now);
    if (err == DUET_OK)
        err = duet_dtls_start(t->renewed, t->renewed_role, duet_ice_agent_rtt(t->ice), now);
    t->renewed_until = now + GIVE_UP_AFTER;
    return err;
}

static void take_over(pc_transport *t)
{
    duet_dtls *before = t->dtls;

    t->dtls = t->renewed;
    t->dtls_role = t->renewed_role;
    t->renewed = NULL;
    duet_dtls_destroy(before);
    pc_media_rekey(t);
    pc_transport_dtls_state(t, DUET_DTLS_CONNECTED); /* the peer may have closed the first */
}

static void give_up(pc_transport *t)
{
    pc_renewal_end(t);
    if (t->dtls_state == DUET_DTLS_CLOSED)
        pc_transport_dtls_state(t, DUET_DTLS_CLOSED);
}

void pc_renewal_sync(pc_transport *t, duet_time now)
{
    if (t->wants_renewal) {
        int err = begin(t, now);
        if (err != DUET_OK)
            pc_renewal_end(t);
        t->wants_renewal = err == DUET_ERR_NOMEM;
        t->short_of_memory = t->short_of_memory || t->wants_renewal;
    }
    if (!t->renewed)
        return;
    duet_dtls_tick(t->renewed, now);
    if (t->renewed_state == DUET_DTLS_CONNECTED)
        take_over(t);
    else if (t->renewed_state > DUET_DTLS_CONNECTED || now >= t->renewed_until)
        give_up(t);
}

/* Content type 23, application data, is what a peer goes on to send that keeps the first: RFC 6347 section 4.1. */
duet_dtls *pc_renewal_receiver(const pc_transport *t, uint8_t content_type)
{
    return t->renewed && content_type != 23 ? t->renewed : t->dtls;
}

duet_time pc_renewal_deadline(const pc_transport *t)
{
    duet_time deadline = t->renewed ? duet_dtls_deadline(t->renewed) : DUET_NEVER;

    return t->renewed && t->renewed_until < deadline ? t->renewed_until : deadline;
}
