/* Properties over seeded random descriptions: writing and parsing are inverse, the typed values are those that were put
 * in, one broken character is found in its line, and random endpoints always agree. */
#include "sdp_common.h"

#include <stdarg.h>

typedef struct text {
    char *data;
    size_t len, capacity, lines;
} text;

static void line(text *t, const char *format, ...) DUET_PRINTF(2, 3);

static void line(text *t, const char *format, ...)
{
    va_list args;

    if (t->capacity - t->len < 2048) {
        t->capacity = t->capacity * 2 + 4096;
        t->data = realloc(t->data, t->capacity);
        assert_non_null(t->data);
    }
    va_start(args, format);
    t->len += (size_t)vsnprintf(t->data + t->len, 1024, format, args);
    va_end(args);
    memcpy(t->data + t->len, "\r\n", 3);
    t->len += 2;
    t->lines++;
}

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return test_random_below(seed, n);
}

/* A word of 1 to max characters of the alphabet. */
static const char *word(uint64_t *seed, char *buf, size_t min, size_t max, const char *alphabet)
{
    size_t len = min + (size_t)below(seed, max - min + 1);

    for (size_t i = 0; i < len; i++)
        buf[i] = alphabet[below(seed, strlen(alphabet))];
    buf[len] = 0;
    return buf;
}

#define ICE_CHARS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
#define TOKEN_CHARS "!#$%&'*+-.0123456789ABCXYZ^_`abcxyz{|}~"
#define VALUE_CHARS "abc XYZ:=;,/()<>[]\"@?\\\t0123456789"

static void random_attribute(uint64_t *seed, text *t, unsigned pt)
{
    static const char *const directions[] = {"", "/sendonly", "/recvonly", "/sendrecv", "/inactive"};
    char a[300], b[300];

    switch (below(seed, 18)) {
    case 0:
        line(t, "a=rtpmap:%u %s/%llu", pt, word(seed, a, 1, 20, TOKEN_CHARS),
             1 + (unsigned long long)below(seed, 90000));
        break;
    case 1:
        line(t, "a=fmtp:%u %s", pt, word(seed, a, 1, 200, VALUE_CHARS));
        break;
    case 2:
        line(t, "a=rtcp-fb:%u nack%s%s", pt, below(seed, 2) ? " " : "", "pli");
        break;
    case 3:
        line(t, "a=candidate:%s %llu udp %llu 192.0.2.%llu %llu typ host generation 0", word(seed, a, 1, 32, ICE_CHARS),
             1 + (unsigned long long)below(seed, 256), 1 + (unsigned long long)below(seed, 0x7fffffff),
             (unsigned long long)below(seed, 256), (unsigned long long)below(seed, 65536));
        break;
    case 4:
        line(t, "a=extmap:%llu%s urn:%s%s", 1 + (unsigned long long)below(seed, 256), directions[below(seed, 5)],
             word(seed, a, 1, 40, TOKEN_CHARS), below(seed, 2) ? " some attributes" : "");
        break;
    case 5:
        line(t, "a=ssrc:%llu cname:%s", (unsigned long long)below(seed, 1ull << 32), word(seed, a, 1, 20, VALUE_CHARS));
        break;
    case 6:
        line(t, "a=ssrc-group:FID %llu %llu", (unsigned long long)below(seed, 1ull << 32),
             (unsigned long long)below(seed, 1ull << 32));
        break;
    case 7:
        line(t, "a=rid:%s %s%s", word(seed, a, 1, 8, "abc_-19"), below(seed, 2) ? "send" : "recv",
             below(seed, 2) ? " max-width=640;max-fps=30" : "");
        break;
    case 8:
        line(t, "a=simulcast:send %s,~%s;x recv 1;~2", word(seed, a, 1, 8, "abc_-19"), word(seed, b, 1, 8, "abc_-19"));
        break;
    case 9:
        line(t, "a=msid:%s %s", word(seed, a, 1, 64, TOKEN_CHARS), word(seed, b, 1, 64, TOKEN_CHARS));
        break;
    case 10:
        line(t, "a=%s", duet_sdp_direction_name((duet_sdp_direction)below(seed, 4)));
        break;
    case 11:
        line(t, "a=setup:%s", duet_setup_name((duet_setup)(1 + below(seed, 4))));
        break;
    case 12:
        line(t, "a=ice-ufrag:%s", word(seed, a, 4, 256, ICE_CHARS));
        break;
    case 13:
        line(t, "a=ice-pwd:%s", word(seed, a, 22, 256, ICE_CHARS));
        break;
    case 14:
        line(t, "a=fingerprint:" SDP_FINGERPRINT);
        break;
    case 15:
        line(t, "a=%s", below(seed, 2) ? "rtcp-mux" : "end-of-candidates");
        break;
    case 16:
        line(t, "a=x-%s:%s", word(seed, a, 1, 20, TOKEN_CHARS), word(seed, b, 1, 250, VALUE_CHARS));
        break;
    default:
        line(t, "a=ice-options:%s %s", word(seed, a, 1, 10, ICE_CHARS), word(seed, b, 1, 10, ICE_CHARS));
        break;
    }
}

