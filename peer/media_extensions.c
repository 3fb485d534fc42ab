/* Which header extensions are offered and answered, and by which ids: an id that is agreed is never mapped to another
 * extension, RFC 8285 section 5. */
#include "peer/media.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Ids as Chromium numbers them. Those that we have no use for are not offered. */
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
    {DUET_RTP_EXT_ABS_CAPTURE_TIME, 12, true, true},
    {DUET_RTP_EXT_VIDEO_ORIENTATION, 13, false, true},
    {DUET_RTP_EXT_TOFFSET, 14, false, true},
};

/* The id that a URI has in any description; 0: none. */
static uint8_t agreed_id(const duet_sdp *const *list, size_t count, const char *uri)
{
    for (size_t d = 0; d < count; d++) {
        for (size_t i = 0; i < duet_sdp_media_count(list[d]); i++) {
            uint16_t id = duet_sdp_media_extmap_id(list[d], i, uri);
            if (id >= 1 && id <= 255)
                return (uint8_t)id;
        }
    }
    return 0;
}

static bool id_is_taken(const duet_sdp *const *list, size_t count, uint8_t id)
{
    duet_sdp_extmap map;

    for (size_t d = 0; d < count; d++) {
        for (size_t i = 0; i < duet_sdp_media_count(list[d]); i++) {
            size_t cursor = 0;
            while (duet_sdp_media_extmap(list[d], i, &cursor, &map)) {
                if (map.id == id)
                    return true;
            }
        }
    }
    return false;
}

static bool id_is_given(const uint8_t *given, size_t count, uint8_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (given[i] == id)
            return true;
    }
    return false;
}

size_t pc_extensions(const duet_pc *pc, duet_sdp_media_kind kind, duet_sdp_extension *out, size_t max)
{
    const duet_sdp *list[4];
    size_t described = pc_descriptions(pc, list), count = 0;
    uint8_t ids[COUNT(extensions)];

    for (size_t i = 0; i < COUNT(extensions); i++) {
        const char *uri = duet_rtp_extension_uri(extensions[i].kind);
        uint8_t id = agreed_id(list, described, uri);
        if (id == 0)
            id = extensions[i].id;
        if (!agreed_id(list, described, uri) && (id_is_taken(list, described, id) || id_is_given(ids, i, id))) {
            for (id = 14; id > 0 && (id_is_taken(list, described, id) || id_is_given(ids, i, id)); id--)
                ;
        }
        ids[i] = id; /* 0: no number is left, and it is not offered */
        if (id > 0 && count < max && (kind == DUET_SDP_AUDIO ? extensions[i].audio : extensions[i].video))
            out[count++] = (duet_sdp_extension){id, DUET_SDP_SENDRECV, uri};
    }
    return count;
}

bool pc_extension_is_ambiguous(const duet_sdp *offer, size_t section, const char *uri)
{
    uint16_t id = duet_sdp_media_extmap_id(offer, section, uri);
    duet_sdp_extmap map;

    for (size_t i = 0; id != 0 && i < duet_sdp_media_count(offer); i++) {
        size_t cursor = 0;
        while (duet_sdp_media_extmap(offer, i, &cursor, &map)) {
            if (map.id == id && !duet_sdp_text_is(map.uri, uri))
                return true;
        }
    }
    return false;
}
