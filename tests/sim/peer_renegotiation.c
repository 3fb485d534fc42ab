/* Long random lives of a call with media, in virtual time: both sides add, change, stop and renegotiate as they like, often at
 * once. After each round both must agree on everything, and media must flow exactly where they agreed. */
#include "duet/sdp.h"
#include "duet/transceiver.h"
#include "peer_world.h"

#define SEEDS 20
#ifdef __OPTIMIZE__
#define ROUNDS(seed) 200
#else /* where a round takes ten times as long */
#define ROUNDS(seed) ((seed) == 1 ? 200u : 30u)
#endif
#define FRAME_EVERY   DUET_MS(40)
#define FRAME_SIZE    100
#define LIVE_MAX      5   /* transceivers at a time */
#define MADE_MAX      400 /* in all, by both; more than there may be at a time */
#define CHANNELS_MAX  4
#define MIDS_MAX      1024
#define OPERATIONS    9
#define SETTLE_MAX    DUET_SECONDS(3)
#define SIGNALING_MAX 15 /* milliseconds */

/* ---- what is known of a transceiver ---- */

typedef struct slot {
    uint32_t tag; /* its frames carry it */
    uint32_t received, from;
    bool is_mixed; /* frames of more than one sender have come */
} slot;

typedef struct peer {
    side *side;
    struct peer *other;
    struct life *life;
    bool is_polite, ignores_offer;
    slot slots[MADE_MAX];
    size_t slot_count, made, ended, channels;
} peer;

/* A mid, once it is agreed, stands for this pair for ever. */
typedef struct binding {
    char mid[40];
    const void *a, *b; /* slots */
} binding;

typedef struct life {
    world *world;
    uint64_t seed, random;
    unsigned round;
    peer a, b;
    bool running;
    unsigned under_way, operations, glares, negotiations, flows;
    binding bindings[MIDS_MAX];
    size_t binding_count;
    char codecs[128][64];     /* what a payload type means */
    char extensions[256][96]; /* what an id means */
} life;

#define SAY(l, ...) say(l, __LINE__, __VA_ARGS__)

static void say(const life *l, int line, const char *format, ...)
{
    char text[512];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    fail_msg("line %d, seed %llu, round %u: %s", line, (unsigned long long)l->seed, l->round, text);
}

static uint64_t below(life *l, uint64_t n)
{
    return test_random_below(&l->random, n);
}

/* ---- media ---- */

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    slot *s = user;
    uint32_t tag;

    (void)receiver;
    assert_int_equal(frame->len, FRAME_SIZE);
    memcpy(&tag, frame->data + 10, sizeof(tag));
    s->is_mixed = s->is_mixed || (s->received > 0 && tag != s->from);
    s->from = tag;
    s->received++;
}

static slot *slot_of(peer *p, duet_transceiver *t)
{
    slot *s = duet_transceiver_user(t);

    if (s)
        return s;
    assert_true(p->slot_count < sizeof(p->slots) / sizeof(p->slots[0]));
    s = &p->slots[p->slot_count++];
    s->tag = (uint32_t)p->slot_count | (p->is_polite ? 0x10000u : 0);
    duet_receiver_callbacks callbacks = {.on_frame = frame_arrives, .user = s};
    duet_transceiver_set_user(t, s);
    duet_receiver_set_callbacks(duet_transceiver_receiver(t), &callbacks);
    return s;
}

/* A key frame of VP8, or a packet of Opus, as far as a packetizer looks. */
static void send_frame(const life *l, duet_transceiver *t, const slot *s)
{
    uint8_t data[FRAME_SIZE] = {0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00};
    duet_outgoing_frame frame = {.data = data,
                                 .len = sizeof(data),
                                 .payload_type = DUET_FRAME_OWN_CODEC,
                                 .info = {.is_keyframe = true, .temporal_id = -1},
                                 .captured = duet_sim_now(l->world->sim)};

    if (duet_transceiver_kind(t) == DUET_SDP_AUDIO)
        data[0] = 0x78;
    memcpy(data + 10, &s->tag, sizeof(s->tag));
    int err = duet_sender_send_frame(duet_transceiver_sender(t), &frame);
    if (err != DUET_OK)
        SAY(l, "a frame is refused: %s", duet_strerror(err));
}

