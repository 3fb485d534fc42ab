/* The ICE servers that a room advises, as a peer connection takes them. */
#ifndef DUET_SIGNALING_UTCP_ICE_H
#define DUET_SIGNALING_UTCP_ICE_H

#include "signaling/json.h"

#define DUET_UTCP_ICE_SERVERS_MAX 16
#define DUET_UTCP_ICE_URLS_MAX    16

typedef struct duet_utcp_ice_servers {
    json_t *document; /* owner of the strings */
    size_t count;
    duet_ice_server servers[DUET_UTCP_ICE_SERVERS_MAX];
    const duet_ice_server *list[DUET_UTCP_ICE_SERVERS_MAX];
    const char *urls[DUET_UTCP_ICE_SERVERS_MAX][DUET_UTCP_ICE_URLS_MAX];
} duet_utcp_ice_servers;

/* @param json  an array of RTCIceServer; NULL: none. What cannot be understood is left out. @return whether there is
 * any */
bool duet_utcp_ice_servers_read(duet_utcp_ice_servers *s, const char *json);
void duet_utcp_ice_servers_free(duet_utcp_ice_servers *s);

#endif
