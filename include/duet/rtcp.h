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

#ifdef __cplusplus
}
#endif
#endif
