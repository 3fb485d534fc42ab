/* Two RTP sessions under a script: calls of users, packets that one made for the other, damaged or not, and packets that
 * the script made. The fake peer knows both sections, so its packets reach every part. */
#include "base/bytes.h"
#include "duet/media.h"
#include "fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAMS 3

typedef struct world {
    duet_rtp_session *session[2];
    duet_send_stream *streams[2][STREAMS];
    duet_receive_stream *heard[2]; /* the newest one */
    duet_reader script;
    duet_time now;
    uint64_t seed;
} world;

static world *the_world;

static int index_of(void *user)
{
    return user == &the_world->session[1];
}

static void on_stream(void *user, duet_receive_stream *stream)
{
    the_world->heard[index_of(user)] = stream;
}

static void on_stream_end(void *user, duet_receive_stream *stream)
{
    if (the_world->heard[index_of(user)] == stream)
        the_world->heard[index_of(user)] = NULL;
}

static void on_packet(void *user, duet_receive_stream *stream, const duet_rtp_arrival *arrival)
{
    unsigned sum = 0;

    (void)user;
    for (size_t i = 0; i < arrival->packet->payload_len; i++)
        sum += arrival->packet->payload[i];
    require(arrival->extended_sequence > 0 && arrival->codec);
    if (sum % 7 == 0)
        duet_receive_stream_request_keyframe(stream, the_world->now);
    if (sum % 11 == 0)
        duet_receive_stream_got_keyframe(stream);
    if (sum % 13 == 0)
        duet_receive_stream_skip_to(stream, arrival->extended_sequence - 5);
}

static void on_results(void *user, const duet_packet_result *results, size_t count, duet_time now)
{
    (void)user, (void)now;
    require(count <= 1024);
    for (size_t i = 0; i < count; i++)
        require(results[i].sent <= the_world->now);
}

static const duet_codec opus = {
    .name = "opus", .payload_type = 111, .clock_rate = 48000, .channels = 2, .feedback = DUET_FEEDBACK_TRANSPORT_CC};
static const duet_codec vp8 = {.name = "VP8",
                               .payload_type = 96,
                               .clock_rate = 90000,
                               .channels = 1,
                               .feedback = DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI | DUET_FEEDBACK_GOOG_REMB |
                                           DUET_FEEDBACK_TRANSPORT_CC};
static const duet_codec rtx = {.name = "rtx", .payload_type = 97, .clock_rate = 90000, .channels = 1, .fmtp = "apt=96"};

static void set_section(duet_rtp_session *session, bool is_video, uint8_t flags)
{
    static const uint32_t ssrcs[] = {1, 2}, rtx_ssrcs[] = {11, 12};
    duet_codec first = vp8;
    const duet_codec *video[] = {&first, &rtx}, *audio[] = {&opus};

    if (flags & 64)
        first.feedback = DUET_FEEDBACK_NACK | DUET_FEEDBACK_CCM_FIR | DUET_FEEDBACK_CCFB;
    duet_rtp_section section = {.size = sizeof(section),
                                .mid = is_video ? "v" : "a",
                                .is_video = is_video,
                                .codecs = is_video ? video : audio,
                                .codec_count = is_video && !(flags & 1) ? 2 : 1,
                                .receives = !(flags & 2),
                                .reduced_size = !(flags & 4),
                                .receiver_rtt = !(flags & 8)};

    section.extensions = (duet_rtp_extension_map){.ids = {4, 10, 11, 2, 3, 1, 5, 6, 7, 8, 9, 12, 13, 14}};
    if (is_video && (flags & 16)) {
        section.remote_ssrcs = ssrcs;
        section.remote_rtx_ssrcs = rtx_ssrcs;
        section.remote_ssrc_count = section.remote_rtx_ssrc_count = 2;
    }
    (void)duet_rtp_session_set_section(session, &section);
}

static void begin(world *w, const duet_env *env)
{
    for (int i = 0; i < 2; i++) {
        duet_rtp_session_config c;
        duet_rtp_session_config_init(&c);
        c.env = env;
        c.receive_streams_max = 12;
        c.on_stream = on_stream;
        c.on_stream_end = on_stream_end;
        c.on_packet = on_packet;
        c.user = &w->session[i];
        require(duet_rtp_session_create(&w->session[i], &c) == DUET_OK);
        set_section(w->session[i], true, 0);
        set_section(w->session[i], false, 0);
        duet_rtp_session_on_feedback(w->session[i], on_results, NULL);
    }
}

static void create_stream(world *w, int side, int slot, uint8_t arg)
{
    duet_send_stream_config c;

    if (w->streams[side][slot])
        return;
    duet_send_stream_config_init(&c);
    c.mid = arg & 1 ? "v" : "a";
    c.rid = arg & 2 ? "hi" : NULL;
    c.ssrc = arg & 4 ? 1u + (unsigned)slot : 0;
    c.queue_limit = 20;
    c.history = 16;
    (void)duet_send_stream_create(&w->streams[side][slot], w->session[side], &c);
}

