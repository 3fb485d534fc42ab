/* Media of the tool's commands: synthetic sources, sinks that check. The connection needs duet_pc_config.codecs. */
#ifndef DUET_APPS_MEDIA_H
#define DUET_APPS_MEDIA_H

#include "duet/codecs.h"
#include "duet/net.h"
#include "duet/transceiver.h"

/* ---- sources ---- */

/* A tone of 440 Hz, or the moving pattern with its frame counter, sent as long as the sender is active. */
typedef struct media_source {
    duet_net *net;
    duet_sender *sender;
    duet_net_timer *timer;
    duet_time next;   /* when the next frame is due */
    duet_codec codec; /* that was negotiated */
    uint8_t *picture;
    uint16_t width, height;
    uint8_t framerate;
    uint64_t position;   /* audio: samples so far */
    uint32_t counter;    /* video: the next frame's */
    const char *problem; /* why nothing can be encoded; NULL when it can */
} media_source;

#define MEDIA_WIDTH     320
#define MEDIA_HEIGHT    240
#define MEDIA_FRAMERATE 25

/* Begins when the sender becomes active. The sender's callbacks are the source's. */
int media_source_start(media_source *source, duet_net *net, duet_sender *sender);
void media_source_stop(media_source *source);

/* ---- sinks ---- */

/* Counts what a receiver gives, plays its sound to nobody, and reads the pattern's counter. */
typedef struct media_sink {
    duet_net *net;
    duet_receiver *receiver;
    duet_net_timer *timer; /* audio */
    duet_time next;        /* when sound is read next */
    char codec[32];        /* of the last frame */
    bool has_no_decoder;   /* frames are counted only */
    uint64_t packets, frames, key_frames, decoded, losses;
    uint64_t counters_read, counters_backward;
    uint32_t last_counter;
    uint16_t width, height;
    double energy; /* audio: sum of squares of samples in -1 to 1 */
    void (*on_frame)(void *user, struct media_sink *sink, const duet_incoming_frame *frame);
    void *user;
} media_sink;

void media_sink_start(media_sink *sink, duet_net *net, duet_receiver *receiver);
void media_sink_stop(media_sink *sink);

/* Codec preferences with the named codec in front. @return false when there is no such codec */
bool media_prefer(duet_transceiver *transceiver, const char *codec_name);
/* Whether this build can encode and decode it. */
bool media_has_codec(const char *codec_name);
/* Whether it can be negotiated for sound: also what goes with a codec, as "red". */
bool media_is_audio_codec(const char *codec_name);

#endif
