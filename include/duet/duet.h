/* Everything of libduet in one header. Each module's header also stands alone; encoders and decoders (duet/codecs.h) are a
 * library of their own. */
#ifndef DUET_DUET_H
#define DUET_DUET_H

#include "duet/base.h"
#include "duet/dcep.h"
#include "duet/dtls.h"
#include "duet/ice.h"
#include "duet/jitter.h"
#include "duet/media.h"
#include "duet/media_file.h"
#include "duet/mux.h"
#include "duet/net.h"
#include "duet/payload.h"
#include "duet/peer.h"
#include "duet/rtcp.h"
#include "duet/rtp.h"
#include "duet/sctp.h"
#include "duet/sdp.h"
#include "duet/srtp.h"
#include "duet/stun.h"
#include "duet/transceiver.h"
#include "duet/turn.h"
#include "duet/video_layers.h"

#endif
