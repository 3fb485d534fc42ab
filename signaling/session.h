/* One connection to the signaling server, without the connection: messages in, messages out, time as an argument. It
 * authenticates within five seconds, takes at most one seat in a room, and passes messages on from it. What takes time
 * (checking a token, taking a seat) holds back the messages behind it. */
#ifndef DUET_SIGNALING_SESSION_H
#define DUET_SIGNALING_SESSION_H

#include "signaling/hub.h"

typedef struct duet_session duet_session;

/* How long a connection may stay without a valid token. */
#define DUET_SESSION_AUTH_TIMEOUT DUET_SECONDS(5)
/* What may wait for a slow reader; beyond it the session ends. */
#define DUET_SESSION_QUEUE_BYTES    (1u << 20)
#define DUET_SESSION_QUEUE_MESSAGES 1024
/* What may wait behind a token that is being checked; beyond it the session ends. */
#define DUET_SESSION_BACKLOG_BYTES    (1u << 18)
#define DUET_SESSION_BACKLOG_MESSAGES 256
/* So many messages above the rate in a row end the session. */
#define DUET_SESSION_STRIKES 100

typedef struct duet_session_config {
    duet_hub *hub;
    const char *address; /* of the client, without its port, for the limits; NULL: unknown */
    bool compat;         /* speaks the dialect with the older names */
    /* Messages wait in the output, or the session wants to end: pull, outside of this call. */
    void (*on_wake)(void *user);
    void *user;
} duet_session_config;

int duet_session_create(duet_session **out, const duet_session_config *config, duet_time now);
/* @param clean  the client said goodbye: it leaves its room. Otherwise its seat waits for it */
void duet_session_destroy(duet_session *session, bool clean, duet_time now);

/* A token that came with the upgrade, "Authorization: Bearer …": as an authenticate message. */
void duet_session_authenticate(duet_session *s, const char *token, size_t len, duet_time now, int64_t wall_seconds);
/* One text message of the client. After the session has ended it is ignored. */
void duet_session_input(duet_session *s, const char *text, size_t len, duet_time now, int64_t wall_seconds);
/* The connection brought what is no message at all: binary, or more than DUET_SIGNAL_MESSAGE_MAX bytes. */
void duet_session_bad_input(duet_session *s, bool too_large);
/* Messages are held back: better not to read more from the connection until the next wake. */
bool duet_session_is_waiting(const duet_session *s);

/* The next message to be sent. @return 1 (valid until the next call on this session) or 0 */
int duet_session_output(duet_session *s, const char **text, size_t *len);
/* Once it wants to end and its output is drained: the WebSocket close code, and why. 0 as long as it goes on. */
unsigned duet_session_close_code(const duet_session *s, const char **reason);
/* It takes no more input, though its output may not be drained yet. */
bool duet_session_is_over(const duet_session *s);
/* Ends it, as a drain of the server does: the seat waits, so that its client can come back to another server. */
void duet_session_end(duet_session *s, unsigned code, const char *reason);
/* The agent; "" before it has authenticated. */
const char *duet_session_agent(const duet_session *s);

void duet_session_tick(duet_session *s, duet_time now);
duet_time duet_session_deadline(const duet_session *s);

#endif
