/* WebM and Matroska: EBML (RFC 8794) and RFC 9559. Elements are taken one by one as they arrive; those that hold no frames
 * and describe none are passed over. */
#include "media/files/webm_reader.h"
#include <string.h>

#define DESCRIPTION_MAX (1u << 20)           /* bytes of Info or Tracks */
#define ELEMENT_MAX     DUET_FILE_SAMPLE_MAX /* of a block with what is around it */
#define SCALE_DEFAULT   1000000u             /* nanoseconds in a tick: RFC 9559, TimestampScale */
#define TIME_MAX        (UINT64_MAX / 4)
#define DURATION_MAX    DUET_SECONDS(3600)

typedef enum webm_level {
    IN_FILE = 0,
    IN_SEGMENT,
    IN_CLUSTER,
    BEHIND, /* the segment has ended */
} webm_level;

typedef struct webm {
    webm_level level;
    bool has_header, has_tracks;
    uint64_t segment_end, cluster_end; /* offsets in the file; EBML_UNKNOWN */
    uint32_t scale;
    uint64_t cluster_time; /* in ticks */
    duet_webm_track tracks[DUET_FILE_TRACKS_MAX];
    size_t element_len; /* of the block whose frames are given: still to be consumed */
    duet_webm_block block;
} webm;

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static int begin_block(duet_file_reader *r, webm *s, const duet_webm_block_header *header, uint64_t block_duration)
{
    duet_webm_block *b = &s->block;
    unsigned i = 0;

    while (i < r->track_count && s->tracks[i].number != header->track)
        i++;
    if (i == r->track_count) {
        b->count = 0; /* of a track that is not read */
        return DUET_OK;
    }
    if (s->tracks[i].is_encoded)
        return duet_file_fail(r, DUET_ERR_UNSUPPORTED, 0, "track %u is encrypted or compressed", i + 1);
    int64_t ticks = (int64_t)(s->cluster_time < INT64_MAX / 2 ? s->cluster_time : INT64_MAX / 2) + header->timestamp;
    if (!duet_file_time(ticks > 0 ? (uint64_t)ticks : 0, s->scale, 1000000000u, &b->time) || b->time > TIME_MAX)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "the timestamp %lld is too large", (long long)ticks);
    b->track = i;
    b->duration = s->tracks[i].frame_duration;
    duet_time whole = 0;
    if (duet_file_time(block_duration, s->scale, 1000000000u, &whole) && whole > 0 && whole <= DURATION_MAX)
        b->duration = whole / b->count;
    return DUET_OK;
}

static duet_time frame_duration(const webm *s, const duet_file_sample *sample)
{
    if (s->block.duration == 0 && s->tracks[s->block.track].codec == DUET_PAYLOAD_OPUS)
        return duet_opus_packet_duration(sample->data, sample->len) * 1000000ull / 48000;
    return s->block.duration;
}

