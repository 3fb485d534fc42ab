/* An RTP session (RFC 3550) as WebRTC runs it on one transport: every m-section of a BUNDLE group in it, streams in both
 * directions, RTCP with its timing, loss repair and feedback. Sans-I/O, without SRTP: plain packets in, plain packets out.
 *
 * A *section* is an m-section: its mid, payload types and header extensions. A *send stream* is one SSRC that we send, with
 * the SSRC of its retransmissions. A *receive stream* is one SSRC of the peer; it comes into being with its first packet
 * that belongs to a section (RFC 9143 section 9.2: MID, known SSRC, payload type). */
#ifndef DUET_MEDIA_H
#define DUET_MEDIA_H

#include "duet/base.h"
#include "duet/rtcp.h"
#include "duet/rtp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_rtp_session duet_rtp_session;
typedef struct duet_send_stream duet_send_stream;
typedef struct duet_receive_stream duet_receive_stream;

#define DUET_RTP_SECTIONS_MAX        64
#define DUET_RTP_CODECS_MAX          32  /**< payload types of a section that are looked at */
#define DUET_RECEIVE_STREAMS_MAX     256 /**< of a session by default; then the one that was silent longest goes */
#define DUET_RECEIVE_STREAMS_PENDING 8   /**< SSRCs of a section that were never announced and never had a MID */

/** A packet as it arrived, for whom it concerns. Everything borrows until the callback returns. A packet without payload is
 *  padding that probes for bandwidth: it has a sequence number like any other, so it is no gap. */
typedef struct duet_rtp_arrival {
    const duet_rtp_packet *packet;         /**< the media packet; for a retransmission the original (RFC 4588) */
    const duet_rtp_extensions *extensions; /**< those of the section's map */
    const duet_codec *codec;               /**< what its payload type means */
    int64_t extended_sequence; /**< sequence number without wraps; the first one of a stream is 65536 + it */
    bool is_retransmission;
    duet_time time; /**< when it arrived */
} duet_rtp_arrival;

typedef struct duet_rtp_session_config {
    size_t size;
    const duet_env *env;
    const char *cname;          /**< RFC 7022; NULL: a random one */
    size_t receive_streams_max; /**< 0: DUET_RECEIVE_STREAMS_MAX */
    uint64_t rtcp_bandwidth;    /**< bits per second for RTCP; 0: 5 % of a session of 512 kbit/s (RFC 3550, 6.2) */
    /** NTP time (32.32 since 1900) at monotonic time 0, so sender reports of all sessions share a clock; 0 is fine. */
    uint64_t ntp_offset;

    /* Sinks: called while the packet is processed, without a queue and without a copy. Of this object they may call only
     * what says so. */
    /** A stream of the peer begins. Set stream-wide state with duet_receive_stream_set_user. */
    void (*on_stream)(void *user, duet_receive_stream *stream);
    void (*on_packet)(void *user, duet_receive_stream *stream, const duet_rtp_arrival *arrival);
    /** BYE, evicted, moved to another section by its MID, or its section was removed; the handle ends with the call. It is
     *  not called by duet_rtp_session_destroy. */
    void (*on_stream_end)(void *user, duet_receive_stream *stream);
    /** PLI or FIR for one of our streams: the next frame should be a key frame. At most one in 100 ms. */
    void (*on_keyframe_request)(void *user, duet_send_stream *stream);
    /** REMB: what the peer estimates that it can receive, bits per second, over all streams. */
    void (*on_remb)(void *user, uint64_t bits_per_second);
    /** Every RTCP packet, before it is processed: for researchers. */
    void (*on_rtcp)(void *user, const duet_rtcp_packet *packet, duet_time now);
    void (*on_wake)(void *user);
    void *user;
} duet_rtp_session_config;

DUET_API void duet_rtp_session_config_init(duet_rtp_session_config *config);
/** @return DUET_OK, DUET_ERR_INVALID (cname of more than 64 bytes), DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
DUET_API int duet_rtp_session_create(duet_rtp_session **out, const duet_rtp_session_config *config);
/** Ends every stream of it, ours too, without another word to the peer. NULL is fine. */
DUET_API void duet_rtp_session_destroy(duet_rtp_session *session);

/* ---- sections -------------------------------------------------------------------------------------------------- */

