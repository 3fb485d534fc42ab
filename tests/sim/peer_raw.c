/* Raw pictures and sound between two connections in virtual time, with real encoders and decoders: what is shown is what was
 * drawn, in order, and what is heard is the tone that was played. */
#include "duet/transceiver.h"
#include "prefer.h"
#include "raw_call.h"
#include "stats_of.h"
#include <math.h>

#define WIDTH       320
#define HEIGHT      240
#define VIDEO_EVERY DUET_MS(40)
#define AUDIO_EVERY DUET_MS(20)
#define READ_EVERY  DUET_MS(10)
#define TONE_HZ     440.0
#define AMPLITUDE   0.25

typedef struct call {
    world *world;
    duet_sender *audio, *video;
    duet_receiver *sound, *pictures;
    bool running;
    uint16_t width, height;
    uint32_t rate; /* of what is captured */
    uint8_t channels;
    bool may_fail; /* sending and reading */

    uint32_t counter;
    uint64_t position;
    uint8_t picture[WIDTH * HEIGHT * 3 / 2];

    uint32_t shown, unreadable, backward, last_shown;
    uint16_t shown_width, shown_height;
    bool reads;
    double energy, in_phase, quadrature; /* of what was read since listen() */
    uint64_t samples_read;
} call;

/* ---- sending ---- */

static void send_picture(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    duet_video_frame frame;

    if (!c->running)
        return;
    duet_pattern_fill(c->picture, c->width, c->height, c->counter++);
    duet_pattern_frame(c->picture, c->width, c->height, &frame);
    int err = duet_sender_send_video(c->video, &frame, now);
    if (err != DUET_OK && err != DUET_ERR_STATE && !c->may_fail)
        fail_msg("a picture is refused: %s", duet_strerror(err));
    duet_sim_at(c->world->sim, now + VIDEO_EVERY, send_picture, c);
}

static void send_sound(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    int16_t samples[960 * 2];
    size_t count = c->rate / 50;
    duet_audio_frame frame = {samples, count, c->rate, c->channels};

    if (!c->running)
        return;
    duet_tone_fill(samples, count, c->channels, c->rate, TONE_HZ, AMPLITUDE, c->position);
    c->position += count;
    int err = duet_sender_send_audio(c->audio, &frame, now);
    if (err != DUET_OK && err != DUET_ERR_STATE && !c->may_fail)
        fail_msg("sound is refused: %s", duet_strerror(err));
    duet_sim_at(c->world->sim, now + AUDIO_EVERY, send_sound, c);
}

/* ---- receiving ---- */

static void shows(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                  const duet_incoming_frame *frame)
{
    call *c = user;
    uint32_t counter;

    (void)receiver;
    assert_true(frame->len > 0);
    c->shown_width = picture->width;
    c->shown_height = picture->height;
    if (!duet_pattern_read(picture, &counter)) {
        c->unreadable++;
        return;
    }
    c->backward += c->shown > 0 && counter <= c->last_shown;
    c->last_shown = counter;
    c->shown++;
}

static void read_sound(void *arg)
{
    call *c = arg;
    int16_t samples[480 * 2];
    double step = 2 * 3.14159265358979 * TONE_HZ / 48000;

    if (!c->running)
        return;
    if (c->reads && c->sound) {
        int err = duet_receiver_read_audio(c->sound, samples, 480, c->channels);
        assert_true(err == DUET_OK || c->may_fail);
        for (size_t i = 0; err == DUET_OK && i < 480; i++) {
            double x = samples[i * c->channels] / 32768.0, at = (double)c->samples_read++ * step;
            c->energy += x * x;
            c->in_phase += x * cos(at);
            c->quadrature += x * sin(at);
        }
    }
    duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + READ_EVERY, read_sound, c);
}

/* Measures from now on. */
static void listen(call *c)
{
    c->energy = c->in_phase = c->quadrature = 0;
    c->samples_read = 0;
}

/* Root of the mean square, 1 is full scale. */
static double loudness(const call *c)
{
    return c->samples_read ? sqrt(c->energy / (double)c->samples_read) : 0;
}

/* How much of it is the tone, 0 to 1. The phase must hold while it is measured. */
static double purity(const call *c)
{
    double tone = 2 * (c->in_phase * c->in_phase + c->quadrature * c->quadrature) / (double)c->samples_read;

    return c->energy > 0 ? tone / c->energy : 0;
}

#define TONE_LOUDNESS (AMPLITUDE / 1.41421356)

