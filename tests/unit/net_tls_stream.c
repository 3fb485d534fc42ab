/* TLS streams joined in memory: handshakes, names, trust, split records, protocols, the end and its absence. */
#include "net/tls_stream.h"
#include "unit/net_identity.h"

/* ---- certificates ---- */

static identity root, good, expired, stranger_root, stranger, by_address;

static int make_identities(void **state)
{
    (void)state;
    make_identity(&root, NULL, NULL, 30);
    make_identity(&good, &root, "DNS:server.test,DNS:*.wild.test", 30);
    make_identity(&expired, &root, "DNS:server.test", -1);
    make_identity(&by_address, &root, "IP:192.0.2.1,IP:2001:db8::1", 30);
    make_identity(&stranger_root, NULL, NULL, 30);
    make_identity(&stranger, &stranger_root, "DNS:server.test", 30);
    return 0;
}

static int drop_identities(void **state)
{
    identity *all[] = {&root, &good, &expired, &by_address, &stranger_root, &stranger};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        drop_identity(all[i]);
    return 0;
}

/* ---- two joined streams ---- */

typedef struct ends {
    duet_tls_context *client_context, *server_context;
    duet_tls *client, *server;
    size_t piece; /* bytes handed over at a time */
    int client_err, server_err;
} ends;

static duet_tls_context *context(const duet_tls_config *config)
{
    duet_tls_context *c;
    char reason[200];

    int err = duet_tls_context_create(&c, config, reason, sizeof(reason));
    if (err != DUET_OK)
        fail_msg("%s: %s", duet_strerror(err), reason);
    return c;
}

static duet_tls_config server_config(const identity *i)
{
    duet_tls_config config;

    duet_tls_config_init(&config);
    config.is_server = true;
    config.certificate_file = i->file;
    return config;
}

static duet_tls_config client_config(void)
{
    duet_tls_config config;

    duet_tls_config_init(&config);
    config.ca_file = root.file;
    return config;
}

static void ends_create(ends *e, const duet_tls_config *client, const duet_tls_config *server, const char *name)
{
    *e = (ends){.client_context = context(client), .server_context = context(server), .piece = 100000};
    assert_int_equal(duet_tls_create(&e->client, e->client_context, name), DUET_OK);
    assert_int_equal(duet_tls_create(&e->server, e->server_context, NULL), DUET_OK);
}

static bool hand_over(duet_tls *from, duet_tls *to, size_t piece, int *err)
{
    uint8_t buf[20000];
    size_t len = duet_tls_output(from, buf, piece < sizeof(buf) ? piece : sizeof(buf));

    if (len == 0)
        return false;
    int result = duet_tls_input(to, buf, len);
    if (result != DUET_OK && *err == DUET_OK)
        *err = result;
    return true;
}

static void ends_run(ends *e)
{
    bool more = true;

    while (more) {
        more = hand_over(e->client, e->server, e->piece, &e->server_err);
        more = hand_over(e->server, e->client, e->piece, &e->client_err) || more;
    }
}

static void ends_destroy(ends *e)
{
    duet_tls_destroy(e->client);
    duet_tls_destroy(e->server);
    duet_tls_context_destroy(e->client_context);
    duet_tls_context_destroy(e->server_context);
}

static void ends_open(ends *e, const duet_tls_config *client, const duet_tls_config *server, const char *name)
{
    ends_create(e, client, server, name);
    ends_run(e);
    if (duet_tls_get_state(e->client) != DUET_TLS_OPEN)
        fail_msg("client: %s", duet_tls_reason(e->client));
    assert_int_equal(duet_tls_get_state(e->server), DUET_TLS_OPEN);
}

/* ---- tests ---- */

