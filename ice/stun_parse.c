/* Parses STUN messages into views that borrow their bytes, and reads the values of attributes.
 *
 * RFC 8489 sections 5, 6.3 and 14; RFC 8656 section 18; RFC 7983 for telling STUN from its neighbours. */
#include "base/bytes.h"
#include "duet/stun.h"

#include <string.h>

#define ATTRIBUTE_HEADER_LEN 4
#define SHA1_LEN             20

/*  0                   1                   2                   3
 * |0 0|   Message Type (14 bits)  |         Message Length        |   RFC 8489, 5
 * |                         Magic Cookie                          |
 * |                   Transaction ID (96 bits)                    |   */
bool duet_stun_is_message(const uint8_t *data, size_t len)
{
    duet_reader r = duet_reader_init(data, len);
    uint16_t type = duet_read_u16(&r);
    uint16_t body = duet_read_u16(&r);
    uint32_t cookie = duet_read_u32(&r);

    /* A first byte of 0 to 3, RFC 7983 section 7; methods from 0x100 on are given up for the sake of the other protocols. */
    return len >= DUET_STUN_HEADER_LEN && type < 0x0400 && cookie == DUET_STUN_MAGIC_COOKIE && body % 4 == 0 &&
           len == DUET_STUN_HEADER_LEN + (size_t)body;
}

/* The class sits in bits 8 and 4 of the type, the method in the rest. RFC 8489, figure 3. */
static duet_stun_class type_class(uint16_t type)
{
    return (duet_stun_class)(((type >> 7) & 2) | ((type >> 4) & 1));
}

static uint16_t type_method(uint16_t type)
{
    return (uint16_t)((type & 0x000F) | ((type >> 1) & 0x0070) | ((type >> 2) & 0x0F80));
}

/* Notes where the attributes are that guard the message. */
static int note_guard(duet_stun_message *m, const duet_stun_attribute *a)
{
    if (a->type == DUET_STUN_MESSAGE_INTEGRITY && !m->integrity && !m->integrity_sha256) {
        if (a->len != SHA1_LEN)
            return DUET_ERR_MALFORMED;
        m->integrity = a->offset;
    }
    if (a->type == DUET_STUN_MESSAGE_INTEGRITY_SHA256 && !m->integrity_sha256) {
        /* "MUST be at least 16 bytes ... and a multiple of 4" RFC 8489 section 14.6 */
        if (a->len < 16 || a->len > 32 || a->len % 4 != 0)
            return DUET_ERR_MALFORMED;
        m->integrity_sha256 = a->offset;
    }
    /* "the FINGERPRINT attribute MUST be the last attribute in the message" RFC 8489 section 14.7 */
    if (a->type == DUET_STUN_FINGERPRINT && a->offset + ATTRIBUTE_HEADER_LEN + 4 == m->len) {
        if (a->len != 4)
            return DUET_ERR_MALFORMED;
        m->fingerprint = a->offset;
    }
    return DUET_OK;
}

int duet_stun_parse(duet_stun_message *out, const uint8_t *data, size_t len)
{
    if (!duet_stun_is_message(data, len))
        return DUET_ERR_NOT_MINE;

    duet_reader r = duet_reader_init(data, len);
    uint16_t type = duet_read_u16(&r);
    duet_read_skip(&r, 6);
    memset(out, 0, sizeof(*out));
    out->data = data;
    out->len = len;
    out->message_class = type_class(type);
    out->method = type_method(type);
    out->transaction_id = duet_read_bytes(&r, DUET_STUN_TRANSACTION_LEN).data;

    duet_stun_attribute a = {0};
    size_t end = DUET_STUN_HEADER_LEN;
    while (duet_stun_next(out, &a)) {
        int err = note_guard(out, &a);
        if (err)
            return err;
        out->attribute_count++;
        end = a.offset + ATTRIBUTE_HEADER_LEN + a.len + a.padding_len;
    }
    return end == len ? DUET_OK : DUET_ERR_MALFORMED;
}

/* "agents MUST ignore all other attributes that follow MESSAGE-INTEGRITY", and likewise the one with SHA-256. */
static bool is_ignored(const duet_stun_message *m, uint16_t type, size_t offset)
{
    if (type == DUET_STUN_FINGERPRINT)
        return m->fingerprint != 0 && offset != m->fingerprint;
    if (m->integrity_sha256 && offset > m->integrity_sha256)
        return true;
    return m->integrity && offset > m->integrity && offset != m->integrity_sha256;
}

/* |         Type                  |            Length             |   RFC 8489, 14
 * |                         Value (variable), padding          ....   */
