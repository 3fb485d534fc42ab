/* Media of a peer connection: W3C RTCRtpTransceiver, RTCRtpSender and RTCRtpReceiver in C.
 *
 * A transceiver is an m-section with what is sent and received in it. Its handles live until duet_pc_config.on_transceiver_end
 * tells that it has stopped, or, when that is not set, until the connection is destroyed. One that a rolled back offer of the
 * peer had made ends with the rollback.
 *
 * There are three ways to move media. *Raw*: duet_sender_send_audio and _video encode with what was negotiated, on_video
 * and duet_receiver_read_audio give decoded pictures and a steady flow of sound; the connection needs duet_pc_config.codecs.
 * *Frames*: duet_sender_send_frame takes an encoded frame and makes packets of it; on_frame gives whole frames, repaired and
 * in order. *RTP*: duet_sender_send_rtp sends a packet with the numbers of another stream, on_rtp lends each packet as it
 * arrives; nothing is allocated. */
#ifndef DUET_TRANSCEIVER_H
#define DUET_TRANSCEIVER_H

#include "duet/codecs.h"
#include "duet/media.h"
#include "duet/payload.h"
#include "duet/peer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_sender duet_sender;
typedef struct duet_receiver duet_receiver;

#define DUET_TRACK_ID_MAX     64  /* a=msid, RFC 8830 section 2: 1*64token-char */
#define DUET_TRACK_STREAMS    8   /* media streams that a track can be in */
#define DUET_TRANSCEIVERS_MAX 128 /* of a connection, at a time */

/* ---- transceivers ------------------------------------------------------------------------------------------------ */

/** W3C RTCRtpTransceiverInit. */
typedef struct duet_transceiver_init {
    size_t size;
    duet_sdp_direction direction;
    const char
        *track_id; /**< of what is sent; NULL: a random one; "": nothing is sent yet (W3C: a kind and no track) */
    const char *const *stream_ids; /**< media streams that the track is in, at most DUET_TRACK_STREAMS */
    size_t stream_count;
} duet_transceiver_init;

/* clang-format off */
#define DUET_TRANSCEIVER_INIT { sizeof(duet_transceiver_init), DUET_SDP_SENDRECV, NULL, NULL, 0 }
/* clang-format on */

/** W3C addTransceiver. @param kind  DUET_SDP_AUDIO or DUET_SDP_VIDEO @param init  NULL: the defaults
 *  @return DUET_OK; DUET_ERR_INVALID (kind, an id that a=msid cannot carry); DUET_ERR_UNSUPPORTED (built without media);
 *          DUET_ERR_LIMIT; DUET_ERR_STATE when closed; DUET_ERR_NOMEM */
DUET_API int duet_pc_add_transceiver(duet_pc *pc, duet_sdp_media_kind kind, const duet_transceiver_init *init,
                                     duet_transceiver **out);
/** W3C addTrack: takes a transceiver of that kind that has never sent, or makes one. @param track_id  NULL: a random one
 *  @return as above; DUET_ERR_INVALID also when a sender has this track already */
DUET_API int duet_pc_add_track(duet_pc *pc, duet_sdp_media_kind kind, const char *track_id,
                               const char *const *stream_ids, size_t stream_count, duet_sender **out);
/** W3C removeTrack: nothing more is sent, and the next negotiation says so. */
DUET_API int duet_pc_remove_track(duet_pc *pc, duet_sender *sender);
/** W3C getTransceivers: in the order in which they were made. @return NULL past the end */
DUET_API duet_transceiver *duet_pc_transceiver_at(const duet_pc *pc, size_t index);

DUET_API duet_sdp_media_kind duet_transceiver_kind(const duet_transceiver *transceiver);
DUET_API const char *duet_transceiver_mid(const duet_transceiver *transceiver); /**< "" before it has an m-section */
DUET_API duet_sdp_direction duet_transceiver_direction(const duet_transceiver *transceiver);
/** W3C currentDirection. @return false when nothing is negotiated, or it has stopped */
DUET_API bool duet_transceiver_current_direction(const duet_transceiver *transceiver, duet_sdp_direction *out);
/** @return DUET_OK; DUET_ERR_STATE when stopped; DUET_ERR_INVALID */
DUET_API int duet_transceiver_set_direction(duet_transceiver *transceiver, duet_sdp_direction direction);
/** W3C stop(): sends and receives no more at once; the next negotiation rejects its m-section, which may then be used for
 *  another transceiver. The first one of a bundle in which others go on is only rejected by the next offer of this side. */
DUET_API void duet_transceiver_stop(duet_transceiver *transceiver);
DUET_API bool duet_transceiver_stopped(const duet_transceiver *transceiver);
/** W3C setCodecPreferences: the codecs of the next negotiation, best first. Payload types are not looked at. rtx, red, CN and
 *  telephone-event come by naming them. When red is in front of Opus in what is negotiated, Opus is sent with redundancy
 *  (RFC 2198), each packet twice; otherwise red may only be received. @param count  0: the default list again
 *  @return DUET_OK; DUET_ERR_INVALID (one that this kind does not have, or nothing but rtx and red); DUET_ERR_NOMEM */
