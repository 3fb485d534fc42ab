/* The UTCP server on a loop of duet/net.h: a seat in a room, a peer connection for each client, and the core that
 * serves them.
 *
 * What a call queues leaves in a turn of its own (kick), so that no callback runs inside another one's call. */
#include "signaling/protocol.h"
#include "signaling/utcp_peer.h"
#include "signaling/utcp_server.h"
#include <stdio.h>
#include <string.h>

#define CLIENTS_DEFAULT 64

/* A client's connection. */
typedef struct link {
    struct link *next;
    duet_utcp_server *server;
    char seat[DUET_SIGNAL_SEAT_ID_MAX + 1];
    duet_utcp_peer *peer;
    duet_utcp_session *session; /* once its channel is open */
    bool over;                  /* to be freed in a turn of its own */
} link;

struct duet_utcp_server {
    duet_env env;
    duet_net *net;
    duet_utcp_server_config config; /* callbacks and bounds; the texts are not kept but for these: */
    char *peer_id, *channel;
    duet_utcp_server_core *core;
    duet_utcp_room room;
    char *ice_servers; /* of the room */
    link *links;
    size_t link_count;
    duet_net_timer *kick;  /* something is to be sent, or to be freed */
    duet_net_timer *timer; /* the core's deadline */
    unsigned busy;         /* callbacks under way */
    bool destroyed;
};

/* ---- destroying inside callbacks is put off to their end ---- */

static void free_link(link *l)
{
    duet_utcp_server *s = l->server;

    duet_utcp_session_close(l->session);
    duet_utcp_peer_destroy(l->peer);
    s->link_count--;
    duet_free(&s->env, l);
}

static void release(duet_utcp_server *s)
{
    s->busy++; /* on_cancel may destroy once more */
    duet_net_timer_cancel(s->kick);
    duet_net_timer_cancel(s->timer);
    while (s->links) {
        link *l = s->links;
        s->links = l->next;
        free_link(l);
    }
    duet_utcp_server_core_destroy(s->core);
    if (s->room.net)
        duet_utcp_room_close(&s->room);
    duet_free(&s->env, s->peer_id);
    duet_free(&s->env, s->channel);
    duet_free(&s->env, s->ice_servers);
    duet_env env = s->env;
    duet_free(&env, s);
}

static void enter(duet_utcp_server *s)
{
    s->busy++;
}

static void leave(duet_utcp_server *s)
{
    if (--s->busy == 0 && s->destroyed)
        release(s);
}

void duet_utcp_server_destroy(duet_utcp_server *s)
{
    if (!s || s->destroyed)
        return;
    s->destroyed = true;
    if (s->busy == 0)
        release(s);
}

static void problem(duet_utcp_server *s, const char *what, duet_time again_in)
{
    if (s->config.on_problem && !s->destroyed)
        s->config.on_problem(s->config.user, s, what, again_in);
}

/* ---- turns ---- */

static void kicked(void *arg);

static void kick(duet_utcp_server *s)
{
    if (!s->kick && !s->destroyed)
        (void)duet_net_timer_start(&s->kick, s->net, 0, kicked, s);
}

static void end_link(link *l)
{
    l->over = true;
    kick(l->server);
}

static void flush(link *l)
{
    const char *text;
    size_t len;

    while (l->session && !l->over) {
        int err = duet_utcp_session_peek(l->session, &text, &len);
        if (err == DUET_OK && text)
            err = duet_utcp_peer_send(l->peer, text, len);
        if (err == DUET_ERR_AGAIN || (err == DUET_OK && !text))
            break;
        if (err != DUET_OK)
            end_link(l);
        else
            duet_utcp_session_sent(l->session);
    }
    if (l->session && duet_utcp_session_is_over(l->session))
        end_link(l);
}

static void tell_client(const link *l, bool open)
{
    duet_utcp_server *s = l->server;

    if (l->session && s->config.on_client && !s->destroyed)
        s->config.on_client(s->config.user, s, l->seat, open);
}

static void reap(duet_utcp_server *s)
{
    link **at = &s->links;

    while (*at) {
        link *l = *at;
        if (!l->over) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        tell_client(l, false);
        free_link(l);
    }
}

static void ticked(void *arg);

static void schedule(duet_utcp_server *s)
{
    duet_time now = duet_net_now(s->net), deadline = duet_utcp_server_core_deadline(s->core);

    duet_net_timer_cancel(s->timer);
    s->timer = NULL;
    if (deadline != DUET_NEVER && !s->destroyed)
        (void)duet_net_timer_start(&s->timer, s->net, deadline > now ? deadline - now : 0, ticked, s);
}

