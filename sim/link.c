/* How packets travel: up the sender's link, down the receiver's. Each direction has a rate, a delay and its misfortunes. */
#include "sim/internal.h"
#include <string.h>

#define QUEUE_DEFAULT         (128u * 1024u)
#define REORDER_DELAY_DEFAULT DUET_MS(10)
#define HEADER_BYTES          28 /* IPv4 and UDP, for the rate */

static void hash_bytes(uint64_t *hash, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ p[i]) * 0x100000001B3u;
}

static void hash_packet(duet_sim *sim, const sim_packet *p)
{
    uint64_t *hash = &sim->stats.trace_hash;

    hash_bytes(hash, &sim->now, sizeof(sim->now));
    hash_bytes(hash, p->from.ip, sizeof(p->from.ip));
    hash_bytes(hash, &p->from.port, sizeof(p->from.port));
    hash_bytes(hash, p->to.ip, sizeof(p->to.ip));
    hash_bytes(hash, &p->to.port, sizeof(p->to.port));
    hash_bytes(hash, p->data, p->len);
}

static bool is_lost(duet_sim *sim, sim_pipe *pipe)
{
    const duet_sim_link *link = &pipe->link;

    if (sim_chance(sim, pipe->is_bad ? link->burst_leave : link->burst_enter))
        pipe->is_bad = !pipe->is_bad;
    bool lost = sim_chance(sim, link->loss);
    bool lost_in_burst = sim_chance(sim, link->burst_loss);
    return link->down || lost || (pipe->is_bad && lost_in_burst);
}

/* When the packet comes out of the pipe, or DUET_NEVER when the queue is full. */
static duet_time exit_time(duet_sim *sim, sim_pipe *pipe, size_t len)
{
    const duet_sim_link *link = &pipe->link;
    duet_time start = pipe->free_at > sim->now ? pipe->free_at : sim->now;
    duet_time transmission = 0;

    if (link->rate) {
        size_t limit = link->queue ? link->queue : QUEUE_DEFAULT;
        duet_time backlog = start - sim->now;
        if (backlog * link->rate / 8000000u + len > limit)
            return DUET_NEVER;
        transmission = (duet_time)(len + HEADER_BYTES) * 8000000u / link->rate;
    }
    pipe->free_at = start + transmission;
    duet_time jitter = link->jitter ? sim_random(sim) % (link->jitter + 1) : 0;
    duet_time at = pipe->free_at + link->delay + jitter;
    if (sim_chance(sim, link->reorder)) {
        sim->stats.reordered++;
        return at + (link->reorder_delay ? link->reorder_delay : REORDER_DELAY_DEFAULT);
    }
    if (at < pipe->last_exit)
        at = pipe->last_exit;
    pipe->last_exit = at;
    return at;
}

void sim_lose(duet_sim *sim, sim_packet *p)
{
    if (p->is_stream)
        sim_stream_lost(sim, p);
    else
        duet_free(&sim->env, p);
}

static void enter_pipe(duet_sim *sim, sim_pipe *pipe, sim_packet *p)
{
    if (!p->is_stream && pipe->link.mtu && p->len > pipe->link.mtu) {
        sim->stats.dropped_mtu++;
        sim_lose(sim, p);
        return;
    }
    if (is_lost(sim, pipe)) {
        sim->stats.lost++;
        sim_lose(sim, p);
        return;
    }
    if (sim_chance(sim, pipe->link.corrupt) && p->len > 0) {
        sim->stats.corrupted++;
        if (p->is_stream) { /* its checksum tells */
            sim_lose(sim, p);
            return;
        }
        uint64_t bit = sim_random(sim) % (p->len * 8);
        p->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    duet_time at = exit_time(sim, pipe, p->len);
    if (at == DUET_NEVER) {
        sim->stats.dropped_queue++;
        sim_lose(sim, p);
        return;
    }
    p->alarm.fire = sim_arrive;
    duet_timers_set(&sim->timers, &p->alarm.timer, at);
}

/* A second copy right behind the first. */
static void maybe_duplicate(duet_sim *sim, sim_pipe *pipe, const sim_packet *p)
{
    if (!sim_chance(sim, pipe->link.duplicate) || p->is_stream)
        return;
    sim_packet *copy = duet_memdup(&sim->env, p, sizeof(*p) + p->len);
    if (!copy)
        return;
    memset(&copy->alarm.timer, 0, sizeof(copy->alarm.timer));
    sim->stats.duplicated++;
    enter_pipe(sim, pipe, copy);
}

void sim_enter_up(duet_sim *sim, sim_packet *p, sim_interface *i)
{
    p->at = i;
    p->is_upwards = true;
    maybe_duplicate(sim, &i->up, p);
    enter_pipe(sim, &i->up, p);
}

void sim_enter_down(duet_sim *sim, sim_packet *p, sim_interface *i)
{
    p->at = i;
    p->is_upwards = false;
    maybe_duplicate(sim, &i->down, p);
    enter_pipe(sim, &i->down, p);
}

sim_packet *sim_packet_new(duet_sim *sim, const duet_address *from, const duet_address *to, const void *data,
                           size_t len)
{
    sim_packet *p = duet_alloc(&sim->env, sizeof(*p) + len);

    if (!p)
        return NULL;
    memset(p, 0, sizeof(*p));
    p->alarm.fire = sim_arrive;
    p->from = *from;
    p->to = *to;
    p->len = len;
    if (len)
        memcpy(p->data, data, len);
    return p;
}

void sim_packet_send(duet_sim *sim, sim_packet *p, sim_interface *from)
{
    sim->stats.sent++;
    hash_packet(sim, p);
    if (from) {
        sim_enter_up(sim, p, from);
        return;
    }
    p->is_upwards = true;
    duet_timers_set(&sim->timers, &p->alarm.timer, sim->now);
}
