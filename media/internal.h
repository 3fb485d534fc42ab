/* The RTP session from inside: what its files share. One struct for each thing that lives: session, section, send stream,
 * receive stream, packet slot; and the state machines that are parts of them. */
#ifndef DUET_MEDIA_INTERNAL_H
#define DUET_MEDIA_INTERNAL_H

#include "base/map.h"
#include "base/timer.h"
#include "duet/media.h"

/* ---- timers ------------------------------------------------------------------------------------------------------ */

/* A timer that knows what to do. Its owner must have armed it later than `now` when `fire` returns, or not at all. */
typedef struct rtp_timer {
    duet_timer timer; /* first, so that the queue's node is this */
    void (*fire)(void *owner, duet_time now);
    void *owner;
} rtp_timer;

/* ---- packet slots ------------------------------------------------------------------------------------------------ */

typedef struct rtp_slot rtp_slot;

/* A retransmission is longer than its original: by the OSN, and a MID that the original no longer needed. */
#define RTP_SLOT_MAX (DUET_RTP_FORWARD_MAX + 96)

/* One packet in a buffer of the pool. It is waiting to be sent, kept for retransmission, or lent to the driver. */
struct rtp_slot {
    rtp_slot *next;        /* in the free list, the media queue or the lent ones */
    rtp_slot *next_resend; /* in the queue of retransmissions */
    duet_send_stream *stream;
    duet_time queued_at, resent_at;
    size_t len, payload_len;
    uint16_t sequence_number;
    uint8_t refs; /* of the queues and the history */
    bool is_kept, is_resending, was_sent, was_resent;
    uint8_t copies; /* of the retransmission under way */
    uint8_t bytes[DUET_HEADROOM + RTP_SLOT_MAX + DUET_TAILROOM];
};

static inline uint8_t *duet_rtp_slot_data(rtp_slot *slot)
{
    return slot->bytes + DUET_HEADROOM;
}

typedef struct rtp_slots {
    const duet_env *env;
    rtp_slot *spare;
    rtp_slot *lent, *lent_last;
    size_t lent_count;
} rtp_slots;

rtp_slot *duet_rtp_slots_take(rtp_slots *slots); /* with one reference; NULL when there is no memory */
void duet_rtp_slots_release(rtp_slots *slots, rtp_slot *slot);
void duet_rtp_slots_lend(rtp_slots *slots, rtp_slot *slot); /* the reference goes with it */
void duet_rtp_slots_reclaim(rtp_slots *slots);              /* what was lent */
void duet_rtp_slots_trim(rtp_slots *slots);                 /* gives the spare ones back */

/* ---- sections ---------------------------------------------------------------------------------------------------- */

#define RTP_NO_CODEC 0xff

typedef struct rtp_section {
    char mid[DUET_RTP_SDES_MAX + 1];
    bool is_video, receives, reduced_size, receiver_rtt;
    bool wants_transport_cc; /* packets carry a transport-wide sequence number, and feedback tells of them */
    bool wants_ccfb;         /* feedback of RFC 8888 tells of them by SSRC */
    uint32_t feedback;       /* of any of its codecs */
    duet_codec *codecs;
    size_t codec_count;
    uint8_t codec_of[128]; /* payload type to index, or RTP_NO_CODEC */
    uint8_t rtx_of[128];   /* payload type to that of its retransmissions; 0xff: none */
    uint8_t apt_of[128];   /* and back */
    duet_rtp_extension_map extensions;
    uint32_t *remote_ssrcs;
    size_t remote_ssrc_count;
    uint32_t *remote_rtx_ssrcs;
    size_t remote_rtx_ssrc_count;
} rtp_section;

static inline const duet_codec *duet_rtp_section_codec(const rtp_section *section, uint8_t payload_type)
{
    uint8_t index = payload_type < 128 ? section->codec_of[payload_type] : RTP_NO_CODEC;

    return index == RTP_NO_CODEC ? NULL : &section->codecs[index];
}

rtp_section *duet_rtp_session_section(const duet_rtp_session *session, const char *mid); /* NULL: there is none */
void duet_rtp_section_free(duet_rtp_session *session, rtp_section *section);

/* ---- what arrives: RFC 3550 appendices A.1, A.3 and A.8 ----------------------------------------------------------- */

