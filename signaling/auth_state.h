/* What the parts of duet_auth share: the object with its tickets (auth.c), fetched keys (auth_keys.c), and the authority with
 * the cache of its answers (auth_authority.c). */
#ifndef DUET_SIGNALING_AUTH_STATE_H
#define DUET_SIGNALING_AUTH_STATE_H

#include "base/crypto.h"
#include "base/map.h"
#include "signaling/auth.h"

/* One token that waits. Tickets with the same cause are a ring around a head. */
struct duet_auth_ticket {
    duet_auth_ticket *prev, *next;
    duet_auth *auth;
    duet_auth_done done;
    void *user;
    int64_t wall_seconds;
    char *token; /* NULL: no longer needed */
    size_t len;
};

/* The answer to one check. */
typedef struct auth_answer {
    int err;
    duet_token_claims claims;
    const char *reason; /* static */
} auth_answer;

/* What the authority said about a token, or is being asked. */
typedef struct auth_entry {
    struct auth_entry *prev, *next; /* among those answered, oldest first */
    duet_auth *auth;
    uint8_t digest[DUET_SHA256_LEN];
    void *request; /* NULL: answered */
    duet_auth_ticket waiting;
    auth_answer answer;
    int64_t asked_at, until; /* wall seconds */
} auth_entry;

struct duet_auth {
    duet_env env;
    const duet_token_keys *keys;
    duet_token_policy policy;
    char *audience, *issuer;
    char *jwks_url, *authority_url;
    duet_http http;
    unsigned cache_seconds;
    duet_auth_stats stats;
    size_t tickets;
    duet_time now; /* of the last tick */

    duet_token_keys *fetched; /* NULL: none, or too old */
    void *fetching;           /* the request */
    duet_time fetching_since, fetch_at, fetched_until;
    int64_t early_at;         /* wall seconds of the last fetch out of turn */
    duet_auth_ticket unknown; /* wait for keys */

    duet_map entries; /* by the first 64 bits of their digests */
    auth_entry answered;
    size_t asking, answers;
};

/* ---- auth.c ---- */

/* Answers all that wait around `head`: with `answer`, or when that is NULL each by the keys that there are now. */
void duet_auth_answer(duet_auth_ticket *head, const auth_answer *answer);
/* Why a token could not be asked about. */
const char *duet_auth_reason(int err);
void duet_auth_tickets_init(duet_auth_ticket *head);
void duet_auth_tickets_free(duet_auth_ticket *head);

/* ---- auth_keys.c ---- */

/* A token has a key that is not known. @return whether newer keys are on the way */
bool duet_auth_fetch_early(duet_auth *auth, int64_t wall_seconds);
void duet_auth_keys_free(duet_auth *auth);

/* ---- auth_authority.c ---- */

/* @return where to wait for what the authority says; NULL when `answer` has been set or stays as it is */
duet_auth_ticket *duet_auth_ask(duet_auth *auth, const char *token, size_t len, int64_t wall_seconds,
                                auth_answer *answer);
void duet_auth_authority_free(duet_auth *auth);

#endif
