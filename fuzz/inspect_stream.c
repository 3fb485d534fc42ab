/* ChannelData and the frames of streams through the decoders of duet inspect, and from their models back to bytes. */
#include "inspect_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    inspect_check("channeldata", data, size);
    inspect_check("turn-stream", data, size);
    return inspect_check("rfc4571", data, size);
}
