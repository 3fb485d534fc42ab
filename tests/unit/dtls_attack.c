/* What somebody who can send from the peer's address may try during and after the handshake. */
#include "dtls/record_filter.h"
#include "dtls_pair.h"

/* One record without protection. */
static size_t plain_record(uint8_t *out, uint8_t type, const uint8_t *fragment, size_t len)
{
    const uint8_t header[13] = {type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 77, (uint8_t)(len >> 8), (uint8_t)len};

    memcpy(out, header, sizeof(header));
    if (len)
        memcpy(out + sizeof(header), fragment, len);
    return sizeof(header) + len;
}

static size_t handshake_message(uint8_t *out, uint8_t type, uint8_t sequence, uint32_t length, uint32_t offset,
                                uint32_t fragment_length, size_t present)
{
    const uint8_t header[12] = {type,
                                (uint8_t)(length >> 16),
                                (uint8_t)(length >> 8),
                                (uint8_t)length,
                                0,
                                sequence,
                                (uint8_t)(offset >> 16),
                                (uint8_t)(offset >> 8),
                                (uint8_t)offset,
                                (uint8_t)(fragment_length >> 16),
                                (uint8_t)(fragment_length >> 8),
                                (uint8_t)fragment_length};
    memcpy(out, header, sizeof(header));
    memset(out + sizeof(header), 0xa5, present);
    return sizeof(header) + present;
}

static void inject(dtls_pair *n, int to, const uint8_t *data, size_t len)
{
    uint8_t copy[2048];
    duet_datagram d = {.data = copy, .len = len, .time = n->now};

    memcpy(copy, data, len);
    assert_int_equal(duet_dtls_input(n->peer[to].dtls, &d, n->now), DUET_OK);
}

static void inject_record(dtls_pair *n, int to, uint8_t type, const uint8_t *fragment, size_t len)
{
    uint8_t record[2048];
    inject(n, to, record, plain_record(record, type, fragment, len));
}

static void inject_handshake(dtls_pair *n, int to, uint8_t type, uint8_t sequence, uint32_t length, uint32_t offset,
                             uint32_t fragment_length, size_t present)
{
    uint8_t message[2000];
    size_t len = handshake_message(message, type, sequence, length, offset, fragment_length, present);
    inject_record(n, to, 22, message, len);
}

static void send_everything_ill_formed(dtls_pair *n, int to)
{
    static const uint8_t fatal_alert[2] = {2, 40}, close_notify[2] = {1, 0}, bad_ccs[1] = {2}, long_ccs[2] = {1, 1};
    uint8_t other = to == SERVER ? 2 : 1; /* a message of the wrong direction */

    inject_record(n, to, 21, fatal_alert, 2);
    inject_record(n, to, 21, close_notify, 2);
    inject_record(n, to, 20, bad_ccs, 1);
    inject_record(n, to, 20, long_ccs, 2);
    inject_record(n, to, 23, (const uint8_t *)"data", 4);
    inject_record(n, to, 24, (const uint8_t *)"beat", 4);
    inject_record(n, to, 25, (const uint8_t *)"cid", 3);
    inject_record(n, to, 26, (const uint8_t *)"ack", 3);
    inject_record(n, to, 22, NULL, 0);
    inject_record(n, to, 22, (const uint8_t *)"short", 5);
    inject_handshake(n, to, other, 0, 40, 0, 40, 40);
    inject_handshake(n, to, 11, 1, 0xffffff, 0, 40, 40); /* too long */
    inject_handshake(n, to, 11, 1, 100, 90, 40, 40);     /* beyond its end */
    inject_handshake(n, to, 11, 1, 100, 0, 80, 40);      /* more than there is */
    inject_handshake(n, to, 11, 1, 100, 0, 0, 0);        /* empty fragment */
    inject_handshake(n, to, 11, 1, 0, 0, 0, 0);          /* empty message */
    inject_handshake(n, to, 20, 1, 12, 0, 12, 12);       /* Finished without protection */
    inject_handshake(n, to, 99, 1, 12, 0, 12, 12);
    inject_handshake(n, to, 1, 9, 40, 0, 40, 40);
    static const uint8_t half_header[] = {22, 0xfe, 0xfd, 0, 0}, unified[] = {0x2e, 1, 2, 0, 1, 5},
                         beyond[] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1},
                         tls[] = {22, 3, 3, 0, 1, 1};
    inject(n, to, half_header, sizeof(half_header));
    inject(n, to, unified, sizeof(unified));
    inject(n, to, beyond, sizeof(beyond));
    inject(n, to, tls, sizeof(tls));
}