static call *the_call;

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    call *c = the_call;
    duet_receiver *receiver = duet_transceiver_receiver(transceiver);
    duet_receiver_callbacks callbacks = {.on_video = shows, .user = c};

    (void)user, (void)pc;
    if (duet_transceiver_kind(transceiver) == DUET_SDP_AUDIO) {
        c->sound = receiver;
        return;
    }
    c->pictures = receiver;
    duet_receiver_set_callbacks(receiver, &callbacks);
}

/* ---- a call ---- */

/* With its repair. */
static void prefer_one(duet_sender *sender, const char *name)
{
    const char *const names[] = {name, "rtx", NULL};

    prefer(duet_sender_transceiver(sender), names);
}

/* Alice sends, bob plays. @param audio  its codec */
static call *call_new(uint64_t seed, const duet_sim_link *link, const char *audio)
{
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->world = world_new(seed, link);
    c->width = WIDTH;
    c->height = HEIGHT;
    c->rate = strcmp(audio, "opus") == 0 ? 48000 : 8000;
    c->channels = 1;
    c->reads = true;
    return c;
}

static void call_connect(call *c, const char *audio, const char *video)
{
    world *w = c->world;
    raw_sides_create(w, on_track);
    assert_int_equal(duet_pc_add_track(w->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &c->audio), DUET_OK);
    assert_int_equal(duet_pc_add_track(w->alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &c->video), DUET_OK);
    prefer_one(c->audio, audio);
    prefer_one(c->video, video);
    world_connect(w, DUET_SECONDS(40));
}

static void call_start(call *c)
{
    c->running = true;
    send_picture(c);
    send_sound(c);
    read_sound(c);
}

static call *call_connected(uint64_t seed, const duet_sim_link *link, const char *audio, const char *video)
{
    call *c = call_new(seed, link, audio);

    call_connect(c, audio, video);
    call_start(c);
    return c;
}

static void call_run(call *c, duet_time span)
{
    world_run(c->world, span);
}

static void call_end(call *c)
{
    c->running = false;
    world_end(c->world);
    free(c);
    the_call = NULL;
}

/* ---- statistics ---- */

static uint64_t received_stat(const call *c, const char *media, const char *name)
{
    return stat_of(c->world->bob.pc, DUET_STATS_INBOUND_RTP, media, name);
}

static uint64_t sent_stat(const call *c, const char *media, const char *name)
{
    return stat_of(c->world->alice.pc, DUET_STATS_OUTBOUND_RTP, media, name);
}

static const duet_sim_link good = {.delay = DUET_MS(10)};
static const duet_sim_link lossy = {.delay = DUET_MS(10), .jitter = DUET_MS(5), .loss = 0.01}; /* of each host: 2 % */

/* ---- stories ---- */

static void assert_seen_and_heard(call *c, const char *codec)
{
    print_message("%s: %u of %u pictures, loudness %.3f of %.3f, purity %.2f, %llu of %llu samples concealed\n", codec,
                  c->shown, c->counter, loudness(c), TONE_LOUDNESS, purity(c),
                  (unsigned long long)received_stat(c, "audio", "concealedSamples"),
                  (unsigned long long)received_stat(c, "audio", "totalSamplesReceived"));
    assert_int_equal(c->unreadable, 0);
    assert_int_equal(c->backward, 0);
    assert_true(c->shown * 10 > c->counter * 9);
    assert_int_equal(c->shown_width, WIDTH);
    assert_int_equal(c->shown_height, HEIGHT);
    assert_true(fabs(loudness(c) - TONE_LOUDNESS) < 0.1 * TONE_LOUDNESS);
}

static void pictures_and_sound_arrive_as_they_were_made(void **state)
{
    const char *const codecs[] = {"VP8", "VP9"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        call *c = call_connected(1 + i, &good, "opus", codecs[i]);
        call_run(c, DUET_SECONDS(2));
        listen(c);
        call_run(c, DUET_SECONDS(6));
        assert_seen_and_heard(c, codecs[i]);
        assert_true(purity(c) > 0.97);
        assert_true(received_stat(c, "audio", "totalSamplesReceived") > 48000 * 7);
        assert_true(received_stat(c, "audio", "concealedSamples") < 4800);
        assert_int_equal(received_stat(c, "video", "framesDecoded"), c->shown);
        assert_int_equal(received_stat(c, "video", "frameWidth"), WIDTH);
        assert_int_equal(received_stat(c, "video", "duetFramesUndecodable"), 0);
        assert_int_equal(sent_stat(c, "video", "duetKeyFramesSent"), 1);
        call_end(c);
    }
}

