/* What the connections of one server share: the store with its rooms, which seat is whose connection, authentication, limits,
 * and figures. */
#ifndef DUET_SIGNALING_HUB_H
#define DUET_SIGNALING_HUB_H

#include "signaling/auth.h"
#include "signaling/limits.h"
#include "signaling/protocol.h"
#include "signaling/store.h"
#include "signaling/turn_issuer.h"

#define DUET_RESUME_TOKEN_LEN 32 /* 24 random bytes in base64url */

typedef struct duet_hub duet_hub;

typedef struct duet_hub_config {
    const duet_env *env;
    duet_auth *auth;           /* borrowed */
    duet_limits *limits;       /* borrowed; NULL for none */
    duet_rate messages;        /* of one connection */
    bool rooms_on_join;        /* joining a room that is not there makes it, for as long as somebody is in it */
    unsigned max_participants; /* of rooms that do not say */
    unsigned mesh_limit;
    duet_time grace;         /* for which a seat waits for its client to come back */
    const char *ice_servers; /* JSON array for room_users; must outlive the hub; NULL for none */
    const void *join_secret; /* of HS256 join tokens that the REST interface gives out, borrowed; auth knows it */
    size_t join_secret_len;
    duet_turn_issuer turn; /* borrowed texts; no urls: no credentials are given out */
} duet_hub_config;

/* Counted since the start. */
typedef struct duet_hub_stats {
    uint64_t authenticated, refused;          /* authenticate messages, tokens of upgrades */
    uint64_t joined, resumed, detached;       /* seats */
    uint64_t offers, answers, candidates;     /* passed on, and others: */
    uint64_t errors, rate_limited, overflows; /* errors told; of them for the rate; slow readers that were dropped */
} duet_hub_stats;

/* What a seat tells its connection; no call of hub or store is legal inside. */
typedef struct duet_seat_callbacks {
    void (*message)(void *user, uint64_t seq, const char *text, size_t len);
    void (*removed)(void *user, const char *reason);
    void (*replaced)(void *user);
    void *user;
} duet_seat_callbacks;

/* A connection's place in a room. Its owner keeps it where it is as long as it is seated. */
typedef struct duet_seat {
    char id[DUET_SEAT_ID_LEN + 1];
    char room_id[DUET_ROOM_ID_MAX + 1];
    bool seated; /* known to the hub */
    duet_seat_callbacks callbacks;
} duet_seat;

int duet_hub_create(duet_hub **out, const duet_hub_config *config);
void duet_hub_destroy(duet_hub *hub); /* with its store; connections have gone before */
/* For creating the store, which is then handed over. */
duet_store_events duet_hub_events(duet_hub *hub);
void duet_hub_use_store(duet_hub *hub, duet_store store);

const duet_env *duet_hub_env(const duet_hub *hub);
duet_store *duet_hub_store(duet_hub *hub);
const duet_hub_config *duet_hub_settings(const duet_hub *hub);
/* New settings for what comes from now on; env, auth and limits are not replaced. */
void duet_hub_configure(duet_hub *hub, const duet_hub_config *config);
duet_hub_stats *duet_hub_count(duet_hub *hub);
duet_buffer *duet_hub_scratch(duet_hub *hub); /* empty, for a text that is used before anything else is called */

/* Takes a seat for `who` with callbacks set in `seat`. See store.h for the outcomes. @return whether the store was asked; if
 * not, DUET_ERR_NOMEM or DUET_ERR_CRYPTO, and `done` does not come */
int duet_hub_join(duet_hub *hub, duet_seat *seat, const char *room_id, const duet_token_claims *who,
                  const char *request_id, int64_t wall_seconds, duet_store_done done, void *user);
/* Hash of a resume token, for the store. */
int duet_hub_resume_hash(char out[DUET_SEAT_HASH_LEN + 1], const duet_hub *hub, const char *token);
/* A seat that the store has given again. */
int duet_hub_seated(duet_hub *hub, duet_seat *seat, const duet_store_seat *found);
/* The connection and its seat have nothing to do with each other any more. */
void duet_hub_unseat(duet_hub *hub, duet_seat *seat);

/* The array of RTCIceServer for an agent, with credentials of its own when the server gives them out. */
void duet_hub_write_ice_servers(duet_buffer *out, const duet_hub *hub, const char *agent_id, int64_t wall_seconds);

#endif
