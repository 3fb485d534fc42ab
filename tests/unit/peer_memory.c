/* Every allocation of the public functions fails in turn: each says so, changes nothing, leaks nothing, and works when it
 * is called again. */
#include "peer_pair.h"

typedef struct given {
    char *offer; /* of the other side */
} given;

static int create_one(duet_pc **pc, const duet_env *env)
{
    static const char *const urls[] = {"stun:192.0.2.1", "turn:192.0.2.2?transport=tcp"};
    static const duet_ice_server server = {urls, 2, "user", "secret"};
    static const duet_ice_server *const servers[] = {&server};
    static const char *const mapped[] = {"198.51.100.1"};
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    config.env = env;
    config.ice_servers = servers;
    config.ice_server_count = 1;
    config.nat_1to1 = mapped;
    config.nat_1to1_count = 1;
    return duet_pc_create(pc, &config);
}

static int run_create(const duet_env *env, void *arg)
{
    duet_pc *pc;

    (void)arg;
    int err = create_one(&pc, env);
    if (err != DUET_OK)
        assert_null(pc);
    duet_pc_destroy(pc);
    return err;
}

/* Calls again after a failure: then it must work, as only one allocation fails. */
#define TWICE(err, call)                                                                                               \
    do {                                                                                                               \
        int first_ = (call);                                                                                           \
        if (first_ != DUET_OK) {                                                                                       \
            assert_int_equal(first_, DUET_ERR_NOMEM);                                                                  \
            (err) = first_;                                                                                            \
            assert_int_equal((call), DUET_OK);                                                                         \
        }                                                                                                              \
    } while (0)

static int run_offer(const duet_env *env, void *arg)
{
    const given *g = arg;
    duet_pc *pc;
    duet_dc *dc;
    char *sdp;
    duet_sdp_type type;

    int err = create_one(&pc, env);
    if (err != DUET_OK)
        return err;
    TWICE(err, duet_pc_create_data_channel(pc, "label", NULL, &dc));
    TWICE(err, duet_pc_create_offer(pc, NULL, &sdp));
    duet_free(env, sdp);
    TWICE(err, duet_pc_set_local_description(pc, DUET_SDP_OFFER, NULL));
    assert_int_equal(duet_pc_signaling_state(pc), DUET_SIGNALING_HAVE_LOCAL_OFFER);
    TWICE(err, duet_pc_local_description(pc, &type, &sdp));
    duet_free(env, sdp);
    TWICE(err, duet_pc_set_local_description(pc, DUET_SDP_ROLLBACK, NULL));
    TWICE(err, duet_pc_set_local_description(pc, DUET_SDP_NONE, NULL));
    TWICE(err, duet_pc_set_remote_description(pc, DUET_SDP_OFFER, g->offer)); /* both have offered */
    assert_int_equal(duet_pc_signaling_state(pc), DUET_SIGNALING_HAVE_REMOTE_OFFER);
    duet_pc_close(pc);
    duet_pc_destroy(pc);
    return err;
}

static int run_answer(const duet_env *env, void *arg)
{
    const given *g = arg;
    const duet_pc_candidate candidate = {"candidate:1 1 udp 1 192.0.2.7 50000 typ host", "0", 0, NULL};
    const duet_pc_candidate late = {"candidate:2 1 udp 1 192.0.2.8 50000 typ host", "0", 0, NULL};
    const duet_pc_candidate end_of = {"", "0", 0, NULL};
    duet_pc_config other = DUET_PC_CONFIG_INIT;
    duet_pc *pc;
    char *sdp;

    int err = create_one(&pc, env);
    if (err != DUET_OK)
        return err;
    TWICE(err, duet_pc_add_ice_candidate(pc, &candidate));
    TWICE(err, duet_pc_set_remote_description(pc, DUET_SDP_OFFER, g->offer));
    TWICE(err, duet_pc_create_answer(pc, &sdp));
    duet_free(env, sdp);
    TWICE(err, duet_pc_set_local_description(pc, DUET_SDP_PRANSWER, NULL));
    TWICE(err, duet_pc_set_local_description(pc, DUET_SDP_NONE, NULL));
    assert_int_equal(duet_pc_signaling_state(pc), DUET_SIGNALING_STABLE);
    TWICE(err, duet_pc_add_ice_candidate(pc, &late));
    TWICE(err, duet_pc_add_ice_candidate(pc, &end_of));
    TWICE(err, duet_pc_set_configuration(pc, &other));
    duet_pc_destroy(pc);
    return err;
}

static void each_call_survives_a_lack_of_memory(void **state)
{
    (void)state;
    end other;
    given g;

    end_create_with_channel(&other, 9);
    g.offer = end_offer(&other);
    test_fail_each_allocation("duet_pc_create", run_create, NULL);
    test_fail_each_allocation("offers", run_offer, &g);
    test_fail_each_allocation("answers and candidates", run_answer, &g);
    free(g.offer);
    end_destroy(&other);
}

/* States that found no memory for their event are told later. */
static void a_lost_event_is_told_at_the_next_tick(void **state)
{
    (void)state;
    test_allocator t;
    end alice;
    duet_dc *dc;
    duet_pc_config config = end_config(&alice, 1);

    test_allocator_init(&t, 0);
    alice.env.allocator = &t.allocator;
    assert_int_equal(duet_pc_create(&alice.pc, &config), DUET_OK);
    assert_int_equal(duet_pc_create_data_channel(alice.pc, "label", NULL, &dc), DUET_OK);
    for (uint64_t n = 1; n < 2000; n++) {
        alice.signaling_events = 0;
        t.fail_at = t.calls + n;
        int err = duet_pc_set_local_description(alice.pc, DUET_SDP_OFFER, NULL);
        bool used = t.calls >= t.fail_at;
        t.fail_at = 0;
        if (err == DUET_OK) {
            if (alice.signaling_events == 0)
                assert_true(duet_pc_deadline(alice.pc) != DUET_NEVER);
            duet_pc_tick(alice.pc, DUET_MS(20) * n);
            assert_int_equal(alice.signaling_events, 1);
            assert_int_equal(duet_pc_set_local_description(alice.pc, DUET_SDP_ROLLBACK, NULL), DUET_OK);
        }
        if (!used)
            break;
    }
    end_destroy(&alice);
    assert_int_equal(t.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_survives_a_lack_of_memory),
        cmocka_unit_test(a_lost_event_is_told_at_the_next_tick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
