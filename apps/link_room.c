/* A link through a room of the signaling server. */
#include "app_signaling.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct room_link {
    duet_signaling_client *client;
    app_link_callbacks callbacks;
    char self[128];
} room_link;

static void on_joined(void *user, duet_signaling_client *client, const duet_signaling_room *room)
{
    room_link *l = user;

    (void)client;
    snprintf(l->self, sizeof(l->self), "%s", room->self);
    l->callbacks.on_ready(l->callbacks.user, room->self, room->ice_servers);
    for (size_t i = 0; i < room->user_count; i++) {
        if (strcmp(room->users[i].id, room->self) != 0)
            l->callbacks.on_peer(l->callbacks.user, room->users[i].id, room->users[i].agent_id);
    }
}

static void on_user_joined(void *user, duet_signaling_client *client, const duet_signaling_user *who)
{
    room_link *l = user;

    (void)client;
    l->callbacks.on_peer(l->callbacks.user, who->id, who->agent_id);
}

static void on_user_left(void *user, duet_signaling_client *client, const char *id, const char *reason)
{
    room_link *l = user;

    (void)client;
    if (strcmp(id, l->self) != 0)
        l->callbacks.on_gone(l->callbacks.user, id, reason);
}

static void on_description(void *user, duet_signaling_client *client, const char *from, duet_sdp_type type,
                           const char *sdp)
{
    room_link *l = user;

    (void)client;
    l->callbacks.on_description(l->callbacks.user, from, type, sdp);
}

static void on_candidate(void *user, duet_signaling_client *client, const char *from, const duet_pc_candidate *c)
{
    room_link *l = user;

    (void)client;
    l->callbacks.on_candidate(l->callbacks.user, from, c);
}

/* A message that crossed the leaving of its receiver is nothing to worry about. */
static void on_error(void *user, duet_signaling_client *client, const char *code, const char *message)
{
    (void)user;
    (void)client;
    if (strcmp(code, "no_such_peer") != 0)
        app_error("the signaling server refused a message: %s: %s", code, message);
}

static void on_closed(void *user, duet_signaling_client *client, unsigned code, const char *reason)
{
    room_link *l = user;
    char text[400];

    (void)client;
    if (code)
        snprintf(text, sizeof(text), "the signaling server closed the connection (%u): %s", code, reason);
    else
        snprintf(text, sizeof(text), "signaling: %s", reason);
    l->callbacks.on_closed(l->callbacks.user, text);
}

static int send_description(void *link, const char *peer, duet_sdp_type type, const char *sdp)
{
    return duet_signaling_client_send_description(((room_link *)link)->client, peer, type, sdp);
}

static int send_candidate(void *link, const char *peer, const duet_pc_candidate *candidate)
{
    return duet_signaling_client_send_candidate(((room_link *)link)->client, peer, candidate);
}

static void peer_done(void *link, const char *peer)
{
    (void)link;
    (void)peer;
}

static void close_link(void *link)
{
    room_link *l = link;

    duet_signaling_client_destroy(l->client);
    free(l);
}

static const app_link_ops room_ops = {send_description, send_candidate, peer_done, close_link};

int app_room_link_open(app_link *out, duet_net *net, const app_link_options *o, const app_link_callbacks *callbacks)
{
    duet_signaling_client_config config = DUET_SIGNALING_CLIENT_CONFIG_INIT;

    if (!o->room) {
        app_error("a room of the signaling server needs --room");
        return APP_BAD_USAGE;
    }
    if (!o->token || !o->token[0]) {
        app_error(
            "the signaling server wants a token: give --token, or DUET_TOKEN in the environment; 'duet token' makes "
            "one, 'duet signal --dev' prints one");
        return APP_BAD_USAGE;
    }
    room_link *l = calloc(1, sizeof(*l));
    if (!l)
        return APP_FAILED;
    l->callbacks = *callbacks;
    config.url = o->url;
    config.token = o->token;
    config.room = o->room;
    config.ca_file = o->ca_file;
    config.on_joined = on_joined;
    config.on_user_joined = on_user_joined;
    config.on_user_left = on_user_left;
    config.on_description = on_description;
    config.on_candidate = on_candidate;
    config.on_error = on_error;
    config.on_closed = on_closed;
    config.user = l;
    int err = duet_signaling_client_create(&l->client, net, &config);
    if (err != DUET_OK) {
        if (err == DUET_ERR_INVALID)
            app_error("--signaling %s, room %s: give ws://HOST:PORT or wss://HOST, and a room of letters, digits and "
                      "\"-._~\"",
                      o->url, o->room);
        else
            app_error("--signaling %s: %s", o->url, duet_strerror(err));
        free(l);
        return err == DUET_ERR_INVALID || err == DUET_ERR_UNSUPPORTED ? APP_BAD_USAGE : APP_FAILED;
    }
    *out = (app_link){&room_ops, l, true};
    return APP_OK;
}
