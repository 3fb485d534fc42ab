/* Two connections in one loop over loopback sockets: with and without the batching of the kernel, in a foreign loop, with
 * ports that are taken, with full sockets. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_pair.h"

/* ---- sockets that are full now and then ---- */

/* These stand before libc's: what they refuse, the kernel never sees. */
static bool refusing;
static uint64_t refusals_seed = 1, refusals;

#define EXPORTED __attribute__((visibility("default")))

static bool refuse(void)
{
    if (!refusing || test_random_below(&refusals_seed, 4) != 0)
        return false;
    refusals++;
    errno = test_random_below(&refusals_seed, 8) ? EAGAIN : ENOBUFS;
    return true;
}

EXPORTED int sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    static int (*real)(int, struct mmsghdr *, unsigned, int);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sendmmsg");
    if (refuse())
        return -1;
    return real(fd, msgs, refusing && count > 1 ? 1 + (unsigned)test_random_below(&refusals_seed, count) : count,
                flags);
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
    return refuse() ? -1 : real(fd, msg, flags);
}

/* glibc declares the address as a union of its kinds, which gcc compares strictly. */
EXPORTED ssize_t sendto(int fd, const void *data, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_len)
{
    static ssize_t (*real)(int, const void *, size_t, int, __CONST_SOCKADDR_ARG, socklen_t);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sendto");
    return refuse() ? -1 : real(fd, data, len, flags, to, to_len);
}

/* ---- transfers ---- */

#define MESSAGES     60
#define MESSAGE_SIZE 20000

typedef struct pair {
    duet_net *net;
    net_side a, b;
} pair;

static void pair_connect(pair *p, const duet_net_config *config, const char *address)
{
    memset(p, 0, sizeof(*p));
    assert_int_equal(duet_net_create(&p->net, config), DUET_OK);
    p->a.other = &p->b;
    p->b.other = &p->a;
    duet_pc_config a = net_side_config(&p->a, address), b = net_side_config(&p->b, address);
    net_side_create(&p->a, p->net, &a);
    net_side_create(&p->b, p->net, &b);
    net_negotiate(&p->a, &p->b);
    NET_TURN_UNTIL(p->net, p->a.open && p->b.open);
}

static void pair_end(pair *p)
{
    net_side_end(&p->a);
    net_side_end(&p->b);
    duet_net_destroy(p->net);
}

static void transfer(pair *p)
{
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(net_side_send(&p->a, MESSAGE_SIZE), DUET_OK);
        assert_int_equal(net_side_send(&p->b, 4 + (size_t)i), DUET_OK);
    }
    NET_TURN_UNTIL(p->net, p->a.received == MESSAGES && p->b.received == MESSAGES);
    assert_int_equal(p->a.wrong + p->b.wrong, 0);
    assert_int_equal(p->b.received_bytes, MESSAGES * MESSAGE_SIZE);
}

static void every_way_to_use_the_kernel_carries_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *name, *address;
        bool no_offload, no_batch;
        size_t buffers;
    } ways[] = {
        {"GSO and GRO", "127.0.0.1", false, false, 0},
        {"GSO and GRO, IPv6", "::1", false, false, 1},
        {"batches", "127.0.0.1", true, false, 4},
        {"single datagrams", "127.0.0.1", false, true, 0},
    };

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        duet_net_config config;
        duet_net_stats stats;
        pair p;
        duet_net_config_init(&config);
        config.no_offload = ways[i].no_offload;
        config.no_batch = ways[i].no_batch;
        config.receive_buffers = ways[i].buffers;
        pair_connect(&p, &config, ways[i].address);
        transfer(&p);
        duet_net_get_stats(p.net, &stats);
        print_message("%s: %llu datagrams with %llu calls out, %llu in\n", ways[i].name,
                      (unsigned long long)stats.datagrams_out, (unsigned long long)stats.send_calls,
                      (unsigned long long)stats.receive_calls);
        assert_int_equal(stats.truncated, 0);
        assert_true(stats.datagrams_in >= MESSAGES * MESSAGE_SIZE / 1200);
        if (ways[i].no_batch)
            assert_true(stats.send_calls >= stats.datagrams_out);
        else
            assert_true(stats.send_calls < stats.datagrams_out);
        pair_end(&p);
    }
}

