/* What a peer may send on its streams that it should not, and the deprecated ways that are understood. */
#include "sctp/internal.h"
#include "sctp_pair.h"
#include <usrsctp.h>

static channel_log there;

static void take_channel(sctp_pair *p, int side, duet_dc *dc)
{
    (void)p, (void)side;
    duet_dc_callbacks c = log_callbacks(&there);
    duet_dc_set_callbacks(dc, &c);
}

static uint64_t dcep_errors(const duet_sctp *s)
{
    duet_sctp_stats stats;
    duet_sctp_get_stats(s, &stats);
    return stats.dcep_errors;
}

/* As if the engine of side 1 had received it. */
static void arrives(sctp_pair *p, uint16_t stream, uint32_t ppid, const void *data, size_t len, bool last)
{
    duet_sctp *s = p->peer[1].sctp;
    duet_association_fragment f = {
        .stream = stream, .ppid = ppid, .end = last, .data = malloc(len ? len : 1), .len = len};

    assert_non_null(f.data);
    memcpy(f.data, data, len);
    duet_sctp_enter(s, p->now);
    duet_channel_fragment(s, &f);
    duet_sctp_leave(s);
}

static sctp_pair *with_channel(duet_dc **dc)
{
    sctp_pair *p = pair_ready(NULL);

    memset(&there, 0, sizeof(there));
    p->on_channel = take_channel;
    assert_int_equal(duet_dc_create(dc, p->peer[0].sctp, "", NULL, NULL, p->now), DUET_OK);
    pair_run(p, DUET_MS(100));
    assert_int_equal(there.opened, 1);
    return p;
}

static void end(sctp_pair *p)
{
    pair_free(p);
    free(there.last);
    there.last = NULL;
}

static void deprecated_partial_messages_are_joined(void **state)
{
    (void)state;
    duet_dc *dc;
    sctp_pair *p = with_channel(&dc);

    arrives(p, 0, DUET_PPID_STRING_PARTIAL, "one ", 4, true);
    arrives(p, 0, DUET_PPID_STRING_PARTIAL, "two ", 4, true);
    assert_int_equal(there.messages, 0);
    arrives(p, 0, DUET_PPID_STRING, "three", 5, true);
    assert_int_equal(there.messages, 1);
    assert_int_equal(there.last_len, 13);
    assert_true(there.last_text);
    assert_memory_equal(there.last, "one two three", 13);
    arrives(p, 0, DUET_PPID_BINARY, "alone", 5, true);
    assert_int_equal(there.last_len, 5);
    arrives(p, 0, DUET_PPID_BINARY_PARTIAL, "never ended", 11, true);
    end(p);
}

static void deprecated_partial_messages_have_the_same_limit(void **state)
{
    (void)state;
    duet_dc *dc;
    sctp_pair *p = with_channel(&dc);
    uint8_t *part = calloc(1, 100000);

    assert_non_null(part);
    for (int i = 0; i < 3; i++)
        arrives(p, 0, DUET_PPID_BINARY_PARTIAL, part, 100000, true);
    assert_int_equal(there.closing, 1);
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(there.closed, 1);
    free(part);
    end(p);
}

static void fragments_become_one_message_and_an_aborted_one_is_forgotten(void **state)
{
    (void)state;
    duet_dc *dc;
    sctp_pair *p = with_channel(&dc);

    arrives(p, 0, DUET_PPID_BINARY, "aborted", 7, false);
    duet_channel_fragments_aborted(p->peer[1].sctp);
    arrives(p, 0, DUET_PPID_BINARY, "first ", 6, false);
    arrives(p, 0, DUET_PPID_BINARY, "second", 6, true);
    assert_int_equal(there.messages, 1);
    assert_memory_equal(there.last, "first second", 12);
    arrives(p, 0, DUET_PPID_BINARY, "half of one", 11, false);
    arrives(p, 2, DUET_PPID_BINARY, "another stream", 14, true);
    arrives(p, 0, DUET_PPID_BINARY, "x", 1, true);
    assert_int_equal(there.messages, 2);
    assert_int_equal(there.last_len, 1);
    end(p);
}

