/* What the NAT on the way does to UDP: mapping, filtering, hairpinning, port preservation. RFC 5780 sections 4.2 to 4.5, in the terms
 * of RFC 4787. An endpoint that asks one STUN server (with OTHER-ADDRESS, or a second server for the mapping alone). */
#ifndef DUET_ICE_NAT_BEHAVIOUR_H
#define DUET_ICE_NAT_BEHAVIOUR_H

#include "duet/base.h"

typedef struct duet_nat_behaviour duet_nat_behaviour;

typedef enum duet_nat_rule {
    DUET_NAT_UNKNOWN = 0, /* the server cannot tell, or did not answer */
    DUET_NAT_NONE,        /* there is no NAT: the server sees the local address */
    DUET_NAT_ENDPOINT_INDEPENDENT,
    DUET_NAT_ADDRESS_DEPENDENT,
    DUET_NAT_ADDRESS_AND_PORT_DEPENDENT,
} duet_nat_rule;

typedef enum duet_nat_answer {
    DUET_NAT_DONT_KNOW = 0,
    DUET_NAT_NO,
    DUET_NAT_YES,
} duet_nat_answer;

typedef struct duet_nat_result {
    duet_nat_answer udp;        /* does UDP get through to the server and back? */
    duet_nat_answer discovery;  /* does the server speak RFC 5780? */
    duet_address local, mapped; /* family NONE while unknown */
    duet_nat_rule mapping, filtering;
    duet_nat_answer hairpinning, port_preservation;
    duet_time rtt;
} duet_nat_result;

typedef struct duet_nat_behaviour_config {
    size_t size;
    const duet_env *env;
    duet_address bind;   /* local IP address that is asked from */
    duet_address server; /* STUN over UDP */
    duet_address second; /* another server, asked when the first has no OTHER-ADDRESS; family NONE: none */
    void (*on_done)(void *user, const duet_nat_result *result); /* after ten seconds at most */
    void *user;
} duet_nat_behaviour_config;

void duet_nat_behaviour_config_init(duet_nat_behaviour_config *config);
/* @return DUET_OK, DUET_ERR_INVALID (families that do not fit), DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
int duet_nat_behaviour_create(duet_nat_behaviour **out, const duet_nat_behaviour_config *config);
void duet_nat_behaviour_destroy(duet_nat_behaviour *n); /* NULL is fine; legal inside on_done */
const duet_endpoint_ops *duet_nat_behaviour_endpoint_ops(void);

const char *duet_nat_rule_name(duet_nat_rule rule); /* "endpoint-independent", … */

#endif
