/* What was found out, as a table for people and as JSON for programs. */
#include "base/text.h"
#include "probe.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *answer_name(duet_nat_answer answer)
{
    return answer == DUET_NAT_YES ? "yes" : answer == DUET_NAT_NO ? "no" : "unknown";
}

static const char *stage_name(probe_stage stage)
{
    static const char *const names[] = {"url", "resolve", "connect", "answer", "allocate", "done"};

    return names[stage];
}

static const char *ip_port(const duet_address *a, char *buf, size_t size)
{
    return a->family == DUET_AF_NONE ? "" : duet_address_text(a, buf, size);
}

/* ---- for people ---------------------------------------------------------------------------------------------------------- */

static void print_nat(const probe_report *r)
{
    char text[DUET_ADDRESS_TEXT_MAX];
    const duet_nat_result *n = &r->nat;

    printf("\nNAT, by %s\n", r->nat_server);
    printf("  %-20s %s\n", "UDP gets through", answer_name(n->udp));
    if (n->udp != DUET_NAT_YES)
        return;
    printf("  %-20s %s\n", "seen from outside as", ip_port(&n->mapped, text, sizeof(text)));
    printf("  %-20s %s\n", "mapping", duet_nat_rule_name(n->mapping));
    printf("  %-20s %s\n", "filtering", duet_nat_rule_name(n->filtering));
    printf("  %-20s %s\n", "hairpinning", answer_name(n->hairpinning));
    printf("  %-20s %s\n", "port preservation", answer_name(n->port_preservation));
    if (n->discovery == DUET_NAT_NO)
        puts("  The server has no second address (RFC 5780), so filtering cannot be told.");
}

static void print_server(const probe_server_result *s, int width)
{
    char mapped[DUET_ADDRESS_TEXT_MAX], relayed[DUET_ADDRESS_TEXT_MAX];
    const char *advice = probe_server_advice(s);

    printf("  %-*s  ", width, s->url);
    if (!s->ok) {
        printf("failed  ");
        if (s->code)
            printf("%u ", s->code);
        printf("%s\n", s->text);
        if (advice)
            printf("  %-*s          %s\n", width, "", advice);
        return;
    }
    printf("ok      %.1f ms", (double)(s->rtt ? s->rtt : s->elapsed) / 1000.0);
    if (s->relayed.family)
        printf(", relays at %s", ip_port(&s->relayed, relayed, sizeof(relayed)));
    if (s->mapped.family)
        printf(", sees %s", ip_port(&s->mapped, mapped, sizeof(mapped)));
    putchar('\n');
}

void probe_print(const probe_report *r)
{
    int width = 0;

    puts("Candidates");
    for (size_t i = 0; i < r->candidate_count; i++)
        printf("  %s\n", r->candidates[i]);
    if (r->candidate_count == 0)
        puts("  none: is there a network interface besides loopback?");
    if (r->has_nat)
        print_nat(r);
    if (r->server_count > 0)
        puts("\nServers");
    for (size_t i = 0; i < r->server_count; i++)
        width = (int)strlen(r->servers[i].url) > width ? (int)strlen(r->servers[i].url) : width;
    for (size_t i = 0; i < r->server_count; i++)
        print_server(&r->servers[i], width);
}

/* ---- for programs ---------------------------------------------------------------------------------------------------------- */

static void set_address(json_t *object, const char *name, const duet_address *a)
{
    char text[DUET_ADDRESS_TEXT_MAX];

    if (a->family != DUET_AF_NONE)
        json_object_set_new(object, name, json_string(duet_address_text(a, text, sizeof(text))));
}

static json_t *nat_json(const probe_report *r)
{
    const duet_nat_result *n = &r->nat;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "server", r->nat_server, "udp", answer_name(n->udp), "mapping",
                  duet_nat_rule_name(n->mapping), "filtering", duet_nat_rule_name(n->filtering), "hairpinning",
                  answer_name(n->hairpinning), "portPreservation", answer_name(n->port_preservation));

    set_address(o, "local", &n->local);
    set_address(o, "mapped", &n->mapped);
    return o;
}

static json_t *server_json(const probe_server_result *s)
{
    json_t *o = json_pack("{s:s, s:b, s:s, s:f}", "url", s->url, "ok", s->ok, "stage", stage_name(s->stage),
                          "elapsedMs", (double)s->elapsed / 1000.0);

    set_address(o, "address", &s->address);
    set_address(o, "mapped", &s->mapped);
    set_address(o, "relayed", &s->relayed);
    if (s->rtt)
        json_object_set_new(o, "rttMs", json_real((double)s->rtt / 1000.0));
    if (s->ok)
        return o;
    if (s->code)
        json_object_set_new(o, "code", json_integer(s->code));
    json_object_set_new(o, "reason", json_string(s->text));
    const char *advice = probe_server_advice(s);
    if (advice)
        json_object_set_new(o, "advice", json_string(advice));
    return o;
}

json_t *probe_json(const probe_report *r)
{
    json_t *candidates = json_array(), *servers = json_array();

    for (size_t i = 0; i < r->candidate_count; i++)
        json_array_append_new(candidates, json_string(r->candidates[i]));
    for (size_t i = 0; i < r->server_count; i++)
        json_array_append_new(servers, server_json(&r->servers[i]));
    json_t *report = json_pack("{s:o, s:o}", "candidates", candidates, "servers", servers);
    if (r->has_nat)
        json_object_set_new(report, "nat", nat_json(r));
    return report;
}
