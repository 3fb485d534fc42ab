/* What `duet signal` is told: by a configuration file, by the environment, on the command line, the later ones going before
 * the earlier. One table says what there is. */
#ifndef DUET_APPS_SIGNAL_SETTINGS_H
#define DUET_APPS_SIGNAL_SETTINGS_H

#include "app_signaling.h"
#include <stdio.h>

#define SIGNAL_LIST_MAX 32

/* Entries of a setting that may come several times; ended by NULL. */
typedef struct signal_list {
    char *items[SIGNAL_LIST_MAX + 1];
    size_t count;
} signal_list;

typedef struct signal_settings {
    char *listen, *secret, *jwks_url, *authority_url, *ca_file, *audience, *issuer;
    char *tls_certificate, *tls_key, *ice_servers, *turn_secret, *redis, *postgres, *user, *web, *config;
    signal_list keys, origins, turn_urls;
    bool dev, rooms_on_join, check_config;
    uint64_t skew, turn_ttl, connections, agent_connections, address_connections, rooms, participants, mesh, grace,
        request;
    duet_signaling_rate rate, agent_rate, address_rate, room_rate;
    duet_log_level log_level;
    bool log_level_given;

    /* what the texts above are turned into */
    app_secret secret_bytes, turn_secret_bytes;
    duet_token_keys *key_set;
    duet_token_policy policy;
    char *turn_urls_json;
} signal_settings;

/* Reads all sources. @return -1 to go on, or an exit code, after an error message */
int signal_settings_read(signal_settings *out, int argc, char **argv);
/* The same once more, for a reload: nobody is told how to use the command. @return whether it could be read */
bool signal_settings_read_again(signal_settings *out, int argc, char **argv);
void signal_settings_free(signal_settings *s);

/* The server's configuration; it points into the settings. */
void signal_settings_config(const signal_settings *s, duet_signaling_server_config *config);

#endif
