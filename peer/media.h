/* What the files of peer/ that deal with media share: transceivers, and the RTP session of a transport. */
#ifndef DUET_PEER_MEDIA_H
#define DUET_PEER_MEDIA_H

#include "duet/transceiver.h"
#include "peer/internal.h"
#include "peer/report.h"

#define PC_CODECS_MAX      40
#define PC_NOWHERE         SIZE_MAX
#define PC_NO_PAYLOAD_TYPE 255

struct duet_sender {
    duet_transceiver *transceiver;
    char track_id[DUET_TRACK_ID_MAX + 1]; /* "": none */
    char stream_ids[DUET_TRACK_STREAMS][DUET_TRACK_ID_MAX + 1];
    size_t stream_count;
    duet_sender_parameters parameters;
    duet_sender_callbacks callbacks;
    uint32_t ssrc, rtx_ssrc;
    bool has_sent; /* W3C: addTrack does not take a sender that was ever used to send */
    bool reported_active;
    duet_codec codec;     /* name "": not negotiated */
    struct pc_send *send; /* peer/send.c; NULL: not sending */
};

struct duet_receiver {
    duet_transceiver *transceiver;
    char track_id[DUET_TRACK_ID_MAX + 1];
    char stream_ids[DUET_TRACK_STREAMS][DUET_TRACK_ID_MAX + 1];
    size_t stream_count;
    duet_receiver_callbacks callbacks;
    bool is_announced;          /* on_track was queued for the track that the peer sends now */
    struct pc_receive *streams; /* peer/receive.c; a list, one for each SSRC */
    struct pc_receive *speaker; /* … and the one of them that is played; NULL: the next that has a packet */
    bool drain_queued, is_draining;
    bool is_played;                          /* duet_receiver_read_audio was called */
    uint64_t played_samples, silent_samples; /* given to the player, and how many of them for want of others */
};

struct duet_transceiver {
    duet_pc *pc;
    duet_sdp_media_kind kind;
    char mid[PC_MID_MAX + 1];
    size_t mline;         /* its m-section; PC_NOWHERE: none yet */
    size_t offered_mline; /* where create_offer put it last; PC_NOWHERE: nowhere */
    duet_sdp_direction direction, current_direction;
    bool has_current;
    bool by_add_track;
    bool by_remote_offer;                  /* made for an offer that is not answered yet */
    bool is_stable;                        /* its mid is that of an agreed description */
    bool stopping, stopped;                /* W3C [[Stopping]], [[Stopped]] */
    bool end_queued;                       /* on_transceiver_end will be called, and free it */
    duet_array preferences;                /* duet_codec; empty: the default list */
    char told_msid[DUET_TRACK_ID_MAX + 1]; /* the track id that the last agreed local description announced */
    duet_sdp_direction asked_direction;    /* what the last agreed local description wanted */
    struct duet_sender sender;
    struct duet_receiver receiver;
    void *user;
};

/* What offer and answer agreed for one m-section of media. */
typedef struct pc_agreed {
    duet_codec codecs[PC_CODECS_MAX]; /* of the local description: what may arrive */
    size_t codec_count;
    duet_codec taken[PC_CODECS_MAX]; /* those that the peer takes too, with its parameters: what may be sent */
    size_t taken_count;
    duet_codec send;  /* the peer's first choice; name "": none */
    uint8_t send_red; /* payload type of the redundancy that it is wrapped in, or PC_NO_PAYLOAD_TYPE */
    duet_rtp_extension_map extensions;
    uint32_t ssrcs[8], rtx_ssrcs[8]; /* of the peer */
    size_t ssrc_count, rtx_ssrc_count;
    bool reduced_size, receiver_rtt;
} pc_agreed;

/* transceiver.c */
duet_transceiver *pc_transceiver_create(duet_pc *pc, duet_sdp_media_kind kind); /* NULL: no memory or too many */
/* The one that an m-section is of, by its place. NULL when there is none, or it has stopped. */
duet_transceiver *pc_transceiver_of_mline(const duet_pc *pc, size_t mline);
duet_transceiver *pc_transceiver_at(const duet_pc *pc, size_t index); /* also those that have stopped */
void pc_transceiver_remove(duet_transceiver *t);                      /* frees it */
void pc_transceivers_free(duet_pc *pc);
void pc_transceiver_set_stopped(duet_transceiver *t);
bool pc_transceiver_needs_negotiation(const duet_transceiver *t); /* W3C 4.7.3, step 5 */

