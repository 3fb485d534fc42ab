/* RTCIceServer objects (W3C webrtc-pc, 4.2.4) from the JSON of room_users. */
#include "signaling/utcp_ice.h"
#include <string.h>

static bool add_url(duet_utcp_ice_servers *s, duet_ice_server *server, const json_t *url)
{
    if (!json_is_string(url) || server->url_count == DUET_UTCP_ICE_URLS_MAX)
        return false;
    s->urls[s->count][server->url_count++] = json_string_value(url);
    return true;
}

static void add_server(duet_utcp_ice_servers *s, const json_t *item)
{
    duet_ice_server *server = &s->servers[s->count];
    const json_t *urls = json_object_get(item, "urls");

    *server = (duet_ice_server){.urls = s->urls[s->count]};
    if (json_is_string(urls))
        add_url(s, server, urls);
    for (size_t i = 0; i < json_array_size(urls); i++)
        add_url(s, server, json_array_get(urls, i));
    server->username = json_string_value(json_object_get(item, "username"));
    server->credential = json_string_value(json_object_get(item, "credential"));
    if (server->url_count > 0)
        s->list[s->count++] = server;
}

bool duet_utcp_ice_servers_read(duet_utcp_ice_servers *s, const char *json)
{
    memset(s, 0, sizeof(*s));
    s->document = json ? json_loads(json, JSON_REJECT_DUPLICATES, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(s->document) && s->count < DUET_UTCP_ICE_SERVERS_MAX; i++)
        add_server(s, json_array_get(s->document, i));
    return s->count > 0;
}

void duet_utcp_ice_servers_free(duet_utcp_ice_servers *s)
{
    json_decref(s->document);
    s->document = NULL;
}
