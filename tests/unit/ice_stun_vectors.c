/* The test vectors of RFC 5769 sections 2.1 to 2.4 and of RFC 8489 appendix B.1: read, verified, written again. */
#include "duet/stun.h"
#include "test.h"

static const char user_utf8[] = "\xE3\x83\x9E\xE3\x83\x88\xE3\x83\xAA\xE3\x83\x83\xE3\x82\xAF\xE3\x82\xB9";
static const char short_term[] = "VOkJxbRl1RmTxUk/WvJxBt";

static uint8_t *vector(const char *name, duet_stun_message *m)
{
    char file[128];
    size_t len;

    snprintf(file, sizeof(file), "stun/%s.bin", name);
    uint8_t *data = test_data(file, &len);
    assert_int_equal(duet_stun_parse(m, data, len), DUET_OK);
    return data;
}

static void assert_text(const duet_stun_message *m, uint16_t type, const char *text)
{
    duet_stun_attribute a;

    assert_true(duet_stun_find(m, type, &a));
    assert_int_equal(a.len, strlen(text));
    assert_memory_equal(a.value, text, a.len);
}

static void assert_address(const duet_stun_message *m, const char *text)
{
    duet_address expected, found;

    assert_int_equal(duet_address_parse_port(&expected, text), DUET_OK);
    assert_int_equal(duet_stun_get_address(m, DUET_STUN_XOR_MAPPED_ADDRESS, &found), DUET_OK);
    assert_true(duet_address_equal(&expected, &found));
}

static void assert_written(const duet_stun_builder *b, const duet_stun_message *m)
{
    size_t len;

    assert_int_equal(duet_stun_end(b, &len), DUET_OK);
    assert_int_equal(len, m->len);
    assert_memory_equal(b->data, m->data, len);
}

static void the_sample_request_is_read_and_verified(void **state)
{
    duet_stun_message m;
    uint8_t *data = vector("2.1-request", &m);
    uint32_t priority;
    uint64_t tie_breaker;

    (void)state;
    assert_int_equal(m.message_class, DUET_STUN_REQUEST);
    assert_int_equal(m.method, DUET_STUN_BINDING);
    assert_int_equal(m.attribute_count, 6);
    assert_text(&m, DUET_STUN_SOFTWARE, "STUN test client");
    assert_text(&m, DUET_STUN_USERNAME, "evtj:h6vY");
    assert_int_equal(duet_stun_get_u32(&m, DUET_STUN_PRIORITY, &priority), DUET_OK);
    assert_int_equal(priority, 0x6E0001FF);
    assert_int_equal(duet_stun_get_u64(&m, DUET_STUN_ICE_CONTROLLED, &tie_breaker), DUET_OK);
    assert_true(tie_breaker == 0x932FF9B151263B36u);
    assert_int_equal(duet_stun_verify_integrity(&m, short_term, strlen(short_term)), DUET_OK);
    assert_int_equal(duet_stun_verify_integrity(&m, "wrong", 5), DUET_ERR_AUTH);
    assert_int_equal(duet_stun_verify_fingerprint(&m), DUET_OK);
    free(data);
}

/* The padding of this vector is 0x20: only the raw writer keeps it. */
static void the_sample_request_is_rebuilt(void **state)
{
    duet_stun_message m;
    uint8_t *data = vector("2.1-request", &m), buf[256];
    duet_stun_attribute username;

    (void)state;
    assert_true(duet_stun_find(&m, DUET_STUN_USERNAME, &username));
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, m.transaction_id);
    duet_stun_add_text(&b, DUET_STUN_SOFTWARE, "STUN test client");
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 0x6E0001FF);
    duet_stun_add_u64(&b, DUET_STUN_ICE_CONTROLLED, 0x932FF9B151263B36u);
    duet_stun_add_padded(&b, &username);
    duet_stun_add_integrity(&b, short_term, strlen(short_term));
    duet_stun_add_fingerprint(&b);
    assert_written(&b, &m);
    free(data);
}

static void check_response(const char *name, const char *address)
{
    duet_stun_message m;
    uint8_t *data = vector(name, &m), buf[256];
    duet_stun_attribute software;

    assert_int_equal(m.message_class, DUET_STUN_SUCCESS);
    assert_text(&m, DUET_STUN_SOFTWARE, "test vector");
    assert_address(&m, address);
    assert_int_equal(duet_stun_verify_integrity(&m, short_term, strlen(short_term)), DUET_OK);
    assert_int_equal(duet_stun_verify_fingerprint(&m), DUET_OK);

    duet_address mapped;
    assert_int_equal(duet_address_parse_port(&mapped, address), DUET_OK);
    assert_true(duet_stun_find(&m, DUET_STUN_SOFTWARE, &software));
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_SUCCESS, DUET_STUN_BINDING, m.transaction_id);
    duet_stun_add_padded(&b, &software);
    duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped);
    duet_stun_add_integrity(&b, short_term, strlen(short_term));
    duet_stun_add_fingerprint(&b);
    assert_written(&b, &m);
    free(data);
}

