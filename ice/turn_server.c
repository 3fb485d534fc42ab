/* The TURN server as an endpoint: what arrives is told apart here (RFC 8656 section 12.5: STUN or ChannelData by the first two
 * bits), what is asked of the driver leaves here, and timers fire here. */
#include "ice/turn_server.h"
#include "base/log.h"
#include "base/memory.h"
#include <string.h>

#define LIFETIME_DEFAULT 600 /* "the default lifetime ... 10 minutes" RFC 8656 section 3.2 */
#define LIFETIME_MAX                                                                                                   \
    3600 /* "it is RECOMMENDED that the server impose a maximum lifetime of no more than 3600 seconds" */
#define PERMISSIONS_MAX   64
#define STREAMS_MAX       10000
#define STREAMS_WAITING   256
#define STREAM_WAIT       DUET_SECONDS(10)
#define OUTPUT_MAX        ((size_t)8 * 1024 * 1024)
#define REALM_MAX         40 /* longer, and a 401 would pass TURN_UNAUTHENTICATED_MAX */
#define INTERFACES_ID     (TURN_FIRST_RELAY_ID - 1)
#define OWN_ADDRESSES_MAX 256

void duet_turn_config_init(duet_turn_config *config)
{
    *config = (duet_turn_config){.size = sizeof(*config)};
}

/* ---- create and destroy ---- */

static void set_defaults(duet_turn_config *c)
{
    c->realm = c->realm ? c->realm : "duet";
    c->lifetime_default = c->lifetime_default ? c->lifetime_default : LIFETIME_DEFAULT;
    c->lifetime_max = c->lifetime_max ? c->lifetime_max : LIFETIME_MAX;
    c->permissions_max = c->permissions_max ? c->permissions_max : PERMISSIONS_MAX;
    c->channels_max = c->channels_max ? c->channels_max : PERMISSIONS_MAX;
    c->streams_max = c->streams_max ? c->streams_max : STREAMS_MAX;
    c->streams_waiting_max = c->streams_waiting_max ? c->streams_waiting_max : STREAMS_WAITING;
    c->stream_wait = c->stream_wait ? c->stream_wait : STREAM_WAIT;
    c->output_max = c->output_max ? c->output_max : OUTPUT_MAX;
}

static bool config_is_valid(const duet_turn_config *c)
{
    size_t realm = strlen(c->realm);

    if (realm == 0 || realm > REALM_MAX || strchr(c->realm, '"') || c->listener_count == 0)
        return false;
    for (size_t i = 0; i < c->listener_count; i++) {
        const duet_turn_listener *l = c->listeners[i];
        if (l->address.family != DUET_AF_INET && l->address.family != DUET_AF_INET6)
            return false;
        if (l->protocol == DUET_TLS && (!l->certificate_file || !l->key_file))
            return false;
    }
    return c->lifetime_default <= c->lifetime_max;
}

static int copy_rules(duet_array *out, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        turn_prefix *prefix = duet_array_push(out);
        if (!prefix)
            return DUET_ERR_NOMEM;
        if (duet_turn_prefix_parse(prefix, texts[i]) != DUET_OK)
            return DUET_ERR_INVALID;
    }
    return DUET_OK;
}

static int add_listening(duet_turn_server *s, const duet_turn_listener *listener)
{
    turn_listening *l = &s->listenings[s->listening_count];
    duet_address *known = duet_array_push(&s->peers.listeners);

    if (!known)
        return DUET_ERR_NOMEM;
    *known = listener->address;
    s->listening_count++;
    l->config = *listener;
    l->address = listener->address;
    l->config.certificate_file = duet_strdup(&s->env, listener->certificate_file);
    l->config.key_file = duet_strdup(&s->env, listener->key_file);
    bool complete =
        (!listener->certificate_file || l->config.certificate_file) && (!listener->key_file || l->config.key_file);
    return complete ? DUET_OK : DUET_ERR_NOMEM;
}