static text random_description(uint64_t *seed)
{
    text t = {0};
    char a[64];

    line(&t, "v=0");
    line(&t, "o=%s %llu %llu IN IP%s", word(seed, a, 1, 20, TOKEN_CHARS), (unsigned long long)test_random(seed),
         (unsigned long long)test_random(seed), below(seed, 2) ? "4 127.0.0.1" : "6 ::1");
    line(&t, "s=%s", word(seed, a, 1, 30, VALUE_CHARS));
    if (below(seed, 2))
        line(&t, "i=%s", word(seed, a, 1, 30, VALUE_CHARS));
    if (below(seed, 2))
        line(&t, "b=AS:%llu", (unsigned long long)below(seed, 100000));
    line(&t, "t=0 0");
    if (below(seed, 2))
        line(&t, "a=group:BUNDLE 0 1 2 %s", word(seed, a, 1, 10, TOKEN_CHARS));
    for (uint64_t sections = below(seed, 6); sections > 0; sections--) {
        unsigned pt = (unsigned)below(seed, 128);
        line(&t, "m=%s %llu UDP/TLS/RTP/SAVPF %u", below(seed, 2) ? "audio" : "video",
             (unsigned long long)below(seed, 65536), pt);
        line(&t, "c=IN IP4 0.0.0.0");
        line(&t, "a=mid:%s", word(seed, a, 1, 16, TOKEN_CHARS));
        for (uint64_t n = below(seed, 20); n > 0; n--)
            random_attribute(seed, &t, pt);
    }
    return t;
}

static void read_everything(const duet_sdp *sdp)
{
    for (size_t i = 0; i < duet_sdp_media_count(sdp); i++) {
        const duet_sdp_line *l;
        duet_ice_credentials ice;
        duet_codec codecs[8];
        duet_setup setup;
        duet_sdp_value v;
        size_t tag;
        for (size_t n = 0; (l = duet_sdp_line_at(sdp, i, n)); n++) {
            int err = duet_sdp_line_value(l, &v);
            assert_true(l->kind == DUET_SDP_UNKNOWN ? err == DUET_ERR_NOT_FOUND : err != DUET_ERR_NOT_FOUND);
        }
        if (duet_sdp_media_ice(sdp, i, &ice) == DUET_OK)
            assert_true(duet_ice_credentials_valid(&ice));
        (void)duet_sdp_media_setup(sdp, i, &setup);
        (void)duet_sdp_media_codecs(sdp, i, codecs, 8);
        (void)duet_sdp_bundle_tag(sdp, i, &tag);
    }
    (void)duet_sdp_check(sdp, NULL);
}

static void random_descriptions_survive_parsing_and_writing(void **state)
{
    (void)state;
    for (uint64_t start = 1; start <= 500; start++) {
        uint64_t seed = start;
        text t = random_description(&seed);
        duet_sdp_error error;
        duet_sdp *sdp;
        if (duet_sdp_parse(&sdp, NULL, t.data, t.len, &error) != DUET_OK)
            fail_msg("seed %llu, line %zu, column %zu: %s", (unsigned long long)start, error.line, error.column,
                     error.reason);
        char *again = sdp_written(sdp);
        if (strlen(again) != t.len || memcmp(again, t.data, t.len) != 0)
            fail_msg("seed %llu is written differently", (unsigned long long)start);
        read_everything(sdp);
        duet_free(NULL, again);
        duet_sdp_destroy(sdp);
        free(t.data);
    }
}

/* The number of the line that byte `at` is in. */
static size_t line_of(const text *t, size_t at)
{
    size_t n = 1;

    for (size_t i = 0; i < at; i++)
        n += t->data[i] == '\n';
    return n;
}

static void one_broken_byte_is_found_in_its_line(void **state)
{
    (void)state;
    for (uint64_t start = 1; start <= 500; start++) {
        uint64_t seed = start;
        text t = random_description(&seed);
        size_t at = (size_t)below(&seed, t.len);
        duet_sdp_error error;
        duet_sdp *sdp;
        t.data[at] = 0;
        size_t number = line_of(&t, at);
        /* without its LF a line ends in a CR that stands alone, one byte earlier */
        assert_int_equal(duet_sdp_parse(&sdp, NULL, t.data, t.len, &error), DUET_ERR_MALFORMED);
        if (error.line != number)
            fail_msg("seed %llu: found in line %zu, is in line %zu", (unsigned long long)start, error.line, number);
        free(t.data);
    }
}

