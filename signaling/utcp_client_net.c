/* The UTCP client on a loop of duet/net.h: a seat in a room, where it looks for the one that serves, a peer connection
 * to it when one is needed, and again when it broke, and the core that holds the calls. */
#include "signaling/protocol.h"
#include "signaling/utcp_client.h"
#include "signaling/utcp_peer.h"
#include <stdio.h>
#include <string.h>

/* Seats of the agent that we look for: more than one while a dead one waits for its grace period to end. */
#define SEATS_MAX 8

typedef char seat_id[DUET_SIGNAL_SEAT_ID_MAX + 1];

struct duet_utcp_client {
    duet_env env;
    duet_net *net;
    duet_utcp_client_config config; /* callbacks; texts are not kept but for these: */
    char *peer_id, *channel;
    duet_utcp_client_core *core;
    duet_utcp_room room;
    char *ice_servers; /* of the room */
    char self[DUET_SIGNAL_SEAT_ID_MAX + 1];
    seat_id seats[SEATS_MAX]; /* the newest last */
    size_t seat_count, attempt;
    seat_id target;       /* the seat that we are connected to, or trying to reach */
    bool target_left;     /* it is not in the room any more */
    seat_id asked;        /* the seat that was asked for the manual; "": none */
    duet_utcp_peer *peer; /* NULL: none */
    bool peer_over;       /* to be destroyed in a turn of its own */
    bool open, was_open;
    char why[160]; /* the peer ended */
    duet_time delay;
    duet_net_timer *retry; /* back-off before the next connection */
    duet_net_timer *kick, *timer;
    unsigned busy;
    bool destroyed;
};

/* ---- destroying inside callbacks is put off to their end ---- */

static void release(duet_utcp_client *c)
{
    duet_net_timer_cancel(c->kick);
    duet_net_timer_cancel(c->timer);
    duet_net_timer_cancel(c->retry);
    duet_utcp_peer_destroy(c->peer);
    duet_utcp_client_core_destroy(c->core);
    if (c->room.net)
        duet_utcp_room_close(&c->room);
    duet_free(&c->env, c->peer_id);
    duet_free(&c->env, c->channel);
    duet_free(&c->env, c->ice_servers);
    duet_env env = c->env;
    duet_free(&env, c);
}

static void enter(duet_utcp_client *c)
{
    c->busy++;
}

static void leave(duet_utcp_client *c)
{
    if (--c->busy == 0 && c->destroyed)
        release(c);
}

void duet_utcp_client_destroy(duet_utcp_client *c)
{
    if (!c || c->destroyed)
        return;
    c->destroyed = true;
    if (c->busy == 0)
        release(c);
}

static void problem(duet_utcp_client *c, const char *what, duet_time again_in)
{
    if (c->config.on_problem && !c->destroyed)
        c->config.on_problem(c->config.user, c, what, again_in);
}

static void tell_connected(duet_utcp_client *c, bool connected)
{
    if (c->config.on_connected && !c->destroyed)
        c->config.on_connected(c->config.user, c, connected);
}

/* ---- turns ---- */

static void kicked(void *arg);
static void connect_if_needed(duet_utcp_client *c);

static void kick(duet_utcp_client *c)
{
    if (!c->kick && !c->destroyed)
        (void)duet_net_timer_start(&c->kick, c->net, 0, kicked, c);
}

static void flush(duet_utcp_client *c)
{
    const char *text;
    size_t len;

    while (c->open && !c->destroyed) {
        int err = duet_utcp_client_core_peek(c->core, &text, &len);
        if (err == DUET_OK && text)
            err = duet_utcp_peer_send(c->peer, text, len);
        if (err == DUET_ERR_AGAIN || (err == DUET_OK && !text))
            break;
        if (err == DUET_OK)
            duet_utcp_client_core_sent(c->core);
        else
            duet_utcp_peer_give_up(c->peer, duet_strerror(err));
    }
}

static void retry(void *arg)
{
    duet_utcp_client *c = arg;

    duet_net_timer_cancel(c->retry);
    c->retry = NULL;
    kick(c);
}

