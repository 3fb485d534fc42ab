/* Transceivers with their sender and receiver: W3C webrtc-pc section 5. Here is what an application sees and sets; what the
 * descriptions say of it is in media_describe.c, and how media moves in media_transport.c. */
#include "peer/media.h"
#include <stdio.h>
#include <string.h>

/* ---- ids ---- */

/* token-char of RFC 8866 section 9 without the characters that lists are made with: what a=msid carries everywhere. */
static bool is_id(const char *text, bool may_be_empty)
{
    size_t len = strlen(text);

    if (len == 0)
        return may_be_empty;
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("\"(),/:;<=>?@[\\]", text[i]))
            return false;
    }
    return len <= DUET_TRACK_ID_MAX;
}

/* A UUID of version 4 (RFC 9562 section 5.4), as browsers name their tracks. */
static int random_id(const duet_env *env, char *out)
{
    uint8_t b[16];

    int err = duet_random(env, b, sizeof(b));
    if (err != DUET_OK)
        return err;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(out, DUET_TRACK_ID_MAX + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return DUET_OK;
}

static int set_track(duet_sender *s, const char *track_id)
{
    if (!track_id)
        return random_id(&s->transceiver->pc->env, s->track_id);
    if (!is_id(track_id, true))
        return DUET_ERR_INVALID;
    snprintf(s->track_id, sizeof(s->track_id), "%s", track_id);
    return DUET_OK;
}

static int set_streams(duet_sender *s, const char *const *ids, size_t count)
{
    if (count > DUET_TRACK_STREAMS)
        return DUET_ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        if (!ids[i] || !is_id(ids[i], false))
            return DUET_ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++)
        snprintf(s->stream_ids[i], sizeof(s->stream_ids[i]), "%s", ids[i]);
    s->stream_count = count;
    return DUET_OK;
}

/* ---- the list ---- */

duet_transceiver *pc_transceiver_at(const duet_pc *pc, size_t index)
{
    duet_transceiver **slot = index < pc->transceivers.count ? duet_array_at(&pc->transceivers, index) : NULL;

    return slot ? *slot : NULL;
}

duet_transceiver *pc_transceiver_of_mline(const duet_pc *pc, size_t mline)
{
    duet_transceiver *t;

    for (size_t i = 0; mline != PC_NOWHERE && (t = pc_transceiver_at(pc, i)); i++) {
        if (!t->stopped && t->mline == mline)
            return t;
    }
    return NULL;
}

static bool ssrc_is_used(const duet_pc *pc, uint32_t ssrc)
{
    const duet_transceiver *t;

    for (size_t i = 0; (t = pc_transceiver_at(pc, i)); i++) {
        if (t->sender.ssrc == ssrc || t->sender.rtx_ssrc == ssrc)
            return true;
    }
    return false;
}

static int new_ssrc(const duet_pc *pc, uint32_t *out)
{
    do {
        int err = duet_random(&pc->env, out, sizeof(*out));
        if (err != DUET_OK)
            return err;
    } while (*out == 0 || ssrc_is_used(pc, *out));
    return DUET_OK;
}

static int fill(duet_transceiver *t)
{
    t->sender = (duet_sender){.transceiver = t, .parameters = {.size = sizeof(duet_sender_parameters), .active = true}};
    t->receiver = (duet_receiver){.transceiver = t};
    t->mline = t->offered_mline = PC_NOWHERE;
    t->direction = DUET_SDP_RECVONLY;
    duet_array_init(&t->preferences, &t->pc->env, sizeof(duet_codec));
    int err = random_id(&t->pc->env, t->receiver.track_id);
    if (err == DUET_OK)
        err = new_ssrc(t->pc, &t->sender.ssrc);
    if (err == DUET_OK && t->kind == DUET_SDP_VIDEO) {
        do
            err = new_ssrc(t->pc, &t->sender.rtx_ssrc);
        while (err == DUET_OK && t->sender.rtx_ssrc == t->sender.ssrc);
    }
    return err;
}

