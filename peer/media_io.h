/* The parts of peer/ that move media, in a build that has it: SRTP and the RTP session of a transport, what a sender and a
 * receiver keep for them. */
#ifndef DUET_PEER_MEDIA_IO_H
#define DUET_PEER_MEDIA_IO_H

#include "duet/codecs.h"
#include "duet/jitter.h"
#include "duet/srtp.h"
#include "peer/media.h"

struct pc_media {
    duet_rtp_session *rtp;
    duet_srtp *srtp; /* NULL before DTLS is connected */
    bool has_failed; /* no keys: told once */
};

#define PC_DTMF_MAX 32

/* Tones that wait and the one that plays, which is the first. */
typedef struct pc_dtmf {
    struct {
        uint8_t event;
        duet_time duration;
    } queue[PC_DTMF_MAX];
    size_t count;
    bool is_playing;
    unsigned ends_left; /* how often its end is still told */
    uint32_t clock_rate, timestamp;
    uint32_t segments; /* that are full: of a tone longer than the duration field holds */
    duet_time started, next;
} pc_dtmf;

/* media_meters.c: sound that was captured or is played. */
typedef struct pc_sound {
    double level;           /* of the last piece: root mean square, 1 is full scale */
    double energy, seconds; /* W3C totalAudioEnergy, totalSamplesDuration */
} pc_sound;
/* @return the level of these samples in -dBov, 0 to 127, of full scale: RFC 6464 */
uint8_t pc_sound_add(pc_sound *sound, const int16_t *samples, size_t count, uint8_t channels, uint32_t rate);

/* Pictures that were given, encoded or decoded. */
typedef struct pc_pictures {
    uint64_t count, key_frames;
    uint16_t width, height;
    unsigned per_second, in_second; /* the last whole second, and the one that is under way */
    duet_time since;
} pc_pictures;
void pc_pictures_add(pc_pictures *pictures, uint16_t width, uint16_t height, bool is_keyframe, duet_time now);
unsigned pc_pictures_per_second(const pc_pictures *pictures, duet_time now);

/* A sender whose m-section was agreed to send. It outlives a pause: its sequence numbers have to go on, because SRTP finds
 * the rollover counter by them (RFC 3711 section 3.3.1). */
typedef struct pc_send {
    duet_sender *sender;
    bool is_paused; /* by the direction that is agreed now */
    pc_transport *transport;
    duet_send_stream *stream;
    duet_packetizer *packetizer; /* of `format`; made with the first frame */
    duet_payload_format format;
    duet_codec codecs[PC_CODECS_MAX]; /* that the peer takes */
    size_t codec_count;
    uint8_t red_type;    /* its own codec is wrapped in redundancy; PC_NO_PAYLOAD_TYPE: it is not */
    duet_red_sender red; /* what is to be repeated */
    uint64_t redundancy_sent;
    uint32_t next_timestamp;  /* audio: where the last frame ended */
    uint32_t timestamp_rate;  /* … and its clock; 0: there was none */
    uint32_t timestamp_ahead; /* … which is so much ahead of the capture clock */
    bool keyframe_queued;
    uint64_t frames_sent, key_frames_sent;
    pc_dtmf dtmf;
    struct pc_encoder *encoder; /* raw_send.c; NULL: nothing raw was sent */
    pc_sound sound;             /* raw, from the source */
    pc_pictures source, encoded;
} pc_send;

/* One SSRC of the peer. */
typedef struct pc_receive {
    struct pc_receive *next;
    duet_receiver *receiver;
    pc_transport *transport;
    duet_receive_stream *stream;  /* NULL: it has ended */
    duet_video_jitter *frames;    /* of `format` */
    duet_video_jitter_stats past; /* of its buffers of other formats */
    duet_payload_format format;
    duet_codec codec;
    int64_t codec_since;              /* the packet with which it began */
    struct pc_redundancy *redundancy; /* receive_red.c; NULL: none has come */
    uint64_t dropped;                 /* frames, when the last one was given out */
    duet_time keyframe_expected; /* one is on its way: it is asked for when it does not go on until then; 0: none */
    bool has_played;             /* for lip sync: the last frame or piece, and when it is shown or heard */
    uint32_t played_timestamp;
    duet_time played_at, sync_delay;
    duet_time playout_min, playout_max; /* what the sender wishes for pictures; max 0: nothing */
    struct pc_playout *playout;         /* raw_receive.c; NULL: its sound is not played */
    duet_video_decoder *video_decoder;
    char video_codec[32];
    duet_time decoded_at; /* the last picture */
    pc_sound sound;       /* that was played */
    pc_pictures decoded;
    uint64_t undecodable;
} pc_receive;

