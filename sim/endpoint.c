/* The endpoints that the simulator drives as a real driver would: their requests, their outputs, their time. */
#include "duet/peer.h"
#include "sim/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX        16
#define ROUNDS_PER_SERVE 1000         /* an endpoint that is never quiet would stop virtual time */
#define SETTLE           DUET_MS(100) /* until changes of the interfaces are told, as duet/net.h does */

/* ---- plain listeners and forged datagrams ---- */

int duet_sim_listen(duet_sim_host *host, const char *address, uint16_t port, duet_sim_receive_fn fn, void *user)
{
    duet_sim *sim = host->sim;
    duet_address a;

    int err = duet_address_parse(&a, address, port);
    if (err != DUET_OK)
        return err;
    sim_interface *interface = sim_host_interface(host, &a);
    if (!interface)
        return DUET_ERR_NOT_FOUND;
    if (sim_find_socket(interface, port, &a))
        return DUET_ERR_STATE;
    sim_socket *s = duet_calloc(&sim->env, sizeof(*s));
    if (!s)
        return DUET_ERR_NOMEM;
    s->port = port;
    s->receive = fn;
    s->user = user;
    err = sim_socket_add(s, interface, NULL);
    if (err != DUET_OK) {
        duet_free(&sim->env, s);
        return err;
    }
    s->next = sim->plain;
    sim->plain = s;
    return DUET_OK;
}

int duet_sim_send(duet_sim *sim, const duet_address *from, const duet_address *to, const void *data, size_t len)
{
    sim_interface *i = sim_find_interface(sim, NULL, from);

    if (i && !i->is_up)
        return DUET_ERR_IO;
    sim_packet *p = sim_packet_new(sim, from, to, data, len);
    if (!p)
        return DUET_ERR_NOMEM;
    sim_packet_send(sim, p, i);
    return DUET_OK;
}

/* ---- requests ---- */

void sim_answer(sim_endpoint *ep, const duet_answer *answer)
{
    if (ep->dead)
        return;
    ep->ops->answer(ep->object, answer, ep->sim->now);
    sim_mark_dirty(ep);
}

static void answer_interfaces(sim_endpoint *ep, uint32_t id)
{
    duet_answer answer = {.kind = DUET_REQUEST_INTERFACES, .id = id};
    duet_array list;

    duet_array_init(&list, &ep->sim->env, sizeof(duet_interface));
    uint32_t index = 0;
    for (const sim_interface *i = ep->host->interfaces; i; i = i->next) {
        index++;
        duet_interface *item = i->is_up ? duet_array_push(&list) : NULL;
        if (!item)
            continue;
        snprintf(item->name, sizeof(item->name), "sim%u", (unsigned)index);
        item->index = index;
        item->address = i->address;
        item->is_loopback = duet_address_is_loopback(&i->address);
    }
    answer.interfaces = list.items;
    answer.interface_count = list.count;
    sim_answer(ep, &answer);
    duet_array_free(&list);
}

typedef struct sim_news {
    sim_alarm alarm; /* first */
    duet_sim_host *host;
} sim_news;

/* The list is searched anew after each answer, which may detach anybody. */
static void tell_watchers(duet_sim *sim, sim_alarm *alarm)
{
    duet_sim_host *host = ((sim_news *)alarm)->host;

    duet_free(&sim->env, alarm);
    host->news_is_due = false;
    for (sim_endpoint *ep = sim->endpoints; ep; ep = ep->next)
        ep->is_to_be_told = ep->host == host && ep->watches;
    for (sim_endpoint *ep = sim->endpoints; ep;) {
        if (!ep->is_to_be_told) {
            ep = ep->next;
            continue;
        }
        ep->is_to_be_told = false;
        answer_interfaces(ep, ep->watch_id);
        ep = sim->endpoints;
    }
}

void sim_interfaces_changed(duet_sim_host *host)
{
    duet_sim *sim = host->sim;
    sim_news *news = host->news_is_due ? NULL : duet_calloc(&sim->env, sizeof(*news));

    if (!news)
        return;
    host->news_is_due = true;
    *news = (sim_news){{.fire = tell_watchers}, host};
    duet_timers_set(&sim->timers, &news->alarm.timer, sim->now + SETTLE);
}

