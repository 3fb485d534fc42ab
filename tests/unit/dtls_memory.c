/* DTLS when memory is short, and how much it takes when it is not. */
#include "dtls_pair.h"

/* A whole handshake and some data. What fails may be a call (NOMEM) or a datagram (lost: the handshake goes on). */
static int handshake_and_data(const duet_env *env, void *arg)
{
    dtls_pair *n = malloc(sizeof(*n));
    bool connected = false;

    (void)arg;
    assert_non_null(n);
    pair_init(n);
    int err = pair_create(n, CLIENT, env, NULL, NULL, 0);
    if (!err)
        err = pair_create(n, SERVER, env, NULL, NULL, 0);
    for (int i = 0; !err && i < 2; i++)
        err = pair_trust(n, i, DUET_HASH_SHA256);
    if (!err)
        err = pair_start(n, 0);
    if (!err) {
        connected = pair_run_until_connected(n, DUET_SECONDS(60));
        assert_true(connected); /* a lost datagram is sent again, lost events are told later */
        pair_run(n, DUET_SECONDS(1));
        for (int i = 0; i < 2; i++)
            assert_int_equal(n->peer[i].states, 2);
        err = duet_dtls_send(n->peer[CLIENT].dtls, (const uint8_t *)"hello", 5, n->now);
        pair_run(n, DUET_MS(100));
        if (!err)
            assert_int_equal(n->peer[SERVER].received_len, 5);
    }
    pair_destroy(n);
    free(n);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("handshake", handshake_and_data, NULL);
}

static void sending_allocates_nothing_in_steady_state(void **state)
{
    (void)state;
    test_allocator t;
    test_allocator_init(&t, 0);
    duet_env env = DUET_ENV_INIT;
    env.allocator = &t.allocator;
    dtls_pair *n = pair_ready(&env);
    uint8_t message[1152] = {0};

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    uint64_t before = 0;
    for (int i = 0; i < 400; i++) {
        if (i == 200)
            before = t.calls;
        for (int side = 0; side < 2; side++)
            assert_int_equal(duet_dtls_send(n->peer[side].dtls, message, sizeof(message), n->now), DUET_OK);
        pair_run(n, DUET_MS(10));
        n->peer[0].received_len = n->peer[1].received_len = 0;
    }
    assert_int_equal(t.calls, before);
    pair_free(n);
    assert_int_equal(t.live, 0);
}

static void an_idle_association_gives_its_buffers_back(void **state)
{
    (void)state;
    test_allocator t;
    test_allocator_init(&t, 0);
    duet_env env = DUET_ENV_INIT;
    env.allocator = &t.allocator;
    dtls_pair *n = pair_ready(&env);
    uint8_t message[1000] = {0};

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    pair_run(n, DUET_SECONDS(2));
    uint64_t idle = t.live;
    for (int i = 0; i < 60; i++)
        assert_int_equal(duet_dtls_send(n->peer[0].dtls, message, sizeof(message), n->now), DUET_OK);
    pair_run(n, DUET_MS(100));
    assert_true(t.live > idle);
    pair_run(n, DUET_SECONDS(2));
    assert_int_equal(t.live, idle);
    assert_int_equal(duet_dtls_deadline(n->peer[0].dtls), DUET_NEVER);
    pair_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(sending_allocates_nothing_in_steady_state),
        cmocka_unit_test(an_idle_association_gives_its_buffers_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
