/* One module alone: no ICE, DTLS or SCTP is linked. */
#include <duet/sdp.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    static const char text[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    duet_sdp *sdp;

    if (duet_sdp_parse(&sdp, NULL, text, strlen(text), NULL) != DUET_OK)
        return 1;
    printf("%zu m-sections\n", duet_sdp_media_count(sdp));
    duet_sdp_destroy(sdp);
    return 0;
}
