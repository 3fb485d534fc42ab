/* Drives a TURN server by a script of bytes: messages of clients raw and with valid credentials, data of peers, streams in
 * pieces, sockets that fail, errors of paths, time. Whatever comes, nobody without a password gets more than 128 bytes, and
 * nothing leaks. */
#include "base/bytes.h"
#include "duet/stun.h"
#include "duet/turn.h"
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REALM     "realm"
#define NAME      "user"
#define PASSWORD  "pass"
#define RELAYS    64
#define MOST_SENT 2000

typedef struct script {
    duet_reader r;
    duet_turn_server *server;
    const duet_endpoint_ops *ops;
    duet_time now;
    uint64_t seed;
    char nonce[128];
    uint8_t key[16];
    uint32_t transaction;
    duet_path relays[RELAYS]; /* the latest that were opened */
    size_t relay_count;
    bool authenticated; /* the message that is being fed */
    bool relayed;       /* … is data */
} script;

static duet_address address_of(const char *text)
{
    duet_address a;

    require(duet_address_parse_port(&a, text) == DUET_OK);
    return a;
}

/* ---- the driver ---- */

static void answer(script *s, const duet_request *rq)
{
    duet_answer a = {.kind = rq->kind, .id = rq->id, .local = rq->bind};

    if (rq->kind == DUET_REQUEST_CLOSE)
        return;
    if (rq->kind == DUET_REQUEST_OPEN && rq->id >= 1024) {
        require(rq->bind.port >= 49152);
        if ((duet_peek_u8(&s->r, 0) & 15) == 15)
            a.err = DUET_ERR_IO;
        else
            s->relays[s->relay_count++ % RELAYS] = (duet_path){.socket = rq->id, .local = rq->bind};
    }
    s->ops->answer(s->server, &a, s->now);
}

static void take_nonce(script *s, const duet_datagram *out)
{
    duet_stun_message m;
    duet_stun_attribute nonce;

    if (duet_stun_parse(&m, out->data, out->len) != DUET_OK || !duet_stun_find(&m, DUET_STUN_NONCE, &nonce) ||
        nonce.len >= sizeof(s->nonce))
        return;
    memcpy(s->nonce, nonce.value, nonce.len);
    s->nonce[nonce.len] = 0;
}

static void settle(script *s)
{
    duet_request rq;
    duet_datagram out;
    size_t sent = 0;

    for (int round = 0; round < 20; round++) {
        bool busy = false;
        s->ops->tick(s->server, s->now);
        for (; s->ops->request(s->server, &rq) == 1; busy = true)
            answer(s, &rq);
        for (; s->ops->output(s->server, &out, s->now) == 1; busy = true) {
            require(++sent < MOST_SENT);
            if (!s->authenticated && !s->relayed)
                require(out.len <= 128);
            take_nonce(s, &out);
        }
        if (!busy)
            return;
    }
}

/* A copy whose end is the end of its block. */
static void feed(script *s, const duet_path *path, const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    duet_datagram in = {.path = *path, .data = copy, .len = len, .time = s->now};

    require(copy != NULL);
    if (len)
        memcpy(copy, bytes, len);
    s->ops->input(s->server, &in, s->now);
    free(copy);
    settle(s);
}

/* ---- what happens ---- */

static duet_path client(uint8_t which)
{
    duet_path path = {.socket = 1, .local = address_of("198.51.100.1:3478"), .remote = address_of("192.0.2.1:5000")};

    path.remote.port = (uint16_t)(path.remote.port + which % 4);
    if (which & 4) {
        path.socket = DUET_SOCKET_ACCEPTED + which % 4;
        path.protocol = DUET_TCP;
    }
    return path;
}

static duet_bytes rest_of_step(script *s)
{
    size_t len = duet_read_u8(&s->r);

    len = len < duet_reader_left(&s->r) ? len : duet_reader_left(&s->r);
    return duet_read_bytes(&s->r, len);
}

