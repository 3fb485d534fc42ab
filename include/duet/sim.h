/* A simulated network under virtual time: hosts, their links, and the endpoints on them. No real clock, socket or
 * thread: a minute of traffic takes milliseconds, and the same seed gives the same packets, bit for bit.
 *
 * Each address of a host hangs on a link to the core of the network, or to a NAT that stands between it and the core; a
 * packet passes the sender's link upwards and the receiver's downwards. Streams are simulated too: what is lost of them comes
 * later, and TLS is treated like TCP. A datagram to a multicast group reaches whoever has joined it in the sender's site. */
#ifndef DUET_SIM_H
#define DUET_SIM_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_sim duet_sim;
typedef struct duet_sim_host duet_sim_host;
typedef struct duet_sim_nat duet_sim_nat;
struct duet_pc;

/** How a link treats packets, in one direction. Zeroed is a perfect link. Probabilities are 0 to 1. */
typedef struct duet_sim_link {
    uint64_t rate;           /**< bits per second; 0: infinite */
    duet_time delay;         /**< propagation, microseconds */
    duet_time jitter;        /**< up to so much more, uniform; order is kept unless `reorder` strikes */
    double loss;             /**< independent */
    double burst_enter;      /**< per packet: from the good to the bad state (Gilbert-Elliott) */
    double burst_leave;      /**< per packet: back */
    double burst_loss;       /**< loss in the bad state */
    double reorder;          /**< a packet is held back so that later ones pass it */
    duet_time reorder_delay; /**< for so long; 0 is 10 ms */
    double duplicate;
    double corrupt; /**< one bit flips */
    size_t mtu;     /**< longest UDP payload that passes; 0: any */
    size_t queue;   /**< bytes that wait for the rate; 0 is 128 KiB. Beyond it packets are dropped */
    bool down;      /**< nothing passes */
} duet_sim_link;

typedef struct duet_sim_config {
    size_t size;
    const duet_env *env;
    uint64_t seed;
    duet_time start; /**< virtual time at the beginning */
} duet_sim_config;

DUET_API void duet_sim_config_init(duet_sim_config *config);
DUET_API int duet_sim_create(duet_sim **out, const duet_sim_config *config);
/** Endpoints that are still attached are forgotten, not destroyed. */
DUET_API void duet_sim_destroy(duet_sim *sim);

DUET_API duet_time duet_sim_now(const duet_sim *sim);
/** Seeded randomness of the world, fit to be the `random` of an env whose user is the sim. */
DUET_API int duet_sim_random(void *sim, uint8_t *out, size_t len);

/* ---- the network ------------------------------------------------------------------------------------------------ */

DUET_API int duet_sim_host_create(duet_sim_host **out, duet_sim *sim, const char *name);
/** Gives the host an interface with this address ("10.0.0.1", "2001:db8::1") on a link of its own.
 *  @param up, down  the two directions, copied; NULL: perfect */
DUET_API int duet_sim_host_add_address(duet_sim_host *host, const char *address, const duet_sim_link *up,
                                       const duet_sim_link *down);
/** Changes the link of an address while packets flow: those under way arrive as they would have. */
DUET_API int duet_sim_host_set_link(duet_sim_host *host, const char *address, const duet_sim_link *up,
                                    const duet_sim_link *down);
/** The same for an address that is reachable only from behind this NAT; others may use the same address behind theirs. */
DUET_API int duet_sim_host_add_address_behind(duet_sim_host *host, duet_sim_nat *nat, const char *address,
                                              const duet_sim_link *up, const duet_sim_link *down);
/** The interface goes away with its sockets' reachability (`down`) or comes back. */
DUET_API int duet_sim_host_set_interface(duet_sim_host *host, const char *address, bool is_up);
/** What look-ups of `name` find; several calls give several addresses. */
DUET_API int duet_sim_add_name(duet_sim *sim, const char *name, const char *address);

/* ---- NATs and firewalls ----------------------------------------------------------------------------------------- */

/** What a NAT looks at when it maps and when it filters, RFC 4787 sections 4.1 and 5. */
typedef enum duet_sim_nat_rule {
    DUET_SIM_ENDPOINT_INDEPENDENT = 0,   /**< one mapping for all peers; everybody may send in */
    DUET_SIM_ADDRESS_DEPENDENT,          /**< … for each address */
    DUET_SIM_ADDRESS_AND_PORT_DEPENDENT, /**< … for each address and port */
} duet_sim_nat_rule;

