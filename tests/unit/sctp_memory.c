/* Associations and channels when memory is short, and what they allocate when it is not. */
#include "sctp_pair.h"

static channel_log there;

static void take_channel(sctp_pair *p, int side, duet_dc *dc)
{
    (void)p, (void)side;
    duet_dc_callbacks c = log_callbacks(&there);
    duet_dc_set_callbacks(dc, &c);
}

static bool association_ended(const sctp_pair *p)
{
    return duet_sctp_get_state(p->peer[0].sctp) == DUET_SCTP_CLOSED ||
           duet_sctp_get_state(p->peer[1].sctp) == DUET_SCTP_CLOSED;
}

/* Opening, a small and a large message, closing. */
static int whole_life(const duet_env *env, void *arg)
{
    static uint8_t message[150000];
    sctp_pair *p = pair_new();
    channel_log here = {0};
    duet_dc_callbacks c = log_callbacks(&here);
    duet_dc *dc = NULL;
    int err = DUET_OK;

    (void)arg;
    memset(&there, 0, sizeof(there));
    p->on_channel = take_channel;
    for (int i = 0; !err && i < 2; i++) {
        duet_sctp_config config;
        pair_config(p, i, &config, env);
        config.streams = 16;
        config.send_buffer = 65536;
        err = duet_sctp_create(&p->peer[i].sctp, &config);
    }
    if (!err)
        err = duet_dc_create(&dc, p->peer[0].sctp, "label", NULL, &c, p->now);
    if (!err)
        err = pair_connect(p);
    if (!err) {
        assert_true(pair_run_until_connected(p, DUET_SECONDS(10)));
        pair_run(p, DUET_MS(200));
        assert_true(here.opened || here.closed); /* never forgotten */
        if (!here.opened || here.closed || there.opened == 0)
            err = DUET_ERR_NOMEM;
    }
    if (!err)
        err = duet_dc_send(dc, message, 10, false);
    if (!err)
        err = duet_dc_send(dc, message, sizeof(message), false);
    if (!err) {
        pair_run(p, DUET_SECONDS(5));
        assert_false(association_ended(p));
        if (there.messages != 2) {
            assert_int_equal(there.closed, 1); /* a broken promise is told */
            err = DUET_ERR_NOMEM;
        }
        duet_dc_close(dc);
        pair_run(p, DUET_SECONDS(5));
        assert_int_equal(here.closed, 1);
        assert_int_equal(there.closed, 1);
    }
    free(there.last);
    free(here.last);
    there.last = NULL;
    pair_free(p);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("association with a channel", whole_life, NULL);
}

static uint64_t allocations_of(size_t size, int count, bool outside)
{
    test_allocator t;
    test_allocator_init(&t, 0);
    duet_env env = DUET_ENV_INIT;
    env.allocator = &t.allocator;
    sctp_pair *p = pair_ready(&env);
    channel_log here = {0};
    duet_dc_callbacks c = log_callbacks(&here);
    duet_dc *dc;
    uint8_t *message = calloc(1, size);
    uint64_t before = 0;

    assert_non_null(message);
    p->on_channel = take_channel;
    p->delay = DUET_MS(1);
    memset(&there, 0, sizeof(there));
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", NULL, &c, p->now), DUET_OK);
    pair_run(p, DUET_MS(50));
    for (int i = 0; i < 2 * count; i++) {
        if (i == count)
            before = t.calls;
        assert_int_equal(duet_dc_send(dc, message, size, false), DUET_OK);
        if (outside)
            assert_int_equal(duet_dc_send(dc, message, size, false), DUET_OK);
        pair_run(p, DUET_MS(20));
    }
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(there.messages, 2 * count * (outside ? 2 : 1));
    uint64_t made = t.calls - before;
    free(there.last);
    free(message);
    pair_free(p);
    assert_int_equal(t.live, 0);
    return made;
}

static void messages_allocate_nothing_of_ours_in_steady_state(void **state)
{
    (void)state;
    assert_int_equal(allocations_of(10, 200, false), 0);
    assert_int_equal(allocations_of(1000, 200, true), 0);
    assert_int_equal(allocations_of(16384, 200, false), 0);
    assert_int_equal(allocations_of(65536, 100, false), 0);
}

static void an_idle_association_gives_its_buffers_back(void **state)
{
    (void)state;
    test_allocator t;
    test_allocator_init(&t, 0);
    duet_env env = DUET_ENV_INIT;
    env.allocator = &t.allocator;
    sctp_pair *p = pair_ready(&env);
    duet_dc *dc;
    uint8_t *message = calloc(1, 3000000);

    assert_non_null(message);
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", NULL, NULL, p->now), DUET_OK);
    pair_run(p, DUET_SECONDS(2));
    uint64_t idle = t.live;
    duet_sctp_set_remote_max_message(p->peer[0].sctp, 0);
    assert_int_equal(duet_dc_send(dc, message, 200000, false), DUET_OK);
    assert_int_equal(duet_dc_send(dc, message, 200000, false), DUET_OK);
    pair_run(p, DUET_SECONDS(10));
    assert_int_equal(duet_sctp_deadline(p->peer[0].sctp), DUET_NEVER);
    assert_int_equal(t.live, idle);
    free(message);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(messages_allocate_nothing_of_ours_in_steady_state),
        cmocka_unit_test(an_idle_association_gives_its_buffers_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
