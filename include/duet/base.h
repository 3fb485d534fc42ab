/* What every Duet module shares: errors, time, memory, addresses, datagrams, requests to the outside, log and trace.
 *
 * Nothing here opens a socket, starts a thread or reads a clock. */
#ifndef DUET_BASE_H
#define DUET_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define DUET_API          __attribute__((visibility("default")))
#define DUET_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define DUET_MUST_CHECK   __attribute__((warn_unused_result))
#else
#define DUET_API
#define DUET_PRINTF(f, a)
#define DUET_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors -------------------------------------------------------------------------------------------------- */

/** Why a call failed. Functions return DUET_OK (0) or one of these negative values. */
typedef enum duet_err {
    DUET_OK = 0,
    DUET_ERR_INVALID = -1,     /**< an argument is outside what the function documents */
    DUET_ERR_NOMEM = -2,       /**< the allocator returned NULL; the object is as it was before the call */
    DUET_ERR_MALFORMED = -3,   /**< bytes or text from outside do not follow their grammar */
    DUET_ERR_NOT_MINE = -4,    /**< the datagram belongs to another protocol or object: try the next one */
    DUET_ERR_STATE = -5,       /**< legal call, wrong moment (W3C InvalidStateError) */
    DUET_ERR_TOO_LARGE = -6,   /**< the message exceeds a negotiated or documented limit */
    DUET_ERR_AGAIN = -7,       /**< a bounded queue is full: nothing was taken, try after the matching event */
    DUET_ERR_NOT_FOUND = -8,   /**< no such thing */
    DUET_ERR_UNSUPPORTED = -9, /**< understood, but not something this build or peer can do */
    DUET_ERR_AUTH = -10,       /**< integrity, fingerprint or credentials do not match */
    DUET_ERR_IO = -11,         /**< the outside (socket, file) reported an error */
    DUET_ERR_CLOSED = -12,     /**< the object or its peer has closed */
    DUET_ERR_LIMIT = -13,      /**< a configured bound would be passed */
    DUET_ERR_TIMEOUT = -14,    /**< the answer did not come in time */
    DUET_ERR_CRYPTO = -15,     /**< the cryptographic library refused */
    DUET_ERR_BUFFER = -16,     /**< the caller's buffer is too small */
} duet_err;

/** Names an error in a few English words, for example "malformed input". Never NULL; static storage. */
DUET_API const char *duet_strerror(int err);

/* ---- time ---------------------------------------------------------------------------------------------------- */

/** Monotonic time in microseconds. 0 is a valid time. It is always an argument: the library reads no clock. */
typedef uint64_t duet_time;

/** "No deadline": the object is idle until it gets input. */
#define DUET_NEVER UINT64_MAX

#define DUET_MS(n)      ((duet_time)(n)*1000u)
#define DUET_SECONDS(n) ((duet_time)(n)*1000000u)

/* ---- memory and environment ---------------------------------------------------------------------------------- */

/** Where memory comes from. All three functions must be set; `user` is handed back to them. */
typedef struct duet_allocator {
    void *(*alloc)(void *user, size_t size);              /**< size > 0; uninitialised; NULL when there is none */
    void *(*realloc)(void *user, void *ptr, size_t size); /**< ptr may be NULL; on NULL the old block stays valid */
    void (*free)(void *user, void *ptr);                  /**< ptr may be NULL */
    void *user;
} duet_allocator;

/** Fills `len` bytes with cryptographically strong random data. Returns 0, or negative when it cannot. */
typedef int (*duet_random_fn)(void *user, uint8_t *out, size_t len);

typedef enum duet_log_level {
    DUET_LOG_NONE = 0,
    DUET_LOG_ERROR,
    DUET_LOG_WARN,
    DUET_LOG_INFO,
    DUET_LOG_DEBUG,
} duet_log_level;

/** One log line. `module` is "ice", "dtls", …; the text has no newline and never holds a secret. May not call back. */
typedef void (*duet_log_fn)(void *user, duet_log_level level, const char *module, const char *text);

struct duet_trace_event;
/** One trace event; it and what it points to live until the function returns. May not call back. */
typedef void (*duet_trace_fn)(void *user, const struct duet_trace_event *event);

