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

static duet_certificate *certificate_of(duet_key_type type)
{
    duet_certificate *c = NULL;
    assert_int_equal(duet_certificate_generate(&c, NULL, type, 0), DUET_OK);
    return c;
}

/* Both made and started; certificates and hash as given; fingerprints known to both. */
static dtls_pair *pair_with(duet_key_type client, duet_key_type server, duet_hash hash)
{
    dtls_pair *n = malloc(sizeof(*n));
    assert_non_null(n);
    pair_init(n);
    assert_int_equal(pair_create(n, CLIENT, NULL, certificate_of(client), NULL, 0), DUET_OK);
    assert_int_equal(pair_create(n, SERVER, NULL, certificate_of(server), NULL, 0), DUET_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_trust(n, i, hash), DUET_OK);
    assert_int_equal(pair_start(n, 0), DUET_OK);
    return n;
}

static void every_pair_of_key_types_and_every_hash_connects(void **state)
{
    static const duet_hash hashes[] = {DUET_HASH_SHA256, DUET_HASH_SHA384, DUET_HASH_SHA512};
    (void)state;
    for (int client = 0; client < 2; client++)
        for (int server = 0; server < 2; server++) {
            dtls_pair *n = pair_with((duet_key_type)client, (duet_key_type)server, hashes[(client + server) % 3]);
            assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
            assert_true(n->peer[0].longest <= 1200 && n->peer[1].longest <= 1200);
            pair_free(n);
        }
}

static void the_exporter_gives_both_sides_the_same_bytes(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);
    uint8_t a[60], b[60], c[60];

    assert_int_equal(duet_dtls_export(n->peer[0].dtls, "EXTRACTOR-dtls_srtp", a, sizeof(a)), DUET_ERR_STATE);
    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    assert_int_equal(duet_dtls_export(n->peer[0].dtls, "EXTRACTOR-dtls_srtp", a, sizeof(a)), DUET_OK);
    assert_int_equal(duet_dtls_export(n->peer[1].dtls, "EXTRACTOR-dtls_srtp", b, sizeof(b)), DUET_OK);
    assert_int_equal(duet_dtls_export(n->peer[1].dtls, "EXPERIMENTAL-other", c, sizeof(c)), DUET_OK);
    assert_memory_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, c, sizeof(a));
    pair_free(n);
}

static duet_srtp_profile chosen_profile(const duet_srtp_profile *client, size_t clients,
                                        const duet_srtp_profile *server, size_t servers)
{
    dtls_pair *n = malloc(sizeof(*n));
    assert_non_null(n);
    pair_init(n);
    assert_int_equal(pair_create(n, CLIENT, NULL, NULL, client, clients), DUET_OK);
    assert_int_equal(pair_create(n, SERVER, NULL, NULL, server, servers), DUET_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_trust(n, i, DUET_HASH_SHA256), DUET_OK);
    assert_int_equal(pair_start(n, 0), DUET_OK);
    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    duet_srtp_profile profile = duet_dtls_srtp_profile(n->peer[0].dtls);
    assert_int_equal(profile, duet_dtls_srtp_profile(n->peer[1].dtls));
    pair_free(n);
    return profile;
}

static void use_srtp_takes_the_first_of_the_servers_profiles_that_the_client_offers(void **state)
{
    static const duet_srtp_profile both[] = {DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AES128_CM_SHA1_80};
    static const duet_srtp_profile turned[] = {DUET_SRTP_AES128_CM_SHA1_80, DUET_SRTP_AEAD_AES_128_GCM};
    static const duet_srtp_profile other[] = {DUET_SRTP_AEAD_AES_256_GCM};
    (void)state;

    assert_int_equal(chosen_profile(turned, 2, both, 2), DUET_SRTP_AEAD_AES_128_GCM);
    assert_int_equal(chosen_profile(both, 2, turned, 2), DUET_SRTP_AES128_CM_SHA1_80);
    assert_int_equal(chosen_profile(both, 2, turned, 1), DUET_SRTP_AES128_CM_SHA1_80);
    assert_int_equal(chosen_profile(both, 2, other, 1), DUET_SRTP_NONE);
    assert_int_equal(chosen_profile(NULL, 0, both, 2), DUET_SRTP_NONE);
}

