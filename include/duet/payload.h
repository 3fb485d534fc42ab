/* RTP payload formats: frames to payloads and back. Opus (RFC 7587), VP8 (RFC 7741), VP9 (RFC 9628), H.264 (RFC 6184),
 * H.265 (RFC 7798), AV1 (the AV1 RTP specification), G.711 (RFC 3551), and beside them telephone events (RFC 4733),
 * comfort noise (RFC 3389) and redundancy (RFC 2198).
 *
 * Frames are what encoders give and files hold: Opus packets, VP8 and VP9 frames, H.264 and H.265 access units in Annex
 * B form (start codes), AV1 temporal units with sized OBUs (low-overhead format, without temporal delimiter on the
 * wire). */
#ifndef DUET_PAYLOAD_H
#define DUET_PAYLOAD_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum duet_payload_format {
    DUET_PAYLOAD_NONE = 0,
    DUET_PAYLOAD_OPUS,
    DUET_PAYLOAD_G711, /**< PCMU and PCMA: bytes are samples */
    DUET_PAYLOAD_VP8,
    DUET_PAYLOAD_VP9,
    DUET_PAYLOAD_H264,
    DUET_PAYLOAD_H265,
    DUET_PAYLOAD_AV1,
} duet_payload_format;

/** By the encoding name of SDP, without case: "opus", "PCMU", "VP8", … @return NONE when unknown */
DUET_API duet_payload_format duet_payload_format_of(const char *encoding_name);
DUET_API bool duet_payload_format_is_video(duet_payload_format format);

/** What a receiver must know of a packet before it has the frame. */
typedef struct duet_payload_info {
    /** First packet of a frame. H.264, H.265, AV1: it does not go on with what was cut before, and a frame begins where
     *  the timestamp changes. VP9: the first of a layer frame that needs none below it. */
    bool starts_frame;
    bool ends_frame; /**< audio; for video the marker bit tells */
    /** VP8, VP9: the frame is intra. H.264: holds IDR or SPS. H.265: holds IRAP, VPS or SPS. AV1: N bit. */
    bool is_keyframe;
    bool is_discardable;       /**< nothing later needs it (VP8 N bit, H.264 nal_ref_idc 0) */
    int32_t picture_id;        /**< VP8 and VP9, -1 when absent; 7 or 15 bits, see picture_id_bits */
    uint8_t picture_id_bits;   /**< 0 when absent */
    int16_t tl0_picture_index; /**< VP8 TL0PICIDX, VP9 TL0PICIDX; -1 when absent */
    int8_t temporal_id;        /**< -1 when absent */
    int8_t spatial_id;         /**< -1 when absent */
    bool layer_sync;           /**< VP8 Y bit, VP9 U bit */
    bool inter_layer;          /**< VP9 D bit */
    uint16_t width, height;    /**< key frames that say it (VP8 header, VP9 scalability structure); 0 otherwise */
    size_t descriptor_len;     /**< bytes before the codec's own data */
} duet_payload_info;

/** Looks at one payload.
 *  @return DUET_OK, DUET_ERR_MALFORMED, DUET_ERR_UNSUPPORTED (an interleaved or unknown NAL type) */
DUET_API int duet_payload_inspect(duet_payload_format format, const uint8_t *payload, size_t len,
                                  duet_payload_info *out);

/* ---- frames to payloads ------------------------------------------------------------------------------------------ */

typedef struct duet_packetizer duet_packetizer;

typedef struct duet_packetizer_config {
    size_t size;
    const duet_env *env;
    duet_payload_format format;
    size_t payload_max;        /**< bytes of a payload, 32 to 65535; 0: 1100 */
    uint16_t first_picture_id; /**< VP8, VP9: random, RFC 7741 section 4.2 */
    bool h264_mode_0; /**< H.264: packetization-mode 0 (no STAP-A, no FU-A: larger NAL units are DUET_ERR_TOO_LARGE) */
} duet_packetizer_config;

/** What the encoder knows of a frame, for the payload descriptor. */
typedef struct duet_frame_info {
    bool is_keyframe;
    bool is_discardable;
    int8_t temporal_id; /**< -1: none */
    bool layer_sync;
    uint16_t width, height; /**< key frames of VP9: the scalability structure */
} duet_frame_info;

