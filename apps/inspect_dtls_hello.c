/* The bodies of ClientHello, ServerHello and HelloVerifyRequest with their extensions.
 * RFC 5246 section 7.4.1, RFC 6347 section 4.2.1, RFC 8446 sections 4.1 and 4.2, RFC 5764 section 4.1. */
#include "inspect_dtls.h"
#include <string.h>

#define CLIENT_HELLO         1u
#define SERVER_HELLO         2u
#define HELLO_VERIFY_REQUEST 3u

/* ---- extensions ---- */

#define CODE_LIST(member, width, length_bytes, names)                                                                  \
    {                                                                                                                  \
        .name = (member), .kind = INSPECT_CODES, .size = (width), .prefix = (length_bytes), .code_name = (names)       \
    }

static const char *point_format_name(uint64_t format)
{
    static const char *const names[] = {"uncompressed", "ansiX962_compressed_prime", "ansiX962_compressed_char2"};

    return format < sizeof(names) / sizeof(names[0]) ? names[format] : NULL;
}

static const char *psk_mode_name(uint64_t mode)
{
    return mode == 0 ? "psk_ke" : mode == 1 ? "psk_dhe_ke" : NULL;
}

static const inspect_field ext_empty[] = {{.kind = INSPECT_END}};
static const inspect_field ext_groups[] = {CODE_LIST("groups", 2, 2, inspect_dtls_group_name), {.kind = INSPECT_END}};
static const inspect_field ext_formats[] = {CODE_LIST("formats", 1, 1, point_format_name), {.kind = INSPECT_END}};
static const inspect_field ext_signatures[] = {
    CODE_LIST("signatureAlgorithms", 2, 2, inspect_dtls_signature_name),
    {.kind = INSPECT_END},
};
static const inspect_field ext_use_srtp[] = {
    CODE_LIST("profiles", 2, 2, inspect_dtls_srtp_name),
    {.name = "mki", .kind = INSPECT_BYTES, .prefix = 1},
    {.kind = INSPECT_END},
};
static const inspect_field row_alpn[] = {
    {.name = "protocol", .kind = INSPECT_TEXT, .prefix = 1},
    {.kind = INSPECT_END},
};
static const inspect_field ext_alpn[] = {
    {.name = "protocols", .kind = INSPECT_ROWS, .prefix = 2, .rows = row_alpn},
    {.kind = INSPECT_END},
};
static const inspect_field ext_versions[] = {
    CODE_LIST("versions", 2, 1, inspect_dtls_version_name),
    {.kind = INSPECT_END},
};
static const inspect_field ext_selected_version[] = {
    {.name = "version", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_version_name},
    {.kind = INSPECT_END},
};
static const inspect_field ext_cookie[] = {
    {.name = "cookie", .kind = INSPECT_BYTES, .prefix = 2},
    {.kind = INSPECT_END},
};
static const inspect_field ext_psk_modes[] = {CODE_LIST("modes", 1, 1, psk_mode_name), {.kind = INSPECT_END}};
static const inspect_field row_share[] = {
    {.name = "group", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_group_name},
    {.name = "key", .kind = INSPECT_BYTES, .prefix = 2},
    {.kind = INSPECT_END},
};
static const inspect_field ext_key_shares[] = {
    {.name = "shares", .kind = INSPECT_ROWS, .prefix = 2, .rows = row_share},
    {.kind = INSPECT_END},
};
/* HelloRetryRequest names the group alone. */
static const inspect_field ext_retry_group[] = {
    {.name = "group", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_group_name},
    {.kind = INSPECT_END},
};
static const inspect_field ext_renegotiation[] = {
    {.name = "renegotiatedConnection", .kind = INSPECT_BYTES, .prefix = 1},
    {.kind = INSPECT_END},
};
static const inspect_field ext_record_limit[] = {
    {.name = "limit", .kind = INSPECT_NUMBER, .size = 2},
    {.kind = INSPECT_END},
};
static const inspect_field ext_connection_id[] = {
    {.name = "connectionId", .kind = INSPECT_BYTES, .prefix = 1},
    {.kind = INSPECT_END},
};