DUET_API int duet_transceiver_set_codec_preferences(duet_transceiver *transceiver, const duet_codec *const *codecs,
                                                    size_t count);
/** The codecs that can be negotiated for a kind, best first: W3C RTCRtpSender.getCapabilities.
 *  @return how many; at most `max` stored */
DUET_API size_t duet_pc_codec_capabilities(duet_sdp_media_kind kind, duet_codec *out, size_t max);

DUET_API duet_sender *duet_transceiver_sender(duet_transceiver *transceiver);
DUET_API duet_receiver *duet_transceiver_receiver(duet_transceiver *transceiver);
DUET_API void duet_transceiver_set_user(duet_transceiver *transceiver, void *user);
DUET_API void *duet_transceiver_user(const duet_transceiver *transceiver);

/* ---- sending ------------------------------------------------------------------------------------------------------ */

/** W3C RTCRtpEncodingParameters, of the one encoding that there is. */
typedef struct duet_sender_parameters {
    size_t size;
    bool active;
    uint64_t max_bitrate;  /**< bits per second, of the raw interface's encoder; 0: its default */
    uint8_t max_framerate; /**< frames a second that are expected; 0: 30 */
    bool screen_content;   /**< video: text and windows */
    /** Of the raw interface: pauses are not sent. Opus does that by itself; beside G.711, comfort noise (CN, RFC 3389) is sent
     *  instead where it was negotiated, by a simple look at the level. Opus pauses also when the peer asks for it (usedtx). */
    bool dtx;
} duet_sender_parameters;

typedef struct duet_sender_callbacks {
    /** The peer needs a key frame (PLI or FIR, at most ten a second; also when sending begins). */
    void (*on_keyframe_request)(void *user, duet_sender *sender);
    /** The peer told how much it can receive (REMB), bits per second. */
    void (*on_remb)(void *user, duet_sender *sender, uint64_t bits_per_second);
    /** Sending became possible (negotiated and keyed), or ended. */
    void (*on_active)(void *user, duet_sender *sender, bool is_active);
    void *user;
} duet_sender_callbacks;

DUET_API duet_transceiver *duet_sender_transceiver(duet_sender *sender);
DUET_API void duet_sender_set_callbacks(duet_sender *sender, const duet_sender_callbacks *callbacks); /**< NULL: none */
DUET_API const char *duet_sender_track_id(const duet_sender *sender); /**< "" when it has none */
/** W3C replaceTrack, without negotiation. @param track_id  NULL: nothing is sent from now on */
DUET_API int duet_sender_replace_track(duet_sender *sender, const char *track_id);
/** W3C setStreams. */
DUET_API int duet_sender_set_streams(duet_sender *sender, const char *const *stream_ids, size_t count);
DUET_API void duet_sender_get_parameters(const duet_sender *sender, duet_sender_parameters *out);
/** @return DUET_OK, DUET_ERR_STATE when stopped */
DUET_API int duet_sender_set_parameters(duet_sender *sender, const duet_sender_parameters *parameters);
/** The codec that the peer likes best: what frames should be encoded with. @return DUET_ERR_STATE before it is negotiated */
DUET_API int duet_sender_codec(const duet_sender *sender, duet_codec *out);
/** Whether frames leave now: negotiated, keyed, a track, active. */
DUET_API bool duet_sender_is_active(const duet_sender *sender);

/** A frame to send, encoded with a codec of the m-section. */
typedef struct duet_outgoing_frame {
    const uint8_t *data; /**< borrowed for the call */
    size_t len;
    uint8_t payload_type; /**< 0 and codec G.711, or any other: of the codec; DUET_FRAME_OWN_CODEC: duet_sender_codec */
    duet_frame_info info; /**< video */
    bool starts_talkspurt; /**< audio: the marker bit, after silence (RFC 3551 section 4.1) */
    duet_time captured;    /**< on the driver's clock: makes the RTP timestamp, relates audio and video */
    bool has_audio_level;
    uint8_t audio_level; /**< RFC 6464: 0 to 127, -dBov */
    bool voice_activity;
} duet_outgoing_frame;

#define DUET_FRAME_OWN_CODEC 255

/** Makes packets of a frame and queues them.
 *  @return DUET_OK; DUET_ERR_STATE (not active: nothing is sent); DUET_ERR_INVALID (payload type); DUET_ERR_MALFORMED (not a
 *          frame of that codec); DUET_ERR_AGAIN (the queue is full: the frame was dropped as a whole, or its end was, then
 *          the next frame should be a key frame); DUET_ERR_UNSUPPORTED; DUET_ERR_NOMEM */