static void lines_in_random_order_never_crash(void **state)
{
    (void)state;
    for (uint64_t start = 1; start <= 300; start++) {
        uint64_t seed = start;
        text t = random_description(&seed), shuffled = {0};
        char *lines[512];
        size_t count = 0;
        for (char *l = strtok(t.data, "\r\n"); l && count < 512; l = strtok(NULL, "\r\n"))
            lines[count++] = l;
        for (size_t i = 4; i + 1 < count; i++) {
            size_t k = i + (size_t)below(&seed, count - i);
            char *swap = lines[i];
            lines[i] = lines[k];
            lines[k] = swap;
        }
        for (size_t i = 0; i < count; i++)
            line(&shuffled, "%s", lines[i]);
        duet_sdp *sdp;
        if (duet_sdp_parse(&sdp, NULL, shuffled.data, shuffled.len, NULL) == DUET_OK) {
            read_everything(sdp);
            duet_sdp_destroy(sdp);
        }
        free(shuffled.data);
        free(t.data);
    }
}

/* ---- negotiation ---- */

static void randomise(uint64_t *seed, sdp_endpoint *e, duet_sdp_section *sections, char mids[][8], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const duet_sdp_section *kinds[] = {&e->audio, &e->video, &e->data};
        sections[i] = *kinds[below(seed, 3)];
        snprintf(mids[i], 8, "m%zu", i);
        sections[i].mid = mids[i];
        sections[i].direction = (duet_sdp_direction)below(seed, 4);
        sections[i].rejected = below(seed, 6) == 0;
        sections[i].no_bundle = below(seed, 6) == 0;
        sections[i].bundle_only = i > 0 && !sections[i].no_bundle && below(seed, 4) == 0;
        sections[i].receive_simulcast = below(seed, 2);
        if (sections[i].codec_count > 1)
            sections[i].codec_count -= (size_t)below(seed, 2);
        e->sections[i] = &sections[i];
    }
    e->options.section_count = count;
    e->options.bundle = below(seed, 5) != 0;
}

static void random_endpoints_agree(void **state)
{
    static const duet_setup wanted[] = {DUET_SETUP_NONE, DUET_SETUP_ACTIVE, DUET_SETUP_PASSIVE};
    static sdp_endpoint alice, bob;
    size_t accepted = 0, rejected = 0;
    (void)state;

    for (uint64_t start = 1; start <= 500; start++) {
        uint64_t seed = start;
        duet_sdp_section ours[8], theirs[8];
        char our_mids[8][8], their_mids[8][8];
        duet_sdp *offer, *answer;
        duet_sdp_error error;
        size_t count = 1 + (size_t)below(&seed, 8);
        sdp_endpoint_init(&alice, "alice");
        sdp_endpoint_init(&bob, "bob1");
        alice.transport.setup = wanted[below(&seed, 3)];
        bob.transport.setup = wanted[below(&seed, 3)];
        randomise(&seed, &alice, ours, our_mids, count);
        randomise(&seed, &bob, theirs, their_mids, count);
        for (size_t i = 0; i < count; i++) /* mostly of the same kind */
            if (below(&seed, 8) != 0)
                theirs[i].kind = ours[i].kind, theirs[i].codecs = ours[i].codecs,
                theirs[i].codec_count = ours[i].codec_count;
        assert_int_equal(duet_sdp_create_offer(&offer, NULL, &alice.options), DUET_OK);
        int err = duet_sdp_create_answer(&answer, NULL, offer, &bob.options, &error);
        if (err || duet_sdp_check_answer(offer, answer, &error))
            fail_msg("seed %llu: %s, line %zu: %s", (unsigned long long)start, duet_strerror(err), error.line,
                     error.reason);
        char *written = sdp_written(answer);
        duet_sdp *again = sdp_parsed(written);
        assert_int_equal(duet_sdp_warning_count(again), 0);
        for (size_t i = 0; i < count; i++)
            *(duet_sdp_media_is_rejected(again, i) ? &rejected : &accepted) += 1;
        duet_free(NULL, written);
        duet_sdp_destroy(again);
        duet_sdp_destroy(answer);
        duet_sdp_destroy(offer);
    }
    print_message("%zu sections accepted, %zu rejected\n", accepted, rejected);
    assert_true(accepted > 500 && rejected > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_descriptions_survive_parsing_and_writing),
        cmocka_unit_test(one_broken_byte_is_found_in_its_line),
        cmocka_unit_test(lines_in_random_order_never_crash),
        cmocka_unit_test(random_endpoints_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
