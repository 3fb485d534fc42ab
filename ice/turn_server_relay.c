/* Data between a client and its peers: Send and Data indications (RFC 8656 section 11), ChannelData (section 12), ICMP errors
 * (section 11.5). One look-up of the client, one of the channel or permission, one copy into the output. */
#include "base/bytes.h"
#include "ice/turn_server.h"
#include <errno.h>
#include <string.h>

#define INDICATION_ROOM 64 /* header, XOR-PEER-ADDRESS of IPv6, header of DATA */

static bool within_bandwidth(duet_turn_server *s, turn_allocation *a, size_t len, duet_time now)
{
    if (duet_turn_bucket_take(&a->bucket, s->config.allocation_bandwidth, len, now) &&
        duet_turn_account_may_relay(a->account, s->registry, len, now))
        return true;
    s->stats.dropped_bandwidth++;
    return false;
}

/* ---- client to peer ---- */

static void send_to_peer(duet_turn_server *s, turn_lane *lane, const turn_relay *r, const duet_address *peer,
                         duet_bytes data, uint8_t ecn, bool df)
{
    uint8_t *at = duet_turn_output_reserve(&s->output, data.len);
    duet_path path = {.socket = r->id, .protocol = DUET_UDP, .local = r->address, .remote = *peer};

    if (!at)
        return;
    if (data.len)
        memcpy(at, data.data, data.len);
    turn_out *out = duet_turn_output_commit(&s->output, lane, &path, data.len);
    out->ecn = ecn;
    out->df = df;
    s->stats.relayed_to_peers++;
    s->stats.relayed_bytes_to_peers += data.len;
}

/* Unknown comprehension-required attributes: an indication is discarded (RFC 8489 section 6.3.2). */
static bool send_is_understood(const duet_stun_message *m)
{
    static const uint16_t known[] = {DUET_STUN_XOR_PEER_ADDRESS, DUET_STUN_DATA_ATTRIBUTE, DUET_STUN_DONT_FRAGMENT};
    uint16_t unknown;

    return duet_stun_unknown_required(m, known, 3, &unknown, 1) == 0;
}

void duet_turn_handle_send(duet_turn_server *s, const turn_request *rq, uint8_t ecn)
{
    turn_allocation *a = duet_turn_client(s, &rq->path);
    duet_stun_attribute data;
    duet_address peer;

    if (!a || duet_stun_get_address(&rq->message, DUET_STUN_XOR_PEER_ADDRESS, &peer) != DUET_OK || peer.port == 0 ||
        !duet_stun_find(&rq->message, DUET_STUN_DATA_ATTRIBUTE, &data) || !send_is_understood(&rq->message)) {
        s->stats.discarded++;
        return;
    }
    turn_relay *r = duet_turn_relay_for(a, &peer);
    const turn_permission *p = r ? duet_turn_permission(s, a, &peer, rq->now) : NULL;
    if (!p || !duet_turn_peers_may_pass(&s->peers, p->verdict, &peer)) {
        s->stats.dropped_permission++;
        return;
    }
    bool df = duet_stun_find(&rq->message, DUET_STUN_DONT_FRAGMENT, NULL);
    if (within_bandwidth(s, a, data.len, rq->now))
        send_to_peer(s, &r->lane, r, &peer, (duet_bytes){data.value, data.len}, ecn, df);
}

/* |         Channel Number        |            Length             |   RFC 8656, 12.4
 * |                       Application Data                        |   and, over UDP, perhaps padding */
void duet_turn_handle_channel_data(duet_turn_server *s, const duet_path *path, const uint8_t *data, size_t len,
                                   uint8_t ecn, duet_time now)
{
    duet_reader r = duet_reader_init(data, len);
    uint16_t number = duet_read_u16(&r);
    uint16_t data_len = duet_read_u16(&r);
    duet_bytes payload = duet_read_bytes(&r, data_len);
    turn_allocation *a = r.failed ? NULL : duet_turn_client(s, path);

    if (!a) {
        s->stats.discarded++;
        return;
    }
    turn_channel *c = duet_turn_channel_of_number(s, a, number, now);
    if (!c || c->relay->state != TURN_RELAY_OPEN || !duet_turn_peers_may_pass(&s->peers, c->verdict, &c->peer)) {
        s->stats.dropped_permission++;
        return;
    }
    if (within_bandwidth(s, a, payload.len, now))
        send_to_peer(s, &c->lane, c->relay, &c->peer, payload, ecn, false);
}

/* ---- peer to client ---- */

