/* The data path of a TURN client: payloads are wrapped in their headroom and unwrapped where they lie.
 *
 * RFC 8656 sections 11 and 12.
 *
 *  0                   1                   2                   3
 * |         Channel Number        |            Length             |   ChannelData, section 12.4
 * |                       Application Data, padded on streams                          */
#include "ice/turn_client_internal.h"

#include <string.h>

#define CHANNEL_HEADER_LEN   4
#define ATTRIBUTE_HEADER_LEN 4
#define INDICATION_HEADER_V4 (DUET_STUN_HEADER_LEN + ATTRIBUTE_HEADER_LEN + 8 + ATTRIBUTE_HEADER_LEN)
#define INDICATION_HEADER_V6 (DUET_STUN_HEADER_LEN + ATTRIBUTE_HEADER_LEN + 20 + ATTRIBUTE_HEADER_LEN)

/* ---- out ---------------------------------------------------------------------------------------------------------- */

/* Fills up to a multiple of four behind the payload, in the tailroom that every output has. */
static void pad(duet_datagram *out)
{
    while (out->len % 4 != 0)
        out->data[out->len++] = 0;
}

static int grow_front(duet_datagram *out, size_t len)
{
    if (out->headroom < len)
        return DUET_ERR_BUFFER;
    out->data -= len;
    out->headroom -= len;
    out->len += len;
    return DUET_OK;
}

static int wrap_channel(const duet_turn_client *c, uint16_t number, duet_datagram *out)
{
    size_t payload = out->len;
    int err = grow_front(out, CHANNEL_HEADER_LEN);

    if (err)
        return err;
    duet_writer w = duet_writer_init(out->data, CHANNEL_HEADER_LEN);
    duet_write_u16(&w, number);
    duet_write_u16(&w, (uint16_t)payload);
    if (c->path.protocol != DUET_UDP)
        pad(out);
    return duet_writer_finish(&w);
}

/* "The transaction ID of an indication is chosen like that of a request": one that counts serves nobody who would guess it,
 * because indications have no answer. */
static const uint8_t *next_indication_id(duet_turn_client *c)
{
    for (size_t i = DUET_STUN_TRANSACTION_LEN; i-- > 0;) {
        if (++c->indication_id[i] != 0)
            break;
    }
    return c->indication_id;
}

static int wrap_indication(duet_turn_client *c, duet_datagram *out)
{
    duet_address peer = out->path.remote;
    size_t payload = out->len;
    size_t header_len = peer.family == DUET_AF_INET ? INDICATION_HEADER_V4 : INDICATION_HEADER_V6;
    int err = grow_front(out, header_len);

    if (err)
        return err;
    duet_stun_builder b = duet_stun_begin(out->data, header_len - ATTRIBUTE_HEADER_LEN, DUET_STUN_INDICATION,
                                          DUET_STUN_SEND, next_indication_id(c));
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &peer);
    err = duet_stun_end(&b, NULL);
    if (err)
        return err;
    pad(out);
    duet_writer w = duet_writer_init(out->data, header_len);
    w.len = b.len; /* behind the address: the payload is the value of the last attribute */
    duet_write_u16(&w, DUET_STUN_DATA_ATTRIBUTE);
    duet_write_u16(&w, (uint16_t)payload);
    duet_write_u16_at(&w, 2, (uint16_t)(out->len - DUET_STUN_HEADER_LEN));
    return duet_writer_finish(&w);
}

/* What a peer without a permission of its own gets, before the first payload leaves. */
static int prepare(duet_turn_client *c, const duet_address *peer)
{
    turn_permission *p = duet_turn_client_permission(c, peer);

    if (!p || p->state == TURN_PEER_IDLE || p->state == TURN_PEER_REFUSED)
        return duet_turn_client_permit(c, peer);
    p->used = true;
    return DUET_OK;
}

int duet_turn_client_wrap(duet_turn_client *c, duet_datagram *out)
{
    const duet_address *peer = &out->path.remote;
    bool is_relayed = (peer->family == DUET_AF_INET || peer->family == DUET_AF_INET6) &&
                      c->info.relayed[peer->family == DUET_AF_INET6].family != DUET_AF_NONE;

    if (c->info.state != DUET_TURN_ALLOCATED || !is_relayed)
        return DUET_ERR_STATE;
    if (out->len > UINT16_MAX - INDICATION_HEADER_V6 - 3)
        return DUET_ERR_TOO_LARGE;
    turn_channel *ch = c->channels.count ? duet_turn_client_channel(c, peer) : NULL;
    int err;
    if (ch && ch->is_bound) {
        ch->used = true;
        err = wrap_channel(c, ch->number, out);
    } else {
        err = prepare(c, peer);
        if (!err && ch && ch->state == TURN_PEER_IDLE)
            (void)duet_turn_client_bind(c, peer); /* it had expired for want of use */
        if (!err)
            err = wrap_indication(c, out);
    }
    if (err)
        return err;
    out->path = c->path;
    c->sent = true;
    return DUET_OK;
}

/* ---- in ----------------------------------------------------------------------------------------------------------- */

static void shrink(duet_datagram *in, size_t offset, size_t len)
{
    in->data += offset;
    in->headroom += offset;
    in->len = len;
}

static int unwrap_channel(duet_turn_client *c, duet_datagram *in)
{
    duet_reader r = duet_reader_init(in->data, in->len);
    uint16_t number = duet_read_u16(&r);
    size_t len = duet_read_u16(&r);

    /* "If the length field is larger than what is there, the message is discarded", RFC 8656 section 12.6 */
    if (r.failed || len > duet_reader_left(&r))
        return DUET_ERR_NOT_MINE;
    for (size_t i = 0; i < c->channels.count; i++) {
        turn_channel *ch = duet_array_at(&c->channels, i);
        if (ch->number != number || ch->state == TURN_PEER_REFUSED)
            continue;
        ch->used = true;
        in->path.remote = ch->peer;
        shrink(in, CHANNEL_HEADER_LEN, len);
        return 1;
    }
    return DUET_ERR_NOT_MINE;
}

static int unwrap_indication(duet_turn_client *c, const duet_stun_message *m, duet_datagram *in)
{
    duet_stun_attribute data;
    duet_address peer;

    if (m->method != DUET_STUN_DATA || !duet_stun_find(m, DUET_STUN_DATA_ATTRIBUTE, &data) ||
        duet_stun_get_address(m, DUET_STUN_XOR_PEER_ADDRESS, &peer) != DUET_OK)
        return DUET_ERR_NOT_MINE;
    /* "the client SHOULD check that the XOR-PEER-ADDRESS value contains an IP address with which the client believes
     * there is an active permission" RFC 8656 section 11.4 */
    turn_permission *p = duet_turn_client_permission(c, &peer);
    if (!p || p->state == TURN_PEER_REFUSED || p->state == TURN_PEER_IDLE)
        return DUET_ERR_NOT_MINE;
    p->used = true;
    in->path.remote = peer;
    shrink(in, data.offset + ATTRIBUTE_HEADER_LEN, data.len);
    return 1;
}

int duet_turn_client_unwrap(duet_turn_client *c, duet_datagram *in)
{
    duet_stun_message m;

    if (c->info.state != DUET_TURN_ALLOCATED)
        return DUET_ERR_NOT_MINE;
    if (in->len > 0 && in->data[0] >> 6 == 1)
        return unwrap_channel(c, in);
    if (duet_stun_parse(&m, in->data, in->len) != DUET_OK || m.message_class != DUET_STUN_INDICATION)
        return DUET_ERR_NOT_MINE;
    return unwrap_indication(c, &m, in);
}
