/* The check of one STUN or TURN server: look-up, connection, binding or allocation; where it ends, and why.
 * RFC 7064, 7065 (URIs), 8489 (Binding), 8656 (Allocate). */
#include "base/crypto.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "duet/stun.h"
#include "ice/framing.h"
#include "ice/internal.h"
#include "ice/turn_client.h"
#include "probe.h"
#include <stdio.h>
#include <string.h>

#define RESOLVE_ID  1
#define SOCKET_ID   2
#define FIRST_WAIT  DUET_MS(500)
#define MESSAGE_MAX 64
#define FRAME_MAX   4096

struct probe_server {
    duet_env env;
    probe_server_config config;
    ice_uri uri;
    probe_server_result result;
    bool resolve_wanted, open_wanted, close_wanted, began, done, reported;
    duet_time started, opened, deadline;
    duet_path path;
    duet_frames frames;
    duet_turn_client *turn;
    duet_outbox outbox; /* Binding requests */
    uint8_t id[DUET_STUN_TRANSACTION_LEN];
    duet_time sent, next_send, wait;
    unsigned sends;
    void (*wake)(void *user);
    void *wake_user;
};

static bool is_turn(const probe_server *p)
{
    return p->uri.scheme == ICE_TURN || p->uri.scheme == ICE_TURNS;
}

static void finish(probe_server *p, probe_stage stage, const char *text, duet_time now)
{
    if (p->done)
        return;
    p->done = true;
    p->close_wanted = p->began;
    p->result.stage = stage;
    p->result.ok = stage == PROBE_DONE;
    p->result.elapsed = now - p->started;
    snprintf(p->result.text, sizeof(p->result.text), "%s", text ? text : "");
    if (p->wake)
        p->wake(p->wake_user);
}

int probe_server_create(probe_server **out, const probe_server_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    probe_server *p = duet_calloc(&env, sizeof(*p));

    *out = p;
    if (!p)
        return DUET_ERR_NOMEM;
    p->env = env;
    p->config = *config;
    p->result.url = config->url;
    p->deadline = DUET_NEVER;
    duet_outbox_init(&p->outbox, &p->env, MESSAGE_MAX, 16);
    duet_frames_init(&p->frames, &p->env, DUET_FRAMING_TURN, FRAME_MAX);
    return DUET_OK;
}

