/* A whole call while each allocation of one side fails in turn: it may cost the attempt, but nothing crashes, leaks or
 * hangs. (What OpenSSL and usrsctp allocate themselves is not counted.) */
#include "peer_world.h"

typedef struct attempt {
    world *w;
    bool failed; /* an API call had no memory: a real application would end here */
} attempt;

static void pass_description(attempt *a, side *from)
{
    side *to = other_side(from);
    duet_sdp_type type;
    char *sdp = NULL;

    a->failed = a->failed || duet_pc_local_description(from->pc, &type, &sdp) != DUET_OK;
    if (!a->failed)
        a->failed = duet_pc_set_remote_description(to->pc, type, sdp) != DUET_OK;
    duet_free(&from->env, sdp);
}

static void pass_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    (void)pc;
    (void)duet_pc_add_ice_candidate(other_side(user)->pc, c);
}

static int connect_once(const duet_env *env, void *arg)
{
    duet_sim_link link = {.delay = DUET_MS(5)};
    attempt a = {.w = world_new(11, &link)};
    world *w = a.w;
    duet_dc *dc;
    side *victim = *(int *)arg ? &w->bob : &w->alice;

    victim->env.allocator = env->allocator;
    side *sides[] = {&w->alice, &w->bob};
    for (int i = 0; i < 2; i++) {
        duet_pc_config config = side_config(sides[i]);
        config.on_ice_candidate = pass_candidate;
        a.failed = a.failed || duet_pc_create(&sides[i]->pc, &config) != DUET_OK;
        if (!a.failed)
            assert_int_equal(duet_sim_add(sides[i]->host, sides[i]->pc), DUET_OK);
        else if (sides[i]->pc == NULL)
            break;
    }
    a.failed = a.failed || duet_pc_create_data_channel(w->alice.pc, "test", NULL, &dc) != DUET_OK;
    if (!a.failed)
        side_use(&w->alice, dc);
    a.failed = a.failed || duet_pc_set_local_description(w->alice.pc, DUET_SDP_OFFER, NULL) != DUET_OK;
    if (!a.failed)
        pass_description(&a, &w->alice);
    a.failed = a.failed || duet_pc_set_local_description(w->bob.pc, DUET_SDP_ANSWER, NULL) != DUET_OK;
    if (!a.failed)
        pass_description(&a, &w->bob);
    bool open = !a.failed && duet_sim_run_until(w->sim, world_is_open, w, duet_sim_now(w->sim) + DUET_SECONDS(8));
    bool arrived = open && world_send(w) == DUET_OK;
    if (arrived) {
        world_run(w, DUET_SECONDS(2));
        arrived = w->bob.received == 1 && w->bob.wrong == 0;
    }
    world_end(w);
    return arrived ? DUET_OK : DUET_ERR_NOMEM;
}

static unsigned connected;

static int count_connected(const duet_env *env, void *arg)
{
    int err = connect_once(env, arg);

    connected += err == DUET_OK;
    return err;
}

static void a_call_without_memory_fails_cleanly(void **state)
{
    (void)state;
    for (int victim = 0; victim < 2; victim++) {
        connected = 0;
        uint64_t failed = test_fail_each_allocation(victim ? "the answerer" : "the offerer", count_connected, &victim);
        print_message("%u of %llu calls came about all the same\n", connected, (unsigned long long)failed);
        assert_true(connected > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_without_memory_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
