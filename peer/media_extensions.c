/* Which header extensions are offered and answered, and by which ids: an id that is agreed is never mapped to another
 * extension, RFC 8285 section 5. */
#include "peer/media.h"
#include <assert.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define ID_MAX 14 /* Firefox refuses descriptions with greater ones, in spite of its a=extmap-allow-mixed */

/* Ids as Chromium numbers them, so that an offer of its own that it takes back for ours says the same: it allows no other
 * meaning of an id that it has ever offered. 9 and 12 it leaves free. One more than there are ids is agreed when the peer
 * offers it. */
static const struct {
    duet_rtp_extension_kind kind;
    uint8_t id;
    bool audio, video;
} extensions[] = {
    {DUET_RTP_EXT_AUDIO_LEVEL, 1, true, false},
    {DUET_RTP_EXT_ABS_SEND_TIME, 2, true, true},
    {DUET_RTP_EXT_TRANSPORT_CC, 3, true, true},
    {DUET_RTP_EXT_MID, 4, true, true},
    {DUET_RTP_EXT_PLAYOUT_DELAY, 5, false, true},
    {DUET_RTP_EXT_VIDEO_CONTENT_TYPE, 6, false, true},
    {DUET_RTP_EXT_VIDEO_TIMING, 7, false, true},
    {DUET_RTP_EXT_COLOR_SPACE, 8, false, true},
    {DUET_RTP_EXT_RID, 10, false, true},
    {DUET_RTP_EXT_REPAIRED_RID, 11, false, true},
    {DUET_RTP_EXT_VIDEO_ORIENTATION, 13, false, true},
    {DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR, 9, false, true},
    {DUET_RTP_EXT_LAYERS_ALLOCATION, 12, false, true},
    {DUET_RTP_EXT_TOFFSET, 14, false, true},
    {DUET_RTP_EXT_ABS_CAPTURE_TIME, 0, true, true},
};

/* What the descriptions say about ids. */
typedef pc_extension_ids numbering;

static_assert(COUNT(extensions) <= PC_EXTENSIONS_MAX, "each has a place");

static void note(numbering *n, const duet_sdp_extmap *map)
{
    if (map->id >= PC_EXTENSION_IDS)
        return; /* of no use to us */
    n->is_taken[map->id] = true;
    for (size_t k = 0; k < COUNT(extensions); k++) {
        if (!n->agreed[k] && duet_sdp_text_is(map->uri, duet_rtp_extension_uri(extensions[k].kind)))
            n->agreed[k] = (uint8_t)map->id;
    }
}

static void learn(numbering *n, const duet_sdp *sdp)
{
    duet_sdp_extmap map;

    for (size_t i = 0; i < duet_sdp_media_count(sdp); i++) {
        size_t cursor = 0;
        while (duet_sdp_media_extmap(sdp, i, &cursor, &map))
            note(n, &map);
    }
}

/* What was agreed in a section that has ended holds, unless the peer has given the id away. */
static void recall(numbering *n, const numbering *known)
{
    for (size_t k = 0; k < COUNT(extensions); k++) {
        if (!n->agreed[k] && !n->is_taken[known->agreed[k]])
            n->agreed[k] = known->agreed[k];
    }
    for (size_t id = 0; id < PC_EXTENSION_IDS; id++)
        n->is_taken[id] = n->is_taken[id] || known->is_taken[id];
}

void pc_remember_extensions(duet_pc *pc)
{
    const duet_sdp *list[4];
    size_t described = pc_descriptions(pc, list);
    numbering n = {{0}, {false}};

    for (size_t d = 0; d < described; d++)
        learn(&n, list[d]);
    recall(&n, &pc->extension_ids);
    pc->extension_ids = n;
}

static bool id_is_free(const numbering *n, const uint8_t *given, size_t count, uint8_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (given[i] == id)
            return false;
    }
    return !n->is_taken[id];
}

/* @return 0: all are taken */
static uint8_t find_id(const numbering *n, const uint8_t *given, size_t count)
{
    uint8_t id = ID_MAX;

    while (id > 0 && !id_is_free(n, given, count, id))
        id--;
    return id;
}

size_t pc_extensions(const duet_pc *pc, duet_sdp_media_kind kind, duet_sdp_extension *out, size_t max)
{
    const duet_sdp *list[4];
    size_t described = pc_descriptions(pc, list), count = 0;
    uint8_t ids[COUNT(extensions)];
    numbering n = {{0}, {false}};

    for (size_t d = 0; d < described; d++)
        learn(&n, list[d]);
    recall(&n, &pc->extension_ids);
    for (size_t i = 0; i < COUNT(extensions); i++) {
        uint8_t id = n.agreed[i] ? n.agreed[i] : extensions[i].id;
        if (id == 0 || (!n.agreed[i] && !id_is_free(&n, ids, i, id)))
            id = find_id(&n, ids, i);
        ids[i] = id; /* 0: no number is left, and it is not offered */
        if (id > 0 && count < max && (kind == DUET_SDP_AUDIO ? extensions[i].audio : extensions[i].video))
            out[count++] = (duet_sdp_extension){id, DUET_SDP_SENDRECV, duet_rtp_extension_uri(extensions[i].kind)};
    }
    return count;
}

bool pc_extension_fits(const duet_sdp *sdp, size_t section, const char *uri)
{
    duet_rtp_extension_kind kind = duet_rtp_extension_of_uri(uri);

    if (kind != DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR && kind != DUET_RTP_EXT_LAYERS_ALLOCATION)
        return true;
    return duet_sdp_has(sdp, section, DUET_SDP_EXTMAP_ALLOW_MIXED) ||
           duet_sdp_has(sdp, DUET_SDP_SESSION, DUET_SDP_EXTMAP_ALLOW_MIXED);
}

void pc_ambiguous_extensions(const duet_sdp *offer, bool *ambiguous)
{
    duet_sdp_text first[PC_EXTENSION_IDS] = {{NULL, 0}};
    duet_sdp_extmap map;

    memset(ambiguous, 0, PC_EXTENSION_IDS * sizeof(*ambiguous));
    for (size_t i = 0; i < duet_sdp_media_count(offer); i++) {
        size_t cursor = 0;
        while (duet_sdp_media_extmap(offer, i, &cursor, &map)) {
            if (map.id >= PC_EXTENSION_IDS)
                continue;
            duet_sdp_text *known = &first[map.id];
            if (!known->text)
                *known = map.uri;
            if (known->len != map.uri.len || memcmp(known->text, map.uri.text, known->len) != 0)
                ambiguous[map.id] = true;
        }
    }
}