static void assert_tone(const duet_pc *pc, duet_stats_kind kind, double share)
{
    double seconds = real_stat_of(pc, kind, "audio", "totalSamplesDuration");

    assert_true(seconds > 5 && seconds < 10);
    assert_true(fabs(real_stat_of(pc, kind, "audio", "audioLevel") - TONE_LOUDNESS) < 0.1 * TONE_LOUDNESS);
    double mean = sqrt(real_stat_of(pc, kind, "audio", "totalAudioEnergy") / seconds);
    assert_true(mean > share * TONE_LOUDNESS && mean < 1.05 * TONE_LOUDNESS);
}

/* W3C webrtc-stats, sections 8.7 to 8.13. */
static void both_ends_tell_what_passed_by(void **state)
{
    (void)state;
    call *c = call_connected(9, &good, "opus", "VP8");
    const duet_pc *alice = c->world->alice.pc, *bob = c->world->bob.pc;

    call_run(c, DUET_SECONDS(8));
    assert_int_equal(stat_of(alice, DUET_STATS_MEDIA_SOURCE, "video", "width"), WIDTH);
    assert_int_equal(stat_of(alice, DUET_STATS_MEDIA_SOURCE, "video", "height"), HEIGHT);
    assert_int_equal(stat_of(alice, DUET_STATS_MEDIA_SOURCE, "video", "framesPerSecond"), 25);
    uint64_t frames = stat_of(alice, DUET_STATS_MEDIA_SOURCE, "video", "frames");
    assert_int_equal(frames, c->counter);
    assert_int_equal(sent_stat(c, "video", "framesEncoded"), sent_stat(c, "video", "framesSent"));
    assert_int_equal(sent_stat(c, "video", "keyFramesEncoded"), 1);
    assert_int_equal(sent_stat(c, "video", "frameHeight"), HEIGHT);
    assert_int_equal(received_stat(c, "video", "keyFramesDecoded"), 1);
    assert_int_equal(received_stat(c, "video", "framesPerSecond"), 25);
    assert_tone(alice, DUET_STATS_MEDIA_SOURCE, 0.98);
    assert_tone(bob, DUET_STATS_INBOUND_RTP, 0.9); /* silence before the first packet counts too */
    double before = real_stat_of(bob, DUET_STATS_REMOTE_OUTBOUND_RTP, "audio", "remoteTimestamp");

    duet_sender_replace_track(c->video, NULL);
    call_run(c, DUET_SECONDS(10));
    assert_int_equal(received_stat(c, "video", "framesPerSecond"), 0);
    double passed = real_stat_of(bob, DUET_STATS_REMOTE_OUTBOUND_RTP, "audio", "remoteTimestamp") - before;
    assert_true(passed > 4000 && passed < 16000); /* reports come every five seconds, more or less */
    call_end(c);
}

static void two_percent_of_loss_are_repaired_or_concealed(void **state)
{
    const char *const codecs[] = {"VP8", "VP9"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        call *c = call_connected(3 + i, &lossy, "opus", codecs[i]);
        call_run(c, DUET_SECONDS(3));
        listen(c);
        call_run(c, DUET_SECONDS(10));
        assert_seen_and_heard(c, codecs[i]);
        uint64_t concealed = received_stat(c, "audio", "concealedSamples");
        uint64_t total = received_stat(c, "audio", "totalSamplesReceived");
        assert_true(total > 48000 * 12);
        assert_true(concealed * 100 < total * 5);
        assert_true(concealed > 48000 / 10);
        call_end(c);
    }
}

static void stereo_and_mono_meet(void **state)
{
    (void)state;

    call *c = call_connected(5, &good, "opus", "VP8");
    call_run(c, DUET_SECONDS(1));
    c->channels = 2; /* from now on two are captured, and two are played */
    call_run(c, DUET_SECONDS(1));
    listen(c);
    call_run(c, DUET_SECONDS(3));
    assert_true(fabs(loudness(c) - TONE_LOUDNESS) < 0.1 * TONE_LOUDNESS);
    assert_true(purity(c) > 0.97);
    call_end(c);
}

