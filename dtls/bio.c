/* A BIO that keeps datagram boundaries (RFC 6347 section 4.1.1) and takes the retransmission timer of RFC 6347
 * section 4.2.4 away from OpenSSL, so that time is an argument. All that depends on OpenSSL's inside is here. */
#include "dtls/bio.h"
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <string.h>

/* OpenSSL before 3.2 announces each (re)start and stop of its timer with BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT and a pointer
 * to its own deadline. What is written there decides whether the timer is due: never, until we say so. */
static const struct timeval far_future = {.tv_sec = sizeof(time_t) > 4 ? (time_t)0x7fffffffff : 0x7fffffff};
static const struct timeval long_ago = {.tv_sec = 0, .tv_usec = 1};

bool duet_dtls_bio_owns_timer(void)
{
    return OpenSSL_version_num() < 0x30200000UL; /* at run time: the shared library may be newer than the headers */
}

static int bio_write(BIO *bio, const char *data, int len)
{
    duet_dtls_bio *state = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len > 0)
        state->transmit(state->user, (const uint8_t *)data, (size_t)len);
    return len; /* a full queue is a lost datagram; failing here would end the handshake */
}

static int bio_read(BIO *bio, char *out, int size)
{
    duet_dtls_bio *state = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (!state->record) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t len = state->record_len < (size_t)size ? state->record_len : (size_t)size;
    memcpy(out, state->record, len);
    state->record = NULL;
    return (int)len;
}

static void timer_changed(duet_dtls_bio *state, struct timeval *next_timeout)
{
    state->armed = next_timeout->tv_sec != 0 || next_timeout->tv_usec != 0;
    if (!state->armed) {
        state->stopped = true;
        return;
    }
    state->started = true;
    if (!duet_dtls_bio_owns_timer())
        return; /* it points to a copy on the stack */
    state->timer = next_timeout;
    *next_timeout = far_future;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    duet_dtls_bio *state = BIO_get_data(bio);

    (void)number;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:
        timer_changed(state, pointer);
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return (long)state->mtu;
    default:
        return 0;
    }
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *duet_dtls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7e, "duet datagram");

    if (method && BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
        BIO_meth_set_ctrl(method, bio_ctrl) && BIO_meth_set_create(method, bio_create))
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* "a maximum value of 60 seconds" (RFC 6347, 4.2.4.1): only where the timer stays with OpenSSL. */
static unsigned next_duration(SSL *ssl, unsigned previous_us)
{
    duet_dtls_bio *state = BIO_get_data(SSL_get_rbio(ssl));

    if (previous_us == 0)
        return state->timeout_us;
    return previous_us < 30000000 ? previous_us * 2 : 60000000;
}

bool duet_dtls_bio_attach(const BIO_METHOD *method, duet_dtls_bio *state, SSL *ssl)
{
    BIO *bio = BIO_new(method);

    if (!bio)
        return false;
    BIO_set_data(bio, state);
    SSL_set_bio(ssl, bio, bio);
    if (!duet_dtls_bio_owns_timer())
        DTLS_set_timer_cb(ssl, next_duration);
    return true;
}

int duet_dtls_bio_expire(duet_dtls_bio *state, SSL *ssl)
{
    if (!state->armed)
        return 0;
    if (state->timer)
        *state->timer = long_ago;
    int done = (int)DTLSv1_handle_timeout(ssl);
    if (state->timer && state->timer->tv_sec == long_ago.tv_sec && state->timer->tv_usec == long_ago.tv_usec)
        *state->timer = far_future; /* it failed before it restarted: do not leave it due */
    return done;
}