bool duet_stun_next(const duet_stun_message *m, duet_stun_attribute *a)
{
    size_t offset = DUET_STUN_HEADER_LEN;
    if (a->offset)
        offset = a->offset + ATTRIBUTE_HEADER_LEN + a->len + a->padding_len;

    duet_reader r = duet_reader_init(m->data, m->len);
    duet_read_skip(&r, offset);
    uint16_t type = duet_read_u16(&r);
    uint16_t len = duet_read_u16(&r);
    duet_bytes value = duet_read_bytes(&r, len);
    size_t padding_len = (4u - len % 4u) % 4u;
    duet_bytes padding = duet_read_bytes(&r, padding_len);
    if (r.failed)
        return false;

    a->type = type;
    a->len = len;
    a->value = value.data;
    a->padding = padding.data;
    a->padding_len = (uint8_t)padding_len;
    a->offset = offset;
    a->ignored = is_ignored(m, type, offset);
    return true;
}

bool duet_stun_find(const duet_stun_message *m, uint16_t type, duet_stun_attribute *out)
{
    duet_stun_attribute a = {0};

    while (duet_stun_next(m, &a)) {
        if (a.type != type || a.ignored)
            continue;
        if (out)
            *out = a;
        return true;
    }
    return false;
}

static bool is_known(uint16_t type, const uint16_t *known, size_t known_count)
{
    if (!known)
        return duet_stun_attribute_name(type) != NULL;
    for (size_t i = 0; i < known_count; i++) {
        if (known[i] == type)
            return true;
    }
    return false;
}

/* Whether an attribute of the same type comes earlier. */
static bool is_repeated(const duet_stun_message *m, const duet_stun_attribute *a)
{
    duet_stun_attribute first;

    return duet_stun_find(m, a->type, &first) && first.offset < a->offset;
}

size_t duet_stun_unknown_required(const duet_stun_message *m, const uint16_t *known, size_t known_count, uint16_t *out,
                                  size_t max)
{
    duet_stun_attribute a = {0};
    size_t count = 0, seen = 0;

    while (duet_stun_next(m, &a)) {
        if (a.ignored || a.type >= 0x8000 || is_known(a.type, known, known_count))
            continue;
        /* The search for a repetition is quadratic: beyond this many unknown ones the count need not be exact. */
        if (seen++ < 64 && is_repeated(m, &a))
            continue;
        if (count < max)
            out[count] = a.type;
        count++;
    }
    return count;
}

/* ---- values -------------------------------------------------------------------------------------------------- */

static duet_reader value_reader(const duet_stun_attribute *a)
{
    return duet_reader_init(a->value, a->len);
}

int duet_stun_value_u8(const duet_stun_attribute *a, uint8_t *out)
{
    duet_reader r = value_reader(a);

    *out = duet_read_u8(&r);
    if (duet_stun_attribute_format(a->type) == DUET_STUN_FORMAT_U8_PADDED)
        duet_read_skip(&r, 3);
    return duet_reader_finish(&r);
}

int duet_stun_value_u16(const duet_stun_attribute *a, uint16_t *out)
{
    duet_reader r = value_reader(a);

    *out = duet_read_u16(&r);
    duet_read_skip(&r, 2);
    return duet_reader_finish(&r);
}

int duet_stun_value_u32(const duet_stun_attribute *a, uint32_t *out)
{
    duet_reader r = value_reader(a);

    *out = duet_read_u32(&r);
    return duet_reader_finish(&r);
}

int duet_stun_value_u64(const duet_stun_attribute *a, uint64_t *out)
{
    duet_reader r = value_reader(a);

    *out = duet_read_u64(&r);
    return duet_reader_finish(&r);
}

/* The mask of XOR-…-ADDRESS: magic cookie, then transaction id; they are bytes 4 to 19 of the header. */
static void unmask(const duet_stun_message *m, duet_address *address)
{
    duet_reader r = duet_reader_init(m->data, m->len);
    duet_read_skip(&r, 4);
    duet_bytes mask = duet_read_bytes(&r, 16);
    size_t len = address->family == DUET_AF_INET ? 4 : 16;

    address->port = (uint16_t)(address->port ^ (DUET_STUN_MAGIC_COOKIE >> 16));
    for (size_t i = 0; i < len && mask.data; i++)
        address->ip[i] = (uint8_t)(address->ip[i] ^ mask.data[i]);
}

/* |0 0 0 0 0 0 0 0|    Family     |           Port                |   RFC 8489, 14.1
 * |                 Address (32 bits or 128 bits)                 |   */
int duet_stun_value_address(const duet_stun_message *m, const duet_stun_attribute *a, duet_address *out)
{
    duet_reader r = value_reader(a);

    memset(out, 0, sizeof(*out));
    duet_read_skip(&r, 1); /* "MUST be ignored by receivers" */
    uint8_t family = duet_read_u8(&r);
    uint16_t port = duet_read_u16(&r);
    if (family != DUET_STUN_FAMILY_IPV4 && family != DUET_STUN_FAMILY_IPV6)
        return DUET_ERR_MALFORMED;
    size_t len = family == DUET_STUN_FAMILY_IPV4 ? 4 : 16;
    duet_bytes ip = duet_read_bytes(&r, len);
    if (duet_reader_finish(&r) != DUET_OK)
        return DUET_ERR_MALFORMED;

    out->family = family == DUET_STUN_FAMILY_IPV4 ? DUET_AF_INET : DUET_AF_INET6;
    out->port = port;
    memcpy(out->ip, ip.data, ip.len);
    if (duet_stun_attribute_format(a->type) == DUET_STUN_FORMAT_XOR_ADDRESS)
        unmask(m, out);
    return DUET_OK;
}

