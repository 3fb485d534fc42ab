/* RTCP (RFC 3550 section 6) and its feedback (RFC 4585, RFC 5104, RFC 8888, transport-wide congestion control, REMB) and
 * extended reports (RFC 3611): readers and writers, no state. Compound and reduced-size packets (RFC 5506) alike. */
#ifndef DUET_RTCP_H
#define DUET_RTCP_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum duet_rtcp_type {
    DUET_RTCP_SR = 200,
    DUET_RTCP_RR = 201,
    DUET_RTCP_SDES = 202,
    DUET_RTCP_BYE = 203,
    DUET_RTCP_APP = 204,
    DUET_RTCP_RTPFB = 205, /**< transport layer feedback */
    DUET_RTCP_PSFB = 206,  /**< payload-specific feedback */
    DUET_RTCP_XR = 207,
} duet_rtcp_type;

/** FMT of RTPFB and PSFB. */
#define DUET_RTCP_FMT_NACK         1  /* RTPFB, RFC 4585 section 6.2.1 */
#define DUET_RTCP_FMT_CCFB         11 /* RTPFB, RFC 8888 */
#define DUET_RTCP_FMT_TRANSPORT_CC 15 /* RTPFB, draft-holmer-rmcat-transport-wide-cc-extensions-01 */
#define DUET_RTCP_FMT_PLI          1  /* PSFB, RFC 4585 section 6.3.1 */
#define DUET_RTCP_FMT_FIR          4  /* PSFB, RFC 5104 section 4.3.1 */
#define DUET_RTCP_FMT_AFB          15 /* PSFB, application layer feedback: REMB */

/** One packet of a compound: a view that borrows. */
typedef struct duet_rtcp_packet {
    uint8_t type;
    uint8_t count;       /**< report count, source count, subtype or FMT */
    const uint8_t *body; /**< behind the first four bytes, without padding */
    size_t body_len;
} duet_rtcp_packet;

/** One packet after the other. Start with *cursor = 0. @return 1, 0 at the end, DUET_ERR_MALFORMED (version, length past
 *  the end, padding of 0, above the length, or not in the last packet) */
DUET_API int duet_rtcp_next(const uint8_t *data, size_t len, size_t *cursor, duet_rtcp_packet *out);

/* What follows comes in pairs: duet_rtcp_read_X takes one packet apart, duet_rtcp_write_X appends one to a compound.
 * Readers return DUET_OK, DUET_ERR_NOT_MINE (another type or FMT) or DUET_ERR_MALFORMED; what they give borrows from the
 * packet. Writers return DUET_OK, DUET_ERR_BUFFER (nothing was written) or DUET_ERR_INVALID (a count or value that the format
 * cannot carry). */

/** A compound packet that grows in the caller's buffer. */
typedef struct duet_rtcp_writer {
    uint8_t *data;
    size_t capacity;
    size_t len;
} duet_rtcp_writer;

DUET_API duet_rtcp_writer duet_rtcp_writer_init(uint8_t *data, size_t capacity);

/* ---- reports: RFC 3550 section 6.4 ------------------------------------------------------------------------------- */

/** The five bits of the count. */
#define DUET_RTCP_COUNT_MAX 31

/** What a receiver says about one SSRC, RFC 3550 section 6.4.1. */
typedef struct duet_rtcp_report_block {
    uint32_t ssrc;
    uint8_t fraction_lost;        /**< of 256, since the last report */
    int32_t cumulative_lost;      /**< 24 bits, signed */
    uint32_t highest_sequence;    /**< the upper 16 bits count the cycles */
    uint32_t jitter;              /**< in timestamp units */
    uint32_t last_sr;             /**< middle 32 bits of the NTP time of the last sender report; 0: none came */
    uint32_t delay_since_last_sr; /**< in 1/65536 s */
} duet_rtcp_report_block;

/** A sender report, or a receiver report. */
typedef struct duet_rtcp_report {
    uint32_t ssrc;
    bool is_sender; /**< SR: the next four count */
    uint64_t ntp;   /**< 32.32 fixed point, since 1900 */
    uint32_t rtp_timestamp;
    uint32_t packet_count;
    uint32_t octet_count;
    uint8_t block_count;
    duet_rtcp_report_block blocks[DUET_RTCP_COUNT_MAX];
} duet_rtcp_report;

