/* Probes: one socket each, and what became of it. */
#include "agent.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RESEND_MS = 400 };

struct probe probes[MAX_PROBES];
static unsigned next_nonce;

void begin_probes(void) {
    struct timespec seed;
    for (int i = 0; i < MAX_PROBES; i++) probes[i].fd = -1;
    clock_gettime(CLOCK_MONOTONIC, &seed);
    next_nonce = (unsigned)seed.tv_nsec;
}

bool connects(const struct probe *p) { return p->kind == 't' || p->kind == 'h'; }

static void finish(struct probe *p, const char *state, const char *detail) {
    if (detail) reply(p->channel, "%s %s %s", p->id, state, detail);
    else reply(p->channel, "%s %s %lld", p->id, state, (long long)(now() - p->begun));
    close(p->fd);
    p->fd = -1;
}

static void finish_errno(struct probe *p, int e) {
    switch (e) {
    case ECONNREFUSED: finish(p, "refused", NULL); break;
    case ETIMEDOUT: finish(p, "timeout", NULL); break;
    case EHOSTUNREACH: case ENETUNREACH: case EHOSTDOWN: case ENETDOWN: case EADDRNOTAVAIL:
    case EACCES: case EPROTO: case ENOPROTOOPT: finish(p, "unreachable", strerrorname_np(e)); break;
    default: finish(p, "error", strerrorname_np(e) ? strerrorname_np(e) : "errno");
    }
}

static void transmit(struct probe *p) {
    union { char text[64]; struct icmphdr v4; struct icmp6_hdr v6; } m;
    size_t length;
    memset(&m, 0, sizeof m);
    if (p->kind == 'u' || p->kind == 'b') length = (size_t)snprintf(m.text, sizeof m.text, p->kind == 'b' ? ASK "%u\n" : ASK "%u", p->nonce);
    else if (p->six) { m.v6.icmp6_type = ICMP6_ECHO_REQUEST; m.v6.icmp6_seq = htons((uint16_t)p->nonce); length = sizeof m.v6; }
    else { m.v4.type = ICMP_ECHO; m.v4.un.echo.sequence = htons((uint16_t)p->nonce); length = sizeof m.v4; }
    p->resend = p->kind == 'b' ? p->deadline : now() + RESEND_MS;   /* TCP itself sends again */
    if (send(p->fd, &m, length, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != ENOBUFS) finish_errno(p, errno);
}

static int queued_error(int fd) {   /* what ICMP told this socket: the error queue first, it holds more than SO_ERROR */
    char data[256], control[512];
    struct iovec v = { data, sizeof data };
    struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    if (recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
            if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
                return (int)((struct sock_extended_err *)CMSG_DATA(c))->ee_errno;
    int e = 0;
    socklen_t l = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &l);
    return e;
}

void probe_event(struct probe *p, short events) {
    if (connects(p)) {
        int e = 0;
        socklen_t l = sizeof e;
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &e, &l);
        if (e) finish_errno(p, e);
        else if (events & POLLOUT) {
            if (p->kind == 'h') hold_flow(p->channel, p->fd);
            finish(p, "open", NULL);
        }
        return;
    }
    if (events & POLLIN) {
        char text[128], want[64];
        ssize_t n = recv(p->fd, text, sizeof text - 1, 0);
        if (n > 0) {
            text[n] = 0;
            snprintf(want, sizeof want, ANSWER "%u", p->nonce);
            if (p->kind == 'b') {   /* a stream: the greeting, and answers that come late, may be before it */
                snprintf(want, sizeof want, ASK "%u\n", p->nonce);
                if (strstr(text, want)) finish(p, "open", NULL);
                return;
            }
            if (p->kind == 'u' && !strcmp(text, want)) { finish(p, "open", NULL); return; }
            if (p->kind == 'i' && (unsigned char)text[0] == (p->six ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY)) { finish(p, "open", NULL); return; }
        } else if (!n && p->kind == 'b') { finish(p, "refused", NULL); return;   /* the other end closed it */
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) { finish_errno(p, errno); return; }
    }
    if (events & (POLLERR | POLLHUP)) {
        int e = queued_error(p->fd);
        if (e) finish_errno(p, e);
    }
}

