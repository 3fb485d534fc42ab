/* Walks arbitrary bytes as RTCP and reads each packet in every way. What can be written again must read the same. */
#include "duet/rtcp.h"
#include "fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[300000];

/* The packet that was written last. */
static duet_rtcp_packet reread(const duet_rtcp_writer *w)
{
    duet_rtcp_packet p = {0};
    size_t cursor = 0;

    require(duet_rtcp_next(w->data, w->len, &cursor, &p) == 1 && cursor == w->len);
    return p;
}

static void read_reports(const duet_rtcp_packet *packet)
{
    duet_rtcp_report r, s;
    duet_rtcp_writer w = duet_rtcp_writer_init(again, sizeof(again));

    if (duet_rtcp_read_report(&r, packet) != DUET_OK)
        return;
    require(duet_rtcp_write_report(&w, &r) == DUET_OK);
    duet_rtcp_packet p = reread(&w);
    require(duet_rtcp_read_report(&s, &p) == DUET_OK && memcmp(&r, &s, sizeof(r)) == 0);
}

static void read_sources(const duet_rtcp_packet *packet)
{
    duet_rtcp_sdes_cursor cursor = {0};
    duet_rtcp_sdes_item item;
    duet_rtcp_bye bye;
    duet_rtcp_app app;
    size_t count = 0;
    unsigned sum = 0;

    while (duet_rtcp_next_sdes(packet, &cursor, &item) == 1) {
        for (size_t i = 0; i < item.len; i++)
            sum += (unsigned char)item.text[i];
        count++;
    }
    require(count <= packet->body_len / 2);
    if (duet_rtcp_read_bye(&bye, packet) == DUET_OK) {
        duet_rtcp_writer w = duet_rtcp_writer_init(again, sizeof(again));
        for (size_t i = 0; i < bye.reason_len; i++)
            sum += (unsigned char)bye.reason[i];
        require(duet_rtcp_write_bye(&w, &bye) == DUET_OK);
    }
    (void)duet_rtcp_read_app(&app, packet);
    (void)sum;
}

static void read_feedback(const duet_rtcp_packet *packet)
{
    uint32_t a, b;
    uint16_t pid, blp;
    uint8_t sequence;
    duet_rtcp_nack nack;
    duet_rtcp_fir fir;
    duet_rtcp_remb remb;

    if (duet_rtcp_read_nack(&nack, packet) == DUET_OK) {
        for (size_t i = 0; i < nack.pair_count; i++)
            duet_rtcp_nack_pair(&nack, i, &pid, &blp);
    }
    if (duet_rtcp_read_fir(&fir, packet) == DUET_OK) {
        for (size_t i = 0; i < fir.entry_count; i++)
            duet_rtcp_fir_entry(&fir, i, &a, &sequence);
    }
    (void)duet_rtcp_read_pli(packet, &a, &b);
    if (duet_rtcp_read_remb(&remb, packet) == DUET_OK) {
        duet_rtcp_writer w = duet_rtcp_writer_init(again, sizeof(again));
        require(duet_rtcp_write_remb(&w, &remb) == DUET_OK);
    }
}

static void read_transport_cc(const duet_rtcp_packet *packet)
{
    static duet_rtcp_packet_status statuses[65536];
    duet_rtcp_transport_cc cc, dd;
    duet_rtcp_status_cursor cursor = {0};
    duet_rtcp_packet_status s;
    size_t count = 0, taken;

    if (duet_rtcp_read_transport_cc(&cc, packet) != DUET_OK)
        return;
    while (duet_rtcp_next_status(&cc, &cursor, &statuses[count]))
        count++;
    require(count == cc.status_count && cursor.delta == cc.deltas_len);
    if (count > 500)
        return; /* writing looks back over lost packets */
    duet_rtcp_writer w = duet_rtcp_writer_init(again, 1200);
    if (duet_rtcp_write_transport_cc(&w, &cc, statuses, count, &taken) != DUET_OK)
        return;
    duet_rtcp_packet p = reread(&w);
    require(duet_rtcp_read_transport_cc(&dd, &p) == DUET_OK && dd.status_count == taken);
    cursor = (duet_rtcp_status_cursor){0};
    for (size_t i = 0; i < taken; i++) {
        require(duet_rtcp_next_status(&dd, &cursor, &s) == 1);
        require(s.received == statuses[i].received && s.sequence_number == statuses[i].sequence_number);
        /* reference times of 24 bits wrap */
        require(!s.received || ((s.time - statuses[i].time) & 0xffffffff) == 0);
    }
}

static void read_ccfb(const duet_rtcp_packet *packet)
{
    duet_rtcp_ccfb ccfb;
    duet_rtcp_ccfb_block block;
    size_t cursor = 0;

    if (duet_rtcp_read_ccfb(&ccfb, packet) != DUET_OK)
        return;
    while (duet_rtcp_next_ccfb_block(&ccfb, &cursor, &block)) {
        for (uint16_t i = 0; i < block.report_count; i++)
            (void)duet_rtcp_ccfb_report_at(&block, i);
    }
}

static void read_xr(const duet_rtcp_packet *packet)
{
    duet_rtcp_xr_block block;
    duet_rtcp_dlrr item;
    size_t cursor = 0;
    uint64_t ntp;

    while (duet_rtcp_next_xr_block(packet, &cursor, &block) == 1) {
        size_t in_block = 0;
        (void)duet_rtcp_read_rrtr(&block, &ntp);
        while (duet_rtcp_next_dlrr(&block, &in_block, &item) == 1)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_rtcp_packet packet;
    size_t cursor = 0;

    while (duet_rtcp_next(data, size, &cursor, &packet) == 1) {
        read_reports(&packet);
        read_sources(&packet);
        read_feedback(&packet);
        read_transport_cc(&packet);
        read_ccfb(&packet);
        read_xr(&packet);
    }
    return 0;
}
