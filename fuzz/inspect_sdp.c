/* Descriptions through the decoder of duet inspect, and from its model back to bytes. */
#include "inspect_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return inspect_check("sdp", data, size);
}
