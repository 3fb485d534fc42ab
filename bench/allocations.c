/* Counts allocations in steady state: Duet's own through its allocator, and all of the process (OpenSSL, usrsctp) by
 * standing before malloc.
 *   bench_allocations [SIZE]     prints one line of JSON */
#include "perf_pair.h"
#include <stdlib.h>
#include <string.h>

static unsigned long process_mallocs, own_mallocs;

extern void *__libc_malloc(size_t size);
/* The dynamic linker gives it to the libraries too. */
__attribute__((visibility("default"))) void *malloc(size_t size);
__attribute__((visibility("default"))) void *malloc(size_t size)
{
    process_mallocs++;
    return __libc_malloc(size);
}

static void *own_alloc(void *user, size_t size)
{
    (void)user;
    own_mallocs++;
    return malloc(size);
}

static void *own_realloc(void *user, void *ptr, size_t size)
{
    (void)user;
    own_mallocs++;
    return realloc(ptr, size);
}

static void own_free(void *user, void *ptr)
{
    (void)user;
    free(ptr);
}

typedef struct run {
    perf_pair pair;
    uint8_t *message;
    size_t size;
    unsigned long received;
} run;

static void fill(run *r)
{
    while (duet_dc_buffered_amount(r->pair.offerer.dc) < (1u << 20)) {
        if (duet_dc_send(r->pair.offerer.dc, r->message, r->size, false) != DUET_OK)
            break;
    }
}

static void on_message(void *user, perf_end *end, const uint8_t *data, size_t len)
{
    run *r = user;

    (void)end;
    (void)data;
    (void)len;
    r->received++;
}

static void on_low(void *user, perf_end *end)
{
    (void)end;
    fill(user);
}

static void run_until_received(run *r, unsigned long count)
{
    unsigned long until = r->received + count;

    while (r->received < until && !r->pair.failed)
        duet_net_turn(r->pair.net, DUET_MS(100));
}

int main(int argc, char **argv)
{
    static const duet_allocator allocator = {own_alloc, own_realloc, own_free, NULL};
    duet_env env = DUET_ENV_INIT;
    perf_pair_options options = {.env = &env, .max_message_size = 262144};
    run r = {.size = argc > 1 ? strtoul(argv[1], NULL, 10) : 1200};
    duet_net_stats before, after;
    duet_net *net;

    env.allocator = &allocator;
    r.message = calloc(1, r.size + 1);
    if (!r.message || r.size == 0 || duet_net_create(&net, NULL) != DUET_OK)
        return 1;
    r.pair.on_message = on_message;
    r.pair.on_low = on_low;
    r.pair.user = &r;
    if (perf_pair_start(&r.pair, net, &options) != DUET_OK || !perf_pair_wait(&r.pair, DUET_SECONDS(10)))
        return 1;
    duet_dc_set_buffered_amount_low_threshold(r.pair.offerer.dc, 1u << 19);
    fill(&r);
    run_until_received(&r, 20000); /* pools reach their size */
    unsigned long own = own_mallocs, all = process_mallocs, messages = r.received;
    duet_net_get_stats(net, &before);
    run_until_received(&r, 20000);
    own = own_mallocs - own;
    all = process_mallocs - all;
    messages = r.received - messages;
    duet_net_get_stats(net, &after);
    double packets = (double)(after.datagrams_out - before.datagrams_out);
    printf("{\"size\":%zu,\"messages\":%lu,\"packets\":%.0f,\"duet_allocations\":%lu,\"dependency_mallocs_per_packet\":"
           "%.2f}\n",
           r.size, messages, packets, own, (double)(all - own) / packets);
    perf_pair_end(&r.pair);
    duet_net_destroy(net);
    free(r.message);
    return 0;
}