/* RFC 5780 section 3: the first UDP listener's address and port and the alternate ones make four sockets. */
static int add_alternates(duet_turn_server *s, const duet_turn_listener *primary)
{
    const duet_address *second = &s->config.alternate;
    const duet_address *first = &primary->address;

    if (second->family == DUET_AF_NONE)
        return DUET_OK;
    if (second->family != first->family || second->port == 0 || second->port == first->port || first->port == 0 ||
        duet_address_ip_equal(first, second) || duet_address_is_any(first))
        return DUET_ERR_INVALID;
    for (unsigned i = 1; i <= TURN_BEHAVIOUR_BOTH; i++) {
        duet_turn_listener other = {.protocol = DUET_UDP, .address = i & TURN_BEHAVIOUR_IP ? *second : *first};
        other.address.port = i & TURN_BEHAVIOUR_PORT ? second->port : first->port;
        s->behaviour[i] = (uint32_t)s->listening_count + 1;
        int err = add_listening(s, &other);
        if (err)
            return err;
    }
    return DUET_OK;
}

static int add_listeners(duet_turn_server *s, const duet_turn_config *config)
{
    s->listenings = duet_calloc(&s->env, (config->listener_count + TURN_BEHAVIOUR_BOTH) * sizeof(turn_listening));
    if (!s->listenings)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < config->listener_count; i++) {
        int err = add_listening(s, config->listeners[i]);
        if (err)
            return err;
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i]->protocol != DUET_UDP)
            continue;
        s->behaviour[0] = (uint32_t)i + 1;
        return add_alternates(s, config->listeners[i]);
    }
    return config->alternate.family == DUET_AF_NONE ? DUET_OK : DUET_ERR_INVALID;
}

/* Where relayed addresses of a family are opened: as configured, or on the first listener's address. */
static int set_relay_address(duet_turn_server *s, duet_family family, const duet_address *here,
                             const duet_address *told)
{
    turn_relay_address *r = &s->peers.relays[family == DUET_AF_INET6];

    for (size_t i = 0; i < s->listening_count && here->family == DUET_AF_NONE; i++) {
        const duet_address *a = &s->listenings[i].config.address;
        if (a->family == family && !duet_address_is_any(a))
            here = a;
    }
    if (here->family == DUET_AF_NONE)
        return DUET_OK;
    if (here->family != family || duet_address_is_any(here) || (told->family && told->family != family))
        return DUET_ERR_INVALID;
    r->here = *here;
    r->here.port = 0;
    r->told = told->family ? *told : r->here;
    r->told.port = 0;
    return duet_turn_registry_ports(&r->ports, s->registry, &r->here);
}

static int add_relay_addresses(duet_turn_server *s, const duet_turn_config *c)
{
    int err = set_relay_address(s, DUET_AF_INET, &c->relay_ipv4, &c->external_ipv4);

    if (err == DUET_OK)
        err = set_relay_address(s, DUET_AF_INET6, &c->relay_ipv6, &c->external_ipv6);
    bool any = s->peers.relays[0].here.family || s->peers.relays[1].here.family;
    return err == DUET_OK && !any ? DUET_ERR_INVALID : err;
}

static int add_tables(duet_turn_server *s)
{
    turn_table *tables[] = {&s->clients, &s->relays, &s->permissions, &s->channels, &s->channel_peers, &s->streams};
    int err = duet_random(&s->env, &s->seed, sizeof(s->seed));

    s->transaction_seed = duet_mix64(s->seed);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && err == DUET_OK; i++)
        err = duet_turn_table_init(tables[i], &s->env);
    return err;
}

static int build(duet_turn_server *s, const duet_turn_config *c)
{
    int err = add_tables(s);

    if (err == DUET_OK && !s->registry) {
        duet_turn_registry_config registry;
        duet_turn_registry_config_init(&registry);
        registry.env = &s->env;
        s->own_registry = true;
        err = duet_turn_registry_create(&s->registry, &registry);
    }
    if (err == DUET_OK)
        err = copy_rules(&s->peers.allow, c->allow_peers, c->allow_peer_count);
    if (err == DUET_OK)
        err = copy_rules(&s->peers.deny, c->deny_peers, c->deny_peer_count);
    if (err == DUET_OK)
        err = add_listeners(s, c);
    if (err == DUET_OK)
        err = add_relay_addresses(s, c);
    if (err == DUET_OK)
        err = duet_turn_credentials_init(&s->credentials, &s->env, c, duet_turn_registry_secret(s->registry));
    return err;
}