static void the_sample_responses_are_read_and_rebuilt(void **state)
{
    (void)state;
    check_response("2.2-ipv4-response", "192.0.2.1:32853");
    check_response("2.3-ipv6-response", "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

static void the_long_term_request_is_verified_and_rebuilt(void **state)
{
    duet_stun_message m;
    uint8_t *data = vector("2.4-longterm-request", &m), key[16], buf[256];

    (void)state;
    assert_int_equal(duet_stun_key_md5(key, user_utf8, "example.org", "TheMatrIX"), DUET_OK);
    assert_text(&m, DUET_STUN_USERNAME, user_utf8);
    assert_text(&m, DUET_STUN_REALM, "example.org");
    assert_int_equal(duet_stun_verify_integrity(&m, key, sizeof(key)), DUET_OK);
    assert_int_equal(duet_stun_verify_fingerprint(&m), DUET_ERR_NOT_FOUND);

    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, m.transaction_id);
    duet_stun_add_text(&b, DUET_STUN_USERNAME, user_utf8);
    duet_stun_add_text(&b, DUET_STUN_NONCE, "f//499k954d6OL34oL9FSTvy64sA");
    duet_stun_add_text(&b, DUET_STUN_REALM, "example.org");
    duet_stun_add_integrity(&b, key, sizeof(key));
    assert_written(&b, &m);
    free(data);
}

static void the_sha256_request_with_a_user_hash_is_verified_and_rebuilt(void **state)
{
    duet_stun_message m;
    uint8_t *data = vector("rfc8489-B.1-errata6268", &m), key[32], hash[32], buf[256];
    duet_stun_attribute a;

    (void)state;
    assert_int_equal(duet_stun_key_sha256(key, user_utf8, "example.org", "TheMatrIX"), DUET_OK);
    assert_int_equal(duet_stun_userhash(hash, user_utf8, "example.org"), DUET_OK);
    assert_true(duet_stun_find(&m, DUET_STUN_USERHASH, &a));
    assert_int_equal(a.len, 32);
    assert_memory_equal(a.value, hash, 32);
    assert_true(duet_stun_find(&m, DUET_STUN_NONCE, &a));
    assert_int_equal(duet_stun_nonce_features(a.value, a.len), DUET_STUN_NONCE_USERNAME_ANONYMITY);
    assert_int_equal(duet_stun_verify_integrity_sha256(&m, key, sizeof(key)), DUET_OK);
    assert_int_equal(duet_stun_verify_integrity_sha256(&m, key, 16), DUET_ERR_AUTH);
    assert_int_equal(duet_stun_verify_integrity(&m, key, sizeof(key)), DUET_ERR_NOT_FOUND);

    duet_stun_algorithm_value algorithm = {DUET_STUN_SHA256, 0, NULL}, read[2];
    size_t count = 2;
    assert_true(duet_stun_find(&m, DUET_STUN_PASSWORD_ALGORITHM, &a));
    assert_int_equal(duet_stun_value_algorithms(&a, read, &count), DUET_OK);
    assert_int_equal(count, 1);
    assert_int_equal(read[0].algorithm, DUET_STUN_SHA256);

    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, m.transaction_id);
    duet_stun_add(&b, DUET_STUN_USERHASH, hash, sizeof(hash));
    duet_stun_add_text(&b, DUET_STUN_NONCE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
    duet_stun_add_text(&b, DUET_STUN_REALM, "example.org");
    duet_stun_add_algorithms(&b, DUET_STUN_PASSWORD_ALGORITHM, &algorithm, 1);
    duet_stun_add_integrity_sha256(&b, key, sizeof(key), 32);
    assert_written(&b, &m);
    free(data);
}

static void every_vector_is_rewritten_byte_for_byte(void **state)
{
    static const char *const names[] = {"2.1-request", "2.2-ipv4-response", "2.3-ipv6-response", "2.4-longterm-request",
                                        "rfc8489-B.1-errata6268"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        duet_stun_message m;
        uint8_t *data = vector(names[i], &m), buf[256];
        size_t len;
        assert_int_equal(duet_stun_rewrite(&m, buf, sizeof(buf), &len), DUET_OK);
        assert_int_equal(len, m.len);
        assert_memory_equal(buf, data, len);
        /* One byte too few is an error, not an overrun. */
        assert_int_equal(duet_stun_rewrite(&m, buf, m.len - 1, &len), DUET_ERR_BUFFER);
        free(data);
    }
}

static void every_flipped_bit_of_the_request_is_noticed(void **state)
{
    duet_stun_message m;
    uint8_t *data = vector("2.1-request", &m);
    size_t len = m.len;

    (void)state;
    for (size_t bit = 0; bit < len * 8; bit++) {
        data[bit / 8] = (uint8_t)(data[bit / 8] ^ 1u << bit % 8);
        bool intact = duet_stun_parse(&m, data, len) == DUET_OK && duet_stun_verify_fingerprint(&m) == DUET_OK &&
                      duet_stun_verify_integrity(&m, short_term, strlen(short_term)) == DUET_OK;
        assert_false(intact);
        data[bit / 8] = (uint8_t)(data[bit / 8] ^ 1u << bit % 8);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_request_is_read_and_verified),
        cmocka_unit_test(the_sample_request_is_rebuilt),
        cmocka_unit_test(the_sample_responses_are_read_and_rebuilt),
        cmocka_unit_test(the_long_term_request_is_verified_and_rebuilt),
        cmocka_unit_test(the_sha256_request_with_a_user_hash_is_verified_and_rebuilt),
        cmocka_unit_test(every_vector_is_rewritten_byte_for_byte),
        cmocka_unit_test(every_flipped_bit_of_the_request_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
