/* Data channels: SCTP (RFC 9260 in the profile of RFC 8831), DCEP (RFC 8832) and the channels themselves, sans-I/O. */
#ifndef DUET_SCTP_H
#define DUET_SCTP_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* usrsctp, the engine, is one per process, with one clock: all associations of a process share one time base for `now`
 * (the largest `now` wins), and one association's tick runs the timers of all. What comes of it for others waits in
 * their own queue, behind on_wake, also across threads. Its memory, and that queue's, is libc's. The last association
 * that is destroyed ends usrsctp. */

typedef struct duet_sctp duet_sctp; /**< one association and its channels, W3C RTCSctpTransport */
typedef struct duet_dc duet_dc;     /**< one data channel, W3C RTCDataChannel */

typedef enum duet_sctp_state {
    DUET_SCTP_NEW = 0,
    DUET_SCTP_CONNECTING,
    DUET_SCTP_CONNECTED,
    DUET_SCTP_CLOSED,
} duet_sctp_state;

/** W3C RTCDataChannelState. */
typedef enum duet_dc_state {
    DUET_DC_CONNECTING = 0,
    DUET_DC_OPEN,
    DUET_DC_CLOSING,
    DUET_DC_CLOSED,
} duet_dc_state;

/** W3C RTCPriorityType; the DCEP values of RFC 8832 section 5.1. */
typedef enum duet_dc_priority {
    DUET_DC_PRIORITY_VERY_LOW = 128,
    DUET_DC_PRIORITY_LOW = 256,
    DUET_DC_PRIORITY_MEDIUM = 512,
    DUET_DC_PRIORITY_HIGH = 1024,
} duet_dc_priority;

#define DUET_DC_AUTO_ID 65535 /* the id is chosen by the DTLS role: client even, server odd (RFC 8832 section 6) */

/** W3C RTCDataChannelInit. */
typedef struct duet_dc_init {
    size_t size;
    bool unordered;
    int max_retransmits;      /**< -1: no limit. At most one of the two limits may be set */
    int max_packet_life_time; /**< milliseconds; -1: no limit */
    const char *protocol;     /**< NULL is "" */
    bool negotiated;          /**< both sides create it with the same id, no DCEP */
    uint16_t id;              /**< 0 to 65534, or DUET_DC_AUTO_ID */
    uint16_t priority;        /**< duet_dc_priority; 0 is 256 */
} duet_dc_init;

DUET_API void duet_dc_init_defaults(duet_dc_init *init);

/** Callbacks of a channel; any of them may be NULL. Nothing comes after on_close. */
typedef struct duet_dc_callbacks {
    size_t size;
    void (*on_open)(void *user, duet_dc *dc);
    /** A whole message; `data` lives until the function returns. Text is UTF-8 without a NUL. */
    void (*on_message)(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text);
    /** buffered_amount sank to or below the threshold (W3C bufferedamountlow). Comes also to a channel that heard
     *  DUET_ERR_AGAIN because others had filled the queue, when there is room again. */
    void (*on_buffered_amount_low)(void *user, duet_dc *dc);
    /** The peer closes the channel, or an error does; not after duet_dc_close (W3C "announce closing"). */
    void (*on_closing)(void *user, duet_dc *dc);
    /** The channel has ended; the handle stays valid until the owner of the association is destroyed or the handle is
     *  released with duet_dc_release. */
    void (*on_close)(void *user, duet_dc *dc);
    void *user;
} duet_dc_callbacks;