/** The surroundings of an object; every config points to one (NULL: libc memory, system randomness, silence).
 *  Objects copy it; what `user` points to must outlive them. */
typedef struct duet_env {
    size_t size;
    const duet_allocator *allocator; /**< NULL is libc; must outlive the objects */
    duet_random_fn random;           /**< NULL is OpenSSL's generator */
    duet_log_fn log;                 /**< NULL is silence */
    duet_log_level log_level;        /**< lines above this level are not even formatted */
    duet_trace_fn trace;             /**< NULL: nothing is traced, and it costs nothing */
    void *user;                      /**< handed to random, log and trace */
} duet_env;

/* clang-format off */
#define DUET_ENV_INIT { sizeof(duet_env), NULL, NULL, NULL, DUET_LOG_WARN, NULL, NULL }
/* clang-format on */

/** Frees a string or buffer that a Duet call returned to the caller. NULL is fine. `env` is the one that the call was
 *  configured with (NULL for the default). */
DUET_API void duet_free(const duet_env *env, void *ptr);

/* ---- addresses ----------------------------------------------------------------------------------------------- */

typedef enum duet_family {
    DUET_AF_NONE = 0,
    DUET_AF_INET = 4,
    DUET_AF_INET6 = 6,
} duet_family;

/** A transport address: IP address and port, both readable without byte swapping. Zeroed is "none". */
typedef struct duet_address {
    uint8_t family; /**< duet_family */
    uint16_t port;  /**< host byte order */
    uint32_t scope; /**< IPv6 zone (interface index) of link-local addresses, otherwise 0 */
    uint8_t ip[16]; /**< network byte order; IPv4 uses the first four, the rest is zero */
} duet_address;

/** Longest text of an address with port and scope, with its NUL: "[xxxx:…:255.255.255.255%4294967295]:65535". */
#define DUET_ADDRESS_TEXT_MAX 72

/** Parses an IP literal ("192.0.2.1", "2001:db8::1", "fe80::1%2"); the port becomes `port`.
 *  @return DUET_OK, or DUET_ERR_MALFORMED when `text` is no IP literal (a host name, for example) */
DUET_API int duet_address_parse(duet_address *out, const char *text, uint16_t port);

/** Parses "192.0.2.1:80" or "[2001:db8::1]:80". */
DUET_API int duet_address_parse_port(duet_address *out, const char *text);

/** Writes the IP literal without port into buf (RFC 5952 form for IPv6), truncated to size, always terminated.
 *  @return buf */
DUET_API char *duet_address_ip_text(const duet_address *a, char *buf, size_t size);

/** Writes "ip:port" or "[ip]:port". @return buf */
DUET_API char *duet_address_text(const duet_address *a, char *buf, size_t size);

DUET_API bool duet_address_equal(const duet_address *a, const duet_address *b);    /**< ip, port and scope */
DUET_API bool duet_address_ip_equal(const duet_address *a, const duet_address *b); /**< ip and scope, any port */
DUET_API bool duet_address_is_any(const duet_address *a);                          /**< 0.0.0.0 or :: */
DUET_API bool duet_address_is_loopback(const duet_address *a);                     /**< 127/8, ::1 */
DUET_API bool duet_address_is_link_local(const duet_address *a);                   /**< 169.254/16, fe80::/10 */
DUET_API bool duet_address_is_private(const duet_address *a);                      /**< RFC 1918, fc00::/7 */
DUET_API bool duet_address_is_multicast(const duet_address *a);                    /**< 224/4, ff00::/8 */

/* ---- datagrams ----------------------------------------------------------------------------------------------- */

typedef enum duet_protocol {
    DUET_UDP = 0,
    DUET_TCP,
    DUET_TLS,
} duet_protocol;

/** The way that a datagram takes. `socket` is the id of the DUET_REQUEST_OPEN that opened the socket, or the `accepted` of the
 *  DUET_ANSWER_ACCEPTED that told of it. */
typedef struct duet_path {
    uint32_t socket;
    duet_protocol protocol;
    duet_address local;
    duet_address remote;
} duet_path;

