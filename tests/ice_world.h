/* A small network under virtual time for two ICE agents: addresses, delay, loss, cut paths, a STUN server.
 *
 * Datagrams go by destination address; what nobody owns is lost. Everything is seeded. */
#ifndef DUET_TESTS_ICE_WORLD_H
#define DUET_TESTS_ICE_WORLD_H

#include "duet/ice.h"
#include "duet/stun.h"
#include "test.h"

#define WORLD_AGENTS     2
#define WORLD_SOCKETS    24
#define WORLD_PACKETS    4096
#define WORLD_CANDIDATES 64

typedef struct world world;

typedef struct world_agent {
    world *world;
    duet_ice_agent *agent;
    duet_ice_config config;
    duet_env env;
    uint64_t seed;
    duet_interface interfaces[8];
    size_t interface_count;
    duet_address sockets[WORLD_SOCKETS]; /* by id */
    struct {
        char name[64];
        duet_address address;
    } published[8]; /* multicast DNS names */
    size_t published_count;
    bool refuses_names;
    unsigned network_events;
    uint16_t next_port;

    duet_candidate candidates[WORLD_CANDIDATES];
    size_t candidate_count, candidates_given;
    bool end_of_candidates, end_given;
    duet_ice_state state;
    unsigned states_seen; /* a bit for each */
    duet_ice_state history[64];
    size_t history_count;
    duet_ice_gathering_state gathering;
    unsigned selected_events, role_events, error_events, wakes, errors_701;
    char last_error[160];
    duet_candidate selected_local, selected_remote;
    duet_time connected_at;
    size_t ticks, inputs, outputs, data_received, answer_errors, candidate_errors;
    duet_time last_data, longest_gap;
    bool blackhole; /* nothing leaves, nothing arrives */
    void (*on_state_hook)(struct world_agent *w, duet_ice_state state);
} world_agent;

typedef struct world_packet {
    duet_time at;
    uint64_t order;
    duet_address from, to;
    uint8_t data[1500];
    size_t len;
} world_packet;

struct world {
    duet_time now;
    duet_time delay;
    unsigned loss_percent;
    uint64_t seed, order;
    world_agent agents[WORLD_AGENTS];
    world_packet *packets;
    size_t packet_count;
    bool trickle; /* candidates are handed over as they come, by world_run */
    bool signalled;
    duet_address stun_server; /* family NONE: there is none */
    duet_address stun_maps;   /* what it answers; port 0 keeps the port */
    unsigned stun_error;      /* answers this code instead */
    size_t stun_requests;
    duet_address cut;                      /* packets from or to this IP address are lost */
    duet_address rewrite_from, rewrite_to; /* a NAT of one binding: source address of outgoing packets is replaced */
    bool (*filter)(world *w, world_packet *packet);       /* false: lost */
    bool (*server)(world *w, const world_packet *packet); /* another server: true when the packet was for it */
    void *user;
    size_t delivered, lost;
};

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

static inline void world_on_state(void *user, duet_ice_state state)
{
    world_agent *w = user;

    w->state = state;
    w->states_seen |= 1u << state;
    if (w->history_count < 64)
        w->history[w->history_count++] = state;
    if (state == DUET_ICE_CONNECTED && w->connected_at == 0)
        w->connected_at = w->world->now;
    if (w->on_state_hook)
        w->on_state_hook(w, state);
}

static inline void world_on_gathering(void *user, duet_ice_gathering_state state)
{
    ((world_agent *)user)->gathering = state;
}

static inline void world_on_candidate(void *user, const duet_candidate *candidate)
{
    world_agent *w = user;

    if (!candidate)
        w->end_of_candidates = true;
    else if (w->candidate_count < WORLD_CANDIDATES)
        w->candidates[w->candidate_count++] = *candidate;
}

static inline void world_on_error(void *user, const char *url, const duet_address *local, int code, const char *text)
{
    world_agent *w = user;

    (void)url;
    (void)local;
    w->error_events++;
    if (code == 701)
        w->errors_701++;
    snprintf(w->last_error, sizeof(w->last_error), "%d %s", code, text);
}