typedef struct duet_sctp_config {
    size_t size;
    const duet_env *env;
    uint16_t local_port;     /**< 0 is 5000 */
    size_t mtu;              /**< largest SCTP packet; 0 is 1200 − 48 so that it fits a DTLS record in the path MTU */
    uint16_t streams;        /**< streams asked for each way; 0 is 1024 */
    size_t max_message_size; /**< largest message accepted, a=max-message-size; 0 is 262144 */
    size_t send_buffer;      /**< bytes waiting in the engine; 0 is 1 MiB */
    size_t receive_buffer;   /**< a_rwnd; 0 is 1 MiB; at least twice max_message_size is used */
    size_t send_queue;       /**< bytes queued over all channels beyond the engine's buffer; 0 is 16 MiB */
    duet_time rto_initial;   /**< 0 is 500 ms */
    duet_time rto_min;       /**< 0 is 200 ms */
    bool zero_checksum;      /**< offer RFC 9653; engines that cannot say DUET_ERR_UNSUPPORTED */
    const uint8_t *local_init; /**< INIT bytes for out-of-band set-up (SNAP); NULL: the four-way handshake */
    size_t local_init_len;
    const uint8_t *remote_init;
    size_t remote_init_len;
    uint32_t id; /**< unused by the protocol; shown in traces */

    /** Takes each outgoing packet as it is made, instead of the outbox, so that it is encrypted without a copy between.
     *  Runs inside the engine on the thread that owns the object: it may not call this object or any other
     *  association. Anything but DUET_OK
     *  counts as a lost packet. NULL: packets wait for duet_sctp_output. */
    int (*packet_sink)(void *user, const uint8_t *packet, size_t len, duet_time now);

    void (*on_state)(void *user, duet_sctp_state state);
    /** The peer opened a channel. Set callbacks in it with duet_dc_set_callbacks; messages wait until it returns. */
    void (*on_channel)(void *user, duet_dc *dc);
    /** Work is due: call duet_sctp_tick. May come from another thread (usrsctp has one timer queue for the process): it may only
     *  hand the fact on to the owner's loop. */
    void (*on_wake)(void *user);
    void *user;
} duet_sctp_config;

DUET_API void duet_sctp_config_init(duet_sctp_config *config);
DUET_API int duet_sctp_create(duet_sctp **out, const duet_sctp_config *config);
DUET_API void duet_sctp_destroy(duet_sctp *sctp); /**< frees its channels too, without events */

/** Starts the association; both sides call it (simultaneous open).
 *  @param is_dtls_client     takes even stream ids
 *  @param remote_port        a=sctp-port of the peer
 *  @param remote_max_message a=max-message-size of the peer: 65536 when absent (RFC 8841 section 6.1), 0 for no limit */
DUET_API int duet_sctp_connect(duet_sctp *sctp, bool is_dtls_client, uint16_t remote_port, uint64_t remote_max_message,
                               duet_time now);
/** Later descriptions may change the peer's limit. */
DUET_API void duet_sctp_set_remote_max_message(duet_sctp *sctp, uint64_t remote_max_message);
/** One SCTP packet (the plain text of a DTLS record). Bad packets are counted and dropped. */
DUET_API int duet_sctp_input(duet_sctp *sctp, const uint8_t *packet, size_t len, duet_time now);
/** Next packet when there is no packet_sink; path is zero. @return 1 or 0 */
DUET_API int duet_sctp_output(duet_sctp *sctp, duet_datagram *out, duet_time now);
DUET_API void duet_sctp_tick(duet_sctp *sctp, duet_time now);
DUET_API duet_time duet_sctp_deadline(const duet_sctp *sctp);
/** Graceless end: ABORT is sent, channels close with events. */
DUET_API void duet_sctp_close(duet_sctp *sctp, duet_time now);
DUET_API duet_sctp_state duet_sctp_get_state(const duet_sctp *sctp);

typedef struct duet_sctp_stats {
    uint64_t packets_in, packets_out, bytes_in, bytes_out;
    uint64_t discarded;   /**< bad checksum, ill-formed chunks, wrong ports or tags */
    uint64_t dcep_errors; /**< ill-formed DCEP, ids in conflict, messages on streams without a channel */
    uint64_t oversized;   /**< messages beyond max_message_size; their channels were closed */
    uint64_t sink_refused;
    duet_time smoothed_round_trip_time;
    uint32_t congestion_window, receiver_window, mtu, unacknowledged;
    uint64_t max_message_size; /**< what a send may have now */
    uint16_t max_channels;     /**< negotiated streams */
    uint32_t channels_opened, channels_closed;
} duet_sctp_stats;

