/* Who is it: keys at hand, keys from a URL, and an authority, with an HTTP client that answers when the test says so. */
#include "signaling/auth.h"
#include "signaling/token_keys.h"
#include "test.h"
#include "token_data.h"

#define WALL INT64_C(1700000000)

/* ---- an HTTP client ---- */

typedef struct fake_request {
    char url[64], body[6000];
    duet_http_done done;
    void *user;
    bool open;
    duet_time timeout;
} fake_request;

typedef struct fake_http {
    fake_request requests[64];
    size_t started, cancelled, most; /* most: 0 for all there is room for */
    int refuse;
} fake_http;

static size_t open_requests(const fake_http *h)
{
    size_t n = 0;

    for (size_t i = 0; i < 64; i++)
        n += h->requests[i].open;
    return n;
}

static int fake_start(void *client, void **ticket, const duet_http_request *request, duet_http_done done, void *user)
{
    fake_http *h = client;
    fake_request *r = h->requests;

    if (h->refuse)
        return h->refuse;
    while (r->open)
        r++;
    assert_true(r < h->requests + 64);
    snprintf(r->url, sizeof(r->url), "%s %s", request->method, request->url);
    assert_true(request->body_len < sizeof(r->body));
    memcpy(r->body, request->body ? request->body : "", request->body_len);
    r->body[request->body_len] = 0;
    r->done = done;
    r->user = user;
    r->timeout = request->timeout;
    r->open = true;
    h->started++;
    *ticket = r;
    return DUET_OK;
}

static void fake_cancel(void *client, void *ticket)
{
    fake_http *h = client;
    fake_request *r = ticket;

    assert_true(r->open);
    r->open = false;
    h->cancelled++;
}

/* Answers the first open request. */
static void respond(fake_http *h, int err, int status, const char *body, uint64_t max_age)
{
    duet_http_response response = {.err = err,
                                   .status = status,
                                   .body = body,
                                   .body_len = body ? strlen(body) : 0,
                                   .max_age = max_age,
                                   .reason = err ? "broken" : NULL};
    fake_request *r = h->requests;

    while (!r->open) {
        r++;
        assert_true(r < h->requests + 64);
    }
    r->open = false;
    r->done(r->user, &response);
}

/* ---- a world ---- */

typedef struct answer {
    int calls, err;
    duet_token_claims claims;
    char reason[100];
    duet_auth_ticket *ticket;
    duet_auth_ticket **cancels; /* inside of done */
} answer;

typedef struct world {
    fake_http http;
    duet_token_keys *keys;
    duet_auth *auth;
    int64_t wall;
} world;

static void done(void *user, int err, const duet_token_claims *claims, const char *reason)
{
    answer *a = user;

    a->calls++;
    a->err = err;
    a->ticket = NULL;
    assert_int_equal(err == DUET_OK, claims != NULL);
    if (claims)
        a->claims = *claims;
    snprintf(a->reason, sizeof(a->reason), "%s", reason ? reason : "");
    if (a->cancels) {
        duet_auth_cancel(*a->cancels);
        *a->cancels = NULL;
    }
}

static world *world_with(const duet_env *env, const char *jwks_url, const char *authority_url)
{
    world *w = calloc(1, sizeof(*w));
    duet_auth_config config = {.env = env,
                               .jwks_url = jwks_url,
                               .authority_url = authority_url,
                               .policy = DUET_TOKEN_POLICY_INIT,
                               .http = {fake_start, fake_cancel, &w->http}};

    assert_non_null(w);
    w->wall = WALL;
    assert_int_equal(duet_token_keys_create(&w->keys, NULL), DUET_OK);
    assert_int_equal(duet_token_keys_add_secret(w->keys, NULL, "0123456789abcdef0123456789abcdef", 32), DUET_OK);
    config.keys = w->keys;
    int err = duet_auth_create(&w->auth, &config);
    assert_true(err == DUET_OK || (err == DUET_ERR_NOMEM && env));
    return w;
}

