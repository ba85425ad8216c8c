/* Listeners: they answer probes of other agents. */
#include "agent.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct listener listeners[MAX_LISTENERS];

void begin_listeners(void) {
    for (int i = 0; i < MAX_LISTENERS; i++) listeners[i].fd = -1;
}

void stop_listeners(void) {
    for (struct listener *l = listeners; l < listeners + MAX_LISTENERS; l++)
        if (l->fd >= 0) { close(l->fd); l->fd = -1; }
    stop_answering();
}

void start_listener(struct channel *c, const char *id, const char *proto, const char *port_text) {
    unsigned port;
    int on = 1, off = 0, kind = !proto ? 0 : !strcmp(proto, "tcp") ? 't' : !strcmp(proto, "udp") ? 'u' : 0;
    if (!kind) { reply(c, "%s error bad-protocol", id); return; }
    if (!parse_port(port_text, &port)) { reply(c, "%s error bad-port", id); return; }
    struct listener *free_slot = NULL;
    for (struct listener *l = listeners; l < listeners + MAX_LISTENERS; l++) {
        if (l->fd < 0) { if (!free_slot) free_slot = l; }
        else if (l->kind == kind && l->port == port) { reply(c, "%s ok listening", id); return; }
    }
    if (!free_slot) { reply(c, "%s error too-many-listeners", id); return; }
    address_t a;
    memset(&a, 0, sizeof a);
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_port = htons((uint16_t)port);
    socklen_t length = sizeof a.v6;
    int type = (kind == 't' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(AF_INET6, type, 0);
    if (fd < 0) {   /* a kernel without IPv6 */
        a.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
        length = sizeof a.v4;
        fd = socket(AF_INET, type, 0);
    } else {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    }
    if (kind == 't') setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &a.any, length) < 0 || (kind == 't' && listen(fd, 128) < 0)) {
        reply(c, "%s error %s", id, errno == EADDRINUSE ? "in-use" : strerrorname_np(errno));
        close(fd);
        return;
    }
    *free_slot = (struct listener){ fd, kind, port };
    reply(c, "%s ok listening", id);
}

static void echo(int fd) {   /* answers from the address that was asked, which the prober's connected socket insists on */
    char data[128], control[128], answer[160];
    address_t from;
    struct iovec v = { data, sizeof data - 1 };
    struct msghdr h = { &from, sizeof from, &v, 1, control, sizeof control, 0 };
    ssize_t n = recvmsg(fd, &h, 0);
    if (n < (ssize_t)sizeof ASK - 1 || memcmp(data, ASK, sizeof ASK - 1)) return;   /* never answers an answer */
    data[n] = 0;
    v.iov_base = answer;
    v.iov_len = (size_t)snprintf(answer, sizeof answer, ANSWER "%s", data + sizeof ASK - 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);
        if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr)) info->ipi6_ifindex = 0;
        h.msg_controllen = CMSG_SPACE(sizeof *info);
    } else h.msg_controllen = 0;
    h.msg_flags = 0;
    (void)!sendmsg(fd, &h, MSG_NOSIGNAL);
}

void listener_event(struct listener *l) {
    if (l->kind == 'u') { echo(l->fd); return; }
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    (void)!send(fd, "provision\n", 10, MSG_NOSIGNAL);
    answer_flow(fd);
}
