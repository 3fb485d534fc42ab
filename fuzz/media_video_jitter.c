/* The video jitter buffer under any packets in any order. Input: format and bounds, then a script: packets (sequence step,
 * timestamp step, flags, payload), time that passes, wishes. After each step every frame is taken. */
#include "base/bytes.h"
#include "duet/jitter.h"
#include "fuzz.h"
#include <string.h>

#define PACKETS_MAX 64
#define BYTES_MAX   2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct run {
    duet_video_jitter *j;
    duet_time now;
    int64_t sequence;
    uint32_t timestamp;
    uint8_t frame[4 * BYTES_MAX];
} run;

static void take_frames(run *r)
{
    duet_jitter_frame frame;
    size_t frames = 0;

    while (duet_video_jitter_next(r->j, &frame, r->now) == 1) {
        require(frame.len > 0 && frame.len <= 4 * BYTES_MAX);
        require(frame.first_sequence <= frame.last_sequence);
        require(frame.first_arrival <= frame.last_arrival && frame.last_arrival <= r->now);
        require(frame.last_sequence <= duet_video_jitter_skipped_to(r->j));
        memcpy(r->frame, frame.data, frame.len); /* the sanitizer sees whether it is there */
        require(++frames <= PACKETS_MAX);
    }
    require(duet_video_jitter_deadline(r->j) > r->now);
}

static void insert(run *r, duet_reader *script, uint8_t flags)
{
    r->sequence += (int8_t)duet_read_u8(script);
    if (flags & 0x40)
        r->sequence += (int64_t)(int16_t)duet_read_u16(script) * 64;
    if (flags & 0x20)
        r->timestamp += (flags & 0x10) ? duet_read_u32(script) : 3000;
    size_t len = duet_read_u8(script);
    if (len > duet_reader_left(script))
        len = duet_reader_left(script);
    duet_bytes payload = duet_read_bytes(script, len);
    duet_jitter_packet packet = {.sequence = r->sequence,
                                 .timestamp = r->timestamp,
                                 .marker = flags & 8,
                                 .payload = payload.data,
                                 .len = payload.len,
                                 .time = r->now,
                                 .is_retransmission = flags & 4};
    (void)duet_video_jitter_insert(r->j, &packet);
}

static void step(run *r, duet_reader *script)
{
    uint8_t flags = duet_read_u8(script);

    switch (flags & 3) {
    case 0:
        r->now += (duet_time)duet_read_u8(script) * DUET_MS(3);
        break;
    case 1:
        if (flags & 0x80)
            duet_video_jitter_lost(r->j);
        else
            duet_video_jitter_set_delay(r->j, (duet_time)(flags >> 2) * DUET_MS(10), 0);
        break;
    default:
        insert(r, script, flags);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_reader script = duet_reader_init(data, size);
    run r = {.now = DUET_SECONDS(1), .sequence = 70000};
    duet_video_jitter_config config;
    duet_video_jitter_stats stats;

    duet_video_jitter_config_init(&config);
    config.format = (duet_payload_format)(DUET_PAYLOAD_OPUS + duet_read_u8(&script) % 7);
    config.packets_max = PACKETS_MAX;
    config.bytes_max = BYTES_MAX;
    require(duet_video_jitter_create(&r.j, &config) == DUET_OK);
    while (duet_reader_left(&script) > 0) {
        step(&r, &script);
        take_frames(&r);
    }
    r.now += DUET_SECONDS(60); /* nothing is waited for so long */
    take_frames(&r);
    duet_video_jitter_get_stats(r.j, &stats);
    require(stats.frames_assembled <= stats.packets_inserted);
    duet_video_jitter_destroy(r.j);
    return 0;
}
