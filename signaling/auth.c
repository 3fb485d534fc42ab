/* Checking tokens: by the keys at hand, and when these do not accept one, by asking or waiting for newer keys. */
#include "signaling/auth_state.h"
#include <string.h>

#define CACHE_SECONDS_DEFAULT 60

/* ---- tickets ---- */

void duet_auth_tickets_init(duet_auth_ticket *head)
{
    head->prev = head->next = head;
}

static void unlink_ticket(duet_auth_ticket *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
}

static void free_ticket(duet_auth_ticket *t)
{
    duet_auth *auth = t->auth;

    unlink_ticket(t);
    auth->tickets--;
    if (t->token)
        duet_wipe(t->token, t->len);
    duet_free(&auth->env, t->token);
    duet_free(&auth->env, t);
}

void duet_auth_tickets_free(duet_auth_ticket *head)
{
    while (head->next != head)
        free_ticket(head->next);
}

/* The token is kept where it will be looked at again. */
static int wait_for_answer(duet_auth_ticket **out, duet_auth *auth, duet_auth_ticket *head, const char *token,
                           size_t len)
{
    bool keep = head == &auth->unknown;

    if (auth->tickets >= DUET_AUTH_WAITING_MAX)
        return DUET_ERR_LIMIT;
    duet_auth_ticket *t = duet_calloc(&auth->env, sizeof(*t));
    char *copy = t && keep ? duet_strndup(&auth->env, token, len) : NULL;
    if (!t || (keep && !copy)) {
        duet_free(&auth->env, t);
        return DUET_ERR_NOMEM;
    }
    *t = (duet_auth_ticket){.prev = head->prev, .next = head, .auth = auth, .token = copy, .len = len};
    t->prev->next = t;
    head->prev = t;
    auth->tickets++;
    *out = t;
    return DUET_OK;
}

/* ---- answers ---- */

static auth_answer check_by_keys(const duet_auth *auth, const char *token, size_t len, int64_t wall_seconds)
{
    const duet_token_keys *sets[] = {auth->keys, auth->fetched};
    auth_answer best = {.err = DUET_ERR_NOT_FOUND, .reason = "there is no key for the token"};

    for (size_t i = 0; i < 2 && best.err != DUET_OK && best.err != DUET_ERR_NOMEM; i++) {
        auth_answer a;
        if (!sets[i])
            continue;
        a.err = duet_token_check(&a.claims, sets[i], &auth->policy, token, len, wall_seconds, &a.reason);
        if (a.err != DUET_ERR_NOT_FOUND)
            best = a;
    }
    if (best.err == DUET_OK && best.claims.expires_at <= wall_seconds)
        best.claims.expires_at += auth->policy.skew_seconds;
    return best;
}

static void deliver(duet_auth *auth, const auth_answer *answer, duet_auth_done done, void *user)
{
    bool lacks_keys = answer->err == DUET_ERR_NOT_FOUND && auth->jwks_url && !auth->fetched;

    if (answer->err == DUET_OK)
        auth->stats.accepted++;
    else
        auth->stats.refused++;
    if (lacks_keys)
        done(user, DUET_ERR_IO, NULL, "the keys of tokens could not be fetched");
    else if (answer->err == DUET_ERR_NOT_FOUND)
        done(user, DUET_ERR_AUTH, NULL, answer->reason);
    else
        done(user, answer->err, answer->err == DUET_OK ? &answer->claims : NULL, answer->reason);
}

static void answer_first(duet_auth_ticket *head, const auth_answer *answer)
{
    duet_auth_ticket *t = head->next;
    duet_auth *auth = t->auth;
    duet_auth_done done = t->done;
    void *user = t->user;
    auth_answer own;

    if (!answer)
        own = check_by_keys(auth, t->token, t->len, t->wall_seconds);
    free_ticket(t);
    deliver(auth, answer ? answer : &own, done, user);
}

/* The ring is taken off its head first: whoever comes meanwhile waits for something else. */
void duet_auth_answer(duet_auth_ticket *head, const auth_answer *answer)
{
    duet_auth_ticket ring;

    if (head->next == head)
        return;
    ring = *head;
    ring.prev->next = ring.next->prev = &ring;
    duet_auth_tickets_init(head);
    while (ring.next != &ring)
        answer_first(&ring, answer);
}

const char *duet_auth_reason(int err)
{
    switch (err) {
    case DUET_ERR_LIMIT:
        return "too many tokens are being checked";
    case DUET_ERR_MALFORMED:
        return "the token is not a text";
    case DUET_ERR_NOMEM:
        return "out of memory";
    default:
        return "the authority could not be asked";
    }
}

