/* Descriptions: what is accepted is written, and read and written again as the same text; every accessor holds. */
#include "duet/sdp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_section(const duet_sdp *sdp, size_t i)
{
    const duet_sdp_line *line;
    duet_fingerprint fingerprint;
    duet_ice_credentials ice;
    duet_sdp_value v;
    duet_sdp_extmap map;
    duet_candidate candidate;
    duet_codec codecs[4];
    size_t cursor = 0, tag;
    uint16_t port;

    for (size_t n = 0; (line = duet_sdp_line_at(sdp, i, n)); n++)
        if (line->kind != DUET_SDP_UNKNOWN && duet_sdp_line_value(line, &v) == DUET_ERR_NOT_FOUND)
            abort(); /* a line of a known kind has its value */
    if (duet_sdp_media_ice(sdp, i, &ice) == DUET_OK && !duet_ice_credentials_valid(&ice))
        abort();
    if (duet_sdp_media_codecs(sdp, i, codecs, 4) > 128)
        abort();
    (void)duet_sdp_media_fingerprints(sdp, i, &fingerprint, 1);
    (void)duet_sdp_media_sctp_port(sdp, i, &port);
    (void)duet_sdp_bundle_tag(sdp, i, &tag);
    while (duet_sdp_media_extmap(sdp, i, &cursor, &map))
        continue;
    cursor = 0;
    while (duet_sdp_media_candidate(sdp, i, &cursor, &candidate))
        continue;
}

static char *written(const duet_sdp *sdp)
{
    char *text;

    if (duet_sdp_write(sdp, &text) != DUET_OK)
        abort();
    return text;
}

/* The text that writing must give: each line end becomes CRLF, and the last line gets one. */
static void expect_same(const char *text, const uint8_t *data, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\r')
            continue;
        if (data[i] == '\n' && text[at++] != '\r')
            abort();
        if (text[at++] != (char)data[i])
            abort();
    }
    if (size > 0 && data[size - 1] != '\n' && (text[at++] != '\r' || text[at++] != '\n'))
        abort();
    if (text[at] != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_sdp *sdp, *again;
    duet_sdp_error error = {0};

    if (duet_sdp_parse(&sdp, NULL, (const char *)data, size, &error) != DUET_OK) {
        if (!error.reason[0] || strlen(error.reason) >= sizeof(error.reason))
            abort();
        return 0;
    }
    char *text = written(sdp);
    expect_same(text, data, size);
    for (size_t i = 0; i < duet_sdp_media_count(sdp); i++)
        read_section(sdp, i);
    (void)duet_sdp_check(sdp, &error);
    if (duet_sdp_parse(&again, NULL, text, strlen(text), NULL) != DUET_OK)
        abort();
    char *twice = written(again);
    if (strcmp(text, twice) != 0)
        abort();
    duet_free(NULL, text);
    duet_free(NULL, twice);
    duet_sdp_destroy(again);
    duet_sdp_destroy(sdp);
    return 0;
}
