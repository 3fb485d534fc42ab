/* Dependency descriptors and video layers allocations as JSON. */
#include "inspect_extensions.h"
#include "inspect_layout.h"

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

static json_t *warning(const char *text)
{
    return json_pack("{s:s}", "warning", text);
}

/* ---- dependency descriptor --------------------------------------------------------------------------------------- */

static void set_dependencies(json_t *out, const duet_frame_dependencies *f, const duet_dependency_structure *s)
{
    char dtis[DUET_DECODE_TARGETS_MAX + 1] = {0};
    json_t *frame_diffs = json_array(), *chain_diffs = json_array();

    for (unsigned i = 0; i < s->decode_target_count; i++)
        dtis[i] = "-DSR"[f->dtis[i]]; /* the symbols of table A.1 */
    for (unsigned i = 0; i < f->frame_diff_count; i++)
        json_array_append_new(frame_diffs, number(f->frame_diffs[i]));
    for (unsigned i = 0; i < s->chain_count; i++)
        json_array_append_new(chain_diffs, number(f->chain_diffs[i]));
    inspect_set(out, "spatialId", number(f->spatial_id));
    inspect_set(out, "temporalId", number(f->temporal_id));
    inspect_set(out, "decodeTargetIndications", json_string(dtis));
    inspect_set(out, "frameDiffs", frame_diffs);
    inspect_set(out, "chainDiffs", chain_diffs);
}

static json_t *decode_targets_of(const duet_dependency_structure *s)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < s->decode_target_count; i++) {
        const duet_decode_target *target = &s->decode_targets[i];
        json_t *item = json_object();
        inspect_set(item, "spatialId", number(target->spatial_id));
        inspect_set(item, "temporalId", number(target->temporal_id));
        if (s->chain_count)
            inspect_set(item, "protectedBy", number(target->protected_by));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *structure_of(const duet_dependency_structure *s)
{
    json_t *out = json_object(), *templates = json_array(), *resolutions = json_array();

    for (unsigned i = 0; i < s->template_count; i++) {
        json_t *item = json_object();
        inspect_set(item, "id", number((s->template_id_offset + i) % DUET_DEPENDENCY_TEMPLATES_MAX));
        set_dependencies(item, &s->templates[i], s);
        json_array_append_new(templates, item);
    }
    for (unsigned i = 0; i < s->spatial_count && s->has_resolutions; i++)
        json_array_append_new(resolutions, json_pack("{s:I,s:I}", "width", (json_int_t)s->resolutions[i].width,
                                                     "height", (json_int_t)s->resolutions[i].height));
    inspect_set(out, "templates", templates);
    inspect_set(out, "decodeTargets", decode_targets_of(s));
    inspect_set(out, "chainCount", number(s->chain_count));
    inspect_set(out, "resolutions", resolutions);
    return out;
}

static json_t *active_of(uint32_t mask)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < DUET_DECODE_TARGETS_MAX; i++)
        if (mask >> i & 1u)
            json_array_append_new(list, number(i));
    return list;
}

json_t *inspect_dependency_descriptor(duet_dependency_structure *structure, const uint8_t *data, size_t len)
{
    duet_dependency_descriptor d;

    int err = duet_dependency_descriptor_parse(&d, structure, data, len);
    if (err != DUET_OK && err != DUET_ERR_NOT_FOUND)
        return warning("this is no dependency descriptor");
    json_t *out = json_object();
    inspect_set(out, "startOfFrame", json_boolean(d.start_of_frame));
    inspect_set(out, "endOfFrame", json_boolean(d.end_of_frame));
    inspect_set(out, "templateId", number(d.template_id));
    inspect_set(out, "frameNumber", number(d.frame_number));
    if (err == DUET_ERR_NOT_FOUND) {
        inspect_set(out, "warning", json_string("no structure with this template has come before"));
        return out;
    }
    set_dependencies(out, &d.frame, structure);
    inspect_set(out, "activeDecodeTargets", active_of(structure->active_decode_targets));
    if (d.has_structure)
        inspect_set(out, "structure", structure_of(structure));
    return out;
}

/* ---- video layers allocation ------------------------------------------------------------------------------------- */

static json_t *layer_of(const duet_allocated_layer *layer, unsigned spatial_id, bool has_resolution)
{
    json_t *out = json_object(), *rates = json_array();

    for (unsigned i = 0; i < layer->temporal_count; i++)
        json_array_append_new(rates, number(layer->kilobits[i]));
    inspect_set(out, "spatialId", number(spatial_id));
    inspect_set(out, "kilobitsPerSecond", rates);
    if (has_resolution) {
        inspect_set(out, "width", number(layer->width));
        inspect_set(out, "height", number(layer->height));
        inspect_set(out, "frameRate", number(layer->frame_rate));
    }
    return out;
}

json_t *inspect_layers_allocation(const uint8_t *data, size_t len)
{
    duet_layers_allocation a;

    if (duet_layers_allocation_parse(&a, data, len) != DUET_OK)
        return warning("this is no video layers allocation");
    json_t *out = json_object(), *streams = json_array();
    for (unsigned stream = 0; stream < a.stream_count; stream++) {
        json_t *layers = json_array();
        for (unsigned i = 0; i < DUET_SPATIAL_LAYERS_MAX; i++)
            if (a.layers[stream][i].temporal_count)
                json_array_append_new(layers, layer_of(&a.layers[stream][i], i, a.has_resolutions));
        json_array_append_new(streams, layers);
    }
    inspect_set(out, "streamIndex", number(a.stream_index));
    inspect_set(out, "streams", streams);
    return out;
}
