/* The configuration of a server: defaults, and what a running server takes over from a new one. */
#include "base/crypto.h"
#include "signaling/server.h"
#include <string.h>

/* ---- defaults ---- */

static unsigned or_default(unsigned value, unsigned standard)
{
    return value ? value : standard;
}

static duet_signaling_rate rate_or_default(duet_signaling_rate rate, double per_second)
{
    if (rate.per_second <= 0)
        rate = (duet_signaling_rate){per_second, per_second * 4};
    return rate;
}

static void fill_limits(duet_signaling_limits *l)
{
    l->connections = l->connections ? l->connections : 16384;
    l->rooms = l->rooms ? l->rooms : 1024;
    l->connections_per_agent = or_default(l->connections_per_agent, 32);
    l->connections_per_address = or_default(l->connections_per_address, 256);
    l->connection = rate_or_default(l->connection, 100);
    l->agent = rate_or_default(l->agent, 200);
    l->address = rate_or_default(l->address, 1000);
    l->room = rate_or_default(l->room, 1000);
    l->participants = or_default(l->participants, 10);
    l->mesh = or_default(l->mesh, 5);
    l->grace_seconds = or_default(l->grace_seconds, 30);
    l->request_seconds = or_default(l->request_seconds, 10);
}

static bool is_json_array(const char *text)
{
    json_error_t ignored;

    json_t *value = text ? json_loads(text, JSON_REJECT_DUPLICATES, &ignored) : NULL;
    bool is_array = json_is_array(value);
    json_decref(value);
    return is_array;
}

int server_config_copy(duet_signaling_server_config *out, const duet_signaling_server_config *config)
{
    *out = (duet_signaling_server_config)DUET_SIGNALING_SERVER_CONFIG_INIT;
    memcpy(out, config, config->size < sizeof(*out) ? config->size : sizeof(*out));
    fill_limits(&out->limits);
    bool checks_tokens = (out->secret && out->secret_len > 0) || out->keys || out->jwks_url || out->authority_url;
    bool turn_is_complete =
        !out->turn_urls || (out->turn_secret && out->turn_secret[0] && is_json_array(out->turn_urls));
    if (!out->listen || !checks_tokens || !turn_is_complete || (out->ice_servers && !is_json_array(out->ice_servers)) ||
        out->limits.participants > DUET_PARTICIPANTS_MAX)
        return DUET_ERR_INVALID;
    out->turn_ttl = or_default(out->turn_ttl, 86400);
    return DUET_OK;
}

/* ---- taking over ---- */

/* Without white space, so that credentials can be put before its first element. */
static char *compact(const duet_env *env, const char *text)
{
    json_error_t ignored;
    duet_buffer out;

    json_t *value = json_loads(text ? text : "[]", JSON_REJECT_DUPLICATES, &ignored);
    duet_buffer_init(&out, env);
    char *compacted = duet_json_write(&out, value) == DUET_OK ? duet_buffer_steal(&out) : NULL;
    duet_buffer_free(&out);
    json_decref(value);
    return compacted;
}

static duet_rate rate_of(const duet_signaling_rate *r)
{
    return (duet_rate){r->per_second, r->burst >= 1 ? r->burst : r->per_second};
}

static duet_limits_config limits_of(const duet_signaling_limits *l)
{
    return (duet_limits_config){
        .messages = {[DUET_LIMIT_AGENT] = rate_of(&l->agent),
                     [DUET_LIMIT_ADDRESS] = rate_of(&l->address),
                     [DUET_LIMIT_ROOM] = rate_of(&l->room)},
        .connections =
            {[DUET_LIMIT_AGENT] = l->connections_per_agent, [DUET_LIMIT_ADDRESS] = l->connections_per_address},
    };
}

/* Keys of the configuration and of its secret together; `own` are the server's when the configuration brings none. */
static int complete_keys(const duet_signaling_server *s, const duet_signaling_server_config *config,
                         duet_token_keys **own)
{
    duet_token_keys *keys = config->keys;
    int err = DUET_OK;

    *own = NULL;
    if (!keys)
        err = duet_token_keys_create(own, &s->env);
    keys = keys ? keys : *own;
    if (err == DUET_OK)
        err = config->secret ? duet_token_keys_add_secret(keys, NULL, config->secret, config->secret_len)
                             : duet_token_keys_add_secret(keys, NULL, s->join_secret, sizeof(s->join_secret));
    return err;
}

