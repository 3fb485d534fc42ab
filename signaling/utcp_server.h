/* The serving side of UTCP without its connections: tools, the calls under way, and a session for each channel.
 * Messages are texts, time is an argument. utcp_server_net.c joins it to peer connections.
 *
 * Callbacks of tools run inside; neither the core nor a session may be destroyed in them. */
#ifndef DUET_SIGNALING_UTCP_SERVER_H
#define DUET_SIGNALING_UTCP_SERVER_H

#include "base/memory.h"
#include "duet/utcp.h"

#define DUET_UTCP_TOOLS_MAX 256
/* A stream waits when so much waits to be sent on its channel, and goes on at half of it. */
#define DUET_UTCP_STREAM_HIGH (1024u * 1024u)

typedef struct duet_utcp_server_core duet_utcp_server_core;
typedef struct duet_utcp_session duet_utcp_session;

/* @param config  its texts and bounds; connection and callbacks are not read. A call beyond max_calls or
 *                max_client_calls gets a tool_error "busy" */
int duet_utcp_server_core_create(duet_utcp_server_core **out, const duet_utcp_server_config *config);
void duet_utcp_server_core_destroy(duet_utcp_server_core *core); /* after its sessions; NULL is fine */
int duet_utcp_server_core_add_tool(duet_utcp_server_core *core, const duet_utcp_tool *tool, duet_utcp_error *error);
/* The manual; it lives until a tool is added. NULL: no memory. */
const char *duet_utcp_server_core_manual(duet_utcp_server_core *core, size_t *len);
void duet_utcp_server_core_stats(const duet_utcp_server_core *core, duet_utcp_server_stats *out);
/* Ends what is due. Call it too, soon, after on_output: only here the core learns when an item was. */
void duet_utcp_server_core_tick(duet_utcp_server_core *core, duet_time now);
duet_time duet_utcp_server_core_deadline(const duet_utcp_server_core *core);

/* @param piece_max  a=max-message-size of the peer, 0 for no limit
 * @param on_output  there is something to send, or the session is over; runs inside. It may pull, and nothing else */
int duet_utcp_session_open(duet_utcp_session **out, duet_utcp_server_core *core, uint64_t piece_max,
                           void (*on_output)(void *user), void *user);
/* The channel is gone: calls under way are cancelled. NULL is fine. */
void duet_utcp_session_close(duet_utcp_session *session);
/* What cannot be read is counted and dropped; with an id the caller gets a tool_error. */
void duet_utcp_session_input(duet_utcp_session *session, const char *text, size_t len, duet_time now);
/* The next message for the channel; it lives until `sent`. NULL when there is none. @return DUET_OK or
 * DUET_ERR_NOMEM */
int duet_utcp_session_peek(duet_utcp_session *session, const char **text, size_t *len);
/* It has been sent. Streams that waited may go on: their on_writable runs inside. */
void duet_utcp_session_sent(duet_utcp_session *session);
/* The peer does not read: close the channel. */
bool duet_utcp_session_is_over(const duet_utcp_session *session);

#endif
