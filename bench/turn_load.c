/* Load for a TURN or STUN server on IPv4, and what it costs the server: CPU seconds of its process while it is loaded.
 *   bench_turn_load bindings|relay|bulk|memory HOST PORT PID [--seconds S] [--flows N] [--size B] [--user NAME:PASSWORD]
 * prints one line of JSON.
 *
 * bindings: Binding requests from --flows sockets. relay: a datagram each way on each of --flows allocations in turn, over
 * channels. bulk: trains of datagrams from one client to one peer. memory: what --flows allocations add to the process.
 * The load is closed: only so much is under way, and what is lost is given up after a while. */
#include "duet/stun.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define FLOWS_MAX     20000
#define BATCH         32
#define TRAIN         32 /* datagrams of one send of the bulk flow */
#define TRAINS_AWAY   8
#define DATAGRAM_MAX  2048
#define BIG           65536
#define CHANNEL       0x4000
#define ROUNDS_AWAY   4 /* relay: datagrams each way of each flow */
#define GIVE_UP_US    5000.0
#define SOCKET_BUFFER (4 << 20)

typedef struct flow {
    int client, peer; /* sockets */
    long away;        /* bindings: requests without an answer */
} flow;

typedef struct options {
    const char *host;
    int port, pid;
    double seconds;
    size_t flows, size;
    char user[128], password[128];
} options;

static flow *flows;
static uint8_t big[BATCH][BIG];

static double now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- the server's process ---- */

static double cpu_seconds(int pid)
{
    char path[64];
    unsigned long user, system;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die(path);
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double resident_kib(int pid)
{
    char path[64];
    unsigned long pages;

    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*u %lu", &pages) != 1)
        die(path);
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* ---- sockets ---- */

static struct sockaddr_in address_of(const options *o, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, o->host, &in.sin_addr);
    return in;
}

static int open_socket(const options *o, int connect_to)
{
    struct sockaddr_in here = address_of(o, 0), there = address_of(o, connect_to);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int size = SOCKET_BUFFER;

    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)) ||
        (connect_to && connect(fd, (struct sockaddr *)&there, sizeof(there))))
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return fd;
}

/* Takes what has arrived. @return datagrams; their bytes in all are added */
static long drain(int fd, size_t *bytes)
{
    struct mmsghdr msgs[BATCH] = {0};
    struct iovec iov[BATCH];
    long count = 0;
    int n;

    do {
        for (size_t i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){big[i], BIG};
            msgs[i].msg_hdr.msg_iov = &iov[i];
            msgs[i].msg_hdr.msg_iovlen = 1;
        }
        n = recvmmsg(fd, msgs, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++)
            *bytes += msgs[i].msg_len;
        count += n > 0 ? n : 0;
    } while (n == BATCH);
    return count;
}

/* ---- a TURN client ---- */

typedef struct session {
    char realm[128], nonce[256];
    uint8_t key[16];
    uint32_t transaction;
} session;

static uint8_t request[DATAGRAM_MAX], response[DATAGRAM_MAX];

static duet_stun_builder begin(session *s, uint16_t method)
{
    uint8_t id[DUET_STUN_TRANSACTION_LEN] = {1};

    s->transaction++;
    memcpy(id + 4, &s->transaction, sizeof(s->transaction));
    return duet_stun_begin(request, sizeof(request), DUET_STUN_REQUEST, method, id);
}

static unsigned exchange(int fd, const duet_stun_builder *b, duet_stun_message *out)
{
    struct pollfd p = {fd, POLLIN, 0};
    duet_stun_error error;
    size_t len;

    if (duet_stun_end(b, &len) != DUET_OK)
        exit(1);
    for (int tries = 0; tries < 5; tries++) {
        if (send(fd, request, len, 0) < 0)
            die("send");
        if (poll(&p, 1, 1000) != 1)
            continue;
        ssize_t n = recv(fd, response, sizeof(response), 0);
        if (n > 0 && duet_stun_parse(out, response, (size_t)n) == DUET_OK)
            return duet_stun_get_error(out, &error) == DUET_OK ? error.code : 0;
    }
    fprintf(stderr, "bench_turn_load: the server does not answer\n");
    exit(1);
}

