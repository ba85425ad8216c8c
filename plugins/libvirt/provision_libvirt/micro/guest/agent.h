/* What the parts of the agent share. */
#ifndef PROVISION_AGENT_H
#define PROVISION_AGENT_H
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { LINE_LIMIT = 512, ID_LIMIT = 32, REPLY_LIMIT = 4096, OUT_LIMIT = 65536 };
enum { MAX_CHANNELS = 17, MAX_PROBES = 128, MAX_LISTENERS = 256 };

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

extern struct channel channels[MAX_CHANNELS];
extern struct probe probes[MAX_PROBES];
extern struct listener listeners[MAX_LISTENERS];

#define ASK "provision-probe "
#define ANSWER "provision-echo "

ms_t now(void);

/* channels.c */
void lose(struct channel *c);
void flush(struct channel *c);
__attribute__((format(printf, 2, 3))) void reply(struct channel *c, const char *format, ...);
struct channel *open_channel(int fd, bool port);

/* probes.c */
void begin_probes(void);
void start_probe(struct channel *c, const char *id, int kind, char *where, const char *port_text, const char *limit);
void probe_event(struct probe *p, short events);
ms_t tend_probes(ms_t t, ms_t wake);
bool parse_address(char *text, unsigned port, address_t *a, socklen_t *length);
bool parse_port(const char *text, unsigned *port);

/* listeners.c */
void begin_listeners(void);
void start_listener(struct channel *c, const char *id, const char *proto, const char *port_text);
void stop_listeners(void);
void listener_event(struct listener *l);

/* flood.c */
void start_flood(struct channel *c, const char *id, char **word);
void forget_flood(const struct channel *c);
ms_t tend_flood(ms_t t, ms_t wake);

#endif
