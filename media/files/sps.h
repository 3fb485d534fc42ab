/* Sequence parameter sets of H.264 and H.265, as far as a file's reader needs them. */
#ifndef DUET_MEDIA_FILES_SPS_H
#define DUET_MEDIA_FILES_SPS_H

#include "base/bytes.h"

typedef struct duet_sps {
    uint16_t width, height;      /* of what is shown */
    uint32_t rate_num, rate_den; /* pictures in a second; 0/0: not told, or not read (H.265) */
} duet_sps;

/* @param unit  a NAL unit with its header, with emulation prevention
 * @return DUET_OK; DUET_ERR_NOT_MINE: another NAL unit; DUET_ERR_MALFORMED */
int duet_sps_parse(duet_sps *out, bool is_h265, duet_reader unit);

#endif
