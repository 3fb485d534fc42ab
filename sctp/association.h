/* An SCTP association as the data channels see it: packets in and out, messages in and out, streams reset. It says
 * nothing of the engine behind it. RFC 9260, RFC 3758 (partial reliability), RFC 6525 (stream reset).
 *
 * Callbacks run inside calls on the association, with the engine's locks held: they may note what happened, hand a
 * packet on, and nothing else. The one exception is `wake`, which may come from any thread at any time. */
#ifndef DUET_SCTP_ASSOCIATION_H
#define DUET_SCTP_ASSOCIATION_H

#include "duet/base.h"

typedef struct duet_association duet_association;

/* The IANA registry of payload protocol identifiers, RFC 8831 section 8. */
enum {
    DUET_PPID_DCEP = 50,
    DUET_PPID_STRING = 51,
    DUET_PPID_BINARY_PARTIAL = 52, /* deprecated: understood, never sent */
    DUET_PPID_BINARY = 53,
    DUET_PPID_STRING_PARTIAL = 54, /* deprecated */
    DUET_PPID_STRING_EMPTY = 56,
    DUET_PPID_BINARY_EMPTY = 57,
};

typedef enum duet_association_event {
    DUET_ASSOCIATION_UP = 1,
    DUET_ASSOCIATION_RESTARTED, /* the peer began again, RFC 9260 section 5.2: its streams are new */
    DUET_ASSOCIATION_SHUTDOWN,  /* the peer wants to end it */
    DUET_ASSOCIATION_LOST,      /* aborted by the peer, or unreachable */
} duet_association_event;

/* Part of a message, or all of it. */
typedef struct duet_association_fragment {
    uint16_t stream;
    uint32_t ppid;
    bool unordered;
    bool end;      /* of the message */
    uint8_t *data; /* from malloc; the callback takes it over */
    size_t len;
} duet_association_fragment;

typedef struct duet_association_callbacks {
    /* One packet with its checksum in place. */
    void (*packet)(void *user, const uint8_t *packet, size_t len);
    void (*fragment)(void *user, const duet_association_fragment *fragment);
    /* The rest of the message under way will not come. */
    void (*fragments_aborted)(void *user, uint16_t stream);
    void (*event)(void *user, duet_association_event event, uint16_t streams_out, uint16_t streams_in);
    /* Streams began anew. `incoming`: the peer did it to its own; otherwise our request has an answer, good or not. */
    void (*streams_reset)(void *user, const uint16_t *streams, size_t count, bool incoming, bool succeeded);
    /* There is room again behind a send that was not taken whole. */
    void (*writable)(void *user);
    /* Something waits for duet_association's owner; from any thread. */
    void (*wake)(void *user);
    void *user;
} duet_association_callbacks;

typedef struct duet_association_config {
    uint16_t local_port;
    size_t mtu; /* largest packet */
    uint16_t streams;
    size_t send_buffer;
    size_t receive_buffer;
    duet_time rto_initial;
    duet_time rto_min;
} duet_association_config;

typedef enum duet_reliability {
    DUET_RELIABLE = 0,
    DUET_LIMIT_RETRANSMITS, /* value: how many */
    DUET_LIMIT_LIFE_TIME,   /* value: milliseconds */
} duet_reliability;

typedef struct duet_association_send {
    uint16_t stream;
    uint32_t ppid;
    bool unordered;
    duet_reliability reliability;
    uint32_t reliability_value;
} duet_association_send;

typedef struct duet_association_status {
    duet_time smoothed_round_trip_time;
    uint32_t congestion_window, receiver_window, mtu;
    uint32_t unacknowledged, pending; /* chunks sent, and waiting to be sent */
} duet_association_status;

/* What an engine does. `now` brings its clock forward first, where it has one. */
typedef struct duet_association_engine {
    int (*create)(duet_association **out, const duet_env *env, const duet_association_config *config,
                  const duet_association_callbacks *callbacks, duet_time now);
    void (*destroy)(duet_association *association); /* says nothing to the peer */
    int (*connect)(duet_association *association, uint16_t remote_port, duet_time now);
    /* A packet that the chunk checker has passed. */
    void (*input)(duet_association *association, const uint8_t *packet, size_t len, duet_time now);
    /* Gives a message, or the rest of one, to the engine. *taken says how many bytes it took: fewer than len means that
     * the rest must follow, before anything else on that stream, after `writable`.
     * @return DUET_OK, DUET_ERR_AGAIN (nothing taken), or why the message cannot be sent */
    int (*send)(duet_association *association, const duet_association_send *how, const uint8_t *data, size_t len,
                size_t *taken);
    /* Messages given since the last flush may wait to share a packet: lets them go. */
    void (*flush)(duet_association *association);
    /* Asks the peer to let our outgoing streams begin anew. DUET_ERR_AGAIN while an earlier request is under way. */
    int (*reset_streams)(duet_association *association, const uint16_t *streams, size_t count);
    void (*abort)(duet_association *association); /* tells the peer */
    /* Runs timers, and hands on what came up on other threads. */
    void (*tick)(duet_association *association, duet_time now);
    /* Only hands on; cheap when there is nothing. */
    void (*collect)(duet_association *association);
    void (*status)(duet_association *association, duet_association_status *out);
} duet_association_engine;

extern const duet_association_engine duet_engine_usrsctp;

/* How often the timers of an active association must run. */
#define DUET_ASSOCIATION_TICK DUET_MS(10)

#endif
