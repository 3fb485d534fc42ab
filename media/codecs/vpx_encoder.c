/* VP8 and VP9 encoding by libvpx in real time: constant bit rate, no look-ahead, one layer. */
#include "media/codecs/vpx.h"
#include <stdlib.h>
#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

#define BITRATE_DEFAULT   500000
#define FRAMERATE_DEFAULT 30
#define KEYFRAME_DEFAULT  3000
#define CLOCK             90000 /* ticks a second, as in RTP */
#define SPEED_MAX_VP8     16    /* cpu-used, either way */
#define SPEED_MAX_VP9     9
#define PAUSE_STEPS       2     /* what lasts so many times as long as usual is a pause */
#define USUAL_OF          4     /* about so many steps tell what is usual */
#define SIZE_MAX_VPX      16383 /* VP8 has 14 bits, RFC 6386 section 9.1 */

/* The rate control's model of the receiver's buffer, in milliseconds: small, because nobody waits in a call. */
#define BUFFER         1000
#define BUFFER_INITIAL 500
#define BUFFER_OPTIMAL 600

struct duet_video_encoder {
    duet_env env;
    bool is_vp8;
    bool is_open; /* libvpx has an encoder of the size in `settings` */
    bool screen;
    int8_t speed;
    uint8_t framerate;
    vpx_codec_iface_t *interface;
    vpx_codec_ctx_t codec;
    vpx_codec_enc_cfg_t settings;
    int64_t last_time, usual_step; /* of the pictures, in ticks; no picture yet: last_pts < 0 */
    vpx_codec_pts_t last_pts;
};

void duet_video_encoder_config_init(duet_video_encoder_config *config)
{
    *config = (duet_video_encoder_config){.size = sizeof(*config)};
}

static unsigned kilobits(uint32_t bits_per_second)
{
    return bits_per_second < 1000 ? 1 : bits_per_second / 1000;
}

static int configure(duet_video_encoder *e, const duet_video_encoder_config *config)
{
    vpx_codec_enc_cfg_t *s = &e->settings;

    int err = duet_vpx_error(vpx_codec_enc_config_default(e->interface, s, 0));
    if (err)
        return err;
    s->g_w = config->width;
    s->g_h = config->height;
    s->g_timebase = (vpx_rational_t){1, CLOCK};
    s->g_pass = VPX_RC_ONE_PASS;
    s->g_lag_in_frames = 0;
    s->g_threads = config->threads ? config->threads : 1;
    /* A decoder can go on behind a lost frame, and needs no key frame when the loss is repaired by another one. */
    s->g_error_resilient = VPX_ERROR_RESILIENT_DEFAULT;
    s->rc_end_usage = VPX_CBR;
    s->rc_target_bitrate = kilobits(config->bitrate ? config->bitrate : BITRATE_DEFAULT);
    s->rc_min_quantizer = 2;
    s->rc_max_quantizer = e->is_vp8 ? 56 : 52;
    s->rc_undershoot_pct = e->is_vp8 ? 100 : 50;
    s->rc_overshoot_pct = e->is_vp8 ? 15 : 50;
    s->rc_buf_sz = BUFFER;
    s->rc_buf_initial_sz = BUFFER_INITIAL;
    s->rc_buf_optimal_sz = BUFFER_OPTIMAL;
    s->rc_dropframe_thresh = 30; /* percent of the buffer: rather fewer frames than a growing delay */
    s->rc_resize_allowed = 0;
    s->kf_mode = VPX_KF_AUTO;
    s->kf_max_dist = config->keyframe_every ? config->keyframe_every : KEYFRAME_DEFAULT;
    return DUET_OK;
}

/* libvpx' cpu-used: the larger (VP8: the more negative) the faster. Larger pictures have less time for each pixel. */
static int speed_of(const duet_video_encoder *e)
{
    unsigned pixels = e->settings.g_w * e->settings.g_h;

    if (e->speed != 0)
        return e->speed;
    if (e->is_vp8)
        return pixels <= 352 * 288 ? -4 : pixels <= 640 * 480 ? -6 : pixels <= 1280 * 720 ? -8 : -12;
    return pixels <= 352 * 288 ? 6 : pixels <= 640 * 480 ? 7 : 8;
}

