/* What the files of sctp/ share: the object, its channels, the queue of messages to send and the inbox of events.
 * RFC 8831, RFC 8832. */
#ifndef DUET_SCTP_INTERNAL_H
#define DUET_SCTP_INTERNAL_H

#include "base/bytes.h"
#include "base/events.h"
#include "base/map.h"
#include "base/outbox.h"
#include "duet/dcep.h"
#include "duet/sctp.h"
#include "sctp/ack_thinning.h"
#include "sctp/association.h"

/* ---- messages to send ------------------------------------------------------------------------------------------ */

/* A message, or the rest of one, that the engine has not taken. */
typedef struct outgoing {
    struct outgoing *next;
    uint32_t ppid;
    size_t
        buffered; /* what of it counts in buffered_amount: nothing of DCEP, nothing of the byte of an empty message */
    size_t len, offset;
    size_t capacity;
    uint8_t data[];
} outgoing;

typedef struct send_queue {
    duet_dc *first_busy, *last_busy; /* channels with something to send, each in its turn */
    duet_dc *unfinished; /* its first message is partly with the engine: nothing else may go before the rest */
    size_t bytes;
    bool blocked;    /* the engine was full; until it says writable */
    bool refused;    /* some channel has heard DUET_ERR_AGAIN */
    outgoing *spare; /* recycled: sending allocates nothing in steady state */
    size_t spare_bytes;
} send_queue;

/* ---- what the application will hear ---------------------------------------------------------------------------- */

typedef enum inbox_kind {
    INBOX_NOTHING = 0, /* its channel was released meanwhile */
    INBOX_STATE,
    INBOX_CHANNEL,
    INBOX_OPEN,
    INBOX_MESSAGE,
    INBOX_LOW,
    INBOX_CLOSING,
    INBOX_CLOSE,
} inbox_kind;

typedef struct inbox_item {
    uint8_t kind;
    bool is_text;
    bool from_engine; /* data is from malloc, not from the allocator */
    uint8_t state;    /* INBOX_STATE */
    duet_dc *dc;
    uint8_t *data;
    size_t len;
} inbox_item;

/* A ring. It keeps room for every event that a channel can still cause, so only a message can find it full. */
typedef struct inbox {
    inbox_item *items;
    size_t capacity, first, count; /* capacity is a power of two, or 0 */
    size_t reserved;
} inbox;

/* channel, open, closing, close and one low at a time */
#define INBOX_EVENTS_PER_CHANNEL 5
#define INBOX_EVENTS_OF_STATE    4

/* ---- messages that arrive -------------------------------------------------------------------------------------- */

typedef struct assembly {
    uint8_t *data;
    size_t len, capacity;
    uint16_t stream;
    bool unordered;
    bool active;
    bool skip; /* the rest of a message that is too large */
} assembly;

/* ---- objects --------------------------------------------------------------------------------------------------- */

#define STRAY_RESETS_MAX 16

#define DUET_PRIORITY_CLASSES 4

struct duet_sctp {
    duet_env env;
    duet_sctp_config config;
    duet_events events;
    duet_outbox outbox;
    const duet_association_engine *engine;
    duet_association *association;
    duet_sctp_state state;
    bool is_dtls_client;
    uint16_t remote_port;
    uint64_t remote_max_message; /* 0: no limit */
    uint16_t max_channels;       /* 0 until connected */

    duet_dc *first_dc, *last_dc; /* all channels that have a handle or a stream */
    duet_map by_id;
    size_t dc_count;
    unsigned priorities[DUET_PRIORITY_CLASSES]; /* channels of each class that are not closed */
    unsigned resets_wanted;                     /* channels that wait for their turn to reset */
    unsigned resets_pending;                    /* … and for the answer */
    duet_time resets_since;                     /* the first of them waits; DUET_NEVER when none does */
    uint16_t stray_resets[STRAY_RESETS_MAX];    /* streams without a channel that are to be reset */
    unsigned stray_count;

    send_queue queue;
    inbox inbox;
    assembly assembly;

