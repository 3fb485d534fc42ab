/* The registry of a TURN service: one lock for what begins and ends, atomics for what every packet asks.
 *
 * RFC 8656 sections 7.2 (ports, reservations) and 21 (quotas). Ports are handed out here, not by the kernel, so that even ports
 * and reserved ones need no open socket and a token works at every worker. */
#include "ice/turn_server_registry.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/seeded.h"
#include <pthread.h>
#include <string.h>

#define PORT_FIRST        49152 /* "The range 49152-65535 (Dynamic and/or Private Ports)" RFC 8656 section 7.2 */
#define PORT_LAST         65535
#define PORT_COUNT        65536
#define ADDRESSES_MAX     16
#define ALLOCATIONS_MAX   100000
#define RESERVATIONS_MAX  1024
#define RESERVATION_TIME  DUET_SECONDS(30)
#define BURST_NANOSECONDS 250000000u

struct turn_account {
    turn_account *next; /* of the same hash */
    uint64_t hash;
    turn_bucket bucket;
    uint32_t allocations;
    size_t len;
    char user[];
};

struct turn_ports {
    duet_address ip;
    atomic_uint_least64_t alive[PORT_COUNT / 64];
    uint64_t taken[PORT_COUNT / 64];
};

typedef struct reservation {
    uint64_t token; /* 0: free */
    duet_time expires;
    turn_ports *ports;
    uint16_t port;
} reservation;

struct duet_turn_registry {
    duet_env env;
    duet_turn_registry_config config;
    pthread_mutex_t lock;
    duet_map accounts; /* by hash of the user's name */
    atomic_uint_least32_t allocations;
    uint64_t seed;
    uint8_t secret[TURN_SECRET_LEN];
    turn_ports *ports[ADDRESSES_MAX];
    size_t port_sets;
    reservation reservations[RESERVATIONS_MAX];
    size_t reservation_count;
};

void duet_turn_registry_config_init(duet_turn_registry_config *config)
{
    *config = (duet_turn_registry_config){.size = sizeof(*config)};
}

int duet_turn_registry_create(duet_turn_registry **out, const duet_turn_registry_config *config)
{
    duet_env env = duet_env_resolve(config ? config->env : NULL);
    duet_turn_registry *r = duet_calloc(&env, sizeof(*r));

    *out = NULL;
    if (!r)
        return DUET_ERR_NOMEM;
    if (config)
        memcpy(&r->config, config, config->size < sizeof(*config) ? config->size : sizeof(*config));
    if (r->config.port_min == 0)
        r->config.port_min = PORT_FIRST;
    if (r->config.port_max == 0)
        r->config.port_max = PORT_LAST;
    if (r->config.allocations_max == 0)
        r->config.allocations_max = ALLOCATIONS_MAX;
    r->env = env;
    pthread_mutex_init(&r->lock, NULL);
    int err = r->config.port_min <= r->config.port_max ? DUET_OK : DUET_ERR_INVALID;
    if (err == DUET_OK)
        err = duet_map_init(&r->accounts, &r->env);
    if (err == DUET_OK)
        err = duet_random(&r->env, r->secret, sizeof(r->secret));
    if (err == DUET_OK)
        err = duet_random(&r->env, &r->seed, sizeof(r->seed));
    if (err != DUET_OK) {
        duet_turn_registry_destroy(r);
        return err;
    }
    *out = r;
    return DUET_OK;
}

void duet_turn_registry_destroy(duet_turn_registry *r)
{
    if (!r)
        return;
    duet_env env = r->env;
    for (size_t i = 0; i < r->port_sets; i++)
        duet_free(&env, r->ports[i]);
    duet_map_free(&r->accounts); /* the accounts left with their allocations */
    pthread_mutex_destroy(&r->lock);
    duet_free(&env, r);
}

uint32_t duet_turn_registry_allocations(const duet_turn_registry *r)
{
    return atomic_load_explicit(&r->allocations, memory_order_relaxed);
}

const uint8_t *duet_turn_registry_secret(const duet_turn_registry *r)
{
    return r->secret;
}

/* ---- bandwidth ---- */

