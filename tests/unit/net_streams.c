/* Streams over loopback sockets: TCP and TLS both ways, listeners, refusals, slow readers, orderly and disorderly ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_stream.h"
#include "net_pair.h"
#include "unit/net_identity.h"
#include "unit/net_probe.h"

#define LISTENER 7
#define CLIENT   1

typedef struct streams {
    duet_net *net;
    probe *server, *client;
    uint16_t port;
    duet_path to_server, to_client;
} streams;

static identity root, good, other_name, stranger_root;

static int set_up(void **state)
{
    (void)state;
    make_identity(&root, NULL, NULL, 30);
    make_identity(&good, &root, "DNS:server.test,IP:127.0.0.1", 30);
    make_identity(&other_name, &root, "DNS:other.test", 30);
    make_identity(&stranger_root, NULL, NULL, 30);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drop_identity(&root);
    drop_identity(&good);
    drop_identity(&other_name);
    drop_identity(&stranger_root);
    return 0;
}

static void begin(streams *s, duet_net_config *config)
{
    *s = (streams){0};
    assert_int_equal(duet_net_create(&s->net, config), DUET_OK);
    s->server = probe_new(s->net);
    s->client = probe_new(s->net);
}

static void end(streams *s)
{
    if (s->client)
        probe_end(s->client);
    if (s->server)
        probe_end(s->server);
    duet_net_destroy(s->net);
}

static void listen_on(streams *s, duet_protocol protocol, const identity *who)
{
    duet_request r = {.kind = DUET_REQUEST_LISTEN,
                      .id = LISTENER,
                      .protocol = protocol,
                      .bind = probe_address("127.0.0.1", 0),
                      .certificate_file = who ? who->file : NULL};

    probe_ask(s->server, r);
    NET_TURN_UNTIL(s->net, probe_find(s->server, DUET_REQUEST_LISTEN, LISTENER));
    const probe_answer *a = probe_find(s->server, DUET_REQUEST_LISTEN, LISTENER);
    assert_int_equal(a->err, DUET_OK);
    s->port = a->local.port;
    assert_true(s->port > 0);
}

static duet_request connection(const streams *s, duet_protocol protocol)
{
    return (duet_request){.kind = DUET_REQUEST_OPEN,
                          .id = CLIENT,
                          .protocol = protocol,
                          .bind = probe_address("127.0.0.1", 0),
                          .remote = probe_address("127.0.0.1", s->port),
                          .name = "server.test",
                          .ca_file = root.file};
}

static const probe_answer *open_with(streams *s, duet_request r)
{
    s->client->answer_count = 0;
    probe_ask(s->client, r);
    NET_TURN_UNTIL(s->net, probe_find(s->client, DUET_REQUEST_OPEN, r.id));
    return probe_find(s->client, DUET_REQUEST_OPEN, r.id);
}

static void connect_to(streams *s, duet_protocol protocol)
{
    const probe_answer *a = open_with(s, connection(s, protocol));

    assert_int_equal(a->err, DUET_OK);
    assert_true(a->local.port > 0);
    s->to_server = (duet_path){CLIENT, protocol, a->local, probe_address("127.0.0.1", s->port)};
    NET_TURN_UNTIL(s->net, probe_find(s->server, DUET_ANSWER_ACCEPTED, LISTENER));
    const probe_answer *b = probe_find(s->server, DUET_ANSWER_ACCEPTED, LISTENER);
    assert_true(b->accepted >= DUET_SOCKET_ACCEPTED);
    assert_true(duet_address_equal(&b->remote, &a->local));
    s->to_client = (duet_path){b->accepted, protocol, b->local, b->remote};
}

static void exchange(duet_protocol protocol)
{
    static uint8_t data[60000];
    streams s;

    begin(&s, NULL);
    listen_on(&s, protocol, protocol == DUET_TLS ? &good : NULL);
    connect_to(&s, protocol);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t at = 0; at < sizeof(data); at += 1200)
        probe_send(s.client, &s.to_server, data + at, 1200);
    probe_send(s.server, &s.to_client, "hello", 5);
    NET_TURN_UNTIL(s.net, s.server->received_len == sizeof(data) && s.client->received_len == 5);
    assert_memory_equal(s.server->received, data, sizeof(data));
    assert_memory_equal(s.client->received, "hello", 5);
    assert_int_equal(s.server->last.path.socket, s.to_client.socket);
    assert_int_equal(s.server->last.path.protocol, protocol);
    assert_true(duet_address_equal(&s.server->last.path.remote, &s.to_client.remote));
    /* What waits at the close still arrives, then the peer hears of an orderly end. */
    probe_send(s.client, &s.to_server, data, sizeof(data));
    probe_ask(s.client, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = CLIENT});
    NET_TURN_UNTIL(s.net, s.server->ends == 1);
    assert_int_equal(s.server->last_error_socket, s.to_client.socket);
    end(&s);
}