static void close_notify_closes_both_sides(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        dtls_pair *n = pair_ready(NULL);
        assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
        duet_dtls_close(n->peer[side].dtls, n->now);
        assert_int_equal(n->peer[side].last_state, DUET_DTLS_CLOSED);
        pair_run(n, DUET_MS(100));
        assert_int_equal(n->peer[!side].last_state, DUET_DTLS_CLOSED);
        assert_int_equal(duet_dtls_send(n->peer[!side].dtls, (const uint8_t *)"x", 1, n->now), DUET_ERR_STATE);
        pair_run(n, DUET_SECONDS(5));
        assert_int_equal(duet_dtls_deadline(n->peer[0].dtls), DUET_NEVER);
        assert_int_equal(duet_dtls_deadline(n->peer[1].dtls), DUET_NEVER);
        pair_free(n);
    }
}

static void wrong_fingerprint(int victim, duet_hash hash)
{
    dtls_pair *n = malloc(sizeof(*n));
    duet_fingerprint wrong;

    assert_non_null(n);
    pair_init(n);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_create(n, i, NULL, NULL, NULL, 0), DUET_OK);
    assert_int_equal(pair_trust(n, !victim, DUET_HASH_SHA256), DUET_OK);
    assert_int_equal(duet_certificate_fingerprint(n->peer[!victim].certificate, hash, &wrong), DUET_OK);
    wrong.value[3] ^= 1;
    assert_int_equal(duet_dtls_set_remote_fingerprints(n->peer[victim].dtls, &wrong, 1, n->now), DUET_OK);
    assert_int_equal(pair_start(n, 0), DUET_OK);
    pair_run(n, DUET_SECONDS(5));
    assert_int_equal(duet_dtls_get_state(n->peer[victim].dtls), DUET_DTLS_FAILED);
    assert_int_not_equal(duet_dtls_get_state(n->peer[!victim].dtls), DUET_DTLS_CONNECTED);
    uint8_t key[16];
    assert_int_equal(duet_dtls_export(n->peer[victim].dtls, "x", key, sizeof(key)), DUET_ERR_STATE);
    assert_int_equal(duet_dtls_send(n->peer[victim].dtls, key, sizeof(key), n->now), DUET_ERR_STATE);
    assert_int_equal(n->peer[victim].received_len, 0);
    pair_free(n);
}

static void a_wrong_fingerprint_fails_in_either_role(void **state)
{
    (void)state;
    for (int victim = 0; victim < 2; victim++) {
        wrong_fingerprint(victim, DUET_HASH_SHA256);
        wrong_fingerprint(victim, DUET_HASH_SHA512);
    }
}

static void a_finished_handshake_waits_for_the_fingerprints_and_holds_data(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        dtls_pair *n = malloc(sizeof(*n));
        assert_non_null(n);
        pair_init(n);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pair_create(n, i, NULL, NULL, NULL, 0), DUET_OK);
        assert_int_equal(pair_trust(n, !late, DUET_HASH_SHA256), DUET_OK);
        assert_int_equal(pair_start(n, 0), DUET_OK);
        pair_run(n, DUET_SECONDS(1));
        dtls_peer *early = &n->peer[!late], *waiting = &n->peer[late];
        assert_int_equal(duet_dtls_get_state(early->dtls), DUET_DTLS_CONNECTED);
        assert_int_equal(duet_dtls_get_state(waiting->dtls), DUET_DTLS_CONNECTING);
        assert_int_equal(duet_dtls_send(early->dtls, (const uint8_t *)"early", 5, n->now), DUET_OK);
        assert_int_equal(duet_dtls_send(early->dtls, (const uint8_t *)" bird", 5, n->now), DUET_OK);
        pair_run(n, DUET_MS(100));
        size_t len;
        uint8_t key[16];
        assert_int_equal(waiting->received_len, 0);
        assert_null(duet_dtls_remote_certificate(waiting->dtls, &len));
        assert_int_equal(duet_dtls_export(waiting->dtls, "x", key, sizeof(key)), DUET_ERR_STATE);
        assert_int_equal(duet_dtls_send(waiting->dtls, key, 1, n->now), DUET_ERR_STATE);

        assert_int_equal(pair_trust(n, late, DUET_HASH_SHA384), DUET_OK);
        assert_int_equal(waiting->last_state, DUET_DTLS_CONNECTED);
        assert_int_equal(waiting->received_len, 10);
        assert_memory_equal(waiting->received, "early bird", 10);
        assert_non_null(duet_dtls_remote_certificate(waiting->dtls, &len));
        pair_free(n);
    }
}

