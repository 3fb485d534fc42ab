/* Signaling: how two peers find each other and exchange descriptions and candidates through a room server.
 *
 * Three parts that do not need each other: access tokens (JSON Web Tokens, RFC 7519), a client that runs on a loop of
 * duet/net.h, and the room server itself (WebSocket, RFC 6455, over HTTP). docs/signaling.md tells the protocol. */
#ifndef DUET_SIGNALING_H
#define DUET_SIGNALING_H

#include "duet/base.h"
#include "duet/net.h"
#include "duet/peer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

#define DUET_TOKEN_TEXT_MAX    4096 /* bytes of a whole token */
#define DUET_TOKEN_SUBJECT_MAX 128
#define DUET_TOKEN_ROLE_MAX    32
#define DUET_TOKEN_ISSUER_MAX  128 /* of "iss" and "aud" */
#define DUET_TOKEN_KEYS_MAX    32  /* in one set: so many signatures are tried for a token that names no key */
#define DUET_ROOM_ID_MAX       128

/** What the bearer of a token may do: claim "perm". */
#define DUET_TOKEN_CREATE   (1u << 0)
#define DUET_TOKEN_JOIN     (1u << 1)
#define DUET_TOKEN_MODERATE (1u << 2)

/** The claims that Duet reads (RFC 7519 section 4.1; room, role and perm are its own). Strings are "" when absent. */
typedef struct duet_token_claims {
    char subject[DUET_TOKEN_SUBJECT_MAX + 1]; /**< "sub": who this is, the agentId of the protocol */
    int64_t expires_at;                       /**< "exp", seconds since 1970; required */
    unsigned permissions;                     /**< "perm"; a token without the claim may join */
    char room[DUET_ROOM_ID_MAX + 1];          /**< "room": a join token, good for this room only */
    char role[DUET_TOKEN_ROLE_MAX + 1];       /**< "role" in that room */
    int64_t not_before;                       /**< "nbf", seconds since 1970; 0 when absent */
    char audience[DUET_TOKEN_ISSUER_MAX + 1]; /**< "aud": the one that the policy asks for, otherwise the first; "" when
                                               * it does not fit */
    char issuer[DUET_TOKEN_ISSUER_MAX + 1];   /**< "iss"; "" when it does not fit */
} duet_token_claims;

/** Keys that sign or check tokens. Each is pinned to one algorithm when it is added: a token can only choose among keys,
 *  never how a key is used (RFC 8725 section 3.1). */
typedef struct duet_token_keys duet_token_keys;

/** An empty set. @return DUET_OK or DUET_ERR_NOMEM */
DUET_API int duet_token_keys_create(duet_token_keys **out, const duet_env *env);
DUET_API void duet_token_keys_destroy(duet_token_keys *keys); /**< wipes secrets; NULL is fine */
DUET_API size_t duet_token_keys_count(const duet_token_keys *keys);

/** Adds a shared secret for HS256.
 *  @param kid     its name in tokens ("kid", RFC 7515 section 4.1.4); NULL: only for tokens that name no key
 *  @param secret  copied; RFC 7518 section 3.2 wants 32 bytes or more
 *  @return DUET_OK; DUET_ERR_INVALID (empty, or the PEM of a key); DUET_ERR_LIMIT; DUET_ERR_NOMEM */
DUET_API int duet_token_keys_add_secret(duet_token_keys *keys, const char *kid, const void *secret, size_t len);

/** Adds a public or private key (without a password) from PEM: RSA of 2048 to 8192 bits for RS256, P-256 for ES256
 *  (RFC 7518), Ed25519 for EdDSA (RFC 8037).
 *  @param reason  why not, static; may be NULL
 *  @return DUET_OK; DUET_ERR_MALFORMED; DUET_ERR_UNSUPPORTED (another kind of key, or a weak one); DUET_ERR_LIMIT;
 *          DUET_ERR_NOMEM */
DUET_API int duet_token_keys_add_pem(duet_token_keys *keys, const char *kid, const char *pem, size_t len,
                                     const char **reason);

/** Adds the keys of a JWK Set (RFC 7517 section 5): "oct" of 32 bytes or more, RSA, P-256 and Ed25519. Those that "use",
 *  "alg" or "key_ops" reserve for something else, that are weak, or of an unknown kind are left out.
 *  @return DUET_OK (an empty set, too); DUET_ERR_MALFORMED; DUET_ERR_UNSUPPORTED (none of the keys is of use);
 *          DUET_ERR_LIMIT, DUET_ERR_NOMEM: nothing was added */
DUET_API int duet_token_keys_add_jwks(duet_token_keys *keys, const char *json, size_t len, const char **reason);

