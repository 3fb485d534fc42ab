/* What a datagram is by its first byte, and the frames of streams. */
#ifndef DUET_APPS_INSPECT_STREAM_H
#define DUET_APPS_INSPECT_STREAM_H

#include "inspect.h"

/* RFC 7983 section 7, and RTP and RTCP by RFC 5761 section 4: "stun", "dtls", "channeldata", "rtp", "rtcp", "zrtp", "unknown", and
 * "empty" when there is nothing. */
const char *inspect_protocol_of(duet_bytes bytes);
/* Which of "turn-stream" and "rfc4571" fits a piece of a TCP stream from its start; NULL when none does. */
const char *inspect_framing_of(duet_bytes bytes);

#endif