static void finish(void *object)
{
    duet_turn_server *s = object;

    while (s->first)
        duet_turn_allocation_free(s, s->first);
    duet_turn_streams_free(s);
    duet_turn_credentials_free(&s->credentials);
    duet_turn_peers_free(&s->peers);
    for (size_t i = 0; i < s->listening_count; i++) {
        duet_free(&s->env, (void *)(uintptr_t)s->listenings[i].config.certificate_file);
        duet_free(&s->env, (void *)(uintptr_t)s->listenings[i].config.key_file);
    }
    duet_free(&s->env, s->listenings);
    turn_table *tables[] = {&s->clients, &s->relays, &s->permissions, &s->channels, &s->channel_peers, &s->streams};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        duet_turn_table_free(tables[i]);
    duet_turn_output_free(&s->output);
    duet_events_free(&s->events);
    if (s->own_registry)
        duet_turn_registry_destroy(s->registry);
    duet_env env = s->env;
    duet_free(&env, s);
}

int duet_turn_server_create(duet_turn_server **out, const duet_turn_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_turn_config c = {0};

    *out = NULL;
    memcpy(&c, config, config->size < sizeof(c) ? config->size : sizeof(c));
    set_defaults(&c);
    if (!config_is_valid(&c))
        return DUET_ERR_INVALID;
    duet_turn_server *s = duet_calloc(&env, sizeof(*s));
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = env;
    s->config = c;
    s->registry = c.registry;
    s->next_id = TURN_FIRST_RELAY_ID;
    duet_turn_peers_init(&s->peers, &s->env);
    duet_events_init(&s->events, &s->env, s, finish);
    duet_turn_output_init(&s->output, &s->env, c.output_max);
    int err = build(s, &c);
    if (err != DUET_OK) {
        finish(s);
        return err;
    }
    *out = s;
    return DUET_OK;
}

void duet_turn_server_destroy(duet_turn_server *s)
{
    if (s)
        duet_events_destroy(&s->events);
}

/* ---- calls of the application ---- */

static void wake(duet_turn_server *s)
{
    if (s->wake)
        s->wake(s->wake_user);
}

void duet_turn_server_set_wall_clock(duet_turn_server *s, uint64_t unix_seconds, duet_time now)
{
    s->credentials.wall_clock = unix_seconds;
    s->credentials.wall_clock_at = now;
}

static void deliver_drained(void *object, void *payload)
{
    duet_turn_server *s = object;

    (void)payload;
    if (s->config.on_drained)
        s->config.on_drained(s->config.user);
}

/* The last allocation may end in the same moment as the wish to drain: told once, by whichever comes last. */
void duet_turn_check_drained(duet_turn_server *s)
{
    if (!s->draining || s->drained || s->stats.allocations > 0)
        return;
    s->drained = duet_events_push(&s->events, deliver_drained, NULL, NULL, 0) == DUET_OK;
}

void duet_turn_server_drain(duet_turn_server *s)
{
    s->draining = true;
    wake(s);
}

bool duet_turn_server_allows_peer(const duet_turn_server *s, const duet_address *peer)
{
    return duet_turn_peers_may_pass(&s->peers, duet_turn_peers_judge(&s->peers, peer), peer);
}

void duet_turn_server_get_stats(const duet_turn_server *s, duet_turn_stats *out)
{
    *out = s->stats;
    out->permissions = s->permissions.count;
    out->channels = s->channels.count;
    out->streams = s->streams.count;
    out->dropped_queue = s->output.dropped;
}

/* ---- requests to the driver, and its answers ---- */

void duet_turn_ask(duet_turn_server *s, turn_allocation *a)
{
    if (a->asking)
        return;
    a->asking = true;
    a->next_asking = NULL;
    if (s->last_asking)
        s->last_asking->next_asking = a;
    else
        s->first_asking = a;
    s->last_asking = a;
}

static bool listening_request(duet_turn_server *s, duet_request *out)
{
    for (size_t i = 0; i < s->listening_count; i++) {
        turn_listening *l = &s->listenings[i];
        if (l->asked)
            continue;
        l->asked = true;
        *out = (duet_request){.kind = l->config.protocol == DUET_UDP ? DUET_REQUEST_OPEN : DUET_REQUEST_LISTEN,
                              .id = (uint32_t)i + 1,
                              .protocol = l->config.protocol,
                              .bind = l->config.address,
                              .share_port = s->config.share_port,
                              .certificate_file = l->config.certificate_file,
                              .key_file = l->config.key_file};
        return true;
    }
    return false;
}