DUET_API int duet_sender_send_frame(duet_sender *sender, const duet_outgoing_frame *frame);
/** Encodes sound and sends it. Any length: it is cut to packets of 20 ms.
 *  @param captured  when the first sample was captured, on the driver's clock
 *  @return as duet_sender_send_frame; DUET_ERR_UNSUPPORTED: no codecs in the configuration, or none for what was negotiated;
 *          DUET_ERR_INVALID: a rate that the codec does not take (Opus 8, 12, 16, 24, 48 kHz; G.711 8 kHz) */
DUET_API int duet_sender_send_audio(duet_sender *sender, const duet_audio_frame *frame, duet_time captured);
/** Encodes a picture and sends it; key frames are made when the peer asks. A picture that the encoder drops to keep its bit
 *  rate is DUET_OK. @return as above */
DUET_API int duet_sender_send_video(duet_sender *sender, const duet_video_frame *frame, duet_time captured);
/** Sends a packet of another stream as one of this: SSRC and header extensions are rewritten, payload and payload type are
 *  taken as they are. @param sequence_number, timestamp  as they go out: continuity is the caller's
 *  @return as above */
DUET_API int duet_sender_send_rtp(duet_sender *sender, const duet_rtp_packet *packet,
                                  const duet_rtp_extensions *extensions);
/** A DTMF tone, W3C RTCDTMFSender: as RFC 4733 events beside the audio.
 *  Tones that are inserted while one plays wait, with 70 ms between two; at most 32.
 *  @param event  0 to 9, 10 *, 11 #, 12 to 15 A to D, 16 flash @param duration  microseconds, 40 ms to 6 s
 *  @return DUET_OK; DUET_ERR_STATE; DUET_ERR_INVALID; DUET_ERR_AGAIN; DUET_ERR_UNSUPPORTED: telephone-event is not
 *          negotiated with the clock of the audio codec, or the peer does not list this event (RFC 4733 section 2.4.1) */
DUET_API int duet_sender_insert_dtmf(duet_sender *sender, uint8_t event, duet_time duration);

/* ---- receiving ---------------------------------------------------------------------------------------------------- */

/** A frame of the peer, whole, in order. Everything lives until the callback returns. */
typedef struct duet_incoming_frame {
    const uint8_t *data;
    size_t len;
    const duet_codec *codec;
    uint32_t timestamp; /**< RTP */
    bool is_keyframe;
    bool after_loss;       /**< frames before this one were lost and given up */
    duet_time arrived;     /**< of its last packet */
    duet_time render;      /**< when it should be shown or played; audio: when it was ready */
    uint64_t captured_ntp; /**< on the sender's clock (32.32), 0 before its first sender report */
    uint32_t ssrc;
} duet_incoming_frame;

typedef struct duet_receiver_callbacks {
    /** A whole frame; video only when everything that it refers to has been given before. An event. */
    void (*on_frame)(void *user, duet_receiver *receiver, const duet_incoming_frame *frame);
    /** A decoded picture, to be shown at frame->render. An event; the picture lives until it returns. What the decoder
     *  cannot use is counted, and a key frame asked for. */
    void (*on_video)(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                     const duet_incoming_frame *frame);
    /** Every packet as it arrives, retransmissions as their originals. Not an event, the packet is lent: only
     *  duet_sender_send_rtp of other connections and the questions may be called. */
    void (*on_rtp)(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival);
    void *user;
} duet_receiver_callbacks;

DUET_API duet_transceiver *duet_receiver_transceiver(duet_receiver *receiver);
DUET_API void duet_receiver_set_callbacks(duet_receiver *receiver, const duet_receiver_callbacks *callbacks);
DUET_API const char *duet_receiver_track_id(const duet_receiver *receiver); /**< from a=msid, or a random one */
/** The media streams that the peer's track is in. @return NULL past the end */
DUET_API const char *duet_receiver_stream_id(const duet_receiver *receiver, size_t index);
/** W3C track.muted: nothing is being received, because of the direction. */
DUET_API bool duet_receiver_muted(const duet_receiver *receiver);
/** The next `count` samples of sound per channel, for who plays it: call it in the player's rhythm. From the first call on
 *  the sound is decoded, smoothed and concealed; before the peer's first packet it is silence. 48 kHz, also with G.711.
 *  @param samples  interleaved, room for count * channels @param channels  1 or 2
 *  @return DUET_OK, DUET_ERR_UNSUPPORTED (no codecs), DUET_ERR_INVALID (video), DUET_ERR_NOMEM */
DUET_API int duet_receiver_read_audio(duet_receiver *receiver, int16_t *samples, size_t count, uint8_t channels);
/** Asks the peer for a key frame: the application's decoder cannot go on. */
DUET_API int duet_receiver_request_keyframe(duet_receiver *receiver);

#ifdef __cplusplus
}
#endif
#endif
