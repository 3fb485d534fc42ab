/* Output schemas of a manual that came from a peer. They help the caller, so what cannot be understood is left out. */
#include "signaling/utcp_learned.h"
#include "signaling/utcp_message.h"
#include <string.h>

#define TOOLS_MAX 256

typedef struct known {
    const char *name; /* the manual's */
    duet_utcp_schema *outputs;
    bool streams;
} known;

void duet_utcp_learned_init(duet_utcp_learned *l, const duet_env *env)
{
    *l = (duet_utcp_learned){.env = env};
    duet_array_init(&l->tools, env, sizeof(known));
}

void duet_utcp_learned_free(duet_utcp_learned *l)
{
    for (size_t i = 0; i < l->tools.count; i++)
        duet_utcp_schema_destroy(((known *)duet_array_at(&l->tools, i))->outputs);
    duet_array_free(&l->tools);
    json_decref(l->manual);
    l->manual = NULL;
}

static void learn_tool(duet_utcp_learned *l, const json_t *tool)
{
    json_t *outputs = json_object_get(tool, "outputs");
    const char *name = duet_json_text(tool, "name");
    duet_utcp_schema *schema;

    if (!duet_utcp_name_valid(name) || !outputs || l->tools.count >= TOOLS_MAX)
        return;
    if (duet_utcp_schema_compile(&schema, l->env, outputs, NULL, NULL) != DUET_OK)
        return;
    known *k = duet_array_push(&l->tools);
    if (!k) {
        duet_utcp_schema_destroy(schema);
        return;
    }
    *k = (known){name, schema, json_is_true(json_object_get(tool, "stream"))};
}

void duet_utcp_learned_take(duet_utcp_learned *l, json_t *manual)
{
    const json_t *tools = json_object_get(manual, "tools");
    const duet_env *env = l->env;

    duet_utcp_learned_free(l);
    duet_utcp_learned_init(l, env);
    l->manual = json_incref(manual);
    for (size_t i = 0; i < json_array_size(tools) && i < TOOLS_MAX; i++)
        learn_tool(l, json_array_get(tools, i));
}

static const known *find(const duet_utcp_learned *l, const char *tool)
{
    for (size_t i = 0; i < l->tools.count; i++) {
        const known *k = duet_array_at(&l->tools, i);
        if (strcmp(k->name, tool) == 0)
            return k;
    }
    return NULL;
}

int duet_utcp_learned_check(const duet_utcp_learned *l, const char *tool, const json_t *output, bool whole,
                            duet_utcp_error *error)
{
    const known *k = find(l, tool);
    int err = DUET_OK;

    if (!k)
        return DUET_OK;
    if (!k->streams || !whole || !json_is_array(output))
        return duet_utcp_schema_validate(k->outputs, output, error);
    for (size_t i = 0; err == DUET_OK && i < json_array_size(output); i++)
        err = duet_utcp_schema_validate(k->outputs, json_array_get(output, i), error);
    return err;
}