static void world_free(world *w)
{
    duet_auth_destroy(w->auth);
    assert_int_equal(open_requests(&w->http), 0);
    duet_token_keys_destroy(w->keys);
    free(w);
}

static void check_token(world *w, answer *a, const char *token)
{
    duet_auth_check(&a->ticket, w->auth, token, strlen(token), w->wall, done, a);
    assert_int_equal(a->ticket == NULL, a->calls > 0);
}

static answer now(world *w, const char *token)
{
    answer a = {0};

    check_token(w, &a, token);
    assert_int_equal(a.calls, 1);
    return a;
}

static char *signed_by(const char *kid, const char *pem, const char *name, int64_t expires_at)
{
    duet_token_claims claims = {.expires_at = expires_at, .permissions = DUET_TOKEN_JOIN};
    duet_token_keys *keys;
    char *token;

    strcpy(claims.subject, name);
    assert_int_equal(duet_token_keys_create(&keys, NULL), DUET_OK);
    if (pem)
        assert_int_equal(duet_token_keys_add_pem(keys, kid, pem, strlen(pem), NULL), DUET_OK);
    else
        assert_int_equal(duet_token_keys_add_secret(keys, kid, "0123456789abcdef0123456789abcdef", 32), DUET_OK);
    assert_int_equal(duet_token_sign_with(&token, NULL, &claims, keys, NULL), DUET_OK);
    duet_token_keys_destroy(keys);
    return token;
}

