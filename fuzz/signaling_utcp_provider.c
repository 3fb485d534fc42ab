/* Files of UTCP: providers, files of tools, and schemas with a value to check (after a NUL). */
#include "signaling/utcp_schema.h"
#include "signaling/utcp_tools.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *user, const char *name)
{
    (void)user;
    return strcmp(name, "A") == 0 ? "value" : NULL;
}

static void check_schema(const char *text, size_t len)
{
    const char *end = memchr(text, 0, len);
    size_t schema_len = end ? (size_t)(end - text) : len;
    json_t *document = json_loadb(text, schema_len, JSON_REJECT_DUPLICATES, NULL);
    json_t *value = end ? json_loadb(end + 1, len - schema_len - 1, JSON_DECODE_ANY, NULL) : json_null();
    duet_utcp_schema *schema = NULL;
    duet_utcp_error error;

    if (document && duet_utcp_schema_compile(&schema, NULL, document, NULL, &error) == DUET_OK && value)
        (void)duet_utcp_schema_validate(schema, value, &error);
    duet_utcp_schema_destroy(schema);
    json_decref(document);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    duet_utcp_provider *provider;
    duet_utcp_tools tools;
    duet_utcp_error error;

    int err = duet_utcp_provider_read(&provider, NULL, text, size, lookup, NULL, &error);
    if ((err == DUET_OK) != (provider != NULL))
        abort();
    duet_utcp_provider_free(provider, NULL);
    err = duet_utcp_tools_read(&tools, NULL, text, size, lookup, NULL, &error);
    for (size_t i = 0; err == DUET_OK && i < tools.count; i++) {
        if (!tools.specs[i].command == !tools.specs[i].url || !tools.specs[i].definition)
            abort();
    }
    duet_utcp_tools_free(&tools);
    check_schema(text, size);
    return 0;
}
