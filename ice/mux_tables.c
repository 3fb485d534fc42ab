/* Whose datagram it is: by the username fragment of a Binding request (RFC 8445 section 7.3), or by the address that it comes
 * from. An address becomes an endpoint's when that one sends to it; a check that it answers, whose integrity it has
 * thus verified, also takes over an address whose former owner has not been heard from for a while. */
#include "base/crypto.h"
#include "base/seeded.h"
#include "duet/stun.h"
#include "ice/mux_internal.h"
#include <string.h>

/* ---- username fragments ------------------------------------------------------------------------------------------------ */

static uint64_t hash_bytes(const duet_mux *mux, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t hash = mux->ufrags.seed;

    for (size_t i = 0; i < len; i++)
        hash = duet_mix64(hash ^ p[i]);
    return hash;
}

/* "the username fragment of the ... agent that receives the request ... colon" RFC 8445 section 7.2.2 */
mux_member *duet_mux_owner_by_ufrag(const duet_mux *mux, const uint8_t *data, size_t len)
{
    duet_stun_message m;
    duet_stun_attribute username;

    if (duet_stun_parse(&m, data, len) != DUET_OK || !duet_stun_find(&m, DUET_STUN_USERNAME, &username))
        return NULL;
    const uint8_t *colon = username.len ? memchr(username.value, ':', username.len) : NULL;
    if (!colon)
        return NULL;
    size_t ufrag_len = (size_t)(colon - username.value);
    mux_ufrag *u = duet_map_get(&mux->ufrags, hash_bytes(mux, username.value, ufrag_len));
    while (u && (strlen(u->text) != ufrag_len || memcmp(u->text, username.value, ufrag_len) != 0))
        u = u->next_same_key;
    return u ? u->member : NULL;
}

static void ufrag_add(mux_member *member, const char *text)
{
    duet_mux *mux = member->mux;
    uint64_t key = hash_bytes(mux, text, strlen(text));
    mux_ufrag *u = strlen(text) <= DUET_UFRAG_MAX ? duet_calloc(&mux->env, sizeof(*u)) : NULL;

    if (!u)
        return; /* asked again after the next turn */
    memcpy(u->text, text, strlen(text));
    u->member = member;
    u->next_same_key = duet_map_get(&mux->ufrags, key);
    if (duet_map_set(&mux->ufrags, key, u) != DUET_OK) {
        duet_free(&mux->env, u);
        return;
    }
    u->next = member->ufrags;
    member->ufrags = u;
}

static void ufrag_unlink(duet_mux *mux, mux_ufrag *u)
{
    uint64_t key = hash_bytes(mux, u->text, strlen(u->text));
    mux_ufrag *first = duet_map_get(&mux->ufrags, key);

    if (first != u) {
        while (first->next_same_key != u)
            first = first->next_same_key;
        first->next_same_key = u->next_same_key;
    } else if (u->next_same_key) {
        (void)duet_map_set(&mux->ufrags, key, u->next_same_key); /* replaces: needs no memory */
    } else {
        duet_map_remove(&mux->ufrags, key);
    }
}

static void ufrags_drop_stale(mux_member *member)
{
    mux_ufrag **link = &member->ufrags;

    while (*link) {
        mux_ufrag *u = *link;
        if (!u->stale) {
            link = &u->next;
            continue;
        }
        *link = u->next;
        ufrag_unlink(member->mux, u);
        duet_free(&member->mux->env, u);
    }
}

void duet_mux_ufrags_refresh(mux_member *member)
{
    for (mux_ufrag *u = member->ufrags; u; u = u->next)
        u->stale = true;
    for (size_t i = 0;; i++) {
        const char *text = member->ops->local_ufrag(member->object, i);
        mux_ufrag *u = member->ufrags;
        if (!text)
            break;
        while (u && strcmp(u->text, text) != 0)
            u = u->next;
        if (u)
            u->stale = false;
        else
            ufrag_add(member, text);
    }
    ufrags_drop_stale(member);
}

/* ---- remote addresses ---------------------------------------------------------------------------------------------------- */

