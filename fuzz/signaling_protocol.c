/* Messages of the signaling protocol: what can be read can be written, and reads the same again. A long text that jansson
 * does not see changes nothing. */
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

static void check_long_text(const char *text, size_t len)
{
    json_t *plain = NULL, *object = NULL;
    char *long_text = NULL;
    const char *why[2] = {"", ""};

    int err = duet_json_parse_object(&plain, text, len, &why[0]);
    if (duet_json_parse_long(&object, &long_text, NULL, "sdp", text, len, &why[1]) != err || why[0] != why[1])
        abort();
    if (err == DUET_OK && long_text && json_object_set_new(object, "sdp", json_string(long_text)) != 0)
        abort();
    if (err == DUET_OK && !json_equal(plain, object))
        abort();
    duet_free(NULL, long_text);
    json_decref(object);
    json_decref(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_long_text((const char *)data, size);
    check(DUET_SIGNAL_FROM_CLIENT, (const char *)data, size);
    check(DUET_SIGNAL_FROM_SERVER, (const char *)data, size);
    return 0;
}
