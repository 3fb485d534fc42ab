/* What one core does in a second on the way of media, without SRTP: frames to payloads and back for each format, packets
 * through an RTP session to another one, and packets through the jitter buffers.
 *   bench_media_path     prints one line of JSON */
#include "duet/jitter.h"
#include "duet/media.h"
#include "duet/payload.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_EACH 0.5
#define FRAME_MAX    20000
#define PAYLOAD_MAX  1100
#define PAYLOADS_MAX 64

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bench_media_path: %s\n", what);
    exit(1);
}

/* ---- frames as far as packetizers look at them ---- */

static size_t put_unit(uint8_t *out, size_t at, const uint8_t *head, size_t head_len, size_t len)
{
    memcpy(out + at, head, head_len);
    for (size_t i = head_len; i < len; i++)
        out[at + i] = (uint8_t)(1 + i % 251); /* no start codes inside */
    return at + len;
}

static size_t make_frame(duet_payload_format format, uint8_t *out)
{
    static const uint8_t vp8[] = {0x11, 0, 0}, vp9[] = {0x86, 0x00, 0x40}, opus[] = {0x78};
    static const uint8_t h264[] = {0, 0, 0, 1, 0x41, 0x9a}, h265[] = {0, 0, 0, 1, 0x02, 0x01, 0xd0};
    static const uint8_t av1[] = {0x32, 0x98, 0x9c, 0x01}; /* OBU_FRAME with a size of 19,992 + 4 */

    switch (format) {
    case DUET_PAYLOAD_OPUS:
        return put_unit(out, 0, opus, sizeof(opus), 100);
    case DUET_PAYLOAD_VP8:
        return put_unit(out, 0, vp8, sizeof(vp8), FRAME_MAX);
    case DUET_PAYLOAD_VP9:
        return put_unit(out, 0, vp9, sizeof(vp9), FRAME_MAX);
    case DUET_PAYLOAD_H264:
        return put_unit(out, 0, h264, sizeof(h264), FRAME_MAX);
    case DUET_PAYLOAD_H265:
        return put_unit(out, 0, h265, sizeof(h265), FRAME_MAX);
    default:
        return put_unit(out, 0, av1, sizeof(av1), 4 + 19992);
    }
}

typedef struct payloads {
    uint8_t data[PAYLOADS_MAX][PAYLOAD_MAX];
    size_t len[PAYLOADS_MAX];
    size_t count;
} payloads;

static void packetize(duet_packetizer *p, const uint8_t *frame, size_t len, payloads *out)
{
    duet_frame_info info = {.temporal_id = -1};
    bool marker;

    must(duet_packetizer_begin(p, frame, len, &info) == DUET_OK, "packetize");
    out->count = 0;
    while (duet_packetizer_next(p, out->data[out->count], PAYLOAD_MAX, &out->len[out->count], &marker) == 1)
        must(++out->count < PAYLOADS_MAX, "too many payloads");
}

static void measure_format(const char *name, duet_payload_format format)
{
    static uint8_t frame[FRAME_MAX + 16];
    static payloads out;
    duet_packetizer_config config;
    duet_packetizer *packetizer;
    duet_depacketizer *depacketizer;
    size_t len = make_frame(format, frame), got;
    const uint8_t *back;
    double to = 0, from = 0;
    unsigned long packets = 0;

    duet_packetizer_config_init(&config);
    config.format = format;
    config.payload_max = PAYLOAD_MAX;
    must(duet_packetizer_create(&packetizer, &config) == DUET_OK, "packetizer");
    must(duet_depacketizer_create(&depacketizer, NULL, format, 0) == DUET_OK, "depacketizer");
    while (to + from < 2 * SECONDS_EACH) {
        double start = now();
        for (int i = 0; i < 100; i++)
            packetize(packetizer, frame, len, &out);
        double middle = now();
        for (int i = 0; i < 100; i++) {
            duet_depacketizer_begin(depacketizer);
            for (size_t k = 0; k < out.count; k++)
                must(duet_depacketizer_add(depacketizer, out.data[k], out.len[k]) == DUET_OK, "depacketize");
            must(duet_depacketizer_end(depacketizer, &back, &got) == DUET_OK && got > 0, "no frame");
        }
        from += now() - middle;
        to += middle - start;
        packets += 100 * out.count;
    }
    printf("{\"format\":\"%s\",\"packetize_per_s\":%.0f,\"depacketize_per_s\":%.0f}", name, (double)packets / to,
           (double)packets / from);
    duet_packetizer_destroy(packetizer);
    duet_depacketizer_destroy(depacketizer);
}

