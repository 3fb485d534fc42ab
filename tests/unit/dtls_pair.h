/* A DTLS client and a server joined by a network in virtual time, whose faults the test chooses. */
#ifndef DUET_TESTS_DTLS_PAIR_H
#define DUET_TESTS_DTLS_PAIR_H

#include "duet/dtls.h"
#include "test.h"

#define PAIR_QUEUE    512
#define PAIR_DATAGRAM 2048

enum { CLIENT = 0, SERVER = 1 };

struct dtls_pair;

typedef struct dtls_peer {
    struct dtls_pair *pair;
    duet_dtls *dtls;
    duet_certificate *certificate;
    unsigned states, sent, wakes;
    duet_dtls_state last_state;
    uint8_t received[65536];
    size_t received_len;
    duet_time sent_at[PAIR_QUEUE];
    size_t longest;
} dtls_peer;

typedef struct dtls_packet {
    int to;
    duet_time at;
    size_t len;
    uint8_t data[PAIR_DATAGRAM];
} dtls_packet;

typedef struct dtls_pair {
    dtls_peer peer[2];
    duet_time now, delay;
    dtls_packet queue[PAIR_QUEUE];
    size_t count;
    uint64_t seed;
    double loss, duplicates, reorder;
    uint32_t lose_client, lose_server; /* bit n: the n-th datagram of that side is lost */
    char keylog[4096];
} dtls_pair;

static inline void pair_on_state(void *user, duet_dtls_state state)
{
    dtls_peer *p = user;
    p->states++;
    p->last_state = state;
}

static inline void pair_on_data(void *user, uint8_t *data, size_t len, duet_time now)
{
    dtls_peer *p = user;
    (void)now;
    assert_true(p->received_len + len <= sizeof(p->received));
    memcpy(p->received + p->received_len, data, len);
    p->received_len += len;
}

static inline void pair_on_wake(void *user)
{
    ((dtls_peer *)user)->wakes++;
}

static inline void pair_init(dtls_pair *n)
{
    memset(n, 0, sizeof(*n));
    n->delay = DUET_MS(5);
    n->now = DUET_SECONDS(1);
    n->seed = 1;
}

/* Makes one side; NULL certificate makes an ECDSA one. */
static inline int pair_create(dtls_pair *n, int side, const duet_env *env, duet_certificate *certificate,
                              const duet_srtp_profile *profiles, size_t profile_count)
{
    dtls_peer *p = &n->peer[side];
    p->pair = n;
    p->certificate = certificate;
    if (!certificate) {
        int err = duet_certificate_generate(&p->certificate, env, DUET_KEY_ECDSA_P256, 0);
        if (err)
            return err;
    }
    duet_dtls_config config;
    duet_dtls_config_init(&config);
    config.env = env;
    config.certificate = p->certificate;
    config.srtp_profiles = profiles;
    config.srtp_profile_count = profile_count;
    config.on_state = pair_on_state;
    config.on_data = pair_on_data;
    config.on_wake = pair_on_wake;
    config.user = p;
    return duet_dtls_create(&p->dtls, &config);
}

static inline int pair_trust(dtls_pair *n, int side, duet_hash hash)
{
    duet_fingerprint f;
    int err = duet_certificate_fingerprint(n->peer[!side].certificate, hash, &f);
    return err ? err : duet_dtls_set_remote_fingerprints(n->peer[side].dtls, &f, 1, n->now);
}

static inline int pair_start(dtls_pair *n, duet_time rtt)
{
    int err = duet_dtls_start(n->peer[SERVER].dtls, DUET_DTLS_SERVER, rtt, n->now);
    return err ? err : duet_dtls_start(n->peer[CLIENT].dtls, DUET_DTLS_CLIENT, rtt, n->now);
}

static inline void pair_push(dtls_pair *n, int to, const uint8_t *data, size_t len, duet_time at)
{
    assert_true(n->count < PAIR_QUEUE && len <= PAIR_DATAGRAM);
    dtls_packet *p = &n->queue[n->count++];
    p->to = to;
    p->at = at;
    p->len = len;
    memcpy(p->data, data, len);
}

