/* A load for signaling servers: pairs of clients in rooms of their own, one of which says candidates (or offers, answers and
 * candidates as a call has them) to the other, so many at a time. Prints what the server's process spent for it.
 *
 *   bench_signaling_load --port P --pid PID --token T [--load candidates|mix|idle] [--pairs N] [--window N] [--seconds S]
 *                        [--idle N] [--tls] [--offer FILE]
 *
 * Frames of the client carry the mask 0, so that the load costs little beside the server. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ID_MAX      64
#define IN_MAX      (1 << 17)
#define OUT_MAX     (1 << 20)
#define SAMPLES_MAX (1 << 20)
#define CYCLE       22 /* of the mix: an offer, an answer, twenty candidates */
#define CANDIDATE                                                                                                      \
    "candidate:842163049 1 udp 1677729535 203.0.113.77 46154 typ srflx raddr 10.0.17.1 rport 46154 generation 0 "      \
    "ufrag EsAw network-cost 999"

typedef struct client {
    int fd;
    SSL *tls;
    struct client *peer;
    bool caller, upgraded, joined;
    char room[32], peer_id[ID_MAX];
    char *in, *out;
    size_t in_len, out_start, out_len;
    unsigned in_flight, turn; /* turn: of the mix */
} client;

static struct {
    int port, pid, pairs, window, idle;
    double seconds;
    const char *token, *load, *offer_file;
    bool tls;
} o = {.pairs = 32, .window = 8, .seconds = 3, .load = "candidates"};

static SSL_CTX *tls;
static char *sdp; /* escaped for JSON */
static int loop;
static bool measuring;
static uint64_t relayed, sample_count;
static float samples[SAMPLES_MAX]; /* milliseconds */

