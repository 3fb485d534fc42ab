/* The state machine of offer and answer: RFC 9429 section 3.5 and 4.1, W3C webrtc-pc 4.4.1.5. A description is parsed
 * and checked as a whole before anything changes, so a refused one leaves the connection as it was. */
#include "peer/media.h"
#include <stdlib.h>
#include <string.h>

/* ---- descriptions ---- */

static void description_clear(pc_description *d)
{
    duet_sdp_destroy(d->sdp);
    *d = (pc_description){DUET_SDP_NONE, NULL};
}

static void description_set(pc_description *d, duet_sdp_type type, duet_sdp *sdp)
{
    description_clear(d);
    *d = (pc_description){type, sdp};
}

static void description_move(pc_description *to, pc_description *from)
{
    description_clear(to);
    *to = *from;
    *from = (pc_description){DUET_SDP_NONE, NULL};
}

void pc_descriptions_free(duet_pc *pc)
{
    description_clear(&pc->current_local);
    description_clear(&pc->current_remote);
    description_clear(&pc->pending_local);
    description_clear(&pc->pending_remote);
}

static const pc_description *latest(const pc_description *pending, const pc_description *current)
{
    return pending->sdp ? pending : current;
}

duet_sdp *pc_local_sdp(const duet_pc *pc)
{
    return latest(&pc->pending_local, &pc->current_local)->sdp;
}

duet_sdp *pc_remote_sdp(const duet_pc *pc)
{
    return latest(&pc->pending_remote, &pc->current_remote)->sdp;
}

static int description_text(const pc_description *d, duet_sdp_type *type, char **sdp)
{
    *sdp = NULL;
    if (type)
        *type = d->type;
    return d->sdp ? duet_sdp_write(d->sdp, sdp) : DUET_ERR_NOT_FOUND;
}

int duet_pc_local_description(const duet_pc *pc, duet_sdp_type *type, char **sdp)
{
    return description_text(latest(&pc->pending_local, &pc->current_local), type, sdp);
}

int duet_pc_remote_description(const duet_pc *pc, duet_sdp_type *type, char **sdp)
{
    return description_text(latest(&pc->pending_remote, &pc->current_remote), type, sdp);
}

int duet_pc_current_local_description(const duet_pc *pc, duet_sdp_type *type, char **sdp)
{
    return description_text(&pc->current_local, type, sdp);
}

int duet_pc_current_remote_description(const duet_pc *pc, duet_sdp_type *type, char **sdp)
{
    return description_text(&pc->current_remote, type, sdp);
}

int duet_pc_pending_local_description(const duet_pc *pc, duet_sdp_type *type, char **sdp)
{
    return description_text(&pc->pending_local, type, sdp);
}

int duet_pc_pending_remote_description(const duet_pc *pc, duet_sdp_type *type, char **sdp)
{
    return description_text(&pc->pending_remote, type, sdp);
}

int duet_pc_can_trickle(const duet_pc *pc)
{
    const duet_sdp *remote = pc_remote_sdp(pc);

    if (!remote)
        return -1;
    for (size_t i = 0; i < duet_sdp_media_count(remote); i++) {
        if (duet_sdp_media_ice_option(remote, i, "trickle"))
            return 1;
    }
    return 0;
}

/* ---- signaling state ---- */

/* RFC 9429 section 3.2, figure 2: what may be set in which state, and where it leads. DUET_SIGNALING_CLOSED: nowhere.
 * An offer over one's own one is judged after that one is rolled back. */