static void fingerprints_that_come_late_and_wrong_fail(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        dtls_pair *n = malloc(sizeof(*n));
        assert_non_null(n);
        pair_init(n);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pair_create(n, i, NULL, NULL, NULL, 0), DUET_OK);
        assert_int_equal(pair_trust(n, !late, DUET_HASH_SHA256), DUET_OK);
        assert_int_equal(pair_start(n, 0), DUET_OK);
        pair_run(n, DUET_SECONDS(1));
        duet_fingerprint own;
        assert_int_equal(duet_certificate_fingerprint(n->peer[late].certificate, DUET_HASH_SHA256, &own), DUET_OK);
        assert_int_equal(duet_dtls_set_remote_fingerprints(n->peer[late].dtls, &own, 1, n->now), DUET_OK);
        assert_int_equal(n->peer[late].last_state, DUET_DTLS_FAILED);
        pair_run(n, DUET_MS(100));
        assert_int_equal(n->peer[!late].last_state, DUET_DTLS_CLOSED); /* close_notify was sent */
        pair_free(n);
    }
}

/* Connects a pair whose client has this list. */
static duet_dtls_state client_with(bool good256, bool good512, bool add_sha1)
{
    dtls_pair *n = malloc(sizeof(*n));
    duet_fingerprint list[3];
    size_t count = 2;

    assert_non_null(n);
    pair_init(n);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_create(n, i, NULL, NULL, NULL, 0), DUET_OK);
    assert_int_equal(pair_trust(n, SERVER, DUET_HASH_SHA256), DUET_OK);
    duet_certificate *c = n->peer[SERVER].certificate;
    assert_int_equal(duet_certificate_fingerprint(c, DUET_HASH_SHA256, &list[0]), DUET_OK);
    assert_int_equal(duet_certificate_fingerprint(c, DUET_HASH_SHA512, &list[1]), DUET_OK);
    list[0].value[0] ^= !good256;
    list[1].value[0] ^= !good512;
    if (add_sha1)
        list[count++] = (duet_fingerprint){.hash = DUET_HASH_SHA1, .len = 20};
    assert_int_equal(duet_dtls_set_remote_fingerprints(n->peer[CLIENT].dtls, list, count, n->now), DUET_OK);
    assert_int_equal(pair_start(n, 0), DUET_OK);
    pair_run(n, DUET_SECONDS(2));
    duet_dtls_state state = duet_dtls_get_state(n->peer[CLIENT].dtls);
    pair_free(n);
    return state;
}

static void the_strongest_hash_decides(void **state)
{
    (void)state;
    assert_int_equal(client_with(true, true, false), DUET_DTLS_CONNECTED);
    assert_int_equal(client_with(false, true, true), DUET_DTLS_CONNECTED);
    assert_int_equal(client_with(true, false, false), DUET_DTLS_FAILED);
    assert_int_equal(client_with(false, false, true), DUET_DTLS_FAILED);
}

static void a_sha1_fingerprint_alone_is_refused(void **state)
{
    (void)state;
    dtls_pair *n = malloc(sizeof(*n));
    assert_non_null(n);
    pair_init(n);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_create(n, i, NULL, NULL, NULL, 0), DUET_OK);
    assert_int_equal(pair_trust(n, SERVER, DUET_HASH_SHA256), DUET_OK);
    duet_fingerprint sha1 = {.hash = DUET_HASH_SHA1, .len = 20};
    assert_int_equal(duet_dtls_set_remote_fingerprints(n->peer[CLIENT].dtls, &sha1, 1, n->now), DUET_OK);
    assert_int_equal(pair_start(n, 0), DUET_OK);
    pair_run(n, DUET_SECONDS(2));
    assert_int_equal(duet_dtls_get_state(n->peer[CLIENT].dtls), DUET_DTLS_FAILED);
    pair_free(n);
}

static void calls_at_the_wrong_moment_are_refused(void **state)
{
    (void)state;
    dtls_pair *n = malloc(sizeof(*n));
    assert_non_null(n);
    pair_init(n);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_create(n, i, NULL, NULL, NULL, 0), DUET_OK);
    duet_dtls *d = n->peer[CLIENT].dtls;
    uint8_t handshake[20] = {22, 0xfe, 0xfd}, stun[20] = {0}, rtp[20] = {0x80};
    duet_datagram in = {.data = handshake, .len = sizeof(handshake)};
    assert_int_equal(duet_dtls_input(d, &in, n->now), DUET_ERR_STATE);
    in.data = stun;
    assert_int_equal(duet_dtls_input(d, &in, n->now), DUET_ERR_NOT_MINE);
    in.data = rtp;
    assert_int_equal(duet_dtls_input(d, &in, n->now), DUET_ERR_NOT_MINE);
    in.len = 0;
    assert_int_equal(duet_dtls_input(d, &in, n->now), DUET_ERR_NOT_MINE);
    assert_int_equal(duet_dtls_get_role(d), 0);
    assert_int_equal(duet_dtls_start(d, (duet_dtls_role)7, 0, n->now), DUET_ERR_INVALID);
    assert_int_equal(duet_dtls_start(d, DUET_DTLS_CLIENT, 0, n->now), DUET_OK);
    assert_int_equal(duet_dtls_start(d, DUET_DTLS_CLIENT, 0, n->now), DUET_ERR_STATE);
    assert_int_equal(duet_dtls_get_role(d), DUET_DTLS_CLIENT);
    assert_string_equal(duet_dtls_version(d), "");
    pair_free(n);
}

