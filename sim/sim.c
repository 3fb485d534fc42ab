/* The world: virtual time, one queue of everything that will happen, and seeded randomness. */
#include "base/seeded.h"
#include "sim/internal.h"
#include <string.h>

void duet_sim_config_init(duet_sim_config *config)
{
    *config = (duet_sim_config){.size = sizeof(*config)};
}

int duet_sim_create(duet_sim **out, const duet_sim_config *config)
{
    duet_env env = duet_env_resolve(config ? config->env : NULL);
    duet_sim *sim = duet_calloc(&env, sizeof(*sim));

    *out = sim;
    if (!sim)
        return DUET_ERR_NOMEM;
    sim->env = env;
    sim->random = config ? config->seed : 0;
    sim->now = config ? config->start : 0;
    sim->stats.trace_hash = 0xCBF29CE484222325u;
    /* The seeds are fixed: nobody aims at these tables, and a run must be the same every time. */
    sim->interfaces = sim->sockets = sim->streams = (duet_map){.env = &sim->env, .seed = 0x6475657473696D75u};
    return DUET_OK;
}

static void free_hosts(duet_sim *sim)
{
    while (sim->hosts) {
        duet_sim_host *host = sim->hosts;
        sim->hosts = host->next;
        while (host->interfaces) {
            sim_interface *interface = host->interfaces;
            host->interfaces = interface->next;
            duet_free(&sim->env, interface);
        }
        duet_free(&sim->env, host);
    }
}

static void free_graves(duet_sim *sim)
{
    while (sim->graves) {
        sim_endpoint *ep = sim->graves;
        sim->graves = ep->next;
        duet_free(&sim->env, ep);
    }
}

void duet_sim_destroy(duet_sim *sim)
{
    if (!sim)
        return;
    while (sim->endpoints)
        duet_sim_detach(sim, sim->endpoints->object);
    while (sim->first_dirty) { /* dead ones that were never served again */
        sim_endpoint *ep = sim->first_dirty;
        sim->first_dirty = ep->next_dirty;
        duet_free(&sim->env, ep);
    }
    free_graves(sim);
    while (sim->timers.root) { /* only packets and calls are left, each one block */
        duet_timer *t = sim->timers.root;
        duet_timers_cancel(&sim->timers, t);
        duet_free(&sim->env, t);
    }
    while (sim->plain) {
        sim_socket *s = sim->plain;
        sim->plain = s->next;
        duet_free(&sim->env, s);
    }
    while (sim->names) {
        sim_name *n = sim->names;
        sim->names = n->next;
        duet_free(&sim->env, n);
    }
    free_hosts(sim);
    sim_nats_free(sim);
    duet_map_free(&sim->interfaces);
    duet_map_free(&sim->sockets);
    duet_map_free(&sim->streams);
    duet_env env = sim->env;
    duet_free(&env, sim);
}

duet_time duet_sim_now(const duet_sim *sim)
{
    return sim->now;
}

uint64_t sim_random(duet_sim *sim)
{
    return duet_seeded_next(&sim->random);
}

bool sim_chance(duet_sim *sim, double probability)
{
    /* The generator is asked in any case, so that a change of one probability does not shift all that follows. */
    return duet_seeded_chance(&sim->random, probability);
}

int duet_sim_random(void *sim, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(sim_random(sim) >> 32);
    return 0;
}

void sim_mark_dirty(sim_endpoint *ep)
{
    duet_sim *sim = ep->sim;

    if (ep->dirty || ep->dead)
        return;
    ep->dirty = true;
    ep->next_dirty = NULL;
    if (sim->last_dirty)
        sim->last_dirty->next_dirty = ep;
    else
        sim->first_dirty = ep;
    sim->last_dirty = ep;
}

typedef struct scheduled_call {
    sim_alarm alarm; /* first */
    void (*fn)(void *arg);
    void *arg;
} scheduled_call;

static void run_call(duet_sim *sim, sim_alarm *alarm)
{
    scheduled_call call = *(scheduled_call *)alarm;

    duet_free(&sim->env, alarm);
    call.fn(call.arg);
}

