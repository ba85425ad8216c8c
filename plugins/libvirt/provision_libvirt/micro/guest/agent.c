/* The probe agent: answers the line protocol of PROTOCOL.md.
 *
 *   agent --port NAME [--power]   in a guest, over the virtio-serial port NAME; --power: shut down on the power button
 *   agent --socket PATH           on a unix socket, several clients at once
 *   --own-network                 the network namespace is the agent's alone: it lets itself send pings there
 *
 * One thread, one poll loop, no child per probe: a guest without hardware acceleration pays for every process. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <linux/input.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LINE_LIMIT = 512, ID_LIMIT = 32, REPLY_LIMIT = 4096, OUT_LIMIT = 65536 };
enum { MAX_CHANNELS = 17, MAX_PROBES = 128, MAX_LISTENERS = 256, MAX_BUTTONS = 8 };
enum { RESEND_MS = 400, RECHECK_MS = 5000, SHUTDOWN_GRACE_MS = 500 };
#define ASK "provision-probe "
#define ANSWER "provision-echo "
#define READY_FILE "/run/provision-ready"

typedef int64_t ms_t;
typedef union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } address_t;

struct channel {
    int fd;             /* -1: free */
    bool port, absent;  /* a virtio port; the host has not opened its end */
    bool overlong;      /* inside a line beyond the limit: skip to its end */
    size_t in_len, out_len;
    char in[LINE_LIMIT], out[OUT_LIMIT];
};
struct probe {
    int fd;             /* -1: free */
    int kind;           /* 't', 'u' or 'i' */
    struct channel *channel;
    char id[ID_LIMIT + 1];
    ms_t begun, deadline, resend;
    unsigned nonce;
    bool six;
};
struct listener { int fd, kind; unsigned port; };

static struct channel channels[MAX_CHANNELS];
static struct probe probes[MAX_PROBES];
static struct listener listeners[MAX_LISTENERS];
static int buttons[MAX_BUTTONS], button_count, server = -1;
static const char *port_name;
static ms_t power_off_at;
static unsigned next_nonce;

static ms_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (ms_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- channels ------------------------------------------------------------------------------------------------- */

static void forget_probes(const struct channel *c) {
    for (struct probe *p = probes; p < probes + MAX_PROBES; p++)
        if (p->fd >= 0 && p->channel == c) { close(p->fd); p->fd = -1; }
}

static void lose(struct channel *c) {   /* the other side is gone: what it asked for has no reader any more */
    forget_probes(c);
    c->in_len = c->out_len = 0;
    c->overlong = false;
    if (c->port) { c->absent = true; return; }
    close(c->fd);
    c->fd = -1;
}

static void flush(struct channel *c) {
    while (c->fd >= 0 && c->out_len) {
        ssize_t n = write(c->fd, c->out, c->out_len);
        if (n <= 0) {
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
            lose(c);
            return;
        }
        c->out_len -= (size_t)n;
        memmove(c->out, c->out + n, c->out_len);
    }
}

__attribute__((format(printf, 2, 3)))
static void reply(struct channel *c, const char *format, ...) {
    char line[REPLY_LIMIT];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line - 1, format, ap);
    va_end(ap);
    if (n < 0 || c->fd < 0) return;
    if (n > (int)sizeof line - 2) n = sizeof line - 2;
    line[n++] = '\n';
    if (c->out_len + (size_t)n > OUT_LIMIT) {   /* a reader that does not read */
        if (!c->port) lose(c);
        return;
    }
    memcpy(c->out + c->out_len, line, (size_t)n);
    c->out_len += (size_t)n;
}

/* ---- probes --------------------------------------------------------------------------------------------------- */

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
    if (p->kind == 'u') length = (size_t)snprintf(m.text, sizeof m.text, ASK "%u", p->nonce);
    else if (p->six) { m.v6.icmp6_type = ICMP6_ECHO_REQUEST; m.v6.icmp6_seq = htons((uint16_t)p->nonce); length = sizeof m.v6; }
    else { m.v4.type = ICMP_ECHO; m.v4.un.echo.sequence = htons((uint16_t)p->nonce); length = sizeof m.v4; }
    p->resend = now() + RESEND_MS;
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

