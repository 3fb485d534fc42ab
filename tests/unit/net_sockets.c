/* UDP sockets of an endpoint: ten thousand of them, batches sorted by socket, DSCP and ECN, shared ports, groups, a socket
 * that is full, and word of changed interfaces. Runs in a network namespace of its own where that is permitted. */
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/internal.h"
#include "net_pair.h"
#include "unit/net_probe.h"

_Static_assert(sizeof(net_socket) <= 128, "a TURN server has ten thousand of these");

static bool has_namespace; /* with duet0, 10.9.0.1/24 and fd09::1/64, whose other end answers nobody */

static int set_up(void **state)
{
    (void)state;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (unshare(CLONE_NEWNET) == 0)
        has_namespace = system("ip link set lo up && ip link add duet0 type veth peer name duet1 && "
                               "ip addr add 10.9.0.1/24 dev duet0 && ip addr add fd09::1/64 dev duet0 nodad && "
                               "ip link set duet0 up && ip link set duet1 up") == 0;
    return 0;
}

static duet_path open_at(probe *p, duet_request r)
{
    r.kind = DUET_REQUEST_OPEN;
    p->answer_count = 0;
    probe_ask(p, r);
    NET_TURN_UNTIL(p->net, p->answer_count > 0);
    if (p->answers[0].err != DUET_OK)
        fail_msg("socket %u: %s %s", (unsigned)r.id, duet_strerror(p->answers[0].err), p->answers[0].reason);
    return (duet_path){.socket = r.id, .local = p->answers[0].local};
}

static duet_path open_loopback(probe *p, uint32_t id)
{
    return open_at(p, (duet_request){.id = id, .bind = probe_address("127.0.0.1", 0)});
}

static int open_err(probe *p, duet_request r)
{
    r.kind = DUET_REQUEST_OPEN;
    p->answer_count = 0;
    probe_ask(p, r);
    NET_TURN_UNTIL(p->net, p->answer_count > 0);
    return p->answers[0].err;
}

/* ---- many ---- */

static void ten_thousand_sockets_are_served_by_one_loop(void **state)
{
    (void)state;
    struct rlimit limit;
    uint32_t count = 10000;
    duet_net *net;
    duet_net_stats stats;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < count + 100)
        count = (uint32_t)limit.rlim_cur - 100;
    assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
    probe *server = probe_new(net), *client = probe_new(net);
    duet_path from = open_loopback(client, 1);
    duet_address *at = calloc(count, sizeof(*at));
    for (uint32_t i = 0; i < count; i++)
        at[i] = open_loopback(server, i + 1).local;
    duet_time begin = duet_net_now(net);
    server->echo = true;
    for (uint32_t i = 0; i < count; i++) {
        from.remote = at[(i * 7919u) % count];
        probe_send(client, &from, "ping", 4);
        if (i % 128 == 127 || i == count - 1)
            NET_TURN_UNTIL(net, client->inputs == i + 1);
    }
    assert_int_equal(server->inputs, count);
    duet_time echoed = duet_net_now(net);
    for (uint32_t i = 0; i < count; i += 100) {
        for (uint32_t j = i; j < i + 100 && j < count; j++)
            probe_ask(server, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = j + 1});
        assert_int_equal(duet_net_turn(net, 0), DUET_OK);
    }
    duet_net_get_stats(net, &stats);
    print_message("%u sockets: echoes in %llu ms, %llu send calls, closed in %llu ms\n", (unsigned)count,
                  (unsigned long long)(echoed - begin) / 1000, (unsigned long long)stats.send_calls,
                  (unsigned long long)(duet_net_now(net) - echoed) / 1000);
    probe_end(server);
    probe_end(client);
    free(at);
    duet_net_destroy(net);
}

static void an_id_is_taken_until_it_is_closed(void **state)
{
    (void)state;
    duet_net *net;

    assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
    probe *p = probe_new(net);
    open_loopback(p, 5);
    assert_int_equal(open_err(p, (duet_request){.id = 5, .bind = probe_address("127.0.0.1", 0)}), DUET_ERR_INVALID);
    probe_ask(p, (duet_request){.kind = DUET_REQUEST_CLOSE, .id = 5});
    open_loopback(p, 5);
    probe_end(p);
    duet_net_destroy(net);
}

/* ---- batches ---- */

