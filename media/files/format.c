/* Formats of media files: their names, and how they are told from each other. */
#include "base/text.h"
#include "duet/media_file.h"
#include "media/annexb.h"
#include <string.h>

static const struct {
    const char *suffix;
    duet_file_format format;
} suffixes[] = {
    {"opus", DUET_FILE_OGG},  {"ogg", DUET_FILE_OGG},   {"oga", DUET_FILE_OGG},   {"ivf", DUET_FILE_IVF},
    {"webm", DUET_FILE_WEBM}, {"mkv", DUET_FILE_WEBM},  {"mka", DUET_FILE_WEBM},  {"wav", DUET_FILE_WAV},
    {"y4m", DUET_FILE_Y4M},   {"h264", DUET_FILE_H264}, {"264", DUET_FILE_H264},  {"avc", DUET_FILE_H264},
    {"h265", DUET_FILE_H265}, {"265", DUET_FILE_H265},  {"hevc", DUET_FILE_H265},
};

static bool begins_with(const uint8_t *data, size_t len, const char *signature, size_t signature_len)
{
    return len >= signature_len && memcmp(data, signature, signature_len) == 0;
}

/* H.265 streams begin with an access unit delimiter (35), a VPS (32) or an SPS (33), whose two header bytes H.264 has no
 * use for: 0x40 is a type not specified, 0x42 and 0x46 have a reference indication that those types cannot have. */
static duet_file_format detect_annexb(duet_reader stream)
{
    duet_bytes unit;

    if (!duet_annexb_is(stream))
        return DUET_FILE_UNKNOWN;
    if (duet_annexb_next(&stream, &unit) && unit.len >= 2 && unit.data[1] == 0x01 &&
        (unit.data[0] == 0x40 || unit.data[0] == 0x42 || unit.data[0] == 0x46))
        return DUET_FILE_H265;
    return DUET_FILE_H264;
}

duet_file_format duet_file_detect(const uint8_t *data, size_t len)
{
    if (begins_with(data, len, "OggS", 4))
        return DUET_FILE_OGG;
    if (begins_with(data, len, "DKIF", 4))
        return DUET_FILE_IVF;
    if (begins_with(data, len, "\x1A\x45\xDF\xA3", 4))
        return DUET_FILE_WEBM;
    if (begins_with(data, len, "RIFF", 4) && len >= 12 && memcmp(data + 8, "WAVE", 4) == 0)
        return DUET_FILE_WAV;
    if (begins_with(data, len, "YUV4MPEG2 ", 10))
        return DUET_FILE_Y4M;
    return len ? detect_annexb(duet_reader_init(data, len)) : DUET_FILE_UNKNOWN;
}

duet_file_format duet_file_format_of_name(const char *name)
{
    const char *dot = strrchr(name, '.');

    if (!dot || strchr(dot, '/'))
        return DUET_FILE_UNKNOWN;
    duet_bytes suffix = {(const uint8_t *)dot + 1, strlen(dot + 1)};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (duet_text_is_nocase(suffix, suffixes[i].suffix))
            return suffixes[i].format;
    return DUET_FILE_UNKNOWN;
}

const char *duet_file_format_name(duet_file_format format)
{
    static const char *const names[] = {"unknown", "Ogg", "IVF", "WebM", "WAV", "YUV4MPEG2", "H.264", "H.265"};

    return (size_t)format < sizeof(names) / sizeof(names[0]) ? names[format] : names[0];
}