duet_transceiver *pc_transceiver_create(duet_pc *pc, duet_sdp_media_kind kind)
{
    if (pc->transceivers.count >= DUET_TRANSCEIVERS_MAX)
        return NULL;
    duet_transceiver *t = duet_calloc(&pc->env, sizeof(*t));
    if (!t)
        return NULL;
    t->pc = pc;
    t->kind = kind;
    duet_transceiver **slot = fill(t) == DUET_OK ? duet_array_push(&pc->transceivers) : NULL;
    if (!slot) {
        duet_free(&pc->env, t);
        return NULL;
    }
    *slot = t;
    return t;
}

void pc_transceiver_remove(duet_transceiver *t)
{
    duet_pc *pc = t->pc;

    pc_media_end(t);
    for (size_t i = 0; i < pc->transceivers.count; i++) {
        if (pc_transceiver_at(pc, i) == t)
            duet_array_remove(&pc->transceivers, i--);
    }
    duet_array_free(&t->preferences);
    duet_free(&pc->env, t);
}

/* ---- the end of those that have stopped ---- */

static void deliver_end(void *object, void *payload)
{
    duet_pc *pc = object;
    duet_transceiver *t = *(duet_transceiver **)payload;

    if (pc->is_closed)
        return;
    pc->config.on_transceiver_end(pc->config.user, pc, t);
    pc_transceiver_remove(t);
}

void pc_transceivers_report_ends(duet_pc *pc)
{
    duet_transceiver *t;

    for (size_t i = 0; pc->ends_unreported > 0 && (t = pc_transceiver_at(pc, i)); i++) {
        if (!t->stopped || t->end_queued)
            continue;
        t->end_queued = duet_events_push(&pc->events, deliver_end, NULL, &t, sizeof(t)) == DUET_OK;
        pc->ends_unreported -= t->end_queued;
    }
}

void pc_transceiver_set_stopped(duet_transceiver *t)
{
    t->stopped = t->stopping = true;
    t->pc->ends_unreported += t->pc->config.on_transceiver_end != NULL;
}

void pc_transceivers_free(duet_pc *pc)
{
    while (pc->transceivers.count > 0)
        pc_transceiver_remove(pc_transceiver_at(pc, pc->transceivers.count - 1));
    duet_array_free(&pc->transceivers);
}

/* ---- negotiation needed: W3C 4.7.3 ---- */

bool pc_transceiver_needs_negotiation(const duet_transceiver *t)
{
    if (t->stopped)
        return false;
    if (t->mline == PC_NOWHERE)
        return !t->stopping;
    if (t->stopping)
        return true;
    if ((t->direction & DUET_SDP_SENDONLY) && strcmp(t->told_msid, t->sender.track_id) != 0 && t->sender.track_id[0])
        return true;
    return t->has_current && t->direction != t->asked_direction && t->direction != t->current_direction;
}

static void changed(duet_transceiver *t)
{
    pc_media_update(t);
    pc_update_negotiation_needed(t->pc);
    pc_wake(t->pc);
}

/* ---- making ---- */

static int add_transceiver(duet_pc *pc, duet_sdp_media_kind kind, const duet_transceiver_init *init,
                           duet_transceiver **out)
{
    duet_transceiver_init given = DUET_TRANSCEIVER_INIT;

    if (!pc_media_is_built())
        return DUET_ERR_UNSUPPORTED;
    if (pc->is_closed)
        return DUET_ERR_STATE;
    if (init)
        memcpy(&given, init, init->size < sizeof(given) ? init->size : sizeof(given));
    if ((kind != DUET_SDP_AUDIO && kind != DUET_SDP_VIDEO) || given.direction > DUET_SDP_SENDRECV)
        return DUET_ERR_INVALID;
    if (pc->transceivers.count >= DUET_TRANSCEIVERS_MAX)
        return DUET_ERR_LIMIT;
    duet_transceiver *t = pc_transceiver_create(pc, kind);
    if (!t)
        return DUET_ERR_NOMEM;
    t->direction = given.direction;
    int err = set_track(&t->sender, given.track_id);
    if (err == DUET_OK)
        err = set_streams(&t->sender, given.stream_ids, given.stream_count);
    if (err != DUET_OK) {
        pc_transceiver_remove(t);
        return err;
    }
    *out = t;
    changed(t);
    return DUET_OK;
}

