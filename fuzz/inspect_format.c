/* Hexadecimal digits and base64: what is detected can be decoded, and gets no longer. */
#include "apps/inspect.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(inspect_format format, const uint8_t *data, size_t size, bool must)
{
    uint8_t *copy = malloc(size + 1);
    size_t len = size;
    inspect_error error = {0};

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    int err = inspect_format_decode(format, copy, &len, &error);
    if ((err != DUET_OK && (must || !error.reason[0] || error.offset > size)) || len > size)
        abort();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    inspect_format format = inspect_format_detect(data, size);

    decode(format, data, size, true);
    decode(INSPECT_HEX, data, size, false);
    decode(INSPECT_BASE64, data, size, false);
    return 0;
}
