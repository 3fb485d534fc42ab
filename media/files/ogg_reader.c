/* Ogg with Opus: RFC 3533 (pages and packets) and RFC 7845 (Opus). Of several streams the first with Opus is read, and of
 * streams one after the other (chained) all that have Opus. What is damaged on the way is stepped over, up to the next page whose
 * checksum holds. */
#include "duet/payload.h"
#include "media/files/ogg.h"
#include "media/files/opus_head.h"
#include "media/files/reader.h"
#include <string.h>

#define POSITION_MAX ((uint64_t)1 << 56) /* samples: later granule positions are not believed */

typedef enum stage {
    WANTS_HEAD = 0, /* no stream yet */
    WANTS_TAGS,     /* the comment header: RFC 7845 section 5.2 */
    WANTS_AUDIO,
} stage;

/* The page that is read at present. It stays at hand until its last segment was taken. */
typedef struct ogg_page {
    size_t len; /* 0: there is none */
    size_t header_len;
    unsigned segments, segment; /* how many, and the next one */
    size_t pos;                 /* of that one's data */
    uint8_t flags;
    uint64_t granule;
} ogg_page;

typedef struct ogg {
    stage stage;
    uint32_t serial;
    bool has_origin;   /* the granule position of the stream's first sample is known */
    uint64_t origin;   /* which is not 0 when its beginning was cut off */
    uint64_t base;     /* samples of 48 kHz in the streams before this one */
    uint64_t position; /* where the next packet begins, from the beginning of the file */
    uint64_t end;      /* of the page: later samples are to be cut off, RFC 7845 section 4.4 */
    bool is_trimmed;   /* that holds: it is the last page */
    bool is_in_packet; /* a packet goes on in the next page */
    ogg_page page;
    duet_buffer packet; /* what lies in pages before */
} ogg;

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static uint32_t crc_of(duet_reader page)
{
    static const uint8_t zero[4];
    uint32_t crc = duet_ogg_crc(0, page.data, DUET_OGG_CRC_AT);

    crc = duet_ogg_crc(crc, zero, sizeof(zero)); /* it counts as 0 itself */
    return duet_ogg_crc(crc, page.data + DUET_OGG_CRC_AT + 4, page.len - DUET_OGG_CRC_AT - 4);
}

#define PAGE_BAD 2 /* it is to be stepped over */

/* Before there is a stream, damage means that this is no file of ours. */
static int bad_page(duet_file_reader *r, size_t at, const char *why)
{
    return r->track_count == 0 ? duet_file_fail(r, DUET_ERR_MALFORMED, at, "%s", why) : PAGE_BAD;
}

/* Where the next page may begin, behind this place; where to look on when none is at hand. @return whether one was found */
static bool find_page(const duet_file_reader *r, size_t *at)
{
    duet_reader data = duet_file_peek(r);

    for (*at = 1; *at + 4 <= data.len; (*at)++) {
        if (memcmp(data.data + *at, "OggS", 4) == 0)
            return true;
    }
    *at = r->has_ended ? data.len : *at < data.len ? *at : data.len;
    return false;
}

/* All of it may be at hand although the page claims more: the claim is damaged, too. */
static int short_page(const duet_file_reader *r)
{
    size_t at;

    return r->has_ended && r->track_count > 0 && find_page(r, &at) ? PAGE_BAD : 0;
}

static void step_over(duet_file_reader *r)
{
    size_t at;

    (void)find_page(r, &at);
    r->skipped += at;
    duet_file_consume(r, at);
}

/* Finds the page at hand. @return 1, 0, PAGE_BAD or an error */
static int parse_page(duet_file_reader *r, ogg_page *p, uint32_t *serial)
{
    duet_reader head = duet_file_peek(r);

    if (memcmp(head.data, "OggS", head.len < 4 ? head.len : 4) != 0)
        return bad_page(r, 0, "no Ogg page begins here");
    if (head.len < DUET_OGG_HEADER_LEN)
        return 0;
    duet_read_skip(&head, 4);
    if (duet_read_u8(&head) != 0)
        return bad_page(r, 4, "another version than 0 of an Ogg page");
    *p = (ogg_page){.flags = duet_read_u8(&head)};
    p->granule = duet_read_le(&head, 8);
    *serial = (uint32_t)duet_read_le(&head, 4);
    duet_read_skip(&head, 4); /* a lost page shows itself by the granule position */
    uint32_t crc = (uint32_t)duet_read_le(&head, 4);
    p->segments = duet_read_u8(&head);
    duet_bytes table = duet_read_bytes(&head, p->segments);
    if (head.failed)
        return short_page(r);
    p->header_len = DUET_OGG_HEADER_LEN + p->segments;
    p->pos = p->header_len;
    p->len = p->header_len;
    for (size_t i = 0; i < table.len; i++)
        p->len += table.data[i];
    if (head.len < p->len)
        return short_page(r);
    if (crc_of(duet_reader_init(head.data, p->len)) != crc)
        return bad_page(r, DUET_OGG_CRC_AT, "the checksum of an Ogg page does not match");
    return 1;
}