static void plaintext_goes_both_ways_in_any_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 100, 1400, 100000};
    static uint8_t sent[70000], got[70000];

    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)(i * 7);
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
        duet_tls_config client = client_config(), server = server_config(&good);
        ends e;
        size_t len = 0;
        ends_create(&e, &client, &server, "server.test");
        e.piece = pieces[p];
        assert_int_equal(duet_tls_write(e.client, "x", 1), DUET_ERR_STATE);
        ends_run(&e);
        assert_string_equal(duet_tls_version(e.client), "TLSv1.3");
        assert_int_equal(duet_tls_write(e.client, sent, sizeof(sent)), DUET_OK);
        assert_int_equal(duet_tls_write(e.server, "back", 4), DUET_OK);
        while (hand_over(e.client, e.server, e.piece, &e.server_err)) {
            for (size_t n; (n = duet_tls_read(e.server, got + len, sizeof(got) - len)) > 0;)
                len += n;
        }
        assert_int_equal(len, sizeof(sent));
        assert_memory_equal(sent, got, len);
        ends_run(&e);
        assert_int_equal(duet_tls_read(e.client, got, 2), 2);
        assert_int_equal(duet_tls_read(e.client, got + 2, 100), 2);
        assert_memory_equal(got, "back", 4);
        assert_int_equal(duet_tls_read(e.client, got, 100), 0);
        assert_int_equal(e.client_err + e.server_err, 0);
        ends_destroy(&e);
    }
}

static void certificates_and_names_are_checked(void **state)
{
    (void)state;
    const struct {
        const identity *identity;
        const char *name;
        bool trusted;
    } cases[] = {
        {&good, "server.test", true},     {&good, "SERVER.test", true},       {&good, "a.wild.test", true},
        {&good, "other.test", false},     {&good, "a.b.wild.test", false},    {&good, "wild.test", false},
        {&good, "192.0.2.1", false},      {&expired, "server.test", false},   {&stranger, "server.test", false},
        {&by_address, "192.0.2.1", true}, {&by_address, "2001:db8::1", true}, {&by_address, "192.0.2.2", false},
        {&by_address, "leaf", false}, /* the common name is none: RFC 9525 section 6.4 */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        duet_tls_config client = client_config(), server = server_config(cases[i].identity);
        ends e;
        ends_create(&e, &client, &server, cases[i].name);
        ends_run(&e);
        if (cases[i].trusted != (duet_tls_get_state(e.client) == DUET_TLS_OPEN))
            fail_msg("%zu: %s: %s", i, cases[i].name, duet_tls_reason(e.client));
        if (!cases[i].trusted) {
            assert_int_equal(e.client_err, DUET_ERR_AUTH);
            assert_true(strlen(duet_tls_reason(e.client)) > 5);
            assert_int_equal(duet_tls_get_state(e.server), DUET_TLS_FAILED); /* it was told by an alert */
            assert_int_equal(duet_tls_write(e.client, "secret", 6), DUET_ERR_STATE);
            assert_int_equal(duet_tls_input(e.client, "x", 1), DUET_ERR_AUTH);
        }
        ends_destroy(&e);
    }
}

static void whoever_trusts_nobody_must_say_so(void **state)
{
    (void)state;
    duet_tls_config client = client_config(), server = server_config(&stranger);
    ends e;
    duet_tls *t;

    duet_tls_context *c = context(&client);
    assert_int_equal(duet_tls_create(&t, c, NULL), DUET_ERR_INVALID);
    duet_tls_context_destroy(c);
    client.ca_file = NULL; /* the system's authorities do not know it */
    ends_create(&e, &client, &server, "server.test");
    ends_run(&e);
    assert_int_equal(e.client_err, DUET_ERR_AUTH);
    ends_destroy(&e);
    client.no_verify = true;
    ends_open(&e, &client, &server, NULL);
    ends_destroy(&e);
}

static void a_server_may_ask_for_certificates(void **state)
{
    (void)state;
    duet_tls_config client = client_config(), server = server_config(&good);
    ends e;

    server.ca_file = root.file;
    ends_create(&e, &client, &server, "server.test");
    ends_run(&e);
    assert_int_equal(duet_tls_get_state(e.server), DUET_TLS_FAILED);
    ends_destroy(&e);
    client.certificate_file = good.file;
    ends_open(&e, &client, &server, "server.test");
    ends_destroy(&e);
}

