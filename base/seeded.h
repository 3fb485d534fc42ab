/* Seeded randomness that is the same everywhere, for simulations, impairment and tests; and its mixer, for hash tables.
 * Never for anything that must not be guessed: that is duet_random. The algorithm is splitmix64. */
#ifndef DUET_BASE_SEEDED_H
#define DUET_BASE_SEEDED_H

#include <stdint.h>

/* Spreads every bit of z over all of the result. */
static inline uint64_t duet_mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t duet_seeded_next(uint64_t *state)
{
    return duet_mix64(*state += 0x9E3779B97F4A7C15u);
}

/* A probability from 0 to 1: 53 bits of the next number. */
static inline int duet_seeded_chance(uint64_t *state, double probability)
{
    return (double)(duet_seeded_next(state) >> 11) * 0x1.0p-53 < probability;
}

#endif
