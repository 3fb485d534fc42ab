/* The opening handshake of WebSocket, RFC 6455 section 4. The server's half of HTTP is libevent's; the client's is
 * here: one GET, one response without a body. */
#include "signaling/handshake.h"
#include "base/crypto.h"
#include "base/text.h"
#include "signaling/encode.h"
#include <stdio.h>
#include <string.h>

/* ---- key and answer ---- */

/* 22 characters of the alphabet, the last one with four zero bits, and "==". */
static bool key_is_valid(const char *key)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    return strlen(key) == DUET_WEBSOCKET_KEY_LEN && strspn(key, alphabet) == 22 && strchr("AQgw", key[21]) &&
           strcmp(key + 22, "==") == 0;
}

int duet_websocket_accept(char out[DUET_WEBSOCKET_ACCEPT_LEN + 1], const char *key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    const duet_iov parts[] = {{key, strlen(key)}, {guid, sizeof(guid) - 1}};
    uint8_t hash[DUET_SHA1_LEN];
    duet_buffer text;

    out[0] = 0;
    if (!key_is_valid(key))
        return DUET_ERR_MALFORMED;
    int err = duet_sha1(hash, parts, 2);
    if (err != DUET_OK)
        return err;
    duet_buffer_init(&text, NULL);
    duet_base64_encode(&text, hash, sizeof(hash));
    if (text.failed)
        err = DUET_ERR_NOMEM;
    else
        memcpy(out, text.data, DUET_WEBSOCKET_ACCEPT_LEN + 1);
    duet_buffer_free(&text);
    return err;
}

int duet_websocket_make_key(char out[DUET_WEBSOCKET_KEY_LEN + 1], const duet_env *env)
{
    uint8_t random[16];
    duet_buffer text;

    int err = duet_random(env, random, sizeof(random));
    if (err != DUET_OK)
        return err;
    duet_buffer_init(&text, env);
    duet_base64_encode(&text, random, sizeof(random));
    if (text.failed)
        err = DUET_ERR_NOMEM;
    else
        memcpy(out, text.data, DUET_WEBSOCKET_KEY_LEN + 1);
    duet_buffer_free(&text);
    return err;
}

/* ---- URLs ---- */

static bool is_name_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '-' || c == '.' || c == '_';
}

static bool is_address_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == ':' || c == '.' || c == '%';
}