/** What a token must say beyond being signed. */
typedef struct duet_token_policy {
    size_t size;
    const char *audience;  /**< must be "aud" or in it (RFC 7519 section 4.1.3); NULL: not looked at */
    const char *issuer;    /**< must be "iss"; NULL: not looked at */
    unsigned skew_seconds; /**< how far clocks may differ, for "exp" and "nbf" */
} duet_token_policy;

/* clang-format off */
#define DUET_TOKEN_POLICY_INIT { sizeof(duet_token_policy), NULL, NULL, 30 }
/* clang-format on */

/** Checks form, algorithm, signature, times, audience and issuer of a token in JWS compact form (RFC 7515 section 7.1).
 *  A token with a "kid" is checked with the keys of that name only, one without with all keys of its algorithm; critical
 *  extensions are refused, keys that the token itself brings are not looked at.
 *
 *  @param policy        NULL: DUET_TOKEN_POLICY_INIT
 *  @param wall_seconds  wall-clock time, seconds since 1970
 *  @param reason        why not, static and without any part of the token; may be NULL
 *  @return DUET_OK; DUET_ERR_MALFORMED; DUET_ERR_UNSUPPORTED (the algorithm: "none", for example; critical extensions);
 *          DUET_ERR_NOT_FOUND (there is no key of this "kid" and algorithm: newer keys might help); DUET_ERR_AUTH (wrong
 *          signature, audience or issuer, expired, or not valid yet); DUET_ERR_NOMEM; DUET_ERR_CRYPTO */
DUET_API int duet_token_check(duet_token_claims *out, const duet_token_keys *keys, const duet_token_policy *policy,
                              const char *token, size_t len, int64_t wall_seconds, const char **reason);

/** Makes a token. Its header tells algorithm and "kid" of the key.
 *  @param out  NUL-terminated, freed with duet_free
 *  @param kid  which key; NULL: the first that can sign
 *  @return DUET_OK; DUET_ERR_INVALID (no subject, no expiry); DUET_ERR_NOT_FOUND (no such key with a private part);
 *          DUET_ERR_NOMEM; DUET_ERR_CRYPTO */
DUET_API int duet_token_sign_with(char **out, const duet_env *env, const duet_token_claims *claims,
                                  const duet_token_keys *keys, const char *kid);

/** Makes a token with one shared secret (HS256). @return as duet_token_sign_with; DUET_ERR_INVALID without a key, too */
DUET_API int duet_token_sign(char **out, const duet_env *env, const duet_token_claims *claims, const void *key,
                             size_t key_len);

/** Checks a token with one shared secret (HS256), to the second. @return as duet_token_check; DUET_ERR_UNSUPPORTED for
 *  every other algorithm */
DUET_API int duet_token_verify(duet_token_claims *out, const duet_env *env, const char *token, size_t len,
                               const void *key, size_t key_len, int64_t wall_seconds, const char **reason);

/* ---- client ------------------------------------------------------------------------------------------------------ */

typedef struct duet_signaling_client duet_signaling_client;

/** One seat in a room. The strings live as long as the event that brings them. */
typedef struct duet_signaling_user {
    const char *id;       /**< where offers, answers and candidates go to; new for each seat */
    const char *agent_id; /**< who sits there */
    const char *role;     /**< "owner", "participant", … */
} duet_signaling_user;

/** What room_users told. */
typedef struct duet_signaling_room {
    const char *room_id;
    const char *self; /**< our own id; `users` has this seat too */
    const duet_signaling_user *users;
    size_t user_count;
    const char *ice_servers; /**< JSON array of RTCIceServer, "[]" when there are none */
} duet_signaling_room;

