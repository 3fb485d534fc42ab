/* Makes the dependencies follow the simulated world: OpenSSL's randomness by its RAND_METHOD, usrsctp's randomness and
 * clock by functions of this program that the dynamic linker prefers to theirs. Linked into tests and simulations only. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/seeded.h"
#include "duet/sim.h"
#include <openssl/rand.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define EXPORTED __attribute__((visibility("default")))

/* A date as any other: usrsctp takes times near 1970 for "not set". */
#define WALL_START DUET_SECONDS(1700000000)

/* The world that is followed; NULL: the real one. One at a time per process. */
static const duet_sim *world;
static uint64_t ssl_state, sctp_state;

static void fill(uint64_t *state, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(duet_seeded_next(state) >> 40);
}

/* Overrides usrsctp's. */
EXPORTED void read_random(void *buf, size_t size);
EXPORTED void read_random(void *buf, size_t size)
{
    if (world)
        fill(&sctp_state, buf, size);
    else
        RAND_bytes(buf, (int)size);
}

/* Overrides libc's, for usrsctp's round-trip times. */
EXPORTED int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    if (world) {
        duet_time now = WALL_START + duet_sim_now(world);
        tv->tv_sec = (time_t)(now / 1000000u);
        tv->tv_usec = (suseconds_t)(now % 1000000u);
        return 0;
    }
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = (suseconds_t)(ts.tv_nsec / 1000);
    return 0;
}

static int ssl_bytes(unsigned char *buf, int num)
{
    fill(&ssl_state, buf, num > 0 ? (size_t)num : 0);
    return 1;
}

static int ssl_status(void)
{
    return 1;
}

static const RAND_METHOD seeded_method = {NULL, ssl_bytes, NULL, NULL, ssl_bytes, ssl_status};

void duet_determinism_begin(duet_sim *sim, uint64_t seed)
{
    world = sim;
    ssl_state = seed;
    sctp_state = seed ^ 0xA5A5A5A5A5A5A5A5u;
    RAND_set_rand_method(&seeded_method);
}

void duet_determinism_end(void)
{
    world = NULL;
    RAND_set_rand_method(NULL);
}
