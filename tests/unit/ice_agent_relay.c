/* The agent and its relays, against a scripted TURN server: errors, redirections, refused peers, policy, memory. */
#include "ice_world.h"

#define REALM "example.org"

static const char *const urls[] = {"turn:192.0.2.99"};
static const duet_ice_server turn_entry = {.urls = urls, .url_count = 1, .username = "u", .credential = "p"};
static const duet_ice_server *const turn_list[] = {&turn_entry};

/* What the scripted server does. */
typedef struct script {
    unsigned error;         /* to an authenticated Allocate */
    unsigned peer_error;    /* to CreatePermission */
    duet_address alternate; /* 300 to the first Allocate */
    bool always_alternate;
    duet_address client;  /* the one that has the allocation */
    duet_address relayed; /* where peers reach it */
    unsigned allocates, permissions, channels, releases, redirects;
    uint16_t number; /* channel */
    duet_address channel_peer;
} script;

static script s;

static void respond(world *w, const world_packet *p, duet_stun_builder *b, bool sign)
{
    uint8_t key[16];
    size_t len;

    assert_int_equal(duet_stun_key_md5(key, "u", REALM, "p"), DUET_OK);
    if (sign)
        duet_stun_add_integrity(b, key, sizeof(key));
    duet_stun_add_fingerprint(b);
    assert_int_equal(duet_stun_end(b, &len), DUET_OK);
    world_send(w, &p->to, &p->from, b->data, len);
}

static void refuse(world *w, const world_packet *p, const duet_stun_message *m, unsigned code, bool sign)
{
    uint8_t out[256];
    duet_stun_builder b = duet_stun_begin(out, sizeof(out), DUET_STUN_ERROR, m->method, m->transaction_id);

    duet_stun_add_error(&b, code, NULL);
    if (code == 401) {
        duet_stun_add_text(&b, DUET_STUN_REALM, REALM);
        duet_stun_add_text(&b, DUET_STUN_NONCE, "nonce");
    }
    if (code == 300)
        duet_stun_add_address(&b, DUET_STUN_ALTERNATE_SERVER, &s.alternate);
    respond(w, p, &b, sign);
}

static void grant(world *w, const world_packet *p, const duet_stun_message *m)
{
    uint8_t out[256];
    duet_stun_builder b = duet_stun_begin(out, sizeof(out), DUET_STUN_SUCCESS, m->method, m->transaction_id);

    if (m->method == DUET_STUN_ALLOCATE) {
        s.client = p->from;
        s.relayed = p->to;
        s.relayed.port = 50000;
        duet_stun_add_address(&b, DUET_STUN_XOR_RELAYED_ADDRESS, &s.relayed);
        duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &p->from);
    }
    duet_stun_add_u32(&b, DUET_STUN_LIFETIME, 600);
    respond(w, p, &b, true);
}

static void take_request(world *w, const world_packet *p, const duet_stun_message *m)
{
    duet_stun_attribute a;
    uint32_t lifetime = 1;

    s.allocates += m->method == DUET_STUN_ALLOCATE;
    if (m->method == DUET_STUN_ALLOCATE && s.alternate.family &&
        (s.always_alternate || !world_ip_is(&p->to, &s.alternate))) {
        s.redirects++;
        refuse(w, p, m, 300, false);
        return;
    }
    if (!duet_stun_find(m, DUET_STUN_NONCE, NULL)) {
        refuse(w, p, m, 401, false);
        return;
    }
    if (m->method == DUET_STUN_ALLOCATE && s.error) {
        refuse(w, p, m, s.error, true);
        return;
    }
    if (m->method == DUET_STUN_CREATE_PERMISSION && s.peer_error) {
        refuse(w, p, m, s.peer_error, true);
        return;
    }
    s.permissions += m->method == DUET_STUN_CREATE_PERMISSION;
    if (m->method == DUET_STUN_REFRESH && duet_stun_get_u32(m, DUET_STUN_LIFETIME, &lifetime) == DUET_OK)
        s.releases += lifetime == 0;
    if (m->method == DUET_STUN_CHANNEL_BIND && duet_stun_find(m, DUET_STUN_CHANNEL_NUMBER, &a)) {
        assert_int_equal(duet_stun_value_u16(&a, &s.number), DUET_OK);
        assert_int_equal(duet_stun_get_address(m, DUET_STUN_XOR_PEER_ADDRESS, &s.channel_peer), DUET_OK);
        s.channels++;
    }
    grant(w, p, m);
}

/* From the client to a peer. */
static bool relay_out(world *w, const world_packet *p)
{
    duet_stun_message m;
    duet_stun_attribute data;
    duet_address peer;

    if (p->len >= 4 && p->data[0] >> 6 == 1) {
        world_send(w, &s.relayed, &s.channel_peer, p->data + 4, (size_t)(p->data[2] << 8 | p->data[3]));
        return true;
    }
    if (duet_stun_parse(&m, p->data, p->len) != DUET_OK)
        return true;
    if (m.message_class == DUET_STUN_INDICATION && m.method == DUET_STUN_SEND) {
        assert_int_equal(duet_stun_get_address(&m, DUET_STUN_XOR_PEER_ADDRESS, &peer), DUET_OK);
        assert_true(duet_stun_find(&m, DUET_STUN_DATA_ATTRIBUTE, &data));
        world_send(w, &s.relayed, &peer, data.value, data.len);
        return true;
    }
    if (m.method == DUET_STUN_BINDING)
        return m.message_class != DUET_STUN_REQUEST;
    if (m.message_class == DUET_STUN_REQUEST)
        take_request(w, p, &m);
    return true;
}