DUET_API void duet_packetizer_config_init(duet_packetizer_config *config);
DUET_API int duet_packetizer_create(duet_packetizer **out, const duet_packetizer_config *config);
DUET_API void duet_packetizer_destroy(duet_packetizer *packetizer);
/** For header extensions that come and go: from the next frame on. */
DUET_API void duet_packetizer_set_payload_max(duet_packetizer *packetizer, size_t payload_max);
/** Begins a frame, also when the one before was not taken to its end. Its bytes are borrowed until the last payload was
 *  taken or the next frame begins. Nothing is allocated.
 *  @param info  NULL: looked up in the frame's own header where the format allows
 *  @return DUET_OK, DUET_ERR_MALFORMED (no start code, OBU past the end), DUET_ERR_INVALID (empty),
 *  DUET_ERR_TOO_LARGE */
DUET_API int duet_packetizer_begin(duet_packetizer *packetizer, const uint8_t *frame, size_t len,
                                   const duet_frame_info *info);
/** The next payload of the frame. Payloads of a fragmented frame are about equally long.
 *  @param data      room for payload_max bytes @param marker  set on the last one (audio: never; the marker is the
 *                   caller's there) @return 1, 0 when the frame is done, DUET_ERR_BUFFER when there is less room */
DUET_API int duet_packetizer_next(duet_packetizer *packetizer, uint8_t *data, size_t capacity, size_t *len,
                                  bool *marker);

/* ---- payloads to frames ------------------------------------------------------------------------------------------ */

typedef struct duet_depacketizer duet_depacketizer;

/** @param frame_max  bytes of a frame, larger ones are refused; 0: 4 MiB. The memory of the largest frame so far is
 *  kept, at most about twice this */
DUET_API int duet_depacketizer_create(duet_depacketizer **out, const duet_env *env, duet_payload_format format,
                                      size_t frame_max);
DUET_API void duet_depacketizer_destroy(duet_depacketizer *depacketizer);
/** A frame begins: forgets what was there. */
DUET_API void duet_depacketizer_begin(duet_depacketizer *depacketizer);
/** The next payload of the frame in the order of the sequence numbers, none missing.
 *  @return DUET_OK; DUET_ERR_MALFORMED (the frame is spoilt until begin); DUET_ERR_UNSUPPORTED; DUET_ERR_TOO_LARGE;
 *          DUET_ERR_NOMEM; DUET_ERR_STATE (the frame has been taken) */
DUET_API int duet_depacketizer_add(duet_depacketizer *depacketizer, const uint8_t *payload, size_t len);
/** The frame; it lives until the next begin. The spatial layers of a VP9 picture become one superframe.
 *  @return DUET_OK; DUET_ERR_MALFORMED (cut off inside a fragment, or empty), or why it was spoilt */
DUET_API int duet_depacketizer_end(duet_depacketizer *depacketizer, const uint8_t **frame, size_t *len);

/* ---- small audio formats ----------------------------------------------------------------------------------------- */

/** Duration of an Opus packet in samples of 48 kHz from its TOC (RFC 6716 section 3.1).
 *  @return 0 when it is malformed */
DUET_API uint32_t duet_opus_packet_duration(const uint8_t *packet, size_t len);

/** One telephone event, RFC 4733 section 2.3. */
typedef struct duet_telephone_event {
    uint8_t event; /**< 0-9, 10 *, 11 #, 12-15 A-D, 16 flash */
    bool end;
    uint8_t volume;    /**< 0 to 63, -dBm0 */
    uint16_t duration; /**< in timestamp units */
} duet_telephone_event;

DUET_API int duet_telephone_event_parse(duet_telephone_event *out, const uint8_t *payload, size_t len);
DUET_API int duet_telephone_event_write(const duet_telephone_event *event, uint8_t *data, size_t capacity, size_t *len);
/** Whether the receiver whose format parameters these are takes an event: a list such as "0-15,66", or "" for 0 to 15
 *  (RFC 4733 sections 2.4.1 and 7.1.1). What is behind a mistake in the list does not count. */
DUET_API bool duet_telephone_event_is_taken(const char *fmtp, uint8_t event);

/** Comfort noise, RFC 3389: level in -dBov and reflection coefficients as they are on the wire. */
typedef struct duet_comfort_noise {
    uint8_t level;
    uint8_t coefficient_count;
    uint8_t coefficients[32];
} duet_comfort_noise;

DUET_API int duet_comfort_noise_parse(duet_comfort_noise *out, const uint8_t *payload, size_t len);
DUET_API int duet_comfort_noise_write(const duet_comfort_noise *noise, uint8_t *data, size_t capacity, size_t *len);

