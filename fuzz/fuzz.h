/* What fuzz targets share: a claim that must hold, and randomness that a script repeats. */
#ifndef DUET_FUZZ_FUZZ_H
#define DUET_FUZZ_FUZZ_H

#include "base/seeded.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* A duet_random_fn whose user is the uint64_t seed. */
static inline int seeded(void *user, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(duet_seeded_next(user) >> 56);
    return 0;
}

#endif
