/* RTCIceServer objects from JSON: urls, username, credential (W3C webrtc-pc section 4.2.4). */
#include "app.h"
#include "app_ice_servers.h"
#include <jansson.h>
#include <string.h>

static bool read_urls(app_ice_servers *s, size_t n, const json_t *urls)
{
    duet_ice_server *server = &s->servers[n];

    if (json_is_string(urls)) {
        s->urls[n][0] = json_string_value(urls);
        server->url_count = 1;
        return true;
    }
    server->url_count = json_array_size(urls);
    for (size_t i = 0; i < server->url_count && i < APP_ICE_URLS_MAX; i++) {
        s->urls[n][i] = json_string_value(json_array_get(urls, i));
        if (!s->urls[n][i])
            return false;
    }
    return server->url_count > 0 && server->url_count <= APP_ICE_URLS_MAX;
}

bool app_ice_servers_read(app_ice_servers *s, const char *text)
{
    json_error_t error;

    memset(s, 0, sizeof(*s));
    if (!text)
        return true;
    bool is_json = text[strspn(text, " \t\r\n")] == '[';
    s->document = is_json ? json_loads(text, JSON_REJECT_DUPLICATES, &error)
                          : json_load_file(text, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_array(s->document) || json_array_size(s->document) > APP_ICE_SERVERS_MAX) {
        app_error("--ice-servers: %s", s->document ? "give an array of at most 16 servers" : error.text);
        return false;
    }
    for (size_t n = 0; n < json_array_size(s->document); n++) {
        const json_t *item = json_array_get(s->document, n);
        if (!read_urls(s, n, json_object_get(item, "urls"))) {
            app_error("--ice-servers: server %zu needs \"urls\", a string or an array of up to 16", n);
            return false;
        }
        s->servers[n].urls = s->urls[n];
        s->servers[n].username = json_string_value(json_object_get(item, "username"));
        s->servers[n].credential = json_string_value(json_object_get(item, "credential"));
        s->list[s->count++] = &s->servers[n];
    }
    return true;
}

void app_ice_servers_free(app_ice_servers *s)
{
    json_decref(s->document);
    s->document = NULL;
}
