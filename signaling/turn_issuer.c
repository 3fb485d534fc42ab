/* Credentials for TURN servers, as coturn's use-auth-secret and duet turn's shared secret understand them. */
#include "signaling/turn_issuer.h"
#include "base/crypto.h"
#include "signaling/encode.h"
#include "signaling/protocol.h"
#include <string.h>

void duet_turn_issue(duet_buffer *out, const duet_turn_issuer *issuer, const char *agent_id, int64_t wall_seconds)
{
    uint8_t mac[DUET_SHA1_LEN];
    duet_buffer username;

    duet_buffer_init(&username, out->env);
    duet_buffer_printf(&username, "%lld:%s", (long long)(wall_seconds + issuer->ttl), agent_id);
    duet_iov part = {username.data, username.len};
    if (username.failed || duet_hmac_sha1(mac, issuer->secret, issuer->secret_len, &part, 1) != DUET_OK) {
        out->failed = true;
    } else {
        duet_buffer_text(out, "{\"urls\":");
        duet_buffer_text(out, issuer->urls);
        duet_buffer_text(out, ",\"username\":");
        duet_signal_write_text(out, (const char *)username.data);
        duet_buffer_text(out, ",\"credential\":\"");
        duet_base64_encode(out, mac, sizeof(mac));
        duet_buffer_text(out, "\"}");
    }
    duet_buffer_free(&username);
}
