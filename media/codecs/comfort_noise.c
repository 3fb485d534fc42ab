/* Comfort noise as it sounds: RFC 3389 section 3. White noise through an all-pole lattice of the reflection coefficients, at the
 * level that was told. */
#include "media/codecs/comfort_noise.h"
#include <math.h>
#include <string.h>

/* "the reference would be a square wave" of full scale: section 3.1 */
#define OVERLOAD 32768.0
#define UNIFORM  1.7320508075688772 /* the root of 3: makes the power of evenly spread values from -1 to 1 that of 1 */
#define STEP     (1.0 / 160)        /* of the way to a new level for each sample: nobody hears it change */

/* "k_i(N_i) = 258*(N_i-127)" of 32768, N_i up to 254; "index N = 255 is reserved": section 3.2 */
#define INDEX_ZERO 127
#define INDEX_MAX  254
#define INDEX_STEP (258.0 / 32768)

/* What rings without an end says nothing: it is the roundings that would be heard. */
#define STATE_MAX 1e6

void duet_noise_set(duet_noise *n, const duet_comfort_noise *told)
{
    double power = 1;

    n->order = 0;
    while (n->order < told->coefficient_count && n->order < DUET_NOISE_ORDER_MAX &&
           told->coefficients[n->order] <= INDEX_MAX) {
        double k = (told->coefficients[n->order] - INDEX_ZERO) * INDEX_STEP;
        n->coefficients[n->order++] = k;
        power *= 1 - k * k; /* the lattice makes noise louder by the inverse */
    }
    n->gain = UNIFORM * sqrt(power);
    n->target = OVERLOAD * pow(10, -told->level / 20.0);
    memset(n->state, 0, sizeof(n->state)); /* it is of another filter */
}

/* xorshift: the same in every call, for noise need not be a secret. @return -1 to 1 */
static double white(duet_noise *n)
{
    if (n->random == 0)
        n->random = 0x9E3779B9;
    n->random ^= n->random << 13;
    n->random ^= n->random >> 17;
    n->random ^= n->random << 5;
    return n->random / 2147483648.0 - 1;
}

/* From the last stage to the first: f(i-1) = f(i) - k g(i-1), g(i) = k f(i-1) + g(i-1), with g of the sample before. */
static double shape(duet_noise *n, double f)
{
    for (size_t i = n->order; i-- > 0;) {
        f -= n->coefficients[i] * n->state[i];
        n->state[i + 1] = n->coefficients[i] * f + n->state[i];
    }
    n->state[0] = f;
    if (f > -STATE_MAX && f < STATE_MAX)
        return f;
    memset(n->state, 0, sizeof(n->state));
    return 0;
}

void duet_noise_fill(duet_noise *n, int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        n->level += (n->target - n->level) * STEP;
        double sample = shape(n, white(n) * n->level * n->gain);
        samples[i] = (int16_t)lrint(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
    }
}