/* ---- sessions ---- */

static void count_packet(void *user, duet_receive_stream *stream, const duet_rtp_arrival *arrival)
{
    (void)stream, (void)arrival;
    ++*(unsigned long *)user;
}

static duet_rtp_session *new_session(unsigned long *received)
{
    duet_rtp_session_config config;
    duet_rtp_session *session;
    static const duet_codec vp8 = {"VP8", 96, 90000, 1, "", DUET_FEEDBACK_NACK | DUET_FEEDBACK_TRANSPORT_CC};
    static const duet_codec rtx = {"rtx", 97, 90000, 1, "apt=96", 0};
    const duet_codec *codecs[] = {&vp8, &rtx};
    duet_rtp_section section = {
        .size = sizeof(section), .mid = "0", .is_video = true, .codecs = codecs, .codec_count = 2};

    section.extensions.ids[DUET_RTP_EXT_MID] = 4;
    section.extensions.ids[DUET_RTP_EXT_ABS_SEND_TIME] = 2;
    section.extensions.ids[DUET_RTP_EXT_TRANSPORT_CC] = 3;
    section.receives = true;
    duet_rtp_session_config_init(&config);
    config.on_packet = count_packet;
    config.user = received;
    must(duet_rtp_session_create(&session, &config) == DUET_OK, "session");
    must(duet_rtp_session_set_section(session, &section) == DUET_OK, "section");
    return session;
}

/* Everything that waits at `from` goes to `to`. @return seconds that the receiver took */
static double carry(duet_rtp_session *from, duet_rtp_session *to, duet_time time)
{
    static uint8_t copies[64][1500];
    size_t lens[64], count = 0;
    duet_rtp_outgoing out;

    while (count < 64 && duet_rtp_session_output(from, &out, time) == 1) {
        memcpy(copies[count], out.data, out.len);
        lens[count++] = out.len;
    }
    double start = now();
    for (size_t i = 0; i < count; i++)
        (void)duet_rtp_session_input(to, copies[i], lens[i], time);
    return now() - start;
}

static void measure_session(size_t payload)
{
    static const uint8_t data[1200];
    unsigned long received = 0, ignored = 0, sent = 0;
    duet_rtp_session *alice = new_session(&ignored), *bob = new_session(&received);
    duet_send_stream_config config;
    duet_send_stream *stream;
    double sending = 0, receiving = 0;
    duet_time time = DUET_SECONDS(1);

    duet_send_stream_config_init(&config);
    config.mid = "0";
    must(duet_send_stream_create(&stream, alice, &config) == DUET_OK, "stream");
    while (sending + receiving < 2 * SECONDS_EACH) {
        double start = now();
        for (int i = 0; i < 32; i++) {
            must(duet_send_stream_send(stream, 96, i == 31, (uint32_t)(time / 11), data, payload, NULL, time) ==
                     DUET_OK,
                 "send");
            sent++;
        }
        double took = carry(alice, bob, time);
        sending += now() - start - took;
        receiving += took;
        time += DUET_MS(10);
        duet_rtp_session_tick(alice, time);
        duet_rtp_session_tick(bob, time);
        (void)carry(bob, alice, time);
    }
    must(received >= sent * 99 / 100, "packets are missing");
    printf("{\"payload\":%zu,\"send_per_s\":%.0f,\"receive_per_s\":%.0f}", payload, (double)sent / sending,
           (double)received / receiving);
    duet_send_stream_destroy(stream);
    duet_rtp_session_destroy(alice);
    duet_rtp_session_destroy(bob);
}

/* ---- jitter buffers ---- */