bool parse_address(char *text, unsigned port, address_t *a, socklen_t *length) {
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons((uint16_t)port);
        *length = sizeof a->v4;
        return true;
    }
    char *scope = strchr(text, '%');
    if (scope) *scope++ = 0;
    if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) != 1) return false;
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons((uint16_t)port);
    *length = sizeof a->v6;
    return !scope || (a->v6.sin6_scope_id = if_nametoindex(scope)) != 0;
}

bool parse_port(const char *text, unsigned *port) {
    char *end;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || *end || !n || n > 65535 || *text < '0' || *text > '9') return false;
    *port = (unsigned)n;
    return true;
}

static struct probe *new_probe(struct channel *c, const char *id, const char *limit) {   /* NULL: it was refused */
    char *end;
    double seconds = limit ? strtod(limit, &end) : 0;
    if (!limit || *end || !(seconds >= 0.01 && seconds <= 60)) { reply(c, "%s error bad-timeout", id); return NULL; }
    struct probe *p = probes;
    while (p < probes + MAX_PROBES && p->fd >= 0) p++;
    if (p == probes + MAX_PROBES) { reply(c, "%s error busy", id); return NULL; }
    *p = (struct probe){ .fd = -1, .channel = c, .begun = now(), .nonce = ++next_nonce };
    strcpy(p->id, id);
    p->deadline = p->resend = p->begun + (ms_t)(seconds * 1000);
    return p;
}

void start_probe(struct channel *c, const char *id, int kind, char *where, const char *port_text, const char *limit) {
    unsigned port = 0;
    address_t to;
    socklen_t length;
    if (kind != 'i' && !parse_port(port_text, &port)) { reply(c, "%s error bad-port", id); return; }
    if (!where || !parse_address(where, port, &to, &length)) { reply(c, "%s error bad-address", id); return; }
    struct probe *p = new_probe(c, id, limit);
    if (!p) return;
    p->kind = kind;
    p->six = to.any.sa_family == AF_INET6;
    int protocol = kind != 'i' ? 0 : p->six ? (int)IPPROTO_ICMPV6 : IPPROTO_ICMP, on = 1;
    int fd = socket(to.any.sa_family, (connects(p) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0) { reply(c, "%s error %s", id, strerrorname_np(errno)); return; }
    if (!connects(p)) setsockopt(fd, p->six ? IPPROTO_IPV6 : IPPROTO_IP, p->six ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on);
    p->fd = fd;
    if (connect(fd, &to.any, length) < 0 && errno != EINPROGRESS) { finish_errno(p, errno); return; }
    if (!connects(p)) transmit(p);
}

void start_beat(struct channel *c, const char *id, const char *limit) {   /* asks through the connection that is held */
    int fd = flow_again(c);
    if (fd < 0) { reply(c, "%s error no-flow", id); return; }
    struct probe *p = new_probe(c, id, limit);
    if (!p) { close(fd); return; }
    p->kind = 'b';
    p->fd = fd;
    transmit(p);
}

ms_t tend_probes(ms_t t, ms_t wake) {   /* what is due now; gives when to look again */
    for (struct probe *p = probes; p < probes + MAX_PROBES; p++) {
        if (p->fd >= 0 && t >= p->deadline) finish(p, "timeout", NULL);
        if (p->fd >= 0 && !connects(p) && t >= p->resend) transmit(p);
        if (p->fd >= 0 && p->deadline < wake) wake = p->deadline;
        if (p->fd >= 0 && !connects(p) && p->resend < wake) wake = p->resend;
    }
    return wake;
}
