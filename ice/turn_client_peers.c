/* Permissions and channels of a TURN client: which peers may send to the relayed address, and which have a number.
 *
 * RFC 8656 sections 9 to 12. What carries data is renewed every four minutes; what does not is left to expire. */
#include "ice/turn_client_internal.h"

#define CHANNEL_FIRST 0x4000u /* "0x4000-0x4FFF: These values are the allowed channel numbers" RFC 8656 section 12 */
#define RETRY_AFTER   DUET_SECONDS(10)
#define TOGETHER      DUET_SECONDS(30) /* what is due so soon is renewed with the others, for fewer wake-ups */

static turn_permission *permission_at(const duet_turn_client *c, size_t index)
{
    return duet_array_at(&c->permissions, index);
}

static turn_channel *channel_at(const duet_turn_client *c, size_t index)
{
    return duet_array_at(&c->channels, index);
}

turn_permission *duet_turn_client_permission(const duet_turn_client *c, const duet_address *peer)
{
    for (size_t i = 0; i < c->permissions.count; i++) {
        if (duet_address_ip_equal(&permission_at(c, i)->ip, peer))
            return permission_at(c, i);
    }
    return NULL;
}

turn_channel *duet_turn_client_channel(duet_turn_client *c, const duet_address *peer)
{
    if (c->last_channel < c->channels.count && duet_address_equal(&channel_at(c, c->last_channel)->peer, peer))
        return channel_at(c, c->last_channel);
    for (size_t i = 0; i < c->channels.count; i++) {
        if (!duet_address_equal(&channel_at(c, i)->peer, peer))
            continue;
        c->last_channel = i;
        return channel_at(c, i);
    }
    return NULL;
}

/* The place of a permission that nobody uses; those that are asked for are named in transactions. */
static turn_permission *unused_permission(duet_turn_client *c)
{
    for (size_t i = 0; i < c->permissions.count; i++) {
        turn_permission *p = permission_at(c, i);
        if (p->state == TURN_PEER_IDLE || p->state == TURN_PEER_REFUSED)
            return p;
    }
    return NULL;
}

int duet_turn_client_permit(duet_turn_client *c, const duet_address *peer)
{
    turn_permission *p = duet_turn_client_permission(c, peer);

    if (p && p->state == TURN_PEER_REFUSED)
        return DUET_ERR_AUTH;
    if (p && p->state != TURN_PEER_IDLE) {
        p->used = true;
        return DUET_OK;
    }
    if (!p && c->permissions.count >= DUET_TURN_PERMISSIONS_MAX) {
        p = unused_permission(c);
        if (!p)
            return DUET_ERR_LIMIT;
    }
    if (!p)
        p = duet_array_push(&c->permissions);
    if (!p)
        return DUET_ERR_NOMEM;
    *p = (turn_permission){.ip = *peer, .state = TURN_PEER_WANTED, .used = true};
    p->ip.port = 0;
    c->has_wanted = true;
    return DUET_OK;
}

bool duet_turn_client_is_refused(const duet_turn_client *c, const duet_address *peer)
{
    const turn_permission *p = duet_turn_client_permission(c, peer);

    return p && p->state == TURN_PEER_REFUSED;
}

