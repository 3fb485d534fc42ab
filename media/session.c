/* The life of an RTP session, its timers, and what goes in and out. */
#include "base/crypto.h"
#include "base/memory.h"
#include "base/seeded.h"
#include "media/internal.h"
#include <string.h>

#define CNAME_CHARS       16 /* 96 bits: RFC 7022 section 4.2 */
#define RTCP_BANDWIDTH    25600
#define RTCP_LEN_EXPECTED 128

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void duet_rtp_session_config_init(duet_rtp_session_config *config)
{
    *config = (duet_rtp_session_config){.size = sizeof(*config)};
}

static int init_random(duet_rtp_session *session, const char *cname)
{
    int err = duet_random(&session->env, &session->own_ssrc, sizeof(session->own_ssrc));

    if (err == DUET_OK)
        err = duet_random(&session->env, &session->random, sizeof(session->random));
    if (err == DUET_OK && !cname)
        err = duet_random_ice_chars(&session->env, session->cname, CNAME_CHARS);
    if (err == DUET_OK)
        err = duet_map_init(&session->receivers, &session->env);
    if (err == DUET_OK)
        err = duet_map_init(&session->repairs, &session->env);
    return err == DUET_OK ? duet_map_init(&session->senders, &session->env) : err;
}

int duet_rtp_session_create(duet_rtp_session **out, const duet_rtp_session_config *config)
{
    duet_env env = duet_env_resolve(config->env);

    if (config->cname && strlen(config->cname) > RTP_CNAME_MAX)
        return DUET_ERR_INVALID;
    duet_rtp_session *session = duet_calloc(&env, sizeof(*session));
    if (!session)
        return DUET_ERR_NOMEM;
    session->env = env;
    session->config = *config;
    if (config->cname)
        memcpy(session->cname, config->cname, strlen(config->cname));
    if (!session->config.receive_streams_max)
        session->config.receive_streams_max = DUET_RECEIVE_STREAMS_MAX;
    if (!session->config.rtcp_bandwidth)
        session->config.rtcp_bandwidth = RTCP_BANDWIDTH;
    session->average_rtcp_len = RTCP_LEN_EXPECTED;
    session->slots.env = &session->env;
    duet_rtp_timer_init(&session->report_timer, duet_rtcp_report_timer, session);
    duet_rtp_timer_init(&session->feedback_out.timer, duet_feedback_out_timer, session);
    duet_rtp_timer_init(&session->ccfb_out.timer, duet_ccfb_out_timer, session);
    int err = init_random(session, config->cname);
    if (err != DUET_OK) {
        duet_rtp_session_destroy(session);
        return err;
    }
    *out = session;
    return DUET_OK;
}