static void give_frame(const duet_file_reader *r, webm *s, duet_file_sample *out)
{
    duet_webm_block *b = &s->block;
    duet_reader held = duet_file_peek(r);

    duet_read_skip(&held, b->pos);
    out->track = b->track;
    out->len = b->lens[b->next++];
    out->data = duet_read_bytes(&held, out->len).data;
    out->time = b->time;
    out->duration = frame_duration(s, out);
    out->is_keyframe = b->is_keyframe || !r->tracks[b->track].is_video;
    b->pos += out->len;
    b->time += out->duration;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* `data` are the bytes of a SimpleBlock, which begin `at` behind the first byte at hand. */
static int read_block(duet_file_reader *r, webm *s, duet_reader data, size_t at, uint64_t duration)
{
    duet_webm_block_header header;

    if (duet_webm_block_parse(&s->block, &header, data) != DUET_OK)
        return duet_file_fail(r, DUET_ERR_MALFORMED, at, "a block of %zu bytes that ends too early", data.len);
    s->block.pos += at;
    s->block.is_keyframe = header.flags & MKV_BLOCK_KEYFRAME;
    return begin_block(r, s, &header, duration);
}

static int read_block_group(duet_file_reader *r, webm *s, duet_reader group, size_t at)
{
    duet_ebml child;
    duet_reader value, block = {0};
    size_t block_at = 0;
    uint64_t duration = 0;
    bool has_block = false, has_reference = false;
    int result;

    while ((result = duet_ebml_next(&group, &child, &value)) == 1) {
        if (child.id == MKV_BLOCK) {
            has_block = true;
            block = value;
            block_at = at + group.pos - value.len;
        } else if (child.id == MKV_BLOCK_DURATION) {
            duration = duet_ebml_unsigned(value);
        } else if (child.id == MKV_REFERENCE_BLOCK) {
            has_reference = true;
        }
    }
    if (result < 0)
        return duet_file_fail(r, result, at, "a BlockGroup with an element that is longer");
    if (!has_block)
        return DUET_OK;
    result = read_block(r, s, block, block_at, duration);
    s->block.is_keyframe = !has_reference;
    return result;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static int read_ebml_header(duet_file_reader *r, webm *s, duet_reader data)
{
    duet_ebml child;
    duet_reader value;
    duet_bytes type = {0};

    while (duet_ebml_next(&data, &child, &value) == 1)
        if (child.id == EBML_DOC_TYPE)
            type = duet_read_bytes(&value, value.len);
    while (type.len > 0 && type.data[type.len - 1] == 0) /* strings may be padded: RFC 8794 section 7.4 */
        type.len--;
    s->has_header = duet_bytes_equal(type, (duet_bytes){(const uint8_t *)"webm", 4}) ||
                    duet_bytes_equal(type, (duet_bytes){(const uint8_t *)"matroska", 8});
    return s->has_header ? DUET_OK : duet_file_fail(r, DUET_ERR_UNSUPPORTED, 0, "EBML, but neither WebM nor Matroska");
}

static int read_info(duet_file_reader *r, webm *s, duet_reader data)
{
    duet_ebml child;
    duet_reader value;

    while (duet_ebml_next(&data, &child, &value) == 1) {
        uint64_t v = duet_ebml_unsigned(value);
        if (child.id != MKV_TIMESTAMP_SCALE)
            continue;
        if (v == 0 || v > UINT32_MAX)
            return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "a TimestampScale of %llu", (unsigned long long)v);
        s->scale = (uint32_t)v;
    }
    return DUET_OK;
}

static int read_tracks(duet_file_reader *r, webm *s, duet_reader data)
{
    if (s->has_tracks)
        return DUET_OK; /* it may be repeated, and then says the same */
    s->has_tracks = true;
    return duet_webm_tracks_parse(r, s->tracks, data);
}

/* An element that is wholly at hand. */
static int read_element(duet_file_reader *r, webm *s, uint32_t id, duet_reader data, size_t at)
{
    switch (id) {
    case EBML_HEADER:
        return read_ebml_header(r, s, data);
    case MKV_INFO:
        return read_info(r, s, data);
    case MKV_TRACKS:
        return read_tracks(r, s, data);
    case MKV_TIMESTAMP:
        s->cluster_time = duet_ebml_unsigned(data);
        return DUET_OK;
    case MKV_SIMPLE_BLOCK:
        return read_block(r, s, data, at, 0);
    default:
        return read_block_group(r, s, data, at);
    }
}

/* How many bytes of such an element are read where it is found; 0: it is passed over. */
static size_t wanted(webm_level level, uint32_t id)
{
    if (level == IN_FILE && id == EBML_HEADER)
        return DESCRIPTION_MAX;
    if (level == IN_SEGMENT && (id == MKV_INFO || id == MKV_TRACKS))
        return DESCRIPTION_MAX;
    if (level == IN_CLUSTER && id == MKV_TIMESTAMP)
        return 8;
    return level == IN_CLUSTER && (id == MKV_SIMPLE_BLOCK || id == MKV_BLOCK_GROUP) ? ELEMENT_MAX : 0;
}

static bool is_child_of_segment(uint32_t id)
{
    return id == MKV_CLUSTER || id == MKV_CUES || id == MKV_TAGS || id == MKV_INFO || id == MKV_TRACKS ||
           id == MKV_SEEK_HEAD || id == MKV_CHAPTERS || id == MKV_ATTACHMENTS;
}

/* The end of what the next element lies in. */
static uint64_t parent_end(const webm *s)
{
    if (s->level == IN_CLUSTER && s->cluster_end != EBML_UNKNOWN)
        return s->cluster_end;
    return s->level == IN_FILE ? EBML_UNKNOWN : s->segment_end;
}

/* Leaves parents that have ended. One of unknown size ends where an element begins that cannot be in it: RFC 8794 section
 * 6.2. */
static void leave_parents(const duet_file_reader *r, webm *s, uint32_t id)
{
    bool ends_segment = id == EBML_HEADER || id == MKV_SEGMENT;

    if (s->level == IN_CLUSTER &&
        (r->offset >= parent_end(s) || (s->cluster_end == EBML_UNKNOWN && (is_child_of_segment(id) || ends_segment))))
        s->level = IN_SEGMENT;
    if (s->level == IN_SEGMENT && (r->offset >= s->segment_end || (s->segment_end == EBML_UNKNOWN && ends_segment)))
        s->level = BEHIND;
}

static int check_size(duet_file_reader *r, const webm *s, const duet_ebml *e)
{
    uint64_t left = parent_end(s) - r->offset;

    if (e->size == EBML_UNKNOWN) {
        if (e->id == MKV_SEGMENT || e->id == MKV_CLUSTER)
            return DUET_OK;
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "element 0x%X has no size", e->id);
    }
    if (!duet_file_can_hold(r, e->size + e->header_len) || e->size + e->header_len > left)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "element 0x%X of %llu bytes, where %llu are left in its parent",
                              e->id, (unsigned long long)e->size, (unsigned long long)left);
    return DUET_OK;
}