#define RTP_WINDOW 2048 /* how far behind the newest packet one may be and still be told from a duplicate */

typedef struct rtp_reception {
    bool began;
    int64_t first, highest; /* extended; the first one has a cycle of 1 */
    uint16_t bad_sequence;  /* what would confirm a restart */
    bool has_bad_sequence;
    uint64_t received; /* since `first` */
    int64_t expected_before, received_before;
    uint64_t seen[RTP_WINDOW / 64];
    bool has_transit;
    uint32_t last_timestamp;
    duet_time last_arrival;
    uint32_t jitter; /* sixteenths of a timestamp unit */
} rtp_reception;

typedef enum rtp_arrived {
    RTP_NEW,       /* newer than all */
    RTP_LATE,      /* older than the newest */
    RTP_DUPLICATE, /* or too old to tell */
    RTP_WILD,      /* a jump that a second packet must confirm */
} rtp_arrived;

/* A packet of the stream itself. `extended` is set unless it was RTP_WILD. */
rtp_arrived duet_rtp_reception_add(rtp_reception *r, uint16_t sequence_number, int64_t *extended);
/* A packet that came back as a retransmission on another SSRC: reports do not count it. RTP_WILD: it belongs nowhere. */
rtp_arrived duet_rtp_reception_repair(rtp_reception *r, uint16_t sequence_number, int64_t *extended);
void duet_rtp_reception_jitter(rtp_reception *r, uint32_t timestamp, duet_time arrival, uint32_t clock_rate);
int64_t duet_rtp_reception_lost(const rtp_reception *r);
/* The numbers of a report block; begins the next interval. */
void duet_rtp_reception_report(rtp_reception *r, duet_rtcp_report_block *block);

/* ---- asking for lost packets --------------------------------------------------------------------------------------- */

#define RTP_NACK_MAX 1000

typedef struct nack_entry {
    int64_t sequence;
    duet_time since; /* when the gap was seen */
    duet_time asked; /* last; counts when tries > 0 */
    uint8_t tries;
    bool is_probe; /* nobody knows that it was sent: asked for once */
} nack_entry;

typedef struct nack_list {
    const duet_env *env;
    nack_entry *entries; /* oldest first */
    size_t count, capacity;
    duet_time tolerance; /* how long packets of this path may be late without being lost */
    duet_time answer;    /* how long first requests took to be answered, smoothed; 0: not known */
} nack_list;

void duet_nack_init(nack_list *list, const duet_env *env);
void duet_nack_free(nack_list *list);
/* `from` up to but not including `to` are missing. @return how many will not be asked for */
size_t duet_nack_missing(nack_list *list, int64_t from, int64_t to, duet_time now);
/* The packet behind the newest one is asked for on suspicion. */
void duet_nack_probe(nack_list *list, int64_t sequence, duet_time now);
/* A later packet has come: it is missing indeed. */
void duet_nack_confirm(nack_list *list, int64_t sequence);
/* It came as if nobody had asked. */
void duet_nack_forget(nack_list *list, int64_t sequence);
typedef enum nack_found { NACK_UNKNOWN, NACK_LATE, NACK_LATE_THOUGH_ASKED, NACK_RECOVERED } nack_found;
/* It came: late, or because it was asked for, which can only be if it may be a repair. */
nack_found duet_nack_arrived(nack_list *list, int64_t sequence, bool is_repair, duet_time now);
size_t duet_nack_skip_to(nack_list *list, int64_t sequence); /* @return how many are no longer waited for */
/* Those to be asked for now. @return how many were put into `out` */
size_t duet_nack_collect(nack_list *list, duet_time now, duet_time rtt, uint16_t *out, size_t max, size_t *given_up);
duet_time duet_nack_deadline(const nack_list *list, duet_time rtt);

/* ---- streams of the peer ------------------------------------------------------------------------------------------- */

struct duet_receive_stream {
    duet_rtp_session *session;
    rtp_section *section;
    duet_receive_stream *newer, *older; /* by the last packet */
    duet_receive_stream *next_feedback; /* among those with something to say */
    bool has_feedback;
    bool is_known; /* announced, or named by a MID: not among the pending ones */
    void *user;
    uint32_t ssrc, rtx_ssrc;
    bool has_rtx_ssrc;
    char rid[DUET_RTP_SDES_MAX + 1];
    uint8_t payload_type; /* of the last media packet */
    uint32_t clock_rate;
    rtp_reception reception;
    duet_time last_packet;
    bool received_since_report, report_due;

