/* Two RTP sessions back to back in virtual time: a link with delay, loss, reordering and duplication, all seeded, and a
 * record of what happened on each side. */
#ifndef DUET_TESTS_MEDIA_PAIR_H
#define DUET_TESTS_MEDIA_PAIR_H

#include "duet/media.h"
#include "test.h"

#define PAIR_FLIGHT_MAX 4096
#define PAIR_RTCP_MAX   4096

typedef struct pair_flight {
    duet_time at;
    uint64_t order;
    size_t len;
    uint8_t data[DUET_RTP_FORWARD_MAX + 96];
} pair_flight;

typedef struct media_pair media_pair;

typedef struct pair_side {
    media_pair *pair;
    int index;
    duet_rtp_session *session;
    duet_receive_stream *stream; /* the newest one */
    int streams, ended, keyframe_requests, rembs, wakes;
    uint64_t remb;
    size_t packets, retransmitted;
    uint32_t last_counter;
    uint8_t *got; /* payload counters that arrived, one byte each */
    size_t got_max, got_twice;
    duet_rtp_arrival last;
    char last_mid[33];
    char last_rid[33];
    /* RTCP that this side received */
    duet_time rtcp_at[PAIR_RTCP_MAX];
    uint8_t rtcp_type[PAIR_RTCP_MAX], rtcp_count[PAIR_RTCP_MAX];
    size_t rtcp;
    duet_time keyframe_at[64];
    void (*on_output)(struct pair_side *side, duet_rtp_outgoing *out);
} pair_side;

struct media_pair {
    duet_env env;
    uint64_t seed, random_seed, order;
    duet_time now;
    duet_time delay, jitter; /* one way */
    double loss, duplicates;
    bool rtcp_is_safe; /* loss is for media only */
    pair_side side[2];
    pair_flight *flight[2];
    size_t in_flight[2];
};

static const duet_codec pair_opus = {
    .name = "opus", .payload_type = 111, .clock_rate = 48000, .channels = 2, .feedback = DUET_FEEDBACK_TRANSPORT_CC};
static const duet_codec pair_vp8 = {.name = "VP8",
                                    .payload_type = 96,
                                    .clock_rate = 90000,
                                    .channels = 1,
                                    .feedback = DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI | DUET_FEEDBACK_CCM_FIR |
                                                DUET_FEEDBACK_GOOG_REMB | DUET_FEEDBACK_TRANSPORT_CC};
static const duet_codec pair_rtx = {
    .name = "rtx", .payload_type = 97, .clock_rate = 90000, .channels = 1, .fmtp = "apt=96"};

static const duet_rtp_extension_map pair_extensions = {.ids = {[DUET_RTP_EXT_MID] = 4,
                                                               [DUET_RTP_EXT_RID] = 10,
                                                               [DUET_RTP_EXT_REPAIRED_RID] = 11,
                                                               [DUET_RTP_EXT_ABS_SEND_TIME] = 2,
                                                               [DUET_RTP_EXT_TRANSPORT_CC] = 3,
                                                               [DUET_RTP_EXT_AUDIO_LEVEL] = 1}};

static inline void pair_on_stream(void *user, duet_receive_stream *stream)
{
    pair_side *s = user;

    s->stream = stream;
    s->streams++;
    duet_receive_stream_set_user(stream, s);
}

static inline void pair_on_stream_end(void *user, duet_receive_stream *stream)
{
    pair_side *s = user;

    if (s->stream == stream)
        s->stream = NULL;
    s->ended++;
}

static inline void pair_on_packet(void *user, duet_receive_stream *stream, const duet_rtp_arrival *arrival)
{
    pair_side *s = user;
    const duet_rtp_packet *p = arrival->packet;

    s->packets++;
    s->retransmitted += arrival->is_retransmission;
    s->last = *arrival;
    snprintf(s->last_mid, sizeof(s->last_mid), "%s", duet_receive_stream_mid(stream));
    snprintf(s->last_rid, sizeof(s->last_rid), "%s", duet_receive_stream_rid(stream));
    if (p->payload_len < 4)
        return;
    uint32_t counter =
        (uint32_t)p->payload[0] << 24 | (uint32_t)p->payload[1] << 16 | (uint32_t)p->payload[2] << 8 | p->payload[3];
    s->last_counter = counter;
    if (counter < s->got_max && s->got[counter]++)
        s->got_twice++;
}

static inline void pair_on_keyframe_request(void *user, duet_send_stream *stream)
{
    pair_side *s = user;

    (void)stream;
    if (s->keyframe_requests < 64)
        s->keyframe_at[s->keyframe_requests] = s->pair->now;
    s->keyframe_requests++;
}

