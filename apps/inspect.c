/* duet inspect: says in JSON what is in a description, a candidate, a packet or a capture, or where it is wrong. */
#include "app.h"
#include "inspect_packet.h"
#ifdef DUET_HAVE_MEDIA
#include "inspect_description.h"
#endif
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (16u << 20)  /* of anything but captures, which are read packet by packet */
#define FILE_MAX  (512u << 20) /* of a media file */
#define SDP_MAX   (1u << 20)   /* of descriptions */
#define HEAD_LEN  4            /* enough to know a capture */

typedef struct inspect_command {
    const inspect_kind *kind; /* NULL: all that a capture holds */
    inspect_format format;
    inspect_options options;
    inspect_secret secret;
    const char *file;
    const char *codec; /* of a payload; NULL: not told */
    bool compact;
    uint8_t *key;
#ifdef DUET_HAVE_MEDIA
    inspect_extensions extensions;
    inspect_formats formats;
#endif

    FILE *input;
    uint8_t head[HEAD_LEN];
    size_t head_len, head_used;
    uint64_t printed;
} inspect_command;

/* ---- input ---- */

static bool open_input(inspect_command *c)
{
    c->input = strcmp(c->file, "-") == 0 ? stdin : fopen(c->file, "rbe");
    if (!c->input) {
        app_error("cannot read %s: %s", c->file, strerror(errno));
        return false;
    }
    c->head_len = fread(c->head, 1, HEAD_LEN, c->input);
    return true;
}

static size_t read_input(void *user, uint8_t *buf, size_t len)
{
    inspect_command *c = user;
    size_t used = 0;

    while (used < len && c->head_used < c->head_len)
        buf[used++] = c->head[c->head_used++];
    return used + fread(buf + used, 1, len - used, c->input);
}

static bool is_media_file(const inspect_command *c)
{
    return c->kind && strcmp(c->kind->name, "file") == 0;
}

/* All of it; freed by the caller. */
static uint8_t *read_all(inspect_command *c, size_t *len)
{
    uint8_t *data = NULL;
    size_t capacity = 0, max = is_media_file(c) ? FILE_MAX : INPUT_MAX;

    *len = 0;
    for (;;) {
        if (*len == capacity) {
            uint8_t *grown = capacity < max ? realloc(data, capacity * 2 + 65536) : NULL;
            if (!grown) {
                app_error("%s: the input is longer than %zu bytes", c->file, max);
                free(data);
                return NULL;
            }
            data = grown;
            capacity = capacity * 2 + 65536;
        }
        size_t n = read_input(c, data + *len, capacity - *len);
        if (n == 0)
            break;
        *len += n;
    }
    if (!ferror(c->input))
        return data;
    app_error("cannot read %s: %s", c->file, strerror(errno));
    free(data);
    return NULL;
}

/* ---- output ---- */

static void print_json(inspect_command *c, json_t *value)
{
    json_dumpf(value, stdout, (c->compact ? JSON_COMPACT : JSON_INDENT(2)) | JSON_REAL_PRECISION(16));
    c->printed++;
    json_decref(value);
}

static void print_error(const char *kind, const inspect_error *e)
{
    if (e->line > 0)
        app_error("%s: line %zu, column %zu: %s", kind, e->line, e->column, e->reason);
    else
        app_error("%s: offset %zu: %s", kind, e->offset, e->reason);
}

static int finish(int err, const char *kind, const inspect_error *error)
{
    if (err == DUET_ERR_MALFORMED)
        print_error(kind, error);
    else
        app_error("%s: %s", kind, duet_strerror(err));
    return err == DUET_ERR_MALFORMED ? APP_BAD_USAGE : APP_FAILED;
}

/* ---- one message ---- */

/* Of a media file that is cut off or damaged: what could be read. */
static void print_beginning(inspect_command *c, json_t *model, const inspect_error *error)
{
    if (json_object_size(model) == 0)
        return;
    json_object_set_new(model, "error",
                        json_pack("{s:I,s:s}", "offset", (json_int_t)error->offset, "reason", error->reason));
    print_json(c, json_incref(model));
    fputc('\n', stdout);
}

