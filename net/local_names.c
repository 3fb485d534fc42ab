/* Names that end in ".local": one multicast DNS endpoint (ice/mdns.h) serves all endpoints of the loop. It comes into being with
 * the first such name. */
#include "ice/mdns.h"
#include "net/internal.h"

/* A look-up, or a name that is published. */
typedef struct local_name {
    struct local_name *next;
    net_endpoint *endpoint;
    uint32_t id;     /* of the endpoint's request */
    uint32_t number; /* of the query or the publication in duet_mdns */
    bool is_published;
} local_name;

struct net_local_names {
    duet_net *net;
    duet_mdns *mdns;
    local_name *names;
};

static local_name **find(net_local_names *all, bool is_published, uint32_t number)
{
    local_name **link = &all->names;

    while (*link && ((*link)->is_published != is_published || (*link)->number != number))
        link = &(*link)->next;
    return link;
}

static void drop(net_local_names *all, local_name **link)
{
    local_name *n = *link;

    *link = n->next;
    duet_free(&all->net->env, n);
}

static void on_result(void *user, uint32_t query, int err, const duet_address *addresses, size_t count)
{
    net_local_names *all = user;
    local_name **link = find(all, false, query);

    if (!*link)
        return;
    net_endpoint *ep = (*link)->endpoint;
    duet_answer answer = {
        .kind = DUET_REQUEST_RESOLVE, .id = (*link)->id, .err = err, .addresses = addresses, .address_count = count};
    if (err)
        answer.reason = err == DUET_ERR_TIMEOUT ? "nobody on the local network answers for this name"
                                                : "there is no network interface to ask on";
    drop(all, link);
    net_endpoint_answer(ep, &answer);
}

static int create(duet_net *net)
{
    net_local_names *all = duet_calloc(&net->env, sizeof(*all));
    duet_mdns_config config;

    if (!all)
        return DUET_ERR_NOMEM;
    duet_mdns_config_init(&config);
    config.env = &net->env;
    config.on_result = on_result;
    config.user = all;
    all->net = net;
    int err = duet_mdns_create(&all->mdns, &config);
    if (err == DUET_OK)
        err = duet_net_attach(net, duet_mdns_endpoint_ops(), all->mdns);
    if (err != DUET_OK) {
        duet_mdns_destroy(all->mdns);
        duet_free(&net->env, all);
        return err;
    }
    net->local_names = all;
    return DUET_OK;
}

static int add(net_endpoint *ep, const duet_request *request, bool is_published)
{
    duet_net *net = ep->net;

    int err = net->local_names ? DUET_OK : create(net);
    if (err != DUET_OK)
        return err;
    net_local_names *all = net->local_names;
    local_name *n = duet_calloc(&net->env, sizeof(*n));
    if (!n)
        return DUET_ERR_NOMEM;
    n->endpoint = ep;
    n->id = request->id;
    n->is_published = is_published;
    err = is_published ? duet_mdns_publish(all->mdns, request->name, &request->bind, &n->number)
                       : duet_mdns_resolve(all->mdns, request->name, &n->number);
    if (err != DUET_OK) {
        duet_free(&net->env, n);
        return err;
    }
    n->next = all->names;
    all->names = n;
    return DUET_OK;
}

bool net_is_local_name(const char *name)
{
    return duet_mdns_is_local_name(name);
}

int net_local_resolve(net_endpoint *ep, const duet_request *request)
{
    return add(ep, request, false);
}

int net_local_publish(net_endpoint *ep, const duet_request *request)
{
    return add(ep, request, true);
}

static void end(net_local_names *all, local_name **link)
{
    const local_name *n = *link;

    if (n->is_published)
        duet_mdns_withdraw(all->mdns, n->number);
    else
        duet_mdns_cancel(all->mdns, n->number);
    drop(all, link);
}

void net_local_withdraw(net_endpoint *ep, uint32_t id)
{
    net_local_names *all = ep->net->local_names;

    for (local_name **link = all ? &all->names : NULL; link && *link; link = &(*link)->next) {
        if ((*link)->endpoint == ep && (*link)->id == id && (*link)->is_published) {
            end(all, link);
            return;
        }
    }
}

void net_local_names_forget(net_local_names *all, const net_endpoint *ep)
{
    local_name **link = all ? &all->names : NULL;

    while (link && *link) {
        if ((*link)->endpoint == ep)
            end(all, link);
        else
            link = &(*link)->next;
    }
}

void net_local_names_destroy(net_local_names *all)
{
    if (!all)
        return;
    while (all->names)
        drop(all, &all->names);
    duet_mdns_destroy(all->mdns);
    duet_free(&all->net->env, all);
}
