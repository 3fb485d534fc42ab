/* What the files of the TURN server share.
 *
 * turn_server.c             the endpoint: create, input, requests, answers, timers
 * turn_server_output.c      what waits for the driver
 * turn_server_request.c     a request: checks, authentication, method, response
 * turn_server_credentials.c users, keys, nonces (RFC 8489 section 9.2)
 * turn_server_allocate.c    Allocate and Refresh (RFC 8656 sections 7 and 8)
 * turn_server_permit.c      permissions and channels (sections 9, 10 and 12)
 * turn_server_relay.c       data between client and peers (sections 11, 12)
 * turn_server_stream.c      clients on TCP and TLS
 * turn_server_behaviour.c   Binding, with NAT behaviour discovery (RFC 5780)
 * turn_server_peers.c       who may be reached
 * turn_server_registry.c    what workers share */
#ifndef DUET_ICE_TURN_SERVER_H
#define DUET_ICE_TURN_SERVER_H

#include "base/crypto.h"
#include "base/events.h"
#include "base/timer.h"
#include "duet/stun.h"
#include "duet/turn.h"
#include "ice/framing.h"
#include "ice/turn_server_peers.h"
#include "ice/turn_server_registry.h"
#include "ice/turn_server_table.h"

#define TURN_UNAUTHENTICATED_MAX 128  /* bytes of a response to somebody who has not shown a password */
#define TURN_RESPONSE_MAX        512  /* … to somebody who has */
#define TURN_USERNAME_MAX        508  /* "less than 509 bytes" RFC 8489 section 14.3 */
#define TURN_FRAME_WAITING_MAX   2048 /* longest frame of a stream without an allocation */
#define TURN_FRAME_MAX           (4 + 65536)
#define TURN_CHANNEL_HEADER      4
#define TURN_CHANNEL_FIRST       0x4000 /* RFC 8656 section 12 */
#define TURN_CHANNEL_LAST        0x4FFF
#define TURN_PERMISSION_LIFETIME DUET_SECONDS(300) /* RFC 8656 section 9 */
#define TURN_CHANNEL_LIFETIME    DUET_SECONDS(600) /* RFC 8656 section 12 */
#define TURN_LISTENERS_MAX       64
#define TURN_FIRST_RELAY_ID      1024 /* ids of listeners are below */

/* The thing that holds a node or timer. */
#define DUET_TURN_OF(member_pointer, type, member) ((type *)(void *)((char *)(member_pointer)-offsetof(type, member)))

/* RFC 5780 section 7.2: what CHANGE-REQUEST asks to be different. Bits, and an index of duet_turn_server.behaviour. */
#define TURN_BEHAVIOUR_PORT 1u
#define TURN_BEHAVIOUR_IP   2u
#define TURN_BEHAVIOUR_BOTH 3u

/* ---- output (turn_server_output.c) ---- */

typedef struct turn_out {
    duet_path path;
    size_t offset, len;
    uint32_t next; /* of the same lane; 0: none, for a first one follows nobody */
    bool follows, pulled;
    uint8_t ecn;
    bool df;
} turn_out;

/* Datagrams one behind the other in one block, which is empty again whenever the driver has taken all. Those of a lane are
 * pulled together: a driver sends datagrams to one address in trains. */
typedef struct turn_output {
    const duet_env *env;
    uint8_t *bytes;
    turn_out *entries;
    size_t used, capacity, capacity_max;
    size_t count, entry_capacity, pulled;
    size_t head, current; /* the next entry that may begin a lane; the one that was pulled last */
    uint32_t round;       /* how often it was emptied */
    uint64_t dropped;
} turn_output;

/* Datagrams to one address: the last that waits. Zeroed, it is empty. */
typedef struct turn_lane {
    uint32_t round, last;
} turn_lane;

