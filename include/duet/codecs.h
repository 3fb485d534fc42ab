/* Encoders and decoders behind one interface, each a real library: Opus, libvpx (VP8, VP9), G.711. They are a library
 * of their own (duet::codecs), so a program that sends no media, or only passes encoded media on, links none. */
#ifndef DUET_CODECS_H
#define DUET_CODECS_H

#include "duet/base.h"
#include "duet/payload.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Raw audio: interleaved 16-bit samples. Borrowed. */
typedef struct duet_audio_frame {
    const int16_t *samples; /**< count * channels of them */
    size_t count;           /**< per channel */
    uint32_t sample_rate;   /**< Hz */
    uint8_t channels;       /**< 1 or 2 */
} duet_audio_frame;

/** Raw video: planar 8-bit YUV 4:2:0 (I420). Borrowed. */
typedef struct duet_video_frame {
    uint16_t width, height;
    const uint8_t *planes[3]; /**< Y, U, V; U and V have (width + 1) / 2 × (height + 1) / 2 */
    size_t strides[3];
} duet_video_frame;

/** An encoded frame. Borrowed. */
typedef struct duet_encoded_frame {
    const uint8_t *data;
    size_t len;
    duet_frame_info info;
} duet_encoded_frame;

/* ---- audio ------------------------------------------------------------------------------------------------------- */

typedef struct duet_audio_encoder duet_audio_encoder;
typedef struct duet_audio_decoder duet_audio_decoder;

typedef struct duet_audio_encoder_config {
    size_t size;
    const duet_env *env;
    duet_codec codec; /**< as negotiated: name, clock rate, channels; the fmtp of the peer is followed (Opus: stereo,
                            *   maxaveragebitrate, maxplaybackrate, useinbandfec, usedtx, cbr; RFC 7587 section 6.1) */
    uint8_t channels; /**< of the input; 0: 1 */
    uint32_t sample_rate;  /**< of the input; 0: 48000 (Opus), 8000 (G.711). Opus takes 8, 12, 16, 24, 48 kHz */
    uint32_t bitrate;      /**< bits per second; 0: the codec's default (Opus mono 32000, stereo 64000) */
    uint8_t expected_loss; /**< percent, for in-band FEC */
    int8_t complexity;     /**< 0 to 10; -1: 5 */
    bool voice;            /**< tuned for speech */
    bool dtx; /**< Opus: nothing is sent in silence, whether or not the peer asked for it (usedtx); for speech */
} duet_audio_encoder_config;

DUET_API void duet_audio_encoder_config_init(duet_audio_encoder_config *config);
/** @return DUET_OK, DUET_ERR_UNSUPPORTED (no such codec), DUET_ERR_INVALID, DUET_ERR_NOMEM */
DUET_API int duet_audio_encoder_create(duet_audio_encoder **out, const duet_audio_encoder_config *config);
DUET_API void duet_audio_encoder_destroy(duet_audio_encoder *encoder);
/** Encodes 2.5 to 60 ms (Opus: 2.5, 5, 10, 20, 40 or 60 ms; G.711: any length).
 *  @param capacity  less than what a packet takes makes Opus use fewer bits
 *  @param len  0: DTX, nothing needs to be sent
 *  @return DUET_OK, DUET_ERR_INVALID (length, rate or channels), DUET_ERR_BUFFER */
DUET_API int duet_audio_encoder_encode(duet_audio_encoder *encoder, const duet_audio_frame *frame, uint8_t *data,
                                       size_t capacity, size_t *len);
/** Bounded by 6000 and the peer's maxaveragebitrate. @return DUET_OK, DUET_ERR_UNSUPPORTED (G.711 has one rate) */
DUET_API int duet_audio_encoder_set_bitrate(duet_audio_encoder *encoder, uint32_t bits_per_second);
/** Makes Opus' in-band FEC stronger; nothing to G.711. */
DUET_API int duet_audio_encoder_set_expected_loss(duet_audio_encoder *encoder, uint8_t percent);

typedef struct duet_audio_decoder_config {
    size_t size;
    const duet_env *env;
    duet_codec codec;
    uint32_t sample_rate; /**< of the output; 0: 48000 (Opus: or 8, 12, 16, 24 kHz), 8000 (G.711: nothing else) */
    uint8_t channels;     /**< of the output; 0: 1. Opus decodes to 1 or 2 whatever was sent, G.711 to 1 */
} duet_audio_decoder_config;