static int print_message(inspect_command *c, const uint8_t *data, size_t len)
{
    json_t *model = json_object();
    inspect_error error = {0};
    bool same = true, genuine = true;

    int err = model ? c->kind->decode(data, len, model, &error) : DUET_ERR_NOMEM;
    if (err == DUET_OK && c->options.roundtrip)
        err = inspect_roundtrip(c->kind, data, len, model, &same);
    if (err == DUET_ERR_MALFORMED && is_media_file(c))
        print_beginning(c, model, &error);
    if (err != DUET_OK) {
        json_decref(model);
        return finish(err, c->kind->name, &error);
    }
    if (c->options.secret && strcmp(c->kind->name, "stun") == 0)
        genuine = inspect_stun_verify(data, len, c->options.secret, model);
#ifdef DUET_HAVE_MEDIA
    if (c->options.extensions && strcmp(c->kind->name, "rtp") == 0)
        err = inspect_extensions_name(c->options.extensions, data, len, model);
    if (err == DUET_OK && c->options.formats && strcmp(c->kind->name, "rtp") == 0)
        err = inspect_formats_name(c->options.formats, data, len, true, model);
    if (err != DUET_OK) {
        json_decref(model);
        return finish(err, c->kind->name, &error);
    }
#endif
    if (!same)
        app_error("%s: offset %lld: what was decoded gives other bytes when it is written again", c->kind->name,
                  (long long)json_integer_value(json_object_get(model, "roundtripOffset")));
    if (!genuine)
        app_error("%s: the integrity does not match the %s", c->kind->name, c->secret.key ? "key" : "password");
    print_json(c, model);
    fputc('\n', stdout);
    return same && genuine ? APP_OK : APP_FAILED;
}

static int inspect_bytes(inspect_command *c)
{
    inspect_error error = {0};
    size_t len;
    uint8_t *data = read_all(c, &len);

    if (!data)
        return APP_BAD_USAGE;
    inspect_format format = c->format;
    if (format == INSPECT_AUTO)
        format = is_media_file(c) ? INSPECT_RAW : inspect_format_detect(data, len);
    int err = inspect_format_decode(format, data, &len, &error);
    int code =
        err == DUET_OK ? print_message(c, data, len) : finish(err, format == INSPECT_HEX ? "hex" : "base64", &error);
    free(data);
    return code;
}

/* ---- captures ---- */

static void print_record(inspect_command *c, json_t *record)
{
    const json_t *error = json_object_get(record, "error");

    if (error && !json_object_get(record, "truncated"))
        app_error("frame %lld: %s: offset %lld: %s", (long long)json_integer_value(json_object_get(record, "frame")),
                  json_string_value(json_object_get(record, "protocol")),
                  (long long)json_integer_value(json_object_get(error, "offset")),
                  json_string_value(json_object_get(error, "reason")));
    if (!c->compact)
        fputs(c->printed ? ",\n" : "[\n", stdout);
    print_json(c, record);
    if (c->compact)
        fputc('\n', stdout);
}

static int print_packets(inspect_command *c, pcap_reader *reader, inspect_counts *counts)
{
    inspect_error error = {0};
    pcap_packet packet;
    json_t *record;
    int result;

    while ((result = pcap_reader_next(reader, &packet, &error)) == 1) {
        result = inspect_packet(&packet, &c->options, &record, counts);
        if (result != DUET_OK)
            break;
        if (record)
            print_record(c, record);
    }
    if (!c->compact)
        fputs(c->printed ? "\n]\n" : "[]\n", stdout);
    return result == 0 ? APP_OK : finish(result, "pcap", &error);
}

static int inspect_capture(inspect_command *c)
{
    inspect_error error = {0};
    inspect_counts counts = {0};
    pcap_reader *reader;

    int err = pcap_reader_create(&reader, read_input, c, &error);
    if (err != DUET_OK)
        return finish(err, "pcap", &error);
    int code = print_packets(c, reader, &counts);
    pcap_reader_destroy(reader);
    if (counts.differed || counts.forged)
        app_error("pcap: %llu messages differ when they are written again, %llu have a wrong integrity",
                  (unsigned long long)counts.differed, (unsigned long long)counts.forged);
    if (code == APP_OK && counts.failed)
        return APP_BAD_USAGE;
    return code == APP_OK && (counts.differed || counts.forged) ? APP_FAILED : code;
}

/* ---- command line ---- */

