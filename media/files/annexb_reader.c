/* H.264 and H.265 byte streams: annex B of both. A byte stream has no times and no frames, so access units are told apart by
 * their first NAL unit (H.264 section 7.4.1.2.3, H.265 section 7.4.2.4.4), and their times are those of a constant rate. */
#include "media/annexb.h"
#include "media/files/reader.h"
#include "media/files/sps.h"

#define START_CODE_LEN 3
#define DEFAULT_RATE   25 /* where the stream does not say */

/* What a NAL unit is to the access unit it lies in. */
typedef struct unit {
    bool is_picture;     /* a slice of a picture */
    bool starts_picture; /* its first */
    bool is_before;      /* stands before the picture that it belongs to: it ends the access unit of the one before */
    bool is_keyframe;
} unit;

typedef struct annexb {
    bool is_h265, has_begun;
    bool has_picture, is_keyframe; /* of the access unit at hand */
    size_t scanned;                /* so many of the bytes at hand are not looked at again */
    size_t sample_len;             /* of the access unit that was given: still to be consumed */
    uint64_t count;                /* access units that were given */
    uint32_t rate, scale;
} annexb;

/* |F|NRI| Type | slice header: first_mb_in_slice ue(v), …   H.264, 7.3.1 and 7.3.3 */
static unit h264_unit(duet_reader bytes)
{
    unsigned type = duet_read_u8(&bytes) & 0x1Fu;
    unit u = {.is_picture = type == 1 || type == 2 || type == 5, .is_keyframe = type == 5};

    u.starts_picture = u.is_picture && (duet_read_u8(&bytes) & 0x80); /* 0 as ue(v) is the bit 1 */
    u.is_before = (type >= 6 && type <= 9) || (type >= 14 && type <= 18);
    return u;
}

/* |F|   Type    | LayerId | TID | slice header: first_slice_segment_in_pic_flag u(1), …   H.265, 7.3.1.2 and 7.3.6.1 */
static unit h265_unit(duet_reader bytes)
{
    unsigned type = duet_read_u8(&bytes) >> 1 & 0x3Fu;
    duet_read_skip(&bytes, 1);
    unit u = {.is_picture = type < 32 && !bytes.failed, .is_keyframe = type >= 16 && type <= 21};
    u.starts_picture = u.is_picture && (duet_read_u8(&bytes) & 0x80);
    u.is_before = (type >= 32 && type <= 35) || type == 39 || (type >= 41 && type <= 44) || (type >= 48 && type <= 55);
    return u;
}

/* The next start code that was not looked at. @return whether there is one, with enough of its NAL unit behind */
static bool find_start_code(const duet_file_reader *r, annexb *s, size_t *at)
{
    duet_reader held = duet_file_peek(r);
    size_t header = s->is_h265 ? 3 : 2;

    for (duet_read_skip(&held, s->scanned); duet_reader_left(&held) >= START_CODE_LEN;) {
        uint8_t third = duet_peek_u8(&held, 2);
        bool is_found = third == 1 && duet_peek_u8(&held, 1) == 0 && duet_peek_u8(&held, 0) == 0;
        if (is_found && duet_reader_left(&held) < START_CODE_LEN + header && !r->has_ended)
            break;
        if (is_found) {
            *at = held.pos;
            return true;
        }
        duet_read_skip(&held, third > 1 ? 3 : 1); /* no start code begins in three bytes that end so */
    }
    s->scanned = held.pos;
    return false;
}

/* Zeros before a start code are its own: a NAL unit does not end with one. */
static size_t skip_zeros_back(duet_reader held, size_t at)
{
    duet_reader start = {.data = held.data, .len = held.len};

    while (at > 0 && duet_peek_u8(&start, at - 1) == 0)
        at--;
    return at;
}

static void read_parameters(duet_file_reader *r, annexb *s, duet_reader sample)
{
    duet_bytes nal;
    duet_sps sps;
    duet_file_track *track = duet_file_add_track(r, s->is_h265 ? "H265" : "H264", true);

    s->rate = DEFAULT_RATE;
    s->scale = 1;
    while (duet_annexb_next(&sample, &nal)) {
        if (duet_sps_parse(&sps, s->is_h265, duet_reader_init(nal.data, nal.len)) != DUET_OK)
            continue;
        track->width = sps.width;
        track->height = sps.height;
        track->rate_num = sps.rate_num;
        track->rate_den = sps.rate_den;
        if (sps.rate_num) {
            s->rate = sps.rate_num;
            s->scale = sps.rate_den;
        }
        return;
    }
}

static int give_unit(duet_file_reader *r, annexb *s, size_t len, duet_file_sample *out)
{
    duet_reader held = duet_file_peek(r);
    duet_time end;

    out->data = duet_read_bytes(&held, len).data;
    out->len = len;
    out->is_keyframe = s->is_keyframe;
    if (s->count == 0)
        read_parameters(r, s, duet_reader_init(out->data, len));
    if (!duet_file_time(s->count, s->scale, s->rate, &out->time) ||
        !duet_file_time(s->count + 1, s->scale, s->rate, &end))
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "the picture's time is too large");
    out->duration = end - out->time;
    s->count++;
    s->sample_len = len;
    s->scanned -= len < s->scanned ? len : s->scanned;
    s->has_picture = s->is_keyframe = false;
    return 1;
}

/* The end of the file ends the last access unit. */
static int give_last(duet_file_reader *r, annexb *s, duet_file_sample *out)
{
    size_t held = duet_file_held(r);

    if (!r->has_ended || held == 0)
        return 0;
    if (!s->has_begun)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "no start code of a NAL unit");
    if (s->has_picture)
        return give_unit(r, s, held, out);
    duet_file_consume(r, held); /* parameters of a picture that does not come */
    return 0;
}

static int next(duet_file_reader *r, annexb *s, duet_file_sample *out)
{
    size_t at;

    duet_file_consume(r, s->sample_len);
    s->sample_len = 0;
    while (find_start_code(r, s, &at)) {
        duet_reader held = duet_file_peek(r), bytes = held;
        size_t start = skip_zeros_back(held, at);
        duet_read_skip(&bytes, at + START_CODE_LEN);
        unit u = s->is_h265 ? h265_unit(bytes) : h264_unit(bytes);
        if (!s->has_begun && start > 0)
            return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "bytes before the first start code of a NAL unit");
        s->has_begun = true;
        s->scanned = at;
        if (s->has_picture && (u.is_before || u.starts_picture))
            return give_unit(r, s, start, out);
        s->has_picture = s->has_picture || u.is_picture;
        s->is_keyframe = s->is_keyframe || u.is_keyframe;
        s->scanned = at + START_CODE_LEN;
    }
    if (s->scanned > DUET_FILE_SAMPLE_MAX)
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "an access unit of more than %u bytes", DUET_FILE_SAMPLE_MAX);
    return give_last(r, s, out);
}

static int next_h264(duet_file_reader *r, void *state, duet_file_sample *out)
{
    return next(r, state, out);
}

static int next_h265(duet_file_reader *r, void *state, duet_file_sample *out)
{
    annexb *s = state;

    s->is_h265 = true;
    return next(r, s, out);
}

const duet_file_reader_ops duet_h264_reader = {.state_size = sizeof(annexb), .next = next_h264};
const duet_file_reader_ops duet_h265_reader = {.state_size = sizeof(annexb), .next = next_h265};
