/* What the files of the TURN client share. */
#ifndef DUET_ICE_TURN_CLIENT_INTERNAL_H
#define DUET_ICE_TURN_CLIENT_INTERNAL_H

#include "base/bytes.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/timer.h"
#include "duet/stun.h"
#include "ice/turn_auth.h"
#include "ice/turn_client.h"

#define TURN_TRANSACTIONS_MAX 8
#define TURN_PEERS_MAX        8 /* in one CreatePermission request */

/* "Permission Lifetime MUST be 300 seconds", "channel bindings last for 10 minutes" RFC 8656 sections 9 and 12. A
 * ChannelBind renews the permission too, so both are renewed in the same rhythm. */
#define TURN_RENEW_AFTER DUET_SECONDS(240)

typedef enum turn_peer_state {
    TURN_PEER_IDLE = 0, /* not in use: not renewed any more */
    TURN_PEER_WANTED,
    TURN_PEER_ASKED,
    TURN_PEER_GRANTED,
    TURN_PEER_REFUSED,
} turn_peer_state;

typedef struct turn_permission {
    duet_address ip; /* port 0 */
    uint8_t state;   /* turn_peer_state */
    bool used;       /* since it was renewed */
    bool alone;      /* a request for several was refused: this one is asked for by itself */
    duet_time renew_at;
} turn_permission;

typedef struct turn_channel {
    duet_address peer;
    uint16_t number;
    uint8_t state; /* turn_peer_state; data uses it while it is granted, also while it is being renewed */
    bool used;
    bool is_bound;
    duet_time renew_at;
} turn_channel;

typedef struct turn_transaction {
    duet_timer timer; /* first: timers are cast back */
    uint8_t id[DUET_STUN_TRANSACTION_LEN];
    uint16_t method; /* 0: this place is free */
    uint8_t sends;
    uint8_t stale;      /* how often it was begun again for a stale nonce */
    bool is_signed;     /* with the credentials of a challenge */
    bool deletes;       /* a Refresh with lifetime 0 */
    uint8_t peer_count; /* CreatePermission */
    uint8_t peers[TURN_PEERS_MAX];
    uint8_t channel; /* ChannelBind */
    duet_time first_sent;
} turn_transaction;

struct duet_turn_client {
    const duet_env *env;
    duet_path path;
    duet_family family;
    bool both_families;
    duet_turn_client_info info;
    duet_turn_auth auth;
    duet_outbox outbox;
    duet_timers timers;
    duet_timer refresh_timer, renew_timer, keepalive_timer;
    turn_transaction transactions[TURN_TRANSACTIONS_MAX];
    bool has_cleared;    /* an old allocation of this path was deleted once */
    bool is_clearing;    /* and is being */
    bool has_challenged; /* the credentials were used in an Allocate request */
    bool has_wanted;     /* permissions or channels are to be asked for */
    bool sent;           /* something went to the server since the last keep-alive was due */
    duet_time expires_at;
    duet_array permissions; /* turn_permission */
    duet_array channels;    /* turn_channel */
    size_t last_channel;    /* that data was wrapped in */
    uint16_t next_number;
    uint8_t indication_id[DUET_STUN_TRANSACTION_LEN];
};

/* turn_client.c */
turn_transaction *duet_turn_client_begin(duet_turn_client *c,
                                         uint16_t method); /* NULL: all are in use, or no randomness */
void duet_turn_client_transmit(duet_turn_client *c, turn_transaction *t, duet_time now);

/* turn_client_data.c */
int duet_turn_client_unwrap(duet_turn_client *c, duet_datagram *in); /* 1 or DUET_ERR_NOT_MINE */

/* turn_client_peers.c */
void duet_turn_client_peers_flush(duet_turn_client *c, duet_time now); /* asks for what is wanted */
void duet_turn_client_peers_renew(duet_turn_client *c, duet_time now);
void duet_turn_client_add_peers(const duet_turn_client *c, const turn_transaction *t, duet_stun_builder *b);
void duet_turn_client_peers_granted(duet_turn_client *c, const turn_transaction *t, duet_time now);
void duet_turn_client_peers_refused(duet_turn_client *c, const turn_transaction *t, unsigned code, duet_time now);
turn_permission *duet_turn_client_permission(const duet_turn_client *c, const duet_address *peer);
turn_channel *duet_turn_client_channel(duet_turn_client *c, const duet_address *peer);

#endif