void duet_rtp_session_destroy(duet_rtp_session *session)
{
    if (!session)
        return;
    session->depth++; /* nobody is woken any more */
    while (session->newest)
        duet_receive_stream_destroy(session->newest);
    while (session->send_streams)
        duet_send_stream_destroy(session->send_streams);
    for (size_t i = 0; i < session->section_count; i++)
        duet_rtp_section_free(session, session->sections[i]);
    duet_rtp_slots_reclaim(&session->slots);
    duet_rtp_slots_trim(&session->slots);
    duet_map_free(&session->receivers);
    duet_map_free(&session->repairs);
    duet_map_free(&session->senders);
    duet_ccfb_out_free(session);
    duet_free(&session->env, session->feedback_out.times);
    duet_free(&session->env, session->feedback_in.sent);
    duet_free(&session->env, session->feedback_in.results);
    duet_env env = session->env;
    duet_free(&env, session);
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

void duet_rtp_timer_init(rtp_timer *timer, void (*fire)(void *owner, duet_time now), void *owner)
{
    *timer = (rtp_timer){.fire = fire, .owner = owner};
}

void duet_rtp_timer_set(duet_rtp_session *session, rtp_timer *timer, duet_time deadline)
{
    duet_timers_set(&session->timers, &timer->timer, deadline);
}

void duet_rtp_session_service(duet_rtp_session *session, duet_time now)
{
    duet_timer *due;

    while ((due = duet_timers_pop(&session->timers, now)) != NULL) {
        rtp_timer *timer = (rtp_timer *)due;
        timer->fire(timer->owner, now);
    }
}

duet_time duet_rtp_session_deadline(const duet_rtp_session *session)
{
    return duet_timers_deadline(&session->timers);
}

uint64_t duet_rtp_session_ntp(const duet_rtp_session *session, duet_time now)
{
    return session->config.ntp_offset + (now / 1000000 << 32) + ((now % 1000000) << 32) / 1000000;
}

duet_time duet_rtp_session_rtt(const duet_rtp_session *session)
{
    return session->rtt;
}

void duet_rtp_session_hint_rtt(duet_rtp_session *session, duet_time rtt)
{
    if (session->rtt == 0)
        session->rtt = rtt;
}

void duet_rtp_session_measured(duet_rtp_session *session, duet_time rtt)
{
    session->rtt = session->rtt ? (7 * session->rtt + rtt) / 8 : rtt;
}

/* ---- in and out ---------------------------------------------------------------------------------------------------- */

void duet_rtp_session_wake(duet_rtp_session *session)
{
    if (session->depth > 0 || session->is_awake)
        return;
    session->is_awake = true;
    if (session->config.on_wake)
        session->config.on_wake(session->config.user);
}

int duet_rtp_session_input(duet_rtp_session *session, const uint8_t *data, size_t len, duet_time now)
{
    duet_rtp_slots_reclaim(&session->slots);
    session->depth++;
    int err = duet_rtp_is_rtcp(data, len) ? duet_rtp_session_rtcp(session, data, len, now)
                                          : duet_rtp_session_rtp(session, data, len, now);
    session->depth--;
    return err;
}

void duet_rtp_session_tick(duet_rtp_session *session, duet_time now)
{
    duet_rtp_slots_reclaim(&session->slots);
    session->is_awake = false;
    session->depth++;
    duet_rtp_session_service(session, now);
    session->depth--;
}

static int output_rtcp(duet_rtp_session *session, duet_rtp_outgoing *out, duet_time now)
{
    rtp_slot *slot = duet_rtcp_is_due(session) ? duet_rtp_slots_take(&session->slots) : NULL;

    if (!slot)
        return 0;
    slot->len = duet_rtcp_compose(session, duet_rtp_slot_data(slot), DUET_RTP_PACKET_MAX, now);
    if (slot->len == 0) {
        duet_rtp_slots_release(&session->slots, slot);
        return 0;
    }
    duet_rtcp_count_size(session, slot->len);
    session->stats.rtcp_out++;
    *out = (duet_rtp_outgoing){.data = duet_rtp_slot_data(slot),
                               .len = slot->len,
                               .capacity = RTP_SLOT_MAX + DUET_TAILROOM,
                               .is_rtcp = true,
                               .transport_sequence_number = -1};
    duet_rtp_slots_lend(&session->slots, slot);
    return 1;
}

static void put24(uint8_t out[3], uint32_t v)
{
    out[0] = (uint8_t)(v >> 16);
    out[1] = (uint8_t)(v >> 8);
    out[2] = (uint8_t)v;
}

/* Of a packet that we have written. */
static uint32_t ssrc_of(const uint8_t *data)
{
    return (uint32_t)data[8] << 24 | (uint32_t)data[9] << 16 | (uint32_t)data[10] << 8 | data[11];
}

static uint16_t sequence_of(const uint8_t *data)
{
    return (uint16_t)(data[2] << 8 | data[3]);
}

/* The values that are known only when a packet leaves. @return its transport-wide sequence number, −1 when it has none */
static int32_t stamp(duet_rtp_session *session, const rtp_section *section, rtp_slot *slot, duet_time now)
{
    uint8_t *data = duet_rtp_slot_data(slot), value[3];
    uint8_t time_id = section->extensions.ids[DUET_RTP_EXT_ABS_SEND_TIME];
    uint8_t number_id = section->extensions.ids[DUET_RTP_EXT_TRANSPORT_CC];

    if (time_id) {
        /* 6.18 fixed point seconds, out of 32.32 */
        put24(value, (uint32_t)(duet_rtp_session_ntp(session, now) >> 14) & 0xffffff);
        (void)duet_rtp_set_extension(data, slot->len, time_id, value, 3);
    }
    if (!section->wants_transport_cc && !section->wants_ccfb)
        return -1;
    uint16_t number = session->transport_sequence_number;
    value[0] = (uint8_t)(number >> 8);
    value[1] = (uint8_t)number;
    if (section->wants_transport_cc && duet_rtp_set_extension(data, slot->len, number_id, value, 2) != DUET_OK)
        return -1;
    session->transport_sequence_number++;
    duet_feedback_in_numbered(session, number, ssrc_of(data), sequence_of(data));
    return number;
}

/* What leaves for the first time: the slot itself, or a copy of it when it is kept for retransmission, since what is lent
 * is encrypted in place. */
static rtp_slot *next_media(duet_rtp_session *session, int32_t *number, duet_time now)
{
    rtp_slot *slot = session->media_first, *lent = slot;

    if (!slot)
        return NULL;
    if (slot->is_kept) {
        lent = duet_rtp_slots_take(&session->slots);
        if (!lent)
            return NULL; /* it stays where it is until there is memory */
    }
    /* The kept one too: sent again with the same number it has to be the same, or a key stream would be used twice. */
    *number = stamp(session, slot->stream->section, slot, now);
    if (lent != slot) {
        memcpy(duet_rtp_slot_data(lent), duet_rtp_slot_data(slot), slot->len);
        lent->len = slot->len;
        lent->stream = slot->stream;
    }
    session->media_first = slot->next;
    if (!session->media_first)
        session->media_last = NULL;
    slot->stream->queued--;
    slot->was_sent = true;
    slot->queued_at = now;
    duet_send_stream_departs(slot->stream, slot);
    if (lent != slot)
        duet_rtp_slots_release(&session->slots, slot);
    return lent;
}

int duet_rtp_session_output(duet_rtp_session *session, duet_rtp_outgoing *out, duet_time now)
{
    session->is_awake = false;
    duet_rtcp_reports_join(session, now);
    session->depth++;
    duet_rtp_session_service(session, now);
    session->depth--;
    if (output_rtcp(session, out, now))
        return 1;
    int32_t number = -1;
    rtp_slot *slot = session->resend_first ? duet_send_history_next(session) : NULL;
    if (slot && ssrc_of(duet_rtp_slot_data(slot)) != slot->stream->ssrc)
        number = stamp(session, slot->stream->section, slot, now); /* a retransmission payload is a packet of its own */
    if (!slot)
        slot = next_media(session, &number, now);
    if (!slot)
        return 0;
    duet_rtcp_reports_flow(session, now);
    const rtp_section *section = slot->stream->section;
    *out = (duet_rtp_outgoing){.data = duet_rtp_slot_data(slot),
                               .len = slot->len,
                               .capacity = RTP_SLOT_MAX + DUET_TAILROOM,
                               .is_video = section->is_video,
                               .transport_sequence_number = number};
    duet_rtp_slots_lend(&session->slots, slot);
    return 1;
}

/* ---- what users ask ------------------------------------------------------------------------------------------------ */

void duet_rtp_session_get_stats(const duet_rtp_session *session, duet_rtp_session_stats *out)
{
    *out = session->stats;
}

void duet_rtp_session_set_remb(duet_rtp_session *session, uint64_t bits_per_second)
{
    session->remb = bits_per_second;
    /* What is less is said at once, what is more with the next report. */
    if (bits_per_second == 0 || bits_per_second >= session->remb_sent - session->remb_sent / 32)
        return;
    session->remb_due = true;
    duet_rtp_session_wake(session);
}