static int open_socket(sim_endpoint *ep, const duet_request *request, sim_kind kind, duet_answer *answer)
{
    sim_interface *interface = sim_host_interface(ep->host, &request->bind);
    uint16_t port = interface ? sim_pick_port(interface, kind, request) : 0;

    if (!port)
        return DUET_ERR_IO;
    sim_socket *s = duet_calloc(&ep->sim->env, sizeof(*s));
    if (!s)
        return DUET_ERR_NOMEM;
    s->kind = kind;
    s->protocol = request->protocol;
    s->port = port;
    s->shares_port = request->share_port;
    s->group = request->group;
    int err = sim_socket_add(s, interface, NULL);
    if (err == DUET_OK) {
        err = sim_endpoint_take(ep, s, request->id);
        if (err != DUET_OK)
            sim_socket_remove(s);
    }
    if (err != DUET_OK) {
        duet_free(&ep->sim->env, s);
        return err;
    }
    answer->local = interface->address;
    answer->local.port = port;
    return DUET_OK;
}

/* Names that are published reach as far as multicast does: hosts with an interface in the same site. */
static bool hears_name(const duet_sim_host *host, const sim_name *n)
{
    if (!n->publisher)
        return true;
    for (const sim_interface *i = host->interfaces; i; i = i->next) {
        for (const sim_interface *j = n->publisher->host->interfaces; j; j = j->next) {
            if (i->site == j->site && i->is_up && j->is_up)
                return true;
        }
    }
    return false;
}

static void answer_resolve(sim_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_address found[NAMES_MAX];

    answer->addresses = found;
    for (const sim_name *n = ep->sim->names; n && answer->address_count < NAMES_MAX; n = n->next) {
        if (strcmp(n->name, request->name) == 0 && hears_name(ep->host, n))
            found[answer->address_count++] = n->address;
    }
    answer->err = answer->address_count ? DUET_OK : DUET_ERR_NOT_FOUND;
    sim_answer(ep, answer);
}

static void close_by_id(sim_endpoint *ep, uint32_t id)
{
    sim_socket *s = duet_map_get(&ep->by_id, id);

    if (s)
        sim_socket_close(s);
    else
        sim_names_withdraw(ep->sim, ep, false, id);
}

static void handle_request(sim_endpoint *ep, const duet_request *request)
{
    duet_answer answer = {.kind = request->kind, .id = request->id};

    switch (request->kind) {
    case DUET_REQUEST_INTERFACES:
        if (request->watch) {
            ep->watches = true;
            ep->watch_id = request->id;
        }
        answer_interfaces(ep, request->id);
        return;
    case DUET_REQUEST_OPEN:
        answer.err = request->protocol == DUET_UDP ? open_socket(ep, request, SIM_UDP, &answer)
                                                   : sim_stream_connect(ep, request, &answer);
        if (request->protocol != DUET_UDP && answer.err == DUET_OK)
            return; /* the answer comes later */
        break;
    case DUET_REQUEST_LISTEN:
        answer.err = open_socket(ep, request, SIM_LISTENER, &answer);
        break;
    case DUET_REQUEST_RESOLVE:
        answer_resolve(ep, request, &answer);
        return;
    case DUET_REQUEST_PUBLISH:
        answer.err = sim_name_add(ep->sim, request->name, &request->bind, ep, request->id);
        break;
    case DUET_REQUEST_CLOSE:
        close_by_id(ep, request->id);
        return;
    case DUET_ANSWER_ACCEPTED:
        return;
    }
    sim_answer(ep, &answer);
}

/* ---- driving ---- */

