/* STUN messages: RFC 8489, with the attributes of ICE (RFC 8445), TURN (RFC 8656, 6062) and NAT behaviour discovery
 * (RFC 5780). Pure functions over bytes that the caller owns: nothing is allocated, parsed views borrow. */
#ifndef DUET_STUN_H
#define DUET_STUN_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DUET_STUN_MAGIC_COOKIE    0x2112A442u
#define DUET_STUN_HEADER_LEN      20
#define DUET_STUN_TRANSACTION_LEN 12
#define DUET_STUN_METHOD_MAX      0xFF
#define DUET_STUN_MESSAGE_MAX     (DUET_STUN_HEADER_LEN + 65532)

/** RFC 8489 section 5. */
typedef enum duet_stun_class {
    DUET_STUN_REQUEST = 0,
    DUET_STUN_INDICATION = 1,
    DUET_STUN_SUCCESS = 2,
    DUET_STUN_ERROR = 3,
} duet_stun_class;

/** Methods that are not named here are parsed all the same, up to DUET_STUN_METHOD_MAX: RFC 7983 section 4 keeps the
 *  rest of the 12 bits for the protocols that share the port. */
typedef enum duet_stun_method {
    DUET_STUN_BINDING = 0x001,
    DUET_STUN_ALLOCATE = 0x003,
    DUET_STUN_REFRESH = 0x004,
    DUET_STUN_SEND = 0x006,
    DUET_STUN_DATA = 0x007,
    DUET_STUN_CREATE_PERMISSION = 0x008,
    DUET_STUN_CHANNEL_BIND = 0x009,
    DUET_STUN_CONNECT = 0x00A,
    DUET_STUN_CONNECTION_BIND = 0x00B,
    DUET_STUN_CONNECTION_ATTEMPT = 0x00C,
} duet_stun_method;

/** Attribute types; below 0x8000 comprehension is required (RFC 8489 section 14). */
enum {
    DUET_STUN_MAPPED_ADDRESS = 0x0001,
    DUET_STUN_CHANGE_REQUEST = 0x0003,
    DUET_STUN_USERNAME = 0x0006,
    DUET_STUN_MESSAGE_INTEGRITY = 0x0008,
    DUET_STUN_ERROR_CODE = 0x0009,
    DUET_STUN_UNKNOWN_ATTRIBUTES = 0x000A,
    DUET_STUN_CHANNEL_NUMBER = 0x000C,
    DUET_STUN_LIFETIME = 0x000D,
    DUET_STUN_XOR_PEER_ADDRESS = 0x0012,
    DUET_STUN_DATA_ATTRIBUTE = 0x0013,
    DUET_STUN_REALM = 0x0014,
    DUET_STUN_NONCE = 0x0015,
    DUET_STUN_XOR_RELAYED_ADDRESS = 0x0016,
    DUET_STUN_REQUESTED_ADDRESS_FAMILY = 0x0017,
    DUET_STUN_EVEN_PORT = 0x0018,
    DUET_STUN_REQUESTED_TRANSPORT = 0x0019,
    DUET_STUN_DONT_FRAGMENT = 0x001A,
    DUET_STUN_MESSAGE_INTEGRITY_SHA256 = 0x001C,
    DUET_STUN_PASSWORD_ALGORITHM = 0x001D,
    DUET_STUN_USERHASH = 0x001E,
    DUET_STUN_XOR_MAPPED_ADDRESS = 0x0020,
    DUET_STUN_RESERVATION_TOKEN = 0x0022,
    DUET_STUN_PRIORITY = 0x0024,
    DUET_STUN_USE_CANDIDATE = 0x0025,
    DUET_STUN_PADDING = 0x0026,
    DUET_STUN_RESPONSE_PORT = 0x0027,
    DUET_STUN_CONNECTION_ID = 0x002A,
    DUET_STUN_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
    DUET_STUN_ADDRESS_ERROR_CODE = 0x8001,
    DUET_STUN_PASSWORD_ALGORITHMS = 0x8002,
    DUET_STUN_ALTERNATE_DOMAIN = 0x8003,
    DUET_STUN_ICMP = 0x8004,
    DUET_STUN_SOFTWARE = 0x8022,
    DUET_STUN_ALTERNATE_SERVER = 0x8023,
    DUET_STUN_FINGERPRINT = 0x8028,
    DUET_STUN_ICE_CONTROLLED = 0x8029,
    DUET_STUN_ICE_CONTROLLING = 0x802A,
    DUET_STUN_RESPONSE_ORIGIN = 0x802B,
    DUET_STUN_OTHER_ADDRESS = 0x802C,
    DUET_STUN_GOOG_NETWORK_INFO = 0xC057, /**< sent by Chromium; not registered */
};