static inline void pair_on_remb(void *user, uint64_t bits_per_second)
{
    pair_side *s = user;

    s->rembs++;
    s->remb = bits_per_second;
}

static inline void pair_on_rtcp(void *user, const duet_rtcp_packet *packet, duet_time now)
{
    pair_side *s = user;

    if (s->rtcp == PAIR_RTCP_MAX)
        return;
    s->rtcp_at[s->rtcp] = now;
    s->rtcp_count[s->rtcp] = packet->count;
    s->rtcp_type[s->rtcp++] = packet->type;
}

static inline void pair_on_wake(void *user)
{
    ((pair_side *)user)->wakes++;
}

static inline duet_rtp_session_config pair_config(pair_side *side)
{
    duet_rtp_session_config c;

    duet_rtp_session_config_init(&c);
    c.env = &side->pair->env;
    c.ntp_offset = 0xe000000000000000u + ((uint64_t)side->index << 40);
    c.on_stream = pair_on_stream;
    c.on_stream_end = pair_on_stream_end;
    c.on_packet = pair_on_packet;
    c.on_keyframe_request = pair_on_keyframe_request;
    c.on_remb = pair_on_remb;
    c.on_rtcp = pair_on_rtcp;
    c.on_wake = pair_on_wake;
    c.user = side;
    return c;
}

static inline int pair_init(media_pair *p, const duet_env *env, uint64_t seed)
{
    memset(p, 0, sizeof(*p));
    p->env = env ? *env : (duet_env)DUET_ENV_INIT;
    p->seed = seed;
    p->random_seed = seed * 1000 + 1;
    p->env.random = test_random_fill;
    p->env.user = &p->random_seed;
    p->now = DUET_SECONDS(100);
    p->delay = DUET_MS(20);
    int err = DUET_OK;
    for (int i = 0; i < 2; i++) {
        p->side[i].pair = p;
        p->side[i].index = i;
        p->flight[i] = calloc(PAIR_FLIGHT_MAX, sizeof(pair_flight));
        p->side[i].got_max = 200000;
        p->side[i].got = calloc(1, p->side[i].got_max);
        duet_rtp_session_config c = pair_config(&p->side[i]);
        if (err == DUET_OK)
            err = duet_rtp_session_create(&p->side[i].session, &c);
    }
    return err;
}

static inline media_pair *pair_new(uint64_t seed)
{
    media_pair *p = malloc(sizeof(*p));

    assert_non_null(p);
    assert_int_equal(pair_init(p, NULL, seed), DUET_OK);
    return p;
}

static inline void pair_clear(media_pair *p)
{
    for (int i = 0; i < 2; i++) {
        duet_rtp_session_destroy(p->side[i].session);
        free(p->flight[i]);
        free(p->side[i].got);
    }
}

static inline void pair_free(media_pair *p)
{
    pair_clear(p);
    free(p);
}

static inline duet_rtp_section pair_section(const char *mid, bool is_video, const duet_codec *const *codecs,
                                            size_t count)
{
    return (duet_rtp_section){.size = sizeof(duet_rtp_section),
                              .mid = mid,
                              .is_video = is_video,
                              .codecs = codecs,
                              .codec_count = count,
                              .extensions = pair_extensions,
                              .receives = true,
                              .reduced_size = true};
}

/* A section of VP8 with rtx on both sides. */
static inline int pair_add_video(media_pair *p, const char *mid)
{
    const duet_codec *codecs[] = {&pair_vp8, &pair_rtx};
    duet_rtp_section section = pair_section(mid, true, codecs, 2);
    int err = duet_rtp_session_set_section(p->side[0].session, &section);

    return err == DUET_OK ? duet_rtp_session_set_section(p->side[1].session, &section) : err;
}

static inline int pair_add_audio(media_pair *p, const char *mid)
{
    const duet_codec *codecs[] = {&pair_opus};
    duet_rtp_section section = pair_section(mid, false, codecs, 1);
    int err = duet_rtp_session_set_section(p->side[0].session, &section);

    return err == DUET_OK ? duet_rtp_session_set_section(p->side[1].session, &section) : err;
}

static inline int pair_stream(media_pair *p, int side, const char *mid, duet_send_stream **out)
{
    duet_send_stream_config c;

    duet_send_stream_config_init(&c);
    c.mid = mid;
    return duet_send_stream_create(out, p->side[side].session, &c);
}

