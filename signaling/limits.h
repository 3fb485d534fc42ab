/* Protection against those who ask too much: token buckets and counts of connections, by agent, by address, by room. Pure:
 * time is an argument, tables are bounded. */
#ifndef DUET_SIGNALING_LIMITS_H
#define DUET_SIGNALING_LIMITS_H

#include "base/memory.h"

/* So many tokens come each second, and at most `burst` are kept (at least 1). A rate of 0 means no limit. */
typedef struct duet_rate {
    double per_second, burst;
} duet_rate;

typedef struct duet_bucket {
    double tokens;
    duet_time filled_at; /* 0: never used, full */
} duet_bucket;

/* Takes `cost` tokens, or all of a full bucket when that is less. @param retry_ms  when there are too few: in how many milliseconds there would be enough; may be NULL
 * @return whether there were enough */
bool duet_bucket_take(duet_bucket *bucket, const duet_rate *rate, double cost, duet_time now, uint64_t *retry_ms);

typedef enum duet_limit_kind {
    DUET_LIMIT_AGENT = 0,
    DUET_LIMIT_ADDRESS, /* an IPv4 address, an IPv6 /64 */
    DUET_LIMIT_ROOM,
    DUET_LIMIT_KINDS,
} duet_limit_kind;

typedef struct duet_limits_config {
    duet_rate messages[DUET_LIMIT_KINDS];   /* by agent, address, room */
    unsigned connections[DUET_LIMIT_KINDS]; /* at once, by agent and address; 0: no limit. Rooms have seats instead */
    size_t max_entries; /* of each table; 0: 65536. When full, entries whose buckets are full and that have
                                             * no connection go (eight that are longest unused are looked at);
                                             * when there are none, newcomers are refused */
} duet_limits_config;

typedef struct duet_limits duet_limits;

int duet_limits_create(duet_limits **out, const duet_env *env, const duet_limits_config *config);
void duet_limits_destroy(duet_limits *limits);
/* How many names are remembered at present. */
size_t duet_limits_count(const duet_limits *limits, duet_limit_kind kind);
/* New figures for what comes from now on; counts and buckets stay. */
void duet_limits_configure(duet_limits *limits, const duet_limits_config *config);

/* One message of cost 1. @param name  agent id, address text without port, or room id
 * @return false when there are too many, or when there is no room or no memory to remember a new name */
bool duet_limits_message(duet_limits *limits, duet_limit_kind kind, const char *name, duet_time now,
                         uint64_t *retry_ms);
/* A connection comes (false: too many already, or no room to remember a new name) and goes; only one that came may go. */
bool duet_limits_connect(duet_limits *limits, duet_limit_kind kind, const char *name, duet_time now);
void duet_limits_disconnect(duet_limits *limits, duet_limit_kind kind, const char *name);

#endif