static const char set_a[] =
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}]}";
static const char set_b[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"b\",\"x\":\"" ED25519_X "\"}]}";

/* ---- keys at hand ---- */

static void keys_at_hand_answer_at_once(void **state)
{
    world *w = world_with(NULL, NULL, NULL);
    char *token = signed_by(NULL, NULL, "alice", WALL + 60), *other = signed_by("a", p256_private, "alice", WALL + 60);

    (void)state;
    answer a = now(w, token);
    assert_int_equal(a.err, DUET_OK);
    assert_string_equal(a.claims.subject, "alice");
    assert_int_equal(now(w, other).err, DUET_ERR_AUTH);
    assert_int_equal(now(w, "x").err, DUET_ERR_MALFORMED);
    assert_int_equal(duet_auth_deadline(w->auth), DUET_NEVER);
    assert_true(duet_auth_ready(w->auth));
    assert_int_equal(duet_auth_figures(w->auth)->accepted, 1);
    assert_int_equal(duet_auth_figures(w->auth)->refused, 2);
    duet_free(NULL, token);
    duet_free(NULL, other);
    world_free(w);
}

static void a_token_within_the_skew_expires_later_than_now(void **state)
{
    world *w = world_with(NULL, NULL, NULL);
    char *token = signed_by(NULL, NULL, "alice", WALL - 10);

    (void)state;
    answer a = now(w, token);
    assert_int_equal(a.err, DUET_OK);
    assert_int_equal(a.claims.expires_at, WALL + 20);
    duet_free(NULL, token);
    world_free(w);
}

static void keys_can_be_exchanged_while_it_runs(void **state)
{
    world *w = world_with(NULL, NULL, NULL);
    char *old = signed_by(NULL, NULL, "alice", WALL + 60), *fresh = signed_by("a", p256_private, "alice", WALL + 60);
    duet_token_policy policy = DUET_TOKEN_POLICY_INIT;
    duet_token_keys *keys;

    (void)state;
    assert_int_equal(duet_token_keys_create(&keys, NULL), DUET_OK);
    assert_int_equal(duet_token_keys_add_pem(keys, "a", p256_public, strlen(p256_public), NULL), DUET_OK);
    assert_int_equal(duet_auth_set_keys(w->auth, keys, &policy), DUET_OK);
    assert_int_equal(now(w, old).err, DUET_ERR_AUTH);
    assert_int_equal(now(w, fresh).err, DUET_OK);
    policy.audience = "duet";
    assert_int_equal(duet_auth_set_keys(w->auth, keys, &policy), DUET_OK);
    assert_int_equal(now(w, fresh).err, DUET_ERR_AUTH);
    duet_free(NULL, old);
    duet_free(NULL, fresh);
    world_free(w);
    duet_token_keys_destroy(keys);
}

/* ---- keys from a URL ---- */

static void keys_are_fetched_at_the_start_and_when_their_time_is_over(void **state)
{
    static const struct {
        uint64_t max_age;
        duet_time expected;
    } ages[] = {{UINT64_MAX, DUET_SECONDS(600)},
                {0, DUET_SECONDS(60)},
                {3600, DUET_SECONDS(3600)},
                {UINT64_MAX - 1, DUET_SECONDS(86400)}};
    world *w = world_with(NULL, "http://keys/", NULL);
    duet_time t = DUET_SECONDS(5);

    (void)state;
    assert_false(duet_auth_ready(w->auth));
    for (size_t i = 0; i < 4; i++) {
        assert_true(duet_auth_deadline(w->auth) <= t);
        duet_auth_tick(w->auth, t, w->wall);
        assert_int_equal(w->http.started, i + 1);
        assert_string_equal(w->http.requests[0].url, "GET http://keys/");
        duet_auth_tick(w->auth, t, w->wall); /* one at a time */
        respond(&w->http, DUET_OK, 200, set_a, ages[i].max_age);
        assert_int_equal(duet_auth_deadline(w->auth), t + ages[i].expected);
        t += ages[i].expected;
    }
    assert_true(duet_auth_ready(w->auth));
    assert_int_equal(duet_auth_figures(w->auth)->fetched, 4);
    world_free(w);
}

static void tokens_wait_for_the_first_keys(void **state)
{
    world *w = world_with(NULL, "http://keys/", NULL);
    char *token = signed_by("a", p256_private, "alice", WALL + 60),
         *forged = signed_by("b", p256_private, "eve", WALL + 60);
    answer a = {0}, b = {0}, gone = {0};

    (void)state;
    check_token(w, &a, token);
    check_token(w, &b, forged);
    check_token(w, &gone, token);
    assert_int_equal(a.calls + b.calls, 0);
    assert_int_equal(w->http.started, 1);
    duet_auth_cancel(gone.ticket);
    respond(&w->http, DUET_OK, 200, set_a, UINT64_MAX);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.err, DUET_OK);
    assert_int_equal(b.err, DUET_ERR_AUTH);
    assert_int_equal(gone.calls, 0);
    assert_int_equal(now(w, token).err, DUET_OK);
    duet_free(NULL, token);
    duet_free(NULL, forged);
    world_free(w);
}

static void an_unknown_key_causes_one_fetch_in_ten_seconds(void **state)
{
    world *w = world_with(NULL, "http://keys/", NULL);
    char *token = signed_by("b", ed25519_private, "bob", WALL + 600),
         *never = signed_by("c", ed25519_private, "eve", WALL + 600);
    answer a = {0}, b = {0};

    (void)state;
    duet_auth_tick(w->auth, 0, w->wall);
    respond(&w->http, DUET_OK, 200, set_a, UINT64_MAX);
    assert_int_equal(now(w, token).err, DUET_ERR_AUTH); /* the keys are fresh */
    w->wall += 10;
    check_token(w, &a, token);
    check_token(w, &b, never);
    assert_int_equal(w->http.started, 2);
    respond(&w->http, DUET_OK, 200, set_b, UINT64_MAX);
    assert_int_equal(a.err, DUET_OK);
    assert_int_equal(b.err, DUET_ERR_AUTH);
    w->wall += 9;
    assert_int_equal(now(w, never).err, DUET_ERR_AUTH);
    assert_int_equal(w->http.started, 2);
    duet_free(NULL, token);
    duet_free(NULL, never);
    world_free(w);
}