bool duet_turn_bucket_take(turn_bucket *bucket, uint64_t rate, size_t len, duet_time now)
{
    if (rate == 0)
        return true;
    uint64_t now_ns = now * 1000u;
    uint64_t cost = (uint64_t)len * 1000000000u / rate;
    uint64_t busy_until = atomic_load_explicit(&bucket->busy_until, memory_order_relaxed);
    for (;;) {
        uint64_t start = busy_until > now_ns ? busy_until : now_ns;
        if (start - now_ns > BURST_NANOSECONDS)
            return false;
        if (atomic_compare_exchange_weak_explicit(&bucket->busy_until, &busy_until, start + cost, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
}

/* ---- users ---- */

static uint64_t hash_name(const duet_turn_registry *r, const char *user, size_t len)
{
    uint64_t h = r->seed ^ len;

    for (size_t i = 0; i < len; i++)
        h = duet_mix64(h ^ (uint8_t)user[i]);
    return h;
}

static turn_account *account_find(const duet_turn_registry *r, uint64_t hash, const char *user, size_t len)
{
    turn_account *a = duet_map_get(&r->accounts, hash);

    while (a && (a->len != len || memcmp(a->user, user, len) != 0))
        a = a->next;
    return a;
}

static turn_account *account_add(duet_turn_registry *r, uint64_t hash, const char *user, size_t len)
{
    turn_account *a = duet_calloc(&r->env, sizeof(*a) + len);

    if (!a)
        return NULL;
    a->hash = hash;
    a->len = len;
    memcpy(a->user, user, len);
    a->next = duet_map_get(&r->accounts, hash);
    if (duet_map_set(&r->accounts, hash, a) == DUET_OK)
        return a;
    duet_free(&r->env, a);
    return NULL;
}

static void account_drop(duet_turn_registry *r, turn_account *account)
{
    turn_account *first = duet_map_remove(&r->accounts, account->hash);
    turn_account **link = &first;

    while (*link != account)
        link = &(*link)->next;
    *link = account->next;
    if (first)
        (void)duet_map_set(&r->accounts, account->hash, first); /* there is room: one was just removed */
    duet_free(&r->env, account);
}

static int take_locked(turn_account **out, duet_turn_registry *r, const char *user, size_t len)
{
    uint32_t per_user = r->config.allocations_per_user;
    uint64_t hash = hash_name(r, user, len);
    turn_account *a = account_find(r, hash, user, len);

    if (a && per_user && a->allocations >= per_user)
        return DUET_ERR_LIMIT;
    if (duet_turn_registry_allocations(r) >= r->config.allocations_max)
        return DUET_ERR_AGAIN;
    if (!a)
        a = account_add(r, hash, user, len);
    if (!a)
        return DUET_ERR_NOMEM;
    a->allocations++;
    atomic_fetch_add_explicit(&r->allocations, 1, memory_order_relaxed);
    *out = a;
    return DUET_OK;
}

int duet_turn_account_take(turn_account **out, duet_turn_registry *r, const char *user, size_t len)
{
    pthread_mutex_lock(&r->lock);
    int err = take_locked(out, r, user, len);
    pthread_mutex_unlock(&r->lock);
    return err;
}

void duet_turn_account_leave(turn_account *account, duet_turn_registry *r)
{
    pthread_mutex_lock(&r->lock);
    atomic_fetch_sub_explicit(&r->allocations, 1, memory_order_relaxed);
    if (--account->allocations == 0)
        account_drop(r, account);
    pthread_mutex_unlock(&r->lock);
}

bool duet_turn_account_may_relay(turn_account *account, const duet_turn_registry *r, size_t len, duet_time now)
{
    return duet_turn_bucket_take(&account->bucket, r->config.user_bandwidth, len, now);
}

/* ---- ports ---- */

static bool bit(const uint64_t *bits, uint32_t port)
{
    return bits[port / 64] >> (port % 64) & 1;
}

static void set_bit(uint64_t *bits, uint32_t port, bool on)
{
    uint64_t mask = (uint64_t)1 << (port % 64);

    bits[port / 64] = on ? bits[port / 64] | mask : bits[port / 64] & ~mask;
}

static int ports_locked(turn_ports **out, duet_turn_registry *r, const duet_address *ip)
{
    for (size_t i = 0; i < r->port_sets; i++) {
        if (duet_address_ip_equal(&r->ports[i]->ip, ip)) {
            *out = r->ports[i];
            return DUET_OK;
        }
    }
    if (r->port_sets == ADDRESSES_MAX)
        return DUET_ERR_LIMIT;
    turn_ports *ports = duet_calloc(&r->env, sizeof(*ports));
    if (!ports)
        return DUET_ERR_NOMEM;
    ports->ip = *ip;
    r->ports[r->port_sets++] = ports;
    *out = ports;
    return DUET_OK;
}

int duet_turn_registry_ports(turn_ports **out, duet_turn_registry *r, const duet_address *ip)
{
    pthread_mutex_lock(&r->lock);
    int err = ports_locked(out, r, ip);
    pthread_mutex_unlock(&r->lock);
    return err;
}

static bool port_fits(const turn_ports *ports, const duet_turn_registry *r, uint32_t port, bool even, bool pair)
{
    if (bit(ports->taken, port) || (even && port % 2 != 0))
        return false;
    return !pair || (port < r->config.port_max && !bit(ports->taken, port + 1));
}

/* "the server SHOULD ... randomly allocate the port" RFC 8656 section 7.2: the first that fits from a random one on. */
uint16_t duet_turn_ports_take(turn_ports *ports, duet_turn_registry *r, bool even, bool pair)
{
    uint32_t count = (uint32_t)r->config.port_max - r->config.port_min + 1;
    uint32_t start, found = 0;

    if (duet_random(&r->env, &start, sizeof(start)) != DUET_OK)
        return 0;
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < count && !found; i++) {
        uint32_t port = r->config.port_min + (start % count + i) % count;
        if (port_fits(ports, r, port, even, pair))
            found = port;
    }
    if (found)
        set_bit(ports->taken, found, true);
    if (found && pair)
        set_bit(ports->taken, found + 1, true);
    pthread_mutex_unlock(&r->lock);
    return (uint16_t)found;
}

void duet_turn_ports_give_back(turn_ports *ports, duet_turn_registry *r, uint16_t port)
{
    pthread_mutex_lock(&r->lock);
    set_bit(ports->taken, port, false);
    pthread_mutex_unlock(&r->lock);
}

void duet_turn_ports_set_alive(turn_ports *ports, uint16_t port, bool alive)
{
    uint64_t mask = (uint64_t)1 << (port % 64);

    if (alive)
        atomic_fetch_or_explicit(&ports->alive[port / 64], mask, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&ports->alive[port / 64], ~mask, memory_order_relaxed);
}

bool duet_turn_ports_is_alive(const turn_ports *ports, uint16_t port)
{
    return atomic_load_explicit(&ports->alive[port / 64], memory_order_relaxed) >> (port % 64) & 1;
}

/* ---- reservations ---- */

/* Frees what has expired. */
static void reservations_sweep(duet_turn_registry *r, duet_time now)
{
    for (size_t i = 0; i < r->reservation_count;) {
        reservation *v = &r->reservations[i];
        if (v->expires > now) {
            i++;
            continue;
        }
        set_bit(v->ports->taken, v->port, false);
        *v = r->reservations[--r->reservation_count];
    }
}

uint64_t duet_turn_reserve(duet_turn_registry *r, turn_ports *ports, uint16_t port, duet_time now)
{
    uint64_t token;

    bool made = duet_random(&r->env, &token, sizeof(token)) == DUET_OK && token != 0;
    pthread_mutex_lock(&r->lock);
    reservations_sweep(r, now);
    if (made && r->reservation_count < RESERVATIONS_MAX) {
        r->reservations[r->reservation_count++] = (reservation){token, now + RESERVATION_TIME, ports, port};
    } else {
        set_bit(ports->taken, port, false);
        token = 0;
    }
    pthread_mutex_unlock(&r->lock);
    return token;
}

uint16_t duet_turn_redeem(duet_turn_registry *r, turn_ports **ports, uint64_t token, duet_time now)
{
    uint16_t port = 0;

    pthread_mutex_lock(&r->lock);
    reservations_sweep(r, now);
    for (size_t i = 0; i < r->reservation_count && !port; i++) {
        reservation *v = &r->reservations[i];
        if (v->token != token)
            continue;
        port = v->port;
        *ports = v->ports;
        *v = r->reservations[--r->reservation_count];
    }
    pthread_mutex_unlock(&r->lock);
    return port;
}