/* A payload that carries its counter. */
static inline int pair_send(media_pair *p, duet_send_stream *stream, uint8_t payload_type, uint32_t counter,
                            uint32_t timestamp, size_t len)
{
    uint8_t payload[1300] = {(uint8_t)(counter >> 24), (uint8_t)(counter >> 16), (uint8_t)(counter >> 8),
                             (uint8_t)counter};

    return duet_send_stream_send(stream, payload_type, true, timestamp, payload, len, NULL, p->now);
}

static inline bool pair_chance(media_pair *p, double probability)
{
    return duet_seeded_chance(&p->seed, probability);
}

static inline void pair_launch(media_pair *p, int from, const duet_rtp_outgoing *out)
{
    bool lossy = !(out->is_rtcp && p->rtcp_is_safe);
    int copies = lossy && pair_chance(p, p->loss) ? 0 : pair_chance(p, p->duplicates) ? 2 : 1;

    for (int i = 0; i < copies; i++) {
        assert_true(p->in_flight[from] < PAIR_FLIGHT_MAX);
        pair_flight *f = &p->flight[from][p->in_flight[from]++];
        f->at = p->now + p->delay + (p->jitter ? test_random_below(&p->seed, p->jitter) : 0);
        f->order = p->order++;
        f->len = out->len;
        memcpy(f->data, out->data, out->len);
    }
}

static inline void pair_pull(media_pair *p, int side)
{
    pair_side *s = &p->side[side];
    duet_rtp_outgoing out;

    while (duet_rtp_session_output(s->session, &out, p->now) == 1) {
        assert_true(out.len <= DUET_RTP_FORWARD_MAX + 96 && out.capacity >= out.len + DUET_TAILROOM);
        duet_rtp_session_departed(s->session, out.transport_sequence_number, out.len, p->now);
        if (s->on_output)
            s->on_output(s, &out);
        pair_launch(p, side, &out);
        memset(out.data - DUET_HEADROOM, 0xee, DUET_HEADROOM); /* what belongs to us may be written to */
        memset(out.data, 0xee, out.capacity);
    }
}

/* The earliest of those that are due, so that only the link reorders. */
static inline pair_flight *pair_next(media_pair *p, int from)
{
    pair_flight *best = NULL;

    for (size_t i = 0; i < p->in_flight[from]; i++) {
        pair_flight *f = &p->flight[from][i];
        if (f->at <= p->now && (!best || f->at < best->at || (f->at == best->at && f->order < best->order)))
            best = f;
    }
    return best;
}

static inline void pair_deliver(media_pair *p, int from)
{
    pair_flight *f;

    while ((f = pair_next(p, from)) != NULL) {
        uint8_t *exact = malloc(f->len);
        memcpy(exact, f->data, f->len);
        (void)duet_rtp_session_input(p->side[1 - from].session, exact, f->len, p->now);
        free(exact);
        *f = p->flight[from][--p->in_flight[from]];
        pair_pull(p, 1 - from);
    }
}

/* One millisecond. */
static inline void pair_step(media_pair *p)
{
    for (int i = 0; i < 2; i++)
        pair_pull(p, i);
    p->now += DUET_MS(1);
    for (int i = 0; i < 2; i++)
        pair_deliver(p, i);
    for (int i = 0; i < 2; i++) {
        if (duet_rtp_session_deadline(p->side[i].session) <= p->now)
            duet_rtp_session_tick(p->side[i].session, p->now);
        assert_true(duet_rtp_session_deadline(p->side[i].session) > p->now);
        pair_pull(p, i);
    }
}

static inline void pair_run(media_pair *p, duet_time duration)
{
    for (duet_time end = p->now + duration; p->now < end;)
        pair_step(p);
}

/* 30 frames of five packets each second. */
static inline void pair_send_video(media_pair *p, duet_send_stream *stream, uint32_t *counter, duet_time duration)
{
    duet_time end = p->now + duration, next = p->now;
    uint32_t base = duet_send_stream_timestamp_base(stream);

    while (p->now < end) {
        if (p->now >= next) {
            for (int i = 0; i < 5; i++, (*counter)++)
                assert_int_equal(pair_send(p, stream, 96, *counter, base + *counter / 5 * 3000, 1000), DUET_OK);
            next += 33333;
        }
        pair_step(p);
    }
}

static inline size_t pair_missing(const pair_side *side, uint32_t count)
{
    size_t n = 0;

    for (uint32_t i = 0; i < count; i++)
        n += side->got[i] == 0;
    return n;
}

static inline size_t pair_count_rtcp(const pair_side *side, uint8_t type, uint8_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < side->rtcp; i++)
        n += side->rtcp_type[i] == type && side->rtcp_count[i] == count;
    return n;
}

#endif
