/* The codecs of an m-section: rtpmap, fmtp and rtcp-fb joined by payload type (RFC 8866 sections 6.6 and 6.15, RFC 4585),
 * with the static payload types of RFC 3551 section 6, and the same written as attributes. */
#include "sdp/internal.h"

#include <string.h>

static const struct {
    const char *text;
    uint32_t bit;
} feedback_names[] = {
    {"goog-remb", DUET_FEEDBACK_GOOG_REMB}, {"transport-cc", DUET_FEEDBACK_TRANSPORT_CC},
    {"ccm fir", DUET_FEEDBACK_CCM_FIR},     {"nack", DUET_FEEDBACK_NACK},
    {"nack pli", DUET_FEEDBACK_NACK_PLI},   {"ack ccfb", DUET_FEEDBACK_CCFB},
};

#define FEEDBACK_COUNT (sizeof(feedback_names) / sizeof(feedback_names[0]))

/* RFC 3551 section 6, tables 4 and 5: what still occurs. */
static const duet_codec static_codecs[] = {
    {.name = "PCMU", .payload_type = 0, .clock_rate = 8000, .channels = 1},
    {.name = "GSM", .payload_type = 3, .clock_rate = 8000, .channels = 1},
    {.name = "G723", .payload_type = 4, .clock_rate = 8000, .channels = 1},
    {.name = "PCMA", .payload_type = 8, .clock_rate = 8000, .channels = 1},
    {.name = "G722", .payload_type = 9, .clock_rate = 8000, .channels = 1},
    {.name = "L16", .payload_type = 10, .clock_rate = 44100, .channels = 2},
    {.name = "L16", .payload_type = 11, .clock_rate = 44100, .channels = 1},
    {.name = "CN", .payload_type = 13, .clock_rate = 8000, .channels = 1},
    {.name = "G728", .payload_type = 15, .clock_rate = 8000, .channels = 1},
    {.name = "G729", .payload_type = 18, .clock_rate = 8000, .channels = 1},
    {.name = "JPEG", .payload_type = 26, .clock_rate = 90000, .channels = 1},
    {.name = "H261", .payload_type = 31, .clock_rate = 90000, .channels = 1},
    {.name = "H263", .payload_type = 34, .clock_rate = 90000, .channels = 1},
};

/* What the attributes say about one payload type. */
typedef struct format {
    bool mapped, has_fmtp;
    duet_sdp_rtpmap map;
    duet_sdp_text fmtp;
    uint32_t feedback;
} format;

static uint32_t feedback_bit(duet_sdp_text text)
{
    for (size_t i = 0; i < FEEDBACK_COUNT; i++)
        if (duet_sdp_text_is(text, feedback_names[i].text))
            return feedback_names[i].bit;
    return 0;
}

static void read_line(format formats[128], uint32_t *feedback_of_all, const duet_sdp_line *line)
{
    duet_sdp_value v;

    if (line->kind != DUET_SDP_RTPMAP && line->kind != DUET_SDP_FMTP && line->kind != DUET_SDP_RTCP_FB)
        return;
    if (duet_sdp_line_value(line, &v) != DUET_OK)
        return;
    if (line->kind == DUET_SDP_RTPMAP && !formats[v.as.rtpmap.payload_type].mapped) {
        formats[v.as.rtpmap.payload_type].mapped = true;
        formats[v.as.rtpmap.payload_type].map = v.as.rtpmap;
    } else if (line->kind == DUET_SDP_FMTP && !formats[v.as.fmtp.payload_type].has_fmtp) {
        formats[v.as.fmtp.payload_type].has_fmtp = true;
        formats[v.as.fmtp.payload_type].fmtp = v.as.fmtp.parameters;
    } else if (line->kind == DUET_SDP_RTCP_FB) {
        uint32_t bit = feedback_bit(v.as.rtcp_fb.feedback);
        if (v.as.rtcp_fb.payload_type == DUET_SDP_ANY_PAYLOAD_TYPE)
            *feedback_of_all |= bit;
        else
            formats[v.as.rtcp_fb.payload_type].feedback |= bit;
    }
}