static void work(duet_utcp_server *s)
{
    duet_utcp_server_core_tick(s->core, duet_net_now(s->net));
    for (link *l = s->links; l; l = l->next)
        flush(l);
    reap(s);
    schedule(s);
}

static void kicked(void *arg)
{
    duet_utcp_server *s = arg;

    duet_net_timer_cancel(s->kick);
    s->kick = NULL;
    enter(s);
    work(s);
    leave(s);
}

static void ticked(void *arg)
{
    duet_utcp_server *s = arg;

    duet_net_timer_cancel(s->timer);
    s->timer = NULL;
    enter(s);
    work(s);
    leave(s);
}

/* ---- clients ---- */

static void on_output(void *user)
{
    kick(((link *)user)->server);
}

static void on_open(void *user, uint64_t message_max)
{
    link *l = user;
    duet_utcp_server *s = l->server;

    enter(s);
    if (!s->destroyed && duet_utcp_session_open(&l->session, s->core, message_max, on_output, l) != DUET_OK)
        end_link(l);
    tell_client(l, true);
    leave(s);
}

static void on_message(void *user, const char *text, size_t len)
{
    link *l = user;
    duet_utcp_server *s = l->server;

    if (!l->session || l->over || s->destroyed)
        return;
    enter(s);
    duet_utcp_session_input(l->session, text, len, duet_net_now(s->net));
    kick(s);
    leave(s);
}

static void on_writable(void *user)
{
    kick(((link *)user)->server);
}

static void on_trouble(void *user)
{
    (void)user; /* the client finds another way, or ICE ends it */
}

static void on_end(void *user, const char *reason)
{
    (void)reason;
    end_link(user);
}

static link *find_link(const duet_utcp_server *s, const char *seat)
{
    link *l = s->links;

    while (l && (l->over || strcmp(l->seat, seat) != 0))
        l = l->next;
    return l;
}

static int create_peer(link *l)
{
    duet_utcp_server *s = l->server;
    const duet_utcp_peer_config config = {.room = &s->room,
                                          .connection = s->config.connection,
                                          .ice_servers = s->ice_servers,
                                          .channel = s->channel,
                                          .seat = l->seat,
                                          .on_open = on_open,
                                          .on_message = on_message,
                                          .on_writable = on_writable,
                                          .on_trouble = on_trouble,
                                          .on_end = on_end,
                                          .user = l};

    return duet_utcp_peer_create(&l->peer, &config);
}

static link *add_link(duet_utcp_server *s, const char *seat)
{
    if (s->link_count >= s->config.max_clients || strlen(seat) > DUET_SIGNAL_SEAT_ID_MAX) {
        problem(s, "there are too many clients: one more gets no answer", 0);
        return NULL;
    }
    link *l = duet_calloc(&s->env, sizeof(*l));
    if (!l)
        return NULL;
    l->server = s;
    snprintf(l->seat, sizeof(l->seat), "%s", seat);
    int err = create_peer(l);
    if (err != DUET_OK) {
        duet_free(&s->env, l);
        problem(s, duet_strerror(err), 0);
        return NULL;
    }
    s->link_count++;
    l->next = s->links;
    s->links = l;
    return l;
}

/* ---- the room ---- */

/* Clients look for our agent id: a token of another subject would leave them searching. */
static bool seat_is_ours(const duet_utcp_server *s, const duet_signaling_room *room)
{
    for (size_t i = 0; i < room->user_count; i++) {
        if (strcmp(room->users[i].id, room->self) == 0)
            return strcmp(room->users[i].agent_id, s->peer_id) == 0;
    }
    return true;
}

static void on_joined(void *user, duet_signaling_client *client, const duet_signaling_room *room)
{
    duet_utcp_server *s = user;

    (void)client;
    if (s->destroyed)
        return;
    enter(s);
    duet_utcp_room_joined(&s->room);
    duet_free(&s->env, s->ice_servers);
    s->ice_servers = duet_strdup(&s->env, room->ice_servers);
    if (!seat_is_ours(s, room))
        problem(s, "the token's subject is not the peer id: clients will not find this server", DUET_NEVER);
    else if (s->config.on_ready)
        s->config.on_ready(s->config.user, s, room->self);
    leave(s);
}

/* A connection that stands needs no room. */
static void on_user_left(void *user, duet_signaling_client *client, const char *id, const char *reason)
{
    duet_utcp_server *s = user;
    link *l = find_link(s, id);

    (void)client;
    (void)reason;
    if (l && !l->session)
        end_link(l);
}

