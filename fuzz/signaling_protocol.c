/* Messages of the signaling protocol: what can be read can be written, and reads the same again. */
#include "signaling/protocol.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(duet_signal_side side, const char *text, size_t len)
{
    duet_signal first, second;
    duet_buffer once, twice;

    duet_buffer_init(&once, NULL);
    duet_buffer_init(&twice, NULL);
    if (duet_signal_parse(&first, NULL, side, text, len, NULL) == DUET_OK) {
        if (duet_signal_write(&once, &first) != DUET_OK)
            abort();
        if (once.len <= DUET_SIGNAL_MESSAGE_MAX) {
            if (duet_signal_parse(&second, NULL, side, (char *)once.data, once.len, NULL) != DUET_OK)
                abort();
            if (duet_signal_write(&twice, &second) != DUET_OK || strcmp((char *)once.data, (char *)twice.data) != 0)
                abort();
            duet_signal_free(&second, NULL);
        }
    }
    duet_signal_free(&first, NULL);
    duet_buffer_free(&once);
    duet_buffer_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(DUET_SIGNAL_FROM_CLIENT, (const char *)data, size);
    check(DUET_SIGNAL_FROM_SERVER, (const char *)data, size);
    return 0;
}