/* The peer has ended: it goes, what was sent fails, and after a while we try again. */
static void reap(duet_utcp_client *c)
{
    bool was_open = c->open;

    if (!c->peer_over)
        return;
    duet_utcp_peer_destroy(c->peer);
    c->peer = NULL;
    c->peer_over = c->open = false;
    duet_time delay = was_open ? 0 : duet_utcp_backoff(&c->delay);
    if (duet_net_timer_start(&c->retry, c->net, delay, retry, c) != DUET_OK)
        delay = DUET_NEVER;
    problem(c, c->why, delay);
    if (was_open)
        tell_connected(c, false);
    if (!c->destroyed)
        duet_utcp_client_core_lost(c->core, c->why);
}

static void ticked(void *arg);

static void schedule(duet_utcp_client *c)
{
    duet_time now = duet_net_now(c->net), deadline = duet_utcp_client_core_deadline(c->core);

    duet_net_timer_cancel(c->timer);
    c->timer = NULL;
    if (deadline != DUET_NEVER && !c->destroyed)
        (void)duet_net_timer_start(&c->timer, c->net, deadline > now ? deadline - now : 0, ticked, c);
}

/* Discovery without a connection: once to each seat that comes. */
static void ask_for_manual(duet_utcp_client *c)
{
    if (!duet_utcp_client_core_wants_manual(c->core)) {
        c->asked[0] = 0;
        return;
    }
    const char *newest = c->seat_count > 0 ? c->seats[c->seat_count - 1] : c->asked;
    if (!c->room.joined || strcmp(newest, c->asked) == 0)
        return;
    if (duet_signaling_client_send_manual(c->room.client, newest, NULL) == DUET_OK)
        memcpy(c->asked, newest, sizeof(c->asked));
}

static void work(duet_utcp_client *c)
{
    duet_utcp_client_core_tick(c->core, duet_net_now(c->net));
    ask_for_manual(c);
    flush(c);
    reap(c);
    connect_if_needed(c);
    schedule(c);
}

static void kicked(void *arg)
{
    duet_utcp_client *c = arg;

    duet_net_timer_cancel(c->kick);
    c->kick = NULL;
    enter(c);
    work(c);
    leave(c);
}

static void ticked(void *arg)
{
    duet_utcp_client *c = arg;

    duet_net_timer_cancel(c->timer);
    c->timer = NULL;
    enter(c);
    work(c);
    leave(c);
}

/* ---- the connection ---- */

static void on_open(void *user, uint64_t message_max)
{
    duet_utcp_client *c = user;

    enter(c);
    c->open = c->was_open = true;
    c->delay = 0;
    c->attempt = 0;
    duet_utcp_client_core_connected(c->core, message_max);
    tell_connected(c, true);
    kick(c);
    leave(c);
}

static void on_message(void *user, const char *text, size_t len)
{
    duet_utcp_client *c = user;

    if (!c->open || c->destroyed)
        return;
    enter(c);
    duet_utcp_client_core_input(c->core, text, len, duet_net_now(c->net));
    kick(c);
    leave(c);
}

static void on_writable(void *user)
{
    kick(user);
}

static void on_end(void *user, const char *reason)
{
    duet_utcp_client *c = user;

    snprintf(c->why, sizeof(c->why), "%s", reason);
    c->peer_over = true;
    kick(c);
}

/* ICE has lost the server. If it left the room, or another one has come in its place, it will not come back. */
static void check_trouble(duet_utcp_client *c)
{
    bool replaced = c->seat_count > 0 && strcmp(c->seats[c->seat_count - 1], c->target) != 0;

    if (c->peer && !c->peer_over && duet_utcp_peer_is_in_trouble(c->peer) && (c->target_left || replaced))
        duet_utcp_peer_give_up(c->peer, "the server is gone");
}

static void on_trouble(void *user)
{
    check_trouble(user);
}

