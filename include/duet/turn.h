/* The TURN and STUN server: RFC 8656 and RFC 8489 (with IPv6 and dual allocations), over UDP, TCP and TLS, and NAT behaviour
 * discovery (RFC 5780) when a second address is given.
 *
 * A server is an endpoint without sockets, threads or a clock: attach it to a loop with duet_turn_server_endpoint_ops(). It
 * belongs to one thread. Several servers on the same port (share_port) are workers of one service: they share a registry. */
#ifndef DUET_TURN_H
#define DUET_TURN_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_turn_registry duet_turn_registry;
typedef struct duet_turn_server duet_turn_server;

/* ---- what several workers share ---------------------------------------------------------------------------------- */

typedef struct duet_turn_registry_config {
    size_t size;
    const duet_env *env;           /**< its allocator must be thread-safe */
    uint16_t port_min, port_max;   /**< of relayed addresses; 0: 49152 to 65535 (RFC 8656 section 7.2) */
    uint32_t allocations_max;      /**< in all; beyond it 508 (Insufficient Capacity). 0 is 100,000 */
    uint32_t allocations_per_user; /**< beyond it 486 (Allocation Quota Reached). 0: no such bound */
    uint64_t user_bandwidth;       /**< bytes per second of all relayed data of a user, both ways; 0: no bound */
} duet_turn_registry_config;

DUET_API void duet_turn_registry_config_init(duet_turn_registry_config *config);

/** Counts the allocations of users, hands out the ports of relayed addresses and knows which of these are alive. The only
 *  object that servers of several threads may share; a lock is taken when an allocation begins or ends, never for data.
 *  @param config  NULL for the defaults. @return DUET_OK, DUET_ERR_NOMEM, DUET_ERR_INVALID (ports), DUET_ERR_CRYPTO */
DUET_API int duet_turn_registry_create(duet_turn_registry **out, const duet_turn_registry_config *config);
/** All servers that use it must be gone. NULL is fine. */
DUET_API void duet_turn_registry_destroy(duet_turn_registry *registry);
/** Allocations that live now. From any thread. */
DUET_API uint32_t duet_turn_registry_allocations(const duet_turn_registry *registry);

/* ---- the server --------------------------------------------------------------------------------------------------- */

/** A user with a password that does not change. */
typedef struct duet_turn_user {
    const char *username; /**< 1 to 508 bytes, prepared UTF-8 (RFC 8489 section 14.3) */
    const char *password;
} duet_turn_user;

/** An address that clients reach the server at. */
typedef struct duet_turn_listener {
    duet_protocol protocol;
    duet_address address;         /**< port 0 takes any: duet_turn_config.on_listening tells */
    const char *certificate_file; /**< DUET_TLS: PEM chain, and key */
    const char *key_file;
} duet_turn_listener;

/** Everything is copied. */
typedef struct duet_turn_config {
    size_t size;
    const duet_env *env;
    duet_turn_registry *registry; /**< must outlive the server; NULL: one of its own with the defaults */
    const duet_turn_listener *const *listeners;
    size_t listener_count;
    bool share_port; /**< other workers listen on the same ports (SO_REUSEPORT) */

    duet_address relay_ipv4, relay_ipv6; /**< where relayed addresses are opened (the port is not looked at). NONE: the
                                                    address of the first listener of that family that is not a wildcard */
    duet_address external_ipv4, external_ipv6; /**< what clients are told instead, behind a 1:1 NAT; NONE: the same */

    const char *realm; /**< 1 to 40 bytes; NULL is "duet" */
    const duet_turn_user *const *users;
    size_t user_count;
    const char
        *secret; /**< of time-limited credentials: the username is "expiry" or "expiry:user", expiry in seconds of Unix
                             time, the password the base64 of HMAC-SHA1(secret, username). NULL: there are none. Without users
                             and secret this is a STUN server: TURN requests get 403 */

    const char *const *allow_peers; /**< "192.0.2.0/24", "2001:db8::1": reached in spite of every deny rule, except the
                                         listeners of this server */
    size_t allow_peer_count;
    const char *const
        *deny_peers; /**< besides the addresses that are denied by themselves: loopback, unspecified, v4-mapped,
                                        link-local, private, shared (100.64/10), multicast, broadcast, reserved, and those of
                                        this host. The relayed address of a live allocation is allowed all the same */
    size_t deny_peer_count;

    uint32_t lifetime_default, lifetime_max; /**< seconds; 0 is 600 and 3600 (RFC 8656 section 3.2) */
    uint32_t permissions_max, channels_max;  /**< of an allocation; beyond it 508. 0 is 64 */
    uint64_t allocation_bandwidth; /**< bytes per second of relayed data, both ways; 0: no bound. What is over is
                                                   dropped and counted */
    uint32_t streams_max;          /**< TCP and TLS clients; beyond it new ones are closed. 0 is 10,000 */
    uint32_t streams_waiting_max;  /**< … of these without an allocation: beyond it the oldest is closed. 0 is 256 */
    duet_time stream_wait;         /**< that a stream may stay without an allocation; 0 is 10 s */
    size_t output_max;             /**< bytes that wait for the driver; beyond it data is dropped and counted. 0 is
                                                   8 MiB */
    duet_address alternate;        /**< second address and port: RFC 5780 for the first UDP listener. NONE: off */

    /** The listener with that index listens at `address`, or does not (err, and reason in words or NULL). */
    void (*on_listening)(void *user, size_t index, int err, const char *reason, const duet_address *address);
    /** After duet_turn_server_drain: the last allocation is gone. */
    void (*on_drained)(void *user);
    void *user;
} duet_turn_config;

