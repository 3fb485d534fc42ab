/* Look-ups of names against a small name server on 127.0.0.1: addresses of both families, names that are not, silence. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_pair.h"

/* ---- a name server ---- */

typedef struct server {
    int fd;
    uint16_t port;
    unsigned queries;
    bool silent;
} server;

static void server_start(server *s)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);

    *s = (server){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    assert_int_equal(bind(s->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sin, &len), 0);
    s->port = ntohs(sin.sin_port);
}

/* "good.test" has one address of each family, everything else does not exist. RFC 1035, RFC 3596. */
static size_t respond(uint8_t *m, size_t len)
{
    size_t end = 12;

    while (end < len && m[end])
        end += m[end] + 1u;
    end += 5; /* the root, type and class */
    assert_true(end <= len);
    bool good = memcmp(m + 12, "\4good\4test", 10) == 0;
    uint8_t type = m[end - 3];
    m[2] |= 0x80;
    m[3] = good ? 0x80 : 0x83; /* NXDOMAIN */
    m[7] = good && (type == 1 || type == 28);
    m[9] = m[11] = 0;
    if (!m[7])
        return end;
    static const uint8_t v4[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 77};
    static const uint8_t v6[] = {0xc0, 12,   0, 28, 0, 1, 0, 0, 0, 9, 0, 16, 0x20, 1,
                                 0xd,  0xb8, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,  0,    77};
    memcpy(m + end, type == 1 ? v4 : v6, type == 1 ? sizeof(v4) : sizeof(v6));
    return end + (type == 1 ? sizeof(v4) : sizeof(v6));
}

static void server_ready(void *arg, unsigned ready)
{
    server *s = arg;
    uint8_t message[512];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);

    (void)ready;
    ssize_t n = recvfrom(s->fd, message, 300, 0, (struct sockaddr *)&from, &from_len);
    if (n < 17)
        return;
    s->queries++;
    if (s->silent)
        return;
    size_t len = respond(message, (size_t)n);
    assert_int_equal(sendto(s->fd, message, len, 0, (struct sockaddr *)&from, from_len), len);
}

/* ---- an endpoint that asks ---- */

typedef struct asker {
    const char *name;
    unsigned answers;
    int err;
    duet_address addresses[8];
    size_t count;
    duet_net *net;
    bool leave; /* inside the answer */
} asker;

static int ask_request(void *object, duet_request *out)
{
    asker *a = object;

    if (!a->name)
        return 0;
    *out = (duet_request){.kind = DUET_REQUEST_RESOLVE, .id = 7, .name = a->name};
    a->name = NULL;
    return 1;
}

static int ask_answer(void *object, const duet_answer *answer, duet_time now)
{
    asker *a = object;

    (void)now;
    assert_int_equal(answer->kind, DUET_REQUEST_RESOLVE);
    assert_int_equal(answer->id, 7);
    a->answers++;
    a->err = answer->err;
    a->count = answer->address_count;
    for (size_t i = 0; i < answer->address_count && i < 8; i++)
        a->addresses[i] = answer->addresses[i];
    if (a->leave)
        duet_net_detach(a->net, a);
    return DUET_OK;
}

static int no_input(void *object, duet_datagram *in, duet_time now)
{
    (void)object, (void)in, (void)now;
    return DUET_OK;
}

static int no_output(void *object, duet_datagram *out, duet_time now)
{
    (void)object, (void)out, (void)now;
    return 0;
}

static void no_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    (void)object, (void)path, (void)error, (void)now;
}

static void no_tick(void *object, duet_time now)
{
    (void)object, (void)now;
}

static duet_time no_deadline(const void *object)
{
    (void)object;
    return DUET_NEVER;
}

static void no_wake(void *object, void (*wake)(void *user), void *user)
{
    (void)object, (void)wake, (void)user;
}

static const duet_endpoint_ops ops = {sizeof(ops),   no_input, no_output,   ask_request, ask_answer,
                                      no_path_error, no_tick,  no_deadline, no_wake,     NULL};

typedef struct bench {
    server server;
    duet_net *net;
    duet_net_watch *watch;
} bench;

static void bench_start(bench *b, duet_time timeout)
{
    duet_net_config config;
    char servers[64];

    server_start(&b->server);
    duet_net_config_init(&config);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", b->server.port);
    config.name_servers = servers;
    config.name_timeout = timeout;
    assert_int_equal(duet_net_create(&b->net, &config), DUET_OK);
    memset(servers, 'x', sizeof(servers) - 1); /* it was copied */
    assert_int_equal(duet_net_watch_start(&b->watch, b->net, b->server.fd, DUET_NET_READABLE, server_ready, &b->server),
                     DUET_OK);
}

static void bench_end(bench *b)
{
    duet_net_watch_stop(b->watch);
    duet_net_destroy(b->net);
    close(b->server.fd);
}

