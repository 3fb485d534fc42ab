/* The authority: one request for a token however many ask about it, and its answers for a while. Tokens themselves are not
 * kept: the cache knows their SHA-256. */
#include "base/log.h"
#include "signaling/auth_state.h"
#include "signaling/date.h"
#include "signaling/json.h"
#include "signaling/token_claims.h"
#include <string.h>

#define ASK_TIMEOUT     DUET_SECONDS(5)
#define RESPONSE_MAX    16384u
#define REFUSED_SECONDS 5

/* ---- what it says ---- */

/* "expiresAt" or "expiresIn"; the earlier one when there are both. */
static bool read_expiry(int64_t *out, const json_t *object, int64_t asked_at)
{
    const json_t *in = json_object_get(object, "expiresIn"), *at = json_object_get(object, "expiresAt");
    double seconds = json_number_value(in);
    int64_t date = INT64_MAX;

    if (in && !(json_is_number(in) && seconds >= 0 && seconds < 1e12))
        return false;
    if (at && (!json_is_string(at) || duet_date_parse(&date, json_string_value(at)) != DUET_OK))
        return false;
    *out = in && asked_at + (int64_t)seconds < date ? asked_at + (int64_t)seconds : date;
    return in || at;
}

static bool read_claims(duet_token_claims *out, const json_t *object, int64_t asked_at)
{
    *out = (duet_token_claims){.expires_at = 0};
    return duet_token_copy_text(out->subject, sizeof(out->subject), object, "agentId") && out->subject[0] &&
           duet_token_copy_text(out->room, sizeof(out->room), object, "room") &&
           duet_token_copy_text(out->role, sizeof(out->role), object, "role") &&
           duet_token_read_permissions(&out->permissions, json_object_get(object, "permissions")) &&
           read_expiry(&out->expires_at, object, asked_at);
}

static int read_body(auth_answer *out, const duet_http_response *response, int64_t asked_at)
{
    json_t *object;

    out->reason = "the authority's answer is not understood";
    if (duet_json_parse_object(&object, response->body, response->body_len, NULL) != DUET_OK)
        return DUET_ERR_IO;
    bool good = read_claims(&out->claims, object, asked_at);
    json_decref(object);
    if (!good)
        return DUET_ERR_IO;
    out->reason = "the token has expired";
    return out->claims.expires_at > asked_at ? DUET_OK : DUET_ERR_AUTH;
}

static int read_response(auth_answer *out, const duet_http_response *response, int64_t asked_at)
{
    if (response->err != DUET_OK) {
        out->reason = "the authority could not be asked";
        return response->err == DUET_ERR_TIMEOUT ? DUET_ERR_TIMEOUT : DUET_ERR_IO;
    }
    if (response->status == 401 || response->status == 403) {
        out->reason = "the authority refuses the token";
        return DUET_ERR_AUTH;
    }
    if (response->status == 200)
        return read_body(out, response, asked_at);
    out->reason = "the authority has failed";
    return DUET_ERR_IO;
}

/* ---- the cache ---- */

static uint64_t key_of(const uint8_t digest[DUET_SHA256_LEN])
{
    uint64_t key;

    memcpy(&key, digest, sizeof(key));
    return key;
}

/* Nobody waits for it, and it is in no list. */
static void free_entry(auth_entry *e)
{
    duet_auth *auth = e->auth;

    duet_map_remove(&auth->entries, key_of(e->digest));
    duet_free(&auth->env, e);
}

static void forget_answer(auth_entry *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    e->auth->answers--;
    free_entry(e);
}

static void keep_answer(auth_entry *e, int64_t until)
{
    duet_auth *auth = e->auth;

    if (auth->answers >= DUET_AUTH_CACHE_MAX)
        forget_answer(auth->answered.next);
    e->until = until;
    e->prev = auth->answered.prev;
    e->next = &auth->answered;
    e->prev->next = e;
    auth->answered.prev = e;
    auth->answers++;
}

/* Until when an answer holds: `asked_at` when it is none that can be kept. */
static int64_t holds_until(const duet_auth *auth, const auth_entry *e)
{
    int64_t most = e->asked_at + auth->cache_seconds;

    if (e->answer.err == DUET_ERR_AUTH)
        return e->asked_at + REFUSED_SECONDS;
    if (e->answer.err != DUET_OK)
        return e->asked_at;
    return e->answer.claims.expires_at < most ? e->answer.claims.expires_at : most;
}

/* ---- asking ---- */