static void count_to_client(duet_turn_server *s, turn_out *out, size_t len, uint8_t ecn)
{
    out->ecn = ecn;
    s->stats.relayed_to_clients++;
    s->stats.relayed_bytes_to_clients += len;
}

static void send_channel_data(duet_turn_server *s, turn_allocation *a, uint16_t number, const duet_datagram *in)
{
    /* "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple of four bytes" section 12.5 */
    size_t padding = a->stream ? (4 - in->len % 4) % 4 : 0;
    size_t room = TURN_CHANNEL_HEADER + in->len + padding;
    uint8_t *at = duet_turn_output_reserve(&s->output, room);
    duet_writer w = duet_writer_init(at, at ? room : 0);

    duet_write_u16(&w, number);
    duet_write_u16(&w, (uint16_t)in->len);
    duet_write_bytes(&w, in->data, in->len);
    duet_write_fill(&w, 0, padding);
    if (!w.failed)
        count_to_client(s, duet_turn_output_commit(&s->output, &a->lane, &a->path, w.len), in->len, in->ecn);
}

/* Indications are told apart by nobody: any transaction id does, and they need not be guessed. */
static duet_stun_builder begin_data(duet_turn_server *s, size_t room)
{
    uint8_t id[DUET_STUN_TRANSACTION_LEN];
    uint64_t high = duet_seeded_next(&s->transaction_seed), low = duet_seeded_next(&s->transaction_seed);
    uint8_t *at = duet_turn_output_reserve(&s->output, room);

    memcpy(id, &high, 8);
    memcpy(id + 8, &low, 4);
    return duet_stun_begin(at, at ? room : 0, DUET_STUN_INDICATION, DUET_STUN_DATA, id);
}

static void send_data_indication(duet_turn_server *s, turn_allocation *a, const duet_datagram *in)
{
    duet_stun_builder b = begin_data(s, INDICATION_ROOM + in->len + 4);
    size_t len;

    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &in->path.remote);
    duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, in->data, in->len);
    if (duet_stun_end(&b, &len) == DUET_OK)
        count_to_client(s, duet_turn_output_commit(&s->output, &a->lane, &a->path, len), in->len, in->ecn);
}

void duet_turn_handle_peer_data(duet_turn_server *s, turn_relay *r, const duet_datagram *in, duet_time now)
{
    turn_allocation *a = r->allocation;
    const turn_permission *p = duet_turn_permission(s, a, &in->path.remote, now);

    if (!a->answered || !p || !duet_turn_peers_may_pass(&s->peers, p->verdict, &in->path.remote)) {
        s->stats.dropped_permission++;
        return;
    }
    if (!within_bandwidth(s, a, in->len, now))
        return;
    const turn_channel *c = duet_turn_channel_of_peer(s, a, &in->path.remote, now);
    if (c)
        send_channel_data(s, a, c->number, in);
    else
        send_data_indication(s, a, in);
}

/* What the errors of a socket were on the wire: RFC 792, RFC 4443. */
static bool icmp_of(int error, bool is_ipv6, duet_stun_icmp *out)
{
    static const struct {
        int error;
        duet_stun_icmp ipv4, ipv6;
    } rows[] = {
        {ECONNREFUSED, {3, 3, 0}, {1, 4, 0}}, {EHOSTUNREACH, {3, 1, 0}, {1, 3, 0}}, {ENETUNREACH, {3, 0, 0}, {1, 0, 0}},
        {EMSGSIZE, {3, 4, 0}, {2, 0, 0}},     {EACCES, {3, 13, 0}, {1, 1, 0}},      {EPERM, {3, 13, 0}, {1, 1, 0}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].error != error)
            continue;
        *out = is_ipv6 ? rows[i].ipv6 : rows[i].ipv4;
        return true;
    }
    return false;
}

void duet_turn_handle_peer_error(duet_turn_server *s, turn_relay *r, const duet_path *path, int error, duet_time now)
{
    turn_allocation *a = r->allocation;
    duet_stun_icmp icmp;
    size_t len;

    if (!a->answered || !duet_turn_permission(s, a, &path->remote, now) ||
        !icmp_of(error, path->remote.family == DUET_AF_INET6, &icmp))
        return;
    duet_stun_builder b = begin_data(s, INDICATION_ROOM);
    duet_stun_add_address(&b, DUET_STUN_XOR_PEER_ADDRESS, &path->remote);
    duet_stun_add_icmp(&b, &icmp);
    if (duet_stun_end(&b, &len) == DUET_OK)
        duet_turn_output_commit(&s->output, &a->lane, &a->path, len);
}
