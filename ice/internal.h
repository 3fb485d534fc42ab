/* The parts of the ICE agent and what its files call of each other.
 *
 * Words are those of RFC 8445 section 4: a base is the socket that a local candidate sends from, a pair joins a local
 * base with a remote candidate, a valid pair is one whose check succeeded, the selected pair carries data. */
#ifndef DUET_ICE_INTERNAL_H
#define DUET_ICE_INTERNAL_H

#include "base/bytes.h"
#include "base/events.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/timer.h"
#include "duet/ice.h"
#include "duet/stun.h"
#include "ice/framing.h"
#include "ice/turn_client.h"

#define ICE_SOCKETS_MAX      16  /* local addresses */
#define ICE_URLS_MAX         16  /* server URLs */
#define ICE_QUERIES_MAX      64  /* Binding requests to servers, one for each socket and server address */
#define ICE_RELAYS_MAX       32  /* allocations on TURN servers */
#define ICE_REFLEXIVE_MAX    32  /* peer-reflexive candidates, on each side */
#define ICE_TRANSACTIONS_MAX 256 /* more than two for each pair */
#define ICE_OUTBOX_MAX       128 /* datagrams waiting */
#define ICE_BUCKETS          32

/* RFC 8489 section 6.2.1: seven transmissions, 500 ms doubled each time, 16 times the first after the last. */
#define ICE_RC        7
#define ICE_RM        16
#define ICE_RTO       DUET_MS(500)
#define ICE_ID_MAX    (1u << 20) /* socket ids stay below: users of the agent keep their own bits above */
#define ICE_COMPONENT 1

#define ICE_TYPE_PREFERENCE_HOST  126 /* RFC 8445 section 5.1.2.2 */
#define ICE_TYPE_PREFERENCE_PRFLX 110
#define ICE_TYPE_PREFERENCE_SRFLX 100

#define ICE_NAME_MAX         48    /* "<uuid>.local" */
#define ICE_STREAM_FRAME_MAX 65600 /* ChannelData with 64 KiB and its padding, or the largest STUN message */

/* ---- candidates and pairs ------------------------------------------------------------------------------------ */

typedef enum ice_socket_state {
    ICE_SOCKET_WANTED = 0, /* an OPEN request is to be pulled */
    ICE_SOCKET_OPENING,    /* and was */
    ICE_SOCKET_OPEN,
    ICE_SOCKET_FAILED,
    ICE_SOCKET_CLOSING, /* a CLOSE request is to be pulled */
    ICE_SOCKET_CLOSED,
} ice_socket_state;

typedef enum ice_socket_kind {
    ICE_SOCKET_HOST = 0, /* UDP on an address of this host: base of host and reflexive candidates */
    ICE_SOCKET_SERVER,   /* a stream to a STUN or TURN server: no candidate's base */
    ICE_SOCKET_LISTENER, /* passive TCP candidate */
    ICE_SOCKET_TCP,      /* connection of a pair, opened or accepted */
    ICE_SOCKET_RELAY,    /* a relayed address: known to nobody outside, its datagrams go through the relay */
} ice_socket_kind;

typedef enum ice_lookup {
    ICE_LOOKUP_NONE = 0,
    ICE_LOOKUP_WANTED, /* a RESOLVE or PUBLISH request is to be pulled */
    ICE_LOOKUP_RUNNING,
    ICE_LOOKUP_DONE,
} ice_lookup;

typedef struct ice_relay ice_relay;
typedef struct ice_server ice_server;

typedef struct ice_socket {
    uint32_t id;
    ice_socket_kind kind;
    ice_socket_state state;
    duet_protocol protocol;
    bool is_present; /* its address is among the interfaces of this gathering */
    bool is_loopback;
    uint16_t local_preference;
    uint32_t interface; /* index, 0: unknown */
    duet_address bind;
    duet_address local;             /* once open */
    duet_address remote;            /* of a stream */
    struct ice_socket *host_socket; /* LISTENER, TCP: the UDP socket of the same address */
    ice_relay *relay;               /* RELAY */
    char *host;                     /* SERVER: the name that its certificate must have */
    duet_frames frames;             /* of a stream */
    ice_lookup publish;             /* of `name` */
    uint32_t publish_id;
    char name[ICE_NAME_MAX]; /* announced instead of its address, "" when there is none */
} ice_socket;