static void old_keys_serve_for_a_day_when_no_new_ones_come(void **state)
{
    world *w = world_with(NULL, "http://keys/", NULL);
    char *token = signed_by("a", p256_private, "alice", WALL + 600000);
    static const struct {
        int err, status;
        const char *body;
    } failures[] = {{DUET_ERR_TIMEOUT, 0, NULL}, {DUET_OK, 500, set_b}, {DUET_OK, 200, "<html>"}, {DUET_OK, 200, "{}"}};
    duet_time t = 0;

    (void)state;
    duet_auth_tick(w->auth, t, w->wall);
    respond(&w->http, DUET_OK, 200, set_a, UINT64_MAX);
    for (size_t i = 0; t < DUET_SECONDS(86400) - DUET_SECONDS(60); i++) {
        t = duet_auth_deadline(w->auth);
        duet_auth_tick(w->auth, t, w->wall);
        respond(&w->http, failures[i % 4].err, failures[i % 4].status, failures[i % 4].body, UINT64_MAX);
        assert_int_equal(now(w, token).err, DUET_OK);
    }
    duet_auth_tick(w->auth, DUET_SECONDS(86400), w->wall);
    assert_false(duet_auth_ready(w->auth));
    answer a = {0};
    check_token(w, &a, token);
    respond(&w->http, DUET_ERR_IO, 0, NULL, UINT64_MAX);
    assert_int_equal(a.err, DUET_ERR_IO); /* fails closed */
    duet_free(NULL, token);
    world_free(w);
}

static void an_http_client_that_refuses_is_tried_again(void **state)
{
    world *w = world_with(NULL, "http://keys/", NULL);
    char *token = signed_by("a", p256_private, "alice", WALL + 60);

    (void)state;
    w->http.refuse = DUET_ERR_LIMIT;
    duet_auth_tick(w->auth, 0, w->wall);
    assert_int_equal(now(w, token).err, DUET_ERR_IO);
    w->http.refuse = 0;
    assert_true(duet_auth_deadline(w->auth) <= DUET_SECONDS(30));
    duet_auth_tick(w->auth, DUET_SECONDS(30), w->wall);
    assert_int_equal(w->http.started, 1);
    duet_free(NULL, token);
    world_free(w);
}

/* ---- an authority ---- */

#define BOB                                                                                                            \
    "{\"agentId\":\"bob\",\"permissions\":[\"create\",\"join\"],\"expiresIn\":600,\"room\":\"red\",\"role\":"          \
    "\"owner\",\"x\":1}"

static void the_authority_is_asked_once_and_its_answer_kept(void **state)
{
    world *w = world_with(NULL, NULL, "http://link/");
    answer a = {0}, b = {0};

    (void)state;
    check_token(w, &a, "opaque \"token\"");
    check_token(w, &b, "opaque \"token\"");
    assert_int_equal(w->http.started, 1);
    assert_string_equal(w->http.requests[0].url, "POST http://link/");
    assert_string_equal(w->http.requests[0].body, "{\"token\":\"opaque \\\"token\\\"\"}");
    assert_int_equal(w->http.requests[0].timeout, DUET_SECONDS(5));
    respond(&w->http, DUET_OK, 200, BOB, UINT64_MAX);
    assert_int_equal(a.err, DUET_OK);
    assert_int_equal(b.err, DUET_OK);
    assert_string_equal(b.claims.subject, "bob");
    assert_string_equal(b.claims.room, "red");
    assert_string_equal(b.claims.role, "owner");
    assert_int_equal(b.claims.permissions, DUET_TOKEN_CREATE | DUET_TOKEN_JOIN);
    assert_int_equal(b.claims.expires_at, WALL + 600);
    w->wall += 59;
    assert_int_equal(now(w, "opaque \"token\"").err, DUET_OK);
    w->wall += 1;
    answer c = {0};
    check_token(w, &c, "opaque \"token\"");
    assert_int_equal(w->http.started, 2);
    respond(&w->http, DUET_OK, 401, "", UINT64_MAX); /* revoked meanwhile */
    assert_int_equal(c.err, DUET_ERR_AUTH);
    w->wall += 4;
    assert_int_equal(now(w, "opaque \"token\"").err, DUET_ERR_AUTH);
    w->wall += 1;
    check_token(w, &(answer){0}, "opaque \"token\"");
    assert_int_equal(w->http.started, 3);
    world_free(w);
}

