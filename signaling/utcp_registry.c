/* Tools with their compiled schemas, and the UTCP manual made of them: members of v0.1 (version, tool_provider) and of
 * v1 (utcp_version, manual_version, tool_call_template), so that readers of either find theirs. */
#include "signaling/utcp_registry.h"
#include "signaling/utcp_message.h"
#include <string.h>

void duet_utcp_registry_init(duet_utcp_registry *r, const duet_env *env, const duet_utcp_server_config *config)
{
    *r = (duet_utcp_registry){.env = env, .config = config};
    duet_array_init(&r->entries, env, sizeof(duet_utcp_entry *));
}

static duet_utcp_entry *entry_at(const duet_utcp_registry *r, size_t i)
{
    return *(duet_utcp_entry **)duet_array_at(&r->entries, i);
}

static void free_entry(const duet_utcp_registry *r, duet_utcp_entry *e)
{
    duet_utcp_schema_destroy(e->inputs);
    duet_utcp_schema_destroy(e->outputs);
    json_decref(e->definition);
    duet_free(r->env, e);
}

static void forget_manual(duet_utcp_registry *r)
{
    duet_free(r->env, r->manual);
    r->manual = NULL;
}

void duet_utcp_registry_free(duet_utcp_registry *r)
{
    for (size_t i = 0; i < r->entries.count; i++)
        free_entry(r, entry_at(r, i));
    duet_array_free(&r->entries);
    forget_manual(r);
}

const duet_utcp_entry *duet_utcp_registry_find(const duet_utcp_registry *r, const char *name)
{
    for (size_t i = 0; i < r->entries.count; i++) {
        if (strcmp(entry_at(r, i)->name, name) == 0)
            return entry_at(r, i);
    }
    return NULL;
}

/* ---- adding ---- */

static int compile(const duet_utcp_registry *r, duet_utcp_schema **out, const json_t *definition, const char *name,
                   duet_utcp_error *error)
{
    const duet_utcp_pointer at = {NULL, name, 0};
    json_t *schema = json_object_get(definition, name);

    return schema ? duet_utcp_schema_compile(out, r->env, schema, &at, error) : DUET_OK;
}

static int read_definition(const duet_utcp_registry *r, duet_utcp_entry *e, duet_utcp_error *error)
{
    const duet_utcp_pointer name_at = {NULL, "name", 0}, text_at = {NULL, "description", 0};
    const json_t *description = json_object_get(e->definition, "description");

    e->name = duet_json_text(e->definition, "name");
    if (!duet_utcp_name_valid(e->name)) {
        duet_utcp_error_set(error, &name_at, "a tool has a name of 1 to 128 bytes");
        return DUET_ERR_INVALID;
    }
    if (description && !json_is_string(description)) {
        duet_utcp_error_set(error, &text_at, "this is a text");
        return DUET_ERR_INVALID;
    }
    if (duet_utcp_registry_find(r, e->name)) {
        duet_utcp_error_set(error, &name_at, "there is a tool of this name already");
        return DUET_ERR_STATE;
    }
    int err = compile(r, &e->inputs, e->definition, "inputs", error);
    return err == DUET_OK ? compile(r, &e->outputs, e->definition, "outputs", error) : err;
}

static int parse_definition(duet_utcp_entry *e, const duet_utcp_tool *tool, duet_utcp_error *error)
{
    size_t len = tool->definition_len ? tool->definition_len : strlen(tool->definition);
    const char *reason = "this is not a JSON object";

    int err = duet_utcp_json_parse(&e->definition, tool->definition, len, &reason);
    if (err == DUET_OK && !json_is_object(e->definition))
        err = DUET_ERR_MALFORMED;
    if (err != DUET_OK)
        duet_utcp_error_set(error, NULL, "%s", reason);
    return err;
}

int duet_utcp_registry_add(duet_utcp_registry *r, const duet_utcp_tool *tool, duet_utcp_error *error)
{
    if (r->entries.count >= DUET_UTCP_TOOLS_MAX) {
        duet_utcp_error_set(error, NULL, "there are %d tools already", DUET_UTCP_TOOLS_MAX);
        return DUET_ERR_LIMIT;
    }
    duet_utcp_entry *e = duet_calloc(r->env, sizeof(*e));
    if (!e)
        return DUET_ERR_NOMEM;
    memcpy(&e->tool, tool, tool->size < sizeof(e->tool) ? tool->size : sizeof(e->tool));
    if (e->tool.timeout == 0)
        e->tool.timeout = DUET_UTCP_TIMEOUT_DEFAULT;
    int err = tool->definition && tool->on_call ? parse_definition(e, tool, error) : DUET_ERR_INVALID;
    if (err == DUET_OK)
        err = read_definition(r, e, error);
    duet_utcp_entry **slot = err == DUET_OK ? duet_array_push(&r->entries) : NULL;
    if (!slot) {
        free_entry(r, e);
        return err == DUET_OK ? DUET_ERR_NOMEM : err;
    }
    *slot = e;
    forget_manual(r);
    return DUET_OK;
}

/* ---- the manual ---- */

/* How the tools are reached; `kind` is the member that tells the type. */
static json_t *make_provider(const duet_utcp_server_config *c, const char *kind)
{
    bool other_room = strcmp(c->room, c->peer_id) != 0;

    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s*}", "name", c->name, kind, "webrtc", "signaling_server",
                     c->signaling_server, "peer_id", c->peer_id, "data_channel_name", c->channel, "room",
                     other_room ? c->room : NULL);
}

static int add_tool(json_t *tools, const duet_utcp_registry *r, const duet_utcp_entry *e)
{
    json_t *tool = json_copy(e->definition);

    int failed = json_object_set_new(tool, "tool_provider", make_provider(r->config, "provider_type"));
    failed |= json_object_set_new(tool, "tool_call_template", make_provider(r->config, "call_template_type"));
    if (e->tool.streams)
        failed |= json_object_set_new(tool, "stream", json_true());
    if (failed == 0)
        return json_array_append_new(tools, tool);
    json_decref(tool);
    return failed;
}

static json_t *make_manual(const duet_utcp_registry *r)
{
    json_t *tools = json_array();
    int failed = tools ? 0 : -1;

    for (size_t i = 0; failed == 0 && i < r->entries.count; i++)
        failed = add_tool(tools, r, entry_at(r, i));
    if (failed != 0) {
        json_decref(tools);
        return NULL;
    }
    return json_pack("{s:s,s:s,s:s,s:o}", "version", "1.0", "utcp_version", "0.1", "manual_version", "1.0.0", "tools",
                     tools);
}

const char *duet_utcp_registry_manual(duet_utcp_registry *r, size_t *len)
{
    if (!r->manual) {
        duet_buffer text;
        duet_buffer_init(&text, r->env);
        json_t *manual = make_manual(r);
        int err = duet_json_write(&text, manual);
        json_decref(manual);
        if (err == DUET_OK)
            r->manual = duet_buffer_steal(&text);
        else
            duet_buffer_free(&text);
    }
    *len = r->manual ? strlen(r->manual) : 0;
    return r->manual;
}
