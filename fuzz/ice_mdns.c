/* Multicast DNS messages: read whole, and by an object that looks for a name and has published another. */
#include "ice/dns_message.h"
#include "ice/mdns.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_result(void *user, uint32_t query, int err, const duet_address *addresses, size_t count)
{
    (void)user, (void)query, (void)addresses;
    if (err == DUET_OK && (count == 0 || count > DUET_MDNS_ADDRESSES_MAX))
        abort();
}

static void read_all(const uint8_t *data, size_t size)
{
    duet_dns_message m;
    duet_dns_question question;
    duet_dns_record record;
    duet_address address;
    char name[DUET_DNS_NAME_MAX + 1];

    if (duet_dns_parse(&m, data, size) != DUET_OK)
        return;
    while (duet_dns_next_question(&m, &question) == 1) {
        if (strlen(question.name) > DUET_DNS_NAME_MAX)
            abort();
    }
    while (duet_dns_next_record(&m, &record) == 1) {
        duet_dns_record_address(&record, &address);
        if (record.type == DUET_DNS_PTR && duet_dns_name_at(&m, record.data_at, name) == DUET_OK &&
            strlen(name) > DUET_DNS_NAME_MAX)
            abort();
    }
}

static void open_all(duet_mdns *m)
{
    const duet_endpoint_ops *ops = duet_mdns_endpoint_ops();
    duet_interface interface = {.name = "lan", .index = 2};
    duet_request r;

    duet_address_parse(&interface.address, "10.0.0.1", 0);
    while (ops->request(m, &r) == 1) {
        duet_answer a = {.kind = r.kind, .id = r.id, .local = r.bind, .interfaces = &interface, .interface_count = 1};
        ops->answer(m, &a, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const duet_endpoint_ops *ops = duet_mdns_endpoint_ops();
    duet_mdns_config config;
    duet_mdns *m;
    uint32_t id;
    duet_address own;

    if (size > 9000)
        return 0;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    read_all(copy, size);
    duet_mdns_config_init(&config);
    config.on_result = on_result;
    if (duet_mdns_create(&m, &config) != DUET_OK)
        abort();
    duet_address_parse(&own, "10.0.0.1", 0);
    duet_mdns_resolve(m, "a.local", &id);
    duet_mdns_publish(m, "b.local", &own, &id);
    open_all(m);
    ops->tick(m, 0);
    for (uint32_t socket = 0; socket < 8; socket++) {
        duet_datagram in = {.path = {.socket = socket, .local = own}, .data = copy, .len = size};
        duet_address_parse_port(&in.path.remote, socket % 2 ? "10.0.0.9:5353" : "10.0.0.9:4000");
        ops->input(m, &in, 1000);
    }
    for (duet_datagram out; ops->output(m, &out, 1000) == 1;) {
        if (out.len > 600)
            abort();
    }
    duet_mdns_destroy(m);
    free(copy);
    return 0;
}