/* @return 0 or an errno for the object */
static int send_from(sim_socket *s, const duet_datagram *out)
{
    duet_sim *sim = s->endpoint->sim;
    duet_address from = s->interface->address;

    if (s->kind == SIM_STREAM)
        return sim_stream_send(s, out->data, out->len);
    if (s->kind != SIM_UDP)
        return 0;
    if (!s->interface->is_up)
        return ENETUNREACH;
    from.port = s->port;
    sim_packet *p = sim_packet_new(sim, &from, &out->path.remote, out->data, out->len);
    if (!p)
        return 0; /* lost, as datagrams may be */
    p->dscp = out->dscp;
    p->ecn = out->ecn;
    sim_packet_send(sim, p, s->interface);
    return 0;
}

static void flush(sim_endpoint *ep)
{
    duet_datagram out;

    while (!ep->dead && ep->ops->output(ep->object, &out, ep->sim->now) == 1) {
        sim_socket *s = duet_map_get(&ep->by_id, out.path.socket);
        int error = s ? send_from(s, &out) : 0;
        if (error) {
            duet_path path = out.path;
            ep->ops->path_error(ep->object, &path, error, ep->sim->now);
        }
    }
}

void sim_serve(sim_endpoint *ep)
{
    duet_sim *sim = ep->sim;
    duet_request request;

    for (int round = 0; round < ROUNDS_PER_SERVE && !ep->dead; round++) {
        sim->stats.serves++;
        ep->ops->tick(ep->object, sim->now);
        bool asked = false;
        while (!ep->dead && ep->ops->request(ep->object, &request) == 1) {
            asked = true;
            handle_request(ep, &request);
        }
        flush(ep);
        if (ep->dead)
            return;
        duet_time deadline = ep->ops->deadline(ep->object);
        if (deadline > sim->now && !asked) {
            duet_timers_set(&sim->timers, &ep->alarm.timer, deadline);
            return;
        }
    }
    if (!ep->dead) /* a deadline that does not move on: let time pass, so that a test ends and shows it */
        duet_timers_set(&sim->timers, &ep->alarm.timer, sim->now + 1);
}

static void endpoint_due(duet_sim *sim, sim_alarm *alarm)
{
    (void)sim;
    sim_mark_dirty((sim_endpoint *)alarm);
}

static void endpoint_wake(void *user)
{
    sim_mark_dirty(user);
}

int duet_sim_attach(duet_sim_host *host, const duet_endpoint_ops *ops, void *object)
{
    duet_sim *sim = host->sim;
    sim_endpoint *ep = duet_calloc(&sim->env, sizeof(*ep));

    if (!ep)
        return DUET_ERR_NOMEM;
    ep->by_id = (duet_map){.env = &sim->env};
    ep->next_accepted = DUET_SOCKET_ACCEPTED;
    ep->alarm.fire = endpoint_due;
    ep->sim = sim;
    ep->host = host;
    ep->ops = ops;
    ep->object = object;
    ep->next = sim->endpoints;
    sim->endpoints = ep;
    ops->set_wake(object, endpoint_wake, ep);
    sim_mark_dirty(ep);
    return DUET_OK;
}

void duet_sim_detach(duet_sim *sim, void *object)
{
    sim_endpoint **link = &sim->endpoints;

    while (*link && (*link)->object != object)
        link = &(*link)->next;
    sim_endpoint *ep = *link;
    if (!ep)
        return;
    ep->ops->tick(object, sim->now);
    flush(ep);
    if (ep->dead)
        return;
    ep->ops->set_wake(object, NULL, NULL);
    while (ep->sockets)
        sim_socket_close(ep->sockets);
    duet_map_free(&ep->by_id);
    sim_names_withdraw(sim, ep, true, 0);
    duet_timers_cancel(&sim->timers, &ep->alarm.timer);
    for (link = &sim->endpoints; *link != ep; link = &(*link)->next)
        continue;
    *link = ep->next;
    ep->dead = true;
    if (!ep->dirty) {
        ep->next = sim->graves;
        sim->graves = ep;
    }
}

int duet_sim_add(duet_sim_host *host, duet_pc *pc)
{
    return duet_sim_attach(host, duet_pc_endpoint_ops(), pc);
}

void duet_sim_remove(duet_sim *sim, duet_pc *pc)
{
    duet_sim_detach(sim, pc);
}
