/* Comfort noise: RFC 3389 section 3. */
#include "base/bytes.h"
#include "duet/payload.h"
#include <string.h>

/* |0|   level     |  reflection coefficients, a byte each | */
#define LEVEL 0x7F

/* A receiver may use a lower model order than the sender's by leaving out the last coefficients: section 3.2. */
int duet_comfort_noise_parse(duet_comfort_noise *out, const uint8_t *payload, size_t len)
{
    duet_reader r = duet_reader_init(payload, len);

    *out = (duet_comfort_noise){.level = duet_read_u8(&r) & LEVEL};
    size_t count = duet_reader_left(&r);
    if (count > sizeof(out->coefficients))
        count = sizeof(out->coefficients);
    duet_bytes coefficients = duet_read_bytes(&r, count);
    if (coefficients.len)
        memcpy(out->coefficients, coefficients.data, coefficients.len);
    out->coefficient_count = (uint8_t)coefficients.len;
    return r.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

int duet_comfort_noise_write(const duet_comfort_noise *noise, uint8_t *data, size_t capacity, size_t *len)
{
    duet_writer w = duet_writer_init(data, capacity);

    if (noise->level > LEVEL || noise->coefficient_count > sizeof(noise->coefficients))
        return DUET_ERR_INVALID;
    duet_write_u8(&w, noise->level);
    duet_write_bytes(&w, noise->coefficients, noise->coefficient_count);
    *len = w.len;
    return duet_writer_finish(&w);
}