static inline void world_on_selected(void *user, const duet_candidate *local, const duet_candidate *remote)
{
    world_agent *w = user;

    w->selected_events++;
    w->selected_local = *local;
    w->selected_remote = *remote;
}

static inline void world_on_role(void *user, duet_ice_role role)
{
    (void)role;
    ((world_agent *)user)->role_events++;
}

static inline void world_on_network(void *user)
{
    ((world_agent *)user)->network_events++;
}

static inline void world_on_wake(void *user)
{
    ((world_agent *)user)->wakes++;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static inline void world_init(world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->seed = seed;
    w->delay = DUET_MS(10);
    w->now = DUET_SECONDS(1);
    w->trickle = true;
    w->packets = calloc(WORLD_PACKETS, sizeof(*w->packets));
    assert_non_null(w->packets);
    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        world_agent *a = &w->agents[i];
        a->world = w;
        a->seed = seed * 7919 + i;
        a->env = (duet_env)DUET_ENV_INIT;
        a->env.random = test_random_fill;
        a->env.user = &a->seed;
        a->next_port = (uint16_t)(40000 + 1000 * i);
        duet_ice_config_init(&a->config);
        a->config.env = &a->env;
        a->config.role = i == 0 ? DUET_ICE_CONTROLLING : DUET_ICE_CONTROLLED;
        a->config.user = a;
        a->config.on_state = world_on_state;
        a->config.on_gathering = world_on_gathering;
        a->config.on_candidate = world_on_candidate;
        a->config.on_candidate_error = world_on_error;
        a->config.on_selected = world_on_selected;
        a->config.on_role = world_on_role;
        a->config.on_wake = world_on_wake;
        a->config.on_network_change = world_on_network;
    }
}

static inline duet_address world_address(const char *text, uint16_t port)
{
    duet_address address;

    assert_int_equal(duet_address_parse(&address, text, port), DUET_OK);
    return address;
}

static inline void world_interface(world *w, size_t agent, const char *ip)
{
    world_agent *a = &w->agents[agent];
    duet_interface *interface = &a->interfaces[a->interface_count++];

    snprintf(interface->name, sizeof(interface->name), "eth%u", (unsigned)a->interface_count);
    interface->address = world_address(ip, 0);
    interface->index = (uint32_t)a->interface_count;
    interface->is_loopback = duet_address_is_loopback(&interface->address);
}

/* One address each: 10.0.0.1 and 10.0.0.2. */
static inline void world_two_hosts(world *w, uint64_t seed)
{
    world_init(w, seed);
    world_interface(w, 0, "10.0.0.1");
    world_interface(w, 1, "10.0.0.2");
}

static inline void world_create(world *w)
{
    for (size_t i = 0; i < WORLD_AGENTS; i++)
        assert_int_equal(duet_ice_agent_create(&w->agents[i].agent, &w->agents[i].config), DUET_OK);
}

static inline void world_free(world *w)
{
    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        duet_ice_agent_destroy(w->agents[i].agent);
        w->agents[i].agent = NULL;
    }
    free(w->packets);
    w->packets = NULL;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

static inline bool world_ip_is(const duet_address *a, const duet_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, 16) == 0;
}

static inline void world_send(world *w, const duet_address *from, const duet_address *to, const uint8_t *data,
                              size_t len)
{
    if (test_random_below(&w->seed, 100) < w->loss_percent || w->packet_count >= WORLD_PACKETS || len > 1500) {
        w->lost++;
        return;
    }
    world_packet *p = &w->packets[w->packet_count++];
    p->at = w->now + w->delay;
    p->order = w->order++;
    p->from = *from;
    p->to = *to;
    if (w->rewrite_from.family && p->from.port == w->rewrite_from.port && world_ip_is(&p->from, &w->rewrite_from))
        p->from = w->rewrite_to;
    if (w->rewrite_to.family && p->to.port == w->rewrite_to.port && world_ip_is(&p->to, &w->rewrite_to))
        p->to = w->rewrite_from;
    memcpy(p->data, data, len);
    p->len = len;
    if ((w->cut.family && (world_ip_is(&p->from, &w->cut) || world_ip_is(&p->to, &w->cut))) ||
        (w->filter && !w->filter(w, p))) {
        w->packet_count--;
        w->lost++;
    }
}

