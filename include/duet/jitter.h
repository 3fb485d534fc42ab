/* Jitter buffers: packets in any order in, a steady flow of audio and whole decodable video frames out. State machines with
 * time as an argument; bounded in packets, bytes and time; nothing is allocated per packet in steady state. */
#ifndef DUET_JITTER_H
#define DUET_JITTER_H

#include "duet/base.h"
#include "duet/payload.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A packet for a buffer. Its payload is copied. One that is nothing but padding (RFC 3550 section 5.1) is inserted too, with
 *  len 0: its sequence number is not missing. */
typedef struct duet_jitter_packet {
    int64_t sequence; /**< extended, without wraps: 0 to 2^62 */
    uint32_t timestamp;
    bool marker;
    uint8_t payload_type;
    const uint8_t *payload;
    size_t len;
    duet_time time;         /**< arrival */
    bool is_retransmission; /**< does not count for the delay estimate */
    bool is_redundancy;     /**< was lost, and came again in a later one (RFC 2198): neither does it, nor is it late */
    bool is_comfort_noise;  /**< audio: the payload is that of RFC 3389, and a pause follows */
} duet_jitter_packet;

/* ---- audio ------------------------------------------------------------------------------------------------------- */

typedef struct duet_audio_jitter duet_audio_jitter;

typedef struct duet_audio_jitter_config {
    size_t size;
    const duet_env *env;
    uint32_t clock_rate;            /**< of the timestamps */
    duet_time delay_min, delay_max; /**< of the target; 0: 0 and 1 s */
    size_t packets_max, bytes_max;  /**< 0: 512 and 1 MiB; the oldest go first */
} duet_audio_jitter_config;

/** What the player should do for the next piece of sound. */
typedef enum duet_audio_action {
    DUET_AUDIO_WAIT = 0,   /**< nothing has arrived yet: play silence */
    DUET_AUDIO_DECODE,     /**< decode `data` */
    DUET_AUDIO_DECODE_FEC, /**< the packet is lost, but `data` (the next one) may hold its FEC: decode that, else conceal.
                             *   The same `data` comes again as DECODE afterwards */
    DUET_AUDIO_CONCEAL,    /**< lost, late, or stretched: conceal `samples` */
    DUET_AUDIO_SKIP,       /**< dropped to shorten the delay: call again at once, `samples` were left out */
    DUET_AUDIO_NOISE,      /**< the sender pauses: play comfort noise, `data` (RFC 3389) from now on, NULL: as before */
} duet_audio_action;

typedef struct duet_audio_piece {
    duet_audio_action action;
    const uint8_t *data; /**< lives until the next call */
    size_t len;
    uint8_t payload_type;
    uint32_t timestamp; /**< of the piece */
    uint32_t samples;   /**< of the clock rate: how long a concealment should be */
    bool is_silence;    /**< a gap of the sender's DTX: comfort noise, not loss */
} duet_audio_piece;

DUET_API void duet_audio_jitter_config_init(duet_audio_jitter_config *config);
DUET_API int duet_audio_jitter_create(duet_audio_jitter **out, const duet_audio_jitter_config *config);
DUET_API void duet_audio_jitter_destroy(duet_audio_jitter *jitter);
/** Two packets in a row that are far behind begin the stream anew (RFC 3550 appendix A.1).
 *  @return DUET_OK; DUET_ERR_STATE (too late: its place has been played); DUET_ERR_NOT_FOUND (there already);
 *          DUET_ERR_TOO_LARGE (longer than 65535 or bytes_max); DUET_ERR_INVALID (sequence); DUET_ERR_NOMEM */
DUET_API int duet_audio_jitter_insert(duet_audio_jitter *jitter, const duet_jitter_packet *packet);
/** The next piece. The player calls it when the last one has been played: at once after SKIP. The delay is changed where
 *  nobody hears it: in pauses of the sender, in silence, and where sound is made up anyway. Only what is later than delay_max is
 *  left out at once. After two seconds without a packet it waits as at the beginning. Where sound begins, also when the
 *  player has not asked for half a second, it begins with what is new.
 *  @param silent  the sound that was played last was silence: the delay may be changed here */
DUET_API void duet_audio_jitter_next(duet_audio_jitter *jitter, duet_audio_piece *out, bool silent, duet_time now);
/** There was no FEC in the last piece: it was concealed after all, and counts so. */
DUET_API void duet_audio_jitter_had_no_fec(duet_audio_jitter *jitter);
/** Plays later for lip sync, at least this much after arrival; 0: no wish. */
DUET_API void duet_audio_jitter_set_delay_min(duet_audio_jitter *jitter, duet_time delay);

