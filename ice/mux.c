/* The mux: an endpoint outwards, a driver inwards. A turn takes the endpoints that have something to do, serves them as a real
 * driver would, and then their datagrams are pulled one endpoint after the other. */
#include "base/log.h"
#include "duet/stun.h"
#include "ice/mux_internal.h"
#include <string.h>

#define OUTBOX_PAYLOAD_MAX 1500
#define OUTBOX_MAX         4096
#define ROUNDS_PER_SERVE   8

void duet_mux_config_init(duet_mux_config *config)
{
    *config = (duet_mux_config){.size = sizeof(*config)};
}

/* ---- create and destroy -------------------------------------------------------------------------------------------------- */

static void empty_graves(duet_mux *mux)
{
    mux_member **link = &mux->graves;

    while (*link) {
        mux_member *m = *link;
        if (atomic_load(&m->woken) || m->dirty || m->sending) {
            link = &m->next; /* it still stands in a queue */
            continue;
        }
        *link = m->next;
        duet_free(&mux->env, m);
    }
}

static void mux_free(void *object)
{
    duet_mux *mux = object;
    duet_env env = mux->env;

    duet_outbox_free(&mux->outbox);
    duet_events_free(&mux->events);
    duet_array_free(&mux->interfaces);
    duet_map_free(&mux->remotes);
    duet_map_free(&mux->ufrags);
    duet_map_free(&mux->forwards);
    while (mux->first_request) {
        mux_request *r = mux->first_request;
        mux->first_request = r->next;
        duet_free(&env, r);
    }
    while (mux->graves) {
        mux_member *m = mux->graves;
        mux->graves = m->next;
        duet_free(&env, m);
    }
    duet_free(&env, mux);
}

int duet_mux_create(duet_mux **out, const duet_mux_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_mux *mux = duet_calloc(&env, sizeof(*mux));

    *out = NULL;
    if (!mux)
        return DUET_ERR_NOMEM;
    mux->env = env;
    memcpy(&mux->config, config, config->size < sizeof(mux->config) ? config->size : sizeof(mux->config));
    if (!mux->config.remotes_max)
        mux->config.remotes_max = DUET_MUX_REMOTES_DEFAULT;
    atomic_init(&mux->woken, NULL);
    mux->interfaces_wanted = true;
    mux->interfaces_id = ++mux->next_id;
    duet_events_init(&mux->events, &mux->env, mux, mux_free);
    duet_outbox_init(&mux->outbox, &mux->env, OUTBOX_PAYLOAD_MAX, OUTBOX_MAX);
    duet_array_init(&mux->interfaces, &mux->env, sizeof(duet_interface));
    if (duet_map_init(&mux->remotes, &mux->env) != DUET_OK || duet_map_init(&mux->ufrags, &mux->env) != DUET_OK ||
        duet_map_init(&mux->forwards, &mux->env) != DUET_OK) {
        mux_free(mux);
        return DUET_ERR_CRYPTO;
    }
    *out = mux;
    return DUET_OK;
}

static void forget(mux_member *member)
{
    duet_mux *mux = member->mux;

    member->dead = true;
    member->ops->set_wake(member->object, NULL, NULL);
    duet_mux_tables_forget(member);
    duet_mux_requests_forget(member);
    duet_timers_cancel(&mux->timers, &member->timer);
    mux_member **link = &mux->members;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    member->next = mux->graves;
    mux->graves = member;
    mux->stats.endpoints--;
}

void duet_mux_destroy(duet_mux *mux)
{
    if (!mux)
        return;
    while (mux->members)
        forget(mux->members);
    duet_events_destroy(&mux->events);
}

/* ---- queues of endpoints --------------------------------------------------------------------------------------------------- */

void duet_mux_wake(duet_mux *mux)
{
    if (mux->wake)
        mux->wake(mux->wake_user);
}

void duet_mux_mark_dirty(mux_member *member)
{
    duet_mux *mux = member->mux;

    if (member->dirty || member->dead)
        return;
    member->dirty = true;
    member->next_dirty = NULL;
    if (mux->last_dirty)
        mux->last_dirty->next_dirty = member;
    else
        mux->first_dirty = member;
    mux->last_dirty = member;
}

