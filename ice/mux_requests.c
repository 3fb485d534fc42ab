/* What the endpoints of a mux ask of their driver: UDP sockets on an interface are the shared ones, the list of interfaces is
 * the mux's own, and everything else is passed on under an id of the mux. */
#include "ice/mux_internal.h"
#include <string.h>

static void deliver(mux_member *member, const duet_answer *answer)
{
    if (member->dead)
        return;
    member->ops->answer(member->object, answer, member->mux->now);
    duet_mux_mark_dirty(member);
}

/* ---- shared sockets ---------------------------------------------------------------------------------------------------- */

mux_open *duet_mux_open_on(const mux_member *member, uint32_t socket)
{
    mux_open *o = member->opens;

    while (o && (!o->socket || o->socket->id != socket))
        o = o->next;
    return o;
}

const mux_socket *duet_mux_socket_of(const mux_member *member, uint32_t inner)
{
    const mux_open *o = member->opens;

    while (o && o->inner != inner)
        o = o->next;
    return o ? o->socket : NULL;
}

static const mux_socket *socket_on(const duet_mux *mux, const duet_address *ip)
{
    for (size_t i = 0; i < mux->socket_count; i++) {
        if (duet_address_ip_equal(&mux->sockets[i].interface, ip))
            return &mux->sockets[i];
    }
    return NULL;
}

static void answer_open(mux_member *member, mux_open *o)
{
    duet_mux *mux = member->mux;
    const mux_socket *s = socket_on(mux, &o->bind);
    bool is_settled = s ? s->state == MUX_SOCKET_OPEN || s->state == MUX_SOCKET_FAILED : mux->has_interfaces;

    if (o->answered || !is_settled)
        return;
    duet_answer answer = {.kind = DUET_REQUEST_OPEN, .id = o->inner, .err = DUET_ERR_IO};
    o->answered = true;
    if (s && s->state == MUX_SOCKET_OPEN) {
        o->socket = s;
        answer.err = DUET_OK;
        answer.local = s->local;
    } else if (s) {
        answer.err = s->err;
    }
    deliver(member, &answer);
}

/* Interfaces that have a socket. */
static void answer_interfaces(mux_member *member)
{
    duet_mux *mux = member->mux;
    duet_array list;

    for (size_t i = 0; i < mux->socket_count; i++) {
        if (mux->sockets[i].state < MUX_SOCKET_OPEN)
            return; /* not all of them are known */
    }
    if (!mux->has_interfaces || !member->wants_interfaces || member->has_interfaces)
        return;
    duet_array_init(&list, &mux->env, sizeof(duet_interface));
    for (size_t i = 0; i < mux->interfaces.count; i++) {
        const duet_interface *from = duet_array_at(&mux->interfaces, i);
        const mux_socket *s = socket_on(mux, &from->address);
        duet_interface *to = s && s->state == MUX_SOCKET_OPEN ? duet_array_push(&list) : NULL;
        if (to)
            *to = *from;
    }
    duet_answer answer = {.kind = DUET_REQUEST_INTERFACES,
                          .id = member->interfaces_id,
                          .interfaces = list.items,
                          .interface_count = list.count};
    member->has_interfaces = true;
    deliver(member, &answer);
    duet_array_free(&list);
}

void duet_mux_answer_waiting(mux_member *member)
{
    answer_interfaces(member);
    for (mux_open *o = member->opens; o && !member->dead; o = o->next)
        answer_open(member, o);
}

static void close_open(mux_member *member, uint32_t inner)
{
    mux_open **link = &member->opens;

    while (*link && (*link)->inner != inner)
        link = &(*link)->next;
    mux_open *o = *link;
    if (!o)
        return;
    *link = o->next;
    duet_free(&member->mux->env, o);
}

