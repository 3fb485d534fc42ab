/* What RTCP says about sources besides reports: SDES, BYE and APP. RFC 3550 sections 6.5 to 6.7. */
#include "media/rtcp_packet.h"
#include <string.h>

#define SDES_END 0

/* Behind the items of a chunk: "one or more null octets", to the next 32-bit boundary of the packet. */
static int end_chunk(duet_reader *r, duet_rtcp_sdes_cursor *cursor)
{
    duet_read_skip(r, 4 - r->pos % 4);
    cursor->in_chunk = false;
    return r->failed ? DUET_ERR_MALFORMED : DUET_OK;
}

/* |                          SSRC/CSRC                            |   RFC 3550, 6.5
 * |     type      |    length     |   text ...                    |   items, then at least one 0 */
int duet_rtcp_next_sdes(const duet_rtcp_packet *packet, duet_rtcp_sdes_cursor *cursor, duet_rtcp_sdes_item *out)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (packet->type != DUET_RTCP_SDES)
        return DUET_ERR_NOT_MINE;
    duet_read_skip(&r, cursor->offset);
    for (;;) {
        if (!cursor->in_chunk) {
            if (cursor->chunks == packet->count)
                return 0;
            cursor->chunks++;
            cursor->in_chunk = true;
            cursor->ssrc = duet_read_u32(&r);
        }
        if (duet_reader_left(&r) == 0)
            return DUET_ERR_MALFORMED;
        if (duet_peek_u8(&r, 0) != SDES_END)
            break;
        if (end_chunk(&r, cursor) != DUET_OK)
            return DUET_ERR_MALFORMED;
    }
    out->ssrc = cursor->ssrc;
    out->type = duet_read_u8(&r);
    out->len = duet_read_u8(&r);
    out->text = (const char *)duet_read_bytes(&r, out->len).data;
    cursor->offset = r.pos;
    return r.failed ? DUET_ERR_MALFORMED : 1;
}

static size_t count_chunks(const duet_rtcp_sdes_item *items, size_t count)
{
    size_t chunks = 0;

    for (size_t i = 0; i < count; i++)
        chunks += i == 0 || items[i].ssrc != items[i - 1].ssrc;
    return chunks;
}

int duet_rtcp_write_sdes(duet_rtcp_writer *w, const duet_rtcp_sdes_item *items, size_t count)
{
    size_t chunks = count_chunks(items, count);

    if (chunks > DUET_RTCP_COUNT_MAX)
        return DUET_ERR_INVALID;
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_SDES, chunks);
    for (size_t i = 0; i < count; i++) {
        bool first = i == 0 || items[i].ssrc != items[i - 1].ssrc;
        bool last = i + 1 == count || items[i].ssrc != items[i + 1].ssrc;
        if (items[i].type == SDES_END)
            return DUET_ERR_INVALID;
        if (first)
            duet_write_u32(&p, items[i].ssrc);
        duet_write_u8(&p, items[i].type);
        duet_write_u8(&p, items[i].len);
        duet_write_bytes(&p, items[i].text, items[i].len);
        if (last)
            duet_write_fill(&p, 0, 4 - p.len % 4);
    }
    return duet_rtcp_end(w, &p);
}

int duet_rtcp_read_bye(duet_rtcp_bye *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (packet->type != DUET_RTCP_BYE)
        return DUET_ERR_NOT_MINE;
    memset(out, 0, sizeof(*out));
    out->ssrc_count = packet->count;
    for (uint8_t i = 0; i < out->ssrc_count; i++)
        out->ssrcs[i] = duet_read_u32(&r);
    if (duet_reader_left(&r)) {
        out->reason_len = duet_read_u8(&r);
        out->reason = (const char *)duet_read_bytes(&r, out->reason_len).data;
    }
    return r.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

int duet_rtcp_write_bye(duet_rtcp_writer *w, const duet_rtcp_bye *bye)
{
    if (bye->ssrc_count > DUET_RTCP_COUNT_MAX)
        return DUET_ERR_INVALID;
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_BYE, bye->ssrc_count);
    for (uint8_t i = 0; i < bye->ssrc_count; i++)
        duet_write_u32(&p, bye->ssrcs[i]);
    if (bye->reason) {
        duet_write_u8(&p, bye->reason_len);
        duet_write_bytes(&p, bye->reason, bye->reason_len);
        duet_write_fill(&p, 0, (4 - p.len % 4) % 4);
    }
    return duet_rtcp_end(w, &p);
}

int duet_rtcp_read_app(duet_rtcp_app *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (packet->type != DUET_RTCP_APP)
        return DUET_ERR_NOT_MINE;
    memset(out, 0, sizeof(*out));
    out->subtype = packet->count;
    out->ssrc = duet_read_u32(&r);
    duet_bytes name = duet_read_bytes(&r, sizeof(out->name));
    if (r.failed)
        return DUET_ERR_MALFORMED;
    memcpy(out->name, name.data, sizeof(out->name));
    duet_bytes data = duet_read_bytes(&r, duet_reader_left(&r));
    out->data = data.data;
    out->len = data.len;
    return DUET_OK;
}

int duet_rtcp_write_app(duet_rtcp_writer *w, const duet_rtcp_app *app)
{
    if (app->subtype > DUET_RTCP_COUNT_MAX || app->len % 4 != 0)
        return DUET_ERR_INVALID;
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_APP, app->subtype);
    duet_write_u32(&p, app->ssrc);
    duet_write_bytes(&p, app->name, sizeof(app->name));
    duet_write_bytes(&p, app->data, app->len);
    return duet_rtcp_end(w, &p);
}