/** How the value of an attribute is laid out; says which `duet_stun_value_…` function reads it. */
typedef enum duet_stun_format {
    DUET_STUN_FORMAT_BYTES = 0,  /**< opaque */
    DUET_STUN_FORMAT_TEXT,       /**< UTF-8 */
    DUET_STUN_FORMAT_FLAG,       /**< empty */
    DUET_STUN_FORMAT_U8,         /**< EVEN-PORT */
    DUET_STUN_FORMAT_U8_PADDED,  /**< one byte and three reserved: REQUESTED-TRANSPORT, …-ADDRESS-FAMILY */
    DUET_STUN_FORMAT_U16_PADDED, /**< two bytes and two reserved: CHANNEL-NUMBER, RESPONSE-PORT */
    DUET_STUN_FORMAT_U32,
    DUET_STUN_FORMAT_U64,
    DUET_STUN_FORMAT_ADDRESS,     /**< MAPPED-ADDRESS and its like */
    DUET_STUN_FORMAT_XOR_ADDRESS, /**< XOR-MAPPED-ADDRESS and its like */
    DUET_STUN_FORMAT_ERROR,       /**< ERROR-CODE and ADDRESS-ERROR-CODE */
    DUET_STUN_FORMAT_TYPES,       /**< UNKNOWN-ATTRIBUTES */
    DUET_STUN_FORMAT_ALGORITHMS,  /**< PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS */
    DUET_STUN_FORMAT_ICMP,
} duet_stun_format;

/** RFC 8489 section 18.5. */
typedef enum duet_stun_algorithm {
    DUET_STUN_MD5 = 1,
    DUET_STUN_SHA256 = 2,
} duet_stun_algorithm;

#define DUET_STUN_FAMILY_IPV4 1
#define DUET_STUN_FAMILY_IPV6 2

/* ---- names --------------------------------------------------------------------------------------------------- */

DUET_API const char *duet_stun_class_name(duet_stun_class message_class); /**< "request", "success response", … */
DUET_API const char *duet_stun_method_name(uint16_t method);              /**< "Binding", …; NULL when unknown */
DUET_API const char *duet_stun_attribute_name(uint16_t type); /**< "XOR-MAPPED-ADDRESS", …; NULL when unknown */
DUET_API const char *duet_stun_error_name(unsigned code);     /**< "Role Conflict", …; NULL when unknown */
DUET_API duet_stun_format duet_stun_attribute_format(uint16_t type); /**< …_BYTES when unknown */

/* ---- parsing ------------------------------------------------------------------------------------------------- */

/** One attribute. Everything points into the message. */
typedef struct duet_stun_attribute {
    uint16_t type;
    uint16_t len;
    const uint8_t *value;
    const uint8_t *padding; /**< the bytes up to the next multiple of four, whatever they are */
    uint8_t padding_len;    /**< 0 to 3 */
    size_t offset;          /**< of the attribute's header in the message */
    bool ignored;           /**< it follows the integrity attribute (RFC 8489 sections 14.5, 14.6) */
} duet_stun_attribute;

/** A parsed message: a view of bytes that must outlive it. */
typedef struct duet_stun_message {
    const uint8_t *data;
    size_t len;
    duet_stun_class message_class;
    uint16_t method;
    const uint8_t *transaction_id;
    size_t attribute_count;
    size_t integrity;        /**< offset of the MESSAGE-INTEGRITY that counts, 0 when there is none */
    size_t integrity_sha256; /**< offset of the MESSAGE-INTEGRITY-SHA256 that counts, or 0 */
    size_t fingerprint;      /**< offset of FINGERPRINT when it is the last attribute, or 0 */
} duet_stun_message;

/** Whether a datagram looks like STUN: first byte 0 to 3 (RFC 7983), magic cookie, and a length field that is a
 *  multiple of four and agrees with `len`. */
DUET_API bool duet_stun_is_message(const uint8_t *data, size_t len);

/** Parses the header and the frame of every attribute; values are looked at by the functions below.
 *  @return DUET_OK, DUET_ERR_NOT_MINE when duet_stun_is_message says no, DUET_ERR_MALFORMED when an attribute runs past
 *          the end */
DUET_API int duet_stun_parse(duet_stun_message *out, const uint8_t *data, size_t len);

/** Visits the attributes in their order, ignored ones too. Start with a zeroed attribute.
 *  @return false past the last one */
DUET_API bool duet_stun_next(const duet_stun_message *m, duet_stun_attribute *attribute);

