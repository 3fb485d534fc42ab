/* The calling side of UTCP without its connection: calls by id with their deadlines, waiting, sent, answered. Messages
 * are texts, time is an argument. utcp_client_net.c joins it to a peer connection.
 *
 * Callbacks run inside input, tick and lost; the core may not be destroyed in them, calls may be made and cancelled. */
#ifndef DUET_SIGNALING_UTCP_CLIENT_H
#define DUET_SIGNALING_UTCP_CLIENT_H

#include "base/memory.h"
#include "duet/utcp.h"

#define DUET_UTCP_CALLS_BYTES_MAX (64u * 1024u * 1024u) /* texts of calls that are kept */
#define DUET_UTCP_DISCOVERIES_MAX 16
/* Calls are handed to the channel as long as less than this waits there: those beyond it survive a broken
 * connection. */
#define DUET_UTCP_CLIENT_HIGH (256u * 1024u)

typedef struct duet_utcp_client_core duet_utcp_client_core;

/* @param config  env and max_calls are read */
int duet_utcp_client_core_create(duet_utcp_client_core **out, const duet_utcp_client_config *config);
void duet_utcp_client_core_destroy(duet_utcp_client_core *core); /* without callbacks; NULL is fine */

int duet_utcp_client_core_call(duet_utcp_client_core *core, const duet_utcp_request *request, uint64_t *ticket,
                               duet_time now);
int duet_utcp_client_core_cancel(duet_utcp_client_core *core, uint64_t ticket);
int duet_utcp_client_core_discover(duet_utcp_client_core *core, duet_utcp_via via, duet_time timeout,
                                   duet_utcp_on_manual on_manual, void *user, duet_time now);

/* Something waits for a connection; something waits to be asked through signaling. */
bool duet_utcp_client_core_wants_channel(const duet_utcp_client_core *core);
bool duet_utcp_client_core_wants_manual(const duet_utcp_client_core *core);

/* @param piece_max  a=max-message-size of the peer, 0 for no limit */
void duet_utcp_client_core_connected(duet_utcp_client_core *core, uint64_t piece_max);
/* The channel is gone: calls that were sent fail, unless they are idempotent and without items; the others wait. */
void duet_utcp_client_core_lost(duet_utcp_client_core *core, const char *reason);
void duet_utcp_client_core_input(duet_utcp_client_core *core, const char *text, size_t len, duet_time now);
/* The manual came through signaling. */
void duet_utcp_client_core_manual(duet_utcp_client_core *core, const char *text, size_t len);
/* As for sessions. NULL while there is no channel. */
int duet_utcp_client_core_peek(duet_utcp_client_core *core, const char **text, size_t *len);
void duet_utcp_client_core_sent(duet_utcp_client_core *core);

void duet_utcp_client_core_tick(duet_utcp_client_core *core, duet_time now);
duet_time duet_utcp_client_core_deadline(const duet_utcp_client_core *core);
void duet_utcp_client_core_stats(const duet_utcp_client_core *core, duet_utcp_client_stats *out);

#endif