    duet_time now; /* of the last call */
    duet_time last_input, last_tick;
    bool active;
    bool woken;
    bool in_input;
    ack_thinning acks;
    bool wants_flush; /* messages were sent since the last tick: they may wait in the engine for company */
    bool down;        /* the association has ended inside the engine; its socket is to be closed */
    duet_sctp_stats stats;
};

struct duet_dc {
    duet_sctp *sctp;
    duet_dc *previous, *next; /* in the list of all */
    duet_dc_callbacks callbacks;
    char *label, *protocol;
    uint16_t id;
    uint16_t priority;
    duet_dc_state state;
    bool unordered, negotiated;
    duet_reliability reliability;
    uint32_t reliability_value;

    bool acked;                       /* the peer knows the channel: unordered messages may go unordered */
    bool reset_wanted, reset_pending; /* our side of the stream: to be reset, waiting for the answer */
    bool out_reset, in_reset;
    bool released;
    bool low_pending;
    bool refused;

    outgoing *first, *last;
    bool busy;
    duet_dc *next_busy;
    size_t buffered, low_threshold;

    uint8_t *partial; /* of deprecated partial messages, PPID 52 and 54 */
    size_t partial_len;
    duet_dc_stats stats;
};

/* sctp.c */
void duet_sctp_enter(duet_sctp *s, duet_time now);
void duet_sctp_leave(duet_sctp *s); /* delivers; the object may be gone afterwards */
void duet_sctp_wake(duet_sctp *s);  /* after an API call outside a turn: work is due */
void duet_sctp_set_active(duet_sctp *s);
void duet_sctp_reset_stray(duet_sctp *s, uint16_t stream);

/* inbox.c */
int duet_inbox_reserve(duet_sctp *s, size_t channels); /* before one more channel exists */
void duet_inbox_push(duet_sctp *s, inbox_kind kind, duet_dc *dc);
void duet_inbox_push_state(duet_sctp *s, duet_sctp_state state);
int duet_inbox_push_message(duet_sctp *s, duet_dc *dc, uint8_t *data, size_t len, bool is_text, bool from_engine);
void duet_inbox_forget(duet_sctp *s, duet_dc *dc);
void duet_inbox_deliver(duet_sctp *s);
void duet_inbox_free(duet_sctp *s);
void duet_inbox_free_data(duet_sctp *s, uint8_t *data, bool from_engine);

/* send_queue.c */
/* Sends or queues. `buffered` as in outgoing. */
int duet_send_queue_put(duet_dc *dc, uint32_t ppid, const uint8_t *data, size_t len, size_t buffered);
void duet_send_queue_flush(duet_sctp *s);
void duet_send_queue_drop(duet_dc *dc); /* all that waits on this channel */
void duet_send_queue_trim(duet_sctp *s);

/* data_channel.c */
duet_dc *duet_dc_find(const duet_sctp *s, uint16_t id);
int duet_dc_open_remote(duet_sctp *s, uint16_t id, const duet_dcep_open *open);
void duet_dc_connected(duet_sctp *s);  /* the association is up: channels that waited open */
void duet_dc_assign_ids(duet_sctp *s); /* the DTLS role is known */
void duet_dc_start_closing(duet_dc *dc);
void duet_dc_announce_closing(duet_dc *dc); /* … for a reason other than close() */
void duet_dc_incoming_reset(duet_dc *dc);
void duet_dc_outgoing_reset(duet_dc *dc, bool succeeded);
void duet_dc_finish_close(duet_dc *dc); /* may free it */
void duet_dc_close_all(duet_sctp *s);
void duet_dc_free(duet_dc *dc);
bool duet_dc_reset_is_due(const duet_dc *dc);

/* channel_messages.c */
void duet_channel_fragment(duet_sctp *s, const duet_association_fragment *fragment);
void duet_channel_fragments_aborted(duet_sctp *s);

/* chunk_check.c */
/* Whether a packet may go to the engine: NULL, or why not. */
const char *duet_sctp_refuse_packet(const uint8_t *packet, size_t len, uint16_t source_port, uint16_t destination_port);

#endif
