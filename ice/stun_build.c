/* Writes STUN messages. The builder is sticky and keeps the length field right after every attribute.
 *
 * RFC 8489 sections 5 and 14; RFC 8656 section 18. Padding is written as zeros. */
#include "base/bytes.h"
#include "ice/stun_internal.h"

#include <string.h>

static duet_writer open_writer(const duet_stun_builder *b)
{
    duet_writer w = duet_writer_init(b->data, b->capacity);

    w.len = b->len;
    w.failed = b->err != DUET_OK;
    return w;
}

/* Takes what was written into the message, or leaves it as it was and notes the error. */
static void close_writer(duet_stun_builder *b, duet_writer *w)
{
    if (b->err)
        return;
    if (w->failed || w->len > DUET_STUN_MESSAGE_MAX) {
        b->err = DUET_ERR_BUFFER;
        return;
    }
    b->len = w->len;
    duet_write_u16_at(w, 2, (uint16_t)(b->len - DUET_STUN_HEADER_LEN));
}

duet_stun_builder duet_stun_begin(uint8_t *data, size_t capacity, duet_stun_class message_class, uint16_t method,
                                  const uint8_t transaction_id[DUET_STUN_TRANSACTION_LEN])
{
    duet_stun_builder b = {.data = data, .capacity = capacity};
    if (method > DUET_STUN_METHOD_MAX || (unsigned)message_class > 3)
        b.err = DUET_ERR_INVALID;
    duet_writer w = open_writer(&b);
    unsigned type = (method & 0xFu) | (method & 0x70u) << 1 | (method & 0xF80u) << 2;

    type |= ((unsigned)message_class & 1u) << 4 | ((unsigned)message_class & 2u) << 7;
    duet_write_u16(&w, (uint16_t)type);
    duet_write_u16(&w, 0);
    duet_write_u32(&w, DUET_STUN_MAGIC_COOKIE);
    duet_write_bytes(&w, transaction_id, DUET_STUN_TRANSACTION_LEN);
    close_writer(&b, &w);
    return b;
}

/* Starts an attribute; its value of `len` bytes follows. */
static duet_writer attribute_begin(duet_stun_builder *b, uint16_t type, size_t len)
{
    duet_writer w = open_writer(b);

    if (len > UINT16_MAX)
        w.failed = true;
    duet_write_u16(&w, type);
    duet_write_u16(&w, (uint16_t)len);
    return w;
}

static void attribute_end(duet_stun_builder *b, duet_writer *w)
{
    duet_write_fill(w, 0, (4 - w->len % 4) % 4);
    close_writer(b, w);
}

void duet_stun_add(duet_stun_builder *b, uint16_t type, const void *value, size_t len)
{
    duet_writer w = attribute_begin(b, type, len);

    duet_write_bytes(&w, value, len);
    attribute_end(b, &w);
}

void duet_stun_add_padded(duet_stun_builder *b, const duet_stun_attribute *attribute)
{
    duet_writer w = attribute_begin(b, attribute->type, attribute->len);

    duet_write_bytes(&w, attribute->value, attribute->len);
    duet_write_bytes(&w, attribute->padding, attribute->padding_len);
    attribute_end(b, &w);
}

void duet_stun_add_text(duet_stun_builder *b, uint16_t type, const char *text)
{
    duet_stun_add(b, type, text, strlen(text));
}

void duet_stun_add_flag(duet_stun_builder *b, uint16_t type)
{
    duet_stun_add(b, type, NULL, 0);
}

void duet_stun_add_u8(duet_stun_builder *b, uint16_t type, uint8_t v)
{
    uint8_t value[4] = {v, 0, 0, 0};

    duet_stun_add(b, type, value, duet_stun_attribute_format(type) == DUET_STUN_FORMAT_U8_PADDED ? 4 : 1);
}

void duet_stun_add_u16(duet_stun_builder *b, uint16_t type, uint16_t v)
{
    duet_writer w = attribute_begin(b, type, 4);

    duet_write_u16(&w, v);
    duet_write_u16(&w, 0);
    attribute_end(b, &w);
}

void duet_stun_add_u32(duet_stun_builder *b, uint16_t type, uint32_t v)
{
    duet_writer w = attribute_begin(b, type, 4);

    duet_write_u32(&w, v);
    attribute_end(b, &w);
}

void duet_stun_add_u64(duet_stun_builder *b, uint16_t type, uint64_t v)
{
    duet_writer w = attribute_begin(b, type, 8);

    duet_write_u64(&w, v);
    attribute_end(b, &w);
}