static inline void world_stun_server(world *w, const world_packet *p)
{
    duet_stun_message m;
    uint8_t buf[256];
    size_t len;

    if (duet_stun_parse(&m, p->data, p->len) != DUET_OK || m.message_class != DUET_STUN_REQUEST)
        return;
    w->stun_requests++;
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), w->stun_error ? DUET_STUN_ERROR : DUET_STUN_SUCCESS,
                                          DUET_STUN_BINDING, m.transaction_id);
    duet_address mapped = w->stun_maps.family ? w->stun_maps : p->from;
    if (mapped.port == 0)
        mapped.port = p->from.port;
    if (w->stun_error)
        duet_stun_add_error(&b, w->stun_error, NULL);
    else
        duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    world_send(w, &w->stun_server, &p->from, buf, len);
}

static inline bool world_find_name(const world *w, const char *name, duet_address *out)
{
    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        const world_agent *a = &w->agents[i];
        for (size_t k = 0; k < a->published_count; k++) {
            if (strcmp(a->published[k].name, name) != 0)
                continue;
            *out = a->published[k].address;
            return true;
        }
    }
    return false;
}

static inline void world_serve_requests(world_agent *a)
{
    duet_request r;

    while (a->agent && duet_ice_agent_request(a->agent, &r)) {
        duet_answer answer = {.kind = r.kind, .id = r.id};
        duet_address resolved[2];
        switch (r.kind) {
        case DUET_REQUEST_INTERFACES:
            answer.interfaces = a->interfaces;
            answer.interface_count = a->interface_count;
            break;
        case DUET_REQUEST_OPEN:
            if (r.protocol != DUET_UDP) {
                answer.err = DUET_ERR_IO; /* there are no streams in this world */
                break;
            }
            assert_true(r.id > 0 && r.id < WORLD_SOCKETS);
            answer.local = r.bind;
            answer.local.port = a->next_port++;
            a->sockets[r.id] = answer.local;
            break;
        case DUET_REQUEST_CLOSE:
            if (r.id >= WORLD_SOCKETS)
                continue; /* a name */
            memset(&a->sockets[r.id], 0, sizeof(a->sockets[r.id]));
            continue;
        case DUET_REQUEST_RESOLVE:
            if (strcmp(r.name, "stun.example.org") == 0) {
                resolved[0] = a->world->stun_server;
                answer.addresses = resolved;
                answer.address_count = 1;
            } else if (strcmp(r.name, "peer.example.org") == 0) {
                resolved[0] = world_address("10.0.0.2", 0);
                answer.addresses = resolved;
                answer.address_count = 1;
            } else if (world_find_name(a->world, r.name, &resolved[0])) {
                answer.addresses = resolved;
                answer.address_count = 1;
            } else {
                answer.err = DUET_ERR_NOT_FOUND;
            }
            break;
        case DUET_REQUEST_PUBLISH:
            assert_true(a->published_count < 8 && strlen(r.name) < 64);
            if (a->refuses_names) {
                answer.err = DUET_ERR_UNSUPPORTED;
                break;
            }
            snprintf(a->published[a->published_count].name, 64, "%s", r.name);
            a->published[a->published_count++].address = r.bind;
            break;
        default:
            fail_msg("unexpected request");
        }
        a->answer_errors += duet_ice_agent_answer(a->agent, &answer, a->world->now) != DUET_OK;
    }
}