DUET_API bool duet_path_equal(const duet_path *a, const duet_path *b);

/** One datagram, in or out. On a path of DUET_TCP or DUET_TLS it is a piece of the byte stream: inputs are whatever arrived and
 *  the object finds its frames in it; each output is a whole frame (or several), written completely or not at all: when
 *  DUET_STREAM_PENDING_MAX bytes already wait for the peer, the driver drops the piece, as a router drops a datagram, and says
 *  so with `path_error(EAGAIN)`. One slow stream thus holds up nobody else.
 *
 *  The bytes belong to whoever made it:
 *  - given to `…_input` they may be modified (decrypted in place) and are not kept;
 *  - from `…_output` they stay valid until the next call on that object other than `…_output`, and in any case for
 *    the next DUET_OUTPUT_BATCH outputs, so a driver may gather a batch and send it with one system call. */
typedef struct duet_datagram {
    duet_path path;
    uint8_t *data;
    size_t len;
    size_t headroom; /**< bytes before `data` that may be overwritten (outputs: at least DUET_HEADROOM) */
    uint8_t dscp;    /**< 6 bits, RFC 2474 */
    uint8_t ecn;     /**< 2 bits, RFC 3168 */
    bool df;         /**< do not fragment */
    duet_time time;  /**< inputs: when it was received; outputs: unused */
} duet_datagram;

/** Room before an outgoing payload: RFC 4571 length, ChannelData or Send indication. */
#define DUET_HEADROOM 64
/** Room behind an outgoing payload: the trailer of SRTP. */
#define DUET_TAILROOM 160
/** Bytes that a driver keeps for a stream whose peer does not read. */
#define DUET_STREAM_PENDING_MAX (256u * 1024u)
/** How many outputs of one object a driver may hold at a time. */
#define DUET_OUTPUT_BATCH 64

/* ---- requests to the outside --------------------------------------------------------------------------------- */

/** What an object may ask of its driver (the real one in net/, the simulated one in sim/, or anybody's). */
typedef enum duet_request_kind {
    DUET_REQUEST_INTERFACES = 1, /**< list the network interfaces, with `watch` again whenever they change */
    DUET_REQUEST_OPEN,           /**< open a UDP socket or connect a stream; its datagrams carry `id` as path.socket */
    DUET_REQUEST_LISTEN,         /**< accept stream connections on `bind`; each is told by a DUET_ANSWER_ACCEPTED */
    DUET_REQUEST_CLOSE,          /**< close the socket or listener `id`, or withdraw the name; there is no answer */
    DUET_REQUEST_RESOLVE, /**< look up the host `name`; a name that ends in ".local" by multicast DNS (RFC 6762) */
    DUET_REQUEST_PUBLISH, /**< answer multicast DNS queries for `name` with `bind` until it is closed */
    DUET_ANSWER_ACCEPTED, /**< only an answer: a connection came in on the listener `id` */
} duet_request_kind;

/** Ids of accepted connections are chosen by the driver, from here on; those of requests stay below. */
#define DUET_SOCKET_ACCEPTED 0x80000000u

typedef struct duet_request {
    duet_request_kind kind;
    uint32_t id; /**< repeated in the answer; for CLOSE the id of the OPEN, LISTEN or PUBLISH, or an accepted one */
    duet_protocol protocol; /**< OPEN, LISTEN */
    duet_address bind;   /**< OPEN, LISTEN: local IP address; port 0 takes one from the range. PUBLISH: the address */
    duet_address remote; /**< OPEN of a stream: where to */
    uint16_t port_min;   /**< OPEN, LISTEN with bind.port 0: first port of the range, 0 for any */
    uint16_t port_max;   /**< last port of the range */
    const char *name;    /**< RESOLVE, PUBLISH: host name; OPEN with DUET_TLS: server name. Lives until the next call */
    bool watch;          /**< INTERFACES: answer again, with the same id, whenever they change */
    bool share_port;     /**< OPEN, LISTEN: other sockets may bind the same port too (SO_REUSEPORT) */
    duet_address
        group; /**< OPEN of UDP: multicast group that is joined on the interface of `bind`; family NONE: none */
    const char *ca_file; /**< OPEN with DUET_TLS: PEM of the trusted authorities, NULL: the system's */
    bool tls_no_verify;  /**< OPEN with DUET_TLS: trust whoever answers. For tests */
    const char *certificate_file, *key_file; /**< LISTEN with DUET_TLS: PEM chain and key; read again at each LISTEN */
} duet_request;

