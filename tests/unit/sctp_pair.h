/* Two SCTP associations joined by a pipe in virtual time, with delay and loss that the test chooses. */
#ifndef DUET_TESTS_SCTP_PAIR_H
#define DUET_TESTS_SCTP_PAIR_H

#include "duet/sctp.h"
#include "test.h"
#include <sys/time.h>

/* usrsctp asks the system for the time when it decides which chunks are old enough to be sent again: it gets the test's
 * time. The dynamic linker prefers this function to libc's. */
static duet_time pair_clock;

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict tv, void *restrict zone);
__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    duet_time now = DUET_SECONDS(1700000000) + pair_clock;

    (void)zone;
    tv->tv_sec = (time_t)(now / 1000000);
    tv->tv_usec = (suseconds_t)(now % 1000000);
    return 0;
}

#define PIPE_MTU 1152

typedef struct sctp_packet {
    struct sctp_packet *next;
    int to;
    duet_time at;
    size_t len;
    uint8_t data[];
} sctp_packet;

struct sctp_pair;

typedef struct sctp_peer {
    struct sctp_pair *pair;
    duet_sctp *sctp;
    unsigned states, channels, wakes;
    duet_dc *last_channel;
    size_t longest, packets;
} sctp_peer;

typedef struct sctp_pair {
    sctp_peer peer[2]; /* 0 is the DTLS client */
    duet_time now, delay;
    sctp_packet *first, *last;
    uint64_t seed;
    double loss;
    size_t queued, drop_beyond; /* most packets in the pipe; 0: no limit */
    bool (*filter)(struct sctp_pair *p, int from, const uint8_t *data, size_t len); /* false: lost */
    void (*on_channel)(struct sctp_pair *p, int side, duet_dc *dc);
    void *user;
} sctp_pair;

/* What the handler of a channel saw. */
typedef struct channel_log {
    unsigned opened, messages, closing, closed, lows;
    size_t bytes, last_len;
    bool last_text;
    uint8_t *last;
    bool echo;
    duet_dc *dc;
} channel_log;

static inline void log_open(void *user, duet_dc *dc)
{
    channel_log *l = user;
    l->opened++;
    l->dc = dc;
}

static inline void log_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    channel_log *l = user;
    assert_int_equal(l->closed, 0);
    l->messages++;
    l->bytes += len;
    l->last_len = len;
    l->last_text = is_text;
    free(l->last);
    l->last = malloc(len + 1);
    assert_non_null(l->last);
    memcpy(l->last, data, len);
    if (l->echo)
        assert_int_equal(duet_dc_send(dc, data, len, is_text), DUET_OK);
}

static inline void log_low(void *user, duet_dc *dc)
{
    (void)dc;
    ((channel_log *)user)->lows++;
}

static inline void log_closing(void *user, duet_dc *dc)
{
    channel_log *l = user;
    (void)dc;
    assert_int_equal(l->closed, 0);
    l->closing++;
}

static inline void log_close(void *user, duet_dc *dc)
{
    channel_log *l = user;
    (void)dc;
    assert_int_equal(l->closed, 0);
    l->closed++;
}

static inline duet_dc_callbacks log_callbacks(channel_log *l)
{
    return (duet_dc_callbacks){sizeof(duet_dc_callbacks), log_open, log_message, log_low, log_closing, log_close, l};
}

static inline void pair_on_state(void *user, duet_sctp_state state)
{
    (void)state;
    ((sctp_peer *)user)->states++;
}

static inline void pair_on_channel(void *user, duet_dc *dc)
{
    sctp_peer *p = user;
    p->channels++;
    p->last_channel = dc;
    if (p->pair->on_channel)
        p->pair->on_channel(p->pair, p == &p->pair->peer[1], dc);
}

static inline void pair_on_wake(void *user)
{
    ((sctp_peer *)user)->wakes++;
}

static inline void pair_push(sctp_pair *p, int from, const uint8_t *data, size_t len)
{
    bool lost = (double)test_random_below(&p->seed, 1000000) < p->loss * 1000000;

    if (lost || (p->filter && !p->filter(p, from, data, len)) || (p->drop_beyond && p->queued >= p->drop_beyond))
        return;
    sctp_packet *packet = malloc(sizeof(*packet) + len);
    assert_non_null(packet);
    *packet = (sctp_packet){.to = !from, .at = p->now + p->delay, .len = len};
    memcpy(packet->data, data, len);
    if (p->last)
        p->last->next = packet;
    else
        p->first = packet;
    p->last = packet;
    p->queued++;
}

