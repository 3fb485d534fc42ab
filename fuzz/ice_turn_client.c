/* Drives a TURN client by a script of bytes: what comes from the server raw, and as responses to its own requests with valid
 * integrity and attributes of the script; time, permissions, channels, data. Whatever comes, its bounds hold and nothing
 * leaks. */
#include "base/bytes.h"
#include "base/memory.h"
#include "duet/stun.h"
#include "fuzz.h"
#include "ice/turn_client.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct script {
    duet_reader r;
    duet_turn_client *client;
    duet_path path;
    duet_time now;
    uint64_t seed;
    uint8_t id[DUET_STUN_TRANSACTION_LEN]; /* of the latest request */
    uint16_t method;
} script;

static void pull(script *s)
{
    duet_datagram out;
    duet_stun_message m;

    while (duet_turn_client_output(s->client, &out)) {
        require(duet_stun_parse(&m, out.data, out.len) == DUET_OK);
        require(duet_stun_verify_fingerprint(&m) == DUET_OK);
        if (m.message_class != DUET_STUN_REQUEST)
            continue;
        memcpy(s->id, m.transaction_id, sizeof(s->id));
        s->method = m.method;
    }
}

static void feed(script *s, uint8_t *bytes, size_t len)
{
    duet_datagram in = {.path = s->path, .data = bytes, .len = len, .time = s->now};

    if (duet_turn_client_input(s->client, &in, s->now) == 1)
        require(in.data >= bytes && in.data + in.len <= bytes + len);
}

static void raw(script *s)
{
    duet_bytes bytes = duet_read_bytes(&s->r, duet_read_u8(&s->r));
    uint8_t *copy = malloc(bytes.len + 1);

    if (copy && bytes.data) {
        memcpy(copy, bytes.data, bytes.len);
        feed(s, copy, bytes.len);
    }
    free(copy);
}

static duet_address some_peer(script *s)
{
    uint8_t which = duet_read_u8(&s->r);
    duet_address peer;

    (void)duet_address_parse(&peer, which & 1 ? "198.51.100.1" : "2001:db8::1", (uint16_t)(which >> 2));
    peer.ip[3] = (uint8_t)(which >> 4);
    return peer;
}

/* Attributes as the script has them, among those that make sense. */
static void add_attributes(script *s, duet_stun_builder *b, uint8_t flags)
{
    duet_address peer = some_peer(s);
    duet_bytes bytes = duet_read_bytes(&s->r, flags & 15);

    if (flags & 16)
        duet_stun_add_address(b, DUET_STUN_XOR_RELAYED_ADDRESS, &peer);
    if (flags & 32) {
        duet_stun_add_text(b, DUET_STUN_REALM, "r");
        duet_stun_add_text(b, DUET_STUN_NONCE, flags & 1 ? "obMatJos2AAACn" : "n");
    }
    if (flags & 64)
        duet_stun_add_u32(b, DUET_STUN_LIFETIME, duet_read_u16(&s->r));
    if (flags & 128)
        duet_stun_add(b, duet_read_u16(&s->r), bytes.data, bytes.len);
}

static void response(script *s, duet_stun_class message_class)
{
    uint8_t out[1024], key[16];
    size_t len;
    uint8_t flags = duet_read_u8(&s->r);
    duet_stun_builder b = duet_stun_begin(out, sizeof(out), message_class, s->method, s->id);

    if (message_class == DUET_STUN_ERROR) {
        static const uint16_t codes[] = {401, 438, 300, 400, 403, 437, 440, 441, 486, 508, 500};
        duet_stun_add_error(&b, codes[duet_read_u8(&s->r) % (sizeof(codes) / sizeof(codes[0]))], NULL);
    }
    add_attributes(s, &b, flags);
    require(duet_stun_key_md5(key, "u", "r", "p") == DUET_OK);
    duet_stun_add_integrity(&b, key, sizeof(key));
    duet_stun_add_fingerprint(&b);
    if (duet_stun_end(&b, &len) == DUET_OK)
        feed(s, out, len);
}

static void pass_time(script *s)
{
    duet_time deadline = duet_turn_client_deadline(s->client);
    uint16_t wait = duet_read_u16(&s->r);

    if (wait & 1 && deadline != DUET_NEVER && deadline > s->now)
        s->now = deadline;
    else
        s->now += DUET_MS(wait);
    duet_turn_client_tick(s->client, s->now);
    require(duet_turn_client_deadline(s->client) > s->now); /* a tick does all that is due */
}

static void send_data(script *s)
{
    uint8_t bytes[DUET_HEADROOM + 64 + DUET_TAILROOM] = {0};
    duet_datagram out = {.data = bytes + DUET_HEADROOM, .headroom = DUET_HEADROOM};

    out.len = duet_read_u8(&s->r) % 64;
    out.path.remote = some_peer(s);
    if (duet_turn_client_wrap(s->client, &out) != DUET_OK)
        return;
    require(out.data >= bytes && out.data + out.len <= bytes + sizeof(bytes));
    require(duet_path_equal(&out.path, &s->path));
    require(s->path.protocol == DUET_UDP || out.len % 4 == 0);
}

static void step(script *s)
{
    duet_address peer;

    switch (duet_read_u8(&s->r) % 10) {
    case 0:
        raw(s);
        break;
    case 1:
    case 2:
    case 3:
        response(s, DUET_STUN_SUCCESS);
        break;
    case 4:
    case 5:
        response(s, DUET_STUN_ERROR);
        break;
    case 6:
        pass_time(s);
        break;
    case 7:
        peer = some_peer(s);
        (void)duet_turn_client_permit(s->client, &peer);
        (void)duet_turn_client_is_refused(s->client, &peer);
        break;
    case 8:
        peer = some_peer(s);
        (void)duet_turn_client_bind(s->client, &peer);
        break;
    default:
        send_data(s);
        if (duet_read_u8(&s->r) == 0xFF)
            duet_turn_client_release(s->client, s->now);
        break;
    }
    pull(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    script s = {.r = duet_reader_init(data, size), .now = DUET_SECONDS(1), .seed = 1};
    duet_env plain = DUET_ENV_INIT;
    uint8_t flags = duet_read_u8(&s.r);

    plain.random = seeded;
    plain.user = &s.seed;
    duet_env env = duet_env_resolve(&plain);
    s.path = (duet_path){.socket = 1, .protocol = flags & 1 ? DUET_TCP : DUET_UDP};
    (void)duet_address_parse(&s.path.remote, "192.0.2.99", 3478);
    duet_turn_client_config config = {
        .env = &env, .path = s.path, .username = "u", .credential = "p", .both_families = (flags & 2) != 0};
    require(duet_turn_client_create(&s.client, &config, s.now) == DUET_OK);
    pull(&s);
    while (duet_reader_left(&s.r) > 0)
        step(&s);
    duet_turn_client_destroy(s.client);
    return 0;
}