static void a_full_socket_loses_nothing(void **state)
{
    (void)state;
    for (int mode = 0; mode < 3; mode++) {
        duet_net_config config;
        duet_net_stats stats;
        pair p;
        duet_net_config_init(&config);
        config.no_offload = mode == 1;
        config.no_batch = mode == 2;
        config.socket_buffer = 4096;
        refusals = 0;
        refusing = true;
        pair_connect(&p, &config, "127.0.0.1");
        transfer(&p);
        refusing = false;
        duet_net_get_stats(p.net, &stats);
        print_message("%llu refusals, %llu times blocked\n", (unsigned long long)refusals,
                      (unsigned long long)stats.send_blocked);
        assert_true(refusals > 10 && stats.send_blocked > 5);
        assert_int_equal(stats.send_errors, 0);
        pair_end(&p);
    }
}

/* ---- a foreign loop ---- */

static void one_descriptor_is_enough_for_a_foreign_loop(void **state)
{
    (void)state;
    duet_net *nets[2];
    net_side a = {0}, b = {0};
    struct pollfd fds[2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(duet_net_create(&nets[i], NULL), DUET_OK);
        fds[i] = (struct pollfd){duet_net_fd(nets[i]), POLLIN, 0};
    }
    a.other = &b;
    b.other = &a;
    duet_pc_config ca = net_side_config(&a, "127.0.0.1"), cb = net_side_config(&b, "127.0.0.1");
    net_side_create(&a, nets[0], &ca);
    net_side_create(&b, nets[1], &cb);
    net_negotiate(&a, &b);
    /* Only what the descriptors say; a time-out means that something was forgotten. */
    for (unsigned turns = 0; !(a.open && b.open && b.received == 10); turns++) {
        static bool sent;
        assert_true(turns < 20000);
        assert_true(poll(fds, 2, 5000) > 0);
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents)
                assert_int_equal(duet_net_turn(nets[i], 0), DUET_OK);
        }
        for (int i = 0; a.open && b.open && !sent && i < 10; i++)
            assert_int_equal(net_side_send(&a, 5000), DUET_OK); /* from outside of a turn */
        sent = sent || (a.open && b.open);
    }
    /* And when nothing is to be done, they do not say otherwise. */
    duet_net_stats before, after;
    for (int i = 0; i < 200 && poll(fds, 2, 300) > 0; i++) {
        for (int k = 0; k < 2; k++)
            assert_int_equal(duet_net_turn(nets[k], 0), DUET_OK);
    }
    duet_net_get_stats(nets[0], &before);
    assert_int_equal(poll(fds, 2, 100), 0);
    duet_net_get_stats(nets[0], &after);
    net_side_end(&a);
    net_side_end(&b);
    duet_net_destroy(nets[0]);
    duet_net_destroy(nets[1]);
}

/* ---- ports ---- */

static int taken_port(uint16_t *port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    *port = ntohs(sin.sin_port);
    return fd;
}

