/* The shared secret of tokens: read from a file, or made for one run. */
#include "app_signaling.h"
#include "base/memory.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECRET_ADVISED                                                                                                 \
    32 /* RFC 7518 section 3.2: "A key of the same size as the hash output … or larger MUST be used" */

bool app_secret_read(app_secret *out, const char *name)
{
    FILE *f = fopen(name, "rbe");

    out->len = f ? fread(out->bytes, 1, sizeof(out->bytes), f) : 0;
    bool failed = !f || ferror(f);
    bool longer = f && !failed && fgetc(f) != EOF;
    if (failed)
        app_error("cannot read the secret from %s: %s", name, strerror(errno));
    if (f)
        fclose(f);
    while (out->len > 0 && (out->bytes[out->len - 1] == '\n' || out->bytes[out->len - 1] == '\r'))
        out->len--; /* editors end files with a newline */
    if (failed)
        return false;
    if (out->len == 0 || longer) {
        app_error("%s: a secret has 1 to %zu bytes", name, sizeof(out->bytes));
        return false;
    }
    if (out->len < SECRET_ADVISED)
        app_error("%s: the secret is short: HS256 wants %d bytes or more", name, SECRET_ADVISED);
    return true;
}

bool app_secret_make(app_secret *out)
{
    out->len = SECRET_ADVISED;
    if (duet_random(NULL, out->bytes, out->len) == DUET_OK)
        return true;
    app_error("no random bytes for a secret");
    return false;
}
