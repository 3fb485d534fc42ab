/* Names and value formats of STUN classes, methods, attributes and error codes.
 *
 * The registries of RFC 8489 section 18, RFC 8445, 8656, 6062, 5780, and what browsers send besides. */
#include "duet/stun.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *duet_stun_class_name(duet_stun_class message_class)
{
    static const char *const names[] = {"request", "indication", "success response", "error response"};

    return (size_t)message_class < COUNT(names) ? names[message_class] : "unknown";
}

const char *duet_stun_method_name(uint16_t method)
{
    switch (method) {
    case DUET_STUN_BINDING:
        return "Binding";
    case DUET_STUN_ALLOCATE:
        return "Allocate";
    case DUET_STUN_REFRESH:
        return "Refresh";
    case DUET_STUN_SEND:
        return "Send";
    case DUET_STUN_DATA:
        return "Data";
    case DUET_STUN_CREATE_PERMISSION:
        return "CreatePermission";
    case DUET_STUN_CHANNEL_BIND:
        return "ChannelBind";
    case DUET_STUN_CONNECT:
        return "Connect";
    case DUET_STUN_CONNECTION_BIND:
        return "ConnectionBind";
    case DUET_STUN_CONNECTION_ATTEMPT:
        return "ConnectionAttempt";
    default:
        return NULL;
    }
}

typedef struct attribute_row {
    uint16_t type;
    duet_stun_format format;
    const char *name;
} attribute_row;

/* In the order of the registry, so that the search can be binary. */
static const attribute_row attributes[] = {
    {DUET_STUN_MAPPED_ADDRESS, DUET_STUN_FORMAT_ADDRESS, "MAPPED-ADDRESS"},
    {0x0002, DUET_STUN_FORMAT_ADDRESS, "RESPONSE-ADDRESS"},
    {DUET_STUN_CHANGE_REQUEST, DUET_STUN_FORMAT_U32, "CHANGE-REQUEST"},
    {0x0004, DUET_STUN_FORMAT_ADDRESS, "SOURCE-ADDRESS"},
    {0x0005, DUET_STUN_FORMAT_ADDRESS, "CHANGED-ADDRESS"},
    {DUET_STUN_USERNAME, DUET_STUN_FORMAT_TEXT, "USERNAME"},
    {0x0007, DUET_STUN_FORMAT_BYTES, "PASSWORD"},
    {DUET_STUN_MESSAGE_INTEGRITY, DUET_STUN_FORMAT_BYTES, "MESSAGE-INTEGRITY"},
    {DUET_STUN_ERROR_CODE, DUET_STUN_FORMAT_ERROR, "ERROR-CODE"},
    {DUET_STUN_UNKNOWN_ATTRIBUTES, DUET_STUN_FORMAT_TYPES, "UNKNOWN-ATTRIBUTES"},
    {0x000B, DUET_STUN_FORMAT_ADDRESS, "REFLECTED-FROM"},
    {DUET_STUN_CHANNEL_NUMBER, DUET_STUN_FORMAT_U16_PADDED, "CHANNEL-NUMBER"},
    {DUET_STUN_LIFETIME, DUET_STUN_FORMAT_U32, "LIFETIME"},
    {DUET_STUN_XOR_PEER_ADDRESS, DUET_STUN_FORMAT_XOR_ADDRESS, "XOR-PEER-ADDRESS"},
    {DUET_STUN_DATA_ATTRIBUTE, DUET_STUN_FORMAT_BYTES, "DATA"},
    {DUET_STUN_REALM, DUET_STUN_FORMAT_TEXT, "REALM"},
    {DUET_STUN_NONCE, DUET_STUN_FORMAT_TEXT, "NONCE"},
    {DUET_STUN_XOR_RELAYED_ADDRESS, DUET_STUN_FORMAT_XOR_ADDRESS, "XOR-RELAYED-ADDRESS"},
    {DUET_STUN_REQUESTED_ADDRESS_FAMILY, DUET_STUN_FORMAT_U8_PADDED, "REQUESTED-ADDRESS-FAMILY"},
    {DUET_STUN_EVEN_PORT, DUET_STUN_FORMAT_U8, "EVEN-PORT"},
    {DUET_STUN_REQUESTED_TRANSPORT, DUET_STUN_FORMAT_U8_PADDED, "REQUESTED-TRANSPORT"},
    {DUET_STUN_DONT_FRAGMENT, DUET_STUN_FORMAT_FLAG, "DONT-FRAGMENT"},
    {0x001B, DUET_STUN_FORMAT_BYTES, "ACCESS-TOKEN"},
    {DUET_STUN_MESSAGE_INTEGRITY_SHA256, DUET_STUN_FORMAT_BYTES, "MESSAGE-INTEGRITY-SHA256"},
    {DUET_STUN_PASSWORD_ALGORITHM, DUET_STUN_FORMAT_ALGORITHMS, "PASSWORD-ALGORITHM"},
    {DUET_STUN_USERHASH, DUET_STUN_FORMAT_BYTES, "USERHASH"},
    {DUET_STUN_XOR_MAPPED_ADDRESS, DUET_STUN_FORMAT_XOR_ADDRESS, "XOR-MAPPED-ADDRESS"},
    {DUET_STUN_RESERVATION_TOKEN, DUET_STUN_FORMAT_U64, "RESERVATION-TOKEN"},
    {DUET_STUN_PRIORITY, DUET_STUN_FORMAT_U32, "PRIORITY"},
    {DUET_STUN_USE_CANDIDATE, DUET_STUN_FORMAT_FLAG, "USE-CANDIDATE"},
    {DUET_STUN_PADDING, DUET_STUN_FORMAT_BYTES, "PADDING"},
    {DUET_STUN_RESPONSE_PORT, DUET_STUN_FORMAT_U16_PADDED, "RESPONSE-PORT"},
    {DUET_STUN_CONNECTION_ID, DUET_STUN_FORMAT_U32, "CONNECTION-ID"},
    {DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, DUET_STUN_FORMAT_U8_PADDED, "ADDITIONAL-ADDRESS-FAMILY"},
    {DUET_STUN_ADDRESS_ERROR_CODE, DUET_STUN_FORMAT_ERROR, "ADDRESS-ERROR-CODE"},
    {DUET_STUN_PASSWORD_ALGORITHMS, DUET_STUN_FORMAT_ALGORITHMS, "PASSWORD-ALGORITHMS"},
    {DUET_STUN_ALTERNATE_DOMAIN, DUET_STUN_FORMAT_TEXT, "ALTERNATE-DOMAIN"},
    {DUET_STUN_ICMP, DUET_STUN_FORMAT_ICMP, "ICMP"},
    {DUET_STUN_SOFTWARE, DUET_STUN_FORMAT_TEXT, "SOFTWARE"},
    {DUET_STUN_ALTERNATE_SERVER, DUET_STUN_FORMAT_ADDRESS, "ALTERNATE-SERVER"},
    {0x8025, DUET_STUN_FORMAT_BYTES, "TRANSACTION_TRANSMIT_COUNTER"},
    {0x8027, DUET_STUN_FORMAT_U32, "CACHE-TIMEOUT"},
    {DUET_STUN_FINGERPRINT, DUET_STUN_FORMAT_U32, "FINGERPRINT"},
    {DUET_STUN_ICE_CONTROLLED, DUET_STUN_FORMAT_U64, "ICE-CONTROLLED"},
    {DUET_STUN_ICE_CONTROLLING, DUET_STUN_FORMAT_U64, "ICE-CONTROLLING"},
    {DUET_STUN_RESPONSE_ORIGIN, DUET_STUN_FORMAT_ADDRESS, "RESPONSE-ORIGIN"},
    {DUET_STUN_OTHER_ADDRESS, DUET_STUN_FORMAT_ADDRESS, "OTHER-ADDRESS"},
    {0x802D, DUET_STUN_FORMAT_BYTES, "ECN-CHECK"},
    {0x802E, DUET_STUN_FORMAT_BYTES, "THIRD-PARTY-AUTHORIZATION"},
    {0x8030, DUET_STUN_FORMAT_BYTES, "MOBILITY-TICKET"},
    {0xC001, DUET_STUN_FORMAT_U32, "NOMINATION"},
    {DUET_STUN_GOOG_NETWORK_INFO, DUET_STUN_FORMAT_BYTES, "GOOG-NETWORK-INFO"},
    {0xC070, DUET_STUN_FORMAT_BYTES, "META-DTLS-IN-STUN"},
    {0xC071, DUET_STUN_FORMAT_BYTES, "META-DTLS-IN-STUN-ACKNOWLEDGEMENT"},
};

