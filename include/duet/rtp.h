/* RTP packets (RFC 3550 section 5) and their header extensions (RFC 8285): views into a packet and writers, no state. */
#ifndef DUET_RTP_H
#define DUET_RTP_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DUET_RTP_CSRC_MAX   15
#define DUET_RTP_HEADER_MIN 12
/** What fits the path of any call: 1200 bytes, as browsers do. */
#define DUET_RTP_PACKET_MAX 1200
/** What is passed on for others, whose packets may be longer: what fits Ethernet with SRTP, UDP and IPv6 around it. */
#define DUET_RTP_FORWARD_MAX 1400

/** An RTP packet: a view that borrows from the bytes it was read from. */
typedef struct duet_rtp_packet {
    bool marker;
    uint8_t payload_type; /**< 0 to 127 */
    uint16_t sequence_number;
    uint32_t timestamp;
    uint32_t ssrc;
    uint8_t csrc_count;
    uint32_t csrcs[DUET_RTP_CSRC_MAX];
    uint16_t extension_profile; /**< 0xBEDE one-byte, 0x1000 to 0x100F two-byte elements; 0 without extension */
    const uint8_t *extension;   /**< behind profile and length */
    size_t extension_len;
    const uint8_t *payload;
    size_t payload_len;
    size_t padding_len; /**< the last byte of the padding counts itself */
} duet_rtp_packet;

/** Reads a packet. @return DUET_OK; DUET_ERR_MALFORMED: another version than 2, CSRCs, extension or padding that reach
 *  past the end, padding of 0 */
DUET_API int duet_rtp_parse(duet_rtp_packet *out, const uint8_t *data, size_t len);
/** Whether a packet is RTCP: payload type 64 to 95 with the marker bit, that is second byte 192 to 223 (RFC 5761, 4). */
DUET_API bool duet_rtp_is_rtcp(const uint8_t *data, size_t len);
/** Writes header, CSRCs, extension, payload and padding. The payload may be where it will stand (data + header), then it
 *  is not copied; it must not overlap otherwise.
 *  @return DUET_OK, DUET_ERR_BUFFER, DUET_ERR_INVALID (payload type above 127, more than 15 CSRCs, extension not in words
 *          of 4 bytes, padding above 255) */
DUET_API int duet_rtp_write(const duet_rtp_packet *packet, uint8_t *data, size_t capacity, size_t *len);
/** Length of header, CSRCs and extension as duet_rtp_write makes them. */
DUET_API size_t duet_rtp_header_len(const duet_rtp_packet *packet);

/** a − b on the circle of sequence numbers or timestamps (RFC 1982): positive when a is newer. */
DUET_API int32_t duet_rtp_seq_diff(uint16_t a, uint16_t b);
DUET_API int64_t duet_rtp_time_diff(uint32_t a, uint32_t b);

/* ---- header extensions ------------------------------------------------------------------------------------------- */

typedef enum duet_rtp_extension_kind {
    DUET_RTP_EXT_MID = 0,            /**< RFC 9143 section 15: urn:ietf:params:rtp-hdrext:sdes:mid */
    DUET_RTP_EXT_RID,                /**< RFC 8852: …sdes:rtp-stream-id */
    DUET_RTP_EXT_REPAIRED_RID,       /**< RFC 8852: …sdes:repaired-rtp-stream-id */
    DUET_RTP_EXT_ABS_SEND_TIME,      /**< http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time */
    DUET_RTP_EXT_TRANSPORT_CC,       /**< http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01 */
    DUET_RTP_EXT_AUDIO_LEVEL,        /**< RFC 6464: urn:ietf:params:rtp-hdrext:ssrc-audio-level */
    DUET_RTP_EXT_MIXER_LEVELS,       /**< RFC 6465: urn:ietf:params:rtp-hdrext:csrc-audio-level */
    DUET_RTP_EXT_VIDEO_ORIENTATION,  /**< 3GPP TS 26.114 7.4.5: urn:3gpp:video-orientation */
    DUET_RTP_EXT_PLAYOUT_DELAY,      /**< http://www.webrtc.org/experiments/rtp-hdrext/playout-delay */
    DUET_RTP_EXT_ABS_CAPTURE_TIME,   /**< http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time */
    DUET_RTP_EXT_VIDEO_CONTENT_TYPE, /**< http://www.webrtc.org/experiments/rtp-hdrext/video-content-type */
    DUET_RTP_EXT_VIDEO_TIMING,       /**< http://www.webrtc.org/experiments/rtp-hdrext/video-timing */
    DUET_RTP_EXT_COLOR_SPACE,        /**< http://www.webrtc.org/experiments/rtp-hdrext/color-space */
    DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR, /**< AV1 RTP, appendix A: https://aomediacodec.github.io/av1-rtp-spec/#dependency-… */
    DUET_RTP_EXT_LAYERS_ALLOCATION, /**< http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00 */
    DUET_RTP_EXT_TOFFSET,           /**< RFC 5450: urn:ietf:params:rtp-hdrext:toffset */
    DUET_RTP_EXT_COUNT,
} duet_rtp_extension_kind;

