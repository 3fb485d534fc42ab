/* Known packets. RFC 7714 gives its vectors under session keys, which no SRTP interface takes, so here is SRTP once more, made
 * of nothing but block ciphers: it is checked against the vectors of RFC 3711 B.3 and RFC 7714 16 and 17, and what Duet sends
 * is then compared with it. */
#include "srtp_pair.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* What RFC 3711 section 4.3.1 derives. */
enum { RTP_ENCRYPTION = 0, RTP_AUTHENTICATION = 1, RTP_SALT = 2, RTCP_ENCRYPTION = 3 };

static size_t from_hex(uint8_t *out, const char *text)
{
    size_t n = 0;

    for (; text[0]; text++) {
        if (text[0] == ' ')
            continue;
        unsigned v;
        assert_int_equal(sscanf(text++, "%2x", &v), 1);
        out[n++] = (uint8_t)v;
    }
    return n;
}

static void crypt(const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *iv, const uint8_t *in, size_t len,
                  uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    assert_int_equal(EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, out, &n, in, (int)len), 1);
    EVP_CIPHER_CTX_free(ctx);
}

/* AES in counter mode over zeros with IV = salt XOR (label << 48): RFC 3711 sections 4.3.1 and 4.3.3. */
static void derive(const uint8_t *key, size_t key_len, const uint8_t *salt, size_t salt_len, uint8_t label,
                   uint8_t *out, size_t len)
{
    static const uint8_t zeros[32];
    uint8_t iv[16] = {0};

    memcpy(iv, salt, salt_len);
    iv[7] ^= label;
    crypt(key_len == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr(), key, iv, zeros, len, out);
}

/* Encrypts the payload in place and appends the tag. */
static void gcm(const uint8_t *key, size_t key_len, const uint8_t iv[12], const uint8_t *aad, size_t aad_len,
                const uint8_t *more_aad, size_t more_len, uint8_t *payload, size_t len)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    assert_int_equal(EVP_EncryptInit_ex(ctx, key_len == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm(), NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len), 1);
    if (more_len)
        assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, more_aad, (int)more_len), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, payload, &n, payload, (int)len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(ctx, payload + len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, payload + len), 1);
    EVP_CIPHER_CTX_free(ctx);
}

/* IV: 00 00 | SSRC | ROC | SEQ, XOR salt. RFC 7714 section 8.1. The rollover counter is 0. */
static size_t gcm_rtp(const uint8_t *key, size_t key_len, const uint8_t *salt, uint8_t *packet, size_t len)
{
    uint8_t iv[12] = {0};

    memcpy(iv + 2, packet + 8, 4);
    memcpy(iv + 10, packet + 2, 2);
    for (size_t i = 0; i < 12; i++)
        iv[i] ^= salt[i];
    gcm(key, key_len, iv, packet, 12, NULL, 0, packet + 12, len - 12);
    return len + 16;
}

/* IV: 00 00 | SSRC | 00 00 | index, XOR salt; the E bit and index are authenticated too. RFC 7714 section 9. */
static size_t gcm_rtcp(const uint8_t *key, size_t key_len, const uint8_t *salt, uint32_t index, uint8_t *packet,
                       size_t len)
{
    uint8_t iv[12] = {0}, trailer[4];

    memcpy(iv + 2, packet + 4, 4);
    put_u32(iv + 8, index);
    for (size_t i = 0; i < 12; i++)
        iv[i] ^= salt[i];
    put_u32(trailer, 0x80000000u | index);
    gcm(key, key_len, iv, packet, 8, trailer, 4, packet + 8, len - 8);
    memcpy(packet + len + 16, trailer, 4);
    return len + 20;
}

/* IV: salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16. RFC 3711 section 4.1.1. */
static void counter_mode(const uint8_t *key, const uint8_t *salt, const uint8_t *ssrc, uint32_t index, uint8_t *data,
                         size_t len)
{
    uint8_t iv[16] = {0}, number[4];

    memcpy(iv, salt, 14);
    put_u32(number, index);
    for (size_t i = 0; i < 4; i++) {
        iv[4 + i] ^= ssrc[i];
        iv[10 + i] ^= number[i];
    }
    crypt(EVP_aes_128_ctr(), key, iv, data, len, data);
}

