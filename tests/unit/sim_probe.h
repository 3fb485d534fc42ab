/* A world with endpoints that do what a test tells them. */
#ifndef DUET_TESTS_SIM_PROBE_H
#define DUET_TESTS_SIM_PROBE_H

#include "duet/sim.h"
#include "unit/net_probe.h"

static inline duet_sim *sim_new(uint64_t seed)
{
    duet_sim_config config;
    duet_sim *sim;

    duet_sim_config_init(&config);
    config.seed = seed;
    config.start = DUET_SECONDS(1);
    assert_int_equal(duet_sim_create(&sim, &config), DUET_OK);
    return sim;
}

static inline duet_sim_host *sim_host_new(duet_sim *sim, duet_sim_nat *nat, const char *address,
                                          const duet_sim_link *link)
{
    duet_sim_host *host;

    assert_int_equal(duet_sim_host_create(&host, sim, address), DUET_OK);
    assert_int_equal(duet_sim_host_add_address_behind(host, nat, address, link, link), DUET_OK);
    return host;
}

static inline probe *sim_probe_new(duet_sim_host *host)
{
    probe *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    assert_int_equal(duet_sim_attach(host, &probe_ops, p), DUET_OK);
    return p;
}

static inline void sim_run_for(duet_sim *sim, duet_time span)
{
    duet_sim_run(sim, duet_sim_now(sim) + span);
}

/* Opens a UDP socket with this id. @return where it is bound */
static inline duet_path sim_open(duet_sim *sim, probe *p, uint32_t id, const char *address, uint16_t port)
{
    duet_request r = {.kind = DUET_REQUEST_OPEN, .id = id, .bind = probe_address(address, port)};

    probe_ask(p, r);
    sim_run_for(sim, 0);
    const probe_answer *a = probe_find(p, DUET_REQUEST_OPEN, id);
    assert_true(a && a->err == DUET_OK);
    return (duet_path){.socket = id, .local = a->local};
}

static inline void sim_probe_send(probe *p, duet_path path, const duet_address *to, const char *text)
{
    path.remote = *to;
    probe_send(p, &path, text, strlen(text));
}

#endif