/** The first attribute of that type that is not to be ignored; later ones of the same type do not count (RFC 8489
 *  section 14). `out` may be NULL. @return whether there is one */
DUET_API bool duet_stun_find(const duet_stun_message *m, uint16_t type, duet_stun_attribute *out);

/** Types of comprehension-required attributes outside `known`, each once, in order (RFC 8489 section 6.3).
 *  @param known  what the caller understands; NULL: everything that this header names
 *  @return how many there are; the first `max` of them are in `out` */
DUET_API size_t duet_stun_unknown_required(const duet_stun_message *m, const uint16_t *known, size_t known_count,
                                           uint16_t *out, size_t max);

/* Readers of one value. DUET_ERR_MALFORMED when its length or content does not fit the format. */
DUET_API int duet_stun_value_u8(const duet_stun_attribute *a, uint8_t *out);   /**< U8 and U8_PADDED */
DUET_API int duet_stun_value_u16(const duet_stun_attribute *a, uint16_t *out); /**< U16_PADDED */
DUET_API int duet_stun_value_u32(const duet_stun_attribute *a, uint32_t *out);
DUET_API int duet_stun_value_u64(const duet_stun_attribute *a, uint64_t *out);
/** ADDRESS and XOR_ADDRESS; which of them follows from the type. */
DUET_API int duet_stun_value_address(const duet_stun_message *m, const duet_stun_attribute *a, duet_address *out);

typedef struct duet_stun_error {
    uint16_t code;         /**< 300 to 699 */
    uint8_t family;        /**< ADDRESS-ERROR-CODE: DUET_STUN_FAMILY_…, otherwise 0 */
    const uint8_t *reason; /**< UTF-8, borrowed, not terminated */
    size_t reason_len;
} duet_stun_error;
DUET_API int duet_stun_value_error(const duet_stun_attribute *a, duet_stun_error *out);

/** UNKNOWN-ATTRIBUTES. @param count  in: room in `types`; out: how many there are (may be more than the room) */
DUET_API int duet_stun_value_types(const duet_stun_attribute *a, uint16_t *types, size_t *count);

typedef struct duet_stun_algorithm_value {
    uint16_t algorithm; /**< duet_stun_algorithm, or unknown */
    uint16_t parameters_len;
    const uint8_t *parameters; /**< borrowed */
} duet_stun_algorithm_value;
/** PASSWORD-ALGORITHM (one) and PASSWORD-ALGORITHMS. @param count  in: room; out: how many there are */
DUET_API int duet_stun_value_algorithms(const duet_stun_attribute *a, duet_stun_algorithm_value *out, size_t *count);

typedef struct duet_stun_icmp {
    uint8_t type;  /**< 7 bits */
    uint16_t code; /**< 9 bits */
    uint32_t data;
} duet_stun_icmp;
DUET_API int duet_stun_value_icmp(const duet_stun_attribute *a, duet_stun_icmp *out);

/* The same, with the search. DUET_ERR_NOT_FOUND when there is no such attribute. */
DUET_API int duet_stun_get_u32(const duet_stun_message *m, uint16_t type, uint32_t *out);
DUET_API int duet_stun_get_u64(const duet_stun_message *m, uint16_t type, uint64_t *out);
DUET_API int duet_stun_get_address(const duet_stun_message *m, uint16_t type, duet_address *out);
DUET_API int duet_stun_get_error(const duet_stun_message *m, duet_stun_error *out);

/* ---- credentials and integrity ---------------------------------------------------------------------------------
 * Text is taken as prepared: ASCII needs no preparation, and other UTF-8 must already have gone through OpaqueString
 * (RFC 8265), as the RFC wants of whoever stores it. The key of the short-term mechanism is the password itself. */

/** MD5(username ":" realm ":" password), RFC 8489 section 9.2.2. */
DUET_API int duet_stun_key_md5(uint8_t out[16], const char *username, const char *realm, const char *password);
/** SHA-256 of the same. */
DUET_API int duet_stun_key_sha256(uint8_t out[32], const char *username, const char *realm, const char *password);
/** SHA-256(username ":" realm), RFC 8489 section 14.4. */
DUET_API int duet_stun_userhash(uint8_t out[32], const char *username, const char *realm);

/** Checks MESSAGE-INTEGRITY. @return DUET_OK, DUET_ERR_NOT_FOUND, DUET_ERR_AUTH, DUET_ERR_CRYPTO */
DUET_API int duet_stun_verify_integrity(const duet_stun_message *m, const void *key, size_t key_len);
/** Checks MESSAGE-INTEGRITY-SHA256, also a truncated one (16 to 32 bytes, RFC 8489 section 14.6). */
DUET_API int duet_stun_verify_integrity_sha256(const duet_stun_message *m, const void *key, size_t key_len);
/** Checks FINGERPRINT. @return DUET_OK, DUET_ERR_NOT_FOUND (none, or not the last attribute), DUET_ERR_AUTH */
DUET_API int duet_stun_verify_fingerprint(const duet_stun_message *m);