static void raw(script *s)
{
    duet_path path = client(duet_read_u8(&s->r));
    duet_bytes bytes = rest_of_step(s);

    s->relayed = bytes.len > 0 && path.protocol == DUET_TCP; /* what was gathered before may be data */
    feed(s, &path, bytes.data, bytes.len);
}

/* Attributes out of the script, then what makes the message believed. */
static void message(script *s, bool believed)
{
    static const uint16_t methods[] = {1, 3, 4, 6, 8, 9};
    uint8_t bytes[1024], id[DUET_STUN_TRANSACTION_LEN] = {0};
    duet_path path = client(duet_read_u8(&s->r));
    uint16_t method = methods[duet_read_u8(&s->r) % 6];
    duet_bytes attributes = rest_of_step(s);
    duet_reader r = duet_reader_init(attributes.data, attributes.len);
    size_t len;

    s->transaction++;
    memcpy(id, &s->transaction, sizeof(s->transaction));
    duet_stun_builder b =
        duet_stun_begin(bytes, sizeof(bytes), method == 6 ? DUET_STUN_INDICATION : DUET_STUN_REQUEST, method, id);
    while (duet_reader_left(&r) > 0) {
        uint16_t type = duet_read_u8(&r);
        size_t value_len = duet_read_u8(&r) % 24;
        value_len = value_len < duet_reader_left(&r) ? value_len : duet_reader_left(&r);
        duet_bytes value = duet_read_bytes(&r, value_len);
        duet_stun_add(&b, type & 0x80 ? (uint16_t)(0x8000 | (type & 0x7F)) : type, value.data, value.len);
    }
    if (believed) {
        duet_stun_add_text(&b, DUET_STUN_USERNAME, NAME);
        duet_stun_add_text(&b, DUET_STUN_REALM, REALM);
        duet_stun_add_text(&b, DUET_STUN_NONCE, s->nonce);
        duet_stun_add_integrity(&b, s->key, sizeof(s->key));
    }
    s->authenticated = believed;
    s->relayed = method == 6 || path.protocol == DUET_TCP;
    if (duet_stun_end(&b, &len) == DUET_OK)
        feed(s, &path, bytes, len);
}

/* A request that succeeds, so that scripts need not find it: an allocation, a permission or a channel. */
static void good(script *s)
{
    uint8_t bytes[512], id[DUET_STUN_TRANSACTION_LEN] = {1};
    duet_path path = client(duet_read_u8(&s->r));
    uint8_t what = duet_read_u8(&s->r);
    duet_address peer = what & 4 ? address_of("[2001:db8::99]:4000") : address_of("192.0.2.99:4000");
    size_t len;

    s->transaction++;
    memcpy(id + 1, &s->transaction, sizeof(s->transaction));
    uint16_t method = what % 3 == 0   ? DUET_STUN_ALLOCATE
                      : what % 3 == 1 ? DUET_STUN_CREATE_PERMISSION
                                      : DUET_STUN_CHANNEL_BIND;
    duet_stun_builder b = duet_stun_begin(bytes, sizeof(bytes), DUET_STUN_REQUEST, method, id);
    if (method == DUET_STUN_ALLOCATE) {
        duet_stun_add_u8(&b, DUET_STUN_REQUESTED_TRANSPORT, 17);
        duet_stun_add_u8(&b, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, 2);
    } else {
        duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &peer);
        duet_stun_add_u16(&b, DUET_STUN_CHANNEL_NUMBER, (uint16_t)(0x4000 + (what >> 3)));
    }
    duet_stun_add_text(&b, DUET_STUN_USERNAME, NAME);
    duet_stun_add_text(&b, DUET_STUN_REALM, REALM);
    duet_stun_add_text(&b, DUET_STUN_NONCE, s->nonce);
    duet_stun_add_integrity(&b, s->key, sizeof(s->key));
    s->authenticated = true;
    if (duet_stun_end(&b, &len) == DUET_OK)
        feed(s, &path, bytes, len);
}