static int enter(duet_file_reader *r, webm *s, const duet_ebml *e)
{
    uint64_t end = e->size == EBML_UNKNOWN ? EBML_UNKNOWN : r->offset + e->header_len + e->size;

    if (e->id == MKV_SEGMENT) {
        if (!s->has_header)
            return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "a Segment without an EBML header before it");
        s->level = IN_SEGMENT;
        s->segment_end = end;
        s->scale = SCALE_DEFAULT;
    } else {
        if (!s->has_tracks)
            return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "a Cluster before the tracks are described");
        s->level = IN_CLUSTER;
        s->cluster_end = end;
        s->cluster_time = 0;
    }
    duet_file_consume(r, e->header_len);
    return 1;
}

/* @return 1 when there was one; 0: more bytes are needed; an error */
static int next_element(duet_file_reader *r, webm *s)
{
    duet_reader head = duet_file_peek(r);
    duet_ebml e;

    int result = duet_ebml_read(&head, &e);
    leave_parents(r, s, result == 1 ? e.id : 0);
    if (s->level == BEHIND) {
        duet_file_consume(r, duet_file_held(r)); /* whatever it is */
        return 0;
    }
    if (result == 0)
        return 0;
    if (result < 0)
        return duet_file_fail(r, result, 0, "no EBML element begins here");
    result = check_size(r, s, &e);
    if (result != DUET_OK)
        return result;
    if ((s->level == IN_FILE && e.id == MKV_SEGMENT) || (s->level == IN_SEGMENT && e.id == MKV_CLUSTER))
        return enter(r, s, &e);
    if (e.size == EBML_UNKNOWN)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "element 0x%X of unknown size in a parent of known size", e.id);
    size_t max = wanted(s->level, e.id);
    if (max == 0) {
        duet_file_consume(r, e.header_len + e.size);
        return 1;
    }
    if (e.size > max)
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "element 0x%X of %llu bytes, at most %zu are read", e.id,
                              (unsigned long long)e.size, max);
    if (duet_reader_left(&head) < e.size)
        return 0;
    result = read_element(r, s, e.id, duet_read_sub(&head, (size_t)e.size), e.header_len);
    s->element_len = e.header_len + (size_t)e.size;
    return result == DUET_OK ? 1 : result;
}

static int next(duet_file_reader *r, void *state, duet_file_sample *out)
{
    webm *s = state;

    for (;;) {
        while (s->block.next < s->block.count) {
            give_frame(r, s, out);
            if (out->len > 0)
                return 1;
        }
        duet_file_consume(r, s->element_len);
        s->element_len = 0;
        s->block.count = 0;
        int result = next_element(r, s);
        if (result != 1)
            return result;
    }
}

const duet_file_reader_ops duet_webm_reader = {.state_size = sizeof(webm), .next = next};