typedef struct duet_signaling_client_config {
    size_t size;
    const duet_env *env;
    const char *url;        /**< "ws://host:port/ws"; without a path, "/ws" is meant */
    const char *token;      /**< for authenticate */
    const char *room;       /**< joined once authenticated */
    const char *room_token; /**< the join token that the room asks for; NULL for none */

    /* events; any may be NULL. Any call is legal inside them, destroy too */
    void (*on_joined)(void *user, duet_signaling_client *client, const duet_signaling_room *room);
    void (*on_user_joined)(void *user, duet_signaling_client *client, const duet_signaling_user *who);
    void (*on_user_left)(void *user, duet_signaling_client *client, const char *id, const char *reason);
    void (*on_description)(void *user, duet_signaling_client *client, const char *from, duet_sdp_type type,
                           const char *sdp);
    void (*on_candidate)(void *user, duet_signaling_client *client, const char *from,
                         const duet_pc_candidate *candidate);
    /** The server refused something; the connection stays. */
    void (*on_error)(void *user, duet_signaling_client *client, const char *code, const char *message);
    /** The end, once: `code` is the WebSocket close code, 0 when the connection could not be made, or not made again. */
    void (*on_closed)(void *user, duet_signaling_client *client, unsigned code, const char *reason);
    void *user;

    bool no_resume;      /**< a connection that breaks is the end; otherwise the client comes back to its seat */
    duet_time give_up;   /**< how long it tries to, microseconds; 0: 30 seconds */
    const char *ca_file; /**< wss: PEM of the authorities that are trusted; NULL: the system's */
    /** The connection broke; the client tries to come back. What is sent meanwhile goes out then. */
    void (*on_interrupted)(void *user, duet_signaling_client *client, const char *reason);
    /** It is back, nothing was lost. When the seat has gone meanwhile, on_joined comes instead: with a new seat. */
    void (*on_resumed)(void *user, duet_signaling_client *client);
    /** Somebody asks for our tools (docs/utcp.md): answer with duet_signaling_client_send_manual. */
    void (*on_discover)(void *user, duet_signaling_client *client, const char *from);
    void (*on_manual)(void *user, duet_signaling_client *client, const char *from, const char *manual);
} duet_signaling_client_config;

#define DUET_SIGNALING_CLIENT_CONFIG_INIT                                                                              \
    {                                                                                                                  \
        .size = sizeof(duet_signaling_client_config)                                                                   \
    }

/** Connects, authenticates and joins; the events tell how far it came. Host names are looked up by the loop.
 *  @return DUET_OK; DUET_ERR_INVALID (a bad URL, no token, no room); DUET_ERR_IO (also: the CA file cannot be
 *          read); DUET_ERR_NOMEM */
DUET_API int duet_signaling_client_create(duet_signaling_client **out, duet_net *net,
                                          const duet_signaling_client_config *config);
/** Leaves at once and without further events. NULL is fine. Call it before duet_net_destroy. */
DUET_API void duet_signaling_client_destroy(duet_signaling_client *client);
/** Leaves the room and says goodbye; on_closed follows. */
DUET_API void duet_signaling_client_close(duet_signaling_client *client);

/** Messages are numbered, kept for a while, and said again when a connection broke before the server had them.
 *  @param type  DUET_SDP_OFFER or DUET_SDP_ANSWER
 *  @return DUET_OK; DUET_ERR_STATE (not joined); DUET_ERR_INVALID (another type); DUET_ERR_TOO_LARGE; DUET_ERR_AGAIN
 *          (too much waits to be sent already); DUET_ERR_NOMEM */
DUET_API int duet_signaling_client_send_description(duet_signaling_client *client, const char *to, duet_sdp_type type,
                                                    const char *sdp);
DUET_API int duet_signaling_client_send_candidate(duet_signaling_client *client, const char *to,
                                                  const duet_pc_candidate *candidate);
/** @param manual  a JSON object: the tools that we offer; NULL asks for those of `to` */
DUET_API int duet_signaling_client_send_manual(duet_signaling_client *client, const char *to, const char *manual);
/** The server renews the life of the connection with a fresh token. */
DUET_API int duet_signaling_client_renew(duet_signaling_client *client, const char *token);

/* ---- server ------------------------------------------------------------------------------------------------------ */

typedef struct duet_signaling_server duet_signaling_server;
struct event_base;

/** One file of the page that the server ships, compiled in. */
typedef struct duet_signaling_file {
    const char *path; /**< "/app.js" */
    const char *type; /**< "text/javascript; charset=utf-8" */
    const uint8_t *data;
    size_t len;
} duet_signaling_file;

/** So many each second, and at most `burst` at once. All zeros: no limit. */
typedef struct duet_signaling_rate {
    double per_second, burst;
} duet_signaling_rate;

/** How much one client, or all of them, may ask for. 0 takes the default that stands behind it. */
typedef struct duet_signaling_limits {
    size_t connections;               /**< WebSockets at once: 16384 */
    unsigned connections_per_agent;   /**< 32 */
    unsigned connections_per_address; /**< an IPv6 /64 is one address: 256 */
    duet_signaling_rate connection;   /**< messages that are passed on for one connection: 100/s, 400 */
    duet_signaling_rate agent;        /**< for one agent: 200/s, 800 */
    duet_signaling_rate address;      /**< for one address: 1000/s, 4000 */
    duet_signaling_rate room;         /**< in one room: 1000/s, 4000 */
    size_t rooms;                     /**< 1024; read when the server starts */
    unsigned participants;            /**< of a room that does not say: 10 */
    unsigned mesh;            /**< people that connect to each other directly; more need an SFU in their room: 5 */
    unsigned grace_seconds;   /**< for which a seat waits for its client to come back: 30 */
    unsigned request_seconds; /**< for a whole HTTP request, and for silence in it: 10 */
} duet_signaling_limits;