/** What offer and answer agreed for one m-section. */
typedef struct duet_rtp_section {
    size_t size;
    const char *mid; /**< copied; "" when there is none */
    bool is_video;
    const duet_codec *const *codecs; /**< as negotiated, with rtx ("apt="), red and others; copied */
    size_t codec_count;
    duet_rtp_extension_map extensions;
    const uint32_t *remote_ssrcs; /**< a=ssrc of the peer's description; may be none */
    size_t remote_ssrc_count;
    const uint32_t
        *remote_rtx_ssrcs; /**< from a=ssrc-group:FID: the repair of the stream with the same index, or none */
    size_t remote_rtx_ssrc_count;
    bool receives;     /**< false: packets are dropped and counted (the direction does not receive) */
    bool reduced_size; /**< a=rtcp-rsize, RFC 5506 */
    bool receiver_rtt; /**< a=rtcp-xr:rcvr-rtt: XR with RRTR while nothing is sent (RFC 3611) */
} duet_rtp_section;

/** Adds the section, or replaces the one with this mid: streams go on. Of each description at most 256 SSRCs are kept; others
 *  are found by MID or payload type.
 *  @return DUET_OK, DUET_ERR_LIMIT, DUET_ERR_NOMEM, DUET_ERR_INVALID (mid longer than DUET_RTP_SDES_MAX) */
DUET_API int duet_rtp_session_set_section(duet_rtp_session *session, const duet_rtp_section *section);
/** Ends its receive streams, with on_stream_end. Its send streams must have been destroyed. */
DUET_API void duet_rtp_session_remove_section(duet_rtp_session *session, const char *mid);

/* ---- packets --------------------------------------------------------------------------------------------------- */

/** One plain RTP or RTCP packet of the peer. @return DUET_OK (bad ones are counted), DUET_ERR_MALFORMED when it was
 *  dropped as ill-formed, DUET_ERR_NOT_FOUND when it belongs to no section, DUET_ERR_NOMEM when it would have begun a
 *  stream */
DUET_API int duet_rtp_session_input(duet_rtp_session *session, const uint8_t *data, size_t len, duet_time now);

/** A packet to be protected and sent, in place if you like. It stays valid for the next DUET_OUTPUT_BATCH outputs, but at
 *  most until the next …_input, …_tick or …_destroy; it has DUET_HEADROOM before and DUET_TAILROOM behind. */
typedef struct duet_rtp_outgoing {
    uint8_t *data;
    size_t len;
    size_t capacity; /**< from `data`, with the tailroom */
    bool is_rtcp;
    bool is_video; /**< of a video section: for DSCP (RFC 8837) */
    /** Transport-wide sequence number that it carries, or has in our books alone when feedback is by SSRC (RFC 8888);
     *  -1: none. */
    int32_t transport_sequence_number;
} duet_rtp_outgoing;

/** The next packet to send: RTCP first, then retransmissions, then media in the order of the calls.
 *  @return 1, or 0 when there is none */
DUET_API int duet_rtp_session_output(duet_rtp_session *session, duet_rtp_outgoing *out, duet_time now);
DUET_API void duet_rtp_session_tick(duet_rtp_session *session, duet_time now);
/** The next time when something is to be done without input: reports (every five seconds or so while
 *  a section is agreed and no media flows, RFC 3550 section 6.2; several times as often while it does), requests, feedback.
 *  Packets that wait to be pulled do not count: on_wake told of them. */
DUET_API duet_time duet_rtp_session_deadline(const duet_rtp_session *session);
/** Queues a BYE for every stream that has sent (RFC 3550 section 6.3.7); at most 31 SSRCs, others just fall silent. */
DUET_API void duet_rtp_session_bye(duet_rtp_session *session, duet_time now);

/* ---- sending --------------------------------------------------------------------------------------------------- */

typedef struct duet_send_stream_config {
    size_t size;
    const char *mid;   /**< the section that it belongs to, which must exist */
    const char *rid;   /**< NULL: none. RFC 8852 */
    uint32_t ssrc;     /**< 0: a random one */
    uint32_t rtx_ssrc; /**< 0: a random one when the section has rtx */
    size_t
        history; /**< packets kept for retransmission where nack is negotiated, for about a second (more when the round
                        *   trip is long); 0: at most 1024 for video, 256 for audio */
    size_t queue_limit; /**< packets waiting to be pulled; 0: 2048. More are refused with DUET_ERR_AGAIN */
    void *user;
} duet_send_stream_config;

