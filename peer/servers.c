/* The ICE servers of a configuration, copied: W3C RTCConfiguration.iceServers. */
#include "peer/internal.h"
#include <string.h>

void pc_strings_free(const duet_env *env, char **strings, size_t count)
{
    for (size_t i = 0; strings && i < count; i++)
        duet_free(env, strings[i]);
    duet_free(env, strings);
}

int pc_strings_copy(const duet_env *env, char ***out, const char *const *strings, size_t count)
{
    char **copy = duet_calloc(env, (count + 1) * sizeof(char *));

    *out = copy;
    if (!copy)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        copy[i] = duet_strdup(env, strings[i]);
        if (!copy[i]) {
            pc_strings_free(env, copy, count);
            *out = NULL;
            return DUET_ERR_NOMEM;
        }
    }
    return DUET_OK;
}

static void server_free(const duet_env *env, pc_server *s)
{
    pc_strings_free(env, s->urls, s->server.url_count);
    duet_free(env, s->username);
    duet_free(env, s->credential);
}

void pc_servers_free(const duet_env *env, duet_array *servers)
{
    for (size_t i = 0; i < servers->count; i++)
        server_free(env, duet_array_at(servers, i));
    duet_array_free(servers);
}

static int server_copy(const duet_env *env, pc_server *to, const duet_ice_server *from)
{
    if (pc_strings_copy(env, &to->urls, from->urls, from->url_count) != DUET_OK)
        return DUET_ERR_NOMEM;
    to->server.url_count = from->url_count;
    to->username = duet_strdup(env, from->username);
    to->credential = duet_strdup(env, from->credential);
    if ((from->username && !to->username) || (from->credential && !to->credential))
        return DUET_ERR_NOMEM;
    to->server.urls = (const char *const *)to->urls;
    to->server.username = to->username;
    to->server.credential = to->credential;
    return DUET_OK;
}

int pc_servers_copy(const duet_env *env, duet_array *out, const duet_ice_server *const *servers, size_t count)
{
    duet_array_init(out, env, sizeof(pc_server));
    for (size_t i = 0; i < count; i++) {
        pc_server *s = duet_array_push(out);
        if (!s || server_copy(env, s, servers[i]) != DUET_OK) {
            pc_servers_free(env, out);
            return DUET_ERR_NOMEM;
        }
    }
    return DUET_OK;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool server_equal(const duet_ice_server *a, const duet_ice_server *b)
{
    if (a->url_count != b->url_count || !same_text(a->username, b->username) ||
        !same_text(a->credential, b->credential))
        return false;
    for (size_t i = 0; i < a->url_count; i++) {
        if (!same_text(a->urls[i], b->urls[i]))
            return false;
    }
    return true;
}

bool pc_servers_equal(const duet_array *a, const duet_array *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const pc_server *x = duet_array_at(a, i), *y = duet_array_at(b, i);
        if (!server_equal(&x->server, &y->server))
            return false;
    }
    return true;
}

const duet_ice_server **pc_servers_list(duet_pc *pc)
{
    if (pc->servers.count == 0)
        return NULL;
    const duet_ice_server **list = duet_alloc(&pc->env, pc->servers.count * sizeof(*list));
    for (size_t i = 0; list && i < pc->servers.count; i++)
        list[i] = &((pc_server *)duet_array_at(&pc->servers, i))->server;
    return list;
}
