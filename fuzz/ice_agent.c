/* Drives an agent by a script of bytes: datagrams raw and with valid integrity, answers to its own checks, time,
 * signalling, restarts. Whatever comes, its bounds hold and nothing leaks. */
#include "base/bytes.h"
#include "duet/ice.h"
#include "duet/stun.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REMOTE_PWD "remote-password-of-22-chars"

typedef struct script {
    duet_reader r;
    duet_ice_agent *agent;
    duet_time now;
    uint64_t seed;
    uint8_t last_id[DUET_STUN_TRANSACTION_LEN]; /* of the latest request that came out */
    duet_path last_path;
    unsigned generation;
    uint32_t listener, accepted;
} script;

static void serve(script *s)
{
    duet_interface interfaces[2] = {{.name = "a", .index = 1}, {.name = "b", .index = 2}};
    duet_request request;

    (void)duet_address_parse(&interfaces[0].address, "10.0.0.1", 0);
    (void)duet_address_parse(&interfaces[1].address, "2001:db8::1", 0);
    while (duet_ice_agent_request(s->agent, &request)) {
        duet_answer answer = {.kind = request.kind, .id = request.id};
        duet_address found;
        if (request.kind == DUET_REQUEST_CLOSE)
            continue;
        if (request.kind == DUET_REQUEST_INTERFACES) {
            answer.interfaces = interfaces;
            answer.interface_count = 2;
        }
        if (request.kind == DUET_REQUEST_LISTEN)
            s->listener = request.id;
        if (request.kind == DUET_REQUEST_OPEN || request.kind == DUET_REQUEST_LISTEN) {
            answer.local = request.bind;
            answer.local.port = (uint16_t)(50000 + request.id);
        }
        if (request.kind == DUET_REQUEST_RESOLVE) {
            require(request.name != NULL);
            (void)duet_address_parse(&found, "192.0.2.9", 0);
            answer.addresses = &found;
            answer.address_count = 1;
        }
        (void)duet_ice_agent_answer(s->agent, &answer, s->now);
    }
}

static void pull(script *s)
{
    duet_datagram out;
    duet_stun_message m;

    while (duet_ice_agent_output(s->agent, &out, s->now)) {
        s->last_path = out.path;
        if (out.path.protocol == DUET_TCP && out.len > 2 && (size_t)(out.data[0] << 8 | out.data[1]) == out.len - 2) {
            out.data += 2; /* RFC 4571 */
            out.len -= 2;
        }
        require(duet_stun_parse(&m, out.data, out.len) == DUET_OK);
        require(duet_stun_verify_fingerprint(&m) == DUET_OK);
        if (m.message_class != DUET_STUN_REQUEST)
            continue;
        memcpy(s->last_id, m.transaction_id, sizeof(s->last_id));
        s->last_path = out.path;
    }
}

static duet_path some_path(script *s)
{
    uint8_t which = duet_read_u8(&s->r);
    duet_path path = {.socket = 1u + (which & 1)};

    if (which & 0x80 && s->last_path.socket)
        return s->last_path;
    (void)duet_address_parse(&path.local, which & 1 ? "10.0.0.1" : "2001:db8::1", (uint16_t)(50000 + path.socket));
    (void)duet_address_parse(&path.remote, which & 1 ? "10.0.0.2" : "2001:db8::2",
                             (uint16_t)(1000 + (which >> 1 & 31)));
    return path;
}

static void feed(script *s, const duet_path *path, uint8_t *data, size_t len)
{
    duet_datagram in = {.path = *path, .data = data, .len = len, .time = s->now};

    duet_datagram frame;

    if (path->protocol == DUET_UDP) {
        (void)duet_ice_agent_input(s->agent, &in, s->now);
        return;
    }
    while (duet_ice_agent_next(s->agent, &in, &frame, s->now))
        (void)duet_ice_agent_input(s->agent, &frame, s->now);
}

static void raw_datagram(script *s)
{
    duet_path path = some_path(s);
    duet_bytes bytes = duet_read_bytes(&s->r, duet_read_u8(&s->r));
    uint8_t *copy = malloc(bytes.len + 1);

    if (copy && bytes.data) {
        memcpy(copy, bytes.data, bytes.len);
        feed(s, &path, copy, bytes.len);
    }
    free(copy);
}

