/* How many RTP packets one core sends and receives in a second through everything there is: RTP session, SRTP, the
 * driver and UDP on loopback, for two SRTP profiles and two payload lengths. Each end has a loop of its own, both in this
 * thread, and the CPU time of each is taken apart; what the kernel does for a datagram on loopback is the sender's.
 *   bench_media_wire     prints one line of JSON */
#include "call_negotiate.h"
#include "duet/net.h"
#include "duet/transceiver.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SETUP_LIMIT  DUET_SECONDS(10)
#define SECONDS_EACH 1.0 /* of CPU time */
#define WARM_UP      200 /* batches */
#define BATCH        32

typedef struct end {
    struct end *other;
    duet_net *net;
    duet_pc *pc;
    unsigned long received;
    double cpu_seconds;
} end;

static double cpu_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- two ends ---- */

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    (void)pc;
    call_check(duet_pc_add_ice_candidate(((end *)user)->other->pc, candidate), "candidate");
}

static void on_rtp(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    (void)receiver, (void)arrival;
    ((end *)user)->received++;
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_rtp = on_rtp, .user = user};

    (void)pc;
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

static void create(end *e, end *other, const duet_srtp_profile *profile)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    *e = (end){.other = other};
    config.loopback = true;
    config.srtp_profiles = profile;
    config.srtp_profile_count = 1;
    config.on_ice_candidate = on_candidate;
    config.on_track = on_track;
    config.user = e;
    duet_address_parse(&config.bind, "127.0.0.1", 0);
    call_check(duet_net_create(&e->net, NULL), "loop");
    call_check(duet_pc_create(&e->pc, &config), "connection");
    call_check(duet_net_add(e->net, e->pc), "loop");
}

static void turn(end *e)
{
    double start = cpu_now();

    call_check(duet_net_turn(e->net, 0), "turn");
    e->cpu_seconds += cpu_now() - start;
}

static void destroy(end *e)
{
    duet_net_remove(e->net, e->pc);
    duet_pc_destroy(e->pc);
    duet_net_destroy(e->net);
}

/* ---- packets ---- */

static unsigned long send_batch(end *e, duet_sender *sender, size_t payload_len, uint16_t *sequence_number)
{
    static const uint8_t payload[1500];
    double start = cpu_now();

    for (unsigned i = 0; i < BATCH; i++) {
        duet_rtp_packet packet = {.marker = i + 1 == BATCH,
                                  .payload_type = 96,
                                  .sequence_number = (*sequence_number)++,
                                  .timestamp = (uint32_t)(duet_net_now(e->net) * 9 / 100),
                                  .payload = payload,
                                  .payload_len = payload_len};
        call_check(duet_sender_send_rtp(sender, &packet, NULL), "packet");
    }
    e->cpu_seconds += cpu_now() - start;
    turn(e);
    return BATCH;
}

static void measure(const duet_srtp_profile profile, size_t payload_len)
{
    end alice, bob;
    duet_sender *sender;
    uint16_t sequence_number = 1;
    unsigned long sent = 0;

    create(&alice, &bob, &profile);
    create(&bob, &alice, &profile);
    call_check(duet_pc_add_track(alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &sender), "track");
    call_negotiate(alice.pc, bob.pc);
    for (duet_time limit = duet_net_now(alice.net) + SETUP_LIMIT; !duet_sender_is_active(sender);) {
        call_check(duet_net_now(alice.net) < limit ? DUET_OK : DUET_ERR_TIMEOUT, "connecting");
        turn(&alice);
        turn(&bob);
    }
    for (unsigned batches = 0; alice.cpu_seconds + bob.cpu_seconds < 2 * SECONDS_EACH || batches <= WARM_UP;
         batches++) {
        if (batches == WARM_UP) {
            alice.cpu_seconds = bob.cpu_seconds = 0;
            sent = bob.received = 0;
        }
        sent += send_batch(&alice, sender, payload_len, &sequence_number);
        for (unsigned turns = 0; bob.received < sent && turns < 100; turns++)
            turn(&bob);
    }
    call_check(bob.received >= sent / 100 * 99 ? DUET_OK : DUET_ERR_STATE, "packets are missing");
    printf("{\"profile\":\"%s\",\"payload\":%zu,\"send_per_s\":%.0f,\"receive_per_s\":%.0f}",
           duet_srtp_profile_name(profile), payload_len, (double)sent / alice.cpu_seconds,
           (double)bob.received / bob.cpu_seconds);
    destroy(&alice);
    destroy(&bob);
}

int main(void)
{
    static const duet_srtp_profile profiles[] = {DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AES128_CM_SHA1_80};
    static const size_t payloads[] = {160, 1200};

    printf("{\"wire\":[");
    for (size_t i = 0; i < 4; i++) {
        fputs(i ? "," : "", stdout);
        measure(profiles[i / 2], payloads[i % 2]);
    }
    printf("]}\n");
    return 0;
}
