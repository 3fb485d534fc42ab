/* Token buckets and counts of connections in bounded tables. Agents and rooms are found by a keyed hash of their names
 * (SipHash-2-4, Aumasson and Bernstein 2012), addresses by their first 64 bits (RFC 4291 section 2.5.4: the rest is the
 * interface's own choice). Entries that nothing holds are listed by their last use, and go when a newcomer needs room. */
#include "signaling/limits.h"
#include "base/map.h"
#include <string.h>

#define ENTRIES_DEFAULT 65536
/* Of the entries that are longest unused, so many are looked at when a new one comes: it costs the same in any flood. */
#define RECLAIM_LOOKS 8
/* A newcomer that finds the table full. */
#define FULL_RETRY_MS 1000
/* Of a token: sums of many small refills end a little below the whole. */
#define ROUNDING 1e-9

typedef struct limits_entry limits_entry;

struct limits_entry {
    limits_entry *prev, *next; /* in the list of those without connections */
    uint64_t key;
    duet_bucket messages;
    unsigned connections;
};

typedef struct limits_table {
    duet_map entries;
    limits_entry idle; /* a ring: idle.next is longest unused */
} limits_table;

struct duet_limits {
    duet_env env;
    duet_limits_config config;
    uint64_t secret[2];
    limits_table tables[DUET_LIMIT_KINDS];
};

/* ---- buckets ---- */

static double bucket_size(const duet_rate *rate)
{
    return rate->burst > 1 ? rate->burst : 1;
}

/* @return -ROUNDING up to the size */
static double tokens_now(const duet_bucket *bucket, const duet_rate *rate, duet_time now)
{
    double size = bucket_size(rate);

    if (bucket->filled_at == 0)
        return size;
    double passed = now > bucket->filled_at ? (double)(now - bucket->filled_at) / 1e6 : 0;
    double tokens = bucket->tokens + passed * rate->per_second;
    return tokens < size ? tokens : size;
}

bool duet_bucket_take(duet_bucket *bucket, const duet_rate *rate, double cost, duet_time now, uint64_t *retry_ms)
{
    if (retry_ms)
        *retry_ms = 0;
    if (rate->per_second <= 0)
        return true;
    double tokens = tokens_now(bucket, rate, now);
    double price = cost < bucket_size(rate) ? cost : bucket_size(rate);
    bool enough = tokens + ROUNDING >= price;
    bucket->tokens = tokens - (enough ? price : 0);
    bucket->filled_at = now ? now : 1;
    if (!enough && retry_ms)
        *retry_ms = (uint64_t)((price - tokens) / rate->per_second * 1000) + 1;
    return enough;
}

/* ---- keys ---- */

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

/* Two names with one key cannot be found without the secret, so entries need no names. */
static uint64_t name_key(const uint64_t secret[2], const char *name)
{
    uint64_t v[4] = {secret[0] ^ 0x736f6d6570736575u, secret[1] ^ 0x646f72616e646f6du, secret[0] ^ 0x6c7967656e657261u,
                     secret[1] ^ 0x7465646279746573u};
    size_t len = strlen(name);
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)(uint8_t)name[i] << (8 * (i & 7));
        if ((i & 7) == 7) {
            sip_word(v, word);
            word = 0;
        }
    }
    sip_word(v, word | (uint64_t)len << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t big_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* IPv4 addresses take keys of ffff:ffff:…, where IPv6 has only multicast; so do the IPv4-mapped ones, which would all
 * be of one /64 (RFC 4291 section 2.5.5.2). */
static uint64_t address_key(const uint64_t secret[2], const char *text)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    duet_address a;

    if (duet_address_parse(&a, text, 0) != DUET_OK)
        return name_key(secret, text);
    if (a.family == DUET_AF_INET)
        return UINT64_MAX << 32 | big_endian(a.ip, 4);
    if (memcmp(a.ip, mapped, sizeof(mapped)) == 0)
        return UINT64_MAX << 32 | big_endian(a.ip + sizeof(mapped), 4);
    return big_endian(a.ip, 8);
}

static uint64_t key_of(const duet_limits *limits, duet_limit_kind kind, const char *name)
{
    return kind == DUET_LIMIT_ADDRESS ? address_key(limits->secret, name) : name_key(limits->secret, name);
}

/* ---- tables ---- */

static void idle_unlink(limits_entry *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
}

static void idle_append(limits_table *t, limits_entry *e)
{
    e->prev = t->idle.prev;
    e->next = &t->idle;
    e->prev->next = e;
    t->idle.prev = e;
}

