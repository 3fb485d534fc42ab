/* Frames through a packetizer and a depacketizer, for the tests of all payload formats. */
#ifndef DUET_TESTS_PAYLOAD_TRIP_H
#define DUET_TESTS_PAYLOAD_TRIP_H

#include "duet/payload.h"
#include "test.h"

typedef struct trip {
    duet_packetizer *packetizer;
    duet_depacketizer *depacketizer;
    duet_payload_format format;
    size_t payload_max;
    size_t payloads; /* of the last frame */
    size_t shortest, longest;
    duet_payload_info first; /* what its first payload says */
    uint8_t payload[65536];  /* its last payload */
    size_t len;
} trip;

static inline trip *trip_new(duet_payload_format format, size_t payload_max)
{
    trip *t = calloc(1, sizeof(*t));
    duet_packetizer_config config;

    assert_non_null(t);
    t->format = format;
    t->payload_max = payload_max;
    duet_packetizer_config_init(&config);
    config.format = format;
    config.payload_max = payload_max;
    config.first_picture_id = 0x7FFE;
    assert_int_equal(duet_packetizer_create(&t->packetizer, &config), DUET_OK);
    assert_int_equal(duet_depacketizer_create(&t->depacketizer, NULL, format, 0), DUET_OK);
    return t;
}

static inline void trip_free(trip *t)
{
    duet_packetizer_destroy(t->packetizer);
    duet_depacketizer_destroy(t->depacketizer);
    free(t);
}

/* Sends one frame through both and asserts that the same comes out. */
static inline void trip_send(trip *t, const uint8_t *frame, size_t len, const duet_frame_info *info)
{
    const uint8_t *out;
    size_t out_len;
    bool marker = false;

    t->payloads = t->longest = 0;
    t->shortest = SIZE_MAX;
    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, len, info), DUET_OK);
    duet_depacketizer_begin(t->depacketizer);
    while (duet_packetizer_next(t->packetizer, t->payload, sizeof(t->payload), &t->len, &marker) == 1) {
        assert_true(t->len > 0 && t->len <= t->payload_max);
        duet_payload_info info_of;
        assert_int_equal(duet_payload_inspect(t->format, t->payload, t->len, &info_of), DUET_OK);
        if (t->payloads++ == 0)
            t->first = info_of;
        t->longest = t->len > t->longest ? t->len : t->longest;
        t->shortest = t->len < t->shortest ? t->len : t->shortest;
        assert_int_equal(duet_depacketizer_add(t->depacketizer, t->payload, t->len), DUET_OK);
        assert_false(marker && duet_packetizer_next(t->packetizer, t->payload, sizeof(t->payload), &t->len, &marker));
    }
    assert_int_equal(marker, duet_payload_format_is_video(t->format));
    assert_true(t->first.starts_frame);
    assert_int_equal(duet_depacketizer_end(t->depacketizer, &out, &out_len), DUET_OK);
    assert_int_equal(out_len, len);
    assert_memory_equal(out, frame, len);
}

/* Gives the depacketizer one payload as a frame of its own. */
static inline int trip_receive(trip *t, const uint8_t *payload, size_t len)
{
    duet_depacketizer_begin(t->depacketizer);
    return duet_depacketizer_add(t->depacketizer, payload, len);
}

static inline int trip_end(trip *t, const uint8_t **frame, size_t *len)
{
    return duet_depacketizer_end(t->depacketizer, frame, len);
}

#define trip_expect(t, ...)                                                                                            \
    do {                                                                                                               \
        const uint8_t expected_[] = {__VA_ARGS__}, *frame_;                                                            \
        size_t len_;                                                                                                   \
        assert_int_equal(trip_end((t), &frame_, &len_), DUET_OK);                                                      \
        assert_int_equal(len_, sizeof(expected_));                                                                     \
        assert_memory_equal(frame_, expected_, sizeof(expected_));                                                     \
    } while (0)

/* The next payload of the packetizer must be these bytes. */
#define trip_expect_payload(t, is_last, ...)                                                                           \
    do {                                                                                                               \
        const uint8_t expected_[] = {__VA_ARGS__};                                                                     \
        bool marker_;                                                                                                  \
        assert_int_equal(                                                                                              \
            duet_packetizer_next((t)->packetizer, (t)->payload, sizeof((t)->payload), &(t)->len, &marker_), 1);        \
        assert_int_equal((t)->len, sizeof(expected_));                                                                 \
        assert_memory_equal((t)->payload, expected_, sizeof(expected_));                                               \
        assert_int_equal(marker_, is_last);                                                                            \
    } while (0)

/* Random bytes in payloads and pieces of valid payloads: nothing may go out of bounds, no frame beyond its bound. */
static inline void trip_garbage(duet_payload_format format, const uint8_t *valid, size_t valid_len, uint64_t seed)
{
    uint8_t payload[96];
    duet_depacketizer *d;
    const uint8_t *frame;
    size_t frame_len;
    duet_payload_info info;

    assert_int_equal(duet_depacketizer_create(&d, NULL, format, 200), DUET_OK);
    for (int i = 0; i < 20000; i++) {
        size_t len = test_random_below(&seed, sizeof(payload));
        test_random_fill(&seed, payload, len);
        if (test_random_below(&seed, 2)) {
            len = valid_len < sizeof(payload) ? valid_len : sizeof(payload);
            memcpy(payload, valid, len);
            payload[test_random_below(&seed, len)] = (uint8_t)test_random(&seed);
            len = test_random_below(&seed, len + 1);
        }
        uint8_t *exact = malloc(len + 1); /* so that the sanitizer sees a byte too many */
        assert_non_null(exact);
        uint8_t *end = realloc(exact, len ? len : 1);
        assert_non_null(end);
        memcpy(end, payload, len);
        if (test_random_below(&seed, 4) == 0)
            duet_depacketizer_begin(d);
        (void)duet_payload_inspect(format, end, len, &info);
        (void)duet_depacketizer_add(d, end, len);
        if (duet_depacketizer_end(d, &frame, &frame_len) == DUET_OK)
            assert_true(frame_len > 0 && frame_len <= 200);
        free(end);
    }
    duet_depacketizer_destroy(d);
}

static inline int trip_in_short_memory(const duet_env *env, void *arg)
{
    duet_payload_format format = *(duet_payload_format *)arg;
    duet_packetizer *p = NULL;
    duet_depacketizer *d = NULL;
    duet_packetizer_config config;

    duet_packetizer_config_init(&config);
    config.env = env;
    config.format = format;
    int err = duet_packetizer_create(&p, &config);
    if (!err)
        err = duet_depacketizer_create(&d, env, format, 0);
    duet_packetizer_destroy(p);
    duet_depacketizer_destroy(d);
    return err;
}

#endif
