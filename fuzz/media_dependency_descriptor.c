/* Reads a row of dependency descriptors, each behind a byte with its length, as one stream; writes each that can be read, and
 * reads it again with the structure that was valid before: frame and structure must be the same. */
#include "base/bytes.h"
#include "duet/video_layers.h"
#include "fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_one(duet_dependency_structure *s, duet_bytes bytes)
{
    static uint8_t written[16384];
    duet_dependency_structure before = *s, again = *s;
    duet_dependency_descriptor d, e;
    size_t len;

    if (duet_dependency_descriptor_parse(&d, s, bytes.data, bytes.len) != DUET_OK) {
        require(memcmp(s, &before, sizeof(before)) == 0);
        return;
    }
    require(duet_dependency_descriptor_write(&d, s, written, sizeof(written), &len) == DUET_OK);
    require(len <= bytes.len);
    require(duet_dependency_descriptor_parse(&e, &again, written, len) == DUET_OK);
    require(memcmp(&d, &e, sizeof(d)) == 0);
    require(memcmp(s, &again, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_reader r = duet_reader_init(data, size);
    duet_dependency_structure s;

    memset(&s, 0, sizeof(s));
    while (duet_reader_left(&r) > 0 && !r.failed) {
        size_t len = duet_read_u8(&r);
        check_one(&s, duet_read_bytes(&r, len));
    }
    return 0;
}