static bool allocation_request(duet_turn_server *s, duet_request *out)
{
    while (s->first_asking) {
        turn_allocation *a = s->first_asking;
        if (duet_turn_relay_request(s, a, out))
            return true;
        s->first_asking = a->next_asking;
        if (!s->first_asking)
            s->last_asking = NULL;
        a->asking = false;
        if (a->ended)
            duet_turn_allocation_free(s, a);
    }
    return false;
}

static int endpoint_request(void *object, duet_request *out)
{
    duet_turn_server *s = object;

    if (!s->asked_interfaces) { /* this host's own addresses are no peers */
        s->asked_interfaces = true;
        *out = (duet_request){.kind = DUET_REQUEST_INTERFACES, .id = INTERFACES_ID, .watch = true};
        return 1;
    }
    return listening_request(s, out) || allocation_request(s, out) || duet_turn_stream_request(s, out);
}

typedef struct listening_event {
    size_t index;
    int err;
    const char *reason; /* one of ours */
    duet_address address;
} listening_event;

static void deliver_listening(void *object, void *payload)
{
    duet_turn_server *s = object;
    const listening_event *e = payload;

    if (s->config.on_listening)
        s->config.on_listening(s->config.user, e->index, e->err, e->reason, &e->address);
}

static void listening_answered(duet_turn_server *s, const duet_answer *answer)
{
    turn_listening *l = &s->listenings[answer->id - 1];
    listening_event event = {.index = answer->id - 1, .err = answer->err, .address = l->config.address};

    if (answer->err == DUET_OK) {
        l->open = true;
        l->address = event.address = answer->local;
        *(duet_address *)duet_array_at(&s->peers.listeners, event.index) = answer->local;
    } else {
        duet_log(&s->env, DUET_LOG_ERROR, "turn", "listener %zu: %s", event.index,
                 answer->reason ? answer->reason : duet_strerror(answer->err));
    }
    (void)duet_events_push(&s->events, deliver_listening, NULL, &event, sizeof(event));
}

static void interfaces_answered(duet_turn_server *s, const duet_answer *answer)
{
    s->peers.own.count = 0;
    for (size_t i = 0; i < answer->interface_count && i < OWN_ADDRESSES_MAX; i++) {
        duet_address *own = duet_array_push(&s->peers.own);
        if (!own)
            return;
        *own = answer->interfaces[i].address;
        own->port = 0;
    }
}

static int endpoint_answer(void *object, const duet_answer *answer, duet_time now)
{
    duet_turn_server *s = object;

    duet_events_enter(&s->events);
    duet_turn_output_reclaim(&s->output);
    if (answer->kind == DUET_ANSWER_ACCEPTED)
        duet_turn_stream_accepted(s, answer, now);
    else if (answer->id == INTERFACES_ID && answer->kind == DUET_REQUEST_INTERFACES)
        interfaces_answered(s, answer);
    else if (answer->id >= 1 && answer->id <= s->listening_count)
        listening_answered(s, answer);
    else if (answer->kind == DUET_REQUEST_OPEN)
        duet_turn_relay_answered(s, answer, now);
    duet_events_leave(&s->events);
    return DUET_OK;
}

/* ---- datagrams ---- */

uint64_t duet_turn_client_hash(const duet_turn_server *s, const duet_path *path)
{
    return duet_turn_hash(s->seed, &path->remote, path->socket);
}

turn_allocation *duet_turn_client(const duet_turn_server *s, const duet_path *path)
{
    turn_node *node = duet_turn_table_find(&s->clients, duet_turn_client_hash(s, path));

    for (; node; node = duet_turn_table_next(node)) {
        turn_allocation *a = DUET_TURN_OF(node, turn_allocation, node);
        if (a->path.socket == path->socket && duet_address_equal(&a->path.remote, &path->remote))
            return a;
    }
    return NULL;
}

static turn_relay *relay_of(const duet_turn_server *s, uint32_t id)
{
    turn_node *node = duet_turn_table_find(&s->relays, id);

    return node ? DUET_TURN_OF(node, turn_relay, node) : NULL;
}