/* HMAC-SHA1 over the packet and, for RTP, the rollover counter. RFC 3711 section 4.2. */
static void append_hmac(const uint8_t *key, uint8_t *packet, size_t len, bool with_roc, size_t tag_len)
{
    uint8_t tag[20];
    unsigned tag_full;

    memset(packet + len, 0, 4);
    HMAC(EVP_sha1(), key, 20, packet, len + (with_roc ? 4 : 0), tag, &tag_full);
    memcpy(packet + len, tag, tag_len);
}

/* ---- the second SRTP against the RFCs ------------------------------------------------------------------------------ */

static void keys_are_derived_as_in_rfc_3711_b3(void **state)
{
    uint8_t key[16], salt[14], expected[32], got[32];

    (void)state;
    from_hex(key, "E1F97A0D3E018BE0D64FA32C06DE4139");
    from_hex(salt, "0EC675AD498AFEEBB6960B3AABE6");
    derive(key, 16, salt, 14, RTP_ENCRYPTION, got, 16);
    assert_memory_equal(got, expected, from_hex(expected, "C61E7A93744F39EE10734AFE3FF7A087"));
    derive(key, 16, salt, 14, RTP_SALT, got, 14);
    assert_memory_equal(got, expected, from_hex(expected, "30CBBC08863D8C85D49DB34A9AE1"));
    derive(key, 16, salt, 14, RTP_AUTHENTICATION, got, 20);
    assert_memory_equal(got, expected, from_hex(expected, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

static const char *const gallia = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120"
                                  "696e2070 61727465 73207472 6573";

static void aead_rtp_is_as_in_rfc_7714_16(void **state)
{
    uint8_t key[32], salt[12], packet[100], expected[100];

    (void)state;
    from_hex(salt, "51756964 2070726f 2071756f");
    for (uint8_t i = 0; i < 32; i++)
        key[i] = i;
    size_t len = from_hex(packet, gallia);
    assert_int_equal(gcm_rtp(key, 16, salt, packet, len), 66);
    assert_memory_equal(packet, expected,
                        from_hex(expected, "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5"
                                           "0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439"
                                           "0cce"));
    len = from_hex(packet, gallia);
    assert_int_equal(gcm_rtp(key, 32, salt, packet, len), 66);
    assert_memory_equal(packet, expected,
                        from_hex(expected, "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238"
                                           "9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7"
                                           "6c13"));
}

static void aead_rtcp_is_as_in_rfc_7714_17(void **state)
{
    uint8_t key[16], salt[12], packet[100], expected[100];

    (void)state;
    from_hex(salt, "51756964 2070726f 2071756f");
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    size_t len = from_hex(packet, "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef"
                                  "deadbeef deadbeef deadbeef deadbeef");
    assert_int_equal(gcm_rtcp(key, 16, salt, 0x5d4, packet, len), len + 20);
    assert_memory_equal(packet, expected,
                        from_hex(expected, "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d"
                                           "c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872"
                                           "45d9eade 800005d4"));
}

/* ---- Duet against the second SRTP ---------------------------------------------------------------------------------- */

typedef struct master {
    const uint8_t *key, *salt;
    size_t key_len, salt_len;
} master;

static master client_master(duet_srtp_profile profile)
{
    duet_srtp_config config = srtp_test_config(profile, true);
    size_t key_len = profile == DUET_SRTP_AEAD_AES_256_GCM ? 32 : 16;
    size_t salt_len = profile >= DUET_SRTP_AEAD_AES_128_GCM ? 12 : 14;

    return (master){config.keying, config.keying + 2 * key_len, key_len, salt_len};
}

static void derive_three(const master *m, uint8_t first_label, uint8_t *key, uint8_t *auth, uint8_t *salt)
{
    derive(m->key, m->key_len, m->salt, m->salt_len, first_label, key, m->key_len);
    derive(m->key, m->key_len, m->salt, m->salt_len, (uint8_t)(first_label + 1), auth, 20);
    derive(m->key, m->key_len, m->salt, m->salt_len, (uint8_t)(first_label + 2), salt, m->salt_len);
}

static srtp_packet expected_rtp(duet_srtp_profile profile, srtp_packet p)
{
    master m = client_master(profile);
    uint8_t key[32], auth[20], salt[14];

    derive_three(&m, RTP_ENCRYPTION, key, auth, salt);
    if (m.salt_len == 12) {
        p.len = gcm_rtp(key, m.key_len, salt, p.data, p.len);
        return p;
    }
    size_t tag_len = profile == DUET_SRTP_AES128_CM_SHA1_32 ? 4 : 10;
    counter_mode(key, salt, p.data + 8, (uint32_t)p.data[2] << 8 | p.data[3], p.data + 12, p.len - 12);
    append_hmac(auth, p.data, p.len, true, tag_len);
    p.len += tag_len;
    return p;
}

static srtp_packet expected_rtcp(duet_srtp_profile profile, srtp_packet p, uint32_t index)
{
    master m = client_master(profile);
    uint8_t key[32], auth[20], salt[14];

    derive_three(&m, RTCP_ENCRYPTION, key, auth, salt);
    if (m.salt_len == 12) {
        p.len = gcm_rtcp(key, m.key_len, salt, index, p.data, p.len);
        return p;
    }
    counter_mode(key, salt, p.data + 4, index, p.data + 8, p.len - 8);
    put_u32(p.data + p.len, 0x80000000u | index);
    append_hmac(auth, p.data, p.len + 4, false, 10); /* 80 bits for both profiles: RFC 5764, 4.1.2 */
    p.len += 14;
    return p;
}

static void what_is_sent_is_srtp(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        duet_srtp_config config = srtp_test_config(all_profiles[i], true);
        duet_srtp *srtp;
        assert_int_equal(duet_srtp_create(&srtp, &config), DUET_OK);
        for (uint16_t n = 1; n < 50; n++) {
            srtp_packet rtp = rtp_packet(0x12345678, (uint16_t)(n * 301), n * 20u);
            srtp_packet expected = expected_rtp(all_profiles[i], rtp);
            assert_int_equal(protect(srtp, &rtp), DUET_OK);
            assert_int_equal(rtp.len, expected.len);
            assert_memory_equal(rtp.data, expected.data, expected.len);

            srtp_packet rtcp = rtcp_packet(0x12345678);
            rtcp.len += n * 4u;
            expected = expected_rtcp(all_profiles[i], rtcp, n);
            assert_int_equal(protect_rtcp(srtp, &rtcp), DUET_OK);
            assert_int_equal(rtcp.len, expected.len);
            assert_memory_equal(rtcp.data, expected.data, expected.len);
        }
        duet_srtp_destroy(srtp);
    }
}

static void what_is_srtp_is_received(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        duet_srtp_config config = srtp_test_config(all_profiles[i], false);
        duet_srtp *srtp;
        assert_int_equal(duet_srtp_create(&srtp, &config), DUET_OK);
        for (uint16_t n = 1; n < 50; n++) {
            srtp_packet plain = rtp_packet(77, n, n * 20u), packet = expected_rtp(all_profiles[i], plain);
            assert_int_equal(unprotect(srtp, &packet), DUET_OK);
            assert_int_equal(packet.len, plain.len);
            assert_memory_equal(packet.data, plain.data, plain.len);

            srtp_packet rtcp = rtcp_packet(77), wire = expected_rtcp(all_profiles[i], rtcp, n);
            assert_int_equal(unprotect_rtcp(srtp, &wire), DUET_OK);
            assert_int_equal(wire.len, rtcp.len);
            assert_memory_equal(wire.data, rtcp.data, rtcp.len);
        }
        duet_srtp_destroy(srtp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_derived_as_in_rfc_3711_b3), cmocka_unit_test(aead_rtp_is_as_in_rfc_7714_16),
        cmocka_unit_test(aead_rtcp_is_as_in_rfc_7714_17),     cmocka_unit_test(what_is_sent_is_srtp),
        cmocka_unit_test(what_is_srtp_is_received),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