static uint8_t segment_len(const duet_file_reader *r, unsigned segment)
{
    duet_reader page = duet_file_peek(r);

    return duet_peek_u8(&page, DUET_OGG_HEADER_LEN + segment);
}

/* The next packet or piece of one in the page. @return whether it ends there */
static bool next_piece(const duet_file_reader *r, ogg_page *p, duet_bytes *piece)
{
    duet_reader data = duet_file_peek(r);
    size_t len = 0;
    uint8_t last = DUET_OGG_SEGMENT_LEN;

    while (p->segment < p->segments && last == DUET_OGG_SEGMENT_LEN) {
        last = segment_len(r, p->segment++);
        len += last;
    }
    duet_read_skip(&data, p->pos);
    *piece = duet_read_bytes(&data, len);
    p->pos += len;
    return last < DUET_OGG_SEGMENT_LEN;
}

/* ---- granule positions, RFC 7845 section 4 ------------------------------------------------------------------------ */

/* Samples in the packets that end in the page. */
static uint64_t page_duration(const duet_file_reader *r, const ogg *s)
{
    ogg_page p = s->page;
    uint64_t sum = 0;
    duet_bytes piece;

    while (p.segment < p.segments) {
        bool goes_on = s->is_in_packet && p.segment == 0;
        if (!next_piece(r, &p, &piece))
            break;
        /* Three bytes of a packet that began before tell enough, they are there: it filled a segment. */
        sum +=
            goes_on ? duet_opus_packet_duration(s->packet.data, 3) : duet_opus_packet_duration(piece.data, piece.len);
    }
    return sum;
}

