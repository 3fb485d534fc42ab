/* How many STUN messages and session descriptions one core parses in a second.
 *   bench_parse SDP_FILE     prints one line of JSON */
#include "duet/sdp.h"
#include "duet/stun.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_EACH 1.0

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* RFC 5769 section 2.1: a connectivity check as agents send it, password "VOkJxbRl1RmTxUk/WvJxBt". */
static const uint8_t request[] = {
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87,
    0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c,
    0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f,
    0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76,
    0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e,
    0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};
static const char password[] = "VOkJxbRl1RmTxUk/WvJxBt";

static double stun_rate(bool authenticated)
{
    double start = now();
    unsigned long n = 0;

    while (now() - start < SECONDS_EACH) {
        for (int i = 0; i < 1000; i++, n++) {
            duet_stun_message m;
            if (duet_stun_parse(&m, request, sizeof(request)) != DUET_OK)
                abort();
            if (authenticated && duet_stun_verify_integrity(&m, password, sizeof(password) - 1) != DUET_OK)
                abort();
        }
    }
    return (double)n / (now() - start);
}

static double sdp_rate(const char *text, size_t len)
{
    double start = now();
    unsigned long n = 0;

    while (now() - start < SECONDS_EACH) {
        for (int i = 0; i < 20; i++, n++) {
            duet_sdp *sdp;
            if (duet_sdp_parse(&sdp, NULL, text, len, NULL) != DUET_OK)
                abort();
            duet_sdp_destroy(sdp);
        }
    }
    return (double)n / (now() - start);
}

int main(int argc, char **argv)
{
    static char text[65536];
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;

    if (!f) {
        fprintf(stderr, "bench_parse: give a file with a session description\n");
        return 2;
    }
    size_t len = fread(text, 1, sizeof(text), f);
    fclose(f);
    double rate = sdp_rate(text, len);
    printf("{\"stun_parse_per_s\":%.0f,\"stun_verify_per_s\":%.0f,\"sdp_parse_per_s\":%.0f,\"sdp_bytes\":%zu,"
           "\"sdp_mb_per_s\":%.1f}\n",
           stun_rate(false), stun_rate(true), rate, len, rate * (double)len / 1e6);
    return 0;
}