void duet_turn_output_init(turn_output *o, const duet_env *env, size_t capacity_max);
void duet_turn_output_free(turn_output *o);
/* Room for a datagram of up to `len` bytes, with DUET_HEADROOM before it; NULL when there is none, which is counted. */
uint8_t *duet_turn_output_reserve(turn_output *o, size_t len);
/* Queues what was written there. @param lane  NULL: it has none */
turn_out *duet_turn_output_commit(turn_output *o, turn_lane *lane, const duet_path *path, size_t len);
int duet_turn_output_pull(turn_output *o, duet_datagram *out);
void duet_turn_output_reclaim(turn_output *o); /* at the start of every call that is not output */

/* ---- allocations ---- */

typedef struct turn_allocation turn_allocation;
typedef struct turn_stream turn_stream;

typedef enum turn_relay_state {
    TURN_RELAY_NONE = 0, /* there is none of this family */
    TURN_RELAY_WANTED,   /* OPEN is to be asked */
    TURN_RELAY_OPENING,  /* … was asked */
    TURN_RELAY_OPEN,
    TURN_RELAY_CLOSING, /* CLOSE is to be asked */
    TURN_RELAY_FAILED,
} turn_relay_state;

/* One relayed transport address. */
typedef struct turn_relay {
    turn_node node; /* in duet_turn_server.relays, by id */
    turn_allocation *allocation;
    uint32_t id;
    turn_relay_state state;
    uint8_t tries;
    uint16_t error; /* FAILED: STUN error code */
    turn_lane lane;
    duet_address address;
} turn_relay;

typedef struct turn_permission {
    turn_node node; /* in duet_turn_server.permissions, by allocation and IP address */
    struct turn_permission *next;
    turn_allocation *allocation;
    duet_address ip; /* port 0 */
    turn_verdict verdict;
    duet_time expires;
} turn_permission;

typedef struct turn_channel {
    turn_node by_number, by_peer; /* in duet_turn_server.channels and .channel_peers */
    struct turn_channel *next;
    turn_allocation *allocation;
    turn_relay *relay;
    turn_lane lane;
    duet_address peer;
    turn_verdict verdict;
    uint16_t number;
    duet_time expires;
} turn_channel;

/* The key of a user, RFC 8489 section 9.2.2. */
typedef struct turn_key {
    uint8_t bytes[32];
    uint8_t len; /* 16 (MD5), 32 (SHA-256) */
} turn_key;

struct turn_allocation {
    duet_timer timer;                 /* its expiry */
    turn_node node;                   /* in duet_turn_server.clients, by path */
    turn_allocation *next, *previous; /* all of the server */
    turn_allocation *next_asking;
    bool asking;   /* in the list of those with a request for the driver */
    bool ended;    /* it is freed when its relays are closed */
    bool answered; /* the Allocate request has its success response */
    bool sha256;   /* integrity of that response */
    bool fingerprint;
    bool even;
    uint8_t transaction_id[DUET_STUN_TRANSACTION_LEN];
    uint32_t lifetime; /* of the Allocate response, seconds */
    uint64_t token;    /* RESERVATION-TOKEN, 0: none */
    duet_path path;    /* to the client */
    turn_stream *stream;
    turn_relay relays[TURN_RELAY_ADDRESSES]; /* IPv4, IPv6 */
    turn_account *account;
    char *username;
    turn_key key;
    turn_bucket bucket;
    turn_lane lane; /* to the client */
    turn_permission *permissions;
    turn_channel *channels;
    uint32_t permission_count, channel_count;
};

/* ---- streams ---- */

struct turn_stream {
    duet_timer timer;             /* until it has an allocation */
    turn_node node;               /* in duet_turn_server.streams, by id */
    turn_stream *next, *previous; /* among those that wait for an allocation, the oldest first */
    turn_stream *next_closing;
    uint32_t id;
    bool waiting;
    duet_path path;
    duet_frames frames;
    turn_allocation *allocation;
};

/* ---- credentials ---- */

typedef struct turn_static_user {
    turn_node by_name, by_hash;
    char *username;
    uint8_t userhash[32];
    turn_key md5, sha256;
} turn_static_user;