/* @return false when the codec has no name, or does not fit */
static bool join(duet_codec *out, uint8_t payload_type, const format *f, uint32_t feedback_of_all)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; !f->mapped && i < sizeof(static_codecs) / sizeof(static_codecs[0]); i++)
        if (static_codecs[i].payload_type == payload_type)
            *out = static_codecs[i];
    if (f->mapped) {
        if (duet_sdp_text_copy(f->map.name, out->name, sizeof(out->name)) != DUET_OK)
            return false;
        out->clock_rate = f->map.clock_rate;
        out->channels = f->map.channels;
    }
    out->payload_type = payload_type;
    out->feedback = f->feedback | feedback_of_all;
    if (f->has_fmtp && duet_sdp_text_copy(f->fmtp, out->fmtp, sizeof(out->fmtp)) != DUET_OK)
        return false;
    return out->name[0] != 0;
}

size_t duet_sdp_media_codecs(const duet_sdp *sdp, size_t index, duet_codec *out, size_t max)
{
    format formats[128] = {{0}};
    uint32_t feedback_of_all = 0;
    uint64_t done[2] = {0, 0};
    const duet_sdp_line *line;
    duet_sdp_text list, word;
    duet_codec codec;
    size_t count = 0;

    if (!duet_sdp_media_is_rtp(sdp, index))
        return 0;
    for (size_t i = 0; (line = duet_sdp_line_at(sdp, index, i)); i++)
        read_line(formats, &feedback_of_all, line);
    list = duet_sdp_text_of(duet_sdp_media_at(sdp, index)->formats);
    while (duet_sdp_text_next(&list, &word)) {
        sdp_scan s = {.r = duet_text_reader(word.text, word.len)};
        uint8_t pt;
        if (!duet_sdp_payload_type(&s, &pt) || (done[pt >> 6] >> (pt & 63) & 1))
            continue;
        done[pt >> 6] |= (uint64_t)1 << (pt & 63);
        if (!join(&codec, pt, &formats[pt], feedback_of_all))
            continue;
        if (count < max)
            out[count] = codec;
        count++;
    }
    return count;
}

/* ---- writing ---- */

char *duet_sdp_formats_of(duet_sdp *sdp, const duet_codec *const *codecs, size_t count)
{
    duet_buffer b;

    duet_buffer_init(&b, &sdp->env);
    for (size_t i = 0; i < count; i++)
        duet_buffer_printf(&b, i == 0 ? "%u" : " %u", (unsigned)codecs[i]->payload_type);
    return duet_buffer_steal(&b);
}

static int add_feedback(duet_sdp *sdp, size_t media, const duet_codec *codec)
{
    for (size_t i = 0; i < FEEDBACK_COUNT; i++) {
        if (!(codec->feedback & feedback_names[i].bit))
            continue;
        int err = duet_sdp_addf(sdp, media, "rtcp-fb", "%u %s", (unsigned)codec->payload_type, feedback_names[i].text);
        if (err)
            return err;
    }
    return DUET_OK;
}

int duet_sdp_add_codec(duet_sdp *sdp, size_t media, const duet_codec *codec)
{
    unsigned pt = codec->payload_type;
    int err;

    if (codec->channels > 1)
        err = duet_sdp_addf(sdp, media, "rtpmap", "%u %s/%u/%u", pt, codec->name, (unsigned)codec->clock_rate,
                            (unsigned)codec->channels);
    else
        err = duet_sdp_addf(sdp, media, "rtpmap", "%u %s/%u", pt, codec->name, (unsigned)codec->clock_rate);
    if (!err)
        err = add_feedback(sdp, media, codec);
    if (!err && codec->fmtp[0])
        err = duet_sdp_addf(sdp, media, "fmtp", "%u %s", pt, codec->fmtp);
    return err;
}
