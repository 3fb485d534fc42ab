/* Opus (RFC 7587) and G.711 (RFC 3551 section 4.5.14): a payload is a frame, so there is little to do. */
#include "media/payload_internal.h"

/* 120 ms at 48 kHz, the most that a packet may hold: RFC 6716 section 3.2.5, [R5]. */
#define OPUS_DURATION_MAX 5760

/* Samples of one frame at 48 kHz by the configuration number of the TOC, RFC 6716 section 3.1, table 2. */
static uint32_t opus_frame_duration(uint8_t toc)
{
    static const uint16_t silk[] = {480, 960, 1920, 2880}; /* 10, 20, 40, 60 ms */
    static const uint16_t hybrid[] = {480, 960};
    static const uint16_t celt[] = {120, 240, 480, 960}; /* 2.5, 5, 10, 20 ms */
    unsigned config = toc >> 3;

    if (config < 12)
        return silk[config & 3];
    return config < 16 ? hybrid[config & 1] : celt[config & 3];
}

/* How many frames, from the code in the TOC's last two bits, RFC 6716 section 3.2. 0 is malformed. */
static uint32_t opus_frame_count(duet_reader r)
{
    switch (duet_read_u8(&r) & 3) {
    case 0:
        return 1;
    case 1: /* two of the same length */
        return duet_reader_left(&r) % 2 == 0 ? 2 : 0;
    case 2: /* two, the first with its length; that takes a byte at least */
        return duet_reader_left(&r) > 0 ? 2 : 0;
    default:
        return duet_read_u8(&r) & 0x3F; /* 0 as well when there is no such byte */
    }
}

uint32_t duet_opus_packet_duration(const uint8_t *packet, size_t len)
{
    if (len == 0)
        return 0;
    duet_reader r = duet_reader_init(packet, len);
    uint32_t duration = opus_frame_duration(duet_peek_u8(&r, 0)) * opus_frame_count(r);
    return duration <= OPUS_DURATION_MAX ? duration : 0;
}

static int inspect_audio(duet_reader payload, duet_payload_info *out)
{
    (void)payload;
    out->starts_frame = out->ends_frame = true;
    return DUET_OK;
}

static int inspect_opus(duet_reader payload, duet_payload_info *out)
{
    if (duet_opus_packet_duration(payload.data, payload.len) == 0)
        return DUET_ERR_MALFORMED;
    return inspect_audio(payload, out);
}

static int begin_audio(duet_packetizer *p)
{
    return duet_reader_left(&p->frame) > p->payload_max ? DUET_ERR_TOO_LARGE : DUET_OK;
}

static void next_audio(duet_packetizer *p, duet_writer *w)
{
    duet_payload_take(p, w, duet_reader_left(&p->frame));
}

/* A payload is one Opus packet, RFC 7587 section 4.2, and audio has a timestamp for each payload. */
static int add_audio(duet_depacketizer *d, duet_reader payload)
{
    if (d->payloads > 0)
        return DUET_ERR_MALFORMED;
    return duet_payload_append(d, duet_read_bytes(&payload, duet_reader_left(&payload)));
}

const duet_payload_ops duet_payload_opus = {
    .is_video = false,
    .inspect = inspect_opus,
    .begin = begin_audio,
    .next = next_audio,
    .is_done = duet_payload_frame_taken,
    .add = add_audio,
};

const duet_payload_ops duet_payload_g711 = {
    .is_video = false,
    .inspect = inspect_audio,
    .begin = begin_audio,
    .next = next_audio,
    .is_done = duet_payload_frame_taken,
    .add = add_audio,
};
