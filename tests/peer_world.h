/* Two whole peer connections on a simulated network, joined by signaling that takes its time, with a data channel whose
 * messages are counted. Everything runs in virtual time; the seed repeats a run bit for bit. */
#ifndef DUET_TESTS_PEER_WORLD_H
#define DUET_TESTS_PEER_WORLD_H

#include "duet/peer.h"
#include "duet/sim.h"
#include "test.h"

#define HASH_LEN_MAX 8

struct world;

typedef struct side {
    struct world *world;
    const char *name;
    duet_env env;
    duet_sim_host *host;
    duet_pc *pc;
    duet_dc *dc;
    bool open, closed;
    unsigned received, wrong, connected_events, disconnected_events, failed_events, negotiation_needed;
    duet_time last_received, longest_gap, connected_at, open_at;
    uint32_t next_number; /* of the message that is expected */
    size_t candidates;
} side;

typedef struct world {
    duet_sim *sim;
    side alice, bob; /* alice offers */
    duet_time signaling_delay;
    bool no_trickle;
    uint64_t seed;
    uint32_t next_number;
    duet_time send_every;
    bool sending;
    unsigned send_failures;
} world;

static inline side *other_side(side *s)
{
    return s == &s->world->alice ? &s->world->bob : &s->world->alice;
}

/* ---- signaling ---- */

typedef struct signal_message {
    side *to;
    duet_sdp_type type; /* NONE: a candidate */
    char *sdp, *candidate, *mid;
    int mline_index;
} signal_message;

static inline void signal_description(side *from);

/* Somebody who can still listen. */
static inline bool side_is_there(const side *s)
{
    return s->pc && duet_pc_connection_state(s->pc) != DUET_PC_CLOSED;
}

static inline void signal_arrives(void *arg)
{
    signal_message *m = arg;
    side *to = m->to;

    if (side_is_there(to) && m->type != DUET_SDP_NONE) {
        assert_int_equal(duet_pc_set_remote_description(to->pc, m->type, m->sdp), DUET_OK);
        if (m->type == DUET_SDP_OFFER) {
            assert_int_equal(duet_pc_set_local_description(to->pc, DUET_SDP_ANSWER, NULL), DUET_OK);
            if (side_is_there(to) && !to->world->no_trickle)
                signal_description(to);
        }
    } else if (side_is_there(to)) {
        duet_pc_candidate c = {m->candidate, m->mid, m->mline_index, NULL};
        assert_int_equal(duet_pc_add_ice_candidate(to->pc, &c), DUET_OK);
    }
    free(m->sdp);
    free(m->candidate);
    free(m->mid);
    free(m);
}

static inline void signal_send(signal_message m)
{
    world *w = m.to->world;
    signal_message *copy = malloc(sizeof(*copy));

    assert_non_null(copy);
    *copy = m;
    assert_int_equal(duet_sim_at(w->sim, duet_sim_now(w->sim) + w->signaling_delay, signal_arrives, copy), DUET_OK);
}

static inline void signal_description(side *from)
{
    duet_sdp_type type;
    char *sdp = NULL;

    assert_int_equal(duet_pc_local_description(from->pc, &type, &sdp), DUET_OK);
    signal_send((signal_message){.to = other_side(from), .type = type, .sdp = strdup(sdp)});
    duet_free(&from->env, sdp);
}

static inline void side_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    side *s = user;

    (void)pc;
    s->candidates += c->candidate[0] != 0;
    if (s->world->no_trickle)
        return;
    signal_send((signal_message){.to = other_side(s),
                                 .candidate = strdup(c->candidate),
                                 .mid = strdup(c->sdp_mid),
                                 .mline_index = c->sdp_mline_index});
}

static inline void side_gathering(void *user, duet_pc *pc, duet_ice_gathering_state state)
{
    side *s = user;

    (void)pc;
    if (state == DUET_ICE_GATHERING_COMPLETE && s->world->no_trickle)
        signal_description(s);
}

/* ---- events ---- */

static inline void side_state(void *user, duet_pc *pc, duet_pc_state state)
{
    side *s = user;

    (void)pc;
    if (state == DUET_PC_CONNECTED && s->connected_events++ == 0)
        s->connected_at = duet_sim_now(s->world->sim);
    s->disconnected_events += state == DUET_PC_DISCONNECTED;
    s->failed_events += state == DUET_PC_FAILED;
}

static inline void side_negotiation(void *user, duet_pc *pc)
{
    side *s = user;

    (void)pc;
    s->negotiation_needed++;
}

static inline void side_open(void *user, duet_dc *dc)
{
    side *s = user;

    (void)dc;
    s->open = true;
    s->open_at = duet_sim_now(s->world->sim);
}

/* Messages carry their number and a length that follows from it. */
static inline size_t message_len(uint32_t number)
{
    return 4 + number * 37 % 3000;
}

static inline void side_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    side *s = user;
    uint32_t number = 0;
    duet_time now = duet_sim_now(s->world->sim);

    (void)dc;
    (void)is_text;
    if (len >= 4)
        memcpy(&number, data, 4);
    bool right = number == s->next_number && len == message_len(number);
    for (size_t i = 4; right && i < len; i++)
        right = data[i] == (uint8_t)(number + i);
    s->wrong += !right;
    s->next_number = number + 1;
    if (s->received && now - s->last_received > s->longest_gap)
        s->longest_gap = now - s->last_received;
    s->last_received = now;
    s->received++;
}

