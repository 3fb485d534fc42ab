/* Opens a data channel to example_echo_server, sends three messages and prints what comes back.
 *
 * There is no signaling server: the offer is printed, and the answer read from standard input, each ended by an empty line.
 * Run example_echo_server in a second terminal and copy the one to the other. Everything else is what every program does
 * that uses Duet: a connection, a loop that drives it, and callbacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duet/net.h>
#include <duet/peer.h>

static duet_net *net;
static bool gathered;
static int echoes;

static void check(int err, const char *what)
{
    if (err == DUET_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, duet_strerror(err));
    exit(1);
}

/* ---- events of the channel ---- */

static void on_open(void *user, duet_dc *dc)
{
    (void)user;
    for (int i = 1; i <= 3; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "message %d", i);
        check(duet_dc_send(dc, text, (size_t)len, true), "send");
    }
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    (void)user, (void)dc, (void)is_text;
    fprintf(stderr, "echo: %.*s\n", (int)len, (const char *)data);
    if (++echoes == 3)
        duet_net_stop(net);
}

/* ---- events of the connection ---- */

static void on_gathering(void *user, duet_pc *pc, duet_ice_gathering_state state)
{
    (void)user, (void)pc;
    gathered = state == DUET_ICE_GATHERING_COMPLETE;
}

static void on_state(void *user, duet_pc *pc, duet_pc_state state)
{
    (void)user, (void)pc;
    fprintf(stderr, "connection: %s\n", duet_pc_state_name(state));
    if (state == DUET_PC_FAILED)
        duet_net_stop(net);
}

/* ---- signaling by copy and paste ---- */

static void print_description(duet_pc *pc)
{
    char *sdp;

    check(duet_pc_local_description(pc, NULL, &sdp), "local description");
    printf("%s\n", sdp);
    fflush(stdout);
    duet_free(NULL, sdp);
}

static void read_description(char *sdp, size_t size)
{
    size_t len = 0;

    while (len + 1 < size && fgets(sdp + len, (int)(size - len), stdin) && sdp[len] != '\n' && sdp[len] != '\r')
        len += strlen(sdp + len);
    sdp[len] = 0;
}

int main(void)
{
    static char answer[65536];
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_open = on_open, .on_message = on_message};
    duet_pc *pc;
    duet_dc *dc;

    config.loopback = true; /* both may run on this machine */
    config.on_ice_gathering_state = on_gathering;
    config.on_connection_state = on_state;
    check(duet_net_create(&net, NULL), "loop");
    check(duet_pc_create(&pc, &config), "connection");
    check(duet_net_add(net, pc), "loop");
    check(duet_pc_create_data_channel(pc, "echo", NULL, &dc), "channel");
    duet_dc_set_callbacks(dc, &callbacks);

    /* The offer, complete with the addresses where this side can be reached. */
    check(duet_pc_set_local_description(pc, DUET_SDP_OFFER, NULL), "offer");
    while (!gathered)
        check(duet_net_turn(net, DUET_NEVER), "loop");
    print_description(pc);

    read_description(answer, sizeof(answer));
    int err = duet_pc_set_remote_description(pc, DUET_SDP_ANSWER, answer);
    if (err != DUET_OK)
        fprintf(stderr, "line %zu: %s\n", duet_pc_error(pc)->line, duet_pc_error(pc)->reason);
    check(err, "answer");
    check(duet_net_run(net), "loop"); /* until on_message or on_state stops it */

    duet_pc_close(pc);
    duet_net_remove(net, pc); /* the goodbye leaves here */
    duet_pc_destroy(pc);
    duet_net_destroy(net);
    return echoes == 3 ? 0 : 1;
}
