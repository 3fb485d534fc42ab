/* The meter of `duet call`: what comes and goes, each second; and the sums at the end. */
#include "call.h"
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PERIOD    DUET_SECONDS(1)
#define BAR       10
#define BAR_FLOOR -60.0 /* dB: the empty bar */
#define SILENCE   -99.0

/* ---- figures ---- */

typedef struct figures_of {
    call_figures *out;
    char pair[64]; /* id of the selected one */
    bool has_media_rtt;
} figures_of;

static const duet_stat *find(const duet_stat *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    }
    return NULL;
}

static uint64_t number(const duet_stat *members, size_t count, const char *name)
{
    const duet_stat *s = find(members, count, name);

    return s ? s->number : 0;
}

static double real(const duet_stat *members, size_t count, const char *name, double otherwise)
{
    const duet_stat *s = find(members, count, name);

    return s ? s->real : otherwise;
}

static void add(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    figures_of *f = user;
    call_figures *out = f->out;
    const duet_stat *pair = find(members, count, "selectedCandidatePairId");

    if (kind == DUET_STATS_TRANSPORT && pair)
        snprintf(f->pair, sizeof(f->pair), "%s", pair->text);
    if (kind == DUET_STATS_CANDIDATE_PAIR && strcmp(id, f->pair) == 0 && !f->has_media_rtt)
        out->rtt = real(members, count, "currentRoundTripTime", -1);
    if (kind == DUET_STATS_INBOUND_RTP) {
        out->bytes_in += number(members, count, "bytesReceived") + number(members, count, "headerBytesReceived");
        out->packets_in += (double)number(members, count, "packetsReceived");
        out->lost_in += real(members, count, "packetsLost", 0);
    }
    if (kind == DUET_STATS_OUTBOUND_RTP)
        out->bytes_out += number(members, count, "bytesSent") + number(members, count, "headerBytesSent");
    if (kind == DUET_STATS_REMOTE_INBOUND_RTP) {
        out->loss_out = fmax(out->loss_out, real(members, count, "fractionLost", 0));
        out->rtt = real(members, count, "roundTripTime", out->rtt);
        f->has_media_rtt = f->has_media_rtt || find(members, count, "roundTripTime");
    }
}

static call_figures read_figures(const call_peer *p)
{
    call_figures now = {.loss_out = -1, .rtt = -1};
    figures_of f = {.out = &now};

    duet_pc_get_stats(p->connection.pc, add, &f);
    now.frames = p->tracks[CALL_VIDEO].frames;
    return now;
}

/* ---- one peer ---- */

typedef struct reading {
    double level;                                             /* dB of full scale */
    double fps, kbit_in, kbit_out, loss_in, loss_out, rtt_ms; /* losses in percent; below 0: not known */
} reading;

static reading read_peer(call_peer *p, double seconds)
{
    call_figures now = read_figures(p), *before = &p->figures;
    call_track *audio = &p->tracks[CALL_AUDIO];
    double came = now.packets_in - before->packets_in, lost = now.lost_in - before->lost_in;
    reading r = {.level = SILENCE};

    if (audio->samples > 0 && audio->energy > 0)
        r.level = fmax(10 * log10(audio->energy / (double)audio->samples), SILENCE);
    audio->energy = 0;
    audio->samples = 0;
    r.fps = (double)(now.frames - before->frames) / seconds;
    r.kbit_in = now.bytes_in < before->bytes_in ? 0 : (double)(now.bytes_in - before->bytes_in) * 8 / 1000 / seconds;
    r.kbit_out =
        now.bytes_out < before->bytes_out ? 0 : (double)(now.bytes_out - before->bytes_out) * 8 / 1000 / seconds;
    r.loss_in = came + lost > 0 && lost > 0 ? 100 * lost / (came + lost) : 0;
    r.loss_out = now.loss_out < 0 ? -1 : 100 * now.loss_out;
    r.rtt_ms = now.rtt < 0 ? -1 : now.rtt * 1000;
    *before = now;
    return r;
}

