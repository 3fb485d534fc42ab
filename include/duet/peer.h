/* The peer connection: W3C RTCPeerConnection in C over JSEP (RFC 9429), sans-I/O.
 *
 * It joins ICE, DTLS, SCTP and SDP. Like its parts it has no socket, thread or clock: attach it to a loop with
 * duet_net_add (duet/net.h), to a simulated host (duet/sim.h), or drive it through duet_pc_endpoint_ops.
 * Calls only queue work; it is done when the driver drives the connection next, which the call asks for. */
#ifndef DUET_PEER_H
#define DUET_PEER_H

#include "duet/base.h"
#include "duet/dtls.h"
#include "duet/ice.h"
#include "duet/sctp.h"
#include "duet/sdp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_pc duet_pc;
typedef struct duet_transceiver duet_transceiver; /**< duet/transceiver.h */
struct duet_codec_ops;

/** W3C RTCSdpType. */
typedef enum duet_sdp_type {
    DUET_SDP_NONE = 0,
    DUET_SDP_OFFER,
    DUET_SDP_PRANSWER,
    DUET_SDP_ANSWER,
    DUET_SDP_ROLLBACK,
} duet_sdp_type;

/** W3C RTCSignalingState. */
typedef enum duet_signaling_state {
    DUET_SIGNALING_STABLE = 0,
    DUET_SIGNALING_HAVE_LOCAL_OFFER,
    DUET_SIGNALING_HAVE_REMOTE_OFFER,
    DUET_SIGNALING_HAVE_LOCAL_PRANSWER,
    DUET_SIGNALING_HAVE_REMOTE_PRANSWER,
    DUET_SIGNALING_CLOSED,
} duet_signaling_state;

/** W3C RTCPeerConnectionState. */
typedef enum duet_pc_state {
    DUET_PC_NEW = 0,
    DUET_PC_CONNECTING,
    DUET_PC_CONNECTED,
    DUET_PC_DISCONNECTED,
    DUET_PC_FAILED,
    DUET_PC_CLOSED,
} duet_pc_state;

/** W3C RTCBundlePolicy. */
typedef enum duet_bundle_policy {
    DUET_BUNDLE_MAX_BUNDLE = 0, /**< one transport; media that the peer does not bundle is rejected, unless first */
    DUET_BUNDLE_BALANCED,
} duet_bundle_policy;

/** A trickled candidate, W3C RTCIceCandidateInit. */
typedef struct duet_pc_candidate {
    const char *candidate;         /**< "candidate:…" without "a="; "" is end of candidates */
    const char *sdp_mid;           /**< NULL when absent */
    int sdp_mline_index;           /**< -1 when absent; one of the two must be there, except for end of candidates */
    const char *username_fragment; /**< NULL when absent */
} duet_pc_candidate;

