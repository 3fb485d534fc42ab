/* Media files, sans-I/O: bytes in, samples out, and the other way round. Ogg with Opus (RFC 3533, RFC 7845), IVF, WebM (RFC
 * 8794, RFC 9559) with VP8, VP9, AV1 and Opus, WAV, YUV4MPEG2, and H.264 and H.265 in Annex B form.
 *
 * A reader is fed pieces of any length and gives what it has; a writer gives its bytes to a function. Neither knows a file:
 * the caller reads and writes it, or a pipe, or a buffer. Files are hostile input: everything is bounded, nothing is
 * allocated that the bytes at hand do not justify. */
#ifndef DUET_MEDIA_FILE_H
#define DUET_MEDIA_FILE_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum duet_file_format {
    DUET_FILE_UNKNOWN = 0,
    DUET_FILE_OGG,
    DUET_FILE_IVF,
    DUET_FILE_WEBM,
    DUET_FILE_WAV,
    DUET_FILE_Y4M,
    DUET_FILE_H264, /**< Annex B */
    DUET_FILE_H265, /**< Annex B */
} duet_file_format;

#define DUET_FILE_TRACKS_MAX 8
#define DUET_FILE_SAMPLE_MAX (16u * 1024u * 1024u) /* bytes of a sample; larger ones are DUET_ERR_LIMIT */

/** By the first bytes, of which 64 suffice. Annex B has no signature: a start code is taken for H.264, unless a parameter
 *  set or delimiter of H.265 follows it. */
DUET_API duet_file_format duet_file_detect(const uint8_t *data, size_t len);
/** By the end of a file name, in either case (".opus", ".ogg", ".ivf", ".webm", ".mkv", ".wav", ".y4m", ".h264", ".264",
 *  ".h265", ".265", and a few more). */
DUET_API duet_file_format duet_file_format_of_name(const char *name);
DUET_API const char *duet_file_format_name(duet_file_format format); /**< "Ogg", "WebM", … */

typedef struct duet_file_track {
    /** "opus", "VP8", "VP9", "AV1", "H264", "H265"; raw: "L16" (16-bit samples, native order), "I420". Tracks of Matroska with
     *  other codecs keep the CodecID of Matroska, perhaps cut: "V_MPEG4/ISO/AVC". */
    char codec[16];
    bool is_video;
    uint16_t width, height;      /**< video; 0: not known yet */
    uint32_t rate_num, rate_den; /**< video: frames per second as a fraction, 0/0 when the file does not say */
    uint32_t sample_rate;        /**< audio */
    uint8_t channels;            /**< audio */
    /** Opus: samples of 48 kHz to be dropped at the start, RFC 7845 section 4.2; in a chained file those of the first stream. */
    uint16_t pre_skip;
} duet_file_track;

/** One packet, frame, access unit, or for WAV a block of 20 ms. Streams in Annex B form tell no times: these are at the rate
 *  that an H.264 SPS names, or 25 a second. */
typedef struct duet_file_sample {
    unsigned track;
    const uint8_t *data; /**< read: lives until the next call */
    size_t len;
    duet_time time;     /**< from the beginning of the file */
    duet_time duration; /**< 0: not known */
    bool is_keyframe;   /**< audio: true */
} duet_file_sample;

/* ---- reading ------------------------------------------------------------------------------------------------------- */

typedef struct duet_file_reader duet_file_reader;

/** @param format  UNKNOWN: detected from the first bytes @return DUET_OK, DUET_ERR_NOMEM */
DUET_API int duet_file_reader_create(duet_file_reader **out, const duet_env *env, duet_file_format format);
DUET_API void duet_file_reader_destroy(duet_file_reader *reader);
/** Takes bytes; all of them are copied (or none). @return DUET_OK, also after an error, when they are of no use;
 *          DUET_ERR_AGAIN: 64 KiB wait, call duet_file_reader_next until it gives 0 (nothing was copied); DUET_ERR_NOMEM: try
 *          again; DUET_ERR_STATE: after duet_file_reader_end */