    nack_list nacks;
    bool nack_due;
    uint8_t asked_and_late; /* originals that came after they had been asked for, up to PLAIN_REPAIRS_PROVE */
    rtp_timer nack_timer;

    /* key frame requests */
    bool wants_keyframe, keyframe_due;
    bool keyframe_rests; /* nothing comes: asked for with the next packet */
    uint8_t keyframe_tries, fir_sequence;
    bool has_asked;
    duet_time asked_keyframe;
    rtp_timer keyframe_timer;
    rtp_timer tail_timer; /* a frame whose end does not come */
    duet_time spacing;    /* between packets of a frame, of late */
    int64_t probed;       /* asked for on suspicion; 0: none */

    /* the last sender report */
    bool has_report;
    uint64_t report_ntp;
    uint32_t report_timestamp;
    duet_time report_arrived;

    duet_receive_stream_stats stats;
};

int duet_receive_stream_create(duet_receive_stream **out, duet_rtp_session *session, rtp_section *section,
                               uint32_t ssrc, bool is_known);
void duet_receive_stream_destroy(duet_receive_stream *stream);
void duet_receive_stream_end(duet_receive_stream *stream); /* with on_stream_end */
/* A packet of it; `is_retransmission` when it was unpacked from its repair stream. */
int duet_receive_stream_packet(duet_receive_stream *stream, const duet_rtp_packet *packet,
                               const duet_rtp_extensions *extensions, size_t wire_len, bool is_retransmission,
                               duet_time now);
void duet_receive_stream_touch(duet_receive_stream *stream, duet_time now);
int duet_receive_stream_set_rtx(duet_receive_stream *stream, uint32_t rtx_ssrc);
void duet_receive_stream_report(duet_receive_stream *stream, duet_rtcp_report_block *block, duet_time now);
/* Puts it among the streams whose feedback goes into the next RTCP packet. */
void duet_receive_stream_has_feedback(duet_receive_stream *stream);
void duet_keyframe_timer(void *owner, duet_time now);
void duet_keyframe_packet_came(duet_receive_stream *stream, duet_time now);
int duet_keyframe_write(duet_receive_stream *stream, duet_rtcp_writer *w, duet_time now);

/* ---- our streams ------------------------------------------------------------------------------------------------- */

struct duet_send_stream {
    duet_rtp_session *session;
    duet_send_stream *next;
    rtp_section *section;
    void *user;
    uint32_t ssrc, rtx_ssrc;
    char rid[DUET_RTP_SDES_MAX + 1];
    uint16_t sequence_number, rtx_sequence_number; /* next ones */
    bool has_numbers;                              /* one was given to a packet */
    uint32_t timestamp_base;
    uint8_t payload_type; /* of the last packet */
    size_t queued, queue_limit;

    rtp_slot **history;      /* by sequence number; NULL: nothing is kept */
    size_t history_size;     /* a power of two */
    uint16_t history_oldest; /* nothing older is kept */

    bool mid_seen, rtx_mid_seen; /* the peer knows which section it belongs to */
    bool has_sent, sent_since_report, sent_before, report_due, rtx_has_sent;
    uint16_t first_sequence;

    bool has_capture;
    uint32_t capture_timestamp;
    duet_time captured;

    uint32_t packet_count, octet_count; /* for sender reports */

    bool has_keyframe_request, keyframe_pending, has_fir;
    duet_time keyframe_requested;
    uint8_t fir_sequence;
    rtp_timer keyframe_timer;

    duet_send_stream_stats stats;
};

uint32_t duet_send_stream_timestamp_at(const duet_send_stream *stream, duet_time now);
void duet_send_stream_departs(duet_send_stream *stream, const rtp_slot *slot);
void duet_send_stream_extensions(const duet_send_stream *stream, const duet_rtp_extensions *more, bool is_rtx,
                                 duet_rtp_extensions *out);
void duet_send_stream_on_keyframe_request(duet_send_stream *stream, duet_time now);
void duet_send_stream_on_report(duet_send_stream *stream, const duet_rtcp_report_block *block);

