/* A seat in a room of the signaling server that is taken again, with back-off, when the connection has broken. */
#ifndef DUET_SIGNALING_UTCP_ROOM_H
#define DUET_SIGNALING_UTCP_ROOM_H

#include "base/memory.h"
#include "duet/signaling.h"

#define DUET_UTCP_BACKOFF_MIN DUET_MS(500)
#define DUET_UTCP_BACKOFF_MAX DUET_SECONDS(30)

/* Twice as long each time, up to the maximum. */
duet_time duet_utcp_backoff(duet_time *delay);

typedef struct duet_utcp_room {
    duet_env env;
    duet_net *net;
    duet_signaling_client_config
        config;                    /* its texts are copies; callbacks are the owner's, who passes on two of them */
    duet_signaling_client *client; /* NULL while there is no connection */
    duet_net_timer *retry;
    duet_time delay;
    bool joined;
    void (*on_failed)(void *owner, const char *why); /* the client could not be made again */
} duet_utcp_room;

/* @return as duet_signaling_client_create; close it in any case */
int duet_utcp_room_open(duet_utcp_room *room, duet_net *net, const duet_signaling_client_config *config,
                        void (*on_failed)(void *owner, const char *why));
void duet_utcp_room_close(duet_utcp_room *room);
/* To be called in the owner's on_joined and on_closed. @return in what time it tries again; DUET_NEVER: it does not,
 * as the server does not let us in */
void duet_utcp_room_joined(duet_utcp_room *room);
duet_time duet_utcp_room_lost(duet_utcp_room *room, unsigned code);

#endif