DUET_API void duet_send_stream_config_init(duet_send_stream_config *config);
/** @return DUET_OK, DUET_ERR_NOT_FOUND (no such section), DUET_ERR_INVALID (an SSRC that is in use, a long rid),
 *          DUET_ERR_NOMEM */
DUET_API int duet_send_stream_create(duet_send_stream **out, duet_rtp_session *session,
                                     const duet_send_stream_config *config);
DUET_API void duet_send_stream_destroy(duet_send_stream *stream); /**< queues a BYE when it has sent; NULL is fine */
DUET_API void *duet_send_stream_user(const duet_send_stream *stream);
DUET_API uint32_t duet_send_stream_ssrc(const duet_send_stream *stream);
DUET_API uint32_t duet_send_stream_rtx_ssrc(const duet_send_stream *stream); /**< 0: none */

/** Sends one payload as a packet: SSRC, sequence number, MID (until the peer has surely seen it, RFC 9143 section 15.2),
 *  RID, abs-send-time and transport-wide sequence number are filled in; retransmissions are kept.
 *  @param timestamp   RTP timestamp as it goes on the wire (the random offset is the caller's, see
 *                     duet_send_stream_timestamp_base)
 *  @param extensions  further values; may be NULL
 *  @return DUET_OK; DUET_ERR_AGAIN (the queue is full); DUET_ERR_TOO_LARGE (with its header above DUET_RTP_PACKET_MAX);
 *          DUET_ERR_INVALID (payload type of no codec of the section) */
DUET_API int duet_send_stream_send(duet_send_stream *stream, uint8_t payload_type, bool marker, uint32_t timestamp,
                                   const uint8_t *payload, size_t len, const duet_rtp_extensions *extensions,
                                   duet_time now);
/** Sends a packet as it is, but with the stream's SSRC, the payload type given, and header extensions of this section.
 *  Sequence number and timestamp are the caller's: for SFUs and researchers. One that was sent already is sent again. */
DUET_API int duet_send_stream_forward(duet_send_stream *stream, const duet_rtp_packet *packet,
                                      const duet_rtp_extensions *extensions, duet_time now);
/** Most payload bytes that duet_send_stream_send takes now, with the extensions that the session sets, audio level, video
 *  orientation and content type. Further ones of yours take their length from it. */
DUET_API size_t duet_send_stream_payload_max(const duet_send_stream *stream);
/** The random first timestamp and its clock: what a sender report of now would say (RFC 3550 section 5.1, 6.4.1). */
DUET_API uint32_t duet_send_stream_timestamp_base(const duet_send_stream *stream);
/** Tells which RTP timestamp a frame of capture time `captured` has: sender reports relate the two. Called by
 *  duet_send_stream_send with its `now` unless it was called for this timestamp. */
DUET_API void duet_send_stream_set_capture_time(duet_send_stream *stream, uint32_t timestamp, duet_time captured);

/** W3C webrtc-stats: RTCOutboundRtpStreamStats, and RTCRemoteInboundRtpStreamStats from the peer's reports. */
typedef struct duet_send_stream_stats {
    uint64_t packets_sent, bytes_sent, header_bytes_sent; /**< with retransmissions; bytes are those of payloads */
    uint64_t retransmitted_packets_sent, retransmitted_bytes_sent;
    uint64_t nack_count, pli_count, fir_count;
    uint64_t nack_missed;   /**< asked for, but no longer kept, or sent again within the last round trip */
    uint64_t queue_refused; /**< DUET_ERR_AGAIN */
    /* from reports of the peer */
    bool has_remote;
    int64_t remote_packets_lost;
    uint64_t remote_packets_received;
    double remote_fraction_lost; /**< of the last report, 0 to 1 */
    double remote_jitter;        /**< seconds */
    duet_time round_trip_time;   /**< last; 0: not measured */
    duet_time total_round_trip_time;
    uint64_t round_trip_time_measurements;
} duet_send_stream_stats;

DUET_API void duet_send_stream_get_stats(const duet_send_stream *stream, duet_send_stream_stats *out);

/* ---- receiving ------------------------------------------------------------------------------------------------- */

DUET_API void duet_receive_stream_set_user(duet_receive_stream *stream, void *user);
DUET_API void *duet_receive_stream_user(const duet_receive_stream *stream);
DUET_API uint32_t duet_receive_stream_ssrc(const duet_receive_stream *stream);
DUET_API const char *duet_receive_stream_mid(const duet_receive_stream *stream);
DUET_API const char *duet_receive_stream_rid(const duet_receive_stream *stream); /**< "" when there is none */
DUET_API bool duet_receive_stream_is_video(const duet_receive_stream *stream);
/** What a payload type means in its section: for payloads inside of others. @return NULL: nothing; lives until the section changes */
DUET_API const duet_codec *duet_receive_stream_codec(const duet_receive_stream *stream, uint8_t payload_type);