DUET_API void duet_sctp_get_stats(const duet_sctp *sctp, duet_sctp_stats *out);
/** Visits every channel that is not closed. The visitor may not create or release channels. */
DUET_API void duet_sctp_each_channel(const duet_sctp *sctp, void (*visit)(void *user, duet_dc *dc), void *user);

/* ---- channels ------------------------------------------------------------------------------------------------- */

/** Creates a channel, W3C createDataChannel; legal before the association starts.
 *  @param label      UTF-8, at most 65535 bytes
 *  @param init       NULL for ordered, reliable, in-band
 *  @param callbacks  may be NULL and set later
 *  @return DUET_OK; DUET_ERR_INVALID (both limits set, label too long, negotiated without id); DUET_ERR_LIMIT (no id
 *          left); DUET_ERR_STATE (id in use, or the association is closed) */
DUET_API int duet_dc_create(duet_dc **out, duet_sctp *sctp, const char *label, const duet_dc_init *init,
                            const duet_dc_callbacks *callbacks, duet_time now);
DUET_API void duet_dc_set_callbacks(duet_dc *dc, const duet_dc_callbacks *callbacks);

/** Sends a message. The bytes are copied. While the association is active (in a callback, or while it has a deadline)
 *  it goes straight to the engine and its packets are in the output when this returns; otherwise, or when the engine is
 *  full, it is queued and leaves with the next tick. on_wake tells the owner's loop in either case.
 *  @return DUET_OK; DUET_ERR_STATE (not open); DUET_ERR_TOO_LARGE (beyond the peer's a=max-message-size: nothing was
 *          queued); DUET_ERR_AGAIN (queues are full: wait for on_buffered_amount_low); DUET_ERR_NOMEM */
DUET_API int duet_dc_send(duet_dc *dc, const void *data, size_t len, bool is_text);
/** W3C close(): queued messages go out first, then the stream is reset; on_close follows. */
DUET_API void duet_dc_close(duet_dc *dc);
/** Gives up the handle: no callback comes any more. A closed channel is freed; an open one closes first, then is freed.
 *  Legal in every callback. NULL is fine. */
DUET_API void duet_dc_release(duet_dc *dc);

DUET_API duet_dc_state duet_dc_get_state(const duet_dc *dc);
DUET_API const char *duet_dc_label(const duet_dc *dc);
DUET_API const char *duet_dc_protocol(const duet_dc *dc);
DUET_API bool duet_dc_is_ordered(const duet_dc *dc);
DUET_API int duet_dc_max_retransmits(const duet_dc *dc);
DUET_API int duet_dc_max_packet_life_time(const duet_dc *dc);
DUET_API bool duet_dc_is_negotiated(const duet_dc *dc);
DUET_API uint16_t duet_dc_id(const duet_dc *dc); /**< DUET_DC_AUTO_ID while not chosen */
/** The highest duet_dc_priority of the channels that are not closed, DUET_DC_PRIORITY_LOW without any: one association has one marking (RFC 8837 section 5). */
DUET_API uint16_t duet_sctp_priority(const duet_sctp *sctp);
DUET_API uint16_t duet_dc_get_priority(const duet_dc *dc);
/** Bytes given to send that the engine has not taken yet, W3C bufferedAmount. What waits in the engine's send buffer
 *  (duet_sctp_config.send_buffer for all channels together) does not count: usrsctp does not tell it per stream. */
DUET_API size_t duet_dc_buffered_amount(const duet_dc *dc);
DUET_API void duet_dc_set_buffered_amount_low_threshold(duet_dc *dc, size_t bytes);

typedef struct duet_dc_stats {
    uint64_t messages_sent, bytes_sent, messages_received, bytes_received;
} duet_dc_stats;

DUET_API void duet_dc_get_stats(const duet_dc *dc, duet_dc_stats *out);
DUET_API const char *duet_dc_state_name(duet_dc_state state); /**< W3C names */
DUET_API const char *duet_sctp_state_name(duet_sctp_state state);

#ifdef __cplusplus
}
#endif
#endif
