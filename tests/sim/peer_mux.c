/* Peer connections behind one UDP port: all of them connect, exchange messages, survive restarts of ICE, and nobody gets what
 * is another's. */
#include "duet/mux.h"
#include "duet/peer.h"
#include "duet/sim.h"
#include "duet/stun.h"
#include "test.h"

#define PORT    7000
#define SERVER  "198.51.100.1"
#define PAIRS   1000
#define CLIENTS "203.0.113.1"

struct world;

typedef struct end {
    struct world *world;
    struct end *other;
    bool is_client;
    duet_pc *pc;
    duet_dc *dc;
    unsigned index, received, wrong;
    bool open, closed;
} end;

typedef struct world {
    duet_env env;
    duet_sim *sim;
    duet_sim_host *server_host, *client_host;
    duet_mux *mux;
    duet_address listening;
    end servers[PAIRS], clients[PAIRS];
    size_t count;
} world;

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    end *e = user;
    uint8_t index = (uint8_t)e->index;

    (void)is_text;
    e->received++;
    if (len != 1 || data[0] != index)
        e->wrong++;
    if (!e->is_client)
        duet_dc_send(dc, data, len, false);
}

static void on_open(void *user, duet_dc *dc)
{
    end *e = user;

    e->open = true;
    if (e->is_client)
        duet_dc_send(dc, (uint8_t[]){(uint8_t)e->index}, 1, false);
}

static void on_close(void *user, duet_dc *dc)
{
    (void)dc;
    ((end *)user)->closed = true;
}

static void watch(end *e, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = on_open, .on_message = on_message, .on_close = on_close, .user = e};

    e->dc = dc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void on_data_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    (void)pc;
    watch(user, dc);
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    end *e = user;

    (void)pc;
    if (duet_pc_connection_state(e->other->pc) != DUET_PC_CLOSED)
        assert_int_equal(duet_pc_add_ice_candidate(e->other->pc, c), DUET_OK);
}

static void end_create(world *w, end *e, unsigned index, bool is_client, bool is_lite)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    *e = (end){.world = w, .index = index, .is_client = is_client};
    e->other = is_client ? &w->servers[index] : &w->clients[index];
    config.env = &w->env;
    config.ice_lite = is_lite;
    config.on_ice_candidate = on_candidate;
    config.on_data_channel = on_data_channel;
    config.user = e;
    assert_int_equal(duet_pc_create(&e->pc, &config), DUET_OK);
}

static void negotiate(end *offerer, end *answerer)
{
    char *sdp;

    assert_int_equal(duet_pc_set_local_description(offerer->pc, DUET_SDP_OFFER, NULL), DUET_OK);
    assert_int_equal(duet_pc_local_description(offerer->pc, NULL, &sdp), DUET_OK);
    assert_int_equal(duet_pc_set_remote_description(answerer->pc, DUET_SDP_OFFER, sdp), DUET_OK);
    free(sdp);
    assert_int_equal(duet_pc_set_local_description(answerer->pc, DUET_SDP_ANSWER, NULL), DUET_OK);
    assert_int_equal(duet_pc_local_description(answerer->pc, NULL, &sdp), DUET_OK);
    assert_int_equal(duet_pc_set_remote_description(offerer->pc, DUET_SDP_ANSWER, sdp), DUET_OK);
    free(sdp);
}

static void on_listening(void *user, int err, const duet_address *local)
{
    assert_int_equal(err, DUET_OK);
    ((world *)user)->listening = *local;
}

static void world_begin(world *w, size_t count, bool is_lite)
{
    duet_sim_config sim;
    duet_mux_config config;
    duet_sim_link link = {.delay = DUET_MS(10)};

    memset(w, 0, sizeof(*w));
    w->env = (duet_env)DUET_ENV_INIT;
    w->count = count;
    duet_sim_config_init(&sim);
    sim.seed = 5;
    assert_int_equal(duet_sim_create(&w->sim, &sim), DUET_OK);
    w->env.random = duet_sim_random;
    w->env.user = w->sim;
    duet_determinism_begin(w->sim, 5);
    assert_int_equal(duet_sim_host_create(&w->server_host, w->sim, "server"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(w->server_host, SERVER, &link, &link), DUET_OK);
    assert_int_equal(duet_sim_host_create(&w->client_host, w->sim, "clients"), DUET_OK);
    assert_int_equal(duet_sim_host_add_address(w->client_host, CLIENTS, &link, &link), DUET_OK);
    duet_mux_config_init(&config);
    config.env = &w->env;
    config.port = PORT;
    config.on_listening = on_listening;
    config.user = w;
    assert_int_equal(duet_mux_create(&w->mux, &config), DUET_OK);
    assert_int_equal(duet_sim_attach(w->server_host, duet_mux_endpoint_ops(), w->mux), DUET_OK);
    for (unsigned i = 0; i < count; i++) {
        end_create(w, &w->servers[i], i, false, is_lite);
        end_create(w, &w->clients[i], i, true, false);
        assert_int_equal(duet_mux_add(w->mux, duet_pc_endpoint_ops(), w->servers[i].pc), DUET_OK);
        assert_int_equal(duet_sim_add(w->client_host, w->clients[i].pc), DUET_OK);
    }
}

static void connect_all(world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        duet_dc *dc;
        assert_int_equal(duet_pc_create_data_channel(w->clients[i].pc, "mux", NULL, &dc), DUET_OK);
        watch(&w->clients[i], dc);
        negotiate(&w->clients[i], &w->servers[i]);
    }
}