DUET_API int duet_rtcp_read_report(duet_rtcp_report *out, const duet_rtcp_packet *packet);
DUET_API int duet_rtcp_write_report(duet_rtcp_writer *w, const duet_rtcp_report *report);

/* ---- SDES, BYE, APP: RFC 3550 sections 6.5 to 6.7 ----------------------------------------------------------------- */

#define DUET_RTCP_SDES_CNAME              1
#define DUET_RTCP_SDES_RTP_STREAM_ID      12 /* RFC 8852 */
#define DUET_RTCP_SDES_REPAIRED_STREAM_ID 13 /* RFC 8852 */
#define DUET_RTCP_SDES_MID                15 /* RFC 9143 */

/** One item of one chunk. */
typedef struct duet_rtcp_sdes_item {
    uint32_t ssrc;
    uint8_t type;
    const char *text; /**< UTF-8, not terminated */
    uint8_t len;
} duet_rtcp_sdes_item;

/** Where duet_rtcp_next_sdes stands; zero it to begin. */
typedef struct duet_rtcp_sdes_cursor {
    size_t offset;
    uint32_t ssrc;
    uint8_t chunks; /**< begun so far */
    bool in_chunk;
} duet_rtcp_sdes_cursor;

/** One item after the other. @return 1, 0 at the end, DUET_ERR_NOT_MINE or DUET_ERR_MALFORMED */
DUET_API int duet_rtcp_next_sdes(const duet_rtcp_packet *packet, duet_rtcp_sdes_cursor *cursor,
                                 duet_rtcp_sdes_item *out);
/** @param items  those of one SSRC one after the other, they share a chunk; at most 31 chunks */
DUET_API int duet_rtcp_write_sdes(duet_rtcp_writer *w, const duet_rtcp_sdes_item *items, size_t count);

typedef struct duet_rtcp_bye {
    uint8_t ssrc_count;
    uint32_t ssrcs[DUET_RTCP_COUNT_MAX];
    const char *reason; /**< UTF-8, not terminated; NULL when there is none */
    uint8_t reason_len;
} duet_rtcp_bye;

DUET_API int duet_rtcp_read_bye(duet_rtcp_bye *out, const duet_rtcp_packet *packet);
DUET_API int duet_rtcp_write_bye(duet_rtcp_writer *w, const duet_rtcp_bye *bye);

typedef struct duet_rtcp_app {
    uint8_t subtype; /**< 5 bits */
    uint32_t ssrc;
    char name[4]; /**< ASCII, not terminated */
    const uint8_t *data;
    size_t len; /**< a multiple of 4 */
} duet_rtcp_app;

DUET_API int duet_rtcp_read_app(duet_rtcp_app *out, const duet_rtcp_packet *packet);
DUET_API int duet_rtcp_write_app(duet_rtcp_writer *w, const duet_rtcp_app *app);

/* ---- feedback: RFC 4585 section 6, RFC 5104 ------------------------------------------------------------------------ */

/** Generic NACK, RFC 4585 section 6.2.1. */
typedef struct duet_rtcp_nack {
    uint32_t sender_ssrc, media_ssrc;
    const uint8_t *pairs; /**< of packet id and bitmask: duet_rtcp_nack_pair reads them */
    size_t pair_count;
} duet_rtcp_nack;

DUET_API int duet_rtcp_read_nack(duet_rtcp_nack *out, const duet_rtcp_packet *packet);
/** Lost are `pid`, and `pid` + i + 1 for each bit i of `blp`. `index` is below pair_count. */
DUET_API void duet_rtcp_nack_pair(const duet_rtcp_nack *nack, size_t index, uint16_t *pid, uint16_t *blp);
/** @param sequence_numbers  oldest first, on the circle
 *  @param taken             how many of them fitted; may be NULL, then all must fit */
DUET_API int duet_rtcp_write_nack(duet_rtcp_writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                                  const uint16_t *sequence_numbers, size_t count, size_t *taken);

/** Picture loss indication, RFC 4585 section 6.3.1. */
DUET_API int duet_rtcp_read_pli(const duet_rtcp_packet *packet, uint32_t *sender_ssrc, uint32_t *media_ssrc);
DUET_API int duet_rtcp_write_pli(duet_rtcp_writer *w, uint32_t sender_ssrc, uint32_t media_ssrc);

