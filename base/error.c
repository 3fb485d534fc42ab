/* Names of errors. */
#include "duet/base.h"

static const char *const error_names[] = {
    "success",
    "invalid argument",
    "out of memory",
    "malformed input",
    "belongs to another protocol",
    "wrong state",
    "message too large",
    "queue is full, try again",
    "not found",
    "not supported",
    "authentication failed",
    "input/output error",
    "closed",
    "limit reached",
    "timed out",
    "cryptographic failure",
    "buffer too small",
};

const char *duet_strerror(int err)
{
    size_t index = err <= 0 ? (size_t)(-(long)err) : SIZE_MAX;

    return index < sizeof(error_names) / sizeof(error_names[0]) ? error_names[index] : "unknown error";
}
