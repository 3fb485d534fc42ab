/* Codec preferences by name. */
#ifndef DUET_TESTS_PREFER_H
#define DUET_TESTS_PREFER_H

#include "duet/transceiver.h"
#include "test.h"

/* All codecs of these names, in this order. @param names  ends with NULL */
static inline void prefer(duet_transceiver *t, const char *const *names)
{
    duet_codec table[32];
    const duet_codec *wanted[32];
    size_t count = duet_pc_codec_capabilities(duet_transceiver_kind(t), table, 32), n = 0;

    for (; *names; names++) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(table[i].name, *names) == 0)
                wanted[n++] = &table[i];
        }
    }
    assert_int_equal(duet_transceiver_set_codec_preferences(t, wanted, n), DUET_OK);
}

#endif
