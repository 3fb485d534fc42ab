/* Who is it? Tokens are checked here, by the keys at hand, by keys that are fetched from a URL (RFC 7517), or by asking an
 * external authority over HTTP; the answer may come at once or later. Time is an argument, HTTP is injected.
 *
 * The authority gets POST {"token":"…"} and answers 200 with {"agentId":"…","permissions":["create","join","moderate"]} and
 * "expiresAt" (RFC 3339) or "expiresIn" (seconds), optionally "room" and "role"; 401 or 403 refuse the token. Anything else
 * refuses it too, but as a failure of the authority. */
#ifndef DUET_SIGNALING_AUTH_H
#define DUET_SIGNALING_AUTH_H

#include "duet/signaling.h"
#include "signaling/http.h"

#define DUET_AUTH_WAITING_MAX 1024 /* tokens whose answer is still to come; more are DUET_ERR_LIMIT */
#define DUET_AUTH_ASKING_MAX  32   /* tokens that the authority is asked about at a time; more are DUET_ERR_LIMIT */
#define DUET_AUTH_CACHE_MAX   4096 /* answers of the authority that are kept; the oldest goes */

typedef struct duet_auth duet_auth;
typedef struct duet_auth_ticket duet_auth_ticket;

typedef struct duet_auth_config {
    const duet_env *env;
    const duet_token_keys *keys; /* borrowed until duet_auth_set_keys or the end; NULL for none */
    duet_token_policy policy;    /* texts are copied */
    const char *jwks_url;        /* copied; NULL for none */
    const char *authority_url;   /* copied; asked about what no key accepts; NULL for none */
    duet_http http;              /* for the two URLs */
    unsigned cache_seconds;      /* for which an answer of the authority holds at most; 0: 60 */
} duet_auth_config;

/* Counted since the start. */
typedef struct duet_auth_stats {
    uint64_t accepted, refused;           /* tokens */
    uint64_t fetched, fetch_failures;     /* of the key set */
    uint64_t asked, ask_failures, cached; /* requests to the authority; of them without a usable answer; spared ones */
} duet_auth_stats;

/* @return DUET_OK; DUET_ERR_INVALID (a URL without HTTP client); DUET_ERR_NOMEM; DUET_ERR_CRYPTO */
int duet_auth_create(duet_auth **out, const duet_auth_config *config);
/* Cancels its requests. Tickets that are still out are void; not inside of a duet_auth_done. NULL is fine. */
void duet_auth_destroy(duet_auth *auth);
/* Other keys and rules from now on; what the authority said and the fetched keys stay.
 * @return DUET_OK or DUET_ERR_NOMEM (everything stays as it was) */
int duet_auth_set_keys(duet_auth *auth, const duet_token_keys *keys, const duet_token_policy *policy);

/* Fetches the key set when it is time to. Call it once at the start, too. */
void duet_auth_tick(duet_auth *auth, duet_time now, int64_t wall_seconds);
duet_time duet_auth_deadline(const duet_auth *auth);
/* Whether tokens can be checked: false as long as there is a URL of keys and none has been fetched. */
bool duet_auth_ready(const duet_auth *auth);
const duet_auth_stats *duet_auth_figures(const duet_auth *auth);

/* @param err     DUET_OK: `claims` tell who it is, and expires_at lies after the time of the check (the skew that the policy
 *                allows is added when that is needed); DUET_ERR_AUTH, DUET_ERR_MALFORMED, DUET_ERR_UNSUPPORTED: the token is
 *                refused; DUET_ERR_IO or DUET_ERR_TIMEOUT: nobody could be asked (refused too: it fails closed);
 *                DUET_ERR_LIMIT: too many tokens are being checked; DUET_ERR_NOMEM
 * @param reason  why not, without any part of the token; valid during the call */
typedef void (*duet_auth_done)(void *user, int err, const duet_token_claims *claims, const char *reason);

/* Checks a token. `done` comes exactly once unless it is cancelled: inside this call (then *ticket is NULL), or later.
 * Other checks may be started and cancelled inside of it.
 * @param token  copied when it is still needed after the call */
void duet_auth_check(duet_auth_ticket **ticket, duet_auth *auth, const char *token, size_t len, int64_t wall_seconds,
                     duet_auth_done done, void *user);
void duet_auth_cancel(duet_auth_ticket *ticket); /* NULL is fine */

#endif
