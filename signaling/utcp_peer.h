/* One peer connection with one data channel for UTCP: offering (the caller) or answering (the server). Descriptions and
 * candidates go through the room. Callbacks may not destroy the peer: put that off to a timer. */
#ifndef DUET_SIGNALING_UTCP_PEER_H
#define DUET_SIGNALING_UTCP_PEER_H

#include "signaling/utcp_room.h"

/* The peer's queue is short, so that a stream notices soon that its reader is slow. */
#define DUET_UTCP_BUFFERED_MAX (256u * 1024u)
/* Until the channel is open. */
#define DUET_UTCP_CONNECT_TIMEOUT DUET_SECONDS(20)

typedef struct duet_utcp_peer duet_utcp_peer;

typedef struct duet_utcp_peer_config {
    duet_utcp_room *room;
    const duet_pc_config *connection; /* NULL: defaults */
    const char *ice_servers;          /* JSON of the room; used where `connection` has none */
    const char *channel;
    const char *seat; /* of the other side */
    bool offers;
    void (*on_open)(void *user, uint64_t message_max); /* what the peer takes in one message */
    void (*on_message)(void *user, const char *text, size_t len);
    void (*on_writable)(void *user);
    void (*on_trouble)(void *user);                 /* ICE has lost the other side, perhaps for ever */
    void (*on_end)(void *user, const char *reason); /* once, the last; not for destroy */
    void *user;
} duet_utcp_peer_config;

int duet_utcp_peer_create(duet_utcp_peer **out, const duet_utcp_peer_config *config);
void duet_utcp_peer_destroy(duet_utcp_peer *peer); /* says goodbye; NULL is fine */

/* A description that cannot be taken ends the peer. */
void duet_utcp_peer_description(duet_utcp_peer *peer, duet_sdp_type type, const char *sdp);
void duet_utcp_peer_candidate(duet_utcp_peer *peer, const duet_pc_candidate *candidate);
/* Whether an offer begins another session (o= of RFC 8866) than the one that this connection is in. */
bool duet_utcp_peer_is_other_session(const duet_utcp_peer *peer, const char *sdp);
/* @return DUET_OK; DUET_ERR_AGAIN (on_writable follows); DUET_ERR_STATE (not open); DUET_ERR_NOMEM;
 * DUET_ERR_TOO_LARGE */
int duet_utcp_peer_send(duet_utcp_peer *peer, const char *text, size_t len);
bool duet_utcp_peer_is_in_trouble(const duet_utcp_peer *peer);
/* Ends it as if the other side had gone. */
void duet_utcp_peer_give_up(duet_utcp_peer *peer, const char *reason);

#endif
