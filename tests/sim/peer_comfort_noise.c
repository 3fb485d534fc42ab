/* G.711 with comfort noise (RFC 3389) between two connections in virtual time: pauses cost next to nothing, are heard as noise of
 * the sender's level, and are no loss. */
#include "duet/transceiver.h"
#include "prefer.h"
#include "raw_call.h"
#include "stats_of.h"
#include <math.h>

#define EVERY DUET_MS(20)

typedef struct call {
    world *world;
    duet_sender *audio;
    duet_receiver *sound;
    bool running;
    uint32_t rate;
    double voice, noise; /* amplitudes of what is captured, 1 is full scale */
    uint64_t position, random;
    duet_time talks_until, noise_begins;

    uint32_t frames, voice_packets, noise_packets, talkspurts;
    bool last_was_noise, expects_marker;
    uint8_t last_level;
    int64_t first_timestamp;
    duet_time first_captured, worst_drift;
    double energy;
    uint64_t samples_read;
} call;

static call *the_call;

/* ---- receiving ---- */

static void packet_arrives(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    call *c = user;
    bool is_noise = strcmp(arrival->codec->name, "CN") == 0;

    (void)receiver;
    if (is_noise) {
        duet_comfort_noise noise;
        assert_int_equal(arrival->packet->payload_type, 13);
        assert_false(arrival->packet->marker);
        assert_int_equal(duet_comfort_noise_parse(&noise, arrival->packet->payload, arrival->packet->payload_len),
                         DUET_OK);
        c->last_level = noise.level;
        c->noise_packets++;
    } else {
        bool begins = c->last_was_noise || c->voice_packets == 0;
        if (c->expects_marker)
            assert_int_equal(arrival->packet->marker, begins); /* RFC 3551, 4.1 */
        c->talkspurts += begins;
        c->voice_packets++;
    }
    c->last_was_noise = is_noise;
    /* Timestamps follow the clock through the pauses. */
    int64_t units = (int64_t)(uint32_t)arrival->packet->timestamp;
    if (c->first_timestamp < 0) {
        c->first_timestamp = units;
        c->first_captured = arrival->time;
    }
    uint32_t told = (uint32_t)(units - c->first_timestamp);
    int64_t drift = (int64_t)told * 1000000 / c->rate - (int64_t)(arrival->time - c->first_captured);
    duet_time by = (duet_time)(drift < 0 ? -drift : drift);
    c->worst_drift = by > c->worst_drift ? by : c->worst_drift;
}

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    (void)receiver;
    assert_string_not_equal(frame->codec->name, "CN");
    ((call *)user)->frames++;
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_frame = frame_arrives, .on_rtp = packet_arrives, .user = the_call};

    (void)user, (void)pc;
    the_call->sound = duet_transceiver_receiver(transceiver);
    duet_receiver_set_callbacks(the_call->sound, &callbacks);
}

static void read_sound(void *arg)
{
    call *c = arg;
    int16_t samples[480];

    if (!c->running)
        return;
    if (c->sound) {
        assert_int_equal(duet_receiver_read_audio(c->sound, samples, 480, 1), DUET_OK);
        for (size_t i = 0; i < 480; i++)
            c->energy += samples[i] / 32768.0 * samples[i] / 32768.0;
        c->samples_read += 480;
    }
    duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + DUET_MS(10), read_sound, c);
}

static void listen(call *c)
{
    c->energy = 0;
    c->samples_read = 0;
}

/* -dBov of what was heard. */
static double level(const call *c)
{
    return c->energy > 0 ? -10 * log10(c->energy / (double)c->samples_read) : 127;
}

/* ---- sending ---- */

static double white(call *c)
{
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(c->random >> 32) / 2147483648.0;
}

static void send_sound(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    int16_t samples[960];
    size_t count = c->rate / 50;
    duet_audio_frame frame = {samples, count, c->rate, 1};

    if (!c->running)
        return;
    duet_tone_fill(samples, count, 1, c->rate, 440, now < c->talks_until ? c->voice : 0, c->position);
    c->position += count;
    for (size_t i = 0; i < count; i++)
        samples[i] = (int16_t)(samples[i] + white(c) * c->noise * 32767);
    int err = duet_sender_send_audio(c->audio, &frame, now);
    assert_true(err == DUET_OK || err == DUET_ERR_STATE);
    duet_sim_at(c->world->sim, now + EVERY, send_sound, c);
}

/* ---- a call ---- */

static void set_dtx(call *c, bool dtx)
{
    duet_sender_parameters parameters;

    duet_sender_get_parameters(c->audio, &parameters);
    parameters.dtx = dtx;
    assert_int_equal(duet_sender_set_parameters(c->audio, &parameters), DUET_OK);
}