typedef struct duet_pc_config {
    size_t size;
    const duet_env *env;
    const duet_ice_server *const *ice_servers;
    size_t ice_server_count;
    duet_ice_policy ice_transport_policy;
    duet_bundle_policy bundle_policy;
    duet_certificate *certificate; /**< a reference is taken; NULL: a fresh ECDSA one */
    int64_t wall_seconds;          /**< wall-clock time for a fresh certificate, seconds since 1970; 0: none needed */
    duet_setup answer_setup;       /**< DTLS role when answering actpass: ACTIVE (also NONE) or PASSIVE */

    /* beyond W3C */
    uint16_t port_min, port_max; /**< local UDP ports; 0: any */
    duet_address bind;           /**< this local address only; family NONE: all */
    bool loopback;               /**< gather loopback addresses too */
    bool no_ipv6;
    bool ice_lite;
    duet_interface_filter interface_filter; /**< gets filter_user */
    void *filter_user;
    const char *const *nat_1to1;
    size_t nat_1to1_count;
    duet_time ice_disconnected_timeout, ice_failed_timeout, ice_patience; /**< 0: defaults of duet_ice_config */
    const char *ca_file;     /**< PEM of the authorities for stuns: and turns:, copied; NULL: the system's */
    bool tls_no_verify;      /**< trust any certificate of these servers. For tests */
    bool mdns;               /**< announce host candidates under random ".local" names, see duet_ice_config */
    bool tcp;                /**< ICE-TCP (RFC 6544) beside UDP */
    uint16_t sctp_streams;   /**< 0: 1024 */
    size_t max_message_size; /**< accepted and announced; 0: 262144 */
    size_t sctp_send_buffer, sctp_receive_buffer, sctp_send_queue; /**< 0: defaults of duet_sctp_config */
    /** Protection of media, best first, at most 4; NULL: duet_srtp_preferred_profiles. The DTLS server chooses: Chromium
     *  as a server takes AES_CM_128_HMAC_SHA1_80 whenever it is offered, so answer PASSIVE to have this order decide. */
    const duet_srtp_profile *srtp_profiles;
    size_t srtp_profile_count;
    /** Encoders and decoders for raw audio and video: duet_codecs() of duet/codecs.h; must outlive the connection. NULL:
     *  encoded frames and RTP packets only */
    const struct duet_codec_ops *codecs;
    uint64_t wall_ntp; /**< NTP time (32.32, seconds since 1900) at monotonic time 0, for sender reports; 0 is fine */

    /* events; any may be NULL */
    /** What a description that was set leaves to negotiate is told at the next tick: until then the local description is
     *  the answer, which has to be sent first. */
    void (*on_negotiation_needed)(void *user, duet_pc *pc);
    void (*on_signaling_state)(void *user, duet_pc *pc, duet_signaling_state state);
    void (*on_connection_state)(void *user, duet_pc *pc, duet_pc_state state);
    void (*on_ice_connection_state)(void *user, duet_pc *pc, duet_ice_state state);
    void (*on_ice_gathering_state)(void *user, duet_pc *pc, duet_ice_gathering_state state);
    /** A local candidate to be signalled. `candidate->candidate` is "" at the end of candidates. */
    void (*on_ice_candidate)(void *user, duet_pc *pc, const duet_pc_candidate *candidate);
    void (*on_ice_candidate_error)(void *user, duet_pc *pc, const char *url, int code, const char *text);
    /** The interfaces have changed; an ICE restart tells the peer of new addresses at once. See duet_ice_config. */
    void (*on_network_change)(void *user, duet_pc *pc);
    /** W3C track: the peer's description says that it sends here (again). Set the receiver's callbacks, see
     *  duet/transceiver.h. */
    void (*on_track)(void *user, duet_pc *pc, duet_transceiver *transceiver);
    /** A transceiver has stopped, whoever wished it, and is freed after this call: forget its handles. NULL: those that have
     *  stopped stay until the connection is destroyed, and count among DUET_TRANSCEIVERS_MAX. Set it where tracks come and
     *  go for long. */
    void (*on_transceiver_end)(void *user, duet_pc *pc, duet_transceiver *transceiver);
    /** The peer opened a channel: set its callbacks with duet_dc_set_callbacks. */
    void (*on_data_channel)(void *user, duet_pc *pc, duet_dc *dc);
    void *user;
} duet_pc_config;

/** Every default in one initializer. */
#define DUET_PC_CONFIG_INIT                                                                                            \
    {                                                                                                                  \
        .size = sizeof(duet_pc_config)                                                                                 \
    }

/** @return DUET_OK, DUET_ERR_INVALID (a bad ICE server URL, for example), DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
DUET_API int duet_pc_create(duet_pc **out, const duet_pc_config *config);
/** Frees it and its channels without further events, and without a word to the peer: that is duet_pc_close. Take it off
 *  its driver first. NULL is fine; legal in every event, also in those of its channels. */
DUET_API void duet_pc_destroy(duet_pc *pc);
/** W3C close(): final, and no event follows, neither here nor on the channels, which are closed at once. When the driver
 *  drives it next it sends the goodbyes, then asks for its sockets to be closed. */
DUET_API void duet_pc_close(duet_pc *pc);

/* ---- negotiation ------------------------------------------------------------------------------------------------ */

/** W3C RTCOfferOptions. */
typedef struct duet_offer_options {
    size_t size;
    bool ice_restart;
} duet_offer_options;

/** Makes an offer. @param options  NULL for none @param sdp  freed with duet_free(env, …)
 *  @return DUET_OK, DUET_ERR_STATE (closed), DUET_ERR_NOMEM */
DUET_API int duet_pc_create_offer(duet_pc *pc, const duet_offer_options *options, char **sdp);
/** Makes an answer to the remote offer. @return DUET_ERR_STATE unless there is one */
DUET_API int duet_pc_create_answer(duet_pc *pc, char **sdp);
/** W3C setLocalDescription.
 *  @param type  DUET_SDP_NONE with sdp NULL: offer or answer by the state (W3C 4.4.2, implicit description)
 *  @param sdp   what create_offer or create_answer gave; NULL or "" makes it here; ignored for ROLLBACK
 *  @return DUET_OK; DUET_ERR_STATE (also for a rollback after a provisional answer, W3C 4.4.1.5); DUET_ERR_MALFORMED
 *          (duet_pc_error tells where); DUET_ERR_INVALID (no such type, or changed by hand in a way that is not
 *          supported: W3C InvalidModificationError); DUET_ERR_LIMIT (too many transports); DUET_ERR_NOMEM. On an error
 *          nothing has changed */