static uint64_t remote_key(const duet_mux *mux, uint32_t socket, const duet_address *a)
{
    uint64_t high, low;

    memcpy(&high, a->ip, sizeof(high));
    memcpy(&low, a->ip + sizeof(high), sizeof(low));
    uint64_t hash = duet_mix64(mux->remotes.seed ^ ((uint64_t)socket << 16 | a->port));
    return duet_mix64(duet_mix64(hash ^ high) ^ low);
}

mux_remote *duet_mux_remote_find(const duet_mux *mux, uint32_t socket, const duet_address *address)
{
    mux_remote *r = duet_map_get(&mux->remotes, remote_key(mux, socket, address));

    while (r && (r->socket != socket || !duet_address_equal(&r->address, address)))
        r = r->next_same_key;
    return r;
}

static void remote_unlink_from_member(mux_remote *r)
{
    mux_member *member = r->member;
    mux_remote **link = &member->remotes;

    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
    member->remote_count--;
    member->last_remote = NULL;
}

static void remote_free(duet_mux *mux, mux_remote *r)
{
    uint64_t key = remote_key(mux, r->socket, &r->address);
    mux_remote *first = duet_map_get(&mux->remotes, key);

    if (first != r) {
        while (first->next_same_key != r)
            first = first->next_same_key;
        first->next_same_key = r->next_same_key;
    } else if (r->next_same_key) {
        (void)duet_map_set(&mux->remotes, key, r->next_same_key); /* replaces: needs no memory */
    } else {
        duet_map_remove(&mux->remotes, key);
    }
    remote_unlink_from_member(r);
    mux->remote_count--;
    duet_free(&mux->env, r);
}

static void remote_link_to_member(mux_remote *r, mux_member *member)
{
    r->member = member;
    r->next = member->remotes;
    member->remotes = r;
    member->remote_count++;
    member->last_remote = r;
}

static mux_remote *silent_longest(const mux_member *member)
{
    mux_remote *oldest = member->remotes;

    for (mux_remote *r = oldest; r; r = r->next) {
        if (r->heard < oldest->heard)
            oldest = r;
    }
    return oldest;
}

static void remote_add(mux_member *member, uint32_t socket, const duet_address *address)
{
    duet_mux *mux = member->mux;

    if (member->remote_count >= DUET_MUX_REMOTES_EACH)
        remote_free(mux, silent_longest(member));
    mux_remote *r = mux->remote_count < mux->config.remotes_max ? duet_calloc(&mux->env, sizeof(*r)) : NULL;
    if (!r) {
        mux->stats.remotes_refused++;
        return;
    }
    uint64_t key = remote_key(mux, socket, address);
    r->socket = socket;
    r->address = *address;
    r->heard = mux->now;
    r->next_same_key = duet_map_get(&mux->remotes, key);
    if (duet_map_set(&mux->remotes, key, r) != DUET_OK) {
        duet_free(&mux->env, r);
        mux->stats.remotes_refused++;
        return;
    }
    mux->remote_count++;
    remote_link_to_member(r, member);
}

void duet_mux_remote_note(mux_member *member, uint32_t socket, const duet_address *address, bool proves)
{
    duet_mux *mux = member->mux;
    mux_remote *r = member->last_remote;

    if (r && r->socket == socket && duet_address_equal(&r->address, address))
        return;
    r = duet_mux_remote_find(mux, socket, address);
    if (!r) {
        remote_add(member, socket, address);
    } else if (r->member == member) {
        member->last_remote = r;
    } else if (proves && mux->now >= r->heard + DUET_MUX_TAKE_OVER_AFTER) {
        remote_unlink_from_member(r);
        remote_link_to_member(r, member);
        r->heard = mux->now;
    } else {
        mux->stats.remotes_refused++;
    }
}

void duet_mux_tables_forget(mux_member *member)
{
    while (member->remotes)
        remote_free(member->mux, member->remotes);
    for (mux_ufrag *u = member->ufrags; u; u = u->next)
        u->stale = true;
    ufrags_drop_stale(member);
}