typedef struct turn_credentials {
    const duet_env *env;
    const uint8_t *nonce_secret;
    char *realm;
    char *secret; /* of time-limited credentials; NULL: none */
    size_t secret_len;
    turn_static_user *users;
    size_t user_count;
    turn_table names, hashes;
    uint64_t seed;
    uint64_t wall_clock; /* Unix seconds at `wall_clock_at`; 0: not told */
    duet_time wall_clock_at;
} turn_credentials;

#define TURN_NONCE_LEN (DUET_STUN_NONCE_COOKIE_LEN + 6 + 12)

int duet_turn_credentials_init(turn_credentials *c, const duet_env *env, const duet_turn_config *config,
                               const uint8_t *nonce_secret);
void duet_turn_credentials_free(turn_credentials *c);
bool duet_turn_credentials_exist(const turn_credentials *c);
/* A nonce for the client at that address, without state: time and HMAC. */
int duet_turn_nonce(const turn_credentials *c, const duet_address *client, duet_time now, char out[TURN_NONCE_LEN + 1]);
/* Adds REALM, NONCE and PASSWORD-ALGORITHMS. */
void duet_turn_credentials_challenge(const turn_credentials *c, duet_stun_builder *b, const duet_address *client,
                                     duet_time now);

/* What a request says about who sends it, once it is believed. */
typedef struct turn_identity {
    char username[TURN_USERNAME_MAX + 1];
    turn_key key;
    bool sha256; /* the response gets MESSAGE-INTEGRITY-SHA256 */
} turn_identity;

/* RFC 8489 section 9.2.4. `allocation` is the client's, or NULL: then the user must be known and not expired.
 * @return 0, or the code of the error response: 400, 401, 438, 441, 500 */
unsigned duet_turn_authenticate(const turn_credentials *c, const duet_stun_message *m, const duet_address *client,
                                const turn_allocation *allocation, duet_time now, turn_identity *out);
/* The part of the username that quotas count by: without the expiry. */
void duet_turn_account_name(const turn_credentials *c, const char *username, const char **name, size_t *len);

/* ---- the server ---- */

/* A socket that clients reach. */
typedef struct turn_listening {
    duet_turn_listener config; /* file names are copies */
    duet_address address;      /* bound */
    bool asked, open;
} turn_listening;

struct duet_turn_server {
    duet_env env;
    duet_turn_config config; /* pointers in it are not kept, except those of callbacks and the registry */
    duet_turn_registry *registry;
    bool own_registry;
    turn_credentials credentials;
    turn_peers peers;
    duet_events events;
    duet_timers allocation_timers, stream_timers;
    uint64_t seed, transaction_seed;
    turn_listening *listenings; /* ids from 1 */
    size_t listening_count;
    uint32_t behaviour[4]; /* ids of the sockets of RFC 5780, by what is changed; 0: none */
    bool asked_interfaces;
    bool draining, drained;
    turn_output output;
    turn_table clients, relays, permissions, channels, channel_peers, streams;
    turn_allocation *first;
    turn_allocation *first_asking, *last_asking;
    turn_stream *first_waiting, *last_waiting;
    turn_stream *first_closing;
    size_t stream_waiting_count;
    uint32_t next_id;
    duet_turn_stats stats;
    void (*wake)(void *user);
    void *wake_user;
};

/* One request or indication on its way through the server. */
typedef struct turn_request {
    duet_path path;
    turn_stream *stream; /* NULL on UDP */
    turn_allocation *allocation;
    duet_stun_message message;
    duet_time now;
    const turn_key *key; /* of the response; NULL: not authenticated */
    bool sha256, fingerprint;
} turn_request;

/* turn_server.c */
turn_allocation *duet_turn_client(const duet_turn_server *s, const duet_path *path);
uint64_t duet_turn_client_hash(const duet_turn_server *s, const duet_path *path);
void duet_turn_message(duet_turn_server *s, const duet_path *path, turn_stream *stream, uint8_t *data, size_t len,
                       uint8_t ecn, duet_time now);