/* Forgets what would be the same if it were made anew. */
static void reclaim(duet_limits *limits, duet_limit_kind kind, duet_time now)
{
    const duet_rate *rate = &limits->config.messages[kind];
    limits_table *t = &limits->tables[kind];
    limits_entry *e = t->idle.next;

    for (int i = 0; i < RECLAIM_LOOKS && e != &t->idle; i++) {
        limits_entry *next = e->next;
        if (tokens_now(&e->messages, rate, now) >= bucket_size(rate)) {
            idle_unlink(e);
            duet_map_remove(&t->entries, e->key);
            duet_free(&limits->env, e);
        }
        e = next;
    }
}

static limits_entry *add(duet_limits *limits, duet_limit_kind kind, uint64_t key, duet_time now)
{
    limits_table *t = &limits->tables[kind];

    reclaim(limits, kind, now);
    if (t->entries.count >= limits->config.max_entries)
        return NULL;
    limits_entry *e = duet_calloc(&limits->env, sizeof(*e));
    if (!e)
        return NULL;
    e->key = key;
    if (duet_map_set(&t->entries, key, e) != DUET_OK) {
        duet_free(&limits->env, e);
        return NULL;
    }
    idle_append(t, e);
    return e;
}

static limits_entry *find_or_add(duet_limits *limits, duet_limit_kind kind, const char *name, duet_time now)
{
    uint64_t key = key_of(limits, kind, name);
    limits_entry *e = duet_map_get(&limits->tables[kind].entries, key);

    return e ? e : add(limits, kind, key, now);
}

/* ---- the object ---- */

int duet_limits_create(duet_limits **out, const duet_env *env, const duet_limits_config *config)
{
    duet_env resolved = duet_env_resolve(env);
    duet_limits *limits = duet_calloc(&resolved, sizeof(*limits));

    *out = NULL;
    if (!limits)
        return DUET_ERR_NOMEM;
    limits->env = resolved;
    duet_limits_configure(limits, config);
    int err = duet_random(&limits->env, limits->secret, sizeof(limits->secret));
    for (int k = 0; k < DUET_LIMIT_KINDS; k++) {
        limits_table *t = &limits->tables[k];
        t->idle.prev = t->idle.next = &t->idle;
        if (err == DUET_OK)
            err = duet_map_init(&t->entries, &limits->env);
    }
    if (err != DUET_OK)
        duet_free(&resolved, limits);
    else
        *out = limits;
    return err;
}

void duet_limits_destroy(duet_limits *limits)
{
    if (!limits)
        return;
    for (int k = 0; k < DUET_LIMIT_KINDS; k++) {
        duet_map *m = &limits->tables[k].entries;
        size_t cursor = 0;
        uint64_t key;
        void *entry;
        while (duet_map_next(m, &cursor, &key, &entry))
            duet_free(&limits->env, entry);
        duet_map_free(m);
    }
    duet_env env = limits->env;
    duet_free(&env, limits);
}

void duet_limits_configure(duet_limits *limits, const duet_limits_config *config)
{
    limits->config = *config;
    if (limits->config.max_entries == 0)
        limits->config.max_entries = ENTRIES_DEFAULT;
}

size_t duet_limits_count(const duet_limits *limits, duet_limit_kind kind)
{
    return limits->tables[kind].entries.count;
}

bool duet_limits_message(duet_limits *limits, duet_limit_kind kind, const char *name, duet_time now, uint64_t *retry_ms)
{
    const duet_rate *rate = &limits->config.messages[kind];

    if (retry_ms)
        *retry_ms = 0;
    if (rate->per_second <= 0)
        return true;
    limits_entry *e = find_or_add(limits, kind, name, now);
    if (!e) {
        if (retry_ms)
            *retry_ms = FULL_RETRY_MS;
        return false;
    }
    if (e->connections == 0) {
        idle_unlink(e);
        idle_append(&limits->tables[kind], e);
    }
    return duet_bucket_take(&e->messages, rate, 1, now, retry_ms);
}

bool duet_limits_connect(duet_limits *limits, duet_limit_kind kind, const char *name, duet_time now)
{
    unsigned most = limits->config.connections[kind];
    limits_entry *e = find_or_add(limits, kind, name, now);

    if (!e || (most && e->connections >= most))
        return false;
    if (e->connections++ == 0)
        idle_unlink(e);
    return true;
}

void duet_limits_disconnect(duet_limits *limits, duet_limit_kind kind, const char *name)
{
    limits_table *t = &limits->tables[kind];
    limits_entry *e = duet_map_get(&t->entries, key_of(limits, kind, name));

    if (!e || e->connections == 0)
        return;
    if (--e->connections == 0)
        idle_append(t, e);
}
