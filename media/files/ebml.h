/* EBML elements (RFC 8794) and those of Matroska (RFC 9559 section 5) that are read or written. */
#ifndef DUET_MEDIA_FILES_EBML_H
#define DUET_MEDIA_FILES_EBML_H

#include "base/bytes.h"

enum {
    EBML_HEADER = 0x1A45DFA3,
    EBML_VERSION = 0x4286,
    EBML_READ_VERSION = 0x42F7,
    EBML_MAX_ID_LENGTH = 0x42F2,
    EBML_MAX_SIZE_LENGTH = 0x42F3,
    EBML_DOC_TYPE = 0x4282,
    EBML_DOC_TYPE_VERSION = 0x4287,
    EBML_DOC_TYPE_READ_VERSION = 0x4285,
    EBML_VOID = 0xEC,
    EBML_CRC = 0xBF,

    MKV_SEGMENT = 0x18538067,
    MKV_SEEK_HEAD = 0x114D9B74,
    MKV_SEEK = 0x4DBB,
    MKV_SEEK_ID = 0x53AB,
    MKV_SEEK_POSITION = 0x53AC,
    MKV_INFO = 0x1549A966,
    MKV_TIMESTAMP_SCALE = 0x2AD7B1,
    MKV_DURATION = 0x4489,
    MKV_MUXING_APP = 0x4D80,
    MKV_WRITING_APP = 0x5741,
    MKV_CUES = 0x1C53BB6B,
    MKV_CUE_POINT = 0xBB,
    MKV_CUE_TIME = 0xB3,
    MKV_CUE_TRACK_POSITIONS = 0xB7,
    MKV_CUE_TRACK = 0xF7,
    MKV_CUE_CLUSTER_POSITION = 0xF1,
    MKV_CHAPTERS = 0x1043A770,
    MKV_TAGS = 0x1254C367,
    MKV_ATTACHMENTS = 0x1941A469,

    MKV_TRACKS = 0x1654AE6B,
    MKV_TRACK_ENTRY = 0xAE,
    MKV_TRACK_NUMBER = 0xD7,
    MKV_TRACK_UID = 0x73C5,
    MKV_TRACK_TYPE = 0x83,
    MKV_FLAG_LACING = 0x9C,
    MKV_DEFAULT_DURATION = 0x23E383,
    MKV_CODEC_ID = 0x86,
    MKV_CODEC_PRIVATE = 0x63A2,
    MKV_CODEC_DELAY = 0x56AA,
    MKV_SEEK_PRE_ROLL = 0x56BB,
    MKV_CONTENT_ENCODINGS = 0x6D80,
    MKV_CONTENT_ENCODING = 0x6240,
    MKV_VIDEO = 0xE0,
    MKV_PIXEL_WIDTH = 0xB0,
    MKV_PIXEL_HEIGHT = 0xBA,
    MKV_AUDIO = 0xE1,
    MKV_SAMPLING_FREQUENCY = 0xB5,
    MKV_CHANNELS = 0x9F,

    MKV_CLUSTER = 0x1F43B675,
    MKV_TIMESTAMP = 0xE7,
    MKV_SIMPLE_BLOCK = 0xA3,
    MKV_BLOCK_GROUP = 0xA0,
    MKV_BLOCK = 0xA1,
    MKV_BLOCK_DURATION = 0x9B,
    MKV_REFERENCE_BLOCK = 0xFB,
};

enum {
    MKV_TRACK_VIDEO = 1,
    MKV_TRACK_AUDIO = 2,
};

/* |track number (1..)| timestamp (2), signed, relative to the cluster | flags |   RFC 9559, 10.1 and 10.2 */
enum {
    MKV_BLOCK_KEYFRAME = 0x80, /* SimpleBlock only */
    MKV_LACING = 0x06,
    MKV_LACING_NONE = 0x00,
    MKV_LACING_XIPH = 0x02,
    MKV_LACING_FIXED = 0x04,
    MKV_LACING_EBML = 0x06,
};

#define EBML_UNKNOWN    UINT64_MAX
#define EBML_HEADER_MAX 12 /* bytes of an ID and a size */

typedef struct duet_ebml {
    uint32_t id;
    uint64_t size; /* of its data; EBML_UNKNOWN: until its parent ends, or an element that cannot be in it begins */
    size_t header_len;
} duet_ebml;

/* Reads the ID and the size. @return 1; 0: more bytes are needed; DUET_ERR_MALFORMED */
int duet_ebml_read(duet_reader *r, duet_ebml *out);
/* An element and its data from a parent that is wholly at hand, where sizes are known. @return 1; 0 at the end;
 * DUET_ERR_MALFORMED */
int duet_ebml_next(duet_reader *parent, duet_ebml *out, duet_reader *data);

/* A variable-size integer of 1 to 8 bytes, RFC 8794 section 4; EBML_UNKNOWN when all its bits are 1. */
uint64_t duet_ebml_vint(duet_reader *r, unsigned *len);

/* Data of an element, RFC 8794 section 7: at most 8 bytes; zero when there are none. */
uint64_t duet_ebml_unsigned(duet_reader data);
double duet_ebml_float(duet_reader data);

/* ---- writing: RFC 8794 -------------------------------------------------------------------------------------------- */

void duet_ebml_write_id(duet_writer *w, uint32_t id);
void duet_ebml_write_size(duet_writer *w, uint64_t size, unsigned len); /* len 0: as short as can be */
void duet_ebml_write_unsigned(duet_writer *w, uint32_t id, uint64_t value,
                              unsigned len); /* len 0: as short as can be */
void duet_ebml_write_float(duet_writer *w, uint32_t id, double value);
void duet_ebml_write_data(duet_writer *w, uint32_t id, const void *data, size_t len);
/* A parent: its size, of four bytes, is filled in by end. @return what end needs */
size_t duet_ebml_begin(duet_writer *w, uint32_t id);
void duet_ebml_end(duet_writer *w, size_t begin);

#endif
