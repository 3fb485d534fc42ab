/* What the files of `duet echo` share. */
#ifndef DUET_APPS_ECHO_H
#define DUET_APPS_ECHO_H

#include "app_signaling.h"
#include "media_echo.h"
#include <jansson.h>

#define ECHO_PEERS_MAX 256

typedef struct echo_options {
    app_connection_options connection;
    app_link_options link;
    bool is_call, json, quiet, once;
    const char *peer;    /* call: this one; NULL: the first that is there */
    const char *channel; /* call: label */
    const char *message; /* call: text */
    size_t size;         /* call: binary messages of so many bytes instead; 0: text */
    unsigned count;      /* call: how many messages */
    double timeout;      /* call: seconds for all of it */
    uint16_t mux_port;   /* serve: all peers at this UDP port; 0: each has its own */
} echo_options;

typedef struct echo echo;

/* One connection to one peer. */
typedef struct echo_peer {
    struct echo_peer *next;
    echo *owner;
    char name[64];
    app_connection connection;
    uint64_t session_id; /* of the peer's description: o= */
    bool described;      /* our description has been sent */
    bool connected, over;
    duet_time started;
    uint64_t messages, bytes; /* echoed */
    media_echo *media;        /* of each track */
} echo_peer;

struct echo {
    echo_options options;
    duet_net *net;
    duet_mux *mux; /* NULL: none */
    app_link link;
    app_trace *trace;
    char *ice_servers; /* advised by the room */
    echo_peer *peers;
    size_t peer_count;
    duet_net_timer *reaper; /* frees peers outside of their callbacks */
    bool finished;
    int exit_code;
    struct echo_call *call;
};

/* ---- echo_peer.c ---- */

echo_peer *echo_peer_find(const echo *e, const char *name);
/* @return NULL after an error message */
echo_peer *echo_peer_create(echo *e, const char *name);
void echo_peer_offer(echo_peer *p);
void echo_peer_take_description(echo_peer *p, duet_sdp_type type, const char *sdp);
void echo_peer_take_candidate(echo_peer *p, const duet_pc_candidate *candidate);
/* Whether the description begins another session than the one that this connection has. */
bool echo_peer_is_other_session(const echo_peer *p, const char *sdp);
/* Ends it; it is freed once no callback is under way. */
void echo_peer_end(echo_peer *p, const char *reason);
void echo_peers_free(echo *e);

/* ---- echo_call.c: the caller's test ---- */

typedef struct echo_call echo_call;

int echo_call_create(echo *e);
void echo_call_destroy(echo_call *call);
void echo_call_begin(echo_call *call, echo_peer *peer); /* makes the channel, before the offer */
void echo_call_report(const echo_call *call, json_t *result);

/* ---- echo.c ---- */

void echo_finish(echo *e, int exit_code);
void echo_fail(echo *e, const char *format, ...) DUET_PRINTF(2, 3);
/* A line for people, or with --json the object. Takes the reference. */
void echo_say(const echo *e, json_t *object, const char *format, ...) DUET_PRINTF(3, 4);
/* Text of a peer, cut short and without control characters. @return buf */
char *echo_quote(char *buf, size_t size, const char *text, size_t len);
duet_time echo_clock(void); /* finer than the time of the loop's turn */

#endif