static json_t *reading_json(const call_peer *p, const reading *r)
{
    const call_track *video = &p->tracks[CALL_VIDEO], *audio = &p->tracks[CALL_AUDIO];
    json_t *o = json_pack("{s:s,s:s,s:f,s:f,s:f,s:f,s:f}", "type", "stats", "peer", p->name, "audioLevelDb", r->level,
                          "fps", r->fps, "kbitIn", r->kbit_in, "kbitOut", r->kbit_out, "lossIn", r->loss_in);

    if (r->loss_out >= 0)
        json_object_set_new(o, "lossOut", json_real(r->loss_out));
    if (r->rtt_ms >= 0)
        json_object_set_new(o, "rttMs", json_real(r->rtt_ms));
    if (audio->codec[0])
        json_object_set_new(o, "audioCodec", json_string(audio->codec));
    if (video->codec[0])
        json_object_set_new(o, "videoCodec", json_string(video->codec));
    if (!video->width)
        return o;
    json_object_set_new(o, "width", json_integer(video->width));
    json_object_set_new(o, "height", json_integer(video->height));
    return o;
}

static void bar(char *out, double level)
{
    int full = (int)((level - BAR_FLOOR) / -BAR_FLOOR * BAR + 0.5);

    for (int i = 0; i < BAR; i++)
        out[i] = i < full ? '#' : '.';
    out[BAR] = 0;
}

static void reading_text(char *out, size_t size, const call_peer *p, const reading *r, bool is_short)
{
    const call_track *video = &p->tracks[CALL_VIDEO];
    char level[BAR + 1], picture[64] = "no picture", rtt[32] = "";

    bar(level, r->level);
    if (video->width)
        snprintf(picture, sizeof(picture), "%.15s %ux%u %.0f fps", video->codec, video->width, video->height,
                 fmin(r->fps, 999));
    else if (video->frames > 0)
        snprintf(picture, sizeof(picture), "%.15s %.0f fps", video->codec, fmin(r->fps, 999));
    if (r->rtt_ms >= 0)
        snprintf(rtt, sizeof(rtt), is_short ? " %.0f ms" : ", RTT %.1f ms", r->rtt_ms);
    snprintf(out, size,
             is_short ? "%.8s [%s] %s %.0f/%.0f kbit/s loss %.1f/%.1f %%%s"
                      : "%.8s [%s] %s, %.0f in %.0f out kbit/s, loss %.1f in %.1f out %%%s",
             p->name, level, picture, r->kbit_in, r->kbit_out, r->loss_in, r->loss_out < 0 ? 0 : r->loss_out, rtt);
}

/* ---- showing it ---- */

void call_meter_clear_line(call *c)
{
    if (!c->has_meter_line)
        return;
    fputs("\r\033[K", stdout);
    c->has_meter_line = false;
}

/* A line that is longer than the terminal is wide would leave its beginning behind with each second. */
static void draw(call *c, const call_peer *p, const reading *r)
{
    struct winsize window;
    int columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
    char text[200], others[32] = "";

    if (c->connections > 1)
        snprintf(others, sizeof(others), " (+%zu)", c->connections - 1);
    int room = columns - 1 - (int)strlen(others);
    reading_text(text, sizeof(text), p, r, false);
    if ((int)strlen(text) > room)
        reading_text(text, sizeof(text), p, r, true);
    printf("\r\033[K%.*s%s", room > 0 ? room : 0, text, room > 0 ? others : "");
    c->has_meter_line = true;
}

/* On a terminal one line is drawn again and again. */
static void show(call *c, const call_peer *p, const reading *r, bool is_terminal)
{
    char text[200];

    if (c->options.json) {
        app_lines_write(reading_json(p, r));
        return;
    }
    if (is_terminal) {
        draw(c, p, r);
    } else {
        reading_text(text, sizeof(text), p, r, false);
        puts(text);
    }
    fflush(stdout);
}

static void measure(void *arg)
{
    call *c = arg;
    duet_time now = duet_net_now(c->net);
    double seconds = (double)(now - c->metered) / 1e6;
    bool is_terminal = !c->options.json && isatty(STDOUT_FILENO), has_shown = false;

    c->metered = now;
    for (call_peer *p = c->peers; p; p = p->next) {
        if (p->over || !p->connected)
            continue;
        reading r = read_peer(p, seconds);
        if (!is_terminal || !has_shown)
            show(c, p, &r, is_terminal);
        has_shown = true;
    }
    duet_net_timer_cancel(c->meter);
    c->meter = NULL;
    duet_net_timer_start(&c->meter, c->net, PERIOD, measure, c);
}

int call_meter_start(call *c)
{
    if (c->meter || c->options.quiet)
        return DUET_OK;
    c->metered = duet_net_now(c->net);
    return duet_net_timer_start(&c->meter, c->net, PERIOD, measure, c);
}