static duet_signaling_state next_state(duet_signaling_state state, bool is_local, duet_sdp_type type)
{
    duet_signaling_state own_offer = is_local ? DUET_SIGNALING_HAVE_LOCAL_OFFER : DUET_SIGNALING_HAVE_REMOTE_OFFER;
    duet_signaling_state other_offer = is_local ? DUET_SIGNALING_HAVE_REMOTE_OFFER : DUET_SIGNALING_HAVE_LOCAL_OFFER;
    duet_signaling_state pranswer = is_local ? DUET_SIGNALING_HAVE_LOCAL_PRANSWER : DUET_SIGNALING_HAVE_REMOTE_PRANSWER;

    if (type == DUET_SDP_OFFER && (state == DUET_SIGNALING_STABLE || state == own_offer))
        return own_offer;
    if (type == DUET_SDP_PRANSWER && (state == other_offer || state == pranswer))
        return pranswer;
    if (type == DUET_SDP_ANSWER && (state == other_offer || state == pranswer))
        return DUET_SIGNALING_STABLE;
    /* "there is no support for rolling back from a stable state", nor once an answer of any kind was set: W3C 4.4.1.5 */
    if (type == DUET_SDP_ROLLBACK &&
        (state == DUET_SIGNALING_HAVE_LOCAL_OFFER || state == DUET_SIGNALING_HAVE_REMOTE_OFFER))
        return DUET_SIGNALING_STABLE;
    return DUET_SIGNALING_CLOSED;
}

static int check_state(duet_pc *pc, bool is_local, duet_sdp_type type)
{
    if (!pc->is_closed && next_state(pc->signaling, is_local, type) != DUET_SIGNALING_CLOSED)
        return DUET_OK;
    pc_error_set(pc, 0, 0, "a %s %s cannot be set in signaling state \"%s\"", is_local ? "local" : "remote",
                 duet_sdp_type_name(type), duet_signaling_state_name(pc->signaling));
    return DUET_ERR_STATE;
}

/* ---- negotiation needed: W3C 4.7.3 ---- */

static bool data_is_negotiated(const duet_pc *pc)
{
    const duet_sdp *local = pc->current_local.sdp;

    for (size_t i = 0; local && i < duet_sdp_media_count(local); i++) {
        if (duet_sdp_media_is_data(local, i) && !duet_sdp_media_is_rejected(local, i))
            return true;
    }
    return false;
}

static bool is_negotiation_needed(const duet_pc *pc)
{
    bool is_needed = pc->restart_needed || (pc->wants_data && !data_is_negotiated(pc));
    const duet_transceiver *t;

    for (size_t i = 0; (t = pc_transceiver_at(pc, i)) && !is_needed; i++)
        is_needed = pc_transceiver_needs_negotiation(t);
    return is_needed;
}

void pc_update_negotiation_needed(duet_pc *pc)
{
    if (pc->is_closed || pc->signaling != DUET_SIGNALING_STABLE)
        return;
    bool was_needed = pc->negotiation_needed;
    pc->negotiation_needed = is_negotiation_needed(pc);
    if (!pc->negotiation_needed || was_needed)
        return;
    pc->negotiation_unreported = true;
    pc->negotiation_deferred = false;
    pc_report(pc);
}

/* W3C 4.4.1.5: "If connection.[[SignalingState]] is now stable ... clear the negotiation-needed flag ... and update" it. The
 * event waits for the next tick, as W3C 4.7.3 queues a task: whoever has set an answer sends that, before another offer takes
 * its place as the local description. */
static void become_stable(duet_pc *pc, const char *cause)
{
    pc->stable_sections = pc->sections.count;
    pc_media_become_stable(pc);
    pc_set_signaling_state(pc, DUET_SIGNALING_STABLE, cause);
    pc_retire_transports(pc);
    pc->negotiation_unreported = false;
    pc->negotiation_needed = pc->negotiation_deferred = !pc->is_closed && is_negotiation_needed(pc);
    pc_update_states(pc, cause);
    pc_wake(pc);
}

/* ---- rollback: RFC 9429 section 4.1.10.2 ---- */

/* A rejected section that the pending offer, which is not answered, uses again. */
static bool is_about_to_be_recycled(const duet_pc *pc, size_t i)
{
    const duet_transceiver *t = pc_transceiver_of_mline(pc, i);

    return t && !t->is_stable;
}

static void roll_back(duet_pc *pc)
{
    const duet_sdp *agreed = pc->current_local.sdp;

    while (pc->sections.count > pc->stable_sections)
        duet_array_remove(&pc->sections, pc->sections.count - 1);
    for (size_t i = 0; i < pc->sections.count && i < duet_sdp_media_count(agreed); i++) {
        pc_section *s = duet_array_at(&pc->sections, i);
        if (!is_about_to_be_recycled(pc, i))
            continue;
        s->transport = NULL;
        s->kind = duet_sdp_media_at(agreed, i)->kind;
        pc_section_mid(pc, agreed, i, s->mid);
    }
    pc_media_roll_back(pc);
    for (size_t i = 0; i < pc->transport_count; i++)
        pc_transport_forget_restart(pc->transports[i]);
    description_clear(&pc->pending_local);
    description_clear(&pc->pending_remote);
    become_stable(pc, "rollback");
}

