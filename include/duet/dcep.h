/* The Data Channel Establishment Protocol, RFC 8832: its two messages as bytes and as values. */
#ifndef DUET_DCEP_H
#define DUET_DCEP_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Message types, RFC 8832 section 8.2.1. */
typedef enum duet_dcep_type {
    DUET_DCEP_ACK = 2,
    DUET_DCEP_OPEN = 3,
} duet_dcep_type;

/** Channel types, RFC 8832 section 5.1. The high bit means unordered. */
typedef enum duet_dcep_channel_type {
    DUET_DCEP_RELIABLE = 0x00,
    DUET_DCEP_PARTIAL_REXMIT = 0x01, /**< reliability: most retransmissions */
    DUET_DCEP_PARTIAL_TIMED = 0x02,  /**< reliability: life time in milliseconds */
    DUET_DCEP_UNORDERED = 0x80,
} duet_dcep_channel_type;

/** DATA_CHANNEL_OPEN. Label and protocol are UTF-8 without a NUL; when parsed they point into the message. */
typedef struct duet_dcep_open {
    uint8_t channel_type; /**< duet_dcep_channel_type, with DUET_DCEP_UNORDERED or without */
    uint16_t priority;
    uint32_t reliability; /**< ignored when reliable */
    const char *label;
    uint16_t label_len;
    const char *protocol;
    uint16_t protocol_len;
} duet_dcep_open;

/** Length of the fixed part of DATA_CHANNEL_OPEN. */
#define DUET_DCEP_OPEN_HEADER 12

/** The type of a message: duet_dcep_type, or DUET_ERR_MALFORMED when it is empty or of no known type. */
DUET_API int duet_dcep_message_type(const uint8_t *data, size_t len);
/** @return DUET_OK; DUET_ERR_MALFORMED (too short, bytes left over, not an OPEN); DUET_ERR_UNSUPPORTED (unknown
 *          channel type) */
DUET_API int duet_dcep_parse_open(duet_dcep_open *open, const uint8_t *data, size_t len);
/** Bytes that duet_dcep_write_open needs. */
DUET_API size_t duet_dcep_open_size(const duet_dcep_open *open);
/** @return DUET_OK or DUET_ERR_BUFFER */
DUET_API int duet_dcep_write_open(const duet_dcep_open *open, uint8_t *buf, size_t size);
/** A DATA_CHANNEL_ACK is one byte. @return DUET_OK or DUET_ERR_MALFORMED */
DUET_API int duet_dcep_parse_ack(const uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