/** Full intra request, RFC 5104 section 4.3.1. */
typedef struct duet_rtcp_fir {
    uint32_t sender_ssrc;
    const uint8_t *entries; /**< duet_rtcp_fir_entry reads them */
    size_t entry_count;
} duet_rtcp_fir;

DUET_API int duet_rtcp_read_fir(duet_rtcp_fir *out, const duet_rtcp_packet *packet);
/** @param sequence_number  a repetition of a request has the same one. `index` is below entry_count */
DUET_API void duet_rtcp_fir_entry(const duet_rtcp_fir *fir, size_t index, uint32_t *ssrc, uint8_t *sequence_number);
DUET_API int duet_rtcp_write_fir(duet_rtcp_writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                                 uint8_t sequence_number);

/** Receiver estimated maximum bit rate, draft-alvestrand-rmcat-remb. */
typedef struct duet_rtcp_remb {
    uint32_t sender_ssrc;
    uint64_t bits_per_second; /**< written with 18 significant bits, rounded down */
    uint8_t ssrc_count;
    uint32_t ssrcs[255];
} duet_rtcp_remb;

/** @return DUET_ERR_NOT_MINE also for other application layer feedback */
DUET_API int duet_rtcp_read_remb(duet_rtcp_remb *out, const duet_rtcp_packet *packet);
DUET_API int duet_rtcp_write_remb(duet_rtcp_writer *w, const duet_rtcp_remb *remb);

/* ---- transport-wide congestion control: draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1 ------------ */

/** Times of arrival are in units of 250 µs since an arbitrary start of the receiver. */
#define DUET_RTCP_TRANSPORT_CC_UNIT 250u
/** Reference times are in units of 64 ms, that is 256 of those. */
#define DUET_RTCP_TRANSPORT_CC_REFERENCE 256

/** One feedback packet: every chunk and delta of it has been checked against its bounds. */
typedef struct duet_rtcp_transport_cc {
    uint32_t sender_ssrc, media_ssrc;
    uint16_t base_sequence; /**< transport-wide sequence number of the first status */
    uint16_t status_count;
    int32_t reference_time; /**< 24 bits, signed */
    uint8_t feedback_count; /**< of feedback packets, modulo 256 */
    const uint8_t *chunks;
    size_t chunk_count;
    const uint8_t *deltas;
    size_t deltas_len;
} duet_rtcp_transport_cc;

/** The fate of one packet. */
typedef struct duet_rtcp_packet_status {
    uint16_t sequence_number;
    bool received;
    int64_t time; /**< units of 250 µs, when received */
} duet_rtcp_packet_status;

/** Where duet_rtcp_next_status stands; zero it to begin. */
typedef struct duet_rtcp_status_cursor {
    uint32_t index; /**< of the status */
    size_t chunk;
    uint16_t in_chunk;
    size_t delta; /**< offset into the deltas */
    int64_t elapsed;
} duet_rtcp_status_cursor;

DUET_API int duet_rtcp_read_transport_cc(duet_rtcp_transport_cc *out, const duet_rtcp_packet *packet);
/** One status after the other, status_count of them. @return 1 or 0 */
DUET_API int duet_rtcp_next_status(const duet_rtcp_transport_cc *feedback, duet_rtcp_status_cursor *cursor,
                                   duet_rtcp_packet_status *out);
/** Writes statuses of consecutive sequence numbers, from the first one. Of `feedback` sender_ssrc, media_ssrc and
 *  feedback_count count; the reference time comes from the first received one.
 *  @param taken  how many went into this packet: fewer when the buffer is full or a delta takes more than 16 bits (then
 *                the next packet begins with the rest); at least 1
 *  @return DUET_ERR_INVALID also when none is received, or more than 65535 are given */
DUET_API int duet_rtcp_write_transport_cc(duet_rtcp_writer *w, const duet_rtcp_transport_cc *feedback,
                                          const duet_rtcp_packet_status *statuses, size_t count, size_t *taken);

/* ---- congestion control feedback: RFC 8888 ------------------------------------------------------------------------- */

