/* The association on usrsctp: one socket each, in its no-threads mode, over AF_CONN.
 * RFC 9260, RFC 3758, RFC 6525, in the profile of RFC 8831 section 5 and RFC 8261. */
#include "base/crypto.h"
#include "base/memory.h"
#include "sctp/association.h"
#include "sctp/usrsctp_process.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CHECKSUM_OFFSET 8
#define COMMON_HEADER   12
#define DATA_HEADER     16
#define RTO_MAX_MS      10000
/* About two minutes of silence end an association: ICE has noticed long before. */
#define RETRANSMISSIONS_MAX 20
#define INIT_ATTEMPTS       12
/* What waits for an owner that does not come: beyond this it counts as lost on the way. */
#define MAILBOX_MAX 1024
/* A message given in parts is continued when at least this much is free. */
#define WRITABLE_THRESHOLD 16384

typedef enum mail_kind {
    MAIL_PACKET,
    MAIL_RECEIVED,
} mail_kind;

/* What came up on a thread that does not drive this association. From libc: the allocator belongs to the owner. */
typedef struct mail {
    struct mail *next;
    mail_kind kind;
    struct sctp_rcvinfo info;
    int flags;
    size_t len;
    uint8_t *data;
} mail;

struct duet_association {
    const duet_env *env;
    duet_association_callbacks callbacks;
    uintptr_t id;
    struct socket *socket;
    size_t piece_max; /* of a message, in one call */
    size_t mtu;
    bool corked; /* see cork() */
    unsigned corked_messages;
    size_t corked_len; /* of the last one */
    uint64_t packets_out, packets_before;
    uint8_t header[COMMON_HEADER]; /* of the last packet that came in, for nudge() */
    bool has_header;
    mail *mail_first, *mail_last; /* under the lock of the id */
    size_t mail_count;
    bool mail_writable;
    atomic_bool has_mail;
};

/* ---- what comes up --------------------------------------------------------------------------------------------- */

/* Takes over data; the lock is held. */
static void post(duet_association *a, mail_kind kind, uint8_t *data, size_t len, struct sctp_rcvinfo info, int flags)
{
    mail *m = a->mail_count < MAILBOX_MAX || kind != MAIL_PACKET ? malloc(sizeof(*m)) : NULL;

    if (!m) {
        free(data);
        return;
    }
    *m = (mail){.kind = kind, .info = info, .flags = flags, .len = len, .data = data};
    if (a->mail_last)
        a->mail_last->next = m;
    else
        a->mail_first = m;
    a->mail_last = m;
    a->mail_count++;
}

static void ring(duet_association *a)
{
    if (!atomic_exchange_explicit(&a->has_mail, true, memory_order_release))
        a->callbacks.wake(a->callbacks.user);
}

static void write_checksum(uint8_t *packet, size_t len)
{
    memset(packet + CHECKSUM_OFFSET, 0, 4);
    uint32_t crc = duet_crc32c(0, packet, len);
    for (size_t i = 0; i < 4; i++) /* "the least significant byte first", RFC 9260 appendix A */
        packet[CHECKSUM_OFFSET + i] = (uint8_t)(crc >> (8 * i));
}

static void on_output(void *object, uint8_t *packet, size_t len, bool is_owner)
{
    duet_association *a = object;

    if (len < COMMON_HEADER)
        return;
    write_checksum(packet, len);
    if (is_owner) {
        a->packets_out++; /* the owner's alone: others may run its timers beside it */
        a->callbacks.packet(a->callbacks.user, packet, len);
        return;
    }
    uint8_t *copy = malloc(len);
    if (!copy)
        return;
    memcpy(copy, packet, len);
    post(a, MAIL_PACKET, copy, len, (struct sctp_rcvinfo){0}, 0);
    ring(a);
}

