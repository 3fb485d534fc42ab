/* Peer connections as endpoints of the loop. */
#include "duet/peer.h"
#include "duet/net.h"

int duet_net_add(duet_net *net, duet_pc *pc)
{
    return duet_net_attach(net, duet_pc_endpoint_ops(), pc);
}

void duet_net_remove(duet_net *net, duet_pc *pc)
{
    duet_net_detach(net, pc);
}