typedef struct ice_local {
    ice_socket *socket; /* its base */
    duet_address address;
    duet_candidate_type type;
    uint32_t priority;
    uint32_t foundation;
    duet_address related;    /* raddr and rport */
    char name[ICE_NAME_MAX]; /* "": the address itself is announced */
    uint8_t tcp_type;        /* duet_tcp_type; NONE is UDP */
    bool announced;          /* on_candidate was queued, or is not due */
} ice_local;

typedef struct ice_remote {
    char foundation[DUET_FOUNDATION_MAX + 1];
    uint8_t type;     /* duet_candidate_type */
    uint8_t lookup;   /* ice_lookup of `name` */
    uint8_t tcp_type; /* duet_tcp_type; NONE is UDP */
    uint32_t lookup_id;
    uint32_t priority;
    uint32_t network_cost;
    duet_address address; /* family NONE until `name` is known */
    duet_address related;
    char *name; /* NULL when the candidate came with an address */
} ice_remote;

typedef struct ice_transaction ice_transaction;
typedef struct ice_pair ice_pair;

struct ice_pair {
    ice_local *local;  /* the host candidate that checks leave from */
    ice_local *mapped; /* how the peer sees it, once valid (RFC 8445 section 7.2.5.3.1) */
    ice_remote *remote;
    ice_socket *connection; /* TCP: its own; NULL once it has ended */
    duet_path path;
    uint64_t priority;
    duet_ice_pair_state state;
    bool valid;
    bool nominated;
    bool previous;            /* of the generation before the restart */
    bool checked_by_peer;     /* an authenticated check came in on it */
    bool checked_plainly;     /* and one of them was without USE-CANDIDATE */
    bool nominate_on_success; /* USE-CANDIDATE came before our own check succeeded */
    bool is_triggered;        /* it stands in the triggered-check queue */
    ice_pair *next_triggered;
    ice_transaction *check; /* the one that is retransmitted, or NULL */
    duet_time rtt;          /* smoothed, 0 while unknown */
    duet_time last_heard;   /* authenticated STUN or data */
    duet_time last_response;
    uint64_t requests_sent, requests_received, responses_sent, responses_received, consent_requests_sent;
    duet_time current_rtt, total_rtt;
};

/* ---- transactions -------------------------------------------------------------------------------------------- */

typedef enum ice_transaction_kind {
    ICE_CHECK = 0, /* connectivity check, RFC 8445 section 7 */
    ICE_CONSENT,   /* RFC 7675 */
    ICE_QUERY,     /* Binding request to a STUN server */
} ice_transaction_kind;

typedef struct ice_query ice_query;

struct ice_transaction {
    duet_timer timer; /* first: timers are cast back */
    ice_transaction *next;
    uint8_t id[DUET_STUN_TRANSACTION_LEN];
    uint8_t kind;  /* ice_transaction_kind */
    uint8_t sends; /* transmissions so far */
    uint8_t sends_max;
    bool use_candidate;
    bool controlling; /* the role that it claims */
    bool previous;    /* sent with the credentials before the restart */
    uint64_t tie_breaker;
    ice_pair *pair;   /* CHECK, CONSENT */
    ice_query *query; /* QUERY */
    duet_time first_sent, last_sent, rto;
};

/* ---- servers ------------------------------------------------------------------------------------------------- */

typedef enum ice_scheme {
    ICE_STUN = 0,
    ICE_STUNS,
    ICE_TURN,
    ICE_TURNS,
} ice_scheme;

typedef struct ice_uri {
    ice_scheme scheme;
    duet_protocol transport;
    uint16_t port;
    char host[DUET_HOST_NAME_MAX + 1];
} ice_uri;

struct ice_server {
    ice_uri uri;
    char *url;
    char *username, *credential; /* of TURN */
    ice_lookup lookup;
    uint32_t lookup_id;
    duet_address addresses[2]; /* one of each family; family NONE when there is none */
};

typedef enum ice_relay_state {
    ICE_RELAY_WAITING = 0, /* for its turn, or for its stream */
    ICE_RELAY_RUNNING,
    ICE_RELAY_READY, /* allocated, and its candidates are there */
    ICE_RELAY_RELEASING,
    ICE_RELAY_DONE, /* nothing is left of it but the candidates that pairs may still name */
} ice_relay_state;