static inline int pair_sink(void *user, const uint8_t *data, size_t len, duet_time now)
{
    sctp_peer *peer = user;
    (void)now;
    peer->packets++;
    if (len > peer->longest)
        peer->longest = len;
    pair_push(peer->pair, peer == &peer->pair->peer[1], data, len);
    return DUET_OK;
}

static inline void pair_config(sctp_pair *p, int side, duet_sctp_config *c, const duet_env *env)
{
    duet_sctp_config_init(c);
    c->env = env;
    c->packet_sink = pair_sink;
    c->on_state = pair_on_state;
    c->on_channel = pair_on_channel;
    c->on_wake = pair_on_wake;
    c->user = &p->peer[side];
}

static inline sctp_pair *pair_new(void)
{
    sctp_pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->now = DUET_SECONDS(10);
    pair_clock = p->now;
    p->delay = DUET_MS(5);
    p->seed = 7;
    p->peer[0].pair = p->peer[1].pair = p;
    return p;
}

static inline int pair_connect(sctp_pair *p)
{
    for (int i = 0; i < 2; i++) {
        int err = duet_sctp_connect(p->peer[i].sctp, i == 0, 5000, 0, p->now);
        if (err)
            return err;
    }
    return DUET_OK;
}

/* Moves to the next event. False when there is none before `until`. */
static inline bool pair_step(sctp_pair *p, duet_time until)
{
    duet_time next = p->first ? p->first->at : DUET_NEVER;
    int side = -1;

    for (int i = 0; i < 2; i++) {
        sctp_peer *peer = &p->peer[i];
        if (!peer->sctp)
            continue;
        duet_time t = peer->wakes ? p->now : duet_sctp_deadline(peer->sctp);
        if (t < next) {
            next = t;
            side = i;
        }
    }
    if (next == DUET_NEVER || next > until)
        return false;
    if (next > p->now)
        pair_clock = p->now = next;
    if (side >= 0) {
        p->peer[side].wakes = 0;
        duet_sctp_tick(p->peer[side].sctp, p->now);
        return true;
    }
    sctp_packet *packet = p->first;
    p->first = packet->next;
    if (!p->first)
        p->last = NULL;
    p->queued--;
    if (p->peer[packet->to].sctp)
        duet_sctp_input(p->peer[packet->to].sctp, packet->data, packet->len, p->now);
    free(packet);
    return true;
}

static inline void pair_run(sctp_pair *p, duet_time span)
{
    duet_time until = p->now + span;
    while (pair_step(p, until)) {
    }
    pair_clock = p->now = until;
}

static inline bool pair_connected(const sctp_pair *p)
{
    return duet_sctp_get_state(p->peer[0].sctp) == DUET_SCTP_CONNECTED &&
           duet_sctp_get_state(p->peer[1].sctp) == DUET_SCTP_CONNECTED;
}

static inline bool pair_run_until_connected(sctp_pair *p, duet_time span)
{
    duet_time until = p->now + span;
    while (!pair_connected(p) && pair_step(p, until)) {
    }
    return pair_connected(p);
}

static inline void pair_free(sctp_pair *p)
{
    for (int i = 0; i < 2; i++)
        duet_sctp_destroy(p->peer[i].sctp);
    while (p->first) {
        sctp_packet *next = p->first->next;
        free(p->first);
        p->first = next;
    }
    free(p);
}

/* The usual beginning: both made and connected. */
static inline sctp_pair *pair_ready(const duet_env *env)
{
    sctp_pair *p = pair_new();
    for (int i = 0; i < 2; i++) {
        duet_sctp_config c;
        pair_config(p, i, &c, env);
        assert_int_equal(duet_sctp_create(&p->peer[i].sctp, &c), DUET_OK);
    }
    assert_int_equal(pair_connect(p), DUET_OK);
    assert_true(pair_run_until_connected(p, DUET_SECONDS(10)));
    return p;
}

#endif