/* ---- set ---- */

/* Whether every transport has other local credentials than before: then a wish for a restart is fulfilled. */
static bool credentials_differ(const duet_sdp *before, const duet_sdp *now)
{
    duet_ice_credentials a, b;

    for (size_t i = 0; before && now && i < duet_sdp_media_count(before) && i < duet_sdp_media_count(now); i++) {
        if (duet_sdp_media_ice(before, i, &a) == DUET_OK && duet_sdp_media_ice(now, i, &b) == DUET_OK &&
            strcmp(a.ufrag, b.ufrag) == 0)
            return false;
    }
    return true;
}

/* A mid is not used for anything else later: packets of an m-section that has ended may still be under way. */
static void remember_mids(duet_pc *pc, const duet_sdp *local)
{
    char mid[8]; /* longer ones are none of ours */

    for (size_t i = 0; i < duet_sdp_media_count(local); i++) {
        char *end;
        if (duet_sdp_text_copy(duet_sdp_media_mid(local, i), mid, sizeof(mid)) != DUET_OK)
            continue;
        unsigned long number = strtoul(mid, &end, 10);
        if (mid[0] >= '0' && mid[0] <= '9' && *end == 0 && number >= pc->next_mid)
            pc->next_mid = (unsigned)number + 1;
    }
}

static void answered(duet_pc *pc)
{
    if (credentials_differ(pc->current_local.sdp, pc->pending_local.sdp))
        pc->restart_needed = pc->ice_config_changed = false;
    remember_mids(pc, pc->pending_local.sdp);
    description_move(&pc->current_local, &pc->pending_local);
    description_move(&pc->current_remote, &pc->pending_remote);
    become_stable(pc, "answer");
}

/* Installs a checked description. What may fail comes first. */
static int install(duet_pc *pc, bool is_local, duet_sdp_type type, duet_sdp *sdp)
{
    bool local_is_offer = is_local == (type == DUET_SDP_OFFER);
    duet_signaling_state next = next_state(pc->signaling, is_local, type);

    int err = type == DUET_SDP_OFFER ? DUET_OK : pc_prepare_data(pc, sdp);
    if (err == DUET_OK && is_local)
        err = pc_apply_local(pc, sdp);
    if (err == DUET_OK && !is_local)
        err = pc_media_prepare_remote(pc, type, sdp);
    if (err != DUET_OK)
        return err;
    description_set(is_local ? &pc->pending_local : &pc->pending_remote, type, sdp);
    if (is_local)
        pc_media_apply_local(pc, type, sdp);
    else
        pc_media_apply_remote(pc, sdp);
    if (!is_local)
        pc_deliver_early_candidates(pc);
    if (type != DUET_SDP_OFFER) {
        pc_apply_negotiated(pc, pc->pending_local.sdp, pc->pending_remote.sdp, local_is_offer);
        pc_media_apply_negotiated(pc, type, pc->pending_local.sdp, pc->pending_remote.sdp, local_is_offer);
    }
    if (type == DUET_SDP_ANSWER)
        answered(pc);
    else
        pc_set_signaling_state(pc, next, type == DUET_SDP_PRANSWER ? "provisional answer" : "offer");
    pc_update_states(pc, "description");
    pc_wake(pc);
    return DUET_OK;
}

static int parse(duet_pc *pc, const char *text, duet_sdp **out)
{
    return duet_sdp_parse(out, &pc->env, text ? text : "", text ? strlen(text) : 0, &pc->error);
}

/* A peer that writes no mids goes on without; any other one keeps them. */
static bool keeps_mid(const duet_pc *pc, const duet_sdp *sdp, size_t i, const char *mid)
{
    duet_sdp_text given = duet_sdp_media_mid(sdp, i);

    return duet_sdp_text_is(given, mid) || (given.len == 0 && duet_sdp_media_mid(pc->current_remote.sdp, i).len == 0);
}

