/* Everything of libduet in one header. Each module's header also stands alone. */
#ifndef DUET_DUET_H
#define DUET_DUET_H

#include "duet/base.h"
#include "duet/dcep.h"
#include "duet/dtls.h"
#include "duet/ice.h"
#include "duet/mux.h"
#include "duet/net.h"
#include "duet/peer.h"
#include "duet/sctp.h"
#include "duet/sdp.h"
#include "duet/stun.h"
#include "duet/turn.h"

#endif