static void protocols_are_agreed(void **state)
{
    (void)state;
    static const char *const offered[] = {"h2", "http/1.1"}, *const known[] = {"http/1.1"},
                             *const other[] = {"stun.turn"};
    duet_tls_config client = client_config(), server = server_config(&good);
    ends e;

    client.alpn = offered;
    client.alpn_count = 2;
    ends_open(&e, &client, &server, "server.test"); /* the server has no opinion */
    assert_string_equal(duet_tls_alpn(e.client), "");
    ends_destroy(&e);
    server.alpn = known;
    server.alpn_count = 1;
    ends_open(&e, &client, &server, "server.test");
    assert_string_equal(duet_tls_alpn(e.client), "http/1.1");
    assert_string_equal(duet_tls_alpn(e.server), "http/1.1");
    ends_destroy(&e);
    server.alpn = other;
    ends_create(&e, &client, &server, "server.test");
    ends_run(&e);
    assert_int_equal(duet_tls_get_state(e.client), DUET_TLS_FAILED);
    ends_destroy(&e);
}

static void an_orderly_end_is_told_from_a_cut(void **state)
{
    (void)state;
    duet_tls_config client = client_config(), server = server_config(&good);
    uint8_t buf[100];
    ends e;

    ends_open(&e, &client, &server, "server.test");
    assert_int_equal(duet_tls_write(e.client, "last", 4), DUET_OK);
    duet_tls_close(e.client);
    assert_int_equal(duet_tls_write(e.client, "more", 4), DUET_ERR_STATE);
    ends_run(&e);
    assert_int_equal(duet_tls_input_end(e.server), DUET_OK); /* with something unread before it */
    assert_int_equal(duet_tls_get_state(e.server), DUET_TLS_OPEN);
    assert_int_equal(duet_tls_read(e.server, buf, sizeof(buf)), 4);
    assert_int_equal(duet_tls_read(e.server, buf, sizeof(buf)), 0);
    assert_int_equal(duet_tls_get_state(e.server), DUET_TLS_CLOSED);
    assert_int_equal(duet_tls_input(e.server, "x", 1), DUET_ERR_CLOSED);
    ends_run(&e); /* the answer */
    assert_int_equal(duet_tls_get_state(e.client), DUET_TLS_CLOSED);
    assert_int_equal(duet_tls_input_end(e.client), DUET_OK);
    ends_destroy(&e);

    for (int unread = 0; unread < 2; unread++) {
        ends_open(&e, &client, &server, "server.test");
        if (unread)
            assert_int_equal(duet_tls_write(e.client, "half", 4), DUET_OK);
        ends_run(&e);
        int err = duet_tls_input_end(e.server);
        assert_int_equal(err, unread ? DUET_OK : DUET_ERR_MALFORMED);
        assert_int_equal(duet_tls_read(e.server, buf, sizeof(buf)), unread ? 4 : 0);
        assert_int_equal(duet_tls_read(e.server, buf, sizeof(buf)), 0);
        assert_int_equal(duet_tls_get_state(e.server), DUET_TLS_FAILED);
        assert_non_null(strstr(duet_tls_reason(e.server), "close_notify"));
        ends_destroy(&e);
    }
    ends_create(&e, &client, &server, "server.test"); /* in the middle of the handshake */
    (void)hand_over(e.client, e.server, 100, &e.server_err);
    assert_int_equal(duet_tls_input_end(e.server), DUET_ERR_MALFORMED);
    ends_destroy(&e);
}

static void changed_bytes_end_the_stream(void **state)
{
    (void)state;
    for (size_t at = 0; at < 60; at += 3) {
        duet_tls_config client = client_config(), server = server_config(&good);
        uint8_t buf[200], plain[200];
        ends e;
        ends_open(&e, &client, &server, "server.test");
        assert_int_equal(duet_tls_write(e.client, "the quick brown fox jumps over the lazy dog", 43), DUET_OK);
        size_t len = duet_tls_output(e.client, buf, sizeof(buf));
        buf[at] ^= 0x40;
        (void)duet_tls_input(e.server, buf, len);
        assert_int_equal(duet_tls_read(e.server, plain, sizeof(plain)), 0);
        if (duet_tls_get_state(e.server) == DUET_TLS_OPEN) /* a changed length waits for more */
            (void)duet_tls_input_end(e.server);
        assert_int_equal(duet_tls_get_state(e.server), DUET_TLS_FAILED);
        ends_destroy(&e);
    }
}

