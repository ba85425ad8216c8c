/* Flows: the two ends of TCP connections that stay open, so that what becomes of them can be asked later. */
#include "agent.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct { int fd; struct channel *channel; } held = { -1, NULL };   /* the asking end: one at a time */
struct answering answering[MAX_ANSWERING];

void begin_flows(void) {
    for (int i = 0; i < MAX_ANSWERING; i++) answering[i].fd = -1;
}

void hold_flow(struct channel *c, int fd) {
    release_flow();
    held.fd = dup(fd);   /* the probe that made it closes its own */
    held.channel = c;
}

void release_flow(void) {
    if (held.fd >= 0) { close(held.fd); held.fd = -1; }
}

void forget_flow(const struct channel *c) {
    if (held.channel == c) release_flow();
}

int flow_again(const struct channel *c) {   /* -1: there is none */
    return held.fd >= 0 && held.channel == c ? dup(held.fd) : -1;
}

void answer_flow(int fd) {
    for (struct answering *a = answering; a < answering + MAX_ANSWERING; a++)
        if (a->fd < 0) { a->fd = fd; return; }
    close(fd);
}

void stop_answering(void) {
    for (struct answering *a = answering; a < answering + MAX_ANSWERING; a++)
        if (a->fd >= 0) { close(a->fd); a->fd = -1; }
}

void answering_event(struct answering *a) {   /* what comes is sent back */
    char data[256];
    ssize_t n = recv(a->fd, data, sizeof data, 0);
    if (n > 0) { (void)!send(a->fd, data, (size_t)n, MSG_NOSIGNAL); return; }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(a->fd);
    a->fd = -1;
}
