/* Input as people have it: raw bytes, hexadecimal digits, base64 (RFC 4648 section 4), captures. */
#include "inspect_layout.h"
#include "pcap_reader.h"
#include <string.h>

static const char *const names[] = {"auto", "raw", "hex", "base64", "pcap"};

bool inspect_format_parse(inspect_format *out, const char *name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (inspect_format)i;
            return true;
        }
    }
    return false;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int base64_value(uint8_t c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

/* What may stand between two digits. */
static bool is_separator(uint8_t c)
{
    return is_blank(c) || c == ':' || c == ',' || c == '-';
}

/* Steps over separators and "0x". @return false at the end */
static bool next_digit(duet_reader *r)
{
    for (;;) {
        if (duet_reader_left(r) == 0)
            return false;
        uint8_t c = duet_peek_u8(r, 0), next = duet_peek_u8(r, 1);
        if (c == '0' && (next == 'x' || next == 'X'))
            duet_read_skip(r, 2);
        else if (is_separator(c))
            duet_read_skip(r, 1);
        else
            return true;
    }
}

/* Both decoders read ahead of what they write: in place. `data` may be the input itself; NULL only looks. */
static int decode_hex(uint8_t *data, const uint8_t *text, size_t *len, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(text, *len, error);
    size_t used = 0;

    while (next_digit(&c.r)) {
        int high = hex_value(duet_peek_u8(&c.r, 0));
        if (high < 0)
            return inspect_fail(&c, inspect_offset(&c), "this is no hexadecimal digit");
        duet_read_skip(&c.r, 1);
        int low = inspect_left(&c) > 0 ? hex_value(duet_peek_u8(&c.r, 0)) : -1;
        if (low < 0)
            return inspect_fail(&c, inspect_offset(&c), "the second digit of a byte is missing");
        duet_read_skip(&c.r, 1);
        if (data)
            data[used] = (uint8_t)(high << 4 | low);
        used++;
    }
    *len = used;
    return DUET_OK;
}

static int decode_base64(uint8_t *data, const uint8_t *text, size_t *len, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(text, *len, error);
    size_t used = 0, digits = 0, pads = 0;
    uint32_t bits = 0;

    c.section = "RFC 4648, 4";
    while (inspect_left(&c) > 0) {
        size_t at = inspect_offset(&c);
        uint8_t ch = duet_read_u8(&c.r);
        int value = base64_value(ch);
        if (is_blank(ch))
            continue;
        if (ch == '=' && digits % 4 >= 2 && pads < 4 - digits % 4) {
            pads++;
            continue;
        }
        if (value < 0 || pads)
            return inspect_fail(&c, at, "this character is not expected in base64");
        bits = bits << 6 | (uint32_t)value;
        digits++;
        if (digits % 4 == 1)
            continue; /* six bits make no byte yet */
        unsigned left = 8 - 2 * (unsigned)(digits % 4 == 0 ? 4 : digits % 4);
        if (data)
            data[used] = (uint8_t)(bits >> left);
        used++;
    }
    if (digits % 4 == 1 || (pads && digits % 4 + pads != 4))
        return inspect_fail(&c, *len, "base64 ends within a group of four");
    *len = used;
    return DUET_OK;
}

inspect_format inspect_format_detect(const uint8_t *data, size_t len)
{
    size_t hex_len = len, base64_len = len;

    if (pcap_is_capture(data, len))
        return INSPECT_PCAP;
    if (decode_hex(NULL, data, &hex_len, NULL) == DUET_OK && hex_len > 0)
        return INSPECT_HEX;
    /* Four characters of text are a word more often than base64. */
    if (decode_base64(NULL, data, &base64_len, NULL) == DUET_OK && base64_len > 3)
        return INSPECT_BASE64;
    return INSPECT_RAW;
}

int inspect_format_decode(inspect_format format, uint8_t *data, size_t *len, inspect_error *error)
{
    if (format == INSPECT_HEX)
        return decode_hex(data, data, len, error);
    if (format == INSPECT_BASE64)
        return decode_base64(data, data, len, error);
    return DUET_OK;
}
