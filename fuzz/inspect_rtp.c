/* RTP packets and compound RTCP packets through the decoders of duet inspect, and from their models back to bytes. */
#include "inspect_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    inspect_check("rtcp", data, size);
    return inspect_check("rtp", data, size);
}
