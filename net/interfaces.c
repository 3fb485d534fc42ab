/* The network interfaces of this host, with the state of their IPv6 addresses. */
#include "net/internal.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* Flags of /proc/net/if_inet6, linux/if_addr.h. */
#define ADDRESS_TEMPORARY  0x01
#define ADDRESS_DEPRECATED 0x20
#define ADDRESS_TENTATIVE  0x40

/* Finds the flags of one IPv6 address; 0 when the system does not tell. */
static unsigned inet6_flags(const duet_address *a)
{
    FILE *f = fopen("/proc/net/if_inet6", "re");
    char want[33], line[128], ip[33];
    unsigned flags = 0, found = 0;

    if (!f)
        return 0;
    for (int i = 0; i < 16; i++)
        snprintf(want + i * 2, 3, "%02x", a->ip[i]);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%32s %*x %*x %*x %x", ip, &flags) == 2 && strcmp(ip, want) == 0)
            found = flags;
    }
    fclose(f);
    return found;
}

static bool is_usable(const struct ifaddrs *ifa)
{
    return ifa->ifa_addr && (ifa->ifa_flags & IFF_UP) &&
           (ifa->ifa_addr->sa_family == AF_INET || ifa->ifa_addr->sa_family == AF_INET6);
}

static void fill(duet_interface *out, const struct ifaddrs *ifa)
{
    snprintf(out->name, sizeof(out->name), "%s", ifa->ifa_name);
    out->index = if_nametoindex(ifa->ifa_name);
    net_sockaddr_to(&out->address, ifa->ifa_addr);
    out->address.port = 0;
    out->is_loopback = (ifa->ifa_flags & IFF_LOOPBACK) != 0;
    if (out->address.family != DUET_AF_INET6)
        return;
    unsigned flags = inet6_flags(&out->address);
    out->is_temporary = (flags & ADDRESS_TEMPORARY) != 0;
    out->is_deprecated = (flags & (ADDRESS_DEPRECATED | ADDRESS_TENTATIVE)) != 0;
}

int net_interfaces(const duet_env *env, duet_interface **out, size_t *count)
{
    struct ifaddrs *list = NULL;
    duet_array array;

    *out = NULL;
    *count = 0;
    duet_array_init(&array, env, sizeof(duet_interface));
    if (getifaddrs(&list) != 0)
        return DUET_ERR_IO;
    for (const struct ifaddrs *ifa = list; ifa; ifa = ifa->ifa_next) {
        if (!is_usable(ifa))
            continue;
        duet_interface *item = duet_array_push(&array);
        if (!item) {
            duet_array_free(&array);
            freeifaddrs(list);
            return DUET_ERR_NOMEM;
        }
        fill(item, ifa);
    }
    freeifaddrs(list);
    *out = array.items;
    *count = array.count;
    return DUET_OK;
}

uint32_t net_interface_index(const duet_env *env, const duet_address *address)
{
    duet_interface *list;
    size_t count;
    uint32_t index = 0;

    if (net_interfaces(env, &list, &count) != DUET_OK)
        return 0;
    for (size_t i = 0; i < count && !index; i++) {
        if (duet_address_ip_equal(&list[i].address, address))
            index = list[i].index;
    }
    duet_free(env, list);
    return index;
}