/** Security feature bits of a nonce cookie, RFC 8489 section 9.2. Bit 0 is the least significant (section 18.1). */
#define DUET_STUN_NONCE_PASSWORD_ALGORITHMS (1u << 0)
#define DUET_STUN_NONCE_USERNAME_ANONYMITY  (1u << 1)
#define DUET_STUN_NONCE_COOKIE_LEN          13
/** @return the feature bits, 0 when the nonce has no cookie */
DUET_API uint32_t duet_stun_nonce_features(const uint8_t *nonce, size_t len);
/** Writes the cookie "obMatJos2" with its four characters of features; the server's own nonce goes behind it. */
DUET_API void duet_stun_nonce_cookie(char out[DUET_STUN_NONCE_COOKIE_LEN + 1], uint32_t features);

/* ---- building ------------------------------------------------------------------------------------------------ */

/** Writes a message into the caller's bytes. Sticky: after the first thing that does not fit every call does nothing,
 *  and duet_stun_end reports it. The length field is right after every call. */
typedef struct duet_stun_builder {
    uint8_t *data;
    size_t capacity;
    size_t len;
    int err;
} duet_stun_builder;

DUET_API duet_stun_builder duet_stun_begin(uint8_t *data, size_t capacity, duet_stun_class message_class,
                                           uint16_t method, const uint8_t transaction_id[DUET_STUN_TRANSACTION_LEN]);
/** Any attribute from its bytes, padded with zeros. */
DUET_API void duet_stun_add(duet_stun_builder *b, uint16_t type, const void *value, size_t len);
/** The same with the padding bytes of the original, for a message that is written again as it was. */
DUET_API void duet_stun_add_padded(duet_stun_builder *b, const duet_stun_attribute *attribute);
DUET_API void duet_stun_add_text(duet_stun_builder *b, uint16_t type, const char *text);
DUET_API void duet_stun_add_flag(duet_stun_builder *b, uint16_t type);
DUET_API void duet_stun_add_u8(duet_stun_builder *b, uint16_t type, uint8_t v);   /**< U8 or U8_PADDED, by type */
DUET_API void duet_stun_add_u16(duet_stun_builder *b, uint16_t type, uint16_t v); /**< U16_PADDED */
DUET_API void duet_stun_add_u32(duet_stun_builder *b, uint16_t type, uint32_t v);
DUET_API void duet_stun_add_u64(duet_stun_builder *b, uint16_t type, uint64_t v);
/** ADDRESS or XOR_ADDRESS, by type. */
DUET_API void duet_stun_add_address(duet_stun_builder *b, uint16_t type, const duet_address *address);
/** ERROR-CODE. @param reason  NULL: the name of the code */
DUET_API void duet_stun_add_error(duet_stun_builder *b, unsigned code, const char *reason);
/** ADDRESS-ERROR-CODE, RFC 8656 section 18.12. */
DUET_API void duet_stun_add_address_error(duet_stun_builder *b, uint8_t family, unsigned code, const char *reason);
DUET_API void duet_stun_add_types(duet_stun_builder *b, const uint16_t *types, size_t count);
DUET_API void duet_stun_add_algorithms(duet_stun_builder *b, uint16_t type, const duet_stun_algorithm_value *values,
                                       size_t count);
DUET_API void duet_stun_add_icmp(duet_stun_builder *b, const duet_stun_icmp *icmp);
DUET_API void duet_stun_add_integrity(duet_stun_builder *b, const void *key, size_t key_len);
/** @param len  16, 20, 24, 28 or 32 bytes of the HMAC */
DUET_API void duet_stun_add_integrity_sha256(duet_stun_builder *b, const void *key, size_t key_len, size_t len);
DUET_API void duet_stun_add_fingerprint(duet_stun_builder *b);
/** @param len  the length of the message; may be NULL
 *  @return DUET_OK, DUET_ERR_BUFFER, DUET_ERR_INVALID (a value outside its range), DUET_ERR_CRYPTO */
DUET_API int duet_stun_end(const duet_stun_builder *b, size_t *len);

/** Writes a parsed message again, attribute by attribute; the result equals the original byte for byte. */
DUET_API int duet_stun_rewrite(const duet_stun_message *m, uint8_t *data, size_t capacity, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