static void association_changed(duet_association *a, const struct sctp_assoc_change *change)
{
    duet_association_event event = DUET_ASSOCIATION_LOST;

    if (change->sac_state == SCTP_COMM_UP)
        event = DUET_ASSOCIATION_UP;
    else if (change->sac_state == SCTP_RESTART)
        event = DUET_ASSOCIATION_RESTARTED;
    a->callbacks.event(a->callbacks.user, event, change->sac_outbound_streams, change->sac_inbound_streams);
}

static void streams_reset(duet_association *a, const struct sctp_stream_reset_event *event, size_t len)
{
    size_t count = (len - sizeof(*event)) / sizeof(uint16_t);
    bool succeeded = !(event->strreset_flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED));

    if (event->strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN)
        a->callbacks.streams_reset(a->callbacks.user, event->strreset_stream_list, count, true, succeeded);
    if (event->strreset_flags & SCTP_STREAM_RESET_OUTGOING_SSN)
        a->callbacks.streams_reset(a->callbacks.user, event->strreset_stream_list, count, false, succeeded);
}

static void notified(duet_association *a, const void *data, size_t len)
{
    const union sctp_notification *n = data;

    if (len < sizeof(n->sn_header) || n->sn_header.sn_length > len)
        return;
    switch (n->sn_header.sn_type) {
    case SCTP_ASSOC_CHANGE:
        if (len >= sizeof(n->sn_assoc_change))
            association_changed(a, &n->sn_assoc_change);
        break;
    case SCTP_STREAM_RESET_EVENT:
        if (len >= sizeof(n->sn_strreset_event))
            streams_reset(a, &n->sn_strreset_event, n->sn_header.sn_length);
        break;
    case SCTP_SHUTDOWN_EVENT:
        a->callbacks.event(a->callbacks.user, DUET_ASSOCIATION_SHUTDOWN, 0, 0);
        break;
    case SCTP_PARTIAL_DELIVERY_EVENT:
        if (len >= sizeof(n->sn_pdapi_event) && n->sn_pdapi_event.pdapi_indication == SCTP_PARTIAL_DELIVERY_ABORTED)
            a->callbacks.fragments_aborted(a->callbacks.user, (uint16_t)n->sn_pdapi_event.pdapi_stream);
        break;
    default:
        break;
    }
}

/* Takes over data. */
static void received(duet_association *a, uint8_t *data, size_t len, const struct sctp_rcvinfo *info, int flags)
{
    if (flags & MSG_NOTIFICATION) {
        notified(a, data, len);
        free(data);
        return;
    }
    duet_association_fragment fragment = {
        .stream = info->rcv_sid,
        .ppid = ntohl(info->rcv_ppid),
        .unordered = (info->rcv_flags & SCTP_UNORDERED) != 0,
        .end = (flags & MSG_EOR) != 0,
        .data = data,
        .len = len,
    };
    a->callbacks.fragment(a->callbacks.user, &fragment);
}

static void on_receive(void *object, uint8_t *data, size_t len, struct sctp_rcvinfo info, int flags, bool is_owner)
{
    duet_association *a = object;

    if (is_owner && !atomic_load_explicit(&a->has_mail, memory_order_relaxed)) {
        received(a, data, len, &info, flags);
        return;
    }
    if (is_owner) /* what another thread left comes first */
        duet_usrsctp_lock(a->id);
    post(a, MAIL_RECEIVED, data, len, info, flags);
    ring(a);
    if (is_owner)
        duet_usrsctp_unlock(a->id);
}

static void on_writable(void *object, bool is_owner)
{
    duet_association *a = object;

    if (is_owner) {
        a->callbacks.writable(a->callbacks.user);
        return;
    }
    a->mail_writable = true;
    ring(a);
}

static void hand_on(duet_association *a, mail *m)
{
    if (m->kind == MAIL_PACKET) {
        a->callbacks.packet(a->callbacks.user, m->data, m->len);
        free(m->data);
    } else {
        received(a, m->data, m->len, &m->info, m->flags);
    }
    free(m);
}

