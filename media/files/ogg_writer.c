/* Writing of Ogg with Opus: RFC 3533 (pages) and RFC 7845 (Opus). A page holds about a second; it is written when the next
 * packet has no place in it, so that the last one can be marked. */
#include "media/files/ogg.h"
#include "media/files/opus_head.h"
#include "media/files/writer.h"
#include <string.h>

#define DATA_MAX      (DUET_OGG_SEGMENTS_MAX * DUET_OGG_SEGMENT_LEN)
#define PACKET_MAX    (DATA_MAX - 1)           /* with a last segment that is not full */
#define PAGE_DURATION DUET_OPUS_RATE           /* a longer page keeps readers waiting: RFC 7845, section 6 */
#define FILL_MAX      (60ull * DUET_OPUS_RATE) /* a longer pause is left as a leap of the granule position */
#define TOC_CODE      0x03                     /* frames in a packet: RFC 6716, 3.1; 0 is one */

typedef struct ogg {
    uint32_t serial, sequence;
    bool has_origin;
    uint64_t origin;   /* the time of the first packet, in samples of 48 kHz */
    uint64_t position; /* the end of the last packet, from there */
    uint64_t trimmed;  /* samples of the last packet that are to be cut off */
    uint64_t duration; /* of the packets in the page */
    unsigned segments;
    size_t len;
    uint8_t table[DUET_OGG_SEGMENTS_MAX];
    uint8_t data[DATA_MAX];
} ogg;

static bool holds(duet_file_format format, const duet_file_track *track)
{
    (void)format;
    return duet_payload_format_of(track->codec) == DUET_PAYLOAD_OPUS;
}

static int put_page(duet_file_writer *w, ogg *s, uint8_t flags, uint64_t granule)
{
    uint8_t header[DUET_OGG_HEADER_LEN + DUET_OGG_SEGMENTS_MAX], crc[4];
    duet_writer out = duet_writer_init(header, sizeof(header));
    duet_writer sum = duet_writer_init(crc, sizeof(crc));

    duet_write_bytes(&out, "OggS", 4);
    duet_write_u8(&out, 0);
    duet_write_u8(&out, flags);
    duet_write_le(&out, granule, 8);
    duet_write_le(&out, s->serial, 4);
    duet_write_le(&out, s->sequence++, 4);
    duet_write_le(&out, 0, 4);
    duet_write_u8(&out, (uint8_t)s->segments);
    duet_write_bytes(&out, s->table, s->segments);
    duet_write_le(&sum, duet_ogg_crc(duet_ogg_crc(0, header, out.len), s->data, s->len), 4);
    memcpy(header + DUET_OGG_CRC_AT, crc, sizeof(crc));
    int err = duet_file_put_written(w, &out);
    if (err == DUET_OK)
        err = duet_file_put(w, s->data, s->len);
    s->segments = 0;
    s->len = 0;
    s->duration = 0;
    return err;
}

static bool has_place(const ogg *s, size_t len)
{
    return s->segments + len / DUET_OGG_SEGMENT_LEN + 1 <= DUET_OGG_SEGMENTS_MAX;
}

/* The packet must have a place. */
static void add_packet(ogg *s, const uint8_t *packet, size_t len)
{
    memcpy(s->data + s->len, packet, len);
    s->len += len;
    for (; len >= DUET_OGG_SEGMENT_LEN; len -= DUET_OGG_SEGMENT_LEN)
        s->table[s->segments++] = DUET_OGG_SEGMENT_LEN;
    s->table[s->segments++] = (uint8_t)len;
}

static int begin(duet_file_writer *w, void *state)
{
    static const char vendor[] = "Duet";
    uint8_t head[DUET_OPUS_HEAD_LEN], tags[8 + 4 + sizeof(vendor) - 1 + 4];
    duet_writer out = duet_writer_init(head, sizeof(head));
    ogg *s = state;

    if (w->tracks[0].channels < 1 || w->tracks[0].channels > 2)
        return DUET_ERR_INVALID;
    int err = duet_random(&w->env, &s->serial, sizeof(s->serial));
    if (err != DUET_OK)
        return err;
    duet_opus_head_write(&out, &w->tracks[0]);
    add_packet(s, head, out.len);
    err = put_page(w, s, DUET_OGG_FIRST, 0);
    if (err != DUET_OK)
        return err;
    out = duet_writer_init(tags, sizeof(tags));
    duet_write_bytes(&out, "OpusTags", 8);
    duet_write_le(&out, sizeof(vendor) - 1, 4);
    duet_write_bytes(&out, vendor, sizeof(vendor) - 1);
    duet_write_le(&out, 0, 4); /* no comments */
    add_packet(s, tags, out.len);
    return put_page(w, s, 0, 0);
}

static int write_packet(duet_file_writer *w, ogg *s, const uint8_t *packet, size_t len, uint32_t duration)
{
    int err = DUET_OK;

    if (s->segments > 0 && (!has_place(s, len) || s->duration + duration > PAGE_DURATION))
        err = put_page(w, s, 0, s->position);
    add_packet(s, packet, len);
    s->position += duration;
    s->duration += duration;
    return err;
}

/* RFC 7845 section 4.1: time for which there are no packets is filled with ones that hold empty frames. Encoders send nothing
 * in silence. */
static int fill(duet_file_writer *w, ogg *s, uint64_t gap, uint8_t toc)
{
    uint8_t empty = toc & (uint8_t)~TOC_CODE;
    uint32_t duration = duet_opus_packet_duration(&empty, 1);
    int err = DUET_OK;

    if (gap > FILL_MAX) {
        if (s->segments > 0)
            err = put_page(w, s, 0, s->position);
        s->position += gap;
        return err;
    }
    for (; err == DUET_OK && gap >= duration; gap -= duration)
        err = write_packet(w, s, &empty, 1, duration);
    return err;
}

static uint64_t samples_of(duet_time time)
{
    return time / 1000000u * DUET_OPUS_RATE + time % 1000000u * DUET_OPUS_RATE / 1000000u;
}

static int write_sample(duet_file_writer *w, void *state, const duet_file_sample *sample)
{
    ogg *s = state;
    uint32_t duration = duet_opus_packet_duration(sample->data, sample->len);
    uint64_t time = samples_of(sample->time), told = samples_of(sample->duration + 1);
    int err = DUET_OK;

    if (duration == 0 || sample->len > PACKET_MAX)
        return DUET_ERR_INVALID;
    if (!s->has_origin) {
        s->has_origin = true;
        s->origin = time;
    }
    if (time > s->origin + s->position)
        err = fill(w, s, time - s->origin - s->position, sample->data[0]);
    s->trimmed = sample->duration > 0 && told < duration ? duration - told : 0;
    return err == DUET_OK ? write_packet(w, s, sample->data, sample->len, duration) : err;
}

static int finish(duet_file_writer *w, void *state)
{
    ogg *s = state;

    return put_page(w, s, DUET_OGG_LAST, s->position - s->trimmed);
}

const duet_file_writer_ops duet_ogg_writer = {.state_size = sizeof(ogg),
                                              .tracks_max = 1,
                                              .holds = holds,
                                              .begin = begin,
                                              .sample = write_sample,
                                              .finish = finish};
