/* A signaling client without its connection: the bytes of the server in, bytes for the server out, time as an argument.
 * client_net.c joins it to a socket. */
#ifndef DUET_SIGNALING_CLIENT_H
#define DUET_SIGNALING_CLIENT_H

#include "duet/signaling.h"
#include "signaling/handshake.h"
#include "signaling/protocol.h"
#include "signaling/seat_log.h"

typedef struct duet_client_core duet_client_core;

/* From the first byte to room_users. */
#define DUET_CLIENT_JOIN_TIMEOUT DUET_SECONDS(15)
/* One message of the server: a room_users of a full room with its ICE servers. */
#define DUET_CLIENT_MESSAGE_MAX      (1u << 20)
#define DUET_CLIENT_RESUME_TOKEN_MAX 255

/* So many messages may wait for the connection to come back. */
#define DUET_CLIENT_WAITING_MAX 128

/* What outlives a connection: the seat, how far its messages were heard, and what was said from it. */
typedef struct duet_client_memory {
    char resume_token[DUET_CLIENT_RESUME_TOKEN_MAX + 1]; /* "" when there is no seat */
    uint64_t last_seq;
    duet_seat_log sent;
    size_t waiting; /* said since the connection broke */
} duet_client_memory;

void duet_client_memory_init(duet_client_memory *memory, const duet_env *env);
void duet_client_memory_clear(duet_client_memory *memory);

/* What the driver hears before the user does; either may be NULL. */
typedef struct duet_client_hooks {
    void (*settled)(duet_signaling_client *handle); /* in the room, or in it again */
    /* Instead of on_closed. */
    void (*closed)(duet_signaling_client *handle, unsigned code, const char *reason);
} duet_client_hooks;

/* @param memory  of the seat that is to be taken again, or an empty one; it outlives the core
 * @param config  callbacks and texts are copied; url is not read: `url` is
 * @param handle  what the callbacks get as their client */
int duet_client_core_create(duet_client_core **out, const duet_signaling_client_config *config, const duet_ws_url *url,
                            duet_client_memory *memory, duet_signaling_client *handle, const duet_client_hooks *hooks,
                            duet_time now);
void duet_client_core_destroy(duet_client_core *core); /* NULL is fine */
/* No callback comes any more. */
void duet_client_core_silence(duet_client_core *core);

/* Callbacks run inside; the core may not be destroyed in them. */
void duet_client_core_input(duet_client_core *core, const void *data, size_t len, duet_time now);
/* The connection broke, or was never made. */
void duet_client_core_lost(duet_client_core *core, const char *reason);
void duet_client_core_tick(duet_client_core *core, duet_time now);
duet_time duet_client_core_deadline(const duet_client_core *core);
size_t duet_client_core_output(const duet_client_core *core, const uint8_t **data);
void duet_client_core_sent(duet_client_core *core, size_t len);
/* on_closed has been called. */
bool duet_client_core_is_done(const duet_client_core *core);

/* A description, candidate, discover or manual, as duet_signal has them. */
int duet_client_core_send(duet_client_core *core, const duet_signal *message, duet_time now);
/* The same while there is no connection: it is kept. */
int duet_client_memory_keep(duet_client_memory *memory, const duet_signal *message);
int duet_client_core_renew(duet_client_core *core, const char *token, duet_time now);
void duet_client_core_close(duet_client_core *core, duet_time now);

#endif
