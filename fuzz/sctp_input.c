/* Packets for an association in one of several states. Ports, verification tag and checksum are put right, so that the
 * chunks reach the checker and, behind it, usrsctp.
 *
 * Input: one byte says how far the two associations get before; then come records of a length byte pair, a byte of flags
 * and the chunks of one packet. */
#include "base/bytes.h"
#include "base/crypto.h"
#include "duet/sctp.h"
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define QUEUE 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct packet {
    size_t len;
    uint8_t data[1200];
} packet;

typedef struct side {
    duet_sctp *sctp;
    packet queue[QUEUE]; /* for this side */
    size_t first, count;
    uint8_t tag[4]; /* that packets to this side carry */
} side;

static side sides[2];
static duet_time now;

/* usrsctp's clock follows the run. */
__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict tv, void *restrict zone);
__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    tv->tv_sec = (time_t)(1700000000 + now / 1000000);
    tv->tv_usec = (suseconds_t)(now % 1000000);
    return 0;
}

static int sink(void *user, const uint8_t *data, size_t len, duet_time time)
{
    side *from = user, *to = &sides[from == &sides[0]];

    (void)time;
    if (to->count == QUEUE || len > sizeof(to->queue[0].data))
        return DUET_OK;
    packet *p = &to->queue[(to->first + to->count++) % QUEUE];
    p->len = len;
    memcpy(p->data, data, len);
    if (data[4] | data[5] | data[6] | data[7])
        memcpy(to->tag, data + 4, 4);
    return DUET_OK;
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    (void)user;
    if (len < 1000)
        duet_dc_send(dc, data, len, is_text);
}

static void on_close(void *user, duet_dc *dc)
{
    (void)user;
    duet_dc_release(dc);
}

static void on_channel(void *user, duet_dc *dc)
{
    duet_dc_callbacks c = {.size = sizeof(c), .on_message = on_message, .on_close = on_close, .user = user};
    duet_dc_set_callbacks(dc, &c);
}

static void step(void)
{
    now += DUET_MS(10);
    for (int i = 0; i < 2; i++) {
        side *s = &sides[i];
        if (duet_sctp_deadline(s->sctp) <= now)
            duet_sctp_tick(s->sctp, now);
        for (size_t batch = s->count; batch > 0; batch--) {
            packet *p = &s->queue[s->first];
            s->first = (s->first + 1) % QUEUE;
            s->count--;
            duet_sctp_input(s->sctp, p->data, p->len, now);
        }
    }
}

static void inject(int to, const uint8_t *chunks, size_t len, bool tag_zero)
{
    uint8_t p[1024] = {0x13, 0x88, 0x13, 0x88};

    if (len > sizeof(p) - 12)
        len = sizeof(p) - 12;
    if (!tag_zero)
        memcpy(p + 4, sides[to].tag, 4);
    memcpy(p + 12, chunks, len);
    size_t total = (12 + len + 3) & ~(size_t)3;
    uint32_t crc = duet_crc32c(0, p, total);
    for (size_t i = 0; i < 4; i++)
        p[8 + i] = (uint8_t)(crc >> (8 * i));
    duet_sctp_input(sides[to].sctp, p, total, now);
}

/* One association that stays, so that usrsctp is not started and ended with each input. */
static void keep_usrsctp(void)
{
    static duet_sctp *keeper;
    static side nowhere;

    if (keeper)
        return;
    duet_sctp_config c;
    duet_sctp_config_init(&c);
    c.packet_sink = sink;
    c.user = &nowhere;
    if (duet_sctp_create(&keeper, &c) != DUET_OK || duet_sctp_connect(keeper, true, 5000, 0, now) != DUET_OK)
        abort();
}

static void begin(void)
{
    keep_usrsctp();
    memset(sides, 0, sizeof(sides));
    now += DUET_SECONDS(1);
    for (int i = 0; i < 2; i++) {
        duet_sctp_config c;
        duet_sctp_config_init(&c);
        c.streams = 16;
        c.packet_sink = sink;
        c.on_channel = on_channel;
        c.max_message_size = 70000;
        c.user = &sides[i];
        if (duet_sctp_create(&sides[i].sctp, &c) != DUET_OK || duet_sctp_connect(sides[i].sctp, i == 0, 5000, 0, now))
            abort();
    }
}

static void play(uint8_t how)
{
    static const uint8_t message[3000];
    duet_dc *dc;

    for (int i = 0; i < (how & 7); i++)
        step();
    if (how & 8 && duet_dc_create(&dc, sides[0].sctp, "label", NULL, NULL, now) == DUET_OK) {
        on_channel(&sides[0], dc);
        duet_dc_send(dc, message, sizeof(message), false);
        step();
        if (how & 16)
            duet_dc_close(dc);
    }
    if (how & 32)
        step();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_reader r = duet_reader_init(data, size);

    if (size < 4)
        return 0;
    begin();
    play(duet_read_u8(&r));
    while (duet_reader_left(&r) > 3) {
        size_t len = duet_read_u16(&r) % 600;
        uint8_t flags = duet_read_u8(&r);
        if (len > duet_reader_left(&r))
            len = duet_reader_left(&r);
        duet_bytes chunks = duet_read_bytes(&r, len);
        inject(flags & 1, len ? chunks.data : data, len, (flags & 2) != 0);
        if (flags & 4)
            step();
        if (flags & 8)
            now += DUET_SECONDS(1);
    }
    step();
    duet_sctp_destroy(sides[0].sctp);
    duet_sctp_destroy(sides[1].sctp);
    return 0;
}
