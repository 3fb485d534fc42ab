/* Which codecs are offered and answered, and by which payload types. Numbers that are agreed stay what they are as long as
 * the connection lives: RFC 9429 section 5.2.2, RFC 9143 section 9.1. */
#include "peer/media.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FEEDBACK_VIDEO                                                                                                 \
    (DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI | DUET_FEEDBACK_CCM_FIR | DUET_FEEDBACK_TRANSPORT_CC |                \
     DUET_FEEDBACK_GOOG_REMB)

/* The payload types are those of Chromium, so that most answers of most stacks keep them. */
static const duet_codec audio_codecs[] = {
    {"opus", 111, 48000, 2, "minptime=10;useinbandfec=1", DUET_FEEDBACK_TRANSPORT_CC},
    {"red", 63, 48000, 2, "111/111", 0},
    {"PCMU", 0, 8000, 1, "", 0},
    {"PCMA", 8, 8000, 1, "", 0},
    {"CN", 13, 8000, 1, "", 0},
    {"telephone-event", 110, 48000, 1, "0-16", 0},
    {"telephone-event", 126, 8000, 1, "0-16", 0},
};

static const duet_codec video_codecs[] = {
    {"VP8", 96, 90000, 1, "", FEEDBACK_VIDEO},
    {"rtx", 97, 90000, 1, "apt=96", 0},
    {"VP9", 98, 90000, 1, "profile-id=0", FEEDBACK_VIDEO},
    {"rtx", 99, 90000, 1, "apt=98", 0},
    {"H264", 108, 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", FEEDBACK_VIDEO},
    {"rtx", 109, 90000, 1, "apt=108", 0},
    {"H264", 102, 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f", FEEDBACK_VIDEO},
    {"rtx", 103, 90000, 1, "apt=102", 0},
    {"AV1", 45, 90000, 1, "level-idx=5;profile=0;tier=0", FEEDBACK_VIDEO},
    {"rtx", 46, 90000, 1, "apt=45", 0},
    {"H265", 49, 90000, 1, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST", FEEDBACK_VIDEO},
    {"rtx", 50, 90000, 1, "apt=49", 0},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

size_t pc_codec_table(duet_sdp_media_kind kind, const duet_codec **table)
{
    *table = kind == DUET_SDP_AUDIO ? audio_codecs : video_codecs;
    return kind == DUET_SDP_AUDIO ? COUNT(audio_codecs) : kind == DUET_SDP_VIDEO ? COUNT(video_codecs) : 0;
}

size_t duet_pc_codec_capabilities(duet_sdp_media_kind kind, duet_codec *out, size_t max)
{
    const duet_codec *table;
    size_t count = pc_codec_table(kind, &table);

    for (size_t i = 0; i < count && i < max; i++)
        out[i] = table[i];
    return count;
}

bool pc_codec_is_helper(const duet_codec *c)
{
    static const char *const names[] = {"rtx", "red", "ulpfec", "flexfec-03", "CN", "telephone-event"};

    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcasecmp(c->name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_rtx(const duet_codec *c)
{
    return strcasecmp(c->name, "rtx") == 0;
}

bool pc_codec_is_red(const duet_codec *c)
{
    return strcasecmp(c->name, "red") == 0;
}

bool pc_codec_is_comfort_noise(const duet_codec *c)
{
    return strcasecmp(c->name, "CN") == 0;
}

/* ---- preferences ---- */

static const duet_codec *rtx_of(const duet_codec *table, size_t count, const duet_codec *codec)
{
    char apt[16];

    snprintf(apt, sizeof(apt), "apt=%u", (unsigned)codec->payload_type);
    for (size_t i = 0; i < count; i++) {
        if (is_rtx(&table[i]) && strcmp(table[i].fmtp, apt) == 0)
            return &table[i];
    }
    return NULL;
}

static bool prefers_rtx(const duet_transceiver *t)
{
    for (size_t i = 0; i < t->preferences.count; i++) {
        if (is_rtx(duet_array_at(&t->preferences, i)))
            return true;
    }
    return false;
}

static size_t add(duet_codec *out, size_t count, size_t max, const duet_codec *codec)
{
    if (codec && count < max)
        out[count++] = *codec;
    return count;
}

size_t pc_answer_codecs(const duet_transceiver *t, duet_codec *out, size_t max)
{
    const duet_codec *table;
    size_t table_count = pc_codec_table(t->kind, &table), count = 0;

    if (t->preferences.count == 0) {
        for (size_t i = 0; i < table_count; i++)
            count = add(out, count, max, &table[i]);
        return count;
    }
    for (size_t i = 0; i < t->preferences.count; i++) {
        const duet_codec *wanted = duet_array_at(&t->preferences, i);
        for (size_t k = 0; k < table_count && !is_rtx(wanted); k++) {
            if (!duet_sdp_codec_equal(&table[k], wanted))
                continue;
            count = add(out, count, max, &table[k]);
            if (prefers_rtx(t))
                count = add(out, count, max, rtx_of(table, table_count, &table[k]));
        }
    }
    return count;
}

/* ---- payload types that fit ---- */

/* What is agreed, or offered by either side: their numbers hold for the whole bundle. */
size_t pc_descriptions(const duet_pc *pc, const duet_sdp **list)
{
    const duet_sdp *all[] = {pc->pending_remote.sdp, pc->pending_local.sdp, pc->current_local.sdp,
                             pc->current_remote.sdp};
    size_t count = 0;

    for (size_t i = 0; i < COUNT(all); i++) {
        if (all[i])
            list[count++] = all[i];
    }
    return count;
}

typedef struct numbering {
    const duet_codec *owner[128]; /* who has which payload type */
    duet_codec *known;            /* every codec of every description */
    size_t known_count, known_max;
} numbering;

static void learn(numbering *n, const duet_sdp *sdp)
{
    for (size_t i = 0; i < duet_sdp_media_count(sdp) && n->known_count < n->known_max; i++) {
        size_t room = n->known_max - n->known_count;
        size_t found = duet_sdp_media_codecs(sdp, i, n->known + n->known_count, room);
        found = found < room ? found : room;
        for (size_t k = 0; k < found; k++) {
            const duet_codec *c = &n->known[n->known_count + k];
            if (c->payload_type < 128 && !n->owner[c->payload_type])
                n->owner[c->payload_type] = c;
        }
        n->known_count += found;
    }
}

/* Dynamic payload types in the order in which they are given out: RFC 3551 section 6, then RFC 8866's lower range. */
static int free_payload_type(const numbering *n)
{
    for (int pt = 96; pt < 128; pt++) {
        if (!n->owner[pt])
            return pt;
    }
    for (int pt = 35; pt < 64; pt++) {
        if (!n->owner[pt])
            return pt;
    }
    return -1;
}

static bool same(const duet_codec *a, const duet_codec *b)
{
    if (is_rtx(a) || is_rtx(b))
        return is_rtx(a) && is_rtx(b) && strcmp(a->fmtp, b->fmtp) == 0;
    return duet_sdp_codec_equal(a, b);
}

/* @return false when all numbers are taken */
static bool number(numbering *n, duet_codec *codec)
{
    for (size_t i = 0; i < n->known_count; i++) {
        if (same(&n->known[i], codec) && n->owner[n->known[i].payload_type] &&
            same(n->owner[n->known[i].payload_type], codec)) {
            codec->payload_type = n->known[i].payload_type;
            return true;
        }
    }
    int pt = n->owner[codec->payload_type] && !same(n->owner[codec->payload_type], codec) ? free_payload_type(n)
                                                                                          : codec->payload_type;
    if (pt < 0)
        return false;
    codec->payload_type = (uint8_t)pt;
    n->owner[pt] = codec;
    return true;
}

static const duet_codec *carried_by(const duet_codec *list, size_t count, const duet_codec *red)
{
    for (size_t i = 0; i < count; i++) {
        if (!pc_codec_is_helper(&list[i]) && list[i].clock_rate == red->clock_rate && list[i].channels == red->channels)
            return &list[i];
    }
    return NULL;
}

/* The payload types that red lists (RFC 2198 section 5) are those of this offer; without a codec to carry it is left out.
 * @return how many there are now */
static size_t bind_red(duet_codec *list, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        duet_codec codec = list[i];
        const duet_codec *carried = pc_codec_is_red(&codec) ? carried_by(list, count, &codec) : NULL;
        if (carried)
            snprintf(codec.fmtp, sizeof(codec.fmtp), "%u/%u", carried->payload_type, carried->payload_type);
        if (carried || !pc_codec_is_red(&codec))
            list[kept++] = codec;
    }
    return kept;
}

size_t pc_offer_codecs(const duet_transceiver *t, duet_codec *out, size_t max)
{
    const duet_pc *pc = t->pc;
    const duet_sdp *list[4];
    size_t wanted = pc_answer_codecs(t, out, max), count = 0;
    size_t described = pc_descriptions(pc, list);
    uint8_t before = 0, after = 0; /* of the codec in front: an rtx behind it follows */
    bool is_numbered = false;
    numbering n = {.known_max = 1024};

    if (described > 0) {
        n.known = duet_alloc(&pc->env, n.known_max * sizeof(*n.known));
        if (!n.known)
            return 0;
    }
    for (size_t i = 0; i < described; i++)
        learn(&n, list[i]);
    for (size_t i = 0; i < wanted; i++) {
        duet_codec codec = out[i];
        char apt[16];
        snprintf(apt, sizeof(apt), "apt=%u", (unsigned)before);
        if (is_rtx(&codec) && strcmp(codec.fmtp, apt) == 0) {
            if (!is_numbered)
                continue;
            snprintf(codec.fmtp, sizeof(codec.fmtp), "apt=%u", (unsigned)after);
        } else {
            before = codec.payload_type;
        }
        out[count] = codec;
        is_numbered = number(&n, &out[count]);
        if (!is_numbered)
            continue;
        if (!is_rtx(&codec))
            after = out[count].payload_type;
        count++;
    }
    duet_free(&pc->env, n.known);
    return bind_red(out, count);
}
