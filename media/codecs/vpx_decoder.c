/* VP8 and VP9 decoding by libvpx. What a frame says about its size is looked at before libvpx sees it, so that nobody
 * can make it allocate more than was allowed. */
#include "media/codecs/vpx.h"
#include "media/vpx_header.h"
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>

#define SIZE_MAX_DEFAULT 8192

struct duet_video_decoder {
    duet_env env;
    bool is_vp8;
    uint16_t width_max, height_max;
    vpx_codec_ctx_t codec;
    duet_buffer indexed; /* VP9: the frame with an index behind it; its memory is kept */
};

void duet_video_decoder_config_init(duet_video_decoder_config *config)
{
    *config = (duet_video_decoder_config){.size = sizeof(*config)};
}

static vpx_codec_iface_t *interface_of(duet_payload_format format)
{
    if (format == DUET_PAYLOAD_VP8)
        return vpx_codec_vp8_dx();
    return format == DUET_PAYLOAD_VP9 ? vpx_codec_vp9_dx() : NULL;
}

int duet_video_decoder_create(duet_video_decoder **out, const duet_video_decoder_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_payload_format format = duet_payload_format_of(config->codec.name);
    vpx_codec_iface_t *interface = interface_of(format);
    vpx_codec_dec_cfg_t settings = {.threads = config->threads ? config->threads : 1};

    *out = NULL;
    if (!interface)
        return DUET_ERR_UNSUPPORTED;
    duet_video_decoder *d = duet_calloc(&env, sizeof(*d));
    if (!d)
        return DUET_ERR_NOMEM;
    d->env = env;
    d->is_vp8 = format == DUET_PAYLOAD_VP8;
    d->width_max = config->width_max ? config->width_max : SIZE_MAX_DEFAULT;
    d->height_max = config->height_max ? config->height_max : SIZE_MAX_DEFAULT;
    duet_buffer_init(&d->indexed, &d->env);
    int err = duet_vpx_error(vpx_codec_dec_init(&d->codec, interface, &settings, 0));
    if (err) {
        duet_free(&env, d);
        return err;
    }
    *out = d;
    return DUET_OK;
}

void duet_video_decoder_destroy(duet_video_decoder *d)
{
    if (!d)
        return;
    duet_env env = d->env;
    vpx_codec_destroy(&d->codec);
    duet_buffer_free(&d->indexed);
    duet_free(&env, d);
}

static int check_header(const duet_video_decoder *d, int err, const duet_vpx_header *header)
{
    if (err)
        return err;
    if (header->is_keyframe && (header->width == 0 || header->height == 0))
        return DUET_ERR_MALFORMED;
    return header->width > d->width_max || header->height > d->height_max ? DUET_ERR_TOO_LARGE : DUET_OK;
}

static int check_vp8(const duet_video_decoder *d, const uint8_t *data, size_t len)
{
    duet_vpx_header header;
    int err = duet_vp8_header_parse(&header, duet_reader_init(data, len));

    return check_header(d, err, &header);
}

/* Checks each frame of a superframe. @return 1, 0 when it is none, or an error */
static int check_superframe(const duet_video_decoder *d, const uint8_t *data, size_t len)
{
    size_t lens[DUET_VP9_FRAMES_MAX], index_len;
    unsigned count = duet_vp9_index_parse(duet_reader_init(data, len), lens, &index_len);

    if (count == 0)
        return 0;
    duet_reader r = duet_reader_init(data, len - index_len);
    for (unsigned i = 0; i < count; i++) {
        duet_vpx_header header;
        int err = duet_vp9_header_parse(&header, duet_read_sub(&r, lens[i]));
        err = check_header(d, err, &header);
        if (err)
            return err;
    }
    return 1;
}

/* libvpx takes what follows a frame for another one, whose beginning nobody but a decoder can find. An index says that
 * there is none. @return DUET_OK and d->indexed */
static int add_index(duet_video_decoder *d, const uint8_t *data, size_t len)
{
    uint8_t index[DUET_VP9_INDEX_MAX];

    if (len > UINT32_MAX)
        return DUET_ERR_TOO_LARGE;
    duet_buffer_clear(&d->indexed);
    duet_buffer_append(&d->indexed, data, len);
    duet_buffer_append(&d->indexed, index, duet_vp9_index_write(index, &len, 1));
    return d->indexed.failed ? DUET_ERR_NOMEM : DUET_OK;
}

/* Makes `data` what libvpx may see. */
static int prepare_vp9(duet_video_decoder *d, const uint8_t **data, size_t *len)
{
    duet_vpx_header header;
    int err = check_superframe(d, *data, *len);

    if (err != 0)
        return err > 0 ? DUET_OK : err;
    err = check_header(d, duet_vp9_header_parse(&header, duet_reader_init(*data, *len)), &header);
    if (!err)
        err = add_index(d, *data, *len);
    if (err)
        return err;
    *data = d->indexed.data;
    *len = d->indexed.len;
    return DUET_OK;
}

/* Of a superframe the last picture. */
static int take_picture(duet_video_decoder *d, duet_video_frame *out)
{
    vpx_codec_iter_t iterator = NULL;
    vpx_image_t *image = NULL, *next;

    while ((next = vpx_codec_get_frame(&d->codec, &iterator)))
        image = next;
    if (!image)
        return DUET_ERR_AGAIN;
    if (image->fmt != VPX_IMG_FMT_I420)
        return DUET_ERR_UNSUPPORTED;
    if (image->d_w > d->width_max || image->d_h > d->height_max)
        return DUET_ERR_TOO_LARGE;
    out->width = (uint16_t)image->d_w;
    out->height = (uint16_t)image->d_h;
    for (int i = 0; i < 3; i++) {
        out->planes[i] = image->planes[i];
        out->strides[i] = (size_t)image->stride[i];
    }
    return DUET_OK;
}

/* The picture that was taken last, or, of VP8, one that it refers to. */
static bool is_corrupted(duet_video_decoder *d)
{
    int corrupted = 0;

    return vpx_codec_control(&d->codec, VP8D_GET_FRAME_CORRUPTED, &corrupted) == VPX_CODEC_OK && corrupted;
}

int duet_video_decoder_decode(duet_video_decoder *d, const uint8_t *data, size_t len, duet_video_frame *out)
{
    *out = (duet_video_frame){0};
    if (len == 0)
        return DUET_ERR_MALFORMED;
    int err = d->is_vp8 ? check_vp8(d, data, len) : prepare_vp9(d, &data, &len);
    if (err)
        return err;
    if (len > UINT32_MAX)
        return DUET_ERR_TOO_LARGE;
    /* Every failure is the data's: libvpx says "out of memory" for damaged frames as well. */
    if (vpx_codec_decode(&d->codec, data, (unsigned)len, NULL, 0) != VPX_CODEC_OK)
        return DUET_ERR_MALFORMED;
    err = take_picture(d, out);
    return err ? err : is_corrupted(d) ? DUET_ERR_MALFORMED : DUET_OK;
}
