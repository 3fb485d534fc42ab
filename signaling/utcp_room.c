/* The signaling connection of a UTCP client or server, kept alive. */
#include "signaling/utcp_room.h"
#include "signaling/protocol.h"
#include <string.h>

duet_time duet_utcp_backoff(duet_time *delay)
{
    *delay = *delay ? *delay * 2 : DUET_UTCP_BACKOFF_MIN;
    if (*delay > DUET_UTCP_BACKOFF_MAX)
        *delay = DUET_UTCP_BACKOFF_MAX;
    return *delay;
}

static int connect_again(duet_utcp_room *room)
{
    return duet_signaling_client_create(&room->client, room->net, &room->config);
}

static void retry(void *arg)
{
    duet_utcp_room *room = arg;

    duet_net_timer_cancel(room->retry);
    room->retry = NULL;
    int err = connect_again(room);
    if (err != DUET_OK)
        room->on_failed(room->config.user, duet_strerror(err));
}

static bool copy(const duet_env *env, const char **text)
{
    const char *original = *text;

    *text = duet_strdup(env, original);
    return *text || !original;
}

int duet_utcp_room_open(duet_utcp_room *room, duet_net *net, const duet_signaling_client_config *config,
                        void (*on_failed)(void *owner, const char *why))
{
    *room = (duet_utcp_room){.env = duet_env_resolve(config->env), .net = net, .on_failed = on_failed};
    duet_signaling_client_config *c = &room->config;
    *c = *config;
    c->url = c->token = c->room = c->room_token = NULL;
    c->env = &room->env;
    const char *texts[] = {config->url, config->token, config->room};
    bool copied = true;
    for (size_t i = 0; i < 3; i++)
        copied = copy(&room->env, &texts[i]) && copied;
    c->url = texts[0];
    c->token = texts[1];
    c->room = texts[2];
    return copied ? connect_again(room) : DUET_ERR_NOMEM;
}

void duet_utcp_room_close(duet_utcp_room *room)
{
    duet_signaling_client_destroy(room->client);
    duet_net_timer_cancel(room->retry);
    duet_free(&room->env, (char *)room->config.url);
    duet_free(&room->env, (char *)room->config.token);
    duet_free(&room->env, (char *)room->config.room);
    memset(room, 0, sizeof(*room));
}

void duet_utcp_room_joined(duet_utcp_room *room)
{
    room->joined = true;
    room->delay = 0;
}

/* A token that is not good will not get better. */
static bool is_final(unsigned code)
{
    return code == DUET_CLOSE_AUTHENTICATION || code == DUET_CLOSE_FORBIDDEN;
}

duet_time duet_utcp_room_lost(duet_utcp_room *room, unsigned code)
{
    duet_signaling_client_destroy(room->client);
    room->client = NULL;
    room->joined = false;
    if (is_final(code))
        return DUET_NEVER;
    duet_time delay = duet_utcp_backoff(&room->delay);
    if (!room->retry && duet_net_timer_start(&room->retry, room->net, delay, retry, room) != DUET_OK)
        return DUET_NEVER;
    return delay;
}
