/* Answers of an authority, and key sets from a URL: the first byte chooses which, the second the status. Whatever comes, each
 * check is answered once, and only claims with a name and a future are accepted. */
#include "fuzz.h"
#include "signaling/auth.h"
#include <string.h>

#define WALL 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fake_http {
    duet_http_done done;
    void *user;
} fake_http;

static int start(void *client, void **ticket, const duet_http_request *request, duet_http_done done, void *user)
{
    (void)request;
    *(fake_http *)client = (fake_http){done, user};
    *ticket = client;
    return DUET_OK;
}

static void cancel(void *client, void *ticket)
{
    (void)ticket;
    ((fake_http *)client)->done = NULL;
}

static void answered(void *user, int err, const duet_token_claims *claims, const char *reason)
{
    ++*(int *)user;
    require((err == DUET_OK) == (claims != NULL));
    require(err == DUET_OK || reason);
    require(!claims || (claims->subject[0] && claims->expires_at > WALL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char token[] =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
        "cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    fake_http http = {NULL, NULL};
    duet_auth_config config = {.policy = DUET_TOKEN_POLICY_INIT, .http = {start, cancel, &http}};
    duet_auth_ticket *tickets[2];
    duet_auth *auth;
    int calls = 0;

    if (size < 2)
        return 0;
    config.jwks_url = data[0] & 1 ? "http://keys/" : NULL;
    config.authority_url = data[0] & 1 ? NULL : "http://authority/";
    require(duet_auth_create(&auth, &config) == DUET_OK);
    for (int i = 0; i < 2; i++)
        duet_auth_check(&tickets[i], auth, token, sizeof(token) - 1, WALL, answered, &calls);
    require(http.done && calls == 0);
    char *body = malloc(size - 1);
    require(body != NULL);
    memcpy(body, data + 2, size - 2);
    body[size - 2] = 0;
    duet_http_response response = {
        .status = data[1] & 1 ? 200 : 100 + data[1], .body = body, .body_len = size - 2, .max_age = data[0]};
    http.done(http.user, &response);
    free(body);
    require(calls == 2);
    duet_auth_tick(auth, DUET_SECONDS(1000), WALL);
    duet_auth_destroy(auth);
    return 0;
}
