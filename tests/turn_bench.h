/* A TURN client alone on a bench: the test plays the server, message by message. */
#ifndef DUET_TESTS_TURN_BENCH_H
#define DUET_TESTS_TURN_BENCH_H

#include "base/memory.h"
#include "duet/stun.h"
#include "ice/turn_client.h"
#include "test.h"

#define REALM "example.org"
#define USER  "alice"
#define PASS  "secret"

typedef struct bench {
    duet_env env;
    uint64_t seed;
    duet_turn_client *client;
    duet_turn_client_config config;
    duet_time now;
    uint8_t message[4096]; /* the latest request */
    size_t len;
    duet_stun_message m;
    const char *nonce;
    bool sha256;
    bool lenient; /* replies may come too late */
} bench;

static inline duet_address addr(const char *text, uint16_t port)
{
    duet_address a;

    assert_int_equal(duet_address_parse(&a, text, port), DUET_OK);
    return a;
}

static inline void begin(bench *b, duet_protocol protocol)
{
    memset(b, 0, sizeof(*b));
    b->seed = 42;
    b->now = DUET_SECONDS(100);
    b->nonce = "nonce-1";
    b->env = (duet_env)DUET_ENV_INIT;
    b->env.random = test_random_fill;
    b->env.user = &b->seed;
    b->env = duet_env_resolve(&b->env);
    b->config.env = &b->env;
    b->config.path = (duet_path){.socket = 3, .protocol = protocol, .local = addr("10.0.0.1", 4000)};
    b->config.path.remote = addr("192.0.2.99", 3478);
    b->config.username = USER;
    b->config.credential = PASS;
    assert_int_equal(duet_turn_client_create(&b->client, &b->config, b->now), DUET_OK);
}

static inline void finish(bench *b)
{
    duet_turn_client_destroy(b->client);
}

static inline const duet_turn_client_info *info(const bench *b)
{
    return duet_turn_client_get(b->client);
}

static inline bool pull(bench *b)
{
    duet_datagram out;

    if (!duet_turn_client_output(b->client, &out))
        return false;
    assert_true(out.len <= sizeof(b->message));
    assert_true(duet_path_equal(&out.path, &b->config.path));
    assert_true(out.headroom >= DUET_HEADROOM);
    memcpy(b->message, out.data, out.len);
    b->len = out.len;
    assert_int_equal(duet_stun_parse(&b->m, b->message, b->len), DUET_OK);
    assert_int_equal(duet_stun_verify_fingerprint(&b->m), DUET_OK);
    return true;
}

static inline void expect(bench *b, duet_stun_method method)
{
    if (!pull(b))
        fail_msg("nothing was sent");
    assert_int_equal(b->m.method, method);
}

static inline void key(const bench *b, uint8_t out[32], size_t *len)
{
    *len = b->sha256 ? 32 : 16;
    if (b->sha256)
        assert_int_equal(duet_stun_key_sha256(out, USER, REALM, PASS), DUET_OK);
    else
        assert_int_equal(duet_stun_key_md5(out, USER, REALM, PASS), DUET_OK);
}

static inline bool is_signed(const bench *b)
{
    uint8_t k[32];
    size_t len;

    key(b, k, &len);
    return (b->sha256 ? duet_stun_verify_integrity_sha256(&b->m, k, len) : duet_stun_verify_integrity(&b->m, k, len)) ==
           DUET_OK;
}

static inline duet_stun_builder reply(bench *b, uint8_t *out, size_t size, duet_stun_class c)
{
    return duet_stun_begin(out, size, c, b->m.method, b->m.transaction_id);
}

static inline int feed(bench *b, uint8_t *data, size_t len)
{
    duet_datagram in = {.path = b->config.path, .data = data, .len = len, .time = b->now};

    return duet_turn_client_input(b->client, &in, b->now);
}

static inline void send_reply(bench *b, duet_stun_builder *r, bool sign)
{
    uint8_t k[32];
    size_t len;

    key(b, k, &len);
    if (sign && b->sha256)
        duet_stun_add_integrity_sha256(r, k, len, 32);
    else if (sign)
        duet_stun_add_integrity(r, k, len);
    duet_stun_add_fingerprint(r);
    assert_int_equal(duet_stun_end(r, &len), DUET_OK);
    int err = feed(b, r->data, len);
    if (!b->lenient)
        assert_int_equal(err, DUET_OK);
}

static inline void challenge(bench *b, unsigned code)
{
    uint8_t out[512];
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_ERROR);

    duet_stun_add_error(&r, code, NULL);
    duet_stun_add_text(&r, DUET_STUN_REALM, REALM);
    duet_stun_add_text(&r, DUET_STUN_NONCE, b->nonce);
    send_reply(b, &r, false);
}

static inline void answer_error(bench *b, unsigned code, bool sign)
{
    uint8_t out[512];
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_ERROR);

    duet_stun_add_error(&r, code, NULL);
    send_reply(b, &r, sign);
}

static inline void answer_success(bench *b)
{
    uint8_t out[512];
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_SUCCESS);

    if (b->m.method == DUET_STUN_REFRESH)
        duet_stun_add_u32(&r, DUET_STUN_LIFETIME, 600);
    send_reply(b, &r, true);
}

static inline void answer_allocated(bench *b, bool both)
{
    uint8_t out[512];
    duet_address relayed = addr("192.0.2.99", 50000), relayed6 = addr("2001:db8::99", 50001);
    duet_address mapped = addr("203.0.113.5", 6000);
    duet_stun_builder r = reply(b, out, sizeof(out), DUET_STUN_SUCCESS);

    duet_stun_add_address(&r, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed);
    if (both)
        duet_stun_add_address(&r, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed6);
    duet_stun_add_address(&r, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped);
    duet_stun_add_u32(&r, DUET_STUN_LIFETIME, 600);
    send_reply(b, &r, true);
}

static inline void allocate(bench *b)
{
    expect(b, DUET_STUN_ALLOCATE);
    challenge(b, 401);
    expect(b, DUET_STUN_ALLOCATE);
    assert_true(is_signed(b));
    answer_allocated(b, true);
    assert_int_equal(info(b)->state, DUET_TURN_ALLOCATED);
}

/* Lets time pass, ticking at each deadline. */
static inline void pass(bench *b, duet_time duration)
{
    duet_time end = b->now + duration;

    for (unsigned i = 0; duet_turn_client_deadline(b->client) <= end; i++) {
        assert_true(i < 1000);
        if (duet_turn_client_deadline(b->client) > b->now)
            b->now = duet_turn_client_deadline(b->client);
        duet_turn_client_tick(b->client, b->now);
        assert_true(duet_turn_client_deadline(b->client) > b->now);
    }
    b->now = end;
}

static inline void tick(bench *b)
{
    duet_turn_client_tick(b->client, b->now);
}

#endif