/* send.c */
int pc_send_create(duet_sender *sender, pc_transport *t, const pc_agreed *agreed);
void pc_send_pause(duet_sender *sender);
void pc_send_destroy(duet_sender *sender);
void pc_send_keyframe_requested(duet_sender *sender);
void pc_send_remb(duet_sender *sender, uint64_t bits_per_second);
void pc_send_report_active(duet_sender *sender);
/* What is captured at `time` has this timestamp. */
uint32_t pc_send_timestamp(const pc_send *s, duet_time time, uint32_t rate);
/* A time in units of an RTP clock. */
duet_time pc_clock_units(duet_time time, uint32_t rate);
int pc_send_frame(duet_sender *sender, const duet_outgoing_frame *frame);
/* The codec of that name and clock that is negotiated beside its own. NULL: none */
const duet_codec *pc_send_beside(const pc_send *s, const char *name, uint32_t clock_rate);
/* In place of a packet of audio: comfort noise, or nothing (NULL). @param duration  of what is not sent, in clock units */
int pc_send_pause_sound(pc_send *s, const duet_comfort_noise *noise, duet_time captured, uint32_t duration);

/* raw_send.c */
void pc_encoder_destroy(pc_send *s);
void pc_encoder_keyframe(pc_send *s);

/* raw_receive.c */
void pc_decode_picture(pc_receive *r, const duet_incoming_frame *frame); /* for on_video, which there is */
bool pc_playout_packet(pc_receive *r, const duet_jitter_packet *packet); /* whether it is new */
void pc_playout_destroy(pc_receive *r);                                  /* and the decoders */
void pc_playout_set_delay(pc_receive *r, duet_time least);
bool pc_playout_get_stats(const pc_receive *r, duet_audio_jitter_stats *out);

/* lip_sync.c */
void pc_lip_sync_tick(duet_pc *pc, duet_time now);

/* dtmf.c */
void pc_dtmf_tick(pc_send *s, duet_time now);
duet_time pc_dtmf_deadline(const pc_send *s);

/* receive_red.c */
typedef struct pc_redundancy {
    duet_red_receiver seen;
    uint64_t received, discarded, malformed; /* blocks; payloads and blocks that cannot be used */
} pc_redundancy;
/* A packet of the stream has come. @param codec  of its payload */
void pc_redundancy_note(pc_receive *r, const duet_codec *codec, const duet_jitter_packet *packet);
/* Unwraps a payload of RED: its blocks go on as if their packets had come alone. @param red  the codec */
void pc_redundancy_packet(pc_receive *r, const duet_codec *red, const duet_jitter_packet *packet);

/* receive.c */
/* A packet on its way to those who want it. @param codec  of its payload @return whether anybody did */
bool pc_receive_take(pc_receive *r, const duet_codec *codec, const duet_jitter_packet *packet);
void pc_receive_begin(duet_receiver *receiver, pc_transport *t, duet_receive_stream *stream);
void pc_receive_packet(duet_receive_stream *stream, const duet_rtp_arrival *arrival);
void pc_receive_end(duet_receive_stream *stream);
/* How long pictures are held back: what the sender wishes, and `sync_delay`. */
void pc_receive_apply_delay(pc_receive *r);
/* Of all its buffers. @return false when there was none */
bool pc_receive_get_stats(const pc_receive *r, duet_video_jitter_stats *out);
void pc_receive_tick(duet_receiver *receiver, duet_time now);
duet_time pc_receive_deadline(const duet_receiver *receiver);

#endif