static void nonsense_on_streams_is_counted_and_changes_nothing(void **state)
{
    static const uint8_t open[] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                         unknown_type[] = {3, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ack[] = {2}, cut[] = {3, 0, 0},
                         junk[] = {77};
    (void)state;
    duet_dc *dc;
    sctp_pair *p = with_channel(&dc);
    duet_sctp *s = p->peer[1].sctp;
    uint64_t before = dcep_errors(s);

    arrives(p, 0, DUET_PPID_DCEP, open, sizeof(open), true); /* in use */
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 1, DUET_PPID_DCEP, open, sizeof(open), true); /* our parity */
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 4, DUET_PPID_DCEP, unknown_type, sizeof(unknown_type), true);
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 4000, DUET_PPID_DCEP, open, sizeof(open), true); /* beyond the streams */
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 6, DUET_PPID_DCEP, ack, sizeof(ack), true);
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 6, DUET_PPID_DCEP, cut, sizeof(cut), true);
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 6, DUET_PPID_DCEP, junk, sizeof(junk), true);
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 6, DUET_PPID_DCEP, "", 0, true);
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 6, DUET_PPID_STRING, "nobody listens", 14, true);
    assert_int_equal(dcep_errors(s), ++before);
    arrives(p, 0, 999, "what is this", 12, true);
    assert_int_equal(dcep_errors(s), ++before);
    assert_int_equal(p->peer[1].channels, 1);
    assert_int_equal(there.messages + there.closing + there.closed, 0);

    pair_run(p, DUET_SECONDS(2)); /* the strays are reset */
    assert_int_equal(duet_dc_send(dc, "still fine", 10, true), DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(there.messages, 1);
    assert_int_equal(duet_sctp_deadline(s), DUET_NEVER);
    end(p);
}

static void an_empty_message_is_empty_whatever_its_byte(void **state)
{
    (void)state;
    duet_dc *dc;
    sctp_pair *p = with_channel(&dc);

    arrives(p, 0, DUET_PPID_STRING_EMPTY, "", 1, true);
    assert_int_equal(there.messages, 1);
    assert_int_equal(there.last_len, 0);
    assert_true(there.last_text);
    arrives(p, 0, DUET_PPID_BINARY_EMPTY, "long", 4, true);
    assert_int_equal(there.messages, 2);
    assert_int_equal(there.last_len, 0);
    end(p);
}

/* ---- the handshake of the association ---------------------------------------------------------------------------- */

static uint8_t init_chunk[256];
static size_t init_len;

static bool keep_init(sctp_pair *p, int from, const uint8_t *data, size_t len)
{
    (void)p, (void)from;
    if (data[12] == 1 && len < sizeof(init_chunk)) {
        memcpy(init_chunk, data, len);
        init_len = len;
    }
    return true;
}

static bool init_has(uint16_t type)
{
    for (size_t at = 32; at + 4 <= init_len;) {
        size_t len = (size_t)init_chunk[at + 2] << 8 | init_chunk[at + 3];
        if (init_chunk[at] == type >> 8 && init_chunk[at + 1] == (uint8_t)type)
            return true;
        at += (len + 3) & ~(size_t)3;
    }
    return false;
}

static void the_init_offers_what_data_channels_need_and_nothing_else(void **state)
{
    (void)state;
    sctp_pair *p = pair_new();

    init_len = 0;
    p->filter = keep_init;
    for (int i = 0; i < 2; i++) {
        duet_sctp_config c;
        pair_config(p, i, &c, NULL);
        assert_int_equal(duet_sctp_create(&p->peer[i].sctp, &c), DUET_OK);
    }
    assert_int_equal(pair_connect(p), DUET_OK);
    assert_true(init_len >= 32);
    assert_int_equal(init_chunk[20] << 24 | init_chunk[21] << 16 | init_chunk[22] << 8 | init_chunk[23], 1 << 20);
    assert_int_equal(init_chunk[24] << 8 | init_chunk[25], 1024);
    assert_int_equal(init_chunk[26] << 8 | init_chunk[27], 1024);
    assert_true(init_has(0xc000));  /* Forward-TSN-Supported */
    assert_true(init_has(0x8008));  /* Supported Extensions: RE-CONFIG, FORWARD-TSN */
    assert_false(init_has(0x8000)); /* ECN */
    assert_false(init_has(0x8001)); /* Zero Checksum Acceptable: some stacks drop an INIT that has it */
    assert_false(init_has(0x8002)); /* Random, of AUTH */
    assert_false(init_has(5));
    pair_free(p);
}

