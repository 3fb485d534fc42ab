/* Which store a server uses: its own memory, or what several servers share. */
#include "signaling/server.h"

int server_store_open(duet_signaling_server *s)
{
    duet_store_events events = duet_hub_events(s->hub);
    duet_store store;

    int err = duet_store_memory_create(&store, &s->env, s->config.limits.rooms, &events);
    if (err == DUET_OK)
        duet_hub_use_store(s->hub, store);
    return err;
}
