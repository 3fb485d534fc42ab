/* Encoders and decoders are a library beside libduet. */
#include <duet/codecs.h>
#include <duet/duet.h>
#include <stdio.h>

int main(void)
{
    duet_codec list[8];
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_pc *pc;

    config.codecs = duet_codecs();
    if (duet_pc_create(&pc, &config) != DUET_OK)
        return 1;
    duet_pc_destroy(pc);
    printf("%zu codecs, %s first\n", duet_codecs_list(list, 8), list[0].name);
    return 0;
}
