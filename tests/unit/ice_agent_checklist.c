/* The checklist from outside: freezing, which candidates pair, responses of every kind, reserves, what is traced. */
#include "base/log.h"
#include "ice_world.h"

#define PWD "0123456789012345678901"

static void add(world *w, const char *line)
{
    duet_candidate c;

    assert_int_equal(duet_candidate_parse(&c, line, strlen(line), NULL, NULL), DUET_OK);
    assert_int_equal(duet_ice_agent_add_remote_candidate(w->agents[0].agent, &c, w->now), DUET_OK);
}

/* One agent, whose peer is written by hand. */
static void lonely(world *w, duet_ice_role role)
{
    duet_ice_credentials c = {.ufrag = "remote", .pwd = PWD};

    world_two_hosts(w, 3);
    w->agents[0].config.role = role;
    world_create(w);
    assert_int_equal(duet_ice_agent_gather(w->agents[0].agent, w->now), DUET_OK);
    world_serve_requests(&w->agents[0]);
    assert_int_equal(duet_ice_agent_set_remote(w->agents[0].agent, &c, false, w->now), DUET_OK);
}

static duet_ice_pair_state pair_state(const world *w, size_t index)
{
    duet_ice_pair_stats pair;

    assert_int_equal(duet_ice_agent_get_pair(w->agents[0].agent, index, &pair), DUET_OK);
    return pair.state;
}

/* Takes the next request that the agent sends. */
static duet_stun_message next_request(world *w, uint8_t *buf, duet_path *path)
{
    duet_datagram out;
    duet_stun_message m;

    do {
        assert_int_equal(duet_ice_agent_output(w->agents[0].agent, &out, w->now), 1);
        memcpy(buf, out.data, out.len);
        assert_int_equal(duet_stun_parse(&m, buf, out.len), DUET_OK);
    } while (m.message_class != DUET_STUN_REQUEST);
    *path = out.path;
    return m;
}

static void respond(world *w, const duet_stun_message *request, const duet_path *path, unsigned code, const char *pwd)
{
    uint8_t buf[300];
    size_t len;
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), code ? DUET_STUN_ERROR : DUET_STUN_SUCCESS,
                                          DUET_STUN_BINDING, request->transaction_id);

    if (code)
        duet_stun_add_error(&b, code, NULL);
    else
        duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &path->local);
    duet_stun_add_integrity(&b, pwd, strlen(pwd));
    duet_stun_add_fingerprint(&b);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    duet_datagram in = {.path = *path, .data = buf, .len = len, .time = w->now};
    assert_int_equal(duet_ice_agent_input(w->agents[0].agent, &in, w->now), DUET_OK);
}

static void advance(world *w, duet_time by)
{
    for (duet_time end = w->now + by;;) {
        duet_time deadline = duet_ice_agent_deadline(w->agents[0].agent);
        if (deadline > end) {
            w->now = end;
            return;
        }
        w->now = deadline > w->now ? deadline : w->now;
        duet_ice_agent_tick(w->agents[0].agent, w->now);
    }
}

static void pairs_of_one_foundation_wait_for_the_first(void **state)
{
    world w;
    uint8_t buf[700];
    duet_path path;

    (void)state;
    lonely(&w, DUET_ICE_CONTROLLED);
    add(&w, "candidate:1 1 udp 2113929471 10.0.0.9 1001 typ host");
    add(&w, "candidate:1 1 udp 2113929470 10.0.0.9 1002 typ host");
    add(&w, "candidate:2 1 udp 2113929469 10.0.0.8 1003 typ host");
    assert_int_equal(pair_state(&w, 0), DUET_ICE_PAIR_IN_PROGRESS);
    assert_int_equal(pair_state(&w, 1), DUET_ICE_PAIR_FROZEN);
    assert_int_equal(pair_state(&w, 2), DUET_ICE_PAIR_WAITING);
    duet_stun_message first = next_request(&w, buf, &path);
    advance(&w, DUET_MS(30));
    assert_int_equal(pair_state(&w, 1), DUET_ICE_PAIR_FROZEN);
    assert_int_equal(pair_state(&w, 2), DUET_ICE_PAIR_IN_PROGRESS);
    respond(&w, &first, &path, 0, PWD);
    assert_int_equal(pair_state(&w, 0), DUET_ICE_PAIR_SUCCEEDED);
    assert_true(pair_state(&w, 1) == DUET_ICE_PAIR_WAITING || pair_state(&w, 1) == DUET_ICE_PAIR_IN_PROGRESS);
    /* One that comes late finds its foundation proven. */
    add(&w, "candidate:1 1 udp 2113929460 10.0.0.9 1004 typ host");
    assert_true(pair_state(&w, 3) == DUET_ICE_PAIR_WAITING);
    world_free(&w);
}