int duet_pc_add_transceiver(duet_pc *pc, duet_sdp_media_kind kind, const duet_transceiver_init *init,
                            duet_transceiver **out)
{
    *out = NULL;
    duet_events_enter(&pc->events);
    int err = add_transceiver(pc, kind, init, out);
    duet_events_leave(&pc->events);
    return err;
}

static bool track_is_sent(const duet_pc *pc, const char *track_id)
{
    const duet_transceiver *t;

    for (size_t i = 0; track_id && (t = pc_transceiver_at(pc, i)); i++) {
        if (!t->stopped && strcmp(t->sender.track_id, track_id) == 0)
            return true;
    }
    return false;
}

/* W3C addTrack, step 7: "The sender's track is null. The transceiver kind ... matches kind. The [[Stopping]] slot ... is
 * false. The sender has never been used to send." */
static duet_transceiver *reusable(const duet_pc *pc, duet_sdp_media_kind kind)
{
    duet_transceiver *t;

    for (size_t i = 0; (t = pc_transceiver_at(pc, i)); i++) {
        if (t->kind == kind && !t->stopping && !t->stopped && !t->sender.track_id[0] && !t->sender.has_sent)
            return t;
    }
    return NULL;
}

static int add_track(duet_pc *pc, duet_sdp_media_kind kind, const char *track_id, const char *const *stream_ids,
                     size_t stream_count, duet_sender **out)
{
    duet_transceiver *t = reusable(pc, kind);
    int err;

    if (track_id && (!track_id[0] || track_is_sent(pc, track_id)))
        return DUET_ERR_INVALID;
    if (!t) {
        duet_transceiver_init init = DUET_TRANSCEIVER_INIT;
        init.track_id = track_id;
        init.stream_ids = stream_ids;
        init.stream_count = stream_count;
        err = add_transceiver(pc, kind, &init, &t);
        if (err != DUET_OK)
            return err;
        t->by_add_track = true;
        *out = &t->sender;
        return DUET_OK;
    }
    if (pc->is_closed)
        return DUET_ERR_STATE;
    err = set_streams(&t->sender, stream_ids, stream_count);
    if (err == DUET_OK)
        err = set_track(&t->sender, track_id);
    if (err != DUET_OK)
        return err;
    t->direction = (duet_sdp_direction)(t->direction | DUET_SDP_SENDONLY);
    t->by_remote_offer = false; /* the application uses it: it outlives a rollback (RFC 9429, 4.1.10.2) */
    t->by_add_track = true;
    *out = &t->sender;
    changed(t);
    return DUET_OK;
}

int duet_pc_add_track(duet_pc *pc, duet_sdp_media_kind kind, const char *track_id, const char *const *stream_ids,
                      size_t stream_count, duet_sender **out)
{
    *out = NULL;
    duet_events_enter(&pc->events);
    int err = add_track(pc, kind, track_id, stream_ids, stream_count, out);
    duet_events_leave(&pc->events);
    return err;
}

int duet_pc_remove_track(duet_pc *pc, duet_sender *sender)
{
    duet_transceiver *t = sender->transceiver;

    if (t->pc != pc)
        return DUET_ERR_INVALID;
    if (pc->is_closed || t->stopped || t->stopping)
        return DUET_ERR_STATE;
    if (!sender->track_id[0])
        return DUET_OK;
    duet_events_enter(&pc->events);
    sender->track_id[0] = 0;
    t->direction = (duet_sdp_direction)(t->direction & ~(unsigned)DUET_SDP_SENDONLY);
    changed(t);
    duet_events_leave(&pc->events);
    return DUET_OK;
}

