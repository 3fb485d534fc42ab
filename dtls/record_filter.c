/* The record filter: during the handshake anybody who can send from the peer's address can inject records that have no
 * protection yet, and a single ill-formed one ends OpenSSL's handshake. Those are dropped here, as RFC 6347 section
 * 4.1.2.7 asks ("invalid records SHOULD be silently discarded"). RFC 6347, RFC 9147, RFC 7983. */
#include "dtls/record_filter.h"
#include <openssl/ssl.h>

/* RFC 7983 section 7: 20 to 63. */
#define FIRST_BYTE_MIN 20
#define FIRST_BYTE_MAX 63
/* The unified header of DTLS 1.3, RFC 9147 section 4: 0 0 1 C S L E E. */
#define UNIFIED_MASK   0xe0
#define UNIFIED_VALUE  0x20
#define UNIFIED_CID    0x10
#define UNIFIED_SEQ16  0x08
#define UNIFIED_LENGTH 0x04
/* "The length MUST NOT exceed 2^14 + 2048", RFC 5246 section 6.2.3. */
#define CIPHERTEXT_MAX (16384 + 2048)

bool duet_dtls_is_mine(const uint8_t *data, size_t len)
{
    return len > 0 && data[0] >= FIRST_BYTE_MIN && data[0] <= FIRST_BYTE_MAX;
}

static bool is_unified(uint8_t first)
{
    return (first & UNIFIED_MASK) == UNIFIED_VALUE;
}

/*  0 1 2 3 4 5 6 7
 * |0|0|1|C|S|L|E E|  connection id, 8- or 16-bit sequence number, 16-bit length if present    RFC 9147, 4 */
static bool next_unified(duet_reader *r, duet_dtls_record *out)
{
    if (out->type & UNIFIED_CID) {
        r->failed = true; /* no connection id is ever negotiated: its length is unknown */
        return false;
    }
    duet_read_skip(r, 1 + ((out->type & UNIFIED_SEQ16) ? 2 : 1));
    size_t len = (out->type & UNIFIED_LENGTH) ? duet_read_u16(r) : duet_reader_left(r);
    out->epoch = out->type & 3; /* its low bits; never 0 in a protected record of the handshake */
    out->fragment = duet_read_bytes(r, len);
    return !r->failed;
}

/* | type | version (2) | epoch (2) | sequence number (6) | length (2) | fragment |     RFC 6347, 4.1 */
static bool next_plain(duet_reader *r, duet_dtls_record *out)
{
    duet_read_skip(r, 1);
    uint8_t major = duet_read_u8(r);
    duet_read_skip(r, 1);
    out->epoch = duet_read_u16(r);
    duet_read_skip(r, 6);
    size_t len = duet_read_u16(r);
    out->fragment = duet_read_bytes(r, len);
    if (major != 0xfe || len > CIPHERTEXT_MAX)
        r->failed = true;
    return !r->failed;
}

bool duet_dtls_next_record(duet_reader *r, duet_dtls_record *out)
{
    if (r->failed || duet_reader_left(r) == 0)
        return false;
    size_t start = r->pos;
    *out = (duet_dtls_record){.data = r->data + start, .type = duet_peek_u8(r, 0)};
    bool found = is_unified(out->type) ? next_unified(r, out) : next_plain(r, out);
    out->len = r->pos - start;
    return found;
}

/* Which handshake messages a role receives without protection, and how long the longest is that makes sense. OpenSSL
 * ends the handshake over any other. RFC 5246 section 7.4, RFC 6347 section 4.2.2. */
static size_t message_max(uint8_t type, duet_dtls_role receiver)
{
    const size_t certificate_max = 65536;

    if (receiver == DUET_DTLS_SERVER) {
        switch (type) {
        case SSL3_MT_CLIENT_HELLO:
            return 16384;
        case SSL3_MT_CERTIFICATE:
            return certificate_max;
        case SSL3_MT_CLIENT_KEY_EXCHANGE:
            return 2048;
        case SSL3_MT_CERTIFICATE_VERIFY:
            return 16384;
        default:
            return 0;
        }
    }
    switch (type) {
    case SSL3_MT_SERVER_HELLO:
        return 16384;
    case DTLS1_MT_HELLO_VERIFY_REQUEST:
        return 258;
    case SSL3_MT_CERTIFICATE:
    case SSL3_MT_CERTIFICATE_STATUS:
    case SSL3_MT_CERTIFICATE_REQUEST:
        return certificate_max;
    case SSL3_MT_SERVER_KEY_EXCHANGE:
        return 16384;
    case SSL3_MT_NEWSESSION_TICKET:
        return 65536;
    default:
        return 0;
    }
}

/* | msg_type | length (3) | message_seq (2) | fragment_offset (3) | fragment_length (3) | fragment |  RFC 6347, 4.2.2 */
static const char *refuse_handshake(duet_bytes fragment, duet_dtls_role receiver)
{
    duet_reader r = duet_reader_init(fragment.data, fragment.len);

    if (fragment.len == 0)
        return "empty handshake record";
    while (duet_reader_left(&r) > 0) {
        uint8_t type = duet_read_u8(&r);
        size_t length = duet_read_u24(&r);
        uint16_t sequence = duet_read_u16(&r);
        size_t offset = duet_read_u24(&r);
        size_t fragment_length = duet_read_u24(&r);
        duet_read_skip(&r, fragment_length);
        if (r.failed)
            return "ill-formed handshake header";
        if (type == SSL3_MT_SERVER_DONE && receiver == DUET_DTLS_CLIENT && length == 0)
            continue; /* the one message without a body */
        if (length == 0 || length > message_max(type, receiver))
            return "handshake message of a wrong type or length";
        if (offset > length || fragment_length > length - offset || (fragment_length == 0 && length > 0))
            return "handshake fragment outside its message";
        if (type == SSL3_MT_CLIENT_HELLO && sequence > 1)
            return "ClientHello in the middle of a handshake"; /* 1 follows a HelloVerifyRequest */
    }
    return NULL;
}

static const char *refuse_unprotected(const duet_dtls_record *record, duet_dtls_role receiver)
{
    switch (record->type) {
    case DUET_DTLS_HANDSHAKE:
        return refuse_handshake(record->fragment, receiver);
    case DUET_DTLS_CHANGE_CIPHER_SPEC:
        return record->fragment.len == 1 && record->fragment.data[0] == 1 ? NULL : "ill-formed ChangeCipherSpec";
    case DUET_DTLS_ALERT:
        return "alert without protection";
    default:
        return "unprotected record of a wrong type";
    }
}

const char *duet_dtls_refuse_record(const duet_dtls_record *record, duet_dtls_role role, bool complete, bool has_1_3,
                                    size_t overhead)
{
    if (is_unified(record->type))
        return has_1_3 ? NULL : "DTLS 1.3 record";
    if (record->type < DUET_DTLS_CHANGE_CIPHER_SPEC || record->type > DUET_DTLS_APPLICATION_DATA)
        return "unknown content type";
    if (record->fragment.len == 0)
        return "empty record";
    if (record->epoch > 0) /* protected: the engine tells true from false, when there is enough of it */
        return record->fragment.len < overhead ? "protected record shorter than its nonce and tag" : NULL;
    if (complete)
        return "record without protection after the handshake";
    return refuse_unprotected(record, role);
}

const char *duet_dtls_plain_alert(const duet_dtls_record *record)
{
    if (record->type != DUET_DTLS_ALERT || record->epoch != 0 || record->fragment.len != 2)
        return NULL;
    return SSL_alert_desc_string_long(record->fragment.data[1]);
}