static void a_frozen_pair_gets_its_turn_when_the_first_has_failed(void **state)
{
    world w;
    uint8_t buf[700];
    duet_path path;

    (void)state;
    lonely(&w, DUET_ICE_CONTROLLED);
    add(&w, "candidate:1 1 udp 2113929471 10.0.0.9 1001 typ host");
    add(&w, "candidate:1 1 udp 2113929470 10.0.0.9 1002 typ host");
    duet_stun_message first = next_request(&w, buf, &path);
    respond(&w, &first, &path, 400, PWD);
    assert_int_equal(pair_state(&w, 0), DUET_ICE_PAIR_FAILED);
    advance(&w, DUET_MS(30));
    assert_int_equal(pair_state(&w, 1), DUET_ICE_PAIR_IN_PROGRESS);
    world_free(&w);
}

static void a_forged_response_does_not_end_the_check(void **state)
{
    world w;
    uint8_t buf[700];
    duet_path path;
    duet_ice_stats stats;

    (void)state;
    lonely(&w, DUET_ICE_CONTROLLED);
    add(&w, "candidate:1 1 udp 2113929471 10.0.0.9 1001 typ host");
    duet_stun_message request = next_request(&w, buf, &path);
    respond(&w, &request, &path, 0, "somebody else's password");
    respond(&w, &request, &path, 400, "somebody else's password");
    assert_int_equal(pair_state(&w, 0), DUET_ICE_PAIR_IN_PROGRESS);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.discarded, 2);
    respond(&w, &request, &path, 0, PWD);
    assert_int_equal(pair_state(&w, 0), DUET_ICE_PAIR_SUCCEEDED);
    respond(&w, &request, &path, 0, PWD); /* the same once more: it belongs to no transaction */
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.discarded, 3);
    world_free(&w);
}

static void a_487_switches_the_role_and_the_check_is_repeated(void **state)
{
    world w;
    uint8_t buf[700];
    duet_path path;
    uint64_t first, second;

    (void)state;
    lonely(&w, DUET_ICE_CONTROLLED);
    add(&w, "candidate:1 1 udp 2113929471 10.0.0.9 1001 typ host");
    duet_stun_message request = next_request(&w, buf, &path);
    assert_int_equal(duet_stun_get_u64(&request, DUET_STUN_ICE_CONTROLLED, &first), DUET_OK);
    respond(&w, &request, &path, 487, PWD);
    assert_int_equal(duet_ice_agent_role(w.agents[0].agent), DUET_ICE_CONTROLLING);
    request = next_request(&w, buf, &path);
    assert_int_equal(duet_stun_get_u64(&request, DUET_STUN_ICE_CONTROLLING, &second), DUET_OK);
    assert_true(first != second);
    world_free(&w);
}

static void loopback_pairs_with_loopback(void **state)
{
    world w;
    duet_ice_stats stats;

    (void)state;
    lonely(&w, DUET_ICE_CONTROLLED);
    add(&w, "candidate:1 1 udp 2113929471 127.0.0.1 22 typ host"); /* a service of this host: never checked */
    add(&w, "candidate:1 1 udp 2113929471 fe80::1 1001 typ host");
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.pair_count, 0);
    world_free(&w);

    /* An agent that has nothing but loopback may try others. */
    duet_ice_credentials c = {.ufrag = "remote", .pwd = PWD};
    world_two_hosts(&w, 4);
    w.agents[0].config.bind = world_address("127.0.0.1", 0);
    world_create(&w);
    assert_int_equal(duet_ice_agent_gather(w.agents[0].agent, w.now), DUET_OK);
    world_serve_requests(&w.agents[0]);
    assert_int_equal(duet_ice_agent_set_remote(w.agents[0].agent, &c, false, w.now), DUET_OK);
    add(&w, "candidate:1 1 udp 2113929471 10.99.0.1 1001 typ host");
    add(&w, "candidate:1 1 udp 2113929471 10.99.0.1 1001 typ host"); /* again: ignored */
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.pair_count, 1);
    assert_int_equal(stats.candidates_ignored, 1);
    world_free(&w);
}

static void indications_are_silent_and_broken_messages_are_counted(void **state)
{
    world w;
    duet_ice_stats stats;
    uint8_t buf[64], id[12] = {0};
    size_t len;

    (void)state;
    lonely(&w, DUET_ICE_CONTROLLED);
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_INDICATION, DUET_STUN_BINDING, id);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    duet_datagram in = {.data = buf, .len = len};
    in.path = (duet_path){.socket = 1, .remote = world_address("10.0.0.9", 5)};
    assert_int_equal(duet_ice_agent_input(w.agents[0].agent, &in, w.now), DUET_OK);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.discarded, 0);
    b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_ALLOCATE, id);
    assert_int_equal(duet_ice_agent_input(w.agents[0].agent, &in, w.now), DUET_OK);
    duet_ice_agent_get_stats(w.agents[0].agent, &stats);
    assert_int_equal(stats.discarded, 1);
    buf[0] = 0x16; /* DTLS */
    assert_int_equal(duet_ice_agent_input(w.agents[0].agent, &in, w.now), DUET_ERR_NOT_MINE);
    assert_false(duet_ice_agent_validated(w.agents[0].agent, &in.path));
    world_free(&w);
}