static mux_member *pop_dirty(duet_mux *mux)
{
    mux_member *member = mux->first_dirty;

    if (!member)
        return NULL;
    mux->first_dirty = member->next_dirty;
    if (!mux->first_dirty)
        mux->last_dirty = NULL;
    member->dirty = false;
    return member;
}

static void mark_sending(mux_member *member)
{
    duet_mux *mux = member->mux;

    if (member->sending)
        return;
    member->sending = true;
    member->next_sending = NULL;
    if (mux->last_sending)
        mux->last_sending->next_sending = member;
    else
        mux->first_sending = member;
    mux->last_sending = member;
}

static void pop_sending(duet_mux *mux)
{
    mux_member *member = mux->first_sending;

    mux->first_sending = member->next_sending;
    if (!mux->first_sending)
        mux->last_sending = NULL;
    member->sending = false;
}

/* From any thread: a stack without a lock, taken off as a whole by the thread of the mux. */
static void member_wake(void *user)
{
    mux_member *member = user;
    duet_mux *mux = member->mux;

    if (atomic_exchange(&member->woken, true))
        return;
    member->next_woken = atomic_load(&mux->woken);
    while (!atomic_compare_exchange_weak(&mux->woken, &member->next_woken, member))
        continue;
    duet_mux_wake(mux);
}

static void collect_woken(duet_mux *mux)
{
    mux_member *member = atomic_exchange(&mux->woken, NULL);

    while (member) {
        mux_member *next = member->next_woken;
        atomic_store(&member->woken, false); /* from here on it may be pushed again */
        duet_mux_mark_dirty(member);
        member = next;
    }
}

/* ---- members ------------------------------------------------------------------------------------------------------------------ */

int duet_mux_add(duet_mux *mux, const duet_endpoint_ops *ops, void *object)
{
    if (ops->size < sizeof(*ops) || !ops->local_ufrag)
        return DUET_ERR_INVALID;
    mux_member *member = duet_calloc(&mux->env, sizeof(*member));
    if (!member)
        return DUET_ERR_NOMEM;
    member->mux = mux;
    member->ops = ops;
    member->object = object;
    atomic_init(&member->woken, false);
    member->next = mux->members;
    mux->members = member;
    mux->stats.endpoints++;
    ops->set_wake(object, member_wake, member);
    duet_mux_mark_dirty(member);
    duet_mux_wake(mux);
    return DUET_OK;
}

/* Translates the path of an outgoing datagram and learns from it. @return whether it can leave */
static bool leaves(mux_member *member, duet_datagram *out)
{
    const mux_socket *s = duet_mux_socket_of(member, out->path.socket);

    if (!s) {
        for (mux_forward *f = member->forwards; f; f = f->next) {
            if (f->inner == out->path.socket) {
                out->path.socket = f->outer;
                return true;
            }
        }
        return false;
    }
    if (s->state != MUX_SOCKET_OPEN)
        return false;
    bool is_response = duet_stun_is_message(out->data, out->len) && out->data[0] == 0x01 && out->data[1] == 0x01;
    out->path.socket = s->id;
    out->path.local = s->local;
    duet_mux_remote_note(member, s->id, &out->path.remote, is_response);
    return true;
}

static mux_member *member_of(const duet_mux *mux, const void *object)
{
    mux_member *member = mux->members;

    while (member && member->object != object)
        member = member->next;
    return member;
}

void duet_mux_remove(duet_mux *mux, void *object)
{
    mux_member *member = member_of(mux, object);
    duet_datagram out;

    if (!member)
        return;
    member->ops->tick(object, mux->now); /* a closed object says its goodbyes now */
    while (!member->dead && member->ops->output(object, &out, mux->now) == 1) {
        if (leaves(member, &out))
            (void)duet_outbox_push(&mux->outbox, out.data, out.len, &out);
    }
    if (!member->dead)
        forget(member);
    duet_mux_wake(mux);
}

