/* The parts of an SCTP packet, and how they nest. */
#ifndef DUET_APPS_INSPECT_SCTP_H
#define DUET_APPS_INSPECT_SCTP_H

#include "inspect_layout.h"

/* One chunk with its padding. */
int inspect_sctp_chunk_decode(inspect_cursor *c, json_t *chunk);
int inspect_sctp_chunk_encode(const json_t *chunk, duet_buffer *out);

/* A list of parameters (RFC 9260, 3.2.1) or of error causes (3.3.10), for fields of INSPECT_PART. */
int inspect_sctp_parameters_decode(inspect_cursor *c, json_t *out, const inspect_field *field);
int inspect_sctp_causes_decode(inspect_cursor *c, json_t *out, const inspect_field *field);
int inspect_sctp_elements_encode(const json_t *in, duet_buffer *out, const inspect_field *field);

/* "DATA", …; NULL when unknown. */
const char *inspect_sctp_chunk_name(uint64_t type);

#endif
