/* A TURN server without a network: the test is its driver and its clients. Virtual time, seeded randomness. */
#ifndef DUET_TESTS_TURN_WORLD_H
#define DUET_TESTS_TURN_WORLD_H

#include "duet/stun.h"
#include "duet/turn.h"
#include "test.h"
#include <errno.h>

#define WORLD_SOCKETS 24000
#define WORLD_OUTPUTS 4096
#define WORLD_BYTES   2048
#define REALM         "example.org"

typedef struct world_socket {
    uint32_t id;
    duet_protocol protocol;
    duet_address local;
} world_socket;

typedef struct world_output {
    duet_path path;
    size_t len;
    uint8_t ecn;
    bool df;
    uint8_t data[WORLD_BYTES];
} world_output;

typedef struct world {
    duet_turn_server *server;
    const duet_endpoint_ops *ops;
    duet_time now;
    uint64_t seed;
    world_socket sockets[WORLD_SOCKETS];
    size_t socket_count, socket_most;
    world_output outputs[WORLD_OUTPUTS]; /* a ring: the newest are kept */
    size_t output_count, read;
    unsigned opens_to_fail;
    uint16_t last_refused_port;
    uint32_t closed_stream; /* the last accepted one that the server closed */
    size_t closed_streams;
    bool drained;
    size_t listening;
} world;

typedef struct client {
    world *w;
    duet_path path;
    const char *username, *password;
    char realm[64], nonce[128];
    uint8_t key[32];
    size_t key_len;
    bool sha256;   /* of password and integrity */
    bool userhash; /* instead of USERNAME */
    uint32_t transaction;
    uint8_t last_id[DUET_STUN_TRANSACTION_LEN];
    uint8_t buffer[2048];
} client;

/* A response, or whatever came to the client last. */
typedef struct reply {
    bool is_stun;
    duet_stun_message m;
    unsigned code; /* of an error, 0 on success */
    const world_output *output;
} reply;

static inline duet_address address_of(const char *ip, uint16_t port)
{
    duet_address a;

    assert_int_equal(duet_address_parse(&a, ip, port), DUET_OK);
    return a;
}

static void world_on_drained(void *user)
{
    ((world *)user)->drained = true;
}

static void world_on_listening(void *user, size_t index, int err, const char *reason, const duet_address *address)
{
    (void)index;
    (void)reason;
    assert_int_equal(err, DUET_OK);
    assert_true(address->port != 0);
    ((world *)user)->listening++;
}

static const duet_turn_user world_user = {"alice", "wonderland"};
static const duet_turn_user world_other_user = {"bob", "builder"};
static const duet_turn_user *const world_users[] = {&world_user, &world_other_user};

static const duet_turn_listener world_udp = {.protocol = DUET_UDP,
                                             .address = {DUET_AF_INET, 3478, 0, {198, 51, 100, 1}}};
static const duet_turn_listener world_udp6 = {.protocol = DUET_UDP,
                                              .address = {DUET_AF_INET6, 3478, 0, {0x20, 0x01, 0x0D, 0xB8, [15] = 1}}};
static const duet_turn_listener world_tcp = {.protocol = DUET_TCP,
                                             .address = {DUET_AF_INET, 3478, 0, {198, 51, 100, 1}}};
static const duet_turn_listener *const world_listeners[] = {&world_udp, &world_udp6, &world_tcp};

static inline void world_config(world *w, duet_turn_config *c)
{
    duet_turn_config_init(c);
    c->realm = REALM;
    c->listeners = world_listeners;
    c->listener_count = 3;
    c->users = world_users;
    c->user_count = 2;
    c->on_drained = world_on_drained;
    c->on_listening = world_on_listening;
    c->user = w;
}

/* ---- the driver ---- */

static inline world_socket *world_socket_of(world *w, uint32_t id)
{
    for (size_t i = 0; i < w->socket_count; i++) {
        if (w->sockets[i].id == id)
            return &w->sockets[i];
    }
    return NULL;
}

static inline bool world_is_bound(const world *w, const duet_request *rq)
{
    for (size_t i = 0; i < w->socket_count; i++) {
        if (w->sockets[i].protocol == rq->protocol && duet_address_equal(&w->sockets[i].local, &rq->bind))
            return true;
    }
    return false;
}

