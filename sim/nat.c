/* NATs by the terms of RFC 4787 (UDP) and RFC 5382 (TCP): how they map, how they filter, hairpinning, ports and time-outs;
 * and what firewalls add, that whole protocols or ports do not get through. */
#include "sim/internal.h"
#include <string.h>

#define UDP_TIMEOUT DUET_SECONDS(120)
#define TCP_TIMEOUT DUET_SECONDS(7440)
#define FIRST_PORT  1024

/* Something inside is known outside by a port of the NAT. */
typedef struct nat_mapping {
    struct nat_mapping *next;
    bool is_stream;
    duet_address inside;
    duet_address peer; /* as far as the rule of mapping looks at it */
    uint16_t port;     /* outside */
    duet_time expires;
    duet_array contacts; /* of duet_address: whom packets were sent to, for the filter */
} nat_mapping;

struct duet_sim_nat {
    duet_sim_nat *next;
    duet_sim *sim;
    duet_sim_nat_config config;
    sim_interface *outside[2]; /* IPv4, IPv6 */
    nat_mapping *mappings;
    uint16_t next_port;
};

void duet_sim_nat_config_init(duet_sim_nat_config *config)
{
    *config = (duet_sim_nat_config){.size = sizeof(*config)};
}

static int add_outside(duet_sim_nat *nat, size_t which, const char *address, duet_sim_nat *outer,
                       const duet_sim_nat_config *config)
{
    if (!address)
        return DUET_OK;
    int err = sim_interface_add(&nat->outside[which], nat->sim, outer, address, config->up, config->down);
    if (err == DUET_OK)
        nat->outside[which]->nat = nat;
    return err;
}

static void free_outside(duet_sim_nat *nat)
{
    for (size_t i = 0; i < 2; i++) {
        if (!nat->outside[i])
            continue;
        sim_table_remove(&nat->sim->interfaces, &nat->outside[i]->entry);
        duet_free(&nat->sim->env, nat->outside[i]);
    }
}

int duet_sim_nat_create(duet_sim_nat **out, duet_sim *sim, duet_sim_nat *outer, const duet_sim_nat_config *config)
{
    duet_sim_nat *nat = duet_calloc(&sim->env, sizeof(*nat));

    *out = NULL;
    if (!nat)
        return DUET_ERR_NOMEM;
    nat->sim = sim;
    memcpy(&nat->config, config, config->size < sizeof(*config) ? config->size : sizeof(*config));
    if (!nat->config.timeout)
        nat->config.timeout = UDP_TIMEOUT;
    if (!nat->config.tcp_timeout)
        nat->config.tcp_timeout = TCP_TIMEOUT;
    nat->next_port = (uint16_t)(FIRST_PORT + sim_random(sim) % 32768);
    int err = add_outside(nat, 0, config->address, outer, config);
    if (err == DUET_OK)
        err = add_outside(nat, 1, config->address6, outer, config);
    if (err != DUET_OK) {
        free_outside(nat);
        duet_free(&sim->env, nat);
        return err;
    }
    nat->next = sim->nats;
    sim->nats = nat;
    *out = nat;
    return DUET_OK;
}

static void free_mapping(duet_sim_nat *nat, nat_mapping *m)
{
    duet_array_free(&m->contacts);
    duet_free(&nat->sim->env, m);
}

void duet_sim_nat_reset(duet_sim_nat *nat)
{
    while (nat->mappings) {
        nat_mapping *m = nat->mappings;
        nat->mappings = m->next;
        free_mapping(nat, m);
    }
}

size_t duet_sim_nat_mappings(const duet_sim_nat *nat)
{
    size_t count = 0;

    for (const nat_mapping *m = nat->mappings; m; m = m->next)
        count += m->expires > nat->sim->now;
    return count;
}

void sim_nats_free(duet_sim *sim)
{
    while (sim->nats) {
        duet_sim_nat *nat = sim->nats;
        sim->nats = nat->next;
        duet_sim_nat_reset(nat);
        free_outside(nat);
        duet_free(&sim->env, nat);
    }
}

/* ---- rules ---- */

static bool rule_matches(duet_sim_nat_rule rule, const duet_address *a, const duet_address *b)
{
    if (rule == DUET_SIM_ENDPOINT_INDEPENDENT)
        return true;
    return rule == DUET_SIM_ADDRESS_DEPENDENT ? duet_address_ip_equal(a, b) : duet_address_equal(a, b);
}

static void forget_expired(duet_sim_nat *nat)
{
    nat_mapping **link = &nat->mappings;

    while (*link) {
        nat_mapping *m = *link;
        if (m->expires <= nat->sim->now) {
            *link = m->next;
            free_mapping(nat, m);
        } else {
            link = &m->next;
        }
    }
}