typedef enum ice_query_state {
    ICE_QUERY_WAITING = 0,
    ICE_QUERY_RUNNING,
    ICE_QUERY_DONE,
    ICE_QUERY_FAILED,
} ice_query_state;

struct ice_query {
    ice_server *server;
    ice_socket *socket;
    duet_address remote;
    ice_query_state state;
    bool is_keepalive; /* it has given its candidate and only keeps the NAT binding alive */
};

/* ---- the agent ----------------------------------------------------------------------------------------------- */

/* A check that came before the peer's credentials: answered at once, acted upon later. RFC 8445 section 7.3. */
typedef struct ice_early {
    duet_path path;
    uint32_t priority;
    bool use_candidate;
} ice_early;

/* What remains of the generation before a restart: its selected pair with all that this needs. */
typedef struct ice_previous {
    duet_ice_credentials local_credentials, remote_credentials;
    ice_pair *pair;
    ice_local local, mapped;
    ice_remote remote;
} ice_previous;

struct duet_ice_agent {
    duet_env env;
    duet_events events;
    duet_ice_config config; /* its arrays are not kept */
    duet_address *nat_1to1;
    size_t nat_1to1_count;
    duet_outbox outbox;
    duet_timers timers;
    duet_timer pace_timer, nominate_timer, consent_timer, watch_timer, patience_timer, keepalive_timer, relay_timer,
        conclude_timer, network_timer;
    char *ca_file;

    duet_ice_role role;
    uint64_t tie_breaker;
    duet_ice_credentials local_credentials, remote_credentials;
    bool has_remote;
    bool remote_is_lite;
    bool remote_new; /* restarted there, duet_ice_agent_restart has not followed */

    duet_ice_state state, reported_state;
    duet_ice_gathering_state gathering, reported_gathering;
    bool end_announced;
    bool started; /* checks may be sent */
    bool patience_over;
    bool was_connected; /* a pair of this generation was selected */
    bool disconnected;  /* the selected pair is silent */
    bool woken;         /* on_wake was called since the last tick */
    bool lost_memory;   /* an allocation failed in this call */
    bool network_lost;  /* an address went away lately: another one may come */

    uint32_t next_id;
    bool interfaces_wanted, interfaces_running;
    duet_array sockets, locals, remotes, pairs, servers, next_servers, queries, relays; /* of pointers */
    bool has_next_servers;
    duet_ice_policy next_policy;
    duet_array early; /* of ice_early */
    uint32_t salt;    /* of foundations */
    uint32_t reflexive_count, reflexive_serial;

    ice_pair *triggered_first, *triggered_last;
    duet_time pace_next; /* when the next ordinary transaction may start */
    ice_pair *selected, *reported_selected;
    ice_pair *nominated, *nominating;
    duet_time first_valid;
    ice_previous *previous;

    ice_transaction *buckets[ICE_BUCKETS];
    ice_transaction *spare;
    size_t transaction_count;
    duet_time consent_earliest; /* when the next check may go: 0.8 × 5 s after the last one */
    duet_time unanswered_since; /* consent: first check without an answer, DUET_NEVER when there is none */
    unsigned consent_rounds;

    duet_ice_stats stats;
    duet_candidate local_view, remote_view; /* what the getters return */
};

/* agent.c */
void duet_ice_set_state(duet_ice_agent *a, duet_ice_state state, const char *cause, duet_time now);
void duet_ice_step(duet_ice_agent *a, duet_time now); /* does whatever may be done at this time */
void duet_ice_switch_role(duet_ice_agent *a, duet_ice_role role);
void duet_ice_discard(duet_ice_agent *a, size_t len, const char *cause, duet_time now);
int duet_ice_start(duet_ice_agent *a, duet_time now);         /* checks may start: pairs are formed */
void duet_ice_network_lost(duet_ice_agent *a, duet_time now); /* an address went away: failure waits for another one */

/* events.c: what has changed becomes events */
void duet_ice_report(duet_ice_agent *a);
void duet_ice_report_error(duet_ice_agent *a, const char *url, const duet_address *local, int code, const char *text);
void duet_ice_report_role(duet_ice_agent *a);
void duet_ice_report_network(duet_ice_agent *a);
void duet_ice_report_attribute(duet_ice_agent *a, bool is_request, const duet_stun_message *m);
void duet_ice_wake(duet_ice_agent *a);
void duet_ice_local_view(duet_candidate *out, const ice_local *local, const char *ufrag);
void duet_ice_remote_view(duet_candidate *out, const ice_remote *remote, const char *ufrag);

