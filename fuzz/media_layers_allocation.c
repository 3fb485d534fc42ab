/* Reads arbitrary bytes as a video layers allocation, writes it, and reads it again: it must be the same. */
#include "duet/video_layers.h"
#include "fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_layers_allocation a, again;
    uint8_t written[DUET_LAYERS_ALLOCATION_MAX];
    size_t len;

    if (duet_layers_allocation_parse(&a, data, size) != DUET_OK)
        return 0;
    require(duet_layers_allocation_write(&a, written, sizeof(written), &len) == DUET_OK);
    require(len <= size);
    require(duet_layers_allocation_parse(&again, written, len) == DUET_OK);
    require(memcmp(&a, &again, sizeof(a)) == 0);
    return 0;
}
