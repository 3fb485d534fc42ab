/* ICE: a full agent for one component (RFC 8445, 8838, 8839, 7675, 8863), sans-I/O.
 *
 * Feed it datagrams, answers to its requests and time; pull its datagrams and requests. One agent serves one
 * transport (rtcp-mux is assumed: only component 1 is gathered). The STUN codec is in duet/stun.h. */
#ifndef DUET_ICE_H
#define DUET_ICE_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_ice_agent duet_ice_agent;

/** W3C RTCIceTransportState. */
typedef enum duet_ice_state {
    DUET_ICE_NEW = 0,
    DUET_ICE_CHECKING,
    DUET_ICE_CONNECTED,    /**< a pair is usable, checks go on */
    DUET_ICE_COMPLETED,    /**< a pair is nominated, nothing is left to check */
    DUET_ICE_DISCONNECTED, /**< the selected pair has not answered for a while; it may recover */
    DUET_ICE_FAILED,       /**< no pair worked, or consent expired; only a restart helps */
    DUET_ICE_CLOSED,
} duet_ice_state;

typedef enum duet_ice_gathering_state {
    DUET_ICE_GATHERING_NEW = 0,
    DUET_ICE_GATHERING,
    DUET_ICE_GATHERING_COMPLETE,
} duet_ice_gathering_state;

typedef enum duet_ice_role {
    DUET_ICE_CONTROLLED = 0,
    DUET_ICE_CONTROLLING,
} duet_ice_role;

/** Which candidates are used, W3C RTCIceTransportPolicy. */
typedef enum duet_ice_policy {
    DUET_ICE_ALL = 0,
    DUET_ICE_RELAY,
} duet_ice_policy;

/** Answers whether an interface may be used. */
typedef bool (*duet_interface_filter)(void *user, const duet_interface *interface);

typedef struct duet_ice_config {
    size_t size;
    const duet_env *env;
    duet_ice_role role;
    bool lite; /**< ICE-lite (RFC 8445 section 2.5): host candidates, only answers */
    duet_ice_policy policy;
    const duet_ice_server *const *servers; /**< copied */
    size_t server_count;
    uint16_t port_min, port_max; /**< local ports, 0 for any */
    duet_address bind;           /**< gather on this local address only; family NONE for all */
    bool loopback;               /**< also gather loopback addresses */
    bool no_ipv6;
    duet_interface_filter interface_filter; /**< NULL: all */
    const char *const *nat_1to1;            /**< public IP addresses announced as host instead of private ones */
    size_t nat_1to1_count;
    /** Ta, RFC 8445 section 14.2: the distance of new checks and queries; 0 is 20 ms (5 ms on loopback only). Triggered
     *  checks and nominations may run ahead by five, which the following ones make good. */
    duet_time pacing;
    duet_time disconnected_timeout; /**< silence until DISCONNECTED; 0 is 5 s */
    duet_time failed_timeout;       /**< consent expiry, RFC 7675 section 5.1; 0 is 30 s */
    duet_time patience;             /**< RFC 8863 patiently wait before FAILED; 0 is 39.5 s */

    void (*on_state)(void *user, duet_ice_state state);
    void (*on_gathering)(void *user, duet_ice_gathering_state state);
    /** A local candidate. NULL: end of candidates. */
    void (*on_candidate)(void *user, const duet_candidate *candidate);
    /** A candidate could not be gathered, W3C RTCPeerConnectionIceErrorEvent. code 300–699 STUN error, 701 unreachable,
     *  or a server whose certificate is not to be trusted. */
    void (*on_candidate_error)(void *user, const char *url, const duet_address *local, int code, const char *text);
    /** The pair that carries data changed; the first call means that duet_ice_agent_route works. */
    void (*on_selected)(void *user, const duet_candidate *local, const duet_candidate *remote);
    /** The controlling or controlled role changed by conflict (RFC 8445 section 7.3.1.1). */
    void (*on_role)(void *user, duet_ice_role role);
    /** Output, a request or a deadline may be new: drive the agent soon. Called once until the next tick. */
    void (*on_wake)(void *user);
    void *user;

    /** Adds bytes to a STUN attribute of each authenticated check and reads the peer's (DTLS in STUN). NULL: none.
     *  The provider returns the length written to out, at most `capacity`; the sink gets what arrived. */
    uint16_t check_attribute;
    size_t (*check_attribute_provide)(void *user, bool is_request, uint8_t *out, size_t capacity);
    void (*check_attribute_sink)(void *user, bool is_request, const uint8_t *data, size_t len);

    const char *ca_file; /**< PEM of the authorities for stuns: and turns:, copied; NULL: the system's */
    bool tls_no_verify;  /**< trust any certificate. For tests */
    /** Announce host candidates under random names of multicast DNS instead of their addresses, and hide these elsewhere
     *  (draft-ietf-mmusic-mdns-ice-candidates). The driver publishes the names. */
    bool mdns;
    /** ICE-TCP (RFC 6544): active, passive and simultaneous-open host candidates beside those of UDP, with lower priority. */
    bool tcp;
    /** The interfaces have changed. Candidates on new addresses are gathered and paired by themselves, pairs of addresses that
     *  are gone are dropped; a restart tells the peer, too. */
    void (*on_network_change)(void *user);
} duet_ice_config;

