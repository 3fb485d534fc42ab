/* Duet inside a loop that is somebody else's: one descriptor, duet_net_fd, goes into poll() (or into libevent, libuv,
 * glib, asyncio …). Whenever it is readable, duet_net_turn with time-out 0 does what is due. Here the loop also has a timer
 * of its own; the two connections talk to each other over this machine's loopback interface. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <duet/net.h>
#include <duet/peer.h>

typedef struct peer {
    duet_pc *pc;
    struct peer *other;
    duet_dc *dc; /* once it is open */
    int heard;
} peer;

static void check(int err, const char *what)
{
    if (err == DUET_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, duet_strerror(err));
    exit(1);
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    (void)pc;
    check(duet_pc_add_ice_candidate(((peer *)user)->other->pc, candidate), "candidate");
}

static void on_open(void *user, duet_dc *dc)
{
    ((peer *)user)->dc = dc;
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    (void)dc, (void)is_text;
    ((peer *)user)->heard++;
    printf("heard \"%.*s\"\n", (int)len, (const char *)data);
}

static void use_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = on_open, .on_message = on_message, .user = user};

    (void)pc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void create(peer *p, peer *other, duet_net *net)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    p->other = other;
    config.loopback = true;
    check(duet_address_parse(&config.bind, "127.0.0.1", 0), "address");
    config.on_ice_candidate = on_candidate;
    config.on_data_channel = use_channel;
    config.user = p;
    check(duet_pc_create(&p->pc, &config), "connection");
    check(duet_net_add(net, p->pc), "loop");
}

static void pass_description(peer *from)
{
    duet_sdp_type type;
    char *sdp;

    check(duet_pc_local_description(from->pc, &type, &sdp), "local description");
    check(duet_pc_set_remote_description(from->other->pc, type, sdp), "remote description");
    duet_free(NULL, sdp);
}

int main(void)
{
    peer a = {0}, b = {0};
    duet_net *net;
    duet_dc *dc;
    int ticks = 0;

    check(duet_net_create(&net, NULL), "loop");
    create(&a, &b, net);
    create(&b, &a, net);
    check(duet_pc_create_data_channel(a.pc, "clock", NULL, &dc), "channel");
    use_channel(&a, a.pc, dc);
    check(duet_pc_set_local_description(a.pc, DUET_SDP_OFFER, NULL), "offer");
    pass_description(&a);
    check(duet_pc_set_local_description(b.pc, DUET_SDP_ANSWER, NULL), "answer");
    pass_description(&b);

    struct pollfd fd = {.fd = duet_net_fd(net), .events = POLLIN};
    while (b.heard < 5 && ticks < 200) {
        int ready = poll(&fd, 1, 50); /* with as many other descriptors as you like */
        if (ready > 0)
            check(duet_net_turn(net, 0), "turn");
        if (ready == 0) { /* your own timer; sending from outside of a turn is fine */
            char text[32];
            int len = snprintf(text, sizeof(text), "tick %d", ticks++);
            if (a.dc)
                check(duet_dc_send(a.dc, text, (size_t)len, true), "send");
        }
    }
    peer *peers[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        duet_net_remove(net, peers[i]->pc);
        duet_pc_destroy(peers[i]->pc);
    }
    duet_net_destroy(net);
    return b.heard >= 5 ? 0 : 1;
}