DUET_API void duet_turn_config_init(duet_turn_config *config);

/** @return DUET_OK; DUET_ERR_INVALID (realm, rules, listeners, no relay address for any family …), DUET_ERR_NOMEM,
 *          DUET_ERR_CRYPTO */
DUET_API int duet_turn_server_create(duet_turn_server **out, const duet_turn_config *config);
/** Legal inside callbacks. The driver must have forgotten it. NULL is fine. */
DUET_API void duet_turn_server_destroy(duet_turn_server *server);
DUET_API const duet_endpoint_ops *duet_turn_server_endpoint_ops(void);

/** Tells the wall-clock time, which time-limited credentials need: until it is told, they are all refused.
 *  @param unix_seconds  now, in seconds since 1970
 *  @param now           the same moment in monotonic time. Call again when the wall clock was set */
DUET_API void duet_turn_server_set_wall_clock(duet_turn_server *server, uint64_t unix_seconds, duet_time now);

/** No new allocations from now on (508); those that live go on. on_drained tells when there is none. */
DUET_API void duet_turn_server_drain(duet_turn_server *server);

/** Whether a peer may be reached as far as the rules tell (the relayed addresses of live allocations count too). */
DUET_API bool duet_turn_server_allows_peer(const duet_turn_server *server, const duet_address *peer);

typedef struct duet_turn_stats {
    uint64_t datagrams_in, datagrams_out; /**< from and to clients and peers; pieces of streams count as datagrams */
    uint64_t bytes_in, bytes_out;
    uint64_t bindings;              /**< Binding requests answered */
    uint64_t requests;              /**< TURN requests that were looked at */
    uint64_t errors;                /**< error responses, of all kinds */
    uint64_t unauthenticated;       /**< … 401 and 438 */
    uint64_t allocations;           /**< alive now */
    uint64_t allocations_begun;     /**< ever */
    uint64_t permissions, channels; /**< alive now, with those that have expired and were not looked at since */
    uint64_t streams;               /**< TCP and TLS clients now */
    uint64_t streams_refused;       /**< closed because there were too many, or too slow */
    uint64_t relayed_to_peers, relayed_to_clients;             /**< datagrams */
    uint64_t relayed_bytes_to_peers, relayed_bytes_to_clients; /**< payload */
    uint64_t dropped_bandwidth;                                /**< over the bandwidth of an allocation or user */
    uint64_t dropped_permission; /**< no permission, no channel, or a peer that is refused */
    uint64_t dropped_queue;      /**< output_max bytes waited */
    uint64_t dropped_stream;     /**< a TCP or TLS client did not read */
    uint64_t discarded;          /**< malformed, unknown, or for nobody */
} duet_turn_stats;

DUET_API void duet_turn_server_get_stats(const duet_turn_server *server, duet_turn_stats *out);

#ifdef __cplusplus
}
#endif
#endif