static void open_shared(mux_member *member, const duet_request *request)
{
    mux_open *o = duet_calloc(&member->mux->env, sizeof(*o));

    if (!o) {
        duet_answer answer = {.kind = DUET_REQUEST_OPEN, .id = request->id, .err = DUET_ERR_NOMEM};
        deliver(member, &answer);
        return;
    }
    o->inner = request->id;
    o->bind = request->bind;
    o->bind.port = 0;
    o->next = member->opens;
    member->opens = o;
    answer_open(member, o);
}

/* ---- what is passed on -------------------------------------------------------------------------------------------------- */

mux_forward *duet_mux_forward_find(const duet_mux *mux, uint32_t outer)
{
    return duet_map_get(&mux->forwards, outer);
}

static mux_forward *forward_add(mux_member *member, uint32_t inner, uint32_t outer)
{
    duet_mux *mux = member->mux;
    mux_forward *f = duet_calloc(&mux->env, sizeof(*f));

    if (!f || duet_map_set(&mux->forwards, outer, f) != DUET_OK) {
        duet_free(&mux->env, f);
        return NULL;
    }
    *f = (mux_forward){member, inner, outer, member->forwards};
    member->forwards = f;
    return f;
}

static void forward_remove(mux_forward *f)
{
    mux_member *member = f->member;
    mux_forward **link = &member->forwards;

    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    duet_map_remove(&member->mux->forwards, f->outer);
    duet_free(&member->mux->env, f);
}

static bool queue_request(duet_mux *mux, const duet_request *request, uint32_t id)
{
    mux_request *r = duet_calloc(&mux->env, sizeof(*r));

    if (!r)
        return false;
    r->request = *request;
    r->request.id = id;
    if (request->name) {
        size_t len = strlen(request->name);
        if (len > DUET_HOST_NAME_MAX)
            len = DUET_HOST_NAME_MAX;
        memcpy(r->name, request->name, len);
        r->request.name = r->name;
    }
    if (mux->last_request)
        mux->last_request->next = r;
    else
        mux->first_request = r;
    mux->last_request = r;
    return true;
}

static void forward_request(mux_member *member, const duet_request *request)
{
    duet_mux *mux = member->mux;
    mux_forward *f = forward_add(member, request->id, ++mux->next_id);

    if (f && queue_request(mux, request, f->outer))
        return;
    if (f)
        forward_remove(f);
    duet_answer answer = {.kind = request->kind, .id = request->id, .err = DUET_ERR_NOMEM};
    deliver(member, &answer);
}

static void close_forwarded(mux_member *member, uint32_t inner)
{
    for (mux_forward *f = member->forwards; f; f = f->next) {
        if (f->inner != inner)
            continue;
        duet_request request = {.kind = DUET_REQUEST_CLOSE};
        (void)queue_request(member->mux, &request, f->outer);
        forward_remove(f);
        return;
    }
}

void duet_mux_pass_answer(duet_mux *mux, const duet_answer *answer)
{
    mux_forward *f = duet_mux_forward_find(mux, answer->id);
    duet_answer inner = *answer;

    if (!f)
        return;
    mux_member *member = f->member;
    inner.id = f->inner;
    if (answer->kind == DUET_ANSWER_ACCEPTED && !forward_add(member, answer->accepted, answer->accepted)) {
        duet_request request = {.kind = DUET_REQUEST_CLOSE};
        (void)queue_request(mux, &request, answer->accepted);
        return;
    }
    bool is_over = answer->kind == DUET_REQUEST_RESOLVE || (answer->err && answer->kind != DUET_REQUEST_INTERFACES);
    if (is_over)
        forward_remove(f);
    deliver(member, &inner);
}

void duet_mux_member_request(mux_member *member, const duet_request *request)
{
    switch (request->kind) {
    case DUET_REQUEST_INTERFACES:
        member->interfaces_id = request->id;
        member->wants_interfaces = true;
        member->has_interfaces = false;
        answer_interfaces(member);
        break;
    case DUET_REQUEST_OPEN:
        if (request->protocol == DUET_UDP && request->group.family == DUET_AF_NONE)
            open_shared(member, request);
        else
            forward_request(member, request);
        break;
    case DUET_REQUEST_CLOSE:
        close_open(member, request->id);
        close_forwarded(member, request->id);
        break;
    default:
        forward_request(member, request);
        break;
    }
}

