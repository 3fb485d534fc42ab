/* A sender of encoded frames, a network that loses, delays, doubles and repairs its packets, and a video jitter buffer, in virtual
 * time. */
#ifndef DUET_TESTS_JITTER_WORLD_H
#define DUET_TESTS_JITTER_WORLD_H

#include "duet/jitter.h"
#include "test.h"

#define WORLD_FRAME_TIME  33333
#define WORLD_PACKETS_MAX 4096
#define WORLD_PAYLOAD_MAX 100
#define WORLD_FIRST       65536

typedef struct world_packet {
    duet_jitter_packet packet;
    duet_time at;
    uint8_t payload[WORLD_PAYLOAD_MAX];
} world_packet;

typedef struct world {
    /* what the network does */
    double loss, duplicates;
    duet_time delay, jitter, round_trip; /* round_trip 0: nothing is repaired */
    bool answers_keyframe_requests;
    int temporal_layers; /* 0: none */
    size_t frame_len;    /* 0: random */
    uint64_t seed;
    duet_time frame_time;

    duet_video_jitter *jitter_buffer;
    duet_packetizer *packetizer;
    duet_payload_format format;
    duet_time now;
    uint32_t frames_sent;
    uint32_t first_timestamp;
    int64_t sequence;
    bool wants_keyframe;
    world_packet on_the_way[WORLD_PACKETS_MAX];
    size_t on_the_way_count;

    /* what came out */
    uint32_t frames, keyframes, last_frame;
    bool has_last;
    duet_time first_out, last_out, longest_gap, longest_wait;
    uint64_t inserted, refused;
} world;

static inline void world_start(world *w, const duet_env *env, duet_payload_format format)
{
    duet_video_jitter_config config;
    duet_packetizer_config packets;

    w->format = format;
    w->sequence = WORLD_FIRST + 65000; /* it wraps on the wire soon */
    w->first_timestamp = UINT32_MAX - 90000;
    w->wants_keyframe = true;
    if (!w->frame_time)
        w->frame_time = WORLD_FRAME_TIME;
    duet_packetizer_config_init(&packets);
    packets.format = format;
    packets.payload_max = WORLD_PAYLOAD_MAX;
    packets.first_picture_id = 0x7FF0;
    assert_int_equal(duet_packetizer_create(&w->packetizer, &packets), DUET_OK);
    duet_video_jitter_config_init(&config);
    config.env = env;
    config.format = format;
    assert_int_equal(duet_video_jitter_create(&w->jitter_buffer, &config), DUET_OK);
}

static inline void world_end(world *w)
{
    duet_video_jitter_destroy(w->jitter_buffer);
    duet_packetizer_destroy(w->packetizer);
}

static inline duet_video_jitter_stats world_stats(const world *w)
{
    duet_video_jitter_stats stats;

    duet_video_jitter_get_stats(w->jitter_buffer, &stats);
    return stats;
}

/* How the frames of a format begin. */
static inline size_t world_head(duet_payload_format format, bool is_keyframe, uint8_t *out)
{
    static const struct {
        duet_payload_format format;
        uint8_t key_len, delta_len;
        const char *key, *delta;
    } heads[] = {
        /* RFC 6386 section 9.1: frame tag, start code, 16 x 16 */
        {DUET_PAYLOAD_VP8, 10, 3, "\x10\x02\x00\x9d\x01\x2a\x10\x00\x10\x00", "\x11\x02\x00"},
        {DUET_PAYLOAD_VP9, 0, 0, "", ""},
        {DUET_PAYLOAD_H264, 13, 5, "\0\0\0\1\x67\x42\xe0\x1f\0\0\0\1\x65", "\0\0\0\1\x41"},
        {DUET_PAYLOAD_H265, 13, 6, "\0\0\0\1\x40\x01\x0c\0\0\0\1\x26\x01", "\0\0\0\1\x02\x01"},
        /* a sequence header of one byte, then a frame up to the end */
        {DUET_PAYLOAD_AV1, 4, 1, "\x0a\x01\x55\x30", "\x30"},
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        if (heads[i].format != format)
            continue;
        size_t len = is_keyframe ? heads[i].key_len : heads[i].delta_len;
        memcpy(out, is_keyframe ? heads[i].key : heads[i].delta, len);
        return len;
    }
    return 0;
}

/* A frame of the format that says its number in the last three bytes. */
static inline size_t world_frame(const world *w, uint8_t *frame, bool is_keyframe, size_t len)
{
    memset(frame, 0x55, len);
    size_t head = world_head(w->format, is_keyframe, frame);
    if (len < head + 4)
        len = head + 4;
    frame[len - 4] = 0x80; /* so that the zeros of the number are no start code */
    frame[len - 3] = (uint8_t)(w->frames_sent >> 14 | 0x80);
    frame[len - 2] = (uint8_t)(w->frames_sent >> 7 | 0x80);
    frame[len - 1] = (uint8_t)(w->frames_sent | 0x80);
    return len;
}

static inline uint32_t world_number(const uint8_t *frame, size_t len)
{
    return (uint32_t)(frame[len - 3] & 0x7F) << 14 | (uint32_t)(frame[len - 2] & 0x7F) << 7 | (frame[len - 1] & 0x7Fu);
}