static const attribute_row *attribute_find(uint16_t type)
{
    size_t low = 0, high = COUNT(attributes);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (attributes[middle].type == type)
            return &attributes[middle];
        if (attributes[middle].type < type)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *duet_stun_attribute_name(uint16_t type)
{
    const attribute_row *row = attribute_find(type);

    return row ? row->name : NULL;
}

duet_stun_format duet_stun_attribute_format(uint16_t type)
{
    const attribute_row *row = attribute_find(type);

    return row ? row->format : DUET_STUN_FORMAT_BYTES;
}

const char *duet_stun_error_name(unsigned code)
{
    static const struct {
        unsigned code;
        const char *name;
    } errors[] = {
        {300, "Try Alternate"},
        {400, "Bad Request"},
        {401, "Unauthenticated"},
        {403, "Forbidden"},
        {405, "Mobility Forbidden"},
        {420, "Unknown Attribute"},
        {437, "Allocation Mismatch"},
        {438, "Stale Nonce"},
        {440, "Address Family not Supported"},
        {441, "Wrong Credentials"},
        {442, "Unsupported Transport Protocol"},
        {443, "Peer Address Family Mismatch"},
        {446, "Connection Already Exists"},
        {447, "Connection Timeout or Failure"},
        {486, "Allocation Quota Reached"},
        {487, "Role Conflict"},
        {500, "Server Error"},
        {508, "Insufficient Capacity"},
    };

    for (size_t i = 0; i < COUNT(errors); i++) {
        if (errors[i].code == code)
            return errors[i].name;
    }
    return NULL;
}