static void fail(const char *what)
{
    fprintf(stderr, "signaling_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- the server's process ---- */

static double server_cpu(void)
{
    char name[64], text[1024];
    unsigned long user = 0, system = 0;

    snprintf(name, sizeof(name), "/proc/%d/stat", o.pid);
    FILE *f = fopen(name, "r");
    if (!f || !fgets(text, sizeof(text), f))
        fail(name);
    fclose(f);
    sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Resident anonymous memory, KiB. */
static long server_memory(void)
{
    char name[64], line[256];
    long kib = 0;

    snprintf(name, sizeof(name), "/proc/%d/status", o.pid);
    FILE *f = fopen(name, "r");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "RssAnon: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

/* ---- bytes ---- */

static ssize_t raw_read(client *c, void *data, size_t len)
{
    if (!c->tls)
        return read(c->fd, data, len);
    int n = SSL_read(c->tls, data, (int)len);
    if (n > 0)
        return n;
    errno = SSL_get_error(c->tls, n) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
    return -1;
}

static ssize_t raw_write(client *c, const void *data, size_t len)
{
    return c->tls ? SSL_write(c->tls, data, (int)len) : send(c->fd, data, len, MSG_NOSIGNAL);
}

static void flush(client *c)
{
    while (c->out_len > 0) {
        ssize_t n = raw_write(c, c->out + c->out_start, c->out_len);
        if (n <= 0)
            break;
        c->out_start += (size_t)n;
        c->out_len -= (size_t)n;
    }
    struct epoll_event e = {.events = EPOLLIN | (c->out_len > 0 ? EPOLLOUT : 0u), .data.ptr = c};
    if (!c->tls)
        epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &e);
}

static void append(client *c, const void *data, size_t len)
{
    if (c->out_start > 0 && c->out_start + c->out_len + len > OUT_MAX) {
        memmove(c->out, c->out + c->out_start, c->out_len);
        c->out_start = 0;
    }
    if (c->out_start + c->out_len + len > OUT_MAX) {
        fprintf(stderr, "signaling_load: the server does not read\n");
        exit(1);
    }
    memcpy(c->out + c->out_start + c->out_len, data, len);
    c->out_len += len;
}

/* RFC 6455 section 5.2: FIN, text, masked with 0. */
static void say(client *c, const char *text, size_t len)
{
    uint8_t head[8] = {0x81};
    size_t head_len = len < 126 ? 2 : 4;

    head[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
    }
    append(c, head, head_len);
    append(c, "\0\0\0\0", 4);
    append(c, text, len);
}

/* ---- the load ---- */

static void say_candidate(client *c)
{
    char text[1024];
    int len = snprintf(text, sizeof(text),
                       "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":\"" CANDIDATE
                       "\",\"sdpMid\":\"%.6f\",\"sdpMLineIndex\":0,\"usernameFragment\":\"EsAw\"}}",
                       c->peer_id, now());

    say(c, text, (size_t)len);
}

static void say_description(client *c, const char *type)
{
    static char text[65536];
    int len = snprintf(text, sizeof(text), "{\"type\":\"%s\",\"to\":\"%s\",\"sdp\":\"%s\"}", type, c->peer_id, sdp);

    say(c, text, (size_t)len);
}

static void say_next(client *c)
{
    if (strcmp(o.load, "mix") == 0 && c->turn == 0)
        say_description(c, "offer");
    else
        say_candidate(c);
    c->turn = (c->turn + 1) % (CYCLE - 1);
    c->in_flight++;
}

static void fill_window(client *caller)
{
    while (caller->in_flight < (unsigned)o.window)
        say_next(caller);
    flush(caller);
}

static void take_id(client *c, const char *text, const char *before)
{
    const char *id = strstr(text, before);
    size_t len = id ? strcspn(id + strlen(before), "\"") : 0;

    if (!id || len >= ID_MAX)
        fail("no id in the server's message");
    memcpy(c->peer_id, id + strlen(before), len);
    c->peer_id[len] = 0;
}

static bool begins(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len >= n && memcmp(text, with, n) == 0;
}

static void note_latency(const char *text)
{
    const char *at = strstr(text, "\"sdpMid\":\"");

    if (measuring && at && sample_count < SAMPLES_MAX)
        samples[sample_count++] = (float)((now() - strtod(at + 10, NULL)) * 1000);
}

static void take_message(client *c, char *text, size_t len)
{
    char join[128];

    text[len] = 0;
    if (begins(text, len, "{\"type\":\"candidate\"") || begins(text, len, "{\"type\":\"offer\"")) {
        relayed += measuring;
        if (text[9] == 'c')
            note_latency(text);
        else if (strcmp(o.load, "mix") == 0) {
            say_description(c, "answer");
            flush(c);
        }
        c->peer->in_flight--;
        fill_window(c->peer);
    } else if (begins(text, len, "{\"type\":\"answer\"")) {
        relayed += measuring;
    } else if (begins(text, len, "{\"type\":\"auth_ok\"")) {
        snprintf(join, sizeof(join), "{\"type\":\"join_room\",\"roomId\":\"%s\"}", c->room);
        say(c, join, strlen(join));
        flush(c);
    } else if (begins(text, len, "{\"type\":\"room_users\"")) {
        c->joined = true;
        if (!c->caller)
            take_id(c, text, "\"users\":[{\"id\":\"");
    } else if (begins(text, len, "{\"type\":\"user_joined\"")) {
        take_id(c, text, "\"user\":{\"id\":\"");
    } else {
        fprintf(stderr, "signaling_load: the server said %.200s\n", text);
        exit(1);
    }
}

static void take_frames(client *c)
{
    size_t start = 0;

    for (;;) {
        uint8_t *p = (uint8_t *)c->in + start;
        size_t left = c->in_len - start, head = 2, len;
        if (left < 2)
            break;
        len = p[1] & 0x7f;
        if (len == 126) {
            head = 4;
            if (left < head)
                break;
            len = (size_t)p[2] << 8 | p[3];
        }
        if (left < head + len)
            break;
        if ((p[0] & 0x0f) == 1) {
            char kept = (char)p[head + len];
            take_message(c, (char *)p + head, len);
            p[head + len] = (uint8_t)kept;
        } else if ((p[0] & 0x0f) == 8) {
            fprintf(stderr, "signaling_load: the server closed with %u\n", (unsigned)p[head] << 8 | p[head + 1]);
            exit(1);
        }
        start += head + len;
    }
    memmove(c->in, c->in + start, c->in_len - start);
    c->in_len -= start;
}

static void readable(client *c)
{
    ssize_t n;

    while ((n = raw_read(c, c->in + c->in_len, IN_MAX - 1 - c->in_len)) > 0) {
        c->in_len += (size_t)n;
        if (!c->upgraded) {
            c->in[c->in_len] = 0;
            char *end = strstr(c->in, "\r\n\r\n");
            if (!end)
                return;
            if (!begins(c->in, c->in_len, "HTTP/1.1 101")) {
                fprintf(stderr, "signaling_load: %.100s\n", c->in);
                exit(1);
            }
            c->upgraded = true;
            c->in_len -= (size_t)(end + 4 - c->in);
            memmove(c->in, end + 4, c->in_len);
        }
        take_frames(c);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN))
        fail("the server closed a connection");
}

/* ---- connecting ---- */

static void open_connection(client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o.port)};
    char text[4096];
    int one = 1;

    /* 127.0.0.1 has ports for so many only */
    static unsigned count;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000001u + count++ / 20000);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
        connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (o.tls) {
        c->tls = SSL_new(tls);
        SSL_set_fd(c->tls, c->fd);
        if (SSL_connect(c->tls) != 1)
            fail("TLS");
    }
    int len = snprintf(text, sizeof(text),
                       "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    if (raw_write(c, text, (size_t)len) != len)
        fail("write");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void authenticate(client *c)
{
    char text[4096];
    int len = snprintf(text, sizeof(text), "{\"type\":\"authenticate\",\"token\":\"%s\"}", o.token);

    say(c, text, (size_t)len);
    flush(c);
}

static void pump(int timeout)
{
    struct epoll_event events[64];
    int n = epoll_wait(loop, events, 64, timeout);

    for (int i = 0; i < n; i++) {
        client *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            flush(c);
        readable(c);
    }
}

static client *make_client(int room, bool caller)
{
    client *c = calloc(1, sizeof(*c));

    c->caller = caller;
    c->in = malloc(IN_MAX);
    c->out = malloc(OUT_MAX);
    snprintf(c->room, sizeof(c->room), "load-%d-%d", (int)getpid(), room);
    open_connection(c);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &e);
    authenticate(c);
    double patience = now() + 10;
    while (!c->joined) {
        pump(100);
        if (now() > patience)
            fail("a client was not let in");
    }
    return c;
}