static void on_description(void *user, duet_signaling_client *client, const char *from, duet_sdp_type type,
                           const char *sdp)
{
    duet_utcp_server *s = user;
    link *l = find_link(s, from);

    (void)client;
    if (type != DUET_SDP_OFFER || s->destroyed)
        return;
    enter(s);
    if (l && duet_utcp_peer_is_other_session(l->peer, sdp)) {
        end_link(l);
        l = NULL;
    }
    if (!l)
        l = add_link(s, from);
    if (l)
        duet_utcp_peer_description(l->peer, type, sdp);
    leave(s);
}

static void on_candidate(void *user, duet_signaling_client *client, const char *from,
                         const duet_pc_candidate *candidate)
{
    link *l = find_link(user, from);

    (void)client;
    if (l)
        duet_utcp_peer_candidate(l->peer, candidate);
}

/* Discovery without a connection. What does not fit through the signaling server is left to the channel. */
static void on_discover(void *user, duet_signaling_client *client, const char *from)
{
    duet_utcp_server *s = user;
    size_t len;

    const char *manual = s->destroyed ? NULL : duet_utcp_server_core_manual(s->core, &len);
    if (manual && (len > DUET_SIGNAL_MESSAGE_MAX ||
                   duet_signaling_client_send_manual(client, from, manual) == DUET_ERR_TOO_LARGE))
        (void)duet_signaling_client_send_manual(client, from,
                                                "{\"utcp_version\":\"0.1\",\"complete\":false,\"tools\":[]}");
}

static void on_closed(void *user, duet_signaling_client *client, unsigned code, const char *reason)
{
    duet_utcp_server *s = user;

    (void)client;
    if (s->destroyed)
        return;
    enter(s);
    duet_time again_in = duet_utcp_room_lost(&s->room, code);
    problem(s, reason, again_in);
    leave(s);
}

static void on_room_failed(void *owner, const char *why)
{
    duet_utcp_server *s = owner;

    enter(s);
    problem(s, why, DUET_NEVER);
    leave(s);
}

static int open_room(duet_utcp_server *s, const duet_utcp_server_config *config)
{
    duet_signaling_client_config c = DUET_SIGNALING_CLIENT_CONFIG_INIT;

    c.env = &s->env;
    c.url = config->signaling_server;
    c.token = config->token;
    c.room = config->room ? config->room : config->peer_id;
    c.on_joined = on_joined;
    c.on_user_left = on_user_left;
    c.on_description = on_description;
    c.on_candidate = on_candidate;
    c.on_discover = on_discover;
    c.ca_file = config->connection ? config->connection->ca_file : NULL;
    c.on_closed = on_closed;
    c.user = s;
    return duet_utcp_room_open(&s->room, s->net, &c, on_room_failed);
}

/* ---- the public calls ---- */

static int set_up(duet_utcp_server *s, const duet_utcp_server_config *config)
{
    s->peer_id = duet_strdup(&s->env, config->peer_id);
    s->channel = duet_strdup(&s->env, config->channel ? config->channel : DUET_UTCP_CHANNEL_DEFAULT);
    if (!s->peer_id || !s->channel)
        return DUET_ERR_NOMEM;
    int err = duet_utcp_server_core_create(&s->core, config);
    return err == DUET_OK ? open_room(s, config) : err;
}

int duet_utcp_server_create(duet_utcp_server **out, duet_net *net, const duet_utcp_server_config *config)
{
    duet_utcp_server_config full = DUET_UTCP_SERVER_CONFIG_INIT;

    *out = NULL;
    memcpy(&full, config, config->size < sizeof(full) ? config->size : sizeof(full));
    if (!full.peer_id || !full.peer_id[0] || strlen(full.peer_id) > DUET_UTCP_NAME_MAX || !full.signaling_server ||
        !full.token)
        return DUET_ERR_INVALID;
    full.max_clients = full.max_clients ? full.max_clients : CLIENTS_DEFAULT;
    duet_env env = duet_env_resolve(full.env);
    duet_utcp_server *s = duet_calloc(&env, sizeof(*s));
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = env;
    s->net = net;
    full.env = &s->env;
    s->config = full;
    int err = set_up(s, &full);
    if (err != DUET_OK) {
        release(s);
        return err;
    }
    *out = s;
    return DUET_OK;
}

int duet_utcp_server_add_tool(duet_utcp_server *s, const duet_utcp_tool *tool, duet_utcp_error *error)
{
    return duet_utcp_server_core_add_tool(s->core, tool, error);
}

void duet_utcp_server_get_stats(const duet_utcp_server *s, duet_utcp_server_stats *out)
{
    duet_utcp_server_core_stats(s->core, out);
}