static void send_frames(void *arg)
{
    life *l = arg;
    peer *peers[] = {&l->a, &l->b};
    duet_transceiver *t;

    if (!l->running)
        return;
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; (t = duet_pc_transceiver_at(peers[i]->side->pc, k)); k++) {
            if (duet_sender_is_active(duet_transceiver_sender(t)))
                send_frame(l, t, slot_of(peers[i], t));
        }
    }
    duet_sim_at(l->world->sim, duet_sim_now(l->world->sim) + FRAME_EVERY, send_frames, l);
}

/* ---- perfect negotiation, W3C 10.7 ---- */

typedef struct parcel {
    peer *to;
    duet_sdp_type type; /* NONE: a candidate */
    char *sdp, *mid;
    int index;
} parcel;

static void parcel_arrives(void *arg);

static void post(parcel p)
{
    world *w = p.to->life->world;
    parcel *copy = malloc(sizeof(*copy));

    assert_non_null(copy);
    *copy = p;
    p.to->life->under_way++;
    assert_int_equal(duet_sim_at(w->sim, duet_sim_now(w->sim) + w->signaling_delay, parcel_arrives, copy), DUET_OK);
}

static void post_description(peer *p)
{
    duet_sdp_type type;
    char *sdp;

    assert_int_equal(duet_pc_local_description(p->side->pc, &type, &sdp), DUET_OK);
    post((parcel){.to = p->other, .type = type, .sdp = sdp});
}

static void set_local(peer *p)
{
    int err = duet_pc_set_local_description(p->side->pc, DUET_SDP_NONE, NULL);

    if (err != DUET_OK)
        SAY(p->life, "%s: local: %s: %s", p->side->name, duet_strerror(err), duet_pc_error(p->side->pc)->reason);
    post_description(p);
}

static void description_arrives(peer *p, const parcel *m)
{
    duet_pc *pc = p->side->pc;
    bool collides = m->type == DUET_SDP_OFFER && duet_pc_signaling_state(pc) != DUET_SIGNALING_STABLE;

    p->life->glares += collides;
    p->ignores_offer = collides && !p->is_polite;
    if (p->ignores_offer)
        return;
    int err = duet_pc_set_remote_description(pc, m->type, m->sdp);
    if (err != DUET_OK)
        SAY(p->life, "%s: remote: %s: %s\n%s", p->side->name, duet_strerror(err), duet_pc_error(pc)->reason, m->sdp);
    if (m->type == DUET_SDP_OFFER)
        set_local(p);
}

static void parcel_arrives(void *arg)
{
    parcel *m = arg;
    peer *p = m->to;

    p->life->under_way--;
    if (p->side->pc && m->type != DUET_SDP_NONE) {
        description_arrives(p, m);
    } else if (p->side->pc) {
        duet_pc_candidate c = {m->sdp, m->mid, m->index, NULL};
        int err = duet_pc_add_ice_candidate(p->side->pc, &c);
        assert_true(err == DUET_OK || p->ignores_offer);
    }
    free(m->sdp);
    free(m->mid);
    free(m);
}

static void on_needed(void *user, duet_pc *pc)
{
    peer *p = user;

    assert_int_equal(duet_pc_signaling_state(pc), DUET_SIGNALING_STABLE);
    p->life->negotiations++;
    set_local(p);
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    peer *p = user;

    (void)pc;
    post((parcel){.to = p->other, .sdp = strdup(c->candidate), .mid = strdup(c->sdp_mid), .index = c->sdp_mline_index});
}

static void on_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    peer *p = user;

    if (strcmp(duet_dc_label(dc), "test") == 0)
        side_channel(p->side, pc, dc);
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *t)
{
    (void)pc;
    (void)slot_of(user, t);
}

/* Nothing of it is touched any more: the sanitizer sees to that. */
static void on_transceiver_end(void *user, duet_pc *pc, duet_transceiver *t)
{
    (void)pc;
    assert_true(duet_transceiver_stopped(t));
    ((peer *)user)->ended++;
}

/* ---- what an application may do ---- */

static duet_transceiver *any_transceiver(peer *p)
{
    size_t count = 0;

    while (duet_pc_transceiver_at(p->side->pc, count))
        count++;
    return count ? duet_pc_transceiver_at(p->side->pc, below(p->life, count)) : NULL;
}