/* media_codecs.c */
/* The capabilities of a kind, best first. */
size_t pc_codec_table(duet_sdp_media_kind kind, const duet_codec **table);
/* Whether it only goes with another codec: repair, redundancy, comfort noise, tones. */
bool pc_codec_is_helper(const duet_codec *codec);
bool pc_codec_is_red(const duet_codec *codec);
bool pc_codec_is_comfort_noise(const duet_codec *codec);
/* What an answer may contain: by preference. @return how many */
size_t pc_answer_codecs(const duet_transceiver *t, duet_codec *out, size_t max);
/* What an offer contains, with payload types that fit what is agreed already. */
size_t pc_offer_codecs(const duet_transceiver *t, duet_codec *out, size_t max);
/* The descriptions of both sides that hold or are about to: at most 4. */
size_t pc_descriptions(const duet_pc *pc, const duet_sdp **list);
/* media_extensions.c: those of a kind, with ids that fit what is agreed already. */
size_t pc_extensions(const duet_pc *pc, duet_sdp_media_kind kind, duet_sdp_extension *out, size_t max);
/* The ids of what is agreed now hold as long as the connection: browsers let none of them mean anything else. */
void pc_remember_extensions(duet_pc *pc);
/* Whether values of an extension can be sent: those of more than 16 bytes have two-byte headers, which may stand beside
 * one-byte ones only with a=extmap-allow-mixed (RFC 8285 section 4.1.2).
 * @param sdp, section  what the peer says, or has been said to it in an answer */
bool pc_extension_fits(const duet_sdp *sdp, size_t section, const char *uri);
/* Which ids the offer gives to more than one extension, in several sections of the bundle, as aiortc does: who receives such
 * a packet cannot know which is meant (RFC 9143 section 9.2), so they are not answered.
 * @param ambiguous  PC_EXTENSION_IDS of them */
void pc_ambiguous_extensions(const duet_sdp *offer, bool *ambiguous);
const char *pc_extension_uri(unsigned kind); /* of a duet_rtp_extension_kind */

/* media_build.c */
/* What the description that is being made says about one m-section; the section points into it. */
typedef struct pc_media_draft {
    duet_codec codecs[PC_CODECS_MAX];
    const duet_codec *codec_list[PC_CODECS_MAX];
    duet_sdp_extension extensions[PC_EXTENSIONS_MAX];
    const duet_sdp_extension *extension_list[PC_EXTENSIONS_MAX];
    const char *streams[DUET_TRACK_STREAMS];
} pc_media_draft;
/* a=rtcp-xr:rcvr-rtt, which `sdp` does not type. @param offer  NULL: it is an offer itself */
int pc_add_receiver_rtt(duet_sdp *sdp, const duet_sdp *offer);
bool pc_has_receiver_rtt(const duet_sdp *sdp, size_t section);
void pc_draft_media(pc_media_draft *draft, duet_sdp_section *section, const duet_transceiver *t, bool is_offer);

/* media_describe.c: what the descriptions say about transceivers */
/* Before a remote description takes effect: finds or makes the transceiver of each section. What it made is undone by
 * pc_media_roll_back. @return DUET_OK, DUET_ERR_NOMEM, DUET_ERR_LIMIT */
int pc_media_prepare_remote(duet_pc *pc, duet_sdp_type type, const duet_sdp *remote);
/* A local description is set: transceivers get the mids of their sections. */
void pc_media_apply_local(duet_pc *pc, duet_sdp_type type, const duet_sdp *local);
void pc_media_apply_remote(duet_pc *pc, const duet_sdp *remote);
/* Both sides are agreed; in a provisional answer what is refused may still be accepted. */
void pc_media_apply_negotiated(duet_pc *pc, duet_sdp_type type, const duet_sdp *local, const duet_sdp *remote,
                               bool local_is_offer);
void pc_media_become_stable(duet_pc *pc);
void pc_media_roll_back(duet_pc *pc);

/* media_stats.c, or media_none.c */
void pc_media_report(const duet_pc *pc, struct pc_stats_report *r);

/* media_transport.c, or media_none.c in a build without media: SRTP and the RTP session of a transport */
bool pc_media_is_built(void);
/* @return how many SRTP profiles DTLS should offer */
size_t pc_media_profiles(const duet_pc *pc, duet_srtp_profile *out);
void pc_media_transport_destroy(pc_transport *t);
/* An RTP or RTCP packet of a validated address. */
void pc_media_input(pc_transport *t, duet_datagram *in, duet_time now);
/* @return 1 and a protected packet that has to be routed, or 0 */
int pc_media_output(pc_transport *t, duet_datagram *out, duet_time now);
void pc_media_tick(pc_transport *t, duet_time now);
duet_time pc_media_deadline(const pc_transport *t);
/* Takes up what was agreed for a section. The transport may be another one than before. */
void pc_media_agree(duet_transceiver *transceiver, pc_transport *t, const pc_agreed *agreed);
/* The section is rejected, or the transceiver has stopped. */
void pc_media_end(duet_transceiver *transceiver);
/* Direction, track or parameters have changed. */
void pc_media_update(duet_transceiver *transceiver);
/* Another DTLS association has taken the place of the first: its keys, from now on. */
void pc_media_rekey(pc_transport *t);
void pc_media_bye(pc_transport *t, duet_time now);

#endif
