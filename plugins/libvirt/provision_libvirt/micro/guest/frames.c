/* Frames as they are: sent through a network card, and seen to arrive by the mark that they carry. */
#include "agent.h"
#include <errno.h>
#include <ifaddrs.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MARK_LENGTH = 8, MAX_MARKS = 256, LOOK_AT = 256, BATCH = 64 };

int ear = -1;   /* hears all frames that arrive, while somebody watches */
static struct channel *watcher;
static char marks[MAX_MARKS][MARK_LENGTH + 1];
static int mark_count;

void start_watch(struct channel *c, const char *id) {
    if (ear < 0) ear = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (ear < 0) { reply(c, "%s error %s", id, strerrorname_np(errno)); return; }
    watcher = c;
    mark_count = 0;
    reply(c, "%s ok watching", id);
}

void forget_watch(const struct channel *c) {
    if (ear >= 0 && watcher == c) { close(ear); ear = -1; }
}

static void note(const char *mark) {
    for (int i = 0; i < mark_count; i++) if (!memcmp(marks[i], mark, MARK_LENGTH)) return;
    if (mark_count < MAX_MARKS) memcpy(marks[mark_count++], mark, MARK_LENGTH);
}

void ear_event(void) {
    char data[LOOK_AT];
    struct sockaddr_ll from;
    for (int i = 0; i < BATCH; i++) {
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(ear, data, sizeof data, 0, (struct sockaddr *)&from, &length);
        if (n < 0) return;
        if (from.sll_pkttype == PACKET_OUTGOING || from.sll_hatype == ARPHRD_LOOPBACK) continue;
        const char *found = memmem(data, (size_t)n, MARK, sizeof MARK - 1);
        if (!found || data + n - found < (ssize_t)sizeof MARK - 1 + MARK_LENGTH) continue;
        const char *mark = found + sizeof MARK - 1;
        if (strspn(mark, "0123456789abcdef") >= MARK_LENGTH) note(mark);
    }
}

void list_heard(struct channel *c, const char *id) {
    char text[MAX_MARKS * (MARK_LENGTH + 1) + 1] = "";
    size_t used = 0;
    if (ear < 0) { reply(c, "%s error not-watching", id); return; }
    ear_event();
    for (int i = 0; i < mark_count; i++) used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "," : "", marks[i]);
    reply(c, "%s ok %s", id, text);
}

static int card_with(const unsigned char *mac) {
    struct ifaddrs *all;
    int index = 0;
    if (getifaddrs(&all)) return 0;
    for (struct ifaddrs *a = all; a && !index; a = a->ifa_next) {
        const struct sockaddr_ll *l = (const struct sockaddr_ll *)a->ifa_addr;
        if (l && l->sll_family == AF_PACKET && l->sll_halen == ETH_ALEN && !memcmp(l->sll_addr, mac, ETH_ALEN)) index = l->sll_ifindex;
    }
    freeifaddrs(all);
    return index;
}

static size_t bytes_of(const char *hex, unsigned char *bytes, size_t room) {   /* 0: no pairs of hex digits */
    size_t n = 0;
    unsigned value;
    for (; hex[0] && hex[1] && n < room && strspn(hex, "0123456789abcdef") >= 2 && sscanf(hex, "%2x", &value) == 1; hex += 2) bytes[n++] = (unsigned char)value;
    return *hex ? 0 : n;
}

void send_frame(struct channel *c, const char *id, const char *card, const char *hex) {   /* both in hex */
    unsigned char mac[ETH_ALEN], data[LINE_LIMIT / 2];
    size_t length = bytes_of(hex, data, sizeof data);
    if (bytes_of(card, mac, sizeof mac) != sizeof mac || length < ETH_HLEN) { reply(c, "%s error bad-frame", id); return; }
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = ETH_ALEN, .sll_ifindex = card_with(mac) };
    if (!to.sll_ifindex) { reply(c, "%s error no-card", id); return; }
    memcpy(to.sll_addr, data, ETH_ALEN);
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    ssize_t sent = fd < 0 ? -1 : sendto(fd, data, length, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
    if (sent == (ssize_t)length) reply(c, "%s ok sent", id);
    else reply(c, "%s error %s", id, strerrorname_np(errno));
    if (fd >= 0) close(fd);
}
