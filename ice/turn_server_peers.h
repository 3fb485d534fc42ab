/* Who may be reached through the server: rules of addresses, and what the server knows of its own host. */
#ifndef DUET_ICE_TURN_SERVER_PEERS_H
#define DUET_ICE_TURN_SERVER_PEERS_H

#include "base/memory.h"
#include "ice/turn_server_registry.h"

/* A rule: addresses that begin with the same `bits`. */
typedef struct turn_prefix {
    duet_address address;
    uint8_t bits;
} turn_prefix;

/* Parses "192.0.2.0/24" or "192.0.2.1". @return DUET_OK or DUET_ERR_INVALID */
int duet_turn_prefix_parse(turn_prefix *out, const char *text);
bool duet_turn_prefix_contains(const turn_prefix *prefix, const duet_address *address);

/* Whether an address is of those that nobody gets at without an explicit rule. */
bool duet_turn_is_internal(const duet_address *address);

/* What the rules say of an IP address; ports are looked at when a datagram passes. */
typedef enum turn_verdict {
    TURN_PEER_DENIED = 0,
    TURN_PEER_ALIVE_ONLY,   /* only relayed addresses of live allocations */
    TURN_PEER_NO_LISTENERS, /* allowed by a rule, but it is this host: not the listeners */
    TURN_PEER_ALLOWED,
} turn_verdict;

/* An address where relayed addresses are opened, as it is here and as clients know it. */
typedef struct turn_relay_address {
    duet_address here, told; /* port 0; family NONE: there is none of that family */
    turn_ports *ports;
} turn_relay_address;

#define TURN_RELAY_ADDRESSES 2 /* IPv4, IPv6 */

typedef struct turn_peers {
    duet_array allow, deny; /* of turn_prefix */
    duet_array listeners;   /* of duet_address, with ports */
    duet_array own;         /* of duet_address, port 0: the interfaces of this host */
    turn_relay_address relays[TURN_RELAY_ADDRESSES];
} turn_peers;

void duet_turn_peers_init(turn_peers *p, const duet_env *env);
void duet_turn_peers_free(turn_peers *p);
turn_verdict duet_turn_peers_judge(const turn_peers *p, const duet_address *peer);
/* Whether a datagram may pass to or from that address and port, whose IP address got the verdict. */
bool duet_turn_peers_may_pass(const turn_peers *p, turn_verdict verdict, const duet_address *peer);

#endif