static void an_answer_is_not_kept_beyond_its_expiry(void **state)
{
    world *w = world_with(NULL, NULL, "http://link/");
    answer a = {0};

    (void)state;
    check_token(w, &a, "t");
    respond(&w->http, DUET_OK, 200,
            "{\"agentId\":\"bob\",\"permissions\":[],\"expiresAt\":\"2023-11-14T22:13:30Z\",\"expiresIn\":50}",
            UINT64_MAX);
    assert_int_equal(a.err, DUET_OK);
    assert_int_equal(a.claims.expires_at, WALL + 10);
    assert_int_equal(a.claims.permissions, 0);
    w->wall += 9;
    assert_int_equal(now(w, "t").err, DUET_OK);
    w->wall += 1;
    check_token(w, &(answer){0}, "t");
    assert_int_equal(w->http.started, 2);
    world_free(w);
}

static void everything_but_a_good_answer_fails_closed(void **state)
{
    static const struct {
        int err, status;
        const char *body;
        int expected;
    } cases[] = {
        {DUET_ERR_TIMEOUT, 0, NULL, DUET_ERR_TIMEOUT},
        {DUET_ERR_IO, 0, NULL, DUET_ERR_IO},
        {DUET_ERR_AUTH, 0, NULL, DUET_ERR_IO}, /* its certificate */
        {DUET_ERR_TOO_LARGE, 0, NULL, DUET_ERR_IO},
        {DUET_OK, 401, BOB, DUET_ERR_AUTH},
        {DUET_OK, 403, BOB, DUET_ERR_AUTH},
        {DUET_OK, 201, BOB, DUET_ERR_IO},
        {DUET_OK, 302, BOB, DUET_ERR_IO},
        {DUET_OK, 500, BOB, DUET_ERR_IO},
        {DUET_OK, 200, "", DUET_ERR_IO},
        {DUET_OK, 200, "[]", DUET_ERR_IO},
        {DUET_OK, 200, "{}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"\",\"permissions\":[],\"expiresIn\":9}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":7,\"permissions\":[],\"expiresIn\":9}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"expiresIn\":9}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":\"join\",\"expiresIn\":9}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":[]}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":[],\"expiresIn\":\"9\"}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":[],\"expiresIn\":-9}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":[],\"expiresAt\":\"tomorrow\"}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":[],\"expiresIn\":9,\"room\":7}", DUET_ERR_IO},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":[],\"expiresIn\":0}", DUET_ERR_AUTH},
        {DUET_OK, 200, "{\"agentId\":\"a\",\"permissions\":[],\"expiresAt\":\"2001-01-01T00:00:00Z\"}", DUET_ERR_AUTH},
    };
    world *w = world_with(NULL, NULL, "http://link/");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        answer a = {0};
        w->wall = WALL + (int64_t)i * 10;
        check_token(w, &a, "t");
        respond(&w->http, cases[i].err, cases[i].status, cases[i].body, UINT64_MAX);
        if (a.err != cases[i].expected)
            fail_msg("case %zu: %s (%s)", i, duet_strerror(a.err), a.reason);
    }
    w->http.refuse = DUET_ERR_LIMIT;
    w->wall += 100;
    assert_int_equal(now(w, "t").err, DUET_ERR_LIMIT);
    w->http.refuse = DUET_ERR_INVALID;
    assert_int_equal(now(w, "t").err, DUET_ERR_IO);
    world_free(w);
}

