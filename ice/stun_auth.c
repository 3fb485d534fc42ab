/* Integrity, fingerprint and keys of STUN: HMAC, CRC-32, long-term keys, user hash, nonce cookie.
 *
 * RFC 8489 sections 9 and 14.3 to 14.7. Texts are taken as prepared (see duet/stun.h). */
#include "base/bytes.h"
#include "ice/stun_internal.h"

#include <string.h>

#define ATTRIBUTE_HEADER_LEN 4

/* The first four bytes of the message, with the length that it had when the attribute was the last one. */
static void header_with_length(uint8_t out[4], const uint8_t *data, size_t offset, size_t value_len)
{
    size_t body = offset + ATTRIBUTE_HEADER_LEN + value_len - DUET_STUN_HEADER_LEN;
    duet_writer w = duet_writer_init(out, 4);

    duet_write_bytes(&w, data, 2);
    duet_write_u16(&w, (uint16_t)body);
}

int duet_stun_hmac(uint8_t out[DUET_SHA256_LEN], bool sha256, const uint8_t *data, size_t offset, size_t value_len,
                   const void *key, size_t key_len)
{
    uint8_t header[4];
    header_with_length(header, data, offset, value_len);
    const duet_iov parts[] = {{header, sizeof(header)}, {data + sizeof(header), offset - sizeof(header)}};

    if (sha256)
        return duet_hmac_sha256(out, key, key_len, parts, 2);
    return duet_hmac_sha1(out, key, key_len, parts, 2);
}

uint32_t duet_stun_fingerprint_value(const uint8_t *data, size_t offset)
{
    uint8_t header[4];
    header_with_length(header, data, offset, 4);
    uint32_t crc = duet_crc32(0, header, sizeof(header));

    /* "XOR'ed with the 32-bit value 0x5354554e" so that it differs from a CRC that the payload may carry. */
    return duet_crc32(crc, data + sizeof(header), offset - sizeof(header)) ^ 0x5354554Eu;
}

static int verify(const duet_stun_message *m, size_t offset, bool sha256, const void *key, size_t key_len)
{
    if (!offset)
        return DUET_ERR_NOT_FOUND;
    duet_reader r = duet_reader_init(m->data, m->len);
    duet_read_skip(&r, offset + 2);
    uint16_t len = duet_read_u16(&r);
    duet_bytes value = duet_read_bytes(&r, len);
    if (r.failed || len > DUET_SHA256_LEN)
        return DUET_ERR_AUTH;

    uint8_t expected[DUET_SHA256_LEN];
    int err = duet_stun_hmac(expected, sha256, m->data, offset, len, key, key_len);
    if (err)
        return err;
    return duet_equal_constant_time(expected, value.data, value.len) ? DUET_OK : DUET_ERR_AUTH;
}

int duet_stun_verify_integrity(const duet_stun_message *m, const void *key, size_t key_len)
{
    return verify(m, m->integrity, false, key, key_len);
}

int duet_stun_verify_integrity_sha256(const duet_stun_message *m, const void *key, size_t key_len)
{
    return verify(m, m->integrity_sha256, true, key, key_len);
}

int duet_stun_verify_fingerprint(const duet_stun_message *m)
{
    if (!m->fingerprint)
        return DUET_ERR_NOT_FOUND;
    duet_reader r = duet_reader_init(m->data, m->len);
    duet_read_skip(&r, m->fingerprint + ATTRIBUTE_HEADER_LEN);
    uint32_t value = duet_read_u32(&r);

    return value == duet_stun_fingerprint_value(m->data, m->fingerprint) ? DUET_OK : DUET_ERR_AUTH;
}

int duet_stun_key_md5(uint8_t out[16], const char *username, const char *realm, const char *password)
{
    const duet_iov parts[] = {
        {username, strlen(username)}, {":", 1}, {realm, strlen(realm)}, {":", 1}, {password, strlen(password)}};

    return duet_md5(out, parts, 5);
}

int duet_stun_key_sha256(uint8_t out[32], const char *username, const char *realm, const char *password)
{
    const duet_iov parts[] = {
        {username, strlen(username)}, {":", 1}, {realm, strlen(realm)}, {":", 1}, {password, strlen(password)}};

    return duet_sha256(out, parts, 5);
}

int duet_stun_userhash(uint8_t out[32], const char *username, const char *realm)
{
    const duet_iov parts[] = {{username, strlen(username)}, {":", 1}, {realm, strlen(realm)}};

    return duet_sha256(out, parts, 3);
}

/* ---- nonce cookie: "obMatJos2" and 24 feature bits in four characters of base64, RFC 8489 section 9.2 ---------- */

static const char cookie_text[] = "obMatJos2";
static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint32_t duet_stun_nonce_features(const uint8_t *nonce, size_t len)
{
    size_t cookie_len = strlen(cookie_text);
    uint32_t features = 0;

    if (len < DUET_STUN_NONCE_COOKIE_LEN || memcmp(nonce, cookie_text, cookie_len) != 0)
        return 0;
    for (size_t i = cookie_len; i < DUET_STUN_NONCE_COOKIE_LEN; i++) {
        const char *at = nonce[i] ? strchr(base64_alphabet, nonce[i]) : NULL;
        if (!at)
            return 0;
        features = features << 6 | (uint32_t)(at - base64_alphabet);
    }
    return features;
}

void duet_stun_nonce_cookie(char out[DUET_STUN_NONCE_COOKIE_LEN + 1], uint32_t features)
{
    size_t cookie_len = strlen(cookie_text);

    memcpy(out, cookie_text, cookie_len);
    for (size_t i = 0; i < 4; i++)
        out[cookie_len + i] = base64_alphabet[(features >> (18 - 6 * i)) & 63];
    out[DUET_STUN_NONCE_COOKIE_LEN] = 0;
}