/* Somebody connects to the latest listener. */
static void connection(script *s)
{
    duet_answer answer = {.kind = DUET_ANSWER_ACCEPTED, .id = s->listener};

    answer.accepted = DUET_SOCKET_ACCEPTED + s->accepted++ % 40;
    (void)duet_address_parse(&answer.local, "10.0.0.1", 50001);
    (void)duet_address_parse(&answer.remote, "10.0.0.2", (uint16_t)(2000 + s->accepted));
    (void)duet_ice_agent_answer(s->agent, &answer, s->now);
    s->last_path =
        (duet_path){.socket = answer.accepted, .protocol = DUET_TCP, .local = answer.local, .remote = answer.remote};
}

/* A message whose integrity is right and whose attributes are the script's. */
static void authenticated(script *s, duet_stun_class message_class)
{
    uint8_t buf[1026], id[DUET_STUN_TRANSACTION_LEN] = {0};
    char username[DUET_UFRAG_MAX + 8];
    const duet_ice_credentials *c = duet_ice_agent_local_credentials(s->agent);
    bool request = message_class == DUET_STUN_REQUEST;
    duet_path path = request ? some_path(s) : s->last_path;
    uint8_t flags = duet_read_u8(&s->r);

    id[0] = flags;
    duet_stun_builder b =
        duet_stun_begin(buf, sizeof(buf) - 2, message_class, DUET_STUN_BINDING, request ? id : s->last_id);
    if (request) {
        snprintf(username, sizeof(username), "%s:r", c->ufrag);
        duet_stun_add_text(&b, DUET_STUN_USERNAME, username);
        if (!(flags & 1))
            duet_stun_add_u32(&b, DUET_STUN_PRIORITY, duet_read_u32(&s->r));
        if (flags & 2)
            duet_stun_add_flag(&b, DUET_STUN_USE_CANDIDATE);
        duet_stun_add_u64(&b, flags & 4 ? DUET_STUN_ICE_CONTROLLED : DUET_STUN_ICE_CONTROLLING,
                          (uint64_t)duet_read_u8(&s->r) << 56);
    } else if (message_class == DUET_STUN_SUCCESS) {
        duet_address mapped = path.local;
        mapped.port = (uint16_t)(mapped.port + (flags & 3));
        if (!(flags & 4) && mapped.family)
            duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped);
    } else {
        duet_stun_add_error(&b, flags & 1 ? 487 : 300 + flags, NULL);
    }
    if (flags & 8)
        duet_stun_add(&b, duet_read_u16(&s->r), s->last_id, flags >> 4);
    const char *pwd = request ? c->pwd : REMOTE_PWD;
    duet_stun_add_integrity(&b, pwd, strlen(pwd));
    duet_stun_add_fingerprint(&b);
    if (flags & 0x80)
        path.remote.port++;
    size_t len;
    if (duet_stun_end(&b, &len) != DUET_OK)
        return;
    if (path.protocol == DUET_UDP) {
        feed(s, &path, buf, len);
        return;
    }
    memmove(buf + 2, buf, len); /* a piece of a stream, as RFC 4571 has it */
    buf[0] = (uint8_t)(len >> 8);
    buf[1] = (uint8_t)len;
    feed(s, &path, buf, len + 2);
}

static void signal_candidate(script *s)
{
    duet_candidate c = {.component = 1, .foundation = "f", .type = DUET_CANDIDATE_HOST};
    uint8_t which = duet_read_u8(&s->r);

    c.priority = duet_read_u16(&s->r);
    (void)duet_address_parse(&c.address, which & 1 ? "10.0.0.2" : "2001:db8::2", (uint16_t)(1000 + (which >> 1 & 31)));
    if ((which & 0x30) == 0x30) {
        c.protocol = DUET_TCP;
        c.tcp_type = DUET_TCPTYPE_PASSIVE;
    }
    if (which & 0x40) {
        c.address.family = DUET_AF_NONE;
        snprintf(c.name, sizeof(c.name), "%s", which & 0x80 ? "x.local" : "peer.example.org");
    }
    (void)duet_ice_agent_add_remote_candidate(s->agent, &c, s->now);
}

