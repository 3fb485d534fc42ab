/* RTCIceServer objects as commands take them: JSON, or the name of a file with it. */
#ifndef DUET_APPS_APP_ICE_SERVERS_H
#define DUET_APPS_APP_ICE_SERVERS_H

#include "duet/base.h"

#define APP_ICE_SERVERS_MAX 16
#define APP_ICE_URLS_MAX    16

typedef struct app_ice_servers {
    struct json_t *document; /* the strings are its */
    size_t count;
    duet_ice_server servers[APP_ICE_SERVERS_MAX];
    const duet_ice_server *list[APP_ICE_SERVERS_MAX];
    const char *urls[APP_ICE_SERVERS_MAX][APP_ICE_URLS_MAX];
} app_ice_servers;

/* @param text  NULL: none. @return false after an error message; free it in any case */
bool app_ice_servers_read(app_ice_servers *s, const char *text);
void app_ice_servers_free(app_ice_servers *s);

#endif