/* A renegotiation keeps the m-sections in their places: RFC 9429 section 5.8. */
static int check_continuity(duet_pc *pc, const duet_sdp *sdp)
{
    if (duet_sdp_media_count(sdp) < pc->stable_sections) {
        pc_error_set(pc, 0, 0,
                     "%zu m-sections where %zu are negotiated: sections may be rejected but not removed "
                     "(RFC 9429, 5.2.2)",
                     duet_sdp_media_count(sdp), pc->stable_sections);
        return DUET_ERR_MALFORMED;
    }
    for (size_t i = 0; i < pc->stable_sections; i++) {
        const pc_section *s = duet_array_at(&pc->sections, i);
        if (!s->transport || is_about_to_be_recycled(pc, i))
            continue;
        if (!keeps_mid(pc, sdp, i, s->mid)) {
            pc_error_set(pc, 0, 0, "m-section %zu had mid \"%s\": a section in use keeps its mid (RFC 9429, 5.2.2)", i,
                         s->mid);
            return DUET_ERR_MALFORMED;
        }
        if (duet_sdp_media_at(sdp, i)->kind != s->kind) {
            pc_error_set(pc, 0, 0, "m-section %zu, mid \"%s\": a section in use keeps its kind (RFC 3264, 8.3.3)", i,
                         s->mid);
            return DUET_ERR_MALFORMED;
        }
    }
    return DUET_OK;
}

static int check_mids(duet_pc *pc, const duet_sdp *sdp)
{
    for (size_t i = 0; i < duet_sdp_media_count(sdp); i++) {
        if (duet_sdp_media_mid(sdp, i).len > PC_MID_MAX) {
            pc_error_set(pc, 0, 0, "m-section %zu: a mid longer than %d characters", i, PC_MID_MAX);
            return DUET_ERR_LIMIT;
        }
    }
    return DUET_OK;
}

/* All that can be wrong with a description, before anything changes. */
static int check(duet_pc *pc, bool is_local, duet_sdp_type type, const duet_sdp *sdp)
{
    const duet_sdp *offer = is_local ? pc->pending_remote.sdp : pc->pending_local.sdp;
    int err =
        type == DUET_SDP_OFFER ? duet_sdp_check_offer(sdp, &pc->error) : duet_sdp_check_answer(offer, sdp, &pc->error);

    if (err == DUET_OK)
        err = check_mids(pc, sdp);
    if (err == DUET_OK)
        err = check_continuity(pc, sdp);
    if (err == DUET_OK)
        err = is_local ? pc_check_local(pc, sdp) : pc_check_certificates(pc, sdp);
    return err;
}

static int set_parsed(duet_pc *pc, bool is_local, duet_sdp_type type, const char *text)
{
    duet_sdp *sdp = NULL;
    int err = parse(pc, text, &sdp);

    if (err == DUET_OK)
        err = check(pc, is_local, type, sdp);
    if (err != DUET_OK) {
        duet_sdp_destroy(sdp);
        return err;
    }
    if (!is_local && pc->signaling == DUET_SIGNALING_HAVE_LOCAL_OFFER && type == DUET_SDP_OFFER)
        roll_back(pc); /* both have offered, and the application gives way */
    err = install(pc, is_local, type, sdp);
    if (err != DUET_OK)
        duet_sdp_destroy(sdp);
    return err;
}

/* W3C 4.4.1.5: an ICE restart that is due is part of every offer, until one of them is answered. */
static bool restart_is_due(const duet_pc *pc)
{
    if (!pc->restart_needed && !pc->ice_config_changed)
        return false;
    return !pc->pending_local.sdp || !credentials_differ(pc->current_local.sdp, pc->pending_local.sdp);
}

static int create_offer(duet_pc *pc, bool ice_restart, char **text)
{
    duet_sdp *sdp = NULL;

    *text = NULL;
    if (pc->is_closed)
        return DUET_ERR_STATE;
    int err = pc_build_offer(pc, ice_restart || restart_is_due(pc), &sdp);
    if (err == DUET_OK)
        err = duet_sdp_write(sdp, text);
    duet_sdp_destroy(sdp);
    return err;
}