static inline void world_pull(world_agent *a)
{
    duet_datagram d;

    while (a->agent && duet_ice_agent_output(a->agent, &d, a->world->now)) {
        a->outputs++;
        assert_true(d.headroom >= DUET_HEADROOM || a->world->server); /* relays use it */
        if (!a->blackhole)
            world_send(a->world, &d.path.local, &d.path.remote, d.data, d.len);
    }
}

/* Whether a path of the agent is handed to the next protocol: data counts only then. */
static inline void world_data(world_agent *a, const duet_path *path)
{
    if (!duet_ice_agent_validated(a->agent, path))
        return;
    if (a->data_received > 0 && a->world->now - a->last_data > a->longest_gap)
        a->longest_gap = a->world->now - a->last_data;
    a->last_data = a->world->now;
    a->data_received++;
}

static inline void world_deliver(world *w, world_packet *p)
{
    if (w->server && w->server(w, p))
        return;
    if (w->stun_server.family && world_ip_is(&p->to, &w->stun_server) && p->to.port == w->stun_server.port) {
        world_stun_server(w, p);
        return;
    }
    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        world_agent *a = &w->agents[i];
        for (uint32_t id = 1; id < WORLD_SOCKETS; id++) {
            if (!a->agent || a->blackhole || a->sockets[id].port != p->to.port || !world_ip_is(&a->sockets[id], &p->to))
                continue;
            duet_datagram in = {.data = p->data, .len = p->len, .time = w->now};
            in.path = (duet_path){.socket = id, .protocol = DUET_UDP, .local = a->sockets[id], .remote = p->from};
            w->delivered++;
            a->inputs++;
            if (duet_ice_agent_input(a->agent, &in, w->now) == DUET_ERR_NOT_MINE)
                world_data(a, &in.path);
            return;
        }
    }
    w->lost++;
}

/* Hands over what was signalled; the credentials go first. */
static inline void world_signal(world *w)
{
    if (!w->signalled || !w->trickle)
        return;
    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        world_agent *from = &w->agents[i], *to = &w->agents[1 - i];
        while (from->candidates_given < from->candidate_count)
            to->candidate_errors += duet_ice_agent_add_remote_candidate(
                                        to->agent, &from->candidates[from->candidates_given++], w->now) != DUET_OK;
        if (from->end_of_candidates && !from->end_given) {
            from->end_given = true;
            duet_ice_agent_end_of_remote_candidates(to->agent, w->now);
        }
    }
}

static inline void world_settle(world *w)
{
    for (size_t i = 0; i < WORLD_AGENTS; i++)
        world_serve_requests(&w->agents[i]);
    world_signal(w);
    for (size_t i = 0; i < WORLD_AGENTS; i++)
        world_pull(&w->agents[i]);
}

static inline duet_time world_next(const world *w)
{
    duet_time next = DUET_NEVER;

    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        duet_time deadline = w->agents[i].agent ? duet_ice_agent_deadline(w->agents[i].agent) : DUET_NEVER;
        next = deadline < next ? deadline : next;
    }
    for (size_t i = 0; i < w->packet_count; i++)
        next = w->packets[i].at < next ? w->packets[i].at : next;
    return next;
}

static inline bool world_take_due(world *w, world_packet *out)
{
    size_t best = w->packet_count;

    for (size_t i = 0; i < w->packet_count; i++) {
        const world_packet *p = &w->packets[i];
        if (p->at > w->now)
            continue;
        if (best == w->packet_count || p->at < w->packets[best].at ||
            (p->at == w->packets[best].at && p->order < w->packets[best].order))
            best = i;
    }
    if (best == w->packet_count)
        return false;
    *out = w->packets[best];
    w->packets[best] = w->packets[--w->packet_count];
    return true;
}

/* The driver tells of changed interfaces. */
static inline void world_interfaces_changed(world *w, size_t agent)
{
    world_agent *a = &w->agents[agent];
    duet_answer answer = {.kind = DUET_REQUEST_INTERFACES};

    answer.interfaces = a->interfaces;
    answer.interface_count = a->interface_count;
    assert_int_equal(duet_ice_agent_answer(a->agent, &answer, w->now), DUET_OK);
}