static void g711_sounds_as_the_telephone_does(void **state)
{
    const char *const codecs[] = {"PCMU", "PCMA"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        call *c = call_connected(6 + i, &good, codecs[i], "VP8");
        duet_codec codec;
        assert_int_equal(duet_sender_codec(c->audio, &codec), DUET_OK);
        assert_string_equal(codec.name, codecs[i]);
        call_run(c, DUET_SECONDS(2));
        listen(c);
        call_run(c, DUET_SECONDS(3));
        assert_true(fabs(loudness(c) - TONE_LOUDNESS) < 0.1 * TONE_LOUDNESS);
        assert_true(purity(c) > 0.95);
        assert_true(received_stat(c, "audio", "totalSamplesReceived") > 8000 * 4);
        assert_true(received_stat(c, "audio", "concealedSamples") < 800);
        c->running = false;
        int16_t samples[960] = {0};
        duet_audio_frame wide = {samples, 960, 48000, 1};
        assert_int_equal(duet_sender_send_audio(c->audio, &wide, duet_sim_now(c->world->sim)), DUET_ERR_INVALID);
        call_end(c);
    }
}

static void another_codec_in_mid_call_is_followed(void **state)
{
    (void)state;

    call *c = call_connected(8, &good, "opus", "VP8");
    call_run(c, DUET_SECONDS(2));
    uint64_t samples = received_stat(c, "audio", "totalSamplesReceived");
    prefer_one(c->audio, "PCMU");
    prefer_one(c->video, "VP9");
    c->may_fail = true; /* as long as what is captured does not fit */
    world_offer(c->world);
    call_run(c, DUET_MS(100));
    c->rate = 8000;
    c->position = 0;
    call_run(c, DUET_SECONDS(1));
    c->may_fail = false;
    uint32_t before = c->shown;
    listen(c);
    call_run(c, DUET_SECONDS(3));
    assert_true(c->shown > before + 60);
    assert_int_equal(c->unreadable + c->backward, 0);
    assert_true(fabs(loudness(c) - TONE_LOUDNESS) < 0.1 * TONE_LOUDNESS);
    assert_true(purity(c) > 0.95);
    /* What was counted with the codecs before still counts. */
    assert_true(received_stat(c, "audio", "totalSamplesReceived") > samples + 3 * 8000);
    assert_int_equal(received_stat(c, "video", "framesReceived"), c->shown);
    assert_int_equal(received_stat(c, "video", "duetKeyFramesReceived"), 2);
    call_end(c);
}

static void a_picture_of_another_size_is_followed(void **state)
{
    const char *const codecs[] = {"VP8", "VP9"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        call *c = call_connected(9 + i, &good, "opus", codecs[i]);
        call_run(c, DUET_SECONDS(2));
        c->width = 192;
        c->height = 128;
        call_run(c, DUET_SECONDS(2));
        assert_int_equal(c->shown_width, 192);
        assert_int_equal(c->shown_height, 128);
        assert_int_equal(received_stat(c, "video", "frameWidth"), 192);
        assert_int_equal(c->unreadable + c->backward, 0);
        assert_true(c->shown + 8 > c->counter);
        call_end(c);
    }
}

static uint64_t bits_per_second(call *c, const char *media)
{
    uint64_t before = sent_stat(c, media, "bytesSent");

    call_run(c, DUET_SECONDS(5));
    return (sent_stat(c, media, "bytesSent") - before) * 8 / 5;
}

static void the_bit_rate_follows_its_limit(void **state)
{
    const uint64_t audio_rates[] = {64000, 12000, 0}, video_rates[] = {400000, 80000, 0};
    uint64_t audio[3], video[3];
    (void)state;

    call *c = call_connected(11, &good, "opus", "VP8");
    for (size_t i = 0; i < 3; i++) {
        duet_sender_parameters p;
        duet_sender_get_parameters(c->audio, &p);
        p.max_bitrate = audio_rates[i];
        assert_int_equal(duet_sender_set_parameters(c->audio, &p), DUET_OK);
        duet_sender_get_parameters(c->video, &p);
        p.max_bitrate = video_rates[i];
        assert_int_equal(duet_sender_set_parameters(c->video, &p), DUET_OK);
        call_run(c, DUET_SECONDS(1));
        video[i] = bits_per_second(c, "video");
        audio[i] = bits_per_second(c, "audio");
        print_message("audio %llu of %llu, video %llu of %llu bit/s\n", (unsigned long long)audio[i],
                      (unsigned long long)audio_rates[i], (unsigned long long)video[i],
                      (unsigned long long)video_rates[i]);
    }
    assert_true(audio[0] > 2 * audio[1] && audio[2] > audio[1] * 3 / 2);
    assert_true(audio[1] < 20000);
    assert_true(video[1] < 110000 && video[0] > video[1] * 3 / 2 && video[2] > video[1] * 3 / 2);
    assert_int_equal(sent_stat(c, "video", "duetKeyFramesSent"), 1); /* the encoder was kept */
    call_end(c);
}

