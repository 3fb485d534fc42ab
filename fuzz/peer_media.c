/* Feeds the media of a connected call what only its peer could send: RTP and RTCP of any content, protected with the call's
 * own keys, and real packets of this call that are changed, repeated or cut before they are protected. Sessions, jitter
 * buffers, decoders and senders have to bear it, and the call goes on. */
#include "duet/rtp.h"
#include "peer/media_io.h"
#include "peer_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAPTURE     32 /* the latest packets of each side, before they are protected */
#define PACKET_MAX  1200
#define TRAILER_MAX 160
#define SSRCS_MAX   8
#define STEPS_MAX   400

typedef struct captured {
    size_t len;
    uint8_t data[PACKET_MAX];
} captured;

/* What a side has beside its end of the call. */
typedef struct party {
    duet_transceiver *audio, *video;
    uint16_t port;
    captured captures[CAPTURE];
    size_t captured_count;
    uint16_t sequence; /* of what is made up */
    uint32_t timestamp;
} party;

static party parties[2];

static party *party_of(const end *e)
{
    return &parties[e == &bob];
}

/* ---- the call ---- */

static void on_trace(void *user, const duet_trace_event *e)
{
    party *from = party_of(user);

    if (e->kind == DUET_TRACE_PACKET && e->layer == DUET_LAYER_DATAGRAM && e->outgoing)
        from->port = e->path->local.port;
    if (e->kind != DUET_TRACE_PACKET || e->layer != DUET_LAYER_RTP || !e->outgoing || e->len > PACKET_MAX)
        return;
    captured *c = &from->captures[from->captured_count++ % CAPTURE];
    c->len = e->len;
    memcpy(c->data, e->data, e->len);
    if (duet_rtp_is_rtcp(e->data, e->len))
        return;
    duet_reader r = duet_reader_init(e->data + 2, e->len - 2); /* what is made up goes on where the call is */
    from->sequence = duet_read_u16(&r);
    from->timestamp = duet_read_u32(&r);
}

static void on_frame(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    (void)user, (void)receiver;
    require(frame->len > 0 && frame->codec && frame->data);
}

static void on_video(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                     const duet_incoming_frame *frame)
{
    (void)user, (void)receiver, (void)frame;
    require(picture->width > 0 && picture->height > 0);
}

static void listen(duet_transceiver *t)
{
    duet_receiver_callbacks callbacks = {.on_frame = on_frame, .on_video = on_video};

    duet_receiver_set_callbacks(duet_transceiver_receiver(t), &callbacks);
}

static duet_transceiver *add(end *e, duet_sdp_media_kind kind)
{
    duet_sender *sender;

    require(duet_pc_add_track(e->pc, kind, NULL, NULL, 0, &sender) == DUET_OK);
    listen(duet_sender_transceiver(sender));
    return duet_sender_transceiver(sender);
}

static void add_media(end *e)
{
    party_of(e)->audio = add(e, DUET_SDP_AUDIO);
    party_of(e)->video = add(e, DUET_SDP_VIDEO);
}

static bool sends_video(const end *e)
{
    return duet_sender_is_active(duet_transceiver_sender(party_of(e)->video));
}

static void connect_both(void)
{
    make_channel();
    offer();
    answer();
    wait_until_open();
    require(sends_video(&alice) && sends_video(&bob));
}

/* ---- real media ---- */

static void send_real(end *e, uint8_t how, duet_reader *r)
{
    uint8_t data[600] = {0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00}; /* a key frame of VP8, to look at */
    duet_transceiver *t = how & 1 ? party_of(e)->video : party_of(e)->audio;
    duet_outgoing_frame frame = {.data = data,
                                 .payload_type = DUET_FRAME_OWN_CODEC,
                                 .info = {.is_keyframe = true, .temporal_id = -1},
                                 .captured = duet_sim_now(sim)};

    if (how & 2)
        (void)duet_sender_insert_dtmf(duet_transceiver_sender(party_of(e)->audio), how & 15, DUET_MS(100));
    if (!(how & 1))
        data[0] = 0x78; /* TOC of Opus: CELT, 20 ms */
    frame.len = 10 + duet_read_u8(r) * 2u;
    (void)duet_sender_send_frame(duet_transceiver_sender(t), &frame);
}

static void play(end *e)
{
    int16_t samples[480 * 2];

    for (int i = 0; i < 4; i++)
        require(duet_receiver_read_audio(duet_transceiver_receiver(party_of(e)->audio), samples, 480, 2) == DUET_OK);
}

/* ---- what only the peer can send ---- */

static void send_protected(end *from, uint8_t *packet, size_t len, size_t capacity)
{
    duet_srtp *srtp = from->pc->transports[0]->media->srtp;
    duet_address source, target;
    int err = duet_rtp_is_rtcp(packet, len) ? duet_srtp_protect_rtcp(srtp, packet, &len, capacity)
                                            : duet_srtp_protect_rtp(srtp, packet, &len, capacity);

    if (err != DUET_OK)
        return; /* no packet at all, or an index that was used */
    require(duet_address_parse(&source, from->address, party_of(from)->port) == DUET_OK);
    require(duet_address_parse(&target, from->other->address, party_of(from->other)->port) == DUET_OK);
    (void)duet_sim_send(sim, &source, &target, packet, len);
}

static uint32_t some_ssrc(const end *from, uint8_t which)
{
    const party *own = party_of(from), *other = party_of(from->other);
    const uint32_t known[] = {own->audio->sender.ssrc,     own->video->sender.ssrc,
                              own->video->sender.rtx_ssrc, other->audio->sender.ssrc,
                              other->video->sender.ssrc,   other->video->sender.rtx_ssrc,
                              0x10000 + (which >> 3u),     which};

    return known[which % SSRCS_MAX];
}

