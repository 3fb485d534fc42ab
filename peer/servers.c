/* The ICE servers of a configuration, copied: W3C RTCConfiguration.iceServers. */
#include "peer/internal.h"

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

void pc_servers_free(duet_pc *pc)
{
    for (size_t i = 0; i < pc->servers.count; i++)
        server_free(&pc->env, duet_array_at(&pc->servers, i));
    duet_array_free(&pc->servers);
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

int pc_servers_copy(duet_pc *pc, const duet_ice_server *const *servers, size_t count)
{
    duet_array old = pc->servers;

    duet_array_init(&pc->servers, &pc->env, sizeof(pc_server));
    for (size_t i = 0; i < count; i++) {
        pc_server *s = duet_array_push(&pc->servers);
        if (!s || server_copy(&pc->env, s, servers[i]) != DUET_OK) {
            pc_servers_free(pc);
            pc->servers = old;
            return DUET_ERR_NOMEM;
        }
    }
    duet_array kept = pc->servers;
    pc->servers = old;
    pc_servers_free(pc);
    pc->servers = kept;
    return DUET_OK;
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
