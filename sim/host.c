/* Hosts: their interfaces, the sockets on them, and the endpoints that the simulator drives as a real driver would. */
#include "duet/peer.h"
#include "sim/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIRST_PORT       49152
#define NAMES_MAX        16
#define ROUNDS_PER_SERVE 1000 /* an endpoint that is never quiet would stop virtual time */

int duet_sim_host_create(duet_sim_host **out, duet_sim *sim, const char *name)
{
    duet_sim_host *host = duet_calloc(&sim->env, sizeof(*host));

    *out = host;
    if (!host)
        return DUET_ERR_NOMEM;
    host->sim = sim;
    host->index = ++sim->host_count;
    host->next_port = FIRST_PORT;
    snprintf(host->name, sizeof(host->name), "%s", name);
    host->next = sim->hosts;
    sim->hosts = host;
    return DUET_OK;
}

static sim_interface *interface_by_text(duet_sim_host *host, const char *address)
{
    duet_address a;

    if (duet_address_parse(&a, address, 0) != DUET_OK)
        return NULL;
    for (sim_interface *i = host->interfaces; i; i = i->next) {
        if (duet_address_ip_equal(&i->address, &a))
            return i;
    }
    return NULL;
}

static void set_link(sim_interface *i, const duet_sim_link *up, const duet_sim_link *down)
{
    i->up.link = up ? *up : (duet_sim_link){0};
    i->down.link = down ? *down : (duet_sim_link){0};
}

int duet_sim_host_add_address(duet_sim_host *host, const char *address, const duet_sim_link *up,
                              const duet_sim_link *down)
{
    duet_address a;

    int err = duet_address_parse(&a, address, 0);
    if (err != DUET_OK)
        return err;
    if (sim_find_interface(host->sim, &a))
        return DUET_ERR_STATE;
    sim_interface *i = duet_calloc(&host->sim->env, sizeof(*i));
    if (!i)
        return DUET_ERR_NOMEM;
    i->host = host;
    i->address = a;
    i->is_up = true;
    set_link(i, up, down);
    sim_interface **link = &host->interfaces; /* in the order in which they were added */
    while (*link)
        link = &(*link)->next;
    *link = i;
    return DUET_OK;
}

int duet_sim_host_set_link(duet_sim_host *host, const char *address, const duet_sim_link *up, const duet_sim_link *down)
{
    sim_interface *i = interface_by_text(host, address);

    if (!i)
        return DUET_ERR_NOT_FOUND;
    set_link(i, up, down);
    return DUET_OK;
}

int duet_sim_host_set_interface(duet_sim_host *host, const char *address, bool is_up)
{
    sim_interface *i = interface_by_text(host, address);

    if (!i)
        return DUET_ERR_NOT_FOUND;
    i->is_up = is_up;
    return DUET_OK;
}

sim_interface *sim_find_interface(duet_sim *sim, const duet_address *address)
{
    for (duet_sim_host *host = sim->hosts; host; host = host->next) {
        for (sim_interface *i = host->interfaces; i; i = i->next) {
            if (duet_address_ip_equal(&i->address, address))
                return i;
        }
    }
    return NULL;
}

sim_socket *sim_find_socket(duet_sim *sim, const duet_address *address)
{
    for (sim_socket *s = sim->sockets; s; s = s->next) {
        if (s->port == address->port && duet_address_ip_equal(&s->interface->address, address))
            return s;
    }
    return NULL;
}

/* ---- sockets ---- */

static bool port_is_free(duet_sim *sim, const sim_interface *interface, uint16_t port)
{
    duet_address at = interface->address;

    at.port = port;
    return sim_find_socket(sim, &at) == NULL;
}

static uint16_t pick_port(sim_interface *interface, const duet_request *request)
{
    duet_sim_host *host = interface->host;
    duet_sim *sim = host->sim;

    if (request && request->bind.port)
        return port_is_free(sim, interface, request->bind.port) ? request->bind.port : 0;
    uint32_t first = request && request->port_min ? request->port_min : FIRST_PORT;
    uint32_t last = request && request->port_min ? request->port_max : UINT16_MAX;
    uint32_t start = request && request->port_min ? first : host->next_port;
    for (uint32_t n = 0; n <= last - first; n++) {
        uint32_t port = first + (start - first + n) % (last - first + 1);
        if (port_is_free(sim, interface, (uint16_t)port)) {
            host->next_port = (uint16_t)(port == UINT16_MAX ? FIRST_PORT : port + 1);
            return (uint16_t)port;
        }
    }
    return 0;
}

