/* Multicast DNS: one question at a time, and answers for names of our own.
 *
 * RFC 6762 sections 5.1 (one-shot queries), 6 (responding), 6.7 (legacy unicast), 7.1 (known answers), 10 (cache-flush and
 * goodbye), 11 (source check). Queries leave from port 5353 and ask for multicast answers: the port is shared with other
 * processes of the host, and a unicast answer would reach only one of them. */
#include "ice/mdns.h"
#include "base/crypto.h"
#include "base/events.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "ice/dns_message.h"
#include <string.h>
#include <strings.h>

#define PORT        5353
#define SOCKETS_MAX 16
#define MESSAGE_MAX 600 /* the longest name twice, and the rest */
#define OUTBOX_MAX  256
#define QUERIES_EACH                                                                                                   \
    4 /* at 0, 1, 3 and 7 s: "the interval between the first two queries MUST be at least one second" */
#define FIRST_WAIT DUET_SECONDS(1)
#define TTL        120             /* "host names ... SHOULD use a TTL value of 120 seconds" section 10 */
#define TTL_LEGACY 10              /* "SHOULD NOT be greater than ten seconds" section 6.7 */
#define HUSH       DUET_SECONDS(1) /* between two multicasts of one record on one interface, section 6 */

typedef enum socket_state {
    SOCKET_WANTED = 0,
    SOCKET_OPENING,
    SOCKET_OPEN,
    SOCKET_CLOSING, /* a CLOSE is to be pulled */
} socket_state;

typedef struct mdns_socket {
    uint32_t id;
    socket_state state;
    duet_address interface; /* its address, with scope and port 5353 */
    duet_address local;
} mdns_socket;

typedef struct query {
    uint32_t id;
    char name[DUET_DNS_NAME_MAX + 1];
    unsigned sent;
    duet_time next; /* when to ask again, or to give up */
    duet_address found[DUET_MDNS_ADDRESSES_MAX];
    size_t found_count;
} query;

typedef struct published {
    uint32_t id;
    char name[DUET_DNS_NAME_MAX + 1];
    duet_address address;
    duet_time quiet_until[SOCKETS_MAX]; /* by place of the socket */
    bool asked, known;                  /* by the message that is being read */
} published;

typedef struct result {
    uint32_t query;
    int err;
    size_t count;
    duet_address addresses[DUET_MDNS_ADDRESSES_MAX];
} result;

struct duet_mdns {
    duet_env env;
    duet_events events;
    duet_mdns_config config;
    duet_outbox outbox;
    mdns_socket sockets[SOCKETS_MAX];
    size_t socket_count;
    duet_array queries, names; /* of query, of published */
    uint32_t next_id;
    bool active; /* interfaces are watched, sockets open */
    bool interfaces_wanted;
    bool no_interface; /* the list came and there is nothing to ask on */
    uint32_t interfaces_id;
    duet_time idle_at; /* when the sockets close, DUET_NEVER while they are needed */
    void (*wake)(void *user);
    void *wake_user;
    bool woken;
    duet_mdns_stats stats;
};

static const uint8_t group_v4[4] = {224, 0, 0, 251};
static const uint8_t group_v6[16] = {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFB};

void duet_mdns_config_init(duet_mdns_config *config)
{
    *config = (duet_mdns_config){.size = sizeof(*config)};
}

static void mdns_free(void *object)
{
    duet_mdns *m = object;
    duet_env env = m->env;

    duet_array_free(&m->queries);
    duet_array_free(&m->names);
    duet_outbox_free(&m->outbox);
    duet_events_free(&m->events);
    duet_free(&env, m);
}

int duet_mdns_create(duet_mdns **out, const duet_mdns_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_mdns *m = duet_calloc(&env, sizeof(*m));

    *out = m;
    if (!m)
        return DUET_ERR_NOMEM;
    m->env = env;
    memcpy(&m->config, config, config->size < sizeof(m->config) ? config->size : sizeof(m->config));
    duet_events_init(&m->events, &m->env, m, mdns_free);
    duet_outbox_init(&m->outbox, &m->env, MESSAGE_MAX, OUTBOX_MAX);
    duet_array_init(&m->queries, &m->env, sizeof(query));
    duet_array_init(&m->names, &m->env, sizeof(published));
    m->idle_at = DUET_NEVER;
    return DUET_OK;
}

