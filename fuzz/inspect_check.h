/* What every decoder of duet inspect promises: it accepts and its model gives the same bytes again, or it says why not. */
#ifndef DUET_FUZZ_INSPECT_CHECK_H
#define DUET_FUZZ_INSPECT_CHECK_H

#include "apps/inspect.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline int inspect_check(const char *name, const uint8_t *data, size_t size)
{
    const inspect_kind *kind = inspect_kind_find(name);
    inspect_error error = {0};
    bool same = false;

    if (!kind)
        return 0; /* a build without media */
    json_t *model = json_object();
    int err = kind->decode(data, size, model, &error);
    if (err != DUET_OK && (err != DUET_ERR_MALFORMED || !error.reason[0] || error.offset > size))
        abort();
    if (err == DUET_OK && kind->encode && (inspect_roundtrip(kind, data, size, model, &same) != DUET_OK || !same))
        abort();
    json_decref(model);
    return 0;
}

#endif
