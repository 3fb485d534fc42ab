/* Base 64 as RFC 4648 has it: section 4 (plain, padded) and section 5 (URL-safe, here without padding). */
#include "signaling/encode.h"
#include "base/bytes.h"
#include <string.h>

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(duet_buffer *out, const char *alphabet, bool padded, const void *data, size_t len)
{
    duet_reader r = duet_reader_init(data, len);

    while (duet_reader_left(&r) > 0) {
        size_t n = duet_reader_left(&r) < 3 ? duet_reader_left(&r) : 3;
        uint32_t group = 0;
        for (size_t i = 0; i < 3; i++)
            group = group << 8 | (i < n ? duet_read_u8(&r) : 0u);
        for (size_t i = 0; i < 4; i++) {
            if (i <= n)
                duet_buffer_append(out, &alphabet[group >> (18 - 6 * i) & 63], 1);
            else if (padded)
                duet_buffer_text(out, "=");
        }
    }
    duet_buffer_append(out, "", 0); /* nothing at all is still a text */
}

void duet_base64_encode(duet_buffer *out, const void *data, size_t len)
{
    encode(out, plain, true, data, len);
}

void duet_base64url_encode(duet_buffer *out, const void *data, size_t len)
{
    encode(out, url_safe, false, data, len);
}

int duet_base64url_text(char *out, const duet_env *env, const void *data, size_t len)
{
    duet_buffer text;

    duet_buffer_init(&text, env);
    duet_base64url_encode(&text, data, len);
    int err = text.failed ? DUET_ERR_NOMEM : DUET_OK;
    if (err == DUET_OK)
        memcpy(out, text.data, text.len + 1);
    duet_buffer_free(&text);
    return err;
}

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int duet_base64url_decode(duet_buffer *out, const char *text, size_t len)
{
    duet_reader r = duet_reader_init((const uint8_t *)text, len);
    uint32_t bits = 0;
    unsigned count = 0;

    while (duet_reader_left(&r) > 0) {
        int value = value_of(duet_read_u8(&r));
        if (value < 0)
            return DUET_ERR_MALFORMED;
        bits = (bits << 6 | (uint32_t)value) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            uint8_t byte = (uint8_t)(bits >> count);
            duet_buffer_append(out, &byte, 1);
        }
    }
    duet_buffer_append(out, "", 0);
    if (out->failed)
        return DUET_ERR_NOMEM;
    bool leftover = count == 6 || (bits & ((1u << count) - 1)) != 0;
    return leftover ? DUET_ERR_MALFORMED : DUET_OK;
}