DUET_API int duet_pc_set_local_description(duet_pc *pc, duet_sdp_type type, const char *sdp);
/** W3C setRemoteDescription. An offer in have-local-offer rolls the local one back first (W3C 4.4.1.5). On an error
 *  nothing has changed, and the connection stays usable.
 *  @return as above; DUET_ERR_UNSUPPORTED: another certificate for a DTLS association that is connected; DUET_ERR_LIMIT: a
 *          mid of more than 32 characters, or one of the limits of duet/sdp.h */
DUET_API int duet_pc_set_remote_description(duet_pc *pc, duet_sdp_type type, const char *sdp);
/** Adds a candidate of the peer. One that comes before the description waits (at most DUET_PC_EARLY_CANDIDATES). A mid
 *  that is given decides; the index counts where there is none, or where the peer's description has none.
 *  @return DUET_OK (also for candidates of unknown kinds and of other generations, which are ignored); DUET_ERR_MALFORMED;
 *          DUET_ERR_INVALID (no such m-section, or neither mid nor index); DUET_ERR_LIMIT; DUET_ERR_STATE when closed;
 *          DUET_ERR_NOMEM */
DUET_API int duet_pc_add_ice_candidate(duet_pc *pc, const duet_pc_candidate *candidate);
/** W3C restartIce(): offers will restart ICE until one is answered, and negotiation is needed. Does nothing before there is
 *  a local description. */
DUET_API void duet_pc_restart_ice(duet_pc *pc);
/** W3C setConfiguration: takes up other ICE servers and policy, from the next gathering on, which the next offer brings
 *  about (RFC 9429, 5.2.2). The rest of the configuration is not looked at, but certificate and bundle_policy may not
 *  differ. @return DUET_OK; DUET_ERR_INVALID; DUET_ERR_STATE when closed; DUET_ERR_NOMEM. On an error nothing has changed */
DUET_API int duet_pc_set_configuration(duet_pc *pc, const duet_pc_config *config);

#define DUET_PC_EARLY_CANDIDATES 64
#define DUET_PC_EARLY_DATAGRAMS  8 /* DTLS datagrams, from validated paths, held until the handshake can start */

/** Descriptions with the candidates so far, as the W3C attributes of these names give them.
 *  @param type  which; may be NULL @param sdp  freed with duet_free @return DUET_ERR_NOT_FOUND when there is none */
DUET_API int duet_pc_local_description(const duet_pc *pc, duet_sdp_type *type, char **sdp);
DUET_API int duet_pc_remote_description(const duet_pc *pc, duet_sdp_type *type, char **sdp);
DUET_API int duet_pc_current_local_description(const duet_pc *pc, duet_sdp_type *type, char **sdp);
DUET_API int duet_pc_current_remote_description(const duet_pc *pc, duet_sdp_type *type, char **sdp);
DUET_API int duet_pc_pending_local_description(const duet_pc *pc, duet_sdp_type *type, char **sdp);
DUET_API int duet_pc_pending_remote_description(const duet_pc *pc, duet_sdp_type *type, char **sdp);

/** Why the last description or candidate was refused: line, column and reason; "" when it was not. Lives until the next
 *  such call. A line of 0 means the description as a whole, or the state. */
DUET_API const duet_sdp_error *duet_pc_error(const duet_pc *pc);

DUET_API duet_signaling_state duet_pc_signaling_state(const duet_pc *pc);
DUET_API duet_pc_state duet_pc_connection_state(const duet_pc *pc);
DUET_API duet_ice_state duet_pc_ice_connection_state(const duet_pc *pc);
DUET_API duet_ice_gathering_state duet_pc_ice_gathering_state(const duet_pc *pc);
/** 1 when the peer's description says trickle, 0 when it does not, -1 before there is one. */
DUET_API int duet_pc_can_trickle(const duet_pc *pc);

/* ---- data channels ---------------------------------------------------------------------------------------------- */