/* From a peer to the client. */
static void relay_in(world *w, const world_packet *p)
{
    uint8_t out[1600], id[12] = {7};
    size_t len;

    if (s.number && duet_address_equal(&p->from, &s.channel_peer)) {
        out[0] = (uint8_t)(s.number >> 8);
        out[1] = (uint8_t)s.number;
        out[2] = (uint8_t)(p->len >> 8);
        out[3] = (uint8_t)p->len;
        memcpy(out + 4, p->data, p->len);
        len = p->len + 4;
    } else {
        duet_stun_builder b = duet_stun_begin(out, sizeof(out), DUET_STUN_INDICATION, DUET_STUN_DATA, id);
        duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &p->from);
        duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, p->data, p->len);
        assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    }
    duet_address server = s.relayed;
    server.port = 3478;
    world_send(w, &server, &s.client, out, len);
}

/* All that is sent to the addresses of servers, 192.0.2.x. */
static bool serve(world *w, const world_packet *p)
{
    if (p->to.ip[0] != 192)
        return false;
    if (p->to.port == 3478)
        return relay_out(w, p);
    if (s.relayed.port && p->to.port == s.relayed.port && world_ip_is(&p->to, &s.relayed))
        relay_in(w, p);
    return true;
}

static void with_turn(world *w, uint64_t seed, duet_ice_policy policy)
{
    memset(&s, 0, sizeof(s));
    world_two_hosts(w, seed);
    w->server = serve;
    w->agents[0].config.servers = turn_list;
    w->agents[0].config.server_count = 1;
    w->agents[0].config.policy = policy;
}

static void a_relay_connects_and_is_released_at_the_end(void **state)
{
    world w;

    (void)state;
    with_turn(&w, 1, DUET_ICE_RELAY);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(3));
    assert_int_equal(w.agents[0].candidate_count, 1);
    const duet_candidate *c = &w.agents[0].candidates[0];
    assert_int_equal(c->type, DUET_CANDIDATE_RELAY);
    assert_int_equal(c->priority >> 24, 0);
    assert_true(duet_address_is_any(&c->related) && c->related.port == 0);
    assert_int_equal(w.agents[0].selected_local.type, DUET_CANDIDATE_RELAY);
    assert_int_equal(s.allocates, 2);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(s.channels, 1);
    duet_ice_agent_close(w.agents[0].agent, w.now);
    assert_int_equal(duet_ice_agent_deadline(w.agents[0].agent),
                     DUET_NEVER); /* the last words are to be pulled first */
    duet_request request;
    assert_int_equal(duet_ice_agent_request(w.agents[0].agent, &request), 0);
    world_pull(&w.agents[0]);
    assert_int_equal(duet_ice_agent_deadline(w.agents[0].agent), 0);
    assert_int_equal(duet_ice_agent_request(w.agents[0].agent, &request), 1);
    assert_int_equal(request.kind, DUET_REQUEST_CLOSE);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(s.releases, 1);
    world_free(&w);
}

/* RFC 8445 section 8.3.1. One whose pair works stays as a reserve. */
static void a_relay_that_serves_no_pair_is_released(void **state)
{
    world w;

    (void)state;
    with_turn(&w, 2, DUET_ICE_ALL);
    s.peer_error = 403;
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(3));
    assert_int_equal(w.agents[0].selected_local.type, DUET_CANDIDATE_HOST);
    world_run(&w, DUET_SECONDS(5));
    assert_int_equal(s.releases, 1);
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_free(&w);
}

static void errors_of_the_server_are_reported_with_their_code(void **state)
{
    static const unsigned codes[] = {403, 437, 441, 442, 486, 508};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        world w;
        char code[8];
        with_turn(&w, 3 + i, DUET_ICE_ALL);
        s.error = codes[i];
        world_start(&w);
        world_run_until_completed(&w, DUET_SECONDS(3));
        world_run(&w, DUET_SECONDS(1));
        snprintf(code, sizeof(code), "%u ", codes[i]);
        assert_int_equal(w.agents[0].error_events, 1);
        assert_memory_equal(w.agents[0].last_error, code, 4);
        assert_true(w.agents[0].end_of_candidates);
        world_free(&w);
    }
}

static void a_silent_server_is_701_and_does_not_hold_up_the_others(void **state)
{
    world w;

    (void)state;
    with_turn(&w, 20, DUET_ICE_ALL);
    w.server = NULL;
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(3));
    world_run(&w, DUET_SECONDS(40));
    assert_int_equal(w.agents[0].errors_701, 1);
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