/* ---- turns ----------------------------------------------------------------------------------------------------------------------- */

static void serve(mux_member *member, duet_time now)
{
    duet_request request;

    for (int round = 0; round < ROUNDS_PER_SERVE && !member->dead; round++) {
        bool asked = false;
        duet_mux_answer_waiting(member);
        if (!member->dead)
            member->ops->tick(member->object, now);
        while (!member->dead && member->ops->request(member->object, &request) == 1) {
            asked = true;
            duet_mux_member_request(member, &request);
        }
        if (!asked)
            break;
    }
    if (member->dead)
        return;
    duet_mux_ufrags_refresh(member);
    mark_sending(member);
}

static void ops_tick(void *object, duet_time now)
{
    duet_mux *mux = object;

    duet_events_enter(&mux->events);
    duet_outbox_reclaim(&mux->outbox);
    mux->now = now;
    collect_woken(mux);
    for (duet_timer *t = duet_timers_pop(&mux->timers, now); t; t = duet_timers_pop(&mux->timers, now))
        duet_mux_mark_dirty((mux_member *)t);
    const mux_member *last = mux->last_dirty; /* what gets dirty meanwhile is for the next turn */
    for (mux_member *member = NULL; mux->first_dirty && member != last;) {
        member = pop_dirty(mux);
        if (!member->dead)
            serve(member, now);
    }
    empty_graves(mux);
    duet_events_leave(&mux->events);
}

static duet_time ops_deadline(const void *object)
{
    const duet_mux *mux = object;

    if (mux->first_dirty || atomic_load(&mux->woken))
        return 0;
    return duet_timers_deadline(&mux->timers);
}

static int ops_output(void *object, duet_datagram *out, duet_time now)
{
    duet_mux *mux = object;

    mux->now = now;
    if (duet_outbox_pull(&mux->outbox, out))
        return 1;
    while (mux->first_sending) {
        mux_member *member = mux->first_sending;
        while (!member->dead && member->ops->output(member->object, out, now) == 1) {
            if (leaves(member, out))
                return 1;
        }
        pop_sending(mux);
        if (!member->dead)
            duet_timers_set(&mux->timers, &member->timer, member->ops->deadline(member->object));
    }
    return 0;
}

/* ---- from the driver ---------------------------------------------------------------------------------------------------------------- */

static bool is_binding_request(const duet_datagram *in)
{
    return duet_stun_is_message(in->data, in->len) && in->data[0] == 0x00 && in->data[1] == 0x01;
}

/* Whose it is; counts what is nobody's. */
static mux_member *owner_of(duet_mux *mux, const duet_datagram *in)
{
    mux_remote *remote = duet_mux_remote_find(mux, in->path.socket, &in->path.remote);

    if (is_binding_request(in)) {
        mux_member *owner = duet_mux_owner_by_ufrag(mux, in->data, in->len);
        if (!owner)
            mux->stats.unknown_ufrag++;
        else if (remote && remote->member == owner)
            remote->heard = mux->now;
        return owner;
    }
    if (!remote) {
        mux->stats.unknown_remote++;
        return NULL;
    }
    remote->heard = mux->now;
    return remote->member;
}

static mux_member *owner_of_stream(const duet_mux *mux, duet_path *path)
{
    const mux_forward *f = duet_mux_forward_find(mux, path->socket);

    if (!f)
        return NULL;
    path->socket = f->inner;
    return f->member;
}

static bool is_shared(const duet_mux *mux, uint32_t socket)
{
    for (size_t i = 0; i < mux->socket_count; i++) {
        if (mux->sockets[i].id == socket)
            return true;
    }
    return false;
}

static int ops_input(void *object, duet_datagram *in, duet_time now)
{
    duet_mux *mux = object;
    mux_member *member;

    duet_events_enter(&mux->events);
    duet_outbox_reclaim(&mux->outbox);
    mux->now = now;
    if (is_shared(mux, in->path.socket)) {
        member = owner_of(mux, in);
        const mux_open *o = member ? duet_mux_open_on(member, in->path.socket) : NULL;
        if (o)
            in->path.socket = o->inner;
        else
            member = NULL; /* it has closed its socket, or not opened it yet */
    } else {
        member = owner_of_stream(mux, &in->path);
    }
    if (member) {
        member->ops->input(member->object, in, now);
        duet_mux_mark_dirty(member);
    }
    duet_events_leave(&mux->events);
    return DUET_OK;
}