static void ill_formed_records_do_not_disturb_the_handshake(void **state)
{
    (void)state;
    for (int victim = 0; victim < 2; victim++)
        for (unsigned step = 0; step < 6; step++) {
            dtls_pair *n = pair_ready(NULL);
            for (unsigned i = 0; i < step; i++)
                pair_step(n, n->now + DUET_SECONDS(1));
            send_everything_ill_formed(n, victim);
            assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
            duet_dtls_stats stats;
            duet_dtls_get_stats(n->peer[victim].dtls, &stats);
            assert_true(stats.records_discarded >= 22);
            assert_int_equal(stats.handshake_restarts, 0);
            pair_free(n);
        }
}

static void ill_formed_records_do_not_disturb_a_connection(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    pair_run(n, DUET_MS(100));
    for (int victim = 0; victim < 2; victim++) {
        send_everything_ill_formed(n, victim);
        uint8_t forged[64] = {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 1, 0, 0, 51};
        inject(n, victim, forged, sizeof(forged));
        forged[0] = 21;
        inject(n, victim, forged, sizeof(forged));
        forged[0] = 22;
        inject(n, victim, forged, sizeof(forged));
        forged[4] = 2;
        inject(n, victim, forged, sizeof(forged));
    }
    assert_int_equal(duet_dtls_send(n->peer[0].dtls, (const uint8_t *)"still here", 10, n->now), DUET_OK);
    pair_run(n, DUET_MS(100));
    assert_int_equal(n->peer[1].received_len, 10);
    assert_true(pair_connected(n));
    pair_free(n);
}

/* A protected record that is too short for its own nonce and tag is a fatal error to OpenSSL, though anybody can send it. */
static void protected_records_of_any_length_do_not_disturb_a_connection(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    for (size_t len = 0; len < 80; len++) {
        for (uint8_t type = 20; type <= 24; type++) {
            uint8_t record[13 + 80] = {type, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 1, (uint8_t)(len + type), 0, (uint8_t)len};
            for (int to = 0; to < 2; to++)
                inject(n, to, record, 13 + len);
        }
    }
    pair_run(n, DUET_SECONDS(1));
    assert_int_equal(duet_dtls_get_state(n->peer[0].dtls), DUET_DTLS_CONNECTED);
    assert_int_equal(duet_dtls_get_state(n->peer[1].dtls), DUET_DTLS_CONNECTED);
    pair_free(n);
}

static void early_protected_garbage_is_bounded(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);
    uint8_t forged[64] = {22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 1, 0, 0, 51};

    for (unsigned i = 0; i < 500; i++) {
        forged[9] = (uint8_t)(i >> 8);
        forged[10] = (uint8_t)i;
        inject(n, SERVER, forged, sizeof(forged));
    }
    duet_dtls_stats stats;
    duet_dtls_get_stats(n->peer[SERVER].dtls, &stats);
    assert_true(stats.records_discarded >= 500 - 64);
    pair_free(n);
}

static void a_poisoned_server_starts_again(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);
    duet_dtls_stats stats;

    for (int i = 0; i < 5; i++) /* well-formed headers, nonsense inside */
        inject_handshake(n, SERVER, 1, 0, 60, 0, 60, 60);
    assert_int_equal(duet_dtls_get_state(n->peer[SERVER].dtls), DUET_DTLS_CONNECTING);
    duet_dtls_get_stats(n->peer[SERVER].dtls, &stats);
    assert_int_equal(stats.handshake_restarts, 5);
    assert_int_equal(stats.datagrams_out, 0); /* no alert that would end an honest client's handshake */
    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    pair_free(n);
}

