/* Answers one offer and sends every message back that comes over any channel: the other half of echo_client.c, or of a
 * browser into which offer and answer are pasted.
 *
 * The offer is read from standard input, the answer printed, each ended by an empty line. The program ends when the
 * other side does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duet/net.h>
#include <duet/peer.h>

static duet_net *net;
static bool gathered;

static void check(int err, const char *what)
{
    if (err == DUET_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, duet_strerror(err));
    exit(1);
}

/* ---- events ---- */

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    (void)user;
    /* DUET_ERR_AGAIN would mean that the other side does not read: on_buffered_amount_low tells when it does again. */
    check(duet_dc_send(dc, data, len, is_text), "send");
}

static void on_close(void *user, duet_dc *dc)
{
    (void)user;
    fprintf(stderr, "channel \"%s\" closed\n", duet_dc_label(dc));
    duet_net_stop(net);
}

static void on_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_message = on_message, .on_close = on_close};

    (void)user, (void)pc;
    fprintf(stderr, "channel \"%s\" open\n", duet_dc_label(dc));
    duet_dc_set_callbacks(dc, &callbacks); /* messages wait until this function returns */
}

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
    static char offer[65536];
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_pc *pc;

    config.loopback = true; /* both may run on this machine */
    config.on_data_channel = on_channel;
    config.on_ice_gathering_state = on_gathering;
    config.on_connection_state = on_state;
    check(duet_net_create(&net, NULL), "loop");
    check(duet_pc_create(&pc, &config), "connection");
    check(duet_net_add(net, pc), "loop");

    read_description(offer, sizeof(offer));
    int err = duet_pc_set_remote_description(pc, DUET_SDP_OFFER, offer);
    if (err != DUET_OK)
        fprintf(stderr, "line %zu, column %zu: %s\n", duet_pc_error(pc)->line, duet_pc_error(pc)->column,
                duet_pc_error(pc)->reason);
    check(err, "offer");
    check(duet_pc_set_local_description(pc, DUET_SDP_ANSWER, NULL), "answer");
    while (!gathered)
        check(duet_net_turn(net, DUET_NEVER), "loop");
    print_description(pc);

    check(duet_net_run(net), "loop"); /* until the channel closes */
    duet_net_remove(net, pc);
    duet_pc_destroy(pc);
    duet_net_destroy(net);
    return 0;
}
