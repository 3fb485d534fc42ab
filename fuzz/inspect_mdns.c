/* DNS messages through the decoders of duet inspect, and from their models back to bytes. */
#include "inspect_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return inspect_check("mdns", data, size);
}