/** What it points to lives as long as the server, or until duet_signaling_server_configure has replaced it. */
typedef struct duet_signaling_server_config {
    size_t size;
    const duet_env *env;
    struct event_base *base; /**< libevent loop to join; NULL: its own */
    const char *listen;      /**< "127.0.0.1:8080", "[::1]:0"; port 0 takes a free one */

    duet_token_keys *keys;           /**< that check tokens; the server adds `secret` to them. NULL: none but that */
    const duet_token_policy *policy; /**< NULL: DUET_TOKEN_POLICY_INIT */
    const void *secret; /**< HS256: checks tokens, and signs the join tokens of the REST interface; NULL: a random
                                      *   one for join tokens only, which other servers do not know */
    size_t secret_len;
    const char *jwks_url;      /**< keys are fetched from there, again and again; NULL: no */
    const char *authority_url; /**< tokens are shown to this service, which says whose they are; NULL: no */
    const char *ca_file;       /**< certificates that these two are checked with; NULL: those of the system */

    const char *tls_certificate, *tls_key; /**< PEM files; NULL: plain HTTP */
    const char *const
        *origins;       /**< web pages of these origins may use the server besides its own ("https://a.example"; "*"
                                            *   is all of them), ended by NULL; NULL: none */
    bool rooms_on_join; /**< a room comes into being when somebody joins it, and goes with the last one */
    const char *ice_servers; /**< JSON array of RTCIceServer that every seat is told; NULL for none */
    const char *turn_urls;   /**< JSON array of TURN URLs for which the server gives out credentials; NULL: none */
    const char *turn_secret; /**< that these TURN servers share with us */
    unsigned turn_ttl;       /**< seconds that the credentials are good for; 0: 86400 */
    duet_signaling_limits limits;
    const char *redis_url; /**< rooms are shared there with other servers (the process must ignore SIGPIPE); NULL: kept
                               *   in memory */
    const char *postgres_url; /**< rooms are kept there beyond the life of the servers; NULL: they are not */

    const duet_signaling_file *files;
    size_t file_count;
    const char *web_folder; /**< serves these files from disk instead, for work on the page; NULL: from `files` */
    /** One line of JSON without its newline: what happened. Never a description, a candidate or a token. May be NULL. */
    void (*on_log)(void *user, duet_log_level level, const char *line);
    void *user;
} duet_signaling_server_config;

#define DUET_SIGNALING_SERVER_CONFIG_INIT                                                                              \
    {                                                                                                                  \
        .size = sizeof(duet_signaling_server_config)                                                                   \
    }

/** Takes new keys, policy, limits, origins, ICE and TURN servers, and reads the TLS files again; connections stay. The rest
 *  of the configuration is not looked at.
 *  @return DUET_OK; DUET_ERR_INVALID (ICE servers); DUET_ERR_CRYPTO (TLS files); DUET_ERR_NOMEM: nothing has changed */
DUET_API int duet_signaling_server_configure(duet_signaling_server *server, const duet_signaling_server_config *config);

/** Starts to listen. @return DUET_OK; DUET_ERR_INVALID (address, ICE servers, URLs, nothing to check tokens with);
 *  DUET_ERR_CRYPTO (TLS files); DUET_ERR_IO (errno tells); DUET_ERR_NOMEM */
DUET_API int duet_signaling_server_create(duet_signaling_server **out, const duet_signaling_server_config *config);
/** Whether a server could be made with this configuration, as far as that shows without listening or asking others.
 *  @return as duet_signaling_server_create */
DUET_API int duet_signaling_server_check(const duet_signaling_server_config *config);
DUET_API void duet_signaling_server_destroy(duet_signaling_server *server); /**< drops all connections; NULL is fine */
/** Where it listens, with the real port. */
DUET_API const duet_address *duet_signaling_server_address(const duet_signaling_server *server);
/** Serves until duet_signaling_server_stop; only with a loop of its own. */
DUET_API int duet_signaling_server_run(duet_signaling_server *server);
/** Says goodbye (close code 1001) to everybody; run returns once they have gone, at the latest after two seconds.
 *  Legal in signal events of the loop. */
DUET_API void duet_signaling_server_stop(duet_signaling_server *server);
/** The loop, to add events to. */
DUET_API struct event_base *duet_signaling_server_base(const duet_signaling_server *server);

#ifdef __cplusplus
}
#endif
#endif
