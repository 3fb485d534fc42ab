/* "duet-utcp-1": the subset of JSON Schema (2020-12) that describes the inputs and outputs of tools.
 *
 * Rules: type, properties, required, items, enum, const, additionalProperties (true or false), minimum, maximum,
 * exclusiveMinimum, exclusiveMaximum, minLength, maxLength, minItems, maxItems, uniqueItems. Said but not checked:
 * title, description, default, examples, format, $schema. Everything else is refused when a schema is compiled. There
 * are no references, so depth and work are bounded by the schema's size. */
#ifndef DUET_SIGNALING_UTCP_SCHEMA_H
#define DUET_SIGNALING_UTCP_SCHEMA_H

#include "signaling/json.h"
#include "signaling/utcp_pointer.h"

#define DUET_UTCP_SCHEMA_NODES_MAX 1024     /* schemas within a schema */
#define DUET_UTCP_SCHEMA_DEPTH_MAX 32       /* and how deep they nest */
#define DUET_UTCP_SCHEMA_ENUM_MAX  256      /* values of an enum */
#define DUET_UTCP_SCHEMA_STEPS_MAX 4000000u /* comparisons and look-ups of one validation */

typedef struct duet_utcp_schema duet_utcp_schema;

/* @param document  the schema; a reference is taken @param base  where it stands in its file, for errors; may be NULL
 * @return DUET_OK; DUET_ERR_INVALID (`error` tells); DUET_ERR_LIMIT (too many or too deep); DUET_ERR_NOMEM */
int duet_utcp_schema_compile(duet_utcp_schema **out, const duet_env *env, json_t *document,
                             const duet_utcp_pointer *base, duet_utcp_error *error);
void duet_utcp_schema_destroy(duet_utcp_schema *schema); /* NULL is fine */

/* @param error  the JSON pointer into `value` and the rule that it breaks; may be NULL
 * @return DUET_OK; DUET_ERR_INVALID; DUET_ERR_LIMIT (more than DUET_UTCP_SCHEMA_STEPS_MAX); DUET_ERR_NOMEM */
int duet_utcp_schema_validate(const duet_utcp_schema *schema, const json_t *value, duet_utcp_error *error);

#endif
