/* UTCP over WebRTC: tools that one peer offers and others call, over a data channel (provider type "webrtc" of the
 * Universal Tool Calling Protocol). The peers find each other in a room of the signaling server.
 *
 * A server registers tools with handlers in C; a client is made from a provider file, connects when it is first needed,
 * keeps the connection, and connects again when it breaks. Both run on a loop of duet/net.h. All inputs and outputs
 * are JSON texts. docs/utcp.md tells the messages, the files and the subset of JSON Schema. */
#ifndef DUET_UTCP_H
#define DUET_UTCP_H

#include "duet/base.h"
#include "duet/net.h"
#include "duet/peer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DUET_UTCP_MESSAGE_MAX     (10u * 1024u * 1024u) /* bytes of a message, both ways */
#define DUET_UTCP_ID_MAX          128                   /* characters of a call's id; at least 1 */
#define DUET_UTCP_NAME_MAX        128 /* bytes of the name of a tool, of a provider, and of a peer id */
#define DUET_UTCP_TIMEOUT_DEFAULT DUET_SECONDS(30)
#define DUET_UTCP_CHANNEL_DEFAULT "tools"

/** Where and why a document was refused. The texts are for people, cut short where needed. */
typedef struct duet_utcp_error {
    char where[256]; /**< JSON pointer (RFC 6901); "" is the whole document */
    char why[160];
} duet_utcp_error;

/* ---- providers ------------------------------------------------------------------------------------------------- */

/** How a client reaches tools: a provider of UTCP v0.1 or a call template of v1. Strings are its own. */
typedef struct duet_utcp_provider {
    char *name;
    char *signaling_server; /**< ws:// or wss:// */
    char *peer_id;          /**< agent id of the serving seat */
    char *data_channel_name;
    char *room;  /**< `room` of the file, otherwise the peer id */
    char *token; /**< for the signaling server; NULL when the file has none */
} duet_utcp_provider;

/** The value of a variable; NULL when there is none. It lives until the next call. */
typedef const char *(*duet_utcp_lookup)(void *user, const char *name);

/** Reads a provider. ${NAME} in any of its texts is replaced by what `lookup` gives; "$${" stands for "${".
 *  @param lookup  NULL: there are no variables
 *  @param error   what is wrong; may be NULL. It names a variable that is missing, never a value
 *  @return DUET_OK; DUET_ERR_MALFORMED (no JSON object); DUET_ERR_INVALID (members missing or wrong);
 *          DUET_ERR_NOT_FOUND (a variable); DUET_ERR_UNSUPPORTED (another provider type); DUET_ERR_NOMEM */
DUET_API int duet_utcp_provider_read(duet_utcp_provider **out, const duet_env *env, const char *json, size_t len,
                                     duet_utcp_lookup lookup, void *user, duet_utcp_error *error);
/** @param env  the one that it was read with. NULL as provider is fine */
DUET_API void duet_utcp_provider_free(duet_utcp_provider *provider, const duet_env *env);

/* ---- serving ---------------------------------------------------------------------------------------------------- */

typedef struct duet_utcp_server duet_utcp_server;
/** One call that is being served. It ends once: by respond, end or fail, or by the tool's on_cancel. Afterwards the
 *  handle is gone. */
typedef struct duet_utcp_call duet_utcp_call;

typedef struct duet_utcp_tool {
    size_t size;
    /** JSON object: `name`, `description`, `inputs`, `outputs` (schemas; absent: anything goes), and whatever else the
     *  manual shall tell about it, such as `tags`. */
    const char *definition;
    size_t definition_len; /**< 0: up to its NUL */
    /** A call whose inputs fit the schema. Answer now or later. `inputs` is JSON and lives until the function
     * returns. */
    void (*on_call)(void *user, duet_utcp_call *call, const char *inputs, size_t len);
    /** The caller is gone, gave up, or the time is over: nobody waits for the answer any more. The handle ends with
     *  it. May be NULL when on_call always answers at once. */
    void (*on_cancel)(void *user, duet_utcp_call *call);
    /** After DUET_ERR_AGAIN there is room for items again. May be NULL. */
    void (*on_writable)(void *user, duet_utcp_call *call);
    bool streams; /**< answers with items */
    duet_time
        timeout; /**< for the answer, or from item to item; 0: 30 s. Then the caller gets a tool_error "timeout" */
    void *user;
} duet_utcp_tool;

#define DUET_UTCP_TOOL_INIT                                                                                            \
    {                                                                                                                  \
        .size = sizeof(duet_utcp_tool)                                                                                 \
    }

/** Ends the call with its output. A tool that streams sends it as the last item.
 *  @return DUET_OK; DUET_ERR_MALFORMED (no JSON, or it does not fit `outputs`: the caller got a tool_error);
 *          DUET_ERR_TOO_LARGE (likewise); DUET_ERR_AGAIN (the caller does not read, its connection was given up);
 *          DUET_ERR_NOMEM: the call goes on, try again, or it ends by its time-out */