static void a_full_output_refuses_and_drops_nothing(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);
    uint8_t message[100] = {1};
    duet_dtls_stats stats;

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    pair_run(n, DUET_MS(50));
    dtls_peer *p = &n->peer[CLIENT];
    size_t room = duet_dtls_room(p->dtls);
    assert_int_equal(room, 2048);
    for (size_t i = 0; i < room; i++)
        assert_int_equal(duet_dtls_send(p->dtls, message, sizeof(message), n->now), DUET_OK);
    assert_int_equal(duet_dtls_send(p->dtls, message, sizeof(message), n->now), DUET_ERR_AGAIN);
    duet_dtls_get_stats(p->dtls, &stats);
    assert_int_equal(stats.outbox_dropped, 0);
    pair_free(n);
}

typedef struct key_trace {
    unsigned keys, states;
    char line[512];
} key_trace;

static void on_trace(void *user, const duet_trace_event *event)
{
    key_trace *t = user;
    if (event->kind == DUET_TRACE_KEY) {
        t->keys++;
        snprintf(t->line, sizeof(t->line), "%s", event->text);
    }
    if (event->kind == DUET_TRACE_STATE && strcmp(event->module, "dtls") == 0)
        t->states++;
}

static void keys_and_states_are_traced(void **state)
{
    (void)state;
    key_trace trace = {0};
    duet_env env = DUET_ENV_INIT;
    env.trace = on_trace;
    env.user = &trace;
    dtls_pair *n = pair_ready(&env);

    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    assert_int_equal(trace.keys, 2);
    assert_int_equal(trace.states, 4);
    assert_memory_equal(trace.line, "CLIENT_RANDOM ", 14);
    pair_free(n);
}

static void on_state_destroy(void *user, duet_dtls_state state)
{
    dtls_peer *p = user;
    p->last_state = state;
    if (state != DUET_DTLS_CONNECTED)
        return;
    duet_dtls_destroy(p->dtls);
    p->dtls = NULL;
}

static void an_object_may_be_destroyed_in_its_own_event(void **state)
{
    (void)state;
    dtls_pair *n = malloc(sizeof(*n));
    assert_non_null(n);
    pair_init(n);
    assert_int_equal(pair_create(n, CLIENT, NULL, NULL, NULL, 0), DUET_OK);
    assert_int_equal(pair_create(n, SERVER, NULL, NULL, NULL, 0), DUET_OK);
    duet_dtls_destroy(n->peer[CLIENT].dtls);
    duet_dtls_config config;
    duet_dtls_config_init(&config);
    config.certificate = n->peer[CLIENT].certificate;
    config.on_state = on_state_destroy;
    config.user = &n->peer[CLIENT];
    assert_int_equal(duet_dtls_create(&n->peer[CLIENT].dtls, &config), DUET_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_trust(n, i, DUET_HASH_SHA256), DUET_OK);
    assert_int_equal(pair_start(n, 0), DUET_OK);
    while (n->peer[CLIENT].dtls && pair_step(n, n->now + DUET_SECONDS(1))) {
    }
    assert_null(n->peer[CLIENT].dtls);
    pair_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_and_server_connect_within_two_round_trips),
        cmocka_unit_test(data_flows_both_ways_one_record_per_datagram),
        cmocka_unit_test(every_pair_of_key_types_and_every_hash_connects),
        cmocka_unit_test(the_exporter_gives_both_sides_the_same_bytes),
        cmocka_unit_test(use_srtp_takes_the_first_of_the_servers_profiles_that_the_client_offers),
        cmocka_unit_test(close_notify_closes_both_sides),
        cmocka_unit_test(a_wrong_fingerprint_fails_in_either_role),
        cmocka_unit_test(a_finished_handshake_waits_for_the_fingerprints_and_holds_data),
        cmocka_unit_test(fingerprints_that_come_late_and_wrong_fail),
        cmocka_unit_test(the_strongest_hash_decides),
        cmocka_unit_test(a_sha1_fingerprint_alone_is_refused),
        cmocka_unit_test(calls_at_the_wrong_moment_are_refused),
        cmocka_unit_test(a_full_output_refuses_and_drops_nothing),
        cmocka_unit_test(keys_and_states_are_traced),
        cmocka_unit_test(an_object_may_be_destroyed_in_its_own_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
