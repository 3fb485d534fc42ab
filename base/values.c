/* Small values with a text form: certificate fingerprints (RFC 8122 section 5), the setup role (RFC 4145 section 4,
 * RFC 8842 section 5) and the grammar of ICE credentials (RFC 8839 section 5.4). */
#include "base/text.h"
#include "duet/base.h"

#include <string.h>

typedef struct hash_info {
    const char *name;
    duet_hash hash;
    size_t len;
} hash_info;

/* RFC 8122 section 5 */
static const hash_info hashes[] = {
    {"sha-1", DUET_HASH_SHA1, 20},     {"sha-224", DUET_HASH_SHA224, 28}, {"sha-256", DUET_HASH_SHA256, 32},
    {"sha-384", DUET_HASH_SHA384, 48}, {"sha-512", DUET_HASH_SHA512, 64},
};

static const char *const setup_names[] = {NULL, "active", "passive", "actpass", "holdconn"};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Reads 2UHEX *(":" 2UHEX) to the end. Returns how many bytes there are, 0 when it is no fingerprint. Values beyond
 * `size` are checked but not stored. */
static size_t read_digits(duet_reader *r, uint8_t *out, size_t size)
{
    size_t n = 0;

    do {
        int high = hex_digit(duet_peek_u8(r, 0));
        int low = hex_digit(duet_peek_u8(r, 1));
        if (high < 0 || low < 0)
            return 0;
        duet_read_skip(r, 2);
        if (n < size)
            out[n] = (uint8_t)(high * 16 + low);
        n++;
    } while (duet_text_skip(r, ':'));
    return duet_text_at_end(r) ? n : 0;
}

int duet_fingerprint_parse(duet_fingerprint *out, const char *text, size_t len)
{
    duet_reader r = duet_text_reader(text, len);
    duet_bytes name = duet_text_run(&r, duet_char_is_token);

    memset(out, 0, sizeof(*out));
    if (name.len == 0 || !duet_text_skip(&r, ' '))
        return DUET_ERR_MALFORMED;
    size_t n = read_digits(&r, out->value, sizeof(out->value));
    if (n == 0)
        return DUET_ERR_MALFORMED;
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        if (!duet_text_is_nocase(name, hashes[i].name))
            continue;
        if (n != hashes[i].len)
            return DUET_ERR_MALFORMED;
        out->hash = hashes[i].hash;
        out->len = n;
        return DUET_OK;
    }
    return DUET_ERR_UNSUPPORTED;
}

static const hash_info *find_hash(duet_hash hash)
{
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
        if (hashes[i].hash == hash)
            return &hashes[i];
    return NULL;
}

int duet_fingerprint_format(const duet_fingerprint *f, char *buf, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    const hash_info *info = find_hash(f->hash);

    if (!info || f->len != info->len)
        return DUET_ERR_INVALID;
    duet_writer w = duet_writer_init((uint8_t *)buf, size);
    duet_write_bytes(&w, info->name, strlen(info->name));
    for (size_t i = 0; i < f->len; i++) {
        duet_write_u8(&w, i == 0 ? ' ' : ':');
        duet_write_u8(&w, (uint8_t)digits[f->value[i] >> 4]);
        duet_write_u8(&w, (uint8_t)digits[f->value[i] & 15]);
    }
    duet_write_u8(&w, 0);
    return duet_writer_finish(&w);
}

bool duet_fingerprint_equal(const duet_fingerprint *a, const duet_fingerprint *b)
{
    return a->hash == b->hash && a->len == b->len && a->len <= DUET_FINGERPRINT_MAX &&
           memcmp(a->value, b->value, a->len) == 0;
}

const char *duet_setup_name(duet_setup setup)
{
    size_t i = (size_t)setup;

    return i < sizeof(setup_names) / sizeof(setup_names[0]) ? setup_names[i] : NULL;
}

duet_setup duet_setup_parse(const char *text, size_t len)
{
    duet_bytes value = {(const uint8_t *)text, len};

    for (size_t i = 1; i < sizeof(setup_names) / sizeof(setup_names[0]); i++)
        if (duet_text_is_nocase(value, setup_names[i]))
            return (duet_setup)i;
    return DUET_SETUP_NONE;
}

static bool all_ice_chars(const char *text, size_t min, size_t max)
{
    duet_bytes value = {(const uint8_t *)text, strnlen(text, max + 1)};

    return value.len >= min && value.len <= max && duet_text_all(value, duet_char_is_ice);
}

/* "ice-pwd-att = ... 22*256ice-char", "ice-ufrag-att = ... 4*256ice-char": RFC 8839 section 5.4 */
bool duet_ice_credentials_valid(const duet_ice_credentials *c)
{
    return all_ice_chars(c->ufrag, 4, DUET_UFRAG_MAX) && all_ice_chars(c->pwd, 22, DUET_PWD_MAX);
}

/* ---- SRTP protection profiles, RFC 5764 section 4.1.2, RFC 7714 section 14.2 ---- */

const char *duet_srtp_profile_name(duet_srtp_profile profile)
{
    switch (profile) {
    case DUET_SRTP_AES128_CM_SHA1_80:
        return "SRTP_AES128_CM_SHA1_80";
    case DUET_SRTP_AES128_CM_SHA1_32:
        return "SRTP_AES128_CM_SHA1_32";
    case DUET_SRTP_AEAD_AES_128_GCM:
        return "SRTP_AEAD_AES_128_GCM";
    case DUET_SRTP_AEAD_AES_256_GCM:
        return "SRTP_AEAD_AES_256_GCM";
    case DUET_SRTP_NONE:
        break;
    }
    return NULL;
}
