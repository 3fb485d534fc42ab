/* Writing: every line as it was read or built, in its order, with the CRLF of RFC 8866 section 9. */
#include "sdp/internal.h"

static void write_lines(duet_buffer *b, const duet_sdp *sdp, size_t media)
{
    const duet_sdp_line *line;

    for (size_t i = 0; (line = duet_sdp_line_at(sdp, media, i)); i++) {
        char start[2] = {line->type, '='};
        duet_buffer_append(b, start, sizeof(start));
        if (line->name)
            duet_buffer_text(b, line->name);
        if (line->name && line->value)
            duet_buffer_text(b, ":");
        if (line->value)
            duet_buffer_text(b, line->value);
        duet_buffer_text(b, "\r\n");
    }
}

int duet_sdp_write(const duet_sdp *sdp, char **out)
{
    duet_buffer b;

    duet_buffer_init(&b, &sdp->env);
    write_lines(&b, sdp, DUET_SDP_SESSION);
    for (size_t i = 0; i < sdp->sections.count; i++)
        write_lines(&b, sdp, i);
    *out = duet_buffer_steal(&b);
    return *out ? DUET_OK : DUET_ERR_NOMEM;
}