static int create_answer(duet_pc *pc, char **text)
{
    duet_sdp *sdp = NULL;

    *text = NULL;
    if (pc->is_closed ||
        (pc->signaling != DUET_SIGNALING_HAVE_REMOTE_OFFER && pc->signaling != DUET_SIGNALING_HAVE_LOCAL_PRANSWER))
        return DUET_ERR_STATE;
    int err = pc_build_answer(pc, &sdp);
    if (err == DUET_OK)
        err = duet_sdp_write(sdp, text);
    duet_sdp_destroy(sdp);
    return err;
}

static duet_sdp_type implicit_type(const duet_pc *pc)
{
    switch (pc->signaling) {
    case DUET_SIGNALING_HAVE_REMOTE_OFFER:
    case DUET_SIGNALING_HAVE_LOCAL_PRANSWER:
        return DUET_SDP_ANSWER;
    default:
        return DUET_SDP_OFFER;
    }
}

static int set_local(duet_pc *pc, duet_sdp_type type, const char *text)
{
    char *made = NULL;

    memset(&pc->error, 0, sizeof(pc->error));
    if (type == DUET_SDP_NONE)
        type = implicit_type(pc);
    int err = check_state(pc, true, type);
    if (err != DUET_OK)
        return err;
    if (type == DUET_SDP_ROLLBACK) {
        roll_back(pc);
        return DUET_OK;
    }
    if (!text || !text[0]) {
        err = type == DUET_SDP_OFFER ? create_offer(pc, false, &made) : create_answer(pc, &made);
        text = made;
    }
    if (err == DUET_OK)
        err = set_parsed(pc, true, type, text);
    duet_free(&pc->env, made);
    return err;
}

static int set_remote(duet_pc *pc, duet_sdp_type type, const char *text)
{
    bool is_glare = type == DUET_SDP_OFFER && pc->signaling == DUET_SIGNALING_HAVE_LOCAL_OFFER;

    memset(&pc->error, 0, sizeof(pc->error));
    int err = is_glare ? DUET_OK : check_state(pc, false, type);
    if (err != DUET_OK)
        return err;
    if (type == DUET_SDP_ROLLBACK) {
        roll_back(pc);
        return DUET_OK;
    }
    return set_parsed(pc, false, type, text);
}

/* W3C RTCSdpType: a value from outside may be none of them. */
static bool is_type(duet_sdp_type type)
{
    return type >= DUET_SDP_OFFER && type <= DUET_SDP_ROLLBACK;
}

int duet_pc_create_offer(duet_pc *pc, const duet_offer_options *options, char **sdp)
{
    duet_events_enter(&pc->events);
    int err = create_offer(pc, options && options->ice_restart, sdp);
    duet_events_leave(&pc->events);
    return err;
}

int duet_pc_create_answer(duet_pc *pc, char **sdp)
{
    duet_events_enter(&pc->events);
    int err = create_answer(pc, sdp);
    duet_events_leave(&pc->events);
    return err;
}

int duet_pc_set_local_description(duet_pc *pc, duet_sdp_type type, const char *sdp)
{
    if (type != DUET_SDP_NONE && !is_type(type))
        return DUET_ERR_INVALID;
    duet_events_enter(&pc->events);
    int err = set_local(pc, type, sdp);
    duet_events_leave(&pc->events);
    return err;
}

int duet_pc_set_remote_description(duet_pc *pc, duet_sdp_type type, const char *sdp)
{
    if (!is_type(type))
        return DUET_ERR_INVALID;
    duet_events_enter(&pc->events);
    int err = set_remote(pc, type, sdp);
    duet_events_leave(&pc->events);
    return err;
}

void duet_pc_restart_ice(duet_pc *pc)
{
    if (pc->is_closed || !pc_local_sdp(pc))
        return; /* there is nothing yet that could be replaced: W3C restartIce() */
    duet_events_enter(&pc->events);
    pc->restart_needed = true;
    pc_update_negotiation_needed(pc);
    pc_wake(pc);
    duet_events_leave(&pc->events);
}