DUET_API void duet_audio_decoder_config_init(duet_audio_decoder_config *config);
DUET_API int duet_audio_decoder_create(duet_audio_decoder **out, const duet_audio_decoder_config *config);
DUET_API void duet_audio_decoder_destroy(duet_audio_decoder *decoder);
/** Decodes one packet. @param samples  room for `capacity` samples per channel @param count  how many came out
 *  @return DUET_OK, DUET_ERR_MALFORMED, DUET_ERR_BUFFER */
DUET_API int duet_audio_decoder_decode(duet_audio_decoder *decoder, const uint8_t *data, size_t len, int16_t *samples,
                                       size_t capacity, size_t *count);
/** The packet before this one was lost: decodes its in-band FEC for `count` samples (Opus), a multiple of 2.5 ms: as
 *  many as were lost. DUET_ERR_NOT_FOUND when there is none in it: conceal then. DUET_ERR_MALFORMED, _INVALID */
DUET_API int duet_audio_decoder_decode_fec(duet_audio_decoder *decoder, const uint8_t *data, size_t len,
                                           int16_t *samples, size_t count);
/** Conceals `count` lost samples: Opus PLC; G.711 repeats the last period and fades within 60 ms.
 *  @return DUET_OK, DUET_ERR_INVALID (Opus: `count` is no multiple of 2.5 ms) */
DUET_API int duet_audio_decoder_conceal(duet_audio_decoder *decoder, int16_t *samples, size_t count);
/** Comfort noise for a pause of the sender: white noise of the level that was told, shaped with its reflection coefficients
 *  (RFC 3389 section 3). @param told  how it sounds from now on; NULL: as before, silence at first
 *  @return DUET_OK, DUET_ERR_UNSUPPORTED (Opus: its pauses are its own) */
DUET_API int duet_audio_decoder_comfort_noise(duet_audio_decoder *decoder, const duet_comfort_noise *told,
                                              int16_t *samples, size_t count);

/* ---- video ------------------------------------------------------------------------------------------------------- */

typedef struct duet_video_encoder duet_video_encoder;
typedef struct duet_video_decoder duet_video_decoder;

typedef struct duet_video_encoder_config {
    size_t size;
    const duet_env *env;
    duet_codec codec; /**< "VP8" or "VP9" */
    uint16_t width, height;
    uint32_t bitrate;        /**< bits per second; 0: 500000 */
    uint8_t framerate;       /**< expected; 0: 30 */
    uint8_t threads;         /**< 0: 1 */
    int8_t speed;            /**< libvpx cpu-used; 0: by size and codec */
    uint16_t keyframe_every; /**< frames between key frames at most; 0: 3000 */
    bool screen;             /**< screen content */
} duet_video_encoder_config;

DUET_API void duet_video_encoder_config_init(duet_video_encoder_config *config);
/** @return DUET_OK, DUET_ERR_UNSUPPORTED (no such codec), DUET_ERR_INVALID (size 0 or above 16383, speed),
 *  DUET_ERR_NOMEM */
DUET_API int duet_video_encoder_create(duet_video_encoder **out, const duet_video_encoder_config *config);
DUET_API void duet_video_encoder_destroy(duet_video_encoder *encoder);
/** Encodes one frame in real-time mode. A frame of another size than before makes the encoder follow, with a key frame.
 *  @param time        capture time, for rate control; grows
 *  @param keyframe    force one
 *  @param out         lives until the next call; len 0 when the encoder dropped the frame
 *  @return DUET_OK, or what libvpx refused: DUET_ERR_INVALID, DUET_ERR_NOMEM, … The next frame may be tried all the
 *  same */
DUET_API int duet_video_encoder_encode(duet_video_encoder *encoder, const duet_video_frame *frame, duet_time time,
                                       bool keyframe, duet_encoded_frame *out);
/** From the next frame on, without a key frame. */
DUET_API int duet_video_encoder_set_bitrate(duet_video_encoder *encoder, uint32_t bits_per_second);

typedef struct duet_video_decoder_config {
    size_t size;
    const duet_env *env;
    duet_codec codec;
    uint8_t threads;                /**< 0: 1 */
    uint16_t width_max, height_max; /**< larger frames are refused before they are decoded; 0: 8192 */
} duet_video_decoder_config;

DUET_API void duet_video_decoder_config_init(duet_video_decoder_config *config);
DUET_API int duet_video_decoder_create(duet_video_decoder **out, const duet_video_decoder_config *config);
DUET_API void duet_video_decoder_destroy(duet_video_decoder *decoder);
/** @param out  lives until the next call; of a VP9 superframe the last picture
 *  @return DUET_OK; DUET_ERR_MALFORMED (damaged, or what it refers to is: ask for a key frame); DUET_ERR_AGAIN (it is
 *  not shown); DUET_ERR_TOO_LARGE; DUET_ERR_UNSUPPORTED (not 8 bits and 4:2:0); DUET_ERR_NOMEM */