static void tcp_carries_bytes_both_ways_and_ends_in_order(void **state)
{
    (void)state;
    exchange(DUET_TCP);
}

static void tls_carries_bytes_both_ways_and_ends_in_order(void **state)
{
    (void)state;
    exchange(DUET_TLS);
}

static void what_is_sent_in_the_turn_of_the_close_arrives_first(void **state)
{
    (void)state;
    for (duet_protocol protocol = DUET_TCP; protocol <= DUET_TLS; protocol++) {
        static uint8_t data[200000];
        streams s;

        begin(&s, NULL);
        listen_on(&s, protocol, protocol == DUET_TLS ? &good : NULL);
        connect_to(&s, protocol);
        memset(data, 0x5a, sizeof(data));
        probe_send(s.client, &s.to_server, data, sizeof(data));
        assert_int_equal(duet_net_turn(s.net, 0), DUET_OK);
        probe_end(s.client);
        s.client = NULL;
        NET_TURN_UNTIL(s.net, s.server->ends == 1);
        assert_int_equal(s.server->received_len, sizeof(data));
        end(&s);
    }
}

static void a_refused_connection_is_told_with_the_reason(void **state)
{
    (void)state;
    streams s;

    begin(&s, NULL);
    listen_on(&s, DUET_TCP, NULL);
    probe_ask(s.server, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = LISTENER});
    assert_int_equal(duet_net_turn(s.net, 0), DUET_OK);
    const probe_answer *a = open_with(&s, connection(&s, DUET_TCP));
    assert_int_equal(a->err, DUET_ERR_IO);
    assert_non_null(strstr(a->reason, "refused"));
    end(&s);
}

static void connecting_takes_no_longer_than_it_may(void **state)
{
    (void)state;
    duet_net_config config;
    streams s;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);

    duet_net_config_init(&config);
    config.stream_timeout = DUET_MS(60);
    begin(&s, &config);
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* accepts into its queue, and says nothing */
    assert_int_equal(bind(silent, (struct sockaddr *)&sin, sizeof(sin)) + listen(silent, 5), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&sin, &len), 0);
    s.port = ntohs(sin.sin_port);
    const probe_answer *a = open_with(&s, connection(&s, DUET_TLS));
    assert_int_equal(a->err, DUET_ERR_TIMEOUT);
    assert_non_null(strstr(a->reason, "handshake"));
    close(silent);
    end(&s);
}

static void check_distrust(const identity *server, const char *name, const char *ca_file, const char *reason)
{
    streams s;

    begin(&s, NULL);
    listen_on(&s, DUET_TLS, server);
    duet_request r = connection(&s, DUET_TLS);
    r.name = name;
    r.ca_file = ca_file;
    const probe_answer *a = open_with(&s, r);
    assert_int_equal(a->err, DUET_ERR_AUTH);
    if (!strstr(a->reason, reason))
        fail_msg("the reason is \"%s\", not \"%s\"", a->reason, reason);
    assert_null(probe_find(s.server, DUET_ANSWER_ACCEPTED, LISTENER));
    r.tls_no_verify = true;
    assert_int_equal(open_with(&s, r)->err, DUET_OK);
    end(&s);
}

static void certificates_that_are_not_to_be_trusted_are_told_as_such(void **state)
{
    (void)state;
    check_distrust(&other_name, "server.test", root.file, "hostname mismatch");
    check_distrust(&good, "server.test", stranger_root.file,
                   "certificate signature failure"); /* both are called "root" */
    check_distrust(&good, "127.0.0.2", root.file, "IP address mismatch");
}