void duet_auth_check(duet_auth_ticket **ticket, duet_auth *auth, const char *token, size_t len, int64_t wall_seconds,
                     duet_auth_done done, void *user)
{
    auth_answer answer = check_by_keys(auth, token, len, wall_seconds);
    duet_auth_ticket *head = NULL, *t = NULL;

    *ticket = NULL;
    if (answer.err != DUET_OK && answer.err != DUET_ERR_NOMEM && auth->authority_url)
        head = duet_auth_ask(auth, token, len, wall_seconds, &answer);
    else if (answer.err == DUET_ERR_NOT_FOUND && duet_auth_fetch_early(auth, wall_seconds))
        head = &auth->unknown;
    int err = head ? wait_for_answer(&t, auth, head, token, len) : DUET_OK;
    if (err != DUET_OK) {
        answer.err = err;
        answer.reason = duet_auth_reason(err);
    }
    if (!t) {
        deliver(auth, &answer, done, user);
        return;
    }
    t->done = done;
    t->user = user;
    t->wall_seconds = wall_seconds;
    *ticket = t;
}

void duet_auth_cancel(duet_auth_ticket *ticket)
{
    if (ticket)
        free_ticket(ticket);
}

/* ---- the object ---- */

static int copy_policy(duet_auth *auth, const duet_token_policy *policy)
{
    char *audience = duet_strdup(&auth->env, policy->audience), *issuer = duet_strdup(&auth->env, policy->issuer);

    if ((policy->audience && !audience) || (policy->issuer && !issuer)) {
        duet_free(&auth->env, audience);
        duet_free(&auth->env, issuer);
        return DUET_ERR_NOMEM;
    }
    duet_free(&auth->env, auth->audience);
    duet_free(&auth->env, auth->issuer);
    auth->audience = audience;
    auth->issuer = issuer;
    auth->policy = (duet_token_policy){sizeof(auth->policy), audience, issuer, policy->skew_seconds};
    return DUET_OK;
}

static int copy_config(duet_auth *auth, const duet_auth_config *config)
{
    auth->keys = config->keys;
    auth->http = config->http;
    auth->cache_seconds = config->cache_seconds ? config->cache_seconds : CACHE_SECONDS_DEFAULT;
    auth->jwks_url = duet_strdup(&auth->env, config->jwks_url);
    auth->authority_url = duet_strdup(&auth->env, config->authority_url);
    if ((config->jwks_url && !auth->jwks_url) || (config->authority_url && !auth->authority_url))
        return DUET_ERR_NOMEM;
    int err = copy_policy(auth, &config->policy);
    return err == DUET_OK ? duet_map_init(&auth->entries, &auth->env) : err;
}

int duet_auth_create(duet_auth **out, const duet_auth_config *config)
{
    duet_env env = duet_env_resolve(config->env);

    *out = NULL;
    if ((config->jwks_url || config->authority_url) && !config->http.start)
        return DUET_ERR_INVALID;
    duet_auth *auth = duet_calloc(&env, sizeof(*auth));
    if (!auth)
        return DUET_ERR_NOMEM;
    auth->env = env;
    auth->early_at = INT64_MIN;
    auth->answered.prev = auth->answered.next = &auth->answered;
    duet_auth_tickets_init(&auth->unknown);
    int err = copy_config(auth, config);
    if (err != DUET_OK) {
        duet_auth_destroy(auth);
        return err;
    }
    *out = auth;
    return DUET_OK;
}

void duet_auth_destroy(duet_auth *auth)
{
    if (!auth)
        return;
    duet_env env = auth->env;
    duet_auth_keys_free(auth);
    duet_auth_authority_free(auth);
    duet_free(&env, auth->audience);
    duet_free(&env, auth->issuer);
    duet_free(&env, auth->jwks_url);
    duet_free(&env, auth->authority_url);
    duet_free(&env, auth);
}

int duet_auth_set_keys(duet_auth *auth, const duet_token_keys *keys, const duet_token_policy *policy)
{
    int err = copy_policy(auth, policy);

    if (err == DUET_OK)
        auth->keys = keys;
    return err;
}

bool duet_auth_ready(const duet_auth *auth)
{
    return !auth->jwks_url || auth->fetched;
}

const duet_auth_stats *duet_auth_figures(const duet_auth *auth)
{
    return &auth->stats;
}
