/* duet token: an access token for the room server. */
#include "app_signaling.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TTL_DEFAULT 86400

char *app_token_make(const app_secret *secret, const duet_token_claims *claims, long ttl_seconds)
{
    duet_token_claims c = *claims;
    char *token = NULL;

    c.expires_at = (int64_t)time(NULL) + ttl_seconds;
    int err = duet_token_sign(&token, NULL, &c, secret->bytes, secret->len);
    if (err != DUET_OK)
        app_error("cannot make a token: %s", duet_strerror(err));
    return token;
}

static void usage(FILE *f)
{
    fputs("Usage: duet token --secret FILE --sub ID [options]\n\n"
          "Prints an access token (a JSON Web Token, HS256) for the room server that has the same secret.\n\n"
          "  --secret FILE    the shared secret\n"
          "  --sub ID         whom it is for, the agent id\n"
          "  --perm LIST      what the bearer may do: create,join,moderate; default join\n"
          "  --room ID        a join token, good for this room only\n"
          "  --role NAME      role in that room\n"
          "  --ttl SECONDS    how long it is valid, default 86400\n",
          f);
}

static bool parse_permissions(duet_token_claims *claims, const char *value)
{
    static const char *const names[] = {"create", "join", "moderate"};

    claims->permissions = 0;
    for (;;) {
        size_t len = strcspn(value, ","), i = 0;
        while (i < 3 && (strlen(names[i]) != len || strncmp(names[i], value, len) != 0))
            i++;
        if (i == 3) {
            app_error("--perm: \"%.*s\" is not create, join or moderate", (int)len, value);
            return false;
        }
        claims->permissions |= 1u << i;
        if (value[len] == 0)
            return true;
        value += len + 1;
    }
}

static bool copy(char *out, size_t size, const char *option, const char *value)
{
    size_t len = strlen(value);

    if (len == 0 || len >= size) {
        app_error("%s: give 1 to %zu bytes", option, size - 1);
        return false;
    }
    memcpy(out, value, len + 1);
    return true;
}

static bool parse_ttl(long *out, const char *value)
{
    char *end;

    *out = strtol(value, &end, 10);
    if (end != value && *end == 0 && *out > 0 && *out < INT_MAX)
        return true;
    app_error("--ttl %s: give a number of seconds", value);
    return false;
}

enum {
    OPTION_SECRET = 1,
    OPTION_SUB,
    OPTION_PERM,
    OPTION_ROOM,
    OPTION_ROLE,
    OPTION_TTL,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"secret", required_argument, NULL, OPTION_SECRET}, {"sub", required_argument, NULL, OPTION_SUB},
    {"perm", required_argument, NULL, OPTION_PERM},     {"room", required_argument, NULL, OPTION_ROOM},
    {"role", required_argument, NULL, OPTION_ROLE},     {"ttl", required_argument, NULL, OPTION_TTL},
    {"help", no_argument, NULL, OPTION_HELP},           {NULL, 0, NULL, 0},
};

typedef struct token_options {
    app_secret secret;
    duet_token_claims claims;
    long ttl;
} token_options;

static bool parse_option(token_options *o, int option, const char *value)
{
    duet_token_claims *c = &o->claims;

    switch (option) {
    case OPTION_SECRET:
        return app_secret_read(&o->secret, value);
    case OPTION_SUB:
        return copy(c->subject, sizeof(c->subject), "--sub", value);
    case OPTION_PERM:
        return parse_permissions(c, value);
    case OPTION_ROOM:
        return copy(c->room, sizeof(c->room), "--room", value);
    case OPTION_ROLE:
        return copy(c->role, sizeof(c->role), "--role", value);
    case OPTION_TTL:
        return parse_ttl(&o->ttl, value);
    default:
        return false;
    }
}

int app_token(int argc, char **argv)
{
    token_options o = {.claims.permissions = DUET_TOKEN_JOIN, .ttl = TTL_DEFAULT};
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(&o, option, optarg))
            return APP_BAD_USAGE;
    }
    if (optind != argc || o.secret.len == 0 || !o.claims.subject[0]) {
        app_error("token: --secret and --sub are needed");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    char *token = app_token_make(&o.secret, &o.claims, o.ttl);
    if (!token)
        return APP_FAILED;
    puts(token);
    free(token);
    return APP_OK;
}