static void files_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    streams s;

    begin(&s, NULL);
    listen_on(&s, DUET_TLS, &good);
    duet_request r = connection(&s, DUET_TLS);
    r.ca_file = "/nowhere/ca.pem";
    const probe_answer *a = open_with(&s, r);
    assert_int_equal(a->err, DUET_ERR_IO);
    assert_non_null(strstr(a->reason, "/nowhere/ca.pem"));
    r = connection(&s, DUET_TLS);
    r.name = NULL;
    assert_int_equal(open_with(&s, r)->err, DUET_ERR_INVALID);
    duet_request l = {.kind = DUET_REQUEST_LISTEN,
                      .id = 9,
                      .protocol = DUET_TLS,
                      .bind = probe_address("127.0.0.1", 0),
                      .certificate_file = "/nowhere/cert.pem"};
    probe_ask(s.server, l);
    NET_TURN_UNTIL(s.net, probe_find(s.server, DUET_REQUEST_LISTEN, 9));
    assert_int_equal(probe_find(s.server, DUET_REQUEST_LISTEN, 9)->err, DUET_ERR_IO);
    assert_non_null(strstr(probe_find(s.server, DUET_REQUEST_LISTEN, 9)->reason, "/nowhere/cert.pem"));
    end(&s);
}

static void a_taken_port_is_refused_unless_both_share_it(void **state)
{
    (void)state;
    streams s;

    begin(&s, NULL);
    listen_on(&s, DUET_TCP, NULL);
    duet_request r = {
        .kind = DUET_REQUEST_LISTEN, .id = 20, .protocol = DUET_TCP, .bind = probe_address("127.0.0.1", s.port)};
    probe_ask(s.server, r);
    NET_TURN_UNTIL(s.net, probe_find(s.server, DUET_REQUEST_LISTEN, 20));
    assert_int_equal(probe_find(s.server, DUET_REQUEST_LISTEN, 20)->err, DUET_ERR_IO);
    r = (duet_request){.kind = DUET_REQUEST_LISTEN,
                       .id = 21,
                       .protocol = DUET_TCP,
                       .bind = probe_address("127.0.0.1", 0),
                       .share_port = true};
    probe_ask(s.server, r);
    NET_TURN_UNTIL(s.net, probe_find(s.server, DUET_REQUEST_LISTEN, 21));
    r.id = 22;
    r.bind.port = probe_find(s.server, DUET_REQUEST_LISTEN, 21)->local.port;
    probe_ask(s.server, r);
    NET_TURN_UNTIL(s.net, probe_find(s.server, DUET_REQUEST_LISTEN, 22));
    assert_int_equal(probe_find(s.server, DUET_REQUEST_LISTEN, 22)->err, DUET_OK);
    /* And a connection may leave from the port of a listener: RFC 6544 section 4.1, simultaneous open. */
    duet_request c = connection(&s, DUET_TCP);
    c.bind.port = r.bind.port;
    c.share_port = true;
    const probe_answer *a = open_with(&s, c);
    assert_int_equal(a->err, DUET_OK);
    assert_int_equal(a->local.port, r.bind.port);
    end(&s);
}

/* ---- slow readers ---- */

static void a_slow_reader_costs_whole_pieces_and_nobody_else(void **state)
{
    (void)state;
    static uint8_t piece[30000];
    streams s;
    size_t got = 0, pieces = 0;

    begin(&s, NULL);
    listen_on(&s, DUET_TCP, NULL);
    int slow = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = 4096;
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    assert_int_equal(connect(slow, (struct sockaddr *)&sin, sizeof(sin)), 0);
    NET_TURN_UNTIL(s.net, probe_find(s.server, DUET_ANSWER_ACCEPTED, LISTENER));
    const probe_answer *a = probe_find(s.server, DUET_ANSWER_ACCEPTED, LISTENER);
    duet_path path = {a->accepted, DUET_TCP, a->local, a->remote};
    memset(piece, 0xab, sizeof(piece));
    piece[0] = 1;
    while (s.server->refusals == 0) {
        probe_send(s.server, &path, piece, sizeof(piece));
        assert_int_equal(duet_net_turn(s.net, 0), DUET_OK);
        assert_true(++pieces < 2000);
    }
    /* Another stream is served meanwhile. */
    s.server->answer_count = 0;
    connect_to(&s, DUET_TCP);
    probe_send(s.server, &s.to_client, "still here", 10);
    NET_TURN_UNTIL(s.net, s.client->received_len == 10);
    /* The slow one finds whole pieces. */
    uint8_t buffer[65536];
    fcntl(slow, F_SETFL, O_NONBLOCK);
    duet_time limit = duet_net_now(s.net) + DUET_SECONDS(10);
    size_t expected = (pieces - 1) * sizeof(piece);
    while (got < expected && duet_net_now(s.net) < limit) {
        ssize_t n = recv(slow, buffer, sizeof(buffer), 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(buffer[i], (got + (size_t)i) % sizeof(piece) == 0 ? 1 : 0xab);
        got += n > 0 ? (size_t)n : 0;
        assert_int_equal(duet_net_turn(s.net, DUET_MS(1)), DUET_OK);
    }
    assert_int_equal(got, expected);
    close(slow);
    end(&s);
}

/* ---- ends ---- */

static void a_reset_is_an_error_and_ends_the_stream(void **state)
{
    (void)state;
    streams s;
    struct linger reset = {1, 0};

    begin(&s, NULL);
    listen_on(&s, DUET_TCP, NULL);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    NET_TURN_UNTIL(s.net, probe_find(s.server, DUET_ANSWER_ACCEPTED, LISTENER));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    s.server->last_error = -1;
    NET_TURN_UNTIL(s.net, s.server->last_error != -1);
    assert_int_equal(s.server->last_error, ECONNRESET);
    assert_int_equal(s.server->ends, 0);
    const probe_answer *a = probe_find(s.server, DUET_ANSWER_ACCEPTED, LISTENER);
    duet_path path = {a->accepted, DUET_TCP, a->local, a->remote};
    probe_send(s.server, &path, "into the void", 13);
    assert_int_equal(duet_net_turn(s.net, 0), DUET_OK);
    probe_ask(s.server, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = a->accepted});
    assert_int_equal(duet_net_turn(s.net, 0), DUET_OK);
    end(&s);
}