static void gathering_completes_when_no_port_is_free(void **state)
{
    (void)state;
    duet_net *net;
    net_side a = {0};
    duet_dc *dc;
    uint16_t port;
    int fd = taken_port(&port);

    assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
    duet_pc_config config = net_side_config(&a, "127.0.0.1");
    config.port_min = config.port_max = port;
    net_side_create(&a, net, &config);
    assert_int_equal(duet_pc_create_data_channel(a.pc, "test", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(a.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    NET_TURN_UNTIL(net, a.gathered);
    assert_int_equal(a.candidates, 0);
    net_side_end(&a);
    close(fd); /* now it is free */
    a = (net_side){0};
    net_side_create(&a, net, &config);
    assert_int_equal(duet_pc_create_data_channel(a.pc, "test", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(a.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    NET_TURN_UNTIL(net, a.gathered);
    assert_int_equal(a.candidates, 1);
    net_side_end(&a);
    duet_net_destroy(net);
}

/* ---- coming and going ---- */

static void leave_on_open(void *user, duet_dc *dc)
{
    (void)dc;
    ((net_side *)user)->open = true;
    net_side_end(user);
}

static void join_on_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    net_side *s = user;
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_open = leave_on_open, .user = s};

    (void)pc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void connections_come_and_go_inside_callbacks(void **state)
{
    (void)state;
    duet_net *net;

    assert_int_equal(duet_net_create(&net, NULL), DUET_OK);
    for (int i = 0; i < 5; i++) {
        net_side a = {0}, b = {0};
        a.other = &b;
        b.other = &a;
        duet_pc_config ca = net_side_config(&a, "127.0.0.1"), cb = net_side_config(&b, "127.0.0.1");
        cb.on_data_channel = join_on_channel;
        net_side_create(&a, net, &ca);
        net_side_create(&b, net, &cb);
        net_negotiate(&a, &b);
        NET_TURN_UNTIL(net, b.open);
        assert_null(b.pc);
        duet_pc_close(a.pc);
        assert_int_equal(duet_net_turn(net, 0), DUET_OK);
        net_side_end(&a);
        duet_net_remove(net, NULL); /* nobody */
    }
    duet_net_destroy(net);
}

static void a_closed_connection_is_heard_of_at_once(void **state)
{
    (void)state;
    pair p;

    pair_connect(&p, NULL, "127.0.0.1");
    duet_time begin = duet_net_now(p.net);
    duet_pc_close(p.a.pc);
    net_side_end(&p.a); /* the goodbye leaves with this */
    NET_TURN_UNTIL(p.net, p.b.closed);
    assert_true(duet_net_now(p.net) - begin < DUET_MS(500));
    pair_end(&p);
}

/* ---- memory ---- */

static int run_loop(const duet_env *env, void *arg)
{
    duet_net_config config;
    duet_net *net;
    net_side a = {0};
    duet_dc *dc;

    (void)arg;
    duet_net_config_init(&config);
    config.env = env;
    config.name_servers = "127.0.0.1:1";
    int err = duet_net_create(&net, &config);
    if (err != DUET_OK)
        return err;
    duet_pc_config pc_config = net_side_config(&a, "127.0.0.1");
    assert_int_equal(duet_pc_create(&a.pc, &pc_config), DUET_OK);
    err = duet_net_add(net, a.pc);
    if (err == DUET_OK) {
        assert_int_equal(duet_pc_create_data_channel(a.pc, "test", NULL, &dc), DUET_OK);
        assert_int_equal(duet_pc_set_local_description(a.pc, DUET_SDP_OFFER, NULL), DUET_OK);
        for (int i = 0; i < 5; i++)
            assert_int_equal(duet_net_turn(net, 0), DUET_OK);
        err = a.candidates == 1 ? DUET_OK : DUET_ERR_NOMEM;
        duet_net_remove(net, a.pc);
    }
    duet_pc_destroy(a.pc);
    duet_net_destroy(net);
    return err;
}

static void a_loop_without_memory_ends_cleanly(void **state)
{
    (void)state;
    test_fail_each_allocation("duet_net", run_loop, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_use_the_kernel_carries_the_same),
        cmocka_unit_test(a_full_socket_loses_nothing),
        cmocka_unit_test(one_descriptor_is_enough_for_a_foreign_loop),
        cmocka_unit_test(gathering_completes_when_no_port_is_free),
        cmocka_unit_test(connections_come_and_go_inside_callbacks),
        cmocka_unit_test(a_closed_connection_is_heard_of_at_once),
        cmocka_unit_test(a_loop_without_memory_ends_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