static void connect_if_needed(duet_utcp_client *c)
{
    const duet_utcp_peer_config config = {.room = &c->room,
                                          .connection = c->config.connection,
                                          .ice_servers = c->ice_servers,
                                          .channel = c->channel,
                                          .seat = c->target,
                                          .offers = true,
                                          .on_open = on_open,
                                          .on_message = on_message,
                                          .on_writable = on_writable,
                                          .on_trouble = on_trouble,
                                          .on_end = on_end,
                                          .user = c};

    if (c->peer || c->retry || c->destroyed || !c->room.joined || c->seat_count == 0 ||
        !(c->was_open || duet_utcp_client_core_wants_channel(c->core)))
        return;
    size_t back = c->attempt++ % c->seat_count;
    memcpy(c->target, c->seats[c->seat_count - 1 - back], sizeof(c->target));
    c->target_left = false;
    int err = duet_utcp_peer_create(&c->peer, &config);
    if (err == DUET_OK)
        return;
    duet_time delay = duet_utcp_backoff(&c->delay);
    if (duet_net_timer_start(&c->retry, c->net, delay, retry, c) != DUET_OK)
        delay = DUET_NEVER;
    problem(c, duet_strerror(err), delay);
}

/* ---- the room ---- */

static void remove_seat(duet_utcp_client *c, const char *id)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->seat_count; i++) {
        if (strcmp(c->seats[i], id) == 0)
            continue;
        if (kept != i)
            memcpy(c->seats[kept], c->seats[i], sizeof(seat_id));
        kept++;
    }
    c->seat_count = kept;
}

static void forget_oldest_seat(duet_utcp_client *c)
{
    seat_id oldest;

    memcpy(oldest, c->seats[0], sizeof(oldest));
    remove_seat(c, oldest);
}

static void add_seat(duet_utcp_client *c, const duet_signaling_user *who)
{
    if (strcmp(who->agent_id, c->peer_id) != 0 || strcmp(who->id, c->self) == 0 ||
        strlen(who->id) > DUET_SIGNAL_SEAT_ID_MAX)
        return;
    if (c->seat_count == SEATS_MAX)
        forget_oldest_seat(c);
    snprintf(c->seats[c->seat_count++], sizeof(seat_id), "%s", who->id);
}

static bool has_seat(const duet_utcp_client *c, const char *id)
{
    for (size_t i = 0; i < c->seat_count; i++) {
        if (strcmp(c->seats[i], id) == 0)
            return true;
    }
    return false;
}

static void on_joined(void *user, duet_signaling_client *client, const duet_signaling_room *room)
{
    duet_utcp_client *c = user;

    (void)client;
    if (c->destroyed)
        return;
    enter(c);
    duet_utcp_room_joined(&c->room);
    duet_free(&c->env, c->ice_servers);
    c->ice_servers = duet_strdup(&c->env, room->ice_servers);
    snprintf(c->self, sizeof(c->self), "%s", room->self);
    c->seat_count = 0;
    for (size_t i = 0; i < room->user_count; i++)
        add_seat(c, &room->users[i]);
    if (c->peer && !has_seat(c, c->target))
        c->target_left = true;
    if (c->peer && !c->open)
        duet_utcp_peer_give_up(c->peer, "the way to the server changed");
    if (c->seat_count == 0)
        problem(c, "the server is not in its room yet", 0);
    kick(c);
    leave(c);
}

static void on_user_joined(void *user, duet_signaling_client *client, const duet_signaling_user *who)
{
    duet_utcp_client *c = user;

    (void)client;
    if (c->destroyed)
        return;
    add_seat(c, who);
    check_trouble(c);
    kick(c);
}

static void on_user_left(void *user, duet_signaling_client *client, const char *id, const char *reason)
{
    duet_utcp_client *c = user;

    (void)client;
    (void)reason;
    if (c->destroyed)
        return;
    remove_seat(c, id);
    if (!c->peer || strcmp(id, c->target) != 0)
        return;
    c->target_left = true;
    if (!c->open)
        duet_utcp_peer_give_up(c->peer, "the server left its room");
    check_trouble(c);
}

static void on_description(void *user, duet_signaling_client *client, const char *from, duet_sdp_type type,
                           const char *sdp)
{
    duet_utcp_client *c = user;

    (void)client;
    if (c->peer && strcmp(from, c->target) == 0)
        duet_utcp_peer_description(c->peer, type, sdp);
}

static void on_candidate(void *user, duet_signaling_client *client, const char *from,
                         const duet_pc_candidate *candidate)
{
    duet_utcp_client *c = user;

    (void)client;
    if (c->peer && strcmp(from, c->target) == 0)
        duet_utcp_peer_candidate(c->peer, candidate);
}

