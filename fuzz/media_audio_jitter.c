/* The audio jitter buffer under any packets and any player. Input: clock rate, then a script: packets (sequence step, timestamp
 * step, length), time that passes, pieces that are played, wishes. */
#include "base/bytes.h"
#include "duet/jitter.h"
#include "fuzz.h"
#include <string.h>

#define PACKETS_MAX 64
#define BYTES_MAX   4000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct run {
    duet_audio_jitter *j;
    duet_time now;
    uint32_t clock_rate;
    int64_t sequence;
    uint32_t timestamp;
    uint8_t sound[256];
} run;

static void insert(run *r, duet_reader *script, uint8_t flags)
{
    static const uint8_t payload[256];

    r->sequence += flags & 0x80 ? (int64_t)(int16_t)duet_read_u16(script) * 16 : (int8_t)duet_read_u8(script);
    r->timestamp += flags & 0x40 ? duet_read_u32(script) : r->clock_rate / 50;
    duet_jitter_packet packet = {.sequence = r->sequence,
                                 .timestamp = r->timestamp,
                                 .payload = payload,
                                 .len = flags & 0x20 ? duet_read_u8(script) : 40,
                                 .time = r->now,
                                 .is_retransmission = (flags & 0x18) == 0x10,
                                 .is_comfort_noise = (flags & 0x18) == 0x08,
                                 .is_redundancy = (flags & 0x18) == 0x18};
    (void)duet_audio_jitter_insert(r->j, &packet);
}

/* One piece of sound: few may be skipped before it. */
static void play(run *r, bool silent)
{
    duet_audio_piece piece;
    size_t skipped = 0;

    do {
        duet_audio_jitter_next(r->j, &piece, silent, r->now);
        require(piece.samples > 0 && piece.samples <= r->clock_rate / 1000 * 120 + 1);
        require(skipped++ <= PACKETS_MAX);
    } while (piece.action == DUET_AUDIO_SKIP);
    bool is_packet = piece.action == DUET_AUDIO_DECODE || piece.action == DUET_AUDIO_DECODE_FEC;
    if (!is_packet && !(piece.action == DUET_AUDIO_NOISE && piece.data))
        return;
    require(piece.len > 0 && piece.len < sizeof(r->sound));
    memcpy(r->sound, piece.data, piece.len); /* the sanitizer sees whether it is there */
}

static void step(run *r, duet_reader *script)
{
    uint8_t flags = duet_read_u8(script);

    switch (flags & 7) {
    case 0:
        r->now += (duet_time)duet_read_u8(script) * DUET_MS(5);
        break;
    case 1:
        duet_audio_jitter_set_delay_min(r->j, (duet_time)duet_read_u8(script) * DUET_MS(5));
        break;
    case 2:
    case 3:
    case 4:
        play(r, flags & 8);
        r->now += DUET_MS(20);
        break;
    default:
        insert(r, script, flags);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates[] = {8000, 48000, 1000, 1000000};
    duet_reader script = duet_reader_init(data, size);
    run r = {.now = DUET_SECONDS(1), .sequence = 70000, .clock_rate = rates[duet_read_u8(&script) % 4]};
    duet_audio_jitter_config config;
    duet_audio_jitter_stats stats;

    duet_audio_jitter_config_init(&config);
    config.clock_rate = r.clock_rate;
    config.packets_max = PACKETS_MAX;
    config.bytes_max = BYTES_MAX;
    require(duet_audio_jitter_create(&r.j, &config) == DUET_OK);
    while (duet_reader_left(&script) > 0)
        step(&r, &script);
    for (int i = 0; i < 2000; i++) { /* everything is played, then there is nothing */
        play(&r, i % 2);
        r.now += DUET_MS(20);
    }
    duet_audio_piece last;
    duet_audio_jitter_next(r.j, &last, false, r.now);
    require(last.action == DUET_AUDIO_WAIT || last.action == DUET_AUDIO_NOISE);
    duet_audio_jitter_get_stats(r.j, &stats);
    require(stats.concealed_samples <= stats.samples_played);
    duet_audio_jitter_destroy(r.j);
    return 0;
}