static void collect(duet_association *a)
{
    if (!atomic_load_explicit(&a->has_mail, memory_order_acquire))
        return;
    duet_usrsctp_lock(a->id);
    mail *m = a->mail_first;
    bool writable = a->mail_writable;
    a->mail_first = a->mail_last = NULL;
    a->mail_count = 0;
    a->mail_writable = false;
    atomic_store_explicit(&a->has_mail, false, memory_order_release);
    duet_usrsctp_unlock(a->id);

    while (m) {
        mail *next = m->next;
        hand_on(a, m);
        m = next;
    }
    if (writable)
        a->callbacks.writable(a->callbacks.user);
}

/* At the end nobody may hear any more: the owner is half gone. */
static void discard_mail(duet_association *a)
{
    while (a->mail_first) {
        mail *m = a->mail_first;
        a->mail_first = m->next;
        free(m->data);
        free(m);
    }
}

static const duet_usrsctp_handler handler = {on_output, on_receive, on_writable};

/* ---- making the socket ----------------------------------------------------------------------------------------- */

static bool set_option(duet_association *a, int level, int name, const void *value, size_t len)
{
    return usrsctp_setsockopt(a->socket, level, name, value, (socklen_t)len) == 0;
}

static bool subscribe(duet_association *a)
{
    static const uint16_t types[] = {SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT, SCTP_SHUTDOWN_EVENT,
                                     SCTP_PARTIAL_DELIVERY_EVENT};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct sctp_event event = {.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = types[i], .se_on = 1};
        if (!set_option(a, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof(event)))
            return false;
    }
    return true;
}

static bool set_timing(duet_association *a, const duet_association_config *c)
{
    struct sctp_rtoinfo rto = {
        .srto_assoc_id = SCTP_FUTURE_ASSOC,
        .srto_initial = (uint32_t)(c->rto_initial / 1000),
        .srto_min = (uint32_t)(c->rto_min / 1000),
        .srto_max = RTO_MAX_MS,
    };
    struct sctp_assocparams limits = {.sasoc_assoc_id = SCTP_FUTURE_ASSOC, .sasoc_asocmaxrxt = RETRANSMISSIONS_MAX};
    struct sctp_initmsg init = {
        .sinit_num_ostreams = c->streams,
        .sinit_max_instreams = c->streams,
        .sinit_max_attempts = INIT_ATTEMPTS,
        .sinit_max_init_timeo = RTO_MAX_MS,
    };

    return set_option(a, IPPROTO_SCTP, SCTP_RTOINFO, &rto, sizeof(rto)) &&
           set_option(a, IPPROTO_SCTP, SCTP_ASSOCINFO, &limits, sizeof(limits)) &&
           set_option(a, IPPROTO_SCTP, SCTP_INITMSG, &init, sizeof(init));
}

/* Set for the association to come: set after connect, the INIT would already have the size of usrsctp's default.
 * RFC 8261 section 5: DTLS cannot be fragmented on the way, so the size is fixed and no packet probes for it. */
static bool set_path(duet_association *a, const duet_association_config *c)
{
    struct sctp_paddrparams path = {
        .spp_assoc_id = SCTP_FUTURE_ASSOC,
        .spp_flags = SPP_PMTUD_DISABLE | SPP_HB_DISABLE,
        .spp_pathmtu = (uint32_t)(c->mtu - COMMON_HEADER), /* usrsctp adds the header for AF_CONN */
        .spp_pathmaxrxt = RETRANSMISSIONS_MAX,
    };

    path.spp_address.ss_family = AF_CONN;
    return set_option(a, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path));
}