/** Fills in the size and zeroes the rest; every 0 is a good default. */
DUET_API void duet_ice_config_init(duet_ice_config *config);

/** Makes an agent in state NEW with fresh random credentials (RFC 8445 section 5.3).
 *  @return DUET_OK, DUET_ERR_INVALID (a bad server URL, for example), DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
DUET_API int duet_ice_agent_create(duet_ice_agent **out, const duet_ice_config *config);
/** Frees the agent. Sockets that it opened are the driver's to close. NULL is fine; legal inside its events. */
DUET_API void duet_ice_agent_destroy(duet_ice_agent *agent);

/** Starts gathering: interfaces are requested, then sockets. Candidates come as events. A second call does nothing. */
DUET_API int duet_ice_agent_gather(duet_ice_agent *agent, duet_time now);
/** Role by offer and answer. Ignored once checks have started: later changes come from conflicts alone. */
DUET_API void duet_ice_agent_set_role(duet_ice_agent *agent, duet_ice_role role);
DUET_API duet_ice_role duet_ice_agent_role(const duet_ice_agent *agent);
DUET_API const duet_ice_credentials *duet_ice_agent_local_credentials(const duet_ice_agent *agent);

/** Gives the peer's credentials; checks start with the first pair. Other credentials than before mean that the peer
 *  restarted: old remote candidates are dropped, the selected pair carries data until a new one is selected
 *  (RFC 8445 section 9). Checks that came before are acted upon now.
 *  @param lite  the peer is ICE-lite: this agent takes the controlling role */
DUET_API int duet_ice_agent_set_remote(duet_ice_agent *agent, const duet_ice_credentials *remote, bool lite,
                                       duet_time now);
/** Adds a remote candidate. Duplicates, other components, unusable families and protocols are counted and ignored.
 *  A candidate whose ufrag is neither "" nor the remote one is ignored.
 *  @return DUET_OK, DUET_ERR_LIMIT beyond DUET_ICE_REMOTE_MAX candidates, DUET_ERR_NOMEM */
DUET_API int duet_ice_agent_add_remote_candidate(duet_ice_agent *agent, const duet_candidate *candidate, duet_time now);
/** RFC 8838 section 14: no more remote candidates will come. */
DUET_API void duet_ice_agent_end_of_remote_candidates(duet_ice_agent *agent, duet_time now);
/** New local credentials, gathers again on the open sockets and starts over when the peer's new ones arrive.
 *  @param credentials  the new local ones, as an offer that was made before announced them; NULL: random ones */
DUET_API int duet_ice_agent_restart(duet_ice_agent *agent, const duet_ice_credentials *credentials, duet_time now);
/** Takes up other servers and policy at the next restart or gathering (W3C setConfiguration). Allocations on TURN servers that
 *  are in both lists with the same credentials are kept, the others released. */
DUET_API int duet_ice_agent_set_servers(duet_ice_agent *agent, const duet_ice_server *const *servers, size_t count,
                                        duet_ice_policy policy);
/** Gives relayed addresses up: the requests that release them are in the output. Legal between two outputs; nothing can be
 *  sent through a relay afterwards. duet_ice_agent_close does it too. */
DUET_API void duet_ice_agent_release(duet_ice_agent *agent, duet_time now);
/** Stops everything; state CLOSED. What releases relayed addresses waits in the output, then CLOSE requests for the sockets
 *  wait to be pulled; the deadline is 0 until they were. */
DUET_API void duet_ice_agent_close(duet_ice_agent *agent, duet_time now);

/** Cuts what arrived into frames: a stream's piece may hold several, or parts of some; a UDP datagram is one. Call it until
 *  it returns 0, and give each frame to duet_ice_agent_input.
 *  @param in     what arrived; it is used up
 *  @param frame  lives until the next call with this stream, as long as the bytes of `in` do
 *  @return 1 and a frame, or 0 (also when the stream holds no frames: it is closed then) */
DUET_API int duet_ice_agent_next(duet_ice_agent *agent, duet_datagram *in, duet_datagram *frame, duet_time now);

/** Feeds one datagram or frame. STUN messages are consumed (bad ones are counted). Anything else is DUET_ERR_NOT_MINE:
 *  hand it on when duet_ice_agent_validated says so. What comes through a relay is unwrapped: `in` is then the peer's
 *  datagram, on the path of the relayed address. The source of such a datagram counts as a sign of life of a
 *  valid pair. Checks that come before the remote credentials are answered at once, as RFC 8445 section 7.3 wants, and
 *  held for duet_ice_agent_set_remote to act upon: at most DUET_ICE_EARLY_MAX. What cannot be authenticated gets no
 *  answer.
 *  @return DUET_OK or DUET_ERR_NOT_MINE */