#define WIRE_KINDS "sdp, candidate, stun, channeldata, sctp, dcep, dtls, mdns, turn-stream, rfc4571"
#ifdef DUET_HAVE_MEDIA
#define KINDS       WIRE_KINDS ", rtp, rtcp, payload, file and pcap"
#define MEDIA_USAGE "rtp, rtcp, payload (of RTP), file (Ogg, IVF, WebM, WAV, YUV4MPEG2, H.264, H.265),\n"
#define CODEC_USAGE                                                                                                    \
    "  --codec NAME         payload: opus, PCMU, PCMA, VP8, VP9, H264, H265 or AV1\n"                                  \
    "  --extmap ID=NAME     rtp, and RTP of a capture: what a header extension means, as mid, transport-cc,\n"         \
    "                       dependency-descriptor, video-layers-allocation, or its URI; may be repeated\n"             \
    "  --sdp FILE           the same, and what payload types mean, as a description says it: SDP, or JSON with a\n"    \
    "                       member \"sdp\", such as the lines of duet peer; may be repeated\n"
#else
#define KINDS       WIRE_KINDS " and pcap"
#define MEDIA_USAGE ""
#define CODEC_USAGE ""
#endif

static void usage(FILE *f)
{
    fputs("Usage: duet inspect KIND [FILE]\n\n"
          "Decodes FILE, or standard input, to JSON. KIND is sdp, candidate, stun (TURN too), channeldata, sctp, dcep, "
          "dtls,\n"
          "mdns, a piece of a TCP stream (turn-stream, rfc4571),\n" MEDIA_USAGE
          "or pcap for all that a capture (pcap or pcapng) holds; with another KIND a capture gives the messages of "
          "that\n"
          "kind. What cannot be decoded is told with its offset and the reason, and the exit code is 2.\n\n"
          "  --format FORMAT      of the input: auto (the default), raw, hex, base64 or pcap\n"
          "  --roundtrip          write what was decoded again and compare: exit code 1 when it differs\n"
          "  --compact            one line for each message\n" CODEC_USAGE
          "  --password TEXT      stun: check MESSAGE-INTEGRITY with this password\n"
          "  --key HEX            stun: check MESSAGE-INTEGRITY with this key\n",
          f);
}

enum {
    OPTION_FORMAT = 1,
    OPTION_ROUNDTRIP,
    OPTION_COMPACT,
    OPTION_CODEC,
    OPTION_EXTMAP,
    OPTION_SDP,
    OPTION_PASSWORD,
    OPTION_KEY,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"roundtrip", no_argument, NULL, OPTION_ROUNDTRIP},
    {"compact", no_argument, NULL, OPTION_COMPACT},
    {"codec", required_argument, NULL, OPTION_CODEC},
    {"extmap", required_argument, NULL, OPTION_EXTMAP},
    {"sdp", required_argument, NULL, OPTION_SDP},
    {"password", required_argument, NULL, OPTION_PASSWORD},
    {"key", required_argument, NULL, OPTION_KEY},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_key(inspect_command *c, const char *value)
{
    inspect_error error = {0};
    size_t len = strlen(value);

    free(c->key);
    c->key = (uint8_t *)strdup(value);
    if (c->key && inspect_format_decode(INSPECT_HEX, c->key, &len, &error) == DUET_OK && len > 0) {
        c->secret = (inspect_secret){.key = c->key, .key_len = len};
        c->options.secret = &c->secret;
        return true;
    }
    app_error("--key %s: give hexadecimal digits", value);
    return false;
}

static bool parse_extmap(inspect_command *c, const char *value)
{
#ifdef DUET_HAVE_MEDIA
    c->options.extensions = &c->extensions;
    if (inspect_extensions_add(&c->extensions, value))
        return true;
#else
    (void)c;
#endif
    app_error("--extmap %s: give an id and what it means: 9=dependency-descriptor", value);
    return false;
}

#ifdef DUET_HAVE_MEDIA
static bool take_description(inspect_command *c, const char *name, const uint8_t *data, size_t len)
{
    inspect_error error = {0};
    char where[64] = "";

    c->options.extensions = &c->extensions;
    c->options.formats = &c->formats;
    int err = inspect_description_add(&c->formats, &c->extensions, data, len, &error);
    if (err == DUET_OK)
        return true;
    if (error.line > 0)
        snprintf(where, sizeof(where), "line %zu, column %zu: ", error.line, error.column);
    else if (error.offset > 0)
        snprintf(where, sizeof(where), "offset %zu: ", error.offset);
    app_error("--sdp %s: %s%s", name, where, err == DUET_ERR_MALFORMED ? error.reason : duet_strerror(err));
    return false;
}

