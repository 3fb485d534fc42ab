/* What the payload types and the extension ids of a packet mean, out of the description that they were agreed in: SDP (RFC 8866),
 * RFC 8285, and RFC 4588 for what is sent again. */
#include "inspect_description.h"
#include "base/text.h"
#include "duet/sdp.h"
#include "inspect_layout.h"
#include <string.h>
#include <strings.h>

/* ---- descriptions ------------------------------------------------------------------------------------------------ */

static void add_codecs(inspect_formats *formats, const duet_sdp *sdp, size_t section)
{
    duet_codec codecs[INSPECT_PAYLOAD_TYPES];
    size_t count = duet_sdp_media_codecs(sdp, section, codecs, INSPECT_PAYLOAD_TYPES);

    for (size_t i = 0; i < count && i < INSPECT_PAYLOAD_TYPES; i++) {
        const duet_codec *codec = &codecs[i];
        const char *apt = strcasecmp(codec->name, "rtx") == 0 ? strstr(codec->fmtp, "apt=") : NULL;
        duet_reader r = duet_text_reader(apt ? apt + 4 : "", apt ? strlen(apt + 4) : 0);
        uint64_t original = 0;

        memcpy(formats->types[codec->payload_type].codec, codec->name, sizeof(codec->name));
        bool is_told = duet_text_number(&r, 0, INSPECT_PAYLOAD_TYPES - 1, &original);
        formats->types[codec->payload_type].original = is_told ? (int16_t)original : -1;
    }
}

static void add_extensions(inspect_extensions *extensions, const duet_sdp *sdp, size_t section)
{
    duet_sdp_extmap extmap;
    size_t cursor = 0;
    char uri[128];

    while (duet_sdp_media_extmap(sdp, section, &cursor, &extmap)) {
        if (extmap.uri.len >= sizeof(uri) || extmap.id < 1 || extmap.id > UINT8_MAX)
            continue;
        memcpy(uri, extmap.uri.text, extmap.uri.len);
        uri[extmap.uri.len] = 0;
        duet_rtp_extension_kind kind = duet_rtp_extension_of_uri(uri);
        if (kind != DUET_RTP_EXT_COUNT)
            extensions->map.ids[kind] = (uint8_t)extmap.id;
    }
}

static int add_sdp(inspect_formats *formats, inspect_extensions *extensions, const char *text, size_t len,
                   inspect_error *error)
{
    duet_sdp_error why = {0};
    duet_sdp *sdp;

    int err = duet_sdp_parse(&sdp, NULL, text, len, &why);
    if (err != DUET_OK) {
        *error = (inspect_error){.line = why.line, .column = why.column};
        snprintf(error->reason, sizeof(error->reason), "%s", why.reason);
        return err == DUET_ERR_NOMEM ? err : DUET_ERR_MALFORMED;
    }
    for (size_t i = 0; i < duet_sdp_media_count(sdp); i++) {
        if (!duet_sdp_media_is_rtp(sdp, i))
            continue;
        add_codecs(formats, sdp, i);
        add_extensions(extensions, sdp, i);
    }
    duet_sdp_destroy(sdp);
    return DUET_OK;
}

static void skip_blanks(duet_reader *r)
{
    uint8_t c;

    while (duet_reader_left(r) > 0 && ((c = duet_peek_u8(r, 0)) == ' ' || c == '\t' || c == '\r' || c == '\n'))
        duet_read_skip(r, 1);
}

/* Objects one after the other, such as the lines of duet peer; those without a description are passed over. */
static int add_objects(inspect_formats *formats, inspect_extensions *extensions, duet_reader r, inspect_error *error)
{
    bool is_found = false;
    int err = DUET_OK;

    while (err == DUET_OK && duet_reader_left(&r) > 0) {
        json_error_t why;
        json_t *object = json_loadb((const char *)r.data + r.pos, duet_reader_left(&r), JSON_DISABLE_EOF_CHECK, &why);
        const json_t *sdp = json_object_get(object, "sdp");
        if (!object) {
            *error = (inspect_error){.offset = r.pos + (size_t)why.position};
            snprintf(error->reason, sizeof(error->reason), "%s", why.text);
            return DUET_ERR_MALFORMED;
        }
        if (json_is_string(sdp)) {
            is_found = true;
            err = add_sdp(formats, extensions, json_string_value(sdp), json_string_length(sdp), error);
        }
        json_decref(object);
        duet_read_skip(&r, (size_t)why.position);
        skip_blanks(&r);
    }
    if (err != DUET_OK || is_found)
        return err;
    *error = (inspect_error){.reason = "no object has a member \"sdp\""};
    return DUET_ERR_MALFORMED;
}

int inspect_description_add(inspect_formats *formats, inspect_extensions *extensions, const uint8_t *data, size_t len,
                            inspect_error *error)
{
    duet_reader r = duet_reader_init(data, len);

    skip_blanks(&r);
    if (duet_reader_left(&r) > 0 && duet_peek_u8(&r, 0) == '{')
        return add_objects(formats, extensions, r, error);
    return add_sdp(formats, extensions, (const char *)data + r.pos, duet_reader_left(&r), error);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* What the payload is, where its codec is one of those that are decoded. */
static int decode_content(const char *codec, duet_reader payload, json_t *model)
{
    inspect_error error = {0};
    char name[48];

    snprintf(name, sizeof(name), "payload/%s", codec);
    const inspect_kind *kind = inspect_kind_find(name);
    if (!kind || duet_reader_left(&payload) == 0) /* padding alone: it probes the bandwidth */
        return DUET_OK;
    json_t *content = json_object();
    duet_bytes bytes = duet_read_bytes(&payload, duet_reader_left(&payload));
    int err = content ? kind->decode(bytes.data, bytes.len, content, &error) : DUET_ERR_NOMEM;
    if (err == DUET_OK) {
        inspect_set(model, "content", content);
        return DUET_OK;
    }
    json_decref(content);
    if (err == DUET_ERR_MALFORMED)
        inspect_set(model, "warning", json_string(error.reason));
    return err == DUET_ERR_MALFORMED ? DUET_OK : err;
}

/* |            OSN                |   RFC 4588, 4: the original sequence number, then the original payload */
static int decode_again(const inspect_formats *formats, int original, duet_reader payload, json_t *model)
{
    if (duet_reader_left(&payload) < 2)
        return DUET_OK;
    uint16_t number = duet_read_u16(&payload);
    inspect_set(model, "originalSequenceNumber", json_integer(number));
    if (original < 0)
        return DUET_OK;
    inspect_set(model, "originalPayloadType", json_integer(original));
    return decode_content(formats->types[original].codec, payload, model);
}

int inspect_formats_name(const inspect_formats *formats, const uint8_t *data, size_t len, bool is_plain, json_t *model)
{
    duet_rtp_packet packet;
    uint8_t second = len > 1 ? data[1] : 0;
    const char *codec = formats->types[second & 0x7F].codec;

    if (!codec[0])
        return DUET_OK;
    inspect_set(model, "codec", json_string(codec));
    if (!is_plain || duet_rtp_parse(&packet, data, len) != DUET_OK)
        return DUET_OK;
    duet_reader payload = duet_reader_init(packet.payload, packet.payload_len);
    if (strcasecmp(codec, "rtx") == 0)
        return decode_again(formats, formats->types[second & 0x7F].original, payload, model);
    return decode_content(codec, payload, model);
}
