/* Two peer connections behind NATs of any class, with a STUN and TURN server in the core; how they connect, and how long it
 * takes. All hosts hang on links of the same delay: a round trip between any two of them takes NAT_RTT. */
#ifndef DUET_TESTS_NAT_WORLD_H
#define DUET_TESTS_NAT_WORLD_H

#include "duet/turn.h"
#include "peer_world.h"

#define NAT_RTT       DUET_MS(100)
#define NAT_SERVER    "192.0.2.1"
#define NAT_SERVER_V6 "2001:db8::1"

/* Where somebody is. Zeroed: in the core. */
typedef struct nat_place {
    bool is_inside;
    duet_sim_nat_config nat; /* its outside addresses are filled in when they are NULL */
    duet_sim_nat *behind;    /* this one instead, or outside of `nat` */
    const char *address;     /* of the host, and one more; NULL: chosen */
    const char *address6;
    bool only_ipv6;
} nat_place;

typedef enum nat_servers {
    NAT_NO_SERVERS = 0,
    NAT_STUN,
    NAT_TURN,     /* and STUN */
    NAT_TURN_TCP, /* besides */
    NAT_TURN_443, /* TURN over TCP to port 443 only */
    NAT_ICE_TCP,  /* STUN, and ICE-TCP candidates (RFC 6544) */
} nat_servers;

typedef enum nat_path {
    NAT_UNCONNECTED = 0,
    NAT_DIRECT,
    NAT_RELAYED,
} nat_path;

typedef struct nat_world {
    world *w;
    duet_turn_server *server;
    duet_env server_env;
    duet_sim_nat *nats[2];
} nat_world;

static inline duet_sim_link nat_link(void)
{
    return (duet_sim_link){.delay = NAT_RTT / 4};
}

/* ---- the server ---- */

static inline void nat_server_start(nat_world *n)
{
    static const duet_turn_user user = {"alice", "secret"};
    static const duet_turn_user *const users[] = {&user};
    duet_turn_listener at[5] = {{.protocol = DUET_UDP},
                                {.protocol = DUET_TCP},
                                {.protocol = DUET_TCP},
                                {.protocol = DUET_UDP},
                                {.protocol = DUET_TCP}};
    const duet_turn_listener *listeners[5];
    duet_sim_link link = nat_link();
    duet_turn_config config;
    duet_sim_host *host;

    for (size_t i = 0; i < 5; i++) {
        const char *ip = i < 3 ? NAT_SERVER : NAT_SERVER_V6;
        assert_int_equal(duet_address_parse(&at[i].address, ip, i == 2 ? 443 : 3478), DUET_OK);
        listeners[i] = &at[i];
    }
    assert_int_equal(duet_sim_host_create(&host, n->w->sim, "server"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(host, NAT_SERVER, &link, &link), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(host, NAT_SERVER_V6, &link, &link), DUET_OK);
    duet_turn_config_init(&config);
    n->server_env = (duet_env)DUET_ENV_INIT;
    n->server_env.random = duet_sim_random;
    n->server_env.user = n->w->sim;
    config.env = &n->server_env;
    config.listeners = listeners;
    config.listener_count = 5;
    config.users = users;
    config.user_count = 1;
    assert_int_equal(duet_turn_server_create(&n->server, &config), DUET_OK);
    assert_int_equal(duet_sim_attach(host, duet_turn_server_endpoint_ops(), n->server), DUET_OK);
}

/* ---- the places ---- */

/* `which` is 0 for alice, 1 for bob. */
static inline void nat_settle(nat_world *n, side *s, size_t which, const char *name, nat_place *p)
{
    static const char *const outside[] = {"198.51.100.1", "198.51.100.2"};
    static const char *const in_core[] = {"203.0.113.1", "203.0.113.2"};
    static const char *const in_core6[] = {"2001:db8:1::1", "2001:db8:2::2"};
    duet_sim_link link = nat_link();
    duet_sim_nat *nat = p->behind;
    const char *address = p->address ? p->address : p->is_inside || nat ? "10.0.0.2" : in_core[which];
    const char *address6 = p->address6 ? p->address6 : in_core6[which];

    s->world = n->w;
    s->name = name;
    s->env = (duet_env)DUET_ENV_INIT;
    s->env.random = duet_sim_random;
    s->env.user = n->w->sim;
    if (p->is_inside) {
        p->nat.size = sizeof(p->nat);
        if (!p->nat.address)
            p->nat.address = outside[which];
        assert_int_equal(duet_sim_nat_create(&n->nats[which], n->w->sim, nat, &p->nat), DUET_OK);
        nat = n->nats[which];
    }
    assert_int_equal(duet_sim_host_create(&s->host, n->w->sim, name), DUET_OK);
    if (!p->only_ipv6)
        assert_int_equal(duet_sim_host_add_address_behind(s->host, nat, address, &link, &link), DUET_OK);
    if (p->only_ipv6 || p->address6)
        assert_int_equal(duet_sim_host_add_address_behind(s->host, nat, address6, &link, &link), DUET_OK);
}

/* A world without the two, so that NATs can be added first. */
static inline nat_world nat_world_begin(uint64_t seed)
{
    nat_world n = {.w = calloc(1, sizeof(world))};
    duet_sim_config config;

    assert_non_null(n.w);
    duet_sim_config_init(&config);
    config.seed = seed;
    config.start = DUET_SECONDS(1);
    assert_int_equal(duet_sim_create(&n.w->sim, &config), DUET_OK);
    duet_determinism_begin(n.w->sim, seed);
    n.w->seed = seed;
    n.w->signaling_delay = NAT_RTT / 2;
    return n;
}

static inline void nat_world_settle(nat_world *n, nat_place alice, nat_place bob)
{
    nat_server_start(n);
    nat_settle(n, &n->w->alice, 0, "alice", &alice);
    nat_settle(n, &n->w->bob, 1, "bob", &bob);
}

static inline void nat_create_peer(side *s, nat_servers servers)
{
    static const char *const stun_urls[] = {"stun:" NAT_SERVER, "stun:[" NAT_SERVER_V6 "]"};
    static const char *const turn_urls[] = {"turn:" NAT_SERVER, "turn:[" NAT_SERVER_V6 "]",
                                            "turn:" NAT_SERVER "?transport=tcp"};
    static const char *const turn_443[] = {"turn:" NAT_SERVER ":443?transport=tcp"};
    const duet_ice_server stun = {.urls = stun_urls, .url_count = 2};
    duet_ice_server turn = {
        .urls = turn_urls, .url_count = servers == NAT_TURN_TCP ? 3 : 2, .username = "alice", .credential = "secret"};
    const duet_ice_server *both[] = {&stun, &turn};
    duet_pc_config config = side_config(s);

    if (servers == NAT_TURN_443) {
        turn.urls = turn_443;
        turn.url_count = 1;
    }
    config.ice_servers = both;
    config.ice_server_count = servers == NAT_NO_SERVERS ? 0 : servers == NAT_STUN || servers == NAT_ICE_TCP ? 1 : 2;
    config.tcp = servers == NAT_ICE_TCP;
    side_create(s, &config);
}

static inline bool nat_is_connected(void *arg)
{
    const world *w = arg;

    return w->alice.connected_events && w->bob.connected_events;
}

/* ---- the path ---- */

typedef struct nat_selection {
    char pair[64], local[64], remote[64];
    bool is_relayed;
} nat_selection;

static inline const char *nat_member(const duet_stat *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0 && members[i].text)
            return members[i].text;
    }
    return "";
}

