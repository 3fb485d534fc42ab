/* Two peers in one process, on a simulated network under virtual time: no socket, no clock, no thread, and the same every
 * time. Protocol researchers begin here: change the link, and see what it does to the call. */
#include <stdio.h>
#include <stdlib.h>

#include <duet/peer.h>
#include <duet/sim.h>

typedef struct peer {
    const char *name;
    duet_sim *sim;
    duet_pc *pc;
    struct peer *other;
    bool done;
} peer;

static void check(int err, const char *what)
{
    if (err == DUET_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, duet_strerror(err));
    exit(1);
}

/* Trickle ICE: each address that is found goes to the other side, here without any delay. */
static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    (void)pc;
    check(duet_pc_add_ice_candidate(((peer *)user)->other->pc, candidate), "candidate");
}

static void say(const peer *p, const char *what)
{
    printf("%.3f s  %s %s\n", (double)duet_sim_now(p->sim) / 1e6, p->name, what);
}

static void on_state(void *user, duet_pc *pc, duet_pc_state state)
{
    (void)pc;
    say(user, duet_pc_state_name(state));
}

static void on_open(void *user, duet_dc *dc)
{
    (void)user;
    check(duet_dc_send(dc, "hello", 5, true), "send");
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    (void)dc, (void)data, (void)len, (void)is_text;
    say(user, "hears a greeting");
    ((peer *)user)->done = true;
}

static void use_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {sizeof(callbacks), .on_open = on_open, .on_message = on_message, .user = user};

    (void)pc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void place(peer *p, const char *name, const char *address, duet_sim *sim, peer *other)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_sim_link link = {.delay = DUET_MS(25), .loss = 0.05}; /* of each direction */
    duet_sim_host *host;

    *p = (peer){.name = name, .sim = sim, .other = other};
    check(duet_sim_host_create(&host, sim, name), "host");
    check(duet_sim_host_add_address(host, address, &link, &link), "address");
    config.on_ice_candidate = on_candidate;
    config.on_connection_state = on_state;
    config.on_data_channel = use_channel;
    config.user = p;
    check(duet_pc_create(&p->pc, &config), "connection");
    check(duet_sim_add(host, p->pc), "driver");
}

/* Signaling takes no time here. */
static void describe(peer *from, duet_sdp_type type)
{
    char *sdp;

    check(duet_pc_set_local_description(from->pc, type, NULL), "local description");
    check(duet_pc_local_description(from->pc, NULL, &sdp), "local description");
    check(duet_pc_set_remote_description(from->other->pc, type, sdp), "remote description");
    duet_free(NULL, sdp);
}

static bool both_done(void *user)
{
    return ((peer *)user)->done && ((peer *)user)->other->done;
}

int main(void)
{
    peer alice, bob, *peers[] = {&alice, &bob};
    duet_sim *sim;
    duet_dc *dc;

    check(duet_sim_create(&sim, NULL), "simulation");
    duet_determinism_begin(sim, 1); /* OpenSSL's and usrsctp's random numbers and clock are the world's, too */
    place(&alice, "alice", "10.0.0.1", sim, &bob);
    place(&bob, "bob", "10.0.0.2", sim, &alice);
    check(duet_pc_create_data_channel(alice.pc, "greetings", NULL, &dc), "channel");
    use_channel(&alice, alice.pc, dc);
    describe(&alice, DUET_SDP_OFFER);
    describe(&bob, DUET_SDP_ANSWER);
    bool done = duet_sim_run_until(sim, both_done, &alice, DUET_SECONDS(30)); /* takes milliseconds */
    for (int i = 0; i < 2; i++) {
        duet_sim_remove(sim, peers[i]->pc);
        duet_pc_destroy(peers[i]->pc);
    }
    duet_sim_destroy(sim);
    duet_determinism_end();
    return done ? 0 : 1;
}
