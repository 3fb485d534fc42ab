/* Reads arbitrary bytes as header extensions in the form that the first byte chooses, writes the values, and reads them
 * again: they must be the same. */
#include "duet/rtp.h"
#include "fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const duet_rtp_extensions *e, const duet_rtp_extension_map *map)
{
    static uint8_t written[8192];
    duet_rtp_packet p = {0};
    duet_rtp_extensions f;

    if (duet_rtp_extensions_write(e, map, written, sizeof(written), &p.extension_profile, &p.extension_len) != DUET_OK)
        return;
    p.extension = written;
    require(duet_rtp_extensions_parse(&f, &p, map) == DUET_OK);
    require(f.present == e->present);
    require(strcmp(f.mid, e->mid) == 0 && strcmp(f.rid, e->rid) == 0);
    require(f.transport_sequence_number == e->transport_sequence_number && f.abs_send_time == e->abs_send_time);
    require(f.dependency_descriptor_len == e->dependency_descriptor_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const duet_rtp_extension_map map = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    static const uint16_t profiles[] = {0xbede, 0x1000, 0x100f, 0x1234};
    duet_rtp_extensions e;

    if (size < 1)
        return 0;
    duet_rtp_packet p = {.extension_profile = profiles[data[0] & 3], .extension = data + 1, .extension_len = size - 1};
    if (duet_rtp_extensions_parse(&e, &p, &map) == DUET_OK)
        read_again(&e, &map);
    return 0;
}
