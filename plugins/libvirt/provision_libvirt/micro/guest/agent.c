/* The probe agent: answers the line protocol of PROTOCOL.md.
 *
 *   agent --port NAME [--power]   in a guest, over the virtio-serial port NAME; --power: shut down on the power button
 *   agent --socket PATH           on a unix socket, several clients at once
 *   --own-network                 the network namespace is the agent's alone: it lets itself send pings there
 *
 * One thread, one poll loop, no child per probe: a guest without hardware acceleration pays for every process. */
#include "agent.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/input.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BUTTONS = 8, RECHECK_MS = 5000, SHUTDOWN_GRACE_MS = 500 };
#define READY_FILE "/run/provision-ready"

static int buttons[MAX_BUTTONS], button_count, server = -1;
static const char *port_name;
static ms_t power_off_at;

ms_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (ms_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
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
    char *save, *word[8] = { 0 };
    int words = 0;
    for (char *w = strtok_r(line, " \t\r", &save); w && words < 8; w = strtok_r(NULL, " \t\r", &save)) word[words++] = w;
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
    else if (!strcmp(verb, "unlisten") && words == 3 && !strcmp(word[2], "all")) { stop_listeners(); reply(c, "%s ok", id); }
    else if (!strcmp(verb, "hold") && words == 5) start_probe(c, id, 'h', word[2], word[3], word[4]);
    else if (!strcmp(verb, "beat") && words == 3) start_beat(c, id, word[2]);
    else if (!strcmp(verb, "release") && words == 2) { release_flow(); reply(c, "%s ok", id); }
    else if (!strcmp(verb, "watch") && words == 2) start_watch(c, id);
    else if (!strcmp(verb, "heard") && words == 2) list_heard(c, id);
    else if (!strcmp(verb, "frame") && words == 4) send_frame(c, id, word[2], word[3]);
    else if (port_name && !strcmp(verb, "burn") && words == 3) start_work(c, id, NULL, NULL, word[2]);
    else if (port_name && !strcmp(verb, "read") && words == 5) start_work(c, id, word[2], word[3], word[4]);
    else if (!strcmp(verb, "flood") && words == 7) start_flood(c, id, word + 2);
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
    static struct pollfd fds[MAX_CHANNELS + MAX_PROBES + MAX_LISTENERS + MAX_ANSWERING + MAX_BUTTONS + 3];
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
        wake = tend_flood(t, tend_probes(t, wake));
        if (power_off_at && t >= power_off_at) { sync(); reboot(RB_POWER_OFF); }
        if (power_off_at && power_off_at < wake) wake = power_off_at;
        for (struct channel *c = channels; c < channels + MAX_CHANNELS; c++) if (c->fd >= 0) flush(c);

        nfds_t n = 0;
#define WATCH(f, e, o) (fds[n] = (struct pollfd){ (f), (e), 0 }, owner[n++] = (o))
        for (struct channel *c = channels; c < channels + MAX_CHANNELS; c++)
            if (c->fd >= 0 && !c->absent) WATCH(c->fd, (short)(POLLIN | (c->out_len ? POLLOUT : 0)), c);
        nfds_t after_channels = n;
        for (struct probe *p = probes; p < probes + MAX_PROBES; p++)
            if (p->fd >= 0) WATCH(p->fd, connects(p) ? POLLOUT : POLLIN, p);
        nfds_t after_probes = n;
        for (struct listener *l = listeners; l < listeners + MAX_LISTENERS; l++) if (l->fd >= 0) WATCH(l->fd, POLLIN, l);
        nfds_t after_listeners = n;
        for (struct answering *a = answering; a < answering + MAX_ANSWERING; a++) if (a->fd >= 0) WATCH(a->fd, POLLIN, a);
        nfds_t after_answering = n;
        for (int i = 0; i < button_count; i++) WATCH(buttons[i], POLLIN, NULL);
        nfds_t after_buttons = n;
        if (server >= 0) WATCH(server, POLLIN, &server);
        if (ear >= 0) WATCH(ear, POLLIN, &ear);
        if (work >= 0) WATCH(work, POLLIN, &work);

        ms_t rest = wake > t ? wake - t : 0;
        struct timespec limit = { rest / 1000, (rest % 1000) * 1000000 };
        if (ppoll(fds, n, &limit, open_mask) <= 0) continue;
        for (nfds_t i = 0; i < n; i++) {
            short e = fds[i].revents;
            if (!e) continue;
            if (i < after_channels) channel_event(owner[i], e);
            else if (i < after_probes) { struct probe *p = owner[i]; if (p->fd == fds[i].fd) probe_event(p, e); }
            else if (i < after_listeners) { struct listener *l = owner[i]; if (l->fd == fds[i].fd) listener_event(l); }
            else if (i < after_answering) { struct answering *a = owner[i]; if (a->fd == fds[i].fd) answering_event(a); }
            else if (i < after_buttons) button_event(fds[i].fd);
            else if (owner[i] == &ear) { if (ear >= 0) ear_event(); }
            else if (owner[i] == &work) { if (work >= 0) work_event(); }
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
    begin_probes();
    begin_listeners();
    begin_flows();
    sigset_t blocked, open_mask;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGIO);
    sigprocmask(SIG_BLOCK, &blocked, &open_mask);
    sigdelset(&open_mask, SIGIO);
    signal(SIGIO, on_sigio);
    signal(SIGPIPE, SIG_IGN);
    if (power) signal(SIGTERM, SIG_IGN);   /* it sends that to all others at the end */
    if (own_network) allow_ping_sockets();
    if (power) open_buttons();
    if (path) serve(path);
    loop(&open_mask);
}
