/* Where packets go: within a site (the core, or what is behind one NAT) straight to the interface that has the address, from
 * there outwards through the NAT, and to multicast groups wherever somebody in the site has joined. */
#include "sim/internal.h"
#include <string.h>

#define HOPS_MAX 32 /* NATs behind NATs that send to each other */

static void unreachable(duet_sim *sim, sim_packet *p)
{
    sim->stats.unreachable++;
    sim_lose(sim, p);
}

/* ---- groups ---- */

static bool hears_group(const sim_socket *s, const sim_packet *p, const duet_sim_nat *site)
{
    return s->interface->site == site && s->interface->is_up && s->port == p->to.port &&
           duet_address_ip_equal(&s->group, &p->to);
}

/* Once to each interface, however many sockets on it have joined. */
static bool is_first_on_interface(const duet_sim *sim, const sim_socket *s, const sim_packet *p)
{
    for (const sim_socket *other = sim->joined; other != s; other = other->next_joined) {
        if (other->interface == s->interface && hears_group(other, p, s->interface->site))
            return false;
    }
    return true;
}

static void route_to_group(duet_sim *sim, sim_packet *p, const duet_sim_nat *site)
{
    for (const sim_socket *s = sim->joined; s; s = s->next_joined) {
        if (!hears_group(s, p, site) || !is_first_on_interface(sim, s, p))
            continue;
        sim_packet *copy = sim_packet_new(sim, &p->from, &p->to, p->data, p->len);
        if (!copy)
            continue;
        copy->dscp = p->dscp;
        copy->ecn = p->ecn;
        sim_enter_down(sim, copy, s->interface);
    }
    duet_free(&sim->env, p);
}

/* ---- delivery ---- */

static void deliver_to(duet_sim *sim, sim_socket *s, const sim_packet *p, uint8_t *data)
{
    duet_datagram in = {.path = {.socket = s->id, .local = s->interface->address, .remote = p->from},
                        .data = data,
                        .len = p->len,
                        .ecn = p->ecn,
                        .dscp = p->dscp,
                        .time = sim->now};

    in.path.local.port = s->port;
    sim->stats.delivered++;
    sim->stats.bytes_delivered += p->len;
    if (s->receive) {
        s->receive(s->user, sim, &in.path, data, p->len);
        return;
    }
    sim_endpoint *ep = s->endpoint;
    ep->ops->input(ep->object, &in, sim->now);
    sim_mark_dirty(ep);
}

/* The sockets are looked for anew after each: an input may close any of them. */
static void deliver_to_group(duet_sim *sim, sim_packet *p)
{
    for (size_t n = 0;; n++) {
        size_t i = 0;
        sim_socket *s = sim->joined;
        while (s && (s->interface != p->at || !hears_group(s, p, p->at->site) || i++ < n))
            s = s->next_joined;
        uint8_t *copy = s ? duet_memdup(&sim->env, p->data, p->len) : NULL; /* inputs are decrypted in place */
        if (!copy)
            break;
        deliver_to(sim, s, p, copy);
        duet_free(&sim->env, copy);
    }
    duet_free(&sim->env, p);
}

static void deliver(duet_sim *sim, sim_packet *p)
{
    if (p->is_stream) {
        sim_stream_receive(sim, p->at, p);
        return;
    }
    if (duet_address_is_multicast(&p->to)) {
        deliver_to_group(sim, p);
        return;
    }
    sim_socket *s = sim_find_socket(p->at, p->to.port, &p->from);
    if (s)
        deliver_to(sim, s, p, p->data);
    else
        sim->stats.unreachable++;
    duet_free(&sim->env, p);
}

/* ---- the way ---- */

void sim_route(duet_sim *sim, sim_packet *p, duet_sim_nat *site)
{
    if (duet_address_is_multicast(&p->to) && !p->is_stream) {
        route_to_group(sim, p, site);
        return;
    }
    sim_interface *to = sim_find_interface(sim, site, &p->to);
    if (++p->hops > HOPS_MAX || (to && !to->is_up))
        unreachable(sim, p);
    else if (to)
        sim_enter_down(sim, p, to);
    else if (site)
        sim_nat_outbound(sim, site, p);
    else
        unreachable(sim, p);
}

void sim_arrive(duet_sim *sim, sim_alarm *alarm)
{
    sim_packet *p = (sim_packet *)alarm;

    if (p->is_upwards)
        sim_route(sim, p, p->at ? p->at->site : NULL);
    else if (!p->at->is_up)
        unreachable(sim, p);
    else if (p->at->nat)
        sim_nat_inbound(sim, p->at->nat, p);
    else
        deliver(sim, p);
}