/* Runs until `until`, or until `done` says so. */
static inline void world_run_while(world *w, duet_time until, bool (*going)(const world *w))
{
    static world_packet p;

    for (unsigned stalled = 0;; stalled++) {
        world_settle(w);
        if (going && !going(w))
            return;
        duet_time next = world_next(w);
        if (next > until) {
            w->now = until > w->now ? until : w->now;
            return;
        }
        if (next > w->now) {
            w->now = next;
            stalled = 0;
        }
        if (stalled > 2000)
            fail_msg("the world stands still at %llu", (unsigned long long)w->now);
        for (size_t i = 0; i < WORLD_AGENTS; i++) {
            world_agent *a = &w->agents[i];
            if (!a->agent || duet_ice_agent_deadline(a->agent) > w->now)
                continue;
            a->ticks++;
            duet_ice_agent_tick(a->agent, w->now);
        }
        world_settle(w);
        while (world_take_due(w, &p)) {
            world_deliver(w, &p);
            world_settle(w);
        }
    }
}

static inline void world_run(world *w, duet_time duration)
{
    world_run_while(w, w->now + duration, NULL);
}

static inline void world_gather(world *w)
{
    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        assert_int_equal(duet_ice_agent_gather(w->agents[i].agent, w->now), DUET_OK);
        world_serve_requests(&w->agents[i]);
    }
}

static inline void world_exchange_credentials(world *w)
{
    for (size_t i = 0; i < WORLD_AGENTS; i++) {
        duet_ice_credentials c = *duet_ice_agent_local_credentials(w->agents[1 - i].agent);
        assert_int_equal(duet_ice_agent_set_remote(w->agents[i].agent, &c, w->agents[1 - i].config.lite, w->now),
                         DUET_OK);
    }
    w->signalled = true;
}

static inline void world_start(world *w)
{
    world_create(w);
    world_gather(w);
    world_exchange_credentials(w);
}

static inline bool world_is_up(const world_agent *a)
{
    return a->state == DUET_ICE_CONNECTED || a->state == DUET_ICE_COMPLETED;
}

static inline bool world_not_completed(const world *w)
{
    return w->agents[0].state != DUET_ICE_COMPLETED || w->agents[1].state != DUET_ICE_COMPLETED;
}

static inline void world_run_until_completed(world *w, duet_time patience)
{
    world_run_while(w, w->now + patience, world_not_completed);
    assert_int_equal(w->agents[0].state, DUET_ICE_COMPLETED);
    assert_int_equal(w->agents[1].state, DUET_ICE_COMPLETED);
}

/* Sends one data packet from the agent along its route; false while it has none. */
static inline bool world_send_data(world *w, size_t agent)
{
    world_agent *a = &w->agents[agent];
    duet_datagram d = {0};
    static const uint8_t data[] = {0x17, 0xFE, 0xFD, 0, 1};

    if (duet_ice_agent_route(a->agent, &d) != DUET_OK)
        return false;
    if (!a->blackhole)
        world_send(w, &d.path.local, &d.path.remote, data, sizeof(data));
    return true;
}

/* The number of the pair that carries data; fails the test when there is none. */
static inline duet_ice_pair_stats world_selected(const world_agent *a)
{
    duet_ice_pair_stats pair = {0};

    for (size_t i = 0; duet_ice_agent_get_pair(a->agent, i, &pair) == DUET_OK; i++) {
        if (pair.selected)
            return pair;
    }
    fail_msg("no pair is selected");
    return pair;
}

static inline void world_assert_same_pair(const world *w)
{
    duet_datagram x = {0}, y = {0};

    assert_int_equal(duet_ice_agent_route(w->agents[0].agent, &x), DUET_OK);
    assert_int_equal(duet_ice_agent_route(w->agents[1].agent, &y), DUET_OK);
    assert_true(world_ip_is(&x.path.local, &y.path.remote) && world_ip_is(&x.path.remote, &y.path.local));
}

#endif