static void peer(script *s)
{
    if (s->relay_count == 0)
        return;
    duet_path path = s->relays[duet_read_u8(&s->r) % (s->relay_count < RELAYS ? s->relay_count : RELAYS)];
    uint8_t what = duet_read_u8(&s->r);
    duet_bytes bytes = rest_of_step(s);

    path.remote =
        path.local.family == DUET_AF_INET6 ? address_of("[2001:db8::99]:4000") : address_of("192.0.2.99:4000");
    s->relayed = true;
    if (what < 0xF0) {
        feed(s, &path, bytes.data, bytes.len);
        return;
    }
    s->ops->path_error(s->server, &path, what & 1 ? ECONNREFUSED : EMSGSIZE, s->now);
    settle(s);
}

static void stream(script *s)
{
    duet_path path = client((uint8_t)(duet_read_u8(&s->r) | 4));
    duet_answer accepted = {
        .kind = DUET_ANSWER_ACCEPTED, .id = 2, .local = path.local, .accepted = path.socket, .remote = path.remote};

    s->ops->path_error(s->server, &path, 0, s->now); /* ids are not used twice at a time */
    settle(s);
    s->ops->answer(s->server, &accepted, s->now);
    settle(s);
}

static void step(script *s)
{
    s->authenticated = s->relayed = false;
    switch (duet_read_u8(&s->r) % 8) {
    case 0:
        raw(s);
        break;
    case 1:
        message(s, false);
        break;
    case 2:
    case 3:
        message(s, true);
        break;
    case 4:
        peer(s);
        break;
    case 5:
        stream(s);
        break;
    case 6:
        good(s);
        break;
    default:
        s->now += (duet_time)duet_read_u8(&s->r) * DUET_SECONDS(5);
        settle(s);
        break;
    }
}

static void challenge(script *s)
{
    uint8_t bytes[64], id[DUET_STUN_TRANSACTION_LEN] = {2};
    duet_path path = client(0);
    size_t len;

    duet_stun_builder b = duet_stun_begin(bytes, sizeof(bytes), DUET_STUN_REQUEST, DUET_STUN_ALLOCATE, id);
    require(duet_stun_end(&b, &len) == DUET_OK);
    feed(s, &path, bytes, len);
    require(s->nonce[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const duet_turn_user user = {NAME, PASSWORD};
    static const duet_turn_user *const users[] = {&user};
    duet_turn_listener udp = {.protocol = DUET_UDP, .address = address_of("198.51.100.1:3478")};
    duet_turn_listener tcp = {.protocol = DUET_TCP, .address = address_of("198.51.100.1:3478")};
    const duet_turn_listener *listeners[] = {&udp, &tcp};
    duet_env env = DUET_ENV_INIT;
    duet_turn_config config;
    script s = {.r = duet_reader_init(data, size), .now = DUET_SECONDS(100), .seed = 1};

    env.random = seeded;
    env.user = &s.seed;
    duet_turn_config_init(&config);
    config.env = &env;
    config.listeners = listeners;
    config.listener_count = 2;
    config.realm = REALM;
    config.users = users;
    config.user_count = 1;
    config.secret = "secret";
    config.relay_ipv6 = address_of("[2001:db8::1]:0");
    config.permissions_max = config.channels_max = 4;
    config.streams_waiting_max = 2;
    if (duet_read_u8(&s.r) & 1)
        config.alternate = address_of("198.51.100.2:3479");
    require(duet_turn_server_create(&s.server, &config) == DUET_OK);
    s.ops = duet_turn_server_endpoint_ops();
    require(duet_stun_key_md5(s.key, NAME, REALM, PASSWORD) == DUET_OK);
    settle(&s);
    challenge(&s);
    while (duet_reader_left(&s.r) > 0)
        step(&s);
    duet_turn_server_destroy(s.server);
    return 0;
}