void probe_server_destroy(probe_server *p)
{
    if (!p)
        return;
    duet_turn_client_destroy(p->turn);
    duet_frames_free(&p->frames);
    duet_outbox_free(&p->outbox);
    duet_free(&p->env, p);
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------ */

static void begin(probe_server *p, duet_time now)
{
    duet_address literal;

    p->started = now;
    p->deadline = now + p->config.timeout;
    if (duet_ice_uri_parse(&p->uri, p->config.url) != DUET_OK) {
        finish(p, PROBE_URL, "this is no stun:, stuns:, turn: or turns: URL (RFC 7064, RFC 7065)", now);
    } else if (p->uri.scheme == ICE_TURNS && p->uri.transport == DUET_UDP) {
        finish(p, PROBE_URL, "TURN over DTLS is not supported: leave out ?transport=udp", now);
    } else if (duet_address_parse(&literal, p->uri.host, p->uri.port) == DUET_OK) {
        p->result.address = literal;
        p->open_wanted = true;
    } else {
        p->resolve_wanted = true;
    }
}

static void resolved(probe_server *p, const duet_answer *a, duet_time now)
{
    for (size_t i = 0; i < a->address_count && p->result.address.family == DUET_AF_NONE; i++) {
        if (p->config.family == DUET_AF_NONE || a->addresses[i].family == p->config.family)
            p->result.address = a->addresses[i];
    }
    p->result.address.port = p->uri.port;
    if (a->err || p->result.address.family == DUET_AF_NONE)
        finish(p, PROBE_RESOLVE, a->err ? duet_strerror(a->err) : "no address of this family", now);
    else
        p->open_wanted = true;
}

static void send_binding(probe_server *p, duet_time now)
{
    uint8_t message[MESSAGE_MAX];
    size_t len = 0;
    duet_stun_builder b = duet_stun_begin(message, sizeof(message), DUET_STUN_REQUEST, DUET_STUN_BINDING, p->id);
    duet_datagram meta = {.path = p->path};
    bool is_reliable = p->uri.transport != DUET_UDP;

    duet_stun_add_fingerprint(&b);
    if (duet_stun_end(&b, &len) == DUET_OK)
        (void)duet_outbox_push(&p->outbox, message, len, &meta);
    p->sends++;
    p->sent = now;
    p->wait = p->wait ? p->wait * 2 : FIRST_WAIT;
    p->next_send = is_reliable ? DUET_NEVER : now + p->wait;
}

static void opened(probe_server *p, const duet_answer *a, duet_time now)
{
    if (a->err) {
        p->result.err = a->err;
        finish(p, PROBE_CONNECT, a->reason && a->reason[0] ? a->reason : duet_strerror(a->err), now);
        return;
    }
    p->opened = now;
    p->path = (duet_path){SOCKET_ID, p->uri.transport, a->local, p->result.address};
    if (!is_turn(p)) {
        if (duet_random(&p->env, p->id, sizeof(p->id)) == DUET_OK)
            send_binding(p, now);
        return;
    }
    duet_turn_client_config config = {.env = &p->env,
                                      .path = p->path,
                                      .username = p->config.username,
                                      .credential = p->config.credential,
                                      .family = p->result.address.family};
    int err = duet_turn_client_create(&p->turn, &config, now);
    if (err)
        finish(p, PROBE_ALLOCATE, duet_strerror(err), now);
}

/* After an allocation or its refusal; the allocation is given back before the socket closes. */
static void look_at_turn(probe_server *p, duet_time now)
{
    const duet_turn_client_info *info = p->turn ? duet_turn_client_get(p->turn) : NULL;

    if (!info || p->done)
        return;
    p->result.rtt = info->rtt;
    if (info->state == DUET_TURN_ALLOCATED) {
        bool is_v6 = info->relayed[0].family == DUET_AF_NONE;
        p->result.relayed = info->relayed[is_v6];
        p->result.mapped = info->mapped;
        duet_turn_client_release(p->turn, now);
        finish(p, PROBE_DONE, "", now);
    } else if (info->state == DUET_TURN_REDIRECTED) {
        char text[DUET_ADDRESS_TEXT_MAX], why[PROBE_TEXT_MAX];
        snprintf(why, sizeof(why), "the server sends its clients to %s",
                 duet_address_text(&info->alternate, text, sizeof(text)));
        p->result.code = 300;
        finish(p, PROBE_ALLOCATE, why, now);
    } else if (info->state == DUET_TURN_FAILED) {
        bool is_silent = info->error_code == 701;
        p->result.code = is_silent ? 0 : info->error_code;
        finish(p, is_silent ? PROBE_ANSWER : PROBE_ALLOCATE, info->error_text, now);
    }
}

static void take_binding(probe_server *p, const uint8_t *data, size_t len, duet_time now)
{
    duet_stun_message m;
    duet_stun_error error;

    if (duet_stun_parse(&m, data, len) != DUET_OK || memcmp(m.transaction_id, p->id, sizeof(p->id)) != 0)
        return;
    if (p->sends == 1)
        p->result.rtt = now - p->sent;
    if (m.message_class == DUET_STUN_ERROR && duet_stun_get_error(&m, &error) == DUET_OK) {
        p->result.code = error.code;
        finish(p, PROBE_ALLOCATE, duet_stun_error_name(error.code), now);
    } else if (m.message_class == DUET_STUN_SUCCESS &&
               duet_stun_get_address(&m, DUET_STUN_XOR_MAPPED_ADDRESS, &p->result.mapped) == DUET_OK) {
        finish(p, PROBE_DONE, "", now);
    }
}

static void take(probe_server *p, duet_datagram *in, duet_time now)
{
    if (p->turn)
        (void)duet_turn_client_input(p->turn, in, now);
    else
        take_binding(p, in->data, in->len, now);
}

/* ---- the endpoint -------------------------------------------------------------------------------------------------------------- */

static int ops_input(void *object, duet_datagram *in, duet_time now)
{
    probe_server *p = object;
    duet_piece piece = {in->data, in->len}, frame;
    int more;

    duet_outbox_reclaim(&p->outbox);
    if (p->uri.transport == DUET_UDP) {
        take(p, in, now);
    } else {
        while ((more = duet_frames_next(&p->frames, &piece, &frame)) == 1) {
            duet_datagram one = {.path = in->path, .data = frame.data, .len = frame.len, .time = in->time};
            take(p, &one, now);
        }
        if (more < 0)
            finish(p, PROBE_ANSWER, "what answers there is no STUN or TURN server", now);
    }
    look_at_turn(p, now);
    return DUET_OK;
}

static int ops_output(void *object, duet_datagram *out, duet_time now)
{
    probe_server *p = object;

    (void)now;
    if (duet_outbox_pull(&p->outbox, out))
        return 1;
    return p->turn ? duet_turn_client_output(p->turn, out) : 0;
}

static int ops_request(void *object, duet_request *out)
{
    probe_server *p = object;

    if (p->resolve_wanted) {
        p->resolve_wanted = false;
        *out = (duet_request){.kind = DUET_REQUEST_RESOLVE, .id = RESOLVE_ID, .name = p->uri.host};
        return 1;
    }
    if (!p->open_wanted)
        return 0;
    p->open_wanted = false;
    p->began = true;
    *out = (duet_request){.kind = DUET_REQUEST_OPEN,
                          .id = SOCKET_ID,
                          .protocol = p->uri.transport,
                          .remote = p->result.address,
                          .name = p->uri.host,
                          .ca_file = p->config.ca_file,
                          .tls_no_verify = p->config.tls_no_verify};
    out->bind.family = p->result.address.family; /* any address of it */
    return 1;
}

static int ops_answer(void *object, const duet_answer *a, duet_time now)
{
    probe_server *p = object;

    duet_outbox_reclaim(&p->outbox);
    if (p->done)
        return DUET_OK;
    if (a->kind == DUET_REQUEST_RESOLVE)
        resolved(p, a, now);
    else if (a->kind == DUET_REQUEST_OPEN)
        opened(p, a, now);
    return DUET_OK;
}

static void ops_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    (void)path;
    finish(object, PROBE_ANSWER, error ? strerror(error) : "the server closed the connection", now);
}

