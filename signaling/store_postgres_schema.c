/* The tables of the PostgreSQL layer, as numbered steps. A step is never changed once it has been released: another one follows. */
#include "signaling/store_postgres_private.h"

/* Several nodes may start at once: one at a time looks and migrates. */
const char duet_postgres_lock[] = "BEGIN;"
                                  "SELECT pg_advisory_xact_lock(7238245191470432);"
                                  "CREATE TABLE IF NOT EXISTS duet_schema ("
                                  "version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());"
                                  "SELECT coalesce(max(version), 0) FROM duet_schema;";

static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE duet_room ("
    "id text PRIMARY KEY, name text NOT NULL, created_by text NOT NULL, created_at bigint NOT NULL, kind smallint NOT "
    "NULL,"
    "max_participants integer NOT NULL, mute_on_entry boolean NOT NULL, allow_recording boolean NOT NULL,"
    "max_duration bigint NOT NULL);"
    "CREATE TABLE duet_audit ("
    "n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, event text NOT NULL,"
    "room text NOT NULL, seat text NOT NULL, agent text NOT NULL, reason text NOT NULL);"
    "CREATE INDEX duet_audit_room ON duet_audit (room, at);",
    /* 2 */
    "CREATE INDEX duet_audit_agent ON duet_audit (agent, at);",
};

int duet_postgres_migrations(duet_buffer *sql, int version)
{
    int latest = (int)(sizeof(migrations) / sizeof(migrations[0]));

    if (version < 0 || version > latest)
        return DUET_ERR_UNSUPPORTED;
    for (int i = version; i < latest; i++) {
        duet_buffer_text(sql, migrations[i]);
        duet_buffer_printf(sql, "INSERT INTO duet_schema (version) VALUES (%d);", i + 1);
    }
    duet_buffer_text(sql, "COMMIT;");
    return sql->failed ? DUET_ERR_NOMEM : DUET_OK;
}