static void a_batch_is_sorted_by_socket_and_keeps_the_order_of_each(void **state)
{
    (void)state;
    enum { SOCKETS = 4, EACH = 16 };
    static uint8_t data[SOCKETS * EACH][64];
    duet_net_config config;
    duet_net *net;
    duet_net_stats before, after;
    duet_path paths[SOCKETS];

    for (int mode = 0; mode < 3; mode++) {
        duet_net_config_init(&config);
        config.no_offload = mode == 1;
        config.no_batch = mode == 2;
        assert_int_equal(duet_net_create(&net, &config), DUET_OK);
        probe *p = probe_new(net), *q = probe_new(net);
        duet_address to = open_loopback(q, 1).local;
        for (uint32_t i = 0; i < SOCKETS; i++) {
            paths[i] = open_loopback(p, i + 1);
            paths[i].remote = to;
        }
        duet_net_get_stats(net, &before);
        for (uint8_t n = 0; n < SOCKETS * EACH; n++) {
            data[n][0] = n;
            probe_send(p, &paths[n % SOCKETS], data[n], 64);
        }
        NET_TURN_UNTIL(net, q->inputs == SOCKETS * EACH);
        duet_net_get_stats(net, &after);
        if (mode < 2)
            assert_int_equal(after.send_calls - before.send_calls, SOCKETS);
        uint8_t next[SOCKETS] = {0, 1, 2, 3};
        for (size_t i = 0; i < SOCKETS * EACH; i++) {
            uint8_t n = q->received[i * 64];
            assert_int_equal(n, next[n % SOCKETS]);
            next[n % SOCKETS] = (uint8_t)(n + SOCKETS);
        }
        probe_end(p);
        probe_end(q);
        duet_net_destroy(net);
    }
}

typedef struct mark {
    uint8_t dscp, ecn;
} mark;

static mark seen[64];

static void note_mark(probe *p, const duet_datagram *in)
{
    (void)p;
    seen[in->data[0]] = (mark){in->dscp, in->ecn};
}

static void each_datagram_keeps_its_dscp_and_ecn(void **state)
{
    (void)state;
    static const mark marks[] = {{0, 0}, {46, 0}, {46, 1}, {34, 2}, {0, 1}, {10, 3}};
    static uint8_t data[60][100];
    duet_net *net;

    for (int family = 0; family < 2; family++) {
        const char *ip = family ? "::1" : "127.0.0.1";
        assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
        probe *p = probe_new(net), *q = probe_new(net);
        duet_path path = open_at(p, (duet_request){.id = 1, .bind = probe_address(ip, 0)});
        path.remote = open_at(q, (duet_request){.id = 1, .bind = probe_address(ip, 0)}).local;
        q->on_input = note_mark;
        memset(seen, 0xff, sizeof(seen));
        for (uint8_t i = 0; i < 60; i++) { /* trains of ten: each leaves as one */
            data[i][0] = i;
            probe_send_ecn(p, &path, data[i], 100, marks[i / 10].dscp, marks[i / 10].ecn);
        }
        NET_TURN_UNTIL(net, q->inputs == 60);
        for (size_t i = 0; i < 60; i++) {
            assert_int_equal(seen[i].dscp, marks[i / 10].dscp);
            assert_int_equal(seen[i].ecn, marks[i / 10].ecn);
        }
        probe_end(p);
        probe_end(q);
        duet_net_destroy(net);
    }
}

/* ---- shared ports and groups ---- */

static void a_port_is_shared_by_those_who_agree(void **state)
{
    (void)state;
    duet_net *net;

    assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
    probe *p = probe_new(net);
    duet_request r = {.id = 1, .bind = probe_address("127.0.0.1", 0), .share_port = true};
    r.bind.port = open_at(p, r).local.port;
    r.id = 2;
    assert_int_equal(open_at(p, r).local.port, r.bind.port);
    r.id = 3;
    r.share_port = false;
    assert_int_equal(open_err(p, r), DUET_ERR_IO);
    probe_end(p);
    duet_net_destroy(net);
}

static void check_group(const char *bind, const char *group)
{
    duet_net *net;

    assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
    probe *p = probe_new(net), *q = probe_new(net);
    duet_request r = {.id = 1, .bind = probe_address(bind, 5353), .group = probe_address(group, 0), .share_port = true};
    duet_path a = open_at(p, r);
    open_at(q, r);
    duet_request elsewhere = r; /* on loopback nobody hears it */
    assert_true(duet_address_ip_equal(&a.local, &r.bind));
    elsewhere.id = 2;
    elsewhere.bind = probe_address(r.bind.family == DUET_AF_INET6 ? "::1" : "127.0.0.1", 5353);
    bool has_other = open_err(q, elsewhere) == DUET_OK;
    a.remote = probe_address(group, 5353);
    probe_send(p, &a, "who?", 4);
    NET_TURN_UNTIL(net, p->inputs == 1 && q->inputs == 1);
    assert_int_equal(duet_net_turn(net, DUET_MS(20)), DUET_OK);
    assert_int_equal(q->inputs, 1);
    assert_int_equal(q->last.path.socket, 1);
    duet_address from = probe_address(bind, 5353);
    if (r.bind.family == DUET_AF_INET)
        assert_true(duet_address_equal(&q->last.path.remote, &from));
    (void)has_other;
    probe_end(p);
    probe_end(q);
    duet_net_destroy(net);
}