/* Columns of tiles are at least 256 pixels wide; each can have a thread. */
static int tile_columns(const duet_video_encoder *e)
{
    int log2 = 0;

    while (log2 < 2 && (2u << log2) <= e->settings.g_threads && (512u << log2) <= e->settings.g_w)
        log2++;
    return log2;
}

static int control_vp8(duet_video_encoder *e)
{
    vpx_codec_err_t err = vpx_codec_control(&e->codec, VP8E_SET_STATIC_THRESHOLD, e->screen ? 100 : 1);

    if (!err)
        err = vpx_codec_control(&e->codec, VP8E_SET_TOKEN_PARTITIONS, VP8_ONE_TOKENPARTITION);
    if (!err)
        err = vpx_codec_control(&e->codec, VP8E_SET_SCREEN_CONTENT_MODE, e->screen);
    return duet_vpx_error(err);
}

static int control_vp9(duet_video_encoder *e)
{
    vpx_codec_err_t err = vpx_codec_control(&e->codec, VP9E_SET_AQ_MODE, 3); /* cyclic refresh */

    if (!err)
        err = vpx_codec_control(&e->codec, VP9E_SET_TILE_COLUMNS, tile_columns(e));
    if (!err)
        err = vpx_codec_control(&e->codec, VP9E_SET_ROW_MT, e->settings.g_threads > 1);
    if (!err)
        err = vpx_codec_control(&e->codec, VP9E_SET_FRAME_PARALLEL_DECODING, 0);
    if (!err)
        err =
            vpx_codec_control(&e->codec, VP9E_SET_TUNE_CONTENT, e->screen ? VP9E_CONTENT_SCREEN : VP9E_CONTENT_DEFAULT);
    return duet_vpx_error(err);
}

/* A key frame may take half of the optimal buffer, in percent of the bits of an average frame, but three frames' in
 * any case. */
static unsigned intra_bitrate_max(const duet_video_encoder *e)
{
    unsigned percent = BUFFER_OPTIMAL / 2 * e->framerate / 10;

    return percent < 300 ? 300 : percent;
}

static void close_codec(duet_video_encoder *e)
{
    if (e->is_open)
        vpx_codec_destroy(&e->codec);
    e->is_open = false;
}

static int open_codec(duet_video_encoder *e)
{
    int err = duet_vpx_error(vpx_codec_enc_init(&e->codec, e->interface, &e->settings, 0));

    if (err)
        return err;
    e->is_open = true;
    err = duet_vpx_error(vpx_codec_control(&e->codec, VP8E_SET_CPUUSED, speed_of(e)));
    if (!err)
        err = duet_vpx_error(vpx_codec_control(&e->codec, VP8E_SET_MAX_INTRA_BITRATE_PCT, intra_bitrate_max(e)));
    if (!err)
        err = e->is_vp8 ? control_vp8(e) : control_vp9(e);
    if (err)
        close_codec(e);
    return err;
}

static bool size_is_possible(uint16_t width, uint16_t height)
{
    return width > 0 && height > 0 && width <= SIZE_MAX_VPX && height <= SIZE_MAX_VPX;
}

static vpx_codec_iface_t *interface_of(duet_payload_format format)
{
    if (format == DUET_PAYLOAD_VP8)
        return vpx_codec_vp8_cx();
    return format == DUET_PAYLOAD_VP9 ? vpx_codec_vp9_cx() : NULL;
}

int duet_video_encoder_create(duet_video_encoder **out, const duet_video_encoder_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_payload_format format = duet_payload_format_of(config->codec.name);
    vpx_codec_iface_t *interface = interface_of(format);

    *out = NULL;
    if (!interface)
        return DUET_ERR_UNSUPPORTED;
    int speed_max = format == DUET_PAYLOAD_VP8 ? SPEED_MAX_VP8 : SPEED_MAX_VP9;
    if (!size_is_possible(config->width, config->height) || abs(config->speed) > speed_max)
        return DUET_ERR_INVALID;
    duet_video_encoder *e = duet_calloc(&env, sizeof(*e));
    if (!e)
        return DUET_ERR_NOMEM;
    e->env = env;
    e->interface = interface;
    e->is_vp8 = format == DUET_PAYLOAD_VP8;
    e->screen = config->screen;
    e->speed = config->speed;
    e->framerate = config->framerate ? config->framerate : FRAMERATE_DEFAULT;
    e->last_pts = -1;
    e->usual_step = CLOCK / e->framerate;
    int err = configure(e, config);
    if (!err)
        err = open_codec(e);
    if (err) {
        duet_free(&env, e);
        return err;
    }
    *out = e;
    return DUET_OK;
}