static nat_mapping *mapping_by_port(const duet_sim_nat *nat, bool is_stream, uint8_t family, uint16_t port)
{
    nat_mapping *m = nat->mappings;

    while (m && !(m->is_stream == is_stream && m->inside.family == family && m->port == port))
        m = m->next;
    return m;
}

static nat_mapping *mapping_of(const duet_sim_nat *nat, const sim_packet *p)
{
    nat_mapping *m = nat->mappings;

    while (m && !(m->is_stream == p->is_stream && duet_address_equal(&m->inside, &p->from) &&
                  rule_matches(nat->config.mapping, &m->peer, &p->to)))
        m = m->next;
    return m;
}

/* 0 when all are taken. */
static uint16_t pick_port(duet_sim_nat *nat, const sim_packet *p)
{
    uint8_t family = p->from.family;

    if (nat->config.port_preservation && !mapping_by_port(nat, p->is_stream, family, p->from.port))
        return p->from.port;
    for (uint32_t tries = 0; tries < UINT16_MAX; tries++) {
        uint16_t port = nat->next_port++;
        if (nat->next_port < FIRST_PORT)
            nat->next_port = FIRST_PORT;
        if (port >= FIRST_PORT && !mapping_by_port(nat, p->is_stream, family, port))
            return port;
    }
    return 0;
}

static nat_mapping *new_mapping(duet_sim_nat *nat, const sim_packet *p)
{
    uint16_t port = pick_port(nat, p);
    nat_mapping *m = port ? duet_calloc(&nat->sim->env, sizeof(*m)) : NULL;

    if (!m)
        return NULL;
    m->is_stream = p->is_stream;
    m->inside = p->from;
    m->peer = p->to;
    m->port = port;
    duet_array_init(&m->contacts, &nat->sim->env, sizeof(duet_address));
    m->next = nat->mappings;
    nat->mappings = m;
    return m;
}

static bool may_come_in(const duet_sim_nat *nat, const nat_mapping *m, const duet_address *from)
{
    const duet_address *contacts = m->contacts.items;

    for (size_t i = 0; i < m->contacts.count; i++) {
        if (rule_matches(nat->config.filtering, &contacts[i], from))
            return true;
    }
    return false;
}

static void note_contact(nat_mapping *m, const duet_address *to)
{
    const duet_address *contacts = m->contacts.items;

    for (size_t i = 0; i < m->contacts.count; i++) {
        if (duet_address_equal(&contacts[i], to))
            return;
    }
    duet_address *contact = duet_array_push(&m->contacts);
    if (contact)
        *contact = *to;
}

static bool is_blocked(const duet_sim_nat *nat, const sim_packet *p)
{
    const uint16_t *ports = nat->config.tcp_ports;

    if (!p->is_stream)
        return nat->config.block_udp;
    if (!ports[0] && !ports[1] && !ports[2] && !ports[3])
        return false;
    for (size_t i = 0; i < 4; i++) {
        if (ports[i] && ports[i] == p->to.port)
            return false;
    }
    return true;
}

/* ---- packets ---- */

static void drop(duet_sim *sim, sim_packet *p)
{
    sim->stats.filtered++;
    sim_lose(sim, p);
}

void sim_nat_outbound(duet_sim *sim, duet_sim_nat *nat, sim_packet *p)
{
    sim_interface *outside = nat->outside[p->to.family == DUET_AF_INET6];

    forget_expired(nat);
    if (!outside || p->from.family != p->to.family || is_blocked(nat, p)) {
        drop(sim, p);
        return;
    }
    bool is_hairpin = duet_address_ip_equal(&p->to, &outside->address);
    if (is_hairpin && !nat->config.hairpinning) {
        drop(sim, p);
        return;
    }
    nat_mapping *m = mapping_of(nat, p);
    m = m ? m : new_mapping(nat, p);
    if (!m) {
        drop(sim, p);
        return;
    }
    m->expires = sim->now + (p->is_stream ? nat->config.tcp_timeout : nat->config.timeout);
    note_contact(m, &p->to);
    p->from = outside->address;
    p->from.port = m->port;
    if (is_hairpin)
        sim_nat_inbound(sim, nat, p);
    else if (!outside->is_up)
        drop(sim, p);
    else
        sim_enter_up(sim, p, outside);
}

void sim_nat_inbound(duet_sim *sim, duet_sim_nat *nat, sim_packet *p)
{
    forget_expired(nat);
    nat_mapping *m = mapping_by_port(nat, p->is_stream, p->to.family, p->to.port);
    if (!m || !may_come_in(nat, m, &p->from) || (nat->config.block_udp && !p->is_stream)) {
        drop(sim, p);
        return;
    }
    p->to = m->inside;
    sim_route(sim, p, nat);
}