DUET_API int duet_file_reader_input(duet_file_reader *reader, const uint8_t *data, size_t len);
/** No more bytes will come: what is left over becomes the last samples. A file that is cut off gives the samples that are
 *  whole, then DUET_ERR_MALFORMED. */
DUET_API void duet_file_reader_end(duet_file_reader *reader);
/** @return 1 and a sample; 0: more bytes are needed, or the end; DUET_ERR_MALFORMED (see duet_file_reader_error; what
 *          follows cannot be read); DUET_ERR_UNSUPPORTED (encrypted, laced or compressed in a way that is not read, or no
 *          format was detected); DUET_ERR_LIMIT; DUET_ERR_NOMEM: call it again. Other errors stay */
DUET_API int duet_file_reader_next(duet_file_reader *reader, duet_file_sample *out);
/** The tracks known so far: all of them once the first sample was given. NULL past the end. */
DUET_API const duet_file_track *duet_file_reader_track(const duet_file_reader *reader, unsigned index);
DUET_API duet_file_format duet_file_reader_format(const duet_file_reader *reader);
/** Bytes that were stepped over because they are damaged: an Ogg file goes on with its next whole page. */
DUET_API uint64_t duet_file_reader_skipped(const duet_file_reader *reader);
/** What is wrong, with the offset in the file: "offset 1234: an EBML element of 99999 bytes in a cluster of 4000". "" when
 *  nothing is. */
DUET_API const char *duet_file_reader_error(const duet_file_reader *reader);

/* ---- writing ------------------------------------------------------------------------------------------------------- */

typedef struct duet_file_writer duet_file_writer;

typedef struct duet_file_writer_config {
    size_t size;
    const duet_env *env;
    duet_file_format format;
    const duet_file_track *const *tracks;
    unsigned track_count; /**< WebM: up to 8; the others: 1 */
    /** Takes the next bytes of the file. @return DUET_OK, or an error that the call then gives */
    int (*write)(void *user, const uint8_t *data, size_t len);
    /** Overwrites bytes that were written before: the lengths of WAV and IVF, the duration of WebM. NULL: the output cannot
     *  seek; the headers then say that the length is not known. */
    int (*patch)(void *user, uint64_t offset, const uint8_t *data, size_t len);
    void *user;
} duet_file_writer_config;

DUET_API void duet_file_writer_config_init(duet_file_writer_config *config);
/** Writes the header. A video track whose size is 0 takes it from its first key frame (VP8, VP9); that needs `patch`, except
 *  in IVF and Annex B. IVF counts time in frames when the track has a rate, otherwise in microseconds.
 *  @return DUET_OK; DUET_ERR_UNSUPPORTED (a codec, or so many tracks, that the format does not hold); DUET_ERR_INVALID;
 *          DUET_ERR_NOMEM; or what `write` gave */
DUET_API int duet_file_writer_create(duet_file_writer **out, const duet_file_writer_config *config);
/** Samples of a track in the order of their times. Tracks of WebM may be up to a second apart: samples wait for those of
 *  the other tracks, as players want them in the order of their times. WAV, YUV4MPEG2 and Annex B keep
 *  no times. Ogg fills pauses of up to a minute with empty packets (RFC 7845 section 4.1); longer ones are a leap.
 *  @return DUET_OK; DUET_ERR_INVALID: a sample that its codec does not have, and nothing was written; DUET_ERR_NOMEM: the
 *          same; DUET_ERR_STATE: after duet_file_writer_finish; or what `write` or `patch` gave, now and ever after */
DUET_API int duet_file_writer_sample(duet_file_writer *writer, const duet_file_sample *sample);
/** Completes the file: the last page, lengths, duration. */
DUET_API int duet_file_writer_finish(duet_file_writer *writer);
DUET_API void duet_file_writer_destroy(duet_file_writer *writer); /**< does not finish; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