static call *call_connected(uint64_t seed, const duet_sim_link *link, const char *codec, bool with_noise)
{
    const char *const names[] = {codec, with_noise ? "CN" : NULL, NULL};
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->first_timestamp = -1;
    c->rate = strcmp(codec, "opus") == 0 ? 48000 : 8000;
    c->voice = 0.25;
    c->noise = 0.002; /* -54 dBov less 4.8, as it is even: -58.7 */
    c->world = world_new(seed, link);
    raw_sides_create(c->world, on_track);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &c->audio), DUET_OK);
    prefer(duet_sender_transceiver(c->audio), names);
    set_dtx(c, true);
    world_connect(c->world, DUET_SECONDS(40));
    c->running = true;
    c->talks_until = duet_sim_now(c->world->sim) + DUET_SECONDS(2);
    send_sound(c);
    read_sound(c);
    world_run(c->world, DUET_SECONDS(2));
    return c;
}

static void talk(call *c, duet_time span)
{
    c->talks_until = duet_sim_now(c->world->sim) + span;
    world_run(c->world, span);
}

static void call_end(call *c)
{
    c->running = false;
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static uint64_t received(const call *c, const char *name)
{
    return stat_of(c->world->bob.pc, DUET_STATS_INBOUND_RTP, "audio", name);
}

static const duet_sim_link good = {.delay = DUET_MS(10)};
static const duet_sim_link shaky = {.delay = DUET_MS(20), .jitter = DUET_MS(20)};
static const duet_sim_link lossy = {.delay = DUET_MS(10), .loss = 0.025};

/* ---- stories ---- */

static void a_pause_is_noise_and_no_loss(void **state)
{
    const char *const codecs[] = {"PCMU", "PCMA"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        call *c = call_connected(1 + i, &good, codecs[i], true);
        c->expects_marker = true;
        assert_int_equal(c->noise_packets, 0);
        uint32_t voice = c->voice_packets;
        world_run(c->world, DUET_SECONDS(1)); /* hang-over, and the beginning of the pause */
        uint64_t concealed = received(c, "concealedSamples"), total = received(c, "totalSamplesReceived");
        assert_in_range(c->voice_packets - voice, 5, 20);
        voice = c->voice_packets;
        listen(c);
        world_run(c->world, DUET_SECONDS(20));
        print_message("%s: %u packets of noise in 21 s, told -%u dBov, heard -%.1f dBov\n", codecs[i], c->noise_packets,
                      c->last_level, level(c));
        assert_int_equal(c->voice_packets, voice);
        assert_in_range(c->noise_packets, 40, 60);
        assert_in_range(c->last_level, 57, 61);
        assert_true(fabs(level(c) - 58.7) < 2);
        assert_int_equal(received(c, "concealedSamples"), concealed);
        assert_true(received(c, "totalSamplesReceived") - total > 19 * 8000);

        talk(c, DUET_SECONDS(2));
        listen(c);
        talk(c, DUET_SECONDS(1));
        assert_true(fabs(level(c) - 15.05) < 1); /* a sine of a quarter */
        assert_int_equal(received(c, "concealedSamples"), concealed);
        assert_int_equal(c->talkspurts, 2);
        assert_true(c->worst_drift < DUET_MS(2));
        call_end(c);
    }
}

static void short_pauses_keep_the_time(void **state)
{
    (void)state;

    call *c = call_connected(3, &good, "PCMU", true);
    c->expects_marker = true;
    for (int i = 0; i < 40; i++) { /* 20 to 215 ms of nothing at all after the hang-over */
        world_run(c->world, DUET_MS(220) + (duet_time)i * DUET_MS(5));
        talk(c, DUET_MS(300));
    }
    assert_true(c->talkspurts > 25 && c->noise_packets > 25);
    assert_true(c->worst_drift < DUET_MS(25)); /* what is captured is cut at the same places */
    assert_true(received(c, "concealedSamples") < 800);
    call_end(c);
}

static void a_level_that_changes_is_told(void **state)
{
    (void)state;

    call *c = call_connected(4, &good, "PCMU", true);
    world_run(c->world, DUET_SECONDS(4));
    listen(c);
    world_run(c->world, DUET_SECONDS(2));
    double before = level(c);
    c->noise = 0.0005; /* 12 dB less */
    world_run(c->world, DUET_SECONDS(1));
    listen(c);
    world_run(c->world, DUET_SECONDS(2));
    print_message("-%.1f dBov, then -%.1f dBov\n", before, level(c));
    assert_true(fabs(level(c) - before - 12) < 2);
    c->noise = 0.01; /* -44.8 dBov: for voice at first, for background after some seconds */
    uint32_t voice = c->voice_packets;
    world_run(c->world, DUET_SECONDS(12));
    assert_true(c->voice_packets > voice + 50);
    voice = c->voice_packets;
    listen(c);
    world_run(c->world, DUET_SECONDS(5));
    assert_int_equal(c->voice_packets, voice);
    assert_true(fabs(level(c) - 44.8) < 2);
    call_end(c);
}

static void jitter_and_loss_do_not_disturb_the_pauses(void **state)
{
    const duet_sim_link *const links[] = {&shaky, &lossy};
    (void)state;

    for (size_t k = 0; k < 2; k++) {
        call *c = call_connected(5 + k, links[k], "PCMU", true);
        uint64_t in_pauses = 0;
        for (int i = 0; i < 20; i++) {
            world_run(c->world,
                      DUET_MS(800)); /* the first word of the pause may be lost, the second comes 500 ms later */
            in_pauses -= received(c, "concealedSamples");
            world_run(c->world, DUET_SECONDS(2));
            in_pauses += received(c, "concealedSamples");
            talk(c, DUET_SECONDS(1));
        }
        uint64_t concealed = received(c, "concealedSamples"), total = received(c, "totalSamplesReceived");
        print_message("%llu of %llu samples concealed\n", (unsigned long long)concealed, (unsigned long long)total);
        assert_true(total > 75 * 8000);
        assert_true(concealed * 100 < total * 3);
        assert_int_equal(in_pauses, 0);
        listen(c);
        talk(c, DUET_SECONDS(1));
        assert_true(fabs(level(c) - 15.05) < 2);
        call_end(c);
    }
}

static void without_dtx_or_without_its_codec_all_is_sent(void **state)
{
    (void)state;

    call *c = call_connected(7, &good, "PCMU", false);
    uint32_t voice = c->voice_packets;
    world_run(c->world, DUET_SECONDS(4));
    assert_in_range(c->voice_packets - voice, 198, 202);
    call_end(c);

    c = call_connected(8, &good, "PCMU", true);
    set_dtx(c, false);
    voice = c->voice_packets;
    world_run(c->world, DUET_SECONDS(4));
    assert_in_range(c->voice_packets - voice, 198, 202);
    assert_int_equal(c->noise_packets, 0);
    set_dtx(c, true); /* in mid call */
    world_run(c->world, DUET_SECONDS(1));
    assert_true(c->noise_packets > 0);
    call_end(c);
}

static void opus_pauses_by_itself(void **state)
{
    (void)state;

    call *c = call_connected(10, &good, "opus", true);
    c->noise = 0;
    world_run(c->world, DUET_SECONDS(2));
    uint32_t before = c->voice_packets;
    world_run(c->world, DUET_SECONDS(20));
    print_message("%u packets in 20 s\n", c->voice_packets - before);
    assert_true(c->voice_packets - before < 150);
    assert_int_equal(c->noise_packets, 0);
    for (int i = 0; i < 20; i++) { /* it goes on in the middle of its own rhythm of 400 ms */
        talk(c, DUET_MS(300));
        world_run(c->world, DUET_MS(900) + (duet_time)i * DUET_MS(20));
    }
    assert_true(c->worst_drift < DUET_MS(25));
    talk(c, DUET_SECONDS(1));
    listen(c);
    talk(c, DUET_SECONDS(1));
    assert_true(fabs(level(c) - 15.05) < 1);
    set_dtx(c, false);
    before = c->voice_packets;
    world_run(c->world, DUET_SECONDS(4));
    assert_in_range(c->voice_packets - before, 195, 205);
    call_end(c);
}

static void frames_of_a_call_with_pauses_come_without_the_noise(void **state)
{
    (void)state;

    call *c = call_connected(9, &good, "PCMU", true);
    world_run(c->world, DUET_SECONDS(5));
    talk(c, DUET_SECONDS(2));
    c->running = false;
    world_run(c->world, DUET_MS(300));
    assert_int_equal(c->frames, c->voice_packets);
    assert_true(c->noise_packets > 5);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_is_noise_and_no_loss),
        cmocka_unit_test(short_pauses_keep_the_time),
        cmocka_unit_test(a_level_that_changes_is_told),
        cmocka_unit_test(jitter_and_loss_do_not_disturb_the_pauses),
        cmocka_unit_test(without_dtx_or_without_its_codec_all_is_sent),
        cmocka_unit_test(opus_pauses_by_itself),
        cmocka_unit_test(frames_of_a_call_with_pauses_come_without_the_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
