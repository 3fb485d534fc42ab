/* What connectivity checks cost as the check list grows: two agents on a simulated network, with 1, 5 and 10 addresses each, so
 * with 1, 25 and 100 candidate pairs of which only one works.
 *   bench_ice_scale     prints one line of JSON */
#include "duet/ice.h"
#include "duet/sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DELAY  DUET_MS(25) /* each way */
#define ROUNDS 20

typedef struct end {
    duet_ice_agent *agent;
    struct end *other;
    void (*wake)(void *user);
    void *wake_user;
    duet_time completed;
    duet_sim *sim;
    uint64_t packets;
} end;

static double cpu_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void check(int err, const char *what)
{
    if (err == DUET_OK)
        return;
    fprintf(stderr, "bench_ice_scale: %s: %s\n", what, duet_strerror(err));
    exit(1);
}

/* ---- an agent as an endpoint ---- */

static int ops_input(void *object, duet_datagram *in, duet_time now)
{
    return duet_ice_agent_input(((end *)object)->agent, in, now);
}

static int ops_output(void *object, duet_datagram *out, duet_time now)
{
    end *e = object;
    int more = duet_ice_agent_output(e->agent, out, now);

    e->packets += more == 1;
    return more;
}

static int ops_request(void *object, duet_request *out)
{
    return duet_ice_agent_request(((end *)object)->agent, out);
}

static int ops_answer(void *object, const duet_answer *answer, duet_time now)
{
    return duet_ice_agent_answer(((end *)object)->agent, answer, now);
}

static void ops_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    (void)object, (void)path, (void)error,
        (void)now; /* addresses that lead nowhere stay silent, as in a real network */
}

static void ops_tick(void *object, duet_time now)
{
    duet_ice_agent_tick(((end *)object)->agent, now);
}

static duet_time ops_deadline(const void *object)
{
    return duet_ice_agent_deadline(((const end *)object)->agent);
}

static void ops_set_wake(void *object, void (*wake)(void *user), void *user)
{
    end *e = object;

    e->wake = wake;
    e->wake_user = user;
}

static const duet_endpoint_ops ops = {sizeof(ops),    ops_input, ops_output,   ops_request,  ops_answer,
                                      ops_path_error, ops_tick,  ops_deadline, ops_set_wake, NULL};

static void on_wake(void *user)
{
    end *e = user;

    if (e->wake)
        e->wake(e->wake_user);
}

static void on_candidate(void *user, const duet_candidate *candidate)
{
    end *e = user;

    if (candidate)
        check(duet_ice_agent_add_remote_candidate(e->other->agent, candidate, duet_sim_now(e->sim)), "candidate");
}

static void on_state(void *user, duet_ice_state state)
{
    end *e = user;
    bool is_controlled = duet_ice_agent_role(e->agent) == DUET_ICE_CONTROLLED; /* it goes on checking better pairs */

    if (e->completed == 0 && (state == DUET_ICE_COMPLETED || (is_controlled && state == DUET_ICE_CONNECTED)))
        e->completed = duet_sim_now(e->sim);
}

/* ---- a call ---- */

/* The first address of each works; what is sent to or from the others is lost. */
static void place(end *e, duet_sim *sim, unsigned site, unsigned addresses, duet_ice_role role)
{
    duet_sim_link good = {.delay = DELAY}, dead = {.down = true};
    duet_ice_config config;
    duet_sim_host *host;
    char text[32];

    e->sim = sim;
    check(duet_sim_host_create(&host, sim, site ? "bob" : "alice"), "host");
    for (unsigned i = 0; i < addresses; i++) {
        const duet_sim_link *link =
            i + 1 == addresses ? &good : &dead; /* the last, so that all others are tried before */
        snprintf(text, sizeof(text), "10.%u.0.%u", site, i + 1);
        check(duet_sim_host_add_address(host, text, link, link), "address");
    }
    duet_ice_config_init(&config);
    config.role = role;
    config.on_candidate = on_candidate;
    config.on_state = on_state;
    config.on_wake = on_wake;
    config.user = e;
    check(duet_ice_agent_create(&e->agent, &config), "agent");
    check(duet_sim_attach(host, &ops, e), "attach");
}

typedef struct figures {
    size_t pairs;
    uint64_t packets;
    double cpu, seconds;
} figures;

static bool both_completed(void *user)
{
    const end *ends = user;

    return ends[0].completed && ends[1].completed;
}

static figures call(unsigned addresses, uint64_t seed)
{
    duet_sim_config config;
    duet_sim *sim;
    end ends[2] = {0};
    duet_ice_stats stats;

    duet_sim_config_init(&config);
    config.seed = seed;
    config.start = DUET_SECONDS(1);
    check(duet_sim_create(&sim, &config), "simulation");
    ends[0].other = &ends[1];
    ends[1].other = &ends[0];
    place(&ends[0], sim, 0, addresses, DUET_ICE_CONTROLLING);
    place(&ends[1], sim, 1, addresses, DUET_ICE_CONTROLLED);
    double start = cpu_us();
    for (int i = 0; i < 2; i++)
        check(duet_ice_agent_set_remote(ends[i].agent, duet_ice_agent_local_credentials(ends[1 - i].agent), false,
                                        duet_sim_now(sim)),
              "credentials");
    for (int i = 0; i < 2; i++)
        check(duet_ice_agent_gather(ends[i].agent, duet_sim_now(sim)), "gathering");
    if (!duet_sim_run_until(sim, both_completed, ends, DUET_SECONDS(120)))
        check(DUET_ERR_TIMEOUT, "connecting");
    duet_ice_agent_get_stats(ends[1].agent, &stats); /* the controlling agent has let go of its pairs */
    figures f = {stats.pair_count, ends[0].packets + ends[1].packets, cpu_us() - start,
                 (double)(ends[0].completed - DUET_SECONDS(1)) / 1e6};
    for (int i = 0; i < 2; i++) {
        duet_sim_detach(sim, &ends[i]);
        duet_ice_agent_destroy(ends[i].agent);
    }
    duet_sim_destroy(sim);
    return f;
}

int main(void)
{
    static const unsigned addresses[] = {1, 5, 10};

    printf("[");
    for (size_t n = 0; n < 3; n++) {
        figures sum = {0};
        for (uint64_t round = 0; round < ROUNDS; round++) {
            figures f = call(addresses[n], round + 1);
            sum.pairs = f.pairs;
            sum.packets += f.packets;
            sum.cpu += f.cpu;
            sum.seconds += f.seconds;
        }
        printf(
            "%s{\"pairs\":%zu,\"packets\":%llu,\"cpu_us_per_packet\":%.2f,\"completed_s\":%.3f,\"round_trips\":%.1f}",
            n ? "," : "", sum.pairs, (unsigned long long)(sum.packets / ROUNDS), sum.cpu / (double)sum.packets,
            sum.seconds / ROUNDS, sum.seconds * 1e6 / ROUNDS / (double)(4 * DELAY));
    }
    puts("]");
    return 0;
}
