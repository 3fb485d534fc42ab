/* Format parameters as audio codecs use them: "name=value;name=value", RFC 4855 section 3. */
#include "base/text.h"
#include "media/codecs/codec.h"
#include <string.h>

static bool is_not_semicolon(uint8_t c)
{
    return c != ';';
}

uint32_t duet_fmtp_number(const char *fmtp, const char *name, uint32_t otherwise)
{
    duet_reader r = duet_text_reader(fmtp, strlen(fmtp));

    while (!duet_text_at_end(&r)) {
        while (duet_text_skip(&r, ' ') || duet_text_skip(&r, ';'))
            continue;
        duet_reader parameter = duet_text_reader_of(duet_text_run(&r, is_not_semicolon));
        uint64_t value;
        if (!duet_text_skip_word(&parameter, name) || !duet_text_skip(&parameter, '='))
            continue;
        return duet_text_number(&parameter, 0, UINT32_MAX, &value) ? (uint32_t)value : otherwise;
    }
    return otherwise;
}
