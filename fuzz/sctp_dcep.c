/* DCEP messages: whatever parses is written back to the same bytes. */
#include "duet/dcep.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_dcep_open open;

    if (duet_dcep_message_type(data, size) == DUET_DCEP_ACK && size == 1 && duet_dcep_parse_ack(data, size) != DUET_OK)
        abort();
    if (duet_dcep_parse_open(&open, data, size) != DUET_OK)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    if (duet_dcep_open_size(&open) != size || duet_dcep_write_open(&open, copy, size) != DUET_OK ||
        memcmp(copy, data, size) != 0)
        abort();
    free(copy);
    return 0;
}