DUET_API int duet_utcp_call_respond(duet_utcp_call *call, const char *output, size_t len);
/** One item of a stream. Each begins the time-out anew. A caller that has not asked for a stream gets all items at the
 *  end, as one array. Errors that end the call are told by on_cancel too, after this has returned.
 *  @return DUET_OK; DUET_ERR_AGAIN (the caller reads slowly: on_writable tells when to go on); DUET_ERR_STATE (the
 *          tool does not stream); DUET_ERR_MALFORMED, DUET_ERR_TOO_LARGE (nothing was sent: end or fail the call);
 *          DUET_ERR_NOMEM */
DUET_API int duet_utcp_call_item(duet_utcp_call *call, const char *output, size_t len);
/** Ends a stream. @return as respond */
DUET_API int duet_utcp_call_end(duet_utcp_call *call);
/** Ends the call with a tool_error.
 *  @param code     a word for programs, such as "failed" @param message  for people */
DUET_API int duet_utcp_call_fail(duet_utcp_call *call, const char *code, const char *message);
/** For the owner of the call. @return what was set last; NULL at first */
DUET_API void duet_utcp_call_set_data(duet_utcp_call *call, void *data);
DUET_API void *duet_utcp_call_data(const duet_utcp_call *call);

typedef struct duet_utcp_server_stats {
    size_t clients; /**< channels that are open now */
    size_t calls;   /**< under way now */
    uint64_t calls_total, errors, timeouts, cancelled;
    uint64_t bad_messages; /**< that could not be read, or were of unknown kinds: dropped */
} duet_utcp_server_stats;

typedef struct duet_utcp_server_config {
    size_t size;
    const duet_env *env;
    const char *name;             /**< of the provider in the manual; NULL: the peer id */
    const char *signaling_server; /**< ws://host:port/ws */
    const char *token;            /**< its subject is the peer id */
    const char *peer_id;          /**< agent id that clients look for */
    const char *room;             /**< NULL: the peer id */
    const char *channel;          /**< NULL: "tools" */
    size_t max_clients;           /**< at once; 0: 64. More are not answered */
    size_t max_calls;             /**< under way at once, of all clients; 0: 256. More get a tool_error "busy" */
    size_t max_client_calls;      /**< of one client; 0: 64 */
    const duet_pc_config
        *connection; /**< its ICE servers, addresses and so on; callbacks are not used. Without ICE servers the
                                       *   room's are used. NULL: defaults. What it points to must outlive the server */

    /* events; any may be NULL */
    void (*on_ready)(void *user, duet_utcp_server *server,
                     const char *seat); /**< in the room; again after a reconnection */
    void (*on_client)(void *user, duet_utcp_server *server, const char *peer,
                      bool open); /**< a channel opened, or is gone */
    /** Something did not work, in words. The server tries again by itself while `again_in` is not DUET_NEVER. */
    void (*on_problem)(void *user, duet_utcp_server *server, const char *what, duet_time again_in);
    void *user;
} duet_utcp_server_config;

#define DUET_UTCP_SERVER_CONFIG_INIT                                                                                   \
    {                                                                                                                  \
        .size = sizeof(duet_utcp_server_config)                                                                        \
    }

/** Begins to serve; register the tools before the loop runs. @return DUET_OK; DUET_ERR_INVALID; DUET_ERR_UNSUPPORTED
 *  (the URL); DUET_ERR_NOMEM; DUET_ERR_IO */
DUET_API int duet_utcp_server_create(duet_utcp_server **out, duet_net *net, const duet_utcp_server_config *config);
/** Says goodbye; calls under way end with on_cancel. NULL is fine; legal in every callback, where it takes effect at
 * its end. */
DUET_API void duet_utcp_server_destroy(duet_utcp_server *server);
/** @return DUET_OK; DUET_ERR_MALFORMED (no JSON); DUET_ERR_INVALID (`error` tells where: unknown keywords of a schema,
 *  for example); DUET_ERR_STATE (there is a tool of this name); DUET_ERR_LIMIT (256 tools); DUET_ERR_NOMEM */
DUET_API int duet_utcp_server_add_tool(duet_utcp_server *server, const duet_utcp_tool *tool, duet_utcp_error *error);
DUET_API void duet_utcp_server_get_stats(const duet_utcp_server *server, duet_utcp_server_stats *out);

/* ---- calling ---------------------------------------------------------------------------------------------------- */

typedef struct duet_utcp_client duet_utcp_client;

