/* DCEP messages as bytes: RFC 8832 section 5, and what is malformed. */
#include "duet/dcep.h"
#include "test.h"

static const uint8_t vector[] = {3, 0x81, 0x02, 0x00, 0, 0, 0, 5, 0, 4, 0, 3, 'c', 'h', 'a', 't', 'f', 'o', 'o'};

static void an_open_is_read_field_by_field(void **state)
{
    (void)state;
    duet_dcep_open o;

    assert_int_equal(duet_dcep_message_type(vector, sizeof(vector)), DUET_DCEP_OPEN);
    assert_int_equal(duet_dcep_parse_open(&o, vector, sizeof(vector)), DUET_OK);
    assert_int_equal(o.channel_type, DUET_DCEP_PARTIAL_REXMIT | DUET_DCEP_UNORDERED);
    assert_int_equal(o.priority, 512);
    assert_int_equal(o.reliability, 5);
    assert_int_equal(o.label_len, 4);
    assert_memory_equal(o.label, "chat", 4);
    assert_int_equal(o.protocol_len, 3);
    assert_memory_equal(o.protocol, "foo", 3);
}

static void an_open_is_written_as_it_was_read(void **state)
{
    (void)state;
    duet_dcep_open o;
    uint8_t out[sizeof(vector)];

    assert_int_equal(duet_dcep_parse_open(&o, vector, sizeof(vector)), DUET_OK);
    assert_int_equal(duet_dcep_open_size(&o), sizeof(vector));
    assert_int_equal(duet_dcep_write_open(&o, out, sizeof(out)), DUET_OK);
    assert_memory_equal(out, vector, sizeof(vector));
    assert_int_equal(duet_dcep_write_open(&o, out, sizeof(out) - 1), DUET_ERR_BUFFER);
}

static void every_cut_and_every_extra_byte_is_malformed(void **state)
{
    (void)state;
    duet_dcep_open o;
    uint8_t longer[sizeof(vector) + 1] = {0};

    for (size_t len = 0; len < sizeof(vector); len++)
        assert_int_equal(duet_dcep_parse_open(&o, vector, len), DUET_ERR_MALFORMED);
    memcpy(longer, vector, sizeof(vector));
    assert_int_equal(duet_dcep_parse_open(&o, longer, sizeof(longer)), DUET_ERR_MALFORMED);
    longer[0] = 4;
    assert_int_equal(duet_dcep_parse_open(&o, longer, sizeof(vector)), DUET_ERR_MALFORMED);
}

static void every_channel_type_but_six_is_unsupported(void **state)
{
    (void)state;
    uint8_t copy[sizeof(vector)];
    unsigned known = 0;

    memcpy(copy, vector, sizeof(vector));
    for (unsigned type = 0; type < 256; type++) {
        duet_dcep_open o;
        copy[1] = (uint8_t)type;
        int err = duet_dcep_parse_open(&o, copy, sizeof(copy));
        known += err == DUET_OK;
        assert_true(err == DUET_OK || err == DUET_ERR_UNSUPPORTED);
    }
    assert_int_equal(known, 6);
}

static void an_ack_is_one_byte(void **state)
{
    (void)state;
    const uint8_t ack[] = {2, 0};

    assert_int_equal(duet_dcep_parse_ack(ack, 1), DUET_OK);
    assert_int_equal(duet_dcep_parse_ack(ack, 2), DUET_ERR_MALFORMED);
    assert_int_equal(duet_dcep_parse_ack(ack, 0), DUET_ERR_MALFORMED);
    assert_int_equal(duet_dcep_parse_ack(vector, 1), DUET_ERR_MALFORMED);
    assert_int_equal(duet_dcep_message_type(ack, 1), DUET_DCEP_ACK);
    assert_int_equal(duet_dcep_message_type(ack, 0), DUET_ERR_MALFORMED);
    assert_int_equal(duet_dcep_message_type(ack + 1, 1), DUET_ERR_MALFORMED);
}

static void empty_label_and_protocol_are_fine_and_so_are_the_longest(void **state)
{
    (void)state;
    duet_dcep_open o = {.channel_type = DUET_DCEP_RELIABLE}, back;
    uint8_t small[DUET_DCEP_OPEN_HEADER];
    char *text = calloc(1, 65535);
    uint8_t *big = malloc(DUET_DCEP_OPEN_HEADER + 2 * 65535);

    assert_non_null(text);
    assert_non_null(big);
    assert_int_equal(duet_dcep_write_open(&o, small, sizeof(small)), DUET_OK);
    assert_int_equal(duet_dcep_parse_open(&back, small, sizeof(small)), DUET_OK);
    assert_int_equal(back.label_len + back.protocol_len, 0);
    o.label = o.protocol = text;
    o.label_len = o.protocol_len = 65535;
    assert_int_equal(duet_dcep_write_open(&o, big, duet_dcep_open_size(&o)), DUET_OK);
    assert_int_equal(duet_dcep_parse_open(&back, big, duet_dcep_open_size(&o)), DUET_OK);
    assert_int_equal(back.protocol_len, 65535);
    free(text);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_is_read_field_by_field),
        cmocka_unit_test(an_open_is_written_as_it_was_read),
        cmocka_unit_test(every_cut_and_every_extra_byte_is_malformed),
        cmocka_unit_test(every_channel_type_but_six_is_unsupported),
        cmocka_unit_test(an_ack_is_one_byte),
        cmocka_unit_test(empty_label_and_protocol_are_fine_and_so_are_the_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