static void signal_credentials(script *s)
{
    duet_ice_credentials c = {.pwd = REMOTE_PWD};
    uint8_t which = duet_read_u8(&s->r);

    if (which & 1)
        s->generation++;
    snprintf(c.ufrag, sizeof(c.ufrag), "remote%u", s->generation);
    (void)duet_ice_agent_set_remote(s->agent, &c, (which & 0x70) == 0x70, s->now);
}

static void pass_time(script *s)
{
    duet_time deadline = duet_ice_agent_deadline(s->agent);
    uint16_t wait = duet_read_u16(&s->r);

    if (wait & 1 && deadline != DUET_NEVER && deadline > s->now)
        s->now = deadline;
    else
        s->now += DUET_MS(wait);
    duet_ice_agent_tick(s->agent, s->now);
    deadline = duet_ice_agent_deadline(s->agent);
    require(deadline > s->now); /* a tick does all that is due */
}

static void step(script *s)
{
    duet_path path;
    duet_datagram out = {0};

    switch (duet_read_u8(&s->r) % 13) {
    case 0:
        raw_datagram(s);
        break;
    case 1:
    case 2:
        authenticated(s, DUET_STUN_REQUEST);
        break;
    case 3:
    case 4:
        authenticated(s, DUET_STUN_SUCCESS);
        break;
    case 5:
        authenticated(s, DUET_STUN_ERROR);
        break;
    case 6:
    case 7:
        pass_time(s);
        break;
    case 8:
        signal_candidate(s);
        break;
    case 9:
        signal_credentials(s);
        break;
    case 12:
        connection(s);
        break;
    case 10:
        path = some_path(s);
        duet_ice_agent_path_error(s->agent, &path, DUET_ERR_IO, s->now);
        (void)duet_ice_agent_validated(s->agent, &path);
        (void)duet_ice_agent_route(s->agent, &out);
        break;
    default:
        if (duet_read_u8(&s->r) & 1)
            (void)duet_ice_agent_restart(s->agent, NULL, s->now);
        else
            duet_ice_agent_end_of_remote_candidates(s->agent, s->now);
        break;
    }
    serve(s);
    pull(s);
}

static void check_bounds(const duet_ice_agent *agent)
{
    duet_ice_stats stats;
    duet_ice_pair_stats pair;
    size_t selected = 0;

    duet_ice_agent_get_stats(agent, &stats);
    require(stats.pair_count <= DUET_ICE_PAIRS_MAX);
    for (size_t i = 0; duet_ice_agent_get_pair(agent, i, &pair) == DUET_OK; i++) {
        require(duet_ice_agent_local_candidate(agent, pair.local) != NULL);
        require(duet_ice_agent_remote_candidate(agent, pair.remote) != NULL);
        selected += pair.selected;
    }
    require(selected <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const urls[] = {"stun:stun.example.org", "turn:turn.example.org",
                                       "turn:turn.example.org?transport=tcp", "stuns:stun.example.org"};
    static const duet_ice_server server = {.urls = urls, .url_count = 4, .username = "u", .credential = "p"};
    static const duet_ice_server *const servers[] = {&server};
    script s = {.r = duet_reader_init(data, size), .now = DUET_SECONDS(1), .seed = 1};
    duet_env env = DUET_ENV_INIT;
    duet_ice_config config;
    uint8_t flags = duet_read_u8(&s.r);

    env.random = seeded;
    env.user = &s.seed;
    duet_ice_config_init(&config);
    config.env = &env;
    config.role = flags & 1 ? DUET_ICE_CONTROLLING : DUET_ICE_CONTROLLED;
    config.lite = (flags & 6) == 6;
    if (flags & 8) {
        config.servers = servers;
        config.server_count = 1;
    }
    config.tcp = (flags & 32) != 0;
    config.mdns = (flags & 64) != 0;
    config.policy = flags & 128 ? DUET_ICE_RELAY : DUET_ICE_ALL;
    require(duet_ice_agent_create(&s.agent, &config) == DUET_OK);
    require(duet_ice_agent_gather(s.agent, s.now) == DUET_OK);
    serve(&s);
    if (flags & 16)
        signal_credentials(&s);
    while (duet_reader_left(&s.r) > 0) {
        step(&s);
        check_bounds(s.agent);
    }
    duet_ice_agent_destroy(s.agent);
    return 0;
}