static void a_sender_that_stops_is_silence(void **state)
{
    (void)state;

    call *c = call_connected(12, &good, "opus", "VP8");
    call_run(c, DUET_SECONDS(3));
    assert_int_equal(duet_sender_replace_track(c->audio, NULL), DUET_OK);
    call_run(c, DUET_SECONDS(3)); /* what was heard last is made longer, and fades */
    listen(c);
    call_run(c, DUET_SECONDS(2));
    assert_true(loudness(c) < 0.001);
    assert_int_equal(duet_sender_replace_track(c->audio, "again"), DUET_OK);
    call_run(c, DUET_SECONDS(1));
    listen(c);
    call_run(c, DUET_SECONDS(2));
    assert_true(fabs(loudness(c) - TONE_LOUDNESS) < 0.1 * TONE_LOUDNESS);
    call_end(c);
}

static void sound_can_be_read_before_any_comes_and_after_the_end(void **state)
{
    (void)state;

    int16_t samples[960];
    call *c = call_connected(13, &good, "opus", "VP8");
    memset(samples, 1, sizeof(samples));
    assert_int_equal(duet_receiver_read_audio(c->sound, samples, 480, 2), DUET_OK);
    for (size_t i = 0; i < 960; i++)
        assert_int_equal(samples[i], 0);
    assert_int_equal(duet_receiver_read_audio(c->pictures, samples, 480, 1), DUET_ERR_INVALID);
    assert_int_equal(duet_receiver_read_audio(c->sound, samples, 320, 3), DUET_ERR_INVALID);
    call_run(c, DUET_SECONDS(1));
    duet_pc_close(c->world->bob.pc);
    assert_int_equal(duet_receiver_read_audio(c->sound, samples, 480, 1), DUET_OK);
    call_end(c);
}

/* ---- out of memory ---- */

/* Half a second of media in which the n-th allocation fails, or all from it on; then there is memory again, and everything is
 * seen and heard. @return false when there were fewer allocations */
static bool survives(bool is_bob, uint64_t n, bool fail_after)
{
    test_allocator memory;
    call *c = call_new(14, &good, "opus");
    side *s = is_bob ? &c->world->bob : &c->world->alice;

    test_allocator_init(&memory, 0);
    s->env.allocator = &memory.allocator;
    c->width = 96;
    c->height = 64;
    call_connect(c, "opus", "VP8");
    c->may_fail = true;
    memory.fail_at = memory.calls + n;
    memory.fail_after = fail_after;
    call_start(c);
    call_run(c, DUET_MS(500));
    bool was_reached = memory.calls >= memory.fail_at;
    memory.fail_at = 0;
    call_run(c, DUET_MS(500));
    uint32_t before = c->shown;
    listen(c);
    call_run(c, DUET_MS(500));
    if (c->shown < before + 10 || c->backward || loudness(c) < TONE_LOUDNESS / 2)
        fail_msg("allocation %llu of %s: %u pictures, loudness %.3f", (unsigned long long)n, s->name, c->shown - before,
                 loudness(c));
    call_end(c);
    assert_int_equal(memory.live, 0);
    return was_reached;
}

static void a_call_survives_one_missing_allocation(void **state)
{
    unsigned runs = 0;
    (void)state;

    for (int is_bob = 0; is_bob < 2; is_bob++) {
        for (uint64_t n = 1; n <= 60 && survives(is_bob, n, false); n++)
            runs++;
    }
    print_message("%u allocations failed\n", runs);
    assert_true(runs > 30);
}

static void a_call_survives_half_a_second_without_memory(void **state)
{
    (void)state;

    for (int is_bob = 0; is_bob < 2; is_bob++) {
        for (uint64_t n = 1; n <= 20; n++)
            (void)survives(is_bob, n, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_and_sound_arrive_as_they_were_made),
        cmocka_unit_test(both_ends_tell_what_passed_by),
        cmocka_unit_test(two_percent_of_loss_are_repaired_or_concealed),
        cmocka_unit_test(stereo_and_mono_meet),
        cmocka_unit_test(g711_sounds_as_the_telephone_does),
        cmocka_unit_test(another_codec_in_mid_call_is_followed),
        cmocka_unit_test(a_picture_of_another_size_is_followed),
        cmocka_unit_test(the_bit_rate_follows_its_limit),
        cmocka_unit_test(a_sender_that_stops_is_silence),
        cmocka_unit_test(sound_can_be_read_before_any_comes_and_after_the_end),
        cmocka_unit_test(a_call_survives_one_missing_allocation),
        cmocka_unit_test(a_call_survives_half_a_second_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
