/* RTP packets and compound RTCP packets through the decoders of duet inspect, and from their models back to bytes; the header
 * extension also by the names of its elements, as packets of one stream after the other, and the payload by its type. The bytes
 * as a description, too. */
#include "apps/inspect_description.h"
#include "inspect_check.h"

static void name_elements(const uint8_t *data, size_t size)
{
    static inspect_extensions extensions;

    for (int kind = 0; kind < DUET_RTP_EXT_COUNT; kind++)
        extensions.map.ids[kind] = (uint8_t)(kind + 1);
    json_t *model = json_object();
    if (inspect_extensions_name(&extensions, data, size, model) != DUET_OK)
        abort();
    json_decref(model);
}

static void name_payload(const uint8_t *data, size_t size)
{
    static const char *const codecs[] = {"opus", "PCMU", "VP8", "VP9", "H264", "H265", "AV1", "rtx"};
    inspect_formats formats = {0};
    inspect_extensions extensions = {0};
    inspect_error error = {0};

    if (inspect_description_add(&formats, &extensions, data, size, &error) != DUET_OK && !error.reason[0])
        abort();
    for (size_t i = 0; i < INSPECT_PAYLOAD_TYPES; i++) {
        snprintf(formats.types[i].codec, sizeof(formats.types[i].codec), "%s", codecs[i % 8]);
        formats.types[i].original = (int16_t)(i / 8);
    }
    json_t *model = json_object();
    if (inspect_formats_name(&formats, data, size, true, model) != DUET_OK)
        abort();
    json_decref(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    name_elements(data, size);
    name_payload(data, size);
    inspect_check("rtcp", data, size);
    return inspect_check("rtp", data, size);
}