static void drop_server(world *w, unsigned i)
{
    duet_pc_close(w->servers[i].pc);
    duet_mux_remove(w->mux, w->servers[i].pc);
    duet_pc_destroy(w->servers[i].pc);
    w->servers[i].pc = NULL;
}

static void world_end(world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (w->servers[i].pc)
            drop_server(w, i);
        duet_sim_remove(w->sim, w->clients[i].pc);
        duet_pc_destroy(w->clients[i].pc);
    }
    duet_sim_detach(w->sim, w->mux);
    duet_mux_destroy(w->mux);
    duet_determinism_end();
    duet_sim_destroy(w->sim);
}

static void assert_all_echoed(const world *w, unsigned messages)
{
    for (unsigned i = 0; i < w->count; i++) {
        assert_int_equal(w->clients[i].received, messages);
        assert_int_equal(w->servers[i].wrong + w->clients[i].wrong, 0);
    }
}

static void many_connections_share_one_port(void **state)
{
    world w;
    duet_mux_stats stats;

    (void)state;
    world_begin(&w, PAIRS, false);
    connect_all(&w);
    duet_sim_run(w.sim, DUET_SECONDS(3));
    assert_int_equal(w.listening.port, PORT);
    assert_all_echoed(&w, 1);
    duet_mux_get_stats(w.mux, &stats);
    assert_int_equal(stats.endpoints, PAIRS);
    assert_int_equal(stats.remotes, PAIRS); /* one address of each client, and no more */
    world_end(&w);
}

static void ice_lite_works_behind_the_port(void **state)
{
    world w;

    (void)state;
    world_begin(&w, 5, true);
    connect_all(&w);
    duet_sim_run(w.sim, DUET_SECONDS(3));
    assert_all_echoed(&w, 1);
    world_end(&w);
}

static void a_restart_of_ice_is_found_by_its_new_username_fragment(void **state)
{
    world w;

    (void)state;
    world_begin(&w, 3, false);
    connect_all(&w);
    duet_sim_run(w.sim, DUET_SECONDS(3));
    duet_pc_restart_ice(w.clients[1].pc);
    negotiate(&w.clients[1], &w.servers[1]);
    duet_sim_run(w.sim, DUET_SECONDS(6));
    for (unsigned i = 0; i < 3; i++)
        duet_dc_send(w.clients[i].dc, (uint8_t[]){(uint8_t)i}, 1, false);
    duet_sim_run(w.sim, DUET_SECONDS(40));
    assert_all_echoed(&w, 2);
    world_end(&w);
}

static void an_endpoint_that_is_removed_leaves_its_addresses_to_others(void **state)
{
    world w;
    duet_mux_stats stats;

    (void)state;
    world_begin(&w, 4, false);
    connect_all(&w);
    duet_sim_run(w.sim, DUET_SECONDS(3));
    drop_server(&w, 2);
    duet_sim_run(w.sim, DUET_SECONDS(4));
    duet_mux_get_stats(w.mux, &stats);
    assert_int_equal(stats.endpoints, 3);
    assert_int_equal(stats.remotes, 3);
    assert_true(w.clients[2].closed); /* the goodbye has left */
    for (unsigned i = 0; i < 4; i++) {
        if (i != 2)
            duet_dc_send(w.clients[i].dc, (uint8_t[]){(uint8_t)i}, 1, false);
    }
    duet_sim_run(w.sim, DUET_SECONDS(6));
    assert_int_equal(w.clients[0].received, 2);
    assert_int_equal(w.clients[3].received, 2);
    world_end(&w);
}

/* A Binding request to "ufrag:x", as a stranger can write it. */
static size_t write_check(uint8_t *out, size_t size, const char *ufrag)
{
    static const uint8_t id[DUET_STUN_TRANSACTION_LEN] = {1, 2, 3};
    duet_stun_builder b = duet_stun_begin(out, size, DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
    char username[300];
    size_t len = 0;

    snprintf(username, sizeof(username), "%s:x", ufrag);
    duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
    duet_stun_add_integrity(&b, "wrong", 5);
    duet_stun_add_fingerprint(&b);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    return len;
}

static void strangers_take_no_room_and_no_address(void **state)
{
    world w;
    uint8_t message[600];
    duet_address from, to;
    duet_mux_stats stats;

    (void)state;
    world_begin(&w, 2, false);
    connect_all(&w);
    duet_sim_run(w.sim, DUET_SECONDS(3));
    duet_address_parse(&to, SERVER, PORT);
    const char *ufrag = duet_pc_endpoint_ops()->local_ufrag(w.servers[0].pc, 0);
    for (uint16_t i = 0; i < 2000; i++) {
        duet_address_parse(&from, "192.0.2.66", (uint16_t)(1000 + i));
        size_t len = write_check(message, sizeof(message), i % 2 ? ufrag : "nobody");
        duet_sim_send(w.sim, &from, &to, message, len);
        duet_sim_send(w.sim, &from, &to, "\x17\xfe\xfd garbage", 11);
    }
    duet_sim_run(w.sim, DUET_SECONDS(4));
    duet_mux_get_stats(w.mux, &stats);
    assert_int_equal(stats.remotes, 2);
    assert_int_equal(stats.unknown_ufrag, 1000);
    assert_int_equal(stats.unknown_remote, 2000);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_connections_share_one_port),
        cmocka_unit_test(ice_lite_works_behind_the_port),
        cmocka_unit_test(a_restart_of_ice_is_found_by_its_new_username_fragment),
        cmocka_unit_test(an_endpoint_that_is_removed_leaves_its_addresses_to_others),
        cmocka_unit_test(strangers_take_no_room_and_no_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
