/* The DTLS handshake between two Duet objects: roles, certificates, exporter, use_srtp, data, close. */
#include "dtls_pair.h"

static void client_and_server_connect_within_two_round_trips(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);
    duet_time start = n->now;

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    assert_true(n->now - start <= 4 * n->delay);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(n->peer[i].states, 2); /* connecting, connected */
        assert_true(n->peer[i].longest <= 1200);
        assert_string_equal(duet_dtls_version(n->peer[i].dtls), "DTLSv1.2");
        assert_string_equal(duet_dtls_cipher(n->peer[i].dtls), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    }
    assert_int_equal(n->peer[CLIENT].wakes, 1);
    pair_free(n);
}

static void data_flows_both_ways_one_record_per_datagram(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);
    uint8_t message[1200];

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    pair_run(n, DUET_MS(100));
    for (int side = 0; side < 2; side++) {
        unsigned before = n->peer[side].sent;
        memset(message, 'a' + side, sizeof(message));
        for (int i = 0; i < 10; i++)
            assert_int_equal(duet_dtls_send(n->peer[side].dtls, message, sizeof(message), n->now), DUET_OK);
        pair_run(n, DUET_MS(100));
        assert_int_equal(n->peer[side].sent, before + 10);
        assert_int_equal(n->peer[!side].received_len, 10 * sizeof(message));
        assert_memory_equal(n->peer[!side].received + 9 * sizeof(message), message, sizeof(message));
    }
    assert_int_equal(duet_dtls_send(n->peer[0].dtls, message, 0, n->now), DUET_ERR_INVALID);
    uint8_t big[1201] = {0};
    assert_int_equal(duet_dtls_send(n->peer[0].dtls, big, sizeof(big), n->now), DUET_ERR_TOO_LARGE);
    pair_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_and_server_connect_within_two_round_trips),
        cmocka_unit_test(data_flows_both_ways_one_record_per_datagram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