/* One extension in the forms that its body may have in a hello of either side. */
typedef struct extension_forms {
    uint32_t type;
    const inspect_field *client, *server, *retry;
} extension_forms;

static const extension_forms forms[] = {
    {10, ext_groups, ext_groups, NULL},
    {11, ext_formats, ext_formats, NULL},
    {13, ext_signatures, ext_signatures, NULL},
    {14, ext_use_srtp, ext_use_srtp, NULL},
    {16, ext_alpn, ext_alpn, NULL},
    {22, ext_empty, ext_empty, NULL},
    {23, ext_empty, ext_empty, NULL},
    {28, ext_record_limit, ext_record_limit, NULL},
    {43, ext_versions, ext_selected_version, NULL},
    {44, ext_cookie, ext_cookie, NULL},
    {45, ext_psk_modes, NULL, NULL},
    {50, ext_signatures, ext_signatures, NULL},
    {51, ext_key_shares, row_share, ext_retry_group},
    {54, ext_connection_id, ext_connection_id, NULL},
    {0xff01, ext_renegotiation, ext_renegotiation, NULL},
};

static const extension_forms *forms_of(uint64_t type)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (forms[i].type == type)
            return &forms[i];
    }
    return NULL;
}

/* Fills `out` when the bytes have that form and nothing else. */
static bool fits(inspect_cursor body, const inspect_field *form, json_t *out)
{
    inspect_error ignored;
    json_t *members = json_object();

    body.error = &ignored;
    bool ok = form && members && inspect_fields_decode_all(&body, form, members) == DUET_OK;
    if (ok)
        json_object_update(out, members);
    json_decref(members);
    return ok;
}

/* A body of another form than expected is no error of the hello's frame: it is kept as bytes. */
static void decode_body(const inspect_cursor *body, json_t *extension, const inspect_field *hello, uint64_t type)
{
    const extension_forms *f = forms_of(type);
    bool is_client = hello == inspect_dtls_body(CLIENT_HELLO);

    if (f && fits(*body, is_client ? f->client : f->server, extension))
        return;
    if (f && !is_client && fits(*body, f->retry, extension))
        return;
    inspect_set(extension, "bytes", inspect_hex(body->r.data, body->r.len));
}

static int decode_extension(inspect_cursor *c, json_t *extension, const inspect_field *hello)
{
    size_t at = inspect_offset(c), left = inspect_left(c);

    if (left < 4)
        return inspect_fail(c, at, "%s: %zu bytes are left where the header of an extension has 4", c->what, left);
    uint16_t type = duet_read_u16(&c->r), len = duet_read_u16(&c->r);
    if (len > left - 4)
        return inspect_fail(c, at + 2, "%s: extension %u says %u bytes, %zu are left", c->what, type, len, left - 4);
    const char *name = inspect_dtls_extension_name(type);
    inspect_set(extension, "type", json_integer(type));
    if (name)
        inspect_set(extension, "name", json_string(name));
    inspect_set(extension, "length", json_integer(len));
    inspect_cursor body = inspect_sub(c, len);
    body.what = "extension";
    decode_body(&body, extension, hello, type);
    return DUET_OK;
}

/* RFC 5246, 7.4.1.4: the whole block may be absent, which is not the same as an empty one. */
static int decode_extensions(inspect_cursor *c, json_t *out, const inspect_field *field)
{
    json_t *list = json_array();
    int err = DUET_OK;

    if (inspect_left(c) == 0) {
        json_decref(list);
        return DUET_OK;
    }
    inspect_set(out, field->name, list);
    if (inspect_left(c) < 2)
        return inspect_fail(c, inspect_offset(c), "%s ends before the length of its extensions", c->what);
    size_t at = inspect_offset(c);
    uint16_t len = duet_read_u16(&c->r);
    if (len != inspect_left(c))
        return inspect_fail(c, at, "%s: extensions say %u bytes, %zu are left", c->what, len, inspect_left(c));
    while (err == DUET_OK && inspect_left(c) > 0) {
        json_t *extension = json_object();
        if (!extension)
            return DUET_ERR_NOMEM;
        json_array_append_new(list, extension);
        err = decode_extension(c, extension, field->rows);
    }
    return err;
}