/* A TLS client by hand, that can end as no driver would. */
static void cut_off_after_handshake(streams *s)
{
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    duet_tls_context *context;
    duet_tls_config config;
    uint8_t buffer[16384];
    duet_tls *tls;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    duet_tls_config_init(&config);
    config.no_verify = true;
    assert_int_equal(duet_tls_context_create(&context, &config, NULL, 0), DUET_OK);
    assert_int_equal(duet_tls_create(&tls, context, NULL), DUET_OK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (!probe_find(s->server, DUET_ANSWER_ACCEPTED, LISTENER)) {
        size_t len = duet_tls_output(tls, buffer, sizeof(buffer));
        assert_int_equal(send(fd, buffer, len, 0), len);
        assert_int_equal(duet_net_turn(s->net, DUET_MS(10)), DUET_OK);
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n > 0)
            assert_int_equal(duet_tls_input(tls, buffer, (size_t)n), DUET_OK);
    }
    close(fd);
    duet_tls_destroy(tls);
    duet_tls_context_destroy(context);
}

static void tls_that_is_cut_off_is_no_orderly_end(void **state)
{
    (void)state;
    streams s;

    begin(&s, NULL);
    listen_on(&s, DUET_TLS, &good);
    cut_off_after_handshake(&s);
    NET_TURN_UNTIL(s.net, s.server->last_error != 0);
    assert_int_equal(s.server->ends, 0);
    end(&s);
}

static void an_endpoint_may_leave_inside_an_input(void **state)
{
    (void)state;
    for (duet_protocol protocol = DUET_TCP; protocol <= DUET_TLS; protocol++) {
        streams s;

        begin(&s, NULL);
        listen_on(&s, protocol, protocol == DUET_TLS ? &good : NULL);
        connect_to(&s, protocol);
        s.server->leave = probe_leave;
        probe_send(s.client, &s.to_server, "go", 2);
        probe_send(s.client, &s.to_server, "gone", 4);
        NET_TURN_UNTIL(s.net, s.server->inputs > 0 && s.client->ends > 0);
        end(&s);
    }
}

/* ---- many and hostile ---- */

static void handshakes_that_say_nothing_keep_nobody_out(void **state)
{
    (void)state;
    duet_net_config config;
    streams s;
    int idle[300];
    duet_net_stats stats;

    duet_net_config_init(&config);
    config.stream_timeout = DUET_MS(500);
    begin(&s, &config);
    listen_on(&s, DUET_TLS, &good);
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < 300; i++) {
        idle[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(idle[i], (struct sockaddr *)&sin, sizeof(sin)), 0);
    }
    assert_int_equal(write(idle[0], "GET / HTTP/1.0\r\n\r\n", 18), 18);
    connect_to(&s, DUET_TLS);
    NET_TURN_UNTIL(s.net, (duet_net_get_stats(s.net, &stats), stats.handshakes_failed == 300));
    assert_int_equal(s.server->answer_count, 2); /* LISTEN, and the one that is good */
    for (size_t i = 0; i < 300; i++)
        close(idle[i]);
    end(&s);
}