static bool set_behaviour(duet_association *a, const duet_association_config *c)
{
    int on = 1;
    int send_buffer = (int)c->send_buffer, receive_buffer = (int)c->receive_buffer;
    uint32_t delivery_point = (uint32_t)c->receive_buffer; /* usrsctp takes at most half the buffer */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};  /* closing the socket aborts at once */
    struct sctp_assoc_value resets = {
        .assoc_id = SCTP_FUTURE_ASSOC,
        .assoc_value = SCTP_ENABLE_RESET_STREAM_REQ | SCTP_ENABLE_CHANGE_ASSOC_REQ,
    };

    return usrsctp_set_non_blocking(a->socket, 1) == 0 &&
           set_option(a, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) &&
           set_option(a, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) &&
           set_option(a, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer)) &&
           set_option(a, IPPROTO_SCTP, SCTP_PARTIAL_DELIVERY_POINT, &delivery_point, sizeof(delivery_point)) &&
           set_option(a, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on)) &&
           set_option(a, IPPROTO_SCTP, SCTP_EXPLICIT_EOR, &on, sizeof(on)) &&
           set_option(a, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &resets, sizeof(resets));
}

static struct sockaddr_conn address_of(const duet_association *a, uint16_t port)
{
    return (struct sockaddr_conn){.sconn_family = AF_CONN, .sconn_port = htons(port), .sconn_addr = (void *)a->id};
}

static int make_socket(duet_association *a, const duet_association_config *c)
{
    a->socket = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, duet_usrsctp_receive, duet_usrsctp_writable,
                               WRITABLE_THRESHOLD, (void *)a->id);
    if (!a->socket)
        return DUET_ERR_NOMEM;
    if (!set_behaviour(a, c) || !set_timing(a, c) || !set_path(a, c) || !subscribe(a))
        return DUET_ERR_INVALID;
    struct sockaddr_conn local = address_of(a, c->local_port);
    return usrsctp_bind(a->socket, (struct sockaddr *)&local, sizeof(local)) == 0 ? DUET_OK : DUET_ERR_NOMEM;
}

/* ---- the vtable ------------------------------------------------------------------------------------------------ */

static void close_socket(duet_association *a)
{
    if (!a->socket)
        return;
    usrsctp_close(a->socket);
    usrsctp_deregister_address((void *)a->id);
    a->socket = NULL;
}

static void engine_destroy(duet_association *a)
{
    if (!a)
        return;
    duet_usrsctp_forget(a->id); /* first: the ABORT of close_socket finds nobody */
    discard_mail(a);
    close_socket(a);
    duet_usrsctp_close();
    duet_free(a->env, a);
}

static int engine_create(duet_association **out, const duet_env *env, const duet_association_config *config,
                         const duet_association_callbacks *callbacks, duet_time now)
{
    duet_association *a = duet_calloc(env, sizeof(*a));

    if (!a)
        return DUET_ERR_NOMEM;
    a->env = env;
    a->callbacks = *callbacks;
    a->piece_max = config->send_buffer / 2 + 1;
    a->mtu = config->mtu;
    atomic_init(&a->has_mail, false);
    int err = duet_usrsctp_open(&a->id, a, &handler, now);
    if (err) {
        duet_free(env, a);
        return err;
    }
    usrsctp_register_address((void *)a->id);
    err = make_socket(a, config);
    if (err) {
        if (!a->socket)
            usrsctp_deregister_address((void *)a->id);
        engine_destroy(a);
        return err;
    }
    *out = a;
    return DUET_OK;
}

static int engine_connect(duet_association *a, uint16_t remote_port, duet_time now)
{
    struct sockaddr_conn remote = address_of(a, remote_port);
    uintptr_t before = duet_usrsctp_drive(a->id);

    duet_usrsctp_advance(now);
    int result = usrsctp_connect(a->socket, (struct sockaddr *)&remote, sizeof(remote));
    int error = errno;
    duet_usrsctp_drive(before);
    if (result == 0 || error == EINPROGRESS)
        return DUET_OK;
    return error == ENOMEM || error == ENOBUFS ? DUET_ERR_NOMEM : DUET_ERR_STATE;
}