static void ops_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    duet_mux *mux = object;
    duet_path inner = *path;
    mux_member *member;

    duet_events_enter(&mux->events);
    duet_outbox_reclaim(&mux->outbox);
    mux->now = now;
    if (is_shared(mux, path->socket)) {
        const mux_remote *remote = duet_mux_remote_find(mux, path->socket, &path->remote);
        member = remote ? remote->member : NULL;
        const mux_open *o = member ? duet_mux_open_on(member, path->socket) : NULL;
        inner.socket = o ? o->inner : 0;
        member = o ? member : NULL;
    } else {
        member = owner_of_stream(mux, &inner);
    }
    if (member) {
        member->ops->path_error(member->object, &inner, error, now);
        duet_mux_mark_dirty(member);
    }
    duet_events_leave(&mux->events);
}

static int ops_answer(void *object, const duet_answer *answer, duet_time now)
{
    duet_mux *mux = object;

    duet_events_enter(&mux->events);
    duet_outbox_reclaim(&mux->outbox);
    mux->now = now;
    if (answer->kind == DUET_REQUEST_INTERFACES && answer->id == mux->interfaces_id)
        duet_mux_take_interfaces(mux, answer);
    else if (answer->kind == DUET_REQUEST_OPEN && is_shared(mux, answer->id))
        duet_mux_socket_opened(mux, answer);
    else
        duet_mux_pass_answer(mux, answer);
    duet_events_leave(&mux->events);
    return DUET_OK;
}

static bool next_own_request(duet_mux *mux, duet_request *out)
{
    if (mux->interfaces_wanted) {
        mux->interfaces_wanted = false;
        *out = (duet_request){.kind = DUET_REQUEST_INTERFACES, .id = mux->interfaces_id, .watch = true};
        return true;
    }
    for (size_t i = 0; i < mux->socket_count; i++) {
        mux_socket *s = &mux->sockets[i];
        if (s->state == MUX_SOCKET_WANTED) {
            s->state = MUX_SOCKET_OPENING;
            *out = (duet_request){
                .kind = DUET_REQUEST_OPEN, .id = s->id, .bind = s->interface, .share_port = mux->config.share_port};
            out->bind.port = mux->config.port;
            return true;
        }
        if (s->state == MUX_SOCKET_CLOSING) {
            s->state = MUX_SOCKET_FAILED;
            s->err = DUET_ERR_IO;
            *out = (duet_request){.kind = DUET_REQUEST_CLOSE, .id = s->id};
            return true;
        }
    }
    return false;
}

static int ops_request(void *object, duet_request *out)
{
    duet_mux *mux = object;

    if (next_own_request(mux, out))
        return 1;
    mux_request *r = mux->first_request;
    if (!r)
        return 0;
    mux->first_request = r->next;
    if (!mux->first_request)
        mux->last_request = NULL;
    *out = r->request;
    if (r->request.name) {
        memcpy(mux->name, r->name, sizeof(mux->name));
        out->name = mux->name;
    }
    duet_free(&mux->env, r);
    return 1;
}

static void ops_set_wake(void *object, void (*wake)(void *user), void *user)
{
    duet_mux *mux = object;

    mux->wake = wake;
    mux->wake_user = user;
}

void duet_mux_get_stats(const duet_mux *mux, duet_mux_stats *out)
{
    *out = mux->stats;
    out->remotes = mux->remote_count;
}

const duet_endpoint_ops *duet_mux_endpoint_ops(void)
{
    static const duet_endpoint_ops ops = {sizeof(ops),    ops_input, ops_output,   ops_request,  ops_answer,
                                          ops_path_error, ops_tick,  ops_deadline, ops_set_wake, NULL};

    return &ops;
}
