/* A flood: as many datagrams as asked for, to each port of a range in turn; one at a time. */
#include "agent.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 2, BURST = 256, MOST_PER_SECOND = 100000, MOST_SECONDS = 3600 };

static struct {
    int fd;             /* 0: none */
    struct channel *channel;
    char id[ID_LIMIT + 1];
    address_t to;
    socklen_t length;
    unsigned first, last, next;
    double per_ms;
    ms_t begun, end;
    unsigned long long turns, sent;
} flood;

static bool parse_number(const char *text, double least, double most, double *number) {
    char *end;
    *number = text ? strtod(text, &end) : 0;
    return text && *text && !*end && *number >= least && *number <= most;
}

void start_flood(struct channel *c, const char *id, char **word) {   /* ADDRESS FIRST LAST RATE SECONDS */
    double rate, seconds;
    unsigned first, last;
    address_t to;
    socklen_t length;
    if (flood.fd) { reply(c, "%s error busy", id); return; }
    if (!parse_port(word[1], &first) || !parse_port(word[2], &last) || last < first) { reply(c, "%s error bad-port", id); return; }
    if (!parse_address(word[0], first, &to, &length)) { reply(c, "%s error bad-address", id); return; }
    if (!parse_number(word[3], 1, MOST_PER_SECOND, &rate)) { reply(c, "%s error bad-rate", id); return; }
    if (!parse_number(word[4], 0.01, MOST_SECONDS, &seconds)) { reply(c, "%s error bad-timeout", id); return; }
    int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) { reply(c, "%s error %s", id, strerrorname_np(errno)); return; }
    flood.fd = fd;
    flood.channel = c;
    strcpy(flood.id, id);
    flood.to = to;
    flood.length = length;
    flood.first = flood.next = first;
    flood.last = last;
    flood.per_ms = rate / 1000;
    flood.begun = now();
    flood.end = flood.begun + (ms_t)(seconds * 1000);
    flood.turns = flood.sent = 0;
}

void forget_flood(const struct channel *c) {
    if (flood.fd && flood.channel == c) { close(flood.fd); flood.fd = 0; }
}

static void send_one(void) {
    in_port_t port = htons((uint16_t)flood.next);
    if (flood.to.any.sa_family == AF_INET6) flood.to.v6.sin6_port = port;
    else flood.to.v4.sin_port = port;
    if (sendto(flood.fd, "flood", 5, MSG_NOSIGNAL, &flood.to.any, flood.length) == 5) flood.sent++;
    flood.next = flood.next == flood.last ? flood.first : flood.next + 1;
    flood.turns++;
}

ms_t tend_flood(ms_t t, ms_t wake) {   /* sends what is due; gives when to look again */
    if (!flood.fd) return wake;
    unsigned long long due = (unsigned long long)((double)(t - flood.begun) * flood.per_ms);
    for (int i = 0; i < BURST && flood.turns < due; i++) send_one();
    if (t >= flood.end) {
        reply(flood.channel, "%s ok sent %llu", flood.id, flood.sent);
        close(flood.fd);
        flood.fd = 0;
        return t;
    }
    return t + TICK_MS < wake ? t + TICK_MS : wake;
}