/* Idle connections keep no buffers of ours. */
static void make_idle(int count)
{
    char text[4096];

    for (int i = 0; i < count; i++) {
        client c = {.room = ""};
        c.in = malloc(IN_MAX);
        c.out = malloc(OUT_MAX);
        open_connection(&c);
        fcntl(c.fd, F_SETFL, 0);
        int len = snprintf(text, sizeof(text), "{\"type\":\"authenticate\",\"token\":\"%s\"}", o.token);
        say(&c, text, (size_t)len);
        if (raw_write(&c, c.out, c.out_len) != (ssize_t)c.out_len)
            fail("write");
        do {
            ssize_t n = raw_read(&c, c.in + c.in_len, IN_MAX - 1 - c.in_len);
            if (n <= 0)
                fail("an idle connection was refused");
            c.in_len += (size_t)n;
            c.in[c.in_len] = 0;
        } while (!memmem(c.in, c.in_len, "auth_ok", 7) && c.in_len < IN_MAX / 2);
        free(c.in);
        free(c.out);
    }
}

/* ---- */

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void read_offer(void)
{
    static char text[32768];
    FILE *f = o.offer_file ? fopen(o.offer_file, "r") : NULL;
    size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0, at = 0;

    if (f)
        fclose(f);
    sdp = malloc(2 * len + 1);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' || text[i] == '\n') {
            sdp[at++] = '\\';
            sdp[at++] = text[i] == '\r' ? 'r' : 'n';
        } else {
            sdp[at++] = text[i];
        }
    }
    sdp[at] = 0;
}