void duet_stun_add_address(duet_stun_builder *b, uint16_t type, const duet_address *address)
{
    bool is_xor = duet_stun_attribute_format(type) == DUET_STUN_FORMAT_XOR_ADDRESS;
    size_t len = address->family == DUET_AF_INET ? 4 : 16;

    if (address->family != DUET_AF_INET && address->family != DUET_AF_INET6) {
        b->err = b->err ? b->err : DUET_ERR_INVALID;
        return;
    }
    duet_writer w = attribute_begin(b, type, 4 + len);
    duet_write_u8(&w, 0);
    duet_write_u8(&w, len == 4 ? DUET_STUN_FAMILY_IPV4 : DUET_STUN_FAMILY_IPV6);
    duet_write_u16(&w, (uint16_t)(address->port ^ (is_xor ? DUET_STUN_MAGIC_COOKIE >> 16 : 0)));
    /* Magic cookie and transaction id, bytes 4 to 19 of the header, are the mask. */
    duet_reader mask = duet_reader_init(b->data, b->len);
    duet_read_skip(&mask, 4);
    for (size_t i = 0; i < len; i++) {
        uint8_t key = duet_read_u8(&mask);
        duet_write_u8(&w, (uint8_t)(address->ip[i] ^ (is_xor ? key : 0)));
    }
    attribute_end(b, &w);
}

static void add_error(duet_stun_builder *b, uint16_t type, uint8_t family, unsigned code, const char *reason)
{
    if (!reason)
        reason = duet_stun_error_name(code);
    if (!reason)
        reason = "";
    if (code < 300 || code > 699) {
        b->err = b->err ? b->err : DUET_ERR_INVALID;
        return;
    }
    size_t reason_len = strlen(reason);
    duet_writer w = attribute_begin(b, type, 4 + reason_len);
    duet_write_u8(&w, family);
    duet_write_u8(&w, 0);
    duet_write_u8(&w, (uint8_t)(code / 100));
    duet_write_u8(&w, (uint8_t)(code % 100));
    duet_write_bytes(&w, reason, reason_len);
    attribute_end(b, &w);
}

void duet_stun_add_error(duet_stun_builder *b, unsigned code, const char *reason)
{
    add_error(b, DUET_STUN_ERROR_CODE, 0, code, reason);
}

void duet_stun_add_address_error(duet_stun_builder *b, uint8_t family, unsigned code, const char *reason)
{
    add_error(b, DUET_STUN_ADDRESS_ERROR_CODE, family, code, reason);
}

void duet_stun_add_types(duet_stun_builder *b, const uint16_t *types, size_t count)
{
    duet_writer w = attribute_begin(b, DUET_STUN_UNKNOWN_ATTRIBUTES, 2 * count);

    for (size_t i = 0; i < count; i++)
        duet_write_u16(&w, types[i]);
    attribute_end(b, &w);
}

void duet_stun_add_algorithms(duet_stun_builder *b, uint16_t type, const duet_stun_algorithm_value *values,
                              size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += 4 + ((size_t)values[i].parameters_len + 3) / 4 * 4;
    duet_writer w = attribute_begin(b, type, len);
    for (size_t i = 0; i < count; i++) {
        duet_write_u16(&w, values[i].algorithm);
        duet_write_u16(&w, values[i].parameters_len);
        duet_write_bytes(&w, values[i].parameters, values[i].parameters_len);
        duet_write_fill(&w, 0, (4 - values[i].parameters_len % 4u) % 4u);
    }
    attribute_end(b, &w);
}

void duet_stun_add_icmp(duet_stun_builder *b, const duet_stun_icmp *icmp)
{
    duet_writer w = attribute_begin(b, DUET_STUN_ICMP, 8);

    duet_write_u16(&w, 0);
    duet_write_u16(&w, (uint16_t)((icmp->type & 0x7Fu) << 9 | (icmp->code & 0x1FFu)));
    duet_write_u32(&w, icmp->data);
    attribute_end(b, &w);
}

static void add_hmac(duet_stun_builder *b, uint16_t type, size_t len, const void *key, size_t key_len)
{
    uint8_t value[DUET_SHA256_LEN];

    if (b->err)
        return;
    int err = duet_stun_hmac(value, type == DUET_STUN_MESSAGE_INTEGRITY_SHA256, b->data, b->len, len, key, key_len);
    if (err) {
        b->err = err;
        return;
    }
    duet_stun_add(b, type, value, len);
}

void duet_stun_add_integrity(duet_stun_builder *b, const void *key, size_t key_len)
{
    add_hmac(b, DUET_STUN_MESSAGE_INTEGRITY, DUET_SHA1_LEN, key, key_len);
}

void duet_stun_add_integrity_sha256(duet_stun_builder *b, const void *key, size_t key_len, size_t len)
{
    if (len < 16 || len > 32 || len % 4 != 0) {
        b->err = b->err ? b->err : DUET_ERR_INVALID;
        return;
    }
    add_hmac(b, DUET_STUN_MESSAGE_INTEGRITY_SHA256, len, key, key_len);
}

void duet_stun_add_fingerprint(duet_stun_builder *b)
{
    if (!b->err)
        duet_stun_add_u32(b, DUET_STUN_FINGERPRINT, duet_stun_fingerprint_value(b->data, b->len));
}

int duet_stun_end(const duet_stun_builder *b, size_t *len)
{
    if (len)
        *len = b->err ? 0 : b->len;
    return b->err;
}

int duet_stun_rewrite(const duet_stun_message *m, uint8_t *data, size_t capacity, size_t *len)
{
    duet_stun_builder b = duet_stun_begin(data, capacity, m->message_class, m->method, m->transaction_id);
    duet_stun_attribute a = {0};

    while (duet_stun_next(m, &a))
        duet_stun_add_padded(&b, &a);
    return duet_stun_end(&b, len);
}
