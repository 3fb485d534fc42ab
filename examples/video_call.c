/* A video call between two peers on a simulated network that loses packets: one draws pictures with a number in them, the
 * other decodes them and reads the numbers. With duet/net.h in place of duet/sim.h it is a call over real sockets. */
#include <stdio.h>
#include <stdlib.h>

#include <duet/codecs.h>
#include <duet/peer.h>
#include <duet/sim.h>
#include <duet/transceiver.h>

#define WIDTH  320
#define HEIGHT 240
#define FRAMES 100

typedef struct peer {
    const char *name;
    duet_sim *sim;
    duet_pc *pc;
    struct peer *other;
    duet_sender *camera;
    uint32_t sent, seen, latest;
} peer;

static void check(int err, const char *what)
{
    if (err != DUET_OK) {
        fprintf(stderr, "%s: %s\n", what, duet_strerror(err));
        exit(1);
    }
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    (void)pc;
    check(duet_pc_add_ice_candidate(((peer *)user)->other->pc, candidate), "candidate");
}

/* Each picture comes whole, in order, and decoded; what was lost on the way has been sent again. */
static void on_video(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                     const duet_incoming_frame *frame)
{
    peer *p = user;

    (void)receiver;
    if (!duet_pattern_read(picture, &p->latest) || p->seen++ % 25)
        return;
    printf("%.3f s  %s sees picture %u, %u x %u, %s, %zu bytes\n", (double)duet_sim_now(p->sim) / 1e6, p->name,
           p->latest, picture->width, picture->height, frame->codec->name, frame->len);
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_video = on_video, .user = user};

    (void)pc;
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

/* The camera: a picture each 40 ms, from the moment on at which the connection can send it. */
static void draw(void *user)
{
    static uint8_t data[WIDTH * HEIGHT * 3 / 2];
    duet_video_frame picture;
    peer *p = user;

    if (duet_sender_is_active(p->camera)) {
        duet_pattern_fill(data, WIDTH, HEIGHT, p->sent++);
        duet_pattern_frame(data, WIDTH, HEIGHT, &picture);
        check(duet_sender_send_video(p->camera, &picture, duet_sim_now(p->sim)), "picture");
    }
    if (p->sent < FRAMES)
        check(duet_sim_at(p->sim, duet_sim_now(p->sim) + DUET_MS(40), draw, p), "timer");
}

static void place(peer *p, const char *name, const char *address, duet_sim *sim, peer *other)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_sim_link link = {.delay = DUET_MS(25), .loss = 0.02};
    duet_sim_host *host;

    *p = (peer){.name = name, .sim = sim, .other = other};
    check(duet_sim_host_create(&host, sim, name), "host");
    check(duet_sim_host_add_address(host, address, &link, &link), "address");
    config.codecs = duet_codecs(); /* pictures and sound instead of encoded frames */
    config.on_ice_candidate = on_candidate;
    config.on_track = on_track;
    config.user = p;
    check(duet_pc_create(&p->pc, &config), "connection");
    check(duet_sim_add(host, p->pc), "driver");
}

static void describe(peer *from, duet_sdp_type type)
{
    char *sdp;

    check(duet_pc_set_local_description(from->pc, type, NULL), "local description");
    check(duet_pc_local_description(from->pc, NULL, &sdp), "local description");
    check(duet_pc_set_remote_description(from->other->pc, type, sdp), "remote description");
    duet_free(NULL, sdp);
}

int main(void)
{
    peer alice, bob;
    duet_sim *sim;

    check(duet_sim_create(&sim, NULL), "simulation");
    place(&alice, "alice", "10.0.0.1", sim, &bob);
    place(&bob, "bob", "10.0.0.2", sim, &alice);
    check(duet_pc_add_track(alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &alice.camera), "track");
    describe(&alice, DUET_SDP_OFFER);
    describe(&bob, DUET_SDP_ANSWER);
    draw(&alice);
    duet_sim_run(sim, DUET_SECONDS(10));
    printf("%u pictures sent, %u seen, the last one was number %u\n", alice.sent, bob.seen, bob.latest);
    duet_sim_destroy(sim); /* forgets the connections */
    duet_pc_destroy(alice.pc);
    duet_pc_destroy(bob.pc);
    return bob.latest == FRAMES - 1 ? 0 : 1;
}
