/* Datagrams for a DTLS client or server in every stage of its handshake.
 *
 * Input: one byte says the role and how far the handshake gets before; then come records of a length byte pair, a byte of
 * flags and one datagram. A flag asks for the header of a plain handshake record in front of it. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/bytes.h"
#include "duet/dtls.h"
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static duet_certificate *certificates[2];
static uint64_t state;
static duet_time now;

/* The same input gives the same run. */
static int seeded_bytes(unsigned char *out, int len)
{
    for (int i = 0; i < len; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (unsigned char)(state >> 33);
    }
    return 1;
}

static int seeded_status(void)
{
    return 1;
}

static const RAND_METHOD seeded = {NULL, seeded_bytes, NULL, NULL, seeded_bytes, seeded_status};

static void on_data(void *user, uint8_t *data, size_t len, duet_time time)
{
    (void)time;
    if (len < 1000)
        duet_dtls_send(*(duet_dtls **)user, data, len, now);
}

static void exchange(duet_dtls **d, int steps)
{
    duet_datagram out;

    for (int i = 0; i < steps; i++) {
        now += DUET_MS(5);
        int from = i & 1 ? 1 : 0;
        while (duet_dtls_output(d[from], &out, now))
            duet_dtls_input(d[!from], &out, now);
    }
}

static void inject(duet_dtls *victim, const uint8_t *bytes, size_t len, uint8_t flags)
{
    uint8_t datagram[2048] = {0};
    size_t header = 0;

    if (flags & 1) { /* a record without protection */
        header = 13;
        datagram[0] = (uint8_t)(20 + (flags >> 4 & 3));
        datagram[1] = 0xfe;
        datagram[2] = 0xfd;
        datagram[10] = flags;
        datagram[11] = (uint8_t)(len >> 8);
        datagram[12] = (uint8_t)len;
    }
    if (len)
        memcpy(datagram + header, bytes, len);
    duet_datagram in = {.data = datagram, .len = header + len};
    duet_dtls_input(victim, &in, now);
}

static void make(duet_dtls **d)
{
    for (int i = 0; i < 2; i++) {
        duet_dtls_config c;
        duet_fingerprint f;
        if (!certificates[i] && duet_certificate_generate(&certificates[i], NULL, DUET_KEY_ECDSA_P256, 0) != DUET_OK)
            abort();
        duet_dtls_config_init(&c);
        c.certificate = certificates[i];
        c.on_data = on_data;
        c.user = &d[i];
        if (duet_dtls_create(&d[i], &c) != DUET_OK)
            abort();
        if (certificates[!i] && duet_certificate_fingerprint(certificates[!i], DUET_HASH_SHA256, &f) == DUET_OK)
            duet_dtls_set_remote_fingerprints(d[i], &f, 1, now);
    }
    duet_dtls_start(d[1], DUET_DTLS_SERVER, 0, now);
    duet_dtls_start(d[0], DUET_DTLS_CLIENT, 0, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_reader r = duet_reader_init(data, size);
    duet_dtls *d[2];

    if (size < 4)
        return 0;
    state = 1;
    now = DUET_SECONDS(1);
    RAND_set_rand_method(&seeded);
    make(d);
    uint8_t how = duet_read_u8(&r);
    exchange(d, how >> 1 & 7);
    int count = 0;
    while (duet_reader_left(&r) > 3 && count++ < 64) {
        size_t len = duet_read_u16(&r) % 1400;
        uint8_t flags = duet_read_u8(&r);
        if (len > duet_reader_left(&r))
            len = duet_reader_left(&r);
        duet_bytes bytes = duet_read_bytes(&r, len);
        inject(d[how & 1], bytes.data, len, flags);
        if (flags & 2)
            exchange(d, 1);
        if (flags & 4) {
            now += DUET_MS(100);
            duet_dtls_tick(d[how & 1], now);
        }
    }
    exchange(d, 4);
    duet_dtls_destroy(d[0]);
    duet_dtls_destroy(d[1]);
    return 0;
}