static bool may_make(const peer *p)
{
    return p->made + p->other->made < MADE_MAX && !duet_pc_transceiver_at(p->side->pc, LIVE_MAX);
}

static void add_transceiver(peer *p)
{
    duet_transceiver_init init = DUET_TRANSCEIVER_INIT;
    duet_transceiver *t;

    init.direction = (duet_sdp_direction)below(p->life, 4);
    if (below(p->life, 3) == 0)
        init.track_id = "";
    p->made++;
    assert_int_equal(
        duet_pc_add_transceiver(p->side->pc, below(p->life, 2) ? DUET_SDP_AUDIO : DUET_SDP_VIDEO, &init, &t), DUET_OK);
    (void)slot_of(p, t);
}

static void add_track(peer *p)
{
    duet_sender *sender;

    p->made++;
    assert_int_equal(
        duet_pc_add_track(p->side->pc, below(p->life, 2) ? DUET_SDP_AUDIO : DUET_SDP_VIDEO, NULL, NULL, 0, &sender),
        DUET_OK);
    (void)slot_of(p, duet_sender_transceiver(sender));
}

static void add_channel(peer *p)
{
    duet_dc *dc;

    if (p->channels++ < CHANNELS_MAX)
        assert_int_equal(duet_pc_create_data_channel(p->side->pc, "more", NULL, &dc), DUET_OK);
}

static void prefer(peer *p, duet_transceiver *t)
{
    duet_codec table[16];
    const duet_codec *order[16];
    size_t count = duet_pc_codec_capabilities(DUET_SDP_AUDIO, table, 16);

    if (duet_transceiver_kind(t) != DUET_SDP_AUDIO)
        return;
    size_t first = below(p->life, 3); /* Opus, PCMU, PCMA */
    for (size_t i = 0; i < count; i++)
        order[i] = &table[i == 0 ? first : i <= first ? i - 1 : i];
    assert_int_equal(duet_transceiver_set_codec_preferences(t, order, count), DUET_OK);
}

static void change(peer *p, duet_transceiver *t, unsigned operation)
{
    duet_sender *sender = duet_transceiver_sender(t);

    switch (operation) {
    case 3:
        (void)duet_pc_remove_track(p->side->pc, sender);
        break;
    case 4:
    case 5: /* one that is stopping refuses */
        (void)duet_transceiver_set_direction(t, (duet_sdp_direction)below(p->life, 4));
        break;
    case 6:
        duet_transceiver_stop(t);
        break;
    case 7:
        (void)duet_sender_replace_track(sender, below(p->life, 2) ? "another" : NULL);
        break;
    default:
        prefer(p, t);
    }
}

static void operate(void *arg)
{
    peer *p = arg;
    unsigned operation = (unsigned)below(p->life, OPERATIONS + 1);
    duet_transceiver *t = any_transceiver(p);

    p->life->under_way--;
    p->life->operations++;
    if (operation == 0 && may_make(p))
        add_transceiver(p);
    else if (operation == 1 && may_make(p))
        add_track(p);
    else if (operation == 2)
        add_channel(p);
    else if (operation == OPERATIONS && duet_pc_signaling_state(p->side->pc) == DUET_SIGNALING_STABLE)
        set_local(p); /* an offer without need */
    else if (operation > 2 && t)
        change(p, t, operation);
}

/* ---- what must hold ---- */

static duet_sdp *local_of(const peer *p)
{
    char *text;
    duet_sdp *sdp;
    duet_sdp_error error;

    assert_int_equal(duet_pc_current_local_description(p->side->pc, NULL, &text), DUET_OK);
    assert_int_equal(duet_sdp_parse(&sdp, NULL, text, strlen(text), &error), DUET_OK);
    duet_free(&p->side->env, text);
    return sdp;
}

