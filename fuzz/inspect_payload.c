/* Payloads of every codec through the decoders of duet inspect, and from their models back to bytes. */
#include "inspect_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"payload/opus", "payload/PCMU", "payload/VP8", "payload/VP9",
                                        "payload/H264", "payload/H265", "payload/AV1"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        inspect_check(kinds[i], data, size);
    return 0;
}
