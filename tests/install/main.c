/* What a user's first program might be: it uses the installed headers and library alone. */
#include <duet/duet.h>
#include <duet/sim.h>
#include <stdio.h>

int main(void)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_pc *pc;
    duet_dc *dc;
    char *sdp = NULL;

    if (duet_pc_create(&pc, &config) != DUET_OK || duet_pc_create_data_channel(pc, "x", NULL, &dc) != DUET_OK ||
        duet_pc_create_offer(pc, NULL, &sdp) != DUET_OK)
        return 1;
    printf("%.3s\n", sdp);
    duet_free(NULL, sdp);
    duet_pc_destroy(pc);
    return 0;
}