/* |           Reserved, should be 0         |Class|     Number    |   RFC 8489, 14.8
 * |      Reason Phrase (variable)                                ..
 * ADDRESS-ERROR-CODE has the family in the first byte (RFC 8656, 18.12). */
int duet_stun_value_error(const duet_stun_attribute *a, duet_stun_error *out)
{
    duet_reader r = value_reader(a);

    memset(out, 0, sizeof(*out));
    uint8_t family = duet_read_u8(&r);
    duet_read_skip(&r, 1);
    unsigned hundreds = duet_read_u8(&r) & 7u;
    unsigned number = duet_read_u8(&r);
    /* "Class ... MUST be between 3 and 6. Number ... MUST be between 0 and 99." */
    if (r.failed || hundreds < 3 || hundreds > 6 || number > 99)
        return DUET_ERR_MALFORMED;
    if (a->type == DUET_STUN_ADDRESS_ERROR_CODE) {
        if (family != DUET_STUN_FAMILY_IPV4 && family != DUET_STUN_FAMILY_IPV6)
            return DUET_ERR_MALFORMED;
        out->family = family;
    }
    duet_bytes reason = duet_read_bytes(&r, duet_reader_left(&r));
    out->code = (uint16_t)(hundreds * 100 + number);
    out->reason = reason.data;
    out->reason_len = reason.len;
    return DUET_OK;
}

int duet_stun_value_types(const duet_stun_attribute *a, uint16_t *types, size_t *count)
{
    duet_reader r = value_reader(a);
    size_t max = *count;

    *count = 0;
    while (duet_reader_left(&r) > 0) {
        uint16_t type = duet_read_u16(&r);
        if (r.failed)
            return DUET_ERR_MALFORMED;
        if (*count < max)
            types[*count] = type;
        (*count)++;
    }
    return DUET_OK;
}

/* |          Algorithm           |  Algorithm Parameters Length   |   RFC 8489, 14.11 and 14.12
 * |                    Algorithm Parameters (variable)            |
 * Padded to four bytes; the padding of the last one may be left to the attribute. */
int duet_stun_value_algorithms(const duet_stun_attribute *a, duet_stun_algorithm_value *out, size_t *count)
{
    duet_reader r = value_reader(a);
    size_t max = *count;

    *count = 0;
    do {
        duet_stun_algorithm_value value;
        value.algorithm = duet_read_u16(&r);
        value.parameters_len = duet_read_u16(&r);
        value.parameters = duet_read_bytes(&r, value.parameters_len).data;
        if (r.failed)
            return DUET_ERR_MALFORMED;
        if (duet_reader_left(&r) > 0)
            duet_read_skip(&r, (4u - value.parameters_len % 4u) % 4u);
        if (*count < max)
            out[*count] = value;
        (*count)++;
    } while (duet_reader_left(&r) > 0 && a->type != DUET_STUN_PASSWORD_ALGORITHM);
    return duet_reader_finish(&r);
}

/* |  Reserved                     |  ICMP Type  |  ICMP Code      |   RFC 8656, 18.13: 16, 7 and 9 bits
 * |                          Error Data                           |   */
int duet_stun_value_icmp(const duet_stun_attribute *a, duet_stun_icmp *out)
{
    duet_reader r = value_reader(a);

    duet_read_skip(&r, 2);
    uint16_t type_and_code = duet_read_u16(&r);
    out->type = (uint8_t)(type_and_code >> 9);
    out->code = type_and_code & 0x1FF;
    out->data = duet_read_u32(&r);
    return duet_reader_finish(&r);
}

int duet_stun_get_u32(const duet_stun_message *m, uint16_t type, uint32_t *out)
{
    duet_stun_attribute a;

    return duet_stun_find(m, type, &a) ? duet_stun_value_u32(&a, out) : DUET_ERR_NOT_FOUND;
}

int duet_stun_get_u64(const duet_stun_message *m, uint16_t type, uint64_t *out)
{
    duet_stun_attribute a;

    return duet_stun_find(m, type, &a) ? duet_stun_value_u64(&a, out) : DUET_ERR_NOT_FOUND;
}

int duet_stun_get_address(const duet_stun_message *m, uint16_t type, duet_address *out)
{
    duet_stun_attribute a;

    return duet_stun_find(m, type, &a) ? duet_stun_value_address(m, &a, out) : DUET_ERR_NOT_FOUND;
}

int duet_stun_get_error(const duet_stun_message *m, duet_stun_error *out)
{
    duet_stun_attribute a;

    return duet_stun_find(m, DUET_STUN_ERROR_CODE, &a) ? duet_stun_value_error(&a, out) : DUET_ERR_NOT_FOUND;
}
