/* A peer that sends from more than one source: SSRCs that take turns, as those of a middlebox that switches speakers. What
 * speaks is heard, whatever spoke before. */
#include "duet/transceiver.h"
#include "media/internal.h"
#include "peer/media_io.h"
#include "raw_call.h"
#include <math.h>

#define AMPLITUDE 0.25
#define LOUD      (AMPLITUDE / 1.41421356)

/* An SSRC of its own in alice's m-section. */
typedef struct source {
    duet_send_stream *stream;
    duet_audio_encoder *encoder;
    uint64_t position;
    uint32_t timestamp;
} source;

typedef struct call {
    world *world;
    duet_sender *sender;
    duet_receiver *receiver;
    source sources[3];
    source *speaker; /* NULL: nobody */
    bool running;
    double energy; /* of what was read since listen() */
    uint64_t samples;
} call;

static call *the_call;

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    (void)user, (void)pc;
    the_call->receiver = duet_transceiver_receiver(transceiver);
}

static duet_rtp_session *session_of(const call *c)
{
    return c->world->alice.pc->transports[0]->media->rtp;
}

static void source_open(call *c, source *s)
{
    duet_send_stream_config config;
    duet_audio_encoder_config encoder;

    duet_send_stream_config_init(&config);
    config.mid = duet_transceiver_mid(duet_sender_transceiver(c->sender));
    assert_int_equal(duet_send_stream_create(&s->stream, session_of(c), &config), DUET_OK);
    duet_audio_encoder_config_init(&encoder);
    assert_int_equal(duet_sender_codec(c->sender, &encoder.codec), DUET_OK);
    assert_int_equal(duet_audio_encoder_create(&s->encoder, &encoder), DUET_OK);
    s->timestamp = duet_send_stream_timestamp_base(s->stream);
}

/* With a BYE. */
static void source_close(source *s)
{
    duet_send_stream_destroy(s->stream);
    duet_audio_encoder_destroy(s->encoder);
    *s = (source){0};
}

static void source_send(call *c, source *s)
{
    int16_t samples[960];
    uint8_t data[1276];
    size_t len;
    duet_codec codec;
    duet_audio_frame frame = {samples, 960, 48000, 1};

    duet_tone_fill(samples, 960, 1, 48000, 440, AMPLITUDE, s->position);
    s->position += 960;
    assert_int_equal(duet_audio_encoder_encode(s->encoder, &frame, data, sizeof(data), &len), DUET_OK);
    assert_int_equal(duet_sender_codec(c->sender, &codec), DUET_OK);
    assert_int_equal(duet_send_stream_send(s->stream, codec.payload_type, false, s->timestamp, data, len, NULL,
                                           duet_sim_now(c->world->sim)),
                     DUET_OK);
    s->timestamp += 960;
}

static void speak(void *arg)
{
    call *c = arg;

    if (!c->running)
        return;
    if (c->speaker)
        source_send(c, c->speaker);
    duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + DUET_MS(20), speak, c);
}

static void hear(void *arg)
{
    call *c = arg;
    int16_t samples[480];

    if (!c->running)
        return;
    if (c->receiver) {
        assert_int_equal(duet_receiver_read_audio(c->receiver, samples, 480, 1), DUET_OK);
        for (size_t i = 0; i < 480; i++)
            c->energy += samples[i] / 32768.0 * (samples[i] / 32768.0);
        c->samples += 480;
    }
    duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + DUET_MS(10), hear, c);
}

static double loudness_of(call *c, duet_time span)
{
    c->energy = 0;
    c->samples = 0;
    world_run(c->world, span);
    return sqrt(c->energy / (double)c->samples);
}

static call *call_new(uint64_t seed)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->world = world_new(seed, &link);
    raw_sides_create(c->world, on_track);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &c->sender), DUET_OK);
    world_connect(c->world, DUET_SECONDS(10));
    c->running = true;
    speak(c);
    hear(c);
    return c;
}

static void call_end(call *c)
{
    c->running = false;
    for (size_t i = 0; i < 3; i++) {
        if (c->sources[i].stream)
            source_close(&c->sources[i]);
    }
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static void whoever_speaks_is_heard(void **state)
{
    static const int turns[] = {0, 1, 0, 2, 1, 0};
    (void)state;

    call *c = call_new(1);
    for (size_t i = 0; i < 3; i++)
        source_open(c, &c->sources[i]);
    for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
        c->speaker = &c->sources[turns[i]];
        world_run(c->world, DUET_SECONDS(1));
        double loudness = loudness_of(c, DUET_SECONDS(2));
        assert_true(fabs(loudness - LOUD) < 0.1 * LOUD);
    }
    call_end(c);
}

/* What comes after its goodbye, out of order, does not take the floor for good. */
static void a_packet_behind_its_goodbye_silences_nobody(void **state)
{
    (void)state;
    call *c = call_new(2);

    for (size_t i = 0; i < 2; i++)
        source_open(c, &c->sources[i]);
    for (int i = 0; i < 2; i++) {
        c->speaker = &c->sources[i];
        world_run(c->world, DUET_SECONDS(2));
    }
    duet_rtcp_bye_later(session_of(c), duet_send_stream_ssrc(c->sources[0].stream));
    world_run(c->world, DUET_MS(100));
    source_send(c, &c->sources[0]);
    world_run(c->world, DUET_MS(500));
    double loudness = loudness_of(c, DUET_SECONDS(2));
    assert_true(fabs(loudness - LOUD) < 0.1 * LOUD);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_speaks_is_heard),
        cmocka_unit_test(a_packet_behind_its_goodbye_silences_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