int duet_sim_at(duet_sim *sim, duet_time at, void (*fn)(void *arg), void *arg)
{
    scheduled_call *call = duet_calloc(&sim->env, sizeof(*call));

    if (!call)
        return DUET_ERR_NOMEM;
    call->alarm.fire = run_call;
    call->fn = fn;
    call->arg = arg;
    duet_timers_set(&sim->timers, &call->alarm.timer, at > sim->now ? at : sim->now);
    return DUET_OK;
}

static void serve_dirty(duet_sim *sim)
{
    while (sim->first_dirty) {
        sim_endpoint *ep = sim->first_dirty;
        sim->first_dirty = ep->next_dirty;
        if (!sim->first_dirty)
            sim->last_dirty = NULL;
        ep->dirty = false;
        if (ep->dead) {
            ep->next = sim->graves;
            sim->graves = ep;
        } else {
            sim_serve(ep);
        }
    }
    free_graves(sim);
}

/* Does the next thing that happens until `limit`. What arrives at the same time is handed over before anybody is driven, as
 * a real driver reads a batch. @return false when nothing happens */
static bool step(duet_sim *sim, duet_time limit)
{
    duet_time next = duet_timers_deadline(&sim->timers);

    if (next > sim->now && sim->first_dirty) {
        serve_dirty(sim);
        return true;
    }
    if (next == DUET_NEVER || next > limit)
        return false;
    if (next > sim->now)
        sim->now = next;
    sim_alarm *alarm = (sim_alarm *)duet_timers_pop(&sim->timers, sim->now);
    alarm->fire(sim, alarm);
    return true;
}

void duet_sim_run(duet_sim *sim, duet_time until)
{
    while (step(sim, until))
        continue;
    if (until > sim->now)
        sim->now = until;
}

bool duet_sim_run_until(duet_sim *sim, bool (*done)(void *arg), void *arg, duet_time limit)
{
    while (!done(arg)) {
        if (!step(sim, limit)) {
            sim->now = limit > sim->now ? limit : sim->now;
            return done(arg);
        }
    }
    return true;
}

void duet_sim_get_stats(const duet_sim *sim, duet_sim_stats *out)
{
    *out = sim->stats;
}

/* ---- tables ---- */

int sim_table_add(duet_map *table, sim_entry *entry, uint64_t key)
{
    entry->key = key;
    entry->next_same = duet_map_get(table, key);
    return duet_map_set(table, key, entry);
}

void sim_table_remove(duet_map *table, sim_entry *entry)
{
    sim_entry *first = duet_map_get(table, entry->key);
    sim_entry **link = &first;

    while (*link && *link != entry)
        link = &(*link)->next_same;
    if (!*link)
        return;
    *link = entry->next_same;
    if (first)
        (void)duet_map_set(table, entry->key, first); /* it replaces: no memory is needed */
    else
        duet_map_remove(table, entry->key);
}

/* ---- names ---- */

int sim_name_add(duet_sim *sim, const char *name, const duet_address *address, const sim_endpoint *publisher,
                 uint32_t id)
{
    size_t len = strlen(name) + 1;
    sim_name *n = duet_alloc(&sim->env, sizeof(*n) + len);

    if (!n)
        return DUET_ERR_NOMEM;
    *n = (sim_name){sim->names, publisher, id, *address};
    memcpy(n->name, name, len);
    sim->names = n;
    return DUET_OK;
}

void sim_names_withdraw(duet_sim *sim, const sim_endpoint *publisher, bool all, uint32_t id)
{
    sim_name **link = &sim->names;

    while (*link) {
        sim_name *n = *link;
        if (n->publisher == publisher && (all || n->id == id)) {
            *link = n->next;
            duet_free(&sim->env, n);
        } else {
            link = &n->next;
        }
    }
}

int duet_sim_add_name(duet_sim *sim, const char *name, const char *address)
{
    duet_address a;

    int err = duet_address_parse(&a, address, 0);
    return err == DUET_OK ? sim_name_add(sim, name, &a, NULL, 0) : err;
}
