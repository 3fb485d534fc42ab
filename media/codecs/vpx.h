/* What the encoder and the decoder on libvpx share. */
#ifndef DUET_MEDIA_CODECS_VPX_H
#define DUET_MEDIA_CODECS_VPX_H

#include "base/memory.h"
#include "duet/codecs.h"
#include <vpx/vpx_codec.h>

static inline int duet_vpx_error(vpx_codec_err_t err)
{
    switch (err) {
    case VPX_CODEC_OK:
        return DUET_OK;
    case VPX_CODEC_MEM_ERROR:
        return DUET_ERR_NOMEM;
    case VPX_CODEC_INCAPABLE:
    case VPX_CODEC_UNSUP_BITSTREAM:
    case VPX_CODEC_UNSUP_FEATURE:
        return DUET_ERR_UNSUPPORTED;
    case VPX_CODEC_CORRUPT_FRAME:
        return DUET_ERR_MALFORMED;
    default:
        return DUET_ERR_INVALID;
    }
}

#endif
