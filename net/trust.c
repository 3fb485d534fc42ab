/* TLS contexts that several streams share: connections that trust the same authorities, and those that came in on one
 * listener. One lives as long as somebody uses it, so files are read again for the next that begins later. */
#include "net/internal.h"
#include <string.h>

struct net_trust {
    net_trust *next; /* clients' only: servers' are found through their listener */
    duet_net *net;
    duet_tls_context *context;
    unsigned users;
    bool is_server, no_verify;
    char *ca_file;
};

static bool same_file(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static int create(net_trust **out, duet_net *net, const duet_tls_config *config, char *reason, size_t size)
{
    net_trust *t = duet_calloc(&net->env, sizeof(*t));

    if (!t)
        return DUET_ERR_NOMEM;
    t->net = net;
    t->users = 1;
    t->is_server = config->is_server;
    t->no_verify = config->no_verify;
    t->ca_file = duet_strdup(&net->env, config->ca_file);
    int err =
        config->ca_file && !t->ca_file ? DUET_ERR_NOMEM : duet_tls_context_create(&t->context, config, reason, size);
    if (err != DUET_OK) {
        duet_free(&net->env, t->ca_file);
        duet_free(&net->env, t);
        return err;
    }
    *out = t;
    return DUET_OK;
}

int net_trust_client(net_trust **out, duet_net *net, const char *ca_file, bool no_verify, char *reason, size_t size)
{
    duet_tls_config config;

    for (net_trust *t = net->trusts; t; t = t->next) {
        if (t->no_verify == no_verify && same_file(t->ca_file, ca_file)) {
            *out = net_trust_share(t);
            return DUET_OK;
        }
    }
    duet_tls_config_init(&config);
    config.env = &net->env;
    config.ca_file = ca_file;
    config.no_verify = no_verify;
    int err = create(out, net, &config, reason, size);
    if (err != DUET_OK)
        return err;
    (*out)->next = net->trusts;
    net->trusts = *out;
    return DUET_OK;
}

int net_trust_server(net_trust **out, duet_net *net, const char *certificate_file, const char *key_file, char *reason,
                     size_t size)
{
    duet_tls_config config;

    duet_tls_config_init(&config);
    config.env = &net->env;
    config.is_server = true;
    config.certificate_file = certificate_file;
    config.key_file = key_file;
    return create(out, net, &config, reason, size);
}

duet_tls_context *net_trust_context(const net_trust *t)
{
    return t->context;
}

net_trust *net_trust_share(net_trust *t)
{
    t->users++;
    return t;
}

void net_trust_release(net_trust *t)
{
    if (!t || --t->users > 0)
        return;
    duet_net *net = t->net;
    for (net_trust **link = &net->trusts; *link; link = &(*link)->next) {
        if (*link == t) {
            *link = t->next;
            break;
        }
    }
    duet_tls_context_destroy(t->context);
    duet_free(&net->env, t->ca_file);
    duet_free(&net->env, t);
}