static void what_keys_accept_is_not_asked_about_and_what_is_no_text_neither(void **state)
{
    world *w = world_with(NULL, NULL, "http://link/");
    char *token = signed_by(NULL, NULL, "alice", WALL + 60), *huge = calloc(1, DUET_TOKEN_TEXT_MAX + 2);

    (void)state;
    memset(huge, 'a', DUET_TOKEN_TEXT_MAX + 1);
    assert_int_equal(now(w, token).err, DUET_OK);
    assert_int_equal(now(w, huge).err, DUET_ERR_MALFORMED);
    assert_int_equal(now(w, "").err, DUET_ERR_MALFORMED);
    assert_int_equal(now(w, "\xff\xfe").err, DUET_ERR_MALFORMED);
    assert_int_equal(w->http.started, 0);
    free(huge);
    duet_free(NULL, token);
    world_free(w);
}

static void too_many_questions_at_a_time_are_refused(void **state)
{
    world *w = world_with(NULL, NULL, "http://link/");
    static answer a[DUET_AUTH_WAITING_MAX];
    char token[16];

    (void)state;
    memset(a, 0, sizeof(a));
    for (size_t i = 0; i < DUET_AUTH_WAITING_MAX; i++) {
        snprintf(token, sizeof(token), "t%zu", i % DUET_AUTH_ASKING_MAX);
        check_token(w, &a[i], token);
    }
    assert_int_equal(w->http.started, DUET_AUTH_ASKING_MAX);
    assert_int_equal(now(w, "other").err, DUET_ERR_LIMIT);
    assert_int_equal(now(w, "t0").err, DUET_ERR_LIMIT);
    for (size_t i = 0; i < DUET_AUTH_ASKING_MAX; i++)
        respond(&w->http, DUET_OK, 200, BOB, UINT64_MAX);
    for (size_t i = 0; i < DUET_AUTH_WAITING_MAX; i++)
        assert_true(a[i].calls == 1 && a[i].err == DUET_OK);
    assert_int_equal(now(w, "t0").err, DUET_OK);
    world_free(w);
}

static void the_oldest_of_too_many_answers_goes(void **state)
{
    world *w = world_with(NULL, NULL, "http://link/");
    char token[16];

    (void)state;
    for (size_t i = 0; i <= DUET_AUTH_CACHE_MAX; i++) {
        answer a = {0};
        snprintf(token, sizeof(token), "t%zu", i);
        check_token(w, &a, token);
        respond(&w->http, DUET_OK, 200, BOB, UINT64_MAX);
        assert_int_equal(a.err, DUET_OK);
    }
    assert_int_equal(now(w, "t1").err, DUET_OK);
    answer a = {0};
    check_token(w, &a, "t0");
    assert_int_equal(a.calls, 0);
    world_free(w);
}

static void a_cancelled_check_is_not_answered_also_when_another_answer_cancels_it(void **state)
{
    world *w = world_with(NULL, NULL, "http://link/");
    answer a = {0}, b = {0}, c = {0};

    (void)state;
    check_token(w, &a, "t");
    check_token(w, &b, "t");
    check_token(w, &c, "t");
    a.cancels = &b.ticket;
    duet_auth_cancel(c.ticket);
    respond(&w->http, DUET_OK, 200, BOB, UINT64_MAX);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls + c.calls, 0);
    assert_int_equal(now(w, "t").err, DUET_OK);
    duet_auth_cancel(NULL);
    world_free(w);
}

static void a_question_whose_askers_have_gone_is_still_answered(void **state)
{
    world *w = world_with(NULL, NULL, "http://link/");
    answer a = {0};

    (void)state;
    check_token(w, &a, "t");
    duet_auth_cancel(a.ticket);
    respond(&w->http, DUET_OK, 200, BOB, UINT64_MAX);
    assert_int_equal(now(w, "t").err, DUET_OK);
    world_free(w);
}

static void what_is_open_goes_with_the_object(void **state)
{
    world *w = world_with(NULL, "http://keys/", NULL), *v = world_with(NULL, NULL, "http://link/");
    char *token = signed_by("a", p256_private, "alice", WALL + 60);
    answer a = {0}, b = {0};

    (void)state;
    check_token(w, &a, token);
    check_token(v, &b, token);
    duet_free(NULL, token);
    world_free(w);
    world_free(v);
    assert_int_equal(a.calls + b.calls, 0);
}