/* candidates.c */
uint32_t duet_ice_priority(unsigned type_preference, uint16_t local_preference);
ice_local *duet_ice_local_add(duet_ice_agent *a, duet_candidate_type type, ice_socket *socket,
                              const duet_address *address, const duet_address *server);
ice_local *duet_ice_local_find(const duet_ice_agent *a, const ice_socket *socket, const duet_address *address,
                               bool is_tcp);
ice_local *duet_ice_local_host(const duet_ice_agent *a, const ice_socket *socket);
ice_socket *duet_ice_socket_find(const duet_ice_agent *a, uint32_t id);
ice_remote *duet_ice_remote_find(const duet_ice_agent *a, const duet_address *address, bool is_tcp);
int duet_ice_remote_add(duet_ice_agent *a, const duet_candidate *candidate, duet_time now);
ice_remote *duet_ice_remote_reflexive(duet_ice_agent *a, const duet_address *address, uint32_t priority);
void duet_ice_remote_free(duet_ice_agent *a, ice_remote *remote);
void duet_ice_candidates_clear_remote(duet_ice_agent *a);
void duet_ice_candidates_clear_local(duet_ice_agent *a);
bool duet_ice_same_address(const duet_address *a, const duet_address *b); /* whatever the scope */
void *duet_ice_append(duet_ice_agent *a, duet_array *array,
                      size_t size); /* a new zeroed object, its pointer appended */

void duet_ice_locals_hide(duet_ice_agent *a, const ice_socket *socket);      /* not announced */
void duet_ice_locals_of_socket(duet_ice_agent *a, const ice_socket *socket); /* frees them */
void duet_ice_local_relate(const duet_ice_agent *a, ice_local *local, const duet_address *related);
ice_socket *duet_ice_stream_add(duet_ice_agent *a, const ice_server *server, const duet_address *remote,
                                const duet_address *bind);
void duet_ice_stream_end(duet_ice_agent *a, ice_socket *socket);
void duet_ice_socket_free(duet_ice_agent *a, ice_socket *socket);

/* relay.c */
int duet_ice_relays_form(duet_ice_agent *a);
bool duet_ice_relays_pending(const duet_ice_agent *a);
ice_relay *duet_ice_relay_next(const duet_ice_agent *a);
int duet_ice_relay_start(duet_ice_agent *a, ice_relay *relay, duet_time now);
void duet_ice_relays_run(duet_ice_agent *a, duet_time now);
void duet_ice_relays_rebind(duet_ice_agent *a, const duet_array *servers);
void duet_ice_relays_keep(duet_ice_agent *a, duet_time now);
void duet_ice_relays_conclude(duet_ice_agent *a, duet_time now);
void duet_ice_relays_release(duet_ice_agent *a, duet_time now);
bool duet_ice_relays_have_output(const duet_ice_agent *a);
void duet_ice_relays_free(duet_ice_agent *a);
void duet_ice_relays_socket_lost(duet_ice_agent *a, const ice_socket *socket, const char *why, duet_time now);
bool duet_ice_relay_permit(const ice_socket *base, const duet_address *remote);
void duet_ice_relay_bind(const ice_pair *pair);
/* @return 1: `in` has become a datagram of a relayed address; 0: it was the relay's; DUET_ERR_NOT_MINE */
int duet_ice_relay_input(duet_ice_agent *a, duet_datagram *in, duet_time now);
int duet_ice_relay_wrap(duet_ice_agent *a, const ice_socket *base, duet_datagram *out);
int duet_ice_relays_output(duet_ice_agent *a, duet_datagram *out);
bool duet_ice_relays_path_error(duet_ice_agent *a, const duet_path *path, duet_time now);