int duet_turn_client_bind(duet_turn_client *c, const duet_address *peer)
{
    turn_channel *ch = duet_turn_client_channel(c, peer);

    if (!ch && c->channels.count >= DUET_TURN_CHANNELS_MAX)
        return DUET_ERR_LIMIT;
    if (!ch) {
        ch = duet_array_push(&c->channels);
        if (!ch)
            return DUET_ERR_NOMEM;
        *ch = (turn_channel){.peer = *peer, .number = (uint16_t)(CHANNEL_FIRST + c->next_number++)};
    }
    ch->used = true;
    if (ch->state != TURN_PEER_IDLE)
        return DUET_OK;
    ch->state = TURN_PEER_WANTED;
    c->has_wanted = true;
    return DUET_OK;
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

/* One request for up to TURN_PEERS_MAX of the permissions that are wanted. @return false when no more can be asked */
static bool ask_permissions(duet_turn_client *c, duet_time now)
{
    turn_transaction *t = NULL;

    for (size_t i = 0; i < c->permissions.count; i++) {
        turn_permission *p = permission_at(c, i);
        if (p->state != TURN_PEER_WANTED || (t && (p->alone || t->peer_count == TURN_PEERS_MAX)))
            continue;
        if (!t)
            t = duet_turn_client_begin(c, DUET_STUN_CREATE_PERMISSION);
        if (!t)
            return false;
        p->state = TURN_PEER_ASKED;
        t->peers[t->peer_count++] = (uint8_t)i;
        if (p->alone)
            break;
    }
    if (t)
        duet_turn_client_transmit(c, t, now);
    return t != NULL;
}

static bool is_wanting(const duet_turn_client *c)
{
    for (size_t i = 0; i < c->permissions.count; i++) {
        if (permission_at(c, i)->state == TURN_PEER_WANTED)
            return true;
    }
    for (size_t i = 0; i < c->channels.count; i++) {
        if (channel_at(c, i)->state == TURN_PEER_WANTED)
            return true;
    }
    return false;
}

void duet_turn_client_peers_flush(duet_turn_client *c, duet_time now)
{
    if (c->info.state != DUET_TURN_ALLOCATED || !c->has_wanted)
        return;
    while (ask_permissions(c, now))
        ;
    for (size_t i = 0; i < c->channels.count; i++) {
        turn_channel *ch = channel_at(c, i);
        turn_transaction *t = ch->state == TURN_PEER_WANTED ? duet_turn_client_begin(c, DUET_STUN_CHANNEL_BIND) : NULL;
        if (!t)
            continue;
        ch->state = TURN_PEER_ASKED;
        t->channel = (uint8_t)i;
        duet_turn_client_transmit(c, t, now);
    }
    c->has_wanted = is_wanting(c); /* beyond the transactions that there are */
}

void duet_turn_client_add_peers(const duet_turn_client *c, const turn_transaction *t, duet_stun_builder *b)
{
    if (t->method == DUET_STUN_CHANNEL_BIND) {
        const turn_channel *ch = channel_at(c, t->channel);
        duet_stun_add_u16(b, DUET_STUN_CHANNEL_NUMBER, ch->number);
        duet_stun_add_address(b, DUET_STUN_XOR_PEER_ADDRESS, &ch->peer);
        return;
    }
    for (size_t i = 0; i < t->peer_count; i++)
        duet_stun_add_address(b, DUET_STUN_XOR_PEER_ADDRESS, &permission_at(c, t->peers[i])->ip);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void arm(duet_turn_client *c)
{
    duet_time next = DUET_NEVER;

    for (size_t i = 0; i < c->permissions.count; i++) {
        const turn_permission *p = permission_at(c, i);
        if (p->state == TURN_PEER_GRANTED && p->renew_at < next)
            next = p->renew_at;
    }
    for (size_t i = 0; i < c->channels.count; i++) {
        const turn_channel *ch = channel_at(c, i);
        if (ch->state == TURN_PEER_GRANTED && ch->renew_at < next)
            next = ch->renew_at;
    }
    duet_timers_set(&c->timers, &c->renew_timer, next);
}

static void permission_granted(turn_permission *p, duet_time now)
{
    p->state = TURN_PEER_GRANTED;
    p->alone = false;
    p->renew_at = now + TURN_RENEW_AFTER;
}

void duet_turn_client_peers_granted(duet_turn_client *c, const turn_transaction *t, duet_time now)
{
    if (t->method == DUET_STUN_CHANNEL_BIND) {
        turn_channel *ch = channel_at(c, t->channel);
        turn_permission *p = duet_turn_client_permission(c, &ch->peer);
        ch->state = TURN_PEER_GRANTED;
        ch->is_bound = true;
        ch->renew_at = now + TURN_RENEW_AFTER;
        /* "the server MUST install or refresh the permission for the IP address" RFC 8656 section 12.2 */
        if (p && p->state != TURN_PEER_ASKED)
            permission_granted(p, now);
    }
    for (size_t i = 0; i < t->peer_count; i++)
        permission_granted(permission_at(c, t->peers[i]), now);
    arm(c);
}

static bool is_about_the_peer(unsigned code)
{
    return code == 403 || code == 443 || code == 400 || code == 447;
}

/* 403 and 443 are final for that peer. Anything else is tried again later. */
void duet_turn_client_peers_refused(duet_turn_client *c, const turn_transaction *t, unsigned code, duet_time now)
{
    if (t->method == DUET_STUN_CHANNEL_BIND) {
        turn_channel *ch = channel_at(c, t->channel);
        ch->state = is_about_the_peer(code) ? TURN_PEER_REFUSED : TURN_PEER_GRANTED;
        ch->is_bound = ch->is_bound && !is_about_the_peer(code);
        ch->renew_at = now + RETRY_AFTER;
    }
    for (size_t i = 0; i < t->peer_count; i++) {
        turn_permission *p = permission_at(c, t->peers[i]);
        if (is_about_the_peer(code) && t->peer_count > 1) {
            /* "If any of the peers is not allowed, no permission is created": RFC 8656 section 10.2. */
            p->state = TURN_PEER_WANTED;
            p->alone = true;
            c->has_wanted = true;
        } else if (is_about_the_peer(code)) {
            p->state = TURN_PEER_REFUSED;
        } else {
            p->state = TURN_PEER_GRANTED; /* as far as anybody knows */
            p->renew_at = now + RETRY_AFTER;
        }
    }
    arm(c);
}

void duet_turn_client_peers_renew(duet_turn_client *c, duet_time now)
{
    for (size_t i = 0; i < c->channels.count; i++) {
        turn_channel *ch = channel_at(c, i);
        if (ch->state != TURN_PEER_GRANTED || ch->renew_at > now + TOGETHER)
            continue;
        ch->state = ch->used ? TURN_PEER_WANTED : TURN_PEER_IDLE;
        ch->is_bound = ch->is_bound && ch->used;
        turn_permission *p = duet_turn_client_permission(c, &ch->peer);
        if (p && p->state == TURN_PEER_GRANTED && ch->used)
            p->renew_at = now + TURN_RENEW_AFTER; /* it is renewed along */
        ch->used = false;
    }
    for (size_t i = 0; i < c->permissions.count; i++) {
        turn_permission *p = permission_at(c, i);
        if (p->state != TURN_PEER_GRANTED || p->renew_at > now + TOGETHER)
            continue;
        p->state = p->used ? TURN_PEER_WANTED : TURN_PEER_IDLE;
        p->used = false;
    }
    c->has_wanted = true;
    duet_turn_client_peers_flush(c, now);
    arm(c);
}