static void answered(void *user, const duet_http_response *response)
{
    auth_entry *e = user;
    duet_auth *auth = e->auth;
    duet_auth_ticket waiting;

    e->request = NULL;
    auth->asking--;
    e->answer.err = read_response(&e->answer, response, e->asked_at);
    if (e->answer.err != DUET_OK && e->answer.err != DUET_ERR_AUTH) {
        auth->stats.ask_failures++;
        duet_log(&auth->env, DUET_LOG_WARN, "auth", "%s: %s, status %d", e->answer.reason,
                 response->reason ? response->reason : duet_strerror(response->err), response->status);
    }
    auth_answer answer = e->answer; /* the entry may go while the answer is told */
    duet_auth_tickets_init(&waiting);
    if (e->waiting.next != &e->waiting) {
        waiting = e->waiting;
        waiting.prev->next = waiting.next->prev = &waiting;
    }
    int64_t until = holds_until(auth, e);
    if (until > e->asked_at)
        keep_answer(e, until);
    else
        free_entry(e);
    duet_auth_answer(&waiting, &answer);
}

/* {"token":"…"} @return DUET_ERR_MALFORMED: it cannot be a text of JSON */
static int write_body(duet_buffer *body, const char *token, size_t len)
{
    json_t *object = json_object();
    json_t *text = json_stringn(token, len);

    if (!text || json_object_set_new(object, "token", text) != 0) {
        json_decref(object);
        return DUET_ERR_MALFORMED;
    }
    int err = duet_json_write(body, object);
    json_decref(object);
    return err;
}

static int start(auth_entry *e, const char *token, size_t len)
{
    static const char *const headers[] = {"Content-Type: application/json", "Accept: application/json", NULL};
    duet_auth *auth = e->auth;
    duet_buffer body;

    duet_buffer_init(&body, &auth->env);
    int err = write_body(&body, token, len);
    if (err == DUET_OK) {
        duet_http_request request = {
            .method = "POST",
            .url = auth->authority_url,
            .headers = headers,
            .body = (const char *)body.data,
            .body_len = body.len,
            .timeout = ASK_TIMEOUT,
            .max_response = RESPONSE_MAX,
        };
        err = auth->http.start(auth->http.client, &e->request, &request, answered, e);
        err = err == DUET_ERR_INVALID ? DUET_ERR_IO : err;
    }
    if (body.data)
        duet_wipe(body.data, body.len);
    duet_buffer_free(&body);
    return err;
}

static int ask(auth_entry **out, duet_auth *auth, const uint8_t digest[DUET_SHA256_LEN], const char *token, size_t len,
               int64_t wall_seconds)
{
    if (auth->asking >= DUET_AUTH_ASKING_MAX)
        return DUET_ERR_LIMIT;
    auth_entry *e = duet_calloc(&auth->env, sizeof(*e));
    if (!e)
        return DUET_ERR_NOMEM;
    e->auth = auth;
    e->asked_at = wall_seconds;
    memcpy(e->digest, digest, sizeof(e->digest));
    duet_auth_tickets_init(&e->waiting);
    if (duet_map_set(&auth->entries, key_of(digest), e) != DUET_OK) {
        duet_free(&auth->env, e);
        return DUET_ERR_NOMEM;
    }
    int err = start(e, token, len);
    if (err != DUET_OK) {
        free_entry(e);
        return err;
    }
    auth->asking++;
    auth->stats.asked++;
    *out = e;
    return DUET_OK;
}

/* Half of a digest that another token has too does not happen by chance: who makes one only loses what was cached. */
static auth_entry *find_entry(duet_auth *auth, const uint8_t digest[DUET_SHA256_LEN], int64_t wall_seconds)
{
    auth_entry *e = duet_map_get(&auth->entries, key_of(digest));

    if (!e || e->request)
        return e;
    bool same = memcmp(e->digest, digest, DUET_SHA256_LEN) == 0;
    if (same && wall_seconds >= e->asked_at && wall_seconds < e->until)
        return e;
    forget_answer(e);
    return NULL;
}

duet_auth_ticket *duet_auth_ask(duet_auth *auth, const char *token, size_t len, int64_t wall_seconds,
                                auth_answer *answer)
{
    uint8_t digest[DUET_SHA256_LEN];
    duet_iov part = {token, len};

    if (len == 0 || len > DUET_TOKEN_TEXT_MAX)
        return NULL;
    int err = duet_sha256(digest, &part, 1);
    auth_entry *e = err == DUET_OK ? find_entry(auth, digest, wall_seconds) : NULL;
    if (e && !e->request) {
        auth->stats.cached++;
        *answer = e->answer;
        return NULL;
    }
    if (e && memcmp(e->digest, digest, sizeof(digest)) != 0)
        err = DUET_ERR_IO;
    if (!e && err == DUET_OK)
        err = ask(&e, auth, digest, token, len, wall_seconds);
    if (err == DUET_OK)
        return &e->waiting;
    answer->err = err;
    answer->reason = duet_auth_reason(err);
    return NULL;
}

void duet_auth_authority_free(duet_auth *auth)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;

    while (duet_map_next(&auth->entries, &cursor, &key, &value)) {
        auth_entry *e = value;
        if (e->request) {
            auth->http.cancel(auth->http.client, e->request);
            duet_auth_tickets_free(&e->waiting);
        }
        duet_free(&auth->env, e);
    }
    duet_map_free(&auth->entries);
}
