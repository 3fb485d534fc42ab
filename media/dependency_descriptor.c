/* Dependency descriptors: RTP Payload Format For AV1, appendix A. Three bytes say which template a frame follows; what
 * differs from it comes behind them, and with key frames the templates themselves. */
#include "media/dependency_structure.h"
#include <string.h>

#define MANDATORY_LEN  3
#define FRAME_DIFF_MAX 4096
#define CHAIN_DIFF_MAX 255

/* Which parts of a frame are its own. */
typedef struct own_parts {
    bool dtis, frame_diffs, chains;
} own_parts;

const duet_frame_dependencies *duet_dependency_template(const duet_dependency_structure *structure, uint8_t id)
{
    unsigned index = (unsigned)id - structure->template_id_offset;

    index %= DUET_DEPENDENCY_TEMPLATES_MAX;
    return index < structure->template_count ? &structure->templates[index] : NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int frame_fdiffs(duet_frame_dependencies *f, duet_bit_reader *r)
{
    unsigned size; /* next_fdiff_size */

    f->frame_diff_count = 0;
    memset(f->frame_diffs, 0, sizeof(f->frame_diffs));
    while ((size = duet_read_bits(r, 2)) > 0) {
        if (f->frame_diff_count == DUET_FRAME_DIFFS_MAX)
            return DUET_ERR_MALFORMED;
        f->frame_diffs[f->frame_diff_count++] = (uint16_t)(duet_read_bits(r, 4 * size) + 1);
    }
    return DUET_OK;
}

/* The frame follows its template but for its own parts. */
static int frame_dependency_definition(duet_dependency_descriptor *d, const duet_dependency_structure *s, own_parts own,
                                       duet_bit_reader *r)
{
    const duet_frame_dependencies *t = duet_dependency_template(s, d->template_id);
    int err = DUET_OK;

    if (!t)
        return DUET_ERR_NOT_FOUND;
    d->frame = *t;
    if (own.dtis)
        duet_dependency_read_dtis(d->frame.dtis, s->decode_target_count, r);
    if (own.frame_diffs)
        err = frame_fdiffs(&d->frame, r);
    for (unsigned i = 0; i < s->chain_count && own.chains; i++)
        d->frame.chain_diffs[i] = (uint8_t)duet_read_bits(r, 8);
    return r->bytes.failed ? DUET_ERR_MALFORMED : err;
}

/* Behind the flags, with the structure that is valid from this packet on. */
static int finish(duet_dependency_descriptor *d, const duet_dependency_structure *s, own_parts own, duet_bit_reader *r)
{
    if (d->has_active_decode_targets)
        d->active_decode_targets = duet_read_bits(r, s->decode_target_count);
    return frame_dependency_definition(d, s, own, r);
}

static int read_new_structure(duet_dependency_descriptor *d, duet_dependency_structure *s, own_parts own,
                              duet_bit_reader *r)
{
    duet_dependency_structure next;

    int err = duet_dependency_structure_read(&next, r);
    if (err == DUET_OK)
        err = finish(d, &next, own, r);
    if (err == DUET_OK)
        *s = next;
    /* "MUST be in the range" of the structure that comes with it: nothing was lost here */
    return err == DUET_ERR_NOT_FOUND ? DUET_ERR_MALFORMED : err;
}

/* |S|E|template id|         frame number          |   then, with more than three bytes:
 * |T|A|D|F|C|  T: structure, A: active decode targets; own DTIs, frame diffs, chain diffs  */
int duet_dependency_descriptor_parse(duet_dependency_descriptor *out, duet_dependency_structure *structure,
                                     const uint8_t *data, size_t len)
{
    duet_bit_reader r = duet_bit_reader_init(duet_reader_init(data, len));
    own_parts own = {false, false, false};

    memset(out, 0, sizeof(*out));
    out->start_of_frame = duet_read_bits(&r, 1);
    out->end_of_frame = duet_read_bits(&r, 1);
    out->template_id = (uint8_t)duet_read_bits(&r, 6);
    out->frame_number = (uint16_t)duet_read_bits(&r, 16);
    if (len > MANDATORY_LEN) {
        out->has_structure = duet_read_bits(&r, 1);
        out->has_active_decode_targets = duet_read_bits(&r, 1);
        own.dtis = duet_read_bits(&r, 1);
        own.frame_diffs = duet_read_bits(&r, 1);
        own.chains = duet_read_bits(&r, 1);
    }
    if (r.bytes.failed)
        return DUET_ERR_MALFORMED;
    int err = out->has_structure ? read_new_structure(out, structure, own, &r) : finish(out, structure, own, &r);
    if (err == DUET_OK && out->has_active_decode_targets)
        structure->active_decode_targets = out->active_decode_targets;
    return err;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* How many units of four bits a frame diff needs. */
static unsigned diff_size(unsigned diff_minus_one)
{
    return diff_minus_one < 0x10 ? 1 : diff_minus_one < 0x100 ? 2 : 3;
}

static void write_frame_diffs(const duet_frame_dependencies *f, duet_bit_writer *w)
{
    for (unsigned i = 0; i < f->frame_diff_count; i++) {
        unsigned v = f->frame_diffs[i] - 1u, size = diff_size(v);
        duet_write_bits(w, size, 2);
        duet_write_bits(w, v, 4 * size);
    }
    duet_write_bits(w, 0, 2);
}

static own_parts compare(const duet_frame_dependencies *f, const duet_frame_dependencies *t,
                         const duet_dependency_structure *s)
{
    return (own_parts){
        .dtis = memcmp(f->dtis, t->dtis, s->decode_target_count) != 0,
        .frame_diffs = f->frame_diff_count != t->frame_diff_count ||
                       memcmp(f->frame_diffs, t->frame_diffs, f->frame_diff_count * sizeof(f->frame_diffs[0])) != 0,
        .chains = memcmp(f->chain_diffs, t->chain_diffs, s->chain_count) != 0,
    };
}

static bool is_valid(const duet_dependency_descriptor *d, const duet_dependency_structure *s)
{
    if (d->template_id >= DUET_DEPENDENCY_TEMPLATES_MAX || !duet_dependency_structure_is_valid(s))
        return false;
    const duet_frame_dependencies *t = duet_dependency_template(s, d->template_id);
    if (!t || t->spatial_id != d->frame.spatial_id || t->temporal_id != d->frame.temporal_id)
        return false;
    if (d->has_active_decode_targets && (d->active_decode_targets & ~duet_dependency_all_targets(s)) != 0)
        return false;
    return duet_dependencies_are_valid(&d->frame, s, FRAME_DIFF_MAX, CHAIN_DIFF_MAX);
}

static void write_extended(const duet_dependency_descriptor *d, const duet_dependency_structure *s, own_parts own,
                           duet_bit_writer *w)
{
    duet_write_bits(w, d->has_structure, 1);
    duet_write_bits(w, d->has_active_decode_targets, 1);
    duet_write_bits(w, own.dtis, 1);
    duet_write_bits(w, own.frame_diffs, 1);
    duet_write_bits(w, own.chains, 1);
    if (d->has_structure)
        duet_dependency_structure_write(s, w);
    if (d->has_active_decode_targets)
        duet_write_bits(w, d->active_decode_targets, s->decode_target_count);
    if (own.dtis)
        duet_dependency_write_dtis(d->frame.dtis, s->decode_target_count, w);
    if (own.frame_diffs)
        write_frame_diffs(&d->frame, w);
    for (unsigned i = 0; i < s->chain_count && own.chains; i++)
        duet_write_bits(w, d->frame.chain_diffs[i], 8);
}

int duet_dependency_descriptor_write(const duet_dependency_descriptor *descriptor,
                                     const duet_dependency_structure *structure, uint8_t *data, size_t capacity,
                                     size_t *len)
{
    duet_bit_writer w = duet_bit_writer_init(data, capacity);

    *len = 0;
    if (!is_valid(descriptor, structure))
        return DUET_ERR_INVALID;
    own_parts own =
        compare(&descriptor->frame, duet_dependency_template(structure, descriptor->template_id), structure);
    duet_write_bits(&w, descriptor->start_of_frame, 1);
    duet_write_bits(&w, descriptor->end_of_frame, 1);
    duet_write_bits(&w, descriptor->template_id, 6);
    duet_write_bits(&w, descriptor->frame_number, 16);
    if (descriptor->has_structure || descriptor->has_active_decode_targets || own.dtis || own.frame_diffs || own.chains)
        write_extended(descriptor, structure, own, &w);
    duet_bit_writer_align(&w);
    if (duet_writer_finish(&w.bytes) != DUET_OK)
        return DUET_ERR_BUFFER;
    *len = w.bytes.len;
    return DUET_OK;
}