static void on_room_manual(void *user, duet_signaling_client *client, const char *from, const char *manual)
{
    duet_utcp_client *c = user;

    (void)client;
    if (c->destroyed || !has_seat(c, from))
        return;
    enter(c);
    duet_utcp_client_core_manual(c->core, manual, strlen(manual));
    kick(c);
    leave(c);
}

static void on_closed(void *user, duet_signaling_client *client, unsigned code, const char *reason)
{
    duet_utcp_client *c = user;

    (void)client;
    if (c->destroyed)
        return;
    enter(c);
    duet_time again_in = duet_utcp_room_lost(&c->room, code);
    problem(c, reason, again_in);
    leave(c);
}

static void on_room_failed(void *owner, const char *why)
{
    duet_utcp_client *c = owner;

    enter(c);
    problem(c, why, DUET_NEVER);
    leave(c);
}

static int open_room(duet_utcp_client *c, const duet_utcp_client_config *config)
{
    const duet_utcp_provider *p = config->provider;
    duet_signaling_client_config s = DUET_SIGNALING_CLIENT_CONFIG_INIT;

    s.env = &c->env;
    s.url = p->signaling_server;
    s.token = p->token ? p->token : config->token;
    s.room = p->room;
    s.on_joined = on_joined;
    s.on_user_joined = on_user_joined;
    s.on_user_left = on_user_left;
    s.on_description = on_description;
    s.on_candidate = on_candidate;
    s.on_manual = on_room_manual;
    s.ca_file = config->connection ? config->connection->ca_file : NULL;
    s.on_closed = on_closed;
    s.user = c;
    return duet_utcp_room_open(&c->room, c->net, &s, on_room_failed);
}

/* ---- the public calls ---- */

static int set_up(duet_utcp_client *c, const duet_utcp_client_config *config)
{
    c->peer_id = duet_strdup(&c->env, config->provider->peer_id);
    c->channel = duet_strdup(&c->env, config->provider->data_channel_name);
    if (!c->peer_id || !c->channel)
        return DUET_ERR_NOMEM;
    int err = duet_utcp_client_core_create(&c->core, config);
    return err == DUET_OK ? open_room(c, config) : err;
}

int duet_utcp_client_create(duet_utcp_client **out, duet_net *net, const duet_utcp_client_config *config)
{
    duet_utcp_client_config full = DUET_UTCP_CLIENT_CONFIG_INIT;

    *out = NULL;
    memcpy(&full, config, config->size < sizeof(full) ? config->size : sizeof(full));
    if (!full.provider || (!full.provider->token && !full.token))
        return DUET_ERR_INVALID;
    duet_env env = duet_env_resolve(full.env);
    duet_utcp_client *c = duet_calloc(&env, sizeof(*c));
    if (!c)
        return DUET_ERR_NOMEM;
    c->env = env;
    c->net = net;
    full.env = &c->env;
    c->config = full;
    int err = set_up(c, &full);
    c->config.provider = NULL;
    if (err != DUET_OK) {
        release(c);
        return err;
    }
    *out = c;
    return DUET_OK;
}

int duet_utcp_client_call(duet_utcp_client *c, const duet_utcp_request *request, uint64_t *ticket)
{
    int err = duet_utcp_client_core_call(c->core, request, ticket, duet_net_now(c->net));

    kick(c);
    return err;
}

int duet_utcp_client_cancel(duet_utcp_client *c, uint64_t ticket)
{
    int err = duet_utcp_client_core_cancel(c->core, ticket);

    kick(c);
    return err;
}

int duet_utcp_client_discover(duet_utcp_client *c, duet_utcp_via via, duet_time timeout, duet_utcp_on_manual on_manual,
                              void *user)
{
    int err = duet_utcp_client_core_discover(c->core, via, timeout, on_manual, user, duet_net_now(c->net));
    kick(c);
    return err;
}

void duet_utcp_client_get_stats(const duet_utcp_client *c, duet_utcp_client_stats *out)
{
    duet_utcp_client_core_stats(c->core, out);
}