/** W3C webrtc-stats, times in microseconds, samples in clock units of what the packets are believed to hold. */
typedef struct duet_audio_jitter_stats {
    uint64_t packets_inserted, packets_late, packets_duplicated, packets_discarded;
    uint64_t samples_played, concealed_samples, silent_concealed_samples, concealment_events;
    uint64_t inserted_for_deceleration, removed_for_acceleration;
    uint64_t fec_packets;          /**< DECODE_FEC that were given, and had it */
    duet_time jitter_buffer_delay; /**< sum over the samples that were emitted, from arrival on */
    uint64_t jitter_buffer_emitted_count;
    /** What is wished for, and what the last packet had: over the fastest packets of late, not counting the network. */
    duet_time target_delay, current_delay;
} duet_audio_jitter_stats;

DUET_API void duet_audio_jitter_get_stats(const duet_audio_jitter *jitter, duet_audio_jitter_stats *out);

/* ---- video ------------------------------------------------------------------------------------------------------- */

/** With an audio format it puts encoded packets in order: each is a frame and counts as a key frame, none waits for more than
 *  the packet before it, nothing is delayed, and no key frame is ever needed. */
typedef struct duet_video_jitter duet_video_jitter;

typedef struct duet_video_jitter_config {
    size_t size;
    const duet_env *env;
    duet_payload_format format;
    size_t packets_max, bytes_max; /**< 0: 2048 and 8 MiB; a fuller buffer is emptied and asks for a key frame */
    duet_time wait_max; /**< for a missing packet; 0: 500 ms; then frames up to the next key frame are given up */
    duet_time delay_min, delay_max; /**< playout delay; 0: 0 and 10 s */
} duet_video_jitter_config;

typedef struct duet_jitter_frame {
    const uint8_t *data; /**< lives until the next call */
    size_t len;
    uint8_t payload_type;
    uint32_t timestamp;
    bool is_keyframe;
    duet_payload_info info; /**< of its first packet */
    int64_t first_sequence, last_sequence;
    duet_time first_arrival, last_arrival;
    duet_time render_time; /**< when it should be shown */
} duet_jitter_frame;

DUET_API void duet_video_jitter_config_init(duet_video_jitter_config *config);
DUET_API int duet_video_jitter_create(duet_video_jitter **out, const duet_video_jitter_config *config);
DUET_API void duet_video_jitter_destroy(duet_video_jitter *jitter);
/** As duet_audio_jitter_insert; DUET_ERR_MALFORMED: its payload descriptor, then its frame is lost. A sequence number that
 *  is packets_max or more ahead, or more than fits, empties the buffer. */
DUET_API int duet_video_jitter_insert(duet_video_jitter *jitter, const duet_jitter_packet *packet);
/** The next frame that is complete, whose references have been given out, and whose time to be decoded has come: 10 ms
 *  before its render time, which follows the timestamps with the delay of the network's jitter. A frame for which there is no
 *  memory is as good as lost.
 *  @return 1 and a frame; 0: none now, see the deadline */
DUET_API int duet_video_jitter_next(duet_video_jitter *jitter, duet_jitter_frame *out, duet_time now);
/** When duet_video_jitter_next may have one without another packet; also when it gives up waiting. */
DUET_API duet_time duet_video_jitter_deadline(const duet_video_jitter *jitter);
/** Whether only a key frame helps: at the start, after a loss that was given up, after duet_video_jitter_lost. */
DUET_API bool duet_video_jitter_needs_keyframe(const duet_video_jitter *jitter);
/** A key frame that is needed and on its way: when its newest packet came, or, when it is whole, when it is due; 0: there is
 *  none. So long, nobody needs to ask for another one. */
DUET_API duet_time duet_video_jitter_keyframe_arrival(const duet_video_jitter *jitter);
/** The decoder could not use the last frame. */
DUET_API void duet_video_jitter_lost(duet_video_jitter *jitter);
/** Packets up to here will not be used any more: duet_receive_stream_skip_to. INT64_MIN: none have been left behind. */
DUET_API int64_t duet_video_jitter_skipped_to(const duet_video_jitter *jitter);
/** From the playout-delay extension, and for lip sync. */
DUET_API void duet_video_jitter_set_delay(duet_video_jitter *jitter, duet_time min, duet_time max);

typedef struct duet_video_jitter_stats {
    uint64_t packets_inserted, packets_late, packets_duplicated, packets_malformed;
    uint64_t frames_assembled, frames_dropped, key_frames;
    uint64_t gave_up, overflows;
    duet_time jitter_buffer_delay;
    uint64_t jitter_buffer_emitted_count;
    duet_time target_delay;
} duet_video_jitter_stats;

DUET_API void duet_video_jitter_get_stats(const duet_video_jitter *jitter, duet_video_jitter_stats *out);

/* ---- lip sync ------------------------------------------------------------------------------------------------------ */

/** How much each of two streams should be delayed so that what was captured together is played together. Pure: call it about
 *  once a second. @param audio_capture, video_capture  capture times (NTP, 32.32) of what is played at audio_play and
 *  video_play @param delay  audio_delay and video_delay are changed by at most 80 ms at each call */
DUET_API void duet_lip_sync(uint64_t audio_capture, duet_time audio_play, uint64_t video_capture, duet_time video_play,
                            duet_time *audio_delay, duet_time *video_delay);

#ifdef __cplusplus
}
#endif
#endif
