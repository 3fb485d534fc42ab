/* Parses arbitrary bytes as STUN, reads every value in every way, and writes the message again: the result must be the
 * same bytes. */
#include "duet/stun.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_value(const duet_stun_message *m, const duet_stun_attribute *a)
{
    duet_address address;
    duet_stun_error error;
    duet_stun_icmp icmp;
    duet_stun_algorithm_value algorithms[4];
    uint16_t types[8], u16;
    size_t type_count = 8, algorithm_count = 4;
    uint32_t u32;
    uint64_t u64;
    uint8_t u8;

    (void)duet_stun_attribute_name(a->type);
    (void)duet_stun_attribute_format(a->type);
    (void)duet_stun_value_u8(a, &u8);
    (void)duet_stun_value_u16(a, &u16);
    (void)duet_stun_value_u32(a, &u32);
    (void)duet_stun_value_u64(a, &u64);
    (void)duet_stun_value_address(m, a, &address);
    if (duet_stun_value_error(a, &error) == DUET_OK)
        require(error.code >= 300 && error.code < 700 && error.reason_len <= a->len);
    (void)duet_stun_value_types(a, types, &type_count);
    (void)duet_stun_value_algorithms(a, algorithms, &algorithm_count);
    (void)duet_stun_value_icmp(a, &icmp);
    if (a->type == DUET_STUN_NONCE)
        (void)duet_stun_nonce_features(a->value, a->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[DUET_STUN_MESSAGE_MAX];
    duet_stun_message m;
    duet_stun_attribute a = {0};
    uint16_t unknown[4];
    size_t len, count = 0;

    if (duet_stun_parse(&m, data, size) != DUET_OK)
        return 0;
    (void)duet_stun_class_name(m.message_class);
    (void)duet_stun_method_name(m.method);
    while (duet_stun_next(&m, &a)) {
        read_value(&m, &a);
        count++;
    }
    require(count == m.attribute_count);
    (void)duet_stun_unknown_required(&m, NULL, 0, unknown, 4);
    (void)duet_stun_verify_fingerprint(&m);
    (void)duet_stun_verify_integrity(&m, "key", 3);
    (void)duet_stun_verify_integrity_sha256(&m, "key", 3);
    require(duet_stun_rewrite(&m, again, sizeof(again), &len) == DUET_OK);
    require(len == size && memcmp(again, data, size) == 0);
    return 0;
}