static double video_jitter_per_second(void)
{
    static uint8_t frame[FRAME_MAX + 16];
    static payloads out;
    duet_video_jitter_config config;
    duet_video_jitter *jitter;
    duet_packetizer_config packing;
    duet_packetizer *packetizer;
    unsigned long packets = 0, frames = 0, number = 0;
    int64_t sequence = 65536;
    double took = 0;

    duet_packetizer_config_init(&packing);
    packing.format = DUET_PAYLOAD_VP8;
    packing.payload_max = PAYLOAD_MAX;
    must(duet_packetizer_create(&packetizer, &packing) == DUET_OK, "packetizer");
    duet_video_jitter_config_init(&config);
    config.format = DUET_PAYLOAD_VP8;
    must(duet_video_jitter_create(&jitter, &config) == DUET_OK, "jitter buffer");
    size_t len = make_frame(DUET_PAYLOAD_VP8, frame);
    while (took < SECONDS_EACH) {
        static const uint8_t key[] = {0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00};
        duet_time time = DUET_SECONDS(1) + number * DUET_MS(33);
        duet_jitter_frame got;
        frame[0] = 0x11;
        if (number == 0)
            memcpy(frame, key, sizeof(key));
        packetize(packetizer, frame, len, &out);
        double start = now();
        for (size_t i = 0; i < out.count; i++) {
            duet_jitter_packet packet = {.sequence = sequence++,
                                         .timestamp = (uint32_t)(number * 2970),
                                         .marker = i + 1 == out.count,
                                         .payload_type = 96,
                                         .payload = out.data[i],
                                         .len = out.len[i],
                                         .time = time};
            must(duet_video_jitter_insert(jitter, &packet) == DUET_OK, "insert");
        }
        while (duet_video_jitter_next(jitter, &got, time + DUET_MS(30)) == 1)
            frames++;
        took += now() - start;
        packets += out.count;
        number++;
    }
    must(frames + 8 >= number, "frames are missing");
    duet_video_jitter_destroy(jitter);
    duet_packetizer_destroy(packetizer);
    return (double)packets / took;
}

static double audio_jitter_per_second(void)
{
    static const uint8_t payload[100] = {0x78};
    duet_audio_jitter_config config;
    duet_audio_jitter *jitter;
    unsigned long number = 0;
    double start = now();

    duet_audio_jitter_config_init(&config);
    config.clock_rate = 48000;
    must(duet_audio_jitter_create(&jitter, &config) == DUET_OK, "jitter buffer");
    for (; number % 1000 || now() - start < SECONDS_EACH; number++) {
        duet_time time = DUET_SECONDS(1) + number * DUET_MS(20);
        duet_jitter_packet packet = {.sequence = 65536 + (int64_t)number,
                                     .timestamp = (uint32_t)(number * 960),
                                     .payload_type = 111,
                                     .payload = payload,
                                     .len = sizeof(payload),
                                     .time = time};
        duet_audio_piece piece;
        must(duet_audio_jitter_insert(jitter, &packet) == DUET_OK, "insert");
        duet_audio_jitter_next(jitter, &piece, false, time);
    }
    double took = now() - start;
    duet_audio_jitter_destroy(jitter);
    return (double)number / took;
}

int main(void)
{
    static const struct {
        const char *name;
        duet_payload_format format;
    } formats[] = {{"Opus", DUET_PAYLOAD_OPUS}, {"VP8", DUET_PAYLOAD_VP8},   {"VP9", DUET_PAYLOAD_VP9},
                   {"H264", DUET_PAYLOAD_H264}, {"H265", DUET_PAYLOAD_H265}, {"AV1", DUET_PAYLOAD_AV1}};

    printf("{\"formats\":[");
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        fputs(i ? "," : "", stdout);
        measure_format(formats[i].name, formats[i].format);
    }
    printf("],\"session\":[");
    measure_session(160);
    fputs(",", stdout);
    measure_session(1100);
    printf("],\"video_jitter_packets_per_s\":%.0f,\"audio_jitter_packets_per_s\":%.0f}\n", video_jitter_per_second(),
           audio_jitter_per_second());
    return 0;
}