DUET_API int duet_video_decoder_decode(duet_video_decoder *decoder, const uint8_t *data, size_t len,
                                       duet_video_frame *out);

/** The codecs of this build, best first, as offers list them: audio then video.
 *  @return how many; at most `max` stored */
DUET_API size_t duet_codecs_list(duet_codec *out, size_t max);

/* ---- the interface of all of them ------------------------------------------------------------------------------------ */

/** Encoders and decoders as a table, which a peer connection is given (duet_pc_config.codecs) to send and receive raw
 *  frames. The functions are those above; put others in to use other libraries, or hardware. NULL: that kind cannot be
 *  encoded or decoded. */
typedef struct duet_codec_ops {
    size_t size;
    int (*audio_encoder_create)(duet_audio_encoder **out, const duet_audio_encoder_config *config);
    void (*audio_encoder_destroy)(duet_audio_encoder *encoder);
    int (*audio_encode)(duet_audio_encoder *encoder, const duet_audio_frame *frame, uint8_t *data, size_t capacity,
                        size_t *len);
    int (*audio_decoder_create)(duet_audio_decoder **out, const duet_audio_decoder_config *config);
    void (*audio_decoder_destroy)(duet_audio_decoder *decoder);
    int (*audio_decode)(duet_audio_decoder *decoder, const uint8_t *data, size_t len, int16_t *samples, size_t capacity,
                        size_t *count);
    int (*audio_decode_fec)(duet_audio_decoder *decoder, const uint8_t *data, size_t len, int16_t *samples,
                            size_t count);
    int (*audio_conceal)(duet_audio_decoder *decoder, int16_t *samples, size_t count);
    int (*video_encoder_create)(duet_video_encoder **out, const duet_video_encoder_config *config);
    void (*video_encoder_destroy)(duet_video_encoder *encoder);
    int (*video_encode)(duet_video_encoder *encoder, const duet_video_frame *frame, duet_time time, bool keyframe,
                        duet_encoded_frame *out);
    int (*video_set_bitrate)(duet_video_encoder *encoder, uint32_t bits_per_second);
    int (*video_decoder_create)(duet_video_decoder **out, const duet_video_decoder_config *config);
    void (*video_decoder_destroy)(duet_video_decoder *decoder);
    int (*video_decode)(duet_video_decoder *decoder, const uint8_t *data, size_t len, duet_video_frame *out);
    int (*audio_set_bitrate)(duet_audio_encoder *encoder, uint32_t bits_per_second); /**< NULL: it keeps its first */
    int (*audio_comfort_noise)(duet_audio_decoder *decoder, const duet_comfort_noise *told, int16_t *samples,
                               size_t count); /**< NULL: pauses are silent */
    int (*audio_set_expected_loss)(duet_audio_encoder *encoder,
                                   uint8_t percent); /**< NULL: its redundancy stays as it was */
} duet_codec_ops;

/** Those of duet::codecs. */
DUET_API const duet_codec_ops *duet_codecs(void);

/* ---- synthetic media --------------------------------------------------------------------------------------------- */

/** Fills `count` samples per channel with a sine, the same in all channels.
 *  @param frequency  Hz @param amplitude  0 to 1
 *  @param position  index of the first sample, so that frames join */
DUET_API void duet_tone_fill(int16_t *samples, size_t count, uint8_t channels, uint32_t sample_rate, double frequency,
                             double amplitude, uint64_t position);

#define DUET_PATTERN_COUNTER_BITS 24

/** Draws frame `counter` of a moving pattern. At its top are four rows of 16 black and white blocks, each a 16th of the
 *  width and of the height: eight bits, the most significant one first, each as white and black (1) or black and white
 *  (0) side by side, so that a reader can tell damage. Three rows are the counter, modulo 2^24, the fourth is its CRC-8
 *  (polynomial 0x07, initially 0), as a damaged picture may be a mixture of two. Readable after lossy coding at low
 *  rates.
 *  @param data  I420, width * height * 3 / 2 bytes; both even, at least 96 × 64 */
DUET_API void duet_pattern_fill(uint8_t *data, uint16_t width, uint16_t height, uint32_t counter);
/** The same layout as a frame view. */
DUET_API void duet_pattern_frame(const uint8_t *data, uint16_t width, uint16_t height, duet_video_frame *out);
/** Reads the counter back, also from a scaled frame. @return false when it cannot be read with certainty */
DUET_API bool duet_pattern_read(const duet_video_frame *frame, uint32_t *counter);

#ifdef __cplusplus
}
#endif
#endif