/** One network interface with one address. An interface with several addresses appears several times. */
typedef struct duet_interface {
    char name[16];
    uint32_t index;
    duet_address address; /**< port 0 */
    bool is_loopback;
    bool is_temporary;  /**< RFC 8981 temporary address: preferred */
    bool is_deprecated; /**< RFC 4862: not used */
} duet_interface;

/** The answer to a request, given to `…_answer`. Its pointers need to live for that call only. */
typedef struct duet_answer {
    duet_request_kind kind;
    uint32_t id;
    int err;             /**< DUET_OK, or why it failed; DUET_ERR_AUTH: the certificate is not to be trusted */
    const char *reason;  /**< what went wrong in words, for logs; may be NULL */
    duet_address local;  /**< OPEN, LISTEN, ACCEPTED: the bound address with its port */
    uint32_t accepted;   /**< ACCEPTED: the id of the new connection */
    duet_address remote; /**< ACCEPTED: who connected */
    const duet_address *addresses; /**< RESOLVE: results, port 0 */
    size_t address_count;
    const duet_interface *interfaces; /**< INTERFACES */
    size_t interface_count;
} duet_answer;

/* ---- what a driver drives -------------------------------------------------------------------------------------- */

/** An object that keeps the contract "no sockets, no threads, no clock", as its driver sees it. Drivers: duet/net.h with
 *  real sockets, duet/sim.h with a simulated network, or anybody's loop. */
typedef struct duet_endpoint_ops {
    size_t size;
    int (*input)(void *object, duet_datagram *in, duet_time now);
    int (*output)(void *object, duet_datagram *out, duet_time now); /**< 1 and a datagram, or 0 */
    int (*request)(void *object, duet_request *out);                /**< 1 and a request, or 0 */
    int (*answer)(void *object, const duet_answer *answer, duet_time now);
    /** error: an errno value. Streams: 0 when the peer ended it in order, EAGAIN when a piece was dropped because too much
     *  waits already, and any other error is the end of the stream. */
    void (*path_error)(void *object, const duet_path *path, int error, duet_time now);
    void (*tick)(void *object, duet_time now);
    duet_time (*deadline)(const void *object);
    /** Installs what the object calls, from any thread, when it wants to be driven before its deadline. NULL removes. */
    void (*set_wake)(void *object, void (*wake)(void *user), void *user);
    /** The username fragments that checks for this object carry at present, by index; NULL past the last one. Only for a driver
     *  that shares a socket (duet/mux.h); NULL where that makes no sense. */
    const char *(*local_ufrag)(const void *object, size_t index);
} duet_endpoint_ops;

/* ---- value types that several modules share ------------------------------------------------------------------- */

typedef enum duet_candidate_type {
    DUET_CANDIDATE_HOST = 0,
    DUET_CANDIDATE_SRFLX,
    DUET_CANDIDATE_PRFLX,
    DUET_CANDIDATE_RELAY,
} duet_candidate_type;

/** RFC 6544, section 4.5. */
typedef enum duet_tcp_type {
    DUET_TCPTYPE_NONE = 0,
    DUET_TCPTYPE_ACTIVE,
    DUET_TCPTYPE_PASSIVE,
    DUET_TCPTYPE_SO,
} duet_tcp_type;

#define DUET_FOUNDATION_MAX 32 /* RFC 8839, section 5.1: 1*32 ice-char */
#define DUET_UFRAG_MAX      256
#define DUET_PWD_MAX        256
#define DUET_HOST_NAME_MAX  255

