/* How many RTP packets one core protects and opens in a second, for each SRTP profile and two payload lengths, each packet with
 * one copy as a transport makes it; and how often memory is allocated for it.
 *   bench_media_srtp     prints one line of JSON */
#include "duet/srtp.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_EACH 0.5
#define BATCH        1000
#define HEADER       12

static unsigned long process_allocations, own_allocations;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
/* The dynamic linker gives them to the libraries too. */
__attribute__((visibility("default"))) void *malloc(size_t size);
__attribute__((visibility("default"))) void *malloc(size_t size)
{
    process_allocations++;
    return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size);
__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    process_allocations++;
    return __libc_calloc(count, size);
}

static void *own_alloc(void *user, size_t size)
{
    (void)user;
    own_allocations++;
    return malloc(size);
}

static void *own_realloc(void *user, void *ptr, size_t size)
{
    (void)user;
    own_allocations++;
    return realloc(ptr, size);
}

static void own_free(void *user, void *ptr)
{
    (void)user;
    free(ptr);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

typedef struct packet {
    uint8_t data[1500];
    size_t len;
} packet;

static duet_srtp *create(duet_srtp_profile profile, bool is_client)
{
    static const duet_allocator allocator = {own_alloc, own_realloc, own_free, NULL};
    static const uint8_t keying[DUET_SRTP_KEYING_MAX] = "the keys do not matter";
    duet_env env = DUET_ENV_INIT;
    duet_srtp_config config;
    duet_srtp *srtp;

    env.allocator = &allocator;
    duet_srtp_config_init(&config);
    config.env = &env;
    config.profile = profile;
    config.keying = keying;
    config.keying_len = duet_srtp_keying_len(profile);
    config.is_client = is_client;
    if (duet_srtp_create(&srtp, &config) != DUET_OK)
        abort();
    return srtp;
}

static void write_packet(packet *p, const packet *plain, unsigned long n)
{
    memcpy(p->data, plain->data, plain->len);
    p->len = plain->len;
    p->data[2] = (uint8_t)(n >> 8);
    p->data[3] = (uint8_t)n;
}

static void measure(duet_srtp_profile profile, size_t payload)
{
    static packet batch[BATCH];
    packet plain = {.data = {0x80, 96}, .len = HEADER + payload}, received;
    duet_srtp *client = create(profile, true), *server = create(profile, false);
    double protect = 0, unprotect = 0;
    unsigned long n = 0, process_before = 0, own_before = 0;

    while (protect + unprotect < 2 * SECONDS_EACH) {
        if (n == BATCH) { /* both streams are known by now */
            process_before = process_allocations;
            own_before = own_allocations;
        }
        double start = now();
        for (unsigned i = 0; i < BATCH; i++) {
            write_packet(&batch[i], &plain, n + i);
            if (duet_srtp_protect_rtp(client, batch[i].data, &batch[i].len, sizeof(batch[i].data)) != DUET_OK)
                abort();
        }
        double middle = now();
        for (unsigned i = 0; i < BATCH; i++) {
            received.len = batch[i].len;
            memcpy(received.data, batch[i].data, batch[i].len);
            if (duet_srtp_unprotect_rtp(server, received.data, &received.len) != DUET_OK)
                abort();
        }
        unprotect += now() - middle;
        protect += middle - start;
        n += BATCH;
    }
    printf("{\"profile\":\"%s\",\"payload\":%zu,\"protect_per_s\":%.0f,\"unprotect_per_s\":%.0f,"
           "\"duet_allocations\":%lu,\"dependency_mallocs_per_packet\":%.2f}",
           duet_srtp_profile_name(profile), payload, (double)n / protect, (double)n / unprotect,
           own_allocations - own_before, (double)(process_allocations - process_before) / (2.0 * (double)(n - BATCH)));
    duet_srtp_destroy(client);
    duet_srtp_destroy(server);
}

int main(void)
{
    duet_srtp_profile profiles[4];
    size_t count = duet_srtp_preferred_profiles(profiles);

    printf("{\"srtp\":[");
    for (size_t i = 0; i < count; i++) {
        for (int large = 0; large < 2; large++) {
            fputs(i || large ? "," : "", stdout);
            measure(profiles[i], large ? 1200 : 160);
        }
    }
    printf("]}\n");
    return 0;
}
