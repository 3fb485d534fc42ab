/* The identification header of Opus, RFC 7845 section 5.1: the first packet in Ogg, the CodecPrivate of WebM. */
#ifndef DUET_MEDIA_FILES_OPUS_HEAD_H
#define DUET_MEDIA_FILES_OPUS_HEAD_H

#include "base/bytes.h"
#include "duet/media_file.h"

#define DUET_OPUS_HEAD_LEN 19 /* with channel mapping family 0 */
#define DUET_OPUS_RATE     48000

/* Fills channels, pre-skip and sample rate (48000: Opus is decoded at that). @return DUET_OK, DUET_ERR_MALFORMED,
 * DUET_ERR_UNSUPPORTED: a later version */
int duet_opus_head_parse(duet_file_track *track, duet_reader packet);
void duet_opus_head_write(duet_writer *w, const duet_file_track *track);

#endif