static inline void nat_visit(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    nat_selection *s = user;

    if (kind == DUET_STATS_TRANSPORT)
        snprintf(s->pair, sizeof(s->pair), "%s", nat_member(members, count, "selectedCandidatePairId"));
    if (kind == DUET_STATS_CANDIDATE_PAIR && strcmp(id, s->pair) == 0) {
        snprintf(s->local, sizeof(s->local), "%s", nat_member(members, count, "localCandidateId"));
        snprintf(s->remote, sizeof(s->remote), "%s", nat_member(members, count, "remoteCandidateId"));
    }
    if (strcmp(id, s->local) == 0 || strcmp(id, s->remote) == 0)
        s->is_relayed |= strcmp(nat_member(members, count, "candidateType"), "relay") == 0;
}

static inline bool nat_side_is_relayed(const side *s)
{
    nat_selection selection = {0};

    for (int round = 0; round < 3; round++) /* objects come in any order */
        duet_pc_get_stats(s->pc, nat_visit, &selection);
    assert_true(selection.local[0] && selection.remote[0]);
    return selection.is_relayed;
}

/* Lets the two connect. @param rtts  how many round trips it took from the offer until both were connected */
static inline nat_path nat_connect(nat_world *n, nat_servers servers, double *rtts)
{
    world *w = n->w;
    duet_dc *dc;

    nat_create_peer(&w->alice, servers);
    nat_create_peer(&w->bob, servers);
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc), DUET_OK);
    side_use(&w->alice, dc);
    duet_time begin = duet_sim_now(w->sim);
    world_offer(w);
    if (!duet_sim_run_until(w->sim, nat_is_connected, w, begin + DUET_SECONDS(40)))
        return NAT_UNCONNECTED;
    if (rtts)
        *rtts = (double)(duet_sim_now(w->sim) - begin) / (double)NAT_RTT;
    world_run(w, DUET_SECONDS(3)); /* a better pair may be found */
    assert_true(w->alice.open && w->bob.open);
    for (int i = 0; i < 5; i++)
        world_send(w);
    world_run(w, DUET_SECONDS(2));
    world_assert_all_arrived(w);
    return nat_side_is_relayed(&w->alice) || nat_side_is_relayed(&w->bob) ? NAT_RELAYED : NAT_DIRECT;
}

static inline void nat_world_end(nat_world *n)
{
    world *w = n->w;

    w->sending = false;
    side_end(&w->alice);
    side_end(&w->bob);
    duet_sim_detach(w->sim, n->server);
    duet_turn_server_destroy(n->server);
    world_run(w, DUET_SECONDS(60)); /* what is under way arrives nowhere, and is freed */
    duet_sim_destroy(w->sim);
    duet_determinism_end();
    free(w);
}

#endif
