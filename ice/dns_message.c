/* DNS messages, RFC 1035 section 4.1, as far as RFC 6762 needs them. */
#include "ice/dns_message.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LABEL_MAX 63
#define POINTER   0xC0
#define IPV4_LEN  4
#define IPV6_LEN  16

int duet_dns_parse(duet_dns_message *m, const uint8_t *data, size_t len)
{
    m->reader = duet_reader_init(data, len);
    m->id = duet_read_u16(&m->reader);
    m->flags = duet_read_u16(&m->reader);
    m->questions = duet_read_u16(&m->reader);
    m->answers = duet_read_u16(&m->reader);
    m->authorities = duet_read_u16(&m->reader);
    m->additionals = duet_read_u16(&m->reader);
    return m->reader.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

/* Dots and what cannot be printed are written as \DDD (RFC 1035 section 5.1), so that two names never look alike. */
static bool append_label(duet_writer *out, duet_bytes label)
{
    if (out->len > 0)
        duet_write_u8(out, '.');
    for (size_t i = 0; i < label.len; i++) {
        uint8_t c = label.data[i];
        if (c > ' ' && c < 0x7F && c != '.' && c != '\\') {
            duet_write_u8(out, c);
        } else {
            char escaped[8];
            snprintf(escaped, sizeof(escaped), "\\%03u", (unsigned)c);
            duet_write_bytes(out, escaped, 4);
        }
    }
    return !out->failed;
}

/* "a domain name ... a sequence of labels ending with a pointer" RFC 1035 section 4.1.4. A pointer must lead to before the
 * place where this run of labels began, so that every name ends. */
static int read_name(duet_reader *r, char text[DUET_DNS_NAME_MAX + 1])
{
    duet_writer out = duet_writer_init((uint8_t *)text, DUET_DNS_NAME_MAX);
    duet_reader at = *r;
    size_t run_start = r->pos;
    bool jumped = false;

    for (;;) {
        uint8_t len = duet_read_u8(&at);
        if (len == 0 || at.failed)
            break;
        if ((len & POINTER) == POINTER) {
            size_t target = (size_t)(len & ~POINTER) << 8 | duet_read_u8(&at);
            if (!jumped)
                *r = at;
            jumped = true;
            if (at.failed || target >= run_start)
                return DUET_ERR_MALFORMED;
            at = duet_reader_init(r->data, r->len);
            duet_read_skip(&at, target);
            run_start = target;
            continue;
        }
        if (len > LABEL_MAX)
            return DUET_ERR_MALFORMED;
        duet_bytes label = duet_read_bytes(&at, len);
        if (at.failed || !append_label(&out, label))
            return DUET_ERR_MALFORMED;
    }
    if (at.failed)
        return DUET_ERR_MALFORMED;
    if (!jumped)
        *r = at;
    text[out.len] = '\0';
    return DUET_OK;
}

int duet_dns_name_at(const duet_dns_message *m, size_t offset, char out[DUET_DNS_NAME_MAX + 1])
{
    duet_reader r = duet_reader_init(m->reader.data, m->reader.len);

    duet_read_skip(&r, offset);
    return r.failed ? DUET_ERR_MALFORMED : read_name(&r, out);
}

bool duet_dns_same_name(const char *a, const char *b)
{
    size_t x = strlen(a), y = strlen(b);

    x -= x > 0 && a[x - 1] == '.';
    y -= y > 0 && b[y - 1] == '.';
    return x == y && strncasecmp(a, b, x) == 0;
}

/* ---- sections -------------------------------------------------------------------------------------------------------- */

int duet_dns_next_question(duet_dns_message *m, duet_dns_question *out)
{
    if (m->questions == 0)
        return 0;
    m->questions--;
    if (read_name(&m->reader, out->name) != DUET_OK)
        return DUET_ERR_MALFORMED;
    out->type = duet_read_u16(&m->reader);
    out->class_and_bit = duet_read_u16(&m->reader);
    return m->reader.failed ? DUET_ERR_MALFORMED : 1;
}

static bool take_one(duet_dns_message *m)
{
    uint16_t *const sections[] = {&m->answers, &m->authorities, &m->additionals};

    for (size_t i = 0; i < 3; i++) {
        if (*sections[i] > 0) {
            --*sections[i];
            return true;
        }
    }
    return false;
}

int duet_dns_next_record(duet_dns_message *m, duet_dns_record *out)
{
    if (!take_one(m))
        return 0;
    if (read_name(&m->reader, out->name) != DUET_OK)
        return DUET_ERR_MALFORMED;
    out->type = duet_read_u16(&m->reader);
    out->class_and_bit = duet_read_u16(&m->reader);
    out->ttl = duet_read_u32(&m->reader);
    uint16_t len = duet_read_u16(&m->reader);
    out->data_at = m->reader.pos;
    out->data = duet_read_bytes(&m->reader, len);
    return m->reader.failed ? DUET_ERR_MALFORMED : 1;
}

bool duet_dns_record_address(const duet_dns_record *r, duet_address *out)
{
    memset(out, 0, sizeof(*out));
    if ((r->class_and_bit & DUET_DNS_CLASS_MASK) != DUET_DNS_IN)
        return false;
    if (r->type == DUET_DNS_A && r->data.len == IPV4_LEN)
        out->family = DUET_AF_INET;
    else if (r->type == DUET_DNS_AAAA && r->data.len == IPV6_LEN)
        out->family = DUET_AF_INET6;
    else
        return false;
    memcpy(out->ip, r->data.data, r->data.len);
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

void duet_dns_write_header(duet_writer *w, uint16_t id, uint16_t flags, uint16_t questions, uint16_t answers)
{
    duet_write_u16(w, id);
    duet_write_u16(w, flags);
    duet_write_u16(w, questions);
    duet_write_u16(w, answers);
    duet_write_u32(w, 0); /* authorities and additionals */
}

static void write_name(duet_writer *w, const char *name)
{
    while (*name) {
        size_t len = strcspn(name, ".");
        if (len == 0 || len > LABEL_MAX)
            w->failed = true;
        duet_write_u8(w, (uint8_t)len);
        duet_write_bytes(w, name, len);
        name += len + (name[len] == '.');
    }
    duet_write_u8(w, 0);
}

void duet_dns_write_question(duet_writer *w, const char *name, uint16_t type, uint16_t class_and_bit)
{
    write_name(w, name);
    duet_write_u16(w, type);
    duet_write_u16(w, class_and_bit);
}

void duet_dns_write_address(duet_writer *w, const char *name, uint16_t class_and_bit, uint32_t ttl,
                            const duet_address *address)
{
    bool is_v4 = address->family == DUET_AF_INET;
    uint16_t len = is_v4 ? IPV4_LEN : IPV6_LEN;

    duet_dns_write_question(w, name, is_v4 ? DUET_DNS_A : DUET_DNS_AAAA, class_and_bit);
    duet_write_u32(w, ttl);
    duet_write_u16(w, len);
    duet_write_bytes(w, address->ip, len);
}