DUET_API const char *duet_rtp_extension_uri(duet_rtp_extension_kind kind);
/** @return DUET_RTP_EXT_COUNT when unknown */
DUET_API duet_rtp_extension_kind duet_rtp_extension_of_uri(const char *uri);

/** Which id each kind has in an m-section (a=extmap); 0: not negotiated. */
typedef struct duet_rtp_extension_map {
    uint8_t ids[DUET_RTP_EXT_COUNT];
} duet_rtp_extension_map;

/** Longest mid or rid that is understood ("SHOULD NOT" be longer than 16, RFC 9143 and RFC 8852). */
#define DUET_RTP_SDES_MAX 32

/** The values of those extensions that a packet has; `present` has bit (1u << kind) for each. */
typedef struct duet_rtp_extensions {
    uint32_t present;
    char mid[DUET_RTP_SDES_MAX + 1];
    char rid[DUET_RTP_SDES_MAX + 1];
    char repaired_rid[DUET_RTP_SDES_MAX + 1];
    uint32_t abs_send_time; /**< 24 bits, 6.18 fixed point seconds */
    uint16_t transport_sequence_number;
    bool voice_activity;
    uint8_t audio_level; /**< 0 (loudest) to 127, -dBov */
    uint8_t mixer_level_count;
    uint8_t mixer_levels[DUET_RTP_CSRC_MAX]; /**< in the order of the CSRCs */
    bool camera_back, flip;
    uint16_t rotation;                             /**< 0, 90, 180, 270 degrees clockwise */
    uint16_t playout_delay_min, playout_delay_max; /**< milliseconds */
    uint64_t capture_time;                         /**< NTP, 32.32 fixed point */
    bool has_capture_offset;
    int64_t capture_offset; /**< of the sender's clock to the capturer's, 32.32 fixed point seconds */
    uint8_t content_type;   /**< 0 unspecified, 1 screen share */
    uint8_t timing_flags;
    uint16_t timing
        [6]; /**< milliseconds after capture: encode start, encode end, packetized, left pacer, network, network 2 */
    uint8_t color_primaries, color_transfer, color_matrix, color_range_and_siting; /**< ISO/IEC 23001-8 */
    int32_t transmission_offset;          /**< 24 bits signed, in the clock of the RTP timestamp */
    const uint8_t *dependency_descriptor; /**< raw; borrows from the packet */
    size_t dependency_descriptor_len;
    const uint8_t *layers_allocation; /**< raw; borrows from the packet */
    size_t layers_allocation_len;
} duet_rtp_extensions;

/** One element after the other of a packet's extension, in either form. Start with *cursor = 0.
 *  @return 1 and an element; 0 at the end; DUET_ERR_MALFORMED when one reaches past the end */
DUET_API int duet_rtp_next_extension(const duet_rtp_packet *packet, size_t *cursor, uint8_t *id, const uint8_t **data,
                                     size_t *len);
/** The values of a packet. One that is ill-formed is left out, the others stand. @return DUET_OK or DUET_ERR_MALFORMED
 *  when at least one was left out */
DUET_API int duet_rtp_extensions_parse(duet_rtp_extensions *out, const duet_rtp_packet *packet,
                                       const duet_rtp_extension_map *map);
/** Writes those that are present and have an id: one-byte elements when all fit (ids 1 to 14, 1 to 16 bytes), otherwise
 *  two-byte ones. @param profile, len  for duet_rtp_packet; both 0 when there is nothing to write
 *  @return DUET_OK, DUET_ERR_BUFFER, DUET_ERR_INVALID */
DUET_API int duet_rtp_extensions_write(const duet_rtp_extensions *extensions, const duet_rtp_extension_map *map,
                                       uint8_t *data, size_t capacity, uint16_t *profile, size_t *len);
/** Overwrites one element of a written packet, for values that are known only when it leaves (abs-send-time, transport-wide
 *  sequence number). @return DUET_OK, DUET_ERR_NOT_FOUND, DUET_ERR_INVALID (other length), DUET_ERR_MALFORMED */
DUET_API int duet_rtp_set_extension(uint8_t *packet, size_t packet_len, uint8_t id, const uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