static duet_hub_config hub_of(const duet_signaling_server *s, const char *ice_servers)
{
    const duet_signaling_server_config *k = &s->config;

    return (duet_hub_config){
        .env = &s->env,
        .auth = s->auth,
        .limits = s->limits,
        .messages = rate_of(&k->limits.connection),
        .rooms_on_join = k->rooms_on_join,
        .max_participants = k->limits.participants,
        .mesh_limit = k->limits.mesh,
        .grace = DUET_SECONDS(k->limits.grace_seconds),
        .ice_servers = ice_servers,
        .join_secret = k->secret ? k->secret : s->join_secret,
        .join_secret_len = k->secret ? k->secret_len : sizeof(s->join_secret),
        .turn = {k->turn_urls, k->turn_secret, k->turn_secret ? strlen(k->turn_secret) : 0, k->turn_ttl},
    };
}

static void take(duet_signaling_server *s, const duet_signaling_server_config *config)
{
    duet_signaling_server_config *k = &s->config;
    size_t rooms = k->limits.rooms;

    k->keys = config->keys;
    k->policy = config->policy;
    k->secret = config->secret;
    k->secret_len = config->secret_len;
    k->origins = config->origins;
    k->ice_servers = config->ice_servers;
    k->turn_urls = config->turn_urls;
    k->turn_secret = config->turn_secret;
    k->turn_ttl = config->turn_ttl;
    k->tls_certificate = config->tls_certificate;
    k->tls_key = config->tls_key;
    k->limits = config->limits;
    k->limits.rooms = rooms;
}

static int make_parts(duet_signaling_server *s, const duet_signaling_server_config *config, SSL_CTX **tls,
                      char **ice_servers, duet_token_keys **own_keys)
{
    *tls = NULL;
    *ice_servers = compact(&s->env, config->ice_servers);
    if (!*ice_servers)
        return DUET_ERR_NOMEM;
    if (config->tls_certificate) {
        *tls = server_tls_load(s, config);
        if (!*tls)
            return DUET_ERR_CRYPTO;
    }
    return complete_keys(s, config, own_keys);
}

static int apply_limits(duet_signaling_server *s)
{
    duet_limits_config limits = limits_of(&s->config.limits);

    if (!s->limits)
        return duet_limits_create(&s->limits, &s->env, &limits);
    duet_limits_configure(s->limits, &limits);
    return DUET_OK;
}

static int apply_hub(duet_signaling_server *s)
{
    duet_hub_config hub = hub_of(s, s->ice_servers);

    if (!s->hub)
        return duet_hub_create(&s->hub, &hub);
    duet_hub_configure(s->hub, &hub);
    return DUET_OK;
}

static int apply_auth(duet_signaling_server *s, duet_token_keys *keys)
{
    duet_auth_config auth = {.env = &s->env,
                             .keys = keys,
                             .jwks_url = s->config.jwks_url,
                             .authority_url = s->config.authority_url,
                             .http = duet_http_client_get(s->http_client)};

    auth.policy = s->config.policy ? *s->config.policy : (duet_token_policy)DUET_TOKEN_POLICY_INIT;
    if (!s->auth)
        return duet_auth_create(&s->auth, &auth);
    return duet_auth_set_keys(s->auth, keys, &auth.policy);
}

static void swap_parts(duet_signaling_server *s, SSL_CTX **tls, char **ice_servers, duet_token_keys **own_keys)
{
    SSL_CTX *old_tls = s->tls;
    char *old_servers = s->ice_servers;
    duet_token_keys *old_keys = s->own_keys;

    s->tls = *tls;
    s->ice_servers = *ice_servers;
    s->own_keys = *own_keys;
    *tls = old_tls;
    *ice_servers = old_servers;
    *own_keys = old_keys;
}

int server_config_apply(duet_signaling_server *s, const duet_signaling_server_config *config)
{
    duet_signaling_server_config old = s->config;
    SSL_CTX *tls = NULL;
    char *ice_servers = NULL;
    duet_token_keys *own_keys = NULL;

    int err = make_parts(s, config, &tls, &ice_servers, &own_keys);
    if (err == DUET_OK) {
        take(s, config);
        swap_parts(s, &tls, &ice_servers, &own_keys);
        err = apply_auth(s, config->keys ? config->keys : s->own_keys);
        if (err != DUET_OK) {
            s->config = old;
            swap_parts(s, &tls, &ice_servers, &own_keys);
        }
    }
    if (err == DUET_OK)
        err = apply_limits(s);
    if (err == DUET_OK)
        err = apply_hub(s);
    s->counters.tls_reloads += err == DUET_OK && s->tls;
    SSL_CTX_free(tls); /* what is not in use, old or new */
    duet_free(&s->env, ice_servers);
    duet_token_keys_destroy(own_keys);
    return err;
}