static uint8_t some_payload_type(const end *from, uint8_t which)
{
    const pc_send *s = (which & 1 ? party_of(from)->video : party_of(from)->audio)->sender.send;

    if (which & 0x80 || !s || s->codec_count == 0)
        return which & 127;
    return s->codecs[(which >> 1u) % s->codec_count].payload_type;
}

/* | V P X CC | M PT | sequence | timestamp | SSRC | whatever follows: extensions, payload, padding */
static void send_rtp(end *from, duet_reader *r)
{
    uint8_t packet[PACKET_MAX + TRAILER_MAX], first = duet_read_u8(r), type = duet_read_u8(r);
    uint8_t steps = duet_read_u8(r);
    party *p = party_of(from);
    duet_writer w = duet_writer_init(packet, PACKET_MAX);

    p->sequence = (uint16_t)(p->sequence + (steps & 0x80 ? duet_read_u16(r) : (steps & 15)));
    p->timestamp += steps & 0x40 ? duet_read_u32(r) : (steps & 0x3Fu) * 240;
    duet_write_u8(&w, (uint8_t)(0x80 | (first & 0x3F)));
    duet_write_u8(&w, (uint8_t)((first & 0x40 ? 0x80 : 0) | some_payload_type(from, type)));
    duet_write_u16(&w, p->sequence);
    duet_write_u32(&w, p->timestamp);
    duet_write_u32(&w, some_ssrc(from, duet_read_u8(r)));
    size_t len = duet_read_u8(r);
    duet_bytes rest = duet_read_bytes(r, len < duet_reader_left(r) ? len : duet_reader_left(r));
    duet_write_bytes(&w, rest.data, rest.len);
    send_protected(from, packet, w.len, sizeof(packet));
}

/* | V P count | PT | length | SSRC of the sender | SSRC of the media | whatever */
static void send_rtcp(end *from, duet_reader *r)
{
    uint8_t packet[PACKET_MAX + TRAILER_MAX];
    duet_writer w = duet_writer_init(packet, PACKET_MAX);
    unsigned parts = 1 + (duet_read_u8(r) & 3);

    for (unsigned i = 0; i < parts; i++) {
        uint8_t first = duet_read_u8(r), type = duet_read_u8(r), length = duet_read_u8(r), about = duet_read_u8(r);
        size_t len = (size_t)(length & 31) * 4;
        len = len < duet_reader_left(r) ? len : duet_reader_left(r);
        duet_bytes rest = duet_read_bytes(r, len);
        duet_write_u8(&w, (uint8_t)(0x80 | (first & 0x3F)));
        duet_write_u8(&w, (uint8_t)(type & 0x80 ? 192 + (type & 31) : 200 + (type & 7)));
        duet_write_u16(&w, (uint16_t)(length & 0x80 ? length : 2 + len / 4));
        duet_write_u32(&w, some_ssrc(from, first));
        duet_write_u32(&w, some_ssrc(from, about));
        duet_write_bytes(&w, rest.data, rest.len);
    }
    send_protected(from, packet, w.len, sizeof(packet));
}

/* A packet of this call again, with a number of its own so that SRTP lets it pass, and changed. */
static void send_changed(end *from, duet_reader *r, uint8_t how)
{
    uint8_t packet[PACKET_MAX + TRAILER_MAX];
    const party *p = party_of(from);
    size_t kept = p->captured_count < CAPTURE ? p->captured_count : CAPTURE;

    if (kept == 0)
        return;
    const captured *c = &p->captures[(p->captured_count - 1 - duet_read_u8(r) % kept) % CAPTURE];
    size_t len = c->len;
    memcpy(packet, c->data, len);
    for (unsigned changes = duet_read_u8(r) & 7; changes > 0; changes--) {
        size_t at = duet_read_u16(r) % len;
        packet[at] = duet_read_u8(r);
    }
    if (how & 8)
        len = duet_read_u16(r) % (len + 1);
    if (!duet_rtp_is_rtcp(packet, len) && len >= 4 && (how & 4)) {
        packet[2] = duet_read_u8(r);
        packet[3] = duet_read_u8(r);
    }
    send_protected(from, packet, len, sizeof(packet));
}

static void attack(duet_reader *r)
{
    for (int step = 0; step < STEPS_MAX && duet_reader_left(r) > 0; step++) {
        uint8_t how = duet_read_u8(r);
        end *from = how & 16 ? &bob : &alice;
        switch (how >> 5) {
        case 0:
            run(DUET_MS(how & 31));
            break;
        case 1:
            send_real(from, how, r);
            break;
        case 2:
            play(from);
            break;
        case 3:
        case 4:
            send_rtp(from, r);
            break;
        case 5:
        case 6:
            send_rtcp(from, r);
            break;
        default:
            send_changed(from, r, how);
            break;
        }
    }
}

static void count_member(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    (void)kind, (void)members;
    *(size_t *)user += count;
    require(id[0] != 0);
}

static void has_statistics(const end *e)
{
    size_t members = 0;

    duet_pc_get_stats(e->pc, count_member, &members);
    require(members > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_reader r = duet_reader_init(data, size);

    memset(parties, 0, sizeof(parties));
    config.codecs = duet_codecs();
    world_begin(&config, on_trace);
    bob.echoes = true;
    add_media(&alice);
    add_media(&bob);
    connect_both();
    attack(&r);
    still_talking(&alice);
    require(sends_video(&alice));
    has_statistics(&alice);
    has_statistics(&bob);
    world_end();
    return 0;
}
