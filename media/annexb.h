/* NAL units in a byte stream, as encoders give and files hold them. */
#ifndef DUET_MEDIA_ANNEXB_H
#define DUET_MEDIA_ANNEXB_H

#include "base/bytes.h"

/* Whether the stream begins with a start code, perhaps after zeros. */
bool duet_annexb_is(duet_reader stream);
/* The next NAL unit that is not empty, without zeros behind it; false at the end. */
bool duet_annexb_next(duet_reader *stream, duet_bytes *unit);

#endif