typedef struct duet_sim_nat_config {
    size_t size;
    const char *address, *address6; /**< on the outside, of each family; NULL: this family does not get through */
    duet_sim_nat_rule mapping, filtering;
    bool hairpinning;       /**< hosts behind it reach each other by their outside addresses (RFC 4787, section 6) */
    bool port_preservation; /**< the outside port is the inside one where that is free (section 4.2.1) */
    duet_time timeout;      /**< of a UDP mapping after its last packet outwards; 0 is 2 minutes (section 4.3, REQ-5) */
    duet_time tcp_timeout;  /**< 0 is 2 hours 4 minutes (RFC 5382, REQ-5) */
    bool block_udp;         /**< no UDP gets through */
    uint16_t tcp_ports[4];  /**< TCP only to these ports; all 0: to any */
    const duet_sim_link *up, *down; /**< of the outside; NULL: perfect */
} duet_sim_nat_config;

DUET_API void duet_sim_nat_config_init(duet_sim_nat_config *config);
/** Builds a NAT between a site of its own and the core, or another NAT (`outer`). It lives as long as the world.
 *  @return DUET_OK, DUET_ERR_STATE (somebody has the outside address), DUET_ERR_MALFORMED, DUET_ERR_NOMEM */
DUET_API int duet_sim_nat_create(duet_sim_nat **out, duet_sim *sim, duet_sim_nat *outer,
                                 const duet_sim_nat_config *config);
/** It forgets its mappings, as when it is switched off and on. */
DUET_API void duet_sim_nat_reset(duet_sim_nat *nat);
/** How many mappings are alive. */
DUET_API size_t duet_sim_nat_mappings(const duet_sim_nat *nat);

/* ---- endpoints ---------------------------------------------------------------------------------------------------- */

DUET_API int duet_sim_add(duet_sim_host *host, struct duet_pc *pc);
DUET_API void duet_sim_remove(duet_sim *sim, struct duet_pc *pc);
DUET_API int duet_sim_attach(duet_sim_host *host, const duet_endpoint_ops *ops, void *object);
DUET_API void duet_sim_detach(duet_sim *sim, void *object);

/** A plain listener on an address and port, for servers and attackers of tests. */
typedef void (*duet_sim_receive_fn)(void *user, duet_sim *sim, const duet_path *path, const uint8_t *data, size_t len);
DUET_API int duet_sim_listen(duet_sim_host *host, const char *address, uint16_t port, duet_sim_receive_fn fn,
                             void *user);
/** Sends a datagram from any address of the core, existing or forged, through the links of its route. */
DUET_API int duet_sim_send(duet_sim *sim, const duet_address *from, const duet_address *to, const void *data,
                           size_t len);

/* ---- time --------------------------------------------------------------------------------------------------------- */

/** Calls `fn` at the virtual time `at` (now, when that has passed). */
DUET_API int duet_sim_at(duet_sim *sim, duet_time at, void (*fn)(void *arg), void *arg);
/** Lets the world run until the virtual time `until`; the clock stands there afterwards. */
DUET_API void duet_sim_run(duet_sim *sim, duet_time until);
/** Runs until `done` says so, or until `limit`. @return whether it did */
DUET_API bool duet_sim_run_until(duet_sim *sim, bool (*done)(void *arg), void *arg, duet_time limit);

typedef struct duet_sim_stats {
    uint64_t sent, delivered, lost, dropped_queue, dropped_mtu, unreachable, corrupted, duplicated, reordered;
    uint64_t filtered; /**< that a NAT let not through */
    uint64_t bytes_delivered;
    uint64_t serves;     /**< how often an endpoint was driven */
    uint64_t trace_hash; /**< FNV-1a over time, addresses and bytes of every packet sent: equal runs, equal hash */
} duet_sim_stats;

DUET_API void duet_sim_get_stats(const duet_sim *sim, duet_sim_stats *out);

/* ---- determinism of the dependencies: only in programs that link duet::determinism --------------------------------- */

/** Makes OpenSSL's and usrsctp's randomness and usrsctp's clock follow the world: with this, whole peer connections are
 *  repeatable. Without it usrsctp measures real time, in which nothing passes here: on a link that loses packets it then
 *  does not send again. One world at a time per process; begin before the first connection is made and end when the last
 *  one is destroyed. Overrides the process's gettimeofday() and usrsctp's read_random(). */
DUET_API void duet_determinism_begin(duet_sim *sim, uint64_t seed);
DUET_API void duet_determinism_end(void);

#ifdef __cplusplus
}
#endif
#endif
