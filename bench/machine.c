/* What the machine itself does to every figure: how often it stands still, and how long bare datagrams take.
 *   bench_machine     prints one line of JSON
 *
 * A spinning loop that finds more than 20 us missing between two readings of the clock was not running meanwhile. Where that
 * happens every 2 ms, one round trip of 20 us in a hundred is hit by it, and that is the 99th percentile. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define SECONDS_EACH   2.0
#define STALL_US       20.0
#define PAYLOAD        128
#define ROUNDS_AT_MOST 400000

static double now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void measure_stalls(unsigned *count, double *total, double *worst)
{
    double start = now_us(), last = start;

    while (last - start < SECONDS_EACH * 1e6) {
        double t = now_us(), gap = t - last;
        last = t;
        if (gap < STALL_US)
            continue;
        ++*count;
        *total += gap;
        *worst = gap > *worst ? gap : *worst;
    }
}

static int open_socket(struct sockaddr_in *address)
{
    socklen_t len = sizeof(*address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)address, len) || getsockname(fd, (struct sockaddr *)address, &len)) {
        perror("bench_machine");
        exit(1);
    }
    return fd;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* There and back between two sockets of one thread. @return how many round trips are in `rtt`, sorted */
static size_t measure_datagrams(double *rtt)
{
    struct sockaddr_in address[2];
    int fd[2] = {open_socket(&address[0]), open_socket(&address[1])};
    char payload[PAYLOAD] = {0};
    double start = now_us();
    size_t n = 0;

    while (n < ROUNDS_AT_MOST && now_us() - start < SECONDS_EACH * 1e6) {
        double t = now_us();
        for (int i = 0; i < 2; i++) {
            if (sendto(fd[i], payload, PAYLOAD, 0, (struct sockaddr *)&address[1 - i], sizeof(address[0])) < 0 ||
                recv(fd[1 - i], payload, PAYLOAD, 0) < 0)
                exit(1);
        }
        rtt[n++] = now_us() - t;
    }
    qsort(rtt, n, sizeof(*rtt), ascending);
    return n;
}

int main(void)
{
    static double rtt[ROUNDS_AT_MOST];
    unsigned stalls = 0;
    double total = 0, worst = 0;

    measure_stalls(&stalls, &total, &worst);
    size_t n = measure_datagrams(rtt);
    printf("{\"stalls_per_s\":%.0f,\"stalled_percent\":%.2f,\"worst_stall_ms\":%.2f,\"udp_rtt_us\":{\"p50\":%.1f,"
           "\"p99\":%.1f}}\n",
           stalls / SECONDS_EACH, total / (SECONDS_EACH * 1e4), worst / 1e3, rtt[n / 2], rtt[n * 99 / 100]);
    return 0;
}
