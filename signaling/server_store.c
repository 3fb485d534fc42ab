/* Which store a server uses: its own memory or a Redis that several servers share, with a PostgreSQL around it or not. */
#include "signaling/server.h"
#include "signaling/store_postgres.h"
#include "signaling/store_redis.h"

static void log_store(void *user, duet_log_level level, const char *text)
{
    server_log(user, level, "store", json_pack("{s:s}", "text", text));
}

static int open_live(void *user, duet_store *live, const duet_store_events *events)
{
    duet_signaling_server *s = user;
    duet_store_redis_config redis = {.url = s->config.redis_url,
                                     .max_rooms = s->config.limits.rooms,
                                     .grace_ms = s->config.limits.grace_seconds * 1000,
                                     .on_log = log_store,
                                     .user = s};

    if (s->config.redis_url)
        return duet_store_redis_create(live, &s->env, s->base, &redis, events);
    return duet_store_memory_create(live, &s->env, s->config.limits.rooms, events);
}

int server_store_open(duet_signaling_server *s)
{
    duet_store_events events = duet_hub_events(s->hub);
    duet_store_postgres_config postgres = {
        .url = s->config.postgres_url, .open_live = open_live, .on_log = log_store, .user = s};
    duet_store store;

    int err = s->config.postgres_url ? duet_store_postgres_create(&store, &s->env, s->base, &postgres, &events)
                                     : open_live(s, &store, &events);
    if (err == DUET_OK)
        duet_hub_use_store(s->hub, store);
    return err;
}