/* "The stopped transceivers are removed from the set": W3C getTransceivers by way of 4.4.1.5. */
duet_transceiver *duet_pc_transceiver_at(const duet_pc *pc, size_t index)
{
    duet_transceiver *t;

    for (size_t i = 0; (t = pc_transceiver_at(pc, i)); i++) {
        if (!t->stopped && index-- == 0)
            return t;
    }
    return NULL;
}

/* ---- transceivers ---- */

duet_sdp_media_kind duet_transceiver_kind(const duet_transceiver *transceiver)
{
    return transceiver->kind;
}

const char *duet_transceiver_mid(const duet_transceiver *transceiver)
{
    return transceiver->stopped ? "" : transceiver->mid;
}

duet_sdp_direction duet_transceiver_direction(const duet_transceiver *transceiver)
{
    return transceiver->direction;
}

bool duet_transceiver_current_direction(const duet_transceiver *transceiver, duet_sdp_direction *out)
{
    *out = transceiver->current_direction;
    return transceiver->has_current && !transceiver->stopped;
}

int duet_transceiver_set_direction(duet_transceiver *transceiver, duet_sdp_direction direction)
{
    duet_pc *pc = transceiver->pc;

    if ((unsigned)direction > DUET_SDP_SENDRECV)
        return DUET_ERR_INVALID;
    if (transceiver->stopping || transceiver->stopped || pc->is_closed)
        return DUET_ERR_STATE;
    duet_events_enter(&pc->events);
    transceiver->direction = direction;
    changed(transceiver);
    duet_events_leave(&pc->events);
    return DUET_OK;
}

void duet_transceiver_stop(duet_transceiver *transceiver)
{
    duet_pc *pc = transceiver->pc;

    if (transceiver->stopping || transceiver->stopped || pc->is_closed)
        return;
    duet_events_enter(&pc->events);
    transceiver->stopping = true;
    transceiver->direction = DUET_SDP_INACTIVE;
    if (transceiver->mline == PC_NOWHERE)
        pc_transceiver_set_stopped(transceiver); /* the peer never heard of it */
    changed(transceiver);
    pc_report(pc);
    duet_events_leave(&pc->events);
}

bool duet_transceiver_stopped(const duet_transceiver *transceiver)
{
    return transceiver->stopped;
}

static bool is_capability(duet_sdp_media_kind kind, const duet_codec *codec)
{
    const duet_codec *table;
    size_t count = pc_codec_table(kind, &table);

    for (size_t i = 0; i < count; i++) {
        if (duet_sdp_codec_equal(&table[i], codec))
            return true;
    }
    return false;
}

int duet_transceiver_set_codec_preferences(duet_transceiver *transceiver, const duet_codec *const *codecs, size_t count)
{
    duet_array list;
    bool has_media = count == 0;

    duet_array_init(&list, &transceiver->pc->env, sizeof(duet_codec));
    for (size_t i = 0; i < count; i++) {
        duet_codec *copy = NULL;
        if (is_capability(transceiver->kind, codecs[i]) && i < PC_CODECS_MAX)
            copy = duet_array_push(&list);
        else {
            duet_array_free(&list);
            return DUET_ERR_INVALID;
        }
        if (!copy) {
            duet_array_free(&list);
            return DUET_ERR_NOMEM;
        }
        *copy = *codecs[i];
        has_media = has_media || !pc_codec_is_helper(copy); /* W3C 5.4: else nothing could be sent */
    }
    if (!has_media) {
        duet_array_free(&list);
        return DUET_ERR_INVALID;
    }
    duet_array_free(&transceiver->preferences);
    transceiver->preferences = list;
    return DUET_OK;
}

duet_sender *duet_transceiver_sender(duet_transceiver *transceiver)
{
    return &transceiver->sender;
}

duet_receiver *duet_transceiver_receiver(duet_transceiver *transceiver)
{
    return &transceiver->receiver;
}

void duet_transceiver_set_user(duet_transceiver *transceiver, void *user)
{
    transceiver->user = user;
}

void *duet_transceiver_user(const duet_transceiver *transceiver)
{
    return transceiver->user;
}

/* ---- senders ---- */

