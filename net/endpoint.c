/* Endpoints: objects that the loop drives. They are ticked, their requests served, their outputs sent, until they are quiet. */
#include "net/internal.h"

#define ROUNDS_PER_SERVE 8
#define INPUTS_PER_FLUSH 256 /* datagrams, or pieces of 512 bytes */

void net_endpoint_forget(net_endpoint *ep)
{
    duet_net *net = ep->net;

    if (ep->dead)
        return;
    ep->dead = true;
    ep->ops->set_wake(ep->object, NULL, NULL);
    net_resolver_forget(net->resolver, ep);
    net_local_names_forget(net->local_names, ep);
    while (ep->sockets)
        net_socket_close(ep->sockets);
    duet_map_free(&ep->by_id);
    duet_timers_cancel(&net->timers, &ep->alarm.timer);
    net_endpoint **link = &net->endpoints;
    while (*link != ep)
        link = &(*link)->next;
    *link = ep->next;
    if (!ep->dirty) /* otherwise it is buried when the dirty list is worked off */
        net_bury(net, &ep->grave, ep);
}

/* ---- endpoints ---- */

void net_mark_dirty(net_endpoint *ep)
{
    duet_net *net = ep->net;

    if (ep->dirty || ep->dead)
        return;
    ep->dirty = true;
    if (net->last_dirty)
        net->last_dirty->next_dirty = ep;
    else
        net->first_dirty = ep;
    net->last_dirty = ep;
    if (net->pollable && !net->in_turn)
        net_show_on_fd(net);
}

static void endpoint_wake(void *user)
{
    net_endpoint *ep = user;
    duet_net *net = ep->net;

    if (atomic_load(&net->owner) == (uintptr_t)pthread_self()) {
        net_mark_dirty(ep);
        return;
    }
    atomic_store(&ep->foreign_wake, true);
    atomic_store(&net->foreign_wakes, true);
    net_show_on_fd(net);
}

static void endpoint_due(net_alarm *alarm)
{
    net_mark_dirty((net_endpoint *)alarm);
}

int duet_net_attach(duet_net *net, const duet_endpoint_ops *ops, void *object)
{
    net_endpoint *ep = duet_calloc(&net->env, sizeof(*ep));

    if (!ep)
        return DUET_ERR_NOMEM;
    int err = duet_map_init(&ep->by_id, &net->env);
    if (err != DUET_OK) {
        duet_free(&net->env, ep);
        return err;
    }
    ep->next_accepted = DUET_SOCKET_ACCEPTED;
    ep->alarm.fire = endpoint_due;
    ep->net = net;
    ep->ops = ops;
    ep->object = object;
    ep->next = net->endpoints;
    net->endpoints = ep;
    ops->set_wake(object, endpoint_wake, ep);
    net_mark_dirty(ep);
    return DUET_OK;
}

void net_endpoint_answer(net_endpoint *ep, const duet_answer *answer)
{
    if (ep->dead)
        return;
    ep->ops->answer(ep->object, answer, duet_net_now(ep->net));
    net_mark_dirty(ep);
}

static void handle_request(net_endpoint *ep, const duet_request *request)
{
    duet_answer answer = {.kind = request->kind, .id = request->id, .err = DUET_ERR_UNSUPPORTED};
    net_socket *s;

    switch (request->kind) {
    case DUET_REQUEST_INTERFACES:
        net_answer_interfaces(ep, request);
        return;
    case DUET_REQUEST_OPEN:
        if (request->protocol == DUET_UDP) {
            answer.err = net_udp_open(ep, request, &answer);
            break;
        }
        answer.err = net_stream_connect(ep, request, &answer);
        if (answer.err == DUET_OK)
            return; /* the answer comes later */
        break;
    case DUET_REQUEST_LISTEN:
        answer.err = net_listen(ep, request, &answer);
        break;
    case DUET_REQUEST_RESOLVE:
        answer.err = net_is_local_name(request->name) ? net_local_resolve(ep, request) : net_resolve(ep, request);
        if (answer.err == DUET_OK)
            return; /* the answer comes later */
        break;
    case DUET_REQUEST_CLOSE:
        s = net_socket_find(ep, request->id);
        if (s)
            net_socket_close(s);
        else
            net_local_withdraw(ep, request->id);
        return;
    case DUET_REQUEST_PUBLISH:
        answer.err = net_local_publish(ep, request);
        break;
    case DUET_ANSWER_ACCEPTED:
        break;
    }
    net_endpoint_answer(ep, &answer);
}

bool net_endpoint_is_held(const net_endpoint *ep)
{
    return ep->holding > 0 && ep->net->now < ep->held_until;
}

/* A socket stayed full for too long: from now on what is for it is dropped, so that the others go on. */
static void end_hold(net_endpoint *ep)
{
    if (ep->holding == 0 || net_endpoint_is_held(ep))
        return;
    for (net_socket *s = ep->sockets; s; s = s->next)
        s->holds = false;
    ep->holding = 0;
}

void net_endpoint_note_input(net_endpoint *ep, size_t len)
{
    ep->inputs += 1 + (unsigned)(len / 512);
    if (ep->inputs >= INPUTS_PER_FLUSH && !ep->dead && !net_endpoint_is_held(ep))
        net_flush(ep);
    net_mark_dirty(ep);
}

/* Drives one endpoint until it has nothing more to do now. */
void net_endpoint_serve(net_endpoint *ep)
{
    duet_net *net = ep->net;
    duet_request request;

    end_hold(ep);
    for (int round = 0; round < ROUNDS_PER_SERVE && !ep->dead; round++) {
        ep->ops->tick(ep->object, net->now);
        bool asked = false;
        while (!ep->dead && ep->ops->request(ep->object, &request) == 1) {
            asked = true;
            handle_request(ep, &request);
        }
        if (!ep->dead && !net_endpoint_is_held(ep))
            net_flush(ep);
        if (ep->dead)
            return;
        duet_time deadline = ep->ops->deadline(ep->object);
        if (deadline > net->now && !asked) {
            if (ep->holding > 0 && ep->held_until < deadline)
                deadline = ep->held_until;
            duet_timers_set(&net->timers, &ep->alarm.timer, deadline);
            return;
        }
    }
    if (!ep->dead)
        net_mark_dirty(ep); /* others first */
}

void duet_net_detach(duet_net *net, void *object)
{
    net_endpoint *ep = net->endpoints;

    while (ep && ep->object != object)
        ep = ep->next;
    if (!ep)
        return;
    duet_request request;
    ep->ops->tick(object, duet_net_now(net)); /* a closed object says its goodbyes now */
    if (ep->dead)
        return;
    if (!net_endpoint_is_held(ep))
        net_flush(ep);
    while (!ep->dead && ep->ops->request(object, &request) == 1)
        continue; /* CLOSE and the like: all sockets close now anyway */
    if (ep->dead)
        return;
    net_endpoint_forget(ep);
    if (net->in_turn)
        return;
    if (!ep->dirty)
        net_empty_graves(net);
    net_arm_fd(net); /* streams may linger */
}
