/* Media files through the decoder of duet inspect. */
#include "inspect_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return inspect_check("file", data, size);
}
