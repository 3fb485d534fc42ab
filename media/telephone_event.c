/* Telephone events: RFC 4733 section 2.3. */
#include "base/bytes.h"
#include "duet/payload.h"

/* |     event     |E|R| volume    |          duration             | */
#define END    0x80
#define VOLUME 0x3F

int duet_telephone_event_parse(duet_telephone_event *out, const uint8_t *payload, size_t len)
{
    duet_reader r = duet_reader_init(payload, len);

    out->event = duet_read_u8(&r);
    uint8_t flags = duet_read_u8(&r);
    out->end = flags & END;
    out->volume = flags & VOLUME;
    out->duration = duet_read_u16(&r);
    return duet_reader_finish(&r);
}

int duet_telephone_event_write(const duet_telephone_event *event, uint8_t *data, size_t capacity, size_t *len)
{
    duet_writer w = duet_writer_init(data, capacity);

    if (event->volume > VOLUME)
        return DUET_ERR_INVALID;
    duet_write_u8(&w, event->event);
    duet_write_u8(&w, (uint8_t)((event->end ? END : 0) | event->volume));
    duet_write_u16(&w, event->duration);
    *len = w.len;
    return duet_writer_finish(&w);
}
