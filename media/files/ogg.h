/* Ogg pages, RFC 3533 section 6. Numbers are little-endian. */
#ifndef DUET_MEDIA_FILES_OGG_H
#define DUET_MEDIA_FILES_OGG_H

#include "base/bytes.h"

/* | "OggS" | version | flags | granule position (8) | serial (4) | sequence (4) | CRC (4) | count | segment table | data | */
#define DUET_OGG_HEADER_LEN   27
#define DUET_OGG_SEGMENTS_MAX 255
#define DUET_OGG_SEGMENT_LEN  255 /* a shorter segment ends its packet */
#define DUET_OGG_CRC_AT       22

enum {
    DUET_OGG_CONTINUED = 1, /* the first packet began in the page before */
    DUET_OGG_FIRST = 2,
    DUET_OGG_LAST = 4,
};

#define DUET_OGG_NO_GRANULE UINT64_MAX /* no packet ends in the page */

/* The generator polynomial is 0x04c11db7, bits as they come, nothing inverted; start with 0. */
uint32_t duet_ogg_crc(uint32_t crc, const uint8_t *data, size_t len);

#endif