/** W3C createDataChannel; see duet_dc_create for the errors. The handle lives until it is released or the connection is
 *  destroyed. When the peer refuses data in its answer, the channels close, and no more can be created. */
DUET_API int duet_pc_create_data_channel(duet_pc *pc, const char *label, const duet_dc_init *init, duet_dc **out);

/* ---- statistics ------------------------------------------------------------------------------------------------- */

typedef enum duet_stats_kind {
    DUET_STATS_PEER_CONNECTION = 1,
    DUET_STATS_TRANSPORT,
    DUET_STATS_SCTP_TRANSPORT,
    DUET_STATS_CANDIDATE_PAIR,
    DUET_STATS_LOCAL_CANDIDATE,
    DUET_STATS_REMOTE_CANDIDATE,
    DUET_STATS_CERTIFICATE,
    DUET_STATS_DATA_CHANNEL,
    DUET_STATS_CODEC,
    DUET_STATS_INBOUND_RTP,
    DUET_STATS_OUTBOUND_RTP,
    DUET_STATS_REMOTE_INBOUND_RTP,
    DUET_STATS_REMOTE_OUTBOUND_RTP,
    DUET_STATS_MEDIA_SOURCE,
    DUET_STATS_MEDIA_PLAYOUT,
} duet_stats_kind;

/** One member of a statistics object. */
typedef struct duet_stat {
    const char *name; /**< W3C webrtc-stats: "bytesSent" */
    enum { DUET_STAT_TEXT = 1, DUET_STAT_NUMBER, DUET_STAT_REAL, DUET_STAT_BOOL } type;
    const char *text;
    uint64_t number;
    double real; /**< times are seconds, as in webrtc-stats */
    bool boolean;
} duet_stat;

/** Visits one object after the other; the strings live until it returns. */
typedef void (*duet_stats_fn)(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count);

/** W3C getStats: names and units of webrtc-stats, plus members that begin with "duet". */
DUET_API void duet_pc_get_stats(const duet_pc *pc, duet_stats_fn visit, void *user);
DUET_API const char *duet_stats_kind_name(duet_stats_kind kind); /**< "candidate-pair", … */

/** Counters of what came from outside and was dropped. */
typedef struct duet_pc_counters {
    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out;
    uint64_t unvalidated;       /**< DTLS or SRTP from an address that no check has proved */
    uint64_t unknown;           /**< first byte of no known protocol (RFC 7983) */
    uint64_t early_held;        /**< DTLS that came before the description that it needs */
    uint64_t early_dropped;     /**< … beyond the bound */
    uint64_t media_dropped;     /**< RTP and RTCP while no media is negotiated, or before DTLS has its keys */
    uint64_t media_refused;     /**< … that SRTP refused: forged, replayed, ill-formed */
    uint64_t media_unprotected; /**< ours that could not be protected, and did not leave */
} duet_pc_counters;

DUET_API void duet_pc_get_counters(const duet_pc *pc, duet_pc_counters *out);

/* ---- driving ---------------------------------------------------------------------------------------------------- */

/** The contract of duet_endpoint_ops for `duet_pc *` objects. */
DUET_API const duet_endpoint_ops *duet_pc_endpoint_ops(void);

DUET_API int duet_pc_input(duet_pc *pc, duet_datagram *in, duet_time now);
DUET_API int duet_pc_output(duet_pc *pc, duet_datagram *out, duet_time now);
DUET_API int duet_pc_request(duet_pc *pc, duet_request *out);
DUET_API int duet_pc_answer(duet_pc *pc, const duet_answer *answer, duet_time now);
DUET_API void duet_pc_path_error(duet_pc *pc, const duet_path *path, int error, duet_time now);
DUET_API void duet_pc_tick(duet_pc *pc, duet_time now);
DUET_API duet_time duet_pc_deadline(const duet_pc *pc);
/** Thread-safe against the wakes themselves. */
DUET_API void duet_pc_set_wake(duet_pc *pc, void (*wake)(void *user), void *user);

/* ---- names: those of W3C ----------------------------------------------------------------------------------------- */

DUET_API const char *duet_signaling_state_name(duet_signaling_state state);
DUET_API const char *duet_pc_state_name(duet_pc_state state);
DUET_API const char *duet_ice_gathering_state_name(duet_ice_gathering_state state);
DUET_API const char *duet_sdp_type_name(duet_sdp_type type);
DUET_API duet_sdp_type duet_sdp_type_parse(const char *name); /**< NONE when unknown */

#ifdef __cplusplus
}
#endif
#endif