static bool text_equal(duet_sdp_text a, duet_sdp_text b)
{
    return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

/* What it meant when it was used first, it means for ever. */
static void assert_meaning(const life *l, char *known, size_t size, const char *what, unsigned number, const char *now)
{
    if (!known[0])
        snprintf(known, size, "%.*s", (int)size - 1, now);
    if (strcmp(known, now) != 0)
        SAY(l, "%s %u was %s and is %s", what, number, known, now);
}

static void assert_numbers(life *l, const duet_sdp *sdp, size_t i)
{
    duet_codec codecs[64];
    duet_sdp_extmap map;
    size_t cursor = 0, count = duet_sdp_media_codecs(sdp, i, codecs, 64);
    char text[96];

    for (size_t k = 0; k < count && k < 64; k++) {
        bool is_rtx = strcmp(codecs[k].name, "rtx") == 0;
        snprintf(text, sizeof(l->codecs[0]), "%.30s/%u %.20s", codecs[k].name, (unsigned)codecs[k].clock_rate,
                 is_rtx ? codecs[k].fmtp : "");
        assert_meaning(l, l->codecs[codecs[k].payload_type], sizeof(l->codecs[0]), "payload type",
                       codecs[k].payload_type, text);
    }
    while (duet_sdp_media_extmap(sdp, i, &cursor, &map)) {
        assert_int_equal(duet_sdp_text_copy(map.uri, text, sizeof(text)), DUET_OK);
        assert_meaning(l, l->extensions[map.id], sizeof(l->extensions[0]), "extension id", map.id, text);
    }
}

static duet_transceiver *of_mid(const peer *p, duet_sdp_text mid)
{
    duet_transceiver *t, *found = NULL;

    for (size_t i = 0; (t = duet_pc_transceiver_at(p->side->pc, i)); i++) {
        if (!duet_sdp_text_is(mid, duet_transceiver_mid(t)))
            continue;
        if (found)
            SAY(p->life, "two transceivers of %s have mid %s", p->side->name, duet_transceiver_mid(t));
        found = t;
    }
    return found;
}

static void assert_bound(life *l, const char *mid, const slot *a, const slot *b)
{
    for (size_t i = 0; i < l->binding_count; i++) {
        const binding *known = &l->bindings[i];
        if (strcmp(known->mid, mid) == 0 && (known->a != a || known->b != b))
            SAY(l, "mid %s stood for another pair before", mid);
        if (strcmp(known->mid, mid) == 0)
            return;
        if (known->a == a || known->b == b)
            SAY(l, "mid %s was %s before", mid, known->mid);
    }
    assert_true(l->binding_count < MIDS_MAX);
    binding *new = &l->bindings[l->binding_count++];
    snprintf(new->mid, sizeof(new->mid), "%s", mid);
    new->a = a;
    new->b = b;
}

static void assert_pair(life *l, duet_transceiver *a, duet_transceiver *b)
{
    duet_sdp_direction of_a, of_b, wanted_a = duet_transceiver_direction(a), wanted_b = duet_transceiver_direction(b);
    const char *mid = duet_transceiver_mid(a);

    if (duet_transceiver_kind(a) != duet_transceiver_kind(b))
        SAY(l, "mid %s is of two kinds", mid);
    if (!duet_transceiver_current_direction(a, &of_a) || !duet_transceiver_current_direction(b, &of_b))
        SAY(l, "mid %s has no current direction", mid);
    else if (of_a != duet_sdp_direction_reverse(of_b))
        SAY(l, "mid %s: alice %d, bob %d", mid, (int)of_a, (int)of_b);
    else if (of_a != (wanted_a & duet_sdp_direction_reverse(wanted_b)))
        SAY(l, "mid %s: alice wants %d, bob %d, alice has %d", mid, (int)wanted_a, (int)wanted_b, (int)of_a);
    assert_bound(l, mid, slot_of(&l->a, a), slot_of(&l->b, b));
}

/* A line for the reader of a failure: kind, mid and ! where it is rejected, of each m-section. */
static const char *describe(const duet_sdp *sdp, char *out, size_t size)
{
    size_t len = 0;

    out[0] = 0;
    for (size_t i = 0; i < duet_sdp_media_count(sdp) && len < size; i++) {
        duet_sdp_text mid = duet_sdp_media_mid(sdp, i);
        int n = snprintf(out + len, size - len, "%s:%.*s%s ", duet_sdp_media_at(sdp, i)->name, (int)mid.len, mid.text,
                         duet_sdp_media_is_rejected(sdp, i) ? "!" : "");
        len += n > 0 ? (size_t)n : 0;
    }
    return out;
}

/* One side offered it, and the other refused, because it has stopped its transceiver. */
static bool is_dead(const duet_sdp *a, const duet_sdp *b, size_t i)
{
    return duet_sdp_media_is_rejected(a, i) || duet_sdp_media_is_rejected(b, i);
}

static void assert_section(life *l, const duet_sdp *a, const duet_sdp *b, size_t i)
{
    char text_a[200], text_b[200];

    if (!text_equal(duet_sdp_media_mid(a, i), duet_sdp_media_mid(b, i)) ||
        duet_sdp_media_at(a, i)->kind != duet_sdp_media_at(b, i)->kind)
        SAY(l, "m-section %zu is not the same on both sides:\n%s\n%s", i, describe(a, text_a, sizeof(text_a)),
            describe(b, text_b, sizeof(text_b)));
    if (is_dead(a, b, i) || !duet_sdp_media_is_rtp(a, i))
        return;
    duet_transceiver *of_a = of_mid(&l->a, duet_sdp_media_mid(a, i)), *of_b = of_mid(&l->b, duet_sdp_media_mid(a, i));
    if (!of_a || !of_b) {
        SAY(l, "m-section %zu has no transceiver", i);
        return;
    }
    assert_pair(l, of_a, of_b);
    assert_numbers(l, a, i);
    assert_numbers(l, b, i);
}

static void assert_all_negotiated(const peer *p, const duet_sdp *a, const duet_sdp *b)
{
    duet_transceiver *t;

    for (size_t i = 0; (t = duet_pc_transceiver_at(p->side->pc, i)); i++) {
        bool is_there = false;
        for (size_t k = 0; k < duet_sdp_media_count(a); k++)
            is_there =
                is_there || (duet_sdp_text_is(duet_sdp_media_mid(a, k), duet_transceiver_mid(t)) && !is_dead(a, b, k));
        if (!is_there)
            SAY(p->life, "a transceiver of %s, mid \"%s\", has no m-section", p->side->name, duet_transceiver_mid(t));
    }
}

static void assert_agreed(life *l)
{
    duet_sdp *a = local_of(&l->a), *b = local_of(&l->b);

    if (duet_sdp_media_count(a) != duet_sdp_media_count(b))
        SAY(l, "%zu m-sections here, %zu there", duet_sdp_media_count(a), duet_sdp_media_count(b));
    for (size_t i = 0; i < duet_sdp_media_count(a); i++)
        assert_section(l, a, b, i);
    assert_all_negotiated(&l->a, a, b);
    assert_all_negotiated(&l->b, a, b);
    duet_sdp_destroy(a);
    duet_sdp_destroy(b);
}

static void forget_frames(peer *p)
{
    for (size_t i = 0; i < p->slot_count; i++) {
        p->slots[i].received = p->slots[i].from = 0;
        p->slots[i].is_mixed = false;
    }
}

/* Media goes where it is agreed, and nowhere else. */
static void assert_flows(life *l, peer *from, peer *to)
{
    duet_transceiver *t;

    for (size_t i = 0; (t = duet_pc_transceiver_at(to->side->pc, i)); i++) {
        const char *mid = duet_transceiver_mid(t);
        duet_transceiver *source = of_mid(from, (duet_sdp_text){mid, strlen(mid)});
        const slot *s = slot_of(to, t);
        duet_sdp_direction direction;
        bool is_agreed = source && duet_transceiver_current_direction(t, &direction) && (direction & DUET_SDP_RECVONLY);
        bool flows = is_agreed && duet_sender_is_active(duet_transceiver_sender(source));
        if (flows != (s->received > 0))
            SAY(l, "mid %s to %s: %s", mid, to->side->name, flows ? "nothing arrives" : "frames arrive");
        if (flows && (s->is_mixed || s->from != slot_of(from, source)->tag))
            SAY(l, "mid %s to %s: frames of another sender", mid, to->side->name);
        l->flows += flows;
    }
}

/* ---- a life ---- */

static void peer_create(life *l, peer *p, side *s, peer *other, bool is_polite)
{
    duet_pc_config config = side_config(s);

    p->side = s;
    p->other = other;
    p->life = l;
    p->is_polite = is_polite;
    config.on_ice_gathering_state = NULL;
    config.on_connection_state = NULL;
    config.on_negotiation_needed = on_needed;
    config.on_ice_candidate = on_candidate;
    config.on_data_channel = on_channel;
    config.on_track = on_track;
    config.on_transceiver_end = on_transceiver_end;
    config.user = p;
    side_create(s, &config);
}

static bool is_quiet(void *arg)
{
    const life *l = arg;

    return l->under_way == 0 && duet_pc_signaling_state(l->a.side->pc) == DUET_SIGNALING_STABLE &&
           duet_pc_signaling_state(l->b.side->pc) == DUET_SIGNALING_STABLE;
}

/* Quiet, and still so when both have had a tick: then nothing is left to negotiate. */
static void settle(life *l)
{
    duet_time end = duet_sim_now(l->world->sim) + SETTLE_MAX;

    do {
        if (!duet_sim_run_until(l->world->sim, is_quiet, l, end))
            SAY(l, "no end: %s and %s", duet_signaling_state_name(duet_pc_signaling_state(l->a.side->pc)),
                duet_signaling_state_name(duet_pc_signaling_state(l->b.side->pc)));
        world_run(l->world, DUET_MS(1));
    } while (!is_quiet(l));
}

static void play_round(life *l)
{
    peer *peers[] = {&l->a, &l->b};

    l->world->signaling_delay = DUET_MS(1 + below(l, SIGNALING_MAX));
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t n = below(l, 3); n > 0; n--) {
            l->under_way++;
            duet_sim_at(l->world->sim, duet_sim_now(l->world->sim) + below(l, DUET_MS(20)), operate, peers[i]);
        }
    }
    settle(l);
    assert_agreed(l);
    world_run(l->world, DUET_MS(50)); /* what is under way */
    forget_frames(&l->a);
    forget_frames(&l->b);
    world_run(l->world, DUET_MS(90));
    assert_flows(l, &l->a, &l->b);
    assert_flows(l, &l->b, &l->a);
    assert_int_equal(world_send(l->world), DUET_OK);
}