/* tcp.c */
int duet_ice_tcp_add(duet_ice_agent *a, ice_socket *host, duet_time now);
ice_socket *duet_ice_tcp_connect(duet_ice_agent *a, const ice_local *local, const ice_remote *remote);
int duet_ice_tcp_accepted(duet_ice_agent *a, const duet_answer *answer);
ice_local *duet_ice_tcp_local(const duet_ice_agent *a, const ice_socket *connection);
void duet_ice_tcp_opened(duet_ice_agent *a, ice_socket *connection, bool ok, duet_time now);
void duet_ice_tcp_end(duet_ice_agent *a, ice_socket *connection);
void duet_ice_tcp_lost(duet_ice_agent *a, ice_socket *connection, duet_time now);
void duet_ice_tcp_release(duet_ice_agent *a, ice_pair *pair);
bool duet_ice_tcp_is_ready(const ice_pair *pair); /* checks may be sent: it is of UDP, or connected */
int duet_ice_tcp_frame(duet_datagram *out);
uint32_t duet_ice_tcp_check_priority(const ice_pair *pair);

/* gather.c */
int duet_ice_gather_start(duet_ice_agent *a, duet_time now);
int duet_ice_gather_request(duet_ice_agent *a, duet_request *out);
int duet_ice_gather_answer(duet_ice_agent *a, const duet_answer *answer, duet_time now);
void duet_ice_gather_update(duet_ice_agent *a); /* complete? */
void duet_ice_gather_close(duet_ice_agent *a);
void duet_ice_gather_free(duet_ice_agent *a);
bool duet_ice_gather_is_closing(const duet_ice_agent *a); /* a CLOSE request is to be pulled */

/* servers.c */
int duet_ice_servers_parse(duet_ice_agent *a, duet_array *out, const duet_ice_server *const *servers, size_t count);
void duet_ice_servers_free(duet_ice_agent *a, duet_array *servers);
void duet_ice_servers_start(duet_ice_agent *a);
void duet_ice_servers_resolved(duet_ice_agent *a, const duet_answer *answer);
int duet_ice_queries_form(duet_ice_agent *a); /* for every open socket and known server address */
bool duet_ice_queries_pending(const duet_ice_agent *a);
ice_query *duet_ice_query_next(const duet_ice_agent *a); /* one that waits to be sent */
void duet_ice_query_answered(duet_ice_agent *a, ice_query *query, const duet_stun_message *m);
void duet_ice_query_failed(duet_ice_agent *a, ice_query *query, int code, const char *text);
void duet_ice_queries_keepalive(duet_ice_agent *a, duet_time now);
void duet_ice_keepalive_arm(duet_ice_agent *a, duet_time now);
void duet_ice_queries_clear(duet_ice_agent *a);
void duet_ice_queries_fail(duet_ice_agent *a, const ice_socket *socket, const char *text);
void duet_ice_queries_of_socket(duet_ice_agent *a, const ice_socket *socket); /* forgets them */
bool duet_ice_can_query(const ice_socket *socket, const duet_address *remote);
bool duet_ice_server_equal(const ice_server *x, const ice_server *y);
void duet_ice_reflexive_add(duet_ice_agent *a, ice_socket *socket, const duet_address *server,
                            const duet_address *mapped);

/* uri.c */
int duet_ice_uri_parse(ice_uri *out, const char *text);

/* checklist.c */
bool duet_ice_can_pair(const duet_ice_agent *a, const ice_local *local, const ice_remote *remote);
int duet_ice_pair_form(duet_ice_agent *a, ice_local *local, ice_remote *remote, duet_time now);
int duet_ice_pairs_form_all(duet_ice_agent *a, duet_time now);
ice_pair *duet_ice_pair_add(duet_ice_agent *a, ice_local *local, ice_remote *remote, ice_socket *connection);
ice_pair *duet_ice_pair_find(const duet_ice_agent *a, const duet_path *path);     /* the previous one too */
ice_pair *duet_ice_pair_previous(const duet_ice_agent *a, const duet_path *path); /* it has this path, or NULL */
void duet_ice_pair_set_state(duet_ice_agent *a, ice_pair *pair, duet_ice_pair_state state, duet_time now);
void duet_ice_pair_remove(duet_ice_agent *a, ice_pair *pair);
void duet_ice_pairs_clear(duet_ice_agent *a);
void duet_ice_pairs_reprioritize(duet_ice_agent *a);
void duet_ice_pairs_unfreeze(duet_ice_agent *a, const ice_pair *like, duet_time now);
ice_pair *duet_ice_pair_next(duet_ice_agent *a, duet_time now); /* for an ordinary check, or NULL */
bool duet_ice_pair_is_running(const ice_pair *pair);
bool duet_ice_pairs_running(const duet_ice_agent *a);
void duet_ice_trigger(duet_ice_agent *a, ice_pair *pair, duet_time now);
ice_pair *duet_ice_triggered_pop(duet_ice_agent *a);
void duet_ice_triggered_remove(duet_ice_agent *a, ice_pair *pair);