void duet_turn_ask(duet_turn_server *s, turn_allocation *a); /* it has a request for the driver */
void duet_turn_check_drained(duet_turn_server *s);

/* turn_server_request.c */
void duet_turn_handle_stun(duet_turn_server *s, const duet_path *path, turn_stream *stream, const uint8_t *data,
                           size_t len, uint8_t ecn, duet_time now);
/* A response in the output's room. Sticky: when there is no room, nothing is sent. */
duet_stun_builder duet_turn_respond(duet_turn_server *s, const turn_request *rq, duet_stun_class message_class);
void duet_turn_send(duet_turn_server *s, const turn_request *rq, duet_stun_builder *b); /* adds the integrity */
void duet_turn_refuse(duet_turn_server *s, const turn_request *rq, unsigned code);

/* turn_server_behaviour.c */
void duet_turn_handle_binding(duet_turn_server *s, const turn_request *rq);

/* turn_server_allocate.c */
void duet_turn_handle_allocate(duet_turn_server *s, turn_request *rq, const turn_identity *who);
void duet_turn_handle_refresh(duet_turn_server *s, turn_request *rq);
void duet_turn_relay_answered(duet_turn_server *s, const duet_answer *answer, duet_time now);
bool duet_turn_relay_request(duet_turn_server *s, turn_allocation *a, duet_request *out);
void duet_turn_allocation_end(duet_turn_server *s, turn_allocation *a, duet_time now);
void duet_turn_allocation_free(duet_turn_server *s, turn_allocation *a);
turn_relay *duet_turn_relay_for(turn_allocation *a, const duet_address *peer); /* of the peer's family, open; or NULL */

/* turn_server_permit.c */
void duet_turn_handle_create_permission(duet_turn_server *s, const turn_request *rq);
void duet_turn_handle_channel_bind(duet_turn_server *s, const turn_request *rq);
turn_permission *duet_turn_permission(const duet_turn_server *s, const turn_allocation *a, const duet_address *peer,
                                      duet_time now);
turn_channel *duet_turn_channel_of_number(const duet_turn_server *s, const turn_allocation *a, uint16_t number,
                                          duet_time now);
turn_channel *duet_turn_channel_of_peer(const duet_turn_server *s, const turn_allocation *a, const duet_address *peer,
                                        duet_time now);
void duet_turn_forget_permissions(duet_turn_server *s, turn_allocation *a);           /* and channels */
void duet_turn_forget_family(duet_turn_server *s, turn_allocation *a, size_t family); /* 0: IPv4, 1: IPv6 */

/* turn_server_relay.c */
void duet_turn_handle_send(duet_turn_server *s, const turn_request *rq, uint8_t ecn);
void duet_turn_handle_channel_data(duet_turn_server *s, const duet_path *path, const uint8_t *data, size_t len,
                                   uint8_t ecn, duet_time now);
void duet_turn_handle_peer_data(duet_turn_server *s, turn_relay *relay, const duet_datagram *in, duet_time now);
void duet_turn_handle_peer_error(duet_turn_server *s, turn_relay *relay, const duet_path *path, int error,
                                 duet_time now);

/* turn_server_stream.c */
turn_stream *duet_turn_stream(const duet_turn_server *s, uint32_t id);
void duet_turn_stream_accepted(duet_turn_server *s, const duet_answer *answer, duet_time now);
void duet_turn_stream_input(duet_turn_server *s, turn_stream *stream, duet_datagram *in, duet_time now);
void duet_turn_stream_settle(duet_turn_server *s, turn_stream *stream,
                             duet_time now); /* it got or lost its allocation */
void duet_turn_stream_error(duet_turn_server *s, turn_stream *stream, int error, duet_time now);
void duet_turn_stream_expired(duet_turn_server *s, turn_stream *stream, duet_time now);
void duet_turn_streams_free(duet_turn_server *s);
bool duet_turn_stream_request(duet_turn_server *s, duet_request *out);

#endif