static life *life_begin(uint64_t seed)
{
    duet_sim_link link = {.delay = DUET_MS(2)};
    life *l = calloc(1, sizeof(*l));
    duet_dc *dc;

    assert_non_null(l);
    l->seed = l->random = seed;
    l->world = world_new(seed, &link);
    peer_create(l, &l->a, &l->world->alice, &l->b, false);
    peer_create(l, &l->b, &l->world->bob, &l->a, true);
    assert_int_equal(duet_pc_create_data_channel(l->world->alice.pc, "test", NULL, &dc), DUET_OK);
    side_use(&l->world->alice, dc);
    add_track(&l->a);
    add_track(&l->b);
    if (!duet_sim_run_until(l->world->sim, world_is_open, l->world, DUET_SECONDS(10)))
        SAY(l, "not open: %s and %s, %s and %s", duet_pc_state_name(duet_pc_connection_state(l->world->alice.pc)),
            duet_pc_state_name(duet_pc_connection_state(l->world->bob.pc)),
            duet_signaling_state_name(duet_pc_signaling_state(l->world->alice.pc)),
            duet_signaling_state_name(duet_pc_signaling_state(l->world->bob.pc)));
    l->running = true;
    send_frames(l);
    return l;
}

static void life_end(life *l)
{
    l->running = false;
    world_run(l->world, DUET_SECONDS(1));
    world_assert_all_arrived(l->world);
    world_end(l->world);
    free(l);
}

static void whatever_is_renegotiated_both_agree_and_media_flows_accordingly(void **state)
{
    unsigned operations = 0, glares = 0, negotiations = 0, flows = 0;
    (void)state;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        life *l = life_begin(seed);
        for (l->round = 1; l->round <= ROUNDS(seed); l->round++)
            play_round(l);
        operations += l->operations;
        glares += l->glares;
        negotiations += l->negotiations;
        flows += l->flows;
        life_end(l);
    }
    print_message("%u operations, %u negotiations, %u offers that met another, %u flows\n", operations, negotiations,
                  glares, flows);
    assert_true(glares > SEEDS && flows > SEEDS * 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_renegotiated_both_agree_and_media_flows_accordingly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
