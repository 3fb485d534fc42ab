/* RTP packets and compound RTCP packets through the decoders of duet inspect, and from their models back to bytes; the header
 * extension also by the names of its elements, as packets of one stream after the other. */
#include "apps/inspect_extensions.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    name_elements(data, size);
    inspect_check("rtcp", data, size);
    return inspect_check("rtp", data, size);
}