static sim_socket *add_socket(sim_interface *interface, uint16_t port)
{
    duet_sim *sim = interface->host->sim;
    sim_socket *s = duet_calloc(&sim->env, sizeof(*s));

    if (!s)
        return NULL;
    s->interface = interface;
    s->port = port;
    s->next = sim->sockets;
    sim->sockets = s;
    return s;
}

static void close_sockets(duet_sim *sim, const sim_endpoint *ep, bool all, uint32_t id)
{
    sim_socket **link = &sim->sockets;

    while (*link) {
        sim_socket *s = *link;
        if (s->endpoint == ep && (all || s->id == id)) {
            *link = s->next;
            duet_free(&sim->env, s);
        } else {
            link = &s->next;
        }
    }
}

int duet_sim_listen(duet_sim_host *host, const char *address, uint16_t port, duet_sim_receive_fn fn, void *user)
{
    sim_interface *interface = interface_by_text(host, address);

    if (!interface)
        return DUET_ERR_NOT_FOUND;
    if (!port_is_free(host->sim, interface, port))
        return DUET_ERR_STATE;
    sim_socket *s = add_socket(interface, port);
    if (!s)
        return DUET_ERR_NOMEM;
    s->receive = fn;
    s->user = user;
    return DUET_OK;
}

int duet_sim_send(duet_sim *sim, const duet_address *from, const duet_address *to, const void *data, size_t len)
{
    uint8_t *copy = duet_memdup(&sim->env, data, len);
    duet_datagram dg = {.path = {.local = *from, .remote = *to}, .data = copy, .len = len};

    if (!copy)
        return DUET_ERR_NOMEM;
    int err = sim_transmit(sim, from, &dg);
    duet_free(&sim->env, copy);
    return err;
}

/* ---- requests ---- */

static void answer_interfaces(sim_endpoint *ep, duet_answer *answer)
{
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
    answer->interfaces = list.items;
    answer->interface_count = list.count;
    ep->ops->answer(ep->object, answer, ep->sim->now);
    duet_array_free(&list);
}

static void answer_open(sim_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    sim_interface *interface = sim_find_interface(ep->sim, &request->bind);
    uint16_t port = interface && interface->host == ep->host ? pick_port(interface, request) : 0;

    if (request->protocol != DUET_UDP)
        answer->err = DUET_ERR_UNSUPPORTED;
    else if (!port)
        answer->err = DUET_ERR_IO;
    else {
        sim_socket *s = add_socket(interface, port);
        answer->err = s ? DUET_OK : DUET_ERR_NOMEM;
        if (s) {
            s->endpoint = ep;
            s->id = request->id;
            answer->local = interface->address;
            answer->local.port = port;
        }
    }
    ep->ops->answer(ep->object, answer, ep->sim->now);
}

static void answer_resolve(sim_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_address found[NAMES_MAX];

    answer->addresses = found;
    for (const sim_name *n = ep->sim->names; n && answer->address_count < NAMES_MAX; n = n->next) {
        if (strcmp(n->name, request->name) == 0)
            found[answer->address_count++] = n->address;
    }
    answer->err = answer->address_count ? DUET_OK : DUET_ERR_NOT_FOUND;
    ep->ops->answer(ep->object, answer, ep->sim->now);
}

static void handle_request(sim_endpoint *ep, const duet_request *request)
{
    duet_answer answer = {.kind = request->kind, .id = request->id};

    switch (request->kind) {
    case DUET_REQUEST_INTERFACES:
        answer_interfaces(ep, &answer);
        break;
    case DUET_REQUEST_OPEN:
        answer_open(ep, request, &answer);
        break;
    case DUET_REQUEST_RESOLVE:
        answer_resolve(ep, request, &answer);
        break;
    case DUET_REQUEST_CLOSE:
        close_sockets(ep->sim, ep, false, request->id);
        break;
    default:
        answer.err = DUET_ERR_UNSUPPORTED;
        ep->ops->answer(ep->object, &answer, ep->sim->now);
        break;
    }
}

/* ---- driving ---- */

static void flush(sim_endpoint *ep)
{
    duet_datagram out;

    while (!ep->dead && ep->ops->output(ep->object, &out, ep->sim->now) == 1) {
        if (sim_transmit(ep->sim, &out.path.local, &out) == DUET_ERR_IO) {
            duet_path path = out.path;
            ep->ops->path_error(ep->object, &path, ENETUNREACH, ep->sim->now);
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
    ep->ops->set_wake(object, NULL, NULL);
    close_sockets(sim, ep, true, 0);
    duet_timers_cancel(&sim->timers, &ep->alarm.timer);
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