/** Asks for a key frame: a PLI, or a FIR when only that is negotiated. It is repeated after 200 ms, then each 3 s, until
 *  duet_receive_stream_got_keyframe; while nothing has come for 30 s, with the next packet. Legal in on_packet. */
DUET_API void duet_receive_stream_request_keyframe(duet_receive_stream *stream, duet_time now);
DUET_API void duet_receive_stream_got_keyframe(duet_receive_stream *stream);
/** Packets up to this extended sequence number are no longer waited for: no NACK asks for them. Legal in on_packet. */
DUET_API void duet_receive_stream_skip_to(duet_receive_stream *stream, int64_t extended_sequence);
/** The capture time of an RTP timestamp on the sender's clock (NTP, 32.32), from its sender reports: lip sync.
 *  @return false before the first report */
DUET_API bool duet_receive_stream_ntp_of(const duet_receive_stream *stream, uint32_t timestamp, uint64_t *ntp);
/** The round-trip time known for this session, from receiver reports, XR or, failing these, 0. */
DUET_API duet_time duet_rtp_session_rtt(const duet_rtp_session *session);
/** What is known from elsewhere, ICE's checks for example; it counts until one is measured. */
DUET_API void duet_rtp_session_hint_rtt(duet_rtp_session *session, duet_time rtt);

/** W3C webrtc-stats: RTCInboundRtpStreamStats and RTCRemoteOutboundRtpStreamStats. */
typedef struct duet_receive_stream_stats {
    uint64_t packets_received, bytes_received, header_bytes_received; /**< with retransmissions and duplicates */
    int64_t packets_lost;                                             /**< RFC 3550 appendix A.3; may be negative */
    double jitter;                                                    /**< seconds, RFC 3550 section 6.4.1 */
    uint64_t packets_duplicated, packets_reordered;
    uint64_t retransmitted_packets_received, retransmitted_bytes_received;
    uint64_t nack_count; /**< NACK packets sent */
    uint64_t nacked_packets, nack_recovered, nack_given_up;
    uint64_t pli_count, fir_count;
    duet_time last_packet; /**< when it arrived */
    /* from sender reports */
    bool has_remote;
    uint64_t remote_packets_sent, remote_bytes_sent, remote_reports_sent;
    uint64_t remote_ntp; /**< of the last report */
} duet_receive_stream_stats;

DUET_API void duet_receive_stream_get_stats(const duet_receive_stream *stream, duet_receive_stream_stats *out);

typedef struct duet_rtp_session_stats {
    uint64_t malformed, unknown_section, unknown_payload_type, not_receiving;
    uint64_t rtcp_in, rtcp_out, rtcp_malformed, rtcp_unknown;
    uint64_t streams_evicted;
    uint64_t transport_feedback_in, transport_feedback_out, remb_in, remb_out;
} duet_rtp_session_stats;

DUET_API void duet_rtp_session_get_stats(const duet_rtp_session *session, duet_rtp_session_stats *out);

/* ---- what congestion control will need --------------------------------------------------------------------------- */

/** One packet of ours that the peer reported on (transport-wide feedback or RFC 8888). */
typedef struct duet_packet_result {
    uint16_t transport_sequence_number;
    size_t len;
    duet_time sent;
    bool received;
    duet_time received_at; /**< on the peer's clock, relative: differences count */
} duet_packet_result;

/** Gets the results of each feedback packet, in the order of the sequence numbers. @param count  at most 1024 a call */
DUET_API void duet_rtp_session_on_feedback(duet_rtp_session *session,
                                           void (*fn)(void *user, const duet_packet_result *results, size_t count,
                                                      duet_time now),
                                           void *user);
/** The driver has sent the packet with this transport-wide sequence number at `now` (called by the peer connection). */
DUET_API void duet_rtp_session_departed(duet_rtp_session *session, int32_t transport_sequence_number, size_t len,
                                        duet_time now);
/** Makes REMB say this, bits per second; 0: none is sent. */
DUET_API void duet_rtp_session_set_remb(duet_rtp_session *session, uint64_t bits_per_second);

#ifdef __cplusplus
}
#endif
#endif
