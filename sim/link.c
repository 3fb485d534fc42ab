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

static void arrive(duet_sim *sim, sim_alarm *alarm);

static void enter_pipe(duet_sim *sim, sim_pipe *pipe, sim_packet *p)
{
    if (pipe->link.mtu && p->len > pipe->link.mtu) {
        sim->stats.dropped_mtu++;
        duet_free(&sim->env, p);
        return;
    }
    if (is_lost(sim, pipe)) {
        sim->stats.lost++;
        duet_free(&sim->env, p);
        return;
    }
    if (sim_chance(sim, pipe->link.corrupt) && p->len > 0) {
        uint64_t bit = sim_random(sim) % (p->len * 8);
        p->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        sim->stats.corrupted++;
    }
    duet_time at = exit_time(sim, pipe, p->len);
    if (at == DUET_NEVER) {
        sim->stats.dropped_queue++;
        duet_free(&sim->env, p);
        return;
    }
    duet_timers_set(&sim->timers, &p->alarm.timer, at);
}

/* A second copy right behind the first. */
static void maybe_duplicate(duet_sim *sim, sim_pipe *pipe, const sim_packet *p)
{
    if (!sim_chance(sim, pipe->link.duplicate))
        return;
    sim_packet *copy = duet_memdup(&sim->env, p, sizeof(*p) + p->len);
    if (!copy)
        return;
    memset(&copy->alarm.timer, 0, sizeof(copy->alarm.timer));
    sim->stats.duplicated++;
    enter_pipe(sim, pipe, copy);
}

static void deliver(duet_sim *sim, sim_packet *p)
{
    sim_socket *s = sim_find_socket(sim, &p->to);
    duet_datagram in = {.path = {.local = p->to, .remote = p->from},
                        .data = p->data,
                        .len = p->len,
                        .ecn = p->ecn,
                        .dscp = p->dscp,
                        .time = sim->now};

    if (!s) {
        sim->stats.unreachable++;
        return;
    }
    sim->stats.delivered++;
    sim->stats.bytes_delivered += p->len;
    in.path.socket = s->id;
    if (s->receive) {
        s->receive(s->user, sim, &in.path, p->data, p->len);
        return;
    }
    sim_endpoint *ep = s->endpoint;
    ep->ops->input(ep->object, &in, sim->now);
    sim_mark_dirty(ep);
}

static void arrive(duet_sim *sim, sim_alarm *alarm)
{
    sim_packet *p = (sim_packet *)alarm;
    sim_interface *to = sim_find_interface(sim, &p->to);

    if (!to || !to->is_up) {
        sim->stats.unreachable++;
        duet_free(&sim->env, p);
        return;
    }
    if (p->passed_up) {
        deliver(sim, p);
        duet_free(&sim->env, p);
        return;
    }
    p->passed_up = true;
    maybe_duplicate(sim, &to->down, p);
    enter_pipe(sim, &to->down, p);
}

int sim_transmit(duet_sim *sim, const duet_address *from, const duet_datagram *datagram)
{
    sim_interface *interface = sim_find_interface(sim, from);
    sim_packet *p = duet_alloc(&sim->env, sizeof(*p) + datagram->len);

    if (!p)
        return DUET_ERR_NOMEM;
    memset(p, 0, sizeof(*p));
    p->alarm.fire = arrive;
    p->from = *from;
    p->to = datagram->path.remote;
    p->dscp = datagram->dscp;
    p->ecn = datagram->ecn;
    p->len = datagram->len;
    if (datagram->len)
        memcpy(p->data, datagram->data, datagram->len);
    sim->stats.sent++;
    hash_packet(sim, p);
    if (!interface) { /* forged: it comes from nowhere, without a link */
        duet_timers_set(&sim->timers, &p->alarm.timer, sim->now);
        return DUET_OK;
    }
    if (!interface->is_up) {
        duet_free(&sim->env, p);
        return DUET_ERR_IO;
    }
    maybe_duplicate(sim, &interface->up, p);
    enter_pipe(sim, &interface->up, p);
    return DUET_OK;
}
