/* The tools of a server and the manual that tells of them. */
#ifndef DUET_SIGNALING_UTCP_REGISTRY_H
#define DUET_SIGNALING_UTCP_REGISTRY_H

#include "signaling/utcp_schema.h"
#include "signaling/utcp_server.h"

typedef struct duet_utcp_entry {
    duet_utcp_tool tool; /* callbacks and time-out; its definition is `definition` */
    json_t *definition;
    const char *name;                   /* the definition's */
    duet_utcp_schema *inputs, *outputs; /* NULL: anything goes */
} duet_utcp_entry;

typedef struct duet_utcp_registry {
    const duet_env *env;
    const duet_utcp_server_config *config; /* names for the manual */
    duet_array entries;                    /* of duet_utcp_entry * */
    char *manual;                          /* NULL until somebody asks */
} duet_utcp_registry;

void duet_utcp_registry_init(duet_utcp_registry *r, const duet_env *env, const duet_utcp_server_config *config);
void duet_utcp_registry_free(duet_utcp_registry *r);
int duet_utcp_registry_add(duet_utcp_registry *r, const duet_utcp_tool *tool, duet_utcp_error *error);
const duet_utcp_entry *duet_utcp_registry_find(const duet_utcp_registry *r, const char *name);
const char *duet_utcp_registry_manual(duet_utcp_registry *r, size_t *len);

#endif