static inline bool pair_chance(dtls_pair *n, double probability)
{
    return (double)test_random_below(&n->seed, 1000000) < probability * 1000000;
}

static inline void pair_collect(dtls_pair *n, int side)
{
    dtls_peer *p = &n->peer[side];
    duet_datagram d;

    while (p->dtls && duet_dtls_output(p->dtls, &d, n->now)) {
        unsigned number = p->sent++;
        if (number < PAIR_QUEUE)
            p->sent_at[number] = n->now;
        if (d.len > p->longest)
            p->longest = d.len;
        uint32_t lost = side == CLIENT ? n->lose_client : n->lose_server;
        if (number < 32 && (lost >> number & 1))
            continue;
        if (pair_chance(n, n->loss))
            continue;
        duet_time at = n->now + n->delay;
        if (pair_chance(n, n->reorder))
            at += DUET_MS(1) + test_random_below(&n->seed, DUET_MS(30));
        pair_push(n, !side, d.data, d.len, at);
        if (pair_chance(n, n->duplicates))
            pair_push(n, !side, d.data, d.len, at + DUET_MS(3));
    }
}

/* Moves to the next event: an arrival or a deadline. False when there is none before `until`. */
static inline bool pair_step(dtls_pair *n, duet_time until)
{
    pair_collect(n, CLIENT);
    pair_collect(n, SERVER);
    duet_time next = DUET_NEVER;
    size_t first = PAIR_QUEUE;
    for (size_t i = 0; i < n->count; i++)
        if (n->queue[i].at < next) {
            next = n->queue[i].at;
            first = i;
        }
    for (int i = 0; i < 2; i++) {
        duet_time t = n->peer[i].dtls ? duet_dtls_deadline(n->peer[i].dtls) : DUET_NEVER;
        if (t < next) {
            next = t;
            first = PAIR_QUEUE + (size_t)i;
        }
    }
    if (next > until || next == DUET_NEVER)
        return false;
    if (next > n->now)
        n->now = next;
    if (first >= PAIR_QUEUE) {
        duet_dtls_tick(n->peer[first - PAIR_QUEUE].dtls, n->now);
        return true;
    }
    dtls_packet p = n->queue[first];
    n->count--;
    memmove(&n->queue[first], &n->queue[first + 1], (n->count - first) * sizeof(p));
    duet_datagram d = {.data = p.data, .len = p.len, .time = n->now};
    if (n->peer[p.to].dtls)
        duet_dtls_input(n->peer[p.to].dtls, &d, n->now);
    return true;
}

static inline void pair_run(dtls_pair *n, duet_time span)
{
    duet_time until = n->now + span;
    while (pair_step(n, until)) {
    }
    n->now = until;
}

static inline bool pair_connected(const dtls_pair *n)
{
    return duet_dtls_get_state(n->peer[0].dtls) == DUET_DTLS_CONNECTED &&
           duet_dtls_get_state(n->peer[1].dtls) == DUET_DTLS_CONNECTED;
}

static inline bool pair_run_until_connected(dtls_pair *n, duet_time span)
{
    duet_time until = n->now + span;
    while (!pair_connected(n) && pair_step(n, until)) {
    }
    return pair_connected(n);
}

static inline void pair_destroy(dtls_pair *n)
{
    for (int i = 0; i < 2; i++) {
        duet_dtls_destroy(n->peer[i].dtls);
        duet_certificate_destroy(n->peer[i].certificate);
    }
}

/* The usual beginning: both made, both know the other's fingerprint, both started. */
static inline dtls_pair *pair_ready(const duet_env *env)
{
    dtls_pair *n = malloc(sizeof(*n));
    assert_non_null(n);
    pair_init(n);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_create(n, i, env, NULL, NULL, 0), DUET_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_trust(n, i, DUET_HASH_SHA256), DUET_OK);
    assert_int_equal(pair_start(n, 0), DUET_OK);
    return n;
}

static inline void pair_free(dtls_pair *n)
{
    pair_destroy(n);
    free(n);
}

#endif