static void send(world *w, int side, int slot, uint8_t arg)
{
    static const uint8_t payload[1300];
    duet_send_stream *stream = w->streams[side][slot];

    if (!stream)
        return;
    (void)duet_send_stream_send(stream, arg & 1 ? 96 : 111, arg & 2, (uint32_t)(w->now / 10), payload,
                                arg & 4 ? arg : duet_send_stream_payload_max(stream), NULL, w->now);
}

static void forward(world *w, int side, int slot, uint16_t sequence)
{
    duet_rtp_packet packet = {.payload_type = sequence & 1 ? 96 : 111,
                              .sequence_number = (uint16_t)(sequence << 4),
                              .payload = (const uint8_t *)"abc",
                              .payload_len = 3,
                              .padding_len = sequence & 3};

    if (w->streams[side][slot])
        (void)duet_send_stream_forward(w->streams[side][slot], &packet, NULL, w->now);
}

/* What one has to say goes to the other: as it is, lost, twice, or damaged. */
static void pass(world *w, int side, uint8_t how)
{
    uint8_t copy[1600];
    duet_rtp_outgoing out;

    for (int i = 0; i < 40 && duet_rtp_session_output(w->session[side], &out, w->now) == 1; i++) {
        require(out.len <= sizeof(copy) && out.len <= 1296);
        duet_rtp_session_departed(w->session[side], out.transport_sequence_number, out.len, w->now);
        memcpy(copy, out.data, out.len);
        memset(out.data, 0xee, out.capacity);
        if (how & 1 && duet_seeded_next(&w->seed) % 4 == 0)
            continue;
        if (how & 2)
            copy[duet_seeded_next(&w->seed) % out.len] ^= (uint8_t)(1u << duet_seeded_next(&w->seed) % 8);
        for (int n = how & 4 ? 2 : 1; n > 0; n--)
            (void)duet_rtp_session_input(w->session[1 - side], copy, out.len, w->now);
    }
}

static void input(world *w, int side)
{
    size_t len = duet_read_u8(&w->script);
    duet_bytes bytes =
        duet_read_bytes(&w->script, len < duet_reader_left(&w->script) ? len : duet_reader_left(&w->script));
    uint8_t copy[256];

    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    (void)duet_rtp_session_input(w->session[side], copy, bytes.len, w->now);
}

static void receiver_calls(world *w, int side, uint8_t arg)
{
    duet_receive_stream *stream = w->heard[side];
    duet_receive_stream_stats stats;
    uint64_t ntp;

    if (!stream)
        return;
    duet_receive_stream_get_stats(stream, &stats);
    (void)duet_receive_stream_ntp_of(stream, arg * 0x1000000u, &ntp);
    if (arg & 1)
        duet_receive_stream_request_keyframe(stream, w->now);
    else
        duet_receive_stream_got_keyframe(stream);
}

static void step(world *w)
{
    uint8_t op = duet_read_u8(&w->script), arg = duet_read_u8(&w->script);
    int side = op & 1, slot = (arg >> 6) % STREAMS;

    switch (op >> 1 & 15) {
    case 0:
        create_stream(w, side, slot, arg);
        break;
    case 1:
        send(w, side, slot, arg);
        break;
    case 2:
    case 3:
        pass(w, side, arg);
        break;
    case 4:
        w->now += (duet_time)arg * 1000;
        duet_rtp_session_tick(w->session[side], w->now);
        break;
    case 5:
        input(w, side);
        break;
    case 6:
        set_section(w->session[side], arg & 32, arg);
        break;
    case 7:
        duet_send_stream_destroy(w->streams[side][slot]);
        w->streams[side][slot] = NULL;
        break;
    case 8:
        duet_rtp_session_set_remb(w->session[side], (uint64_t)arg << (arg & 63));
        break;
    case 9:
        duet_rtp_session_bye(w->session[side], w->now);
        break;
    case 10:
        receiver_calls(w, side, arg);
        break;
    case 11:
        forward(w, side, slot, arg);
        break;
    case 12:
        for (int i = 0; i < 20; i++)
            send(w, side, slot, arg);
        break;
    case 13: /* receive streams of the section end; none of ours may be in it */
        if (!w->streams[side][0] && !w->streams[side][1] && !w->streams[side][2])
            duet_rtp_session_remove_section(w->session[side], arg & 1 ? "v" : "a");
        break;
    default:
        pass(w, side, 0);
        w->now += 20000;
        break;
    }
    (void)duet_rtp_session_deadline(w->session[side]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w = {.script = duet_reader_init(data, size), .now = 1000000, .seed = 1};
    uint64_t random_seed = 2;
    duet_env env = DUET_ENV_INIT;

    env.random = seeded;
    env.user = &random_seed;
    the_world = &w;
    begin(&w, &env);
    for (int i = 0; i < 400 && duet_reader_left(&w.script); i++)
        step(&w);
    for (int i = 0; i < 2; i++)
        duet_rtp_session_destroy(w.session[i]);
    return 0;
}
