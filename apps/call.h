/* What the files of `duet call` share. */
#ifndef DUET_APPS_CALL_H
#define DUET_APPS_CALL_H

#include "app_signaling.h"
#include "duet/media_file.h"
#include "media.h"
#include <jansson.h>

#define CALL_PEERS_MAX 16

enum { CALL_AUDIO, CALL_VIDEO, CALL_KINDS };

typedef struct call call;
typedef struct call_peer call_peer;
typedef struct call_file call_file;
typedef struct call_sending call_sending;
typedef struct call_record call_record;

typedef struct call_options {
    app_connection_options connection;
    app_link_options link;
    const char *sources[CALL_KINDS]; /* "tone" or "pattern", "none", or the name of a file */
    const char *codec, *record, *peer;
    bool loop, json, quiet;
    double seconds; /* from the first connection on; 0: until it is over */
    double timeout; /* for the first connection */
} call_options;

/* What has gone over a connection so far. */
typedef struct call_figures {
    uint64_t bytes_in, bytes_out, frames;
    double packets_in, lost_in;
    double loss_out; /* 0 to 1, as the peer reported last; below 0: not known */
    double rtt;      /* seconds; below 0: not known */
} call_figures;

/* Sound or pictures of one peer, both ways. */
typedef struct call_track {
    call_peer *peer;
    bool is_video;
    duet_sender *sender;     /* NULL: nothing is sent */
    duet_receiver *receiver; /* NULL: nothing came yet */

    bool has_complained;
    bool has_keyframe;       /* of an encoded file: what is sent can be decoded */
    bool knows_payload_type; /* of an encoded file's codec, of this negotiation */
    uint8_t payload_type;    /* DUET_FRAME_OWN_CODEC: the peer does not take it */
    uint64_t sent, send_errors;

    char codec[32]; /* of what came last */
    uint64_t frames, key_frames, decoded, losses;
    uint64_t counters_read, counters_backward;
    uint32_t last_counter;
    uint16_t width, height;
    double energy; /* of the samples since the meter looked last: the sum of squares in -1 to 1 */
    uint64_t samples;
    double total_energy;
} call_track;

/* Somebody in the room. */
struct call_peer {
    call_peer *next;
    call *owner;
    char name[64];
    char agent[64];            /* who has that seat; "" as long as it is not known */
    app_connection connection; /* pc NULL: nobody has called yet */
    duet_net_timer *courtesy;  /* after which we call */
    call_track tracks[CALL_KINDS];
    uint64_t session_id; /* of the peer's description: o= */
    bool is_polite, ignores_offer;
    bool is_setting_up; /* negotiation waits until it is ready */
    bool connected, over;
    bool is_silent; /* connected, but nothing comes */
    duet_time started;
    call_figures figures; /* as the meter saw them last */
};

struct call {
    call_options options;
    duet_net *net;
    app_link link;
    app_trace *trace;
    char *ice_servers; /* advised by the room */
    char self[128];
    bool is_arriving; /* those who are told now were there before us */
    duet_net_timer *arrived, *timeout, *end, *player, *meter;
    duet_time first_connected, play_next, metered;
    call_peer *peers;
    size_t connections; /* peers with a connection */
    unsigned connected; /* so many ever were */
    duet_net_timer *reaper;
    call_sending *sending;
    call_record *record; /* NULL: none */
    json_t *results;     /* of peers that are gone; NULL: none */
    bool has_meter_line; /* on the terminal, without a newline */
    bool finished;
    int exit_code;
    const char *reason; /* why it ended */
    char problem[320];  /* what call_fail said; "" otherwise */
};

/* ---- call.c ---- */

void call_finish(call *c, int exit_code, const char *reason);
void call_fail(call *c, const char *format, ...) DUET_PRINTF(2, 3);
/* As app_error, on a line of its own. */
void call_warn(call *c, const char *format, ...) DUET_PRINTF(2, 3);
/* A line for people, or with --json the object. Takes the reference. */
void call_say(call *c, json_t *object, const char *format, ...) DUET_PRINTF(3, 4);
/* What came and went becomes part of the result. */
void call_report_peer(call *c, const call_peer *p);
/* A peer's connection is there, or a peer is gone: because it left, or because it did not work. */
void call_connected(call *c);
void call_peer_gone(call *c, bool has_failed);

/* ---- call_peer.c ---- */

call_peer *call_peer_find(const call *c, const char *name);
/* Somebody is in the room: called at once, or after a moment in which they may call. */
void call_peer_meet(call *c, const char *name, const char *agent, bool at_once);
void call_peer_take_description(call *c, const char *name, duet_sdp_type type, const char *sdp);
void call_peer_take_candidate(call_peer *p, const duet_pc_candidate *candidate);
/* Ends it; it is freed once no callback is under way. */
void call_peer_end(call_peer *p, const char *reason, bool has_failed);
/* We have another seat in the room: all connections end, and everybody is met anew. */
void call_peers_forget(call *c);
void call_peers_free(call *c);

/* ---- call_receive.c ---- */

/* The peer sends here (again). */
void call_receive(call_peer *p, duet_transceiver *transceiver);
void call_receive_stop(call_peer *p);

/* ---- call_file.c: a media file, sample after sample ---- */

/* @return NULL after an error message */
call_file *call_file_open(const char *name, bool wants_video);
void call_file_close(call_file *file);
const char *call_file_name(const call_file *file);
const duet_file_track *call_file_track(const call_file *file);
bool call_file_is_raw(const call_file *file);
/* @return 1 and a sample, which lives until the next call; 0 at the end; -1 after an error message */
int call_file_next(call_file *file, duet_file_sample *out);
/* From the beginning. @return false after an error message */
bool call_file_rewind(call_file *file);

/* ---- call_send.c ---- */

/* Opens what is to be sent. @return an exit code, after an error message when it is not APP_OK */
int call_sending_create(call *c);
void call_sending_destroy(call_sending *s);
/* Adds tracks to the connection. @param is_caller  recvonly sections where nothing is sent */
int call_sending_add_tracks(call_sending *s, call_peer *p, bool is_caller);
/* Another negotiation may bring other codecs. */
void call_sending_renegotiated(call_peer *p);
void call_sending_stop(call_peer *p);

/* ---- call_record.c ---- */

/* Opens the file. @return an exit code, after an error message when it is not APP_OK */
int call_record_create(call *c, const char *name);
/* Completes the file. @return false after an error message */
bool call_record_finish(call_record *r);
void call_record_destroy(call_record *r);
/* The file has one peer: the first whose media comes, also when it loses its seat and comes back to another one. */
void call_record_frame(call_record *r, call_track *track, const duet_incoming_frame *frame);
void call_record_picture(call_record *r, call_track *track, const duet_video_frame *picture,
                         const duet_incoming_frame *frame);
void call_record_sound(call_record *r, call_track *track, const int16_t *samples, size_t count, uint8_t channels);
void call_record_report(const call_record *r, json_t *result);

/* ---- call_meter.c ---- */

int call_meter_start(call *c);
void call_meter_clear_line(call *c);

#endif
