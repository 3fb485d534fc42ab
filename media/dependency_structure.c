/* The template dependency structure of a dependency descriptor: RTP Payload Format For AV1, section A.8.2. Functions that
 * read are named like the syntax there. */
#include "media/dependency_structure.h"
#include <string.h>

#define TEMPLATE_FRAME_DIFF_MAX 16
#define TEMPLATE_CHAIN_DIFF_MAX 15
#define RESOLUTION_MAX          65536

/* next_layer_idc, table A.2 */
enum {
    NEXT_SAME = 0,
    NEXT_TEMPORAL = 1,
    NEXT_SPATIAL = 2,
    NEXT_NONE = 3,
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int template_layers(duet_dependency_structure *s, duet_bit_reader *r)
{
    unsigned spatial_id = 0, temporal_id = 0, next;

    do {
        if (s->template_count == DUET_DEPENDENCY_TEMPLATES_MAX || spatial_id == DUET_SPATIAL_LAYERS_MAX ||
            temporal_id == DUET_DEPENDENCY_TEMPORAL_LAYERS_MAX)
            return DUET_ERR_MALFORMED;
        duet_frame_dependencies *t = &s->templates[s->template_count++];
        t->spatial_id = (uint8_t)spatial_id;
        t->temporal_id = (uint8_t)temporal_id;
        next = duet_read_bits(r, 2);
        if (next == NEXT_TEMPORAL)
            temporal_id++;
        if (next == NEXT_SPATIAL) {
            temporal_id = 0;
            spatial_id++;
        }
    } while (next != NEXT_NONE);
    s->spatial_count = (uint8_t)(spatial_id + 1);
    return DUET_OK;
}

void duet_dependency_read_dtis(uint8_t *dtis, unsigned count, duet_bit_reader *r)
{
    for (unsigned i = 0; i < count; i++)
        dtis[i] = (uint8_t)duet_read_bits(r, 2);
}

static int template_fdiffs(duet_frame_dependencies *t, duet_bit_reader *r)
{
    while (duet_read_bits(r, 1)) { /* fdiff_follows_flag */
        if (t->frame_diff_count == DUET_FRAME_DIFFS_MAX)
            return DUET_ERR_MALFORMED;
        t->frame_diffs[t->frame_diff_count++] = (uint16_t)(duet_read_bits(r, 4) + 1);
    }
    return DUET_OK;
}

static void template_chains(duet_dependency_structure *s, duet_bit_reader *r)
{
    s->chain_count = (uint8_t)duet_read_ns(r, s->decode_target_count + 1u);
    if (s->chain_count == 0)
        return;
    for (unsigned i = 0; i < s->decode_target_count; i++)
        s->decode_targets[i].protected_by = (uint8_t)duet_read_ns(r, s->chain_count);
    for (unsigned i = 0; i < s->template_count; i++)
        for (unsigned chain = 0; chain < s->chain_count; chain++)
            s->templates[i].chain_diffs[chain] = (uint8_t)duet_read_bits(r, 4);
}

/* The layer of a decode target is the highest of the templates that are present in it. */
static void decode_target_layers(duet_dependency_structure *s)
{
    for (unsigned i = 0; i < s->template_count; i++) {
        const duet_frame_dependencies *t = &s->templates[i];
        for (unsigned k = 0; k < s->decode_target_count; k++) {
            duet_decode_target *target = &s->decode_targets[k];
            if (t->dtis[k] == DUET_DTI_NOT_PRESENT)
                continue;
            if (target->spatial_id < t->spatial_id)
                target->spatial_id = t->spatial_id;
            if (target->temporal_id < t->temporal_id)
                target->temporal_id = t->temporal_id;
        }
    }
}

static void render_resolutions(duet_dependency_structure *s, duet_bit_reader *r)
{
    for (unsigned i = 0; i < s->spatial_count; i++) {
        s->resolutions[i].width = duet_read_bits(r, 16) + 1;
        s->resolutions[i].height = duet_read_bits(r, 16) + 1;
    }
}

int duet_dependency_structure_read(duet_dependency_structure *out, duet_bit_reader *r)
{
    memset(out, 0, sizeof(*out));
    out->template_id_offset = (uint8_t)duet_read_bits(r, 6);
    out->decode_target_count = (uint8_t)(duet_read_bits(r, 5) + 1);
    int err = template_layers(out, r);
    if (err != DUET_OK)
        return err;
    for (unsigned i = 0; i < out->template_count; i++)
        duet_dependency_read_dtis(out->templates[i].dtis, out->decode_target_count, r);
    for (unsigned i = 0; i < out->template_count && err == DUET_OK; i++)
        err = template_fdiffs(&out->templates[i], r);
    if (err != DUET_OK)
        return err;
    template_chains(out, r);
    decode_target_layers(out);
    out->has_resolutions = duet_read_bits(r, 1);
    if (out->has_resolutions)
        render_resolutions(out, r);
    out->active_decode_targets = duet_dependency_all_targets(out);
    return r->bytes.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

/* ---- what can be written ----------------------------------------------------------------------------------------- */

uint32_t duet_dependency_all_targets(const duet_dependency_structure *s)
{
    return (uint32_t)(((uint64_t)1 << s->decode_target_count) - 1);
}

bool duet_dependencies_are_valid(const duet_frame_dependencies *f, const duet_dependency_structure *s,
                                 unsigned frame_diff_max, unsigned chain_diff_max)
{
    if (f->frame_diff_count > DUET_FRAME_DIFFS_MAX)
        return false;
    for (unsigned i = 0; i < f->frame_diff_count; i++)
        if (f->frame_diffs[i] == 0 || f->frame_diffs[i] > frame_diff_max)
            return false;
    for (unsigned i = 0; i < s->chain_count; i++)
        if (f->chain_diffs[i] > chain_diff_max)
            return false;
    for (unsigned i = 0; i < s->decode_target_count; i++)
        if (f->dtis[i] > DUET_DTI_REQUIRED)
            return false;
    return true;
}

/* @return the next_layer_idc from one template to the next, NEXT_NONE when there is none */
static unsigned step(const duet_frame_dependencies *from, const duet_frame_dependencies *to)
{
    if (to->spatial_id == from->spatial_id && to->temporal_id == from->temporal_id)
        return NEXT_SAME;
    if (to->spatial_id == from->spatial_id && to->temporal_id == from->temporal_id + 1)
        return NEXT_TEMPORAL;
    if (to->spatial_id == from->spatial_id + 1 && to->temporal_id == 0)
        return NEXT_SPATIAL;
    return NEXT_NONE;
}

static bool templates_are_valid(const duet_dependency_structure *s)
{
    for (unsigned i = 0; i < s->template_count; i++) {
        const duet_frame_dependencies *t = &s->templates[i];
        bool in_order = i == 0 ? t->spatial_id == 0 && t->temporal_id == 0 : step(t - 1, t) != NEXT_NONE;
        if (!in_order || t->spatial_id >= DUET_SPATIAL_LAYERS_MAX ||
            t->temporal_id >= DUET_DEPENDENCY_TEMPORAL_LAYERS_MAX)
            return false;
        if (!duet_dependencies_are_valid(t, s, TEMPLATE_FRAME_DIFF_MAX, TEMPLATE_CHAIN_DIFF_MAX))
            return false;
    }
    return true;
}

static unsigned spatial_count(const duet_dependency_structure *s)
{
    return s->templates[s->template_count - 1].spatial_id + 1u;
}

static bool resolutions_are_valid(const duet_dependency_structure *s)
{
    for (unsigned i = 0; i < spatial_count(s); i++) {
        const duet_render_resolution *r = &s->resolutions[i];
        if (r->width == 0 || r->width > RESOLUTION_MAX || r->height == 0 || r->height > RESOLUTION_MAX)
            return false;
    }
    return true;
}

bool duet_dependency_structure_is_valid(const duet_dependency_structure *s)
{
    if (s->template_id_offset >= DUET_DEPENDENCY_TEMPLATES_MAX || s->template_count == 0 ||
        s->template_count > DUET_DEPENDENCY_TEMPLATES_MAX || s->decode_target_count == 0 ||
        s->decode_target_count > DUET_DECODE_TARGETS_MAX || s->chain_count > s->decode_target_count)
        return false;
    for (unsigned i = 0; i < s->decode_target_count && s->chain_count > 0; i++)
        if (s->decode_targets[i].protected_by >= s->chain_count)
            return false;
    return templates_are_valid(s) && (!s->has_resolutions || resolutions_are_valid(s));
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void write_layers(const duet_dependency_structure *s, duet_bit_writer *w)
{
    for (unsigned i = 1; i < s->template_count; i++)
        duet_write_bits(w, step(&s->templates[i - 1], &s->templates[i]), 2);
    duet_write_bits(w, NEXT_NONE, 2);
}

void duet_dependency_write_dtis(const uint8_t *dtis, unsigned count, duet_bit_writer *w)
{
    for (unsigned i = 0; i < count; i++)
        duet_write_bits(w, dtis[i], 2);
}

static void write_frame_diffs(const duet_frame_dependencies *t, duet_bit_writer *w)
{
    for (unsigned i = 0; i < t->frame_diff_count; i++) {
        duet_write_bits(w, 1, 1);
        duet_write_bits(w, t->frame_diffs[i] - 1u, 4);
    }
    duet_write_bits(w, 0, 1);
}

static void write_chains(const duet_dependency_structure *s, duet_bit_writer *w)
{
    duet_write_ns(w, s->decode_target_count + 1u, s->chain_count);
    if (s->chain_count == 0)
        return;
    for (unsigned i = 0; i < s->decode_target_count; i++)
        duet_write_ns(w, s->chain_count, s->decode_targets[i].protected_by);
    for (unsigned i = 0; i < s->template_count; i++)
        for (unsigned chain = 0; chain < s->chain_count; chain++)
            duet_write_bits(w, s->templates[i].chain_diffs[chain], 4);
}

void duet_dependency_structure_write(const duet_dependency_structure *s, duet_bit_writer *w)
{
    duet_write_bits(w, s->template_id_offset, 6);
    duet_write_bits(w, s->decode_target_count - 1u, 5);
    write_layers(s, w);
    for (unsigned i = 0; i < s->template_count; i++)
        duet_dependency_write_dtis(s->templates[i].dtis, s->decode_target_count, w);
    for (unsigned i = 0; i < s->template_count; i++)
        write_frame_diffs(&s->templates[i], w);
    write_chains(s, w);
    duet_write_bits(w, s->has_resolutions, 1);
    for (unsigned i = 0; i < spatial_count(s) && s->has_resolutions; i++) {
        duet_write_bits(w, s->resolutions[i].width - 1, 16);
        duet_write_bits(w, s->resolutions[i].height - 1, 16);
    }
}
