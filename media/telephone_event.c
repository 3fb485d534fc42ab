/* Telephone events: RFC 4733 sections 2.3 and 2.4.1. */
#include "base/bytes.h"
#include "base/text.h"
#include "duet/payload.h"
#include <string.h>

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

static void skip_spaces(duet_reader *r)
{
    while (duet_text_skip(r, ' '))
        ;
}

bool duet_telephone_event_is_taken(const char *fmtp, uint8_t event)
{
    duet_reader r = duet_text_reader(fmtp, strlen(fmtp));
    uint64_t first, last;

    skip_spaces(&r);
    if (duet_text_at_end(&r))
        return event <= 15;
    do {
        skip_spaces(&r);
        if (!duet_text_number(&r, 0, 255, &first))
            return false;
        last = first;
        if (duet_text_skip(&r, '-') && !duet_text_number(&r, first, 255, &last))
            return false;
        if (event >= first && event <= last)
            return true;
        skip_spaces(&r);
    } while (duet_text_skip(&r, ','));
    return false;
}
