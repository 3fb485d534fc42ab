/* A peer connection for UTCP, on a loop of duet/net.h. */
#include "signaling/utcp_peer.h"
#include "signaling/utcp_ice.h"
#include <string.h>

struct duet_utcp_peer {
    duet_env env;
    duet_utcp_peer_config config; /* its texts are copies */
    duet_pc *pc;
    duet_dc *dc;
    duet_net_timer *timeout; /* until it is open */
    uint64_t session_id;     /* of the other side's description */
    bool attached, described, open, over;
};

/* ---- the end ---- */

static void stop_timeout(duet_utcp_peer *p)
{
    duet_net_timer_cancel(p->timeout);
    p->timeout = NULL;
}

void duet_utcp_peer_give_up(duet_utcp_peer *p, const char *reason)
{
    if (p->over)
        return;
    p->over = true;
    p->open = false;
    stop_timeout(p);
    p->config.on_end(p->config.user, reason);
}

static void timed_out(void *arg)
{
    duet_utcp_peer_give_up(arg, "no connection came about in time");
}

/* ---- the channel ---- */

static void find_maximum(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    uint64_t *max = user;

    (void)id;
    for (size_t i = 0; kind == DUET_STATS_SCTP_TRANSPORT && i < count; i++) {
        if (strcmp(members[i].name, "duetMaxMessageSize") == 0)
            *max = members[i].number;
    }
}

static void on_open(void *user, duet_dc *dc)
{
    duet_utcp_peer *p = user;
    uint64_t max = 0;

    (void)dc;
    if (p->open || p->over)
        return;
    p->open = true;
    stop_timeout(p);
    duet_pc_get_stats(p->pc, find_maximum, &max);
    p->config.on_open(p->config.user, max);
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    duet_utcp_peer *p = user;

    if (!p->over && is_text) {
        on_open(p, dc); /* it may overtake the peer's DATA_CHANNEL_ACK (RFC 8832, section 6) */
        p->config.on_message(p->config.user, (const char *)data, len);
    }
}

static void on_writable(void *user, duet_dc *dc)
{
    duet_utcp_peer *p = user;

    (void)dc;
    if (p->open && !p->over)
        p->config.on_writable(p->config.user);
}

static void on_close(void *user, duet_dc *dc)
{
    (void)dc;
    duet_utcp_peer_give_up(user, "the other side has closed the channel");
}

static void take_channel(duet_utcp_peer *p, duet_dc *dc)
{
    const duet_dc_callbacks callbacks = {.size = sizeof(callbacks),
                                         .on_open = on_open,
                                         .on_message = on_message,
                                         .on_buffered_amount_low = on_writable,
                                         .on_closing = on_close,
                                         .on_close = on_close,
                                         .user = p};

    p->dc = dc;
    duet_dc_set_callbacks(dc, &callbacks);
    duet_dc_set_buffered_amount_low_threshold(dc, DUET_UTCP_BUFFERED_MAX / 2);
}

/* One channel of the right name; others are not for us. */
static void on_data_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_utcp_peer *p = user;

    (void)pc;
    if (p->dc || p->over || strcmp(duet_dc_label(dc), p->config.channel) != 0 || !duet_dc_is_ordered(dc) ||
        duet_dc_max_retransmits(dc) >= 0 || duet_dc_max_packet_life_time(dc) >= 0) {
        duet_dc_close(dc);
        return;
    }
    take_channel(p, dc);
}

int duet_utcp_peer_send(duet_utcp_peer *p, const char *text, size_t len)
{
    if (!p->open)
        return DUET_ERR_STATE;
    if (duet_dc_buffered_amount(p->dc) > DUET_UTCP_BUFFERED_MAX)
        return DUET_ERR_AGAIN;
    return duet_dc_send(p->dc, text, len, true);
}

/* ---- negotiation ---- */

static void send_description(duet_utcp_peer *p)
{
    duet_signaling_client *client = p->config.room->client;
    duet_sdp_type type;
    char *sdp = NULL;

    if (!client || duet_pc_local_description(p->pc, &type, &sdp) != DUET_OK) {
        duet_utcp_peer_give_up(p, "the description could not be sent");
        return;
    }
    p->described = true;
    if (duet_signaling_client_send_description(client, p->config.seat, type, sdp) != DUET_OK)
        duet_utcp_peer_give_up(p, "the description could not be sent");
    duet_free(&p->env, sdp);
}

static void on_ice_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    duet_utcp_peer *p = user;

    (void)pc;
    if (p->described && !p->over && p->config.room->client)
        (void)duet_signaling_client_send_candidate(p->config.room->client, p->config.seat, candidate);
}

static bool session_id_of(const duet_env *env, const char *sdp, uint64_t *out)
{
    duet_sdp_origin origin;
    duet_sdp *parsed;

    if (duet_sdp_parse(&parsed, env, sdp, strlen(sdp), NULL) != DUET_OK)
        return false;
    duet_sdp_get_origin(parsed, &origin);
    *out = origin.session_id;
    duet_sdp_destroy(parsed);
    return true;
}