/** An ICE candidate, RFC 8839 section 5.1. Longest text: DUET_CANDIDATE_TEXT_MAX. */
typedef struct duet_candidate {
    char foundation[DUET_FOUNDATION_MAX + 1];
    uint16_t component; /**< 1 RTP (and all of rtcp-mux), 2 RTCP */
    duet_protocol protocol;
    uint32_t priority;
    duet_address address;              /**< family DUET_AF_NONE when `name` is set */
    char name[DUET_HOST_NAME_MAX + 1]; /**< a host name such as "….local" instead of an address, otherwise "" */
    duet_candidate_type type;
    duet_address related;           /**< raddr and rport; family DUET_AF_NONE when absent */
    duet_tcp_type tcp_type;         /**< tcp candidates */
    char ufrag[DUET_UFRAG_MAX + 1]; /**< "ufrag" extension (trickled candidates), otherwise "" */
    uint32_t network_cost;          /**< "network-cost" extension, 0 when absent */
} duet_candidate;

#define DUET_CANDIDATE_TEXT_MAX 1024

/** Parses "candidate:…", with or without "a=" before it. Unknown extensions are skipped, unknown candidate types and
 *  transports give DUET_ERR_UNSUPPORTED (RFC 8839 section 5.1: ignore such candidates), errors of grammar
 *  DUET_ERR_MALFORMED.
 *  @param len     length of `text`; trailing CR, LF and spaces are accepted
 *  @param column  where the first error is, counted from 0; may be NULL
 *  @param reason  what is wrong there, static; may be NULL */
DUET_API int duet_candidate_parse(duet_candidate *out, const char *text, size_t len, size_t *column,
                                  const char **reason);

/** Writes "candidate:…" without "a=". @return DUET_OK or DUET_ERR_BUFFER */
DUET_API int duet_candidate_format(const duet_candidate *c, char *buf, size_t size);

DUET_API const char *duet_candidate_type_name(duet_candidate_type type); /**< "host", "srflx", "prflx", "relay" */
DUET_API const char *duet_protocol_name(duet_protocol protocol);         /**< "udp", "tcp", "tls" */

/** ICE user name fragment and password, RFC 8839 section 5.4: 4 to 256 and 22 to 256 ice-chars. */
typedef struct duet_ice_credentials {
    char ufrag[DUET_UFRAG_MAX + 1];
    char pwd[DUET_PWD_MAX + 1];
} duet_ice_credentials;

/** Whether both parts follow the grammar. */
DUET_API bool duet_ice_credentials_valid(const duet_ice_credentials *c);

typedef enum duet_hash {
    DUET_HASH_NONE = 0,
    DUET_HASH_SHA1, /**< parsed so that it can be named; never accepted as a fingerprint (RFC 8122 section 5) */
    DUET_HASH_SHA224,
    DUET_HASH_SHA256,
    DUET_HASH_SHA384,
    DUET_HASH_SHA512,
} duet_hash;

#define DUET_FINGERPRINT_MAX 64

/** A certificate fingerprint, RFC 8122 section 5: "sha-256 AB:CD:…". */
typedef struct duet_fingerprint {
    duet_hash hash;
    size_t len;
    uint8_t value[DUET_FINGERPRINT_MAX];
} duet_fingerprint;

#define DUET_FINGERPRINT_TEXT_MAX (8 + 3 * DUET_FINGERPRINT_MAX + 1)

/** Parses "sha-256 AB:CD:…" (hash name and digits in either case). The length must fit the hash.
 *  @return DUET_OK, DUET_ERR_UNSUPPORTED (unknown hash) or DUET_ERR_MALFORMED */
DUET_API int duet_fingerprint_parse(duet_fingerprint *out, const char *text, size_t len);
/** Writes "sha-256 AB:CD:…" in upper-case digits. @return DUET_OK or DUET_ERR_BUFFER */
DUET_API int duet_fingerprint_format(const duet_fingerprint *f, char *buf, size_t size);
DUET_API bool duet_fingerprint_equal(const duet_fingerprint *a, const duet_fingerprint *b);

/** a=setup, RFC 4145 section 4 and RFC 8842 section 5. */
typedef enum duet_setup {
    DUET_SETUP_NONE = 0,
    DUET_SETUP_ACTIVE,
    DUET_SETUP_PASSIVE,
    DUET_SETUP_ACTPASS,
    DUET_SETUP_HOLDCONN,
} duet_setup;