static void copy_text(const duet_stun_message *m, uint16_t type, char *out, size_t size)
{
    duet_stun_attribute a;

    if (!duet_stun_find(m, type, &a) || a.len >= size)
        exit(1);
    memcpy(out, a.value, a.len);
    out[a.len] = 0;
}

static void finish(const options *o, session *s, duet_stun_builder *b)
{
    duet_stun_add_text(b, DUET_STUN_USERNAME, o->user);
    duet_stun_add_text(b, DUET_STUN_REALM, s->realm);
    duet_stun_add_text(b, DUET_STUN_NONCE, s->nonce);
    duet_stun_add_integrity(b, s->key, sizeof(s->key));
}

static void expect_success(unsigned code, const char *what)
{
    if (code == 0)
        return;
    fprintf(stderr, "bench_turn_load: %s: error %u\n", what, code);
    exit(1);
}

/* @return the port of the relayed address */
static int allocate(const options *o, session *s, int fd)
{
    duet_stun_message m;
    duet_address relayed;

    duet_stun_builder b = begin(s, DUET_STUN_ALLOCATE);
    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_TRANSPORT, 17);
    if (exchange(fd, &b, &m) != 401)
        expect_success(401, "the first request");
    copy_text(&m, DUET_STUN_REALM, s->realm, sizeof(s->realm));
    copy_text(&m, DUET_STUN_NONCE, s->nonce, sizeof(s->nonce));
    if (duet_stun_key_md5(s->key, o->user, s->realm, o->password) != DUET_OK)
        exit(1);
    b = begin(s, DUET_STUN_ALLOCATE);
    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_TRANSPORT, 17);
    finish(o, s, &b);
    expect_success(exchange(fd, &b, &m), "Allocate");
    if (duet_stun_get_address(&m, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed) != DUET_OK)
        exit(1);
    return relayed.port;
}

static void bind_channel(const options *o, session *s, int fd, int peer)
{
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    duet_stun_message m;
    duet_address address = {.family = DUET_AF_INET};

    if (getsockname(peer, (struct sockaddr *)&in, &len))
        die("getsockname");
    address.port = ntohs(in.sin_port);
    memcpy(address.ip, &in.sin_addr, 4);
    duet_stun_builder b = begin(s, DUET_STUN_CHANNEL_BIND);
    duet_stun_add_u16(&b, DUET_STUN_CHANNEL_NUMBER, CHANNEL);
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &address);
    finish(o, s, &b);
    expect_success(exchange(fd, &b, &m), "ChannelBind");
}

/* The client's end, the peer's end, and an allocation with a channel between them. */
static void open_flow(const options *o, flow *f)
{
    session s = {.transaction = 1};

    f->client = open_socket(o, o->port);
    f->peer = open_socket(o, 0);
    int relayed = allocate(o, &s, f->client);
    bind_channel(o, &s, f->client, f->peer);
    struct sockaddr_in in = address_of(o, relayed);
    if (connect(f->peer, (struct sockaddr *)&in, sizeof(in)))
        die("connect");
}

/* ---- measuring ---- */

typedef struct meter {
    double start, end, cpu;
    long sent, received;
} meter;

static void meter_start(meter *m, const options *o)
{
    *m = (meter){.start = now_us(), .cpu = cpu_seconds(o->pid)};
    m->end = m->start + o->seconds * 1e6;
}

static void meter_report(const meter *m, const options *o, const char *what)
{
    double cpu = cpu_seconds(o->pid) - m->cpu, seconds = (now_us() - m->start) / 1e6;

    printf("{\"what\":\"%s\",\"flows\":%zu,\"size\":%zu,\"sent\":%ld,\"received\":%ld,\"seconds\":%.2f,\"cpu_s\":%.2f,"
           "\"per_s\":%.0f,\"per_cpu_s\":%.0f}\n",
           what, o->flows, o->size, m->sent, m->received, seconds, cpu, (double)m->received / seconds,
           cpu > 0 ? (double)m->received / cpu : 0);
}

