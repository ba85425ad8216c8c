/* Streams to whoever asks: a virtio port, or clients of a unix socket. */
#include "agent.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct channel channels[MAX_CHANNELS];

static void forget_probes(const struct channel *c) {
    for (struct probe *p = probes; p < probes + MAX_PROBES; p++)
        if (p->fd >= 0 && p->channel == c) { close(p->fd); p->fd = -1; }
}

void lose(struct channel *c) {   /* the other side is gone: what it asked for has no reader any more */
    forget_probes(c);
    forget_flood(c);
    forget_flow(c);
    forget_watch(c);
    forget_work(c);
    c->in_len = c->out_len = 0;
    c->overlong = false;
    if (c->port) { c->absent = true; return; }
    close(c->fd);
    c->fd = -1;
}

void flush(struct channel *c) {
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

void reply(struct channel *c, const char *format, ...) {
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

struct channel *open_channel(int fd, bool port) {
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