DUET_API const char *duet_setup_name(duet_setup setup);             /**< "active", …; NULL for NONE */
DUET_API duet_setup duet_setup_parse(const char *text, size_t len); /**< DUET_SETUP_NONE when unknown */

/** A STUN or TURN server, W3C RTCIceServer. */
typedef struct duet_ice_server {
    const char *const *urls; /**< "stun:host:port", "turn:host?transport=tcp" (RFC 7064, 7065) */
    size_t url_count;
    const char *username;   /**< NULL when there is none */
    const char *credential; /**< NULL when there is none */
} duet_ice_server;

/** An SRTP protection profile. RFC 5764 section 4.1.2 and RFC 7714 section 14.2: the registered numbers. */
typedef enum duet_srtp_profile {
    DUET_SRTP_NONE = 0,
    DUET_SRTP_AES128_CM_SHA1_80 = 1,
    DUET_SRTP_AES128_CM_SHA1_32 = 2,
    DUET_SRTP_AEAD_AES_128_GCM = 7,
    DUET_SRTP_AEAD_AES_256_GCM = 8,
} duet_srtp_profile;

/** "SRTP_AES128_CM_SHA1_80": the names of the IANA registry, as W3C webrtc-stats writes them; NULL for NONE. */
DUET_API const char *duet_srtp_profile_name(duet_srtp_profile profile);

/** A codec as SDP names it: one payload type of one m-section (RFC 8866 section 6.6 and 6.15, RFC 4585). */
typedef struct duet_codec {
    char name[32];        /**< encoding name: "opus", "VP8", "rtx" */
    uint8_t payload_type; /**< 0 to 127 */
    uint32_t clock_rate;
    uint8_t channels;  /**< 1 when absent */
    char fmtp[256];    /**< format parameters, "" when absent */
    uint32_t feedback; /**< bits DUET_FEEDBACK_… */
} duet_codec;

#define DUET_FEEDBACK_NACK         (1u << 0)
#define DUET_FEEDBACK_NACK_PLI     (1u << 1)
#define DUET_FEEDBACK_CCM_FIR      (1u << 2)
#define DUET_FEEDBACK_GOOG_REMB    (1u << 3)
#define DUET_FEEDBACK_TRANSPORT_CC (1u << 4)
#define DUET_FEEDBACK_CCFB         (1u << 5)

/* ---- trace --------------------------------------------------------------------------------------------------- */

typedef enum duet_trace_kind {
    DUET_TRACE_STATE = 1, /**< a state machine moved: subject, from, to, cause */
    DUET_TRACE_PACKET,    /**< a packet passed: layer, outgoing, path, data, len */
    DUET_TRACE_KEY,       /**< key material: text is a line of the NSS key log format */
    DUET_TRACE_DISCARD,   /**< input was dropped: subject, cause, len */
} duet_trace_kind;

typedef enum duet_layer {
    DUET_LAYER_DATAGRAM = 1, /**< bytes as they are on the wire */
    DUET_LAYER_SCTP,         /**< plain SCTP packet, inside DTLS */
    DUET_LAYER_RTP,          /**< plain RTP or RTCP packet, inside SRTP */
} duet_layer;

/** Everything that an observer can see; pcap files, key logs, event logs and the assertions of tests are made of it. */
typedef struct duet_trace_event {
    duet_trace_kind kind;
    duet_time time;
    const char *module;    /**< "ice", "dtls", "sctp", "peer" */
    const char *subject;   /**< STATE, DISCARD: what moved, for example "connection" or "pair 3" */
    const char *from, *to; /**< STATE: names of the states */
    const char *cause;     /**< STATE, DISCARD: why, in a few words */
    duet_layer layer;      /**< PACKET */
    bool outgoing;         /**< PACKET */
    const duet_path *path; /**< PACKET of DUET_LAYER_DATAGRAM; otherwise may be NULL */
    const uint8_t *data;   /**< PACKET */
    size_t len;            /**< PACKET, DISCARD */
    const char *text;      /**< KEY */
} duet_trace_event;

#ifdef __cplusplus
}
#endif
#endif
