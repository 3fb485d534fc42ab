/* A generator of comfort noise, for decoders of codecs that have none of their own. */
#ifndef DUET_MEDIA_CODECS_COMFORT_NOISE_H
#define DUET_MEDIA_CODECS_COMFORT_NOISE_H

#include "duet/payload.h"

/* "A receiver can ... use a lower model order": RFC 3389, 3.2. More is not heard in 4 kHz. */
#define DUET_NOISE_ORDER_MAX 12

/* All zero: silence. */
typedef struct duet_noise {
    uint32_t random;
    size_t order;
    double coefficients[DUET_NOISE_ORDER_MAX];
    double state[DUET_NOISE_ORDER_MAX + 1];
    double gain;          /* of the lattice, undone */
    double level, target; /* root of the mean square */
} duet_noise;

/* How it sounds from the next sample on. */
void duet_noise_set(duet_noise *n, const duet_comfort_noise *told);
void duet_noise_fill(duet_noise *n, int16_t *samples, size_t count);

#endif