static void probe_event(struct probe *p, short events) {
    if (p->kind == 't') {
        int e = 0;
        socklen_t l = sizeof e;
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &e, &l);
        if (e) finish_errno(p, e);
        else if (events & POLLOUT) finish(p, "open", NULL);
        return;
    }
    if (events & POLLIN) {
        char text[128], want[64];
        ssize_t n = recv(p->fd, text, sizeof text - 1, 0);
        if (n > 0) {
            text[n] = 0;
            snprintf(want, sizeof want, ANSWER "%u", p->nonce);
            if (p->kind == 'u' && !strcmp(text, want)) { finish(p, "open", NULL); return; }
            if (p->kind == 'i' && (unsigned char)text[0] == (p->six ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY)) { finish(p, "open", NULL); return; }
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) { finish_errno(p, errno); return; }
    }
    if (events & (POLLERR | POLLHUP)) {
        int e = queued_error(p->fd);
        if (e) finish_errno(p, e);
    }
}

static bool parse_address(char *text, unsigned port, address_t *a, socklen_t *length) {
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

static bool parse_port(const char *text, unsigned *port) {
    char *end;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || *end || !n || n > 65535 || *text < '0' || *text > '9') return false;
    *port = (unsigned)n;
    return true;
}

static void start_probe(struct channel *c, const char *id, int kind, char *where, const char *port_text, const char *limit) {
    unsigned port = 0;
    address_t to;
    socklen_t length;
    char *end;
    if (kind != 'i' && !parse_port(port_text, &port)) { reply(c, "%s error bad-port", id); return; }
    if (!where || !parse_address(where, port, &to, &length)) { reply(c, "%s error bad-address", id); return; }
    double seconds = limit ? strtod(limit, &end) : 0;
    if (!limit || *end || !(seconds >= 0.01 && seconds <= 60)) { reply(c, "%s error bad-timeout", id); return; }
    struct probe *p = probes;
    while (p < probes + MAX_PROBES && p->fd >= 0) p++;
    if (p == probes + MAX_PROBES) { reply(c, "%s error busy", id); return; }
    bool six = to.any.sa_family == AF_INET6;
    int protocol = kind != 'i' ? 0 : six ? (int)IPPROTO_ICMPV6 : IPPROTO_ICMP, on = 1;
    int fd = socket(to.any.sa_family, (kind == 't' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0) { reply(c, "%s error %s", id, strerrorname_np(errno)); return; }
    if (kind != 't') setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on);
    *p = (struct probe){ .fd = fd, .kind = kind, .channel = c, .begun = now(), .nonce = ++next_nonce, .six = six };
    strcpy(p->id, id);
    p->deadline = p->begun + (ms_t)(seconds * 1000);
    p->resend = p->deadline;
    if (connect(fd, &to.any, length) < 0 && errno != EINPROGRESS) { finish_errno(p, errno); return; }
    if (kind != 't') transmit(p);
}

/* ---- listeners ------------------------------------------------------------------------------------------------ */