static inline void world_request(world *w, const duet_request *rq)
{
    duet_answer answer = {.kind = rq->kind, .id = rq->id, .local = rq->bind};
    world_socket *s = world_socket_of(w, rq->id);

    if (rq->kind == DUET_REQUEST_CLOSE && rq->id >= DUET_SOCKET_ACCEPTED) {
        w->closed_stream = rq->id;
        w->closed_streams++;
        return;
    }
    if (rq->kind == DUET_REQUEST_CLOSE) {
        assert_non_null(s);
        *s = w->sockets[--w->socket_count];
        return;
    }
    if (rq->kind == DUET_REQUEST_INTERFACES) {
        duet_interface own = {.name = "eth0", .index = 2, .address = address_of("203.0.113.77", 0)};
        answer.interfaces = &own;
        answer.interface_count = 1;
        w->ops->answer(w->server, &answer, w->now);
        return;
    }
    assert_null(s);
    if (rq->kind == DUET_REQUEST_OPEN && w->opens_to_fail > 0) {
        w->opens_to_fail--;
        w->last_refused_port = rq->bind.port;
        answer.err = DUET_ERR_IO;
    } else {
        assert_false(world_is_bound(w, rq));
        assert_true(w->socket_count < WORLD_SOCKETS);
        w->sockets[w->socket_count++] = (world_socket){rq->id, rq->protocol, rq->bind};
        w->socket_most = w->socket_count > w->socket_most ? w->socket_count : w->socket_most;
    }
    w->ops->answer(w->server, &answer, w->now);
}

static inline void world_settle(world *w)
{
    duet_request rq;
    duet_datagram out;

    for (int round = 0; round < 20; round++) {
        bool busy = false;
        w->ops->tick(w->server, w->now);
        while (w->ops->request(w->server, &rq) == 1) {
            world_request(w, &rq);
            busy = true;
        }
        while (w->ops->output(w->server, &out, w->now) == 1) {
            world_output *o = &w->outputs[w->output_count++ % WORLD_OUTPUTS];
            assert_true(out.len <= WORLD_BYTES && out.headroom >= DUET_HEADROOM);
            *o = (world_output){.path = out.path, .len = out.len, .ecn = out.ecn, .df = out.df};
            memcpy(o->data, out.data, out.len);
            busy = true;
        }
        if (!busy)
            return;
    }
}

/* Lets time pass, stopping at each deadline. */
static inline void world_pass(world *w, duet_time duration)
{
    duet_time end = w->now + duration;

    for (;;) {
        duet_time deadline = w->ops->deadline(w->server);
        if (deadline > end)
            break;
        w->now = deadline > w->now ? deadline : w->now;
        world_settle(w);
    }
    w->now = end;
    world_settle(w);
}

static inline int world_try_open(world *w, duet_turn_config *config, const duet_env *env)
{
    duet_env e = env ? *env : (duet_env)DUET_ENV_INIT;

    memset(w, 0, sizeof(*w));
    w->seed = 7;
    w->now = DUET_SECONDS(1000);
    if (!config->user)
        config->user = w;
    e.random = test_random_fill;
    e.user = &w->seed;
    config->env = &e;
    w->ops = duet_turn_server_endpoint_ops();
    int err = duet_turn_server_create(&w->server, config);
    if (err == DUET_OK)
        world_settle(w);
    return err;
}

static inline void world_open(world *w, duet_turn_config *config)
{
    duet_turn_config standard;

    if (!config) {
        world_config(w, &standard);
        config = &standard;
    }
    assert_int_equal(world_try_open(w, config, NULL), DUET_OK);
    assert_int_equal(w->listening, w->socket_count);
}

static inline void world_close(world *w)
{
    duet_turn_server_destroy(w->server);
    w->server = NULL;
}

static inline duet_turn_stats world_stats(const world *w)
{
    duet_turn_stats stats;

    duet_turn_server_get_stats(w->server, &stats);
    return stats;
}

/* Feeds a copy whose end is the end of its block, so that a sanitizer sees every byte too far. */
static inline void world_feed(world *w, const duet_path *path, const void *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    duet_datagram in = {.path = *path, .data = copy, .len = len, .time = w->now};

    assert_non_null(copy);
    if (len)
        memcpy(copy, data, len);
    w->read = w->output_count;
    w->ops->input(w->server, &in, w->now);
    free(copy);
    world_settle(w);
}

/* How many datagrams the last input caused. */
static inline size_t world_answers(const world *w)
{
    return w->output_count - w->read;
}

static inline const world_output *world_last(const world *w)
{
    return world_answers(w) ? &w->outputs[(w->output_count - 1) % WORLD_OUTPUTS] : NULL;
}

