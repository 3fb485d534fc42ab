/* Packetizers and depacketizers, without what is particular to a format: lives, bounds, and the table of formats. */
#include "media/payload_internal.h"
#include <string.h>
#include <strings.h>

#define PAYLOAD_MAX_DEFAULT 1100
#define FRAME_MAX_DEFAULT   (4u << 20)

static const duet_payload_ops *ops_of(duet_payload_format format)
{
    switch (format) {
    case DUET_PAYLOAD_OPUS:
        return &duet_payload_opus;
    case DUET_PAYLOAD_G711:
        return &duet_payload_g711;
    case DUET_PAYLOAD_VP8:
        return &duet_payload_vp8;
    case DUET_PAYLOAD_VP9:
        return &duet_payload_vp9;
    case DUET_PAYLOAD_H264:
        return &duet_payload_h264;
    case DUET_PAYLOAD_H265:
        return &duet_payload_h265;
    case DUET_PAYLOAD_AV1:
        return &duet_payload_av1;
    case DUET_PAYLOAD_NONE:
    default:
        return NULL;
    }
}

duet_payload_format duet_payload_format_of(const char *encoding_name)
{
    static const struct {
        const char *name;
        duet_payload_format format;
    } names[] = {
        {"opus", DUET_PAYLOAD_OPUS}, {"PCMU", DUET_PAYLOAD_G711}, {"PCMA", DUET_PAYLOAD_G711},
        {"VP8", DUET_PAYLOAD_VP8},   {"VP9", DUET_PAYLOAD_VP9},   {"H264", DUET_PAYLOAD_H264},
        {"H265", DUET_PAYLOAD_H265}, {"AV1", DUET_PAYLOAD_AV1},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(names[i].name, encoding_name) == 0)
            return names[i].format;
    return DUET_PAYLOAD_NONE;
}

bool duet_payload_format_is_video(duet_payload_format format)
{
    const duet_payload_ops *ops = ops_of(format);

    return ops && ops->is_video;
}

int duet_payload_inspect(duet_payload_format format, const uint8_t *payload, size_t len, duet_payload_info *out)
{
    const duet_payload_ops *ops = ops_of(format);

    *out = (duet_payload_info){.picture_id = -1, .tl0_picture_index = -1, .temporal_id = -1, .spatial_id = -1};
    if (!ops)
        return DUET_ERR_UNSUPPORTED;
    if (len == 0)
        return DUET_ERR_MALFORMED;
    return ops->inspect(duet_reader_init(payload, len), out);
}

/* ---- frames to payloads ------------------------------------------------------------------------------------------ */

void duet_packetizer_config_init(duet_packetizer_config *config)
{
    *config = (duet_packetizer_config){.size = sizeof(*config)};
}

static size_t payload_max_of(size_t wanted)
{
    if (wanted == 0)
        return PAYLOAD_MAX_DEFAULT;
    if (wanted < DUET_PAYLOAD_MAX_LEAST)
        return DUET_PAYLOAD_MAX_LEAST;
    return wanted > DUET_PAYLOAD_MAX_MOST ? DUET_PAYLOAD_MAX_MOST : wanted;
}

int duet_packetizer_create(duet_packetizer **out, const duet_packetizer_config *config)
{
    const duet_payload_ops *ops = ops_of(config->format);

    *out = NULL;
    if (!ops)
        return DUET_ERR_UNSUPPORTED;
    duet_env env = duet_env_resolve(config->env);
    duet_packetizer *p = duet_calloc(&env, sizeof(*p));
    if (!p)
        return DUET_ERR_NOMEM;
    p->env = env;
    p->ops = ops;
    p->payload_max_next = payload_max_of(config->payload_max);
    p->next_picture = config->first_picture_id & 0x7FFF;
    p->h264_mode_0 = config->h264_mode_0;
    *out = p;
    return DUET_OK;
}

void duet_packetizer_destroy(duet_packetizer *p)
{
    if (!p)
        return;
    duet_env env = p->env;
    duet_free(&env, p);
}

void duet_packetizer_set_payload_max(duet_packetizer *p, size_t payload_max)
{
    p->payload_max_next = payload_max_of(payload_max);
}

int duet_packetizer_begin(duet_packetizer *p, const uint8_t *frame, size_t len, const duet_frame_info *info)
{
    p->payload_max = p->payload_max_next;
    p->frame = duet_reader_init(frame, len);
    p->unit = (duet_bytes){NULL, 0};
    p->unit_sent = p->header_len = p->wire_left = 0;
    p->at_start = true;
    p->has_info = info != NULL;
    p->info = info ? *info : (duet_frame_info){.temporal_id = -1};
    int err = len ? p->ops->begin(p) : DUET_ERR_INVALID;
    if (err) {
        p->frame = duet_reader_init(NULL, 0);
        p->unit = (duet_bytes){NULL, 0};
        p->wire_left = 0;
    }
    return err;
}