DUET_API int duet_ice_agent_input(duet_ice_agent *agent, duet_datagram *in, duet_time now);
/** @return 1 and the next datagram to send, or 0 */
DUET_API int duet_ice_agent_output(duet_ice_agent *agent, duet_datagram *out, duet_time now);
/** @return 1 and the next request to the outside, or 0 */
DUET_API int duet_ice_agent_request(duet_ice_agent *agent, duet_request *out);
DUET_API int duet_ice_agent_answer(duet_ice_agent *agent, const duet_answer *answer, duet_time now);
/** A send on the path failed for good, for example with EHOSTUNREACH or ENETUNREACH. */
DUET_API void duet_ice_agent_path_error(duet_ice_agent *agent, const duet_path *path, int error, duet_time now);
DUET_API void duet_ice_agent_tick(duet_ice_agent *agent, duet_time now);
DUET_API duet_time duet_ice_agent_deadline(const duet_ice_agent *agent);

/** Whether a datagram of this path may be handed to DTLS or SRTP: a check on the pair succeeded in either direction
 *  with the right credentials, also one that came before the peer's. RFC 8445 section 12. */
DUET_API bool duet_ice_agent_validated(const duet_ice_agent *agent, const duet_path *path);
/** Sets the path of an outgoing datagram to the selected pair (or the best valid one before nomination) and wraps it for
 *  a relay inside its headroom where needed.
 *  @return DUET_OK, or DUET_ERR_STATE while there is no valid pair, or why the relay cannot take it: then it is lost */
DUET_API int duet_ice_agent_route(duet_ice_agent *agent, duet_datagram *out);

DUET_API duet_ice_state duet_ice_agent_state(const duet_ice_agent *agent);
DUET_API duet_ice_gathering_state duet_ice_agent_gathering(const duet_ice_agent *agent);
/** Smoothed round-trip time of the selected pair in microseconds, 0 while unknown. */
DUET_API duet_time duet_ice_agent_rtt(const duet_ice_agent *agent);
/** Local candidates of the present generation, in the order of gathering; NULL past the end. Lives until the next call. */
DUET_API const duet_candidate *duet_ice_agent_local_candidate(const duet_ice_agent *agent, size_t index);
/** Remote candidates, signalled and peer-reflexive; NULL past the end. */
DUET_API const duet_candidate *duet_ice_agent_remote_candidate(const duet_ice_agent *agent, size_t index);

#define DUET_ICE_EARLY_MAX  16  /* paths of checks held until the answer comes */
#define DUET_ICE_REMOTE_MAX 128 /* remote candidates remembered */

/* "the agent ... SHOULD limit the total number of connectivity checks ... to a specific value ... 100" RFC 8445, 6.1.2.5 */
#define DUET_ICE_PAIRS_MAX 100

typedef enum duet_ice_pair_state {
    DUET_ICE_PAIR_FROZEN = 0,
    DUET_ICE_PAIR_WAITING,
    DUET_ICE_PAIR_IN_PROGRESS,
    DUET_ICE_PAIR_SUCCEEDED,
    DUET_ICE_PAIR_FAILED,
} duet_ice_pair_state;

/** One candidate pair, names of W3C RTCIceCandidatePairStats. */
typedef struct duet_ice_pair_stats {
    size_t local, remote; /**< indices of the candidates */
    duet_ice_pair_state state;
    bool nominated, selected;
    uint64_t priority;
    uint64_t requests_sent, requests_received, responses_sent, responses_received, consent_requests_sent;
    duet_time current_round_trip_time, total_round_trip_time;
    duet_time last_received;
} duet_ice_pair_stats;

typedef struct duet_ice_stats {
    uint64_t discarded;     /**< STUN input that was malformed, unauthenticated or unexpected */
    uint64_t early_held;    /**< checks held until the credentials came */
    uint64_t early_dropped; /**< beyond the bound */
    uint64_t candidates_ignored;
    uint64_t pairs_dropped; /**< beyond DUET_ICE_PAIRS_MAX */
    uint64_t role_conflicts;
    uint64_t restarts;
    uint64_t selected_changes;
    size_t pair_count;
} duet_ice_stats;

DUET_API void duet_ice_agent_get_stats(const duet_ice_agent *agent, duet_ice_stats *out);
/** @return DUET_OK, or DUET_ERR_NOT_FOUND past the end */
DUET_API int duet_ice_agent_get_pair(const duet_ice_agent *agent, size_t index, duet_ice_pair_stats *out);

DUET_API const char *duet_ice_state_name(duet_ice_state state);           /**< W3C names: "new", "checking", … */
DUET_API const char *duet_ice_pair_state_name(duet_ice_pair_state state); /**< "frozen", … */

#ifdef __cplusplus
}
#endif
#endif
