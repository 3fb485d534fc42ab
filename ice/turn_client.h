/* A TURN client: one allocation on one server, reached by one path (RFC 8656). It knows nothing of ICE.
 *
 * It is fed what comes from the server, ticked and pulled; changes show in its state, which the owner looks at after
 * every call. Payloads are wrapped in the headroom of their datagram and unwrapped in place. Events and callbacks there are
 * none. Bounds: DUET_TURN_PERMISSIONS_MAX peer addresses, DUET_TURN_CHANNELS_MAX channels (data to further peers goes in
 * Send indications), eight transactions at a time; what is wanted beyond waits for its turn. */
#ifndef DUET_ICE_TURN_CLIENT_H
#define DUET_ICE_TURN_CLIENT_H

#include "duet/base.h"

#define DUET_TURN_PERMISSIONS_MAX 128
#define DUET_TURN_CHANNELS_MAX    16

typedef struct duet_turn_client duet_turn_client;

typedef enum duet_turn_state {
    DUET_TURN_ALLOCATING = 0,
    DUET_TURN_ALLOCATED,
    DUET_TURN_REDIRECTED, /* 300: a new client has to be made for `alternate` */
    DUET_TURN_FAILED,     /* error_code and error_text tell why */
    DUET_TURN_RELEASING,
    DUET_TURN_RELEASED,
} duet_turn_state;

typedef struct duet_turn_client_config {
    const duet_env *env;               /* must outlive the client */
    duet_path path;                    /* remote is the server */
    const char *username, *credential; /* copied; NULL when there are none */
    duet_family family;                /* of the relayed address; NONE: the server's choice, which is IPv4 */
    bool both_families; /* with family NONE: an IPv4 and an IPv6 address, as far as the server has them */
} duet_turn_client_config;

typedef struct duet_turn_client_info {
    duet_turn_state state;
    duet_address relayed[2]; /* [0] IPv4, [1] IPv6; family NONE when there is none */
    duet_address mapped;     /* how the server sees this client; family NONE when it did not say */
    duet_address alternate;  /* REDIRECTED */
    uint16_t error_code;     /* FAILED: 300 to 699 of STUN, or 701: the server does not answer */
    char error_text[192];
    duet_time rtt; /* of the first answered request that was sent once, 0 while unknown */
    uint64_t stale_nonces;
} duet_turn_client_info;

/* The first Allocate request is in the output afterwards.
 * @return DUET_OK, DUET_ERR_INVALID (a user name of more than 508 bytes), DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
int duet_turn_client_create(duet_turn_client **out, const duet_turn_client_config *config, duet_time now);
void duet_turn_client_destroy(duet_turn_client *c); /* NULL is fine */

const duet_turn_client_info *duet_turn_client_get(const duet_turn_client *c);

/* Feeds a datagram or a frame of the stream from the server.
 * @return 1: it carried data, `in` has become the payload and its path.remote the peer; 0: it was taken; and
 *         DUET_ERR_NOT_MINE: neither a response to this client nor data (not from the server's address, unknown
 *         transaction, no such channel, no permission): the bytes are as they were */
int duet_turn_client_input(duet_turn_client *c, duet_datagram *in, duet_time now);
/* @return 1 and the next message to the server, or 0 */
int duet_turn_client_output(duet_turn_client *c, duet_datagram *out);
bool duet_turn_client_has_output(const duet_turn_client *c);
void duet_turn_client_tick(duet_turn_client *c, duet_time now);
/* 0 when there is work that only waits for a tick. */
duet_time duet_turn_client_deadline(const duet_turn_client *c);

/* Asks for a permission for the IP address of `peer`; it is renewed as long as data passes. Sending may begin at once: the
 * request is ahead of it. @return DUET_OK, DUET_ERR_AUTH (the server has refused it), DUET_ERR_LIMIT, DUET_ERR_NOMEM */
int duet_turn_client_permit(duet_turn_client *c, const duet_address *peer);
/* Whether the server has refused to relay to this peer (403, 443). */
bool duet_turn_client_is_refused(const duet_turn_client *c, const duet_address *peer);
/* Asks for a channel to `peer`, for less overhead. @return DUET_OK also when it is there, DUET_ERR_LIMIT, DUET_ERR_NOMEM */
int duet_turn_client_bind(duet_turn_client *c, const duet_address *peer);

/* Wraps a payload for the peer out->path.remote: ChannelData where a channel is bound, otherwise a Send indication. Its path
 * becomes the one to the server. Uses up to 48 bytes of headroom, and up to three bytes behind the payload for padding.
 * @return DUET_OK, DUET_ERR_STATE (no allocation), DUET_ERR_AUTH (refused), DUET_ERR_BUFFER, DUET_ERR_TOO_LARGE,
 * DUET_ERR_LIMIT, DUET_ERR_NOMEM */
int duet_turn_client_wrap(duet_turn_client *c, duet_datagram *out);

/* Gives the allocation up. Without one the state is RELEASED at once. What was pulled before stays valid. */
void duet_turn_client_release(duet_turn_client *c, duet_time now);
/* The stream to the server has ended, or the server cannot be reached. */
void duet_turn_client_lost(duet_turn_client *c, const char *why);

#endif