static void a_listener_closes_with_its_handshakes_but_not_its_streams(void **state)
{
    (void)state;
    streams s;

    begin(&s, NULL);
    listen_on(&s, DUET_TLS, &good);
    connect_to(&s, DUET_TLS);
    int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(idle, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(duet_net_turn(s.net, DUET_MS(20)), DUET_OK);
    probe_ask(s.server, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = LISTENER});
    char byte;
    assert_int_equal(duet_net_turn(s.net, 0), DUET_OK);
    assert_true(recv(idle, &byte, 1, 0) <= 0);
    probe_send(s.client, &s.to_server, "on", 2);
    NET_TURN_UNTIL(s.net, s.server->received_len == 2);
    close(idle);
    end(&s);
}

static int without_memory(const duet_env *env, void *arg)
{
    duet_net_config config;
    streams s = {0};
    duet_protocol protocol = *(duet_protocol *)arg;
    int err = DUET_OK;

    duet_net_config_init(&config);
    config.env = env;
    config.stream_timeout = DUET_MS(200);
    if (duet_net_create(&s.net, &config) != DUET_OK)
        return DUET_ERR_NOMEM;
    s.server = calloc(1, sizeof(probe));
    s.client = calloc(1, sizeof(probe));
    s.server->net = s.client->net = s.net;
    if (duet_net_attach(s.net, &probe_ops, s.server) != DUET_OK ||
        duet_net_attach(s.net, &probe_ops, s.client) != DUET_OK)
        err = DUET_ERR_NOMEM;
    probe_ask(s.server, (duet_request){.kind = DUET_REQUEST_LISTEN,
                                       .id = LISTENER,
                                       .protocol = protocol,
                                       .bind = probe_address("127.0.0.1", 0),
                                       .certificate_file = good.file});
    for (int i = 0; i < 100 && err == DUET_OK && !s.server->answer_count; i++)
        err = duet_net_turn(s.net, DUET_MS(10));
    const probe_answer *l = probe_find(s.server, DUET_REQUEST_LISTEN, LISTENER);
    if (err == DUET_OK && l && l->err == DUET_OK) {
        s.port = l->local.port;
        probe_ask(s.client, connection(&s, protocol));
        for (int i = 0; i < 100 && !s.client->answer_count; i++)
            assert_int_equal(duet_net_turn(s.net, DUET_MS(10)), DUET_OK);
        const probe_answer *a = probe_find(s.client, DUET_REQUEST_OPEN, CLIENT);
        if (a && a->err == DUET_OK) {
            duet_path path = {CLIENT, protocol, a->local, a->remote};
            static uint8_t data[100000];
            probe_send(s.client, &path, data, sizeof(data));
            for (int i = 0; i < 30 && s.server->received_len < sizeof(data); i++)
                assert_int_equal(duet_net_turn(s.net, DUET_MS(5)), DUET_OK);
            probe_ask(s.client, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = CLIENT});
            assert_int_equal(duet_net_turn(s.net, DUET_MS(5)), DUET_OK);
        }
    }
    duet_net_detach(s.net, s.server);
    duet_net_detach(s.net, s.client);
    duet_net_destroy(s.net);
    free(s.server);
    free(s.client);
    return err;
}

static void streams_without_memory_leak_nothing(void **state)
{
    (void)state;
    duet_protocol tcp = DUET_TCP, tls = DUET_TLS;

    test_fail_each_allocation("tcp", without_memory, &tcp);
    test_fail_each_allocation("tls", without_memory, &tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_carries_bytes_both_ways_and_ends_in_order),
        cmocka_unit_test(tls_carries_bytes_both_ways_and_ends_in_order),
        cmocka_unit_test(what_is_sent_in_the_turn_of_the_close_arrives_first),
        cmocka_unit_test(a_refused_connection_is_told_with_the_reason),
        cmocka_unit_test(connecting_takes_no_longer_than_it_may),
        cmocka_unit_test(certificates_that_are_not_to_be_trusted_are_told_as_such),
        cmocka_unit_test(files_that_cannot_be_read_are_told),
        cmocka_unit_test(a_taken_port_is_refused_unless_both_share_it),
        cmocka_unit_test(a_slow_reader_costs_whole_pieces_and_nobody_else),
        cmocka_unit_test(a_reset_is_an_error_and_ends_the_stream),
        cmocka_unit_test(tls_that_is_cut_off_is_no_orderly_end),
        cmocka_unit_test(an_endpoint_may_leave_inside_an_input),
        cmocka_unit_test(handshakes_that_say_nothing_keep_nobody_out),
        cmocka_unit_test(a_listener_closes_with_its_handshakes_but_not_its_streams),
        cmocka_unit_test(streams_without_memory_leak_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