void duet_mux_requests_forget(mux_member *member)
{
    while (member->opens)
        close_open(member, member->opens->inner);
    while (member->forwards) {
        duet_request request = {.kind = DUET_REQUEST_CLOSE};
        (void)queue_request(member->mux, &request, member->forwards->outer);
        forward_remove(member->forwards);
    }
}

/* ---- the mux's own sockets ------------------------------------------------------------------------------------------------ */

static bool is_listed(const duet_mux *mux, const duet_address *ip)
{
    for (size_t i = 0; i < mux->interfaces.count; i++) {
        const duet_interface *known = duet_array_at(&mux->interfaces, i);
        if (duet_address_ip_equal(&known->address, ip))
            return true;
    }
    return false;
}

static bool is_wanted(const duet_mux *mux, const duet_interface *interface)
{
    const duet_address *bind = &mux->config.bind;

    if (bind->family != DUET_AF_NONE)
        return memcmp(bind->ip, interface->address.ip, sizeof(bind->ip)) == 0;
    return !interface->is_deprecated && (!interface->is_loopback || mux->config.loopback);
}

static void socket_add(duet_mux *mux, const duet_address *ip)
{
    if (mux->socket_count == DUET_MUX_SOCKETS_MAX)
        return;
    mux_socket *s = &mux->sockets[mux->socket_count++];
    *s = (mux_socket){.id = ++mux->next_id, .interface = *ip};
    s->interface.port = 0;
}

/* Sockets stay where they are in their array, because endpoints point to them; one whose interface has gone is marked, and opened
 * anew when it comes back. */
void duet_mux_take_interfaces(duet_mux *mux, const duet_answer *list)
{
    mux->interfaces.count = 0;
    for (size_t i = 0; i < list->interface_count; i++) {
        duet_interface *slot = is_wanted(mux, &list->interfaces[i]) ? duet_array_push(&mux->interfaces) : NULL;
        if (slot)
            *slot = list->interfaces[i];
    }
    for (size_t i = 0; i < mux->socket_count; i++) {
        mux_socket *s = &mux->sockets[i];
        if (s->state == MUX_SOCKET_OPEN && !is_listed(mux, &s->interface))
            s->state = MUX_SOCKET_CLOSING;
        else if (s->state == MUX_SOCKET_FAILED && is_listed(mux, &s->interface))
            s->state = MUX_SOCKET_WANTED;
    }
    for (size_t i = 0; i < mux->interfaces.count; i++) {
        const duet_interface *known = duet_array_at(&mux->interfaces, i);
        if (!socket_on(mux, &known->address))
            socket_add(mux, &known->address);
    }
    mux->has_interfaces = true;
    for (mux_member *m = mux->members; m; m = m->next) {
        m->has_interfaces = false;
        duet_mux_mark_dirty(m);
    }
}

typedef struct listening {
    int err;
    duet_address local;
} listening;

static void deliver_listening(void *object, void *payload)
{
    duet_mux *mux = object;
    const listening *l = payload;

    mux->config.on_listening(mux->config.user, l->err, &l->local);
}

void duet_mux_socket_opened(duet_mux *mux, const duet_answer *answer)
{
    for (size_t i = 0; i < mux->socket_count; i++) {
        mux_socket *s = &mux->sockets[i];
        if (s->id != answer->id)
            continue;
        s->state = answer->err ? MUX_SOCKET_FAILED : MUX_SOCKET_OPEN;
        s->err = answer->err;
        s->local = answer->err ? s->interface : answer->local;
        listening l = {answer->err, s->local};
        if (mux->config.on_listening)
            (void)duet_events_push(&mux->events, deliver_listening, NULL, &l, sizeof(l));
        for (mux_member *m = mux->members; m; m = m->next)
            duet_mux_mark_dirty(m); /* answered in its turn */
    }
}