static void bad_arguments_are_refused(void **state)
{
    world w;
    duet_ice_credentials bad = {.ufrag = "abc", .pwd = PWD};
    static const char *const nat[] = {"not an address"};

    (void)state;
    lonely(&w, DUET_ICE_CONTROLLED);
    assert_int_equal(duet_ice_agent_set_remote(w.agents[0].agent, &bad, false, w.now), DUET_ERR_INVALID);
    duet_ice_agent_set_role(w.agents[0].agent, DUET_ICE_CONTROLLING); /* too late: checks have started */
    assert_int_equal(duet_ice_agent_role(w.agents[0].agent), DUET_ICE_CONTROLLED);
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, NULL, w.now), DUET_OK);
    duet_ice_agent_set_role(w.agents[0].agent, DUET_ICE_CONTROLLING);
    assert_int_equal(duet_ice_agent_role(w.agents[0].agent), DUET_ICE_CONTROLLING);
    assert_int_equal(duet_ice_agent_gather(w.agents[0].agent, w.now), DUET_OK); /* a second time: nothing */
    duet_ice_agent_close(w.agents[0].agent, w.now);
    duet_ice_agent_close(w.agents[0].agent, w.now);
    duet_candidate c = {0};
    assert_int_equal(duet_ice_agent_add_remote_candidate(w.agents[0].agent, &c, w.now), DUET_ERR_STATE);
    assert_int_equal(duet_ice_agent_restart(w.agents[0].agent, NULL, w.now), DUET_ERR_STATE);
    world_free(&w);

    duet_ice_config config;
    duet_ice_agent *agent;
    duet_ice_config_init(&config);
    config.nat_1to1 = nat;
    config.nat_1to1_count = 1;
    assert_int_equal(duet_ice_agent_create(&agent, &config), DUET_ERR_INVALID);
    duet_ice_agent_destroy(NULL);
}

/* Data reconnects too: the pair is alive in that direction, and the next consent check will tell the other. */
static void data_ends_the_silence(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 5);
    world_start(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    w.agents[1].blackhole = true;
    world_run(&w, DUET_SECONDS(14));
    assert_int_equal(w.agents[0].state, DUET_ICE_DISCONNECTED);
    w.agents[1].blackhole = false;
    assert_true(world_send_data(&w, 1));
    world_run(&w, 2 * w.delay);
    assert_int_equal(w.agents[0].state, DUET_ICE_COMPLETED);
    world_run(&w, DUET_SECONDS(60));
    assert_true(world_is_up(&w.agents[0]) && world_is_up(&w.agents[1]));
    world_free(&w);
}

/* ---- what is told to observers --------------------------------------------------------------------------------------- */

static size_t states, discards, lines;
static char secrets[2][DUET_PWD_MAX + 1];

static void on_trace(void *user, const duet_trace_event *event)
{
    (void)user;
    assert_string_equal(event->module, "ice");
    states += event->kind == DUET_TRACE_STATE;
    discards += event->kind == DUET_TRACE_DISCARD;
    if (event->kind == DUET_TRACE_STATE)
        assert_true(event->subject && event->from && event->to && event->cause);
}

static void on_log(void *user, duet_log_level level, const char *module, const char *text)
{
    (void)user;
    (void)level;
    assert_string_equal(module, "ice");
    lines++;
    for (size_t i = 0; i < 2; i++)
        assert_null(secrets[i][0] ? strstr(text, secrets[i]) : NULL);
}

static void observers_see_states_and_discards_but_no_secrets(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 6);
    w.agents[0].env.trace = on_trace;
    w.agents[0].env.log = on_log;
    w.agents[0].env.log_level = DUET_LOG_DEBUG;
    world_create(&w);
    for (size_t i = 0; i < 2; i++)
        memcpy(secrets[i], duet_ice_agent_local_credentials(w.agents[i].agent)->pwd, sizeof(secrets[i]));
    world_gather(&w);
    world_exchange_credentials(&w);
    world_run_until_completed(&w, DUET_SECONDS(5));
    assert_true(states >= 6 && lines >= 6);
    uint8_t buf[64] = {0};
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, buf + 40);
    duet_datagram in = {.data = buf, .len = b.len};
    (void)duet_ice_agent_input(w.agents[0].agent, &in, w.now);
    assert_int_equal(discards, 1);
    for (int i = 0; i < 8; i++)
        assert_non_null(duet_ice_state_name((duet_ice_state)i));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_one_foundation_wait_for_the_first),
        cmocka_unit_test(a_frozen_pair_gets_its_turn_when_the_first_has_failed),
        cmocka_unit_test(a_forged_response_does_not_end_the_check),
        cmocka_unit_test(a_487_switches_the_role_and_the_check_is_repeated),
        cmocka_unit_test(loopback_pairs_with_loopback),
        cmocka_unit_test(indications_are_silent_and_broken_messages_are_counted),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(data_ends_the_silence),
        cmocka_unit_test(observers_see_states_and_discards_but_no_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
