/* Redundant audio of a receiver, RFC 2198: the primary block of a payload goes on as if it had come alone, the others where the
 * packets that they repeat are missing. */
#include "peer/media_io.h"

static bool is_audio(const duet_codec *codec)
{
    return duet_payload_format_of(codec->name) != DUET_PAYLOAD_NONE;
}

void pc_redundancy_note(pc_receive *r, const duet_codec *codec, const duet_jitter_packet *packet)
{
    if (r->redundancy)
        duet_red_note(&r->redundancy->seen, packet->sequence, packet->timestamp, packet->len > 0 && is_audio(codec));
}

/* "Nested" RED, events, and what is not agreed with this clock are not taken. */
static const duet_codec *codec_of(const pc_receive *r, const duet_codec *red, const duet_red_block *block)
{
    const duet_codec *codec = duet_receive_stream_codec(r->stream, block->payload_type);

    return codec && is_audio(codec) && codec->clock_rate == red->clock_rate ? codec : NULL;
}

static bool take(pc_receive *r, const duet_codec *codec, const duet_red_block *block, const duet_jitter_packet *packet)
{
    duet_jitter_packet alone = *packet;

    alone.payload_type = block->payload_type;
    alone.payload = block->data;
    alone.len = block->len;
    duet_red_note(&r->redundancy->seen, alone.sequence, alone.timestamp, true);
    return pc_receive_take(r, codec, &alone);
}

static void take_primary(pc_receive *r, const duet_codec *red, const duet_red_block *block,
                         const duet_jitter_packet *packet)
{
    const duet_codec *codec = codec_of(r, red, block);

    if (codec)
        (void)take(r, codec, block, packet);
    else
        r->redundancy->malformed++;
}

static void take_redundant(pc_receive *r, const duet_codec *red, const duet_red_block *block,
                           const duet_jitter_packet *packet)
{
    pc_redundancy *redundancy = r->redundancy;
    const duet_codec *codec = codec_of(r, red, block);
    duet_jitter_packet lost = *packet;

    if (!codec) {
        redundancy->malformed++;
        return;
    }
    redundancy->received++;
    lost.timestamp = packet->timestamp - block->timestamp_offset;
    lost.sequence = duet_red_hole(&redundancy->seen, packet->sequence, lost.timestamp);
    lost.marker = false;
    lost.is_redundancy = true;
    bool is_needed = lost.sequence != DUET_RED_NO_HOLE && block->timestamp_offset > 0 && block->len > 0;
    if (!is_needed || !take(r, codec, block, &lost))
        redundancy->discarded++;
}

void pc_redundancy_packet(pc_receive *r, const duet_codec *red, const duet_jitter_packet *packet)
{
    duet_red_block blocks[DUET_RED_BLOCKS_MAX];
    int count = duet_red_parse(blocks, packet->payload, packet->len);

    if (!r->redundancy)
        r->redundancy = duet_calloc(&r->receiver->transceiver->pc->env, sizeof(*r->redundancy));
    if (!r->redundancy)
        return; /* as if it were lost */
    if (count < 0) {
        r->redundancy->malformed++;
        return;
    }
    take_primary(r, red, &blocks[count - 1], packet);
    for (int i = count - 2; i >= 0; i--) /* the newest first: it is next to the packet */
        take_redundant(r, red, &blocks[i], packet);
}