static inline void world_put(world *w, const world_packet *p, duet_time at, bool is_retransmission)
{
    assert_true(w->on_the_way_count < WORLD_PACKETS_MAX);
    world_packet *copy = &w->on_the_way[w->on_the_way_count++];
    *copy = *p;
    copy->at = at + w->delay + (w->jitter ? test_random_below(&w->seed, w->jitter) : 0);
    copy->packet.is_retransmission = is_retransmission;
}

/* One packet into the network: each loss costs a round trip. */
static inline void world_transmit(world *w, const world_packet *p)
{
    duet_time at = w->now;
    bool is_retransmission = false;

    while (duet_seeded_chance(&w->seed, w->loss)) {
        if (!w->round_trip)
            return;
        at += w->round_trip;
        is_retransmission = true;
    }
    world_put(w, p, at, is_retransmission);
    if (duet_seeded_chance(&w->seed, w->duplicates))
        world_put(w, p, at, is_retransmission);
}

static inline void world_send_frame(world *w)
{
    static const int8_t layers[] = {0, 2, 1, 2};
    static uint8_t frame[4096];
    bool is_keyframe = w->wants_keyframe || w->frames_sent == 0;
    duet_frame_info info = {.is_keyframe = is_keyframe, .temporal_id = -1};
    world_packet p;

    if (w->temporal_layers) {
        info.temporal_id = is_keyframe ? 0 : layers[w->frames_sent % 4];
        info.layer_sync = info.temporal_id == 1;
    }
    size_t len = w->frame_len ? w->frame_len : 20 + test_random_below(&w->seed, is_keyframe ? 3000 : 900);
    len = world_frame(w, frame, is_keyframe, len);
    w->wants_keyframe = false;
    assert_int_equal(duet_packetizer_begin(w->packetizer, frame, len, &info), DUET_OK);
    memset(&p, 0, sizeof(p));
    while (duet_packetizer_next(w->packetizer, p.payload, sizeof(p.payload), &p.packet.len, &p.packet.marker) == 1) {
        p.packet.sequence = w->sequence++;
        p.packet.timestamp = w->first_timestamp + (uint32_t)(w->now * 9 / 100);
        p.packet.payload_type = 96;
        world_transmit(w, &p);
    }
    w->frames_sent++;
}

static inline world_packet *world_next_packet(world *w)
{
    world_packet *first = NULL;

    for (size_t i = 0; i < w->on_the_way_count; i++)
        if (!first || w->on_the_way[i].at < first->at)
            first = &w->on_the_way[i];
    return first;
}

static inline void world_deliver(world *w, world_packet *p)
{
    p->packet.payload = p->payload;
    p->packet.time = w->now;
    int err = duet_video_jitter_insert(w->jitter_buffer, &p->packet);
    if (err)
        w->refused++;
    else
        w->inserted++;
    *p = w->on_the_way[--w->on_the_way_count];
}

static inline void world_take_frames(world *w)
{
    duet_jitter_frame frame;

    while (duet_video_jitter_next(w->jitter_buffer, &frame, w->now) == 1) {
        uint32_t number = world_number(frame.data, frame.len);
        assert_true(!w->has_last || number > w->last_frame); /* in order */
        assert_true(frame.is_keyframe || w->has_last);
        assert_true(frame.last_arrival <= w->now && frame.first_arrival <= frame.last_arrival);
        assert_true(frame.payload_type == 96);
        if (w->has_last && w->now - w->last_out > w->longest_gap)
            w->longest_gap = w->now - w->last_out;
        if (w->now - frame.last_arrival > w->longest_wait)
            w->longest_wait = w->now - frame.last_arrival;
        if (!w->has_last)
            w->first_out = w->now;
        w->last_out = w->now;
        w->last_frame = number;
        w->has_last = true;
        w->frames++;
        w->keyframes += frame.is_keyframe;
    }
    assert_true(duet_video_jitter_deadline(w->jitter_buffer) > w->now);
    if (duet_video_jitter_needs_keyframe(w->jitter_buffer) && w->answers_keyframe_requests)
        w->wants_keyframe = true;
}

/* Frames are sent until `until`; what is on the way by then arrives later. */
static inline void world_run(world *w, duet_time until)
{
    for (;;) {
        duet_time frame_at = (duet_time)w->frames_sent * w->frame_time;
        world_packet *p = world_next_packet(w);
        duet_time deadline = duet_video_jitter_deadline(w->jitter_buffer);
        duet_time next = frame_at;
        if (p && p->at < next)
            next = p->at;
        if (deadline < next)
            next = deadline;
        if (next >= until)
            break;
        if (next > w->now)
            w->now = next;
        if (p && p->at <= w->now)
            world_deliver(w, p);
        else if (frame_at <= w->now)
            world_send_frame(w);
        world_take_frames(w);
    }
    w->now = until;
}

/* The definition of a freeze in W3C webrtc-stats: freezeCount. */
static inline bool world_froze(const world *w)
{
    duet_time mean = (w->last_out - w->first_out) / (w->frames - 1);
    duet_time limit = 3 * mean > mean + DUET_MS(150) ? 3 * mean : mean + DUET_MS(150);

    return w->longest_gap > limit;
}

#endif