void duet_mdns_destroy(duet_mdns *m)
{
    if (m)
        duet_events_destroy(&m->events);
}

void duet_mdns_get_stats(const duet_mdns *m, duet_mdns_stats *out)
{
    *out = m->stats;
}

static void wake(duet_mdns *m)
{
    if (m->woken || !m->wake)
        return;
    m->woken = true;
    m->wake(m->wake_user);
}

static query *query_at(const duet_mdns *m, size_t i)
{
    return duet_array_at(&m->queries, i);
}

static published *name_at(const duet_mdns *m, size_t i)
{
    return duet_array_at(&m->names, i);
}

/* ---- results --------------------------------------------------------------------------------------------------------- */

static void deliver_result(void *object, void *payload)
{
    duet_mdns *m = object;
    const result *r = payload;

    m->config.on_result(m->config.user, r->query, r->err, r->addresses, r->count);
}

static void finish_query(duet_mdns *m, size_t index, int err)
{
    const query *q = query_at(m, index);
    result r = {q->id, err, q->found_count, {{0}}};

    memcpy(r.addresses, q->found, sizeof(r.addresses));
    duet_log(&m->env, DUET_LOG_DEBUG, "mdns", "a name was %s", err ? "not found" : "found");
    duet_array_remove(&m->queries, index);
    if (m->config.on_result)
        (void)duet_events_push(&m->events, deliver_result, NULL, &r, sizeof(r));
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

static duet_address group_of(const mdns_socket *s)
{
    duet_address group = {.family = s->interface.family, .port = PORT, .scope = s->interface.scope};

    if (group.family == DUET_AF_INET)
        memcpy(group.ip, group_v4, sizeof(group_v4));
    else
        memcpy(group.ip, group_v6, sizeof(group_v6));
    return group;
}

static void send_message(duet_mdns *m, const mdns_socket *s, const duet_address *to, const duet_writer *w)
{
    duet_datagram meta = {.path = {.socket = s->id, .protocol = DUET_UDP, .local = s->local, .remote = *to}};

    if (!w->failed)
        duet_outbox_push(&m->outbox, w->data, w->len, &meta);
}

static void send_query(duet_mdns *m, const char *name)
{
    uint8_t buffer[MESSAGE_MAX];
    duet_writer w = duet_writer_init(buffer, sizeof(buffer));

    duet_dns_write_header(&w, 0, 0, 2, 0);
    duet_dns_write_question(&w, name, DUET_DNS_A, DUET_DNS_IN);
    duet_dns_write_question(&w, name, DUET_DNS_AAAA, DUET_DNS_IN);
    for (size_t i = 0; i < m->socket_count; i++) {
        if (m->sockets[i].state != SOCKET_OPEN)
            continue;
        duet_address group = group_of(&m->sockets[i]);
        send_message(m, &m->sockets[i], &group, &w);
        m->stats.queries_sent++;
    }
}

static void send_multicast_answer(duet_mdns *m, const published *p, const mdns_socket *s, uint32_t ttl)
{
    uint8_t buffer[MESSAGE_MAX];
    duet_writer w = duet_writer_init(buffer, sizeof(buffer));
    duet_address group = group_of(s);

    duet_dns_write_header(&w, 0, DUET_DNS_FLAG_ANSWER | DUET_DNS_FLAG_AUTHORITATIVE, 0, 1);
    duet_dns_write_address(&w, p->name, DUET_DNS_IN | DUET_DNS_TOP_BIT, ttl, &p->address);
    send_message(m, s, &group, &w);
    m->stats.answers_sent++;
}

/* "the Multicast DNS response MUST be a conventional unicast response ... repeat the query ID and the question" section 6.7 */
static void send_legacy_answer(duet_mdns *m, const published *p, const mdns_socket *s, const duet_address *to,
                               uint16_t id)
{
    uint8_t buffer[MESSAGE_MAX];
    duet_writer w = duet_writer_init(buffer, sizeof(buffer));
    bool is_v4 = p->address.family == DUET_AF_INET;

    duet_dns_write_header(&w, id, DUET_DNS_FLAG_ANSWER | DUET_DNS_FLAG_AUTHORITATIVE, 1, 1);
    duet_dns_write_question(&w, p->name, is_v4 ? DUET_DNS_A : DUET_DNS_AAAA, DUET_DNS_IN);
    duet_dns_write_address(&w, p->name, DUET_DNS_IN, TTL_LEGACY, &p->address);
    send_message(m, s, to, &w);
    m->stats.answers_sent++;
}

/* ---- asking and publishing ------------------------------------------------------------------------------------------- */

bool duet_mdns_is_local_name(const char *name)
{
    size_t len = strlen(name);

    len -= len > 0 && name[len - 1] == '.';
    return len > 6 && len <= DUET_DNS_NAME_MAX && strncasecmp(name + len - 6, ".local", 6) == 0;
}

/* Whether the name can be written into a message at all. */
static bool is_writable(const char *name)
{
    uint8_t buffer[MESSAGE_MAX];
    duet_writer w = duet_writer_init(buffer, DUET_DNS_NAME_MAX + 5);

    duet_dns_write_question(&w, name, DUET_DNS_A, DUET_DNS_IN);
    return !w.failed;
}

static void activate(duet_mdns *m)
{
    m->idle_at = DUET_NEVER;
    if (!m->active) {
        m->active = true;
        m->interfaces_wanted = true;
        m->interfaces_id = ++m->next_id;
    }
    wake(m);
}

static void copy_name(char out[DUET_DNS_NAME_MAX + 1], const char *name)
{
    size_t len = strlen(name);

    len -= len > 0 && name[len - 1] == '.';
    memcpy(out, name, len);
    out[len] = '\0';
}

int duet_mdns_resolve(duet_mdns *m, const char *name, uint32_t *id)
{
    if (!duet_mdns_is_local_name(name) || !is_writable(name))
        return DUET_ERR_INVALID;
    if (m->queries.count >= DUET_MDNS_QUERIES_MAX)
        return DUET_ERR_LIMIT;
    query *q = duet_array_push(&m->queries);
    if (!q)
        return DUET_ERR_NOMEM;
    q->id = *id = ++m->next_id;
    copy_name(q->name, name);
    activate(m);
    return DUET_OK;
}

void duet_mdns_cancel(duet_mdns *m, uint32_t id)
{
    for (size_t i = 0; i < m->queries.count; i++) {
        if (query_at(m, i)->id == id) {
            duet_array_remove(&m->queries, i);
            return;
        }
    }
}

int duet_mdns_publish(duet_mdns *m, const char *name, const duet_address *address, uint32_t *id)
{
    if (!duet_mdns_is_local_name(name) || !is_writable(name) || address->family == DUET_AF_NONE)
        return DUET_ERR_INVALID;
    if (m->names.count >= DUET_MDNS_NAMES_MAX)
        return DUET_ERR_LIMIT;
    published *p = duet_array_push(&m->names);
    if (!p)
        return DUET_ERR_NOMEM;
    p->id = *id = ++m->next_id;
    p->address = *address;
    copy_name(p->name, name);
    activate(m);
    return DUET_OK;
}

void duet_mdns_withdraw(duet_mdns *m, uint32_t id)
{
    for (size_t i = 0; i < m->names.count; i++) {
        const published *p = name_at(m, i);
        if (p->id != id)
            continue;
        for (size_t k = 0; k < m->socket_count; k++) {
            if (m->sockets[k].state == SOCKET_OPEN && p->quiet_until[k] > 0) /* somebody was told of it there */
                send_multicast_answer(m, p, &m->sockets[k], 0);
        }
        duet_array_remove(&m->names, i);
        wake(m);
        return;
    }
}

/* ---- messages from others ---------------------------------------------------------------------------------------------- */

/* "MUST ... only ... source address ... on the local link" section 11. The prefix lengths are not known here: addresses that
 * cannot come from far away, and our own, are believed. */
static bool is_from_nearby(const duet_mdns *m, const duet_address *from)
{
    if (duet_address_is_private(from) || duet_address_is_link_local(from) || duet_address_is_loopback(from))
        return true;
    for (size_t i = 0; i < m->socket_count; i++) {
        if (memcmp(m->sockets[i].interface.ip, from->ip, sizeof(from->ip)) == 0)
            return true;
    }
    return false;
}

static void note_address(query *q, const duet_address *address)
{
    for (size_t i = 0; i < q->found_count; i++) {
        if (duet_address_ip_equal(&q->found[i], address))
            return;
    }
    if (q->found_count < DUET_MDNS_ADDRESSES_MAX)
        q->found[q->found_count++] = *address;
}

static void read_answer(duet_mdns *m, duet_dns_message *message, const mdns_socket *s)
{
    duet_dns_question question;
    duet_dns_record record;
    duet_address address;

    while (duet_dns_next_question(message, &question) == 1)
        continue;
    while (duet_dns_next_record(message, &record) == 1) {
        if (record.ttl == 0 || !duet_dns_record_address(&record, &address))
            continue;
        if (duet_address_is_link_local(&address) && address.family == DUET_AF_INET6)
            address.scope = s->interface.scope;
        for (size_t i = 0; i < m->queries.count; i++) {
            if (duet_dns_same_name(query_at(m, i)->name, record.name))
                note_address(query_at(m, i), &address);
        }
    }
    for (size_t i = m->queries.count; i-- > 0;) {
        if (query_at(m, i)->found_count > 0) {
            m->stats.answers_received++;
            finish_query(m, i, DUET_OK);
        }
    }
}

static bool asks_for(const duet_dns_question *question, const published *p)
{
    uint16_t type = p->address.family == DUET_AF_INET ? DUET_DNS_A : DUET_DNS_AAAA;
    uint16_t class = question->class_and_bit & DUET_DNS_CLASS_MASK;

    return (question->type == type || question->type == DUET_DNS_ANY) &&
           (class == DUET_DNS_IN || class == DUET_DNS_ANY) && duet_dns_same_name(question->name, p->name);
}

/* "MUST NOT answer if ... the answer it would give is already included in the Answer Section with an RR TTL at least half
 * the correct value" section 7.1 */
static void read_known_answers(duet_mdns *m, duet_dns_message *message)
{
    duet_dns_record record;
    duet_address address;

    while (duet_dns_next_record(message, &record) == 1) {
        if (record.ttl < TTL / 2 || !duet_dns_record_address(&record, &address))
            continue;
        for (size_t i = 0; i < m->names.count; i++) {
            published *p = name_at(m, i);
            if (memcmp(p->address.ip, address.ip, sizeof(address.ip)) == 0 && duet_dns_same_name(p->name, record.name))
                p->known = true;
        }
    }
}

static void answer(duet_mdns *m, published *p, size_t place, const duet_datagram *in, uint16_t id, duet_time now)
{
    const mdns_socket *s = &m->sockets[place];

    if (in->path.remote.port != PORT) {
        send_legacy_answer(m, p, s, &in->path.remote, id);
        return;
    }
    if (p->known || now < p->quiet_until[place])
        return;
    p->quiet_until[place] = now + HUSH;
    send_multicast_answer(m, p, s, TTL);
}

static void read_query(duet_mdns *m, duet_dns_message *message, size_t place, const duet_datagram *in, duet_time now)
{
    duet_dns_question question;

    for (size_t i = 0; i < m->names.count; i++)
        name_at(m, i)->asked = name_at(m, i)->known = false;
    while (duet_dns_next_question(message, &question) == 1) {
        for (size_t i = 0; i < m->names.count; i++) {
            if (asks_for(&question, name_at(m, i)))
                name_at(m, i)->asked = true;
        }
    }
    read_known_answers(m, message);
    for (size_t i = 0; i < m->names.count; i++) {
        if (name_at(m, i)->asked)
            answer(m, name_at(m, i), place, in, message->id, now);
    }
}

static int ops_input(void *object, duet_datagram *in, duet_time now)
{
    duet_mdns *m = object;
    duet_dns_message message;
    size_t place = 0;

    while (place < m->socket_count && m->sockets[place].id != in->path.socket)
        place++;
    if (place == m->socket_count)
        return DUET_ERR_NOT_MINE;
    duet_events_enter(&m->events);
    duet_outbox_reclaim(&m->outbox);
    bool is_answer = duet_dns_parse(&message, in->data, in->len) == DUET_OK && message.flags & DUET_DNS_FLAG_ANSWER;
    if (message.reader.failed || !is_from_nearby(m, &in->path.remote))
        m->stats.discarded++;
    else if (!is_answer)
        read_query(m, &message, place, in, now);
    else if (in->path.remote.port == PORT) /* section 6: answers from elsewhere MUST be ignored */
        read_answer(m, &message, &m->sockets[place]);
    else
        m->stats.discarded++;
    duet_events_leave(&m->events);
    return DUET_OK;
}

/* ---- interfaces and sockets ---------------------------------------------------------------------------------------------- */

static bool is_listed(const duet_answer *list, const mdns_socket *s)
{
    for (size_t i = 0; i < list->interface_count; i++) {
        if (duet_address_ip_equal(&list->interfaces[i].address, &s->interface))
            return true;
    }
    return false;
}

static bool has_socket(const duet_mdns *m, const duet_interface *interface)
{
    for (size_t i = 0; i < m->socket_count; i++) {
        const mdns_socket *s = &m->sockets[i];
        if (s->interface.family == interface->address.family && s->interface.scope == interface->index)
            return true;
    }
    return false;
}

/* One socket for each interface and family. */
static void take_interfaces(duet_mdns *m, const duet_answer *list)
{
    for (size_t i = 0; i < m->socket_count; i++) {
        if (!is_listed(list, &m->sockets[i]))
            m->sockets[i].state = SOCKET_CLOSING;
    }
    for (size_t i = 0; i < list->interface_count && m->socket_count < SOCKETS_MAX; i++) {
        const duet_interface *interface = &list->interfaces[i];
        if ((interface->is_loopback && !m->config.loopback) || interface->is_deprecated || has_socket(m, interface))
            continue;
        mdns_socket *s = &m->sockets[m->socket_count++];
        *s = (mdns_socket){.id = ++m->next_id, .interface = interface->address};
        s->interface.port = PORT;
        s->interface.scope = interface->index;
    }
    m->no_interface = m->socket_count == 0;
}

static void opened(duet_mdns *m, const duet_answer *a)
{
    for (size_t i = 0; i < m->socket_count; i++) {
        mdns_socket *s = &m->sockets[i];
        if (s->id != a->id)
            continue;
        if (a->err) {
            duet_log(&m->env, DUET_LOG_WARN, "mdns", "port 5353 cannot be opened on an interface: %s",
                     a->reason ? a->reason : duet_strerror(a->err));
            m->sockets[i] = m->sockets[--m->socket_count];
            m->no_interface = m->socket_count == 0;
            return;
        }
        s->state = SOCKET_OPEN;
        s->local = a->local;
        for (size_t k = 0; k < m->queries.count; k++) { /* ask here too */
            query_at(m, k)->sent = 0;
            query_at(m, k)->next = 0;
        }
    }
}

static int ops_answer(void *object, const duet_answer *a, duet_time now)
{
    duet_mdns *m = object;

    (void)now;
    duet_events_enter(&m->events);
    duet_outbox_reclaim(&m->outbox);
    if (a->kind == DUET_REQUEST_INTERFACES && a->id == m->interfaces_id && m->active)
        take_interfaces(m, a);
    else if (a->kind == DUET_REQUEST_OPEN)
        opened(m, a);
    duet_events_leave(&m->events);
    return DUET_OK;
}

static int ops_request(void *object, duet_request *out)
{
    duet_mdns *m = object;

    if (m->interfaces_wanted) {
        m->interfaces_wanted = false;
        *out = (duet_request){.kind = DUET_REQUEST_INTERFACES, .id = m->interfaces_id, .watch = true};
        return 1;
    }
    for (size_t i = 0; i < m->socket_count; i++) {
        mdns_socket *s = &m->sockets[i];
        if (s->state == SOCKET_WANTED) {
            s->state = SOCKET_OPENING;
            *out = (duet_request){
                .kind = DUET_REQUEST_OPEN, .id = s->id, .bind = s->interface, .share_port = true, .group = group_of(s)};
            return 1;
        }
        if (s->state == SOCKET_CLOSING) {
            *out = (duet_request){.kind = DUET_REQUEST_CLOSE, .id = s->id};
            m->sockets[i] = m->sockets[--m->socket_count];
            return 1;
        }
    }
    return 0;
}

/* ---- time -------------------------------------------------------------------------------------------------------------------- */

static bool has_open_socket(const duet_mdns *m)
{
    for (size_t i = 0; i < m->socket_count; i++) {
        if (m->sockets[i].state == SOCKET_OPEN)
            return true;
    }
    return false;
}

static void ask(duet_mdns *m, duet_time now)
{
    for (size_t i = m->queries.count; i-- > 0;) {
        query *q = query_at(m, i);
        if (m->no_interface) {
            finish_query(m, i, DUET_ERR_IO);
        } else if (now >= q->next && q->sent == QUERIES_EACH) {
            finish_query(m, i, DUET_ERR_TIMEOUT);
        } else if (now >= q->next && has_open_socket(m)) {
            send_query(m, q->name);
            q->next = now + (FIRST_WAIT << q->sent++);
        }
    }
}

static void rest(duet_mdns *m, duet_time now)
{
    if (!m->active || m->queries.count > 0 || m->names.count > 0)
        return;
    if (m->idle_at == DUET_NEVER) {
        m->idle_at = now + DUET_MDNS_LINGER;
    } else if (now >= m->idle_at) {
        m->active = m->no_interface = false;
        m->idle_at = DUET_NEVER;
        for (size_t i = 0; i < m->socket_count; i++)
            m->sockets[i].state = SOCKET_CLOSING;
    }
}

static void ops_tick(void *object, duet_time now)
{
    duet_mdns *m = object;

    m->woken = false;
    duet_events_enter(&m->events);
    duet_outbox_reclaim(&m->outbox);
    ask(m, now);
    rest(m, now);
    duet_events_leave(&m->events);
}

static duet_time ops_deadline(const void *object)
{
    const duet_mdns *m = object;
    duet_time deadline = m->idle_at;

    if (!has_open_socket(m) && !m->no_interface)
        return deadline;
    for (size_t i = 0; i < m->queries.count; i++) {
        if (query_at(m, i)->next < deadline)
            deadline = query_at(m, i)->next;
    }
    return deadline;
}

static int ops_output(void *object, duet_datagram *out, duet_time now)
{
    (void)now;
    return duet_outbox_pull(&((duet_mdns *)object)->outbox, out);
}

static void ops_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    (void)object, (void)path, (void)error, (void)now; /* the next interface list tells what is left */
}

static void ops_set_wake(void *object, void (*fn)(void *user), void *user)
{
    duet_mdns *m = object;

    m->wake = fn;
    m->wake_user = user;
}

const duet_endpoint_ops *duet_mdns_endpoint_ops(void)
{
    static const duet_endpoint_ops ops = {sizeof(ops),    ops_input, ops_output,   ops_request,  ops_answer,
                                          ops_path_error, ops_tick,  ops_deadline, ops_set_wake, NULL};

    return &ops;
}
