/* DNS messages as multicast DNS uses them: questions, records, names with compression. RFC 1035 section 4, RFC 6762
 * section 18. Views borrow from the message. */
#ifndef DUET_ICE_DNS_MESSAGE_H
#define DUET_ICE_DNS_MESSAGE_H

#include "base/bytes.h"

#define DUET_DNS_NAME_MAX   255 /* of the text, without its NUL; longer ones are malformed */
#define DUET_DNS_HEADER_LEN 12

enum {
    DUET_DNS_A = 1,
    DUET_DNS_PTR = 12,
    DUET_DNS_TXT = 16,
    DUET_DNS_AAAA = 28,
    DUET_DNS_SRV = 33,
    DUET_DNS_NSEC = 47,
    DUET_DNS_ANY = 255,
};

#define DUET_DNS_IN                 1u
#define DUET_DNS_CLASS_MASK         0x7FFFu
#define DUET_DNS_TOP_BIT            0x8000u /* questions: unicast response wanted; records: cache-flush (RFC 6762, 5.4, 10.2) */
#define DUET_DNS_FLAG_ANSWER        0x8000u
#define DUET_DNS_FLAG_AUTHORITATIVE 0x0400u

typedef struct duet_dns_question {
    char name[DUET_DNS_NAME_MAX + 1]; /* "name.local" without the last dot; what is no printable text as \DDD */
    uint16_t type, class_and_bit;
} duet_dns_question;

typedef struct duet_dns_record {
    char name[DUET_DNS_NAME_MAX + 1];
    uint16_t type, class_and_bit;
    uint32_t ttl; /* seconds */
    duet_bytes data;
    size_t data_at; /* where in the message: names in the data may point back */
} duet_dns_record;

typedef struct duet_dns_message {
    duet_reader reader; /* of the whole message: compression points backwards */
    uint16_t id, flags;
    uint16_t questions, answers, authorities, additionals; /* that are still to be read */
} duet_dns_message;

/* @return DUET_OK or DUET_ERR_MALFORMED */
int duet_dns_parse(duet_dns_message *m, const uint8_t *data, size_t len);
/* The next question; read all of them before the records. @return 1, 0 after the last one, DUET_ERR_MALFORMED */
int duet_dns_next_question(duet_dns_message *m, duet_dns_question *out);
/* The next record of whichever section. @return 1, 0 after the last one, DUET_ERR_MALFORMED */
int duet_dns_next_record(duet_dns_message *m, duet_dns_record *out);
/* A name at an offset of the message, for the data of PTR and SRV. */
int duet_dns_name_at(const duet_dns_message *m, size_t offset, char out[DUET_DNS_NAME_MAX + 1]);
/* The address of an A or AAAA record in class IN. @return whether it is one */
bool duet_dns_record_address(const duet_dns_record *r, duet_address *out);
/* "names are case-insensitive" RFC 1035 section 2.3.3; a last dot does not count. */
bool duet_dns_same_name(const char *a, const char *b);

void duet_dns_write_header(duet_writer *w, uint16_t id, uint16_t flags, uint16_t questions, uint16_t answers);
/* Without compression. A label that is empty or longer than 63 bytes fails the writer. */
void duet_dns_write_question(duet_writer *w, const char *name, uint16_t type, uint16_t class_and_bit);
void duet_dns_write_address(duet_writer *w, const char *name, uint16_t class_and_bit, uint32_t ttl,
                            const duet_address *address);

#endif
