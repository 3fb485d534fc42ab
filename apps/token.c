/* duet token: an access token for the room server. */
#include "app_signaling.h"
#include "signaling/date.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TTL_DEFAULT  86400
#define KEY_FILE_MAX 65536

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
    fputs(
        "Usage: duet token --secret FILE|--key FILE --sub ID [options]\n\n"
        "Prints an access token (a JSON Web Token) for the room server that has the same secret, or the public key.\n\n"
        "  --secret FILE    the shared secret (HS256)\n"
        "  --key FILE       a private key in PEM: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA)\n"
        "  --kid NAME       how the server names the key\n"
        "  --sub ID         whom it is for, the agent id\n"
        "  --perm LIST      what the bearer may do: create,join,moderate; default join\n"
        "  --room ID        a join token, good for this room only\n"
        "  --role NAME      role in that room\n"
        "  --aud NAME       the server that it is for\n"
        "  --iss NAME       who gives it out\n"
        "  --not-before T   not valid before this time: seconds from now, or a date as in 2026-01-31T12:00:00Z\n"
        "  --ttl SECONDS    how long it is valid, default 86400; with --not-before, from then on\n",
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

static bool parse_not_before(int64_t *out, const char *value)
{
    uint64_t seconds;

    if (duet_date_parse(out, value) == DUET_OK && *out > 0)
        return true;
    char *end;
    errno = 0;
    seconds = strtoull(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && *end == 0 && errno == 0 && seconds < INT_MAX) {
        *out = (int64_t)time(NULL) + (int64_t)seconds;
        return true;
    }
    app_error("--not-before %s: give a number of seconds from now, or a date as in 2026-01-31T12:00:00Z", value);
    return false;
}

/* ---- keys ---- */

static bool read_file(char *out, size_t *len, const char *name)
{
    FILE *f = fopen(name, "rbe");

    *len = f ? fread(out, 1, KEY_FILE_MAX, f) : 0;
    bool good = f && !ferror(f);
    if (!good)
        app_error("cannot read the key from %s: %s", name, strerror(errno));
    if (f)
        fclose(f);
    return good;
}

static bool add_key(duet_token_keys *keys, const char *kid, const char *name)
{
    static char pem[KEY_FILE_MAX];
    const char *reason = NULL;
    size_t len;

    if (!read_file(pem, &len, name))
        return false;
    int err = duet_token_keys_add_pem(keys, kid, pem, len, &reason);
    memset(pem, 0, sizeof(pem));
    if (err != DUET_OK)
        app_error("%s: %s: %s", name, duet_strerror(err), reason);
    return err == DUET_OK;
}

static bool add_secret(duet_token_keys *keys, const char *kid, const app_secret *secret)
{
    int err = duet_token_keys_add_secret(keys, kid, secret->bytes, secret->len);

    if (err == DUET_ERR_INVALID)
        app_error("--secret: this is the PEM of a key: give it with --key");
    else if (err != DUET_OK)
        app_error("cannot use the secret: %s", duet_strerror(err));
    return err == DUET_OK;
}

/* ---- options ---- */

enum {
    OPTION_SECRET = 1,
    OPTION_KEY,
    OPTION_KID,
    OPTION_SUB,
    OPTION_PERM,
    OPTION_ROOM,
    OPTION_ROLE,
    OPTION_AUD,
    OPTION_ISS,
    OPTION_NOT_BEFORE,
    OPTION_TTL,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"secret", required_argument, NULL, OPTION_SECRET},
    {"key", required_argument, NULL, OPTION_KEY},
    {"kid", required_argument, NULL, OPTION_KID},
    {"sub", required_argument, NULL, OPTION_SUB},
    {"perm", required_argument, NULL, OPTION_PERM},
    {"room", required_argument, NULL, OPTION_ROOM},
    {"role", required_argument, NULL, OPTION_ROLE},
    {"aud", required_argument, NULL, OPTION_AUD},
    {"iss", required_argument, NULL, OPTION_ISS},
    {"not-before", required_argument, NULL, OPTION_NOT_BEFORE},
    {"ttl", required_argument, NULL, OPTION_TTL},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

typedef struct token_options {
    app_secret secret;
    const char *key_file, *kid;
    duet_token_claims claims;
    long ttl;
} token_options;

static bool parse_option(token_options *o, int option, const char *value)
{
    duet_token_claims *c = &o->claims;

    switch (option) {
    case OPTION_SECRET:
        return app_secret_read(&o->secret, value);
    case OPTION_KEY:
        o->key_file = value;
        return true;
    case OPTION_KID:
        o->kid = value;
        return true;
    case OPTION_SUB:
        return copy(c->subject, sizeof(c->subject), "--sub", value);
    case OPTION_PERM:
        return parse_permissions(c, value);
    case OPTION_ROOM:
        return copy(c->room, sizeof(c->room), "--room", value);
    case OPTION_ROLE:
        return copy(c->role, sizeof(c->role), "--role", value);
    case OPTION_AUD:
        return copy(c->audience, sizeof(c->audience), "--aud", value);
    case OPTION_ISS:
        return copy(c->issuer, sizeof(c->issuer), "--iss", value);
    case OPTION_NOT_BEFORE:
        return parse_not_before(&c->not_before, value);
    case OPTION_TTL:
        return parse_ttl(&o->ttl, value);
    default:
        return false;
    }
}

/* @return NULL after an error message */
static char *make_token(token_options *o)
{
    duet_token_keys *keys;
    char *token = NULL;

    o->claims.expires_at = (o->claims.not_before ? o->claims.not_before : (int64_t)time(NULL)) + o->ttl;
    if (duet_token_keys_create(&keys, NULL) != DUET_OK) {
        app_error("out of memory");
        return NULL;
    }
    if (o->key_file ? add_key(keys, o->kid, o->key_file) : add_secret(keys, o->kid, &o->secret)) {
        int err = duet_token_sign_with(&token, NULL, &o->claims, keys, NULL);
        if (err == DUET_ERR_NOT_FOUND)
            app_error("--key %s: a private key is needed to sign", o->key_file);
        else if (err != DUET_OK)
            app_error("cannot make a token: %s", duet_strerror(err));
    }
    duet_token_keys_destroy(keys);
    return token;
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
    if (optind != argc || (o.secret.len == 0) == !o.key_file || !o.claims.subject[0]) {
        app_error("token: --sub and one of --secret and --key are needed");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    char *token = make_token(&o);
    if (!token)
        return APP_FAILED;
    puts(token);
    duet_free(NULL, token);
    return APP_OK;
}
