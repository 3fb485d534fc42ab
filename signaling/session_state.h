/* What the files of a session share: session.c has its life, its queues and authentication, session_room.c its seat. */
#ifndef DUET_SIGNALING_SESSION_STATE_H
#define DUET_SIGNALING_SESSION_STATE_H

#include "signaling/protocol.h"
#include "signaling/session.h"

typedef struct session_text {
    struct session_text *next;
    size_t len;
    char text[]; /* NUL-terminated */
} session_text;

typedef struct session_queue {
    session_text *first, **last;
    size_t bytes, count;
} session_queue;

/* What a session waits for; the messages behind it wait too. */
typedef enum session_wait {
    WAITS_FOR_NOTHING = 0,
    WAITS_FOR_TOKEN, /* of authenticate */
    WAITS_FOR_JOIN_TOKEN,
    WAITS_FOR_SEAT, /* joining, resuming */
    WAITS_TO_LEAVE,
} session_wait;

/* A join, resume or authenticate message as far as it is needed later. */
typedef struct session_request {
    char *id; /* NULL for none */
    char *room_id;
} session_request;

struct duet_session {
    const duet_env *env;
    duet_session_config config;
    char address[DUET_ADDRESS_TEXT_MAX];
    bool authenticated, ended, destroyed, counted; /* counted: among the agent's connections */
    bool handling;                                 /* a message, so that the backlog is not drained inside */
    session_wait wait;
    unsigned pending;        /* store calls whose outcome is to come */
    duet_time now, deadline; /* deadline: of authenticating, then of the token */
    int64_t wall;
    duet_auth_ticket *ticket;
    session_request request;
    duet_token_claims who;
    duet_seat seat;
    duet_bucket bucket;
    unsigned strikes;
    session_queue output, backlog;
    session_text *lent; /* what the last output gave away */
    unsigned close_code;
    const char *close_reason, *left_reason; /* NULL: the seat waits */
};

/* ---- session.c ---- */

/* To the seat when there is one, numbered by the store, otherwise straight to the client. */
void session_send(duet_session *s, const duet_signal *message, uint64_t number);
void session_error(duet_session *s, const duet_signal *request, const char *code, const char *text);
void session_error_by_id(duet_session *s, const char *request_id, uint64_t number, const char *code, const char *text);
/* The last word before the end goes straight to the client, without a number: a store that answers later would be too late. */
void session_say_last(duet_session *s, const duet_signal *message);
/* @param left_reason  for the others; NULL: the seat waits for its client */
void session_end(duet_session *s, unsigned code, const char *reason, const char *left_reason);
/* A text for the client. @return false when the session has ended of it */
bool session_queue_output(duet_session *s, const char *head, size_t head_len, const char *text, size_t len,
                          const char *tail);
int session_keep_request(duet_session *s, const duet_signal *m);
/* What it waited for has come: the messages behind it are handled, now or (where the store may not be called) at the next
 * tick. */
void session_go_on(duet_session *s);
void session_stop_waiting(duet_session *s);
/* A store call has its outcome. @return false when the session has been destroyed meanwhile (and is freed with the last) */
bool session_outcome(duet_session *s);

/* ---- session_room.c ---- */

void session_join(duet_session *s, const duet_signal *m);
void session_resume(duet_session *s, const duet_signal *m);
void session_leave(duet_session *s, const duet_signal *m);
void session_relay(duet_session *s, const duet_signal *m);
void session_give_up_seat(duet_session *s);

#endif