/* ---- a client ---- */

static inline void client_init(client *c, world *w, const char *ip, uint16_t port)
{
    memset(c, 0, sizeof(*c));
    c->w = w;
    c->path =
        (duet_path){.socket = 1, .protocol = DUET_UDP, .local = world_udp.address, .remote = address_of(ip, port)};
    if (c->path.remote.family == DUET_AF_INET6) {
        c->path.socket = 2;
        c->path.local = world_udp6.address;
    }
    c->username = world_user.username;
    c->password = world_user.password;
    c->transaction = (uint32_t)port << 8;
}

static inline duet_stun_builder client_begin(client *c, duet_stun_class message_class, uint16_t method)
{
    memset(c->last_id, 0, sizeof(c->last_id));
    c->transaction++;
    memcpy(c->last_id, &c->transaction, sizeof(c->transaction));
    memcpy(c->last_id + 4, c->path.remote.ip, 4);
    return duet_stun_begin(c->buffer, sizeof(c->buffer), message_class, method, c->last_id);
}

static inline void client_add_credentials(client *c, duet_stun_builder *b)
{
    static const duet_stun_algorithm_value offered[] = {{DUET_STUN_SHA256, 0, NULL}, {DUET_STUN_MD5, 0, NULL}};
    uint8_t userhash[32];

    assert_int_equal(duet_stun_userhash(userhash, c->username, c->realm), DUET_OK);
    if (c->userhash)
        duet_stun_add(b, DUET_STUN_USERHASH, userhash, sizeof(userhash));
    else
        duet_stun_add_text(b, DUET_STUN_USERNAME, c->username);
    duet_stun_add_text(b, DUET_STUN_REALM, c->realm);
    duet_stun_add_text(b, DUET_STUN_NONCE, c->nonce);
    if (c->sha256) {
        duet_stun_add_algorithms(b, DUET_STUN_PASSWORD_ALGORITHMS, offered, 2);
        duet_stun_add_algorithms(b, DUET_STUN_PASSWORD_ALGORITHM, offered, 1);
    }
}

static inline void client_add_integrity(client *c, duet_stun_builder *b)
{
    if (c->sha256)
        duet_stun_add_integrity_sha256(b, c->key, c->key_len, 32);
    else
        duet_stun_add_integrity(b, c->key, c->key_len);
}

static inline reply client_read(client *c)
{
    reply r = {.output = world_last(c->w)};
    duet_stun_error error;

    if (!r.output || !duet_path_equal(&r.output->path, &c->path))
        return r;
    r.is_stun = duet_stun_parse(&r.m, r.output->data, r.output->len) == DUET_OK;
    if (r.is_stun && duet_stun_get_error(&r.m, &error) == DUET_OK)
        r.code = error.code;
    return r;
}

static inline reply client_send(client *c, const duet_stun_builder *b)
{
    size_t len;

    assert_int_equal(duet_stun_end(b, &len), DUET_OK);
    world_feed(c->w, &c->path, c->buffer, len);
    reply r = client_read(c);
    if (r.is_stun && r.m.message_class != DUET_STUN_INDICATION)
        assert_memory_equal(r.m.transaction_id, c->last_id, sizeof(c->last_id));
    return r;
}

/* Completes an authenticated request, and checks that the response is authenticated. */
static inline reply client_finish(client *c, duet_stun_builder *b)
{
    client_add_credentials(c, b);
    client_add_integrity(c, b);
    reply r = client_send(c, b);
    if (r.is_stun && r.code != 401 && r.code != 438 && r.code != 441 && r.code != 400)
        assert_int_equal(c->sha256 ? duet_stun_verify_integrity_sha256(&r.m, c->key, c->key_len)
                                   : duet_stun_verify_integrity(&r.m, c->key, c->key_len),
                         DUET_OK);
    return r;
}

static inline void client_take_text(const reply *r, uint16_t type, char *out, size_t size)
{
    duet_stun_attribute a;

    assert_true(duet_stun_find(&r->m, type, &a));
    assert_true(a.len < size);
    memcpy(out, a.value, a.len);
    out[a.len] = 0;
}

static inline void client_make_key(client *c)
{
    c->key_len = c->sha256 ? 32 : 16;
    int err = c->sha256 ? duet_stun_key_sha256(c->key, c->username, c->realm, c->password)
                        : duet_stun_key_md5(c->key, c->username, c->realm, c->password);
    assert_int_equal(err, DUET_OK);
}