void duet_send_history_free(duet_send_stream *stream);
void duet_send_history_keep(duet_send_stream *stream, rtp_slot *slot, duet_time now);
void duet_send_history_nack(duet_send_stream *stream, const duet_rtcp_nack *nack, duet_time now);
/* The next retransmission, as a packet of its own in a lent slot. @return NULL when there is none (or no memory) */
rtp_slot *duet_send_history_next(duet_rtp_session *session);

/* ---- transport-wide feedback --------------------------------------------------------------------------------------- */

#define RTP_FEEDBACK_WINDOW 2048

/* What arrived and is to be reported. */
typedef struct feedback_out {
    int64_t *times; /* of RTP_FEEDBACK_WINDOW packets by sequence number, units of 250 µs; −1: not received */
    int64_t begin;  /* the next one to report */
    int64_t end;    /* behind the newest */
    bool began, due;
    uint8_t count;
    uint32_t media_ssrc;
    unsigned arrived; /* since the last feedback */
    rtp_timer timer;
} feedback_out;

void duet_feedback_out_add(duet_rtp_session *session, uint16_t sequence_number, uint32_t ssrc, duet_time now);
void duet_feedback_out_timer(void *owner, duet_time now);
int duet_feedback_out_write(duet_rtp_session *session, duet_rtcp_writer *w, duet_time now);

#define RTP_CCFB_SSRCS  16 /* beyond that the one that was silent longest is not reported on */
#define RTP_CCFB_WINDOW 512

/* The packets of one SSRC that are to be reported. */
typedef struct ccfb_source {
    uint32_t ssrc;
    int64_t begin, end;
    duet_time last;
    bool has_news;
    duet_time times[RTP_CCFB_WINDOW]; /* of arrival; DUET_NEVER: not received */
} ccfb_source;

typedef struct ccfb_out {
    ccfb_source *sources[RTP_CCFB_SSRCS];
    size_t count;
    bool due;
    rtp_timer timer;
} ccfb_out;

void duet_ccfb_out_add(duet_rtp_session *session, uint32_t ssrc, uint16_t sequence_number, duet_time now);
void duet_ccfb_out_timer(void *owner, duet_time now);
int duet_ccfb_out_write(duet_rtp_session *session, duet_rtcp_writer *w, duet_time now);
void duet_ccfb_out_free(duet_rtp_session *session);

#define RTP_SENT_WINDOW 4096
#define RTP_RESULTS_MAX 1024

typedef struct sent_packet {
    duet_time sent;
    uint32_t ssrc;
    uint16_t rtp_sequence_number;
    uint16_t sequence_number; /* transport-wide */
    uint16_t len;
    bool is_waiting; /* it has departed, and no feedback said that it was received */
} sent_packet;

/* What was sent and is to be reported on by the peer. */
typedef struct feedback_in {
    sent_packet *sent;
    duet_packet_result *results;
    void (*fn)(void *user, const duet_packet_result *results, size_t count, duet_time now);
    void *user;
    bool has_reference, has_report;
    int64_t reference; /* of transport-wide feedback, without wraps */
    int64_t report;    /* timestamp of RFC 8888, without wraps */
} feedback_in;

/* A packet leaves with this number; duet_rtp_session_departed tells when. */
void duet_feedback_in_numbered(duet_rtp_session *session, uint16_t number, uint32_t ssrc, uint16_t sequence_number);
void duet_feedback_in_ccfb(duet_rtp_session *session, const duet_rtcp_ccfb *ccfb, duet_time now);
void duet_feedback_in_read(duet_rtp_session *session, const duet_rtcp_transport_cc *feedback, duet_time now);

/* ---- session ------------------------------------------------------------------------------------------------------- */

#define RTP_CNAME_MAX 64
#define RTP_BYES_MAX  DUET_RTCP_COUNT_MAX
#define RTP_RRTR_MAX  8

/* A receiver reference time that wants its answer. */
typedef struct rtp_rrtr {
    uint32_t ssrc;
    uint32_t ntp; /* middle 32 bits */
    duet_time arrived;
} rtp_rrtr;