static void an_alternate_server_is_used_and_a_circle_is_left(void **state)
{
    world w;

    (void)state;
    with_turn(&w, 21, DUET_ICE_RELAY);
    s.alternate = world_address("192.0.2.100", 3478);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(3));
    assert_int_equal(s.redirects, 1);
    assert_int_equal(w.agents[0].candidates[0].address.ip[3], 100);
    world_free(&w);
    with_turn(&w, 22, DUET_ICE_RELAY);
    s.alternate = world_address("192.0.2.100", 3478);
    s.always_alternate = true;
    world_start(&w);
    world_run(&w, DUET_SECONDS(3));
    assert_int_equal(s.redirects, 2);
    assert_memory_equal(w.agents[0].last_error, "300 ", 4);
    assert_true(w.agents[0].end_of_candidates);
    world_free(&w);
}

static void pairs_with_refused_peers_fail_at_once(void **state)
{
    world w;
    duet_ice_pair_stats pair;

    (void)state;
    with_turn(&w, 23, DUET_ICE_RELAY);
    s.peer_error = 403;
    world_start(&w);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(duet_ice_agent_get_pair(w.agents[0].agent, 0, &pair), DUET_OK);
    assert_int_equal(pair.state, DUET_ICE_PAIR_FAILED);
    assert_true(pair.requests_sent <= 2);
    world_free(&w);
}

/* Whoever knows an address of the host learns nothing there when only relays are to be used. */
static void checks_to_host_addresses_are_not_answered_with_the_relay_policy(void **state)
{
    world w;
    duet_candidate c = {.component = 1, .foundation = "1", .priority = 1};

    (void)state;
    with_turn(&w, 24, DUET_ICE_RELAY);
    s.peer_error = 403; /* nothing goes through the relay */
    world_start(&w);
    world_run(&w, DUET_MS(500));
    c.address = w.agents[0].sockets[1];
    assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[1].agent, &c, w.now), DUET_OK);
    world_run(&w, DUET_SECONDS(5));
    assert_int_equal(w.agents[1].state, DUET_ICE_CHECKING);
    world_free(&w);
}

static void other_servers_at_a_restart_release_what_is_not_wanted_any_more(void **state)
{
    world w;

    (void)state;
    with_turn(&w, 25, DUET_ICE_ALL);
    world_create(&w);
    assert_int_equal(duet_ice_agent_gather(w.agents[0].agent, w.now), DUET_OK);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(s.allocates, 2);
    assert_int_equal(duet_ice_agent_set_servers(w.agents[0].agent, turn_list, 1, DUET_ICE_ALL), DUET_OK);
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, NULL, w.now), DUET_OK);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(s.allocates, 2); /* the same server: kept */
    assert_int_equal(s.releases, 0);
    assert_int_equal(duet_ice_agent_set_servers(w.agents[0].agent, NULL, 0, DUET_ICE_ALL), DUET_OK);
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, NULL, w.now), DUET_OK);
    world_run(&w, DUET_SECONDS(1));
    assert_int_equal(s.releases, 1);
    world_free(&w);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

static int whole_life(const duet_env *env, void *arg)
{
    world w;
    bool made = true;

    (void)arg;
    with_turn(&w, 30, DUET_ICE_RELAY);
    w.agents[0].env.allocator = env->allocator;
    for (size_t i = 0; i < WORLD_AGENTS && made; i++)
        made = duet_ice_agent_create(&w.agents[i].agent, &w.agents[i].config) == DUET_OK;
    bool failed = !made;
    for (int i = 0; i < 100 && made; i++) { /* what found no memory is asked for again */
        for (size_t k = 0; k < WORLD_AGENTS; k++) {
            duet_ice_credentials c = *duet_ice_agent_local_credentials(w.agents[1 - k].agent);
            failed = duet_ice_agent_gather(w.agents[k].agent, w.now) != DUET_OK || failed;
            failed = duet_ice_agent_set_remote(w.agents[k].agent, &c, false, w.now) != DUET_OK || failed;
        }
        w.signalled = true;
        world_run(&w, DUET_MS(50));
    }
    failed = failed || w.agents[0].answer_errors || !made || !world_is_up(&w.agents[0]);
    world_free(&w);
    return failed ? DUET_ERR_NOMEM : DUET_OK;
}

static void each_allocation_of_memory_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("agent with a relay", whole_life, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_relay_connects_and_is_released_at_the_end),
        cmocka_unit_test(a_relay_that_serves_no_pair_is_released),
        cmocka_unit_test(errors_of_the_server_are_reported_with_their_code),
        cmocka_unit_test(a_silent_server_is_701_and_does_not_hold_up_the_others),
        cmocka_unit_test(an_alternate_server_is_used_and_a_circle_is_left),
        cmocka_unit_test(pairs_with_refused_peers_fail_at_once),
        cmocka_unit_test(checks_to_host_addresses_are_not_answered_with_the_relay_policy),
        cmocka_unit_test(other_servers_at_a_restart_release_what_is_not_wanted_any_more),
        cmocka_unit_test(each_allocation_of_memory_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