static int encode_body(const json_t *extension, duet_buffer *out, const inspect_field *hello, uint64_t type)
{
    const json_t *bytes = json_object_get(extension, "bytes");
    const extension_forms *f = forms_of(type);

    if (bytes || !f)
        return inspect_put_hex(bytes, out);
    if (hello == inspect_dtls_body(CLIENT_HELLO))
        return inspect_fields_encode(extension, f->client, out);
    bool is_retry = f->retry && !json_object_get(extension, "key");
    return inspect_fields_encode(extension, is_retry ? f->retry : f->server, out);
}

static int encode_extensions(const json_t *in, duet_buffer *out, const inspect_field *field)
{
    const json_t *list = json_object_get(in, field->name), *extension;
    int err = DUET_OK;
    size_t i, start = out->len;

    if (!list)
        return DUET_OK;
    inspect_put_number(out, 0, 2);
    json_array_foreach(list, i, extension)
    {
        uint64_t type = 0;
        if (err == DUET_OK)
            err = inspect_get_number(extension, "type", &type);
        inspect_put_number(out, type, 2);
        size_t at = out->len;
        inspect_put_number(out, 0, 2);
        if (err == DUET_OK)
            err = encode_body(extension, out, field->rows, type);
        inspect_put_number_at(out, at, out->len - at - 2, 2);
    }
    inspect_put_number_at(out, start, out->len - start - 2, 2);
    return err;
}

/* ---- hello messages ---- */

static const char *compression_name(uint64_t method)
{
    return method == 0 ? "null" : NULL;
}

static const inspect_field client_hello[] = {
    {.name = "clientVersion", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_version_name},
    {.name = "random", .kind = INSPECT_FIXED, .size = 32},
    {.name = "sessionId", .kind = INSPECT_BYTES, .prefix = 1},
    {.name = "cookie", .kind = INSPECT_BYTES, .prefix = 1},
    CODE_LIST("cipherSuites", 2, 2, inspect_dtls_cipher_name),
    CODE_LIST("compressionMethods", 1, 1, compression_name),
    {.name = "extensions",
     .kind = INSPECT_PART,
     .rows = client_hello,
     .decode = decode_extensions,
     .encode = encode_extensions},
    {.kind = INSPECT_END},
};
static const inspect_field server_hello[] = {
    {.name = "serverVersion", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_version_name},
    {.name = "random", .kind = INSPECT_FIXED, .size = 32},
    {.name = "sessionId", .kind = INSPECT_BYTES, .prefix = 1},
    {.name = "cipherSuite", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_cipher_name},
    {.name = "compressionMethod", .kind = INSPECT_CODE, .size = 1, .code_name = compression_name},
    {.name = "extensions",
     .kind = INSPECT_PART,
     .rows = server_hello,
     .decode = decode_extensions,
     .encode = encode_extensions},
    {.kind = INSPECT_END},
};
static const inspect_field hello_verify_request[] = {
    {.name = "serverVersion", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_version_name},
    {.name = "cookie", .kind = INSPECT_BYTES, .prefix = 1},
    {.kind = INSPECT_END},
};

const inspect_field *inspect_dtls_body(uint8_t handshake_type)
{
    switch (handshake_type) {
    case CLIENT_HELLO:
        return client_hello;
    case SERVER_HELLO:
        return server_hello;
    case HELLO_VERIFY_REQUEST:
        return hello_verify_request;
    default:
        return NULL;
    }
}
