/* Text scanning over the bounded reader. The character classes are those of RFC 8866 section 9 and RFC 8839
 * section 5.1; every access goes through duet_peek_u8 and duet_read_bytes, so nothing runs past the end. */
#include "base/text.h"

#include <string.h>

bool duet_char_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bool duet_char_is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool duet_char_is_alnum(uint8_t c)
{
    return duet_char_is_alpha(c) || duet_char_is_digit(c);
}

bool duet_char_is_ice(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '+' || c == '/';
}

bool duet_char_is_token(uint8_t c)
{
    return c == 0x21 || (c >= 0x23 && c <= 0x27) || c == 0x2A || c == 0x2B || c == 0x2D || c == 0x2E ||
           duet_char_is_alnum(c) || (c >= 0x5E && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
}

bool duet_char_is_not_space(uint8_t c)
{
    return c > 0x20 && c != 0x7F;
}

bool duet_char_is_byte(uint8_t c)
{
    return c != 0 && c != '\r' && c != '\n';
}

duet_reader duet_text_reader(const char *text, size_t len)
{
    return duet_reader_init((const uint8_t *)text, len);
}

duet_reader duet_text_reader_of(duet_bytes text)
{
    return duet_reader_init(text.data, text.len);
}

duet_bytes duet_text_run(duet_reader *r, duet_char_class is)
{
    size_t left = duet_reader_left(r);
    size_t n = 0;

    while (n < left && is(duet_peek_u8(r, n)))
        n++;
    return duet_read_bytes(r, n);
}

duet_bytes duet_text_rest(duet_reader *r)
{
    return duet_read_bytes(r, duet_reader_left(r));
}

bool duet_text_skip(duet_reader *r, char c)
{
    if (duet_reader_left(r) == 0 || duet_peek_u8(r, 0) != (uint8_t)c)
        return false;
    duet_read_skip(r, 1);
    return true;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool duet_text_skip_word(duet_reader *r, const char *word)
{
    size_t len = strlen(word);

    if (duet_reader_left(r) < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (lower(duet_peek_u8(r, i)) != lower((uint8_t)word[i]))
            return false;
    duet_read_skip(r, len);
    return true;
}

bool duet_text_number(duet_reader *r, uint64_t min, uint64_t max, uint64_t *out)
{
    size_t left = duet_reader_left(r);
    uint64_t value = 0;
    size_t n = 0;

    for (; n < left && duet_char_is_digit(duet_peek_u8(r, n)); n++) {
        uint64_t digit = (uint64_t)(duet_peek_u8(r, n) - '0');
        if (value > (max - (digit < max ? digit : max)) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (n == 0 || value < min || value > max)
        return false;
    duet_read_skip(r, n);
    *out = value;
    return true;
}

bool duet_text_at_end(const duet_reader *r)
{
    return duet_reader_left(r) == 0;
}

bool duet_text_is(duet_bytes text, const char *word)
{
    return text.len == strlen(word) && (text.len == 0 || memcmp(text.data, word, text.len) == 0);
}

bool duet_text_is_nocase(duet_bytes text, const char *word)
{
    duet_reader r = duet_text_reader_of(text);

    return text.len == strlen(word) && duet_text_skip_word(&r, word);
}

bool duet_text_all(duet_bytes text, duet_char_class is)
{
    duet_reader r = duet_text_reader_of(text);

    return text.len > 0 && duet_text_run(&r, is).len == text.len;
}

bool duet_text_copy(char *buf, size_t size, duet_bytes text)
{
    if (text.len >= size || (text.len > 0 && memchr(text.data, 0, text.len)))
        return false;
    if (text.len > 0)
        memcpy(buf, text.data, text.len);
    buf[text.len] = 0;
    return true;
}
