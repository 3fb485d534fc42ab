/* Hosts and their interfaces. */
#include "base/seeded.h"
#include "sim/internal.h"
#include <stdio.h>
#include <string.h>

#define FIRST_PORT 49152

int duet_sim_host_create(duet_sim_host **out, duet_sim *sim, const char *name)
{
    duet_sim_host *host = duet_calloc(&sim->env, sizeof(*host));

    *out = host;
    if (!host)
        return DUET_ERR_NOMEM;
    host->sim = sim;
    host->index = ++sim->host_count;
    snprintf(host->name, sizeof(host->name), "%s", name);
    host->next = sim->hosts;
    sim->hosts = host;
    return DUET_OK;
}

/* ---- the table ---- */

static uint64_t key_of(const duet_sim_nat *site, const duet_address *address)
{
    uint64_t halves[2];

    memcpy(halves, address->ip, sizeof(halves));
    return duet_mix64(halves[0] ^ (uint64_t)(uintptr_t)site) ^ duet_mix64(halves[1] + address->family);
}

sim_interface *sim_find_interface(duet_sim *sim, const duet_sim_nat *site, const duet_address *address)
{
    sim_interface *i = duet_map_get(&sim->interfaces, key_of(site, address));

    while (i && !(i->site == site && duet_address_ip_equal(&i->address, address)))
        i = (sim_interface *)i->entry.next_same;
    return i;
}

sim_interface *sim_host_interface(const duet_sim_host *host, const duet_address *address)
{
    sim_interface *i = host->interfaces;

    while (i && !duet_address_ip_equal(&i->address, address))
        i = i->next;
    return i;
}

static sim_interface *interface_by_text(const duet_sim_host *host, const char *address)
{
    duet_address a;

    return duet_address_parse(&a, address, 0) == DUET_OK ? sim_host_interface(host, &a) : NULL;
}

static void set_link(sim_interface *i, const duet_sim_link *up, const duet_sim_link *down)
{
    i->up.link = up ? *up : (duet_sim_link){0};
    i->down.link = down ? *down : (duet_sim_link){0};
}

int sim_interface_add(sim_interface **out, duet_sim *sim, duet_sim_nat *site, const char *address,
                      const duet_sim_link *up, const duet_sim_link *down)
{
    duet_address a;

    int err = duet_address_parse(&a, address, 0);
    if (err != DUET_OK)
        return err;
    if (sim_find_interface(sim, site, &a))
        return DUET_ERR_STATE;
    sim_interface *i = duet_calloc(&sim->env, sizeof(*i));
    if (!i)
        return DUET_ERR_NOMEM;
    i->site = site;
    i->address = a;
    i->next_port = FIRST_PORT;
    i->is_up = true;
    set_link(i, up, down);
    if (sim_table_add(&sim->interfaces, &i->entry, key_of(site, &a)) != DUET_OK) {
        duet_free(&sim->env, i);
        return DUET_ERR_NOMEM;
    }
    *out = i;
    return DUET_OK;
}

/* ---- interfaces of a host ---- */

int duet_sim_host_add_address(duet_sim_host *host, const char *address, const duet_sim_link *up,
                              const duet_sim_link *down)
{
    return duet_sim_host_add_address_behind(host, NULL, address, up, down);
}

int duet_sim_host_add_address_behind(duet_sim_host *host, duet_sim_nat *nat, const char *address,
                                     const duet_sim_link *up, const duet_sim_link *down)
{
    sim_interface *i;

    if (interface_by_text(host, address))
        return DUET_ERR_STATE;
    int err = sim_interface_add(&i, host->sim, nat, address, up, down);
    if (err != DUET_OK)
        return err;
    i->host = host;
    sim_interface **link = &host->interfaces; /* in the order in which they were added */
    while (*link)
        link = &(*link)->next;
    *link = i;
    sim_interfaces_changed(host);
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
    if (i->is_up != is_up)
        sim_interfaces_changed(host);
    i->is_up = is_up;
    return DUET_OK;
}
