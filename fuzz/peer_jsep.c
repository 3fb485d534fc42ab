/* Two connections negotiate as the bytes say: every call in any order, with descriptions that the other one made, that are
 * changed on their way, or that are the input itself. A call that is refused leaves the state as it was. */
#include "base/bytes.h"
#include "duet/peer.h"
#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 16384

static duet_pc *pcs[2];
static duet_time now;
static uint64_t seed;
static duet_certificate *certificate;

static duet_env env = DUET_ENV_INIT;

/* ---- descriptions ---- */

static void change(duet_reader *r, char *text)
{
    size_t len = strlen(text);
    unsigned changes = duet_read_u8(r) & 3;

    for (unsigned i = 0; i < changes && len > 0; i++) {
        size_t at = duet_read_u16(r) % len;
        uint8_t how = duet_read_u8(r);
        if (how == 0) { /* the rest of the line goes */
            size_t rest = strcspn(text + at, "\n");
            memmove(text + at, text + at + rest, len - at - rest + 1);
            len -= rest;
        } else {
            text[at] = (char)how;
        }
    }
}

/* A description of some kind for `which`; freed with free(). */
static char *description(duet_reader *r, int which, uint8_t how)
{
    char *text = NULL;
    duet_pc *other = pcs[!which];

    switch (how & 3) {
    case 0:
        (void)duet_pc_local_description(other, NULL, &text);
        break;
    case 1:
        (void)duet_pc_create_answer(other, &text);
        break;
    case 2:
        (void)duet_pc_create_offer(other, NULL, &text);
        break;
    default: {
        size_t len = duet_read_u16(r) % TEXT_MAX;
        duet_bytes bytes = duet_read_bytes(r, len < duet_reader_left(r) ? len : duet_reader_left(r));
        text = calloc(1, bytes.len + 1);
        require(text != NULL);
        if (bytes.len)
            memcpy(text, bytes.data, bytes.len);
        return text;
    }
    }
    if (text && how & 4)
        change(r, text);
    return text;
}

/* ---- what a refused call may not change ---- */

typedef struct snapshot {
    duet_signaling_state state;
    char *local, *remote;
} snapshot;

static snapshot take(const duet_pc *pc)
{
    snapshot s = {.state = duet_pc_signaling_state(pc)};

    (void)duet_pc_local_description(pc, NULL, &s.local);
    (void)duet_pc_remote_description(pc, NULL, &s.remote);
    return s;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check(const duet_pc *pc, snapshot *before, int err)
{
    snapshot after = take(pc);

    if (err != DUET_OK) {
        require(before->state == after.state);
        require(same_text(before->local, after.local));
        require(same_text(before->remote, after.remote));
    }
    /* RFC 9429 section 3.2: what each state stands for */
    if (after.state == DUET_SIGNALING_HAVE_LOCAL_OFFER)
        require(after.local != NULL);
    if (after.state == DUET_SIGNALING_HAVE_REMOTE_OFFER)
        require(after.remote != NULL);
    free(before->local);
    free(before->remote);
    free(after.local);
    free(after.remote);
}

/* ---- steps ---- */

static void add_candidate(duet_reader *r, duet_pc *pc, uint8_t how)
{
    char text[160] = "candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host", mid[8];

    if (how & 4)
        change(r, text);
    snprintf(mid, sizeof(mid), "%u", how & 3u);
    duet_pc_candidate candidate = {how & 8 ? "" : text, how & 16 ? NULL : mid, how & 32 ? -1 : how & 3, NULL};
    (void)duet_pc_add_ice_candidate(pc, &candidate);
}

static void serve(duet_pc *pc)
{
    duet_request request;
    duet_datagram out;
    duet_interface interface = {.name = "a", .index = 1};

    (void)duet_address_parse(&interface.address, "10.0.0.1", 0);
    duet_pc_tick(pc, now);
    while (duet_pc_request(pc, &request) == 1) {
        duet_answer answer = {.kind = request.kind, .id = request.id, .interfaces = &interface, .interface_count = 1};
        answer.local = request.bind;
        answer.local.port = 50000;
        if (request.kind != DUET_REQUEST_CLOSE)
            (void)duet_pc_answer(pc, &answer, now);
    }
    while (duet_pc_output(pc, &out, now) == 1)
        continue;
    (void)duet_pc_deadline(pc);
}

static void step(duet_reader *r)
{
    uint8_t what = duet_read_u8(r), how = duet_read_u8(r);
    int which = what & 1;
    duet_pc *pc = pcs[which];
    duet_sdp_type type = (duet_sdp_type)(how >> 5 & 7);
    duet_dc *dc;
    char *text = NULL;

    snapshot before = take(pc);
    int err = DUET_OK;
    switch (what >> 1 & 7) {
    case 0:
        err = duet_pc_set_local_description(pc, type, NULL);
        break;
    case 1:
        text = description(r, !which, how); /* one's own, perhaps changed */
        err = duet_pc_set_local_description(pc, type, text ? text : "");
        break;
    case 2:
    case 3:
        text = description(r, which, how);
        err = duet_pc_set_remote_description(pc, type, text);
        break;
    case 4:
        err = duet_pc_create_data_channel(pc, "x", NULL, &dc);
        break;
    case 5:
        add_candidate(r, pc, how);
        break;
    case 6:
        now += (duet_time)how * 1000;
        serve(pc);
        break;
    default:
        duet_pc_restart_ice(pc);
        if (how == 255)
            duet_pc_close(pc);
        break;
    }
    check(pc, &before, err);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_reader r = duet_reader_init(data, size);
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    if (!certificate)
        require(duet_certificate_generate(&certificate, NULL, DUET_KEY_ECDSA_P256, 0) == DUET_OK);
    env.random = seeded;
    env.user = &seed;
    seed = 1;
    now = 1000;
    config.env = &env;
    config.certificate = certificate;
    config.bundle_policy = duet_read_u8(&r) & 1 ? DUET_BUNDLE_BALANCED : DUET_BUNDLE_MAX_BUNDLE;
    for (int i = 0; i < 2; i++)
        require(duet_pc_create(&pcs[i], &config) == DUET_OK);
    for (int i = 0; i < 60 && duet_reader_left(&r) > 0; i++)
        step(&r);
    for (int i = 0; i < 2; i++)
        duet_pc_destroy(pcs[i]);
    return 0;
}