void duet_video_encoder_destroy(duet_video_encoder *e)
{
    if (!e)
        return;
    duet_env env = e->env;
    close_codec(e);
    duet_free(&env, e);
}

/* libvpx' encoders cannot grow beyond the size they began with, so another size is another encoder. */
static int follow_size(duet_video_encoder *e, const duet_video_frame *frame)
{
    if (e->is_open && frame->width == e->settings.g_w && frame->height == e->settings.g_h)
        return DUET_OK;
    if (!size_is_possible(frame->width, frame->height))
        return DUET_ERR_INVALID;
    close_codec(e);
    e->settings.g_w = frame->width;
    e->settings.g_h = frame->height;
    return open_codec(e);
}

static void wrap(vpx_image_t *image, const duet_video_frame *frame)
{
    vpx_img_wrap(image, VPX_IMG_FMT_I420, frame->width, frame->height, 1, (unsigned char *)frame->planes[0]);
    for (int i = 0; i < 3; i++) {
        image->planes[i] = (unsigned char *)frame->planes[i];
        image->stride[i] = (int)frame->strides[i];
    }
}

/* How long the picture before this one lasted. Never nothing, although the caller's clock may be set back; and no pause, or
 * the rate control would spend the bits of all that time on one picture. Pictures that always come slowly are no pauses. */
static int64_t step_to(duet_video_encoder *e, int64_t now)
{
    int64_t nominal = CLOCK / e->framerate, step = now > e->last_time ? now - e->last_time : nominal;
    int64_t longest = PAUSE_STEPS * (e->usual_step > nominal ? e->usual_step : nominal);

    e->usual_step += ((step < CLOCK ? step : CLOCK) - e->usual_step) / USUAL_OF;
    return step < longest ? step : longest;
}

static vpx_codec_pts_t next_pts(duet_video_encoder *e, duet_time time)
{
    int64_t now = (int64_t)(time / 100 * (CLOCK / 10000));

    e->last_pts = e->last_pts < 0 ? 0 : e->last_pts + step_to(e, now);
    e->last_time = now;
    return e->last_pts;
}

static void take_packet(duet_video_encoder *e, duet_encoded_frame *out)
{
    vpx_codec_iter_t iterator = NULL;
    const vpx_codec_cx_pkt_t *packet;

    while ((packet = vpx_codec_get_cx_data(&e->codec, &iterator))) {
        if (packet->kind != VPX_CODEC_CX_FRAME_PKT)
            continue;
        out->data = packet->data.frame.buf;
        out->len = packet->data.frame.sz;
        out->info.is_keyframe = packet->data.frame.flags & VPX_FRAME_IS_KEY;
        out->info.is_discardable = packet->data.frame.flags & VPX_FRAME_IS_DROPPABLE;
        out->info.width = (uint16_t)(out->info.is_keyframe ? e->settings.g_w : 0);
        out->info.height = (uint16_t)(out->info.is_keyframe ? e->settings.g_h : 0);
        return;
    }
}

int duet_video_encoder_encode(duet_video_encoder *e, const duet_video_frame *frame, duet_time time, bool keyframe,
                              duet_encoded_frame *out)
{
    vpx_image_t image;

    *out = (duet_encoded_frame){.info = {.temporal_id = -1}};
    int err = follow_size(e, frame);
    if (err)
        return err;
    wrap(&image, frame);
    vpx_enc_frame_flags_t flags = keyframe ? VPX_EFLAG_FORCE_KF : 0;
    err = duet_vpx_error(
        vpx_codec_encode(&e->codec, &image, next_pts(e, time), CLOCK / e->framerate, flags, VPX_DL_REALTIME));
    if (!err)
        take_packet(e, out);
    return err;
}

int duet_video_encoder_set_bitrate(duet_video_encoder *e, uint32_t bits_per_second)
{
    e->settings.rc_target_bitrate = kilobits(bits_per_second);
    return e->is_open ? duet_vpx_error(vpx_codec_enc_config_set(&e->codec, &e->settings)) : DUET_OK;
}
