/* Two peers on two hosts of a simulated network, for the fuzz targets of whole calls. What must hold and does not, aborts. */
#ifndef DUET_FUZZ_PEER_WORLD_H
#define DUET_FUZZ_PEER_WORLD_H

#include "base/bytes.h"
#include "duet/peer.h"
#include "duet/sim.h"
#include "fuzz.h"
#include <string.h>

typedef struct end {
    struct end *other;
    const char *address;
    duet_env env;
    duet_pc *pc;
    duet_dc *dc;
    bool open, echoes;
    unsigned received, wrong;
} end;

static duet_sim *sim;
static end alice, bob;

static inline int world_random(void *user, uint8_t *out, size_t len)
{
    (void)user;
    return duet_sim_random(sim, out, len);
}

static inline void world_on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    (void)pc;
    (void)duet_pc_add_ice_candidate(((end *)user)->other->pc, candidate);
}

static inline void world_on_open(void *user, duet_dc *dc)
{
    (void)dc;
    ((end *)user)->open = true;
}

static inline void world_on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    end *e = user;

    (void)is_text;
    e->received++;
    e->wrong += len != 5 || memcmp(data, "hello", 5) != 0;
    if (e->echoes)
        (void)duet_dc_send(dc, data, len, true);
}

static inline void world_use(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = world_on_open, .on_message = world_on_message, .user = user};

    (void)pc;
    ((end *)user)->dc = dc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static inline void world_create(end *e, end *other, const char *address, duet_pc_config config, duet_trace_fn trace)
{
    static duet_certificate *certificate; /* made once: it costs more than all the rest */
    duet_sim_link link = {.delay = DUET_MS(5)};
    duet_sim_host *host;

    if (!certificate)
        require(duet_certificate_generate(&certificate, NULL, DUET_KEY_ECDSA_P256, 0) == DUET_OK);
    *e = (end){.other = other, .address = address, .env = DUET_ENV_INIT};
    e->env.random = world_random;
    e->env.trace = trace;
    e->env.user = e;
    config.env = &e->env;
    config.certificate = certificate;
    config.sctp_streams = 8; /* usrsctp clears its memory for each */
    config.on_ice_candidate = world_on_candidate;
    config.on_data_channel = world_use;
    config.user = e;
    require(duet_sim_host_create(&host, sim, "host") == DUET_OK);
    require(duet_sim_host_add_address(host, address, &link, &link) == DUET_OK);
    require(duet_pc_create(&e->pc, &config) == DUET_OK);
    require(duet_sim_add(host, e->pc) == DUET_OK);
}

/* Alice at 10.0.0.1 and Bob at 10.0.0.2, who know nothing of each other yet. `trace` gets the end as its user. */
static inline void world_begin(const duet_pc_config *config, duet_trace_fn trace)
{
    duet_sim_config sim_config;

    duet_sim_config_init(&sim_config);
    sim_config.seed = 1;
    sim_config.start = DUET_SECONDS(1);
    require(duet_sim_create(&sim, &sim_config) == DUET_OK);
    duet_determinism_begin(sim, 1);
    world_create(&alice, &bob, "10.0.0.1", *config, trace);
    world_create(&bob, &alice, "10.0.0.2", *config, trace);
}

static inline void run(duet_time span)
{
    duet_sim_run(sim, duet_sim_now(sim) + span);
}

static inline void world_end(void)
{
    end *const ends[] = {&alice, &bob};

    for (size_t i = 0; i < 2; i++) {
        duet_sim_remove(sim, ends[i]->pc);
        duet_pc_destroy(ends[i]->pc);
    }
    run(DUET_MS(50));
    duet_sim_destroy(sim);
    duet_determinism_end();
}

/* Alice makes a channel that Bob will be told of. */
static inline void make_channel(void)
{
    duet_dc *dc;

    require(duet_pc_create_data_channel(alice.pc, "fuzz", NULL, &dc) == DUET_OK);
    world_use(&alice, alice.pc, dc);
}

static inline void pass_description(end *from)
{
    duet_sdp_type type;
    char *sdp;

    require(duet_pc_local_description(from->pc, &type, &sdp) == DUET_OK);
    require(duet_pc_set_remote_description(from->other->pc, type, sdp) == DUET_OK);
    free(sdp);
}

static inline void offer(void)
{
    require(duet_pc_set_local_description(alice.pc, DUET_SDP_OFFER, NULL) == DUET_OK);
    pass_description(&alice);
}

static inline void answer(void)
{
    require(duet_pc_set_local_description(bob.pc, DUET_SDP_ANSWER, NULL) == DUET_OK);
    pass_description(&bob);
}

static inline bool world_both_open(void *arg)
{
    (void)arg;
    return alice.open && bob.open;
}

static inline void wait_until_open(void)
{
    require(duet_sim_run_until(sim, world_both_open, NULL, duet_sim_now(sim) + DUET_SECONDS(10)));
}

static inline bool world_has_heard(void *arg)
{
    return ((end *)arg)->received > 0;
}

/* The call goes on, whatever was sent to both: Alice says hello, and `listener` hears it (herself, where Bob echoes). */
static inline void still_talking(end *listener)
{
    run(DUET_MS(500)); /* what was said during the attack arrives */
    listener->received = 0;
    require(duet_pc_connection_state(alice.pc) == DUET_PC_CONNECTED);
    require(duet_pc_connection_state(bob.pc) == DUET_PC_CONNECTED);
    require(duet_dc_send(alice.dc, "hello", 5, true) == DUET_OK);
    require(duet_sim_run_until(sim, world_has_heard, listener, duet_sim_now(sim) + DUET_SECONDS(5)));
    require(listener->received == 1 && alice.wrong == 0 && bob.wrong == 0);
}

#endif