/** How a call ended. The texts live until the callback returns. */
typedef struct duet_utcp_result {
    /** DUET_OK: `output` is the answer (NULL at the end of a stream). DUET_ERR_IO: the tool answered with a tool_error.
     *  DUET_ERR_TIMEOUT. DUET_ERR_CLOSED: the connection broke while the call was under way. DUET_ERR_MALFORMED: the
     *  answer does not fit the `outputs` of the manual, where one has been discovered. DUET_ERR_NOMEM. */
    int err;
    const char *code;    /**< of the tool_error, or of ours: "timeout", "connection_lost", "invalid_output" */
    const char *message; /**< for people */
    const char *output;  /**< JSON */
    size_t output_len;
} duet_utcp_result;

typedef struct duet_utcp_request {
    size_t size;
    const char *tool;
    const char *inputs; /**< JSON object */
    size_t inputs_len;  /**< 0: up to its NUL */
    bool stream;        /**< ask for items as they come */
    /** May be carried out twice without harm: sent again after a reconnection, as long as no item has come. Others
     *  fail with DUET_ERR_CLOSED, as nobody knows whether they were carried out. */
    bool idempotent;
    duet_time
        timeout; /**< from now to the answer, connecting included, or from item to item; 0: 30 s; DUET_NEVER: none */
    void (*on_item)(void *user, uint64_t ticket, const char *output, size_t len); /**< of a stream */
    void (*on_done)(void *user, uint64_t ticket, const duet_utcp_result *result); /**< once, last */
    void *user;
} duet_utcp_request;

#define DUET_UTCP_REQUEST_INIT                                                                                         \
    {                                                                                                                  \
        .size = sizeof(duet_utcp_request)                                                                              \
    }

typedef enum duet_utcp_via {
    DUET_UTCP_VIA_CHANNEL = 0, /**< {"type":"utcp"} on the data channel */
    DUET_UTCP_VIA_SIGNALING,   /**< asked of the serving seat through the signaling server; no connection is made */
} duet_utcp_via;

/** @param err   DUET_OK; DUET_ERR_TIMEOUT; DUET_ERR_CLOSED; DUET_ERR_TOO_LARGE (it does not fit through signaling: ask
 *               on the channel); DUET_ERR_MALFORMED
 *  @param json  the manual, an object with `tools`; NULL on errors */
typedef void (*duet_utcp_on_manual)(void *user, int err, const char *json, size_t len);

typedef struct duet_utcp_client_stats {
    size_t waiting;   /**< calls that have not been sent yet */
    size_t in_flight; /**< calls that have been sent, or are being sent */
    bool connected;
    uint64_t connections; /**< made so far */
    uint64_t calls, late; /**< answers that nobody waits for any more: dropped */
    uint64_t bad_messages;
} duet_utcp_client_stats;

typedef struct duet_utcp_client_config {
    size_t size;
    const duet_env *env;
    const duet_utcp_provider *provider; /**< copied */
    const char *token;                  /**< for the signaling server where the provider has none */
    size_t max_calls;                   /**< waiting and in flight at once; 0: 1024 */
    const duet_pc_config *connection;   /**< see duet_utcp_server_config */

    void (*on_connected)(void *user, duet_utcp_client *client, bool connected);
    void (*on_problem)(void *user, duet_utcp_client *client, const char *what, duet_time again_in);
    void *user;
} duet_utcp_client_config;

#define DUET_UTCP_CLIENT_CONFIG_INIT                                                                                   \
    {                                                                                                                  \
        .size = sizeof(duet_utcp_client_config)                                                                        \
    }

/** Enters the room; the connection is made when it is first needed. @return as duet_utcp_server_create */
DUET_API int duet_utcp_client_create(duet_utcp_client **out, duet_net *net, const duet_utcp_client_config *config);
/** Without further callbacks. NULL is fine; legal in every callback. */
DUET_API void duet_utcp_client_destroy(duet_utcp_client *client);
/** Calls a tool; on_done comes later, never inside this function.
 *  @param ticket  for cancel; may be NULL
 *  @return DUET_OK; DUET_ERR_INVALID (name, or inputs that are no JSON object); DUET_ERR_TOO_LARGE; DUET_ERR_LIMIT
 *          (max_calls, or 64 MiB of calls); DUET_ERR_NOMEM */
DUET_API int duet_utcp_client_call(duet_utcp_client *client, const duet_utcp_request *request, uint64_t *ticket);
/** Gives up a call without further callbacks; the tool is told. @return DUET_OK or DUET_ERR_NOT_FOUND */
DUET_API int duet_utcp_client_cancel(duet_utcp_client *client, uint64_t ticket);
/** Asks for the manual. @param timeout  0: 30 s
 *  @return DUET_OK: on_manual comes once, later; DUET_ERR_LIMIT (16 at once); DUET_ERR_NOMEM */
DUET_API int duet_utcp_client_discover(duet_utcp_client *client, duet_utcp_via via, duet_time timeout,
                                       duet_utcp_on_manual on_manual, void *user);
DUET_API void duet_utcp_client_get_stats(const duet_utcp_client *client, duet_utcp_client_stats *out);

#ifdef __cplusplus
}
#endif
#endif