void duet_turn_message(duet_turn_server *s, const duet_path *path, turn_stream *stream, uint8_t *data, size_t len,
                       uint8_t ecn, duet_time now)
{
    unsigned kind = len > 0 ? data[0] >> 6 : 3;

    if (kind == 0)
        duet_turn_handle_stun(s, path, stream, data, len, ecn, now);
    else if (kind == 1)
        duet_turn_handle_channel_data(s, path, data, len, ecn, now);
    else
        s->stats.discarded++;
}

static int endpoint_input(void *object, duet_datagram *in, duet_time now)
{
    duet_turn_server *s = object;
    uint32_t id = in->path.socket;
    turn_relay *relay;
    turn_stream *stream;

    duet_events_enter(&s->events);
    duet_turn_output_reclaim(&s->output);
    s->stats.datagrams_in++;
    s->stats.bytes_in += in->len;
    if (id < TURN_FIRST_RELAY_ID)
        duet_turn_message(s, &in->path, NULL, in->data, in->len, in->ecn, now);
    else if (id < DUET_SOCKET_ACCEPTED && (relay = relay_of(s, id)) != NULL)
        duet_turn_handle_peer_data(s, relay, in, now);
    else if (id >= DUET_SOCKET_ACCEPTED && (stream = duet_turn_stream(s, id)) != NULL)
        duet_turn_stream_input(s, stream, in, now);
    else
        s->stats.discarded++;
    duet_events_leave(&s->events);
    return DUET_OK;
}

static int endpoint_output(void *object, duet_datagram *out, duet_time now)
{
    duet_turn_server *s = object;

    (void)now;
    if (!duet_turn_output_pull(&s->output, out))
        return 0;
    s->stats.datagrams_out++;
    s->stats.bytes_out += out->len;
    return 1;
}

static void endpoint_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    duet_turn_server *s = object;
    turn_relay *relay;
    turn_stream *stream;

    duet_events_enter(&s->events);
    duet_turn_output_reclaim(&s->output);
    if (path->socket >= DUET_SOCKET_ACCEPTED) {
        stream = duet_turn_stream(s, path->socket);
        if (stream)
            duet_turn_stream_error(s, stream, error, now);
    } else if (path->socket >= TURN_FIRST_RELAY_ID && (relay = relay_of(s, path->socket)) != NULL) {
        duet_turn_handle_peer_error(s, relay, path, error, now);
    }
    duet_events_leave(&s->events);
}

/* ---- time ---- */

static void endpoint_tick(void *object, duet_time now)
{
    duet_turn_server *s = object;
    duet_timer *due;

    duet_events_enter(&s->events);
    duet_turn_output_reclaim(&s->output);
    while ((due = duet_timers_pop(&s->allocation_timers, now)) != NULL) {
        turn_allocation *a = DUET_TURN_OF(due, turn_allocation, timer);
        duet_log(&s->env, DUET_LOG_DEBUG, "turn", "allocation expired");
        duet_turn_allocation_end(s, a, now);
    }
    while ((due = duet_timers_pop(&s->stream_timers, now)) != NULL)
        duet_turn_stream_expired(s, DUET_TURN_OF(due, turn_stream, timer), now);
    duet_turn_check_drained(s);
    duet_events_leave(&s->events);
}

static duet_time endpoint_deadline(const void *object)
{
    const duet_turn_server *s = object;
    duet_time allocations = duet_timers_deadline(&s->allocation_timers);
    duet_time streams = duet_timers_deadline(&s->stream_timers);

    return allocations < streams ? allocations : streams;
}

static void endpoint_set_wake(void *object, void (*fn)(void *user), void *user)
{
    duet_turn_server *s = object;

    s->wake = fn;
    s->wake_user = user;
}

const duet_endpoint_ops *duet_turn_server_endpoint_ops(void)
{
    static const duet_endpoint_ops ops = {
        .size = sizeof(ops),
        .input = endpoint_input,
        .output = endpoint_output,
        .request = endpoint_request,
        .answer = endpoint_answer,
        .path_error = endpoint_path_error,
        .tick = endpoint_tick,
        .deadline = endpoint_deadline,
        .set_wake = endpoint_set_wake,
    };

    return &ops;
}
