/* Captures: every packet of a file of any bytes, decoded to the end and back. */
#include "apps/inspect_packet.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct file {
    const uint8_t *data;
    size_t len, pos;
} file;

static size_t read_file(void *user, uint8_t *buf, size_t len)
{
    file *f = user;
    size_t n = len < f->len - f->pos ? len : f->len - f->pos;

    if (n)
        memcpy(buf, f->data + f->pos, n);
    f->pos += n;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const inspect_secret secret = {.password = "password"};
    inspect_options options = {.roundtrip = true, .secret = &secret};
    inspect_counts counts = {0};
    inspect_error error = {0};
    file f = {data, size, 0};
    pcap_reader *reader;
    pcap_packet packet;
    json_t *record;
    int result;

    result = pcap_reader_create(&reader, read_file, &f, &error);
    if (result == DUET_OK) {
        while ((result = pcap_reader_next(reader, &packet, &error)) == 1) {
            if (packet.offset + packet.len > size || inspect_packet(&packet, &options, &record, &counts) != DUET_OK)
                abort();
            json_decref(record);
        }
        pcap_reader_destroy(reader);
    }
    if ((result < 0 && !error.reason[0]) || counts.differed)
        abort();
    return 0;
}