static void start_listener(struct channel *c, const char *id, const char *proto, const char *port_text) {
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

static void listener_event(struct listener *l) {
    if (l->kind == 'u') { echo(l->fd); return; }
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    (void)!send(fd, "provision\n", 10, MSG_NOSIGNAL);
    close(fd);
}

/* ---- requests ------------------------------------------------------------------------------------------------- */

static unsigned prefix_of(const struct sockaddr *mask) {
    if (!mask) return 0;
    const unsigned char *b = mask->sa_family == AF_INET6 ? ((struct sockaddr_in6 *)mask)->sin6_addr.s6_addr
                                                          : (unsigned char *)&((struct sockaddr_in *)mask)->sin_addr;
    unsigned bits = 0;
    for (int i = 0; i < (mask->sa_family == AF_INET6 ? 16 : 4); i++) bits += (unsigned)__builtin_popcount(b[i]);
    return bits;
}

static void list_addresses(struct channel *c, const char *id) {
    char text[REPLY_LIMIT - 64] = "", item[160], address[INET6_ADDRSTRLEN];
    size_t used = 0;
    struct ifaddrs *all, *a, *b;
    if (getifaddrs(&all)) { reply(c, "%s error %s", id, strerrorname_np(errno)); return; }
    for (a = all; a; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_PACKET || a->ifa_flags & IFF_LOOPBACK) continue;
        const unsigned char *m = ((struct sockaddr_ll *)a->ifa_addr)->sll_addr;
        used += (size_t)snprintf(text + used, sizeof text - used, " %s|%02x:%02x:%02x:%02x:%02x:%02x|", a->ifa_name, m[0], m[1], m[2], m[3], m[4], m[5]);
        const char *comma = "";
        for (b = all; b; b = b->ifa_next) {
            int family = b->ifa_addr ? b->ifa_addr->sa_family : 0;
            if ((family != AF_INET && family != AF_INET6) || strcmp(a->ifa_name, b->ifa_name)) continue;
            inet_ntop(family, family == AF_INET ? (void *)&((struct sockaddr_in *)b->ifa_addr)->sin_addr : (void *)&((struct sockaddr_in6 *)b->ifa_addr)->sin6_addr, address, sizeof address);
            int n = snprintf(item, sizeof item, "%s%s/%u", comma, address, prefix_of(b->ifa_netmask));
            if (used + (size_t)n + 80 >= sizeof text) break;
            memcpy(text + used, item, (size_t)n + 1);
            used += (size_t)n;
            comma = ",";
        }
        if (used + 120 >= sizeof text) break;
    }
    freeifaddrs(all);
    reply(c, "%s ok%s", id, text);
}

static void request(struct channel *c, char *line) {
    char *save, *word[6] = { 0 };
    int words = 0;
    for (char *w = strtok_r(line, " \t\r", &save); w && words < 6; w = strtok_r(NULL, " \t\r", &save)) word[words++] = w;
    if (!words) return;
    const char *id = word[0], *verb = word[1];
    size_t good = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-");
    if (id[good] || good > ID_LIMIT) reply(c, "? error bad-id");
    else if (!verb) reply(c, "%s error no-verb", id);
    else if (!strcmp(verb, "ping") && words == 2) {
        char name[65] = "";
        gethostname(name, sizeof name - 1);
        reply(c, "%s ok provision-probe 1 %s %s", id, *name ? name : "-", !port_name || !access(READY_FILE, F_OK) ? "ready" : "booting");
    }
    else if (!strcmp(verb, "tcp") && words == 5) start_probe(c, id, 't', word[2], word[3], word[4]);
    else if (!strcmp(verb, "udp") && words == 5) start_probe(c, id, 'u', word[2], word[3], word[4]);
    else if (!strcmp(verb, "icmp") && words == 4) start_probe(c, id, 'i', word[2], NULL, word[3]);
    else if (!strcmp(verb, "listen") && words == 4) start_listener(c, id, word[2], word[3]);
    else if (!strcmp(verb, "unlisten") && words == 3 && !strcmp(word[2], "all")) {
        for (struct listener *l = listeners; l < listeners + MAX_LISTENERS; l++)
            if (l->fd >= 0) { close(l->fd); l->fd = -1; }
        reply(c, "%s ok", id);
    }
    else if (!strcmp(verb, "addresses") && words == 2) list_addresses(c, id);
    else reply(c, "%s error bad-request", id);
}