static void run_load(void)
{
    client **callers = calloc((size_t)o.pairs, sizeof(*callers));

    for (int i = 0; i < o.pairs; i++) {
        callers[i] = make_client(i, true);
        client *callee = make_client(i, false);
        callers[i]->peer = callee;
        callee->peer = callers[i];
        while (!callers[i]->peer_id[0])
            pump(100);
    }
    for (int i = 0; i < o.pairs; i++)
        fill_window(callers[i]);
    double begin = now() + 0.3;
    while (now() < begin)
        pump(10);
    measuring = true;
    begin = now();
    double cpu = server_cpu(), end = begin + o.seconds;
    while (now() < end)
        pump(10);
    measuring = false;
    cpu = server_cpu() - cpu;
    double took = now() - begin;
    qsort(samples, sample_count, sizeof(samples[0]), by_size);
    printf("{\"load\":\"%s\",\"pairs\":%d,\"window\":%d,\"idle\":%d,\"messages\":%llu,\"seconds\":%.3f,\"cpuSeconds\":%"
           ".3f,"
           "\"perSecond\":%.0f,\"perCpuSecond\":%.0f,\"p50Ms\":%.3f,\"p99Ms\":%.3f}\n",
           o.load, o.pairs, o.window, o.idle, (unsigned long long)relayed, took, cpu, (double)relayed / took,
           (double)relayed / cpu, sample_count ? (double)samples[sample_count / 2] : 0.0,
           sample_count ? (double)samples[sample_count * 99 / 100] : 0.0);
}

static void run_idle(void)
{
    make_idle(200); /* what the server needs once */
    long before = server_memory();
    make_idle(o.idle);
    long after = server_memory();
    printf("{\"load\":\"idle\",\"tls\":%s,\"connections\":%d,\"kibEach\":%.2f}\n", o.tls ? "true" : "false", o.idle,
           (double)(after - before) / o.idle);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},  {"pid", 1, NULL, 'P'},    {"token", 1, NULL, 't'},   {"load", 1, NULL, 'l'},
        {"pairs", 1, NULL, 'n'}, {"window", 1, NULL, 'w'}, {"seconds", 1, NULL, 's'}, {"idle", 1, NULL, 'i'},
        {"tls", 0, NULL, 'T'},   {"offer", 1, NULL, 'o'},  {NULL, 0, NULL, 0}};
    struct rlimit limit;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            o.port = atoi(optarg);
            break;
        case 'P':
            o.pid = atoi(optarg);
            break;
        case 't':
            o.token = optarg;
            break;
        case 'l':
            o.load = optarg;
            break;
        case 'n':
            o.pairs = atoi(optarg);
            break;
        case 'w':
            o.window = atoi(optarg);
            break;
        case 's':
            o.seconds = atof(optarg);
            break;
        case 'i':
            o.idle = atoi(optarg);
            break;
        case 'T':
            o.tls = true;
            break;
        case 'o':
            o.offer_file = optarg;
            break;
        default:
            return 2;
        }
    }
    if (!o.port || !o.pid || !o.token)
        return 2;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    tls = SSL_CTX_new(TLS_client_method());
    loop = epoll_create1(EPOLL_CLOEXEC);
    read_offer();
    if (strcmp(o.load, "idle") == 0) {
        run_idle();
    } else {
        make_idle(o.idle);
        run_load();
    }
    return 0;
}