/* Says where the page's first packet begins. Pages that were lost leave a gap; a last page may end before its packets do. */
static void place_page(const duet_file_reader *r, ogg *s)
{
    uint64_t granule = s->page.granule, duration = page_duration(r, s);
    bool is_last = s->page.flags & DUET_OGG_LAST;

    s->is_trimmed = false;
    if (granule == DUET_OGG_NO_GRANULE || granule > POSITION_MAX || s->base > POSITION_MAX || duration == 0)
        return;
    if (!s->has_origin) {
        s->has_origin = true;
        s->origin = granule > duration ? granule - duration : 0;
    }
    if (granule < s->origin)
        return;
    uint64_t end = s->base + (granule - s->origin);
    if (end > s->position + duration)
        s->position = end - duration;
    s->is_trimmed = is_last && end < s->position + duration;
    s->end = end;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static int begin_stream(duet_file_reader *r, ogg *s, const ogg_page *first, uint32_t serial)
{
    ogg_page p = *first;
    duet_bytes packet;
    duet_file_track track = {.codec = "opus"};

    if (!next_piece(r, &p, &packet) || packet.len < 8 || memcmp(packet.data, "OpusHead", 8) != 0)
        return DUET_OK; /* something else */
    int err = duet_opus_head_parse(&track, duet_reader_init(packet.data, packet.len));
    if (err != DUET_OK)
        return duet_file_fail(r, err, first->pos, "an OpusHead of %zu bytes, version %u", packet.len,
                              packet.len > 8 ? packet.data[8] : 0);
    if (r->track_count == 0)
        *duet_file_add_track(r, "opus", false) = track;
    r->tracks[0].channels = track.channels;
    s->serial = serial;
    s->stage = WANTS_TAGS;
    s->base = s->position;
    s->has_origin = s->is_in_packet = false;
    return DUET_OK;
}

/* A page of our stream that goes on, or ends. */
static void begin_page(duet_file_reader *r, ogg *s)
{
    duet_bytes piece;
    bool is_continued = s->page.flags & DUET_OGG_CONTINUED;

    if (is_continued && !s->is_in_packet)
        (void)next_piece(r, &s->page, &piece); /* of a packet whose beginning is lost */
    if (!is_continued)
        s->is_in_packet = false; /* its end is lost */
    if (!s->is_in_packet)
        duet_buffer_clear(&s->packet);
    if (s->stage == WANTS_AUDIO)
        place_page(r, s);
}

/* Finds the next page of our stream. Streams begin together, before any other page (RFC 3533 section 4), so one that begins
 * among audio is chained. */
static int next_page(duet_file_reader *r, ogg *s)
{
    for (;;) {
        ogg_page p = {0};
        uint32_t serial = 0;
        int result = parse_page(r, &p, &serial);
        if (result == PAGE_BAD) {
            s->is_in_packet = false; /* what would have gone on is lost */
            step_over(r);
            continue;
        }
        if (result != 1)
            return result;
        if ((p.flags & DUET_OGG_FIRST) && s->stage != WANTS_TAGS) {
            s->stage = WANTS_HEAD;
            result = begin_stream(r, s, &p, serial);
            if (result != DUET_OK)
                return result;
        } else if (s->stage != WANTS_HEAD && serial == s->serial && !(p.flags & DUET_OGG_FIRST)) {
            s->page = p;
            begin_page(r, s);
            return 1;
        } else if (r->track_count == 0) {
            return duet_file_fail(r, DUET_ERR_UNSUPPORTED, 0, "an Ogg file without a stream of Opus");
        }
        duet_file_consume(r, p.len);
    }
}

static void end_page(duet_file_reader *r, ogg *s)
{
    if (s->page.flags & DUET_OGG_LAST)
        s->stage = WANTS_HEAD;
    duet_file_consume(r, s->page.len);
    s->page.len = 0;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* The next whole packet of the page. @return 1; 0 when there is none; DUET_ERR_LIMIT, DUET_ERR_NOMEM */
static int next_packet(duet_file_reader *r, ogg *s, duet_bytes *packet)
{
    ogg_page p = s->page;
    duet_bytes piece;

    if (p.segment == p.segments)
        return 0;
    if (!s->is_in_packet)
        duet_buffer_clear(&s->packet);
    bool ends = next_piece(r, &p, &piece);
    if (s->packet.len + piece.len > DUET_FILE_SAMPLE_MAX)
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "a packet of more than %u bytes", DUET_FILE_SAMPLE_MAX);
    if (s->is_in_packet || !ends) {
        duet_buffer_append(&s->packet, piece.data, piece.len);
        if (s->packet.failed) {
            s->packet.failed = false;
            return DUET_ERR_NOMEM;
        }
        piece = (duet_bytes){s->packet.data, s->packet.len};
    }
    s->page = p;
    s->is_in_packet = !ends;
    *packet = piece;
    return ends;
}

/* Positions are below 2^58, and their times below 2^64. */
static void give_audio(ogg *s, duet_bytes packet, duet_file_sample *out)
{
    uint64_t end = s->position + duet_opus_packet_duration(packet.data, packet.len);

    if (s->is_trimmed && end > s->end)
        end = s->end > s->position ? s->end : s->position;
    (void)duet_file_time(s->position, 1, DUET_OPUS_RATE, &out->time);
    (void)duet_file_time(end, 1, DUET_OPUS_RATE, &out->duration);
    out->duration -= out->time;
    out->data = packet.data;
    out->len = packet.len;
    out->is_keyframe = true;
    s->position = end;
}

static int next(duet_file_reader *r, void *state, duet_file_sample *out)
{
    ogg *s = state;
    duet_bytes packet;

    s->packet.env = &r->env;
    for (;;) {
        int result = s->page.len ? 1 : next_page(r, s);
        if (result != 1)
            return result;
        result = next_packet(r, s, &packet);
        if (result < 0)
            return result;
        if (result == 0 && s->page.segment == s->page.segments) {
            end_page(r, s);
        } else if (result == 1 && s->stage == WANTS_TAGS) {
            if (packet.len < 8 || memcmp(packet.data, "OpusTags", 8) != 0)
                return duet_file_fail(r, DUET_ERR_MALFORMED, s->page.header_len, "OpusTags must follow OpusHead");
            s->stage = WANTS_AUDIO;
        } else if (result == 1 && packet.len > 0) {
            give_audio(s, packet, out);
            return 1;
        }
    }
}

static void destroy(duet_file_reader *r, void *state)
{
    ogg *s = state;

    (void)r;
    duet_buffer_free(&s->packet);
}

const duet_file_reader_ops duet_ogg_reader = {.state_size = sizeof(ogg), .next = next, .destroy = destroy};