static void engine_input(duet_association *a, const uint8_t *packet, size_t len, duet_time now)
{
    if (!a->socket)
        return;
    uintptr_t before = duet_usrsctp_drive(a->id);
    duet_usrsctp_advance(now); /* first: a stale clock would fire the timers that the packet starts */
    usrsctp_conninput((void *)a->id, packet, len, 0);
    if (len >= COMMON_HEADER) {
        memcpy(a->header, packet, COMMON_HEADER);
        a->has_header = true;
    }
    duet_usrsctp_drive(before);
}

/* ---- corking --------------------------------------------------------------------------------------------------- */

/* Messages that are sent in the same turn share packets: the first one turns Nagle's algorithm on (it holds back a packet
 * that is not full while data is in flight), the end of the turn turns it off and lets the rest go. Without it each message
 * of 1200 bytes would be two packets, a full one and a rest of 80 bytes. */
static void cork(duet_association *a)
{
    int off = 0;

    if (a->corked)
        return;
    a->corked = set_option(a, IPPROTO_SCTP, SCTP_NODELAY, &off, sizeof(off));
    a->corked_messages = 0;
    a->packets_before = a->packets_out;
}

/* usrsctp has no call that says "send what waits", but it looks at its queue after each packet that comes in: it gets one
 * with a PAD chunk, which does nothing (RFC 4820 section 3). */
static void nudge(duet_association *a)
{
    uint8_t packet[COMMON_HEADER + 4] = {[COMMON_HEADER] = 0x84, [COMMON_HEADER + 3] = 4};

    if (!a->has_header)
        return;
    memcpy(packet, a->header, 8); /* ports and verification tag; the checksum was checked before usrsctp */
    usrsctp_conninput((void *)a->id, packet, sizeof(packet), 0);
}

static void engine_flush(duet_association *a)
{
    int on = 1;

    if (!a->corked || !a->socket)
        return;
    uintptr_t before = duet_usrsctp_drive(a->id);
    set_option(a, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on));
    a->corked = false;
    /* The most common case needs no more: a single message that fitted a packet and has gone. */
    bool has_gone = a->corked_messages == 1 && a->packets_out > a->packets_before &&
                    a->corked_len + COMMON_HEADER + DATA_HEADER <= a->mtu;
    if (!has_gone)
        nudge(a);
    duet_usrsctp_drive(before);
}

static void fill_send_info(struct sctp_sendv_spa *spa, const duet_association_send *how)
{
    spa->sendv_flags = SCTP_SEND_SNDINFO_VALID;
    spa->sendv_sndinfo.snd_sid = how->stream;
    spa->sendv_sndinfo.snd_ppid = htonl(how->ppid);
    spa->sendv_sndinfo.snd_flags = how->unordered ? SCTP_UNORDERED : 0;
    if (how->reliability == DUET_RELIABLE)
        return;
    spa->sendv_flags |= SCTP_SEND_PRINFO_VALID;
    spa->sendv_prinfo.pr_policy = how->reliability == DUET_LIMIT_RETRANSMITS ? SCTP_PR_SCTP_RTX : SCTP_PR_SCTP_TTL;
    spa->sendv_prinfo.pr_value = how->reliability_value;
    if (how->reliability == DUET_LIMIT_LIFE_TIME && how->reliability_value == 0)
        spa->sendv_prinfo.pr_value = 1; /* 0 is "no limit" to usrsctp */
}

static int send_error(int error)
{
    if (error == EWOULDBLOCK || error == EAGAIN || error == ENOBUFS)
        return DUET_ERR_AGAIN;
    if (error == ENOMEM)
        return DUET_ERR_NOMEM;
    return error == EMSGSIZE ? DUET_ERR_TOO_LARGE : DUET_ERR_CLOSED;
}

/* A call with more than the send buffer holds is refused once some of the message waits there, so a large message goes
 * in pieces; the last one carries the end of the record. usrsctp may take a part of a piece. */