int duet_packetizer_next(duet_packetizer *p, uint8_t *data, size_t capacity, size_t *len, bool *marker)
{
    if (p->ops->is_done(p))
        return 0;
    if (capacity < p->payload_max)
        return DUET_ERR_BUFFER;
    duet_writer w = duet_writer_init(data, p->payload_max);
    p->ops->next(p, &w);
    p->at_start = false;
    *len = w.len;
    *marker = p->ops->is_video && p->ops->is_done(p);
    return 1;
}

size_t duet_payload_share(size_t left, size_t extra, size_t room)
{
    size_t total = left + extra;
    size_t payloads = (total + room - 1) / room;
    size_t share = (total + payloads - 1) / payloads;

    return share > extra ? share - extra : 1;
}

void duet_payload_take(duet_packetizer *p, duet_writer *w, size_t len)
{
    duet_bytes bytes = duet_read_bytes(&p->frame, len);

    duet_write_bytes(w, bytes.data, bytes.len);
}

bool duet_payload_frame_taken(const duet_packetizer *p)
{
    return duet_reader_left(&p->frame) == 0;
}

void duet_payload_count_picture(duet_packetizer *p)
{
    p->picture_id = p->next_picture;
    p->next_picture = (p->next_picture + 1) & 0x7FFF;
    if (p->info.temporal_id == 0)
        p->tl0_index++;
}

/* ---- payloads to frames ------------------------------------------------------------------------------------------ */

int duet_depacketizer_create(duet_depacketizer **out, const duet_env *env, duet_payload_format format, size_t frame_max)
{
    const duet_payload_ops *ops = ops_of(format);

    *out = NULL;
    if (!ops)
        return DUET_ERR_UNSUPPORTED;
    duet_env resolved = duet_env_resolve(env);
    duet_depacketizer *d = duet_calloc(&resolved, sizeof(*d));
    if (!d)
        return DUET_ERR_NOMEM;
    d->env = resolved;
    d->ops = ops;
    d->frame_max = frame_max ? frame_max : FRAME_MAX_DEFAULT;
    duet_buffer_init(&d->frame, &d->env);
    *out = d;
    return DUET_OK;
}

void duet_depacketizer_destroy(duet_depacketizer *d)
{
    if (!d)
        return;
    duet_env env = d->env;
    duet_buffer_free(&d->frame);
    duet_free(&env, d);
}

void duet_depacketizer_begin(duet_depacketizer *d)
{
    duet_buffer_clear(&d->frame);
    d->err = DUET_OK;
    d->payloads = 0;
    d->in_fragment = d->is_complete = false;
    d->unit_start = 0;
    d->layers = 0;
}

int duet_depacketizer_add(duet_depacketizer *d, const uint8_t *payload, size_t len)
{
    if (d->err)
        return d->err;
    if (d->is_complete)
        return DUET_ERR_STATE;
    d->err = len ? d->ops->add(d, duet_reader_init(payload, len)) : DUET_ERR_MALFORMED;
    d->payloads++;
    return d->err;
}

int duet_depacketizer_end(duet_depacketizer *d, const uint8_t **frame, size_t *len)
{
    *frame = NULL;
    *len = 0;
    if (d->err)
        return d->err;
    if (d->in_fragment || d->frame.len == 0)
        return DUET_ERR_MALFORMED;
    if (!d->is_complete && d->ops->end)
        d->err = d->ops->end(d);
    if (d->err)
        return d->err;
    d->is_complete = true;
    *frame = d->frame.data;
    *len = d->frame.len;
    return DUET_OK;
}

void duet_payload_read_picture_id(duet_reader *r, duet_payload_info *out)
{
    if (duet_peek_u8(r, 0) & 0x80) {
        out->picture_id = duet_read_u16(r) & 0x7FFF;
        out->picture_id_bits = 15;
    } else {
        out->picture_id = duet_read_u8(r);
        out->picture_id_bits = 7;
    }
}

int duet_payload_append(duet_depacketizer *d, duet_bytes bytes)
{
    if (bytes.len > d->frame_max - d->frame.len)
        return DUET_ERR_TOO_LARGE;
    duet_buffer_append(&d->frame, bytes.data, bytes.len);
    return d->frame.failed ? DUET_ERR_NOMEM : DUET_OK;
}