static void a_group_is_heard_by_all_who_joined_on_that_interface(void **state)
{
    (void)state;
    if (!has_namespace)
        skip();
    check_group("10.9.0.1", "224.0.0.251");
    check_group("fd09::1", "ff02::fb");
}

/* ---- a full socket ---- */

/* What is sent to somebody who does not answer ARP stays in the socket's buffer for some seconds. */
static void check_full_socket(size_t sockets, duet_time most)
{
    static uint8_t data[1000];
    duet_net_config config;
    duet_net_stats stats;
    duet_net *net;

    duet_net_config_init(&config);
    config.socket_buffer = 4096;
    assert_int_equal(duet_net_create(&net, &config), DUET_OK);
    probe *p = probe_new(net), *q = probe_new(net);
    duet_path stuck = open_at(p, (duet_request){.id = 1, .bind = probe_address("10.9.0.1", 0)});
    duet_path good = open_loopback(p, 2);
    for (uint32_t id = 3; id <= sockets; id++)
        open_loopback(p, id);
    good.remote = open_loopback(q, 1).local;
    stuck.remote = probe_address("10.9.0.77", 9);
    for (int i = 0; i < 100; i++) {
        data[0] = (uint8_t)i;
        probe_send(p, &stuck, data, sizeof(data));
        assert_int_equal(duet_net_turn(net, 0), DUET_OK);
    }
    duet_net_get_stats(net, &stats);
    assert_true(stats.send_blocked > 0);
    duet_time begin = duet_net_now(net);
    probe_send(p, &good, "still here", 10);
    NET_TURN_UNTIL(net, q->inputs == 1);
    assert_true(duet_net_now(net) - begin < most);
    duet_net_get_stats(net, &stats);
    assert_int_equal(stats.send_dropped > 0, true);
    probe_end(p);
    probe_end(q);
    duet_net_destroy(net);
}

static void a_full_socket_holds_up_the_others_for_a_moment_at_most(void **state)
{
    (void)state;
    if (!has_namespace)
        skip();
    check_full_socket(2, DUET_MS(400));
    check_full_socket(40, DUET_MS(90)); /* not at all */
}

/* ---- interfaces ---- */

static void who_watches_is_told_once_when_the_interfaces_change(void **state)
{
    (void)state;
    duet_net *net;

    if (!has_namespace)
        skip();
    assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
    probe *p = probe_new(net), *q = probe_new(net);
    probe_ask(p, (duet_request){.kind = DUET_REQUEST_INTERFACES, .id = 3, .watch = true});
    probe_ask(q, (duet_request){.kind = DUET_REQUEST_INTERFACES, .id = 3});
    NET_TURN_UNTIL(net, p->answer_count == 1 && q->answer_count == 1);
    size_t before = p->answers[0].interfaces;
    assert_int_equal(system("ip addr add 10.9.0.2/24 dev duet0; ip addr add 10.9.0.3/24 dev duet0"), 0);
    NET_TURN_UNTIL(net, p->answer_count == 2);
    assert_int_equal(p->answers[1].interfaces, before + 2);
    assert_int_equal(p->answers[1].id, 3);
    assert_int_equal(system("ip addr add 10.9.0.4/24 dev duet0; ip addr del 10.9.0.4/24 dev duet0"), 0); /* as it was */
    duet_time until = duet_net_now(net) + DUET_MS(300);
    while (duet_net_now(net) < until)
        assert_int_equal(duet_net_turn(net, DUET_MS(50)), DUET_OK);
    assert_int_equal(p->answer_count, 2);
    assert_int_equal(system("ip link set duet0 down"), 0);
    NET_TURN_UNTIL(net, p->answer_count == 3);
    assert_true(p->answers[2].interfaces < before);
    assert_int_equal(system("ip link set duet0 up"), 0);
    assert_int_equal(q->answer_count, 1);
    probe_end(p);
    probe_end(q);
    duet_net_destroy(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_sockets_are_served_by_one_loop),
        cmocka_unit_test(an_id_is_taken_until_it_is_closed),
        cmocka_unit_test(a_batch_is_sorted_by_socket_and_keeps_the_order_of_each),
        cmocka_unit_test(each_datagram_keeps_its_dscp_and_ecn),
        cmocka_unit_test(a_port_is_shared_by_those_who_agree),
        cmocka_unit_test(a_group_is_heard_by_all_who_joined_on_that_interface),
        cmocka_unit_test(a_full_socket_holds_up_the_others_for_a_moment_at_most),
        cmocka_unit_test(who_watches_is_told_once_when_the_interfaces_change),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