static void noise_is_no_handshake(void **state)
{
    (void)state;
    uint64_t seed = 5;

    for (int i = 0; i < 200; i++) {
        duet_tls_config client = client_config(), server = server_config(&good);
        uint8_t noise[400];
        ends e;
        ends_create(&e, &client, &server, "server.test");
        test_random_fill(&seed, noise, sizeof(noise));
        noise[0] = i & 1 ? 22 : noise[0];
        noise[1] = 3;
        (void)duet_tls_input(e.server, noise, sizeof(noise));
        (void)duet_tls_input(e.client, noise, sizeof(noise));
        (void)duet_tls_input_end(e.server);
        (void)duet_tls_input_end(e.client);
        assert_int_equal(duet_tls_get_state(e.server), DUET_TLS_FAILED);
        assert_int_equal(duet_tls_get_state(e.client), DUET_TLS_FAILED);
        ends_destroy(&e);
    }
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    duet_tls_config client = client_config(), server = server_config(&good);
    static uint8_t data[65536];
    ends e;
    int written = 0;

    ends_open(&e, &client, &server, "server.test");
    while (duet_tls_write(e.client, data, sizeof(data)) == DUET_OK)
        written++;
    assert_int_equal(written, 3); /* the records' own bytes count, too */
    assert_int_equal(duet_tls_write(e.client, data, sizeof(data)), DUET_ERR_AGAIN);
    assert_int_equal(duet_tls_write(e.client, data, DUET_TLS_PENDING_MAX + 1), DUET_ERR_AGAIN);
    ends_run(&e);
    assert_int_equal(duet_tls_write(e.client, data, sizeof(data)), DUET_OK);
    ends_destroy(&e);
}

static void files_that_are_not_there_are_named(void **state)
{
    (void)state;
    duet_tls_config server = server_config(&good), client = client_config();
    duet_tls_context *c;
    char reason[200];

    server.certificate_file = "/nowhere/cert.pem";
    assert_int_equal(duet_tls_context_create(&c, &server, reason, sizeof(reason)), DUET_ERR_IO);
    assert_non_null(strstr(reason, "/nowhere/cert.pem"));
    assert_null(c);
    server.certificate_file = good.file;
    server.key_file = stranger.file; /* of another certificate */
    assert_int_equal(duet_tls_context_create(&c, &server, reason, sizeof(reason)), DUET_ERR_IO);
    server.certificate_file = server.key_file = NULL;
    assert_int_equal(duet_tls_context_create(&c, &server, NULL, 0), DUET_ERR_INVALID);
    client.ca_file = "/nowhere/ca.pem";
    assert_int_equal(duet_tls_context_create(&c, &client, reason, sizeof(reason)), DUET_ERR_IO);
    assert_non_null(strstr(reason, "/nowhere/ca.pem"));
    duet_tls_context_destroy(NULL);
    duet_tls_destroy(NULL);
}

static int run_without_memory(const duet_env *env, void *arg)
{
    duet_tls_config config = client_config();
    duet_tls_context *c;
    duet_tls *t = NULL;

    (void)arg;
    config.env = env;
    int err = duet_tls_context_create(&c, &config, NULL, 0);
    if (err == DUET_OK)
        err = duet_tls_create(&t, c, "server.test");
    duet_tls_destroy(t);
    duet_tls_context_destroy(c);
    return err;
}

static void creation_without_memory_leaks_nothing(void **state)
{
    (void)state;
    test_fail_each_allocation("duet_tls", run_without_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plaintext_goes_both_ways_in_any_pieces),
        cmocka_unit_test(certificates_and_names_are_checked),
        cmocka_unit_test(whoever_trusts_nobody_must_say_so),
        cmocka_unit_test(a_server_may_ask_for_certificates),
        cmocka_unit_test(protocols_are_agreed),
        cmocka_unit_test(an_orderly_end_is_told_from_a_cut),
        cmocka_unit_test(changed_bytes_end_the_stream),
        cmocka_unit_test(noise_is_no_handshake),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(files_that_are_not_there_are_named),
        cmocka_unit_test(creation_without_memory_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, make_identities, drop_identities);
}