/* pchar and "/" and "?" of RFC 3986, that is: nothing that could end the request line. */
static bool is_path_char(uint8_t c)
{
    return c > ' ' && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>' && c != '\\' && c != '^' && c != '`' &&
           c != '{' && c != '|' && c != '}';
}

static bool read_host(duet_ws_url *out, duet_reader *r)
{
    bool bracketed = duet_text_skip(r, '[');
    duet_bytes host = duet_text_run(r, bracketed ? is_address_char : is_name_char);

    if (bracketed && !duet_text_skip(r, ']'))
        return false;
    return host.len > 0 && duet_text_copy(out->host, sizeof(out->host), host);
}

int duet_ws_url_parse(duet_ws_url *out, const char *text)
{
    duet_reader r = duet_text_reader(text, strlen(text));
    uint64_t port;

    memset(out, 0, sizeof(*out));
    out->secure = duet_text_skip_word(&r, "wss://");
    if (!out->secure && !duet_text_skip_word(&r, "ws://"))
        return DUET_ERR_MALFORMED;
    if (!read_host(out, &r))
        return DUET_ERR_MALFORMED;
    port = out->secure ? 443 : 80;
    if (duet_text_skip(&r, ':') && !duet_text_number(&r, 1, UINT16_MAX, &port))
        return DUET_ERR_MALFORMED;
    snprintf(out->port, sizeof(out->port), "%u", (unsigned)(uint16_t)port);
    duet_bytes path = duet_text_run(&r, is_path_char);
    if (!duet_text_at_end(&r) || (path.len > 0 && path.data[0] != '/'))
        return DUET_ERR_MALFORMED;
    if (path.len <= 1)
        path = (duet_bytes){(const uint8_t *)"/ws", 3};
    return duet_text_copy(out->path, sizeof(out->path), path) ? DUET_OK : DUET_ERR_MALFORMED;
}

/* ---- the client's request ---- */

int duet_handshake_request(duet_buffer *out, const duet_ws_url *url, const char *key, const char *subprotocol)
{
    bool is_ipv6 = strchr(url->host, ':') != NULL;

    duet_buffer_printf(out,
                       "GET %s HTTP/1.1\r\n"
                       "Host: %s%s%s:%s\r\n"
                       "Upgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Key: %s\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Protocol: %s\r\n"
                       "\r\n",
                       url->path, is_ipv6 ? "[" : "", url->host, is_ipv6 ? "]" : "", url->port, key, subprotocol);
    return out->failed ? DUET_ERR_NOMEM : DUET_OK;
}

/* ---- the server's response ---- */

typedef struct response {
    bool upgrade, connection, accepted;
} response;

static bool is_line_char(uint8_t c)
{
    return c != '\r' && c != '\n';
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_not_comma(uint8_t c)
{
    return c != ',';
}

/* One line with its CRLF. @return false when it is not all there, or ends otherwise */
static bool read_line(duet_reader *r, duet_bytes *line)
{
    *line = duet_text_run(r, is_line_char);
    return duet_text_skip(r, '\r') && duet_text_skip(r, '\n');
}

static duet_bytes trim(duet_bytes text)
{
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    duet_reader r = duet_text_reader_of(text);
    (void)duet_text_run(&r, is_blank);
    return duet_text_rest(&r);
}

static bool list_has(duet_bytes list, const char *word)
{
    duet_reader r = duet_text_reader_of(list);

    do {
        if (duet_text_is_nocase(trim(duet_text_run(&r, is_not_comma)), word))
            return true;
    } while (duet_text_skip(&r, ','));
    return false;
}

static bool read_header(response *out, duet_bytes line, const char *accept)
{
    duet_reader r = duet_text_reader_of(line);
    duet_bytes name = duet_text_run(&r, duet_char_is_token);

    if (name.len == 0 || !duet_text_skip(&r, ':'))
        return false;
    duet_bytes value = trim(duet_text_rest(&r));
    if (duet_text_is_nocase(name, "upgrade"))
        out->upgrade = duet_text_is_nocase(value, "websocket");
    else if (duet_text_is_nocase(name, "connection"))
        out->connection = list_has(value, "upgrade");
    else if (duet_text_is_nocase(name, "sec-websocket-accept"))
        out->accepted = duet_text_is(value, accept);
    return true;
}

static bool is_complete(const uint8_t *data, size_t len)
{
    return memmem(data, len, "\r\n\r\n", 4) != NULL;
}

static int read_status(duet_reader *r, char *reason, size_t size)
{
    duet_bytes line;
    uint64_t status;

    if (!read_line(r, &line))
        return DUET_ERR_MALFORMED;
    duet_reader l = duet_text_reader_of(line);
    if (!duet_text_skip_word(&l, "HTTP/1.1 ") || !duet_text_number(&l, 100, 599, &status)) {
        snprintf(reason, size, "this is not an HTTP/1.1 server");
        return DUET_ERR_MALFORMED;
    }
    if (status == 101)
        return DUET_OK;
    snprintf(reason, size, "the server answered with HTTP status %u", (unsigned)status);
    return DUET_ERR_AUTH;
}

int duet_handshake_response(const uint8_t *data, size_t len, const char *key, size_t *used, char *reason, size_t size)
{
    char accept[DUET_WEBSOCKET_ACCEPT_LEN + 1];
    response found = {false, false, false};
    duet_bytes line;

    if (!is_complete(data, len))
        return len < DUET_HANDSHAKE_MAX ? DUET_ERR_AGAIN : DUET_ERR_TOO_LARGE;
    snprintf(reason, size, "the server's HTTP response is malformed");
    int err = duet_websocket_accept(accept, key);
    if (err != DUET_OK)
        return err;
    duet_reader r = duet_reader_init(data, len);
    err = read_status(&r, reason, size);
    if (err != DUET_OK)
        return err;
    for (;;) {
        if (!read_line(&r, &line))
            return DUET_ERR_MALFORMED;
        if (line.len == 0)
            break;
        if (!read_header(&found, line, accept))
            return DUET_ERR_MALFORMED;
    }
    *used = r.pos;
    if (found.upgrade && found.connection && found.accepted)
        return DUET_OK;
    snprintf(reason, size, "the server did not accept the WebSocket");
    return DUET_ERR_AUTH;
}