static void a_poisoned_client_fails(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);

    inject_handshake(n, CLIENT, 2, 0, 60, 0, 60, 60);
    assert_int_equal(duet_dtls_get_state(n->peer[CLIENT].dtls), DUET_DTLS_FAILED);
    assert_int_equal(n->peer[CLIENT].states, 2);
    pair_run(n, DUET_SECONDS(5));
    assert_int_equal(duet_dtls_deadline(n->peer[CLIENT].dtls), DUET_NEVER);
    pair_free(n);
}

static void random_datagrams_never_end_a_server(void **state)
{
    (void)state;
    uint64_t seed = 99;
    dtls_pair *n = pair_ready(NULL);

    for (int i = 0; i < 3000; i++) {
        uint8_t data[200];
        size_t len = 14 + test_random_below(&seed, sizeof(data) - 14);
        test_random_fill(&seed, data, len);
        data[0] = (uint8_t)(20 + test_random_below(&seed, 44));
        data[1] = 0xfe;
        if (test_random_below(&seed, 2)) {
            data[0] = 22;
            data[3] = data[4] = 0;
            data[11] = (uint8_t)((len - 13) >> 8);
            data[12] = (uint8_t)(len - 13);
            data[13] = (uint8_t)test_random_below(&seed, 21);
        }
        inject(n, SERVER, data, len);
        assert_int_equal(duet_dtls_get_state(n->peer[SERVER].dtls), DUET_DTLS_CONNECTING);
    }
    pair_run(n, DUET_MS(1));
    pair_free(n);
}

static void the_filter_splits_a_datagram_into_its_records(void **state)
{
    (void)state;
    uint8_t datagram[256];
    size_t len = plain_record(datagram, 22, (const uint8_t *)"abc", 3);
    len += plain_record(datagram + len, 20, (const uint8_t *)"\1", 1);
    duet_reader r = duet_reader_init(datagram, len);
    duet_dtls_record record;

    assert_true(duet_dtls_next_record(&r, &record));
    assert_int_equal(record.type, 22);
    assert_int_equal(record.len, 16);
    assert_int_equal(record.fragment.len, 3);
    assert_true(duet_dtls_next_record(&r, &record));
    assert_int_equal(record.type, 20);
    assert_null(duet_dtls_refuse_record(&record, DUET_DTLS_SERVER, false, false, 24));
    assert_non_null(duet_dtls_refuse_record(&record, DUET_DTLS_SERVER, true, false, 24));
    assert_false(duet_dtls_next_record(&r, &record));
    assert_false(r.failed);

    /* DTLS 1.3 ciphertext: 16-bit sequence number and length, then one without a length */
    const uint8_t unified[] = {0x2e, 0, 1, 0, 3, 9, 9, 9, 0x22, 5, 1, 2, 3};
    r = duet_reader_init(unified, sizeof(unified));
    assert_true(duet_dtls_next_record(&r, &record));
    assert_int_equal(record.len, 8);
    assert_int_equal(record.epoch, 2);
    assert_null(duet_dtls_refuse_record(&record, DUET_DTLS_CLIENT, false, true, 24));
    assert_non_null(duet_dtls_refuse_record(&record, DUET_DTLS_CLIENT, false, false, 24));
    assert_true(duet_dtls_next_record(&r, &record));
    assert_int_equal(record.fragment.len, 3);
    assert_false(duet_dtls_next_record(&r, &record));
    const uint8_t with_cid[] = {0x32, 0, 1, 0, 3, 9, 9, 9};
    r = duet_reader_init(with_cid, sizeof(with_cid));
    assert_false(duet_dtls_next_record(&r, &record));
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ill_formed_records_do_not_disturb_the_handshake),
        cmocka_unit_test(ill_formed_records_do_not_disturb_a_connection),
        cmocka_unit_test(protected_records_of_any_length_do_not_disturb_a_connection),
        cmocka_unit_test(early_protected_garbage_is_bounded),
        cmocka_unit_test(a_poisoned_server_starts_again),
        cmocka_unit_test(a_poisoned_client_fails),
        cmocka_unit_test(random_datagrams_never_end_a_server),
        cmocka_unit_test(the_filter_splits_a_datagram_into_its_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