static void a_url_needs_an_http_client(void **state)
{
    duet_auth_config config = {.jwks_url = "http://keys/", .policy = DUET_TOKEN_POLICY_INIT};
    duet_auth *auth;

    (void)state;
    assert_int_equal(duet_auth_create(&auth, &config), DUET_ERR_INVALID);
    assert_null(auth);
    duet_auth_destroy(NULL);
}

/* ---- secrets and memory ---- */

static void find_secret(void *user, duet_log_level level, const char *module, const char *text)
{
    (void)level;
    (void)module;
    assert_null(strstr(text, "SECRET"));
    ++*(int *)user;
}

static void tokens_are_not_logged(void **state)
{
    duet_env env = DUET_ENV_INIT;
    int lines = 0;

    (void)state;
    env.log = find_secret;
    env.log_level = DUET_LOG_DEBUG;
    env.user = &lines;
    world *w = world_with(&env, NULL, "http://link/");
    answer a = {0};
    check_token(w, &a, "SECRET");
    respond(&w->http, DUET_OK, 500, "SECRET", UINT64_MAX);
    assert_int_equal(a.err, DUET_ERR_IO);
    assert_null(strstr(a.reason, "SECRET"));
    assert_int_equal(lines, 1);
    world_free(w);
}

static int everything_once(const duet_env *env, void *arg)
{
    world *w = world_with(env, "http://keys/", arg);
    int err = w->auth ? DUET_OK : DUET_ERR_NOMEM;
    char *token = signed_by("a", p256_private, "alice", WALL + 60);

    for (int i = 0; err == DUET_OK && i < 3; i++) {
        answer a = {0};
        check_token(w, &a, token);
        while (open_requests(&w->http) > 0)
            respond(&w->http, DUET_OK, 200, arg ? BOB : set_a, UINT64_MAX);
        assert_int_equal(a.calls, 1);
        w->wall += 10;
        if (a.err != DUET_OK)
            err = DUET_ERR_NOMEM;
    }
    duet_free(NULL, token);
    world_free(w);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    static char url[] = "http://link/";

    (void)state;
    test_fail_each_allocation("authentication by fetched keys", everything_once, NULL);
    test_fail_each_allocation("authentication by an authority", everything_once, url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_at_hand_answer_at_once),
        cmocka_unit_test(a_token_within_the_skew_expires_later_than_now),
        cmocka_unit_test(keys_can_be_exchanged_while_it_runs),
        cmocka_unit_test(keys_are_fetched_at_the_start_and_when_their_time_is_over),
        cmocka_unit_test(tokens_wait_for_the_first_keys),
        cmocka_unit_test(an_unknown_key_causes_one_fetch_in_ten_seconds),
        cmocka_unit_test(old_keys_serve_for_a_day_when_no_new_ones_come),
        cmocka_unit_test(an_http_client_that_refuses_is_tried_again),
        cmocka_unit_test(the_authority_is_asked_once_and_its_answer_kept),
        cmocka_unit_test(an_answer_is_not_kept_beyond_its_expiry),
        cmocka_unit_test(everything_but_a_good_answer_fails_closed),
        cmocka_unit_test(what_keys_accept_is_not_asked_about_and_what_is_no_text_neither),
        cmocka_unit_test(too_many_questions_at_a_time_are_refused),
        cmocka_unit_test(the_oldest_of_too_many_answers_goes),
        cmocka_unit_test(a_cancelled_check_is_not_answered_also_when_another_answer_cancels_it),
        cmocka_unit_test(a_question_whose_askers_have_gone_is_still_answered),
        cmocka_unit_test(what_is_open_goes_with_the_object),
        cmocka_unit_test(a_url_needs_an_http_client),
        cmocka_unit_test(tokens_are_not_logged),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
