/* DNS messages as multicast DNS sends them. RFC 1035 section 4, RFC 6762 section 18.
 *
 * Names are shown whole; how they were written, with pointers to what came before, is kept in "wire". */
#include "ice/dns_message.h"
#include "inspect_layout.h"
#include <string.h>

static const char *type_name(uint64_t type)
{
    switch (type) {
    case DUET_DNS_A:
        return "A";
    case DUET_DNS_PTR:
        return "PTR";
    case DUET_DNS_TXT:
        return "TXT";
    case DUET_DNS_AAAA:
        return "AAAA";
    case DUET_DNS_SRV:
        return "SRV";
    case DUET_DNS_NSEC:
        return "NSEC";
    case DUET_DNS_ANY:
        return "ANY";
    default:
        return NULL;
    }
}

static void set_wire(json_t *item, const duet_dns_message *m, size_t from, size_t to)
{
    duet_reader r = duet_reader_init(m->reader.data, m->reader.len);

    duet_read_skip(&r, from);
    duet_bytes bytes = duet_read_bytes(&r, to - from);
    inspect_set(item, "wire", inspect_hex(bytes.data, bytes.len));
}

static void set_class(json_t *item, uint16_t class_and_bit, const char *bit_name)
{
    inspect_set(item, "class", json_integer(class_and_bit & DUET_DNS_CLASS_MASK));
    inspect_set(item, bit_name, json_boolean(class_and_bit & DUET_DNS_TOP_BIT));
}

static json_t *question_model(const duet_dns_message *m, const duet_dns_question *q, size_t start)
{
    json_t *item = json_object();

    inspect_set(item, "name", json_string(q->name));
    inspect_set(item, "type", inspect_code(q->type, 2, type_name(q->type)));
    set_class(item, q->class_and_bit, "unicastResponse");
    set_wire(item, m, start, m->reader.pos - 4);
    return item;
}

static json_t *record_model(const duet_dns_message *m, const duet_dns_record *r, size_t start)
{
    json_t *item = json_object();
    duet_address address;
    char text[DUET_DNS_NAME_MAX + 1];

    inspect_set(item, "name", json_string(r->name));
    inspect_set(item, "type", inspect_code(r->type, 2, type_name(r->type)));
    set_class(item, r->class_and_bit, "cacheFlush");
    inspect_set(item, "ttl", json_integer(r->ttl));
    if (duet_dns_record_address(r, &address))
        inspect_set(item, "address", json_string(duet_address_ip_text(&address, text, sizeof(text))));
    if (r->type == DUET_DNS_PTR && duet_dns_name_at(m, r->data_at, text) == DUET_OK)
        inspect_set(item, "target", json_string(text));
    inspect_set(item, "data", inspect_hex(r->data.data, r->data.len));
    set_wire(item, m, start, r->data_at - 10);
    return item;
}

/* @return DUET_OK, or where it went wrong */
static int decode_sections(duet_dns_message *m, json_t *out, inspect_cursor *c)
{
    static const char *const names[] = {"answers", "authorities", "additionals"};
    const uint16_t counts[] = {m->answers, m->authorities, m->additionals};
    json_t *questions = json_array();
    int more;

    inspect_set(out, "questions", questions);
    for (;;) {
        duet_dns_question q;
        size_t start = m->reader.pos;
        if ((more = duet_dns_next_question(m, &q)) != 1)
            break;
        json_array_append_new(questions, question_model(m, &q, start));
    }
    if (more < 0)
        return inspect_fail(c, m->reader.pos, "the question is cut off or its name is not one");
    for (size_t s = 0; s < 3; s++) {
        json_t *list = json_array();
        inspect_set(out, names[s], list);
        for (uint16_t i = 0; i < counts[s]; i++) {
            duet_dns_record r;
            size_t start = m->reader.pos;
            if (duet_dns_next_record(m, &r) != 1)
                return inspect_fail(c, start, "the record is cut off or its name is not one");
            json_array_append_new(list, record_model(m, &r, start));
        }
    }
    return DUET_OK;
}

int inspect_mdns(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    duet_dns_message m;

    c.what = "DNS message";
    c.section = "RFC 1035, 4.1";
    if (duet_dns_parse(&m, data, len) != DUET_OK)
        return inspect_fail(&c, len, "the header has %d bytes, the message %zu", DUET_DNS_HEADER_LEN, len);
    inspect_set(out, "message", json_string(m.flags & DUET_DNS_FLAG_ANSWER ? "response" : "query"));
    inspect_set(out, "id", json_integer(m.id));
    inspect_set(out, "flags", inspect_code(m.flags, 2, NULL));
    int err = decode_sections(&m, out, &c);
    if (err == DUET_OK && duet_reader_left(&m.reader) > 0)
        err = inspect_fail(&c, m.reader.pos, "%zu bytes follow the last record", duet_reader_left(&m.reader));
    return err;
}

/* ---- back to bytes -------------------------------------------------------------------------------------------------------- */

static int put_item(const json_t *item, duet_buffer *out, const char *bit_name)
{
    uint64_t type = 0, class = 0, ttl = 0;
    const json_t *data = json_object_get(item, "data");

    int err = inspect_put_hex(json_object_get(item, "wire"), out);
    if (err == DUET_OK)
        err = inspect_get_number(item, "type", &type);
    if (err == DUET_OK)
        err = inspect_get_number(item, "class", &class);
    if (err != DUET_OK)
        return err;
    inspect_put_number(out, type, 2);
    inspect_put_number(out, class | (json_is_true(json_object_get(item, bit_name)) ? DUET_DNS_TOP_BIT : 0), 2);
    if (!data)
        return DUET_OK;
    err = inspect_get_number(item, "ttl", &ttl);
    inspect_put_number(out, ttl, 4);
    size_t length = out->len;
    inspect_put_number(out, 0, 2);
    if (err == DUET_OK)
        err = inspect_put_hex(data, out);
    inspect_put_number_at(out, length, out->len - length - 2, 2);
    return err;
}

int inspect_mdns_encode(const json_t *in, duet_buffer *out)
{
    static const char *const sections[] = {"questions", "answers", "authorities", "additionals"};
    uint64_t id = 0, flags = 0;
    const json_t *item;
    size_t i;

    int err = inspect_get_number(in, "id", &id);
    if (err == DUET_OK)
        err = inspect_get_number(in, "flags", &flags);
    inspect_put_number(out, id, 2);
    inspect_put_number(out, flags, 2);
    for (size_t s = 0; s < 4; s++)
        inspect_put_number(out, json_array_size(json_object_get(in, sections[s])), 2);
    for (size_t s = 0; s < 4 && err == DUET_OK; s++) {
        json_array_foreach(json_object_get(in, sections[s]), i, item)
        {
            if (err == DUET_OK)
                err = put_item(item, out, s == 0 ? "unicastResponse" : "cacheFlush");
        }
    }
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