static void send_many(int fd, const uint8_t *data, size_t len, size_t count)
{
    struct mmsghdr msgs[BATCH] = {0};
    struct iovec iov = {(void *)(uintptr_t)data, len};

    for (size_t i = 0; i < count; i++) {
        msgs[i].msg_hdr.msg_iov = &iov;
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    sendmmsg(fd, msgs, (unsigned)count, 0);
}

#define WINDOW 16 /* Binding requests under way from each socket */

static void run_bindings(const options *o)
{
    uint8_t id[DUET_STUN_TRANSACTION_LEN] = {7};
    duet_stun_builder b = duet_stun_begin(request, sizeof(request), DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
    size_t len, bytes = 0;
    meter m;

    if (duet_stun_end(&b, &len) != DUET_OK)
        exit(1);
    for (size_t i = 0; i < o->flows; i++)
        flows[i].client = open_socket(o, o->port);
    meter_start(&m, o);
    for (double last = m.start, now = m.start; now < m.end; now = now_us()) {
        long before = m.received;
        for (size_t i = 0; i < o->flows; i++) {
            flow *f = &flows[i];
            long n = drain(f->client, &bytes);
            m.received += n;
            f->away = f->away > n ? f->away - n : 0;
            if (f->away > WINDOW / 2)
                continue;
            send_many(f->client, request, len, (size_t)(WINDOW - f->away));
            m.sent += WINDOW - f->away;
            f->away = WINDOW;
        }
        if (m.received > before)
            last = now;
        else if (now - last > GIVE_UP_US)
            for (size_t i = 0; i < o->flows; i++)
                flows[i].away = 0;
    }
    meter_report(&m, o, "bindings");
}

static void fill_channel_data(uint8_t *out, size_t size)
{
    memset(out, 0x5A, size + 4);
    out[0] = CHANNEL >> 8;
    out[1] = CHANNEL & 0xFF;
    out[2] = (uint8_t)(size >> 8);
    out[3] = (uint8_t)size;
}

static void run_relay(const options *o)
{
    size_t bytes = 0;
    meter m;

    fill_channel_data(request, o->size);
    uint8_t *copy = malloc(o->size + 4);
    if (!copy)
        exit(1);
    memcpy(copy, request, o->size + 4);
    for (size_t i = 0; i < o->flows; i++)
        open_flow(o, &flows[i]);
    meter_start(&m, o);
    /* Several rounds are sent before anything is taken: the server must be what waits for nobody. */
    long away = 0, most = ROUNDS_AWAY * 2 * (long)o->flows;
    for (double last = m.start, now = m.start; now < m.end; now = now_us()) {
        while (away < most) {
            for (size_t i = 0; i < o->flows; i++) {
                away += send(flows[i].client, copy, o->size + 4, MSG_DONTWAIT) > 0;
                away += send(flows[i].peer, copy + 4, o->size, MSG_DONTWAIT) > 0;
            }
            m.sent += 2 * (long)o->flows;
        }
        long got = 0;
        for (size_t i = 0; i < o->flows; i++)
            got += drain(flows[i].client, &bytes) + drain(flows[i].peer, &bytes);
        m.received += got;
        away = away > got ? away - got : 0;
        if (got)
            last = now;
        else if (now - last > GIVE_UP_US)
            away = 0;
    }
    free(copy);
    meter_report(&m, o, "relay");
}

static void send_train(int fd, uint8_t *train, size_t len)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct iovec iov = {train, len * TRAIN};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    uint16_t segment = (uint16_t)len;

    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(c), &segment, sizeof(segment));
    if (sendmsg(fd, &msg, 0) < 0)
        die("sendmsg with UDP_SEGMENT");
}