/* pacing.c */
void duet_ice_pace(duet_ice_agent *a, duet_time now); /* starts the transactions that are due */
duet_time duet_ice_pacing(const duet_ice_agent *a);   /* Ta */

/* transaction.c */
ice_transaction *duet_ice_transaction_new(duet_ice_agent *a, ice_transaction_kind kind, duet_time now);
ice_transaction *duet_ice_transaction_find(const duet_ice_agent *a, const uint8_t *id);
void duet_ice_transaction_free(duet_ice_agent *a, ice_transaction *t);
void duet_ice_transaction_sent(duet_ice_agent *a, ice_transaction *t, duet_time now); /* arms the retransmission */
void duet_ice_transaction_cancel(duet_ice_agent *a, ice_transaction *t); /* not sent again; an answer still counts */
void duet_ice_transaction_due(duet_ice_agent *a, ice_transaction *t, duet_time now);
void duet_ice_transactions_of_pair(duet_ice_agent *a, const ice_pair *pair); /* frees them */
void duet_ice_transactions_of_query(duet_ice_agent *a, const ice_query *query);
void duet_ice_transactions_purge(duet_ice_agent *a, duet_time now); /* frees what is too old to be answered */
void duet_ice_transactions_clear(duet_ice_agent *a);

/* check.c */
int duet_ice_check_start(duet_ice_agent *a, ice_pair *pair, bool use_candidate, duet_time now);
int duet_ice_consent_send(duet_ice_agent *a, ice_pair *pair, duet_time now);
int duet_ice_query_start(duet_ice_agent *a, ice_query *query, duet_time now);
void duet_ice_transmit(duet_ice_agent *a, ice_transaction *t, duet_time now);
void duet_ice_check_timeout(duet_ice_agent *a, ice_transaction *t, duet_time now);
void duet_ice_check_response(duet_ice_agent *a, const duet_stun_message *m, const duet_path *path, duet_time now);

/* respond.c */
void duet_ice_check_request(duet_ice_agent *a, const duet_stun_message *m, const duet_path *path, duet_time now);
void duet_ice_early_process(duet_ice_agent *a, duet_time now);
ice_pair *duet_ice_pair_learn(duet_ice_agent *a, const duet_path *path, uint32_t priority);

/* nominate.c */
void duet_ice_nominate(duet_ice_agent *a, duet_time now); /* the controlling agent's decision, when it is time */
void duet_ice_nominated(duet_ice_agent *a, ice_pair *pair, duet_time now);
void duet_ice_peer_nominates(duet_ice_agent *a, ice_pair *pair, duet_time now); /* USE-CANDIDATE on a valid pair */
void duet_ice_select(duet_ice_agent *a, duet_time now); /* makes the best pair the selected one */

/* consent.c */
void duet_ice_consent_begin(duet_ice_agent *a, duet_time now); /* watches the selected pair, or nothing */
void duet_ice_consent_due(duet_ice_agent *a, duet_time now);
void duet_ice_watch_due(duet_ice_agent *a, duet_time now);
void duet_ice_heard(duet_ice_agent *a, ice_pair *pair, bool is_response, duet_time now);
void duet_ice_pair_lost(duet_ice_agent *a, ice_pair *pair, const char *cause, duet_time now);
bool duet_ice_pair_is_fresh(const duet_ice_agent *a, const ice_pair *pair, duet_time now);

/* restart.c */
int duet_ice_keep_previous(duet_ice_agent *a, duet_time now);
void duet_ice_previous_free(duet_ice_agent *a);
void duet_ice_generation_clear(duet_ice_agent *a);

/* lite.c */
void duet_ice_lite_request(duet_ice_agent *a, const duet_path *path, uint32_t priority, bool use_candidate,
                           duet_time now);
void duet_ice_lite_select(duet_ice_agent *a, duet_time now); /* both sides are lite */
void duet_ice_lite_watch(duet_ice_agent *a, duet_time now);

#endif
