/* The parts of a DTLS datagram, and how they nest. */
#ifndef DUET_APPS_INSPECT_DTLS_H
#define DUET_APPS_INSPECT_DTLS_H

#include "inspect_layout.h"

/* The body of a whole handshake message; NULL when it is kept as bytes only. */
const inspect_field *inspect_dtls_body(uint8_t handshake_type);

/* IANA names; NULL when unknown. */
const char *inspect_dtls_version_name(uint64_t version);
const char *inspect_dtls_handshake_name(uint64_t type);
const char *inspect_dtls_cipher_name(uint64_t suite);
const char *inspect_dtls_group_name(uint64_t group);
const char *inspect_dtls_signature_name(uint64_t scheme);
const char *inspect_dtls_srtp_name(uint64_t profile);
const char *inspect_dtls_extension_name(uint64_t type);
const char *inspect_dtls_alert_name(uint64_t description);

#endif