/* The first request of RFC 8489 section 9.2.3: it is refused, and the refusal brings realm and nonce. */
static inline void client_challenge(client *c)
{
    duet_stun_builder b = client_begin(c, DUET_STUN_REQUEST, DUET_STUN_ALLOCATE);

    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_TRANSPORT, 17);
    reply r = client_send(c, &b);
    assert_int_equal(r.code, 401);
    assert_true(r.output->len <= 128);
    client_take_text(&r, DUET_STUN_REALM, c->realm, sizeof(c->realm));
    client_take_text(&r, DUET_STUN_NONCE, c->nonce, sizeof(c->nonce));
    client_make_key(c);
}

static inline duet_stun_builder client_allocate_begin(client *c)
{
    duet_stun_builder b = client_begin(c, DUET_STUN_REQUEST, DUET_STUN_ALLOCATE);

    duet_stun_add_u8(&b, DUET_STUN_REQUESTED_TRANSPORT, 17);
    return b;
}

static inline reply client_try_allocate(client *c)
{
    duet_stun_builder b = client_allocate_begin(c);

    return client_finish(c, &b);
}

/* An allocation. @return its relayed address */
static inline duet_address client_allocate(client *c)
{
    duet_address relayed;

    if (!c->nonce[0])
        client_challenge(c);
    reply r = client_try_allocate(c);
    assert_true(r.is_stun);
    assert_int_equal(r.code, 0);
    assert_int_equal(duet_stun_get_address(&r.m, DUET_STUN_XOR_RELAYED_ADDRESS, &relayed), DUET_OK);
    return relayed;
}

static inline unsigned client_permit(client *c, const duet_address *peer)
{
    duet_stun_builder b = client_begin(c, DUET_STUN_REQUEST, DUET_STUN_CREATE_PERMISSION);

    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, peer);
    return client_finish(c, &b).code;
}

static inline unsigned client_bind(client *c, uint16_t number, const duet_address *peer)
{
    duet_stun_builder b = client_begin(c, DUET_STUN_REQUEST, DUET_STUN_CHANNEL_BIND);

    duet_stun_add_u16(&b, DUET_STUN_CHANNEL_NUMBER, number);
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, peer);
    return client_finish(c, &b).code;
}

static inline reply client_refresh(client *c, uint32_t lifetime)
{
    duet_stun_builder b = client_begin(c, DUET_STUN_REQUEST, DUET_STUN_REFRESH);

    duet_stun_add_u32(&b, DUET_STUN_LIFETIME, lifetime);
    return client_finish(c, &b);
}

static inline void client_send_indication(client *c, const duet_address *peer, const void *data, size_t len)
{
    duet_stun_builder b = client_begin(c, DUET_STUN_INDICATION, DUET_STUN_SEND);

    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, peer);
    duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, data, len);
    (void)client_send(c, &b);
}

static inline void client_send_channel(client *c, uint16_t number, const void *data, size_t len)
{
    uint8_t message[2048] = {(uint8_t)(number >> 8), (uint8_t)number, (uint8_t)(len >> 8), (uint8_t)len};

    if (len)
        memcpy(message + 4, data, len);
    world_feed(c->w, &c->path, message, 4 + len);
}

/* A datagram of a peer to a relayed address. */
static inline void peer_send(world *w, const duet_address *peer, const duet_address *relayed, const void *data,
                             size_t len)
{
    for (size_t i = 0; i < w->socket_count; i++) {
        const world_socket *s = &w->sockets[i];
        if (s->protocol != DUET_UDP || !duet_address_equal(&s->local, relayed))
            continue;
        duet_path path = {.socket = s->id, .protocol = DUET_UDP, .local = *relayed, .remote = *peer};
        world_feed(w, &path, data, len);
        return;
    }
    fail_msg("no such relayed address");
}

/* Whether the last input came out at `relayed` towards the peer with this payload. */
static inline bool peer_got(const world *w, const duet_address *relayed, const duet_address *peer, const char *payload)
{
    const world_output *o = world_last(w);

    return o && duet_address_equal(&o->path.local, relayed) && duet_address_equal(&o->path.remote, peer) &&
           o->len == strlen(payload) && memcmp(o->data, payload, o->len) == 0;
}

/* The world of each test of a program: its set-up and tear-down. */
static world w;

static inline int open_world(void **state)
{
    (void)state;
    world_open(&w, NULL);
    return 0;
}

static inline int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

#endif