static void run_bulk(const options *o)
{
    size_t len = o->size + 4, bytes = 0, seen = 0;
    uint8_t *train = malloc(len * TRAIN);
    int on = 1;
    meter m;

    if (!train)
        exit(1);
    for (size_t i = 0; i < TRAIN; i++)
        fill_channel_data(train + i * len, o->size);
    open_flow(o, &flows[0]);
    setsockopt(flows[0].peer, SOL_UDP, UDP_GRO, &on, sizeof(on));
    meter_start(&m, o);
    size_t away = 0;
    for (double last = m.start, now = m.start; now < m.end; now = now_us()) {
        for (; away <= (TRAINS_AWAY - 1) * TRAIN * o->size; away += TRAIN * o->size, m.sent += TRAIN)
            send_train(flows[0].client, train, len);
        (void)drain(flows[0].peer, &bytes);
        size_t got = bytes - seen;
        seen = bytes;
        away = away > got ? away - got : 0;
        if (got)
            last = now;
        else if (now - last > GIVE_UP_US)
            away = 0;
    }
    m.received = (long)(bytes / o->size);
    free(train);
    meter_report(&m, o, "bulk");
}

static void run_memory(const options *o)
{
    session s = {.transaction = 1};

    flows[0].client = open_socket(o, o->port); /* what the first one costs is not counted */
    (void)allocate(o, &s, flows[0].client);
    double before = resident_kib(o->pid);
    for (size_t i = 1; i <= o->flows; i++) {
        flows[i].client = open_socket(o, o->port);
        (void)allocate(o, &s, flows[i].client);
    }
    printf("{\"what\":\"memory\",\"allocations\":%zu,\"kib_per_allocation\":%.2f}\n", o->flows,
           (resident_kib(o->pid) - before) / (double)o->flows);
}

/* ---- command line ---- */

static void bad_usage(void)
{
    fprintf(stderr,
            "Usage: bench_turn_load bindings|relay|bulk|memory HOST PORT PID [--seconds S] [--flows N] [--size B] "
            "[--user NAME:PASSWORD]\n");
    exit(2);
}

static void parse_user(options *o, const char *text)
{
    const char *colon = strchr(text, ':');

    if (!colon || (size_t)(colon - text) >= sizeof(o->user))
        bad_usage();
    snprintf(o->user, sizeof(o->user), "%.*s", (int)(colon - text), text);
    snprintf(o->password, sizeof(o->password), "%s", colon + 1);
}

static void parse(options *o, int argc, char **argv)
{
    static const struct option names[] = {{"seconds", required_argument, NULL, 's'},
                                          {"flows", required_argument, NULL, 'f'},
                                          {"size", required_argument, NULL, 'b'},
                                          {"user", required_argument, NULL, 'u'},
                                          {NULL, 0, NULL, 0}};
    int option;

    *o = (options){.seconds = 3, .flows = 64, .size = 200};
    parse_user(o, "user:pass");
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 's')
            o->seconds = atof(optarg);
        else if (option == 'f')
            o->flows = strtoul(optarg, NULL, 10);
        else if (option == 'b')
            o->size = strtoul(optarg, NULL, 10);
        else if (option == 'u')
            parse_user(o, optarg);
        else
            bad_usage();
    }
    if (argc - optind != 4 || o->flows == 0 || o->flows > FLOWS_MAX || o->size == 0 || o->size > 1400)
        bad_usage();
    o->host = argv[optind + 1];
    o->port = atoi(argv[optind + 2]);
    o->pid = atoi(argv[optind + 3]);
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    options o;

    parse(&o, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    flows = calloc(o.flows + 1, sizeof(*flows));
    const char *mode = argv[optind];
    if (!flows)
        return 1;
    if (strcmp(mode, "bindings") == 0)
        run_bindings(&o);
    else if (strcmp(mode, "relay") == 0)
        run_relay(&o);
    else if (strcmp(mode, "bulk") == 0)
        run_bulk(&o);
    else if (strcmp(mode, "memory") == 0)
        run_memory(&o);
    else
        bad_usage();
    return 0;
}