static bool parse_sdp(inspect_command *c, const char *name)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "rbe");
    uint8_t *data = malloc(SDP_MAX);
    bool is_taken = false;

    size_t len = f && data ? fread(data, 1, SDP_MAX, f) : 0;
    if (!f || ferror(f))
        app_error("--sdp %s: %s", name, strerror(errno));
    else if (len == 0 || len == SDP_MAX)
        app_error("--sdp %s: %s", name, len ? "this is too long for a description" : "the file is empty");
    else
        is_taken = take_description(c, name, data, len);
    if (f && f != stdin)
        fclose(f);
    free(data);
    return is_taken;
}
#else
static bool parse_sdp(inspect_command *c, const char *name)
{
    (void)c;
    app_error("--sdp %s: this build has no media", name);
    return false;
}
#endif

/* @return false after an error message */
static bool parse_option(inspect_command *c, int option, const char *value)
{
    switch (option) {
    case OPTION_FORMAT:
        if (inspect_format_parse(&c->format, value))
            return true;
        app_error("--format %s: give auto, raw, hex, base64 or pcap", value);
        return false;
    case OPTION_ROUNDTRIP:
        c->options.roundtrip = true;
        return true;
    case OPTION_COMPACT:
        c->compact = true;
        return true;
    case OPTION_CODEC:
        c->codec = value;
        return true;
    case OPTION_EXTMAP:
        return parse_extmap(c, value);
    case OPTION_SDP:
        return parse_sdp(c, value);
    case OPTION_PASSWORD:
        c->secret = (inspect_secret){.password = value};
        c->options.secret = &c->secret;
        return true;
    case OPTION_KEY:
        return parse_key(c, value);
    default:
        return false;
    }
}

static bool find_payload(inspect_command *c)
{
    char name[64];

    if (!c->codec) {
        app_error("inspect: give the codec of the payload: --codec VP8");
        return false;
    }
    snprintf(name, sizeof(name), "payload/%s", c->codec);
    c->kind = inspect_kind_find(name);
    if (!c->kind)
        app_error("--codec %s: give opus, PCMU, PCMA, VP8, VP9, H264, H265 or AV1", c->codec);
    return c->kind != NULL;
}

static bool parse_kind(inspect_command *c, const char *name)
{
    if (strcmp(name, "pcap") == 0) {
        c->format = INSPECT_PCAP;
        return true;
    }
    c->options.kind = name;
    if (strcmp(name, "payload") == 0 && inspect_kind_find("payload/opus"))
        return find_payload(c);
    c->kind = inspect_kind_find(name);
    if (!c->kind || strchr(name, '/')) {
        app_error("inspect: \"%s\" is none of " KINDS, name);
        return false;
    }
    if (c->codec)
        app_error("inspect: --codec is for payload");
    else if (c->options.extensions && strcmp(name, "rtp") != 0)
        app_error("inspect: --extmap and --sdp are for rtp and pcap");
    else if (c->options.roundtrip && !c->kind->encode)
        app_error("inspect: a %s is not written again: --roundtrip is for the other kinds", name);
    else
        return true;
    return false;
}

/* @return -1 to go on, or an exit code */
static int parse_command_line(inspect_command *c, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(c, option, optarg))
            return APP_BAD_USAGE;
    }
    if (optind == argc || optind + 2 < argc) {
        usage(stderr);
        return APP_BAD_USAGE;
    }
    if (!parse_kind(c, argv[optind]))
        return APP_BAD_USAGE;
    c->file = optind + 1 < argc ? argv[optind + 1] : "-";
    return -1;
}

static int run(inspect_command *c)
{
    if (!open_input(c))
        return APP_BAD_USAGE;
    bool is_capture = c->format == INSPECT_PCAP ||
                      (c->format == INSPECT_AUTO && !is_media_file(c) && pcap_is_capture(c->head, c->head_len));
    int code = is_capture ? inspect_capture(c) : inspect_bytes(c);
    if (c->input != stdin)
        fclose(c->input);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        app_error("cannot write: %s", strerror(errno));
        return APP_FAILED;
    }
    return code;
}

int app_inspect(int argc, char **argv)
{
    inspect_command c = {.file = "-"};

    int code = parse_command_line(&c, argc, argv);
    if (code < 0)
        code = run(&c);
    free(c.key);
    return code;
}