bool duet_utcp_peer_is_other_session(const duet_utcp_peer *p, const char *sdp)
{
    uint64_t id;

    return p->session_id != 0 && session_id_of(&p->env, sdp, &id) && id != p->session_id;
}

void duet_utcp_peer_description(duet_utcp_peer *p, duet_sdp_type type, const char *sdp)
{
    if (p->over || p->config.offers != (type == DUET_SDP_ANSWER))
        return;
    (void)session_id_of(&p->env, sdp, &p->session_id);
    int err = duet_pc_set_remote_description(p->pc, type, sdp);
    if (err == DUET_OK && type == DUET_SDP_OFFER)
        err = duet_pc_set_local_description(p->pc, DUET_SDP_ANSWER, NULL);
    if (err != DUET_OK)
        duet_utcp_peer_give_up(p, "the other side's description was refused");
    else if (type == DUET_SDP_OFFER)
        send_description(p);
}

/* One bad candidate is no reason to give up the others. */
void duet_utcp_peer_candidate(duet_utcp_peer *p, const duet_pc_candidate *candidate)
{
    if (!p->over)
        (void)duet_pc_add_ice_candidate(p->pc, candidate);
}

static void on_connection_state(void *user, duet_pc *pc, duet_pc_state state)
{
    duet_utcp_peer *p = user;

    (void)pc;
    if (state == DUET_PC_FAILED)
        duet_utcp_peer_give_up(p, p->open ? "the connection broke" : "no connection came about");
    else if (state == DUET_PC_CLOSED)
        duet_utcp_peer_give_up(p, "the other side has closed the connection");
    else if (state == DUET_PC_DISCONNECTED && !p->over)
        p->config.on_trouble(p->config.user);
}

bool duet_utcp_peer_is_in_trouble(const duet_utcp_peer *p)
{
    return duet_pc_connection_state(p->pc) == DUET_PC_DISCONNECTED;
}

/* ---- life ---- */

static int create_connection(duet_utcp_peer *p, const duet_pc_config *template)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_utcp_ice_servers servers = {0};

    if (template)
        memcpy(&config, template, template->size < sizeof(config) ? template->size : sizeof(config));
    config.size = sizeof(config);
    config.env = &p->env;
    config.on_negotiation_needed = NULL;
    config.on_signaling_state = NULL;
    config.on_ice_connection_state = NULL;
    config.on_ice_gathering_state = NULL;
    config.on_ice_candidate_error = NULL;
    config.on_network_change = NULL;
    config.on_connection_state = on_connection_state;
    config.on_ice_candidate = on_ice_candidate;
    config.on_data_channel = p->config.offers ? NULL : on_data_channel;
    config.user = p;
    if (config.ice_server_count == 0 && duet_utcp_ice_servers_read(&servers, p->config.ice_servers)) {
        config.ice_servers = servers.list;
        config.ice_server_count = servers.count;
    }
    int err = duet_pc_create(&p->pc, &config);
    duet_utcp_ice_servers_free(&servers);
    return err;
}

static int begin(duet_utcp_peer *p, const duet_pc_config *template)
{
    duet_net *net = p->config.room->net;
    duet_dc *dc;

    int err = create_connection(p, template);
    if (err == DUET_OK)
        err = duet_net_add(net, p->pc);
    p->attached = err == DUET_OK;
    if (err == DUET_OK)
        err = duet_net_timer_start(&p->timeout, net, DUET_UTCP_CONNECT_TIMEOUT, timed_out, p);
    if (err != DUET_OK || !p->config.offers)
        return err;
    err = duet_pc_create_data_channel(p->pc, p->config.channel, NULL, &dc);
    if (err != DUET_OK)
        return err;
    take_channel(p, dc);
    return duet_pc_set_local_description(p->pc, DUET_SDP_OFFER, NULL);
}

int duet_utcp_peer_create(duet_utcp_peer **out, const duet_utcp_peer_config *config)
{
    const duet_env *env = &config->room->env;
    duet_utcp_peer *p = duet_calloc(env, sizeof(*p));

    *out = NULL;
    if (!p)
        return DUET_ERR_NOMEM;
    p->env = *env;
    p->config = *config;
    p->config.connection = NULL;
    p->config.channel = duet_strdup(env, config->channel);
    p->config.seat = duet_strdup(env, config->seat);
    int err = p->config.channel && p->config.seat ? begin(p, config->connection) : DUET_ERR_NOMEM;
    if (err != DUET_OK) {
        duet_utcp_peer_destroy(p);
        return err;
    }
    *out = p;
    if (p->config.offers)
        send_description(p);
    return DUET_OK;
}

void duet_utcp_peer_destroy(duet_utcp_peer *p)
{
    if (!p)
        return;
    p->over = true;
    stop_timeout(p);
    if (p->pc)
        duet_pc_close(p->pc);
    if (p->attached)
        duet_net_remove(p->config.room->net, p->pc);
    duet_pc_destroy(p->pc);
    duet_env env = p->env;
    duet_free(&env, (char *)p->config.channel);
    duet_free(&env, (char *)p->config.seat);
    duet_free(&env, p);
}