static void take(struct channel *c, const char *data, size_t length) {
    for (; length-- && c->fd >= 0; data++) {
        if (*data == '\n') {
            if (c->overlong) reply(c, "? error line-too-long");
            else { c->in[c->in_len] = 0; request(c, c->in); }
            c->in_len = 0;
            c->overlong = false;
        } else if (c->in_len + 1 >= LINE_LIMIT) c->overlong = true;
        else c->in[c->in_len++] = *data ? *data : '?';
    }
}

static void channel_event(struct channel *c, short events) {
    char data[4096];
    if (events & POLLOUT) flush(c);
    if (c->fd < 0 || !(events & (POLLIN | POLLHUP | POLLERR))) return;
    ssize_t n = read(c->fd, data, sizeof data);
    if (n > 0) take(c, data, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR)) lose(c);
}

/* ---- set-up and loop ------------------------------------------------------------------------------------------ */

static struct channel *open_channel(int fd, bool port) {
    for (struct channel *c = channels; c < channels + MAX_CHANNELS; c++)
        if (c->fd < 0) {
            c->fd = fd;
            c->port = port;
            c->absent = c->overlong = false;
            c->in_len = c->out_len = 0;
            return c;
        }
    close(fd);
    return NULL;
}

static void find_port(void) {   /* there is no udev in the guest: the port is known by its name in sysfs */
    DIR *d = opendir("/sys/class/virtio-ports");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], name[128] = "";
        snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", e->d_name);
        FILE *f = fopen(path, "re");
        if (!f) continue;
        if (fgets(name, sizeof name, f)) name[strcspn(name, "\n")] = 0;
        fclose(f);
        if (strcmp(name, port_name)) continue;
        snprintf(path, sizeof path, "/dev/%s", e->d_name);
        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) continue;
        fcntl(fd, F_SETOWN, getpid());   /* the driver signals when the host opens or closes its end */
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
        open_channel(fd, true);
        break;
    }
    if (d) closedir(d);
}

static void open_buttons(void) {
    for (int i = 0; i < MAX_BUTTONS; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/input/event%d", i);
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) buttons[button_count++] = fd;
    }
}

static void button_event(int fd) {
    struct input_event e;
    while (read(fd, &e, sizeof e) == sizeof e)
        if (e.type == EV_KEY && e.code == KEY_POWER && e.value == 1 && !power_off_at) {
            power_off_at = now() + SHUTDOWN_GRACE_MS;
            kill(-1, SIGTERM);
        }
}

static void serve(const char *path) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path) { fprintf(stderr, "agent: socket path too long\n"); exit(2); }
    strcpy(a.sun_path, path);
    unlink(path);
    umask(0077);
    server = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(server, (struct sockaddr *)&a, sizeof a) || listen(server, 16)) { perror("agent: socket"); exit(1); }
}

static void allow_ping_sockets(void) {
    int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) { (void)!write(fd, "0 2147483647", 12); close(fd); }
}

static void on_sigio(int s) { (void)s; }

