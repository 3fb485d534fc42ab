/* Who is it? Tokens are checked here, by the keys at hand or by asking an external authority over HTTP; the answer may come
 * at once or later. Time is an argument, HTTP is injected. */
#ifndef DUET_SIGNALING_AUTH_H
#define DUET_SIGNALING_AUTH_H

#include "duet/signaling.h"
#include "signaling/http.h"

typedef struct duet_auth duet_auth;
typedef struct duet_auth_ticket duet_auth_ticket;

/* @param err     DUET_OK: `claims` tell who it is; DUET_ERR_AUTH, DUET_ERR_MALFORMED, DUET_ERR_UNSUPPORTED: the token is
 *                refused; DUET_ERR_IO or DUET_ERR_TIMEOUT: nobody could be asked (refused too: it fails closed);
 *                DUET_ERR_NOMEM
 * @param reason  why not, without any part of the token; valid during the call */
typedef void (*duet_auth_done)(void *user, int err, const duet_token_claims *claims, const char *reason);

/* Checks a token. `done` comes exactly once unless it is cancelled: inside this call (then *ticket is NULL), or later.
 * @param token  copied when it is still needed after the call */
void duet_auth_check(duet_auth_ticket **ticket, duet_auth *auth, const char *token, size_t len, int64_t wall_seconds,
                     duet_auth_done done, void *user);
void duet_auth_cancel(duet_auth_ticket *ticket); /* NULL is fine */

#endif
