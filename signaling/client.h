/* A signaling client without its connection: the bytes of the server in, bytes for the server out, time as an argument.
 * client_net.c joins it to a socket. */
#ifndef DUET_SIGNALING_CLIENT_H
#define DUET_SIGNALING_CLIENT_H

#include "duet/signaling.h"
#include "signaling/handshake.h"

typedef struct duet_client_core duet_client_core;

/* From the first byte to room_users. */
#define DUET_CLIENT_JOIN_TIMEOUT DUET_SECONDS(15)
/* One message of the server: a room_users of a full room with its ICE servers. */
#define DUET_CLIENT_MESSAGE_MAX (1u << 20)

/* @param config  callbacks and texts are copied; url is not read: `url` is
 * @param handle  what the callbacks get as their client */
int duet_client_core_create(duet_client_core **out, const duet_signaling_client_config *config, const duet_ws_url *url,
                            duet_signaling_client *handle, duet_time now);
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

int duet_client_core_send(duet_client_core *core, const char *to, duet_sdp_type type, const char *sdp,
                          const duet_pc_candidate *candidate, duet_time now);
int duet_client_core_renew(duet_client_core *core, const char *token, duet_time now);
void duet_client_core_close(duet_client_core *core, duet_time now);

#endif