duet_transceiver *duet_sender_transceiver(duet_sender *sender)
{
    return sender->transceiver;
}

void duet_sender_set_callbacks(duet_sender *sender, const duet_sender_callbacks *callbacks)
{
    sender->callbacks = callbacks ? *callbacks : (duet_sender_callbacks){0};
}

const char *duet_sender_track_id(const duet_sender *sender)
{
    return sender->track_id;
}

int duet_sender_replace_track(duet_sender *sender, const char *track_id)
{
    duet_transceiver *t = sender->transceiver;

    if (t->stopping || t->stopped || t->pc->is_closed)
        return DUET_ERR_STATE;
    if (track_id && !is_id(track_id, false))
        return DUET_ERR_INVALID;
    duet_events_enter(&t->pc->events);
    /* "without negotiation": the peer goes on knowing the track by the id that it was told first. */
    bool was_told = t->told_msid[0] && strcmp(t->told_msid, sender->track_id) == 0;
    snprintf(sender->track_id, sizeof(sender->track_id), "%s", track_id ? track_id : "");
    if (was_told && track_id)
        snprintf(t->told_msid, sizeof(t->told_msid), "%s", track_id);
    pc_media_update(t);
    duet_events_leave(&t->pc->events);
    return DUET_OK;
}

static bool has_streams(const duet_sender *s, const char *const *ids, size_t count)
{
    for (size_t i = 0; i < count && count == s->stream_count; i++) {
        if (!ids[i] || strcmp(s->stream_ids[i], ids[i]) != 0)
            return false;
    }
    return count == s->stream_count;
}

int duet_sender_set_streams(duet_sender *sender, const char *const *stream_ids, size_t count)
{
    duet_transceiver *t = sender->transceiver;

    if (t->stopped || t->pc->is_closed)
        return DUET_ERR_STATE;
    if (has_streams(sender, stream_ids, count))
        return DUET_OK;
    int err = set_streams(sender, stream_ids, count);
    if (err != DUET_OK)
        return err;
    duet_events_enter(&t->pc->events);
    t->told_msid[0] = 0;
    changed(t);
    duet_events_leave(&t->pc->events);
    return DUET_OK;
}

void duet_sender_get_parameters(const duet_sender *sender, duet_sender_parameters *out)
{
    *out = sender->parameters;
}

int duet_sender_set_parameters(duet_sender *sender, const duet_sender_parameters *parameters)
{
    duet_transceiver *t = sender->transceiver;

    if (t->stopping || t->stopped || t->pc->is_closed)
        return DUET_ERR_STATE;
    duet_events_enter(&t->pc->events);
    memcpy(&sender->parameters, parameters,
           parameters->size < sizeof(sender->parameters) ? parameters->size : sizeof(sender->parameters));
    sender->parameters.size = sizeof(sender->parameters);
    pc_media_update(t);
    duet_events_leave(&t->pc->events);
    return DUET_OK;
}

int duet_sender_codec(const duet_sender *sender, duet_codec *out)
{
    *out = sender->codec;
    return sender->codec.name[0] ? DUET_OK : DUET_ERR_STATE;
}

/* ---- receivers ---- */

duet_transceiver *duet_receiver_transceiver(duet_receiver *receiver)
{
    return receiver->transceiver;
}

void duet_receiver_set_callbacks(duet_receiver *receiver, const duet_receiver_callbacks *callbacks)
{
    receiver->callbacks = callbacks ? *callbacks : (duet_receiver_callbacks){0};
}

const char *duet_receiver_track_id(const duet_receiver *receiver)
{
    return receiver->track_id;
}

const char *duet_receiver_stream_id(const duet_receiver *receiver, size_t index)
{
    return index < receiver->stream_count ? receiver->stream_ids[index] : NULL;
}

bool duet_receiver_muted(const duet_receiver *receiver)
{
    const duet_transceiver *t = receiver->transceiver;

    return t->stopped || t->stopping || !t->has_current || !(t->current_direction & DUET_SDP_RECVONLY);
}