/** "MUST NOT" report on more: RFC 8888 section 3.1. */
#define DUET_RTCP_CCFB_REPORTS_MAX 16384
/** Arrival time offsets, in 1/1024 s: at least so long ago, and not known. */
#define DUET_RTCP_CCFB_OFFSET_OVER    0x1ffe
#define DUET_RTCP_CCFB_OFFSET_UNKNOWN 0x1fff

typedef struct duet_rtcp_ccfb {
    uint32_t sender_ssrc;
    uint32_t report_timestamp; /**< middle 32 bits of an NTP time: when the report was made */
    const uint8_t *blocks;
    size_t blocks_len;
} duet_rtcp_ccfb;

/** The packets of one SSRC. */
typedef struct duet_rtcp_ccfb_block {
    uint32_t ssrc;
    uint16_t begin_sequence;
    uint16_t report_count;
    const uint8_t *reports; /**< duet_rtcp_ccfb_report_at reads them */
} duet_rtcp_ccfb_block;

typedef struct duet_rtcp_ccfb_report {
    bool received;
    uint8_t ecn;             /**< 2 bits */
    uint16_t arrival_offset; /**< before report_timestamp, in 1/1024 s; 13 bits */
} duet_rtcp_ccfb_report;

DUET_API int duet_rtcp_read_ccfb(duet_rtcp_ccfb *out, const duet_rtcp_packet *packet);
/** Start with *cursor = 0. @return 1 or 0 */
DUET_API int duet_rtcp_next_ccfb_block(const duet_rtcp_ccfb *ccfb, size_t *cursor, duet_rtcp_ccfb_block *out);
DUET_API duet_rtcp_ccfb_report duet_rtcp_ccfb_report_at(const duet_rtcp_ccfb_block *block, uint16_t index);
/** What goes into one block. */
typedef struct duet_rtcp_ccfb_source {
    uint32_t ssrc;
    uint16_t begin_sequence;
    uint16_t report_count;
    const duet_rtcp_ccfb_report *reports;
} duet_rtcp_ccfb_source;
DUET_API int duet_rtcp_write_ccfb(duet_rtcp_writer *w, uint32_t sender_ssrc, const duet_rtcp_ccfb_source *sources,
                                  size_t count, uint32_t report_timestamp);

/* ---- extended reports: RFC 3611 ------------------------------------------------------------------------------------ */

#define DUET_RTCP_XR_RRTR 4 /* receiver reference time, section 4.4 */
#define DUET_RTCP_XR_DLRR 5 /* delay since the last receiver report, section 4.5 */

/** One report block. */
typedef struct duet_rtcp_xr_block {
    uint32_t sender_ssrc; /**< of the packet */
    uint8_t type;
    uint8_t type_specific;
    const uint8_t *data;
    size_t len; /**< a multiple of 4 */
} duet_rtcp_xr_block;

typedef struct duet_rtcp_dlrr {
    uint32_t ssrc;    /**< whose receiver reference time it answers */
    uint32_t last_rr; /**< middle 32 bits of its NTP time; 0: none came */
    uint32_t delay;   /**< since then, in 1/65536 s */
} duet_rtcp_dlrr;

/** Start with *cursor = 0. @return 1, 0 at the end, DUET_ERR_NOT_MINE or DUET_ERR_MALFORMED */
DUET_API int duet_rtcp_next_xr_block(const duet_rtcp_packet *packet, size_t *cursor, duet_rtcp_xr_block *out);
DUET_API int duet_rtcp_read_rrtr(const duet_rtcp_xr_block *block, uint64_t *ntp);
/** Start with *cursor = 0. @return 1, 0 at the end, DUET_ERR_NOT_MINE or DUET_ERR_MALFORMED */
DUET_API int duet_rtcp_next_dlrr(const duet_rtcp_xr_block *block, size_t *cursor, duet_rtcp_dlrr *out);
/** One XR packet with one block. */
DUET_API int duet_rtcp_write_rrtr(duet_rtcp_writer *w, uint32_t sender_ssrc, uint64_t ntp);
DUET_API int duet_rtcp_write_dlrr(duet_rtcp_writer *w, uint32_t sender_ssrc, const duet_rtcp_dlrr *items, size_t count);

#ifdef __cplusplus
}
#endif
#endif
