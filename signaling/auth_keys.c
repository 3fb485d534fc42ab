/* Keys from a URL (JWK Set, RFC 7517): fetched at the start, again when their time is over, and out of turn when a token names a
 * key that is not among them. Old keys serve on while there are no newer ones, for a day. */
#include "base/log.h"
#include "signaling/auth_state.h"

#define FETCH_TIMEOUT DUET_SECONDS(10)
#define SET_MAX       (256u * 1024u)
/* What Cache-Control may ask for, and what holds without it. */
#define AGE_MIN     60u
#define AGE_MAX     86400u
#define AGE_DEFAULT 600u
#define RETRY       DUET_SECONDS(30)
/* Unknown keys cause a fetch once in so many seconds. */
#define EARLY_SECONDS 10

static duet_time age_of(uint64_t max_age)
{
    if (max_age == UINT64_MAX)
        return DUET_SECONDS(AGE_DEFAULT);
    return DUET_SECONDS(max_age < AGE_MIN ? AGE_MIN : max_age > AGE_MAX ? AGE_MAX : max_age);
}

static int read_set(duet_token_keys **out, duet_auth *auth, const duet_http_response *response, const char **reason)
{
    int err = response->err;

    *out = NULL;
    *reason = response->reason ? response->reason : "no answer";
    if (err == DUET_OK && response->status != 200) {
        *reason = "the status is not 200";
        err = DUET_ERR_IO;
    }
    if (err == DUET_OK)
        err = duet_token_keys_create(out, &auth->env);
    if (err == DUET_OK)
        err = duet_token_keys_add_jwks(*out, response->body, response->body_len, reason);
    if (err != DUET_OK) {
        duet_token_keys_destroy(*out);
        *out = NULL;
    }
    return err;
}

static void fetched(void *user, const duet_http_response *response)
{
    duet_auth *auth = user;
    duet_token_keys *keys;
    const char *reason;

    auth->fetching = NULL;
    int err = read_set(&keys, auth, response, &reason);
    if (err == DUET_OK) {
        auth->stats.fetched++;
        duet_token_keys_destroy(auth->fetched);
        auth->fetched = keys;
        auth->fetch_at = auth->fetching_since + age_of(response->max_age);
        auth->fetched_until = auth->fetching_since + DUET_SECONDS(AGE_MAX);
    } else {
        auth->stats.fetch_failures++;
        duet_log(&auth->env, DUET_LOG_WARN, "auth", "the keys of tokens could not be fetched: %s (%s)",
                 duet_strerror(err), reason);
    }
    duet_auth_answer(&auth->unknown, NULL);
}

static void fetch(duet_auth *auth)
{
    static const char *const headers[] = {"Accept: application/jwk-set+json, application/json", NULL};
    duet_http_request request = {
        .method = "GET",
        .url = auth->jwks_url,
        .headers = headers,
        .timeout = FETCH_TIMEOUT,
        .max_response = SET_MAX,
    };

    auth->fetching_since = auth->now;
    auth->fetch_at = auth->now + RETRY;
    int err = auth->http.start(auth->http.client, &auth->fetching, &request, fetched, auth);
    if (err == DUET_OK)
        return;
    auth->fetching = NULL;
    auth->stats.fetch_failures++;
    duet_log(&auth->env, DUET_LOG_WARN, "auth", "the keys of tokens could not be fetched: %s", duet_strerror(err));
}

bool duet_auth_fetch_early(duet_auth *auth, int64_t wall_seconds)
{
    bool is_time = wall_seconds < auth->early_at || auth->early_at + EARLY_SECONDS <= wall_seconds;

    if (!auth->fetching && auth->jwks_url && is_time) {
        auth->early_at = wall_seconds;
        fetch(auth);
    }
    return auth->fetching != NULL;
}

void duet_auth_tick(duet_auth *auth, duet_time now, int64_t wall_seconds)
{
    auth->now = now;
    if (!auth->jwks_url)
        return;
    if (auth->fetched && now >= auth->fetched_until) {
        duet_log(&auth->env, DUET_LOG_ERROR, "auth", "the keys of tokens are a day old and no longer trusted");
        duet_token_keys_destroy(auth->fetched);
        auth->fetched = NULL;
    }
    if (auth->fetching || now < auth->fetch_at)
        return;
    if (!auth->fetched)
        auth->early_at = wall_seconds; /* the first tokens need not ask again */
    fetch(auth);
}

duet_time duet_auth_deadline(const duet_auth *auth)
{
    duet_time next = auth->jwks_url && !auth->fetching ? auth->fetch_at : DUET_NEVER;

    return auth->fetched && auth->fetched_until < next ? auth->fetched_until : next;
}

void duet_auth_keys_free(duet_auth *auth)
{
    if (auth->fetching)
        auth->http.cancel(auth->http.client, auth->fetching);
    duet_auth_tickets_free(&auth->unknown);
    duet_token_keys_destroy(auth->fetched);
}