static void loop(const sigset_t *open_mask) {
    static struct pollfd fds[MAX_CHANNELS + MAX_PROBES + MAX_LISTENERS + MAX_BUTTONS + 1];
    static void *owner[sizeof fds / sizeof *fds];
    ms_t next_scan = 0;
    for (;;) {
        ms_t t = now(), wake = t + RECHECK_MS;
        bool have_port = false;
        for (struct channel *c = channels; c < channels + MAX_CHANNELS; c++) {
            if (c->fd < 0 || !c->port) continue;
            have_port = true;
            struct pollfd one = { c->fd, POLLIN, 0 };
            if (c->absent && poll(&one, 1, 0) >= 0 && !(one.revents & POLLHUP)) c->absent = false;
        }
        if (port_name && !have_port && t >= next_scan) { find_port(); next_scan = t + 1000; }
        if (port_name && !have_port && wake > next_scan) wake = next_scan;
        for (struct probe *p = probes; p < probes + MAX_PROBES; p++) {
            if (p->fd >= 0 && t >= p->deadline) finish(p, "timeout", NULL);
            if (p->fd >= 0 && p->kind != 't' && t >= p->resend) transmit(p);
        }
        if (power_off_at && t >= power_off_at) { sync(); reboot(RB_POWER_OFF); }
        if (power_off_at && power_off_at < wake) wake = power_off_at;
        for (struct channel *c = channels; c < channels + MAX_CHANNELS; c++) if (c->fd >= 0) flush(c);

        nfds_t n = 0;
#define WATCH(f, e, o) (fds[n] = (struct pollfd){ (f), (e), 0 }, owner[n++] = (o))
        for (struct channel *c = channels; c < channels + MAX_CHANNELS; c++)
            if (c->fd >= 0 && !c->absent) WATCH(c->fd, (short)(POLLIN | (c->out_len ? POLLOUT : 0)), c);
        nfds_t after_channels = n;
        for (struct probe *p = probes; p < probes + MAX_PROBES; p++)
            if (p->fd >= 0) {
                WATCH(p->fd, p->kind == 't' ? POLLOUT : POLLIN, p);
                if (p->deadline < wake) wake = p->deadline;
                if (p->kind != 't' && p->resend < wake) wake = p->resend;
            }
        nfds_t after_probes = n;
        for (struct listener *l = listeners; l < listeners + MAX_LISTENERS; l++) if (l->fd >= 0) WATCH(l->fd, POLLIN, l);
        nfds_t after_listeners = n;
        for (int i = 0; i < button_count; i++) WATCH(buttons[i], POLLIN, NULL);
        nfds_t after_buttons = n;
        if (server >= 0) WATCH(server, POLLIN, NULL);

        ms_t rest = wake > t ? wake - t : 0;
        struct timespec limit = { rest / 1000, (rest % 1000) * 1000000 };
        if (ppoll(fds, n, &limit, open_mask) <= 0) continue;
        for (nfds_t i = 0; i < n; i++) {
            short e = fds[i].revents;
            if (!e) continue;
            if (i < after_channels) channel_event(owner[i], e);
            else if (i < after_probes) { struct probe *p = owner[i]; if (p->fd == fds[i].fd) probe_event(p, e); }
            else if (i < after_listeners) { struct listener *l = owner[i]; if (l->fd == fds[i].fd) listener_event(l); }
            else if (i < after_buttons) button_event(fds[i].fd);
            else { int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); if (fd >= 0) open_channel(fd, false); }
        }
    }
}

int main(int argc, char **argv) {
    const char *path = NULL;
    bool power = false, own_network = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--port") && i + 1 < argc) port_name = argv[++i];
        else if (!strcmp(argv[i], "--socket") && i + 1 < argc) path = argv[++i];
        else if (!strcmp(argv[i], "--power")) power = true;
        else if (!strcmp(argv[i], "--own-network")) own_network = true;
        else { fprintf(stderr, "usage: agent (--port NAME [--power] | --socket PATH) [--own-network]\n"); return 2; }
    }
    if (!port_name == !path) { fprintf(stderr, "agent: exactly one of --port and --socket\n"); return 2; }
    for (int i = 0; i < MAX_CHANNELS; i++) channels[i].fd = -1;
    for (int i = 0; i < MAX_PROBES; i++) probes[i].fd = -1;
    for (int i = 0; i < MAX_LISTENERS; i++) listeners[i].fd = -1;
    sigset_t blocked, open_mask;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGIO);
    sigprocmask(SIG_BLOCK, &blocked, &open_mask);
    sigdelset(&open_mask, SIGIO);
    signal(SIGIO, on_sigio);
    signal(SIGPIPE, SIG_IGN);
    if (power) signal(SIGTERM, SIG_IGN);   /* it sends that to all others at the end */
    struct timespec seed;
    clock_gettime(CLOCK_MONOTONIC, &seed);
    next_nonce = (unsigned)seed.tv_nsec;
    if (own_network) allow_ping_sockets();
    if (power) open_buttons();
    if (path) serve(path);
    loop(&open_mask);
}