static void a_name_has_addresses_of_both_families(void **state)
{
    (void)state;
    bench b;
    asker a = {.name = "good.test"};

    bench_start(&b, 0);
    assert_int_equal(duet_net_attach(b.net, &ops, &a), DUET_OK);
    NET_TURN_UNTIL(b.net, a.answers);
    assert_int_equal(a.err, DUET_OK);
    assert_int_equal(a.count, 2);
    unsigned v4 = 0, v6 = 0;
    for (size_t i = 0; i < 2; i++) {
        char text[DUET_ADDRESS_TEXT_MAX];
        duet_address_ip_text(&a.addresses[i], text, sizeof(text));
        v4 += strcmp(text, "192.0.2.77") == 0;
        v6 += strcmp(text, "2001:db8::4d") == 0;
        assert_int_equal(a.addresses[i].port, 0);
    }
    assert_int_equal(v4 + v6, 2);
    duet_net_detach(b.net, &a);
    bench_end(&b);
}

static void a_name_that_is_not_is_not_found(void **state)
{
    (void)state;
    bench b;
    asker a = {.name = "bad.test"}, empty = {.name = ""};

    bench_start(&b, 0);
    assert_int_equal(duet_net_attach(b.net, &ops, &a), DUET_OK);
    assert_int_equal(duet_net_attach(b.net, &ops, &empty), DUET_OK);
    NET_TURN_UNTIL(b.net, a.answers && empty.answers);
    assert_int_equal(a.err, DUET_ERR_NOT_FOUND);
    assert_int_equal(empty.err, DUET_ERR_NOT_FOUND);
    assert_int_equal(a.count, 0);
    bench_end(&b); /* with the endpoints attached */
}

static void silence_ends_with_a_time_out(void **state)
{
    (void)state;
    bench b;
    asker a = {.name = "good.test"};

    bench_start(&b, DUET_MS(100));
    b.server.silent = true;
    assert_int_equal(duet_net_attach(b.net, &ops, &a), DUET_OK);
    duet_time begin = duet_net_now(b.net);
    NET_TURN_UNTIL(b.net, a.answers);
    assert_int_equal(a.err, DUET_ERR_TIMEOUT);
    print_message("after %.0f ms and %u queries\n", (double)(duet_net_now(b.net) - begin) / 1000, b.server.queries);
    assert_true(duet_net_now(b.net) - begin < DUET_SECONDS(2));
    assert_true(b.server.queries >= 4); /* two of each family */
    duet_net_detach(b.net, &a);
    bench_end(&b);
}

static void who_asks_may_leave_before_or_in_the_answer(void **state)
{
    (void)state;
    bench b;
    asker a = {.name = "good.test"}, c = {.name = "good.test"}, d = {.name = "good.test"};

    bench_start(&b, 0);
    c.leave = true;
    c.net = b.net;
    assert_int_equal(duet_net_attach(b.net, &ops, &a), DUET_OK);
    assert_int_equal(duet_net_attach(b.net, &ops, &c), DUET_OK);
    assert_int_equal(duet_net_turn(b.net, 0), DUET_OK);
    duet_net_detach(b.net, &a);
    NET_TURN_UNTIL(b.net, c.answers);
    assert_int_equal(a.answers, 0);
    assert_int_equal(duet_net_attach(b.net, &ops, &d), DUET_OK);
    assert_int_equal(duet_net_turn(b.net, 0), DUET_OK); /* and the loop may end while one is under way */
    bench_end(&b);
}

/* A STUN server by its name: gathering waits for the look-up, and goes on without it. */
static void gathering_goes_on_when_a_server_has_no_address(void **state)
{
    (void)state;
    bench b;
    net_side a = {0};
    const char *urls[] = {"stun:nowhere.test"};
    duet_ice_server stun = {urls, 1, NULL, NULL};
    const duet_ice_server *servers[] = {&stun};
    duet_dc *dc;

    bench_start(&b, 0);
    duet_pc_config config = net_side_config(&a, "127.0.0.1");
    config.ice_servers = servers;
    config.ice_server_count = 1;
    net_side_create(&a, b.net, &config);
    assert_int_equal(duet_pc_create_data_channel(a.pc, "test", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(a.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    NET_TURN_UNTIL(b.net, a.gathered);
    assert_int_equal(a.candidates, 1);
    assert_true(b.server.queries >= 1);
    net_side_end(&a);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_addresses_of_both_families),
        cmocka_unit_test(a_name_that_is_not_is_not_found),
        cmocka_unit_test(silence_ends_with_a_time_out),
        cmocka_unit_test(who_asks_may_leave_before_or_in_the_answer),
        cmocka_unit_test(gathering_goes_on_when_a_server_has_no_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
