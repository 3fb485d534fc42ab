/* Measuring: clocks, ping-pong, flood, and the figures as JSON or text. */
#include "perf_meter.h"
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define PINGS_MAX  200000
#define HIGH_WATER (4u << 20) /* bytes that wait before the sender pauses */
#define LOW_WATER  (1u << 20)

double perf_cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double perf_heap_kib(void)
{
    struct mallinfo2 m = mallinfo2();

    return (double)(m.uordblks + m.hblkhd) / 1024.0;
}

/* The clock itself: duet_net_now stands still during a turn. */
static uint64_t nanoseconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- ping-pong ---- */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

bool perf_pinger_init(perf_pinger *p)
{
    *p = (perf_pinger){.rtt = calloc(PINGS_MAX, sizeof(*p->rtt))};
    return p->rtt != NULL;
}

void perf_pinger_free(perf_pinger *p)
{
    free(p->rtt);
    p->rtt = NULL;
}

static void ping(perf_pinger *p)
{
    static const uint8_t message[PERF_PING_SIZE];

    p->sent_at = nanoseconds();
    duet_dc_send(p->dc, message, sizeof(message), false);
}

void perf_pinger_start(perf_pinger *p, duet_dc *dc)
{
    p->dc = dc;
    p->running = true;
    ping(p);
}

void perf_pinger_pong(perf_pinger *p)
{
    uint64_t rtt = nanoseconds() - p->sent_at;

    if (p->count < PINGS_MAX)
        p->rtt[p->count++] = rtt < UINT32_MAX ? (uint32_t)rtt : UINT32_MAX;
    if (p->running)
        ping(p);
}

void perf_pinger_sort(perf_pinger *p)
{
    qsort(p->rtt, p->count, sizeof(*p->rtt), compare_u32);
}

double perf_pinger_us(const perf_pinger *p, double quantile)
{
    if (p->count == 0)
        return 0;
    return p->rtt[(size_t)((double)(p->count - 1) * quantile)] / 1000.0;
}

/* ---- throughput ---- */

bool perf_flood_init(perf_flood *f, size_t size)
{
    *f = (perf_flood){.size = size, .message = calloc(1, size)};
    return f->message != NULL;
}

void perf_flood_free(perf_flood *f)
{
    free(f->message);
    f->message = NULL;
}

void perf_flood_fill(perf_flood *f)
{
    while (f->running && duet_dc_buffered_amount(f->dc) < HIGH_WATER) {
        if (duet_dc_send(f->dc, f->message, f->size, false) != DUET_OK)
            break;
    }
}

void perf_flood_start(perf_flood *f, duet_dc *dc)
{
    f->dc = dc;
    f->running = true;
    duet_dc_set_buffered_amount_low_threshold(dc, LOW_WATER);
    perf_flood_fill(f);
}

/* ---- results ---- */

static json_t *round_to(double value, int digits)
{
    char text[64];

    snprintf(text, sizeof(text), "%.*f", digits, value);
    return json_real(strtod(text, NULL));
}

static double per_gb(const perf_figures *f, double cpu_seconds)
{
    return f->bytes ? cpu_seconds / ((double)f->bytes / 1e9) : 0;
}

/* Of the throughput test; what the answerer of another process sends is not among them. */
static double datagrams_per(const perf_figures *f, uint64_t count)
{
    return count ? (double)(f->after.datagrams_out - f->before.datagrams_out) / (double)count : 0;
}

json_t *perf_result(const perf_options *o, const perf_figures *f, const perf_pinger *pinger)
{
    json_t *r = json_object();
    json_t *rtt = json_object();

    json_object_set_new(r, "mbps", round_to(f->seconds > 0 ? (double)f->bytes * 8 / 1e6 / f->seconds : 0, 1));
    json_object_set_new(r, "msgs_per_s", round_to(f->seconds > 0 ? (double)f->messages / f->seconds : 0, 1));
    json_object_set_new(r, "cpu_s_per_gb", round_to(per_gb(f, f->cpu_seconds[0] + f->cpu_seconds[1]), 3));
    if (f->two_processes) {
        json_object_set_new(r, "offerer_cpu_s_per_gb", round_to(per_gb(f, f->cpu_seconds[0]), 3));
        json_object_set_new(r, "answerer_cpu_s_per_gb", round_to(per_gb(f, f->cpu_seconds[1]), 3));
    }
    json_object_set_new(rtt, "p50", round_to(perf_pinger_us(pinger, 0.5), 1));
    json_object_set_new(rtt, "p99", round_to(perf_pinger_us(pinger, 0.99), 1));
    json_object_set_new(r, "rtt_us", rtt);
    json_object_set_new(r, "setup_ms", round_to(f->setup_ms, 3));
    json_object_set_new(r, "setup_worst_ms", round_to(f->setup_worst_ms, 3));
    json_object_set_new(r, "kib_per_connection", round_to(f->kib_per_connection, 1));
    json_object_set_new(r, "size", json_integer((json_int_t)o->size));
    json_object_set_new(r, "connections", json_integer(f->connections));
    json_object_set_new(r, "streams", json_integer(o->streams ? o->streams : 1024));
    json_object_set_new(r, "datagrams_per_message", round_to(datagrams_per(f, f->messages), 2));
    json_object_set_new(r, "datagrams_per_send_call",
                        round_to(datagrams_per(f, f->after.send_calls - f->before.send_calls), 1));
    return r;
}

void perf_print(FILE *out, const perf_options *o, const perf_figures *f, const perf_pinger *pinger)
{
    double seconds = f->seconds > 0 ? f->seconds : 1;

    fprintf(out, "throughput  %10.1f Mbit/s   %.1f messages/s of %zu bytes   %.2f CPU s/GB (both ends)\n",
            (double)f->bytes * 8 / 1e6 / seconds, (double)f->messages / seconds, o->size,
            per_gb(f, f->cpu_seconds[0] + f->cpu_seconds[1]));
    fprintf(out, "round trip  %10.1f us p50  %8.1f us p99   %zu pings of %d bytes\n", perf_pinger_us(pinger, 0.5),
            perf_pinger_us(pinger, 0.99), pinger->count, PERF_PING_SIZE);
    fprintf(out, "set-up      %10.2f ms median  %.2f ms worst\n", f->setup_ms, f->setup_worst_ms);
    fprintf(out, "memory      %10.1f KiB per idle connection\n", f->kib_per_connection);
}