/** A sender that falls silent, with a codec that has no pauses of its own. All zero: it begins. */
typedef struct duet_dtx {
    bool has_begun, has_noise, is_silent;
    float floor, noise, told; /**< -dBov: the background, what is heard now, what was told last */
    uint32_t hangover, since_told;
} duet_dtx;

typedef enum duet_dtx_decision {
    DUET_DTX_VOICE,  /**< send it */
    DUET_DTX_NOISE,  /**< send a comfort noise packet instead */
    DUET_DTX_NOTHING /**< send nothing */
} duet_dtx_decision;

/** What to do with the next piece of sound. A pause begins 200 ms after the last voice with comfort noise, which is sent again
 *  when the level changes by 3 dB, and every 500 ms. The next voice has the marker bit (RFC 3551 section 4.1): that is the
 *  caller's. @param level  of the piece, -dBov (RFC 6464) @param duration  of it, milliseconds @param out  for
 *  DUET_DTX_NOISE: a level, no coefficients */
DUET_API duet_dtx_decision duet_dtx_decide(duet_dtx *dtx, uint8_t level, uint32_t duration, duet_comfort_noise *out);

#define DUET_RED_BLOCKS_MAX 32

/** One block of a RED payload, RFC 2198 section 3. */
typedef struct duet_red_block {
    uint8_t payload_type;
    uint16_t
        timestamp_offset; /**< 14 bits, before the packet's timestamp; 0 for the primary block, which is the last */
    const uint8_t *data;  /**< borrows */
    size_t len;
} duet_red_block;

/** @return how many blocks, at most DUET_RED_BLOCKS_MAX; DUET_ERR_MALFORMED */
DUET_API int duet_red_parse(duet_red_block *blocks, const uint8_t *payload, size_t len);
/** @param blocks  oldest first, the primary one last @return DUET_OK, DUET_ERR_BUFFER, DUET_ERR_INVALID */
DUET_API int duet_red_write(const duet_red_block *blocks, size_t count, uint8_t *data, size_t capacity, size_t *len);

#define DUET_RED_REDUNDANT_MAX 1023 /**< bytes of a redundant block: the length has 10 bits */

/** What the next payload of a stream repeats: the one before it. All zero: nothing. */
typedef struct duet_red_sender {
    bool has_block;
    uint8_t payload_type;
    uint32_t timestamp;
    size_t len;
    uint8_t data[DUET_RED_REDUNDANT_MAX];
} duet_red_sender;

/** Wraps the next payload of a stream, with the one before it as redundancy. That is left out when it is longer than
 *  DUET_RED_REDUNDANT_MAX, more than 14 bits of the clock ago, or does not fit into `capacity`.
 *  @return how many redundant blocks, 0 or 1; DUET_ERR_BUFFER: not even the payload alone fits, send it unwrapped;
 *          DUET_ERR_INVALID (payload type). The payload is remembered either way */
DUET_API int duet_red_wrap(duet_red_sender *sender, uint8_t payload_type, uint32_t timestamp, const uint8_t *payload,
                           size_t len, uint8_t *data, size_t capacity, size_t *out_len);

#define DUET_RED_WINDOW  64 /**< packets, in which holes are filled: 340 ms are the most that an offset can say */
#define DUET_RED_NO_HOLE (-1)

/** Which packets of a stream have come of late. All zero: none. */
typedef struct duet_red_receiver {
    int64_t sequences[DUET_RED_WINDOW];
    uint32_t timestamps[DUET_RED_WINDOW];
    bool is_audio[DUET_RED_WINDOW];
} duet_red_receiver;

/** A packet has come, with RED or without, or was made up of a redundant block. @param sequence  extended, above 0
 *  @param is_audio  false: an event or padding, whose timestamp does not count */
DUET_API void duet_red_note(duet_red_receiver *receiver, int64_t sequence, uint32_t timestamp, bool is_audio);
/** Which missing packet a redundant block stands for. Ask for the newest block first, and note what was found.
 *  @param sequence   of the packet that it came in @param timestamp  of the block: the packet's less the offset
 *  @return an extended sequence number; DUET_RED_NO_HOLE: it has come already, or from before the stream began */
DUET_API int64_t duet_red_hole(const duet_red_receiver *receiver, int64_t sequence, uint32_t timestamp);

#ifdef __cplusplus
}
#endif
#endif