static inline void side_close(void *user, duet_dc *dc)
{
    (void)dc;
    ((side *)user)->closed = true;
}

static inline void side_use(side *s, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = side_open, .on_message = side_message, .on_close = side_close, .user = s};

    s->dc = dc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static inline void side_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    (void)pc;
    side_use(user, dc);
}

/* ---- building a world ---- */

static inline void side_init(world *w, side *s, const char *name, const char *address, const duet_sim_link *link)
{
    s->world = w;
    s->name = name;
    s->env = (duet_env)DUET_ENV_INIT;
    s->env.random = duet_sim_random;
    s->env.user = w->sim;
    assert_int_equal(duet_sim_host_create(&s->host, w->sim, name), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(s->host, address, link, link), DUET_OK);
}

static inline duet_pc_config side_config(side *s)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    config.env = &s->env;
    config.on_ice_candidate = side_candidate;
    config.on_ice_gathering_state = side_gathering;
    config.on_connection_state = side_state;
    config.on_data_channel = side_channel;
    config.on_negotiation_needed = side_negotiation;
    config.user = s;
    return config;
}

static inline void side_create(side *s, const duet_pc_config *config)
{
    assert_int_equal(duet_pc_create(&s->pc, config), DUET_OK);
    assert_int_equal(duet_sim_add(s->host, s->pc), DUET_OK);
}

/* Two hosts, a link of this kind each; connections made, but not yet talking. */
static inline world *world_new(uint64_t seed, const duet_sim_link *link)
{
    world *w = calloc(1, sizeof(*w));
    duet_sim_config config;

    assert_non_null(w);
    duet_sim_config_init(&config);
    config.seed = seed;
    config.start = DUET_SECONDS(1);
    assert_int_equal(duet_sim_create(&w->sim, &config), DUET_OK);
    duet_determinism_begin(w->sim, seed);
    w->seed = seed;
    w->signaling_delay = DUET_MS(10);
    side_init(w, &w->alice, "alice", "10.0.0.1", link);
    side_init(w, &w->bob, "bob", "10.0.0.2", link);
    return w;
}

static inline void world_create_peers(world *w)
{
    duet_pc_config a = side_config(&w->alice), b = side_config(&w->bob);

    side_create(&w->alice, &a);
    side_create(&w->bob, &b);
}

static inline void world_offer(world *w)
{
    assert_int_equal(duet_pc_set_local_description(w->alice.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    if (!w->no_trickle)
        signal_description(&w->alice);
}

static inline bool world_is_open(void *arg)
{
    const world *w = arg;

    return w->alice.open && w->bob.open;
}

/* Both ends open, or the test fails with the seed. */
static inline void world_connect(world *w, duet_time limit)
{
    duet_dc *dc;

    if (!w->alice.pc)
        world_create_peers(w);
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
    side_use(&w->alice, dc);
    world_offer(w);
    if (!duet_sim_run_until(w->sim, world_is_open, w, duet_sim_now(w->sim) + limit))
        fail_msg("seed %llu: not open after %.1f s: %s and %s", (unsigned long long)w->seed, (double)limit / 1e6,
                 duet_pc_state_name(duet_pc_connection_state(w->alice.pc)),
                 duet_pc_state_name(duet_pc_connection_state(w->bob.pc)));
}

static inline int world_send(world *w)
{
    uint8_t data[4096];
    uint32_t number = w->next_number;
    size_t len = message_len(number);

    memcpy(data, &number, 4);
    for (size_t i = 4; i < len; i++)
        data[i] = (uint8_t)(number + i);
    int err = duet_dc_send(w->alice.dc, data, len, false);
    if (err == DUET_OK)
        w->next_number++;
    else
        w->send_failures++;
    return err;
}

static inline void world_send_tick(void *arg)
{
    world *w = arg;

    if (!w->sending)
        return;
    world_send(w);
    duet_sim_at(w->sim, duet_sim_now(w->sim) + w->send_every, world_send_tick, w);
}

static inline void world_send_every(world *w, duet_time interval)
{
    w->send_every = interval;
    w->sending = true;
    world_send_tick(w);
}

static inline void world_run(world *w, duet_time span)
{
    duet_sim_run(w->sim, duet_sim_now(w->sim) + span);
}

/* All that was sent has arrived, once and in order. */
static inline void world_assert_all_arrived(const world *w)
{
    if (w->bob.received != w->next_number || w->bob.wrong)
        fail_msg("seed %llu: %u of %u messages arrived, %u wrong", (unsigned long long)w->seed, w->bob.received,
                 w->next_number, w->bob.wrong);
}

static inline void side_end(side *s)
{
    if (!s->pc)
        return;
    duet_sim_remove(s->world->sim, s->pc);
    duet_pc_destroy(s->pc);
    s->pc = NULL;
}

static inline void world_end(world *w)
{
    w->sending = false;
    side_end(&w->alice);
    side_end(&w->bob);
    world_run(w, DUET_SECONDS(1)); /* what is under way arrives nowhere, and is freed */
    duet_sim_destroy(w->sim);
    duet_determinism_end();
    free(w);
}

#endif