static void lost_handshake_packets_are_sent_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sctp_pair *p = pair_new();
        p->loss = 0.4;
        p->seed = seed;
        for (int i = 0; i < 2; i++) {
            duet_sctp_config c;
            pair_config(p, i, &c, NULL);
            assert_int_equal(duet_sctp_create(&p->peer[i].sctp, &c), DUET_OK);
        }
        assert_int_equal(pair_connect(p), DUET_OK);
        assert_true(pair_run_until_connected(p, DUET_SECONDS(120)));
        pair_free(p);
    }
}

static void wrong_settings_and_moments_are_refused(void **state)
{
    (void)state;
    duet_sctp_config c;
    duet_sctp *s;
    uint8_t packet[16] = {0};

    duet_sctp_config_init(&c);
    c.zero_checksum = true;
    assert_int_equal(duet_sctp_create(&s, &c), DUET_ERR_UNSUPPORTED);
    duet_sctp_config_init(&c);
    c.mtu = 100;
    assert_int_equal(duet_sctp_create(&s, &c), DUET_ERR_INVALID);
    duet_sctp_config_init(&c);
    c.rto_initial = DUET_MS(1);
    assert_int_equal(duet_sctp_create(&s, &c), DUET_ERR_INVALID);
    duet_sctp_config_init(&c);
    assert_int_equal(duet_sctp_create(&s, &c), DUET_OK);
    assert_int_equal(duet_sctp_input(s, packet, sizeof(packet), 0), DUET_ERR_STATE);
    assert_int_equal(duet_sctp_connect(s, true, 0, 0, 0), DUET_ERR_INVALID);
    assert_int_equal(duet_sctp_connect(s, true, 5000, 0, 0), DUET_OK);
    assert_int_equal(duet_sctp_connect(s, true, 5000, 0, 0), DUET_ERR_STATE);
    assert_int_equal(duet_sctp_input(s, packet, sizeof(packet), 0), DUET_OK);
    duet_datagram out;
    assert_int_equal(duet_sctp_output(s, &out, 0), 1); /* the INIT, in the output for want of a sink */
    assert_true(out.len >= 32 && out.headroom >= DUET_HEADROOM);
    duet_sctp_close(s, 0);
    assert_int_equal(duet_sctp_input(s, packet, sizeof(packet), 0), DUET_ERR_CLOSED);
    duet_sctp_destroy(s);
    duet_sctp_destroy(NULL);
}

/* ---- destruction in events --------------------------------------------------------------------------------------- */

static void destroy_on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    sctp_pair *p = user;
    (void)dc, (void)data, (void)len, (void)is_text;
    duet_sctp_destroy(p->peer[1].sctp);
    p->peer[1].sctp = NULL;
}

static void set_destroyer(sctp_pair *p, int side, duet_dc *dc)
{
    (void)side;
    duet_dc_callbacks c = {.size = sizeof(c), .on_message = destroy_on_message, .user = p};
    duet_dc_set_callbacks(dc, &c);
}

static void an_association_may_be_destroyed_in_its_own_event(void **state)
{
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    duet_dc *dc;

    p->on_channel = set_destroyer;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", NULL, NULL, p->now), DUET_OK);
    for (int i = 0; i < 50; i++)
        assert_int_equal(duet_dc_send(dc, "x", 1, true), DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    assert_null(p->peer[1].sctp);
    pair_free(p);
}

/* Without its instance usrsctp makes no sockets. */
static bool usrsctp_runs(void)
{
    struct socket *so = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);

    if (so)
        usrsctp_close(so);
    return so != NULL;
}

static void usrsctp_ends_with_the_last_association(void **state)
{
    (void)state;
    assert_false(usrsctp_runs());
    for (int i = 0; i < 3; i++) {
        sctp_pair *p = pair_ready(NULL);
        assert_true(usrsctp_runs());
        pair_free(p);
        assert_false(usrsctp_runs());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deprecated_partial_messages_are_joined),
        cmocka_unit_test(deprecated_partial_messages_have_the_same_limit),
        cmocka_unit_test(fragments_become_one_message_and_an_aborted_one_is_forgotten),
        cmocka_unit_test(nonsense_on_streams_is_counted_and_changes_nothing),
        cmocka_unit_test(an_empty_message_is_empty_whatever_its_byte),
        cmocka_unit_test(the_init_offers_what_data_channels_need_and_nothing_else),
        cmocka_unit_test(lost_handshake_packets_are_sent_again),
        cmocka_unit_test(wrong_settings_and_moments_are_refused),
        cmocka_unit_test(an_association_may_be_destroyed_in_its_own_event),
        cmocka_unit_test(usrsctp_ends_with_the_last_association),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