static void ops_tick(void *object, duet_time now)
{
    probe_server *p = object;

    duet_outbox_reclaim(&p->outbox);
    if (p->deadline == DUET_NEVER && !p->done)
        begin(p, now);
    if (!p->done && p->turn)
        duet_turn_client_tick(p->turn, now);
    look_at_turn(p, now);
    if (!p->done && p->sends > 0 && now >= p->next_send)
        send_binding(p, now);
    if (!p->done && now >= p->deadline)
        finish(p,
               p->opened  ? PROBE_ANSWER
               : p->began ? PROBE_CONNECT
                          : PROBE_RESOLVE,
               "nothing came back in time", now);
    if (p->done && !p->reported) {
        p->reported = true;
        p->config.on_done(p->config.user, &p->result);
    }
}

static duet_time ops_deadline(const void *object)
{
    const probe_server *p = object;

    if (p->done)
        return p->reported ? DUET_NEVER : 0;
    duet_time deadline = p->deadline == DUET_NEVER ? 0 : p->deadline;
    if (p->sends > 0 && p->next_send < deadline)
        deadline = p->next_send;
    duet_time turn = p->turn ? duet_turn_client_deadline(p->turn) : DUET_NEVER;
    return turn < deadline ? turn : deadline;
}

static void ops_set_wake(void *object, void (*wake)(void *user), void *user)
{
    probe_server *p = object;

    p->wake = wake;
    p->wake_user = user;
}

const duet_endpoint_ops *probe_server_endpoint_ops(void)
{
    static const duet_endpoint_ops ops = {sizeof(ops),    ops_input, ops_output,   ops_request,  ops_answer,
                                          ops_path_error, ops_tick,  ops_deadline, ops_set_wake, NULL};

    return &ops;
}

/* ---- in words ---------------------------------------------------------------------------------------------------------------------- */

static const char *advice_on_code(unsigned code)
{
    switch (code) {
    case 300:
        return "use the address that the server names";
    case 401:
        return "the user name or the password is wrong, or has expired: check \"username\" and \"credential\"";
    case 403:
        return "the server does not serve this client: it may be a STUN server only, or deny the address";
    case 400:
        return "the server does not understand the request: is it a TURN server?";
    case 420:
        return "the server lacks something that was asked for";
    case 437:
        return "the server still has an allocation of this address: try again in a minute";
    case 438:
        return "the server calls each nonce stale: its clock or its cluster is not in order";
    case 440:
        return "the server has no relayed addresses of this family: try --no-ipv6, or a server with IPv6";
    case 441:
        return "the allocation belongs to somebody else: the user name changed under way";
    case 442:
        return "the server does not relay UDP";
    case 486:
        return "this user has as many allocations as the server allows: close some, or raise its quota";
    case 500:
        return "the server is in trouble: look at its log";
    case 508:
        return "the server has no relayed address left: raise its port range or its limits";
    default:
        return NULL;
    }
}

const char *probe_server_advice(const probe_server_result *r)
{
    switch (r->stage) {
    case PROBE_RESOLVE:
        return "check the host name, and that this machine has a name server";
    case PROBE_CONNECT:
        if (r->err == DUET_ERR_AUTH)
            return "renew the certificate, use the name that it is for, or give its authority with --ca";
        return "check host and port, and that no firewall is in the way";
    case PROBE_ANSWER:
        return "a firewall drops the packets, or nothing listens there: try ?transport=tcp, or turns:";
    case PROBE_ALLOCATE:
        return advice_on_code(r->code);
    default:
        return NULL;
    }
}