static int engine_send(duet_association *a, const duet_association_send *how, const uint8_t *data, size_t len,
                       size_t *taken)
{
    struct sctp_sendv_spa spa = {0};
    int err = DUET_OK;

    *taken = 0;
    if (!a->socket)
        return DUET_ERR_CLOSED;
    fill_send_info(&spa, how);
    uintptr_t before = duet_usrsctp_drive(a->id);
    cork(a);
    a->corked_messages++;
    a->corked_len = len;
    while (*taken < len) {
        size_t piece = len - *taken;
        if (piece > a->piece_max)
            piece = a->piece_max;
        else
            spa.sendv_sndinfo.snd_flags |= SCTP_EOR;
        ssize_t sent = usrsctp_sendv(a->socket, data + *taken, piece, NULL, 0, &spa, sizeof(spa), SCTP_SENDV_SPA, 0);
        if (sent < 0)
            err = send_error(errno);
        else
            *taken += (size_t)sent;
        if (sent < 0 || (size_t)sent < piece)
            break;
    }
    duet_usrsctp_drive(before);
    if (*taken > 0)
        return DUET_OK;
    return err ? err : DUET_ERR_AGAIN;
}

static int engine_reset_streams(duet_association *a, const uint16_t *streams, size_t count)
{
    uint64_t room[(sizeof(struct sctp_reset_streams) + 64 * sizeof(uint16_t)) / sizeof(uint64_t) + 1] = {0};
    struct sctp_reset_streams *request = (struct sctp_reset_streams *)room;

    if (!a->socket)
        return DUET_ERR_CLOSED;
    if (count > 64)
        count = 64;
    request->srs_assoc_id = SCTP_CURRENT_ASSOC;
    request->srs_flags = SCTP_STREAM_RESET_OUTGOING;
    request->srs_number_streams = (uint16_t)count;
    memcpy(request->srs_stream_list, streams, count * sizeof(streams[0]));
    uintptr_t before = duet_usrsctp_drive(a->id);
    bool done = set_option(a, IPPROTO_SCTP, SCTP_RESET_STREAMS, request, sizeof(*request) + count * sizeof(uint16_t));
    int error = errno;
    duet_usrsctp_drive(before);
    if (done)
        return DUET_OK;
    return error == EBUSY || error == EALREADY || error == EAGAIN ? DUET_ERR_AGAIN : DUET_ERR_UNSUPPORTED;
}

static void engine_abort(duet_association *a)
{
    uintptr_t before = duet_usrsctp_drive(a->id);

    collect(a);
    close_socket(a);
    duet_usrsctp_drive(before);
}

static void engine_tick(duet_association *a, duet_time now)
{
    uintptr_t before = duet_usrsctp_drive(a->id);

    collect(a);
    if (a->socket)
        duet_usrsctp_advance(now);
    duet_usrsctp_drive(before);
}

static void engine_status(duet_association *a, duet_association_status *out)
{
    struct sctp_status status;
    socklen_t len = sizeof(status);

    memset(out, 0, sizeof(*out));
    memset(&status, 0, sizeof(status));
    if (!a->socket || usrsctp_getsockopt(a->socket, IPPROTO_SCTP, SCTP_STATUS, &status, &len) != 0)
        return;
    out->smoothed_round_trip_time = DUET_MS(status.sstat_primary.spinfo_srtt);
    out->congestion_window = status.sstat_primary.spinfo_cwnd;
    out->receiver_window = status.sstat_rwnd;
    out->mtu = status.sstat_primary.spinfo_mtu;
    out->unacknowledged = status.sstat_unackdata;
    out->pending = status.sstat_penddata;
}

const duet_association_engine duet_engine_usrsctp = {
    .create = engine_create,
    .destroy = engine_destroy,
    .connect = engine_connect,
    .input = engine_input,
    .send = engine_send,
    .flush = engine_flush,
    .reset_streams = engine_reset_streams,
    .abort = engine_abort,
    .tick = engine_tick,
    .collect = collect,
    .status = engine_status,
};