struct duet_rtp_session {
    duet_env env;
    duet_rtp_session_config config; /* env and cname are those above and below */
    char cname[RTP_CNAME_MAX + 1];
    uint32_t own_ssrc; /* while there is no send stream */
    uint64_t random;   /* seeded, for intervals */
    unsigned depth;    /* of calls that end with output being pulled */
    bool is_awake;
    duet_timers timers;
    rtp_slots slots;

    rtp_section *sections[DUET_RTP_SECTIONS_MAX];
    size_t section_count;
    bool wants_transport_cc, wants_ccfb; /* any of them */
    duet_rtp_extension_map extensions;   /* of all sections: in a BUNDLE group ids do not contradict each other */

    duet_map receivers; /* SSRC to receive stream */
    duet_map repairs;   /* SSRC of retransmissions to receive stream */
    duet_receive_stream *newest, *oldest;
    duet_receive_stream *feedback_first, *feedback_last;

    duet_map senders; /* SSRC, also of retransmissions, to send stream */
    duet_send_stream *send_streams;
    rtp_slot *media_first, *media_last;
    rtp_slot *resend_first, *resend_last;
    uint16_t transport_sequence_number;

    /* RTCP */
    rtp_timer report_timer;
    bool reports_began, report_due;
    bool reports_idle; /* nothing flows: the timer is set for the long interval */
    double average_rtcp_len;
    uint32_t byes[RTP_BYES_MAX];
    size_t bye_count;
    rtp_rrtr rrtrs[RTP_RRTR_MAX];
    size_t rrtr_count;
    uint64_t remb, remb_sent;
    bool remb_due;
    duet_time rtt;

    feedback_out feedback_out;
    ccfb_out ccfb_out;
    feedback_in feedback_in;
    duet_rtp_session_stats stats;
};

void duet_rtp_timer_init(rtp_timer *timer, void (*fire)(void *owner, duet_time now), void *owner);
void duet_rtp_timer_set(duet_rtp_session *session, rtp_timer *timer, duet_time deadline);
void duet_rtp_session_service(duet_rtp_session *session, duet_time now); /* fires what is due */
void duet_rtp_session_wake(duet_rtp_session *session);
uint64_t duet_rtp_session_ntp(const duet_rtp_session *session, duet_time now);
uint32_t duet_rtp_session_ssrc(const duet_rtp_session *session); /* whose RTCP is ours */
void duet_rtp_session_measured(duet_rtp_session *session, duet_time rtt);

int duet_rtp_session_rtp(duet_rtp_session *session, const uint8_t *data, size_t len, duet_time now);
int duet_rtp_session_rtcp(duet_rtp_session *session, const uint8_t *data, size_t len, duet_time now);

#define RTCP_SENDERS_MAX 4 /* of an RTCP packet, with as many report blocks as below: all fits 1200 bytes */
#define RTCP_BLOCKS_MAX  16

size_t duet_rtcp_senders(const duet_rtp_session *session);             /* streams of ours that send */
void duet_rtcp_reports_join(duet_rtp_session *session, duet_time now); /* once anything is agreed */
void duet_rtcp_reports_flow(duet_rtp_session *session, duet_time now); /* with each packet either way */
void duet_rtcp_report_timer(void *owner, duet_time now);
bool duet_rtcp_is_due(const duet_rtp_session *session);
/* The next RTCP packet. @return its length, 0 when there is nothing to say after all */
size_t duet_rtcp_compose(duet_rtp_session *session, uint8_t *data, size_t capacity, duet_time now);
void duet_rtcp_count_size(duet_rtp_session *session, size_t len);
void duet_rtcp_bye_later(duet_rtp_session *session, uint32_t ssrc);

/* ---- time -------------------------------------------------------------------------------------------------------- */

static inline uint64_t duet_time_to_ticks(duet_time time, uint32_t rate)
{
    return time / 1000000 * rate + time % 1000000 * rate / 1000000;
}

/* NTP's short form, 16.16, to microseconds. */
static inline duet_time duet_time_of_short_ntp(uint32_t ntp)
{
    return ((uint64_t)ntp * 1000000) >> 16;
}

static inline uint32_t duet_short_ntp_of_time(duet_time time)
{
    return (uint32_t)((time / 1000000 << 16) + ((time % 1000000) << 16) / 1000000);
}

#endif
